"""Rows with a missing value: an error, or left out and counted; infinite values are always an error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.errors import OptionError
from chainrule.fit.cells import Array
from chainrule.fit.plan import Complain, Piece, Plan

POLICIES = ("error", "drop")


@dataclass(slots=True)
class Gaps:
    """What is done about missing values, and what was done.

    dropped  how many rows were left out
    columns  how many of these had no value in each column
    """

    policy: str = "error"
    dropped: int = 0
    columns: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise OptionError(
                f"the policy for missing values cannot be {self.policy}",
                hint=f"known are {', '.join(POLICIES)}",
            )

    @classmethod
    def together(cls, several: Sequence[Gaps]) -> Gaps:
        """What was done in several places.

        >>> Gaps.together([Gaps("drop", 1, Counter(age=1)), Gaps("drop", 2, Counter(age=1, bmi=2))]).note
        '3 rows with a missing value left out (age 2, bmi 2)'
        """
        columns: Counter[str] = Counter()
        for gaps in several:
            columns.update(gaps.columns)
        policy = next((gaps.policy for gaps in several), POLICIES[0])
        return cls(policy, sum(gaps.dropped for gaps in several), columns)

    def kept(self, plan: Plan, columns: Mapping[str, Array], complain: Complain) -> Array | None:
        """Which rows have all values, None if all have.

        Raises: DataProblem at the first missing value, unless such rows are left out; at an infinite one.
        """
        holes: dict[str, Array] = {}
        for laid in plan.laid:
            for piece in laid.pieces:
                holes |= _holes(piece, piece.of(columns), complain)
        if not holes:
            return None
        if self.policy == "error":
            row, column = min((int(np.argmax(hole)), name) for name, hole in holes.items())
            raise complain(
                f"{column} has no value",
                row,
                column,
                "mend the cell, or leave such rows out, missing='drop'",
            )
        kept: Array = ~np.logical_or.reduce(list(holes.values()))
        self.dropped += int(np.count_nonzero(~kept))
        self.columns.update({name: int(np.count_nonzero(hole)) for name, hole in holes.items()})
        return kept

    @property
    def note(self) -> str:
        """What was left out, "" if nothing."""
        if not self.dropped:
            return ""
        rows = "1 row" if self.dropped == 1 else f"{self.dropped} rows"
        listed = ", ".join(f"{name} {count}" for name, count in sorted(self.columns.items()))
        return f"{rows} with a missing value left out ({listed})"


def _holes(piece: Piece, values: Array, complain: Complain) -> dict[str, Array]:
    """For each column with missing values, in which rows they are."""
    if piece.text:
        hole = np.array([text is None for text in values], dtype=bool)
        return {piece.columns[0]: hole} if hole.any() else {}
    if _surely_finite(values):
        return {}
    found: dict[str, Array] = {}
    table = values.reshape(len(values), -1)
    names = piece.columns if len(piece.columns) == table.shape[1] else [piece.source] * table.shape[1]
    for j, name in enumerate(names):
        column = table[:, j]
        infinite = np.isinf(column)
        if infinite.any():
            row = int(np.argmax(infinite))
            raise complain(f"{name} is infinite", row, name, "leave the row or the column out")
        hole = np.isnan(column)
        if hole.any():
            found[name] = found[name] | hole if name in found else hole
    return found


def _surely_finite(values: Array) -> bool:
    """Whether a sum of squares is finite, which costs less than to look at each value."""
    if not values.flags.c_contiguous:
        with np.errstate(all="ignore"):
            return math.isfinite(float(values.sum()))
    flat = values.reshape(-1)
    with np.errstate(all="ignore"):
        return math.isfinite(float(flat @ flat))
