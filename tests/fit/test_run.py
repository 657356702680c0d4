"""How runs end, and that one which was interrupted or killed goes on to the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from objectives import Function, Rows, quadratic, table

from chainrule.errors import DomainProblem, FileProblem
from chainrule.fit.options import METHODS
from chainrule.fit.run import Outcome, Progress, run

START = np.array([0.1, 0.1, 0.1, 0.1, 1.0])
# Few enough steps for a test, and for each method more than one checkpoint.
COURSES: dict[str, dict[str, Any]] = {
    "gd": {"rate": 0.1, "steps": 23},
    "momentum": {"rate": 0.05, "steps": 23},
    "nesterov": {"rate": 0.05, "steps": 23},
    "sgd": {"rate": 0.05, "batch": 7, "steps": 23, "seed": 4},
    "adam": {"rate": 0.05, "batch": 7, "steps": 23, "seed": 4},
    "lbfgs": {},
    "newton-cg": {},
    "newton": {},
    "gauss-newton": {},
}


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two outcomes agree in every bit."""
    parts = ("loss", "gradient_norm", "step", "reason", "hint", "converged", "steps", "evaluations", "notes")
    return (
        one.theta.tobytes() == other.theta.tobytes()
        and all(getattr(one, name) == getattr(other, name) for name in parts)
        and all(one.history[name].tobytes() == other.history[name].tobytes() for name in one.history)
    )


def test_a_difference_in_one_bit_is_found() -> None:
    one, other = (run(table("squares"), "gd", START, rate=0.1, steps=4) for _ in range(2))
    assert same(one, other)
    other.history["loss"][2] = np.nextafter(other.history["loss"][2], 0)
    assert not same(one, other)


class Killed(BaseException):
    """What no code of a run catches."""


