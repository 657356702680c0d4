"""The operations of a product: its factors sliced and split, contracted, scaled, and put where they lie.

In: a ProductPlan (product.py) and the operation of each factor. Out: the operation of the product, or of that
part of it that is not 0, with the places where that lies. Preferred in this order: entrywise operations with
broadcasting, matmul, outer; einsum for what is left (contract.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chainrule.codegen.contract import Contraction, Part
from chainrule.codegen.flatten import Product
from chainrule.codegen.order import Tree
from chainrule.codegen.product import ALL, Leaf, ProductPlan
from chainrule.codegen.program import Builder, Op, Place
from chainrule.expr.dims import Coefficient
from chainrule.expr.nodes import Apply, Expr, Shape
from chainrule.rules.table import Row


@dataclass(frozen=True, slots=True)
class Lowered:
    """The operation of a product: axes as in plan.Held, or places with labels."""

    op: Op
    axes: tuple[int, ...]
    labels: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()
    sign: int = 1


Value = Callable[[Expr], tuple[Op, tuple[int, ...]]]


def lower_product(
    build: Builder,
    product: Product,
    plan: ProductPlan,
    value: Value,
    solvable: set[Expr],
    shape: Shape,
    formula: bool,
) -> Lowered:
    """The operations of one product."""
    return _Lowering(build, product, plan, value, solvable, formula).run(shape)


class _Lowering:
    def __init__(
        self,
        build: Builder,
        product: Product,
        plan: ProductPlan,
        value: Value,
        solvable: set[Expr],
        formula: bool,
    ) -> None:
        self.build, self.product, self.plan, self.formula = build, product, plan, formula
        self.parts = {k: self._part(leaf, value, solvable) for k, leaf in enumerate(plan.leaves)}
        self.contraction = Contraction(build, self.parts, plan.sizes, formula)

    def run(self, shape: Shape) -> Lowered:
        build, plan = self.build, self.plan
        coefficient = self.product.coefficient
        if coefficient.is_zero:
            return Lowered(build.number(0), ())
        sign = -1 if coefficient.rational < 0 else 1
        if sign < 0:
            coefficient = -coefficient
        flat = [label for axis in plan.output for label in axis.labels]
        carried = {label for part in self.parts.values() for label in part.labels}
        for label in sorted(plan.live - carried - set(flat)):
            coefficient = coefficient * Coefficient.of(plan.sizes[label])
        kron = self._kron()
        if kron is not None:
            op = _times(build, kron, *self._numbers(coefficient))
            return Lowered(build.negate(op) if sign < 0 else op, tuple(range(len(shape))))
        every = list(dict.fromkeys(flat))
        wanted = tuple(label for label in every if label in carried)
        op = self._scaled(coefficient, wanted)
        return self._placed(op, wanted, shape, sign)

    # ---------------------------------------------------------- leaves

    def _part(self, leaf: Leaf, value: Value, solvable: set[Expr]) -> Part:
        build, factor = self.build, leaf.factor
        source = factor.source
        if leaf.dense:
            assert isinstance(source, Apply) and isinstance(source.function, Row)
            op, present = (
                build.dense_constant(source.function, source.parameters, source.shape),
                tuple(range(source.rank)),
            )
        else:
            op, present = value(source)
        if factor.adjugate:
            op, present = build.adjugate(build.fill(op, present, source.shape)), tuple(range(source.rank))
        if factor.exponent != 1:
            op = build.power(op, factor.exponent)
        axes = [leaf.axes[k] for k in present]
        if any(axis.index != ALL for axis in axes):
            op = build.slice(op, [axis.index for axis in axes])
        if any(len(axis.labels) > 1 for axis in axes):
            sizes = self.plan.sizes
            groups = [
                ((dim,), tuple(sizes[label] for label in axis.labels))
                if len(axis.labels) > 1
                else ((dim,), (dim,))
                for dim, axis in zip(op.shape, (axis for axis in axes if axis.labels), strict=True)
            ]
            op = build.reshape(op, groups)
        labels = tuple(label for axis in axes for label in axis.labels)
        if len(set(labels)) < len(labels):
            unique = tuple(dict.fromkeys(labels))
            op = build.diagonal(op, labels, unique)
            labels = unique
        return Part(op, labels, factor.inverted, source in solvable)

    # ---------------------------------------------------------- numbers in a product

    def _scaled(self, coefficient: Coefficient, wanted: tuple[int, ...]) -> Op:
        """The contraction times all factors without axes, applied where the array is smallest."""
        build, tree = self.build, self.plan.tree
        above, below = self._numbers(coefficient)
        if tree is None:
            above = above or build.number(1)
            return build.binary("div", above, below) if below else above
        if above is None and below is None:
            return self.contraction.value(tree, wanted)
        smallest = self._smallest_leaf(tree, wanted)
        if smallest is None:
            return _times(build, self.contraction.value(tree, wanted), above, below)
        part = self.parts[smallest]
        self.parts[smallest] = replace(part, op=_times(build, part.op, above, below))
        return self.contraction.value(tree, wanted)

    def _numbers(self, coefficient: Coefficient) -> tuple[Op | None, Op | None]:
        """Numerator and denominator of all that is the same in every entry."""
        build = self.build
        above, below = build.coefficient(coefficient)
        for k in self.plan.numbers:
            part = self.parts[k]
            if part.inverted:
                below = build.binary("mul", below, part.op) if below else part.op
            else:
                above = build.binary("mul", above, part.op) if above else part.op
        return above, below

    def _kron(self) -> Op | None:
        """The Kronecker product of two leaves, if that is what the product is."""
        tree, axes = self.plan.tree, self.plan.output
        if not isinstance(tree, tuple) or not isinstance(tree[0], int) or not isinstance(tree[1], int):
            return None
        if not 1 <= len(axes) <= 2 or any(len(axis.labels) != 2 for axis in axes):
            return None
        pairs = [tuple(axis.labels[side] for axis in axes) for side in (0, 1)]
        if len({*pairs[0], *pairs[1]}) != 2 * len(axes):
            return None
        leaves = (self.parts[tree[0]], self.parts[tree[1]])
        found: list[Op] = []
        for labels in pairs:
            part = next((p for p in leaves if set(p.labels) == set(labels)), None)
            if part is None or part.inverted or part.solves:
                return None
            found.append(self.build.permute(part.op, [part.labels.index(label) for label in labels]))
        return self.build.kron(*found)

    def _smallest_leaf(self, tree: Tree, wanted: tuple[int, ...]) -> int | None:
        """The leaf to scale, if one is smaller than the result: it has fewer, and only kept, axes."""
        best: int | None = None
        pending = [tree]
        while pending:
            node = pending.pop()
            if not isinstance(node, int):
                pending.extend(reversed(node))
                continue
            part = self.parts[node]
            usable = not part.inverted and not part.solves and set(part.labels) < set(wanted)
            if usable and (best is None or len(part.labels) < len(self.parts[best].labels)):
                best = node
        return best

    # ---------------------------------------------------------- where the result lies

    def _placed(self, op: Op, labels: tuple[int, ...], shape: Shape, sign: int) -> Lowered:
        build, output, sizes = self.build, self.plan.output, self.plan.sizes
        expanded: list[Place] = []
        for axis in output:
            if len(axis.labels) > 1:
                expanded += [Place(label, ALL) for label in axis.labels]
            else:
                expanded.append(Place(axis.labels[0] if axis.labels else None, axis.index))
        split = any(len(axis.labels) > 1 for axis in output)
        flat = [place.label for place in expanded]
        simple = len(set(flat)) == len(flat) and all(place.index == ALL for place in expanded)
        if simple and not split:
            axes = tuple(flat.index(label) for label in labels)
            return Lowered(build.negate(op) if sign < 0 else op, axes)
        if not split:
            return Lowered(op, tuple(range(len(shape))), labels, tuple(expanded), sign)
        groups = [
            (tuple(sizes[label] for label in axis.labels) if len(axis.labels) > 1 else (dim,), (dim,))
            for axis, dim in zip(output, shape, strict=True)
        ]
        full = tuple(dim for before, _ in groups for dim in before)
        if simple:
            op = build.fill(op, tuple(flat.index(label) for label in labels), full)
        else:
            op = build.scatter(op, labels, expanded, full)
        op = build.reshape(op, groups)
        return Lowered(build.negate(op) if sign < 0 else op, tuple(range(len(shape))))


def _times(build: Builder, op: Op, above: Op | None, below: Op | None) -> Op:
    """Above / below · op, the numbers combined first."""
    if above is None:
        return build.binary("div", op, below) if below is not None else op
    return build.binary("mul", build.binary("div", above, below) if below is not None else above, op)
