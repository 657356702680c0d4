"""Functions of NumPy, JAX and PyTorch arrays as claims, at random points and with a person's own data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from tests.backends import backend

NEURON, SHAPES = "mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]"
Function = Callable[..., Any]


def data() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"X": rng.normal(size=(5, 3)), "w": rng.normal(size=3), "b": 0.1, "y": rng.normal(size=5)}


def tensors(kind: str = "float64") -> dict[str, Any]:
    torch = backend("torch")
    return {name: torch.as_tensor(value, dtype=getattr(torch, kind)) for name, value in data().items()}


def neuron(Xp: Any) -> Function:
    def loss(X: Any, w: Any, b: Any, y: Any) -> Any:
        return Xp.mean((y - Xp.maximum(X @ w + b, 0 * y)) ** 2)

    return loss


def functions_of_torch() -> dict[str, Function]:
    """The right gradient by w, as people write it in PyTorch."""
    torch = backend("torch")
    loss = neuron(torch)

    def closed(X: Any, w: Any, b: Any, y: Any) -> Any:
        z = X @ w + b
        return 2 / y.numel() * X.mT @ ((torch.relu(z) - y) * (z > 0))

    def backward(X: Any, w: Any, b: Any, y: Any) -> Any:
        w = w.clone().requires_grad_()
        loss(X, w, b, y).backward()
        return w.grad

    def autograd(X: Any, w: Any, b: Any, y: Any) -> Any:
        w = w.clone().requires_grad_()
        return torch.autograd.grad(loss(X, w, b, y), w)

    def attached(X: Any, w: Any, b: Any, y: Any) -> Any:
        return closed(X, w.clone().requires_grad_(), b, y)

    def single(X: Any, w: Any, b: Any, y: Any) -> Any:
        return closed(X, w, b, y).float()

    def single_inside(X: Any, w: Any, b: Any, y: Any) -> Any:
        z = X @ w + b
        return 2 * (((torch.relu(z) - y) * (z > 0))[:, None] * X).mT @ torch.ones(len(y)) / len(y)

    def by_keyword(**given: Any) -> Any:
        return closed(**given)

    made = [closed, backward, autograd, attached, single, single_inside, by_keyword]
    return {one.__name__: one for one in made} | {"func.grad": torch.func.grad(loss, argnums=1)}


NAMES = "closed backward autograd attached single single_inside by_keyword func.grad".split()
GIVEN = [("random", name) for name in NAMES] + [
    (given, name) for given in ("numpy", "float64", "float32") for name in ("closed", "single_inside")
]


@pytest.mark.parametrize(("given", "name"), GIVEN)
def test_functions_of_torch(given: str, name: str) -> None:
    own = {"random": lambda: None, "numpy": data}.get(given, lambda: tensors(given))()
    function = functions_of_torch()[name]
    assert cr.check(NEURON, wrt="w", claim=function, shapes=SHAPES, data=own).verdict == "equal"


def test_mistakes_in_functions_of_torch() -> None:
    torch = backend("torch")

    def without_mask(X: Any, w: Any, b: Any, y: Any) -> Any:
        return 2 / y.numel() * X.mT @ (torch.relu(X @ w + b) - y)

    closed = functions_of_torch()["closed"]
    for own in (None, data(), tensors("float32")):
        check = dict(formula=NEURON, wrt="w", shapes=SHAPES, data=own)
        assert cr.check(**check, claim=without_mask).diagnosis == "mask"
        assert cr.check(**check, claim=lambda **g: -closed(**g)).diagnosis == "sign"
        assert cr.check(**check, claim=lambda **g: closed(**g).float() / 2).diagnosis == "factor"
        assert cr.check(**check, claim=lambda **g: 1.001 * closed(**g).float()).verdict == "wrong"
        assert not cr.check(**check, claim=torch.func.grad(neuron(torch), argnums=3))


def test_tensors_that_require_gradients_are_data_and_numbers() -> None:
    torch = backend("torch")
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert cr.check("sum(x**2)", wrt="x", claim=lambda x: 2 * x, shapes="x[n]", data={"x": x})
    assert cr.check("sum(x**2)", wrt="x", claim=2 * x, shapes="x[n]", at={"x": x})
    assert not cr.check("sum(x**2)", wrt="x", claim=x, shapes="x[n]", at={"x": x})


def test_jacobians_hessians_and_several_scalars() -> None:
    torch, jax = backend("torch"), backend("jax")
    shapes = "A[m,n] x[n]"
    for jacobian in (torch.func.jacrev, jax.jacrev):
        product = jacobian(lambda A, x: A @ x, argnums=1)
        assert cr.check("A @ x", wrt="x", claim=product, shapes=shapes).verdict == "equal"
    second = torch.func.hessian(lambda A, x: ((A @ x) ** 3).sum(), argnums=1)
    assert cr.check("sum((A @ x)**3)", wrt="x", claim=second, shapes=shapes, order=2).verdict == "equal"
    for gradient in (torch.func.grad, jax.grad):
        both = gradient(lambda x, y: x**2 * y, argnums=(0, 1))
        assert cr.check("x**2*y", wrt="[x, y]", claim=both).verdict == "equal"


def test_functions_of_jax_compute_in_double_precision() -> None:
    jax = backend("jax")
    own = data()
    gradient = jax.grad(neuron(jax.numpy), argnums=1)
    for function in (gradient, jax.jit(gradient)):
        assert cr.check(NEURON, wrt="w", claim=function, shapes=SHAPES, data=own)

        def off(X: Any, w: Any, b: Any, y: Any, of: Function = function) -> Any:
            return of(X, w, b, y) * (1 + 1e-6)

        assert cr.check(NEURON, wrt="w", claim=off, shapes=SHAPES, data=own).verdict == "wrong"
    arrays = {name: jax.numpy.asarray(value) for name, value in own.items()}
    assert cr.check(NEURON, wrt="w", claim=gradient, shapes=SHAPES, data=arrays)
    assert not cr.check(NEURON, wrt="w", claim=jax.grad(neuron(jax.numpy), argnums=3), shapes=SHAPES)


def test_rounding_of_single_precision_is_no_mistake() -> None:
    def coarse(x: Any) -> Any:
        return 1 - np.tanh(np.float32(x)) ** 2

    assert cr.check("tanh(x)", wrt="x", claim=coarse).verdict == "equal"
    assert cr.check("tanh(x)", wrt="x", claim=lambda x: 1.01 * coarse(x)).verdict == "wrong"


def test_a_result_of_another_size_is_told_with_both() -> None:
    def per_instance(X: Any, w: Any, b: Any, y: Any) -> Any:
        z = X @ w + b
        return (np.maximum(z, 0) - y) * (z > 0)

    found = cr.check(NEURON, wrt="w", claim=per_instance, shapes=SHAPES, data=data())
    assert (found.verdict, found.diagnosis) == ("wrong", "shape")
    assert "The claim has the shape 5, the correct answer 3." in found.text


@pytest.mark.parametrize("library", ["numpy", "jax.numpy", "torch"])
@pytest.mark.parametrize("own", [False, True], ids=["random points", "own data"])
def test_sizes_that_do_not_fit_inside_a_function_are_wrong(library: str, own: bool) -> None:
    Xp = backend(library)

    def transposed(X: Any, w: Any, b: Any, y: Any) -> Any:
        e = Xp.maximum(X @ w + b, 0 * y) - y
        return X @ e

    found = cr.check(NEURON, wrt="w", claim=transposed, shapes=SHAPES, data=data() if own else None)
    assert (found.verdict, found.diagnosis) == ("wrong", "shape")
    assert "The sizes do not fit inside transposed, in the line  return X @ e" in found.text
    assert "Traceback" not in found.text and "gufunc" not in found.text
    assert "The correct answer is a vector of n" in found.text
    assert ("X 5 × 3" in found.text) is own
    assert ("random ones" in found.text) is not own


SIZES: dict[str, list[Function]] = {
    "numpy": [
        lambda Xp, X, y: X + y,
        lambda Xp, X, y: X.dot(y),
        lambda Xp, X, y: X.reshape(7, 11),
        lambda Xp, X, y: y.sum(axis=1),
        lambda Xp, X, y: X[0, 0, 0],
        lambda Xp, X, y: Xp.einsum("ij,j->i", X, y),
        lambda Xp, X, y: Xp.linalg.inv(X),
        lambda Xp, X, y: Xp.stack([X, y]),
    ]
}
SIZES["jax.numpy"] = SIZES["numpy"]
SIZES["torch"] = [
    lambda Xp, X, y: X + y,
    lambda Xp, X, y: Xp.mv(X, y),
    lambda Xp, X, y: X.reshape(7, 11),
    lambda Xp, X, y: y.sum(dim=1),
    lambda Xp, X, y: X[0, 0, 0],
    lambda Xp, X, y: Xp.einsum("ij,j->i", X, y),
    lambda Xp, X, y: Xp.linalg.inv(X),
    lambda Xp, X, y: Xp.stack([X, y]),
    lambda Xp, X, y: Xp.dot(X, y),
    lambda Xp, X, y: X.mm(X),
]


@pytest.mark.parametrize("library", SIZES)
def test_what_libraries_say_of_sizes_is_recognised(library: str) -> None:
    Xp = backend(library)
    own = {"X": np.ones((4, 3)), "w": np.ones(3), "y": np.ones(4)}
    for one in SIZES[library]:
        found = cr.check(
            "sum((X @ w - y)**2)",
            wrt="w",
            claim=lambda X, y, one=one: one(Xp, X, y),
            shapes="X[N,n] w[n] y[N]",
            data=own,
        )
        assert (found.verdict, found.diagnosis) == ("wrong", "shape"), found.text


@pytest.mark.parametrize("failing", [lambda X: X.nothing, lambda X: 1 / 0, lambda X: {}["key"]])
def test_other_errors_inside_a_function_are_refused_in_words(failing: Function) -> None:
    with pytest.raises(ChainruleError, match="the function failed: "):
        cr.check("sum(X)", wrt="X", claim=failing, shapes="X[m,n]")


def test_a_function_of_jax_may_be_given_tensors_as_data() -> None:
    jax = backend("jax")
    gradient = jax.grad(neuron(jax.numpy), argnums=1)
    assert cr.check(NEURON, wrt="w", claim=gradient, shapes=SHAPES, data=tensors())
