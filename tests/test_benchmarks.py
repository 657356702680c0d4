"""The comparison of speeds at tiny sizes: it runs, and times nothing whose value is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from backends import backend

backend("jax")
backend("torch")

from benchmarks import device  # noqa: E402
from benchmarks.speed import rows as speed_rows  # noqa: E402
from benchmarks.speed import run, training  # noqa: E402
from benchmarks.speed.chart import chart  # noqa: E402
from benchmarks.speed.clock import TINY, Timing  # noqa: E402
from benchmarks.speed.compare import Comparison, compare, compare_calls  # noqa: E402
from benchmarks.speed.evaluators import evaluators  # noqa: E402
from benchmarks.speed.machine import Machine, Work  # noqa: E402
from benchmarks.speed.names import TORCH  # noqa: E402
from benchmarks.speed.report import device_cells, markdown, tables  # noqa: E402

MACHINE = Machine(gemm=50, dram=25, l3=80, l2=80, exp=1, numpy_call=1, jax_call=7, torch_call=3)
NAMES = {problem.name: problem for problem in run.PROBLEMS}


def tiny(name: str) -> tuple[int, ...]:
    """The smallest size of a problem, made smaller."""
    return tuple(max(3, size // 25) for size in NAMES[name].sizes[0])


@pytest.mark.parametrize("name", ["first_layer", "chain", "gaussian_process"])
def test_all_results_of_a_problem_agree_and_are_timed(name: str) -> None:
    found = compare(NAMES[name], tiny(name), MACHINE, TINY)
    assert not found.wrong
    assert found.best("ours") and found.best("jax AD") and found.best("torch AD") and found.best("expert")
    made = speed_rows.rows(NAMES[name], tiny(name), [found])
    assert made[0].gain == found.ratio(("jax AD", "torch AD"), ("ours",))
    assert NAMES[name].title in tables(made) and len(markdown(made)) == len(made) + 2
    drawn = chart(made, "ratios")
    assert drawn.count('class="small">') == 1 + sum(row.gain is not None for row in made)
    assert ElementTree.fromstring(drawn).tag.endswith("svg")


@pytest.mark.parametrize("error", [1e-6, np.nan])
def test_a_wrong_result_is_not_timed(error: float) -> None:
    problem = NAMES["quartic"]
    case = problem.case((4,), np.random.default_rng(0))
    made = evaluators(problem, case)
    right = made.calls["ours"]

    def planted() -> Any:
        value = right().copy()
        value[1, 2] *= 1 + error
        return value

    made.calls["ours"] = planted
    found = compare_calls(problem, case, made, TINY)
    assert "ours" in found.wrong and "ours" not in found.times and found.best("expert")
    rows = speed_rows.rows(problem, (4,), [found])
    assert rows[0].met is False and "WRONG" in rows[0].note


def test_a_result_of_another_size_is_not_timed() -> None:
    problem = NAMES["softmax"]
    case = problem.case((4,), np.random.default_rng(0))
    made = evaluators(problem, replace(case, along=False))
    made.calls["ours"] = lambda: np.zeros(4)
    assert "ours" in compare_calls(problem, case, made, TINY).wrong


def run_with(ours: float, expert: float = 1.0) -> Comparison:
    times = {"jax AD: hessian": 20.0, "ours": ours, "expert: A": expert}
    return Comparison(
        "quadratic", "n = 3", {name: Timing(t, t, t) for name, t in times.items()}, 0.5, "bytes"
    )


def test_a_floor_is_missed_if_two_of_three_runs_miss_it() -> None:
    problem = NAMES["quadratic"]  # its floor is 15
    assert not speed_rows.undecided(problem, (3,), [run_with(1.0)])
    assert speed_rows.undecided(problem, (3,), [run_with(2.0)])
    assert speed_rows.undecided(problem, (3,), [run_with(2.0), run_with(1.0)])
    once = [run_with(2.0), run_with(1.0), run_with(1.0)]
    assert not speed_rows.undecided(problem, (3,), once)
    assert speed_rows.rows(problem, (3,), once)[0].met is True
    twice = [run_with(2.0), run_with(1.0), run_with(2.0)]
    assert not speed_rows.undecided(problem, (3,), twice)
    assert speed_rows.rows(problem, (3,), twice)[0].met is False


def test_training_moves_the_weights_of_all_alike() -> None:
    (found,) = training.trainings([(6, 3, 2)], TINY)
    assert set(found.seconds) >= {"ours", "jax, step by step", "jax, lax.scan", "torch"}


def test_weights_that_stand_still_or_differ_are_not_timed() -> None:
    data = training.drawn(6, 3, 2)
    run = training.ours(data)
    with pytest.raises(AssertionError, match="have not changed"):
        training.verify({"ours": lambda: (data.w, data.b)}, data)
    with pytest.raises(AssertionError, match="other weights"):
        training.verify({"ours": run, "other": lambda: (run()[0] + 1e-6, run()[1])}, data)


def test_the_limit_is_what_takes_longest() -> None:
    seconds, by = MACHINE.limit(Work(flops=100e9, moved=2.5e9, exponentials=1e9))
    assert (seconds, by) == (2.0, "flops")
    assert MACHINE.limit(Work(flops=1e9, moved=25e9))[1] == "bytes"


def test_every_problem_is_derived_checked_and_has_an_expert() -> None:
    for problem in run.PROBLEMS:
        case = problem.case(tiny(problem.name), np.random.default_rng(0))
        assert case.experts, problem.name
        assert case.work.flops > 0 and case.work.moved > 0


HOST = device.Place("cpu", "float64")


def on_the_host(name: str, budget: pytest.MonkeyPatch) -> tuple[Comparison, list[str]]:
    budget.setattr(device, "BUDGET", TINY)
    problem = NAMES[name]
    case = problem.case(tiny(name), np.random.default_rng(0))
    return device.measured(problem, tiny(name), case, HOST, first=True)


def test_the_comparison_on_a_device_runs_on_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found, faults = on_the_host("mlp2", monkeypatch)
    row = device.as_row(NAMES["mlp2"], found)
    assert faults == [] and all(row["seconds"].values())
    assert device_cells(row)[0] == "gradient, network of 2 layers"


def test_a_wrong_result_on_a_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TORCH, "tanh", lambda x: (1 + 1e-6) * device.torch.tanh(x))
    assert any("torch AD" in fault for fault in on_the_host("mlp2", monkeypatch)[1])
    monkeypatch.undo()
    monkeypatch.setattr(device.Place, "torch", lambda self, a: device.torch.as_tensor(a) * (1 + 1e-6))
    faults = on_the_host("mlp2", monkeypatch)[1]
    for part in ("ours torch differs from the NumPy code", "differentiated again"):
        assert any(part in fault for fault in faults), faults
