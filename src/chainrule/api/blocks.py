"""Second derivatives by several variables as one matrix of blocks.

In: the blocks, keyed by pairs of names. Out: the matrix written with the names of its blocks and its size; a
compiled function that returns the whole matrix, arrays stretched out row by row as NumPy's ravel does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chainrule.expr.dims import Dim
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Shape
from chainrule.notation.text import sizes_text

if TYPE_CHECKING:
    from chainrule.api.sheet import Sheet
    from chainrule.codegen.compiled import CompiledFunction

MOST_WRITTEN = 4  # variables whose blocks are written side by side


def entries(shape: Shape) -> Dim:
    """How many entries an array has."""
    total = Dim.of(1)
    for dim in shape:
        total = total * dim
    return total


def block_line(sheet: Sheet) -> list[str]:
    """The Hessian by all variables together as the matrix of its blocks; nothing for all else."""
    first = sheet.derivatives[0]
    names = list(dict.fromkeys(d.wrt[0].name for d in sheet.derivatives))
    several = 1 < len(names) <= MOST_WRITTEN and len(sheet.derivatives) == len(names) ** 2
    if first.order != 2 or sheet.formula.expr.rank or sheet.times is not None or not several:
        return []
    labels = [answer.label.partition("_")[0] for answer in sheet.answers]
    if any(answer.written.indices for answer in sheet.answers):
        labels = [sheet.label(d.wrt, ())[0] for d in sheet.derivatives]
    count = len(names)
    rows = [", ".join(labels[k : k + count]) for k in range(0, count * count, count)]
    size = Dim.of(0)
    for d in sheet.derivatives[::count]:
        size = size + entries(d.wrt[0].shape)
    together = ", ".join(map(pretty, names))
    return [f"∂²{sheet.letter}/∂({together})² = [{'; '.join(rows)}]    {sizes_text((size, size))}, symmetric"]


class JoinedFunction:
    """f(w=..., b=...): the blocks of a compiled function as one matrix.

    Rows and columns run through the variables in the order in which they were named, and through the entries
    of each row by row. `__source__` is the source of the blocks.
    """

    def __init__(self, blocks: CompiledFunction, names: Sequence[str], ranks: Mapping[str, int]) -> None:
        self._blocks, self._names, self._ranks = blocks, tuple(names), dict(ranks)
        self.__source__ = blocks.__source__

    def __call__(self, **given: Any) -> Any:
        import numpy as np

        blocks = self._blocks(**given)

        def flat(row: str, column: str) -> Any:
            block = np.asarray(blocks[row, column])
            height = int(np.prod(block.shape[: self._ranks[row]]))
            return block.reshape(height, -1)

        return np.block([[flat(row, column) for column in self._names] for row in self._names])
