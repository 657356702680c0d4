"""The graph entry by entry: which entries are joined, and what stands on the edges."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from draw.cases import page, parsed_svg, rectangles, steps_of, texts
from draw.test_dataflow import read_dot

from chainrule import derive
from chainrule.draw import dataflow
from chainrule.draw.entries import open_entries
from chainrule.draw.graph import Graph
from chainrule.errors import LimitExceeded

FORMULAS = {
    "neuron": ("relu(w @ x + b)", "w[n] x[n] b", "x"),
    "both": ("relu(w @ x + b)", "w[n] x[n] b", "w,b"),
    "layer": ("sum(tanh(W @ x))", "W[3,2] x[2]", "x"),
    "loss": ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w"),
    "product": ("w * x", "w[n] x[n]", "w"),
    "two paths": ("x @ A @ x", "A[n,n] x[n]", "x"),
    "matrix": ("sum((X @ W)**2)", "X[N,n] W[n,k]", "W"),
    "scalars": ("sin(x**2)", "", "x"),
    "softmax": ("log(sum(softmax(x)**2))", "x[5]", "x"),
}


def opened(name: str) -> Graph:
    return open_entries(steps_of(*FORMULAS[name]))


def said(graph: Graph) -> list[str]:
    """Every derivative on an edge that is drawn."""
    return [e.local.text for e in graph.edges if e.local and not e.hidden]


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("direction", ["right", "down"])
def test_nothing_overlaps_and_all_is_on_the_page(name: str, direction: str) -> None:
    drawing = dataflow(steps_of(*FORMULAS[name]), entries=True, direction=direction)
    root = parsed_svg(drawing.svg)
    whole, labels = page(root), texts(root)
    for boxes in (rectangles(root), labels):
        for a, b in combinations(boxes, 2):
            assert not a.overlaps(b, 1.5), f"{a} and {b}"
        for area in boxes:
            assert whole.left <= area.left and area.right <= whole.right
            assert whole.top <= area.top and area.bottom <= whole.bottom
    read_dot(drawing.dot)
    assert ", entry by entry" in drawing.alt.splitlines()[0]


def test_the_figure_of_the_neuron() -> None:
    """P1: inputs x₁ to xₙ, weights on the edges, the sum with the bias, the activation."""
    graph = opened("neuron")
    assert [node.label.text for node in graph.nodes] == [
        "x₁", "x₂", "⋮", "x_n", "z = wᵀx + b", "f = relu(z)",
    ]  # fmt: skip
    assert said(graph) == ["∂z/∂x₁ = w₁", "∂z/∂x₂ = w₂", "∂z/∂x_n = w_n", "∂f/∂z = 1[z > 0]"]


def test_element_wise_steps_join_entries_of_one_index() -> None:
    graph = opened("product")
    assert said(graph) == ["∂y₁/∂w₁ = x₁", "∂y₂/∂w₂ = x₂", "∂y_n/∂w_n = x_n"]


def test_a_matrix_joins_all_entries() -> None:
    graph = opened("layer")
    assert {text for text in said(graph) if "∂x" in text} == {
        f"∂z{i}/∂x{k} = W{i}{k}" for i in "₁₂₃" for k in "₁₂"
    }
    assert all(e.local.quiet for e in graph.edges if e.local and "∂x" in e.local.text)
    assert "∂a₂/∂z₂ = 1 − tanh(z₂)²" in said(graph)


def test_matrices_stay_whole() -> None:
    assert opened("matrix").nodes[0].name.text == "W"


def test_what_is_written_agrees_with_numbers() -> None:
    """The entries on the edges, multiplied along all paths, are the derivative."""
    graph = opened("layer")
    rng = np.random.default_rng(0)
    W, x = rng.normal(size=(3, 2)), rng.normal(size=2)
    z = W @ x
    names = {f"W{i}{k}": W[int(i) - 1, int(k) - 1] for i in "123" for k in "12"}
    names |= {f"z{i + 1}": z[i] for i in range(3)} | {"tanh": np.tanh}
    plain = str.maketrans("₀₁₂₃₄₅₆₇₈₉−", "0123456789-")
    value = {graph.output: 1.0}
    for node in reversed(range(len(graph.nodes))):
        for edge in graph.edges:
            if edge.source == node and edge.local:
                factor = eval(edge.local.right.text.translate(plain).replace("²", "**2"), {}, names)
                value[node] = value.get(node, 0.0) + factor * value[edge.target]
    found = derive("sum(tanh(W @ x))", wrt="x", shapes="W[3,2] x[2]").compile()(W=W, x=x)
    np.testing.assert_allclose([value[0], value[1]], found)


def test_many_steps_are_refused() -> None:
    body = "; ".join(f"a{k} = sin(a{k - 1})" for k in range(1, 15))
    with pytest.raises(LimitExceeded, match="entries are drawn for up to 12 steps"):
        open_entries(steps_of(f"a0 = sin(x); {body}; a14**2", "x[n]", "x"))
