"""Formulas per instance: rows xᵢ of a matrix in a sum Σᵢ, read as the vectorised formula."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.errors import ChainruleError

DATA = "X[N,n] w[n] b y[N] Y[N,k] W[n,k]"


@pytest.mark.parametrize(
    ("text", "vectorised"),
    [
        ("Σᵢ (w·xᵢ + b − yᵢ)²", "sum((X @ w + b - y)**2)"),
        ("Σ_i (w @ x_i + b - y_i)**2", "sum((X @ w + b - y)**2)"),
        ("(1/N) Σᵢ relu(w·xᵢ + b)", "mean(relu(X @ w + b))"),
        ("Σᵢ yᵢ xᵢ + w", "X.T @ y + w"),
        ("Σᵢ xᵢ xᵢᵀ", "X.T @ X"),
        ("Σᵢ Xᵢ (softmax(Wᵀ Xᵢ) − Yᵢ)ᵀ", "X.T @ (softmax(X @ W, axis=1) - Y)"),
        ("Σᵢⱼ yᵢ yⱼ (xᵢ·xⱼ)", "y @ X @ X.T @ y"),
        ("Σᵢ yᵢ Σⱼ (xᵢ·xⱼ)", "sum(y @ X @ X.T)"),
        ("Σᵢ (b xᵢ + w)", "b*X.T @ ones(N) + N*w"),
        ("Σᵢ logsumexp(Wᵀxᵢ)", "sum(logsumexp(X @ W, axis=1))"),
        ("Σᵢ [w·xᵢ, yᵢ]", "[sum(X @ w), sum(y)]"),
        ("√(Σᵢ ‖xᵢ‖²)", "norm(X)"),
        ("zᵢ = w·xᵢ + b; Σᵢ relu(zᵢ) zᵢ", "sum(relu(X @ w + b)*(X @ w + b))"),
    ],
)
def test_a_formula_per_instance_is_the_vectorised_one(text: str, vectorised: str) -> None:
    vectorised = vectorised.replace("b*X.T @ ones(N)", "b*X.sum(axis=0)")
    assert cr.equal(text, vectorised, shapes=DATA)
    assert not cr.equal(text, f"2*({vectorised})", shapes=DATA)


def test_a_derivative_of_a_formula_per_instance() -> None:
    d = cr.derive("(1/N) Σᵢ (yᵢ − relu(w·xᵢ + b))²", wrt="w", shapes="X[N,n] w[n] b y[N]")
    assert cr.equal(d.expression, cr.derive("mean((y - relu(X @ w + b))**2)", "w", DATA).expression)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(w·xᵢ − yᵢ) xᵢ", "x_i stands outside a sum over i"),
        ("Σⱼ w·xᵢ", "no row or entry has the index j"),
        ("Σᵢ wᵢ xᵢ", "are two sizes for the index i"),
        ("Σᵢ (w·xᵢ) + b xᵢ", "x_i stands outside a sum over i"),
        ("Σᵢ yᵢ xᵢ where yᵢ = Yᵢ", "y_i stands for an instance of y and is given a value here"),
        ("Σᵢ xᵢ + yᵢ zᵢ", "the index i is index notation"),
    ],
)
def test_mistakes_have_a_place(text: str, message: str) -> None:
    with pytest.raises(ChainruleError) as problem:
        cr.derive(text, wrt="w", shapes=DATA)
    assert message in problem.value.message
    assert problem.value.spans


def test_entries_alone_are_index_notation() -> None:
    assert cr.equal("Σᵢ yᵢ² + Σᵢⱼ Xᵢⱼ", "y @ y + sum(X)", shapes="X[N,n] y[N]")


@pytest.mark.parametrize(
    "text",
    [
        "∂y_i/∂x_j = p_i (δ_ij − p_j) where p_i = softmax(x)_i",
        "∂y_i/∂x_j = p_i (δ_ij − p_j) where p_j = q_j, q_i = softmax(x)_i",
        "∂y_i/∂x_j = p_i (δ_ij − p_j) where p_i = softmax(x, axis=0)_i",
    ],
)
def test_a_part_is_named_by_its_entries(text: str) -> None:
    assert cr.equal(text, "diag(softmax(x)) - outer(softmax(x), softmax(x))", shapes="x[n]")


def test_a_name_on_the_left_is_no_row_of_a_matrix() -> None:
    text = "∂f/∂x_i = q_i Σ_jk Q_jk where q_i = 2 x_i"
    assert cr.equal(text, "2*x*sum(Q)", shapes="x[n] Q[m,n]")
