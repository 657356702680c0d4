"""Results that are made row by row are evaluated in blocks of rows that stay in cache, and joined.

Where each row of every result comes from the same row of the arrays (the gradient of a normalisation of rows,
of a softmax along them), nothing between is written to memory. Chains do the same for what goes entry by
entry; here sums along a row stand between. Sums over the rows may be results beside.

In: a program. Out: the same with one operation `blocks`, as in `blocks.py`, some of whose results are joined.
"""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.codegen.blocks import Component, Links, cut_along, names_once
from chainrule.codegen.order import assumed_size
from chainrule.codegen.plan import Program
from chainrule.codegen.program import ENTRYWISE, Op
from chainrule.codegen.rewrite import live
from chainrule.rules.table import Elementwise

LEAST = 7  # passes through wide arrays that make up for writing their result in parts
LARGEST = 14  # a block has so many entries, as a power of 2


def in_rows(program: Program, sizes: Mapping[str, int]) -> Program:
    """The program in blocks of rows, if there is an axis that all results have as their first one."""
    ops = live(program)
    if any(op.kind == "blocks" for op in ops) or sum(map(_work, ops)) < LEAST:
        return program
    links = Links(ops)
    found = [c for c in links.components() if _serves(c, ops, program)]
    if not found:
        return program
    chosen = max(found, key=lambda c: (assumed_size(c.length, sizes), -c.first))
    if chosen.is_short(sizes, 2**LARGEST):
        return program
    return cut_along(program, ops, chosen, [op for op in program.outputs.values() if op in chosen.axes])


def _serves(component: Component, ops: list[Op], program: Program) -> bool:
    """Whether one pass is enough, and what it makes is wide, with something along the rows between."""
    axes = component.axes
    joined = {op for op in program.outputs.values() if op in axes}
    if component.length.name is None or not joined:
        return False
    if any(op.kind == "input" or axes[op] or op.rank < 2 for op in joined):
        return False
    late: set[Op] = set()  # what needs a sum over the rows
    work = along = 0
    for op in ops:
        carrying = [a for a in op.args if a in axes]
        if op not in axes:
            if carrying and (_is_product(op) or not names_once(op, None, component.length)):
                return False
            if carrying or any(a in late for a in op.args):
                late.add(op)
            continue
        if any(a in late for a in op.args) or (not carrying and op.kind != "input"):
            return False
        if _is_product(op) or not names_once(op, axes[op], component.length):
            return False
        work += _work(op)
        along += any(a.rank > op.rank for a in carrying) or (op.kind == "call" and not _is_entrywise(op))
    return work >= LEAST and along > 0


def _is_product(op: Op) -> bool:
    """Whether it is one of matrices, for which BLAS has blocks of its own."""
    return op.kind in ("tensordot", "kron") or (op.kind == "matmul" and min(a.rank for a in op.args) > 1)


def _is_entrywise(op: Op) -> bool:
    return op.kind in ENTRYWISE or (op.kind == "call" and isinstance(op.data[0], Elementwise))


def _work(op: Op) -> int:
    """How often an operation goes through a wide array; softmax and its like do so several times."""
    if op.rank < 2:
        return 0
    return 1 if _is_entrywise(op) else 3 if op.kind == "call" else 0
