"""Derivatives that are named linear maps: dY = D(X, dX), where D has no closed form in matrix language.

A row with such a derivative has, for each argument, `along`: a direction of the argument to that of the
result, and `back`: the transposed map, which takes a cotangent of the result to one of the argument. Both
take (arguments..., direction, parameters), batch axes in front, and give an expression. Its `d`, the
derivative as a tensor, is `back` of every unit direction, so that it need not be written twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Einsum, Expr, Shape, permute

Map = Callable[..., Expr]


def repeated(expr: Expr, shape: Shape) -> Expr:
    """`expr` repeated along new axes in front."""
    if not shape:
        return expr
    lead = tuple(range(-len(shape), 0))
    axes = tuple(range(expr.rank))
    return Einsum(ONE, (expr,), (axes,), (*lead, *axes), dict(zip(lead, shape, strict=True)))


def matrix_transpose(expr: Expr) -> Expr:
    """The last two axes exchanged."""
    batch = tuple(range(expr.rank - 2))
    return permute(expr, (*batch, expr.rank - 1, expr.rank - 2))


def copied(expr: Expr) -> Expr | None:
    """The matrix of which `expr` is many copies along its batch axes; None if they differ."""
    if expr.rank <= 2:
        return expr
    if not isinstance(expr, Einsum):
        return None
    batch, core = expr.output[:-2], expr.output[-2:]
    carried = {label for labels in expr.labels for label in labels}
    if len(set(batch)) != len(batch) or not carried.isdisjoint(batch) or not set(core).isdisjoint(batch):
        return None
    if expr.coefficient.is_one and len(expr.operands) == 1 and expr.labels[0] == core:
        return expr.operands[0]
    return Einsum(expr.coefficient, expr.operands, expr.labels, core, dict(enumerate(expr.sizes)))


def local(back: Map) -> Map:
    """The local derivative, axes batch + core of y + core of the argument, of a row of matrix arguments."""

    def derivative(*given: Any) -> Expr:
        *arguments, y, parameters = given
        batch = arguments[0].rank - 2
        lead = tuple(range(batch, y.rank))
        unit = Einsum(ONE, (), (), (*lead, *range(batch), *lead), dict(enumerate(y.shape)))
        turned = back(*(repeated(a, y.shape[batch:]) for a in arguments), unit, parameters)
        count = len(lead)
        order = (*range(count, count + batch), *range(count), *range(count + batch, turned.rank))
        return permute(turned, order)

    return derivative
