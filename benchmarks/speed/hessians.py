"""Hessians: logistic regression, quadratic forms, matrix factorisation, a network, logdet."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special
from scipy.linalg import blas

from benchmarks.speed.machine import Work
from benchmarks.speed.names import JAX
from benchmarks.speed.problem import Array, Case, Floors, Function, Problem, Size, spd

# ---------------------------------------------------------------- logistic regression


def logistic_case(size: Size, rng: np.random.Generator) -> Case:
    m, n = size
    return Case(
        {
            "X": rng.standard_normal((m, n)),
            "w": rng.standard_normal(n) / math.sqrt(n),
            "y": np.sign(rng.standard_normal(m)),
        },
        experts={"gemm": logistic_by_gemm, "syrk": logistic_by_syrk},
        jitted={"closed form": logistic_jitted},
        work=Work(flops=m * n * n, moved=8 * (m * n + n * n), exponentials=m),
        ad_bytes=24 * n * m,
    )


def logistic_by_gemm(X: Array, w: Array, y: Array) -> Array:
    s = special.expit(y * (X @ w))
    return X.T @ ((s * (1 - s))[:, None] * X)


def logistic_by_syrk(X: Array, w: Array, y: Array) -> Array:
    """NumPy calls dsyrk for Z.T @ Z: half the operations."""
    s = special.expit(y * (X @ w))
    Z = np.sqrt(s * (1 - s))[:, None] * X
    return Z.T @ Z


def logistic_jitted(X: Any, w: Any, y: Any) -> Any:
    s = JAX.sigmoid(y * (X @ w))
    return X.T @ ((s * (1 - s))[:, None] * X)


LOGISTIC = Problem(
    "logistic",
    "Hessian, logistic regression",
    "sum(log(1 + exp(-y * (X @ w))))",
    "X[m,n] w[n] y[m]",
    "w",
    lambda xp, X, w, y: xp.sum(xp.softplus(-y * (X @ w))),
    logistic_case,
    ((100, 50), (400, 200), (1000, 500), (2000, 1000)),
    "m n",
    lambda size: Floors(dense=1.8),
    order=2,
)


# ---------------------------------------------------------------- quadratic forms


def quadratic_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    return Case(
        {"A": rng.standard_normal((n, n)), "x": rng.standard_normal(n)},
        experts={
            "A + A.T": lambda A, x: A + A.T,
            "kept buffer": quadratic_into(np.empty((n, n))),
            "kept buffer, tiles": quadratic_in_tiles(np.empty((n, n))),
        },
        jitted={"closed form": lambda A, x: A + A.T},
        work=Work(flops=n * n, moved=16 * n * n),
        ad_bytes=24 * n * n,
    )


def quadratic_into(out: Array) -> Function:
    return lambda A, x: np.add(A, A.T, out=out)


def quadratic_in_tiles(out: Array, side: int = 256) -> Function:
    def hessian(A: Array, x: Array) -> Array:
        n = len(A)
        for i in range(0, n, side):
            rows = slice(i, i + side)
            for j in range(i, n, side):
                columns = slice(j, j + side)
                tile = np.add(A[rows, columns], A[columns, rows].T, out=out[rows, columns])
                if j > i:
                    out[columns, rows] = tile.T
        return out

    return hessian


QUADRATIC = Problem(
    "quadratic",
    "Hessian, xᵀAx",
    "x @ A @ x",
    "A[n,n] x[n]",
    "x",
    lambda xp, A, x: x @ A @ x,
    quadratic_case,
    ((100,), (500,), (1500,), (3000,)),
    "n",
    lambda size: Floors(dense=15.0),
    order=2,
)


def quartic_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    return Case(
        {"A": rng.standard_normal((n, n)), "x": rng.standard_normal(n)},
        experts={"textbook": quartic_textbook, "rank 1 in place": quartic_rank_one},
        jitted={"closed form": quartic_jitted},
        work=Work(flops=6 * n * n, moved=16 * n * n),
        ad_bytes=24 * n * n,
    )


def quartic_textbook(A: Array, x: Array) -> Array:
    S = A + A.T
    g = S @ x
    return 2 * np.outer(g, g) + (g @ x) * S


def quartic_rank_one(A: Array, x: Array) -> Array:
    """Two products with a vector and an update in place; no second n × n array."""
    g = A @ x
    g += x @ A
    H = A + A.T
    H *= g @ x
    return blas.dger(2.0, g, g, a=H.T, overwrite_a=1)


def quartic_jitted(A: Any, x: Any) -> Any:
    S = A + A.T
    g = S @ x
    return 2 * JAX.outer(g, g) + (g @ x) * S


QUARTIC = Problem(
    "quartic",
    "Hessian, (xᵀAx)²",
    "(x @ A @ x)**2",
    "A[n,n] x[n]",
    "x",
    lambda xp, A, x: (x @ A @ x) ** 2,
    quartic_case,
    ((100,), (500,), (1500,), (3000,)),
    "n",
    lambda size: Floors(dense=5.0),
    order=2,
)


# ---------------------------------------------------------------- matrix factorisation


def factorisation_case(size: Size, rng: np.random.Generator) -> Case:
    n, k = size
    return Case(
        {
            "T": rng.standard_normal((n, n)),
            "U": rng.standard_normal((n, k)),
            "V": rng.standard_normal((n, k)),
        },
        experts={"einsum": factorisation_by_einsum, "scattered": factorisation_scattered},
        structured={"2VᵀV": lambda T, U, V: 2 * (V.T @ V)},
        jitted={"closed form": lambda T, U, V: JAX.einsum("ij,ab->iajb", JAX.eye(len(U)), 2 * (V.T @ V))},
        expand=lambda M: np.einsum("ij,ab->iajb", np.eye(n), M),
        work=Work(flops=n * k * k, moved=8 * (n * k) ** 2),
        structured_work=Work(flops=2 * n * k * k, moved=8 * (n * k + k * k)),
        ad_bytes=16.0 * n * k * n * n,
    )


def factorisation_by_einsum(T: Array, U: Array, V: Array) -> Array:
    return np.einsum("ij,ab->iajb", np.eye(len(U)), 2 * (V.T @ V))


def factorisation_scattered(T: Array, U: Array, V: Array) -> Array:
    n, k = U.shape
    H = np.zeros((n, k, n, k))
    i = np.arange(n)
    H[i, :, i, :] = 2 * (V.T @ V)
    return H


def factorisation_floors(size: Size) -> Floors:
    return Floors(dense=100.0, structured=1000.0) if size[0] >= 100 else Floors(dense=10.0, structured=35.0)


FACTORISATION = Problem(
    "factorisation",
    "Hessian, matrix factorisation by U",
    "sum((T - U @ V.T)**2)",
    "T[n,n] U[n,k] V[n,k]",
    "U",
    lambda xp, T, U, V: xp.sum((T - U @ V.T) ** 2),
    factorisation_case,
    ((20, 5), (50, 5), (100, 5), (200, 5), (1000, 5)),
    "n k",
    factorisation_floors,
    order=2,
)


# ---------------------------------------------------------------- a network by its first layer


def layer_case(size: Size, rng: np.random.Generator) -> Case:
    m, d, h = size
    return Case(
        {
            "X": rng.standard_normal((m, d)),
            "W": rng.standard_normal((d, h)) / math.sqrt(d),
            "v": rng.standard_normal(h) / math.sqrt(h),
            "y": rng.standard_normal(m),
        },
        experts={"einsum": layer_by_einsum, "Khatri-Rao, syrk": layer_by_syrk},
        jitted={"Khatri-Rao": layer_jitted},
        work=Work(
            flops=m * (d * h) ** 2 + 2 * m * d * d * h, moved=8 * (m * d + (d * h) ** 2), exponentials=m * h
        ),
        ad_bytes=24 * d * h * m * h,
    )


def layer_factors(X: Array, W: Array, v: Array, y: Array) -> tuple[Array, Array]:
    T = np.tanh(X @ W)
    first = (1 - T * T) * v
    return first, -2 * T * first * (T @ v - y)[:, None]


def layer_by_einsum(X: Array, W: Array, v: Array, y: Array) -> Array:
    first, second = layer_factors(X, W, v, y)
    H = np.einsum("ia,ip,ib,iq->apbq", X, first, X, first, optimize=True)
    H += np.einsum("ia,ip,ib,pq->apbq", X, second, X, np.eye(len(v)), optimize=True)
    return H


def layer_by_syrk(X: Array, W: Array, v: Array, y: Array) -> Array:
    """Rows xᵢ ⊗ sᵢ, their products as ZᵀZ, and the blocks on the diagonal added in place."""
    (m, d), h = X.shape, len(v)
    first, second = layer_factors(X, W, v, y)
    Z = (X[:, :, None] * first[:, None, :]).reshape(m, d * h)
    H = (Z.T @ Z).reshape(d, h, d, h)
    K = (X[:, :, None] * second[:, None, :]).reshape(m, d * h)
    blocks = (X.T @ K).reshape(d, d, h)
    i = np.arange(h)
    H[:, i, :, i] += blocks.transpose(2, 1, 0)
    return H


def layer_jitted(X: Any, W: Any, v: Any, y: Any) -> Any:
    (m, d), h = X.shape, len(v)
    T = JAX.tanh(X @ W)
    first = (1 - T * T) * v
    second = -2 * T * first * (T @ v - y)[:, None]
    Z = (X[:, :, None] * first[:, None, :]).reshape(m, d * h)
    H = (Z.T @ Z).reshape(d, h, d, h)
    K = (X[:, :, None] * second[:, None, :]).reshape(m, d * h)
    i = np.arange(h)
    return H.at[:, i, :, i].add((X.T @ K).reshape(d, d, h).transpose(2, 1, 0))


LAYER = Problem(
    "first_layer",
    "Hessian, small network by its first layer",
    "sum((tanh(X @ W) @ v - y)**2) / 2",
    "X[m,d] W[d,h] v[h] y[m]",
    "W",
    lambda xp, X, W, v, y: 0.5 * xp.sum((xp.tanh(X @ W) @ v - y) ** 2),
    layer_case,
    ((200, 10, 5), (500, 20, 10), (1000, 20, 20), (1000, 40, 30)),
    "m d h",
    lambda size: Floors(dense=6.0 if size[1] * size[2] >= 200 else 1.5),
    order=2,
)


# ---------------------------------------------------------------- log-determinant


def logdet_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    return Case(
        {"S": spd(n, rng)},
        experts={"einsum": logdet_by_einsum, "broadcast": logdet_by_broadcast},
        structured={"inverse": np.linalg.inv},
        jitted={"closed form": lambda S: -JAX.einsum("jk,li->ijkl", JAX.inv(S), JAX.inv(S))},
        expand=lambda P: -np.einsum("jk,li->ijkl", P, P),
        work=Work(flops=2 * n**3 + n**4, moved=8 * n**4),
        structured_work=Work(flops=2 * n**3, moved=16 * n * n),
        ad_bytes=24 * n**4,
    )


def logdet_by_einsum(S: Array) -> Array:
    P = np.linalg.inv(S)
    return -np.einsum("jk,li->ijkl", P, P)


def logdet_by_broadcast(S: Array) -> Array:
    n = len(S)
    P = np.linalg.inv(S)
    return -P.T.reshape(1, n, n, 1).transpose(0, 2, 1, 3) * P.T.reshape(n, 1, 1, n)


LOGDET = Problem(
    "logdet",
    "Hessian, logdet",
    "logdet(S)",
    "S[n,n]",
    "S",
    lambda xp, S: xp.logdet(S),
    logdet_case,
    ((10,), (20,), (40,), (60,)),
    "n",
    lambda size: Floors(dense=7.0, structured=100.0 if size[0] >= 20 else None),
    order=2,
)

HESSIANS = (LOGISTIC, QUADRATIC, QUARTIC, FACTORISATION, LAYER, LOGDET)
