"""The dataflow graph as DOT text, which Graphviz and others read."""

from __future__ import annotations

from chainrule.draw.graph import Graph
from chainrule.draw.svg import visible

SHAPES = {
    "variable": 'shape=box, style="rounded,bold"', "constant": 'shape=box, style="rounded,dashed"',
    "step": 'shape=box, style=rounded', "output": 'shape=box, style="rounded,bold", peripheries=2',
    "folded": 'shape=box, style=dotted', "operator": "shape=ellipse", "dots": "shape=plaintext",
}  # fmt: skip


def quoted(text: str) -> str:
    r"""A string of DOT: quotes and backslashes escaped, line breaks as \n.

    >>> quoted('a "b"')
    '"a \\"b\\""'
    """
    escaped = visible(text).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\r", " ").replace("\n", "\\n") + '"'


def to_dot(graph: Graph, *, down: bool = False) -> str:
    """The graph with formulas, shapes and local derivatives; edges along which changes travel are bold.

    It is laid out from left to right, or downwards.
    """
    lines = ["digraph dataflow {", f"  rankdir={'TB' if down else 'LR'};"]
    for k, node in enumerate(graph.nodes):
        label = node.label.text + (f"\n{node.sizes}" if node.sizes else "")
        lines.append(f"  n{k} [label={quoted(label)}, {SHAPES[node.kind]}];")
    for edge in graph.edges:
        style = "invis" if edge.hidden else "bold" if edge.moves else "dashed"
        label = f"label={quoted(edge.local.label.text)}, " if edge.local else ""
        tip = f"tooltip={quoted(edge.local.text)}, " if edge.local else ""
        lines.append(f"  n{edge.source} -> n{edge.target} [{label}{tip}style={style}];")
    return "\n".join([*lines, "}"]) + "\n"
