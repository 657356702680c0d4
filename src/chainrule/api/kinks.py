"""Where a formula is not differentiable, and what is taken there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chainrule.expr.nodes import Apply, Expr, constant_of, number
from chainrule.expr.walk import depends_on, topological
from chainrule.rules.table import Elementwise, Row


@dataclass(frozen=True)
class Kink:
    """The set where a part of the formula is not differentiable, and the value taken there."""

    where: str
    takes: str

    def __str__(self) -> str:
        return f"not differentiable where {self.where}; {self.takes}"


def kinks(formula: Expr, wrt: Iterable[Expr], write: Callable[[Expr], str]) -> list[Kink]:
    """The kinks of a canonical formula that the variables can move it across; `write` writes a part."""
    targets = list(wrt)
    active = depends_on([formula], targets)
    found: dict[Kink, None] = {}
    for node in topological([formula]):
        if not isinstance(node, Apply) or not isinstance(node.function, Row) or not node.function.at_kink:
            continue
        if any(argument in active for argument in node.arguments):
            found[Kink(_where(node, node.function, write), node.function.takes)] = None
    return list(found)


def _where(node: Apply, row: Row, write: Callable[[Expr], str]) -> str:
    constants = [constant_of(a) for a in node.arguments]
    texts = [write(a if c is None else number(c)) for a, c in zip(node.arguments, constants, strict=True)]
    place = re.sub(r"#(\d)", lambda m: texts[int(m[1]) - 1], row.at_kink)
    return f"{place} in some entry" if isinstance(row, Elementwise) and node.rank else place
