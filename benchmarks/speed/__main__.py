"""Command line of the comparison: `python -m benchmarks.speed [--quick] [--only NAME,...]`."""

from __future__ import annotations

import argparse
import os
import sys

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def on_one_core() -> None:
    """Keep the process, and every pool of threads that libraries will make, on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ.update(dict.fromkeys(THREADS, "1"))
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two sizes of each problem, short turns")
    parser.add_argument("--short", action="store_true", help="all sizes, short turns")
    parser.add_argument("--only", default="", help="names of problems, separated by commas")
    parser.add_argument("--runs", type=int, default=3, help="at most so many runs of what is not decided")
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    on_one_core()  # before any library sizes its threads
    from benchmarks.speed.run import main

    names = [name for name in options.only.split(",") if name]
    sys.exit(main(options.quick, options.short, names, options.runs))
