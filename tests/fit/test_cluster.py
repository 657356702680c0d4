"""A Dask cluster sums pieces to the same bits as one process, also after a worker was killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pytest

import chainrule as cr
from chainrule.api.fitting import derived, setting
from chainrule.cli.main import main
from chainrule.fit import cluster as cluster_module
from chainrule.fit.cluster import ClusterRows
from chainrule.fit.derived import DerivedObjective
from chainrule.fit.pieces import MemoryPiece, PiecedRows, Shared, cut
from chainrule.fit.session import Progress
from chainrule.fit.stream import stream

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


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """X.npy and y.npy in a folder from which relative names start here, but not on the workers."""
    for name, array in DATA.items():
        np.save(tmp_path / f"{name}.npy", array)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("streamed", [False, True])
def test_fit_by_a_cluster_one_of_whose_workers_is_killed(scheduler: Any, streamed: bool, files: Path) -> None:
    data: Any = {"X": "X.npy", "y": "y.npy"} if streamed else DATA
    how: dict[str, Any] = {"method": "gd", "rate": 0.1, "steps": 6, "stream": streamed}
    alone = cr.fit(LOSS, ["w", "b"], data, "X[N,n] w[n] b y[N]", **how)
    killed = []

    def kill(progress: Progress) -> None:
        if progress.step == 2:
            killed.append(next(iter(scheduler.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    address = scheduler.scheduler_address
    found = cr.fit(LOSS, ["w", "b"], data, "X[N,n] w[n] b y[N]", scheduler=address, progress=kill, **how)
    assert killed and found.steps == 6
    np.testing.assert_allclose(found.history["loss"], alone.history["loss"], rtol=1e-12)
    np.testing.assert_allclose(found.params["w"], alone.params["w"], rtol=1e-12)
    assert any(f"the rows are summed by the cluster at {address}" in note for note in found.notes)


def test_sgd_draws_its_batches_here_and_the_cluster_sums(scheduler: Any, files: Path) -> None:
    how: dict[str, Any] = {"method": "sgd", "rate": 0.05, "steps": 40, "batch": 64}
    data = {"X": "X.npy", "y": "y.npy"}
    alone, found = (
        cr.fit(LOSS, ["w", "b"], data, "X[N,n] w[n] b y[N]", stream=True, scheduler=address, **how)
        for address in (None, scheduler.scheduler_address)
    )
    np.testing.assert_allclose(found.params["w"], alone.params["w"], rtol=1e-12)
    np.testing.assert_allclose(found.history["loss"], alone.history["loss"], rtol=1e-12)


def test_the_command_fits_by_a_cluster(
    scheduler: Any, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["fit", LOSS, "--params", "w,b", "--shapes", "X[N,n] w[n] b y[N]", "--stream", "--json"]
    asked += ["--method", "gd", "--rate", "0.1", "--steps", "5"]
    read = []
    for more in ([], ["--scheduler", scheduler.scheduler_address]):
        with pytest.raises(SystemExit) as ended:
            main([*asked, "--data", "X.npy", "y.npy", *more])
        assert ended.value.code == 0
        read.append(json.loads(capsys.readouterr().out))
    np.testing.assert_allclose(read[1]["params"]["w"], read[0]["params"]["w"], rtol=1e-9)
    assert any("summed by the cluster" in note for note in read[1]["notes"])


def test_a_file_that_workers_do_not_see_is_told(scheduler: Any, files: Path) -> None:
    chunks = stream([str(files / "X.npy"), str(files / "y.npy")], None, {"X": None, "y": None}).chunks
    (files / "y.npy").rename(files / "z.npy")
    rows = ClusterRows([chunks], scheduler.scheduler_address)
    try:
        with pytest.raises(cr.ChainruleError, match=r"y\.npy: the file cannot be read") as raised:
            objective(rows).value_and_gradient(THETA)
        assert "by the same names" in raised.value.hint
    finally:
        rows.close()


def test_an_address_without_a_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT", 0.5)
    with pytest.raises(cr.OptionError, match="no Dask scheduler at tcp"):
        ClusterRows([MemoryPiece(DATA)], "tcp://127.0.0.1:9")
