"""What simplification may do to functions, one named row each.

A row looks at one function node with canonical arguments and gives an equal expression, or None. `ends`
says why it cannot run for ever. Facts about parts (symmetric, positive) come from the caller, who knows the
assumptions. Identities of products belong to `simplify.powers` and
`simplify.inverses`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, isqrt, lcm
from typing import Protocol

from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import (
    Apply,
    Einsum,
    Expr,
    Labels,
    Stack,
    Sum,
    add,
    constant_of,
    elementwise,
    negate,
    number,
    permute,
    reduce_sum,
    scale,
)
from chainrule.rules.activations import lognormcdf, normcdf
from chainrule.rules.constants import BASIS, MERGE, SELECT, E
from chainrule.rules.elementwise import (
    abs_,
    cos,
    cosh,
    equal,
    exp,
    expm1,
    floor,
    greater,
    greater_equal,
    log,
    log1p,
    maximum,
    minimum,
    not_equal,
    power,
    relu,
    round_,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    sqrt,
    where,
)
from chainrule.rules.exponential import MAPS, expm
from chainrule.rules.factors import lower_mask, pinv
from chainrule.rules.indexing import WINDOW, one_hot
from chainrule.rules.reductions import prod
from chainrule.rules.spectral import polar, polar_frechet
from chainrule.rules.table import ROWS, Elementwise, Row, Tensorial
from chainrule.rules.tensorial import (
    CHOSEN,
    amax,
    amin,
    det,
    inv,
    logdet,
    logsumexp,
    matrix_power,
    norm,
    softmax,
    unit,
)


class Facts(Protocol):
    """What a row may ask about canonical expressions."""

    def has(self, expr: Expr, structure: str) -> bool: ...
    def is_positive(self, expr: Expr) -> bool: ...
    def is_symmetric(self, expr: Expr) -> bool: ...
    def is_opposite(self, a: Expr, b: Expr) -> bool: ...
    def transpose(self, expr: Expr) -> Expr: ...


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One identity: its name, the function it looks at, and why it ends."""

    name: str
    head: str
    apply: Callable[[Facts, Apply], Expr | None]
    ends: str


by_head: dict[str, list[Rewrite]] = {}


def _rewrite(
    name: str, *heads: Row, ends: str
) -> Callable[[Callable[[Facts, Apply], Expr | None]], Callable[[Facts, Apply], Expr | None]]:
    def register(function: Callable[[Facts, Apply], Expr | None]) -> Callable[[Facts, Apply], Expr | None]:
        for head in heads:
            by_head.setdefault(head.name, []).append(Rewrite(name, head.name, function, ends))
        return function

    return register


def _function(expr: Expr, *rows: Row) -> Apply | None:
    return expr if isinstance(expr, Apply) and expr.function in rows else None


def _rational(expr: Expr) -> Fraction | None:
    """The plain number that fills `expr`, if there is no size in it."""
    constant = constant_of(expr)
    return constant.rational if constant is not None and not constant.powers else None


def _scaled(expr: Expr) -> tuple[Coefficient, Expr]:
    """A single product as its coefficient and the rest; a constant is left whole."""
    if isinstance(expr, Einsum) and expr.operands and not expr.coefficient.is_one:
        if len(expr.operands) == 1 and expr.labels[0] == expr.output and len(set(expr.output)) == expr.rank:
            return expr.coefficient, expr.operands[0]
        return expr.coefficient, Einsum(
            ONE, expr.operands, expr.labels, expr.output, dict(enumerate(expr.sizes))
        )
    return ONE, expr


def content(expr: Sum) -> Coefficient:
    """The number that all terms share, signed by the first term, and the sizes that all have.

    A size counts where all terms have it above the line, or all below.

    x − (1/n) sum(x) has the content 1.
    """
    coefficients = [t.coefficient if isinstance(t, Einsum) else ONE for t in expr.terms]
    if all([c is ONE for c in coefficients]):
        return ONE
    first = coefficients[0].rational
    numerator = gcd(*(c.rational.numerator for c in coefficients))
    denominator = lcm(*(c.rational.denominator for c in coefficients))
    # Decimals stay as they were given: x + 0.044715 x³, not 200000 x + 8943 x³.
    if denominator >= 100 and denominator % 10 == 0 and len({abs(c.rational) for c in coefficients}) > 1:
        numerator = denominator = 1
    powers: list[tuple[Dim, int]] = []
    for dim, _ in coefficients[0].powers:
        exponents = [dict(c.powers).get(dim, 0) for c in coefficients]
        if min(exponents) * max(exponents) > 0:
            powers.append((dim, min(exponents, key=abs)))
    return Coefficient(Fraction(numerator if first > 0 else -numerator, denominator), tuple(powers))


def _constant(value: Fraction | int, like: Expr) -> Expr:
    return number(Fraction(value), like.shape)


# ---------------------------------------------------------------- numbers

_EXACT: dict[str, dict[Fraction, int]] = {
    "exp": {Fraction(0): 1},
    "log": {Fraction(1): 0},
    "sin": {Fraction(0): 0},
    "cos": {Fraction(0): 1},
    "tan": {Fraction(0): 0},
    "sinh": {Fraction(0): 0},
    "cosh": {Fraction(0): 1},
    "tanh": {Fraction(0): 0},
    "arcsin": {Fraction(0): 0},
    "arccos": {Fraction(1): 0},
    "arctan": {Fraction(0): 0},
    "erf": {Fraction(0): 0},
}


@_rewrite("exact value", *(ROWS[name] for name in _EXACT), ends="a function becomes a number")
def _exact_value(facts: Facts, node: Apply) -> Expr | None:
    value = _rational(node.arguments[0])
    known = _EXACT[node.function.name].get(value) if value is not None else None
    return None if known is None else _constant(known, node)


@_rewrite("logarithm of e", log, ends="a function becomes a number")
def _log_e(facts: Facts, node: Apply) -> Expr | None:
    return number(1) if node.arguments[0] is Apply(E) else None


