"""The check: a derivative against an independent numeric one; and whether two formulas are equal.

In: the formula, its derivatives of order 1 to k, the variables they are by. Out: a Report. Order k is
compared with a numeric derivative of the verified order k − 1, every entry of it (random directions where
there are too many), and, from order 2 on, in one random direction with differences of the formula itself.
Whoever prints the derivative or runs it as code hands those forms in too, so that they are compared at the
same points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from chainrule.codegen.compiled import CompiledFunction
from chainrule.errors import DomainProblem
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Variable, constant_of
from chainrule.verify.differences import Direction, Moving, mixed, slope
from chainrule.verify.large import LARGE, contracted, entries
from chainrule.verify.probe import telling
from chainrule.verify.reference import Array, magnitude, run
from chainrule.verify.sample import ALIVE, Point, Sampler

Wrt = Variable | tuple[Variable, ...]  # a tuple of scalars is one axis over them
Memo = dict[Expr, Array]
TOLERANCE = 1e-8
LOOSE = 1e-5  # for real differences, which carry rounding
FLOOR = 1e-30  # slopes below this, of functions that are saturated, tell nothing
NOISE = 1e-13  # of the largest number met on the way: what rounding may leave of a zero
ORDINARY = 8  # points at which two formulas are compared; fewer are a glance
SHAKES = 3  # evaluations with other last digits
SHAKY = 1e3  # an error of so many times what other last digits change is explained by rounding
EXTRA = 8  # points beyond those asked for, while a derivative has been 0 at each
EXTREME = 1e120
DIRECTIONS = 4  # every so many points, the formula itself is moved along a direction
EFFORT = 30_000  # node evaluations that a check of three points may spend on entries of one order


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    worst       the largest relative error, of all comparisons
    method      how the numeric derivative was made
    compared    how many numbers were compared
    direction   the error in a random direction against differences of the formula itself, None if not made
    sizes       the named sizes at each point
    where       the place of the worst error
    """

    passed: bool
    order: int
    points: int
    method: str
    worst: float
    tolerance: float
    compared: int
    direction: float | None
    sizes: tuple[dict[str, int], ...]
    seed: int
    where: str

    def __str__(self) -> str:
        verdict = "checked" if self.passed else "FAILED the check"
        plural = "point" if self.points == 1 else "points"
        text = f"{verdict} at {self.points} random {plural} ({self.method})"
        text += f", largest relative error {self.worst:.1e}"
        return text if self.passed else f"{text} at {self.where} (seed {self.seed})"


# A step of 1e-100 in a value smaller than this is lost among the denormal numbers.
SMALLEST = 1e-180


@dataclass(slots=True)
class Tally:
    """The worst of many comparisons."""

    worst: float = 0.0
    excess: float = 0.0  # error over tolerance
    tolerance: float = TOLERANCE
    where: str = ""
    compared: int = 0
    direction: float | None = None
    methods: dict[str, None] = field(default_factory=dict)

    def add(
        self,
        got: Array,
        want: Array,
        noise: Callable[[], float],
        tolerance: float,
        place: str,
        report: bool = True,
    ) -> None:
        """Compares two arrays relative to the size of the larger one.

        `noise` is what rounding may leave of a zero, asked for only where it matters; `report` counts the
        error for the worst one.
        """
        self.compared += want.size
        if got.shape != want.shape:
            self.misshapen(got.shape, want.shape, place)
            return
        with np.errstate(all="ignore"):
            scale = max(_largest(want), _largest(got), SMALLEST)
            gaps = np.abs(got - want) / scale
            if not np.max(gaps, initial=0.0) <= tolerance:
                gaps = gaps * (scale / max(scale, noise() / tolerance))
        gaps = np.where(np.isfinite(gaps), gaps, np.inf)
        error = float(np.max(gaps, initial=0.0))
        if report or error > tolerance:
            self.worst = max(self.worst, error)
        if error / tolerance > self.excess or not self.where:
            self.excess, self.tolerance = error / tolerance, tolerance
            index = (
                tuple(int(i) for i in np.unravel_index(int(np.argmax(gaps)), gaps.shape)) if gaps.size else ()
            )
            self.where = f"{place}, entry {list(index)}" if index else place

    def join(self, other: Tally) -> None:
        """Notes what another tally found."""
        self.worst = max(self.worst, other.worst)
        self.compared += other.compared
        self.methods.update(other.methods)
        if other.direction is not None:
            self.direction = max(self.direction or 0.0, other.direction)
        if other.excess > self.excess or not self.where:
            self.excess, self.tolerance, self.where = other.excess, other.tolerance, other.where

    def misshapen(self, got: tuple[int, ...], want: tuple[int, ...], place: str) -> None:
        """Notes a derivative of a wrong shape."""
        self.worst = self.excess = float("inf")
        self.where = f"{place}, of shape {got} in place of {want}"


