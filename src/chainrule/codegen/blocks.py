"""Programs that read long arrays row by row are evaluated in blocks of rows that stay in cache.

Where every output is a sum over an axis (the gradient of a loss over N rows, attention over its queries), the
operations along that axis become a function of some rows, and its results are added up block by block: what
is read twice crosses the bus once, and what lies between is never written to memory.

In: a program. Out: the same with one `blocks` operation, whose data is the body, and a `part` for each of
its results; or the program itself where no axis serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from chainrule.codegen.order import assumed_size
from chainrule.codegen.plan import Program
from chainrule.codegen.program import ENTRYWISE, Builder, Op, dims_in
from chainrule.codegen.rewrite import again, below, live
from chainrule.expr.dims import Dim
from chainrule.rules.table import Elementwise, Tensorial

Axis = tuple[Op, int]
FEWEST = 64  # rows of a block


@dataclass(frozen=True, eq=False, slots=True)
class Body:
    """What is done with a block: `ops` in order, from rows of `inputs` and whole values of `outer` ones.

    results    the operations whose values are added up, or joined
    joined     the numbers of those whose values are rows of the result
    length     the axis that is cut into blocks, by name
    widths     entries in a row of the widest arrays of the body
    totals     entries of the largest results, divided by the width where there is one that divides them
    products   of one input matrix with vectors: what reads its rows
    narrow     whether nothing as wide as the inputs is made of the rows
    """

    ops: tuple[Op, ...]
    inputs: tuple[Op, ...]
    outer: tuple[Op, ...]
    results: tuple[Op, ...]
    joined: frozenset[int]
    length: Dim
    widths: tuple[Dim, ...]
    totals: tuple[Dim, ...]
    products: tuple[Op, ...]
    narrow: bool
    names: Mapping[Op, str]

    @property
    def matrix(self) -> Op:
        """The matrix of the products."""
        return self.products[0].args[0]


def in_blocks(program: Program, sizes: Mapping[str, int], entries: int) -> Program:
    """The program with its long axis in blocks, if it has one along which all outputs are sums.

    Which axis is long is seen from the sizes that are given, or assumed. There are no blocks where all rows
    are one block of so many entries at the sizes that are given.
    """
    ops = live(program)
    links = Links(ops)
    found = [c for c in links.components() if links.serves(c, program)]
    if not found:
        return program
    chosen = max(found, key=lambda c: (assumed_size(c.length, sizes), -c.first))
    return program if chosen.is_short(sizes, entries) else cut_along(program, ops, chosen)


@dataclass(frozen=True, eq=False, slots=True)
class Component:
    """Axes that run through the same rows: for each operation that has one its place."""

    axes: Mapping[Op, int]
    length: Dim
    first: int

    def is_short(self, sizes: Mapping[str, int], entries: int) -> bool:
        """Whether all rows of the widest array are known to have no more entries than that."""
        shapes = [op.shape for op in self.axes]
        if not all(sizes.keys() >= set(dim.names) for shape in shapes for dim in shape):
            return False
        most = max(prod(dim.evaluate(sizes) for dim in shape) for shape in shapes)
        return self.length.evaluate(sizes) <= FEWEST or most <= entries


class Links:
    """Which axes of operations run together; those that an operation treats as a whole are broken."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = ops
        self.parent: dict[Axis, Axis] = {}
        self.broken: set[Axis] = set()
        for op in ops:
            handle = getattr(self, f"_{op.kind}", self._unknown)
            (self._entrywise if op.kind in ENTRYWISE else handle)(op)

    # ------------------------------------------------------------ sets of axes

    def root(self, axis: Axis) -> Axis:
        while axis in self.parent:
            axis = self.parent[axis]
        return axis

    def join(self, one: Axis, other: Axis) -> None:
        one, other = self.root(one), self.root(other)
        if one != other:
            self.parent[one] = other

    def split(self, op: Op, axes: Sequence[int]) -> None:
        self.broken.update((op, a) for a in axes)

    def components(self) -> list[Component]:
        """The sets that inputs begin, as first axes, with no broken axis and none twice in an operation."""
        broken = {self.root(axis) for axis in self.broken}
        groups: dict[Axis, dict[Op, int]] = {}
        for op in self.ops:
            for a in range(op.rank):
                root = self.root((op, a))
                if root in broken:
                    continue
                group = groups.setdefault(root, {})
                if op in group or (op.kind == "input" and a):
                    broken.add(root)
                group[op] = a
        self.broken |= broken
        found = []
        for number, (root, axes) in enumerate(groups.items()):
            lengths = [op.shape[a] for op, a in axes.items() if op.kind == "input"]
            if root not in broken and lengths:
                found.append(Component(axes, lengths[0], number))
        return found

    def serves(self, component: Component, program: Program) -> bool:
        """Whether one pass is enough, all outputs are totals, and something wide is read or made twice."""
        axes = component.axes
        if component.length.name is None or any(op in axes for op in program.outputs.values()):
            return False
        late: set[Op] = set()  # what needs a total
        read = made = 0
        for op in self.ops:
            carrying = [a for a in op.args if a in axes]
            if op in axes:
                if any(a in late for a in op.args) or (not carrying and op.kind != "input"):
                    return False
                if not names_once(op, axes[op], component.length):
                    return False
                if op.kind != "input" and op.rank > 1 and op.kind not in ("permute", "expand"):
                    made += 1
            elif carrying or any(a in late for a in op.args):
                if carrying and not names_once(op, None, component.length):
                    return False
                late.add(op)
            # XᵀX reads X once.
            seen = {a.args[0] if a.kind == "permute" else a for a in carrying} if op.kind != "permute" else ()
            read += sum(1 for a in seen if a.kind == "input" and a.rank > 1)
        return max(read, made) > 1 and bool(late)

    # ------------------------------------------------------------ operations

    def _unknown(self, op: Op) -> None:
        self.split(op, range(op.rank))
        for a in op.args:
            self.split(a, range(a.rank))

    def _input(self, op: Op) -> None:
        pass

    _number = _size = _named = _input

    def _entrywise(self, op: Op) -> None:
        """Axes as NumPy broadcasts them: aligned at the end; an axis of length 1 runs with no other."""
        one = Dim.of(1)
        for arg in op.args:
            for a in range(arg.rank):
                if arg.shape[a] != one or op.shape[a + op.rank - arg.rank] == one:
                    self.join((arg, a), (op, a + op.rank - arg.rank))

    def _call(self, op: Op) -> None:
        row, *parameters = op.data
        if isinstance(row, Elementwise):
            self._entrywise(op)
        elif isinstance(row, Tensorial):
            for arg, core in zip(op.args, row.cores(tuple(parameters)), strict=True):
                lead = arg.rank - core
                self.split(arg, range(lead, arg.rank))
                for a in range(lead):
                    self.join((arg, a), (op, a))
            lead = op.args[0].rank - row.cores(tuple(parameters))[0] if op.args else 0
            self.split(op, range(lead, op.rank))
        else:
            self._unknown(op)

    def _permute(self, op: Op) -> None:
        for a, source in enumerate(op.data[0]):
            self.join((op, a), (op.args[0], source))

    def _expand(self, op: Op) -> None:
        kept = [a for a, keep in enumerate(op.data[0]) if keep]
        for source, a in enumerate(kept):
            self.join((op, a), (op.args[0], source))

    def _einsum(self, op: Op) -> None:
        (labels, kept), counts = op.data[0], op.data[1:]
        places: dict[int, Axis] = {}
        k = 0
        for arg, count in zip(op.args, counts, strict=True):
            for a in range(count):
                self.join((arg, a), places.setdefault(labels[k], (arg, a)))
                k += 1
        for a, label in enumerate(kept):
            self.join((op, a), places[label])

    def _sum(self, op: Op) -> None:
        kept = [a for a in range(op.args[0].rank) if a not in op.data[0]]
        for a, source in enumerate(kept):
            self.join((op, a), (op.args[0], source))

    def _matmul(self, op: Op) -> None:
        left, right = op.args
        inner = right.rank - 2 if right.rank > 1 else 0
        self.join((left, left.rank - 1), (right, inner))
        batch = max(left.rank, right.rank, 2) - 2
        for arg in (left, right):
            for a in range(arg.rank - 2):
                self.join((arg, a), (op, batch - (arg.rank - 2) + a))
        if left.rank > 1:
            self.join((left, left.rank - 2), (op, batch))
        if right.rank > 1:
            self.join((right, right.rank - 1), (op, op.rank - 1))

    def _outer(self, op: Op) -> None:
        for a, arg in enumerate(op.args):
            self.join((arg, 0), (op, a))

    def _tensordot(self, op: Op) -> None:
        left, right = op.args
        (count,) = op.data
        for a in range(left.rank - count):
            self.join((left, a), (op, a))
        for a in range(count):
            self.join((left, left.rank - count + a), (right, a))
        for a in range(count, right.rank):
            self.join((right, a), (op, left.rank - 2 * count + a))

    def _slice(self, op: Op) -> None:
        target = 0
        for a, part in enumerate(op.data):
            if part[0] == "all":
                self.join((op.args[0], a), (op, target))
            else:
                self.split(op.args[0], [a])
                if part[0] == "slice":
                    self.split(op, [target])
            target += part[0] != "at"

    def _reshape(self, op: Op) -> None:
        source = target = 0
        for before, after in op.data:
            if len(before) == len(after) == 1:
                self.join((op.args[0], source), (op, target))
            else:
                self.split(op.args[0], range(source, source + len(before)))
                self.split(op, range(target, target + len(after)))
            source, target = source + len(before), target + len(after)


