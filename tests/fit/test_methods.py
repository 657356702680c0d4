"""Methods that step by the gradient, against the recurrences of the literature written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from objectives import Rosenbrock, Rows, quadratic, table

from chainrule.errors import OptionError
from chainrule.fit.batches import Batches
from chainrule.fit.options import METHODS, Options
from chainrule.fit.run import Outcome, Progress, run


def thetas(objective: Any, method: str, start: Any, **options: Any) -> list[Any]:
    """Every θ of a run."""
    seen: list[Progress] = []
    run(objective, method, start, watch=seen.append, **options)
    return [progress.theta for progress in seen]


def test_gd_is_the_update_of_the_notes() -> None:
    """w ← w − η ∂C/∂w and b ← b − η ∂C/∂b, both 2/N times a sum over the rows on which the neuron is on."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    found = thetas(Rows("relu", X, y), "gd", np.array([0.3, -0.2, 0.1, 0.4]), rate=0.1, steps=25)
    w, b = np.array([0.3, -0.2, 0.1]), 0.4
    for theta in found:
        assert np.allclose(theta, [*w, b], rtol=1e-12)
        on = [i for i in range(20) if w @ X[i] + b > 0]
        errors = {i: w @ X[i] + b - y[i] for i in on}
        w, b = (
            w - 0.1 * 2 / 20 * sum(errors[i] * X[i] for i in on),
            b - 0.1 * 2 / 20 * sum(errors[i] for i in on),
        )
    assert len(found) == 26
    assert not np.allclose(found[0], found[-1], atol=0.05)


def test_momentum_is_the_heavy_ball() -> None:
    objective = Rosenbrock(3)
    found = thetas(objective, "momentum", np.zeros(3), rate=1e-3, momentum=0.8, steps=30)
    before = here = np.zeros(3)
    for theta in found:
        assert np.allclose(theta, here, rtol=1e-11)
        gradient = objective.value_and_gradient(here)[1]
        before, here = here, here - 1e-3 * gradient + 0.8 * (here - before)


def test_nesterov_takes_gradients_ahead() -> None:
    """The two sequences of Sutskever et al.: v ← βv − η∇C(x + βv), x ← x + v; θ is x + βv."""
    objective = Rosenbrock(3)
    found = thetas(objective, "nesterov", np.zeros(3), rate=1e-3, momentum=0.8, steps=30)
    x = v = np.zeros(3)
    for theta in found:
        ahead = x + 0.8 * v
        assert np.allclose(theta, ahead, rtol=1e-11)
        v = 0.8 * v - 1e-3 * objective.value_and_gradient(ahead)[1]
        x = x + v


def adam(gradient: Any, theta: Any, steps: int, rate: float) -> list[Any]:
    """Algorithm 1 of Kingma and Ba 2015."""
    m, v, found = 0 * theta, 0 * theta, [theta]
    for t in range(1, steps + 1):
        g = gradient(t - 1, theta)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        theta = theta - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        found.append(theta)
    return found


def test_adam_over_all_rows_is_algorithm_1() -> None:
    objective = Rosenbrock(4)
    expected = adam(lambda t, x: objective.value_and_gradient(x)[1], np.zeros(4), 40, 0.02)
    assert np.allclose(thetas(objective, "adam", np.zeros(4), rate=0.02, steps=40), expected, rtol=1e-9)


@pytest.mark.parametrize("method", ["adam", "sgd"])
def test_minibatches_are_taken_in_the_order_drawn(method: str) -> None:
    objective = table("squares", rows=23)
    batches = Batches(23, 5, seed=3)
    start = np.zeros(5)

    def gradient(step: int, theta: Any) -> Any:
        return objective.value_and_gradient(theta, batches.of(step))[1]

    found = thetas(objective, method, start, rate=0.01, batch=5, seed=3, steps=14)
    expected = [start]
    if method == "adam":
        expected = adam(gradient, start, 14, 0.01)
    else:
        for step in range(14):
            expected.append(expected[-1] - 0.01 * gradient(step, expected[-1]))
    assert np.allclose(found, expected, rtol=1e-10)


