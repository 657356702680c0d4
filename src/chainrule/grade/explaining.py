"""Why a line is wrong: a path left out, else what a claim would be told; formulas in a person's own names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations

from chainrule.errors import ChainruleError, ShapeMismatch
from chainrule.expr.dims import ONE
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, negate, permute
from chainrule.expr.walk import rebuild, substitute, tree_size
from chainrule.grade.book import Book, jacobian
from chainrule.grade.claim import Reading as ClaimReading
from chainrule.grade.judge import Diagnosis, judge, judge_text
from chainrule.grade.mutant import short
from chainrule.grade.reading import LAYOUTS, Hole, Parsed, Reader, Reading
from chainrule.grade.retext import apply
from chainrule.grade.signs import NOWHERE, signs
from chainrule.grade.symbols import Side, Symbol
from chainrule.grade.valuing import Value
from chainrule.language.problems import ROW_AND_COLUMN
from chainrule.notation.present import Request, present_many
from chainrule.simplify import normalise, simplify

LARGE = 400  # nodes, beyond which an expression is not shown
MOST_PATHS = 6
OTHER_LAYOUT = Diagnosis(
    "layout",
    "This is the transpose of what it should equal: within one chain of equalities the layout stays.",
)
OTHER_INDICES = Diagnosis(
    "layout", "The indices stand in the other order: this is the transpose of what it should equal."
)
# The verdict stands without an explanation: a search for one that fails must not take it away.
UNEXPLAINED = (ChainruleError, ArithmeticError, AssertionError, LookupError, ValueError)
_PASSED = re.compile(r"The derivative of .* is missing\.")
PLACES = ("mask", "inner", "path", "plain-chain", "other")  # diagnoses that name a part of the formula
Same = Callable[[Expr, Expr], bool]


def shown(expr: Expr, book: Book, row: bool = False, profile: str | None = None, but: str = "") -> str:
    """An expression as people read it, in the names of the derivation but one; "" if it is too long."""
    if tree_size(expr) > LARGE:
        return ""
    parts = {name: normalise(_as_stated(book, name)) for name in book.names if name != but}
    simplest = _with_sigmoids(simplify(expr), book, parts)
    (written,), where = present_many([Request(simplest, row and expr.rank == 1)], parts, profile=profile)
    if written.text in (pretty(name) for name in parts):
        name = next(name for name in parts if pretty(name) == written.text)
        return f"{written.text} = {short(simplify(_as_stated(book, name)))}"
    label = f"[{''.join(written.indices)}] " if written.form == "index" and written.indices else ""
    new = ", ".join(f"{pretty(name)} = {part.text}" for name, part in where if name not in book.names)
    return label + written.text + (f" where {new}" if new else "")


def _with_sigmoids(expr: Expr, book: Book, parts: Mapping[str, Expr]) -> Expr:
    """σ(−z) as 1 − p where p = σ(z) has a name."""
    values: dict[Expr, Expr] = {}
    for name, part in parts.items():
        if isinstance(part, Apply) and part.function.name == "sigmoid":
            p = book.symbol(name)
            values |= {part: p, normalise(rebuild(part, [negate(part.arguments[0])])): 1 - p}
    return substitute(expr, values) if values else expr


def _stated_transposed(book: Book, name: str) -> bool:
    """Whether a name of a matrix of derivatives was written out as the transpose of what the book keeps."""
    named = book.names[name]
    return named.variable.rank == 2 and named.turned == LAYOUTS


def _as_stated(book: Book, name: str) -> Expr:
    """What a name stands for, as the person wrote it."""
    full = book.full(name)
    return permute(full, (1, 0)) if _stated_transposed(book, name) else full


def explain_path(book: Book, symbol: Symbol, claimed: Expr, same: Same) -> Diagnosis | None:
    """A total derivative along some of its paths only."""
    if not isinstance(symbol.of, str) or len(symbol.by) != 1 or any(symbol.below):
        return None
    paths = book.paths(symbol.of, symbol.by[0])
    if not 2 <= len(paths) <= MOST_PATHS:
        return None
    for count in range(len(paths) - 1, 0, -1):
        for kept in combinations(range(len(paths)), count):
            values = [paths[k][1] for k in kept]
            if same(claimed, values[0] if count == 1 else Sum(values)):
                return _left_out([path for path, _ in paths], kept, symbol.by[0])
    return None


def _left_out(paths: Sequence[tuple[str, ...]], kept: Sequence[int], by: str) -> Diagnosis:
    routes = [" → ".join(map(pretty, path)) for path in paths]
    lost = [route for k, route in enumerate(routes) if k not in kept]
    here = " and ".join(routes[k] for k in kept)
    away = " and ".join(lost)
    plural = "s" if len(lost) > 1 else ""
    if len(kept) == 1 and all(_skips(path, paths[kept[0]]) for k, path in enumerate(paths) if k not in kept):
        text = (
            f"This is the chain rule along {here} alone. {pretty(by)} acts along {away} too, "
            "so the total derivative is due: the sum over all paths."
        )
        return Diagnosis("plain-chain", text)
    verb = "are" if plural else "is"
    return Diagnosis("path", f"This counts {here}; the path{plural} {away} {verb} left out.")


def _skips(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    """Whether a path is the other one with steps left out."""
    rest = iter(long)
    return all(name in rest for name in short)


def explain_value(
    reader: Reader,
    side: Side,
    value: Value,
    correct: Expr,
    letters: str | None,
    symbol: Symbol | None,
    same: Same,
    algebra: bool = False,
) -> Diagnosis:
    """What a claim of that value, or with that text, would be told.

    `algebra`: the line before is a closed form.
    """
    book = reader.book
    # Derivatives as the rules leave them, with exponents such as 2 − 1, can be evaluated at fewer points.
    correct = normalise(correct)
    claimed = normalise(value.expr) if value.parsed.holes else value.expr
    if any(NOWHERE in edit.text for edit in signs(side.part.text, 0)):
        return Diagnosis("mask", "One of the cases is wrong, or they leave a point out.")
    told: list[Diagnosis] = []
    of, wrt = subject(book, symbol)
    if letters is None:
        with suppress(*UNEXPLAINED):
            text, parts, spoken = as_claim(reader, side, value.reading)
            known = ClaimReading(book.variables, parts, reader.dialect, reader.profile)
            judgement = judge_text(text, correct, reading=known, of=of, wrt=wrt)
            if judgement.verdict == "layout":
                return OTHER_LAYOUT
            if algebra and judgement.diagnoses and _PASSED.match(judgement.diagnoses[0].text):
                # The line before has that derivative, so this is a slip in rewriting it.
                judgement = judge_text(text, correct, reading=known, wrt=wrt)
            told += [replace(d, text=_spoken(d.text, spoken)) for d in judgement.diagnoses[:1]]
        with suppress(*UNEXPLAINED):
            named = by_name(reader, value, symbol)
            # Of one mistake the person's own names tell more than what they stand for.
            if told and [d.code for d in named] == [told[0].code] and told[0].code in PLACES:
                told.clear()
            told += named
    if not told or told[0].code == "other":
        with suppress(*UNEXPLAINED):
            everything = list(book.variables.values())
            judgement = judge(claimed, correct, of=None if algebra else of, wrt=wrt, variables=everything)
            if judgement.verdict == "layout":
                return OTHER_LAYOUT if letters is None else OTHER_INDICES
            if letters is not None and claimed.rank == 2 and claimed.shape[0] == claimed.shape[1]:
                if same(Einsum(ONE, (claimed,), ((0, 0),), (0, 0)), correct):
                    says = f"This holds where {' = '.join(letters)} only: δ_{letters} is missing."
                    return Diagnosis("diag", says)
            told += judgement.diagnoses[:1]
    return min(told, key=_vagueness, default=Diagnosis("other", "The two are not equal."))


def _vagueness(told: Diagnosis) -> int:
    """How little is said: a code, a sentence without one, numbers."""
    if told.code not in ("other", "shape"):
        return 0
    return 1 if re.match(r"A |The (term|power)", told.text) else 2


def by_name(reader: Reader, value: Value, symbol: Symbol | None) -> Sequence[Diagnosis]:
    """What explains a wrong derivative by a name, which then stands for itself, like a variable."""
    book = reader.book
    if symbol is None or len(symbol.by) != 1 or symbol.by[0] not in book.names or any(symbol.below):
        return ()
    if not isinstance(symbol.of, str) or symbol.of not in book.names:
        return ()
    kept, by = frozenset(symbol.by), book.symbol(symbol.by[0])
    of = book.expand(book.formula(symbol.of, symbol.by), kept)
    claimed = book.expand(reader.filled(value.parsed, value.reading, book), kept)
    known = [*book.variables.values(), by]
    judgement = judge(claimed, jacobian(of, by), of=of, wrt=(by,), variables=known)
    # Numbers at a point say nothing here: the name has no value of its own.
    return [d for d in judgement.diagnoses[:1] if judgement.verdict == "wrong" and _vagueness(d) < 2]


def subject(book: Book, symbol: Symbol | None) -> tuple[Expr | None, tuple[Variable, ...]]:
    """What was differentiated, where that is a formula over variables, and by which variables."""
    moving = tuple(book.variables[name] for name in book.free)
    if symbol is None or not symbol.by or not isinstance(symbol.of, str):
        return None, moving
    below = "".join(symbol.below)
    if any(c.isdigit() for c in below) or len(set(below)) < len(below):
        return None, moving
    if len(symbol.by) != 1 or symbol.by[0] in book.names:
        return None, moving
    return book.expand(book.symbol(symbol.of)), (book.variables[symbol.by[0]],)


def as_claim(reader: Reader, side: Side, reading: Reading) -> tuple[str, dict[str, Expr], dict[str, str]]:
    """The text of a side, the names and placeholders in it, and how the placeholders are spoken of."""
    holes: dict[Variable, Hole] = {}
    spoken: dict[str, str] = {}
    edits = list(reader.edits(side, reading, holes, spoken, False))
    turned = {f"({pretty(n)}ᵀ)" for n in reader.book.names if _stated_transposed(reader.book, n)}
    edits = [edit for edit in edits if edit.text not in turned]
    text = apply(side.part.text, side.part.start, edits).text
    parts = {name: _as_stated(reader.book, name) for name in reader.book.names}
    if reader.scanner.differentials:
        for name in (*reader.book.variables, *reader.book.names):
            parts.setdefault(f"d{name}", reader.book.differential(name))
    if any(hole.folded for hole in holes.values()):
        raise ShapeMismatch("a derivative of a vector by a matrix has no text as a claim")
    for variable, hole in holes.items():
        parts[variable.name] = reader.value(hole, reading, reader.book)
    return text, parts, spoken


def _spoken(text: str, spoken: dict[str, str]) -> str:
    for made in sorted(spoken, key=len, reverse=True):
        text = text.replace(made, spoken[made])
    return text


def explain_misfit(
    reader: Reader,
    side: Side,
    layouts: Sequence[str],
    correct: Expr | None,
    symbol: Symbol | None,
    problem: ShapeMismatch | None,
) -> Diagnosis:
    """What is wrong with sizes that do not fit."""
    reading = Reading(layout=layouts[0])
    if problem is None:
        try:
            reader.parse(side, reading)
        except ShapeMismatch as misfit:
            problem = misfit
    if correct is not None:
        of, wrt = subject(reader.book, symbol)
        try:
            text, parts, spoken = as_claim(reader, side, reading)
            known = ClaimReading(reader.book.variables, parts, reader.dialect, reader.profile)
            judgement = judge_text(text, correct, reading=known, of=of, wrt=wrt)
            found = judgement.diagnoses[0] if judgement.diagnoses else None
            if found is not None and found.code != "shape":
                return Diagnosis(found.code, _spoken(found.text, spoken))
        except UNEXPLAINED:
            pass
    if problem is None:
        return Diagnosis("shape", "The sizes do not fit.")
    if problem.message == "diag needs a matrix, not a scalar":
        text = "diag of a scalar is no matrix: z I, or diag(𝟏z), is the matrix with z on its diagonal."
        return Diagnosis("diag", text)
    if problem.hint == ROW_AND_COLUMN:
        text = f"A row and a column are combined: {problem.message}. Transpose one of them."
        return Diagnosis("row-column", text)
    hint = f" ({problem.hint})" if problem.hint else ""
    return Diagnosis("shape", f"The sizes do not fit: {problem.message}{hint}.")


__all__ = ["Parsed", "explain_misfit", "explain_path", "explain_value", "shown"]
