"""The dataflow graph as a picture: everything is there, nothing overlaps, the words are true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import combinations

import pytest
from draw.cases import FORMULAS, SVG, case, page, parsed_svg, rectangles, steps_of, texts

from chainrule.api.formulas import declared
from chainrule.derive import jacobians
from chainrule.draw import Manner, dataflow
from chainrule.draw.dataflow import draw_graph
from chainrule.draw.graph import Edge, Graph, Local, Node, build
from chainrule.draw.maths import of_text, plain, shortened
from chainrule.draw.svg import COLOURS, RULES
from chainrule.errors import OptionError
from chainrule.expr.names import pretty
from chainrule.expr.walk import substitute, variables
from chainrule.language import parse_formula
from chainrule.notation.layout import is_turned
from chainrule.simplify import simplify
from chainrule.verify.compare import equal

LINE_CLASSES = ("line", "on", "all", "p1", "p2", "p3", "p4")
TIP_CLASSES = ("tip", "ont", "allt", "p1t", "p2t", "p3t", "p4t")
EVERY = pytest.mark.parametrize("name", FORMULAS)
WAYS = pytest.mark.parametrize("direction", ["right", "down"])


def titles(svg: str) -> list[str]:
    """What the tooltips say."""
    root = parsed_svg(svg)
    return [title.text or "" for group in root.iter(f"{SVG}g") for title in group.findall(f"{SVG}title")]


@EVERY
@WAYS
def test_nothing_overlaps_and_all_is_on_the_page(name: str, direction: str) -> None:
    root = parsed_svg(dataflow(case(name), direction=direction).svg)
    boxes, labels, whole = rectangles(root), texts(root), page(root)
    for a, b in combinations(boxes, 2):
        assert not a.overlaps(b)
    inside = [t for t in labels if any(t.overlaps(b) for b in boxes)]
    for text in inside:
        assert any(b.left <= text.left and text.right <= b.right for b in boxes), f"{text} leaves its box"
    for a, b in combinations(labels, 2):
        assert not a.overlaps(b, 1.5), f"{a.what} and {b.what} overlap"
    for area in (*boxes, *labels):
        assert whole.left <= area.left and area.right <= whole.right
        assert whole.top <= area.top and area.bottom <= whole.bottom


@EVERY
def test_every_node_and_edge_is_drawn_once(name: str) -> None:
    graph = build(case(name))
    svg = dataflow(case(name)).svg
    said = titles(svg)
    assert len(said) == len(graph.nodes) + len(graph.edges)
    for node in graph.nodes:
        assert node.label.text + (f", {node.sizes}" if node.sizes else "") in said
    for edge in graph.edges:
        names = (graph.nodes[edge.source].name.text, graph.nodes[edge.target].name.text)
        assert (edge.local.text if edge.local else " → ".join(names)) in said
    lines = [p for p in parsed_svg(svg).iter(f"{SVG}path") if p.get("class") in LINE_CLASSES]
    assert len(lines) == len(graph.edges)


@EVERY
def test_lines_begin_and_end_at_their_nodes(name: str) -> None:
    graph, root = build(case(name)), parsed_svg(dataflow(case(name), direction="right").svg)
    boxes = rectangles(root)
    tips = [p for p in root.iter(f"{SVG}path") if p.get("class") in TIP_CLASSES]
    starts = [p for p in root.iter(f"{SVG}path") if p.get("class") in LINE_CLASSES]
    order = sorted(range(len(graph.edges)), key=lambda k: (graph.edges[k].moves, k))
    for k, start, tip in zip(order, starts, tips, strict=True):
        for end, path, side in (
            (graph.edges[k].source, start, "right"),
            (graph.edges[k].target, tip, "left"),
        ):
            x, y = map(float, re.findall(r"-?[\d.]+", path.get("d", ""))[:2])
            assert abs(x - getattr(boxes[end], side)) < 0.2
            assert boxes[end].top < y < boxes[end].bottom


@EVERY
def test_the_description_names_nodes_edges_and_paths(name: str) -> None:
    steps, drawing = case(name), dataflow(case(name))
    root = parsed_svg(drawing.svg)
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and desc is not None and title.text and desc.text
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert drawing.alt == f"{title.text}\n{desc.text}"
    graph = build(steps)
    for node in graph.nodes:
        assert node.label.text in desc.text
    for edge in graph.edges:
        assert f"{graph.nodes[edge.source].name.text} to {graph.nodes[edge.target].name.text}" in desc.text
    for variable, shown in zip(steps.wrt, graph.names, strict=True):
        count = steps.count_paths(variable)
        start = {0: "No path leads", 1: "One path leads"}.get(count, f"{count} paths lead")
        assert f"{start} from {shown.text} to {graph.nodes[graph.output].name.text}" in desc.text
        if 0 < count <= 4:
            for path in steps.paths(variable):
                assert " → ".join(pretty(symbol.name) for symbol in path) in desc.text


@EVERY
def test_what_is_written_on_the_edges_is_true(name: str) -> None:
    """Each local derivative is read back and compared with the one that the engine finds."""
    steps = case(name)
    graph = build(steps)
    shown = {e.local.left.text: e.local for e in graph.edges if e.local and e.local.left.text}
    symbols = [*steps.wrt, *(p.symbol for p in steps.parts)]
    inputs = {v.name: v for v in (*variables(*(part.value for part in steps.parts)), *symbols)}
    checked = 0
    for part in steps.parts:
        for argument in steps.arguments(part):
            if part.symbol.rank + argument.rank > 2 or len(symbols) > 20:
                continue
            name = f"{pretty(part.name)}/∂{pretty(argument.name)}"
            local = next(shown[n] for n in (f"∂{name}", f"d{name.replace('∂', 'd')}") if n in shown)
            wanted = simplify(jacobians(part.value, [argument])[argument])
            if is_turned(part.symbol.rank, argument.rank, "numerator") and wanted.rank == 2:
                wanted = wanted.T
            declaration = " ".join(declared(v) for v in inputs.values())
            read = parse_formula(local.right.text, declaration, shape=wanted.shape).expr
            read = substitute(read, {part.symbol: part.value})
            assert equal(read, wanted, list(inputs.values())).equal, local.text
            checked += 1
    assert checked or not shown or len(symbols) > 20


def test_paths_have_colours_of_their_own() -> None:
    svg = dataflow(case("two paths")).svg
    classes = [p.get("class") for p in parsed_svg(svg).iter(f"{SVG}path")]
    assert {"p1", "p2"} <= set(classes) and "on" not in classes
    assert [c for c in classes if c == "p2"] == ["p2", "p2"]  # x → u → y
    shared = dataflow(case("three steps, two paths")).svg
    assert "all" in [p.get("class") for p in parsed_svg(shared).iter(f"{SVG}path")]


def test_direct_partials_are_told_from_total_derivatives() -> None:
    drawing = dataflow(case("two paths"))
    assert "∂y/∂x = 1; direct partial: u held fixed" in titles(drawing.svg)
    assert "direct: u held fixed" in [
        "".join(t.itertext()) for t in parsed_svg(drawing.svg).iter(f"{SVG}text")
    ]
    assert "dy/dx = ∂y/∂x + ∂y/∂u · du/dx" in drawing.alt
    assert "direct" not in dataflow(case("scalar chain")).svg


def test_the_diagram_of_the_notes() -> None:
    """R79: x → (·)² → u → sin → y."""
    steps = steps_of("sin(x**2)", "", "x")
    drawing = dataflow(steps, operators=True)
    assert "One path leads from x to y: x → (·)² → u → sin → y." in drawing.alt
    assert "dy/dx = dy/du · du/dx." in drawing.alt
    assert "du/dx = 2x" in titles(drawing.svg) and "dy/du = cos(u)" in titles(drawing.svg)


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "signs"),
    [
        ("relu(w @ x + b)", "w[n] x[n] b", "x", ["w"]),
        ("x * x**2", "", "x", ["(·)²", "×"]),
        ("sum(w * x)", "w[n] x[n]", "w", ["sum"]),
        ("sin(x) + x", "", "x", ["sin", "+"]),
    ],
)
def test_signs_of_operators(formula: str, shapes: str, wrt: str, signs: list[str]) -> None:
    graph = build(steps_of(formula, shapes, wrt), operators=True)
    found = [node.name.text for node in graph.nodes if node.kind == "operator"]
    for sign in signs:
        assert any(sign in text for text in found), found


def test_denominator_layout_turns_factors_and_derivatives() -> None:
    drawing = dataflow(case("neuron loss"), manner=Manner("denominator"))
    assert "∂z/∂w = Xᵀ, n × N" in titles(drawing.svg)
    assert "∂C/∂w = ∂z/∂w · ∂a/∂z · ∂v/∂a · ∂C/∂v" in drawing.alt


def test_matrix_steps_show_linear_maps_and_tell_the_entries() -> None:
    said = titles(dataflow(case("two layers")).svg)
    assert "∂z₁_ij/∂W₁_kl = X_ik δ_jl, N × h × n × h; as a map dW₁ ↦ X dW₁" in said


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_themes(theme: str) -> None:
    svg = dataflow(case("two paths"), manner=Manner(theme=theme)).svg
    assert ("prefers-color-scheme" in svg) == (theme == "auto")
    assert (COLOURS["light"]["ink"] in svg) == (theme != "dark")
    assert (COLOURS["dark"]["ink"] in svg) == (theme != "light")


def test_the_style_sheet_is_scoped_to_the_drawing() -> None:
    one, two = (dataflow(case(name)).svg for name in ("two paths", "neuron loss"))
    ids = [re.findall(r' id="(\w[\w-]*)"', svg) for svg in (one, two)]
    assert not set(ids[0]) & set(ids[1])
    for svg, names in zip((one, two), ids, strict=True):
        sheet = svg[svg.index("<style>") : svg.index("</style>")]
        rules = re.findall(r"^([^@{}\n]+)\{", sheet, re.MULTILINE)
        assert rules and all(rule.startswith(f"#{names[0]} ") for rule in rules)
    assert ' id="mine"' in dataflow(case("two paths"), manner=Manner(prefix="mine")).svg


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", COLOURS)
def test_text_and_lines_stand_out(theme: str) -> None:
    colours = COLOURS[theme]
    for name in ("ink", "muted", "accent", "line", "edge", "good", "path1", "path2", "path3", "path4"):
        assert contrast(colours[name], colours["page"]) >= 4.5, name
    for name in ("fill", "source", "result"):
        assert contrast(colours["ink"], colours[name]) >= 4.5
        assert contrast(colours["muted"], colours[name]) >= 4.5
    assert contrast("#777777", "#888888") < 4.5  # the measure itself


def test_there_is_no_script_and_nothing_from_outside() -> None:
    svg = dataflow(case("neuron loss")).svg
    assert "<script" not in svg and "href" not in svg and "url(" not in svg
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert set(re.findall(r"font-family:([^;}]+)", svg)) == {"serif", "sans-serif"}
    assert all(rule for rule in RULES.values())


def test_odd_names_are_escaped() -> None:
    odd = '<b a="1">&\x00\ud800'
    nodes = (Node("variable", plain(odd), None, "n"), Node("output", plain("y"), plain("f(<&>)"), "scalar"))
    local = Local(plain("∂y/∂<"), plain("]]>"), "1 × n")
    graph = Graph(nodes, (Edge(0, 1, True, local),), (0,), ((0, 1),), (1,), (plain(odd),), 1, (plain("d"),))
    drawing = draw_graph(graph)
    root = parsed_svg(drawing.svg)
    words = ["".join(t.itertext()) for t in root.iter(f"{SVG}text")]
    assert '<b a="1">&\ufffd\ufffd' in words
    assert "\x00" not in drawing.svg and "<b" not in drawing.svg


def test_greek_and_accented_names() -> None:
    drawing = dataflow(steps_of("sin(lam * w_hat)**2", "", "w_hat"))
    assert "ŵ" in drawing.svg and "λ" in drawing.svg
    parsed_svg(drawing.svg)


DOT_LINE = re.compile(
    r'  (?:rankdir=(?:LR|TB)|n(?P<node>\d+) \[label="(?P<label>(?:[^"\\]|\\.)*)", [^\]]*\]'
    r'|n(?P<source>\d+) -> n(?P<target>\d+) \[(?:\w+="(?:[^"\\]|\\.)*", )*style=\w+\]);'
)


def read_dot(text: str) -> tuple[dict[int, str], list[tuple[int, int]]]:
    """A small reader of what we write: nodes with labels, and edges between nodes that exist."""
    first, *lines, last = text.splitlines()
    assert (first, last) == ("digraph dataflow {", "}")
    nodes: dict[int, str] = {}
    edges: list[tuple[int, int]] = []
    for line in lines:
        found = DOT_LINE.fullmatch(line)
        assert found, f"not DOT: {line}"
        if found["node"]:
            nodes[int(found["node"])] = re.sub(
                r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), found["label"]
            )
        elif found["source"]:
            edges.append((int(found["source"]), int(found["target"])))
    assert all(end in nodes for edge in edges for end in edge)
    return nodes, edges


@EVERY
def test_dot_is_the_same_graph(name: str) -> None:
    graph = build(case(name))
    nodes, edges = read_dot(dataflow(case(name)).dot)
    assert [label.split("\n")[0] for label in nodes.values()] == [node.label.text for node in graph.nodes]
    assert edges == [(edge.source, edge.target) for edge in graph.edges]


def test_the_reader_of_dot_finds_mistakes() -> None:
    with pytest.raises(AssertionError):
        read_dot('digraph dataflow {\n  n0 [label="a"b", shape=box];\n}')
    with pytest.raises(AssertionError):
        read_dot("digraph dataflow {\n  n0 -> n1 [style=bold];\n}")


def test_a_planted_overlap_is_found() -> None:
    root = parsed_svg(dataflow(case("two paths")).svg)
    boxes = rectangles(root)
    moved = [*boxes, type(boxes[0])(boxes[0].left + 5, boxes[0].top + 5, boxes[0].right, boxes[0].bottom)]
    assert any(a.overlaps(b) for a, b in combinations(moved, 2))


def test_the_same_picture_in_every_process() -> None:
    code = (
        "from draw.cases import case\nfrom chainrule.draw import dataflow, boxes\n"
        "import hashlib\nfor name in ('factorisation', 'two layers', 'soft maximum'):\n"
        "    print(hashlib.sha256(dataflow(case(name)).svg.encode()).hexdigest(),"
        " hashlib.sha256(boxes(case(name)).svg.encode()).hexdigest())"
    )
    found = set()
    for seed in ("1", "2"):
        paths = os.pathsep.join(["tests", *sys.path])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        found.add(result.stdout)
    assert len(found) == 1 and len(found.pop().split()) == 6


def test_unknown_options_are_refused() -> None:
    with pytest.raises(OptionError, match="the direction is auto, right or down"):
        dataflow(case("two paths"), direction="up")
    with pytest.raises(OptionError, match="the theme is auto, light or dark"):
        dataflow(case("two paths"), manner=Manner(theme="pink"))


def test_letters_keep_their_styles() -> None:
    runs = [(r.text, r.slanted, r.level) for r in of_text("relu(x₁²) w2_ij + dvec(X)ᵀ", {"relu", "vec"}).runs]
    assert runs == [
        ("relu(", False, 0), ("x", True, 0), ("1", False, -1), ("2", False, 1), (") ", False, 0),
        ("w", True, 0), ("2,", False, -1), ("ij", True, -1), (" + ", False, 0), ("d", True, 0),
        ("vec(", False, 0), ("X", True, 0), (")", False, 0), ("T", False, 1),
    ]  # fmt: skip


def test_long_formulas_are_cut_and_told_in_full() -> None:
    formula = of_text(" + ".join(f"x_{k}" for k in range(40)))
    short = shortened(formula, 10)
    assert short.width(1) <= 10 and short.runs[-1].text.endswith("…") and short.text == formula.text
    assert shortened(of_text("x"), 10).runs == of_text("x").runs


@pytest.mark.parametrize(("direction", "rank"), [("right", "LR"), ("down", "TB")])
def test_dot_is_laid_out_as_the_picture_is(direction, rank) -> None:
    drawing = dataflow(steps_of("sin(x**2)", "", "x"), direction=direction)
    assert f"rankdir={rank};" in drawing.dot
