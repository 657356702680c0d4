"""Answers by cases: the conditions cover every point once, and the values are those of the answer.

Values and conditions are compared as expressions, at the border too; tests/language reads the text back.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen.compiled import CompiledFunction
from chainrule.codegen.load import compile_expressions
from chainrule.expr.nodes import Expr
from chainrule.expr.walk import variables
from chainrule.notation.piecewise import Case, Cases, piecewise

NEURON = "w[n] x[n] b"
HOLDS = {"<": np.less, "≤": np.less_equal, "=": np.equal, "≥": np.greater_equal, ">": np.greater}
VALUES = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0)


def cases_of(formula: str, shapes: str, wrt: str, **options: object) -> Cases | None:
    d = cr.derive(formula, wrt=wrt, shapes=shapes, **options)
    assert isinstance(d, cr.Derivative)
    return d.cases


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "text"),
    [
        ("max(0, z)", "z", "z", "{0 if z ≤ 0; 1 if z > 0}"),
        ("relu(w @ x + b)", NEURON, "w", "{𝟎ᵀ if w·x + b ≤ 0; xᵀ if w·x + b > 0}"),
        ("relu(w @ x + b)", NEURON, "x", "{𝟎ᵀ if w·x + b ≤ 0; wᵀ if w·x + b > 0}"),
        ("relu(w @ x + b)", NEURON, "b", "{0 if w·x + b ≤ 0; 1 if w·x + b > 0}"),
        (
            "(y - max(0, w @ x + b))**2", NEURON + " y", "w",
            "{𝟎ᵀ if w·x + b ≤ 0; 2(w·x + b − y) xᵀ if w·x + b > 0}",
        ),
        (
            "(y - max(0, w @ x + b))**2", NEURON + " y", "b",
            "{0 if w·x + b ≤ 0; 2(w·x + b − y) if w·x + b > 0}",
        ),
        ("abs(x)", "x", "x", "{−1 if x < 0; 0 if x = 0; 1 if x > 0}"),
        ("maximum(x, y)", "x y", "x", "{0 if x < y; 1 if x ≥ y}"),
        ("clip(x, -1, 1)", "x", "x", "{0 if x ≤ −1; 1 if −1 < x < 1; 0 if x ≥ 1}"),
        ("x*minimum(x, 3)", "x", "x", "{2x if x < 3; 3 if x ≥ 3}"),
    ],
)  # fmt: skip
def test_cases_are_written(formula, shapes, wrt, text) -> None:
    found = cases_of(formula, shapes, wrt)
    assert found is not None and found.text == text


@pytest.mark.parametrize(
    ("formula", "shapes"),
    [
        ("sum(relu(x))", "x[n]"),  # a condition for each entry
        ("relu(x)**2", "x"),  # no jump: 2 relu(x)
        ("x**2", "x"),
        ("relu(x)*relu(x - 1)*relu(x - 2)", "x"),  # too many conditions to be clearer
    ],
)
def test_no_cases(formula, shapes) -> None:
    assert cases_of(formula, shapes, "x") is None


SCALARS = [
    "relu(x)", "abs(x)", "abs(x)*y", "(y - relu(x))**2", "maximum(x, y)", "minimum(x, y)", "maximum(y, x)",
    "clip(x, -1, 1)", "relu(relu(x) - 1)", "x*minimum(x, 1)", "relu(1 - y*x)", "abs(x)*relu(y)",
    "relu(-x)*x", "maximum(1, 1 - 2*x)", "where(x > 1, x**2, 2*x)", "relu(x - y)*abs(y - x)", "sign(x)*x",
    "abs(2*x - y)", "-relu(-2*x)", "minimum(0, x)",
]  # fmt: skip


@cache
def compiled(expr: Expr) -> CompiledFunction:
    return compile_expressions(expr, list(variables(expr)))


def at(expr: Expr, point: dict[str, float]) -> float:
    return float(compiled(expr)(**{v.name: point[v.name] for v in variables(expr)}))


@pytest.mark.parametrize("at_kink", [0, 1, 0.5])
@pytest.mark.parametrize("formula", SCALARS)
def test_every_point_has_one_case_with_the_value_of_the_answer(formula, at_kink) -> None:
    d = cr.derive(formula, wrt="x", shapes="x y", at_kink=at_kink)
    cases = piecewise(d.expression)
    assert cases is not None
    wrong = [*cases[:-1], Case(cases[-1].conditions, 2 * cases[-1].value + 1)]
    caught = False
    for x, y in itertools.product(VALUES, VALUES):
        point = {"x": x, "y": y}
        wanted = at(d.expression, point)
        (holding,) = [c for c in cases if _holds(c, point)]
        assert at(holding.value, point) == pytest.approx(wanted), f"at {point}"
        (other,) = [c for c in wrong if _holds(c, point)]
        caught = caught or at(other.value, point) != pytest.approx(wanted)
    assert caught, "a wrong value in one case is noticed"


def _holds(case: Case, point: dict[str, float]) -> bool:
    return all(HOLDS[c.sign](at(c.left, point), at(c.right, point)) for c in case.conditions)


def test_latex_and_lines() -> None:
    found = cases_of("(y - relu(w @ x + b))**2", NEURON + " y", "w")
    assert found is not None
    assert found.latex == (
        r"\begin{cases} \mathbf{0}^\top & \text{if } w \cdot x + b \le 0 \\ "
        r"2 (w \cdot x + b - y) x^\top & \text{if } w \cdot x + b > 0 \end{cases}"
    )
    assert found.lines == [
        "⎧ 𝟎ᵀ                   if w·x + b ≤ 0",
        "⎩ 2(w·x + b − y) xᵀ    if w·x + b > 0",
    ]


def test_the_layout_decides_about_rows_and_columns() -> None:
    column = cases_of("relu(w @ x + b)", NEURON, "w", layout="shape")
    assert column is not None and column.text == "{𝟎 if w·x + b ≤ 0; x if w·x + b > 0}"
