"""What all ways of writing a program share: one operation as text, given the texts of its arguments.

In: an Op and a Text for each argument. Out: a Text, which knows how tightly its outermost operator binds.
Each way of writing (numpy.py, formula.py) is a Vocabulary with a method for each kind of Op.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from chainrule.codegen.blocks import Body
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Op, is_decimal, is_long
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable

ATOM, POWER, SIGN, TIMES, PLUS, COMPARE, CHOICE = 100, 90, 80, 70, 60, 40, 20
LETTERS = "ijklmnopqrstuvwxyzabcdefghIJKLMNOPQRSTUVWXYZABCDEFGH"
# Rows that are one call of NumPy, along the last axes.
REDUCTIONS = {"amax": "max", "amin": "min", "prod": "prod"}


@dataclass(frozen=True, slots=True)
class Text:
    """An expression as text, and how tightly its outermost operator binds."""

    text: str
    level: int = ATOM

    def at(self, level: int) -> str:
        """With brackets unless it binds at least as tightly as `level`."""
        return self.text if self.level >= level else f"({self.text})"


class Vocabulary(ABC):
    """Writes one operation, given the text of its arguments."""

    # Whether parts of arrays are assigned to, whether a cast is never written, and what makes a result that
    # shares memory with others stand alone.
    assigns = False
    casts_freely = False
    copy = ".copy()"
    behind: Mapping[str, tuple[str, ...]] = {}  # the helper functions, by the row that needs them

    def __init__(self, names: Mapping[str, str], dims: Mapping[str, str]) -> None:
        self.names, self.dims = names, dims
        self.helpers: dict[str, None] = {}
        self.mentioned: dict[str, None] = {}
        self.sums_are_long = True  # not those over a block of rows
        self.row_products: dict[Op, str] = {}  # products that a function makes, and its name

    def write(self, op: Op, args: Sequence[Text]) -> Text:
        return getattr(self, f"_{op.kind}")(op, *args)  # type: ignore[no-any-return]

    # ---- numbers and sizes

    def dim(self, dim: Dim) -> Text:
        """A size, with powers and products as Python writes them."""
        if dim.constant is not None:
            return Text(str(dim.constant))
        self.mentioned.update(dict.fromkeys(dim.names))
        text = ""
        for monomial, count in sorted(dim.terms, key=lambda t: (-sum(e for _, e in t[0]), t[0])):
            factors = [self.dims[n] if e == 1 else f"{self.dims[n]}**{e}" for n, e in monomial]
            if abs(count) != 1 or not factors:
                factors.insert(0, str(abs(count)))
            sign = ("-" if count < 0 else "") if not text else (" - " if count < 0 else " + ")
            text += sign + "*".join(factors)
        if dim.name is not None:
            return Text(text)
        return Text(text, PLUS if len(dim.terms) > 1 or text.startswith("-") else TIMES)

    def shape(self, dims: Sequence[Dim]) -> str:
        texts = [self.dim(d).text for d in dims]
        return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"

    def full(self, shape: Sequence[Dim]) -> str:
        return self.dim(shape[0]).text if len(shape) == 1 else self.shape(shape)

    def _input(self, op: Op) -> Text:
        return Text(self.names[op.data[0]])

    def _number(self, op: Op) -> Text:
        value: Fraction = op.data[0]
        if value.denominator == 1:
            return Text(str(value.numerator), ATOM if value >= 0 else SIGN)
        decimal = _decimal(value)
        if decimal is not None:
            return Text(decimal, ATOM if value >= 0 else SIGN)
        return Text(f"{value.numerator} / {value.denominator}", TIMES)

    def _size(self, op: Op) -> Text:
        return self.dim(op.data[0])

    @abstractmethod
    def _named(self, op: Op) -> Text: ...

    # ---- arithmetic

    def _add(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(PLUS)} + {b.at(PLUS + 1)}", PLUS)

    def _sub(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(PLUS)} - {b.at(PLUS + 1)}", PLUS)

    def _mul(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(TIMES)} * {b.at(TIMES + 1)}", TIMES)

    def _div(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(TIMES)} / {b.at(TIMES + 1)}", TIMES)

    def _matmul(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{a.at(TIMES)} @ {b.at(TIMES + 1)}", TIMES)

    def _neg(self, op: Op, a: Text) -> Text:
        return Text(f"-{a.at(TIMES)}", TIMES if a.level == TIMES else SIGN)

    def _pow(self, op: Op, a: Text, exponent: Text) -> Text:
        return Text(f"{a.at(ATOM)}**{exponent.at(SIGN)}", POWER)

    @abstractmethod
    def _cast(self, op: Op, a: Text) -> Text: ...

    # ---- axes

    def _expand(self, op: Op, a: Text) -> Text:
        return Text(f"{a.at(ATOM)}[{', '.join(':' if keep else 'None' for keep in op.data[0])}]")

    def _slice(self, op: Op, a: Text) -> Text:
        return Text(a.at(ATOM) + self.index(op.data, op.args[0].shape))

    def index(self, parts: Sequence[tuple[Any, ...]], shape: Sequence[Dim]) -> str:
        """[1:3, 0, ::2]; axes at the end that are taken whole are left out."""
        texts = []
        for part, size in zip(parts, shape, strict=True):
            if part[0] == "all":
                texts.append(":")
            elif part[0] == "at":
                texts.append(self.position(part[1], size))
            else:
                texts.append(self.range(part[1], part[2], part[3], size))
        while texts and texts[-1] == ":":
            texts.pop()
        return f"[{', '.join(texts)}]" if texts else ""

    def position(self, index: Dim, size: Dim) -> str:
        """An index, from the end (-1) where that needs no size."""
        behind = (index - size).constant
        return str(behind) if behind is not None and index.constant is None else self.dim(index).text

    def range(self, start: Dim, step: int, count: Dim, size: Dim) -> str:
        """start:stop:step for `count` entries of an axis."""
        last = start + Dim.of(step) * (count - Dim.of(1))
        first = self.position(start, size)
        if step < 0:
            stop = last - Dim.of(1)
            # Counting down to the first entry has no stop: -1 would mean the last.
            text = "" if stop.constant == -1 else self.position(stop, size)
            return f"{'' if start + Dim.of(1) == size else first}:{text}:{step}"
        end = last + Dim.of(1)
        beyond = (last + Dim.of(step) - size).constant
        whole = end == size or (beyond is not None and beyond >= 0)
        text = f"{first if start.terms else ''}:{'' if whole else self.position(end, size)}"
        return text if step == 1 else f"{text}:{step}"

    def spec(self, op: Op) -> str:
        """The letters of a contraction, such as ij,jk->ik."""
        labels, kept = op.data[0]
        counts = op.data[1:]
        text, k = [], 0
        for count in counts:
            text.append("".join(LETTERS[a] for a in labels[k : k + count]))
            k += count
        return f"{','.join(text)}->{''.join(LETTERS[a] for a in kept)}"

    def _take(self, op: Op, a: Text, ids: Text) -> Text:
        return Text(f"{a.at(ATOM)}[{self.row_numbers(op.args[1], ids)}]")

    def row_numbers(self, op: Op, ids: Text) -> str:
        """Indices; those that are written in the formula become whole numbers where they are not."""
        return ids.text

    @classmethod
    def prepared(
        cls, program: Program, structures: Mapping[str, Sequence[str]], sizes: Mapping[str, int]
    ) -> Program:
        """The program after the passes for this way of writing; `sizes` are those that it is written for."""
        return program

    def imports(self, written: str) -> list[str]:
        """The statements that import what a source mentions."""
        return []

    def first_lines(self, arrays: Sequence[tuple[str, Variable]], written: str) -> list[str]:
        """Statements in front of all others, by the arrays that are given and by what follows."""
        return []

    def reading(self, body: Body, matrix: str, far: str, times: str) -> list[str]:
        """Statements that decide how the products of a body read its matrix, if a cache does not hold it."""
        raise AssertionError(f"{type(self).__name__} has no blocks")

    def rows(self, body: Body, matrix: str, far: str) -> str:
        """How many rows a block has; `far` says, where it is not empty, whether no cache holds the matrix."""
        raise AssertionError(f"{type(self).__name__} has no blocks")

    def factor(self, op: Op) -> Op | None:
        """Z where the sums of ZᵀZ over blocks are made from Z."""
        return None

    def sums(self, function: str, rows: str, sources: Sequence[str], grams: Sequence[int]) -> str:
        """The call that adds up what a function gives for all blocks; for `grams` it gives Z for ZᵀZ."""
        raise AssertionError(f"{type(self).__name__} has no blocks")

    def joined(self, body: Body, function: str, sources: Sequence[str], targets: Mapping[int, str]) -> str:
        """The call that joins rows of results, in the arrays that are there for some, and adds up others."""
        raise AssertionError(f"{type(self).__name__} has no blocks")

    def define(self, function: str, parameters: Sequence[str], body: Sequence[str]) -> None:
        """A function of a part of the arrays, above the source."""
        raise AssertionError(f"{type(self).__name__} has no parts")

    def in_parts(self, function: str, cut: Sequence[str], whole: Sequence[str]) -> str:
        """The call of such a function for all parts of the arrays `cut`."""
        raise AssertionError(f"{type(self).__name__} has no parts")

    def assignments(self, op: Op, args: Sequence[Text], target: str, shared: bool) -> list[str]:
        """Statements that make `target`: zeros, or an array to write into, copied if `shared`; then parts."""
        raise AssertionError(f"{type(self).__name__} writes no parts of arrays")

    @abstractmethod
    def _call(self, op: Op, *args: Text) -> Text: ...

    def fill_template(self, template: str, args: Sequence[Text], parameters: Sequence[Any]) -> Text:
        """A row's template with #1 for arguments and $1 for parameters, brackets where they are needed."""
        function = _is_call(template)
        text = template
        for k, parameter in enumerate(parameters, 1):
            written = self.dim(parameter).at(POWER) if isinstance(parameter, Dim) else str(parameter)
            text = text.replace(f"${k}", written)
        # Arguments last: their text may hold the marks of no template.
        parts = []
        k = 0
        while k < len(text):
            if text[k] == "#":
                argument = args[int(text[k + 1]) - 1]
                parts.append(argument.text if function and text[k - 1] in "( " else argument.at(ATOM))
                k += 2
            else:
                parts.append(text[k])
                k += 1
        return Text(
            "".join(parts), ATOM if function or (text.startswith("(") and text.endswith(")")) else COMPARE
        )


def _is_call(template: str) -> bool:
    """Whether a template is one call f(...)."""
    head, _, _ = template.partition("(")
    return bool(head) and all(c.isalnum() or c in "._" for c in head) and template.endswith(")")


def _decimal(value: Fraction) -> str | None:
    """The decimal of a fraction that has a short one, or that was typed with many digits."""
    if is_long(value) and is_decimal(value):
        text = repr(as_float(value))
        return text if "e" not in text and "inf" not in text else None
    if value.denominator > 10**6 or 10**6 % value.denominator:
        return None
    text = repr(float(value))
    return text if Fraction(text) == value and "e" not in text else None


def as_float(value: Fraction) -> float:
    """The nearest float; infinity beyond its range."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def axis_option(op: Op, core: int) -> str:
    """The option for the last `core` axes; nothing where those are all."""
    rank = op.args[0].rank
    axes = tuple(range(rank - core, rank))
    return "" if core == rank else f", axis={axes[0] if core == 1 else axes}"
