"""JAX in float64, run eagerly, as judge of values, first derivatives and Hessian blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate
from tests.backends import backend

jax = backend("jax")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")
# Compilation costs over ten times what the arithmetic of such small arrays does.
jax.config.update("jax_disable_jit", True)
jnp = jax.numpy

FIRST, SECOND = 1e-9, 1e-7
Arrays = Mapping[str, Any]


def judged(
    formula: str,
    shapes: str,
    values: Arrays,
    judge: Callable[..., Any],
    wrt: Sequence[str],
    sizes: Mapping[str, int] | None = None,
    second: bool = True,
) -> list[str]:
    """What differs from JAX: the value, ∂/∂v for each v, and for scalars every block of the Hessian."""
    arrays = {name: jnp.asarray(value, dtype=float) for name, value in values.items()}
    wrong: list[str] = []

    def compare(what: str, mine: Any, theirs: Any, tolerance: float) -> None:
        mine, theirs = np.asarray(mine), np.asarray(theirs)
        scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
        same = mine.shape == theirs.shape and np.isfinite(theirs).all()
        if not same or not np.allclose(mine, theirs, rtol=tolerance, atol=tolerance * scale):
            wrong.append(f"{what} of {formula}: {mine} and JAX {theirs}")

    expr = parse_formula(formula, shapes).expr
    given = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    value = judge(**arrays)
    compare("value", evaluate(expr, given, dict(sizes or {})), value, 1e-12)

    def moving(names: Sequence[str]) -> Callable[..., Any]:
        return lambda *parts: judge(**{**arrays, **dict(zip(names, parts, strict=True))})

    points = [arrays[name] for name in wrt]
    mine = compiled(cr.derive(formula, wrt=list(wrt), shapes=shapes), given, sizes)
    for name, theirs in zip(wrt, _first(moving(wrt), points), strict=True):
        compare(f"∂/∂{name}", mine[name], theirs, FIRST)
    if not second or np.ndim(value):
        return wrong
    mine = compiled(cr.derive(formula, wrt=list(wrt), shapes=shapes, order=2), given, sizes)
    for k, row in zip(wrt, _second(moving(wrt), points), strict=True):
        for j, theirs in zip(wrt, row, strict=True):
            compare(f"∂²/∂{j}∂{k}", mine[j, k], theirs, SECOND)
    return wrong


def _first(function: Callable[..., Any], points: Sequence[Any]) -> list[Any]:
    """The derivative by each argument. Without vmap, since every new shape costs JAX a compilation."""
    value, pull = jax.vjp(function, *points)
    rows = [pull(direction) for direction in _basis(value)]
    return [_joined([row[k] for row in rows], (*np.shape(value), *np.shape(p))) for k, p in enumerate(points)]


def _second(function: Callable[..., Any], points: Sequence[Any]) -> list[list[Any]]:
    """For each argument the derivatives of all gradients by it, the axes of the gradient first."""
    places = tuple(range(len(points)))
    _, push = jax.linearize(jax.grad(function, places), *points)
    zeros = [jnp.zeros_like(p) for p in points]
    result = []
    for k, point in enumerate(points):
        columns = [push(*zeros[:k], direction, *zeros[k + 1 :]) for direction in _basis(point)]
        shapes = [(*np.shape(point), *np.shape(p)) for p in points]
        blocks = [_joined([c[j] for c in columns], shape) for j, shape in enumerate(shapes)]
        rank = np.ndim(point)
        result.append([np.moveaxis(b, range(rank), range(b.ndim - rank, b.ndim)) for b in blocks])
    return result


def _basis(like: Any) -> list[Any]:
    shape = np.shape(like)
    return [jnp.asarray(row.reshape(shape)) for row in np.eye(int(np.prod(shape)))]


def _joined(rows: Sequence[Any], shape: tuple[int, ...]) -> Any:
    return np.stack([np.asarray(row) for row in rows]).reshape(shape)


def compiled(derivatives: Any, values: Arrays, sizes: Mapping[str, int] | None) -> dict[Any, Any]:
    """The values of all derivatives by what they are keyed by, from generated code."""
    function = derivatives.compile()
    return dict(function(**values, **{n: k for n, k in (sizes or {}).items() if n in function.sizes}))
