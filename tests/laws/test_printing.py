"""Laws of what is printed: text and NumPy source parse back, and every process prints the same."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chainrule.codegen.formula import numpy_formula
from chainrule.derive import jacobians
from chainrule.expr.nodes import Expr
from chainrule.expr.walk import dim_names, substitute_dims, variables
from chainrule.language import parse_formula
from chainrule.notation.present import Request, present_many
from chainrule.simplify import normalise, simplify
from chainrule.verify.reference import evaluate
from tests.laws.expressions import EVERY, SIZES, N, any_expression, point
from tests.laws.test_laws import LAW, close, value

SHAPES = " ".join(f"{v.name}[{','.join(map(str, v.shape))}]" if v.shape else v.name for v in EVERY)


def printed(expr: Expr) -> str:
    """The text of an expression with its names, as a column or a matrix."""
    written, where = present_many([Request(expr)], taken=[v.name for v in EVERY])
    text = written[0].text
    return text + (" where " + ", ".join(f"{name} = {part.text}" for name, part in where) if where else "")


def derivative(expr: Expr, pick: int) -> Expr:
    inputs = variables(expr)
    assume(inputs)
    wrt = inputs[pick % len(inputs)]
    result = simplify(jacobians(normalise(expr), [wrt])[wrt])
    assume(variables(result))
    return result


def read_back(text: str, like: Expr) -> Expr:
    """What the text says, in the shape that it was printed for; an I that nothing measures is n × n."""
    parsed = parse_formula(text, SHAPES, shape=like.shape).expr
    return substitute_dims(parsed, {d: N for d in dim_names(parsed) if d not in ("m", "n")})


@settings(LAW, max_examples=200)
@given(any_expression(2), st.integers(0, 10))
def test_printed_text_parses_back(expr: Expr, pick: int) -> None:
    result = derivative(expr, pick)
    assume(result.rank <= 2)
    text = printed(result)
    parsed = read_back(text, result)
    values = point()
    assert close(value(parsed, values), value(result, values)), text
    other = point(1)
    assert close(value(parsed, other), value(result, other)), text


@settings(LAW, max_examples=200)
@given(any_expression(2), st.integers(0, 10))
def test_numpy_source_parses_back(expr: Expr, pick: int) -> None:
    result = derivative(expr, pick)
    source = numpy_formula(result)
    parsed = parse_formula(source, SHAPES).expr
    values = point()
    assert parsed.shape == result.shape, source
    assert close(value(parsed, values), value(result, values)), source


@settings(LAW, max_examples=100)
@given(any_expression(3))
def test_a_formula_as_written_parses_back(expr: Expr) -> None:
    assume(variables(expr) and expr.rank <= 2)
    text = printed(simplify(expr))
    values = point()
    assert close(value(read_back(text, expr), values), value(expr, values)), text


SCRIPT = """
import chainrule as cr
for text, shapes, wrt, order in [
    ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w", 1),
    ("sum(log(1 + exp(-y * (X @ w))))", "X[N,n] w[n] y[N]", "w", 2),
    ("logdet(X.T @ X) + tr(A @ X.T @ B @ X)", "X[N,n] A[n,n] B[N,N]", "X", 1),
    ("softmax(A @ x) @ y", "A[m,n] x[n] y[m]", "x", 2),
    ("(x @ A @ x)/(x @ x)", "A[n,n] x[n]", "x", 2),
]:
    d = cr.derive(text, wrt=wrt, shapes=shapes, order=order)
    print(d, d.latex, d.numpy_source, d.compile().__source__, sep="\\n")
"""


def test_every_process_prints_the_same() -> None:
    outputs = set()
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        outputs.add(
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        )
    assert len(outputs) == 1
    assert "∂" in outputs.pop()


def test_the_round_trip_can_fail() -> None:
    """A printer that lost a transpose would be noticed."""
    formula = parse_formula("P @ A.T @ x", SHAPES)
    wrong = parse_formula(printed(simplify(formula.expr)).replace("ᵀ", ""), SHAPES).expr
    assert not np.allclose(evaluate(wrong, point(), SIZES), evaluate(formula.expr, point(), SIZES))
