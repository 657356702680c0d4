"""Formulas in chainrule's NumPy dialect: only what the parser reads back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.codegen.plan import make_plan
from chainrule.codegen.program import Op, dims_in
from chainrule.codegen.statements import Writer
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
    axis_option,
)
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr
from chainrule.expr.walk import variables as variables_of
from chainrule.rules.table import ROWS, Row
from chainrule.rules.unknown import Unknown, unknown_in


class Formula(Vocabulary):
    """chainrule's NumPy dialect."""

    casts_freely = True

    def _named(self, op: Op) -> Text:
        return Text(op.data[0].text)

    def _cast(self, op: Op, a: Text) -> Text:
        return a

    def _sqrt(self, op: Op, a: Text) -> Text:
        return Text(f"sqrt({a.text})")

    def _permute(self, op: Op, a: Text) -> Text:
        order = op.data[0]
        if order == tuple(reversed(range(len(order)))):
            return Text(f"{a.at(ATOM)}.T")
        letters = LETTERS[: len(order)]
        return Text(f"einsum('{letters}->{''.join(letters[k] for k in order)}', {a.text})")

    def _sum(self, op: Op, a: Text) -> Text:
        axes = op.data[0]
        if len(axes) == op.args[0].rank:
            return Text(f"sum({a.text})")
        if len(axes) == 1:
            return Text(f"sum({a.text}, axis={axes[0]})")
        letters = LETTERS[: op.args[0].rank]
        kept = "".join(c for k, c in enumerate(letters) if k not in axes)
        return Text(f"einsum('{letters}->{kept}', {a.text})")

    def _einsum(self, op: Op, *args: Text) -> Text:
        spec = self.spec(op)
        if spec == "ii->i":
            return Text(f"diag({args[0].text})")
        return Text(f"einsum('{spec}', {', '.join(a.text for a in args)})")

    def _outer(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"outer({a.text}, {b.text})")

    def _kron(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"kron({a.text}, {b.text})")

    def _trace(self, op: Op, a: Text) -> Text:
        return Text(f"tr({a.text})")

    def _windows(self, op: Op, a: Text) -> Text:
        return Text(f"windows({a.text}, {self.each(op.data, 1)}{self.options(op.data)})")

    def _overlap_add(self, op: Op, a: Text) -> Text:
        return Text(f"overlap_add({a.text}, {self.each(op.data, 5)}{self.options(op.data)})")

    def each(self, specs: Sequence[Any], place: int) -> str:
        """One size, or one for each axis in brackets."""
        return self.full([Dim.of(spec[place]) for spec in specs])

    def options(self, specs: Sequence[Any]) -> str:
        """, stride=2 and what else is not usual."""
        named = (("stride", 2, 1), ("padding", 4, 0), ("dilation", 3, 1))
        return "".join(
            f", {name}={self.each(specs, place)}"
            for name, place, usual in named
            if any(Dim.of(spec[place]).constant != usual for spec in specs)
        )

    def _reshape(self, op: Op, a: Text) -> Text:
        """Columns below each other are vec."""
        source = op.args[0]
        if source.rank == 2 and op.rank == 1:
            transposed = source.kind == "permute" and a.text.endswith(".T")
            return Text(f"vec({a.text.removesuffix('.T') if transposed else a.at(ATOM) + '.T'})")
        return Text(f"reshape({a.text}, {', '.join(self.dim(d).text for d in op.shape)})")

    def _fill(self, op: Op, a: Text) -> Text:
        axes, shape = op.data
        source = op.args[0]
        dims = ", ".join(self.dim(d).text for d in shape)
        if not axes and source.kind == "number" and source.data[0] in (0, 1):
            return Text(f"{'ones' if source.data[0] else 'zeros'}({dims})")
        first = axes[0] if axes else len(shape)
        pattern = [":" if k in axes else "None" for k in range(first, len(shape))]
        view = a if all(p == ":" for p in pattern) else Text(f"{a.at(ATOM)}[{', '.join(pattern)}]")
        return Text(f"{view.at(TIMES)} * ones({dims})", TIMES)

    def _scatter(self, op: Op, a: Text) -> Text:
        labels, places, shape = op.data
        target = [place.label for place in places]
        if len(target) == 2 and target[0] == target[1]:
            if labels:
                return Text(f"diag({a.text})")
            eye = f"eye({self.dim(shape[0]).text})"
            source = op.args[0]
            return (
                Text(eye)
                if source.kind == "number" and source.data[0] == 1
                else Text(f"{a.at(TIMES)} * {eye}", TIMES)
            )
        # An axis that repeats another is tied to it by an identity, one that the value lacks by ones.
        letter = {label: LETTERS[k] for k, label in enumerate(dict.fromkeys([*labels, *target]))}
        specs, texts, output = [], [], ""
        if labels or op.args[0].kind != "number" or op.args[0].data[0] != 1:
            specs.append("".join(letter[label] for label in labels))
            texts.append(a.text)
        spare = iter(LETTERS[len(letter) :])
        first: dict[int, str] = {}
        tied = set(labels)
        for label, dim in zip(target, shape, strict=True):
            if label in first:
                new = next(spare)
                specs.append(first[label] + new)
                texts.append(f"eye({self.dim(dim).text})")
                tied.add(label)
                output += new
            else:
                first[label] = letter[label]
                output += letter[label]
        for label, dim in zip(target, shape, strict=True):
            if label not in tied:
                tied.add(label)
                specs.append(letter[label])
                texts.append(f"ones({self.dim(dim).text})")
        return Text(f"einsum('{','.join(specs)}->{output}', {', '.join(texts)})")

    def _add_at(self, op: Op, base: Text, a: Text) -> Text:
        labels, places, shape, sign = op.data
        part = self._scatter(Op("scatter", op.args[1:], (labels, places, shape), shape), a)
        return Text(f"{base.at(PLUS)} {'+' if sign > 0 else '-'} {part.at(PLUS + 1)}", PLUS)

    def _constant(self, op: Op) -> Text:
        row, *parameters = op.data
        if row.name == "select":
            start, step, count, size = parameters
            return Text(f"eye({self.dim(size).text})[{self.range(start, step, count, size)}]")
        if row.name == "merge":
            return Text(f"merge({', '.join(self.dim(d).text for d in parameters)})")
        if row.name == "basis":
            index, size = parameters
            return Text(f"eye({self.dim(size).text})[{self.position(index, size)}]")
        return self.fill_template(row.text, (), parameters)

    def _stack(self, op: Op, *args: Text) -> Text:
        if op.rank > 2:
            return Text(f"stack({', '.join(a.text for a in args)})")
        return Text(f"[{', '.join(a.text for a in args)}]")

    def _call(self, op: Op, *args: Text) -> Text:
        row, *parameters = op.data
        if isinstance(row, Unknown):
            return Text(f"{row.written(tuple(parameters))}({', '.join(a.text for a in args)})")
        rank = op.args[0].rank
        if row.name in ("softmax", "logsumexp", "masked_softmax") and rank > 1:
            return Text(f"{row.name}({', '.join(a.text for a in args)}, axis={rank - 1})")
        if row.name in REDUCTIONS or row.name in ("norm", "unit", "first_max", "first_min"):
            name = REDUCTIONS.get(row.name, row.name)
            return Text(f"{name}({args[0].text}{axis_option(op, parameters[0])})")
        if row.name == "prod_others":
            count = f", {parameters[1]}" if parameters[1] != 1 else ""
            return Text(f"{row.name}({args[0].text}{count}{axis_option(op, parameters[0])})")
        if row.text.startswith("(#1 "):
            operator = row.text[1:-1].split(" ")[1]
            return Text(f"{args[0].at(PLUS)} {operator} {args[1].at(PLUS)}", COMPARE)
        if row.name == "power":
            return Text(f"{args[0].at(ATOM)}**{args[1].at(SIGN)}", POWER)
        return self.fill_template(row.text, args, parameters)


