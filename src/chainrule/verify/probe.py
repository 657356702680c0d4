"""Values at sample points, and the ways in which two arrays may be the same answer.

In: expressions. Out: their values at points of several kinds inside every domain; whether arrays are equal
up to rounding, one a constant times the other, or one the other in another layout; where they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule.errors import DomainProblem
from chainrule.expr.nodes import Apply, Expr, Variable, constant_of
from chainrule.rules.table import Row
from chainrule.verify.reference import Array, magnitude, run
from chainrule.verify.sample import DEMANDS, MANNERS, Demand, Point, Sampler

TOLERANCE = 1e-8
NOISE = 1e-12  # of the largest number met on the way: what rounding may leave
# Most points are ordinary; the others find claims that hold only near 0, on one side or far away.
TELLS = 1e-6  # of a value: rounding below this leaves something to compare
SHAKEN = 100.0  # times what changes with the last digits of the inputs
KINDS = ("normal", "normal", "normal", "negative", "normal", "wide", "small", "positive")
DRAWS = 60  # in search of points where conditions hold in other combinations
PATIENCE = 30  # of which so many may show nothing new
TELLING = 16  # of which so many are kept
USUAL = (0.1, 3.0)  # numbers beyond which a condition may hold nowhere among ordinary points
FEW = 4  # of which so many are looked at
SCALABLE = {"positive", "nonnegative", "symmetric", "diagonal", "spd"}  # what a factor above 0 keeps
Values = list[Array]
Pattern = tuple[tuple[bool, bool], ...]


class Probe:
    """Some points, and the values of any expression there."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.points = list(points)
        self._memos: list[dict[Expr, Array]] = [{} for _ in self.points]

    def value(self, expr: Expr, k: int) -> Array:
        """The value of an expression at point k; NaN and infinity pass through."""
        run([expr], self.points[k].values, self.points[k].sizes, self._memos[k])
        return self._memos[k][expr]

    def values(self, expr: Expr) -> Values:
        """The value of an expression at each point."""
        return [self.value(expr, k) for k in range(len(self.points))]

    def noise(self, expr: Expr) -> list[float]:
        """What rounding may leave in its value at each point."""
        values, levels = self.values(expr), self._levels(expr)
        sizes = [float(np.max(np.abs(value), initial=0.0)) for value in values]
        if any(level <= TELLS * size for level, size in zip(levels, sizes, strict=True)):
            return levels
        # In a long product the bound is far too large at every point, and anything would pass: what the last
        # digits of the inputs change tells more.
        shaken = (self._shaken(expr, k, value) for k, value in enumerate(values))
        return [min(level, SHAKEN * change) for level, change in zip(levels, shaken, strict=True)]

    def tells(self, expr: Expr) -> list[bool]:
        """At which points its value is far above all that rounding may leave."""
        sizes = (float(np.max(np.abs(value), initial=0.0)) for value in self.values(expr))
        pairs = zip(self._levels(expr), sizes, strict=True)
        return [size > 0 and level <= TELLS * size for level, size in pairs]

    def _levels(self, expr: Expr) -> list[float]:
        """A bound of what rounding may leave at each point, from the largest number met on the way."""
        self.values(expr)
        known = zip(self.points, self._memos, strict=True)
        return [NOISE * magnitude(expr, memo, point.sizes) for point, memo in known]

    def _shaken(self, expr: Expr, k: int, value: Array) -> float:
        """By how much the value changes when the inputs change in their last digits."""
        rng = np.random.default_rng(1)
        worst = 0.0
        for _ in range(3):
            point = self.points[k]
            moved = {n: v * (1 + 1e-15 * rng.standard_normal(v.shape)) for n, v in point.values.items()}
            memo: dict[Expr, Array] = {}
            run([expr], moved, point.sizes, memo)
            with np.errstate(all="ignore"):
                worst = max(worst, float(np.max(np.abs(memo[expr] - value), initial=0.0)))
        return worst if np.isfinite(worst) else 0.0


