"""Factorisations that the rows evaluate, for real arrays and, analytically continued, for complex ones.

In: arrays, and `xp`, which is NumPy. Out: arrays. LAPACK conjugates, so it has no use for the complex
step: there the factors are continued from those of the real part, with transposes in place of adjoints.
"""

from __future__ import annotations

from math import ceil, log2
from typing import Any

STEPS = 30  # of Newton's method; it doubles the digits, so few are needed


def transposed(xp: Any, X: Any) -> Any:
    """The last two axes exchanged."""
    return xp.swapaxes(X, -1, -2)


def symmetric_part(xp: Any, A: Any) -> Any:
    """(A + Aᵀ)/2."""
    return (A + transposed(xp, A)) / 2


def is_complex(A: Any) -> bool:
    """Whether the entries are complex numbers."""
    return bool(A.dtype.kind == "c")


def cholesky(xp: Any, A: Any) -> Any:
    """The lower L with L Lᵀ = (A + Aᵀ)/2."""
    S = symmetric_part(xp, A)
    if not is_complex(S):
        return xp.linalg.cholesky(S)
    L = xp.zeros_like(S)
    for j in range(S.shape[-1]):
        rest = S[..., j:, j] - xp.einsum("...ik,...k->...i", L[..., j:, :j], L[..., j, :j])
        L[..., j:, j] = rest / xp.sqrt(rest[..., :1])
    return L


def pinv(xp: Any, X: Any) -> Any:
    """The pseudo-inverse of a matrix of full rank."""
    if not is_complex(X):
        return xp.linalg.pinv(X)
    Xt = transposed(xp, X)
    if X.shape[-2] < X.shape[-1]:
        return Xt @ xp.linalg.inv(X @ Xt)
    return xp.linalg.inv(Xt @ X) @ Xt


def eigen(xp: Any, A: Any) -> tuple[Any, Any]:
    """Eigenvalues, ascending, and orthonormal eigenvectors (columns) of (A + Aᵀ)/2."""
    S = symmetric_part(xp, A)
    values, vectors = xp.linalg.eigh(xp.real(S))
    vectors = vectors * signs(xp, vectors)
    return _continued(xp, S, values, vectors) if is_complex(S) else (values, vectors)


def singular(xp: Any, X: Any) -> tuple[Any, Any, Any]:
    """U, σ, V of the thin singular value decomposition X = U diag(σ) Vᵀ, σ descending."""
    U, s, Vt = xp.linalg.svd(xp.real(X), full_matrices=False)
    turned = signs(xp, U)
    U, V = U * turned, transposed(xp, Vt) * turned
    if not is_complex(X):
        return U, s, V
    m, n = X.shape[-2:]
    S = xp.zeros((*X.shape[:-2], m + n, m + n), X.dtype)
    S[..., :m, m:] = X
    S[..., m:, :m] = transposed(xp, X)
    start = xp.concatenate([U, V], axis=-2) / 2**0.5
    values, vectors = _continued(xp, S, s, start)
    vectors = vectors * 2**0.5
    return vectors[..., :m, :], values, vectors[..., m:, :]


def signs(xp: Any, V: Any) -> Any:
    """For each column 1 or −1, which makes its entry of largest absolute value positive."""
    largest = xp.abs(V).argmax(axis=-2)[..., None, :]
    return xp.where(xp.take_along_axis(V, largest, axis=-2) < 0, -1.0, 1.0)


def _continued(xp: Any, S: Any, values: Any, vectors: Any) -> tuple[Any, Any]:
    """Eigenpairs of a complex symmetric S near those given, by Newton's method on Sv = λv, vᵀv = 1."""
    n, found_values, found_vectors = S.shape[-1], [], []
    for k in range(values.shape[-1]):
        value, vector = values[..., k].astype(S.dtype), vectors[..., k].astype(S.dtype)
        for _ in range(STEPS):
            matrix = xp.zeros((*S.shape[:-2], n + 1, n + 1), S.dtype)
            matrix[..., :n, :n] = S - value[..., None, None] * xp.eye(n)
            matrix[..., :n, n], matrix[..., n, :n] = -vector, vector
            wrong = xp.zeros((*S.shape[:-2], n + 1), S.dtype)
            wrong[..., :n] = xp.einsum("...ij,...j->...i", matrix[..., :n, :n], vector)
            wrong[..., n] = ((vector * vector).sum(axis=-1) - 1) / 2
            change = xp.linalg.solve(matrix, wrong[..., None])[..., 0]
            vector, value = vector - change[..., :n], value - change[..., n]
            if xp.abs(change).max(initial=0.0) < 1e-12:
                break
        found_values.append(value)
        found_vectors.append(vector)
    return xp.stack(found_values, axis=-1), xp.stack(found_vectors, axis=-1)