def check_derivative(
    formula: Expr,
    chain: Sequence[Expr],
    wrt: Wrt | list[Wrt],
    *,
    points: int = 3,
    seed: int = 0,
    variables: Sequence[Variable] = (),
    same: Sequence[Expr] = (),
    code: CompiledFunction | None = None,
) -> Report:
    """Whether chain[k−1] is the derivative of order k of `formula`, for each k.

    Shapes: chain[k−1] has the axes of the formula, then those of the variables of each order. `wrt` is one
    for all orders or a list, one for each order; a tuple of scalars is one axis over them. `same` are other
    forms of the last order (what is printed), `code` a compiled function for it. Raises: DomainProblem if
    no point was found to check at.

    >>> from chainrule.expr.dims import Dim
    >>> x = Variable("x", (Dim.of("n"),))
    >>> check_derivative((x * x).sum(), [2 * x], x).passed
    True
    >>> check_derivative((x * x).sum(), [2.002 * x], x).passed
    False
    """
    by: list[Wrt] = [wrt] * len(chain) if isinstance(wrt, Variable | tuple) else list(wrt)
    assert len(by) == len(chain), "one variable for each order"
    if max(map(entries, chain)) > LARGE:
        return _check_large(formula, chain, by, points, seed, variables, same)
    everything = [formula, *chain, *same]
    named = [v for w in by for v in (w if isinstance(w, tuple) else (w,))]
    sampler = Sampler(everything, [*variables, *named])
    rng = np.random.default_rng(seed)
    tally = Tally()
    alive = constant_of(chain[-1]) is not None
    drawn: list[Point] = []
    excused = 0
    # Where the derivative is 0 at every point (all units of a network dead), a wrong one would pass: a few
    # more are drawn.
    while len(drawn) < points or (not alive and len(drawn) < points + EXTRA):
        if len(drawn) >= points:
            sampler.manner = len(drawn) - points or ALIVE
        point = sampler.point(rng)
        memo: dict[Expr, Array] = {}
        run([*everything, *named], point.values, point.sizes, memo)
        alive = alive or _largest(memo[chain[-1]]) > SMALLEST
        own = Tally()
        _check_point(formula, chain, by, point, memo, own, rng, max(points, 3), len(drawn) % DIRECTIONS == 0)
        check_forms(chain[-1], same, code, point, memo, own)
        if own.excess > 1 and excused < points and _is_rounding(own.worst, chain[-1], point):
            excused += 1
            continue
        tally.join(own)
        drawn.append(point)
    report = reported(tally, len(chain), drawn, seed)
    if not report.passed and any(point.ties for point in drawn):
        # relu(inv(L)) of a lower triangular L is 0 above the diagonal at every point, and moves there when
        # an entry of L leaves its structure: differences across a kink judge nothing.
        raise DomainProblem("every point that was found lies where the formula is not differentiable")
    return report


def rounding_explains(error: float, evaluate: Callable[[np.random.Generator | None], Memo], of: Expr) -> bool:
    """Whether an error is no evidence: the last digits of parts explain it, or parts of it are extreme."""
    calm = evaluate(None)
    if any(map(_is_extreme, calm.values())):
        return True
    with np.errstate(all="ignore"):
        scale = max(_largest(calm[of]), SMALLEST)
        shaken = [evaluate(np.random.default_rng(seed))[of] for seed in range(SHAKES)]
        change = max(float(np.max(np.abs(other - calm[of]), initial=0.0)) for other in shaken) / scale
    return not error > SHAKY * change


