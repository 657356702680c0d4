"""One page for a program of layers: what it says, in every layout, and that its check sees an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unicodedata import normalize

import pytest

import chainrule as cr
from chainrule.api.explanation import Explanation
from chainrule.errors import OptionError
from chainrule.explain import Derivation, Phase, upstream
from chainrule.explain.layers import explain_layers
from chainrule.expr.names import pretty
from chainrule.notation.matform import Tree
from chainrule.notation.recursion import Recursion
from chainrule.notation.text import to_text

VECTORS = (
    "h1 = relu(W1 @ x + b1); h2 = tanh(W2 @ h1 + b2); h3 = W3 @ h2 + b3; sum((h3 - t)**2)",
    "x[n] W1[m,n] b1[m] W2[p,m] b2[p] W3[q,p] b3[q] t[q]",
    "W1,b1,W2,b2,W3,b3",
)
OTHERS = {
    "softmax, one-hot": (
        "H1 = sigmoid(X @ W1 + b1); Z2 = H1 @ W2 + b2; cross_entropy(Z2, Y)",
        "X[N,n] W1[n,m] b1[m] W2[m,k] b2[k] Y[N,k]",
        "W1,b1,W2,b2",
    ),
    "gelu, integer labels": (
        "H1 = gelu(X @ W1.T + b1); Z2 = H1 @ W2.T + b2; cross_entropy(Z2, c)",
        "X[N,n] W1[m,n] b1[m] W2[k,m] b2[k] c[N]:integer(k)",
        "W1,b1,W2,b2",
    ),
    "residual": (
        "h1 = h0 + relu(W1 @ h0 + b1); h2 = h1 + relu(W2 @ h1 + b2); sum((h2 - t)**2)",
        "h0[n] W1[n,n] b1[n] W2[n,n] b2[n] t[n]",
        "h0,W1,W2",
    ),
    "shared weights": (
        "h1 = tanh(W @ x + b); h2 = tanh(W @ h1 + b); z = V @ h2; -sum(y*log_softmax(z))",
        "x[n] W[n,n] b[n] V[k,n] y[k]",
        "W,b,V",
    ),
    "attention in two layers": (
        "Q1 = X @ A1; K1 = X @ B1; H1 = softmax(Q1 @ K1.T, axis=1) @ (X @ C1); "
        "Q2 = H1 @ A2; K2 = H1 @ B2; H2 = softmax(Q2 @ K2.T, axis=1) @ (H1 @ C2); sum((H2 - Y)**2)",
        "X[N,d] A1[d,e] B1[d,e] C1[d,d] A2[d,e] B2[d,e] C2[d,d] Y[N,d]",
        "A1,B1,C1,A2,B2,C2",
    ),
}


def page_of(program: tuple[str, str, str], **options: Any) -> Explanation:
    formula, shapes, wrt = program
    return cr.explain(formula, wrt, shapes, **options)


def bars(tree: Tree) -> set[str]:
    """The names with a bar in a formula."""
    return set(re.findall("\\w\u0304[₀-₉]*", normalize("NFD", to_text(tree))))


def deep(layers: int) -> tuple[str, str, str]:
    """A program of so many tanh layers."""
    program = "; ".join(f"h{k} = tanh(W{k} @ h{k - 1} + b{k})" for k in range(1, layers + 1))
    shapes = "h0[n] t[n] " + " ".join(f"W{k}[n,n] b{k}[n]" for k in range(1, layers + 1))
    wrt = ",".join(f"W{k},b{k}" for k in range(1, layers + 1))
    return f"{program}; sum((h{layers} - t)**2)", shapes, wrt


def row(page: Derivation, left: str) -> list[str]:
    """The right sides of the lines that begin with a left side, and of those that go on from it."""
    found: list[str] = []
    open_ = False
    for line in page.lines():
        open_ = to_text(line.left) == left if line.left is not None else open_
        found += [to_text(line.right)] * open_
    return found


def test_a_network_is_one_page_of_three_phases() -> None:
    pages = page_of(VECTORS)
    (page,) = pages.derivations
    assert page.style == "layers" and page.wrt is None
    assert [phase.title for phase in page.phases] == [
        "Forward pass",
        "Backward pass",
        "Gradients of the parameters",
    ]
    assert row(page, "δ₂") == ["(∂L/∂z₂)ᵀ", "h̄₂ ⊙ (1 − h₂²)", "W₃ᵀ δ₃ ⊙ (1 − h₂²)"]
    assert row(page, "(∂L/∂W₂)ᵀ") == ["δ₂ h₁ᵀ"]
    assert not page.checked.failed and page.checked.steps > 30


@pytest.mark.parametrize("name", OTHERS)
def test_every_line_holds(name: str) -> None:
    (page,) = page_of(OTHERS[name], layout="shape").derivations
    assert page.style == "layers"
    assert page.checked.failed == () and not page.checked.reason
    told: set[str] = set()
    for line in (*page.phases[1].lines(), *page.phases[2].lines(), *page.answer):
        told |= bars(line.left) if line.left is not None else set()
        assert bars(line.right) <= told, "every gradient is told before it is used"
    assert told
    results = [line for line in page.answer if line.result]
    lefts = [to_text(line.left) for line in results if line.left is not None]
    assert lefts == [f"∂{page.heading[0].left.data[0]}/∂{pretty(v)}" for v in OTHERS[name][2].split(",")]


@pytest.mark.parametrize("layout", ["numerator", "denominator", "shape"])
def test_layouts_write_one_derivation(layout: str) -> None:
    (page,) = page_of(VECTORS, layout=layout).derivations
    (last,) = [line for line in page.answer if line.left is not None and to_text(line.left) == "∂L/∂W₁"]
    turned = layout == "numerator"
    assert to_text(last.right) == ("x δ₁ᵀ" if turned else "δ₁ xᵀ")
    assert last.sizes == ("n × m" if turned else "m × n")
    assert row(page, "∂h₃/∂h₂") == ["W₃" if turned else "W₃ᵀ"]
    assert not page.checked.failed


Change = Callable[[Recursion], Recursion]


def failed(page: Explanation, change: Change) -> tuple[str, ...]:
    """What the check of a page says where the recursion has been changed."""
    (subject,) = page.subjects
    assert subject.layers is not None
    return explain_layers(replace(subject, layers=change(subject.layers)), points=3).checked.failed


def scaled(place: int, *, value: bool, whole: bool) -> Change:
    """A δ that is off by 0.1 %: as it is written, as it is passed on, or both."""

    def change(layers: Recursion) -> Recursion:
        deltas = list(layers.deltas)
        right = deltas[place]
        deltas[place] = replace(
            right,
            value=right.value * 1.001 if value else right.value,
            whole=right.whole * 1.001 if whole else right.whole,
        )
        return replace(layers, deltas=tuple(deltas))

    return change


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_delta_that_is_off_is_caught_where_it_stands(place: int) -> None:
    page = page_of(VECTORS)
    name = f"δ{'₃₂₁'[place]}"
    for value, whole in ((True, False), (False, True), (True, True)):
        assert name in failed(page, scaled(place, value=value, whole=whole))
    assert failed(page, lambda layers: layers) == ()


def test_a_gradient_that_is_off_is_caught() -> None:
    def change(layers: Recursion) -> Recursion:
        first = next(iter(layers.gradients))
        return replace(layers, wholes={**layers.wholes, first: layers.wholes[first] * 1.001})

    found = failed(page_of(VECTORS), change)
    assert found[0] == "∂L/∂W₁" and found[-1].startswith("all gradients together")


def test_a_local_derivative_that_is_off_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep of the page is compared with numbers, not with the recursion alone."""
    right = upstream.pulled_back

    def wrong(*arguments: Any) -> Any:
        return {v: found * 1.001 for v, found in right(*arguments).items()}

    page = page_of(VECTORS)
    monkeypatch.setattr(upstream, "pulled_back", wrong)
    assert {"v̄", "h̄₂", "δ₂", "∂L/∂W₃"} <= set(failed(page, lambda layers: layers))


