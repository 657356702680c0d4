"""The dataflow of a formula entry by entry: a neuron with its inputs x₁, x₂, …, xₙ and weights on the edges.

In: a Flow. Out: a Graph in which each vector is a column of its entries, the first ones and the last; an edge
joins two entries where the derivative of one by the other is not always 0. Matrices stay whole. Source: Parr
and Howard 2018, the figure of section 1, and section 4.2 (the zoomed-in equations).
"""

from __future__ import annotations

from chainrule.derive import jacobians
from chainrule.derive.flow import Flow, Part
from chainrule.draw.graph import Edge, Graph, Local, Node, written_out
from chainrule.draw.manner import PLAIN, Manner
from chainrule.draw.maths import Maths, of_tree, plain
from chainrule.draw.symbols import Symbols
from chainrule.errors import LimitExceeded
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Einsum, Expr, Sum, Variable
from chainrule.expr.walk import variables
from chainrule.notation import matform as m
from chainrule.notation.index import index_form
from chainrule.notation.matform import Tree
from chainrule.notation.recover import Reader
from chainrule.notation.text import dim_text
from chainrule.simplify import simplify

MOST_STEPS = 12
MOST_ENTRIES = 4  # a vector with more entries shows the first two and the last one
LABELLED = 4  # more edges than this between two vectors are told in tooltips only
DOTS = "⋮"


def open_entries(flow: Flow, manner: Manner = PLAIN) -> Graph:
    """The graph with vectors opened into entries.

    Raises: LimitExceeded if there are too many steps; NoDerivative.

    >>> from chainrule.expr.nodes import Variable
    >>> from chainrule.derive.flow import flow
    >>> n = Dim.of("n")
    >>> w, x = Variable("w", (n,)), Variable("x", (n,))
    >>> [node.name.text for node in open_entries(flow(w @ x, [x])).nodes]
    ['x₁', 'x₂', '⋮', 'x_n', 'y']
    """
    if len(flow.parts) > MOST_STEPS:
        raise LimitExceeded(
            f"entries are drawn for up to {MOST_STEPS} steps, and this formula has {len(flow.parts)}",
            hint="the graph without entries shows all of them",
        )
    return _Opener(flow, manner).graph()


