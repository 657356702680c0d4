"""A number that several results are multiplied by is multiplied once, into what all of them are made of.

In: a program, after lowering. Out: the same where c·(Hᵀ D), c·(Xᵀ (D Wᵀ)) are Hᵀ D and Xᵀ (D Wᵀ) with c·D in
the place of D: the results are linear in D, each of them once. The number is known before any array is read,
so that what is done in blocks of rows stays in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.rewrite import again, below, live
from chainrule.codegen.signs import CARRYING, PRODUCTS, entries

SCALED = ("mul", "div")
LINEAR = PRODUCTS | CARRYING | {"add", "sub", "neg", "div"}
OLD = ("input", "permute", "slice", "reshape")
TRIES = 8  # arrays for which it is found out whether all results are linear in them
Group = dict[Op, Op]  # what is multiplied, by the product


def with_shared_numbers(program: Program) -> Program:
    """The program with numbers at what several results have in common."""
    for number, kind, group in _groups(live(program)):
        ops = live(program)
        common = _common(ops, program, number, group)
        if common is not None:
            return with_shared_numbers(_rewritten(program, ops, number, kind, group, common))
    return program


def _groups(ops: Sequence[Op]) -> list[tuple[Op, str, Group]]:
    """Arrays that are multiplied or divided by the same number, which is made of sizes and given numbers."""
    found: dict[tuple[Op, str], Group] = {}
    numbers: set[Op] = set()
    for op in ops:
        if op.rank == 0 and all(a in numbers for a in op.args):
            numbers.add(op)
        if op.kind not in SCALED:
            continue
        for number, array in zip(op.args, op.args[::-1], strict=True):
            if number in numbers and array not in numbers and (op.kind == "mul" or number is op.args[1]):
                found.setdefault((number, op.kind), {})[op] = array
    return [
        (number, kind, group)
        for (number, kind), group in found.items()
        if sum(op.rank > 0 for op in group) > 1
    ]


def _common(ops: Sequence[Op], program: Program, number: Op, group: Group) -> Op | None:
    """The smallest array in which all of them are linear, if one can be multiplied in their place."""
    arrays = list(group.values())
    reached = below(arrays)
    if any(op in reached for op in group):
        return None
    candidates = _linear_below(arrays[0]) & _linear_below(arrays[-1])  # whether others too is found out later
    places = {op: k for k, op in enumerate(ops)}
    most = max(op.rank for op in group)
    possible = [op for op in candidates if 0 < op.rank <= most]
    # Into a new array a number can be multiplied in place.
    for op in sorted(possible, key=lambda op: (entries(op), op.kind in OLD, -places[op]))[:TRIES]:
        if _serves(op, ops, program, group):
            return op
    return None


def _linear_below(op: Op) -> set[Op]:
    """All that an array is perhaps linear in."""
    found: set[Op] = set()
    pending = [op]
    while pending:
        op = pending.pop()
        if op not in found:
            found.add(op)
            if op.kind in LINEAR:
                pending.extend(op.args[:1] if op.kind == "div" else op.args)
    return found


def _serves(common: Op, ops: Sequence[Op], program: Program, group: Group) -> bool:
    """Whether every array is linear in `common`, and nothing else reads what is made of it on the way."""
    degrees = _degrees(common, ops)
    if any(degrees.get(array) != 1 for array in group.values()):
        return False
    changed = _between(common, degrees, group)
    if any(op in program.names for op in changed) or any(op in changed for op in program.outputs.values()):
        return False
    within = changed - {common}
    return not any(a in within for op in ops if op not in changed and op not in group for a in op.args)


def _degrees(common: Op, ops: Sequence[Op]) -> dict[Op, int | None]:
    """The degree of each operation in `common`; None where it is no product of it; those of degree 0 lack."""
    degrees: dict[Op, int | None] = {common: 1}
    for op in ops:
        if op is common or not any(a in degrees for a in op.args):
            continue
        parts = [degrees.get(a, 0) for a in op.args]
        if op.kind in PRODUCTS and None not in parts:
            degrees[op] = sum(d or 0 for d in parts)
        elif op.kind in LINEAR - PRODUCTS and (len(set(parts)) == 1 or (op.kind == "div" and parts[1] == 0)):
            degrees[op] = parts[0]
        else:
            degrees[op] = None
    return degrees


def _between(common: Op, made: Iterable[Op], group: Group) -> set[Op]:
    """What is made of `common` for the arrays of the group, with itself."""
    return set(made) & below(group.values())


def _rewritten(
    program: Program, ops: Sequence[Op], number: Op, kind: str, group: Group, common: Op
) -> Program:
    """The program with `common` scaled on the way to the arrays of the group, which are the results."""
    changed = _between(common, _degrees(common, ops), group)
    build = Builder()
    made: dict[Op, Op] = {}
    scaled: dict[Op, Op] = {}
    # The number may stand behind what it is now multiplied into.
    for op in [*(op for op in ops if op in below([number])), *ops]:
        if op in made or op in scaled:
            continue
        if op in group:
            made[op] = scaled[group[op]]
            continue
        args = [scaled.get(a) or made[a] for a in op.args] if op in changed and op is not common else []
        if args:
            scaled[op] = again(build, op, args)
            continue
        made[op] = again(build, op, [made[a] for a in op.args])
        if op is common:
            pair = (made[op], made[number]) if kind == "div" else (made[number], made[op])
            scaled[op] = build.binary(kind, *pair)
    outputs = {key: made[op] for key, op in program.outputs.items()}
    names = {made[op]: name for op, name in program.names.items() if op in made}
    return Program(build.ops, outputs, names)
