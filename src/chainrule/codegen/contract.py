"""Pairwise contractions as array operations: what BLAS does first, np.einsum for what is left.

In: the arrays of a product with their labels, and the tree in which they are combined. Out: an operation
with the labels asked for, in that order. Several axes that are kept or summed together become one by a
reshape, so that a product of any rank is one matrix product; the rows of a computed factor are laid out so
that the reshape copies nothing. A factor that meets its own mirror image is made once: Zᵀ diag(w) Z.

np.einsum with two operands is left in one case, in which a matrix product would copy them first: entries that
lie side by side in memory belong to different products (Σᵢ AᵢⱼBᵢⱼ for each j), and are added up as they
stream past.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chainrule.codegen.order import Tree
from chainrule.codegen.program import Builder, Op
from chainrule.expr.dims import Dim
from chainrule.rules.tensorial import inv

Labels = tuple[int, ...]


@dataclass(slots=True)
class Part:
    """An operation and the labels of its axes; divided by if `inverted`, solved with if `solves`."""

    op: Op
    labels: Labels
    inverted: bool = False
    solves: bool = False


class Contraction:
    """Emits the operations of one product; `formula` keeps to what chainrule's NumPy dialect has."""

    def __init__(
        self, build: Builder, parts: Mapping[int, Part], sizes: Mapping[int, Dim], formula: bool
    ) -> None:
        self.build, self.parts, self.sizes, self.formula = build, parts, sizes, formula

    def value(self, tree: Tree, wanted: Labels) -> Op:
        """The part below `tree` with the axes `wanted`; all other labels summed."""
        return self.finished(self.emit(tree, wanted))

    def finished(self, part: Part) -> Op:
        """The array itself where it was still to be divided by."""
        return self.build.binary("div", self.build.number(1), part.op) if part.inverted else part.op

    def emit(self, tree: Tree, wanted: Labels) -> Part:
        """The part below `tree` with exactly the axes `wanted`, in that order; all other labels summed."""
        if isinstance(tree, int):
            return self._leaf(self.parts[tree], wanted)
        a, b = tree
        mine, theirs = self.labels(a), self.labels(b)
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
        solved = self._solve(a, b, left, right, wanted) or self._solve(b, a, right, left, wanted)
        if solved is not None:
            return solved
        if not self.formula:
            mirrored = self._gram(a, b, left, right, contracted, wanted)
            if mirrored is not None:
                return mirrored
        return self._matrix_product(a, b, left, right, contracted, wanted)

    def _leaf(self, part: Part, wanted: Labels) -> Part:
        build = self.build
        if part.solves:
            part = Part(build.call(inv, [part.op], (), part.op.shape), part.labels)
        summed = [k for k, label in enumerate(part.labels) if label not in wanted]
        if summed:
            op = build.sum(self.finished(part), summed)
            part = Part(op, tuple(label for label in part.labels if label in wanted))
        order = [part.labels.index(label) for label in wanted]
        return Part(build.permute(part.op, order), wanted, part.inverted)

    # ---------------------------------------------------------- labels

    def labels(self, tree: Tree) -> set[int]:
        """All labels below a tree."""
        return {label for leaf in leaves(tree) for label in self.parts[leaf].labels}

    def _natural(self, tree: Tree, labels: set[int]) -> Labels:
        """`labels` in the order in which a part has them anyway."""
        if self.formula and not isinstance(tree, int):
            return tuple(sorted(labels))
        order = dict.fromkeys(label for leaf in leaves(tree) for label in self.parts[leaf].labels)
        return tuple(label for label in order if label in labels)

    def _merged(self, op: Op, groups: Sequence[Labels]) -> Op:
        """An array whose axes are the labels of `groups`, with one axis for each group that has any."""
        return self.build.reshape(op, [(self._dims(g), (self._joint(g),)) for g in groups if g])

    def _split(self, op: Op, groups: Sequence[Labels]) -> Op:
        return self.build.reshape(op, [((self._joint(g),), self._dims(g)) for g in groups if g])

    def _dims(self, labels: Labels) -> tuple[Dim, ...]:
        return tuple(self.sizes[label] for label in labels)

    def _joint(self, labels: Labels) -> Dim:
        size = Dim.of(1)
        for label in labels:
            size = size * self.sizes[label]
        return size

    def _ordered(self, op: Op, made: Labels, wanted: Labels) -> Part:
        return Part(self.build.permute(op, [made.index(label) for label in wanted]), wanted)

    # ---------------------------------------------------------- nothing to sum, or the same axes

    def _entrywise(self, a: Tree, b: Tree, left: set[int], right: set[int], wanted: Labels) -> Part:
        build = self.build
        p = self.emit(a, tuple(label for label in wanted if label in left))
        q = self.emit(b, tuple(label for label in wanted if label in right))
        if p.inverted and q.inverted:
            p, q, inverted = replace(p, inverted=False), replace(q, inverted=False), True
        else:
            inverted = False
        if len(p.labels) == len(q.labels) == 1 and not left & right and not p.inverted and not q.inverted:
            first, second = (p, q) if wanted[0] in p.labels else (q, p)
            return Part(build.outer(first.op, second.op), wanted, inverted)
        x, y = (build.expand(part.op, part.labels, wanted) for part in (p, q))
        if p.inverted:
            op = build.binary("div", y, x)
        else:
            op = build.binary("div" if q.inverted else "mul", x, y)
        return Part(op, wanted, inverted)

    def _summed_product(self, a: Tree, b: Tree, contracted: set[int], wanted: Labels) -> Part:
        """Both sides have the same axes: multiply entry by entry, then sum."""
        build = self.build
        order = self._natural(a if isinstance(a, int) else b, contracted | set(wanted))
        p, q = self.emit(a, order), self.emit(b, order)
        if wanted and not self.formula and not p.inverted and not q.inverted:
            return self._row_products(a, b, p, q, contracted, wanted)
        if p.inverted and q.inverted:
            op = build.binary("div", build.number(1), build.binary("mul", p.op, q.op))
        elif p.inverted or q.inverted:
            op = build.binary("div", *((q.op, p.op) if p.inverted else (p.op, q.op)))
        else:
            op = build.binary("mul", p.op, q.op)
        op = build.sum(op, [k for k, label in enumerate(order) if label in contracted])
        return self._ordered(op, tuple(label for label in order if label not in contracted), wanted)

    def _row_products(self, a: Tree, b: Tree, p: Part, q: Part, contracted: set[int], wanted: Labels) -> Part:
        """The inner product of each row with one of the other; einsum where rows do not lie in memory."""
        build = self.build
        inner = tuple(label for label in p.labels if label in contracted)
        rows = tuple(label for label in p.labels if label not in contracted)
        if (
            p.labels != rows + inner
            or not self._stand_last(a, contracted)
            or not self._stand_last(b, contracted)
        ):
            return Part(build.einsum([p.op, q.op], [p.labels, q.labels], wanted), wanted)
        groups = [*((label,) for label in rows), inner]
        x, y = self._merged(p.op, groups), self._merged(q.op, groups)
        labels = tuple(range(len(groups)))
        op = build.einsum([x, y], [labels, labels], labels[:-1])
        return self._ordered(op, rows, wanted)

    def _stand_last(self, tree: Tree, labels: set[int]) -> bool:
        """Whether rows along `labels` are read in the order of memory; a computed factor is laid out so."""
        if not isinstance(tree, int):
            return True
        own = self.parts[tree].labels
        return set(own[len(own) - len(labels) :]) == labels

    # ---------------------------------------------------------- batches

    def _batched(
        self, a: Tree, b: Tree, left: set[int], right: set[int], contracted: set[int], wanted: Labels
    ) -> Part:
        build = self.build
        shared = tuple(label for label in wanted if label in left & right)
        free_a = tuple(label for label in wanted if label in left and label not in right)
        free_b = tuple(label for label in wanted if label in right and label not in left)
        simple = len(contracted) == len(free_a) == len(free_b) == 1
        rows = all(self._has_rows(side, set(shared)) for side in (a, b))
        if self.formula or not (simple or rows):
            p, q = self.emit(a, self._natural(a, left)), self.emit(b, self._natural(b, right))
            return Part(
                build.einsum([self.finished(p), self.finished(q)], [p.labels, q.labels], wanted), wanted
            )
        if free_a and free_b and wanted.index(free_a[0]) > wanted.index(free_b[0]):
            a, b, free_a, free_b = b, a, free_b, free_a
        inner = self._natural(a if isinstance(a, int) else b, contracted)
        batch = [(label,) for label in shared]
        x = self._merged(self.value(a, shared + free_a + inner), [*batch, free_a, inner])
        y = self._merged(self.value(b, shared + inner + free_b), [*batch, inner, free_b])
        axes = tuple(range(len(shared)))
        m, n = len(shared), len(shared) + 1
        if not free_a:
            x = build.expand(x, (*axes, n), (*axes, m, n))
        if not free_b:
            y = build.expand(y, (*axes, m), (*axes, m, n))
        op = build.matmul(x, y)
        index: list[tuple[Any, ...]] = [("all",)] * m
        for free in (free_a, free_b):
            index.append(("all",) if free else ("at", Dim.of(0)))
        if not (free_a and free_b):
            op = build.slice(op, index)
        op = self._split(op, [*batch, free_a, free_b])
        return self._ordered(op, shared + free_a + free_b, wanted)

    def _has_rows(self, tree: Tree, shared: set[int]) -> bool:
        """Whether what lies side by side in memory is a row of a matrix, and no batch of them."""
        return not isinstance(tree, int) or self.parts[tree].labels[-1] not in shared

    # ---------------------------------------------------------- matrices

    def _gram(
        self, a: Tree, b: Tree, left: set[int], right: set[int], contracted: set[int], wanted: Labels
    ) -> Part | None:
        """Zᵀ diag(w) Z where the one side is the other with other labels, apart from weights w."""
        weights: list[int] = []
        first, second = self._without(a, contracted, weights), self._without(b, contracted, weights)
        if first is None or second is None or left & right != contracted:
            return None
        mirror = self._matched(first, second, {label: label for label in contracted})
        if mirror is None or not left - contracted:
            return None
        if wanted[0] not in left:
            first, left = second, right
            mirror = {there: here for here, there in mirror.items()}
        if any(label not in wanted or mirror[label] not in wanted for label in left - contracted):
            return None
        build = self.build
        ends = self._exchanged(first, left, contracted, mirror, wanted)
        free = tuple(sorted(left - contracted, key=lambda label: wanted.index(ends[label][0])))
        natural = self._natural(first, left)
        inner = tuple(label for label in natural if label in contracted)
        along = natural[0] in contracted
        Z = self.value(first, inner + free if along else free + inner)
        Z = self._merged(Z, [inner, free] if along else [free, inner])
        turned = build.permute(Z, (1, 0))
        x, y = (turned, Z) if along else (Z, turned)
        for divides in (False, True):
            weight = self._weight([w for w in weights if self.parts[w].inverted == divides], inner)
            if weight is not None:
                x = build.binary("div" if divides else "mul", x, weight)
        here, there = tuple(ends[label][0] for label in free), tuple(ends[label][1] for label in free)
        op = self._split(build.matmul(x, y), [here, there])
        return self._ordered(op, here + there, wanted)

    def _exchanged(
        self, tree: Tree, left: set[int], contracted: set[int], mirror: Mapping[int, int], wanted: Labels
    ) -> dict[int, tuple[int, int]]:
        """For each label of Z the two labels of the result, the one that comes first in front if it may.

        A factor and its image can be exchanged alone, Σ X_ia S_ip X_ib S_iq = Σ X_ib S_ip X_ia S_iq, where
        nothing is summed within Z and no other factor has the label.
        """
        carriers = [set(self.parts[leaf].labels) - contracted for leaf in leaves(tree)]
        ends: dict[int, tuple[int, int]] = {}
        for label in left - contracted:
            image = mirror[label]
            alone = all(carrier == {label} for carrier in carriers if label in carrier)
            turns = alone and self.labels(tree) == left and wanted.index(image) < wanted.index(label)
            ends[label] = (image, label) if turns else (label, image)
        return ends

    def _weight(self, weights: Sequence[int], inner: Labels) -> Op | None:
        """The product of factors that have only axes that are summed, as one axis."""
        build, total, carried = self.build, None, set[int]()
        for weight in weights:
            part = self.parts[weight]
            order = tuple(label for label in inner if label in part.labels)
            op = build.expand(self._leaf(part, order).op, order, inner)
            total, carried = op if total is None else build.binary("mul", total, op), carried | {*order}
        if total is None or len(inner) == 1:
            return total
        present = tuple(k for k, label in enumerate(inner) if label in carried)
        if len(present) < len(inner):
            total = build.binary("mul", total, build.fill(build.number(1), (), self._dims(inner)))
        return self._merged(total, [inner])

    def _without(self, tree: Tree, labels: set[int], weights: list[int]) -> Tree | None:
        """The tree without leaves that only have axes that are summed; these go to `weights`."""
        if isinstance(tree, int):
            if self.parts[tree].solves or not set(self.parts[tree].labels) <= labels:
                return tree
            weights.append(tree)
            return None
        a, b = (self._without(side, labels, weights) for side in tree)
        return (a, b) if a is not None and b is not None else (b if a is None else a)

    def _matched(self, a: Tree, b: Tree, mirror: dict[int, int]) -> dict[int, int] | None:
        """How labels of `a` become those of `b`, if that makes the one tree the other."""
        if isinstance(a, int) and isinstance(b, int):
            p, q = self.parts[a], self.parts[b]
            if p.op is not q.op or p.inverted or q.inverted or p.solves or q.solves:
                return None
            found = dict(mirror)
            for here, there in zip(p.labels, q.labels, strict=True):
                if found.setdefault(here, there) != there:
                    return None
            return found if len(set(found.values())) == len(found) else None
        if isinstance(a, int) or isinstance(b, int):
            return None
        for sides in (b, b[::-1]):
            half = self._matched(a[0], sides[0], mirror)
            whole = self._matched(a[1], sides[1], half) if half is not None else None
            if whole is not None:
                return whole
        return None

    def _matrix_product(
        self, a: Tree, b: Tree, left: set[int], right: set[int], contracted: set[int], wanted: Labels
    ) -> Part:
        build = self.build
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
        made = free_a + free_b
        if self._is_plain(a, b, free_a, free_b, inner):
            x, y = self.value(a, free_a + inner), self.value(b, inner + free_b)
            plain = len(inner) == 1 and len(free_b) <= 1
            op = build.matmul(x, y) if plain else build.tensordot(x, y, len(inner))
        elif self.formula:
            p, q = self.emit(a, self._natural(a, left)), self.emit(b, self._natural(b, right))
            return Part(
                build.einsum([self.finished(p), self.finished(q)], [p.labels, q.labels], wanted), wanted
            )
        else:
            x, y = self._rows(a, left, free_a, inner), self._rows(b, right, free_b, inner)
            op = self._split(
                build.matmul(x, build.permute(y, (1, 0)) if y.rank == 2 else y), [free_a, free_b]
            )
        return self._ordered(op, made, wanted)

    def _is_plain(self, a: Tree, b: Tree, free_a: Labels, free_b: Labels, inner: Labels) -> bool:
        """Whether it is a matrix product as it stands, or of arrays that lie as it needs them."""
        if len(inner) == 1 and len(free_b) <= 1 and (len(free_a) <= 1 or isinstance(a, int) or self.formula):
            return True
        if self.formula or not isinstance(a, int) or not isinstance(b, int):
            return False
        return self.parts[a].labels == free_a + inner and self.parts[b].labels == inner + free_b

    def _rows(self, tree: Tree, labels: set[int], free: Labels, inner: Labels) -> Op:
        """A matrix with the axes `free` as rows and `inner` as columns, made the way its factors lie."""
        natural = self._natural(tree, labels)
        if free and natural[0] in inner:
            columns = self._merged(self.value(tree, inner + free), [inner, free])
            return self.build.permute(columns, (1, 0))
        return self._merged(self.value(tree, free + inner), [free, inner])

    def _solve(self, a: Tree, b: Tree, left: set[int], right: set[int], wanted: Labels) -> Part | None:
        """An inverse times a vector, or times a matrix with few columns."""
        if not isinstance(a, int) or not self.parts[a].solves or len(left) != 2:
            return None
        part = self.parts[a]
        inner = next(iter(left & right))
        free = tuple(label for label in wanted if label in right)
        if len(free) > 1:
            return None
        columns = self.value(b, (inner, *free))
        matrix = part.op if part.labels[1] == inner else self.build.permute(part.op, (1, 0))
        outer = next(label for label in part.labels if label != inner)
        return self._ordered(self.build.solve(matrix, columns), (outer, *free), wanted)


def leaves(tree: Tree) -> list[int]:
    """The leaves of a tree from left to right."""
    found: list[int] = []
    pending: list[Tree] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, int):
            found.append(node)
        else:
            pending.extend(reversed(node))
    return found
