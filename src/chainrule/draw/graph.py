"""The dataflow of a formula as a graph: variables and steps are nodes, local derivatives stand on the edges.

In: a Flow. Out: a Graph, in which every name, formula and derivative is already written; layout and drawing
only place it. An edge into a step is a path of change if its source changes with what is differentiated by.
Source: Parr and Howard 2018, sections 4.5.1 and 4.5.2 (dataflow diagrams, paths).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from chainrule.derive import jacobians
from chainrule.derive.flow import Flow, Part
from chainrule.draw.fold import Fold
from chainrule.draw.manner import PLAIN, Manner
from chainrule.draw.maths import Maths, joined, of_text, of_tree, plain
from chainrule.draw.operators import operator
from chainrule.draw.symbols import Symbols
from chainrule.expr.dims import ONE
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Einsum, Expr, Variable
from chainrule.expr.walk import substitute, topological, variables
from chainrule.notation import matform as m
from chainrule.notation.layout import chain_layout, is_turned, layout_sizes
from chainrule.notation.present import Presentation, Request, present, present_many
from chainrule.notation.text import sizes_text, to_text
from chainrule.simplify import simplify

# So many paths are told one by one, and drawn in colours of their own.
TOLD_PATHS = 4
# A local derivative is written with the name of what was computed where that saves so many letters.
WORTH_NAMING = 6
LARGEST = 80  # nodes of a formula that is written out
MOST_NAMES = 3  # of what is held fixed


@dataclass(frozen=True, slots=True)
class Local:
    """The derivative on an edge: left = right, every other argument held fixed.

    entries  the same in index notation, where the edge shows it as the linear map dX ↦ A dX
    quiet    whether only the tooltip says it
    held     the other arguments, where the source also reaches the target through one of them
    """

    left: Maths
    right: Maths
    sizes: str
    entries: str = ""
    held: str = ""
    quiet: bool = False

    @property
    def label(self) -> Maths:
        """What stands on the edge."""
        if self.quiet:
            return plain("")
        return joined(self.left, plain(" = "), self.right) if self.left.text else self.right

    @property
    def text(self) -> str:
        """All that is known of it, in one line."""
        said = self.entries or f"{self.left.text} = {self.right.text}"
        said += f", {self.sizes}" if self.sizes else ""
        if self.entries:
            said += f"; as a map {self.right.text}"
        return said + (f"; direct partial: {self.held} held fixed" if self.held else "")


@dataclass(frozen=True, slots=True)
class Node:
    """kind: variable (differentiated by), constant, step, output, operator, folded, or dots."""

    kind: str
    name: Maths
    formula: Maths | None = None
    sizes: str = ""
    hidden: tuple[str, ...] = ()

    @property
    def label(self) -> Maths:
        """What stands in its box."""
        return self.name if self.formula is None else joined(self.name, plain(" = "), self.formula)


@dataclass(frozen=True, slots=True)
class Edge:
    """From a node to one that reads it; `local` is None where nothing changes along it.

    A hidden edge only keeps its ends in place.
    """

    source: int
    target: int
    moves: bool
    local: Local | None = None
    hidden: bool = False


@dataclass(frozen=True)
class Graph:
    """Nodes, each after those that it reads.

    sources, names, count  the variables that it is differentiated by, and how many paths lead from each
    paths                  these paths as indices of nodes, where they are few
    whole                  the formula written out, "" if it is long
    ordered                whether nodes in a layer keep their order
    totals                 how the derivative by each is written: with d where ∂ is a direct partial
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    sources: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...] = ()
    count: tuple[int, ...] = ()
    names: tuple[Maths, ...] = ()
    output: int = -1
    totals: tuple[Maths, ...] = ()
    layout: str = "numerator"
    whole: str = ""
    ordered: bool = False

    def paths_of(self, source: int) -> list[tuple[int, ...]]:
        """The paths that begin at a variable."""
        return [path for path in self.paths if path[0] == source]


def build(
    flow: Flow,
    *,
    constants: bool = True,
    operators: bool = False,
    manner: Manner = PLAIN,
    fold: Fold | None = None,
) -> Graph:
    """The graph of a formula in steps, with the local derivatives in a layout.

    With `operators` each step is two nodes: what it does, and the variable that it makes.
    Raises: NoDerivative if a function on a path has none.
    """
    return _Builder(flow, manner, constants and not operators, operators, fold or Fold(flow, ())).graph()


