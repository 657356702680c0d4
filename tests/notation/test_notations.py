"""Every notation says the derivative: what is written is read back where the language can, and compared.

index and map are read as they are printed. kron is read as the matrix ∂vec(Y)/∂vec(X)ᵀ. The rows xᵢ of `sums`
are checked twice: read as printed, and put together again from the graph that was printed.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.api.formulas import declaration
from chainrule.errors import OptionError
from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Einsum, Variable
from chainrule.expr.walk import variables
from chainrule.language import parse_formula
from chainrule.notation.instances import over_instances, restored
from chainrule.simplify import simplify
from chainrule.verify.compare import equal
from tests.laws.expressions import any_expression

DATA = "X[N,n] w[n] b y[N] Y[N,k] W[n,k] lam"
# Formula, declarations, variable, and the notations that it has besides index.
CASES = [
    ("mean((y - relu(X @ w + b))**2)", DATA, "w", "matrix sums map"),
    ("mean((y - relu(X @ w + b))**2)", DATA, "b", "matrix sums map"),
    ("sum((X @ w - y)**2)", DATA, "w", "matrix sums map"),
    ("mean((X @ w + b - y)**2) + lam*w@w", DATA, "w", "matrix sums map"),
    ("mean((X @ w + b - y)**2)", DATA, "b", "matrix sums map"),
    ("-mean(y*log(sigmoid(X @ w)) + (1 - y)*log(1 - sigmoid(X @ w)))", DATA, "w", "matrix sums map"),
    ("sum(log(1 + exp(-y*(X @ w))))", "X[N,n] w[n] y[N]:sign", "w", "matrix sums map"),
    ("sum(maximum(0, 1 - y*(X @ w)))", DATA, "w", "matrix sums map"),
    ("sum(logsumexp(X @ W, axis=1)) - sum(Y*(X @ W))", DATA, "W", "matrix sums map kron"),
    ("-sum(Y*log(softmax(X @ W, axis=1)))/N", DATA, "W", "matrix sums map kron"),
    ("sum((X @ W - Y)**2)", DATA, "W", "matrix sums map kron"),
    ("norm(X @ w - y)", DATA, "w", "matrix sums map"),
    ("mean((y - w*x)**2)", "x[N] y[N] w", "w", "matrix sums map"),
    ("mean((relu(X @ V + c) @ v - y)**2)", "X[N,n] V[n,h] c[h] v[h] y[N]", "V", "matrix sums map kron"),
    ("mean((relu(X @ V + c) @ v - y)**2)", "X[N,n] V[n,h] c[h] v[h] y[N]", "c", "matrix sums map"),
    ("tr(X.T @ X @ W @ W.T)", "X[N,n] W[n,k]", "W", "matrix sums map kron"),
    ("norm(A @ x - b)**2", "A[m,n] x[n] b[m]", "x", "matrix sums map"),
    ("A @ X @ B", "A[m,n] X[n,p] B[p,q]", "X", "map kron"),
    ("inv(X)", "X[n,n]", "X", "map kron"),
    ("X @ v", "X[m,n] v[n]", "X", "map kron"),
    ("logdet(X)", "X[n,n]", "X", "matrix map kron"),
    ("a @ X @ b", "a[m] b[n] X[m,n]", "X", "matrix map kron"),
    ("tr(X @ A @ X.T)", "A[n,n] X[m,n]", "X", "matrix map kron"),
    ("t*A", "t A[n,m]", "t", "matrix map kron"),
    ("A @ x", "A[m,n] x[n]", "x", "matrix map"),
    ("relu(A @ x)", "A[m,n] x[n]", "x", "matrix map"),
    ("softmax(x)", "x[n]", "x", "matrix map"),
    ("x @ A @ x", "A[n,n] x[n]", "x", "matrix map"),
    ("sum(relu(x))", "x[n]", "x", "matrix map"),
    ("relu(w @ x + b)", "w[n] x[n] b", "b", "matrix map"),
    ("mean((y - relu(X_hat @ w_hat))**2)", "X_hat[N,n] w_hat[n] y[N]", "w_hat", "matrix sums map"),
    ("x**3", "x", "x", "matrix map"),
]
EVERY = ("matrix", "sums", "index", "kron", "map")


def one(formula: str, shapes: str, wrt: str, **options: object) -> cr.Derivative:
    d = cr.derive(formula, wrt=wrt, shapes=shapes, **options)
    assert isinstance(d, cr.Derivative)
    return d


def same(text: str, shapes: str, wanted: cr.Derivative, value: object) -> bool:
    """Whether a text has the value at random points."""
    formula = parse_formula(text, shapes, shape=value.shape)
    variables = {**wanted.formula.variables, **formula.variables}
    return equal(formula.expr, value, list(variables.values())).equal


def value_of(d: cr.Derivative, notation: str) -> tuple[object, str]:
    """What the text in a notation must be, as an expression, and the declarations of new names in it."""
    (target,) = d.wrt
    derivative, rank = d.expression, d.expression.rank
    inner = len(target.shape)
    if notation == "map":
        change = Variable(f"d{target.name}", target.shape)
        axes = tuple(range(rank))
        sizes = f"[{','.join(map(str, change.shape))}]" if inner else ""
        product = Einsum(ONE, (derivative, change), (axes, axes[rank - inner :]), axes[: rank - inner])
        return product, f" {change.name}{sizes}"
    if notation == "kron":
        left = "ji" if rank - inner == 2 else "i" * (rank - inner)
        right = "lk" if inner == 2 else "l" * inner
        spec = "".join(sorted(left)) + "".join(sorted(right))
        groups = [g for g in (left, right) if g]
        merged = [cr.einsum(f"{spec}->{left}{right}", derivative)]
        expr = merged[0]
        for k, group in enumerate(groups):
            expr = _stacked(expr, k, len(group))
        return expr, ""
    return derivative, ""


def _stacked(expr, axis, count):
    """`count` axes from `axis` on as one, the last fastest: columns stacked where the axes were turned."""
    if count == 1:
        return expr
    from chainrule.expr.nodes import Apply
    from chainrule.rules.constants import MERGE

    merge = Apply(MERGE, (), expr.shape[axis : axis + 2])
    axes = list(range(expr.rank))
    flat = expr.rank
    output = [*axes[:axis], flat, *axes[axis + 2 :]]
    return Einsum(ONE, (expr, merge), (axes, (flat, axis, axis + 1)), output)


@pytest.mark.parametrize(("formula", "shapes", "wrt", "has"), CASES, ids=[f"{c[0]} by {c[2]}" for c in CASES])
def test_an_answer_has_these_notations(formula, shapes, wrt, has) -> None:
    d = one(formula, shapes, wrt, layout="shape")
    found = []
    for notation in EVERY:
        try:
            written = d.written(notation)
        except OptionError as problem:
            assert problem.message.startswith(f"there is no {notation} form of this derivative: ")
            assert "it can be written as" in problem.hint
            continue
        found.append(notation)
        assert written.latex.count("{") == written.latex.count("}")
        value, declared = value_of(d, notation)
        text = re.sub(r"^.* ↦ ", "", written.text) if notation == "map" else written.text
        assert same(text, shapes + declared, d, value), text
    assert set(found) == {*has.split(), "index"}


def test_a_planted_error_is_noticed() -> None:
    """The comparison of the test above: a sign, a transpose, a factor in the text makes it fail."""
    d = one("A @ X @ B", "A[n,n] X[n,n] B[n,n]", "X", layout="shape")
    value, declared = value_of(d, "map")
    shapes = "A[n,n] X[n,n] B[n,n]" + declared
    assert same("A dX B", shapes, d, value)
    for wrong in ("−A dX B", "A dXᵀ B", "B dX A", "2A dX B", "Aᵀ dX B"):
        assert not same(wrong, shapes, d, value), wrong
    kron, _ = value_of(d, "kron")
    assert same("Bᵀ ⊗ A", shapes, d, kron)
    assert not same("A ⊗ Bᵀ", shapes, d, kron) and not same("B ⊗ A", shapes, d, kron)


SUMS = [case for case in CASES if "sums" in case[3]]


@pytest.mark.parametrize(("formula", "shapes", "wrt", "has"), SUMS, ids=[f"{c[0]} by {c[2]}" for c in SUMS])
def test_sums_over_instances_add_up_to_the_derivative(formula, shapes, wrt, has) -> None:
    d = one(formula, shapes, wrt)
    for found in over_instances(d.expression, [v for target in d.wrt for v in target.variables]):
        assert equal(restored(found), d.expression, list(d.formula.variables.values())).equal
        name, hole = next(iter(found.holes.items()))
        found.holes[name] = type(hole)(hole.symbol, hole.letter, simplify(2 * hole.body))
        assert not equal(restored(found), d.expression, list(d.formula.variables.values())).equal


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "text"),
    [
        (
            "mean((y - relu(X @ w + b))**2)",
            DATA,
            "w",
            "(2/N) Σᵢ eᵢ xᵢᵀ 1[w·xᵢ + b > 0] where eᵢ = relu(w·xᵢ + b) − yᵢ",
        ),
        (
            "mean((y - relu(X @ w + b))**2)",
            DATA,
            "b",
            "(2/N) Σᵢ eᵢ 1[w·xᵢ + b > 0] where eᵢ = relu(w·xᵢ + b) − yᵢ",
        ),
        ("sum((X @ w - y)**2)", DATA, "w", "2 Σᵢ (w·xᵢ − yᵢ) xᵢᵀ"),
        (
            "-mean(y*log(sigmoid(X @ w)) + (1 - y)*log(1 - sigmoid(X @ w)))",
            DATA,
            "w",
            "(1/N) Σᵢ (pᵢ − yᵢ) xᵢᵀ where pᵢ = σ(w·xᵢ)",
        ),
        ("mean((X @ w + b - y)**2)", DATA, "b", "(2/N) Σᵢ (w·xᵢ + b − yᵢ)"),
        ("sum((X @ W - Z)**2)", "X[N,n] W[n,k] Z[N,k]", "W", "2 Σᵢ (Wᵀxᵢ − zᵢ) xᵢᵀ"),
        ("norm(A @ x - b)**2", "A[m,n] x[n] b[m]", "x", "2 Σᵢ (aᵢ·x − bᵢ) aᵢᵀ"),
        ("sum((X @ x - y)**2)", "X[N,n] x[n] y[N]", "x", "2 Σᵢ (Xᵢ·x − yᵢ) Xᵢᵀ"),
        (
            "z = X @ w + b; mean((y - relu(z))**2)",
            DATA,
            "w",
            "(2/N) Σᵢ eᵢ xᵢᵀ 1[zᵢ > 0] where zᵢ = w·xᵢ + b, eᵢ = relu(zᵢ) − yᵢ",
        ),
        ("sum((X @ w)**2)", "X[i,n] w[n]", "w", "2 Σⱼ (w·xⱼ) xⱼᵀ"),
        ("sum((X_hat @ w_hat)**2)", "X_hat[N,n] w_hat[n]", "w_hat", "2 Σᵢ (ŵ·x̂ᵢ) x̂ᵢᵀ"),
    ],
)
def test_per_instance(formula, shapes, wrt, text) -> None:
    written = one(formula, shapes, wrt).written("sums")
    assert written.text.replace("Wᵀ xᵢ", "Wᵀxᵢ") == text


def test_nested_sums_have_letters_of_their_own() -> None:
    d = one("sum((X @ X.T @ X @ w)**2)", "X[N,n] w[n]", "w", layout="shape")
    text = d.written("sums").text
    assert "Σᵢ" in text and "Σⱼ" in text
    (found,) = over_instances(d.expression, [v for target in d.wrt for v in target.variables])
    assert equal(restored(found), d.expression, list(d.formula.variables.values())).equal


def test_columns_are_instances_too() -> None:
    d = one("sum((w @ X - y)**2)", "X[n,N] w[n] y[N]", "w")
    written = d.written("sums")
    assert written.text == "2 Σᵢ (w·xᵢ − yᵢ) xᵢᵀ"
    assert [says for _, says in written.notes] == ["is column i of X"]


def test_columns_of_a_square_matrix_are_not_taken_for_rows() -> None:
    d = one("sum(exp(Q @ v))*sum(u @ Q)", "Q[n,n] v[n] u[n] c", "c")
    assert d.text == "0"
    d = one("c*sum(exp(u @ Q))", "Q[n,n] u[n] c", "c")
    written = d.written("sums")
    assert written.text == "Σᵢ exp((Qᵀ)ᵢ·u)"
    assert [says for _, says in written.notes] == ["is column i of Q"]


def test_hessian_as_a_map() -> None:
    d = one("logdet(X)", "X[n,n]", "X", order=2)
    assert d.written("map").text == "dX ↦ −X⁻ᵀ dXᵀ X⁻ᵀ"
    rng = np.random.default_rng(1)
    X, change, step = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), 1e-6
    inverse = np.linalg.inv
    difference = (inverse(X + step * change).T - inverse(X - step * change).T) / (2 * step)
    np.testing.assert_allclose(-inverse(X).T @ change.T @ inverse(X).T, difference, rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(any_expression(), st.integers(0, 10**6))
def test_random_derivatives_are_read_back(expr, number) -> None:
    """By entries and as a map; of sums over instances, what was taken apart is put together again."""
    inside = variables(expr)
    if not inside or expr.rank > 2:
        return
    variable = inside[number % len(inside)]
    d = cr.derive(expr, wrt=variable, layout="shape")
    if d.expression.rank > 4:
        return
    shapes = "a_[m] b_[n] " + declaration({v.name: v for v in inside})
    for notation in ("index", "map"):
        value, more = value_of(d, notation)
        text = re.sub(r"^.* ↦ ", "", d.written(notation).text)
        assert same(text, shapes + more, d, value), text
    for found in over_instances(d.expression, [variable]):
        assert equal(restored(found), d.expression, list(inside)).equal


def test_an_unknown_notation() -> None:
    with pytest.raises(OptionError, match="matrix, sums, index, kron or map, not summs") as problem:
        cr.derive("x**2", wrt="x", notation="summs")
    assert problem.value.hint == "did you mean sums?"
    assert [(s.start, s.end) for s in problem.value.spans] == [(9, 14)]


def test_the_default_text_follows_the_notation() -> None:
    d = one("A @ X @ B", "A[m,n] X[n,p] B[p,q]", "X", notation="map")
    assert d.text == "dX ↦ A dX B" and d.latex == r"\mathrm{d} X \mapsto A \, \mathrm{d} X \, B"
    with pytest.raises(OptionError, match="there is no kron form"):
        _ = one("x @ x", "x[n]", "x", notation="kron").text


class Block:
    """A matrix where @ is the Kronecker product and * that of matrices, as the printed form has them."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def __matmul__(self, other: Block) -> Block:
        return Block(np.kron(self.value, other.value))

    def __mul__(self, other: Block) -> Block:
        return Block(self.value @ other.value)

    def __add__(self, other: Block) -> Block:
        return Block(self.value + other.value)


