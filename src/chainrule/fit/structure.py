"""What is declared of the entries of data, y[N]:sign or y[N]:integer(3), is compared with the data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.fit.cells import Array
from chainrule.fit.plan import Complain, Laid

SLACK = 1e-6  # by how much a sum of written probabilities may miss 1

# What each word says of an entry, and how an entry that does not do it is told.
ENTRIES: dict[str, tuple[Callable[[Array], Array], str]] = {
    "positive": (lambda x: x > 0, "is not positive"),
    "nonnegative": (lambda x: x >= 0, "is negative"),
    "probability": (lambda x: (x >= 0) & (x <= 1), "is not between 0 and 1"),
    "sign": (lambda x: np.abs(x) == 1, "is neither 1 nor −1"),
    "simplex": (lambda x: x >= 0, "is negative"),
    "integer": (lambda x: x == np.floor(x), "is not a whole number"),
}


def check_entries(laid: Laid, array: Array, complain: Complain) -> None:
    """Raise DataProblem at the first entry that is not what was declared."""
    for word in laid.variable.structure:
        holds, said = ENTRIES.get(word.partition("(")[0], (None, ""))
        if holds is not None:
            _check(laid, array, holds(array), said, word, complain)
        if word == "simplex" and laid.rank > 1:
            _check_sums(laid, array, complain)
    bound = laid.variable.bound
    if bound is not None:
        inside = array >= 0
        said = "is negative"
        if bound.constant is not None and not np.any(~inside):
            inside, said = array < bound.constant, f"is not below {bound.constant}"
        _check(laid, array, inside, said, f"integer({bound})", complain)


def _check_sums(laid: Laid, array: Array, complain: Complain) -> None:
    """The entries of a row add up to 1, as far as rounding and seven written digits let them."""
    sums = array.sum(axis=-1).reshape(len(array), -1)
    wrong = np.flatnonzero((np.abs(sums - 1) > SLACK).any(axis=1))
    if wrong.size:
        row = int(wrong[0])
        worst = sums[row][np.argmax(np.abs(sums[row] - 1))]
        raise complain(
            f"the entries of {laid.name} add up to {worst:g}, and it is declared simplex",
            row,
            "",
            "their sum is 1",
        )


def _check(laid: Laid, array: Array, good: Array, said: str, word: str, complain: Complain) -> None:
    if good.all():
        return
    row = int(np.argmin(good.reshape(len(array), -1).all(axis=1)))
    place = int(np.argmin(good[row]))
    value = array[row].flat[place] if array.ndim > 1 else array[row]
    hint = "classes are counted from 0" if word.startswith("integer(") else ""
    if word == "sign" and value == 0:
        hint = "classes 0 and 1 become signs by 2*y - 1 in the formula"
    column = laid.column(place if array.ndim == 2 else 0)
    raise complain(f"{column} is {value:g}, and {laid.name} is declared {word}: it {said}", row, column, hint)
