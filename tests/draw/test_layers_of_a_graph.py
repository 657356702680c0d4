"""Positions in a layered graph: laws that hold for every graph, and the exact regression behind them."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from draw.cases import Area
from hypothesis import given
from hypothesis import strategies as st

from chainrule.draw.layers import Box, Link, layers, place, spaced


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Box], list[Link]]:
    count = draw(st.integers(1, 12))
    boxes = [
        Box(draw(st.sampled_from([30.0, 80.0])), draw(st.sampled_from([30.0, 48.0]))) for _ in range(count)
    ]
    ends = [(a, b) for b in range(count) for a in range(b)]
    chosen = draw(st.lists(st.sampled_from(ends), unique=True, max_size=20)) if ends else []
    links = [
        Link(a, b, draw(st.sampled_from([0.0, 60.0])), 18.0, 3.0, draw(st.booleans())) for a, b in chosen
    ]
    return boxes, links


@given(graphs())
def test_nodes_and_labels_do_not_overlap(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph
    found = place(boxes, links)
    areas = [
        Area(x - b.along / 2, y - b.across / 2, x + b.along / 2, y + b.across / 2)
        for (x, y), b in zip(found.centres, boxes, strict=True)
    ]
    for route, link in zip(found.routes, links, strict=True):
        (x0, y0), (x1, y1) = route.label
        assert y0 == y1 and x1 - x0 >= link.along
        areas.append(Area(x0, y0 - link.before, x1, y0 + link.behind))
    for a, b in combinations(areas, 2):
        assert not a.overlaps(b, 0.1)
    for area in areas:
        assert area.left >= -0.1 and area.top >= -0.1
        assert area.right <= found.size[0] + 0.1 and area.bottom <= found.size[1] + 0.1


@given(graphs())
def test_edges_lead_forward_from_side_to_side(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph
    found = place(boxes, links)
    for route, link in zip(found.routes, links, strict=True):
        along = [x for x, _ in route.points]
        assert along == sorted(along)
        for end, point, side in ((link.source, route.points[0], 1), (link.target, route.points[-1], -1)):
            x, y = found.centres[end]
            assert point[0] == pytest.approx(x + side * boxes[end].along / 2)
            assert abs(point[1] - y) <= boxes[end].across / 2


@given(graphs())
def test_the_main_path_is_straight(graph: tuple[list[Box], list[Link]]) -> None:
    boxes, links = graph
    found = place(boxes, links)
    length = [0] * len(boxes)
    for link in sorted(links, key=lambda k: k.target):
        if link.strong:
            length[link.target] = max(length[link.target], length[link.source] + 1)
    longest = max(length)
    if longest:
        straight = [
            link.strong and len({round(y, 1) for _, y in route.points}) == 1
            for route, link in zip(found.routes, links, strict=True)
        ]
        assert sum(straight) >= longest


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.5, 5)), min_size=1, max_size=8))
def test_spaced_positions_keep_their_distance_and_are_the_closest(items: list[tuple[float, float]]) -> None:
    wanted, weights = [w for w, _ in items], [m for _, m in items]
    found = spaced(wanted, weights, [10.0] * (len(items) - 1))
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(found))

    def cost(positions: list[float]) -> float:
        return sum(m * (p - w) ** 2 for p, w, m in zip(positions, wanted, weights, strict=True))

    for k in range(len(found)):
        for step in (-0.01, 0.01):
            moved = [p + step * (n == k) for n, p in enumerate(found)]
            if all(b - a >= 10 for a, b in pairwise(moved)):
                assert cost(moved) >= cost(found) - 1e-9


def test_nodes_stand_next_to_their_readers() -> None:
    # x → a → b → y and w → y: w stands in the layer before y, not in the first.
    assert layers(5, [(0, 1), (1, 2), (2, 4), (3, 4)]) == [0, 1, 2, 2, 3]


def test_crossings_are_removed_where_they_can_be() -> None:
    boxes = [Box(30, 30)] * 6
    found = place(boxes, [Link(0, 5), Link(1, 4), Link(2, 3)])
    order = [found.centres[k][1] for k in (0, 1, 2)]
    ends = [found.centres[k][1] for k in (5, 4, 3)]
    assert [a < b for a, b in pairwise(order)] == [a < b for a, b in pairwise(ends)]
