"""What every part of the elaboration needs: the names, the sizes, how a problem is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chainrule.errors import ShapeMismatch, Span, SyntaxProblem
from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Expr, Variable
from chainrule.language import functions, problems
from chainrule.language.instances import Instance
from chainrule.language.limits import MAX_DEGREE, check_number, check_shape
from chainrule.language.parser import QUOTES
from chainrule.language.sizes import Sizes
from chainrule.language.syntax import Listing, Node
from chainrule.language.unknown import NONE, Functions
from chainrule.language.values import Value, as_dim


@dataclass(frozen=True, slots=True)
class Setting:
    """What a formula is read in.

    instances  the names that stand for one instance of an array, if the formula is written so
    """

    source: str
    dialect: str
    profile: str | None
    dims: frozenset[str]
    assigned: frozenset[str]
    functions: Functions = NONE
    instances: Mapping[str, Instance] = field(default_factory=dict)


class Context:
    """The state of one pass over a formula.

    environment  the values of the parts that the person named
    notes        sentences about how ambiguous signs were read
    """

    def __init__(
        self, setting: Setting, variables: Mapping[str, Variable], sizes: Sizes, opaque: bool = False
    ) -> None:
        self.setting, self.variables, self.sizes, self.opaque = setting, variables, sizes, opaque
        self.environment: dict[str, Value] = {}
        self.notes: list[str] = []

    def problem(self, message: str, *spans: Span, hint: str = "") -> SyntaxProblem:
        return SyntaxProblem(message, source=self.setting.source, spans=spans, hint=hint)

    def note(self, sentence: str) -> None:
        if sentence and sentence not in self.notes:
            self.notes.append(sentence)

    def whole(self, value: Value, node: Node) -> Value:
        """The value as an expression: a list becomes a vector; a text or a slice is out of place."""
        if value.text is not None:
            raise self.problem("a text in quotes is not a value", node.span, hint=QUOTES)
        if value.absent or value.item is not None:
            raise self.problem("None stands only in subscripts", node.span, hint="x[:, None] adds an axis")
        if value.items is None:
            return value
        assert isinstance(node, Listing)
        if node.form == "(":
            raise self.problem("a formula has one value", node.span, hint="write [a, b] for a vector of two")
        entries = [self.whole(v, n) for v, n in zip(value.items, node.entries, strict=True)]
        made = self.built(functions.stack, [e.expr for e in entries], node.span, node.entries)
        check_shape(made.shape, self.setting.source, node.span)
        return Value(made, row=value.row)

    def fresh(self, node: Node, slot: int = 0) -> Dim:
        """An unknown size, the same in every pass."""
        return self.sizes.resolve(Dim.of(f"?{node.span.start}.{slot}"))

    def built(
        self, make: Callable[..., Expr], exprs: Sequence[Expr], place: Span, parts: Sequence[Node] = ()
    ) -> Expr:
        """make(*exprs), with sizes inferred; its complaint is told with the place and the shapes."""
        try:
            return self.sizes.build(make, exprs)
        except ShapeMismatch as problem:
            where = [(part.span, e.shape) for part, e in zip(parts, exprs, strict=False)]
            raise problems.call_problem(
                problem, self.setting.source, place, where, self.sizes.shown
            ) from None

    def check(self, value: Coefficient, span: Span) -> Coefficient | None:
        """The number, unless it is too long a polynomial to be a size; raises if no float can hold it."""
        check_number(value.rational, self.setting.source, span)
        return value if sum(abs(e) * len(d.terms) for d, e in value.powers) <= MAX_DEGREE else None

    def size(self, value: Value, node: Node) -> Dim:
        """The value as a size: an integer, or a polynomial in declared sizes."""
        found = as_dim(value.constant)
        if found is None or value.rank:
            raise self.problem(
                f"a size or an index stands here, not {self.text(node)}",
                node.span,
                hint="integers, and sizes that a declaration names, such as n in x[n]",
            )
        return found

    def text(self, node: Node) -> str:
        return problems.part_text(self.setting.source, node.span, "it")

    def forces(self, node: Node, value: Value, what: str) -> None:
        """While shapes are inferred, an operation that makes no sense on a scalar says so."""
        if self.opaque and not value.rank and value.constant is None:
            raise ShapeMismatch(
                f"{what} of a scalar",
                source=self.setting.source,
                spans=(node.span,),
                hint="declare the shape of what it is applied to",
            )

    def imaginary(self, span: Span) -> SyntaxProblem:
        return self.problem(
            "this is a complex number; chainrule works on real ones",
            span,
            hint="a root or logarithm of a negative number",
        )

    def check_positive(self, span: Span, operand: Value, name: str) -> None:
        constant = operand.constant
        if constant is None or constant.powers or name not in ("√", "sqrt", "log", "ln"):
            return
        if constant.rational < 0:
            raise self.imaginary(span)
        if constant.rational == 0 and name in ("log", "ln"):
            raise self.problem(
                "the logarithm of 0 is not a number", span, hint="a formula must have a value somewhere"
            )
