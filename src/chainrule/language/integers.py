"""Integer variables: tables looked up by number, and the vectors that stand for numbers.

In: expressions, integer ones with a declared range. Out: products with one-hot vectors, linear in the table.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Einsum, Expr, as_expr
from chainrule.language.axes import one_axis
from chainrule.language.subscripts import Item, Range, one_hot_of, subscript


def one_hot(ids: Any, k: Any) -> Expr:
    """For each integer the vector of k zeros with a 1 in its place."""
    return one_hot_of(as_expr(ids), Dim.of(k))


def take(x: Any, ids: Any, axis: int = 0) -> Expr:
    """Entries picked by number along an axis: take(E, ids) is E[ids], rows of E."""
    expr = as_expr(x)
    items: list[Item] = [Range()] * one_axis(expr, axis)
    return subscript(expr, [*items, as_expr(ids)])


def embedding(ids: Any, table: Any) -> Expr:
    """Rows of a table picked by number, as in PyTorch: embedding(ids, E) is E[ids]."""
    return take(table, ids)


def pick(x: Any, ids: Any) -> Expr:
    """One entry of each row: pick(P, c) has the entries P[i, c_i]."""
    expr, numbers = as_expr(x), as_expr(ids)
    if not expr.rank or expr.rank != numbers.rank + 1:
        raise ShapeMismatch(
            "pick takes one entry from each row", hint="pick(P, c) with P[N,k] and c[N]:integer(k)"
        )
    for have, wanted in zip(numbers.shape, expr.shape, strict=False):
        if have != wanted:
            raise ShapeMismatch(
                f"{have} and {wanted} are the numbers of indices and of rows", dims=(have, wanted)
            )
    axes = tuple(range(expr.rank))
    return Einsum(ONE, (expr, one_hot_of(numbers, expr.shape[-1])), (axes, axes), axes[:-1])
