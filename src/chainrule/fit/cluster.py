"""Rows that the workers of an existing Dask cluster sum, each its own pieces.

A piece goes to a worker once (rows in memory as they are, files by their names, which the workers must be
able to read); parameters go each time, and only totals and counts come back. Where a worker is lost its
pieces are placed again, and the sum has the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from chainrule.codegen.compiled import library
from chainrule.codegen.halves import Half
from chainrule.errors import ChainruleError, DataProblem, LimitExceeded, OptionError
from chainrule.fit.objective import Array
from chainrule.fit.pieces import Picks, Piece, PiecedRows, Summed, sum_piece

MOST_LOSSES = 3  # of workers in a row at one piece
CONNECT = 10.0  # seconds to wait for a scheduler


class ClusterRows(PiecedRows):
    """Pieces on the workers of the scheduler at an address, tcp://host:port."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        scheduler: str,
        count: int | None = None,
        picks: Picks | None = None,
    ) -> None:
        super().__init__(pieces, count, picks)
        distributed = library("distributed")
        try:
            self.client = distributed.Client(scheduler, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError) as problem:
            raise OptionError(
                f"there is no Dask scheduler at {scheduler}: {problem}",
                hint="start one with  dask scheduler , and give the address it prints, tcp://host:8786",
            ) from None
        self._cancelled = (distributed.client.FutureCancelledError, distributed.scheduler.KilledWorker)
        self._placed: dict[int, Any] = {}

    def parts(self, half: Half, values: Mapping[str, Array], sizes: Mapping[str, int]) -> list[Summed]:
        needed = {name: values[name] for name in half.source.arrays if name in values}
        found: dict[int, Summed] = {}
        for _ in range(MOST_LOSSES):
            open_ = [k for k in range(len(self.pieces)) if k not in found]
            if not open_:
                break
            asked = {k: self._asked(k, half, needed, sizes) for k in open_}
            for k, future in asked.items():
                try:
                    found[k] = future.result()
                except DataProblem as problem:
                    raise _elsewhere(problem) from None
                except ChainruleError:
                    raise
                except self._cancelled:
                    del self._placed[k]  # its worker is gone, and what it held
        missing = [k for k in range(len(self.pieces)) if k not in found]
        if missing:
            raise LimitExceeded(
                f"workers of the cluster were lost {MOST_LOSSES} times at the same rows",
                hint="they may lack memory: use more workers, or smaller files",
            )
        return [found[k] for k in range(len(self.pieces))]

    def _asked(self, k: int, half: Half, values: Mapping[str, Array], sizes: Mapping[str, int]) -> Any:
        if k not in self._placed:
            self._placed[k] = self.client.scatter(self.pieces[k], hash=False)
        return self.client.submit(sum_piece, self._placed[k], half, dict(values), dict(sizes), pure=False)

    def close(self) -> None:
        self._placed.clear()
        with suppress(TimeoutError, OSError):
            self.client.close()


def _elsewhere(problem: DataProblem) -> DataProblem:
    """What a worker says of a file, with a way out where it may lack the file, or has another."""
    if problem.line is None and problem.row is None:
        problem.hint = (
            "workers of a cluster read files by the same names as this process, and the same files: copies "
            "need their times of change too (cp -p, rsync -t); without stream the rows are sent to them"
        )
    return problem
