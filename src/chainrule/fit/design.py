"""Columns become the arrays of the variables: one-hot, standardised, split, the names of the columns kept.

In: data, which columns make which variable, and the variables of the formula. Out: a Design, whose arrays are
float64 in C order (whole numbers where the variable is declared so). What does not fit into memory is read by
`stream.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.errors import DataProblem, OptionError, ShapeMismatch
from chainrule.expr.nodes import Variable
from chainrule.fit.cells import Array
from chainrule.fit.gaps import Gaps
from chainrule.fit.let import Let, default_let, parse_let
from chainrule.fit.moments import Moments, Scaling
from chainrule.fit.plan import Complain, Laid, Plan, make_plan, sorted_levels
from chainrule.fit.structure import check_entries
from chainrule.fit.table import Table, open_table

FEWEST = 2  # rows to fit to


@dataclass(frozen=True, slots=True)
class Design:
    """The arrays of all variables, and where they come from.

    arrays      a float or an array for each variable, of the rows to fit to
    validation  the same of the rows that are held out, None without a split
    labels      the names of the columns of each array
    levels      of each one-hot column, in the order of its columns
    scaling     how each standardised variable was scaled
    sizes       named sizes that only the data know: K of y[N]:integer(K)
    rows, held_out, dropped   how many there are
    notes       sentences for a report
    """

    arrays: dict[str, Any]
    labels: dict[str, tuple[str, ...]]
    rows: int
    validation: dict[str, Any] | None = None
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    scaling: dict[str, Scaling] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    held_out: int = 0
    dropped: int = 0
    notes: tuple[str, ...] = ()


def design(
    data: Any,
    let: str | Let | None,
    variables: Mapping[str, Variable | None],
    *,
    one_hot: Collection[str] = (),
    standardise: Collection[str] = (),
    missing: str = "error",
    validation: float = 0.0,
    seed: int = 0,
    header: bool | None = None,
) -> Design:
    """Read the data and lay them out.

    variables    those that need data, by name; None for one that is not declared
    let          which columns make which; None if columns or arrays are called like the variables
    one_hot      columns of which each value becomes a column (of an integer variable, its number)
    standardise  variables or columns that get mean 0 and deviation 1, both taken from the rows to fit to
    missing      "error", or "drop" to leave out rows with missing values
    validation   the share of the rows that is held out, drawn with `seed`

    Raises: DataProblem with file, line and column; ShapeMismatch, UnknownName, OptionError.

    >>> from chainrule.expr.dims import Dim
    >>> X, y = Variable("X", (Dim.of("N"), Dim.of("n"))), Variable("y", (Dim.of("N"),))
    >>> data = {"age": [59, 48], "bmi": [32.1, 21.6], "target": [151, 75]}
    >>> made = design(data, "y = target, X = rest", {"X": X, "y": y})
    >>> made.labels["X"], made.arrays["X"].shape
    (('age', 'bmi'), (2, 2))
    """
    table = open_table(data, header)
    text = (
        default_let(table, list(variables))
        if let is None
        else parse_let(let)
        if isinstance(let, str)
        else let
    )
    plan = make_plan(table, text, variables, one_hot, standardise)
    columns = table.load(plan.wanted)
    index = np.arange(len(next(iter(columns.values()))))
    gaps = Gaps(missing)
    kept = gaps.kept(plan, columns, _complain(table, index))
    if kept is not None:
        index = index[kept]
    training, held_out = split(len(index), validation, seed)
    if len(training) < FEWEST:
        raise too_few(table, len(training), gaps.dropped, len(held_out))
    plan = plan.with_levels(
        {name: sorted_levels(set(columns[name][index[training]].tolist())) for name in plan.texts}
    )
    if kept is None and not len(held_out):
        chosen, rest = columns, None
    else:
        chosen = {name: array[index[training]] for name, array in columns.items()}
        rest = {name: array[index[held_out]] for name, array in columns.items()} if len(held_out) else None
    complain = _complain(table, index[training])
    arrays = {laid.name: _array(laid, chosen, complain, table) for laid in plan.laid}
    scaling = {laid.name: _scaling(laid, arrays[laid.name], table) for laid in plan.laid if laid.scaled}
    validated = None
    if rest is not None:
        complain_rest = _complain(table, index[held_out])
        validated = {laid.name: _array(laid, rest, complain_rest, table) for laid in plan.laid}
        _finish(plan, validated, scaling, complain_rest)
    _finish(plan, arrays, scaling, complain)
    return Design(
        arrays={**arrays, **plan.constants},
        labels={laid.name: laid.labels for laid in plan.laid},
        rows=len(training),
        validation=None if validated is None else {**validated, **plan.constants},
        levels={p.source: p.levels for laid in plan.laid for p in laid.pieces if p.text},
        scaling=scaling,
        sizes=_sizes(plan, arrays),
        held_out=len(held_out),
        dropped=gaps.dropped,
        notes=(*plan.notes, *([gaps.note] if gaps.note else [])),
    )


def split(rows: int, share: float, seed: int) -> tuple[Array, Array]:
    """Which rows are fitted to and which are held out, both in order; the same for the same seed.

    >>> [part.tolist() for part in split(5, 0.4, 0)]
    [[0, 1, 3], [2, 4]]
    """
    if not 0 <= share < 1:
        raise OptionError(
            f"the share that is held out is between 0 and 1, not {share}",
            hint="split=0.2 holds out a fifth of the rows",
        )
    count = round(share * rows)
    if share and not count:
        count = 1
    mixed = np.random.default_rng(seed).permutation(rows)
    return np.sort(mixed[count:]), np.sort(mixed[:count])


def too_few(table: Table, rows: int, dropped: int, held_out: int) -> DataProblem:
    """The error that hardly any rows are left."""
    left = "no row is" if rows == 0 else "1 row is"
    why = [f"{dropped} with missing values were left out"] if dropped else []
    why += [f"{held_out} held out"] if held_out else []
    return DataProblem(
        f"{left} left to fit to" + (f": {' and '.join(why)}" if why else ""),
        file=table.where,
        hint=f"fitting takes at least {FEWEST} rows",
    )


def _complain(table: Table, index: Array) -> Complain:
    """Errors about rows of what was chosen, by their place in the data."""

    def complain(message: str, row: int, column: str, hint: str) -> DataProblem:
        return table.problem(message, int(index[row]), column, hint)

    return complain


def _array(laid: Laid, columns: Mapping[str, Array], complain: Complain, table: Table) -> Array:
    """The array of a variable; a file that is mapped stays so, if nothing is to be changed."""
    source = next(iter(columns.values()))
    if laid.whole():
        values = laid.pieces[0].of(columns)
        if values.ndim == 1 and laid.rank == 2:
            values = values[:, None]
        if values.ndim != laid.rank:
            raise ShapeMismatch(f"{laid.name} has {laid.rank} axes, and its data {values.ndim}")
        array = np.array(values, order="C") if laid.scaled else np.ascontiguousarray(values)
    else:
        array = laid.empty(len(source))
        laid.fill(columns, array, complain)
    for axis, (dim, size) in enumerate(zip(laid.variable.shape, array.shape, strict=True)):
        if axis and dim.constant is not None and dim.constant != size:
            raise ShapeMismatch(
                f"{laid.name} is declared with {dim.constant} columns, and its data have {size}",
                hint=f"they are {', '.join(laid.labels[:20])}",
            )
    return array


def _scaling(laid: Laid, array: Array, table: Table) -> Scaling:
    moments = Moments(array.reshape(len(array), -1).shape[1])
    moments.add(array.reshape(len(array), -1))
    return scaling_of(laid, moments, table)


def scaling_of(laid: Laid, moments: Moments, table: Table) -> Scaling:
    """How a variable is scaled, by the moments of its columns.

    Raises: DataProblem for a column that has one value only.
    """
    scaled = np.array([laid.column(j) in laid.scaled for j in range(moments.width)])
    for j in np.flatnonzero(scaled & moments.constant):
        column = laid.column(int(j))
        raise DataProblem(
            f"{column} is {moments.low[j]:g} in every row, so it has no deviation to divide by",
            file=table.where,
            column=column,
            hint="leave the column out; a bias does what it would do",
        )
    return Scaling(np.where(scaled, moments.mean, 0.0), np.where(scaled, moments.deviation, 1.0))


def _finish(plan: Plan, arrays: dict[str, Any], scaling: Mapping[str, Scaling], complain: Complain) -> None:
    """Check what is declared of the entries, make whole numbers, and scale."""
    for laid in plan.laid:
        array = arrays[laid.name]
        check_entries(laid, array, complain)
        if laid.integer:
            arrays[laid.name] = array.astype(np.int64)
        elif laid.name in scaling:
            scaling[laid.name].apply(array)


def _sizes(plan: Plan, arrays: Mapping[str, Array]) -> dict[str, int]:
    """K of y[N]:integer(K): the number of levels, or one more than the largest number."""
    found: dict[str, int] = {}
    for laid in plan.laid:
        bound = laid.variable.bound
        if bound is not None and bound.name is not None:
            levels = [len(p.levels) for p in laid.pieces if p.text]
            size = max(levels) if levels else int(arrays[laid.name].max()) + 1
            found[bound.name] = max(size, found.get(bound.name, 0))
    return found
