"""Unification of symbolic sizes: what the parts of a formula say about sizes that nobody declared.

An unknown size is a dimension whose name begins with ?. Two sizes that must agree bind an unknown in one of
them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Shape, Variable
from chainrule.expr.walk import dim_names, substitute_dims

LETTERS = ("n", "m", "k", "p", "q", "r", "s", "l", "h", "d")


class Sizes:
    """What is known about the unknown sizes."""

    def __init__(self) -> None:
        self.bound: dict[str, Dim] = {}
        self.letters: dict[str, str] = {}

    def resolve(self, dim: Dim) -> Dim:
        """`dim` with everything known put in."""
        if not self.bound:
            return dim
        name = dim.name
        if name is not None:
            dim = self._root(name) if name in self.bound else dim
        while stale := [name for name in dim.names if name in self.bound]:
            dim = dim.substitute({name: self._root(name) for name in stale})
        return dim

    def _root(self, name: str) -> Dim:
        """The end of the chain of bindings from `name` on; the chain is cut short for the next time."""
        chain = []
        found = Dim.of(name)
        while found.name in self.bound:
            assert found.name is not None
            chain.append(found.name)
            found = self.bound[found.name]
        for link in chain:
            self.bound[link] = found
        return found

    def settle(self, expr: Expr) -> Expr:
        """`expr` with everything known put in."""
        if not self.bound or not any(name in self.bound for dim in expr.shape for name in dim.names):
            return expr
        if isinstance(expr, Variable):
            return Variable(expr.name, [self.resolve(d) for d in expr.shape], expr.structure)
        return substitute_dims(
            expr, {name: self.resolve(Dim.of(name)) for name in dim_names(expr) if name in self.bound}
        )

    def unify(self, a: object, b: object) -> bool:
        """Makes the two sizes equal by binding an unknown, if one can be bound."""
        assert isinstance(a, Dim) and isinstance(b, Dim)
        a, b = self.resolve(a), self.resolve(b)
        if a == b:
            return True
        for mine, other in ((a, b), (b, a)):
            name = mine.name
            if name and name.startswith("?") and name not in other.names:
                self.bound[name] = other
                return True
        for mine, other in ((a, b), (b, a)):
            if (found := _factor(mine, other)) is not None:
                self.bound[found[0]] = found[1]
                return True
        difference = a - b
        for name in difference.names:
            held = [(monomial, count) for monomial, count in difference.terms if name in dict(monomial)]
            if name.startswith("?") and len(held) == 1 and len(held[0][0]) == 1 and abs(held[0][1]) == 1:
                rest = difference - Dim.of(name) * Dim.of(held[0][1])
                value = rest if held[0][1] < 0 else -rest
                if held[0][0][0][1] == 1 and any(count > 0 for _, count in value.terms):
                    self.bound[name] = value
                    return True
        return False

    def build(self, make: Callable[..., Expr], exprs: Sequence[Expr]) -> Expr:
        """make(*exprs), binding unknown sizes as it complains; raises ShapeMismatch when it cannot."""
        operands = [self.settle(e) for e in exprs]
        while True:
            try:
                return make(*operands)
            except ShapeMismatch as problem:
                if not problem.dims or not self.unify(*problem.dims):
                    raise
                operands = [self.settle(e) for e in operands]

    def name_the_rest(self, shapes: Iterable[Shape], taken: Collection[str]) -> None:
        """Gives letters to the sizes that stay unknown: a matrix is m×n, a vector has size n."""
        used = set(taken)
        for shape in shapes:
            unknown = [name for dim in shape for name in self.resolve(dim).names if name.startswith("?")]
            fresh = list(dict.fromkeys(name for name in unknown if name not in self.bound))
            free = [letter for letter in LETTERS if letter not in used]
            count = 1
            while len(free) < len(fresh):
                if f"n{count}" not in used:
                    free.append(f"n{count}")
                count += 1
            for name, letter in zip(reversed(fresh), free, strict=False):
                used.add(letter)
                self.bound[name] = Dim.of(letter)

    def shown(self, dim: Dim) -> str:
        """A size as an error names it; an unknown one gets a letter for the purpose."""
        dim = self.resolve(dim)
        for name in dim.names:
            if name.startswith("?") and name not in self.letters:
                self.letters[name] = f"s{len(self.letters) + 1}"
        return str(dim.substitute({name: Dim.of(letter) for name, letter in self.letters.items()}))


def _factor(a: Dim, b: Dim) -> tuple[str, Dim] | None:
    """The unknown factor of a product that the other size decides: 2 of ?·m = 2m."""
    names = [name for name in a.names if name.startswith("?")]
    if len(a.terms) != 1 or len(b.terms) != 1 or len(names) != 1 or names[0] in b.names:
        return None
    ((monomial, count),), ((other, total),) = a.terms, b.terms
    powers = dict(other)
    for name, power in monomial:
        powers[name] = powers.get(name, 0) - (power if name != names[0] else 0)
    if dict(monomial)[names[0]] != 1 or total % count or min(powers.values(), default=0) < 0:
        return None
    found = Dim.of(total // count)
    for name, power in powers.items():
        for _ in range(power):
            found = found * Dim.of(name)
    return names[0], found
