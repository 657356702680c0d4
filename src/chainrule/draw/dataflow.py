"""The dataflow graph as a picture: boxes with formulas and shapes, local derivatives on the edges.

In: a Flow. Out: a Drawing. Paths from the variables to the output stand out, each in its own colour where
they are few; what is constant is thin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from chainrule.derive.flow import Flow
from chainrule.draw import words
from chainrule.draw.dot import to_dot
from chainrule.draw.entries import open_entries
from chainrule.draw.fold import MOST_NODES, fold
from chainrule.draw.graph import TOLD_PATHS, Edge, Graph, Node, build
from chainrule.draw.layers import Box, Link, Placement, Route, place
from chainrule.draw.manner import PLAIN, Manner
from chainrule.draw.maths import Maths, joined, plain, shortened, text, text_width
from chainrule.draw.svg import Drawing, check_theme, element, escape, framed
from chainrule.errors import OptionError

DIRECTIONS = ("auto", "right", "down")
FORMULA, LABEL, CAPTION, NOTE = 16.0, 13.5, 13.5, 11.5  # font sizes
PAD = 12.0  # between a box and its text
MARGIN = 16.0
LONGEST_FORMULA, LONGEST_LABEL = 16.0, 17.0  # in font sizes; the rest is in the tooltip
WIDEST = 1280.0  # a graph that would be wider flows downwards
TIP = 8.0
QUIET = 50.0  # along, for many edges without labels
# The class of the box of each kind of node.
CLASSES = {
    "variable": "source",
    "output": "result",
    "step": "node",
    "constant": "constant",
    "folded": "folded",
    "operator": "operator",
}


def dataflow(
    flow: Flow,
    *,
    direction: str = "auto",
    constants: bool = True,
    operators: bool = False,
    entries: bool = False,
    caption: bool = True,
    manner: Manner = PLAIN,
    most: int = MOST_NODES,
) -> Drawing:
    """The dataflow graph of a formula in steps.

    With `operators` each step is two nodes, what it does and the variable that it makes: x → (·)² → u. With
    `entries` vectors are opened into their entries.
    `direction` is right or down; auto goes down where the graph would be too wide. What has more than `most`
    nodes is folded. Raises: NoDerivative; OptionError.

    >>> from chainrule.derive.flow import flow
    >>> from chainrule.expr.nodes import Variable
    >>> x = Variable("x")
    >>> dataflow(flow(x + x**2, [x])).alt.splitlines()[0]
    'Dataflow graph of y = x² + x, from x'
    """
    check_theme(manner.theme)
    if direction not in DIRECTIONS:
        raise OptionError(f"the direction is auto, right or down, not {direction!r}")
    if entries:
        graph = open_entries(flow, manner)
    else:
        folding = fold(flow, most)
        graph = build(flow, constants=constants, operators=operators, manner=manner, fold=folding)
    return draw_graph(graph, direction=direction, caption=caption, manner=manner)


def draw_graph(
    graph: Graph,
    *,
    direction: str = "auto",
    caption: bool = True,
    manner: Manner = PLAIN,
) -> Drawing:
    """Any graph as a picture."""
    sketch = _Sketch(graph, direction == "down")
    if direction == "auto" and sketch.width > WIDEST:
        sketch = _Sketch(graph, True)
    lines = words.caption(graph) if caption else []
    body, size = sketch.drawn(lines)
    title, description = words.title(graph), words.description(graph)
    return framed(body, size, title, description, manner, dot=to_dot(graph, down=sketch.down))


class _Sketch:
    """A graph that flows to the right, or down."""

    def __init__(self, graph: Graph, down: bool) -> None:
        self.graph, self.down = graph, down
        self.labels = [shortened(n.label, LONGEST_FORMULA) for n in graph.nodes]
        self.sizes = [self._size(n, label) for n, label in zip(graph.nodes, self.labels, strict=True)]
        self.derivatives = [_label(e) for e in graph.edges]
        self.notes = [_note(e) for e in graph.edges]
        boxes = [Box(h, w) if down else Box(w, h) for w, h in self.sizes]
        links = [self._link(k) for k in range(len(graph.edges))]
        self.placement: Placement = place(boxes, links, graph.ordered)

    @property
    def width(self) -> float:
        """How wide the graph is."""
        return self.placement.size[1 if self.down else 0] + 2 * MARGIN

    def _size(self, node: Node, label: Maths) -> tuple[float, float]:
        width = max(label.width(FORMULA), NOTE * text_width(node.sizes))
        return max(34.0, width + 2 * PAD), 48.0 if node.sizes else 32.0

    def _link(self, k: int) -> Link:
        edge, label, note = self.graph.edges[k], self.derivatives[k], self.notes[k]
        width = max(label.width(LABEL), NOTE * text_width(note)) + 4
        if label.text == "":
            quiet = edge.local is not None and edge.local.quiet
            room = QUIET if quiet else 0.0
            return Link(edge.source, edge.target, room, strong=edge.moves, direct=quiet)
        if self.down:
            return Link(edge.source, edge.target, 34.0 if note else 18.0, 2.0, width + 8, edge.moves)
        return Link(edge.source, edge.target, width, 20.0, 17.0 if note else 3.0, edge.moves)

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        along, across = point
        return (across + MARGIN, along + MARGIN) if self.down else (along + MARGIN, across + MARGIN)

    def drawn(self, caption: Sequence[Sequence[Maths]]) -> tuple[list[str], tuple[float, float]]:
        """The elements, lines before boxes before labels, and the size of the picture."""
        along, across = self.placement.size
        width, height = (across, along) if self.down else (along, across)
        room = max(width, 440.0)
        told = [line for pieces in caption for line in wrapped(pieces, room / CAPTION)]
        body = [*self._lines(), *self._boxes(), *self._words()]
        top = height + 2 * MARGIN + 4
        for k, line in enumerate(told):
            body.append(text(line, MARGIN, top + 20 * k + 10, CAPTION, "muted", anchor="start"))
        wide = max([width, *(line.width(CAPTION) for line in told)]) + 2 * MARGIN
        return body, (wide, top + 20 * len(told) + (6 if told else -4))

    # ------------------------------------------------------------ elements

    def _lines(self) -> Iterator[str]:
        shown = [k for k, edge in enumerate(self.graph.edges) if not edge.hidden]
        order = sorted(shown, key=lambda k: (self.graph.edges[k].moves, k))
        for k in order:
            edge, route = self.graph.edges[k], self.placement.routes[k]
            kind = self._kind(k)
            names = [self.graph.nodes[n].name.text for n in (edge.source, edge.target)]
            told = edge.local.text if edge.local else " → ".join(names)
            line = element("path", {"class": kind, "d": self._curve(route)})
            tip = element("path", {"class": TIPS[kind], "d": self._tip(route)})
            yield element("g", {}, element("title", {}, escape(told)), line, tip)

    def _kind(self, k: int) -> str:
        """The class of a line: constant, on a path, on one path of few, on several of them."""
        edge = self.graph.edges[k]
        if not edge.moves:
            return "line"
        several = len(set(self.graph.sources)) == 1 and 2 <= len(self.graph.paths) <= TOLD_PATHS
        on = [n for n, path in enumerate(self.graph.paths, 1) if (edge.source, edge.target) in pairwise(path)]
        if not several:
            return "on"
        return f"p{on[0]}" if len(on) == 1 else "all"

    def _curve(self, route: Route) -> str:
        points = [self._at(p) for p in route.points]
        x, y = points[-1]
        points[-1] = (x, y - TIP) if self.down else (x - TIP, y)
        text = f"M{_xy(points[0])}"
        for (x0, y0), (x1, y1) in pairwise(points):
            if (x0 if self.down else y0) == (x1 if self.down else y1):
                text += f"L{_xy((x1, y1))}"
            elif self.down:
                middle = (y0 + y1) / 2
                text += f"C{_xy((x0, middle))} {_xy((x1, middle))} {_xy((x1, y1))}"
            else:
                middle = (x0 + x1) / 2
                text += f"C{_xy((middle, y0))} {_xy((middle, y1))} {_xy((x1, y1))}"
        return text

    def _tip(self, route: Route) -> str:
        x, y = self._at(route.points[-1])
        wide, long = 3.6, TIP + 1.5
        if self.down:
            return f"M{_xy((x, y))}L{_xy((x - wide, y - long))}L{_xy((x + wide, y - long))}Z"
        return f"M{_xy((x, y))}L{_xy((x - long, y - wide))}L{_xy((x - long, y + wide))}Z"

    def _boxes(self) -> Iterator[str]:
        for k, node in enumerate(self.graph.nodes):
            x, y = self._at(self.placement.centres[k])
            if node.kind == "dots":
                yield text(node.name, x, y + 6, FORMULA, "muted")
                continue
            width, height = self.sizes[k]
            box = element("rect", {
                "class": CLASSES[node.kind], "x": x - width / 2, "y": y - height / 2,
                "width": width, "height": height, "rx": height / 2 if node.kind == "operator" else 7,
            })  # fmt: skip
            kind = "w" if node.kind == "folded" else ""
            size = NOTE + 0.5 if node.kind == "folded" else FORMULA
            texts = [text(self.labels[k], x, y - 3 if node.sizes else y + size * 0.33, size, kind)]
            if node.sizes:
                texts.append(text(plain(node.sizes), x, y + 15, NOTE, "w muted"))
            told = node.label.text + (f", {node.sizes}" if node.sizes else "")
            told += f": {words.listed(node.hidden)}" if node.hidden else ""
            yield element("g", {}, element("title", {}, escape(told)), box, *texts)

    def _words(self) -> Iterator[str]:
        for k, (label, note) in enumerate(zip(self.derivatives, self.notes, strict=True)):
            if not label.text:
                continue
            kind = TIPS[self._kind(k)]
            (x0, y0), (x1, y1) = map(self._at, self.placement.routes[k].label)
            if self.down:
                middle = (y0 + y1) / 2
                yield text(label, x0 + 8, middle + (-3 if note else 5), LABEL, kind, "start")
                if note:
                    yield text(plain(note), x0 + 8, middle + 13, NOTE, "w muted", "start")
            else:
                middle = (x0 + x1) / 2
                yield text(label, middle, y0 - 6, LABEL, kind)
                if note:
                    yield text(plain(note), middle, y0 + 14, NOTE, "w muted")


# The class of text and arrow heads on a line of a class.
TIPS = {"line": "tip", "on": "ont", "all": "allt"} | {f"p{k}": f"p{k}t" for k in range(1, TOLD_PATHS + 1)}


def _label(edge: Edge) -> Maths:
    return shortened(edge.local.label, LONGEST_LABEL) if edge.local else plain("")


def _note(edge: Edge) -> str:
    """What is said below a direct partial derivative."""
    if edge.local is None or not edge.local.held:
        return ""
    return f"direct: {edge.local.held} held fixed"


def _xy(point: tuple[float, float]) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def wrapped(pieces: Sequence[Maths], room: float) -> list[Maths]:
    """Pieces in lines that are at most so many font sizes wide, as far as their breaks allow."""
    lines: list[list[Maths]] = [[]]
    for piece in pieces:
        if lines[-1] and sum(p.width(1) for p in (*lines[-1], piece)) > room:
            lines.append([])
        lines[-1].append(piece)
    return [joined(*line) for line in lines]
