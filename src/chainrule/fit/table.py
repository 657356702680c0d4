"""What holds columns: files, frames and arrays behind one face.

In: what a person calls data. Out: a Table, which knows its columns and reads those that are wanted, as
numbers or texts. It does not know variables, and decides nothing about missing values.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import DataProblem, OptionError
from chainrule.fit import arrays, columnar, frames, text_files
from chainrule.fit.cells import TEXT
from chainrule.fit.parts import Columns, Part, Wanted


@dataclass(frozen=True)
class Table:
    """Parts with the same columns, one below the other."""

    parts: tuple[Part, ...]
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        first = self.parts[0]
        object.__setattr__(self, "names", first.names)
        for part in self.parts:
            _no_doubles(part)
        for part in self.parts[1:]:
            _same_columns(first, part)

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Matrices that can be taken whole, with the names of their columns."""
        return self.parts[0].groups

    @property
    def constants(self) -> Mapping[str, float]:
        """Single numbers among the arrays."""
        return self.parts[0].constants

    @property
    def rows(self) -> int | None:
        """How many rows there are, None where only reading can tell."""
        counts = [part.rows for part in self.parts]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def where(self) -> str:
        """What to call the data in an error about all of them."""
        first = self.parts[0].where
        return first if len(self.parts) == 1 else f"{first} and {len(self.parts) - 1} more"

    def load(self, wanted: Wanted) -> Columns:
        """All rows of what is wanted, by name.

        Raises: DataProblem if there are none, or a cell is no number.
        """
        pieces = [part.load(wanted) for part in self.parts]
        if not any(len(next(iter(piece.values()))) for piece in pieces if piece):
            raise DataProblem("there are no rows of data", file=self.where)
        if len(pieces) == 1:
            return pieces[0]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in wanted}

    def problem(self, message: str, row: int, column: str = "", hint: str = "") -> DataProblem:
        """An error about a row of all rows, with its place in the file where it is."""
        for part in self.parts[:-1]:
            count = self._count(part)
            if row < count:
                return part.problem(message, row, column, hint)
            row -= count
        return self.parts[-1].problem(message, row, column, hint)

    def _count(self, part: Part) -> int:
        if part.rows is not None:
            return part.rows
        name = self.names[0]
        return sum(len(batch[name]) for batch in part.batches({name: TEXT}, 1 << 16))

    def unknown(self, name: str) -> DataProblem:
        """The error that no column is called so."""
        known = [*self.names, *(g for g in self.groups if g not in self.names)]
        near = get_close_matches(name, known, 1, 0.6) or [k for k in known if k.lower() == name.lower()]
        listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
        if len(known) == 1 and len(known[0].split()) > 1:
            listed += "; , ; tab or | separate the cells of a text file, and its first line has the names"
        doubts = [part.doubt for part in self.parts if part.doubt]
        if doubts:
            listed += f"; {doubts[0]}"
        elif any(name in part.top for part in self.parts):
            listed += "; its first line is read as data, unless header=True"
        return DataProblem(
            f"there is no column {name}" + (f"; did you mean {near[0]}?" if near else ""),
            file=self.where,
            column=name,
            hint=f"{'the columns are' if len(known) > 1 else 'the only column is'} {listed}",
        )


def _no_doubles(part: Part) -> None:
    seen: set[str] = set()
    for name in part.names:
        if name in seen:
            raise part.problem(
                f"two columns are called {name}",
                column=name,
                hint="rename one of them; columns are found by name",
            )
        seen.add(name)


def _same_columns(first: Part, other: Part) -> None:
    if set(first.names) == set(other.names) and first.groups.keys() == other.groups.keys():
        return
    lacks = [name for name in first.names if name not in other.names]
    extra = [name for name in other.names if name not in first.names]
    said = [f"lacks {', '.join(lacks[:5])}"] if lacks else []
    said += [f"has {', '.join(extra[:5])} beside them"] if extra else []
    raise DataProblem(
        f"the columns are not those of {first.where}: it {' and '.join(said) or 'has other arrays'}",
        file=other.where,
        column=(lacks or extra or [""])[0],
        hint="files that are read together have the same columns",
    )


def open_table(data: Any, header: bool | None = None) -> Table:
    """The table of a file, a glob, a folder, several of these, a frame, or a mapping of arrays.

    `header` says whether text files begin with the names of the columns, where looking at them is not enough.

    Raises: DataProblem about what cannot be read; OptionError for a header of what is no text.

    >>> open_table({"age": [59, 48], "bmi": [32.1, 21.6]}).names
    ('age', 'bmi')
    """
    table = _opened(data, header)
    if header is not None and not any(isinstance(part, text_files.TextPart) for part in table.parts):
        raise OptionError(
            f"header is about text files, and {table.where or 'what is given'} is none",
            hint="leave it out: these data know the names of their columns, or that they have none",
        )
    return table