@_rewrite("value of a number", abs_, sign, relu, ends="a function becomes a number")
def _piecewise_number(facts: Facts, node: Apply) -> Expr | None:
    value = _rational(node.arguments[0])
    if value is None:
        return None
    signum = (value > 0) - (value < 0)
    return _constant(
        {"abs": abs(value), "sign": Fraction(signum), "relu": max(value, Fraction(0))}[node.function.name],
        node,
    )


@_rewrite("nearest integers of a number", floor, round_, ends="a function becomes a number")
def _integer_part(facts: Facts, node: Apply) -> Expr | None:
    value = _rational(node.arguments[0])
    if value is None:
        return None
    return _constant(value.__floor__() if node.function is floor else round(value), node)


@_rewrite(
    "comparison of numbers", greater, greater_equal, equal, not_equal, ends="a function becomes a number"
)
def _compared_numbers(facts: Facts, node: Apply) -> Expr | None:
    a, b = map(_rational, node.arguments)
    if a is None or b is None:
        if node.arguments[0] is node.arguments[1]:
            return _constant(int(node.function in (greater_equal, equal)), node)
        if node.function is not_equal and b == 0 and _indicator(node.arguments[0]):
            return node.arguments[0]
        return None
    truth = {"greater": a > b, "greater_equal": a >= b, "equal": a == b, "not_equal": a != b}[
        node.function.name
    ]
    return _constant(int(truth), node)


def _indicator(expr: Expr) -> bool:
    """Whether its entries are 0 and 1."""
    if not isinstance(expr, Apply):
        return False
    row = expr.function
    constant = row in (SELECT, BASIS, MERGE, WINDOW, lower_mask, one_hot, *CHOSEN)
    return constant or (isinstance(row, Elementwise) and row.indicator)


@_rewrite("larger or smaller of numbers", maximum, minimum, ends="a function becomes one of its arguments")
def _extreme_number(facts: Facts, node: Apply) -> Expr | None:
    a, b = map(_rational, node.arguments)
    if node.arguments[0] is node.arguments[1]:
        return node.arguments[0]
    if a is None or b is None:
        return None
    return _constant(max(a, b) if node.function is maximum else min(a, b), node)


# ---------------------------------------------------------------- powers


@_rewrite("square root is a power", sqrt, ends="no row makes a square root")
def _sqrt(facts: Facts, node: Apply) -> Expr | None:
    return node.arguments[0] ** number(Fraction(1, 2))


@_rewrite("logarithm of a picked entry", log, ends="the logarithm moves to a smaller part")
def _log_of_pick(facts: Facts, node: Apply) -> Expr | None:
    """Log Σ_v M_av p_av = Σ_v M_av log p_av for rows M of zeros with a single 1, and p > 0."""
    inside = node.arguments[0]
    if not isinstance(inside, Einsum) or len(inside.operands) != 2 or not inside.coefficient.is_one:
        return None
    hot = next((k for k, o in enumerate(inside.operands) if _function(o, one_hot) is not None), None)
    if hot is None:
        return None
    other, mine, theirs = inside.operands[1 - hot], inside.labels[hot], inside.labels[1 - hot]
    summed = {a for labels in inside.labels for a in labels} - set(inside.output)
    if summed != {mine[-1]} or mine[-1] not in theirs or not facts.is_positive(other):
        return None
    operands = [o if k == hot else elementwise(log, o) for k, o in enumerate(inside.operands)]
    return Einsum(ONE, operands, inside.labels, inside.output, dict(enumerate(inside.sizes)))


@_rewrite("logarithm of 1 + x", log1p, ends="no row makes log1p")
def _log1p(facts: Facts, node: Apply) -> Expr | None:
    return elementwise(log, 1 + node.arguments[0])


@_rewrite("exponential minus 1", expm1, ends="no row makes expm1")
def _expm1(facts: Facts, node: Apply) -> Expr | None:
    return elementwise(exp, node.arguments[0]) - 1


def _root(value: Fraction, degree: int) -> Fraction | None:
    """The exact square root of a fraction ≥ 0, if it is one."""
    if degree != 2 or value < 0:
        return None
    top, bottom = isqrt(value.numerator), isqrt(value.denominator)
    return (
        Fraction(top, bottom)
        if top * top == value.numerator and bottom * bottom == value.denominator
        else None
    )


def _number_power(base: Coefficient, exponent: Fraction) -> Coefficient | None:
    """baseᵉ where it is exact and of moderate size."""
    if exponent.denominator == 1:
        size = max(base.rational.numerator.bit_length(), base.rational.denominator.bit_length())
        if base.is_zero:
            return base if exponent > 0 else None
        return base ** int(exponent) if size * abs(exponent) <= 4096 else None
    root = _root(base.rational, exponent.denominator)
    if root is None or base.powers or not root or abs(exponent) > 64:
        return None
    return Coefficient(root) ** int(exponent * 2)


@_rewrite("trivial power", power, ends="a power becomes a factor or a number")
def _trivial_power(facts: Facts, node: Apply) -> Expr | None:
    base, exponent = node.arguments
    e = _rational(exponent)
    if e == 0:
        return _constant(1, node)
    if e == 1:
        return base
    constant = constant_of(base)
    if constant is not None and constant.is_one:
        return base
    if constant is not None and e is not None:
        value = _number_power(constant, e)
        return None if value is None else number(value, node.shape)
    if isinstance(base, Apply) and base.function is E:
        return elementwise(exp, exponent)
    if e is not None and e > 0 and _indicator(base):
        return base
    diagonal = _diagonal_of(base)
    if e is not None and e > 0 and diagonal is not None:
        return Einsum(ONE, (diagonal ** number(e),), ((0,),), (0, 0))
    if e is not None and e.denominator == 1 and facts.has(base, "sign"):
        return base if e % 2 else _constant(1, node)
    return None


