"""CSV and its kin, a row on each line: read by pyarrow where it is installed, else by the csv module.

The separator (`,` `;` tab `|`) and whether the first line names the columns are found by looking at the first
lines. Errors know the line, and show it. A file without a header has the columns c0, c1, …
"""

from __future__ import annotations

import copy
import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from chainrule.errors import DataProblem, Span
from chainrule.fit.cells import MISSING, NUMBER, Array, is_number, number_of, numbers, optional, texts
from chainrule.fit.parts import Columns, Part, Wanted
from chainrule.fit.sections import Bytes, Section, sections

SEPARATORS = ",;\t|"
LOOKED_AT = 50  # records from which separator and header are found
NAMES = "its first line is taken for names of columns, header=False if it is a row of data"
NUMBERS = "its first line is read as a row of data, header=True if these numbers are names of columns"
BLOCK = 4 << 20  # bytes of text that pyarrow reads at once
TOGETHER = 1 << 16  # records that the csv module turns into arrays at once


class TextPart(Part):
    """A text file; `header` says whether it begins with names, None to find out."""

    def __init__(self, path: str, header: bool | None = None) -> None:
        self.where = path
        self._lone_mark: bool | None = None
        self._section: Section | None = None
        records = self._first_records(",")
        if not records:
            raise DataProblem("the file is empty", file=path, hint="it needs a line for each row")
        self.separator = self._find_separator()
        records = self._first_records(self.separator)
        line, first = records[0]
        found, sure = (header, True) if header is not None else has_header([cells for _, cells in records])
        self.names = tuple(
            (cell.strip() if found else "") or f"c{number}" for number, cell in enumerate(first)
        )
        self.nameless = tuple(
            n for n, cell in zip(self.names, first, strict=True) if found and not cell.strip()
        )
        self._skip = line if found else 0
        self.top = () if found or header is not None else tuple(cell.strip() for cell in first)
        self.doubt = "" if sure else NAMES if found else NUMBERS

    def load(self, wanted: Wanted) -> Columns:
        arrow = self._arrow()
        if arrow is None:
            return _joined(list(self._plainly(wanted)), wanted)
        for newlines in (False, True):
            try:
                table = arrow.read_csv(self._source(), **self._options(arrow, wanted, newlines, BLOCK))
                return {name: _array(table.column(name), kind) for name, kind in wanted.items()}
            except (ValueError, OSError):
                continue
        return _joined(list(self._plainly(wanted)), wanted)

    def batches(self, wanted: Wanted, rows: int) -> Iterator[Columns]:
        arrow = self._arrow()
        if arrow is None:
            yield from self._plainly(wanted)
            return
        done = 0
        try:
            for batch in arrow.open_csv(self._source(), **self._options(arrow, wanted, True, BLOCK)):
                yield {name: _array(batch.column(name), kind) for name, kind in wanted.items()}
                done += batch.num_rows
        except (ValueError, OSError):
            yield from _behind(self._plainly(wanted), done)

    def cut(self, count: int) -> Sequence[Part]:
        if count == 1 or self._compressed or self.lone_mark:
            return [self]
        try:
            found = sections(self.where, self._skip, count)
        except OSError as problem:
            raise DataProblem(f"the file cannot be read: {_reason(problem)}", file=self.where) from None
        return [self._cut_off(section) for section in found] or [self]

    def _cut_off(self, section: Section) -> TextPart:
        piece = copy.copy(self)
        piece._section, piece.first, piece.rows = section, section.first, section.rows
        return piece

    def problem(self, message: str, row: int | None = None, column: str = "", hint: str = "") -> DataProblem:
        if row is None:
            return super().problem(message, None, column, hint)
        for number, (line, cells) in enumerate(self._records(), self.first):
            if number == row:
                place = self.names.index(column) if column in self.names else None
                return self._at(message, line, column, hint, cells, place)
        return super().problem(message, row, column, hint)

    def _at(
        self, message: str, line: int, column: str, hint: str, cells: list[str], place: int | None
    ) -> DataProblem:
        """An error that shows the line, with a mark under the cell."""
        text = self.separator.join(cells)
        start = sum(len(cell) + 1 for cell in cells[:place]) if place is not None else 0
        end = start + len(cells[place]) if place is not None else len(text)
        source = text if "\n" not in text else ""
        return DataProblem(
            message,
            file=self.where,
            line=line,
            column=column,
            hint=hint,
            source=source,
            spans=(Span(start, end),),
        )

    def _arrow(self) -> Any:
        """The reader of pyarrow, which loses rows behind a quotation mark that is never closed."""
        return None if self.lone_mark else optional("pyarrow.csv")

    @property
    def lone_mark(self) -> bool:
        """Whether the quotation marks are odd in number: one of them is not closed, or means inches."""
        if self._lone_mark is None:
            opened = gzip.open if self._compressed else open
            try:
                with opened(self.where, "rb") as file:
                    marks = sum(block.count(b'"') for block in iter(lambda: file.read(1 << 20), b""))
            except (OSError, EOFError) as problem:
                raise DataProblem(f"the file cannot be read: {_reason(problem)}", file=self.where) from None
            self._lone_mark = marks % 2 == 1
        return self._lone_mark

    @property
    def _compressed(self) -> bool:
        return self.where.lower().endswith(".gz")

    def _source(self) -> Any:
        """What pyarrow reads: a file by its name, or a section of it."""
        return self.where if self._section is None else io.BufferedReader(Bytes(self.where, self._section))

    def _open(self) -> IO[str]:
        if self._section is not None:
            return io.TextIOWrapper(self._source(), encoding="utf-8-sig", newline="")
        if self._compressed:
            return io.TextIOWrapper(gzip.open(self.where), encoding="utf-8-sig", newline="")
        return open(self.where, encoding="utf-8-sig", newline="")

    def _lines(self, separator: str, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Every record that is not blank, with the line on which it ends."""
        line = before = 0 if self._section is None else self._section.lines
        try:
            with self._open() as file:
                reader = csv.reader(file, delimiter=separator, strict=strict)
                for cells in reader:
                    line = before + reader.line_num
                    if cells:
                        yield line, cells
        except UnicodeDecodeError:
            raise DataProblem("this is not text in UTF-8", file=self.where, hint="save it as UTF-8") from None
        except csv.Error as problem:
            said = "a quotation mark is never closed" if "end of data" in str(problem) else str(problem)
            raise DataProblem(f"this is no CSV: {said}", file=self.where, line=line + 1) from None
        except (OSError, EOFError) as problem:
            raise DataProblem(f"the file cannot be read: {_reason(problem)}", file=self.where) from None

    def _first_records(self, separator: str) -> list[tuple[int, list[str]]]:
        return [record for record, _ in zip(self._lines(separator), range(LOOKED_AT), strict=False)]

    def _find_separator(self) -> str:
        """The one that cuts the first lines into most cells, equally many on each."""
        best, most = ",", 1
        for equal in (True, False):
            for separator in SEPARATORS:
                counts = [len(cells) for _, cells in self._first_records(separator)]
                if counts[0] > most and (len(set(counts)) == 1 or not equal):
                    best, most = separator, counts[0]
            if most > 1:
                break
        return best

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The rows of data."""
        lines = self._lines(self.separator, strict=self.lone_mark)
        return ((line, cells) for line, cells in lines if line > self._skip)

    def _plainly(self, wanted: Wanted) -> Iterator[Columns]:
        """Batches by the csv module, which also finds what is wrong with a file."""
        places = {name: self.names.index(name) for name in wanted}
        columns: dict[str, list[str]] = {name: [] for name in wanted}
        done, count = self.first, 0
        for line, cells in self._records():
            if len(cells) != len(self.names):
                raise self._at(
                    f"this line has {_cells(len(cells))}, and there are {_columns(len(self.names))}",
                    line,
                    "",
                    "every line has a cell for each column; a cell that holds the separator stands in quotes",
                    cells,
                    None,
                )
            for name, place in places.items():
                columns[name].append(cells[place])
            count += 1
            if count == TOGETHER:
                yield self._converted(columns, wanted, done)
                columns, done, count = {name: [] for name in wanted}, done + count, 0
        yield self._converted(columns, wanted, done)

    def _converted(self, columns: dict[str, list[str]], wanted: Wanted, done: int) -> Columns:
        found: Columns = {}
        for name, cells in columns.items():

            def complain(message: str, row: int, hint: str, name: str = name) -> DataProblem:
                return self.problem(message, done + row, name, hint)

            array = np.array(cells, dtype=object)
            found[name] = numbers(array, name, complain) if wanted[name] == NUMBER else texts(array)
        return found

    def _options(self, arrow: Any, wanted: Wanted, newlines: bool, block: int) -> dict[str, Any]:
        types = _types()
        skip = self._skip if self._section is None or not self._section.begin else 0
        return {
            "read_options": arrow.ReadOptions(
                column_names=list(self.names), skip_rows=skip, block_size=block
            ),
            "parse_options": arrow.ParseOptions(delimiter=self.separator, newlines_in_values=newlines),
            "convert_options": arrow.ConvertOptions(
                include_columns=list(wanted),
                column_types={name: types[kind] for name, kind in wanted.items()},
                null_values=list(MISSING),
                strings_can_be_null=True,
            ),
        }


def _types() -> dict[str, Any]:
    """The Arrow type of each kind."""
    pyarrow = optional("pyarrow")
    return {"number": pyarrow.float64(), "text": pyarrow.string()}


def _array(column: Any, kind: str) -> Array:
    array: Array = column.to_numpy() if hasattr(column, "chunks") else column.to_numpy(zero_copy_only=False)
    return array if kind == NUMBER else texts(array)


def _behind(batches: Iterator[Columns], done: int) -> Iterator[Columns]:
    """Batches without their first rows."""
    for batch in batches:
        count = len(next(iter(batch.values())))
        yield {name: values[done:] for name, values in batch.items()}
        done = max(0, done - count)


def _joined(pieces: list[Columns], wanted: Wanted) -> Columns:
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in wanted}


