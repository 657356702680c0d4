"""How a view is written: reshape(X, m, n), E[ids], X[0, :, 1:], windows(X, 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply
from chainrule.notation import matform as m
from chainrule.notation.latex import dim_latex
from chainrule.notation.matform import Tree
from chainrule.notation.text import dim_text
from chainrule.rules.views import CONV, CONV_TRANSPOSE, MAX_POOL, OVERLAP, PART, RESHAPE, TAKE, WINDOWS, View


def size(dim: Dim) -> Tree:
    """A size as a part of a formula."""
    return m.tree("symbol", (), (dim_text(dim), dim_latex(dim)))


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
    specs = node.parameters
    if node.function is CONV:
        return m.call(f"conv{len(specs)}d", *inside, options=_options(specs))
    if node.function is MAX_POOL:
        return m.call(f"max_pool{len(specs)}d", inside[0], _each([size(spec[1]) for spec in specs]))
    if node.function is CONV_TRANSPOSE:
        shown = _each([size(spec[5]) for spec in specs])
        return m.call(f"conv_transpose{len(specs)}d", *inside, shown, options=_options(specs))
    if node.function in (WINDOWS, OVERLAP):
        sizes = [size(spec[1 if node.function is WINDOWS else 5]) for spec in specs]
        return m.call(node.function.name, inside[0], _each(sizes), options=_options(specs))
    raise AssertionError(f"{node.function} is for code only")


def _each(sizes: Sequence[Tree]) -> Tree:
    """One size, or several in brackets."""
    return sizes[0] if len(sizes) == 1 else m.tree("tuple", sizes)


def _options(specs: Sequence[tuple[Any, ...]]) -> str:
    """stride=2 and what else is not usual, in brackets where the axes differ."""
    found = []
    for name, place, usual in (("stride", 2, 1), ("padding", 4, 0), ("dilation", 3, 1)):
        values = [Dim.of(spec[place]) for spec in specs]
        if any(v.constant != usual for v in values):
            same = len(set(values)) == 1
            found.append(f"{name}={values[0] if same else '(' + ', '.join(map(str, values)) + ')'}")
    return ", ".join(found)
