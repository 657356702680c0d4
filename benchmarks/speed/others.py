"""Eight derivatives that no mechanism was written for, to see whether other formulas gain the same way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack
from scipy.special import expit, softmax

from benchmarks.speed.machine import Work
from benchmarks.speed.problem import Array, Case, Problem, Size

# ---------------------------------------------------------------- Poisson regression


def poisson_case(size: Size, rng: np.random.Generator) -> Case:
    m, n = size
    return Case(
        {
            "X": rng.standard_normal((m, n)),
            "w": rng.standard_normal(n) / math.sqrt(n),
            "y": rng.poisson(2.0, m).astype(float),
        },
        experts={
            "gemm": lambda X, w, y: X.T @ (np.exp(X @ w)[:, None] * X),
            "syrk": poisson_by_syrk,
        },
        work=Work(flops=m * n * n, moved=8 * (m * n + n * n), exponentials=m),
        ad_bytes=24 * m * n,
    )


def poisson_by_syrk(X: Array, w: Array, y: Array) -> Array:
    Z = np.exp(0.5 * (X @ w))[:, None] * X
    return Z.T @ Z


POISSON = Problem(
    "poisson",
    "Hessian, Poisson regression",
    "sum(exp(X @ w) - y * (X @ w))",
    "X[m,n] w[n] y[m]",
    "w",
    lambda xp, X, w, y: xp.sum(xp.exp(X @ w) - y * (X @ w)),
    poisson_case,
    ((200, 100), (1000, 500), (2000, 1000)),
    "m n",
    order=2,
    own=True,
)


# ---------------------------------------------------------------- Huber regression with a ridge


def huber_case(size: Size, rng: np.random.Generator) -> Case:
    N, n = size
    X, w = rng.standard_normal((N, n)), rng.standard_normal(n) / math.sqrt(n)
    return Case(
        {"X": X, "w": w, "y": X @ w + 2 * rng.standard_normal(N), "c": np.float64(0.3)},
        experts={"clipped": huber_clipped, "row blocks": huber_in_row_blocks},
        work=Work(flops=4 * N * n, moved=8 * N * (n + 1)),
    )


def huber_clipped(X: Array, w: Array, y: Array, c: Array) -> Array:
    r = X @ w
    r -= y
    np.clip(r, -1.0, 1.0, out=r)
    g = r @ X
    g += 2 * c * w
    return g


def huber_in_row_blocks(X: Array, w: Array, y: Array, c: Array, rows: int = 2048) -> Array:
    g = 2 * c * w
    for i in range(0, len(y), rows):
        part = X[i : i + rows]
        r = part @ w
        r -= y[i : i + rows]
        np.clip(r, -1.0, 1.0, out=r)
        g += r @ part
    return g


def huber_loss(xp: Any, X: Any, w: Any, y: Any, c: Any) -> Any:
    r = xp.abs(X @ w - y)
    return xp.sum(xp.where(r <= 1.0, 0.5 * r * r, r - 0.5)) + c * xp.sum(w**2)


HUBER = Problem(
    "huber",
    "gradient, Huber regression with a ridge",
    "sum(huber(X @ w - y, 1)) + c * sum(w**2)",
    "X[N,n] w[n] y[N] c",
    "w",
    huber_loss,
    huber_case,
    ((1000, 100), (100_000, 100), (1_000_000, 50)),
    "N n",
    fused=True,
    own=True,
)


# ---------------------------------------------------------------- a learned metric


def metric_case(size: Size, rng: np.random.Generator) -> Case:
    N, n = size
    Q = rng.standard_normal((n, n))
    return Case(
        {
            "M": Q @ Q.T / n,
            "D": rng.standard_normal((N, n)) / math.sqrt(n),
            "s": np.sign(rng.standard_normal(N)),
        },
        experts={"two products": metric_textbook, "in place": metric_in_place},
        work=Work(flops=4 * N * n * n, moved=8 * (N * n + 2 * n * n), exponentials=N),
    )


def metric_textbook(M: Array, D: Array, s: Array) -> Array:
    q = np.einsum("ij,jk,ik->i", D, M, D, optimize=True)
    return D.T @ ((expit(1 + s * (q - 1)) * s)[:, None] * D)


def metric_in_place(M: Array, D: Array, s: Array) -> Array:
    Z = D @ M
    Z *= D
    z = Z.sum(1)
    z -= 1
    z *= s
    z += 1
    np.multiply(D, (expit(z) * s)[:, None], out=Z)
    return D.T @ Z


METRIC = Problem(
    "metric",
    "gradient, learned Mahalanobis metric",
    "sum(log(1 + exp(1 + s * (sum(D @ M * D, axis=1) - 1))))",
    "M[n,n] D[N,n] s[N]",
    "M",
    lambda xp, M, D, s: xp.sum(xp.softplus(1 + s * ((D @ M * D).sum(1) - 1))),
    metric_case,
    ((500, 20), (5000, 100), (50_000, 50)),
    "N n",
    own=True,
)


# ---------------------------------------------------------------- Gaussian process


def process_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    t = np.sort(rng.uniform(0, 10, n))
    return Case(
        {"R": (t[:, None] - t) ** 2, "y": np.sin(t), "l": np.float64(0.7)},
        experts={"inv": process_by_inverse, "Cholesky": process_by_cholesky},
        work=Work(flops=n**3 + 2 * n * n, moved=16 * n * n, exponentials=n * n),
    )


def process_by_inverse(R: Array, y: Array, l: Array) -> Any:  # noqa: E741
    n = len(y)
    K = np.exp(-R / (2 * l**2))
    slope = K * R / l**3
    P = np.linalg.inv(K + 0.1 * np.eye(n))
    a = P @ y
    return 0.5 * (np.sum(P * slope) - a @ slope @ a)


def process_by_cholesky(R: Array, y: Array, l: Array) -> Any:  # noqa: E741
    K = R * (-0.5 / l**2)
    np.exp(K, out=K)
    slope = K * R
    K.ravel()[:: len(y) + 1] += 0.1
    L, _ = lapack.dpotrf(K.T, lower=1, overwrite_a=1)
    a, _ = lapack.dpotrs(L, y, lower=1)
    P, _ = lapack.dpotri(L, lower=1, overwrite_c=1)
    low = np.tril(P)
    twice = 2 * np.vdot(low.T, slope) - np.diagonal(P) @ np.diagonal(slope)
    return 0.5 * (twice - a @ (slope @ a)) / l**3


def process_loss(xp: Any, R: Any, y: Any, l: Any) -> Any:  # noqa: E741
    K = xp.exp(-R / (2 * l**2)) + 0.1 * xp.eye(len(y))
    return 0.5 * (y @ xp.solve(K, y) + xp.logdet(K))


PROCESS = Problem(
    "gaussian_process",
    "gradient, Gaussian process by length scale",
    "(y @ inv(exp(-R / (2 * l**2)) + 0.1 * eye(n)) @ y + logdet(exp(-R / (2 * l**2)) + 0.1 * eye(n))) / 2",
    "R[n,n]:symmetric y[n] l:positive",
    "l",
    process_loss,
    process_case,
    ((50,), (200,), (1000,)),
    "n",
    own=True,
)


# ---------------------------------------------------------------- softmax regression


def classes_case(size: Size, rng: np.random.Generator) -> Case:
    N, n, k = size
    return Case(
        {
            "X": rng.standard_normal((N, n)),
            "W": rng.standard_normal((n, k)) / math.sqrt(n),
            "Y": np.eye(k)[rng.integers(k, size=N)],
        },
        experts={"einsum": classes_by_einsum, "Khatri-Rao": classes_by_khatri_rao},
        work=Work(flops=N * (n * k) ** 2, moved=8 * (N * (n + k) + (n * k) ** 2), exponentials=N * k),
        ad_bytes=24 * n * k * N * k,
    )


def classes_by_einsum(X: Array, W: Array, Y: Array) -> Array:
    P = softmax(X @ W, axis=1)
    blocks = P[:, :, None] * (np.eye(P.shape[1]) - P[:, None, :])
    return np.einsum("ia,ipq,ib->apbq", X, blocks, X, optimize=True)


def classes_by_khatri_rao(X: Array, W: Array, Y: Array) -> Array:
    (N, n), k = X.shape, W.shape[1]
    P = softmax(X @ W, axis=1)
    Z = (X[:, :, None] * P[:, None, :]).reshape(N, n * k)
    H = Z.T @ Z
    np.negative(H, out=H)
    H = H.reshape(n, k, n, k)
    p = np.arange(k)
    H[:, p, :, p] += (X.T @ Z).reshape(n, n, k).transpose(2, 1, 0)
    return H


CLASSES = Problem(
    "softmax_regression",
    "Hessian, softmax regression",
    "sum(logsumexp(X @ W, axis=1)) - sum(Y * (X @ W))",
    "X[N,n] W[n,k] Y[N,k]",
    "W",
    lambda xp, X, W, Y: xp.sum(xp.logsumexp(X @ W)) - xp.sum(Y * (X @ W)),
    classes_case,
    ((200, 10, 3), (1000, 20, 10), (2000, 40, 10)),
    "N n k",
    order=2,
    own=True,
)


# ---------------------------------------------------------------- a bilinear form


def bilinear_case(size: Size, rng: np.random.Generator) -> Case:
    m, n = size
    return Case(
        {
            "A": rng.standard_normal((m, n)) / math.sqrt(m * n),
            "u": rng.standard_normal(m),
            "v": rng.standard_normal(n),
        },
        experts={"einsum": bilinear_by_einsum, "outer": bilinear_by_outer},
        work=Work(flops=(m * n) ** 2, moved=8 * (m * n) ** 2),
        ad_bytes=24 * (m * n) ** 2,
    )


def bilinear_by_einsum(A: Array, u: Array, v: Array) -> Array:
    return -np.sin(u @ A @ v) * np.einsum("i,j,k,l->ijkl", u, v, u, v)


def bilinear_by_outer(A: Array, u: Array, v: Array) -> Array:
    g = np.outer(u, v).ravel()
    return np.multiply.outer(-math.sin(u @ A @ v) * g, g).reshape(A.shape * 2)


BILINEAR = Problem(
    "bilinear",
    "Hessian, sin(uᵀAv) by A",
    "sin(u @ A @ v)",
    "A[m,n] u[m] v[n]",
    "A",
    lambda xp, A, u, v: xp.sin(u @ A @ v),
    bilinear_case,
    ((10, 8), (30, 20), (60, 50)),
    "m n",
    order=2,
    own=True,
)


# ---------------------------------------------------------------- a step of Sinkhorn's iteration


def sinkhorn_case(size: Size, rng: np.random.Generator) -> Case:
    m, n = size
    return Case(
        {
            "K": np.exp(-rng.uniform(0, 3, (m, n))),
            "a": rng.uniform(0.5, 1.5, m) / m,
            "b": rng.uniform(0.5, 1.5, n) / n,
            "u": rng.uniform(0.5, 1.5, m),
        },
        experts={"gemm": sinkhorn_by_gemm, "syrk": sinkhorn_by_syrk},
        work=Work(flops=m * m * n, moved=8 * (m * n + m * m)),
        ad_bytes=24 * m * (m + n),
    )


def sinkhorn_by_gemm(K: Array, a: Array, b: Array, u: Array) -> Array:
    s = u @ K
    v = b / s
    r = K @ v
    return (a / r**2)[:, None] * (K * (v / s)) @ K.T


def sinkhorn_by_syrk(K: Array, a: Array, b: Array, u: Array) -> Array:
    s = u @ K
    v = b / s
    r = K @ v
    Z = K * np.sqrt(v / s)
    J = Z @ Z.T
    J *= (a / r**2)[:, None]
    return J


SINKHORN = Problem(
    "sinkhorn",
    "Jacobian, step of Sinkhorn's iteration",
    "a / (K @ (b / (K.T @ u)))",
    "K[m,n]:positive a[m]:positive b[n]:positive u[m]:positive",
    "u",
    lambda xp, K, a, b, u: a / (K @ (b / (K.T @ u))),
    sinkhorn_case,
    ((50, 40), (400, 300), (1500, 1000)),
    "m n",
    scalar=False,
    own=True,
)


# ---------------------------------------------------------------- root mean square normalisation


def rms_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    out = np.empty((n, n))

    def kept(x: Array, g: Array) -> Array:
        steep, z, scaled = rms_factors(x, g)
        np.multiply(steep[:, None], z, out=out)
        out.ravel()[:: n + 1] += scaled
        return out

    return Case(
        {"x": rng.standard_normal(n), "g": rng.standard_normal(n)},
        experts={"textbook": rms_textbook, "rank 1 update": rms_by_ger, "kept buffer": kept},
        work=Work(flops=2 * n * n, moved=8 * n * n),
        structured_work=Work(flops=8 * n, moved=32 * n),
        ad_bytes=32 * n * n,
    )


def rms_factors(x: Array, g: Array) -> tuple[Array, Array, Array]:
    s = math.sqrt((x @ x) / len(x) + 1e-5)
    z, scaled = x / s, g / s
    return scaled * z / -len(x), z, scaled


def rms_textbook(x: Array, g: Array) -> Array:
    n = len(x)
    s = math.sqrt((x @ x) / n + 1e-5)
    return g[:, None] * (np.eye(n) / s - np.outer(x, x) / (n * s**3))


def rms_by_ger(x: Array, g: Array) -> Array:
    steep, z, scaled = rms_factors(x, g)
    J = np.zeros((len(x), len(x)))
    J.ravel()[:: len(x) + 1] = scaled
    return blas.dger(1.0, z, steep, a=J.T, overwrite_a=1).T


RMS = Problem(
    "rmsnorm",
    "Jacobian, rmsnorm",
    "g * x / sqrt(mean(x**2) + 1e-5)",
    "x[n] g[n]",
    "x",
    lambda xp, x, g: g * x / xp.sqrt(xp.mean(x**2) + 1e-5),
    rms_case,
    ((100,), (1000,), (4000,)),
    "n",
    scalar=False,
    own=True,
)

OTHERS = (POISSON, HUBER, METRIC, PROCESS, CLASSES, BILINEAR, SINKHORN, RMS)