def _is_extreme(value: Array) -> bool:
    """Whether squares of such numbers leave the range of floats."""
    with np.errstate(all="ignore"):
        size = np.abs(value)
        return not bool(np.all((size < EXTREME) & ((size == 0) | (size > 1 / EXTREME))))


def _is_rounding(error: float, derivative: Expr, point: Point) -> bool:
    def evaluate(shaken: np.random.Generator | None) -> Memo:
        memo: Memo = {}
        run([derivative], point.values, point.sizes, memo, shaken)
        return memo

    return rounding_explains(error, evaluate, derivative)


def _check_point(
    formula: Expr,
    chain: Sequence[Expr],
    by: Sequence[Wrt],
    point: Point,
    memo: dict[Expr, Array],
    tally: Tally,
    rng: np.random.Generator,
    points: int,
    directions: bool,
) -> None:
    reach = min(0.05, point.margin / 10)
    below = formula
    for order, (derivative, wrt) in enumerate(zip(chain, by, strict=True), 1):
        place = f"order {order}{sizes_text(point)}"
        moving = Moving(below, _variables(wrt), memo, point.sizes)
        inputs = (len(wrt),) if isinstance(wrt, tuple) else memo[wrt].shape
        if memo[derivative].shape != memo[below].shape + inputs:
            tally.misshapen(memo[derivative].shape, memo[below].shape + inputs, place)
            return
        count = int(np.prod(inputs, dtype=int))
        noise = partial(noise_of, derivative, memo, point)
        if count * (moving.effort + 1) * points <= EFFORT:
            columns = [slope(moving, _unit(wrt, inputs, k), reach) for k in range(count)]
            want = np.stack([c.value for c in columns], axis=-1).reshape(memo[below].shape + inputs)
            error, methods = max((c.error for c in columns), default=0.0), {c.method: None for c in columns}
            loud = [_unit(wrt, inputs, k) for k in range(min(count, 64))]
            judge(tally, memo[derivative], want, noise, error, place, methods, moving, loud)
        else:
            for _ in range(3):
                u = rng.standard_normal(inputs)
                one = slope(moving, _direction(wrt, u), reach)
                got = np.tensordot(memo[derivative], u, len(inputs)) if inputs else memo[derivative] * u
                methods = {f"{one.method} in random directions": None}
                loud = [_direction(wrt, u)]
                judge(tally, np.asarray(got), one.value, noise, one.error, place, methods, moving, loud)
        below = derivative
    if directions and len(chain) > 1:
        _check_direction(formula, chain[-1], by, point, memo, tally, rng)


def judge(
    tally: Tally,
    got: Array,
    want: Array,
    noise: Callable[[], float],
    error: float,
    place: str,
    methods: Mapping[str, None],
    moving: Moving,
    directions: Sequence[Direction],
) -> None:
    """Notes a derivative against a numeric one; `error` is what the numeric one leaves open."""
    tally.methods.update(methods)
    tolerance = TOLERANCE
    if error:
        # Real differences: what their own error estimate leaves open is no evidence, up to a tenth of what
        # must be caught.
        scale = max(_largest(want), _largest(got))
        tolerance = min(max(LOOSE, 10 * error / scale if scale else LOOSE), 1e-4)

    def rounding() -> float:
        # Large parts may cancel on the way to a small derivative, on either side.
        return FLOOR + noise() + NOISE * max((moving.rounding(u) for u in directions), default=0.0)

    tally.add(got, want, rounding, tolerance, place)


def _check_direction(
    formula: Expr,
    last: Expr,
    by: Sequence[Wrt],
    point: Point,
    memo: dict[Expr, Array],
    tally: Tally,
    rng: np.random.Generator,
) -> None:
    """The last order, contracted with one direction for each variable, against differences of the formula."""
    groups: dict[Wrt, int] = {}
    for wrt in by:
        groups[wrt] = groups.get(wrt, 0) + 1
    arrays: dict[Wrt, Array] = {}
    for wrt in groups:
        shape = (len(wrt),) if isinstance(wrt, tuple) else memo[wrt].shape
        u = rng.standard_normal(shape)
        arrays[wrt] = u / max(_largest(u), 1e-300)
    got = memo[last]
    bound = np.abs(got)
    for wrt in reversed(by):
        axes = arrays[wrt].ndim
        got = np.tensordot(got, arrays[wrt], axes) if axes else got * arrays[wrt]
        bound = np.tensordot(bound, np.abs(arrays[wrt]), axes) if axes else bound * np.abs(arrays[wrt])
    noise = partial(noise_of, last, memo, point)
    _compare_mixed(formula, np.asarray(got), _largest(bound), noise, groups, arrays, point, memo, tally)


