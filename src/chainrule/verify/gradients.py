"""The check of many first derivatives at once, as of a loss by all parameters of a network.

In: a formula and its gradients. Out: a Report. At each point all variables move together along random
directions, in groups of gradients whose sizes are comparable: those of the first layers of a deep network are
smaller than those of the last by any number of orders. An error that the last digits of parts explain is no
evidence, and another point is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.errors import DomainProblem
from chainrule.expr.nodes import Expr, Variable, constant_of
from chainrule.verify.compare import (
    EXTRA,
    LOOSE,
    SHAKES,
    SHAKY,
    SMALLEST,
    TOLERANCE,
    Report,
    Tally,
    reported,
    sizes_text,
)
from chainrule.verify.differences import RICHARDSON, TINY, Direction, Moving, slope
from chainrule.verify.reference import Array, run
from chainrule.verify.sample import ALIVE, MANNERS, Point, Sampler

DIRECTIONS = 3  # at each point
EXCUSED = 8  # points at which rounding explains an error, and others are drawn instead
SPAN = 1e-50  # gradients smaller than the largest by more than this move by themselves


def check_gradients(
    formula: Expr,
    gradients: Mapping[Variable, Expr],
    *,
    points: int = 3,
    seed: int = 0,
    variables: Sequence[Variable] = (),
) -> Report:
    """Whether gradients[v] is the first derivative of `formula` by v; many variables cost as much as a few.

    Each variable's direction is scaled so that no variable's part drowns in another's.
    Raises: DomainProblem if no point was found to check at.

    >>> from chainrule.expr.dims import Dim
    >>> x, y = Variable("x", (Dim.of("n"),)), Variable("y", (Dim.of("n"),))
    >>> check_gradients((x * y).sum(), {x: y, y: x}).passed
    True
    """
    sampler = Sampler([formula, *gradients.values()], [*variables, *gradients])
    rng = np.random.default_rng(seed)
    tally = Tally()
    drawn: list[Point] = []
    excused = 0
    # Gradients that were 0 at every point, as behind a layer whose units are all off, and so not compared.
    dead = {v for v, gradient in gradients.items() if constant_of(gradient) is None}
    while len(drawn) < points or (dead and len(drawn) < points + EXTRA):
        if len(drawn) >= points:
            sampler.manner = len(drawn) - points or ALIVE
        point = sampler.point(rng)
        memo: dict[Expr, Array] = {}
        run([formula, *gradients.values(), *gradients], point.values, point.sizes, memo)
        own = Tally()
        told: set[Variable] = set()
        doubtful = False
        for _ in range(DIRECTIONS):
            for group in _groups(formula, gradients, memo, point, rng):
                told.update(v for v in group.scales if group.parts[v].any())
                doubtful |= group.compare(own)
        if doubtful and own.excess <= 1 and excused < EXCUSED:
            # In a network whose units are saturated 1 − h² is nothing but rounding: another point, of
            # another kind, tells more.
            sampler.manner = excused % len(MANNERS) or ALIVE
            excused += 1
            continue
        dead -= told
        tally.join(own)
        drawn.append(point)
    if not tally.where:
        raise DomainProblem("no point was found at which the last digits do not decide the gradients")
    return reported(tally, 1, drawn, seed)


@dataclass(frozen=True, slots=True)
class _Group:
    """Some variables that move together, each by a direction divided by the slope along it.

    along   a random direction for each
    parts   the slope along it
    scales  what it is divided by; so each part of the sum is 1 or less
    """

    formula: Expr
    gradients: Mapping[Variable, Expr]
    memo: dict[Expr, Array]
    point: Point
    along: Mapping[Variable, Array]
    parts: Mapping[Variable, Array]
    scales: Mapping[Variable, float]

    def compare(self, tally: Tally) -> bool:
        """Notes the slope along the directions against a numeric one; whether rounding leaves it open."""
        # The largest step is 1, so that the complex step stays small.
        least = min(self.scales.values())
        direction: Direction = {v: self.along[v] * (least / scale) for v, scale in self.scales.items()}
        moving = Moving(self.formula, list(direction), self.memo, self.point.sizes)
        want = slope(moving, direction, min(0.05, self.point.margin / 10))
        got, unit = self._slope(self.memo) * least, TOLERANCE * least
        tolerance = LOOSE if want.method == RICHARDSON else TOLERANCE
        place = f"all variables together{sizes_text(self.point)}"
        own = Tally()
        own.methods[f"{want.method} in random directions"] = None
        own.add(got, want.value, lambda: unit, tolerance, place)
        if own.excess > 1:
            gap = float(np.max(np.abs(got - want.value), initial=0.0))
            if gap <= SHAKY * self._change(moving, direction, got, want.value, least):
                return True
        tally.join(own)
        return False

    def _slope(self, memo: Mapping[Expr, Array]) -> Array:
        own = {v: _slope_along(memo[self.gradients[v]], self.along[v]) for v in self.scales}
        return np.asarray(sum(part / self.scales[v] for v, part in own.items()))

    def _change(self, moving: Moving, direction: Direction, got: Array, want: Array, least: float) -> float:
        """How far other last digits of what is computed on the way move either side."""
        worst = 0.0
        for seed in range(SHAKES):
            rng = np.random.default_rng(seed)
            shaken: dict[Expr, Array] = {}
            run([self.gradients[v] for v in self.scales], self.point.values, self.point.sizes, shaken, rng)
            other = [self._slope(shaken) * least - got]
            if moving.analytic:
                other.append(moving.along(direction, TINY * 1j, rng).imag / TINY - want)
            worst = max(worst, *(float(np.max(np.abs(change), initial=0.0)) for change in other))
        return worst if np.isfinite(worst) else float("inf")


def _groups(
    formula: Expr,
    gradients: Mapping[Variable, Expr],
    memo: dict[Expr, Array],
    point: Point,
    rng: np.random.Generator,
) -> list[_Group]:
    """The variables by the size of their gradients, the largest first; those of gradient 0 with them."""
    along = {v: rng.standard_normal(memo[v].shape) for v in gradients}
    parts = {v: _slope_along(memo[gradient], along[v]) for v, gradient in gradients.items()}
    sizes = {v: float(np.max(np.abs(part), initial=0.0)) for v, part in parts.items()}
    left = sorted(gradients, key=lambda v: -sizes[v])
    groups: list[_Group] = []
    while left:
        largest = sizes[left[0]]
        chosen = [v for v in left if sizes[v] >= largest * SPAN]
        if not largest * SPAN > SMALLEST:
            chosen = left
        left = left[len(chosen) :]
        scales = {v: max(sizes[v], largest * SPAN) or 1.0 for v in chosen}
        groups.append(_Group(formula, gradients, memo, point, along, parts, scales))
    return groups


def _slope_along(gradient: Array, u: Array) -> Array:
    return np.asarray(np.tensordot(gradient, u, u.ndim) if u.ndim else gradient * u)
