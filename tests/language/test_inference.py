"""Shapes that nobody declared: forced by the formula, else by convention, and always said."""

from __future__ import annotations

import pytest

from chainrule.errors import ShapeMismatch
from chainrule.language import parse_formula


def inferred(text: str, declared: str | None = None) -> str:
    said = parse_formula(text, declared).assumptions
    return next(
        (s.removeprefix("Not declared, read as: ").removesuffix(".") for s in said if "Not declared" in s), ""
    )


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("x**2 + y*z", "x y z"),
        ("log(sin(x**3)**2)", "x"),
        ("w*x + b", "w x b"),
        ("mean((y - relu(X @ w + b))**2)", "y[n] X[n,m] w[m] b"),
        ("norm(A @ x - b)**2", "A[m,n] x[n] b"),
        ("x @ A @ x", "x[n] A[n,n]"),
        ("tr(A @ X.T @ B @ X @ C)", "A[m,n] X[k,n] B[k,k] C[n,m]"),
        ("logdet(X)", "X[n,n]"),
        ("sum(x)", "x[n]"),
        ("softmax(x)", "x[n]"),
        ("x[0] + x[1]", "x[n]"),
        ("tr(a)", "a[n,n]"),
        ("inv(a) @ x", "a[n,n] x[n]"),
        ("concat(w, b) @ x", "w[n] b x[n + 1]"),
        ("‖Ax − b‖²", "A[m,n] x[n] b"),
        ("2(A + Aᵀ)x", "A[n,n] x[n]"),
        ("λ‖w‖²", "λ w[n]"),
        ("n*x @ y", "n x[m] y[m]"),
        ("∂Y_ij/∂X_kl = A_ik B_lj", "A[m,n] B[p,k]"),
        ("vec(X) @ y", "X[m,n] y[m*n]"),
    ],
)
def test_reading(text: str, shapes: str) -> None:
    assert inferred(text) == shapes


def test_the_convention_is_named() -> None:
    assert (
        parse_formula("x**2").assumptions[-1]
        == "Nothing in the formula asks for axes, so undeclared names are scalars."
    )
    assert (
        parse_formula("A @ x").assumptions[-1]
        == "By convention capitals are matrices, u-z vectors, and other names scalars."
    )


def test_declared_names_determine_the_others() -> None:
    assert inferred("X @ w + b", "X[N,n]") == "w[n] b"
    assert inferred("X @ w + b", "X[5,3]") == "w[3] b"
    assert inferred("a*x", "x[n]") == "a"
    assert inferred("concat(w, b) @ x", "x[n]") == "w[n - 1] b"


def test_nothing_is_said_when_all_is_declared() -> None:
    assert parse_formula("X @ w", "X[N,n] w[n]").assumptions == ()


def test_runs_of_letters_are_said() -> None:
    assert parse_formula("‖Ax‖").assumptions[0] == "Ax is read as the product A x."


def test_letters_of_sizes_do_not_clash() -> None:
    formula = parse_formula("n*sum(x) + m", None)
    (size,) = formula.variables["x"].shape
    assert str(size) not in ("n", "m")


@pytest.mark.parametrize(
    ("text", "listed"),
    [("a @ x", 4), ("h @ x", 4), ("a @ b", 4)],
)
def test_several_readings_are_listed(text: str, listed: int) -> None:
    with pytest.raises(ShapeMismatch) as caught:
        parse_formula(text)
    assert caught.value.message.count("; or ") == listed - 1


def test_the_only_reading_is_taken() -> None:
    formula = parse_formula("tr(a @ b) + c*logdet(a)")
    assert {name: v.rank for name, v in formula.variables.items()} == {"a": 2, "b": 2, "c": 0}


def test_a_network_of_256_layers_is_read() -> None:
    lines = [f"u{i} = relu(W{i} @ u{i - 1})" for i in range(1, 257)]
    formula = parse_formula("\n".join([*lines, "sum(u256)"]))
    assert len(formula.variables) == 257 and len(formula.names) == 256
