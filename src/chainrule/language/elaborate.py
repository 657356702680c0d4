"""Syntax tree to expression: names, shapes, broadcasting, rows and columns. All shape errors of formulas come from here.

In: statements whose names are resolved, and the shape of every variable. Out: values, which are expressions with the
orientation that notation needs: a rank-1 value is a column unless ᵀ made it a row. Nothing is simplified.

With `opaque` set, every value is replaced by a placeholder of its shape: that is a pass of shape inference, cheap
however deep the formula is.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from math import log10

from chainrule.errors import ChainruleError, LimitExceeded, ShapeMismatch, Span, SyntaxProblem, UnknownName
from chainrule.expr import nodes
from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Expr, Shape, Variable, elementwise, number
from chainrule.expr.names import pretty
from chainrule.language import functions, problems
from chainrule.language.limits import MAX_BITS, check_number
from chainrule.language.parser import COMPARISONS
from chainrule.language.sizes import Sizes
from chainrule.language.subscripts import Range, subscript
from chainrule.language.syntax import (
    Add, Bars, Binary, Bracket, Call, Listing, Name, Node, Number, Postfix, Prefix, Slice, Special, Statement, Subscript,
    Text, post_order,
)  # fmt: skip
from chainrule.rules import constants
from chainrule.rules import elementwise as rows
from chainrule.rules.table import lookup


@dataclass(frozen=True, slots=True)
class Value:
    """An expression with its orientation; or a list, a text, a slice that waits for the function around it."""

    expr: Expr
    row: bool = False
    constant: Coefficient | None = None  # its value, if it is a number or made of sizes
    items: tuple[Value, ...] | None = None
    text: str | None = None
    item: Range | None = None
    absent: bool = False  # None in a subscript

    @property
    def rank(self) -> int:
        """The number of axes."""
        return self.expr.rank


@dataclass(frozen=True, slots=True)
class Setting:
    """What a formula is read in."""

    source: str
    dialect: str
    profile: str | None
    dims: frozenset[str]
    assigned: frozenset[str]


NOTHING = number(0)
_COMPARE: dict[str, tuple[str, bool]] = {
    ">": ("greater", False), ">=": ("greater_equal", False), "<": ("greater", True), "<=": ("greater_equal", True),
    "==": ("equal", False), "!=": ("not_equal", False),
}  # fmt: skip


class Elaborator:
    """One pass over the statements of a formula."""

    def __init__(
        self, setting: Setting, variables: Mapping[str, Variable], sizes: Sizes, opaque: bool = False
    ) -> None:
        self.setting, self.variables, self.sizes, self.opaque = setting, variables, sizes, opaque
        self.environment: dict[str, Value] = {}
        self.notes: list[str] = []

    def run(self, statements: Sequence[Statement]) -> Value:
        """The value of the last statement; the named parts are left in `environment`."""
        value = Value(NOTHING)
        for statement in statements:
            value = self.statement(statement)
            if statement.name:
                self.environment[statement.name] = value
        return value

    def statement(self, statement: Statement) -> Value:
        if statement.output is not None:
            from chainrule.language.index import elaborate_indexed

            return elaborate_indexed(self, statement)
        return self.value(statement.value)

    def value(self, root: Node) -> Value:
        """The value of a tree: its nodes one after the other, parts first."""
        values: dict[int, Value] = {}
        for node in post_order(root):
            value = self.node(node, [values.pop(id(child)) for child in node.children])
            if self.opaque:
                value = self.veiled(value, node)
            values[id(node)] = value
        return self.whole(values[id(root)], root)

    def veiled(self, value: Value, node: Node) -> Value:
        """The value as a placeholder of its shape."""
        if isinstance(value.expr, Variable) or (value.constant is not None and not value.rank) or value.items:
            return value
        return replace(value, expr=Variable(f"%{node.span.start}:{node.span.end}", value.expr.shape))

    # ------------------------------------------------------------ leaves

    def node(self, node: Node, parts: list[Value]) -> Value:
        match node:
            case Number():
                check_number(node.value, self.setting.source, node.span)
                return Value(number(node.value), constant=Coefficient.of(node.value))
            case Name():
                return self.name(node)
            case Special():
                return self.special(node)
            case Text():
                return Value(NOTHING, text=node.text)
            case Add():
                return self.add(node, parts)
            case Binary():
                return self.binary(node, self.whole(parts[0], node.left), self.whole(parts[1], node.right))
            case Prefix():
                return self.prefix(node, self.whole(parts[0], node.operand))
            case Postfix():
                return self.postfix(node, self.whole(parts[0], node.operand))
            case Bars():
                return self.bars(node, self.whole(parts[0], node.operand))
            case Bracket():
                if not isinstance(node.operand, Binary) or node.operand.symbol not in COMPARISONS:
                    raise self.problem("1[...] is the indicator of a condition", node.span, hint="write 1[z > 0]")
                return parts[0]
            case Call():
                return self.call(node, parts)
            case Slice():
                return self.slice(node, parts)
            case Subscript():
                return self.subscript(node, parts)
            case Listing():
                return self.listing(node, parts)
            case _:
                raise AssertionError(type(node))

    def problem(self, message: str, *spans: Span, hint: str = "") -> SyntaxProblem:
        return SyntaxProblem(message, source=self.setting.source, spans=spans, hint=hint)

    def whole(self, value: Value, node: Node) -> Value:
        """The value as an expression: a list becomes a vector; a text or a slice is out of place."""
        if value.text is not None:
            raise self.problem("a text in quotes stands only in einsum('ij,j->i', A, x)", node.span)
        if value.absent or value.item is not None:
            raise self.problem("None stands only in subscripts", node.span)
        if value.items is None:
            return value
        assert isinstance(node, Listing)
        if node.form == "(":
            raise self.problem("a formula has one value", node.span, hint="write [a, b] for a vector of two")
        entries = [self.whole(v, n) for v, n in zip(value.items, node.entries, strict=True)]
        made = self.built(functions.stack, [e.expr for e in entries], node.span, node.entries)
        return Value(made, row=value.row)

    def name(self, node: Name) -> Value:
        name = node.name
        if name in self.environment:
            return self.environment[name]
        if name in self.variables:
            return Value(self.variables[name])
        if name in self.setting.dims:
            return Value(number(Dim.of(name)), constant=Coefficient.of(Dim.of(name)))
        if name in self.setting.assigned:
            raise UnknownName(
                f"{name} is used before it is given a value", source=self.setting.source, spans=(node.span,),
                hint=f"move the line {name} = ... up, or give the part another name",
            )
        if name in ("e", "pi"):
            return Value(Apply(constants.E if name == "e" else constants.PI))
        assert name == "I", name
        return self.identity(node, None)

    def fresh(self, node: Node, slot: int = 0) -> Dim:
        """An unknown size, the same in every pass."""
        return self.sizes.resolve(Dim.of(f"?{node.span.start}.{slot}"))

    def identity(self, node: Node, size: Dim | None) -> Value:
        self.note("I is read as the identity matrix.")
        return Value(nodes.identity((size or self.fresh(node),)))

    def special(self, node: Special) -> Value:
        match node.symbol:
            case "None":
                return Value(NOTHING, absent=True)
            case "𝟏" | "𝟎":
                return Value(number(int(node.symbol == "𝟏"), (self.fresh(node),)))
            case "I":
                return self.identity(node, None)
            case _:
                raise self.problem("δ_ij stands only in index notation", node.span, hint="write Y_ij = ... on the left")

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    # ------------------------------------------------------------ sums and entrywise operations

    def built(
        self, make: Callable[..., Expr], exprs: Sequence[Expr], place: Span, parts: Sequence[Node] = ()
    ) -> Expr:
        """make(*exprs), with sizes inferred; its complaint is told with the place and the shapes."""
        try:
            return self.sizes.build(make, exprs)
        except ShapeMismatch as problem:
            where = [(part.span, e.shape) for part, e in zip(parts, exprs, strict=False)]
            raise problems.call_problem(problem, self.setting.source, place, where, self.sizes.shown) from None

    def add(self, node: Add, parts: list[Value]) -> Value:
        values = [self.whole(v, n) for v, n in zip(parts, node.terms, strict=True)]
        terms, shape, row, first = [], values[0].expr.shape, False, 0
        constant: Coefficient | None = Coefficient.of(0)
        for k, (value, sign) in enumerate(zip(values, node.signs, strict=True)):
            if k:
                self.orientation((values[first], value), (node.terms[first], node.terms[k]), "+" if sign > 0 else "-")
                spans = (node.terms[first].span, node.terms[k].span)
                both = self.common((shape, value.expr.shape), spans, (values[first].row, value.row), "+" if sign > 0 else "-")
                first, shape = (k, both) if value.rank > values[first].rank else (first, both)
            row = row or value.row
            terms.append(value.expr if sign > 0 else nodes.negate(value.expr))
            if constant is not None:
                mine = value.constant
                constant = None if mine is None else constant + (mine if sign > 0 else -mine)
                if constant is not None:
                    self.check(constant, node.span)
        total = nodes.add(*(self.sizes.settle(t) for t in terms))
        return Value(total, row and total.rank == 1, constant)

    def common(
        self, shapes: tuple[Shape, Shape], spans: tuple[Span, Span], turned: tuple[bool, bool], symbol: str
    ) -> Shape:
        """The shape that both broadcast to."""
        while True:
            resolved = [tuple(map(self.sizes.resolve, shape)) for shape in shapes]
            try:
                return nodes.broadcast_shape(resolved)
            except ShapeMismatch as problem:
                if not problem.dims or not self.sizes.unify(*problem.dims):
                    raise problems.entrywise_problem(
                        self.setting.source, spans, (resolved[0], resolved[1]), turned, symbol, self.sizes.shown
                    ) from None

    def orientation(self, values: tuple[Value, Value], parts: tuple[Node, Node], symbol: str) -> bool:
        """Whether an entrywise result of rank 1 is a row; raises where rows, columns and matrices mix."""
        a, b = values
        shapes, spans = (a.expr.shape, b.expr.shape), (parts[0].span, parts[1].span)
        mixed = a.rank == b.rank == 1 and a.row != b.row
        strict = symbol in ("⊙", "⊘", ".*", "./", ".^") or self.setting.dialect == "matlab"
        if mixed or (strict and {a.rank, b.rank} == {1, 2}):
            problem = problems.entrywise_problem(
                self.setting.source, spans, shapes, (a.row, b.row), symbol, self.sizes.shown
            )
            if not mixed:
                problem.hint = "a vector and a matrix do not combine entry by entry; diag(x) A scales the rows of A"
            raise problem
        return (a.row and a.rank == 1) or (b.row and b.rank == 1)

    def entrywise(self, node: Binary, left: Value, right: Value, make: Callable[[Expr, Expr], Expr]) -> Value:
        row = self.orientation((left, right), (node.left, node.right), node.symbol)
        shapes = (left.expr.shape, right.expr.shape)
        self.common(shapes, (node.left.span, node.right.span), (left.row, right.row), node.symbol)
        result = make(self.sizes.settle(left.expr), self.sizes.settle(right.expr))
        return Value(result, row and result.rank == 1)

    def binary(self, node: Binary, left: Value, right: Value) -> Value:
        symbol = node.symbol
        if symbol == "*" and self.setting.dialect == "numpy" or symbol in ("⊙", ".*"):
            return replace(self.entrywise(node, left, right, nodes.multiply), constant=self.times(node, left, right))
        if symbol in ("⊗", "⊕", "⊖"):
            return self.circled(node, left, right)
        if symbol in ("", "·", "*"):
            return self.product(node, left, right)
        if symbol == "@":
            return self.matmul(node, left, right)
        if symbol in ("/", "⊘", "./"):
            return self.divide(node, left, right)
        if symbol in COMPARISONS:
            row_name, swapped = _COMPARE[symbol]
            row = lookup(row_name)
            pair = (lambda a, b: elementwise(row, b, a)) if swapped else (lambda a, b: elementwise(row, a, b))
            return self.entrywise(node, left, right, pair)
        return self.power(node, left, right)

    def circled(self, node: Binary, left: Value, right: Value) -> Value:
        symbol = node.symbol
        if self.setting.profile == "notes":
            self.note(f"{symbol} is read entry by entry (profile notes).")
            make: dict[str, Callable[[Expr, Expr], Expr]] = {
                "⊗": nodes.multiply, "⊕": nodes.add, "⊖": lambda a, b: nodes.add(a, nodes.negate(b)),
            }  # fmt: skip
            return self.entrywise(node, left, right, make[symbol])
        if symbol != "⊗":
            raise self.problem(
                f"{symbol} is not read without a profile", node.place, hint="write + or -, or choose --profile notes"
            )
        self.note("⊗ is read as the Kronecker product; --profile notes reads it entry by entry.")
        if left.rank == right.rank == 1 and left.row != right.row:
            first, second = (left, right) if right.row else (right, left)
            return Value(self.built(functions.outer, [first.expr, second.expr], node.place, [node.left, node.right]))
        columns = not (left.row or right.row)
        made = self.built(
            lambda a, b: functions.kron(a, b, columns), [left.expr, right.expr], node.place, [node.left, node.right]
        )
        return Value(made, made.rank == 1 and (left.row or right.row))

    def times(self, node: Node, left: Value, right: Value) -> Coefficient | None:
        if left.constant is None or right.constant is None:
            return None
        return self.check(left.constant * right.constant, node.span)

    def check(self, value: Coefficient, span: Span) -> Coefficient:
        check_number(value.rational, self.setting.source, span)
        return value

    def divide(self, node: Binary, left: Value, right: Value) -> Value:
        if right.constant is not None and right.constant.is_zero:
            raise self.problem("division by zero", node.right.span, hint="a formula must have a value somewhere")
        if node.symbol == "/" and right.rank and (left.row or right.row):
            strict = replace(node, symbol="⊘")
            return self.entrywise(strict, left, right, nodes.divide)
        if node.symbol == "/" and self.setting.dialect == "matlab" and right.rank == 2:
            raise ShapeMismatch(
                "/ with a matrix below is not read", source=self.setting.source, spans=(node.place,),
                hint="write A*inv(B), or A./B entry by entry",
            )
        value = self.entrywise(node, left, right, nodes.divide)
        if left.constant is not None and right.constant is not None:
            return replace(value, constant=self.check(left.constant * right.constant**-1, node.span))
        return value

    # ------------------------------------------------------------ products

    def refuse_product(self, node: Binary, left: Value, right: Value) -> ShapeMismatch:
        symbol = node.symbol
        return problems.product_problem(
            self.setting.source, (node.left.span, node.right.span), (left.expr.shape, right.expr.shape),
            (left.row, right.row), symbol, self.sizes.shown,
        )  # fmt: skip

    def matmul(self, node: Binary, left: Value, right: Value) -> Value:
        """NumPy's @; with a row on either side the product of notation."""
        if (left.row and left.rank == 1) or (right.row and right.rank == 1):
            return self.product(node, left, right)
        try:
            return Value(self.sizes.build(nodes.matmul, [left.expr, right.expr]))
        except ShapeMismatch:
            raise self.refuse_product(node, left, right) from None

    def product(self, node: Binary, left: Value, right: Value) -> Value:
        """Matrices, columns and rows side by side."""
        if not left.rank or not right.rank:
            made = nodes.multiply(left.expr, right.expr)
            return Value(made, left.row or right.row, self.times(node, left, right))
        kinds = (_kind(left), _kind(right))
        if kinds == ("column", "column") and node.symbol == "·":
            kinds = ("row", "column")
        spec = _PRODUCTS.get(kinds)
        if spec is None:
            raise self.refuse_product(node, left, right)

        def contract(a: Expr, b: Expr) -> Expr:
            if spec != "i,j->ij":
                nodes.require_same(a.shape[-1], b.shape[0], "are the inner sizes of a product and differ")
            return nodes.einsum(spec, a, b)

        try:
            made = self.sizes.build(contract, [left.expr, right.expr])
        except ShapeMismatch:
            raise self.refuse_product(node, left, right) from None
        return Value(made, kinds == ("row", "matrix"))

    # ------------------------------------------------------------ powers

    def power(self, node: Binary, base: Value, exponent: Value) -> Value:
        symbol = node.symbol
        self.check_power(node, base, exponent)
        if exponent.constant is None and isinstance(node.right, Name) and symbol in ("^", "sup") and False:
            raise AssertionError
        if base.rank == 2 and symbol in ("^", "sup"):
            return self.matrix_power(node, base, exponent)
        if isinstance(base.expr, Apply) and base.expr.function is constants.E:
            if symbol in ("^", "sup") and exponent.rank == 2:
                raise ShapeMismatch(
                    "the exponential of a matrix is not in the language", source=self.setting.source,
                    spans=(node.span,), hint="exp(A) is the exponential of each entry",
                )
            return Value(elementwise(rows.exp, exponent.expr), exponent.row)
        if symbol == "^" and self.setting.dialect == "matlab" and (base.rank or exponent.rank):
            raise ShapeMismatch(
                "^ needs a scalar or a square matrix", source=self.setting.source, spans=(node.left.span, node.place),
                hint="write .^ for the power of each entry",
            )
        value = self.entrywise(node, base, exponent, lambda a, b: elementwise(rows.power, a, b))
        return replace(value, constant=self.constant_power(node, base.constant, exponent.constant))

    def check_power(self, node: Binary, base: Value, exponent: Value) -> None:
        if exponent.constant is None or exponent.constant.powers:
            return
        p = exponent.constant.rational
        if base.constant is not None and base.constant.is_zero and p < 0:
            raise self.problem("0 to a negative power is a division by zero", node.span)
        if base.constant is not None and not base.constant.powers and base.constant.rational < 0 and p.denominator != 1:
            raise self.imaginary(node.span)

    def imaginary(self, span: Span) -> SyntaxProblem:
        return self.problem(
            "this is a complex number; chainrule works on real ones", span, hint="a root or logarithm of a negative number"
        )

    def constant_power(self, node: Node, base: Coefficient | None, p: Coefficient | None) -> Coefficient | None:
        if base is None or p is None or p.powers:
            return None
        bits = max(base.rational.numerator.bit_length(), base.rational.denominator.bit_length())
        if abs(p.rational) * bits > MAX_BITS and bits > 1:
            raise LimitExceeded(
                f"a number with more than {MAX_BITS} bits", source=self.setting.source, spans=(node.span,),
                hint="use a named variable for it",
            )
        if p.rational.denominator != 1 or abs(p.rational) > MAX_BITS:
            return None
        return base ** int(p.rational)

    def matrix_power(self, node: Binary, base: Value, exponent: Value) -> Value:
        k = exponent.constant
        if k is None or k.powers or k.rational.denominator != 1:
            raise ShapeMismatch(
                "a matrix has integer powers only", source=self.setting.source, spans=(node.right.span,),
                hint="X**p is the power of each entry" if self.setting.dialect == "numpy" else "X.^p is entry by entry",
            )
        count = int(k.rational)
        if count == -1:
            return Value(self.built(functions.inv, [base.expr], node.span, [node.left]))
        try:
            made = self.sizes.build(lambda X: functions.matrix_power(X, count), [base.expr])
        except ShapeMismatch as problem:
            where = [(node.left.span, base.expr.shape)]
            told = problems.call_problem(problem, self.setting.source, node.span, where, self.sizes.shown)
            told.hint += f";  for the power of each entry write {'X**2' if self.setting.dialect == 'numpy' else 'X.^2'}"
            raise told from None
        return Value(made)

    # ------------------------------------------------------------ prefixes, postfixes, bars

    def prefix(self, node: Prefix, operand: Value) -> Value:
        match node.symbol:
            case "-":
                constant = operand.constant
                return Value(nodes.negate(operand.expr), operand.row, -constant if constant is not None else None)
            case "+":
                return operand
            case "√":
                self.check_positive(node.span, operand, "√")
                return Value(functions.sqrt(operand.expr), operand.row)
            case _:
                raise self.problem(
                    "a sum over an index is index notation", node.span,
                    hint="declare the axes of the result on the left, y_i = Σ_j A_ij x_j, or write Σ(...), sum(...)",
                )

    def check_positive(self, span: Span, operand: Value, name: str) -> None:
        constant = operand.constant
        if constant is None or constant.powers or name not in ("√", "sqrt", "log", "ln"):
            return
        if constant.rational < 0:
            raise self.imaginary(span)
        if constant.rational == 0 and name in ("log", "ln"):
            raise self.problem("the logarithm of 0 is not a number", span)

    def postfix(self, node: Postfix, operand: Value) -> Value:
        if node.symbol == "_":
            return self.component(node, operand)
        if node.symbol == "⁻ᵀ":
            inverse = self.built(functions.inv, [operand.expr], node.span, [node.operand])
            return Value(inverse.T)
        if isinstance(node.operand, Number) and node.symbol == "ᵀ" and operand.constant is not None:
            if operand.constant.is_one or operand.constant.is_zero:
                return Value(number(operand.constant, (self.fresh(node),)), row=True)
        if not operand.rank:
            self.forces(node, operand, node.symbol)
            return operand
        if operand.rank == 1:
            return operand if node.symbol == ".T" and not operand.row else Value(operand.expr, not operand.row)
        return Value(operand.expr.T)

    def forces(self, node: Node, value: Value, what: str) -> None:
        """While shapes are inferred, an operation that makes no sense on a scalar says so."""
        if self.opaque and not value.rank and value.constant is None:
            raise ShapeMismatch(f"{what} of a scalar", source=self.setting.source, spans=(node.span,))

    def component(self, node: Postfix, operand: Value) -> Value:
        index = node.indices
        if isinstance(node.operand, Special) and node.operand.symbol in ("I", "𝟏", "𝟎"):
            return self.sized(node, node.operand, index)
        if not index.isdigit():
            raise self.problem(
                f"the index {index} is index notation", node.span,
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
                f"{index} is not a declared size", source=self.setting.source, spans=(node.span,),
                hint="sizes are declared with a shape: x[n]",
            )
        size = Dim.of(int(index) if index.isdigit() else index)
        if special.symbol == "I":
            return self.identity(node, size)
        return Value(number(int(special.symbol == "𝟏"), (size,)))

    def text(self, node: Node) -> str:
        return problems.part_text(self.setting.source, node.span, "it")

    def bars(self, node: Bars, operand: Value) -> Value:
        if node.symbol == "|":
            if operand.rank == 2:
                raise self.problem("|X| of a matrix can be read in two ways", node.span, hint="write det(X) or abs(X)")
            return Value(functions.abs(operand.expr), operand.row)
        self.forces(node, operand, "‖·‖")
        if node.kind not in ("", "1", "2", "F"):
            raise self.problem(f"the norm with index {node.kind} is not in the language", node.span)
        if node.kind == "1":
            return Value(functions.norm1(operand.expr))
        return Value(functions.norm(operand.expr))

    # ------------------------------------------------------------ lists and subscripts

    def listing(self, node: Listing, parts: list[Value]) -> Value:
        matlab = self.setting.dialect == "matlab" and node.form == "["
        if not matlab:
            return Value(NOTHING, items=tuple(parts))
        entries = [self.whole(v, n) for v, n in zip(parts, node.entries, strict=True)]
        ends = [*dict.fromkeys([*(b for b in node.breaks if b < len(parts)), len(parts)])]
        starts = [0, *ends[:-1]]
        lines = [entries[a:b] for a, b in zip(starts, ends, strict=True)]
        if len(lines) == 1:
            return Value(self.built(functions.stack, [e.expr for e in entries], node.span, node.entries), row=True)
        if all(len(line) == 1 for line in lines):
            join = functions.stack if not any(e.rank for e in entries) else functions.concat
            return Value(self.built(join, [e.expr for e in entries], node.span, node.entries))
        if len({len(line) for line in lines}) > 1:
            raise ShapeMismatch("the rows have different lengths", source=self.setting.source, spans=(node.span,))
        stacked = [self.built(functions.stack, [e.expr for e in line], node.span) for line in lines]
        return Value(self.built(functions.stack, stacked, node.span))

    def slice(self, node: Slice, parts: list[Value]) -> Value:
        given = iter(zip(parts, node.children, strict=True))
        bounds = [None if bound is None else self.size(*next(given)) for bound in node.bounds]
        step = bounds[2].constant if bounds[2] is not None else 1
        if step is None or step == 0:
            raise self.problem("the step of a slice is an integer other than 0", node.span)
        return Value(NOTHING, item=Range(bounds[0], bounds[1], step))

    def size(self, value: Value, node: Node) -> Dim:
        """The value as a size: an integer, or a polynomial in declared sizes."""
        found = as_dim(value.constant)
        if found is None or value.rank:
            raise self.problem(
                f"a size or an index stands here, not {self.text(node)}", node.span,
                hint="integers, and sizes that a declaration names, such as n in x[n]",
            )
        return found

    def subscript(self, node: Subscript, parts: list[Value]) -> Value:
        base = self.whole(parts[0], node.operand)
        items: list[Dim | Range | None] = []
        for value, part in zip(parts[1:], node.items, strict=True):
            items.append(None if value.absent else value.item if value.item is not None else self.size(value, part))
        return Value(self.built(lambda x: subscript(x, items), [base.expr], node.span, [node.operand]))

    # ------------------------------------------------------------ calls

    def call(self, node: Call, parts: list[Value]) -> Value:
        entry = functions.TABLE[node.name]
        if node.name in ("vector", "matrix"):
            return self.filled(node, parts)
        arguments = parts[: len(node.arguments)]
        options = self.options(node, entry, parts[len(node.arguments) :])
        takes = self.takes(node, entry, arguments)
        exprs: list[Expr] = []
        given: list[object] = []
        turned: list[Value] = []
        for letter, value, part in zip(takes, arguments, node.arguments, strict=True):
            if letter == "x":
                value = self.whole(value, part)
                if entry.forces and letter == "x":
                    self.forces(node, value, node.name)
                given.append(len(exprs))
                exprs.append(value.expr)
                turned.append(value)
            else:
                given.append(self.argument(letter, value, part))
        if takes == "l" * len(takes) and takes:
            exprs, given, turned = self.listed(node, arguments)
        elif takes and takes[0] == "d" and len(arguments) == 1 and arguments[0].items is not None:
            given = [[self.size(v, node) for v in arguments[0].items]]
        if turned:
            self.check_positive(node.span, turned[0], node.name)
        row = self.turned(node, turned)

        def make(*operands: Expr) -> Expr:
            values = [operands[g] if isinstance(g, int) and letter in "xl" else g for g, letter in zip(given, takes * len(given), strict=False)]
            return entry.build(*values, **options)

        made = self.built(make, exprs, node.span, [a for a, t in zip(node.arguments, takes, strict=True) if t in "xl"])
        return Value(made, row and made.rank == 1)

    def turned(self, node: Call, values: list[Value]) -> bool:
        """Whether a rank-1 result is a row: an entrywise function of rows gives a row."""
        vectors = [v for v in values if v.rank == 1]
        if not vectors or node.name in ("outer", "dot", "kron", "einsum", "matmul", "solve", "concat", "stack"):
            return False
        if len({v.row for v in vectors}) > 1:
            raise ShapeMismatch(
                f"{node.name} is given a row and a column", source=self.setting.source,
                spans=tuple(a.span for a in node.arguments), hint="transpose one of them",
            )
        return vectors[0].row

    def takes(self, node: Call, entry: functions.Entry, arguments: list[Value]) -> str:
        """A letter for each argument; raises where there are too many or too few."""
        pattern = entry.takes.replace("?", "").replace("*", "")
        optional, many = entry.takes.count("?"), "*" in entry.takes or entry.takes == "l"
        count = len(arguments)
        low = len(pattern) - max(optional, int("*" in entry.takes and not optional and len(pattern) > 1 and entry.takes[-2] != "x"))
        if "*" in entry.takes and entry.takes in ("d*",):
            low = 1
        if "*" in entry.takes and entry.takes == "sx*":
            low = 2
        if count < low or (count > len(pattern) and not many):
            options = f" (and {'=, '.join(entry.keywords)}=)" if entry.keywords else ""
            wanted = str(low) if low == len(pattern) and not many else f"{low} or more" if many else f"{low} or {len(pattern)}"
            raise SyntaxProblem(
                f"{node.name} takes {wanted} argument{'' if wanted == '1' else 's'}{options}, not {count}",
                source=self.setting.source, spans=(node.span,),
            )  # fmt: skip
        return (pattern + pattern[-1] * count)[:count]

    def listed(self, node: Call, arguments: list[Value]) -> tuple[list[Expr], list[object], list[Value]]:
        """The parts of stack and concat, given one by one or as a list."""
        if len(arguments) == 1 and arguments[0].items is not None and isinstance(node.arguments[0], Listing):
            inner = node.arguments[0]
            values = [self.whole(v, n) for v, n in zip(arguments[0].items, inner.entries, strict=True)]
        else:
            values = [self.whole(v, n) for v, n in zip(arguments, node.arguments, strict=True)]
        return [v.expr for v in values], list(range(len(values))), values

    def argument(self, letter: str, value: Value, node: Node) -> object:
        if letter == "s":
            if value.text is None:
                raise self.problem("einsum begins with its letters in quotes", node.span, hint="einsum('ij,j->i', A, x)")
            return value.text
        if letter == "d":
            return None if value.items is not None else self.size(value, node)
        if letter == "l":
            return None
        if letter == "o" and value.text is not None:
            return value.text
        found = as_dim(value.constant)
        if found is None or found.constant is None:
            raise self.problem(f"an integer stands here, not {self.text(node)}", node.span)
        return found.constant

    def options(self, node: Call, entry: functions.Entry, values: list[Value]) -> dict[str, object]:
        options: dict[str, object] = {}
        for (key, part), value in zip(node.keywords.items(), values, strict=True):
            if key not in entry.keywords:
                known = ", ".join(f"{k}=" for k in entry.keywords)
                raise UnknownName(
                    f"{node.name} has no option {key}=" + (f"; it has {known}" if known else ""),
                    source=self.setting.source, spans=(part.span,),
                )
            if value.items is not None:
                options[key] = tuple(self.argument("i", v, part) for v in value.items)
            elif value.absent:
                options[key] = None
            else:
                options[key] = self.argument("o" if key == "ord" else "i", value, part)
        if "keepdims" in options:
            options["keepdims"] = bool(options["keepdims"])
        return options

    def filled(self, node: Call, parts: list[Value]) -> Value:
        """vector(c) and matrix(c) of the MATLAB dialect: c in every entry, of whatever size fits."""
        if len(parts) != 1 or self.whole(parts[0], node.arguments[0]).rank:
            raise self.problem(f"{node.name} takes one scalar", node.span, hint=f"{node.name}(1)")
        shape = tuple(self.fresh(node, slot) for slot in range(1 if node.name == "vector" else 2))
        return Value(nodes.broadcast_to(parts[0].expr, shape))


_PRODUCTS = {
    ("matrix", "column"): "ij,j->i", ("row", "matrix"): "i,ij->j", ("row", "column"): "i,i->",
    ("column", "row"): "i,j->ij", ("matrix", "matrix"): "ij,jk->ik",
}  # fmt: skip


def _kind(value: Value) -> str:
    return {1: "row" if value.row else "column", 2: "matrix"}.get(value.rank, "tensor")


def as_dim(value: Coefficient | None) -> Dim | None:
    """The coefficient as an integer polynomial in sizes, if it is one."""
    if value is None or value.rational.denominator != 1 or any(e < 0 for _, e in value.powers):
        return None
    factors = [dim for dim, exponent in value.powers for _ in range(exponent)]
    return reduce(lambda a, b: a * b, factors, Dim.of(int(value.rational)))