def has_header(records: list[list[str]]) -> tuple[bool, bool]:
    """Whether the first of some records names the columns, and whether that is plain.

    It does if it has words where numbers follow, which is plain, or no number at all. If it has numbers,
    these might be names where each is another one, and beyond all numbers below it.

    >>> has_header([["age", "2019"], ["59", "1"]]), has_header([["59", "a"], ["48", "b"], ["60", "c"]])
    ((True, True), (False, True))
    >>> has_header([["a", "b"], ["c", "d"]]), has_header([["2019", "2020"], ["3", "4"], ["1", "2"]])
    ((True, False), (False, False))
    """
    first, *others = records
    words = [not is_number(cell) and cell.strip() not in MISSING for cell in first]
    columns = [
        [cells[place] for cells in others if place < len(cells) and cells[place].strip() not in MISSING]
        for place in range(len(first))
    ]
    below = [[number_of(cell) for cell in column if is_number(cell)] for column in columns]
    numeric = [bool(all_) and len(all_) == len(found) for all_, found in zip(columns, below, strict=True)]
    if any(word and number for word, number in zip(words, numeric, strict=True)):
        return True, True
    numbers_ = [(number_of(cell), found) for cell, found in zip(first, below, strict=True) if is_number(cell)]
    if not numbers_:
        return any(words), not any(words)
    distinct = len({value for value, _ in numbers_}) == len(numbers_)
    outside = all(not found or not min(found) <= value <= max(found) for value, found in numbers_)
    return False, not (distinct and outside)


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _reason(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem)
