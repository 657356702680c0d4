"""Polynomials in u and 1/(exp(u) − 1), as in the derivatives of u³/(exp(u) − 1), which cancel and overflow.

With T = 1/(exp(u) − 1) and S = exp(u) T such a polynomial is Σ c uᵃ Tᵇ Sᶜ, which overflows nowhere. Near 0
the terms are of the size of u⁻¹ or u⁻² where the sum is of that of 1: there its power series stands in its
place, made from u T = Σ Bₙ uⁿ/n! with the numbers of Bernoulli, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from math import comb, factorial

from chainrule.codegen.matching import negative, of, raised, scaled, times, to_power, total
from chainrule.codegen.monomials import Monomial, Place, monomial
from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Einsum, Expr, Labels, Sum, elementwise, number
from chainrule.expr.walk import rebuild
from chainrule.rules.elementwise import abs_, exp, expm1, where

MOST = 24  # terms
NEAR = 2  # up to here the series is used, which converges below 2π
ORDER = 44  # of the series: (2/2π)⁴⁴ is below the last digit
ZERO = Fraction(0)
Rest = frozenset[tuple[Place, Fraction]]
Powers = tuple[int, int, int, int]  # of u, T, S and exp(u)
Group = dict[tuple[int, int, int], Fraction]  # by powers of u, T and S
Polynomial = dict[tuple[Rest, Powers], Fraction]


def expanded(root: Expr, memo: dict[Expr, Expr]) -> Expr:
    """The expression with such polynomials, the largest first, as sums without cancellation."""
    if root not in memo:
        made = _rewritten(root)
        if made is None:
            children = [expanded(child, memo) for child in root.children]
            same = all(a is b for a, b in zip(children, root.children, strict=True))
            made = root if same else rebuild(root, children)
        memo[root] = made
    return memo[root]


def _rewritten(node: Expr) -> Expr | None:
    """Factors along one set of axes, multiplied out; None where nothing is gained by it."""
    if not isinstance(node, Sum | Einsum) or not any(isinstance(n, Sum) for n in (node, *node.children)):
        return None
    product = monomial(node) if isinstance(node, Einsum) else None
    every = product.powers if product is not None else {(node, tuple(range(node.rank))): Fraction(1)}
    for labels in dict.fromkeys(axes for _, axes in every):
        mine = {place: p for place, p in every.items() if place[1] == labels}
        u = next((u for base, _ in mine for u in _arguments(base)), None)
        if u is None:
            continue
        found = _multiplied([_polynomial(base, p, u) for (base, _), p in mine.items()])
        made = None if found is None else _sum(found, u)
        if made is None:
            continue
        if product is None:
            return made
        gone = {place: -p for place, p in mine.items()}
        return product.times({**gone, (made, labels): Fraction(1)}).expr()
    return None


def _arguments(node: Expr) -> Iterator[Expr]:
    """U of each power of 1/(exp(u) − 1) or 1/(1 − exp(−u)) in sums and products."""
    if isinstance(node, Sum | Einsum):
        for child in node.children:
            yield from _arguments(child)
        return
    base, p = raised(node)
    u = of(scaled(base)[1], expm1)
    if u is not None and p < 0:
        sign, _ = scaled(u)
        yield negative(u) if sign.rational < 0 else u
    elif isinstance(base, Sum | Einsum):
        yield from _arguments(base)


# ---------------------------------------------------------------- expressions to polynomials


def _polynomial(base: Expr, exponent: Fraction, u: Expr) -> Polynomial | None:
    """A power of an expression, which goes entry by entry; None if it is no such polynomial."""
    share = _share(base, u)
    if share is not None:
        if exponent < 0 or exponent.denominator != 1:
            return _one(base, exponent)
        return {(frozenset(), (int(exponent), 0, 0, 0)): share ** int(exponent)}
    multiple, inner = scaled(base)
    if inner is not None and inner is not base and exponent.denominator == 1 and not multiple.powers:
        part = _polynomial(inner, exponent, u)
        constant = multiple.rational ** int(exponent)
        return None if part is None else {key: c * constant for key, c in part.items()}
    w, v = of(base, expm1), of(base, exp)
    if w is not None and exponent < 0 and exponent.denominator == 1:
        if w is u:
            return {(frozenset(), (0, int(-exponent), 0, 0)): Fraction(1)}
        if _share(w, u) == -1:
            return {(frozenset(), (0, 0, int(-exponent), 0)): Fraction(-1) ** int(exponent)}
    share_of = None if v is None else _share(v, u)
    if share_of is not None and (share_of * exponent).denominator == 1:
        return {(frozenset(), (0, 0, 0, int(share_of * exponent))): Fraction(1)}
    if exponent.denominator != 1 or not isinstance(base, Sum | Einsum):
        return _one(base, exponent)
    whole = _sum_or_product(base, u)
    if whole is None or exponent < 0:
        return _one(base, exponent) if next(_arguments(base), None) is None else None
    return _multiplied([whole] * int(exponent))


def _one(base: Expr, exponent: Fraction) -> Polynomial:
    """Something else, as it is."""
    axes = tuple(range(base.rank))
    return {(frozenset({((base, axes), exponent)}), (0, 0, 0, 0)): Fraction(1)}


def _share(w: Expr, u: Expr) -> Fraction | None:
    """R of w = r u."""
    (a, x), (b, y) = scaled(w), scaled(u)
    if x is not y or x is None or a.powers != b.powers or not b.rational:
        return None
    return a.rational / b.rational


def _sum_or_product(node: Expr, u: Expr) -> Polynomial | None:
    if isinstance(node, Sum):
        found: Polynomial = {}
        for term in node.terms:
            part = _sum_or_product(term, u)
            if part is None:
                return None
            for key, c in part.items():
                found[key] = found.get(key, ZERO) + c
        return found if len(found) <= MOST else None
    if not isinstance(node, Einsum):
        base, p = raised(node)
        return _polynomial(base, p, u)
    product, axes = monomial(node), tuple(range(node.rank))
    plain = product.output == axes and all(labels in ((), axes) for _, labels in product.powers)
    if not plain or product.coefficient.powers:
        return None
    parts = [_polynomial(base, p, u) for (base, _), p in product.powers.items()]
    return _multiplied([{(frozenset(), (0, 0, 0, 0)): product.coefficient.rational}, *parts])


def _multiplied(parts: list[Polynomial | None]) -> Polynomial | None:
    """The product, in which exp(u) T is S and exp(−u) S is T."""
    found: Polynomial = {(frozenset(), (0, 0, 0, 0)): Fraction(1)}
    for part in parts:
        if part is None or len(part) * len(found) > 4 * MOST:
            return None
        made: Polynomial = {}
        for (rest, powers), c in found.items():
            for (more, others), d in part.items():
                merged = dict(rest)
                for place, p in more:
                    merged[place] = merged.get(place, ZERO) + p
                a, b, s, k = (p + q for p, q in zip(powers, others, strict=True))
                while k > 0 and b > 0:
                    b, s, k = b - 1, s + 1, k - 1
                while k < 0 and s > 0:
                    b, s, k = b + 1, s - 1, k + 1
                key = (frozenset((place, p) for place, p in merged.items() if p), (a, b, s, k))
                made[key] = made.get(key, ZERO) + c * d
        found = {key: c for key, c in made.items() if c}
    return found if len(found) <= MOST else None


# ---------------------------------------------------------------- polynomials to expressions


def _sum(found: Polynomial, u: Expr) -> Expr | None:
    """The polynomial; None if it has one term only, or exponentials that are left over."""
    if len(found) < 2 or any(k for _, (_, _, _, k) in found) or not any(b + s for _, (_, b, s, _) in found):
        return None
    groups: dict[Rest, Group] = {}
    for (rest, (a, b, s, _)), c in found.items():
        groups.setdefault(rest, {})[a, b, s] = c
    groups = {rest: made for rest, group in groups.items() if (made := _unique(group))}
    if not groups:
        return number(0, u.shape)
    axes = tuple(range(u.rank))
    sizes = dict(enumerate(u.shape))
    return total([_with(rest, _group(group, u), axes, sizes) for rest, group in groups.items()])


def _unique(group: Group) -> Group:
    """The same by 1, T or S times powers of T S: other terms may cancel far from 0, where S is about 1."""
    sums: dict[tuple[int, int], list[Fraction]] = {}  # of u and T S: the parts with 1 and with T
    for (a, b, s), c in group.items():
        # Powers of T or of S that are left: T² = T S − T, S² = T S + S.
        sign, left = (-1, {(min(b, s), b - s): c}) if b > s else (1, {(min(b, s), s - b): c})
        while any(p > 1 for _, p in left):
            j, p = max(left, key=lambda key: key[1])
            c = left.pop((j, p))
            for key, d in (((j + 1, p - 2), c), ((j, p - 1), sign * c)):
                left[key] = left.get(key, ZERO) + d
        for (j, p), c in left.items():
            one, T = sums.setdefault((a, j), [ZERO, ZERO])
            sums[a, j] = [one + c * (not p or sign > 0), T + c * p]
    found: Group = {}
    for (a, j), (one, T) in sums.items():
        if one and one == T:
            found[a, j, j + 1] = one
        else:
            found.update({key: c for key, c in (((a, j, j), one), ((a, j + 1, j), T)) if c})
    return found


def _with(rest: Rest, value: Expr, axes: Labels, sizes: Mapping[int, Dim]) -> Expr:
    """A value times the other powers, in the order of their text."""
    if not rest:
        return value
    ordered = sorted(rest, key=lambda item: (repr(item[0][0]), item[1]))
    factors = {(base, axes if base.rank else ()): p for (base, _), p in ordered}
    return Monomial(ONE, {}, axes, sizes).times({**factors, (value, axes): Fraction(1)}).expr()


def _group(group: Group, u: Expr) -> Expr:
    """Σ c uᵃ Tᵇ Sᶜ, by its series near 0 where that is small against its terms."""
    lowest = min(a - b - s for a, b, s in group)
    series = _series(group, lowest)
    first = next((n for n, c in enumerate(series) if c), None)
    if not first or lowest + first < 0:
        return _closed(group, u)
    near = elementwise(abs_, u) < NEAR
    far = elementwise(where, near, number(NEAR, u.shape), u)
    return elementwise(where, near, _horner(series, lowest, u), _closed(group, far))


def _closed(group: Group, u: Expr) -> Expr:
    """The terms, with as many factors u T and u S as there can be: neither overflows, nor is 0 too early."""
    T, S = _reciprocal(u, 1), _reciprocal(u, -1)
    terms = []
    for (a, b, s), c in sorted(group.items()):
        factors: list[Expr] = []
        for power, one in ((b, T), (s, S)):
            paired = min(a, power)
            a -= paired
            if paired:
                factors.append(to_power(u * one, Fraction(paired)))
            if power > paired:
                factors.append(to_power(one, Fraction(power - paired)))
        if a:
            factors.append(to_power(u, Fraction(a)))
        terms.append(_product(c, factors, u))
    return total(terms)


def _reciprocal(u: Expr, sign: int) -> Expr:
    """T = 1/(exp(u) − 1), and S = 1/(1 − exp(−u))."""
    w = elementwise(expm1, u) if sign > 0 else negative(elementwise(expm1, negative(u)))
    return to_power(w, Fraction(-1))


def _product(c: Fraction, factors: list[Expr], u: Expr) -> Expr:
    value = number(1, u.shape) if not factors else factors[0]
    for factor in factors[1:]:
        value = value * factor
    return times(Coefficient(c), value)


def _horner(series: list[Fraction], lowest: int, u: Expr) -> Expr:
    """The series as far as it has digits; what is 0 in it is passed over."""
    places = [n for n, c in enumerate(series) if c and lowest + n <= ORDER]
    value: Expr | None = None
    for n, before in zip(reversed(places), [*reversed(places[:-1]), None], strict=True):
        c = number(Fraction(float(series[n])), u.shape)
        value = c if value is None else c + value
        gap = n - before if before is not None else lowest + n
        if gap:
            value = value * to_power(u, Fraction(gap))
    assert value is not None
    return value


def _series(group: Group, lowest: int) -> list[Fraction]:
    """The coefficients of u^(lowest + n)."""
    T = [b / factorial(n) for n, b in enumerate(_bernoulli())]
    S = [c + (n == 1) for n, c in enumerate(T)]
    result = [ZERO] * len(T)
    for (a, b, s), c in group.items():
        product = [c, *[ZERO] * (len(T) - 1)]
        for one in (*[T] * b, *[S] * s):
            product = [sum((product[i] * one[n - i] for i in range(n + 1)), ZERO) for n in range(len(T))]
        shift = a - b - s - lowest
        for n in range(len(T) - shift):
            result[n + shift] += product[n]
    return result


@cache
def _bernoulli() -> tuple[Fraction, ...]:
    """B₀, B₁ = −½, B₂, ..."""
    found: list[Fraction] = []
    for n in range(ORDER + 4):
        sums = sum((comb(n + 1, k) * b for k, b in enumerate(found)), ZERO)
        found.append(Fraction(1) if not n else -sums / (n + 1))
    return tuple(found)
