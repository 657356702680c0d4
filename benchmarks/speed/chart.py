"""The ratios as a drawing: one line for each row of a table, on a logarithmic axis.

In: rows. Out: the text of an SVG file that needs nothing else. A dot is AD/ours, a hollow dot AD/expert, a
tick the floor; what lies right of the line at 1 is faster than automatic differentiation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.speed.rows import Row

LINE, TOP, LEFT, WIDTH, RIGHT = 17, 64, 400, 430, 40
STYLE = """
  svg { background: #ffffff } text { font: 12px sans-serif; fill: #1c2230 }
  .small { font-size: 11px; fill: #545c6b } .grid { stroke: #dfe3ea } .one { stroke: #6a7280 }
  .span { stroke: #9aa4b2 } .floor { stroke: #ad3b06; stroke-width: 2 }
  .ours { fill: #0b57b0 } .missed { fill: #ad3b06 } .expert { fill: #ffffff; stroke: #4a5362 }
"""


def chart(rows: Sequence[Row], title: str) -> str:
    """The drawing of the rows that have a ratio."""
    shown = [row for row in rows if row.gain]
    low, high = _decades([r for row in shown for r in (row.gain, row.possible, row.floor) if r])
    height = TOP + LINE * len(shown) + 20

    def place(ratio: float) -> float:
        return LEFT + WIDTH * (math.log10(ratio) - low) / (high - low)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height}" role="img"'
        f' aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text x="10" y="20">{escape(title)}</text>',
        '<text x="10" y="38" class="small">filled: AD/ours; hollow: AD/expert; upright line: the floor; right'
        " of 1 is faster than automatic differentiation</text>",
    ]
    for decade in range(low, high + 1):
        x = place(10.0**decade)
        kind = "one" if decade == 0 else "grid"
        lines.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{TOP - 6}" y2="{height - 14}" class="{kind}"/>')
        lines.append(f'<text x="{x:.0f}" y="{TOP - 10}" text-anchor="middle">{10.0**decade:,g}</text>')
    for k, row in enumerate(shown):
        lines += _line(row, TOP + LINE * k + LINE / 2, place)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _line(row: Row, y: float, place: object) -> Iterator[str]:
    assert callable(place) and row.gain
    text = f"{row.title}, {row.size}"
    yield f'<text x="{LEFT - 12}" y="{y + 4:.0f}" text-anchor="end" class="small">{escape(text)}</text>'
    marks = [place(r) for r in (row.gain, row.possible) if r]
    yield f'<line x1="{min(marks):.1f}" x2="{max(marks):.1f}" y1="{y}" y2="{y}" class="span"/>'
    if row.floor:
        x = place(row.floor)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 6}" y2="{y + 6}" class="floor"/>'
    if row.possible:
        yield f'<circle cx="{place(row.possible):.1f}" cy="{y}" r="3.5" class="expert"/>'
    kind = "missed" if row.met is False else "ours"
    yield f'<circle cx="{place(row.gain):.1f}" cy="{y}" r="4" class="{kind}"/>'


def _decades(ratios: Sequence[float]) -> tuple[int, int]:
    return math.floor(math.log10(min(ratios, default=1.0))), math.ceil(math.log10(max(ratios, default=10.0)))
