"""What a declared structure is allowed to do, and when."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.derive import jacobians
from chainrule.language import parse_formula
from chainrule.simplify import normalise, simplify
from chainrule.verify.reference import evaluate
from chainrule.verify.sample import sample_point

SHAPES = (
    "x[n] y[n] S[n,n]:symmetric P[n,n]:spd D[n,n]:diagonal Q[n,n]:orthogonal K[n,n]:skew p[n]:simplex "
    "u[n]:positive g[n]:sign r:nonnegative A[n,n] V[n,k]:orthonormal z[n]:unit"
)


@pytest.mark.parametrize(
    ("text", "shorter"),
    [
        ("x @ S.T", "S @ x"),
        ("tr(S.T @ A)", "tr(S @ A)"),
        ("inv(P).T @ x", "inv(P) @ x"),
        ("Q.T @ Q @ x", "x"),
        ("Q @ Q.T", "eye(n)"),
        ("inv(Q) @ x", "Q.T @ x"),
        ("K.T @ x", "-K @ x"),
        ("sum(diag(K))", "0*x[0]"),
        ("sum(p)", "1"),
        ("sum(2*p) + sum(x)", "2 + sum(x)"),
        ("sqrt(u**2)", "u"),
        ("abs(u)", "u"),
        ("g**2 * x", "x"),
        ("g**3", "g"),
        ("x @ D @ y", "y @ D @ x"),
        ("(r**2)**0.5", "r"),
        ("V.T @ V", "eye(k)"),
        ("z @ z", "1"),
        ("sum(z**2)", "1"),
        ("x / norm(z)", "x"),
    ],
)
def test_structure_shortens_and_keeps_the_value(text: str, shorter: str) -> None:
    long, short = parse_formula(text, SHAPES), parse_formula(shorter, SHAPES)
    assert normalise(long.expr) is normalise(short.expr)
    point = sample_point([long.expr], long.variables.values(), np.random.default_rng(3))
    assert np.allclose(
        evaluate(long.expr, point.values, point.sizes),
        evaluate(short.expr, point.values, point.sizes),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("text", "shorter"),
    [
        ("x @ S.T", "S.T @ x"),
        ("inv(P).T @ x", "inv(P) @ x"),
        ("Q.T @ Q @ x", "x"),
        ("x @ K.T @ y", "-x @ K @ y"),
        ("sum(p)", "1"),
        ("x @ D @ y", "y @ D @ x"),
    ],
)
def test_structure_is_not_used_for_a_kept_variable(text: str, shorter: str) -> None:
    long, short = parse_formula(text, SHAPES), parse_formula(shorter, SHAPES)
    kept = [v.name for v in long.variables.values()]
    assert normalise(long.expr) is normalise(short.expr)
    assert normalise(long.expr, kept) is not normalise(short.expr, kept)


def test_the_hessian_of_logdet_at_a_symmetric_matrix_treats_the_entries_as_independent() -> None:
    """The trap: rewriting the gradient with the structure first makes the second derivative false."""
    formula = parse_formula("logdet(P)", SHAPES)
    P = formula.variables["P"]
    first = normalise(jacobians(normalise(formula.expr, ["P"]), [P])[P], ["P"])
    right = simplify(jacobians(first, [P])[P])
    wrong = simplify(jacobians(simplify(first), [P])[P])
    value = np.array([[2.0, 0.5], [0.5, 1.0]])
    inverse = np.linalg.inv(value)
    expected = -np.einsum("li,jk->ijkl", inverse, inverse)
    assert np.allclose(evaluate(right, {"P": value}), expected)
    assert not np.allclose(evaluate(wrong, {"P": value}), expected)
