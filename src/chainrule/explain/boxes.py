"""A formula as lines of text: a matrix or a choice of cases takes several, everything else one.

In: a presentation tree. Out: a Box, rows of equal width and the one that the = sign stands on.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.text import to_text

# Of a delimiter: alone, top, middle (in every row between), bottom.
Pieces = tuple[str, str, str, str]
ROUND = (("(", "⎛", "⎜", "⎝"), (")", "⎞", "⎟", "⎠"))
BRACE = {1: "{", 2: "⎧⎩", 3: "⎧⎨⎩"}
SQUARE = (("[", "⎡", "⎢", "⎣"), ("]", "⎤", "⎥", "⎦"))
JOINED = {"product": " · ", "chain": " ", "scale": " ", "kron": " ⊗ "}
RAISED = {"transpose": "ᵀ", "inverse": "⁻¹", "inverse_transpose": "⁻ᵀ"}


def width_of(text: str) -> int:
    """How many columns of a terminal the text takes.

    >>> width_of("x̂ᵀ"), width_of("数")
    (2, 2)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def padded(text: str, width: int) -> str:
    """The text with spaces behind it up to a width."""
    return text + " " * (width - width_of(text))


@dataclass(frozen=True, slots=True)
class Box:
    """Rows of equal width; `base` is the row that the formula beside it stands on."""

    rows: tuple[str, ...]
    base: int = 0

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return width_of(self.rows[0])

    @property
    def below(self) -> int:
        """How many rows lie under the base."""
        return len(self.rows) - 1 - self.base


@dataclass(frozen=True, slots=True)
class Pen:
    """How a tree is written on one line, and how the signs between boxes are spelled."""

    write: Callable[[Tree], str] = to_text
    spell: Callable[[str], str] = str


PEN = Pen()


def box(tree: Tree, pen: Pen = PEN) -> Box:
    r"""The tree in two dimensions where it holds a grid or cases that can be laid out, else on one line.

    >>> w = m.name("w")
    >>> print(*box(m.product(w, m.grid([[m.ONE, w], [w, m.ONE]]))).rows, sep="\n")
    w · ⎡ 1  w ⎤
        ⎣ w  1 ⎦
    """
    if not _is_tall(tree):
        return Box((pen.write(tree),))
    match tree.op:
        case "grid":
            return _grid(tree, [box(entry, pen) for entry in tree.args], pen)
        case "cases":
            return _cases(tree, [box(part, pen) for part in tree.args], pen)
        case "sum":
            signs = ["−" if tree.data[0] < 0 else ""] + [" − " if s < 0 else " + " for s in tree.data[1:]]
            parts = [_part(part, tree, pen) for part in tree.args]
            return _beside(
                [b for s, part in zip(signs, parts, strict=True) for b in (Box((pen.spell(s),)), part)]
            )
        case op if op in JOINED or op == "times":
            parts = [_part(part, tree, pen) for part in tree.args]
            sign = JOINED.get(op) or f" {m.product_signs(tree)[0]} "
            between = Box((pen.spell(sign),))
            return _beside([b for part in parts for b in (between, part)][1:])
        case op if op in RAISED:
            part = _part(tree.args[0], tree, pen)
            mark = pen.spell(RAISED[op])
            column = (mark, *[" " * width_of(mark)] * (len(part.rows) - 1))
            return _beside([part, Box(column, part.base)])
    return Box((pen.write(tree),))


def _is_tall(tree: Tree) -> bool:
    """Whether it is a grid, or joins parts that are."""
    if tree.op in ("grid", "cases"):
        return True
    joins = tree.op in JOINED or tree.op in RAISED or tree.op in ("sum", "times")
    return joins and any(map(_is_tall, tree.args))


def _part(part: Tree, parent: Tree, pen: Pen) -> Box:
    inside = box(part, pen)
    return _enclosed(inside, ROUND, pen) if m.needs_parentheses(part, parent) else inside


def _beside(boxes: Sequence[Box]) -> Box:
    """Boxes in a row, their bases on one line."""
    above, below = max(b.base for b in boxes), max(b.below for b in boxes)
    rows = [""] * (above + 1 + below)
    for part in boxes:
        blank = " " * part.width
        top = above - part.base
        for k in range(len(rows)):
            inside = 0 <= k - top < len(part.rows)
            rows[k] += part.rows[k - top] if inside else blank
    return Box(tuple(rows), above)


def _enclosed(inside: Box, delimiters: tuple[Pieces, Pieces], pen: Pen) -> Box:
    left, right = (tuple(map(pen.spell, _delimiter(p, len(inside.rows)))) for p in delimiters)
    return Box(tuple(a + row + z for a, row, z in zip(left, inside.rows, right, strict=True)), inside.base)


def _delimiter(pieces: Pieces, height: int) -> tuple[str, ...]:
    alone, top, middle, bottom = pieces
    return (alone,) if height == 1 else (top, *[middle] * (height - 2), bottom)


def _grid(tree: Tree, entries: list[Box], pen: Pen) -> Box:
    rows, columns = tree.data
    lines = [entries[k : k + columns] for k in range(0, len(entries), columns)]
    widths = [max(line[c].width for line in lines) for c in range(columns)]
    done: list[str] = []
    for line in lines:
        row = _beside([Box((" " if c == 0 else "  ",)) if k == 0 else _wide(part, widths[c])
                       for c, part in enumerate(line) for k in (0, 1)])  # fmt: skip
        done += [text + " " for text in row.rows]
    return _enclosed(Box(tuple(done), (len(done) - (rows % 2 == 0)) // 2), SQUARE, pen)


def _cases(tree: Tree, parts: list[Box], pen: Pen) -> Box:
    values, conditions = parts[::2], parts[1::2]
    width = max(value.width for value in values)
    rows: list[str] = []
    for value, condition in zip(values, conditions, strict=True):
        rows += _beside([Box((" ",)), _wide(value, width), Box(("   if ",)), condition]).rows
    longest = max(map(width_of, rows))
    height, base = len(rows), (len(rows) - 1) // 2
    if height in BRACE:
        brace = BRACE[height]
    else:
        brace = f"⎧{'⎪' * (base - 1)}⎨{'⎪' * (height - base - 2)}⎩"
    return Box(tuple(pen.spell(b) + padded(r, longest) for b, r in zip(brace, rows, strict=True)), base)


def _wide(part: Box, width: int) -> Box:
    return Box(tuple(padded(row, width) for row in part.rows), part.base)
