"""Chains of operations entry by entry are made in parts that stay in cache, with the same result."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import numpy as np
import pytest
from reliability.programs import SIZES, program

import chainrule as cr
from chainrule.codegen import chains, helpers, statements
from chainrule.errors import ChainruleError, DomainProblem

VECTOR = "sum(tanh(sin(x**2)) * exp(-x))"
CUT = [
    (VECTOR, "x", "x[n]"),
    ("mean((Y - sigmoid(X * W + b))**2)", "W", "X[m,n] Y[m,n] W[m,n] b[n]"),
    ("sum(tanh(c * x**2) * exp(-x))", "c", "x[n] c"),
    ("x = exp(X / sum(X)); sum(x * log(x) * sin(x))", "X", "X[m,n]"),
    ("sum(diag(u) @ tanh(X)**3)", "X", "X[m,n] u[m]"),
    # One sum reads, beside what the first pass makes, what is made of the whole of it.
    ("v = exp(x) * sin(x) + x**2 + 3; sum(tanh(x) * cos(x) * unit(v))", "x", "x[n]"),
]


def short(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Let all arrays be cut, into parts of so many entries."""
    monkeypatch.setattr(statements, "LONG", "0")
    text = helpers.HELPERS["in_parts"].replace("2**14", str(rows))
    monkeypatch.setitem(helpers.BEHIND, "in_parts", (text,))  # type: ignore[arg-type]


def drawn(derivative: Any, sizes: dict[str, int]) -> dict[str, Any]:
    draw, given = np.random.default_rng(0), {}
    for v in derivative.formula.variables.values():
        shape = [d.evaluate(sizes) for d in v.shape]
        whole = None if v.bound is None else draw.integers(v.bound.evaluate(sizes), size=shape)
        given[v.name] = draw.uniform(0.1, 1, shape) if whole is None else whole
    return given


