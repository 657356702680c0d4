"""The table of what fitting costs: its parts run on small data, and a missed target is told."""

from __future__ import annotations

import pytest

for needed in ("jax", "torch", "numba", "sklearn", "pyarrow"):
    pytest.importorskip(needed)

from benchmarks.fitting import gradient, streams, workers  # noqa: E402
from benchmarks.fitting.neuron import drawn  # noqa: E402
from benchmarks.fitting.table import Row  # noqa: E402


def test_a_row_says_whether_it_meets_its_target() -> None:
    assert Row("a", 1.2, 1.3).met and not Row("a", 1.4, 1.3).met and Row("a", 1.4).met is None
    assert Row("a", 1.4, 1.3, least=True).met and "MISSED" in str(Row("a", 1.2, 1.3, least=True))


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