def polar(xp: Any, X: Any) -> Any:
    """U Vᵀ of X = U diag(σ) Vᵀ, of full rank, by Newton's method Q ← (Q + Q⁺ᵀ)/2.

    Source: Higham 2008, Functions of Matrices, section 8.3.
    """
    if not is_complex(X):
        U, _, V = singular(xp, X)
        return U @ transposed(xp, V)
    Q = X
    for _ in range(2 * STEPS):
        change = (transposed(xp, pinv(xp, Q)) - Q) / 2
        Q = Q + change
        if xp.abs(change).max(initial=0.0) < 1e-14:
            break
    return Q


def polar_frechet(xp: Any, X: Any, E: Any) -> Any:
    """The derivative of the polar factor at X along E, from H Ω + Ω H = QᵀE − EᵀQ with H = QᵀX."""
    if X.shape[-2] < X.shape[-1]:
        return transposed(xp, polar_frechet(xp, transposed(xp, X), transposed(xp, E)))
    Q, n, eye = polar(xp, X), X.shape[-1], xp.eye(X.shape[-1])
    Qt = transposed(xp, Q)
    H, R = Qt @ X, Qt @ E - transposed(xp, E) @ Q
    both = xp.einsum("...ij,kl->...ikjl", H, eye) + xp.einsum("ij,...lk->...ikjl", eye, H)
    system = both.reshape((*H.shape[:-2], n * n, n * n))
    turn = xp.linalg.solve(system, R.reshape((*R.shape[:-2], n * n, 1))).reshape(R.shape)
    return Q @ turn + (E - Q @ (Qt @ E)) @ xp.linalg.inv(H)


PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
    670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip


def expm(xp: Any, X: Any) -> Any:
    """The matrix exponential, by scaling, a quotient of polynomials of degree 13, and squaring.

    Source: Higham 2005, The scaling and squaring method for the matrix exponential revisited.
    """
    size = float(xp.abs(X).sum(axis=-1).max(initial=0.0))
    if not size < 2**12:
        return xp.full(X.shape, xp.nan)
    halvings = max(0, ceil(log2(size / 5))) if size > 5 else 0
    A, eye = X / 2**halvings, xp.eye(X.shape[-1])
    squares = [eye, A @ A]
    for _ in range(5):
        squares.append(squares[-1] @ squares[1])
    even = sum(c * S for c, S in zip(PADE[::2], squares, strict=True))
    odd = A @ sum(c * S for c, S in zip(PADE[1::2], squares, strict=True))
    result = xp.linalg.solve(even - odd, even + odd)
    for _ in range(halvings):
        result = result @ result
    return result


def expm_frechet(xp: Any, X: Any, *directions: Any) -> Any:
    """The derivative of expm at X along each of the directions in turn.

    It is the upper right block of expm([[X, E], [0, X]]). Source: Higham and Relton 2014.
    """
    if not directions:
        return expm(xp, X)
    n = X.shape[-1]
    first, *others = directions
    M = _blocks(xp, X, first)
    doubled = [_blocks(xp, E, xp.zeros_like(E)) for E in others]
    return expm_frechet(xp, M, *doubled)[..., :n, n:]


def _blocks(xp: Any, X: Any, E: Any) -> Any:
    """[[X, E], [0, X]]."""
    below = xp.concatenate([xp.zeros_like(X), X], axis=-1)
    return xp.concatenate([xp.concatenate([X, E], axis=-1), below], axis=-2)
