"""Two processes against one: CPU time of all of them together over the same rows; wall clock is printed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np

from benchmarks.fitting.neuron import drawn, objective
from benchmarks.fitting.table import Row, median, on_all_cores
from chainrule.fit.pieces import PiecedRows, Shared
from chainrule.fit.workers import WorkerRows

COLUMNS, WORKERS, ROUNDS = 100, 2, 7


def rows(megabytes: int) -> Iterator[Row]:
    """`megabytes` for each of two workers."""
    on_all_cores()
    X, y, theta = drawn(WORKERS * megabytes * 10**6 // (8 * COLUMNS), COLUMNS)
    reading = _readings(X, theta[:COLUMNS])
    with Shared({"X": X, "y": y}, WORKERS) as shared:
        del X, y
        apart = WorkerRows(shared.pieces, WORKERS)
        try:
            alone, together = objective(PiecedRows(shared.pieces), COLUMNS), objective(apart, COLUMNS)
            (value, gradient), found = alone.value_and_gradient(theta), together.value_and_gradient(theta)
            assert found[0] == value and np.array_equal(found[1], gradient), "the sums differ"
            assert (gradient != 0).all(), "the weights do not change"
            cpu: dict[str, list[float]] = {"one": [], "two": []}
            wall: dict[str, list[float]] = {"one": [], "two": []}
            for _ in range(ROUNDS):
                for name, made in (("one", alone), ("two", together)):
                    begin, before = time.perf_counter(), _cpu(apart)
                    made.value_and_gradient(theta)
                    cpu[name].append(_cpu(apart) - before)
                    wall[name].append(time.perf_counter() - begin)
        finally:
            apart.close()
    for name, said in (("one", "one process"), ("two", "two workers")):
        yield Row(f"{said}, ms of CPU", 1e3 * median(cpu[name]))
        yield Row(f"{said}, ms of wall clock", 1e3 * median(wall[name]))
    yield Row("CPU of two workers against one process", median(cpu["two"]) / median(cpu["one"]), 1.25)
    yield Row("the same of X @ w alone, each process its half of X", reading)


def _readings(X: Any, w: Any) -> float:
    """What the machine does to two processes that do nothing but read: their CPU time, to that of one."""
    half = len(X) // WORKERS
    parts = [X[k * half : (k + 1) * half] for k in range(WORKERS)]
    context = multiprocessing.get_context("fork")  # X is not copied
    taken = []
    for processes in ([parts], [[part] for part in parts]):
        told, together = context.SimpleQueue(), context.Barrier(len(processes))
        running = [context.Process(target=_read, args=(own, w, together, told)) for own in processes]
        for process in running:
            process.start()
        taken.append(sum(told.get() for _ in running))
        for process in running:
            process.join()
    return taken[1] / taken[0]


def _read(parts: list[Any], w: Any, together: Barrier, told: Any) -> None:
    """Say how much CPU time the products take, all rounds together."""
    spent = 0.0
    for number in range(ROUNDS + 1):
        together.wait()
        begin = time.process_time()
        for part in parts:
            np.vecdot(part, w)
        spent += (number > 0) * (time.process_time() - begin)
    told.put(spent)


def _cpu(apart: WorkerRows) -> float:
    """CPU seconds of this process and the workers, from their beginning."""
    total = time.process_time()
    for worker in apart.workers:
        if worker.pid is not None:
            with open(f"/proc/{worker.pid}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0]) / 1e9
    return total
