"""Curves inside the sets of structured variables: what a structured derivative is compared along.

In: the name of a set and a point of it. Out: for a basis of the directions that the derivative's entries
stand for, a curve of the set through the point. Nothing here knows the formulas of `rules.structures`:
tangent spaces come from null spaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from chainrule.verify.reference import Array

Path = Callable[[complex], Array]


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve through a point of a set.

    weights  what the derivative is contracted with to give the slope along it
    path     the point at a parameter, real or complex; at 0 it is the point itself
    """

    weights: Array
    path: Path


def curves(name: str, point: Array) -> list[Curve]:
    """Curves for a basis of the weights; where the derivative must vanish, the curve rests.

    >>> [float(c.path(1.0)[0, 1]) for c in curves("symmetric", np.zeros((2, 2)))]
    [0.0, 1.0, 1.0, 0.0]
    """
    match name:
        case "unit" | "orthogonal" | "orthonormal":
            tangents, normals = tangent_basis(name, point), normal_basis(name, point)
            moving = [Curve(v, geodesic(name, point, v)) for v in tangents]
            return moving + [Curve(u, _resting(point)) for u in normals]
        case "simplex":
            return [Curve(u, _on_simplex(point, u)) for u in _units(point.shape)]
        case _:
            return [Curve(u, straight(point, free_direction(name, u))) for u in _units(point.shape)]


def geodesic(name: str, point: Array, v: Array) -> Path:
    """The curve of the set through the point, straight in its coordinates, along which the weights are v."""
    match name:
        case "unit":
            speed = float(np.linalg.norm(v)) or 1.0
            return lambda t: point * np.cos(speed * t) + v * (np.sin(speed * t) / speed)
        case "orthogonal" | "orthonormal":
            return _on_stiefel(point, v)
        case "simplex":
            return _on_simplex(point, v)
        case _:
            return straight(point, free_direction(name, v))


def free_direction(name: str, weights: Array) -> Array:
    """How a matrix moves when its free entries do: each moves with its partner, others rest."""
    partner = np.swapaxes(weights, -1, -2)
    eye = np.eye(weights.shape[-1])
    match name:
        case "symmetric":
            return np.asarray(np.where(eye > 0, weights, weights + partner))
        case "skew":
            return np.asarray(weights - partner)
        case "diagonal":
            return np.asarray(weights * eye)
        case "lower":
            return np.tril(weights)
        case "upper":
            return np.triu(weights)
        case _:
            raise AssertionError(f"no set is named {name!r}")


def tangent_basis(name: str, point: Array) -> Array:
    """An orthonormal basis of the tangent space, one array after the other."""
    normals = normal_basis(name, point).reshape(-1, point.size)
    _, values, rows = np.linalg.svd(normals)
    return np.asarray(rows[int((values > 1e-10).sum()) :].reshape(-1, *point.shape))


def normal_basis(name: str, point: Array) -> Array:
    """A basis of what is at right angles to the set: the gradients of its equations."""
    if name == "unit":
        return point[None]
    count = point.shape[1]
    pairs = [(i, j) for i in range(count) for j in range(i + 1)]
    symmetric = np.zeros((len(pairs), count, count))
    for k, (i, j) in enumerate(pairs):
        symmetric[k, i, j] = symmetric[k, j, i] = 1.0
    return np.asarray(point @ symmetric)


def _units(shape: tuple[int, ...]) -> Iterator[Array]:
    for k in range(int(np.prod(shape, dtype=int))):
        u = np.zeros(shape)
        u.flat[k] = 1.0
        yield u


def _resting(point: Array) -> Path:
    return lambda t: point + 0 * t


def straight(point: Array, v: Array) -> Path:
    """The line through the point with velocity v."""
    return lambda t: point + t * v


def _on_simplex(point: Array, v: Array) -> Path:
    def path(t: complex) -> Array:
        weights = point * np.exp(t * v)
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True))

    return path


def _on_stiefel(Q: Array, v: Array) -> Path:
    """[Q, V] exp(t [[A, −VᵀV], [I, A]]) [I; 0] exp(−tA) with A = QᵀV; QᵀQ stays I.

    Source: Edelman, Arias and Smith 1998, The geometry of algorithms with orthogonality constraints, eq. 2.7.
    """
    p = Q.shape[1]
    A = Q.T @ v
    block = np.block([[A, -v.T @ v], [np.eye(p), A]])

    def path(t: complex) -> Array:
        return np.asarray(np.hstack([Q, v]) @ exponential(t * block)[:, :p] @ exponential(-t * A))

    return path


def exponential(matrix: Array) -> Array:
    """The exponential of a small matrix, real or complex, by its power series."""
    total = term = np.eye(len(matrix), dtype=matrix.dtype)
    halvings = max(0, int(np.ceil(np.log2(max(float(np.abs(matrix).sum(axis=1).max()), 1e-300)))) + 2)
    small = matrix / 2**halvings
    for k in range(1, 22):
        term = term @ small / k
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return np.asarray(total)
