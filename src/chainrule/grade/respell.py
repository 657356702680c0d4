"""Small changes of what a person wrote: a factor transposed, two exchanged, a diag or a sum put in.

In: the text of a claim. Out: other texts, each with the code of the mistake that it would undo. Nothing is
judged here, and most of the texts make no sense.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations

from chainrule.errors import Span
from chainrule.language.parser import COMPARISONS
from chainrule.language.syntax import (
    Add,
    Binary,
    Bracket,
    Call,
    Name,
    Node,
    Number,
    Postfix,
    Special,
    Statement,
    Subscript,
    post_order,
)  # fmt: skip

PRODUCTS = ("@", "*", "", "·")
AXES = re.compile(r"\[\s*(?::\s*,\s*None|None\s*,\s*:)\s*\]")
LONGEST = 4  # factors that are tried in every order
TRANSPOSED = ("ᵀ", ".T", "'", ".'")


@dataclass(frozen=True, slots=True)
class Respelling:
    """Another text, and what it changes: the code, a sentence, the place in the text before.

    part    the text that is changed
    scalar  whether the change is one of scalars only
    left    what stands on the left after an exchange; what a transpose that is taken away stood on
    """

    text: str
    code: str
    says: str
    span: Span
    part: str
    left: str = ""
    scalar: bool = False


def respellings(text: str, statements: list[Statement], matlab: bool = False) -> Iterator[Respelling]:
    """Every text that is one change away.

    >>> from chainrule.language.formula import outline
    >>> source = "A @ x"
    >>> [r.text for r in respellings(source, outline(source, "A[m,n] x[m]").statements)][:2]
    ['Aᵀ @ x', 'A @ xᵀ']
    """
    speller = _Speller(text, matlab)
    nodes = [node for statement in statements for node in post_order(statement.value)]
    turned = [node.operand for node in nodes if isinstance(node, Postfix) and node.symbol in TRANSPOSED]
    speller.turned = {id(node) for node in turned}
    conditions = [node for node in nodes if _is_condition(node)]
    speller.compared = {id(n) for c in conditions for n in post_order(c) if n is not c}
    yield from speller.without_axes()
    for make in (speller.transposed, speller.exchanged, speller.diagonal, speller.summed, speller.opened):
        for node in sorted(nodes, key=lambda n: (n.span.end - n.span.start, n.span.start)):
            yield from make(node)


class _Speller:
    def __init__(self, text: str, matlab: bool) -> None:
        self.text, self.matlab = text, matlab
        self.turned: set[int] = set()  # what stands under a transpose
        self.compared: set[int] = set()  # what stands in a condition

    def of(self, node: Node) -> str:
        return self.text[node.span.start : node.span.end]

    def closed(self, node: Node) -> str:
        """The text of a part with brackets around it, unless it is one thing."""
        part = self.of(node)
        return part if isinstance(node, Name | Number | Special | Call) or _is_closed(part) else f"({part})"

    def bare(self, node: Node) -> str:
        """The text of a part without brackets around it."""
        part = self.of(node)
        return part[1:-1] if part.startswith("(") and _is_closed(part) else part

    def untransposed(self, node: Node) -> str:
        """The text of a part without brackets around it, or of what is transposed in it."""
        if isinstance(node, Postfix) and node.symbol in TRANSPOSED:
            return self.bare(node.operand)
        return self.bare(node)

    def put(self, node: Node, part: str, code: str, says: str, left: str = "") -> Respelling:
        start, end = node.span.start, node.span.end
        whole = self.text[:start] + part + self.text[end:]
        return Respelling(whole, code, says, node.span, self.of(node), left)

    def without_axes(self) -> Iterator[Respelling]:
        """All axes that [:, None] and [None, :] add taken away: in NumPy they make rows and columns."""
        bare = AXES.sub("", self.text)
        if bare != self.text:
            says = f"a row and a column are combined: {bare.strip()} is meant"
            yield Respelling(bare, "row-column", says, Span(0, len(self.text)), self.text)

    def transposed(self, node: Node) -> Iterator[Respelling]:
        shown = self.of(node)
        if isinstance(node, Postfix) and node.symbol in TRANSPOSED:
            bare = self.closed(node.operand)
            yield self.put(
                node, bare, "transposed", f"a transpose is too many: {bare} belongs in place of {shown}", bare
            )
        elif isinstance(node, Name | Special | Call | Add | Binary | Subscript | Postfix):
            if id(node) in self.turned or _is_condition(node):
                return
            turned = self.closed(node) + ("'" if self.matlab else "ᵀ")
            says = f"a transpose is missing: {turned} belongs in place of {shown}"
            yield self.put(node, turned, "transposed", says)

    def exchanged(self, node: Node) -> Iterator[Respelling]:
        if not isinstance(node, Binary) or node.symbol not in PRODUCTS:
            return
        sign = f" {node.symbol} " if node.symbol else " "
        a, b = self.closed(node.left), self.closed(node.right)
        says = f"the factors stand in the wrong order in {self.of(node)}"
        yield self.put(node, f"({b}{sign}{a})", "order", says, b)
        factors = self.factors(node)
        if 2 < len(factors) <= LONGEST:
            parts = [self.closed(factor) for factor in factors]
            for order in list(permutations(parts))[1:]:
                yield self.put(node, f"({sign.join(order)})", "order", says, order[0])
        if not self.matlab:
            bare = f"{self.untransposed(node.left)}, {self.untransposed(node.right)}"
            kind = "a vector" if node.symbol == "*" else "a number"
            says = f"the product {self.of(node)} is {kind}; outer({bare}) is the matrix of all products"
            yield self.put(node, f"outer({bare})", "shape", says)
        if node.symbol == "*" and not self.matlab:
            says = f"* multiplies entry by entry; {a} @ {b} is the product"
            yield self.put(node, f"({a} @ {b})", "shape", says)

    def factors(self, node: Binary) -> list[Node]:
        """The factors of a chain of products with one sign."""
        found: list[Node] = [node.right]
        inner = node.left
        while isinstance(inner, Binary) and inner.symbol == node.symbol and not _is_closed(self.of(inner)):
            found.append(inner.right)
            inner = inner.left
        return [inner, *reversed(found)]

    def diagonal(self, node: Node) -> Iterator[Respelling]:
        shown = self.of(node)
        if isinstance(node, Call) and node.name == "diag" and len(node.arguments) == 1:
            bare = self.closed(node.arguments[0])
            yield self.put(node, bare, "diag", f"a diag is too many: {bare} belongs in place of {shown}")
            whole = f"{bare}{'*' if self.matlab else ' * '}I"
            says = f"diag takes a vector, and {bare} is a scalar: {whole} belongs in place of {shown}"
            yield replace(self.put(node, whole, "diag", says), scalar=True)
            return
        if isinstance(node, Add):
            for term in node.terms:
                whole = f"{self.closed(term)}{'*' if self.matlab else ' * '}I"
                says = f"the identity is missing: {whole} belongs in place of {self.of(term)}"
                yield replace(self.put(term, whole, "diag", says), scalar=True)
        if isinstance(node, Number) or id(node) in self.compared:
            return
        whole = f"diag({self.bare(node)})"
        yield self.put(node, whole, "diag", f"a diag is missing: {whole} belongs in place of {shown}")
        if isinstance(node, Binary) and node.symbol in ("*", "⊙", ".*", ""):
            a, b, by = self.closed(node.left), self.closed(node.right), "*" if self.matlab else "@"
            for left, right in (
                (f"diag({self.bare(node.left)})", b),
                (a, f"diag({self.bare(node.right)})"),
            ):
                says = f"a diag is missing: {left} {by} {right} belongs in place of {shown}"
                yield self.put(node, f"({left} {by} {right})", "diag", says)

    def summed(self, node: Node) -> Iterator[Respelling]:
        shown = self.of(node)
        if isinstance(node, Call) and node.name in ("sum", "mean") and node.arguments:
            bare = self.closed(node.arguments[0])
            yield self.put(node, bare, "sum", f"a sum is too many: {shown} adds up what stays apart")
        if isinstance(node, Number) or _is_condition(node):
            return
        axes = ("",) if self.matlab else ("", ", axis=0", ", axis=1")
        for axis in axes:
            whole = f"sum({self.bare(node)}{axis})"
            says = f"a sum is missing: {whole} belongs in place of {shown}"
            yield self.put(node, whole, "sum", says)

    def opened(self, node: Node) -> Iterator[Respelling]:
        """A condition taken as true."""
        shown = self.of(node)
        if isinstance(node, Bracket) or _is_condition(node):
            yield self.put(node, "(1)", "condition", self.bare(node))
        if isinstance(node, Call) and node.name == "sign":
            yield self.put(node, "(1)", "condition", shown)
        if isinstance(node, Call) and node.name == "where" and len(node.arguments) == 3:
            for branch in node.arguments[1:]:
                yield self.put(node, self.closed(branch), "condition", self.of(node.arguments[0]))
        if isinstance(node, Subscript) and any(self.of(item) == "None" for item in node.items):
            bare = self.closed(node.operand)
            yield self.put(
                node,
                bare,
                "row-column",
                f"a row and a column are combined: {bare} belongs in place of {shown}",
            )


def _is_closed(text: str) -> bool:
    """Whether the bracket at the start is closed at the end."""
    depth = 0
    for k, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return k == len(text) - 1
    return False


def _is_condition(node: Node) -> bool:
    return isinstance(node, Binary) and node.symbol in COMPARISONS
