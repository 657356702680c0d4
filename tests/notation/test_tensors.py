"""Answers with more than two axes: parts of any number of axes have names, and everything is read back."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.expr.dims import Dim
from chainrule.expr.walk import substitute_dims
from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate

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
