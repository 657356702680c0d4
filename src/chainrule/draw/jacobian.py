"""A Jacobian by several scalars with its entries: a row for each function, a column for each name.

In: the derivative, what it is of, the names of the scalars. Out: a Drawing. Source: Parr and Howard 2018,
section 4 (the Jacobian of f = 3x²y and g = 2x + y⁸).
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.draw.boxes import Block, draw_product
from chainrule.draw.manner import PLAIN, Manner
from chainrule.draw.maths import Maths, of_tree, plain, shortened, text
from chainrule.draw.svg import Drawing, element, escape, framed
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Einsum, Expr, Variable
from chainrule.notation import matform as m
from chainrule.notation.layout import chain_layout
from chainrule.notation.present import present
from chainrule.rules.constants import component
from chainrule.simplify import simplify_many

MOST = 6  # rows whose entries are written
LONGEST_ENTRY = 14.0  # in font sizes; the rest is in the tooltip
ENTRY, NAME, HEAD = 15.0, 15.0, 13.5  # font sizes
MARGIN, PAD, HIGH = 16.0, 14.0, 38.0


def draw_jacobian(value: Expr, of: Variable, by: Sequence[str], manner: Manner = PLAIN) -> Drawing:
    """The derivative of a scalar or a vector by several scalars side by side.

    >>> x, y = Variable("x"), Variable("y")
    >>> from chainrule.expr.nodes import Stack
    >>> print(draw_jacobian(Stack([2 * x, y]), Variable("f"), ["x", "y"]).alt)
    The entries of ∂f/∂(x, y): 1 × 2
    Row f: ∂f/∂x = 2x; ∂f/∂y = y.
    """
    name = of_tree(m.derivative(m.name(of.name), m.call("", *map(m.name, by))))
    count = of.shape[0] if of.rank else Dim.of(1)
    upright = chain_layout(of.rank, manner.layout) == "numerator"
    sizes = (count, Dim.of(len(by))) if upright else (Dim.of(len(by)), count)
    block = Block(name, *sizes)
    if count.constant is None or max(count.constant, len(by)) > MOST:
        return draw_product([], block, manner)
    functions = [m.name(of.name)]
    if of.rank:
        functions = [m.tree("entry", (m.name(of.name),), (str(k + 1),)) for k in range(count.constant)]
    names = [m.name(v) for v in by]
    entries = _entries(value, len(functions) if of.rank else 0, len(by))
    table = [[of_tree(present(e).tree, manner.profile) for e in row] for row in entries]
    told = [
        f"Row {of_tree(f).text}: "
        + "; ".join(f"{of_tree(m.derivative(f, n)).text} = {e.text}" for n, e in zip(names, row, strict=True))
        + "."
        for f, row in zip(functions, table, strict=True)
    ]
    heads = [of_tree(f) for f in functions], [of_tree(n) for n in names]
    if not upright:
        table = [list(column) for column in zip(*table, strict=True)]
        heads = heads[::-1]
    body, size = _grid(block, table, *heads)
    title = f"The entries of {name.text}: {block.sizes}"
    description = " ".join(told) + ("" if upright else " Written as the transpose, in denominator layout.")
    return framed(body, size, title, description, manner)


def _entries(value: Expr, rows: int, columns: int) -> list[list[Expr]]:
    """The entries row by row; of the gradient of a scalar, which has no axis for rows, one row."""
    picked: list[Expr] = []
    for i in range(rows or 1):
        for j in range(columns):
            parts, labels = [value], [tuple(range(value.rank))]
            places = ([(i, 0)] if rows else []) + [(j, value.rank - 1)]
            for place, axis in places:
                parts.append(component(place, value.shape[axis]))
                labels.append((axis,))
            picked.append(Einsum(ONE, parts, labels, ()))
    found = simplify_many(picked)
    return [found[k : k + columns] for k in range(0, len(found), columns)]


def _grid(
    block: Block, table: Sequence[Sequence[Maths]], rows: Sequence[Maths], columns: Sequence[Maths]
) -> tuple[list[str], tuple[float, float]]:
    """The box with its entries, what its rows and columns are, and its name."""
    shown = [[shortened(entry, LONGEST_ENTRY) for entry in row] for row in table]
    wide = [
        max(head.width(HEAD), *(row[k].width(ENTRY) for row in shown)) + 2 * PAD
        for k, head in enumerate(columns)
    ]
    left = MARGIN + max(head.width(HEAD) for head in rows) + 12
    top = MARGIN + 24.0
    width, height = sum(wide), HIGH * len(shown)
    frame = {"class": "result", "x": left, "y": top, "width": width, "height": height, "rx": 2}
    body = [element("g", {}, element("title", {}, escape(block.text)), element("rect", frame))]
    x = left
    for k, (head, room) in enumerate(zip(columns, wide, strict=True)):
        body.append(text(head, x + room / 2, top - 9, HEAD, "muted"))
        if k:
            body.append(element("line", {"class": "line", "x1": x, "y1": top, "x2": x, "y2": top + height}))
        x += room
    for n, (head, row) in enumerate(zip(rows, shown, strict=True)):
        y = top + HIGH * n
        body.append(text(head, left - 9, y + HIGH / 2 + 5, HEAD, "muted", "end"))
        if n:
            body.append(element("line", {"class": "line", "x1": left, "y1": y, "x2": left + width, "y2": y}))
        x = left
        for entry, whole, room in zip(row, table[n], wide, strict=True):
            words = element("title", {}, escape(whole.text))
            body.append(element("g", {}, words, text(entry, x + room / 2, y + HIGH / 2 + 5, ENTRY)))
            x += room
    middle = left + width / 2
    body.append(text(block.name, middle, top + height + 24, NAME))
    body.append(text(plain(block.sizes), middle, top + height + 42, 12, "w muted"))
    spare = max(0.0, block.name.width(NAME) / 2 - width / 2)
    return body, (left + width + spare + MARGIN, top + height + 54)
