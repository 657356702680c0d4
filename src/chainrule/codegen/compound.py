"""Kronecker products and sums of matrices that are kept by their structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any, cast

import numpy as np

from chainrule.codegen.operators import Array, Diagonal, LowRank, Sizes, Structured, singular


@dataclass(slots=True, eq=False, repr=False)
class Kronecker(Structured):
    """scale · M₁ ⊗ M₂ ⊗ …, each factor on axes of its own, in any order.

    `left[k]` are the labels of the row axes of factor k, `right[k]` those of its column axes; `up` and `down`
    are the labels of all rows and all columns in order. A label twice in `up` or `down` is a diagonal of the
    array there. Two factors with left ((0,), (1,)) and right ((0,), (1,)) are the usual product; with right
    ((1,), (0,)) the columns are those of the transposed array.
    """

    parts: Sequence[Structured]
    left: Sequence[Sizes]
    right: Sequence[Sizes]
    up: Sizes
    down: Sizes
    scale: Any = 1.0

    def _extent(self, labels: Sequence[Sizes], shapes: Sequence[Sizes]) -> dict[int, int]:
        return {
            a: n for own, shape in zip(labels, shapes, strict=True) for a, n in zip(own, shape, strict=True)
        }

    @property
    def rows(self) -> Sizes:
        extent = self._extent(self.left, [part.rows for part in self.parts])
        return tuple(extent[a] for a in self.up)

    @property
    def columns(self) -> Sizes:
        extent = self._extent(self.right, [part.columns for part in self.parts])
        return tuple(extent[a] for a in self.down)

    @property
    def dtype(self) -> Any:
        return np.result_type(self.scale, *(part.dtype for part in self.parts))

    @property
    def T(self) -> Kronecker:  # noqa: N802
        turned = [part.T for part in self.parts]
        return Kronecker(turned, self.right, self.left, self.down, self.up, self.scale)

    def _times(self, x: Array) -> Array:
        count = x.shape[1]
        value = _on_axes(x.reshape(*self.columns, count), self.down)
        axes = list(dict.fromkeys(self.down))
        order = sorted(range(len(self.parts)), key=lambda k: self.parts[k].shape[0] / self.parts[k].shape[1])
        pairs = [(self.parts[k]._times, self.parts[k].rows, self.left[k], self.right[k]) for k in order]
        value = _each(value, axes, pairs, dict.fromkeys(self.up))
        return cast(Array, self.scale * _spread(value, self.up).reshape(self.shape[0], count))

    def _dense(self) -> Array:
        up, down = tuple(dict.fromkeys(self.up)), tuple(dict.fromkeys(self.down))
        number = {("row", a): k for k, a in enumerate(up)}
        number.update({("column", a): len(up) + k for k, a in enumerate(down)})
        arguments: list[Any] = []
        for part, left, right in zip(self.parts, self.left, self.right, strict=True):
            axes = [*(number["row", a] for a in left), *(number["column", a] for a in right)]
            arguments += [part._dense(), axes]
        whole = self.scale * np.einsum(*arguments, list(range(len(number))))
        if len(up) + len(down) == len(self.up) + len(self.down):
            return cast(Array, whole)
        places = [*(number["row", a] for a in self.up), *(number["column", a] for a in self.down)]
        out = np.zeros(self.rows + self.columns, self.dtype)
        np.einsum(out, places, list(range(len(number))))[...] = whole
        return out

    def _diagonal(self) -> Array:
        if len({*self.up}) < len(self.up) or len({*self.down}) < len(self.down):
            return Structured._diagonal(self)
        arguments: list[Any] = []
        for part, left, right in zip(self.parts, self.left, self.right, strict=True):
            rows = [self.up.index(a) for a in left]
            columns = [self.down.index(a) for a in right]
            if rows == columns:
                arguments += [part._diagonal(), rows]
            else:
                arguments += [part._dense(), rows + columns]
        return cast(Array, self.scale * np.einsum(*arguments, list(range(len(self.up)))))

    def _solved(self, b: Array) -> Array:
        shapes = [part.shape for part in self.parts]
        if any(p != q for p, q in shapes):
            raise singular("a factor of the Kronecker product is not square")
        if len({*self.up}) < len(self.up) or len({*self.down}) < len(self.down):
            raise singular("some of its rows and columns are 0")
        if not self.scale:
            raise singular("it is 0")
        count = b.shape[1]
        value = b.reshape(*self.rows, count) / self.scale
        pairs = [
            (part._solved, part.columns, right, left)
            for part, left, right in zip(self.parts, self.left, self.right, strict=True)
        ]
        value = _each(value, list(self.up), pairs, dict.fromkeys(self.down))
        return value.reshape(self.shape[1], count)


@dataclass(slots=True, eq=False, repr=False)
class Sum(Structured):
    """The sum of matrices of one shape; a diagonal plus low rank is solved with by Woodbury's identity."""

    terms: Sequence[Structured]

    @property
    def rows(self) -> Sizes:
        return self.terms[0].rows

    @property
    def columns(self) -> Sizes:
        return self.terms[0].columns

    @property
    def dtype(self) -> Any:
        return np.result_type(*(term.dtype for term in self.terms))

    @property
    def T(self) -> Sum:  # noqa: N802
        return Sum([term.T for term in self.terms])

    def _times(self, x: Array) -> Array:
        return reduce(np.add, (term._times(x) for term in self.terms))

    def _dense(self) -> Array:
        total: Array = self.terms[0]._dense().astype(self.dtype, copy=False)
        for term in self.terms[1:]:
            total += term._dense()
        return total

    def _diagonal(self) -> Array:
        return reduce(np.add, (term._diagonal() for term in self.terms))

    def _solved(self, b: Array) -> Array:
        diagonals = [term for term in self.terms if isinstance(term, Diagonal)]
        low = [term for term in self.terms if isinstance(term, LowRank)]
        alike = len({term.batch for term in low}) == 1
        if alike and len(diagonals) + len(low) == len(self.terms) and diagonals:
            d = reduce(np.add, (np.broadcast_to(term.values, term.rows) for term in diagonals))
            if np.all(d):
                return _woodbury(d, [term.factors() for term in low], b)
        return Structured._solved(self, b)


