"""Which way round an array is written in a layout, with which sizes, and how items fill lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chainrule.expr.dims import Dim
from chainrule.notation.layout import is_turned as is_written_turned

if TYPE_CHECKING:
    from chainrule.api.derivative import Derivative

WIDTH = 100


def is_turned(derivative: Derivative, layout: str) -> bool:
    """Whether the array is written as its transpose, a vector as a row."""
    if derivative.options.times is not None:
        return False
    inner = len(derivative.wrt[-1].shape)
    return is_written_turned(derivative.expression.rank - inner, inner, layout)


def is_gradient(derivative: Derivative) -> bool:
    """Whether it is the first derivative of a scalar."""
    whole = derivative.options.times is None
    return whole and derivative.order == 1 and not derivative.formula.expr.rank


def matrix_shape(derivative: Derivative, layout: str) -> tuple[Dim, ...] | None:
    """Its sizes as it is written: () for a number, rows and columns, None beyond two axes."""
    shape = derivative.expression.shape
    if len(shape) > 2:
        return None
    turned = is_turned(derivative, layout)
    if len(shape) == 1:
        return (Dim.of(1), *shape) if turned else (*shape, Dim.of(1))
    return shape[::-1] if turned else shape


def wrapped(parts: Iterable[str], start: str = "    ", gap: str = "    ") -> list[str]:
    """Items side by side, in lines that are not too long."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(gap) + len(part) <= WIDTH:
            lines[-1] += gap + part
        else:
            if lines:
                lines[-1] += gap.rstrip()
            lines.append((" " * len(start) if lines else start) + part)
    return lines
