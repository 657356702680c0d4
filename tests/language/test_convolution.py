"""Convolution and pooling have PyTorch's conventions; their derivatives are those of JAX."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import chainrule as cr

jax.config.update("jax_enable_x64", True)
jnp = jax.numpy
lax = jax.lax


def conv(x: Any, k: Any, stride: Any, padding: Any, dilation: Any = 1) -> Any:
    """JAX's general convolution on N C ... and O C ... arrays."""
    axes = k.ndim - 2
    each = [tuple(v) if isinstance(v, tuple) else (v,) * axes for v in (stride, padding, dilation)]
    return lax.conv_general_dilated(
        x, k, each[0], [(p, p) for p in each[1]], rhs_dilation=each[2], precision="highest"
    )


def pool(x: Any, width: tuple[int, ...], stride: tuple[int, ...], largest: bool) -> Any:
    window = (1,) * (x.ndim - len(width)) + width
    strides = (1,) * (x.ndim - len(width)) + stride
    if largest:
        return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, "VALID")
    return lax.reduce_window(x, 0.0, lax.add, window, strides, "VALID") / np.prod(width)


ARRAYS = {
    "x": (7,), "k": (3,), "X": (2, 3, 7), "K": (2, 3, 3), "I": (2, 2, 5, 6), "F": (3, 2, 2, 3),
    "Y": (2, 2, 4), "Z": (2, 3, 3),
}  # fmt: skip
SHAPES = "x[n] k[w] X[N,C,7] K[O,C,3] I[N,P,5,6] F[Q,P,2,3] Y[N,O,4] Z[O,C,3]"
CASES: list[tuple[str, str, Any]] = [
    ("conv1d(x, k)", "x", lambda a: conv(a["x"][None, None], a["k"][None, None], 1, 0)[0, 0]),
    ("conv1d(X, K, padding=1)", "X", lambda a: conv(a["X"], a["K"], 1, 1)),
    ("conv1d(X, K, stride=2, padding=1)", "K", lambda a: conv(a["X"], a["K"], 2, 1)),
    ("conv1d(X, K, dilation=2)", "X", lambda a: conv(a["X"], a["K"], 1, 0, 2)),
    ("conv1d(X[0], K)", "K", lambda a: conv(a["X"][:1], a["K"], 1, 0)[0]),
    ("conv2d(I, F, stride=(1, 2), padding=(1, 0))", "I", lambda a: conv(a["I"], a["F"], (1, 2), (1, 0))),
    ("conv2d(I, F, padding=1)", "F", lambda a: conv(a["I"], a["F"], 1, 1)),
    ("conv2d(I[0, 0], F[0, 0])", "I", lambda a: conv(a["I"][:1, :1], a["F"][:1, :1], 1, 0)[0, 0]),
    ("max_pool1d(x, 2)", "x", lambda a: pool(a["x"], (2,), (2,), True)),
    ("max_pool1d(x[1:], 3, stride=2)", "x", lambda a: pool(a["x"][1:], (3,), (2,), True)),
    ("max_pool2d(I, 2)", "I", lambda a: pool(a["I"], (2, 2), (2, 2), True)),
    ("avg_pool2d(I, (2, 3), stride=1)", "I", lambda a: pool(a["I"], (2, 3), (1, 1), False)),
    ("avg_pool1d(X, 3)", "X", lambda a: pool(a["X"], (3,), (3,), False)),
    ("max_pool1d(relu(conv1d(X, K, padding=1)), 2)", "K",
     lambda a: pool(jax.nn.relu(conv(a["X"], a["K"], 1, 1)), (2,), (2,), True)),
    ("windows(x, 3, stride=2)", "x", lambda a: jnp.stack([a["x"][t : t + 3] for t in (0, 2, 4)])),
    ("conv_transpose1d(Y, Z, 7, stride=2, padding=1)", "Y",
     lambda a: jax.vjp(lambda x: conv(x, a["Z"], 2, 1), jnp.zeros((2, 3, 7)))[1](a["Y"])[0]),
]  # fmt: skip
TWICE = ("conv1d(x, k)", "max_pool1d(x, 2)", "conv1d(X, K, stride=2, padding=1)", "avg_pool1d(X, 3)")


