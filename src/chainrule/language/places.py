"""Conditions on indices, [k = i + 1], [i = 2], [k ≤ i]: entries of tensors of zeros and ones.

In: what stands in the brackets, as syntax; later the sizes of the indices. Out: a node of the syntax tree;
then rows of the identity, a basis vector, a triangle of ones. Indices count from 1, as those below a line do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

from chainrule.errors import ShapeMismatch, Span
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, constant_of, number
from chainrule.language.syntax import Add, Binary, Name, Node, Number, Place, Prefix
from chainrule.rules.constants import BASIS, SELECT
from chainrule.rules.factors import lower_mask
from chainrule.rules.indexing import WINDOW

SIGNS = frozenset({"=", "==", "<=", ">="})
LETTER = re.compile("[i-t]")
UNIT = Dim.of(1)


def index_condition(node: Node, span: Span) -> Place | None:
    """The condition on indices that `node` is; None for any other condition."""
    if not isinstance(node, Binary) or node.symbol not in SIGNS:
        return None
    sides = [_linear(node.left), _linear(node.right)]
    if sides[0] is None or sides[1] is None:
        return None
    total = dict(sides[0])
    for name, count in sides[1].items():
        total[name] = total.get(name, 0) - count
    terms = {name: count for name, count in total.items() if count}
    if not any(map(LETTER.fullmatch, terms)):
        return None
    return Place(span, node.symbol, tuple(terms.items()))


def _linear(node: Node) -> dict[str, int] | None:
    """Names with the integers they are multiplied by, "" for the constant: 2i − 1."""
    match node:
        case Number() if node.value.denominator == 1:
            return {"": int(node.value)}
        case Name():
            return {node.name: 1}
        case Prefix(symbol="-"):
            inner = _linear(node.operand)
            return None if inner is None else {name: -count for name, count in inner.items()}
        case Binary(symbol="" | "*" | "·", left=Number() as factor) if factor.value.denominator == 1:
            inner = _linear(node.right)
            return None if inner is None else {k: int(factor.value) * c for k, c in inner.items()}
        case Add():
            total: dict[str, int] = {}
            for term, sign in zip(node.terms, node.signs, strict=True):
                part = _linear(term)
                if part is None:
                    return None
                for name, count in part.items():
                    total[name] = total.get(name, 0) + sign * count
            return total
        case _:
            return None


def placed(place: Place, letters: Sequence[str], size: Callable[[str], Dim]) -> Expr:
    """The tensor of zeros and ones, with an axis for each letter; raises ShapeMismatch."""
    counts = dict(place.terms)
    constant = Dim.of(0)
    for name, count in place.terms:
        if name not in letters:
            constant = constant + Dim.of(count) * (Dim.of(name) if name else UNIT)
    sizes = [size(letter) for letter in letters]
    if any(name.startswith("?") for dim in sizes for name in dim.names):
        return number(1, sizes)  # a stand-in of the same shape, as long as sizes are looked for
    if len(letters) == 1:
        (letter,) = letters
        if place.sign == "<=" and counts[letter] == 1 and sizes[0] == -constant:
            return number(1, sizes)
        if place.sign == "==" and abs(counts[letter]) == 1:
            index = constant if counts[letter] < 0 else -constant
            return Apply(BASIS, (), (_inside(index - UNIT, sizes[0], letter), sizes[0]))
    elif len(letters) == 2:
        for a, b in ((0, 1), (1, 0)):
            first, second = letters[a], letters[b]
            if place.sign == "==" and abs(counts[second]) == 1:
                # second = step · first + offset, counted from 1
                turn = -counts[second]
                made = _rows(turn * counts[first], Dim.of(turn) * constant, sizes[a], sizes[b])
                if made is not None:
                    return made if a < b else made.T
        rising = {"<=": -1, ">=": 1}.get(place.sign, 0)
        pair = {rising * counts[letter] for letter in letters}
        offset = (Dim.of(rising) * constant).constant
        if rising and pair == {1, -1} and offset is not None:
            row = next(k for k, letter in enumerate(letters) if rising * counts[letter] == 1)
            mask = Apply(lower_mask, (), (offset, sizes[row], sizes[1 - row]))
            return mask if row == 0 else mask.T
    elif len(letters) == 3 and place.sign == "==":
        for b in (2, 1, 0):
            turn, others = -counts[letters[b]], [a for a in range(3) if a != b]
            factors = [turn * counts[letters[a]] for a in others]
            if abs(turn) == 1 and min(factors) > 0:
                # entry = stride · t + dilation · k − padding, counted from 0
                padding = Dim.of(1 - sum(factors)) - Dim.of(turn) * constant
                parameters = (*(sizes[a] for a in others), *factors, padding, sizes[b])
                return Einsum(ONE, (Apply(WINDOW, (), parameters),), ((*others, b),), (0, 1, 2))
    raise ShapeMismatch(
        "this condition on indices is not read",
        hint="write [i = 2], [k = i + 1], [k = 2i − 1], [k = 2i + j − 2] or [k ≤ i]",
    )


def bound(place: Place, letters: Sequence[str]) -> Dim | None:
    """The size of the letter in [k ≤ 3]; None for other conditions."""
    counts = dict(place.terms)
    if place.sign != "<=" or len(letters) != 1 or counts[letters[0]] != 1:
        return None
    rest = [Dim.of(-count) * (Dim.of(name) if name else UNIT) for name, count in place.terms]
    return reduce(add, (dim for (name, _), dim in zip(place.terms, rest, strict=True) if name != letters[0]))


def _inside(index: Dim, size: Dim, letter: str) -> Dim:
    if not (index.is_nonnegative and (size - index - UNIT).is_nonnegative):
        raise ShapeMismatch(f"{letter} = {index + UNIT} is outside 1 to {size}", hint="indices count from 1")
    return index


def _rows(step: int, offset: Dim, rows: Dim, columns: Dim) -> Expr | None:
    """The matrix with 1 where column = step · row + offset, both counted from 1; None if it is not found."""
    if not step:
        return None
    start = offset + Dim.of(step) - UNIT
    last = start + Dim.of(step) * (rows - UNIT)
    low, high = (start, last) if step > 0 else (last, start)
    if low.is_nonnegative and (columns - high - UNIT).is_nonnegative:
        return Apply(SELECT, (), (start, step, rows, columns))
    if step != 1:
        return None
    # Only some rows have their column: those from `skipped` on, as many as the shorter of the two has left.
    skipped = Dim.of(0) if start.is_nonnegative else -start
    ends = [rows, columns - start]
    end = next((e for e in ends if all((other - e).is_nonnegative for other in ends)), None)
    if end is None or not (end - skipped - UNIT).is_nonnegative:
        return None
    count = end - skipped
    here = Apply(SELECT, (), (skipped, 1, count, rows))
    there = Apply(SELECT, (), (skipped + start, 1, count, columns))
    return Einsum(ONE, (here, there), ((0, 1), (0, 2)), (1, 2))


def stacked(parts: Sequence[Expr], fresh: Callable[[int], Dim], join: Callable[..., Expr]) -> Expr:
    """[w; b] and [I; 0]: parts one below the other; beside a matrix 0 stands for rows of zeros."""
    matrices = [part for part in parts if part.rank == 2]
    if not matrices:
        return join(*parts)
    columns = matrices[0].shape[1]
    full = []
    for k, part in enumerate(parts):
        constant = constant_of(part)
        zero = not part.rank and constant is not None and constant.is_zero
        full.append(number(0, (fresh(k), columns)) if zero else part)
    return join(*full)
