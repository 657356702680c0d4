"""Index notation: the left side declares the axes of the result."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate

SHAPES = "A[m,p] B[q,n] X[p,q] S[n,n] x[n] z[n] W[m,n]"
SIZES = {"m": 2, "n": 3, "p": 4, "q": 5}


@pytest.mark.parametrize(
    ("text", "spec", "operands"),
    [
        ("∂Y_ij/∂X_kl = A_ik B_lj", "ik,lj->ijkl", "AB"),
        ("∂Yᵢⱼ/∂Xₖₗ = Aᵢₖ Bₗⱼ", "ik,lj->ijkl", "AB"),
        ("Y_ij = Σ_k A_ik X_kj", "ik,kj->ij", "AX"),
        ("Y_ij = A_ik X_kj", "ik,kj->ij", "AX"),
        ("y = Σ_i x_i z_i", "i,i->", "xz"),
        ("Σ_i x_i z_i", "i,i->", "xz"),
        ("∑ᵢ xᵢ zᵢ", "i,i->", "xz"),
        ("t = S_ii", "ii->", "S"),
        ("d_i = S_ii", "ii->i", "S"),
        ("Y_ji = W_ij", "ij->ji", "W"),
        ("(f)_i = (Sx)_i", "ij,j->i", "Sx"),
        ("y_i = (S⁻¹)_ij x_j", "ij,j->i", "Zx"),
    ],
)
def test_is_einsum(text: str, spec: str, operands: str) -> None:
    rng = np.random.default_rng(0)
    text = text.replace("(f)_i", "y_i")
    formula = parse_formula(text, SHAPES)
    given = {n: rng.uniform(0.3, 1, [SIZES[str(d)] for d in v.shape]) for n, v in formula.variables.items()}
    given["Z"] = np.linalg.inv(given["S"])
    expected = np.einsum(spec, *(given[o] for o in operands))
    np.testing.assert_allclose(evaluate(formula.expr, given, SIZES), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("y_i = x_i + 2z_i", "x + 2*z"),
        ("y_i = x_i²", "x**2"),
        ("y_i = x_i z_i/Σ_j x_j", "x*z/sum(x)"),
        ("y_i = exp(S_ij x_j) + sum(x)", "exp(S @ x) + sum(x)"),
        ("y_i = max(x_i, z_i)", "maximum(x, z)"),
        ("Y_ij = x_i + z_j", "x[:, None] + z[None, :]"),
        ("Y_ij = x_i [i = j]", "diag(x)"),
        ("Y_ij = x_i δ_ij − x_i x_j", "diag(x) - outer(x, x)"),
        ("y_i = x_i 1[x_i > z_i]", "x*(x > z)"),
        ("y_i = −x_i", "-x"),
        ("∂f/∂S_ij = S_kk δ_ij", "tr(S)*eye(n)"),
        ("y_i = 3", "3*ones(n)"),
    ],
)
def test_means(text: str, plain: str) -> None:
    rng = np.random.default_rng(1)
    formula, other = parse_formula(text, SHAPES, shape=_shape(plain)), parse_formula(plain, SHAPES)
    given = {n: rng.uniform(0.3, 1, [SIZES[str(d)] for d in v.shape]) for n, v in formula.variables.items()}
    np.testing.assert_allclose(
        evaluate(formula.expr, given, SIZES), evaluate(other.expr, given, SIZES), rtol=1e-12
    )


def _shape(text: str):
    return parse_formula(text, SHAPES).expr.shape


def test_third_order() -> None:
    formula = parse_formula("∂y_i/∂W_jk = δ_ij x_k", SHAPES)
    assert list(map(str, formula.expr.shape)) == ["m", "m", "n"]


def test_zero_takes_its_sizes_from_the_left() -> None:
    formula = parse_formula("∂W_ij/∂X_kl = 0", SHAPES)
    assert list(map(str, formula.expr.shape)) == ["m", "n", "p", "q"]


def test_a_named_part_may_have_indices() -> None:
    formula = parse_formula("z_i = S_ij x_j; sum(z)", "S[n,n] x[n]")
    assert list(formula.names) == ["z"] and formula.expr.shape == ()
