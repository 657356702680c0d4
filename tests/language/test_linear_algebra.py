"""Linear algebra: values of NumPy and SciPy, derivatives of JAX; what is printed, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from judged import jax, jnp, judged

import chainrule as cr
from chainrule.codegen.load import compile_expressions
from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate

RNG = np.random.default_rng(0)
A, B, C = RNG.standard_normal((3, 3, 3))
S, M, X, x, c = A @ A.T + 3 * np.eye(3), A + A.T, RNG.standard_normal((3, 2)), A[0], B[1]
GIVEN = {"A": A, "B": B, "C": C, "S": S, "M": M, "X": X, "x": x, "c": c}
SHAPES = "A[3,3] B[3,3] C[3,3] S[3,3] M[3,3] X[3,2] x[3] c[3]"


def half(Z: np.ndarray) -> np.ndarray:
    return np.tril(Z) - np.diag(np.diag(Z)) / 2


def frechet(*directions: np.ndarray) -> np.ndarray:
    """By differences of differences."""
    if not directions:
        return scipy.linalg.expm(A)

    def at(t: float) -> np.ndarray:
        global A
        kept, A = A, A + t * directions[0]
        try:
            return frechet(*directions[1:])
        finally:
            A = kept

    h = 2e-3
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


def svd(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    signs = np.sign([column[np.abs(column).argmax()] for column in U.T])
    return U * signs, s, Vt.T * signs


def eigvecs(Z: np.ndarray) -> np.ndarray:
    V = np.linalg.eigh(Z)[1]
    return V * np.sign([column[np.abs(column).argmax()] for column in V.T])


VALUES: dict[str, tuple[Callable[[], Any], float]] = {
    "tril(A)": (lambda: np.tril(A), 0),
    "tril(X, 1) + tril(X, k=-1)": (lambda: np.tril(X, 1) + np.tril(X, -1), 0),
    "triu(A)": (lambda: np.triu(A), 0),
    "np.triu(X, 1) + triu(X, -2)": (lambda: np.triu(X, 1) + np.triu(X, -2), 0),
    "halftril(A) + 2*halftriu(A)": (lambda: half(A) + 2 * half(A.T).T, 0),
    "vech(A)": (lambda: np.concatenate([A[j:, j] for j in range(3)]), 0),
    "einsum('tij,ij->t', elimination(3), A)": (lambda: np.concatenate([A[j:, j] for j in range(3)]), 0),
    "inner(A, x) + inner(x, A)": (lambda: np.inner(A, x) + np.inner(x, A), 1e-14),
    "vdot(A, B) + inner(x, c)": (lambda: np.vdot(A, B) + np.inner(x, c), 1e-14),
    "cholesky(S)": (lambda: np.linalg.cholesky(S), 1e-13),
    "np.linalg.pinv(X)": (lambda: np.linalg.pinv(X), 1e-13),
    "eigvalsh(M) + eigh(M)[0]": (lambda: 2 * np.linalg.eigvalsh(M), 1e-13),
    "eigvecsh(M) + eigh(M)[1]": (lambda: 2 * eigvecs(M), 1e-13),
    "inverse_gaps(x)": (lambda: _gaps(x), 1e-13),
    "svdvals(X)": (lambda: svd(X)[1], 1e-13),
    "svd_left(X)": (lambda: svd(X)[0], 1e-13),
    "svd_right(X)": (lambda: svd(X)[2], 1e-13),
    "top_left(X)": (lambda: svd(X)[0][:, 0], 1e-13),
    "top_right(X)": (lambda: svd(X)[2][:, 0], 1e-13),
    "norm(X, 2) + spectral_norm(X)": (lambda: 2 * np.linalg.norm(X, 2), 1e-13),
    "np.linalg.norm(X, 'nuc') + nuclear_norm(X)": (lambda: 2 * np.linalg.norm(X, "nuc"), 1e-13),
    "norm(X, 'fro')": (lambda: np.linalg.norm(X), 1e-13),
    "polar(X)": (lambda: scipy.linalg.polar(X)[0], 1e-13),
    "polar_frechet(X, X @ A[:2, :2])": (lambda: _polar_slope(X @ A[:2, :2]), 1e-8),
    "expm(A)": (lambda: scipy.linalg.expm(A), 1e-12),
    "expm_frechet(A, B)": (lambda: scipy.linalg.expm_frechet(A, B)[1], 1e-12),
    "expm_frechet2(A, B, C)": (lambda: frechet(B, C), 1e-6),
    "expm_frechet3(A, B, C, B)": (lambda: frechet(B, C, B), 1e-5),
    "slogdet(A)[1]": (lambda: np.linalg.slogdet(A)[1], 1e-13),
}


def _gaps(v: np.ndarray) -> np.ndarray:
    gaps = v[None, :] - v[:, None] + np.eye(3)
    return (1 - np.eye(3)) / gaps


def _polar_slope(E: np.ndarray) -> np.ndarray:
    h = 1e-3
    Q = [scipy.linalg.polar(X + t * h * E)[0] for t in (-2, -1, 1, 2)]
    return (8 * (Q[2] - Q[1]) - (Q[3] - Q[0])) / (12 * h)


@pytest.mark.parametrize("text", VALUES)
def test_value_is_numpys(text: str) -> None:
    expected, tolerance = VALUES[text]
    formula = parse_formula(text, SHAPES)
    found = evaluate(formula.expr, GIVEN)
    np.testing.assert_allclose(found, expected(), rtol=tolerance, atol=tolerance)
    compiled = compile_expressions(formula.expr, list(formula.variables.values()))
    np.testing.assert_allclose(compiled(**GIVEN), found, rtol=1e-11, atol=1e-11)


L, expm = jnp.linalg, jax.scipy.linalg.expm
DERIVED: list[tuple[str, str, Callable[..., Any]]] = [
    ("tr(C @ cholesky(S))", "S", lambda C, S: jnp.trace(C @ L.cholesky(S))),
    ("sum(cholesky(S)**3)", "S", lambda S: jnp.sum(L.cholesky(S) ** 3)),
    ("sum(log(diag(cholesky(S))))", "S", lambda S: jnp.sum(jnp.log(jnp.diag(L.cholesky(S))))),
    (
        "sum(solve(cholesky(S), x - c)**2)/2 + sum(log(diag(cholesky(S))))",
        "S",
        lambda S, x, c: (
            jnp.sum(L.solve(L.cholesky(S), x - c) ** 2) / 2 + jnp.sum(jnp.log(jnp.diag(L.cholesky(S))))
        ),
    ),
    ("sum(pinv(X)**2)", "X", lambda X: jnp.sum((L.inv(X.T @ X) @ X.T) ** 2)),
    ("sum(c * exp(eigvalsh(M)))", "M", lambda M, c: jnp.sum(c * jnp.exp(L.eigvalsh(M)))),
    ("sum(log(eigvalsh(S))) + tr(S)", "S", lambda S: jnp.sum(jnp.log(L.eigvalsh(S))) + jnp.trace(S)),
    ("max(eigvalsh(M)) - min(eigvalsh(M))", "M", lambda M: L.eigvalsh(M)[-1] - L.eigvalsh(M)[0]),
    ("sum((C @ eigvecsh(M)**2) * C)", "M", lambda C, M: jnp.sum((C @ L.eigh(M)[1] ** 2) * C)),
    ("c @ svdvals(A)**3", "A", lambda A, c: c @ L.svd(A, compute_uv=False) ** 3),
    ("norm(X, 'nuc')", "X", lambda X: jnp.sum(L.svd(X, compute_uv=False))),
    ("norm(X, 2)**3", "X", lambda X: L.norm(X, 2) ** 3),
    ("tr(C @ expm(A))", "A", lambda A, C: jnp.trace(C @ expm(A))),
    ("x @ expm(A @ A.T/4) @ x", "A", lambda A, x: x @ expm(A @ A.T / 4) @ x),
    ("x @ tril(A) @ triu(A, 1) @ x", "A", lambda A, x: x @ jnp.tril(A) @ jnp.triu(A, 1) @ x),
    ("vdot(A, inner(A, A)) + logdet(A)", "A", lambda A: jnp.sum(A * jnp.inner(A, A)) + L.slogdet(A)[1]),
    ("sum(vech(A @ A)**2)", "A", lambda A: jnp.sum(jnp.tril(A @ A) ** 2)),
    ("c @ solve(A, x) + tr(matrix_power(A, -2))", "A", lambda A, x, c: c @ L.solve(A, x) + _power(A)),
    ("sum(kron(A, A) * kron(B, C))", "A", lambda A, B, C: jnp.sum(jnp.kron(A, A) * jnp.kron(B, C))),
]


def _power(Z: Any) -> Any:
    return jnp.trace(L.matrix_power(L.inv(Z), 2))


@pytest.mark.parametrize(("text", "wrt", "function"), DERIVED, ids=[case[0] for case in DERIVED])
def test_gradient_and_hessian_are_those_of_jax(text: str, wrt: str, function: Callable[..., Any]) -> None:
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    shapes = " ".join(part for part in SHAPES.split() if part[0] in names)
    values = {name: GIVEN[name] for name in names}
    # JAX takes seconds for a Hessian through its expm; test_every_row has second derivatives of it.
    assert judged(text, shapes, values, function, [wrt], second="expm" not in text) == []


PRINTED = [
    ("tr(expm(A))", "A[n,n]", "A", "expm(Aᵀ)"),
    ("tr(C @ expm(A))", "A[n,n] C[n,n]", "A", "expm_frechet(A, C)ᵀ"),
    ("expm(t*A) @ x", "A[n,n] x[n] t", "t", "expm(tA) Ax"),
    ("sum(svdvals(A))", "A[n,n]", "A", "UVᵀ where U = svd_left(A), V = svd_right(A)"),
    ("norm(X, 'nuc')", "X[m,n]", "X", "polar(X)"),
    ("norm(X, 2)", "X[m,n]", "X", "uvᵀ where u = top_left(X), v = top_right(X)"),
    ("c @ eigvalsh(A)", "A[n,n] c[n]", "A", "V diag(c) Vᵀ where V = eigvecsh(A)"),
    ("sum(eigvalsh(A))", "A[n,n]", "A", "I"),
    ("sum(log(eigvalsh(A)))", "A[n,n]:spd", "A", "A⁻¹"),
    ("sum(log(diag(cholesky(A))))", "A[n,n]:spd", "A", "(1/2) A⁻¹"),
    (
        "sum(solve(cholesky(S), x - mu)**2)/2 + sum(log(diag(cholesky(S))))",
        "S[n,n]:spd x[n] mu[n]",
        "S",
        "(1/2) (S⁻¹ − S⁻¹(x − μ)(x − μ)ᵀS⁻¹)",
    ),
    (
        "tr(C @ cholesky(A))",
        "A[n,n]:spd C[n,n]",
        "A",
        "(1/2) L⁻ᵀ(halftriu(CL) + halftriu(CL)ᵀ) L⁻¹ where L = cholesky(A)",
    ),
    ("x @ tril(A) @ y", "A[n,n] x[n] y[n]", "A", "tril(xyᵀ)"),
    ("sum(triu(A, 1)**2)", "A[n,n]", "A", "2 triu(A, 1)"),
    ("sum(vech(A)**2)", "A[3,3]", "A", "2 tril(A)"),
    ("vdot(A, X @ B)", "A[m,n] X[m,k] B[k,n]", "X", "ABᵀ"),
    ("sum(log(svdvals(A)))", "A[n,n]", "A", "A⁻ᵀ"),
    ("logdet(expm(A))", "A[n,n]", "A", "I"),
]


@pytest.mark.parametrize(("text", "shapes", "wrt", "expected"), PRINTED, ids=[case[0] for case in PRINTED])
def test_what_a_person_reads(text: str, shapes: str, wrt: str, expected: str) -> None:
    derivative = cr.derive(text, wrt=wrt, shapes=shapes, layout="shape")
    assert derivative.text == expected
    assert derivative.check().passed


EQUAL = np.eye(3)
RAISING = [
    ("c @ eigvalsh(A)", "A[n,n] c[n]", {"A": EQUAL, "c": np.arange(3.0)}, "eigenvalues coincide"),
    ("sum(svdvals(A)**3)", "A[n,n]", {"A": EQUAL}, "singular values coincide"),
    ("norm(A, 2)", "A[m,n]", {"A": EQUAL}, "largest singular values coincide"),
    ("norm(A, 'nuc')", "A[m,n]", {"A": np.ones((3, 2))}, "not full rank"),
    ("sum(pinv(A)**2)", "A[m,n]", {"A": np.ones((3, 2))}, "not full rank"),
    ("sum(cholesky(A)**2)", "A[n,n]", {"A": -EQUAL}, "positive definite"),
]


@pytest.mark.parametrize(("text", "shapes", "given", "message"), RAISING, ids=[case[0] for case in RAISING])
def test_code_raises_where_there_is_no_derivative(
    text: str, shapes: str, given: dict[str, Any], message: str
) -> None:
    derivative = cr.derive(text, wrt="A", shapes=shapes).compile()
    with pytest.raises(cr.ChainruleError, match=message):
        derivative(**given)


@pytest.mark.parametrize(
    ("text", "shapes", "condition"),
    [
        ("c @ eigvalsh(A)", "A[n,n] c[n]", "two eigenvalues of A coincide"),
        ("norm(A, 2)", "A[m,n]", "the two largest singular values of A coincide"),
        ("norm(A, 'nuc')", "A[m,n]", "a singular value of A is 0"),
    ],
)
def test_the_answer_states_the_condition(text: str, shapes: str, condition: str) -> None:
    derivative = cr.derive(text, wrt="A", shapes=shapes)
    assert condition in str(derivative)


@pytest.mark.parametrize(
    ("text", "shapes", "message"),
    [
        ("svdvals(A)", "A[m,n]", "needs to know which of m and n is smaller"),
        ("vech(A)", "A[n,n]", "needs a number for n"),
        ("cholesky(A)", "A[m,n]", "needs a square matrix"),
        ("tril(x)", "x[n]", "tril needs a matrix, not a vector"),
        ("eigh(A)", "A[n,n]", "eigh gives two arrays"),
        ("svd(A)", "A[n,n]", "svd gives three arrays"),
        ("slogdet(A)", "A[n,n]", "slogdet gives two numbers"),
        ("vdot(A, x)", "A[n,n] x[n]", "vdot needs arguments of one shape"),
        ("norm(A, 3)", "A[n,n]", "is not in the language"),
        ("halftril(A)", "A[m,n]", "halftril needs a square matrix"),
    ],
)
def test_refusals(text: str, shapes: str, message: str) -> None:
    with pytest.raises(cr.ChainruleError, match=message.replace("(", r"\(")):
        parse_formula(text, shapes)


def test_a_derivative_beyond_the_last_map_is_refused() -> None:
    with pytest.raises(cr.ChainruleError, match="no derivative is known for `polar_frechet`"):
        cr.derive("norm(A, 'nuc')", wrt="A", shapes="A[m,n]", order=3)


def test_a_symmetric_argument_gives_a_symmetric_derivative() -> None:
    for text in ("tr(C @ cholesky(S))", "sum(C * eigvecsh(S)**2)", "c @ eigvalsh(S)"):
        compiled = cr.derive(text, wrt="S", shapes=SHAPES).compile()
        found = compiled(**GIVEN)
        np.testing.assert_allclose(found, found.T, atol=1e-12)
