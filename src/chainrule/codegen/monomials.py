"""Products as powers of bases, each along axes of its own: x² exp(−y)ᵏ, however they are nested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor

from chainrule.codegen.matching import raised, to_power
from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Einsum, Expr, Labels, constant_of

Place = tuple[Expr, Labels]


@dataclass(frozen=True, slots=True)
class Monomial:
    """A product of powers: each base with the axes that it runs along, and its exponent."""

    coefficient: Coefficient
    powers: Mapping[Place, Fraction]
    output: Labels
    sizes: Mapping[int, Dim]

    def times(self, factors: Mapping[Place, Fraction], coefficient: Coefficient = ONE) -> Monomial:
        """The product with more powers; whole powers of numbers go into the coefficient."""
        powers, coefficient = dict(self.powers), self.coefficient * coefficient
        for place, exponent in factors.items():
            powers[place] = powers.get(place, Fraction(0)) + exponent
        for (base, labels), exponent in list(powers.items()):
            constant = constant_of(base)
            if constant is not None:
                powers[base, labels] = exponent - floor(exponent)
                coefficient = coefficient * constant ** floor(exponent)
        return replace(self, coefficient=coefficient, powers={k: p for k, p in powers.items() if p})

    def expr(self) -> Expr:
        """The product as an expression."""
        operands = [to_power(base, exponent) for (base, _), exponent in self.powers.items()]
        labels = [axes for _, axes in self.powers]
        plain = tuple(range(len(self.output)))
        if self.coefficient.is_one and labels == [self.output] == [plain]:
            return operands[0]
        return Einsum(self.coefficient, operands, labels, self.output, dict(self.sizes))


def monomial(node: Expr) -> Monomial:
    """The node as a product of powers, a power itself where it is no product."""
    axes = tuple(range(node.rank))
    if not isinstance(node, Einsum):
        base, exponent = raised(node)
        sizes = dict(enumerate(node.shape))
        return Monomial(ONE, {}, axes, sizes).times({(base, axes if base.rank else ()): exponent})
    made = Monomial(node.coefficient, {}, node.output, dict(enumerate(node.sizes)))
    for operand, labels in zip(node.operands, node.labels, strict=True):
        coefficient, powers = along(operand, labels)
        made = made.times(powers, coefficient)
    return made


def along(node: Expr, labels: Labels) -> tuple[Coefficient, dict[Place, Fraction]]:
    """The powers of an entrywise product whose axes have these labels; the node itself if it is none."""
    own = monomial(node)
    plain = tuple(range(node.rank))
    if own.output != plain or any(axes not in ((), plain) for _, axes in own.powers):
        return ONE, {(node, labels): Fraction(1)}
    return own.coefficient, {(b, labels if axes else ()): p for (b, axes), p in own.powers.items()}
