"""Forward accumulation: the derivative of an expression along directions of its variables.

In: an expression and a direction for each variable. Out: a raw graph with the axes of the expression. Parts
stay together as they stand in the formula: of (Xw + b)² along d and e it is 2(Xw + b)(Xd + e).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from chainrule.derive.engine import ZERO_AT_KINK, pullback
from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Einsum, Expr, Sum, identity, zeros
from chainrule.expr.walk import depends_on, topological


def directional(root: Expr, directions: Mapping[Expr, Expr], at_kink: Fraction = ZERO_AT_KINK) -> Expr:
    """The derivative of root(v + t·d) by t at t = 0, where d are the directions of the variables v.

    Raises: NoDerivative if a function on the way has no derivative rule.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import Variable
    >>> x, d = (Variable(name, (Dim.of("n"),)) for name in "xd")
    >>> directional((x * x).sum(), {x: d}).shape
    ()
    """
    active = depends_on([root], directions)
    moved: dict[Expr, Expr] = dict(directions)
    for node in topological([root]):
        if node not in active or node in moved:
            continue
        rank = node.rank
        terms = []
        for child, local in pullback(node, identity(node.shape), rank, active, at_kink):
            axes = tuple(range(local.rank))
            terms.append(Einsum(ONE, (local, moved[child]), (axes, axes[rank:]), axes[:rank]))
        moved[node] = zeros(node.shape) if not terms else Sum(terms) if len(terms) > 1 else terms[0]
    return moved[root] if root in moved else zeros(root.shape)
