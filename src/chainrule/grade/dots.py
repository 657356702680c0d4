"""Vectors and diagonal matrices written with dots: [a₁, …, aₙ], [1; ⋮; 1], [x₁ 0 ⋯ 0; ⋮ ⋱ ⋮; 0 0 ⋯ xₙ].

In: a text, and what size the name of a vector has. Out: the changes that spell them as a, 𝟏 and diag(x). What
has another pattern, or whose last index is not the size of the vector, stays as it is and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from chainrule.expr.names import ascii_name
from chainrule.grade.retext import Edit

DOTS = re.compile(r"…|\.\.\.|[⋯⋮⋱]")
_BRACKET = re.compile(r"\[([^\[\]]*(?:…|\.\.\.|[⋯⋮⋱])[^\[\]]*)\]")
_NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?")
_INDEXED = re.compile(r"(?P<name>[^\W\d_₀-₉ₐ-ₜ]+)(?P<index>_\{?[A-Za-z0-9]+\}?|[₀-₉ₐ-ₜ]+)")
_ALLOWED = re.compile(r"[\w\s+\-−·*⊙²³()/.\u2080-\u209c{}]+")
_BY = re.compile(rf"(?P<top>[d∂][^\s/,;\[\]]*/[d∂]){_INDEXED.pattern}")
Size = Callable[[str], str | None]


def dotted(text: str, at: int, size: Size) -> Iterator[Edit]:
    """The changes to a text that begins at `at`; `size` tells the size of a vector by its name.

    >>> [edit.text for edit in dotted("[x_1, …, x_n] + [1; ⋮; 1]", 0, lambda name: "n")]
    ['((x)ᵀ)', '(1𝟏)']
    >>> [edit.text for edit in dotted("[sin(x_1) x_1²(x_1+1); ⋮; sin(x_n) x_n²(x_n+1)]", 0, lambda _: "n")]
    ['(sin(x) ⊙ x² ⊙ (x+1))']
    """
    for bracket in _BRACKET.finditer(text):
        rows = [_entries(row) for row in bracket[1].split(";")]
        made = _diagonal(rows, size) or _vector(rows, size)
        if made is not None:
            yield Edit(at + bracket.start(), at + bracket.end(), made)


def _entries(row: str) -> list[str]:
    """The entries of a row: between commas, or between spaces."""
    return [one.strip() for one in (row.split(",") if "," in row else row.split()) if one.strip()]


def _vector(rows: list[list[str]], size: Size) -> str | None:
    """A row of entries, or a column of rows with one entry."""
    column = len(rows) > 1
    entries = [" ".join(row) for row in rows] if column else rows[0]
    if not all(entries) or len(entries) < 3 or sum(bool(DOTS.fullmatch(one)) for one in entries) != 1:
        return None
    if not DOTS.fullmatch(entries[-2]):
        return None
    one = _general([*entries[:-2], entries[-1]], size)
    return None if one is None else f"({one})" if column else f"(({one})ᵀ)"


def _diagonal(rows: list[list[str]], size: Size) -> str | None:
    """A square of entries with zeros and dots beside the diagonal."""
    width = len(rows)
    if width < 3 or any(len(row) != width for row in rows):
        return None
    beside = [row[j] for i, row in enumerate(rows) for j in range(width) if i != j]
    if not all(one == "0" or DOTS.fullmatch(one) for one in beside) or "0" not in beside:
        return None
    entries = [row[i] for i, row in enumerate(rows)]
    if not DOTS.fullmatch(entries[-2]):
        return None
    one = _general([*entries[:-2], entries[-1]], size)
    return f"diag({one})" if one is not None and "𝟏" not in one else None


def _general(entries: list[str], size: Size) -> str | None:
    """The vector whose entries these are: the first ones, then the last one."""
    if all(one == entries[0] for one in entries) and _NUMBER.fullmatch(entries[0]):
        return f"{entries[0]}𝟏"
    found = [_without_index(one) for one in entries]
    texts = {text for text, _ in found}
    last = found[-1][1]
    counted = [str(k + 1) for k in range(len(entries) - 1)]
    if len(texts) != 1 or [index for _, index in found[:-1]] != counted or last is None:
        return None
    names = {m["name"] for m in _INDEXED.finditer(entries[0])}
    return texts.pop() if all(size(name) == last for name in names) else None


def _without_index(entry: str) -> tuple[str, str | None]:
    """An entry without its one index, products entry by entry; the index, None if there is not one."""
    indices = {ascii_name("x" + m["index"]).removeprefix("x").strip("_{}") for m in _INDEXED.finditer(entry)}
    if len(indices) != 1 or not _ALLOWED.fullmatch(entry):
        return entry, None
    marked = _INDEXED.sub(lambda m: f"{m['name']}\0", entry)  # a vector ends where the mark is
    bare = re.sub(r"(?<=[\0)²³])\s*[·*]?\s*(?=[^\W²³]|\()", " ⊙ ", marked).replace("\0", "")
    return bare, indices.pop()


def derivatives(text: str, position: int, size: Size) -> tuple[str, int] | None:
    """The derivative that stands entry by entry in a bracket at `position`, and where that ends.

    >>> derivatives("[∂y/∂w_1, …, ∂y/∂w_n]", 0, lambda name: "n")
    ('∂y/∂w', 21)
    """
    bracket = _BRACKET.match(text, position)
    if bracket is None or ";" in bracket[1]:
        return None
    entries = _entries(bracket[1])
    found = [_BY.fullmatch(one) for one in entries if not DOTS.fullmatch(one)]
    if len(found) != len(entries) - 1 or len(found) < 2 or not DOTS.fullmatch(entries[-2]):
        return None
    parts = [(m["top"], m["name"]) for m in found if m is not None]
    indices = [ascii_name("x" + m["index"]).removeprefix("x").strip("_{}") for m in found if m is not None]
    counted = [str(k + 1) for k in range(len(found) - 1)]
    if len(parts) < len(found) or len(set(parts)) > 1 or indices[:-1] != counted:
        return None
    return ("".join(parts[0]), bracket.end()) if size(parts[0][1]) == indices[-1] else None
