"""Whether a formula has a kink where one of its parts has: relu(x²) has none at 0, and cos|x| neither.

In: a formula and a part of it with a kink. Out: how many derivatives the formula has where that part has its
kink, found by going there: from both sides a polynomial is laid through values of the formula, and the two
are compared. No rule for a derivative is used, but to see whether the answer holds at such a point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.random import Generator

from chainrule.derive import jacobians
from chainrule.derive.kinks import Kink, Seen, kinks
from chainrule.errors import ChainruleError
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Expr, Variable
from chainrule.expr.walk import topological, variables
from chainrule.rules.instances import lifted
from chainrule.rules.table import Row
from chainrule.rules.tensorial import norm, unit
from chainrule.simplify import Normaliser
from chainrule.simplify.definite import Definite
from chainrule.verify.reference import Array, run
from chainrule.verify.sample import Sampler

LARGEST = 150  # nodes of a formula that is looked at
MOST = 8  # parts with a kink that are looked at
LINES = 5  # along which a kink is looked for
STEPS = np.sinh(np.linspace(-10, 10, 161)) / 20  # where, at first
DEGREE = 7
SIDE = (1 - np.cos(np.pi * (np.arange(16) + 0.5) / 16)) / 2
COUNT = Dim.of("points along a line")
Values = Mapping[str, Array]


def kinks_of(
    formula: Expr,
    wrt: Sequence[Expr],
    write: Callable[[Expr], str],
    order: int = 1,
    at_kink: Fraction = Fraction(0),
    answers: Sequence[Expr] = (),
) -> list[Kink]:
    """The kinks of a canonical formula, as `derive.kinks` finds them, each looked at.

    >>> x = Variable("x")
    >>> from chainrule.rules.elementwise import abs_, cos
    >>> [kinks_of(f, [x], repr) for f in (Apply(cos, (Apply(abs_, (x,)),)),)]
    [[]]
    """
    look = _Look(formula, [v for v in wrt if isinstance(v, Variable)], order)
    return kinks(formula, wrt, write, order, at_kink, look.seen if look.small else None, answers)


class _Look:
    """Looks at one formula."""

    def __init__(self, formula: Expr, moving: Sequence[Variable], order: int) -> None:
        nodes = topological([formula])
        self.formula, self.order = formula, order
        self.kinked = [n for n in nodes if has_kink(n)]
        self.small = len(nodes) <= LARGEST and len(self.kinked) <= MOST
        self.variables = [v for v in variables(formula) if v.bound is None]
        self.moving = [v for v in moving if v in self.variables]
        self.among: dict[Expr, Expr] = {}
        self.normal = Normaliser()

    def seen(self, node: Apply) -> Seen | None:
        """How many derivatives exist where a part has its kink; None where nothing can be said."""
        row = node.function
        at_zero = isinstance(row, Row) and row.at_kink == "#1 = 0"
        if at_zero and Definite(self.normal).is_positive(self.normal(node.arguments[0])):
            return Seen(self.order)  # it is never there
        try:
            return self._seen(node)
        except (ChainruleError, np.linalg.LinAlgError):
            return None

    def _seen(self, node: Apply) -> Seen | None:
        rng = np.random.default_rng(11)
        sampler = Sampler([self.formula], self.variables)
        counts: list[int] = []
        places: list[dict[str, Array]] = []
        met = False
        for _ in range(LINES):
            point = sampler.point(rng)
            for place in self.places(node, point.values, point.sizes, rng):
                met = True
                count = self.derivatives(place, point.sizes, rng)
                if count == 0:
                    return Seen(0)
                if count is not None:
                    counts.append(count)
                    places.append(place)
        if not counts:
            return None if met else Seen(None)
        if min(counts) < self.order:
            return Seen(min(counts))
        if self.kinked == [node]:
            return Seen(self.order)
        one = {v for n in self.kinked for v in variables(n)}
        if len(one) > 1 or any(v.rank for v in one) or self.formula.rank or not one <= set(self.moving):
            return Seen(None)
        return self.held(node, next(iter(one)), places)

    # ------------------------------------------------------------ where the part has its kink

    def places(
        self, node: Apply, values: Values, sizes: Mapping[str, int], rng: Generator
    ) -> Iterator[dict[str, Array]]:
        """Points at which the part has its kink."""
        if node.function in (norm, unit):
            found = self.root(node.arguments[0], dict(values), sizes, int(str(node.parameters[0])))
            if found is not None:
                yield found
            return
        own = [v for v in self.variables if v in set(variables(node))]
        step = {v.name: rng.standard_normal(np.shape(values[v.name])) for v in own}
        distances = self.distances(node, values, step, STEPS, sizes)
        for entry in rng.permutation(distances.shape[1])[:3]:
            column = distances[:, entry]
            low = [k for k in range(1, len(STEPS) - 1) if column[k] <= min(column[k - 1], column[k + 1])]
            for k in sorted(low, key=lambda k: abs(STEPS[k]))[:4]:
                t = self.zoomed(node, values, step, sizes, int(entry), STEPS[k - 1], STEPS[k + 1])
                if t is not None:
                    yield {**values, **{n: values[n] + t * d for n, d in step.items()}}

    def zoomed(
        self,
        node: Apply,
        values: Values,
        step: Values,
        sizes: Mapping[str, int],
        entry: int,
        low: float,
        high: float,
    ) -> float | None:
        """Where along a line a distance is 0, between two places; None where it is not."""
        while True:
            ts = np.linspace(low, high, 41)
            column = self.distances(node, values, step, ts, sizes)[:, entry]
            if not np.isfinite(column).all():
                return None
            k = int(np.argmin(column))
            if np.count_nonzero(column == 0) > 1 and high - low > 1e-6:
                return None  # it is 0 over a stretch
            low, high = ts[max(k - 1, 0)], ts[min(k + 1, 40)]
            if high - low <= 1e-14 * max(abs(low), abs(high), 1e-2):
                return float(ts[k]) if column[k] <= 1e-10 else None

    def distances(
        self, node: Apply, values: Values, step: Values, ts: Array, sizes: Mapping[str, int]
    ) -> Array:
        """The distances from the kink, a row for each place along a line and a column for each entry."""
        row = node.function
        assert isinstance(row, Row) and row.kink is not None
        arguments = self.along(list(node.arguments), values, step, ts, sizes)
        parameters = [p.evaluate(sizes) if isinstance(p, Dim) else p for p in node.parameters]
        with np.errstate(all="ignore"):
            found = np.asarray(row.kink(np, *arguments, *parameters), float)
        return found.reshape(len(ts), -1)

    def root(
        self, inside: Expr, values: dict[str, Array], sizes: Mapping[str, int], core: int
    ) -> dict[str, Array] | None:
        """A point at which what the last `core` axes hold is 0 once, by Newton's method in all variables."""
        names = [v.name for v in self.variables if v in set(variables(inside))]
        for _ in range(6):
            moves = [(name, k) for name in names for k in range(values[name].size)]
            steps: dict[str, Array] = {n: np.zeros((len(moves) + 1, values[n].size)) for n in names}
            for row, (name, k) in enumerate(moves):
                steps[name][row + 1, k] = 1e-6
            (found,) = self.moved([inside], values, steps, len(moves) + 1, sizes)
            entries = int(np.prod(found.shape[found.ndim - core :]))
            first = found.reshape(len(moves) + 1, -1, entries)[:, 0]
            if not np.isfinite(first).all():
                return None
            if np.abs(first[0]).max() <= 1e-13:
                return values
            change = np.linalg.lstsq(((first[1:] - first[0]) / 1e-6).T, -first[0], rcond=None)[0]
            for (name, k), amount in zip(moves, change, strict=True):
                shaped = values[name].astype(float)
                shaped.reshape(-1)[k] += amount
                values = {**values, name: shaped}
        (last,) = self.moved([inside], values, {n: np.zeros((1, values[n].size)) for n in names}, 1, sizes)
        entries = int(np.prod(last.shape[last.ndim - core :]))
        return values if np.abs(last.reshape(-1, entries)[0]).max() <= 1e-9 else None

    # ------------------------------------------------------------ values

    def along(
        self, exprs: Sequence[Expr], values: Values, step: Values, ts: Array, sizes: Mapping[str, int]
    ) -> list[Array]:
        """The values at places along a line, along a first axis."""
        moves = {n: ts[:, None] * np.reshape(d, (1, -1)) for n, d in step.items()}
        return self.moved(exprs, values, moves, len(ts), sizes)

    def moved(
        self, exprs: Sequence[Expr], values: Values, moves: Values, count: int, sizes: Mapping[str, int]
    ) -> list[Array]:
        """The values after each of several moves, along a first axis."""
        every = {v: Variable(f"{v.name} moved", (COUNT, *v.shape)) for v in self.variables}
        for expr in exprs:
            if expr not in self.among:
                self.among[expr] = lifted(expr, {v: (many, 0) for v, many in every.items()}, COUNT)
        given = dict(values)
        for v, many in every.items():
            base = np.asarray(values[v.name], float)
            move = moves.get(v.name)
            spread = np.zeros((count, base.size)) if move is None else move
            given[many.name] = base + spread.reshape(count, *base.shape)
        memo: dict[Expr, Array] = {}
        run([self.among[e] for e in exprs], given, {**sizes, str(COUNT): count}, memo)
        return [memo[self.among[e]] for e in exprs]

    # ------------------------------------------------------------ both sides

    def derivatives(self, place: dict[str, Array], sizes: Mapping[str, int], rng: Generator) -> int | None:
        """How many derivatives exist at a place, up to the order asked for; None where it is not clear."""
        step = {v.name: rng.standard_normal(np.shape(place[v.name])) for v in self.moving}
        reach = 0.1
        for _ in range(5):
            ts = reach * np.concatenate([-SIDE, [0.0], SIDE])
            (values,) = self.along([self.formula], place, step, ts, sizes)
            found = values.reshape(len(ts), -1)
            if np.isfinite(found).all():
                left, right = (self.fitted(ts / reach, found, side) for side in (-1, 1))
                if left is not None and right is not None:
                    return self.compared(left, right, found)
            reach /= 4
        return None

    def fitted(self, ts: Array, values: Array, side: int) -> Array | None:
        """The polynomial on one side, a column of coefficients for each entry; None where there is none."""
        mine = ts * side > 0
        powers = ts[mine, None] ** np.arange(DEGREE + 1)
        coefficients = np.linalg.lstsq(powers, values[mine], rcond=None)[0]
        left = np.abs(powers @ coefficients - values[mine]).max()
        varied = np.abs(values - values.mean(axis=0)).max()
        return coefficients if left <= 1e-9 * varied + 1e-13 * np.abs(values).max() else None

    def compared(self, left: Array, right: Array, values: Array) -> int:
        varied = np.abs(values - values.mean(axis=0)).max()
        level = 1e-6 * varied + 1e-11 * np.abs(values).max()
        for m in range(self.order + 1):
            if np.abs(left[m] - right[m]).max() > level:
                return max(m - 1, 0)
        return self.order

    def held(self, node: Apply, x: Variable, places: Sequence[dict[str, Array]]) -> Seen:
        """Whether the answer holds where several parts have their kinks at once."""
        if self.order > 1:
            return Seen(None)
        slope = jacobians(self.formula, [x])[x]
        for place in places:
            at = float(np.round(place[x.name], 9))
            there = {**place, x.name: np.asarray(at)}
            (near,) = self.distances(node, there, {x.name: np.ones(())}, np.zeros(1), {})
            if near.min() > 0:
                return Seen(None)
            h = 1e-4
            sides = (self.value(self.formula, {**there, x.name: np.asarray(at + s * h)}) for s in (1, -1))
            right, left = sides
            true, said = (right - left) / (2 * h), self.value(slope, there)
            if abs(true - said) > 1e-4 * (1 + abs(true)):
                return Seen(self.order, holds=False)
        return Seen(self.order)

    def value(self, expr: Expr, values: Values) -> float:
        memo: dict[Expr, Array] = {}
        run([expr], values, {}, memo)
        return float(memo[expr])


def has_kink(node: Expr) -> bool:
    """Whether it is a function with a kink, of something that varies."""
    row = node.function if isinstance(node, Apply) else None
    return isinstance(row, Row) and bool(row.at_kink) and bool(variables(node))
