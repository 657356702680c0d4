"""What comes before the first step of a fit: the data are read or looked at, the loss is derived.

It is apart from the run, so that the update formulas can be shown before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chainrule.api.data_names import apart, labels_of, levels_of, listed, named, plain_let, wanted
from chainrule.api.fitting import Setting, derived, setting, updates
from chainrule.api.formulas import Functions, Shapes, declaration
from chainrule.api.prepared import Prepared
from chainrule.errors import OptionError
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Expr
from chainrule.fit.derived import DerivedObjective
from chainrule.fit.design import Design, design
from chainrule.fit.pieces import PiecedRows
from chainrule.fit.places import Place, example
from chainrule.fit.rows import MemoryRows
from chainrule.fit.stream import Streamed
from chainrule.fit.stream import stream as streamed_rows


def prepare(
    loss: str | Expr,
    params: str | Sequence[str] | None,
    data: Any,
    shapes: Shapes,
    *,
    let: str | None = None,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    standardise: str | Collection[str] = (),
    one_hot: str | Collection[str] = (),
    split: float = 0.0,
    missing: str = "error",
    header: bool | None = None,
    backend: str = "numpy",
    at_kink: float | str = 0,
    dialect: str = "numpy",
    functions: Functions = None,
    place: Place | None = None,
) -> Prepared:
    """Read the data, or look at the files that are streamed, and derive the loss. Raises: ChainruleError."""
    if data is None:
        raise OptionError(
            "there are no data to fit to",
            hint="name a file, as in data='table.csv', or give arrays by name, a frame or a table",
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise OptionError(f"seed is {seed!r}", hint="it is a whole number from 0 on")
    names = named(params)
    said = plain_let(let)
    fixed: Mapping[str, Any] = {}
    described = _described(data)
    if said is None and isinstance(data, Mapping):
        data = {ascii_name(str(name)): value for name, value in data.items()}
        data, fixed = apart(loss, data, shapes)
    place = place or Place()
    data = place.named(data)
    needed = wanted(loss, names, data, shapes, said)
    asked: dict[str, Any] = {
        "one_hot": listed(one_hot), "standardise": listed(standardise), "missing": missing,
        "validation": split, "seed": seed, "header": header,
    }  # fmt: skip
    streamed = streamed_rows(data, said, needed, **asked) if place.streams(data, header) else None
    laid = design(data, said, needed, **asked) if streamed is None else _example(streamed)
    about = setting(
        loss,
        names,
        {**laid.arrays, **fixed},
        shapes,
        sizes={**{n: s for n, s in laid.sizes.items()}, **(sizes or {})},
        count=None if streamed is None else streamed.chunks.rows,
        dialect=dialect,
        functions=functions,
    )
    if streamed is not None:
        about = _without_rows(about, streamed)
    made, derivatives = derived(about, at_kink)
    labels, levels = labels_of(about, laid.labels), levels_of(about, laid.labels, laid.levels)
    rows = place.of_memory(about.rows) if streamed is None else place.of_chunks(streamed.chunks)
    objective = DerivedObjective(made, rows, about.data, about.fixed, about.sizes, labels, backend, levels)
    try:
        notes = _placed(objective, about, place, streamed)
    except BaseException:
        rows.close()
        raise
    return Prepared(
        about,
        made,
        derivatives,
        objective,
        laid,
        described,
        seed,
        tuple(updates(derivatives)),
        about.formula.source or str(about.formula.expr),
        declaration(about.formula.variables),
        (*about.formula.assumptions, *laid.notes, *notes),
        streamed,
    )


def _example(streamed: Streamed) -> Design:
    """The first rows of a stream, with what is known of all."""
    found = streamed
    return Design(
        {**found.constants, **example(found.chunks)},
        found.labels,
        found.chunks.rows or 0,
        levels=found.levels,
        scaling=found.scaling,
        sizes=found.sizes,
        notes=found.notes,
    )


def _without_rows(about: Setting, streamed: Streamed) -> Setting:
    """The setting without the rows that were an example. Raises: OptionError if some are taken for all."""
    laid = {variable.name for variable in streamed.chunks.plan.laid}
    whole = sorted(laid & set(about.fixed))
    if whole:
        others = " and ".join(about.data) or "the data"
        raise OptionError(
            f"{whole[0]} is not declared with the same number of rows as {others}",
            hint="what is streamed has the rows of all data as its first axis: X[N,n] y[N]",
        )
    return replace(about, rows={})


def _placed(
    objective: DerivedObjective, about: Setting, place: Place, streamed: Streamed | None
) -> tuple[str, ...]:
    """Notes on where the rows are; a loss that needs all at once gets them here, if they are in memory."""
    rows = objective.place
    if isinstance(rows, PiecedRows) and objective.together:
        if streamed is not None:
            rows.whole(objective.together)
        rows.close()
        objective.place = MemoryRows(about.rows)
        return ("the rows are not shared out, since the loss needs all of them at once",)
    return place.said(rows, streamed is not None)


def _described(data: Any) -> str:
    """Where the data are from, for a report."""
    if isinstance(data, str | Path):
        return str(data)
    if isinstance(data, Mapping):
        return "arrays " + ", ".join(str(name) for name in data)
    if isinstance(data, list | tuple) and all(isinstance(part, str | Path) for part in data):
        return ", ".join(str(part) for part in data)
    return type(data).__name__
