"""The value and the derivatives from one function, what they share computed once."""

import numpy as np

import chainrule as cr

DRAW = np.random.default_rng(0)
NEURON = {
    "X": DRAW.normal(size=(7, 3)),
    "w": DRAW.normal(size=3),
    "b": np.float64(0.5),
    "y": DRAW.normal(size=7),
}
LOSS = "mean((y - relu(X @ w + b))**2)"
SHAPES = "X[N,n] w[n] b y[N]"


def test_of_one_and_of_several() -> None:
    z = NEURON["X"] @ NEURON["w"] + NEURON["b"]
    expected = np.mean((NEURON["y"] - np.maximum(z, 0)) ** 2)
    one = cr.derive(LOSS, wrt="w", shapes=SHAPES)
    value, gradient = one.value_and_derivatives()(**NEURON)
    assert np.isclose(value, expected, rtol=1e-14)
    assert np.allclose(gradient, one.compile()(**NEURON), rtol=1e-14)
    several = cr.derive(LOSS, wrt="w,b", shapes=SHAPES)
    f = several.value_and_derivatives()
    value, gradients = f(**NEURON)
    assert np.isclose(value, expected, rtol=1e-14)
    assert list(gradients) == ["w", "b"] and np.allclose(gradients["w"], gradient)
    assert f.__source__.count("times(X, w)") == 1


def test_a_variable_may_be_called_value() -> None:
    value, gradients = cr.derive("value**2 * x", wrt="value,x").value_and_derivatives()(value=3, x=2)
    assert value == 18 and gradients == {"value": 12, "x": 9}


def test_of_a_layered_network() -> None:
    text = "h = tanh(A @ x + b); g = tanh(B @ h); sum((C @ g - y)**2)"
    d = cr.derive(text, wrt="A,B,C", shapes="A[m,n] b[m] B[k,m] C[2,k] x[n] y[2]")
    sizes = {"A": (3, 2), "b": 3, "B": (4, 3), "C": (2, 4), "x": 2, "y": 2}
    given = {name: DRAW.normal(size=size) for name, size in sizes.items()}
    value, gradients = d.value_and_derivatives()(**given)
    h = np.tanh(given["A"] @ given["x"] + given["b"])
    out = given["C"] @ np.tanh(given["B"] @ h) - given["y"]
    assert np.isclose(value, out @ out)
    for name, array in d.compile()(**given).items():
        assert np.allclose(gradients[name], array)
