"""Parts inside longer sums: in u + v + w the part u + w stands out, if a person gave it a name.

In: expressions and parts. Out: the expressions of the same value with the terms of such a part in brackets,
so that the part is met as a whole; and, for a part that no bracket shows, the expression written with it in
place of one of its terms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
    sums = sorted(
        {p for p in parts if isinstance(p, Sum)}, key=lambda part: (-len(part.children), part.digest)
    )
    count = Counter(body for part in sums for _, body in map(split, part.terms))
    by_term: dict[Expr, list[Sum]] = {}
    for part in sums:
        rarest = min((body for _, body in map(split, part.terms)), key=lambda b: (count[b], b.digest))
        by_term.setdefault(rarest, []).append(part)
    if not by_term:
        return list(exprs)
    memo: dict[Expr, Expr] = {}
    return [transform(expr, partial(_bracketed, by_term=by_term), memo) for expr in exprs]


def _bracketed(node: Expr, by_term: Mapping[Expr, Sequence[Sum]]) -> Expr:
    """A sum with brackets around the terms of parts; `by_term` has each part under its rarest term."""
    if not isinstance(node, Sum):
        return node
    terms = {body: coefficient for coefficient, body in map(split, node.terms)}
    found: list[Expr] = []
    inside = [part for body in list(terms) for part in by_term.get(body, ())]
    if any(len(part.terms) == len(node.terms) and _ratio(part, terms) is not None for part in inside):
        return node  # it is a part itself, which no shorter one breaks up
    for part in inside:
        ratio = _ratio(part, terms)
        if ratio is not None and len(part.terms) < len(node.terms):
            found.append(scaled(ratio, part))
            for term in part.terms:
                del terms[split(term)[1]]
    return Sum([*found, *(scaled(c, body) for body, c in terms.items())]) if found else node


def _ratio(part: Sum, terms: Mapping[Expr, Coefficient]) -> Coefficient | None:
    """How often the part stands in a sum of these terms; None if it does not."""
    found: Coefficient | None = None
    for coefficient, body in map(split, part.terms):
        if body not in terms:
            return None
        ratio = terms[body] * coefficient**-1
        if found is not None and ratio != found:
            return None
        found = ratio
    return found


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