class _Builder:
    def __init__(self, flow: Flow, manner: Manner, constants: bool, operators: bool, fold: Fold) -> None:
        self.flow, self.manner, self.fold = flow, manner, fold
        self.layout = chain_layout(flow.output.symbol.rank, manner.layout)
        self.constants, self.operators = constants, operators
        self.symbols = Symbols(flow)
        self.taken = [v.name for v in variables(flow.output.whole)]
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.index: dict[Variable, int] = {}
        self.joined: set[tuple[int, int]] = set()

    def graph(self) -> Graph:
        """Every part as a node or within one, what it reads before it."""
        done: set[int] = set()
        for part in self.flow.parts:
            group = self.fold.group_of(part)
            if group is None:
                self._read(part.value)
                self._connect(part, self._made(part))
            elif group not in done:
                done.add(group)
                self._fold(group)
        for variable in self.flow.wrt:
            if variable not in self.index:  # what the formula does not read
                self.nodes.insert(0, _input(variable, "variable"))
                self.edges = [replace(e, source=e.source + 1, target=e.target + 1) for e in self.edges]
                self.index = {v: k + 1 for v, k in self.index.items()} | {variable: 0}
        sources = tuple(self.index[v] for v in self.flow.wrt)
        output = self.index[self.flow.output.symbol]
        drawn = [paths(self.edges, source, output) for source in dict.fromkeys(sources)]
        return Graph(
            tuple(self.nodes),
            tuple(self.edges),
            sources,
            tuple(path for found in drawn for path in found),
            tuple(self.flow.count_paths(v) for v in self.flow.wrt),
            tuple(_name(v) for v in self.flow.wrt),
            output,
            tuple(of_tree(self.symbols.total(v)) for v in self.flow.wrt),
            self.layout,
            written_out(self.flow.output, self.manner.profile),
        )

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _made(self, part: Part) -> int:
        """The node of a step, or of its operator in front of the variable that it makes; edges lead there."""
        kind = "output" if part is self.flow.output else "step"
        name, sizes = _name(part.symbol), sizes_text(part.symbol.shape)
        if not self.operators:
            self.index[part.symbol] = self._add(Node(kind, name, self._formula(part), sizes))
            return self.index[part.symbol]
        sign = operator(part, self.flow.arguments(part), self.manner.profile)
        made = self._add(Node("operator", sign))
        self.index[part.symbol] = self._add(Node(kind, name, None, sizes))
        self.edges.append(Edge(made, self.index[part.symbol], part.symbol in self.flow.active))
        return made

    def _read(self, *values: Expr, hidden: Container[Variable] = ()) -> None:
        """The variables of some formulas become nodes, unless they are nodes already or are not shown."""
        for variable in variables(*values):
            if variable in self.index or variable in self.flow.by_symbol or variable in hidden:
                continue
            if variable in self.flow.wrt:
                self.index[variable] = self._add(_input(variable, "variable"))
            elif self.constants:
                self.index[variable] = self._add(_input(variable, "constant"))

    def _connect(self, part: Part, target: int) -> None:
        moving = self.flow.arguments(part)
        # What several arguments behind one node do together is not one derivative.
        ends = [self.index[v] for v in moving]
        single = [v for v in moving if ends.count(self.index[v]) == 1]
        local = self._locals(part, single, moving)
        for variable in variables(part.value):
            if variable in self.index:
                self._edge(variable, target, local.get(variable))

    def _edge(self, source: Variable, target: int, local: Local | None = None) -> None:
        ends = self.index[source], target
        if ends not in self.joined:
            self.joined.add(ends)
            self.edges.append(Edge(*ends, source in self.flow.active, local))

    def _fold(self, group: int) -> None:
        """A group as one node, with the variables inside it that nothing else reads."""
        parts = self.fold.groups[group]
        values = [part.value for part in parts]
        symbols = {part.symbol for part in parts}
        others = variables(*(part.value for part in self.flow.parts if part.symbol not in symbols))
        inside = {v for v in variables(*values) if v not in self.flow.by_symbol and v not in others}
        self._read(*values, hidden=inside)
        hidden = tuple(pretty(p.name) for p in parts)
        node = self._add(Node("folded", plain(self.fold.words(group)), hidden=hidden))
        for variable in variables(*values):
            if variable in self.index and variable not in symbols:
                self._edge(variable, node)
        self.index.update(dict.fromkeys([*symbols, *(v for v in inside if v in self.flow.wrt)], node))

    def _maths(self, tree: m.Tree) -> Maths:
        return of_tree(tree, self.manner.profile)

    def _formula(self, part: Part) -> Maths:
        written = present(part.value)
        shown = self._maths(written.tree)
        if written.form == "matrix":
            return shown
        return joined(plain("("), shown, plain(")"), of_text(f"_{''.join(written.indices)}"))

    # ------------------------------------------------------------ local derivatives

    def _locals(
        self, part: Part, wanted: Sequence[Variable], moving: Sequence[Variable]
    ) -> dict[Variable, Local]:
        if not wanted:
            return {}
        found = jacobians(part.value, list(wanted), self.manner.at_kink)
        return {v: self._local(part, v, simplify(found[v]), moving) for v in wanted}

    def _local(self, part: Part, by: Variable, value: Expr, moving: Sequence[Variable]) -> Local:
        symbol = part.symbol
        turned = is_turned(symbol.rank, by.rank, self.layout)
        sizes = layout_sizes(symbol.shape, by.shape, self.layout)
        held = _listed([pretty(v.name) for v in moving if v is not by and self._reaches(by, v)])
        ranks = (symbol.rank, by.rank)
        (written,), _ = present_many([Request(value, turned, ranks)], taken=self.taken, abbreviate=False)
        named = self._named(part, value, turned)
        if len(written.text) - len(named.text) >= WORTH_NAMING:
            written = named
        if written.form == "matrix":
            left = of_tree(self.symbols.local(part, by))
            return Local(left, self._maths(written.tree), sizes if sizes != "scalar" else "", "", held)
        above, below = written.indices[: symbol.rank], written.indices[symbol.rank :]
        entry = f"∂{_entry(symbol, above)}/∂{_entry(by, below)}"
        right = self._map(value, symbol, by)
        if right is None:
            return Local(of_text(entry), self._maths(written.tree), sizes, "", held)
        return Local(of_text(""), right, sizes, f"{entry} = {written.text}", held)

    def _named(self, part: Part, value: Expr, turned: bool) -> Presentation:
        """The derivative written with the name of what was computed: diag(p) − ppᵀ."""
        return present(substitute(value, {simplify(part.value): part.symbol}), turned=turned)

    def _map(self, value: Expr, symbol: Variable, by: Variable) -> Maths | None:
        """The derivative as the linear map dX ↦ A dX, if matrix language can say it."""
        change = Variable(f"d{pretty(by.name)}", by.shape)
        axes = tuple(range(value.rank))
        product = Einsum(ONE, (value, change), (axes, axes[symbol.rank :]), axes[: symbol.rank])
        written = present(simplify(product))
        if written.form != "matrix":
            return None
        return joined(of_text(change.name), plain(" ↦ "), self._maths(written.tree))

    @cached_property
    def _reach(self) -> dict[Variable, int]:
        """Which variables and steps a change reaches each from, as the bits of a number."""
        order = [*self.flow.wrt, *(part.symbol for part in self.flow.parts)]
        reach = {symbol: 1 << k for k, symbol in enumerate(order)}
        for part in self.flow.parts:
            for argument in self.flow.arguments(part):
                reach[part.symbol] |= reach[argument]
        return reach

    def _reaches(self, source: Variable, target: Variable) -> bool:
        """Whether a change of one variable reaches the other."""
        place = self._reach[source].bit_length() - 1
        return bool(self._reach[target] >> place & 1)


