"""Random programs against JAX: a thousand in every run, and by name each that once failed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reliability.judge import Judge, Outcome, judge, values
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
EXAMPLES = settings(deadline=None, suppress_health_check=SLOW)


@settings(EXAMPLES, max_examples=700)
@given(programs(scalar=False), st.integers(0, 2**32 - 1))
def test_jacobians_agree(made: Program, seed: int) -> None:
    _tell(judge(made, 1, seed), made)


@settings(EXAMPLES, max_examples=300)
@given(programs(scalar=True), st.integers(0, 2**32 - 1))
def test_hessians_agree(made: Program, seed: int) -> None:
    _tell(judge(made, 2, seed), made)


@pytest.mark.parametrize("name", REGRESSIONS)
@pytest.mark.parametrize("order", [1, 2])
def test_what_once_failed_agrees(name: str, order: int) -> None:
    made = REGRESSIONS[name]
    if order == 2 and np.asarray(Judge(made).value(values(made, 0))).shape:
        return  # a Hessian is asked of scalars only
    outcome = judge(made, order, 0)
    assert outcome.verdict == "agrees", outcome
