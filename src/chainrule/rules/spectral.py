"""Eigenvalues, singular values, their vectors, and the norms made of them.

Where eigenvalues or singular values coincide their vectors turn with the direction that one comes from:
there is no derivative. Every row says so, the sampler keeps away, and generated code raises an error.
Of the two signs of a vector (of two singular vectors together, the left one) the one counts whose entry of
largest absolute value is positive; the derivatives hold for either.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Shape, add, negate
from chainrule.rules import numeric
from chainrule.rules.factors import HALF, READS, core_product
from chainrule.rules.linear_maps import local
from chainrule.rules.table import Tensorial, square_dims
from chainrule.rules.tensorial import inv

MAGNUS = "Magnus 1985, On differentiating eigenvalues and eigenvectors"
GILES_SVD = "Giles 2008, An extended collection of matrix derivative results, section 3.2"


def _gap(xp: Any, values: Any) -> Any:
    """The smallest distance of two neighbours, relative to the largest value if that is above 1."""
    ordered = xp.sort(xp.real(values), axis=-1)
    if ordered.shape[-1] < 2:
        return xp.ones(ordered.shape[:-1])
    scale = xp.maximum(xp.abs(ordered).max(axis=-1), 1)
    return (ordered[..., 1:] - ordered[..., :-1]).min(axis=-1) / scale


# ---------------------------------------------------------------- symmetric matrices


def _vectors_shape(core: Shape, p: tuple[Any, ...]) -> Shape:
    n = square_dims(core, "eigvecsh")
    return (n, n)


def _vectors_d(A: Expr, V: Expr, p: tuple[Any, ...]) -> Expr:
    """V (F ⊙ Vᵀ dA V), dA replaced by its symmetric part."""
    F = Apply(inverse_gaps, (Apply(eigvalsh, (A,)),))
    one = core_product("aj,ji,bj,ci->aibc", V, F, V, V, coefficient=HALF)
    return add(one, core_product("aj,ji,cj,bi->aibc", V, F, V, V, coefficient=HALF))


def _gaps_d(x: Expr, F: Expr, p: tuple[Any, ...]) -> Expr:
    """∂F_ij/∂x_k = F_ij² ([k = i] − [k = j])."""
    return add(core_product("ij,ij->iji", F, F), core_product("ij,ij->ijj", F, F, coefficient=-ONE))


inverse_gaps: Tensorial = Tensorial(
    name="inverse_gaps",
    core=(1,),
    shape=lambda core, p: (core[0], core[0]),
    domain=("real",),
    d=(_gaps_d,),
    says="F_ij = 1/(x_j − x_i), 0 on the diagonal",
    evaluate=lambda xp, x: _inverse_gaps(xp, x),
    code="inverse_gaps(#1)",
    text="inverse_gaps(#1)",
    latex=r"F(#1)",
    source=MAGNUS,
    at_kink="two entries of #1 coincide",
    takes="equal entries are an error in code",
    kink=lambda xp, x: _gap(xp, x),
)


def _inverse_gaps(xp: Any, x: Any) -> Any:
    eye = xp.eye(x.shape[-1])
    return (1 - eye) / (x[..., None, :] - x[..., :, None] + eye)


eigvalsh: Tensorial = Tensorial(
    name="eigvalsh",
    core=(2,),
    shape=lambda core, p: (square_dims(core, "eigvalsh"),),
    domain=("real",),
    d=(lambda A, y, p: _dyads(Apply(eigvecsh, (A,)), Apply(eigvecsh, (A,))),),
    says="dλᵢ = vᵢᵀ dA vᵢ; " + READS,
    evaluate=lambda xp, A: numeric.eigen(xp, A)[0],
    code="eigvalsh(#1)",
    text="eigvalsh(#1)",
    latex=r"\operatorname{eig}_{\lambda}(#1)",
    source=MAGNUS + "; Matrix Cookbook (2012), eq. 67",
    at_kink="two eigenvalues of #1 coincide",
    takes="equal eigenvalues are an error in code",
    kink=lambda xp, A: _gap(xp, numeric.eigen(xp, xp.real(A))[0]),
)
eigvecsh: Tensorial = Tensorial(
    name="eigvecsh",
    core=(2,),
    shape=_vectors_shape,
    domain=("real",),
    d=(_vectors_d,),
    says="dV = V (F ⊙ Vᵀ dA V) with F_ij = 1/(λ_j − λ_i), 0 on the diagonal; " + READS,
    evaluate=lambda xp, A: numeric.eigen(xp, A)[1],
    code="eigvecsh(#1)",
    text="eigvecsh(#1)",
    latex=r"\operatorname{eig}_{V}(#1)",
    source=MAGNUS + "; Matrix Cookbook (2012), eq. 68",
    at_kink="two eigenvalues of #1 coincide",
    takes="equal eigenvalues are an error in code",
    kink=lambda xp, A: _gap(xp, numeric.eigen(xp, xp.real(A))[0]),
    structure=("orthogonal",),
)


def _dyads(U: Expr, V: Expr) -> Expr:
    """uᵢ vᵢᵀ for each i: axes i, b, c."""
    return core_product("bi,ci->ibc", U, V)


# ---------------------------------------------------------------- singular values


def smaller(core: Shape, name: str) -> Dim:
    """The number of singular values of an m × n matrix, min(m, n), where sizes show which one it is."""
    m, n = core
    if (n - m).is_nonnegative:
        return m
    if (m - n).is_nonnegative:
        return n
    raise ShapeMismatch(
        f"{name} of a matrix of {m} × {n} needs to know which of {m} and {n} is smaller",
        hint=f"declare X[{n} + k,{n}] for a tall matrix, numbers, or a square one; "
        "norm(X, 'nuc') and norm(X, 2) take any sizes",
    )


def _singular_gap(xp: Any, X: Any) -> Any:
    """How far singular values are from each other and from 0, relative to the largest."""
    s = numeric.singular(xp, xp.real(X))[1]
    zero = xp.zeros((*s.shape[:-1], 1))
    return _gap(xp, xp.concatenate([s, zero], axis=-1))


def _svd(name: str, part: int, shape: Any, d: Any, says: str, latex: str) -> Tensorial:
    return Tensorial(
        name=name,
        core=(2,),
        shape=shape,
        domain=("real",),
        d=(d,),
        says=says,
        evaluate=lambda xp, X: numeric.singular(xp, X)[part],
        code=f"{name}(#1)",
        text=f"{name}(#1)",
        latex=latex,
        source=GILES_SVD,
        at_kink="two singular values of #1 coincide, or one is 0",
        takes="equal singular values, or 0 among them, are an error in code",
        kink=_singular_gap,
        structure=() if part == 1 else ("orthonormal",),
    )


def _parts(X: Expr) -> tuple[Expr, Expr, Expr, Expr]:
    """U, σ, V and the gaps F of σ²."""
    s = Apply(svdvals, (X,))
    return Apply(svd_left, (X,)), s, Apply(svd_right, (X,)), Apply(inverse_gaps, (s**2,))


def _left_d(X: Expr, y: Expr, p: tuple[Any, ...]) -> Expr:
    """U (F ⊙ (Uᵀ dX V S + S Vᵀ dXᵀ U)) + (I − UUᵀ) dX V S⁻¹."""
    U, s, V, F = _parts(X)
    terms = [
        core_product("aj,ji,bj,ci,i->aibc", U, F, U, V, s),
        core_product("aj,ji,j,cj,bi->aibc", U, F, s, V, U),
    ]
    return add(*terms, *_outside(U, "ab,ci,i->aibc", V, s))


def _right_d(X: Expr, y: Expr, p: tuple[Any, ...]) -> Expr:
    """V (F ⊙ (S Uᵀ dX V + Vᵀ dXᵀ U S)) + (I − VVᵀ) dXᵀ U S⁻¹."""
    U, s, V, F = _parts(X)
    terms = [
        core_product("aj,ji,j,bj,ci->aibc", V, F, s, U, V),
        core_product("aj,ji,cj,bi,i->aibc", V, F, V, U, s),
    ]
    return add(*terms, *_outside(V, "ac,bi,i->aibc", U, s))


def _outside(Q: Expr, spec: str, other: Expr, s: Expr) -> list[Expr]:
    """The part of a turn that leaves the space of the columns of Q; a square Q has none."""
    if Q.shape[-1] == Q.shape[-2]:
        return []
    eye = identity_like(Q)
    return [core_product(spec, add(eye, negate(core_product("ae,be->ab", Q, Q))), other, s**-1)]


def identity_like(X: Expr) -> Einsum:
    """The identity on the rows of X, one for each batch."""
    axes = tuple(range(X.rank - 1))
    return Einsum(ONE, (), (), (*axes, axes[-1]), dict(enumerate(X.shape[:-1])))


svdvals: Tensorial = _svd(
    "svdvals",
    1,
    lambda core, p: (smaller(core, "svdvals"),),
    lambda X, y, p: _dyads(Apply(svd_left, (X,)), Apply(svd_right, (X,))),
    "dσᵢ = uᵢᵀ dX vᵢ",
    r"\operatorname{svd}_{\sigma}(#1)",
)
svd_left: Tensorial = _svd(
    "svd_left",
    0,
    lambda core, p: (core[0], smaller(core, "svd_left")),
    _left_d,
    "dU = U (F ⊙ (Uᵀ dX V S + S Vᵀ dXᵀ U)) + (I − UUᵀ) dX V S⁻¹ with F_ij = 1/(σ_j² − σ_i²)",
    r"\operatorname{svd}_{U}(#1)",
)
svd_right: Tensorial = _svd(
    "svd_right",
    2,
    lambda core, p: (core[1], smaller(core, "svd_right")),
    _right_d,
    "dV = V (F ⊙ (S Uᵀ dX V + Vᵀ dXᵀ U S)) + (I − VVᵀ) dXᵀ U S⁻¹ with F_ij = 1/(σ_j² − σ_i²)",
    r"\operatorname{svd}_{V}(#1)",
)


# ---------------------------------------------------------------- norms


def _top_gap(xp: Any, X: Any) -> Any:
    """How far the largest singular value is from the next one, or from 0, relative to it."""
    s = numeric.singular(xp, xp.real(X))[1]
    following = s[..., 1] if s.shape[-1] > 1 else 0 * s[..., 0]
    return (s[..., 0] - following) / xp.maximum(s[..., 0], 1)


def _top(name: str, side: int, d: Any, says: str, latex: str) -> Tensorial:
    return Tensorial(
        name=name,
        core=(2,),
        shape=lambda core, p: (core[side],),
        domain=("real",),
        d=(d,),
        says=says,
        evaluate=lambda xp, X: numeric.singular(xp, X)[2 * side][..., 0],
        code=f"{name}(#1)",
        text=f"{name}(#1)",
        latex=latex,
        source=GILES_SVD,
        at_kink="the two largest singular values of #1 coincide",
        takes="equal largest singular values are an error in code",
        kink=_top_gap,
    )


def _resolvent(X: Expr, w: Expr, s: Expr, gram: str) -> Expr:
    """(s²I − XXᵀ)⁺ at its eigenvector w, as (s²(I + wwᵀ) − XXᵀ)⁻¹ − wwᵀ/s²: powers of it stay in reach."""
    eye = identity_like(X if gram == "ae,be->ab" else core_product("ab->ba", X))
    raised = [
        core_product(",ab->ab", s**2, eye),
        core_product(",a,b->ab", s**2, w, w),
        negate(core_product(gram, X, X)),
    ]
    return add(Apply(inv, (add(*raised),)), negate(core_product(",a,b->ab", s**-2, w, w)))


def _top_parts(X: Expr) -> tuple[Expr, Expr, Expr]:
    return Apply(spectral_norm, (X,)), Apply(top_left, (X,)), Apply(top_right, (X,))


def _top_left_d(X: Expr, y: Expr, p: tuple[Any, ...]) -> Expr:
    """R (σ dX v + X dXᵀ u)."""
    s, u, v = _top_parts(X)
    R = _resolvent(X, u, s, "ae,be->ab")
    return add(core_product(",ab,c->abc", s, R, v), core_product("ae,ec,b->abc", R, X, u))


def _top_right_d(X: Expr, y: Expr, p: tuple[Any, ...]) -> Expr:
    """R (σ dXᵀ u + Xᵀ dX v)."""
    s, u, v = _top_parts(X)
    R = _resolvent(X, v, s, "ea,eb->ab")
    return add(core_product(",ac,b->abc", s, R, u), core_product("ae,be,c->abc", R, X, v))


spectral_norm: Tensorial = Tensorial(
    name="spectral_norm",
    core=(2,),
    shape=lambda core, p: (),
    domain=("real",),
    d=(lambda X, y, p: core_product("b,c->bc", Apply(top_left, (X,)), Apply(top_right, (X,))),),
    says="d‖X‖₂ = uᵀ dX v with the singular vectors of the largest singular value",
    evaluate=lambda xp, X: numeric.singular(xp, X)[1][..., 0],
    code="np.linalg.norm(#1, 2, axis=(-2, -1))",
    torch="torch.linalg.matrix_norm(#1, 2)",
    text="spectral_norm(#1)",
    latex=r"\lVert #1 \rVert_2",
    source="Watson 1992, Characterization of the subdifferential of some matrix norms",
    at_kink="the two largest singular values of #1 coincide",
    takes="equal largest singular values are an error in code",
    kink=_top_gap,
)
top_left: Tensorial = _top(
    "top_left", 0, _top_left_d, "du = (σ²I − XXᵀ)⁺ (σ dX v + X dXᵀ u)", r"\operatorname{svd}_{u_1}(#1)"
)
top_right: Tensorial = _top(
    "top_right", 1, _top_right_d, "dv = (σ²I − XᵀX)⁺ (σ dXᵀ u + Xᵀ dX v)", r"\operatorname{svd}_{v_1}(#1)"
)


def _rank_gap(xp: Any, X: Any) -> Any:
    """The smallest singular value, relative to the largest."""
    s = numeric.singular(xp, xp.real(X))[1]
    return s[..., -1] / xp.maximum(s[..., 0], 1)


nuclear_norm: Tensorial = Tensorial(
    name="nuclear_norm",
    core=(2,),
    shape=lambda core, p: (),
    domain=("real",),
    d=(lambda X, y, p: Apply(polar, (X,)),),
    says="d‖X‖_* = tr(VUᵀ dX), where X = U diag(σ) Vᵀ and U Vᵀ = polar(X)",
    evaluate=lambda xp, X: numeric.singular(xp, X)[1].sum(axis=-1),
    code="np.linalg.norm(#1, 'nuc', axis=(-2, -1))",
    torch="torch.linalg.matrix_norm(#1, 'nuc')",
    text="nuclear_norm(#1)",
    latex=r"\lVert #1 \rVert_{*}",
    source="Watson 1992, Characterization of the subdifferential of some matrix norms",
    at_kink="a singular value of #1 is 0",
    takes="a singular value 0 is an error in code",
    kink=_rank_gap,
)
polar: Tensorial = Tensorial(
    name="polar",
    core=(2,),
    shape=lambda core, p: core,
    domain=("real",),
    d=(local(lambda X, G, p: Apply(polar_frechet, (X, G))),),
    back=(lambda X, G, p: Apply(polar_frechet, (X, G)),),
    along=(lambda X, E, p: Apply(polar_frechet, (X, E)),),
    says="polar(X) = UVᵀ of X = U diag(σ) Vᵀ; its derivative is a linear map, its own transpose",
    evaluate=numeric.polar,
    code="polar(#1)",
    text="polar(#1)",
    latex=r"\operatorname{polar}(#1)",
    turns=True,
    source="Kenney and Laub 1991, Polar decomposition and matrix sign function condition estimates",
    at_kink="a singular value of #1 is 0",
    takes="a singular value 0 is an error in code",
    kink=_rank_gap,
)
polar_frechet: Tensorial = Tensorial(
    name="polar_frechet",
    core=(2, 2),
    shape=lambda core, direction, p: core,
    domain=("real", "real"),
    d=("unknown", local(lambda X, E, G, p: Apply(polar_frechet, (X, G)))),
    back=(None, lambda X, E, G, p: Apply(polar_frechet, (X, G))),
    along=(None, lambda X, E, D, p: Apply(polar_frechet, (X, D))),
    says="the derivative of polar at X along E",
    evaluate=numeric.polar_frechet,
    code="polar_frechet(#1, #2)",
    text="polar_frechet(#1, #2)",
    latex=r"\operatorname{polar}'(#1)[#2]",
    turns=True,
    source="Kenney and Laub 1991, Polar decomposition and matrix sign function condition estimates",
    at_kink="a singular value of #1 is 0",
    takes="a singular value 0 is an error in code",
    kink=lambda xp, X, E: _rank_gap(xp, X),
)
