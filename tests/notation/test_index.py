"""Index and vec forms: exact strings, and the language reads both back to the derivative's values."""

from __future__ import annotations

import zlib
from math import prod

import numpy as np
import pytest

from chainrule.derive import jacobians
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Expr, Variable, einsum
from chainrule.language import Formula, parse_formula
from chainrule.notation.index import derivative, index_form, vec_derivative, vec_form
from chainrule.notation.latex import to_latex
from chainrule.notation.recover import Reader
from chainrule.notation.text import to_text
from chainrule.rules.tensorial import softmax
from chainrule.simplify import normalise, simplify
from chainrule.verify.reference import evaluate
from tests.notation.test_latex import check_balanced

SHAPES = "X[3,3] Z[2,3] A[3,3] B[3,3] P[2,4] C[4,2] x[3] y[3] u[2] v[6] s t T[2,3,3] W1[3,3]"


def derived(text: str, name: str, order: int = 1) -> tuple[Formula, Expr]:
    formula = parse_formula(text, SHAPES)
    variable = formula.variables[name]
    result = formula.expr
    for _ in range(order):
        result = jacobians(normalise(result, [name]), [variable])[variable]
    return formula, simplify(result)


def forms(text: str, name: str, order: int = 1) -> tuple[str, str]:
    """The index form with its left side, and the vec form or nothing."""
    formula, expr = derived(text, name, order)
    reader = Reader(formula.variables)
    tree, letters = index_form(expr, reader)
    inputs = [(name, formula.variables[name].rank)] * order
    left = derivative(("Y", formula.expr.rank), inputs, letters)
    check_balanced(to_latex(left) + to_latex(tree))
    vec = vec_form(expr, formula.expr.rank or formula.variables[name].rank, reader)
    return f"{to_text(left)} = {to_text(tree)}", "" if vec is None else to_text(vec)


@pytest.mark.parametrize(
    ("text", "name", "index", "vec"),
    [
        ("A @ X @ B", "X", "∂Y_ij/∂X_kl = A_ik B_lj", "Bᵀ ⊗ A"),
        ("inv(X)", "X", "∂Y_ij/∂X_kl = −(X⁻¹)_ik (X⁻¹)_lj", "−X⁻ᵀ ⊗ X⁻¹"),
        ("Z.T", "Z", "∂Y_ij/∂Z_kl = δ_il δ_jk", "K"),
        ("X", "X", "∂Y_ij/∂X_kl = δ_ik δ_jl", "I"),
        ("X @ X", "X", "∂Y_ij/∂X_kl = X_ik δ_jl + X_lj δ_ik", "I_3 ⊗ X + Xᵀ ⊗ I_3"),
        ("X[1]", "X", "∂Y_i/∂X_jk = [j = 2] δ_ik", "I_3 ⊗ 𝐞₂ᵀ"),
        ("X[1:]", "X", "∂Y_ij/∂X_kl = [k = i + 1] δ_jl", "I_3 ⊗ [0; I]ᵀ"),
        ("X[::-1]", "X", "∂Y_ij/∂X_kl = [k = 4 − i] δ_jl", "I_3 ⊗ I_3[::-1]"),
        ("concat(Z, X)", "X", "∂Y_ij/∂X_kl = [i = k + 2] δ_jl", "I_3 ⊗ [0; I]"),
        ("tril(X) @ x", "X", "∂Y_i/∂X_jk = x_k [k ≤ i] δ_ij", "(xᵀ ⊗ I_3) diag(vec(tril(𝟏𝟏ᵀ)))"),
        ("Z.T @ Z", "Z", "∂Y_ij/∂Z_kl = Z_ki δ_jl + Z_kj δ_il", "I_3 ⊗ Zᵀ + (Zᵀ ⊗ I_3)K"),
        ("X * X", "X", "∂Y_ij/∂X_kl = 2X_ij δ_ik δ_jl", "2 diag(vec(X))"),
        ("exp(X)", "X", "∂Y_ij/∂X_kl = exp(X_ij) δ_ik δ_jl", "diag(vec(exp(X)))"),
        ("A @ x", "A", "∂Y_i/∂A_jk = x_k δ_ij", "xᵀ ⊗ I_3"),
        ("x @ X", "X", "∂Y_i/∂X_jk = x_j δ_ik", "I_3 ⊗ xᵀ"),
        ("outer(x, x)", "x", "∂Y_ij/∂x_k = x_i δ_jk + x_j δ_ik", "I_3 ⊗ x + x ⊗ I_3"),
        ("tr(X) * X", "X", "∂Y_ij/∂X_kl = tr(X) δ_ik δ_jl + X_ij δ_kl", "vec(X) vec(I_3)ᵀ + tr(X) I"),
        ("vec(Z)", "Z", "∂Y_(ij)/∂Z_kl = δ_il δ_jk", "I"),
        ("kron(Z, X)", "Z", "∂Y_(ij)(kl)/∂Z_mn = X_jl δ_im δ_kn", ""),
        ("tile(u, 3) * v", "u", "∂Y_(ij)/∂u_k = v_(ij) δ_jk", ""),
        ("reshape(v, 3, 2) @ Z", "v", "∂Y_ij/∂v_(kl) = Z_lj δ_ik", ""),
        ("W1 @ X", "W1", "∂Y_ij/∂W₁_kl = X_lj δ_ik", "Xᵀ ⊗ I_3"),
        ("diag(x)", "x", "∂Y_ij/∂x_k = δ_ij δ_ik", "diag(vec(I_3)) (I_3 ⊗ 𝟏_3)"),
    ],
)
def test_forms(text: str, name: str, index: str, vec: str) -> None:
    assert forms(text, name) == (index, vec)


