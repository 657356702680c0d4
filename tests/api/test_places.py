"""A fit has the same result wherever its rows are, and says what cannot be done there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.cli.main import run
from chainrule.errors import OptionError
from chainrule.fit import places

LOSS = "mean((y - relu(X @ w + b))**2) + 0.01*w @ w"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(1001, 3))
    y = np.maximum(X @ [1.0, -2.0, 0.5] + 0.3, 0) + 0.1 * rng.normal(size=1001)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    return {"X": tmp_path / "X.npy", "y": tmp_path / "y.npy"}


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"stream": True}, "chunk by chunk"),
        ({"stream": True, "standardise": "X"}, "chunk by chunk"),
        ({"workers": 2}, "summed by 2 processes"),
        ({"stream": True, "workers": 2}, "summed by 2 processes"),
    ],
)
def test_the_parameters_do_not_depend_on_where_the_rows_are(
    files: dict[str, Path], where: dict[str, Any], said: str
) -> None:
    shared = {"standardise": where["standardise"]} if "standardise" in where else {}
    here = cr.fit(LOSS, ["w", "b"], files, **shared)
    there = cr.fit(LOSS, ["w", "b"], files, **where)
    assert there.rows == 1001 and here.converged and there.converged
    assert any(said in note for note in there.notes) and not any(said in note for note in here.notes)
    np.testing.assert_allclose(there.params["w"], here.params["w"], rtol=1e-8)
    assert there.loss == pytest.approx(here.loss, rel=1e-12)
    assert there.condition == pytest.approx(here.condition) and there.baseline == pytest.approx(here.baseline)


def test_rows_of_a_stream_can_be_held_out(files: dict[str, Path]) -> None:
    result = cr.fit(LOSS, ["w", "b"], files, stream=True, split=0.25)
    assert result.rows is not None and result.rows + result.held_out == 1001
    assert 150 < result.held_out < 350 and result.validation_loss == pytest.approx(result.loss, rel=0.5)


def test_a_stream_goes_on_to_the_same_bits(files: dict[str, Path], tmp_path: Path) -> None:
    how: dict[str, Any] = {"method": "gd", "rate": 0.1, "stream": True}
    whole = cr.fit(LOSS, ["w", "b"], files, steps=20, **how)
    file = tmp_path / "half.npz"
    cr.fit(LOSS, ["w", "b"], files, steps=10, checkpoint=file, **how)
    resumed = cr.fit(LOSS, ["w", "b"], files, steps=20, resume=file, **how)
    np.testing.assert_array_equal(resumed.params["w"], whole.params["w"])
    np.save(files["y"], np.load(files["y"]) + 1)
    with pytest.raises(cr.ChainruleError, match="data"):
        cr.fit(LOSS, ["w", "b"], files, steps=20, resume=file, **how)


def test_what_is_larger_than_a_share_of_memory_is_streamed(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert places.file_bytes(files) == sum(file.stat().st_size for file in files.values())
    assert places.file_bytes({"X": np.ones(3)}) == 0 and places.memory() > 1 << 20
    assert not places.Place().streams(files)
    assert [places._tasks(size) for size in (1, 10**9, 10**12)] == [8, 10, 256]
    monkeypatch.setattr(places, "memory", lambda: 50_000)
    assert places.Place().streams(files) and not places.Place(stream=False).streams(files)


def test_a_loss_of_all_rows_is_run_unsplit_or_refused(files: dict[str, Path]) -> None:
    loss, shapes = "mean((y - batchnorm(X) @ w)**2)", "X[N,n] y[N] w[n]"
    here = cr.fit(loss, ["w"], files, shapes)
    there = cr.fit(loss, ["w"], files, shapes, workers=2)
    assert there.loss == here.loss and any("not shared out" in note for note in there.notes)
    with pytest.raises(OptionError, match="needs all rows at once: what is computed for a row"):
        cr.fit(loss, ["w"], files, shapes, stream=True)


@pytest.mark.parametrize("loss", ["mean(abs(y - X @ w))", "sum(y**2) * sum((y - X @ w)**2)"])
def test_a_run_needs_no_second_derivatives_of_all_rows(files: dict[str, Path], loss: str) -> None:
    here, there = (cr.fit(loss, ["w"], files, "X[N,n] y[N] w[n]", stream=stream) for stream in (False, True))
    assert there.loss == pytest.approx(here.loss, rel=1e-4)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, "both are asked for"),
    ],
)
def test_what_cannot_be_done_is_said(files: dict[str, Path], where: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        cr.fit(LOSS, ["w", "b"], files, **where)


def test_the_command_line_streams_and_shares_out(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(file) for file in files.values()]
    status = run(["fit", LOSS, "--data", *paths, "--params", "w,b", "--stream", "--workers", "2"])
    out = capsys.readouterr().out
    assert status == 0 and "chunk by chunk" in out and "summed by 2 processes" in out


@pytest.mark.parametrize("where", [{}, {"stream": True}, {"workers": 2}])
def test_arrays_without_rows_go_along(files: dict[str, Path], where: dict[str, Any]) -> None:
    m, P = np.array([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 4.0])
    loss = "mean((y - X @ w)**2) + (w - m) @ P @ (w - m)"
    data: dict[str, Any] = {**files, "m": m, "P": P}
    result = cr.fit(loss, ["w"], data, "X[N,n] y[N] m[n] P[n,n] w[n]", **where)
    X, y = np.load(files["X"]), np.load(files["y"])
    best = np.linalg.solve(X.T @ X / 1001 + P, X.T @ y / 1001 + P @ m)
    np.testing.assert_allclose(result.params["w"], best, rtol=1e-9)
    with pytest.raises(cr.ChainruleError, match="m has entries that are not finite"):
        cr.fit(loss, ["w"], {**data, "m": m * np.nan}, "X[N,n] y[N] m[n] P[n,n] w[n]", **where)


def test_files_that_cannot_be_cut_are_left_to_fewer_processes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "\n".join(f'"{k}",{3 * k + 1}' for k in range(20)))
    where: dict[str, Any] = {"let": "y = y, a = a", "stream": True, "workers": 2}
    result = cr.fit("mean((y - m*a - c)**2)", ["m", "c"], tmp_path / "t.csv", "a[N] y[N] m c", **where)
    assert result.params["m"] == pytest.approx(3) and result.params["c"] == pytest.approx(1)
    assert any("by 1 process, as the rows cannot be cut" in note for note in result.notes)
