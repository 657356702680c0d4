"""Several scalars as one variable: one derivation in every style, the partial derivatives put together."""

from __future__ import annotations

import json

import pytest

import chainrule as cr
from chainrule.explain.derivation import Sentence
from chainrule.explain.text import to_text
from chainrule.notation.text import to_text as formula_text

STYLES = ("operator", "variables", "components", "differentials")
FORMULAS = {
    "a gradient": ("x**2*y + sin(x*y)", ""),
    "rows of functions": ("[x*y, sin(x*y), y]", ""),
    "a vector": ("a*exp(z*y) + z*x*sin(x)", "a[n] z[n]"),
    "a matrix": ("A*x*y", "A[m,n]"),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", FORMULAS)
def test_one_page_for_all_variables(name, style) -> None:
    formula, shapes = FORMULAS[name]
    page = cr.explain(formula, wrt="[x, y]", shapes=shapes, style=style)
    assert len(page.derivations) == 1 and page.derivation.style == style
    assert not page.checked.failed and page.checked.steps > 1
    results = [line for line in page.derivation.answer if line.result]
    assert len(results) == (2 if name == "a matrix" else 1)
    if style == "variables":
        assert [phase.number for phase in page.phases] == [1, 2, 3, 4]
        assert page.introduce.entries and page.substitute.entries
    assert [d["figures"] for d in json.loads(page.to_json())["derivations"]] != [[]]


@pytest.mark.parametrize("layout", ["numerator", "denominator", "shape"])
@pytest.mark.parametrize("name", ["a gradient", "rows of functions", "a vector"])
def test_the_same_answer_in_every_style(name, layout) -> None:
    formula, shapes = FORMULAS[name]
    pages = [cr.explain(formula, wrt="[x, y]", shapes=shapes, style=s, layout=layout) for s in STYLES]
    d = cr.derive(formula, wrt="[x, y]", shapes=shapes, layout=layout)
    for page in pages:
        (line,) = [x for x in page.derivation.answer if x.result]
        assert line.value is not None and cr.equal(line.value, d.expression)
    assert len({formula_text(line.right) for p in pages for line in p.derivation.answer if line.result}) == 1


def test_what_is_held_fixed_is_said_where_one_left_side_means_two_things() -> None:
    page = cr.explain("x*y", wrt="[x, y]", style="differentials")
    sentences = [e for phase in page.phases for e in phase.entries if isinstance(e, Sentence)]
    assert len(sentences) == 2
    assert "x moves, y is held fixed." in str(page)


def test_every_line_stands_once() -> None:
    page = cr.explain("sin(x*y)**2", wrt="[x, y]", style="variables")
    lines = [line for line in page.introduce.lines()]
    assert len(lines) == len(set(lines)) == 3


def test_names_for_parts_and_kinks_of_all_variables() -> None:
    page = cr.explain("relu(x*y + 2)*x + abs(x) + p", wrt="[x, y]", where="q = x*y + 2")
    text = " ".join(str(page).split())
    assert "where q = xy + 2" in text
    assert "not differentiable where q = 0" in text and "where x = 0" in text
    assert "does not occur" not in text


def test_the_order_is_that_in_which_it_was_typed() -> None:
    page = cr.explain("[3*x**2*y, 2*x + y**8]", wrt="[x, y]")
    assert to_text(page.derivation).startswith("u = [3x²y, 2x + y⁸]")
