"""From the text of a derivation to what its names stand for: shapes, and definitions in the order of use.

A name may be used above the line that introduces it. A definition whose sizes do not fit introduces nothing;
its line is graded like any other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from chainrule.errors import ChainruleError, OptionError, ShapeMismatch, SyntaxProblem, UnknownName
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Expr, Variable, permute
from chainrule.expr.walk import substitute, topological
from chainrule.expr.walk import variables as variables_of
from chainrule.grade.book import Book, Named
from chainrule.grade.derivation_text import Equality, Part, Script
from chainrule.grade.reading import Parsed, Reader, Reading
from chainrule.grade.retext import apply
from chainrule.grade.signs import signs
from chainrule.grade.symbols import NAME, Scanner, Symbol, letters_of
from chainrule.language import Declarations, Formula, parse_declarations, parse_formula
from chainrule.language.activations import YIELDING
from chainrule.language.functions import TABLE
from chainrule.language.resolve import METHODS, MODULES
from chainrule.language.unknown import Given, parse_functions
from chainrule.simplify import normalise

# What a derivative introduces is kept in the shape of the variable where that can be.
DEFINING = ("mixed", "denominator", "numerator")
_LEFT = re.compile(rf"({NAME})\s*(\((?:\s*{NAME}\s*,?)*\))?")
_UNDER_LINE = re.compile(rf"/\s*[d∂]({NAME})")
_MATLAB = re.compile(r"(?<=[\w)\]])'|\.\*|\./|\.\^")
_NUMPY = re.compile(r"@|\*\*|\.T\b")


@dataclass(frozen=True, slots=True)
class Left:
    """A left side that is a name, with the letters of index notation below it."""

    name: str
    letters: str


@dataclass(slots=True)
class Setting:
    """A derivation that is ready to be graded.

    introduces  the place in the equalities at which each name is introduced
    misfits     names whose definition has sizes that do not fit
    lost        names that are made from such, or whose line cannot be read
    unread      why a line that introduces a name cannot be read
    starred     names in whose definition * has to be the matrix product
    said        sentences: how what was not declared was read
    moving      variables whose differentials stand in the text
    """

    script: Script
    book: Book
    reader: Reader
    wrt: tuple[str, ...]
    introduces: dict[int, str]
    misfits: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    unread: dict[int, ChainruleError] = field(default_factory=dict)
    starred: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)
    moving: tuple[str, ...] = ()

    def lost_in(self, problem: ChainruleError) -> str | None:
        """The name without a value that a complaint is about."""
        unknown = sorted(self.misfits | self.lost)
        spoken = ascii_name(problem.message.partition("`")[2].partition("`")[0])
        return next((name for name in unknown if name == spoken), None)

    def uses_lost(self, text: str) -> str | None:
        """A name without a value that stands in a text."""
        words = [ascii_name(m[0]) for m in re.finditer(NAME, text)]
        words += [word[1:] for word in words if word[:1] == "d"]
        unknown = self.misfits | self.lost
        return next((word for word in words if word in unknown), None) if unknown else None

    def left(self, equality: Equality) -> Left | None:
        """The name on the left, if there is nothing else."""
        return left_name(equality, {**self.book.variables, **self.book.names}, self.reader.scanner)


def prepare(
    script: Script,
    shapes: str | Mapping[str, object] | None,
    wrt: str | Sequence[str] | None,
    dialect: str | None,
    profile: str | None,
    functions: Given = None,
) -> Setting:
    """The names, shapes and options of a derivation.

    Raises: ChainruleError with its place if something cannot be read.
    """
    declared = parse_declarations(shapes if shapes else script.options.get("shapes"))
    profile = profile or script.options.get("profile")
    unknown = parse_functions(functions or script.options.get("functions"), TABLE.keys() - YIELDING)
    dialect = dialect or script.options.get("dialect") or guessed_dialect(script)
    if dialect not in ("numpy", "matlab"):
        raise OptionError(f"unknown dialect `{dialect}`", hint="dialects are numpy and matlab")
    asked = asked_for(wrt if wrt else script.options.get("wrt"))
    variables = dict(declared.variables)
    introduced = introductions(script, variables, asked)
    if not variables:
        guess_scalars(script, variables, introduced, asked)
    names: dict[str, object] = {**variables, **dict.fromkeys(introduced.values())}
    scanner = Scanner(script.source, names, asked, unknown.declared)
    scanner.calls = called_with(script, introduced)
    book = Book({n: v for n, v in variables.items() if n not in introduced.values()}, {})
    reader = Reader(script.source, book, scanner, dialect, profile, unknown)
    setting = Setting(script, book, reader, asked, introduced)
    _define(setting, declared)
    scanner.known = {**book.variables, **book.names}
    words = {ascii_name(m[0]) for e in script.equalities for m in re.finditer(NAME, e.text)}
    met = {*declared.variables, *(name for name in scanner.known if any(name in word for word in words))}
    missing = [name for name in asked if name not in scanner.known or name not in met]
    if missing:
        raise UnknownName(
            f"wrt names {missing[0]}, which is not in this derivation",
            hint="the variables are " + ", ".join(name for name in book.variables if name not in missing),
        )
    setting.moving = _moving(setting)
    book.free = tuple(name for name in (asked or setting.moving) if name in book.variables)
    return setting


def asked_for(wrt: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names in "w, b" or ("w", "b")."""
    if wrt is None:
        return ()
    parts = re.split(r"[\s,\[\]()]+", wrt) if isinstance(wrt, str) else list(wrt)
    return tuple(dict.fromkeys(ascii_name(part) for part in parts if part))


