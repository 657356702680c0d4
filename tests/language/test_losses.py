"""Losses and layers: what a person reads, far out, masks, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate

GRADIENTS = {
    ("cross_entropy(z, y)", "z[k] y[k]:simplex", "z"): "softmax(z) − y",
    ("cross_entropy(X @ W, Y)", "X[N,n] W[n,k] Y[N,k]", "W"): "(1/N) Xᵀ(diag(Y𝟏) softmax(XW, axis=1) − Y)",
    ("cross_entropy(Z, y)", "Z[N,k] y[N]:integer(k)", "Z"): "(1/N) (softmax(Z, axis=1) − one_hot(y, k))",
    ("bce_with_logits(z, y, reduction='sum')", "z[n] y[n]", "z"): "σ(z) − y",
    ("binary_cross_entropy(sigmoid(z), y)", "z[n] y[n]", "z"): "(1/n) (σ(z) − y)",
    ("mse(X @ w, y)", "X[N,n] w[n] y[N]", "w"): "(2/N) Xᵀ(Xw − y)",
    ("mae(a, b)", "a[n] b[n]", "a"): "(1/n) sign(a − b)",
    ("huber_loss(a, b, delta=3)", "a[n] b[n]", "a"): "(1/n) min(max(a − b, −3), 3)",
    ("kl(softmax(a), softmax(b))", "a[n] b[n]", "b"): "softmax(b) − softmax(a)",
    ("kl_normal(m, exp(s))", "m[n] s[n]", "m"): "m",
    ("kl_normal(m, exp(s))", "m[n] s[n]", "s"): "(1/2) exp(s) − 1/2",
    ("poisson_nll(z, y)", "z[n] y[n]", "z"): "(1/n) (exp(z) − y)",
    ("dropout(x, m, p) @ a", "x[n] m[n] a[n] p", "x"): "(a ⊙ m)/(1 − p)",
    ("bilinear(x, W, y)", "x[n] W[n,m] y[m]", "W"): "xyᵀ",
}


@pytest.mark.parametrize("case", GRADIENTS, ids=str)
def test_gradients_read_as_in_the_literature(case: tuple[str, str, str]) -> None:
    formula, shapes, wrt = case
    d = cr.derive(formula, wrt=wrt, shapes=shapes)
    assert d.check(points=5).passed
    assert d.sheet.answers[0].gradient.text == GRADIENTS[case]


def test_layers_read_as_in_the_literature() -> None:
    norm = cr.derive("layernorm(x, eps=c)", wrt="x", shapes="x[n] c")
    assert norm.text == "(I − eeᵀ/(ns) − (1/n) 𝟏𝟏ᵀ)/√s where e = x − sum(x)/n, s = ‖e‖²/n + c"
    loss = "sum(G * attention(Q, K, V, M))"
    for wrt, expected in {
        "Q": "(P ⊙ (GVᵀ − (G ⊙ PV)𝟏𝟏ᵀ)) K/√d",
        "K": "(P ⊙ (GVᵀ − (G ⊙ PV)𝟏𝟏ᵀ))ᵀ Q/√d",
        "V": "masked_softmax(KQᵀ/√d, Mᵀ, axis=0) G",
    }.items():
        d = cr.derive(loss, wrt=wrt, shapes="G[n,p] Q[n,d] K[m,d] V[m,p] M[n,m]")
        assert d.sheet.answers[0].gradient.text == expected


def test_far_out_losses_are_exact() -> None:
    z, y = np.array([[1000.0, -1000.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])
    loss = parse_formula("cross_entropy(z, y)", "z[N,k] y[N,k]").expr
    assert evaluate(loss, {"z": z, "y": y}) == 2000
    assert np.array_equal(
        cr.derive("cross_entropy(z, y)", wrt="z", shapes="z[N,k] y[N,k]").compile()(z=z, y=y), [[1, -1, 0]]
    )
    logits = parse_formula("bce_with_logits(z, y, reduction='none')", "z[n] y[n]").expr
    assert np.array_equal(evaluate(logits, {"z": [1000.0, -1000.0], "y": [0.0, 1.0]}), [1000, 1000])
    slope = cr.derive("bce_with_logits(z, y, reduction='sum')", wrt="z", shapes="z[n] y[n]").compile()
    assert np.array_equal(slope(z=[1000.0, -1000.0], y=[0.0, 1.0]), [1, -1])


def test_masks_leave_entries_out_exactly() -> None:
    d = cr.derive("masked_softmax(x, m)", wrt="x", shapes="x[N,n] m[N,n]").compile()
    jacobian = d(x=[[1.0, 900.0, 2.0], [1.0, 2.0, 3.0]], m=[[1, 0, 1], [0, 0, 0]])
    p = 1 / (1 + np.exp(-1.0))
    assert np.allclose(jacobian[0, :, 0, :], p * (1 - p) * np.array([[1, 0, -1], [0, 0, 0], [-1, 0, 1]]))
    assert not jacobian[1].any()


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("cross_entropy(w, X)", "a target for each logit"),
        ("cross_entropy(X, X[:, 0])", "must be declared"),
        ("mse(X, X, reduction='all')", "the reduction all is not known"),
        ("attention(w, X, X)", "attention needs matrices"),
        ("bilinear(w, w, w)", "bilinear needs two vectors"),
        ("layernorm(3)", "layernorm needs a vector"),
        ("layernorm(X, gains=w)", "no option gains="),
    ],
)
def test_refusals(formula: str, message: str) -> None:
    with pytest.raises(ChainruleError, match=message):
        cr.derive(formula, wrt="X", shapes="X[3,4] w[4]")


@pytest.mark.parametrize("formula", ["elu(x, a)", "huber(x, a)", "masked_softmax(x, x)", "elu(x)"])
def test_latex_has_no_marks_of_templates(formula: str) -> None:
    latex = cr.derive(f"sum({formula}**2)", wrt="x", shapes="x[n] a").latex
    assert "#" not in latex and "operatorname" in latex