@_rewrite("power of a power", power, ends="two powers become one")
def _power_of_power(facts: Facts, node: Apply) -> Expr | None:
    base, outer = node.arguments
    inner = _function(base, power)
    if inner is None:
        return None
    inside, first = inner.arguments
    e, f = _rational(outer), _rational(first)
    if (
        (e is not None and e.denominator == 1)
        or facts.is_positive(inside)
        or facts.has(inside, "nonnegative")
    ):
        return inside ** (first * outer)
    if e is not None and f is not None and f.denominator == 1 and f % 2 == 0:
        return elementwise(abs_, inside) ** number(e * f)
    return None


@_rewrite("power of a product", power, ends="powers move to smaller parts")
def _power_of_product(facts: Facts, node: Apply) -> Expr | None:
    """(c x y)ᵉ = cᵉ xᵉ yᵉ; where e is no integer only over factors known to be positive, and an exact cᵉ."""
    base, exponent = node.arguments
    e, constant = _rational(exponent), constant_of(exponent)
    if not isinstance(base, Einsum) or not base.operands or constant is None:
        return None
    carried = {label for axes in base.labels for label in axes}
    if len(set(base.output)) != len(base.output) or not carried <= set(base.output):
        return None
    if any(len(set(axes)) != len(axes) for axes in base.labels):
        return None
    pairs = list(zip(base.operands, base.labels, strict=True))
    if e is not None and e.denominator == 1:
        outside, inside, coefficient, left = pairs, [], base.coefficient ** int(e), ONE
    else:
        outside = [part for part in pairs if facts.is_positive(part[0])]
        inside = [part for part in pairs if part not in outside]
        root = _number_power(base.coefficient, e) if e is not None else None
        coefficient, left = (ONE, base.coefficient) if root is None else (root, ONE)
        if not outside and coefficient.is_one:
            return None
    sizes = dict(enumerate(base.sizes))
    operands = [elementwise(power, part, number(constant)) for part, _ in outside]
    labels = [axes for _, axes in outside]
    if inside or not left.is_one:
        kept = tuple(sorted({label for _, axes in inside for label in axes}))
        rest = Einsum(left, [part for part, _ in inside], [axes for _, axes in inside], kept, sizes)
        operands.append(elementwise(power, rest, number(constant)))
        labels.append(kept)
    return Einsum(coefficient, operands, labels, base.output, sizes)


@_rewrite("content of a sum in a power", power, ends="the sum becomes primitive")
def _power_of_content(facts: Facts, node: Apply) -> Expr | None:
    base, exponent = node.arguments
    e = _rational(exponent)
    if not isinstance(base, Sum) or e is None or e.denominator != 1:
        return None
    common = content(base)
    return None if common.is_one else scale(common ** int(e), scale(common**-1, base) ** number(e))


@_rewrite("power of an exponential", power, ends="two functions become one")
def _power_of_exp(facts: Facts, node: Apply) -> Expr | None:
    inner = _function(node.arguments[0], exp)
    return None if inner is None else elementwise(exp, inner.arguments[0] * node.arguments[1])


@_rewrite("even power of an absolute value", power, ends="one function fewer")
def _power_of_abs(facts: Facts, node: Apply) -> Expr | None:
    inner, e = _function(node.arguments[0], abs_), _rational(node.arguments[1])
    if inner is None or e is None or e.denominator != 1 or e % 2:
        return None
    return inner.arguments[0] ** node.arguments[1]


@_rewrite("even power of a norm", power, ends="a norm becomes a sum of squares")
def _power_of_norm(facts: Facts, node: Apply) -> Expr | None:
    inner, e = _function(node.arguments[0], norm), _rational(node.arguments[1])
    if inner is None or e is None or e.denominator != 1 or e % 2:
        return None
    x, r = inner.arguments[0], inner.parameters[0]
    axes = tuple(range(x.rank))
    squares = Einsum(ONE, (x**2,), (axes,), axes[: x.rank - r])
    return squares ** number(e / 2)


@_rewrite(
    "root of a sum of squares", power, ends="a sum of squares becomes a norm, an odd power of which stays"
)
def _root_of_squares(facts: Facts, node: Apply) -> Expr | None:
    base, e = node.arguments[0], _rational(node.arguments[1])
    if e is None or e.denominator != 2 or not isinstance(base, Einsum) or len(base.operands) != 1:
        return None
    squared, labels = _function(base.operands[0], power), base.labels[0]
    if squared is None or _rational(squared.arguments[1]) != 2 or len(set(labels)) != len(labels):
        return None
    if len(set(base.output)) != len(base.output) or not set(base.output) < set(labels):
        return None
    root = _number_power(base.coefficient, e)
    if root is None:
        return None
    batch = [labels.index(a) for a in base.output]
    core = [k for k in range(len(labels)) if k not in batch]
    moved = permute(squared.arguments[0], (*batch, *core))
    return scale(root, Apply(norm, (moved,), (len(core),)) ** number(2 * e))


@_rewrite("1/(1 + exp(u)) = σ(−u)", power, ends="three functions become one")
def _sigmoid(facts: Facts, node: Apply) -> Expr | None:
    e = constant_of(node.arguments[1])
    if e is None or e.rational >= 0:
        return None
    u = _one_plus_exp(node.arguments[0])
    return None if u is None else elementwise(sigmoid, negate(u)) ** number(-e)


def _one_plus_exp(expr: Expr) -> Expr | None:
    """u, if `expr` is 1 + exp(u)."""
    if isinstance(expr, Sum) and len(expr.terms) == 2:
        for one, other in (expr.terms, expr.terms[::-1]):
            inner = _function(other, exp)
            if inner is not None and _rational(one) == 1:
                return inner.arguments[0]
            # exp(u) that repeats along an axis is an exponential inside a broadcast.
            if (
                _rational(one) == 1
                and isinstance(other, Einsum)
                and other.coefficient.is_one
                and len(other.operands) == 1
            ):
                inner = _function(other.operands[0], exp)
                distinct = len(set(other.output)) == len(other.output)
                if inner is not None and distinct and set(other.labels[0]) <= set(other.output):
                    return Einsum(
                        ONE, inner.arguments, other.labels, other.output, dict(enumerate(other.sizes))
                    )
    return None


