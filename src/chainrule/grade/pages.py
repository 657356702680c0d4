"""A page that chainrule printed, as a derivation: what stands on it beside equalities taken away.

In: the text of a page. Out: a text of the same length, in which reasons, sizes below factors, sentences and
matrices written out entry by entry are blanks, so that every place is where it was.
"""

from __future__ import annotations

import re

_CHECKED = re.compile(r"^checked: \d+ steps?\b", re.MULTILINE)
_SENTENCES = ("not differentiable", "perhaps not differentiable", "checked:", "Gradient-descent step:",
              "That is:")  # fmt: skip
_COLUMN = re.compile(r" {3,}(?=\S)")
_SIZE = r"(?:\d+|[^\W\d](?:_?\d+)?|\([\w +·]+\))"
_PAIR = rf"{_SIZE}(?: × {_SIZE})+"
_SIZES = re.compile(rf"{_PAIR}(?: · {_PAIR})*(?: = {_PAIR})?")
_DRAWN = "⎡⎢⎣⎤⎥⎦"
FAR = 40  # columns behind which no formula begins


def is_page(text: str) -> bool:
    """Whether chainrule printed it: its last words say what was checked."""
    return bool(_CHECKED.search(text))


def cleaned(text: str) -> str:
    r"""The page with what is no equality made blank.

    >>> page = "y = Aa      m    matrix times\n                 vector\n\nchecked: 3 steps"
    >>> [line.rstrip() for line in cleaned(page).split("\n")]
    ['y = Aa', '', '', '']
    """
    lines = text.split("\n")
    columns: set[int] = set()
    sentence = False
    for k, line in enumerate(lines):
        bare = line.strip()
        sentence = bool(bare) and (sentence or bare.startswith("Read it:"))
        indent = len(line) - len(line.lstrip())
        wrapped = bool(bare) and not bare.startswith("=") and (indent in columns or indent >= FAR)
        goes_on = k > 0 and "=" not in bare and _open_sentence(lines[k - 1], indent)
        if sentence or goes_on or bare.startswith(_SENTENCES) or wrapped or _SIZES.fullmatch(bare):
            lines[k] = " " * len(line)
            columns |= {indent} if wrapped else set()
        elif bare:
            columns = {m.end() for m in _COLUMN.finditer(line) if line[: m.start()].strip()}
            lines[k] = _without_columns(line)
    return _without_entries("\n".join(lines))


def _open_sentence(line: str, indent: int) -> bool:
    """Whether words at this indent that are no formula have not come to their full stop."""
    words = line.split()
    here = len(line) - len(line.lstrip()) == indent
    drawn = any(sign in line for sign in ("=", *_DRAWN))
    return here and not drawn and len(words) > 4 and not words[-1].endswith((".", ":"))


def _without_columns(line: str) -> str:
    """A formula without sizes and reasons behind it; what `where` introduces stays."""
    for gap in _COLUMN.finditer(line):
        tail = line[gap.end() :]
        if "=" in line[: gap.start()] and not tail.startswith("="):
            last = _COLUMN.split(tail)[-1]
            kept = last if last.startswith("where ") else ""
            return line[: gap.end()] + " " * (len(tail) - len(kept)) + kept
    return line


def _without_entries(text: str) -> str:
    """Without matrices drawn over lines, or with dots: what follows them continues their left side."""
    lines = text.split("\n")
    inside = False
    joined: list[bool] = []
    for k, line in enumerate(lines):
        begin = next((i for i, c in enumerate(line) if c in _DRAWN), None)
        row = re.search(r"= \[ (?=.*⋯|.*\S$)", line) if begin is None and not inside else None
        if begin is not None:
            sign = line.rfind("=", 0, begin)
            begin = sign if sign >= 0 else begin
        elif row is not None:
            begin, inside = row.start(), " ]" not in line[row.start() :]
        elif inside:
            begin, inside = 0, " ]" not in line
        joined.append(begin is not None)
        lines[k] = line if begin is None else line[:begin] + " " * (len(line) - begin)
    made = lines[0]
    for k in range(1, len(lines)):
        follows = joined[k - 1] and (joined[k] or lines[k].lstrip().startswith("=") or not lines[k].strip())
        made += (" " if follows else "\n") + lines[k]
    return made