def probe(
    exprs: Sequence[Expr], variables: Sequence[Variable], *, kinds: Sequence[str] = KINDS, cases: bool = True
) -> Probe:
    """Points at which all of `exprs` can be evaluated, one of each kind as far as there are such.

    Where there are conditions, and `cases` is set, more points are drawn until every one of them has held for
    some entries and not for others beside them: two formulas that differ only there would pass for equal.
    Raises: DomainProblem if there is no point at all.

    >>> from chainrule.expr.dims import Dim
    >>> x = Variable("x", (Dim.of("n"),))
    >>> len(probe([x.sum()], [x]).points)
    8
    """
    sampler = Sampler(exprs, variables)
    rng = np.random.default_rng(0)
    points: list[Point] = []
    for kind in kinds:
        sampler.manner = MANNERS.index(kind)
        try:
            points.append(sampler.point(rng))
        except DomainProblem:
            if not points:
                raise
    return Probe([*points, *telling(sampler, rng, points)] if cases else points)


def telling(sampler: Sampler, rng: np.random.Generator, points: Sequence[Point]) -> list[Point]:
    """More points, at which conditions hold in combinations that `points` do not show."""
    conditions = [n for n in sampler.order if isinstance(n, Apply) and _has_cases(n)]
    return _telling(sampler, rng, conditions, points) if conditions else []


def _has_cases(node: Apply) -> bool:
    row = node.function
    return isinstance(row, Row) and (row.kink is not None or row.name == "where")


def _telling(
    sampler: Sampler, rng: np.random.Generator, conditions: Sequence[Apply], points: Sequence[Point]
) -> list[Point]:
    """Points at which conditions hold in combinations that the points before do not show."""
    seen = {_pattern(point, conditions) for point in points}
    found: list[Point] = []
    last = 0
    for draw in range(DRAWS):
        if draw - last > PATIENCE:
            break
        sampler.manner = int(rng.choice(len(MANNERS) + 1))
        try:
            point = sampler.point(rng)
        except DomainProblem:
            break
        pattern = _pattern(point, conditions)
        if pattern not in seen:
            seen.add(pattern)
            last = draw
            found.append(point)
            if len(found) == TELLING:
                break
    return [*found, *_beyond(sampler, rng, conditions, seen)]


