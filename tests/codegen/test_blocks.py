"""Sums over long arrays are evaluated in blocks of rows, with the same result."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen.numpy import NumPy
from chainrule.errors import OptionError

SIZES = {"N": 11, "n": 3, "m": 4, "k": 2}
CUT = [
    ("mean((y - relu(X @ w + b))**2)", "w,b", "X[N,n] w[n] b y[N]", 1),
    ("0.5*sum((softmax(Q @ K.T, axis=1) @ V - Y)**2)", "K", "Q[m,k] K[n,k] V[n,k] Y[m,k]", 1),
    ("0.5*sum((softmax(Q @ K.T, axis=1) @ V - Y)**2)", "K", "Q[n,k] K[n,k] V[n,k] Y[n,k]", 1),
    ("H = tanh(X @ A + c); mean((H @ B - Y)**2)", "A,B,c", "X[N,n] A[n,m] c[m] B[m,k] Y[N,k]", 1),
    ("sum(log(1 + exp(-y*(X @ w))))", "w", "X[N,n] y[N] w[n]", 2),
    ("cross_entropy(tanh(X @ A) @ B, c)", "A,B", "X[N,n] A[n,m] B[m,k] c[N]:integer(k)", 1),
    ("mean(layernorm(X @ A)**3)", "A", "X[N,n] A[n,m]", 1),
    ("0.5*sum((tanh(X @ W) @ v - y)**2)", "W", "X[N,n] W[n,k] v[k] y[N]", 2),
]
WHOLE = [
    ("sum(batchnorm(X @ A)**3)", "A", "X[N,n] A[n,m]", 1),  # needs the mean of all rows first
    ("sum(exp(X @ w))", "X", "X[N,n] w[n]", 1),  # the answer has all rows
    ("sum(log(sum(exp(X @ A), axis=0)))", "A", "X[N,n] A[n,m]", 1),
    ("x @ A @ x", "x", "A[n,n] x[n]", 1),
    # as many classes as rows: the width of what is made of a row is not the length of a block
    ("cross_entropy(tanh(X @ A) @ B, c)", "A", "X[N,n] A[n,m] B[m,N] c[N]:integer(N)", 1),
    ("sum(exp(X @ w)) + sum(X[:, N - 1] * tanh(X @ w))", "w", "X[N,N] w[N]", 1),
]


def drawn(derivative: Any) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    given = {}
    for v in derivative.formula.variables.values():
        shape = [d.evaluate(SIZES) for d in v.shape]
        given[v.name] = (
            draw.normal(size=shape) if v.bound is None else draw.integers(v.bound.evaluate(SIZES), size=shape)
        )
    return given


def arrays(result: Any) -> list[Any]:
    return list(result.values()) if isinstance(result, dict) else [result]


@pytest.mark.parametrize(("formula", "wrt", "shapes", "order"), CUT)
def test_blocks_of_two_rows_give_what_all_rows_give(
    formula: str, wrt: str, shapes: str, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    derivative = cr.derive(formula, wrt=wrt, shapes=shapes, order=order)
    given = drawn(derivative)
    whole = derivative.compile()
    monkeypatch.setattr(NumPy, "rows", lambda self, *_: self.helpers.setdefault("in_blocks") or "2")
    cut = derivative.compile()
    assert "in_blocks(of_rows, 2" in cut.__source__ or "rows = 2" in cut.__source__, cut.__source__
    for one, other in zip(arrays(whole(**given)), arrays(cut(**given)), strict=True):
        assert np.allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("formula", "wrt", "shapes", "order"), WHOLE)
def test_what_needs_all_rows_is_not_cut(formula: str, wrt: str, shapes: str, order: int) -> None:
    assert "in_blocks" not in cr.derive(formula, wrt=wrt, shapes=shapes, order=order).compile().__source__


def test_a_wrong_number_of_rows_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: blocks that overlap."""
    derivative = cr.derive(*CUT[0][:1], wrt="w", shapes=CUT[0][2])
    given = drawn(derivative)
    whole = derivative.compile()(**given)
    from chainrule.codegen import helpers

    text = helpers.HELPERS["in_blocks"].replace("a[i:i + rows]", "a[i - 1:i + rows]")
    monkeypatch.setitem(helpers.BEHIND, "in_blocks", (text,))
    monkeypatch.setattr(NumPy, "rows", lambda self, *_: self.helpers.setdefault("in_blocks") or "2")
    assert not np.allclose(derivative.compile()(**given), whole, rtol=1e-6)


