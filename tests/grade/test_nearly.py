"""Claims that differ by less than eight digits show, and claims that are only written in another way."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.grade.grader import grade

CLOSE = [
    ("x**2", "x", "x", "2*x + 1e-12"),
    ("x**2", "x", "x", "2*x + 0.000000001"),
    ("sum(exp(X@w))", "X[N,n] w[n]", "w", "X.T@exp(X@w)*(1+1e-9)"),
    ("exp(x)", "x", "x", "exp(x) + 1e-10*sin(x)"),
    ("A@x", "A[m,n] x[n]", "x", "A.T*(1 + 1e-10)"),
]
EQUAL = [
    ("tanh(x)**3", "x", "x", "3*tanh(x)**2/cosh(x)**2"),
    ("tan(x)", "x", "x", "1/cos(x)**2"),
    ("sin(x)**2", "x", "x", "sin(2*x)"),
    ("atan(x)", "x", "x", "cos(atan(x))**2"),
    ("norm(x)", "x[n]", "x", "x/sqrt(x@x)"),
    ("logdet(X)", "X[n,n]", "X", "inv(X.T)"),
    ("x**3/3*pi", "x", "x", "3.14159265358979*x**2"),
    ("x**2/3", "x", "x", "0.6666666667*x"),
    ("logsumexp(x)", "x[n]", "x", "exp(x - max(x))/sum(exp(x - max(x)))"),
]


@pytest.mark.parametrize(("formula", "shapes", "wrt", "claim"), CLOSE)
def test_what_is_nearly_right_is_wrong(formula: str, shapes: str, wrt: str, claim: str) -> None:
    found = cr.check(formula, wrt=wrt, claim=claim, shapes=shapes)
    assert (found.verdict, found.diagnosis) == ("wrong", "other"), found.text
    assert "They differ by little" in found.text and "0 of" not in found.text


@pytest.mark.parametrize(("formula", "shapes", "wrt", "claim"), EQUAL)
def test_rounding_is_no_difference(formula: str, shapes: str, wrt: str, claim: str) -> None:
    assert cr.check(formula, wrt=wrt, claim=claim, shapes=shapes).verdict == "equal"


def test_lines_of_derivations_are_compared_alike() -> None:
    assert grade("wrt: x\ny = x²\ndy/dx = 2x + 1e-12").first_wrong == 3


def test_numbers_are_told_with_the_digits_in_which_they_differ() -> None:
    found = cr.check("sin(x)", wrt="x", claim="cos(x) + 1e-5*x", shapes="x")
    value, other = found.text.split("the value is ")[1].split(" in place of ")
    assert value != other.split(" ")[0].rstrip(".")


@pytest.mark.parametrize("claim", ["1[x > 0] + 1[x > 1000]", "1[x > 1e-6]"])
def test_conditions_far_away_have_no_false_explanation(claim: str) -> None:
    found = cr.check("relu(x)", wrt="x", claim=claim, shapes="x")
    assert found.verdict == "wrong"
    assert {d.code for d in found.diagnoses} <= {"mask", "other"}, found.text
