"""Rows that processes on this machine sum, each its own pieces.

What is compiled goes to a worker once, parameters each time, and only totals and counts come back. A worker
that dies is replaced, and its piece is asked for again: nothing is lost, and the sum has the same bits.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from chainrule.codegen.halves import Half
from chainrule.errors import LimitExceeded, OptionError
from chainrule.fit.objective import Array
from chainrule.fit.pieces import Picks, Piece, PiecedRows, Summed

MOST_DEATHS = 3  # of workers in a row at one piece
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
START = "from chainrule.fit.worker import main; main()"


class WorkerRows(PiecedRows):
    """Pieces shared out among processes: piece k is always for worker k modulo their number."""

    def __init__(
        self, pieces: Sequence[Piece], workers: int, count: int | None = None, picks: Picks | None = None
    ) -> None:
        super().__init__(pieces, count, picks)
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise OptionError(f"workers is {workers!r}", hint="it is a number of processes, at least 1")
        self.workers = [Worker() for _ in range(min(workers, len(self.pieces)))]
        self._threads = ThreadPoolExecutor(len(self.workers), thread_name_prefix="chainrule")
        self._halves: list[Half] = []

    def parts(self, half: Half, values: Mapping[str, Array], sizes: Mapping[str, int]) -> list[Summed]:
        if not any(half is known for known in self._halves):
            self._halves.append(half)
        number = next(k for k, known in enumerate(self._halves) if known is half)
        needed = {name: values[name] for name in half.source.arrays if name in values}
        found: dict[int, Summed] = {}
        given_up = threading.Event()

        def share(first: int) -> None:
            for k in range(first, len(self.pieces), len(self.workers)):
                request = ("sum", self.pieces[k], number, needed, dict(sizes))
                found[k] = self.workers[first].ask(number, half, request, given_up)

        asked = [self._threads.submit(share, first) for first in range(len(self.workers))]
        try:
            for done in asked:
                done.result()
        except BaseException:
            # Whoever still asks has to end: the next sum would read answers that are for this one.
            given_up.set()
            for worker in self.workers:
                worker.kill()
            _ended(asked)
            raise
        return [found[k] for k in range(len(self.pieces))]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self._threads.shutdown(wait=True)


class Worker:
    """A process, or the one in its place; it starts when it is first asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._known: set[int] = set()
        self._starting = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The number of the process, if there is one."""
        return None if self._process is None else self._process.pid

    def ask(self, number: int, half: Half, request: tuple[Any, ...], given_up: threading.Event) -> Summed:
        """The answer to a request, from a new process if this one dies and nobody has `given_up`.

        Raises: what the worker raised; LimitExceeded if processes die again and again.
        """
        for _ in range(MOST_DEATHS):
            try:
                kind, *rest = self._asked(number, half, request, given_up)
            except (EOFError, OSError, pickle.UnpicklingError):
                self.close()
                if given_up.is_set():
                    raise
                continue
            if kind == "problem":
                raise rest[0]
            return Summed(*rest)
        raise LimitExceeded(
            f"a worker died {MOST_DEATHS} times at the same rows",
            hint="it may lack memory: use fewer workers, or smaller files",
        )

    def _asked(
        self, number: int, half: Half, request: tuple[Any, ...], given_up: threading.Event
    ) -> tuple[Any, ...]:
        with self._starting:
            if given_up.is_set():
                raise EOFError
            if self._process is None:
                self._process = _started()
                self._known = set()
            process = self._process
        assert process.stdin is not None and process.stdout is not None
        if number not in self._known:
            pickle.dump(("half", number, half), process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._known.add(number)
        pickle.dump(request, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        answer: tuple[Any, ...] = pickle.load(process.stdout)
        return answer

    def kill(self) -> None:
        """Ends the process for whoever asks it now, and sees that."""
        with self._starting:
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    pass  # what was to be written has no reader any more


def _started() -> subprocess.Popen[bytes]:
    """A process that finds what this one imports, with one thread for linear algebra."""
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": paths}
    with _without_ctrl_c():
        return subprocess.Popen(
            [sys.executable, "-c", START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """What is started within inherits that Ctrl-C is held back, which a terminal sends to all processes.

    A worker ignores it too, but only once it runs.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended(asked: Sequence[Future[None]]) -> None:
    """Waits for all, which a second Ctrl-C does not end."""
    while True:
        try:
            wait(asked)
        except KeyboardInterrupt:
            continue
        return