class _Opener:
    def __init__(self, flow: Flow, manner: Manner) -> None:
        self.flow, self.manner = flow, manner
        self.symbols = Symbols(flow)
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        # Of each symbol its entries: how each is called ("" for what has none), and its node.
        self.columns: dict[Variable, list[tuple[str, int]]] = {}

    def graph(self) -> Graph:
        for variable in self.flow.wrt:
            self._column(variable, "variable")
        for part in self.flow.parts:
            self._column(part.symbol, "output" if part is self.flow.output else "step", part)
            found = jacobians(part.value, list(self.flow.arguments(part)), self.manner.at_kink)
            for argument in self.flow.arguments(part):
                self._join(part, argument, simplify(found[argument]))
        output = self.columns[self.flow.output.symbol][0][1]
        sources = tuple(self.columns[v][0][1] for v in self.flow.wrt)
        return Graph(
            tuple(self.nodes),
            tuple(self.edges),
            sources,
            (),  # a path of the formula is many paths of entries
            tuple(self.flow.count_paths(v) for v in self.flow.wrt),
            tuple(of_tree(m.name(v.name)) for v in self.flow.wrt),
            output,
            tuple(of_tree(self.symbols.total(v)) for v in self.flow.wrt),
            self.manner.layout,
            written_out(self.flow.output, self.manner.profile),
            ordered=True,
        )

    # ------------------------------------------------------------ nodes

    def _column(self, symbol: Variable, kind: str, part: Part | None = None) -> None:
        name = m.name(symbol.name)
        if symbol.rank != 1:
            self.columns[symbol] = [("", self._add(kind, name, part, ""))]
            return
        column: list[tuple[str, int]] = []
        for index in _indices(symbol.shape[0]):
            tree = name if index == DOTS else m.tree("entry", (name,), (index,))
            column.append((index, self._add(kind if index != DOTS else "dots", tree, part, index)))
        self.columns[symbol] = column

    def _add(self, kind: str, name: Tree, part: Part | None, index: str) -> int:
        shown = plain(DOTS) if index == DOTS else of_tree(name)
        formula = self._formula(part, index) if part is not None and index != DOTS else None
        self.nodes.append(Node(kind, shown, formula))
        return len(self.nodes) - 1

    def _formula(self, part: Part, index: str) -> Maths | None:
        if part.symbol.rank > 1:
            return None
        tree, letters = index_form(part.value, Reader(v.name for v in variables(part.value)))
        return of_tree(at(tree, dict(zip(letters, [index], strict=False))), self.manner.profile)

    # ------------------------------------------------------------ edges

    def _join(self, part: Part, argument: Variable, value: Expr) -> None:
        above, below = self.columns[part.symbol], self.columns[argument]
        opened = part.symbol.rank <= 1 and argument.rank <= 1
        diagonal = part.symbol.rank == argument.rank == 1 and _is_diagonal(value)
        ends = [
            (a, b)
            for a in above
            for b in below
            if DOTS not in (a[0], b[0]) and (not diagonal or a[0] == b[0])
        ]
        quiet = len(ends) > LABELLED
        for (i, target), (k, source) in ends:
            local = self._local(part.symbol, argument, value, i, k, quiet) if opened else None
            self.edges.append(Edge(source, target, True, local))
        # What stands for entries that are not shown stays in its column.
        dots = [[node for index, node in column if index == DOTS] for column in (below, above)]
        if dots[0] or dots[1]:
            for source in dots[0] or [below[-1][1]]:
                for target in dots[1] or [above[-1][1]]:
                    self.edges.append(Edge(source, target, False, None, hidden=True))

    def _local(self, of: Variable, by: Variable, value: Expr, i: str, k: str, quiet: bool) -> Local:
        places = [place for place in (i, k) if place]
        if of.rank == by.rank == 1 and _is_diagonal(value):
            value, places = _on_diagonal(value), places[:1]
        tree, letters = index_form(value, Reader(v.name for v in variables(value)), opened=True)
        entry = dict(zip(letters, places, strict=True))
        sign = "d" if self.symbols.alone and len(self.flow.arguments(self.flow.by_symbol[of])) == 1 else "∂"
        names = [
            m.tree("entry", (m.name(v.name),), (x,)) if x else m.name(v.name) for v, x in ((of, i), (by, k))
        ]
        left = of_tree(m.derivative(names[0], names[1], sign))
        return Local(left, of_tree(at(tree, entry), self.manner.profile), "", quiet=quiet)


def _indices(size: Dim) -> list[str]:
    """Which entries of a vector are shown.

    >>> _indices(Dim.of(3)), _indices(Dim.of("n"))
    (['1', '2', '3'], ['1', '2', '⋮', 'n'])
    """
    if size.constant is not None and size.constant <= MOST_ENTRIES:
        return [str(k + 1) for k in range(size.constant)]
    return ["1", "2", DOTS, dim_text(size)]


def at(tree: Tree, entry: dict[str, str]) -> Tree:
    """An entry at letters, at numbers instead: x_i for i = 2 is x₂, δ_ij for i = 1, j = 2 is 0.

    >>> at(m.tree("entry", (m.name("x"),), ("i",)), {"i": "2"})
    <entry(x;2)>
    """
    if tree.op == "sigma":
        entry = {letter: value for letter, value in entry.items() if letter not in tree.data}
    args = [at(arg, entry) for arg in tree.args]
    if tree.op not in ("entry", "delta"):
        return m.tree(tree.op, args, tree.data) if args else tree
    return m.tree(tree.op, args, [entry.get(letter, letter) for letter in tree.data])


def _is_diagonal(value: Expr) -> bool:
    """Whether a square Jacobian has nothing off its diagonal."""
    if isinstance(value, Sum):
        return all(map(_is_diagonal, value.terms))
    return isinstance(value, Einsum) and value.output[0] == value.output[1]


def _on_diagonal(value: Expr) -> Expr:
    """The diagonal as a vector."""
    if isinstance(value, Sum):
        return Sum([_on_diagonal(term) for term in value.terms])
    assert isinstance(value, Einsum)
    sizes = dict(enumerate(value.sizes))
    return Einsum(value.coefficient, value.operands, value.labels, value.output[:1], sizes)