@pytest.mark.parametrize(("formula", "wrt", "shapes"), CUT)
@pytest.mark.parametrize("order", "CF")
def test_parts_give_what_the_whole_gives(
    formula: str, wrt: str, shapes: str, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    derivative = cr.derive(formula, wrt=wrt, shapes=shapes)
    given = {k: np.asarray(v, order=order) for k, v in drawn(derivative, {"m": 7, "n": 5}).items()}
    whole = derivative.compile()(**given), *derivative.value_and_derivatives()(**given)
    short(monkeypatch, 3)
    f, both = derivative.compile(), derivative.value_and_derivatives()
    assert "else in_parts(entries" in f.__source__, f.__source__
    for one, other in zip(whole, (f(**given), *both(**given)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
        if np.ndim(one) and "sum(X)" not in formula:
            assert np.array_equal(one, other)
    out = np.full(np.shape(whole[0]), 7.0, order=order)
    assert f(**given, out=out) is out
    np.testing.assert_allclose(out, whole[0], rtol=1e-12, atol=1e-15)


def test_parts_that_leave_entries_out_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the last part is missing."""
    derivative = cr.derive(VECTOR, wrt="x", shapes="x[n]")
    given = {"x": np.linspace(0, 1, 10)}
    right = derivative.compile()(**given)
    short(monkeypatch, 3)
    text = helpers.BEHIND["in_parts"][0].replace("len(cut[0]), rows)", "len(cut[0]) - rows, rows)")
    monkeypatch.setitem(helpers.BEHIND, "in_parts", (text,))  # type: ignore[arg-type]
    assert not np.array_equal(derivative.compile()(**given), right)


def test_random_programs_keep_their_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chain cut, however short, and the results written into arrays of several layouts."""
    cut = 0
    for number in range(60):
        made = program(random.Random(number).randrange, number % 2 == 0, SIZES[number % len(SIZES)])
        if len(made.text) > 100:
            continue
        derivative = cr.derive(made.text, wrt=made.wrt, shapes=made.shapes)
        point = drawn(derivative, made.sizes)
        with monkeypatch.context() as patch:
            patch.setattr(chains, "LEAST", 10**6)
            try:
                right = derivative.compile()(**point)
            except ChainruleError:
                continue
            patch.setattr(chains, "LEAST", 1)
            short(patch, 1 + number % 3)
            f = derivative.compile()
            cut += "in_parts" in f.__source__
            bound = 1e-13 * (1 + np.max(np.abs(right), initial=0))
            np.testing.assert_allclose(f(**point), right, rtol=1e-12, atol=bound)
            gaps = np.full([2 * size for size in np.shape(right)], 7.0)[(..., *[np.s_[::2]] * np.ndim(right))]
            for out in (gaps.copy("C"), gaps.copy("F"), gaps):
                np.testing.assert_allclose(f(**point, out=out), right, rtol=1e-12, atol=bound)
    assert cut > 5


def test_what_is_between_is_not_kept() -> None:
    """A long chain needs its result and little more."""
    f = cr.derive(VECTOR, wrt="x", shapes="x[n]").compile()
    x = np.linspace(0, 1, 500_000)
    out = np.empty_like(x)
    f(x=x, out=out)
    peaks = []
    for given in ({}, {"out": out}):
        tracemalloc.start()
        f(x=x, **given)
        peaks.append(tracemalloc.get_traced_memory()[1] / x.nbytes)
        tracemalloc.stop()
    assert peaks[0] < 1.6 and peaks[1] < 0.6, peaks


def test_float32_is_kept_in_parts() -> None:
    f = cr.derive(VECTOR, wrt="x", shapes="x[n]").value_and_derivatives()
    x = np.linspace(0, 1, 100_000)
    value, slope = f(x=x.astype(np.float32))
    right = f(x=x)
    assert value.dtype == slope.dtype == np.float32
    np.testing.assert_allclose(value, right[0], rtol=1e-5)
    np.testing.assert_allclose(slope, right[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("formula", "wrt", "shapes"),
    [
        ("sum(exp(x))", "x", "x[n]"),  # one operation
        ("tanh(sin(x**2)) * exp(-x)", "x", "x[n]"),  # the answer has n² entries
        ("mean((y - tanh(X @ w)**3 * exp(y))**2)", "w", "X[N,n] w[n] y[N]"),  # X is larger than the chain
    ],
)
def test_where_parts_gain_nothing_there_are_none(formula: str, wrt: str, shapes: str) -> None:
    assert "in_parts" not in cr.derive(formula, wrt=wrt, shapes=shapes).compile().__source__


class TestOut:
    """What is written to `out` directly."""

    def test_may_be_what_is_read(self) -> None:
        f = cr.derive("sum(x**3 + x * y)", wrt="x", shapes="x[n] y[n]").compile()
        x, y = np.linspace(0, 1, 5), np.ones(5)
        right = f(x=x, y=y)
        big = np.concatenate([x, x])
        assert np.array_equal(f(x=big[:5], y=y, out=big[2:7]), right)
        assert np.array_equal(f(x=x, y=y, out=x), right) and np.array_equal(x, right)

    def test_with_gaps_has_its_diagonal(self) -> None:
        f = cr.derive("A @ x + x", wrt="x", shapes="A[n,n] x[n]").compile()
        out = np.zeros((6, 6))
        f(A=np.ones((3, 3)), out=out[::2, ::2])
        assert np.array_equal(out[::2, ::2], np.ones((3, 3)) + np.eye(3)) and not out[1::2].any()

    @pytest.mark.parametrize("out", [np.zeros(3), np.zeros(6)[::2], np.zeros(3, np.float32)])
    def test_is_nan_where_there_is_no_value(self, out: Any) -> None:
        f = cr.derive("sum(x * log(x))", wrt="x", shapes="x[n]").compile()
        with pytest.raises(DomainProblem):
            f(x=np.array([1.0, -1, 2]), out=out)
        assert np.isnan(out).all()
        f(x=np.ones(3), out=out)
        assert (out == 1).all()

    def test_is_nan_where_a_matrix_is_singular(self) -> None:
        f = cr.derive("logdet(A)", wrt="A", shapes="A[n,n]").compile()
        out = np.zeros((2, 2))
        with pytest.raises(DomainProblem):
            f(A=np.ones((2, 2)), out=out)
        assert np.isnan(out).all()

    def test_of_a_number_stays_an_array(self) -> None:
        f = cr.derive("sum(x * log(x))", wrt="x", shapes="x[n]").value_and_derivatives()
        out = {"value": np.zeros(()), "derivative": np.zeros(2)}
        for _ in range(2):
            value, slope = f(x=np.full(2, np.e), out=out)
            assert value is out["value"] and slope is out["derivative"] and np.isclose(value, 2 * np.e)

    def test_of_an_empty_array(self) -> None:
        out = np.zeros(0)
        assert cr.derive(VECTOR, wrt="x", shapes="x[n]").compile()(x=np.zeros(0), out=out) is out

    def test_takes_a_size_by_name_and_a_variable_called_out(self) -> None:
        f = cr.derive("sum(out**2 * exp(out))", wrt="out", shapes="out[n]").compile()
        assert np.allclose(f(out=np.ones(2)), 3 * np.e)
        g = cr.derive("n * sum(x**2)", wrt="x", shapes="x[n]").compile()
        out = np.zeros(3)
        assert g(x=np.ones(3), out=out).tolist() == [6.0, 6, 6]
