"""Prefixes, postfixes, bars, written-out vectors and subscripts."""

from __future__ import annotations

from chainrule.errors import ShapeMismatch, UnknownName
from chainrule.expr import nodes
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Expr, Stack, number
from chainrule.language import conditions, functions, problems
from chainrule.language.context import Context
from chainrule.language.instances import summed
from chainrule.language.parser import COMPARISONS
from chainrule.language.places import stacked
from chainrule.language.subscripts import Item, Range, position, subscript
from chainrule.language.syntax import (
    Bars,
    Binary,
    Call,
    Listing,
    Node,
    Number,
    Postfix,
    Prefix,
    Slice,
    Special,
    Subscript,
)
from chainrule.language.values import NOTHING, Value
from chainrule.rules.constants import BASIS
from chainrule.rules.indexing import index_bound


class Attachments(Context):
    """What is attached to one operand, and brackets."""

    def prefix(self, node: Prefix, operand: Value) -> Value:
        match node.symbol:
            case "-":
                constant = operand.constant
                return Value(
                    nodes.negate(operand.expr), operand.row, -constant if constant is not None else None
                )
            case "+":
                return operand
            case "~":
                if self.opaque:
                    return operand
                made = self.built(conditions.logical_not, [operand.expr], node.span, [node.operand])
                return Value(made, operand.row)
            case "√":
                self.check_positive(node.span, operand, "√")
                return Value(functions.sqrt(operand.expr), operand.row)
            case _:
                return self.over_instances(node, operand)

    def over_instances(self, node: Prefix, operand: Value) -> Value:
        """Σᵢ of a formula for one instance."""
        known = self.setting.instances
        if not known:
            raise self.problem(
                "a sum over an index is index notation",
                node.span,
                hint="declare the axes of the result on the left: y_i = Σ_j A_ij x_j",
            )
        letters = [c for c in node.indices if any(instance.letter == c for instance in known.values())]
        if len(letters) < len(node.indices):
            raise self.problem(
                f"no row or entry has the index {next(c for c in node.indices if c not in letters)}",
                node.span,
                hint="Σᵢ sums what xᵢ, row i of X, stands in",
            )
        made = self.built(lambda e: summed(e, letters, known), [operand.expr], node.span)
        return Value(made, operand.row)

    def postfix(self, node: Postfix, operand: Value) -> Value:
        if node.symbol == "_":
            return self.component(node, operand)
        if node.symbol == "⁻ᵀ":
            inverse = self.built(functions.inv, [operand.expr], node.span, [node.operand])
            return Value(inverse.T)
        if isinstance(node.operand, Number) and node.symbol == "ᵀ" and operand.constant is not None:
            if operand.constant.is_one or operand.constant.is_zero:
                return Value(number(operand.constant, (self.fresh(node),)), row=True)
            if self.setting.source[node.span.end - 1] == "ᵀ":
                raise self.problem(
                    f"{self.text(node)} is a number with a transpose",
                    node.span,
                    hint="write 𝟏𝟏ᵀ for the matrix of ones, 1ᵀ or 𝟏ᵀ for a row of ones",
                )
        if not operand.rank:
            self.forces(node, operand, node.symbol)
            return operand
        if operand.rank == 1:
            return (
                operand if node.symbol == ".T" and not operand.row else Value(operand.expr, not operand.row)
            )
        return Value(operand.expr.T)

    def component(self, node: Postfix, operand: Value) -> Value:
        index = node.indices
        if isinstance(node.operand, Special) and node.operand.symbol in ("I", "𝟏", "𝟎"):
            return self.sized(node, node.operand, index)
        if not index.isdigit():
            raise self.problem(
                f"the index {index} is index notation",
                node.span,
                hint="declare the axes of the result on the left: y_i = A_ij x_j;  x[0] is the first entry",
            )
        counts = [int(index)] if operand.rank == 1 else [int(d) for d in index]
        if len(counts) != operand.rank or 0 in counts:
            raise ShapeMismatch(
                f"the index {index} does not fit: {self.text(node.operand)} "
                + problems.is_text(operand.expr.shape, self.sizes.shown),
                source=self.setting.source, spans=(node.span,), hint="indices below the line count from 1",
            )  # fmt: skip
        items = [Dim.of(count - 1) for count in counts]
        return Value(self.built(lambda x: subscript(x, items), [operand.expr], node.span, [node.operand]))

    def sized(self, node: Postfix, special: Special, index: str) -> Value:
        if not index.isdigit() and index not in self.setting.dims:
            raise UnknownName(
                f"{index} is not a declared size",
                source=self.setting.source,
                spans=(node.span,),
                hint="sizes are declared with a shape: x[n]",
            )
        size = Dim.of(int(index) if index.isdigit() else index)
        if special.symbol == "I":
            return self.identity(node, size)
        return Value(number(int(special.symbol == "𝟏"), (size,)))

    def unit_vector(self, node: Special, index: str) -> Value:
        """𝐞₂, of any size that fits."""
        if not index:
            raise self.problem("𝐞 is a basis vector and has an index", node.span, hint="write 𝐞₂ or 𝐞_2")
        if not index.isdigit() and index not in self.setting.dims:
            raise self.problem(f"{index} is not a declared size", node.span, hint="write 𝐞₂ or 𝐞_2")
        place, length = Dim.of(int(index) if index.isdigit() else index), self.fresh(node)
        if place.constant == 0:
            raise self.problem("𝐞₁ is the first basis vector", node.span, hint="its index counts from 1")
        if length.constant is not None and not (length - place).is_nonnegative:
            raise self.problem(f"a vector of {length} has no entry {place}", node.span)
        return Value(Apply(BASIS, (), (place - Dim.of(1), length)))

    def identity(self, node: Node, size: Dim | None) -> Value:
        self.note("I is read as the identity matrix.")
        return Value(nodes.identity((size or self.fresh(node),)))

    def bars(self, node: Bars, operand: Value) -> Value:
        if node.symbol == "|":
            if operand.rank == 2:
                raise self.problem(
                    "|X| of a matrix can be read in two ways", node.span, hint="write det(X) or abs(X)"
                )
            return Value(functions.abs(operand.expr), operand.row)
        self.forces(node, operand, "‖·‖")
        if node.kind not in ("", "1", "2", "F"):
            raise self.problem(
                f"the norm with index {node.kind} is not in the language",
                node.span,
                hint="‖x‖, ‖x‖₁, ‖x‖₂ and ‖X‖_F are",
            )
        if node.kind in ("1", "2") and operand.rank > 1:
            raise self.problem(
                f"the norm with index {node.kind} of a matrix can be read in two ways",
                node.span,
                hint="write ‖X‖_F for the Frobenius norm, norm1(X) for the sum of absolute entries",
            )
        if node.kind == "1":
            return Value(functions.norm1(operand.expr))
        return Value(functions.norm(operand.expr))

    def listing(self, node: Listing, parts: list[Value]) -> Value:
        only = node.entries[0] if len(node.entries) == 1 else None
        if isinstance(only, Binary) and only.symbol in COMPARISONS:
            raise self.problem(
                "[...] around a condition can be read in two ways", node.span, hint="write 1[z > 0]"
            )
        matlab = self.setting.dialect == "matlab" and node.form == "["
        if not matlab and not node.breaks:
            return Value(NOTHING, items=tuple(parts))
        entries = [self.whole(v, n) for v, n in zip(parts, node.entries, strict=True)]
        ends = [*dict.fromkeys([*(b for b in node.breaks if b < len(parts)), len(parts)])]
        starts = [0, *ends[:-1]]
        lines = [entries[a:b] for a, b in zip(starts, ends, strict=True)]
        if not matlab:
            return self.below(node, lines)
        if len(lines) == 1:
            return Value(
                self.built(functions.stack, [e.expr for e in entries], node.span, node.entries), row=True
            )
        if all(len(line) == 1 for line in lines):
            join = functions.stack if not any(e.rank for e in entries) else functions.concat
            return Value(self.built(join, [e.expr for e in entries], node.span, node.entries))
        if len({len(line) for line in lines}) > 1:
            raise ShapeMismatch(
                "the rows have different lengths",
                source=self.setting.source,
                spans=(node.span,),
                hint="[a, b; c, d]",
            )
        stacked = [self.built(functions.stack, [e.expr for e in line], node.span) for line in lines]
        return Value(self.built(functions.stack, stacked, node.span))

    def below(self, node: Listing, lines: list[list[Value]]) -> Value:
        """[w; b] in the NumPy dialect."""
        if any(len(line) != 1 or line[0].rank > 2 for line in lines):
            raise self.problem(
                "`;` stands between parts of a column", node.span, hint="[[a, b], [c, d]] is a matrix"
            )
        exprs = [line[0].expr for line in lines]
        flat = not any(e.rank for e in exprs)
        join = functions.stack if flat else functions.concat
        made = lambda *e: stacked(e, lambda k: self.fresh(node, k), join)  # noqa: E731
        return Value(self.built(made, exprs, node.span, node.entries))

    def slice(self, node: Slice, parts: list[Value]) -> Value:
        given = iter(zip(parts, node.children, strict=True))
        bounds = [None if bound is None else self.size(*next(given)) for bound in node.bounds]
        step = bounds[2].constant if bounds[2] is not None else 1
        if step is None or step == 0:
            raise self.problem(
                "the step of a slice is an integer other than 0", node.span, hint="x[::-1] reverses"
            )
        return Value(NOTHING, item=Range(bounds[0], bounds[1], step))

    def subscript(self, node: Subscript, parts: list[Value]) -> Value:
        base = self.whole(parts[0], node.operand)
        items: list[Item] = []
        arrays: list[tuple[int, Value, Node]] = []
        for value, part in zip(parts[1:], node.items, strict=True):
            if value.absent or value.item is not None:
                items.append(value.item)
            elif value.constant is None and value.items is None and value.text is None:
                arrays.append((len(items), value, part))
                items.append(value.expr)
            elif value.items and isinstance(part, Listing):
                entries = zip(value.items, part.entries, strict=True)
                items.append(tuple(self.size(self.whole(v, n), n) for v, n in entries))
            else:
                items.append(self.size(value, part))

        def make(x: Expr, *indices: Expr) -> Expr:
            for (place, _, _), index in zip(arrays, indices, strict=True):
                items[place] = index
            first = items[0].constant if isinstance(items[0], Dim) else None
            if isinstance(node.operand, Call) and isinstance(x, Stack) and first is not None:
                position(Dim.of(first), x.shape[0])
                return subscript(x.entries[first], items[1:])  # split(x, 2)[0] is x[:n]
            return subscript(x, items)

        for _, value, part in arrays:
            self.need_range(value, part)
        exprs = [base.expr, *(value.expr for _, value, _ in arrays)]
        return Value(self.built(make, exprs, node.span, [node.operand, *(part for _, _, part in arrays)]))

    def need_range(self, value: Value, part: Node) -> None:
        """An index that is no size is an integer variable with a range, or a part of one."""
        if index_bound(value.expr) is None:
            raise self.problem(
                f"a size or an index stands here, not {self.text(part)}",
                part.span,
                hint="integers, declared sizes such as n in x[n], and integer variables, ids[N]:integer(V)",
            )
