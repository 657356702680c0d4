"""Passes that move signs, numbers and transposes: what each makes of a program, and that no value changes."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from reliability.judge import values
from reliability.programs import program

import chainrule as cr
from chainrule.codegen import numpy as printer
from chainrule.codegen import source
from chainrule.codegen.assemble import numbers_inward
from chainrule.codegen.load import compile_expressions
from chainrule.codegen.orient import with_rows_in_order
from chainrule.codegen.plan import Program
from chainrule.codegen.rewrite import live
from chainrule.codegen.scales import with_shared_numbers
from chainrule.codegen.signs import with_few_signs
from chainrule.codegen.statements import Writer
from chainrule.errors import ChainruleError
from chainrule.language import parse_formula

from .cases import body
from .test_passes import derivative

Pass = Callable[[Program], Program]
PASSES: tuple[Pass, ...] = (with_few_signs, with_shared_numbers, with_rows_in_order, numbers_inward)


def only(monkeypatch: pytest.MonkeyPatch, *wanted: Pass) -> list[Program]:
    """NumPy code goes through these passes and no other; the list holds the programs that come out."""
    made: list[Program] = []

    def chosen(program: Program, *_: object) -> Program:
        for change in wanted:
            program = change(program)
        made.append(program)
        return program

    monkeypatch.setattr(printer, "for_blas", chosen)
    monkeypatch.setattr(printer, "in_chains", lambda program, _: program)
    return made


@pytest.mark.parametrize("seed", range(16))
def test_each_keeps_the_value_of_random_programs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = program(random.Random(1000 + seed).randrange, sizes=(3, 2, 4))
    try:
        expr, variables = derivative(made.text, made.shapes, made.wrt)
        given = values(made, seed) | made.sizes
        found = []
        for passes in ([], *([change] for change in PASSES)):
            only(monkeypatch, *passes)
            found.append(compile_expressions(expr, variables, undefined=True)(**given))
    except ChainruleError:
        return  # refused with a reason
    for value in found[1:]:
        np.testing.assert_allclose(value, found[0], rtol=1e-9, atol=1e-10)


def code(text: str, shapes: str, wrt: str, backend: str = "numpy") -> str:
    return body(cr.derive(text, wrt=wrt, shapes=shapes).source(backend))


@pytest.mark.parametrize(
    ("text", "shapes", "wrt", "wanted"),
    [
        # A difference the other way round; a sign that stays stands at the vector, not at the matrix;
        # functions let no sign through.
        ("sum((y - X @ w)**2)", "X[m,n] w[n] y[m]", "w", "return 2 * ((X @ w - y) @ X)"),
        ("sum(exp(-outer(x, tanh(y))**2))", "x[m] y[n]", "x",
         "t1 = np.tanh(y)**2; return -2 * (np.exp(np.outer(-x**2, t1)) @ t1 * x)"),
        ("sum(cos(exp(x) * sin(x)))", "x[n]", "x",
         "t1 = np.exp(x); t2 = np.sin(x); return -t1 * np.sin(t1 * t2) * (t2 + np.cos(x))"),
    ],
)  # fmt: skip
def test_signs(text: str, shapes: str, wrt: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, with_few_signs)
    assert code(text, shapes, wrt) == wanted


def test_a_sign_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding is symmetric: the same digits, with fewer operations."""
    net = cr.derive("mean((tanh(tanh(X @ V) @ W) - Y)**2)", wrt="V,W", shapes="X[B,h] Y[B,h] V[h,h] W[h,h]")
    rng = np.random.default_rng(0)
    given = {name: rng.standard_normal((4, 4)) for name in "XYVW"}
    made, found = [], []
    for passes in ((), (with_few_signs,)):
        programs = only(monkeypatch, *passes)
        found.append(net.compile()(**given))
        made.append(sum(op.kind == "neg" and op.rank > 0 for op in live(programs[-1])))
    assert all(np.array_equal(found[0][name], found[1][name]) for name in "VW")
    assert made[1] == 0


