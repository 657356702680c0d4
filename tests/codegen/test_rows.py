"""Results that are made row by row are made in blocks of rows, with the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen import numpy as printer
from chainrule.verify.reference import evaluate

SHAPES = "X[N,n] Y[N,n] g[n] b[n] u[N]"
NORMALISED = "sum(tanh(layernorm(X, gain=g, bias=b)) * Y)"
CUT = [
    NORMALISED,
    "sum(softmax(X, axis=1) * tanh(Y) * u[:, None])",
    "sum(exp(-(X / norm(X, axis=1)[:, None])**2) * Y)",
    "sum(log(sum(exp(X * Y), axis=1)) * sin(u)) + sum(X**3)",
    "sum(tanh(log_softmax(X * g) * sin(X @ b)[:, None]))",
]
WHOLE = [
    "sum(tanh(X) * sin(Y) * exp(X * Y))",  # nothing along the rows: chains
    "sum(tanh(batchnorm(X)) * Y)",  # needs the mean of all rows first
    "sum(tanh(layernorm(X, gain=g, bias=b) @ (Y.T @ Y)))",  # products have blocks of their own
]


def drawn() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {n: rng.normal(size={"g": 3, "b": 3, "u": 11}.get(n, (11, 3))) for n in "XYgbu"}


def given(f: Any) -> dict[str, Any]:
    return {n: v for n, v in drawn().items() if n in f.__signature__.parameters}


@pytest.mark.parametrize("formula", CUT)
def test_blocks_of_few_rows_give_what_all_rows_give(formula: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer, "LARGEST", 3)  # two rows of three entries
    d = cr.derive(formula, wrt="X", shapes=SHAPES)
    f = d.compile()
    assert "in_rows(of_rows" in f.__source__
    wanted = evaluate(d.expression, drawn())
    assert np.allclose(f(**given(f)), wanted, rtol=1e-12, atol=1e-13)
    for out in (np.empty((11, 3)), np.empty((11, 3), order="F"), np.empty((22, 3))[::2]):
        assert f(**given(f), out=out) is out and np.allclose(out, wanted, rtol=1e-12, atol=1e-13)
    assert "{0: out}" in f._kept.source.text  # type: ignore[attr-defined]


def test_a_sum_over_the_rows_is_a_result_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer, "LARGEST", 3)
    d = cr.derive(NORMALISED, wrt="X", shapes=SHAPES)
    f = d.value_and_derivatives()
    assert "in_rows(of_rows" in f.__source__
    value, slope = f(**given(f._function))
    assert np.isclose(value, evaluate(d.formula.expr, drawn()))
    assert np.allclose(slope, evaluate(d.expression, drawn()), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_are_rows_too(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer, "LARGEST", 3)
    d = cr.derive(CUT[2], wrt="X", shapes=SHAPES)
    X = np.arange(1.0, 4.0)[None][:rows]
    assert np.allclose(
        d.compile()(X=X, Y=X, out=np.empty((rows, 3))), evaluate(d.expression, {"X": X, "Y": X})
    )


@pytest.mark.parametrize("formula", WHOLE)
def test_what_is_not_made_row_by_row_is_left(formula: str) -> None:
    assert "in_rows(" not in cr.derive(formula, wrt="X", shapes=SHAPES).source()


def test_rows_that_fit_a_block_at_the_sizes_given_are_made_at_once() -> None:
    d = cr.derive(NORMALISED, wrt="X", shapes=SHAPES)
    assert "in_rows(" not in d.source(sizes="N=100, n=20") and "in_rows(" in d.source(sizes="N=10000, n=20")
