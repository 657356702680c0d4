"""What is derived, in every form: lines that fit, TeX that is read, pages that stand alone, whole JSON."""

from __future__ import annotations

import io
import json
from functools import cache
from xml.etree import ElementTree

import pytest
from explain.test_html import check_page
from explain.tex import check_tex

import chainrule as cr
from chainrule.api.explanation import Explanation
from chainrule.cli.terminal import as_shown, prepare_streams
from chainrule.explain.boxes import width_of

# A formula, its shapes, by what, and what is asked for: each brings a style or a part that others lack.
CASES: dict[str, tuple[str, str, str, dict[str, object]]] = {
    "operator": ("9*(x + x**2)", "", "x", {"style": "operator"}),
    "scalars together": ("log(x**2*y) + sin(y)", "", "[x, y]", {}),
    "cases": ("abs(x)**3 + relu(x)", "", "x", {}),
    "entries": ("w * x", "w[n] x[n]", "x", {"style": "components"}),
    "neuron": ("sum((y - relu(X @ w + b))**2)/N", "X[N,n] w[n] b y[N]", "w", {"open": "a"}),
    "differentials": ("sum((X @ W - Y)**2)", "X[N,n] W[n,k] Y[N,k]", "W", {}),
    "power of a matrix": ("tr(matrix_power(X, 3))", "X[n,n]", "X", {}),
    "four axes": ("X @ A", "X[m,n] A[n,p]", "X", {}),
    "second order": ("log(sum(exp(x)))", "x[n]", "x", {"order": 2}),
    "inverse": ("tr(inv(X.T @ C @ X) @ B)", "X[m,n] C[m,m] B[n,n]", "X", {}),
    "map": ("tr(G.T @ inv(A) @ B)", "G[n,p] A[n,n] B[n,p]", "A", {"notation": "map"}),
    "unknown": ("f(2*x)", "", "x", {"functions": "f: scalar", "order": 3}),
    "quotient": ("(x - a)/norm(x - a)", "x[n] a[n]", "x", {}),
    "layers": (
        "H1 = relu(X @ W1 + b1); Z2 = H1 @ W2 + b2; cross_entropy(Z2, Y)",
        "X[N,n] W1[n,m] b1[m] W2[m,k] b2[k] Y[N,k]",
        "W1,b1,W2,b2",
        {},
    ),
    "notes": ("w * x * learning_rate", "w[n] x[n]", "w", {"profile": "notes"}),
}


@cache
def page(name: str) -> Explanation:
    formula, shapes, wrt, options = CASES[name]
    return cr.explain(formula, wrt, shapes or None, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("width", [72, 110])
def test_text(name: str, width: int) -> None:
    prepare_streams()
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    for spell in (None, lambda text: as_shown(text, stream)):
        text = page(name).to_text(width=width, spell=spell)
        assert max(map(width_of, text.splitlines())) <= width
        assert not any(line != line.rstrip() for line in text.splitlines())
        assert text.count("checked:") == len(page(name).derivations)
    assert text.isascii() and r"\u" not in text


@pytest.mark.parametrize("name", CASES)
def test_latex_and_markdown(name: str) -> None:
    check_tex(page(name).to_latex())
    for display in page(name).to_markdown().split("$$\n")[1::2]:
        check_tex(display.rstrip(), display=True)


@pytest.mark.parametrize("name", CASES)
def test_html(name: str) -> None:
    check_page(ElementTree.fromstring(page(name).to_html().partition("\n")[2]))


@pytest.mark.parametrize("name", CASES)
def test_json(name: str) -> None:
    found = json.loads(page(name).to_json())["derivations"]
    assert len(found) == len(page(name).derivations)
    for derivation in found:
        assert derivation["check"]["passed"] and derivation["answer"]
        assert all(
            step["rule"] and step["before"]["latex"] and step["after"]["text"] for step in derivation["steps"]
        )
        assert name in ("scalars together", "layers") or derivation["wrt"] in CASES[name][2]
    assert name != "operator" or (found[0]["steps"] and found[0]["start"])


def test_each_style_is_among_them() -> None:
    styles = {derivation.style for name in CASES for derivation in page(name).derivations}
    assert styles == {"operator", "variables", "components", "differentials", "layers"}


def test_derivatives_that_are_not_taken_yet_are_written() -> None:
    found = json.loads(page("inverse").to_json())["derivations"][0]
    assert any("∂/∂X" in step["before"]["text"] or "d(" in step["before"]["text"] for step in found["steps"])
    assert not any(
        "unevaluated" in step[side]["text"] for step in found["steps"] for side in ("before", "after")
    )
    first = json.loads(page("operator").to_json())["derivations"][0]["steps"][0]
    assert first["before"]["text"] == "d/dx (9(x² + x))" and "d/dx" in first["after"]["text"]


def test_many_names_of_one_kind_are_told_together() -> None:
    layers = "x"
    for k in range(6):
        layers = f"tanh(W{k} @ {layers} + b{k})"
    shapes = " ".join(f"W{k}[n,n] b{k}[n]" for k in range(6)) + " x[n]"
    text = cr.explain(f"sum({layers})", "W0", shapes).to_text()
    assert "W₀, W₁, …, W₅: n × n, b₀, b₁, …, b₅: n, x: n, L: scalar" in " ".join(text.split())


def test_a_name_has_one_meaning_on_a_page() -> None:
    layers = "x"
    for k in range(7):
        layers = f"tanh(W{k} @ {layers} + b{k})"
    shapes = " ".join(f"W{k}[n,n] b{k}[n]" for k in range(7)) + " x[n] y[n]"
    derivation = cr.explain(f"sum(({layers} - y)**2)", "b3", shapes).derivation
    introduced = {str(line.left): line.right for line in derivation.introduce.lines()}
    named = {str(line.left) for line in derivation.where}
    assert "<v>" in introduced and "<a4>" in named, "the error is on the page, and not in the answer"
    assert "<v>" not in named
