"""Arrays of every kind, constants beside float32, empty axes: values, or errors in words, in all backends."""

from __future__ import annotations

import copy
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArrayMismatch, DomainProblem
from tests.backends import backend as library

BACKENDS = ["numpy", "numba", "jax", "torch"]
LOSS = ("mean((y - relu(X @ w + b))**2)", "w", "X[N,n] w[n] b y[N]")
GIVEN: dict[str, Any] = {"X": np.arange(6.0).reshape(3, 2), "w": np.ones(2), "b": 0.5, "y": np.ones(3)}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "jax":
        library("jax").config.update("jax_enable_x64", True)
    elif name != "numpy":
        library(name)
    return name


def test_no_axis_of_0_entries_ends_in_a_traceback(backend: str) -> None:
    f = cr.derive(*LOSS).compile(backend=backend)
    with pytest.raises(ArrayMismatch, match=r"0 entries: X\[N, n\] was given shape \(0, 2\)"):
        f(**GIVEN | {"X": GIVEN["X"][:0], "y": GIVEN["y"][:0]})
    largest = cr.derive("max(x)**2", "x", "x[n]").compile(backend=backend)
    with pytest.raises(ArrayMismatch, match=r"x\[n\] was given shape \(0,\)"):
        largest(x=np.ones(0))
    assert np.asarray(cr.derive("sum(x**2)", "x", "x[n]").compile(backend=backend)(x=np.ones(0))).shape == (
        0,
    )


def test_a_division_by_a_size_of_0_is_told(backend: str) -> None:
    spread = cr.derive("var(x, ddof=1)", "x", "x[n]").compile(backend=backend)
    with pytest.raises(DomainProblem, match=r"made of the sizes is 0 .*: x\[n\] of shape \(1,\)"):
        spread(x=np.ones(1))


def test_constants_have_the_precision_of_what_is_given(backend: str) -> None:
    for text, order in (("x[1:] / 3", 1), ("sum(x[1:]**2) / 3", 2), ("x / 3", 1)):
        f = cr.derive(text, "x", "x[4]", order=order).compile(backend=backend)
        for kind in (np.float32, np.float64):
            found = np.asarray(f(x=np.ones(4, kind)))
            assert found.dtype == kind, (text, kind)
            assert np.array_equal(found, np.round(3 * found).astype(kind) / kind(3)), "all its digits"


def test_arrays_of_any_order_of_bytes_and_digits_are_taken(backend: str) -> None:
    f = cr.derive(*LOSS).compile(backend=backend)
    expected = np.asarray(f(**GIVEN))
    for kind in (">f8", np.longdouble, np.int8, np.uint64, object):
        X = GIVEN["X"].astype(kind)
        if kind is object:
            with pytest.raises(ArrayMismatch, match="not of numbers"):
                f(**GIVEN | {"X": X})
        else:
            assert np.array_equal(np.asarray(f(**GIVEN | {"X": X})), expected)
    with pytest.raises(ArrayMismatch, match=r"b was given (a number beyond|an array of object)"):
        f(**GIVEN | {"b": 10**400})


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_a_tensor_that_is_differentiated_is_refused_in_words(name: str) -> None:
    torch = library("torch")
    f = cr.derive(*LOSS).compile(backend=name)
    with pytest.raises(ArrayMismatch, match=r"X\[N, n\] cannot be made from what was given"):
        f(**GIVEN | {"X": torch.ones((3, 2), dtype=torch.float64, requires_grad=True)})


def test_what_has_no_eigenvalues_is_told() -> None:
    f = cr.derive("eigvalsh(A)", "A", "A[n,n]").compile()
    with pytest.raises(DomainProblem, match="eigenvalues did not converge at these arrays"):
        f(A=np.full((4, 4), np.nan))


def test_large_results_give_no_warning() -> None:
    f = cr.derive("1 / (1 - exp(-x))", "x", "x").value_and_derivatives()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f(x=1e-160)[0] == pytest.approx(1e160)


def test_functions_are_pickled_and_copied(backend: str) -> None:
    derived = cr.derive(*LOSS)
    f, both = derived.compile(backend=backend), derived.value_and_derivatives(backend=backend)
    for made in (pickle.loads(pickle.dumps(f)), copy.copy(f), copy.deepcopy(f)):
        assert made.__source__ == f.__source__ and np.array_equal(made(**GIVEN), f(**GIVEN))
    value, gradient = pickle.loads(pickle.dumps(both))(**GIVEN)
    assert value == both(**GIVEN)[0] and np.array_equal(gradient, f(**GIVEN))


def test_a_pickled_function_works_in_another_process() -> None:
    text = "logsumexp(X @ w) + norm(w)**2 + X[0, 0] * sum(c * w)"
    many = cr.derive(text, "w,X", "X[m,n] w[n] c[n]", order=2)
    given = {"X": np.arange(6.0).reshape(3, 2), "w": np.ones(2), "c": np.ones(2)}
    f = many.compile(structured=True)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = pool.submit(f, **given).result()
    assert all(np.array_equal(np.asarray(found[key]), np.asarray(part)) for key, part in f(**given).items())
    norm = cr.derive("norm(x)", "x", "x[n]", order=2).compile()
    with pytest.raises(DomainProblem, match="a norm that is divided by is 0"):
        pickle.loads(pickle.dumps(norm))(x=np.zeros(3))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("softmax(x) * [1, 2, 3]", {"shapes": "x[3]", "order": 2}),
        ("f(g(x))", {"functions": "f: scalar, g: scalar"}),
        ("L(X @ w)", {"shapes": "X[N,n] w[n]", "wrt": "w", "functions": "L: N->"}),
        ("z = tanh(X @ W); mean((z @ V)**2)", {"shapes": "X[N,n] W[n,k] V[k,m]", "wrt": "W,V"}),
    ],
)
def test_derivatives_are_pickled_and_copied(text: str, options: dict[str, Any]) -> None:
    derived = cr.derive(text, **{"wrt": "x"} | options)
    for made in (pickle.loads(pickle.dumps(derived)), copy.deepcopy(derived)):
        assert made.text == derived.text
        assert [d.expression for d in made.parts()] == [d.expression for d in derived.parts()]
