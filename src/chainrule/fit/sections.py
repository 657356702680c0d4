"""A text file cut at line ends, so that several processes share it: sections of about equal length.

One pass looks at every byte: a file is cut where each line end is sure to end a row, so not if quotation
marks may hide some. It also counts lines and rows, since errors and what is held out go by their numbers.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK = 4 << 20  # bytes that are looked at at once
NEWLINE, RETURN = 10, 13


@dataclass(frozen=True, slots=True)
class Section:
    """Bytes `begin` to `end` of a file; so many lines of the file, and rows of data, come before them."""

    begin: int
    end: int
    lines: int
    first: int
    rows: int


def sections(path: str, skip: int, count: int) -> Sequence[Section]:
    """At most `count` sections of a file whose data come after `skip` lines; none if it is not to be cut.

    The first one has these lines too. Lines with nothing on them are no rows.

    Raises: OSError.
    """
    with open(path, "rb") as file:
        body = sum(len(file.readline()) for _ in range(skip))
        size = file.seek(0, io.SEEK_END)
        targets = [body + (size - body) * k // count for k in range(1, count)]
        file.seek(body)
        ends: list[tuple[int, int, int]] = []  # where one ends, and the lines and rows up to there
        at, lines, rows = body, skip, 0
        for block in _whole_lines(file):
            returns = block.count(b"\r")
            if b'"' in block or (returns and returns != block.count(b"\r\n")):
                return ()
            while len(ends) < len(targets) and targets[len(ends)] <= at + len(block):
                stop = block.find(b"\n", max(targets[len(ends)] - at - 1, 0)) + 1 or len(block)
                part = block[:stop]
                ends.append((at + stop, lines + _lines(part), rows + _filled(part)))
            at, lines, rows = at + len(block), lines + _lines(block), rows + _filled(block)
    places = [(0, 0, 0), *ends, (at, lines, rows)]
    return [
        Section(begin, end, before, first, until - first)
        for (begin, before, first), (end, _, until) in itertools.pairwise(places)
        if until > first
    ]


def _whole_lines(file: Any) -> Iterator[bytes]:
    """The file in blocks that end where a line does, or the file."""
    rest = b""
    while block := file.read(BLOCK):
        whole, newline, left = block.rpartition(b"\n")
        if newline:
            yield rest + whole + newline
            rest = left
        else:
            rest += block
    if rest:
        yield rest


def _lines(block: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == NEWLINE))


def _filled(block: bytes) -> int:
    r"""How many of some lines have anything on them.

    >>> _filled(b"1,2\n\n\n3,4\r\n\r\n5,6")
    3
    """
    seen = np.frombuffer(block, np.uint8)
    ends = seen == NEWLINE
    lines = np.count_nonzero(ends) + (not ends[-1])
    blank = np.count_nonzero(ends[1:] & ends[:-1]) + ends[0]
    if b"\r" in block:
        blank += np.count_nonzero(ends[2:] & (seen[1:-1] == RETURN) & ends[:-2]) + block.startswith(b"\r\n")
    return int(lines - blank)


class Bytes(io.RawIOBase):
    """The bytes of a section, as a file of its own."""

    def __init__(self, path: str, section: Section) -> None:
        self._file = open(path, "rb", buffering=0)
        self._file.seek(section.begin)
        self._left = section.end - section.begin

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        count = self._file.readinto(view) or 0
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
