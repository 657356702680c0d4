"""Minibatches of streams: every row once in an epoch, the same for the same seed, wherever a run begins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.fit.session import Progress
from chainrule.fit.shuffled import StreamBatches
from chainrule.fit.stream import Chunks, stream

RNG = np.random.default_rng(5)
X = RNG.normal(size=(403, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.3 + 0.1 * RNG.normal(size=403)
LOSS, SHAPES = "mean((y - X @ w - b)**2)", "X[N,n] w[n] b y[N]"


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not any(thread.name == "chainrule reads" for thread in threading.enumerate())


def files(kind: str, folder: Path) -> tuple[Any, str]:
    """Rows whose y is their number, and the let for them."""
    numbers = np.arange(403.0)
    if kind == "npy":
        np.save(folder / "X.npy", X)
        np.save(folder / "y.npy", numbers)
        return [folder / "X.npy", folder / "y.npy"], "X = X, y = y"
    if kind == "csv":
        rows = [f"{a},{b},{c},{y}" for (a, b, c), y in zip(X.tolist(), numbers, strict=True)]
        (folder / "d.csv").write_text("a,b,c,y\n" + "\n".join(rows))
        return folder / "d.csv", "X = a:c, y = y"
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": numbers})
    parquet.write_table(table, folder / "d.parquet", row_group_size=90)
    return folder / "d.parquet", "X = a:c, y = y"


def chunks(kind: str, folder: Path, **more: Any) -> Chunks:
    data, let = files(kind, folder)
    return stream(data, let, {"X": None, "y": None}, chunk=8 * 4 * 50, **more).chunks


@pytest.mark.parametrize("kind", ["npy", "csv", "parquet"])
@pytest.mark.parametrize("split", [0.0, 0.25])
def test_an_epoch_has_every_row_once_in_an_order_of_its_own(kind: str, split: float, tmp_path: Path) -> None:
    source = chunks(kind, tmp_path, validation=split, seed=2)
    expected = np.concatenate([chunk["y"].copy() for chunk in source])
    batches = StreamBatches(source, 16, seed=3)
    epochs = [[batches.of(e * batches.epoch + k) for k in range(batches.epoch)] for e in range(2)]
    orders = [np.concatenate([batch["y"] for batch in epoch]) for epoch in epochs]
    for epoch, order in zip(epochs, orders, strict=True):
        assert max(len(batch["y"]) for batch in epoch) == 16
        np.testing.assert_array_equal(np.sort(order), expected)
        for batch in epoch:
            np.testing.assert_array_equal(batch["X"], X[batch["y"].astype(int)])
    assert not np.array_equal(*orders)
    # Far rows come first: pieces are mixed, not only rows within them.
    assert np.ptp([batch["y"].mean() for batch in epochs[0][:8]]) > 50
    again = StreamBatches(source, 16, seed=3)
    for step in (batches.epoch + 5, 2, 3, batches.epoch - 1):
        np.testing.assert_array_equal(
            again.of(step)["y"], epochs[step // again.epoch][step % again.epoch]["y"]
        )
    again.close()
    other = StreamBatches(source, 16, seed=4)
    assert not np.array_equal(other.of(0)["y"], epochs[0][0]["y"])
    other.close()


@pytest.fixture
def named(tmp_path: Path) -> dict[str, str]:
    for name, array in {"X": X, "y": Y}.items():
        np.save(tmp_path / f"{name}.npy", array)
    return {name: str(tmp_path / f"{name}.npy") for name in ("X", "y")}


@pytest.mark.parametrize("method", ["sgd", "adam"])
def test_a_streamed_fit_goes_on_to_the_same_bits(method: str, named: dict[str, str], tmp_path: Path) -> None:
    how: dict[str, Any] = {
        "method": method,
        "rate": 0.02,
        "steps": 60,
        "batch": 32,
        "stream": True,
        "seed": 1,
    }
    whole = cr.fit(LOSS, ["w", "b"], named, SHAPES, **how)
    kept = tmp_path / "checkpoint"

    def press(progress: Progress) -> None:
        if progress.step == 20:
            raise KeyboardInterrupt

    cut = cr.fit(LOSS, ["w", "b"], named, SHAPES, checkpoint=kept, progress=press, **how)
    assert cut.steps == 20
    resumed = cr.fit(LOSS, ["w", "b"], named, SHAPES, resume=kept, **how)
    assert resumed.params["w"].tobytes() == whole.params["w"].tobytes()
    assert resumed.history["loss"].tobytes() == whole.history["loss"].tobytes()
    assert whole.loss < 0.2 * whole.history["loss"][0]
    with pytest.raises(cr.ChainruleError, match="data"):
        cr.fit(LOSS, ["w", "b"], named, SHAPES, resume=kept, standardise="X", **how)


def test_batches_are_drawn_here_where_workers_sum(named: dict[str, str]) -> None:
    how: dict[str, Any] = {"method": "sgd", "rate": 0.05, "steps": 30, "batch": 32}
    for data, streamed in (({"X": X, "y": Y}, False), (named, True)):
        alone = cr.fit(LOSS, ["w", "b"], data, SHAPES, stream=streamed, **how)
        shared = cr.fit(LOSS, ["w", "b"], data, SHAPES, stream=streamed, workers=2, **how)
        np.testing.assert_allclose(shared.params["w"], alone.params["w"], rtol=1e-12)
        np.testing.assert_allclose(shared.history["loss"], alone.history["loss"], rtol=1e-12)
