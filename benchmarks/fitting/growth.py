"""How the cost of a gradient grows with rows, columns, parameters, processes and tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.fitting.neuron import drawn, objective
from benchmarks.fitting.table import Row, median, on_all_cores
from benchmarks.speed.clock import Budget, take_turns
from chainrule.api.fitting import derived, setting
from chainrule.fit.cluster import ClusterRows
from chainrule.fit.derived import DerivedObjective
from chainrule.fit.objective import Array
from chainrule.fit.pieces import MemoryPiece, PiecedRows, cut
from chainrule.fit.rows import MemoryRows
from chainrule.fit.workers import WorkerRows

SIZES = [(10_000, 100), (100_000, 100), (1_000_000, 100), (1_000_000, 10), (100_000, 1000)]
NETWORK = "mean((y - tanh(X @ A + c) @ v - d)**2)"
HIDDEN = (1, 4, 16, 64)
ROUNDS = 15


def rows() -> Iterator[Row]:
    """Nanoseconds for an entry of X, rates of networks, and what it costs to ask processes and a cluster."""
    for count, columns in SIZES:
        yield from _neuron(count, columns)
    for hidden in HIDDEN:
        yield _network(50_000, 100, hidden)
    on_all_cores()
    for number in (1, 2, 4, 8):
        yield Row(f"asking {number} processes, 10³ rows, ms of wall clock", 1e3 * _processes(number, 10))
    yield Row("sending 10⁶ parameters to 2 processes and back, ms of wall clock", 1e3 * _processes(2, 10**6))
    yield from _cluster()


def _neuron(count: int, columns: int) -> Iterator[Row]:
    X, y, theta = drawn(count, columns)
    rows = MemoryRows({"X": X, "y": y})
    made = {backend: objective(rows, columns, backend) for backend in ("numpy", "numba")}
    calls = {name: lambda f=f: f.value_and_gradient(theta) for name, f in made.items()}
    for name, timing in take_turns(calls, Budget(5, 0.3)).items():
        yield Row(f"neuron, {count:,} × {columns}, {name}, ns an entry", 1e9 * timing.median / X.size)


def _network(count: int, columns: int, hidden: int) -> Row:
    X, y, _ = drawn(count, columns)
    given: dict[str, Any] = {"X": X, "y": y}
    about = setting(NETWORK, None, given, "X[N,n] A[n,h] c[h] v[h] d y[N]", sizes={"h": hidden})
    made = DerivedObjective(derived(about)[0], MemoryRows(about.rows), about.data, about.fixed, about.sizes)
    theta = 0.1 * np.random.default_rng(0).standard_normal(made.size)
    seconds = take_turns({"it": lambda: made.value_and_gradient(theta)}, Budget(5, 0.3))["it"].median
    return Row(f"network of {made.size:,} parameters, {count:,} × {columns}, ms", 1e3 * seconds)


def _processes(number: int, columns: int) -> float:
    X, y, theta = drawn(1000 if columns < 1000 else 2, columns)
    pieces = [MemoryPiece({"X": X[i:j], "y": y[i:j]}) for i, j in cut(len(y), number)]
    rows = WorkerRows(pieces, number)
    try:
        return _beyond(rows, pieces, columns, theta)
    finally:
        rows.close()


def _cluster() -> Iterator[Row]:
    import distributed

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        for number in (8, 64):
            X, y, theta = drawn(1000, 10)
            pieces = [MemoryPiece({"X": X[i:j], "y": y[i:j]}) for i, j in cut(len(y), number)]
            rows = ClusterRows(pieces, cluster.scheduler_address)
            try:
                seconds = _beyond(rows, pieces, 10, theta)
            finally:
                rows.close()
            yield Row(f"a task of a cluster, of {number}, ms of wall clock", 1e3 * seconds / number)


def _beyond(rows: PiecedRows, pieces: list[MemoryPiece], columns: int, theta: Array) -> float:
    """Seconds of a gradient that its computation does not take."""
    there, here = objective(rows, columns), objective(PiecedRows(pieces), columns)
    there.value_and_gradient(theta), here.value_and_gradient(theta)
    times: dict[str, list[float]] = {"there": [], "here": []}
    for _ in range(ROUNDS):
        for name, made in (("there", there), ("here", here)):
            begin = time.perf_counter()
            made.value_and_gradient(theta)
            times[name].append(time.perf_counter() - begin)
    return median(times["there"]) - median(times["here"])
