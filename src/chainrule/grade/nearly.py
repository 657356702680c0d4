"""Two formulas whose values agree to eight digits, and that are not equal: 2x and 2x + 10⁻¹².

In: expressions of one shape. Out: their difference, where it is more than rounding. Comparing values passes
over so small a term; the difference itself, at its simplest, does not hold it beside large numbers.
"""

from __future__ import annotations

from chainrule.expr.nodes import Expr, constant_of
from chainrule.simplify import simplify
from chainrule.verify.probe import Probe


def difference(claimed: Expr, correct: Expr, points: Probe) -> Expr | None:
    """What is between two expressions of nearly the same values at some points; None if it is rounding.

    Shapes: both alike, and so the difference.

    >>> from chainrule.expr.nodes import Variable
    >>> from chainrule.verify.probe import probe
    >>> x = Variable("x")
    >>> points = probe([x], [x])
    >>> difference((x + 1) * (x - 1), x * x - 1, points) is None
    True
    """
    if claimed.shape != correct.shape:
        return None
    apart = simplify(claimed - correct)
    constant = constant_of(apart)
    if constant is not None and constant.is_zero:
        return None
    loud = points.tells(apart)
    return apart if 2 * sum(loud) > len(loud) else None
