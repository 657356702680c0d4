"""Gradients: a ReLU neuron, networks, attention, two log-determinants; an expert's code beside each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import linalg
from scipy.linalg import blas, lapack

from benchmarks.speed.machine import Work
from benchmarks.speed.names import JAX
from benchmarks.speed.problem import Array, Case, Floors, Function, Problem, Size, spd, with_numba

ROWS = 2048  # of a large matrix that stay in cache with what belongs to them


# ---------------------------------------------------------------- ReLU neuron


def neuron_case(size: Size, rng: np.random.Generator) -> Case:
    N, n = size
    X, w = rng.standard_normal((N, n)), rng.standard_normal(n) / math.sqrt(n)
    y = np.abs(rng.standard_normal(N))
    return Case(
        {"X": X, "w": w, "b": np.float64(0.1), "y": y},
        experts={
            "textbook": neuron_textbook,
            "in place": neuron_in_place,
            "row blocks": neuron_in_row_blocks(min(ROWS, N)),
        },
        jitted={"closed form": neuron_jitted},
        compiled=with_numba("one pass", neuron_one_pass),
        work=Work(flops=4 * N * n, moved=8 * (N * n + N)),
    )


def neuron_textbook(X: Array, w: Array, b: Array, y: Array) -> Any:
    z = X @ w + b
    r = (np.maximum(z, 0) - y) * (z > 0)
    return 2 / len(y) * (X.T @ r), 2 / len(y) * r.sum()


def neuron_in_place(X: Array, w: Array, b: Array, y: Array) -> Any:
    z = X @ w
    z += b
    on = z > 0
    z -= y
    z *= on
    g = z @ X
    g *= 2 / len(y)
    return g, 2 / len(y) * z.sum()


def neuron_in_row_blocks(rows: int) -> Function:
    """X passes through the cache once, not twice."""
    buffer = np.empty(rows)

    def gradient(X: Array, w: Array, b: Array, y: Array) -> Any:
        g, gb = np.zeros(X.shape[1]), 0.0
        for i in range(0, len(y), rows):
            part = X[i : i + rows]
            z = buffer[: len(part)]
            np.dot(part, w, out=z)
            z += b
            on = z > 0
            z -= y[i : i + rows]
            z *= on
            g += z @ part
            gb += z.sum()
        return g * (2 / len(y)), gb * (2 / len(y))

    return gradient


def neuron_jitted(X: Any, w: Any, b: Any, y: Any) -> Any:
    z = X @ w + b
    r = JAX.where(z > 0, z - y, 0.0)
    return 2 / len(y) * (r @ X), 2 / len(y) * r.sum()


def neuron_one_pass(numba: Any) -> Function:
    """Each row of X is read once and used twice."""

    @numba.njit(fastmath=True)
    def gradient(X: Any, w: Any, b: Any, y: Any) -> Any:
        N, n = X.shape
        g, gb = np.zeros(n), 0.0
        for i in range(N):
            z = b
            for j in range(n):
                z += X[i, j] * w[j]
            if z > 0:
                r = z - y[i]
                gb += r
                for j in range(n):
                    g[j] += r * X[i, j]
        return g * (2 / N), gb * (2 / N)

    return gradient


def neuron_floors(size: Size) -> Floors:
    return Floors(dense=1.2 if size[0] * size[1] <= 1_000_000 else 1.7, jax=1 / 1.25)


NEURON = Problem(
    "neuron",
    "gradient, ReLU neuron",
    "mean((y - relu(X @ w + b))**2)",
    "X[N,n] w[n] b y[N]",
    "w,b",
    lambda xp, X, w, b, y: xp.mean((y - xp.relu(X @ w + b)) ** 2),
    neuron_case,
    ((1000, 100), (10_000, 100), (100_000, 100), (1_000_000, 100)),
    "N n",
    neuron_floors,
    fused=True,
)


# ---------------------------------------------------------------- networks


def network(depth: int, small: float) -> Problem:
    """The mean squared error of a network of tanh layers, the last one linear."""
    weights = [f"W{k}" for k in range(1, depth + 1)]
    formula = "X"
    for W in weights[:-1]:
        formula = f"tanh({formula} @ {W})"

    def model(xp: Any, X: Any, Y: Any, *Ws: Any) -> Any:
        for W in Ws[:-1]:
            X = xp.tanh(X @ W)
        return xp.mean((X @ Ws[-1] - Y) ** 2)

    def case(size: Size, rng: np.random.Generator) -> Case:
        B, h = size
        arrays = {"X": rng.standard_normal((B, h)), "Y": rng.standard_normal((B, h))}
        for W in weights:
            arrays[W] = rng.standard_normal((h, h)) / math.sqrt(h)
        return Case(
            arrays,
            experts={"in place": network_in_place},
            jitted={"closed form": network_jitted},
            work=Work(
                flops=2 * B * h * h * (3 * depth - 1),
                moved=8 * (2 * B * h + 2 * depth * h * h),
                exponentials=(depth - 1) * B * h,
            ),
        )

    def floors(size: Size) -> Floors:
        return Floors(dense=small if size[1] < 128 else 0.8 if size[1] < 512 else 0.9, jax=1 / 1.25)

    return Problem(
        f"mlp{depth}",
        f"gradient, network of {depth} layers",
        f"mean(({formula} @ {weights[-1]} - Y)**2)",
        f"X[B,h] Y[B,h] {' '.join(f'{W}[h,h]' for W in weights)}",
        ",".join(weights),
        model,
        case,
        ((32, 32), (128, 128), (512, 512), (1024, 1024)),
        "B h",
        floors,
    )


def network_in_place(X: Array, Y: Array, *Ws: Array) -> Any:
    layers = [X]
    for W in Ws[:-1]:
        z = layers[-1] @ W
        layers.append(np.tanh(z, out=z))
    delta = layers[-1] @ Ws[-1]
    delta -= Y
    delta *= 2 / delta.size
    gradients = []
    for k in range(len(Ws) - 1, -1, -1):
        h = layers[k]
        gradients.append(h.T @ delta)
        if k:
            delta = delta @ Ws[k].T
            slope = h * h
            np.subtract(1.0, slope, out=slope)
            delta *= slope
    return tuple(gradients[::-1])


def network_jitted(X: Any, Y: Any, *Ws: Any) -> Any:
    layers = [X]
    for W in Ws[:-1]:
        layers.append(JAX.tanh(layers[-1] @ W))
    delta = (layers[-1] @ Ws[-1] - Y) * (2 / Y.size)
    gradients = []
    for k in range(len(Ws) - 1, -1, -1):
        gradients.append(layers[k].T @ delta)
        if k:
            delta = (delta @ Ws[k].T) * (1 - layers[k] ** 2)
    return tuple(gradients[::-1])


# ---------------------------------------------------------------- attention


def attention_case(size: Size, rng: np.random.Generator) -> Case:
    n, d = size
    return Case(
        {name: rng.standard_normal((n, d)) for name in "QKVY"},
        experts={"in place": attention_in_place, "query blocks": attention_in_query_blocks},
        jitted={"closed form": attention_jitted},
        work=Work(flops=8 * n * n * d, moved=8 * 5 * n * d, exponentials=n * n),
    )


def attention_in_place(Q: Array, K: Array, V: Array, Y: Array) -> Array:
    scale = 1 / math.sqrt(Q.shape[1])
    P = Q @ K.T
    P *= scale
    P -= P.max(1, keepdims=True)
    np.exp(P, out=P)
    P /= P.sum(1, keepdims=True)
    O = P @ V  # noqa: E741
    D = O - Y
    dP = D @ V.T
    dP -= np.einsum("ij,ij->i", D, O)[:, None]
    dP *= P
    G = dP.T @ Q
    G *= scale
    return G


def attention_in_query_blocks(Q: Array, K: Array, V: Array, Y: Array, rows: int = 128) -> Array:
    """The n × n scores never leave the cache."""
    scale = 1 / math.sqrt(Q.shape[1])
    G = np.zeros_like(K)
    for i in range(0, len(Q), rows):
        part = Q[i : i + rows]
        P = part @ K.T
        P *= scale
        P -= P.max(1, keepdims=True)
        np.exp(P, out=P)
        total = P.sum(1, keepdims=True)
        O = P @ V  # noqa: E741
        O /= total  # noqa: E741
        D = O - Y[i : i + rows]
        dP = D @ V.T
        dP -= np.einsum("ij,ij->i", D, O)[:, None]
        dP *= P
        G += dP.T @ (part * (scale / total))
    return G


def attention_jitted(Q: Any, K: Any, V: Any, Y: Any) -> Any:
    scale = 1 / math.sqrt(Q.shape[1])
    P = JAX.softmax(Q @ K.T * scale)
    O = P @ V  # noqa: E741
    D = O - Y
    dS = P * (D @ V.T - (D * O).sum(1, keepdims=True))
    return dS.T @ Q * scale


ATTENTION = Problem(
    "attention",
    "gradient, attention by K",
    "sum((softmax(Q @ K.T / sqrt(d), axis=1) @ V - Y)**2) / 2",
    "Q[n,d] K[n,d] V[n,d] Y[n,d]",
    "K",
    lambda xp, Q, K, V, Y: 0.5 * xp.sum((xp.softmax(Q @ K.T / math.sqrt(Q.shape[1])) @ V - Y) ** 2),
    attention_case,
    ((64, 64), (256, 64), (1024, 64), (2048, 64)),
    "n d",
    lambda size: Floors(dense=0.8 if size[0] <= 1024 else 1.3, jax=1 / 1.25),
)


# ---------------------------------------------------------------- log-determinants


def gram_case(size: Size, rng: np.random.Generator) -> Case:
    m, n = size
    return Case(
        {"X": rng.standard_normal((m, n))},
        experts={"inv": gram_by_inverse, "cho_solve": gram_by_solve, "potri, symm": gram_by_cholesky},
        jitted={"Cholesky": gram_jitted},
        work=Work(flops=m * n * n + n**3 / 3 + 2 * m * n * n, moved=16 * m * n),
    )


def gram_by_inverse(X: Array) -> Array:
    return 2 * X @ np.linalg.inv(X.T @ X + np.eye(X.shape[1]))


def gram_by_solve(X: Array) -> Array:
    G = X.T @ X
    G.ravel()[:: X.shape[1] + 1] += 1
    factor = linalg.cho_factor(G.T, lower=True, overwrite_a=True, check_finite=False)
    return 2 * linalg.cho_solve(factor, X.T, check_finite=False).T


def gram_by_cholesky(X: Array) -> Array:
    G = X.T @ X
    G.ravel()[:: X.shape[1] + 1] += 1
    L, _ = lapack.dpotrf(G.T, lower=1, overwrite_a=1)
    P, _ = lapack.dpotri(L, lower=1, overwrite_c=1)
    return blas.dsymm(2.0, P, X.T, lower=1).T


def gram_jitted(X: Any) -> Any:
    from jax.scipy.linalg import cho_factor, cho_solve

    return 2 * cho_solve(cho_factor(X.T @ X + JAX.eye(X.shape[1])), X.T).T


GRAM = Problem(
    "logdet_gram",
    "gradient, logdet(XᵀX + I)",
    "logdet(X.T @ X + eye(n))",
    "X[m,n]",
    "X",
    lambda xp, X: xp.logdet(X.T @ X + xp.eye(X.shape[1])),
    gram_case,
    ((100, 20), (500, 100), (2000, 400), (4000, 1000)),
    "m n",
    lambda size: Floors(dense=1.5, jax=1 / 1.25),
)


def gaussian_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    return Case(
        {"S": spd(n, rng), "C": spd(n, rng)},
        experts={"inv": gaussian_by_inverse, "potrf, potri": gaussian_by_cholesky},
        jitted={"closed form": gaussian_jitted},
        work=Work(flops=5 * n**3, moved=24 * n * n),
    )


def gaussian_by_inverse(S: Array, C: Array) -> Array:
    P = np.linalg.inv(S)
    return 0.5 * (P - P @ C @ P).T


def gaussian_by_cholesky(S: Array, C: Array) -> Array:
    """One factorisation, the inverse of it, two products with a symmetric matrix."""
    L, _ = lapack.dpotrf(S.T, lower=1)
    P, _ = lapack.dpotri(L, lower=1, overwrite_c=1)
    W = blas.dsymm(1.0, P, C.T, lower=1)
    G = blas.dsymm(-0.5, P, W, side=1, lower=1)
    low = np.tril(P)
    G += 0.5 * (low + np.tril(low, -1).T)
    return G


def gaussian_jitted(S: Any, C: Any) -> Any:
    P = JAX.inv(S)
    return 0.5 * (P - P @ C @ P).T


GAUSSIAN = Problem(
    "gaussian_nll",
    "gradient, Gaussian NLL by covariance",
    "(logdet(S) + trace(inv(S) @ C)) / 2",
    "S[n,n]:spd C[n,n]:symmetric",
    "S",
    lambda xp, S, C: 0.5 * (xp.logdet(S) + xp.trace(xp.solve(S, C))),
    gaussian_case,
    ((20,), (100,), (400,), (1000,)),
    "n",
    lambda size: Floors(dense=1.5, jax=1 / 1.25),
)

GRADIENTS = (NEURON, network(2, 1.3), network(4, 1.15), ATTENTION, GRAM, GAUSSIAN)
