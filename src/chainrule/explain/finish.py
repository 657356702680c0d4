"""From what the rules leave to the form that reads best, and what that step is called.

In: an expression as the rules left it, and the same at its simplest. Out: the lines between them.
"""

from __future__ import annotations

from fractions import Fraction

from chainrule.explain.board import Board
from chainrule.explain.derivation import Line, Words
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, constant_of
from chainrule.notation.matform import Tree
from chainrule.notation.recover import flatten
from chainrule.notation.text import to_text
from chainrule.rules.elementwise import power
from chainrule.simplify.normal import normalise


def finishing(board: Board, shown: Tree, raw: Expr, final: Expr) -> list[Line]:
    """The lines from `raw`, which is written as `shown`, to `final`; none if they read the same."""
    board.claim("the derivative", final, board.subject.expr, board.wrt)
    lines: list[Line] = []
    last, before = to_text(shown), raw
    collected = normalise(raw)
    for value in (collected, final):
        tree = board.result(value)
        text = to_text(tree)
        if text == last:
            continue
        if value is not final and len(text) >= len(last):
            continue
        board.claim("simplified", value, board.subject.expr, board.wrt)
        lines.append(Line(None, tree, simplification(board, before, value), value=value))
        last, before = text, value
    return lines


def simplification(board: Board, before: Expr, after: Expr) -> Words:
    """What a simplification is called: cancel, expand, collect terms, or only simplified."""
    lost = _cancelled(before)
    if lost:
        words: list[str | Tree] = ["cancel "]
        for k, base in enumerate(lost):
            words += [", "] * bool(k) + [board.tree(base)]
        return tuple(words)
    if isinstance(after, Sum) and not isinstance(before, Sum):
        return ("expand",)
    if isinstance(before, Sum) and isinstance(after, Sum) and len(after.terms) < len(before.terms):
        return ("collect terms",)
    if isinstance(before, Sum) and not isinstance(after, Sum):
        common = isinstance(after, Einsum) and any(isinstance(o, Sum) for o in after.operands)
        return ("take out the common factor",) if common else ("collect terms",)
    if isinstance(before, Einsum) and isinstance(after, Einsum) and not before.rank:
        return ("multiply",)
    return ("simplified",)


def _cancelled(expr: Expr) -> list[Expr]:
    """Factors that stand above and below the line of a product."""
    if not isinstance(expr, Einsum):
        return []
    above: dict[Expr, Fraction] = {}
    below: dict[Expr, Fraction] = {}
    for operand, _ in flatten(expr).operands:
        base, exponent = operand, Fraction(1)
        while isinstance(base, Apply) and base.function is power:
            constant = constant_of(base.arguments[1])
            if constant is None or constant.powers:
                break
            base, exponent = base.arguments[0], exponent * constant.rational
        side = above if exponent > 0 else below
        side[base] = side.get(base, Fraction(0)) + exponent
    return [base for base in above if base in below]
