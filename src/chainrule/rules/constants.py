"""Functions without arguments.

Numbers with a name, and the constant tensors that select, place or regroup entries.

Indexing, slicing, concatenation, reshaping, vec and kron are contractions with these tensors, so none of
them needs a derivative rule: a slice x[1:3] is S x with S = select(1, 1, 2, n), two rows of the identity.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Expr, Shape
from chainrule.rules.table import Constant

PI = Constant(
    name="pi",
    shape=lambda: (),
    says="a constant",
    evaluate=lambda xp: xp.pi,
    code="np.pi",
    text="pi",
    latex=r"\pi",
    source="the circle",
)
E = Constant(
    name="e",
    shape=lambda: (),
    says="a constant",
    evaluate=lambda xp: xp.e,
    code="np.e",
    text="e",
    latex="e",
    source="Euler's number",
)


def _select_shape(start: Dim, step: int, count: Dim, size: Dim) -> Shape:
    return (count, size)


def _select(xp: Any, start: int, step: int, count: int, size: int) -> Any:
    return xp.eye(size)[start + step * xp.arange(count)]


SELECT = Constant(
    name="select",
    shape=_select_shape,
    says="rows of the identity",
    evaluate=_select,
    code="np.eye($4)[$1 + $2 * np.arange($3)]",
    jax="jnp.eye($4, dtype=dtype)[$1 + $2 * jnp.arange($3)]",
    torch="torch.eye($4, **like)[$1 + $2 * torch.arange($3)]",
    text="eye($4)[$1:$1 + $2*$3:$2]",
    latex=r"I_{[$1 : $1 + $2 \cdot $3 : $2],\,:}",
    source="selection matrix",
)

BASIS = Constant(
    name="basis",
    shape=lambda index, size: (size,),
    says="a column of the identity",
    evaluate=lambda xp, index, size: xp.eye(size)[index],
    code="np.eye($2)[$1]",
    jax="jnp.eye($2, dtype=dtype)[$1]",
    torch="torch.eye($2, **like)[$1]",
    text="eye($2)[$1]",
    latex=r"e_{$1}",
    source="standard basis",
)

MERGE = Constant(
    name="merge",
    shape=lambda *dims: (_product(dims), *dims),
    says="regroups axes, the last one fastest",
    evaluate=lambda xp, *dims: xp.eye(int(xp.prod(xp.asarray(dims)))).reshape((-1, *dims)),
    code="np.eye(np.prod($*)).reshape(-1, $*)",
    text="merge($*)",
    latex=r"R_{$*}",
    source="reshape in row-major order",
)


def _product(dims: tuple[Dim, ...]) -> Dim:
    result = Dim.of(1)
    for dim in dims:
        result = result * dim
    return result


def component(index: int, size: Dim) -> Expr:
    """The basis vector e with e · x = x[index]; a negative index counts from the end of a known size."""
    length = size.constant
    if length is not None:
        if not -length <= index < length:
            raise ShapeMismatch(f"index {index} is outside a vector of {length}", hint="indices count from 0")
        index %= length
    elif index < 0:
        return Apply(BASIS, (), (size + Dim.of(index), size))
    return Apply(BASIS, (), (Dim.of(index), size))