# ---------------------------------------------------------------- exponentials and logarithms


@_rewrite("exp of log", exp, ends="two functions fewer")
def _exp_of_log(facts: Facts, node: Apply) -> Expr | None:
    coefficient, body = _scaled(node.arguments[0])
    inner = _function(body, log)
    if inner is None:
        return None
    return inner.arguments[0] if coefficient.is_one else inner.arguments[0] ** number(coefficient)


@_rewrite("exp of a sum with a logarithm", exp, ends="a logarithm becomes a factor")
def _exp_of_sum(facts: Facts, node: Apply) -> Expr | None:
    argument = node.arguments[0]
    if not isinstance(argument, Sum):
        return None
    logs = [t for t in argument.terms if _function(_scaled(t)[1], log) is not None]
    if not logs:
        return None
    rest = [t for t in argument.terms if t not in logs]
    product: Expr = elementwise(exp, add(*rest)) if rest else _constant(1, node)
    for t in logs:
        product = product * elementwise(exp, t)
    return product


@_rewrite("log of exp", log, ends="two functions fewer")
def _log_of_exp(facts: Facts, node: Apply) -> Expr | None:
    inner = _function(node.arguments[0], exp)
    return None if inner is None else inner.arguments[0]


@_rewrite("log of a product", log, ends="a product of entries becomes a sum")
def _log_of_product(facts: Facts, node: Apply) -> Expr | None:
    inner = _function(node.arguments[0], prod)
    if inner is None or not facts.is_positive(inner.arguments[0]):
        return None
    logs = elementwise(log, inner.arguments[0])
    return Einsum(ONE, (logs,), (range(logs.rank),), range(node.rank))


@_rewrite("log(1 + exp(u)) = softplus(u)", log, ends="three functions become one")
def _softplus(facts: Facts, node: Apply) -> Expr | None:
    u = _one_plus_exp(node.arguments[0])
    return None if u is None else elementwise(softplus, u)


@_rewrite("log of a sigmoid", log, ends="a logarithm becomes a softplus")
def _log_sigmoid(facts: Facts, node: Apply) -> Expr | None:
    inner = _function(node.arguments[0], sigmoid)
    return None if inner is None else negate(elementwise(softplus, negate(inner.arguments[0])))


@_rewrite("log of a normal distribution function", log, ends="two functions become one")
def _log_normcdf(facts: Facts, node: Apply) -> Expr | None:
    inner = _function(node.arguments[0], normcdf)
    return None if inner is None else elementwise(lognormcdf, inner.arguments[0])


@_rewrite("log of a softmax", log, ends="a logarithm of a whole vector becomes a scalar one")
def _log_softmax(facts: Facts, node: Apply) -> Expr | None:
    inner, order = _permuted_function(node.arguments[0], softmax)
    if inner is None:
        return None
    x = inner.arguments[0]
    axes = tuple(range(x.rank))
    total = Einsum(-ONE, (Apply(logsumexp, (x,)),), (axes[:-1],), axes, dict(enumerate(x.shape)))
    return permute(x + total, order)


def _permuted_function(expr: Expr, *rows: Row) -> tuple[Apply | None, tuple[int, ...]]:
    """A function node under a permutation of its axes, and the permutation."""
    direct = _function(expr, *rows)
    if direct is not None:
        return direct, tuple(range(expr.rank))
    if isinstance(expr, Einsum) and len(expr.operands) == 1 and expr.coefficient.is_one:
        inner, labels = _function(expr.operands[0], *rows), expr.labels[0]
        if inner is not None and len(set(labels)) == len(labels) and sorted(labels) == sorted(expr.output):
            return inner, tuple(labels.index(a) for a in expr.output)
    return None, ()


@_rewrite("log of a sum of exponentials", log, ends="three functions become one")
def _logsumexp(facts: Facts, node: Apply) -> Expr | None:
    total = node.arguments[0]
    if not isinstance(total, Einsum) or len(total.operands) != 1 or not total.coefficient.is_one:
        return None
    inner, labels = _function(total.operands[0], exp), total.labels[0]
    summed = [k for k, a in enumerate(labels) if a not in total.output]
    if inner is None or len(summed) != 1 or len(set(labels)) != len(labels):
        return None
    if len(total.output) != len(labels) - 1 or len(set(total.output)) != len(total.output):
        return None
    order = (*(labels.index(a) for a in total.output), summed[0])
    return Apply(logsumexp, (permute(inner.arguments[0], order),))


@_rewrite("log of a determinant", log, ends="two functions become one")
def _log_det(facts: Facts, node: Apply) -> Expr | None:
    inner = _function(node.arguments[0], det)
    return None if inner is None else Apply(logdet, inner.arguments)


@_rewrite("log of a product of positive factors", log, ends="logarithms move to smaller parts")
def _log_of_power(facts: Facts, node: Apply) -> Expr | None:
    inner = _function(node.arguments[0], power)
    if inner is None or not facts.is_positive(inner.arguments[0]):
        return None
    return inner.arguments[1] * elementwise(log, inner.arguments[0])


# ---------------------------------------------------------------- odd, even, piecewise


@_rewrite(
    "odd or even function of a negative",
    *(row for row in ROWS.values() if isinstance(row, Elementwise) and row.parity),
    ends="a sign goes outside",
)
def _parity(facts: Facts, node: Apply) -> Expr | None:
    row = node.function
    coefficient, body = _scaled(node.arguments[0])
    if not isinstance(row, Elementwise) or coefficient.rational >= 0:
        return None
    inside = Apply(row, (scale(-coefficient, body),))
    return inside if row.parity == "even" else negate(inside)


@_rewrite("absolute value of a multiple", abs_, ends="a factor goes outside")
def _abs_of_multiple(facts: Facts, node: Apply) -> Expr | None:
    inside = node.arguments[0]
    never_negative = _function(inside, abs_, relu, norm) is not None or facts.has(inside, "nonnegative")
    if never_negative or facts.is_positive(inside):
        return inside
    coefficient, body = _multiple(inside)
    if coefficient.is_one or not _plain_sizes(coefficient):
        return None
    return scale(coefficient if coefficient.rational > 0 else -coefficient, elementwise(abs_, body))


