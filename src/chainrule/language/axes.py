"""Axes by number, as NumPy counts them."""

from __future__ import annotations

from chainrule.errors import ShapeMismatch
from chainrule.expr.nodes import Expr

Axis = int | tuple[int, ...] | None


def named_axes(x: Expr, axis: Axis, extra: int = 0) -> tuple[int, ...]:
    """The axes named by `axis`, counted from 0; all of them for None. `extra` axes are still to be made."""
    rank = x.rank + extra
    if axis is None:
        return tuple(range(rank))
    wanted = (axis,) if isinstance(axis, int) else axis
    for a in wanted:
        if not -rank <= a < rank:
            raise ShapeMismatch(f"axis {a} does not exist", hint="axes count from 0, and from −1 backwards")
    found = tuple(a % rank for a in wanted)
    if len(set(found)) != len(found):
        raise ShapeMismatch("an axis is named twice", hint="name each axis once")
    return found


def one_axis(x: Expr, axis: Axis, extra: int = 0) -> int:
    """The one axis named, counted from 0."""
    axes = named_axes(x, axis, extra)
    if len(axes) != 1 or axis is None:
        raise ShapeMismatch("one axis is named here, not several", hint="axis=0")
    return axes[0]
