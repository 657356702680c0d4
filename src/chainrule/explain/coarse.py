"""Fewer steps behind the last layer: a loss is told in the steps that have a derivative of their own.

In: the steps of a program (a Flow), and the parts that must stay. Out: the steps without those sums, signs
and entrywise products in a loss that one sum or product reads: Σ Y ⊙ (Z − u𝟏ᵀ) is linear in Z as a whole.
"""

from __future__ import annotations

from collections.abc import Collection

from chainrule.derive.flow import Flow, Part
from chainrule.explain.reasons import core, is_contraction
from chainrule.expr.nodes import Einsum, Expr, Sum, Variable
from chainrule.expr.walk import substitute


def coarse(steps: Flow, kept: Collection[Variable], layers: Collection[Variable]) -> Flow:
    """The steps, those behind all of `layers` joined where they are linear; `kept` stay as they are."""
    before = _before(steps, layers)
    parts: list[Part] = []
    values: dict[Expr, Expr] = {}
    for part in steps.parts:
        value = substitute(part.value, values)
        users = steps.users(part.symbol)
        free = not part.given and part.symbol not in kept and part.symbol not in before
        if free and len(users) == 1 and steps.arguments(part) and _joins(value, part.symbol, users[0].value):
            values[part.symbol] = value
        else:
            parts.append(Part(part.symbol, value, part.whole, part.given))
    return Flow(steps.wrt, tuple(parts))


def _before(steps: Flow, layers: Collection[Variable]) -> set[Variable]:
    """The layers and all that they read."""
    found = set(layers)
    for part in reversed(steps.parts):
        if part.symbol in found:
            found.update(steps.arguments(part))
    return found


def _joins(value: Expr, symbol: Variable, reader: Expr) -> bool:
    """Whether a sum or an entrywise product stands, once, in a sum or product."""
    return isinstance(value, Sum | Einsum) and not is_contraction(core(value)) and places(symbol, reader) == 1


def places(symbol: Variable, value: Expr) -> int:
    """How often a symbol is a term or a factor of a value; never inside a function.

    >>> x, y = Variable("x"), Variable("y")
    >>> places(x, x * y + x), places(x, (x + y) ** 2)
    (2, 0)
    """
    if value is symbol:
        return 1
    parts = value.terms if isinstance(value, Sum) else value.operands if isinstance(value, Einsum) else ()
    return sum(places(symbol, part) for part in parts)