def swap(rows: int, columns: int) -> Block:
    """K with K vec(C) = vec(Cᵀ) for C of rows × columns."""
    places = np.arange(rows * columns).reshape(rows, columns, order="F").ravel()
    return Block(np.eye(rows * columns)[places])


@pytest.mark.parametrize(
    ("formula", "wrt", "shown"),
    [
        ("kron(A, B)", "A", "(I_3 ⊗ K_5,2 ⊗ I_4) (I_6 ⊗ vec(B))"),
        ("kron(A, B)", "B", "(I_3 ⊗ K_5,2 ⊗ I_4) (vec(A) ⊗ I_20)"),
        ("kron(A, A)", "A", "(I_3 ⊗ K_3,2 ⊗ I_2) (I_6 ⊗ vec(A) + vec(A) ⊗ I_6)"),
    ],
)
def test_a_kronecker_product_by_a_factor_is_the_theorem_of_magnus_and_neudecker(
    formula: str, wrt: str, shown: str
) -> None:
    d = cr.derive(formula, shapes="A[2,3] B[4,5]", wrt=wrt)
    found = d.written("kron").text
    assert found == f"∂vec(Y)/∂vec({wrt})ᵀ = {shown}"
    rng = np.random.default_rng(3)
    at = {"A": rng.normal(size=(2, 3)), "B": rng.normal(size=(4, 5))}
    code = re.sub(r"I_(\d+)", r"unit(\1)", re.sub(r"K_(\d),(\d)", r"swap(\1, \2)", shown))
    code = code.replace("⊗", "@").replace(") (", ") * (")
    names = {
        "unit": lambda n: Block(np.eye(n)),
        "swap": swap,
        "vec": lambda X: Block(X.reshape(-1, 1, order="F")),
    }
    value = eval(code, {**names, **at}).value
    jacobian = d.compile()(**{name: at[name] for name in at if name in formula})
    rows, columns = jacobian.shape[0] * jacobian.shape[1], at[wrt].size
    assert np.allclose(value, jacobian.transpose(1, 0, 3, 2).reshape(rows, columns), atol=1e-14)


def test_a_matrix_of_zeros_is_0_alone_and_shows_its_sizes_inside() -> None:
    assert cr.derive("a @ x", "x", "a[n] x[n]", order=2).text == "0"
    assert "[X; zeros(2, n)]" in str(cr.derive("concat([X, zeros(2, n)])", "X", "X[m,n]"))