@pytest.mark.parametrize(
    ("text", "name", "index", "vec"),
    [
        ("logdet(X)", "X", "∂²Y/∂X_ij∂X_kl = −(X⁻¹)_jk (X⁻¹)_li", "−(X⁻¹ ⊗ X⁻ᵀ)K"),
        (
            "det(X)",
            "X",
            "∂²Y/∂X_ij∂X_kl = det(X) ((X⁻¹)_ji (X⁻¹)_lk − (X⁻¹)_jk (X⁻¹)_li)",
            "det(X) vec(X⁻ᵀ) vec(X⁻ᵀ)ᵀ − det(X) (X⁻¹ ⊗ X⁻ᵀ)K",
        ),
    ],
)
def test_hessians_by_a_matrix(text: str, name: str, index: str, vec: str) -> None:
    assert forms(text, name, 2) == (index, vec)


NUMERIC = [
    ("A @ X @ B", "X", 1), ("inv(X)", "X", 1), ("Z.T", "Z", 1), ("X @ X", "X", 1), ("X * X", "X", 1),
    ("exp(X)", "X", 1), ("kron(X, P)", "X", 1), ("softmax(X, axis=1)", "X", 1),
    ("softmax(X, axis=0)", "X", 1),
    ("A @ x", "A", 1), ("outer(x, x)", "x", 1), ("Z.T @ Z", "Z", 1), ("diag(x)", "x", 1), ("vec(Z)", "Z", 1),
    ("C @ Z @ X", "Z", 1), ("x @ X", "X", 1), ("2*X.T + X", "X", 1), ("x[:, None] * X", "X", 1),
    ("A * X.T", "X", 1), ("sum(X, axis=0)", "X", 1), ("inv(X.T @ X)", "X", 1), ("X @ x / norm(x)", "X", 1),
    ("tr(X) * X", "X", 1), ("relu(A @ X)", "X", 1), ("abs(X + 1)", "X", 1), ("X / norm(X)", "X", 1),
    ("outer(u, x)", "u", 1), ("matrix_power(X, 3)", "X", 1), ("matrix_power(X, -2)", "X", 1),
    ("einsum('abc,c->ab', T, x)", "T", 1), ("einsum('i,j,k->ijk', x, y, u)", "x", 1),
    ("logsumexp(X @ A, axis=1)", "X", 1), ("max(X, axis=1)", "X", 1), ("x[:, None] + X", "X", 1),
    ("where(X > 0, X**2, 1)", "X", 1), ("X**3 / (1 + X**2)", "X", 1), ("concat(Z, X)", "X", 1),
    ("X[0]", "X", 1), ("X[1:, :2]", "X", 1), ("sum(X[1]**3)", "X", 2), ("X[::-1]*X", "X", 2),
    ("stack(X[0], X[1]*X[2], axis=1)", "X", 1), ("roll(X, 1)*X", "X", 1), ("diag(X)", "X", 1),
    ("stack(X, A)", "X", 1),
    ("einsum('ij,ij,jk->ik', X, A, B)", "X", 1), ("einsum('ij,kj,lj->ikl', X, A, B)", "X", 1),
    ("X.T @ diag(x) @ X", "X", 1), ("sum(X**2) * inv(X)", "X", 1), ("sigmoid(X @ B + A)", "B", 1),
    ("det(X)", "X", 2), ("logdet(X)", "X", 2), ("sum(X**3)", "X", 2), ("tr(X @ A @ X)", "X", 2),
    ("x @ X @ X @ y", "X", 2), ("norm(X)", "X", 2), ("sum(exp(A @ x))", "x", 3), ("sum(x**4)", "x", 4),
    ("inv(X)", "X", 2), ("tr(matrix_power(X, 3))", "X", 3), ("(x @ A @ x)**2", "x", 3),
    ("logsumexp(x)", "x", 3), ("exp(kron(X, Z))", "Z", 1), ("sum(exp(kron(X, Z)) * kron(A, Z))", "Z", 2),
    ("kron(kron(u, X), Z)", "X", 1), ("tile(Z, (2, 2)) @ v", "Z", 1), ("vec(X @ Z.T)", "X", 2),
    ("softmax(reshape(Z, 6))", "Z", 1), ("reshape(Z, 3, 2) @ u", "Z", 1), ("norm(vec(X @ Z.T))", "X", 2),
    ("repeat(u, 3) * v", "u", 1), ("kron(Z, Z)", "Z", 2),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "order"), NUMERIC)
