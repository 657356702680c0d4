"""Products, roots and logarithms whose parts leave the range of numbers, and what stands in their place.

exp(u) is infinite from u = 710 on (88 in single precision), and 0 below −745; x² from |x| = 10¹⁵⁴ on, and 0
below 10⁻¹⁶². The value of a formula that is made of them need not be.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from chainrule.codegen.matching import (
    Form,
    exponents,
    is_entrywise,
    is_positive,
    logarithm,
    negative,
    of,
    raised,
    ratio,
    scaled,
    times,
    to_power,
    total,
)
from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, constant_of, elementwise, number, permute
from chainrule.rules.elementwise import (
    abs_,
    cosh,
    exp,
    expm1,
    hypot,
    log,
    log1p,
    maximum,
    sigmoid,
    sinh,
    softplus,
    tanh,
    where,
)
from chainrule.rules.tensorial import logsumexp, norm, softmax

HALF = Fraction(1, 2)
LN2 = Coefficient(Fraction(2))
Factor = tuple[Expr, tuple[int, ...]]


# ---------------------------------------------------------------- logarithms


def _log_of_function(node: Expr) -> Expr | None:
    """Logarithms of functions that underflow or overflow before their logarithm does."""
    argument = of(node, log)
    u = of(argument, sigmoid)
    if u is not None:
        return negative(elementwise(softplus, negative(u)))
    return of(argument, exp)


def _log_softmax(node: Expr) -> Expr | None:
    x = of(of(node, log), softmax)
    if x is None:
        return None
    axes = tuple(range(x.rank))
    lengths = Einsum(-ONE, (Apply(logsumexp, (x,)),), (axes[:-1],), axes, dict(enumerate(x.shape)))
    return Sum((x, lengths))


def _log_of_difference(node: Expr) -> Expr | None:
    """ln(1 − exp(u)) and ln(exp(u) − 1)."""
    argument = of(node, log)
    if argument is None:
        return None
    sign, inner = scaled(argument)
    u = of(inner, expm1)
    if u is None or sign not in (ONE, -ONE):
        return None
    if sign == -ONE:
        # Mächler 2012: each form has all digits on its side of −ln 2.
        far = elementwise(log1p, negative(elementwise(exp, u)))
        return elementwise(where, u > Fraction(-7, 10), node, far)
    return elementwise(where, u > 1, u + elementwise(log1p, negative(elementwise(exp, negative(u)))), node)


def _log_cosh(node: Expr) -> Expr | None:
    """ln(c cosh(u)); with c = 1 it is 0 at u = 0."""
    argument = of(node, log)
    c, e = (ONE, None) if argument is None else scaled(argument)
    u = of(e, cosh)
    if u is None or not is_positive(c):
        return None
    size = elementwise(abs_, u)
    if not c.is_one:
        less = logarithm(c * Coefficient(HALF), u.shape)
        value = size + elementwise(softplus, -2 * size)
        return value if less is None else value + less
    ln2 = logarithm(LN2, u.shape)
    assert ln2 is not None
    far: Expr = size + elementwise(log1p, elementwise(exp, -2 * size)) - ln2
    near = elementwise(log1p, 2 * elementwise(sinh, HALF * elementwise(where, size > 1, size * 0, u)) ** 2)
    return elementwise(where, size > 1, far, near)


def _log1p(node: Expr) -> Expr | None:
    """ln(1 + u) and ln(1 + exp(u))."""
    argument = of(node, log1p)
    if argument is None:
        rest = _without_one(of(node, log))
        return None if rest is None else elementwise(log1p, rest)
    u = of(argument, exp)
    return None if u is None else elementwise(softplus, u)


def _without_one(node: Expr | None) -> Expr | None:
    """A sum without its term 1; None if it has no such term."""
    if not isinstance(node, Sum):
        return None
    k = next((k for k, t in enumerate(node.terms) if (c := constant_of(t)) is not None and c.is_one), None)
    return None if k is None else total([*node.terms[:k], *node.terms[k + 1 :]])


def _log_of_sum(node: Expr) -> Expr | None:
    """ln(a exp(u) + b exp(v) + …) with positive numbers a and b."""
    argument = of(node, log)
    if not isinstance(argument, Sum):
        return None
    parts = exponents(argument)
    if parts is None or not all(is_positive(c) for c, _ in parts) or all(u is None for _, u in parts):
        return None
    entries = []
    for c, u in parts:
        ln = logarithm(c, node.shape)
        summands = [e for e in (u, ln) if e is not None]
        entries.append(total(summands) if summands else number(0, node.shape))
    if len(entries) == 2:
        a, b = entries
        if constant_of(a) is not None and constant_of(a).is_zero:  # type: ignore[union-attr]
            return elementwise(softplus, b)
        larger, apart = elementwise(maximum, a, b), elementwise(abs_, a - b)
        return larger + elementwise(softplus, negative(apart))
    stacked = Stack(entries)
    return Apply(logsumexp, (permute(stacked, (*range(1, stacked.rank), 0)),))


def _log_sum_exp(node: Expr) -> Expr | None:
    """ln(Σ exp(x)) along some axes."""
    argument = of(node, log)
    found = None if argument is None else _summed(argument, exp)
    if argument is None or found is None:
        return None
    coefficient, x, axes = found
    if not is_positive(coefficient):
        return None
    value = _logsumexp(x, axes)
    labels = tuple(a for a in axes if a is not None)
    if labels != tuple(range(argument.rank)):
        sizes = dict(enumerate(argument.shape))
        value = Einsum(ONE, (value,), (labels,), tuple(range(argument.rank)), sizes)
    ln = logarithm(coefficient, argument.shape)
    return value if ln is None else value + ln


def _logsumexp(x: Expr, axes: Sequence[int | None]) -> Expr:
    """Ln Σ exp(x) along the axes whose place is None."""
    kept = [k for k, place in enumerate(axes) if place is not None]
    value = permute(x, (*kept, *(k for k, place in enumerate(axes) if place is None)))
    while value.rank > len(kept):
        value = Apply(logsumexp, (value,))
    return value


def _summed(node: Expr, function: object) -> tuple[Coefficient, Expr, tuple[int | None, ...]] | None:
    """c, x and, for each axis of x, its axis in c Σ f(x), None where it is summed; None unless one is."""
    coefficient = ONE
    places: list[int | None] = list(range(node.rank))
    while isinstance(node, Einsum) and len(node.operands) == 1:
        (labels,) = node.labels
        if len(set(labels)) < len(labels) or len(set(node.output)) < len(node.output):
            return None
        # Labels that nothing carries are broadcast; if one is summed it counts, so its size must be 1.
        outside = {label: places[k] for k, label in enumerate(node.output)}
        lost = [label for label in node.output if label not in labels and outside[label] is None]
        if any(node.sizes[label].constant != 1 for label in lost):
            return None
        coefficient = coefficient * node.coefficient
        node, places = node.operands[0], [outside.get(label) for label in labels]
    x = of(node, function)
    if x is None or all(p is not None for p in places):
        return None
    return coefficient, x, tuple(places)


# ---------------------------------------------------------------- powers


def _logistic(node: Expr) -> Expr | None:
    """(1 + exp(u))⁻ᵏ = σ(−u)ᵏ."""
    base, p = raised(node)
    rest = _without_one(base) if p < 0 else None
    u = of(rest, exp)
    return None if u is None else to_power(elementwise(sigmoid, negative(u)), -p)


def _power_of_exponential(node: Expr) -> Expr | None:
    """exp(u)ᵖ = exp(p u)."""
    base, p = raised(node)
    u = of(base, exp)
    return None if u is None or base is node else elementwise(exp, p * u)


def _length(node: Expr) -> Expr | None:
    """(Σ x²)^½ along some axes is a norm; (x² + y²)^½ is hypot(x, y)."""
    base, p = raised(node)
    if p.denominator != 2 or base is node:
        return None
    squares = [_squared(t) for t in base.terms] if isinstance(base, Sum) and len(base.terms) == 2 else []
    if len(squares) == 2 and squares[0] is not None and squares[1] is not None:
        return to_power(elementwise(hypot, squares[0], squares[1]), 2 * p)
    x = _squares_summed(base)
    return None if x is None else to_power(x, 2 * p)


def _squared(node: Expr) -> Expr | None:
    """X of x²."""
    base, p = raised(node)
    if p == 2:
        return base
    if not isinstance(node, Einsum) or len(node.operands) != 2 or not node.coefficient.is_one:
        return None
    x, again = node.operands
    return x if x is again and is_entrywise(node) else None


def _squares_summed(node: Expr) -> Expr | None:
    """‖x‖ of the sum of x² along some axes."""
    if not isinstance(node, Einsum) or not node.coefficient.is_one:
        return None
    if len(node.operands) == 2 and node.operands[0] is node.operands[1] and node.labels[0] == node.labels[1]:
        x = node.operands[0]
    elif len(node.operands) == 1 and raised(node.operands[0])[1] == 2:
        x = raised(node.operands[0])[0]
    else:
        return None
    labels = node.labels[0]
    gone = [a for a in range(x.rank) if labels[a] not in node.output]
    kept = [a for a in range(x.rank) if labels[a] in node.output]
    if not gone or len(set(labels)) < len(labels) or [labels[a] for a in kept] != list(node.output):
        return None
    return Apply(norm, (permute(x, (*kept, *gone)),), (len(gone),))


# ---------------------------------------------------------------- products


def _factors(node: Expr) -> list[Factor]:
    return list(zip(node.operands, node.labels, strict=True)) if isinstance(node, Einsum) else []


def _product(node: Einsum, gone: Sequence[int], made: Sequence[Factor], sign: int = 1) -> Expr:
    """The product with other factors in the place of some."""
    factors = [f for k, f in enumerate(_factors(node)) if k not in gone]
    factors += [f for f in made if constant_of(f[0]) != ONE]
    coefficient = node.coefficient if sign > 0 else -node.coefficient
    sizes = dict(enumerate(node.sizes))
    carried = {label for _, labels in factors for label in labels} | set(node.output)
    assert all(label in carried or dim.constant == 1 for label, dim in sizes.items())
    return Einsum(coefficient, [f[0] for f in factors], [f[1] for f in factors], node.output, sizes)


def _exponentials(node: Expr) -> Expr | None:
    """exp(u) exp(v) = exp(u + v)."""
    factors = _factors(node)
    for i, (a, labels) in enumerate(factors):
        for j in range(i + 1, len(factors)):
            u, v = of(a, exp), of(factors[j][0], exp)
            if u is not None and v is not None and factors[j][1] == labels:
                assert isinstance(node, Einsum)
                return _product(node, (i, j), [(elementwise(exp, u + v), labels)])
    return None


def _softmax(node: Expr) -> Expr | None:
    """exp(x)/Σ exp(x)."""
    for j, (b, outer) in enumerate(_factors(node)):
        D, p = raised(b)
        found = _summed(D, exp) if p.denominator == 1 and p.numerator < 0 else None
        if found is None or not is_positive(found[0]):
            continue
        coefficient, x, axes = found
        assert isinstance(node, Einsum)
        node, j = _with_factors_of(node, j, elementwise(exp, x))
        for i, (a, inner) in enumerate(_factors(node)):
            if of(a, exp) is not x or not _meets(node, j, inner, outer, axes):
                continue
            made = [_softmax_along(x, axes, inner)]
            if p < -1:
                made.append((to_power(D, p + 1), outer))
            return times(coefficient**-1, _product(node, (i, j), made))
    return None


def _softmax_along(x: Expr, axes: Sequence[int | None], labels: tuple[int, ...]) -> Factor:
    """softmax(x) along the axes whose place is None, and its labels."""
    kept = [k for k, place in enumerate(axes) if place is not None]
    gone = [k for k, place in enumerate(axes) if place is None]
    if len(gone) == 1:
        return Apply(softmax, (permute(x, (*kept, *gone)),)), tuple(labels[k] for k in (*kept, *gone))
    sizes = dict(enumerate(x.shape))
    less = Einsum(-ONE, (_logsumexp(x, axes),), (kept,), tuple(range(x.rank)), sizes)
    return elementwise(exp, x + less), labels


def _with_factors_of(node: Einsum, j: int, factor: Expr) -> tuple[Einsum, int]:
    """The product with the operands multiplied in that are products with a factor; the place of j."""
    factors: list[Factor] = []
    coefficient, sizes, place = node.coefficient, dict(enumerate(node.sizes)), j
    for k, (operand, labels) in enumerate(_factors(node)):
        if k == j:
            place = len(factors)
        plain = isinstance(operand, Einsum) and factor in operand.operands
        if not plain or not isinstance(operand, Einsum) or not _carries_all(operand):
            factors.append((operand, labels))
            continue
        renamed = dict(zip(operand.output, labels, strict=True))
        for label, size in enumerate(operand.sizes):
            if label not in renamed:
                renamed[label] = len(sizes)
                sizes[len(sizes)] = size
        coefficient = coefficient * operand.coefficient
        factors += [(e, tuple(renamed[a] for a in axes)) for e, axes in _factors(operand)]
    return Einsum(coefficient, [f[0] for f in factors], [f[1] for f in factors], node.output, sizes), place


def _carries_all(node: Einsum) -> bool:
    """Whether each axis of a product is one of an operand, and none is a diagonal."""
    carried = {label for labels in node.labels for label in labels}
    return set(node.output) <= carried and len(set(node.output)) == len(node.output)


def _meets(
    node: Einsum, j: int, inner: tuple[int, ...], outer: tuple[int, ...], axes: Sequence[int | None]
) -> bool:
    """Whether a factor with labels `inner` is what factor j sums, and no axis is lost with factor j."""
    if any(place is not None and outer[place] != inner[k] for k, place in enumerate(axes)):
        return False
    others = {label for k, labels in enumerate(node.labels) if k != j for label in labels}
    return all(label in others or label in node.output or node.sizes[label].constant == 1 for label in outer)


def _exponential_over_sum(node: Expr) -> Expr | None:
    """exp(w) (a + b exp(v))⁻ᵏ = (a exp(−w/k) + b exp(v − w/k))⁻ᵏ."""
    factors = _factors(node)
    for i, (a, labels) in enumerate(factors):
        w = of(a, exp)
        for j, (b, places) in enumerate(factors):
            if w is None or places != labels or i == j:
                continue
            base, p = raised(b)
            made = _divided(w, base, p) if base is not w else None
            if made is not None:
                assert isinstance(node, Einsum)
                sign, new = made
                return _product(node, (i, j), [(f, labels) for f in new], sign)
    return None


def _exponential_into_sum(node: Expr) -> Expr | None:
    """exp(w) (a + b) where each term takes exp(w) in, as in derivatives of 1/(exp(u) − 1)."""
    factors = _factors(node)
    for i, (a, labels) in enumerate(factors):
        for j, (b, places) in enumerate(factors):
            if of(a, exp) is None or not isinstance(b, Sum) or places != labels:
                continue
            terms = [_exponential_over_sum(_multiplied(a, term)) for term in b.terms]
            if None not in terms:
                assert isinstance(node, Einsum)
                return _product(node, (i, j), [(total([t for t in terms if t is not None]), labels)])
    return None


def _multiplied(factor: Expr, term: Expr) -> Einsum:
    """The product of both, entry by entry, as one with the factors of the term."""
    axes = tuple(range(term.rank))
    parts, coefficient = [(term, axes)], ONE
    if isinstance(term, Einsum) and term.output == axes and all(own == axes for own in term.labels):
        parts, coefficient = _factors(term), term.coefficient
    operands, labels = zip((factor, axes), *parts, strict=True)
    return Einsum(coefficient, operands, labels, axes, dict(enumerate(term.shape)))


def _divided(w: Expr, base: Expr, p: Fraction) -> tuple[int, list[Expr]] | None:
    """A sign and factors whose product is exp(w) baseᵖ."""
    u = of(base, sigmoid)
    if u is not None and p > 0:
        share = ratio(w, u)
        if share is None or not 0 < -share <= p:
            return None
        return 1, [to_power(elementwise(sigmoid, negative(u)), -share), _rest_power(base, p + share)]
    c, e = scaled(base)
    u = of(e, expm1)
    if u is not None and p < 0 and c in (ONE, -ONE):
        share = ratio(w, u)
        if share is None or share.denominator != 1 or not 0 < share <= -p or p.denominator != 1:
            return None
        sign = -1 if share % 2 and c == ONE else 1
        return sign, [to_power(elementwise(expm1, negative(u)), -share), _rest_power(base, p + share)]
    parts = _exponents(base) if p < 0 else None
    if parts is None or not all(is_positive(c) for c, _ in parts) or all(u is None for _, u in parts):
        return None
    less = (1 / p) * w
    terms = [times(c, elementwise(exp, less if u is None else _sum_of(u, less))) for c, u in parts]
    constants = [k for k, (c, u) in enumerate(parts) if u is not None and ratio(u, w) == -1 / p]
    for k in constants:
        terms[k] = number(parts[k][0], w.shape)
    return 1, [to_power(total(terms), p)]


def _exponents(base: Expr) -> list[tuple[Coefficient, Expr | None]] | None:
    """C and u for each term c exp(u) of a sum or of a multiple of cosh(u)."""
    c, e = scaled(base)
    u = of(e, cosh)
    if u is not None:
        half = c * Coefficient(HALF)
        return [(half, u), (half, negative(u))]
    return exponents(base) if isinstance(base, Sum) else None


def _sum_of(u: Expr, v: Expr) -> Expr:
    """U + v; one multiple where they are multiples of one expression."""
    (a, x), (b, y) = scaled(u), scaled(v)
    return times(a + b, x) if x is y and x is not None and a.powers == b.powers else u + v


def _rest_power(base: Expr, exponent: Fraction) -> Expr:
    return to_power(base, exponent) if exponent else number(1, base.shape)


def _sinh_over_cosh(node: Expr) -> Expr | None:
    """sinh(u) cosh(u)⁻ᵏ = tanh(u) cosh(u)¹⁻ᵏ."""
    factors = _factors(node)
    for i, (a, labels) in enumerate(factors):
        c, e = scaled(a)
        top, m = raised(e) if e is not None else (a, Fraction(0))
        u = of(top, sinh)
        if u is None:
            continue
        for j, (b, places) in enumerate(factors):
            base, p = raised(b)
            d, f = scaled(base)
            whole = m.denominator == p.denominator == 1 and 0 < m <= -p
            if places != labels or of(f, cosh) is not u or not whole:
                continue
            assert isinstance(node, Einsum) and f is not None
            made = [to_power(elementwise(tanh, u), m), _rest_power(f, p + m)]
            result = _product(node, (i, j), [(g, labels) for g in made])
            return times(c * d ** int(p), result)
    return None


LOGARITHMS = (
    Form("ln σ(u) = −softplus(−u), ln exp(u) = u", "log(sigmoid(x))", _log_of_function),
    Form("ln softmax(u) = u − logsumexp(u)", "log(softmax(u))", _log_softmax),
    Form("ln(1 − exp(u)) = ln(−expm1(u)), far below 0 log1p(−exp(u)); ln(exp(u) − 1) = u + ln(1 − exp(−u))",
         "log(-expm1(-x))", _log_of_difference, "above 0"),
    Form("ln cosh(u) = |u| + ln(1 + exp(−2|u|)) − ln 2", "log(cosh(x)) + log(3 * cosh(y))", _log_cosh),
    Form("ln Σ exp(u) = logsumexp(u)", "log(sum(exp(u)))", _log_sum_exp),
    Form("ln(exp(u) + exp(v)) = max(u, v) + ln(1 + exp(−|u − v|))", "log(exp(x) + exp(y))", _log_of_sum),
    Form("ln(1 + u) = log1p(u), ln(1 + exp(u)) = softplus(u)", "log1p(exp(x))", _log1p),
)  # fmt: skip
POWERS = (
    Form("1/(1 + exp(u)) = σ(−u)", "1 / (1 + exp(x))", _logistic),
    Form("exp(u)ᵖ = exp(p u)", "exp(x)**3", _power_of_exponential),
    Form("√(Σ u²) = ‖u‖", "sqrt(sum(u**2))", _length),
)
PRODUCTS = (
    Form("exp(u) exp(v) = exp(u + v)", "exp(x) * exp(-y)", _exponentials),
    Form("exp(u)/Σ exp(u) = softmax(u)", "exp(u) / sum(exp(u))", _softmax),
    Form("exp(u)/(a + b exp(v)) divided by exp(u)", "exp(x) / (2 + exp(x))", _exponential_over_sum),
    Form("exp(u) (a + b) = exp(u) a + exp(u) b where both are such quotients",
         "exp(x) * (1 / expm1(x)**2 + y / expm1(x))", _exponential_into_sum),
    Form("sinh(u)/cosh(u) = tanh(u)", "sinh(x) / cosh(x)**2", _sinh_over_cosh),
)  # fmt: skip
