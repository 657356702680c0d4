"""Data that do not fit into memory, as chunks of rows: one buffer is read into while the other is used.

In: files, as for `design`. Out: Chunks, which can be gone through again and again. A thread reads the files
in their order; the buffers are made once and kept; nothing is memory-mapped, so that all memory is theirs.
"""

from __future__ import annotations

import copy
import itertools
import os
import queue
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, DataProblem, OptionError
from chainrule.expr.nodes import Variable
from chainrule.fit.arrays import ArrayPart, Stored
from chainrule.fit.cells import TEXT, Array
from chainrule.fit.design import FEWEST, scaling_of, too_few
from chainrule.fit.feeds import ArrayFeed, BatchFeed, Buffer, Feed, Finish, changed
from chainrule.fit.gaps import Gaps
from chainrule.fit.let import Let, default_let, parse_let
from chainrule.fit.moments import Moments, Scaling
from chainrule.fit.parts import Part
from chainrule.fit.plan import Plan, make_plan, sorted_levels
from chainrule.fit.table import open_table

CHUNK = 8 << 20  # bytes of one buffer
DRAWN = 4096  # rows for which it is drawn at once whether they are held out


@dataclass(slots=True)
class _Kept:
    """Two buffers, and room for what must be rearranged."""

    buffers: tuple[Buffer, Buffer]
    scratch: dict[str, Array]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A share of the rows, drawn row by row with a seed, and whether these are wanted or the others."""

    share: float
    seed: int
    wanted: bool = False

    def chosen(self, part: int, start: int, count: int) -> Array:
        """Of `count` rows of a part from `start` on, which are wanted, however they are cut into chunks."""
        first, last = start // DRAWN, (start + count - 1) // DRAWN
        drawn = [np.random.default_rng([self.seed, part, k]).random(DRAWN) for k in range(first, last + 1)]
        inside = np.concatenate(drawn)[start - first * DRAWN :][:count] < self.share
        return inside if self.wanted else ~inside


class Chunks:
    """Rows of all variables in chunks: `for chunk in chunks` gives a dict of arrays by variable.

    The arrays are parts of a buffer that is filled anew when the next chunk is asked for: what is kept longer
    must be copied. A loop may be left early. Chunks can be pickled, and `cut` for several processes.

    Raises: DataProblem while they are gone through, with the name of the file and the place, if it has one.
    """

    def __init__(
        self,
        parts: Sequence[tuple[int, Part]],
        plan: Plan,
        scaling: Mapping[str, Scaling],
        missing: str,
        chunk: int,
        held_out: HeldOut | None = None,
    ) -> None:
        self.parts, self.plan, self.scaling, self.missing = tuple(parts), plan, dict(scaling), missing
        self.chunk, self.held_out = chunk, held_out
        self.gaps = Gaps(missing)
        self.stamps = {path: _stamp(path) for _, part in self.parts for path in part.files}
        self.checked = False
        self._counted: int | None = None
        self._kept: list[_Kept] = []

    @property
    def rows(self) -> int | None:
        """How many rows there are; None if only a pass over all of them can tell, and there was none."""
        counts = [part.rows for _, part in self.parts]
        if self._counted is not None or self.held_out or self.missing != "error" or None in counts:
            return self._counted
        return sum(count for count in counts if count is not None)

    @property
    def capacity(self) -> int:
        """The most rows in a chunk."""
        width = sum(
            int(np.prod(laid.inner(self._inner(laid.name)), dtype=np.int64)) for laid in self.plan.laid
        )
        return max(1, self.chunk // (8 * max(width, 1)))

    def __iter__(self) -> Iterator[dict[str, Array]]:
        kept = self._kept.pop() if self._kept else self._make()
        free: queue.SimpleQueue[Buffer] = queue.SimpleQueue()
        full: queue.SimpleQueue[tuple[Buffer, int] | Exception | None] = queue.SimpleQueue()
        stop = threading.Event()
        for buffer in kept.buffers:
            free.put(buffer)
        thread = threading.Thread(
            target=self._read, args=(kept, free, full, stop), name="chainrule reads", daemon=True
        )
        thread.start()
        count = 0
        try:
            while (item := full.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                buffer, rows = item
                count += rows
                yield buffer.rows(rows)
                free.put(buffer)
            if not count and self.held_out is None:
                raise DataProblem("there are no rows of data", file=self.parts[0][1].where)
            self._counted, self.checked = count, True
        finally:
            stop.set()
            free.put(kept.buffers[0])  # wakes the thread, if it waits for a buffer
            thread.join()
            self._kept.append(kept)

    def cut(self, count: int) -> tuple[Chunks, ...]:
        """The same rows in at most so many, one after the other, for several processes.

        Arrays are cut anywhere, Parquet files between their row groups, text at line ends unless it has
        quotation marks or is compressed, and other files not at all.
        """
        pieces: list[tuple[int, Part]] = []
        for number, part in self.parts:
            pieces += [(number, piece) for piece in part.cut(-(-count // len(self.parts)))]
        bounds = np.linspace(0, len(pieces), min(count, len(pieces)) + 1).round().astype(int)
        return tuple(self.of_parts(pieces[low:high]) for low, high in itertools.pairwise(bounds))

    def of_parts(self, parts: Sequence[tuple[int, Part]]) -> Chunks:
        """Chunks of parts that are cut off these, in the same buffers, if they are in this process."""
        found = copy.copy(self)
        found.parts, found.gaps, found._counted = tuple(parts), Gaps(self.missing), None
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": []}

    def _inner(self, name: str) -> tuple[int, ...]:
        """The shape of one row of an array with more than two axes."""
        laid = next(v for v in self.plan.laid if v.name == name)
        part = self.parts[0][1]
        if laid.rank < 3 or not isinstance(part, ArrayPart):
            return ()
        return part.arrays[laid.pieces[0].source].shape[1:]

    def _make(self) -> _Kept:
        inner = {laid.name: self._inner(laid.name) for laid in self.plan.laid}
        one, other = (Buffer.of(self.plan, self.capacity, inner) for _ in range(2))
        return _Kept((one, other), {})

    def _read(self, kept: _Kept, free: Any, full: Any, stop: threading.Event) -> None:
        """What the thread does: fill the buffers that are free, and hand over what goes wrong."""
        try:
            gaps = Gaps(self.missing)
            for number, part in self.parts:
                self._unchanged(part)
                feed = self._feed(number, part, gaps, kept.scratch)
                try:
                    while True:
                        buffer = free.get()
                        if stop.is_set():
                            return
                        rows = feed.fill(buffer, self.capacity)
                        if rows:
                            full.put((buffer, rows))
                        else:
                            free.put(buffer)
                        if rows is None:
                            break
                finally:
                    feed.close()
                self._unchanged(part)
            self.gaps = gaps
            full.put(None)
        except ChainruleError as problem:
            full.put(problem)
        except OSError as problem:
            full.put(DataProblem(f"the file cannot be read: {problem.strerror or problem}", file=part.where))
        except Exception as problem:  # a mistake of chainrule; raised where the rows are asked for
            full.put(problem)

    def _feed(self, number: int, part: Part, gaps: Gaps, scratch: dict[str, Array]) -> Feed:
        held_out = self.held_out
        finish = Finish(
            self.plan,
            self.scaling,
            gaps,
            self.checked,
            None if held_out is None else lambda start, count: held_out.chosen(number, start, count),
            scratch,
        )
        if isinstance(part, ArrayPart) and all(isinstance(a, Stored) for a in part.arrays.values()):
            return ArrayFeed(part, finish)
        return BatchFeed(part, finish, self.capacity)

    def _unchanged(self, part: Part) -> None:
        for path in part.files:
            if _stamp(path) != self.stamps[path]:
                raise changed(path)


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of the last change of a file."""
    try:
        found = os.stat(path)
    except OSError as problem:
        raise DataProblem(f"the file cannot be read: {problem.strerror}", file=path) from None
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Streamed:
    """The chunks of all variables, and where they come from; the fields are those of `Design`.

    chunks      the rows to fit to
    validation  those that are held out, None without a split
    constants   the variables that are numbers
    """

    chunks: Chunks
    constants: dict[str, float]
    labels: dict[str, tuple[str, ...]]
    validation: Chunks | None = None
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    scaling: dict[str, Scaling] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def stream(
    data: Any,
    let: str | Let | None,
    variables: Mapping[str, Variable | None],
    *,
    one_hot: Collection[str] = (),
    standardise: Collection[str] = (),
    missing: str = "error",
    validation: float = 0.0,
    seed: int = 0,
    header: bool | None = None,
    chunk: int = CHUNK,
) -> Streamed:
    """The data as chunks of about `chunk` bytes; the other arguments are those of `design`.

    What is one-hot, standardised or an integer takes a pass over the data first. Each row is held out with
    the probability `validation`, so that their number is not exact.

    Raises: DataProblem, ShapeMismatch, UnknownName, OptionError.
    """
    if not 0 <= validation < 1:
        raise OptionError(f"the share that is held out is between 0 and 1, not {validation}")
    table = open_table(data, header)
    text = (
        default_let(table, list(variables))
        if let is None
        else parse_let(let)
        if isinstance(let, str)
        else let
    )
    plan = make_plan(table, text, variables, one_hot, standardise)
    held_out = HeldOut(validation, seed) if validation else None
    numbered = tuple(enumerate(table.parts))
    plan = plan.with_levels(_levels(plan, numbered, held_out))
    chunks = Chunks(numbered, plan, {}, missing, chunk, held_out)
    scaling: dict[str, Scaling] = {}
    sizes: dict[str, int] = {}
    for laid in plan.laid:
        bound = laid.variable.bound
        if bound is not None and bound.name is not None and any(p.text for p in laid.pieces):
            sizes[bound.name] = max(len(p.levels) for p in laid.pieces)
    moments = _moments(plan, chunks)
    for laid in plan.laid:
        if laid.scaled:
            scaling[laid.name] = scaling_of(laid, moments[laid.name], table)
        elif laid.name in moments and laid.variable.bound is not None:
            name = laid.variable.bound.name or ""
            sizes[name] = max(int(moments[laid.name].high.max()) + 1, sizes.get(name, 0))
    if chunks.rows is not None and chunks.rows < FEWEST:
        raise too_few(table, chunks.rows, chunks.gaps.dropped, 0)
    scaled = Chunks(numbered, plan, scaling, missing, chunk, held_out)
    scaled.checked, scaled._counted, scaled.stamps = chunks.checked, chunks._counted, chunks.stamps
    other = HeldOut(validation, seed, wanted=True)
    return Streamed(
        chunks=scaled,
        constants=dict(plan.constants),
        labels={laid.name: laid.labels for laid in plan.laid},
        validation=Chunks(numbered, plan, scaling, missing, chunk, other) if validation else None,
        levels={p.source: p.levels for laid in plan.laid for p in laid.pieces if p.text},
        scaling=scaling,
        sizes=sizes,
        notes=plan.notes,
    )


