"""The whole comparison: machine, problems, tables, the JSON file beside the benchmarks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import torch

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

from benchmarks.speed.chains import SLOPE  # noqa: E402
from benchmarks.speed.clock import FULL, QUICK, Budget  # noqa: E402
from benchmarks.speed.compare import Comparison, compare  # noqa: E402
from benchmarks.speed.gradients import GRADIENTS  # noqa: E402
from benchmarks.speed.hessians import HESSIANS  # noqa: E402
from benchmarks.speed.jacobians import JACOBIANS  # noqa: E402
from benchmarks.speed.machine import Machine, described, measure_machine  # noqa: E402
from benchmarks.speed.memory import ALLOWED, measured  # noqa: E402
from benchmarks.speed.others import OTHERS  # noqa: E402
from benchmarks.speed.overhead import overheads  # noqa: E402
from benchmarks.speed.problem import Problem, Size  # noqa: E402
from benchmarks.speed.report import aligned, cells, seconds, tables, times  # noqa: E402
from benchmarks.speed.rows import Row, rows, undecided  # noqa: E402
from benchmarks.speed.training import FULL_BATCH, SIZES, trainings  # noqa: E402

PROBLEMS: tuple[Problem, ...] = (*GRADIENTS, SLOPE, *HESSIANS, *JACOBIANS, *OTHERS)
WRITTEN = Path(__file__).parents[1] / "speed.json"


def main(quick: bool, short: bool, only: Sequence[str], most_runs: int) -> int:
    """Print the tables and write them; 1 if a result is wrong."""
    machine = measure_machine()
    print(", ".join(f"{name} {value}" for name, value in described().items()))
    print(", ".join(f"{name} {value:.3g}" for name, value in machine.as_data().items()), flush=True)
    budget = QUICK if quick or short else FULL
    found: list[Row] = []
    compared: list[Comparison] = []
    for problem in chosen(only):
        for size in problem.sizes[:2] if quick else problem.sizes:
            runs = several(problem, size, machine, budget, most_runs)
            made = rows(problem, size, runs)
            print_progress(made)
            found += made
            compared += runs
        write(as_data(machine, found, compared) | {"runs": most_runs})
    print(tables(found))
    wrong = [f"{c.problem}, {c.size}, {name}: {text}" for c in compared for name, text in c.wrong.items()]
    print("\n".join(["", *dict.fromkeys(wrong)]) if wrong else "\nall results agree")
    if not only:
        write({"runs": most_runs, **overhead_and_memory(budget), **training(budget, quick)})
    print(f"written to {WRITTEN.name}")
    return 1 if wrong else 0


def chosen(only: Sequence[str]) -> list[Problem]:
    """The problems of these names; all without names."""
    names = [problem.name for problem in PROBLEMS]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise SystemExit(f"no problem is called {unknown[0]}; there are {', '.join(names)}")
    return [problem for problem in PROBLEMS if not only or problem.name in only]


def several(problem: Problem, size: Size, machine: Machine, budget: Budget, most: int) -> list[Comparison]:
    """Runs until every floor is decided."""
    runs = [compare(problem, size, machine, budget)]
    while len(runs) < most and undecided(problem, size, runs):
        runs.append(compare(problem, size, machine, budget))
    return runs


def print_progress(made: Sequence[Row]) -> None:
    """The rows as soon as they are there."""
    for row in made:
        if row.table == "numpy" or row.ours is not None:
            print("  ".join(aligned([[row.table, *cells(row)]])), flush=True)


def overhead_and_memory(budget: Budget) -> dict[str, list[dict[str, Any]]]:
    """What a call by name costs, and the peaks of memory; printed as they are measured."""
    print("\nwhat a call by name adds, µs")
    calls = list(overheads(budget))
    for call in calls:
        verdict = "" if call.over <= call.allowed else "   MISSED"
        print(f"{call.formula:40}{call.over:8.1f}, at most {call.allowed:.1f}{verdict}", flush=True)
    print("\npeak memory over inputs and result")
    peaks = [measured(kind) for kind in ALLOWED]
    for peak in peaks:
        found = peak.get("absent") or f"{peak['asked']:.2f}, resident {times(peak['resident'])}"
        print(f"{peak['memory'] or 'usual':10}{found}, at most {peak['allowed']}")
    return {"overhead": [{**asdict(call), "allowed": call.allowed} for call in calls], "memory": peaks}


def training(budget: Budget, quick: bool) -> dict[str, Any]:
    """A step of gradient descent, by competitor; printed as it is measured."""
    print("\na step of gradient descent of a ReLU neuron with 100 weights")
    found = []
    for trained in trainings([*SIZES, *([] if quick else [FULL_BATCH])], budget):
        took = ", ".join(f"{name} {seconds(t)}" for name, t in trained.seconds.items())
        print(f"{trained.batch} rows: {took}", flush=True)
        found.append(asdict(trained))
    return {"training": found}


def as_data(machine: Machine, found: Sequence[Row], compared: Sequence[Comparison]) -> dict[str, Any]:
    """Everything that was measured."""
    return {
        "machine": {**described(), **machine.as_data()},
        "rows": [asdict(row) for row in found],
        "comparisons": [asdict(comparison) for comparison in compared],
    }


def write(data: dict[str, Any]) -> None:
    """Into the file, where what was not measured now stays as it was: other problems, in the order of all."""
    before = json.loads(WRITTEN.read_text("utf-8")) if WRITTEN.exists() else {}
    places = {problem.name: k for k, problem in enumerate(PROBLEMS)}
    now = {row["problem"] for row in data.get("rows", ())}
    whole = {**before, **data}
    for part in ("rows", "comparisons"):
        others = [
            row for row in before.get(part, ()) if row["problem"] not in now and row["problem"] in places
        ]
        measured_now = data.get(part, ())
        whole[part] = sorted([*others, *measured_now], key=lambda row: places[row["problem"]])
    WRITTEN.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
