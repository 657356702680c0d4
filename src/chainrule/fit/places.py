"""Where the rows of a fit are: in memory or streamed from files, summed here, by processes or by a cluster.

In: arrays or chunks, and what the person asked for. Out: Rows, and in words where they are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import OptionError
from chainrule.fit.checkpoint import digest
from chainrule.fit.cluster import ClusterRows
from chainrule.fit.objective import Array
from chainrule.fit.pieces import MemoryPiece, PiecedRows, Shared, cut
from chainrule.fit.rows import MemoryRows, Rows
from chainrule.fit.shuffled import Shuffled
from chainrule.fit.stream import Chunks
from chainrule.fit.table import open_table
from chainrule.fit.workers import WorkerRows

SHARE = 4  # what is larger than memory divided by this is streamed
PIECE = 100 << 20  # bytes that a task of a cluster sums, until there are too many tasks
FEWEST, MOST = 8, 256  # tasks, if there are rows for them; each costs some milliseconds of the scheduler


@dataclass(frozen=True)
class Place:
    """What the person asked for.

    workers    how many processes sum the rows; None for this one
    scheduler  the address of a Dask scheduler whose workers do
    stream     whether files are read chunk by chunk in every pass; None if they are too large for memory
    """

    workers: int | None = None
    scheduler: str | None = None
    stream: bool | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.scheduler is not None:
            raise OptionError(
                "the rows are summed by processes here or by a cluster, and both are asked for",
                hint="leave out workers: the cluster has its own",
            )
        number = self.workers
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise OptionError(f"workers is {number!r}", hint="it is a number of processes, at least 1")

    @property
    def elsewhere(self) -> bool:
        """Whether other processes sum the rows."""
        return self.workers is not None or self.scheduler is not None

    def streams(self, data: Any, header: bool | None = None) -> bool:
        """Whether these data are to be streamed."""
        if self.stream is not None:
            return self.stream
        return file_bytes(data, header) > memory() // SHARE

    def named(self, data: Any) -> Any:
        """The data, files by names that other machines understand too, where these read them."""
        return data if self.scheduler is None else _absolute(data)

    def of_memory(self, arrays: Mapping[str, Array]) -> Rows:
        """Rows of arrays that are here. Raises: ArrayMismatch where their numbers differ."""
        here = MemoryRows(arrays)
        if not here.count or not self.elsewhere:
            return here
        if self.scheduler is None:
            assert self.workers is not None
            return SharedRows(arrays, self.workers)
        count = _tasks(sum(array.nbytes for array in arrays.values()))
        pieces = [MemoryPiece({n: a[i:j] for n, a in arrays.items()}) for i, j in cut(here.count, count)]
        return ClusterRows(pieces, self.scheduler, here.count, here)

    def of_chunks(self, chunks: Chunks) -> PiecedRows:
        """Rows that are read in every pass."""
        picks = Shuffled(chunks)
        if self.scheduler is not None:
            count = _tasks(sum(size for size, _ in chunks.stamps.values()))
            return ClusterRows(chunks.cut(count), self.scheduler, chunks.rows, picks)
        if self.workers is not None:
            return WorkerRows(chunks.cut(self.workers), self.workers, chunks.rows, picks)
        return PiecedRows([chunks], chunks.rows, picks)

    def said(self, rows: Rows, streamed: bool) -> tuple[str, ...]:
        """Notes on where the rows are, for a report."""
        notes = []
        if streamed:
            notes.append("the files are read chunk by chunk in every pass, not kept in memory")
        if isinstance(rows, WorkerRows):
            found = len(rows.workers)
            few = "" if found == self.workers else ", as the rows cannot be cut into more pieces"
            notes.append(f"the rows are summed by {found} {'process' if found == 1 else 'processes'}{few}")
        if isinstance(rows, ClusterRows):
            notes.append(
                f"the rows are summed by the cluster at {self.scheduler}, in {len(rows.pieces)} tasks"
            )
        return tuple(notes)


class SharedRows(WorkerRows):
    """Arrays in memory, which are written to files once for the processes that sum them."""

    def __init__(self, arrays: Mapping[str, Array], workers: int) -> None:
        self._shared = Shared(arrays, workers)
        here = MemoryRows(arrays)
        super().__init__(self._shared.pieces, workers, here.count, here)

    def close(self) -> None:
        super().close()
        self._shared.close()


def _absolute(data: Any) -> Any:
    """Names of files from the root on; a list of words in a mapping may be a column, and stays."""
    if isinstance(data, str | os.PathLike):
        return os.path.abspath(data)
    if isinstance(data, Mapping) and any(isinstance(value, str | os.PathLike) for value in data.values()):
        return {name: _absolute(value) for name, value in data.items()}
    if isinstance(data, list | tuple) and all(isinstance(value, str | os.PathLike) for value in data):
        return [_absolute(value) for value in data]
    return data


def file_bytes(data: Any, header: bool | None = None) -> int:
    """The size of the files that data are in; 0 for what is in memory."""
    named: Sequence[Any] = ()
    if isinstance(data, str | Path):
        named = [data]
    elif isinstance(data, Mapping):
        named = list(data.values())
    elif isinstance(data, list | tuple):
        named = data
    if not any(isinstance(name, str | Path) for name in named):
        return 0
    files = {path for part in open_table(data, header).parts for path in part.files}
    return sum(os.path.getsize(path) for path in files)


def memory() -> int:
    """The bytes of memory of this machine; 8 GiB where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30


def example(chunks: Chunks) -> dict[str, Array]:
    """A copy of the first chunk, which shows the shapes of rows."""
    for chunk in chunks:
        return {name: array.copy() for name, array in chunk.items()}
    raise OptionError("there are no rows of data")


def means(chunks: Chunks, names: Sequence[str]) -> dict[str, float]:
    """The means of some variables over all rows: one pass, and none where no name is given."""
    totals, entries = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    for chunk in chunks if names else ():
        for name in names:
            totals[name] += float(np.sum(chunk[name]))
            entries[name] += chunk[name].size
    return {name: totals[name] / entries[name] for name in names if entries[name]}


def stamped(chunks: Chunks) -> str:
    """What tells the rows of a stream from others: sizes and times of the files, and what is made of them."""
    files = [f"{path} {size} {time}" for path, (size, time) in sorted(chunks.stamps.items())]
    columns = [f"{laid.name} = {', '.join(laid.labels)}" for laid in chunks.plan.laid]
    scaled = digest({name: np.stack([s.mean, s.deviation]) for name, s in chunks.scaling.items()})
    return "; ".join([*files, *columns, scaled, chunks.missing, str(chunks.held_out or "none held out")])


def _tasks(size: int) -> int:
    return min(max(FEWEST, -(-size // PIECE)), MOST)
