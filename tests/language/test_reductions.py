"""Reductions along axes: values as NumPy has them, derivatives as JAX has them, zeros included."""

from __future__ import annotations

import numpy as np
import pytest
from judged import jax, jnp, judged

import chainrule as cr
from chainrule.errors import ShapeMismatch
from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate

X = np.array([[0.5, -1.2, 2.0, 0.3], [1.5, 0.7, -0.4, 0.9], [-0.8, 1.1, 0.6, -2.1]])
CUBE = np.arange(24.0).reshape(2, 3, 4) / 7 - 1.3

VALUES = {
    "sum(X, axis=(0, 2), keepdims=True)": lambda x: x.sum(axis=(0, 2), keepdims=True),
    "mean(X, axis=-1)": lambda x: x.mean(axis=-1),
    "var(X, axis=1)": lambda x: x.var(axis=1),
    "var(X, axis=(0, 1), ddof=1, keepdims=True)": lambda x: x.var(axis=(0, 1), ddof=1, keepdims=True),
    "std(X)": lambda x: x.std(),
    "std(X, axis=2, ddof=1)": lambda x: x.std(axis=2, ddof=1),
    "max(X, axis=(1, 2))": lambda x: x.max(axis=(1, 2)),
    "min(X, axis=0, keepdims=True)": lambda x: x.min(axis=0, keepdims=True),
    "prod(X, axis=1)": lambda x: x.prod(axis=1),
    "prod(X, axis=(0, 2), keepdims=True)": lambda x: x.prod(axis=(0, 2), keepdims=True),
    "cumsum(X, axis=1)": lambda x: x.cumsum(axis=1),
    "logsumexp(X, axis=(0, 1))": lambda x: np.log(np.exp(x).sum(axis=(0, 1))),
    "softmax(X, axis=1)": lambda x: np.asarray(jax.nn.softmax(x, axis=1)),
    "log_softmax(X, axis=0)": lambda x: np.asarray(jax.nn.log_softmax(x, axis=0)),
    "norm(X, inf, axis=1)": lambda x: np.linalg.norm(x, np.inf, axis=1),
    "norm(X, ord=-np.inf, axis=0)": lambda x: np.linalg.norm(x, -np.inf, axis=0),
    "norm(X, 3, axis=-1)": lambda x: np.linalg.norm(x, 3, axis=-1),
    "norm(X, 5/2, axis=1)": lambda x: np.linalg.norm(x, 2.5, axis=1),
    "norm(X, 1, axis=(0, 2))": lambda x: np.linalg.norm(x, 1, axis=(0, 2)),
    "norm(X, -1, axis=(2, 0))": lambda x: np.linalg.norm(x, -1, axis=(2, 0)),
    "norm(X, inf, axis=(1, 2))": lambda x: np.linalg.norm(x, np.inf, axis=(1, 2)),
    "norm(X, -inf, axis=(2, 1))": lambda x: np.linalg.norm(x, -np.inf, axis=(2, 1)),
    "norm(X, axis=2, keepdims=True)": lambda x: np.linalg.norm(x, axis=2, keepdims=True),
    "X - mean(X, axis=(0, 2), keepdims=True)": lambda x: x - x.mean(axis=(0, 2), keepdims=True),
    "X / X[0, :, :1] + X[:, 0, None, :]": lambda x: x / x[0, :, :1] + x[:, 0, None, :],
}


@pytest.mark.parametrize("formula", VALUES)
def test_values_on_three_axes_are_those_of_numpy(formula: str) -> None:
    value = evaluate(parse_formula(formula, "X[a,b,c]").expr, {"X": CUBE})
    expected = VALUES[formula](CUBE)
    assert value.shape == np.shape(expected)
    assert np.allclose(value, expected, rtol=1e-12)


