"""Where a derivative has no value, compiled code gives the right limit or an error in words, never NaN."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DomainProblem


def compiled(formula: str, shapes: str, wrt: str, order: int) -> Any:
    return cr.derive(formula, wrt=wrt, shapes=shapes, order=order).compile()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("formula", "shapes", "array"),
    [
        ("norm(x)", "x[2]", np.zeros(2)),
        ("norm(x)", "x[2,3]", np.zeros((2, 3))),
        ("sum(norm(x, axis=1))", "x[2,3]", np.array([[0, 0, 0], [1.0, 2, 3]])),
        ("std(x)", "x[3]", np.ones(3)),
    ],
)
def test_a_norm_has_no_second_derivative_at_0(formula: str, shapes: str, array: Any) -> None:
    assert np.isfinite(compiled(formula, shapes, "x", 1)(x=array)).all()
    with pytest.raises(DomainProblem, match="a norm that is divided by is 0"):
        compiled(formula, shapes, "x", 2)(x=array)
    off = array + np.arange(1, array.size + 1).reshape(array.shape)
    assert np.isfinite(compiled(formula, shapes, "x", 2)(x=off)).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_defined_is_an_error_and_what_is_given_passes() -> None:
    root = compiled("sum(sqrt(x))", "x[2]", "x", 1)
    with pytest.raises(DomainProblem, match="not defined at these arrays"):
        root(x=np.array([-1.0, 4.0]))
    assert np.array_equal(root(x=np.array([np.nan, 4.0])), [np.nan, 0.25], equal_nan=True)
    assert compiled("1/x", "x", "x", 1)(x=0.0) == -np.inf
    assert np.isnan(cr.derive("sqrt(x)", wrt="x").at({"x": -1.0}).value)


@pytest.mark.filterwarnings("error")
def test_a_power_by_its_exponent_at_0() -> None:
    x, y = np.array([0.0, 3.0]), np.array([2.0, 2.0])
    log = np.log(3)
    assert np.allclose(compiled("sum(x**y)", "x[2] y[2]", "y", 1)(x=x, y=y), [0, 9 * log])
    assert np.allclose(compiled("sum(x**y)", "x[2] y[2]", "y", 2)(x=x, y=y), np.diag([0, 9 * log**2]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_power_0_by_its_exponent_at_0_is_infinite() -> None:
    assert compiled("x**y", "x y", "y", 1)(x=0.0, y=0.0) == -np.inf


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("formula", "slope", "second"),
    [
        ("where(x > 0, sqrt(x), 0)", 1 / 4, -1 / 32),
        ("where(x > 0, log(x), 0)", 1 / 4, -1 / 16),
        ("where(x > 0, exp(-sqrt(x)), 0)", -np.exp(-2) / 4, np.exp(-2) * (1 / 16 + 1 / 32)),
        ("sqrt(relu(x))", 1 / 4, -1 / 32),
    ],
)
def test_a_branch_that_is_not_taken_gives_0(formula: str, slope: float, second: float) -> None:
    x = np.array([-1.0, 0.0, 4.0])
    assert np.allclose(compiled(f"sum({formula})", "x[3]", "x", 1)(x=x), [0, 0, slope])
    assert np.allclose(compiled(f"sum({formula})", "x[3]", "x", 2)(x=x), np.diag([0, 0, second]))


@pytest.mark.parametrize("inside", [np.full((3, 3), np.inf), np.diag([1.0, np.inf, 2.0])])
def test_a_positive_definite_matrix_is_finite(inside: Any) -> None:
    assert np.isnan(compiled("logdet(A)", "A[n,n]:spd", "A", 1)(A=inside)).all()
    large = 1e200 * np.eye(3)
    assert np.allclose(compiled("logdet(A)", "A[n,n]:spd", "A", 1)(A=large), 1e-200 * np.eye(3), atol=0)
