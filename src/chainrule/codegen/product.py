"""What becomes of a product: slices and reshapes for constant tensors, and an order of pairwise contractions.

In: a Product (flatten.py). Out: a ProductPlan, which needs only labels: what is sliced, split or written
where, and in which order to contract. lower.py makes operations of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chainrule.codegen.contract import leaves as leaves_of
from chainrule.codegen.flatten import Factor, Product
from chainrule.codegen.order import Choice, Tree, choose_tree
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply
from chainrule.rules.constants import BASIS, MERGE, SELECT

ALL = ("all",)
ONE = Dim.of(1)
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
    meets          for factors whose leaf is a matrix that is multiplied with columns, how many these are
    depends        whether another tree would be cheaper at other sizes
    """

    leaves: list[Leaf]
    numbers: list[int]
    tree: Tree | None
    output: list[Axis]
    sizes: dict[int, Dim]
    live: set[int]
    meets: dict[int, Dim] = field(default_factory=dict)
    depends: bool = False

    def size_names(self) -> set[str]:
        """The sizes of its arrays."""
        labels = {label for leaf in self.leaves for label in leaf.labels}
        return {name for label in labels for name in self.sizes[label].names}


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
        labels = [tuple(dict.fromkeys(kept[k].labels)) for k in arrays]
        chosen = _tree(arrays, labels, wanted, dims, sizes)
        plan.tree, plan.depends = chosen.tree, chosen.depends
        met = _meeting_columns(plan.tree, kept, set(wanted))
        plan.meets = {factor_of[k]: dims[free] if free is not None else ONE for k, free in met.items()}
    return plan


def _tree(
    arrays: list[int],
    labels: list[tuple[int, ...]],
    wanted: list[int],
    dims: Mapping[int, Dim],
    sizes: Mapping[str, int],
) -> Choice:
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
    chosen = choose_tree(labels, wanted, dims, sizes)

    def fill(tree: Tree) -> Tree:
        return trees[tree] if isinstance(tree, int) else (fill(tree[0]), fill(tree[1]))

    return Choice(fill(chosen.tree), chosen.depends)


def _meeting_columns(tree: Tree, leaves: Sequence[Leaf], wanted: set[int]) -> dict[int, int | None]:
    """Leaves that multiply a vector or a matrix from one side: the label of the columns, None for one."""
    found: dict[int, int | None] = {}
    pending = [(tree, wanted)]
    while pending:
        node, want = pending.pop()
        if isinstance(node, int):
            continue
        sides = (node[0], node[1])
        labels = [_labels_below(side, leaves) for side in sides]
        for mine, other in ((0, 1), (1, 0)):
            side, own = sides[mine], labels[mine]
            seen = labels[other] & (want | own)
            pending.append((side, own & (want | labels[other])))
            if not isinstance(side, int) or len(leaves[side].labels) != 2 or not _is_whole(leaves[side]):
                continue
            free = seen - own
            if len(seen & own) == 1 and not seen & own & want and own - seen <= want and len(free) < 2:
                found[side] = next(iter(free), None)
    return found


def _is_whole(leaf: Leaf) -> bool:
    """Whether a factor is taken as it is: rows of an inverse are not the inverse of rows."""
    return all(axis.index == ALL and len(axis.labels) == 1 for axis in leaf.axes)


def _labels_below(tree: Tree, leaves: Sequence[Leaf]) -> set[int]:
    return {label for leaf in leaves_of(tree) for label in leaves[leaf].labels}


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