def test_length_and_checks_grow_linearly_with_depth() -> None:
    found = [page_of(deep(layers)) for layers in (20, 40, 60)]
    for grown in ([len(page.to_text()) for page in found], [page.checked.steps for page in found]):
        assert 0.95 < (grown[2] - grown[1]) / (grown[1] - grown[0]) < 1.1
    assert not any(page.checked.failed for page in found)
    (page,) = found[2].derivations
    assert row(page, "δ₁") == ["W₂ᵀ δ₂ ⊙ (1 − h₁²)"]
    assert "Layers 59 to 1, likewise" not in {phase.title for phase in page.phases}
    assert any(p.title == "Layers 58 to 1, likewise" for p in page.phases[1].entries if isinstance(p, Phase))


def test_other_styles_say_what_they_do() -> None:
    pages = page_of(VECTORS, style="variables")
    assert len(pages.derivations) == 6
    assert "style layers explains all of them on one page" in pages.to_text()
    with pytest.raises(OptionError, match="program of layers"):
        cr.explain("x**2", "x", style="layers")
    with pytest.raises(OptionError, match="does not go with open, at or units"):
        page_of(VECTORS, style="layers", open="z1")


def test_one_parameter_is_told_as_ever_unless_it_is_asked_for() -> None:
    formula, shapes, _ = VECTORS
    assert cr.explain(formula, "W1", shapes).derivation.style == "variables"
    page = cr.explain(formula, "W1", shapes, style="layers").derivation
    assert page.style == "layers" and [line.result for line in page.answer].count(True) == 1
    assert row(page, "∂h₂/∂z₂") == ["diag(1 − h₂²)"] and not page.checked.failed


def test_a_parameter_that_is_not_read_has_the_gradient_0() -> None:
    formula, shapes, wrt = VECTORS
    page = cr.explain(formula, f"{wrt},V", f"{shapes} V[m]").derivation
    assert row(page, "(∂L/∂V)ᵀ") == ["𝟎"] and not page.checked.failed
