"""Rows of the table: what was measured, and what it should be."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass

LINE = "{:<50} {:>12} {:>12}  {}"


@dataclass(frozen=True, slots=True)
class Row:
    """A number that was measured, and the one that it should not exceed, or reach if `least`.

    judged  whether it was measured at the size that the target is for
    """

    what: str
    measured: float
    target: float | None = None
    least: bool = False
    unit: str = ""
    judged: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the target was reached; None where there is none, or it is for other sizes."""
        if self.target is None or not self.judged:
            return None
        return self.measured >= self.target if self.least else self.measured <= self.target

    def __str__(self) -> str:
        target = "" if self.target is None else f"{'≥' if self.least else '≤'} {self.target:g}{self.unit}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        if self.target is not None and not self.judged:
            verdict = "not judged at this size"
        return LINE.format(self.what, f"{self.measured:.3g}{self.unit}", target, verdict).rstrip()


def heading() -> str:
    """What stands over the columns."""
    return LINE.format("", "measured", "target", "").rstrip()


def on_all_cores() -> None:
    """Let this process, and those that it starts, use all cores, where several are what is measured."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def median(values: list[float]) -> float:
    return statistics.median(values)
