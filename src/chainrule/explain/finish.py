"""From what the rules leave to the form that reads best, and what that step is called.

In: an expression as the rules left it, and the same at its simplest. Out: the lines between them.
"""

from __future__ import annotations

from fractions import Fraction

from chainrule.explain.board import Board
from chainrule.explain.derivation import Line, Words
from chainrule.expr.dims import ONE
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
    # What was written in the order of the person is not simpler in ours.
    typed = {to_text(board.result(raw))} if board.style == "operator" else set()
    if to_text(board.result(final)) in {last, *typed}:
        return lines
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
    if isinstance(after, Sum) and _is_expanded(before):
        return ("expand",)
    if isinstance(before, Sum) and isinstance(after, Sum) and len(after.terms) < len(before.terms):
        return ("collect terms",)
    if isinstance(before, Sum) and len({_bare(term) for term in before.terms}) == 1:
        return ("collect terms",)
    if isinstance(before, Sum) and _is_common(before, after):
        return ("take out the common factor",)
    if isinstance(before, Einsum) and isinstance(after, Einsum) and not before.rank:
        return ("multiply",)
    return ("simplified",)


def _bare(term: Expr) -> Expr:
    """A term without its number."""
    term = normalise(term)
    if not isinstance(term, Einsum) or not term.operands:
        return term
    return normalise(Einsum(ONE, term.operands, term.labels, term.output, dict(enumerate(term.sizes))))


def _is_expanded(before: Expr) -> bool:
    """Whether it is a product with a sum, entry by entry, so that it can be multiplied out."""
    if not isinstance(before, Einsum):
        return False
    product = flatten(before)
    entrywise = all(set(axes) <= set(product.output) for _, axes in product.operands)
    return entrywise and any(isinstance(o, Sum) for o, _ in product.operands)


def _is_common(before: Sum, after: Expr) -> bool:
    """Whether what stands before a sum is a factor of every term."""
    if not isinstance(after, Einsum) or not any(isinstance(o, Sum) for o in after.operands):
        return False
    outside = {o for o, _ in flatten(after).operands if not isinstance(o, Sum)}
    factors = [{o for o, _ in flatten(t).operands} if isinstance(t, Einsum) else {t} for t in before.terms]
    return all(outside <= {*own, t} for own, t in zip(factors, before.terms, strict=True))


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
