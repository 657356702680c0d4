"""Minibatches: which rows each step of sgd and adam uses, of rows in memory by their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# Some rows: their numbers, or the rows themselves by the names of variables.
Batch = NDArray[Any] | Mapping[str, NDArray[Any]]


class Minibatches(Protocol):
    """The rows of each step.

    all    whether every step uses all rows
    epoch  the number of steps that go through all rows once
    """

    @property
    def all(self) -> bool: ...

    @property
    def epoch(self) -> int: ...

    def of(self, step: int) -> Batch | None:
        """The rows of one step, the same whatever was asked for before; None for all rows."""
        ...

    def close(self) -> None:
        """Ends what reads rows for it."""
        ...


class Batches:
    """Which rows each step uses: every epoch goes once through all rows in an order of its own.

    The order is drawn from the seed and the number of the epoch alone, so a step needs no random state from
    the step before. The last batch of an epoch may be short. Without rows, or with a batch of all, there is
    one batch, None: all rows.
    """

    def __init__(self, rows: int | None, batch: int | None, seed: int) -> None:
        self.rows = rows or 0
        self.batch = batch or 0
        self.seed = seed
        self.all = not self.rows or not self.batch or self.batch >= self.rows
        self.epoch = 1 if self.all else -(-self.rows // self.batch)
        self._order: tuple[int, NDArray[Any]] | None = None

    def of(self, step: int) -> NDArray[Any] | None:
        """The rows of one step, in the order drawn.

        >>> batches = Batches(5, 2, seed=0)
        >>> [len(batches.of(step)) for step in range(batches.epoch)]
        [2, 2, 1]
        """
        if self.all:
            return None
        number, index = divmod(step, self.epoch)
        if self._order is None or self._order[0] != number:
            rng = np.random.default_rng([self.seed, number])
            self._order = number, rng.permutation(self.rows)
        return self._order[1][index * self.batch : (index + 1) * self.batch]

    def close(self) -> None:
        pass  # nothing reads for it
