"""Results in arrays that are there: f(..., out=array).

In: what is given for `out`, the shapes of the results, the arrays that are read. Out: the arrays, checked
before anything is computed, and whether the code may write into them directly, without a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from chainrule.codegen.compiled import executed
from chainrule.codegen.source import Source
from chainrule.errors import ArrayMismatch
from chainrule.expr.nodes import Shape


class Kept:
    """What a function needs for `out`.

    shapes   of its results, by name; one without a name is the only one
    single   whether `out` is an array, not a dict of them
    source   of the function that takes `out` behind its other arguments, or what writes it; None if there
             is none
    """

    def __init__(
        self, shapes: Mapping[Any, Shape], single: bool, source: Source | Callable[[], Source] | None = None
    ) -> None:
        self.shapes, self.single, self._source = dict(shapes), single, source
        self._function: Callable[..., Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, (self.shapes, self.single, self.source if self._source is not None else None)

    @property
    def source(self) -> Source:
        """The source of the function that writes into arrays, written when it is first needed."""
        assert self._source is not None
        if not isinstance(self._source, Source):
            self._source = self._source()
        return self._source

    @property
    def function(self) -> Callable[..., Any]:
        """The function that it defines."""
        if self._function is None:
            self._function = executed(self.source.text, self.source.function)
        return self._function

    def places(self, out: Any, shapes: Iterable[Sequence[int]], dtype: Any) -> dict[Any, Any]:
        """The arrays by the names of the results; raises ArrayMismatch where one cannot hold its result.

        `shapes` are those of the results, in order, for the arrays that are read.
        """
        if self.single:
            given = dict.fromkeys(self.shapes, out)
        elif not isinstance(out, dict) or out.keys() != self.shapes.keys():
            names = ", ".join(map(str, self.shapes))
            raise ArrayMismatch(f"out must be a dict of arrays for {names}")
        else:
            given = {name: out[name] for name in self.shapes}
        for place, shape in zip(given.values(), shapes, strict=True):
            _check(place, tuple(shape), dtype)
        for one, other in combinations(given, 2):
            if np.shares_memory(given[one], given[other]):
                raise ArrayMismatch(
                    f"the arrays for {one} and {other} in out share memory, which can hold one result only"
                )
        return given

    def sizes(self, known: Mapping[str, int]) -> list[tuple[int, ...]]:
        """The shapes as numbers."""
        return [tuple(dim.evaluate(known) for dim in shape) for shape in self.shapes.values()]

    def is_direct(self, places: Iterable[Any], read: Sequence[Any], dtype: Any) -> bool:
        """Whether they are of the precision of the results, without gaps, and apart from what is read."""
        return self._source is not None and all(
            place.dtype is dtype
            and place.flags.forc
            and not any(np.may_share_memory(place, array) for array in read)
            for place in places
        )


def _check(out: Any, shape: Sequence[int], dtype: Any) -> None:
    """Raises ArrayMismatch if a result of that shape and precision cannot be written into `out`."""
    if not isinstance(out, np.ndarray) or out.shape != shape:
        raise ArrayMismatch(
            f"out must be an array of shape {shape}",
            hint=f"the one given has shape {np.shape(out)}" if isinstance(out, np.ndarray) else "",
        )
    if not out.flags.writeable:
        raise ArrayMismatch("out is read-only")
    if out.dtype is not dtype and not np.can_cast(dtype, out.dtype, "same_kind"):
        raise ArrayMismatch(f"out of {out.dtype} cannot hold a result of {dtype}")
