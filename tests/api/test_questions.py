"""Questions asked of a derivative: right answers, honest refusals, and checks that catch planted errors."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

import chainrule as cr
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable, einsum
from chainrule.language import parse_formula
from chainrule.simplify import Normaliser
from chainrule.simplify.definite import Definite, Doubt, Proof
from chainrule.verify.definite import chord_excess, spectra
from chainrule.verify.remainder import check_expansion
from chainrule.verify.stationary import check_stationary

RNG = np.random.default_rng(11)
REGRESSION = "X[N,n] w[n] y[N] b"


# ---------------------------------------------------------------- stationary


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "solution"),
    [
        ("norm(X @ w - y)**2", REGRESSION, "w", "w = (XᵀX)⁻¹Xᵀy"),
        ("mean((X @ w - y)**2)", REGRESSION, "w", "w = (XᵀX)⁻¹Xᵀy"),
        ("norm(X @ w - y)**2 + r*w@w", f"{REGRESSION} r:positive", "w", "w = (XᵀX + rI)⁻¹Xᵀy"),
        (
            "sum(c*(X @ w - y)**2)",
            f"{REGRESSION} c[N]:positive",
            "w",
            "w = (Xᵀ diag(c) X)⁻¹ Xᵀ(c ⊙ y)",
        ),
        ("sum((X @ W - Y)**2)", "X[N,n] W[n,k] Y[N,k]", "W", "W = (XᵀX)⁻¹XᵀY"),
        (
            "sum((A @ X @ B - C)**2)",
            "A[m,n] X[n,k] B[k,l] C[m,l]",
            "X",
            "X = (AᵀA)⁻¹AᵀCBᵀ(BBᵀ)⁻¹",
        ),
        ("x @ P @ x/2 - b @ x", "x[n] P[n,n]:spd b[n]", "x", "x = P⁻¹b"),
        ("(m - x) @ inv(S) @ (m - x)", "x[n] S[n,n]:spd m[n]", "m", "m = x"),
        ("a*x**2 + b*x + c", "x a b c", "x", "x = −b/(2a)"),
        ("(x - 1)**2 + (x + y - 3)**2", "x y", "x,y", "x = 2 − y/2; y = 2"),
    ],
)
def test_linear_systems_are_solved(formula: str, shapes: str, wrt: str, solution: str) -> None:
    found = cr.derive(formula, wrt=wrt, shapes=shapes).stationary()
    assert found and found.text == solution


def test_the_solution_of_least_squares_with_an_intercept_is_the_one_of_numpy() -> None:
    X, y = RNG.standard_normal((6, 2)), RNG.standard_normal(6)
    found = cr.derive("mean((X @ w + b - y)**2)", wrt="w,b", shapes=REGRESSION).stationary()
    values = found.compile()(X=X, y=y)
    wanted = np.linalg.lstsq(np.column_stack([X, np.ones(6)]), y, rcond=None)[0]
    np.testing.assert_allclose([*values["w"], values["b"]], wanted)


def test_matrix_unknowns_and_constraints() -> None:
    A, B, C = RNG.standard_normal((4, 3)), RNG.standard_normal((2, 5)), RNG.standard_normal((4, 5))
    found = cr.derive(
        "sum((A @ X @ B - C)**2) + r*sum(X**2)", wrt="X", shapes="A[m,n] X[n,k] B[k,l] C[m,l] r:positive"
    ).stationary()
    assert not found and "Sylvester" in found.reason and "vec(X)" in found.reason
    P = A.T @ A + np.eye(3)
    lagrangian = cr.derive(
        "x @ P @ x/2 - z @ (D @ x - b)", wrt="x,z", shapes="x[n] P[n,n]:spd b[m] D[m,n] z[m]"
    ).stationary()
    D, b = RNG.standard_normal((2, 3)), RNG.standard_normal(2)
    values = lagrangian.compile()(P=P, D=D, b=b)
    np.testing.assert_allclose(D @ values["x"], b)
    np.testing.assert_allclose(P @ values["x"], D.T @ values["z"])
    assert "not shown" in lagrangian.said.lines[-2]
    assert B.shape == (2, 5) and C.shape == (4, 5)


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "reason"),
    [
        ("-sum(log(sigmoid(y*(X @ w))))", "X[N,n] w[n] y[N]:sign", "w", "is not linear in w"),
        ("sum(abs(x - y))", "x[n] y[n]", "x", "not differentiable where x − y = 0"),
        ("(a @ x - c)**2", "x[n] a[n] c", "x", "has no inverse at any point"),
        ("mean((x - mean(x))**2)", "x[n]", "x", "has no inverse at any point"),
        ("a @ x", "x[n] a[n]", "x", "does not depend on x"),
        ("norm(x)**2", "x[n]:unit", "x", "declared unit"),
        ("stop(x)*x", "x", "x", "holds a part of the formula fixed"),
        ("(x*y - 1)**2", "x y", "x,y", "is not linear in x, y"),
    ],
)
def test_what_is_not_shown_says_why(formula: str, shapes: str, wrt: str, reason: str) -> None:
    found = cr.derive(formula, wrt=wrt, shapes=shapes).stationary()
    assert not found and reason in found.reason and f"not shown: {found.reason}." in found.said.lines
    with pytest.raises(cr.OptionError, match="no solution to compile"):
        found.compile()


@pytest.mark.parametrize("question", ["stationary", "is_convex"])
def test_formulas_with_axes_are_refused(question: str) -> None:
    derivative = cr.derive("A @ x", wrt="x", shapes="A[m,n] x[n]")
    with pytest.raises(cr.OptionError, match="this formula has axes"):
        getattr(derivative, question)()


def test_a_wrong_stationary_point_is_caught() -> None:
    formula = parse_formula("norm(X @ w - y)**2", REGRESSION)
    w = formula.variables["w"]
    gradient = parse_formula("2*X.T @ (X @ w - y)", REGRESSION).expr
    for text, right in (("inv(X.T @ X) @ X.T @ y", True), ("inv(X.T @ X + 0.001*eye(n)) @ X.T @ y", False)):
        solution = parse_formula(text, REGRESSION).expr
        assert check_stationary(formula.expr, {w: gradient}, {w: solution}).passed is right


# ---------------------------------------------------------------- convexity


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "verdict", "curvature"),
    [
        ("norm(X @ w - y)**2", REGRESSION, "w", "convex", "positive semidefinite"),
        ("norm(X @ w + b - y)**2", REGRESSION, "w,b", "convex", "positive semidefinite"),
        ("norm(X @ w - y)**2 + r*w@w", f"{REGRESSION} r:positive", "w", "convex", "positive definite"),
        ("sum(c*(X @ w - y)**2)", f"{REGRESSION} c[N]:nonnegative", "w", "convex", "positive semidefinite"),
        ("logsumexp(A @ x)", "A[m,n] x[n]", "x", "convex", "positive semidefinite"),
        ("sum(softplus(A @ x))", "A[m,n] x[n]", "x", "convex", "positive semidefinite"),
        (
            "-sum(Y*log(softmax(X @ W)))",
            "X[N,n] W[n,k] Y[N,k]:nonnegative",
            "W",
            "convex",
            "positive semidefinite",
        ),
        ("(x - m) @ inv(P) @ (x - m)", "x[n] P[n,n]:spd m[n]", "x", "convex", "positive definite"),
        ("-sum(log(b - A @ x))", "A[m,n] x[n] b[m]", "x", "convex", "positive semidefinite"),
        ("x @ log(x)", "x[n]:positive", "x", "convex", "positive definite"),
        ("sum(log(x))", "x[n]", "x", "concave", "negative semidefinite"),
        ("sum(sqrt(1 + x**2))", "x[n]", "x", "convex", "positive definite"),
        ("a @ x + 3", "a[n] x[n]", "x", "affine", "zero"),
        ("x**2 + y**2 + x*y", "x y", "[x, y]", "convex", "positive definite"),
        ("x**2 + y**2 + 3*x*y", "x y", "[x, y]", "neither", "indefinite"),
        ("x**3", "x", "x", "neither", "indefinite"),
        ("x @ A @ x", "x[n] A[n,n]", "x", "neither", "indefinite"),
        ("norm(X @ w - y)**2 + r*sum(abs(w))", f"{REGRESSION} r:positive", "w", "convex", ""),
        ("mean(relu(1 - y*(X @ w + b)))", REGRESSION, "w,b", "convex", ""),
        ("norm(x)", "x[n]", "x", "convex", ""),
        ("sum(std(relu(x)))", "x[n]", "x", "", "positive semidefinite"),
        ("-max(x)", "x[n]", "x", "concave", ""),
    ],
)
def test_curvature(formula: str, shapes: str, wrt: str, verdict: str, curvature: str) -> None:
    found = cr.derive(formula, wrt=wrt, shapes=shapes).is_convex()
    assert (found.verdict, found.curvature) == (verdict, curvature)
    assert bool(found) == (verdict in ("convex", "affine"))


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "words"),
    [
        ("norm(X @ w - y)**2 + r*w@w", f"{REGRESSION} r", "w", "sign of r is not known"),
        ("sum(c*(X @ w - y)**2)", f"{REGRESSION} c[N]", "w", "sign of c is not known"),
        ("norm(relu(X @ w) - y)**2", REGRESSION, "w", "it does not follow that f is convex"),
        ("stop(x)*x", "x", "x", "holds a part of the formula fixed"),
        ("2*x @ x - (x @ x)**2/4", "x[n]:unit", "x", "no convex set"),
        ("x*y", "x y", "x,y", "sign"),
        ("relu(x)*relu(-x)", "x", "x", "it does not follow"),
    ],
)
def test_convexity_that_is_not_shown_says_why(formula: str, shapes: str, wrt: str, words: str) -> None:
    found = cr.derive(formula, wrt=wrt, shapes=shapes).is_convex()
    assert not found and not found.verdict and words in str(found)


SIGNS = "A[m,n] B[m,n] C[n,n] P[n,n]:spd p[m]:simplex q[n]:simplex u[m]:unit c[m]:nonnegative d[m] x[n] s"
PROVED = [
    "A.T @ A",
    "A.T @ diag(c) @ A",
    "A.T @ (diag(p) - outer(p, p)) @ A",
    "diag(q) - outer(q, q)",
    "A.T @ (eye(m) - outer(u, u)) @ A",
    "A.T @ inv(eye(m) + A @ A.T) @ A",
    "C @ P @ C.T",
    "inv(P) + eye(n)",
    "(A.T @ A)*P",
    "exp(A.T @ A)",
    "outer(x, x)*s**2",
    "ones(n, n)",
    "eye(n)/norm(x) - outer(x, x)/norm(x)**3",
    "A.T @ diag(sigmoid(d)*(1 - sigmoid(d))) @ A",
    "A.T @ diag(1 - tanh(d)**2) @ A",
]
OPEN = [
    "A.T @ B",
    "A.T @ diag(d) @ A",
    "C + C.T",
    "C @ C",
    "s*A.T @ A",
    "A.T @ (1.01*outer(p, p) - diag(p)) @ A",
    "diag(q) - 1.01*outer(q, q)",
    "A.T @ (eye(m) - 1.01*outer(u, u)) @ A",
    "eye(n) - outer(x, x)",
    "P - eye(n)",
    "A.T @ A - B.T @ B",
    "P @ P @ C",
    "outer(x, q) + outer(q, x)",
    "eye(n)/norm(x) - 1.01*outer(x, x)/norm(x)**3",
    "A.T @ diag(d) @ (diag(p) - outer(p, p)) @ diag(c) @ A",
    "A.T @ diag(1.01 - tanh(d)**2 - 1) @ A",
]


@pytest.mark.parametrize(("text", "holds"), [*((t, True) for t in PROVED), *((t, False) for t in OPEN)])
def test_proofs_hold_at_random_points_and_nothing_false_is_proved(text: str, holds: bool) -> None:
    formula = parse_formula(text, SIGNS)
    normal = Normaliser()
    matrix = normal(formula.expr)
    found = Definite(normal).prove(matrix)
    assert isinstance(found, Proof if holds else Doubt), text
    values = spectra(matrix, 1, list(formula.variables.values()), points=12)
    assert all(s.is_nonnegative for s in values) or not holds
    if holds and found.strict:  # type: ignore[union-attr]
        assert all(s.low > 1e-9 * s.size for s in values)


def test_only_full_matrices_are_called_definite() -> None:
    normal = Normaliser()
    for text, strict in (
        ("eye(n)", True),
        ("P", True),
        ("diag(exp(x))", True),
        ("ones(n, n)", False),
        ("A.T @ A", False),
        ("A.T @ A + eye(n)", True),
        ("diag(q)", False),
        ("A.T @ inv(eye(m) + A @ A.T) @ A", False),
    ):
        found = Definite(normal).prove(normal(parse_formula(text, SIGNS).expr))
        assert isinstance(found, Proof) and found.strict is strict, text


def test_chords_show_what_is_not_convex() -> None:
    formulas = {"norm(x)": True, "-norm(x)": False, "sum(relu(x))": True, "sum(x**3)": False}
    for text, convex in formulas.items():
        formula = parse_formula(text, "x[n]")
        excess = chord_excess(formula.expr, [formula.variables["x"]])
        assert (excess <= 1e-9) is convex


def test_eigenvalues_show_what_is_not_semidefinite() -> None:
    A = Variable("A", (Dim.of("n"), Dim.of("n")))
    assert not all(s.is_nonnegative for s in spectra(A, 1))
    assert not all(s.is_nonnegative for s in spectra(-1 * einsum("mi,mj->ij", A, A), 1))


# ---------------------------------------------------------------- expansions


@pytest.mark.parametrize(
    ("formula", "shapes", "order", "text"),
    [
        ("norm(A @ x - b)**2", "A[m,n] x[n] b[m]", 2, "f(x + d) = ‖Ax − b‖² + 2(Ax − b)ᵀAd + dᵀAᵀAd"),
        ("x @ A @ x", "A[n,n] x[n]", 1, "f(x + d) ≈ xᵀAx + dᵀ(A + Aᵀ)x"),
        ("exp(x)", "x", 3, "f(x + d) ≈ exp(x) + d exp(x) + d² exp(x)/2 + d³ exp(x)/6"),
        ("logdet(x)", "x[n,n]", 2, "f(x + D) ≈ logdet(x) + tr(Dx⁻¹) − tr(Dx⁻¹Dx⁻¹)/2"),
        ("inv(x)", "x[n,n]", 1, "Y(x + D) ≈ x⁻¹ − x⁻¹Dx⁻¹"),
        ("d*x", "x d", 2, "f(x + h) = dx + dh"),
    ],
)
def test_expansions(formula: str, shapes: str, order: int, text: str) -> None:
    found = cr.derive(formula, wrt="x", shapes=shapes).taylor(order)
    assert found.text == text and found.exact == ("=" in text.split(")")[1][:3])


def test_expansions_in_several_variables_and_at_a_point() -> None:
    found = cr.derive("x*y**2", wrt="x,y").taylor(2, at="x=1,y=2")
    steps = found.said.data["at"]["steps"]
    for before, after in pairwise(steps):
        assert after["rest"] < before["rest"] / 500
    with pytest.raises(cr.OptionError, match="order 1 to 4"):
        cr.derive("x**2", wrt="x").taylor(5)


def test_a_wrong_expansion_is_caught() -> None:
    x, d = Variable("x", (Dim.of("n"),)), Variable("d", (Dim.of("n"),))
    f = cr.exp(x).sum()
    first, second = (cr.exp(x) * d).sum(), (cr.exp(x) * d * d).sum()
    assert check_expansion(f, [f, first, second / 2], {x: d}).passed
    for wrong in ([f, first, second], [f, 1.001 * first, second / 2], [f, first, 0.501 * second]):
        assert not check_expansion(f, wrong, {x: d}).passed


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("formula", "shapes", "options", "words"),
    [
        ("sum(x)", "x[n]", {}, "a row, 1 × n"),
        ("sum(x)", "x[n]", {"layout": "denominator"}, "a column, n × 1"),
        ("sum(x)", "x[n]", {"layout": "shape"}, "keeps the shape of x"),
        ("A @ x", "A[m,n] x[n]", {}, "rows to y and the columns to x: m × n"),
        ("A @ x", "A[m,n] x[n]", {"layout": "denominator"}, "columns to y and the rows to x: n × m"),
        ("A @ x", "A[m,n] x[n,k]", {}, "the array is of order 4"),
        ("A @ x", "A[m,n] x[n,k]", {}, "a matrix of m·k × n·k"),
        ("norm(x)**2", "x[n]", {"order": 2}, "n × n, and symmetric"),
        ("x**2", "x", {}, "has no axes"),
        ("tr(A @ x)", "A[m,n] x[n,m]", {}, "in the other order, m × n"),
    ],
)
def test_why_a_result_has_its_shape(
    formula: str, shapes: str, options: dict[str, object], words: str
) -> None:
    found = cr.derive(formula, wrt="x", shapes=shapes, **options).why_shape()  # type: ignore[arg-type]
    assert words in " ".join(found.reasons[0])
    assert found.reasons[0][-1].startswith("checked: ")


def test_answers_are_in_the_json_document() -> None:
    derivative = cr.derive("norm(X @ w - y)**2", wrt="w", shapes=REGRESSION)
    answers = {
        "stationary": derivative.stationary().said,
        "convexity": derivative.is_convex().said,
        "taylor": derivative.taylor().said,
        "why_shape": derivative.why_shape().said,
    }
    document = json.loads(derivative.to_json(answers=answers))
    assert document["stationary"]["solution"][0]["text"] == "w = (XᵀX)⁻¹Xᵀy"
    assert document["convexity"]["verdict"] == "convex"
    assert document["taylor"]["exact"] is True
    assert document["why_shape"]["derivatives"][0]["label"] == "∂f/∂w"
    text = derivative.to_text(answers=answers)
    assert all(said.text in text for said in answers.values())
    assert r"\begin{aligned}" in derivative.to_markdown(answers=answers)
