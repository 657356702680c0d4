"""A straight-line program of array operations: each operation once, in an order in which it can run.

In: calls of the builder. Out: Op values, equal ones shared. An Op knows the shape of the array that it
makes; its `kind` is one of the methods of Builder. Printers (numpy.py, formula.py) turn the operations into
text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Shape
from chainrule.rules.table import Row
from chainrule.rules.views import RESHAPE, SCATTER, TAKE, View


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One array operation; `boolean` where NumPy makes an array of bool."""

    kind: str
    args: tuple[Op, ...]
    data: tuple[Any, ...]
    shape: Shape
    boolean: bool = False

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.data} {self.shape}>"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one axis of a value lies in a larger array; `label` names the axis of the value.

    index   ("all",), ("slice", start, step, count) or ("at", position); an axis that is "at" a position has
    no label
    """

    label: int | None
    index: tuple[Any, ...]


# What is done entry by entry, beside calls of elementwise functions.
ENTRYWISE = frozenset({"add", "sub", "mul", "div", "pow", "neg", "cast", "sqrt"})


class Builder:
    """Makes operations, each once; what is trivial to simplify (1·x, a transpose of a transpose) is."""

    def __init__(self, sized: bool = False, larger: Collection[str] = ()) -> None:
        """`sized`: what depends on sizes was chosen for those that are given.

        `larger`: names of sizes that were taken for larger than others.
        """
        self.sized, self.larger = sized, frozenset(larger)
        self.ops: list[Op] = []
        self._made: dict[tuple[Any, ...], Op] = {}
        self._kept: list[Op] = []  # those of another program that have no key here yet

    def make(
        self,
        kind: str,
        args: Sequence[Op] = (),
        data: tuple[Any, ...] = (),
        shape: Shape = (),
        boolean: bool = False,
    ) -> Op:
        """The operation, new or as made before."""
        for kept in self._kept:
            self._made[kept.kind, kept.data, tuple(map(id, kept.args))] = kept
        self._kept.clear()
        key = (kind, data, tuple(map(id, args)))
        op = self._made.get(key)
        if op is None:
            op = self._made[key] = Op(kind, tuple(args), data, tuple(shape), boolean)
            self.ops.append(op)
        return op

    def keep(self, op: Op) -> Op:
        """An operation of another program whose arguments are in this one; as made before if it was."""
        if self._made:
            return self.make(op.kind, op.args, op.data, op.shape, op.boolean)
        # Most passes change little or nothing: up to the first change there is nothing to compare with.
        self._kept.append(op)
        self.ops.append(op)
        return op

    # ---------------------------------------------------------- numbers

    def input(self, name: str, shape: Shape) -> Op:
        return self.make("input", (), (name,), shape)

    def number(self, value: Fraction | int) -> Op:
        return self.make("number", (), (Fraction(value),))

    def size(self, dim: Dim) -> Op:
        constant = dim.constant
        return self.number(constant) if constant is not None else self.make("size", (), (dim,))

    def coefficient(self, value: Coefficient) -> tuple[Op | None, Op | None]:
        """A positive coefficient as numerator and denominator, None for 1."""
        above = self.number(value.rational.numerator) if value.rational.numerator != 1 else None
        below = self.number(value.rational.denominator) if value.rational.denominator != 1 else None
        if above is not None and below is not None and is_decimal(value.rational):
            above, below = self.number(value.rational), None
        for dim, exponent in value.powers:
            factor = self.size(dim)
            if abs(exponent) > 1:
                factor = self.power(factor, Fraction(abs(exponent)))
            if exponent > 0:
                above = self.binary("mul", above, factor) if above else factor
            else:
                below = self.binary("mul", below, factor) if below else factor
        return above, below

    # ---------------------------------------------------------- arithmetic on aligned arrays

    def binary(self, kind: str, a: Op, b: Op) -> Op:
        """add, sub, mul or div, of arrays that NumPy broadcasts."""
        if kind == "mul" and _is_number(a, 1):
            return b
        if kind in ("mul", "div") and _is_number(b, 1):
            return a
        if kind == "mul" and a.boolean:
            # NumPy has no minus for bool, so that a product must not begin with one.
            a, b = (self.cast(a), b) if b.boolean else (b, a)
        if kind != "mul":
            a, b = self.cast(a), self.cast(b)
        return self.make(kind, (a, b), (), _broadcast(a.shape, b.shape))

    def negate(self, a: Op) -> Op:
        if a.kind == "neg":
            return a.args[0]
        a = self.cast(a)
        return self.make("neg", (a,), (), a.shape)

    def cast(self, a: Op) -> Op:
        """0.0 and 1.0 where `a` is bool."""
        return self.make("cast", (a,), (), a.shape) if a.boolean else a

    def power(self, a: Op, exponent: Fraction) -> Op:
        if exponent == 1:
            return a
        a = self.cast(a)
        if exponent == Fraction(1, 2):
            return self.make("sqrt", (a,), (), a.shape)
        return self.make("pow", (a, self.number(exponent)), (), a.shape)

    def call(self, row: Row, args: Sequence[Op], parameters: tuple[Any, ...], shape: Shape) -> Op:
        return self.make("call", args, (row, *parameters), shape, boolean=getattr(row, "indicator", False))

    def view(self, row: View, args: Sequence[Op], parameters: tuple[Any, ...], shape: Shape) -> Op:
        """A view: reshape, E[ids], windows and their transposes."""
        if row is RESHAPE:
            return self.reshape(args[0], [(args[0].shape, shape)])
        first = args[0] if row is not SCATTER else self.cast(args[0])
        return self.make(row.name, (first, *args[1:]), parameters, shape, row is TAKE and first.boolean)

    # ---------------------------------------------------------- axes

    def permute(self, a: Op, order: Sequence[int]) -> Op:
        order = tuple(order)
        if a.kind == "permute":
            a, order = a.args[0], tuple(a.data[0][k] for k in order)
        if order == tuple(range(a.rank)):
            return a
        return self.make("permute", (a,), (order,), tuple(a.shape[k] for k in order), a.boolean)

    def expand(self, a: Op, axes: Sequence[int], among: Sequence[int]) -> Op:
        """`a`, whose axes are `axes`, with axes of length 1 put in to broadcast against axes `among`.

        Axes in front need no putting in.
        """
        first = among.index(axes[0]) if axes else len(among)
        pattern = tuple(axis in axes for axis in among[first:])
        if all(pattern):
            return a
        shape = iter(a.shape)
        one = Dim.of(1)
        return self.make(
            "expand", (a,), (pattern,), tuple(next(shape) if keep else one for keep in pattern), a.boolean
        )

    def diagonal(self, a: Op, labels: Sequence[int], kept: Sequence[int]) -> Op:
        """The entries of `a` where axes with equal labels have equal indices; labels not kept are summed."""
        dims = dict(zip(labels, a.shape, strict=True))
        a = self.cast(a)
        data = (_canonical(labels, kept), len(labels))
        return self.make("einsum", (a,), data, tuple(dims[k] for k in kept))

    def sum(self, a: Op, axes: Sequence[int]) -> Op:
        a = self.cast(a)
        kept = tuple(d for k, d in enumerate(a.shape) if k not in axes)
        if axes and a.kind == "einsum" and a.data == (((0, 0), (0,)), 2):
            return self.make("trace", a.args)
        return self.make("sum", (a,), (tuple(axes),), kept) if axes else a

    def einsum(self, args: Sequence[Op], labels: Sequence[Sequence[int]], kept: Sequence[int]) -> Op:
        """A contraction that nothing simpler expresses."""
        args = [self.cast(a) for a in args]
        dims = {
            label: d
            for a, axes in zip(args, labels, strict=True)
            for label, d in zip(axes, a.shape, strict=True)
        }
        flat = [label for axes in labels for label in axes]
        data = (_canonical(flat, kept), *map(len, labels))
        return self.make("einsum", args, data, tuple(dims[k] for k in kept))

    def matmul(self, a: Op, b: Op) -> Op:
        """NumPy's matmul, with at least one axis each."""
        a, b = self.cast(a), self.cast(b)
        left = a.shape[:-1]
        right = b.shape[:-2] + b.shape[-1:] if b.rank > 1 else ()
        if a.rank > 2 and b.rank > 2:
            right = b.shape[-1:]
        return self.make("matmul", (a, b), (), left + right)

    def tensordot(self, a: Op, b: Op, count: int) -> Op:
        """Sums the last `count` axes of a with the first of b."""
        a, b = self.cast(a), self.cast(b)
        return self.make("tensordot", (a, b), (count,), a.shape[: a.rank - count] + b.shape[count:])

    def outer(self, a: Op, b: Op) -> Op:
        a, b = self.cast(a), self.cast(b)
        return self.make("outer", (a, b), (), a.shape + b.shape)

    def slice(self, a: Op, index: Sequence[tuple[Any, ...]]) -> Op:
        """One ("all",), ("slice", start, step, count) or ("at", position) for each axis."""
        shape: list[Dim] = []
        for dim, part in zip(a.shape, index, strict=True):
            if part[0] == "all":
                shape.append(dim)
            elif part[0] == "slice":
                shape.append(part[3])
        return self.make("slice", (a,), tuple(index), tuple(shape), a.boolean)

    def reshape(self, a: Op, groups: Sequence[tuple[Shape, Shape]]) -> Op:
        """Runs of axes become other axes with as many entries, in row-major order."""
        shape = tuple(dim for _, after in groups for dim in after)
        if a.shape == shape:
            return a
        return self.make("reshape", (a,), tuple(groups), shape, a.boolean)

    def kron(self, a: Op, b: Op) -> Op:
        """The Kronecker product of two vectors or two matrices."""
        a, b = self.cast(a), self.cast(b)
        return self.make("kron", (a, b), (), tuple(p * q for p, q in zip(a.shape, b.shape, strict=True)))

    # ---------------------------------------------------------- making larger arrays

    def fill(self, a: Op, axes: Sequence[int], shape: Shape) -> Op:
        """`a`, whose axes are `axes` of the result, repeated along the other axes of `shape`."""
        if len(axes) == len(shape):
            return self.cast(a)
        a = self.cast(a)
        return self.make("fill", (a,), (tuple(axes), tuple(shape)), shape)

    def scatter(self, a: Op, labels: Sequence[int], places: Sequence[Place], shape: Shape) -> Op:
        """Zeros of `shape` with `a` (axes `labels`, repeated along others) written where `places` say."""
        a = self.cast(a)
        return self.make("scatter", (a,), (tuple(labels), tuple(places), tuple(shape)), shape)

    def add_at(self, base: Op, a: Op, labels: Sequence[int], places: Sequence[Place], sign: int) -> Op:
        """`base` plus or minus what `scatter` would make."""
        a = self.cast(a)
        if is_whole(base):
            # NumPy would keep integers in place, and refuse to add others to them.
            base = self.make("cast", (base,), (), base.shape)
        return self.make("add_at", (base, a), (tuple(labels), tuple(places), base.shape, sign), base.shape)

    def solve(self, a: Op, b: Op) -> Op:
        """inv(a) @ b for a vector or a matrix b."""
        sized = self.sized or not self.larger.isdisjoint(a.shape[0].names)
        return self.make("solve", (a, self.cast(b)), (sized,), b.shape)

    def adjugate(self, a: Op) -> Op:
        """det(a) inv(a), also where a is singular."""
        return self.make("adjugate", (a,), (), a.shape)

    def dense_constant(self, row: Row, parameters: tuple[Any, ...], shape: Shape) -> Op:
        return self.make("constant", (), (row, *parameters), shape)

    def stack(self, args: Sequence[Op], dim: Dim) -> Op:
        args = [self.cast(a) for a in args]
        return self.make("stack", args, (), (dim, *args[0].shape))