def killed_after(objective: Any, count: int, problem: type[BaseException] = Killed) -> Any:
    """The objective, which raises when it is asked once more than so many times."""
    answer = objective.value_and_gradient
    asked = 0

    def value_and_gradient(theta: Any, batch: Any = None) -> Any:
        nonlocal asked
        asked += 1
        if asked > count:
            raise problem
        return answer(theta, batch)

    objective.value_and_gradient = value_and_gradient
    return objective


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_goes_on_to_the_same_bits(method: str, tmp_path: Path) -> None:
    options = {"steps": 60, "every": 2, **COURSES[method]}
    objective = table("poisson")
    whole = run(objective, method, START, **options)
    total = objective.asked
    assert total > 5
    for count in {2, 4, total // 2, total - 1}:
        path = tmp_path / f"{count}.npz"
        with pytest.raises(Killed):
            run(killed_after(table("poisson"), count), method, START, checkpoint=path, **options)
        fresh = table("poisson")
        assert same(run(fresh, method, START, resume=path, **options), whole), count
        assert fresh.asked < total


def test_a_run_that_is_killed_again_and_again_gets_there(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    options = {"checkpoint": path, "every": 1, "batch": 7, "steps": 23}
    whole = run(table("squares"), "adam", START, **{**options, "checkpoint": None})
    resume = None
    for _ in range(20):
        try:
            outcome = run(killed_after(table("squares"), 4), "adam", START, resume=resume, **options)
        except Killed:
            resume = path
        else:
            break
    assert resume is not None
    assert same(outcome, whole)


SCRIPT = """
import os, signal, sys
from pathlib import Path
import numpy as np
sys.path[:0] = {paths!r}
from chainrule.fit.run import run
from objectives import table
from fit.test_run import COURSES, START, same

folder = Path(sys.argv[1])
for method, course in COURSES.items():
    options = {{"steps": 60, "every": 3, **course}}
    path = folder / f"{{method}}.npz"
    child = os.fork()
    if not child:
        objective = table("poisson")
        answer = objective.value_and_gradient
        def dies(theta, batch=None):
            if objective.asked == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer(theta, batch)
        objective.value_and_gradient = dies
        run(objective, method, START, checkpoint=path, **options)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    whole = run(table("poisson"), method, START, **options)
    print(method, killed, same(run(table("poisson"), method, START, resume=path, **options), whole))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="processes are made by fork")
def test_a_process_that_is_killed_leaves_a_checkpoint_that_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    script = SCRIPT.format(paths=[str(tests.parent / "src"), str(tests)])
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert result.stdout.splitlines() == [f"{method} True True" for method in METHODS], result.stderr
    assert not list(tmp_path.glob(".*")), "no half-written file stays"


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_keeps_the_best_and_the_run_can_go_on(method: str, tmp_path: Path) -> None:
    options = {"steps": 60, "every": 1000, **COURSES[method]}
    path = tmp_path / "run.npz"
    objective = killed_after(table("poisson"), 5, KeyboardInterrupt)
    if method in ("sgd", "adam"):
        # The loss at the end is asked for once more; a second Ctrl-C ends that too.
        assert run(killed_after(table("poisson"), 5, KeyboardInterrupt), method, START, **options).step == 0
    stopped = run(objective, method, START, checkpoint=path, **options)
    assert stopped.reason.startswith("stopped by Ctrl-C after ")
    assert not stopped.converged
    losses = stopped.history["loss"][stopped.history["whole"]]
    assert stopped.loss == losses.min()
    assert stopped.loss == table("poisson").value_and_gradient(stopped.theta)[0]
    whole = run(table("poisson"), method, START, **options)
    assert same(run(table("poisson"), method, START, resume=path, **options), whole)


def test_ctrl_c_before_the_first_loss_is_no_result() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(killed_after(table("squares"), 0, KeyboardInterrupt), "gd", START)


@pytest.mark.parametrize("method", ["gd", "adam", "lbfgs", "newton-cg"])
def test_a_finished_run_goes_on_with_more_steps(method: str, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    options = {name: value for name, value in COURSES[method].items() if name != "steps"}

    def to(steps: int, **files: Path) -> Outcome:
        return run(table("poisson"), method, START, steps=steps, **options, **files)

    to(3, checkpoint=path)
    assert same(to(6, resume=path), to(6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "momentum"}, "method gd, which is momentum now"),
        ({"rate": 0.2}, "rate 0.1, which is 0.2 now"),
        ({"seed": 1}, "seed 0, which is 1 now"),
        ({"identity": {"formula": "w", "data": "1"}}, r"with formula w\*\*2, which is w now"),
        ({"identity": {"formula": "w**2", "data": "2"}}, "with another data"),
        ({"start": np.ones(5)}, "with another start"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    given = {"method": "gd", "start": START, "rate": 0.1, "steps": 3}
    given["identity"] = {"formula": "w**2", "data": "1"}
    run(table("squares"), checkpoint=path, **given)
    with pytest.raises(FileProblem, match=message):
        run(table("squares"), resume=path, **{**given, **change})
    run(table("squares"), resume=path, **given)


def test_damaged_checkpoints_are_told(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    run(table("squares"), "gd", START, rate=0.1, steps=3, checkpoint=path)
    content = path.read_bytes()
    middle = len(content) // 2
    for wrong, message in (
        (content[:middle], "damaged"),
        (content[:middle] + b"x" + content[middle + 1 :], "damaged|another run"),
        (b"", "empty"),
        (b"w,b\n1,2\n", "neither an npz nor a safetensors"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(FileProblem, match=message):
            run(table("squares"), "gd", START, rate=0.1, steps=3, resume=path)
    with pytest.raises(FileProblem, match="there is no file"):
        run(table("squares"), "gd", START, resume=tmp_path / "other.npz")
    np.savez(path, w=np.ones(3))
    with pytest.raises(FileProblem, match="is no checkpoint"):
        run(table("squares"), "gd", START, resume=path)
    with pytest.raises(FileProblem, match="cannot be written"):
        run(table("squares"), "gd", START, checkpoint=tmp_path / "none" / "run.npz")


@pytest.mark.parametrize(
    ("rate", "reason"),
    [(100.0, "diverged: the loss is inf after "), (1.0, "diverged: the loss rose from 2 to ")],
)
def test_a_rate_that_diverges_stops_with_the_best_kept(rate: float, reason: str) -> None:
    outcome = run(quadratic([1.0, 3.0], [1.0, 1.0]), "gd", np.zeros(2), rate=rate, steps=5000)
    assert outcome.reason.startswith(reason)
    assert f"rate {rate:g}" in outcome.reason
    assert f"smaller rate, such as {rate / 10:g}" in outcome.hint
    assert not outcome.converged
    assert outcome.step < 2
    assert outcome.loss == outcome.history["loss"].min()
    assert np.isfinite(outcome.theta).all()


def test_the_limit_of_steps_and_what_watch_is_given() -> None:
    seen: list[Progress] = []
    outcome = run(quadratic([1.0, 3.0], [1.0, 1.0]), "gd", np.zeros(2), rate=0.1, steps=4, watch=seen.append)
    assert (
        outcome.reason == f"the limit of 4 steps is reached; the gradient norm is {outcome.gradient_norm:.2g}"
    )
    assert [progress.step for progress in seen] == [0, 1, 2, 3, 4]
    assert seen[3].loss == outcome.history["loss"][3]
    assert outcome.path is not None
    assert np.array_equal(outcome.path, [progress.theta for progress in seen])
    assert run(table("squares"), "gd", START, steps=2).path is None


def test_a_start_that_never_moves_is_told() -> None:
    outcome = run(table("relu"), "gd", np.array([0.0, 0, 0, 0, -1]))
    assert outcome.reason.startswith("the gradient is exactly zero at the start")
    assert "init=..." in outcome.hint
    assert (outcome.converged, outcome.steps) == (False, 0)


def test_a_start_without_a_loss_is_an_error() -> None:
    objective = Function((1,), lambda x: np.log(x[0]), lambda x: 1 / x)
    with pytest.raises(DomainProblem, match="the loss is nan at the start") as problem:
        run(objective, "lbfgs", np.array([-1.0]))
    assert "init=..." in problem.value.hint


def test_a_point_where_the_gradient_vanishes_above_the_best_is_no_minimum() -> None:
    """A bias of 1 goes to 7 and then to −5, where the neuron is off, but its loss is higher than at first."""
    outcome = run(Rows("relu", np.zeros((2, 1)), np.full(2, 3.0)), "gd", np.array([0.0, 1.0]), rate=1.5)
    assert outcome.reason.startswith("the gradient vanished at step ")
    assert "rate" in outcome.hint
    assert not outcome.converged
    assert outcome.loss == outcome.history["loss"].min()


def test_no_progress_ends_a_run() -> None:
    """|x| with a constant rate goes to and fro."""
    objective = Function((1,), lambda x: abs(x[0]), np.sign)
    outcome = run(objective, "gd", np.array([1.03]), rate=0.1, patience=20)
    assert outcome.reason.startswith("no progress: ")
    assert outcome.loss < 0.1
    assert outcome.steps < 40


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("method", ["gd", "lbfgs"])
def test_ctrl_c_that_python_swallows_is_heard_at_the_next_step(method: str) -> None:
    class Leaving:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    objective = table("poisson")
    answer, asked = objective.value_and_gradient, []

    def value_and_gradient(theta: Any, batch: Any = None) -> Any:
        asked.append(theta)
        if len(asked) == 4:
            Leaving()
        return answer(theta, batch)

    objective.value_and_gradient = value_and_gradient
    # What is started in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = run(objective, method, START, steps=50)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.reason.startswith("stopped by Ctrl-C after ")
    assert len(asked) < 8