def _plain_sizes(coefficient: Coefficient) -> bool:
    """Whether its sizes are names, which are > 0; n − 1 may be 0."""
    return all(dim.name for dim, _ in coefficient.powers)


@_rewrite("max(x, 0) = relu(x)", maximum, ends="two arguments become one")
def _relu(facts: Facts, node: Apply) -> Expr | None:
    for a, b in (node.arguments, node.arguments[::-1]):
        if _rational(b) == 0:
            return elementwise(relu, a)
    return None


@_rewrite("relu of a positive", relu, ends="a function disappears")
def _relu_positive(facts: Facts, node: Apply) -> Expr | None:
    inside = node.arguments[0]
    again = _function(inside, relu, abs_)
    return inside if again is not None or facts.is_positive(inside) else None


@_rewrite("sign of a positive", sign, ends="a function disappears")
def _sign_positive(facts: Facts, node: Apply) -> Expr | None:
    return _constant(1, node) if facts.is_positive(node.arguments[0]) else None


@_rewrite("condition on a positive", greater, greater_equal, ends="a function becomes a number")
def _condition_positive(facts: Facts, node: Apply) -> Expr | None:
    a, b = node.arguments
    if _rational(b) == 0 and facts.is_positive(a):
        return _constant(1, node)
    if _rational(a) == 0 and facts.is_positive(b):
        return _constant(0, node)
    return None


@_rewrite("condition on two negatives", greater, greater_equal, ends="two signs fewer")
def _condition_flipped(facts: Facts, node: Apply) -> Expr | None:
    """1[−a > −b] = 1[b > a]."""
    (c, a), (d, b) = map(_signed, node.arguments)
    if (c < 0 and d <= 0) or (c <= 0 and d < 0):
        return Apply(node.function, (b, a))
    return None


@_rewrite("condition on a maximum", greater, greater_equal, ends="one function fewer")
def _condition_on_extreme(facts: Facts, node: Apply) -> Expr | None:
    """1[c > max(x, d)] = 1[c > x] where c > d, and its like: one side of the choice is known to hold."""
    a, b = node.arguments
    strict = node.function is greater
    for both, x, d in (*_choices(b, maximum), *_choices(a, minimum)):
        # c > max(x, d), min(x, c) > d: both must hold.
        left, right = (a, d) if both is b else (d, b)
        known = _exceeds(facts, left, right, strict)
        if known is not None:
            rest = (a, x) if both is b else (x, b)
            return Apply(node.function, rest) if known else _constant(0, node)
    for either, x, d in (*_choices(a, maximum), *_choices(b, minimum)):
        left, right = (d, b) if either is a else (a, d)
        known = _exceeds(facts, left, right, strict)
        if known is not None:
            rest = (x, b) if either is a else (a, x)
            return _constant(1, node) if known else Apply(node.function, rest)
    return None


def _choices(expr: Expr, row: Row) -> Iterator[tuple[Expr, Expr, Expr]]:
    """A maximum or minimum as (itself, one argument, the other), both ways round; relu is a maximum."""
    inner = _function(expr, row, relu) if row is maximum else _function(expr, row)
    if inner is not None and inner.function is relu:
        yield expr, inner.arguments[0], number(0, expr.shape)
    elif inner is not None:
        a, b = inner.arguments
        yield from ((expr, a, b), (expr, b, a))


def _exceeds(facts: Facts, a: Expr, b: Expr, strict: bool) -> bool | None:
    """Whether a > b (a ≥ b unless strict) in every entry; None if that is not known."""
    first, second = _rational(a), _rational(b)
    if first is not None and second is not None:
        return first > second or (first == second and not strict)
    for upper, lower, answer in ((a, b, True), (b, a, False)):
        above, below = facts.is_positive(upper), _is_negative(facts, lower)
        if (above and (below or _rational(lower) == 0)) or (below and _rational(upper) == 0):
            return answer
    return None


def _is_negative(facts: Facts, expr: Expr) -> bool:
    if not isinstance(expr, Einsum) or expr.coefficient.rational >= 0:
        return False
    sizes = dict(enumerate(expr.sizes))
    return facts.is_positive(Einsum(-expr.coefficient, expr.operands, expr.labels, expr.output, sizes))


def _signed(expr: Expr) -> tuple[int, Expr]:
    """The sign of a single term, 0 of a zero, 1 of anything else.

    The expression comes back with a negative sign removed.
    """
    if not isinstance(expr, Einsum) or expr.coefficient.rational > 0:
        return 1, expr
    return (-1, scale(-ONE, expr)) if expr.coefficient.rational else (0, expr)


@_rewrite("choice by a known condition", where, ends="a function becomes one of its arguments")
def _where(facts: Facts, node: Apply) -> Expr | None:
    condition, a, b = node.arguments
    truth = _rational(condition)
    if truth is not None:
        return a if truth else b
    if a is b:
        return a
    if _indicator(condition) and _rational(a) == 1 and _rational(b) == 0:
        return condition
    if _indicator(condition) and _rational(a) == 0 and _rational(b) == 1:
        return 1 - condition
    return None


# ---------------------------------------------------------------- tensors


def _multiple(expr: Expr) -> tuple[Coefficient, Expr]:
    """A product or a sum as a number times the rest.

    A sum keeps its sign, for y − Ax was written that way round.
    """
    if isinstance(expr, Sum):
        common = content(expr)
        common = common if common.rational > 0 else -common
        return common, scale(common**-1, expr)
    return _scaled(expr)


