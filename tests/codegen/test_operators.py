"""Matrices that are kept by their structure, against the dense matrices that they stand for."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import aslinearoperator

from chainrule.codegen.compound import Kronecker, Sum
from chainrule.codegen.operators import Blocks, Dense, Diagonal, LowRank, Structured
from chainrule.errors import ArrayMismatch, DomainProblem, LimitExceeded

Array = np.ndarray[Any, Any]


def wrong(matrix: Structured, dense: Array, seed: int = 0) -> list[str]:
    """What of a matrix differs from its dense form."""
    rng = np.random.default_rng(seed)
    rows, columns = matrix.rows, matrix.columns
    flat = dense.reshape(prod(rows), prod(columns))
    x, y = rng.standard_normal(columns), rng.standard_normal(rows)
    many = rng.standard_normal((prod(columns), 3))
    there, back = flat @ x.ravel(), flat.T @ y.ravel()
    pairs = {
        "todense": (matrix.todense(), dense),
        "shape": (np.array(matrix.shape), np.array(flat.shape)),
        "matmul": (matrix @ x, there.reshape(rows)),
        "matmul flat": (matrix @ x.ravel(), there if len(columns) > 1 else there.reshape(rows)),
        "rmatmul": (y @ matrix, back.reshape(columns)),
        "T": (matrix.T.todense(), np.moveaxis(dense, range(len(rows)), range(-len(rows), 0))),
        "T matmul": (matrix.T @ y, back.reshape(columns)),
        "operator": (matrix.aslinearoperator() @ x.ravel(), there),
        "operator T": (matrix.aslinearoperator().T @ y.ravel(), back),
        "taken by SciPy": (aslinearoperator(matrix) @ x.ravel(), there),
        "taken by SciPy T": (aslinearoperator(matrix).T @ y.ravel(), back),
    }
    if many.shape != columns:
        pairs["matmat"] = (matrix @ many, flat @ many)
    if rows == columns:
        pairs["diagonal"] = (matrix.diagonal(), np.diag(flat).reshape(rows))
        if np.linalg.cond(flat) < 1e6:
            pairs["solve"] = (matrix.solve(y), np.linalg.solve(flat, y.ravel()).reshape(rows))
    return [
        name
        for name, (found, expected) in pairs.items()
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-7, atol=1e-9)
    ]


SIZE = st.integers(1, 3)
SEED = st.integers(0, 10**6)


def _leaf(rng: np.random.Generator, kind: str, n: int, m: int) -> tuple[Structured, Array]:
    """A matrix with n row axes' entries (one axis each) and its dense form made by loops."""
    if kind == "diagonal":
        d = rng.standard_normal(n)
        return Diagonal(d), np.diag(d)
    if kind == "identity":
        return Diagonal(2.5, (n,)), 2.5 * np.eye(n)
    if kind == "low rank":
        U, V, C = (rng.standard_normal(s) for s in ((n, 2), (m, 2), (2, 2)))
        return LowRank(U, V, C), U @ C @ V.T
    A = rng.standard_normal((n, m))
    return Dense(A), A


@settings(max_examples=60, deadline=None)
@given(SIZE, SIZE, SEED, st.sampled_from(["diagonal", "identity", "low rank", "dense"]))
def test_leaves(n: int, m: int, seed: int, kind: str) -> None:
    assert wrong(*_leaf(np.random.default_rng(seed), kind, n, m)) == []


@settings(max_examples=40, deadline=None)
@given(SIZE, SIZE, SIZE, SEED, st.booleans())
def test_blocks(count: int, p: int, q: int, seed: int, low: bool) -> None:
    rng = np.random.default_rng(seed)
    U, V = rng.standard_normal((count, p, 1)), rng.standard_normal((count, q, 1))
    A = U @ V.transpose(0, 2, 1) * 3 if low else rng.standard_normal((count, p, q))
    dense = np.zeros((count, p, count, q))
    for k in range(count):
        dense[k, :, k, :] = A[k]
    assert wrong(LowRank(U, V, 3.0, batch=1) if low else Blocks(A), dense) == []


KINDS = st.sampled_from(["diagonal", "identity", "low rank", "dense"])


@settings(max_examples=80, deadline=None)
@given(SIZE, SIZE, SEED, KINDS, KINDS, st.permutations([0, 1]), st.permutations([0, 1]))
def test_kronecker_with_crossed_axes(
    n: int, m: int, seed: int, first: str, second: str, left: list[int], right: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    (A, a), (B, b) = _leaf(rng, first, n, m), _leaf(rng, second, m, n)
    up, down = tuple(left), tuple(right)
    matrix = Kronecker([A, B], [(0,), (1,)], [(0,), (1,)], up, down, -2.0)
    dense = -2 * np.einsum("ac,bd->abcd", a, b).transpose(*left, *(2 + k for k in right))
    assert wrong(matrix, dense) == []


@settings(max_examples=20, deadline=None)
@given(SIZE, SEED)
def test_a_repeated_label_is_a_diagonal_of_the_array(n: int, seed: int) -> None:
    A = np.random.default_rng(seed).standard_normal((n, n))
    dense = np.zeros((n, n, n))
    dense[np.arange(n), np.arange(n)] = A
    assert wrong(Kronecker([Dense(A)], [(0,)], [(1,)], (0, 0), (1,)), dense) == []


@settings(max_examples=40, deadline=None)
@given(SIZE, SIZE, SEED)
def test_diagonal_plus_low_rank(count: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = rng.uniform(1, 2, (count, n))
    terms: list[Structured] = [Diagonal(d)]
    for _ in range(2):
        U, V = rng.standard_normal((count, n, 1)), rng.standard_normal((count, n, 1))
        terms.append(LowRank(U, V, 0.5, batch=1))
    dense = np.zeros((count, n, count, n))
    for term in terms:
        dense += term.todense()
    assert wrong(Sum(terms), dense) == []


def test_the_comparison_catches_a_wrong_matrix() -> None:
    rng = np.random.default_rng(1)
    A, B = rng.standard_normal((2, 3, 3))
    crossed = Kronecker([Dense(A), Dense(B)], [(0,), (1,)], [(0,), (1,)], (0, 1), (1, 0))
    plain = np.einsum("ac,bd->abcd", A, B)
    assert {"todense", "matmul", "T", "diagonal", "solve"} <= set(wrong(crossed, plain))


def test_singular_matrices_are_refused() -> None:
    p = np.array([0.2, 0.3, 0.5])
    one = p[:, None]
    for matrix in (
        Diagonal(np.array([1.0, 0.0])),
        LowRank(one, one),
        Sum([Diagonal(p), LowRank(one, one, -1.0)]),
        Blocks(np.zeros((2, 2, 2))),
    ):
        with pytest.raises(DomainProblem, match="singular"):
            matrix.solve(np.ones(matrix.rows))


def test_large_matrices_stay_what_they_are() -> None:
    matrix = Diagonal(np.full(10**6, 2.0))
    assert np.all(matrix @ np.ones(10**6) == 2) and np.all(matrix.solve(np.ones(10**6)) == 0.5)
    with pytest.raises(LimitExceeded, match="bytes"):
        matrix.todense()
    with pytest.raises(LimitExceeded, match="rows"):
        Sum([matrix, matrix]).solve(np.ones(10**6))
    with pytest.raises(ArrayMismatch, match="does not fit"):
        matrix @ np.ones(3)
    with pytest.raises(ArrayMismatch, match="one shape"):
        Dense(np.ones((2, 3))).diagonal()
