"""Arrays: npy and npz files, memory-mapped, and mappings of arrays.

An array with one axis is a column, one with two is a group of columns X[0], X[1], … that can be taken whole,
one with more can only be taken whole. Of several npy files each is an array by its name; X-0.npy and X-1.npy
are X, one below the other.
"""

from __future__ import annotations

import copy
import itertools
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from chainrule.errors import DataProblem
from chainrule.fit.cells import TEXT, Array, numbers, texts
from chainrule.fit.parts import Columns, Part, Wanted

NUMBERED = re.compile(r"(.+)[-_.](\d+)")


@dataclass(frozen=True, slots=True)
class Stored:
    """An array in a file: where its numbers begin, and how they are laid out.

    offset  the byte of the file at which they begin, None if they are compressed
    header  how many bytes of the array itself come before them
    member  the name of the array inside an npz file, "" for npy
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int | None
    header: int
    member: str = ""

    @property
    def row(self) -> int:
        """How many bytes one row has."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def array(self) -> Array:
        """The array, memory-mapped where it can be."""
        if self.offset is None or 0 in self.shape or not self.shape:
            loaded = np.load(self.path, allow_pickle=False)
            return np.asarray(loaded[self.member] if self.member else loaded)
        order: Any = "F" if self.fortran else "C"
        mapped: Array = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)
        return mapped


def stored_npy(path: str) -> Stored:
    """What an npy file says of its array, without reading it.

    Raises: DataProblem if it is none, or is cut short.
    """
    try:
        with open(path, "rb") as file:
            shape, fortran, dtype = _header(file, path)
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
    except OSError as problem:
        raise DataProblem(f"the file cannot be read: {problem.strerror}", file=path) from None
    needed = offset + int(np.prod(shape)) * dtype.itemsize
    if size < needed:
        raise DataProblem(f"the file is cut short: {size} bytes, and its array needs {needed}", file=path)
    return Stored(path, shape, dtype, fortran, offset, offset)


