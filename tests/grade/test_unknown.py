"""Claims about functions left unknown: the rules themselves, as a person may get them wrong."""

from __future__ import annotations

import pytest

import chainrule as cr

CASES = [
    ("f(g(x))", "f'(g(x)) g'(x)", "x", "f: scalar, g: scalar", "equal"),
    ("f(g(x))", "d/dx = g′(x) f′(g(x))", "x", "f: scalar, g: scalar", "equal"),
    ("f(g(x))", "f'(g(x))", "x", "f: scalar, g: scalar", "wrong"),
    ("f(x) * g(x)", "f'(x) g'(x)", "x", "f: scalar, g: scalar", "wrong"),
    ("f(x) / g(x)", "(f'(x) g(x) - f(x) g'(x)) / g(x)**2", "x", "f: scalar, g: scalar", "equal"),
    ("f(x, u(x))", "∂₂f(x, u(x)) u′(x)", "x", "f: scalar, u: scalar", "wrong"),
    ("h(x)", "∇h(x)", "x[n]", "h: n->", "equal"),
    ("A @ h(x)", "h'(x).T @ A.T", "A[k,m] x[n]", "h: n->m", "layout"),
    ("f(g(x))", "f'(g(x)) @ g'(x)", "x[n]", "f: k->m, g: n->k", "equal"),
]


@pytest.mark.parametrize(("formula", "claim", "shapes", "functions", "verdict"), CASES)
def test_verdict(formula: str, claim: str, shapes: str, functions: str, verdict: str) -> None:
    found = cr.check(formula, wrt="x", claim=claim, shapes=shapes, functions=functions)
    assert found.verdict == verdict, found.text


def test_numbers_are_said_to_be_of_one_function() -> None:
    found = cr.equal("f(x, y)", "f(y, x)", functions="f: scalar")
    assert "with one choice of f, at x = " in str(found)
