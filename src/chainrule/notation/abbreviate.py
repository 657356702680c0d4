"""An answer in which the names that a person gave to parts of it can stand.

In: an expression and what the names stand for. Out: an expression of the same value in which each part stands
out where it occurs; `names` then writes its name. A part that occurs nowhere is looked for in other words.
"""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.expr.nodes import Expr
from chainrule.notation.grouping import with_part
from chainrule.notation.names import name_parts
from chainrule.simplify import simplify


def introduced(expr: Expr, parts: Mapping[str, Expr]) -> Expr:
    """The expression with the parts standing out.

    >>> from chainrule.expr.nodes import Variable
    >>> b, s, t = (Variable(c) for c in "bst")
    >>> name_parts([introduced(simplify(2 * b + 2 * s - 2 * t), {"e": s + b - t})], {"e": s + b - t}).exprs
    (<2 -> e>,)
    """
    for name, part in parts.items():
        if name in dict(name_parts([expr], {name: part}).definitions):
            continue
        other = with_part(expr, simplify(part))
        expr = expr if other is None else other
    return expr
