"""The rows of the tables: what is compared with what, the floor, and whether it is met.

A floor is missed if two of three runs miss it; what the first run meets is not run again.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.speed.compare import Comparison
from benchmarks.speed.problem import Problem, Size

AUTOMATIC = ("jax AD", "torch AD")
TABLES = {
    "numpy": "NumPy code against the better of JAX and PyTorch",
    "structured": "Structured results against the dense derivative of JAX or PyTorch",
    "jax": "JAX code against automatic differentiation in JAX",
    "torch": "PyTorch code against automatic differentiation in PyTorch",
    "numba": "Numba code against the better of JAX and PyTorch",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A table's comparison: ours against automatic differentiation, and the expert beside it."""

    table: str
    ours: str
    against: tuple[str, ...]
    expert: tuple[str, ...]
    floor: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; ratios are medians over the runs, times in seconds."""

    table: str
    problem: str
    title: str
    size: str
    own: bool
    ad: float | None
    ours: float | None
    expert: float | None
    limit: float
    limited_by: str
    gain: float | None  # AD / ours
    to_expert: float | None  # ours / expert
    to_limit: float | None  # ours / limit
    out_to_expert: float | None  # into a kept buffer / expert
    possible: float | None  # AD / expert
    floor: float | None
    met: bool | None
    who: str  # the fastest of each kind
    note: str


def targets(problem: Problem, size: Size) -> Iterator[Target]:
    """The comparisons of a problem at a size, with their floors."""
    floors = problem.floors(size)
    yield Target("numpy", "ours", AUTOMATIC, ("expert",), floors.dense)
    yield Target("structured", "ours structured", AUTOMATIC, ("expert structured",), floors.structured)
    yield Target("jax", "ours jax", ("jax AD",), ("expert jax",), floors.jax)
    yield Target("torch", "ours torch", ("torch AD",), (), None)
    yield Target("numba", "ours numba", AUTOMATIC, ("expert numba",), None)


def rows(problem: Problem, size: Size, runs: Sequence[Comparison]) -> list[Row]:
    """The rows that the runs of one problem and size give."""
    found = [_row(problem, target, runs) for target in targets(problem, size)]
    return [row for row in found if row]


def missed(target: Target, run: Comparison) -> bool | None:
    """Whether a run misses the floor; None without a floor, or without a time to compare."""
    against = _against(target, run)
    if target.floor is None or not run.best(*against):
        return None
    ratio = run.ratio(against, (target.ours,))
    return ratio is None or ratio < target.floor


def undecided(problem: Problem, size: Size, runs: Sequence[Comparison]) -> bool:
    """Whether a floor is missed, and another run could say otherwise: two of three decide."""
    for target in targets(problem, size):
        votes = [vote for run in runs if (vote := missed(target, run)) is not None]
        if votes.count(True) == 1 and votes.count(False) < 2 and not _absent(target, runs[0]):
            return True
    return False


def _absent(target: Target, run: Comparison) -> bool:
    return target.ours in run.absent


def _against(target: Target, run: Comparison) -> tuple[str, ...]:
    """A diagonal is compared with the product by ones: the same numbers for whoever knows that it is one."""
    along = target.table == "structured" and run.best("along jax") and not run.best(*AUTOMATIC)
    return ("along jax",) if along else target.against


def _row(problem: Problem, target: Target, runs: Sequence[Comparison]) -> Row | None:
    first = runs[0]
    against = _against(target, first)
    wrong = [text for name, text in first.wrong.items() if name == target.ours]
    reason = first.absent.get(target.ours, "")
    expert = () if first.problem == "chain" and target.table == "numba" else target.expert
    if not (first.best(target.ours) or wrong or (reason and (target.floor or target.table != "numba"))):
        return None
    votes = [vote for run in runs if (vote := missed(target, run)) is not None]
    limit = first.structured_limit if target.table == "structured" else first.limit
    ours, ad, best = (_median(runs, kinds) for kinds in ((target.ours,), against, expert))
    failed = votes.count(True) >= min(2, len(votes)) if votes else None
    who = [fastest[0] for kinds in (against, expert) if kinds and (fastest := first.best(*kinds))]
    return Row(
        target.table,
        problem.name,
        problem.title,
        first.size,
        problem.own,
        ad,
        ours,
        best,
        limit,
        first.limited_by,
        _over(runs, against, (target.ours,)),
        _over(runs, (target.ours,), expert),
        ours / limit if ours and limit else None,
        _over(runs, ("ours out=",), expert) if target.table == "numpy" else None,
        _over(runs, against, expert),
        target.floor,
        False if wrong else None if failed is None or reason else not failed,
        "; ".join(who),
        "; ".join([*(f"WRONG: {text}" for text in wrong), *([reason] if reason else [])]),
    )


def _median(runs: Sequence[Comparison], kinds: tuple[str, ...]) -> float | None:
    found = [best[1] for run in runs if kinds and (best := run.best(*kinds))]
    return statistics.median(found) if found else None


def _over(runs: Sequence[Comparison], slow: tuple[str, ...], fast: tuple[str, ...]) -> float | None:
    if not slow or not fast:
        return None
    found = [ratio for run in runs if (ratio := run.ratio(slow, fast)) is not None]
    return statistics.median(found) if found else None
