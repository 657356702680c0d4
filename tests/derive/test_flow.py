"""Steps of a formula: the names that a person gave are kept, also inside sums, which are flat."""

from __future__ import annotations

import pytest

from chainrule.derive.flow import Flow, flow
from chainrule.expr.walk import substitute
from chainrule.language import parse_formula
from chainrule.notation.present import present
from chainrule.verify.compare import equal


def steps(formula: str, shapes: str, wrt: str) -> Flow:
    parsed = parse_formula(formula, shapes)
    return flow(parsed.expr, [parsed.variables[wrt]], parsed.names, output="L")


def written(found: Flow) -> list[str]:
    return [f"{part.name} = {present(part.value).text}" for part in found.parts]


@pytest.mark.parametrize(
    ("formula", "shapes", "wanted"),
    [
        (
            "q = X @ w + b; e = q - y; mean(e**2)", "X[N,n] w[n] b y[N]",
            ["q = Xw + b", "e = q − y", "L = ‖e‖²/N"],
        ),
        ("s = w + a; s + w**2", "w a", ["s = w + a", "u = w²", "L = s + u"]),
        ("s = w + a; t = s + c; t + sin(w)", "w a c", ["s = w + a", "t = s + c", "u = sin(w)", "L = t + u"]),
        ("s = w + a; w + c", "w a c", ["L = w + c"]),
    ],
)  # fmt: skip
def test_named_sums_stay_steps(formula: str, shapes: str, wanted: list[str]) -> None:
    found = steps(formula, shapes, "w")
    assert sorted(map(frozenset, written(found))) == sorted(map(frozenset, wanted))
    whole = found.output.value
    for part in reversed(found.parts):
        whole = substitute(whole, {part.symbol: part.value})
    original = parse_formula(formula, shapes)
    assert equal(whole, original.expr, list(original.variables.values())).equal


def test_residual_connections_keep_their_steps_small() -> None:
    body = "; ".join(
        f"h{k} = {f'h{k - 1}' if k else 'w'} + tanh({f'h{k - 1}' if k else 'w'})" for k in range(40)
    )
    found = steps(f"{body}; sum(h39)", "w[n]", "w")
    assert max(len(found.arguments(part)) for part in found.parts) == 2
    assert found.count_paths(found.wrt[0]) == 2**40
