"""Frames of pandas and polars, and whatever hands over an Arrow stream, by what they can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chainrule.codegen.compiled import library
from chainrule.errors import DataProblem, OptionError
from chainrule.fit.cells import NUMBER, numbers, texts
from chainrule.fit.columnar import ArrowTablePart
from chainrule.fit.parts import Columns, Part, Wanted


def frame_part(data: Any) -> Part | None:
    """The part that a frame or an Arrow table is, None if it is neither."""
    if hasattr(data, "collect") and hasattr(data, "collect_schema"):
        raise OptionError("this frame is lazy, its values are not there yet", hint="give frame.collect()")
    if hasattr(data, "to_numpy") and hasattr(data, "columns"):
        return FramePart(data)
    if hasattr(data, "__arrow_c_stream__"):
        return ArrowTablePart(library("pyarrow").table(data))
    if hasattr(data, "column_names") and hasattr(data, "num_rows"):
        return ArrowTablePart(data)
    return None


class FramePart(Part):
    """A frame with `columns`, of which each has `to_numpy`."""

    where = ""

    def __init__(self, frame: Any) -> None:
        self.frame = frame
        self.keys = {str(name): name for name in frame.columns}
        self.names = tuple(str(name) for name in frame.columns)
        self.rows = len(frame)

    def load(self, wanted: Wanted) -> Columns:
        found: Columns = {}
        for name, kind in wanted.items():

            def complain(message: str, row: int, hint: str, name: str = name) -> DataProblem:
                return self.problem(message, row, name, hint)

            values = self.frame[self.keys[name]].to_numpy()
            found[name] = numbers(values, name, complain) if kind == NUMBER else texts(values)
        return found

    def batches(self, wanted: Wanted, rows: int) -> Iterator[Columns]:
        whole = self.load(wanted)
        for start in range(0, self.rows or 0, rows):
            yield {name: array[start : start + rows] for name, array in whole.items()}
