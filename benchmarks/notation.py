"""Printed length against the literature: python benchmarks/notation.py [how many of the longest to list].

Both forms are counted in characters without spaces, names of parts and their definitions included, over all
cases of tests/golden. A ratio below 1 says that chainrule is shorter.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("src", "tests")]

from golden.cases import Case, length, read  # noqa: E402


def main() -> None:
    """Print the total, how many are as short as the literature, and the longest."""
    cases = [case for file in ("expected_forms.txt", "literature.txt", "tables.txt") for case in read(file)]
    rows = [(length(case.text), length(case.literature[0]), case) for case in cases]
    printed, known = sum(row[0] for row in rows), sum(row[1] for row in rows)
    short = sum(a <= b for a, b, _ in rows) / len(rows)
    near = sum(a <= 1.25 * b for a, b, _ in rows) / len(rows)
    ratio = printed / known
    print(f"{len(rows)} derivatives: {printed} characters, {known} in the literature, ratio {ratio:.3f}")
    print(f"as short as the literature: {short:.0%}; within a quarter of it: {near:.0%}")

    def excess(row: tuple[int, int, Case]) -> float:
        return row[0] / row[1]

    for a, b, case in sorted(rows, key=excess, reverse=True)[: int(sys.argv[1]) if len(sys.argv) > 1 else 10]:
        print(f"{a / b:6.2f}  {case.name}: {case.text}")


if __name__ == "__main__":
    main()