def _opened(data: Any, header: bool | None) -> Table:
    if isinstance(data, Table):
        return data
    if isinstance(data, str | os.PathLike):
        return _open_files([data], header)
    if isinstance(data, Mapping):
        files = [name for name, value in data.items() if _is_path(value)]
        if files and len(files) < len(data):
            other = next(name for name in data if name not in files)
            raise OptionError(
                f"{files[0]} is a file and {other} is an array",
                hint="load the one, np.load(...), or save the other, np.save(...)",
            )
        if files:
            return Table(arrays.by_variable({str(k): _found(v) for k, v in data.items()}))
        return Table((arrays.ArrayPart.of(data),))
    if isinstance(data, Sequence) and data and all(isinstance(v, str | os.PathLike) for v in data):
        return _open_files(list(data), header)
    if isinstance(data, np.ndarray):
        return Table((arrays.ArrayPart.lone(data),))
    part = frames.frame_part(data)
    if part is None:
        raise OptionError(
            f"data cannot be of type {type(data).__name__}",
            hint="give a file, a list of files, a mapping of arrays, or a frame of pandas, polars or Arrow",
        )
    return Table((part,))


def _is_path(value: Any) -> bool:
    """Whether a value of a mapping names files; a list of words is a column of texts."""
    if isinstance(value, str | os.PathLike):
        return True
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(v, os.PathLike) or (isinstance(v, str) and v.endswith(".npy")) for v in value)
    )


def _found(value: Any) -> list[str]:
    """The files that a path, a glob, a folder, or several of them name, each kind sorted by name."""
    found: list[str] = []
    for item in value if isinstance(value, list | tuple) else [value]:
        text = os.fspath(item)
        if os.path.isdir(text):
            inside = sorted(os.path.join(text, name) for name in os.listdir(text) if _ending(name))
            if not inside:
                raise DataProblem("the folder holds no file of data", file=text, hint=_known_endings())
            found += inside
        elif os.path.exists(text):
            found.append(text)
        elif glob.has_magic(text):
            matches = sorted(glob.glob(text, recursive=True))
            if not matches:
                raise DataProblem("no file has a name of this form", file=text)
            found += matches
        else:
            raise DataProblem("there is no such file", file=text, hint=_nearby(text))
    return found


def _nearby(text: str) -> str:
    folder, name = os.path.split(text)
    try:
        near = get_close_matches(name, os.listdir(folder or "."), 1, 0.6)
    except OSError:
        return f"there is no folder {folder}"
    return f"did you mean {os.path.join(folder, near[0])}?" if near else ""


def _open_files(items: Sequence[Any], header: bool | None) -> Table:
    paths = _found(list(items))
    kinds = {path: _ending(path) for path in paths}
    strange = [path for path, kind in kinds.items() if not kind]
    if strange:
        raise DataProblem("the ending of its name is not known", file=strange[0], hint=_known_endings())
    if len(set(kinds.values())) > 1:
        first, other = paths[0], next(p for p in paths if kinds[p] != kinds[paths[0]])
        raise DataProblem(f"files of one kind are read together, and {first} is of another", file=other)
    kind = kinds[paths[0]]
    if kind == "npy":
        return Table(arrays.by_name(paths))
    parts: list[Part] = []
    for path in paths:
        if kind == "text":
            parts.append(text_files.TextPart(path, header))
        elif kind == "npz":
            parts.append(arrays.npz_part(path))
        else:
            parts.append(columnar.ParquetPart(path) if kind == "parquet" else columnar.ArrowPart(path))
    return Table(tuple(parts))


ENDINGS = {
    ".csv": "text", ".tsv": "text", ".txt": "text", ".dat": "text", ".data": "text",
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
    ".npy": "npy", ".npz": "npz",
}  # fmt: skip


def _ending(name: str) -> str:
    """What kind of file a name says, "" if none that is known."""
    path = Path(re.sub(r"\.(gz|bz2|zst)$", "", name.lower()))
    kind = ENDINGS.get(path.suffix, "")
    return kind if kind == "text" or path.suffix == Path(name.lower()).suffix else ""


def _known_endings() -> str:
    return "known are " + ", ".join(ENDINGS)
