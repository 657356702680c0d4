"""What fills a buffer with the next rows of a part: arrays straight from their files, all else in batches.

A buffer has an array for each variable. An array that is stored as it is needed (float64, in C order, whole)
is read into its buffer without a copy; what must be rearranged is read into an array of its own first.
"""

from __future__ import annotations

import os
import sys
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from chainrule.errors import DataProblem
from chainrule.fit.arrays import ArrayPart, Stored
from chainrule.fit.cells import Array
from chainrule.fit.gaps import Gaps
from chainrule.fit.moments import Scaling
from chainrule.fit.parts import Columns, Part
from chainrule.fit.plan import Complain, Laid, Plan
from chainrule.fit.structure import check_entries

# The rows of a part that are taken, of `count` from `start` on; None for all.
Choice = Callable[[int, int], Array]
AT_ONCE = 1 << 20  # bytes that are read before they are rearranged, while they are in the cache


@dataclass(slots=True)
class Buffer:
    """Arrays for some rows of every variable; `whole` numbers have a second one."""

    floats: dict[str, Array]
    whole: dict[str, Array]

    @classmethod
    def of(cls, plan: Plan, capacity: int, inner: Mapping[str, tuple[int, ...]]) -> Buffer:
        """One with room for so many rows."""
        floats = {laid.name: laid.empty(capacity, inner.get(laid.name, ())) for laid in plan.laid}
        whole = {
            laid.name: np.empty(floats[laid.name].shape, dtype=np.int64) for laid in plan.laid if laid.integer
        }
        return cls(floats, whole)

    def rows(self, count: int) -> dict[str, Array]:
        """The first rows of every variable."""
        return {name: self.whole.get(name, array)[:count] for name, array in self.floats.items()}


@dataclass(slots=True)
class Finish:
    """What is done to rows once they are read: missing values, what is declared, scaling.

    checked  whether an earlier pass has looked at all values
    choice   which rows are taken at all
    """

    plan: Plan
    scaling: Mapping[str, Scaling]
    gaps: Gaps
    checked: bool = False
    choice: Choice | None = None
    scratch: dict[str, Array] = field(default_factory=dict)

    def rows(
        self,
        columns: Columns,
        buffer: Buffer,
        at: int,
        start: int,
        part: Part,
        direct: frozenset[str] = frozenset(),
    ) -> int:
        """Put columns into the buffer from row `at` on, and say how many rows they were.

        `start` is their first row in the part, `direct` names the variables that are in the buffer already.
        """
        count = len(next(iter(columns.values())))
        if not count:
            return 0
        index: Array | None = None
        if self.choice is not None:
            index = np.flatnonzero(self.choice(start, count))
            if not index.size:
                return 0
            columns, direct = {name: values[index] for name, values in columns.items()}, frozenset()

        def complain(message: str, row: int, column: str, hint: str) -> DataProblem:
            return part.problem(message, start + (row if index is None else int(index[row])), column, hint)

        if not self.checked or self.gaps.policy != "error":
            kept = self.gaps.kept(self.plan, columns, complain)
            if kept is not None:
                columns, direct = {name: values[kept] for name, values in columns.items()}, frozenset()
                index = np.flatnonzero(kept) if index is None else index[kept]
                if not index.size:
                    return 0
        count = len(next(iter(columns.values())))
        for laid in self.plan.laid:
            self._variable(laid, columns, buffer, slice(at, at + count), complain, laid.name in direct)
        return count

    def _variable(
        self, laid: Laid, columns: Columns, buffer: Buffer, rows: slice, complain: Complain, direct: bool
    ) -> None:
        array = buffer.floats[laid.name][rows]
        if not direct:
            laid.fill(columns, array, complain)
        if not self.checked:
            check_entries(laid, array, complain)
        if laid.name in self.scaling:
            self.scaling[laid.name].apply(array)
        if laid.integer:
            buffer.whole[laid.name][rows] = array


