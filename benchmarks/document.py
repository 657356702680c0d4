"""Writes docs/performance.md and its drawing from the JSON files of the last runs.

Run `python3 dev.py bench --document`, which measures first, or `python -m benchmarks.document`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.chart import chart
from benchmarks.speed.report import (
    AT_LIMIT,
    device_cells,
    grouped,
    heading,
    markdown,
    seconds,
    summary,
    times,
)
from benchmarks.speed.rows import TABLES, Row

LIBRARIES = {"numpy": "NumPy", "jax": "JAX (jitted)", "torch": "PyTorch"}
HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
FIGURE = HERE.parent / "docs" / "figures" / "performance.svg"
# Columns of the tables of the page: where there is nothing to be said in a column, it is left out.
COLUMNS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13)

INTRODUCTION = """\
# How fast the code is

The derivative that chainrule writes, against automatic differentiation of the same function in JAX (jitted)
and PyTorch (`torch.func`), against what an expert writes by hand for NumPy and SciPy, and against what the
machine can do at all. This page is written by `python3 dev.py bench --document`; no number in it is set by
hand. Read the ratios: they hold from machine to machine far better than the times.
"""

METHOD = """\
## Method

- One core: the process and every pool of threads are pinned to it before a library is loaded. The clock is
  the CPU time of the process, so that what a busy neighbour takes is not counted.
- All competitors are called with the same float64 arrays, and every result is compared with the others before
  anything is timed; one that differs by more than 1e-8 of the largest entry is not timed, and the run fails.
- Blocks of calls take turns, every other round in reverse order; a time is the median of the rounds.
- AD is the better of JAX and PyTorch, of forward and reverse mode where both exist. Ours is `f(X=..., ...)`
  with every declared array by name, as a user calls it, checks of the arrays and of the result included.
- The expert is the best of several variants written by hand, with buffers kept between calls where that
  helps. `benchmarks/speed/` has them all.
- The limit is the largest of: operations at the rate of a matrix product, bytes that must be read and written
  at the bandwidth of the memory they fit in, exponentials at the rate of a vectorised `exp`. These rates are
  measured in the same run. Small sizes are limited by the overhead of calls, which the limit does not count.
- A floor is a ratio AD/ours that must be reached; it is missed if two of three runs miss it. What the first
  run misses is run again, up to {runs} times in all.
"""

NO_GAIN = """\
## Where no gain is to be had

Closed forms do not beat automatic differentiation everywhere, and we do not say so. Where automatic
differentiation is within {limit} of what the machine can do at all, parity is the honest aim:

{lines}

- A network's gradient by reverse mode is the same sequence of matrix products that a person writes down. From
  512 units on both are at the rate of the matrix product; at small sizes there is only call overhead to save.
- Attention up to about 1024 positions: the same products again, in the cache. What is gained above that comes
  from working on blocks of queries.
- The JAX backend on gradients: XLA runs the same operations in both cases, so the two take the same time.
- The Jacobian of an elementwise map: `jax.jvp(f, ones)` gives the diagonal in one pass for whoever knows that
  there is nothing else. chainrule finds that out; it does not compute the entries faster.
- A softmax Jacobian of 500 to 2000 entries fits in the third-level cache, where XLA's single fused write is
  faster than NumPy's passes.
