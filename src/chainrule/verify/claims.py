"""The lines of a derivation as claims, compared with numbers that no rule of ours has made.

In: claims: that an expression is equal to another, or is the derivative of one by a variable; and what the
intermediate variables stand for. Out: a tally, and the claims that fail. In a derivative by an intermediate
variable every other name is held fixed, as in a direct partial derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from chainrule.errors import DomainProblem
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import depends_on, topological
from chainrule.steps import Claim
from chainrule.verify.compare import TOLERANCE, Tally, judge, noise_of, rounding_explains
from chainrule.verify.differences import Direction, Moving, slope
from chainrule.verify.reference import Array, run
from chainrule.verify.sample import Point, Sampler

POINTS = 20
FEWEST = 2
EFFORT = 20_000  # evaluations of small nodes that all points together may cost
OVERHEAD = 4  # what a comparison costs beside evaluations
COLUMNS = 24  # entries of a variable that are moved one by one; of more, random ones


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was compared, and what failed."""

    claims: int
    points: int
    worst: float
    method: str
    failed: tuple[str, ...] = field(default=())


def check_claims(
    claims: Sequence[Claim],
    definitions: Sequence[tuple[Variable, Expr]] = (),
    variables: Sequence[Variable] = (),
    *,
    points: int | None = None,
    seed: int = 0,
) -> Outcome:
    """Compares each claim at random points; `definitions` are the intermediate variables, written out.

    Raises: DomainProblem if there is no point at which everything can be evaluated.

    >>> x, u = Variable("x"), Variable("u")
    >>> right = Claim("power rule", 2 * x, x**2, x)
    >>> wrong = Claim("chain rule", 2.001 * u, u**2, u)
    >>> check_claims([right, wrong], [(u, x + 1)]).failed
    ('chain rule',)
    """
    symbols = {symbol for symbol, _ in definitions}
    along = {claim.along for claim in claims if claim.along is not None}
    claimed = [side for claim in claims for side in (claim.value, claim.of)]
    inputs = {n for n in topological(claimed) if isinstance(n, Variable) and n not in symbols}
    named = sorted({*variables, *inputs, *along}, key=lambda v: v.name)
    wholes = [whole for _, whole in definitions]
    # Kinks and domains of what is claimed hold the point away from them too.
    bound = depends_on(claimed, symbols)
    free = [c.value for c in claims if c.value not in bound]
    sampler = Sampler([*wholes, *free, *(c.of for c in claims if c.of not in bound)], named)
    rng = np.random.default_rng(seed)
    tallies = [Tally() for _ in claims]
    movings: dict[int, Moving] = {}
    drawn = 0
    wanted = points or POINTS
    while drawn < wanted:
        try:
            point = sampler.point(rng)
        except DomainProblem:
            if not drawn:
                raise
            break
        effort = _check_point(claims, definitions, named, point, tallies, movings, rng)
        drawn += 1
        if points is None:
            wanted = min(POINTS, max(FEWEST, int(EFFORT / max(effort, 1.0))))
    if any(not tally.where for tally in tallies):
        raise DomainProblem("no point was found at which the last digits or a kink do not decide some step")
    methods = dict.fromkeys(method for tally in tallies for method in tally.methods)
    return Outcome(
        len(claims),
        drawn,
        max((tally.worst for tally in tallies), default=0.0),
        " and ".join(methods) or "values",
        tuple(claim.name for claim, tally in zip(claims, tallies, strict=True) if tally.excess > 1),
    )


