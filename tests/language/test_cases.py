"""Formulas by cases: read as printed; the first condition that holds counts; mistakes have a place."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.errors import SyntaxProblem

DATA = "w[n] x[n] b y z"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("{0 if z ≤ 0; 1 if z > 0}", "z > 0"),
        ("{0 if z <= 0; z otherwise}", "relu(z)"),
        ("{−1 if z < 0; 0 if z = 0; 1 if z > 0}", "sign(z)"),
        ("{𝟎ᵀ if w·x + b ≤ 0; xᵀ if w·x + b > 0}", "x*(w @ x + b > 0)"),
        ("2 {0 if z ≤ 0; z if z > 0} y", "2*relu(z)*y"),
        ("{0 if z ≤ −1; 1 if z > −1 and z < 1; 0 if z ≥ 1}", "(z > -1)*(z < 1)"),
        ("{1 if z < 2; 5 if z < 3; 7 otherwise}", "where(z < 2, 1, where(z < 3, 5, 7))"),
        ("{{1 if y > 0; 2 otherwise} if z > 0; 3 otherwise}", "where(z > 0, where(y > 0, 1, 2), 3)"),
        ("{a if z ≤ 0; b if z > 0} where a = 2y", "where(z > 0, b, 2*y)"),
    ],
)
def test_cases_are_read(text: str, same: str) -> None:
    assert cr.equal(text, same, shapes=DATA)
    assert not cr.equal(text, f"{same} + 1", shapes=DATA)


@pytest.mark.parametrize("formula", ["relu(w @ x + b)", "(y - relu(w @ x + b))**2", "abs(w @ x)*y"])
@pytest.mark.parametrize("wrt", ["w", "b"])
@pytest.mark.parametrize("at_kink", [0, 1, 0.5])
def test_printed_cases_are_read_back(formula, wrt, at_kink) -> None:
    d = cr.derive(formula, wrt=wrt, shapes=DATA, at_kink=at_kink)
    if d.cases is not None:
        assert cr.equal(d.cases.text, d.expression, shapes=DATA)


def test_the_first_condition_that_holds_counts() -> None:
    d = cr.derive("{z if z ≥ 0; 1 + z if z ≤ 0} y", wrt="y", shapes=DATA)
    assert d.at("z=0,y=1").value == 0


@pytest.mark.parametrize(
    ("text", "message", "mark"),
    [
        ("{0 if z > 0; 1}", "a case is a value, `if` and a condition", (13, 14)),
        ("{if z > 0; 1 otherwise}", "a case is a value, `if` and a condition", (1, 9)),
        ("{0 if ; 1 otherwise}", "a case is a value, `if` and a condition", (1, 5)),
        ("{0 if z > 0 and ; 1 otherwise}", "a condition is missing here", (3, 5)),
        ("0 if z > 0", "`if` is a Python word; a formula is never run as Python", (2, 4)),
        ("{0 if z; 1 otherwise}", "1[...] is the indicator of a condition", None),
    ],
)
def test_mistakes(text: str, message: str, mark: tuple[int, int] | None) -> None:
    with pytest.raises(SyntaxProblem) as problem:
        cr.derive(text, wrt="z", shapes=DATA)
    assert problem.value.message == message
    assert mark is None or (problem.value.spans[0].start, problem.value.spans[0].end) == mark