def written_out(part: Part, profile: str | None) -> str:
    """A step in the formula's variables, "" if that is too long to be read."""
    if len(topological([part.whole])) > LARGEST:
        return ""
    return f"{pretty(part.name)} = {to_text(present(part.whole).tree, profile)}"


def _name(symbol: Variable) -> Maths:
    return of_tree(m.name(symbol.name))


def _input(variable: Variable, kind: str) -> Node:
    return Node(kind, _name(variable), None, sizes_text(variable.shape))


def _entry(variable: Variable, indices: Sequence[str]) -> str:
    return (
        to_text(m.tree("entry", (m.name(variable.name),), tuple(indices)))
        if indices
        else pretty(variable.name)
    )


def _listed(names: Sequence[str]) -> str:
    """A, B and C; of many only that there are others."""
    if len(names) > MOST_NAMES:
        return "the other arguments"
    return "".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"


def paths(edges: Sequence[Edge], source: int, output: int, most: int = TOLD_PATHS) -> list[tuple[int, ...]]:
    """The paths of change between two nodes, shortest first, if there are at most so many, else none."""
    after: dict[int, list[int]] = {}
    for edge in edges:
        if edge.moves:
            after.setdefault(edge.source, []).append(edge.target)
    found: list[tuple[int, ...]] = []
    pending: list[tuple[int, ...]] = [(source,)]
    while pending:
        path = pending.pop()
        if path[-1] == output:
            found.append(path)
            if len(found) > most:
                return []
            continue
        pending.extend((*path, target) for target in sorted(set(after.get(path[-1], ())), reverse=True))
    return sorted(found, key=lambda path: (len(path), path))