def _compare_mixed(
    formula: Expr,
    got: Array,
    scale: float,
    noise: Callable[[], float],
    groups: Mapping[Wrt, int],
    arrays: Mapping[Wrt, Array],
    point: Point,
    memo: Mapping[Expr, Array],
    tally: Tally,
) -> None:
    """A derivative along directions against differences of the formula; its terms sum to `scale` at most."""
    moving = Moving(formula, [v for w in groups for v in _variables(w)], memo, point.sizes)
    found = mixed(moving, [(_direction(w, arrays[w]), count) for w, count in groups.items()])
    if found is None or found.error > 1e-4 * scale + NOISE:
        return  # a kink or a singularity is too near for circles: no evidence either way
    floor = LOOSE * scale + 10 * found.error
    place = f"order {sum(groups.values())} in a random direction{sizes_text(point)}"
    tally.add(got, found.value, lambda: noise() + floor, LOOSE, place, report=False)
    gap = _largest(got - found.value) / max(scale, SMALLEST)
    tally.direction = max(tally.direction or 0.0, gap)
    tally.methods["differences of the formula in one direction"] = None


def check_forms(
    last: Expr,
    same: Sequence[Expr],
    code: CompiledFunction | None,
    point: Point,
    memo: dict[Expr, Array],
    tally: Tally,
) -> None:
    """Notes the printed form and the compiled code against the derivative itself."""
    noise = partial(noise_of, last, memo, point)
    for form in same:
        tally.add(memo[form], memo[last], noise, TOLERANCE, f"the printed form{sizes_text(point)}")
    if code is not None:
        value = np.asarray(code(**point.values, **{k: n for k, n in point.sizes.items() if k in code.sizes}))
        tally.add(value, memo[last], noise, TOLERANCE, f"the compiled code{sizes_text(point)}")


def _check_large(
    formula: Expr,
    chain: Sequence[Expr],
    by: list[Wrt],
    points: int,
    seed: int,
    variables: Sequence[Variable],
    same: Sequence[Expr],
) -> Report:
    """The check on numbers: every order contracted with random tensors, moved along random directions."""
    tensors = [Variable("direction 0", formula.shape)] if formula.rank else []
    below = contracted(formula, tensors)
    start = below
    along: dict[Wrt, Variable] = {}
    pairs: list[tuple[Expr, Expr, Variable]] = []
    for k, (derivative, wrt) in enumerate(zip(chain, by, strict=True), 1):
        shape = (Dim.of(len(wrt)),) if isinstance(wrt, tuple) else wrt.shape
        tensors.append(along.setdefault(wrt, Variable(f"direction {k}", shape)))
        number = contracted(derivative, tensors)
        pairs.append((below, number, tensors[-1]))
        below = number
    forms = [contracted(form, tensors) for form in same]
    exprs = [*(e for below, number, _ in pairs for e in (below, number)), *forms]
    named = [v for w in by for v in _variables(w)]
    sampler = Sampler(exprs, [*variables, *named, *tensors])
    rng = np.random.default_rng(seed)
    tally = Tally()
    drawn: list[Point] = []
    for _ in range(points):
        point = sampler.point(rng)
        memo: dict[Expr, Array] = {}
        run([*exprs, *named, *tensors], point.values, point.sizes, memo)
        for order, ((low, number, tensor), wrt) in enumerate(zip(pairs, by, strict=True), 1):
            moving = Moving(low, _variables(wrt), memo, point.sizes)
            direction = _direction(wrt, memo[tensor])
            found = slope(moving, direction, min(0.05, point.margin / 10))
            place = f"order {order} in a random direction{sizes_text(point)}"
            noise = partial(noise_of, number, memo, point)
            methods = {f"{found.method} in random directions": None}
            judge(tally, memo[number], found.value, noise, found.error, place, methods, moving, [direction])
        if len(drawn) % DIRECTIONS == 0 and len(chain) > 1:
            groups = {wrt: by.count(wrt) for wrt in along}
            arrays = {wrt: memo[u] for wrt, u in along.items()}
            scale = magnitude(below, memo, point.sizes)
            noise = partial(noise_of, below, memo, point)
            _compare_mixed(start, memo[below], scale, noise, groups, arrays, point, memo, tally)
        check_forms(below, forms, None, point, memo, tally)
        drawn.append(point)
    return reported(tally, len(chain), drawn, seed)


