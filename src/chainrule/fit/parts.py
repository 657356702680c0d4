"""One file, frame or set of arrays, whatever its format: what it knows of itself, and how it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from chainrule.errors import DataProblem
from chainrule.fit.cells import Array

# For each column or group that is wanted, whether as a number or as a text.
Wanted = Mapping[str, str]
Columns = dict[str, Array]


class Part(ABC):
    """One file, frame or set of arrays.

    where      what to call it in an error
    names      its columns, in order
    groups     matrices that can be taken whole, with the names of their columns (none beyond two axes)
    plain      the groups that hold numbers only
    constants  single numbers among the arrays
    rows       how many, None where only reading can tell
    """

    where: str
    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = {}
    plain: frozenset[str] = frozenset()
    constants: Mapping[str, float] = {}
    rows: int | None = None

    @abstractmethod
    def load(self, wanted: Wanted) -> Columns:
        """All rows of the columns and groups that are wanted, each as a number or a text."""

    @abstractmethod
    def batches(self, wanted: Wanted, rows: int) -> Iterator[Columns]:
        """The same in pieces, of about so many rows."""

    def problem(self, message: str, row: int | None = None, column: str = "", hint: str = "") -> DataProblem:
        """An error with its place in this part."""
        return DataProblem(message, file=self.where, row=row, column=column, hint=hint)
