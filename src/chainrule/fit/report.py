"""The report of a fit as text and as JSON: what was fitted to what, how it ended, and what it is worth."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.expr.names import pretty
from chainrule.fit.objective import Array

if TYPE_CHECKING:
    from chainrule.fit.result import Result

SCHEMA, VERSION = "chainrule/fit", 1
SHOWN = 40  # entries of parameters that are listed
CURVE_WIDTH, CURVE_HEIGHT = 60, 8
LOGARITHMIC = 50.0  # ratio of losses from which on they are shown on a logarithmic scale
EIGHTHS = " ▁▂▃▄▅▆▇█"


def report_text(result: Result, width: int = 100) -> str:
    """The report as text."""
    parts = [
        _heading(result),
        _parameters(result, width),
        _quality(result, width),
        _curve(result),
        _notes(result, width),
    ]
    return "\n\n".join(part for part in parts if part)


def number(value: float, digits: int = 6) -> str:
    """A number with so many digits, and a minus sign.

    >>> number(-1234.56789), number(1e-12), number(3.0)
    ('−1234.57', '1e−12', '3')
    """
    if math.isnan(value):
        return "nan"
    text = f"{value:.{digits}g}"
    mantissa, mark, exponent = text.partition("e")
    if mark:
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def table_rows(result: Result) -> tuple[list[list[str]], list[str]]:
    """The rows of the table of parameters, and its headings; the last row says what is left out."""
    headings = ["parameter", "fitted"]
    columns = [entries(result.params)]
    if result.original:
        kept = [name for name in result.scaling if name not in result.undone]
        whose = f"{' and '.join(result.undone)} " if kept else ""
        headings = ["parameter", "standardised", f"{whose}in the units of the data"]
        columns.append(entries(result.original))
    rows = [[shown(name), *map(number, values)] for name, *values in zip(result.names, *columns, strict=True)]
    if len(rows) > SHOWN:
        half = SHOWN // 2
        rows = [*rows[:half], ["…"] + [""] * (len(headings) - 1), *rows[-half:]]
    return rows, headings


def shown(name: str) -> str:
    """The name of an entry as a person writes it.

    >>> shown("beta[age]"), shown("w1"), shown("b")
    ('β[age]', 'w₁', 'b')
    """
    letter, bracket, place = " ".join(name.split()).partition("[")
    return pretty(letter) + bracket + place


def entries(arrays: dict[str, Array]) -> list[float]:
    """All entries of some arrays, one array after the other."""
    return [float(x) for array in arrays.values() for x in np.ravel(array)]


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """What there is to say about the fit, each with a word in front."""
    yield from ((name, typeset(text)) for name, text in _facts(result))


def typeset(text: str) -> str:
    """The text with minus signs before its numbers, and exponents without a leading 0.

    >>> typeset("from -2 to 1e-10, 8.7e-09; allow more steps, or gauss-newton")
    'from −2 to 1e−10, 8.7e−9; allow more steps, or gauss-newton'
    """
    text = re.sub(r"(?<=\de)([+-])0*(?=\d)", lambda sign: sign[1].replace("+", ""), text)
    return re.sub(r"(?<![\w-])-(?=\d)|(?<=\de)-(?=\d)", "−", text)


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    best = "" if result.step == result.steps else f" at step {result.step:,}, the best of {result.steps:,}"
    yield "loss", number(result.loss) + best + _unscaled(result, result.loss)
    if result.validation_loss is not None:
        also = _unscaled(result, result.validation_loss)
        yield "held out", f"{number(result.validation_loss)} on {result.held_out:,} rows{also}"
    for name, value in result.baseline.items():
        yield name, f"{number(value)}{_compared(result.loss, value)}"
    yield "gradient norm", number(result.gradient_norm, 2)
    ended = result.reason + (f"; {result.hint}" if result.hint else "")
    yield "ended", ended
    if result.conditioning:
        yield "conditioning", result.conditioning
    if result.separable:
        yield "over rows", result.separable


def _unscaled(result: Result, loss: float) -> str:
    """The loss where nothing is standardised."""
    factor = result.loss_factor
    return "" if factor is None else f"; {number(factor * loss)} in the units of the data"


def _compared(loss: float, other: float) -> str:
    """How a loss compares with another."""
    if not (math.isfinite(loss) and math.isfinite(other)) or abs(other) < 1e-300:
        return ""
    share = (loss - other) / abs(other)
    if abs(share) < 1e-9:
        return "; the fit is the same"
    percent = f"{abs(share):.1%}" if abs(share) >= 0.001 else f"{abs(share) * 100:.1g}%"
    return f"; the fit is {percent.replace('%', ' %')} {'lower' if share < 0 else 'higher'}"


def _heading(result: Result) -> str:
    rows = "" if result.rows is None else f"{result.rows:,} rows"
    source = " of ".join(part for part in (rows, result.data) if part)
    held = f", {result.held_out:,} more held out" if result.held_out else ""
    lines = [f"fit of  {result.formula}", f"    {result.shapes}"]
    if source:
        lines.append(f"    {source}{held}")
    lines.append(f"    method {result.method}, seed {result.seed}")
    return "\n".join(lines)


def _parameters(result: Result, width: int) -> str:
    rows, headings = table_rows(result)
    lines = aligned([headings, *rows])
    if result.original_note:
        lines += textwrap.wrap(
            typeset(result.original_note), width, initial_indent="    ", subsequent_indent="    "
        )
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of a table, the first of headings: the names to the left, numbers under their points."""
    columns = list(zip(*rows, strict=True))
    shown = [[text.ljust(max(map(len, columns[0]))) for text in columns[0]]]
    for column in columns[1:]:
        heads = [_before_point(text) for text in column[1:]]
        left = max(heads, default=0)
        cells = [" " * (left - head) + text for head, text in zip(heads, column[1:], strict=True)]
        wide = max(len(column[0]), *map(len, cells)) if cells else len(column[0])
        shown.append([column[0].ljust(wide), *(cell.ljust(wide) for cell in cells)])
    return ["  " + "   ".join(cells).rstrip() for cells in zip(*shown, strict=True)]


