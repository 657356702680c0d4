"""Conditions are numbers 0 and 1; `&`, `|` and `~` join them."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr import nodes
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, as_expr, constant_of, elementwise
from chainrule.expr.walk import topological
from chainrule.rules import elementwise as rows
from chainrule.rules.constants import BASIS, MERGE, SELECT
from chainrule.rules.factors import lower_mask
from chainrule.rules.reductions import TRIANGLE
from chainrule.rules.table import Elementwise

_JOINED = (rows.maximum, rows.minimum, rows.where)


def is_condition(expr: Expr) -> bool:
    """Whether every entry is 0 or 1 by the way it is made: a comparison, or comparisons joined."""
    known: dict[Expr, bool] = {}
    for node in topological([expr]):
        known[node] = _holds(node, known)
    return known[expr]


def _holds(node: Expr, known: dict[Expr, bool]) -> bool:
    constant = constant_of(node)
    if constant is not None:
        return constant.is_zero or constant.is_one
    match node:
        case Variable():
            return "integer(2)" in node.structure
        case Apply():
            row = node.function
            if isinstance(row, Elementwise) and row.indicator:
                return True
            joined = row in _JOINED or row is rows.stop
            return row in (BASIS, SELECT, MERGE, TRIANGLE, lower_mask) or (
                joined and all(known[a] for a in node.arguments)
            )
        case Einsum():
            carried = {label for labels in node.labels for label in labels}
            summed = [a for a in carried - set(node.output) if node.sizes[a].constant != 1]
            return node.coefficient.is_one and not summed and all(known[o] for o in node.operands)
        case Sum():
            # 1 − c
            one = [t for t in node.terms if (c := constant_of(t)) is not None and c.is_one]
            rest = [nodes.negate(t) for t in node.terms if t not in one]
            return len(one) == len(rest) == 1 and _negated(node, known)
        case _:
            return False


def _negated(node: Sum, known: dict[Expr, bool]) -> bool:
    """Whether the other term of 1 − c is minus a condition."""
    for term in node.terms:
        if isinstance(term, Einsum) and term.operands:
            minus_one = not term.coefficient.powers and term.coefficient.rational == -1
            return minus_one and len(term.operands) == 1 and known[term.operands[0]]
    return False


def _need(value: Any, sign: str) -> Expr:
    expr = as_expr(value)
    if not is_condition(expr):
        raise ShapeMismatch(
            f"{sign} joins conditions", hint="write (x > 0) & (x < 1); a mask of zeros and ones is M == 1"
        )
    return expr


def logical_and(a: Any, b: Any) -> Expr:
    """1 where both conditions hold, else 0."""
    return nodes.multiply(_need(a, "and"), _need(b, "and"))


def logical_or(a: Any, b: Any) -> Expr:
    """1 where one of two conditions holds or both do, else 0."""
    return elementwise(rows.maximum, _need(a, "or"), _need(b, "or"))


def logical_not(a: Any) -> Expr:
    """1 where the condition does not hold, else 0."""
    return nodes.add(nodes.number(1), nodes.negate(_need(a, "not")))
