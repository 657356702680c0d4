"""Laws of simplification and differentiation on random expressions; the names of the tests are the laws."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from chainrule.derive import jacobians
from chainrule.expr.nodes import Einsum, Expr, Sum, Variable
from chainrule.expr.walk import transform, variables
from chainrule.simplify import normalise, simplify
from chainrule.verify.reference import evaluate
from tests.laws.expressions import SIZES, any_expression, point

LAW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-7) -> bool:
    scale = max(1.0, float(np.max(np.abs(a), initial=0)), float(np.max(np.abs(b), initial=0)))
    return a.shape == b.shape and bool(np.max(np.abs(a - b), initial=0) <= tolerance * scale)


def value(expr: Expr, values: dict[str, np.ndarray]) -> np.ndarray:
    result = evaluate(expr, values, SIZES)
    assume(np.all(np.isfinite(result)) and np.max(np.abs(result), initial=0) < 1e8)
    return result


def numeric(expr: Expr, wrt: Variable, values: dict[str, np.ndarray]) -> np.ndarray:
    """The complex-step derivative of the expression as it stands."""
    base = np.asarray(values[wrt.name], complex)
    columns = []
    for index in np.ndindex(base.shape):
        moved = base.copy()
        moved[index] += 1e-30j
        columns.append(np.imag(evaluate(expr, {**values, wrt.name: moved}, SIZES)) / 1e-30)
    return np.stack(columns, axis=-1).reshape((*columns[0].shape, *base.shape))


@LAW
@given(any_expression())
def test_simplify_keeps_value(expr: Expr) -> None:
    values = point()
    expected = value(expr, values)
    assert close(value(normalise(expr), values), expected)
    assert close(value(simplify(expr), values), expected)


@LAW
@given(any_expression())
def test_simplify_is_idempotent(expr: Expr) -> None:
    canonical = normalise(expr)
    assert normalise(canonical) is canonical
    short = simplify(expr)
    assert simplify(short) is short


@LAW
@given(any_expression(), st.randoms(use_true_random=False))
def test_order_of_terms_and_factors_does_not_matter(expr: Expr, random) -> None:
    def shuffle(node: Expr) -> Expr:
        order = list(range(len(node.children)))
        random.shuffle(order)
        if isinstance(node, Sum):
            return Sum([node.terms[k] for k in order])
        if isinstance(node, Einsum):
            parts = [node.operands[k] for k in order], [node.labels[k] for k in order]
            return Einsum(node.coefficient, *parts, node.output, dict(enumerate(node.sizes)))
        return node

    assert normalise(transform(expr, shuffle)) is normalise(expr)


@LAW
@given(any_expression(), st.integers(0, 10))
def test_derivative_agrees_with_the_complex_step(expr: Expr, pick: int) -> None:
    inputs = variables(expr)
    assume(inputs)
    wrt = inputs[pick % len(inputs)]
    values = point()
    value(expr, values)
    derivative = jacobians(normalise(expr), [wrt])[wrt]
    expected = numeric(expr, wrt, values)
    assume(np.all(np.isfinite(expected)))
    assert close(value(simplify(derivative), values), expected, 1e-6)


@settings(LAW, max_examples=60)
@given(any_expression(2), st.integers(0, 10), st.integers(0, 10))
def test_second_derivative_agrees_with_the_complex_step(expr: Expr, pick: int, second: int) -> None:
    inputs = variables(expr)
    assume(inputs)
    first, then = inputs[pick % len(inputs)], inputs[second % len(inputs)]
    values = point()
    value(expr, values)
    once = normalise(jacobians(normalise(expr), [first])[first])
    twice = simplify(jacobians(once, [then])[then])
    expected = numeric(once, then, values)
    assume(np.all(np.isfinite(expected)))
    assert close(value(twice, values), expected, 1e-6)


@LAW
@given(any_expression(2), any_expression(2), st.integers(0, 10))
def test_derivative_is_linear(a: Expr, b: Expr, pick: int) -> None:
    assume(a.shape == b.shape)
    inputs = variables(a, b)
    assume(inputs)
    wrt = inputs[pick % len(inputs)]
    values = point()
    together = value(simplify(jacobians(normalise(3 * a - b), [wrt])[wrt]), values)
    apart = 3 * value(simplify(jacobians(normalise(a), [wrt])[wrt]), values)
    apart = apart - value(simplify(jacobians(normalise(b), [wrt])[wrt]), values)
    assert close(together, apart)
