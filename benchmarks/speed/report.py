"""Tables in text and in Markdown, and the summary of what is met."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.speed.rows import TABLES, Row

HEADINGS = ("problem", "size", "AD", "ours", "expert", "AD/ours", "floor", "", "ours/expert", "out=/expert",
            "AD/expert", "ours/limit", "by", "remark")  # fmt: skip
RIGHT = {2, 3, 4, 5, 6, 8, 9, 10, 11}
AT_LIMIT = 1.3  # times the limit of the machine: no gain is to be had there


def seconds(value: float | None) -> str:
    """A time in the unit that suits it."""
    if value is None:
        return "–"
    for unit, scale in (("µs", 1e6), ("ms", 1e3)):
        if value * scale < 1000:
            return f"{value * scale:.3g} {unit}"
    return f"{value:.3g} s"


def times(value: float | None) -> str:
    """A ratio in three digits."""
    return "–" if value is None else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def cells(row: Row) -> list[str]:
    """A row in words."""
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    return [
        row.title, row.size, seconds(row.ad), seconds(row.ours), seconds(row.expert), times(row.gain),
        times(row.floor) if row.floor else "", verdict, times(row.to_expert), times(row.out_to_expert),
        times(row.possible), times(row.to_limit), row.limited_by, row.note,
    ]  # fmt: skip


def device_cells(row: Mapping[str, Any]) -> list[str]:
    """A row of the comparison on a GPU in words: each library's AD, ours, and the ratio."""
    words = [row["title"], row["size"]]
    for library in ("jax", "torch"):
        ad, ours = row["seconds"][f"{library} AD"], row["seconds"][f"ours {library}"]
        words += [seconds(ad), seconds(ours), times(ad / ours if ad and ours else None)]
    return words


def tables(rows: Sequence[Row]) -> str:
    """All tables as text."""
    parts = []
    for (name, own), chosen in grouped(rows).items():
        if any(row.ours is not None for row in chosen):
            parts += [f"\n{heading(name, own)}", *aligned([list(HEADINGS), *map(cells, chosen)])]
    return "\n".join([*parts, "", *summary(rows)])


def heading(table: str, own: bool) -> str:
    """The title of a table."""
    return TABLES[table] + (": other formulas" if own else "")


def grouped(rows: Iterable[Row]) -> dict[tuple[str, bool], list[Row]]:
    """The rows by table, those of our own problems apart."""
    found: dict[tuple[str, bool], list[Row]] = {}
    for table in TABLES:
        for own in (False, True):
            chosen = [row for row in rows if row.table == table and row.own == own]
            if chosen:
                found[table, own] = chosen
    return found


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width; numbers to the right."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]

    def padded(line: Sequence[str]) -> Iterator[str]:
        for k, (cell, width) in enumerate(zip(line, widths, strict=True)):
            yield cell.rjust(width) if k in RIGHT else cell.ljust(width)

    return ["  ".join(padded(line)).rstrip() for line in lines]


def markdown(rows: Sequence[Row], columns: Sequence[int] = (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12)) -> list[str]:
    """A table for a page; columns that are empty in every row are left out."""
    body = [[cells(row)[k] for k in columns] for row in rows]
    used = [j for j in range(len(columns)) if any(line[j] not in ("", "–") for line in body)]
    head = [HEADINGS[columns[j]] or "verdict" for j in used]
    rule = ["--:" if columns[j] in RIGHT else "---" for j in used]
    return [f"| {' | '.join(line)} |" for line in (head, rule, *([line[j] for j in used] for line in body))]


def summary(rows: Sequence[Row]) -> list[str]:
    """How many floors are met, and how near the code is to an expert's."""
    lines = []
    for (name, own), chosen in grouped(rows).items():
        judged = [row for row in chosen if row.met is not None]
        near = [row.to_expert for row in chosen if row.to_expert is not None]
        notes = {row.note for row in chosen}
        if len(notes) == 1 and all(row.ours is None for row in chosen):
            lines.append(f"{heading(name, own)}: {notes.pop()} ({len(chosen)} rows)")
            continue
        text = f"{heading(name, own)}: {len(chosen)} rows"
        if judged:
            text += f", {sum(bool(row.met) for row in judged)} of {len(judged)} floors met"
        if near:
            within = sum(ratio <= 1.25 for ratio in near)
            text += (
                f"; ours/expert {statistics.median(near):.2f} in the median, "
                f"at most 1.25 in {within} of {len(near)}"
            )
        gains = [1 / row.gain for row in chosen if row.gain]
        gradients = [1 / row.gain for row in chosen if row.gain and row.title.startswith("gradient")]
        if name == "jax" and gradients:
            middle, worst = statistics.median(gradients), max(gradients)
            text += f"; ours/AD on gradients {middle:.2f} in the median, {worst:.2f} at worst"
        elif own and gains:
            text += f"; AD/ours {1 / statistics.median(gains):.2f} in the median"
        lines.append(text)
    return lines
