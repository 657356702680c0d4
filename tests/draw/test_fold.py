"""Deep networks: layers that repeat are drawn once, what is too long loses its middle, all of it fast."""

from __future__ import annotations

import time

from draw.cases import case, parsed_svg, steps_of

from chainrule.draw import dataflow
from chainrule.draw.fold import MOST_NODES, fold
from chainrule.draw.graph import build


def network(count: int, wrt: str, sizes: str = "n,n") -> tuple[str, str, str]:
    body = "; ".join(
        f"z{k} = W{k} @ {f'a{k - 1}' if k > 1 else 'x'} + b{k}; a{k} = tanh(z{k})"
        for k in range(1, count + 1)
    )
    return (
        f"{body}; norm(a{count} - y)**2",
        " ".join(f"W{k}[{sizes}] b{k}[n]" for k in range(1, count + 1)),
        wrt,
    )


def test_layers_that_repeat_become_one_node() -> None:
    steps = steps_of(*network(256, "x"))
    start = time.perf_counter()
    graph = build(steps, fold=fold(steps))
    drawing = dataflow(steps)
    assert time.perf_counter() - start < 5
    folded = [node for node in graph.nodes if node.kind == "folded"]
    assert [node.name.text for node in folded] == ["253 more like a₁, z₂"]
    assert len(folded[0].hidden) == 506 and len(graph.nodes) < MOST_NODES
    assert "One path leads from x to" in drawing.alt and "253 more like a₁, z₂" in drawing.alt
    assert len(drawing.svg) < 60_000
    parsed_svg(drawing.svg)


def test_variables_inside_a_fold_are_told_together() -> None:
    drawing = dataflow(steps_of(*network(100, ",".join(f"W{k}" for k in range(1, 101)))))
    assert "One path leads from each of 100 variables, W₁ to W₁₀₀, to" in drawing.alt
    assert len(drawing.svg) < 60_000


def test_a_network_of_twelve_layers_is_drawn_in_full() -> None:
    steps = case("twelve layers")
    assert fold(steps).groups == ()
    assert not any(node.kind == "folded" for node in build(steps).nodes)


def test_what_does_not_repeat_loses_its_middle() -> None:
    signs = ["sin", "cos", "tanh", "exp"]
    body = "; ".join(
        f"q{k} = {signs[(k * k + k // 3) % 4]}({f'q{k - 1}' if k else 'x'} * {k % 7 + 2})" for k in range(150)
    )
    steps = steps_of(f"{body}; q149 + 1", "", "x")
    found = fold(steps)
    shown = len(steps.parts) - sum(len(group) - 1 for group in found.groups)
    assert shown <= MOST_NODES + 1
    assert all(
        ("more like" in found.words(k)) or ("steps not shown" in found.words(k))
        for k in range(len(found.groups))
    )


def test_a_layer_that_differs_is_shown() -> None:
    body = "; ".join(
        f"a{k} = {'exp' if k == 50 else 'tanh'}({f'a{k - 1}' if k else 'x'})" for k in range(100)
    )
    steps = steps_of(body.replace("a99 = ", ""), "", "x")
    found = fold(steps)
    assert len(found.groups) == 2
    assert all(found.group_of(part) is None for part in steps.parts if part.name == "a50")
