"""Claims of another shape than the answer: a diag or a sum is missing, or there without need."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Einsum, Expr
from chainrule.grade.case import Case, Found, agreeing
from chainrule.verify.probe import summed


def formed(case: Case) -> Iterator[Found]:
    """The claim and the correct answer differ by a diag or a sum."""
    yield from _diagonals(case)
    yield from _sums(case)


def _diagonals(case: Case) -> Iterator[Found]:
    correct = case.correct
    if correct.rank == 1 and case.matches(_diagonal_matrix(correct)):
        yield Found(4, "diag", "The claim puts diag around a vector: the answer is the vector itself.")
    if correct.rank == 2 and correct.shape[0] == correct.shape[1]:
        entries = Einsum(ONE, (correct,), ((0, 0),), (0,))
        whole = _diagonal_matrix(entries)
        same = all(
            (a == b).all() or abs(a - b).max() <= 1e-9 * abs(a).max()
            for a, b in zip(case.probe.values(correct), case.probe.values(whole), strict=True)
        )
        if same and case.matches(entries):
            yield Found(4, "diag", "A diag is missing: the answer is the diagonal matrix with these entries.")


def _diagonal_matrix(vector: Expr) -> Expr:
    return Einsum(ONE, (vector,), ((0,),), (0, 0))


def _sums(case: Case) -> Iterator[Found]:
    axes = case.claimed[0].ndim
    rank = case.correct.rank
    correct = case.probe.values(case.correct)
    for count in range(1, min(axes, 3) + 1):
        for over in combinations(range(axes), count):
            totals = [summed(value, over) for value in case.claimed]
            if agreeing(totals, correct, case.views, case.noise(case.correct), case.claim.tolerance):
                entries = "its entries are to be added" if count == axes else f"add along axis {over[0]}"
                yield Found(5, "sum", f"A sum is missing: {entries}.")
                return
    for count in range(1, min(rank, 3) + 1):
        for over in combinations(range(rank), count):
            kept = tuple(k for k in range(rank) if k not in over)
            if case.matches(Einsum(ONE, (case.correct,), (tuple(range(rank)),), kept)):
                yield Found(5, "sum", "There is a sum too many: the entries of the answer stay apart.")
                return
