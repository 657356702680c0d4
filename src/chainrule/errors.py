"""Errors as data: what went wrong, where (a span of the source), the sizes with their names, a way out.

Rooms raise these; the command line and the notebook turn them into prose with a caret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of the source text."""

    start: int
    end: int

    def join(self, other: Span) -> Span:
        """The smallest span that covers both."""
        return Span(min(self.start, other.start), max(self.end, other.end))


class ChainruleError(Exception):
    """A mistake in the input, with the data that a message needs.

    `message` says what is wrong, `hint` a way out, `spans` the places in `source`, `sizes` the named shapes.

    >>> print(ChainruleError("A has no inverse", source="inv(A)", spans=(Span(4, 5),)))
    A has no inverse
      inv(A)
          ^
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        source: str = "",
        spans: tuple[Span, ...] = (),
        sizes: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.source = source
        self.spans = spans
        self.sizes = dict(sizes or {})

    def located(self, source: str, *spans: Span) -> ChainruleError:
        """This error with its place filled in, unless it already knows one."""
        if not self.spans:
            self.source, self.spans = source, spans
        return self

    def __str__(self) -> str:
        lines = [self.message]
        if self.source and self.spans:
            lines += _mark(self.source, self.spans)
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


class SyntaxProblem(ChainruleError):
    """The text is not a formula."""


class OutsideSum(SyntaxProblem):
    """One instance, such as row xᵢ, stands in no sum over `letter`, and in no definition for every one."""

    def __init__(self, message: str, *, letter: str, **data: Any) -> None:
        super().__init__(message, **data)
        self.letter = letter


class ShapeMismatch(ChainruleError):
    """Two parts of a formula have sizes that do not fit; `dims` are the two sizes, where it is about two."""

    def __init__(self, message: str, *, dims: tuple[object, object] | None = None, **data: Any) -> None:
        super().__init__(message, **data)
        self.dims = dims


class UnknownName(ChainruleError):
    """A variable, function or attribute that does not exist."""


class NoDerivative(ChainruleError):
    """A function without a derivative rule was differentiated."""


class OptionError(ChainruleError):
    """An option (order, layout, dialect, ...) outside its range."""


class LimitExceeded(ChainruleError):
    """A formula beyond the documented limits."""


class ArrayMismatch(ChainruleError):
    """An array given to a compiled function has the wrong name, shape or type."""


class DataProblem(ChainruleError):
    """Data that cannot be used: a cell without a value, a column that is missing, a file that cannot be read.

    file    where the data are from, "" for arrays in memory
    line    a line of text, counted from 1
    row     a row of data that has no lines, counted from 0
    column  the name of a column

    >>> print(DataProblem("bmi has no value", file="patients.csv", line=7, column="bmi"))
    patients.csv, line 7: bmi has no value
    """

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        line: int | None = None,
        row: int | None = None,
        column: str = "",
        **data: Any,
    ) -> None:
        place = [file] if file else []
        if line is not None:
            place.append(f"line {line}")
        elif row is not None:
            place.append(f"row {row}")
        super().__init__(f"{', '.join(place)}: {message}" if place else message, **data)
        self.file, self.line, self.row, self.column = file, line, row, column


class FileProblem(ChainruleError):
    """A file that is missing, damaged, or not what it should be."""


class DomainProblem(ChainruleError):
    """No point was found where a formula can be evaluated."""


class CheckFailed(ChainruleError):
    """A derivative disagrees with its numeric check: a fault of chainrule, never shown as an answer."""


WIDTH = 100


def _mark(source: str, spans: tuple[Span, ...]) -> list[str]:
    """The line of the first span with a caret under each span on it; long lines are cut around the place."""
    first = min(spans, key=lambda s: s.start)
    begin = source.rfind("\n", 0, first.start) + 1
    end = source.find("\n", first.start)
    end = len(source) if end < 0 else end
    low = begin if end - begin <= WIDTH else max(begin, first.start - WIDTH // 2)
    high = min(end, low + WIDTH)
    marks = [" "] * (high - low + 1)
    for span in spans:
        if begin <= span.start <= end:
            for i in range(max(span.start, low), min(max(span.end, span.start + 1), high + 1)):
                marks[i - low] = "~"
    if sum(mark == "~" for mark in marks) == 1:
        marks[marks.index("~")] = "^"
    text = "".join(c if c.isprintable() else "·" for c in source[low:high])
    cut_left, cut_right = ("…" if low > begin else ""), ("…" if high < end else "")
    lines = [f"  {cut_left}{text}{cut_right}", "  " + " " * len(cut_left) + "".join(marks).rstrip()]
    if "\n" in source.strip():
        line = source.count("\n", 0, first.start) + 1
        lines[0] = f"  line {line}, column {first.start - begin + 1}:\n{lines[0]}"
    return lines
