"""Norms beside the Euclidean one: of any order along an axis, of matrices by their columns and rows.

In: an expression, the order, axes. Out: an expression, a definition by other functions.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.expr import nodes
from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Apply, Einsum, Expr, as_expr, constant_of, elementwise
from chainrule.language.tokens import Token
from chainrule.rules import elementwise as rows
from chainrule.rules import tensorial
from chainrule.rules.table import Tensorial

Order = int | str | Expr | None
INFINITE = {"inf": tensorial.amax, "-inf": tensorial.amin}


def norm_of_order(x: Expr, order: Order, axes: Sequence[int]) -> Expr | None:
    """The norm of that order along one axis, or of the matrix on two; None where there is none.

    Along an axis: inf and −inf the largest and smallest absolute value, p the p-th root of Σ|x|ᵖ. Of a
    matrix: 1 and inf the largest sum of absolute values in a column and in a row, with a minus sign the
    smallest. Source: Golub and Van Loan, Matrix Computations, section 2.3; NumPy's linalg.norm.
    """
    size = elementwise(rows.abs_, x)
    if len(axes) == 1 and isinstance(order, str) and order in INFINITE:
        return _extreme(INFINITE[order], size, axes[0])
    if len(axes) == 1 and order is not None and not isinstance(order, str):
        return _root(size, as_expr(order), axes[0])
    if len(axes) == 2 and order in (1, -1, *INFINITE):
        summed, left = axes if order in (1, -1) else axes[::-1]
        row = tensorial.amax if order in (1, "inf") else tensorial.amin
        return _extreme(row, _total(size, summed), left - (summed < left))
    return None


def _root(size: Expr, p: Expr, axis: int) -> Expr | None:
    """(Σ|x|ᵖ)^(1/p), of a scalar p that is not 0."""
    constant = constant_of(p)
    if p.rank or (constant is not None and constant.is_zero):
        return None
    total = _total(elementwise(rows.power, size, p), axis)
    return elementwise(rows.power, total, elementwise(rows.power, p, nodes.number(-1)))


def _total(x: Expr, axis: int) -> Expr:
    return Einsum(ONE, (x,), (range(x.rank),), [a for a in range(x.rank) if a != axis])


def _extreme(row: Tensorial, x: Expr, axis: int) -> Expr:
    order = (*(a for a in range(x.rank) if a != axis), axis)
    return Apply(row, (nodes.permute(x, order),), (1,))


def with_infinite_orders(tokens: list[Token], modules: frozenset[str], taken: Sequence[str]) -> list[Token]:
    """Read norm(x, inf) and ord=-np.inf as texts: inf is no number that a formula could hold."""
    result: list[Token] = []
    for token in tokens:
        if token.text != "inf" or token.kind not in ("name", "str") or "inf" in taken:
            result.append(token)
            continue
        before = len(result)
        while before > 1 and result[before - 1].text == "." and result[before - 2].text in modules:
            before -= 2
        negative = before > 0 and result[before - 1].text == "-"
        start = before - negative
        if start and result[start - 1].text in (",", "="):
            span = result[start].span.join(token.span) if start < len(result) else token.span
            del result[start:]
            token = Token("str", "-inf" if negative else "inf", span)
        result.append(token)
    return result
