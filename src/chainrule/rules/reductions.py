"""Rows that reductions along axes need: products of entries, and the mask of running sums."""

from __future__ import annotations

from typing import Any

from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Shape, add, negate
from chainrule.rules.elementwise import CALCULUS
from chainrule.rules.table import Constant, Tensorial
from chainrule.rules.tensorial import core_einsum

# prod_others with k rounds of axes is the k-th derivative of a product, so one row serves every order.
# A quotient prod(x)/x would be undefined where an entry is 0; leaving entries out is not.


def _prod_d(x: Expr, y: Expr, p: tuple[Any, ...]) -> Expr:
    return Apply(prod_others, (x,), (p[0], 1))


def _others_d(x: Expr, y: Expr, p: tuple[Any, ...]) -> Expr:
    return Apply(prod_others, (x,), (p[0], p[1] + 1))


def _others_shape(core: Shape, p: tuple[Any, ...]) -> Shape:
    return core * int(p[1])


def _prod_others(xp: Any, x: Any, r: int, k: int) -> Any:
    """Π over all entries but k different ones, for every choice of the k; 0 where two of them are one."""
    shape = x.shape[x.ndim - r :]
    flat = x.reshape((*x.shape[: x.ndim - r], -1))
    n, lead = flat.shape[-1], flat.shape[:-1]
    eye = xp.eye(n)
    left_out, distinct = xp.zeros((n,) * (k + 1)), xp.ones((n,) * k)
    for a in range(k):
        chosen = eye.reshape([n if axis in (a, k) else 1 for axis in range(k + 1)])
        left_out = left_out + chosen
        for b in range(a):
            distinct = distinct * (1 - eye.reshape([n if axis in (a, b) else 1 for axis in range(k)]))
    kept = xp.where(left_out > 0, 1, flat.reshape((*lead, *(1,) * k, n)))
    return (kept.prod(axis=-1) * distinct).reshape((*lead, *shape * k))


prod: Tensorial = Tensorial(
    name="prod",
    core=(-1,),
    shape=lambda core, p: (),
    domain=("real",),
    d=(_prod_d,),
    says="the derivative by an entry is the product of the others",
    evaluate=lambda xp, x, r: x.prod(axis=tuple(range(-r, 0))),
    code="np.prod(#1, axis=tuple(range(-$1, 0)))",
    text="prod(#1)",
    latex=r"\operatorname{prod}(#1)",
    source=CALCULUS,
)
prod_others: Tensorial = Tensorial(
    name="prod_others",
    core=(-1,),
    shape=_others_shape,
    domain=("real",),
    d=(_others_d,),
    says="entry i is the product of all other entries, defined where entries are 0 too",
    evaluate=_prod_others,
    code="prod_others(#1, $1, $2)",
    text="prod_others(#1)",
    latex=r"\operatorname{prod\_others}(#1)",
    source=CALCULUS,
)


def _masked_softmax(xp: Any, x: Any, m: Any) -> Any:
    """Where a whole line is masked out the result is 0."""
    seen = xp.real(m) != 0
    top = xp.where(seen, xp.real(x), -xp.inf).max(axis=-1, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    e = xp.where(seen, xp.exp(xp.where(seen, x - top, 0)), 0)
    total = e.sum(axis=-1, keepdims=True)
    return e / xp.where(total == 0, 1, total)


def _first_shape(core: Shape, mask: Shape, p: tuple[Any, ...]) -> Shape:
    return core


masked_softmax = Tensorial(
    name="masked_softmax",
    core=(1, 1),
    shape=_first_shape,
    domain=("real", "condition"),
    d=(lambda x, m, y, p: add(core_einsum("a->aa", y), negate(core_einsum("a,b->ab", y, y))), None),
    says="∂p = diag(p) − ppᵀ for p = softmax over the entries that the mask keeps, 0 elsewhere",
    evaluate=_masked_softmax,
    code="masked_softmax(#1, #2)",
    text="masked_softmax(#1, #2)",
    latex=r"\operatorname{masked\_softmax}(#1, #2)",
    source="Vaswani et al. 2017, section 3.2.3",
)

TRIANGLE = Constant(
    name="tri",
    shape=lambda size: (size, size),
    says="1 on and below the diagonal, else 0",
    evaluate=lambda xp, size: xp.tri(size),
    code="np.tri($1)",
    jax="jnp.tri($1, dtype=dtype)",
    torch="torch.ones($1, $1, **like).tril()",
    text="tri($1)",
    latex=r"\operatorname{tri}($1)",
    source="numpy.tri",
)


def running_sum(x: Expr, axis: int) -> Expr:
    """y_i = Σ_{j ≤ i} x_j along an axis: a product with the lower triangle of ones."""
    axes = tuple(range(x.rank))
    output = tuple(x.rank if a == axis else a for a in axes)
    return Einsum(ONE, (Apply(TRIANGLE, (), (x.shape[axis],)), x), ((x.rank, axis), axes), output)


def tri(size: Dim) -> Expr:
    """The lower triangle of ones."""
    return Apply(TRIANGLE, (), (size,))