@pytest.mark.parametrize(("formula", "wrt", "shapes", "order"), CUT)
@pytest.mark.parametrize("rows", [5, 300])
def test_low_memory_gives_the_same(formula: str, wrt: str, shapes: str, order: int, rows: int) -> None:
    derivative = cr.derive(formula, wrt=wrt, shapes=shapes, order=order)
    given = drawn(derivative)
    if rows != 5:
        draw = np.random.default_rng(1)
        for v in derivative.formula.variables.values():
            if v.bound is None and v.rank and str(v.shape[0]) == "N":
                given[v.name] = draw.normal(size=(rows, *given[v.name].shape[1:]))
            elif v.bound is not None:
                given[v.name] = draw.integers(2, size=rows)
    one = derivative.compile()(**given)
    other = derivative.compile(memory="low")(**given)
    for a, b in zip(arrays(one), arrays(other), strict=True):
        assert np.allclose(a, b, rtol=1e-11, atol=1e-12)


def test_low_memory_holds_one_sum() -> None:
    """The Hessian of logistic regression in less than 1.3 times its inputs and output."""
    derivative = cr.derive("sum(log(1 + exp(-y*(X @ w))))", wrt="w", shapes="X[m,n] y[m] w[n]", order=2)
    f = derivative.compile(memory="low")
    m, n = 1000, 500
    draw = np.random.default_rng(0)
    given = {"X": draw.normal(size=(m, n)), "y": draw.normal(size=m), "w": draw.normal(size=n)}
    tracemalloc.start()
    f(**given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    inputs, output = 8 * m * n, 8 * n * n
    assert inputs + peak < 1.3 * (inputs + output), (inputs + peak) / (inputs + output)


def test_memory_is_low_or_not_given() -> None:
    derivative = cr.derive("x @ x", wrt="x", shapes="x[n]")
    with pytest.raises(OptionError, match="memory"):
        derivative.compile(memory="small")


def test_arrays_that_no_cache_holds_give_the_same() -> None:
    rng = np.random.default_rng(0)
    X, w, y = rng.standard_normal((44000, 100)), rng.standard_normal(100), rng.standard_normal(44000)
    assert X.nbytes > 2**24
    f = cr.derive("mean((y - relu(X @ w))**2)", wrt="w", shapes="X[N,n] w[n] y[N]").compile()
    z = X @ w
    right = X.T @ ((np.maximum(z, 0) - y) * (z > 0)) * (2 / len(y))
    for given in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        np.testing.assert_allclose(f(X=given, w=w, y=y), right)
    assert "vecdot" in f.__source__
    assert np.isnan(f(X=np.where(X == X[5, 5], np.nan, X), w=w, y=y)).all()


@pytest.mark.parametrize("order", [1, 2])
def test_rows_without_columns_have_sums(order: int) -> None:
    f = cr.derive("sum(log(1 + exp(-y*(X @ w))))", wrt="w", shapes="X[N,n] w[n] y[N]", order=order).compile()
    assert f(X=np.zeros((5, 0)), w=np.zeros(0), y=np.ones(5)).shape == (0,) * order


@pytest.mark.parametrize(("formula", "wrt", "shapes", "order"), CUT[:2])
def test_blocks_are_for_the_sizes_that_are_given(formula: str, wrt: str, shapes: str, order: int) -> None:
    derivative = cr.derive(formula, wrt=wrt, shapes=shapes, order=order)
    named = derivative.formula.variables.values()
    few = {name: 100 for v in named for dim in v.shape for name in dim.names}
    many = {name: 10**6 if name in ("N", "m") else 100 for name in few}
    whole, cut = derivative.compile(sizes=few), derivative.compile(sizes=many)
    assert "of_rows" not in whole.__source__ and "of_rows" in cut.__source__
    given = drawn(derivative)
    for one, other in zip(arrays(whole(**given)), arrays(cut(**given)), strict=True):
        assert np.allclose(one, other, rtol=1e-12, atol=1e-13)
    low = derivative.compile(memory="low", sizes=few)
    assert "rows = 128" in low.__source__ or "of_rows, 128" in low.__source__


def test_the_axis_that_is_long_at_the_sizes_given_is_cut() -> None:
    derivative = cr.derive("sum(exp(X @ w)**2) + sum(tanh(Y @ w)**2)", wrt="w", shapes="X[N,n] w[n] Y[M,n]")
    for long, sizes in (("X", "N=1000000, M=10, n=50"), ("Y", "N=10, M=1000000, n=50")):
        assert f"def of_rows({long}):" in derivative.source(sizes=sizes)
