"""Derivations in LaTeX and Markdown: only commands that amsmath and KaTeX know, and what opens closes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from explain.samples import ALL, components, line, n, neuron, two_paths, x, y
from explain.tex import check_tex

from chainrule.explain.derivation import Checked, Derivation, Phase, Sentence
from chainrule.explain.latex import SIGNS, in_formula, paragraph, to_document, to_latex
from chainrule.explain.markdown import paragraph as markdown_paragraph
from chainrule.explain.markdown import to_markdown
from chainrule.explain.words import spans, words_text
from chainrule.notation import matform as m

FOLDER = Path(__file__).parents[1] / "golden" / "explain"


def strange() -> Derivation:
    """Signs that mean something to TeX and Markdown in names, titles and sentences."""
    words = Sentence(
        ("100% of x_1 & y_2 #3 {a} $5 a\\b ~ ^ … – ’ λ₂ ≤ 3e-16, relu′(0), Aᵀ|z| < * [1](2) `c`",)
    )
    phase = Phase("50% & more_of {it}", (line(m.name("learning_rate"), m.name("x_hat"), "x_y & 5%"), words))
    return replace(two_paths(), phases=(*two_paths().phases, phase))


EVERY = {**ALL, "strange": strange}


@pytest.mark.parametrize("name", EVERY)
def test_latex_is_read_by_tex(name: str) -> None:
    check_tex(to_latex(EVERY[name]()))


@pytest.mark.parametrize("name", EVERY)
def test_displays_of_markdown_are_read_by_tex(name: str) -> None:
    text = to_markdown(EVERY[name]())
    displays = text.split("$$\n")
    assert len(displays) % 2 == 1 and len(displays) > 3
    for display in displays[1::2]:
        check_tex(display.rstrip(), display=True)
    for prose in displays[::2]:
        for formula in re.findall(r"(?<!\\)\$(.*?)(?<!\\)\$", prose):
            check_tex(formula, display=True)


@pytest.mark.parametrize("name", ["neuron", "components"])
@pytest.mark.parametrize(("kind", "write"), [("tex", to_document), ("md", to_markdown)])
def test_examples(name: str, kind: str, write: object, request: pytest.FixtureRequest) -> None:
    path = FOLDER / f"{name}.{kind}"
    assert callable(write)
    printed = write(ALL[name]())
    if request.config.getoption("--update-golden"):
        path.write_text(printed, encoding="utf-8")
    assert printed == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "wrong",
    [
        r"$x", r"$x$$", r"{x", r"x}", r"$\frac{1}{2$}", r"x_1", r"$\foo$", r"a & b", r"$\left( x$",
        r"$x \right)$",
        r"\begin{align*} x", r"\begin{align*} x \end{cases}", r"$x^^2$", "$x\n\ny$", "−", r"a \\ b",
        r"$\begin{pmatrix} 1$\end{pmatrix}", r"\begin{tabular} \end{tabular}",
    ],
)  # fmt: skip
def test_the_reader_of_tex_finds_mistakes(wrong: str) -> None:
    with pytest.raises(AssertionError):
        check_tex(wrong)


def test_sizes_stand_under_their_factors() -> None:
    assert r"\underbrace{(-I)}_{N \times N} \cdot" in to_latex(neuron())


def test_what_goes_on_from_a_phase_above_repeats_its_left_side() -> None:
    last = to_latex(two_paths()).split(r"\paragraph{4. Substitute back}")[1]
    assert last.lstrip().startswith("\\begin{align*}\n\\frac{\\mathrm{d} y}{\\mathrm{d} x} &= 1 + 2 x\n")


def test_long_right_sides_are_broken() -> None:
    long = m.signed_sum([(1, m.call("sin", m.name(f"v{k}"))) for k in range(30)])
    shown = replace(two_paths(), phases=(Phase("", (line(y, long, "sum rule"),)),))
    text = to_latex(shown)
    check_tex(text)
    assert text.count(r" \\" + "\n" + r"&\quad + \sin") >= 2 and r"&\qquad \text{sum rule}" in text


@pytest.mark.parametrize(
    ("words", "tex", "markdown"),
    [
        (("b does not depend on xⱼ",), "$b$ does not depend on $x_{j}$", "$b$ does not depend on $x_{j}$"),
        (("a row of a matrix",), "a row of a matrix", "a row of a matrix"),
        (
            ("y does not depend on a; I changes nothing",),
            *["$y$ does not depend on $a$; $I$ changes nothing"] * 2,
        ),
        (("1 × n·m",), r"$1 \times n \cdot m$", r"$1 \times n \cdot m$"),
        (("w → a",), r"$w \to a$", r"$w \to a$"),
        (("relu′(0) is 0",), r"relu$^{\prime}$(0) is 0", "relu′(0) is 0"),
        (("R = ", m.name("R"), ", a_b"), r"$R = R$, a\_b", r"$R = R$, a\_b"),
        (("Σ Xʳ dX",), r"$\sum X^{r} \ \mathrm{d} X$", r"$\sum X^{r} \ \mathrm{d} X$"),
        (("error 3e-16",), r"error $3 \times 10^{-16}$", r"error $3 \times 10^{-16}$"),
        (("e.g. the x-axis, X's rows",), "e.g. the x-axis, X's rows", "e.g. the x-axis, X's rows"),
    ],
)
def test_variables_in_sentences(words: tuple[str | m.Tree, ...], tex: str, markdown: str) -> None:
    assert paragraph(words) == tex
    assert markdown_paragraph(words) == markdown
    assert words_text(spans(words)) == words_text(words)


@pytest.mark.parametrize("sign", SIGNS)
def test_every_sign_is_known_to_tex(sign: str) -> None:
    check_tex(paragraph((f"x {sign} y",)).replace(SIGNS[sign], "+"))
    assert in_formula((sign,)).isascii()


def test_a_failed_check_is_told() -> None:
    failed = Checked(4, 20, 0.5, "complex step", ("dy/dx = 3x",))
    for write in (to_latex, to_markdown):
        assert "FAILED the check, a fault of chainrule: dy/dx" in write(replace(components(), checked=failed))


def test_zero_and_one_stand_where_they_should() -> None:
    assert in_formula((x, " is ", n(1))) == r"x\text{ is }1"
