"""A product that is being rewritten: factors over labels that rules join, drop and add."""

from __future__ import annotations

from dataclasses import dataclass, field

from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Labels, constant_of
from chainrule.rules.elementwise import power

Factor = tuple[Expr, Labels]


@dataclass(slots=True)
class Work:
    """A product being rewritten: factors over global labels, with labels joined by union-find.

    A summed label that ends up in no factor is worth its size, unless it is `spent`: summed away by a rule.
    """

    coefficient: Coefficient
    factors: list[Factor]
    output: Labels
    sizes: dict[int, Dim]
    alive: set[int]
    parent: dict[int, int] = field(default_factory=dict)
    spent: set[int] = field(default_factory=set)
    changed: bool = True
    joined: bool = False

    def find(self, label: int) -> int:
        while label in self.parent:
            label = self.parent[label]
        return label

    def join(self, a: int, b: int) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parent[max(a, b)] = min(a, b)
            self.joined = True

    def settle(self) -> None:
        """Rewrites factors and output in terms of joined labels."""
        if self.joined:
            self.joined = False
            self.factors = [(f, tuple(map(self.find, labels))) for f, labels in self.factors]
            self.output = tuple(map(self.find, self.output))
            self.alive = set(map(self.find, self.alive))
            self.spent = set(map(self.find, self.spent))

    def uses(self, label: int) -> int:
        """How many axes carry the label, the output's included."""
        return self.output.count(label) + sum(labels.count(label) for _, labels in self.factors)

    def drop(self, *positions: int) -> None:
        self.factors = [f for k, f in enumerate(self.factors) if k not in positions]
        self.changed = True


def as_power(factor: Expr) -> tuple[Expr, Expr | Coefficient]:
    """A factor as base and exponent."""
    if isinstance(factor, Apply) and factor.function is power:
        constant = constant_of(factor.arguments[1])
        return factor.arguments[0], factor.arguments[1] if constant is None else constant
    return factor, ONE


def without_coefficient(operand: Expr) -> tuple[Coefficient, Expr]:
    """The coefficient of a product, and the product without it."""
    assert isinstance(operand, Einsum)
    sizes = dict(enumerate(operand.sizes))
    return operand.coefficient, Einsum(ONE, operand.operands, operand.labels, operand.output, sizes)
