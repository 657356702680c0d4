"""Entries are combined in the order in which they lie in memory.

In: a program, after lowering. Out: the same where arrays that lie in different orders, a transpose among
them, do not meet entry by entry if a product of matrices can be made the other way round, which costs
nothing: (V @ D.T) * P.T becomes ((D @ V.T) * P).T. A product that takes the result transposes it for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.rewrite import live, rewritten, uses

ENTRYWISE = frozenset({"add", "sub", "mul", "div", "neg", "pow", "sqrt"})
COLUMN = ((True, False),)
SWAP = (1, 0)


def with_rows_in_order(program: Program) -> Program:
    """The program with products turned so that entries are met in the order of memory."""
    program = _with_products_turned(program)
    free, readers = _taken_by_products(program), _readers(program)
    before = uses(program)
    count: dict[Op, int] = {}

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        for old, new in zip(op.args, args, strict=True):
            count[new] = before[old]
        if op.kind == "permute":
            return build.permute(args[0], op.data[0])
        if op not in free or not any(map(_is_turned, args)):
            return None
        if not any(map(_is_plain, args)) and not all(map(_is_turned, readers[op])):
            return None
        turned = _Turned(build, count)
        if not sum(map(turned.against, args)) < sum(map(_is_turned, args)):
            return None
        return build.permute(_again(build, op, [turned.of(a) for a in args]), SWAP)

    return rewritten(program, change)


def _with_products_turned(program: Program) -> Program:
    """The program with a product made the other way round where all that read its entries meet transposes."""
    readers = _readers(program)
    free = _taken_by_products(program)
    kept = {*program.outputs.values(), *program.names}

    def wants(op: Op, made: Op) -> bool | None:
        """Whether it would rather read the transpose; None if it does not matter."""
        others = [a for a in op.args if a is not made and a.rank == 2]
        if op.kind == "matmul" and op.rank == 2:
            return None
        if _is_turned(op):
            return True
        if op.kind == "einsum" and len(op.args) == 2:
            return len(others) == 1 and _is_turned(others[0])
        if op not in free:
            return False
        if any(map(_is_turned, others)) or any(map(_is_plain, others)):
            return not any(map(_is_plain, others))
        return _all_want([wants(reader, op) for reader in readers[op]])

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        if op.kind == "permute":
            return build.permute(args[0], op.data[0])
        if op.kind == "einsum" and op.rank < 2:
            return _relabelled(build, op, args)
        several = op.kind == "matmul" and op.rank == 2 and op not in kept and len(readers.get(op, ())) > 1
        if not several or any(a.rank != 2 for a in args):
            return None
        if not _all_want([wants(reader, op) for reader in readers[op]]):
            return None
        return build.permute(build.matmul(build.permute(args[1], SWAP), build.permute(args[0], SWAP)), SWAP)

    return rewritten(program, change)


def _all_want(wishes: Sequence[bool | None]) -> bool:
    return any(wishes) and False not in wishes


def _relabelled(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
    """A sum of entries of two matrices that are both transposed as the same sum of the matrices."""
    (labels, kept), counts = op.data[0], op.data[1:]
    if counts != (2, 2) or not all(map(_is_turned, args)):
        return None
    return build.einsum([a.args[0] for a in args], [labels[1::-1], labels[:1:-1]], kept)


def _again(build: Builder, op: Op, args: Sequence[Op]) -> Op:
    """The same entrywise operation on transposed arguments."""
    if op.kind in ("add", "sub", "mul", "div"):
        return build.binary(op.kind, *args)
    return build.make(op.kind, args, op.data, op.shape[::-1], op.boolean)


def _is_turned(op: Op) -> bool:
    return op.kind == "permute" and op.data[0] == SWAP


def _is_plain(op: Op) -> bool:
    """Whether it is a whole matrix that is not transposed."""
    return op.rank == 2 and not _is_turned(op) and op.kind != "expand"


def _taken_by_products(program: Program) -> set[Op]:
    """Entrywise results that only products of matrices read, directly or through others of them."""
    ops, readers = live(program), _readers(program)
    kept = {*program.outputs.values(), *program.names}
    free: set[Op] = set()
    for op in reversed(ops):
        reading = readers.get(op, [])
        if op.rank != 2 or op in kept or not reading:
            continue
        if op.kind in ENTRYWISE or _is_turned(op):
            if all(r in free or (r.kind == "matmul" and r.rank == 2) for r in reading):
                free.add(op)
    return free


def _readers(program: Program) -> dict[Op, list[Op]]:
    """The operations that read each."""
    readers: dict[Op, list[Op]] = {}
    for op in live(program):
        for a in op.args:
            readers.setdefault(a, []).append(op)
    return readers


class _Turned:
    """Transposes of arrays, where the transposition is put into what makes the array."""

    def __init__(self, build: Builder, count: Mapping[Op, int]) -> None:
        self.build, self.count = build, count

    def against(self, op: Op) -> int:
        """How many arrays lie in another order once the array is transposed."""
        if op.rank < 2 or _is_turned(op) or (op.kind == "expand" and op.data == COLUMN):
            return 0
        if self.count.get(op, 1) > 1:
            return 1
        if op.kind == "matmul" and all(a.rank == 2 for a in op.args):
            return 0
        if op.kind in ENTRYWISE:
            return sum(map(self.against, op.args))
        return 1

    def of(self, op: Op) -> Op:
        """The transpose; of a row the column, to be met by the transpose of what it met."""
        build = self.build
        if op.rank == 0:
            return op
        if op.rank == 1:
            return build.expand(op, (0,), (0, 1))
        if op.kind == "expand" and op.data == COLUMN:
            return op.args[0]
        if _is_turned(op):
            return op.args[0]
        if self.count.get(op, 1) == 1:
            if op.kind == "matmul" and all(a.rank == 2 for a in op.args):
                a, b = op.args
                return build.matmul(build.permute(b, SWAP), build.permute(a, SWAP))
            if op.kind in ENTRYWISE:
                return _again(build, op, [self.of(a) for a in op.args])
        return build.permute(op, SWAP)
