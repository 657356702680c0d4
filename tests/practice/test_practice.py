"""Losses and layers from practice against JAX in float64: 1e-9 at first order, 1e-7 for Hessians."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import pytest
from judged import judged
from practice.cases import CASES, Case

from chainrule.expr.nodes import Variable
from chainrule.language import parse_formula

SIZES = {"N": 4, "M": 3, "n": 3, "m": 2, "k": 3, "h": 3, "d": 2}


def values_of(case: Case) -> dict[str, Any]:
    """A point for every variable, from a seed of the name, inside its structure."""
    rng = np.random.default_rng(crc32(case.name.encode()))
    variables = parse_formula(case.formula, case.shapes).variables
    found = {name: _value(v, rng) for name, v in variables.items()}
    return {**found, **{name: np.asarray(v) for name, v in case.fixed.items()}}


def _value(variable: Variable, rng: np.random.Generator) -> Any:
    shape = [d.evaluate(SIZES) for d in variable.shape]
    normal = rng.standard_normal(shape)
    match variable.structure:
        case ("sign",):
            return np.sign(normal)
        case ("positive",):
            return np.exp(normal / 2)
        case ("probability",):
            return rng.uniform(0.1, 0.9, shape)
        case ("integer",):
            return rng.integers(0, 5, shape).astype(float)
        case ("spd",):
            return normal @ normal.T + np.eye(len(normal))
        case ("symmetric",):
            return normal + normal.T
    return 0.8 * normal


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_jax_agrees(case: Case) -> None:
    found = judged(
        case.formula, case.shapes, values_of(case), case.judge, case.wrt.split(), SIZES, case.second
    )
    assert found == []


def test_there_are_sixty_and_each_is_one() -> None:
    assert len(CASES) >= 60
    assert len({c.name for c in CASES}) == len({c.formula for c in CASES}) == len(CASES)


def test_the_judge_catches_a_wrong_derivative() -> None:
    """A formula that is off by 0.1 % in one parameter is noticed."""
    case = CASES[0]
    wrong = judged("mse(X @ w + 1.001*b, y)", case.shapes, values_of(case), case.judge, ["w", "b"], SIZES)
    assert len(wrong) >= 3
