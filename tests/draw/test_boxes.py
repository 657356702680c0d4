"""Shape boxes: sizes in proportion, the right kind of matrix, the factors in the order of the layout."""

from __future__ import annotations

import pytest
from draw.cases import FORMULAS, SVG, case, page, parsed_svg, rectangles, steps_of, texts

from chainrule.draw import Manner, boxes, piece_table, shape_table
from chainrule.draw.boxes import chains
from chainrule.draw.sizes import THIN, lengths
from chainrule.errors import LimitExceeded, OptionError
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable

SMALL = [name for name in FORMULAS if name not in ("nothing depends on it", "the variable itself")]


def shown(name: str, layout: str = "numerator") -> list[list[tuple[str, str, str]]]:
    steps = case(name)
    rows, _ = chains(steps, steps.wrt[0], Manner(layout))
    return [[(b.name.text, b.sizes, b.kind) for b in row] for row in rows]


def test_the_chain_of_the_neuron() -> None:
    assert shown("neuron loss") == [
        [
            ("∂C/∂v", "1 × N", "full"),
            ("∂v/∂a", "N × N", "identity"),
            ("∂a/∂z", "N × N", "diagonal"),
            ("∂z/∂w", "N × n", "full"),
        ]
    ]
    alt = boxes(case("neuron loss")).alt
    assert "1 × N · N × N · N × N · N × n = 1 × n" in alt and "∂v/∂a = −I, N × N, identity" in alt


def test_denominator_layout_turns_the_product() -> None:
    (row,) = shown("neuron loss", "denominator")
    assert [(name, sizes) for name, sizes, _ in row] == [
        ("∂z/∂w", "n × N"), ("∂a/∂z", "N × N"), ("∂v/∂a", "N × N"), ("∂C/∂v", "N × 1"),
    ]  # fmt: skip
    assert shown("neuron loss", "shape") == shown("neuron loss", "denominator")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("layout", ["numerator", "denominator"])
def test_neighbours_fit_and_the_product_has_the_size_of_the_result(name: str, layout: str) -> None:
    steps = case(name)
    rows, result = chains(steps, steps.wrt[0], Manner(layout))
    one = Dim.of(1)
    for row in rows:
        if any(block.kind == "gap" for block in row):
            continue
        rows_left, columns = one, one
        for k, block in enumerate(row):
            if k == 0 or (rows_left, columns) == (one, one):
                rows_left, columns = block.rows, block.columns
            elif block.kind != "scalar":
                assert columns == block.rows, f"{block.text} does not fit"
                columns = block.columns
        assert (rows_left, columns) == (result.rows, result.columns)


@pytest.mark.parametrize("name", SMALL)
def test_boxes_are_apart_and_on_the_page(name: str) -> None:
    root = parsed_svg(boxes(case(name)).svg)
    areas, whole = [*rectangles(root)], page(root)
    for k, area in enumerate(areas):
        assert not any(area.overlaps(other) for other in areas[k + 1 :])
    for area in (*areas, *texts(root)):
        assert whole.left <= area.left and area.right <= whole.right
        assert whole.top <= area.top and area.bottom <= whole.bottom


def test_long_sizes_have_room() -> None:
    for formula, shapes, wrt in (
        ("concat(w, b) @ concat(x, 1)", "w[n] x[n] b", "b"),
        ("sum(kron(A, B)**2)", "A[rows,columns] B[rows,columns]", "A"),
    ):
        words = texts(parsed_svg(boxes(steps_of(formula, shapes, wrt)).svg))
        assert not any(a.overlaps(b, 1.0) for k, a in enumerate(words) for b in words[k + 1 :])


def test_numbers_have_their_true_proportions() -> None:
    areas = rectangles(parsed_svg(boxes(steps_of("sum((A @ x)**2)", "A[3,6] x[6]", "x")).svg))
    sizes = [(round(a.right - a.left), round(a.bottom - a.top)) for a in areas]
    assert sizes == [(36, 12), (72, 36), (72, 12)]


