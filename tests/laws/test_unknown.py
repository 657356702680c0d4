"""Random formulas of functions left unknown: their derivatives are right, and what is printed reads back."""

from __future__ import annotations

from random import Random

import pytest

import chainrule as cr
from chainrule.expr.nodes import permute
from chainrule.language import parse_formula
from chainrule.verify.compare import equal

FUNCTIONS = (
    "f: scalar, k: scalar(2), g: elementwise, b: elementwise(2), h: n->m, q: m->, r: n,m->m, s: scalar->m, "
    "c: n,scalar->, u: m->n, L: [m,n]->"
)
SHAPES = "x[n] y[m] t A[m,n] B[n,n]"
# What a scalar (0), a vector of n (1) or of m (2) is made of; a digit stands for a smaller part of that kind.
PARTS = {
    "0": (
        "t",
        "t**2",
        "f(0)",
        "k(0, 0)",
        "q(2)",
        "c(1, 0)",
        "sum(g(1))",
        "L(g((A * 0)))",
        "(1 @ 1)",
        "(0 + 0)",
        "(0 * 0)",
        "exp(-0**2)",
    ),
    "1": (
        "x",
        "(t * x)",
        "g(1)",
        "b(1, 1)",
        "b(1, 0)",
        "u(2)",
        "(B @ 1)",
        "(1 + 1)",
        "(0 * 1)",
        "(1 * 1)",
        "(A.T @ 2)",
    ),
    "2": ("y", "h(x)", "h(1)", "r(1, 2)", "s(0)", "(A @ 1)", "g(2)", "(2 - 2)", "tanh(2)"),
}
SIMPLE = 2  # so many of each kind are made of nothing smaller
CASES = 60


def formula(random: Random, kind: str, depth: int) -> str:
    parts = PARTS[kind]
    pattern = random.choice(parts[SIMPLE:] if depth else parts[:SIMPLE])
    # An exponent is a digit too: it stands behind a star.
    return "".join(
        formula(random, c, depth - 1) if depth and c in PARTS and pattern[i - 1] != "*" else c
        for i, c in enumerate(pattern)
    )


def cases() -> list[tuple[str, str, int]]:
    random = Random(20)
    found: list[tuple[str, str, int]] = []
    while len(found) < CASES:
        text = formula(random, random.choice("0012"), random.choice((1, 2, 2, 3)))
        wrt = random.choice([name for name in "xytA" if name in text] or ["x"])
        if wrt in text:
            found.append((text, wrt, random.choice((1, 1, 2))))
    return found


@pytest.mark.parametrize(("text", "wrt", "order"), cases())
def test_derivative_is_right_and_reads_back(text: str, wrt: str, order: int) -> None:
    derivative = cr.derive(text, wrt=wrt, shapes=SHAPES, functions=FUNCTIONS, order=order)
    assert isinstance(derivative, cr.Derivative)
    assert derivative.check(points=2).passed
    found = derivative.expression
    row = (derivative.formula.expr.rank, found.rank, order) == (0, 2, 1)
    for printed, wanted in (
        (derivative.text, permute(found, (1, 0)) if row else found),
        (derivative.numpy_source, found),
    ):
        read = parse_formula(printed, SHAPES, shape=wanted.shape, functions=FUNCTIONS)
        assert equal(read.expr, wanted).equal, printed
    assert derivative.latex
