"""What moves together, as one: d_W x + d_b in a second derivative along a line in W and b.

In: an expression and directions. Out: the expression with a variable for each innermost sum of moves, and
what each variable stands for. What is nowhere negative for every value of the variables is so for the moves.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.expr.nodes import Einsum, Expr, Sum, Variable
from chainrule.expr.walk import depends_on, substitute, topological


def joined_moves(expr: Expr, directions: Iterable[Variable]) -> tuple[Expr, dict[Expr, Expr]]:
    """`expr` with variables for sums all of whose terms depend on directions, and the sums by variable.

    >>> d, e = Variable("d"), Variable("e")
    >>> joined, sums = joined_moves((d + e) * (d + e), [d, e])
    >>> joined is (Variable("move 1") * Variable("move 1")), len(sums)
    (True, 1)
    """
    moving = depends_on([expr], directions)
    found: dict[Expr, Expr] = {}
    holds: set[Expr] = set()  # what contains a sum that is replaced
    for node in topological([expr]):
        if any(child in holds for child in node.children):
            holds.add(node)
        elif isinstance(node, Sum) and all(term in moving for term in node.terms):
            found[node] = Variable(f"move {len(found) + 1}", node.shape)
            holds.add(node)
    return substitute(expr, found), {variable: node for node, variable in found.items()}


MOST_TERMS = 32


def multiplied_out(expr: Expr) -> list[Expr]:
    """The terms of products of sums: p_i (δ_ij − p_j) is p_i δ_ij and −p_i p_j.

    >>> x, y = Variable("x"), Variable("y")
    >>> len(multiplied_out((x + 1) * (y + 1)))
    4
    """
    done: list[Expr] = []
    waiting = [expr]
    while waiting:
        term = waiting.pop()
        if isinstance(term, Sum):
            waiting += reversed(term.terms)
            continue
        if not isinstance(term, Einsum) or len(done) + len(waiting) > MOST_TERMS:
            done.append(term)
            continue
        if len(term.operands) == 1 and isinstance(term.operands[0], Einsum) and not term.operands[0].rank:
            inner, sizes = term.operands[0], dict(enumerate(term.operands[0].sizes))
            coefficient = term.coefficient * inner.coefficient
            term = Einsum(coefficient, inner.operands, inner.labels, inner.output, sizes)
        places = [k for k, operand in enumerate(term.operands) if isinstance(operand, Sum)]
        if not places:
            done.append(term)
            continue
        total = term.operands[places[0]]
        assert isinstance(total, Sum)
        for part in reversed(total.terms):
            operands = [part if k == places[0] else o for k, o in enumerate(term.operands)]
            waiting.append(
                Einsum(term.coefficient, operands, term.labels, term.output, dict(enumerate(term.sizes)))
            )
    return done
