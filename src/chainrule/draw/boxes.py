"""A product of Jacobians as boxes in proportion to their sizes: 1 × N · N × N · N × n = 1 × n.

In: a Flow and a variable. Out: a Drawing with one line of boxes for each path. A diagonal matrix is a box
with a diagonal, the identity has its entries along it, a scalar is a small square. Derivatives by matrices
are drawn as ∂vec(Y)/∂vec(X). Source: Parr and Howard 2018, section 4.1 (shapes of derivatives), table 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from chainrule.derive import jacobians
from chainrule.derive.flow import Flow
from chainrule.draw.manner import PLAIN, Manner
from chainrule.draw.maths import Maths, joined, of_text, of_tree, plain, shortened, text, text_width
from chainrule.draw.sizes import lengths
from chainrule.draw.svg import Drawing, element, escape, framed
from chainrule.draw.symbols import Symbols
from chainrule.draw.words import counted
from chainrule.errors import LimitExceeded, OptionError
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Einsum, Expr, Shape, Variable
from chainrule.expr.walk import topological
from chainrule.notation import matform as m
from chainrule.notation.layout import chain_layout, is_turned
from chainrule.notation.present import present
from chainrule.notation.recover import number
from chainrule.notation.text import dim_text, to_text
from chainrule.simplify import simplify

UNITY = Dim.of(1)
MOST_PATHS = 6
MOST_FACTORS, SHOWN = 12, 4  # a longer chain shows so many at its beginning and at its end
LARGEST_VALUE = 60  # nodes of what is written below a box
NAME, VALUE, SIZE = 15.0, 12.5, 11.5  # font sizes
LONGEST_VALUE = 13.0  # in font sizes
SPACE = 46.0  # between two boxes, for the sign between them and a size
ROWS = 14.0  # of it for the size
FIRST = 20.0  # before the first box, for its size
MARGIN = 16.0
WIDEST = 1100.0  # a longer product goes on in the next line


@dataclass(frozen=True, slots=True)
class Block:
    """A matrix to be drawn.

    name   what it is: ∂z/∂w
    value  what it is equal to, if that is known
    kind   full, diagonal, identity, scalar, zero, or gap for factors that are not shown
    entry  what stands along the diagonal of an identity: 1, −1
    """

    name: Maths
    rows: Dim = UNITY
    columns: Dim = UNITY
    kind: str = "full"
    value: Maths | None = None
    entry: str = "1"

    @property
    def sizes(self) -> str:
        """Rows × columns."""
        return "scalar" if self.kind == "scalar" else f"{_bracketed(self.rows)} × {_bracketed(self.columns)}"

    @property
    def text(self) -> str:
        """All of it in words."""
        if self.kind == "gap":
            return self.name.text
        value = f" = {self.value.text}" if self.value else ""
        kind = f", {self.kind}" if self.kind in ("diagonal", "identity", "zero") else ""
        return f"{self.name.text}{value}, {self.sizes}{kind}"


def boxes(
    flow: Flow,
    wrt: Variable | None = None,
    *,
    manner: Manner = PLAIN,
    derivative: Expr | None = None,
) -> Drawing:
    """The chain rule for the output of a formula by one of its variables, as boxes.

    `derivative` is the result, if it is known already.
    Raises: OptionError if it is not differentiated by the variable; LimitExceeded beyond MOST_PATHS paths.

    >>> from chainrule.derive.flow import flow
    >>> from chainrule.expr.nodes import Variable
    >>> x = Variable("x", (Dim.of("n"),))
    >>> boxes(flow((x * x).sum(), [x])).alt.splitlines()[0]
    'Boxes of ∂y/∂x = ∂y/∂u · ∂u/∂x: 1 × n · n × n = 1 × n'
    """
    by = flow.wrt[0] if wrt is None else wrt
    if by not in flow.wrt:
        raise OptionError(f"the formula is not differentiated by {by.name}")
    count = flow.count_paths(by)
    if count > MOST_PATHS:
        raise LimitExceeded(
            f"{counted(count)} paths lead from {by.name} to {flow.output.name}, "
            f"and boxes are drawn for up to {MOST_PATHS}",
            hint="the graph shows them all",
        )
    rows, result = chains(flow, by, manner, derivative)
    return draw_product(rows, result, manner)


def chains(
    flow: Flow, by: Variable, manner: Manner = PLAIN, derivative: Expr | None = None
) -> tuple[list[list[Block]], Block]:
    """The factors along each path in the order in which they are multiplied, and the result."""
    found = sorted(flow.paths(by), key=lambda path: (len(path), [v.name for v in path]))
    # A matrix that stands for an intermediate variable is stacked into a vector, and then all of them are.
    vec = any(
        a.rank + b.rank > 2 or (b.rank > 1 and b is not by) for path in found for a, b in pairwise(path)
    )
    return _Chains(flow, manner, vec).along(found, by, derivative)


@dataclass(frozen=True)
class _Chains:
    """Blocks of one formula; vec: matrices are stacked into vectors."""

    flow: Flow
    manner: Manner
    vec: bool

    @property
    def layout(self) -> str:
        return chain_layout(self.flow.output.symbol.rank, self.manner.layout)

    def along(
        self, paths: Sequence[tuple[Variable, ...]], by: Variable, derivative: Expr | None
    ) -> tuple[list[list[Block]], Block]:
        rows = [self._row(path) for path in paths]
        if [len(row) for row in rows] == [1]:  # a product of one factor says nothing
            rows = []
        output = self.flow.output
        result = self._block(
            Symbols(self.flow).total(by, self.vec), output.whole, output.symbol, by, derivative
        )
        fits = result.value is not None and result.value.width(1) <= LONGEST_VALUE
        return rows, result if fits else replace(result, value=None)

    def _row(self, path: tuple[Variable, ...]) -> list[Block]:
        ends = [(self.flow.by_symbol[b], a) for a, b in pairwise(path)]
        hidden = len(ends) > MOST_FACTORS
        shown = [*ends[:SHOWN], *ends[-SHOWN:]] if hidden else ends
        symbols = Symbols(self.flow)
        row = [self._block(symbols.local(p, a, self.vec), p.value, p.symbol, a) for p, a in shown]
        if hidden:
            row.insert(SHOWN, Block(plain(f"{len(ends) - 2 * SHOWN} factors not shown"), kind="gap"))
        return row if self.layout == "denominator" else row[::-1]

    def _block(
        self, name: m.Tree, value: Expr, of: Variable, by: Variable, derivative: Expr | None = None
    ) -> Block:
        """The derivative of a value, which `of` stands for."""
        found = derivative
        if found is None:
            found = simplify(jacobians(value, [by], self.manner.at_kink)[by])
        kind, entry = _kind(found, of.rank)
        turned = is_turned(of.rank, by.rank, self.layout)
        shown = None
        if of.rank + by.rank <= 2 and not (self.vec and max(of.rank, by.rank) > 1):
            shape = found.shape[::-1] if turned else found.shape
            rows, columns = shape if len(shape) == 2 else (_count(shape), UNITY)
            if len(shape) == 1 and turned:
                rows, columns = columns, rows
            if len(topological([found])) <= LARGEST_VALUE:
                shown = of_tree(present(found, turned=turned).tree, self.manner.profile)
        else:
            rows, columns = _count(of.shape), _count(by.shape)
            if self.layout == "denominator":
                rows, columns = columns, rows
        return Block(of_tree(name), rows, columns, kind, shown, entry)


def _count(shape: Shape) -> Dim:
    total = UNITY
    for dim in shape:
        total = total * dim
    return total


def _kind(value: Expr, output: int) -> tuple[str, str]:
    """What kind of matrix a Jacobian is, and the entry of an identity."""
    if not value.rank:
        return "scalar", ""
    if isinstance(value, Einsum):
        if value.coefficient.is_zero:
            return "zero", ""
        if output and value.output[:output] == value.output[output:] and value.rank == 2 * output:
            if value.operands:
                return "diagonal", ""
            sign = "−" if value.coefficient.rational < 0 else ""
            size = -value.coefficient if sign else value.coefficient
            return "identity", sign + to_text(number(size))
    return "full", ""


def _bracketed(dim: Dim) -> str:
    return f"({dim_text(dim)})" if len(dim.terms) > 1 else dim_text(dim)


# ---------------------------------------------------------------- drawing


def equation(rows: Sequence[Sequence[Block]], result: Block) -> str:
    """The product in one line: names, then sizes."""
    if not rows:
        return f"{result.name.text}: {result.sizes}"
    names = " + ".join(" · ".join(b.name.text for b in row) for row in rows)
    if len(rows) == 1 and len(rows[0]) > 1:
        sizes = " · ".join(b.sizes if b.kind != "gap" else "⋯" for b in rows[0])
        return f"{result.name.text} = {names}: {sizes} = {result.sizes}"
    return f"{result.name.text} = {names}: {result.sizes}"


def draw_product(rows: Sequence[Sequence[Block]], result: Block, manner: Manner = PLAIN) -> Drawing:
    """Products of blocks, one line for each, whose sum is the result.

    >>> n = Dim.of("n")
    >>> row = Block(plain("a"), columns=n)
    >>> draw_product([[row]], row).alt.splitlines()[1]
    'Factors: a, 1 × n. Result: a, 1 × n.'
    """
    shown = [b for row in rows for b in row if b.kind != "gap"]
    scale = lengths(d for b in (*shown, result) for d in (b.rows, b.columns))
    body: list[str] = []
    top, width = MARGIN, 0.0
    for line in _lines(rows, result, scale):
        body.extend(line.elements(top))
        top += line.height
        width = max(width, line.width)
    told = [f"Path {k}: {'; '.join(b.text for b in row)}." for k, row in enumerate(rows, 1)]
    factors = " ".join(told) if len(rows) > 1 else f"Factors: {'; '.join(b.text for b in shown)}."
    description = f"{factors} Result: {result.text}." if rows else f"Result: {result.text}."
    title = f"Boxes of {equation(rows, result)}"
    return framed(body, (width + 2 * MARGIN, top + MARGIN - 8), title, description, manner)


def _lines(rows: Sequence[Sequence[Block]], result: Block, scale: Mapping[Dim, float]) -> Iterator[_Line]:
    """Each product on a line, or on several if it is long; the result stands at the end of the last one."""
    signed = [("" if not k else "·" if n else "+", b) for k, (n, b) in enumerate(
        (n, b) for row in rows for n, b in enumerate(row)
    )]  # fmt: skip
    signed.append(("=" if signed else "", result))
    line: list[tuple[str, Block]] = []
    for sign, block in signed:
        longer = _Line([*line, (sign, block)], result, scale)
        if line and (sign == "+" or longer.width > WIDEST):
            yield _Line(line, result, scale)
            line = []
        line.append((sign, block))
    yield _Line(line, result, scale)


class _Line:
    """Blocks side by side with signs between them, names and values below."""

    def __init__(self, items: Sequence[tuple[str, Block]], result: Block, scale: Mapping[Dim, float]) -> None:
        self.items, self.result, self.scale = list(items), result, scale
        self.tall = max(self._extent(b)[1] for _, b in self.items)
        has_values = any(b.value for _, b in self.items)
        self.height = 20 + self.tall + 30 + (18 if has_values else 0) + 14
        self.width = sum(self._before(sign, b) + self._room(b) for sign, b in self.items)

    def _extent(self, block: Block) -> tuple[float, float]:
        if block.kind == "gap":
            return 30.0, 12.0
        return self.scale[block.columns], self.scale[block.rows]

    def _before(self, sign: str, block: Block) -> float:
        """The room in front of a block, for the sign and its number of rows."""
        rows = 0.0 if block.kind in ("scalar", "gap") else of_text(dim_text(block.rows)).width(SIZE)
        beside = (self._room(block) - self._extent(block)[0]) / 2
        return (SPACE if sign else FIRST) + max(0.0, rows - ROWS - beside)

    def _room(self, block: Block) -> float:
        value = _value(block)
        return max(
            self._extent(block)[0],
            of_text(dim_text(block.columns)).width(SIZE) if block.kind != "gap" else 0.0,
            block.name.width(NAME if block.kind != "gap" else VALUE),
            value.width(VALUE) if value else 0.0,
        )

    def elements(self, top: float) -> Iterator[str]:
        """The elements, from that height on."""
        x, middle = MARGIN, top + 20 + self.tall / 2
        for sign, block in self.items:
            room = self._room(block)
            if sign:
                yield text(plain(sign), x + 13, middle + 6, 20)
            x += self._before(sign, block)
            yield block_element(
                block, x + room / 2, middle, self._extent(block), "result" if block is self.result else "node"
            )
            yield from self._words(block, x + room / 2, top + 20 + self.tall + 24)
            x += room

    def _words(self, block: Block, x: float, y: float) -> Iterator[str]:
        if block.kind == "gap":
            yield text(block.name, x, y, VALUE, "w muted")
            return
        yield text(block.name, x, y, NAME)
        value = _value(block)
        if value:
            yield text(value, x, y + 19, VALUE, "muted")


def _value(block: Block) -> Maths | None:
    return joined(plain("= "), shortened(block.value, LONGEST_VALUE)) if block.value else None


def block_element(block: Block, x: float, y: float, extent: tuple[float, float], kind: str = "node") -> str:
    """A block around a centre, with its sizes at its sides."""
    width, height = extent
    if block.kind == "gap":
        return element("g", {}, element("title", {}, escape(block.text)), text(plain("⋯"), x, y + 6, 20))
    left, top = x - width / 2, y - height / 2
    inside = [
        element("title", {}, escape(block.text)),
        element("rect", {"class": kind, "x": left, "y": top, "width": width, "height": height, "rx": 2}),
    ]
    if block.kind == "diagonal":
        ends: dict[str, object] = {"x1": left, "y1": top, "x2": left + width, "y2": top + height}
        inside.append(element("line", ends | {"class": "on"}))
    elif block.kind == "identity":
        inside.extend(_diagonal_entries(block.entry, left, top, width, height))
    elif block.kind == "zero" and min(width, height) >= THICK:
        inside.append(text(plain("0"), x, y + 5, NAME))
    if block.kind != "scalar":
        inside.append(text(of_text(dim_text(block.columns)), x, top - 6, SIZE, "muted"))
        inside.append(text(of_text(dim_text(block.rows)), left - 5, y + 4, SIZE, "muted", "end"))
    return element("g", {}, *inside)


THICK = 12.0


def _diagonal_entries(entry: str, left: float, top: float, width: float, height: float) -> Iterator[str]:
    """The entries of a multiple of the identity; a line if they would not fit."""
    room = text_width(entry) * SIZE + 3
    count = min(5, int(min(width / room, height / (SIZE + 1))))
    if count < 2:
        ends: dict[str, object] = {"x1": left, "y1": top, "x2": left + width, "y2": top + height}
        yield element("line", ends | {"class": "on"})
        return
    for k in range(count):
        part = (k + 0.5) / count
        yield text(plain(entry), left + width * part, top + height * part + 4, SIZE, "ont")
