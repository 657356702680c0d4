"""A Dask cluster sums pieces to the same bits as one process, also after a worker was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import distributed
import numpy as np
import pytest

import chainrule as cr
from chainrule.api.fitting import derived, setting
from chainrule.fit import cluster as cluster_module
from chainrule.fit.cluster import ClusterRows
from chainrule.fit.derived import DerivedObjective
from chainrule.fit.pieces import MemoryPiece, PiecedRows, Shared, cut

RNG = np.random.default_rng(5)
DATA = {"X": RNG.normal(size=(1001, 3)), "y": RNG.normal(size=1001)}
LOSS = "mean((y - relu(X @ w + b))**2) + 0.1*w @ w"
THETA = np.array([0.3, -0.2, 0.5, 0.1])


def objective(rows: Any) -> DerivedObjective:
    found = setting(LOSS, None, DATA, None)
    return DerivedObjective(derived(found)[0], rows, found.data, found.fixed, found.sizes)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_a_cluster_gives_the_bits_of_one_process_also_after_a_worker_was_killed(
    scheduler: Any, kind: str
) -> None:
    with Shared(DATA, 4) as shared:
        pieces: list[Any] = list(shared.pieces)
        if kind == "arrays":
            pieces = [MemoryPiece({n: a[i:j] for n, a in DATA.items()}) for i, j in cut(1001, 4)]
        expected = objective(PiecedRows(pieces)).value_and_gradient(THETA)
        rows = ClusterRows(pieces, scheduler.scheduler_address)
        try:
            f = objective(rows)
            for killed in (False, True):
                if killed:
                    os.kill(next(iter(scheduler.workers.values())).pid, signal.SIGKILL)
                found = f.value_and_gradient(THETA)
                assert found[0] == expected[0]
                np.testing.assert_array_equal(found[1], expected[1])
        finally:
            rows.close()


def test_an_address_without_a_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT", 0.5)
    with pytest.raises(cr.OptionError, match="no Dask scheduler at tcp"):
        ClusterRows([MemoryPiece(DATA)], "tcp://127.0.0.1:9")
