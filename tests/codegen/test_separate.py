"""Losses that are sums over rows are cut into sums of chunks and what is made of them; others are refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.api.compiling import code_forms
from chainrule.codegen.halves import Halves, compile_halves
from chainrule.codegen.load import compile_expressions
from chainrule.codegen.separate import NotSeparable

ROWS = ("X", "y", "Y", "l", "ids", "jds", "r")
SIZES = {"N": 12, "n": 3, "k": 4, "h": 5, "m": 6, "p": 7, "d": 2}
APART = [
    ("mean((y - relu(X @ w + b))**2) + lam*sum(w**2)", "w,b", "X[N,n] w[n] b y[N] lam"),
    ("sum(log(1 + exp(-y*(X @ w)))) + lam/2*w @ w", "w", "X[N,n] w[n] y[N] lam"),
    ("cross_entropy(X @ W + b, Y)", "W,b", "X[N,n] W[n,k] b[k] Y[N,k]"),
    ("cross_entropy(X @ W + b, l)", "W,b", "X[N,n] W[n,k] b[k] l[N]:integer(k)"),
    ("mean(exp(X @ w) - y*(X @ w))", "w", "X[N,n] w[n] y[N]"),
    (
        "mean((sum(E[ids]*V[jds], axis=1) - r)**2)",
        "E,V",
        "E[m,d] V[p,d] ids[N]:integer(m) jds[N]:integer(p) r[N]",
    ),
    ("mean((X @ w)**2) + mean(y**2*a)", "w,a", "X[N,n] w[n] y[N] a"),
    ("mean((relu(X @ A + b) @ B + c - Y)**2)", "A,b,B,c", "X[N,n] A[n,h] b[h] B[h,k] c[k] Y[N,k]"),
    ("N/2*logdet(S) + sum(solve(S, (X - m).T) * (X - m).T)/2", "S,m", "X[N,n] m[n] S[n,n]:spd"),
    ("sum((y - X @ w)**2)/(N - 1) + sum(w**2)/N", "w", "X[N,n] w[n] y[N]"),
    ("sum((y - X @ w*N)**2)", "w", "X[N,n] w[n] y[N]"),
]
TOGETHER = [
    ("mean((batchnorm(X @ W) @ v - y)**2)", "W,v", "X[N,n] W[n,k] v[k] y[N]", "over all rows first"),
    ("sum((X @ A @ X.T - 1)**2)", "A", "X[N,n] A[n,n]", "compared with each other"),
    ("logsumexp(X @ w)", "w", "X[N,n] w[n]", "logsumexp takes all rows together"),
    ("sum(max(X @ W, axis=0))", "W", "X[N,n] W[n,k]", "max takes all rows together"),
    ("mean((cumsum(X @ w) - y)**2)", "w", "X[N,n] w[n] y[N]", "takes all rows together"),
]


def outputs(formula: str, wrt: str, shapes: str) -> tuple[dict[str, Any], list[Any]]:
    derived = cr.derive(formula, wrt=wrt, shapes=shapes)
    parts = derived.parts()
    forms = dict(zip(wrt.split(","), code_forms(parts), strict=True))
    known = parts[0].formula
    return {"value": known.expr, **forms}, list(known.variables.values())


def arrays(variables: list[Any]) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    made: dict[str, Any] = {}
    for v in variables:
        shape = [dim.evaluate(SIZES) for dim in v.shape]
        made[v.name] = rng.normal(size=shape)
        if v.bound is not None:
            made[v.name] = rng.integers(0, v.bound.evaluate(SIZES), size=shape)
        if "spd" in v.structure:
            made[v.name] = np.eye(shape[0]) * 2
    return made


def added(halves: Halves, values: dict[str, Any], chunk: int) -> dict[str, Any]:
    """The results by way of chunks."""
    rows = [name for name in ROWS if name in values]
    whole = {name: value for name, value in values.items() if name not in rows}
    total: dict[str, Any] = {}
    for i in range(0, SIZES["N"], chunk):
        some = {name: values[name][i : i + chunk] for name in rows}
        part = halves.of_rows({**whole, **some}, {}, SIZES["N"])
        total = {name: total[name] + part[name] for name in part} if total else part
    return halves.of_totals(total, whole, {}, SIZES["N"])


@pytest.mark.parametrize(("formula", "wrt", "shapes"), APART)
@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_sums_of_chunks_give_the_loss_and_its_gradients(
    formula: str, wrt: str, shapes: str, backend: str
) -> None:
    wanted, variables = outputs(formula, wrt, shapes)
    values = arrays(variables)
    halves = compile_halves(wanted, variables, ROWS, backend)
    whole = compile_expressions(wanted, variables)(**values)
    for chunk in (5, 12):
        found = added(pickle.loads(pickle.dumps(halves)), values, chunk)
        for name in wanted:
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("formula", "wrt", "shapes", "reason"), TOGETHER)
def test_a_loss_that_needs_all_rows_at_once_is_refused(
    formula: str, wrt: str, shapes: str, reason: str
) -> None:
    with pytest.raises(NotSeparable, match=reason):
        compile_halves(*outputs(formula, wrt, shapes), ROWS)


def test_the_number_of_all_rows_is_asked_for_only_where_a_row_needs_it() -> None:
    free = compile_halves(*outputs(*APART[0]), ROWS)
    bound = compile_halves(*outputs(*APART[-1]), ROWS)
    assert (free.counted, bound.counted) == (False, True)
