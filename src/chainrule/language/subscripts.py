"""x[0], X[:, 1:3], x[None]: contractions with rows of the identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, number
from chainrule.rules import constants
from chainrule.rules.indexing import index_bound, one_hot


@dataclass(frozen=True, slots=True)
class Range:
    """start:stop:step, each absent or a size."""

    start: Dim | None = None
    stop: Dim | None = None
    step: int = 1


Item = Dim | Range | Expr | tuple[Dim, ...] | None
# x[..., 0]: all axes that no other item takes.
REST = Range(step=0)


def subscript(x: Expr, items: Sequence[Item]) -> Expr:
    """The entries of `x` that NumPy's x[items] selects; raises ShapeMismatch."""
    used = sum(item is not None and item is not REST for item in items)
    if sum(item is REST for item in items) > 1:
        raise ShapeMismatch("`...` stands twice", hint="it stands for all other axes")
    if used > x.rank:
        raise ShapeMismatch(
            f"too many indices, {used} for {x.rank} ax{'i' if x.rank == 1 else 'e'}s",
            hint="one index for each axis",
        )
    rest = [Range()] * (x.rank - used)
    check_items(items)
    full = [new for item in items for new in (rest if item is REST else [item])]
    full += [] if any(item is REST for item in items) else rest
    operands: list[Expr] = [x]
    labels: list[Sequence[int]] = [range(x.rank)]
    output: list[int] = []
    sizes: dict[int, Dim] = {}
    axis, fresh = 0, x.rank
    for wanted in full:
        if wanted is None:
            output.append(fresh)
            sizes[fresh] = Dim.of(1)
            fresh += 1
            continue
        size = x.shape[axis]
        item = picked(wanted, size) if isinstance(wanted, tuple) else wanted
        if isinstance(item, Expr):
            operands.append(item if isinstance(wanted, tuple) else one_hot_of(item, size))
            new = list(range(fresh, fresh + operands[-1].rank - 1))
            labels.append([*new, axis])
            output += new
            fresh += len(new)
        elif isinstance(item, Dim):
            operands.append(position(item, size))
            labels.append([axis])
        else:
            start, step, count = item if isinstance(item, tuple) else resolve(item, size)
            if (start, step, count) == (Dim.of(0), 1, size):
                output.append(axis)
            else:
                operands.append(Apply(constants.SELECT, (), (start, step, count, size)))
                labels.append([fresh, axis])
                output.append(fresh)
                fresh += 1
        axis += 1
    return Einsum(ONE, operands, labels, output, sizes)


def picked(places: tuple[Dim, ...], size: Dim) -> Expr | tuple[Dim, int, Dim]:
    """The rows that a written list names, X[[0, 2, 1]]: start, step and count of a slice, or one-hot rows.

    Raises ShapeMismatch where an entry may be missing.
    """
    for place in places:
        position(place, size)
    known = [size + place if _surely_negative(place) else place for place in places]
    steps = {(b - a).constant for a, b in pairwise(known)} or {1}
    step = steps.pop()
    if not steps and step:
        return known[0], step, Dim.of(len(known))
    for place in known:
        if not (size - place - Dim.of(1)).is_nonnegative:
            raise ShapeMismatch(
                f"an axis of {size} may have no entry {place}",
                dims=(size, place),
                hint="a list of indices needs a known size: declare it as a number, x[6]",
            )
    return Apply(one_hot, (Stack([number(Coefficient.of(place)) for place in known]),), (size,))


def one_hot_of(indices: Expr, size: Dim) -> Expr:
    """The vector of zeros with 1 at each index; raises unless the indices are declared to be below `size`."""
    bound = index_bound(indices)
    if bound is None:
        raise ShapeMismatch(
            "an index is a whole number, and its range must be declared", hint="declare ids[N]:integer(V)"
        )
    if not (size - bound).is_nonnegative:
        raise ShapeMismatch(
            f"indices below {bound} do not fit {size} entries", dims=(bound, size), hint="declare :integer(V)"
        )
    return Apply(one_hot, (indices,), (size,))


def check_items(items: Sequence[Item]) -> None:
    """One array of indices at most, and no index that NumPy would move its axes for."""
    arrays = [k for k, item in enumerate(items) if isinstance(item, Expr | tuple)]
    if len(arrays) > 1:
        raise ShapeMismatch(
            "two arrays of indices in one subscript", hint="pick(P, c) is P[i, c_i] for every i"
        )
    single = [k for k, item in enumerate(items) if isinstance(item, Dim | Expr | tuple)]
    if arrays and single[-1] - single[0] != len(single) - 1:
        raise ShapeMismatch(
            "an index and an array of indices with axes between them", hint="write X[0][:, ids]"
        )


def position(index: Dim, size: Dim) -> Expr:
    """The basis vector of an index, which may be negative or named; raises where no size has that entry."""
    if _surely_negative(size - Dim.of(1) - index) or _surely_negative(size + index):
        raise ShapeMismatch(f"index {index} is outside a vector of {size}", hint="indices count from 0")
    if index.constant is not None:
        return constants.component(index.constant, size)
    return Apply(constants.BASIS, (), (index, size))


def resolve(item: Range, size: Dim) -> tuple[Dim, int, Dim]:
    """Start, step and count of a slice."""
    known = size.constant
    bounds = [item.start, item.stop]
    if known is not None and all(b is None or b.constant is not None for b in bounds):
        ends = [None if b is None else b.constant for b in bounds]
        chosen = range(*slice(ends[0], ends[1], item.step).indices(known))
        if not chosen:
            raise ShapeMismatch("the slice is empty", hint=f"entries count from 0 to {known - 1}")
        return Dim.of(chosen[0]), item.step, Dim.of(len(chosen))
    forward = item.step > 0
    start = _from_end(item.start, size) or (Dim.of(0) if forward else size - Dim.of(1))
    stop = _from_end(item.stop, size) or (size if forward else Dim.of(-1))
    low, high = (start, stop) if forward else (stop + Dim.of(1), start + Dim.of(1))
    if _surely_negative(low) or _surely_negative(size - high):
        raise ShapeMismatch(f"the slice goes beyond the {size} entries", hint="write one that keeps to them")
    span = stop - start if forward else start - stop
    if abs(item.step) != 1:
        if span.constant is None:
            raise ShapeMismatch(
                f"a step of {item.step} needs a known size, not {size}",
                hint="declare the size as a number, x[6]",
            )
        span = Dim.of(-(-span.constant // abs(item.step)))
    if all(count < 0 for _, count in span.terms):
        raise ShapeMismatch("the slice is empty", hint="the stop lies behind the start")
    return start, item.step, span


def _from_end(bound: Dim | None, size: Dim) -> Dim | None:
    if bound is None:
        return None
    return size + bound if _surely_negative(bound) else bound


def _surely_negative(value: Dim) -> bool:
    """Whether it is below 0 for all sizes from 1 on."""
    return (-value - Dim.of(1)).is_nonnegative