def names_once(op: Op, axis: int | None, length: Dim) -> bool:
    """Whether sizes that are written out name the length of the blocks only for their own axis."""
    if op.kind == "reshape":
        written = [dim for a, dim in enumerate(op.shape) if a != axis]
    else:
        written = list(dims_in(op.data))
    return not any(set(length.names) & set(dim.names) for dim in written)


def cut_along(
    program: Program, ops: Sequence[Op], component: Component, joined: Sequence[Op] = ()
) -> Program:
    """The program in blocks along an axis; `joined` are the results that have it."""
    axes = component.axes
    inside = [op for op in ops if op in axes and op.kind != "input"]
    totalled = [op for op in ops if op not in axes and any(a in axes for a in op.args)]
    results = [*dict.fromkeys(joined), *totalled]
    made_there = set(results)
    body_ops = [op for op in ops if op in axes or op in made_there]
    inputs = [op for op in ops if op in axes and op.kind == "input"]
    known = set(body_ops)
    outer = list(dict.fromkeys(a for op in (*inside, *results) for a in op.args if a not in known))

    def width(op: Op) -> Dim:
        return _product([dim for a, dim in enumerate(op.shape) if a != axes[op]])

    widths = _largest([width(op) for op in body_ops if op in axes])
    totals = _largest([_product(op.shape) for op in results if op.rank > 1 and op not in axes])
    if len(widths) == 1:
        totals = tuple(_divided(total, widths[0]) for total in totals)
    body = Body(
        tuple(op for op in body_ops if op.kind != "input"),
        tuple(inputs),
        tuple(outer),
        tuple(results),
        frozenset(k for k, op in enumerate(results) if op in axes),
        component.length,
        widths,
        totals,
        _products([op for op in inside if op.kind == "matmul"], set(inputs), known),
        not any(op.rank > 1 and op.kind != "permute" for op in inside),
        {op: name for op, name in program.names.items() if op in known},
    )
    build = Builder()
    made: dict[Op, Op] = {}
    # What the body needs is made first; ops are in order, so the rest can follow.
    needed = below([*inputs, *outer])
    for op in ops:
        if op in needed:
            made[op] = again(build, op, [made[a] for a in op.args])
    whole = build.make("blocks", [made[a] for a in (*inputs, *outer)], (body,), ())
    for k, op in enumerate(results):
        made[op] = build.make("part", (whole,), (k,), op.shape, op.boolean)
    for op in ops:
        if op not in made and op not in known:
            made[op] = again(build, op, [made[a] for a in op.args])
    outputs = {key: made[op] for key, op in program.outputs.items()}
    names = {made[op]: name for op, name in program.names.items() if op in made}
    return Program(build.ops, outputs, names)