def guessed_dialect(script: Script) -> str:
    """MATLAB if only its signs stand in the derivation."""
    text = "\n".join(e.right.text for e in script.equalities)
    primes = re.sub(rf"{NAME}'+\(", "", text)
    return "matlab" if _MATLAB.search(primes) and not _NUMPY.search(text) else "numpy"


def left_name(equality: Equality, known: Mapping[str, object], scanner: Scanner | None) -> Left | None:
    """The name on the left side, if there is nothing else: z, f(x, u), z_i."""
    if equality.left is None:
        return None
    match = _LEFT.fullmatch(equality.left.text)
    if match is None:
        return None
    name = ascii_name(match[1])
    if name in known:
        return Left(name, "")
    indexed = re.fullmatch(r"(.+)_([i-t]+)", name)
    if indexed and letters_of(equality.right.text):
        return Left(indexed[1], indexed[2])
    return Left(name, "")


def introductions(script: Script, variables: Mapping[str, Variable], asked: Sequence[str]) -> dict[int, str]:
    """Where each name is introduced: the first line with it alone on the left."""
    lefts: dict[int, Left] = {}
    for k, equality in enumerate(script.equalities):
        left = left_name(equality, {}, None)
        # x = A⁻¹b of a variable that is asked for solves an equation, and w = w − ηg is a step.
        variable = left is not None and left.name in asked and left.name in variables
        if equality.at:
            continue
        if left is not None and not variable and not _mentions(equality.right.text, {left.name}):
            lefts[k] = left
    named = {left.name for left in lefts.values()}
    every = named | set(variables)
    found: dict[int, str] = {}
    for k, left in lefts.items():
        differential = left.name.startswith("d") and left.name[1:] in every and left.name not in variables
        component = re.fullmatch(r"(.*[^0-9_])_?([0-9]+)", left.name)
        entry = component is not None and component[1] in named and left.name not in variables
        if left.name not in found.values() and not differential and not entry:
            found[k] = left.name
    return found


def called_with(script: Script, introduced: Mapping[int, str]) -> dict[str, tuple[str, ...]]:
    """The arguments of the names that are introduced with some: f(x) = x²."""
    found: dict[str, tuple[str, ...]] = {}
    for k, name in introduced.items():
        left = script.equalities[k].left
        match = _LEFT.fullmatch(left.text) if left is not None else None
        if match is not None and match[2]:
            found[name] = tuple(ascii_name(m[0]) for m in re.finditer(NAME, match[2]))
    return found


def _mentions(text: str, names: Collection[str]) -> bool:
    return any(ascii_name(m[0]) in names for m in re.finditer(NAME, text))


