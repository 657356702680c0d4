"""Cholesky factors, pseudo-inverses, and the constant matrices of zeros and ones that cut out triangles.

A row here that reads a symmetric matrix reads (A + Aᵀ)/2, as JAX does: so it has a value and a derivative
for every A near a symmetric one, and the derivative by A is symmetric.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Shape, add, negate
from chainrule.rules import numeric
from chainrule.rules.table import Constant, Tensorial, square_dims
from chainrule.rules.tensorial import inv

HALF = Coefficient.of(Fraction(1, 2))
READS = "it reads the symmetric part (A + Aᵀ)/2"


def core_product(
    spec: str, *operands: Expr, coefficient: Coefficient = ONE, sizes: dict[str, Dim] | None = None
) -> Einsum:
    """A product in letters over the core axes; operands with batch axes in front carry these along.

    `sizes` of the letters that only the output has.
    """
    inputs, output = spec.split("->")
    parts = inputs.split(",") if operands else []
    extra = [o.rank - len(part) for o, part in zip(operands, parts, strict=True)]
    lead = max(extra, default=0)
    batch = tuple(range(-lead, 0))
    labels = [(*batch[lead - e :], *map(ord, part)) for e, part in zip(extra, parts, strict=True)]
    known = {ord(letter): dim for letter, dim in (sizes or {}).items()}
    return Einsum(coefficient, operands, labels, (*batch, *map(ord, output)), known)


def _lower_shape(offset: int, rows: Dim, columns: Dim) -> Shape:
    return (rows, columns)


lower_mask = Constant(
    name="lower_mask",
    shape=_lower_shape,
    says="1 on and below a diagonal, 0 above",
    evaluate=lambda xp, k, rows, columns: xp.tri(rows, columns, k),
    code="np.tri($2, $3, $1)",
    jax="jnp.tri($2, $3, $1, dtype=dtype)",
    torch="torch.ones($2, $3, **like).tril($1)",
    text="tril(ones($2, $3), $1)",
    latex=r"\operatorname{tril}(\mathbf{1}\mathbf{1}^\top, $1)",
    source="elimination of a triangle: Magnus and Neudecker 1980",
)
half_mask = Constant(
    name="half_mask",
    shape=lambda n: (n, n),
    says="1 below the diagonal, 1/2 on it, 0 above",
    evaluate=lambda xp, n: (xp.tri(n) + xp.tri(n, k=-1)) / 2,
    code="(np.tri($1) + np.tri($1, k=-1)) / 2",
    jax="(jnp.tri($1, dtype=dtype) + jnp.tri($1, k=-1, dtype=dtype)) / 2",
    torch="(torch.ones($1, $1, **like).tril() + torch.ones($1, $1, **like).tril(-1)) / 2",
    text="halftril(ones($1, $1))",
    latex=r"\Phi(\mathbf{1}\mathbf{1}^\top)",
    source="Murray 2016, Differentiation of the Cholesky decomposition, eq. 8",
)
MASKS = (lower_mask, half_mask)


def _elimination_shape(n: Dim) -> Shape:
    size = n.constant
    assert size is not None, "vech takes a size that is a number"
    return (Dim.of(size * (size + 1) // 2), n, n)


elimination = Constant(
    name="elimination",
    shape=_elimination_shape,
    says="takes the entries of the lower triangle, column by column",
    evaluate=lambda xp, n: xp.eye(n * n).reshape(n, n, n, n)[xp.triu_indices(n)[::-1]],
    code="np.eye($1 * $1).reshape($1, $1, $1, $1)[np.triu_indices($1)[::-1]]",
    jax="jnp.eye($1 * $1, dtype=dtype).reshape($1, $1, $1, $1)[jnp.triu_indices($1)[::-1]]",
    torch="torch.eye($1 * $1, **like).reshape($1, $1, $1, $1)[tuple(torch.triu_indices($1, $1).flip(0))]",
    text="elimination($1)",
    latex=r"E_{$1}",
    source="Magnus and Neudecker 1980, The elimination matrix",
)


def _square(name: str) -> Any:
    def shape(core: Shape, parameters: tuple[Any, ...]) -> Shape:
        n = square_dims(core, name)
        return (n, n)

    return shape


def _cholesky_d(A: Expr, L: Expr, p: tuple[Any, ...]) -> Expr:
    """L Φ(L⁻¹ dA L⁻ᵀ), dA replaced by its symmetric part."""
    K, mask = Apply(inv, (L,)), Apply(half_mask, (), (A.shape[-1],))
    one = core_product("ae,ed,eb,dc->adbc", L, mask, K, K, coefficient=HALF)
    return add(one, core_product("ae,ed,ec,db->adbc", L, mask, K, K, coefficient=HALF))


cholesky = Tensorial(
    name="cholesky",
    core=(2,),
    shape=_square("cholesky"),
    domain=("spd",),
    d=(_cholesky_d,),
    says="dC = C Φ(C⁻¹ dA C⁻ᵀ) for C = cholesky(A), where Φ, halftril, keeps the lower triangle and halves "
    "the diagonal; " + READS,
    evaluate=numeric.cholesky,
    code="cholesky(#1)",
    text="cholesky(#1)",
    latex=r"\operatorname{cholesky}(#1)",
    source="Murray 2016, Differentiation of the Cholesky decomposition, eq. 8",
)


def _pinv_d(X: Expr, Y: Expr, p: tuple[Any, ...]) -> Expr:
    """−X⁺ dX X⁺ + X⁺X⁺ᵀ dXᵀ (I − XX⁺) + (I − X⁺X) dXᵀ X⁺ᵀX⁺."""
    m, n = X.shape[-2:]
    terms = [core_product("ab,cd->adbc", Y, Y, coefficient=-ONE)]
    # Of a matrix known to be tall or wide, one of the projections is 0.
    if not (n - m).is_nonnegative:
        terms.append(core_product("ae,ce,bd->adbc", Y, Y, _complement(X, Y)))
    if not (m - n).is_nonnegative:
        terms.append(core_product("ac,eb,ed->adbc", _complement(Y, X), Y, Y))
    return add(*terms)


def _complement(X: Expr, Y: Expr) -> Expr:
    """I − X Y."""
    batch = X.shape[:-2]
    axes = tuple(range(len(batch)))
    sizes = dict(enumerate((*batch, X.shape[-2])))
    eye = Einsum(ONE, (), (), (*axes, len(batch), len(batch)), sizes)
    return add(eye, negate(core_product("ae,ed->ad", X, Y)))


pinv = Tensorial(
    name="pinv",
    core=(2,),
    shape=lambda core, p: core[::-1],
    domain=("full rank",),
    d=(_pinv_d,),
    says="d(X⁺) = −X⁺ dX X⁺ + X⁺X⁺ᵀ dXᵀ (I − XX⁺) + (I − X⁺X) dXᵀ X⁺ᵀX⁺ at full rank",
    evaluate=numeric.pinv,
    code="pinv(#1)",
    text="pinv(#1)",
    latex="#1^{+}",
    turns=True,
    source="Golub and Pereyra 1973, SIAM J. Numer. Anal. 10, eq. 4.12",
)
