"""The JAX and PyTorch code against automatic differentiation of the same library on the same GPU.

    python -m benchmarks.device [--quick] [--float32]

Needs JAX and PyTorch with a GPU, and writes `benchmarks/device.json`, from which docs/performance.md is made.
Wall-clock time, competitors taking turns in blocks of calls; the queue is waited for at the end of a block.
First the results are compared, with each other and with the NumPy code on the processor; and the compiled
functions are vmapped and differentiated again there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the two libraries share the memory

import jax
import jax.numpy as jnp
import numpy as np
import torch

import chainrule as cr
from benchmarks.speed.clock import Budget, Clock
from benchmarks.speed.compare import Comparison, compare_calls, difference, flat
from benchmarks.speed.evaluators import AD_MEMORY, Evaluators, automatic
from benchmarks.speed.problem import Case, Problem, Size
from benchmarks.speed.report import aligned, device_cells
from benchmarks.speed.run import PROBLEMS

WRITTEN = Path(__file__).parent / "device.json"
BUDGET = Budget(5, 0.15)
AGREE = {"float64": 1e-8, "float32": 2e-3}  # of the largest entry
HEADINGS = ("problem", "size", "JAX AD", "ours", "AD/ours", "torch AD", "ours", "AD/ours")


@dataclass(frozen=True, slots=True)
class Place:
    """Where it runs: a device of PyTorch by its name, the precision, and a clock that waits for the queue."""

    device: str
    precision: str

    def clock(self) -> Clock:
        """Wall-clock seconds."""
        return Clock(time.perf_counter, self.wait)

    def wait(self, value: Any) -> None:
        """Until the value is there."""
        if self.device == "cuda" and torch.cuda.is_available():
            torch.cuda.synchronize()
        jax.block_until_ready(value)

    def jax(self, array: Any) -> Any:
        """An array of JAX, on its default device."""
        return jnp.asarray(array, dtype=self.precision)

    def torch(self, array: Any) -> Any:
        """A tensor."""
        return torch.as_tensor(array, dtype=getattr(torch, self.precision), device=self.device)


def main() -> int:
    """Measure, print and write; 1 if a result is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first and the last size of each problem")
    parser.add_argument("--float32", action="store_true", help="in single precision")
    parser.add_argument("--device", default="cuda", help="of PyTorch; cpu to try the script")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    jax.config.update("jax_default_matmul_precision", "highest")
    place = Place(options.device, "float32" if options.float32 else "float64")
    torch.set_default_dtype(getattr(torch, place.precision))
    torch.set_default_device(place.device)
    found: list[dict[str, Any]] = []
    wrong: list[str] = []
    for problem in PROBLEMS:
        for size in dict.fromkeys((problem.sizes[0], problem.sizes[-1])) if options.quick else problem.sizes:
            case = problem.case(size, np.random.default_rng(0))
            if not case.dense:
                continue
            result, faults = measured(problem, size, case, place, first=size == problem.sizes[0])
            wrong += [f"{problem.name}, {problem.label(size)}: {fault}" for fault in faults]
            row = as_row(problem, result)
            found.append(row)
            print("  ".join(aligned([device_cells(row)])), flush=True)
            write(place.precision, found, described(place))
    print(
        "\n".join(
            ["", *aligned([HEADINGS, *map(device_cells, found)]), "", *(wrong or ["all results agree"])]
        )
    )
    return 1 if wrong else 0


