"""The table of what fitting costs: its parts run on small data, and a missed target is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.backends import backend

for needed in ("jax", "torch", "numba", "sklearn", "pyarrow"):
    backend(needed)

from benchmarks.fitting import gradient, streams, workers  # noqa: E402
from benchmarks.fitting.cache import cached, drop  # noqa: E402
from benchmarks.fitting.neuron import drawn  # noqa: E402
from benchmarks.fitting.table import Row  # noqa: E402


def test_a_row_says_whether_it_meets_its_target() -> None:
    assert Row("a", 1.2, 1.3).met and not Row("a", 1.4, 1.3).met and Row("a", 1.4).met is None
    assert Row("a", 1.4, 1.3, least=True).met and "MISSED" in str(Row("a", 1.2, 1.3, least=True))


def test_small_sizes_are_not_judged() -> None:
    row = Row("a", 1.4, 1.3, judged=False)
    assert row.met is None and "not judged at this size" in str(row) and "MISSED" not in str(row)
    assert "judged" not in str(Row("a", 1.4, judged=False))


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system does not drop files from its cache")
def test_what_is_left_in_the_page_cache_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with open(path, "wb") as file:
        file.write(b"x" * (1 << 20))
        file.flush()
        os.fsync(file.fileno())
    path.read_bytes()
    assert cached([path]) == 1
    drop([path])
    if cached([path]) == 1:
        pytest.skip("the folder for temporary files is in memory")
    assert cached([path]) == 0


def test_gradients_that_differ_or_stand_still_are_not_timed() -> None:
    X, y, theta = drawn(50, 3)
    ours = gradient._two_passes(X, y)
    gradient._check({"numpy": ours, "jax": gradient._jax(X, y), "torch": gradient._torch(X, y)}, theta)
    with pytest.raises(AssertionError, match="have not changed"):
        gradient._check({"numpy": lambda at: 0 * ours(at)}, theta)
    with pytest.raises(AssertionError, match="other has other weights"):
        gradient._check({"numpy": ours, "other": lambda at: ours(at) + 1e-6}, theta)


def test_files_and_workers_are_measured_on_small_data() -> None:
    found = {row.what: row for row in [*streams.csv(None, 300), *workers.rows(1)]}
    assert found["a pass against pyarrow's parse"].measured > 0
    assert found["CPU of two workers against one process"].measured > 0
