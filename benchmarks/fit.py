"""What fitting costs, side by side with others in one run: `python -m benchmarks.fit`, or `dev.py bench-fit`.

gradient   the full-batch gradient of the neuron loss against NumPy, JAX, PyTorch and one read of X
stream     a pass over npy files that are in no cache, as mincore says, against reading them; peak of memory
csv        a pass over a CSV file against pyarrow's own parse
workers    two processes against one, over the same rows
growth     how the cost grows with rows, columns, parameters, processes and tasks; not judged
agreement  parameters against those of scikit-learn, on its bundled data

Times are process CPU time on one core, medians of at least five turns. In `stream`, where the disc is waited
for, they are wall clock, and the thread that reads may have a core. Every gradient is checked before it is
timed, and must change the weights.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.fitting.table import Row, heading
from benchmarks.speed.__main__ import on_one_core

PARTS = ("gradient", "stream", "csv", "workers", "agreement", "growth")


def main(options: argparse.Namespace) -> int:
    """Print the table; 1 if a target was missed."""
    from benchmarks.fitting import gradient, growth, judges, streams, workers

    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "gradient": lambda: gradient.rows(100_000 if options.quick else 1_000_000),
        "stream": lambda: (
            streams.npy(options.folder, 0.4, 0.0)
            if options.quick
            else streams.npy(options.folder, options.gigabytes)
        ),
        "csv": lambda: streams.csv(options.folder, 20_000 if options.quick else 200_000),
        "workers": lambda: workers.rows(40 if options.quick else 400),
        "agreement": judges.rows,
        "growth": growth.rows,
    }
    missed = 0
    print(heading())
    for name in options.only.split(",") if options.only else PARTS[: -1 if options.quick else None]:
        print(f"\n{name}, load {os.getloadavg()[0]:.1f}", flush=True)
        for row in parts[name]():
            # Targets are for the full sizes, but agreement has no others.
            row = replace(row, judged=not options.quick or name == "agreement")
            print(f"  {row}", flush=True)
            missed += row.met is False
    return 1 if missed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, which is not judged")
    parser.add_argument("--only", default="", help=f"some of {', '.join(PARTS)}, separated by commas")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the npy files")
    parser.add_argument("--folder", default=None, help="where files are written, else a temporary folder")
    found = parser.parse_args()
    unknown = [name for name in found.only.split(",") if name and name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; the parts are {', '.join(PARTS)}")
    return found


if __name__ == "__main__":
    asked = arguments()
    on_one_core()  # before any library sizes its threads
    sys.exit(main(asked))
