"""Declarations of shapes and structures."""

from __future__ import annotations

import pytest

from chainrule.errors import ChainruleError, OptionError, ShapeMismatch, SyntaxProblem
from chainrule.expr.dims import Dim
from chainrule.language import parse_declarations, parse_formula


def told(text: object) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    found = parse_declarations(text)  # type: ignore[arg-type]
    return {n: (tuple(map(str, v.shape)), v.structure) for n, v in found.variables.items()}


def test_forms() -> None:
    assert told("X[N,n] w[n] b y[N]") == {
        "X": (("N", "n"), ()),
        "w": (("n",), ()),
        "b": ((), ()),
        "y": (("N",), ()),
    }
    assert told("X[N, n], w [n];\n b") == told("X[N,n] w[n] b")
    assert told("T[2,3,n] b[]") == {"T": (("2", "3", "n"), ()), "b": ((), ())}
    assert told("w[n+1] v[2n] M[m*n, n - 1]") == {
        "w": (("n + 1",), ()),
        "v": (("2*n",), ()),
        "M": (("m*n", "n - 1"), ()),
    }


def test_mappings() -> None:
    expected = told("X[N,3] w[n] b A[n,n]:spd")
    assert told({"X": ("N", 3), "w": "n", "b": "", "A": "n,n:spd"}) == expected
    assert told({"X": "[N,3]", "w": ["n"], "b": (), "A": "[n,n]:spd"}) == expected


def test_structures() -> None:
    assert told("A[n,n]:symmetric x[n]:{positive, integer} p:probability") == {
        "A": (("n", "n"), ("symmetric",)),
        "x": (("n",), ("integer", "positive")),
        "p": ((), ("probability",)),
    }


def test_greek_names_are_stored_once() -> None:
    assert list(told("λ σ² w₁ ŵ".replace("²", ""))) == ["lam", "sigma", "w1", "w_hat"]
    assert list(told("lambda lam λ")) == ["lam"]


def test_order_and_dims() -> None:
    found = parse_declarations("y[N] X[N,n] b")
    assert list(found.variables) == ["y", "X", "b"] and found.dims == ("N", "n")


@pytest.mark.parametrize(
    "text", ["x[n][m]", "x[", "[n]", "x:", "x:{positive", "x[a/b]", "x[n**2]", "x[]]", "1", "x[,]"]
)
def test_refused(text: str) -> None:
    with pytest.raises(ChainruleError):
        parse_declarations(text)


def test_options_are_checked() -> None:
    for option in ({"dialect": "fortran"}, {"profile": "book"}):
        with pytest.raises(OptionError):
            parse_formula("x", **option)


def test_a_mapping_needs_sizes() -> None:
    assert told({"x": 3, "n0": Dim.of("m")}) == {"x": (("3",), ()), "n0": (("m",), ())}
    with pytest.raises(ChainruleError):
        parse_declarations({"x": 2.5})


@pytest.mark.parametrize(
    ("text", "marked", "hint"),
    [
        ("W[n,n]:lower,positive x[n]", "lower,positive", "W[n,n]:{lower, positive}; if positive is"),
        ("W[n,n]:lower:positive", "lower:positive", "W[n,n]:{lower, positive}"),
        ("x[n]:{simplex, positive}, unit", "simplex, positive}, unit", "x[n]:{simplex, positive, unit}"),
    ],
)
def test_structures_without_braces_are_told(text: str, marked: str, hint: str) -> None:
    with pytest.raises(SyntaxProblem) as found:
        parse_declarations(text)
    (span,) = found.value.spans
    assert text[span.start : span.end] == marked and hint in found.value.hint


def test_a_name_behind_a_structure_may_be_a_variable() -> None:
    assert list(told("W[n,n]:lower, unit[n] b")) == ["W", "unit", "b"]
    assert list(told("x:positive lower")) == ["x", "lower"]


def test_two_structures_that_no_array_has_are_named() -> None:
    with pytest.raises(ShapeMismatch, match="skew and lower cannot be declared together"):
        parse_declarations("W[n,n]:{lower, skew}")
