"""Random points inside the domains of functions and structures, away from kinks and ties.

In: expressions and variables. Out: a Point, arrays and sizes at which every node of the expressions is
finite, every argument of a row lies inside its domain, and every distance from a kink is above a margin.
Named sizes are 2 to 4, pairwise different as far as that goes (with more than three names some coincide,
others at each point); they are larger only where a formula needs it, such as a slice x[3:6]. The search is
random and bounded, so it can fail: the error names the function whose domain was missed most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.codegen.formula import numpy_formula
from chainrule.errors import DomainProblem
from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Variable, constant_of
from chainrule.expr.walk import dim_names, topological, tree_size
from chainrule.rules.constants import BASIS, SELECT
from chainrule.rules.table import DOMAINS, Row
from chainrule.verify.reference import Array, value_of

Generator = np.random.Generator
SIZES = (2, 3, 4)
# So many functions with a kink leave room for the usual distance from each; more of them stand closer, or
# only points on one side of all, such as positive weights throughout, would be found.
KINKED = 12


@dataclass(frozen=True, slots=True)
class Point:
    """Arrays by variable and integers by named size; `margin` is the smallest distance from a kink.

    ties: distances of exactly 0 were let pass, since no point without them was found.
    """

    values: dict[str, Array]
    sizes: dict[str, int]
    margin: float
    ties: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """How far from the edge of a domain, a kink and singularity a point must stay, and how often to try."""

    domain: float
    kink: float
    condition: float
    ties: bool  # whether a distance of exactly 0, as at relu(relu(x)) for x < 0, may stand
    tries: int


# First far from trouble, then wherever there is a point at all: the complex step needs no distance to
# speak of.
DEMANDS = (
    Demand(0.05, 0.05, 30.0, False, 30),
    Demand(1e-2, 1e-2, 300.0, False, 60),
    Demand(1e-3, 1e-4, 1e4, False, 80),
    Demand(1e-4, 1e-5, 1e5, True, 60),
    Demand(1e-60, 1e-8, 1e7, True, 80),
)


class Sampler:
    """Draws points for one set of expressions; what does not change from point to point is found once."""

    def __init__(self, exprs: Sequence[Expr], variables: Iterable[Variable] = ()) -> None:
        self.order = topological([*exprs, *variables])
        known = {node.name: node for node in self.order if isinstance(node, Variable)}
        self.variables = tuple(known.values())
        self.names = dim_names(*exprs, *self.variables)
        self.limits = _Limits(self.order)
        self.hints = _hints(self.order)
        kinked = sum(isinstance(n, Apply) and _has_kink(n) for n in self.order)
        self.demands = tuple(replace(d, kink=d.kink * min(1.0, KINKED / max(kinked, 1))) for d in DEMANDS)
        self.manner = 0  # the one that found the last point

    def sizes(self, rng: Generator, attempt: int = 0) -> dict[str, int]:
        """Named sizes that make every size in the expressions at least 1 and every index valid."""
        for trial in range(400):
            if attempt + trial < 60:
                pool = [int(s) for _ in range(0, len(self.names), len(SIZES)) for s in rng.permutation(SIZES)]
                if (
                    attempt + trial >= 30
                ):  # a product such as X @ X.T may need two sizes to be equal or ordered
                    pool = [int(s) for s in rng.integers(SIZES[0], SIZES[-1] + 1, len(self.names))]
            else:
                pool = [int(s) for s in rng.integers(1, 4 + trial // 20, len(self.names))]
            sizes = dict(zip(self.names, pool, strict=False))
            if self.limits.fit(sizes):
                return sizes
        raise DomainProblem("no small sizes make every slice and size of this formula valid")

    def points(self, rng: Generator, count: int) -> Iterator[Point]:
        """Up to `count` points, fewer where no more are found.

        Raises: DomainProblem if there is not even one.
        """
        for k in range(count):
            try:
                found = self.point(rng)
            except DomainProblem:
                if not k:
                    raise
                return
            yield found

    def point(self, rng: Generator) -> Point:
        """A point inside all domains.

        Raises: DomainProblem if none was found.
        """
        misses: Counter[tuple[Expr, str]] = Counter()
        for level, demand in enumerate(self.demands):
            sizes = self.sizes(rng, 0 if level < 2 else 30)
            kind = self.manner
            values = {v.name: self.draw(v, sizes, rng, kind) for v in self.variables}
            for attempt in range(demand.tries):
                margin, failed = self.probe(values, sizes, demand)
                if failed is None:
                    self.manner = kind
                    return Point(values, sizes, margin, demand.ties)
                misses[failed.node, failed.why] += 1
                below = failed.below
                if attempt % 8 == 7:
                    sizes = self.sizes(rng, 0 if level < 2 else 30)
                if attempt % 4 == 3 or not below:
                    # One manner for all, which keeps deep networks alive, or a mixture.
                    kind = attempt // 4 % (len(MANNERS) + 2)
                    values = {v.name: self.draw(v, sizes, rng, kind) for v in self.variables}
                else:
                    for v in self.variables:
                        if v in below:
                            values[v.name] = self.draw(v, sizes, rng, len(MANNERS))
        (node, needs), _ = misses.most_common(1)[0]
        raise DomainProblem(
            f"no point was found where the formula can be evaluated: {_spoken(node)} {needs}",
            hint="declare what the variables are, as in x[n]:positive or A[n,n]:spd, or check the signs",
        )

    def draw(self, variable: Variable, sizes: dict[str, int], rng: Generator, kind: int) -> Array:
        """A value of a variable with its structure; `kind`: the manner, any beyond the last, or ALIVE."""
        if kind == ALIVE:
            manner = "alive"
        else:
            manner = MANNERS[kind] if kind < len(MANNERS) else MANNERS[int(rng.integers(len(MANNERS)))]
        hinted = self.hints.get(variable)
        if hinted and (kind <= 1 or rng.random() < 0.8):
            manner = hinted
        shape = tuple(dim.evaluate(sizes) for dim in variable.shape)
        if variable.bound is not None:
            return np.asarray(rng.integers(0, variable.bound.evaluate(sizes), shape), float)
        return draw(shape, variable.structure, manner, rng)

    def probe(
        self, values: dict[str, Array], sizes: dict[str, int], demand: Demand
    ) -> tuple[float, _Miss | None]:
        """The smallest distance from a kink, and the first node that does not meet the demand, if any."""
        memo: dict[Expr, Array] = {}
        nearest = float("inf")
        with np.errstate(all="ignore"):
            for node in self.order:
                if isinstance(node, Apply):
                    missed, distance = _outside(node, [memo[a] for a in node.arguments], sizes, demand)
                    nearest = min(nearest, distance)
                    if missed:
                        return nearest, _Miss(node, missed)
                value = memo[node] = value_of(node, values, sizes, memo)
                if not np.isfinite(value).all():
                    return nearest, _Miss(node, "is not finite")
        return nearest, None


class _Miss:
    """A node that could not be evaluated, why, and the variables that it depends on."""

    __slots__ = ("node", "why")

    def __init__(self, node: Expr, why: str) -> None:
        self.node, self.why = node, why

    @property
    def below(self) -> set[Expr]:
        return {n for n in topological([self.node]) if isinstance(n, Variable)}


def _spoken(node: Expr) -> str:
    """What a message calls a node: its formula, if that is short."""
    text = numpy_formula(node) if tree_size(node) < 30 else ""
    if text and "\n" not in text:
        return text
    return node.function.name if isinstance(node, Apply) else "a product"


def sample_point(exprs: Sequence[Expr], variables: Iterable[Variable], rng: Generator) -> Point:
    """A random point at which all of `exprs` can be evaluated and differentiated.

    Raises: DomainProblem if none was found.

    >>> from chainrule.rules.elementwise import elementwise, log
    >>> x = Variable("x", (Dim.of("n"),))
    >>> bool((sample_point([elementwise(log, x)], [x], np.random.default_rng(0)).values["x"] > 0).all())
    True
    """
    return Sampler(exprs, variables).point(rng)


# ---------------------------------------------------------------- sizes


class _Limits:
    """What the sizes must satisfy: no axis is empty, no index outside, no coefficient divides by 0."""

    def __init__(self, order: Sequence[Expr]) -> None:
        dims: dict[Dim, None] = {}
        ranges: dict[tuple[Dim, Dim], None] = {}  # (index, size): 0 <= index < size
        coefficients: dict[Coefficient, None] = {}
        for node in order:
            dims.update(dict.fromkeys(node.shape))
            if isinstance(node, Variable) and node.bound is not None:
                dims[node.bound] = None
            if isinstance(node, Variable) and "orthonormal" in node.structure:
                # No more columns than rows.
                ranges[node.shape[1] - Dim.of(1), node.shape[0]] = None
            elif isinstance(node, Einsum):
                dims.update(dict.fromkeys(node.sizes))
                if node.coefficient.powers:
                    coefficients[node.coefficient] = None
            elif isinstance(node, Apply) and node.function is BASIS:
                ranges[node.parameters[0], node.parameters[1]] = None
            elif isinstance(node, Apply) and node.function is SELECT:
                start, step, count, size = node.parameters
                ranges[start, size] = None
                ranges[start + Dim.of(step) * (count - Dim.of(1)), size] = None
        self.dims, self.ranges, self.coefficients = tuple(dims), tuple(ranges), tuple(coefficients)

    def fit(self, sizes: dict[str, int]) -> bool:
        if any(dim.evaluate(sizes) < 1 for dim in self.dims):
            return False
        if any(not 0 <= index.evaluate(sizes) < size.evaluate(sizes) for index, size in self.ranges):
            return False
        return not any(
            exponent < 0 and dim.evaluate(sizes) == 0 for c in self.coefficients for dim, exponent in c.powers
        )


# ---------------------------------------------------------------- values


MANNERS = (
    "normal",
    "positive",
    "probability",
    "small",
    "above one",
    "near identity",
    "spd",
    "negative",
    "wide",
)
# Small numbers, most of them positive: units of deep networks are neither all off nor saturated. For points
# that are asked for, not among those that are tried in turn.
ALIVE = -1


def draw(shape: tuple[int, ...], structure: Sequence[str], manner: str, rng: Generator) -> Array:
    """A random array of the given shape and structure; `manner` decides what the structure leaves open.

    >>> A = draw((3, 3), ("symmetric",), "normal", np.random.default_rng(0))
    >>> bool((A == A.T).all())
    True
    """
    entries = _entries(shape, structure, manner, rng)
    square = len(shape) > 1 and shape[-1] == shape[-2]
    named = set(structure)
    if "simplex" in named:
        positive = np.exp(0.7 * rng.standard_normal(shape))
        return np.asarray(positive / positive.sum(axis=-1, keepdims=True))
    if "unit" in named:
        return np.asarray(entries / np.linalg.norm(entries, axis=-1, keepdims=True))
    if "orthonormal" in named:
        return np.asarray(np.linalg.qr(entries + rng.standard_normal(shape))[0])
    if not square:
        return entries
    eye = np.eye(shape[-1])
    if "diagonal" in named:
        diagonal = entries * eye
        if "orthogonal" in named:
            return (
                np.sign(diagonal)
                if "spd" not in named and "positive" not in named
                else np.broadcast_to(eye, shape) + 0
            )
        return np.abs(diagonal) if "spd" in named else diagonal
    if "orthogonal" in named:
        return _orthogonal(shape, named, rng)
    if "spd" in named or (manner == "spd" and not named - {"symmetric", "positive", "nonnegative"}):
        scaled = np.abs(entries) if named & {"positive", "nonnegative"} else entries
        product = np.matmul(scaled, np.swapaxes(scaled, -1, -2))
        if "integer" in named:
            return np.asarray(product + eye)
        return np.asarray(0.7 * product / shape[-1] + 0.5 * eye)
    if manner == "near identity" and not named - {"symmetric", "lower"}:
        entries = eye + 0.4 / np.sqrt(shape[-1]) * entries
    lower = np.tril(entries)
    if "symmetric" in named:
        return np.asarray(lower + np.swapaxes(np.tril(entries, -1), -1, -2))
    if "lower" in named:
        return np.asarray(lower * eye if "upper" in named else lower)
    if "upper" in named:
        return np.asarray(np.triu(entries))
    if "skew" in named:
        strict = np.tril(entries, -1)
        return np.asarray(strict - np.swapaxes(strict, -1, -2))
    return entries


def _entries(shape: tuple[int, ...], structure: Sequence[str], manner: str, rng: Generator) -> Array:
    """Independent entries: what an entrywise structure asks for, else what `manner` says."""
    named = set(structure)
    normal = np.asarray(rng.standard_normal(shape))
    if "sign" in named:
        return np.where(normal > 0, 1.0, 1.0 if "positive" in named else -1.0)
    if "integer" in named:
        low = 1 if "positive" in named else 0 if "nonnegative" in named else -4
        whole = np.asarray(rng.integers(low, 6, shape), float)
        return np.where(whole == 0, 1.0, whole) if manner == "normal" else whole
    if "probability" in named or (manner == "probability" and not named & {"positive", "nonnegative"}):
        return np.asarray(rng.uniform(0.1, 0.9, shape))
    if manner == "condition":
        return np.asarray(rng.integers(0, 2, shape), float)
    if manner == "wide":
        return np.asarray(10.0 ** rng.uniform(-1, 3, shape))
    positive = np.exp(0.5 * normal)
    if manner == "above one":
        return 1.1 + positive
    if named & {"positive", "nonnegative"}:
        if manner == "small":
            return 0.3 * positive
        return np.asarray(rng.uniform(0.1, 0.9, shape)) if manner == "probability" else positive
    if manner == "positive":
        return positive
    if manner == "negative":
        return -positive
    if manner == "alive":
        return np.where(rng.random(shape) < 0.15, -0.3, 0.3) * positive
    if len(shape) > 1:
        normal = normal / np.sqrt(max(1.0, max(shape) / 4))  # products along long axes stay of order 1
    return 0.3 * normal if manner == "small" else normal


def _orthogonal(shape: tuple[int, ...], named: set[str], rng: Generator) -> Array:
    if named & {"spd"}:
        return np.broadcast_to(np.eye(shape[-1]), shape) + 0.0
    if named & {"positive", "nonnegative", "probability", "sign", "integer", "lower", "symmetric"}:
        signs = np.where(rng.random(shape[:-1]) < 0.5, -1.0, 1.0)
        if named & {"positive", "nonnegative", "probability"}:
            signs = np.ones(shape[:-1])
        return np.asarray(signs[..., None] * np.eye(shape[-1]))
    q, r = np.linalg.qr(rng.standard_normal(shape))
    return np.asarray(q * np.sign(np.einsum("...ii->...i", r))[..., None, :])


# ---------------------------------------------------------------- domains

MANNER_FOR = {
    "positive": "positive",
    "nonnegative": "positive",
    "unit": "probability",
    "above -1": "positive",
    "condition": "condition",
    "spd": "spd",
}


def _hints(order: Sequence[Expr]) -> dict[Expr, str]:
    """Manners for the variables that are direct arguments of a function with a bounded domain."""
    hints: dict[Expr, str] = {}
    for node in order:
        if not isinstance(node, Apply) or not isinstance(node.function, Row):
            continue
        domains = list(node.function.domain)
        if node.function.name == "power" and _needs_positive_base(node):
            domains[0] = "positive"
        for argument, domain in zip(node.arguments, domains, strict=True):
            while (
                isinstance(argument, Einsum)
                and len(argument.operands) == 1
                and argument.coefficient.rational > 0
            ):
                argument = argument.operands[0]
            manner = MANNER_FOR.get(domain)
            if manner and isinstance(argument, Variable) and hints.get(argument) != "probability":
                hints[argument] = manner
    return hints


def _has_kink(node: Apply) -> bool:
    return isinstance(node.function, Row) and node.function.kink is not None


def _needs_positive_base(node: Apply) -> bool:
    exponent = constant_of(node.arguments[1])
    return exponent is None or bool(exponent.powers) or exponent.rational.denominator != 1


def _outside(node: Apply, arguments: list[Array], sizes: dict[str, int], demand: Demand) -> tuple[str, float]:
    """Why the arguments are outside the domain of the row, or ""; and the distance from a kink."""
    row = node.function
    assert isinstance(row, Row)
    if row.name == "power":
        missed = _power_outside(node, arguments, demand)
        return missed, float("inf")
    for value, domain in zip(arguments, row.domain, strict=True):
        if row.name == "matrix_power" and node.parameters[0] >= 0:
            break
        # A kink is measured below, where a structural zero such as |relu(x)| at x < 0 may be allowed.
        if domain == "nonzero" and row.kink is not None:
            continue
        if not _inside(domain, value, demand):
            return f"needs an argument that is {DOMAINS[domain]}", float("inf")
    if row.kink is None:
        return "", float("inf")
    distances = np.asarray(
        row.kink(np, *arguments, *(p.evaluate(sizes) if isinstance(p, Dim) else p for p in node.parameters))
    )
    if demand.ties:
        distances = distances[distances != 0]
    distance = float(distances.min()) if distances.size else float("inf")
    if not distance >= demand.kink:
        return "stays at a point where it is not differentiable", distance
    return "", distance


def _power_outside(node: Apply, arguments: list[Array], demand: Demand) -> str:
    base, exponent = arguments
    constant = constant_of(node.arguments[1])
    if constant is None:
        return "" if bool((base > demand.domain).all()) else "needs a base that is > 0"
    whole = bool((exponent == np.round(exponent)).all())
    if not whole and not bool((base > demand.domain).all()):
        return "needs a base that is > 0"
    if bool((exponent < 0).any()) and not bool((np.abs(base) > demand.domain).all()):
        return "needs a base that is not 0"
    return ""


def _inside(domain: str, value: Any, demand: Demand) -> bool:
    edge = demand.domain
    match domain:
        case "positive" | "nonnegative":
            return bool((value > edge).all())
        case "nonzero":
            return bool((np.abs(value) > edge).all())
        case "unit":
            return bool((np.abs(value) < 1 - edge).all())
        case "above -1":
            return bool((value > -1 + edge).all())
        case "spd":
            symmetric = np.real(value + np.swapaxes(value, -1, -2)) / 2
            found = np.linalg.eigvalsh(symmetric)
            return bool((found[..., 0] * demand.condition > np.abs(found[..., -1])).all())
        case "invertible" | "full rank":
            try:
                return bool((np.linalg.cond(value) < demand.condition).all())
            except np.linalg.LinAlgError:
                return False
        case _:
            return True