JUDGED = {
    "sum(Y * var(X, axis=1, keepdims=True)**2)": lambda X, Y: (Y * X.var(1, keepdims=True) ** 2).sum(),
    "sum(std(X, axis=0, ddof=1)**3)": lambda X, Y: (X.std(0, ddof=1) ** 3).sum(),
    "sum(Y * log_softmax(X))": lambda X, Y: (Y * jax.nn.log_softmax(X)).sum(),
    "sum(cumsum(X, axis=0) * cumsum(X * Y, axis=1))": lambda X, Y: (X.cumsum(0) * (X * Y).cumsum(1)).sum(),
    "sum(exp(norm(X, axis=1, keepdims=True) * Y))": lambda X, Y: jnp.exp(
        jnp.linalg.norm(X, axis=1, keepdims=True) * Y
    ).sum(),
    "prod(X * Y) + sum(prod(X, axis=0)**2)": lambda X, Y: (X * Y).prod() + (X.prod(0) ** 2).sum(),
    "sum(Y * max(X, axis=0) ** 2)": lambda X, Y: (Y * X.max(0) ** 2).sum(),
    "sum(Y * softmax(X, axis=0) ** 2)": lambda X, Y: (Y * jax.nn.softmax(X, 0) ** 2).sum(),
    "sum(norm(X * Y, inf, axis=1)**2) * norm(X, 1)": lambda X, Y: (
        (jnp.abs(X * Y).max(1) ** 2).sum() * jnp.abs(X).sum(0).max()
    ),
    "sum(norm(X, 3, axis=0) * norm(Y, 1.5, axis=0))": lambda X, Y: (
        (jnp.abs(X) ** 3).sum(0) ** (1 / 3) * (jnp.abs(Y) ** 1.5).sum(0) ** (2 / 3)
    ).sum(),
    "logsumexp(X) * sum(Y**2)": lambda X, Y: jax.scipy.special.logsumexp(X) * (Y**2).sum(),
}


@pytest.mark.parametrize("formula", JUDGED)
def test_derivatives_are_those_of_jax(formula: str) -> None:
    values = {"X": X, "Y": 0.4 * X[::-1] + 0.3}
    assert judged(formula, "X[m,n] Y[m,n]", values, JUDGED[formula], ["X", "Y"]) == []


@pytest.mark.parametrize("x", ([2.0, 3, 5], [2, 0, 5], [0, 0, 5], [0, 0, 0]), ids=str)
def test_a_product_is_right_where_entries_are_zero(x: list[float]) -> None:
    """JAX forms products of the others too, so it is right there as well."""
    assert judged("prod(x)", "x[n]", {"x": x}, lambda x: x.prod(), ["x"]) == []
    third = cr.derive("prod(x)", wrt="x", shapes="x[n]", order=3).compile()(x=x)
    assert np.array_equal(third, jax.jacfwd(jax.hessian(jnp.prod))(jnp.asarray(x, float)))


def test_large_logits_neither_overflow_nor_cancel() -> None:
    gradient = cr.derive("-sum(y * log_softmax(x))", wrt="x", shapes="x[n] y[n]").compile()
    assert np.array_equal(gradient(x=[1000.0, -1000, 0], y=[0, 1, 0]), [1, -1, 0])


def test_what_a_person_reads() -> None:
    said = {
        ("prod(x)", 1): "prod_others(x)ᵀ",
        ("log_softmax(x)", 1): "I − 𝟏 softmax(x)ᵀ",
        ("var(x)", 1): "(2/n) (xᵀ − sum(x)/n)",
        ("std(x, ddof=1)", 1): "(xᵀ − sum(x)/n)/(√(n − 1) ‖x − sum(x)/n‖)",
        ("sum(cumsum(x)**2)", 1): "2xᵀ tri(n)ᵀ tri(n)",
    }
    found = {key: cr.derive(key[0], wrt="x", shapes="x[n]", order=key[1]).text for key in said}
    assert found == said


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("cumsum(X)", "cumsum needs a vector, or axis="),
        ("sum(var(X, axis=1, ddof=4))", "divides by the number of entries minus ddof"),
        ("prod_others(X, 0)", "leaves entries of an array out"),
        ("std(3)", "std needs a vector or a matrix"),
        ("prod(X, axis=2)", "axis 2 does not exist"),
    ],
)
def test_refusals(formula: str, message: str) -> None:
    with pytest.raises(ShapeMismatch, match=message):
        cr.derive(formula, wrt="X", shapes="X[3,4]")
