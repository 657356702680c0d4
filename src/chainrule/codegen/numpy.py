"""NumPy source: np. and special. in front, assignments to parts of arrays, helper functions above."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from chainrule.codegen.blocks import Body
from chainrule.codegen.chains import in_chains
from chainrule.codegen.helpers import BEHIND
from chainrule.codegen.passes import for_blas
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Op
from chainrule.codegen.rows import LARGEST, in_rows
from chainrule.codegen.statements import on_diagonal
from chainrule.codegen.vocabulary import (
    ATOM,
    COMPARE,
    LETTERS,
    PLUS,
    POWER,
    REDUCTIONS,
    SIGN,
    TIMES,
    Text,
    Vocabulary,
    as_float,
    axis_option,
)
from chainrule.expr.dims import Dim
from chainrule.rules.table import Row

# Operations whose result is a new array without gaps, in whatever order of its axes.
ALLOCATED = frozenset({"add", "sub", "mul", "div", "neg", "cast", "pow", "sqrt", "matmul", "outer", "add_at"})


class NumPy(Vocabulary):
    """NumPy source, or that of a library with its functions, called `xp`."""

    assigns = True
    xp = "np"
    vecdot = "vecdot"
    block = 2**18  # entries of the widest array that is made of a block of rows
    sums_naively = True  # along axes that are not the last: one entry after another
    behind = BEHIND

    @classmethod
    def prepared(
        cls, program: Program, structures: Mapping[str, Sequence[str]], sizes: Mapping[str, int]
    ) -> Program:
        program = for_blas(program, structures, sizes, cls.block)
        return in_chains(in_rows(program, sizes), sizes)

    def imports(self, written: str) -> list[str]:
        used = [name for name in ("linalg", "special") if mentions(written, name)]
        return ["import numpy as np", *([f"from scipy import {', '.join(used)}"] if used else [])]

    def code(self, row: Row) -> str:
        """The template of a row."""
        return row.code

    def new(self, function: str, arguments: str) -> str:
        """A call that makes an array of numbers: zeros, ones, full, eye."""
        return f"{self.xp}.{function}({arguments})"

    def _named(self, op: Op) -> Text:
        return Text(self.code(op.data[0]))

    def _number(self, op: Op) -> Text:
        value: Fraction = op.data[0]
        if max(abs(value.numerator), value.denominator) < 2**63:
            return super()._number(op)
        # Beyond 64 bits NumPy has no integer for it.
        text = repr(as_float(value)).replace("inf", f"{self.xp}.inf")
        return Text(text, ATOM if value >= 0 else SIGN)

    def _cast(self, op: Op, a: Text) -> Text:
        return Text(f"1.0 * {a.at(TIMES + 1)}", TIMES)

    def _neg(self, op: Op, a: Text) -> Text:
        first = op.args[0]
        if first.kind == "matmul" and _is_gram(*first.args):
            return Text(f"-({a.text})", SIGN)
        while first.kind in ("mul", "div", "matmul", "cast"):
            first = first.args[0]
        # The sign binds to the first factor, which may be larger than all; NumPy has no minus for bool.
        whole = first.boolean or (a.level == TIMES and first.rank > op.rank)
        return Text(f"-({a.text})", SIGN) if whole else super()._neg(op, a)

    def _sqrt(self, op: Op, a: Text) -> Text:
        return Text(f"{self.xp}.sqrt({a.text})")

    def _permute(self, op: Op, a: Text) -> Text:
        order = op.data[0]
        if order == tuple(reversed(range(len(order)))):
            return Text(f"{a.at(ATOM)}.T")
        return Text(f"{self.xp}.transpose({a.text}, {order})")

    def _sum(self, op: Op, a: Text) -> Text:
        axes = op.data[0]
        if len(axes) == op.args[0].rank:
            # A method costs half of what the function costs, which finds it.
            return Text(f"{a.text}.sum()" if a.text.isidentifier() else f"{self.xp}.sum({a.text})")
        axis = axes[0] if len(axes) == 1 else axes
        shape = op.args[0].shape
        naive = self.sums_naively and len(shape) - 1 not in axes
        if naive and self.sums_are_long and any(shape[k].names for k in axes):
            self.helpers["sum_along"] = None
            return Text(f"sum_along({a.text}, {axis})")
        return Text(f"{self.xp}.sum({a.text}, axis={axis})")

    def _einsum(self, op: Op, *args: Text) -> Text:
        spec = self.spec(op)
        if spec == "ii->i":
            return Text(f"{self.xp}.diagonal({args[0].text})")
        if is_rows_by_rows(op):
            return Text(f"{self.xp}.{self.vecdot}({args[0].text}, {args[1].text})")
        return Text(f"{self.xp}.einsum('{spec}', {', '.join(a.text for a in args)})")

    def _outer(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{self.xp}.outer({a.text}, {b.text})")

    def _kron(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{self.xp}.kron({a.text}, {b.text})")

    def _trace(self, op: Op, a: Text) -> Text:
        return Text(f"{self.xp}.trace({a.text})")

    def _tensordot(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{self.xp}.tensordot({a.text}, {b.text}, {op.data[0]})")

    def _reshape(self, op: Op, a: Text) -> Text:
        dims = ", ".join(self.dim(d).text for d in op.shape)
        return Text(f"{a.at(ATOM)}.reshape({dims})")

    def _fill(self, op: Op, a: Text) -> Text:
        axes, shape = op.data
        source = op.args[0]
        if not axes:
            if source.kind == "number" and source.data[0] in (0, 1):
                return Text(self.new("ones" if source.data[0] else "zeros", self.full(shape)))
            return Text(self.filled(self.full(shape), a, source))
        first = axes[0]
        pattern = [":" if k in axes else "None" for k in range(first, len(shape))]
        view = a.text if all(p == ":" for p in pattern) else f"{a.at(ATOM)}[{', '.join(pattern)}]"
        return Text(self.repeated(view, shape))

    def filled(self, shape: str, a: Text, source: Op) -> str:
        """An array of equal entries; NumPy would make integers of a whole number."""
        return f"{self.xp}.full({shape}, {a.text}{', float' if is_closed(source) else ''})"

    def repeated(self, view: str, shape: Sequence[Dim]) -> str:
        """An array repeated along axes, with memory of its own."""
        return f"{self.xp}.broadcast_to({view}, {self.full(shape)}).copy()"

    def _solve(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"{self.xp}.linalg.solve({a.text}, {b.text})")

    def _cholesky_factor(self, op: Op, a: Text) -> Text:
        name = f", {op.data[0]!r}" if op.data else ""
        return self.own("cholesky_factor", Text(a.text + name))

    def _lu_factor(self, op: Op, a: Text) -> Text:
        return self.own("lu_factor", a)

    def _inv_from(self, op: Op, factor: Text) -> Text:
        return self.from_factor("inv", op, factor)

    def _solve_from(self, op: Op, factor: Text, b: Text) -> Text:
        trans = [Text("trans=0")] if len(op.data) > 1 else []
        return self.from_factor("solve", op, factor, b, *trans)

    def _logdet_from(self, op: Op, factor: Text) -> Text:
        return self.from_factor("logdet", op, factor)

    def _det_from(self, op: Op, factor: Text) -> Text:
        return self.from_factor("det", op, factor)

    def from_factor(self, use: str, op: Op, *args: Text) -> Text:
        """A call of the helper that takes the factor that there is."""
        method = op.data[0].removesuffix("_factor")
        self.helpers[f"{method}_{use}"] = None
        return Text(f"{use}_by_{method}({', '.join(a.text for a in args)})")

    def _weighted_gram(self, op: Op, X: Text, w: Text) -> Text:
        return self.own("weighted_gram", X, w)

    def _ones_like(self, op: Op, a: Text) -> Text:
        return Text(f"np.ones_like({a.text})")

    def _add_outer(self, op: Op, H: Text, a: Text, b: Text) -> Text:
        return self.own("add_outer", H, a, b)

    def own(self, name: str, *args: Text) -> Text:
        """A call of a helper function."""
        self.helpers[name] = None
        return Text(f"{name}({', '.join(a.text for a in args)})")

    def _active(self, op: Op, mask: Text) -> Text:
        return Text(f"np.flatnonzero({mask.text})")

    def _taken(self, op: Op, a: Text, index: Text) -> Text:
        axis = op.data[0]
        return Text(f"{a.at(ATOM)}[{index.text}]" if not axis else f"{a.at(ATOM)}[:, {index.text}]")

    def _adjugate(self, op: Op, a: Text) -> Text:
        self.helpers["adjugate"] = None
        return Text(f"adjugate({a.text})")

    def _constant(self, op: Op) -> Text:
        row, *parameters = op.data
        if row.name == "merge":
            sizes = ", ".join(self.dim(d).text for d in parameters)
            every = " * ".join(self.dim(d).at(TIMES + 1) for d in parameters)
            return Text(f"{self.new('eye', every)}.reshape(-1, {sizes})")
        return self.fill_template(self.code(row), (), parameters)

    def row_numbers(self, op: Op, ids: Text) -> str:
        whole = op.kind == "stack" or not is_closed(op)
        return ids.text if whole else f"{ids.at(ATOM)}.astype(int)"

    def _scatter_rows(self, op: Op, rows: Text, ids: Text) -> Text:
        self.helpers["scatter_rows"] = None
        places = self.row_numbers(op.args[1], ids)
        return Text(f"scatter_rows({rows.text}, {places}, {self.dim(op.data[0]).text})")

    def _windows(self, op: Op, a: Text) -> Text:
        return self.helped("windows", op, a, 1)

    def _overlap_add(self, op: Op, a: Text) -> Text:
        return self.helped("overlap_add", op, a, 5)

    def helped(self, name: str, op: Op, a: Text, first: int) -> Text:
        """A call of a helper with a tuple for each parameter of the windows, one entry for each axis."""
        self.helpers[name] = None
        rows = [self.shape([Dim.of(spec[k]) for spec in op.data]) for k in (first, 2, 3, 4)]
        return Text(f"{name}({a.text}, {', '.join(rows)})")

    def _stack(self, op: Op, *args: Text) -> Text:
        head = f"{self.xp}.array("
        entries = [
            a.text[len(head) : -1] if inner.kind == "stack" and a.text.startswith(head) else a.text
            for inner, a in zip(op.args, args, strict=True)
        ]
        return Text(f"{head}[{', '.join(entries)}])")

    def _call(self, op: Op, *args: Text) -> Text:
        row, *parameters = op.data
        if row.name in REDUCTIONS:
            return Text(f"{self.xp}.{REDUCTIONS[row.name]}({args[0].text}{axis_option(op, op.data[1])})")
        if row.name in self.behind:
            self.helpers[row.name] = None
        if getattr(row, "indicator", False) and row.text.startswith("(#1 "):
            operator = row.text[1:-1].split(" ")[1]
            return Text(f"{args[0].at(PLUS)} {operator} {args[1].at(PLUS)}", COMPARE)
        if row.name == "power":
            return Text(f"{args[0].at(ATOM)}**{args[1].at(SIGN)}", POWER)
        return self.fill_template(self.code(row), args, parameters)

    def _scatter(self, op: Op, a: Text) -> Text:
        """diag(v) or c * np.eye(n); others are assignments."""
        labels, _, shape = op.data
        if labels and self.assigns:
            return self.own("diag", a)
        if labels:
            return Text(f"{self.xp}.diag({a.text})")
        source = op.args[0]
        eye = self.new("eye", self.dim(shape[0]).text)
        return (
            Text(eye)
            if source.kind == "number" and source.data[0] == 1
            else Text(f"{a.at(TIMES)} * {eye}", TIMES)
        )

    def assignments(self, op: Op, args: Sequence[Text], target: str, shared: bool) -> list[str]:
        lines: list[str] = []
        if op.kind == "scatter":
            labels, places, shape = op.data
            value, sign, dense = args[0], 0, True
            lines.append(f"{target} = {self.new('zeros', self.full(shape))}")
        else:
            labels, places, shape, sign = op.data
            value = args[1]
            base = op.args[0]
            while base.kind in ("permute", "reshape"):
                base = base.args[0]
            copied = shared or base.kind in ("input", "slice", "einsum")
            dense = copied or base.kind in ALLOCATED
            if args[0].text != target:
                lines.append(f"{target} = {args[0].at(ATOM) + '.copy()' if copied else args[0].text}")
        view = target + self.index([place.index for place in places], shape)
        order = [place.label for place in places if place.label is not None]
        every = list(dict.fromkeys(order))
        pattern = ["None" if label not in labels else ":" for label in every]
        first = pattern.index(":") if ":" in pattern else len(pattern)
        text = value.text
        if labels and "None" in pattern[first:]:
            text = f"{value.at(ATOM)}[{', '.join(pattern[first:])}]"
        if dense and on_diagonal(places):
            view = f"{target}.ravel('K')[::len({target}) + 1]"
        elif len(every) < len(order):
            letters = {label: LETTERS[k] for k, label in enumerate(every)}
            spec = f"{''.join(letters[k] for k in order)}->{''.join(letters[k] for k in every)}"
            view = f"{self.xp}.einsum('{spec}', {view})[...]"
        elif view == target:
            view += "[...]"
        lines.append(f"{view} {('=', '+=', '-=')[sign]} {text}")
        return lines

    def _matmul(self, op: Op, a: Text, b: Text) -> Text:
        if op in self.row_products:
            return Text(f"{self.row_products[op]}({a.text}, {b.text})")
        return super()._matmul(op, a, b)

    def reading(self, body: Body, matrix: str, far: str, times: str) -> list[str]:
        """How rows are multiplied by a vector: one by one where they come from memory, which reads faster."""
        self.row_products |= dict.fromkeys(body.products, times)
        width = self.dim(body.matrix.shape[1]).at(COMPARE + 1)
        one_by_one = f"{far} and {matrix}.flags.c_contiguous and 32 <= {width} < 2000"
        return [
            f"{far} = {matrix}.nbytes > 2**24  # more than a cache keeps",
            f"{times} = {self.xp}.vecdot if {one_by_one} else {self.xp}.matmul",
        ]

    def rows(self, body: Body, matrix: str, far: str) -> str:
        """As many rows as stay in cache, and so many that adding up the sums of the blocks costs little."""
        if far and body.narrow and not body.totals:
            width = self.dim(body.matrix.shape[1]).text
            return f"max(64, 2**18 // max(16, {width}) if {far} else 2**20 // max(64, {width}))"
        if body.widths == (Dim.of(1),):
            sizes = ["2**18", *(f"2*{self.dim(total).at(TIMES + 1)}" for total in body.totals)]
        else:
            width = f"max({', '.join(['16', *(self.dim(d).text for d in body.widths)])})"
            sizes = [f"2**18 // {width}"]
            for total in body.totals:
                divided = "" if len(body.widths) == 1 else f" // {width}"
                sizes.append(f"2*{self.dim(total).at(TIMES + 1)}{divided}")
        return f"max({', '.join(['64', *sizes])})"

    def joined(self, body: Body, function: str, sources: Sequence[str], targets: Mapping[int, str]) -> str:
        self.helpers["in_rows"] = None
        width = f"max({', '.join(['1', *(self.dim(d).text for d in body.widths)])})"
        places = ", ".join(f"{k}: {targets.get(k)}" for k in sorted(body.joined))
        return f"in_rows({function}, max(1, 2**{LARGEST} // {width}), {{{places}}}, {', '.join(sources)})"

    def sums(self, function: str, rows: str, sources: Sequence[str], grams: Sequence[int]) -> str:
        self.helpers["in_blocks"] = None
        return f"in_blocks({function}, {rows}, {', '.join(sources)})"

    def define(self, function: str, parameters: Sequence[str], body: Sequence[str]) -> None:
        head = f"def {function}({', '.join(parameters)}):"
        text = "\n    ".join([head, '"""A part of the arrays, entry by entry."""', *body])
        self.behind = {**self.behind, function: (text + "\n",)}
        self.helpers[function] = None

    def in_parts(self, function: str, cut: Sequence[str], whole: Sequence[str]) -> str:
        self.helpers["in_parts"] = None
        behind = f", [{', '.join(whole)}]" if whole else ""
        return f"in_parts({function}, [{', '.join(cut)}]{behind})"


class LowMemory(NumPy):
    """NumPy source with small blocks, and sums of ZᵀZ in one array."""

    block = 0

    def rows(self, body: Body, matrix: str, far: str) -> str:
        return "128"

    def factor(self, op: Op) -> Op | None:
        return op.args[1] if op.kind == "matmul" and _is_gram(*op.args) and op.args[1].rank == 2 else None

    def sums(self, function: str, rows: str, sources: Sequence[str], grams: Sequence[int]) -> str:
        if not grams:
            return super().sums(function, rows, sources, grams)
        self.helpers["grams_in_blocks"] = None
        return f"grams_in_blocks({function}, {rows}, {set(grams)}, {', '.join(sources)})"


def mentions(written: str, module: str) -> bool:
    """Whether a source calls something of a module by that name."""
    return re.search(rf"(?<![\w.]){module}\.", written) is not None


def is_closed(op: Op) -> bool:
    """Whether no array goes into an operation."""
    pending = [op]
    while pending:
        op = pending.pop()
        if op.kind == "input":
            return False
        pending.extend(op.args)
    return True


def _is_gram(a: Op, b: Op) -> bool:
    """Whether a matrix meets its own transpose, which NumPy sees only where nothing stands between them."""
    return (a.kind == "permute" and a.args[0] is b) or (b.kind == "permute" and b.args[0] is a)


def is_rows_by_rows(op: Op) -> bool:
    """Whether a contraction is the inner product of each row with a row of another array."""
    if len(op.args) != 2:
        return False
    (labels, kept), first, second = op.data
    return bool(first == second and labels[:first] == labels[first:] and kept == labels[: first - 1])