def _woodbury(d: Array, low: Sequence[tuple[Array, Array, Array]], b: Array) -> Array:
    """(D + U C Vᵀ)⁻¹ b = D⁻¹b − D⁻¹U (I + C VᵀD⁻¹U)⁻¹ C VᵀD⁻¹b, for each block."""
    left = np.concatenate([U @ C for U, _, C in low], axis=2)
    right = np.concatenate([V for _, V, _ in low], axis=2).transpose(0, 2, 1)
    count, size, rank = left.shape
    d = d.reshape(count, size, 1)
    plain = b.reshape(count, size, -1) / d
    scaled = left / d
    change = right @ scaled
    small = np.eye(rank, dtype=change.dtype) + change
    least = np.linalg.svd(small, compute_uv=False).min(axis=-1, initial=np.inf)
    rounding = np.finfo(small.dtype).eps
    if np.any(least <= 4 * size * rounding * (1 + np.abs(change).max(axis=(1, 2), initial=0))):
        raise singular("the diagonal and the part of low rank cancel along a direction")
    return (plain - scaled @ np.linalg.solve(small, right @ plain)).reshape(b.shape)


def _each(value: Array, axes: list[int], pairs: Sequence[Any], end: dict[int, None]) -> Array:
    """Factors applied one after another, each to its own axes of the value; the last axis stays."""
    done: list[int] = []
    for apply, shape, out, into in pairs:
        places = [len(done) + axes.index(a) for a in into]
        others = [k for k in range(len(done) + len(axes)) if k not in places]
        moved = value.transpose(*places, *others, value.ndim - 1)
        rest = moved.shape[len(places) :]
        value = apply(moved.reshape(prod(moved.shape[: len(places)]), prod(rest))).reshape(*shape, *rest)
        done = [*out, *done]
        axes = [a for a in axes if a not in into]
    return value.transpose(*(done.index(a) for a in end), value.ndim - 1)


def _on_axes(value: Array, labels: Sizes) -> Array:
    """The diagonal of the axes whose labels repeat; the last axis stays."""
    once = list(dict.fromkeys(labels))
    if len(once) == len(labels):
        return value
    last = max(labels) + 1
    return cast(Array, np.einsum(value, [*labels, last], [*once, last]))


def _spread(value: Array, labels: Sizes) -> Array:
    """The array with the value on the diagonal of axes whose labels repeat, 0 elsewhere."""
    once = list(dict.fromkeys(labels))
    if len(once) == len(labels):
        return value
    out = np.zeros((*(value.shape[once.index(a)] for a in labels), value.shape[-1]), value.dtype)
    last = max(labels) + 1
    np.einsum(out, [*labels, last], [*once, last])[...] = value
    return out
