"""The check of derivatives on structured sets: compared along curves of the set, not entry by entry.

In: the formula, its derivatives of order 1 to k along the sets, the variables they are by, the name of the
set of each. Out: a Report. Order k is compared with the slope of the verified order k − 1 along curves
through the point, a basis of them; on a curved set only the tangent part of that slope counts. From order 2
on, the last order is compared with differences of the formula itself along curves too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from math import factorial
from typing import Any

import numpy as np

from chainrule.codegen.compiled import CompiledFunction
from chainrule.expr.nodes import Expr, Variable
from chainrule.verify.compare import (
    DIRECTIONS,
    LOOSE,
    NOISE,
    Report,
    Tally,
    Wrt,
    check_forms,
    judge,
    noise_of,
    reported,
    sizes_text,
)
from chainrule.verify.curves import Curve, Path, curves, geodesic, straight, tangent_basis
from chainrule.verify.differences import COMPLEX, TINY, Moving, Slope, richardson
from chainrule.verify.reference import Array, run
from chainrule.verify.sample import Point, Sampler

CURVED = ("unit", "orthogonal", "orthonormal")
Sets = Mapping[Variable, str]
RADII = 8
NODES = 16  # on each circle


def check_structured(
    formula: Expr,
    chain: Sequence[Expr],
    by: Sequence[Wrt],
    sets: Sets,
    *,
    points: int = 3,
    seed: int = 0,
    variables: Sequence[Variable] = (),
    same: Sequence[Expr] = (),
    code: CompiledFunction | None = None,
) -> Report:
    """Whether chain[k−1] is the derivative of order k along the sets, for each k.

    Raises: DomainProblem if no point was found to check at.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import add, einsum, negate, permute
    >>> n = Dim.of("n")
    >>> S, G = Variable("S", (n, n), ("symmetric",)), Variable("G", (n, n))
    >>> f = einsum("ij,ij->", G, S)
    >>> pairs = add(G, permute(G, (1, 0)))
    >>> check_structured(f, [add(pairs, negate(einsum("ii->ii", G)))], [S], {S: "symmetric"}).passed
    True
    >>> check_structured(f, [pairs], [S], {S: "symmetric"}).passed
    False
    """
    everything = [formula, *chain, *same]
    named = [v for wrt in by for v in (wrt if isinstance(wrt, tuple) else (wrt,))]
    sampler = Sampler(everything, [*variables, *named])
    rng = np.random.default_rng(seed)
    tally = Tally()
    drawn: list[Point] = []
    for k in range(points):
        point = sampler.point(rng)
        memo: dict[Expr, Array] = {}
        run([*everything, *named], point.values, point.sizes, memo)
        _check_point(formula, chain, by, sets, point, memo, tally)
        if len(chain) > 1 and k % DIRECTIONS == 0:
            _check_formula(formula, chain[-1], by, sets, point, memo, tally, rng)
        check_forms(chain[-1], same, code, point, memo, tally)
        drawn.append(point)
    return reported(tally, len(chain), drawn, seed)


def _check_point(
    formula: Expr,
    chain: Sequence[Expr],
    by: Sequence[Wrt],
    sets: Sets,
    point: Point,
    memo: dict[Expr, Array],
    tally: Tally,
) -> None:
    below, reach = formula, min(0.05, point.margin / 10)
    for order, (derivative, wrt) in enumerate(zip(chain, by, strict=True), 1):
        place = f"order {order}{sizes_text(point)}"
        inner = (len(wrt),) if isinstance(wrt, tuple) else memo[wrt].shape
        if memo[derivative].shape != memo[below].shape + inner:
            tally.misshapen(memo[derivative].shape, memo[below].shape + inner, place)
            return
        moving = Moving(below, wrt if isinstance(wrt, tuple) else (wrt,), memo, point.sizes)
        found = [(c, slope_along(moving, wrt, c.path, reach)) for c in _curves(wrt, sets, memo)]
        got = [_contracted(memo[derivative], curve.weights) for curve, _ in found]
        tangent = partial(_tangent_part, wrt=wrt, sets=sets, memo=memo, lead=memo[formula].ndim)
        want = [tangent(slope.value, before=by[: order - 1]) for _, slope in found]
        noise = partial(noise_of, derivative, memo, point)
        methods = {f"{slope.method} along {_set_name(wrt, sets)}": None for _, slope in found}
        loud = [_direction(wrt, curve.weights) for curve, _ in found[:64]]
        error = max(slope.error for _, slope in found)
        judge(tally, np.stack(got), np.stack(want), noise, error, place, methods, moving, loud)
        below = derivative


def _set_name(wrt: Wrt, sets: Sets) -> str:
    words = {
        "unit": "the sphere",
        "simplex": "the simplex",
        "orthonormal": "matrices of orthonormal columns",
        "lower": "lower triangular matrices",
        "upper": "upper triangular matrices",
    }
    name = "" if isinstance(wrt, tuple) else sets.get(wrt, "")
    return "each entry" if not name else words.get(name, f"{name} matrices")


def _curves(wrt: Wrt, sets: Sets, memo: Mapping[Expr, Array]) -> list[Curve]:
    """Curves for every entry of what is moved; without a structure, straight lines."""
    if not isinstance(wrt, tuple) and wrt in sets:
        return curves(sets[wrt], memo[wrt])
    base = np.array([memo[v] for v in wrt]) if isinstance(wrt, tuple) else memo[wrt]
    found = []
    for k in range(base.size):
        u = np.zeros(base.shape)
        u.flat[k] = 1.0
        found.append(Curve(u, straight(base, u)))
    return found


def _direction(wrt: Wrt, u: Array) -> dict[Expr, Array]:
    return {v: u[k] for k, v in enumerate(wrt)} if isinstance(wrt, tuple) else {wrt: u}


def slope_along(moving: Moving, wrt: Wrt, path: Path, reach: float) -> Slope:
    """The slope along a curve: by the complex step where every row is analytic, else by differences."""

    def value(t: complex) -> Array:
        return moving.at(_direction(wrt, path(t)))

    if moving.analytic:
        slope = value(TINY * 1j).imag / TINY
        if np.isfinite(slope).all():
            return Slope(np.asarray(slope), 0.0, COMPLEX)
    return richardson(value, reach)


def _contracted(value: Array, weights: Array) -> Array:
    return np.asarray(np.tensordot(value, weights, weights.ndim) if weights.ndim else value * weights)


def _tangent_part(
    value: Array, *, lead: int, before: Sequence[Wrt], wrt: Wrt, sets: Sets, memo: Mapping[Expr, Array]
) -> Array:
    """The part of a slope that lies in the tangent space, over the axes of the same variable."""
    if isinstance(wrt, tuple) or sets.get(wrt) not in CURVED:
        return value
    basis = tangent_basis(sets[wrt], memo[wrt])
    for other in before:
        count = 1 if isinstance(other, tuple) else memo[other].ndim
        if other is wrt:
            axes = tuple(range(lead, lead + count))
            parts = np.tensordot(value, basis, (axes, tuple(range(1, count + 1))))
            back = np.tensordot(parts, basis, 1)
            value = np.moveaxis(back, tuple(range(back.ndim - count, back.ndim)), axes)
        lead += count
    return value


def _check_formula(
    formula: Expr,
    last: Expr,
    by: Sequence[Wrt],
    sets: Sets,
    point: Point,
    memo: dict[Expr, Array],
    tally: Tally,
    rng: np.random.Generator,
) -> None:
    """The last order along one curve for each variable, against differences of the formula on the curves."""
    counts: dict[Wrt, int] = {}
    for wrt in by:
        counts[wrt] = counts.get(wrt, 0) + 1
    weights: dict[Wrt, Array] = {}
    paths: list[tuple[Wrt, Path, int]] = []
    for wrt, count in counts.items():
        own = _curves(wrt, sets, memo)
        mixture = sum(c.weights * rng.standard_normal() for c in own if _moves(c))
        v = np.asarray(mixture) / max(float(np.max(np.abs(mixture))), 1e-300)
        weights[wrt] = v
        if not isinstance(wrt, tuple) and wrt in sets:
            paths.append((wrt, geodesic(sets[wrt], memo[wrt], v), count))
        else:
            base = np.array([memo[u] for u in wrt]) if isinstance(wrt, tuple) else memo[wrt]
            paths.append((wrt, straight(base, v), count))
    moving = Moving(
        formula,
        [v for wrt in counts for v in (wrt if isinstance(wrt, tuple) else (wrt,))],
        memo,
        point.sizes,
    )
    found = _mixed(moving, paths)
    got, bound = memo[last], np.abs(memo[last])
    for wrt in reversed(by):
        got = _contracted(got, weights[wrt])
        bound = _contracted(bound, np.abs(weights[wrt]))
    scale = float(np.max(bound, initial=0.0))
    if found is None or found.error > 1e-4 * scale + NOISE:
        return  # a kink or a singularity is too near for circles: no evidence either way
    floor = LOOSE * scale + 10 * found.error
    place = f"order {len(by)} along a curve{sizes_text(point)}"
    noise = partial(noise_of, last, memo, point)
    tally.add(got, found.value, lambda: noise() + floor, LOOSE, place, report=False)
    tally.methods["differences of the formula along one curve"] = None


def _moves(curve: Curve) -> bool:
    return bool(np.any(curve.path(0.5) != curve.path(0.0)))


def _mixed(moving: Moving, paths: Sequence[tuple[Wrt, Path, int]]) -> Slope | None:
    """The derivative of the orders given along each curve, by Cauchy's integral over shrinking circles."""
    order = sum(count for _, _, count in paths)
    nodes = max(NODES, 2 * order + 4) if len(paths) < 3 else 2 * order + 4
    if not moving.analytic or nodes ** len(paths) > 600:
        return None
    times = 1
    for _, _, count in paths:
        times *= factorial(count)
    roots = np.exp(2j * np.pi * (np.arange(nodes) + 0.5) / nodes)
    radius, best, previous = 0.5, None, None
    for _ in range(RADII):
        total: Any = 0.0
        largest = 0.0
        for angles in product(range(nodes), repeat=len(paths)):
            values: dict[Expr, Array] = {}
            weight: complex = 1.0
            for (wrt, path, count), k in zip(paths, angles, strict=True):
                values.update(_direction(wrt, path(radius * roots[k])))
                weight *= (radius * roots[k]) ** -count
            value = moving.at(values)
            largest = max(largest, float(np.max(np.abs(value), initial=0.0)))
            total = total + (value * weight).real
        found = np.asarray(total) * times / nodes ** len(paths)
        rounding = 4e-16 * largest * times / radius**order
        if previous is not None and np.isfinite(found).all() and np.isfinite(previous).all():
            error = max(float(np.max(np.abs(found - previous), initial=0.0)), rounding)
            if best is None or error < best.error:
                best = Slope(found, error, "Cauchy integral")
        previous = found
        radius /= 2
    return best
