"""The figures of docs/pictures.md are what the program draws now; `--update-golden` draws them again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from draw.cases import page, parsed_svg, rectangles, texts
from draw.figures import FIGURES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", FIGURES)
def test_figure(name: str, request: pytest.FixtureRequest) -> None:
    path = DOCS / "figures" / f"{name}.svg"
    drawing = FIGURES[name]()
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        drawing.save(path)
    assert path.read_text(encoding="utf-8") == drawing.svg, (
        "run pytest --update-golden and look at the figure"
    )
    root = parsed_svg(drawing.svg)
    whole = page(root)
    for area in (*rectangles(root), *texts(root)):
        assert whole.left <= area.left and area.right <= whole.right
        assert whole.top <= area.top and area.bottom <= whole.bottom


FIGURE = re.compile(r"!\[([^\n]*)\]\(figures/([\w-]+)\.svg\)")


def test_the_page_shows_every_figure_with_its_words(request: pytest.FixtureRequest) -> None:
    page_text = (DOCS / "pictures.md").read_text(encoding="utf-8")
    titles = {name: draw().alt.splitlines()[0] for name, draw in FIGURES.items()}
    if request.config.getoption("--update-golden"):
        page_text = FIGURE.sub(lambda m: f"![{titles[m[2]]}](figures/{m[2]}.svg)", page_text)
        (DOCS / "pictures.md").write_text(page_text, encoding="utf-8")
    shown = {name: words for words, name in FIGURE.findall(page_text)}
    assert shown == titles
    drawn = {path.stem for path in (DOCS / "figures").glob("*.svg")}
    assert drawn - {"performance"} == {
        *FIGURES
    }  # of docs/performance.md, which benchmarks/document.py writes
