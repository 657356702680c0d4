"""Products as one list of factors: views, identities and single-use products under an Einsum are taken in.

In: an Einsum node. Out: a Product, whose factors are expressions with labels; no factor is an identity, a
broadcast or a transpose any more, those are labels. Quotients are factors marked `inverted`, det(X)·X⁻¹ is
one factor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Labels, constant_of
from chainrule.rules.elementwise import power
from chainrule.rules.tensorial import det, inv

MOST_FACTORS = 12  # as many as the search for an order looks at together


@dataclass(frozen=True, slots=True)
class Factor:
    """One operand: `source`, to an exponent (a constant power), divided by if `inverted`.

    `adjugate`: the factor is det(source) inv(source), well defined where source is singular.
    """

    source: Expr
    labels: Labels
    exponent: Fraction = Fraction(1)
    inverted: bool = False
    adjugate: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """coefficient · Σ over labels not in `output` of the factors; sizes by label."""

    coefficient: Coefficient
    factors: tuple[Factor, ...]
    output: Labels
    sizes: dict[int, Dim]


def is_view(node: Expr) -> bool:
    """Whether a node only moves, repeats or places the entries of at most one operand, times a number."""
    if not isinstance(node, Einsum) or len(node.operands) > 1:
        return False
    return not node.operands or set(node.labels[0]) <= set(node.output)


def flatten(node: Einsum, absorb: Callable[[Expr], bool], uses: dict[Expr, int], robust: bool) -> Product:
    """The product of `node`; operands for which `absorb` holds are taken in. `robust` asks for adjugates."""
    sizes = dict(enumerate(node.sizes))
    parent = {label: label for label in sizes}

    def find(label: int) -> int:
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    coefficient = node.coefficient
    pending = list(zip(node.operands, node.labels, strict=True))[::-1]
    taken: list[tuple[Expr, Labels]] = []
    while pending:
        operand, labels = pending.pop()
        room = len(taken) + len(pending) + len(operand.children) <= MOST_FACTORS
        if not isinstance(operand, Einsum) or not (is_view(operand) or room) or not absorb(operand):
            taken.append((operand, labels))
            continue
        coefficient = coefficient * operand.coefficient
        outer: dict[int, int] = {}
        for inner, label in zip(operand.output, labels, strict=True):
            if inner in outer:
                parent[find(label)] = find(outer[inner])
            else:
                outer[inner] = label
        for inner, dim in enumerate(operand.sizes):
            if inner not in outer:
                fresh = len(sizes)
                outer[inner], sizes[fresh], parent[fresh] = fresh, dim, fresh
        for child, axes in zip(reversed(operand.operands), reversed(operand.labels), strict=True):
            pending.append((child, tuple(outer[a] for a in axes)))
    output = tuple(find(label) for label in node.output)
    factors = [_factor(source, tuple(find(a) for a in labels), uses) for source, labels in taken]
    if robust:
        factors = _with_adjugates(factors)
    roots = {find(label) for label in sizes}
    carried = {label for f in factors for label in f.labels}
    for label in sorted(roots - carried - set(output)):
        coefficient = coefficient * Coefficient.of(sizes[label])
    return Product(coefficient, tuple(factors), output, {label: sizes[label] for label in sorted(roots)})


def _factor(source: Expr, labels: Labels, uses: dict[Expr, int]) -> Factor:
    """A factor b to a negative constant power divides; a reciprocal used many times is made once instead."""
    if isinstance(source, Apply) and source.function is power:
        exponent = constant_of(source.arguments[1])
        if exponent is not None and not exponent.powers and exponent.rational < 0:
            if uses.get(source, 1) == 1 or not source.rank:
                return Factor(source.arguments[0], labels, -exponent.rational, inverted=True)
    return Factor(source, labels)


def _with_adjugates(factors: list[Factor]) -> list[Factor]:
    """det(X)ᵏ X⁻¹ as det(X)ᵏ⁻¹ times the adjugate of X, which exists where X is singular."""
    result: list[Factor | None] = list(factors)
    for k, factor in enumerate(factors):
        matrix = _argument(factor, inv)
        if matrix is None:
            continue
        for j, other in enumerate(result):
            if other is None:
                continue
            exponent = Fraction(1)
            source = other.source
            if isinstance(source, Apply) and source.function is power:
                constant = constant_of(source.arguments[1])
                if constant is not None and not constant.powers and constant.rational >= 1:
                    source, exponent = source.arguments[0], constant.rational
            plain = not other.inverted and other.exponent == 1
            batch = factor.labels[: len(other.labels)] == other.labels
            if plain and batch and _argument(replace(other, source=source), det) is matrix:
                result[k] = Factor(matrix, factor.labels, adjugate=True)
                result[j] = Factor(source, other.labels, exponent - 1) if exponent > 1 else None
                break
    return [factor for factor in result if factor is not None]


def _argument(factor: Factor, row: object) -> Expr | None:
    """The argument of a factor that applies `row`, as it is."""
    source = factor.source
    if factor.inverted or factor.exponent != 1 or factor.adjugate or not isinstance(source, Apply):
        return None
    return source.arguments[0] if source.function is row else None