def _levels(
    plan: Plan, parts: Sequence[tuple[int, Part]], held_out: HeldOut | None
) -> dict[str, tuple[str, ...]]:
    """The texts of each column of texts, of the rows to fit to."""
    found: dict[str, set[str]] = {name: set() for name in plan.texts}
    if not found:
        return {}
    for number, part in parts:
        start = 0
        for batch in part.batches(dict.fromkeys(found, TEXT), 1 << 16):
            count = len(next(iter(batch.values())))
            chosen = held_out.chosen(number, start, count) if held_out and count else slice(None)
            for name, texts in batch.items():
                found[name].update(text for text in texts[chosen] if text is not None)
            start += count
    return {name: sorted_levels(texts) for name, texts in found.items()}


def _moments(plan: Plan, chunks: Chunks) -> dict[str, Moments]:
    """Moments of the variables that are scaled, or whose largest number must be known."""
    wanted = [v for v in plan.laid if v.scaled or (v.variable.bound is not None and v.variable.bound.name)]
    found: dict[str, Moments] = {}
    if not wanted:
        return {}
    for chunk in chunks:
        for laid in wanted:
            rows = chunk[laid.name].reshape(len(chunk[laid.name]), -1)
            found.setdefault(laid.name, Moments(rows.shape[1])).add(rows)
    return found
