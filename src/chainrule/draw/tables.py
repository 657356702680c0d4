"""Two tables of shapes: what a derivative looks like, and which pieces a chain rule multiplies.

In: a layout, and which cell a request falls into. Out: Drawings. Source: Parr and Howard 2018, the figure of
section 4.1 and table 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chainrule.draw.boxes import UNITY, Block, block_element
from chainrule.draw.manner import PLAIN, Manner
from chainrule.draw.maths import Maths, joined, of_text, plain, text
from chainrule.draw.sizes import lengths
from chainrule.draw.svg import Drawing, element, framed
from chainrule.expr.dims import Dim
from chainrule.notation.layout import chain_layout

# How many entries a vector has in the tables.
COUNTS = {"x": Dim.of("n"), "u": Dim.of("k"), "f": Dim.of("m")}
HEAD, NAME = 14.0, 15.0  # font sizes
MARGIN, PAD = 16.0, 20.0
SPACE = 40.0  # between two pieces


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell: pieces that are multiplied, and their product if there are several."""

    pieces: tuple[Block, ...]
    result: Block
    marked: bool = False

    @property
    def text(self) -> str:
        """In words: row · column = scalar."""
        if len(self.pieces) == 1:
            return f"{self.result.name.text} is a {_word(self.result)}, {self.result.sizes}"
        names = " · ".join(b.name.text for b in self.pieces)
        words = " · ".join(map(_word, self.pieces))
        return f"{names}: {words} = {_word(self.result)}"


def shape_table(
    cell: tuple[bool, bool] | None = None,
    manner: Manner = PLAIN,
) -> Drawing:
    """The shape of ∂f/∂x for scalar and vector x and f; `cell`: the marked one, whether x and f are vectors.

    >>> print(shape_table().alt.splitlines()[1].split(". ")[1])
    Vector x (n), scalar f: ∂f/∂x is a row, 1 × n
    """
    layout = chain_layout(0, manner.layout)
    columns, rows = ("scalar x", "vector x (n)"), ("scalar f", "vector f (m)")
    cells = [
        [_derivative("f", "x", f, x, layout, cell == (x, f)) for x in (False, True)] for f in (False, True)
    ]
    title = f"The shape of a derivative, {layout} layout"
    return _table(title, columns, rows, cells, manner)


def piece_table(
    cell: tuple[bool, bool, bool] | None = None,
    manner: Manner = PLAIN,
) -> Drawing:
    """Which pieces the chain rule ∂f/∂x = ∂f/∂u · ∂u/∂x multiplies; `cell`: whether x, u, f are vectors.

    >>> print(piece_table().alt.splitlines()[1].split(". ")[1])
    Scalar x, vector u, scalar f: ∂f/∂u · ∂u/∂x: row · column = scalar
    """
    layout = chain_layout(0, manner.layout)
    kinds = [(x, u) for x in (False, True) for u in (False, True)]
    columns = [f"{_kind(x)} x, {_kind(u)} u" for x, u in kinds]
    rows = ("scalar f", "vector f")
    cells = [[_chain(x, u, f, layout, cell == (x, u, f)) for x, u in kinds] for f in (False, True)]
    title = f"The pieces of the chain rule, {layout} layout"
    return _table(title, columns, rows, cells, manner)


def _kind(is_vector: bool) -> str:
    return "vector" if is_vector else "scalar"


def _block(of: str, by: str, above: bool, below: bool, layout: str) -> Block:
    rows = COUNTS[of] if above else UNITY
    columns = COUNTS[by] if below else UNITY
    if layout != "numerator":
        rows, columns = columns, rows
    return Block(of_text(f"∂{of}/∂{by}"), rows, columns, "full" if above or below else "scalar")


def _derivative(of: str, by: str, above: bool, below: bool, layout: str, marked: bool) -> Cell:
    block = _block(of, by, above, below, layout)
    return Cell((block,), block, marked)


