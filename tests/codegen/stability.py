"""The tables of docs/stability.md, made anew: `python -m tests.codegen.stability` writes them.

Each formula is compiled and compared with mpmath at every point of its row; a line is a formula with the
order of its derivative.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chainrule.codegen.matching import Form
from chainrule.codegen.stable import FORMS
from tests.codegen.extremes import FORMULAS, WELL, Measured, Row, measure

PAGE = Path(__file__).parents[2] / "docs" / "stability.md"
HEAD = "| formula | derivative | inputs | condition | worst error, well conditioned | worst error of all |"
ORDERS = ("", "first", "second")


def line(row: Row) -> str:
    """A row of the table: the range of sizes of the inputs, of conditions, and the worst errors."""
    found = [m for point in row.points for m in measure(row, point)]
    sizes = [abs(v) for point in row.points for v in np.ravel(point) if v]
    conditions = [m.condition for m in found]
    span = f"{min(sizes):.0e} to {max(sizes):.0e}"
    well = [m for m in found if m.condition <= WELL]
    cells = (
        f"`{row.formula}`",
        ORDERS[row.order],
        span,
        f"{_short(min(conditions))} to {_short(max(conditions))}",
        worst(well),
        worst(found),
    )
    return f"| {' | '.join(cells)} |"


def worst(found: list[Measured]) -> str:
    """The largest error in units in the last place."""
    largest = max((m.ulps for m in found), default=0.0)
    return f"{largest:.1f}" if largest < 100 else f"{largest:.0e}"


def _short(condition: float) -> str:
    return f"{condition:.2g}" if condition < 1e4 else f"{condition:.0e}"


def lines() -> list[str]:
    """The table of what was measured."""
    return [HEAD, "|" + "---|" * (HEAD.count("|") - 1), *map(line, FORMULAS)]


def forms() -> list[str]:
    """The table of forms, each with a formula in which it is used."""
    return ["| form | used in |", "|---|---|", *map(_form, FORMS)]


def _form(form: Form) -> str:
    says = form.says.replace("|", r"\|")  # a bar would end a cell
    return f"| {says} | `{form.example}` |"


def main(measured: list[str]) -> None:
    """Writes both tables into the page, in the places of those that are there."""
    text = PAGE.read_text(encoding="utf-8")
    for table in (forms(), measured):
        before, _, rest = text.partition(table[0])
        text = before + "\n".join(table) + rest[rest.index("\n\n") :]
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(lines())
