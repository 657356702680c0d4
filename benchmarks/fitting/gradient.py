"""One gradient of the neuron loss over all rows: ours, with the loss beside it, against the others'."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.fitting.neuron import RATE, drawn, objective
from benchmarks.fitting.table import Row
from benchmarks.speed.clock import Budget, take_turns
from chainrule.fit.objective import Array
from chainrule.fit.rows import MemoryRows

COLUMNS = 100
Gradient = Callable[[Array], Array]


def rows(count: int) -> Iterator[Row]:
    """Ratios to the best of the others, and to one read of X at the bandwidth of this run."""
    jax.config.update("jax_enable_x64", True)
    X, y, theta = drawn(count, COLUMNS)
    ours = {name: _ours(X, y, name) for name in ("numpy", "numba")}
    others = {"numpy in two passes": _two_passes(X, y), "jax": _jax(X, y), "torch": _torch(X, y)}
    _check({**ours, **others}, theta)
    flat = X.reshape(-1)
    reads = {"read by dot": lambda: flat @ flat, "read by sum": lambda: flat.sum()}
    calls = {name: lambda g=g: g(theta) for name, g in {**ours, **others}.items()}
    took = {k: t.median for k, t in take_turns({**calls, **reads}, Budget(7, 0.5)).items()}
    best = min(took[name] for name in others)
    read = min(took[name] for name in reads)
    for name, seconds in took.items():
        yield Row(f"{name}, ms", 1e3 * seconds)
    yield Row("one read of X, GB/s", X.nbytes / read / 1e9)
    yield Row("numpy backend, times as fast as the best other", best / took["numpy"], 1.35, least=True)
    yield Row("numpy backend, reads of X", took["numpy"] / read, 3.6)
    yield Row("numba backend, times as fast as the best other", best / took["numba"], 3, least=True)
    yield Row("numba backend, reads of X", took["numba"] / read, 1.6)


def _check(gradients: dict[str, Gradient], start: Array) -> None:
    """Raises unless all take the same steps, and the weights change."""
    ends = {}
    for name, gradient in gradients.items():
        theta = start.copy()
        for _ in range(3):
            theta -= RATE * gradient(theta)
        ends[name] = theta
    first = ends["numpy"]
    assert (np.abs(first - start) > 0).all(), "the weights have not changed"
    for name, theta in ends.items():
        assert np.abs(theta - first).max() < 1e-9, f"{name} has other weights"


def _ours(X: Array, y: Array, backend: str) -> Gradient:
    made = objective(MemoryRows({"X": X, "y": y}), COLUMNS, backend)
    return lambda theta: made.value_and_gradient(theta)[1]


def _two_passes(X: Array, y: Array) -> Gradient:
    def gradient(theta: Array) -> Array:
        z = X @ theta[:-1]
        z += theta[-1]
        e = np.maximum(z, 0)
        e -= y
        e *= z > 0
        return np.append(e @ X, e.sum()) * (2 / len(y))

    return gradient


def _jax(X: Array, y: Array) -> Gradient:
    on_device = jnp.asarray(X), jnp.asarray(y)

    def loss(theta: jax.Array, X: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.mean((y - jax.nn.relu(X @ theta[:-1] + theta[-1])) ** 2)

    fast = jax.jit(jax.grad(loss))
    return lambda theta: np.asarray(fast(theta, *on_device))


def _torch(X: Array, y: Array) -> Gradient:
    given, wanted = torch.from_numpy(X), torch.from_numpy(y)

    def gradient(theta: Array) -> Array:
        p = torch.tensor(theta, requires_grad=True)
        torch.mean((wanted - torch.relu(given @ p[:-1] + p[-1])) ** 2).backward()
        found: Array = p.grad.numpy()
        return found

    return gradient
