"""One file, frame or set of arrays, whatever its format: what it knows of itself, and how it is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

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
    axes       how many axes each group has
    plain      the groups that hold numbers only
    constants  single numbers among the arrays
    nameless   columns that have no name where others have one, and are called c0, c1, … by their places
    top        the cells of its first line, if that is read as data but might have been names
    doubt      a sentence on whether its first line has the names, "" where that is plain or was said
    first      its first row, of those that errors count; more than 0 in a part that was cut off another
    rows       how many, None where only reading can tell
    """

    where: str
    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = {}
    axes: Mapping[str, int] = {}
    plain: frozenset[str] = frozenset()
    constants: Mapping[str, float] = {}
    nameless: tuple[str, ...] = ()
    top: tuple[str, ...] = ()
    doubt: str = ""
    first: int = 0
    rows: int | None = None

    @abstractmethod
    def load(self, wanted: Wanted) -> Columns:
        """All rows of the columns and groups that are wanted, each as a number or a text."""

    @abstractmethod
    def batches(self, wanted: Wanted, rows: int) -> Iterator[Columns]:
        """The same in pieces, of about so many rows."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it is read from."""
        return (self.where,) if self.where else ()

    def cut(self, count: int) -> Sequence[Part]:
        """The same rows in at most so many parts, one after the other; itself if it cannot be cut."""
        return [self]

    def problem(self, message: str, row: int | None = None, column: str = "", hint: str = "") -> DataProblem:
        """An error with its place in this part."""
        return DataProblem(message, file=self.where, row=row, column=column, hint=hint)
