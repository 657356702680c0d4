"""Passes over a program: each operation made again, or another one of the same value in its place.

In: a program and a change, which is asked about every operation in order, its arguments already made again.
Out: a new program. Nothing is changed in place, and equal operations are still made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op

Change = Callable[[Builder, Op, Sequence[Op]], Op | None]


def rewritten(program: Program, change: Change) -> Program:
    """The program with `change(build, op, args)` for every operation for which that is not None.

    `op` is the operation as it was, `args` are its arguments as they are now.
    """
    build = Builder()
    made: dict[Op, Op] = {}
    for op in live(program):
        args = [made[a] for a in op.args]
        other = change(build, op, args)
        if other is None:
            other = build.keep(op) if op.args == tuple(args) else again(build, op, args)
        made[op] = other
    outputs = {key: made[op] for key, op in program.outputs.items()}
    names = {made[op]: name for op, name in program.names.items() if op in made}
    return Program(build.ops, outputs, names)


def again(build: Builder, op: Op, args: Sequence[Op]) -> Op:
    """The same operation on other arguments."""
    return build.make(op.kind, args, op.data, op.shape, op.boolean)


def live(program: Program) -> list[Op]:
    """The operations that the outputs need, in order."""
    needed = below(program.outputs.values())
    return [op for op in program.ops if op in needed]


def below(ops: Iterable[Op]) -> set[Op]:
    """Operations and all that they are made from."""
    found: set[Op] = set()
    pending = list(ops)
    while pending:
        op = pending.pop()
        if op not in found:
            found.add(op)
            pending.extend(op.args)
    return found


def uses(program: Program) -> dict[Op, int]:
    """How many operations and outputs read each operation."""
    count: dict[Op, int] = {}
    for op in live(program):
        for a in op.args:
            count[a] = count.get(a, 0) + 1
    for op in program.outputs.values():
        count[op] = count.get(op, 0) + 1
    return count
