"""Timing: process CPU time of blocks of calls, competitors taking turns, medians.

One core and the CPU time of the whole process (all threads) do not count what a busy neighbour takes; turns
make a slow spell of the machine hit everyone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Clock:
    """What is read before and after a block of calls, and what waits for the work that calls have queued."""

    now: Callable[[], float]
    wait: Callable[[Any], object] = id


PROCESS = Clock(time.process_time)
LONGEST_BLOCK = 3000  # calls
VERY_LONG = 0.4  # seconds a call


@dataclass(frozen=True, slots=True)
class Budget:
    """How many turns each competitor gets, and how many seconds all its turns take together."""

    rounds: int = 5
    seconds: float = 0.5


FULL, QUICK, TINY = Budget(5, 0.5), Budget(3, 0.1), Budget(1, 0.0)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds a call: the median of the turns, the least and the most."""

    median: float
    least: float
    most: float


def block(call: Call, calls: int, clock: Clock = PROCESS) -> float:
    """Seconds a call, over so many calls in a row; what they have queued is waited for once, at the end."""
    start = clock.now()
    for _ in range(calls - 1):
        call()
    clock.wait(call())
    return (clock.now() - start) / calls


def best(call: Call, repeats: int = 7) -> float:
    """The least CPU seconds of one call, for the limits of the machine."""
    call()
    return min(block(call, 1) for _ in range(repeats))


def take_turns(
    calls: Mapping[str, Call],
    budget: Budget = FULL,
    known: Mapping[str, float] | None = None,
    clock: Clock = PROCESS,
) -> dict[str, Timing]:
    """The time of each call; blocks of calls alternate, every other round in reverse.

    `known` are seconds a call from a trial. What takes long gets three rounds, what takes very long one.
    """
    estimates = dict(known or {})
    for name, call in calls.items():
        if name not in estimates:
            clock.wait(call())
            estimates[name] = block(call, 1, clock)
    share = budget.seconds / budget.rounds
    lengths = {name: max(1, min(LONGEST_BLOCK, int(share / max(estimates[name], 2e-7)))) for name in calls}
    rounds = {
        name: budget.rounds if t < budget.seconds else min(3, budget.rounds) if t < VERY_LONG else 1
        for name, t in estimates.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(budget.rounds):
        for name in list(calls)[:: -1 if turn % 2 else 1]:
            if turn >= rounds[name]:
                continue
            if lengths[name] > 1:
                clock.wait(calls[name]())
            taken[name].append(block(calls[name], lengths[name], clock))
    return {name: Timing(statistics.median(t), min(t), max(t)) for name, t in taken.items()}