def _is_number(a: Op, value: int) -> bool:
    return a.kind == "number" and a.data[0] == value


def is_whole(a: Op) -> bool:
    """Whether NumPy makes an array of integers of it: masks times whole numbers."""
    if a.kind == "number":
        return bool(a.data[0].denominator == 1)
    if a.kind in ("mul", "neg", "permute", "expand", "slice", "reshape", "fill", "scatter", "diag", "stack"):
        return all(map(is_whole, a.args))
    return a.boolean


def is_decimal(value: Fraction) -> bool:
    """Whether a fraction reads better as a decimal: 0.25, and what was typed with many digits."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1 and (value.denominator <= 1000 or is_long(value))


def is_long(value: Fraction) -> bool:
    """Whether a fraction has so many digits that only a decimal reads well."""
    return value.denominator > 10**9


def _broadcast(a: Shape, b: Shape) -> Shape:
    rank = max(len(a), len(b))
    one = Dim.of(1)
    left, right = (one,) * (rank - len(a)) + a, (one,) * (rank - len(b)) + b
    return tuple(q if p.constant == 1 else p for p, q in zip(left, right, strict=True))


def _canonical(labels: Sequence[int], kept: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    number = {label: k for k, label in enumerate(dict.fromkeys(labels))}
    return tuple(number[k] for k in labels), tuple(number[k] for k in kept)


def dims_in(data: object) -> Iterable[Dim]:
    """The sizes in the data of an operation."""
    if isinstance(data, Dim):
        yield data
    elif isinstance(data, Place):
        yield from dims_in(data.index)
    elif isinstance(data, tuple):
        for part in data:
            yield from dims_in(part)
