"""Rows of the identity times a variable are written as a slice, which reads back."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.language import parse_formula
from chainrule.simplify import normalise

SHAPES = "x[n] y[n] A[m,n] z[3]"


@pytest.mark.parametrize(
    ("formula", "wrt", "text"),
    [
        ("A[1:] @ x", "x", "A[1:m]"),
        ("x[:3] @ z", "z", "x[:3]ᵀ"),
        ("x[::-1] * y", "y", "diag(x[n − 1::-1])"),
        ("outer(x[1:3], y)", "y", "∂Y_ij/∂y_k = (x[1:3])_i δ_jk"),
    ],
)
def test_slice_is_written_as_one(formula: str, wrt: str, text: str) -> None:
    assert cr.derive(formula, wrt=wrt, shapes=SHAPES).text == text


@pytest.mark.parametrize("text", ["x[1:3]", "A[1:m]", "x[n − 1::-1]"])
def test_slice_reads_back(text: str) -> None:
    parsed = parse_formula(text, SHAPES).expr
    assert str(cr.simplify(text, shapes=SHAPES)) == text
    assert normalise(parsed) is normalise(parse_formula(str(cr.simplify(text, shapes=SHAPES)), SHAPES).expr)
