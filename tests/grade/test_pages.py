"""Pages that explain prints are right derivations, and stay so only while their lines are right."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.grade.grader import grade
from chainrule.grade.pages import cleaned

FORMULAS = [
    ("A @ tanh(B @ x + c)", "A[k,m] B[m,n] c[m] x[n]", "x"),
    ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w"),
    ("sum(softmax(W @ x) * y)", "W[k,n] x[n] y[k]", "W"),
    ("u = x**2; v = sin(u); u*v", "x", "x"),
]
STYLES = ("operator", "variables", "components", "differentials")


def page(formula: str, shapes: str, wrt: str, style: str) -> str:
    """What explain prints."""
    if style == "operator" and wrt == "W":
        pytest.skip("the style operator has no derivatives of more than two axes")
    return str(cr.derive(formula, wrt=wrt, shapes=shapes).explain(style=style))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("formula", "shapes", "wrt"), FORMULAS)
def test_a_page_passes(formula: str, shapes: str, wrt: str, style: str) -> None:
    text = page(formula, shapes, wrt, style)
    graded = grade(text, shapes, wrt)
    assert graded.verdict == "right", graded.text
    assert {line.status for line in graded.lines} <= {"ok", "defined"}, graded.text
    assert len(graded.lines) >= 6


def test_an_error_on_a_page_is_found() -> None:
    text = page("A @ tanh(B @ x + c)", "A[k,m] B[m,n] c[m] x[n]", "x", "variables")
    spoilt = text.replace("∂a/∂z = diag(1 − tanh(z)²)", "∂a/∂z = diag(1 + tanh(z)²)")
    assert spoilt != text
    graded = grade(spoilt, "A[k,m] B[m,n] c[m] x[n]", "x")
    assert (graded.verdict, graded.diagnosis) == ("wrong", "sign"), graded.text


def test_places_on_a_page_stay() -> None:
    text = page("x @ A @ x", "A[n,n] x[n]", "x", "components")
    assert len(cleaned(text)) == len(text)
    graded = grade(text, "A[n,n] x[n]", "x")
    assert "passed over" in graded.text
    last = max(line.number for line in graded.lines)
    assert "∂f/∂x = xᵀ(A + Aᵀ)" in text.split("\n")[last - 1]