def test_lengths_are_distinct_and_never_too_thin() -> None:
    names = [Dim.of(name) for name in ("N", "n", "m", "k", "a", "b", "N2")]
    found = lengths([*names, Dim.of(1), Dim.of("n") + Dim.of(1), Dim.of("m") * Dim.of("n")])
    assert len({round(found[name], 3) for name in names}) == len(names)
    assert found[Dim.of(1)] == THIN and min(found.values()) == THIN
    assert found[Dim.of("N")] > found[Dim.of("m")] > found[Dim.of("n")] > found[Dim.of("k")]
    assert found[Dim.of("n") + Dim.of(1)] > found[Dim.of("n")]
    large = lengths([Dim.of(1), Dim.of(10**6)])
    assert large[Dim.of(1)] == THIN and large[Dim.of(10**6)] < 200


def test_matrices_are_stacked_where_a_jacobian_needs_it() -> None:
    (row,) = shown("two layers")
    assert row[-1] == ("∂vec(z₁)/∂vec(W₁)", "Nh × hn", "full")
    assert row[-2] == ("∂vec(a₁)/∂vec(z₁)", "Nh × Nh", "diagonal")
    steps = case("log-determinant")
    _, result = chains(steps, steps.wrt[0])
    assert (result.name.text, result.sizes) == ("∂L/∂X", "n × n")


def test_several_paths_are_several_lines() -> None:
    assert [[name for name, _, _ in row] for row in shown("two paths")] == [["∂y/∂x"], ["∂y/∂u", "du/dx"]]
    words = ["".join(t.itertext()) for t in parsed_svg(boxes(case("two paths")).svg).iter(f"{SVG}text")]
    assert "+" in words and "=" in words and "dy/dx" in words


def test_a_derivative_that_is_zero_is_an_empty_box() -> None:
    steps = steps_of("sin(x)", "x[n] y[m]", "y")
    rows, result = chains(steps, steps.wrt[0])
    assert rows == [] and (result.kind, result.sizes) == ("zero", "n × m")
    assert "zero" in boxes(steps).alt


def test_long_chains_show_their_ends() -> None:
    (row,) = shown("twelve layers")
    assert len(row) == 9 and row[4][2] == "gap" and "factors not shown" in row[4][0]


def test_what_cannot_be_drawn_is_refused() -> None:
    doubled = "; ".join(f"a{k} = sin(a{k - 1}) + a{k - 1}" for k in range(1, 5))
    many = steps_of(f"a0 = sin(x) + x; {doubled}; a4 * x", "", "x")
    with pytest.raises(LimitExceeded, match="paths lead from x to y"):
        boxes(many)
    with pytest.raises(OptionError, match="not differentiated by q"):
        boxes(case("two paths"), Variable("q"))


WORDS = {
    (False, False): "scalar", (True, False): "row", (False, True): "column", (True, True): "matrix",
}  # fmt: skip


def test_the_table_of_shapes() -> None:
    """R38, P15: the four shapes of a derivative; the cell of the request is marked."""
    alt = shape_table((True, False)).alt
    for (x, f), word in WORDS.items():
        kinds = [f"{'Vector' if x else 'Scalar'} x", f"{'vector' if f else 'scalar'} f"]
        cell = next(s for s in alt.split(". ") if s.split("\n")[-1].startswith(kinds[0]) and kinds[1] in s)
        assert f"∂f/∂x is a {word}" in cell
        assert ("(this one)" in cell) == ((x, f) == (True, False))
    assert "vector f (m): ∂f/∂x is a matrix, m × n" in alt
    turned = shape_table(manner=Manner("denominator")).alt
    assert "∂f/∂x is a matrix, n × m" in turned and "denominator layout" in turned


def test_the_table_of_pieces() -> None:
    """P55: which pieces are multiplied for scalar and vector x, u, f."""
    alt = piece_table((True, True, False)).alt
    for x in (False, True):
        for u in (False, True):
            for f in (False, True):
                pieces = f"{WORDS[u, f]} · {WORDS[x, u]} = {WORDS[x, f]}"
                kinds = [
                    ("vector" if v else "scalar") + f" {name}" for v, name in ((x, "x"), (u, "u"), (f, "f"))
                ]
                assert f"{', '.join(kinds).capitalize()}: ∂f/∂u · ∂u/∂x: {pieces}" in alt
    assert alt.count("(this one)") == 1 and "row · matrix = row (this one)" in alt
    root = parsed_svg(piece_table().svg)
    assert len([a for a in rectangles(root) if a.what == "node"]) == 16
    whole = page(root)
    assert all(whole.left <= t.left and t.right <= whole.right for t in texts(root))
    assert "∂u/∂x · ∂f/∂u: matrix · column = column" in piece_table(manner=Manner("denominator")).alt
