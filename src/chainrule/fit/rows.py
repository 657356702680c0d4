"""Where the rows of the data are: in memory, here; other places sum in the same way (pieces.py, workers.py).

A place adds up what a compiled half gives for its rows, wherever they are, in an order that is always the
same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from chainrule.codegen.halves import Half
from chainrule.errors import ArrayMismatch
from chainrule.fit.batches import Batches, Minibatches
from chainrule.fit.objective import Array


class Rows(Protocol):
    """Rows of data: the arrays of some variables, which have the same first axis."""

    @property
    def count(self) -> int | None:
        """How many there are; None before anybody counted."""
        ...

    def counted(self) -> int:
        """How many there are, even if that takes reading them."""
        ...

    def sums(
        self, half: Half, values: Mapping[str, Array], sizes: Mapping[str, int]
    ) -> tuple[dict[str, Array], int]:
        """The totals that `half` gives for all rows, beside other values, and the number of rows."""
        ...

    def batches(self, batch: int, seed: int) -> Minibatches | None:
        """Minibatches of so many rows; None if there are no rows. OptionError where none can be had."""
        ...

    def some(self, batch: Array) -> dict[str, Array]:
        """The rows of some numbers; raises OptionError where single rows cannot be had."""
        ...

    def whole(self, why: str) -> dict[str, Array]:
        """All rows as arrays; raises OptionError, with the reason why that is needed, where memory lacks."""
        ...

    def close(self) -> None:
        """Ends whatever runs elsewhere for them."""
        ...


class MemoryRows:
    """Arrays in memory.

    >>> import numpy as np
    >>> MemoryRows({"X": np.ones((4, 2)), "y": np.ones(4)}).count
    4
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = dict(arrays)
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
            raise ArrayMismatch(f"the arrays have different numbers of rows: {listed}")
        self.count = next(iter(counts.values()), 0)

    def counted(self) -> int:
        return self.count

    def sums(
        self, half: Half, values: Mapping[str, Array], sizes: Mapping[str, int]
    ) -> tuple[dict[str, Array], int]:
        return half({**values, **self.arrays}, sizes), self.count

    def batches(self, batch: int, seed: int) -> Minibatches | None:
        return Batches(self.count, batch, seed) if self.count else None

    def some(self, batch: Array) -> dict[str, Array]:
        return {name: array[batch] for name, array in self.arrays.items()}

    def whole(self, why: str) -> dict[str, Array]:
        return self.arrays

    def close(self) -> None:
        pass  # nothing runs elsewhere
