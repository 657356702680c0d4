"""Entries moved, repeated and regrouped: reshape, transpose, tile, roll, pad and their like.

In: expressions, sizes and axes. Out: products with constant tensors of zeros and ones (select, merge), so
that none of these functions needs a derivative rule. Sizes may be named ones wherever NumPy takes a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr import nodes
from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Shape, as_expr
from chainrule.language.axes import Axis, named_axes, one_axis
from chainrule.language.subscripts import Item, Range, subscript
from chainrule.rules import constants

UNIT = Dim.of(1)
# Up to here parts are slices, which read well; more of them are one reshape.
MANY_PARTS = 16


def _listed(given: Sequence[Any]) -> tuple[Any, ...]:
    """f(x, 1, 0) and f(x, (1, 0)) alike."""
    if len(given) == 1 and isinstance(given[0], tuple | list):
        return tuple(given[0])
    return tuple(given)


def _whole(value: Any, what: str) -> int:
    """An integer, where a named size has no meaning."""
    count = Dim.of(value).constant if isinstance(value, int | str | Dim) else None
    if count is None:
        raise ShapeMismatch(f"{what} is an integer, not {value}", hint="write a number")
    return count


def _order(given: Sequence[Any], rank: int) -> tuple[int, ...]:
    return tuple(_whole(a, "an axis") for a in _listed(given)) or tuple(reversed(range(rank)))


# ---------------------------------------------------------------- the order of axes


def transpose(x: Any, *axes: Any) -> Expr:
    """The axes in reverse order, or in the order that is given: transpose(X, (0, 2, 1))."""
    expr = as_expr(x)
    order = named_axes(expr, _order(axes, expr.rank))
    if len(order) != expr.rank:
        raise ShapeMismatch(
            f"transpose names {len(order)} of {expr.rank} axes",
            hint="name every axis once; swapaxes(X, 0, 1) swaps two",
        )
    return nodes.permute(expr, order)


def swapaxes(x: Any, first: Any, second: Any) -> Expr:
    """Two axes change places."""
    expr = as_expr(x)
    a, b = (one_axis(expr, _whole(axis, "an axis")) for axis in (first, second))
    order = list(range(expr.rank))
    order[a], order[b] = b, a
    return nodes.permute(expr, order)


def moveaxis(x: Any, source: Any, destination: Any) -> Expr:
    """One axis, or several, at another place, the others in their order."""
    expr = as_expr(x)
    pairs = [
        named_axes(expr, tuple(_whole(a, "an axis") for a in _listed([part])))
        for part in (source, destination)
    ]
    if len(pairs[0]) != len(pairs[1]):
        raise ShapeMismatch("moveaxis has as many places as axes", hint="moveaxis(X, (0, 1), (1, 2))")
    order = [a for a in range(expr.rank) if a not in pairs[0]]
    for place, axis in sorted(zip(pairs[1], pairs[0], strict=True)):
        order.insert(place, axis)
    return nodes.permute(expr, order)


def expand_dims(x: Any, axis: Axis) -> Expr:
    """A new axis of size 1 at each place named."""
    expr = as_expr(x)
    count = len(axis) if isinstance(axis, tuple) else 1
    new = named_axes(expr, 0 if axis is None else axis, count)
    rank = expr.rank + count
    kept = [a for a in range(rank) if a not in new]
    return Einsum(ONE, (expr,), (kept,), range(rank), dict.fromkeys(new, UNIT))


def squeeze(x: Any, axis: Axis = None) -> Expr:
    """Without its axes of size 1, or without those named."""
    expr = as_expr(x)
    gone = [a for a in named_axes(expr, axis) if axis is not None or expr.shape[a].constant == 1]
    for a in gone:
        nodes.require_same(expr.shape[a], UNIT, "differ: only an axis of size 1 is squeezed away")
    return Einsum(ONE, (expr,), (range(expr.rank),), [a for a in range(expr.rank) if a not in gone])


def flip(x: Any, axis: Axis = None) -> Expr:
    """The entries in reverse order, along all axes or those named."""
    expr = as_expr(x)
    axes = named_axes(expr, axis)
    return subscript(expr, [Range(step=-1) if a in axes else Range() for a in range(expr.rank)])


# ---------------------------------------------------------------- reshape


def reshape(x: Any, *shape: Any) -> Expr:
    """The entries in row-major order in another shape; one size may be −1.

    >>> from chainrule.expr.nodes import Variable
    >>> reshape(Variable("X", (Dim.of("n"), Dim.of(6))), "n", 2, -1).shape
    (Dim(n), Dim(2), Dim(3))
    """
    expr = as_expr(x)
    wanted = _completed(expr.shape, [Dim.of(d) for d in _listed(shape)])
    nodes.require_same(_count(expr.shape), _count(wanted), "entries: reshape keeps their number")
    labels, targets, sizes, operands, on = _regrouped(expr.shape, wanted)
    return Einsum(ONE, [expr, *operands], [labels, *on], targets, sizes)


def flatten(x: Any) -> Expr:
    """All entries in one vector, the last axis fastest."""
    expr = as_expr(x)
    return reshape(expr, _count(expr.shape))


def _count(shape: Sequence[Dim]) -> Dim:
    return reduce(lambda a, b: a * b, shape, UNIT)


def _completed(shape: Shape, wanted: list[Dim]) -> Shape:
    """The wanted shape with its −1 worked out."""
    open_ = [k for k, d in enumerate(wanted) if d.constant == -1]
    if len(open_) > 1:
        raise ShapeMismatch("only one size of a reshape can be −1", hint="write the others")
    if any(d.constant is not None and d.constant < 1 and k not in open_ for k, d in enumerate(wanted)):
        raise ShapeMismatch("sizes count from 1", hint="−1 stands for the size that fits")
    if open_:
        rest = _count([d for k, d in enumerate(wanted) if k not in open_])
        quotient = _quotient(_count(shape), rest)
        if quotient is None:
            raise ShapeMismatch(
                f"{rest} does not divide {_count(shape)}, so −1 has no size", hint="write the sizes"
            )
        wanted[open_[0]] = quotient
    return tuple(wanted)


def _quotient(a: Dim, b: Dim) -> Dim | None:
    """a/b, if that is a size whatever the named ones are."""
    ratio = Coefficient.of(a) * Coefficient.of(b) ** -1
    if ratio.rational.denominator != 1 or any(e < 0 for _, e in ratio.powers):
        return None
    return reduce(
        lambda p, q: p * q, (d for d, e in ratio.powers for _ in range(e)), Dim.of(int(ratio.rational))
    )


def _regrouped(
    before: Shape, after: Shape
) -> tuple[list[int], list[int], dict[int, Dim], list[Expr], list[tuple[int, ...]]]:
    """Labels of the old axes and of the new ones, with merges between them where they differ.

    Axes are taken apart into common parts as far as that goes: N × hd to N × h × d is one merge(h, d).
    """
    sizes: dict[int, Dim] = {}
    operands: list[Expr] = []
    on: list[tuple[int, ...]] = []

    def label(dim: Dim) -> int:
        sizes[len(sizes)] = dim
        return len(sizes) - 1

    def merged(parts: list[int], dim: Dim) -> int:
        if len(parts) == 1:
            return parts[0]
        whole = label(dim)
        operands.append(Apply(constants.MERGE, (), tuple(sizes[p] for p in parts)))
        on.append((whole, *parts))
        return whole

    old, new = _groups(before, after)
    sides: list[dict[int, int]] = [{}, {}]
    for mine, theirs in zip(old, new, strict=True):
        parts = _common_parts([before[a] for a in mine], [after[a] for a in theirs])
        if parts is not None:
            fine = [label(dim) for dim in parts[0]]
            cuts = parts[1:]
        else:
            flat = label(_count([before[a] for a in mine]))
            for side, axes, shape in ((sides[0], mine, before), (sides[1], theirs, after)):
                whole = tuple(label(shape[a]) for a in axes)
                operands.append(Apply(constants.MERGE, (), tuple(shape[a] for a in axes)))
                on.append((flat, *whole))
                side.update(zip(axes, whole, strict=True))
            continue
        for side, axes, shape, cut in (
            (sides[0], mine, before, cuts[0]),
            (sides[1], theirs, after, cuts[1]),
        ):
            for axis, (start, stop) in zip(axes, cut, strict=True):
                side[axis] = merged(fine[start:stop], shape[axis])
    for side, shape in zip(sides, (before, after), strict=True):
        for axis, dim in enumerate(shape):
            if axis not in side:
                side[axis] = label(dim)  # an axis of size 1
    order = [[side[a] for a in range(len(shape))] for side, shape in zip(sides, (before, after), strict=True)]
    return order[0], order[1], sizes, operands, on


def _groups(before: Shape, after: Shape) -> tuple[list[list[int]], list[list[int]]]:
    """Runs of axes with as many entries on both sides, axes of size 1 left out."""
    left = [a for a, d in enumerate(before) if d != UNIT]
    right = [a for a, d in enumerate(after) if d != UNIT]
    old: list[list[int]] = []
    new: list[list[int]] = []
    while left:
        found = next(
            (p, q)
            for total in range(2, len(left) + len(right) + 1)
            for p in range(1, total)
            for q in [total - p]
            if p <= len(left)
            and q <= len(right)
            and _count([before[a] for a in left[:p]]) == _count([after[a] for a in right[:q]])
        )
        old.append(left[: found[0]])
        new.append(right[: found[1]])
        left, right = left[found[0] :], right[found[1] :]
    return old, new


Cuts = list[tuple[int, int]]


def _common_parts(before: list[Dim], after: list[Dim]) -> tuple[list[Dim], Cuts, Cuts] | None:
    """Sizes of which both lists are runs, and where each size of each list begins and ends among them."""
    parts: list[Dim] = []
    ends: tuple[list[int], list[int]] = ([], [])
    rests = [list(before), list(after)]
    while rests[0] and rests[1]:
        a, b = rests[0][0], rests[1][0]
        if a == b:
            parts.append(a)
            for side in (0, 1):
                rests[side].pop(0)
                ends[side].append(len(parts))
        elif (quotient := _quotient(a, b)) is not None:
            parts.append(b)
            rests[0][0] = quotient
            rests[1].pop(0)
            ends[1].append(len(parts))
        elif (quotient := _quotient(b, a)) is not None:
            parts.append(a)
            rests[1][0] = quotient
            rests[0].pop(0)
            ends[0].append(len(parts))
        else:
            return None
    cuts = [list(zip([0, *end[:-1]], end, strict=True)) for end in ends]
    return parts, cuts[0], cuts[1]


def split(x: Any, parts: Any, axis: int = 0) -> Expr:
    """As many parts of equal size as are asked for, along an axis; split(x, 2)[0] is the first of two.

    >>> from chainrule.expr.nodes import Variable
    >>> split(Variable("X", (Dim.of("n"), Dim.of(6))), 2, axis=1).shape
    (Dim(2), Dim(n), Dim(3))
    """
    expr = as_expr(x)
    if isinstance(parts, tuple | list):
        raise ShapeMismatch("split takes a number of equal parts", hint="x[:2] and x[2:] are other parts")
    a, count = one_axis(expr, _whole(axis, "an axis")), Dim.of(parts)
    size = expr.shape[a]
    each = _quotient(size, count) if count.constant is None or count.constant > 0 else None
    if each is None:
        raise ShapeMismatch(
            f"{size} entries have no {count} parts of one size",
            dims=(size, count),
            hint="x[:2] and x[2:] are parts of any size",
        )
    if count.constant is None or count.constant > MANY_PARTS:
        return moveaxis(reshape(expr, *expr.shape[:a], count, each, *expr.shape[a + 1 :]), a, 0)
    ends = [each * Dim.of(k) for k in range(count.constant + 1)]
    return nodes.Stack([_part(expr, a, Range(start, stop)) for start, stop in pairwise(ends)])


# ---------------------------------------------------------------- repeated and moved entries


def tile(x: Any, *times: Any) -> Expr:
    """Copies side by side: tile(x, 3) is x, x, x; a matrix has a count for each axis."""
    expr = as_expr(x)
    counts = [Dim.of(t) for t in _listed(times)]
    if len(counts) > expr.rank:
        expr = expand_dims(expr, tuple(range(len(counts) - expr.rank)))
    counts = [UNIT] * (expr.rank - len(counts)) + counts
    for axis, count in enumerate(counts):
        expr = _multiplied(expr, axis, count, whole=True)
    return expr


def repeat(x: Any, times: Any, axis: int | None = None) -> Expr:
    """Each entry several times in a row, along an axis; repeat(x, 2) of a matrix flattens it first."""
    expr = as_expr(x)
    if axis is None:
        expr = expr if expr.rank == 1 else flatten(expr)
    return _multiplied(expr, one_axis(expr, 0 if axis is None else axis), Dim.of(times), whole=False)


def _multiplied(x: Expr, axis: int, count: Dim, *, whole: bool) -> Expr:
    """Along one axis `count` copies of all (`whole`), or of each entry."""
    size = x.shape[axis]
    if count.constant is not None and count.constant < 1:
        raise ShapeMismatch(f"{count} copies are none", hint="the number of copies counts from 1")
    if count == UNIT:
        return x
    made, copy = x.rank, x.rank + 1
    if size == UNIT:
        output = [copy if a == axis else a for a in range(x.rank)]
        return Einsum(ONE, (x,), (range(x.rank),), output, {copy: count})
    parts = (count, size) if whole else (size, count)
    labels = (made, *((copy, axis) if whole else (axis, copy)))
    output = [made if a == axis else a for a in range(x.rank)]
    return Einsum(ONE, (x, Apply(constants.MERGE, (), parts)), (range(x.rank), labels), output)


def roll(x: Any, shift: Any, axis: int | None = None) -> Expr:
    """The entries moved on by `shift` places along an axis, the last ones to the front."""
    expr = as_expr(x)
    if axis is None and expr.rank != 1:
        return reshape(roll(flatten(expr), shift), *expr.shape)
    a = one_axis(expr, 0 if axis is None else axis)
    size, moved = expr.shape[a], Dim.of(shift)
    if size.constant is not None and moved.constant is not None:
        moved = Dim.of(moved.constant % size.constant)
    backwards = moved.constant is not None and moved.constant < 0
    if not moved.terms:
        return expr
    first = size - moved if not backwards else -moved
    head = _part(expr, a, Range(first, None))
    tail = _part(expr, a, Range(None, first))
    return nodes.add(placed(head, Dim.of(0), size, a), placed(tail, size - first, size, a))


def _part(x: Expr, axis: int, wanted: Range) -> Expr:
    items: list[Item] = [Range()] * axis
    return subscript(x, [*items, wanted])


def pad(x: Any, width: Any) -> Expr:
    """Zeros before and after: pad(x, 2), pad(x, (1, 2)), or a pair for each axis."""
    expr = as_expr(x)
    for axis, (before, after) in enumerate(_widths(width, expr.rank)):
        for size in (before, after):
            if size.constant is not None and size.constant < 0:
                raise ShapeMismatch("a padding is not negative", hint="x[1:-1] takes entries away")
        total = before + expr.shape[axis] + after
        if total != expr.shape[axis]:
            expr = placed(expr, before, total, axis)
    return expr


def _widths(width: Any, rank: int) -> list[tuple[Dim, Dim]]:
    if not isinstance(width, tuple | list):
        return [(Dim.of(width), Dim.of(width))] * rank
    if any(isinstance(pair, tuple | list) for pair in width):
        pairs = [tuple(pair) if isinstance(pair, tuple | list) else (pair, pair) for pair in width]
        if len(pairs) != rank or any(len(pair) != 2 for pair in pairs):
            raise ShapeMismatch("pad has a pair for each axis", hint="pad(X, ((1, 1), (0, 2)))")
        return [(Dim.of(before), Dim.of(after)) for before, after in pairs]
    if len(width) != 2:
        raise ShapeMismatch("a padding is a number or a pair", hint="pad(x, (1, 2))")
    return [(Dim.of(width[0]), Dim.of(width[1]))] * rank


def placed(part: Expr, start: Dim, total: Dim, axis: int) -> Expr:
    """`part` at its place in a longer axis of zeros."""
    if part.shape[axis] == total:
        return part
    rows = Apply(constants.SELECT, (), (start, 1, part.shape[axis], total))
    output = [part.rank if a == axis else a for a in range(part.rank)]
    return Einsum(ONE, (rows, part), ((axis, part.rank), range(part.rank)), output)


# ---------------------------------------------------------------- einsum


def ellipsis_letters(inputs: list[str], output: str | None, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The specification of an einsum with letters in the place of ..., which stands for leading axes.

    >>> ellipsis_letters(["...ij", "...j"], "...i", [4, 3])
    (['ABij', 'ABj'], 'ABi')
    """
    used = set("".join(inputs)) | set(output or "")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if c not in used]
    counts = [rank - len(part.replace("...", "")) for part, rank in zip(inputs, ranks, strict=True)]
    open_ = [count for part, count in zip(inputs, counts, strict=True) if "..." in part]
    most = max(open_, default=0)
    if any(count < 0 for count in open_) or most > len(spare):
        raise ShapeMismatch(
            "an operand of einsum has fewer axes than letters", hint="... stands for the rest"
        )
    block = "".join(spare[:most])
    filled = [
        part.replace("...", block[most - count :]) if "..." in part else part
        for part, count in zip(inputs, counts, strict=True)
    ]
    if output is None:
        joined = "".join(part.replace("...", "") for part in inputs)
        return filled, block + "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    return filled, output.replace("...", block)
