"""Unification of symbolic sizes: what the parts of a formula say about sizes that nobody declared.

An unknown size is a dimension whose name begins with ?. Two sizes that must agree bind an unknown in one of
them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import Dim, Monomial
from chainrule.expr.nodes import Expr, Shape, Variable
from chainrule.expr.walk import dim_names, substitute_dims

LETTERS = ("n", "m", "k", "p", "q", "r", "s", "l", "h", "d")


class Sizes:
    """What is known about the unknown sizes."""

    def __init__(self) -> None:
        self.bound: dict[str, Dim] = {}
        self.letters: dict[str, str] = {}
        self.met: set[tuple[int, int]] = set()

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
        difference = a - b
        for name in difference.names:
            held = [(monomial, count) for monomial, count in difference.terms if name in dict(monomial)]
            if name.startswith("?") and len(held) == 1 and dict(held[0][0])[name] == 1:
                value = _divided(Dim(tuple(t for t in difference.terms if t != held[0])), held[0], name)
                if value is not None and any(count > 0 for _, count in value.terms):
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

    def meets_again(self, start: int, end: int) -> bool:
        """Whether a place of the text was asked about before: what it may bind waits for what must be so."""
        again = (start, end) in self.met
        self.met.add((start, end))
        return again

    def shown(self, dim: Dim) -> str:
        """A size as an error names it; an unknown one gets a letter for the purpose."""
        dim = self.resolve(dim)
        for name in dim.names:
            if name.startswith("?") and name not in self.letters:
                self.letters[name] = f"s{len(self.letters) + 1}"
        return str(dim.substitute({name: Dim.of(letter) for name, letter in self.letters.items()}))


def _divided(rest: Dim, held: tuple[Monomial, int], name: str) -> Dim | None:
    """−rest divided by what stands beside `name` in a term: 2 for −2m and m·name; None if that is no size."""
    beside = {other: power for other, power in held[0] if other != name}
    terms: list[tuple[Monomial, int]] = []
    for monomial, count in rest.terms:
        powers = dict(monomial)
        if count % held[1] or any(powers.get(other, 0) < power for other, power in beside.items()):
            return None
        left = {other: power - beside.get(other, 0) for other, power in powers.items()}
        terms.append((tuple((other, power) for other, power in left.items() if power), -count // held[1]))
    return Dim(tuple(sorted(terms)))
