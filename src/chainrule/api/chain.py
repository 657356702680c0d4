"""From a formula and what it is differentiated by to the graphs of its derivatives of each order.

In: an expression and targets, one for each order. Out: canonical graphs; axes = output axes, then those of
each target.

A structure (symmetric, ...) is an assumption on the value, so it may rewrite a derivative only after the last
differentiation by that variable: used before, it makes the derivative false. `along` gives the derivatives on
the set that a structure describes instead: each is taken to that set before the next differentiation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from chainrule.derive import jacobians
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Shape, Stack, Variable, permute
from chainrule.rules.structures import Structure
from chainrule.simplify import Normaliser, simplify_many


@dataclass(frozen=True)
class Target:
    """What a derivative is by: one variable, or several scalars that count as the entries of one vector."""

    variables: tuple[Variable, ...]
    joint: bool = False

    @property
    def name(self) -> str:
        """`w`, or `[x, y]`."""
        names = ", ".join(v.name for v in self.variables)
        return f"[{names}]" if self.joint else names

    @property
    def shape(self) -> Shape:
        """The axes that a derivative by it has behind those of the formula."""
        return (Dim.of(len(self.variables)),) if self.joint else self.variables[0].shape

    @property
    def moving(self) -> Variable | tuple[Variable, ...]:
        """The form in which the numeric check takes it."""
        return self.variables if self.joint else self.variables[0]


class Chains:
    """Derivatives of one expression by some targets; what two of them share is computed once.

    `at_kink` is the derivative taken at the kink of relu, and of a maximum or minimum with a constant;
    `along` has the sets on which variables move.
    """

    def __init__(
        self,
        expr: Expr,
        targets: Sequence[Target],
        at_kink: Fraction = Fraction(0),
        along: Mapping[Variable, Structure] | None = None,
    ) -> None:
        self.at_kink = at_kink
        self.along = along or {}
        self.moving = list(dict.fromkeys(v for target in targets for v in target.variables))
        self.normal = Normaliser(v.name for v in self.moving if v.structure)
        self.formula = self.normal(expr)
        self._done: dict[tuple[Target, ...], Expr] = {(): self.formula}
        self._sweeps: dict[Expr, dict[Expr, Expr]] = {}

    def __call__(self, targets: Sequence[Target]) -> tuple[Expr, ...]:
        """The derivatives by the first target, by the first two, and so on, with no structure used."""
        return tuple(self._derivative(tuple(targets[:k])) for k in range(1, len(targets) + 1))

    def _derivative(self, targets: tuple[Target, ...]) -> Expr:
        if targets not in self._done:
            below, target = self._derivative(targets[:-1]), targets[-1]
            if len(targets) > 1:
                # Terms that merge now are not differentiated one by one.
                (below,) = simplify_many([below], normal=self.normal)
            raw = self._jointly(below, target) if target.joint else self._sweep(below)[target.variables[0]]
            self._done[targets] = self.normal(self._on_the_set(raw, targets))
        return self._done[targets]

    def _on_the_set(self, raw: Expr, targets: tuple[Target, ...]) -> Expr:
        """The derivative along the set of the last variable.

        On a curved one every group of axes of the same variable is projected.
        """
        variable = targets[-1].moving
        if not isinstance(variable, Variable) or variable not in self.along:
            return raw
        structure = self.along[variable]
        found = structure.along(raw, variable)
        if structure.kind != "tangent":
            return found
        start = self.formula.rank
        for target in targets[:-1]:
            own = tuple(range(start, start + len(target.shape)))
            start += len(target.shape)
            if target.moving is variable:
                rest = tuple(k for k in range(found.rank) if k not in own)
                order = rest + own
                moved = structure.along(permute(found, order), variable)
                found = permute(moved, tuple(order.index(k) for k in range(found.rank)))
        return found

    def _sweep(self, below: Expr) -> dict[Expr, Expr]:
        if below not in self._sweeps:
            self._sweeps[below] = jacobians(below, self.moving, self.at_kink)
        return self._sweeps[below]

    def _jointly(self, below: Expr, target: Target) -> Expr:
        """The derivatives by each scalar along a last axis; a matrix written out stays written out."""
        if isinstance(below, Stack):
            return Stack([self._jointly(entry, target) for entry in below.entries])
        parts = self._sweep(below)
        return permute(Stack([parts[v] for v in target.variables]), (*range(1, below.rank + 1), 0))
