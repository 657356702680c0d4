"""Reductions along axes beyond sums: products, spread, running sums, log-probabilities.

In: expressions (or numbers). Out: expressions.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr import nodes
from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Apply, Expr, as_expr
from chainrule.language import functions as f
from chainrule.language.functions import Axis, Entry, Size
from chainrule.rules import reductions as rows


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The product of all entries, or along an axis."""
    expr = as_expr(x)
    axes = f.axes_of(expr, axis)
    if not axes:
        return expr
    result: Expr = Apply(rows.prod, (_moved(expr, axes),), (len(axes),))
    return f.keep(result, axes) if keepdims else result


def prod_others(x: Any, k: int = 1, axis: Axis = None) -> Expr:
    """The product of all other entries: what remains of prod(x) when k different ones are left out."""
    x = as_expr(x)
    axes = f.axes_of(x, axis)
    if not axes or k < 1:
        raise ShapeMismatch("prod_others leaves entries of an array out", hint="prod_others(x)")
    result = Apply(rows.prod_others, (_moved(x, axes),), (len(axes), k))
    if k > 1:
        return result
    order = (*(a for a in range(x.rank) if a not in axes), *axes)
    return nodes.permute(result, tuple(order.index(a) for a in range(x.rank)))


def _moved(x: Expr, axes: tuple[int, ...]) -> Expr:
    """`x` with some axes last."""
    return nodes.permute(x, (*(a for a in range(x.rank) if a not in axes), *axes))


def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Expr:
    """The mean square of the deviations from the mean; ddof=1 divides by n − 1, as for a sample.

    >>> from chainrule.expr.nodes import Variable
    >>> var(Variable("X", (Dim.of("m"), Dim.of("n"))), axis=0, ddof=1).shape
    (Dim(n),)
    """
    x = f.at_least_vector(x, "var")
    squares = (x - f.mean(x, axis, keepdims=True)) ** 2
    return nodes.scale(Coefficient.of(_degrees(x, axis, ddof)) ** -1, f.sum(squares, axis, keepdims))


def _degrees(x: Expr, axis: Axis, ddof: int) -> Dim:
    """What a variance divides by: the number of entries minus ddof."""
    count = Dim.of(1)
    for a in f.axes_of(x, axis):
        count = count * x.shape[a]
    divisor = count + Dim.of(-ddof)
    if divisor.constant is not None and divisor.constant <= 0:
        raise ShapeMismatch(
            f"a variance divides by the number of entries minus ddof, here {divisor}",
            hint="ddof=0 divides by the number of entries",
        )
    return divisor


def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Expr:
    """The standard deviation: the root of the variance, as the length of the deviations over √n."""
    x = f.at_least_vector(x, "std")
    deviations = x - f.mean(x, axis, keepdims=True)
    divisor = _degrees(x, axis, ddof)
    return f.norm(deviations, axis=f.axes_of(x, axis), keepdims=keepdims) / f.sqrt(nodes.number(divisor))


def cumsum(x: Any, axis: int | None = None) -> Expr:
    """Running sums: entry i is the sum of entries 1 to i, a product with a lower triangle of ones."""
    x = f.at_least_vector(x, "cumsum")
    if axis is None and x.rank != 1:
        raise ShapeMismatch("cumsum needs a vector, or axis=", hint="cumsum(X, axis=0)")
    (along,) = f.axes_of(x, axis or 0)
    return rows.running_sum(x, along)


def tri(n: Size) -> Expr:
    """The square matrix with 1 on and below the diagonal, 0 above."""
    return rows.tri(Dim.of(n))


def log_softmax(x: Any, axis: int = -1) -> Expr:
    """The logarithm of softmax, x − logsumexp(x), along an axis, the last one if none is named."""
    expr = f.at_least_vector(x, "log_softmax")
    return expr - f.logsumexp(expr, axis, keepdims=True)


_REDUCTION = ("axis", "keepdims")
ENTRIES = {
    "prod": Entry(prod, "x", _REDUCTION, forces=True),
    "prod_others": Entry(prod_others, "xi", ("k", "axis"), optional=1, forces=True),
    "var": Entry(var, "x", (*_REDUCTION, "ddof"), forces=True),
    "std": Entry(std, "x", (*_REDUCTION, "ddof"), forces=True),
    "cumsum": Entry(cumsum, "x", ("axis",), forces=True),
    "log_softmax": Entry(log_softmax, "x", ("axis",), forces=True),
    "tri": Entry(tri, "d"),
}
