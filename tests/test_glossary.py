"""Every formula of the glossary is read, every equality and every derivative in it holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import chainrule as cr
from chainrule.language import parse_formula
from chainrule.verify.compare import equal

PAGE = (Path(__file__).parents[1] / "docs" / "glossary.md").read_text(encoding="utf-8")
ENTRIES = re.split(r"(?m)^### ", PAGE)[1:]
BLOCKS = re.findall(r"```(formula|equal|derive)\n(.*?)```", PAGE, flags=re.DOTALL)
LINES = {
    kind: [line for found, block in BLOCKS if found == kind for line in block.splitlines()]
    for kind in ("formula", "equal", "derive")
}
# What the paper's page of notation and the notes name; each must be explained.
TERMS = """
    bold italic |x| ᵀ Σ f(x) I diag "dot product" d/dx ∂/∂x ∇ J cases "numerator layout" "denominator layout"
    "shape layout" gradient Jacobian "total derivative" "multivariable chain rule" cotangent pullback
    pre-activation activation residual contraction Hadamard Kronecker vec "commutation matrix" furball
    "element-wise diagonal condition" "scalar expansion" subderivative "learning rate" Hessian differential
    backpropagation loss affine reduction broadcasting
"""


def split(line: str) -> tuple[str, str, str, str]:
    """Both sides, the declarations, the functions left unknown."""
    text, _, declared = line.partition("#")
    shapes, _, functions = declared.partition("|")
    left, _, right = text.partition(" = ")
    return left.strip(), right.strip(), shapes.strip(), functions.strip()


def derivative(line: str) -> tuple[cr.Derivative, str]:
    left, right, shapes, functions = split(line)
    found = re.match(r"[d∂](²?)/[d∂](\w+?|\([\w, ]+\))²? (.*)", left)
    assert found, line
    order, wrt, body = 1 + len(found[1]), found[2].replace("(", "[").replace(")", "]"), found[3]
    d = cr.derive(body, wrt=wrt, shapes=shapes, functions=functions, order=order)
    assert isinstance(d, cr.Derivative)
    return d, right


def holds(d: cr.Derivative, right: str, shapes: str, functions: str) -> bool:
    """Whether the right side, in numerator layout, is the derivative."""
    array = d.expression
    turned = array.rank == 2 and not d.formula.expr.rank and not d.wrt[0].joint
    shape = array.shape[::-1] if turned else array.shape
    read = parse_formula(right, shapes, functions=functions, shape=shape)
    plain = parse_formula(d.text, shapes, functions=functions, shape=shape)
    return read.expr.shape == shape and equal(read.expr, plain.expr).equal


@pytest.mark.parametrize("line", LINES["formula"])
def test_formula_is_read(line: str) -> None:
    text, _, shapes = line.partition("#")
    parse_formula(text, shapes.strip())


@pytest.mark.parametrize("line", LINES["equal"])
def test_equality_holds(line: str) -> None:
    left, right, shapes, _ = split(line)
    assert cr.equal(left, right, shapes)


@pytest.mark.parametrize("line", LINES["derive"])
def test_derivative_holds(line: str) -> None:
    d, right = derivative(line)
    _, _, shapes, functions = split(line)
    assert d.check(3).passed
    assert holds(d, right, shapes, functions), d.text


@pytest.mark.parametrize(
    "line",
    [
        "d/dx (x + x²) = 2x  # x",
        "∂/∂x (Ax) = Aᵀ  # A[n,n] x[n]",
        "∂/∂A (xᵀAy) = xyᵀ  # x[n] A[n,n] y[n]",
        "∂/∂(x, y) (3x²y) = [3x², 6xy]  # x y",
    ],
)
def test_a_wrong_line_is_found(line: str) -> None:
    d, right = derivative(line)
    assert not holds(d, right, *split(line)[2:])


@pytest.mark.parametrize("term", [a or b for a, b in re.findall(r'"([^"]+)"|(\S+)', TERMS)])
def test_every_term_is_explained(term: str) -> None:
    assert any(term.casefold() in entry.split("\n")[0].casefold() or term in entry for entry in ENTRIES)


def test_entries_have_a_formula_or_are_words_only() -> None:
    words = [entry.split("\n")[0] for entry in ENTRIES if "```" not in entry]
    assert len(words) <= 6, words
    assert len(LINES["derive"]) > 20 and len(LINES["equal"]) > 15


def test_sources_are_named() -> None:
    sources = PAGE.split("## Sources")[1]
    for name in ("1802.01528", "explained.ai", "matrixcalculus.org", "Cookbook", "Magnus", "Giles"):
        assert name in sources