@pytest.mark.parametrize(
    ("text", "shapes", "wrt", "wanted"),
    [
        ("mean((tanh(X @ V) @ W - Y)**2)", "X[B,h] Y[B,h] V[h,h] W[h,h]", "V,W",
         "B, h = X.shape; t1 = jnp.tanh(X @ V); t2 = 2 / (B * h) * (t1 @ W - Y); "
         "return {; 'V': X.T @ (t2 @ W.T * (1 - t1**2)),; 'W': t1.T @ t2,; }"),
        # A sum of products, and one that is not multiplied.
        ("mean((X @ w + Z @ v - y)**2) + sum(w**4)", "X[N,n] Z[N,n] w[n] v[n] y[N]", "w,v",
         "N = X.shape[0]; t1 = 2 / N * (X @ w + Z @ v - y); "
         "return {; 'w': t1 @ X + 4 * w**3,; 'v': t1 @ Z,; }"),
        # A new array is multiplied rather than one that is given.
        ("mean((X @ V + exp(X @ W))**2)", "X[N,n] V[n,k] W[n,k]", "V,W",
         "N = X.shape[0]; k = V.shape[1]; t1 = jnp.exp(X @ W); t2 = 2 / (N * k) * (t1 + X @ V); "
         "return {; 'V': X.T @ t2,; 'W': X.T @ (t2 * t1),; }"),
        # A number beside one array saves nothing.
        ("mean((X @ w + b - y)**2)", "X[N,n] w[n] b y[N]", "w,b",
         "N = X.shape[0]; t1 = X @ w + b - y; t2 = 2 / N; "
         "return {; 'w': t2 * (t1 @ X),; 'b': t2 * t1.sum(),; }"),
        # One that is made of arrays would have to be known before them.
        ("log(sum((X @ V - Y)**2) + sum((X @ W - Y)**2))", "X[N,n] V[n,k] W[n,k] Y[N,k]", "V,W",
         "t1 = X @ V - Y; t2 = X @ W - Y; t3 = 2 / (jnp.sum(t2**2) + jnp.sum(t1**2)); "
         "return {; 'V': t3 * (X.T @ t1),; 'W': t3 * (X.T @ t2),; }"),
    ],
)  # fmt: skip
def test_a_number_is_multiplied_once_into_what_all_results_are_made_of(
    text: str, shapes: str, wrt: str, wanted: str
) -> None:
    assert code(text, shapes, wrt, "jax") == wanted


def test_the_number_of_a_sum_over_all_rows_is_known_to_each_block() -> None:
    """The loss divides by all rows, however few a block has."""
    d = cr.derive("mean((tanh(X @ V) @ W - Y)**2)", wrt="V,W", shapes="X[B,h] Y[B,k] V[h,h] W[h,k]")
    f = d.compile()
    X, V, W = np.full((6000, 60), 0.1), np.eye(60), np.ones((60, 1))
    rows = cr.derive("mean((tanh(X @ V) @ W - Y)**2)", wrt="V,W", shapes="X[B,h] Y[B,k] V[h,h] W[h,k]")
    found = f(X=X, Y=np.zeros((6000, 1)), V=V, W=W)
    few = rows.compile()(X=X[:3], Y=np.zeros((3, 1)), V=V, W=W)
    assert "in_blocks" in f.__source__
    assert all(np.allclose(found[name], few[name]) for name in "VW")


@pytest.mark.parametrize(
    ("text", "shapes", "wanted"),
    [
        ("(A.T * (B @ C)) @ D", "A[n,m] B[m,k] C[k,n] D[n,p]", "return (A * (C.T @ B.T)).T @ D"),
        ("(A.T * (x[:, None] - B @ C)) @ D", "A[n,m] B[m,k] C[k,n] D[n,p] x[m]",
         "return (A * (x - C.T @ B.T)).T @ D"),
        ("(A.T * (y - B @ C)) @ D", "A[n,m] B[m,k] C[k,n] D[n,p] y[n]",
         "return (A * (y[:, None] - C.T @ B.T)).T @ D"),
        # A product that is read several times; two transposes that are transposed again.
        ("((B @ C - einsum('ij,ji->j', B @ C, A)) * A.T) @ D", "A[n,m] B[m,k] C[k,n] D[n,p]",
         "t1 = C.T @ B.T; return ((t1 - np.vecdot(t1, A)[:, None]) * A).T @ D"),
        ("(A.T - B.T).T @ D", "A[n,m] B[n,m] D[m,p]", "return (A - B) @ D"),
        # Both lie in the same order; a result that is asked for; one that a function takes.
        ("A.T * B.T @ D", "A[n,m] B[n,m] D[n,p]", "return A.T * B.T @ D"),
        ("A.T * (B @ C)", "A[n,m] B[m,k] C[k,n]", "return A.T * (B @ C)"),
        ("exp(A.T * (B @ C)) @ D", "A[n,m] B[m,k] C[k,n] D[n,p]", "return np.exp(A.T * (B @ C)) @ D"),
    ],
)  # fmt: skip
def test_products_are_turned_so_that_entries_are_met_in_the_order_of_memory(
    text: str, shapes: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, with_rows_in_order)
    assert body(compile_expressions(parse_formula(text, shapes).expr).__source__) == wanted


