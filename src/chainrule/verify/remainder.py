"""What an expansion leaves: f(x + td) minus the polynomial, whose order in t is measured at random points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chainrule.expr.nodes import Expr, Variable
from chainrule.verify.reference import Array, magnitude, run
from chainrule.verify.sample import Sampler

NOISE = 1e-13  # of the largest number met on the way
HALVINGS = 14
SLACK = 0.4  # a measured order may be lower by so much


@dataclass(frozen=True, slots=True)
class Remainder:
    """What was found.

    passed   whether halving the step divides what is left by about 2^(k + 1), or nothing is left
    points   at how many random points
    order    the lowest order that was measured; infinity where only rounding was left
    """

    passed: bool
    points: int
    order: float

    def __str__(self) -> str:
        if self.order == float("inf"):
            return f"checked at {self.points} random points: nothing is left but rounding"
        word = "checked" if self.passed else "FAILED the check"
        found = f"{word} at {self.points} random points"
        return f"{found}: the rest falls like the step to the power {self.order:.2f}"


def check_expansion(
    formula: Expr,
    terms: Sequence[Expr],
    directions: Mapping[Variable, Variable],
    *,
    points: int = 8,
    seed: int = 0,
    variables: Sequence[Variable] = (),
) -> Remainder:
    """Whether the terms of order 0, 1, ..., k in the directions leave a rest of order k + 1.

    Raises: DomainProblem if no point was found.

    >>> from chainrule.expr.dims import Dim
    >>> x, d = (Variable(name, (Dim.of("n"),)) for name in "xd")
    >>> f = (x * x).sum()
    >>> check_expansion(f, [f, 2 * (x * d).sum()], {x: d}).order > 1.9
    True
    >>> check_expansion(f, [f, (x * d).sum()], {x: d}).passed
    False
    """
    sampler = Sampler([formula, *terms], [*variables, *directions])
    rng = np.random.default_rng(seed)
    lowest, done = float("inf"), 0
    for point in sampler.points(rng, points):
        steps = {d.name: rng.standard_normal(np.shape(point.values[v.name])) for v, d in directions.items()}
        longest = max(float(np.max(np.abs(u), initial=0.0)) for u in steps.values())
        reach = min(0.25, point.margin / 4) / max(longest, 1e-12)
        left: list[float] = []
        noise = 0.0
        for halving in range(HALVINGS):
            t = reach / 2**halving
            rest, floor = _left(formula, terms, directions, point.values, point.sizes, steps, t)
            noise = max(noise, floor)
            left.append(rest)
        lowest = min(lowest, _order(left, noise))
        done += 1
    return Remainder(lowest >= len(terms) - SLACK, done, lowest)


def _left(
    formula: Expr,
    terms: Sequence[Expr],
    directions: Mapping[Variable, Variable],
    values: Mapping[str, Array],
    sizes: Mapping[str, int],
    steps: Mapping[str, Array],
    t: float,
) -> tuple[float, float]:
    """The largest entry of what is left after a step of length t, and what rounding may leave."""
    here = {**values, **{name: t * u for name, u in steps.items()}}
    there = {**values, **{v.name: values[v.name] + t * steps[d.name] for v, d in directions.items()}}
    at: dict[Expr, Array] = {}
    moved: dict[Expr, Array] = {}
    run([formula, *terms], here, sizes, at)
    run([formula], there, sizes, moved)
    rest = moved[formula] - sum(at[term] for term in terms)
    scale = max(magnitude(formula, at, sizes), *(magnitude(term, at, sizes) for term in terms))
    largest = float(np.max(np.abs(rest), initial=0.0))
    return (largest if np.isfinite(largest) else float("inf")), NOISE * scale


def _order(left: Sequence[float], noise: float) -> float:
    """The order at the smallest steps whose rests stand clear of rounding; infinity if none does."""
    clear = [rest for rest in left if rest > 30 * noise]
    if not clear:
        return float("inf")
    pairs = list(pairwise(clear))[-3:] or [(clear[0], max(left[1], noise))]
    return max(float(np.log2(before / after)) for before, after in pairs)


def rests(
    formula: Expr,
    terms: Sequence[Expr],
    directions: Mapping[Variable, Variable],
    values: Mapping[str, Array],
    sizes: Mapping[str, int],
    steps: Sequence[float],
    seed: int = 0,
) -> tuple[dict[str, Array], list[tuple[float, Array, Array]]]:
    """At one point: a direction of length 1, and for steps along it the step, f there, and the expansion."""
    rng = np.random.default_rng(seed)
    along = {d.name: rng.standard_normal(np.shape(values[v.name])) for v, d in directions.items()}
    length = float(np.sqrt(sum(float(np.sum(u * u)) for u in along.values())))
    along = {name: np.asarray(u / length) for name, u in along.items()}
    rows: list[tuple[float, Array, Array]] = []
    for t in steps:
        here = {**values, **{name: t * u for name, u in along.items()}}
        there = {**values, **{v.name: values[v.name] + t * along[d.name] for v, d in directions.items()}}
        at: dict[Expr, Array] = {}
        moved: dict[Expr, Array] = {}
        run([formula, *terms], here, sizes, at)
        run([formula], there, sizes, moved)
        rows.append((t, moved[formula], np.asarray(sum(at[term] for term in terms))))
    return along, rows
