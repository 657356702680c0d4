"""How columns become variables: which column goes where, what is wanted as a number and what as a text.

In: the columns chosen for each variable, and the variables of the formula. Out: a Plan, which turns columns
as a table has them into arrays of variables, for all rows or for some.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, DataProblem, OptionError, ShapeMismatch
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable
from chainrule.fit.cells import NUMBER, TEXT, Array, is_number
from chainrule.fit.let import Chosen, Let
from chainrule.fit.table import Table

# message, row, column, hint -> the error with its place
Complain = Callable[[str, int, str, str], DataProblem]
BLOCK = 1024  # rows that are laid side by side at once, so that they stay in the cache


@dataclass(frozen=True, slots=True)
class Piece:
    """Columns of a variable that come from one source.

    columns  their names in the table
    source   the column, or the array of which these are the columns from `low` to `high`
    levels   for a column of texts, each of which becomes a column (or, of an integer variable, a number)
    """

    columns: tuple[str, ...]
    source: str
    low: int | None = None
    text: bool = False
    levels: tuple[str, ...] = ()

    def of(self, columns: Mapping[str, Array]) -> Array:
        """The part of the source that this is."""
        values = columns[self.source]
        if self.low is None or values.ndim != 2:
            return values
        if len(self.columns) == 1:
            return values[:, self.low]
        return values[:, self.low : self.low + len(self.columns)]


@dataclass(frozen=True, slots=True)
class Laid:
    """One variable: its pieces side by side, what is assumed of its entries, and which columns are scaled."""

    variable: Variable
    pieces: tuple[Piece, ...]
    rank: int
    scaled: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The name of the variable."""
        return self.variable.name

    @property
    def integer(self) -> bool:
        """Whether its entries are whole numbers."""
        return any(word.startswith("integer") for word in self.variable.structure)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each column of the variable is called in a report."""
        found: list[str] = []
        for piece in self.pieces:
            if piece.text and not self.integer:
                found += [f"{piece.columns[0]}={level}" for level in piece.levels]
            elif piece.low is not None and piece.columns[0] == f"{piece.source}[{piece.low}]":
                found += [str(piece.low + k) for k in range(len(piece.columns))]
            else:
                found += piece.columns
        return tuple(found)

    def widths(self) -> list[int]:
        """How many columns each piece becomes."""
        return [len(p.levels) if p.text and not self.integer else max(len(p.columns), 1) for p in self.pieces]

    def empty(self, rows: int, inner: tuple[int, ...] = ()) -> Array:
        """An array for so many rows, float64 in C order."""
        return np.empty((rows, *self.inner(inner)))

    def inner(self, inner: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The shape of one row; `inner` is that of an array with more than two axes."""
        return () if self.rank == 1 else inner if self.rank > 2 else (sum(self.widths()),)

    def whole(self) -> bool:
        """Whether the variable is one source as it is."""
        return len(self.pieces) == 1 and not self.pieces[0].text

    def fill(self, columns: Mapping[str, Array], out: Array, complain: Complain) -> None:
        """Lay the rows of some columns side by side; a text that is missing becomes NaN."""
        values = [
            self._coded(p, p.of(columns), complain)
            if p.text and (self.integer or self.rank == 1)
            else p.of(columns)
            for p in self.pieces
        ]
        if self.rank != 2:
            out[...] = values[0]
            return
        widths = self.widths()
        for start in range(0, len(out), BLOCK):
            block, place = out[start : start + BLOCK], 0
            for piece, array, width in zip(self.pieces, values, widths, strict=True):
                part = array[start : start + BLOCK]
                target = block[:, place : place + width]
                if piece.text and not self.integer:
                    codes = self._coded(piece, part, complain, start)
                    target[...] = codes[:, None] == np.arange(width)
                    target[np.isnan(codes)] = np.nan
                else:
                    target[...] = part if part.ndim == 2 else part[:, None]
                place += width

    def _coded(self, piece: Piece, values: Array, complain: Complain, start: int = 0) -> Array:
        """The place of each text among the levels."""
        places: dict[Any, float] = {level: float(k) for k, level in enumerate(piece.levels)}
        places[None] = math.nan
        codes = np.array([places.get(text, -1.0) for text in values], dtype=np.float64)
        unknown = np.flatnonzero(codes == -1)
        if unknown.size:
            row, column = int(unknown[0]), piece.columns[0]
            raise complain(
                f"{column} is `{values[row]}`, which is not among its levels",
                start + row,
                column,
                "the levels are " + ", ".join(piece.levels),
            )
        return codes

    def column(self, place: int) -> str:
        """The column of the table that a column of the variable comes from."""
        for piece, width in zip(self.pieces, self.widths(), strict=True):
            if place < width:
                return (
                    piece.columns[place if len(piece.columns) > 1 else 0] if piece.columns else piece.source
                )
            place -= width
        raise AssertionError("a variable has no such column")


