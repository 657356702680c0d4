"""The page cache of the system: files are taken out of it, and it is looked at whether they are."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def drop(paths: Iterable[Path]) -> None:
    """Take files out of the page cache; only pages that are written to the disc go."""
    for path in paths:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached(paths: Iterable[Path]) -> float:
    """The share of the pages of some files that are in the page cache, by mincore; looking reads none."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = count = 0
    for path in paths:
        size = path.stat().st_size
        with open(path, "rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
            view = np.frombuffer(mapped, np.uint8)
            pages = np.zeros(-(-size // mmap.PAGESIZE), np.uint8)
            wrong = libc.mincore(
                ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(size), ctypes.c_void_p(pages.ctypes.data)
            )
            del view  # the map cannot be closed while it is looked at
        if wrong:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        found, count = found + int(np.count_nonzero(pages & 1)), count + len(pages)
    return found / count
