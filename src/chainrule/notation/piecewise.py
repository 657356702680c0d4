"""Answers by cases: 1[w·x + b > 0] xᵀ is 𝟎ᵀ where w·x + b ≤ 0, and xᵀ where it is > 0.

In: an expression. Out: its value under each condition, where scalar conditions decide about it: indicators,
relu, |·|, max and min of scalars are resolved inside each branch. What stands at the border itself goes with
the side that has the same value there.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass

from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Apply, Expr, Sum, constant_of, negate, number, zeros
from chainrule.expr.walk import substitute, topological, variables
from chainrule.notation import matform as m
from chainrule.notation.latex import to_latex
from chainrule.notation.matform import Tree
from chainrule.notation.recover import Reader
from chainrule.notation.solved import solved, together
from chainrule.notation.text import to_text
from chainrule.rules.elementwise import (
    abs_,
    equal,
    greater,
    greater_equal,
    maximum,
    minimum,
    not_equal,
    relu,
    sign,
)
from chainrule.simplify import Normaliser, simplify
from chainrule.simplify.normal import split
from chainrule.simplify.powers import primitive

MOST_CASES = 5
MOST_SWITCHES = 2
LARGEST = 300  # nodes; beyond that no case is short
WIDEST = 100
BELOW, AT, ABOVE = -1, 0, 1
# Comparisons as functions of the side: below, at, above.
TRUTH = {greater: (0, 0, 1), greater_equal: (0, 1, 1), equal: (0, 1, 0), not_equal: (1, 0, 1)}
SIGNS = {(BELOW,): "<", (AT,): "=", (ABOVE,): ">", (BELOW, AT): "≤", (AT, ABOVE): "≥"}

HOLDS = {"<": operator.lt, "≤": operator.le, "=": operator.eq, "≥": operator.ge, ">": operator.gt}


@dataclass(frozen=True, slots=True)
class Condition:
    """left sign right, of two scalars; the sign is <, ≤, =, ≥ or >."""

    left: Expr
    sign: str
    right: Expr


@dataclass(frozen=True, slots=True)
class Case:
    """The value where all the conditions hold."""

    conditions: tuple[Condition, ...]
    value: Expr


def piecewise(expr: Expr) -> list[Case] | None:
    """`expr` case by case; None where no scalar condition decides about it, or too many do.

    >>> from chainrule.expr.nodes import Variable
    >>> x = Variable("x")
    >>> [(c.conditions[0].sign, c.value) for c in piecewise(2 * x * (x > 0))]
    [('≤', <0 -> >), ('>', <2 -> x>)]
    """
    nodes = topological([expr])
    keys = {s.key for n in nodes if (s := _switch(n)) is not None}
    jumps = any(
        isinstance(n, Apply) and not n.rank and (n.function in TRUTH or n.function is sign) for n in nodes
    )
    if not jumps or len(keys) > MOST_SWITCHES or len(nodes) > LARGEST:
        return None
    cases = _cases(simplify(expr), ())
    return cases if 1 < len(cases) <= MOST_CASES else None


@dataclass(frozen=True, slots=True)
class Switch:
    """What decides about a function: the sign of `key`.

    turn        the sign of (first argument − second) where the key is > 0
    left, right how it is written, the constant on the right; `shown` is the sign of left − right there
    """

    key: Expr
    turn: int
    left: Expr
    right: Expr
    shown: int


def _cases(expr: Expr, held: tuple[Condition, ...]) -> list[Case]:
    switches = {n: s for n in topological([expr]) if (s := _switch(n)) is not None}
    if not switches:
        return [Case(held, expr)]
    first = min(switches.values(), key=_order)
    mine = {n: s for n, s in switches.items() if s.key is first.key}
    known = _known_side(first, held)
    if known is not None:
        return _cases(_at(expr, mine, first, known, known), held)
    low, high = (_at(expr, mine, first, side, side) for side in (BELOW, ABOVE))
    border = [_at(expr, mine, first, AT, lean) for lean in (BELOW, ABOVE)]
    if low is high and high in border:
        return _cases(low, held)
    if low in border:
        groups: list[tuple[tuple[int, ...], Expr]] = [((BELOW, AT), low), ((ABOVE,), high)]
    elif high in border:
        groups = [((BELOW,), low), ((AT, ABOVE), high)]
    else:
        groups = [((BELOW,), low), ((AT,), border[0]), ((ABOVE,), high)]
    branches = [(Condition(first.left, SIGNS[sides], first.right), value) for sides, value in groups]
    branches = [(c, value) for c, value in branches if all(_compatible(c, other) for other in held)]
    if len(branches) == 1:
        return _cases(branches[0][1], held)
    found: list[Case] = []
    for condition, value in branches:
        found += _cases(value, (*(c for c in held if not _implied(c, condition)), condition))
    return found


def _known_side(switch: Switch, held: tuple[Condition, ...]) -> int | None:
    """On which side of a number the left of a switch is, where a condition that holds says so."""
    for condition in held:
        bounds = [constant_of(condition.right), constant_of(switch.right)]
        if condition.left is not switch.left or any(b is None or b.powers for b in bounds):
            continue
        value, border = (b.rational for b in bounds if b is not None)
        if condition.sign in ">≥=" and (value > border or (value == border and condition.sign == ">")):
            return ABOVE
        if condition.sign in "<≤=" and (value < border or (value == border and condition.sign == "<")):
            return BELOW
    return None


def _implied(weak: Condition, strong: Condition) -> bool:
    """Whether x > −1 follows from x ≥ 1: one scalar, and numbers on the right."""
    bounds = [constant_of(c.right) for c in (weak, strong)]
    if weak.left is not strong.left or any(b is None or b.powers for b in bounds):
        return False
    low, high = (b.rational for b in bounds if b is not None)
    return (low < high and weak.sign in ">≥" and strong.sign in "≥>=") or (
        low > high and weak.sign in "<≤" and strong.sign in "≤<="
    )


def _compatible(a: Condition, b: Condition) -> bool:
    """Whether both can hold, as x = −1 and x > 1 cannot: one scalar, and numbers on the right."""
    bounds = [constant_of(c.right) for c in (a, b)]
    if a.left is not b.left or any(bound is None or bound.powers for bound in bounds):
        return True
    low, high = sorted(bound.rational for bound in bounds if bound is not None)
    points = (low - 1, low, (low + high) / 2, high, high + 1)
    numbers = [bound.rational for bound in bounds if bound is not None]
    return any(
        all(HOLDS[c.sign](point, number) for c, number in zip((a, b), numbers, strict=True))
        for point in points
    )


def _order(switch: Switch) -> tuple[int, bytes]:
    return len(topological([switch.key])), switch.key.digest


def _switch(node: Expr) -> Switch | None:
    """What decides about a scalar function; None for any other node."""
    return None if node.rank else switch_of(node)


def switch_of(node: Expr) -> Switch | None:
    """What decides about each entry of an element-wise function with a kink; None for any other node."""
    if not isinstance(node, Apply) or not variables(node):
        return None
    second: Expr
    if node.function in (relu, abs_, sign):
        first, second = node.arguments[0], zeros(node.shape)
    elif node.function in TRUTH or node.function in (maximum, minimum):
        first, second = node.arguments
    else:
        return None
    coefficient, body = split(_NORMAL(first - second))
    shared, key = primitive(body, _NORMAL) if isinstance(body, Sum) else (ONE, body)
    turn = 1 if (coefficient * shared).rational > 0 else -1
    if constant_of(first) is not None:
        return Switch(key, turn, second, first, -turn)
    return Switch(key, turn, first, second, turn)


_NORMAL = Normaliser()


def _at(expr: Expr, mine: Mapping[Expr, Switch], first: Switch, side: int, lean: int) -> Expr:
    """The value on one side of a switch; at the border functions without a jump lean to one side."""
    values = {
        n: value_at(n, s.turn * first.shown * side, s.turn * first.shown * lean) for n, s in mine.items()
    }
    return simplify(substitute(expr, values))


def value_at(node: Expr, place: int, lean: int) -> Expr:
    """Such a function where the sign of (first argument − second) is `place`; at 0 it leans to one side."""
    assert isinstance(node, Apply)
    first, second = node.arguments[0], node.arguments[-1]
    if node.function in TRUTH:
        return number(TRUTH[node.function][place + 1], node.shape)
    if node.function is sign:
        return number(place, node.shape)
    if node.function is relu:
        return first if lean > 0 else zeros(node.shape)
    if node.function is abs_:
        return first if lean > 0 else negate(first)
    return first if (lean > 0) == (node.function is maximum) else second


# ---------------------------------------------------------------- how cases are written


@dataclass(frozen=True, slots=True)
class Cases:
    """An answer by cases, for reading.

    tree  {value if condition; value if condition}
    """

    cases: tuple[Case, ...]
    tree: Tree
    profile: str | None = None

    @property
    def text(self) -> str:
        """On one line: {𝟎ᵀ if w·x + b ≤ 0; xᵀ if w·x + b > 0}."""
        return to_text(self.tree, self.profile)

    @property
    def latex(self) -> str:
        """A cases environment."""
        return to_latex(self.tree, self.profile)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Each value and its condition."""
        parts = [to_text(part, self.profile) for part in self.tree.args]
        return list(zip(parts[::2], parts[1::2], strict=True))

    @property
    def lines(self) -> list[str]:
        """A line for each case, with the conditions one below the other."""
        width = max(len(value) for value, _ in self.rows)
        last = len(self.rows) - 1
        signs = ["⎧", *("⎨" if k == (last + 1) // 2 else "⎪" for k in range(1, last)), "⎩"]
        return [f"{s} {v:<{width}}    if {c}" for s, (v, c) in zip(signs, self.rows, strict=True)]


def by_cases(expr: Expr, *, turned: bool = False, profile: str | None = None) -> Cases | None:
    """`expr` written by cases, as its transpose if `turned`; None where cases are no clearer.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import Variable
    >>> w, x = (Variable(name, (Dim.of("n"),)) for name in "wx")
    >>> by_cases((w @ x > 0) * x, turned=True).text
    '{𝟎ᵀ if w·x ≤ 0; xᵀ if w·x > 0}'
    """
    if expr.rank > 2:
        return None
    cases = piecewise(expr)
    if cases is None:
        return None
    reader = Reader([v.name for v in variables(expr)])
    vectors = {m.name(v.name) for v in variables(expr) if v.rank == 1}
    parts: list[Tree] = []
    found: list[Case] = []
    for case in cases:
        value = reader.tree(case.value, int(turned))
        if value is None:
            return None
        conditions = []
        for condition in case.conditions:
            sides = [reader.tree(side) for side in (condition.left, condition.right)]
            if None in sides:
                return None
            compared = m.tree("condition", [s for s in sides if s is not None], (condition.sign,))
            conditions.append(solved(compared))
        held = together(conditions)
        if held is None:
            continue
        conditions = m.ranges(held, "condition")
        met = conditions[0] if len(conditions) == 1 else m.tree("all", conditions)
        found.append(case)
        parts += [m.dotted(value, vectors), m.dotted(met, vectors)]
    written = Cases(tuple(found), m.tree("cases", parts), profile)
    return written if max(map(len, written.lines)) <= WIDEST else None