def declared(formula: str) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {name: rng.standard_normal(shape) for name, shape in ARRAYS.items()}


@pytest.mark.parametrize(("formula", "name", "judge"), CASES, ids=[f"{c[0]} by {c[1]}" for c in CASES])
def test_derivatives_are_those_of_jax(formula: str, name: str, judge: Any) -> None:
    given = declared(formula)
    shapes = SHAPES if formula != "conv1d(x, k)" else "x[n] k[w]"
    shapes = shapes.replace("x[n]", "x[7]") if "pool" in formula or "windows" in formula else shapes
    d = cr.derive(formula, wrt=name, shapes=shapes)
    f = d.compile()
    used = {n: v for n, v in given.items() if n in f.__signature__.parameters}

    def of(value: Any) -> Any:
        return judge({**given, name: value})

    expected = jax.jacobian(of)(given[name])
    assert np.allclose(f(**used), expected, atol=1e-10)
    gradient = cr.derive(f"sum(({formula})**3)", wrt=name, shapes=shapes).compile()
    assert np.allclose(gradient(**used), jax.grad(lambda v: jnp.sum(of(v) ** 3))(given[name]), atol=1e-9)
    assert "np.eye" not in gradient.__source__ and "[:, None, None]" not in gradient.__source__
    if formula in TWICE:
        second = cr.derive(f"sum(({formula})**3)", wrt=name, shapes=shapes, order=2).compile()
        hessian = jax.hessian(lambda v: jnp.sum(of(v) ** 3))(given[name])
        assert np.allclose(second(**used), hessian, atol=1e-8)


@pytest.mark.parametrize(
    ("formula", "name", "text"),
    [
        ("sum(tanh(conv1d(x, k)))", "k", "windows(x, w)ᵀ (1 − tanh(conv1d(x, k))²)"),
        ("sum(tanh(conv1d(x, k)))", "x", "−conv_transpose1d(tanh(conv1d(x, k))² − 1, k, n)"),
        ("sum(G * conv1d(X, K))", "X", "∂f/∂X_ijk = conv_transpose1d(G, K, 7)_ijk"),
        ("sum(G * conv1d(X, K))", "K", "∂f/∂K_ijk = Σ_lm G_mil X_{m,j,l+k−1}"),
        ("sum(max_pool1d(z, 2))", "z",
         "overlap_add(first_max(windows(z, 2, stride=2), axis=1), 6, stride=2)"),
    ],
)  # fmt: skip
def test_answers_are_read_as_what_they_do(formula: str, name: str, text: str) -> None:
    shapes = "x[n] k[w] X[N,C,7] K[O,C,w] G[N,O,8-w] z[6]"
    d = cr.derive(formula, wrt=name, shapes=shapes, layout="shape")
    assert text in str(d)
    assert cr.equal(text, d.expression, shapes=shapes)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("conv1d(x, K)", "conv1d of 1 and 3 axes"),
        ("conv1d(x, k, stride=0)", "stride is an integer from 1 on"),
        ("conv1d(x, k, stride=2)", "needs a known number of windows"),
        ("conv1d(z, ones(8))", "do not fit into 6 entries"),
        ("max_pool2d(z, 2)", "along 2 axes of 1"),
        ("conv1d(X, K[:, :1])", "are the channels"),
        ("max_pool1d(z, w)", "the stride is an integer"),
        ("overlap_add(X, 7)", "two numbers of windows"),
    ],
)
def test_what_does_not_fit_is_told(formula: str, words: str) -> None:
    with pytest.raises(cr.ChainruleError) as caught:
        cr.derive(formula, wrt="x" if "x" in formula else "X" if "X" in formula else "z",
                  shapes="x[n] k[w] X[N,C,7] K[O,C,w] z[6]")  # fmt: skip
    assert words in str(caught.value)


def test_a_tie_in_a_pool_goes_to_the_first() -> None:
    f = cr.derive("sum(max_pool1d(x, 2))", wrt="x", shapes="x[4]").compile()
    assert f(x=[1, 1, 0, 2]).tolist() == [1, 0, 0, 1]
