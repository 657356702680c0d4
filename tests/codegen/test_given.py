"""Arrays of every kind, constants beside float32, empty axes: values, or errors in words, in all backends."""

from __future__ import annotations

import warnings
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


def test_large_results_give_no_warning() -> None:
    f = cr.derive("1 / (1 - exp(-x))", "x", "x").value_and_derivatives()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f(x=1e-160)[0] == pytest.approx(1e160)
