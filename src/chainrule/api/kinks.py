"""Where a formula is not differentiable, and what is taken there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chainrule.expr.nodes import Apply, Einsum, Expr, constant_of, number
from chainrule.expr.walk import depends_on, topological
from chainrule.rules.elementwise import abs_, log, power, relu
from chainrule.rules.table import Elementwise, Row
from chainrule.rules.tensorial import norm


@dataclass(frozen=True)
class Kink:
    """The set where a part of the formula is not differentiable, and the value taken there."""

    where: str
    takes: str

    def __str__(self) -> str:
        return f"not differentiable where {self.where}; {self.takes}"


def kinks(formula: Expr, wrt: Iterable[Expr], write: Callable[[Expr], str], order: int = 1) -> list[Kink]:
    """The kinks of a canonical formula that the variables can move it across; `write` writes a part.

    |x|³ has none at order 1 and 2, and ln|x| has none where it has a value.
    """
    targets = list(wrt)
    active = depends_on([formula], targets)
    nodes = topological([formula])
    users: dict[Expr, list[Expr]] = {node: [] for node in nodes}
    for node in nodes:
        for child in dict.fromkeys(node.children):
            users[child].append(node)
    found: dict[Kink, None] = {}
    for node in nodes:
        if not isinstance(node, Apply) or not isinstance(node.function, Row) or not node.function.at_kink:
            continue
        if node is not formula and all(_is_smooth(node, user, order) for user in users[node]):
            continue
        if any(argument in active for argument in node.arguments):
            found[Kink(_where(node, node.function, write), node.function.takes)] = None
    return list(found)


def _is_smooth(node: Apply, user: Expr, order: int) -> bool:
    """Whether the node's kink at 0 does not show in the expression that uses it, up to this order."""
    if node.function not in (abs_, norm, relu):
        return False
    if isinstance(user, Apply) and user.function is log:
        return node.function is not relu
    if isinstance(user, Apply) and user.function is power and user.arguments[0] is node:
        exponent = constant_of(user.arguments[1])
        if exponent is None or exponent.powers:
            return False
        if exponent.rational < 0:
            return node.function is not relu
        return exponent.rational > order
    # x|x| and x·relu(x) are as smooth as squares.
    if order == 1 and isinstance(user, Einsum) and node.function is not norm:
        factors = list(zip(user.operands, user.labels, strict=True))
        own = [labels for operand, labels in factors if operand is node]
        return all((node.arguments[0], labels) in factors for labels in own)
    return False


def _where(node: Apply, row: Row, write: Callable[[Expr], str]) -> str:
    constants = [constant_of(a) for a in node.arguments]
    texts = [write(a if c is None else number(c)) for a, c in zip(node.arguments, constants, strict=True)]
    place = re.sub(r"#(\d)", lambda m: texts[int(m[1]) - 1], row.at_kink)
    return f"{place} in some entry" if isinstance(row, Elementwise) and node.rank else place
