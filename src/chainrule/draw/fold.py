"""Which steps of a long formula are drawn as one node: repeated layers, or the middle of what is too long.

In: a Flow. Out: a Fold, groups of neighbouring steps. Two steps are alike if they differ only in the names of
variables and sizes, and read steps that stand equally far before them; what repeats is shown the first and
the last time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from chainrule.derive.flow import Flow, Part
from chainrule.expr.dims import Dim
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import substitute, substitute_dims, topological, variables

# A graph with more nodes than this is folded.
MOST_NODES = 60
# What repeats fewer times is drawn in full.
FEWEST_REPEATS = 4
LONGEST_PERIOD = 16
# A step larger than this is not compared with others.
LARGEST = 400


@dataclass(frozen=True)
class Fold:
    """Groups of steps that are drawn as one node each; `repeats` are those of layers alike, else 0."""

    flow: Flow
    groups: tuple[tuple[Part, ...], ...]
    repeats: tuple[int, ...] = ()

    @cached_property
    def _group(self) -> dict[Variable, int]:
        return {part.symbol: k for k, group in enumerate(self.groups) for part in group}

    def group_of(self, part: Part) -> int | None:
        """The number of the group that a step is in."""
        return self._group.get(part.symbol)

    def words(self, group: int) -> str:
        """What stands in the node of a group."""
        parts, repeats = self.groups[group], self.repeats[group]
        if not repeats:
            return f"{len(parts)} steps not shown"
        first = next(k for k, p in enumerate(self.flow.parts) if p is parts[0])
        period = len(parts) // repeats
        names = ", ".join(pretty(p.name) for p in self.flow.parts[first - period : first])
        return f"{repeats} more like {names}"


def fold(flow: Flow, most: int = MOST_NODES) -> Fold:
    """The groups that bring a formula of more than `most` variables and steps to a size that can be read.

    >>> from chainrule.derive.flow import flow
    >>> from chainrule.expr.nodes import Apply
    >>> from chainrule.rules.elementwise import sin
    >>> x = Variable("x")
    >>> y = x
    >>> for _ in range(100):
    ...     y = Apply(sin, (y,))
    >>> fold(flow(y, [x])).words(0)
    '96 more like u₂'
    """
    if len(flow.parts) + len(variables(flow.output.whole)) <= most:
        return Fold(flow, ())
    found = _repeats(_signatures(flow), 0, len(flow.parts) - 1)
    groups = [(flow.parts[start:stop], repeats) for start, stop, repeats in found]
    shown = len(flow.parts) - sum(stop - start - 1 for start, stop, _ in found)
    if shown > most:
        half = most // 2
        groups = [(flow.parts[half:-half], 0)]
    return Fold(flow, tuple(g for g, _ in groups), tuple(r for _, r in groups))


def _signatures(flow: Flow) -> list[bytes]:
    """A key for each step, the same for steps that are alike."""
    place = {part.symbol: k for k, part in enumerate(flow.parts)}
    wrt = set(flow.wrt)
    return [_signature(part, k, place, wrt) for k, part in enumerate(flow.parts)]


def _signature(part: Part, k: int, place: dict[Variable, int], wrt: set[Variable]) -> bytes:
    order = topological([part.value])
    if len(order) > LARGEST:
        return part.symbol.digest
    found = [node for node in order if isinstance(node, Variable)]
    marks: dict[Expr, Expr] = {}
    for count, variable in enumerate(found):
        kind = f"#{k - place[variable]}" if variable in place else f"%{count}{variable in wrt}"
        marks[variable] = Variable(kind, variable.shape, variable.structure)
    sizes = dict.fromkeys(name for v in (*found, part.symbol) for dim in v.shape for name in dim.names)
    letters = {name: Dim.of(f"%{count}") for count, name in enumerate(sizes)}
    return substitute_dims(substitute(part.value, marks), letters).digest


def _repeats(keys: Sequence[bytes], low: int, high: int) -> list[tuple[int, int, int]]:
    """Runs that repeat in keys[low:high], without their first and last time: start, stop, how many times."""
    best: tuple[int, int, int, int] | None = None
    for period in range(1, min(LONGEST_PERIOD, (high - low) // FEWEST_REPEATS) + 1):
        start = low
        for k in range(low, high - period + 1):
            if k + period < high and keys[k] == keys[k + period]:
                continue
            times = (k + period - start) // period
            saved = (times - 2) * period
            if times >= FEWEST_REPEATS and (best is None or saved > best[0]):
                best = (saved, start, period, times)
            start = k + 1
    if best is None:
        return []
    _, start, period, times = best
    middle = (start + period, start + (times - 1) * period, times - 2)
    return [
        *_repeats(keys, low, start),
        middle,
        *_repeats(keys, start + times * period, high),
    ]
