"""Plots of a fit as SVG without any library: a curve by the step, and a surface with the path over it."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from chainrule.fit.objective import Array
from chainrule.fit.report import number, shown

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 16, 40
BANDS, PIXELS = 24, 360
FEW, MANY = 40, 200  # points up to which each is marked, on a curve and on a surface
# From the deepest to the highest place of the surface.
DEEP, HIGH = np.array([16.0, 48, 92]), np.array([240.0, 246, 252])


class Axis:
    """Numbers from `low` to `high` on `start` to `end` of the page, perhaps logarithmic."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False) -> None:
        if log:
            low, high = math.log10(low), math.log10(high)
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
            low, high = low - 0.5, high + 0.5
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def at(self, value: float) -> float:
        """Where a number is on the page."""
        if self.log:
            value = math.log10(value)
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """About five round numbers.

        >>> Axis(0, 106, 0, 1).ticks()
        [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
        """
        if self.log and self.high - self.low >= 1:
            each = max(1, math.ceil((self.high - self.low) / 5))
            return [10.0**k for k in range(math.ceil(self.low), math.floor(self.high) + 1) if k % each == 0]
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough * 0.8)
        first = math.ceil(self.low / step - 1e-9)
        marks = [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [10**m for m in marks] if self.log else marks


def line_plot(
    steps: Array, values: Array, title: str, log: bool, levels: Mapping[str, float] | None = None
) -> str:
    """Values by the step; `levels` are drawn across, each with its name. Empty for fewer than two points."""
    if len(steps) < 2:
        return ""
    across = {name: v for name, v in (levels or {}).items() if math.isfinite(v) and (v > 0 or not log)}
    every = [*map(float, values), *across.values()]
    x = Axis(float(steps[0]), float(steps[-1]), LEFT, WIDTH - RIGHT)
    y = Axis(min(every), max(every), HEIGHT - BOTTOM, TOP, log)
    points = " ".join(f"{x.at(float(s)):.1f},{y.at(float(v)):.1f}" for s, v in _thinned(steps, values))
    parts = [*_grid(x, y, "step"), f'<polyline class="curve" points="{points}" />']
    if len(steps) <= FEW:
        parts += [
            f'<circle class="dot" cx="{x.at(float(s)):.1f}" cy="{y.at(float(v)):.1f}" r="2.2" />'
            for s, v in zip(steps, values, strict=True)
        ]
    for name, value in across.items():
        place = y.at(value)
        above = place - 5 if place > TOP + 14 else place + 13
        parts.append(f'<path class="level" d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}" />')
        parts.append(f'<text class="name" x="{WIDTH - RIGHT}" y="{above:.1f}">{escape(name)}</text>')
    words = (
        f"{title} from {number(float(values[0]))} to {number(float(values[-1]))} in {int(steps[-1])} steps"
    )
    return _svg(parts, words)


def surface_plot(grid: Mapping[str, Array], path: Array, best: Sequence[float], names: Sequence[str]) -> str:
    """The loss over two parameters in bands of equal colour, the path of the descent, and its best point."""
    names = [shown(name) for name in names]
    x = Axis(float(grid["x"][0]), float(grid["x"][-1]), LEFT, WIDTH - RIGHT)
    y = Axis(float(grid["y"][0]), float(grid["y"][-1]), HEIGHT - BOTTOM, TOP)
    image = base64.b64encode(_picture(grid["loss"])).decode()
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    line = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in path)
    (x0, y0), (x1, y1) = ((x.at(a), y.at(b)) for a, b in (path[0], best))
    parts = [
        f'<image x="{LEFT}" y="{TOP}" width="{wide}" height="{high}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{image}" />',
        *_grid(x, y, names[0], names[1], lines=False),
        f'<polyline class="path" points="{line}" />',
    ]
    if len(path) <= MANY:
        parts += [f'<circle class="step" cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="1.9" />' for a, b in path]
    parts += [
        f'<circle class="start" cx="{x0:.1f}" cy="{y0:.1f}" r="5" />',
        f'<circle class="end" cx="{x1:.1f}" cy="{y1:.1f}" r="5" />',
    ]
    ends = " and ".join(f"({', '.join(number(float(v), 4) for v in place)})" for place in (path[0], best))
    return _svg(
        parts,
        f"loss over {names[0]} and {names[1]}, dark where it is small, and the path, "
        f"its start and best point {ends}",
    )


def _thinned(steps: Array, values: Array) -> list[tuple[float, float]]:
    """No more points than can be seen, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), 800)).round().astype(int))
    return list(zip(steps[chosen], values[chosen], strict=True))


def _grid(x: Axis, y: Axis, below: str, beside: str = "", lines: bool = True) -> list[str]:
    parts = []
    for value in y.ticks():
        place = y.at(value)
        if lines:
            parts.append(f'<path class="grid" d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}" />')
        parts.append(f'<text class="y" x="{LEFT - 7}" y="{place + 3.5:.1f}">{number(value, 4)}</text>')
    for value in x.ticks():
        place = x.at(value)
        parts.append(f'<path class="axis" d="M{place:.1f} {HEIGHT - BOTTOM}v4" />')
        parts.append(f'<text class="x" x="{place:.1f}" y="{HEIGHT - BOTTOM + 17}">{number(value, 4)}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" />')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="x label" x="{middle}" y="{HEIGHT - 6}">{escape(below)}</text>')
    if beside:
        half = (TOP + HEIGHT - BOTTOM) / 2
        parts.append(
            f'<text class="x label" x="12" y="{half}" transform="rotate(-90 12 {half})">'
            f"{escape(beside)}</text>"
        )
    return parts


def _svg(parts: Sequence[str], words: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(words)}">{"".join(parts)}</svg>'
    )


def bands(loss: Array, count: int) -> Array:
    """For each place the number of its band, 0 for the lowest; `count` where the loss is not finite.

    The bands lie closer together near the minimum, where a path is slow.
    """
    finite = np.isfinite(loss)
    if not finite.any():
        return np.full(loss.shape, count)
    low, high = loss[finite].min(), loss[finite].max()
    share = (np.where(finite, loss, high) - low) / (high - low if high > low else 1.0)
    depth = 1 + np.log10(share + 1e-3 * (1 - share)) / 3
    return np.where(finite, np.clip((depth * count).astype(int), 0, count - 1), count)


def _picture(loss: Array) -> bytes:
    """The surface as a PNG with a palette: a colour for each band."""
    places = np.linspace(0, len(loss) - 1, PIXELS)
    low = np.minimum(places.astype(int), len(loss) - 2)
    part = places - low
    with np.errstate(invalid="ignore"):  # 0 · inf beside a point without a loss, which is drawn as none
        rows = loss[low] * (1 - part)[:, None] + loss[low + 1] * part[:, None]
        fine = rows[:, low] * (1 - part) + rows[:, low + 1] * part
    pixels = bands(fine, BANDS)[::-1].astype(np.uint8)
    shares = np.linspace(0, 1, BANDS)[:, None]
    palette = np.vstack([DEEP + (HIGH - DEEP) * shares, [[128, 128, 128]]]).round().astype(np.uint8)
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", PIXELS, PIXELS, 8, 3, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
