"""Operators on values: broadcasting, products with rows and columns, powers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chainrule.errors import ShapeMismatch, Span
from chainrule.expr import nodes
from chainrule.expr.dims import Coefficient
from chainrule.expr.nodes import Apply, Expr, Shape, elementwise
from chainrule.language import conditions, functions, problems
from chainrule.language.context import Context
from chainrule.language.limits import MAX_BITS, too_large
from chainrule.language.parser import COMPARISONS
from chainrule.language.syntax import Add, Binary, Name, Node, Number
from chainrule.language.values import Value
from chainrule.rules import constants
from chainrule.rules import elementwise as rows
from chainrule.rules.table import lookup

_COMPARE: dict[str, tuple[str, bool]] = {
    ">": ("greater", False), ">=": ("greater_equal", False), "<": ("greater", True), "<=":
    ("greater_equal", True),
    "==": ("equal", False), "!=": ("not_equal", False),
}  # fmt: skip
_JOINS = {"&": conditions.logical_and, "or": conditions.logical_or}
_PRODUCTS = {
    ("matrix", "column"): "ij,j->i", ("row", "matrix"): "i,ij->j", ("row", "column"): "i,i->",
    ("column", "row"): "i,j->ij", ("matrix", "matrix"): "ij,jk->ik",
}  # fmt: skip


class Operators(Context):
    """The binary operators and sums."""

    def add(self, node: Add, parts: list[Value]) -> Value:
        values = [self.whole(v, n) for v, n in zip(parts, node.terms, strict=True)]
        terms, shape, row, first = [], values[0].expr.shape, False, 0
        constant: Coefficient | None = Coefficient.of(0)
        for k, (value, sign) in enumerate(zip(values, node.signs, strict=True)):
            if k:
                self.orientation(
                    (values[first], value), (node.terms[first], node.terms[k]), "+" if sign > 0 else "-"
                )
                spans = (node.terms[first].span, node.terms[k].span)
                both = self.common(
                    (shape, value.expr.shape), spans, (values[first].row, value.row), "+" if sign > 0 else "-"
                )
                first, shape = (k, both) if value.rank > values[first].rank else (first, both)
            row = row or value.row
            terms.append(value.expr if sign > 0 else nodes.negate(value.expr))
            if constant is not None:
                mine = value.constant
                constant = None if mine is None else constant + (mine if sign > 0 else -mine)
                constant = None if constant is None else self.check(constant, node.span)
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
                        self.setting.source,
                        spans,
                        (resolved[0], resolved[1]),
                        turned,
                        symbol,
                        self.sizes.shown,
                    ) from None

    def orientation(self, values: tuple[Value, Value], parts: tuple[Node, Node], symbol: str) -> bool:
        """Whether an entrywise result of rank 1 is a row; raises where rows, columns and matrices mix."""
        a, b = values
        shapes, spans = (a.expr.shape, b.expr.shape), (parts[0].span, parts[1].span)
        mixed = a.rank == b.rank == 1 and a.row != b.row
        strict = symbol in ("⊙", "⊘", "⊗", "⊕", "⊖", ".*", "./", ".^") or self.setting.dialect == "matlab"
        if mixed or (strict and {a.rank, b.rank} == {1, 2}):
            problem = problems.entrywise_problem(
                self.setting.source, spans, shapes, (a.row, b.row), symbol, self.sizes.shown
            )
            if not mixed:
                problem.hint = (
                    "a vector and a matrix do not combine entry by entry; diag(x) A scales the rows of A"
                )
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
        if (symbol == "*" and self.setting.dialect == "numpy") or symbol in ("⊙", ".*"):
            return replace(
                self.entrywise(node, left, right, nodes.multiply), constant=self.times(node, left, right)
            )
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
        if symbol in _JOINS:
            # A pass of shape inference knows no more than shapes.
            join = nodes.multiply if self.opaque else _JOINS[symbol]
            self.need_conditions(node, left, right)
            return self.entrywise(node, left, right, join)
        return self.power(node, left, right)

    def need_conditions(self, node: Binary, left: Value, right: Value) -> None:
        for value, part in ((left, node.left), (right, node.right)):
            if not self.opaque and not conditions.is_condition(value.expr):
                raise self.problem(
                    f"{self.text(part)} is not a condition, and {'|' if node.symbol == 'or' else '&'} joins "
                    "conditions",
                    part.span,
                    hint="write (x > 0) & (x < 1), with brackets; a mask of zeros and ones is M == 1",
                )

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
                f"{symbol} is not read without a profile",
                node.place,
                hint="write + or -, or choose profile='notes'",
            )
        self.note("⊗ is read as the Kronecker product; --profile notes reads it entry by entry.")
        if left.rank == right.rank == 1 and left.row != right.row:
            first, second = (left, right) if right.row else (right, left)
            return Value(
                self.built(functions.outer, [first.expr, second.expr], node.place, [node.left, node.right])
            )
        columns = not (left.row or right.row)
        made = self.built(
            lambda a, b: functions.kron(a, b, columns),
            [left.expr, right.expr],
            node.place,
            [node.left, node.right],
        )
        return Value(made, made.rank == 1 and (left.row or right.row))

    def times(self, node: Node, left: Value, right: Value) -> Coefficient | None:
        if left.constant is None or right.constant is None:
            return None
        return self.check(left.constant * right.constant, node.span)

    def divide(self, node: Binary, left: Value, right: Value) -> Value:
        if right.constant is not None and right.constant.is_zero:
            raise self.problem(
                "division by zero", node.right.span, hint="a formula must have a value somewhere"
            )
        solves = right.rank == 2 or (right.rank == 1 and left.rank > 0)
        if node.symbol == "/" and self.setting.dialect == "matlab" and solves:
            raise ShapeMismatch(
                f"/ with a {'matrix' if right.rank == 2 else 'vector'} below is not read",
                source=self.setting.source,
                spans=(node.place,),
                hint="write A*inv(B), or A./B entry by entry",
            )
        if node.symbol == "/" and right.rank and (left.row or right.row):
            strict = replace(node, symbol="⊘")
            return self.entrywise(strict, left, right, nodes.divide)
        value = self.entrywise(node, left, right, nodes.divide)
        if left.constant is not None and right.constant is not None:
            return replace(value, constant=self.check(left.constant * right.constant**-1, node.span))
        return value

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
        if not node.symbol and left.rank and not right.rank:
            self.check_no_index(node)
        if not left.rank or not right.rank:
            made = nodes.multiply(left.expr, right.expr)
            return Value(made, left.row or right.row, self.times(node, left, right))
        kinds = (left.kind, right.kind)
        sign = self.setting.source[node.place.start : node.place.end]
        if kinds == ("column", "column") and sign == "×":
            raise self.problem(
                "x × y may mean the cross product, which is not in the language",
                node.place,
                hint="write x · y for the dot product, x ⊙ y entry by entry",
            )
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

    def check_no_index(self, node: Binary) -> None:
        """x(1) and x(k) of a vector may mean an entry; a product with a longer factor may not."""
        a, b = node.left.span, node.right.span
        called = a.end == b.start and self.setting.source[b.start : b.start + 1] == "("
        if called and isinstance(node.left, Name) and isinstance(node.right, Name | Number):
            raise self.problem(
                "an entry or a product: this can be read in two ways",
                node.span,
                hint=f"{node.left.name}₁ is the first entry; write · between two factors",
            )

    def power(self, node: Binary, base: Value, exponent: Value) -> Value:
        symbol = node.symbol
        self.check_power(node, base, exponent)
        if base.rank == 2 and symbol in ("^", "sup"):
            return self.matrix_power(node, base, exponent)
        if isinstance(base.expr, Apply) and base.expr.function is constants.E:
            if symbol in ("^", "sup") and exponent.rank == 2:
                raise ShapeMismatch(
                    "the exponential of a matrix is not in the language",
                    source=self.setting.source,
                    spans=(node.span,),
                    hint="exp(A) is the exponential of each entry",
                )
            return Value(elementwise(rows.exp, exponent.expr), exponent.row)
        if symbol == "^" and self.setting.dialect == "matlab" and (base.rank or exponent.rank):
            raise ShapeMismatch(
                "^ needs a scalar or a square matrix",
                source=self.setting.source,
                spans=(node.left.span, node.place),
                hint="write .^ for the power of each entry",
            )
        value = self.entrywise(node, base, exponent, lambda a, b: elementwise(rows.power, a, b))
        return replace(value, constant=self.constant_power(node, base.constant, exponent.constant))

    def check_power(self, node: Binary, base: Value, exponent: Value) -> None:
        if exponent.constant is None or exponent.constant.powers:
            return
        p = exponent.constant.rational
        if base.constant is not None and base.constant.is_zero and p < 0:
            raise self.problem(
                "0 to a negative power is a division by zero",
                node.span,
                hint="a formula must have a value somewhere",
            )
        if (
            base.constant is not None
            and not base.constant.powers
            and base.constant.rational < 0
            and p.denominator != 1
        ):
            raise self.imaginary(node.span)

    def constant_power(
        self, node: Node, base: Coefficient | None, p: Coefficient | None
    ) -> Coefficient | None:
        if base is None or p is None or p.powers:
            return None
        bits = max(base.rational.numerator.bit_length(), base.rational.denominator.bit_length())
        if abs(p.rational) * bits > MAX_BITS and bits > 1:
            raise too_large(self.setting.source, node.span)
        if p.rational.denominator != 1 or abs(p.rational) > MAX_BITS:
            return None
        return self.check(base ** int(p.rational), node.span)

    @property
    def mark(self) -> str:
        """The dialect's sign of the power of each entry."""
        return "**" if self.setting.dialect == "numpy" else ".^"

    def matrix_power(self, node: Binary, base: Value, exponent: Value) -> Value:
        k = exponent.constant
        if k is None or k.powers or k.rational.denominator != 1:
            raise ShapeMismatch(
                "a matrix has integer powers only",
                source=self.setting.source,
                spans=(node.right.span,),
                hint=f"X{self.mark}p is the power of each entry",
            )
        count = int(k.rational)
        if count == -1:
            return Value(self.built(functions.inv, [base.expr], node.span, [node.left]))
        try:
            made = self.sizes.build(lambda X: functions.matrix_power(X, count), [base.expr])
        except ShapeMismatch as problem:
            where = [(node.left.span, base.expr.shape)]
            told = problems.call_problem(problem, self.setting.source, node.span, where, self.sizes.shown)
            told.hint += f"; {self.text(node.left)}{self.mark}{count} is the power of each entry"
            raise told from None
        return Value(made)
