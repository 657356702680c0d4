"""Ctrl-C while something is at work: it is heard where Python swallows it, and waits where it may not count.

Python raises KeyboardInterrupt wherever it happens to be. In a destructor or in the callback of a weak
reference the exception is printed and dropped. So it is also noted, and a run asks at each step. A library
that is being loaded may turn it into an error of its own.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Heard:
    """The handler of Ctrl-C while a fit runs: it raises KeyboardInterrupt and remembers that it did."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, frame: object) -> None:
        self.count += 1
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raises: KeyboardInterrupt if there was one, which was swallowed if this is reached."""
        if self.count:
            raise KeyboardInterrupt


@contextmanager
def heard() -> Iterator[Heard]:
    """Notes each Ctrl-C within the block; an outer block of the same kind notes them for an inner one."""
    present = signal.getsignal(signal.SIGINT)
    here = threading.current_thread() is threading.main_thread()
    if isinstance(present, Heard) or not here or present is not signal.default_int_handler:
        yield present if isinstance(present, Heard) else Heard()
        return
    ear, told = Heard(), sys.unraisablehook

    def tell(dropped: Any) -> None:
        if not ear.count:  # what is dropped behind a Ctrl-C comes of it
            told(dropped)

    signal.signal(signal.SIGINT, ear)
    sys.unraisablehook = tell
    try:
        yield ear
    finally:
        sys.unraisablehook = told
        signal.signal(signal.SIGINT, present)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Lets Ctrl-C count only once the block is done; a second one counts at once.

    An interruption inside a library may come out of it as another error, which it then stands for.
    """
    present = signal.getsignal(signal.SIGINT)
    usual = present is signal.default_int_handler or isinstance(present, Heard)
    if threading.current_thread() is not threading.main_thread() or not usual:
        yield
        return
    caught: list[int] = []

    def note(number: int, frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    except Exception:
        if caught:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, present)
    if caught:
        raise KeyboardInterrupt
