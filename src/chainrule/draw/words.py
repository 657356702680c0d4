"""What a graph shows, in words: the text alternative of its drawing.

In: a Graph. Out: sentences that name every node, every edge with its derivative, and every path.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from chainrule.draw.graph import TOLD_PATHS, Graph, Node
from chainrule.draw.maths import Maths, joined, plain, tinted
from chainrule.notation.text import SUPERSCRIPTS

LONGEST = 160  # letters of a formula in a sentence; a tooltip has all of it
MOST_HIDDEN = 8
MOST_VARIABLES = 8  # of more of them, what is said is said once
KINDS = {"variable": "variable", "constant": "held constant"}


def title(graph: Graph) -> str:
    """What the picture is, in one line."""
    names = listed([name.text for name in graph.names])
    formula = graph.whole or graph.nodes[graph.output].label.text
    how = ", entry by entry" if graph.ordered else ""
    return f"Dataflow graph of {elided(formula)}, from {elided(names)}{how}"


def description(graph: Graph) -> str:
    """Nodes, edges and paths, a sentence each."""
    return " ".join([*_nodes(graph), *_edges(graph), *path_sentences(graph)])


def listed(names: Sequence[str]) -> str:
    """A, B and C."""
    return "".join(names) if len(names) < 2 else f"{', '.join(names[:-1])} and {names[-1]}"


def elided(formula: str) -> str:
    """A formula, or its beginning if it is long."""
    return formula if len(formula) <= LONGEST else formula[: LONGEST - 1].rstrip() + "…"


def counted(count: int) -> str:
    """A number of paths; of a huge one its size.

    >>> counted(12), counted(1234567), counted(2**70)
    ('12', '1,234,567', 'more than 10²¹')
    """
    digits = len(str(count)) - 1
    return f"{count:,}" if digits < 9 else f"more than 10{str(digits).translate(SUPERSCRIPTS)}"


def _nodes(graph: Graph) -> list[str]:
    inputs = [n for n in graph.nodes if n.kind in KINDS]
    steps = [n for n in graph.nodes if n.kind not in (*KINDS, "dots")]
    lines = []
    if inputs:
        lines.append(f"Inputs: {'; '.join(f'{_said(n)}, {KINDS[n.kind]}' for n in inputs)}.")
    if steps:
        lines.append(f"Steps: {'; '.join(map(_said, steps))}.")
    return lines


def _said(node: Node) -> str:
    sizes = f" ({node.sizes})" if node.sizes else ""
    names = [*node.hidden[:2], "…", node.hidden[-1]] if len(node.hidden) > MOST_HIDDEN else node.hidden
    hidden = f" ({listed(names)})" if names else ""
    return elided(node.label.text) + sizes + hidden


def _edges(graph: Graph) -> list[str]:
    named = [n.name.text for n in graph.nodes]
    changing = [e for e in graph.edges if e.moves]
    constant = [e for e in graph.edges if not e.moves and not e.hidden]
    lines = []
    if changing:
        told = [
            f"{named[e.source]} to {named[e.target]}" + (f" with {elided(e.local.text)}" if e.local else "")
            for e in changing
        ]
        lines.append(f"Edges along which changes travel: {'; '.join(told)}.")
    if constant:
        told = [f"{named[e.source]} to {named[e.target]}" for e in constant]
        lines.append(f"Edges from what is constant: {'; '.join(told)}.")
    return lines


def path_sentences(graph: Graph) -> list[str]:
    """How many paths there are from each variable, which, and what follows."""
    return ["".join(piece.text for piece in line) for line in caption(graph)]


def caption(graph: Graph) -> list[list[Maths]]:
    """The same as formulas among words, in pieces between which a line may be broken."""
    if graph.ordered:
        return []
    output = graph.nodes[graph.output].name
    if len(graph.names) > MOST_VARIABLES:
        return [_together(graph, output)]
    lines = []
    for name, total, source, count in zip(graph.names, graph.totals, graph.sources, graph.count, strict=True):
        found = graph.paths_of(source) if count <= TOLD_PATHS else []
        told = found if len(found) == count else []
        start = {0: "No path leads", 1: "One path leads"}.get(count, f"{counted(count)} paths lead")
        ends = {0: ": the derivative is 0."}.get(count, ": " if told else ".")
        line = [plain(f"{start} from "), name, plain(" to "), output, plain(ends)]
        for k, path in enumerate(told):
            pieces = _joined([graph.nodes[n].name for n in path], " → ")
            if len(told) > 1 and len(graph.sources) == 1:
                pieces = [tinted(piece, f"p{k + 1}t") for piece in pieces]
            line += [plain("; ")] * bool(k) + pieces
        line += [plain(".")] * bool(told)
        lines.append(line)
        rule = _chain_rule(graph, total, told)
        lines += [rule] if rule else []
    return lines


def _together(graph: Graph, output: Maths) -> list[Maths]:
    """What is said of many variables at once."""
    first, last = graph.names[0], graph.names[-1]
    fewest, most = min(graph.count), max(graph.count)
    least = "" if fewest == most else f"{counted(fewest)} to "
    count = f"{least}{counted(most)} paths lead"
    start = plain(f"{'One path leads' if most == 1 else count} from each of {len(graph.names)} variables, ")
    return [start, first, plain(" to "), last, plain(", to "), output, plain(".")]


def _chain_rule(graph: Graph, total: Maths, paths: Sequence[tuple[int, ...]]) -> list[Maths]:
    """The derivative as the sum over paths of products of local derivatives, in the order of the layout."""
    by_ends = {(e.source, e.target): e.local for e in graph.edges}
    terms: list[list[Maths]] = []
    for path in paths:
        steps = [ends for ends in pairwise(path) if graph.nodes[ends[0]].kind != "operator"]
        local = [by_ends.get(ends) for ends in steps]
        if not all(each and each.left.text for each in local):
            return []
        factors = [each.left for each in local if each]
        terms.append(_joined(factors if graph.layout == "denominator" else factors[::-1], " · "))
    if not terms or len(terms) == len(terms[0]) == 1:
        return []
    summed = [piece for k, term in enumerate(terms) for piece in [plain(" + ")] * bool(k) + term]
    return [total, plain(" = "), *summed, plain(".")]


def _joined(parts: Sequence[Maths], sign: str) -> list[Maths]:
    """The parts with a sign behind each but the last, where a line may be broken."""
    return [*(joined(part, plain(sign)) for part in parts[:-1]), *parts[-1:]]