def _check_point(
    claims: Sequence[Claim],
    definitions: Sequence[tuple[Variable, Expr]],
    named: Sequence[Variable],
    point: Point,
    tallies: Sequence[Tally],
    movings: dict[int, Moving],
    rng: np.random.Generator,
) -> float:
    """One point; what it cost."""
    memo: dict[Expr, Array] = {}
    run([*named, *(whole for _, whole in definitions)], point.values, point.sizes, memo)
    values = dict(point.values)
    for symbol, whole in definitions:
        values[symbol.name] = memo[symbol] = memo[whole]
    effort = 0.0
    budget = EFFORT / FEWEST / max(len(claims), 1)
    for k, (claim, tally) in enumerate(zip(claims, tallies, strict=True)):
        inputs = [v for v in (claim.by, claim.along) if v is not None]
        run([claim.value, claim.of, *inputs], values, point.sizes, memo)
        own = Tally()
        noise = partial(noise_of, claim.value, memo, point)
        if claim.by is None:
            both = partial(_larger, noise, partial(noise_of, claim.of, memo, point))
            own.add(memo[claim.value], memo[claim.of], both, TOLERANCE, claim.name)
            effort += OVERHEAD
        else:
            if k not in movings:
                movings[k] = Moving(claim.of, [claim.by], memo, point.sizes)
            moving = movings[k].rebased(memo, point.sizes)
            effort += OVERHEAD + _check_derivative(claim, moving, memo, own, noise, rng, point.margin, budget)
        if own.excess <= 1 or not _is_rounding(own.worst, claim, definitions, values, point):
            tally.join(own)
    return effort


def _is_rounding(
    error: float,
    claim: Claim,
    definitions: Sequence[tuple[Variable, Expr]],
    values: dict[str, Array],
    point: Point,
) -> bool:
    """Whether the last digits explain the error, or the point lies on a kink, so that it is no evidence."""

    def evaluate(shaken: np.random.Generator | None) -> dict[Expr, Array]:
        memo: dict[Expr, Array] = {}
        run([whole for _, whole in definitions], values, point.sizes, memo, shaken)
        inner: dict[Expr, Array] = {symbol: memo[whole] for symbol, whole in definitions}
        run([claim.value], values, point.sizes, inner, shaken)
        return inner

    return point.ties or rounding_explains(error, evaluate, claim.value)


def _check_derivative(
    claim: Claim,
    moving: Moving,
    memo: dict[Expr, Array],
    tally: Tally,
    noise: partial[float],
    rng: np.random.Generator,
    margin: float,
    budget: float,
) -> float:
    assert claim.by is not None
    reach = min(0.05, margin / 10)
    got, shape = memo[claim.value], memo[claim.by].shape
    if claim.along is not None:
        directions: list[Direction] = [{claim.by: memo[claim.along]}]
        want = slope(moving, directions[0], reach)
        judge(tally, got, want.value, noise, want.error, claim.name, {want.method: None}, moving, directions)
        return moving.effort
    output = memo[claim.of].shape
    if got.shape != output + shape:
        tally.misshapen(got.shape, output + shape, claim.name)
        return 1.0
    count = int(np.prod(shape, dtype=int))
    flat = got.reshape((*output, count))
    if count * (moving.effort + 1) > budget:
        # One random direction moves every entry at once.
        u = rng.standard_normal(shape)
        directions, flat = [{claim.by: u}], (flat @ u.reshape(count))[..., None]
    else:
        chosen = (
            list(range(count))
            if count <= COLUMNS
            else sorted(rng.choice(count, COLUMNS, replace=False).tolist())
        )
        directions, flat = [_unit(claim.by, shape, k) for k in chosen], flat[..., chosen]
    slopes = [slope(moving, u, reach) for u in directions]
    columns = np.stack([s.value for s in slopes], axis=-1)
    error = max(s.error for s in slopes)
    methods = dict.fromkeys(s.method for s in slopes)
    judge(tally, flat, columns, noise, error, claim.name, methods, moving, directions)
    return len(directions) * (moving.effort + 1)


def _unit(by: Expr, shape: tuple[int, ...], k: int) -> Direction:
    """Entry k alone moves."""
    u = np.zeros(shape)
    u.flat[k] = 1.0
    return {by: u}


def _larger(*noises: partial[float]) -> float:
    return max(noise() for noise in noises)
