"""Structures of parameters: derivatives of each x(t) against differences, and fits that stay inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from objectives import Function, quadratic

from chainrule.errors import DomainProblem, FileProblem, OptionError
from chainrule.fit.constraints import Constrained, constrained
from chainrule.fit.options import METHODS
from chainrule.fit.run import Outcome, run
from chainrule.fit.start import random_start
from chainrule.language.declarations import STRUCTURES
from chainrule.verify.sample import draw

SHAPES: dict[str, tuple[int, ...]] = {
    "simplex": (2, 4),
    "unit": (4,),
    "orthonormal": (4, 2),
    "positive": (2, 3),
    "nonnegative": (3,),
    "probability": (),
}
MOVING = [word for word in STRUCTURES if word not in ("sign", "integer")]
SEVERAL = [("symmetric", "positive"), ("diagonal", "nonnegative"), ("lower", "probability"),
           ("spd", "diagonal"), ("lower", "upper"), ("simplex", "positive")]  # fmt: skip
CASES = [*((word,) for word in MOVING), *SEVERAL]


def cubic(shape: tuple[int, ...]) -> Function:
    """Σ aᵢ xᵢ + ½ xᵀ M x + ⅓ Σ xᵢ³, whose Hessian is full and changes."""
    n = int(np.prod(shape))
    rng = np.random.default_rng(0)
    a, m = rng.standard_normal(n), rng.standard_normal((n, n))
    m = m @ m.T / n
    return Function(
        shape,
        lambda x: a @ x + x @ m @ x / 2 + (x**3).sum() / 3,
        lambda x: a + m @ x + x**2,
        lambda x: m + 2 * np.diag(x),
    )


def case(structure: tuple[str, ...], seed: int = 0) -> tuple[Constrained, Any]:
    """A constrained cubic and a t away from its start."""
    shape = SHAPES.get(structure[0], (3, 3))
    start = random_start({"x": shape}, {"x": structure}, seed)
    objective = constrained(cubic(shape), {"x": structure}, start, "gd")
    assert isinstance(objective, Constrained)
    rng = np.random.default_rng(seed + 1)
    return objective, objective.inverse(start["x"].ravel()) + 0.3 * rng.standard_normal(objective.size)


def wrong(objective: Constrained, t: Any) -> list[str]:
    """Which derivatives disagree with differences."""
    h = 1e-6
    units = np.eye(objective.size)
    value = [objective.value_and_gradient(t + s * h * unit)[0] for unit in units for s in (1, -1)]
    gradients = [objective.value_and_gradient(t + s * h * unit)[1] for unit in units for s in (1, -1)]
    products = np.array([objective.product(t, unit) for unit in units])
    slopes = np.subtract(value[::2], value[1::2]) / (2 * h)
    curvatures = np.subtract(gradients[::2], gradients[1::2]) / (2 * h)
    pairs = {
        "gradient": (objective.value_and_gradient(t)[1], slopes),
        "product": (products, curvatures),
        "hessian": (objective.hessian(t), curvatures),
    }
    return [name for name, (one, other) in pairs.items() if not np.allclose(one, other, rtol=1e-6, atol=1e-7)]


@pytest.mark.parametrize("structure", CASES)
def test_derivatives_are_those_of_differences(structure: tuple[str, ...]) -> None:
    assert wrong(*case(structure)) == []


@pytest.mark.parametrize("part", ["push", "pull", "bend"])
@pytest.mark.parametrize("structure", ["positive", "simplex", "spd", "unit", "orthogonal"])
def test_a_wrong_derivative_is_found(structure: str, part: str) -> None:
    objective, t = case((structure,))
    block = objective.parts[0].block
    right = getattr(block, part)
    setattr(block, part, lambda *given: 1.001 * right(*given))
    assert ("gradient" if part == "pull" else "product") in wrong(objective, t)


@pytest.mark.parametrize("structure", CASES)
def test_values_have_the_structure_and_a_start_is_found_again(structure: tuple[str, ...]) -> None:
    objective, t = case(structure)
    x = objective.natural(t)
    array = objective.unpack(t)["x"]
    assert holds(array, structure)
    if "orthogonal" not in structure and "orthonormal" not in structure:
        assert np.allclose(objective.natural(objective.inverse(x)), x, rtol=1e-9, atol=1e-12)
    given = draw(array.shape, structure, "normal", np.random.default_rng(5))
    again = constrained(cubic(array.shape), {"x": structure}, {"x": given}, "gd")
    assert isinstance(again, Constrained)
    assert np.allclose(again.natural(again.inverse(given.ravel())), given.ravel(), atol=1e-9)


def holds(x: Any, structure: tuple[str, ...]) -> bool:
    """Whether an array is what it is declared to be."""
    entries = x
    if set(structure) & {"diagonal", "lower", "upper"}:
        mask = {"diagonal": np.eye(3), "lower": np.tril(np.ones((3, 3))), "upper": np.triu(np.ones((3, 3)))}
        where = np.prod([mask[word] for word in structure if word in mask], axis=0) > 0
        if (x[~where] != 0).any():
            return False
        entries = x[where]
    tests = {
        "symmetric": lambda: np.array_equal(x, x.T),
        "skew": lambda: np.array_equal(x, -x.T),
        "spd": lambda: np.linalg.eigvalsh(x).min() > 0,
        "orthogonal": lambda: np.allclose(x.T @ x, np.eye(3), atol=1e-12),
        "orthonormal": lambda: np.allclose(x.T @ x, np.eye(2), atol=1e-12),
        "unit": lambda: np.isclose(np.linalg.norm(x), 1),
        "simplex": lambda: (x > 0).all() and np.allclose(x.sum(-1), 1),
        "positive": lambda: (entries > 0).all(),
        "nonnegative": lambda: (entries >= 0).all(),
        "probability": lambda: ((entries > 0) & (entries < 1)).all(),
    }
    return all(tests[word]() for word in structure if word in tests)


def test_the_check_of_structures_finds_what_lacks_them() -> None:
    rng = np.random.default_rng(0)
    for structure in CASES:
        shape = SHAPES.get(structure[0], (3, 3))
        assert not holds(-2 - rng.random(shape), structure)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("sgd", "adam")])
def test_every_method_finds_the_nearest_point_of_the_simplex(method: str) -> None:
    """The maximum of Σ aᵢ log pᵢ on the simplex is a, when a adds up to 1."""
    a = np.array([0.5, 0.3, 0.15, 0.05])
    objective = Function((4,), lambda p: -a @ np.log(p), lambda p: -a / p, lambda p: np.diag(a / p**2))
    start = {"x": np.full(4, 0.25)}
    rate = {"rate": 1.0} if "rate" in METHODS[method].takes else {}
    outcome = run(constrained(objective, {"x": ("simplex",)}, start, method), method, start, **rate)
    assert outcome.converged, outcome.reason
    assert np.abs(outcome.theta - a).max() < 1e-6
    assert "softmax" in outcome.notes[0]


@pytest.mark.parametrize("method", ["newton", "newton-cg", "gd"])
@pytest.mark.parametrize("word", ["positive", "nonnegative", "probability", "simplex"])
def test_an_edge_where_nothing_moves_is_no_minimum(word: str, method: str) -> None:
    """The gradient by t vanishes there, however much the loss falls inwards."""
    rate = {"rate": 0.1} if method == "gd" else {}
    for centre, start in (([0.3, 0.7], [1e-14, 1 - 1e-14]), ([0.7, 0.3], [1 - 1e-14, 1e-14])):
        objective, begin = quadratic([1, 1], centre), {"x": np.array(start)}
        outcome = run(constrained(objective, {"x": (word,)}, begin, method), method, begin, **rate)
        assert not outcome.converged and "x is at the edge" in outcome.reason and "inside" in outcome.hint
    tiny, begin = quadratic([1e16], [1e-7]), {"x": np.array([3e-7])}
    if word == "positive" and method != "gd":
        assert run(constrained(tiny, {"x": (word,)}, begin, method), method, begin).converged


def test_newton_does_not_leap_to_an_edge() -> None:
    """Where the loss is hardly curved by t, a whole step would be far too long."""
    for start in np.linspace(0.02, 0.98, 49):
        objective, begin = quadratic([1.0], [0.3]), {"x": np.array([start])}
        outcome = run(constrained(objective, {"x": ("probability",)}, begin, "newton"), "newton", begin)
        assert outcome.converged and outcome.theta[0] == pytest.approx(0.3, abs=1e-8)


@pytest.mark.parametrize(("word", "high"), [("nonnegative", np.inf), ("probability", 1.0)])
def test_lbfgs_keeps_bounds_and_reaches_them(word: str, high: float) -> None:
    centre = np.array([-1.0, 0.3, 2.0])
    objective = Function(
        (3,), lambda x: ((x - centre) ** 2).sum(), lambda x: 2 * (x - centre), lambda x: 2 * np.eye(3)
    )
    start = {"x": np.full(3, 0.5)}
    outcome = run(constrained(objective, {"x": (word,)}, start, "lbfgs"), "lbfgs", start)
    assert outcome.converged, outcome.reason
    assert outcome.theta == pytest.approx(np.clip(centre, 0, high), abs=1e-9)
    assert "by bounds" in outcome.notes[0]
    free = run(constrained(objective, {"x": (word,)}, start, "newton-cg"), "newton-cg", start, tolerance=1e-6)
    assert np.abs(free.theta - np.clip(centre, 0, high)).max() < 1e-2


def test_orthonormal_columns_find_the_leading_eigenvectors() -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal((5, 5))
    a = a @ a.T

    def f(x: Any) -> float:
        q = x.reshape(5, 2)
        return float(-np.trace(q.T @ a @ q))

    objective = Function(
        (5, 2), f, lambda x: -2 * (a @ x.reshape(5, 2)).ravel(), lambda x: -2 * np.kron(a, np.eye(2))
    )
    start = random_start({"x": (5, 2)}, {"x": ("orthonormal",)}, 0)
    outcome = run(constrained(objective, {"x": ("orthonormal",)}, start, "newton-cg"), "newton-cg", start)
    assert outcome.loss == pytest.approx(-np.linalg.eigvalsh(a)[-2:].sum(), rel=1e-10)


@pytest.mark.parametrize(
    ("method", "structure"), [("lbfgs", "nonnegative"), ("newton-cg", "orthogonal"), ("adam", "simplex")]
)
def test_a_fit_with_a_structure_goes_on_to_the_same_bits(method: str, structure: str, tmp_path: Path) -> None:
    start = random_start({"x": (3, 3)}, {"x": (structure,)}, 2)

    def to(steps: int, **files: Path) -> Outcome:
        objective = constrained(cubic((3, 3)), {"x": (structure,)}, start, method)
        return run(objective, method, start, steps=steps, **files)

    path = tmp_path / "run.npz"
    to(3, checkpoint=path)
    one, other = to(9, resume=path), to(9)
    assert one.theta.tobytes() == other.theta.tobytes()
    assert one.history["loss"].tobytes() == other.history["loss"].tobytes()
    assert one.steps > 3
    other_start = random_start({"x": (3, 3)}, {"x": (structure,)}, 3)
    objective = constrained(cubic((3, 3)), {"x": (structure,)}, other_start, method)
    with pytest.raises(FileProblem, match="another start"):
        run(objective, method, other_start, resume=path)


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (("sign",), "x is declared sign, and between such values nothing moves"),
        (("integer(5)",), r"x is declared integer\(5\)"),
        (("skew", "positive"), "no function is known whose values are positive and skew"),
        (("orthogonal", "symmetric"), "no function is known"),
        (("positive", "orthogonal", "upper"), "whose values are orthogonal and positive"),
    ],
)
def test_what_cannot_be_kept_is_refused(structure: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        constrained(cubic((3, 3)), {"x": structure}, {"x": np.eye(3)}, "gd")


@pytest.mark.parametrize(
    ("structure", "start"),
    [
        (("positive",), [[1.0, 0.0], [1.0, 1.0]]),
        (("symmetric",), [[1.0, 0.5], [0.4, 1.0]]),
        (("spd",), [[1.0, 2.0], [2.0, 1.0]]),
        (("simplex",), [[0.5, 0.5], [0.5, 0.6]]),
        (("diagonal",), [[1.0, 0.5], [0.0, 1.0]]),
    ],
)
def test_a_start_outside_is_refused(structure: tuple[str, ...], start: Any) -> None:
    given = {"x": np.array(start)}
    with pytest.raises(DomainProblem, match="the start of x is not what it is declared to be"):
        run(constrained(cubic((2, 2)), {"x": structure}, given, "gd"), "gd", given)


def test_without_structure_the_objective_stays() -> None:
    objective = cubic((2, 2))
    assert constrained(objective, {"x": ()}, {"x": np.eye(2)}, "gd") is objective
