"""What is said of a wrong line fits what the person wrote: names, rows and columns, layouts."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.cli.main import main
from chainrule.errors import ChainruleError
from chainrule.grade.grader import grade

LINES = [
    (
        "shapes: X[N,n] w[n] y[N]\nwrt: w\nr = Xw − y\nL = rᵀr\n∂L/∂w = 2 rᵀ Xᵀ",
        "It should be 2rᵀX, or 2Xᵀr as a column.",
    ),
    (
        "shapes: X[N,n] w[n] y[N] b\nwrt: b\nr = Xw + b − y\nC = (1/N) Σ r²\n∂C/∂b = (2/N) r",
        "It should be 2 sum(r)/N.",
    ),
    (
        "shapes: X[N,n] w[n] b\nwrt: w\np = sigmoid(X @ w + b)\ndp/dw = p*(1-p) * X",
        "It should be diag(p ⊙ (1 − p)) X.",
    ),
    ("wrt: x\nu = sin(x)\nv = cos(x)\ndu/dx = −cos(x)", "It should be v = cos(x)."),
    (
        "shapes: H[N,h] V[h,k] Y[N,k]\nwrt: H\nP = H V\nL = ½ ‖P − Y‖²\ndL/dP = P − Y\ndL/dH = Vᵀ (P − Y)",
        "It should be (P − Y)Vᵀ.",
    ),
    (
        "shapes: X[N,n] w[n] y[N]\nwrt: w\nL = ‖Xw − y‖²\ndL/dw = 2(Xw − y)ᵀX\n= 2 wᵀXᵀX − yᵀX",
        "the term −2Xᵀy stands there 1/2 times",
    ),
    (
        "shapes: A[n,n] B[n,n] x[n]\nwrt: x\nu = Bx\ny = Au\ndy/dx = du/dx dy/du\n= B A",
        "in numerator layout it is AB",
    ),
    ("shapes: w[n] b\nwrt: w\nv = [wᵀ, b]ᵀ\ny = sum(v)", "concat(x, y) joins vectors and scalars"),
]


@pytest.mark.parametrize(("text", "says"), LINES)
def test_it_should_be(text: str, says: str) -> None:
    assert says in grade(text).text


def test_the_product_of_all_pairs_is_no_circle() -> None:
    found = cr.check("x@A@y", wrt="A", claim="x @ y.T", shapes="A[n,n] x[n] y[n]")
    assert "outer(x, y) is the matrix" in found.text
    assert cr.check("x@A@y", wrt="A", claim="outer(x, y)", shapes="A[n,n] x[n] y[n]")


@pytest.mark.parametrize(
    ("formula", "at", "part"), [("log(x)", "x=-1", "ln(x)"), ("x**2*1e200", "x=1e200", "x²")]
)
def test_the_part_without_a_value_is_named(formula: str, at: str, part: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        cr.check(formula, wrt="x", claim="[1]", shapes="x", at=at)
    assert caught.value.message == f"{part} has no finite value at this point"


def test_a_variable_that_is_missing_is_not_among_the_known() -> None:
    with pytest.raises(ChainruleError) as caught:
        grade("wrt: q\ny = x²\ndy/dx = 2x")
    assert caught.value.hint == "the variables are x"


def test_options_behind_a_double_stroke(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--", "-sum(x)", "--shapes", "x[n]"])
    assert "--shapes stands behind --" in capsys.readouterr().err
