"""A person's derivation, checked line by line against the definitions and the line before.

In: the text. Out: a Grading, with a status for each line. A line holds if it holds in one consistent reading
of its symbols; what follows from a wrong line is found by putting what the person stated in place of what
is true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial

from chainrule.errors import ChainruleError, DomainProblem, ShapeMismatch
from chainrule.expr.names import ascii_name, pretty
from chainrule.expr.nodes import Expr, constant_of, permute
from chainrule.expr.walk import variables as variables_of
from chainrule.grade.definitions import Left, Setting, prepare
from chainrule.grade.derivation_text import Equality, Part, read_script
from chainrule.grade.dots import DOTS
from chainrule.grade.explaining import explain_misfit, explain_path, explain_value, shown
from chainrule.grade.judge import Diagnosis, judge
from chainrule.grade.lines import Grading, Line
from chainrule.grade.outside import OUTSIDE, moved_inside
from chainrule.grade.pages import is_page
from chainrule.grade.points import Place, is_numeric, place, rounding
from chainrule.grade.reading import LAYOUTS, Parsed, Reading, partial_class
from chainrule.grade.symbols import Side, Symbol, letters_of
from chainrule.grade.valuing import Chain, Value, Valuer, closest, compatible
from chainrule.grade.words import outside_sum
from chainrule.language.unknown import Given

LAYOUT_WORDS = {
    "numerator": "numerator layout",
    "denominator": "denominator layout",
    "mixed": "gradients in the shape of their variable",
}
NO_DOTS = (
    "dots are read in [w₁, …, wₙ] of w[n], in [1; ⋮; 1] and on a diagonal: write diag(w), 𝟏 or a sum, "
    "or the entries with indices, ∂yᵢ/∂xⱼ = wᵢ δᵢⱼ"
)
STAR = "* is read as the matrix product"


class Grader:
    """Walks through the lines of one derivation."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.reader = setting.reader
        self.valuer = Valuer(setting)
        self.true = setting.book
        self.faults: list[int] = []
        self.lines: list[Line] = []
        self.chain: Chain | None = None
        self.closed: set[tuple[str, ...]] = set()
        self.stated: set[str] = set()
        self.open: list[tuple[Chain, Value]] = []

    def grade(self) -> Grading:
        for k, equality in enumerate(self.setting.script.equalities):
            self.lines.append(self.line(k, equality))
        self.conclude_later()
        missing = tuple(name for name in self.setting.wrt if name not in self.stated)
        first = self.faults[0] if self.faults else 0
        undecided = any(
            line.status == "unread" or (line.status == "unclear" and line.diagnosis is None)
            for line in self.lines
        )
        verdict = "wrong" if first else "unclear" if undecided else "incomplete" if missing else "right"
        return Grading(tuple(self.lines), verdict, first, missing, tuple(self.setting.said))

    # ------------------------------------------------------------ one line

    def line(self, k: int, equality: Equality) -> Line:
        made = partial(Line, equality.number, equality.text)
        unread = equality.problem or self.setting.unread.get(k)
        if unread is not None:
            if DOTS.search(equality.text):
                unread.hint = NO_DOTS
            self.chain = self.chain if equality.text.startswith("=") else None
            return made("unread", None, None, str(unread))
        introduced = self.setting.introduces.get(k)
        if introduced is not None:
            before = self.chain
            line = self.defined(introduced, equality)
            self.chain = before if equality.aside else self.chain
            return line
        lost = self.setting.uses_lost(" ".join(part.text for part in (equality.left, equality.right) if part))
        try:
            if lost is None:
                return self.checked(equality)
        except DomainProblem as problem:
            return made("unclear", None, None, f"It could not be checked: {problem.message}.")
        except ChainruleError as problem:
            lost = self.setting.lost_in(problem)
            told = self.condition_outside(equality, problem) if lost is None else None
            if told is not None:
                return told
            if lost is None:
                problem.located(self.setting.script.source, equality.right.span)
                if DOTS.search(equality.text):
                    problem.hint = NO_DOTS
                if not self.left_is_read(equality, problem):
                    self.chain = None
                return made("unread", None, None, str(problem))
        self.chain = None
        return made("unclear", None, None, f"It uses {pretty(lost)}, whose line could not be worked out.")

    def condition_outside(self, equality: Equality, problem: ChainruleError) -> Line | None:
        """The verdict on a condition on one instance in front of the sum over them."""
        right, chain = equality.right, self.chain
        inside = moved_inside(right.text) if OUTSIDE.fullmatch(problem.message) else None
        if inside is None or chain is None:
            return None
        try:
            lefts, rights, _ = self.valuer.values(chain, Part(inside[0], right.start))
        except ChainruleError:
            return None
        if not rights:
            return None
        self.faults.append(equality.number)
        chain.wrong = equality.number
        chain.before = self.valuer.agreeing(lefts, rights) or rights[:1]
        says = outside_sum(inside[1])
        return Line(equality.number, equality.text, "wrong", None, "condition-outside-sum", says)

    def left_is_read(self, equality: Equality, problem: ChainruleError) -> bool:
        """Whether a line that cannot be read has a left side that the next one may continue."""
        left = equality.left
        return left is None or all(s.start >= left.start + len(left.text) for s in problem.spans)

    def defined(self, name: str, equality: Equality) -> Line:
        left = self.setting.left(equality)
        letters = left.letters if left is not None and left.letters else None
        right = self.reader.scanner.side(equality.right)
        self.chain = Chain(None, name, None, letters)
        self.valuer.place, self.valuer.rounded = None, 0.0
        if name in self.setting.lost:
            self.chain = None
            says = "It uses a name whose line could not be worked out."
            return Line(equality.number, equality.text, "unclear", None, None, says)
        if name in self.setting.misfits or self.turned_away(name, right):
            return self.misfit(equality, right, None)
        named = self.true.names[name]
        star = name in self.setting.starred
        try:
            reading = Reading(layout=self.valuer.layouts[0], star=star)
            parsed = self.reader.parse(right, reading, letters=letters)
        except ShapeMismatch:
            parsed = Parsed(named.variable)
        value = Value(Reading(), parsed, self.true.full(name), not right.symbols)
        self.chain.truth = self.chain.before = [value]
        return Line(equality.number, equality.text, "defined", STAR if star else None)

    def turned_away(self, name: str, right: Side) -> bool:
        """Whether this is w − η dC/dw where the layout that the derivation settled on makes dC/dw a row."""
        if not right.symbols or self.valuer.layouts == LAYOUTS:
            return False
        for layout in self.valuer.layouts:
            try:
                self.reader.parse(right, Reading(layout=layout))
            except ShapeMismatch:
                continue
            return False
        return True

    def checked(self, equality: Equality) -> Line:
        made = partial(Line, equality.number, equality.text)
        right = equality.right
        if equality.left is not None:
            self.chain = self.begun(equality)
        chain = self.chain
        if chain is None:
            return made("unclear", None, None, "It continues a line that could not be worked out.")
        if equality.at:
            chain.place = place(equality.at, self.true.variables, self.positions(chain))
        self.valuer.place = chain.place
        self.valuer.rounded = rounding(equality.right.text) if chain.place else 0.0
        if self.empty(chain, equality):
            return made("unclear", None, "nothing", "It says nothing: both sides are the same.")
        lefts, rights, problems = self.valuer.values(chain, right)
        if not rights:
            return self.unread(chain, equality, problems)
        found = self.valuer.agreeing(lefts, rights)
        fitting = [value for value in found if not self.valuer.at_odds(value)]
        if fitting:
            return self.right(chain, equality, fitting)
        if found:
            return self.against_layout(chain, equality, found, rights)
        return self.wrong(chain, equality, lefts, rights)

    def positions(self, chain: Chain) -> Sequence[str]:
        """The variables that (3, 2) gives values to, in order."""
        of = chain.symbol.of if chain.symbol is not None else chain.name
        own = self.reader.scanner.calls.get(of, ()) if isinstance(of, str) else ()
        return own or self.setting.wrt or tuple(self.true.variables)

    def begun(self, equality: Equality) -> Chain:
        assert equality.left is not None
        left = self.setting.left(equality)
        if left is not None and left.name in self.true.names:
            return Chain(None, left.name, None, left.letters or None)
        side = self.reader.scanner.side(equality.left)
        letters = letters_of(equality.left.text)
        symbol = side.alone
        if symbol is None and left is not None and self.moving(left) is not None:
            symbol = Symbol(left.name[1:], (), "d", ("",), equality.left.text)
        return Chain(side, "", symbol, letters or None)

    def moving(self, left: Left) -> str | None:
        """The name of which a name dX is the differential."""
        name = left.name[1:]
        known = name in self.true.names or name in self.true.variables
        return name if left.name.startswith("d") and known and left.name not in self.true.variables else None

    def empty(self, chain: Chain, equality: Equality) -> bool:
        if equality.left is None:
            return False
        right = self.reader.scanner.side(equality.right).alone
        symbol = chain.symbol
        if symbol is not None and right is not None and isinstance(symbol.of, str):
            mine, other = ((s.of, s.by, s.below, s.mark) for s in (symbol, right))
            return mine == other
        return "".join(equality.left.text.split()) == "".join(equality.right.text.split())

    # ------------------------------------------------------------ verdicts on a line

    def right(self, chain: Chain, equality: Equality, found: list[Value]) -> Line:
        best = found[0]
        status, says = ("follows", from_lines((chain.wrong,))) if chain.wrong else ("ok", "")
        reading = self.described(chain, best)
        self.settle(found)
        if chain.place is not None:
            chain.before = found
            return Line(equality.number, equality.text, status, reading, None, says)
        if chain.symbol is not None and not best.parsed.holes and not chain.letters:
            self.valuer.note_layout(chain.symbol, best, equality.number)
        if chain.name:
            self.valuer.note_orientation(chain.name, best)
        chain.before = found
        self.conclude(chain, best)
        if chain.wrong:
            self.valuer.believe(chain, best)
        elif chain.name:
            self.valuer.restate(chain.name, best)
        return Line(equality.number, equality.text, status, reading, None, says)

    def against_layout(
        self, chain: Chain, equality: Equality, found: list[Value], rights: list[Value]
    ) -> Line:
        """A product that would be right if its factors were written in the other layout."""
        number = self.valuer.at_odds(found[0])
        self.faults.append(equality.number)
        chain.wrong = equality.number
        chain.before = [value for value in rights if not self.valuer.at_odds(value)] or found
        if sum(hole.rank > 1 for hole in found[0].parsed.holes) > 1:
            code, says = "order", "the factors stand in the other order."
        else:
            code, says = "transposed", "a transpose is missing here, or one too many."
        says = f"With the layout in which line {number} is written, {says}"
        return Line(equality.number, equality.text, "wrong", None, code, says)

    def settle(self, found: Sequence[Value]) -> None:
        """The layouts in which the derivation may be written, after this line."""
        layouts = tuple(x for x in self.valuer.layouts if any(v.reading.layout == x for v in found))
        tried = {v.reading.layout for v in found}
        if layouts and any(v.parsed.holes for v in found) and len(tried) < len(LAYOUTS) and found[0].exact:
            if len(self.valuer.layouts) == len(LAYOUTS) or len(layouts) < len(self.valuer.layouts):
                self.valuer.layouts = layouts if self.oriented(found[0]) else self.valuer.layouts
        if self.valuer.layouts == LAYOUTS and found[0].parsed.row and not found[0].parsed.holes:
            self.valuer.layouts = LAYOUTS[:1]

    def oriented(self, value: Value) -> bool:
        """Whether the layout changes how the side is read."""
        return any(v.rank for v in value.parsed.holes)

    def conclude(self, chain: Chain, value: Value) -> None:
        """Notes that a derivative is stated: in closed form, or by derivatives that are."""
        symbol = chain.symbol
        if symbol is None or len(symbol.by) < 1:
            return
        parts = [s for hole in value.parsed.holes.values() for s in hole.symbols]
        if not all((s.of, *s.by) in self.closed for s in parts if isinstance(s.of, str)):
            self.open.append((chain, value))
            return
        if not all(s.by and (isinstance(s.of, str) or self.unknown(s.of)) for s in parts):
            return
        if isinstance(symbol.of, str):
            self.closed.add((symbol.of, *symbol.by))
        direct = dict(value.reading.direct).get(partial_class(symbol, self.true), -1)
        if direct >= 0 and isinstance(symbol.of, str) and not chain.wrong:
            total = self.true.total(symbol.of, symbol.by)
            if not self.valuer.same(value.expr, total, True):
                return
        if isinstance(symbol.of, str) and not self.final(symbol.of):
            return
        self.stated |= set(symbol.by)

    def conclude_later(self) -> None:
        """Notes what is stated by derivatives that lines below state."""
        count = -1
        while count != len(self.closed):
            count = len(self.closed)
            waiting, self.open = self.open, []
            for chain, value in waiting:
                self.conclude(chain, value)

    def unknown(self, part: Part) -> bool:
        """Whether this is a call of a function left unknown, of whose derivative nothing more can be said."""
        called = re.match(r"\s*([^\W\d]\w*)\s*\(", part.text)
        return called is not None and called[1] in self.reader.functions.declared

    def final(self, name: str) -> bool:
        """Whether a name is made into nothing else: the output of the derivation."""
        return not any(
            v.name == name
            for other, named in self.true.names.items()
            if other != name
            for e in named.written
            for v in variables_of(e)
        )

    def described(self, chain: Chain, value: Value) -> str | None:
        """How a line had to be read, where another reading was possible."""
        said: list[str] = []
        layout = value.reading.layout
        if value.parsed.holes and self.oriented(value) and value.exact:
            if layout not in self.valuer.layouts:
                said.append(f"{LAYOUT_WORDS[layout]}, unlike the lines before")
            elif layout == "denominator":
                said.append(LAYOUT_WORDS[layout])
        for kind, choice in value.reading.direct:
            mark = kind[0]
            if choice >= 0 and kind.endswith("variable"):
                said.append(f"{mark} is the direct partial: everything else in the formula is held fixed")
            elif choice < 0 and kind.endswith("name"):
                said.append(f"{mark} is the total derivative, along all paths")
        if value.reading.star:
            said.append(STAR)
        symbol = chain.symbol
        if symbol is not None and not value.parsed.holes and value.expr.rank == 2 and not chain.letters:
            raw = self.reader.worth(symbol, value.reading, self.valuer.book((), value.reading.free))
            if raw.rank == 2 and not self.valuer.same(raw, value.expr, False):
                vector = len(self.reader.axes(symbol, value.reading)[0]) > 0
                said.append("denominator layout" if vector else "numerator layout")
        return "; ".join(said) or None

    def unread(self, chain: Chain, equality: Equality, problems: list[ChainruleError]) -> Line:
        """A right side that could be read in no layout."""
        shapes = [p for p in problems if isinstance(p, ShapeMismatch)]
        if not shapes or chain.letters:
            raise problems[0]
        side = self.reader.scanner.side(equality.right)
        if any(sum(map(len, self.reader.axes(s, Reading()))) > 2 for s in side.symbols):
            self.chain = None
            says = "A derivative here has more than two axes, so this is no product of matrices: use indices."
            return Line(equality.number, equality.text, "unclear", None, None, says)
        return self.misfit(equality, side, shapes[0])

    def misfit(self, equality: Equality, side: Side, problem: ShapeMismatch | None) -> Line:
        chain = self.chain
        assert chain is not None
        truth = chain.before or chain.truth
        correct = self.correct(chain, truth, truth[0]).expr if truth else None
        found = explain_misfit(self.reader, side, self.valuer.layouts, correct, chain.symbol, problem)
        self.faults.append(equality.number)
        chain.wrong = equality.number
        self.chain = None
        should = ""
        if correct is not None:
            # Whether a row or a column was meant cannot be seen from what does not fit.
            either = chain.symbol is not None and correct.rank == 1
            should = self.should_be(correct, either)
            column = self.should_be(correct, False)
            if either and column != should:
                should = f"{should[:-2]}, or {column[len('It should be ') : -2]} as a column. "
        return Line(equality.number, equality.text, "wrong", None, found.code, should + found.text)

    def wrong(self, chain: Chain, equality: Equality, lefts: list[Value], rights: list[Value]) -> Line:
        make = partial(Line, equality.number, equality.text)
        if chain.wrong and self.valuer.agreeing(chain.truth, rights):
            found = self.valuer.agreeing(chain.truth, rights)
            number, chain.wrong = self.lines[-1].number, 0
            self.valuer.believe(chain, None)
            chain.before = found
            self.conclude(chain, found[0])
            says = f"It is right again, though it does not follow from line {number}."
            return make("ok", None, None, says)
        if chain.place is not None:
            return self.wrong_there(chain, equality, lefts, rights, chain.place)
        followed = self.following(chain, equality, rights)
        if followed is not None:
            value, numbers = followed
            chain.wrong = numbers[-1]
            chain.before = [value]
            self.conclude(chain, value)
            self.valuer.believe(chain, value)
            return make("follows", None, None, from_lines(numbers))
        self.faults.append(equality.number)
        value = closest(lefts, rights)
        correct = self.correct(chain, lefts, value).expr
        same = partial(self.valuer.same, turned=False)
        diagnosis = None
        if chain.symbol is not None and not chain.letters:
            diagnosis = explain_path(self.true, chain.symbol, value.expr, same)
        if diagnosis is None:
            side = self.reader.scanner.side(equality.right, value.reading.scope)
            algebra = equality.left is None and not any(v.parsed.holes for v in lefts)
            diagnosis = explain_value(
                self.reader, side, value, correct, chain.letters, chain.symbol, same, algebra
            )
        chain.wrong = equality.number
        chain.before = [value]
        self.conclude(chain, value)
        self.valuer.believe(chain, value)
        says = self.should_be(correct, value.parsed.row) + diagnosis.text
        if diagnosis.code == "order" and correct.rank == 2 and lefts[0].reading.layout == "denominator":
            other = shown(permute(correct, (1, 0)), self.true, False, self.reader.profile)
            says += f" (In denominator layout each factor is transposed; in numerator layout it is {other}.)"
        if is_numeric(equality.right.text) and constant_of(correct) is None:
            says += f" If it is the value at a point, say which: {equality.text} at x = 1."
        return make("wrong", None, diagnosis.code, says)

    def wrong_there(
        self, chain: Chain, equality: Equality, lefts: list[Value], rights: list[Value], there: Place
    ) -> Line:
        """A value at a point that is not right; it says nothing about other points."""
        followed = self.following(chain, equality, rights)
        if followed is not None:
            chain.before = [followed[0]]
            return Line(equality.number, equality.text, "follows", None, None, from_lines(followed[1]))
        self.faults.append(equality.number)
        chain.wrong = equality.number
        value = closest(lefts, rights)
        chain.before = [value]
        correct, claimed = there.put(self.correct(chain, lefts, value).expr), there.put(value.expr)
        told = (*judge(claimed, correct).diagnoses, Diagnosis("other", "The two are not equal."))[0]
        if told.code == "factor" and "/" in told.text:
            told = Diagnosis("other", "")  # two numbers are always proportional
        says = told.text.replace("At a random point", f"At {' '.join(equality.at.split())}".strip())
        says = (self.should_be(correct, value.parsed.row) + says).strip()
        return Line(equality.number, equality.text, "wrong", None, told.code, says)

    def correct(self, chain: Chain, lefts: Sequence[Value], value: Value) -> Value:
        """The left side to compare a wrong one with: a gradient by a matrix in the shape of that matrix."""
        likely = [v for v in lefts if compatible(v.reading, value.reading)] or list(lefts)
        if chain.symbol is None or likely[0].expr.rank != 2 or self.valuer.layouts == LAYOUTS[:1]:
            return likely[0]
        gradient = not self.reader.axes(chain.symbol, value.reading)[0]
        unusual = "numerator" if gradient else "denominator"
        return next((v for v in likely if v.reading.layout != unusual), likely[0])

    def should_be(self, correct: Expr, row: bool) -> str:
        """What should stand there, if it is short enough to help."""
        own = self.chain.name if self.chain is not None else ""
        text = shown(correct, self.true, row, self.reader.profile, own)
        named = self.in_names(correct)
        if named is not None:
            shorter = shown(named, self.true, row, self.reader.profile, own)
            text = shorter if 0 < len(shorter) < len(text) else text
        letters = self.chain.letters if self.chain is not None else None
        if letters and text in (pretty(name) for name in (*self.true.names, *self.true.variables)):
            text = pretty(f"{ascii_name(text)}_{letters}")
        return f"It should be {text}. " if text else ""

    def in_names(self, correct: Expr) -> Expr | None:
        """The derivative on the left by the names of the derivation: (2/N) 𝟏ᵀr, with r as it is."""
        symbol = self.chain.symbol if self.chain is not None else None
        if symbol is None or not isinstance(symbol.of, str) or len(symbol.by) != 1 or any(symbol.below):
            return None
        if any(named.turned for named in self.true.names.values()) or symbol.mark == "∇":
            return None
        found = self.true.named(symbol.of, symbol.by[0])
        plain = self.true.expand(found, frozenset(symbol.by))
        ways = [(found, plain)]
        if found.rank == 2:
            ways.append((permute(found, (1, 0)), permute(plain, (1, 0))))
        for one, full in ways:
            if full.shape == correct.shape and self.valuer.same(self.true.expand(full), correct, False):
                return one
        return None

    def following(
        self, chain: Chain, equality: Equality, rights: Sequence[Value]
    ) -> tuple[Value, tuple[int, ...]] | None:
        """The value in which a false line follows from what the person stated before, and where that was."""
        faults = tuple(dict.fromkeys(self.faults))
        for numbers in [*((n,) for n in faults), *([faults] if len(faults) > 1 else [])]:
            for right in rights:
                mine = self.valuer.believed(right, numbers)
                for left in chain.before if equality.left is None else chain.truth:
                    if not compatible(left.reading, right.reading):
                        continue
                    theirs = self.valuer.believed(left, numbers)
                    turned = not left.exact or not right.exact
                    pairs = ((theirs, right.expr), (theirs, mine), (left.expr, mine))
                    if any(self.valuer.same(a, b, turned) for a, b in pairs):
                        return right, numbers
        return None


def from_lines(numbers: Sequence[int]) -> str:
    """From where a line follows that is not true."""
    if len(numbers) == 1:
        return f"It follows from line {numbers[0]}, which is wrong."
    return f"It follows from lines {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}, which are wrong."


def grade(
    text: str,
    shapes: str | Mapping[str, object] | None = None,
    wrt: str | Sequence[str] | None = None,
    dialect: str | None = None,
    profile: str | None = None,
    functions: Given = None,
) -> Grading:
    r"""The grading of a derivation.

    A line that cannot be read is told with its place, and the others are graded.
    Raises: ChainruleError if no line can be read, or an option cannot.

    >>> [line.status for line in grade("y = x + x**2\ndy/dx = 2*x").lines]
    ['defined', 'wrong']
    """
    script = read_script(text, shapes if isinstance(shapes, str) else str(dict(shapes or {})))
    setting = prepare(script, shapes, wrt, dialect, profile, functions)
    if is_page(text) and "⋯" in text:
        setting.said.append("Matrices written out entry by entry are passed over.")
    return Grader(setting).grade()
