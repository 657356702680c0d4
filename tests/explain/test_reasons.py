"""What lines of derivations give as their rule, and which signs they use for which derivative."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.explain import Line
from chainrule.explain.words import words_text
from chainrule.notation.text import to_text


def lines(formula: str, shapes: str, wrt: str, style: str, **options: object) -> list[tuple[str, str]]:
    page = cr.explain(formula, wrt, shapes, style=style, **options).derivation
    assert not page.checked.failed
    return [(told(line).strip(), words_text(line.reason)) for line in (*page.lines(), *page.answer)]


def told(line: Line) -> str:
    return f"{to_text(line.left) if line.left else ''} = {to_text(line.right)}"


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "style", "line", "reason"),
    [
        ("tr(X)", "X[n,n]", "X", "differentials", "dL = tr(dX)", "a trace: every entry of the diagonal"),
        ("X @ X", "X[n,n]", "X", "differentials", "dY = X dX + dX X", "product rule"),
        ("(X @ b) @ (X @ c)", "X[n,n] b[n] c[n]", "X", "differentials", "du₁", "product rule"),
        ("logdet(a * X)", "a:positive X[n,n]", "X", "differentials", "= a tr", "constant multiple rule"),
        ("sum(log(X))", "X[n,n]", "X", "differentials", "= sum(dX ⊘ X)", "element-wise; derivative"),
        ("x @ x", "x[n]", "x", "variables", "∂f/∂x = 2xᵀ", "dot product with itself"),
        ("(a @ x) * x", "a[n] x[n]", "x", "variables", "∂y/∂x = uI", "constant multiple rule; u is"),
        ("w * x", "w[n] x[n]", "x", "variables", "∂y/∂x = diag(w)", "element-wise product, so diagonal"),
        ("exp(-x**2)", "x", "x", "variables", "dy/du = −exp(−u)", "its own derivative, times the inner"),
        ("norm(x - a)", "x[n] a[n]", "x", "variables", "∂f/∂r = rᵀ/‖r‖", "at 0 the derivative of the norm"),
    ],
)  # fmt: skip
def test_a_line_names_its_rule(
    formula: str, shapes: str, wrt: str, style: str, line: str, reason: str
) -> None:
    found = [why for text, why in lines(formula, shapes, wrt, style) if line in text]
    assert any(reason in why for why in found), found


def test_nothing_is_held_fixed_in_a_differential() -> None:
    found = lines("tr(X.T @ B @ X)", "X[m,n] B[m,m]", "X", "differentials")
    assert not any("held fixed" in why for _, why in found)


@pytest.mark.parametrize("style", ["operator", "components", "differentials"])
def test_one_sign_for_the_derivative_where_nothing_is_held_fixed(style: str) -> None:
    page = cr.explain("a @ x + x @ x", "x", "a[n] x[n]", style=style)
    assert "df/dx" not in page.to_text() and "∂f/∂x" in page.to_text()


def test_the_gradient_is_not_equal_to_its_transpose() -> None:
    found = [line for line, _ in lines("tr(A @ X)", "A[n,m] X[m,n]", "X", "differentials")]
    assert "(∂L/∂X)ᵀ = Aᵀ" in found and "∂L/∂X = A" in found


def test_an_operator_does_not_reach_over_a_fraction() -> None:
    found = [line for line, _ in lines("(x - a)/norm(x - a)", "x[n] a[n]", "x", "operator")]
    assert any("((a − x) · ∂/∂x ‖x − a‖)/‖x − a‖²" in line for line in found)


def test_sums_of_derivatives_are_turned_term_by_term() -> None:
    found = lines("sum(exp(x) - a * x)", "x[n] a[n]", "x", "operator", layout="denominator")
    assert not any(")ᵀ" in line for line, _ in found)


def test_what_was_already_simple_is_not_expanded_first() -> None:
    found = lines("2*(A @ x + l*x)", "A[n,n] x[n] l", "x", "operator")
    assert [why for _, why in found if why in ("expand", "take out the common factor")] == []


def test_substituting_back_says_when_more_is_done() -> None:
    found = lines("sum(log(1 + exp(x)))", "x[n]", "x", "variables")
    assert ("= σ(x)ᵀ", "simplified") in found


@pytest.mark.parametrize(
    ("formula", "place"),
    [("norm(x - a)", "where x − a = 0"), ("sum(maximum(2, x))", "where x = 2 in some entry")],
)
def test_kinks_are_told_in_names_that_the_page_has(formula: str, place: str) -> None:
    assert place in cr.explain(formula, "x", "x[n] a[n]", style="operator").to_text()
