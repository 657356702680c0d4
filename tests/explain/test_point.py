"""Derivations at a point: what is predicted, what happens, steepest ascent, kinks, variables fixed first."""

from __future__ import annotations

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.explain import Line, Phase, Sentence
from chainrule.explain.words import formula, words_text

# formula, shapes, variable, point; the section without indents, line by line
SECTIONS = [
    ("x + x**2", None, "x", "x=1", """
    At x = 1
    y = 2
    dy/dx = 3
    y is rising there: 3 for each unit of x.
    Wiggle x by 0.01: predicted 0.03, actual 0.0301.
    Wiggle x by 1: predicted 3, actual 4 (y goes from 2 to 6): a derivative speaks of small moves only."""),
    ("x**2", None, "x", "x=0", """
    At x = 0
    y = 0
    dy/dx = 0
    y is momentarily flat there; whether that is a lowest point, a highest point or neither, the first \
derivative does not say.
    Wiggle x by 0.01: predicted 0, actual 0.0001.
    Wiggle x by 1: predicted 0, actual 1 (y goes from 0 to 1): a derivative speaks of small moves only."""),
    ("3*x**2*y", None, "x", "x=1,y=2", """
    At x = 1, y = 2
    f = 6
    ∂f/∂x = 12
    f is rising there: 12 for each unit of x.
    Wiggle x by 0.01: predicted 0.12, actual 0.1206.
    Wiggle x by 1: predicted 12, actual 18 (f goes from 6 to 24): a derivative speaks of small moves only.
    The other variable fixed first
    f(x, 2) = 6x²
    d/dx f(x, 2) = 12x   the same as 6xy at y = 2"""),
    ("3*x**2*y", None, "[x, y]", "x=1,y=2", """
    At x = 1, y = 2
    f = 6
    ∇f = [12, 3]
    ∇f/‖∇f‖ = [0.970143, 0.242536]
    ‖∇f‖ = 12.3693
    f rises most steeply in the direction ∇f/‖∇f‖, at the rate ‖∇f‖: no other direction has a larger one.
    A move of length 0.01 that way: predicted 0.123693, actual 0.1244.
    A move of length 1 that way: predicted 12.3693, actual 20.1129 (f goes from 6 to 26.1129): a derivative \
speaks of small moves only.
    The other variable fixed first
    f(x, 2) = 6x²
    d/dx f(x, 2) = 12x   the same as 6xy at y = 2
    f(1, y) = 3y
    d/dy f(1, y) = 3   the same as 3x² at x = 1"""),
    ("5 - 2*x", None, "x", "x=0.5", """
    At a point
    x = 0.5
    y = 4
    dy/dx = −2
    y is falling there: 2 for each unit of x.
    Wiggle x by 0.01: predicted −0.02, actual −0.02, the same.
    Wiggle x by 1: predicted −2, actual −2, the same."""),
    ("relu(x)", None, "x", "x=0", """
    At x = 0
    y = 0
    dy/dx = 0
    The point lies on a kink of relu: y is not differentiable there, and the derivative shown is a choice. \
The slope to its left is 0, to its right 1.
    Wiggle x by 0.01: predicted 0, actual 0.01.
    Wiggle x by 1: predicted 0, actual 1 (y goes from 0 to 1): a derivative speaks of small moves only."""),
    ("sqrt(1 - x)", None, "x", "x=0.9999", """
    At a point
    x = 0.9999
    y = 0.01
    dy/dx = −50
    y is falling there: 50 for each unit of x.
    Wiggle x by 0.01: predicted −0.5, but there the formula has no value.
    Wiggle x by 1: predicted −50, but there the formula has no value."""),
    ("norm(x)**2", "x[n]", "x", "x=[3,4]", """
    At a point
    x = [3, 4]
    f = 25
    ∂f/∂x = [6, 8]
    ∇f/‖∇f‖ = [0.6, 0.8]
    ‖∇f‖ = 10
    f rises most steeply in the direction ∇f/‖∇f‖, at the rate ‖∇f‖: no other direction has a larger one.
    A move of length 0.01 that way: predicted 0.1, actual 0.1001.
    A move of length 1 that way: predicted 10, actual 11 (f goes from 25 to 36): a derivative speaks of \
small moves only."""),
    ("norm(x)**2", "x[n]", "x", "x=[0,0]", """
    At a point
    x = [0, 0]
    f = 0
    ∂f/∂x = [0, 0]
    f is momentarily flat there: no direction raises it to first order."""),
    ("w*x", "w[n] x[n]", "x", "w=[1,2],x=[3,4]", """
    At a point
    w = [1, 2]
    x = [3, 4]
    y = [3, 8]
    ∂y/∂x = [1, 0; 0, 2]
    Wiggle x₁ by 0.01: predicted [0.01, 0], actual [0.01, 0], the same."""),
    ("A @ X", "A[2,2] X[2,2]", "X", "A=[[1,2],[3,4]],X=[[1,0],[0,1]]", """
    At a point
    A = [1, 2; 3, 4]
    X = [1, 0; 0, 1]
    Y = [1, 2; 3, 4]
    Wiggle X₁₁ by 0.01: an entry of Y moves by up to 0.03, and none is further from what is \
predicted than …."""),
]  # fmt: skip


def told(phase: Phase) -> list[str]:
    """A section line by line, without layout."""
    lines = [phase.title]
    for entry in phase.entries:
        match entry:
            case Line():
                left = formula(entry.left) if entry.left is not None else ""
                reason = f"   {words_text(entry.reason)}" if entry.reason else ""
                lines.append(f"{left} = {plain(formula(entry.right))}{reason}".strip())
            case Sentence():
                lines.append(re.sub(r"than \d.*", "than ….", words_text(entry.words)))
            case Phase():
                lines += told(entry)
    return lines