def guess_scalars(
    script: Script, variables: dict[str, Variable], introduced: Mapping[int, str], asked: Sequence[str]
) -> None:
    """Without declarations, what a derivative is by is at least a name that is known."""
    for equality in script.equalities:
        for part in (equality.left, equality.right):
            for m in _UNDER_LINE.finditer(part.text) if part else ():
                name = ascii_name(m[1])
                if name not in introduced.values():
                    variables.setdefault(name, Variable(name))
    for name in asked:
        if name not in introduced.values():
            variables.setdefault(name, Variable(name))


# ---------------------------------------------------------------- definitions


def _define(setting: Setting, declared: Declarations) -> None:
    """Fills the book with the names, each after those that it is made from."""
    script, scanner = setting.script, setting.reader.scanner
    pending = dict(setting.introduces)
    order: list[int] = []
    while pending:
        names = set(pending.values())
        ready = [k for k in pending if not _uses(script.equalities[k].right, names, scanner.known)]
        ready = ready or [k for k in pending if not _mentions(script.equalities[k].right.text, names)]
        if not ready:
            first = script.equalities[next(iter(pending))]
            raise SyntaxProblem(
                "names are defined by one another in a circle",
                source=script.source,
                spans=(first.right.span,),
                hint="give each part a formula of names that stand on their own",
            )
        for k in ready:
            order.append(k)
            del pending[k]
    inferred = not declared.variables
    if inferred:
        _infer(setting, order, declared)
    for k in order:
        name, right = setting.introduces[k], script.equalities[k].right
        if setting.uses_lost(right.text):
            setting.lost.add(name)
            continue
        try:
            try:
                _introduce(setting, k)
            except UnknownName as problem:
                if inferred or setting.lost_in(problem):
                    raise
                inferred = True
                _infer(setting, order, declared)
                _introduce(setting, k)
        except ChainruleError as problem:
            if not setting.lost_in(problem):
                setting.unread[k] = problem.located(script.source, right.span)
            setting.lost.add(name)
    _recognise_parts(setting.book)
    if len(setting.unread) == len(script.equalities):
        raise next(iter(setting.unread.values()))


def _recognise_parts(book: Book) -> None:
    """U = x² beside y = x + x², which is x + u too."""
    for name, named in book.names.items():
        part = named.written[0]
        if isinstance(part, Variable) or not variables_of(part):
            continue
        for other, whole in book.names.items():
            formula = whole.written[0]
            if other == name or formula is part or part not in topological([formula]):
                continue
            if not book.leads(name, {other}):
                whole.written.append(substitute(formula, {part: named.variable}))


def _uses(part: Part, names: set[str], known: Mapping[str, object]) -> bool:
    """Whether a formula mentions one of the names, perhaps inside a run of letters such as Xw."""
    for m in re.finditer(NAME, part.text):
        word = ascii_name(m[0])
        if word in names:
            return True
        if word in known or m[0] in TABLE or m[0][0] in "Σ∑" or word in (*MODULES, *METHODS):
            continue
        if any(name in word.partition("_")[0] for name in names):
            return True
    return False


def _plain(setting: Setting, k: int) -> bool:
    """Whether a definition holds no derivatives, as far as it can be read."""
    try:
        return not setting.reader.scanner.side(setting.script.equalities[k].right).symbols
    except ChainruleError:
        return False


def _infer(setting: Setting, order: Sequence[int], declared: Declarations) -> None:
    """Shapes of what is not declared, from all definitions together."""
    lines: list[str] = []
    for k in order:
        if _plain(setting, k):
            equality = setting.script.equalities[k]
            left = left_name(equality, {}, None)
            assert left is not None
            below = f"_{left.letters}" if left.letters else ""
            right = equality.right
            spelled = apply(right.text, right.start, list(signs(right.text, right.start))).text
            lines.append(f"{left.name}{below} = {spelled}")
    if not lines:
        _infer_inner(setting)
        return
    named = setting.introduces.values()
    given = {n: v for n, v in setting.book.variables.items() if n in declared.variables and n not in named}
    dims = tuple(d for d in declared.dims)
    known = Declarations("", given, dims)
    formula = _together(setting.reader, lines, known)
    if formula is None:
        # One line that cannot be read must not keep the others from being understood.
        readable = [line for line in lines if _together(setting.reader, [line], known)]
        formula = _together(setting.reader, readable, known)
    if formula is None:
        return  # told when the line itself is read
    for name, variable in formula.variables.items():
        if variable.rank or name not in setting.book.variables:
            setting.book.variables[name] = variable
    setting.said += [s for s in formula.assumptions if s.startswith("Not declared")]
    setting.reader.scanner.known = {**setting.reader.scanner.known, **formula.variables}


