"""The sizes that a person expects arrays to have, by which the order of products is chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from chainrule.errors import OptionError, Span
from chainrule.language import Formula

Sizes = Mapping[str, int] | str | None
_PART = re.compile(r"\s*(?P<name>[^\s=,]+)\s*=\s*(?P<value>[^\s=,]+)\s*(?:,|$)")


def read_sizes(given: Sizes, formula: Formula) -> dict[str, int]:
    """Numbers by the names of sizes, from a mapping or a text "N=1000, n=20".

    Raises: OptionError, with the place in the text, for a name that is no size and for what is no size.

    >>> from chainrule.language import parse_formula
    >>> read_sizes("N=1000, n = 20", parse_formula("X @ w", "X[N,n] w[n]"))
    {'N': 1000, 'n': 20}
    """
    if given is None:
        return {}
    shapes = [dim for v in formula.variables.values() for dim in v.shape]
    known = list(dict.fromkeys(name for dim in shapes for name in dim.names))
    if isinstance(given, Mapping):
        text = "sizes={" + ", ".join(f"{name!r}: {value!r}" for name, value in given.items()) + "}"
        return {name: _size(name, given[name], known, text) for name in given}
    if not isinstance(given, str):
        raise OptionError(f"sizes are given by name, not as {given!r}", hint='write sizes={"N": 1000}')
    sizes: dict[str, int] = {}
    position = 0
    while position < len(given):
        part = _PART.match(given, position)
        if part is None:
            raise OptionError(
                "sizes are written name=number, name=number, ...",
                hint="for example N=1000, n=20",
                source=given,
                spans=(Span(position, len(given)),),
            )
        name, value = part["name"], part["value"]
        if name in sizes:
            raise OptionError(f"{name} is given twice", source=given, spans=(Span(*part.span("name")),))
        number = int(value) if value.isdecimal() else value
        sizes[name] = _size(name, number, known, given)
        position = part.end()
    return sizes


def _size(name: Any, value: Any, known: list[str], text: str) -> int:
    """The number, if the name is that of a size."""
    if name not in known:
        near = get_close_matches(str(name), known, 1, 0.5)
        every = f"the sizes here are {', '.join(known)}" if known else "the arrays have no sizes with a name"
        raise OptionError(
            f"no array has a size {name}",
            hint=f"did you mean {near[0]}? {every}" if near else every,
            source=text,
            spans=_place(str(name), text),
        )
    try:
        number = None if isinstance(value, bool) else value.__index__()
    except AttributeError:
        number = None
    if number is None or number < 1:
        raise OptionError(
            f"the size {name} is a whole number from 1 on, not {value}",
            hint=f"write how long that axis usually is, for example {name}=1000",
            source=text,
            spans=_place(str(value), text),
        )
    return int(number)


def _place(word: str, text: str) -> tuple[Span, ...]:
    found = re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.])", text)
    return (Span(*found.span()),) if found else ()
