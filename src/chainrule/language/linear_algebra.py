"""The functions of linear algebra: triangles, factors, eigenvalues, singular values, expm, inner products.

In: expressions (or numbers). Out: expressions. `functions` says how the parser passes arguments to each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr import nodes
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, as_expr, require_same
from chainrule.rules import exponential, factors, spectral
from chainrule.rules.table import Tensorial


def _on_matrix(row: Tensorial, doc: str) -> Callable[[Any], Expr]:
    def build(X: Any) -> Expr:
        return Apply(row, (as_expr(X),))

    build.__name__ = row.name
    build.__doc__ = doc
    return build


cholesky = _on_matrix(factors.cholesky, "The lower triangular L with L Lᵀ = (A + Aᵀ)/2, positive definite.")
pinv = _on_matrix(factors.pinv, "The pseudo-inverse of a matrix of full rank.")
eigvalsh = _on_matrix(spectral.eigvalsh, "The eigenvalues of (A + Aᵀ)/2, ascending.")
eigvecsh = _on_matrix(
    spectral.eigvecsh, "The eigenvectors of (A + Aᵀ)/2 as columns, in the order of eigvalsh."
)
svdvals = _on_matrix(spectral.svdvals, "The singular values, descending.")
svd_left = _on_matrix(spectral.svd_left, "The left singular vectors as columns, in the order of svdvals.")
svd_right = _on_matrix(spectral.svd_right, "The right singular vectors as columns, in the order of svdvals.")
top_left = _on_matrix(spectral.top_left, "The left singular vector of the largest singular value.")
top_right = _on_matrix(spectral.top_right, "The right singular vector of the largest singular value.")
spectral_norm = _on_matrix(spectral.spectral_norm, "The largest singular value.")
nuclear_norm = _on_matrix(spectral.nuclear_norm, "The sum of the singular values.")
polar = _on_matrix(spectral.polar, "U Vᵀ of the singular value decomposition X = U diag(σ) Vᵀ.")
expm = _on_matrix(exponential.expm, "The matrix exponential.")


def eigh(A: Any) -> Expr:
    """The eigenvalues and eigenvectors together: eigh(A)[0] and eigh(A)[1]."""
    raise ShapeMismatch(
        "eigh gives two arrays",
        hint="eigh(A)[0], or eigvalsh(A), is the eigenvalues; eigh(A)[1], or eigvecsh(A), the eigenvectors",
    )


def slogdet(A: Any) -> Expr:
    """The sign and the logarithm of the absolute value of the determinant: slogdet(A)[1] is logdet(A)."""
    raise ShapeMismatch(
        "slogdet gives two numbers, of which the sign has no derivative",
        hint="slogdet(A)[1], or logdet(A), is log |det A|",
    )


def svd(X: Any) -> Expr:
    """The singular vectors and values together; each has a function of its own."""
    raise ShapeMismatch(
        "svd gives three arrays",
        hint="svd_left(X), svdvals(X) and svd_right(X) with X = svd_left(X) diag(svdvals(X)) svd_right(X).T",
    )


def inverse_gaps(x: Any) -> Expr:
    """The matrix of 1/(x_j − x_i), 0 on the diagonal."""
    return Apply(spectral.inverse_gaps, (as_expr(x),))


def polar_frechet(X: Any, E: Any) -> Expr:
    """The derivative of polar at X along E."""
    return Apply(spectral.polar_frechet, _together(X, E))


def _together(*matrices: Any) -> tuple[Expr, ...]:
    """Matrices with the batch axes of all of them."""
    parts = [_matrix(X, "a linear map") for X in matrices]
    batch = nodes.broadcast_shape([X.shape[:-2] for X in parts])
    return tuple(nodes.broadcast_to(X, (*batch, *X.shape[-2:])) for X in parts)


def _expm_frechet(count: int) -> Callable[..., Expr]:
    def build(*matrices: Any) -> Expr:
        return Apply(exponential.MAPS[count], _together(*matrices))

    build.__name__ = exponential.MAPS[count].name
    build.__doc__ = f"The derivative of expm at X along {count} direction{'s' * (count > 1)}."
    return build


expm_frechet, expm_frechet2, expm_frechet3 = map(_expm_frechet, (1, 2, 3))


# ---------------------------------------------------------------- triangles


def _matrix(X: Any, name: str) -> Expr:
    expr = as_expr(X)
    if expr.rank < 2:
        raise ShapeMismatch(f"{name} needs a matrix, not a {'vector' if expr.rank else 'scalar'}")
    return expr


def _masked(X: Expr, mask: Expr, turned: bool = False) -> Expr:
    axes = tuple(range(X.rank))
    return Einsum(ONE, (mask, X), (axes[:-3:-1] if turned else axes[-2:], axes), axes)


def tril(X: Any, k: int = 0) -> Expr:
    """The lower triangle: 0 above the diagonal, or above the k-th one."""
    X = _matrix(X, "tril")
    return _masked(X, Apply(factors.lower_mask, (), (k, *X.shape[-2:])))


def triu(X: Any, k: int = 0) -> Expr:
    """The upper triangle: 0 below the diagonal, or below the k-th one."""
    X = _matrix(X, "triu")
    rows, columns = X.shape[-2:]
    return _masked(X, Apply(factors.lower_mask, (), (-k, columns, rows)), turned=True)


def halftril(X: Any) -> Expr:
    """Φ(X): the lower triangle with its diagonal halved, as in the derivative of cholesky."""
    return _half(X, "halftril", False)


def halftriu(X: Any) -> Expr:
    """The upper triangle with its diagonal halved."""
    return _half(X, "halftriu", True)


def _half(X: Any, name: str, turned: bool) -> Expr:
    X = _matrix(X, name)
    rows, columns = X.shape[-2:]
    if rows != columns:
        raise ShapeMismatch(
            f"{name} needs a square matrix, not one of {rows} × {columns}", dims=(rows, columns)
        )
    return _masked(X, Apply(factors.half_mask, (), (rows,)), turned)


def vech(X: Any) -> Expr:
    """The columns of the lower triangle of a square matrix, one below the other."""
    X = as_expr(X)
    if X.rank != 2 or X.shape[0] != X.shape[1]:
        raise ShapeMismatch("vech needs a square matrix")
    n = X.shape[0].constant
    if n is None:
        raise ShapeMismatch(
            f"vech has n(n + 1)/2 entries, and needs a number for {X.shape[0]}",
            hint="declare the size as a number, as in A[3,3]; vec(tril(X)) takes any size",
        )
    return nodes.einsum("tij,ij->t", elimination(n), X)


def elimination(n: Dim | int | str) -> Expr:
    """The constant tensor E with vech(X)_t = Σ E_tij X_ij."""
    size = Dim.of(n)
    if size.constant is None:
        raise ShapeMismatch("elimination needs a size that is a number", hint="elimination(3)")
    return Apply(factors.elimination, (), (size,))


# ---------------------------------------------------------------- products


def inner(a: Any, b: Any) -> Expr:
    """NumPy's inner: the last axes contracted; a scalar multiplies."""
    a, b = as_expr(a), as_expr(b)
    if not a.rank or not b.rank:
        return nodes.multiply(a, b)
    require_same(a.shape[-1], b.shape[-1], "are the last sizes of inner and differ")
    shared = a.rank + b.rank
    left, right = tuple(range(a.rank - 1)), tuple(range(a.rank, a.rank + b.rank - 1))
    return Einsum(ONE, (a, b), ((*left, shared), (*right, shared)), (*left, *right))


def vdot(a: Any, b: Any) -> Expr:
    """⟨A, B⟩: the sum of the products of all entries, tr(AᵀB) of matrices."""
    a, b = as_expr(a), as_expr(b)
    if a.rank != b.rank:
        raise ShapeMismatch(f"vdot needs arguments of one shape, not of {a.rank} and {b.rank} axes")
    for m, n in zip(a.shape, b.shape, strict=True):
        require_same(m, n, "are sizes of the arguments of vdot and differ")
    axes = tuple(range(a.rank))
    return Einsum(ONE, (a, b), (axes, axes), ())
