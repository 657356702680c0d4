"""What the stable forms look for in an expression, and the rows of their tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, constant_of, elementwise, number, scale
from chainrule.rules.elementwise import cosh, exp, log, power, sqrt


@dataclass(frozen=True, slots=True)
class Form:
    """A form that neither overflows nor cancels, in the place of one that does.

    says     the equation, what is replaced on the left
    example  a formula of numbers x and y or vectors u and v in which it is used
    at       where in the domain the example is compared, so that both sides of it have digits
    make     the new expression, None where the form does not apply
    """

    says: str
    example: str
    make: Callable[[Expr], Expr | None]
    at: str = "any"


UNIT = Fraction(1)


def scaled(node: Expr) -> tuple[Coefficient, Expr | None]:
    """C and e of c · e, entry by entry; None for e where the node is the constant c."""
    coefficient = ONE
    while isinstance(node, Einsum) and len(node.operands) == 1 and is_entrywise(node):
        coefficient, node = coefficient * node.coefficient, node.operands[0]
    constant = constant_of(node)
    return (coefficient, node) if constant is None else (coefficient * constant, None)


def is_entrywise(node: Einsum) -> bool:
    """Whether no axis of a product is moved or summed: entries are products of the same entries."""
    axes = tuple(range(node.rank))
    return bool(node.operands) and node.output == axes and all(labels == axes for labels in node.labels)


def times(coefficient: Coefficient, node: Expr) -> Expr:
    """C · e as one multiple."""
    inner, e = scaled(node)
    coefficient = coefficient * inner
    if e is None:
        return number(coefficient, node.shape)
    return e if coefficient.is_one else scale(coefficient, e)


def total(terms: list[Expr]) -> Expr:
    """The sum of terms of one shape."""
    return Sum(terms) if len(terms) > 1 else terms[0]


def of(node: Expr | None, *functions: object) -> Expr | None:
    """The argument of one of these functions; None for any other node."""
    if isinstance(node, Apply) and node.function in functions:
        return node.arguments[0]
    return None


def is_positive(coefficient: Coefficient) -> bool:
    """Whether a number is > 0 for all sizes."""
    return coefficient.rational > 0 and all(dim.name or dim.constant for dim, _ in coefficient.powers)


def ratio(node: Expr, other: Expr) -> Fraction | None:
    """R where node = r · other, r rational and not 0."""
    (a, x), (b, y) = scaled(node), scaled(other)
    if x is not y or x is None or a.powers != b.powers or not b.rational:
        return None
    return a.rational / b.rational or None


def raised(node: Expr) -> tuple[Expr, Fraction]:
    """B and p of bᵖ for a constant p; a root is the power ½."""
    exponent = UNIT
    while isinstance(node, Apply) and node.function in (power, sqrt):
        if node.function is sqrt:
            return node.arguments[0], exponent / 2
        constant = constant_of(node.arguments[1])
        # (b²)^½ is |b|: powers of powers meet only where the outer one is whole or the inner one a root.
        whole = exponent.denominator == 1 or of(node.arguments[0], sqrt) is not None
        if constant is None or constant.powers or not whole:
            return node, exponent
        node, exponent = node.arguments[0], exponent * constant.rational
    return node, exponent


def to_power(base: Expr, exponent: Fraction) -> Expr:
    """bᵖ."""
    if exponent == 1:
        return base
    return elementwise(power, base, number(exponent))


def negative(node: Expr) -> Expr:
    """−e."""
    return times(-ONE, node)


def logarithm(coefficient: Coefficient, shape: tuple[object, ...]) -> Expr | None:
    """ln(c) in every entry; None for ln 1."""
    if coefficient.is_one:
        return None
    return elementwise(log, number(coefficient, shape))  # type: ignore[arg-type]


def exponents(node: Sum) -> list[tuple[Coefficient, Expr | None]] | None:
    """C and u for each term c · exp(u) of a sum, u None for a constant; None if it has other terms.

    c cosh(u) is two such terms.
    """
    found: list[tuple[Coefficient, Expr | None]] = []
    for term in node.terms:
        coefficient, inner = scaled(term)
        u = of(inner, cosh)
        if u is not None:
            half = coefficient * Coefficient(Fraction(1, 2))
            found += [(half, u), (half, negative(u))]
            continue
        u = of(inner, exp)
        if inner is not None and u is None:
            return None
        found.append((coefficient, u))
    return found
