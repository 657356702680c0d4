"""The form that reads best: common factors outside sums, products multiplied out only where terms then cancel."""
from __future__ import annotations

from collections.abc import Iterable

from chainrule.expr.nodes import Expr
from chainrule.simplify.normal import Normaliser


def simplify(expr: Expr, keep: Iterable[str] = ()) -> Expr:
    """The canonical form of `expr`, factored or multiplied out, whichever is shorter."""
    return Normaliser(keep)(expr)
