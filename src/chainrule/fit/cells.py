"""Cells of columns as numbers or as texts, with missing ones marked.

In: an array of any type, as a file or a frame has it. Out: float64 with NaN, or texts with None, where a cell
has no value. It decides nothing about missing cells.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.codegen.interrupts import undisturbed
from chainrule.errors import DataProblem

Array = NDArray[Any]
NUMBER, TEXT = "number", "text"
# What stands for a cell without a value; the names are those that R, pandas and spreadsheets write.
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A")
_NOTHING = ("NoneType", "NAType", "NaTType")
_TRUTH = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
# message, row, hint -> the error with its place
Complain = Callable[[str, int, str], DataProblem]


def optional(name: str) -> Any:
    """A module, or None where its package is not installed; Ctrl-C waits until it is loaded."""
    try:
        with undisturbed():
            return importlib.import_module(name)
    except ImportError:
        return None


def numbers(values: Any, name: str, complain: Complain) -> Array:
    """float64, NaN where there is no value.

    Raises: DataProblem at the first cell that is no number.

    >>> numbers(np.array(["1.5", "NA"], dtype=object), "bmi", lambda message, row, hint: DataProblem(message))
    array([1.5, nan])
    """
    array = np.ma.filled(values.astype(np.float64), math.nan) if np.ma.isMaskedArray(values) else values
    array = np.asarray(array)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64, copy=False)
    if array.dtype.kind == "M" or array.dtype.kind == "m":
        raise complain(
            f"{name} holds dates or times, which are not numbers",
            0,
            "turn it into a number first, such as days",
        )
    if array.dtype.kind == "c":
        raise complain(f"{name} holds complex numbers", 0, "take its real or imaginary part first")
    found = np.empty(len(array), dtype=np.float64)
    for row, cell in enumerate(array.tolist()):
        try:
            found[row] = number_of(cell)
        except (ValueError, TypeError):
            raise complain(
                f"{name} holds `{_short(cell)}`, which is not a number", row, _way_out(cell, name)
            ) from None
    return found


def is_number(cell: str) -> bool:
    """Whether a text is a number; one for a missing value is none."""
    try:
        return cell.strip() not in MISSING and not math.isnan(number_of(cell))
    except ValueError:
        return False


def number_of(cell: Any) -> float:
    """The number in a cell, NaN for a missing value. Raises: ValueError, TypeError for no number."""
    if isinstance(cell, str):
        text = cell.strip()
        if text in MISSING:
            return math.nan
        if text in _TRUTH:
            return _TRUTH[text]
        if "_" in text:  # Python reads 1_000 as a number, no other program does
            raise ValueError
        return float(text)
    if type(cell).__name__ in _NOTHING:
        return math.nan
    return float(cell)


def texts(values: Any) -> Array:
    """Texts, None where there is no value; whole numbers are written without a point.

    >>> texts(np.array([1.0, 2.5, np.nan])).tolist()
    ['1', '2.5', None]
    """
    array = np.asarray(values)
    found = np.empty(len(array), dtype=object)
    for row, cell in enumerate(array.tolist()):
        found[row] = _text(cell)
    return found


def _text(cell: Any) -> str | None:
    if isinstance(cell, str):
        text = cell.strip()
        return None if text in MISSING else text
    if type(cell).__name__ in _NOTHING:
        return None
    if isinstance(cell, float):
        if math.isnan(cell):
            return None
        return str(int(cell)) if cell.is_integer() else repr(cell)
    return str(cell)


def _short(cell: Any) -> str:
    text = str(cell)
    return text if len(text) <= 40 else text[:39] + "…"


def _way_out(cell: Any, name: str) -> str:
    text = str(cell).strip()
    if text.count(",") == 1 and is_number(text.replace(",", ".")):
        return "write decimals with a point, and thousands without a comma"
    if text in ("?", "-", ".", "*"):
        return "an empty cell or NA stands for a missing value"
    return f"mend the cell, leave the column out, or take its values for categories, one_hot={name!r}"