def test_an_epoch_takes_every_row_once_and_keeps_the_short_batch() -> None:
    batches = Batches(23, 5, seed=0)
    epochs = [[batches.of(5 * epoch + i) for i in range(5)] for epoch in range(2)]
    assert [len(batch) for batch in epochs[0] if batch is not None] == [5, 5, 5, 5, 3]
    rows = [np.concatenate([batch for batch in epoch if batch is not None]) for epoch in epochs]
    assert all(sorted(order) == list(range(23)) for order in rows)
    assert not np.array_equal(*rows)
    assert np.array_equal(Batches(23, 5, seed=0).of(7), batches.of(7))
    assert not np.array_equal(Batches(23, 5, seed=1).of(7), batches.of(7))


def test_loss_over_all_rows_is_taken_after_each_epoch_and_at_the_end() -> None:
    objective = table("squares", rows=23)
    outcome = run(objective, "sgd", np.zeros(5), batch=5, steps=13)
    history = outcome.history
    assert list(history["step"][history["whole"]]) == [0, 5, 10, 13]
    assert list(history["step"]) == [*range(14), 13]
    assert outcome.loss == objective.value_and_gradient(outcome.theta)[0]
    assert outcome.evaluations == 1 + 13 + 2 + 1


def test_backtracking_lowers_the_loss_in_every_step() -> None:
    outcome = run(Rosenbrock(2), "gd", np.array([-1.2, 1.0]), rate=100.0, backtracking=True, steps=300)
    losses, norms, rates = (outcome.history[name] for name in ("loss", "gradient_norm", "rate"))
    assert (losses[1:] <= losses[:-1] - 1e-4 * rates[1:] * norms[:-1] ** 2).all()
    assert outcome.loss < 0.2 < 20 < losses[0]


@pytest.mark.parametrize("kind", ["squares", "logistic", "poisson", "relu"])
def test_every_full_method_finds_the_same_minimum(kind: str) -> None:
    objective = table(kind)
    start = np.array([0.1, 0.1, 0.1, 0.1, 1.0])
    found: dict[str, Outcome] = {
        method: run(objective, method, start, steps=3000)
        for method in METHODS
        if method not in ("sgd", "adam")
    }
    assert all(outcome.converged for outcome in found.values())
    for outcome in found.values():
        assert np.abs(outcome.theta - found["newton"].theta).max() < 1e-6
        assert outcome.gradient_norm <= 1e-8


def test_sgd_and_adam_come_near() -> None:
    objective = table("poisson")
    best = run(objective, "newton", np.zeros(5)).loss
    for method, rate in (("sgd", 0.02), ("adam", 0.02)):
        assert run(objective, method, np.zeros(5), rate=rate, batch=10, steps=1500).loss < best + 1e-3


def test_without_a_rate_gd_takes_one_that_suits_the_curvature() -> None:
    outcome = run(quadratic([8.0, 2.0], [1.0, 1.0]), "gd", np.zeros(2), steps=5)
    assert outcome.history["rate"][1:] == pytest.approx(1 / 8)
    assert "1/|λ|" in outcome.notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "newtn"}, "did you mean newton"),
        ({"method": "newton", "rate": 0.1}, "newton has no option rate"),
        ({"method": "gd", "batch": 8}, "gd has no option batch"),
        ({"method": "gd", "rate": 0}, "rate is 0"),
        ({"method": "gd", "rate": float("nan")}, "rate is nan"),
        ({"method": "gd", "steps": 1.5}, "steps is a whole number"),
        ({"method": "momentum", "momentum": 1.0}, "momentum is 1.0"),
        ({"method": "adam", "betas": (0.9, 1.0)}, "betas is 1.0"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Options(**options)


def test_sgd_needs_rows() -> None:
    with pytest.raises(OptionError, match="not a sum or mean over rows"):
        run(Rosenbrock(2), "sgd", np.zeros(2))
