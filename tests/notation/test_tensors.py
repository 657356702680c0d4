"""Answers with more than two axes: parts of any number of axes have names, and everything is read back."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.expr.dims import Dim
from chainrule.expr.walk import substitute_dims
from chainrule.language import parse_formula
from chainrule.verify.reference import ROOM, evaluate

T = "T[a,b,c] R[a,b,c]"
ATTENTION = "Q[b,h,t,d] K[b,h,t,d] V[b,h,t,d]"
SIZES = {name: Dim.of(size) for name, size in zip("abcdhmnqt", (2, 3, 4, 2, 2, 3, 2, 3, 3), strict=True)}
WRITTEN = [
    ("kron(A, B)", "A[m,n] B[c,q]", "A", 1, "∂Y_(ij)(kl)/∂A_mn = B_jl δ_im δ_kn"),
    ("sum(exp(kron(A, B)))", "A[m,n] B[c,q]", "A", 1, "∂f/∂A_ij = Σ_kl exp(A_ij B_lk) B_lk"),
    (
        "layernorm(T)", T, "T", 1,
        "∂Y_ijk/∂T_lmn = M_ij (δ_kn − T̂_ijk T̂_ijn/c − 1/c) δ_il δ_jm where E_ijk = T_ijk − (Σ_l T_ijl)/c, "
        "M_ij = 1/√((Σ_k E_ijk²)/c + 0.00001), T̂_ijk = M_ij E_ijk",
    ),
    (
        "sum(R * layernorm(T))", T, "T", 1,
        "∂f/∂T_ijk = M_ij (R_ijk − T̂_ijk Σ_l R_ijl T̂_ijl/c − (Σ_l R_ijl)/c) "
        "where E_ijk = T_ijk − (Σ_l T_ijl)/c, M_ij = 1/√((Σ_k E_ijk²)/c + 0.00001), T̂_ijk = M_ij E_ijk",
    ),
    (
        "sum(attention(Q, K, V))", ATTENTION, "V", 1,
        "∂f/∂V_ijkl = Σ_m P_ijmk where S_ijkl = (Σ_m Q_ijkm K_ijlm)/√d, P = softmax(S, axis=3)",
    ),
    (
        "softmax(T, axis=1)", T, "T", 1,
        "∂Y_ijk/∂T_lmn = P_ikj (δ_jm − P_ikm) δ_il δ_kn where P_ijk = softmax(T, axis=1)_ikj",
    ),
    ("max(T, axis=(0, 2))", T, "T", 1, "∂y_i/∂T_jkl = first_max(T, axis=(0, 2))_jil δ_ik"),
    (
        "sum(logsumexp(T, axis=(0, 2))**2)", T, "T", 1,
        "∂f/∂T_ijk = 2 softmax(T, axis=2)_ijk logsumexp(M, axis=1)_j softmax(M, axis=1)_ji "
        "where M_ij = logsumexp(T, axis=2)_ji",
    ),
    (
        "sum(R * softmax(T, axis=2))", T, "T", 1,
        "∂f/∂T_ijk = P_ijk (R_ijk − Σ_l P_ijl R_ijl) where P = softmax(T, axis=2)",
    ),
    ("conv1d(x, k, stride=2, padding=1)", "x[9] k[3]", "x", 1, "∂y_i/∂x_j = k_{j−2i+3}"),
    ("conv2d(X, K)", "X[2,6,6] K[3,2,3,3]", "X", 1, "∂Y_ijk/∂X_lmn = K_{i,l,m−j+1,n−k+1}"),
    (
        "sum(G * conv2d(X, K, stride=2, padding=1))", "X[2,8,8] K[3,2,3,3] G[3,4,4]", "K", 1,
        "∂f/∂K_ijkl = Σ_mn G_imn X_{j,2m+k−3,2n+l−3}",
    ),
    (
        "max_pool2d(X, 2)", "X[4,6]", "X", 1,
        "∂Y_ij/∂X_kl = first_max(windows(X, (2, 2), stride=2), axis=(2, 3))_{i,j,k−2i+2,l−2j+2}",
    ),
    (
        "attention(Q, K, V, mask=tri(t))", ATTENTION, "V", 1,
        "∂Y_ijkl/∂V_mnpq = P_ijkp δ_im δ_jn δ_lq where S_ijkl = (Σ_m Q_ijkm K_ijlm)/√d, "
        "P_ijkl = masked_softmax(S, tri(t), axis=3)_ijkl",
    ),
    ("avg_pool1d(x, 3)", "x[9]", "x", 1, "∂y_i/∂x_j = (Σ_k [j = 3i + k − 3] [k ≤ 3])/3"),
    (
        "sum(avg_pool2d(X, 2)**3)", "X[4,6]", "X", 1,
        "∂f/∂X_ij = 3 Σ_klmn ((Σ_pq X_{2k+p−2,2l+q−2} [p ≤ 2] [q ≤ 2])/4)² [i = 2k + m − 2] "
        "[j = 2l + n − 2] [k ≤ 2] [l ≤ 3] [m ≤ 2] [n ≤ 2]/4",
    ),
    (
        "conv1d(x, k, padding=1, dilation=2)", "x[9] k[3]", "x", 1,
        "∂y_i/∂x_j = Σ_l k_l [j = i + 2l − 3]",
    ),
    (
        "sum(conv2d(X, K)**2)", "X[2,2,6,5] K[2,2,3,2]", "K", 2,
        "∂²f/∂K_ijkl∂K_mnpq = 2δ_im Σ_rst X_{t,j,r+k−1,s+l−1} X_{t,n,r+p−1,s+q−1} [r ≤ 4] [s ≤ 4]",
    ),
    (
        "sum(conv1d(X, K, stride=2, padding=1)**2)", "X[2,9] K[3,2,3]", "X", 2,
        "∂²f/∂X_ij∂X_kl = 2 Σ_mn K_{n,i,j−2m+3} K_{n,k,l−2m+3} [m ≤ 5]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shapes", "name", "order", "wanted"), WRITTEN, ids=[w[0] for w in WRITTEN])
def test_parts_have_names(text: str, shapes: str, name: str, order: int, wanted: str) -> None:
    d = cr.derive(text, wrt=name, shapes=shapes, order=order)
    assert isinstance(d, cr.Derivative)
    (answer,) = d.sheet.answers
    written = f"{answer.label} = {answer.written.text}"
    where = [line.strip() for line in d.sheet.answer_lines() if line.lstrip().startswith("where")]
    names = d.text.partition(" where ")[2]
    shown = written + (f" where {names}" if names else "")
    assert shown == wanted and bool(where) == bool(names)
    parsed = parse_formula(shown, shapes, shape=d.expression.shape)
    rng = np.random.default_rng(0)
    variables = d.formula.variables.values()
    values = {v.name: rng.normal(size=[dim.substitute(SIZES).constant for dim in v.shape]) for v in variables}
    got, expected = (evaluate(substitute_dims(e, SIZES), values) for e in (parsed.expr, d.expression))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_a_claim_whose_sums_have_no_range_is_told_so() -> None:
    """Σ_l x_{l+i−1} x_{l+j−1} would not say how far l goes."""
    claim = "∂²f/∂k_i∂k_j = Σ_l x_{l+i−1} x_{l+j−1}"

    def verdict(text: str) -> str:
        return str(cr.check("sum(conv1d(x, k)**2)/2", "k", text, "x[9] k[3]", order=2))

    assert "nothing says how many entries" in verdict(claim)
    assert "Equal" in verdict(f"{claim} [l ≤ 7]")


def test_long_products_of_windows_are_multiplied_two_at_a_time() -> None:
    """np.einsum multiplies all four at once, in 20 times as long, unless it is given room."""
    tensors = [np.ones((2, 3, 8, 8)), np.ones((4, 3, 3, 3)), np.ones((8, 3, 8)), np.ones((8, 3, 8))]
    labels = [(0, 1, 2, 3), (4, 1, 5, 6), (7, 5, 2), (8, 6, 3)]
    pairs = [part for pair in zip(tensors, map(list, labels), strict=True) for part in pair]
    limited, free = (np.einsum_path(*pairs, [0, 4, 7, 8], optimize=o)[0] for o in (True, ("greedy", ROOM)))
    assert len(limited) < len(free) == 4  # the first entry names the path


def test_pairs_and_sums_are_told() -> None:
    d = cr.derive("conv1d(x, k)", wrt="x", shapes="x[9] k[3]")
    assert "an entry whose index lies outside its array is 0" in str(d)
    d = cr.derive("kron(A, B)", wrt="A", shapes="A[m,n] B[p,q]")
    assert "(ij) is one index made of two, of which j runs faster" in str(d)
    assert r"B_{jl} \delta_{im} \delta_{kn}" in d.latex


def test_a_wrong_sum_of_indices_is_noticed_and_another_refused() -> None:
    right = parse_formula("y_i = Σ_k x_{i+k−1} w_k", "x[9] w[3]", shape=[Dim.of(7)])
    wrong = parse_formula("y_i = Σ_k x_{i+k} w_k", "x[9] w[3]", shape=[Dim.of(7)])
    values = {"x": np.arange(9.0), "w": np.array([1.0, 2.0, 4.0])}
    np.testing.assert_allclose(evaluate(right.expr, values), np.correlate(values["x"], values["w"], "valid"))
    assert not np.allclose(evaluate(right.expr, values), evaluate(wrong.expr, values))
    with pytest.raises(cr.ChainruleError, match="the index i\\+k\\+j is not read"):
        parse_formula("y_i = Σ_kj x_{i+k+j} w_k v_j", "x[9] w[3] v[2]", shape=[Dim.of(7)])
