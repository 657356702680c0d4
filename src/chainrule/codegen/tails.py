"""The tails of the normal distribution: logarithms and quotients of Φ, erfc, φ and exp(−u²), which underflow.

What stands in their place is the inverse Mills ratio m = φ/Φ, of −√2 u for erfc(u): exp(−u²)/erfc(u) is
√(π/2) m(−√2 u). A sum m(x) + x is small far below 0, where m(x) is almost −x, and is computed as one.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from math import floor

from chainrule.codegen.matching import (
    Form,
    is_positive,
    logarithm,
    negative,
    of,
    raised,
    scaled,
    total,
)
from chainrule.codegen.monomials import Monomial, Place, along, monomial
from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Labels, Sum, elementwise, number
from chainrule.rules.activations import lognormcdf, mills, mills_excess, normcdf, normpdf
from chainrule.rules.constants import PI
from chainrule.rules.elementwise import erf, erfc, exp, log, log1p, where
from chainrule.rules.table import Row
from chainrule.simplify.normal import Normaliser

HALF = Fraction(1, 2)
TWO = number(2)


def _has(node: Expr, function: Row) -> bool:
    """Whether a function, or a power of it, is a factor."""
    if isinstance(node, Einsum):
        return any([_has(operand, function) for operand in node.operands])
    return of(raised(node)[0], function) is not None


def _below(u: Expr) -> Expr:
    """−√2 u: erfc(u) = 2 Φ(−√2 u)."""
    axes = tuple(range(u.rank))
    c, powers = along(u, axes)
    return Monomial(-c, powers, axes, dict(enumerate(u.shape))).times({(TWO, ()): HALF}).expr()


def _squares(w: Expr, u: Expr) -> Fraction | None:
    """S of w = s u²."""
    axes = tuple(range(u.rank))
    (c, powers), (a, base) = along(w, axes), along(u, axes)
    share = c * a**-2 if not a.is_zero else c
    if {k: 2 * p for k, p in base.items()} != powers or share.powers:
        return None
    return share.rational


# ---------------------------------------------------------------- products


def _density_over_probability(node: Expr) -> Expr | None:
    """φ(u) Φ(u)⁻ᵏ = m(u) Φ(u)¹⁻ᵏ."""
    if not _has(node, normcdf):
        return None
    product = monomial(node)
    for (a, labels), p in product.powers.items():
        u = of(a, normpdf)
        for (b, places), q in product.powers.items():
            if u is not None and places == labels and of(b, normcdf) is u and p >= 1 and q <= -1:
                share = Fraction(min(floor(p), floor(-q)))
                more = {(a, labels): -share, (b, labels): share, (elementwise(mills, u), labels): share}
                return product.times(more).expr()
    return None


def _exponential_over_erfc(node: Expr) -> Expr | None:
    """exp(−u²)ʲ erfc(u)⁻ᵏ by m(−√2 u), and exp(u²)ʲ erfc(u)ᵏ."""
    if not _has(node, erfc):
        return None
    product = monomial(node)
    for (a, labels), p in product.powers.items():
        w = of(a, exp)
        for (b, places), q in product.powers.items():
            u = of(b, erfc)
            if w is None or u is None or places != labels:
                continue
            s = _squares(w, u)
            if s is None or (s * p).denominator != 1 or s * p * q <= 0:
                continue
            share = min(abs(s * p), Fraction(floor(abs(q))))
            if not share:
                continue
            sign = 1 if q > 0 else -1
            left = p - sign * share / s
            ratio = {
                (a, labels): left - p,
                (b, labels): -sign * share,
                (elementwise(mills, _below(u)), labels): -sign * share,
                (Apply(PI, ()), ()): -sign * share / 2,
                (TWO, ()): sign * share / 2,
            }
            return product.times(ratio).expr()
    return None


def _erfc_into_sum(node: Expr) -> Expr | None:
    """erfc(u)⁻ᵏ (a + b) = erfc(u)⁻ᵏ a + erfc(u)⁻ᵏ b where both are multiples of exp(−u²)."""
    if not _has(node, erfc):
        return None
    product = monomial(node)
    for (b, labels), q in product.powers.items():
        u = of(b, erfc)
        for (inner, places), p in product.powers.items():
            if u is None or q >= 0 or places != labels or p != 1 or not isinstance(inner, Sum):
                continue
            axes = tuple(range(inner.rank))
            terms = [monomial(term) for term in inner.terms]
            if all(any(_is_small(place, axes, u) for place in term.powers) for term in terms):
                made = total([term.times({(b, axes): q}).expr() for term in terms])
                swapped = {(b, labels): -q, (inner, labels): Fraction(-1), (made, labels): Fraction(1)}
                return product.times(swapped).expr()
    return None


def _is_small(place: Place, axes: Labels, u: Expr) -> bool:
    """Whether a factor is exp(−s u²)."""
    w = of(place[0], exp)
    s = _squares(w, u) if w is not None and place[1] == axes else None
    return s is not None and s < 0


# ---------------------------------------------------------------- logarithms


def _log_of_normcdf(node: Expr) -> Expr | None:
    """Ln Φ(u)."""
    u = of(of(node, log), normcdf)
    return None if u is None else elementwise(lognormcdf, u)


def _log_of_erfc(node: Expr) -> Expr | None:
    """Ln(c erfc(u)); with c = 1 it is 0 at u = 0."""
    argument = of(node, log)
    c, e = (ONE, None) if argument is None else scaled(argument)
    u = of(e, erfc)
    if u is None or not is_positive(c):
        return None
    half = elementwise(lognormcdf, _below(u))
    ln = logarithm(c * Coefficient(Fraction(2)), u.shape)
    far = half if ln is None else half + ln
    if not c.is_one:
        return far
    return elementwise(where, u > HALF, far, elementwise(log1p, negative(elementwise(erf, u))))


# ---------------------------------------------------------------- sums


def _excess(node: Expr) -> Expr | None:
    """C (m(x) + x), and the same times anything."""
    if not isinstance(node, Sum) or not any(_has(term, mills) for term in node.terms):
        return None
    every = [monomial(term) for term in node.terms]
    normal = Normaliser()
    for (i, one), (j, other) in permutations(enumerate(every), 2):
        for base, labels in dict.fromkeys((*one.powers, *other.powers)):
            x = of(base, mills)
            if x is None or one.output != other.output:
                continue
            c, powers = along(x, labels)
            less = one.times({(base, labels): Fraction(-1)})
            wanted = less.times(powers, c)
            # A product Xw of x may be part of the product that the other term is.
            if wanted == other or normal(wanted.expr()) == normal(node.terms[j]):
                made = less.times({(elementwise(mills_excess, x), labels): Fraction(1)}).expr()
                return total([*(t for k, t in enumerate(node.terms) if k not in (i, j)), made])
    return None


PRODUCTS = (
    Form("φ(u)/Φ(u) = m(u), the inverse Mills ratio", "normpdf(x) / normcdf(x)", _density_over_probability),
    Form("exp(−u²)/erfc(u) = √(π/2) m(−√2 u)", "exp(-x**2) / erfc(x)", _exponential_over_erfc),
    Form(
        "erfc(u)⁻ᵏ (a + b) = erfc(u)⁻ᵏ a + erfc(u)⁻ᵏ b where both are multiples of exp(−u²)",
        "(exp(-x**2) + y * exp(-2 * x**2)) / erfc(x)",
        _erfc_into_sum,
    ),
)
LOGARITHMS = (
    Form("ln Φ(u) as one", "log(normcdf(x))", _log_of_normcdf),
    Form("ln erfc(u) = ln Φ(−√2 u) + ln 2, ln(1 − erf(u)) near 0", "log(erfc(x))", _log_of_erfc),
)
SUMS = (
    Form("m(x) + x for the inverse Mills ratio m by a continued fraction", "mills(x) * y + y * x", _excess),
)
