"""Parts inside longer sums: in u + v + w the part u + w stands out, if a person gave it a name.

In: expressions and parts. Out: the expressions of the same value with the terms of such a part in brackets,
so that the part is met as a whole; and, for a part that no bracket shows, the expression written with it in
place of one of its terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chainrule.expr.dims import Coefficient
from chainrule.expr.nodes import Expr, Sum, Variable
from chainrule.expr.walk import substitute, transform, tree_size, variables
from chainrule.simplify import simplify
from chainrule.simplify.normal import scaled, split


def grouped(exprs: Sequence[Expr], parts: Sequence[Expr]) -> list[Expr]:
    """The expressions with brackets around the terms of each part, and of its multiples.

    >>> x, y, z = (Variable(c) for c in "xyz")
    >>> whole, part = simplify(2 * x + y + 2 * z), simplify(x + z)
    >>> from chainrule.notation.text import to_text
    >>> from chainrule.notation.recover import Reader
    >>> part in grouped([whole], [part])[0].terms[0].operands
    True
    """
    result = list(exprs)
    for part in sorted((p for p in parts if isinstance(p, Sum)), key=lambda p: (-len(p.children), p.digest)):
        assert isinstance(part, Sum)
        memo: dict[Expr, Expr] = {}
        result = [transform(expr, partial(_bracketed, part=part), memo) for expr in result]
    return result


def _bracketed(node: Expr, part: Sum) -> Expr:
    if not isinstance(node, Sum) or node.rank != part.rank or len(node.terms) <= len(part.terms):
        return node
    wanted = {body: coefficient for coefficient, body in map(split, part.terms)}
    ratios: set[Coefficient] = set()
    rest: list[Expr] = []
    for term in node.terms:
        coefficient, body = split(term)
        if body in wanted:
            ratios.add(coefficient * wanted[body] ** -1)
        else:
            rest.append(term)
    if len(node.terms) - len(rest) < len(wanted) or len(ratios) != 1:
        return node
    return Sum([scaled(ratios.pop(), part), *rest])


def with_part(expr: Expr, part: Expr) -> Expr | None:
    """`expr` written with a part in place of one variable that is a term of it; None if that is no shorter.

    So 2b + 2(sum(Xw) − sum(y))/N is (2/N) sum(e) with e = Xw + b − y, from which y = Xw + b − e.
    """
    if not isinstance(part, Sum):
        return None
    symbol = Variable("\N{REPLACEMENT CHARACTER}", part.shape)
    best: Expr | None = None
    for term in part.terms:
        coefficient, body = split(term)
        others = [t for t in part.terms if t is not term]
        if not isinstance(body, Variable) or body in variables(*others) or body not in variables(expr):
            continue
        rest = Sum([symbol, *(scaled_term(-1, t) for t in others)])
        found = simplify(substitute(expr, {body: scaled(coefficient**-1, rest)}))
        if symbol in variables(found) and tree_size(found) < tree_size(best if best is not None else expr):
            best = found
    return None if best is None else substitute(best, {symbol: part})


def scaled_term(factor: int, term: Expr) -> Expr:
    """A canonical term times a number."""
    coefficient, body = split(term)
    return scaled(coefficient * Coefficient.of(factor), body)
