"""Symbolic sizes: integer polynomials in named dimensions, and the exact coefficients made from them.

In: names and integers. Out: immutable values that compare by structure. Nothing here raises for a user's
mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import gcd
from weakref import WeakValueDictionary

Monomial = tuple[tuple[str, int], ...]


_dims: dict[object, Dim] = {}


@dataclass(frozen=True, slots=True, order=True, init=False)
class Dim:
    """An integer polynomial in named sizes: 3, n, n + 1, m·n.

    `constant` is the integer, if there is no name in it; `name` the name, if it is a single one.

    >>> str(Dim.of("n") + Dim.of(1)), str(Dim.of("m") * Dim.of("n"))
    ('n + 1', 'm*n')
    """

    terms: tuple[tuple[Monomial, int], ...]
    constant: int | None = field(compare=False)
    name: str | None = field(compare=False)

    def __new__(cls, terms: tuple[tuple[Monomial, int], ...]) -> Dim:
        # Equal ones are one object: they stand in the keys of every product, and an object is hashed at once.
        found = _dims.get(terms)
        if found is None:
            made = object.__new__(cls)
            values = {"terms": terms, "constant": _constant(terms), "name": _name(terms)}
            for name, value in values.items():
                object.__setattr__(made, name, value)
            found = _dims.setdefault(terms, made)
        return found

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[type[Dim], tuple[object, ...]]:
        return Dim, (self.terms,)

    @staticmethod
    def of(value: str | int | Dim) -> Dim:
        """The dimension named or counted by `value`."""
        return value if isinstance(value, Dim) else _atom(value)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name in it, sorted."""
        if self.name is not None:
            return (self.name,)
        return tuple(sorted({name for monomial, _ in self.terms for name, _ in monomial}))

    def __add__(self, other: Dim) -> Dim:
        return _sum_of(self, other)

    def __neg__(self) -> Dim:
        return Dim(tuple((monomial, -count) for monomial, count in self.terms))

    def __sub__(self, other: Dim) -> Dim:
        return _difference_of(self, other)

    def __mul__(self, other: Dim) -> Dim:
        return _product_of(self, other)

    @property
    def is_nonnegative(self) -> bool:
        """Whether it is ≥ 0 for all sizes ≥ 1, as far as its terms show.

        n − 1 is, n − 2 is not known to be.
        """
        return _is_nonnegative(self)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The integer it stands for; a KeyError names a size that is missing."""
        total = 0
        for monomial, count in self.terms:
            for name, exponent in monomial:
                count *= sizes[name] ** exponent
            total += count
        return total

    def substitute(self, values: Mapping[str, Dim]) -> Dim:
        """With names replaced by dimensions."""
        if not any(name in values for name in self.names):
            return self
        total = Dim(())
        for monomial, count in self.terms:
            product = Dim.of(count)
            for name, exponent in monomial:
                for _ in range(exponent):
                    product = product * values.get(name, Dim.of(name))
            total = total + product
        return total

    def __repr__(self) -> str:
        return f"Dim({self})"

    def __str__(self) -> str:
        return _written(self)


def _constant(terms: tuple[tuple[Monomial, int], ...]) -> int | None:
    if not terms:
        return 0
    return terms[0][1] if len(terms) == 1 and not terms[0][0] else None


def _name(terms: tuple[tuple[Monomial, int], ...]) -> str | None:
    if len(terms) == 1 and terms[0][1] == 1 and len(terms[0][0]) == 1:
        ((name, exponent),) = terms[0][0]
        return name if exponent == 1 else None
    return None


@lru_cache(maxsize=4096)
def _written(dim: Dim) -> str:
    if not dim.terms:
        return "0"
    text = ""
    for monomial, count in sorted(dim.terms, key=lambda t: (-sum(e for _, e in t[0]), t[0])):
        factors = [name if e == 1 else f"{name}**{e}" for name, e in monomial]
        if abs(count) != 1 or not factors:
            factors.insert(0, str(abs(count)))
        sign = ("-" if count < 0 else "") if not text else (" - " if count < 0 else " + ")
        text += sign + "*".join(factors)
    return text


@lru_cache(maxsize=4096)
def _is_nonnegative(dim: Dim) -> bool:
    if len(dim.terms) == 2 and dim.terms[0][1] * dim.terms[1][1] < 0:
        # Of two terms with different signs the positive one must have all sizes of the other.
        (above, _), (below, _) = sorted(dim.terms, key=lambda term: -term[1])
        if not {name for name, _ in below} <= {name for name, _ in above}:
            return False
    one = Dim.of(1)
    shifted = dim.substitute({name: Dim.of(name) + one for name in dim.names})
    return all(count >= 0 for _, count in shifted.terms)


@lru_cache(maxsize=4096)
def _atom(value: str | int) -> Dim:
    if isinstance(value, str):
        return Dim(((((value, 1),), 1),))
    return Dim((((), value),) if value else ())


@lru_cache(maxsize=4096)
def _sum_of(a: Dim, b: Dim) -> Dim:
    return _polynomial([*a.terms, *b.terms])


@lru_cache(maxsize=4096)
def _difference_of(a: Dim, b: Dim) -> Dim:
    return _polynomial([*a.terms, *[(monomial, -count) for monomial, count in b.terms]])


@lru_cache(maxsize=4096)
def _product_of(a: Dim, b: Dim) -> Dim:
    return _polynomial([(_times(p, q), m * n) for p, m in a.terms for q, n in b.terms])


def _times(p: Monomial, q: Monomial) -> Monomial:
    powers = dict(p)
    for name, exponent in q:
        powers[name] = powers.get(name, 0) + exponent
    return tuple(sorted(powers.items()))


def _polynomial(terms: list[tuple[Monomial, int]]) -> Dim:
    total: dict[Monomial, int] = {}
    for monomial, count in terms:
        total[monomial] = total.get(monomial, 0) + count
    return Dim(tuple(sorted((m, c) for m, c in total.items() if c)))


Powers = tuple[tuple["Dim", int], ...]
# The coefficients that are in use, by numerator, denominator and powers.
_coefficients: WeakValueDictionary[tuple[int, int, Powers], Coefficient] = WeakValueDictionary()


@dataclass(frozen=True, slots=True, eq=False, init=False, weakref_slot=True)
class Coefficient:
    """An exact rational times integer powers of sizes: 2/N is Coefficient(2, ((N, -1),)).

    Each size in `powers` is a name or a primitive polynomial with more than one term. Equal ones are one
    object. `is_zero` and `is_one` say whether it is 0 or 1.
    """

    rational: Fraction
    powers: Powers
    is_zero: bool
    is_one: bool

    def __new__(cls, rational: Fraction, powers: Powers = ()) -> Coefficient:
        numerator = rational.numerator
        key = (numerator, rational.denominator, powers)
        found = _coefficients.get(key)
        if found is None:
            made = object.__new__(cls)
            fill = object.__setattr__
            fill(made, "rational", rational)
            fill(made, "powers", powers)
            fill(made, "is_zero", not numerator)
            fill(made, "is_one", key == (1, 1, ()))
            found = _coefficients.setdefault(key, made)
        return found

    def __reduce__(self) -> tuple[type[Coefficient], tuple[object, ...]]:
        return Coefficient, (self.rational, self.powers)

    @staticmethod
    def of(value: int | Fraction | Dim | Coefficient) -> Coefficient:
        """The coefficient that is worth `value`."""
        if isinstance(value, Coefficient):
            return value
        if isinstance(value, Dim):
            return _from_dim(value)
        return Coefficient(value) if isinstance(value, Fraction) else _whole(value)

    def __mul__(self, other: Coefficient) -> Coefficient:
        if other is ONE or self is ONE:
            return self if other is ONE else other
        return _multiplied(self, other)

    def __neg__(self) -> Coefficient:
        return _multiplied(self, MINUS_ONE)

    def __pow__(self, exponent: int) -> Coefficient:
        return _raised(self, exponent)

    def __add__(self, other: Coefficient) -> Coefficient:
        """The exact sum, as one coefficient: N/2 + -1/2 is (N - 1)/2."""
        if self.is_zero or other.is_zero:
            return other if self.is_zero else self
        return _added(self, other)

    def evaluate(self, sizes: Mapping[str, int]) -> Fraction:
        """Its exact value for the given sizes."""
        value = self.rational
        for dim, exponent in self.powers:
            value *= Fraction(dim.evaluate(sizes)) ** exponent
        return value

    def substitute(self, values: Mapping[str, Dim]) -> Coefficient:
        """With names replaced by dimensions."""
        result = Coefficient(self.rational)
        for dim, exponent in self.powers:
            result = result * _from_dim(dim.substitute(values)) ** exponent
        return result

    @property
    def names(self) -> tuple[str, ...]:
        """Every size name in it, sorted."""
        return tuple(sorted({name for dim, _ in self.powers for name in dim.names}))

    def __repr__(self) -> str:
        # Part of the digest of every product, hence short work.
        rational = self.rational
        return _coefficient_text(rational.numerator, rational.denominator, self.powers)


@lru_cache(maxsize=4096)
def _multiplied(a: Coefficient, b: Coefficient) -> Coefficient:
    rational = a.rational * b.rational
    if not rational:
        return ZERO
    if not a.powers or not b.powers:
        return Coefficient(rational, a.powers or b.powers)
    powers = dict(a.powers)
    for dim, exponent in b.powers:
        powers[dim] = powers.get(dim, 0) + exponent
    return Coefficient(rational, tuple(sorted((d, e) for d, e in powers.items() if e)))


@lru_cache(maxsize=4096)
def _raised(a: Coefficient, exponent: int) -> Coefficient:
    return Coefficient(a.rational**exponent, tuple((d, e * exponent) for d, e in a.powers if exponent))


@lru_cache(maxsize=4096)
def _added(a: Coefficient, b: Coefficient) -> Coefficient:
    if a.powers == b.powers:
        total = a.rational + b.rational
        return Coefficient(total, a.powers) if total else ZERO
    mine, theirs = dict(a.powers), dict(b.powers)
    common = {d: min(mine.get(d, 0), theirs.get(d, 0)) for d in {*mine, *theirs}}
    shared = tuple(sorted((d, e) for d, e in common.items() if e))
    denominator = a.rational.denominator * b.rational.denominator
    polynomial = Dim(())
    for coefficient, powers in ((a, mine), (b, theirs)):
        part = Dim.of(int(coefficient.rational * denominator))
        for dim, exponent in powers.items():
            for _ in range(exponent - common[dim]):
                part = part * dim
        for dim, low in common.items():
            for _ in range(-low if dim not in powers else 0):
                part = part * dim
        polynomial = polynomial + part
    return Coefficient(Fraction(1, denominator), shared) * _from_dim(polynomial)


@lru_cache(maxsize=4096)
def _coefficient_text(numerator: int, denominator: int, powers: tuple[tuple[Dim, int], ...]) -> str:
    return f"Coefficient(rational=Fraction({numerator}, {denominator}), powers={powers!r})"


@lru_cache(maxsize=4096)
def _whole(value: int) -> Coefficient:
    return Coefficient(Fraction(value))


@lru_cache(maxsize=4096)
def _from_dim(dim: Dim) -> Coefficient:
    if not dim.terms:
        return ZERO
    content = gcd(*(count for _, count in dim.terms))
    if dim.terms[-1][1] < 0:
        content = -content
    shared = dict(dim.terms[0][0])
    for monomial, _ in dim.terms[1:]:
        powers = dict(monomial)
        shared = {name: min(e, powers[name]) for name, e in shared.items() if name in powers}
    factors = {_atom(name): e for name, e in shared.items()}
    rest = Dim(
        tuple(
            sorted(
                (
                    tuple((n, e - shared.get(n, 0)) for n, e in monomial if e > shared.get(n, 0)),
                    count // content,
                )
                for monomial, count in dim.terms
            )
        )
    )
    if rest.constant is None:
        factors[rest] = 1
    return Coefficient(Fraction(content), tuple(sorted(factors.items())))


ZERO = Coefficient(Fraction(0))
ONE = Coefficient(Fraction(1))
MINUS_ONE = Coefficient(Fraction(-1))
