"""The gamma function's logarithm and its relatives, entry by entry; x ln y with 0 ln 0 = 0.

In: expressions (or numbers). Out: expressions.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr.nodes import Apply, Expr, as_expr, elementwise, number
from chainrule.language.functions import Entry
from chainrule.rules import special as rows
from chainrule.rules.constants import PI
from chainrule.rules.elementwise import log

HIGHEST = 20  # order of polygamma
LARGEST = 50  # matrix of multigammaln, a sum with a term for each row


def lgamma(x: Any) -> Expr:
    """The logarithm of Γ(x), for x > 0."""
    return elementwise(rows.lgamma, as_expr(x))


def digamma(x: Any) -> Expr:
    """The derivative ψ of ln Γ, for x > 0."""
    return elementwise(rows.digamma, as_expr(x))


def polygamma(k: int, x: Any) -> Expr:
    """The derivative of order k of the digamma function ψ, for x > 0.

    >>> from chainrule import derive
    >>> derive("polygamma(2, x)", wrt="x", shapes="x").text
    'polygamma(3, x)'
    """
    if not 0 <= k <= HIGHEST:
        raise ShapeMismatch(f"the order of polygamma is from 0 to {HIGHEST}, not {k}")
    return elementwise(rows.polygamma, number(k), as_expr(x)) if k else digamma(x)


def trigamma(x: Any) -> Expr:
    """The derivative ψ′ of the digamma function, for x > 0."""
    return polygamma(1, x)


def betaln(a: Any, b: Any) -> Expr:
    """The logarithm of the beta function, ln Γ(a) + ln Γ(b) − ln Γ(a + b)."""
    return lgamma(a) + lgamma(b) - lgamma(as_expr(a) + b)


def multigammaln(a: Any, p: int) -> Expr:
    """The logarithm of the gamma function of p × p matrices, for a > (p − 1)/2: the Wishart normaliser.

    >>> from chainrule import derive
    >>> derive("multigammaln(a, 2)", wrt="a", shapes="a").text
    'digamma(a) + digamma(a − 1/2)'
    """
    if not 1 <= p <= LARGEST:
        raise ShapeMismatch(f"multigammaln is of matrices of 1 to {LARGEST} rows, not {p}")
    terms = (lgamma(as_expr(a) - number(Fraction(j, 2)) if j else a) for j in range(p))
    total = reduce(lambda one, other: one + other, terms)
    return total + number(Fraction(p * (p - 1), 4)) * elementwise(log, Apply(PI))


def xlogy(x: Any, y: Any) -> Expr:
    """X ln y, and 0 where x is 0 whatever y is."""
    return elementwise(rows.xlogy, as_expr(x), as_expr(y))


def xlogx(x: Any) -> Expr:
    """X ln x, and 0 at 0; its derivative there is −∞."""
    return xlogy(x, x)


def entr(x: Any) -> Expr:
    """The terms −x ln x of an entropy, 0 at 0."""
    return -xlogx(x)


ENTRIES = {
    "lgamma": Entry(lgamma),
    "digamma": Entry(digamma),
    "trigamma": Entry(trigamma),
    "polygamma": Entry(polygamma, "ix"),
    "betaln": Entry(betaln, "xx"),
    "multigammaln": Entry(multigammaln, "xi"),
    "xlogy": Entry(xlogy, "xx"),
    "xlogx": Entry(xlogx),
    "entr": Entry(entr),
}
ALIASES = {"gammaln": "lgamma", "mvlgamma": "multigammaln"}
ENTRIES |= {alias: ENTRIES[name] for alias, name in ALIASES.items()}
