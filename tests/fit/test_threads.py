"""Short fits have one thread of OpenBLAS, and leave as many as there were."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import chainrule as cr
from chainrule.fit.threads import SHORT, one_thread, pools

POOLS = pools()
pytestmark = pytest.mark.skipif(not POOLS, reason="NumPy is built with another library")


def counts() -> list[int]:
    return [pool.threads for pool in POOLS]


@pytest.fixture(autouse=True)
def two_threads() -> object:
    before = counts()
    for pool in POOLS:
        pool.threads = 2
    yield
    for pool, count in zip(POOLS, before, strict=True):
        pool.threads = count


def test_only_short_work_has_one_thread() -> None:
    two = counts()
    with one_thread(SHORT + 1):
        assert counts() == two
    with pytest.raises(ZeroDivisionError), one_thread(SHORT):
        assert set(counts()) == {1}
        raise ZeroDivisionError
    assert counts() == two


def test_the_last_of_several_gives_the_threads_back() -> None:
    two, inside, leave = counts(), threading.Event(), threading.Event()

    def other() -> None:
        with one_thread(1):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with one_thread(1):
        thread.start()
        inside.wait(10)
    assert set(counts()) == {1}
    leave.set()
    thread.join()
    assert counts() == two


def test_a_fit_is_short() -> None:
    X, two = np.arange(12.0).reshape(6, 2), counts()
    seen: list[int] = []
    cr.fit("mean((X @ w - 1)**2)", "w", {"X": X}, progress=lambda _: seen.extend(counts()))
    assert set(seen) == {1} and counts() == two
