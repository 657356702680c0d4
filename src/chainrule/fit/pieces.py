"""Rows in pieces: each piece is read where it is summed, in this process, another, or on another machine.

Totals of pieces are added in their order, whoever made them and when, so that a sum is the same to the last
bit for the same pieces.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from chainrule.codegen.halves import Half
from chainrule.errors import OptionError
from chainrule.fit.batches import Minibatches
from chainrule.fit.gaps import Gaps
from chainrule.fit.objective import Array
from chainrule.fit.rows import MemoryRows

Totals = dict[str, Array]


class Summed(NamedTuple):
    """The totals of some rows, how many these are, and which were left out, where any may be."""

    totals: Totals
    rows: int
    gaps: Gaps | None = None


class Piece(Protocol):
    """Some of the rows, in chunks: arrays by the names of variables. It can be sent to another process.

    One that may leave rows out has `gaps`, which know of those of the last pass.
    """

    def __iter__(self) -> Iterator[Mapping[str, Array]]: ...


@dataclass(frozen=True)
class ArrayPiece:
    """Rows `start` to `stop` of arrays in npy files, by the names of variables, as one chunk."""

    files: Mapping[str, str]
    start: int
    stop: int

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        whole = {name: _mapped(file, os.stat(file).st_mtime_ns) for name, file in self.files.items()}
        yield {name: np.asarray(array[self.start : self.stop]) for name, array in whole.items()}


@lru_cache(maxsize=64)
def _mapped(file: str, changed: int) -> Array:
    """The array in a file; it stays mapped, since mapping it anew costs a page fault for each page."""
    array: Array = np.load(file, mmap_mode="r")
    return array


@dataclass(frozen=True)
class MemoryPiece:
    """Arrays that are here, and go along where the piece goes."""

    arrays: Mapping[str, Array]

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        yield self.arrays


def cut(rows: int, count: int) -> list[tuple[int, int]]:
    """The ends of `count` parts of the rows, about equal; fewer where there are not so many rows.

    >>> cut(5, 2)
    [(0, 2), (2, 5)]
    """
    ends = [rows * k // count for k in range(count + 1)]
    return [(a, b) for a, b in pairwise(ends) if b > a]


class Shared:
    """Arrays written to files once, so that other processes can map them; they go when this is closed.

    >>> with Shared({"y": np.arange(5.0)}, 2) as shared:
    ...     [[chunk["y"].tolist() for chunk in piece] for piece in shared.pieces]
    [[[0.0, 1.0]], [[2.0, 3.0, 4.0]]]
    """

    def __init__(self, arrays: Mapping[str, Array], count: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chainrule-", ignore_cleanup_errors=True)
        files = {}
        for number, (name, array) in enumerate(arrays.items()):
            file = Path(self._folder.name) / f"{number}.npy"
            np.save(file, array)
            files[name] = str(file)
        rows = len(next(iter(arrays.values())))
        self.pieces = [ArrayPiece(files, start, stop) for start, stop in cut(rows, count)]

    def __enter__(self) -> Shared:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the files."""
        self._folder.cleanup()


def sum_piece(piece: Piece, half: Half, values: Mapping[str, Array], sizes: Mapping[str, int]) -> Summed:
    """The totals of a piece, and how many rows it has."""
    totals: Totals = {}
    count = 0
    for chunk in piece:
        found = half({**values, **chunk}, sizes)
        totals = _plus(totals, found) if totals else found
        count += len(next(iter(chunk.values())))
    return Summed(totals, count, getattr(piece, "gaps", None))


def _plus(totals: Totals, more: Totals) -> Totals:
    return {name: totals[name] + more[name] for name in totals}


def added(parts: Sequence[Summed]) -> Summed:
    """The totals of all pieces, added in their order; pieces without rows are left out.

    Raises: OptionError if there are no rows at all.
    """
    filled = [part for part in parts if part.rows]
    if not filled:
        raise OptionError("there are no rows of data")
    totals = filled[0].totals
    for part in filled[1:]:
        totals = _plus(totals, part.totals)
    gaps = [part.gaps for part in parts if part.gaps is not None]
    return Summed(totals, sum(part.rows for part in filled), Gaps.together(gaps) if gaps else None)


def count_rows(pieces: Sequence[Piece]) -> int:
    """How many rows there are, by reading them."""
    return sum(len(next(iter(chunk.values()))) for piece in pieces for chunk in piece)


class Picks(Protocol):
    """Where minibatches are from."""

    def batches(self, batch: int, seed: int) -> Minibatches | None: ...


def _unpicked() -> OptionError:
    return OptionError(
        "these rows cannot be picked one by one",
        hint="sgd and adam with a batch need rows in memory or files; gd, lbfgs and newton-cg do not",
    )


class PiecedRows:
    """Rows that are read piece by piece in this process: a part of Rows that needs little memory.

    `count` is the number of rows if it is known; otherwise the first sum finds it, and which rows were left
    out, `gaps`. Minibatches are of `picks`, in this process, whoever sums the pieces.
    """

    def __init__(self, pieces: Sequence[Piece], count: int | None = None, picks: Picks | None = None) -> None:
        self.pieces, self.count, self.picks = list(pieces), count, picks
        self.gaps: Gaps | None = None

    def sums(
        self, half: Half, values: Mapping[str, Array], sizes: Mapping[str, int]
    ) -> tuple[Totals, int]:
        totals, self.count, self.gaps = added(self.parts(half, values, sizes))
        return totals, self.count

    def parts(self, half: Half, values: Mapping[str, Array], sizes: Mapping[str, int]) -> list[Summed]:
        """The totals of each piece, in order."""
        return [sum_piece(piece, half, values, sizes) for piece in self.pieces]

    def counted(self) -> int:
        """The number of rows, read if it is not known."""
        if self.count is None:
            self.count = count_rows(self.pieces)
        return self.count

    def batches(self, batch: int, seed: int) -> Minibatches | None:
        if self.picks is None:
            raise _unpicked()
        return self.picks.batches(batch, seed)

    def some(self, batch: Array) -> dict[str, Array]:
        if not isinstance(self.picks, MemoryRows):
            raise _unpicked()
        return self.picks.some(batch)

    def whole(self, why: str) -> dict[str, Array]:
        if isinstance(self.picks, MemoryRows):
            return self.picks.whole(why)
        raise OptionError(
            f"this loss needs all rows at once: {why}",
            hint="it takes rows that fit in memory, stream=False",
        )

    def close(self) -> None:
        """Ends whatever runs elsewhere."""
