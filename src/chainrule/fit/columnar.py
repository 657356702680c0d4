"""Parquet, and Arrow's own files (IPC, Feather), read by pyarrow; also Arrow tables in memory."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.codegen.compiled import library
from chainrule.errors import DataProblem
from chainrule.fit.cells import NUMBER, Array, Complain, numbers, texts
from chainrule.fit.parts import Columns, Part, Wanted


class ParquetPart(Part):
    """A Parquet file."""

    def __init__(self, path: str) -> None:
        self.where = path
        with _reading(path):
            file = library("pyarrow.parquet").ParquetFile(path)
            self.names = tuple(file.schema_arrow.names)
            self.rows = int(file.metadata.num_rows)
            self.groups_of_rows = tuple(
                int(file.metadata.row_group(k).num_rows) for k in range(file.metadata.num_row_groups)
            )
            self.first_group = 0
            file.close()

    def load(self, wanted: Wanted) -> Columns:
        with _reading(self.where):
            table = library("pyarrow.parquet").read_table(self.where, columns=list(wanted), partitioning=None)
        return converted(table, wanted, self, 0)

    def batches(self, wanted: Wanted, rows: int) -> Iterator[Columns]:
        done = self.first
        groups = range(self.first_group, self.first_group + len(self.groups_of_rows))
        with _reading(self.where), library("pyarrow.parquet").ParquetFile(self.where) as file:
            for batch in file.iter_batches(batch_size=rows, row_groups=list(groups), columns=list(wanted)):
                yield converted(batch, wanted, self, done)
                done += batch.num_rows

    def cut(self, count: int) -> Sequence[Part]:
        number = len(self.groups_of_rows)
        bounds = [number * k // count for k in range(count + 1)]
        found: list[Part] = []
        for low, high in itertools.pairwise(bounds):
            if high > low:
                piece = copy.copy(self)
                piece.first_group = self.first_group + low
                piece.groups_of_rows = self.groups_of_rows[low:high]
                piece.first = self.first + sum(self.groups_of_rows[:low])
                piece.rows = sum(piece.groups_of_rows)
                found.append(piece)
        return found


class ArrowPart(Part):
    """A file of Arrow's IPC format, which Feather is too, memory-mapped."""

    def __init__(self, path: str) -> None:
        self.where = path
        with _reading(path), self._source() as source:
            self.names = tuple(self._open(source).schema.names)

    def load(self, wanted: Wanted) -> Columns:
        with _reading(self.where), self._source() as source:
            return converted(self._open(source).read_all(), wanted, self, 0)

    def batches(self, wanted: Wanted, rows: int) -> Iterator[Columns]:
        done = 0
        with _reading(self.where), self._source() as source:
            reader = self._open(source)
            for batch in reader if hasattr(reader, "__iter__") else _stored(reader):
                yield converted(batch, wanted, self, done)
                done += batch.num_rows

    def _source(self) -> Any:
        return library("pyarrow").memory_map(self.where)

    def _open(self, source: Any) -> Any:
        ipc = library("pyarrow.ipc")
        try:
            return ipc.open_file(source)
        except library("pyarrow").ArrowInvalid:
            source.seek(0)
            return ipc.open_stream(source)


def _stored(reader: Any) -> Iterator[Any]:
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


class ArrowTablePart(Part):
    """An Arrow table in memory, or what hands one over (`__arrow_c_stream__`)."""

    where = ""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.names = tuple(table.column_names)
        self.rows = int(table.num_rows)

    def load(self, wanted: Wanted) -> Columns:
        return converted(self.table, wanted, self, 0)

    def batches(self, wanted: Wanted, rows: int) -> Iterator[Columns]:
        for start in range(0, self.table.num_rows, rows):
            yield converted(self.table.slice(start, rows), wanted, self, start)


def converted(table: Any, wanted: Wanted, part: Part, done: int) -> Columns:
    """Columns of an Arrow table or batch as arrays; `done` rows of the part came before."""
    found: Columns = {}
    for name, kind in wanted.items():

        def complain(message: str, row: int, hint: str, name: str = name) -> DataProblem:
            return part.problem(message, done + row, name, hint)

        found[name] = _array(table.column(name), name, kind, complain)
    return found


def _array(column: Any, name: str, kind: str, complain: Complain) -> Array:
    types = library("pyarrow.types")
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_nested(column.type):
        raise complain(
            f"{name} holds {column.type}, not one number in a row", 0, "make a column for each entry"
        )
    if types.is_null(column.type):
        return np.full(len(column), np.nan) if kind == NUMBER else np.full(len(column), None)
    if kind == NUMBER and (types.is_boolean(column.type) or types.is_decimal(column.type)):
        column = column.cast(library("pyarrow").float64())
    values = column.to_numpy() if hasattr(column, "chunks") else column.to_numpy(zero_copy_only=False)
    if kind == NUMBER:
        return numbers(values, name, complain)
    if types.is_integer(column.type) and column.null_count:
        values = np.array(column.to_pylist(), dtype=object)
    return texts(values)


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turns what pyarrow and the system raise into an error that names the file."""
    try:
        yield
    except (OSError, library("pyarrow").ArrowException) as problem:
        reason = getattr(problem, "strerror", None) or str(problem).splitlines()[0]
        raise DataProblem(f"the file cannot be read: {reason}", file=path) from problem
