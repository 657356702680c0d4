"""In which order to contract a product: an exact search over subsets of its operands.

In: the labels of each operand, the labels that are kept, their sizes. Out: a binary tree of operand numbers.
The cost of combining two parts is the product of the sizes of all labels that they carry, and half the size
of what is made, which is read once more; what is summed is summed as soon as no other operand carries it.
Up to LIMIT operands the tree is the cheapest there is: a greedy one only bounds from above what is looked
at. Beyond LIMIT the cheapest pairs are combined first until LIMIT are left.

A cost is a polynomial in the sizes. Which tree is cheapest is decided for sizes that are given or assumed; a
`Choice` says whether another tree would be cheaper at others, and `regime` says in words what was assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import comb, inf, prod

from chainrule.expr.dims import Dim

Tree = int | tuple["Tree", "Tree"]
LIMIT = 12
FEW = 7  # of so many operands all sets are looked at, which is less work than to bound the search
BIG, LARGER, MEDIUM = 10_000, 1_000, 100
HUGE, ONE = 1_000_000, 1  # what a size is set to, to see whether another tree would be cheaper
NAMES, MANY = 4, 6  # so many sizes are varied, for so many operands
WORTH = 0.8  # another tree counts if it costs less than this part of the first somewhere
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Choice:
    """The cheapest tree, and whether another would be clearly cheaper at other sizes."""

    tree: Tree
    depends: bool


def assumed(names: Sequence[str], sizes: Mapping[str, int]) -> dict[str, int]:
    """The number that each size is taken for: as given, else 10 000 for capitals (N), 100 for others (n).

    >>> assumed(("N", "n", "k"), {"k": 5})
    {'N': 10000, 'n': 100, 'k': 5}
    """
    return {name: sizes.get(name, BIG if name[:1].isupper() else MEDIUM) for name in names}


def assumed_size(dim: Dim, sizes: Mapping[str, int]) -> float:
    """The number that a size is taken for."""
    if not any([name in sizes for name in dim.names]):
        return _size_alone(dim)
    return float(max(1, dim.evaluate(assumed(dim.names, sizes))))


@lru_cache(maxsize=1024)
def _size_alone(dim: Dim) -> float:
    return float(max(1, dim.evaluate(assumed(dim.names, {}))))


def contraction_tree(
    operands: Sequence[Sequence[int]], kept: Sequence[int], size: Callable[[int], float]
) -> Tree:
    """The cheapest tree of pairwise combinations.

    >>> contraction_tree([(0, 1), (1, 2), (2,)], (0,), lambda label: 10.0)
    (0, (1, 2))
    """
    if len(operands) < 3:
        return 0 if len(operands) == 1 else (0, 1)
    number: dict[int, int] = {}
    axes = tuple([tuple([number.setdefault(a, len(number)) for a in labels]) for labels in operands])
    target = tuple([number.setdefault(a, len(number)) for a in kept])
    return tree_of_shape(axes, target, tuple(map(size, number)))


@lru_cache(maxsize=1024)
def tree_of_shape(
    operands: tuple[tuple[int, ...], ...], kept: tuple[int, ...], sizes: tuple[float, ...]
) -> Tree:
    """The same for labels 0, 1, … as they appear first: the layers of a network have one shape."""
    return _Search(operands, kept, sizes).run()


def choose_tree(
    operands: Sequence[Sequence[int]], kept: Sequence[int], dims: Mapping[int, Dim], sizes: Mapping[str, int]
) -> Choice:
    """The cheapest tree for the sizes given or assumed, and whether other sizes would ask for another.

    Of more than MANY operands or NAMES sizes it is not tried out: they are taken to ask for another.

    >>> m, n, p, q = map(Dim.of, "mnpq")
    >>> choose_tree([(0, 1), (1, 2), (2, 3)], (0, 3), {0: m, 1: n, 2: p, 3: q}, {})
    Choice(tree=((0, 1), 2), depends=True)
    >>> choose_tree([(0, 1), (1, 2), (2,)], (0,), {0: m, 1: n, 2: p}, {})
    Choice(tree=(0, (1, 2)), depends=False)
    """
    labels = sorted({label for axes in operands for label in axes} | set(kept))
    names = sorted({name for label in labels for name in dims[label].names})

    lengths = {label: assumed_size(dims[label], sizes) for label in labels}
    tree = contraction_tree(operands, kept, lengths.__getitem__)
    if len(operands) < 3 or len(names) < 2:
        return Choice(tree, False)
    if len(operands) > MANY or len(names) > NAMES:
        return Choice(tree, True)
    for name in names:
        having = [label for label in labels if name in dims[label].names]
        for length in (HUGE, ONE):
            given = {**sizes, name: length}
            changed = lengths | {label: assumed_size(dims[label], given) for label in having}
            other = contraction_tree(operands, kept, changed.__getitem__)
            if other == tree:
                continue
            there = assumed(names, given)
            exact = {label: dims[label].evaluate(there) for label in labels}
            costs = [tree_cost(t, operands, kept, exact) for t in (other, tree)]
            if costs[0] < WORTH * costs[1]:
                return Choice(tree, True)
    return Choice(tree, False)


def regime(names: Iterable[str], sizes: Mapping[str, int], larger: Collection[str] = ()) -> str:
    """What was taken for sizes, in words.

    >>> regime(("N", "n", "k", "d"), {"k": 5})
    'k = 5 and N ≫ d ≈ n ≫ 1'
    >>> regime(("n", "k"), {}, larger=("n",))
    'n ≫ k ≫ 1'
    """
    ordered = sorted(set(names))
    given = ", ".join(f"{name} = {sizes[name]}" for name in ordered if name in sizes)
    free = assumed([name for name in ordered if name not in sizes], dict.fromkeys(larger, LARGER))
    alike = [" ≈ ".join(n for n in free if free[n] == length) for length in (BIG, LARGER, MEDIUM)]
    rest = " ≫ ".join([*filter(None, alike), "1"]) if free else ""
    return " and ".join(filter(None, (given, rest)))


def tree_cost(
    tree: Tree, operands: Sequence[Sequence[int]], kept: Sequence[int], lengths: Mapping[int, int]
) -> int:
    """The cost of a tree at some sizes, doubled so that it is whole."""
    carriers = dict.fromkeys(kept, 1 << len(operands))  # what is kept is also carried by the result
    for k, axes in enumerate(operands):
        for a in axes:
            carriers[a] = carriers.get(a, 0) | 1 << k
    total = 0

    def made(node: Tree) -> tuple[int, set[int]]:
        """Which operands a part is made of, and the labels that it carries."""
        nonlocal total
        if isinstance(node, int):
            return 1 << node, set(operands[node])
        (one, left), (other, right) = made(node[0]), made(node[1])
        part, both = one | other, left | right
        carried = {a for a in both if carriers[a] & ~part}
        total += 2 * prod([lengths[a] for a in both]) + prod([lengths[a] for a in carried])
        return part, carried

    made(tree)
    return total


class _Search:
    """One search: labels are bits, parts are sets of operands as bits."""

    def __init__(
        self, operands: Sequence[Sequence[int]], kept: Sequence[int], lengths: Sequence[float]
    ) -> None:
        self.trees: list[Tree] = list(range(len(operands)))
        self.carried = [sum(1 << a for a in set(axes)) for axes in operands]
        self.target = sum(1 << a for a in set(kept))

        @cache
        def volume(labels: int) -> float:
            product, k = 1.0, 0
            while labels:
                if labels & 1:
                    product *= lengths[k]
                labels >>= 1
                k += 1
            return product

        self.volume = volume

    def run(self) -> Tree:
        while len(self.trees) > LIMIT:
            self._combine_cheapest(self.trees, self.carried)
        return self._every() if len(self.trees) <= FEW else self._exact()

    def _combine_cheapest(self, trees: list[Tree], carried: list[int]) -> float:
        """Puts the pair together that shrinks most, of those that share a label if any do; its cost."""
        best: tuple[bool, float, float, int, int] | None = None
        for i in range(len(carried)):
            for j in range(i + 1, len(carried)):
                both = carried[i] | carried[j]
                left = both & self._outside(carried, (i, j))
                shrinks = self.volume(left) - self.volume(carried[i]) - self.volume(carried[j])
                found = (not carried[i] & carried[j], shrinks, self.volume(both), i, j)
                if best is None or found < best:
                    best = found
        assert best is not None
        *_, i, j = best
        both = carried[i] | carried[j]
        left = both & self._outside(carried, (i, j))
        trees[i], carried[i] = (trees[i], trees[j]), left
        del trees[j], carried[j]
        return self.volume(both) + 0.5 * self.volume(left)

    def _outside(self, carried: Sequence[int], inside: tuple[int, int]) -> int:
        labels = self.target
        for k, axes in enumerate(carried):
            if k not in inside:
                labels |= axes
        return labels

    def _bound(self) -> float:
        """What a greedy tree costs."""
        trees, carried, cost = list(self.trees), list(self.carried), 0.0
        while len(trees) > 1:
            cost += self._combine_cheapest(trees, carried)
        return cost

    def _kept(self) -> list[int]:
        """For each set of operands the labels that it carries when all that can be is summed."""
        union = [0]
        for axes in self.carried:
            union += [below | axes for below in union]
        return [own & (rest | self.target) for own, rest in zip(union, reversed(union), strict=True)]

    def _every(self) -> Tree:
        """The cheapest tree of every set of operands, smaller sets first."""
        volume, kept = self.volume, self._kept()
        cost = [inf] * len(kept)
        split: dict[int, tuple[int, int]] = {}
        for part in range(1, len(kept)):
            low = part & -part
            if part == low:
                cost[part] = 0.0
                continue
            least, last = inf, 0
            rest = other = part ^ low
            while other:
                one = part ^ other
                price = cost[one] + cost[other]
                if price <= least:
                    price += volume(kept[one] | kept[other])
                    # Among equals the split whose second half comes last, which reads from left to right.
                    if price < least or (price == least and other < last):
                        least, last = price, other
                other = (other - 1) & rest
            cost[part] = least + 0.5 * volume(kept[part])
            split[part] = (part ^ last, last)
        return self._tree(len(kept) - 1, split)

    def _tree(self, part: int, split: Mapping[int, tuple[int, int]]) -> Tree:
        if part not in split:
            return self.trees[part.bit_length() - 1]
        one, other = split[part]
        return (self._tree(one, split), self._tree(other, split))

    def _exact(self) -> Tree:
        """Sets of operands by their number; what costs more than the bound is in no cheapest tree."""
        count, volume = len(self.trees), self.volume
        full = (1 << count) - 1
        bound = self._bound() * (1 + ROUNDING)
        kept = self._kept()
        cost = {1 << k: 0.0 for k in range(count)}
        split: dict[int, tuple[int, int]] = {}
        levels: list[list[int]] = [[], list(cost)]
        for size in range(2, count + 1):
            found: dict[int, tuple[float, int]] = {}
            for one, other in _pairs(levels, size, count, cost):
                price = cost[one] + cost[other] + volume(kept[one] | kept[other])
                if price > bound:
                    continue
                part = one | other
                if not one & part & -part:
                    one, other = other, one
                # Among equals the split whose second half comes last, which reads from left to right.
                if part not in found or (price, other) < found[part]:
                    found[part] = (price, other)
            for part, (price, other) in found.items():
                cost[part] = price + 0.5 * volume(kept[part])
                split[part] = (part ^ other, other)
            levels.append(list(found))

        return self._tree(full, split)


def _pairs(
    levels: Sequence[Sequence[int]], size: int, count: int, known: Mapping[int, float]
) -> Iterator[tuple[int, int]]:
    """Disjoint parts that are `size` operands together, each pair once, in whichever way is shorter."""
    halves = [(levels[k], levels[size - k]) for k in range(1, size // 2 + 1)]
    if sum(len(a) * len(b) for a, b in halves) <= comb(count, size) << (size - 1):
        for few, many in halves:
            for one in few:
                for other in many:
                    if not one & other and (few is not many or one < other):
                        yield one, other
        return
    for part in range(1, 1 << count):
        if part.bit_count() != size:
            continue
        low = part & -part
        other = rest = part ^ low
        while other:
            if other in known and part ^ other in known:
                yield part ^ other, other
            other = (other - 1) & rest
