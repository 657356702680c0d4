"""A program that reads rows, cut in two: sums over some rows, and what is made of the sums of all of them.

A loss that is a sum or mean over the rows of its data, and its derivatives, are functions of a few totals
over rows. The first half makes these of any block of rows, so that they can be added up over blocks in
memory, chunks of a file, or machines; the second half makes the loss and its derivatives of them.

In: a program and the names of the inputs that hold rows. Out: two programs, or NotSeparable with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.codegen.blocks import Axis, Links, names_once
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.rewrite import again, below, live
from chainrule.codegen.signs import CARRYING, PRODUCTS
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Shape
from chainrule.rules.table import Row

# What rows are called in formulas, where it is not by their own names.
SAID = {"amax": "max", "amin": "min"}


class NotSeparable(Exception):
    """The rows cannot be summed apart from one another; the text says why."""


@dataclass(frozen=True, slots=True)
class Separated:
    """`part` makes the totals of some rows, its outputs by name; `finish` has them as inputs.

    totals   the shape of each total
    count    the name of the size by which both know the number of all rows
    counted  whether `part` needs it
    fixed    totals of rows alone, which are the same for all values of the other inputs
    linear   outputs that are linear in the other totals, so that some rows estimate them without bias
    """

    part: Program
    finish: Program
    totals: Mapping[str, Shape]
    count: str
    counted: bool
    fixed: frozenset[str]
    linear: frozenset[str]


def separate(program: Program, rows: Collection[str], count: str, prefix: str = "total") -> Separated:
    """The two halves; `rows` names the inputs whose first axis are the rows, `count` is a size name to use.

    Raises: NotSeparable, with the reason.
    """
    ops = live(program)
    links = _RowLinks(ops)
    length, axes = _axes(ops, links, rows)
    late: set[Op] = set()
    results: list[Op] = []
    for op in ops:
        if op in axes:
            if op.kind != "input" and not any(a in axes for a in op.args):
                raise NotSeparable("an array has an entry for each row and is made from none")
            if any(a in late for a in op.args):
                raise NotSeparable("what is computed for a row needs a sum over all rows first")
            if not names_once(op, axes[op], length):
                raise NotSeparable("entries of different rows are regrouped")
        elif any(a in axes for a in op.args):
            if not names_once(op, None, length):
                raise NotSeparable("entries of different rows are regrouped")
            late.add(op)
            results.append(op)
        elif any(a in late for a in op.args):
            late.add(op)
    if any(op in axes for op in program.outputs.values()):
        raise NotSeparable("the result has an entry for each row")
    cut = _cut(program, ops, axes, results, length, count, prefix)
    fixed = [name for name, op in cut.part.outputs.items() if _reads(op) <= set(rows)]
    return replace(cut, fixed=frozenset(fixed), linear=_linear(cut.finish, set(cut.totals) - set(fixed)))


class _RowLinks(Links):
    """Links that remember by which operation an axis was first broken, and that follow gathers."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.reasons: dict[Axis, Op] = {}
        self.now: Op | None = None
        super().__init__(ops)

    def split(self, op: Op, axes: Sequence[int]) -> None:
        super().split(op, axes)
        for a in axes:
            self.reasons.setdefault((op, a), op if self.now is None else self.now)

    def _call(self, op: Op) -> None:
        self.now = op
        super()._call(op)
        self.now = None

    def _unknown(self, op: Op) -> None:
        self.now = op
        super()._unknown(op)
        self.now = None

    def _take(self, op: Op) -> None:
        """E[ids]: the axes of ids, then those of E after the first."""
        table, ids = op.args
        self.split(table, [0])
        for a in range(ids.rank):
            self.join((ids, a), (op, a))
        for a in range(1, table.rank):
            self.join((table, a), (op, ids.rank + a - 1))

    def _scatter(self, op: Op) -> None:
        self._placed(op, op.args[0])

    def _add_at(self, op: Op) -> None:
        """What is added to has the axes of the result."""
        base, values = op.args
        for a in range(op.rank):
            self.join((base, a), (op, a))
        self._placed(op, values)

    def _placed(self, op: Op, values: Op) -> None:
        """An axis of values runs with the one that it fills from end to end, if that is one only."""
        labels, places = op.data[:2]
        used = [place.label for place in places]
        for a, place in enumerate(places):
            whole = place.index == ("all",) and used.count(place.label) == 1
            if not whole:
                self.split(op, [a])
            if place.label in labels:  # else the values are repeated along that axis
                source = labels.index(place.label)
                if whole:
                    self.join((values, source), (op, a))
                else:
                    self.split(values, [source])

    def _scatter_rows(self, op: Op) -> None:
        """Row v is the sum of the values at v."""
        values, ids = op.args
        self.split(op, [0])
        for a in range(ids.rank):
            self.join((ids, a), (values, a))
        for a in range(ids.rank, values.rank):
            self.join((values, a), (op, a - ids.rank + 1))