"""


def main() -> None:
    """Write the page."""
    speed = json.loads((HERE / "speed.json").read_text("utf-8"))
    derivation = json.loads((HERE / "nineteen.json").read_text("utf-8"))
    rows = [Row(**row) for row in speed["rows"]]
    main_rows = [row for row in rows if row.table == "numpy"]
    FIGURE.write_text(chart(main_rows, "CPU time: automatic differentiation / NumPy code"), "utf-8")
    parts = [
        INTRODUCTION,
        *machine(speed["machine"]),
        *summaries(rows),
        "![ratios](figures/performance.svg)\n",
    ]
    for (table, own), chosen in grouped(rows).items():
        if any(row.ours is not None for row in chosen):
            parts += [f"## {heading(table, own)}\n", *note_on(table), *markdown(chosen, COLUMNS), ""]
    parts += [
        no_gain(main_rows),
        *overhead(speed.get("overhead", [])),
        *memory(speed.get("memory", [])),
        *training(speed.get("training", [])),
        *on_a_device(json.loads((HERE / "device.json").read_text("utf-8"))),
    ]
    parts += [*derivations(derivation), METHOD.format(runs=speed["runs"])]
    PAGE.write_text("\n".join(parts), "utf-8")
    print(f"written to docs/{PAGE.name} and docs/figures/{FIGURE.name}")


def machine(data: Mapping[str, Any]) -> list[str]:
    """What it ran on."""
    calls = [f"{data[f'{name}_call']:.1f} µs in {title}" for name, title in LIBRARIES.items()]
    return [
        f"Measured on {data['date']}: {data['processor']}, cores: {data['cores']}; {data['python']};",
        f"{data['libraries']}.",
        f"Its limits, one core: {data['gemm']:.0f} GFLOP/s of matrix product,",
        f"{data['dram']:.0f} GB/s from memory, {data['l3']:.0f} and {data['l2']:.0f} GB/s from the caches,",
        f"{data['exp']:.2g}·10⁹ exponentials a second; a call takes {', '.join(calls)}.\n",
    ]


def summaries(rows: Sequence[Row]) -> list[str]:
    """What is met."""
    return [*(f"- {line}" for line in summary(rows)), ""]


def note_on(table: str) -> list[str]:
    """What has to be known to read a table."""
    assert table in TABLES
    if table == "structured":
        return [
            "A diagonal, or a factor of a Kronecker product, in place of the array with its zeros and\n"
            "repetitions; AD computes the array, or `jax.jvp(f, ones)` where that does not fit into memory.\n"
        ]
    return []


def no_gain(rows: Sequence[Row]) -> str:
    """The section on what cannot be gained, with the rows where AD is at the limit."""
    near = [row for row in rows if row.ad and row.limit and row.ad <= AT_LIMIT * row.limit]
    lines = [
        f"- {row.title}, {row.size}: AD {seconds(row.ad)}, the limit {seconds(row.limit)}"
        f" ({times(row.ad / row.limit if row.ad else None)} of it)"
        for row in near
    ]
    return NO_GAIN.format(limit=f"{AT_LIMIT} times", lines="\n".join(lines or ["- in this run nowhere"]))


def overhead(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What a call by name costs."""
    if not found:
        return
    yield "## A call by name\n"
    yield "Microseconds that `f(X=..., ...)` adds to the bare function of `f.__source__`.\n"
    yield "| formula | by | arrays given | bare | by name | added | allowed |\n|---|---|--:|--:|--:|--:|--:|"
    for row in found:
        added = row["named"] - row["bare"]
        verdict = "" if added <= row["allowed"] else " MISSED"
        yield (
            f"| `{row['formula']}` | {row['wrt']} | {row['given']} | {row['bare']:.1f} | {row['named']:.1f}"
            f" | {added:.1f}{verdict} | {row['allowed']:.1f} |"
        )
    yield ""


