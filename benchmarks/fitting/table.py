"""Rows of the table: what was measured, and what it should be."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass

LINE = "{:<50} {:>12} {:>12}  {}"


@dataclass(frozen=True, slots=True)
class Row:
    """A number that was measured, and the one that it should not exceed, or reach if `least`."""

    what: str
    measured: float
    target: float | None = None
    least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.measured >= self.target if self.least else self.measured <= self.target

    def __str__(self) -> str:
        target = "" if self.target is None else f"{'≥' if self.least else '≤'} {self.target:g}{self.unit}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
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
