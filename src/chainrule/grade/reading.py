"""One side of an equality to an expression, in a given reading: layout, how far d/dx reaches, what * means.

Symbols become placeholders of the right shape, which the language reads as variables; what they are worth is
put in afterwards, so that one text can be valued by the truth and by what a person claimed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from chainrule.errors import ChainruleError, OutsideSum, ShapeMismatch, Span, UnknownName
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.names import ascii_name, pretty
from chainrule.expr.nodes import Einsum, Expr, Shape, Stack, Variable, permute
from chainrule.expr.walk import substitute
from chainrule.expr.walk import variables as variables_of
from chainrule.grade.book import Book, composed, differential_of, jacobian
from chainrule.grade.derivation_text import Part
from chainrule.grade.dots import dotted
from chainrule.grade.folding import PREFIX, folded, unfolded
from chainrule.grade.retext import Edit, Edited, apply, relocated
from chainrule.grade.signs import signs
from chainrule.grade.symbols import NAME, Scanner, Side, Symbol
from chainrule.language import Declarations, parse_formula
from chainrule.language.formula import outline
from chainrule.language.functions import TABLE
from chainrule.language.unknown import NONE, Functions
from chainrule.rules.constants import component

LAYOUTS = ("numerator", "denominator", "mixed")
_PRODUCT = re.compile(r"\s*[·*@×⋅]?\s*")
_STAR = {"**": ".^", "@": "*", ".T": "ᵀ"}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a side is read.

    layout   numerator: gradients are rows, Jacobians have a row for each output; denominator: the transpose;
             mixed: gradients have the shape of the variable, Jacobians are those of numerator layout
    scope    how far d/dx reaches where no bracket says it
    star     whether * is the matrix product in the NumPy dialect
    direct   which of the symbols are direct partials: indices into `partials`, −1 is total
    free     whether variables that are not asked for have differentials too
    """

    layout: str = "numerator"
    scope: str = "factor"
    star: bool = False
    direct: tuple[tuple[str, int], ...] = ()
    free: bool = False


