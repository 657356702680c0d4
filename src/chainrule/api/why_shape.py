"""Why a derivative has its shape: from the shapes of formula and variables, and from the layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainrule.api.answers import Said
from chainrule.api.layouts import is_gradient, is_turned, matrix_shape
from chainrule.api.products import refuse_products
from chainrule.errors import CheckFailed, DomainProblem
from chainrule.expr.dims import Dim
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Expr, Shape
from chainrule.notation.text import sizes_text
from chainrule.rules.unknown import unknown_in

if TYPE_CHECKING:
    from chainrule.api.derivative import Derivative
    from chainrule.api.printable import Printable
    from chainrule.verify.reference import Array

ENTRY = ("", "ⱼ", "ⱼₖ")


@dataclass(frozen=True)
class WhyShape:
    """The reasons, a list of sentences for each derivative."""

    reasons: tuple[tuple[str, ...], ...]
    said: Said

    def __str__(self) -> str:
        return self.said.text

    __repr__ = __str__


def why_shape(about: Printable) -> WhyShape:
    """Why each derivative has its shape; the shape of its array is compared at a random point.

    Raises: CheckFailed if an array has another shape than what is said.
    """
    refuse_products(about.options.times, "these reasons are")
    letter = about.sheet.letter
    lines: list[str] = []
    reasons: list[tuple[str, ...]] = []
    data = []
    for answer in about.sheet.answers:
        told = _Told(answer.derivative, letter, answer.label).sentences()
        reasons.append(tuple(told))
        lines += told
        data.append({"label": answer.label, "reasons": told})
    return WhyShape(tuple(reasons), Said("why this shape", tuple(lines), (), {"derivatives": data}))


class _Told:
    def __init__(self, derivative: Derivative, letter: str, label: str) -> None:
        self.derivative, self.letter, self.label = derivative, letter, label
        self.output = derivative.formula.expr.shape
        self.inputs = [(target.name, target.shape) for target in derivative.wrt]

    def sentences(self) -> list[str]:
        return [self.counted(), *self.laid_out(), self.measured()]

    def counted(self) -> str:
        """How many derivatives there are, and in which axes they stand."""
        whole = f"{self.letter} is {_kind(self.output)}"
        parts = [f"{pretty(name)} is {_kind(shape)}" for name, shape in dict(self.inputs).items()]
        said = f"{', '.join([whole, *parts[:-1]])} and {parts[-1]}"
        array = self.derivative.expression.shape
        if not array:
            return f"{said}: a number differentiated by numbers is a number, so {self.label} has no axes."
        of = f"each entry of {self.letter}" if self.output else self.letter
        by = [f"each entry of {pretty(name)}" if shape else pretty(name) for name, shape in self.inputs]
        again = "".join(f", and of that by {each}" for each in by[1:])
        return (
            f"{said}, and {self.label} has the derivative of {of} by {by[0]}{again}: {_count(array)}. "
            f"The axes of the array are {self.axes()}."
        )

    def axes(self) -> str:
        """N × n, with whose they are."""
        groups = [(self.letter, self.output), *self.inputs]
        return ", then ".join(f"{sizes_text(s)} (of {pretty(name)})" for name, s in groups if s)

    def laid_out(self) -> list[str]:
        """What the layout makes of the axes."""
        derivative = self.derivative
        array, layout = derivative.expression.shape, derivative.layout
        if not array:
            return []
        if len(array) > 2:
            text = (
                f"A layout has rows and columns only, and these are {len(array)} axes: the array is of order "
                f"{len(array)}, and is written by its entries."
            )
            return [text, *self.stacked()]
        shape = matrix_shape(derivative, layout)
        assert shape is not None
        sizes, turned = sizes_text(shape), is_turned(derivative, layout)
        name = pretty(derivative.wrt[-1].name)
        if is_gradient(derivative):
            return [self.gradient(sizes, name)]
        if derivative.order > 1 and derivative.kind == "Hessian" and len(set(derivative.names)) == 1:
            return [f"It is {sizes}, and symmetric where it is continuous: both layouts agree."]
        if len(array) == 1:
            column = "a column" if not turned else "a row"
            return [f"The {layout} layout writes its one axis as {column}, {sizes}."]
        rows, columns = ("rows", "columns") if not turned else ("columns", "rows")
        first = self.letter if self.output else pretty(derivative.wrt[0].name)
        text = f"The {layout} layout gives the {rows} to {first} and the {columns} to {name}: {sizes}."
        if self.output and derivative.order == 1 and not turned:
            text += f" So d{self.letter} = ({self.label}) d{name} is a matrix times a column."
        return [text]

    def gradient(self, sizes: str, name: str) -> str:
        """A row, a column, or the shape of the variable."""
        derivative = self.derivative
        rank = len(derivative.wrt[0].shape)
        letter = self.letter
        match derivative.layout:
            case "numerator" if rank == 1:
                return (
                    f"The numerator layout gives the rows to {letter}, which has one, and the columns to "
                    f"{name}: a row, {sizes}. So d{letter} = ({self.label}) d{name} is a row times a column."
                )
            case "numerator":
                return (
                    f"The numerator layout puts the axes of {name} in the other order, {sizes}, so that "
                    f"d{letter} = tr(({self.label}) d{name})."
                )
            case "denominator" if rank == 1:
                return (
                    f"The denominator layout gives the rows to {name} and the columns to {letter}, which has "
                    f"one: a column, {sizes}."
                )
            case layout:
                return (
                    f"The {layout} layout keeps the shape of {name}, so that {name} − η {self.label} is a "
                    "step of gradient descent."
                )

    def stacked(self) -> list[str]:
        """The order as a matrix with stacked axes, where output and input have at most two axes each."""
        derivative = self.derivative
        if derivative.order > 2 or (derivative.order > 1 and self.output):
            return []
        groups = [self.output] if self.output else []
        groups += [shape for _, shape in self.inputs]
        if len(groups) != 2 or any(len(shape) > 2 for shape in groups):
            return []
        rows, columns = (_product(shape) for shape in groups)
        return [f"With columns stacked by vec it is a matrix of {rows} × {columns}."]

    def measured(self) -> str:
        """The shape of the array at a random point."""
        import numpy as np

        from chainrule.verify.reference import known_sizes, run
        from chainrule.verify.sample import sample_point

        derivative = self.derivative
        expression = derivative.expression
        variables = list(derivative.formula.variables.values())
        try:
            point = sample_point([expression], variables, np.random.default_rng(0))
        except DomainProblem as problem:
            return f"not checked: {problem.message}"
        if unknown_in(expression):
            memo: dict[Expr, Array] = {}
            run([expression], point.values, point.sizes, memo)
            found = np.shape(memo[expression])
        else:
            code = derivative.compile()
            sizes = {k: n for k, n in point.sizes.items() if k in code.sizes}
            found = np.shape(code(**point.values, **sizes))
        sizes = {**known_sizes([expression], point.values, point.sizes)}
        wanted = tuple(dim.evaluate(sizes) for dim in expression.shape)
        if found != wanted:
            raise CheckFailed(f"{self.label} has the shape {found}, not {wanted}")
        named = ", ".join(f"{name} = {size}" for name, size in point.sizes.items())
        return f"checked: {f'with {named} ' if named else ''}its array has the shape {_tuple(found)}"


def _kind(shape: Shape) -> str:
    match len(shape):
        case 0:
            return "a number"
        case 1:
            return f"a vector of {shape[0]}"
        case 2:
            return f"a matrix of {sizes_text(shape)}"
        case _:
            return f"an array of {sizes_text(shape)}"


def _count(shape: Shape) -> str:
    total = _product(shape)
    return f"{total} numbers" if total != "1" else "one number"


def _product(shape: Sequence[Dim]) -> str:
    numbers = 1
    names: list[str] = []
    for dim in shape:
        if dim.constant is not None:
            numbers *= dim.constant
        else:
            names.append(str(dim) if dim.name else f"({dim})")
    parts = ([str(numbers)] if numbers != 1 or not names else []) + names
    return "·".join(parts)


def _tuple(shape: tuple[int, ...]) -> str:
    return "()" if not shape else str(shape)
