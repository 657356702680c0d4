"""What a part of a formula is worth: an expression with its orientation, or what waits for its function."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Expr, number
from chainrule.language.subscripts import Range


@dataclass(frozen=True, slots=True)
class Value:
    """An expression with its orientation; or a list, a text, a slice that waits for the function around it.

    constant  its value, if it is a number or made of sizes
    absent    None in a subscript
    """

    expr: Expr
    row: bool = False
    constant: Coefficient | None = None
    items: tuple[Value, ...] | None = None
    text: str | None = None
    item: Range | None = None
    absent: bool = False

    @property
    def rank(self) -> int:
        """The number of axes."""
        return self.expr.rank

    @property
    def kind(self) -> str:
        """What it is in a product of notation."""
        return {0: "scalar", 1: "row" if self.row else "column", 2: "matrix"}.get(self.rank, "tensor")


NOTHING = number(0)


def as_dim(value: Coefficient | None) -> Dim | None:
    """The coefficient as an integer polynomial in sizes, if it is one."""
    if value is None or value.rational.denominator != 1 or any(e < 0 for _, e in value.powers):
        return None
    factors = [dim for dim, exponent in value.powers for _ in range(exponent)]
    return reduce(lambda a, b: a * b, factors, Dim.of(int(value.rational)))
