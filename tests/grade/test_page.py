"""The page about checking: its table of diagnoses is complete, and its examples are what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import chainrule as cr
from tests.grade.gallery import ASSUMED, WRONG

PAGE = (Path(__file__).parents[2] / "docs" / "checking.md").read_text(encoding="utf-8")
ROW = r"^\| `([\w-]+)` \| [^|]* \| `([^`]*)` for `([^`]*)`(?: by (\w+))? \|$"
TABLE = re.findall(ROW, PAGE, re.MULTILINE)
SHAPES = {
    "layout": "A[m,n] x[n]", "transposed": "X[N,n] w[n] y[N]", "path": "A[n,n] x[n]", "diag": "w[n] x[n]",
    "condition-outside-sum": "x[n]", "sum": "b x[n]", "order": "A[n,n] B[n,n] x[n]",
    "symmetric": "A[n,n] x[n]", "row-column": "A[n,n] x[n]", "square": "X[m,n]", "diagonal": "X[n,n]",
    "orthogonal": "Q[n,n] x[n]", "sum-to-one": "y[n] z[n]", "plus-minus-one": "x[n] y[n]", "shape": "x[n]",
}  # fmt: skip


@pytest.mark.parametrize(("code", "claim", "formula", "wrt"), TABLE, ids=[row[0] for row in TABLE])
def test_examples(code: str, claim: str, formula: str, wrt: str) -> None:
    found = cr.check(formula, wrt=wrt or None, claim=claim, shapes=SHAPES.get(code))
    assert found.diagnosis == code


def test_every_diagnosis_is_listed() -> None:
    assert {row[0] for row in TABLE} == {"layout", *WRONG, *ASSUMED}
