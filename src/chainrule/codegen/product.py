"""Products become array operations: slices and reshapes for constant tensors, then pairwise contractions.

In: a Product (flatten.py). Out, in two steps: a ProductPlan, which needs only labels (what is sliced, split
or written where, and in which order to contract), and then the operations. Preferred in this order:
entrywise operations with broadcasting, matmul, outer, tensordot; einsum for what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chainrule.codegen.flatten import Factor, Product
from chainrule.codegen.order import Tree, assumed_size, contraction_tree
from chainrule.codegen.program import Builder, Op, Place
from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Apply, Expr, Shape
from chainrule.rules.constants import BASIS, MERGE, SELECT
from chainrule.rules.table import Row
from chainrule.rules.tensorial import inv

ALL = ("all",)
FEW = 8  # products of more arrays are searched for a cheap order with equal labels put together


@dataclass(slots=True)
class Axis:
    """What becomes of one axis of a factor: indexed, then split into `labels` (several after a reshape)."""

    labels: tuple[int, ...]
    index: tuple[object, ...] = ALL


@dataclass(slots=True)
class Leaf:
    """A factor with what becomes of its axes; `dense` for a constant tensor that is multiplied as it is."""

    factor: Factor
    axes: list[Axis]
    dense: bool = False

    @property
    def labels(self) -> tuple[int, ...]:
        return tuple(label for axis in self.axes for label in axis.labels)


@dataclass(slots=True)
class ProductPlan:
    """Leaves, the tree in which those with axes are combined, and where the result lies in the output.

    live           labels that some factor had; those that no array carries in the end count their size
    meets_vector   factors whose leaf is a matrix that is multiplied with a vector
    """

    leaves: list[Leaf]
    numbers: list[int]
    tree: Tree | None
    output: list[Axis]
    sizes: dict[int, Dim]
    live: set[int]
    meets_vector: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Lowered:
    """The operation of a product: axes as in plan.Held, or places with labels."""

    op: Op
    axes: tuple[int, ...]
    labels: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()
    sign: int = 1


# ---------------------------------------------------------------- planning: labels only


def plan_product(product: Product, sizes: Mapping[str, int], formula: bool = False) -> ProductPlan:
    """What to slice, split and contract, in the cheapest order for the given or assumed sizes."""
    dims = dict(product.sizes)
    leaves = [Leaf(f, [Axis((label,)) for label in f.labels]) for f in product.factors]
    output = [Axis((label,)) for label in product.output]
    constants = _Constants(leaves, output, dims, formula)
    constants.eliminate()
    live = {label for f in product.factors for label in f.labels} - constants.replaced
    kept = [leaf for leaf in leaves if leaf.dense or not _is_constant_tensor(leaf)]
    factor_of = {k: leaves.index(leaf) for k, leaf in enumerate(kept)}
    arrays = [k for k, leaf in enumerate(kept) if leaf.labels]
    numbers = [k for k, leaf in enumerate(kept) if not leaf.labels]
    wanted = [label for axis in output for label in axis.labels]
    plan = ProductPlan(kept, numbers, None, output, dims, live)
    if arrays:
        length = {label: assumed_size(dim, sizes) for label, dim in dims.items()}
        plan.tree = _tree(arrays, [tuple(dict.fromkeys(kept[k].labels)) for k in arrays], wanted, length)
        plan.meets_vector = {factor_of[k] for k in _meeting_vectors(plan.tree, kept, set(wanted))}
    return plan


def _tree(
    arrays: list[int], labels: list[tuple[int, ...]], wanted: list[int], length: Mapping[int, float]
) -> Tree:
    trees: list[Tree] = list(arrays)
    if len(trees) > FEW:
        # Operands with the same labels are multiplied entry by entry first, which never costs more.
        groups: dict[frozenset[int], int] = {}
        together: list[Tree] = []
        axes: list[tuple[int, ...]] = []
        for tree, own in zip(trees, labels, strict=True):
            key = frozenset(own)
            if key in groups:
                together[groups[key]] = (together[groups[key]], tree)
            else:
                groups[key] = len(together)
                together.append(tree)
                axes.append(own)
        trees, labels = together, axes
    shape = contraction_tree(labels, wanted, length.__getitem__)

    def fill(tree: Tree) -> Tree:
        return trees[tree] if isinstance(tree, int) else (fill(tree[0]), fill(tree[1]))

    return fill(shape)


def _meeting_vectors(tree: Tree, leaves: Sequence[Leaf], wanted: set[int]) -> set[int]:
    found: set[int] = set()
    pending = [(tree, wanted)]
    while pending:
        node, want = pending.pop()
        if isinstance(node, int):
            continue
        sides = (node[0], node[1])
        labels = [_labels_below(side, leaves) for side in sides]
        for mine, other in ((0, 1), (1, 0)):
            seen = labels[other] & (want | labels[mine])
            side = sides[mine]
            pending.append((side, labels[mine] & (want | labels[other])))
            if isinstance(side, int) and len(leaves[side].labels) == 2 and _is_whole(leaves[side]):
                if len(seen) == 1 and seen < labels[mine] and not seen & want and labels[mine] - seen <= want:
                    found.add(side)
    return found


def _is_whole(leaf: Leaf) -> bool:
    """Whether a factor is taken as it is: rows of an inverse are not the inverse of rows."""
    return all(axis.index == ALL and len(axis.labels) == 1 for axis in leaf.axes)


def _labels_below(tree: Tree, leaves: Sequence[Leaf]) -> set[int]:
    labels: set[int] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, int):
            labels.update(leaves[node].labels)
        else:
            pending.extend(node)
    return labels


def _is_constant_tensor(leaf: Leaf) -> bool:
    source = leaf.factor.source
    return isinstance(source, Apply) and source.function in (SELECT, BASIS, MERGE)


class _Constants:
    """Takes constant tensors out of a product: their axes become slices, positions and reshapes."""

    def __init__(self, leaves: list[Leaf], output: list[Axis], dims: dict[int, Dim], formula: bool) -> None:
        self.leaves, self.output, self.dims, self.formula = leaves, output, dims, formula
        self.pending = [leaf for leaf in leaves if _is_constant_tensor(leaf)]
        self.replaced: set[int] = set()

    def eliminate(self) -> None:
        for row, handle in ((MERGE, self._merge), (SELECT, self._select), (BASIS, self._basis)):
            progress = True
            while progress:
                progress = False
                for leaf in [p for p in self.pending if _row(p) is row]:
                    if leaf in self.pending and handle(leaf):
                        progress = True
            for leaf in [p for p in self.pending if _row(p) is row]:
                self._keep(leaf)

    def _keep(self, leaf: Leaf) -> None:
        leaf.dense = True
        self.pending.remove(leaf)

    def _carriers(self, label: int, without: Leaf) -> list[Axis] | None:
        """The axes with a label, of factors and output; None if a pending constant tensor has it."""
        found: list[Axis] = []
        for leaf in self.leaves:
            if leaf is without or (_is_constant_tensor(leaf) and not leaf.dense and leaf not in self.pending):
                continue
            axes = [axis for axis in leaf.axes if label in axis.labels]
            if axes and leaf in self.pending:
                return None
            found += axes
        return found + [axis for axis in self.output if label in axis.labels]

    def _merge(self, leaf: Leaf) -> bool:
        """F = (a, b, ...): every axis f is split."""
        flat, *parts = leaf.labels
        new = tuple(parts)
        if flat in new:
            return False
        for other in list(self.pending):
            if other is leaf or flat not in other.labels:
                continue
            if _row(other) is MERGE and other.labels[0] != flat:
                continue
            if _row(other) is MERGE and self._sizes(other.labels[1:]) == self._sizes(new):
                self._join(other.labels[1:], new)
                self.pending.remove(other)
                return True
            self._keep(other)
        for other in self.leaves:
            if other is not leaf and not self._gone(other):
                for axis in other.axes:
                    axis.labels = _replaced(axis.labels, flat, new)
        for axis in self.output:
            axis.labels = _replaced(axis.labels, flat, new)
        self.pending.remove(leaf)
        self.replaced.add(flat)
        return True

    def _sizes(self, labels: Sequence[int]) -> list[Dim]:
        return [self.dims[label] for label in labels]

    def _join(self, labels: Sequence[int], into: Sequence[int]) -> None:
        change = dict(zip(labels, into, strict=True))
        self.replaced.update(set(labels) - set(into))
        for leaf in self.leaves:
            for axis in leaf.axes:
                axis.labels = tuple(change.get(label, label) for label in axis.labels)
        for axis in self.output:
            axis.labels = tuple(change.get(label, label) for label in axis.labels)

    def _gone(self, leaf: Leaf) -> bool:
        return _is_constant_tensor(leaf) and not leaf.dense and leaf not in self.pending

    def _select(self, leaf: Leaf) -> bool:
        """Rows start, start + step, ... of the identity: label q becomes p over a slice, everywhere."""
        p, q = leaf.labels
        axes = self._carriers(q, leaf)
        if p == q or axes is None or any(len(axis.labels) > 1 for axis in axes):
            return False
        if self.formula and any(axis in self.output for axis in axes):
            return False
        start, step, count, _ = _parameters(leaf)
        for axis in axes:
            axis.labels = (p,)
            axis.index = _sliced(axis.index, start, step, count)
        self.pending.remove(leaf)
        self.replaced.add(q)
        return True

    def _basis(self, leaf: Leaf) -> bool:
        """A column of the identity: the label is fixed at one position."""
        (label,) = leaf.labels
        for other in list(self.pending):
            if other is not leaf and _row(other) is BASIS and other.labels == leaf.labels:
                if other.factor.source is leaf.factor.source:
                    self.pending.remove(other)
        axes = self._carriers(label, leaf)
        if axes is None or any(len(axis.labels) > 1 for axis in axes):
            return False
        if self.formula and any(axis in self.output for axis in axes):
            return False
        for axis in axes:
            axis.labels = ()
            axis.index = _positioned(axis.index, _parameters(leaf)[0])
        self.pending.remove(leaf)
        self.replaced.add(label)
        return True


def _row(leaf: Leaf) -> object:
    assert isinstance(leaf.factor.source, Apply)
    return leaf.factor.source.function


def _parameters(leaf: Leaf) -> tuple[Dim, ...]:
    assert isinstance(leaf.factor.source, Apply)
    return leaf.factor.source.parameters


def _replaced(labels: tuple[int, ...], old: int, new: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(part for label in labels for part in (new if label == old else (label,)))


def _sliced(index: tuple[object, ...], start: Dim, step: object, count: Dim) -> tuple[object, ...]:
    """A slice of a slice is a slice."""
    assert isinstance(step, int)
    if index == ALL:
        return ("slice", start, step, count)
    _, first, stride, _ = index
    assert isinstance(first, Dim) and isinstance(stride, int)
    return ("slice", first + Dim.of(stride) * start, stride * step, count)


def _positioned(index: tuple[object, ...], position: Dim) -> tuple[object, ...]:
    if index == ALL:
        return ("at", position)
    _, first, stride, _ = index
    assert isinstance(first, Dim) and isinstance(stride, int)
    return ("at", first + Dim.of(stride) * position)


# ---------------------------------------------------------------- lowering: operations

Value = Callable[[Expr], tuple[Op, tuple[int, ...]]]


@dataclass(slots=True)
class _Part:
    """An operation and the labels of its axes; divided by if `inverted`, solved with if `solves`."""

    op: Op
    labels: tuple[int, ...]
    inverted: bool = False
    solves: bool = False


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

    def _part(self, leaf: Leaf, value: Value, solvable: set[Expr]) -> _Part:
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
        return _Part(op, labels, factor.inverted, source in solvable)

    # ---------------------------------------------------------- numbers in a product

    def _scaled(self, coefficient: Coefficient, wanted: tuple[int, ...]) -> Op:
        """The contraction times all factors without axes, applied where the array is smallest."""
        build, tree = self.build, self.plan.tree
        above, below = self._numbers(coefficient)
        if tree is None:
            above = above or build.number(1)
            return build.binary("div", above, below) if below else above
        if above is None and below is None:
            return self._finish(self._emit(tree, wanted))
        smallest = self._smallest_leaf(tree, wanted)
        if smallest is None:
            return _times(build, self._finish(self._emit(tree, wanted)), above, below)
        part = self.parts[smallest]
        self.parts[smallest] = replace(part, op=_times(build, part.op, above, below))
        return self._finish(self._emit(tree, wanted))

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

    def _finish(self, part: _Part) -> Op:
        return self.build.binary("div", self.build.number(1), part.op) if part.inverted else part.op

    # ---------------------------------------------------------- contractions

    def _labels(self, tree: Tree) -> set[int]:
        labels: set[int] = set()
        pending = [tree]
        while pending:
            node = pending.pop()
            if isinstance(node, int):
                labels.update(self.parts[node].labels)
            else:
                pending.extend(node)
        return labels

    def _natural(self, tree: Tree, labels: set[int]) -> tuple[int, ...]:
        """`labels` in the order in which a part has them anyway."""
        if isinstance(tree, int):
            return tuple(label for label in self.parts[tree].labels if label in labels)
        return tuple(sorted(labels))

    def _emit(self, tree: Tree, wanted: tuple[int, ...]) -> _Part:
        """The part below `tree` with exactly the axes `wanted`, in that order; all other labels summed."""
        build = self.build
        if isinstance(tree, int):
            part = self.parts[tree]
            if part.solves:
                part = _Part(build.call(inv, [part.op], (), part.op.shape), part.labels)
            summed = [k for k, label in enumerate(part.labels) if label not in wanted]
            if summed:
                op = build.sum(self._finish(part), summed)
                part = _Part(op, tuple(label for label in part.labels if label in wanted))
            order = [part.labels.index(label) for label in wanted]
            return _Part(build.permute(part.op, order), wanted, part.inverted)
        a, b = tree
        mine, theirs = self._labels(a), self._labels(b)
        left, right = mine & (theirs | set(wanted)), theirs & (mine | set(wanted))
        contracted = (left & right) - set(wanted)
        if not contracted:
            return self._entrywise(a, b, left, right, wanted)
        shared = left & right & set(wanted)
        divides = any(isinstance(side, int) and self.parts[side].inverted for side in tree)
        if left == right and (len(contracted) > 1 or shared or divides):
            return self._summed_product(a, b, contracted, wanted)
        if shared:
            return self._batched(a, b, left, right, contracted, wanted)
        return self._matrix_product(a, b, left, right, contracted, wanted)

    def _entrywise(self, a: Tree, b: Tree, left: set[int], right: set[int], wanted: tuple[int, ...]) -> _Part:
        build = self.build
        p = self._emit(a, tuple(label for label in wanted if label in left))
        q = self._emit(b, tuple(label for label in wanted if label in right))
        if p.inverted and q.inverted:
            p, q, inverted = replace(p, inverted=False), replace(q, inverted=False), True
        else:
            inverted = False
        if len(p.labels) == len(q.labels) == 1 and not left & right and not p.inverted and not q.inverted:
            first, second = (p, q) if wanted[0] in p.labels else (q, p)
            return _Part(build.outer(first.op, second.op), wanted, inverted)
        x, y = (build.expand(part.op, part.labels, wanted) for part in (p, q))
        if p.inverted:
            op = build.binary("div", y, x)
        else:
            op = build.binary("div" if q.inverted else "mul", x, y)
        return _Part(op, wanted, inverted)

    def _summed_product(self, a: Tree, b: Tree, contracted: set[int], wanted: tuple[int, ...]) -> _Part:
        """Both sides have the same axes: multiply entry by entry, then sum."""
        build = self.build
        order = self._natural(a if isinstance(a, int) else b, contracted | set(wanted))
        p, q = self._emit(a, order), self._emit(b, order)
        if wanted and not self.formula and not p.inverted and not q.inverted:
            return _Part(build.einsum([p.op, q.op], [order, order], wanted), wanted)
        if p.inverted and q.inverted:
            op = build.binary("div", build.number(1), build.binary("mul", p.op, q.op))
        elif p.inverted or q.inverted:
            op = build.binary("div", *((q.op, p.op) if p.inverted else (p.op, q.op)))
        else:
            op = build.binary("mul", p.op, q.op)
        op = build.sum(op, [k for k, label in enumerate(order) if label in contracted])
        kept = [label for label in order if label not in contracted]
        return _Part(build.permute(op, [kept.index(label) for label in wanted]), wanted)

    def _batched(
        self, a: Tree, b: Tree, left: set[int], right: set[int], contracted: set[int], wanted: tuple[int, ...]
    ) -> _Part:
        build = self.build
        shared = tuple(label for label in wanted if label in left & right)
        free_a = tuple(label for label in wanted if label in left and label not in right)
        free_b = tuple(label for label in wanted if label in right and label not in left)
        if len(contracted) == len(free_a) == len(free_b) == 1 and not self.formula:
            if wanted.index(free_a[0]) > wanted.index(free_b[0]):
                a, b, free_a, free_b = b, a, free_b, free_a
            inner = tuple(contracted)
            p, q = self._emit(a, shared + free_a + inner), self._emit(b, shared + inner + free_b)
            op = build.matmul(self._finish(p), self._finish(q))
            made = shared + free_a + free_b
            return _Part(build.permute(op, [made.index(label) for label in wanted]), wanted)
        p, q = self._emit(a, self._natural(a, left)), self._emit(b, self._natural(b, right))
        return _Part(build.einsum([self._finish(p), self._finish(q)], [p.labels, q.labels], wanted), wanted)

    def _matrix_product(
        self, a: Tree, b: Tree, left: set[int], right: set[int], contracted: set[int], wanted: tuple[int, ...]
    ) -> _Part:
        build = self.build
        solved = self._solve(a, b, left, right, wanted) or self._solve(b, a, right, left, wanted)
        if solved is not None:
            return solved
        free_a = tuple(label for label in wanted if label in left)
        free_b = tuple(label for label in wanted if label in right)
        backwards = wanted == free_b + free_a
        if not free_a and free_b:
            # A vector times a matrix, whichever side the matrix is stored for.
            backwards = self._natural(b, right)[-1] in contracted
        elif not free_b:
            backwards = bool(free_a) and self._natural(a, left)[0] in contracted
        if backwards and (free_a or free_b):
            a, b, free_a, free_b, left, right = b, a, free_b, free_a, right, left
        inner = self._natural(a if isinstance(a, int) else b, contracted)
        p, q = self._emit(a, free_a + inner), self._emit(b, inner + free_b)
        x, y = self._finish(p), self._finish(q)
        if len(inner) == 1 and len(free_b) <= 1:
            op = build.matmul(x, y)
        elif self.formula:
            p, q = self._emit(a, self._natural(a, left)), self._emit(b, self._natural(b, right))
            return _Part(
                build.einsum([self._finish(p), self._finish(q)], [p.labels, q.labels], wanted), wanted
            )
        else:
            op = build.tensordot(x, y, len(inner))
        made = free_a + free_b
        return _Part(build.permute(op, [made.index(label) for label in wanted]), wanted)

    def _solve(
        self, a: Tree, b: Tree, left: set[int], right: set[int], wanted: tuple[int, ...]
    ) -> _Part | None:
        """An inverse times a vector."""
        if not isinstance(a, int) or not self.parts[a].solves or len(right) != 1 or len(left) != 2:
            return None
        part = self.parts[a]
        (inner,) = right
        vector = self._finish(self._emit(b, (inner,)))
        matrix = part.op if part.labels[1] == inner else self.build.permute(part.op, (1, 0))
        return _Part(self.build.solve(matrix, vector), wanted)

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
