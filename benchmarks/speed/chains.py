"""The gradient of a long elementwise chain: what the entries between cost is memory, not arithmetic."""

from __future__ import annotations

import numpy as np

from benchmarks.speed.machine import Work
from benchmarks.speed.problem import Array, Case, Problem, Size

PART = 2**14  # entries that stay in cache with what is between


def slope_case(size: Size, rng: np.random.Generator) -> Case:
    (n,) = size
    return Case(
        {"x": rng.standard_normal(n)},
        experts={"whole arrays": slope_textbook, "in parts, in place": slope_in_parts},
        work=Work(flops=12 * n, moved=16 * n, exponentials=5 * n),
    )


def slope_textbook(x: Array) -> Array:
    s = np.sin(x**2)
    return (2 * x * np.cos(x**2) / np.cosh(s) ** 2 - np.tanh(s)) * np.exp(-x)


def slope_in_parts(x: Array) -> Array:
    out = np.empty_like(x)
    kept = [np.empty(min(PART, len(x))) for _ in range(3)]
    for i in range(0, len(x), PART):
        v, g = x[i : i + PART], out[i : i + PART]
        a, b, c = (buffer[: len(v)] for buffer in kept)
        np.multiply(v, v, out=a)
        np.sin(a, out=b)
        np.cos(a, out=a)
        a *= v
        np.cosh(b, out=c)
        c *= c
        a /= c
        a *= 2
        np.tanh(b, out=b)
        a -= b
        np.negative(v, out=c)
        np.exp(c, out=c)
        np.multiply(a, c, out=g)
    return out


SLOPE = Problem(
    "slope",
    "gradient, elementwise chain",
    "sum(tanh(sin(x**2)) * exp(-x))",
    "x[n]",
    "x",
    lambda xp, x: xp.sum(xp.tanh(xp.sin(x**2)) * xp.exp(-x)),
    slope_case,
    ((1000,), (100_000,), (1_000_000,)),
    "n",
    fused=True,
)
