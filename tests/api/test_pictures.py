"""Pictures as a person asks for them: in Python, in a notebook, on the command line, in a page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import chainrule as cr
from chainrule.api.pictures import picture
from chainrule.cli.main import main

LOSS = "mean((y - relu(X @ w + b))**2)"
DATA = "X[N,n] w[n] b y[N]"


def test_a_notebook_shows_it() -> None:
    drawing = cr.derive(LOSS, wrt="w", shapes=DATA).graph()
    assert drawing._repr_svg_() == drawing.svg
    assert ET.fromstring(drawing.svg).get("role") == "img"
    assert repr(drawing) == "<Drawing: Dataflow graph of C = ‖y − relu(Xw + b)‖²/N, from w>"


def test_it_is_saved_as_its_name_says(tmp_path: Path) -> None:
    drawing = cr.derive("sin(x**2)", wrt="x").graph()
    assert drawing.save(tmp_path / "a.svg").read_text(encoding="utf-8") == drawing.svg
    assert drawing.save(str(tmp_path / "a.dot")).read_text(encoding="utf-8") == drawing.dot
    with pytest.raises(cr.OptionError, match="cannot be written"):
        drawing.save(tmp_path / "none" / "a.svg")


def test_several_variables_share_a_graph() -> None:
    both = cr.derive(LOSS, wrt="w,b", shapes=DATA)
    assert "from w and b" in both.graph().alt
    with pytest.raises(cr.OptionError, match="there are several"):
        picture(both, "boxes")
    assert "∂C/∂b" in both["b"].boxes().alt


def test_the_value_at_a_kink_is_that_of_the_derivative() -> None:
    half = cr.derive("relu(x)**2", wrt="x", at_kink=0.5).graph().alt
    assert half != cr.derive("relu(x)**2", wrt="x").graph().alt


def test_the_signs_are_those_of_the_profile() -> None:
    plain, notes = (
        cr.derive("sum(w * x)", wrt="w", shapes="w[n] x[n]", profile=p).graph() for p in (None, "notes")
    )
    assert "w ⊙ x" in plain.alt and "w ⊗ x" in notes.alt and "⊙" not in notes.svg


def test_functions_left_unknown_are_drawn() -> None:
    alt = cr.derive("f(g(x))", wrt="x", functions="f: scalar, g: scalar").graph().alt
    assert "dy/du = f′(u)" in alt and "du/dx = g′(x)" in alt


def test_the_second_order_is_the_graph_of_the_first() -> None:
    assert "12x²" in cr.derive("x**4", wrt="x", order=2).graph().alt


def test_scalars_together_are_one_box_with_its_entries() -> None:
    """R30, R31: a row for each function, a column for each variable."""
    d = cr.derive("[3*x**2*y, 2*x + y**8]", wrt="[x, y]")
    assert d.boxes().alt.splitlines() == [
        "The entries of ∂u/∂(x, y): 2 × 2",
        "Row u₁: ∂u₁/∂x = 6xy; ∂u₁/∂y = 3x². Row u₂: ∂u₂/∂x = 2; ∂u₂/∂y = 8y⁷.",
    ]
    gradient = cr.derive("3*x**2*y", wrt="[x, y]", layout="denominator").boxes()
    assert gradient.alt.startswith("The entries of ∂f/∂(x, y): 2 × 1\nRow f: ∂f/∂x = 6xy; ∂f/∂y = 3x².")
    many = cr.derive("x*a + y*b", wrt="[x, y]", shapes="a[n] b[n] x y").boxes()
    assert "n × 2" in many.alt


@pytest.mark.parametrize("kind", ["shapes", "pieces"])
def test_tables_point_at_the_cell_of_the_request(kind: str) -> None:
    found = picture(cr.derive("sum(exp(A @ x))", wrt="x", shapes="A[m,n] x[n]"), kind).alt
    assert "vector f" not in next(s for s in found.split(". ") if "this one" in s).lower()
    assert "this one" not in picture(cr.derive("logdet(X)", wrt="X", shapes="X[n,n]"), kind).alt


def test_the_command_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form, start in (
        ("svg", "<svg"),
        ("boxes", "<svg"),
        ("pieces", "<svg"),
        ("dot", "digraph"),
        ("text", "Data"),
    ):
        target = tmp_path / f"picture.{form}"
        with pytest.raises(SystemExit) as ended:
            main(["draw", "sin(x**2)", "--wrt", "x", "--format", form, "--output", str(target)])
        assert not ended.value.code
        assert target.read_text(encoding="utf-8").startswith(start)
        assert capsys.readouterr().out.startswith(f"{target}: ")


def test_a_page_has_the_figures_of_its_derivation() -> None:
    page = cr.explain(LOSS, "w", DATA).to_html()
    assert page.count("<figure>") == 2 == page.count('role="img"')
    assert "Dataflow graph of C" in page and "Boxes of ∂C/∂w" in page
    assert "<figure>" not in cr.explain("x**2", "x").to_html()
    twice = cr.explain("sin(x**2)", "x", order=2).to_html()
    ids = [part.split('"')[0] for part in twice.split('<svg xmlns="http://www.w3.org/2000/svg" id="')[1:]]
    assert len(ids) == len(set(ids)) >= 2
