"""Numeric derivatives of an expression at a point, through the reference interpreter.

In: an expression, a point's arrays, a direction for some variables. Out: the directional derivative, by the
complex step where every row is analytic (exact to rounding), by Richardson-extrapolated central differences
else; and mixed derivatives of any order in given directions by Cauchy's integral, that is by differences in
the complex plane. What `stop` holds is held here too. Structures are not: a symmetric matrix is moved entry
by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import factorial
from typing import Any

import numpy as np

from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum
from chainrule.expr.walk import topological
from chainrule.rules.elementwise import stop
from chainrule.rules.table import Row
from chainrule.verify.reference import EPSILON, Array, product_of, value_of

TINY = 1e-100  # the complex step: its square vanishes beside any float
Direction = Mapping[Expr, Array]


class Moving:
    """`expr` as a function of some variables or parts, the rest of the graph evaluated once."""

    def __init__(
        self, expr: Expr, variables: Sequence[Expr], base: Mapping[Expr, Array], sizes: Mapping[str, int]
    ):
        moved: set[Expr] = set(variables)
        self.steps: list[Expr] = []
        for node in topological([expr]):
            if isinstance(node, Apply) and node.function is stop:
                continue
            if any(child in moved for child in node.children):
                moved.add(node)
                self.steps.append(node)
        self.expr, self.base, self.sizes = expr, base, sizes

    def rebased(self, base: Mapping[Expr, Array], sizes: Mapping[str, int]) -> Moving:
        """The same at another point."""
        other = object.__new__(Moving)
        other.steps, other.expr, other.base, other.sizes = self.steps, self.expr, base, sizes
        return other

    @cached_property
    def analytic(self) -> bool:
        """Whether complex arrays may be put in."""
        return all(
            not isinstance(n, Apply) or (isinstance(n.function, Row) and n.function.analytic)
            for n in self.steps
        )

    @cached_property
    def effort(self) -> float:
        """What one evaluation costs, in evaluations of small nodes."""
        sizes = (max((self.base[n].size for n in (node, *node.children)), default=0) for node in self.steps)
        return sum(1 + size / 2000 for size in sizes)

    def at(self, values: Mapping[Expr, Array], shaken: np.random.Generator | None = None) -> Array:
        """Its value with these values of the variables that move; `shaken` changes last digits on the way."""
        memo = _Overlay(self.base)
        memo.update(values.items())
        with np.errstate(all="ignore"):
            for node in self.steps:
                value = value_of(node, {}, self.sizes, memo)
                if shaken is not None:
                    value = value * (1 + EPSILON * shaken.choice((-1.0, 1.0), value.shape))
                memo[node] = value
        return memo[self.expr]

    def along(self, direction: Direction, t: complex, shaken: np.random.Generator | None = None) -> Array:
        """Its value at a distance t along a direction."""
        return self.at({v: self.base[v] + t * u for v, u in direction.items()}, shaken)

    def rounding(self, direction: Direction) -> float:
        """The largest entry of the slope along a direction, had all parts of sums and products the same sign.

        Where parts cancel, what is left cannot be more exact than the last digit of this.
        """
        if not self.analytic:
            return 0.0
        values, slopes = _Overlay(self.base), _Overlay({})
        values.update((v, self.base[v] + TINY * 1j * u) for v, u in direction.items())
        slopes.update((v, np.abs(u)) for v, u in direction.items())
        with np.errstate(all="ignore"):
            for node in self.steps:
                values[node] = value_of(node, {}, self.sizes, values)
                parts = [k for k, c in enumerate(node.children) if c in slopes]
                if isinstance(node, Sum | Stack):
                    memo = {c: slopes.get(c, np.zeros(values[c].shape)) for c in node.children}
                    slopes[node] = np.abs(value_of(node, {}, self.sizes, memo))
                elif isinstance(node, Einsum):
                    whole = [np.abs(values[c]) for c in node.operands]
                    terms = [[*whole[:k], slopes[node.operands[k]], *whole[k + 1 :]] for k in parts]
                    slopes[node] = np.asarray(sum(np.abs(product_of(node, t, self.sizes)) for t in terms))
                else:
                    slopes[node] = self._steepest(node, parts, values, slopes)
        return _largest(slopes[self.expr]) if self.expr in slopes else 0.0

    def _steepest(
        self, node: Expr, parts: Sequence[int], values: Mapping[Expr, Array], slopes: Mapping[Expr, Array]
    ) -> Array:
        """The slope of a function whose arguments have these slopes, or, if it is larger, its own."""
        steepest = np.abs(values[node].imag) / TINY
        total = np.zeros(steepest.shape)
        for k in parts:
            child = node.children[k]
            turns = np.where(np.arange(slopes[child].size) % 2, -1.0, 1.0).reshape(slopes[child].shape)
            found = np.zeros(steepest.shape)
            for signs in (1.0, turns):  # all of one sign may cancel too, as in a softmax
                memo = _Overlay({c: np.real(values[c]) for c in node.children})
                memo[child] = np.real(values[child]) + TINY * 1j * signs * slopes[child]
                slope_ = np.abs(np.imag(value_of(node, {}, self.sizes, memo))) / TINY
                found = np.maximum(found, np.where(np.isfinite(slope_), slope_, 0.0))
            total = total + found
        return np.asarray(np.maximum(steepest, total))


class _Overlay(dict[Expr, Array]):
    """New values over old ones."""

    def __init__(self, base: Mapping[Expr, Array]) -> None:
        super().__init__()
        self.base = base

    def __missing__(self, key: Expr) -> Array:
        return self.base[key]


@dataclass(frozen=True, slots=True)
class Slope:
    """A directional derivative and how far it may be off."""

    value: Array
    error: float
    method: str


COMPLEX = "complex step"
RICHARDSON = "Richardson-extrapolated central differences"


def slope(moving: Moving, direction: Direction, reach: float = 0.05) -> Slope:
    """The derivative along a direction; `reach` is how far real steps may go."""
    if moving.analytic:
        value = moving.along(direction, TINY * 1j).imag / TINY
        if np.isfinite(value).all():
            return Slope(np.asarray(value), 0.0, COMPLEX)
    return richardson(lambda t: moving.along(direction, t), reach)


def richardson(function: Callable[[float], Array], reach: float) -> Slope:
    """Central differences at shrinking steps, extrapolated to step 0 as in Ridders 1982."""
    ratio, step = 1.6, reach
    table: list[list[Array]] = []
    best, error = np.asarray(np.nan), float("inf")
    for level in range(10):
        row = [np.asarray((function(step) - function(-step)) / (2 * step))]
        factor = ratio**2
        for older in table[-1] if table else []:
            row.append(np.asarray((factor * row[-1] - older) / (factor - 1)))
            factor *= ratio**2
            gap = max(_largest(row[-1] - row[-2]), _largest(row[-1] - older))
            if gap <= error:
                best, error = row[-1], gap
        if level > 2 and _largest(row[-1] - table[-1][-1]) > 4 * error:
            break
        table.append(row)
        step /= ratio
    return Slope(best, error, RICHARDSON)


def mixed(moving: Moving, groups: Sequence[tuple[Direction, int]]) -> Slope | None:
    """The derivative of order Σ counts, `count` times along each direction; None where it does not settle.

    Cauchy's integral over circles around the point, at halving radii until two agree.
    """
    total = 1
    nodes = 24 if len(groups) == 1 else 12
    for _, count in groups:
        total *= factorial(count)
        nodes = max(nodes, 2 * count + 4)
    if not moving.analytic or nodes ** len(groups) > 600:
        return None
    previous: Array | None = None
    best: Slope | None = None
    order = sum(count for _, count in groups)
    # High orders divide by high powers of the radius, so they start further out.
    radius = 0.4 if order < 4 else 1.6
    for _ in range(7 if order < 4 else 9):
        value, rounding = _circle(moving, groups, radius, nodes)
        value, rounding = value * total, rounding * total / radius**order
        if previous is not None and np.isfinite(value).all() and np.isfinite(previous).all():
            error = max(_largest(value - previous), rounding)
            if best is None or error < best.error:
                best = Slope(value, error, "Cauchy integral")
            if best.error <= 1e-9 * _largest(best.value):
                break
        previous = value
        radius /= 2
    return best


def _circle(
    moving: Moving, groups: Sequence[tuple[Direction, int]], radius: float, nodes: int
) -> tuple[Array, float]:
    """The mean over the circles, and what rounding leaves of the largest value on them."""
    roots = np.exp(2j * np.pi * (np.arange(nodes) + 0.5) / nodes)
    sum_: Any = 0.0
    largest = 0.0
    # The formula is real, so conjugate points give conjugate values: half of the first circle is enough.
    for angles in product(range((nodes + 1) // 2), *(range(nodes) for _ in groups[1:])):
        values: dict[Expr, Array] = {}
        weight: complex = 1.0
        for (direction, count), k in zip(groups, angles, strict=True):
            for variable, u in direction.items():
                values[variable] = values.get(variable, moving.base[variable]) + radius * roots[k] * u
            weight *= (radius * roots[k]) ** -count
        value = moving.at(values)
        largest = max(largest, _largest(value))
        sum_ = sum_ + (value * weight).real
    return np.asarray(2 * sum_ / nodes ** len(groups)), 4e-16 * largest


def _largest(value: Array) -> float:
    return float(np.max(np.abs(value), initial=0.0)) if np.isfinite(value).all() else float("inf")
