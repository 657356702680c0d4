"""The eigenvalues of a matrix at random points: what a claim that it is semidefinite is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.expr.nodes import Expr, Variable
from chainrule.verify.reference import Array, magnitude, run
from chainrule.verify.sample import Point, Sampler

ROUNDING = 1e-9  # of the largest eigenvalue
NOISE = 1e-12  # of the largest number met on the way


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The smallest and largest eigenvalue at a point, and how far the matrix is from being symmetric.

    floor  what rounding may leave of a zero
    """

    low: float
    high: float
    skew: float
    floor: float
    point: Point

    @property
    def size(self) -> float:
        """The largest absolute value."""
        return max(abs(self.low), abs(self.high))

    @property
    def is_nonnegative(self) -> bool:
        """Whether no eigenvalue is below 0, up to rounding."""
        allowed = ROUNDING * self.size + self.floor
        return self.low >= -allowed and self.skew <= allowed


def spectra(
    matrix: Expr, count: int, variables: Sequence[Variable] = (), *, points: int = 8, seed: int = 0
) -> list[Spectrum]:
    """Eigenvalues at random points; the first `count` axes of the matrix are its rows, the others columns.

    Raises: DomainProblem if no point was found.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import einsum
    >>> A = Variable("A", (Dim.of("m"), Dim.of("n")))
    >>> all(s.is_nonnegative for s in spectra(einsum("mi,mj->ij", A, A), 1))
    True
    """
    sampler = Sampler([matrix], variables)
    rng = np.random.default_rng(seed)
    found: list[Spectrum] = []
    for point in sampler.points(rng, points):
        memo: dict[Expr, Array] = {}
        run([matrix], point.values, point.sizes, memo)
        rows = int(np.prod(memo[matrix].shape[:count], dtype=int))
        square = memo[matrix].reshape(rows, rows)
        values = np.linalg.eigvalsh((square + square.T) / 2)
        skew = float(np.abs(square - square.T).max())
        floor = NOISE * magnitude(matrix, memo, point.sizes)
        found.append(Spectrum(float(values[0]), float(values[-1]), skew, floor, point))
    return found


def chord_excess(
    formula: Expr,
    moving: Sequence[Variable],
    variables: Sequence[Variable] = (),
    *,
    points: int = 12,
    seed: int = 0,
) -> float:
    """How far a formula of no axes rises above a chord in the middle, relative to its values; ≤ 0 if convex.

    Chords join random points that differ in the moving variables; those that leave the domain are left out.
    Raises: DomainProblem if no point was found.

    >>> from chainrule.expr.dims import Dim
    >>> x = Variable("x", (Dim.of("n"),))
    >>> chord_excess((x * x).sum(), [x]) <= 0, chord_excess(-1 * (x * x).sum(), [x]) > 0.1
    (True, True)
    """
    sampler = Sampler([formula], [*variables, *moving])
    rng = np.random.default_rng(seed)
    worst = -float("inf")
    for _ in range(points):
        point = sampler.point(rng)
        ends = [point.values, dict(point.values), dict(point.values)]
        for v in moving:
            start = point.values[v.name]
            step = rng.standard_normal(start.shape) * rng.choice([0.1, 1.0, 3.0])
            there = start * np.exp(step) if "positive" in v.structure else start + step
            ends[1][v.name], ends[2][v.name] = there, (start + there) / 2
        values: list[float] = []
        for each in ends:
            memo: dict[Expr, Array] = {}
            run([formula], each, point.sizes, memo)
            values.append(float(memo[formula]))
        if np.isfinite(values).all():
            scale = max(map(abs, values)) or 1.0
            worst = max(worst, (values[2] - (values[0] + values[1]) / 2) / scale)
    return worst
