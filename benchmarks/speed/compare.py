"""One problem at one size: every evaluator is checked against the others, then all are timed in turns.

A result that differs is not timed: the comparison says so and counts as failed.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.speed.clock import FULL, PROCESS, Budget, Call, Clock, Timing, block, take_turns
from benchmarks.speed.evaluators import Evaluators, evaluators, kind_of
from benchmarks.speed.machine import Machine
from benchmarks.speed.problem import Array, Case, Problem, Size

AGREE = 1e-8  # of the largest entry
HOPELESS = 4.0  # times as slow as the best of its kind: one call is timing enough


@dataclass(slots=True)
class Comparison:
    """Times by evaluator, the limit of the machine, and what went wrong."""

    problem: str
    size: str
    times: dict[str, Timing] = field(default_factory=dict)
    limit: float = 0.0
    limited_by: str = ""
    structured_limit: float = 0.0
    absent: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def best(self, *kinds: str) -> tuple[str, float] | None:
        """The fastest evaluator of these kinds, and its median."""
        found = [(name, t.median) for name, t in self.times.items() if kind_of(name) in kinds]
        return min(found, key=lambda pair: pair[1]) if found else None

    def ratio(self, slow: tuple[str, ...], fast: tuple[str, ...]) -> float | None:
        """How many times as fast the best of `fast` is as the best of `slow`."""
        a, b = self.best(*slow), self.best(*fast)
        return a[1] / b[1] if a and b else None


def compare(
    problem: Problem, size: Size, machine: Machine, budget: Budget = FULL, seed: int = 0
) -> Comparison:
    """The comparison of a problem at a size."""
    case = problem.case(size, np.random.default_rng(seed))
    result = compare_calls(problem, case, evaluators(problem, case), budget)
    result.size = problem.label(size)
    result.limit, result.limited_by = machine.limit(case.work)
    result.structured_limit = machine.limit(case.structured_work)[0]
    gc.collect()
    return result


def compare_calls(
    problem: Problem,
    case: Case,
    made: Evaluators,
    budget: Budget,
    clock: Clock = PROCESS,
    agree: float = AGREE,
) -> Comparison:
    """Check all calls against the first that is known to be independent of chainrule, then time them."""
    result = Comparison(problem.name, "", absent=dict(made.absent))
    agreeing = _agreeing(problem, case, made.calls, result, agree)
    gc.collect()
    once = {name: block(call, 1, clock) for name, call in agreeing.items()}
    result.times.update(take_turns(_without_hopeless(agreeing, once, result), budget, once, clock))
    return result


def _agreeing(
    problem: Problem, case: Case, calls: Mapping[str, Call], result: Comparison, agree: float
) -> dict[str, Call]:
    """The calls whose results agree; the others are named in `wrong`."""
    order = sorted(calls, key=lambda name: name.startswith("ours"))  # the judges come first
    agreeing: dict[str, Call] = {}
    whole: Array | None = None
    diagonal: Array | None = None
    for name in order:
        try:
            value = calls[name]()
        except MemoryError:
            result.absent[name] = "out of memory"
            continue
        except Exception as error:
            # Whatever a competitor or our own code raises here is a finding, not the end of the run.
            first = (str(error).splitlines() or [""])[0]
            result.wrong[name] = f"{type(error).__name__}: {first[:100]}"
            continue
        if _on_diagonal(name, case):
            found = flat(value.diagonal() if hasattr(value, "todense") else value)
            diagonal = found if diagonal is None else diagonal
            if whole is not None and name.startswith("along"):
                diagonal = whole.reshape(found.size, -1).diagonal()
            apart = difference(found, diagonal)
        else:
            found = flat(_dense(name, value, case), problem.names)
            whole = found if whole is None else whole
            apart = difference(found, whole)
        del value, found
        if apart < agree:
            agreeing[name] = calls[name]
        else:
            result.wrong[name] = f"differs by {apart:.1e} of the largest entry"
    return {name: agreeing[name] for name in calls if name in agreeing}


def _on_diagonal(name: str, case: Case) -> bool:
    """Whether it gives only the diagonal of a Jacobian that has nothing else."""
    kind = kind_of(name)
    return case.along and ("structured" in kind or kind in ("expert numba", "along jax"))


def _dense(name: str, value: Any, case: Case) -> Any:
    if hasattr(value, "todense"):
        return value.todense()
    if kind_of(name) == "expert structured" and case.expand:
        return case.expand(value)
    return value


def _without_hopeless(
    calls: Mapping[str, Call], once: Mapping[str, float], result: Comparison
) -> dict[str, Call]:
    """Those that may be the fastest of their kind; one call of each of the others is its time."""
    kept: dict[str, Call] = {}
    for name, call in calls.items():
        family = "AD" if kind_of(name).endswith("AD") else kind_of(name)
        rivals = [t for other, t in once.items() if (kind_of(other).endswith(family))]
        if once[name] > max(HOPELESS * min(rivals), 0.02):
            result.times[name] = Timing(once[name], once[name], once[name])
        else:
            kept[name] = call
    return kept


def flat(value: Any, names: Sequence[str] = ()) -> Array:
    """All numbers of an array, or of several, in one row; of a mapping in the order of the names."""
    if isinstance(value, Mapping):
        assert set(value) == set(names), f"results for {', '.join(value)}"
        value = tuple(value[name] for name in names)
    if isinstance(value, tuple | list):
        return np.concatenate([flat(part) for part in value])
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=float).reshape(-1)


def difference(found: Array, expected: Array) -> float:
    """The largest difference, relative to the largest entry; infinite for another number of entries."""
    if found.shape != expected.shape:
        return float("inf")
    scale = max(float(np.abs(expected).max(initial=0.0)), 1e-300)
    worst = float(np.abs(found - expected).max(initial=0.0)) / scale
    return worst if np.isfinite(worst) else float("inf")
