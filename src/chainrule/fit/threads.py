"""One thread of OpenBLAS for fits whose steps are short.

OpenBLAS, which NumPy and SciPy bring along, shares every product out among threads, and these wait for each
other longer than a short product takes: several times as long as the product, where other work runs beside.
"""

from __future__ import annotations

import ctypes
import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from chainrule.fit.methods import BATCH

# Products of an entry of the data with a parameter in one step, some ten milliseconds of one core.
SHORT = 1 << 24
PREFIXES, SUFFIXES = ("scipy_openblas", "openblas"), ("64_", "")


class Pool:
    """The threads of one OpenBLAS."""

    def __init__(self, library: Any, prefix: str, suffix: str) -> None:
        self._get = getattr(library, f"{prefix}_get_num_threads{suffix}")
        self._set = getattr(library, f"{prefix}_set_num_threads{suffix}")
        self._get.restype = ctypes.c_int

    @property
    def threads(self) -> int:
        """How many there are."""
        return int(self._get())

    @threads.setter
    def threads(self, count: int) -> None:
        self._set(ctypes.c_int(count))


@cache
def pools() -> tuple[Pool, ...]:
    """Those of NumPy and SciPy, as they are installed from PyPI; none where they use another library."""
    found = []
    for package in ("numpy", "scipy"):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin).parent
        for place in (folder.with_name(f"{package}.libs"), folder / ".dylibs"):
            for path in sorted(place.glob("*openblas*")):
                with suppress(OSError, AttributeError):
                    library = ctypes.CDLL(str(path))
                    named = [(p, s) for p in PREFIXES for s in SUFFIXES]
                    found += [
                        Pool(library, p, s) for p, s in named if hasattr(library, f"{p}_set_num_threads{s}")
                    ]
    return tuple(found)


_lock = threading.Lock()
_before: list[tuple[Pool, int]] = []
_users = 0


@contextmanager
def one_thread(work: float) -> Iterator[None]:
    """Within the block OpenBLAS has one thread, if that much work of a step is short.

    Blocks may overlap, in several threads too: the last to end gives the threads back.
    """
    global _users
    if work > SHORT:
        yield
        return
    with _lock:
        if not _users:
            _before[:] = [(pool, pool.threads) for pool in pools()]
            for pool, _ in _before:
                pool.threads = 1
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                for pool, threads in _before:
                    pool.threads = threads


def work_of(method: str, rows: int | None, size: int, batch: int | None = None) -> float:
    """About how many products a step takes; those that write a matrix of all parameters also factor it.

    >>> work_of("lbfgs", 1000, 10), work_of("newton", 1000, 10), work_of("adam", None, 10)
    (10000.0, 101000.0, 320.0)
    """
    if method in ("sgd", "adam"):
        rows = batch or BATCH
    if rows is None:
        return float("inf")
    products = float(rows) * size
    return products * size + float(size) ** 3 if method in ("newton", "gauss-newton") else products