def _beyond(
    sampler: Sampler, rng: np.random.Generator, conditions: Sequence[Apply], seen: set[Pattern]
) -> list[Point]:
    """Points on both sides of the numbers that conditions compare with, where those are large or small."""
    constants = {constant_of(argument) for node in conditions for argument in node.arguments}
    bounds = {abs(float(c.rational)) for c in constants if c is not None and not c.powers and c.rational}
    found: list[Point] = []
    for bound in sorted(b for b in bounds if not USUAL[0] < b < USUAL[1])[:FEW]:
        demand = replace(DEMANDS[1], kink=min(DEMANDS[1].kink, bound / 100))
        for _ in range(DRAWS // 4):
            sizes = sampler.sizes(rng)
            values = {v.name: sampler.draw(v, sizes, rng, 0) for v in sampler.variables}
            near = _scaled(sampler, values, sizes, bound, demand)
            if near is not None and (pattern := _pattern(near, conditions)) not in seen:
                seen.add(pattern)
                # A formula with another sign at the condition differs on the other side of 0.
                other = _scaled(sampler, values, sizes, -bound, demand)
                found += [near, *([other] if other is not None else [])]
    return found


def _scaled(
    sampler: Sampler, values: Mapping[str, Array], sizes: dict[str, int], by: float, demand: Demand
) -> Point | None:
    """The point with its values times a number, where everything can be evaluated there."""
    moved = dict(values)
    for v in sampler.variables:
        if set(v.structure) <= (SCALABLE if by > 0 else set()) and v.bound is None:
            moved[v.name] = by * values[v.name]
    margin, failed = sampler.probe(moved, sizes, demand)
    return Point(moved, sizes, margin) if failed is None else None


def _pattern(point: Point, conditions: Sequence[Apply]) -> Pattern:
    """For each function with cases whether one case and whether the other occurs."""
    memo: dict[Expr, Array] = {}
    run([argument for node in conditions for argument in node.arguments], point.values, point.sizes, memo)
    found: list[tuple[bool, bool]] = []
    for node in conditions:
        first = memo[node.arguments[0]]
        compared = memo[node.arguments[1]] if _compares(node) else 0.0
        holds = np.asarray(first > compared)
        found.append((bool(holds.any()), not holds.all()))
    return tuple(found)


def _compares(node: Apply) -> bool:
    return len(node.arguments) == 2 and node.arguments[0].shape == node.arguments[1].shape


def close(a: Array, b: Array, noise: float = 0.0, tolerance: float = TOLERANCE) -> bool:
    """Whether two arrays are equal up to rounding, relative to the largest entry."""
    if a.shape != b.shape:
        return False
    with np.errstate(all="ignore"):
        gap = float(np.max(np.abs(a - b), initial=0.0))
        scale = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
    return bool(np.isfinite(gap)) and gap <= max(tolerance * scale, noise)


def is_finite(value: Array) -> bool:
    """Whether no entry is NaN or infinite."""
    return bool(np.isfinite(value).all())


def factor(a: Array, b: Array, tolerance: float = TOLERANCE) -> float | None:
    """The number c with a = c·b, if there is one other than 0.

    >>> factor(np.array([2.0, 4.0]), np.array([1.0, 2.0]))
    2.0
    """
    if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
        return None
    weight = float(np.sum(b * b))
    if not weight:
        return None
    ratio = float(np.sum(a * b)) / weight
    return ratio if ratio and close(a, ratio * b, tolerance=tolerance) else None


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries in which two arrays differ, worst first: index, the first value, the second."""

    entries: tuple[tuple[tuple[int, ...], float, float], ...]
    count: int
    total: int


def gap(a: Array, b: Array, tolerance: float = TOLERANCE, most: int = 3) -> Gap:
    """Where two arrays of one shape differ by more than rounding."""
    with np.errstate(all="ignore"):
        apart = np.abs(a - b)
    scale = max(float(np.max(np.abs(b), initial=0.0)), 1e-300)
    apart = np.where(np.isfinite(apart), apart, np.inf)
    order = np.argsort(-apart, axis=None, kind="stable")
    count = int(np.sum(apart > tolerance * scale))
    entries = []
    for flat in order[: min(most, count)]:
        index = tuple(int(i) for i in np.unravel_index(int(flat), apart.shape))
        entries.append((index, float(a[index]), float(b[index])))
    return Gap(tuple(entries), count, a.size)


@dataclass(frozen=True, slots=True)
class View:
    """A way to write an array: `turn` makes it from the array with output axes, then input axes.

    plain  whether that is the array itself, or its matrix form by vec
    """

    name: str
    turn: Callable[[Array], Array]
    plain: bool = False


def views(rank: int, out: int | None) -> list[View]:
    """The ways to write a derivative whose first `out` axes are those of what was differentiated.

    >>> [view.name for view in views(2, 1)]
    ['itself', 'transpose', 'vec', 'vec transposed', 'vec by rows', 'vec by rows transposed']
    """
    found = [View("itself", lambda a: a, plain=True)]
    if rank == 2:
        found.append(View("transpose", np.transpose))
    outs = [out] if out is not None else list(range(rank + 1))
    for lead in outs if rank > 2 else ():
        found.append(View("input axes first", _permuted((*range(lead, rank), *range(lead)))))
        mirrored = (*reversed(range(lead)), *reversed(range(lead, rank)))
        found.append(View("axes of each reversed", _permuted(mirrored)))
    if rank > 2:
        found.append(View("axes reversed", np.transpose))
    for lead in outs if rank > 1 else ():
        for order, suffix in (("F", ""), ("C", " by rows")):
            found.append(View(f"vec{suffix}", _stacked(lead, order), plain=order == "F" and lead > 0))
            if lead:
                found.append(View(f"vec{suffix} transposed", _stacked(lead, order, turned=True)))
    return found


def _permuted(axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda array: np.transpose(array, axes)


def _stacked(lead: int, order: str, turned: bool = False) -> Callable[[Array], Array]:
    """∂vec(Y)/∂vec(X)ᵀ; of the gradient of a scalar a vector."""

    def turn(array: Array) -> Array:
        rows, columns = array.shape[:lead], array.shape[lead:]
        if order == "F":
            array = np.transpose(array, (*reversed(range(lead)), *reversed(range(lead, array.ndim))))
        sizes = [int(np.prod(rows, dtype=int))] if lead else []
        made = array.reshape([*sizes, int(np.prod(columns, dtype=int))])
        return made.T if turned else made

    return turn


def summed(array: Array, axes: tuple[int, ...]) -> Array:
    """The sum along some axes; NaN and infinity pass through."""
    with np.errstate(all="ignore"):
        return np.asarray(array.sum(axis=axes))


def squeezed(array: Array) -> Array:
    """Without axes of size 1."""
    return array.reshape([n for n in array.shape if n != 1])
