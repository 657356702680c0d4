"""Axes of a matrix as one axis: ∂z/∂W of a vector by a matrix is a matrix with a column for each entry of W.

So vᵀ ∂z/∂W is a product of matrices like any other, and its result has the shape of W. In: an expression over
such placeholders. Out: the expression with the axes of the matrices in place of the folded one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Shape, Sum, Variable
from chainrule.expr.walk import rebuild, topological
from chainrule.rules.table import Elementwise

PREFIX = "entriesof"


def folded(name: str) -> Dim:
    """The size of the one axis that the entries of a variable make."""
    return Dim.of(f"{PREFIX}{name}")


def unfolded(expr: Expr, shapes: Mapping[str, Shape]) -> Expr:
    """The expression with the folded axes of each variable as those of its shape.

    Raises: ShapeMismatch where a folded axis is in a function of whole arrays.

    >>> m, n = Dim.of("m"), Dim.of("n")
    >>> v, J = Variable("v", (m,)), Variable("J", (m, folded("W")))
    >>> [str(d) for d in unfolded(v @ J, {"W": (m, n)}).shape]
    ['m', 'n']
    """
    if not shapes:
        return expr
    axes = {folded(name): shape for name, shape in shapes.items()}
    made: dict[Expr, Expr] = {}
    for node in topological([expr]):
        made[node] = _unfolded(node, [made[child] for child in node.children], axes)
    return made[expr]


def _unfolded(node: Expr, children: Sequence[Expr], axes: Mapping[Dim, Shape]) -> Expr:
    if isinstance(node, Variable):
        shape = tuple(d for dim in node.shape for d in axes.get(dim, (dim,)))
        return node if shape == node.shape else Variable(node.name, shape, node.structure)
    if isinstance(node, Einsum):
        return _product(node, children, axes)
    if list(children) == list(node.children):
        return node
    if isinstance(node, Sum) or (isinstance(node, Apply) and isinstance(node.function, Elementwise)):
        return rebuild(node, children)
    raise ShapeMismatch("a derivative by a matrix stands in a function", hint="write it with indices")


def _product(node: Einsum, children: Sequence[Expr], axes: Mapping[Dim, Shape]) -> Expr:
    """The product with each folded label as several."""
    labels: dict[int, tuple[int, ...]] = {}
    sizes: dict[int, Dim] = {}
    for label, dim in enumerate(node.sizes):
        split = axes.get(dim, (dim,))
        labels[label] = tuple(range(len(sizes), len(sizes) + len(split)))
        sizes.update(zip(labels[label], split, strict=True))

    def renamed(old: Sequence[int]) -> tuple[int, ...]:
        return tuple(new for label in old for new in labels[label])

    operands = [renamed(old) for old in node.labels]
    return Einsum(node.coefficient, children, operands, renamed(node.output), sizes)
