"""Jacobians: an elementwise chain, softmax, a ReLU layer, layer normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.speed.machine import Work
from benchmarks.speed.names import JAX
from benchmarks.speed.problem import Array, Case, Floors, Function, Problem, Size, with_numba

DENSE_LIMIT = 10_000  # rows of a square Jacobian that is still asked for as an array


# ---------------------------------------------------------------- elementwise chain


def chain_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    dense = n <= DENSE_LIMIT
    return Case(
        {"x": rng.standard_normal(n)},
        experts={"zeros, diagonal": chain_dense} if dense else {},
        structured={"diagonal": chain_diagonal},
        jitted={"closed form": lambda x: JAX.diag(chain_slope(JAX, x))} if dense else {},
        compiled=with_numba("diagonal", chain_one_pass),
        expand=np.diag,
        work=Work(flops=10 * n, moved=8 * n * n + 8 * n, exponentials=4 * n),
        structured_work=Work(flops=10 * n, moved=16 * n, exponentials=4 * n),
        ad_bytes=24.0 * n * n,
        dense=dense,
        along=True,
    )


def chain_slope(xp: Any, x: Any) -> Any:
    e, s = xp.exp(-x * x), xp.sin(x)
    t = xp.tanh(e * s)
    return (1 - t * t) * e * (xp.cos(x) - 2 * x * s)


def chain_diagonal(x: Array) -> Array:
    e = np.exp(-x * x)
    s = np.sin(x)
    t = np.tanh(e * s)
    return (1 - t * t) * e * (np.cos(x) - 2 * x * s)


def chain_dense(x: Array) -> Array:
    n = len(x)
    J = np.zeros((n, n))
    J.ravel()[:: n + 1] = chain_diagonal(x)
    return J


def chain_one_pass(numba: Any) -> Function:
    @numba.njit(fastmath=True, error_model="numpy")
    def diagonal(x: Any) -> Any:
        out = np.empty_like(x)
        for i in range(x.size):
            v = x[i]
            e, s = np.exp(-v * v), np.sin(v)
            t = np.tanh(e * s)
            out[i] = (1 - t * t) * e * (np.cos(v) - 2 * v * s)
        return out

    return diagonal


CHAIN = Problem(
    "chain",
    "Jacobian, elementwise chain",
    "tanh(exp(-x * x) * sin(x))",
    "x[n]",
    "x",
    lambda xp, x: xp.tanh(xp.exp(-x * x) * xp.sin(x)),
    chain_case,
    ((100,), (1000,), (4000,), (100_000,), (1_000_000,)),
    "n",
    lambda size: Floors(dense=2.5, structured=1 / 1.8 if size[0] >= 1_000_000 else None),
    scalar=False,
    fused=True,
)


# ---------------------------------------------------------------- softmax


def softmax_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    out = np.empty((n, n))
    return Case(
        {"x": rng.standard_normal(n)},
        experts={
            "diag - outer": softmax_textbook,
            "outer, diagonal": softmax_outer,
            "rank 1 gemm, kept buffer": softmax_by_gemm(out),
            "product, kept buffer": softmax_into(out),
        },
        structured={"p": softmax},
        jitted={"closed form": softmax_jitted},
        expand=lambda p: np.diag(p) - np.outer(p, p),
        work=Work(flops=n * n, moved=8 * n * n, exponentials=n),
        structured_work=Work(flops=4 * n, moved=16 * n, exponentials=n),
        ad_bytes=32 * n * n,
    )


def softmax(x: Array) -> Array:
    p = np.exp(x - x.max())
    p /= p.sum()
    return p


def softmax_textbook(x: Array) -> Array:
    p = softmax(x)
    return np.diag(p) - np.outer(p, p)


def softmax_outer(x: Array) -> Array:
    p = softmax(x)
    J = np.multiply.outer(-p, p)
    J.ravel()[:: len(x) + 1] += p
    return J


def softmax_by_gemm(out: Array) -> Function:
    def jacobian(x: Array) -> Array:
        p = softmax(x)
        np.matmul(p[:, None], -p[None, :], out=out)
        out.ravel()[:: len(x) + 1] += p
        return out

    return jacobian


def softmax_into(out: Array) -> Function:
    """The result is written once, into memory that is there already."""

    def jacobian(x: Array) -> Array:
        p = softmax(x)
        np.multiply(p[:, None], -p, out=out)
        out.ravel()[:: len(x) + 1] += p
        return out

    return jacobian


def softmax_jitted(x: Any) -> Any:
    p = JAX.softmax(x)
    return JAX.diag(p) - JAX.outer(p, p)


def softmax_floors(size: Size) -> Floors:
    middle = 500 <= size[0] <= 2000
    dense = 0.7 if middle else 1.5 if size[0] < 500 else 4.0
    return Floors(dense=dense, jax=1.2 if middle else None)


SOFTMAX = Problem(
    "softmax",
    "Jacobian, softmax",
    "softmax(x)",
    "x[n]",
    "x",
    lambda xp, x: xp.softmax(x),
    softmax_case,
    ((100,), (500,), (2000,), (4000,)),
    "n",
    softmax_floors,
    scalar=False,
)


# ---------------------------------------------------------------- a ReLU layer between two matrices


def relu_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    return Case(
        {"A": rng.standard_normal((n, n)), "B": rng.standard_normal((n, n)), "x": rng.standard_normal(n)},
        experts={
            "masked": lambda A, B, x: A @ (B * (B @ x > 0)[:, None]),
            "gathered": relu_gathered,
        },
        jitted={"closed form": lambda A, B, x: A @ (B * (B @ x > 0)[:, None])},
        work=Work(flops=n**3, moved=24 * n * n),
        ad_bytes=32 * n * n,
    )


def relu_gathered(A: Array, B: Array, x: Array) -> Array:
    """Only the hidden units that are on enter the product."""
    on = np.flatnonzero(B @ x > 0)
    return A[:, on] @ B[on]


RELU = Problem(
    "relu",
    "Jacobian, A relu(Bx)",
    "A @ relu(B @ x)",
    "A[n,n] B[n,n] x[n]",
    "x",
    lambda xp, A, B, x: A @ xp.relu(B @ x),
    relu_case,
    ((100,), (400,), (1000,), (2000,)),
    "n",
    lambda size: Floors(dense=1.6),
    scalar=False,
)


# ---------------------------------------------------------------- layer normalisation

EPSILON = 1e-5


def layernorm_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    out = np.empty((n, n))
    return Case(
        {"x": rng.standard_normal(n), "g": rng.standard_normal(n)},
        experts={
            "textbook": layernorm_textbook,
            "outer in place": layernorm_outer,
            "rank 2 gemm": layernorm_by_gemm,
            "rank 2 gemm, kept buffer": layernorm_into(out),
            "row blocks, kept buffer": layernorm_in_row_blocks(out),
        },
        jitted={"closed form": layernorm_jitted},
        work=Work(flops=4 * n * n, moved=8 * n * n),
        structured_work=Work(flops=10 * n, moved=40 * n),
        ad_bytes=40 * n * n,
    )


def normalised(x: Array) -> tuple[Array, float]:
    c = x - x.mean()
    s = math.sqrt((c @ c) / len(x) + EPSILON)
    return c / s, s


def layernorm_textbook(x: Array, g: Array) -> Array:
    n = len(x)
    z, s = normalised(x)
    return (g / s)[:, None] * (np.eye(n) - 1 / n - np.outer(z, z) / n)


def layernorm_outer(x: Array, g: Array) -> Array:
    n = len(x)
    z, s = normalised(x)
    scaled = g / s
    J = np.multiply.outer(scaled * z / -n, z)
    J -= (scaled / n)[:, None]
    J.ravel()[:: n + 1] += scaled
    return J


def layernorm_factors(x: Array, g: Array) -> tuple[Array, Array, Array]:
    """The two factors of the part of rank 2, and the diagonal."""
    z, s = normalised(x)
    scaled = g / (-len(x) * s)
    return np.stack([scaled * z, scaled], 1), np.stack([z, np.ones(len(x))]), g / s


def layernorm_by_gemm(x: Array, g: Array) -> Array:
    """One product with inner size 2 writes the result once."""
    left, right, diagonal = layernorm_factors(x, g)
    J = left @ right
    J.ravel()[:: len(x) + 1] += diagonal
    return J


def layernorm_into(out: Array) -> Function:
    def jacobian(x: Array, g: Array) -> Array:
        left, right, diagonal = layernorm_factors(x, g)
        np.matmul(left, right, out=out)
        out.ravel()[:: len(x) + 1] += diagonal
        return out

    return jacobian


def layernorm_in_row_blocks(out: Array, rows: int = 32) -> Function:
    """Both parts of rank 1 for each block of rows while it is in the cache."""

    def jacobian(x: Array, g: Array) -> Array:
        n = len(x)
        z, s = normalised(x)
        scaled = g / (-n * s)
        steep = scaled * z
        for i in range(0, n, rows):
            part = out[i : i + rows]
            np.multiply(steep[i : i + rows, None], z, out=part)
            part += scaled[i : i + rows, None]
        out.ravel()[:: n + 1] += g / s
        return out

    return jacobian


def layernorm_jitted(x: Any, g: Any) -> Any:
    n = len(x)
    c = x - JAX.mean(x)
    s = JAX.sqrt(JAX.mean(c * c) + EPSILON)
    z = c / s
    return (g / s)[:, None] * (JAX.eye(n) - 1 / n - JAX.outer(z, z) / n)


def layernorm(xp: Any, x: Any, g: Any) -> Any:
    c = x - xp.mean(x)
    return g * c / xp.sqrt(xp.mean(c * c) + EPSILON)


LAYERNORM = Problem(
    "layernorm",
    "Jacobian, layernorm",
    "g * (x - mean(x)) / sqrt(mean((x - mean(x))**2) + 1e-5)",
    "x[n] g[n]",
    "x",
    layernorm,
    layernorm_case,
    ((100,), (500,), (2000,), (4000,)),
    "n",
    lambda size: Floors(dense=1.4),
    scalar=False,
)

JACOBIANS = (CHAIN, SOFTMAX, RELU, LAYERNORM)