def test_both_forms_have_the_numbers_of_the_derivative(text: str, name: str, order: int) -> None:
    formula, expr = derived(text, name, order)
    rng = np.random.default_rng(zlib.crc32(text.encode()))
    values = {v.name: rng.normal(size=[d.constant for d in v.shape]) for v in formula.variables.values()}
    expected = evaluate(expr, values, {})
    index, vec = forms(text, name, order)
    parsed = parse_formula(index, SHAPES, shape=expr.shape)
    assert np.allclose(evaluate(parsed.expr, values, {}), expected), index
    if not vec:
        return
    split = formula.expr.rank or formula.variables[name].rank
    rows, columns = expected.shape[:split], expected.shape[split:]
    stacked = expected.transpose(*reversed(range(split)), *reversed(range(split, expected.ndim))).reshape(
        prod(rows), prod(columns)
    )
    shapes = f"{SHAPES} K[{prod(columns)},{prod(columns)}]"
    read = parse_formula(vec, shapes, shape=[Dim.of(n) for n in stacked.shape])
    assert np.allclose(evaluate(read.expr, {**values, "K": commutation(columns)}, {}), stacked), vec


def commutation(shape: tuple[int, ...]) -> np.ndarray:
    """K vec(X) = vec(Xᵀ)."""
    places = np.arange(prod(shape)).reshape(shape[::-1]).T if len(shape) == 2 else np.arange(prod(shape))
    return np.eye(prod(shape))[places.ravel()]


def test_a_wrong_letter_is_noticed() -> None:
    """The numeric comparison can fail."""
    formula, expr = derived("A @ X @ B", "X")
    rng = np.random.default_rng(0)
    values = {v.name: rng.normal(size=(3, 3)) for v in formula.variables.values()}
    wrong = parse_formula("∂Y_ij/∂X_kl = A_ik B_jl", SHAPES)
    assert not np.allclose(evaluate(wrong.expr, values, {}), evaluate(expr, values, {}))


def test_letters_keep_clear_of_names() -> None:
    variables = parse_formula("k * i @ X", "k i[m] X[m,n]").variables
    expr = einsum("ij,k,->ijk", variables["X"], variables["i"], variables["k"])
    tree, letters = index_form(expr, Reader(variables))
    assert not {"i", "k"} & set(letters)
    assert to_text(tree) == "k X_jl i_m"


def test_eighteen_axes_have_letters_of_their_own() -> None:
    n = Dim.of("n")
    x = Variable("x", (n,))
    letters = "abcdefghijklmnopqr"
    tree, names = index_form(einsum(",".join(letters) + "->" + letters, *[x] * 18), Reader(["x"]))
    assert len(set(names)) == 18
    assert to_text(tree).startswith("x_{i1} x_{i2} x_{i3} ")
    check_balanced(to_latex(tree))


def test_a_function_of_a_tensor_is_written_as_a_formula() -> None:
    T = Variable("T", tuple(map(Dim.of, (2, 3, 3))))
    x = Variable("x", (Dim.of(3),))
    tree, _ = index_form(Apply(softmax, (einsum("abc,c->abc", T, x),)), Reader(["T", "x"]))
    assert to_text(tree) == "softmax(einsum('ijk,k->ijk', T, x), axis=2)_ijk"
    read = parse_formula(f"∂F_ijk/∂t = {to_text(tree)}", SHAPES)
    rng = np.random.default_rng(0)
    values = {"T": rng.normal(size=(2, 3, 3)), "x": rng.normal(size=3)}
    logits = values["T"] * values["x"]
    expected = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    assert np.allclose(evaluate(read.expr, values, {}), expected)


def test_left_sides_of_vec_forms() -> None:
    assert to_text(vec_derivative(("Y", 2), [("X", 2)])) == "∂vec(Y)/∂vec(X)ᵀ"
    assert to_text(vec_derivative(("y", 1), [("X", 2)])) == "∂y/∂vec(X)ᵀ"
    assert to_text(vec_derivative(("f", 0), [("X", 2), ("X", 2)])) == "∂²f/∂vec(X)∂vec(X)ᵀ"
    assert to_latex(vec_derivative(("Y", 2), [("x", 1)])) == (
        r"\frac{\partial \operatorname{vec}(Y)}{\partial x^\top}"
    )


def test_no_vec_form_where_there_is_none() -> None:
    _, expr = derived("einsum('abc,c->ab', T, x)", "x")
    assert vec_form(expr, 2, Reader()) is None
    assert vec_form(derived("A @ x", "x")[1], 1, Reader()) is None
