"""Products become the expression that reads best: transposes inside, ⊙ before diag, no needless sign."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Expr, Variable, einsum, elementwise, negate
from chainrule.language import parse_formula
from chainrule.notation import products
from chainrule.notation.present import present
from chainrule.notation.recover import Reader
from chainrule.rules.elementwise import exp, tanh
from chainrule.verify.reference import evaluate

N = Dim.of("n")
A, B, C = (Variable(name, (N, N)) for name in "ABC")
S = Variable("S", (N, N), ("symmetric",))
x, y, w = (Variable(name, (N,)) for name in "xyw")
MASK = elementwise(exp, A)
SHAPES = "A[n,n] B[n,n] C[n,n] S[n,n]:symmetric x[n] y[n] w[n]"

CASES = [
    (einsum("ij,kj->ik", A, B), "ABᵀ"),
    (einsum("ji,kj->ik", A, B), "AᵀBᵀ"),
    (einsum("ji,jk->ik", S, A), "SA"),
    (einsum("ij,jk,kl->il", A, A, A), "A³"),
    (einsum("ij,ij->", A, B), "tr(ABᵀ)"),
    (einsum("ij,ij->i", A, B), "(A ⊙ B)𝟏"),
    (einsum("ij->", A), "sum(A)"),
    (einsum("ij,j->", A, x), "𝟏ᵀAx"),
    (einsum("ij->j", A), "Aᵀ𝟏"),
    (einsum("i,ij,j->", x, A, y), "xᵀAy"),
    (einsum("i,ij,j->i", x, A, y), "x ⊙ Ay"),
    (einsum("i,ij,j->ij", x, A, y), "diag(x) A diag(y)"),
    (einsum("i,ij,j->ij", x, MASK, y), "xyᵀ ⊙ exp(A)"),
    (einsum("ik,i,ij,j->kj", B, x, MASK, y), "Bᵀ(xyᵀ ⊙ exp(A))"),
    (einsum("i,ij,jk,k->ik", x, A, B, y), "diag(x) AB diag(y)"),
    (einsum("i,ij,j,j->i", x, A, y, w), "x ⊙ A(w ⊙ y)"),
    (einsum("i->ii", x), "diag(x)"),
    (einsum("->ii", sizes={"i": N}), "I"),
    (einsum("i->ij", x, sizes={"j": N}), "x𝟏ᵀ"),
]
NAMES = [text for _, text in CASES]


@pytest.mark.parametrize(("expr", "text"), CASES, ids=NAMES)
def test_products(expr: Expr, text: str) -> None:
    assert present(expr).text == text


@pytest.mark.parametrize("expr", [expr for expr, _ in CASES], ids=NAMES)
def test_products_keep_their_value(expr: Expr) -> None:
    rng = np.random.default_rng(7)
    values = {v.name: rng.normal(size=(3,) * v.rank) for v in (A, B, C, S, x, y, w)}
    values["S"] = values["S"] + values["S"].T
    read = parse_formula(present(expr).text, SHAPES, shape=expr.shape).expr
    assert np.allclose(evaluate(read, values, {"n": 3}), evaluate(expr, values, {"n": 3}))


def test_a_row_turns_the_whole_difference() -> None:
    assert present(einsum("ij,i->j", A, x - y), turned=True).text == "(x − y)ᵀA"


def test_a_sign_goes_into_a_difference() -> None:
    f = elementwise(tanh, w)
    assert present(einsum("ij,i->j", A, y - f, coefficient=Coefficient.of(-2))).text == "2Aᵀ(tanh(w) − y)"
    assert present(negate((y - f) * (f - 1))).text == "(1 − tanh(w)) ⊙ (y − tanh(w))"
    assert present(negate(einsum("i,ij,j->", x - y, S, x - y))).text == "−(x − y)ᵀS(x − y)"


def test_two_signs_cancel() -> None:
    f = elementwise(tanh, w)
    text = present((y - f) * (f - 1)).text
    assert sorted(text.split(" ⊙ ")) == ["(1 − tanh(w))", "(tanh(w) − y)"]


def test_the_greedy_search_finds_long_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = einsum("ab,bc,cd,de,ef,fg,gh->ah", A, B, C, A, B, C, A)
    assert present(chain).text == "ABCABCA"
    monkeypatch.setattr(products, "LARGEST_SEARCH", 2)
    assert present(chain).text == "ABCABCA"


def test_what_matrix_language_cannot_say_is_written_with_indices() -> None:
    three = einsum("ai,bi,ci->abc", A, B, C)
    assert Reader().read(three) is None
    assert present(three).form == "index"