def _axes(ops: Sequence[Op], links: _RowLinks, rows: Collection[str]) -> tuple[Dim, dict[Op, int]]:
    """The size of the rows, and for each operation that has an entry for each row the place of that axis."""
    components = links.components()
    inputs = [op for op in ops if op.kind == "input" and op.data[0] in rows]
    if not inputs:
        raise NotSeparable("the loss does not read the data")
    length = inputs[0].shape[0]
    axes: dict[Op, int] = {}
    seen: set[int] = set()
    for op in inputs:
        if op.shape[0] != length:
            raise NotSeparable(f"there are {length} rows of one array and {op.shape[0]} of another")
        found = next((c for c in components if c.axes.get(op) == 0), None)
        if found is None:
            raise NotSeparable(_why(ops, links, op))
        if found.first in seen:
            continue
        seen.add(found.first)
        alien = [o for o in found.axes if o.kind == "input" and o.data[0] not in rows]
        if alien:
            raise NotSeparable(f"{alien[0].data[0]} has an entry for each row and is no data")
        for member, a in found.axes.items():
            if member in axes:
                raise NotSeparable("rows are compared with each other, two at a time")
            axes[member] = a
    if length.name is None:
        raise NotSeparable(f"the number of rows, {length}, has no name of its own")
    return length, axes


def _why(ops: Sequence[Op], links: _RowLinks, source: Op) -> str:
    """What keeps the rows of an input together."""
    root = links.root((source, 0))
    twice = [op for op in ops if sum(links.root((op, a)) == root for a in range(op.rank)) > 1]
    if twice:
        return "rows are compared with each other, two at a time"
    broken = [axis for axis in links.reasons if links.root(axis) == root]
    named = [links.reasons[axis] for axis in broken]
    rows_of = [op.data[0].name for op in named if op.data and isinstance(op.data[0], Row)]
    if rows_of:
        return f"{SAID.get(rows_of[0], rows_of[0])} takes all rows together"
    return "an operation takes all rows together"


def _cut(
    program: Program,
    ops: Sequence[Op],
    axes: Mapping[Op, int],
    results: Sequence[Op],
    length: Dim,
    count: str,
    prefix: str,
) -> Separated:
    renamed = {length.name or "": Dim.of(count)}

    def remade(build: Builder, op: Op, args: Sequence[Op]) -> Op:
        if op.kind == "size":
            return build.size(op.data[0].substitute(renamed))
        return again(build, op, args)

    part, made = Builder(), dict[Op, Op]()
    counted = False
    needed = below(results)
    for op in ops:
        if op in needed:
            made[op] = remade(part, op, [made[a] for a in op.args])
            counted = counted or (made[op].kind == "size" and count in made[op].data[0].names)
    names = [f"{prefix}{k + 1}" for k in range(len(results))]
    outputs = {name: made[op] for name, op in zip(names, results, strict=True)}

    finish, built = Builder(), dict[Op, Op]()
    for name, op in zip(names, results, strict=True):
        built[op] = finish.input(name, op.shape)
    wanted = _above(program, set(results))
    for op in ops:
        if op in wanted and op not in built:
            built[op] = remade(finish, op, [built[a] for a in op.args])
    return Separated(
        Program(part.ops, outputs),
        Program(finish.ops, {key: built[op] for key, op in program.outputs.items()}),
        {name: op.shape for name, op in zip(names, results, strict=True)},
        count,
        counted,
        frozenset(),
        frozenset(),
    )


def _reads(op: Op) -> set[str]:
    """The names of the inputs below an operation."""
    return {o.data[0] for o in below([op]) if o.kind == "input"}


ADDED = ("add", "sub", "neg", "cast", "stack")


def _linear(program: Program, totals: Collection[str]) -> frozenset[str]:
    """The outputs that are linear in some inputs, beside what does not depend on them."""
    degrees: dict[Op, int] = {}
    for op in program.ops:
        inner = [degrees[a] for a in op.args]
        if op.kind == "input":
            degrees[op] = int(op.data[0] in totals)
        elif op.kind in PRODUCTS:
            degrees[op] = sum(inner)
        elif op.kind in ADDED or not any(inner):
            degrees[op] = max(inner, default=0)
        else:
            first = op.kind in CARRYING or op.kind == "div"
            degrees[op] = inner[0] if first and not any(inner[1:]) else 2
    return frozenset(name for name, op in program.outputs.items() if degrees[op] < 2)


def _above(program: Program, known: set[Op]) -> set[Op]:
    """The operations that the outputs need beside those whose values are known."""
    found: set[Op] = set()
    pending = list(program.outputs.values())
    while pending:
        op = pending.pop()
        if op not in found and op not in known:
            found.add(op)
            pending.extend(op.args)
    return found
