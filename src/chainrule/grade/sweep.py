"""The reverse sweep with something changed on the way: a use left out, or a derivative.

In: what is differentiated, by which variables, and a change. Out: the derivative that comes of it; axes:
output axes, then those of the variables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from chainrule.derive import jacobians, pullback
from chainrule.expr.nodes import Expr, Stack, Sum, Variable, identity, permute, zeros
from chainrule.expr.walk import depends_on, topological


@dataclass(frozen=True, slots=True)
class Use:
    """The place number `place` at which `node` uses `child`."""

    node: Expr
    place: int
    child: Expr


# What a use hands down: from the cotangent of its node and its contribution; None for nothing.
Change = Callable[[Use, Expr, Expr], Expr | None]


class Sweep:
    """The dataflow from some variables to an expression."""

    def __init__(self, of: Expr, wrt: Sequence[Variable]) -> None:
        self.of, self.wrt = of, tuple(wrt)
        self.active = depends_on([of], wrt)
        self.order = [node for node in topological([of]) if node in self.active]
        self.depth = {node: k for k, node in enumerate(self.order)}
        self.uses: dict[Expr, list[Use]] = {}  # by what is used
        self.below: dict[Expr, list[Use]] = {}  # by what uses it
        seed = identity(of.shape)
        if of in self.active:
            for node in self.order:
                cotangent = zeros((*of.shape, *node.shape)) if node is not of else seed
                for place, (child, _) in enumerate(pullback(node, cotangent, of.rank, self.active)):
                    use = Use(node, place, child)
                    self.uses.setdefault(child, []).append(use)
                    self.below.setdefault(node, []).append(use)

    def derivative(
        self, change: Change | None = None, jump: Expr | None = None, onto: Variable | None = None
    ) -> Expr:
        """The derivative, with every contribution passed through `change`.

        The cotangent of `jump`, a node of the shape of `onto`, goes to that variable as if they were one.
        """
        handed: dict[Expr, list[Expr]] = {self.of: [identity(self.of.shape)]}
        result: dict[Expr, Expr] = {}
        for node in reversed(self.order):
            terms = handed.pop(node, None)
            if terms is None:
                continue
            cotangent = terms[0] if len(terms) == 1 else Sum(terms)
            if node in self.wrt:
                result[node] = cotangent
                continue
            if node is jump and onto is not None:
                handed.setdefault(onto, []).append(cotangent)
                continue
            for place, (child, given) in enumerate(pullback(node, cotangent, self.of.rank, self.active)):
                kept = given if change is None else change(Use(node, place, child), cotangent, given)
                if kept is not None:
                    handed.setdefault(child, []).append(kept)
        return self._together([result.get(v, zeros((*self.of.shape, *v.shape))) for v in self.wrt])

    def _together(self, parts: Sequence[Expr]) -> Expr:
        """One derivative: of several scalars along a last axis."""
        if len(parts) == 1:
            return parts[0]
        return permute(Stack(parts), (*range(1, self.of.rank + 1), 0))

    def of_other(self, other: Expr) -> Expr:
        """The derivative of another expression by the same variables."""
        found = jacobians(other, self.wrt)
        return self._together([found[v] for v in self.wrt])

    def without(self, node: Expr, lost: Sequence[Use]) -> Expr:
        """The derivative without some uses of a node."""
        if self.wrt == (node,):
            # What a variable receives is a sum, so nothing else changes.
            kept = [given for use, given in self._received if use not in lost]
            return Sum(kept) if len(kept) > 1 else kept[0]
        return self.derivative(lambda use, _, given: None if use in lost else given)

    @cached_property
    def _received(self) -> list[tuple[Use, Expr]]:
        """What the only variable receives, use by use."""
        found: list[tuple[Use, Expr]] = []

        def note(use: Use, _: Expr, given: Expr) -> Expr:
            if use.child is self.wrt[0]:
                found.append((use, given))
            return given

        self.derivative(note)
        return found

    def path(self, use: Use) -> list[Expr]:
        """The nodes of a shortest path from a variable to the result that goes through a use."""
        below: list[Expr] = []
        node = use.child
        while node not in self.wrt:
            below.append(node)
            node = min((c for c in node.children if c in self.active), key=self.depth.__getitem__)
        path = [node, *reversed(below), use.node]
        while path[-1] is not self.of:
            path.append(max((u.node for u in self.uses[path[-1]]), key=self.depth.__getitem__))
        return path