@dataclass(frozen=True, slots=True)
class Plan:
    """All variables, the constants among them, and what must be read for them."""

    laid: tuple[Laid, ...]
    constants: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def wanted(self) -> dict[str, str]:
        """What must be read, each as a number or a text."""
        return {p.source: TEXT if p.text else NUMBER for laid in self.laid for p in laid.pieces}

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of texts."""
        return tuple(dict.fromkeys(p.source for laid in self.laid for p in laid.pieces if p.text))

    def with_levels(self, levels: Mapping[str, tuple[str, ...]]) -> Plan:
        """The plan with the levels of its texts known."""
        laid = tuple(
            replace(v, pieces=tuple(replace(p, levels=levels[p.source]) if p.text else p for p in v.pieces))
            for v in self.laid
        )
        notes = tuple(
            f"{column} has {len(found)} levels: {', '.join(found[:12])}{', …' if len(found) > 12 else ''}"
            for column, found in levels.items()
        )
        return replace(self, laid=laid, notes=(*self.notes, *notes))


def make_plan(
    table: Table,
    let: Let,
    variables: Mapping[str, Variable | None],
    one_hot: Collection[str] = (),
    standardise: Collection[str] = (),
) -> Plan:
    """The plan for the variables that need data; one that is not declared has the axes of its columns.

    one_hot      columns of which each value becomes a column
    standardise  variables or columns that get mean 0 and deviation 1

    Raises: DataProblem, ShapeMismatch, UnknownName about what does not fit.
    """
    let.check_names(variables)
    chosen = let.choose(table)
    for name in variables:
        if name not in chosen:
            raise DataProblem(
                f"nothing says what {name} is",
                hint=f"add it to the text that says which columns make which variable:  {name} = …",
            )
    columns = {column for c in chosen.values() for column in c.columns}
    for name in one_hot:
        if name not in columns:
            raise _unused(table, name, sorted(columns), "one-hot")
    for name in standardise:
        if name not in columns and (name not in chosen or chosen[name].value is not None):
            raise _unused(table, name, [*chosen, *sorted(columns)], "standardisation")
    laid, constants = [], {}
    for name, choice in chosen.items():
        declared = variables[name]
        variable = _formed(name, choice, table) if declared is None else declared
        if choice.value is not None:
            if variable.shape:
                raise _misfit(let, choice, f"{name} is {_said(variable)}, and gets a number")
            constants[name] = choice.value
        else:
            laid.append(_lay(table, let, variable, choice, one_hot, standardise))
    if not laid:
        raise DataProblem("no variable gets a column", hint="write as in  y = target, X = rest")
    taken = {column for v in laid for piece in v.pieces for column in piece.columns}
    nameless = [column for column in table.parts[0].nameless if column in taken]
    notes = [*_shared(chosen), *(f"{c} has no name in the data" for c in nameless)]
    notes += [f"{part.where}: {part.doubt}" for part in table.parts if part.doubt][:1]
    return Plan(tuple(laid), constants, tuple(notes))


def _formed(name: str, choice: Chosen, table: Table) -> Variable:
    """A variable as its columns are: a number, a vector, a matrix, or an array as it is stored."""
    if choice.value is not None:
        return Variable(name)
    axes = 1 if choice.bare else 2 if choice.columns else table.parts[0].axes[choice.group]
    return Variable(name, tuple(Dim.of(size) for size in ("N", *(f"{name}_{k}" for k in range(1, axes)))))


def _lay(
    table: Table,
    let: Let,
    variable: Variable,
    choice: Chosen,
    one_hot: Collection[str],
    standardise: Collection[str],
) -> Laid:
    rank = len(variable.shape)
    pieces = _pieces(table, choice, one_hot)
    if rank == 0:
        raise _misfit(
            let,
            choice,
            f"{variable.name} is a scalar, and gets a column of data",
            f"declare {variable.name}[N], or give it a number, {variable.name} = 0.1",
        )
    if rank > 2 and not choice.group:
        raise _misfit(let, choice, f"{variable.name} has {rank} axes, and gets columns")
    if rank < 3 and choice.group and not choice.columns:
        raise _misfit(let, choice, f"{variable.name} is {_said(variable)}, and the array has more axes")
    if rank == 1 and not choice.bare:
        count = len(choice.columns)
        raise _misfit(
            let,
            choice,
            f"{variable.name} is a vector, and gets a matrix of {_count(count)}",
            f"declare {variable.name}[N,n], or take one column, {variable.name} = "
            + _quoted(choice.columns[0]),
        )
    laid = Laid(variable, pieces, rank)
    if rank == 1 and pieces[0].text and not laid.integer:
        raise _misfit(
            let,
            choice,
            f"{variable.name} is a vector, and one-hot makes a matrix of {choice.columns[0]}",
            f"declare {variable.name}[N,n], or {variable.name}[N]:integer(K) for the number of its level",
        )
    scaled = frozenset(
        column
        for p in pieces
        if not p.text
        for column in p.columns
        if variable.name in standardise or column in standardise
    )
    if scaled and laid.integer:
        raise OptionError(f"{variable.name} holds whole numbers, which are not standardised")
    return replace(laid, scaled=scaled)


def _pieces(table: Table, choice: Chosen, one_hot: Collection[str]) -> tuple[Piece, ...]:
    """Columns one by one, and runs of columns of one array together."""
    if choice.group and not choice.columns:
        return (Piece((), choice.group),)
    at = {
        column: (group, place)
        for group, inside in table.groups.items()
        if all(group in part.plain for part in table.parts)
        for place, column in enumerate(inside)
    }
    found: list[Piece] = []
    for column in choice.columns:
        group, place = at.get(column, ("", 0))
        last = found[-1] if found else None
        if column in one_hot:
            found.append(Piece((column,), column, text=True))
        elif not group:
            found.append(Piece((column,), column))
        elif last and last.low is not None and last.source == group and last.low + len(last.columns) == place:
            found[-1] = replace(last, columns=(*last.columns, column))
        else:
            found.append(Piece((column,), group, place))
    return tuple(found)


def sorted_levels(texts: Collection[str]) -> tuple[str, ...]:
    """Numbers by their size, if all are numbers, and words by the alphabet.

    >>> sorted_levels({"10", "9"}), sorted_levels({"b", "10", "9"})
    (('9', '10'), ('10', '9', 'b'))
    """
    if all(is_number(text) for text in texts):
        return tuple(sorted(texts, key=lambda text: (float(text), text)))
    return tuple(sorted(texts))


def _shared(chosen: Mapping[str, Chosen]) -> tuple[str, ...]:
    """A word on columns that stand in two variables, which is seldom meant."""
    users: dict[str, list[str]] = {}
    for name, choice in chosen.items():
        for column in choice.columns:
            users.setdefault(column, []).append(name)
    return tuple(f"{column} is in {' and '.join(names)}" for column, names in users.items() if len(names) > 1)


def _unused(table: Table, name: str, known: Sequence[str], what: str) -> ChainruleError:
    takes = ", ".join(list(dict.fromkeys(known))[:20])
    if name not in known and name not in table.names:
        problem = table.unknown(name)
        near = get_close_matches(name, known, 1, 0.6) if "did you mean" not in problem.message else []
        problem.hint = f"{what} takes {takes}" + (f"; did you mean {near[0]}?" if near else "")
        return problem
    return OptionError(f"{what} of {name}: no variable is made of it", hint=f"known are {takes}")


def _misfit(let: Let, choice: Chosen, message: str, hint: str = "") -> ChainruleError:
    problem = ShapeMismatch(message, hint=hint)
    if let.source and choice.span is not None:
        problem.located(let.source, choice.span)
    return problem


def _said(variable: Variable) -> str:
    rank = len(variable.shape)
    return ("a scalar", "a vector", "a matrix")[rank] if rank < 3 else f"an array with {rank} axes"


def _count(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _quoted(name: str) -> str:
    return name if name.replace(".", "_").isidentifier() else f'"{name}"'
