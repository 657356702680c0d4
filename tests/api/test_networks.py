"""Programs of layers: the δ recursion, its length, its code, and its values against JAX."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.verify.gradients import check_gradients
from tests.backends import backend

MLP = (
    "h1 = relu(W1 @ x + b1); h2 = tanh(W2 @ h1 + b2); h3 = W3 @ h2 + b3; sum((h3 - t)**2)",
    "x[n] W1[m,n] b1[m] W2[p,m] b2[p] W3[q,p] b3[q] t[q]",
    "W1,b1,W2,b2,W3,b3",
)
BATCH = (
    "H1 = relu(X @ W1.T + b1); H2 = sigmoid(H1 @ W2.T + b2); Y = H2 @ W3.T + b3; mean((Y - T)**2)",
    "X[N,n] W1[m,n] b1[m] W2[p,m] b2[p] W3[q,p] b3[q] T[N,q]",
    "W1,b1,W2,b2,W3,b3",
)
RESIDUAL = (
    "h1 = h0 + relu(W1 @ h0 + b1); h2 = h1 + tanh(W2 @ h1 + b2); h3 = h2 + tanh(W3 @ h2); sum((h3 - t)**2)",
    "h0[n] W1[n,n] b1[n] W2[n,n] b2[n] W3[n,n] t[n]",
    "W1,b1,W2,b2,W3,h0",
)
RECURRENT = (
    "h1 = tanh(W @ h0 + U @ x1 + b); h2 = tanh(W @ h1 + U @ x2 + b); h3 = tanh(W @ h2 + U @ x3 + b); "
    "y = V @ h3; sum((y - t)**2) + sum(h1**2)",
    "h0[n] W[n,n] U[n,m] b[n] x1[m] x2[m] x3[m] V[k,n] t[k]",
    "W,U,b,V,h0",
)
ATTENTION = (
    "Q = X @ Wq; K = X @ Wk; V = X @ Wv; S = Q @ K.T / sqrt(d); P = softmax(S, axis=1); O = P @ V; "
    "Y = X + O; H = tanh(Y @ W1); Z = Y + H @ W2; sum((Z - T)**2)",
    "X[N,d] Wq[d,d] Wk[d,d] Wv[d,d] W1[d,m] W2[m,d] T[N,d]",
    "X,Wq,Wk,Wv,W1,W2",
)


def network(layers: int, activations: tuple[str, ...] = ("tanh",)) -> tuple[str, str, str]:
    h, statements, shapes, wrt = "x", [], ["x[n] t[n]"], []
    for k in range(1, layers + 1):
        statements.append(f"h{k} = {activations[k % len(activations)]}(W{k} @ {h} + b{k})")
        h = f"h{k}"
        shapes.append(f"W{k}[n,n] b{k}[n]")
        wrt += [f"W{k}", f"b{k}"]
    return "; ".join([*statements, f"sum(({h} - t)**2)"]), " ".join(shapes), ",".join(wrt)


def test_the_answer_is_the_recursion_of_a_textbook() -> None:
    formula, shapes, wrt = MLP
    assert cr.derive(formula, wrt, shapes, layout="shape").text.splitlines() == [
        "∂f/∂W₁ = δ₁ xᵀ    m × n, the shape of W₁",
        "∂f/∂b₁ = δ₁    m, the shape of b₁",
        "∂f/∂W₂ = δ₂ h₁ᵀ    p × m, the shape of W₂",
        "∂f/∂b₂ = δ₂    p, the shape of b₂",
        "∂f/∂W₃ = δ₃ h₂ᵀ    q × p, the shape of W₃",
        "∂f/∂b₃ = δ₃    q, the shape of b₃",
        "where z₁ = W₁ x + b₁, h₁ = relu(z₁), z₂ = W₂ h₁ + b₂, h₂ = tanh(z₂), h₃ = W₃ h₂ + b₃",
        "and from the output back, each in the shape of what it is the gradient by,",
        "    δ₃ = ∂f/∂h₃ = 2(h₃ − t)             q",
        "    δ₂ = ∂f/∂z₂ = W₃ᵀ δ₃ ⊙ (1 − h₂²)    p",
        "    δ₁ = ∂f/∂z₁ = W₂ᵀ δ₂ ⊙ 1[z₁ > 0]    m",
    ]


def test_batches_sum_over_their_rows() -> None:
    formula, shapes, wrt = BATCH
    d = cr.derive(formula, wrt, shapes, layout="shape")
    assert [d[v].text.partition(" where")[0] for v in ("W1", "b1", "W3")] == ["Δ₁ᵀ X", "Δ₁ᵀ 𝟏", "Δ₃ᵀ H₂"]
    assert "Δ₂ = ∂f/∂Z₂ = Δ₃ W₃ ⊙ H₂ ⊙ (1 − H₂)    N × p" in d.text


@pytest.mark.parametrize(
    ("layers", "activations"),
    [(64, ("relu", "tanh")), (64, ("elu", "tanh")), (96, ("softplus",)), (160, ("sigmoid",))],
)
def test_deep_networks_pass_their_check_and_planted_errors_do_not(
    layers: int, activations: tuple[str, ...]
) -> None:
    formula, shapes, wrt = network(layers, activations)
    d = cr.derive(formula, wrt, shapes)
    assert d.check(points=2).passed
    gradients = {v: d[v.name].expression for v in d.formula.variables.values() if v.name in wrt.split(",")}
    for name in ("W1", f"b{layers // 2}", f"W{layers}"):
        variable = d.formula.variables[name]
        planted = {**gradients, variable: gradients[variable] * 1.001}
        assert not check_gradients(d.formula.expr, planted, points=2).passed


def test_names_of_a_person_are_used() -> None:
    d = cr.derive(
        "s1 = W1 @ x; a1 = tanh(s1); logits = W2 @ a1; -sum(y * log(softmax(logits)))",
        "W1,W2",
        "W1[m,n] x[n] W2[k,m] y[k]",
        layout="shape",
    )
    assert d["W1"].text == (
        "δ₁ xᵀ where s₁ = W₁ x, a₁ = tanh(s₁), logits = W₂ a₁, δ₂ = sum(y) softmax(logits) − y, "
        "δ₁ = W₂ᵀ δ₂ ⊙ (1 − a₁²)"
    )


def test_names_that_are_taken_are_not_used_again() -> None:
    formula, shapes, wrt = network(2)
    d = cr.derive(formula.replace("t)", "delta1)"), wrt, shapes.replace("t[n]", "delta1[n]"))
    assert "δ₁ = ∂f" not in d.text
    assert "z̄₁ = ∂f/∂z₁" in d.text
    assert d.check().passed


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt"),
    [
        ("z = X @ w + b; a = relu(z); mean((y - a)**2)", "X[N,n] w[n] b y[N]", "w,b"),
        ("sum((W2 @ tanh(W1 @ x) - t)**2)", "x[n] W1[m,n] W2[k,m] t[k]", "W1,W2"),
        ("u = x * y; v = u * z; exp(v)", "x y z", "x,y,z"),
        ("h1 = tanh(W1 @ x); W2 @ h1", "W1[m,n] x[n] W2[k,m]", "W1,W2"),
    ],
    ids=["one layer", "no names", "no layers", "no scalar"],
)
def test_what_is_no_program_of_layers_is_written_in_one_formula(formula: str, shapes: str, wrt: str) -> None:
    assert cr.derive(formula, wrt, shapes).recursion is None


@pytest.mark.parametrize("program", [MLP, BATCH, RESIDUAL, RECURRENT, ATTENTION])
def test_each_derivative_alone_reads_back_and_is_right(program: tuple[str, str, str]) -> None:
    formula, shapes, wrt = program
    together = cr.derive(formula, wrt, shapes, layout="shape")
    for name in wrt.split(",")[:2]:
        alone = cr.derive(formula, name, shapes, layout="shape").text
        for text in dict.fromkeys((alone, together[name].text)):
            assert cr.check(formula, wrt=name, claim=text, shapes=shapes), text


def _losses() -> list[tuple[str, tuple[str, str, str], Callable[[Any, Any], Any]]]:
    def mlp(j: Any, v: Any) -> Any:
        h2 = j.tanh(v["W2"] @ j.maximum(v["W1"] @ v["x"] + v["b1"], 0) + v["b2"])
        return j.sum((v["W3"] @ h2 + v["b3"] - v["t"]) ** 2)

    def batch(j: Any, v: Any) -> Any:
        h2 = 1 / (1 + j.exp(-(j.maximum(v["X"] @ v["W1"].T + v["b1"], 0) @ v["W2"].T + v["b2"])))
        return j.mean((h2 @ v["W3"].T + v["b3"] - v["T"]) ** 2)

    def residual(j: Any, v: Any) -> Any:
        h = v["h0"] + j.maximum(v["W1"] @ v["h0"] + v["b1"], 0)
        h = h + j.tanh(v["W2"] @ h + v["b2"])
        h = h + j.tanh(v["W3"] @ h)
        return j.sum((h - v["t"]) ** 2)

    def recurrent(j: Any, v: Any) -> Any:
        h, first = v["h0"], 0.0
        for k in (1, 2, 3):
            h = j.tanh(v["W"] @ h + v["U"] @ v[f"x{k}"] + v["b"])
            first = j.sum(h**2) if k == 1 else first
        return j.sum((v["V"] @ h - v["t"]) ** 2) + first

    def attention(j: Any, v: Any) -> Any:
        x = v["X"]
        s = (x @ v["Wq"]) @ (x @ v["Wk"]).T / np.sqrt(x.shape[1])
        p = j.exp(s) / j.sum(j.exp(s), axis=1, keepdims=True)
        y = x + p @ (x @ v["Wv"])
        return j.sum((y + j.tanh(y @ v["W1"]) @ v["W2"] - v["T"]) ** 2)

    return [
        ("mlp", MLP, mlp),
        ("batch", BATCH, batch),
        ("residual", RESIDUAL, residual),
        ("recurrent", RECURRENT, recurrent),
        ("attention", ATTENTION, attention),
    ]


@pytest.mark.parametrize(("program", "loss"), [case[1:] for case in _losses()], ids=[c[0] for c in _losses()])
def test_the_code_agrees_with_jax(program: tuple[str, str, str], loss: Callable[[Any, Any], Any]) -> None:
    jax = backend("jax")
    jax.config.update("jax_enable_x64", True)
    formula, shapes, wrt = program
    rng = np.random.default_rng(0)
    sizes = dict(zip("nmpqkdN", (3, 4, 2, 3, 2, 3, 5), strict=True))
    values = {
        name: rng.standard_normal([sizes[s] for s in inside.split(",")])
        for name, inside in re.findall(r"(\w+)\[([\w,]+)\]", shapes)
    }
    names = wrt.split(",")
    wanted = jax.grad(lambda moving: loss(jax.numpy, {**values, **moving}))({n: values[n] for n in names})
    got = cr.derive(formula, wrt, shapes).compile()(**values)
    for name in names:
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-9, atol=1e-11)


def test_length_grows_linearly_with_depth() -> None:
    lengths = []
    for layers in (16, 32, 48):  # two digits in every number that is added
        formula, shapes, wrt = network(layers)
        d = cr.derive(formula, wrt, shapes)
        lengths.append((len(d.text), len(d.latex), len(d.numpy_source), len(d.compile().__source__)))
    growth = np.diff(np.array(lengths), axis=0)
    assert (np.ptp(growth, axis=0) <= 0.02 * growth[0]).all(), growth
    documents = [len(cr.derive(*_swapped(network(layers))).to_json()) for layers in (12, 24, 36)]
    assert np.ptp(np.diff(documents)) <= 0.05 * np.diff(documents)[0]


def _swapped(program: tuple[str, str, str]) -> tuple[str, str, str]:
    formula, shapes, wrt = program
    return formula, wrt, shapes


def test_code_goes_forward_once_and_back_once() -> None:
    formula, shapes, wrt = network(12)
    source = cr.derive(formula, wrt, shapes).compile().__source__
    assert source.count("np.tanh(") == 12
    for k in range(2, 13):
        # Each weight matrix takes part in one product forward and in one product back.
        assert len(re.findall(rf"\bW{k}\b", source.partition('"""')[2].partition('"""')[2])) == 2 + 1
        assert len(re.findall(rf"\bdelta{k} = ", source)) == 1


def test_a_planted_error_in_a_delta_is_found() -> None:
    formula, shapes, _ = MLP
    right = cr.derive(formula, "W1", shapes, layout="shape").text
    wrong = right.replace("(1 − h₂²)", "(1 + h₂²)")
    assert wrong != right
    assert not cr.check(formula, wrt="W1", claim=wrong, shapes=shapes)


def test_json_names_the_deltas() -> None:
    formula, shapes, wrt = MLP
    content = json.loads(cr.derive(formula, wrt, shapes).to_json())
    assert [(d["name"], d["of"]) for d in content["recursion"]] == [
        ("delta3", "h3"),
        ("delta2", "z2"),
        ("delta1", "z1"),
    ]
    assert content["derivatives"][0]["numpy"] == "outer(delta1, x)"


def test_a_kink_is_told_in_the_names_of_the_layers() -> None:
    formula, shapes, wrt = MLP
    assert "not differentiable where z₁ = 0 in some entry" in str(cr.derive(formula, wrt, shapes))


def test_layers_of_composite_functions_are_layers_too() -> None:
    d = cr.derive(
        "z1 = X @ W1 + b1; h1 = gelu(z1); z2 = h1 @ W2; h2 = layernorm(z2); sum((h2 - T)**2)",
        "W1,b1,W2",
        "X[N,n] W1[n,m] b1[m] W2[m,p] T[N,p]",
        layout="shape",
    )
    assert d.text.splitlines()[:3] == [
        "∂f/∂W₁ = Xᵀ Δ₁    n × m, the shape of W₁",
        "∂f/∂b₁ = Δ₁ᵀ 𝟏    m, the shape of b₁",
        "∂f/∂W₂ = h₁ᵀ Δ₂    m × p, the shape of W₂",
    ]
    assert d.check(3).passed
