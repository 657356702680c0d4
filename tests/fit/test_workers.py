"""Workers sum their pieces to the same bits as one process, whoever is killed meanwhile."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.api.fitting import derived, setting
from chainrule.fit.derived import DerivedObjective
from chainrule.fit.pieces import PiecedRows, Shared
from chainrule.fit.stream import stream
from chainrule.fit.workers import WorkerRows

RNG = np.random.default_rng(5)
DATA = {"X": RNG.normal(size=(2001, 3)), "y": RNG.normal(size=2001)}
LOSS = "mean((y - relu(X @ w + b))**2) + 0.1*w @ w"
THETA = np.array([0.3, -0.2, 0.5, 0.1])


def objective(rows: Any) -> DerivedObjective:
    found = setting(LOSS, None, DATA, None)
    return DerivedObjective(derived(found)[0], rows, found.data, found.fixed, found.sizes)


@pytest.fixture
def shared() -> Iterator[Shared]:
    with Shared(DATA, 5) as pieces:
        yield pieces


def test_workers_give_the_bits_of_one_process(shared: Shared) -> None:
    alone = objective(PiecedRows(shared.pieces))
    value, gradient = alone.value_and_gradient(THETA)
    assert alone.rows == 2001
    rows = WorkerRows(shared.pieces, 2)
    try:
        together = objective(rows)
        found = together.value_and_gradient(THETA)
        assert found[0] == value
        np.testing.assert_array_equal(found[1], gradient)
        np.testing.assert_array_equal(together.product(THETA, THETA), alone.product(THETA, THETA))
    finally:
        rows.close()


def test_a_worker_that_is_killed_loses_nothing(shared: Shared) -> None:
    rows = WorkerRows(shared.pieces, 2)
    try:
        f = objective(rows)
        expected = f.value_and_gradient(THETA)
        for worker in rows.workers:
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
            found = f.value_and_gradient(THETA)
            assert found[0] == expected[0]
            np.testing.assert_array_equal(found[1], expected[1])
    finally:
        rows.close()


class Slow:
    """A piece that takes its time, so that a worker can be killed in the middle of it."""

    def __init__(self, piece: Any) -> None:
        self.piece = piece

    def __iter__(self) -> Iterator[Any]:
        time.sleep(1)
        yield from self.piece


def test_a_worker_that_is_killed_in_the_middle_of_a_sum_loses_nothing(shared: Shared) -> None:
    expected = objective(PiecedRows(shared.pieces)).value_and_gradient(THETA)
    rows = WorkerRows([Slow(piece) for piece in shared.pieces[:2]] + shared.pieces[2:], 2)
    try:
        f = objective(rows)
        killed = []

        def kill() -> None:
            while (pid := rows.workers[0].pid) is None:
                time.sleep(0.05)
            time.sleep(0.3)
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        found = f.value_and_gradient(THETA)
        thread.join()
        assert killed and rows.workers[0].pid != killed[0]
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1], expected[1])
    finally:
        rows.close()


def test_a_sum_that_is_given_up_leaves_nothing_to_the_next(shared: Shared) -> None:
    """Ctrl-C ends the asking at once; the next sum is not answered by what was asked before."""
    expected = objective(PiecedRows(shared.pieces)).value_and_gradient(THETA)
    rows = WorkerRows([Slow(Slow(Slow(Slow(piece)))) for piece in shared.pieces], 2)
    # A shell that starts the tests in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        f = objective(rows)

        def interrupt() -> None:
            while any(worker.pid is None for worker in rows.workers):
                time.sleep(0.05)
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            f.value_and_gradient(THETA + 1)
        thread.join()
        assert all(worker.pid is None for worker in rows.workers)
        rows.pieces[:] = shared.pieces
        found = f.value_and_gradient(THETA)
        assert found[0] == expected[0]
    finally:
        rows.close()
        signal.signal(signal.SIGINT, before)


class Deadly:
    """A piece that no worker survives."""

    def __iter__(self) -> Iterator[Any]:
        os._exit(1)
        yield {}


def test_what_cannot_work_is_told(shared: Shared) -> None:
    rows = WorkerRows([Deadly(), *shared.pieces], 2)
    try:
        with pytest.raises(cr.LimitExceeded, match="died 3 times"):
            objective(rows).value_and_gradient(THETA)
    finally:
        rows.close()
    with pytest.raises(cr.OptionError, match="workers is 0"):
        WorkerRows(shared.pieces, 0)
    with pytest.raises(cr.OptionError, match="cannot be picked"):
        objective(PiecedRows(shared.pieces)).value_and_gradient(THETA, np.arange(3))
    with pytest.raises(cr.OptionError, match="needs all rows at once"):
        PiecedRows(shared.pieces).whole("max takes all rows together")


def test_what_is_wrong_with_a_file_is_told_and_not_taken_for_a_loss(tmp_path: Path) -> None:
    for name, array in DATA.items():
        np.save(tmp_path / f"{name}.npy", array)
    chunks = stream([str(tmp_path / f"{name}.npy") for name in DATA], None, dict.fromkeys(DATA)).chunks
    rows = WorkerRows(chunks.cut(2), 2)
    (tmp_path / "y.npy").unlink()
    try:
        with pytest.raises(cr.ChainruleError, match=r"y\.npy: the file cannot be read"):
            objective(rows).value_and_gradient(THETA)
    finally:
        rows.close()


def test_no_process_is_left(shared: Shared) -> None:
    rows = WorkerRows(shared.pieces, 2)
    objective(rows).value_and_gradient(THETA)
    pids = [worker.pid for worker in rows.workers]
    rows.close()
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_is_sent_twice_is_compiled_once() -> None:
    half = objective(PiecedRows([DATA]))._first.halves
    assert half is not None
    one, other = (pickle.loads(pickle.dumps(half.part)) for _ in range(2))
    assert one is other and one is not half.part
    given = {**DATA, "w": THETA[:3], "b": THETA[3]}
    for name, total in half.part(given, {"n": 3}).items():
        np.testing.assert_array_equal(one(given, {"n": 3})[name], total)


@pytest.mark.parametrize("split", [0.0, 0.25])
def test_workers_say_which_rows_they_left_out(tmp_path: Path, split: float) -> None:
    path = tmp_path / "gaps.csv"
    rows = [f"{'' if k % 10 == 3 else k},{'NA' if k % 15 == 3 else k * k},{k % 7}" for k in range(90)]
    path.write_text("a,b,y\n" + "\n".join(rows) + "\n")
    asked: dict[str, Any] = {"let": "y = y, X = rest", "missing": "drop", "split": split, "method": "newton"}
    here = cr.fit("mean((y - X @ w)**2)", "w", path, **asked)
    shared = cr.fit("mean((y - X @ w)**2)", "w", path, stream=True, workers=2, **asked)
    note = "12 rows with a missing value left out (a 9, b 6)"
    assert note in here.notes and note in shared.notes
    assert (here.rows or 0) + here.held_out == (shared.rows or 0) + shared.held_out == 78
