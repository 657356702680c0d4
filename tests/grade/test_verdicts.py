"""Right answers in every way of writing them, and the exit status that goes with each verdict."""

from __future__ import annotations

import pytest

import chainrule as cr

RIGHT = [
    # formula, shapes, wrt, claims that are equal, claims in the other layout
    (
        "x @ A @ x",
        "A[n,n] x[n]",
        "x",
        ["(A + A.T) @ x", "xᵀ(A + Aᵀ)", "A*x + A'*x", "df/dx = x @ A + A @ x", "Ax + Aᵀx"],
        [],
    ),
    (
        "sum((X @ W - Y)**2)",
        "X[N,n] W[n,k] Y[N,k]",
        "W",
        ["2 * X.T @ (X @ W - Y)", "∂L/∂W = 2Xᵀ(XW − Y)", "2*X'*(X*W - Y)", "2XᵀXW − 2XᵀY"],
        ["2(XW − Y)ᵀX", "2 * (X @ W - Y).T @ X"],
    ),
    ("A @ x", "A[m,n] x[n]", "x", ["A", "∂y_i/∂x_j = A_ij"], ["Aᵀ", "A.T"]),
    ("w * x", "w[n] x[n]", "x", ["diag(w)", "diag(w)ᵀ"], []),
    ("sum(x)", "x[n]", "x", ["𝟏", "𝟏ᵀ", "ones(n)"], []),
    ("A @ X @ B", "A[m,n] X[n,k] B[k,p]", "X", ["kron(B.T, A)", "∂Y_ij/∂X_kl = A_ik B_lj"], ["kron(B, A.T)"]),
    ("logdet(X)", "X[n,n]", "X", ["inv(X).T", "X⁻ᵀ"], ["inv(X)", "X⁻¹"]),
    ("x**2 * y", "x y", "x", ["2xy", "2*x*y", "x*y + y*x"], []),
    ("sum(b)", "b[n] x[n]", "x", ["0", "zeros(n)"], []),
]


@pytest.mark.parametrize(("formula", "shapes", "wrt", "equal", "turned"), RIGHT, ids=[r[0] for r in RIGHT])
def test_right_answers(formula: str, shapes: str, wrt: str, equal: list[str], turned: list[str]) -> None:
    for claim in equal:
        found = cr.check(formula, wrt=wrt, claim=claim, shapes=shapes)
        assert (found.verdict, found.diagnosis) == ("equal", None), (claim, found.text)
    for claim in turned:
        found = cr.check(formula, wrt=wrt, claim=claim, shapes=shapes)
        assert (found.verdict, found.diagnosis) == ("layout", "layout"), (claim, found.text)
