"""L-BFGS, Newton-CG, Newton and Gauss-Newton: known minima, saddles, kinks and the edges of domains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from objectives import Function, Rosenbrock, quadratic, table

import chainrule as cr
from chainrule.errors import LimitExceeded, NoDerivative
from chainrule.fit.newton import newton_direction
from chainrule.fit.run import run
from chainrule.fit.solvers import Solver, Tape

SOLVERS = ["lbfgs", "newton-cg", "newton", "gauss-newton"]


@pytest.mark.parametrize("method", SOLVERS)
def test_rosenbrock(method: str) -> None:
    outcome = run(Rosenbrock(6), method, np.full(6, -0.5), steps=500)
    assert outcome.converged, outcome.reason
    assert np.allclose(outcome.theta, 1, atol=1e-7)


@pytest.mark.parametrize("method", SOLVERS)
def test_a_large_constant_costs_no_accuracy(method: str) -> None:
    """With 10⁸ beside it the loss tells θ to about 10⁻³ only; the gradient tells it to 10⁻⁹."""
    centre = np.array([1.0, -2.0, 3.0])
    objective = quadratic([1.0, 0.01, 30.0], centre, offset=1e8)
    outcome = run(objective, method, np.zeros(3), steps=200)
    assert outcome.converged, outcome.reason
    assert np.abs(outcome.theta - centre).max() < 1e-6


def test_the_finishing_steps_are_told() -> None:
    outcome = run(quadratic([1.0, 0.01, 30.0], [1.0, -2.0, 3.0], offset=1e8), "lbfgs", np.zeros(3))
    assert "Newton step" in " ".join(outcome.notes)


def saddle() -> Function:
    """x² − y² + y⁴, with a saddle at 0 and minima at y = ±1/√2."""
    return Function(
        (2,),
        lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4,
        lambda x: [2 * x[0], -2 * x[1] + 4 * x[1] ** 3],
        lambda x: [[2, 0], [0, -2 + 12 * x[1] ** 2]],
    )


@pytest.mark.parametrize("method", ["newton", "newton-cg"])
def test_a_saddle_is_left(method: str) -> None:
    outcome = run(saddle(), method, np.array([1.0, 1e-3]))
    assert outcome.converged
    assert outcome.theta == pytest.approx([0, np.sqrt(0.5)], abs=1e-7)
    if method == "newton":
        assert "not positive definite" in outcome.notes[0]


def test_a_direction_goes_down_wherever_the_hessian_is_not_definite() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        a = rng.standard_normal((4, 4))
        g = rng.standard_normal(4)
        direction, mended = newton_direction(a + a.T, g)
        assert g @ direction < 0
        assert mended == (np.linalg.eigvalsh(a + a.T).min() <= 0)


@pytest.mark.parametrize("method", SOLVERS)
def test_where_the_loss_is_not_defined_a_solver_steps_back(method: str) -> None:
    """x − log x + 100 (y − 1)², far steps of which leave x > 0."""

    def f(x: Any) -> Any:
        return x[0] - np.log(x[0]) + 100 * (x[1] - 1) ** 2

    objective = Function(
        (2,), f, lambda x: [1 - 1 / x[0], 200 * (x[1] - 1)], lambda x: np.diag([1 / x[0] ** 2, 200])
    )
    outcome = run(objective, method, np.array([9.0, -4.0]), steps=400)
    assert outcome.converged, outcome.reason
    assert outcome.theta == pytest.approx([1, 1], abs=1e-6)


@pytest.mark.parametrize("method", ["lbfgs", "newton", "gauss-newton", "newton-cg"])
def test_at_a_kink_the_run_ends_and_says_that_it_is_no_minimum_of_a_smooth_loss(method: str) -> None:
    objective = Function(
        (2,), lambda x: np.abs(x).sum(), lambda x: np.where(x > 0, 1.0, -1.0), lambda x: np.zeros((2, 2))
    )
    outcome = run(objective, method, np.array([0.7, -1.3]), steps=300)
    assert not outcome.converged
    assert outcome.loss < 2


@pytest.mark.parametrize("method", ["newton", "gauss-newton"])
def test_too_many_parameters_for_a_matrix_are_refused_with_a_way_out(method: str) -> None:
    objective = quadratic(np.ones(2001), np.zeros(2001))
    with pytest.raises(LimitExceeded, match=r"2,001 × 2,001") as problem:
        run(objective, method, np.ones(2001))
    assert "newton-cg" in problem.value.hint


def test_newton_takes_one_step_on_squares() -> None:
    outcome = run(table("squares"), "newton", np.zeros(5))
    assert outcome.steps == 1


def test_gauss_newton_solves_a_singular_problem() -> None:
    """Two equal columns: the minimum is a line, and a point on it is found."""
    objective = quadratic([1.0, 1.0], [0.0, 0.0])
    matrix = np.ones((2, 2))
    objective.f = lambda x: 0.5 * (x.sum() - 3) ** 2
    objective.g = lambda x: np.full(2, x.sum() - 3)
    objective.h = lambda x: matrix
    outcome = run(objective, "gauss-newton", np.zeros(2))
    assert outcome.converged
    assert outcome.theta.sum() == pytest.approx(3, abs=1e-7)


@pytest.mark.parametrize("kind", ["squares", "logistic"])
@pytest.mark.parametrize("method", SOLVERS)
def test_a_tolerance_of_zero_is_met_up_to_rounding(method: str, kind: str) -> None:
    outcome = run(table(kind), method, np.full(5, 0.1), tolerance=0.0)
    assert outcome.converged, outcome.reason
    assert outcome.gradient_norm < 1e-12
    assert "up to rounding" in outcome.reason or outcome.gradient_norm == 0


def test_a_kink_is_not_taken_for_a_minimum_up_to_rounding() -> None:
    """Σ |x − 0.3| + 0.1 x²: damping shrinks the steps to nothing, yet more could be gained."""
    objective = Function(
        (2,),
        lambda x: np.abs(x - 0.3).sum() + 0.1 * x @ x,
        lambda x: np.where(x > 0.3, 1.0, -1.0) + 0.2 * x,
        lambda x: 0.2 * np.eye(2),
    )
    outcome = run(objective, "gauss-newton", np.array([0.7, -1.3]))
    assert not outcome.converged
    assert outcome.reason.startswith("no smaller loss was found")


def test_a_solver_keeps_no_record_without_a_checkpoint() -> None:
    objective = table("squares")
    tape = Tape(objective, None, keep=False)
    Solver(tape, np.zeros(5), None).solve("lbfgs", 1e-8, lambda state: state.gradient_norm < 1e-6)
    assert (tape.evaluations, len(tape.kinds)) == (objective.asked, 0)


@pytest.mark.parametrize("method", ["momentum", "nesterov", *SOLVERS])
def test_a_loss_with_rounding_errors_of_a_long_sum_is_minimised(method: str) -> None:
    """Wrong by up to 10⁻¹³ of itself, as a sum over a million rows may be, in no order."""
    objective = quadratic([1.0, 0.01, 30.0], [1.0, -2.0, 3.0], offset=1e3)
    exact = objective.f
    objective.f = lambda x: exact(x) * (1 + 1e-13 * np.sin(1e15 * x.sum()))
    outcome = run(objective, method, np.zeros(3), steps=20000, tolerance=1e-9)
    assert outcome.converged, outcome.reason
    assert np.abs(outcome.theta - [1, -2, 3]).max() < 1e-6


@pytest.mark.parametrize("method", ["gd", "lbfgs"])
def test_a_loss_without_a_second_derivative_is_fitted_by_gradients(method: str) -> None:
    objective = quadratic([1.0, 0.3], [1.0, -2.0], offset=1e8)

    def refuse(theta: Any, direction: Any) -> Any:
        raise NoDerivative("no derivative known")

    objective.product = refuse
    outcome = run(objective, method, np.zeros(2), steps=2000)
    assert outcome.theta == pytest.approx([1, -2], abs=1e-2)
    assert outcome.converged == (method == "gd")
    if method == "gd":
        assert "no second derivative" in outcome.notes[0]


@pytest.mark.parametrize("scale", ["exp(s)", "s"])
def test_gauss_newton_finds_a_scale(scale: str) -> None:
    """σ curves the loss otherwise than JᵀHJ says, and the columns have very different sizes."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 3)) * [1.0, 30.0, 0.1]
    y = X @ [1.0, 0.2, -3.0] + 5 + 2 * rng.normal(size=60)
    loss = f"mean(((y - X @ w - b)/{scale})**2)/2 + log({scale})"
    shapes = "X[N,n] w[n] y[N] b s" + ":positive" * (scale == "s")
    found = cr.fit(loss, ["w", "b", "s"], {"X": X, "y": y}, shapes, method="gauss-newton")
    assert found.converged and found.steps < 60 and "Newton step" in found.notes[-2]
    left = y - np.c_[X, np.ones(60)] @ np.linalg.lstsq(np.c_[X, np.ones(60)], y)[0]
    sigma = found.params["s"] if scale == "s" else np.exp(found.params["s"])
    assert sigma == pytest.approx(np.sqrt(np.mean(left**2)), rel=1e-9)
