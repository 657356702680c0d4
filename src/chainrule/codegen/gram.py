"""Products of matrices that BLAS does in half the time: symmetric ones, and those with rows that are 0.

In: a program, after lowering. Out: the same with Xᵀ diag(d) X as ZᵀZ, Z = √d X, where d ≥ 0 (NumPy calls syrk
for a matrix times its own transpose), rows of each sign by themselves where the sign is not known, and with
A diag(mask) B as a product of the columns and rows where the mask holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from chainrule.codegen.facts import Facts
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.rewrite import rewritten
from chainrule.expr.dims import Dim

COLUMN = ((True, False),)
SWAP = (1, 0)
ROOT = Fraction(1, 2)


def with_cheap_products(program: Program, facts: Facts) -> Program:
    """The program with symmetric and masked matrix products in their cheaper forms."""

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        if op.kind != "matmul" or any(a.rank != 2 for a in args):
            return None
        product = _Product(build, facts, *args)
        return product.symmetric() or product.masked()

    return rewritten(program, change)


class _Product:
    """x @ y as a core on each side and weights along the axis that is summed."""

    def __init__(self, build: Builder, facts: Facts, x: Op, y: Op) -> None:
        self.build, self.facts = build, facts
        self.weights: list[Op] = []
        self.left = self._core(x, 1)
        self.right = self._core(y, 0)

    def _core(self, op: Op, axis: int) -> Op:
        """The matrix without factors that scale it along one axis; these go to `weights`."""
        build = self.build
        if op.kind == "permute":
            return build.permute(self._core(op.args[0], 1 - axis), SWAP)
        if op.kind == "cast":
            return self._core(op.args[0], axis)
        if op.kind != "mul":
            return op
        for k, factor in enumerate(op.args):
            if factor.rank == 1 and axis == 1 and op.rank == 2:
                weight = factor
            elif factor.kind == "expand" and factor.data == COLUMN and axis == 0:
                weight = factor.args[0]
            else:
                continue
            if op.args[1 - k].rank == 2:
                self.weights += _factors(weight)
                return self._core(op.args[1 - k], axis)
        return op

    # ---------------------------------------------------------- Xᵀ diag(d) X

    def symmetric(self) -> Op | None:
        """The product as ZᵀZ, if it is symmetric by its form and has weights."""
        build, facts = self.build, self.facts
        if not self.weights or not facts.mirror(self.left, self.right):
            return None
        masks, others = self._masks()
        core = self.right
        if masks is not None:
            index = self._active(masks)
            core = self._taken(core, 0, index)
            others = [self._taken(w, 0, index) for w in others]
        twice, rest = _in_pairs(others)
        weight = self._multiplied(rest)
        sign = 1
        if weight is not None:
            if facts.is_nonpositive(weight):
                sign, weight = -1, build.negate(weight)
            elif not facts.is_nonnegative(weight):
                core = self._scaled(core, self._multiplied(twice))
                return build.make("weighted_gram", (core, weight), (), (core.shape[1],) * 2)
            twice.append(build.power(weight, ROOT))
        Z = self._scaled(core, self._multiplied(twice))
        turned = build.permute(Z, SWAP)
        op = build.matmul(turned, Z)
        return op if sign > 0 else build.negate(op)

    # ---------------------------------------------------------- A diag(mask) B

    def masked(self) -> Op | None:
        """The product of the rows and columns that the weights do not make 0."""
        masks, others = self._masks()
        if masks is None:
            return None
        index = self._active(masks)
        left, right = self._taken(self.left, 1, index), self._taken(self.right, 0, index)
        weight = self._multiplied([self._taken(w, 0, index) for w in others])
        return self.build.matmul(left, self._scaled(right, weight))

    def _masks(self) -> tuple[Op | None, list[Op]]:
        masks = [w for w in dict.fromkeys(self.weights) if w.boolean]
        return self._multiplied(masks), [w for w in self.weights if not w.boolean]

    def _active(self, mask: Op) -> Op:
        count = Dim.of(f"#{len(self.build.ops)}")
        return self.build.make("active", (mask,), (), (count,))

    def _taken(self, op: Op, axis: int, index: Op) -> Op:
        """Rows or columns of a matrix, entries of a vector."""
        if op.kind == "permute":
            return self.build.permute(self._taken(op.args[0], 1 - axis, index), SWAP)
        shape = tuple(index.shape[0] if k == axis else d for k, d in enumerate(op.shape))
        return self.build.make("taken", (op, index), (axis,), shape)

    # ---------------------------------------------------------- parts

    def _multiplied(self, weights: Sequence[Op]) -> Op | None:
        total: Op | None = None
        for weight in weights:
            total = weight if total is None else self.build.binary("mul", total, weight)
        return total

    def _scaled(self, matrix: Op, weight: Op | None) -> Op:
        """Rows times weights, in the order in which the matrix lies in memory."""
        build = self.build
        if weight is None:
            return matrix
        if matrix.kind == "permute":
            return build.permute(build.binary("mul", matrix.args[0], weight), SWAP)
        return build.binary("mul", matrix, build.expand(weight, (0,), (0, 1)))


def _factors(op: Op) -> list[Op]:
    """The vectors that a product of vectors is made of; numbers stay with the first."""
    if op.kind == "cast":
        return _factors(op.args[0])
    if op.kind == "mul" and all(a.rank == 1 for a in op.args):
        return [factor for a in op.args for factor in _factors(a)]
    return [op]


def _in_pairs(weights: Sequence[Op]) -> tuple[list[Op], list[Op]]:
    """What occurs twice, once each; and the rest."""
    twice: list[Op] = []
    rest: list[Op] = []
    for weight, count in Counter(weights).items():
        twice += [weight] * (count // 2)
        rest += [weight] * (count % 2)
    return twice, rest
