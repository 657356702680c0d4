"""Under a mask a function with a kink is its branch: exactly where the mask decides, and nowhere else."""

from __future__ import annotations

import pytest

from chainrule.language import parse_formula
from chainrule.language.declarations import parse_declarations
from chainrule.notation.masks import under_masks
from chainrule.notation.present import present
from chainrule.simplify import simplify
from chainrule.verify.compare import equal

SHAPES = "X[N,n] w[n] y[N] z[N] u v"


def expression(text: str):
    return simplify(parse_formula(text, parse_declarations(SHAPES)).expr)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("(relu(z) - y) * (z > 0)", "(z − y) ⊙ 1[z > 0]"),
        ("(relu(z) - y) * (z >= 0)", "(z − y) ⊙ 1[z ≥ 0]"),
        ("(relu(z) - y) * (0 > z)", "−y ⊙ 1[z < 0]"),
        ("(relu(2*z) - y) * (3*z > 0)", "(2z − y) ⊙ 1[3z > 0]"),
        ("(abs(z) - y) * (0 > z)", "−(y + z) ⊙ 1[z < 0]"),
        ("(maximum(z, 1) - y) * (z > 1)", "(z − y) ⊙ 1[z > 1]"),
        ("(minimum(z, y) - 3) * (z > y)", "(y − 3) ⊙ 1[z > y]"),
        ("X.T @ ((relu(X @ w) - y) * (X @ w > 0))", "Xᵀ((Xw − y) ⊙ 1[Xw > 0])"),
        ("(relu(u) - v) * (u > 0)", "(u − v) · 1[u > 0]"),
        ("(relu(z)**3 - y) * (z > 0)", "(z³ − y) ⊙ 1[z > 0]"),
    ],
)
def test_the_branch_stands_under_the_mask(text, shown) -> None:
    expr = expression(text)
    found, used = under_masks(expr)
    assert used and found is not expr
    assert present(simplify(found)).text == shown
    assert equal(found, expr)


@pytest.mark.parametrize(
    "text",
    [
        "(relu(z) - y) * (y > 0)",  # another condition
        "(relu(z) - y) * (z > 1)",  # another border
        "(sqrt(relu(z)) - y) * (z > 0)",  # the branch has no value where the mask is 0
        "relu(z) * y",  # no mask
        "sum(relu(z) - y) * (z > 0)",  # a sum over all entries does not stand under the mask of one
        "(relu(u) - z) * (z > 0)",
    ],
)
def test_nothing_else_is_touched(text) -> None:
    expr = expression(text)
    assert under_masks(expr) == (expr, ())