def _before_point(text: str) -> int:
    whole = text.partition("e")[0]
    return whole.index(".") if "." in whole else len(whole)


def _quality(result: Result, width: int) -> str:
    found = list(facts(result))
    wide = max(len(name) for name, _ in found) + 2
    lines = []
    for name, text in found:
        wrapped = textwrap.wrap(text, max(width - wide - 2, 30)) or [""]
        lines.append(f"  {name.ljust(wide)}{wrapped[0]}")
        lines += ["  " + " " * wide + more for more in wrapped[1:]]
    return "\n".join(lines)


def curve(result: Result) -> tuple[Array, Array]:
    """The steps at which the loss is that of all rows, and the loss there, as far as it is finite."""
    history = result.history
    chosen = history["whole"].astype(bool) & np.isfinite(history["loss"])
    return history["step"][chosen], history["loss"][chosen]


def logarithmic(losses: Array) -> bool:
    """Whether losses are better seen on a logarithmic scale."""
    return bool(len(losses) and losses.min() > 0 and losses.max() / losses.min() > LOGARITHMIC)


def _curve(result: Result) -> str:
    """The loss by the step, drawn with blocks."""
    steps, losses = curve(result)
    if len(losses) < 3 or losses.max() == losses.min():
        return ""
    log = logarithmic(losses)
    heights = np.log10(losses) if log else losses
    last = int(steps[-1])
    width = min(CURVE_WIDTH, max(last + 1, 8))
    places = np.linspace(0, last, width)
    values = heights[np.searchsorted(steps, places, side="right") - 1]
    share = (values - heights.min()) / (heights.max() - heights.min())
    units = np.maximum(np.rint(share * CURVE_HEIGHT * 8), 1).astype(int)
    labels = [number(float(losses.max()), 4), number(float(losses.min()), 4)]
    wide = max(map(len, labels))
    lines = [f"  loss by step{', logarithmic' if log else ''}"]
    for line in range(CURVE_HEIGHT):
        base = (CURVE_HEIGHT - 1 - line) * 8
        drawn = "".join(EIGHTHS[min(max(unit - base, 0), 8)] for unit in units)
        label = labels[0] if line == 0 else labels[1] if line == CURVE_HEIGHT - 1 else ""
        lines.append(f"  {label.rjust(wide)} │{drawn}".rstrip())
    end = f"{last:,}"
    lines.append(f"  {' ' * wide} └{'─' * width}")
    lines.append(f"  {' ' * wide}  0{end.rjust(width - 1)}")
    return "\n".join(lines)


def _notes(result: Result, width: int) -> str:
    lines = []
    for note in result.notes:
        lines += textwrap.wrap(f"note: {note}", width, initial_indent="  ", subsequent_indent="        ")
    return "\n".join(lines)


def report_json(result: Result) -> str:
    """The report as JSON; numbers that are not finite are null."""
    history = {name: _plain(array) for name, array in result.history.items()}
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "formula": result.formula,
        "shapes": result.shapes,
        "method": result.method,
        "seed": result.seed,
        "data": result.data,
        "rows": result.rows,
        "held_out": result.held_out,
        "updates": list(result.updates),
        "params": {name: _plain(array) for name, array in result.params.items()},
        "original_params": {name: _plain(array) for name, array in result.original.items()} or None,
        "original_note": result.original_note,
        "undone": list(result.undone),
        "scaling": {
            name: {"mean": _plain(rows[0]), "deviation": _plain(rows[1])}
            for name, rows in result.scaling.items()
        },
        "names": list(result.names),
        "labels": {name: list(labels) for name, labels in result.labels.items()},
        "loss": _plain(result.loss),
        "validation_loss": _plain(result.validation_loss),
        "loss_factor": _plain(result.loss_factor),
        "baseline": {name: _plain(value) for name, value in result.baseline.items()},
        "gradient_norm": _plain(result.gradient_norm),
        "converged": result.converged,
        "reason": result.reason,
        "hint": result.hint,
        "step": result.step,
        "steps": result.steps,
        "evaluations": result.evaluations,
        "condition": _plain(result.condition),
        "conditioning": result.conditioning,
        "separable": result.separable,
        "notes": list(result.notes),
        "history": history,
        "versions": dict(result.versions),
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    """Lists and numbers; null for what JSON has no sign for."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
