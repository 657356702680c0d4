"""The declared structure of parameters, kept while they are fitted.

In: an objective whose entries are independent, and the structure of each parameter. Out: an objective of free
numbers t, from which the parameters are made so that the structure always holds (`blocks.py`), with gradient
and Hessian by the chain rule; or bounds, where a solver can keep them. Which it is, is said for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from chainrule.errors import DomainProblem, OptionError
from chainrule.fit.batches import Batch, Minibatches
from chainrule.fit.blocks import Block, Definite, Entries, Kind, Simplex, Turned, Unit
from chainrule.fit.objective import Array, Objective

PATTERNS = ("symmetric", "diagonal", "lower", "upper", "skew")
CURVED = ("simplex", "unit", "orthogonal", "orthonormal")
KINDS: dict[str, Kind] = {"positive": "exp", "probability": "sigmoid", "nonnegative": "softplus"}
FORMULAS = {"free": "", "exp": "exp(t)", "sigmoid": "1/(1 + exp(−t))", "softplus": "log(1 + exp(t))"}
CLEAR = 1e4  # times what counts as zero: a gradient by x that surely is none
FAR = 10.0  # a curvature below so many gradients: a Newton step would still go far
MOST_LOOKED_AT = 20
LIMITS = {"nonnegative": (0.0, np.inf), "probability": (0.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Part:
    """One parameter: where it stands in θ and in t, its block, its bounds on t, and a sentence."""

    name: str
    natural: slice
    free: slice
    block: Block
    limits: tuple[float, float] | None
    said: str


def entry_kind(words: set[str]) -> tuple[str, Kind]:
    """The structure of single entries that counts, and the function that keeps it."""
    word = next((word for word in KINDS if word in words), "")
    return word, KINDS.get(word, "free")


def block_of(
    name: str, structure: tuple[str, ...], start: Array, bounded: bool
) -> tuple[Block, tuple[float, float] | None, str]:
    """The block of a parameter, its bounds on t if they are kept by the solver, and what is said of it.

    Raises: OptionError for a structure along which nothing moves, or with no known function.
    """
    words, shape = set(structure), start.shape
    still = next((w for w in structure if w == "sign" or w.startswith("integer")), None)
    if still is not None:
        raise OptionError(
            f"{name} is declared {still}, and between such values nothing moves, so it cannot be fitted",
            hint=f"leave {name} out of params, or leave out its structure",
        )
    word, kind = entry_kind(words)
    patterns, curved = words & set(PATTERNS), words & set(CURVED)
    if "spd" in words and not patterns - {"symmetric"} and not curved and not word:
        return Definite(shape[0]), None, f"{name} = {Definite.said}"
    if "spd" in words and patterns & {"diagonal", "lower", "upper"} and not curved:
        word, kind, patterns, words = "positive", "exp", {"diagonal"}, words - {"spd"}
    if curved == {"simplex"} and not patterns and "spd" not in words:
        return Simplex(shape), None, f"{name} = {Simplex.said}"
    if len(curved) == 1 and not patterns and not word and "spd" not in words:
        surface = Unit(start) if curved == {"unit"} else Turned(start)
        return surface, None, f"{name} = {surface.said}"
    if curved or "spd" in words or ("skew" in patterns and (word or len(patterns) > 1)):
        raise _no_function(name, structure, start, bounded)
    limits = LIMITS.get(word) if bounded else None
    if limits is not None:
        kind = "free"
    block = _entries(shape, patterns, kind)
    said = []
    if patterns:
        said.append(f"{name} is {_pattern(patterns)}: {block.size} free entries")
    if limits is not None:
        high = "" if np.isinf(limits[1]) else " and 1"
        said.append(f"{name} is kept {'between 0' if high else 'at 0 or above'}{high} by bounds")
    elif kind != "free":
        said.append(f"{'the entries of ' if shape else ''}{name} = {FORMULAS[kind]}, t free")
    return block, limits, "; ".join(said)


def _no_function(name: str, structure: tuple[str, ...], start: Array, bounded: bool) -> OptionError:
    """The error for structures that cannot be kept together: it names two that cannot, if there are."""
    culprits = structure
    for pair in combinations(structure, 2) if len(structure) > 2 else ():
        try:
            block_of(name, pair, start, bounded)
        except OptionError:
            culprits = pair
            break
    listed = " and ".join(sorted(culprits))
    return OptionError(
        f"no function is known whose values are {listed}, as {name} is declared",
        hint=f"keep one of {', '.join(sorted(culprits))}; a term of the loss may stand for the other",
    )


def _pattern(patterns: set[str]) -> str:
    if "diagonal" in patterns or len(patterns) > 1:
        return "diagonal"
    (word,) = patterns
    return f"{word} triangular" if word in ("lower", "upper") else word


def _entries(shape: tuple[int, ...], patterns: set[str], kind: Kind) -> Entries:
    """Free entries of a pattern, or all."""
    total = int(np.prod(shape, dtype=np.int64))
    places = np.arange(total)
    if not patterns:
        return Entries(total, places, places, 1.0, kind, "")
    grid = places.reshape(shape)
    pattern = _pattern(patterns).partition(" ")[0]
    if pattern == "diagonal":
        first = second = np.diagonal(grid).copy()
    else:
        offset = -1 if pattern == "skew" else 0
        rows, columns = np.triu_indices(shape[0]) if pattern == "upper" else np.tril_indices(shape[0], offset)
        first = grid[rows, columns]
        second = grid[columns, rows] if pattern in ("symmetric", "skew") else first
    return Entries(total, first, second, -1.0 if pattern == "skew" else 1.0, kind, "")


class Constrained:
    """An objective of t, from one of θ(t).

    `natural` is θ of t and `inverse` a t of θ; `bounds` are those on t that the solver must keep; `notes` say
    for each parameter with a structure how it is kept.
    """

    def __init__(
        self,
        objective: Objective,
        structures: Mapping[str, tuple[str, ...]],
        start: Mapping[str, Array],
        bounded: bool = False,
    ) -> None:
        self.objective = objective
        self.parts: list[Part] = []
        natural = free = 0
        for name, array in objective.unpack(np.zeros(objective.size)).items():
            given = np.asarray(start[name], np.float64).reshape(array.shape)
            block, limits, said = block_of(name, structures.get(name, ()), given, bounded)
            places = slice(natural, natural + array.size), slice(free, free + block.size)
            self.parts.append(Part(name, *places, block, limits, said))
            natural, free = natural + array.size, free + block.size
        self.size = free
        self.notes = tuple(part.said for part in self.parts if part.said)
        self._seen: tuple[Array, Array] | None = None

    @property
    def rows(self) -> int | None:
        return self.objective.rows

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers t."""
        return tuple(f"t[{i}]" for i in range(self.size))

    @property
    def bounds(self) -> tuple[Array, Array] | None:
        """The smallest and the largest t allowed; None if all are."""
        if all(part.limits is None for part in self.parts):
            return None
        low, high = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        for part in self.parts:
            if part.limits is not None:
                low[part.free], high[part.free] = part.limits
        return low, high

    def natural(self, t: Array) -> Array:
        """θ of t."""
        return np.concatenate([part.block.value(t[part.free]) for part in self.parts])

    def inverse(self, theta: Array) -> Array:
        """A t whose θ is given.

        Raises: DomainProblem if there is none, as for a start that lacks the structure.
        """
        found = []
        for part in self.parts:
            x = theta[part.natural]
            t = part.block.inverse(x)
            low, high = part.limits or (-np.inf, np.inf)
            if t is None or not ((t >= low) & (t <= high)).all():
                raise DomainProblem(
                    f"the start of {part.name} is not what it is declared to be, or on its edge: {part.said}",
                    hint=f"begin inside, as in init={{'{part.name}': 0.5}}, or leave its start out",
                )
            found.append(t)
        return np.concatenate(found)

    def value_and_gradient(self, theta: Array, batch: Batch | None = None) -> tuple[float, Array]:
        x = self.natural(theta)
        value, gradient = self.objective.value_and_gradient(x, batch)
        if batch is None:
            self._seen = x, gradient
        return value, self._pull(theta, gradient)

    def batches(self, batch: int, seed: int) -> Minibatches | None:
        return self.objective.batches(batch, seed)

    def product(self, theta: Array, direction: Array) -> Array:
        x = self.natural(theta)
        moved = np.concatenate([p.block.push(theta[p.free], direction[p.free]) for p in self.parts])
        turned = self._pull(theta, self.objective.product(x, moved))
        gradient = self._gradient(x)
        bent = [p.block.bend(theta[p.free], gradient[p.natural], direction[p.free]) for p in self.parts]
        return np.asarray(turned + np.concatenate(bent))

    def hessian(self, theta: Array) -> Array:
        x = self.natural(theta)
        jacobian = self._jacobian(theta)
        result = jacobian.T @ self.objective.hessian(x) @ jacobian
        gradient = self._gradient(x)
        for part in self.parts:
            t, g = theta[part.free], gradient[part.natural]
            bent = [part.block.bend(t, g, unit) for unit in np.eye(part.block.size)]
            if bent:
                result[part.free, part.free] += np.array(bent)
        return np.asarray(result)

    def gauss_newton(self, theta: Array) -> Array:
        jacobian = self._jacobian(theta)
        return np.asarray(jacobian.T @ self.objective.gauss_newton(self.natural(theta)) @ jacobian)

    def pack(self, params: Mapping[str, Array]) -> Array:
        return self.inverse(self.objective.pack(params))

    def unpack(self, theta: Array) -> dict[str, Array]:
        return self.objective.unpack(self.natural(theta))

    def edge(self, t: Array, zero: float) -> str:
        """The parameter that is at the edge of its structure while the loss falls inwards; "" if none is.

        There the gradient by t vanishes, and so does the curvature, by which this is told from a minimum.
        """
        gradient = self._gradient(self.natural(t))
        pulled = self._pull(t, gradient)
        for part in self.parts:
            for along in part.block.shut(t[part.free], gradient[part.natural], CLEAR * zero)[:MOST_LOOKED_AT]:
                direction = np.zeros(self.size)
                direction[part.free] = along
                if direction @ self.product(t, direction) <= FAR * abs(pulled @ direction):
                    return part.name
        return ""

    @property
    def reach(self) -> Array:
        """How far each t may go in one step, beyond which a model of the loss by t says nothing."""
        return np.concatenate([np.full(p.block.size, p.block.reach) for p in self.parts])

    def _gradient(self, x: Array) -> Array:
        if self._seen is None or not np.array_equal(self._seen[0], x):
            self._seen = x, self.objective.value_and_gradient(x)[1]
        return self._seen[1]

    def _pull(self, t: Array, g: Array) -> Array:
        return np.concatenate([p.block.pull(t[p.free], g[p.natural]) for p in self.parts])

    def _jacobian(self, t: Array) -> Array:
        jacobian = np.zeros((self.objective.size, self.size))
        for part in self.parts:
            for i, unit in enumerate(np.eye(part.block.size)):
                jacobian[part.natural, part.free.start + i] = part.block.push(t[part.free], unit)
        return jacobian


def constrained(
    objective: Objective,
    structures: Mapping[str, tuple[str, ...]],
    start: Mapping[str, Array],
    method: str,
) -> Objective | Constrained:
    """The objective with the structures of its parameters kept; as it is if none has one.

    lbfgs keeps nonnegative entries and probabilities by bounds, which may be reached.
    """
    if not any(structures.get(name) for name in objective.unpack(np.zeros(objective.size))):
        return objective
    return Constrained(objective, structures, start, bounded=method == "lbfgs")
