"""Recurrences: a scan is the program that a person would write out; the steps are those of PyTorch."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import torch

import chainrule as cr

jax.config.update("jax_enable_x64", True)
jnp = jax.numpy

SIZES = {"H": 2, "n": 3}
STEPS = {
    "rnn_step(x, h, W, U, b)": (1, "b"),
    "gru_step(x, h, W, U, b, c)": (3, "b c"),
    "lstm_step(x, h, s, W, U, b)": (4, "b"),
}


def arrays(gates: int, batch: bool) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    lead = (4,) if batch else ()
    shapes = {"x": (*lead, 3), "h": (*lead, 2), "s": (*lead, 2), "W": (gates * 2, 3), "U": (gates * 2, 2)}
    shapes |= {"b": (gates * 2,), "c": (gates * 2,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("formula", STEPS)
def test_steps_are_those_of_pytorch(formula: str, batch: bool) -> None:
    gates, _ = STEPS[formula]
    given = arrays(gates, batch)
    kind = formula.split("_")[0].upper()
    cell = getattr(torch.nn, f"{kind}Cell")(3, 2).double()
    biases = (given["b"], given["c"] if kind == "GRU" else 0 * given["b"])
    values = {"weight_ih": given["W"], "weight_hh": given["U"], "bias_ih": biases[0], "bias_hh": biases[1]}
    with torch.no_grad():
        for name, value in values.items():
            getattr(cell, name).copy_(torch.tensor(value))
    x, h, s = (torch.tensor(given[name], requires_grad=name == "x") for name in ("x", "h", "s"))
    made = cell(x, (h, s)) if kind == "LSTM" else (cell(x, h),)
    sum((part**2).sum() for part in made).backward()
    lead = "4," if batch else ""
    shapes = f"x[{lead}n] h[{lead}H] s[{lead}H] W[{gates}*H,n] U[{gates}*H,H] b[{gates}*H] c[{gates}*H]"
    d = cr.derive(f"sum({formula}**2)", wrt="x", shapes=shapes)
    f = d.compile()
    used = {name: value for name, value in given.items() if name in f.__signature__.parameters}
    assert np.allclose(f(**used), x.grad.numpy(), atol=1e-12)


SCAN = "sum(scan(h = tanh(W @ h + U @ x[t] + b), h0, t = 0:3)**2)"
WRITTEN = "; ".join(f"h{t + 1} = tanh(W @ h{t} + U @ x[{t}] + b)" for t in range(3)) + "; sum(h3**2)"
SHAPES = "W[H,H] U[H,n] x[3,n] b[H] h0[H]"


def test_a_scan_is_the_program_written_out() -> None:
    assert cr.derive(SCAN, wrt="W", shapes=SHAPES).text == cr.derive(WRITTEN, wrt="W", shapes=SHAPES).text


@pytest.mark.parametrize("name", ["W", "x", "h0"])
def test_derivatives_are_those_of_jax(name: str) -> None:
    rng = np.random.default_rng(4)
    given = {
        "W": rng.standard_normal((2, 2)),
        "U": rng.standard_normal((2, 3)),
        "x": rng.standard_normal((3, 3)),
        "b": rng.standard_normal(2),
        "h0": rng.standard_normal(2),
    }

    def loss(value: Any) -> Any:
        a = {**given, name: value}
        h = a["h0"]
        for t in range(3):
            h = jnp.tanh(a["W"] @ h + a["U"] @ a["x"][t] + a["b"])
        return jnp.sum(h**2)

    assert np.allclose(
        cr.derive(SCAN, wrt=name, shapes=SHAPES).compile()(**given), jax.grad(loss)(given[name]), atol=1e-12
    )
    second = cr.derive(SCAN, wrt=name, shapes=SHAPES, order=2).compile()
    assert np.allclose(second(**given), jax.hessian(loss)(given[name]), atol=1e-9)


def test_all_states_gates_and_several_values() -> None:
    text = "scan_all(g = sigmoid(x[t]), c = g*c, h = h + c, c0, h0, t = 1:3)"
    f = cr.derive(text, wrt="c0", shapes="x[3,H] c0[H] h0[H]").compile()
    x = np.random.default_rng(0).standard_normal((3, 2))
    g = 1 / (1 + np.exp(-x))
    rows = np.stack([g[1], g[1] + g[1] * g[2]])
    assert np.allclose(f(x=x), rows[:, :, None] * np.eye(2))


def test_names_that_are_taken_are_left_alone() -> None:
    d = cr.derive("scan(h = h*x + h1, 1, t = 0:2)", wrt="x", shapes="x h1")
    assert float(d.compile()(x=3.0, h1=2.0)) == 2 * 3 + 2
    assert cr.derive("scan(c = c * scan(z = z*x + t, 1, k = 0:2), 1, t = 0:2)", wrt="x", shapes="x t").text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scan(h = h*x, 1, t = 0:n)", "counted by numbers"),
        ("scan(h = h*x, 1)", "ends with its counter"),
        ("scan(h = h*x, t = 0:3)", "an initial value for each state"),
        ("scan(h = h*x, 1, 2, t = 0:3)", "more initial values than updates"),
        ("scan(h = h*x, 1, t = 3:3)", "1 to 1000 steps"),
        ("scan(h = h*x, 1, t = 0:2000)", "1 to 1000 steps"),
        ("scan(h = h*x, h = h, 1, t = 0:3)", "updates a name twice"),
        ("scan(1, h = h*x, t = 0:3)", "updates of a scan stand first"),
        ("scan(h = h*x, 1, t = 0:3", "never closed"),
        ("scan(h = h*x, , t = 0:3)", "a value is missing"),
        ("scan(h = h * x[t], x[0], t = 0:9)", "index 3 is outside"),
    ],
)
def test_what_is_no_scan_is_told(text: str, words: str) -> None:
    with pytest.raises(cr.ChainruleError) as caught:
        cr.derive(text, wrt="x", shapes="x[3,n]" if "[" in text else "x")
    assert words in str(caught.value)