@dataclass(frozen=True, slots=True)
class Hole:
    """A placeholder: the symbols whose composition it stands for, and how its axes are turned.

    order   its axes, among those of the value
    folded  the matrix whose axes are one axis of it
    labels  those of the value, where letters of instances stand below it: one that stands twice is a diagonal
    """

    symbols: tuple[Symbol, ...]
    order: tuple[int, ...] | None
    reverse: bool = False
    folded: str = ""
    labels: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A side as an expression over placeholders, stand-ins and variables.

    loose   its value stands in no layout: a symbol alone
    tensor  a placeholder has more than two axes
    """

    expr: Expr
    holes: dict[Variable, Hole] = field(default_factory=dict)
    row: bool = False
    loose: bool = False
    tensor: bool = False
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Reader:
    """Reads sides in the setting of one derivation."""

    source: str
    book: Book
    scanner: Scanner
    dialect: str
    profile: str | None
    functions: Functions = NONE
    inner: dict[tuple[int, str, str], Expr] = field(default_factory=dict)

    # ------------------------------------------------------------ shapes

    def subject(self, symbol: Symbol, reading: Reading) -> str | Expr:
        """What a symbol differentiates: a name, or its formula."""
        return symbol.of if isinstance(symbol.of, str) else self.plain(symbol.of, reading)

    def plain(self, part: Part, reading: Reading) -> Expr:
        """A formula inside a symbol, over names and variables."""
        key = (part.start, part.text, reading.scope)
        if key not in self.inner:
            side = self.scanner.side(part, reading.scope)
            plain = Reading(scope=reading.scope, star=reading.star)
            letters = self.scanner.free_letters(part)
            parsed = self.parse(side, plain, letters=letters or None)
            self.inner[key] = self.filled(parsed, plain, self.book)
        return self.inner[key]

    def axes(self, symbol: Symbol, reading: Reading) -> list[Shape]:
        """The axes of what is differentiated, and of each variable that it is by, components taken."""
        if symbol.mark == "′":
            return [self.subject(symbol, reading).shape]  # type: ignore[union-attr]
        of = self.subject(symbol, reading)
        shapes = [of.shape if isinstance(of, Expr) else self.book.symbol(of).shape]
        if symbol.mark == "∇":
            return [*shapes, (Dim.of(len(symbol.by)),)]
        shapes += [self.book.symbol(name).shape for name in symbol.by]
        return [
            shape[len(index) :] if index.isdigit() else shape
            for shape, index in zip(shapes, symbol.below, strict=True)
        ]

    # ------------------------------------------------------------ parsing

    def parse(
        self, side: Side, reading: Reading, shape: Shape | None = None, letters: str | None = None
    ) -> Parsed:
        """The side as an expression.

        Raises: ChainruleError with its place in the derivation.
        """
        holes: dict[Variable, Hole] = {}
        spoken: dict[str, str] = {}
        edits = list(self.edits(side, reading, holes, spoken, letters is not None))
        edited = apply(side.part.text, side.part.start, edits)
        if letters is not None:
            prefix = f"entry_{letters} = " if letters else ""
            moved = tuple((a + len(prefix), b, c, d) for a, b, c, d in edited.pieces)
            edited = Edited(prefix + edited.text, moved)
        star = reading.star and self.dialect == "numpy"
        declared = self.declared(holes, edited.text)
        dialect = "matlab" if star else self.dialect
        try:
            formula = parse_formula(
                edited.text, declared, dialect, self.profile, shape, functions=self.functions
            )
            extra = [name for name in formula.variables if name not in declared.variables]
            if extra:
                raise self.undeclared(extra[0], edited)
        except ChainruleError as problem:
            if isinstance(problem, OutsideSum):
                said = outline(edited.text, declared, dialect, self.profile, self.functions)
                problem = self.undeclared(said.free[0], edited) if said.free else problem
            raise relocated(problem, edited, self.source, spoken) from None
        alone = side.alone is not None or (len(holes) == 1 and formula.expr in holes)
        # A product with a folded factor has the shape of a matrix, whatever the layout.
        alone = alone or any(hole.folded for hole in holes.values())
        tensor = any(v.rank > 2 for v in holes)
        notes = tuple(s for s in formula.assumptions if "space is read" in s)
        return Parsed(formula.expr, holes, formula.row, alone, tensor, notes)

    def undeclared(self, name: str, edited: Edited) -> UnknownName:
        found = next(
            (m for m in re.finditer(NAME, edited.text) if ascii_name(m[0]) == name),
            re.search(re.escape(pretty(name)), edited.text),
        )
        known = [*self.book.variables, *self.book.names]
        return UnknownName(
            f"`{pretty(name)}` is neither declared nor given a value in this derivation",
            source=edited.text,
            spans=(Span(found.start(), found.end()),) if found else (),
            hint="known are " + ", ".join(map(pretty, known[:12])),
        )

    def declared(self, holes: dict[Variable, Hole], text: str) -> Declarations:
        """What a text may name: variables, names, placeholders, and the differentials that stand in it."""
        everything = {**self.book.variables, **{n: named.variable for n, named in self.book.names.items()}}
        if self.scanner.differentials:
            words = {ascii_name(m[0]) for m in re.finditer(NAME, text)}
            for variable in list(everything.values()):
                moved = differential_of(variable)
                if any(moved.name in word for word in words):
                    everything.setdefault(moved.name, moved)
        everything |= {v.name: v for v in holes}
        dims = dict.fromkeys(n for v in everything.values() for d in v.shape for n in d.names)
        return Declarations("", everything, tuple(d for d in dims if d not in everything))

    # ------------------------------------------------------------ placeholders

    def edits(
        self,
        side: Side,
        reading: Reading,
        holes: dict[Variable, Hole],
        spoken: dict[str, str],
        indexed: bool,
    ) -> Iterator[Edit]:
        """What stands in place of the symbols, and of signs that the language reads differently."""
        taken: list[Span] = []
        for symbols, span in self.runs(side, reading, indexed):
            taken.append(span)
            alone = not self.source[side.part.start : span.start].strip(" (")
            alone = alone and not self.source[span.end : side.part.span.end].strip(" )")
            text = self.hole(symbols, reading, holes, indexed, alone)
            shown = self.source[span.start : span.end]
            bare = re.sub(r"_[i-t]+$", "", re.sub(r"[()ᵀ]", "", text))
            spoken.update({text: shown, f"{bare}ᵀ": shown, bare: shown, PREFIX: "entries of "})
            yield Edit(span.start, span.end, text)
        spelled = list(self.spelling(side.part, reading))
        spoken.update({e.text: e.text[1:-2] for e in spelled if re.fullmatch(rf"\({NAME}ᵀ\)", e.text)})
        taken += [Span(e.start, e.end) for e in spelled if e.end - e.start > 1]
        for edit in spelled:
            inside = (s for s in taken if s.start <= edit.start and edit.end <= s.end)
            if all((s.start, s.end) == (edit.start, edit.end) for s in inside):
                yield edit

    def runs(self, side: Side, reading: Reading, indexed: bool) -> Iterator[tuple[tuple[Symbol, ...], Span]]:
        """Symbols one by one; a chain in which one has more than two axes is composed as a whole."""
        chunks = side.chunks
        k = 0
        while k < len(chunks):
            chunk, span = chunks[k]
            if not isinstance(chunk, Symbol):
                k += 1
                continue
            run, last = [chunk], k
            while last + 1 < len(chunks):
                step = 1 if isinstance(chunks[last + 1][0], Symbol) else 2
                if last + step >= len(chunks):
                    break
                between, following = chunks[last + 1][0], chunks[last + step][0]
                plain = step == 1 or _PRODUCT.fullmatch(between.text)
                if not plain or not isinstance(following, Symbol) or not chained(run[-1], following):
                    break
                run.append(following)
                last += step
            ranks = [sum(map(len, self.axes(s, reading))) for s in run]
            whole = not indexed and not any(s.indexed for s in run) and (forward(run) or backward(run))
            if len(run) > 1 and max(ranks) > 2 and whole:
                yield tuple(run), Span(span.start, chunks[last][1].end)
                k = last + 1
            else:
                yield (chunk,), span
                k += 1

    def hole(
        self,
        symbols: tuple[Symbol, ...],
        reading: Reading,
        holes: dict[Variable, Hole],
        indexed: bool,
        alone: bool = False,
    ) -> str:
        """The placeholder's text; its variable is added to `holes`."""
        name = f"hole{len(holes)}x"
        reverse = len(symbols) > 1 and not forward(symbols)
        first, last = (symbols[-1], symbols[0]) if reverse else (symbols[0], symbols[-1])
        of = self.axes(first, reading)[0]
        bys = self.axes(last, reading)[1:] if len(symbols) > 1 else self.axes(first, reading)[1:]
        shape = of + tuple(d for by in bys for d in by)
        if first.indexed and not indexed and len(symbols) == 1:
            return self.instance(first, [of, *bys], reading, holes)
        order: tuple[int, ...] | None = None
        turned = False
        fold = ""
        if len(bys) == 1 and (len(of), len(bys[0])) == (1, 2) and not (indexed or alone):
            fold = last.by[0] if len(symbols) > 1 else first.by[0]
            shape = (*of, folded(fold))
            bys = [(folded(fold),)]
        if first.by and len(bys) == 1 and not indexed and len(shape) <= 2:
            order, turned = arranged(len(of), len(bys[0]), reading.layout)
            shape = tuple(shape[k] for k in order) if order else shape
        if fold and order:
            order = (1, 2, 0)
        holes[Variable(name, shape)] = Hole(symbols, order, reverse, fold)
        letters = "".join(index for s in symbols for index in s.below if index.isalpha())
        if letters and indexed:
            return f"{name}_{letters}"
        return f"({name}ᵀ)" if turned else name

    def instance(
        self, symbol: Symbol, shapes: Sequence[Shape], reading: Reading, holes: dict[Variable, Hole]
    ) -> str:
        """The placeholder of ∂eᵢ/∂w in a sum over i: an entry, or a row that stands as the layout says."""
        labels: list[str] = []
        free: list[int] = []  # axes without a letter, of what is differentiated and of what it is by
        for k, (shape, index) in enumerate(zip(shapes, symbol.below, strict=True)):
            letters = index if index.isalpha() else ""
            labels += [*letters, *(f"{k}.{axis}" for axis in range(len(letters), len(shape)))]
            free.append(len(shape) - len(letters))
        names = list(dict.fromkeys(labels))
        below = [name for name in names if name.isalpha()]
        rest = [name for name in names if not name.isalpha()]
        turned = False
        if len(free) == 2 and sum(free) <= 2:
            order, turned = arranged(free[0], free[1], reading.layout)
            rest = [rest[k] for k in order] if order else rest
        sizes = dict(zip(labels, (d for shape in shapes for d in shape), strict=True))
        number = {name: k for k, name in enumerate(names)}
        variable = Variable(f"hole{len(holes)}x", tuple(sizes[name] for name in (*below, *rest)))
        output = tuple(number[name] for name in (*below, *rest))
        holes[variable] = Hole((symbol,), output, labels=tuple(number[name] for name in labels))
        text = f"{variable.name}_{''.join(below)}"
        return f"({text}ᵀ)" if turned else text

    def spelling(self, part: Part, reading: Reading) -> Iterator[Edit]:
        """Signs that people use in derivations and the language does not know, or reads in another way."""
        text, at = part.text, part.start
        yield from signs(text, at)
        yield from dotted(text, at, self.scanner.size)
        for m in re.finditer(r"\|\|", text) if reading.star else ():
            yield Edit(at + m.start(), at + m.end(), "‖")
        if reading.star and self.dialect == "numpy":
            for m in re.finditer(r"\*\*|@|\.T\b", text):
                yield Edit(at + m.start(), at + m.end(), _STAR[m[0]])
        for m in re.finditer(rf"({NAME})(\((?:\s*{NAME}\s*,?)+\))", text):
            if self.names_itself(m[1], m[2]):
                yield Edit(at + m.start(2), at + m.end(2), "")
        for m in re.finditer(NAME, text):
            named = self.book.names.get(ascii_name(m[0]))
            if named is not None and reading.layout in named.turned:
                yield Edit(at + m.start(), at + m.end(), f"({m[0]}ᵀ)")

    def names_itself(self, word: str, brackets: str) -> bool:
        """Whether f(x) is the name f with the arguments that it was introduced with, or depends on."""
        name = ascii_name(word)
        if name not in self.book.names:
            return False
        arguments = [ascii_name(m[0]) for m in re.finditer(NAME, brackets)]
        own = self.scanner.calls.get(name)
        if own is not None:
            return tuple(arguments) == own
        return all(a in self.scanner.known and self.book.leads(name, {a}) for a in arguments)

    # ------------------------------------------------------------ values

    def fill(self, parsed: Parsed, reading: Reading, book: Book) -> Expr:
        """The value over variables, by that book."""
        return book.expand(self.filled(parsed, reading, book))

    def filled(self, parsed: Parsed, reading: Reading, book: Book) -> Expr:
        """The expression with its symbols worked out, names left as they are."""
        values: dict[Expr, Expr] = {}
        folds = {hole.folded for hole in parsed.holes.values() if hole.folded}
        matrices = {name: self.book.symbol(name).shape for name in folds}
        expr = unfolded(parsed.expr, matrices)
        holes = {unfolded(variable, matrices): hole for variable, hole in parsed.holes.items()}
        for variable in variables_of(expr):
            hole = holes.get(variable)
            if hole is not None:
                values[variable] = self.value(hole, reading, book)
            elif self.scanner.differentials and variable.name.startswith("d"):
                moved = self.moving(variable, book)
                if moved is not None:
                    values[variable] = moved
        return substitute(expr, values) if values else expr

    def moving(self, variable: Variable, book: Book) -> Expr | None:
        """The differential that a variable dX stands for."""
        name = variable.name[1:]
        known = name in book.names or name in book.variables
        plain = variable.name in book.names or variable.name in book.variables
        return book.differential(name) if known and not plain else None

    def value(self, hole: Hole, reading: Reading, book: Book) -> Expr:
        symbols = hole.symbols[::-1] if hole.reverse else hole.symbols
        result = self.worth(symbols[0], reading, book)
        for left, right in pairwise(symbols):
            rank = len(self.axes(left, reading)[1])
            result = composed(result, self.worth(right, reading, book), rank)
        if hole.labels is not None and hole.order is not None:
            return Einsum(ONE, (result,), (hole.labels,), hole.order)
        return permute(result, hole.order) if hole.order else result

    def worth(self, symbol: Symbol, reading: Reading, book: Book) -> Expr:
        """What a derivative or a differential is; axes as in `axes`."""
        of = self.subject(symbol, reading)
        if symbol.mark == "′":
            assert isinstance(of, Expr)
            return book.expand(slope(symbol.by[0], of))
        if symbol.mark == "call":
            assert isinstance(of, str)
            return book.expand(self.called(symbol, of, reading, book))
        if not symbol.by:
            return book.differential(of)
        if symbol.mark == "∇":
            stacked = Stack([book.total(of, (name,)) for name in symbol.by])
            return permute(stacked, (*range(1, stacked.rank), 0))
        kind = partial_class(symbol, book)
        choice = dict(reading.direct).get(kind, -1)
        options = book.direct(of, symbol.by[0]) if choice >= 0 and len(symbol.by) == 1 else []
        claimed = isinstance(of, str) and (of, *symbol.by) in book.claims
        if options and not claimed:
            found = options[min(choice, len(options) - 1)]
        else:
            found = book.total(of, symbol.by)
        start = 0
        shapes = [of.shape if isinstance(of, Expr) else book.symbol(of).shape]
        shapes += [book.symbol(name).shape for name in symbol.by]
        for shape, index in zip(shapes, symbol.below, strict=True):
            rank = len(shape)
            for digit in index if index.isdigit() and rank else "":
                found = entry(found, start, int(digit) - 1, shape)
                rank -= 1
            start += rank
        return found

    def called(self, symbol: Symbol, name: str, reading: Reading, book: Book) -> Expr:
        """A name's formula, or its derivative, with other arguments put in."""
        own = [book.symbol(argument) for argument in self.scanner.calls[name]]
        formula = book.expand(book.formula(name), frozenset(v.name for v in own))
        for _ in range(symbol.primes):
            formula = jacobian(formula, own[0])
        values: dict[Expr, Expr] = {}
        for variable, part in zip(own, symbol.arguments, strict=True):
            given = self.plain(part, reading)
            if given.shape != variable.shape:
                raise ShapeMismatch(
                    f"the argument of {pretty(name)} has another shape than {pretty(variable.name)}",
                    source=self.source,
                    spans=(part.span,),
                    hint="call it with an argument of the shape that it was introduced with",
                )
            values[variable] = book.expand(given)
        return substitute(formula, values)


