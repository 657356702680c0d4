"""The long run: random programs against JAX: python tests/reliability/long_run.py [--first N] [--second N].

Seed s of order k is a program of its own, drawn by a generator seeded with it, so that a failure is
reproduced by its number. What is done is kept in a file and gone on with; the tally is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / folder) for folder in ("src", "tests")]

import jax  # noqa: E402
from reliability.judge import Outcome, judge  # noqa: E402
from reliability.programs import SIZES, Program, program  # noqa: E402

# Seeds, by order, at which the judge and chainrule differ by rounding or by what they take at a tie.
EXPLAINED = {
    (1, 2703): "log(1 + u)² > 0 for u below the last digit: 0 in the judge, log1p(u)² here",
    (1, 37694): "max(relu(X), X) ties wherever X > 0, where JAX gives each side half",
    (1, 40349): "max(p, stop(p)) ties everywhere, where JAX gives each side half",
    (2, 8823): "the determinant of a matrix whose rows sum to 0 is 0, and |0| has no derivative",
    (2, 3525): "terms of 3e10 cancel to 11; JAX keeps digits by way of the Cholesky factor",
}
BLOCK = 100  # seeds between two savings
CLEARED = 5000  # seeds after which JAX forgets what it compiled, which takes gigabytes


def drawn(order: int, seed: int, total: int) -> Program:
    """The program of a seed; the sizes change slowly, since each costs the judge compilations."""
    sizes = SIZES[seed * len(SIZES) // max(total, seed + 1)]
    return program(random.Random(1_000_003 * order + seed).randrange, order == 2, sizes)


def one(order: int, seed: int, total: int) -> Outcome:
    """What comes of one seed; an exception is a failure as well."""
    made = drawn(order, seed, total)
    try:
        return judge(made, order, seed)
    except Exception as problem:
        return Outcome("raises", f"{type(problem).__name__}: {problem}")


def main() -> int:
    """Go on where the last run stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=50_000, help="programs at first order")
    parser.add_argument("--second", type=int, default=10_000, help="programs at second order")
    parser.add_argument("--state", type=Path, default=Path("reliability.json"))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after that time")
    options = parser.parse_args()
    state = json.loads(options.state.read_text()) if options.state.exists() else {}
    until = time.monotonic() + 60 * options.minutes
    for order, total in ((1, options.first), (2, options.second)):
        mine = state.setdefault(str(order), {"done": 0, "tally": {}, "failures": []})
        while mine["done"] < total and time.monotonic() < until:
            tally = Counter(mine["tally"])
            if not mine["done"] % CLEARED:
                jax.clear_caches()
            for seed in range(mine["done"], min(total, mine["done"] + BLOCK)):
                outcome = one(order, seed, total)
                if outcome.verdict == "differs" and (order, seed) in EXPLAINED:
                    outcome = Outcome("skipped", EXPLAINED[order, seed])
                tally[outcome.verdict + (f": {outcome.reason}" if outcome.verdict == "skipped" else "")] += 1
                if outcome.verdict in ("differs", "raises"):
                    made = drawn(order, seed, total)
                    failure = {"seed": seed, "why": outcome.reason, "text": made.text, "shapes": made.shapes}
                    mine["failures"].append(failure | {"wrt": made.wrt, "sizes": made.sizes})
                    print(order, failure, flush=True)
            mine["tally"], mine["done"] = dict(tally), min(total, mine["done"] + BLOCK)
            options.state.write_text(json.dumps(state, indent=1))
    for order, mine in state.items():
        print(f"order {order}: {mine['done']} programs, {mine['tally']}, {len(mine['failures'])} failures")
    return int(any(mine["failures"] for mine in state.values()))


if __name__ == "__main__":
    raise SystemExit(main())
