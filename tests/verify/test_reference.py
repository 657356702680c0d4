"""The reference interpreter, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Variable, elementwise, identity, number
from chainrule.rules import ROWS
from chainrule.rules.elementwise import tanh
from chainrule.verify.reference import Array, evaluate, run

M, N = Dim.of("m"), Dim.of("n")
A, x = Variable("A", (M, N)), Variable("x", (N,))
VALUES = {"A": np.arange(6.0).reshape(2, 3), "x": np.array([1.0, 2.0, 4.0])}


def test_products() -> None:
    assert evaluate(A @ x, VALUES).tolist() == [10, 31]
    assert evaluate(Einsum(ONE, (x,), ((0,),), (0, 0)), VALUES).tolist() == np.diag([1, 2, 4]).tolist()
    assert evaluate(Einsum(ONE, (x,), ((1,),), (0, 1), {0: M}), VALUES, {"m": 2}).tolist() == [[1, 2, 4]] * 2
    assert evaluate(identity((N,)), {}, {"n": 2}).tolist() == [[1, 0], [0, 1]]
    assert evaluate(number(3, (N,)), {}, {"n": 2}).tolist() == [3, 3]
    assert evaluate(number(Coefficient.of(N) ** -1), {}, {"n": 4}) == 0.25
    three = Einsum(ONE, (A,), ((0, 1),), (1, 0, 1))
    assert evaluate(three, VALUES).shape == (3, 2, 3)
    assert evaluate(three, VALUES)[2, 1, 2] == 5
    assert evaluate(three, VALUES)[2, 1, 1] == 0


def test_long_products() -> None:
    many = Einsum(ONE, [x] * 40, [(0,)] * 40, ())
    assert evaluate(many, VALUES) == 1 + 2.0**40 + 4.0**40
    B = Variable("B", (N, N))
    power = Einsum(ONE, [B] * 60, [(k, k + 1) for k in range(60)], (0, 60))
    value = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert np.allclose(evaluate(power, {"B": value}), np.linalg.matrix_power(value, 60))


def test_written_out_and_constants() -> None:
    assert evaluate(Stack([x, 2 * x]), VALUES).tolist() == [[1, 2, 4], [2, 4, 8]]
    assert evaluate(Apply(ROWS["pi"]), {}) == np.pi
    select = Apply(ROWS["select"], (), (Dim.of(1), 1, N - Dim.of(1), N))
    assert evaluate(select @ x, VALUES).tolist() == [2, 4]


def test_complex_values_and_failures_pass_through() -> None:
    assert evaluate(x * x, {"x": np.array([1j, 1.0, 2.0])}).tolist() == [-1, 1, 4]
    square = Variable("S", (N, N))
    assert np.isnan(evaluate(Apply(ROWS["inv"], (square,)), {"S": np.zeros((2, 2))})).all()
    assert np.isnan(evaluate(x, {"x": [np.nan, 1, 2]})[0])
    assert evaluate(number(10**400), {}) == np.inf
    with pytest.raises(KeyError):
        evaluate(x, {})
    with pytest.raises(KeyError):
        evaluate(number(1, (N,)), {})


def test_deep_graphs() -> None:
    deep: Expr = x
    for _ in range(3000):
        deep = elementwise(tanh, deep + x)
    assert np.isfinite(evaluate(deep, VALUES)).all()


def test_other_last_digits_leave_exponents_alone() -> None:
    z = Variable("z")
    memo: dict[Expr, Array] = {}
    run([1 - elementwise(tanh, z) ** 2], {"z": np.asarray(-0.5)}, {}, memo, np.random.default_rng(0))
    assert all(np.isfinite(value).all() for value in memo.values())
