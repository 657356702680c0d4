"""What the arguments of fit() may be, so that one of another kind is told before any work."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Collection, Mapping, Sequence

from chainrule.errors import OptionError

# The kinds of each argument, and how it is written.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "params": ((str, Collection), "params=['w', 'b'] or params='w,b'"),
    "let": ((str,), "let='y = target, X = rest'"),
    "standardise": ((str, Collection), "standardise='X', or a list of variables and columns"),
    "one_hot": ((str, Collection), "one_hot='city', or a list of columns"),
    "sizes": ((Mapping,), "sizes={'h': 16}"),
    "split": ((numbers.Real,), "split=0.2 holds out a fifth of the rows"),
    "betas": ((Sequence,), "betas=(0.9, 0.999)"),
    "checkpoint": ((str, os.PathLike), "checkpoint='run.ckpt', the name of a file"),
    "resume": ((str, os.PathLike), "resume='run.ckpt', the name of a file"),
    "scheduler": ((str,), "scheduler='tcp://host:8786'"),
    "header": ((bool,), "header=True if text files begin with the names of the columns, else False"),
    "progress": ((bool, Callable), "progress=True for a bar, or a function that is given each step"),  # type: ignore[dict-item]
}


def check_kinds(given: Mapping[str, object]) -> None:
    """Raises: OptionError for an argument of a kind that it cannot have.

    >>> check_kinds({"let": None, "split": 0.2, "sizes": {"h": 16}})
    """
    for name, (kinds, hint) in KINDS.items():
        value = given.get(name)
        wrong = bytes if str in kinds else str if name in ("betas", "split") else ()
        if value is not None and (not isinstance(value, kinds) or isinstance(value, wrong)):
            raise OptionError(f"{name} cannot be of type {type(value).__name__}", hint=hint)
