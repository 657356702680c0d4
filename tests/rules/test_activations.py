"""Activations, robust losses and the normal distribution: against JAX, far out, and at their kinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from judged import jax, jnp, judged

import chainrule as cr

nn, norm = jax.nn, jax.scipy.stats.norm
X = np.array([-7.3, -3.2, -1.4, -0.6, 0.3, 0.8, 1.7, 4.1, 8.5])

JUDGES: dict[str, Callable[[Any], Any]] = {
    "leaky_relu(x)": nn.leaky_relu,
    "leaky_relu(x, 0.2)": lambda x: nn.leaky_relu(x, 0.2),
    "leaky_relu(x, slope=1/4)": lambda x: nn.leaky_relu(x, 0.25),
    "elu(x)": nn.elu,
    "elu(x, 1.7)": lambda x: nn.elu(x, 1.7),
    "selu(x)": nn.selu,
    "gelu(x)": lambda x: nn.gelu(x, approximate=False),
    "gelu_tanh(x)": nn.gelu,
    "silu(x)": nn.silu,
    "swish(x, beta=0.7)": lambda x: x * nn.sigmoid(0.7 * x),
    "hardtanh(x)": nn.hard_tanh,
    "hardtanh(x, low=-2, high=0.5)": lambda x: jnp.clip(x, -2, 0.5),
    "relu6(x)": nn.relu6,
    "hardsigmoid(x)": nn.hard_sigmoid,
    "hardswish(x)": nn.hard_silu,
    "softsign(x)": nn.soft_sign,
    "softshrink(x, 1.1)": lambda x: jnp.sign(x) * nn.relu(jnp.abs(x) - 1.1),
    "mish(x)": nn.mish,
    "logsigmoid(x)": nn.log_sigmoid,
    "softplus(x)": nn.softplus,
    "normcdf(x)": norm.cdf,
    "normpdf(x)": norm.pdf,
    "lognormcdf(x)": norm.logcdf,
    "mills(x)": lambda x: jnp.exp(norm.logpdf(x) - norm.logcdf(x)),
    "huber(x)": lambda x: jnp.where(jnp.abs(x) <= 1, x * x / 2, jnp.abs(x) - 0.5),
    "huber(x, 2.5)": lambda x: jnp.where(jnp.abs(x) <= 2.5, x * x / 2, 2.5 * (jnp.abs(x) - 1.25)),
    "hinge(x)": lambda x: nn.relu(1 - x),
    "pinball(x, 0.9)": lambda x: jnp.maximum(0.9 * x, -0.1 * x),
}


@pytest.mark.parametrize("formula", JUDGES)
def test_values_and_two_derivatives_are_those_of_jax(formula: str) -> None:
    assert judged(f"sum(y * {formula})", "x[n] y[n]", {"x": X, "y": X[::-1]}, _weighed(formula), ["x"]) == []


def _weighed(formula: str) -> Callable[..., Any]:
    return lambda x, y: (y * JUDGES[formula](x)).sum()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("formula", JUDGES)
def test_far_out_nothing_overflows(formula: str, order: int) -> None:
    """Near 0 and at ±1000 the first two derivatives are finite, and there those at ±100."""
    function = cr.derive(f"sum({formula})", wrt="x", shapes="x[n]", order=order).compile()
    with np.errstate(over="raise", invalid="raise"):
        far, near = (np.asarray(function(x=[-size, size])) for size in (1000.0, 100.0))
    assert np.isfinite(far).all()
    if formula not in ("lognormcdf(x)", "softsign(x)", "mills(x)"):
        assert np.allclose(far, near, atol=1e-8)
    assert np.isfinite(function(x=[-1e-9, 1e-9])).all()


def test_what_a_person_reads() -> None:
    said = {
        ("gelu(x)", 1): "x φ(x) + Φ(x)",
        ("gelu(x)", 2): "(2 − x²) φ(x)",
        ("silu(x)", 1): "(x σ(−x) + 1) σ(x)",
        ("leaky_relu(x)", 1): "0.99 · 1[x > 0] + 0.01",
        ("leaky_relu(x, a)", 1): "(1 − a) · 1[x > 0] + a",
        ("elu(x)", 1): "(elu(x) + 1) · 1[x ≤ 0] + 1[x > 0]",
        ("elu(x)", 2): "(elu(x) + 1) · 1[x ≤ 0]",
        ("hardtanh(x)", 1): "1[−1 < x < 1]",
        ("softsign(x)", 1): "1/(|x| + 1)²",
        ("logsigmoid(x)", 1): "σ(−x)",
        ("huber(x)", 1): "min(max(x, −1), 1)",
        ("huber(x, a)", 1): "min(max(x, −a), a)",
        ("huber(x)", 2): "1[−1 < x < 1]",
        ("pinball(x, a)", 1): "a − 1[x < 0]",
        ("log(normcdf(x))", 1): "φ(x)/Φ(x)",
        ("lognormcdf(x)", 2): "−(φ(x)/Φ(x) + x) φ(x)/Φ(x)",
    }
    assert {key: cr.derive(key[0], wrt="x", shapes="x a", order=key[1]).text for key in said} == said


@pytest.mark.parametrize(
    ("formula", "order", "kinks"),
    [
        ("elu(x)", 1, 0),
        ("elu(x)", 2, 1),
        ("elu(x, 2)", 1, 1),
        ("huber(x)", 1, 0),
        ("huber(x)", 2, 1),
        ("softsign(x)", 1, 0),
        ("leaky_relu(x)", 1, 1),
        ("hinge(x)", 1, 1),
        ("hardtanh(x)", 1, 2),
        ("gelu(x)", 2, 0),
    ],
)
def test_kinks_are_told_where_they_are(formula: str, order: int, kinks: int) -> None:
    text = cr.derive(formula, wrt="x", shapes="x", order=order).to_text()
    assert text.count("differentiable where") == kinks
    assert ("not twice differentiable" in text) == (kinks == 1 and order == 2)


@pytest.mark.parametrize(
    ("formula", "at", "left", "right"),
    [
        ("leaky_relu(x, 0.2)", 0, 0.2, 1),
        ("elu(x, 3)", 0, 3, 1),
        ("hinge(x)", 1, -1, 0),
        ("pinball(x, 0.9)", 0, -0.1, 0.9),
        ("relu6(x)", 6, 1, 0),
    ],
)
@pytest.mark.parametrize("weight", [0, 0.5, 1])
def test_the_value_at_a_kink_lies_between_both_sides(
    formula: str, at: float, left: float, right: float, weight: float
) -> None:
    value = cr.derive(formula, wrt="x", shapes="x", at_kink=weight).compile()(x=float(at))
    assert np.isclose(value, left + weight * (right - left)) or np.isclose(
        value, right + weight * (left - right)
    )


def test_unknown_functions_may_be_called_phi() -> None:
    d = cr.derive("phi(x) * normpdf(x)", wrt="x", shapes="x", functions="phi: scalar")
    assert d.text == "(φ′(x) − x φ(x)) normpdf(x)"
    assert cr.derive("Phi(x)", wrt="x", shapes="x").text == "φ(x)"
    assert cr.derive("Phi @ x", wrt="x", shapes="Phi[m,n] x[n]").text == "Φ"