def _together(reader: Reader, lines: Sequence[str], known: Declarations) -> Formula | None:
    """Definitions as one formula, if they can be read."""
    if not lines:
        return None
    try:
        return parse_formula(
            "\n".join(lines), known, reader.dialect, reader.profile, functions=reader.functions
        )
    except ChainruleError:
        return None


def _infer_inner(setting: Setting) -> None:
    """Without definitions: the names in d/dx (...)."""
    reader = setting.reader
    for equality in setting.script.equalities:
        for part in (equality.left, equality.right):
            for symbol in _symbols(reader, part) if part and equality.problem is None else ():
                if not isinstance(symbol.of, Part) or _symbols(reader, symbol.of):
                    continue
                declared = Declarations("", dict(setting.book.variables), ())
                try:
                    formula = parse_formula(
                        symbol.of.text,
                        declared,
                        reader.dialect,
                        reader.profile,
                        functions=reader.functions,
                    )
                except ChainruleError:
                    continue
                setting.book.variables |= formula.variables
    reader.scanner.known = {**reader.scanner.known, **setting.book.variables}


def _symbols(reader: Reader, part: Part) -> list[Symbol]:
    """The symbols of a part; none if it cannot be read."""
    try:
        return reader.scanner.side(part, "term").symbols
    except ChainruleError:
        return []


def _introduce(setting: Setting, k: int) -> None:
    script, book, reader = setting.script, setting.book, setting.reader
    equality, name = script.equalities[k], setting.introduces[k]
    left = left_name(equality, {}, None)
    assert left is not None
    side = reader.scanner.side(equality.right)
    read: dict[str, tuple[Parsed, Expr]] = {}
    failure: ShapeMismatch | None = None
    open_layout = bool(side.symbols) or _mentions(
        side.part.text, [n for n, named in book.names.items() if 0 < len(named.turned) < len(DEFINING)]
    )
    for star, layout in product((False, True), DEFINING if open_layout else DEFINING[:1]):
        reading = Reading(layout=layout, star=star)
        if star and (read or reader.dialect != "numpy" or "*" not in side.part.text):
            break
        try:
            parsed = reader.parse(side, reading, letters=left.letters or None)
        except ShapeMismatch as problem:
            failure = failure or problem
            continue
        except ChainruleError:
            if star:
                continue
            raise
        read[layout] = parsed, reader.fill(parsed, reading, book) if parsed.holes else parsed.expr
    if read and failure is not None and not open_layout:
        setting.starred.add(name)
    if not read:
        assert failure is not None
        if left.letters:
            raise failure
        setting.misfits.add(name)
        return
    parsed, written = next(iter(read.values()))
    turned = tuple(layout for layout in read if _is_turned(*read[layout], written))
    if not parsed.holes and parsed.row:
        turned = DEFINING
    book.names[name] = Named(Variable(name, written.shape), [written], turned)
    reader.scanner.known = {**reader.scanner.known, name: book.names[name]}
    book.variables.pop(name, None)


def _is_turned(parsed: Parsed, value: Expr, base: Expr) -> bool:
    """Whether what a derivative introduces is a row, or the transpose, in a layout."""
    if value.rank != 2:
        return parsed.row
    return normalise(value) is not normalise(base) and normalise(value) is normalise(permute(base, (1, 0)))


def _moving(setting: Setting) -> tuple[str, ...]:
    """The variables with a differential somewhere, those that a line says are constant left out."""
    if not setting.reader.scanner.differentials:
        return ()
    found: dict[str, None] = {}
    constant: set[str] = set()
    for equality in setting.script.equalities:
        for part in (equality.left, equality.right):
            for m in re.finditer(rf"(?<![^\W\d_])d({NAME})|[^\W\d_]d({NAME})", part.text) if part else ():
                name = ascii_name(m[1] or m[2])
                if name in setting.book.variables:
                    found[name] = None
        if equality.left is not None and equality.right.text.strip() in ("0", "𝟎"):
            constant.add(ascii_name(equality.left.text[1:]))
    return tuple(name for name in found if name not in constant)
