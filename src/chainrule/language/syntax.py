"""The syntax tree: what was written, with the place of every part. No meaning, no shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from chainrule.errors import Span


@dataclass(slots=True, eq=False)
class Node:
    """A part of a formula; `span` covers its brackets too."""

    span: Span

    @property
    def children(self) -> Sequence[Node]:
        """Its parts, in the order in which they were written."""
        return ()


@dataclass(slots=True, eq=False)
class Number(Node):
    """A number, exact."""

    value: Fraction


@dataclass(slots=True, eq=False)
class Name(Node):
    """A variable, a named part, a size or a named constant; `name` is its stored spelling."""

    name: str


@dataclass(slots=True, eq=False)
class Text(Node):
    """A text in quotes: the specification of an einsum."""

    text: str


@dataclass(slots=True, eq=False)
class Special(Node):
    """𝟏, 𝟎, 𝐞 or None."""

    symbol: str


@dataclass(slots=True, eq=False)
class Prefix(Node):
    """-x, +x, √x, or a sum over indices (Σ_k, with the indices in `indices`)."""

    symbol: str
    operand: Node
    indices: str = ""

    @property
    def children(self) -> Sequence[Node]:
        return (self.operand,)


@dataclass(slots=True, eq=False)
class Add(Node):
    """A chain of + and -, flat; `signs` are 1 and -1."""

    terms: list[Node]
    signs: list[int]

    @property
    def children(self) -> Sequence[Node]:
        return self.terms


@dataclass(slots=True, eq=False)
class Binary(Node):
    """Two operands; `symbol` is the operator, "" for juxtaposition, "sup" for a superscript."""

    symbol: str
    left: Node
    right: Node
    place: Span

    @property
    def children(self) -> Sequence[Node]:
        return (self.left, self.right)


@dataclass(slots=True, eq=False)
class Postfix(Node):
    """xᵀ, x⁻ᵀ, x.T, or x with an index below it (`indices`)."""

    symbol: str
    operand: Node
    indices: str = ""

    @property
    def children(self) -> Sequence[Node]:
        return (self.operand,)


@dataclass(slots=True, eq=False)
class Call(Node):
    """A function or method with its arguments; `place` is where its name stands."""

    name: str
    arguments: list[Node]
    keywords: dict[str, Node]
    place: Span

    @property
    def children(self) -> Sequence[Node]:
        return (*self.arguments, *self.keywords.values())


@dataclass(slots=True, eq=False)
class Subscript(Node):
    """x[...] with its items."""

    operand: Node
    items: list[Node]

    @property
    def children(self) -> Sequence[Node]:
        return (self.operand, *self.items)


@dataclass(slots=True, eq=False)
class Slice(Node):
    """start:stop:step inside a subscript."""

    bounds: tuple[Node | None, Node | None, Node | None]

    @property
    def children(self) -> Sequence[Node]:
        return tuple(bound for bound in self.bounds if bound is not None)


@dataclass(slots=True, eq=False)
class Listing(Node):
    """Entries in brackets; a semicolon stands before each of `breaks`; `form` is [ or (."""

    entries: list[Node]
    form: str
    breaks: list[int] = field(default_factory=list)

    @property
    def children(self) -> Sequence[Node]:
        return self.entries


@dataclass(slots=True, eq=False)
class Bars(Node):
    """‖x‖ or |x|; an index below the norm (‖x‖₁) is in `kind`."""

    symbol: str
    operand: Node
    kind: str = ""

    @property
    def children(self) -> Sequence[Node]:
        return (self.operand,)


@dataclass(slots=True, eq=False)
class Bracket(Node):
    """1[z > 0]: the indicator of a condition; [i = j] in index notation."""

    operand: Node

    @property
    def children(self) -> Sequence[Node]:
        return (self.operand,)


@dataclass(slots=True, eq=False)
class Place(Node):
    """[k = i + 1], [i = 2], [k ≤ i] in index notation.

    What the sum of names times numbers, `terms`, has to do with 0; "" is the name of the constant.
    """

    sign: str
    terms: tuple[tuple[str, int], ...]

    @property
    def is_delta(self) -> bool:
        """Whether it is [i = j]."""
        return self.sign == "==" and sorted(count for _, count in self.terms) == [-1, 1]


@dataclass(slots=True, eq=False)
class Statement:
    """`name = value`, or a value alone; `output` are the axes that index notation declares on the left."""

    name: str
    value: Node
    span: Span
    output: str | None = None
    sources: list[tuple[str, str]] = field(default_factory=list)  # the indexed names on the left: Y with ij
    local: list[Statement] = field(default_factory=list)


def post_order(root: Node) -> list[Node]:
    """Every node below `root`, parts first; no recursion."""
    order: list[Node] = []
    pending = [root]
    while pending:
        node = pending.pop()
        order.append(node)
        pending.extend(node.children)
    order.reverse()
    return order
