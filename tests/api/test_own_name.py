"""The name that a person gives to the whole formula is the one that answers use."""

from __future__ import annotations

import pytest

import chainrule as cr

LOSS = "r = y - X @ w; loss = mean(r**2)"
DATA = "X[N,n] w[n] y[N]"


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        ("u = h*x; q = g*u", "q"),
        ("u = h*x; q = g*u; q", "q"),
        ("q = x**2 + g", "q"),
        ("q where q = x**2", "q"),
        ("u = h*x; g*u", "f"),
        ("u = h*x; q = g*u; q + x", "f"),
        ("q(x) = x**2", "q"),
    ],
)
def test_the_name_of_the_last_line_is_used(formula: str, name: str) -> None:
    d = cr.derive(formula, wrt="x", shapes="x h g")
    assert str(d).startswith(f"{name} = ") and f"∂{name}/∂x = " in str(d)


def test_a_page_uses_it() -> None:
    page = cr.explain(LOSS, wrt="w", shapes=DATA).to_text()
    assert "∂loss/∂w = ∂loss/∂r · ∂r/∂w" in page and "w ← w − η(∂loss/∂w)ᵀ" in page
    assert "Gradient-descent" not in cr.explain("z = exp(x)", wrt="x", shapes="x").to_text()
    assert r"\partial \mathit{loss}" in cr.derive(LOSS, wrt="w", shapes=DATA).to_markdown()


def test_its_unit_is_read() -> None:
    page = cr.explain("u = h*x; y = g*u", "x", "h x g", units="y=mile, u=gallon, x=tank").to_text()
    assert "= mile/gallon · gallon/tank" in page


def test_further_derivatives_have_other_names() -> None:
    pages = cr.explain("g = x**3", wrt="x", shapes="x", order=2).to_text()
    assert "dg/dx = 3x²" in pages and "dh/dx = 6x" in pages


def test_units_are_a_text_or_a_mapping() -> None:
    as_text = cr.explain("y = x**2", wrt="x", shapes="x", units="x=m, y=m^2").to_text()
    assert cr.explain("y = x**2", wrt="x", shapes="x", units={"x": "m", "y": "m^2"}).to_text() == as_text
    with pytest.raises(cr.OptionError, match="units are a text or a mapping, not int"):
        cr.explain("x**2", wrt="x", shapes="x", units=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("claim", [[[1, 2], [3]], "[[1, 2], [3]]"])
def test_numbers_in_rows_of_several_lengths_are_refused(claim: object) -> None:
    with pytest.raises(cr.OptionError, match="the claim is no array of numbers"):
        cr.check("x**2", wrt="x", claim=claim, shapes="x", at="x=1")
