"""Syntax tree to expression: names, shapes, broadcasting, rows and columns.

In: statements whose names are resolved, and the shape of every variable. Out: values, which are expressions
with the orientation that notation needs: a rank-1 value is a column unless ᵀ made it a row. Nothing is
simplified.

With `opaque` set, every value is replaced by a placeholder of its shape: that is a pass of shape inference,
cheap however deep the formula is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chainrule.errors import UnknownName
from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Apply, Variable, number
from chainrule.language.attachments import Attachments
from chainrule.language.calls import Calls
from chainrule.language.limits import check_number, check_shape
from chainrule.language.operators import Operators
from chainrule.language.parser import CONDITIONS
from chainrule.language.subscripts import REST
from chainrule.language.syntax import (
    Add,
    Bars,
    Binary,
    Bracket,
    Call,
    Listing,
    Name,
    Node,
    Number,
    Place,
    Postfix,
    Prefix,
    Slice,
    Special,
    Statement,
    Subscript,
    Text,
    post_order,
)  # fmt: skip
from chainrule.language.values import NOTHING, Value
from chainrule.rules import constants
from chainrule.rules.indexing import index_bound


class Elaborator(Operators, Calls, Attachments):
    """One pass over the statements of a formula."""

    def run(self, statements: Sequence[Statement]) -> Value:
        """The value of the last statement; the named parts are left in `environment`."""
        value = Value(NOTHING)
        for statement in statements:
            value = self.statement(statement)
            if statement.name:
                self.environment[statement.name] = value
        return value

    def statement(self, statement: Statement) -> Value:
        if statement.output is None or self.setting.instances:
            return self.value(statement.value)
        return self.indexed(statement)

    def indexed(self, statement: Statement) -> Value:
        """A statement in index notation; `index` extends this class by it."""
        raise self.problem("index notation is not read here", statement.span)

    def value(self, root: Node) -> Value:
        """The value of a tree: its nodes one after the other, parts first."""
        values: dict[int, Value] = {}
        for node in post_order(root):
            value = self.node(node, [values.pop(id(child)) for child in node.children])
            check_shape(value.expr.shape, self.setting.source, node.span)
            if self.opaque:
                value = self.veiled(value, node)
            values[id(node)] = value
        return self.whole(values[id(root)], root)

    def veiled(self, value: Value, node: Node) -> Value:
        """The value as a placeholder of its shape."""
        if isinstance(value.expr, Variable) or (value.constant is not None and not value.rank) or value.items:
            return value
        bound = index_bound(value.expr)
        structure = () if bound is None else (f"integer({bound})",)
        name = f"%{node.span.start}:{node.span.end}"
        return replace(value, expr=Variable(name, value.expr.shape, structure))

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
                if not isinstance(node.operand, Binary) or node.operand.symbol not in CONDITIONS:
                    raise self.problem(
                        "1[...] is the indicator of a condition", node.span, hint="write 1[z > 0]"
                    )
                return parts[0]
            case Call():
                return self.call(node, parts)
            case Slice():
                return self.slice(node, parts)
            case Subscript():
                return self.subscript(node, parts)
            case Listing():
                return self.listing(node, parts)
            case Place():
                raise self.problem("this is index notation", node.span, hint="write Y_ij = ... on the left")
            case _:
                raise AssertionError(type(node))

    def name(self, node: Name) -> Value:
        name = node.name
        if name in self.environment:
            return self.environment[name]
        if name in self.variables:
            return Value(self.variables[name])
        if name in self.setting.instances:
            return Value(self.setting.instances[name].symbol(name))
        if name in self.setting.dims:
            return Value(number(Dim.of(name)), constant=Coefficient.of(Dim.of(name)))
        if name in self.setting.assigned:
            raise UnknownName(
                f"{name} is used before it is given a value",
                source=self.setting.source,
                spans=(node.span,),
                hint=f"move the line {name} = ... up, or give the part another name",
            )
        if name in ("e", "pi"):
            return Value(Apply(constants.E if name == "e" else constants.PI))
        assert name == "I", name
        return self.identity(node, None)

    def special(self, node: Special) -> Value:
        match node.symbol:
            case "None":
                return Value(NOTHING, absent=True)
            case "...":
                return Value(NOTHING, item=REST)
            case "𝟏" | "𝟎":
                return Value(number(int(node.symbol == "𝟏"), (self.fresh(node),)))
            case "I":
                return self.identity(node, None)
            case symbol if symbol.startswith("𝐞"):
                return self.unit_vector(node, symbol[1:])
            case _:
                raise self.problem(
                    "δ_ij stands only in index notation", node.span, hint="write Y_ij = ... on the left"
                )
