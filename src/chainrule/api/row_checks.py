"""What a loss does with the rows of data that nobody can have meant, where shapes were not declared."""

from __future__ import annotations

from collections.abc import Collection

from chainrule.errors import ShapeMismatch
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import topological


def check_rows(
    loss: Expr, params: Collection[str], data: Collection[str], declared: Collection[str], row_size: str
) -> None:
    """Refuses a parameter with an entry for each row, and columns N×1 that are spread to N×N.

    `declared` are the variables whose shapes a person wrote: those are taken as they are.
    Raises: ShapeMismatch with the way out.
    """
    if not row_size:
        return
    nodes = topological([loss])
    known = [node for node in nodes if isinstance(node, Variable) and node.name not in declared]
    for node in known:
        if node.name in params and _axes_of_rows(node, row_size):
            single = [v.name for v in known if v.name in data and v.rank == 1 and v.name[0].isupper()]
            matrix = f"a matrix of one column is declared, {single[0]}[{row_size},n]; " if single else ""
            raise ShapeMismatch(
                f"{node.name} would have an entry for each row of the data",
                hint=f"{matrix}if each row has a {node.name} of its own, declare {node.name}[{row_size}]",
            )
    if not any(_axes_of_rows(node, row_size) > 1 for node in nodes):
        return
    for node in known:
        if node.name in data and node.rank == 2 and node.shape[1].constant == 1:
            raise ShapeMismatch(
                f"{node.name} is one column, {row_size}×1, and the loss makes {row_size}×{row_size} of it, "
                "each row with every other",
                hint=f"give {node.name} with one axis, {node.name}.ravel() or a column without brackets; "
                f"declare {node.name}[{row_size},1] if that is meant",
            )


def _axes_of_rows(node: Expr, row_size: str) -> int:
    return sum(dim.name == row_size for dim in node.shape)
