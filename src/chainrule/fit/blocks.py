"""Arrays of a structure as functions x(t) of free numbers t, with what the chain rule needs of each.

For J = ∂x/∂t at t: `push` is J v, `pull` is Jᵀ g, and `bend` is the change of Jᵀ g along v with g held fixed,
so that the Hessian by t times v is pull(H push(v)) + bend(g, v). All arrays are flat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np

from chainrule.codegen.compiled import library
from chainrule.fit.objective import Array

Kind = Literal["free", "exp", "softplus", "sigmoid"]
INVERSES = {"exp": "log", "softplus": "log(exp − 1)", "sigmoid": "logit"}


class Block(ABC):
    """x(t) of one parameter; `size` is how many numbers t has, `said` what x is, as a formula.

    `reach` is how far t may go in one step, so that a step does not end where x is flat.
    """

    size: int
    said: str
    reach = np.inf

    @abstractmethod
    def value(self, t: Array) -> Array:
        """The parameter x, flat."""

    @abstractmethod
    def push(self, t: Array, v: Array) -> Array:
        """J v."""

    @abstractmethod
    def pull(self, t: Array, g: Array) -> Array:
        """Jᵀ g."""

    @abstractmethod
    def bend(self, t: Array, g: Array, v: Array) -> Array:
        """The derivative of Jᵀ g along v, g held fixed."""

    @abstractmethod
    def inverse(self, x: Array) -> Array | None:
        """A t with x(t) = x; None if there is none."""

    def shut(self, t: Array, g: Array, least: float) -> list[Array]:
        """Directions v of t along which x hardly moves any more, though the loss would fall.

        g is the gradient by x; what falls by less than `least` does not count.
        """
        return []


REACH = 4.0  # e⁴ is a factor of 55
FLAT = 1e-4  # how fast x moves with t where it is all but at its edge


def _scalar(kind: Kind, t: Array) -> tuple[Array, Array, Array]:
    """φ, φ′ and φ″ of an entry."""
    if kind == "exp":
        x = np.exp(t)
        return x, x, x
    if kind == "free":
        return t, np.ones_like(t), np.zeros_like(t)
    s = library("scipy.special").expit(t)
    slope = s * (1 - s)
    if kind == "sigmoid":
        return s, slope, slope * (1 - 2 * s)
    return np.logaddexp(0.0, t), s, slope


def _scalar_inverse(kind: Kind, x: Array) -> Array | None:
    if kind == "free":
        return x
    if not (x > 0).all() or (kind == "sigmoid" and not (x < 1).all()):
        return None
    if kind == "exp":
        return np.asarray(np.log(x))
    if kind == "softplus":
        return np.asarray(x + np.log(-np.expm1(-x)))
    return np.asarray(library("scipy.special").logit(x))


class Entries(Block):
    """Entries φ(t_k) at the places `first`, the same times `sign` at `second`, and 0 elsewhere."""

    def __init__(self, total: int, first: Array, second: Array, sign: float, kind: Kind, said: str) -> None:
        self.total, self.first, self.second, self.sign, self.kind = total, first, second, sign, kind
        self.size, self.said = len(first), said
        self.reach = np.inf if kind == "free" else REACH
        self.twice = first != second

    def _spread(self, entries: Array) -> Array:
        x = np.zeros(self.total)
        x[self.second] = self.sign * entries
        x[self.first] = entries
        return x

    def _gathered(self, g: Array) -> Array:
        return np.asarray(g[self.first] + np.where(self.twice, self.sign * g[self.second], 0.0))

    def value(self, t: Array) -> Array:
        return self._spread(_scalar(self.kind, t)[0])

    def push(self, t: Array, v: Array) -> Array:
        return self._spread(_scalar(self.kind, t)[1] * v)

    def pull(self, t: Array, g: Array) -> Array:
        return _scalar(self.kind, t)[1] * self._gathered(g)

    def bend(self, t: Array, g: Array, v: Array) -> Array:
        return np.asarray(_scalar(self.kind, t)[2] * v * self._gathered(g))

    def shut(self, t: Array, g: Array, least: float) -> list[Array]:
        slope, inwards = _scalar(self.kind, t)[1], -self._gathered(g)
        if self.kind == "sigmoid":
            inwards = np.where(t > 0, -inwards, inwards)
        return list(np.eye(self.size)[(slope < FLAT) & (inwards > least)])

    def inverse(self, x: Array) -> Array | None:
        if not np.array_equal(self._spread(x[self.first]), x):
            return None
        return _scalar_inverse(self.kind, x[self.first])


class Simplex(Block):
    """Each row is softmax(t₁, …, t_{k−1}, 0): the last entry is what the others leave."""

    said = "softmax(t, 0) of free numbers t, one fewer than entries"
    reach = REACH

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.last = shape[-1]
        self.count = int(np.prod(shape[:-1], dtype=np.int64))
        self.size = self.count * (self.last - 1)

    def _rows(self, t: Array) -> Array:
        return np.hstack([t.reshape(self.count, self.last - 1), np.zeros((self.count, 1))])

    def _softmax(self, t: Array) -> Array:
        rows = self._rows(t)
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def _along(self, x: Array, v: Array) -> Array:
        return np.asarray(x * (v - (x * v).sum(axis=1, keepdims=True)))

    def value(self, t: Array) -> Array:
        return self._softmax(t).ravel()

    def push(self, t: Array, v: Array) -> Array:
        return self._along(self._softmax(t), self._rows(v)).ravel()

    def pull(self, t: Array, g: Array) -> Array:
        x = self._softmax(t)
        return self._along(x, g.reshape(x.shape))[:, :-1].ravel()

    def bend(self, t: Array, g: Array, v: Array) -> Array:
        x = self._softmax(t)
        g = g.reshape(x.shape)
        moved = self._along(x, self._rows(v))
        centred = g - (x * g).sum(axis=1, keepdims=True)
        return np.asarray(moved * centred - x * (moved * g).sum(axis=1, keepdims=True))[:, :-1].ravel()

    def shut(self, t: Array, g: Array, least: float) -> list[Array]:
        x = self._softmax(t)
        g = g.reshape(x.shape)
        falls = (x * g).sum(axis=1, keepdims=True) - g
        found = []
        for row, entry in np.argwhere((x < FLAT) & (falls > least)):
            along = np.zeros((self.count, self.last - 1))
            # The last entry has no number of its own: the others fall for it.
            along[row, entry if entry < self.last - 1 else slice(None)] = 1
            found.append(along.ravel())
        return found

    def inverse(self, x: Array) -> Array | None:
        rows = x.reshape(self.count, self.last)
        if not (rows > 0).all() or not np.allclose(rows.sum(axis=1), 1, rtol=0, atol=1e-9):
            return None
        return np.asarray(np.log(rows[:, :-1]) - np.log(rows[:, -1:])).ravel()


class Definite(Block):
    """X = LLᵀ, L lower triangular with exp(t) on its diagonal."""

    said = "LLᵀ, L lower triangular, the logarithms of its diagonal and its other entries free"

    def __init__(self, n: int) -> None:
        self.n = n
        self.rows, self.columns = np.tril_indices(n)
        self.size = len(self.rows)
        self.diagonal = self.rows == self.columns

    def _lower(self, entries: Array) -> Array:
        lower = np.zeros((self.n, self.n))
        lower[self.rows, self.columns] = entries
        return lower

    def _factor(self, t: Array) -> Array:
        return self._lower(np.where(self.diagonal, np.exp(np.where(self.diagonal, t, 0.0)), t))

    def _slopes(self, factor: Array) -> Array:
        return np.where(self.diagonal, factor[self.rows, self.columns], 1.0)

    def value(self, t: Array) -> Array:
        factor = self._factor(t)
        return np.asarray(factor @ factor.T).ravel()

    def push(self, t: Array, v: Array) -> Array:
        factor = self._factor(t)
        half = self._lower(v * self._slopes(factor)) @ factor.T
        return np.asarray(half + half.T).ravel()

    def pull(self, t: Array, g: Array) -> Array:
        factor = self._factor(t)
        matrix = g.reshape(self.n, self.n)
        product = (matrix + matrix.T) @ factor
        return np.asarray(product[self.rows, self.columns] * self._slopes(factor))

    def bend(self, t: Array, g: Array, v: Array) -> Array:
        factor = self._factor(t)
        slopes = self._slopes(factor)
        matrix = g.reshape(self.n, self.n)
        both = matrix + matrix.T
        change = (both @ self._lower(v * slopes))[self.rows, self.columns] * slopes
        curved = (both @ factor)[self.rows, self.columns] * slopes * v
        return np.asarray(change + np.where(self.diagonal, curved, 0.0))

    def inverse(self, x: Array) -> Array | None:
        matrix = x.reshape(self.n, self.n)
        if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=0):
            return None
        try:
            entries = np.linalg.cholesky(matrix)[self.rows, self.columns]
        except np.linalg.LinAlgError:
            return None
        return np.where(self.diagonal, np.log(np.where(self.diagonal, entries, 1.0)), entries)


class Unit(Block):
    """x = 2(q + Nt)/(1 + ‖t‖²) − q, q the start, N an orthonormal basis of what is orthogonal to it.

    The sphere seen from −q, the one point that is reached only in the limit. With t/‖t‖ the length of t
    would be free: it changes nothing but the size of the gradient, and drifts to 0 or beyond all bounds.
    """

    said = "2(q + Nt)/(1 + ‖t‖²) − q, q the start, N a basis of what is orthogonal to it, t free"

    def __init__(self, start: Array) -> None:
        length = np.linalg.norm(start)
        self.start = start / length if length else start
        normal = self.start + np.where(self.start[0] < 0, -1.0, 1.0) * np.eye(len(start))[0]
        mirror = np.eye(len(start)) - 2 * np.outer(normal, normal) / (normal @ normal)
        self.basis = mirror[:, 1:]
        self.size = len(start) - 1

    def value(self, t: Array) -> Array:
        return np.asarray(2 * (self.start + self.basis @ t) / (1 + t @ t) - self.start)

    def push(self, t: Array, v: Array) -> Array:
        scale, ahead = 1 + t @ t, self.start + self.basis @ t
        return np.asarray(2 * (self.basis @ v) / scale - ahead * (4 * (t @ v) / scale**2))

    def pull(self, t: Array, g: Array) -> Array:
        scale, ahead = 1 + t @ t, self.start + self.basis @ t
        return np.asarray(2 * (g @ self.basis) / scale - t * (4 * (ahead @ g) / scale**2))

    def bend(self, t: Array, g: Array, v: Array) -> Array:
        scale, along = 1 + t @ t, t @ v
        ahead, across = (self.start + self.basis @ t) @ g, g @ self.basis
        bent = 4 * t * ahead * along / scale - across * along - v * ahead - t * (across @ v)
        return np.asarray(4 * bent / scale**2)

    def inverse(self, x: Array) -> Array | None:
        if not np.isclose(np.linalg.norm(x), 1, rtol=0, atol=1e-9) or x @ self.start <= -1:
            return None
        return np.asarray((x @ self.basis) / (1 + x @ self.start))


class Turned(Block):
    """Q = (I + A)⁻¹(I − A) Q₀, A skew with free entries below its diagonal (Cayley), Q₀ the start.

    Orthonormal columns stay so. A turn by a half circle from Q₀ is reached only in the limit.
    """

    said = "(I + A)⁻¹(I − A)Q₀, A skew with free entries, Q₀ the start"

    def __init__(self, start: Array) -> None:
        self.start = start
        self.rows, self.columns = np.tril_indices(len(start), -1)
        self.size = len(self.rows)

    def _skew(self, t: Array) -> Array:
        lower = np.zeros((len(self.start), len(self.start)))
        lower[self.rows, self.columns] = t
        return lower - lower.T

    def _inverse(self, t: Array) -> Array:
        return np.linalg.inv(np.eye(len(self.start)) + self._skew(t))

    def _entries(self, matrix: Array) -> Array:
        return np.asarray(matrix[self.rows, self.columns] - matrix[self.columns, self.rows])

    def value(self, t: Array) -> Array:
        return ((2 * self._inverse(t) - np.eye(len(self.start))) @ self.start).ravel()

    def push(self, t: Array, v: Array) -> Array:
        s = self._inverse(t)
        return np.asarray(-2 * s @ self._skew(v) @ s @ self.start).ravel()

    def _wide(self, g: Array) -> Array:
        return np.asarray(g.reshape(self.start.shape) @ self.start.T)

    def pull(self, t: Array, g: Array) -> Array:
        s = self._inverse(t)
        return self._entries(-2 * s.T @ self._wide(g) @ s.T)

    def bend(self, t: Array, g: Array, v: Array) -> Array:
        s, wide = self._inverse(t), self._wide(g)
        moved = -s @ self._skew(v) @ s
        return self._entries(-2 * (moved.T @ wide @ s.T + s.T @ wide @ moved.T))

    def inverse(self, x: Array) -> Array | None:
        return np.zeros(self.size) if np.array_equal(x, self.start.ravel()) else None
