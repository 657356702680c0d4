"""Operations that go entry by entry through arrays of one shape become a function of a part of the arrays.

Where arrays are long, it is called for parts that stay in cache, so that nothing between its arguments and
its results is written to memory. Its results are arrays, and sums over all entries, which are added up.

In: a program. Out: the same with operations `chain`, each of which stands for a Loop (fusion.py), and `item`,
which takes a result of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import prod
from types import MappingProxyType

from chainrule.codegen.fusion import Loop, replaced
from chainrule.codegen.plan import Program
from chainrule.codegen.program import ENTRYWISE, Op
from chainrule.codegen.rewrite import live
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Shape
from chainrule.rules.table import Elementwise

LONG = 15  # arrays of more than 2**15 entries are cut
LEAST = 4  # operations that make up for writing their result in parts
CONSTANT = ("number", "named")  # written where they are used, and not handed over
ONE = Dim.of(1)
NONE: Mapping[str, int] = MappingProxyType({})


def in_chains(program: Program, sizes: Mapping[str, int] = NONE) -> Program:
    """The program with functions of parts of arrays, where no array is larger than what they go through.

    None are made for arrays that are too small for it at the sizes that are given.
    """
    ops = live(program)
    if any(op.kind == "blocks" for op in ops):
        return program
    for dims in dict.fromkeys(op.shape for op in ops if op.shape and is_member(op, op.shape)):
        known = [dim.evaluate(sizes) for dim in dims if sizes.keys() >= set(dim.names)]
        short = len(known) == len(dims) and prod(known) <= 2**LONG
        if not short and not any(_is_larger(op.shape, dims) for op in ops):
            program = _with_chains(program, dims)
    return program


def is_member(op: Op, dims: Shape) -> bool:
    """Whether it makes each entry of an array of these sizes from entries at the same place."""
    if op.shape != dims:
        return False
    called = op.kind == "call" and isinstance(op.data[0], Elementwise) and op.data[0].code != "#1"
    return (op.kind in ENTRYWISE or called) and all(_fits(a.shape, dims) for a in op.args)


def is_total(op: Op, dims: Shape) -> bool:
    """Whether it is a sum over all entries of arrays of these sizes, multiplied entry by entry."""
    if op.rank or not op.args or any(a.shape != dims for a in op.args):
        return False
    if op.kind == "einsum":
        labels, counts = op.data[0][0], op.data[1:]
        rank = len(dims)
        return all(labels[k * rank : (k + 1) * rank] == labels[:rank] for k in range(len(counts)))
    return op.kind in ("sum", "matmul", "tensordot")


def _fits(shape: Shape, dims: Shape) -> bool:
    """Whether NumPy reads an array entry by entry along these sizes, repeated where it has not got them."""
    behind = dims[len(dims) - len(shape) :]
    return len(shape) <= len(dims) and all(a in (b, ONE) for a, b in zip(shape, behind, strict=True))


def _is_larger(shape: Shape, dims: Shape) -> bool:
    """Whether an array has these sizes and more: what goes through it costs more than what is gained here."""
    own, other = (Counter(d for d in each if d != ONE) for each in (shape, dims))
    return own != other and other <= own


def _with_chains(program: Program, dims: Shape) -> Program:
    ops = live(program)
    readers: dict[Op, list[Op]] = {}
    for op in ops:
        for a in op.args:
            readers.setdefault(a, []).append(op)
    outputs = set(program.outputs.values())
    loop_of: dict[Op, Loop] = {}
    inside: set[Op] = set()
    for members, totals in _stages(ops, dims, readers, outputs):
        own, done = set(members), {*members, *totals}
        kept = [m for m in members if m in outputs or any(r not in done for r in readers.get(m, ()))]
        reads = dict.fromkeys(
            a for op in (*members, *totals) for a in op.args if a not in own and a.kind not in CONSTANT
        )
        work = [m for m in members if m.kind not in ("cast", "neg")]
        if len(work) < LEAST or not any(a.shape == dims for a in reads):
            continue
        names = {op: program.names[op] for op in members if op in program.names and op not in kept}
        loop = Loop(dims, tuple(members), tuple(reads), (*kept, *totals), names)
        loop_of.update(dict.fromkeys(loop.results, loop))
        inside |= own - set(kept)
    return replaced(program, ops, loop_of, inside, "chain") if loop_of else program


def _stages(
    ops: Sequence[Op], dims: Shape, readers: Mapping[Op, Sequence[Op]], outputs: AbstractSet[Op]
) -> list[tuple[list[Op], list[Op]]]:
    """Members and totals that one pass can make, then those that need something whole of these, and so on."""
    stage: dict[Op, int] = {}
    members: set[Op] = set()
    totals: dict[Op, int] = {}
    for op in ops:
        if is_member(op, dims):
            stage[op] = max((stage[a] for a in op.args), default=0)
            members.add(op)
            continue
        stage[op] = max((stage[a] + (a in members) for a in op.args), default=0)
        made = [stage[a] for a in op.args if a in members]
        if made and is_total(op, dims) and all(stage[a] <= max(made) for a in op.args):
            totals[op] = max(made)
    for op in reversed(ops):
        # What only a later pass reads is made there, if no more than one array must be kept for it.
        read = readers.get(op, ())
        if op in members and op not in outputs and all(r in members for r in read):
            if len({a for a in op.args if a in members}) < 2:
                stage[op] = min((stage[r] for r in read), default=stage[op])
    count = 1 + max((stage[op] for op in members), default=-1)
    stages: list[tuple[list[Op], list[Op]]] = [([], []) for _ in range(count)]
    for op in ops:
        if op in members:
            stages[stage[op]][0].append(op)
        elif op in totals:
            stages[totals[op]][1].append(op)
    return stages


def cut(loop: Loop) -> tuple[list[Op], list[Op]]:
    """What a chain reads: arrays that are cut along their first axis, and what is handed over whole."""
    parts = [a for a in loop.reads if a.rank == len(loop.dims) and a.shape[0] == loop.dims[0]]
    parts.sort(key=lambda a: a.shape != loop.dims)
    return parts, [a for a in loop.reads if a not in parts]


def constants(loop: Loop) -> list[Op]:
    """The numbers that stand in a chain."""
    every = [a for op in (*loop.members, *loop.results) for a in op.args]
    return list(dict.fromkeys(a for a in every if a.kind in CONSTANT))
