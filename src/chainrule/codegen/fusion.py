"""Loops that read each array once: which operations of a program one compiled loop can do together.

In: a program. Out: the same with operations `fused`, each of which stands for a Loop over some axes, and
`item`, which takes a result of one. A loop holds what is done entry by entry along its axes, products X w of
the rows of a matrix, and what is summed on the way: sums, v·u, and v X, in which rows of X are added up. So
X′ g(X w) becomes one pass over X. What nothing gains from stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from chainrule.codegen.plan import Program
from chainrule.codegen.program import ENTRYWISE, Builder, Op
from chainrule.codegen.rewrite import again, live
from chainrule.expr.nodes import Shape
from chainrule.rules.table import Elementwise

INLINE = ("number", "named")  # written where they are used, and not handed over
MOVES = ("slice", "reshape", "permute", "expand", "fill", "take")  # these keep the entries of their array
LEAST = 2  # operations that a loop must do together to be worth it
AXES = 3

Scalar = Callable[[Op], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """What is done for each index of `dims`.

    members  operations on entries, in order; a product of a matrix and a vector is the dot product of a row
    reads    what lies outside: the arguments of the operation `fused`, in order
    results  members that are kept as arrays, and reductions of members
    names    those that a person gave to members
    """

    dims: Shape
    members: tuple[Op, ...]
    reads: tuple[Op, ...]
    results: tuple[Op, ...]
    names: Mapping[Op, str] = field(default_factory=dict)


def fused(
    program: Program, scalar: Scalar, cheap: Scalar | None = None, integers: frozenset[str] = frozenset()
) -> Program:
    """The program with loops; `scalar` says which functions a loop can call for one entry.

    `cheap` are those that it may call where it reads no rows of a matrix, which cost more than any function.
    Nothing is done in a loop with the variables named `integers`, whose arrays have no precision to keep.
    """
    ops = live(program)
    shapes = dict.fromkeys(op.shape for op in ops if _is_member(op, op.shape, scalar))
    of_rows = {op.shape for op in ops if is_row_product(op)}
    for shape in shapes:
        called = scalar if cheap is None or shape in of_rows else cheap
        program = _with_loops(program, shape, called, integers)
    return program


def is_row_product(op: Op) -> bool:
    """Whether it is X @ w for a matrix X and a vector w."""
    return op.kind == "matmul" and op.args[0].rank == 2 and op.args[1].rank == 1


def _is_member(op: Op, dims: Shape, scalar: Scalar) -> bool:
    if op.shape != dims or not 0 < len(dims) <= AXES:
        return False
    if is_row_product(op):
        return True
    called = op.kind == "call" and isinstance(op.data[0], Elementwise) and scalar(op)
    return (op.kind in ENTRYWISE or called) and all(_fits(a.shape, dims) for a in op.args)


def _fits(shape: Shape, dims: Shape) -> bool:
    """Whether an array is read at the index of a loop over `dims`, as NumPy broadcasts."""
    if len(shape) > len(dims):
        return False
    pairs = zip(shape, dims[len(dims) - len(shape) :], strict=True)
    return all(a == b or a.constant == 1 for a, b in pairs)


def summands(op: Op) -> tuple[Op, ...]:
    """What a reduction reads entry by entry; nothing if it is none that a loop can do."""
    if op.kind == "sum":
        return op.args
    if op.kind == "matmul" and op.args[0].rank == 1:
        return op.args if op.args[1].rank == 1 else op.args[:1] if op.args[1].rank == 2 else ()
    return ()


@dataclass(slots=True)
class _Region:
    members: list[Op] = field(default_factory=list)
    sums: list[Op] = field(default_factory=list)


def _regions(ops: list[Op], dims: Shape, scalar: Scalar) -> list[_Region]:
    """Members and reductions by how many whole results must be there before them."""
    depth: dict[Op, int] = {}
    members: set[Op] = set()
    sums: set[Op] = set()
    regions: dict[int, _Region] = {}
    for op in ops:
        whole = [depth[a] + (a in members or a in sums) for a in op.args]
        if _is_member(op, dims, scalar):
            if not is_row_product(op):
                whole = [depth[a] + (a in sums) for a in op.args]
            depth[op] = max(whole, default=0)
            members.add(op)
            regions.setdefault(depth[op], _Region()).members.append(op)
            continue
        parts = summands(op)
        inner = [depth[a] + (a in sums or (a in members and a not in parts)) for a in op.args]
        level = max(inner, default=0)
        along = len(dims) == 1 or op.kind == "sum"
        if along and any(a in members and depth[a] == level for a in parts):
            depth[op] = level
            sums.add(op)
            regions.setdefault(level, _Region()).sums.append(op)
        else:
            depth[op] = max(whole, default=0)
    return list(regions.values())


def _with_loops(program: Program, dims: Shape, scalar: Scalar, integers: frozenset[str]) -> Program:
    ops = live(program)
    readers: dict[Op, list[Op]] = {}
    for op in ops:
        for a in op.args:
            readers.setdefault(a, []).append(op)
    outputs = set(program.outputs.values())
    loop_of: dict[Op, Loop] = {}
    inside: set[Op] = set()
    for region in _regions(ops, dims, scalar):
        own = set(region.members)
        done = own | set(region.sums)
        kept = [m for m in region.members if m in outputs or any(r not in done for r in readers.get(m, ()))]
        every = [a for op in (*region.members, *region.sums) for a in op.args]
        reads = dict.fromkeys(a for a in every if a not in own and a.kind not in INLINE)
        work = [m for m in region.members if m.kind not in ("cast", "neg")]
        if len(work) < LEAST - bool(region.sums) or not _bounded(reads, dims):
            continue
        if any(_is_integer(a, integers) for a in reads):
            continue
        loop = Loop(dims, tuple(region.members), tuple(reads), (*kept, *region.sums))
        loop_of.update(dict.fromkeys(loop.results, loop))
        inside |= own - set(kept)
    return replaced(program, ops, loop_of, inside, "fused") if loop_of else program


def _is_integer(op: Op, integers: frozenset[str]) -> bool:
    """Whether its entries may be those of a variable of whole numbers."""
    while op.kind in MOVES:
        op = op.args[0]
    return op.kind == "input" and op.data[0] in integers


def _bounded(reads: dict[Op, None], dims: Shape) -> bool:
    """Whether arrays that are read show how long each axis is."""
    return all(shown(tuple(reads), dims, k) is not None for k in range(len(dims)))


def shown(reads: tuple[Op, ...], dims: Shape, axis: int) -> tuple[int, int] | None:
    """An array among those read, and its axis, along which a loop over an axis runs."""
    for k, op in enumerate(reads):
        own = axis - len(dims) + op.rank
        if _fits(op.shape, dims) and own >= 0 and op.shape[own] == dims[axis]:
            return k, own
        if len(dims) == 1 and op.rank == 2 and op.shape[0] == dims[0]:
            return k, 0
    return None


def replaced(
    program: Program, ops: Sequence[Op], loop_of: Mapping[Op, Loop], inside: AbstractSet[Op], kind: str
) -> Program:
    """The program with an operation of that kind for each loop, which is given by each of its results.

    `inside` are members that nothing outside their loop reads.
    """
    build = Builder()
    made: dict[Op, Op] = {}
    for wanted in ops:
        stack = [] if wanted in inside else [wanted]
        while stack:
            op = stack[-1]
            loop = loop_of.get(op)
            missing = [a for a in (loop.reads if loop else op.args) if a not in made]
            if op in made or not missing:
                stack.pop()
                if op not in made:
                    _make(build, op, loop, made, kind)
            else:
                stack.extend(reversed(missing))
    outputs = {key: made[op] for key, op in program.outputs.items()}
    names = {made[op]: name for op, name in program.names.items() if op in made}
    return Program(build.ops, outputs, names)


def _make(build: Builder, op: Op, loop: Loop | None, made: dict[Op, Op], kind: str) -> None:
    if loop is None:
        made[op] = again(build, op, [made[a] for a in op.args])
        return
    several = len(loop.results) > 1
    args = [made[a] for a in loop.reads]
    pass_ = build.make(kind, args, (loop,), () if several else op.shape)
    for k, result in enumerate(loop.results):
        # Values that are true or false are kept as such.
        made[result] = build.make("item", (pass_,), (k,), result.shape, result.boolean) if several else pass_
