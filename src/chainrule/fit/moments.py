"""Means and deviations of columns in one pass, the same whatever is done before or after them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from chainrule.fit.cells import Array

BLOCK = 4096  # rows whose moments are taken at once, so that they stay in the cache


@dataclass(slots=True)
class Moments:
    """Count, mean, sum of squared deviations and range of some columns, of the rows seen so far.

    Rows are added block by block, in the order in which they come; two blocks are joined by the formulas of
    Chan, Golub and LeVeque (1979), which lose no digits where a mean is large beside its deviation.

    >>> moments = Moments(1)
    >>> moments.add(np.array([[1.0], [2.0], [6.0]]))
    >>> moments.mean, moments.deviation
    (array([3.]), array([2.1602469]))
    """

    width: int
    count: int = 0
    mean: Array = field(init=False)
    squares: Array = field(init=False)
    low: Array = field(init=False)
    high: Array = field(init=False)

    def __post_init__(self) -> None:
        self.mean, self.squares = np.zeros(self.width), np.zeros(self.width)
        self.low, self.high = np.full(self.width, np.inf), np.full(self.width, -np.inf)

    def add(self, rows: Array) -> None:
        """Take in more rows, count × width."""
        for start in range(0, len(rows), BLOCK):
            self._add(rows[start : start + BLOCK])

    def _add(self, rows: Array) -> None:
        count = len(rows)
        mean = rows.mean(axis=0)
        apart = mean - self.mean
        total = self.count + count
        self.squares += ((rows - mean) ** 2).sum(axis=0) + apart**2 * (self.count * count / total)
        self.mean += apart * (count / total)
        self.low, self.high = np.minimum(self.low, rows.min(axis=0)), np.maximum(self.high, rows.max(axis=0))
        self.count = total

    @property
    def deviation(self) -> Array:
        """The standard deviation of the population, √(Σ(x − x̄)²/N)."""
        deviation: Array = np.sqrt(self.squares / self.count)
        return deviation

    @property
    def constant(self) -> Array:
        """Which columns have one value only."""
        constant: Array = self.low == self.high
        return constant


@dataclass(frozen=True, slots=True)
class Scaling:
    """(x − mean)/deviation in each column; columns that are left alone have mean 0 and deviation 1.

    >>> scaling = Scaling(np.array([3.0]), np.array([2.0]))
    >>> scaling.undo(np.array([[1.5]]))
    array([[6.]])
    """

    mean: Array
    deviation: Array

    def apply(self, array: Array) -> None:
        """Scale rows in place; a vector is one column."""
        rows = array.reshape(len(array), -1)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            block -= self.mean
            block /= self.deviation

    def undo(self, array: Array) -> Array:
        """The values before scaling."""
        rows: Array = array.reshape(len(array), -1) * self.deviation + self.mean
        return rows.reshape(array.shape)