def reported(tally: Tally, order: int, drawn: Sequence[Point], seed: int) -> Report:
    """What the comparisons of a tally add up to."""
    return Report(
        passed=tally.excess <= 1,
        order=order,
        points=len(drawn),
        method=" and ".join(tally.methods),
        worst=tally.worst,
        tolerance=tally.tolerance,
        compared=tally.compared,
        direction=tally.direction,
        sizes=tuple(p.sizes for p in drawn),
        seed=seed,
        where=tally.where,
    )


# ---------------------------------------------------------------- equality


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two formulas have the same value: at how many points they do, or a point where they differ."""

    equal: bool
    points: int
    worst: float
    reason: str = ""
    counterexample: Point | None = None
    values: tuple[Array, Array] | None = None


def equal(
    a: Expr, b: Expr, variables: Sequence[Variable] = (), *, points: int = 8, seed: int = 0
) -> Comparison:
    """Whether two expressions have equal values at random points where both can be evaluated.

    Where there are conditions, they are compared on both sides of each too; few `points` are a glance.
    Raises: DomainProblem if there is no such point.

    >>> from chainrule.expr.dims import Dim
    >>> x = Variable("x", (Dim.of("n"),))
    >>> equal((x + x).sum(), 2 * x.sum()).equal
    True
    """
    if a.shape != b.shape:
        return Comparison(False, 0, float("inf"), "the shapes differ")
    sampler = Sampler([a, b], variables)
    rng = np.random.default_rng(seed)
    worst = 0.0
    drawn: list[Point] = []
    for point in _points(sampler, rng, points, drawn):
        memo: dict[Expr, Array] = {}
        run([a, b], point.values, point.sizes, memo)
        tally = Tally()
        noise = partial(_noise_of_both, a, b, memo, point)
        tally.add(memo[a], memo[b], noise, TOLERANCE, "the value")
        worst = max(worst, tally.worst)
        if tally.excess > 1:
            return Comparison(False, len(drawn), tally.worst, "the values differ", point, (memo[a], memo[b]))
    return Comparison(True, len(drawn), worst)


def _points(sampler: Sampler, rng: np.random.Generator, count: int, drawn: list[Point]) -> Iterator[Point]:
    """Points one by one, kept in `drawn`: `count` ordinary ones, then those that tell conditions apart."""
    for point in sampler.points(rng, count):
        drawn.append(point)
        yield point
    for point in telling(sampler, rng, drawn) if count >= ORDINARY else ():
        drawn.append(point)
        yield point


# ---------------------------------------------------------------- helpers


def _variables(wrt: Wrt) -> tuple[Variable, ...]:
    return wrt if isinstance(wrt, tuple) else (wrt,)


def _direction(wrt: Wrt, u: Array) -> Direction:
    return {v: u[k] for k, v in enumerate(wrt)} if isinstance(wrt, tuple) else {wrt: u}


def _unit(wrt: Wrt, shape: tuple[int, ...], k: int) -> Direction:
    u = np.zeros(shape)
    u.flat[k] = 1.0
    return _direction(wrt, u)


def _largest(value: Any) -> float:
    return float(np.max(np.abs(value), initial=0.0))


def noise_of(expr: Expr, memo: Mapping[Expr, Array], point: Point) -> float:
    """What rounding may leave of a zero in the value of `expr`."""
    return NOISE * magnitude(expr, memo, point.sizes)


def _noise_of_both(a: Expr, b: Expr, memo: Mapping[Expr, Array], point: Point) -> float:
    return max(noise_of(a, memo, point), noise_of(b, memo, point))


def sizes_text(point: Point) -> str:
    """The named sizes of a point, as a message tells them."""
    return " with " + ", ".join(f"{k} = {v}" for k, v in point.sizes.items()) if point.sizes else ""
