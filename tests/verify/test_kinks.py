"""Whether a formula has a kink where a part of it has one: looked at from both sides."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.derive.kinks import kinks

SHAPES = "x y z[n] A[m,n] c[m] X[N,n]"
AT_0 = "not differentiable where x = 0"


def told(formula: str, wrt: str = "x", order: int = 1) -> list[str]:
    d = cr.derive(formula, wrt=wrt, shapes=SHAPES, order=order)
    return [str(kink).split(";")[0] for kink in d.sheet.kinks]


SMOOTH = """
relu(x**2)
abs(x**2)
abs(x)*x**2
relu(x)*relu(-x)
relu(x - 2)*relu(1 - x)
cos(abs(x))
cos(relu(x))
x*abs(x)
relu(x)**2
abs(x)**3
abs(x**2 + 1)
where(abs(x) < 1, x**2/2, abs(x) - 1/2)
"""


@pytest.mark.parametrize("formula", SMOOTH.split("\n")[1:-1])
def test_no_kink_is_told_where_there_is_none(formula: str) -> None:
    assert told(formula) == []


@pytest.mark.parametrize("formula", ["norm(z)*z", "cos(norm(z))", "sum(relu(z*z))", "relu(norm(z)**2 + 1)"])
def test_nor_in_vectors(formula: str) -> None:
    assert told(formula, "z") == []


@pytest.mark.parametrize(
    ("formula", "wrt", "says"),
    [
        ("relu(x)", "x", [AT_0]),
        ("exp(abs(x))", "x", [AT_0]),
        ("sqrt(abs(x))", "x", [AT_0]),
        ("abs(x) + cos(abs(x))", "x", [AT_0]),
        ("relu(x) + relu(-x)", "x", [AT_0]),
        ("abs(x - 300)", "x", ["not differentiable where x = 300"]),
        ("abs(x**2 - 1)", "x", ["not differentiable where x² = 1"]),
        ("where(abs(x) < 1, x**2/2, abs(x))", "x", ["not differentiable where |x| = 1"]),
        ("norm(A @ z - c)", "z", ["not differentiable where Az − c = 0"]),
        ("sum((c - relu(A @ z))**2)", "z", ["not differentiable where Az = 0 in some entry"]),
        ("max(z)", "z", ["not differentiable where two entries of z are largest"]),
        # By x alone y decides whether it shows.
        ("relu(x)*relu(y - 3)", "x", ["perhaps not differentiable where x = 0"]),
    ],
)
def test_a_kink_that_shows_is_told(formula: str, wrt: str, says: list[str]) -> None:
    assert told(formula, wrt) == says


@pytest.mark.parametrize(
    ("formula", "order", "says"),
    [
        ("x*abs(x)", 2, ["not twice differentiable where x = 0"]),
        ("relu(x)**2", 2, ["not twice differentiable where x = 0"]),
        ("x**2*abs(x)", 2, []),
        ("x**2*abs(x)", 3, ["not three times differentiable where x = 0"]),
        ("relu(x**2)", 2, []),
    ],
)
def test_kinks_of_higher_orders(formula: str, order: int, says: list[str]) -> None:
    assert told(formula, "x", order) == says


def test_an_answer_that_does_not_hold_where_kinks_meet_is_told() -> None:
    """relu(x) − relu(−x) is x, and its derivative at 0 is 1, not 0."""
    (says,) = told("relu(x) - relu(-x)")
    assert says == "differentiable where x = 0 too, but this is not its derivative there"
    assert told("relu(x)*relu(-x)") == []


def test_looking_is_what_decides() -> None:
    formula = cr.derive("cos(abs(x))", wrt="x", shapes="x")
    x = formula.wrt[0].variables
    assert len(kinks(formula.sheet.normal, x, repr)) == 1
    assert formula.sheet.kinks == []


def test_pages_say_the_same() -> None:
    for formula in ("relu(x**2)", "cos(abs(x))"):
        page = cr.explain(formula, wrt="x", shapes="x").to_text()
        assert "not differentiable" not in page and "off, where" not in page
    assert "not differentiable where x = 0" in cr.explain("abs(x)", wrt="x", shapes="x").to_text()


@pytest.mark.parametrize(
    ("formula", "coincide"),
    [
        ("sum(eigvalsh(A)**3)", False),
        ("sum(log(eigvalsh(A)))", False),
        ("sum(abs(eigvalsh(A)))", True),
        ("sum(eigvalsh(A)**3 * w)", True),
    ],
)
def test_eigenvalues_that_the_answer_lacks_may_coincide(formula: str, coincide: bool) -> None:
    """Σ λᵢ³ is tr(A³); its code has no eigenvalues, and no error where two are equal."""
    d = cr.derive(formula, wrt="A", shapes="A[n,n]:spd w[n]")
    assert ("eigenvalues of A coincide" in str(d)) == coincide
    page = cr.explain(formula, wrt="A", shapes="A[n,n]:spd w[n]").to_text()
    assert ("eigenvalues of A coincide" in page) == coincide
    assert ("differentiable" in page) == coincide
