"""Where the nodes of a layered graph stand: layers by longest path, crossings reduced, lines straight.

In: sizes of nodes and edges with the sizes of their labels. Out: a position for each node and points for each
edge. A label is a node of its own on its edge, so labels overlap neither nodes nor each other. Source:
Sugiyama, Tagawa, Toda 1981; positions within a layer solve a monotone regression exactly.

Along is the direction in which data flows, across the other one; whoever draws decides which of them is x.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

SWEEPS = 10  # to reduce crossings
ROUNDS = 24  # to straighten lines
GAP = 14.0  # between neighbours in a layer
BEND = 18.0  # along, on either side of a label, for a line to turn
LEAST = 40.0  # between two layers
PASS = 3.0  # what a line without a label takes on either side
INFINITE = float("inf")
LONG = 4  # items of an edge that is made straight as a whole
PORT = 22.0  # between two lines at one side of a node
CORNER = 9.0  # where no line meets a node
# How much a line wants to be straight: the main path, inside a long edge, on a path, elsewhere.
MAIN, INNER, STRONG, WEAK = 1e6, 200.0, 2.0, 1.0

Ends = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Box:
    """The size of a node."""

    along: float
    across: float


@dataclass(frozen=True, slots=True)
class Link:
    """An edge with the room that its label takes: along, and across before and behind the line.

    direct  whether it is drawn from middle to middle, where nothing stands between
    strong  whether it leads along a path: such lines are straight before others are
    """

    source: int
    target: int
    along: float = 0.0
    before: float = 0.0
    behind: float = 0.0
    strong: bool = False
    direct: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """Where an edge runs, as points (along, across); it is straight between the two ends of its label."""

    points: tuple[tuple[float, float], ...]
    label: tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Placement:
    """The centres of nodes, the routes of edges, and how much room all of it takes."""

    centres: tuple[tuple[float, float], ...]
    routes: tuple[Route, ...]
    size: tuple[float, float]


def place(boxes: Sequence[Box], links: Sequence[Link], ordered: bool = False) -> Placement:
    """Positions for nodes and edges; every edge leads from an earlier node to a later one.

    `ordered`: nodes in a layer keep their order.

    >>> place([Box(40, 20), Box(40, 20)], [Link(0, 1, along=30)]).size
    (146.0, 20.0)
    """
    return _Layout(boxes, links, ordered).placement()


def layers(count: int, ends: Sequence[tuple[int, int]]) -> list[int]:
    """The layer of each node: behind all that it reads, and as close to its readers as that allows.

    >>> layers(4, [(0, 2), (1, 3), (2, 3)])
    [0, 1, 1, 2]
    """
    layer = [0] * count
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in ends:
        before[target].append(source)
        after[source].append(target)
    for node in range(count):
        layer[node] = max((layer[b] + 1 for b in before[node]), default=0)
    for node in reversed(range(count)):
        # Moving a node forward shortens its edges unless more of them come in than go out.
        if after[node] and len(before[node]) <= len(after[node]):
            layer[node] = min(layer[a] for a in after[node]) - 1
    return layer


def spaced(wanted: Sequence[float], weights: Sequence[float], least: Sequence[float]) -> list[float]:
    """The positions closest to the wanted ones (least squares) whose neighbours are at least so far apart.

    >>> spaced([0, 0], [1, 1], [10])
    [-5.0, 5.0]
    """
    offsets = [0.0]
    for gap in least:
        offsets.append(offsets[-1] + gap)
    blocks: list[list[float]] = []  # mean, weight, how many
    for value, weight, offset in zip(wanted, weights, offsets, strict=True):
        blocks.append([value - offset, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, mass, size = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * mass) / (last[1] + mass)
            last[1] += mass
            last[2] += size
    means = [mean for mean, _, size in blocks for _ in range(int(size))]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


@dataclass(slots=True)
class _Item:
    """A node, a label, or a point where an edge passes a layer.

    into, out  its neighbours, each with how much the line to it wants to be straight
    main       whether it is on the main path, which is straight
    """

    rank: int
    before: float
    behind: float
    main: bool = False
    across: float = 0.0
    into: Ends = field(default_factory=list)
    out: Ends = field(default_factory=list)


def _apart(a: _Item, b: _Item) -> float:
    """How far two neighbours in a layer stand apart; lines may be close to each other."""
    return a.behind + b.before + min(GAP, a.behind + b.before + 4)


class _Layout:
    def __init__(self, boxes: Sequence[Box], links: Sequence[Link], ordered: bool) -> None:
        self.boxes, self.links = boxes, links
        levels = layers(len(boxes), [(link.source, link.target) for link in links])
        self.items = [_Item(2 * n, b.across / 2, b.across / 2) for n, b in zip(levels, boxes, strict=True)]
        self.ranks: list[list[int]] = [[] for _ in range(2 * max(levels) + 1)]
        self.threads = [self._thread(link) for link in links]
        if not ordered:
            self._mark_main()
        self.ordered = ordered
        self.labels = [self._label(link, inner) for link, inner in zip(links, self.threads, strict=True)]

    def _thread(self, link: Link) -> list[int]:
        """The items that an edge passes between its ends."""
        first, last = self.items[link.source].rank, self.items[link.target].rank
        inner = list(range(len(self.items), len(self.items) + last - first - 1))
        self.items.extend(_Item(rank, PASS, PASS) for rank in range(first + 1, last))
        for a, b in pairwise([link.source, *inner, link.target]):
            weight = INNER if a in inner and b in inner else STRONG if link.strong else WEAK
            self.items[a].out.append((b, weight))
            self.items[b].into.append((a, weight))
        return inner

    def _mark_main(self) -> None:
        """The longest path of strong edges, to be drawn as one straight line."""
        length = [0] * len(self.boxes)
        before: list[int | None] = [None] * len(self.boxes)
        order = sorted(range(len(self.links)), key=lambda k: (self.links[k].target, k))
        for k in order:
            link = self.links[k]
            if link.strong and length[link.source] + 1 > length[link.target]:
                length[link.target], before[link.target] = length[link.source] + 1, k
        node = max(range(len(self.boxes)), key=lambda n: (length[n], n))
        while (last := before[node]) is not None:
            for item in (node, *self.threads[last], self.links[last].source):
                self.items[item].main = True
            node = self.links[last].source

    def _label(self, link: Link, inner: Sequence[int]) -> int:
        """The item that carries the label: between two layers of nodes, in the middle of the edge."""
        middle = inner[len(inner) // 4 * 2]
        item = self.items[middle]
        item.before, item.behind = max(PASS, link.before), max(PASS, link.behind)
        return middle

    def placement(self) -> Placement:
        self._order()
        self._straighten()
        self._align()
        low = min(item.across - item.before for item in self.items)
        for item in self.items:
            item.across -= low
        starts, ends = self._along()
        nodes = self.items[: len(self.boxes)]
        centres = tuple(((starts[i.rank] + ends[i.rank]) / 2, i.across) for i in nodes)
        routes = self._routes(centres, starts, ends)
        return Placement(centres, routes, (ends[-1], max(i.across + i.behind for i in self.items)))

    # ------------------------------------------------------------ the order within layers

    def _order(self) -> None:
        if self.ordered:
            ends = [(link.source, link.target) for link in self.links]
            inner = {k: ends[n] for n, thread in enumerate(self.threads) for k in thread}
            for k in sorted(range(len(self.items)), key=lambda k: inner.get(k, (k, k))):
                self.ranks[self.items[k].rank].append(k)
            return
        seen: set[int] = set()
        pending = list(reversed([k for k, item in enumerate(self.items) if not item.into]))
        while pending:
            k = pending.pop()
            if k not in seen:
                seen.add(k)
                self.ranks[self.items[k].rank].append(k)
                pending.extend(b for b, _ in reversed(self.items[k].out))
        best, fewest = [list(rank) for rank in self.ranks], self._crossings()
        for sweep in range(SWEEPS):
            if not fewest:
                break
            forward = sweep % 2 == 0
            for rank in self.ranks[1:] if forward else self.ranks[-2::-1]:
                self._sort(rank, forward)
            count = self._crossings()
            if count < fewest:
                best, fewest = [list(rank) for rank in self.ranks], count
        self.ranks = best

    def _sort(self, rank: list[int], forward: bool) -> None:
        """A layer in the order of the mean places of its neighbours."""
        places = {k: n for n, k in enumerate(rank)}
        neighbours = {k: self.items[k].into if forward else self.items[k].out for k in rank}
        neighbour = self.items[rank[0]].rank + (-1 if forward else 1)
        fixed = {b: n for n, b in enumerate(self.ranks[neighbour])}
        means = {
            k: sum(fixed[b] for b, _ in ends) / len(ends) if ends else places[k] * 1.0
            for k, ends in neighbours.items()
        }
        rank.sort(key=lambda k: (means[k], places[k]))

    def _crossings(self) -> int:
        """How many lines cross."""
        total = 0
        place = {k: n for rank in self.ranks for n, k in enumerate(rank)}
        for rank in self.ranks[:-1]:
            passed: list[int] = []
            for k in rank:
                targets = sorted(place[b] for b, _ in self.items[k].out)
                total += sum(len(passed) - bisect_right(passed, t) for t in targets)
                for t in targets:
                    insort(passed, t)
        return total

    # ------------------------------------------------------------ positions across

    def _straighten(self) -> None:
        self.place = {k: n for rank in self.ranks for n, k in enumerate(rank)}
        for rank in self.ranks:
            self._settle(rank, [0.0] * len(rank))
        for sweep in range(ROUNDS):
            forward = sweep % 2 == 0
            for rank in self.ranks if forward else reversed(self.ranks):
                both = sweep >= ROUNDS - 6
                self._settle(rank, [self._wanted(self.items[k], forward, both) for k in rank])

    def _wanted(self, item: _Item, forward: bool, both: bool) -> float:
        """Where an item stands best: in line with its neighbours on paths, else with all."""
        if item.main:
            return 0.0
        sides = [item.into, item.out] if both else [item.into if forward else item.out]
        least = STRONG if any(weight > WEAK for _, weight in (*item.into, *item.out)) else WEAK
        ends = [(b, weight) for side in sides for b, weight in side if weight >= least]
        total = sum(weight for _, weight in ends)
        return sum(self.items[b].across * weight for b, weight in ends) / total if ends else item.across

    def _settle(self, rank: Sequence[int], wanted: Sequence[float]) -> None:
        items = [self.items[k] for k in rank]
        least = [_apart(a, b) for a, b in pairwise(items)]
        weights = [
            MAIN if item.main else max((w for _, w in (*item.into, *item.out)), default=WEAK)
            for item in items
        ]
        for item, position in zip(items, spaced(wanted, weights, least), strict=True):
            item.across = position

    def _align(self) -> None:
        """Long edges become straight as far as their neighbours in each layer leave room."""
        room: list[tuple[float, float]] = [(-INFINITE, INFINITE)] * len(self.items)
        for thread in sorted(self.threads, key=len, reverse=True):
            if len(thread) < LONG or self.items[thread[0]].main:
                continue
            for k in thread:
                room[k] = self._room(k)
            start = 0
            while start < len(thread):
                low, high = room[thread[start]]
                stop = start + 1
                while stop < len(thread):
                    here = max(low, room[thread[stop]][0]), min(high, room[thread[stop]][1])
                    if here[0] > here[1]:
                        break
                    low, high = here
                    stop += 1
                run = [self.items[k] for k in thread[start:stop]]
                wanted = sum(item.across for item in run) / len(run)
                for item in run:
                    item.across = min(high, max(low, wanted))
                start = stop

    def _room(self, k: int) -> tuple[float, float]:
        """Between which positions an item can move."""
        item = self.items[k]
        rank = self.ranks[item.rank]
        n = self.place[k]
        low = self.items[rank[n - 1]] if n else None
        high = self.items[rank[n + 1]] if n + 1 < len(rank) else None
        return (
            low.across + _apart(low, item) if low else -INFINITE,
            high.across - _apart(item, high) if high else INFINITE,
        )

    # ------------------------------------------------------------ positions along, and lines

    def _along(self) -> tuple[list[float], list[float]]:
        """Where each layer, of nodes or of labels, begins and ends."""
        room = [0.0 if r % 2 == 0 else LEAST for r in range(len(self.ranks))]
        for item, box in zip(self.items, self.boxes, strict=False):
            room[item.rank] = max(room[item.rank], box.along)
        for link, label in zip(self.links, self.labels, strict=True):
            rank = self.items[label].rank
            room[rank] = max(room[rank], link.along + 2 * BEND)
        ends = list(accumulate(room))
        return [end - length for end, length in zip(ends, room, strict=True)], ends

    def _routes(
        self, centres: Sequence[tuple[float, float]], starts: Sequence[float], ends: Sequence[float]
    ) -> tuple[Route, ...]:
        out = self._ports([(link.source, thread[0]) for link, thread in self._threaded()])
        into = self._ports([(link.target, thread[-1]) for link, thread in self._threaded()])
        routes: list[Route] = []
        for k, (link, thread) in enumerate(self._threaded()):
            if link.direct and len(thread) == 1:
                routes.append(self._direct(link, centres))
                continue
            points = [(centres[link.source][0] + self.boxes[link.source].along / 2, out[k])]
            label = points[0], points[0]
            for passed in thread:
                item = self.items[passed]
                bend = BEND * (item.rank % 2)
                here = (starts[item.rank] + bend, item.across), (ends[item.rank] - bend, item.across)
                label = here if passed == self.labels[k] else label
                points.extend(here)
            points.append((centres[link.target][0] - self.boxes[link.target].along / 2, into[k]))
            routes.append(Route(tuple(points), label))
        return tuple(routes)

    def _direct(self, link: Link, centres: Sequence[tuple[float, float]]) -> Route:
        (x0, y0), (x1, y1) = centres[link.source], centres[link.target]
        start = x0 + self.boxes[link.source].along / 2, y0
        return Route((start, (x1 - self.boxes[link.target].along / 2, y1)), (start, start))

    def _threaded(self) -> list[tuple[Link, list[int]]]:
        return list(zip(self.links, self.threads, strict=True))

    def _ports(self, ends: Sequence[tuple[int, int]]) -> list[float]:
        """Where each edge meets its node, given the next item on it; lines do not touch."""
        ports: dict[int, float] = {}
        by_node: dict[int, list[int]] = {}
        for k, (node, _) in enumerate(ends):
            by_node.setdefault(node, []).append(k)
        for node, edges in by_node.items():
            edges.sort(key=lambda k: (self.items[ends[k][1]].across, k))
            ports.update(self._at_side(node, [(k, self.items[ends[k][1]]) for k in edges]))
        return [ports[k] for k in range(len(ends))]

    def _at_side(self, node: int, edges: Sequence[tuple[int, _Item]]) -> dict[int, float]:
        """The ports of the edges at one side of a node; the main path stays in the middle."""
        centre = self.items[node].across
        half = max(0.0, self.items[node].before - CORNER)
        main = next((n for n, (_, item) in enumerate(edges) if item.main and self.items[node].main), None)
        beside = len(edges) - 1 if main is None else 2 * max(main, len(edges) - 1 - main)
        gap = min(PORT, 2 * half / max(1, beside))
        wanted = [min(centre + half, max(centre - half, item.across)) for _, item in edges]
        weights = [MAIN if n == main else 1.0 for n in range(len(edges))]
        found = spaced(wanted, weights, [gap] * (len(edges) - 1))
        last = len(edges) - 1
        inside = [
            min(max(p, centre - half + n * gap), centre + half - (last - n) * gap)
            for n, p in enumerate(found)
        ]
        return {k: position for (k, _), position in zip(edges, inside, strict=True)}
