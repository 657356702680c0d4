"""Where fits begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from objectives import Rows, quadratic

from chainrule.errors import ChainruleError
from chainrule.fit.files import write_arrays
from chainrule.fit.run import run
from chainrule.fit.start import random_start, relu_biases, start_of, suggested_rate
from chainrule.language import parse_declarations, parse_formula


@pytest.mark.parametrize(
    ("formula", "found"),
    [
        ("mean((y - relu(X @ w + b))**2)", {"b": "y"}),
        ("sum((relu(X @ w + b) - y)**2)/N + 0.1*sum(w**2)", {"b": "y"}),
        ("mean(huber(y - max(0, X @ w + b)))", {"b": "y"}),
        ("mean((y - relu(X @ w - b))**2)", {}),
        ("mean((y + relu(X @ w + b))**2)", {}),
        ("mean((y - relu(X @ w) - b)**2)", {}),
        ("mean((y - sigmoid(X @ w + b))**2)", {}),
        ("mean((y - relu(X @ w + 3))**2) + b**2", {}),
    ],
)
def test_the_bias_of_a_relu_that_is_compared_with_a_target(formula: str, found: dict[str, str]) -> None:
    loss = parse_formula(formula, parse_declarations("X[N,n] w[n] b y[N]")).expr
    assert relu_biases(loss, ["w", "b"]) == found


def test_the_neuron_moves_from_the_default_start() -> None:
    """Also where it would be off for every row if it started at zero."""
    rng = np.random.default_rng(0)
    objective = Rows("relu", rng.standard_normal((50, 3)), 100 + rng.standard_normal(50))
    shapes: dict[str, tuple[int, ...]] = {"w": (3,), "b": ()}
    start = start_of(shapes, {}, biases={"b": float(objective.y.mean())})
    outcome = run(objective, "gd", start, steps=500)
    assert outcome.converged
    assert outcome.loss < 1.5
    dead = run(objective, "gd", start_of(shapes, {}, init={"w": 0.0, "b": 0.0}))
    assert "exactly zero" in dead.reason
    assert "init=..." in dead.hint


def test_random_starts_are_small_and_belong_to_the_seed() -> None:
    shapes: dict[str, tuple[int, ...]] = {"w": (400,), "W": (200, 200), "b": ()}
    one, again, other = (random_start(shapes, {}, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], again[name]) for name in shapes)
    assert not any(np.array_equal(one[name], other[name]) for name in shapes)
    assert np.linalg.norm(one["w"]) == pytest.approx(0.1, rel=0.2)
    assert one["W"].std() == pytest.approx((2 / 400) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"v": 1.0}, "a start is given for v, which is no parameter"),
        ({"w": [1.0, 2.0]}, r"the start of w has the shape \(2,\), and w has \(3,\)"),
        ({"w": "one"}, "the start of w is not an array of numbers"),
        ({"w": float("nan")}, "the start of w is not finite"),
        ("nowhere.npz", "there is no file nowhere.npz"),
    ],
)
def test_starts_that_do_not_fit_are_refused(init: Any, message: str) -> None:
    with pytest.raises(ChainruleError, match=message):
        start_of({"w": (3,), "b": ()}, {}, init=init)


def test_a_start_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "start.npz"
    np.savez(path, w=np.arange(3.0))
    start = start_of({"w": (3,), "b": ()}, {}, init=path)
    assert np.array_equal(start["w"], [0, 1, 2])
    assert start["b"] != 0
    write_arrays(path, {"params.b": np.array(7.0), "history.loss": np.ones(2)}, "{}")
    assert start_of({"w": (3,), "b": ()}, {}, init=str(path))["b"] == 7


def test_the_suggested_rate_is_one_over_the_largest_curvature() -> None:
    assert suggested_rate(quadratic([0.5, 4.0, 1.0], np.zeros(3)), np.ones(3))[0] == pytest.approx(0.25)
    flat = suggested_rate(quadratic([0.0, 0.0], np.zeros(2)), np.ones(2))
    assert flat == (0.1, "the rate is 0.1, as the loss is not curved at the start")