def test_a_number_goes_to_a_factor_that_is_no_larger_than_the_product() -> None:
    attention = "sum(softmax(Q @ K.T / sqrt(d)) @ V)"
    assert "Q / t1 @ K.T" in code(attention, "Q[n,d] K[n,d] V[n,d]", "V")
    assert "return s1 / 3" in code("sum((X.T @ Y) * A) / 3", "X[N,n] Y[N,n] A[n,n]", "A")


# ---------------------------------------------------------------- what is written into an array that is there


def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in blocks of rows, wherever arrays may be written into."""
    monkeypatch.setattr(source, "Writer", partial(Writer, in_place=True))


@pytest.mark.parametrize("seed", range(30))
def test_writing_in_place_keeps_the_value_of_random_programs(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = program(random.Random(2000 + seed).randrange, sizes=(3, 2, 4))
    try:
        expr, variables = derivative(made.text, made.shapes, made.wrt)
        given = values(made, seed) | made.sizes
        before = {name: np.copy(value) for name, value in given.items()}
        plain = compile_expressions(expr, variables, undefined=True)(**given)
        in_place(monkeypatch)
        found = compile_expressions(expr, variables, undefined=True)(**given)
    except ChainruleError:
        return  # refused with a reason
    np.testing.assert_array_equal(found, plain)
    assert all(np.array_equal(given[name], before[name], equal_nan=True) for name in given)


@pytest.mark.parametrize(
    ("text", "shapes", "wanted"),
    [
        ("softmax(A @ B) - x", "A[m,k] B[k,n] x[n]",
         "t1 = A @ B; softmax(t1, out=t1); t1 -= x; return t1"),
        ("x[:, None] - exp(A @ B)", "A[m,k] B[k,n] x[m]",
         "t1 = A @ B; np.exp(t1, out=t1); np.subtract(x[:, None], t1, out=t1); return t1"),
        # An array that is given, one that is read again, and one that is larger stay as they are.
        ("exp(A) - x", "A[m,n] x[n]", "t1 = np.exp(A); t1 -= x; return t1"),
        ("exp(A @ B) * (A @ B)", "A[m,k] B[k,n]", "t1 = A @ B; return np.exp(t1) * t1"),
        ("x + outer(y, A @ z)", "x[n] y[m] A[n,k] z[k]", "t1 = np.outer(y, A @ z); t1 += x; return t1"),
        ("outer(x, y) - 1", "x[m] y[n]", "return np.outer(x, y) - 1"),
        # NumPy does these by itself.
        ("A @ B + C", "A[m,k] B[k,n] C[m,n]", "return A @ B + C"),
        ("2 * (A @ B)", "A[m,k] B[k,n]", "return 2 * (A @ B)"),
    ],
)  # fmt: skip
def test_what_is_written_in_place(
    text: str, shapes: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch)
    in_place(monkeypatch)
    assert body(compile_expressions(parse_formula(text, shapes).expr).__source__) == wanted


def test_arrays_of_two_precisions_lose_no_digits_in_place() -> None:
    d = cr.derive("sum((softmax(Q @ K.T) @ V - Y)**2)", wrt="K", shapes="Q[n,d] K[n,d] V[n,d] Y[n,d]")
    rng = np.random.default_rng(0)
    single = {name: rng.standard_normal((5, 3)).astype(np.float32) for name in "QKVY"}
    double = {name: array.astype(np.float64) for name, array in single.items()}
    assert "out=" in d.source()
    found = d.compile()(**{**single, "V": double["V"]})
    np.testing.assert_allclose(found, d.compile()(**double), rtol=1e-12)
