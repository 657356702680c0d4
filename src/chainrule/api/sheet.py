"""What is printed for a derivative: the formula, the answer in its layout, names, kinks, the check.

In: derivatives of one formula. Out: lines of text, LaTeX, markdown. It computes nothing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any, Protocol

from chainrule.api import as_maps, backward, notated
from chainrule.api.blocks import block_line
from chainrule.api.formulas import named_parts
from chainrule.api.glosses import glosses
from chainrule.api.layouts import is_gradient, is_turned, matrix_shape, wrapped
from chainrule.api.point import NO_VALUE
from chainrule.api.products import times_label
from chainrule.api.structured import conventions
from chainrule.derive.kinks import Kink
from chainrule.expr.dims import Dim
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable
from chainrule.expr.walk import rebuild, substitute, topological
from chainrule.expr.walk import variables as variables_of
from chainrule.language import Formula
from chainrule.notation.index import vec_derivative
from chainrule.notation.joined import is_place
from chainrule.notation.latex import name_latex
from chainrule.notation.matform import commutation_in
from chainrule.notation.present import Presentation, Request, head, present, present_many, present_named
from chainrule.notation.recursion import Recursion
from chainrule.notation.text import sizes_text, to_text
from chainrule.notation.written import Written
from chainrule.rules.table import Row
from chainrule.rules.unknown import unknown_in
from chainrule.simplify import normalise

if TYPE_CHECKING:
    from chainrule.api.chain import Target
    from chainrule.api.derivative import Derivative
    from chainrule.api.options import Options
    from chainrule.api.point import Point
    from chainrule.verify.compare import Report

# Letters for the value of the formula, by its number of axes.
LETTERS = {0: "fghCL", 1: "yfvur", 2: "YFZMW"}
MOST_PARTS = 24
# Functions that need a word of explanation where they are printed.
UNFAMILIAR = {"first_max", "first_min", "prod_others", "tri"}
ONE_LINE = 12  # entries of an array that stand on one line
RAISED = str.maketrans("23456789", "²³⁴⁵⁶⁷⁸⁹")


class Printable(Protocol):
    """What a sheet is about."""

    formula: Formula
    options: Options

    @property
    def recursion(self) -> Recursion | None:
        """The names and δ's of a program of layers."""

    def parts(self) -> Sequence[Derivative]:
        """The derivatives that are printed."""


@dataclass(frozen=True)
class Answer:
    """One derivative as it is written.

    label     ∂f/∂w
    shape     its sizes in the layout; None if it has more than two axes
    gradient  the same in the shape of its variable, where that differs
    """

    derivative: Derivative
    label: str
    label_latex: str
    written: Presentation
    shape: tuple[Dim, ...] | None
    gradient: Presentation | None

    @property
    def is_same(self) -> bool:
        """Whether a gradient is written by entries, which are in every layout the same."""
        written, gradient = self.written, self.gradient
        return gradient is not None and bool(written.indices) and gradient.tree is written.tree