def _products(made: Sequence[Op], inputs: set[Op], known: set[Op]) -> tuple[Op, ...]:
    """The products of one matrix among the inputs with vectors that all rows share."""
    found = [op for op in made if op.args[0] in inputs and op.args[0].rank == 2 and op.args[1] not in known]
    vectors = [op for op in found if op.rank == 1]
    return tuple(op for op in vectors if op.args[0] is vectors[0].args[0])


def _product(dims: Sequence[Dim]) -> Dim:
    total = Dim.of(1)
    for dim in dims:
        total = total * dim
    return total


def _largest(dims: Sequence[Dim]) -> tuple[Dim, ...]:
    """The sizes that none of the others is sure to exceed."""
    distinct = list(dict.fromkeys(dims))
    return tuple(d for d in distinct if not any(d != e and (e - d).is_nonnegative for e in distinct))


def _divided(dim: Dim, by: Dim) -> Dim:
    """The quotient of two products of sizes, or the dividend where it is none."""
    if len(dim.terms) != 1 or len(by.terms) != 1:
        return dim
    (monomial, count), (divisor, divisor_count) = dim.terms[0], by.terms[0]
    powers = dict(monomial)
    for name, exponent in divisor:
        powers[name] = powers.get(name, 0) - exponent
    if min(powers.values(), default=0) < 0 or count % divisor_count:
        return dim
    sizes = [Dim.of(name) for name, e in sorted(powers.items()) for _ in range(e)]
    return _product([Dim.of(count // divisor_count), *sizes])
