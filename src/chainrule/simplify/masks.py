"""Conditions that meet in a product: one that follows from another, and two that exclude each other.

In: comparisons, and sums below a comparison. Out: whether they imply or exclude each other, and the sum as
far as it counts where the comparison holds. 1[x ≤ 0] (1[x > 0] + g) is 1[x ≤ 0] g.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.expr.nodes import Apply, Einsum, Expr, Sum
from chainrule.rules.elementwise import greater, greater_equal

ORDERS = (greater, greater_equal)


def is_order(expr: Expr) -> bool:
    """Whether it is a > b or a ≥ b."""
    return isinstance(expr, Apply) and expr.function in ORDERS


def implies(known: Expr, other: Expr) -> bool:
    """Whether `other` holds wherever `known` does: a > b and a ≥ b.

    >>> from chainrule.expr.nodes import Variable
    >>> x, y = Variable("x"), Variable("y")
    >>> implies(x > y, x >= y), implies(x >= y, x > y), excludes(x >= y, y > x)
    (True, False, True)
    """
    if known is other:
        return True
    assert isinstance(known, Apply) and isinstance(other, Apply)
    return known.function is greater and other.function is greater_equal and known.children == other.children


def excludes(known: Expr, other: Expr) -> bool:
    """Whether the two cannot both hold: a ≥ b and b > a."""
    assert isinstance(known, Apply) and isinstance(other, Apply)
    return greater in (known.function, other.function) and known.children == other.children[::-1]


def below(known: Expr, total: Sum) -> list[Expr] | None:
    """The terms of a sum of the same axes that count where `known` holds; None if all count as they are."""
    kept: list[Expr] = []
    changed = False
    for term in total.terms:
        rest = term
        for place, other in _conditions(term):
            if excludes(known, other):
                break
            if isinstance(term, Einsum) and implies(known, other):
                operands = [o for k, o in enumerate(term.operands) if k != place]
                labels = [a for k, a in enumerate(term.labels) if k != place]
                sizes = dict(enumerate(term.sizes))
                rest = Einsum(term.coefficient, operands, labels, term.output, sizes)
        else:
            kept.append(rest)
            changed = changed or rest is not term
            continue
        changed = True
    return kept if changed else None


def _conditions(term: Expr) -> Iterator[tuple[int, Expr]]:
    """The comparisons among the factors of a term that have the axes of the whole, and their places."""
    if is_order(term):
        yield 0, term
    elif isinstance(term, Einsum) and len(set(term.output)) == term.rank:
        for place, (operand, axes) in enumerate(zip(term.operands, term.labels, strict=True)):
            if is_order(operand) and axes == term.output:
                yield place, operand
