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
    assert norm.text == (
        "s(I − (1/n) x̂ x̂ᵀ − (1/n) 𝟏𝟏ᵀ) where s = 1/√(‖x − sum(x)/n‖²/n + c), x̂ = s(x − sum(x)/n)"
    )
    for formula, shapes, expected in NORMALISED:
        d = cr.derive(formula, wrt="X" if "X" in shapes else "x", shapes=shapes)
        assert d.check(points=5).passed
        text = d.sheet.answers[0].gradient.text
        assert f"{text} where {d.text.split(' where ')[1]}" == expected


NORMALISED = [
    (
        "g @ layernorm(x, eps=c)",
        "g[n] x[n] c",
        "s(g − (1/n) (gᵀ x̂) x̂ − sum(g)/n) where s = 1/√(‖x − sum(x)/n‖²/n + c), x̂ = s(x − sum(x)/n)",
    ),
    ("g @ rmsnorm(x, eps=c)", "g[n] x[n] c", "s(g − (1/n) (gᵀ x̂) x̂) where s = 1/√(‖x‖²/n + c), x̂ = sx"),
    (
        "sum(G * layernorm(X, eps=c))",
        "G[N,d] X[N,d] c",
        "diag(u) (G − (1/d) diag((G ⊙ X̂) 𝟏) X̂ − (1/d) G𝟏𝟏ᵀ)"
        " where E = X − (1/d) X𝟏𝟏ᵀ, u = 1 ⊘ √((1/d) E⊙²𝟏 + c), X̂ = diag(u) E",
    ),
    (
        "sum(G * batchnorm(X, eps=c))",
        "G[N,d] X[N,d] c",
        "(G − (1/N) X̂ diag((G ⊙ X̂)ᵀ𝟏) − (1/N) 𝟏𝟏ᵀG) diag(u)"
        " where E = X − (1/N) 𝟏𝟏ᵀX, u = 1 ⊘ √((1/N) (Eᵀ)⊙²𝟏 + c), X̂ = E diag(u)",
    ),
]


def test_rows_on_the_simplex_add_up_to_one() -> None:
    d = cr.derive("cross_entropy(Z, Y)", wrt="Z", shapes="Z[N,k] Y[N,k]:simplex")
    assert d.sheet.answers[0].gradient.text == "(1/N) (softmax(Z, axis=1) − Y)"
    assert cr.derive("x*sum(Y)", wrt="x", shapes="x Y[N,k]:simplex").text == "N"
    loss, inputs = "sum(G * attention(Q, K, V, M))", "G[n,p] Q[n,d] K[m,d] V[m,p] M[n,m]"
    for structure, scores in {"": "QKᵀ/√d + M", ":integer(2)": "QKᵀ/√d"}.items():
        for wrt, expected in {
            "Q": "(P ⊙ (GVᵀ − (G ⊙ PV)𝟏𝟏ᵀ)) K/√d",
            "K": "(P ⊙ (GVᵀ − (G ⊙ PV)𝟏𝟏ᵀ))ᵀ Q/√d",
            "V": "PᵀG",
        }.items():
            d = cr.derive(loss, wrt=wrt, shapes=inputs + structure)
            assert d.sheet.answers[0].gradient.text == expected
            soft = "masked_softmax(S, M, axis=1)" if structure else "softmax(S, axis=1)"
            assert d.text.endswith(f" where S = {scores}, P = {soft}")


MASKS = {
    "tri(3)": np.tri(3),
    "tril(ones(3, 3))": np.tri(3),
    "M > 0": np.tri(3),
    "where(tri(3), 0, -1e9)": np.tri(3),
    "(1 - tri(3)) * -1e9": np.tri(3),
    "B": np.tri(3),
    "H": np.tri(3),
    "1 - H": 1 - np.tri(3),
}


@pytest.mark.parametrize("mask", MASKS)
def test_attention_hides_what_any_kind_of_mask_hides(mask: str) -> None:
    """Comparisons, triangles and declared zeros and ones hide; what is real is added, 0 and −1e9."""
    rng = np.random.default_rng(3)
    point = {name: rng.standard_normal((3, 2)) for name in "QKV"}
    point |= {"M": np.tri(3) - 0.5, "B": np.where(np.tri(3) > 0, 0, -1e9), "H": np.tri(3)}
    shapes = "Q[3,2] K[3,2] V[3,2] M[3,3] B[3,3] H[3,3]:integer(2)"
    found = evaluate(parse_formula(f"attention(Q, K, V, {mask})", shapes).expr, point)
    weights = np.exp(point["Q"] @ point["K"].T / np.sqrt(2)) * MASKS[mask]
    total = weights.sum(axis=1, keepdims=True)
    assert np.allclose(found, weights / np.where(total == 0, 1, total) @ point["V"], atol=1e-12)


def test_a_real_mask_is_said_to_be_added() -> None:
    formula = parse_formula("attention(Q, K, V, M)", "Q[n,d] K[m,d] V[m,p] M[n,m]")
    assert formula.assumptions == (
        "M is added to the scores of attention; declare M[…]:integer(2) for one of zeros and ones.",
    )


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
        ("attention(X, X, X, 0)", "a mask of zeros hides every key"),
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