def partial_class(symbol: Symbol, book: Book) -> str:
    """Which symbols of a line are read alike: ∂ by a variable, d or ∂ by a name."""
    return f"{symbol.mark} by {'a name' if symbol.by and symbol.by[0] in book.names else 'a variable'}"


def chained(left: Symbol, right: Symbol) -> bool:
    """Whether two symbols side by side are links of one chain, in either order."""
    if len(left.by) != 1 or len(right.by) != 1 or "′" in (left.mark, right.mark):
        return False
    return left.by[0] == right.of or right.by[0] == left.of


def forward(run: Sequence[Symbol]) -> bool:
    """dC/dv dv/da ...: each by what the next one is of."""
    return all(a.by[0] == b.of for a, b in pairwise(run))


def backward(run: Sequence[Symbol]) -> bool:
    """dv/da dC/dv: the other order."""
    return forward(run[::-1])


def arranged(of: int, by: int, layout: str) -> tuple[tuple[int, ...] | None, bool]:
    """How the axes of a derivative stand in a layout, and whether it is a row."""
    if (of, by) == (0, 1):
        return None, layout == "numerator"
    if (of, by) == (1, 0):
        return None, layout == "denominator"
    if (of, by) == (1, 1):
        return ((1, 0) if layout == "denominator" else None), False
    if (of, by) == (0, 2):
        return ((1, 0) if layout == "numerator" else None), False
    return None, False


def entry(expr: Expr, axis: int, place: int, shape: Shape) -> Expr:
    """The expression with one axis taken at a place, counted from 0."""
    axes = tuple(range(expr.rank))
    unit = component(place, expr.shape[axis])
    return Einsum(ONE, (expr, unit), (axes, (axis,)), axes[:axis] + axes[axis + 1 :])


def slope(function: str, argument: Expr) -> Expr:
    """f′ of each entry of the argument."""
    inside = Variable("argument of a slope", argument.shape)
    made = TABLE[function].build(inside)
    return substitute(jacobian(made.sum(), inside), {inside: argument})
