"""How a formula grows where some of its variables do: f(cx) = cᵏ f(x) for every c > 0, or not at all so."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, constant_of
from chainrule.expr.walk import topological

# Functions whose value grows as all their arguments do; of `power` and `sqrt` it is told apart.
AS_ITS_ARGUMENTS = ("abs", "relu", "norm", "amax", "amin", "maximum", "minimum")


def degree(root: Expr, names: Collection[str]) -> Fraction | None:
    """The k with f(cx) = cᵏ f(x), c > 0, x the variables of these names; None if none is known.

    >>> from chainrule.language import parse_formula
    >>> def of(text): return degree(parse_formula(text, "X[N,n] w[n] b").expr, ["w", "b"])
    >>> of("mean(relu(X @ w + b)**2)"), of("norm(X @ w)"), of("sum(w) + 1"), of("sum(exp(w))")
    (Fraction(2, 1), Fraction(1, 1), None, None)
    """
    found: dict[Expr, Fraction | None] = {}
    for node in topological([root]):
        found[node] = _degree(node, found, names)
    return found[root]


def _degree(node: Expr, found: dict[Expr, Fraction | None], names: Collection[str]) -> Fraction | None:
    if isinstance(node, Variable):
        return Fraction(node.name in names)
    inner = [found[child] for child in node.children]
    if not any(inner) and None not in inner:
        return Fraction(0)
    if isinstance(node, Einsum):
        known = [k for k in inner if k is not None]
        return sum(known, Fraction(0)) if len(known) == len(inner) else None
    if isinstance(node, Sum) or (isinstance(node, Apply) and node.function.name in AS_ITS_ARGUMENTS):
        # Zero has every degree.
        degrees = {k for child, k in zip(node.children, inner, strict=True) if not _zero(child)}
        return degrees.pop() if len(degrees) == 1 else None
    if isinstance(node, Apply) and inner[0] is not None:
        if node.function.name == "sqrt":
            return inner[0] / 2
        if node.function.name == "power":
            exponent = constant_of(node.children[1])
            plain = exponent is not None and not exponent.powers
            return inner[0] * Fraction(exponent.rational) if exponent is not None and plain else None
    return None


def _zero(node: Expr) -> bool:
    constant = constant_of(node)
    return constant is not None and constant.rational == 0
