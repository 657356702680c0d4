"""Training one ReLU neuron by gradient descent: the compiled gradient in a loop against JAX, PyTorch, Numba.

Every competitor starts from the same weights and takes the same steps; before anything is timed the weights
must have changed, and must be the same for all. From w = 0, b = 0 a ReLU neuron never moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import chainrule as cr
from benchmarks.speed.clock import Budget, take_turns
from benchmarks.speed.gradients import NEURON, neuron_one_pass
from benchmarks.speed.problem import Array, with_numba

RATE = 0.05
FULL_BATCH = (1_000_000, 100, 1)
SIZES = [(1, 100, 16), (32, 100, 16), (256, 100, 16), (2048, 100, 16)]  # rows, columns, batches
Weights = tuple[Array, float]
Training = Callable[[], Weights]  # takes its steps and gives the weights then


@dataclass(frozen=True, slots=True)
class Trained:
    """Seconds of a step by competitor."""

    batch: int
    width: int
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Data:
    """Rows in batches of equal size, and the weights at the start."""

    batches: list[tuple[Array, Array]]
    w: Array
    b: float


def trainings(sizes: list[tuple[int, int, int]], budget: Budget) -> Iterator[Trained]:
    """Each size: rows of a batch, columns, batches."""
    for batch, width, count in sizes:
        data = drawn(batch, width, count)
        runs = {name: make(data) for name, make in competitors().items()}
        verify(runs, data)
        took = take_turns(runs, budget)
        yield Trained(batch, width, {name: t.median / count for name, t in took.items()})


def drawn(batch: int, width: int, count: int) -> Data:
    """A neuron that is nearly right, about half of its rows active."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal(width) / 10
    batches = []
    for _ in range(count):
        X = rng.standard_normal((batch, width))
        batches.append((X, np.maximum(X @ w + 0.1, 0) + 0.01 * rng.standard_normal(batch)))
    return Data(batches, w + 0.02 * rng.standard_normal(width), 0.05)


def competitors() -> dict[str, Callable[[Data], Training]]:
    """By name, ours first."""
    compiled = with_numba("numba, by hand", lambda numba: by_hand(neuron_one_pass(numba)))
    others = {"jax, step by step": jax_steps, "jax, lax.scan": jax_scan, "torch": torch_steps}
    return {"ours": ours, **others, **compiled}


def verify(runs: dict[str, Training], data: Data) -> None:
    """Raises unless all come to the same weights, and these are not those at the start."""
    found = {name: run() for name, run in runs.items()}
    w, b = found["ours"]
    assert np.abs(w - data.w).max() > 0 and b != data.b, "the weights have not changed"
    for name, (other, bias) in found.items():
        apart = max(np.abs(np.asarray(other) - w).max(), abs(float(bias) - float(b)))
        assert apart < 1e-9, f"{name} has other weights: they differ by {apart:.1e}"


# ---------------------------------------------------------------- competitors


def ours(data: Data) -> Training:
    f = cr.derive(NEURON.formula, wrt=NEURON.wrt, shapes=NEURON.shapes).compile()

    def run() -> Weights:
        w, b = data.w.copy(), data.b
        for X, y in data.batches:
            g = f(X=X, w=w, b=b, y=y)
            w -= RATE * g["w"]
            b -= RATE * float(g["b"])
        return w, b

    return run


def by_hand(gradient: Any) -> Callable[[Data], Training]:
    def training(data: Data) -> Training:
        def run() -> Weights:
            w, b = data.w.copy(), data.b
            for X, y in data.batches:
                g, gb = gradient(X, w, b, y)
                w -= RATE * g
                b -= RATE * gb
            return w, b

        return run

    return training


def loss(p: Any, X: Any, y: Any) -> Any:
    return jnp.mean((y - jax.nn.relu(X @ p[0] + p[1])) ** 2)


def step(p: Any, X: Any, y: Any) -> Any:
    g = jax.grad(loss)(p, X, y)
    return p[0] - RATE * g[0], p[1] - RATE * g[1]


def jax_steps(data: Data) -> Training:
    fast = jax.jit(step)
    on_device = [(jnp.asarray(X), jnp.asarray(y)) for X, y in data.batches]
    start = jnp.asarray(data.w), jnp.asarray(data.b)

    def run() -> Weights:
        p = start
        for X, y in on_device:
            p = fast(p, X, y)
        w, b = jax.block_until_ready(p)
        return w, b

    return run


def jax_scan(data: Data) -> Training:
    """All steps in one compiled loop, which holds all batches in one array."""
    Xs, ys = (jnp.stack([jnp.asarray(batch[k]) for batch in data.batches]) for k in (0, 1))
    start = jnp.asarray(data.w), jnp.asarray(data.b)
    whole = jax.jit(lambda p, Xs, ys: jax.lax.scan(lambda p, batch: (step(p, *batch), None), p, (Xs, ys))[0])

    def run() -> Weights:
        w, b = jax.block_until_ready(whole(start, Xs, ys))
        return w, b

    return run


def torch_steps(data: Data) -> Training:
    tensors = [(torch.from_numpy(X), torch.from_numpy(y)) for X, y in data.batches]

    def run() -> Weights:
        w = torch.tensor(data.w, requires_grad=True)
        b = torch.tensor(data.b, requires_grad=True)
        optimizer = torch.optim.SGD([w, b], lr=RATE)
        for X, y in tensors:
            optimizer.zero_grad()
            torch.mean((y - torch.relu(X @ w + b)) ** 2).backward()
            optimizer.step()
        return w.detach().numpy(), b.item()

    return run
