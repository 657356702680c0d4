"""What the sides of an equality are worth in each reading, and whether two sides are equal.

In: a derivation that is ready. Out: values by the truth, or by what the person stated in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from chainrule.errors import ChainruleError
from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Einsum, Expr, Shape, Variable, constant_of, permute, zeros
from chainrule.expr.walk import variables as variables_of
from chainrule.grade.book import Book
from chainrule.grade.definitions import Setting
from chainrule.grade.derivation_text import Part
from chainrule.grade.nearly import difference
from chainrule.grade.points import Place
from chainrule.grade.reading import LAYOUTS, Parsed, Reading, partial_class
from chainrule.grade.symbols import SCOPES, Side, Symbol
from chainrule.simplify import normalise
from chainrule.verify.compare import equal
from chainrule.verify.probe import close, probe


@dataclass(frozen=True, slots=True)
class Value:
    """A side in one reading. `exact` is false while its layout is open: a symbol alone."""

    reading: Reading
    parsed: Parsed
    expr: Expr
    exact: bool


@dataclass(slots=True)
class Chain:
    """A left side and what was written for it so far.

    left     the left side; None if it is a name
    symbol   the derivative or differential that stands alone there
    letters  the letters of index notation below it
    before   the line before, in every reading in which it is still right (or as it was read, if it is wrong)
    truth    what the left side is worth, in every reading
    wrong    the number of the line in this chain that was wrong last, 0 if what stands there now is right
    place    the point at which its last lines hold
    """

    left: Side | None
    name: str
    symbol: Symbol | None
    letters: str | None
    truth: list[Value] = field(default_factory=list)
    before: list[Value] = field(default_factory=list)
    wrong: int = 0
    place: Place | None = None


class Valuer:
    """Values sides in the setting of one derivation, and remembers what the person stated.

    layouts   those in which the derivation may be written, after the lines so far
    written   how the person wrote a matrix of derivatives, "as it is" or "transposed", and in which line
    claims    what wrong lines say of derivatives and differentials, with the number of the line
    formulas  what wrong lines say of names
    place     the point at which values are compared now, if they are not compared everywhere
    rounded   by how much a number that is compared may be rounded
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.reader = setting.reader
        self.true = setting.book
        self.claims: dict[tuple[str, ...], tuple[int, Expr]] = {}
        self.formulas: dict[str, tuple[int, Expr]] = {}
        self.layouts: tuple[str, ...] = LAYOUTS
        self.written: dict[tuple[str, ...], tuple[str, int]] = {}
        self.books: dict[tuple[tuple[int, ...], bool], Book] = {}
        self.verdicts: dict[tuple[Expr, Expr, float], bool] = {}
        self.place: Place | None = None
        self.rounded = 0.0

    # ------------------------------------------------------------ books

    def book(self, believing: tuple[int, ...], wide: bool) -> Book:
        """The truth, with what the lines of these numbers claim in its place; `wide`: more variables move."""
        key = (believing, wide)
        if key not in self.books:
            free = self.true.free
            if wide:
                free = tuple(dict.fromkeys([*free, *self.setting.moving]))
            claims = {key: expr for key, (number, expr) in self.claims.items() if number in believing}
            formulas = {name: expr for name, (number, expr) in self.formulas.items() if number in believing}
            self.books[key] = replace(self.true, free=free, claims=claims, formulas=formulas, known={})
        return self.books[key]

    def believe(self, chain: Chain, value: Value | None) -> None:
        """Keeps what a wrong line states, for the lines that follow from it; None: the truth stands again."""
        self.books = {key: book for key, book in self.books.items() if not key[0]}
        symbol = chain.symbol
        if symbol is not None and symbol.mark == "∇":
            return
        if symbol is not None and isinstance(symbol.of, str) and not any(symbol.below):
            key = (symbol.of, *symbol.by)
            self.claims.pop(key, None)
            if value is not None:
                raw = self.reader.worth(symbol, value.reading, self.book((), False))
                if value.expr.shape == raw.shape:
                    self.claims[key] = chain.wrong, value.expr
                elif value.expr.rank == 2 and value.expr.shape == raw.shape[::-1]:
                    self.claims[key] = chain.wrong, permute(value.expr, (1, 0))
        elif chain.name:
            self.formulas.pop(chain.name, None)
            if value is not None and value.expr.shape == self.true.names[chain.name].variable.shape:
                self.formulas[chain.name] = chain.wrong, self.as_formula(chain.name, value)

    def as_formula(self, name: str, value: Value) -> Expr:
        """A value as a formula of a name: as written, unless the name is met again in it."""
        written = value.parsed.expr
        again = any(self.true.leads(v.name, {name}) for v in variables_of(written))
        return value.expr if again or value.parsed.holes else written

    def restate(self, name: str, value: Value) -> None:
        """Keeps another formula of a name, for direct partials by what stands in it."""
        formula = self.as_formula(name, value)
        named = self.true.names[name]
        if formula not in named.written and formula.shape == named.variable.shape:
            named.written.append(formula)

    def believed(self, value: Value, numbers: tuple[int, ...]) -> Expr:
        """What a side is worth by what the lines of these numbers claim."""
        return self.reader.fill(value.parsed, value.reading, self.book(numbers, value.reading.free))

    # ------------------------------------------------------------ readings

    def values(self, chain: Chain, right: Part) -> tuple[list[Value], list[Value], list[ChainruleError]]:
        """What the left side (or the line before) and the right side are worth, in every reading."""
        problems: list[ChainruleError] = []
        rights: list[Value] = []
        fresh = not chain.truth
        lefts: list[Value] = []
        unread: list[ChainruleError] = []
        for reading in self.readings(chain, right):
            if fresh:
                lefts += self.left_values(chain, reading, unread)
            known = chain.before or chain.truth or lefts
            alike = [v for v in known if v.reading.layout == reading.layout] or known
            value = self.value(right, reading, chain, problems, alike[0].expr.shape if alike else None)
            if value is not None:
                rights.append(value)
        if fresh:
            if not lefts and unread:
                raise unread[0]
            chain.truth = unique(lefts)
        return (chain.truth if fresh else chain.before or chain.truth), rights, problems

    def readings(self, chain: Chain, right: Part) -> Iterator[Reading]:
        """Every reading in which the sides differ, the likeliest first."""
        sides = [self.reader.scanner.side(right, scope) for scope in SCOPES]
        lefts = [self.reader.scanner.side(chain.left.part, scope) for scope in SCOPES] if chain.left else []
        scopes: list[str] = []
        seen: list[tuple[object, ...]] = []
        for k, scope in sorted(enumerate(SCOPES), key=lambda item: item[1] != "factor"):
            key = (sides[k].chunks, lefts[k].chunks if lefts else None)
            if key not in seen:
                seen.append(key)
                scopes.append(scope)
        symbols = [s for side in (*sides, *lefts) for s in side.symbols]
        oriented = any(sum(map(len, self.reader.axes(s, Reading()))) for s in symbols)
        oriented = oriented or any(0 < len(n.turned) < len(LAYOUTS) for n in self.true.names.values())
        layouts = (*self.layouts, *(x for x in LAYOUTS if x not in self.layouts)) if oriented else LAYOUTS[:1]
        stars = (False, True) if self.reader.dialect == "numpy" and "*" in right.text else (False,)
        directs = list(self.directs(symbols))
        wide = (False, True) if set(self.setting.moving) - set(self.true.free) else (False,)
        for star, scope, free, direct, layout in product(stars, scopes, wide, directs, layouts):
            yield Reading(layout, scope, star, direct, free)

    def directs(self, symbols: Sequence[Symbol]) -> Iterator[tuple[tuple[str, int], ...]]:
        """Which classes of symbols may be direct partials: only where that makes a difference."""
        most: dict[str, int] = {}
        for symbol in symbols:
            if len(symbol.by) != 1 or symbol.mark in ("′", "∇"):
                continue
            of = self.reader.subject(symbol, Reading())
            kind = partial_class(symbol, self.true)
            if kind == "d by a variable":
                continue
            total = normalise(self.true.total(of, symbol.by))
            others = [normalise(e) for e in self.true.direct(of, symbol.by[0])]
            if any(e is not total for e in others):
                most[kind] = max(most.get(kind, 0), len(others))
        kinds = sorted(most)
        options = [
            (*range(most[kind]), -1) if kind.endswith("name") else (-1, *range(most[kind])) for kind in kinds
        ]
        for choice in product(*options):
            yield tuple(zip(kinds, choice, strict=True))

    def left_values(self, chain: Chain, reading: Reading, problems: list[ChainruleError]) -> list[Value]:
        """What the left side is worth; what cannot be read is added to the problems."""
        if chain.left is None:
            parsed = Parsed(self.true.names[chain.name].variable)
            return [Value(reading, parsed, self.true.full(chain.name), True)]
        readings = [reading]
        if any(choice >= 0 for _, choice in reading.direct):
            # ∂y/∂x on the left may be the total derivative while it is a direct partial on the right.
            readings.append(replace(reading, direct=()))
        found = []
        for one in readings:
            value = self.value(chain.left.part, one, chain, problems)
            if value is not None:
                found.append(replace(value, reading=reading))
        return found

    def value(
        self,
        part: Part,
        reading: Reading,
        chain: Chain,
        problems: list[ChainruleError],
        shape: Shape | None = None,
    ) -> Value | None:
        side = self.reader.scanner.side(part, reading.scope)
        if shape is not None and (len(shape) > 2 or not shape) and not chain.letters:
            shape = None
        try:
            parsed = self.reader.parse(side, reading, shape, chain.letters)
        except ChainruleError as problem:
            if not reading.star:
                problems.append(problem)
            return None
        expr = self.reader.fill(parsed, reading, self.book((), reading.free))
        return Value(reading, parsed, expr, bool(chain.letters) or not parsed.loose)

    # ------------------------------------------------------------ layouts

    def note_layout(self, symbol: Symbol, value: Value, number: int) -> None:
        """Keeps how a matrix of derivatives was written, where its transpose is another matrix."""
        if not isinstance(symbol.of, str) or len(symbol.by) != 1 or value.expr.rank != 2:
            return
        raw = self.reader.worth(symbol, value.reading, self.book((), value.reading.free))
        if raw.rank == 2 and not self.same(raw, permute(raw, (1, 0)), False):
            way = "as it is" if self.same(raw, value.expr, False) else "transposed"
            self.written[symbol.of, *symbol.by] = way, number

    def note_orientation(self, name: str, value: Value) -> None:
        """Fixes whether a name of a derivative is a row, or the transpose, once it is written out."""
        named = self.true.names[name]
        if value.parsed.holes or not 0 < len(named.turned) < len(LAYOUTS):
            return
        if value.expr.rank == 1 and value.parsed.row:
            named.turned = LAYOUTS
        elif value.expr.rank == 2:
            raw = self.true.full(name)
            if not self.same(raw, permute(raw, (1, 0)), False):
                named.turned = () if self.same(raw, value.expr, False) else LAYOUTS

    def at_odds(self, value: Value) -> int:
        """The line that wrote a factor in another layout than this reading takes it in, or 0."""
        for hole in value.parsed.holes.values():
            symbol = hole.symbols[0]
            plain = len(hole.symbols) == 1 and hole.labels is None and value.exact
            if not plain or not isinstance(symbol.of, str):
                continue
            way, number = self.written.get((symbol.of, *symbol.by), ("", 0))
            if way and way != ("transposed" if hole.order else "as it is"):
                return number
        return 0

    # ------------------------------------------------------------ comparing

    def agreeing(self, lefts: Sequence[Value], rights: Sequence[Value]) -> list[Value]:
        """The right sides that equal a left side of the same reading."""
        found = []
        for right in rights:
            for left in lefts:
                if not compatible(left.reading, right.reading):
                    continue
                turned = not left.exact or not right.exact
                if self.same(left.expr, right.expr, turned):
                    if not right.reading.free and self.dropped(right):
                        continue
                    found.append(right)
                    break
        return found

    def dropped(self, value: Value) -> bool:
        """Whether it still holds differentials that were taken as 0."""
        idle = {f"d{name}" for name in self.setting.moving if name not in self.true.free}
        return any(v.name in idle for v in variables_of(value.parsed.expr))

    def same(self, a: Expr, b: Expr, turned: bool) -> bool:
        """Whether two values are equal; a zero is a zero of any shape, and axes of size 1 do not count."""
        if self.place is not None:
            a, b = self.place.put(a), self.place.put(b)
        a, b = squeezed(a), squeezed(b)
        if a.shape != b.shape:
            for one, other in ((a, b), (b, a)):
                constant = constant_of(one)
                if constant is not None and constant.is_zero and not one.rank:
                    return self.equal(other, zeros(other.shape))
        if a.shape == b.shape and self.equal(a, b):
            return True
        other_way = turned and a.rank == b.rank == 2 and a.shape == b.shape[::-1]
        return other_way and self.equal(permute(a, (1, 0)), b)

    def equal(self, a: Expr, b: Expr) -> bool:
        key = (a, b, self.rounded)
        if key not in self.verdicts:
            first, second = normalise(a), normalise(b)
            self.verdicts[key] = first is second or self.alike(first, second)
        return self.verdicts[key]

    def alike(self, a: Expr, b: Expr) -> bool:
        """Whether two expressions have the same values: a glance first, then points of every kind."""
        known = [*self.true.variables.values()]
        if self.place is not None:
            known = [v for v in map(self.place.put, known) if isinstance(v, Variable)]
        if not self.rounded and not equal(a, b, known, points=2).equal:
            return False
        points = probe([a, b], known)
        pairs = zip(points.values(a), points.values(b), points.noise(a), points.noise(b), strict=True)
        if not all(close(x, y, max(p, q, self.rounded)) for x, y, p, q in pairs):
            return False
        return self.place is not None or difference(a, b, points) is None


def compatible(a: Reading, b: Reading) -> bool:
    """Whether two sides can be read so together."""
    return (a.direct, a.free) == (b.direct, b.free) or not a.direct or not b.direct


def unique(values: Sequence[Value]) -> list[Value]:
    """Each value once for each way of reading partials."""
    found: dict[tuple[object, ...], Value] = {}
    for v in values:
        found.setdefault((v.expr, v.reading.direct, v.reading.free, v.exact), v)
    return list(found.values())


def closest(lefts: Sequence[Value], rights: Sequence[Value]) -> Value:
    """The reading of a wrong right side to speak about: one whose shape is that of the left side."""
    shapes = {squeezed(left.expr).shape for left in lefts}
    return next((r for r in rights if squeezed(r.expr).shape in shapes), rights[0])


def squeezed(expr: Expr) -> Expr:
    """The expression without its axes of size 1."""
    axes = tuple(range(expr.rank))
    kept = tuple(k for k in axes if expr.shape[k].constant != 1)
    if kept == axes:
        return expr
    return Einsum(ONE, (expr,), (axes,), kept)