def plain(text: str) -> str:
    return re.sub(r"\[ (.*?) \]", r"[\1]", text).replace("  ", ", ")


@pytest.mark.parametrize(
    ("expression", "shapes", "wrt", "at", "expected"), SECTIONS, ids=[f"{s[0]} at {s[3]}" for s in SECTIONS]
)
def test_what_is_told(expression: str, shapes: str | None, wrt: str, at: str, expected: str) -> None:
    (section,) = cr.explain(expression, wrt, shapes, at=at).derivation.sections
    assert told(section) == [line.strip() for line in expected.strip().splitlines()]


def test_no_direction_is_steeper() -> None:
    """No unit direction raises f faster than the one that is told."""
    (section,) = cr.explain("3*x**2*y", "[x, y]", at={"x": 1.0, "y": 2.0}).derivation.sections
    rate = float(re.search(r"‖∇f‖ = ([\d.]+)", "\n".join(told(section)))[1])  # type: ignore[index]
    angles = np.linspace(0, 2 * np.pi, 1000)
    step = 1e-6
    changes = 3 * (1 + step * np.cos(angles)) ** 2 * (2 + step * np.sin(angles)) - 6
    assert changes.max() / step == pytest.approx(rate, rel=1e-4)


@pytest.mark.parametrize(
    ("expression", "shapes", "wrt", "at"),
    [
        ("x*y", None, "x", "x=1,y=0"),  # nothing is left of x when y is fixed
        ("mean(softmax(x))", "x[n] w[n]", "w", {"x": [1, 2], "w": [3, 4]}),  # only the count is left of x
        ("x**y", None, "x,y", {"x": 2, "y": -1}),
        ("where(x > y, x, y*y)", None, "x", "x=1,y=1"),
    ],
)
def test_formulas_of_which_little_is_left(
    expression: str, shapes: str | None, wrt: str, at: str | dict[str, object]
) -> None:
    page = cr.explain(expression, wrt, shapes, at=at)
    assert all(told(section) for d in page.derivations for section in d.sections)


def test_every_variable_and_order_has_its_section() -> None:
    page = cr.derive("x**2 * y", wrt="x,y").explain(at="x=1,y=2")
    assert [len(d.sections) for d in page.derivations] == [1, 1]
    second = cr.derive("x**3", wrt="x", order=2).explain(at={"x": 2})
    assert "dy/dx = 12" in told(second.derivations[0].sections[0])
    assert any(line.endswith("= 12") for line in told(second.derivations[1].sections[0]))


def test_every_way_of_writing_shows_it() -> None:
    page = cr.explain("x + x**2", "x", at="x=1", units="y=mile, u=mile, x=mile")
    for text in (page.to_text(), page.to_markdown(), page.to_latex(), page.to_html(), page.to_json()):
        assert "0.0301" in text
        assert "mile" in text


@pytest.mark.parametrize(
    ("expression", "at", "message"),
    [
        ("log(x)", "x=-1", "has no value at this point"),
        ("sqrt(x)", "x=0", "has no slope at this point"),
        ("x*y", "x=1", "y"),
        ("x", "x=[1", "x"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_points_that_cannot_be(expression: str, at: str, message: str) -> None:
    with pytest.raises(ChainruleError, match=message):
        cr.explain(expression, "x", at=at)


def test_unknown_functions_have_no_numbers() -> None:
    with pytest.raises(ChainruleError, match="f is left unknown"):
        cr.explain("f(x)", "x", functions="f: scalar", at="x=1")


# ---------------------------------------------------------------- units

UNITS = [
    ("sin(x**2)", "y=mile, u=gallon, x=tank", """
        dy/dx = dy/du · du/dx   single-variable chain rule
        = mile/gallon · gallon/tank   the unit of each factor
        = mile/tank   gallon cancels
        As written, u = x² would be in tank²: a factor in gallon/tank² is understood in it."""),
    ("x + x**2", "y=m, u=m, x=m", """
        dy/dx = ∂y/∂x + ∂y/∂u · du/dx   single-variable total-derivative chain rule
        = 1 + 1 · 1   the unit of each factor
        = 1   m cancels
        As written, u = x² would be in m²: a factor in 1/m is understood in it."""),
    ("sin(x**2)", "y=mile, x=tank", """
        dy/dx = dy/du · du/dx   single-variable chain rule
        = mile/tank² · tank   the unit of each factor
        = mile/tank   tank² cancels"""),
    ("v*t", "y=m, v=m/s, t=s", "∂y/∂t = m/s   the unit of the answer"),
    ("exp(sin(t))", "y=m, t=s", """
        No unit is known for u, so what needs it is left out; add it, as in u=m.
        dy/dt = m/s   the unit of the answer"""),
    ("exp(sin(t))", "t=s", "No unit is known for y, so what needs it is left out; add it, as in y=m."),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "units", "expected"), UNITS, ids=[f"{u[0]}: {u[1]}" for u in UNITS])
def test_units(expression: str, units: str, expected: str) -> None:
    wrt = "t" if "t" in units.replace("tank", "") else "x"
    (section,) = cr.explain(expression, wrt, units=units).derivation.sections
    wanted = [line.strip() for line in expected.strip().splitlines()]
    found = told(section)[1:]
    assert found[: len(wanted)] == wanted


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ("y=m, x=m, u=gallon", "m and gallon cannot be added"),
        ("q=m", "q is no variable or part"),
        ("x=m^", "unit"),
        ("x=", "a unit is missing"),
    ],
)
def test_units_that_cannot_be(units: str, message: str) -> None:
    with pytest.raises(ChainruleError, match=message):
        cr.explain("x + x**2", "x", units=units)
