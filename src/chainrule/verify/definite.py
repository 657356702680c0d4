"""The eigenvalues of a matrix at random points: what a claim that it is semidefinite is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.errors import DomainProblem
from chainrule.expr.nodes import Expr, Variable
from chainrule.verify.reference import Array, run
from chainrule.verify.sample import Point, Sampler

ROUNDING = 1e-9  # of the largest eigenvalue


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The smallest and largest eigenvalue at a point, and how far the matrix is from being symmetric."""

    low: float
    high: float
    skew: float
    point: Point

    @property
    def size(self) -> float:
        """The largest absolute value."""
        return max(abs(self.low), abs(self.high))

    @property
    def is_nonnegative(self) -> bool:
        """Whether no eigenvalue is below 0, up to rounding."""
        return self.low >= -ROUNDING * self.size and self.skew <= ROUNDING * self.size


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
    for k in range(points):
        try:
            point = sampler.point(rng)
        except DomainProblem:
            if not k:
                raise
            break
        memo: dict[Expr, Array] = {}
        run([matrix], point.values, point.sizes, memo)
        rows = int(np.prod(memo[matrix].shape[:count], dtype=int))
        square = memo[matrix].reshape(rows, rows)
        values = np.linalg.eigvalsh((square + square.T) / 2)
        skew = float(np.abs(square - square.T).max())
        found.append(Spectrum(float(values[0]), float(values[-1]), skew, point))
    return found
