"""Minibatches of rows that are read from files: pieces in an order that is drawn, and rows within them too.

An epoch is one pass over the files. They are cut into pieces of about a buffer, which are read in an order
drawn from the seed and the number of the epoch; the rows of a buffer are mixed and cut into batches, the last
of which may be short. So memory stays that of two buffers, and rows are mixed within pieces, not among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from chainrule.fit.cells import Array
from chainrule.fit.parts import Part
from chainrule.fit.stream import Chunks


class Shuffled:
    """Where minibatches of a stream are from."""

    def __init__(self, chunks: Chunks) -> None:
        self.chunks = chunks

    def batches(self, batch: int, seed: int) -> StreamBatches:
        """Batches of so many rows."""
        return StreamBatches(self.chunks, batch, seed)


class StreamBatches:
    """The rows of each step, read in passes; steps that come one after the other are read once.

    Another step than the next one is found by reading its epoch from the beginning.
    """

    all = False

    def __init__(self, chunks: Chunks, batch: int, seed: int) -> None:
        self.batch, self.seed = batch, seed
        self.parts = [
            (number, piece) for number, part in chunks.parts for piece in part.cut(_pieces(part, chunks))
        ]
        self.chunks = chunks
        self._next = -1
        self._rows: Iterator[dict[str, Array]] | None = None

    @cached_property
    def epoch(self) -> int:
        """How many batches there are: by the numbers of rows if these are known, else by reading."""
        known = self.chunks.of_parts(self.parts)
        capacity, sizes = known.capacity, list[int]()
        if known.rows is None:
            sizes = [len(next(iter(chunk.values()))) for chunk in known]
        else:
            for _, part in self.parts:
                whole, rest = divmod(part.rows or 0, capacity)
                sizes += [capacity] * whole + [rest]
        return sum(-(-size // self.batch) for size in sizes)

    def of(self, step: int) -> dict[str, Array]:
        """The rows of one step, a copy."""
        number, index = divmod(step, self.epoch)
        if self._rows is None or step != self._next:
            self.close()
            self._rows = self._pass(number, index)
        found = next(self._rows)
        self._next = step + 1
        if self._next % self.epoch == 0:
            self.close()
        return found

    def _pass(self, number: int, skipped: int) -> Iterator[dict[str, Array]]:
        """The batches of an epoch behind the first few."""
        rng = np.random.default_rng([self.seed, number])
        order = rng.permutation(len(self.parts))
        for chunk in self.chunks.of_parts([self.parts[k] for k in order]):
            mixed = rng.permutation(len(next(iter(chunk.values()))))
            for start in range(0, len(mixed), self.batch):
                if skipped:
                    skipped -= 1
                    continue
                taken = mixed[start : start + self.batch]
                yield {name: array[taken] for name, array in chunk.items()}

    def close(self) -> None:
        """Ends the pass that is under way, and the thread that reads for it."""
        if self._rows is not None:
            self._rows.close()  # type: ignore[attr-defined]
            self._rows = None


def _pieces(part: Part, chunks: Chunks) -> int:
    """Into how many pieces of about a buffer a part is cut."""
    if part.rows is not None:
        return max(1, -(-part.rows // chunks.capacity))
    return max(1, sum(os.path.getsize(path) for path in part.files) // chunks.chunk)
