"""A pass over files: npy against reading them, by wall clock, and CSV against pyarrow's parse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fitting.cache import cached, drop
from benchmarks.fitting.neuron import drawn, objective, start
from benchmarks.fitting.table import Row, median, on_all_cores
from benchmarks.speed.clock import block
from chainrule.expr.nodes import Variable
from chainrule.fit.pieces import PiecedRows
from chainrule.fit.stream import stream
from chainrule.language.declarations import parse_declarations

COLUMNS = 100
FILE_ROWS = 500_000  # 400 MB
ROUNDS = 5
BUFFER = 8 << 20
# A virtual machine gives freed memory back to its host within about two seconds; a reading that fills the
# page cache in pages that are not given back yet is up to twice as fast as one a moment later.
SETTLED = 5.0
LAID = f"y = c{COLUMNS - 1}, X = rest"


def variables() -> dict[str, Variable | None]:
    return dict(parse_declarations("X[N,n] y[N]").variables)


def npy(folder: str | None, gigabytes: float, wait: float = SETTLED) -> Iterator[Row]:
    """A pass with its gradient in its own process, and plain reading, in turns, with no page in cache."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        files = _write(Path(place), round(gigabytes * 1e9 / (8 * COLUMNS)))
        command = [sys.executable, "-m", "benchmarks.fitting.streams", place, str(wait)]
        told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode:
            raise RuntimeError(told.stderr)
        found = json.loads(told.stdout)
    size = sum(files.values())
    read, passed = median(found["read"]), median(found["passes"])
    yield Row("size, GB", size / 1e9)
    yield Row("left in the page cache after dropping, % at most", 100 * max(found["left"]), 1)
    yield Row("reading, GB/s of wall clock", size / read / 1e9)
    yield Row("a pass with its gradient, GB/s of wall clock", size / passed / 1e9)
    yield Row("a pass, CPU seconds a GB", median(found["cpu"]) / size * 1e9)
    yield Row("a pass against reading", passed / read, 1.3)
    # Of files whose columns become variables, only those of X are read.
    share = sum(length for path, length in files.items() if path.name.startswith("X")) / size
    yield Row(
        "a pass over columns of one array against reading", median(found["columns"]) / share / read, 1.3
    )
    yield Row("peak of anonymous memory, MB", found["memory"], 500)


def csv(folder: str | None, count: int) -> Iterator[Row]:
    """A pass with its gradient over a CSV file of ten columns, and pyarrow's parse in the same blocks."""
    import pyarrow
    from pyarrow import csv as arrow

    from chainrule.fit.text_files import BLOCK

    columns = 10
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "data.csv"
        X, y, theta = drawn(count, columns)
        table = pyarrow.table({**{f"x{k}": X[:, k] for k in range(columns)}, "y": y})
        arrow.write_csv(table, path)
        chunks = stream(path, "y = y, X = rest", variables()).chunks
        made = objective(PiecedRows([chunks]), columns)
        expected = 2 / count * (np.maximum(X @ theta[:-1] + theta[-1], 0) - y)
        expected[X @ theta[:-1] + theta[-1] <= 0] = 0
        assert np.allclose(made.value_and_gradient(theta)[1][:-1], expected @ X), "the gradient is wrong"
        types = dict.fromkeys(table.column_names, pyarrow.float64())
        how = {
            "read_options": arrow.ReadOptions(block_size=BLOCK, use_threads=False),
            "convert_options": arrow.ConvertOptions(column_types=types),
        }
        calls: dict[str, Callable[[], Any]] = {
            "in batches": lambda: sum(batch.num_rows for batch in arrow.open_csv(path, **how)),
            "whole": lambda: arrow.read_csv(path, **how).num_rows,
            "pass": lambda: made.value_and_gradient(theta),
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                times[name].append(block(call, 1))
        parse = min(median(times["in batches"]), median(times["whole"]))
        size = path.stat().st_size
    yield Row("size, MB", size / 1e6)
    yield Row("pyarrow's parse, the faster of batches and whole, MB/s", size / parse / 1e6)
    yield Row("a pass with its gradient, MB/s", size / median(times["pass"]) / 1e6)
    yield Row("a pass against pyarrow's parse", median(times["pass"]) / parse, 1.3)


def _write(folder: Path, count: int) -> dict[Path, int]:
    """Files X-0.npy, y-0.npy and so on, and their sizes."""
    made = {}
    for number, begin in enumerate(range(0, count, FILE_ROWS)):
        X, y, _ = drawn(min(FILE_ROWS, count - begin), COLUMNS, number)
        for name, array in (("X", X), ("y", y)):
            path = folder / f"{name}-{number:03}.npy"
            with open(path, "wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())  # only clean pages can be dropped from the cache
            made[path] = path.stat().st_size
    return made


def _read(paths: list[Path]) -> None:
    """Read the files as the stream does, and do nothing with them."""
    buffer = bytearray(BUFFER)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while file.readinto(buffer):
                pass


class Peak:
    """The most anonymous memory that this process has, looked at every 5 ms."""

    def __init__(self) -> None:
        self.most, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            with open("/proc/self/status", encoding="ascii") as file:
                now = next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))
            self.most = max(self.most, now * 1024 / 1e6)


def _measure(folder: Path, wait: float) -> dict[str, Any]:
    """What the process of its own does: readings and passes in turns, and what was left in the page cache.

    `wait`: seconds between dropping the files and reading them, so that all start from the same state.
    """
    paths = sorted(folder.glob("*.npy"))
    files = {"read": paths, "passes": paths, "columns": sorted(folder.glob("X-*.npy"))}
    theta = start(COLUMNS)
    whole = objective(PiecedRows([stream(str(folder), None, variables()).chunks]), COLUMNS)
    laid = stream([str(path) for path in files["columns"]], LAID, variables()).chunks
    columns = objective(PiecedRows([laid]), COLUMNS - 1)
    calls: dict[str, Callable[[], Any]] = {
        "read": lambda: _read(paths),
        "passes": lambda: whole.value_and_gradient(theta),
        "columns": lambda: columns.value_and_gradient(start(COLUMNS - 1)),
    }
    found: dict[str, list[float]] = {name: [] for name in (*calls, "cpu", "left")}
    with Peak() as peak:
        for _ in range(ROUNDS):
            for name, call in calls.items():
                drop(files[name])
                found["left"].append(cached(files[name]))
                time.sleep(wait)
                begin, cpu = time.perf_counter(), time.process_time()
                told = call()
                found[name].append(time.perf_counter() - begin)
                if name == "passes":
                    found["cpu"].append(time.process_time() - cpu)
                assert told is None or (np.isfinite(told[0]) and (told[1] != 0).all())
    return {**found, "memory": peak.most}


if __name__ == "__main__":
    on_all_cores()
    print(json.dumps(_measure(Path(sys.argv[1]), float(sys.argv[2]))))