def _header(file: IO[bytes], path: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except ValueError as problem:
        raise DataProblem(f"this is no npy file: {str(problem).splitlines()[0]}", file=path) from None
    if dtype.hasobject:
        raise DataProblem(
            "the array holds Python objects, which are not loaded from files",
            file=path,
            hint="save it as numbers, array.astype(float)",
        )
    return shape, fortran, dtype


def stored_npz(path: str) -> dict[str, Stored]:
    """What an npz file says of its arrays."""
    found: dict[str, Stored] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(".npy"):
                    continue
                with archive.open(info) as file:
                    shape, fortran, dtype = _header(file, path)
                    header = file.tell()
                offset = None
                if info.compress_type == zipfile.ZIP_STORED:
                    offset = _begin(path, info.header_offset) + header
                name = info.filename.removesuffix(".npy")
                found[name] = Stored(path, shape, dtype, fortran, offset, header, name)
    except (OSError, zipfile.BadZipFile) as problem:
        raise DataProblem(f"this is no npz file: {problem}", file=path) from None
    if not found:
        raise DataProblem("the file holds no arrays", file=path)
    return found


def _begin(path: str, header: int) -> int:
    """Where the bytes of a member of a zip archive begin: behind its header, its name and its extra field."""
    with open(path, "rb") as file:
        file.seek(header + 26)
        lengths = file.read(4)
    return header + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")


class ArrayPart(Part):
    """Arrays with equally many rows, in memory or in files (`stored`)."""

    def __init__(
        self,
        arrays: Mapping[str, Array | Stored],
        where: str,
        lone: bool = False,
        called: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.where = where
        self.arrays = dict(arrays)
        self.constants, self.groups = {}, {}
        self.rows = None
        self._columns: dict[str, tuple[str, int | None]] = {}
        names: list[str] = []
        measured = ""
        for name, array in self.arrays.items():
            if not array.shape:
                self.constants[name] = float(self.array(name))
                continue
            if self.rows not in (None, array.shape[0]):
                raise self.problem(
                    f"{name} has {array.shape[0]} rows and {measured} has {self.rows}",
                    column=name,
                    hint="arrays have a row for each row of data, along their first axis",
                )
            self.rows, measured = array.shape[0], name
            fields = array.dtype.names
            if fields:
                self._columns |= {field: (name, None) for field in fields}
                names += fields
            elif len(array.shape) == 1:
                self._columns[name] = (name, None)
                names.append(name)
            else:
                count = array.shape[1] if len(array.shape) == 2 else 0
                inside = [f"c{j}" if lone else f"{name}[{j}]" for j in range(count)]
                inside = list((called or {}).get(name, inside))
                self.groups[name] = tuple(inside)
                self._columns |= {column: (name, j) for j, column in enumerate(inside)}
                names += inside
        self.names = tuple(names)
        self.axes = {g: len(self.arrays[g].shape) for g in self.groups}
        self.plain = frozenset(g for g in self.groups if self.arrays[g].dtype.kind in "biuf")

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> ArrayPart:
        """The part of a mapping of arrays in memory."""
        arrays = {str(name): _as_array(value, str(name)) for name, value in data.items()}
        return cls(arrays, "", called=_called(data))

    @classmethod
    def lone(cls, array: Array) -> ArrayPart:
        """The part of one array: a column c0, columns c0, c1, …, or those that its fields name."""
        return cls({"c0" if array.ndim == 1 else "data": array}, "", lone=True)

    def array(self, name: str) -> Array:
        """A whole array."""
        array = self.arrays[name]
        return array.array() if isinstance(array, Stored) else array

    def source(self, name: str) -> tuple[str, int | None]:
        """The array that a column or a group is of, and the place in its second axis."""
        return (name, None) if name in self.groups else self._columns[name]

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(a.path for a in self.arrays.values() if isinstance(a, Stored)))

    def cut(self, count: int) -> Sequence[Part]:
        rows = self.rows or 0
        bounds = [rows * k // count for k in range(count + 1)]
        found: list[Part] = []
        for low, high in itertools.pairwise(bounds):
            if high > low:
                piece = copy.copy(self)
                piece.first, piece.rows = self.first + low, high - low
                found.append(piece)
        return found

    def load(self, wanted: Wanted) -> Columns:
        return self._slice(wanted, {}, 0, self.rows or 0)

    def batches(self, wanted: Wanted, rows: int) -> Iterator[Columns]:
        kept: dict[str, Array] = {}
        for start in range(0, self.rows or 0, rows):
            yield self._slice(wanted, kept, start, min(start + rows, self.rows or 0))

    def _slice(self, wanted: Wanted, kept: dict[str, Array], start: int, stop: int) -> Columns:
        for name in dict.fromkeys(self.source(name)[0] for name in wanted):
            if name not in kept:
                kept[name] = self.array(name)
        rows = slice(self.first + start, self.first + stop)
        values = {name: array[rows] for name, array in kept.items()}
        return {name: self.pick(name, kind, values, self.first + start) for name, kind in wanted.items()}

    def pick(self, name: str, kind: str, arrays: Mapping[str, Array], start: int) -> Array:
        """A column or group of some rows of the arrays, of which the first is row `start`."""
        source, place = self.source(name)
        values = arrays[source]
        if values.dtype.names:
            values = values[name]
        return self._converted(values if place is None else values[:, place], name, kind, start)

    def _converted(self, values: Array, name: str, kind: str, start: int) -> Array:
        def complain(message: str, row: int, hint: str) -> DataProblem:
            return self.problem(message, start + row, name, hint)

        if kind == TEXT:
            return texts(values)
        if values.ndim > 1 and values.dtype.kind not in "biuf":
            flat = numbers(
                values.reshape(-1), name, lambda m, r, h: complain(m, r // max(values[0].size, 1), h)
            )
            return flat.reshape(values.shape)
        return numbers(values, name, complain)

    def problem(self, message: str, row: int | None = None, column: str = "", hint: str = "") -> DataProblem:
        source = self._columns.get(column, (column, None))[0]
        array = self.arrays.get(source)
        where = array.path if isinstance(array, Stored) else self.where
        return DataProblem(message, file=where, row=row, column=column, hint=hint)


def _called(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The columns of each frame in a mapping, where they are texts and nothing else is called so."""
    taken = [str(name) for name in data]
    found = {}
    for name, value in data.items():
        columns = list(getattr(value, "columns", ()))
        if hasattr(value, "to_numpy") and columns and all(isinstance(c, str) for c in columns):
            found[str(name)] = tuple(columns)
            taken += columns
    return found if len(taken) == len(set(taken)) else {}


def _as_array(value: Any, name: str) -> Array:
    if np.ma.isMaskedArray(value):
        return np.ma.filled(value.astype(np.float64), np.nan)
    try:
        return np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    except ValueError:
        raise DataProblem(
            f"{name} is ragged: its rows have different lengths",
            column=name,
            hint="every row has equally many entries",
        ) from None


def npz_part(path: str) -> ArrayPart:
    """The part of an npz file."""
    return ArrayPart(stored_npz(path), path)


def by_name(paths: Sequence[str]) -> tuple[Part, ...]:
    """Parts of npy files: X-0.npy and X-1.npy are rows of X, y.npy is another array.

    Raises: DataProblem if rows of one number would stand beside those of another.
    """
    files: dict[str, list[str]] = {}
    places: dict[str, list[int]] = {}
    for path in paths:
        stem = os.path.basename(path).removesuffix(".npy")
        numbered = NUMBERED.fullmatch(stem)
        name = numbered[1] if numbered else stem
        files.setdefault(name, []).append(path)
        places.setdefault(name, []).append(int(numbered[2]) if numbered else -1)
    first, *others = files
    for name in others:
        for k, pair in enumerate(zip(places[first], places[name], strict=False)):
            if len(files[name]) > 1 and len(set(pair)) > 1:
                raise DataProblem(
                    f"it would stand beside {files[first][k]}, which has another number",
                    file=files[name][k],
                    hint="say which files belong together: {'X': ['X-0.npy', …], 'y': ['y-0.npy', …]}",
                )
    return by_variable(files)


def by_variable(files: Mapping[str, Sequence[str]]) -> tuple[Part, ...]:
    """Parts of npy files, the k-th of each array beside each other.

    Raises: DataProblem if there are more files of one array than of another.
    """
    counts = {name: len(paths) for name, paths in files.items()}
    first = next(iter(counts))
    for name, count in counts.items():
        if count != counts[first]:
            raise DataProblem(
                f"{name} is in {count} files and {first} in {counts[first]}",
                file=files[name][0],
                hint="arrays are beside each other, file by file",
            )
        for path in files[name]:
            if not path.endswith(".npy"):
                raise DataProblem("only npy files can be given array by array", file=path)
    lone = len(files) == 1
    parts = []
    for k in range(counts[first]):
        arrays = {name: stored_npy(paths[k]) for name, paths in files.items()}
        parts.append(ArrayPart(arrays, files[first][k], lone))
    return tuple(parts)
