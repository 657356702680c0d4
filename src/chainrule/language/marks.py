"""How the call of a function left unknown is spelled, derivatives included: f″(u), ∂₁f(u, v), ∇h(u).

In: text and the names of the functions. Out: where such a call begins, and its parts. Nothing is said here
about what makes sense; `unknown` does that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from chainrule.expr.names import SUBSCRIPT, ascii_name

_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))
_UP = "".join(_RAISED)
_LOW = "".join(c for c, plain in SUBSCRIPT.items() if plain.isdigit())
_INDEX = rf"(?:_?[0-9]+|[{_LOW}]+)"
_MARK = rf"(?:∂{_INDEX}|∇{_INDEX}?)(?:[{_UP}]+|\^[0-9]+)?[ ]*"
_PRIMES = rf"[′'’″‴]+|⁽[{_UP}]+⁾"
_CALL = re.compile(rf"((?:{_MARK})*)([^\W\d_](?:[^\W{_UP}]|[\u0300-\u036f])*)({_PRIMES})?(?=[ ]*\()")
_ONE_MARK = re.compile(rf"([∂∇])(?:_?([0-9]+)|([{_LOW}]+))?(?:([{_UP}]+)|\^([0-9]+))?[ ]*")
_COUNT = {"'": 1, "′": 1, "’": 1, "″": 2, "‴": 3}


@dataclass(frozen=True, slots=True)
class Marked:
    """A function's name as it is called, with its order marks.

    primes  how many, or the number in brackets
    marks   "∂" or "∇", by which argument (None if that is not said), how often
    """

    name: str
    primes: int
    marks: tuple[tuple[str, int | None, int], ...]


def call_at(text: str, position: int, names: Collection[str]) -> str:
    """The name and the marks of the call of one of the functions that begins here, or nothing.

    >>> call_at("2 ∂₁²f(x, y)", 2, ["f"]), call_at("f(x)", 0, ["g"])
    ('∂₁²f', '')
    """
    found = _CALL.match(text, position) if names else None
    return found[0] if found and stored(found[2], names) in names else ""


def without_marks(text: str, names: Collection[str]) -> str:
    """The text with the primes of unknown functions gone: f'(x) has no transpose in it.

    >>> without_marks("f'(x) A'", ["f"])
    "f(x) A'"
    """
    if not names:
        return text
    return _CALL.sub(lambda found: found[2] if stored(found[2], names) in names else found[0], text)


def stored(name: str, names: Collection[str]) -> str:
    """The declared spelling, where f₁ may stand for f1 or f_1."""
    own = ascii_name(name)
    for other in (own, re.sub(r"(?<=[^0-9_])([0-9]+)$", r"_\1", own), own.replace("_", "")):
        if other in names:
            return other
    return own


def read_call(text: str) -> Marked:
    """A call's name taken apart.

    >>> read_call("∂₁²∂₂f").marks
    (('∂', 1, 2), ('∂', 2, 1))
    >>> read_call("f″").primes, read_call("f⁽⁴⁾").primes
    (2, 4)
    """
    found = _CALL.match(f"{text}(")
    if found is None:
        return Marked(text, 0, ())
    primes = found[3] or ""
    count = sum(_COUNT.get(c, 0) for c in primes) or int(_digits(primes, _RAISED) or 0)
    marks = []
    for mark in _ONE_MARK.finditer(found[1]):
        below = mark[2] or _digits(mark[3] or "", SUBSCRIPT)
        above = mark[5] or _digits(mark[4] or "", _RAISED)
        marks.append((mark[1], int(below) if below else None, int(above) if above else 1))
    return Marked(found[2], count, tuple(marks))


def _digits(text: str, table: Mapping[str, str]) -> str:
    return "".join(table[c] for c in text if c in table)
