"""Random programs against JAX: a thousand in every run, and by name each that once failed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st
from reliability.judge import Judge, Outcome, derived, judge, values
from reliability.programs import Program, program
from reliability.regressions import REGRESSIONS

# One set of sizes for all: each shape costs the judge a compilation of every operation; the long run
# has more.
SIZES = (2, 3, 2)


@st.composite
def programs(draw: st.DrawFn, scalar: bool) -> Program:
    return program(lambda count: draw(st.integers(0, count - 1)), scalar, SIZES)


def _tell(outcome: Outcome, made: Program) -> None:
    assume(outcome.verdict != "skipped")
    assert outcome.verdict != "differs", f"{outcome.reason}: {made}"


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def _all_agree(order: int, count: int, part: int) -> None:
    """That many programs, the same in every run: those of the part."""

    @seed(part)
    @settings(deadline=None, suppress_health_check=SLOW, max_examples=count, database=None)
    @given(programs(scalar=order == 2), st.integers(0, 2**32 - 1))
    def agree(made: Program, point: int) -> None:
        _tell(judge(made, order, point), made)

    agree()


# In parts, which the processes of a test run share.
@pytest.mark.parametrize("part", range(14))
def test_jacobians_agree(part: int) -> None:
    _all_agree(1, 50, part)


@pytest.mark.parametrize("part", range(10))
def test_hessians_agree(part: int) -> None:
    _all_agree(2, 30, part)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(14, 54))
def test_more_jacobians_agree(part: int) -> None:
    _all_agree(1, 50, part)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10, 40))
def test_more_hessians_agree(part: int) -> None:
    _all_agree(2, 30, part)


@pytest.mark.parametrize("number", range(12))
def test_numpy_evaluates_what_jax_does(number: int) -> None:
    """A judge of the judge: a value by JAX itself and from its jaxpr."""
    made = program(random.Random(number).randrange, sizes=SIZES)
    referee, point = Judge(made), values(made, number)
    value = np.asarray(referee.value(point))
    np.testing.assert_allclose(referee.number(point), value, rtol=1e-10, atol=1e-10)


def test_a_planted_error_is_caught() -> None:
    """A derivative that is off by a thousandth in one entry differs; so does one that is turned."""
    made = Program("sum(sin(X) @ X.T, axis=0)", "X[m,m]", "X", {"m": 3}, {"X": "mm"})
    assert judge(made, 1, 0).verdict == "agrees"
    off = np.ones((3, 3, 3))
    off[1, 0, 2] = 1.001
    for spoil in (lambda J: J * off, lambda J: np.swapaxes(J, 1, 2)):

        def wrong(made: Program, order: int, spoil: Any = spoil) -> Any:
            right = derived(made, order)
            return lambda point: spoil(right(point))

        assert judge(made, 1, 0, wrong).verdict == "differs"


@pytest.mark.parametrize("name", REGRESSIONS)
@pytest.mark.parametrize("order", [1, 2])
def test_what_once_failed_agrees(name: str, order: int) -> None:
    made = REGRESSIONS[name]
    if order == 2 and np.asarray(Judge(made).value(values(made, 0))).shape:
        return  # a Hessian is asked of scalars only
    outcome = judge(made, order, 0)
    assert outcome.verdict == "agrees", outcome
