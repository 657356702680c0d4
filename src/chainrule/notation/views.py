"""How a view is written: reshape(X, m, n), E[ids], X[0, :, 1:], windows(X, 3)."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Apply
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.rules.views import OVERLAP, PART, RESHAPE, TAKE, WINDOWS, View


def size(dim: Dim) -> Tree:
    """A size as a part of a formula."""
    return m.number(Coefficient.of(dim))


def view_tree(node: Apply, inside: Sequence[Tree]) -> Tree:
    """The tree of a view, given those of its arguments."""
    assert isinstance(node.function, View)
    if node.function is RESHAPE:
        return m.call("reshape", inside[0], *map(size, node.parameters))
    if node.function is TAKE:
        return m.tree("subscript", inside, (("array", 1),))
    if node.function is PART:
        items: list[tuple[object, ...]] = []
        for item, dim in zip(node.parameters, node.arguments[0].shape, strict=True):
            items.append(("all",) if item == ("slice", Dim.of(0), 1, dim) else item)
        while items and items[-1] == ("all",):
            items.pop()
        return m.tree("subscript", inside, tuple(items))
    if node.function in (WINDOWS, OVERLAP):
        _, width, stride, dilation, padding, whole = node.parameters
        sizes = [size(width)] if node.function is WINDOWS else [size(whole)]
        options = [
            f"{name}={value}"
            for name, value, usual in (
                ("stride", stride, 1),
                ("dilation", dilation, 1),
                ("padding", padding, Dim.of(0)),
            )
            if value != usual
        ]
        return m.call(node.function.name, inside[0], *sizes, options=", ".join(options))
    raise AssertionError(f"{node.function} is for code only")
