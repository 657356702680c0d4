"""Products in which no Jacobian is formed first: p ⊙ v − p(pᵀv) for (diag(p) − ppᵀ)v.

In: an expression. Out: an equal one in which no sum of matrices is contracted with something else where the
sum has more axes than `most`, or where all its terms are larger than what they are made of: diagonals and
outer products.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.expr.nodes import Einsum, Expr, Sum
from chainrule.expr.walk import transform
from chainrule.simplify.normal import Normaliser
from chainrule.simplify.shorten import simplify_many

MOST_TERMS = 64


def matrix_free(exprs: Sequence[Expr], most: int = 2) -> list[Expr]:
    """Several expressions at their simplest among those in which no such sum is contracted."""
    normal = Normaliser()
    return simplify_many([spread(expr, normal, most) for expr in exprs], most=min(most, 2))


def spread(expr: Expr, normal: Normaliser, most: int = 2) -> Expr:
    """The canonical form with such sums multiplied out.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import Variable
    >>> n = Dim.of("n")
    >>> A, B, v = Variable("A", (n, n)), Variable("B", (n, n)), Variable("v", (n,))
    >>> len(spread((A + B) @ v, Normaliser(), 1).terms), len(spread((A + B) @ v, Normaliser()).operands)
    (2, 2)
    """
    return normal(transform(normal(expr), lambda node: _spread(node, normal, most)))


def _spread(node: Expr, normal: Normaliser, most: int) -> Expr:
    pending: list[Expr] = [normal(node)]
    done: list[Expr] = []
    while pending:
        term = pending.pop()
        if isinstance(term, Sum):
            pending.extend(reversed(term.terms))
            continue
        parts = _distributed(term, normal, most) if len(pending) + len(done) < MOST_TERMS else None
        if parts is None:
            done.append(term)
        else:
            pending.extend(reversed(parts))
    return normal.sum(done) if len(done) > 1 else done[0]


def _distributed(term: Expr, normal: Normaliser, most: int) -> list[Expr] | None:
    """A product over the terms of one of its factors; None where there is nothing to do."""
    if not isinstance(term, Einsum) or len(term.operands) < 2:
        return None
    for k, operand in enumerate(term.operands):
        own = term.labels[k]
        if not isinstance(operand, Sum) or operand.rank < 2 or set(own) <= set(term.output):
            continue
        if operand.rank <= most and not all(map(_is_grown, operand.terms)):
            continue
        operands = (*term.operands[:k], *term.operands[k + 1 :])
        labels = (*term.labels[:k], *term.labels[k + 1 :])
        sizes = dict(enumerate(term.sizes))
        return [
            normal.product(term.coefficient, (*operands, part), (*labels, own), term.output, sizes)
            for part in operand.terms
        ]
    return None


def _is_grown(term: Expr) -> bool:
    """Whether it is larger than each of its factors: a diagonal, an outer product, a broadcast."""
    if not isinstance(term, Einsum):
        return False
    output = set(term.output)
    if len(output) < len(term.output):
        return True
    summed = any(label not in output for axes in term.labels for label in axes)
    return not summed and not any(output <= set(axes) for axes in term.labels)
