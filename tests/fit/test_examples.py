"""The data that are shipped are those of the literature."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_diabetes_is_the_set_that_scikit_learn_has() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    known = datasets.load_diabetes(scaled=False)
    with (EXAMPLES / "diabetes.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [*known.feature_names, "target"]
    assert [[float(cell) for cell in row] for row in rows] == [
        [*map(float, x), float(y)] for x, y in zip(known.data, known.target, strict=True)
    ]


def test_every_file_has_its_source_and_licence() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in sorted(EXAMPLES.glob("*.csv")):
        section = page.split(f"## {path.name}")[1].split("\n## ")[0]
        assert "Source:" in section and "Licence:" in section
