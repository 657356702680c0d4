"""Indicators with what moves alone on the left: 1[x > −3] for 1[x + 3 > 0].

In: a condition as a tree, a number on its right. Out: the same with the numbers of the left side on the
right, and a single term without its sign and its factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from chainrule.expr.dims import Coefficient
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree


def solved(condition: Tree) -> Tree:
    """An indicator, or a condition alone, with its numbers on the right.

    >>> from chainrule.notation.text import to_text
    >>> x, zero, three = m.name("x"), *(m.number(Coefficient(Fraction(k))) for k in (0, 3))
    >>> to_text(solved(m.compare(">", m.signed_sum([(-1, x), (-1, three)]), zero)))
    '1[x < −3]'
    """
    left, right = condition.args
    bound = m.bound(right)
    if left.op != "sum" or bound is None:
        return condition
    terms = list(zip(left.data, left.args, strict=True))
    numbers = [sign * value for sign, term in terms if (value := m.bound(term)) is not None]
    rest = [(sign, term) for sign, term in terms if m.bound(term) is None]
    if not rest or not (numbers or len(rest) == 1):
        return condition
    sign, bound = condition.data[0], bound - sum(numbers, Fraction(0))
    factor, side = _apart(*rest[0]) if len(rest) == 1 else (_lead(rest), m.signed_sum(rest))
    if factor < 0:
        sign = m.TURNED_SIGNS[sign]
        side = side if len(rest) == 1 else m.negative(side)
    found = m.compare(sign, side, _number(bound / factor))
    return m.tree(condition.op, found.args, found.data)


def together(conditions: Sequence[Tree]) -> list[Tree] | None:
    """Conditions that hold together, without those that others imply; None where they cannot.

    >>> x, one, two = m.name("x"), *(m.number(Coefficient(Fraction(k))) for k in (1, 2))
    >>> above, far, below = (m.compare(sign, x, n) for sign, n in ((">", one), (">", two), ("<", one)))
    >>> together([above, far]) == [far], together([above, below])
    (True, None)
    """
    kept: list[Tree] = []
    for condition in conditions:
        rivals = [k for k in kept if k.args[0] is condition.args[0]]
        if any(_excludes(k, condition) for k in rivals):
            return None
        if not any(_implies(k, condition) for k in rivals):
            kept = [k for k in kept if k not in rivals or not _implies(condition, k)] + [condition]
    return kept


def _reach(condition: Tree) -> tuple[int, Fraction, bool] | None:
    """1 for x > a and −1 for x < a, the bound, and whether it is left out; None for any other condition."""
    value = m.bound(condition.args[1])
    if value is None or condition.data[0] not in "<≤>≥":
        return None
    return (1 if condition.data[0] in ">≥" else -1), value, condition.data[0] in "<>"


def _implies(condition: Tree, other: Tree) -> bool:
    """Whether x > 2 leaves nothing to x > 1."""
    own, its = _reach(condition), _reach(other)
    if own is None or its is None or own[0] != its[0]:
        return False
    return own[0] * (own[1] - its[1]) > 0 or (own[1] == its[1] and own[2] >= its[2])


def _excludes(condition: Tree, other: Tree) -> bool:
    """Whether x > 2 and x < 1."""
    own, its = _reach(condition), _reach(other)
    if own is None or its is None or own[0] == its[0]:
        return False
    return own[0] * (own[1] - its[1]) > 0 or (own[1] == its[1] and (own[2] or its[2]))


def _lead(terms: list[tuple[int, Tree]]) -> int:
    """−1 where every term is subtracted."""
    return -1 if all(sign < 0 for sign, _ in terms) else 1


def _apart(sign: int, term: Tree) -> tuple[Fraction, Tree]:
    """A term as a number and the rest."""
    if term.op == "scale" and (value := m.bound(term.args[0])) is not None:
        return sign * value, m.scale(*term.args[1:])
    return Fraction(sign), term


def _number(value: Fraction) -> Tree:
    above, below = Fraction(abs(value.numerator)), Fraction(value.denominator)
    body = m.over(m.number(Coefficient(above)), m.number(Coefficient(below)))
    return m.negative(body) if value < 0 else body