def _chain(x: bool, u: bool, f: bool, layout: str, marked: bool) -> Cell:
    pieces = _block("f", "u", f, u, layout), _block("u", "x", u, x, layout)
    ordered = pieces if layout == "numerator" else pieces[::-1]
    return Cell(ordered, _block("f", "x", f, x, layout), marked)


def _word(block: Block) -> str:
    """Scalar, row, column or matrix."""
    if block.kind == "scalar":
        return "scalar"
    return "row" if block.rows == UNITY else "column" if block.columns == UNITY else "matrix"


# ---------------------------------------------------------------- drawing


def _table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[str],
    cells: Sequence[Sequence[Cell]],
    manner: Manner,
) -> Drawing:
    everything = [c for line in cells for c in line]
    scale = lengths(d for c in everything for b in (*c.pieces, c.result) for d in (b.rows, b.columns))
    widths = [
        max(plain(head).width(HEAD), *(_width(line[k], scale) for line in cells)) + 2 * PAD
        for k, head in enumerate(columns)
    ]
    heights = [max(_height(c, scale) for c in line) + 2 * PAD for line in cells]
    left = MARGIN + max(plain(r).width(HEAD) for r in rows) + 14
    top = MARGIN + 28.0
    body: list[str] = []
    x = left
    for head, width in zip(columns, widths, strict=True):
        body.append(text(_head(head), x + width / 2, top - 12, HEAD))
        x += width
    y = top
    for head, line, height in zip(rows, cells, heights, strict=True):
        body.append(text(_head(head), left - 14, y + height / 2 + 5, HEAD, anchor="end"))
        x = left
        for cell, width in zip(line, widths, strict=True):
            frame = {"class": "source" if cell.marked else "constant", "x": x, "y": y}
            body.append(element("rect", frame | {"width": width, "height": height}))
            body.extend(_drawn(cell, x + width / 2, y + PAD, height - 2 * PAD, scale))
            x += width
        y += height
    told = [
        f"{column.capitalize()}, {row}: {cell.text}{' (this one)' if cell.marked else ''}."
        for row, line in zip(rows, cells, strict=True)
        for column, cell in zip(columns, line, strict=True)
    ]
    return framed(body, (x + MARGIN, y + MARGIN), title, " ".join(told), manner)


def _head(words: str) -> Maths:
    """A heading with its letters slanted."""
    parts = [of_text(w) if len(w.strip("(),")) == 1 else plain(w) for w in words.split(" ")]
    return joined(*(p for k, part in enumerate(parts) for p in ([plain(" ")] if k else []) + [part]))


def _room(block: Block, scale: Mapping[Dim, float]) -> float:
    return max(scale[block.columns], block.name.width(NAME))


def _width(cell: Cell, scale: Mapping[Dim, float]) -> float:
    return sum(_room(b, scale) for b in cell.pieces) + SPACE * (len(cell.pieces) - 1) + 16


def _height(cell: Cell, scale: Mapping[Dim, float]) -> float:
    return 16 + max(scale[b.rows] for b in cell.pieces) + 24 + 20


def _drawn(cell: Cell, x: float, y: float, height: float, scale: Mapping[Dim, float]) -> list[str]:
    """Pieces around x, names below them, and below these what they are."""
    tall = height - 16 - 24 - 20
    middle = y + 16 + tall / 2
    at = x - (_width(cell, scale) - 16) / 2 + 8
    body: list[str] = []
    for k, block in enumerate(cell.pieces):
        room = _room(block, scale)
        if k:
            body.append(text(plain("·"), at - SPACE * 0.62, middle + 6, 20))
        body.append(block_element(block, at + room / 2, middle, (scale[block.columns], scale[block.rows])))
        body.append(text(block.name, at + room / 2, y + 16 + tall + 22, NAME))
        at += room + SPACE
    words = " · ".join(map(_word, cell.pieces)) + (f" = {_word(cell.result)}" if len(cell.pieces) > 1 else "")
    body.append(text(plain(words), x + 8, y + 16 + tall + 42, 12, "w muted"))
    return body