@_rewrite("norm of a multiple", norm, ends="a factor goes outside")
def _norm_of_multiple(facts: Facts, node: Apply) -> Expr | None:
    x, r = node.arguments[0], node.parameters[0]
    if r == 0:
        return elementwise(abs_, x)
    coefficient, body = _multiple(x)
    if not coefficient.is_one and _plain_sizes(coefficient):
        positive = coefficient if coefficient.rational > 0 else -coefficient
        return scale(positive, Apply(norm, (body,), node.parameters))
    constant = constant_of(x)
    if constant is not None:
        count = ONE
        for dim in x.shape[x.rank - r :]:
            count = count * Coefficient.of(dim)
        return elementwise(abs_, number(constant, node.shape)) * number(count) ** number(Fraction(1, 2))
    order = _core_order(x, r)
    return None if order is None else Apply(norm, (permute(x, order),), node.parameters)


@_rewrite("length and direction of a unit vector", norm, unit, ends="a function disappears")
def _unit_vector(facts: Facts, node: Apply) -> Expr | None:
    x = node.arguments[0]
    if not facts.has(x, "unit") or node.parameters[0] != 1:
        return None
    return number(1) if node.function is norm else x


def _core_order(x: Expr, r: int) -> tuple[int, ...] | None:
    """The order that undoes a permutation of x which moves no batch axis."""
    if not isinstance(x, Einsum) or len(x.operands) != 1 or not x.coefficient.is_one:
        return None
    labels, batch = x.labels[0], x.rank - r
    if len(set(labels)) != len(labels) or sorted(labels) != sorted(x.output) or labels == x.output:
        return None
    if labels[:batch] != x.output[:batch]:
        return None
    return tuple(x.output.index(a) for a in labels)


@_rewrite("direction of a multiple", unit, ends="a factor goes outside")
def _unit_of_multiple(facts: Facts, node: Apply) -> Expr | None:
    x, r = node.arguments[0], node.parameters[0]
    coefficient, body = _multiple(x)
    if not coefficient.is_one and _plain_sizes(coefficient):
        sign_of = ONE if coefficient.rational > 0 else -ONE
        return scale(sign_of, Apply(unit, (body,), node.parameters))
    order = _core_order(x, r)
    if order is None:
        return None
    back = tuple(order.index(k) for k in range(x.rank))
    return permute(Apply(unit, (permute(x, order),), node.parameters), back)


def _diagonal_of(expr: Expr) -> Expr | None:
    """v, if `expr` is diag(v), a multiple of I included."""
    if isinstance(expr, Einsum) and expr.rank == 2 and expr.output[0] == expr.output[1]:
        return Einsum(
            expr.coefficient, expr.operands, expr.labels, expr.output[:1], dict(enumerate(expr.sizes))
        )
    return None


def _two_by_two(expr: Expr) -> tuple[Expr, Expr, Expr, Expr] | None:
    """The entries of a matrix of 2 × 2 that is written out."""
    if not isinstance(expr, Stack) or len(expr.entries) != 2:
        return None
    first, second = expr.entries
    if (
        not isinstance(first, Stack)
        or not isinstance(second, Stack)
        or len(first.entries) != 2
        or first.rank != 1
    ):
        return None
    return (*first.entries, *second.entries)  # type: ignore[return-value]


@_rewrite(
    "determinant and inverse of a written-out matrix", det, inv, ends="a function of a matrix disappears"
)
def _written_out_matrix(facts: Facts, node: Apply) -> Expr | None:
    entries = _two_by_two(node.arguments[0])
    if entries is None:
        return None
    a, b, c, d = entries
    determinant = a * d - b * c
    if node.function is det:
        return determinant
    return determinant**-1 * Stack((Stack((d, negate(b))), Stack((negate(c), a))))


def _scalars_apart(expr: Expr) -> tuple[list[Expr], Expr | None]:
    """The scalar factors of a product and the rest; None for the rest if there are none."""
    if not isinstance(expr, Einsum) or expr.rank != 2:
        return [], None
    scalars = [o for o in expr.operands if not o.rank]
    kept = [(o, axes) for o, axes in zip(expr.operands, expr.labels, strict=True) if o.rank]
    if not scalars or not kept:
        return [], None
    sizes = dict(enumerate(expr.sizes))
    return scalars, Einsum(expr.coefficient, [o for o, _ in kept], [a for _, a in kept], expr.output, sizes)


@_rewrite(
    "inverse of an inverse, a multiple, a transpose or a diagonal", inv, ends="a smaller inverse, or none"
)
def _inverse(facts: Facts, node: Apply) -> Expr | None:
    inside = node.arguments[0]
    again = _function(inside, inv)
    if again is not None:
        return again.arguments[0]
    diagonal = _diagonal_of(inside)
    if diagonal is not None:
        return Einsum(ONE, (diagonal**-1,), ((0,),), (0, 0))
    numbers, matrix = _scalars_apart(inside)
    if matrix is not None:
        labels = [*((),) * len(numbers), (0, 1)]
        return Einsum(ONE, [*(n**-1 for n in numbers), Apply(inv, (matrix,))], labels, (0, 1))
    if facts.has(inside, "orthogonal"):
        return permute(inside, (1, 0))
    coefficient, body = _multiple(inside)
    if not coefficient.is_one:
        return scale(coefficient**-1, Apply(inv, (body,)))
    flipped = _oriented(facts, inside)
    return None if flipped is None else permute(Apply(inv, (flipped,)), (1, 0))


def _oriented(facts: Facts, matrix: Expr) -> Expr | None:
    """The transpose, where that is the one of the two orientations that inverses and determinants hold."""
    if matrix.rank != 2 or not isinstance(matrix, Einsum | Sum) or facts.is_symmetric(matrix):
        return None
    other = facts.transpose(matrix)
    return other if _rank_of(other) < _rank_of(matrix) else None


def _rank_of(matrix: Expr) -> tuple[int, bytes]:
    return (isinstance(matrix, Einsum), matrix.digest)


