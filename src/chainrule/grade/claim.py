"""Reading a claim: a closed form in any accepted notation, over the variables of a formula.

In: the text, the variables and named parts of the formula, the shape of the correct answer. Out:
expressions in terms of the variables. A text with names that the formula lacks, or that is no formula, is
refused; one that can be read but whose sizes do not fit raises the ShapeMismatch of the language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import combinations

from chainrule.derive import jacobians
from chainrule.errors import ChainruleError, ShapeMismatch, SyntaxProblem, UnknownName
from chainrule.expr.dims import Dim
from chainrule.expr.names import SUBSCRIPT, ascii_name, pretty
from chainrule.expr.nodes import Expr, Variable, constant_of, zeros
from chainrule.expr.walk import dim_names, substitute
from chainrule.expr.walk import variables as variables_of
from chainrule.language import parse_formula
from chainrule.language.formula import outline
from chainrule.language.marks import without_marks
from chainrule.language.syntax import Name, post_order
from chainrule.language.unknown import NONE, Functions
from chainrule.simplify import simplify

# ∂f/∂x, df/dx, ∇f, f′(x), gradient: what may stand before = and says nothing.
LABEL = re.compile(r"\s*(?:[∂d∇].*|grad.*|jac.*|hess.*|\w+\s*['′]+\s*(?:\(.*\))?)\s*", re.IGNORECASE)
# A text in quotes, which opens an argument, is no transpose.
QUOTED = re.compile(r"\(\s*(['\"]).*?\1")
LETTERS = re.compile(r"(?<=[^\W_])_([i-t]+)(?![^\W_])")
BY_ENTRIES = re.compile(r"stands on the right side alone|the index \w+ is index notation")
FOREIGN = re.compile(r"'|\.\*|\./|\.\^")
# A name that the text itself gives to something: ... where z = Xw + b.
DEFINED = re.compile(r"(?:^|[;\n,]|\bwhere\b)\s*([^\s=;,()/]+)\s*=(?!=)")


@dataclass(frozen=True)
class Reading:
    """In what terms a claim is read.

    parts      what the person named in the formula, written out
    functions  those that the formula leaves unknown
    """

    variables: Mapping[str, Variable]
    parts: Mapping[str, Expr] = field(default_factory=dict)
    dialect: str = "numpy"
    profile: str | None = None
    functions: Functions = NONE

    @property
    def declaration(self) -> str:
        """The declarations of everything that a claim may name."""
        known = {**{name: Variable(name, part.shape) for name, part in self.parts.items()}, **self.variables}
        return " ".join(_declared(v) for v in known.values())

    def expression(self, text: str, shape: Sequence[Dim] | None = None, known: bool = False) -> Expr:
        """What the text says; `known` where its names are known to be those of the formula.

        Raises: ShapeMismatch if sizes do not fit; UnknownName, SyntaxProblem if it cannot be read.
        """
        dialect = self.dialect_of(text)
        if not known:
            self._check_names(text, dialect)
        formula = parse_formula(
            text, self.declaration, dialect, self.profile, shape, functions=self.functions
        )
        if unknown := [n for n in formula.variables if n not in self.variables and n not in self.parts]:
            raise UnknownName(f"the formula has no variable {pretty(unknown[0])}", source=text)
        symbols: dict[Expr, Expr] = {
            Variable(name, part.shape): part
            for name, part in self.parts.items()
            if name not in self.variables
        }
        expr = substitute(formula.expr, symbols) if symbols else formula.expr
        sizes = {n for v in self.variables.values() for d in v.shape for n in d.names}
        if set(dim_names(expr)) - {*sizes, *self.functions.dims}:
            raise ShapeMismatch(
                "nothing says how many entries 𝟏 or I has here",
                source=text,
                hint="write ones(n) or eye(n)",
            )
        return expr

    def beside(self, text: str) -> Reading:
        """The same for a text that says itself what some of the names stand for."""
        own = {ascii_name(m[1]) for m in DEFINED.finditer(text)}
        kept = {name: part for name, part in self.parts.items() if name not in own}
        return self if len(kept) == len(self.parts) else replace(self, parts=kept)

    def dialect_of(self, text: str) -> str:
        """The dialect asked for; MATLAB where only it has the signs that the claim is written with."""
        shown = without_marks(text, self.functions.declared)
        return (
            "matlab" if self.dialect == "numpy" and FOREIGN.search(QUOTED.sub("(", shown)) else self.dialect
        )

    def _check_names(self, text: str, dialect: str) -> None:
        parsed = outline(text, self.declaration, dialect, self.profile, self.functions)
        if not parsed.free:
            return
        unknown = parsed.free[0]
        nodes = [n for s in parsed.statements for n in post_order(s.value)]
        places = [n.span for n in nodes if isinstance(n, Name) and n.name == unknown]
        known = [*self.variables, *self.parts, *parsed.declared.dims]
        near = get_close_matches(unknown, known, 1, 0.5)
        raise UnknownName(
            f"the formula has no variable {pretty(unknown)}" + (f"; did you mean {near[0]}?" if near else ""),
            hint=f"a claim is in terms of {', '.join(known)}; or say what it is: ... where {unknown} = ...",
            source=text,
            spans=tuple(sorted(places, key=lambda s: s.start)[:1]),
        )


def read_claim(text: str, reading: Reading, shape: Sequence[Dim]) -> list[Expr]:
    """What a claim may say: one expression, or two where 𝟏 and I fit in either layout.

    >>> from chainrule.language import parse_declarations
    >>> x = parse_declarations("x[n]").variables
    >>> [e.shape for e in read_claim("2x", Reading(x), x["x"].shape)]
    [(Dim(n),)]
    """
    reading = reading.beside(text)
    found: dict[Expr, None] = {}
    failure: ShapeMismatch | SyntaxProblem | None = None
    for wanted in dict.fromkeys([tuple(shape), tuple(reversed(shape))]):
        try:
            found[_unspread(text, reading, wanted)] = None
        except (ShapeMismatch, SyntaxProblem) as problem:
            failure = failure or problem
    if failure is not None and not found and BY_ENTRIES.search(failure.message):
        found |= dict.fromkeys(_entries(text, reading, len(shape)))
    if failure is not None and not found:
        raise failure
    return list(found)


def _entries(text: str, reading: Reading, rank: int) -> Iterator[Expr]:
    """A claim by entries without a left side, Σ_j A_ij x_j: its letters in the order of the alphabet."""
    letters = sorted(set(re.findall("[i-t]", "".join(m[1] for m in LETTERS.finditer(ascii_letters(text))))))
    for chosen in combinations(letters, rank):
        with suppress(ShapeMismatch, SyntaxProblem):
            yield reading.expression(f"entry_{''.join(chosen)} = {text}", known=True)
            return


def ascii_letters(text: str) -> str:
    """The text with letters below the line as _i.

    >>> ascii_letters("Aᵢⱼ")
    'A_ij'
    """
    below = "".join(SUBSCRIPT)
    return re.sub(f"[{below}]+", lambda m: "_" + "".join(SUBSCRIPT[c] for c in m[0]), text)


def _unspread(text: str, reading: Reading, shape: tuple[Dim, ...]) -> Expr:
    """The expression; a scalar other than 0 stays one, however many entries the answer has."""
    expr = reading.expression(text, shape)
    if not shape:
        return expr
    try:
        alone = reading.expression(text)
    except ShapeMismatch:
        return expr
    constant = constant_of(alone)
    if alone.rank:
        return expr
    return zeros(shape) if constant is not None and constant.is_zero else alone


def as_map(text: str, reading: Reading, wrt: Sequence[Variable]) -> Expr | None:
    """The derivative that a differential tells: of dX ↦ A dX B, and of dL = tr(Aᵀ dX), the factor of dX.

    >>> x = Variable("x")
    >>> as_map("dy = 2x dx", Reading({"x": x}), [x])
    <2 -> x>
    """
    if len(wrt) != 1 or {"d", f"d{wrt[0].name}"} & set(reading.variables):
        return None
    moving = Variable(f"d{wrt[0].name}", wrt[0].shape)
    head, arrow, body = text.rpartition("↦")
    label = re.match(r"\s*d\w+\s*=(?!=)", body)
    if not re.search(rf"(?<![\w/∂]){re.escape(pretty(moving.name))}(?![\w(])", body) or (head and not arrow):
        return None
    body = body[label.end() :] if label is not None else body
    known = replace(reading, variables={**reading.variables, moving.name: moving})
    try:
        expr = known.expression(body)
    except ChainruleError:
        return None
    factor = simplify(jacobians(expr, [moving])[moving])
    still = constant_of(simplify(substitute(expr, {moving: zeros(moving.shape)})))
    linear = moving not in variables_of(factor) and still is not None and still.is_zero
    return factor if linear else None


def claims_in(text: str, reading: Reading) -> list[str]:
    """The text as one claim, or the sides of its equalities; a left side such as ∂f/∂x is none.

    Every claim keeps the place of its characters, so that errors point at what was written.

    >>> claims_in("df/dx = x + x = 2x", Reading({"x": Variable("x")}))
    ['        x + x ', '                2x']
    """
    reading = reading.beside(text)
    try:
        outline(text, reading.declaration, reading.dialect_of(text), reading.profile, reading.functions)
    except (SyntaxProblem, UnknownName) as problem:
        bounds = _sides(text)
        if len(bounds) < 2:
            raise problem
        if LABEL.fullmatch(text[: bounds[0][1]]) or not text[: bounds[0][1]].strip():
            del bounds[0]
        where = re.search(r"\bwhere\b", text)
        tail = text[where.start() :] if where else ""
        body = len(text) - len(tail)
        return [
            (" " * start + text[start : min(end, body)]).ljust(body if tail else 0) + tail
            for start, end in bounds
        ]
    return [text]


def _sides(text: str) -> list[tuple[int, int]]:
    """Where the sides of the equalities outside brackets begin and end, up to a where clause."""
    where = re.search(r"\bwhere\b", text)
    depth, cuts = 0, [-1]
    for k, sign in enumerate(text[: where.start()] if where else text):
        depth += (sign in "([{") - (sign in ")]}")
        around = text[max(0, k - 1) : k + 2]
        if sign == "=" and not depth and not re.search(r"[=<>!]=|==", around):
            cuts.append(k)
    ends = [*cuts[1:], len(text)]
    return [(start + 1, end) for start, end in zip(cuts, ends, strict=True)]


def _declared(v: Variable) -> str:
    sizes = f"[{','.join(map(str, v.shape))}]" if v.rank else ""
    return f"{v.name}{sizes}" + (f":{{{','.join(v.structure)}}}" if v.structure else "")