class Feed(ABC):
    """The rows of one part, from its first on."""

    @abstractmethod
    def fill(self, buffer: Buffer, capacity: int) -> int | None:
        """Fill the buffer with the next rows and say how many; None when there are no more."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""


class BatchFeed(Feed):
    """Rows of what is read in batches: text, Parquet, Arrow, frames."""

    def __init__(self, part: Part, finish: Finish, capacity: int) -> None:
        self.part, self.finish = part, finish
        self.batches: Iterator[Columns] = part.batches(finish.plan.wanted, capacity)
        self.batch: Columns = {}
        self.used = self.size = 0
        self.start = part.first

    def fill(self, buffer: Buffer, capacity: int) -> int | None:
        at, read = 0, False
        while at < capacity:
            if self.used == self.size:
                batch = next(self.batches, None)
                if batch is None:
                    break
                self.start += self.size
                self.batch, self.used, self.size = batch, 0, len(next(iter(batch.values())))
                continue
            stop = min(self.size, self.used + capacity - at)
            piece = {name: values[self.used : stop] for name, values in self.batch.items()}
            at += self.finish.rows(piece, buffer, at, self.start + self.used, self.part)
            self.used, read = stop, True
        return at if read else None

    def close(self) -> None:
        closing = getattr(self.batches, "close", None)
        if closing is not None:
            closing()


class ArrayFeed(Feed):
    """Rows of arrays in npy and npz files."""

    def __init__(self, part: ArrayPart, finish: Finish) -> None:
        self.part, self.finish = part, finish
        self.at, self.stop = part.first, part.first + (part.rows or 0)
        self.arrays: dict[str, Stored] = {}
        users: dict[str, list[tuple[Laid, str]]] = {}
        for laid in finish.plan.laid:
            for piece in laid.pieces:
                name = part.source(piece.source)[0]
                stored = part.arrays[name]
                assert isinstance(stored, Stored), "arrays in memory are read in batches"
                self.arrays[name] = stored
                users.setdefault(name, []).append((laid, piece.source))
        self.direct = {
            name: used[0][0].name
            for name, used in users.items()
            if len(used) == 1 and _as_needed(self.arrays[name], *used[0])
        }
        self.files = {name: _Reader(stored, self.at) for name, stored in self.arrays.items()}
        laid_out = [a for name, a in self.arrays.items() if name not in self.direct]
        width = sum(a.row for a in laid_out)
        # Reading column by column is a jump for each column, so it is done for all rows at once.
        self.block = max(1, AT_ONCE // width) if laid_out and not any(a.fortran for a in laid_out) else None

    def fill(self, buffer: Buffer, capacity: int) -> int | None:
        if self.at >= self.stop:
            return None
        plan, direct = self.finish.plan, frozenset(self.direct.values())
        filled = 0
        while filled < capacity and self.at < self.stop:
            count = min(capacity - filled, self.stop - self.at, self.block or capacity)
            read: dict[str, Array] = {}
            for name, reader in self.files.items():
                if name in self.direct:
                    target = buffer.floats[self.direct[name]][filled:]
                else:
                    target = self._scratch(name, self.block or capacity)
                reader.read(target, count)
                read[name] = target[:count]
            columns = {name: self.part.pick(name, kind, read, self.at) for name, kind in plan.wanted.items()}
            start, self.at = self.at, self.at + count
            filled += self.finish.rows(columns, buffer, filled, start, self.part, direct)
        return filled

    def _scratch(self, name: str, capacity: int) -> Array:
        kept, stored = self.finish.scratch, self.arrays[name]
        array = kept.get(name)
        if array is None or array.dtype != stored.dtype or array.shape != (capacity, *stored.shape[1:]):
            order: Any = "F" if stored.fortran else "C"
            array = kept[name] = np.empty((capacity, *stored.shape[1:]), stored.dtype, order)
        return array

    def close(self) -> None:
        for reader in self.files.values():
            reader.close()


def _as_needed(stored: Stored, laid: Laid, source: str) -> bool:
    """Whether the bytes of a file are those of the buffer."""
    whole = laid.whole() and (laid.pieces[0].low is None or len(laid.pieces[0].columns) == stored.shape[-1])
    plain = stored.dtype == np.float64 and stored.dtype.isnative and not stored.dtype.names
    return whole and plain and (len(stored.shape) == 1 or not stored.fortran)


class _Reader:
    """The rows of one array, read in order into memory that is there already."""

    def __init__(self, stored: Stored, first: int) -> None:
        self.stored, self.at = stored, first
        self.row = stored.row
        self.archive: zipfile.ZipFile | None = None
        self.file: IO[bytes]
        if stored.offset is not None:
            self.file = open(stored.path, "rb", buffering=0)
            self._ahead()
            self.file.seek(stored.offset + first * self.row)
            return
        self.archive = zipfile.ZipFile(stored.path)
        self.file = self.archive.open(f"{stored.member}.npy")
        self.file.seek(stored.header + first * self.row)

    def _ahead(self) -> None:
        """Tell the system that the file is read from front to end, so that it reads ahead further."""
        if sys.platform == "linux":
            os.posix_fadvise(self.file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def read(self, target: Array, count: int) -> None:
        """Fill the first rows of an array that is laid out like the stored one."""
        stored = self.stored
        if stored.fortran and len(stored.shape) > 1:
            self._columns(target, count)
        else:
            self._exactly(target[:count])
        self.at += count

    def _columns(self, target: Array, count: int) -> None:
        """Rows of an array that is stored column by column."""
        stored, size = self.stored, self.stored.dtype.itemsize
        flat = target.reshape((len(target), -1), order="F")
        begin = stored.header if stored.offset is None else stored.offset
        for j in range(flat.shape[1]):
            self.file.seek(begin + (j * stored.shape[0] + self.at) * size)
            self._exactly(flat[:count, j])

    def _exactly(self, target: Array) -> None:
        assert target.flags.c_contiguous, "a copy would be filled in its place"
        view = target.reshape(-1).view(np.uint8).data
        done = 0
        while done < len(view):
            count = self.file.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                raise changed(self.stored.path)
            done += count

    def close(self) -> None:
        self.file.close()
        if self.archive is not None:
            self.archive.close()


def changed(path: str) -> DataProblem:
    """The error that a file is not what it was."""
    return DataProblem(
        "the file has changed since it was first looked at",
        file=path,
        hint="start again, when nothing writes to it any more",
    )
