"""What chainrule prints and people paste means the same as its NumPy spelling, rows and columns included."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.errors import ChainruleError, SyntaxProblem
from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate

SHAPES = "A[n,n] B[n,n] C[n,n] X[N,n] M[n,k] w[n] x[n] v[n] y[N] a b lam q[k]"
SIZES = {"n": 3, "k": 2, "N": 4}


def value(text: str, shapes: str = SHAPES) -> np.ndarray:
    formula = parse_formula(text, shapes)
    rng = np.random.default_rng(3)
    given = {
        name: rng.uniform(0.3, 0.9, [d.constant or SIZES[d.name or ""] for d in v.shape])
        for name, v in formula.variables.items()
    }
    return evaluate(formula.expr, given, SIZES)


PAIRS = [
    ("xᵀ A x", "x @ A @ x"),
    ("xᵀAx", "x @ A @ x"),
    ("2(A + Aᵀ)x", "2*((A + A.T) @ x)"),
    ("w · x", "w @ x"),
    ("w·x + b", "w @ x + b"),
    ("w ⊙ x", "w * x"),
    ("w ⊘ x²", "w / x**2"),
    ("−diag(w ⊘ x²)", "-diag(w / x**2)"),
    ("wxᵀ", "outer(w, x)"),
    ("w xᵀ A", "outer(w, x) @ A"),
    ("‖Ax − w‖²", "norm(A @ x - w)**2"),
    ("‖x‖₁ + ‖x‖₂ + ‖X‖_F", "norm1(x) + norm(x) + norm(X)"),
    ("||x||", "norm(x)"),
    ("|x − w|", "abs(x - w)"),
    ("Aᵀ(Ax − w)/‖Ax − w‖", "A.T @ (A @ x - w) / norm(A @ x - w)"),
    ("A⁻¹ x", "inv(A) @ x"),
    ("A⁻ᵀ x", "inv(A).T @ x"),
    ("A⁻ᵀxwᵀA⁻ᵀ", "outer(inv(A).T @ x, w) @ inv(A).T"),
    ("A³ + A⁻² + A⁰", "matrix_power(A, 3) + matrix_power(A, -2) + eye(n)"),
    ("A^T x + A^-1 x", "A.T @ x + inv(A) @ x"),
    ("A⊙² + A⊙⁻¹", "A**2 + A**-1"),
    ("det(A) A⁻ᵀ", "det(A) * inv(A).T"),
    ("tr(AB)", "tr(A @ B)"),
    ("2A(AᵀA)⁻¹", "2*(A @ inv(A.T @ A))"),
    ("BᵀAᵀCᵀ + BAC", "B.T @ A.T @ C.T + B @ A @ C"),
    ("aˣ", "a**x"),
    ("aᵃ(ln(a) + 1)", "a**a * (log(a) + 1)"),
    ("6a² cos(a³)/sin(a³)", "6*a**2 * cos(a**3) / sin(a**3)"),
    ("a²ᵇ⁻¹", "a**(2*b - 1)"),
    ("a¹ᐟ²", "a**(1/2)"),
    ("eᵃ", "exp(a)"),
    ("+x", "x"),
    ("½ a + √a + √(a + 1)", "a/2 + sqrt(a) + sqrt(a + 1)"),
    ("Σ(x²) + ∑(w)", "sum(x**2) + sum(w)"),
    ("σ(x)", "sigmoid(x)"),
    ("λ x", "lam * x"),
    ("2πa", "2*pi*a"),
    ("max(0, x − 0.5)", "maximum(0, x - 0.5)"),
    ("1[x > w] ⊙ x", "(x > w) * x"),
    ("𝟏[x ≤ w]", "(x <= w) + 0"),
    ("𝟏ᵀ x", "sum(x)"),
    ("1ᵀ x", "sum(x)"),
    ("𝟎 + x", "0*x + x"),
    ("x + a𝟏", "x + a"),
    ("A + I", "A + eye(n)"),
    ("aI x", "a*x"),
    ("Iₙ + I_n", "2*eye(n)"),
    ("𝟏ₙ", "ones(n)"),
    ("y + 𝟏_N + 𝟎_N", "y + ones(N)"),
    ("x₁ + x_2", "x[0] + x[1]"),
    ("A₁₂", "A[0, 1]"),
    ("(2/N) ((relu(z) − y) ⊙ 1[z > 0])ᵀ X where z = Xw + b", "2/N*(((relu(X@w + b) - y)*(X@w + b > 0)) @ X)"),
    ("(2/N) 𝟏ᵀ((relu(z) − y) ⊙ 1[z > 0]) where z = Xw + b", "2/N*sum((relu(X@w + b) - y)*(X@w + b > 0))"),
    ("−Xᵀ(y ⊙ σ(−m)) where m = y ⊙ Xw", "-X.T @ (y*sigmoid(-y*(X@w)))"),
    (
        "Xᵀ diag(y² ⊙ σ(m) ⊙ σ(−m)) X where m = y ⊙ Xw",
        "m = y*(X@w); X.T @ diag(y**2 * sigmoid(m) * sigmoid(-m)) @ X",
    ),
    ("diag(p) − ppᵀ where p = softmax(x)", "diag(softmax(x)) - outer(softmax(x), softmax(x))"),
    ("mean((y − relu(Xw + b))²)", "mean((y - relu(X @ w + b))**2)"),
    ("z where\n  z = As,\n  s = x + w", "A @ (x + w)"),
    ("x ⊗ q", "kron(x, q)"),
    ("A ⊗ M", "kron(A, M)"),
    ("A ⊗ q", "kron(A, q[:, None])"),
    ("A ⊗ qᵀ", "kron(A, q)"),
    ("x ⊗ qᵀ", "outer(x, q)"),
    ("(xᵀA)ᵀ", "x @ A"),
    ("2x", "2*x"),
    ("a(b + 1)", "a*(b + 1)"),
    ("exp(a)(b + 1)", "exp(a)*(b + 1)"),
    ("absin(a)", "a*b*sin(a)"),
    ("sum(x) + Nab", "sum(x) + N*a*b"),
    ("x\u2009·\u00a0w", "x @ w"),
    ("∂f/∂x = 2x", "2*x"),
    ("d/dx = 2x", "2*x"),
    ("1/2 xᵀAx", "x @ A @ x / 2"),
    ("H₂₁x where H = xwᵀ", "x[1]*w[0]*x"),
    ("z₁z + x₂w₁z where z = 2x", "4*x[0]*x + 2*x[1]*w[0]*x"),
    ("f(a) = a²", "a**2"),
    ("f(a) = a²; 2f", "2*a**2"),
    ("1_000 a", "1000*a"),
    ("a/2 ‖x‖² + 1/N Xᵀy", "a*norm(x)**2/2 + X.T @ y / N"),
]


@pytest.mark.parametrize(("text", "plain"), PAIRS)
def test_notation_means(text: str, plain: str) -> None:
    np.testing.assert_allclose(value(text), value(plain), rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("x", False),
        ("xᵀ", True),
        ("xᵀᵀ", False),
        ("xᵀA", True),
        ("2xᵀ + wᵀA", True),
        ("sin(xᵀ)", True),
        ("xᵀ/‖x‖", True),
        ("x.T", False),
        ("x @ A", False),
        ("Ax", False),
        ("xᵀ x", False),
        ("a𝟏ᵀ", True),
    ],
)
def test_rows_are_known(text: str, row: bool) -> None:
    assert parse_formula(text, SHAPES).row is row


@pytest.mark.parametrize(
    "text",
    [
        "xw",
        "Axw",
        "x A",
        "A xᵀ",
        "xᵀ + x",
        "a/-b a",
        "a/ -b (a + 1)",
        "‖A‖₂",
        "‖A‖₁",
        "x(2)",
        "x × x",
        "√a^2",
        "√a**2",
        "[a > 0] x",
        "‖x‖^2_2",
        "f(a) = a²; f(b)",
        "f(a) = a²; f(a) + 1",
        "2.T",
        "A + 2.T",
        "x(a)",
        "xᵀ ⊙ x",
        "A ⊙ x",
        "|A|",
        "1/2x",
        "a / b x",
        "a ⊕ b",
        "maximum(xᵀ, x)",
    ],
)
def test_what_notation_leaves_open_is_refused(text: str) -> None:
    with pytest.raises(ChainruleError):
        parse_formula(text, SHAPES)


def test_profile_notes_reads_circles_entry_by_entry() -> None:
    formula = parse_formula("w ⊗ x ⊕ v", "w[n] x[n] v[n]", profile="notes")
    assert formula.expr is parse_formula("w*x + v", "w[n] x[n] v[n]").expr
    assert formula.assumptions == (
        "⊗ is read entry by entry (profile notes).",
        "⊕ is read entry by entry (profile notes).",
    )


def test_circled_sums_bind_as_sums() -> None:
    formula = parse_formula("w ⊗ x ⊖ w ⊘ x ⊕ v", "w[n] x[n] v[n]", profile="notes")
    assert formula.expr is parse_formula("w*x - w/x + v", "w[n] x[n] v[n]").expr


def test_kronecker_reading_is_echoed() -> None:
    (said,) = parse_formula("A ⊗ B", "A[n,n] B[m,m]").assumptions
    assert said == "⊗ is read as the Kronecker product; --profile notes reads it entry by entry."


def test_a_declared_name_wins_over_a_sign() -> None:
    assert repr(parse_formula("Σ + I + e + σ(x + 1)", "Sigma I e sigma x").expr).startswith(
        "(Sigma + I + e + <"
    )


def test_component_only_if_the_name_is_free() -> None:
    assert parse_formula("x₁", "x[n] x1").expr is parse_formula("x1", "x1").expr
    assert parse_formula("x₁", "x[n]").expr is parse_formula("x[0]", "x[n]").expr
    assert parse_formula("w₁", "w_1").expr is parse_formula("w_1", "w_1").expr


def test_the_size_of_ones_may_come_from_outside() -> None:
    shape = parse_formula("x", "x[k]").expr.shape
    assert parse_formula("𝟏", "z", shape=shape).expr.shape == shape
    assert parse_formula("zI", "z", shape=shape * 2).expr.shape == shape * 2


def test_a_number_stands_for_each_entry_of_a_known_shape() -> None:
    shape = parse_formula("A", "A[m,n]").expr.shape
    for text in ("0", "𝟎"):
        assert parse_formula(text, "z", shape=shape).expr is parse_formula("zeros(m, n)", "A[m,n]").expr


def test_program_names_are_kept_in_order() -> None:
    formula = parse_formula("z = X @ w + b; a = relu(z)\nmean((y - a)**2)", "X[N,n] w[n] b y[N]")
    assert list(formula.names) == ["z", "a"]
    assert formula.names["z"] is parse_formula("X @ w + b", "X[N,n] w[n] b").expr


def test_last_name_is_the_value() -> None:
    formula = parse_formula("# a loss\nz = X @ w\nL = sum(z**2)\n", "X[N,n] w[n]")
    assert formula.expr is formula.names["L"]
    assert parse_formula("f(x) = x**2").expr is parse_formula("x**2").expr


@pytest.mark.parametrize("text", ["I − 11ᵀ", "x − 2ᵀx", "I − (1/n) 11ᵀ", "x 1", "xᵀ1"])
def test_a_number_is_no_vector_of_ones(text: str) -> None:
    with pytest.raises(SyntaxProblem) as problem:
        parse_formula(text, "x[n]")
    assert "𝟏𝟏ᵀ" in problem.value.hint
    assert parse_formula("1ᵀx", "x[n]").expr is parse_formula("𝟏ᵀx", "x[n]").expr
