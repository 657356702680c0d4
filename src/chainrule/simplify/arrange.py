"""The canonical order of the factors and labels of a product, by colour refinement on its label graph."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Einsum, Labels
from chainrule.simplify.work import Factor

if TYPE_CHECKING:
    from chainrule.simplify.product import Product


def ordered(
    product: Product, coefficient: Coefficient, factors: list[Factor], output: Labels, sizes: dict[int, Dim]
) -> Einsum:
    """The einsum with factors and labels in canonical order, by colour refinement on the label graph."""
    normal = product.normal
    skew, symmetric = [False] * len(factors), [False] * len(factors)
    for k, (f, axes) in enumerate(factors):
        if len(axes) == 2 and axes[0] != axes[1]:
            skew[k] = normal.has(f, "skew")
            symmetric[k] = skew[k] or normal.is_symmetric(f)
    if not any(symmetric) and len({f for f, _ in factors}) == len(factors):
        if len(factors) > 1:
            factors = sorted(factors, key=lambda part: part[0].digest)
        return Einsum(coefficient, [f for f, _ in factors], [a for _, a in factors], output, sizes)
    ranks = {digest: k for k, digest in enumerate(sorted({f.digest for f, _ in factors}))}
    number: dict[int, int] = {}
    parts = tuple(
        [
            (ranks[f.digest], tuple([number.setdefault(a, len(number)) for a in axes]), free)
            for (f, axes), free in zip(factors, symmetric, strict=True)
        ]
    )
    kept = tuple([number.setdefault(a, len(number)) for a in output])
    found = product.colours.get((parts, kept))
    if found is None:
        found = product.colours[parts, kept] = _colours(parts, kept, len(number))
    colours = dict(zip(number, found, strict=True))
    arranged: list[tuple[int, Labels, Factor]] = []
    for (rank, _, free), (f, axes), turns in zip(parts, factors, skew, strict=True):
        if free and colours[axes[0]] > colours[axes[1]]:
            axes = (axes[1], axes[0])
            if turns:
                coefficient = -coefficient
        elif free and colours[axes[0]] == colours[axes[1]] and not turns:
            axes = (min(axes), max(axes))
        arranged.append((rank, tuple([colours[a] for a in axes]), (f, axes)))
    arranged.sort(key=itemgetter(0, 1))
    operands, labels = zip(*[part for *_, part in arranged], strict=True)
    return Einsum(coefficient, operands, labels, output, sizes)


def _colours(parts: Sequence[tuple[int, Labels, bool]], output: Labels, count: int) -> list[int]:
    """The place of each label among the labels, as the factors that carry it and the output show it.

    Factors are given by their rank, labels are 0, 1, …; of a factor that is `free` the labels may be swapped.
    """
    colours = _ranked([tuple([p for p, b in enumerate(output) if a == b]) for a in range(count)])
    for _ in range(min(4, count)):
        if len(set(colours)) == count:
            break
        seen: list[list[tuple[int, int, Labels]]] = [[] for _ in colours]
        for rank, axes, free in parts:
            around = tuple([colours[b] for b in axes])
            if free:
                around = tuple(sorted(around))
            for p, a in enumerate(axes):
                seen[a].append((rank, -1 if free else p, around))
        # A colour never leaves its place among the others, so that what stays apart or together is final.
        refined = _ranked([(colours[a], tuple(sorted(seen[a]))) for a in range(count)])
        if refined == colours:
            break
        colours = refined
    return colours


def _ranked(marks: Sequence[Any]) -> list[int]:
    rank = {mark: k for k, mark in enumerate(sorted(set(marks)))}
    return [rank[mark] for mark in marks]
