"""An answer in which the names that a person gave to parts of it can stand.

In: an expression and what the names stand for. Out: an expression of the same value in which each part stands
out where it occurs; `names` then writes its name. A part that occurs nowhere is looked for in other words:
under masks, where relu(z) is z, and in place of a variable that is a term of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chainrule.expr.nodes import Expr
from chainrule.notation.grouping import with_part
from chainrule.notation.masks import Masked, under_masks
from chainrule.notation.names import name_parts
from chainrule.simplify import simplify


@dataclass(frozen=True, slots=True)
class Introduced:
    """An expression with parts standing out, and the functions under masks that were rewritten for that."""

    expr: Expr
    masked: tuple[Masked, ...] = ()


def introduced(expr: Expr, parts: Mapping[str, Expr]) -> Introduced:
    """The expression with the parts standing out.

    >>> from chainrule.expr.nodes import Variable
    >>> b, s, t = (Variable(c) for c in "bst")
    >>> found = introduced(simplify(2 * b + 2 * s - 2 * t), {"e": s + b - t})
    >>> name_parts([found.expr], {"e": s + b - t}).exprs
    (<2 -> e>,)
    """
    masked: tuple[Masked, ...] = ()
    for name, part in parts.items():
        if _stands(name, part, expr):
            continue
        branched, used = under_masks(expr)
        if used and _stands(name, part, branched):
            expr, masked = branched, (*masked, *used)
            continue
        other = with_part(expr, simplify(part))
        expr = expr if other is None else other
    return Introduced(expr, masked)


def _stands(name: str, part: Expr, expr: Expr) -> bool:
    """Whether the part occurs, so that its name is written."""
    return name in dict(name_parts([expr], {name: part}).definitions)