class Sheet:
    """Everything that is printed about some derivatives of one formula."""

    def __init__(self, about: Printable) -> None:
        self.formula = about.formula
        self.options = about.options
        self.layout = about.options.layout
        self.derivatives = about.parts()
        sizes = {d for v in self.formula.variables.values() for dim in v.shape for d in dim.names}
        taken = {*self.formula.variables, *self.formula.names, *sizes, *self.formula.functions.declared}
        self.abbreviations = about.options.abbreviations
        taken.update(self.abbreviations, unknown_in(self.formula.expr))
        self.pullback, self.times = about.options.pullback, about.options.times
        letters = "LCJ" if self.pullback is not None else LETTERS[min(self.formula.expr.rank, 2)]
        self.own = self.formula.name if self.pullback is None else ""
        self.letter = pretty(self.own) or next((c for c in letters if c not in taken), "result")
        self.taken = frozenset(taken)
        self.given = {**self.abbreviations, **named_parts(self.formula)}
        self.recursion = about.recursion
        self.exprs = {d: self._in_names(d) for d in self.derivatives}
        self.normal = normalise(self.formula.expr)
        requests: list[Request] = []
        for d in self.derivatives:
            ranks = (self.formula.expr.rank, *(len(target.shape) for target in d.wrt))
            ranks = ranks if self.times is None else ()
            requests.append(Request(self.exprs[d], is_turned(d, self.layout), ranks))
        second = [d for d in self.derivatives if is_gradient(d) and is_turned(d, self.layout)]
        requests += [Request(self.exprs[d]) for d in second]
        if self.recursion is None:
            shown, self.where = present_many(requests, self.given, taken=taken, profile=self.formula.profile)
        else:
            shown, self.where = present_named(
                requests, self.recursion.definitions, taken=taken, profile=self.formula.profile
            )
        gradients = dict(zip(second, shown[len(self.derivatives) :], strict=True))
        self.answers = [
            Answer(
                d,
                *self._labels(d, written.indices),
                written,
                matrix_shape(d, self.layout),
                gradients.get(d),
            )
            for d, written in zip(self.derivatives, shown, strict=False)
        ]

    def _in_names(self, derivative: Derivative) -> Expr:
        """A derivative in which the names that are known beforehand stand out."""
        if self.recursion is None:
            return derivative.abbreviated.expr
        return self.recursion.shown(self.recursion.gradients[derivative.wrt[0].variables[0]])

    @property
    def names(self) -> dict[str, Expr]:
        """What the names of parts stand for, written out."""
        return {name: written.part for name, written in self.where if written.part is not None}

    def _labels(self, derivative: Derivative, indices: Sequence[str]) -> tuple[str, str]:
        if self.times is not None:
            return times_label(self, derivative, self.times)
        return self.label(derivative.wrt, indices)

    def label(self, wrt: Sequence[Target], indices: Sequence[str]) -> tuple[str, str]:
        """∂f/∂w, ∂²f/∂w², ∂²f/∂w∂b, in index notation ∂Y_ij/∂X_kl; the same in LaTeX."""
        free = iter(indices)
        above = [next(free) for _ in range(self.formula.expr.rank)] if indices else []
        below, below_latex = "", ""
        for target, group in groupby(wrt):
            times = [[next(free) for _ in target.shape] if indices else [] for _ in group]
            name = ", ".join(pretty(v.name) for v in target.variables)
            name = f"({name})" if target.joint else name
            latex = ", ".join(name_latex(v.name) for v in target.variables)
            latex = f"({latex})" if target.joint else latex
            if indices:
                below += "".join(f"∂{name}{_subscript(own)}" for own in times)
                below_latex += "".join(rf"\partial {latex}{_subscript_latex(own)}" for own in times)
            else:
                below += f"∂{name}{_power(len(times))}"
                below_latex += rf"\partial {latex}" + (f"^{{{len(times)}}}" if len(times) > 1 else "")
        power = f"^{{{len(wrt)}}}" if len(wrt) > 1 else ""
        return (
            f"∂{_power(len(wrt))}{self.letter}{_subscript(above)}/{below}",
            rf"\frac{{\partial{power} {self.letter_latex}{_subscript_latex(above)}}}{{{below_latex}}}",
        )

    # ---------------------------------------------------------- the formula

    @cached_property
    def statements(self) -> list[tuple[str, Expr]]:
        """The formula as it was written: the parts that a person named, then the value in terms of them."""
        symbols: dict[Expr, Expr] = {}
        statements: list[tuple[str, Expr]] = []
        for name, part in self.formula.names.items():
            if part.children and part not in symbols and part is not self.formula.expr:
                inner = rebuild(part, [substitute(child, symbols) for child in part.children])
                statements.append((name, inner))
                symbols[part] = Variable(name, part.shape)
        if self.pullback is not None:
            own = substitute(self.pullback.value, {p: s for p, s in symbols.items() if p is not self.value})
            return [*(s for s in statements if s[0] != self.pullback.letter), (self.pullback.letter, own)]
        return [*statements, (self.letter, substitute(self.formula.expr, symbols))]

    @property
    def letter_latex(self) -> str:
        """The name of the value in LaTeX."""
        return name_latex(self.own) if self.own else self.letter

    @property
    def value(self) -> Expr:
        """What a person typed: the formula, with upstream the part below it."""
        return self.formula.expr if self.pullback is None else self.pullback.value

    @cached_property
    def written_formula(self) -> Presentation:
        """The value of the formula as it was written."""
        return self._typed(self.statements[-1][1])

    def _present(self, expr: Expr) -> Presentation:
        return present(expr, profile=self.formula.profile)

    def _typed(self, expr: Expr) -> Presentation:
        """With the terms of sums in the order in which a person typed them."""
        return present(expr, profile=self.formula.profile, as_typed=True)

    def heading(self) -> list[str]:
        """The formula with the shape of every part, and how it was read."""
        shape = self.value.shape
        kind = f"vector of {sizes_text(shape)}" if len(shape) == 1 else sizes_text(shape)
        letter = self.letter if self.pullback is None else self.pullback.letter
        lines = [f"{letter} = {self.written_formula.text}    {kind}"]
        items = [f"{self._variable(v)}: {sizes_text(v.shape)}" for v in self.formula.variables.values()]
        items += self.formula.functions.said()
        shown: dict[Expr, None] = {}
        for name, value in self.statements:
            inside = [n for n in topological([value])[:-1] if _is_part(n) and n not in shown]
            shown.update(dict.fromkeys(inside[: max(0, MOST_PARTS - len(items))]))
            texts = [self._typed(n).text for n in inside if n in shown]
            sizes = [sizes_text(n.shape) for n in inside if n in shown]
            items += [f"{text}: {size}" for text, size in zip(texts, sizes, strict=True)]
            if name != letter:
                items.append(f"{pretty(name)} = {self._typed(value).text}: {sizes_text(value.shape)}")
        lines += wrapped(dict.fromkeys(items))
        return [*lines, *(f"    {sentence}" for sentence in self.formula.assumptions)]

    def _variable(self, variable: Variable) -> str:
        """A variable in the heading; the upstream gradient with what it is."""
        name = pretty(variable.name)
        if self.pullback is not None and variable is self.pullback.upstream:
            return f"{name} = ∂{self.letter}/∂{self.pullback.letter}"
        return name

    # ---------------------------------------------------------- the answer

    @cached_property
    def kinks(self) -> list[Kink]:
        """Where the formula is not differentiable, and what is taken there."""
        from chainrule.verify.kinks import kinks_of  # loads NumPy

        order = max(d.order for d in self.derivatives)
        answers = [d.expression for d in self.derivatives]
        return kinks_of(self.normal, self._moving(), self._writing(), order, self.options.at_kink, answers)

    @cached_property
    def conditions(self) -> list[str]:
        """What is taken for granted of matrices that move."""
        from chainrule.verify.conditions import conditions  # loads NumPy

        derivatives = [d.expression for d in self.derivatives]
        return conditions(self.formula.expr, self.normal, derivatives, self._moving(), self._writing())

    def _moving(self) -> list[Variable]:
        return [v for d in self.derivatives for target in d.wrt for v in target.variables]

    def _writing(self) -> Callable[[Expr], str]:
        """How a part is written on this page."""
        names = notated.vector_names(self.written)
        if notated.has_matrix(self.written):
            names |= {part.text: pretty(name) for name, part in self.where}

        def write(expr: Expr) -> str:
            if self.recursion is not None:
                return self._present(self.recursion.in_symbols(expr)).text
            text = self._present(expr).text
            return names.get(text, text)

        return write

    @cached_property
    def written(self) -> list[notated.Shown]:
        """The answers in the notation that was asked for, unless that is the vectorised one."""
        return [] if self.options.notation == "matrix" else notated.all_written(self)

    def answer_lines(self) -> list[str]:
        """The derivatives with shape and layout, gradients ready for an update step, the names of parts."""
        if self.written:
            return self._explained(notated.lines(self, self.written))
        lines = [line for answer in self.answers for line in self.matrix_lines(answer)]
        lines += block_line(self)
        if self.recursion is not None:
            return self._explained(lines + backward.lines(self, self.recursion))
        names = (f"{to_text(head(name, part))} = {part.text}" for name, part in self.shown_where)
        return self._explained(lines + wrapped(names, "where ", ", "))

    def size_note(self, answer: Answer) -> str:
        """The size of an answer, and its layout."""
        if self.times is not None:
            return sizes_text(answer.derivative.expression.shape)
        if answer.shape is None or answer.is_same:
            return f"{sizes_text(answer.derivative.expression.shape)}, index notation"
        if self.layout == "shape" and is_gradient(answer.derivative) and answer.shape:
            sizes = sizes_text(answer.derivative.expression.shape)
            return f"{sizes}, the shape of {pretty(answer.derivative.wrt[0].name)}"
        return sizes_text(answer.shape) + (f", {self.layout} layout" if answer.shape else "")

    def matrix_lines(self, answer: Answer) -> list[str]:
        """One answer, vectorised; with two matrices ∂vec(Y)/∂vec(X)ᵀ too; a gradient ready for a step."""
        lines = [f"{answer.label} = {answer.written.text}    {self.size_note(answer)}"]
        found = self.maps[answer]
        if found is not None:
            line = as_maps.line(self, answer, found)
            lines = [line] if as_maps.replaces(answer, found) else [*lines, line]
        cases = answer.derivative.cases
        if cases is not None:
            indent = " " * len(answer.label)
            lines += [f"{indent} {'=' if k == 0 else ' '} {line}" for k, line in enumerate(cases.lines)]
        if answer.written.vec is not None:
            inputs = [(target.name, len(target.shape)) for target in answer.derivative.wrt]
            label = to_text(vec_derivative((self.letter, self.formula.expr.rank), inputs))
            vec = to_text(answer.written.vec, self.formula.profile)
            lines.append(f"{label} = {vec}    columns stacked by vec")
        if answer.gradient is not None and not answer.is_same:
            name = pretty(answer.derivative.wrt[0].name)
            label = f"{answer.label} = " if answer.gradient.form == "index" else ""
            lines.append(f"gradient in the shape of {name}: {label}{answer.gradient.text}")
        return lines

    @cached_property
    def maps(self) -> dict[Answer, Written | None]:
        """Beside index forms that are long, the linear maps."""
        return {answer: as_maps.map_of(self, answer) for answer in self.answers}

    @cached_property
    def shown_where(self) -> Sequence[tuple[str, Presentation]]:
        """The names in the answers, as far as these are not told as maps alone."""
        alone = all(as_maps.replaces(answer, found) for answer, found in self.maps.items())
        return [] if alone else self.where

    @cached_property
    def unused(self) -> list[str]:
        """The abbreviations that a person gave and that stand nowhere in the answers."""
        names = {name for name, _ in self.where} if notated.has_matrix(self.written) else set()
        names |= notated.names_of(self.written)
        return [name for name in self.abbreviations if name not in names]

    def _explained(self, shown: list[str]) -> list[str]:
        """The lines of the answers, one for each function that no textbook has, what abbreviations needed."""
        lines = shown + [f"{row.name}: {row.says}" for row in self._unfamiliar()]
        lines += glosses(shown, self.formula.source) + self.commutations + self.rewritten + self.unneeded
        return lines + [line for sentence in self.conventions for line in wrapped(sentence.split(), gap=" ")]

    @property
    def commutations(self) -> list[str]:
        """A line for each size of a commutation matrix in the answers on stacked columns."""
        found: dict[str, None] = {}
        for answer, other in zip_longest(self.answers, self.written):
            vec = other.line.tree if isinstance(other, Written) else answer.written.vec
            sign = None if vec is None else commutation_in(vec)
            if sign is not None:
                target = answer.derivative.wrt[-1]
                by, sizes, k = pretty(target.name), sizes_text(target.shape), to_text(sign)
                found[f"{k}: the commutation matrix, {k} vec({by}) = vec({by}ᵀ) for {by} of {sizes}"] = None
        return list(found)

    @cached_property
    def conventions(self) -> list[str]:
        """What is said about the sets on which structured variables move."""
        return conventions(self.derivatives) if self.options.structured else []

    @property
    def unneeded(self) -> list[str]:
        """A line for each unused abbreviation."""
        return [f"the name {pretty(name)} does not occur in the answer" for name in self.unused]

    @property
    def rewritten(self) -> list[str]:
        """Under which masks a function stands as its branch, so that an abbreviation could be used."""
        names: dict[Expr, Expr] = {}
        if notated.has_matrix(self.written):
            names |= {part: Variable(name, part.shape) for name, part in self.names.items()}
        found = dict.fromkeys(masked for d in self.derivatives for masked in d.abbreviated.masked)
        shown = [masked.named(names) for masked in found]
        return [
            f"under the mask {self._present(s.mask).text}, {self._present(s.function).text} "
            f"is {self._present(s.branch).text}"
            for s in shown
        ]

    def _unfamiliar(self) -> list[Row]:
        """The functions in the answers that no textbook has."""
        nodes = topological([a.derivative.expression for a in self.answers])
        rows = dict.fromkeys(n.function for n in nodes if isinstance(n, Apply))
        return [row for row in rows if isinstance(row, Row) and row.name in UNFAMILIAR]

    def text(self, report: Report | str, point: Point | None) -> str:
        """The whole sheet as text."""
        lines = [*self.heading(), "", *self.answer_lines(), "", *self.remarks(), checked(report)]
        if point is not None:
            lines += ["", *self.point_lines(point)]
        return "\n".join(lines)

    def remarks(self) -> list[str]:
        """Where the answer does not hold, and what it takes for granted."""
        return [*map(str, self.kinks), *self.conditions]

    def point_lines(self, point: Point) -> list[str]:
        """The values at a point."""
        given = ", ".join(f"{name} = {_array_text(value)}" for name, value in point.given.items())
        lines = [f"at {given}", f"  {self.letter} = {_array_text(point.value)}"]
        lines += [f"  {a.label} = {_array_text(point.derivatives[a.derivative.names])}" for a in self.answers]
        return lines + [f"  {NO_VALUE}"] * point.undefined

    # ---------------------------------------------------------- LaTeX

    def equations(self) -> str:
        """The answers with their labels."""
        if self.written:
            rows = notated.equations(self, self.written)
        else:
            rows = []
            for a in self.answers:
                found = self.maps[a]
                alone = as_maps.replaces(a, found)
                rows += [] if alone else [f"{a.label_latex} &= {a.written.latex}"]
                rows += [] if found is None else [as_maps.equation(found)]
                rows += [] if a.derivative.cases is None else [f"&= {a.derivative.cases.latex}"]
            named = backward.latex_names(self)
            rows += [r"\text{where } " * (row is named[0]) + row for row in named]
        return rows[0].replace(" &", " ", 1) if len(rows) == 1 else _aligned(rows)

    def notebook(self, report: Report | str) -> str:
        """What a notebook shows: the answers and what the check found."""
        found = checked(report).replace("_", r"\_").replace("%", r"\%")
        return f"$\\displaystyle {self.equations()}$\n\n{found}"

    def markdown(self, report: Report | str, point: Point | None) -> str:
        """The whole sheet in markdown, with formulas in LaTeX."""
        rows = [
            f"| ${name_latex(v.name)}$ | {sizes_text(v.shape)} |" for v in self.formula.variables.values()
        ]
        lines = [
            f"$${self.letter_latex} = {self.written_formula.latex}$$",
            "",
            "| | shape |",
            "|---|---|",
            *rows,
            "",
            *(f"{sentence}\n" for sentence in self.formula.assumptions),
        ]
        if self.written:
            lines += notated.markdown(self, self.written)
        else:
            lines += [line for answer in self.answers for line in self.matrix_markdown(answer)]
            names = [row.replace(" &", " ", 1) for row in backward.latex_names(self)]
            lines += [line for name in names for line in (f"where ${name}$", "")]
        lines += [f"{sentence}\n" for sentence in self.conventions]
        lines += [f"{_sentence(told)}\n" for told in (*self.rewritten, *self.unneeded, *self.remarks())]
        lines.append(_sentence(checked(report)))
        if point is not None:
            lines += ["", "```", *self.point_lines(point), "```"]
        return "\n".join(lines)

    def matrix_markdown(self, answer: Answer) -> list[str]:
        """One answer, vectorised."""
        shape = sizes_text(answer.derivative.expression.shape if answer.shape is None else answer.shape)
        layout = f", {self.layout} layout" if answer.shape else ""
        lines = [f"$${answer.label_latex} = {answer.written.latex}$$", "", f"{shape}{layout}", ""]
        found = self.maps[answer]
        if found is not None:
            line = [f"$${found.latex}$$", "", notated.size_of(self, answer, found), ""]
            lines = line if as_maps.replaces(answer, found) else [*lines, *line]
        if answer.derivative.cases is not None:
            lines += [f"$${answer.label_latex} = {answer.derivative.cases.latex}$$", ""]
        if answer.gradient is not None:
            name = name_latex(answer.derivative.wrt[0].variables[0].name)
            lines += [f"Gradient in the shape of ${name}$:", "", f"$${answer.gradient.latex}$$", ""]
        return lines


