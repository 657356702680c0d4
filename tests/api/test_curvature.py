"""Blocks of second derivatives, Gauss-Newton and Fisher matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.api import gauss_newton as module
from chainrule.cli.main import run
from chainrule.errors import CheckFailed, OptionError
from tests.backends import backend

LOGISTIC = ("z = X @ w + b; mean(softplus(z) - y*z)", "w,b", "X[N,n] w[n] b y[N]")


def test_blocks_are_written_as_one_matrix() -> None:
    d = cr.derive("mean((y - X @ w - b)**2)", "w,b", "X[N,n] w[n] b y[N]", order=2)
    assert d.text.splitlines()[-1] == (
        "∂²f/∂(w, b)² = [∂²f/∂w², ∂²f/∂w∂b; ∂²f/∂b∂w, ∂²f/∂b²]    (n + 1) × (n + 1), symmetric"
    )


def test_joined_blocks_are_the_hessian_of_all_entries() -> None:
    jax = backend("jax")
    jax.config.update("jax_enable_x64", True)
    j = jax.numpy
    rng = np.random.default_rng(0)
    shapes = {"W": (2, 3), "b": (2,), "x": (3,), "c": ()}
    values: dict[str, Any] = {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    def loss(theta: Any) -> Any:
        weights, bias, c = theta[:6].reshape(2, 3), theta[6:8], theta[8]
        return j.sum(j.tanh(weights @ values["x"] + bias) ** 2) * c**2

    theta = np.concatenate([values["W"].ravel(), values["b"], [values["c"]]])
    d = cr.derive("sum(tanh(W @ x + b)**2) * c**2", "W,b,c", "W[m,n] b[m] x[n] c", order=2)
    got = d.compile_joined()(**values)
    np.testing.assert_allclose(got, jax.hessian(loss)(theta), rtol=1e-8, atol=1e-10)


def test_only_blocks_of_order_2_are_joined() -> None:
    with pytest.raises(OptionError, match="only the blocks of a second derivative"):
        cr.derive("x**2 * y", "x,y").compile_joined()


FISHER = [
    # loss, shapes, wrt, family, the matrix
    (
        "z = X @ w; sum(softplus(z) - y*z)",
        "X[N,n] w[n] y[N]",
        "logistic",
        "Xᵀ diag(σ(Xw) ⊙ σ(−Xw)) X",
    ),
    (
        "z = X @ w; sum(log(1 + exp(-y * z)))",
        "X[N,n] w[n] y[N]:sign",
        "logistic",
        "Xᵀ diag(σ(Xw) ⊙ σ(−Xw)) X",
    ),
    ("f = X @ w; sum((f - y)**2)/2", "X[N,n] w[n] y[N]", "Gaussian", "XᵀX"),
    ("f = X @ w; sum(exp(f) - y*f)", "X[N,n] w[n] y[N]", "Poisson", "Xᵀ diag(exp(Xw)) X"),
    ("z = A @ w; -sum(y*log(softmax(z)))", "A[k,n] w[n] y[k]", "softmax", "Aᵀ(diag(p) − ppᵀ) A"),
]


@pytest.mark.parametrize(("loss", "shapes", "family", "wanted"), FISHER)
def test_fisher_of_the_known_likelihoods(loss: str, shapes: str, family: str, wanted: str) -> None:
    found = cr.derive(loss, "w", shapes).fisher()
    assert found.family is not None
    assert found.family.name == family
    assert found.said.data["blocks"][0]["text"] == wanted
    assert "assumed: " in str(found)


def test_fisher_is_the_mean_of_squared_scores() -> None:
    # E[∇ℓ ∇ℓᵀ] over all 2ᴺ labels, each with its probability.
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((4, 2)), rng.standard_normal(2)
    derived = cr.derive("z = X @ w; sum(softplus(z) - y*z)", "w", "X[N,n] w[n] y[N]")
    slope = derived.compile()
    p = 1 / (1 + np.exp(-x @ w))
    expected = np.zeros((2, 2))
    for code in range(16):
        y = np.array([code >> k & 1 for k in range(4)], float)
        g = slope(X=x, w=w, y=y)
        expected += np.prod(np.where(y > 0, p, 1 - p)) * np.outer(g, g)
    np.testing.assert_allclose(derived.fisher().compile()(X=x, w=w), expected, rtol=1e-10)


def test_gauss_newton_against_jax() -> None:
    jax = backend("jax")
    jax.config.update("jax_enable_x64", True)
    j = jax.numpy
    rng = np.random.default_rng(3)
    values = {"W": rng.standard_normal((3, 2)), "V": rng.standard_normal((2, 3)), "x": rng.standard_normal(2)}
    values["y"] = rng.standard_normal(2)

    def inner(moving: Any) -> Any:
        return moving["V"] @ j.tanh(moving["W"] @ values["x"])

    def outer(f: Any) -> Any:
        return j.sum((f - values["y"]) ** 4)

    moving = {name: values[name] for name in ("W", "V")}
    jacobians, curvature = jax.jacobian(inner)(moving), jax.hessian(outer)(inner(moving))
    d = cr.derive(
        "h = tanh(W @ x); f = V @ h; sum((f - y)**4)", "W,V", "W[m,n] x[n] V[k,m] y[k]", layout="shape"
    )
    found = d.gauss_newton()
    assert found.inner == "f"
    got = found.compile()(**values)
    for a in moving:
        for b in moving:
            wanted = np.einsum("fij,fg,gkl->ijkl", jacobians[a], curvature, jacobians[b])
            np.testing.assert_allclose(got[a, b], wanted, rtol=1e-8, atol=1e-10)


def test_a_linear_part_gives_the_hessian() -> None:
    formula, wrt, shapes = LOGISTIC
    d = cr.derive(formula, wrt, shapes)
    assert "z is linear in w and b, so this is the Hessian itself." in str(d.gauss_newton())
    hessian = cr.derive(formula, wrt, shapes, order=2)
    for key, block in d.gauss_newton().blocks.items():
        assert cr.equal(block, hessian[key].expression)


@pytest.mark.parametrize(
    ("formula", "shapes", "inner", "said"),
    [
        ("sum((X @ w - y)**2)", "X[N,n] w[n] y[N]", None, "needs a loss"),
        ("z = X @ w; a = tanh(z); sum((a - y)**2)", "X[N,n] w[n] y[N]", None, "several fit: z, a"),
        ("z = X @ w; sum((z - y)**2) + sum(w**2)", "X[N,n] w[n] y[N]", "z", "no function of z alone"),
        ("z = X @ w; sum(z**2)", "X[N,n] w[n]", "q", "no part named q"),
        ("z = X @ w; z**2", "X[N,n] w[n]", None, "about one loss"),
    ],
)
def test_what_is_no_composite_loss_is_refused(
    formula: str, shapes: str, inner: str | None, said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        cr.derive(formula, "w", shapes).gauss_newton(inner)


@pytest.mark.parametrize(
    "loss", ["sum(z**4)", "sum(exp(z))", "sum(abs(z - y))", "sum(softplus(z) + y*z**2)", "-sum((z - y)**2)"]
)
def test_what_is_no_likelihood_has_no_fisher_matrix(loss: str) -> None:
    with pytest.raises(OptionError, match="Fisher is defined here where"):
        cr.derive(f"z = X @ w; {loss}", "w", "X[N,n] w[n] y[N]").fisher()


def test_a_planted_error_in_a_block_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = module.simplify
    monkeypatch.setattr(module, "simplify", lambda expr: right(expr * 1.001))
    formula, wrt, shapes = LOGISTIC
    with pytest.raises(CheckFailed, match="a block differs"):
        cr.derive(formula, wrt, shapes).gauss_newton()


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["f = X @ w; sum((f - y)**2)/2", "--shapes", "X[N,n] w[n] y[N]", "--wrt", "w"]
    assert run(["derive", *arguments, "--gauss-newton", "--fisher", "--inner", "f"]) == 0
    printed = capsys.readouterr().out
    assert "GN = XᵀX    n × n" in printed
    assert "F = XᵀX    n × n" in printed
    assert run(["derive", *arguments, "--fisher", "--format", "json"]) == 0
    assert '"family": "Gaussian"' in capsys.readouterr().out
    with pytest.raises(OptionError, match="inner says which part"):
        run(["derive", *arguments, "--inner", "f"])


AUGMENTED = [
    # formula, shapes, the derivative in the shape of ŵ
    ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "(2/N) X̂ᵀ (e ⊙ 1[X̂ ŵ > 0])"),
    ("mean((y - X @ w - b)**2)", "X[N,n] w[n] b y[N]", "(2/N) X̂ᵀ e"),
    ("relu(w @ x + b)", "x[n] w[n] b", "1[ŵᵀ x̂ > 0] x̂"),
]


@pytest.mark.parametrize(("formula", "shapes", "wanted"), AUGMENTED)
def test_the_augmented_form_is_proved_equal(formula: str, shapes: str, wanted: str) -> None:
    found = cr.derive(formula, "w,b", shapes, layout="shape").augmented()
    assert found.said.data["derivative"]["text"] == wanted
    assert found.said.data["proved"] is True


def test_the_augmented_derivative_holds_both() -> None:
    formula, shapes = "mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]"
    d = cr.derive(formula, "w,b", shapes)
    rng = np.random.default_rng(4)
    values = {"X": rng.standard_normal((5, 3)), "w": rng.standard_normal(3), "b": 0.3}
    values["y"] = rng.standard_normal(5)
    both = d.compile()(**values)
    found = d.augmented()
    code = cr.derive(found.formula, found.weights.name).compile()
    hats = {
        "X_hat": np.c_[values["X"], np.ones(5)],
        "w_hat": np.append(values["w"], values["b"]),
        "y": values["y"],
    }
    np.testing.assert_allclose(code(**hats), np.append(both["w"], both["b"]))


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("sum((X @ w)**2)", "has no part"),
        ("sum((X @ w + b)**2) + b**2", "b stands in the formula outside"),
        ("sum(X @ w + b) + sum(w)", "w stands in the formula outside"),
    ],
)
def test_what_cannot_be_augmented_is_refused(formula: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        cr.derive(formula, "w", "X[N,n] w[n] b" if " b" in formula else "X[N,n] w[n]").augmented()


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "verdict"),
    [
        ("-logdet(X)", "X[n,n]:spd", "X", "convex"),
        ("logdet(X)", "X[n,n]:spd", "X", "concave"),
        ("tr(inv(V) @ X) - logdet(X)", "X[n,n]:spd V[n,n]:spd", "X", "convex"),
        ("tr(A @ inv(X))", "X[n,n]:spd A[n,n]:spd", "X", "convex"),
        ("a @ inv(X) @ a", "X[n,n]:spd a[n]", "X", "convex"),
        ("tr(X @ X)", "X[n,n]:symmetric", "X", "convex"),
        ("tr(X @ X)", "X[n,n]", "X", "neither"),
        ("-logdet(X)", "X[n,n]", "X", "neither"),
        ("tr(A @ inv(X))", "X[n,n]:spd A[n,n]:symmetric", "X", ""),
    ],
)
def test_symmetric_variables_move_along_symmetric_directions(
    formula: str, shapes: str, wrt: str, verdict: str
) -> None:
    assert cr.derive(formula, wrt=wrt, shapes=shapes).is_convex().verdict == verdict


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "verdict"),
    [
        ("cross_entropy(X @ W + b, c)", "X[N,n] W[n,k] b[k] c[N]:integer(k)", "W,b", "convex"),
        ("cross_entropy(X @ W + b, Y)", "X[N,n] W[n,k] b[k] Y[N,k]:probability", "W,b", "convex"),
        ("logsumexp(W @ x + b) - y @ (W @ x + b)", "W[k,n] x[n] b[k] y[k]", "W,b", "convex"),
        ("-logsumexp(W @ x + b)", "W[k,n] x[n] b[k]", "W,b", "concave"),
        ("logsumexp(W @ x)", "W[k,n] x[n]", "W,x", ""),
        ("logsumexp(x) * norm(y)**2", "x[n] y[n]", "x,y", ""),
    ],
)
def test_affine_parts_of_several_variables_move_as_one(
    formula: str, shapes: str, wrt: str, verdict: str
) -> None:
    assert cr.derive(formula, wrt=wrt, shapes=shapes).is_convex().verdict == verdict
