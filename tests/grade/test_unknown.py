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


DERIVATIONS = [
    (
        0,
        """functions: f: scalar, g: scalar
wrt: x
u = g(x)
y = f(u)
du/dx = g'(x)
dy/du = f′(u)
dy/dx = dy/du * du/dx
      = f'(u) g'(x)
      = f′(g(x)) g′(x)""",
    ),
    (
        7,
        """functions: f: scalar, g: scalar
wrt: x
u = g(x)
y = f(x, u)
∂y/∂x = ∂₁f(x, u)
dy/du = ∂₂f(x, u)
dy/dx = dy/du * du/dx
      = ∂₂f(x, g(x)) g'(x)""",
    ),
    (
        5,
        """functions: f: k->k, g: k->k
shapes: x[k]
wrt: x
y = f(g(x))
∂y/∂x = g'(x) f'(g(x))""",
    ),
    (
        0,
        """functions: L: m->
shapes: W[m,n] x[n]
wrt: W
z = W @ x
C = L(z)
dC = ∇L(z)ᵀ dz
   = ∇L(z)ᵀ dW x
∂C/∂W = ∇L(z) xᵀ""",
    ),
    (
        0,
        """functions: f: scalar
wrt: x
y = f(x)**2
d/dx (f(x)**2) = 2 f(x) d/dx f(x)
               = 2 f(x) f'(x)""",
    ),
]


@pytest.mark.parametrize(("first_wrong", "text"), DERIVATIONS)
def test_derivation(first_wrong: int, text: str) -> None:
    assert cr.check_derivation(text).first_wrong == first_wrong


def test_functions_of_a_derivation_may_be_given_beside_it() -> None:
    header, *lines = DERIVATIONS[0][1].splitlines()
    functions = header.removeprefix("functions: ")
    assert cr.check_derivation("\n".join(lines), functions=functions).first_wrong == 0