def numpy_formula(expr: Expr, names: Mapping[str, Expr] | None = None) -> str:
    """`expr` in chainrule's NumPy dialect: statements `z = ...` for shared parts, the last line the answer.

    `names` are the parts that a person named.

    >>> from chainrule.expr.nodes import Variable
    >>> A, x = Variable("A", (Dim.of("m"), Dim.of("n"))), Variable("x", (Dim.of("n"),))
    >>> print(numpy_formula(2 * (A @ x)))
    2 * (A @ x)
    """
    lines, results = _formulas({"": expr}, names)
    return "\n".join([*lines, results[""].text])


def numpy_formulas(exprs: Mapping[str, Expr], names: Mapping[str, Expr] | None = None) -> str:
    """Several expressions as one program of the NumPy dialect: shared parts first, then a statement for each.

    >>> from chainrule.expr.nodes import Variable
    >>> x = Variable("x", (Dim.of("n"),))
    >>> print(numpy_formulas({"d_x": 2 * x}))
    d_x = 2 * x
    """
    lines, results = _formulas(exprs, names)
    return "\n".join([*lines, *(f"{name} = {result.text}" for name, result in results.items())])


def _formulas(
    exprs: Mapping[str, Expr], names: Mapping[str, Expr] | None
) -> tuple[list[str], dict[Any, Text]]:
    program = make_plan(exprs, names, formula=True)
    present = variables_of(*exprs.values())
    dims = {d: d for op in program.ops for dim in (*op.shape, *dims_in(op.data)) for d in dim.names}
    taken = {v.name for v in present} | set(dims) | {_head(row) for row in ROWS.values()} | {*exprs}
    taken.update(unknown_in(*exprs.values()))
    # A part may be called e, as a residual is, where the number e does not occur.
    taken -= set(names or {}) - {op.data[0].name for op in program.ops if op.kind == "named"}
    vocabulary = Formula({v.name: v.name for v in present}, dims)
    writer = Writer(program, vocabulary, taken, lambda name: name)
    results = writer.run()
    return writer.lines, results


def _head(row: Row) -> str:
    return row.text.partition("(")[0]
