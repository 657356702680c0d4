"""In which order to contract a product: an exact search over subsets of its operands.

In: the labels of each operand, the labels that are kept, sizes as numbers. Out: a binary tree of operand
numbers. The cost of combining two parts is the product of the sizes of all labels that they carry; what is
summed is summed as soon as no other operand carries it. Beyond LIMIT operands the cheapest pairs are
combined first until LIMIT are left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from chainrule.expr.dims import Dim

Tree = int | tuple["Tree", "Tree"]
LIMIT = 8
BIG, MEDIUM = 10_000.0, 100.0


def assumed_size(dim: Dim, sizes: Mapping[str, int]) -> float:
    """The number that a size is taken for: as given, else 10 000 for capitals (N) and 100 for others (n)."""
    values = {name: sizes.get(name, int(BIG if name[:1].isupper() else MEDIUM)) for name in dim.names}
    return float(max(1, dim.evaluate(values)))


def contraction_tree(
    operands: Sequence[Sequence[int]], kept: Sequence[int], size: Callable[[int], float]
) -> Tree:
    """The cheapest tree of pairwise combinations.

    >>> contraction_tree([(0, 1), (1, 2), (2,)], (0,), lambda label: 10.0)
    (0, (1, 2))
    """
    bits = {
        label: 1 << k
        for k, label in enumerate(dict.fromkeys([*(a for axes in operands for a in axes), *kept]))
    }
    lengths = [size(label) for label in bits]

    def mask(labels: Sequence[int]) -> int:
        total = 0
        for label in labels:
            total |= bits[label]
        return total

    @cache
    def volume(labels: int) -> float:
        product, k = 1.0, 0
        while labels:
            if labels & 1:
                product *= lengths[k]
            labels >>= 1
            k += 1
        return product

    trees: list[Tree] = list(range(len(operands)))
    carried = [mask(axes) for axes in operands]
    target = mask(kept)
    while len(trees) > LIMIT:
        _combine_cheapest(trees, carried, target, volume)
    return _search(trees, carried, target, volume)


def _outside(carried: Sequence[int], target: int, inside: Sequence[int]) -> int:
    labels = target
    for k, axes in enumerate(carried):
        if k not in inside:
            labels |= axes
    return labels


def _combine_cheapest(
    trees: list[Tree], carried: list[int], target: int, volume: Callable[[int], float]
) -> None:
    best: tuple[float, float, int, int] | None = None
    for i in range(len(trees)):
        for j in range(i + 1, len(trees)):
            if best is not None and not carried[i] & carried[j]:
                continue
            both = carried[i] | carried[j]
            left = both & _outside(carried, target, (i, j))
            cost = (volume(left) - volume(carried[i]) - volume(carried[j]), volume(both), i, j)
            if best is None or cost < best:
                best = cost
    assert best is not None
    _, _, i, j = best
    left = (carried[i] | carried[j]) & _outside(carried, target, (i, j))
    trees[i], carried[i] = (trees[i], trees[j]), left
    del trees[j], carried[j]


def _search(
    trees: Sequence[Tree], carried: Sequence[int], target: int, volume: Callable[[int], float]
) -> Tree:
    count = len(trees)
    if count == 1:
        return trees[0]
    if count == 2:
        return (trees[0], trees[1])
    full = (1 << count) - 1
    union = [0] * (full + 1)
    for part in range(1, full + 1):
        low = part & -part
        union[part] = union[part ^ low] | carried[low.bit_length() - 1]
    kept = [union[part] & (union[full ^ part] | target) for part in range(full + 1)]
    cost: list[float] = [0.0] * (full + 1)
    best: list[Tree] = [0] * (full + 1)
    for part in range(1, full + 1):
        low = part & -part
        if part == low:
            best[part] = trees[low.bit_length() - 1]
            continue
        cheapest = float("inf")
        rest = part ^ low
        other = rest
        while other:
            one = part ^ other
            # The result is written once and read once more: among equal costs, small intermediates win.
            price = cost[one] + cost[other] + volume(kept[one] | kept[other])
            if price <= cheapest:  # among equals the later one, which reads from left to right
                cheapest, best[part] = price, (best[one], best[other])
            other = (other - 1) & rest
        cost[part] = cheapest + 0.5 * volume(kept[part])
    return best[full]
