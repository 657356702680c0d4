"""A derivative at a point that a person gives: what it predicts for small and large moves, and what happens.

In: what a page explains, and numbers. Out: a Phase to print behind the derivation. The formula is
evaluated at the moved points themselves, so a prediction is compared with what no derivative has made.
Source: Parr and Howard 2018, section 4.5.2 (x = 1, Δx = 1: y goes from 2 to 6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from chainrule.api.point import evaluate
from chainrule.codegen.compiled import CompiledFunction
from chainrule.codegen.load import compile_expressions
from chainrule.derive.engine import jacobians
from chainrule.errors import DomainProblem
from chainrule.explain import Line, Phase, Sentence
from chainrule.explain.board import Subject
from chainrule.explain.derivation import Entry, Words
from chainrule.expr.nodes import Apply, Expr, Variable, number
from chainrule.expr.walk import substitute, topological, variables
from chainrule.language import Formula
from chainrule.notation import matform as m
from chainrule.notation.latex import to_latex
from chainrule.notation.layout import is_turned
from chainrule.notation.matform import Tree
from chainrule.notation.present import present
from chainrule.notation.text import to_text
from chainrule.rules.table import Row
from chainrule.simplify import Normaliser, simplify
from chainrule.steps import Claim
from chainrule.verify.claims import check_claims
from chainrule.verify.reference import known_sizes, run

Array = npt.NDArray[Any]
MOVES = (0.01, 1.0)
# Larger arrays are not printed; longer titles neither.
MOST_ENTRIES, LONGEST_TITLE = 9, 70
# Of a slope or a change that rounding alone may have made.
TINY = 1e-12


def read(formula: Formula, at: Mapping[str, Any] | str) -> dict[str, Any]:
    """The arrays of a point, which fit the formula.

    Raises: OptionError, ArrayMismatch.
    """
    with np.errstate(all="ignore"):
        return evaluate(formula, {}, at).given


def section(subject: Subject, wrt: Sequence[Variable], given: Mapping[str, Any]) -> Phase:
    """What the derivative by `wrt`, one variable or scalars together, says at a point.

    Raises: DomainProblem if the formula has no value or no slope there.
    """
    return _Wiggle(subject, wrt, given).phase()


@dataclass(frozen=True, slots=True)
class Move:
    """What a move of the variables was predicted to do, and what it did; None where there is no value."""

    size: float
    predicted: Array
    actual: Array | None


class _Wiggle:
    def __init__(self, subject: Subject, wrt: Sequence[Variable], given: Mapping[str, Any]) -> None:
        self.subject, self.wrt = subject, tuple(wrt)
        self.given = {k: np.asarray(v, float) for k, v in given.items()}
        slopes = jacobians(subject.expr, list(wrt), subject.at_kink)
        self.slopes = {v: simplify(slopes[v]) for v in wrt}
        outputs: dict[str, Expr] = {"value": subject.expr}
        outputs |= {f"slope {k}": self.slopes[v] for k, v in enumerate(wrt)}
        self.function: CompiledFunction = compile_expressions(
            outputs, list(subject.variables), undefined=True
        )
        found = self._run({})
        self.value = np.asarray(found["value"], float)
        parts = [np.asarray(found[f"slope {k}"], float) for k in range(len(wrt))]
        self.slope = parts[0] if len(wrt) == 1 else np.stack(parts, axis=-1)
        if not np.isfinite(self.value).all():
            raise DomainProblem(
                "the formula has no value at this point", hint="give a point inside its domain"
            )
        if not np.isfinite(self.slope).all():
            raise DomainProblem("the formula has no slope at this point", hint="give a point beside it")
        self.letter = m.name(subject.letter)

    def _run(self, moved: Mapping[str, Any]) -> Any:
        arrays = {v.name: self.given[v.name] for v in self.subject.variables if v.name in self.given}
        with np.errstate(all="ignore"):
            return self.function(**{**arrays, **moved})

    # ------------------------------------------------------------ the section

    def phase(self) -> Phase:
        """Everything, under the point as a title."""
        title, lines = self.title()
        for left, right in (
            (self.letter, self.shown(self.value)),
            (self.derivative(), self.shown(self.slope, turned=self.is_turned())),
        ):
            lines += [Line(left, right)] if right is not m.DOTS else []
        kink = self.kink()
        if kink is not None:
            lines.append(Sentence(kink))
        if not self.value.ndim and not self.slope.ndim:
            lines += self.scalar(certain=kink is None)
        elif not self.value.ndim:
            lines += self.ascent()
        else:
            lines += self.entries()
        return Phase(title, (*lines, *self.fixed()))

    def title(self) -> tuple[str, list[Entry]]:
        """At x = 1, y = 2; where the numbers are not as simple, they stand in lines of their own."""
        names = [v for v in self.subject.variables if v in variables(self.subject.expr) or v in self.wrt]
        values = {v: self.given[v.name] for v in names}
        if all(value.ndim == 0 and float(value) == int(value) for value in values.values()):
            parts = [f"{to_text(m.name(v.name))} = {to_text(decimal(float(x)))}" for v, x in values.items()]
            whole = f"At {', '.join(parts)}"
            if len(whole) <= LONGEST_TITLE:
                return whole, []
        lines = [(m.name(v.name), self.shown(value)) for v, value in values.items()]
        return "At a point", [Line(left, right) for left, right in lines if right is not m.DOTS]

    def derivative(self) -> Tree:
        """dy/dx, ∂y/∂x, or ∇f of scalars together."""
        if len(self.wrt) > 1:
            return self.gradient() if not self.value.ndim else self._by_all()
        alone = variables(self.subject.expr) == self.wrt and not self.slope.ndim
        return m.derivative(self.letter, m.name(self.wrt[0].name), "d" if alone else "∂")

    def gradient(self) -> Tree:
        """∇f."""
        text, latex = to_text(self.letter), to_latex(self.letter)
        return m.tree("symbol", (), (f"∇{text}", rf"\nabla {latex}"))

    def _by_all(self) -> Tree:
        return m.derivative(self.letter, m.call("", *(m.name(v.name) for v in self.wrt)))

    def is_turned(self) -> bool:
        inputs = 1 if len(self.wrt) > 1 else self.wrt[0].rank
        return is_turned(self.value.ndim, inputs, self.subject.layout)

    def shown(self, value: Array, *, turned: bool = False) -> Tree:
        """A number or a small array; dots for a large one."""
        array = np.asarray(value, float)
        if array.size > MOST_ENTRIES or array.ndim > 2:
            return m.DOTS
        if array.ndim == 2:
            rows = array.T if turned else array
            return m.grid([[decimal(float(x)) for x in row] for row in rows])
        if array.ndim == 1:
            entries = [decimal(float(x)) for x in array]
            return m.grid([entries]) if turned else m.tree("array", entries, (False,))
        return decimal(float(array))

    # ------------------------------------------------------------ moves

    def move(self, size: float, direction: Mapping[Variable, Array]) -> Move:
        """The variables moved by size · direction."""
        moved = {v.name: self.given[v.name] + size * d for v, d in direction.items()}
        after = np.asarray(self._run(moved)["value"], float)
        predicted = np.zeros(self.value.shape)
        for k, v in enumerate(self.wrt):
            slope = self.slope if len(self.wrt) == 1 else self.slope[..., k]
            if v in direction:
                predicted = predicted + size * np.tensordot(slope, direction[v], v.rank)
        actual = after - self.value if np.isfinite(after).all() else None
        return Move(size, predicted, actual)

    def told(self, front: Words, move: Move) -> Sentence:
        """Wiggle x by 0.01: predicted 0.03, actual 0.0301."""
        predicted = self.shown(move.predicted)
        if move.actual is None:
            return Sentence((*front, ": predicted ", predicted, ", but there the formula has no value."))
        actual = self.shown(move.actual)
        words: Words = (*front, ": predicted ", predicted, ", actual ", actual, ".")
        far = float(np.abs(move.predicted - move.actual).max())
        size = float(max(np.abs(move.predicted).max(), np.abs(move.actual).max()))
        if actual is predicted or far <= TINY * size:
            return Sentence((*words[:-1], ", the same."))
        if move.size == MOVES[-1] and not self.value.ndim:
            values = decimal(float(self.value)), decimal(float(self.value + move.actual))
            words = (
                *words[:-1], " (", self.letter, " goes from ", values[0], " to ", values[1],
                "): a derivative speaks of small moves only.",
            )  # fmt: skip
        return Sentence(words)

    def scalar(self, *, certain: bool) -> list[Entry]:
        """Rising, falling or flat, and two moves."""
        x, slope = m.name(self.wrt[0].name), float(self.slope)
        verdict: Words
        if slope:
            way = "rising" if slope > 0 else "falling"
            verdict = (self.letter, f" is {way} there: ", decimal(abs(slope)), " for each unit of ", x, ".")
        else:
            verdict = (
                self.letter, " is momentarily flat there; whether that is a lowest point, a highest point or "
                "neither, the first derivative does not say.",
            )  # fmt: skip
        entries: list[Entry] = [Sentence(verdict)] if certain else []
        for size in MOVES:
            move = self.move(size, {self.wrt[0]: np.ones(())})
            entries.append(self.told(("Wiggle ", x, " by ", decimal(size)), move))
        return entries

    def ascent(self) -> list[Entry]:
        """The direction of steepest ascent, its rate, and moves that way."""
        rate = float(np.linalg.norm(self.slope))
        if not rate:
            flat = " is momentarily flat there: no direction raises it to first order."
            return [Sentence((self.letter, flat))]
        direction = self.slope / rate
        gradient = self.gradient()
        length = m.tree("norm", (gradient,))
        entries: list[Entry] = []
        shown = self.shown(direction, turned=self.is_turned())
        if shown is not m.DOTS:
            entries.append(Line(m.over(gradient, length), shown))
        entries.append(Line(length, decimal(rate)))
        words: Words = (
            self.letter, " rises most steeply in the direction ", m.over(gradient, length), ", at the rate ",
            length, ": no other direction has a larger one.",
        )  # fmt: skip
        entries.append(Sentence(words))
        ways = {self.wrt[0]: direction}
        if len(self.wrt) > 1:
            ways = {v: np.asarray(direction[k]) for k, v in enumerate(self.wrt)}
        for size in MOVES:
            front: Words = ("A move of length ", decimal(size), " that way")
            entries.append(self.told(front, self.move(size, ways)))
        return entries

    def entries(self) -> list[Entry]:
        """One entry of the variable moved: what it was predicted to do to every entry of the value."""
        entries: list[Entry] = []
        for v in self.wrt:
            unit = np.zeros(self.given[v.name].shape)
            unit[(0,) * v.rank] = 1
            entry = m.tree("entry", (m.name(v.name),), ("1",) * v.rank) if v.rank else m.name(v.name)
            move = self.move(MOVES[0], {v: unit})
            front: Words = ("Wiggle ", entry, " by ", decimal(move.size))
            if move.predicted.size <= MOST_ENTRIES and move.predicted.ndim == 1:
                entries.append(self.told(front, move))
            elif move.actual is not None:
                far = float(np.abs(move.predicted - move.actual).max())
                most = float(np.abs(move.actual).max())
                words: Words = (
                    ": an entry of ", self.letter, " moves by up to ", decimal(most),
                    ", and none is further from what is predicted than ", decimal(far), ".",
                )  # fmt: skip
                entries.append(Sentence((*front, *words)))
        return entries

    # ------------------------------------------------------------ kinks, and other variables fixed

    def kink(self) -> Words | None:
        """That the point lies where the formula is not differentiable, and what happens on both sides."""
        expr = Normaliser()(self.subject.expr)
        memo: dict[Expr, Array] = {}
        sizes = known_sizes([expr, *self.subject.variables], self.given, {})
        run([expr], self.given, sizes, memo)
        hit: list[str] = []
        for node in topological([expr]):
            if not isinstance(node, Apply) or not set(self.wrt) & set(variables(node)):
                continue
            if not isinstance(node.function, Row) or node.function.kink is None:
                continue
            arguments = [memo[a] for a in node.arguments]
            parameters = [p.evaluate(sizes) if hasattr(p, "evaluate") else p for p in node.parameters]
            distance = np.asarray(node.function.kink(np, *arguments, *parameters))
            if distance.size and float(np.abs(distance).min()) <= TINY:
                hit.append(node.function.name)
        if not hit:
            return None
        words: Words = (f"The point lies on a kink of {' and '.join(dict.fromkeys(hit))}: ", self.letter)
        words = (*words, " is not differentiable there, and the derivative shown is a choice.")
        if self.value.ndim or self.slope.ndim:
            return words
        small = 1e-6
        one = np.ones(())
        moves = [self.move(s, {self.wrt[0]: one}) for s in (-small, small)]
        rates = [decimal(float(move.actual) / move.size, 4) for move in moves if move.actual is not None]
        if len(rates) < 2:
            return words
        return (*words, " The slope to its left is ", rates[0], ", to its right ", rates[1], ".")

    def fixed(self) -> tuple[Entry, ...]:
        """The other variables fixed to numbers first: f(x, 2) = 6x², whose derivative is 12x."""
        expr = self.subject.expr
        scalars = [v for v in self.subject.variables if v in variables(expr)]
        if self.value.ndim or len(scalars) < 2 or any(v.rank for v in scalars):
            return ()
        lines: list[Entry] = []
        for x in (v for v in self.wrt if v in scalars):
            others: dict[Expr, Expr] = {v: number(self.exact(v)) for v in scalars if v is not x}
            inner = simplify(substitute(expr, others))
            slope = simplify(jacobians(inner, [x], self.subject.at_kink)[x])
            put_in = simplify(substitute(self.slopes[x], others))
            claims = [Claim("fixed first", put_in, inner, x), Claim("fixed first", slope, put_in)]
            try:
                found = check_claims(claims, (), [x], points=5)
            except DomainProblem:
                continue
            assert not found.failed, "a number put in before and after differentiating gives the same"
            values = {v: decimal(float(self.given[v.name])) for v in scalars if v is not x}
            called = m.call(self.subject.letter, *(values.get(v, m.name(v.name)) for v in scalars))
            where: list[str | Tree] = []
            for v, value in values.items():
                where += [" and " if where else "", m.name(v.name), " = ", value]
            lines.append(Line(called, present(inner).tree))
            lines.append(
                Line(
                    m.operator(called, m.name(x.name), "d"),
                    present(slope).tree,
                    ("the same as ", present(self.slopes[x]).tree, " at ", *where),
                )
            )
        other = "variable" if len(scalars) == 2 else "variables"
        return (Phase(f"The other {other} fixed first", tuple(lines)),) if lines else ()

    def exact(self, variable: Variable) -> Fraction:
        """The number that was given for a scalar, as it was written."""
        return Fraction(str(float(self.given[variable.name])))


def decimal(value: float, digits: int = 6) -> Tree:
    """A number in so many digits, as a tree.

    >>> to_text(decimal(-0.0301)), to_text(decimal(2.0)), to_text(decimal(3e-9))
    ('−0.0301', '2', '3·10⁻⁹')
    """
    if value < 0 and f"{value:.{digits}g}" != "-0":
        return m.negative(decimal(-value, digits))
    text = f"{abs(value):.{digits}g}"
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return m.tree("symbol", (), (text, text))
    power = str(int(exponent))
    raised = power.translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
    return m.tree("symbol", (), (f"{mantissa}·10{raised}", rf"{mantissa} \cdot 10^{{{power}}}"))
