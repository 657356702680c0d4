"""Lengths for sizes in a picture: true proportions for numbers, plausible ones for names.

In: the sizes that one picture shows. Out: a length for each, the same wherever the size stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log2

from chainrule.expr.dims import Dim

# What a name is taken to count, where only its name is known: many examples N, fewer features n.
USUAL = {"N": 11, "B": 11, "T": 10, "m": 8, "n": 6, "d": 6, "p": 7, "h": 5, "k": 4, "q": 4, "c": 4, "r": 3}
OTHER = 7
UNIT = 11.0  # pixels for each, up to FLAT; beyond it lengths grow slowly
FLAT = 12
LONGEST = 168.0
THIN = 12.0  # the length of 1, and the least length


def lengths(sizes: Iterable[Dim]) -> dict[Dim, float]:
    """The length of each size, in pixels.

    >>> n, one = Dim.of("n"), Dim.of(1)
    >>> lengths([n, one])
    {Dim(1): 12.0, Dim(n): 66.0}
    >>> [round(v) for v in lengths([Dim.of(2), Dim.of(4)]).values()]
    [24, 48]
    """
    wanted = sorted(set(sizes))
    if all(dim.constant is not None for dim in wanted):
        largest = max((dim.constant or 0 for dim in wanted), default=1)
        unit = min(THIN, LONGEST / max(1, largest))
        return {
            dim: max(THIN / 2 if dim.constant == 0 else THIN, unit * (dim.constant or 0)) for dim in wanted
        }
    counts = _counts(sorted({name for dim in wanted for name in dim.names}))
    return {dim: _length(dim.evaluate(counts)) for dim in wanted}


def _counts(names: Iterable[str]) -> dict[str, int]:
    """A number for each name, no two the same."""
    counts: dict[str, int] = {}
    for name in sorted(names, key=lambda name: (name not in USUAL, name)):
        guess = USUAL.get(name, USUAL.get(name[0], OTHER))
        while guess in counts.values():
            guess += 1
        counts[name] = guess
    return counts


def _length(count: int) -> float:
    if count <= 1:
        return THIN
    if count <= FLAT:
        return UNIT * count
    return min(LONGEST, UNIT * FLAT + 18 * log2(count / FLAT))