def _is_part(node: Expr) -> bool:
    """Whether a reader would call it a part: a sum, a product, a function, not a sign or a number."""
    if not variables_of(node):
        return False
    if isinstance(node, Einsum) and len(node.operands) == 1:
        (axes,) = node.labels
        return node.output != axes and set(node.output) <= set(axes)
    if isinstance(node, Einsum):
        # x₁ and x[1:4] are parts; x at its place among zeros is not.
        placed = (axes[-1] for o, axes in zip(node.operands, node.labels, strict=True) if is_place(o))
        return not any(axis in node.output for axis in placed)
    return isinstance(node, Apply | Sum | Stack | Einsum)


def checked(report: Report | str) -> str:
    """What the check found, in a sentence."""
    return f"not checked: {report}" if isinstance(report, str) else str(report)


def _subscript(indices: Sequence[str]) -> str:
    return "_" + "".join(indices) if indices else ""


def _subscript_latex(indices: Sequence[str]) -> str:
    return f"_{{{' '.join(indices)}}}" if indices else ""


def _power(count: int) -> str:
    return str(count).translate(RAISED) if count > 1 else ""


def _aligned(rows: Sequence[str]) -> str:
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _array_text(value: Any) -> str:
    """A number, or an array: on one line if it is short, else as NumPy prints it."""
    import numpy as np

    array = np.asarray(value)
    if array.size <= ONE_LINE:
        return _nested(array)
    return "\n" + textwrap.indent(np.array2string(array, separator=", ", precision=8, threshold=200), "    ")


def _nested(array: Any) -> str:
    return f"{array:.10g}" if not array.ndim else "[" + ", ".join(map(_nested, array)) + "]"
