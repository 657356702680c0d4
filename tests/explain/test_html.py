"""The web page of a derivation: well-formed, self-contained, and made for screen readers."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from explain.samples import ALL, components, line, n, neuron, two_paths, x, y
from explain.test_latex import EVERY

from chainrule.explain.derivation import Checked, Derivation
from chainrule.explain.html import to_html, words_html
from chainrule.notation import matform as m
from chainrule.notation.mathml import NAMESPACE

XHTML = "http://www.w3.org/1999/xhtml"
FOLDER = Path(__file__).parents[1] / "golden" / "explain"


def page(*derivations: Derivation) -> ElementTree.Element:
    text = to_html(*derivations)
    assert text.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(text.partition("\n")[2])


def tags(root: ElementTree.Element, *names: str) -> list[ElementTree.Element]:
    return [e for e in root.iter() if e.tag in {f"{{{XHTML}}}{name}" for name in names}]


def check_page(root: ElementTree.Element) -> None:
    """Raise AssertionError unless the page stands alone and tells its structure."""
    assert root.get("lang") == "en"
    (title,) = tags(root, "title")
    assert title.text
    assert len(tags(root, "main")) == 1
    assert not tags(root, "script", "link", "img", "iframe", "object", "embed")
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on") and "url(" not in value, (name, value)
            assert name not in ("src", "href", "style") or "//" not in value, (name, value)
    assert "url(" not in (tags(root, "style")[0].text or "") and "@import" not in (
        tags(root, "style")[0].text or ""
    )
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        label = element.get("aria-labelledby")
        assert label is None or set(label.split()) <= set(ids), label
    levels = [int(e.tag[-1]) for e in tags(root, "h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels and levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    formulas = [e for e in root.iter() if e.tag == f"{{{NAMESPACE}}}math"]
    assert formulas and all(e.get("alttext") for e in formulas)


@pytest.mark.parametrize("name", EVERY)
def test_the_page_stands_alone(name: str) -> None:
    check_page(page(EVERY[name]()))


def test_several_derivations_on_one_page() -> None:
    root = page(*(build() for build in ALL.values()))
    check_page(root)
    assert len(tags(root, "article")) == len(ALL) == len(tags(root, "h1"))


def test_example(request: pytest.FixtureRequest) -> None:
    path = FOLDER / "components.html"
    printed = to_html(components())
    if request.config.getoption("--update-golden"):
        path.write_text(printed, encoding="utf-8")
    assert printed == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
def test_everything_is_on_it(name: str) -> None:
    derivation = ALL[name]()
    root = page(derivation)
    assert len(tags(root, "li")) == len(derivation.sizes) + sum(
        map(len, (derivation.heading, list(derivation.lines()), derivation.answer, derivation.where))
    )
    headings = ["".join(e.itertext()) for e in tags(root, "h2")]
    assert headings == [f"{phase.number}. {phase.title}" for phase in derivation.phases if phase.title] + [
        "Result"
    ]
    text = "".join(root.itertext())
    assert str(derivation.checked)[1:] in text
    assert len(tags(root, "figure")) == len(derivation.figures)


def test_formulas_are_read_aloud() -> None:
    spoken = [e.get("alttext") for e in page(neuron()).iter() if e.tag == f"{{{NAMESPACE}}}math"]
    assert {"Xw + b", "∂C/∂w", "(e ⊙ 1[z > 0])ᵀ X"} <= {
        text.removeprefix("(2/N) ") for text in spoken if text
    }


def test_a_failed_check_is_an_alert() -> None:
    root = page(replace(components(), checked=Checked(4, 20, 0.5, "complex step", ("dy/dx = 3x",))))
    (alert,) = [e for e in root.iter() if e.get("role") == "alert"]
    assert "FAILED" in "".join(alert.itertext()) and "failed" in str(alert.get("class"))
    assert not [e for e in page(components()).iter() if e.get("role") == "alert"]


def test_words_are_escaped() -> None:
    words = ("<script>alert(1)</script> & ", m.name("x"), " < 2")
    text = words_html(words)
    assert "<script" not in text and "&amp; " in text
    shown = replace(two_paths(), phases=(), heading=(line(y, x, *words),), kinks=("x < 2 & <b>",))
    check_page(page(shown))


def test_punctuation_stays_with_its_formula() -> None:
    assert words_html(("errors (", x, "), and")).startswith('errors <span class="whole">(<math')
    assert words_html(("errors (", x, "), and")).endswith("</math>),</span> and")
    assert re.sub(r"<.*?>", "", words_html((x, ": ", n(1), "."))) == "x: 1."


@pytest.mark.parametrize(
    "wrong",
    [
        "<script>1</script>", '<img src="https://example.org/x.png" alt="" />', '<p onclick="f()">x</p>',
        '<p id="derivation-1">x</p>', "<h4>x</h4>", '<p aria-labelledby="nothing">x</p>',
    ],
)  # fmt: skip
def test_the_check_finds_mistakes(wrong: str) -> None:
    text = to_html(components()).partition("\n")[2].replace("</main>", f"{wrong}</main>")
    with pytest.raises(AssertionError):
        check_page(ElementTree.fromstring(text))
