"""Results that are large and made of small parts are written once.

In: a program, after lowering. Out: the same where a number, a sign or a division by a number is applied to
the vectors of outer products and not to their result; a sum of outer products, repeated columns and rows is
one matrix product with as many inner entries as it has terms; an outer product is added to a new matrix in
place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.rewrite import rewritten, uses
from chainrule.codegen.signs import entries
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Shape

COLUMN = ((True, False),)
SWAP = (1, 0)
# Operations that make a new array, which may be written into if nobody else reads it.
NEW = frozenset({"add", "sub", "mul", "div", "matmul", "outer", "add_at"})
MOST = 4  # terms of a sum that becomes one product
Scale = Callable[[Op], Op]
Pair = tuple[Op | None, Op | None]


def numbers_inward(program: Program) -> Program:
    """Numbers, signs and divisions by numbers stand at the smallest array that they can scale."""
    before = uses(program)
    count: dict[Op, int] = {}
    results = set(program.outputs.values())

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        for old, new in zip(op.args, args, strict=True):
            count[new] = before[old]
        if op.rank < 2:
            return None
        for k, scale in _scales(build, op, args):
            within = op.kind != "neg" and op not in results
            inside = _Inward(build, count, scale, within).absorbed(args[k])
            if inside is not None:
                return inside
        return None

    return rewritten(program, change)


def _scales(build: Builder, op: Op, args: Sequence[Op]) -> list[tuple[int, Scale]]:
    """Which argument is scaled by a number, and how, if one is."""
    if op.kind == "neg":
        return [(0, build.negate)]
    if op.kind == "div" and args[1].rank == 0:
        return [(0, lambda part: build.binary("div", part, args[1]))]
    if op.kind == "mul":
        numbers = [k for k in (0, 1) if args[k].rank == 0]
        return [(1 - k, lambda part, k=k: build.binary("mul", args[k], part)) for k in numbers]  # type: ignore[misc]
    return []


@dataclass(frozen=True, slots=True)
class _Inward:
    """Applies a scale to parts of an array that are smaller than the array.

    `within`: to a factor of a product of matrices also where that is as large as the product is.
    """

    build: Builder
    count: Mapping[Op, int]
    scale: Scale
    within: bool

    def absorbed(self, op: Op) -> Op | None:
        """The array scaled at no cost of its size; None where that cannot be."""
        if self.count.get(op, 1) > 1:
            return None
        build, args = self.build, op.args
        match op.kind:
            case "outer":
                k = 0 if args[1].kind == "input" else 1
                scaled = self.scale(args[k])
                return build.outer(scaled, args[1]) if k == 0 else build.outer(args[0], scaled)
            case "expand":
                return build.make("expand", (self.scale(args[0]),), op.data, op.shape)
            case "matmul" if all(a.rank == 2 for a in args):
                k = 0 if entries(args[0]) <= entries(args[1]) else 1
                size, whole = entries(args[k]), entries(op)
                if size > whole or (size == whole and not self.within):
                    return None
                factor = self._turned(args[k])
                return build.matmul(factor, args[1]) if k == 0 else build.matmul(args[0], factor)
            case "neg":
                inside = self.absorbed(args[0])
                return None if inside is None else build.negate(inside)
            case "mul":
                for k, part in enumerate(args):
                    scaled_part = self._small(part, op.rank)
                    if scaled_part is not None:
                        pair = (scaled_part, args[1]) if k == 0 else (args[0], scaled_part)
                        return build.binary("mul", *pair)
                return None
            case "add" | "sub":
                parts = [self._small(part, op.rank) or self.absorbed(part) for part in args]
                first, second = parts
                return None if first is None or second is None else build.binary(op.kind, first, second)
            case "add_at":
                base = self.absorbed(args[0])
                labels, places, _, sign = op.data
                return None if base is None else build.add_at(base, self.scale(args[1]), labels, places, sign)
            case _:
                return None

    def _turned(self, op: Op) -> Op:
        """A matrix scaled; one that is transposed as it lies in memory."""
        turned = op.kind == "permute" and op.data[0] == SWAP
        return self.build.permute(self.scale(op.args[0]), SWAP) if turned else self.scale(op)

    def _small(self, op: Op, rank: int) -> Op | None:
        """A part that has fewer entries than the whole, scaled."""
        if op.kind == "expand" and op.args[0].rank < rank:
            return self.build.make("expand", (self.scale(op.args[0]),), op.data, op.shape)
        return self.scale(op) if op.rank < rank else None


# ---------------------------------------------------------------- sums


def low_rank(program: Program) -> Program:
    """Sums of outer products in one product, or added to a matrix in place."""
    count = uses(program)
    made: dict[Op, Op] = {}
    inner: set[Op] = set()
    for op in program.ops:
        if _is_sum(op):
            inner.update(a for a in op.args if _is_sum(a) and count.get(a) == 1)

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        made.update(zip(op.args, args, strict=True))
        if not _is_sum(op) or op in inner:
            return None
        terms = _Terms(build, op.shape, [], [])
        for sign, term in _flat(op, inner):
            terms.take(sign, made[term], count[term] == 1)
        return terms.together()

    return rewritten(program, change)


def _is_sum(op: Op) -> bool:
    return op.rank == 2 and op.kind in ("add", "sub")


def _flat(op: Op, inner: set[Op]) -> list[tuple[int, Op]]:
    """The terms of a sum of sums with their signs, in order."""
    found: list[tuple[int, Op]] = []
    pending = [(1, op, True)]
    while pending:
        sign, term, opened = pending.pop()
        if opened or term in inner:
            second = -sign if term.kind == "sub" else sign
            pending += [(second, term.args[1], False), (sign, term.args[0], False)]
        else:
            found.append((sign, term))
    return found


@dataclass(slots=True)
class _Terms:
    """The terms of a sum: outer products as pairs of vectors (None for ones), all others as they are."""

    build: Builder
    shape: Shape
    pairs: list[Pair]
    others: list[tuple[int, Op, bool]]
    outers: int = 0

    def take(self, sign: int, term: Op, alone: bool) -> None:
        """Sorts a term in."""
        build = self.build
        if term.kind == "neg" and alone:
            sign, term = -sign, term.args[0]
        pair = self._pair(term) if alone or term.kind != "outer" else None
        if pair is None:
            self.others.append((sign, term, alone))
        else:
            a, b = pair
            self.outers += a is not None and b is not None
            if sign < 0:
                a, b = (build.negate(a), b) if a is not None else (a, b and build.negate(b))
            self.pairs.append((a, b))

    def _pair(self, term: Op) -> Pair | None:
        rows, columns = self.shape
        if term.kind == "outer":
            return term.args[0], term.args[1]
        if term.kind == "expand" and term.data == COLUMN and term.args[0].shape == (rows,):
            return term.args[0], None
        if term.rank == 1 and term.shape == (columns,):
            return None, term
        if term.kind == "mul":
            for a, b in (term.args, term.args[::-1]):
                if a.kind == "expand" and a.data == COLUMN and a.args[0].shape == (rows,) and b.rank == 1:
                    return a.args[0], b
        return None

    def together(self) -> Op | None:
        """The sum; None where it stays as it is."""
        build = self.build
        if not self.others:
            if not 2 <= len(self.pairs) <= MOST or not self.outers:
                return None
            left, right = (self._stacked([pair[k] for pair in self.pairs]) for k in (0, 1))
            return build.matmul(build.permute(left, SWAP), right)
        if len(self.pairs) != 1 or not self.outers:
            return None
        first = next((k for k, (sign, _, _) in enumerate(self.others) if sign > 0), None)
        if first is None:
            return None
        (_, total, alone), rest = self.others[first], [*self.others[:first], *self.others[first + 1 :]]
        if total.shape != self.shape or not (rest or (alone and total.kind in NEW)):
            return None
        for sign, term, _ in rest:
            total = build.binary("add" if sign > 0 else "sub", total, term)
        a, b = self.pairs[0]
        assert a is not None and b is not None  # the one pair is an outer product
        return build.make("add_outer", (total, a, b), (), self.shape)

    def _stacked(self, vectors: Sequence[Op | None]) -> Op:
        """Vectors below each other; ones have the precision of the vector beside them."""
        known = next(v for v in vectors if v is not None)
        ones = self.build.make("ones_like", (known,), (), known.shape)
        return self.build.stack([v if v is not None else ones for v in vectors], Dim.of(len(vectors)))