def memory(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Peaks."""
    if not found:
        return
    yield "## Memory\n"
    yield "The peak of the compiled Hessian of logistic regression over the sizes of its inputs and result.\n"
    yield "| compiled | m | n | asked for | resident | allowed |\n|---|--:|--:|--:|--:|--:|"
    for row in found:
        how = f'`compile(memory="{row["memory"]}")`' if row["memory"] else "`compile()`"
        if "absent" in row:
            yield f"| {how} | {row['m']} | {row['n']} | {row['absent']} | | {row['allowed']} |"
            continue
        asked, resident = (
            times(value) + (" MISSED" if value is not None and value > row["allowed"] else "")
            for value in (row["asked"], row["resident"])
        )
        yield f"| {how} | {row['m']} | {row['n']} | {asked} | {resident} | {row['allowed']} |"
    yield ""


def training(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A step of gradient descent."""
    if not found:
        return
    names = list(found[0]["seconds"])
    yield "## Training\n"
    yield "A step of gradient descent of a ReLU neuron; all come to the same weights, which have changed.\n"
    yield f"| rows of a batch | {' | '.join(names)} |\n|--:|{'--:|' * len(names)}"
    for row in found:
        yield f"| {row['batch']} | {' | '.join(seconds(row['seconds'].get(name)) for name in names)} |"
    yield ""


BY_LAUNCH = 1e-4  # seconds: what takes JAX less on a GPU is the launch of a few kernels


def on_a_device(data: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """JAX and PyTorch code against their own AD on a GPU, one table for each precision."""
    yield "## On a GPU\n"
    yield (
        "The same derivatives in JAX and PyTorch code, each against automatic differentiation by its own\n"
        "library on the same device: `python -m benchmarks.device`. It first compares all results with each\n"
        "other and with the NumPy code; there the functions are also vmapped and differentiated again.\n"
        "Wall-clock time; a block of calls is queued, then waited for. What takes JAX less than\n"
        f"{seconds(BY_LAUNCH)} is the launch of a few kernels, not work: larger sizes are counted apart.\n"
    )
    most = max(len(found["rows"]) for found in data.values())
    for precision, found in data.items():
        rows, machine = found["rows"], found["machine"]
        part = "" if len(rows) == most else f" (only the first {len(rows)} rows were measured)"
        yield f"{machine['device']}, {precision}{part}, {machine['date']}; {machine['libraries']}.\n"
        for library, ratios in device_ratios(rows):
            yield f"- {library}: AD/ours {ratios}"
        yield "\n| problem | size | JAX AD | ours | AD/ours | PyTorch AD | ours | AD/ours |"
        yield "|---|---|--:|--:|--:|--:|--:|--:|"
        for row in rows:
            yield f"| {' | '.join(device_cells(row))} |"
        yield ""


def device_ratios(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The medians of a library in words: of all rows, of gradients, and of what is more than launches."""
    for library, title in (("jax", "JAX"), ("torch", "PyTorch")):
        pairs = [(row["seconds"][f"{library} AD"], row["seconds"][f"ours {library}"], row) for row in rows]
        known = [(ad / ours, ad, row["title"]) for ad, ours, row in pairs if ad and ours]
        chosen = {
            "in the median": [ratio for ratio, _, _ in known],
            "of gradients": [ratio for ratio, _, name in known if name.startswith("gradient")],
            f"where AD takes over {seconds(BY_LAUNCH)}": [ratio for ratio, ad, _ in known if ad > BY_LAUNCH],
        }
        words = [
            f"{statistics.median(of):.2f} {name} ({len(of)} rows)"
            for k, (name, of) in enumerate(chosen.items())
            if of and (k == 0 or len(of) < len(known))
        ]
        yield title, ", ".join(words)


def derivations(data: Mapping[str, Any]) -> Iterator[str]:
    """How long deriving takes."""
    yield "## Deriving\n"
    yield (
        "CPU milliseconds from the text of a formula to the closed form (at most 10, 5 in the median), and\n"
        "to NumPy source (at most 20): in a process that has derived it before, and for the first time. The\n"
        f"median is {data['median']:.1f}.\n"
    )
    yield "| derivative | derive | to source | first time | to source | |\n|---|--:|--:|--:|--:|---|"
    for row in data["expressions"]:
        cells = " | ".join(f"{row[k]:.1f}" for k in ("derive", "source", "first", "first_source"))
        yield f"| {row['name']} | {cells} | {'' if row['met'] else 'MISSED'} |"
    yield "\n| network by its first weights | derive | to source | a layer | |\n|---|--:|--:|--:|---|"
    for row in data["depths"]:
        verdict = "" if row["met"] else "MISSED"
        each = row["derive"] / row["depth"]
        cells = f"{row['derive']:.1f} | {row['source']:.1f} | {each:.2f}"
        yield f"| {row['depth']} layers | {cells} | {verdict} |"
    yield "\n| whole process | CPU ms, at most 400 | wall ms | |\n|---|--:|--:|---|"
    for row in data["cold"]:
        verdict = "" if row["met"] else "MISSED"
        yield f"| `chainrule {row['command']}` | {row['ms']:.0f} | {row['wall']:.0f} | {verdict} |"
    yield ""


if __name__ == "__main__":
    main()