def measured(
    problem: Problem, size: Size, case: Case, place: Place, first: bool
) -> tuple[Comparison, list[str]]:
    """The comparison, and what is wrong; the functions are also transformed at the first size."""
    made = Evaluators()
    derived = cr.derive(problem.formula, wrt=problem.wrt, shapes=problem.shapes, order=problem.order)
    if case.ad_bytes > AD_MEMORY:
        made.absent["jax AD"] = made.absent["torch AD"] = f"needs about {case.ad_bytes / 1e9:.0f} GB"
    else:
        # Nothing waits within a call: the clock waits at the end of a block of calls.
        on_device, tensors = (list(map(put, case.arrays.values())) for put in (place.jax, place.torch))
        automatic(made, problem, case, on_device, tensors, lambda f, arrays: partial(f, *arrays))
    for backend, put in (("jax", place.jax), ("torch", place.torch)):
        arrays = {name: put(array) for name, array in case.arrays.items()}
        made.calls[f"ours {backend}"] = partial(derived.compile(backend=backend), **arrays)
    result = compare_calls(problem, case, made, BUDGET, place.clock(), AGREE[place.precision])
    result.size = problem.label(size)
    faults = [f"{name} {text}" for name, text in result.wrong.items()]
    faults += [f"{name}: {text}" for name, text in result.absent.items() if "ours" in name]
    expected = flat(derived.compile()(**case.arrays), problem.names)
    for name in ("ours jax", "ours torch"):
        apart = difference(flat(made.calls[name](), problem.names), expected)
        if not apart < AGREE[place.precision]:
            faults.append(f"{name} differs from the NumPy code by {apart:.1e}")
    if first:
        faults += transformed(problem, case, derived, place)
    return result, faults


def transformed(problem: Problem, case: Case, derived: Any, place: Place) -> Iterator[str]:
    """What goes wrong where the compiled functions are vmapped over three copies and differentiated again."""
    name = problem.names[0]
    slopes = {}
    for backend, put in (("jax", place.jax), ("torch", place.torch)):
        f = derived.compile(backend=backend)
        arrays = {other: put(array) for other, array in case.arrays.items()}

        def of(value: Any, f: Any = f, arrays: Mapping[str, Any] = arrays) -> Any:
            result = f(**{**arrays, name: value})
            return result[name] if isinstance(result, dict) else result

        def total(value: Any, of: Any = of) -> Any:
            return (of(value) ** 2).sum()

        library: Any = jax if backend == "jax" else torch.func
        value = arrays[name]
        three = put(np.stack([case.arrays[name]] * 3))
        together = flat(library.vmap(of)(three)).reshape(3, -1)
        apart = difference(together[2], flat(of(value)))
        if not apart < AGREE[place.precision]:
            yield f"vmapped {backend} code differs by {apart:.1e}"
        slopes[backend] = flat(library.grad(total)(value))
        if backend == "jax":
            jitted = flat(jax.jit(jax.grad(total))(value))
            if not difference(jitted, slopes["jax"]) < AGREE[place.precision]:
                yield "jitted and plain JAX gradients of the code differ"
    apart = difference(slopes["torch"], slopes["jax"])
    if not apart < AGREE[place.precision]:
        yield f"differentiated again, the JAX and PyTorch code differ by {apart:.1e}"


def as_row(problem: Problem, result: Comparison) -> dict[str, Any]:
    """What is kept of a comparison."""
    kinds = ("jax AD", "ours jax", "torch AD", "ours torch")
    return {
        "title": problem.title,
        "size": result.size,
        "own": problem.own,
        "seconds": {kind: best[1] if (best := result.best(kind)) else None for kind in kinds},
        "absent": result.absent,
    }


def described(place: Place) -> dict[str, str]:
    """The device, the libraries and the date."""
    gpu = torch.cuda.get_device_name() if place.device == "cuda" else "no GPU: the script was only tried"
    return {
        "date": str(date.today()),
        "device": gpu,
        "libraries": f"jax {jax.__version__}, torch {torch.__version__}",
        "platform": jax.default_backend(),
    }


def write(precision: str, found: list[dict[str, Any]], machine: Mapping[str, str]) -> None:
    """The rows of this precision; those of the other stay."""
    before = json.loads(WRITTEN.read_text("utf-8")) if WRITTEN.exists() else {}
    whole = {**before, precision: {"machine": machine, "rows": found}}
    WRITTEN.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