@_rewrite("determinant of an inverse, a multiple or a transpose", det, ends="a smaller determinant")
def _determinant(facts: Facts, node: Apply) -> Expr | None:
    inside = node.arguments[0]
    if inside.rank != 2:
        return None
    again = _function(inside, inv)
    if again is not None:
        return Apply(det, again.arguments) ** -1
    if isinstance(inside, Einsum) and not inside.operands:
        return None if _diagonal_of(inside) is None else number(inside.coefficient) ** number(inside.shape[0])
    coefficient, body = _scaled(inside)
    if not coefficient.is_one:
        return number(coefficient) ** number(inside.shape[0]) * Apply(det, (body,))
    scalars, matrix = _scalars_apart(inside)
    if matrix is not None:
        result: Expr = Apply(det, (matrix,))
        for scalar in scalars:
            result = scalar ** number(inside.shape[0]) * result
        return result
    flipped = _oriented(facts, inside)
    return None if flipped is None else Apply(det, (flipped,))


@_rewrite(
    "log-determinant of an inverse, a multiple, a diagonal or a transpose",
    logdet,
    ends="a smaller determinant",
)
def _log_determinant(facts: Facts, node: Apply) -> Expr | None:
    inside = node.arguments[0]
    if inside.rank != 2:
        return None
    again = _function(inside, inv)
    if again is not None:
        return negate(Apply(logdet, again.arguments))
    diagonal = _diagonal_of(inside)
    if diagonal is not None:
        return reduce_sum(elementwise(log, elementwise(abs_, diagonal)))
    coefficient, body = _scaled(inside)
    if not coefficient.is_one:
        size = elementwise(abs_, number(coefficient))
        return number(inside.shape[0]) * elementwise(log, size) + Apply(logdet, (body,))
    scalars, matrix = _scalars_apart(inside)
    if matrix is not None:
        logs = [number(inside.shape[0]) * elementwise(log, elementwise(abs_, scalar)) for scalar in scalars]
        return add(*logs, Apply(logdet, (matrix,)))
    flipped = _oriented(facts, inside)
    return None if flipped is None else Apply(logdet, (flipped,))


@_rewrite("matrix function of a transpose", expm, pinv, polar, ends="a transpose goes outside")
def _of_transpose(facts: Facts, node: Apply) -> Expr | None:
    """f(Xᵀ) = f(X)ᵀ, for the one of the two orientations that inverses hold too."""
    flipped = _oriented(facts, node.arguments[0])
    return None if flipped is None else permute(Apply(node.function, (flipped,)), (1, 0))


@_rewrite("pseudo-inverse of a square matrix", pinv, ends="a pseudo-inverse disappears")
def _square_pinv(facts: Facts, node: Apply) -> Expr | None:
    """X⁺ = X⁻¹ of a square matrix of full rank, and (X⁺)⁺ = X."""
    inside = node.arguments[0]
    again = _function(inside, pinv)
    if again is not None:
        return again.arguments[0]
    return Apply(inv, (inside,)) if inside.shape[-1] == inside.shape[-2] else None


@_rewrite("exponential of a diagonal matrix", expm, ends="a function of a matrix disappears")
def _expm_of_diagonal(facts: Facts, node: Apply) -> Expr | None:
    diagonal = _diagonal_of(node.arguments[0])
    return None if diagonal is None else Einsum(ONE, (elementwise(exp, diagonal),), ((0,),), (0, 0))


@_rewrite("determinant of an exponential", det, logdet, inv, ends="a function of a matrix fewer")
def _determinant_of_expm(facts: Facts, node: Apply) -> Expr | None:
    """Det exp(X) = exp(tr X), and exp(X)⁻¹ = exp(−X)."""
    inside = _function(node.arguments[0], expm)
    if inside is None:
        return None
    X = inside.arguments[0]
    if node.function is inv:
        return Apply(expm, (negate(X),))
    batch = tuple(range(X.rank - 2))
    trace = Einsum(ONE, (X,), ((*batch, X.rank, X.rank),), batch)
    return trace if node.function is logdet else elementwise(exp, trace)


@_rewrite("linear map of a multiple", *MAPS[1:], polar_frechet, ends="a factor goes outside")
def _map_of_multiple(facts: Facts, node: Apply) -> Expr | None:
    """D(X; c E) = c D(X; E), where c may differ from batch to batch."""
    assert isinstance(node.function, Tensorial)
    for k, direction in enumerate(node.arguments):
        if not k or not isinstance(direction, Einsum):
            continue
        if direction.coefficient.is_zero:
            return _constant(0, node)
        batch, core = direction.output[:-2], direction.output[-2:]
        pairs = list(zip(direction.operands, direction.labels, strict=True))
        inner = {label for _, labels in pairs for label in labels if label not in direction.output}
        outside = [(o, a) for o, a in pairs if set(a) <= set(batch) - set(core)]
        if (not outside and direction.coefficient.is_one) or (inner and not _apart_from(pairs, outside)):
            continue
        sizes = dict(enumerate(direction.sizes))
        kept = [(o, a) for o, a in pairs if (o, a) not in outside]
        rest = Einsum(ONE, [o for o, _ in kept], [a for _, a in kept], direction.output, sizes)
        arguments = [rest if p == k else a for p, a in enumerate(node.arguments)]
        axes = tuple(range(node.rank))
        place = dict(zip(direction.output, axes, strict=False))
        return Einsum(
            direction.coefficient,
            [*(o for o, _ in outside), Apply(node.function, arguments)],
            [*(tuple(place[b] for b in a) for _, a in outside), axes],
            axes,
            dict(enumerate(node.shape)),
        )
    return None


def _apart_from(pairs: list[tuple[Expr, Labels]], outside: list[tuple[Expr, Labels]]) -> bool:
    """Whether no summed label joins what goes outside with what stays."""
    kept = {label for part in pairs if part not in outside for label in part[1]}
    return kept.isdisjoint({label for _, labels in outside for label in labels} - kept)


@_rewrite("derivative of exp along the identity", *MAPS[1:], ends="one direction fewer")
def _along_identity(facts: Facts, node: Apply) -> Expr | None:
    """exp(X + sI) = eˢ exp(X): a direction that is I goes."""
    for k, direction in enumerate(node.arguments):
        if k and _is_identity(direction):
            others = [a for p, a in enumerate(node.arguments) if p != k]
            return Apply(MAPS[len(others) - 1], others)
    return None


