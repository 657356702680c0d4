"""Derivations as text: columns that align, lines that fit, and the same on terminals without Unicode."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from explain.samples import ALL, add, components, entry, line, n, neuron, one_path, two_paths, x

from chainrule.cli.terminal import PLAIN, as_shown, prepare_streams
from chainrule.explain.boxes import Pen, box, width_of
from chainrule.explain.derivation import Checked, Line, Phase, Sentence
from chainrule.explain.text import to_text
from chainrule.explain.words import formula
from chainrule.notation import matform as m

PEN = Pen(formula)
FOLDER = Path(__file__).parents[1] / "golden" / "explain"


def plain(text: str) -> str:
    return as_shown(text, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))


@pytest.mark.parametrize("name", ALL)
def test_examples(name: str, request: pytest.FixtureRequest) -> None:
    path = FOLDER / f"{name}.txt"
    printed = to_text(ALL[name]()) + "\n"
    if request.config.getoption("--update-golden"):
        path.write_text(printed, encoding="utf-8")
    assert printed == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [60, 80, 110])
def test_lines_fit_and_say_everything(name: str, width: int) -> None:
    text = to_text(ALL[name](), width=width)
    assert max(map(width_of, text.splitlines())) <= width
    words = re.sub(r"\s+", "", text)
    for shown in ALL[name]().lines():
        right = formula(shown.right) if shown.right.op != "grid" else box(shown.right, PEN).rows[0]
        assert re.sub(r"\s+", "", right) in words
        if shown.left is not None:
            assert re.sub(r"\s+", "", formula(shown.left)) in words


@pytest.mark.parametrize("name", ALL)
def test_plain_letters(name: str) -> None:
    prepare_streams()
    text = to_text(ALL[name](), spell=plain)
    assert text.isascii() and r"\u" not in text


def test_signs_align_in_plain_letters() -> None:
    prepare_streams()
    lines = to_text(one_path(), spell=plain).splitlines()
    phase = lines[lines.index("2. Differentiate each with respect to its argument") + 1 :][:4]
    assert len({text.index(" = ") for text in phase}) == 1
    assert len({re.search(r"\S {4,}(?=\S)", text).end() for text in phase if "  " in text[12:]}) == 1  # type: ignore[union-attr]


def test_partial_and_total_derivatives_stay_apart_in_plain_letters() -> None:
    prepare_streams()
    assert "dy/dx = del y/del x + del y/del u1 . du1/dx" in to_text(two_paths(), spell=plain)
    assert "del" not in to_text(neuron(), spell=plain)


def test_every_exponent_has_a_plain_spelling() -> None:
    assert plain("d(Xᵏ) = Σ Xʳ dX Xᵏ⁻¹⁻ʳ") == "d(X^k) = sum X^r dX X^(k-1-r)"


def test_every_box_sign_has_a_plain_spelling() -> None:
    assert not [sign for sign in "⎡⎢⎣⎤⎥⎦⎛⎜⎝⎞⎟⎠⎧⎨⎩⎪⋯⋮⋱←↦≠≤≥→×·−ᵀ∂Σ✓✗" if sign not in PLAIN]


def test_a_matrix_stands_beside_its_factors() -> None:
    grid = m.grid([[x, n(0)], [n(0), add(x, n(1))]])
    assert box(m.product(x, m.negative(grid), m.transpose(grid))).rows == (
        "x · ⎛−⎡ x  0     ⎤⎞ · ⎡ x  0     ⎤ᵀ",
        "    ⎝ ⎣ 0  x + 1 ⎦⎠   ⎣ 0  x + 1 ⎦ ",
    )


def test_cases_stand_behind_a_brace() -> None:
    when = [m.tree("condition", (x, n(k)), ("=",)) for k in range(4)]
    parts = [part for k, c in enumerate(when) for part in (m.power(x, n(k + 1)), c)]
    two = m.tree("cases", parts[:4])
    assert box(m.product(x, two)).rows == ("x · ⎧ x    if x = 0", "    ⎩ x²   if x = 1")
    assert box(m.tree("cases", parts[:6])).rows[1] == "⎨ x²   if x = 1"
    assert "".join(text[0] for text in box(m.tree("cases", parts)).rows) == "⎧⎨⎪⎩"
    assert box(m.tree("cases", parts[:2])).rows == ("{ x   if x = 0",)


def test_what_does_not_fit_goes_below() -> None:
    long = m.signed_sum([(1, m.call("sin", m.name(f"parameter{k}"))) for k in range(20)])
    shown = replace(
        one_path(),
        phases=(Phase("Long", (line(m.name("y"), long, "a reason " * 20), line(None, x, "short"))),),
    )
    text = to_text(shown)
    assert max(map(width_of, text.splitlines())) <= 110
    assert re.sub(r"\s+", "", "y = " + formula(long)) in re.sub(r"\s+", "", text)
    assert len(re.findall(r"a\s+reason", text)) == 20 and "= x" in text


def test_phases_inside_phases() -> None:
    inner = Phase("∂a/∂z by components", (line(entry(x, "i"), n(1)), Sentence(("so it is diagonal",))))
    shown = replace(one_path(), phases=(Phase("Outer", (line(x, n(2)), inner, line(x, n(3))), 1),))
    assert """
1. Outer
     x = 2
   ∂a/∂z by components
        xᵢ = 1
      so it is diagonal
     x = 3
""" in to_text(shown)


def test_a_failed_check_is_told() -> None:
    failed = Checked(4, 20, 0.5, "complex step", ("dy/dx = 3x",))
    assert "FAILED the check, a fault of chainrule: dy/dx = 3x" in to_text(
        replace(components(), checked=failed)
    )


def test_an_update_names_itself() -> None:
    assert "Gradient-descent step: w ← w − η(2/N) Xᵀ(e ⊙ 1[z > 0])" in to_text(neuron())
    unnamed = Line(x, n(1), relation="←")
    assert "\nx ← 1\n" in to_text(replace(neuron(), answer=(unnamed,)))
