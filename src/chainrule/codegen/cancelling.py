"""Sums that lose their digits, and what stands in their place: 1 − cos(u), √(1 + u) − 1, 1 − tanh(u)².

A sum is replaced where its terms may be almost equal although the problem is well conditioned: functions are
close to a number there, their arguments are not. A difference of what is given, x² − y², is as good as what
is given, and stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import permutations

from chainrule.codegen.matching import Form, negative, of, raised, ratio, scaled, times, to_power, total
from chainrule.expr.dims import Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, elementwise, number
from chainrule.rules.activations import normcdf
from chainrule.rules.elementwise import (
    abs_,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    expm1,
    hypot,
    log,
    log1p,
    sigmoid,
    sin,
    sinh,
    softplus,
    sqrt,
    tanh,
    where,
)
from chainrule.rules.table import Row

HALF = Fraction(1, 2)
TWO = Coefficient(Fraction(2))
Split = tuple[Coefficient, Expr | None]
Less = Mapping[Row, Callable[[Expr], Expr]]


def _half_square(f: Row, factor: int) -> Callable[[Expr], Expr]:
    return lambda u: factor * elementwise(f, HALF * u) ** 2


# f(u) − 1 for functions f that come close to 1.
LESS_ONE: Less = {
    exp: lambda u: elementwise(expm1, u),
    cos: _half_square(sin, -2),
    cosh: _half_square(sinh, 2),
    sigmoid: lambda u: -elementwise(sigmoid, negative(u)),
    normcdf: lambda u: -elementwise(normcdf, negative(u)),
    erf: lambda u: -elementwise(erfc, u),
    erfc: lambda u: -elementwise(erf, u),
}
TANH_LESS_ONE: Less = {tanh: lambda u: -2 * elementwise(sigmoid, 2 * negative(u))}
# f(u)² − 1.
TANH_SQUARE_LESS_ONE: Less = {tanh: lambda u: -(elementwise(cosh, u) ** -2)}
SQUARE_LESS_ONE: Less = {
    cos: lambda u: -(elementwise(sin, u) ** 2),
    cosh: lambda u: elementwise(sinh, u) ** 2,
}


def _split(node: Expr) -> list[Split] | None:
    return [scaled(term) for term in node.terms] if isinstance(node, Sum) else None


def _replaced(node: Sum, gone: tuple[int, int], made: Expr) -> Expr:
    """The sum with one expression in the place of two of its terms."""
    return total([*(t for k, t in enumerate(node.terms) if k not in gone), made])


def _less_one(functions: Less, exponent: int) -> Callable[[Expr], Expr | None]:
    """Makes c f(u)ᵏ − c, other terms kept."""

    def make(node: Expr) -> Expr | None:
        parts = _split(node)
        for i, (c, constant) in enumerate(parts or ()):
            if constant is not None:
                continue
            for j, (a, e) in enumerate(parts or ()):
                if e is None or a != -c:
                    continue
                base, p = raised(e)
                if p != exponent or not isinstance(base, Apply) or base.function not in functions:
                    continue
                assert isinstance(node, Sum) and isinstance(base.function, Row)
                return _replaced(node, (i, j), times(a, functions[base.function](base.arguments[0])))
        return None

    return make


def _one_plus_tanh(node: Expr) -> Expr | None:
    """1 + tanh(u), which cancels where u is far below 0."""
    parts = _split(node)
    for i, (c, constant) in enumerate(parts or ()):
        for j, (a, e) in enumerate(parts or ()):
            u = of(e, tanh)
            if constant is None and u is not None and a == c:
                assert isinstance(node, Sum)
                return _replaced(node, (i, j), times(a, 2 * elementwise(sigmoid, 2 * u)))
    return None


def _sigmoids(node: Expr) -> Expr | None:
    """C σ(u) − c σ(−u), 2c σ(u) − c and 2c σ(u)² − c σ(u), which are small near u = 0."""
    parts = _split(node)
    for (i, (a, e)), (j, (b, f)) in permutations(enumerate(parts or ()), 2):
        base, p = (e, Fraction(1)) if e is None else raised(e)
        u, v = of(base, sigmoid), of(f, sigmoid)
        if u is None:
            continue
        half = elementwise(tanh, HALF * u)
        made = None
        if p == 1 and v is not None and ratio(u, v) == -1 and a == -b and scaled(u)[0].rational > 0:
            made = times(a, half)
        elif p == 1 and f is None and a == -TWO * b:
            made = times(-b, half)
        elif p == 2 and v is u and a == -TWO * b:
            made = times(-b, elementwise(sigmoid, u) * half)
        if made is not None:
            assert isinstance(node, Sum)
            return _replaced(node, (i, j), made)
    return None


def _two_exponentials(node: Expr) -> Expr | None:
    """A exp(u) ± a exp(−u)."""
    parts = _split(node)
    for (i, (a, e)), (j, (b, f)) in permutations(enumerate(parts or ()), 2):
        u, v = of(e, exp), of(f, exp)
        if u is None or v is None or ratio(u, v) != -1 or a not in (b, -b) or scaled(u)[0].rational < 0:
            continue
        assert isinstance(node, Sum)
        return _replaced(node, (i, j), times(a, 2 * elementwise(cosh if a == b else sinh, u)))
    return None


def _difference_of_roots(node: Expr) -> Expr | None:
    """C √a − c √b = c (a − b)/(√a + √b) where a − b is a number."""
    parts = _split(node)
    for (i, (c, e)), (j, (d, f)) in permutations(enumerate(parts or ()), 2):
        if e is None or c.rational < 0:
            continue
        a, p = raised(e)
        if p != HALF or not isinstance(a, Sum):
            continue
        if f is None:
            b: Expr = number((d * c**-1) ** 2, node.shape)
            root: Expr = number(-d * c**-1, node.shape)
        elif d == -c and raised(f)[1] == HALF:
            b, root = raised(f)[0], f
        else:
            continue
        if d.rational > 0:
            continue
        rest = _rest(a, b)
        if rest is None:
            continue
        assert isinstance(node, Sum)
        return _replaced(node, (i, j), times(c, rest / (elementwise(sqrt, a) + root)))
    return None


def _rest(a: Sum, b: Expr) -> Expr | None:
    """A − b where b is one of the terms of a, or a sum of some of them."""
    left = list(a.terms)
    for term in b.terms if isinstance(b, Sum) else (b,):
        c, e = scaled(term)
        place = next((k for k, t in enumerate(left) if scaled(t) == (c, e)), None)
        if place is None:
            return None
        del left[place]
    return total(left) if left else None


def _root_less_its_square(node: Expr) -> Expr | None:
    """√(r + v²) − v, which is r/(√(r + v²) + v) where v > 0."""
    parts = _split(node)
    for (i, (c, e)), (j, (d, v)) in permutations(enumerate(parts or ()), 2):
        if e is None or v is None:
            continue
        a, p = raised(e)
        if p != HALF or not isinstance(a, Sum) or c.rational == 0:
            continue
        # The second term is −c w with w² in the root: w = −(d/c) v.
        factor = -d * c**-1
        square = next(
            (k for k, t in enumerate(a.terms) if _is_square(t, factor, v)),
            None,
        )
        if square is None:
            continue
        rest = total([t for k, t in enumerate(a.terms) if k != square])
        w = times(factor, v)
        both = elementwise(sqrt, a) + elementwise(abs_, w)
        assert isinstance(node, Sum)
        return _replaced(node, (i, j), times(c, elementwise(where, w > 0, rest / both, both)))
    return None


def _is_square(term: Expr, factor: Coefficient, v: Expr) -> bool:
    """Whether a term is (factor · v)²."""
    c, e = scaled(term)
    if e is None or c != factor**2:
        return False
    if isinstance(e, Einsum):
        return e.coefficient.is_one and list(e.operands) == [v, v] and e == v * v
    base, p = raised(e)
    return p == 2 and base is v


def _difference_of_logarithms(node: Expr) -> Expr | None:
    """C ln(1 + u) − c ln(u)."""
    parts = _split(node)
    for (i, (c, e)), (j, (d, f)) in permutations(enumerate(parts or ()), 2):
        u = of(e, log1p)
        if u is not None and of(f, log) is u and d == -c:
            assert isinstance(node, Sum)
            return _replaced(node, (i, j), times(c, elementwise(log1p, to_power(u, Fraction(-1)))))
    return None


def _softplus(node: Expr) -> Expr | None:
    """C softplus(u) − c u, which is small where u is large."""
    parts = _split(node)
    for (i, (c, e)), (j, (d, f)) in permutations(enumerate(parts or ()), 2):
        u = of(e, softplus)
        if u is None:
            continue
        b, inner = scaled(u)
        if inner is f and d == -(c * b):
            assert isinstance(node, Sum)
            return _replaced(node, (i, j), times(c, elementwise(softplus, negative(u))))
    return None


def _hypotenuse(node: Expr) -> Expr | None:
    """C √(a² + b²)² − c a²."""
    parts = _split(node)
    for (i, (c, e)), (j, (d, f)) in permutations(enumerate(parts or ()), 2):
        if e is None or f is None or d != -c:
            continue
        (h, p), (x, q) = raised(e), raised(f)
        if p == q == 2 and isinstance(h, Apply) and h.function is hypot and x in h.arguments:
            assert isinstance(node, Sum)
            other = h.arguments[0] if x is h.arguments[1] else h.arguments[1]
            return _replaced(node, (i, j), times(c, other**2))
    return None


SUMS = (
    Form("exp(u) − exp(−u) = 2 sinh(u), with + 2 cosh(u)", "exp(x) - exp(-x)", _two_exponentials),
    Form(
        "σ(u) − σ(−u) = tanh(u/2), 2 σ(u) − 1 too", "sigmoid(x) - sigmoid(-x) + 2 * sigmoid(y) - 1", _sigmoids
    ),
    Form("√a − √b = (a − b)/(√a + √b)", "sqrt(1 + x) - 1", _difference_of_roots, "above 0"),
    Form(
        "√(r + v²) − v = r/(√(r + v²) + v) for v > 0", "sqrt(3 + x**2) - x", _root_less_its_square, "above 0"
    ),
    Form(
        "1 − f(u) as a product, or by the complementary function",
        "1 - cos(x)",
        _less_one(LESS_ONE, 1),
    ),
    Form("1 − cos(u)² = sin(u)², cosh(u)² − 1 = sinh(u)²", "1 - cos(x)**2", _less_one(SQUARE_LESS_ONE, 2)),
    Form("√(u² + v²)² − u² = v²", "hypot(x, y)**2 - x**2", _hypotenuse),
    Form("ln(1 + u) − ln(u) = ln(1 + 1/u)", "log1p(x) - log(x)", _difference_of_logarithms, "above 0"),
    Form("softplus(u) − u = softplus(−u)", "softplus(x) - x", _softplus),
)
# Those that leave a tanh that is there already.
TANHS = (
    Form("1 − tanh(u)² = 1/cosh(u)²", "1 - tanh(x)**2", _less_one(TANH_SQUARE_LESS_ONE, 2)),
    Form("1 − tanh(u) = 2 σ(−2u)", "1 - tanh(x)", _less_one(TANH_LESS_ONE, 1)),
    Form("1 + tanh(u) = 2 σ(2u)", "1 + tanh(x)", _one_plus_tanh),
)