def _is_identity(expr: Expr) -> bool:
    """Whether it is I, once or repeated along batch axes."""
    if not isinstance(expr, Einsum) or expr.operands or not expr.coefficient.is_one:
        return False
    return expr.output[-1] == expr.output[-2] and len(set(expr.output)) == expr.rank - 1


@_rewrite("derivative of exp along its argument", MAPS[1], ends="a linear map disappears")
def _along_argument(facts: Facts, node: Apply) -> Expr | None:
    """d/dt exp(tA) = A exp(tA): X and the direction are multiples of one matrix, so they commute."""
    X, direction = node.arguments
    if X.rank != 2 or _matrix_of(X) is not _matrix_of(direction):
        return None
    axes = ((0, 1), (1, 2))
    return Einsum(ONE, (direction, Apply(expm, (X,))), axes, (0, 2))


def _matrix_of(expr: Expr) -> Expr:
    """A matrix without the numbers and scalars in front of it."""
    _, matrix = _scalars_apart(expr)
    body = expr if matrix is None else matrix
    if isinstance(body, Einsum) and len(body.operands) == 1 and body.labels[0] == body.output:
        return body.operands[0]
    return body


@_rewrite("linear map, the same for a whole axis", *MAPS, polar_frechet, ends="a batch axis fewer")
def _map_of_copies(facts: Facts, node: Apply) -> Expr | None:
    """An axis along which every argument only repeats stays outside."""
    for axis in range(node.rank - 2):
        if not all(_repeats(a, axis) for a in node.arguments):
            continue
        rest = [k for k in range(node.rank) if k != axis]
        smaller = [
            Einsum(a.coefficient, a.operands, a.labels, [a.output[k] for k in rest], dict(enumerate(a.sizes)))
            for a in node.arguments
            if isinstance(a, Einsum)
        ]
        sizes = dict(enumerate(node.shape))
        return Einsum(ONE, (Apply(node.function, smaller),), (rest,), tuple(range(node.rank)), sizes)
    return None


def _repeats(expr: Expr, axis: int) -> bool:
    """Whether nothing depends on an axis."""
    if not isinstance(expr, Einsum):
        return False
    label = expr.output[axis]
    return expr.output.count(label) == 1 and all(label not in labels for labels in expr.labels)


@_rewrite("order of directions", *MAPS[2:], ends="the directions become sorted")
def _sorted_directions(facts: Facts, node: Apply) -> Expr | None:
    """A derivative of higher order is symmetric in its directions."""
    X, *directions = node.arguments
    ordered = sorted(directions, key=lambda d: d.digest)
    return None if ordered == directions else Apply(node.function, (X, *ordered))


@_rewrite("reduction of a constant", softmax, logsumexp, amax, amin, ends="a function of a tensor disappears")
def _reduced_constant(facts: Facts, node: Apply) -> Expr | None:
    x = node.arguments[0]
    constant = constant_of(x)
    if constant is None:
        return None
    if node.function is softmax:
        return number(Coefficient.of(x.shape[-1]) ** -1, node.shape)
    value = number(constant, node.shape)
    return value + elementwise(log, number(x.shape[-1])) if node.function is logsumexp else value


# Powers up to this one are written as products, where equal factors and inverses can meet.
CHAIN = 10


@_rewrite("matrix power as a product", matrix_power, ends="no row makes a matrix power of a lower exponent")
def _matrix_power(facts: Facts, node: Apply) -> Expr | None:
    X, k = node.arguments[0], node.parameters[0]
    if abs(k) > CHAIN:
        return None
    lead = tuple(range(-X.rank, -2))
    sizes = dict(zip((*lead, 0), X.shape, strict=False))
    factor = X if k > 0 else Apply(inv, (X,))
    labels = [(*lead, j, j + 1) for j in range(abs(k))]
    return Einsum(ONE, [factor] * abs(k), labels, (*lead, 0, abs(k)), sizes)


# ---------------------------------------------------------------- pairs of terms in a sum

Terms = Mapping[Expr, Coefficient]
Found = tuple[list[tuple[Expr, Coefficient]], list[tuple[Expr, Coefficient]]]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two terms of a sum that are together something shorter: (terms removed, terms added), or None."""

    name: str
    find: Callable[[Facts, Terms], Found | None]
    ends: str


def _complement(facts: Facts, total: Terms) -> Found | None:
    """C − c σ(u) = c σ(−u), and σ(u) + σ(−u) = 1."""
    sigmoids = [b for b in total if _function(b, sigmoid) is not None]
    for body in sigmoids:
        assert isinstance(body, Apply)
        one = number(1, body.shape)
        c = total.get(one)
        if c is not None and not c.is_zero and total[body] == -c:
            flipped = elementwise(sigmoid, negate(body.arguments[0]))
            return [(body, -c), (one, c)], [(flipped, c)]
        for other in sigmoids:
            assert isinstance(other, Apply)
            if (
                other is not body
                and total[other] == total[body]
                and facts.is_opposite(*body.arguments, *other.arguments)
            ):
                return [(body, total[body]), (other, total[body])], [(one, total[body])]
    return None


def _pythagoras(first: Row, second: Row, sign_of: int) -> Callable[[Facts, Terms], Found | None]:
    def find(facts: Facts, total: Terms) -> Found | None:
        for body, c in total.items():
            inner = _function(body, power)
            if inner is None or _rational(inner.arguments[1]) != 2:
                continue
            base = _function(inner.arguments[0], first)
            if base is None:
                continue
            partner = Apply(power, (Apply(second, base.arguments), inner.arguments[1]))
            if total.get(partner) == (c if sign_of > 0 else -c):
                return [(body, c), (partner, total[partner])], [(number(1, body.shape), c)]
        return None

    return find


pairs_in_sum = (
    Pair("σ(u) + σ(−u) = 1", _complement, ends="two terms become one"),
    Pair("sin² + cos² = 1", _pythagoras(sin, cos, 1), ends="two terms become one"),
    Pair("cosh² − sinh² = 1", _pythagoras(cosh, sinh, -1), ends="two terms become one"),
)
