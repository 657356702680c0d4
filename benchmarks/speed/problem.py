"""What a problem is: a formula, the same function for JAX and PyTorch, an expert's code, sizes and floors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.speed.machine import Work

Array = npt.NDArray[np.float64]
Function = Callable[..., Any]
Size = tuple[int, ...]
NOTHING = Work()


@dataclass(frozen=True, slots=True)
class Floors:
    """How many times as fast as automatic differentiation it must be: dense, structured, the JAX backend."""

    dense: float | None = None
    structured: float | None = None
    jax: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A problem at one size. Every function takes the arrays in the order of `arrays`.

    `experts`: code written by hand for NumPy and SciPy, the textbook's form first, all of them dense;
    `structured`: without the zeros and repetitions, `expand` making it dense; `jitted`: closed forms for
    jax.jit; `compiled`: for Numba. `ad_bytes` is the memory that automatic differentiation needs.
    `dense` is False where the whole array is not asked for, being too large; then `along` is the derivative
    along a vector of ones, which is the diagonal for whoever knows that there is nothing else.
    """

    arrays: Mapping[str, Array]
    experts: Mapping[str, Function] = field(default_factory=dict)
    structured: Mapping[str, Function] = field(default_factory=dict)
    jitted: Mapping[str, Function] = field(default_factory=dict)
    compiled: Mapping[str, Function] = field(default_factory=dict)
    expand: Function | None = None
    work: Work = NOTHING
    structured_work: Work = NOTHING
    ad_bytes: float = 0.0
    dense: bool = True
    along: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """A derivative to be measured; `model(xp, *arrays)` is the function as users of JAX or PyTorch write it.

    `letters` name the sizes. `fused`: worth a compiled loop.
    `own`: not among the problems that the mechanisms were made for.
    """

    name: str
    title: str
    formula: str
    shapes: str
    wrt: str
    model: Function
    case: Callable[[Size, np.random.Generator], Case]
    sizes: tuple[Size, ...]
    letters: str
    floors: Callable[[Size], Floors] = lambda size: Floors()
    order: int = 1
    scalar: bool = True
    fused: bool = False
    own: bool = False

    @property
    def names(self) -> list[str]:
        """The variables of the derivative."""
        return self.wrt.split(",")

    def label(self, size: Size) -> str:
        """The size in words: N = 1000, n = 100."""
        return ", ".join(f"{k} = {v}" for k, v in zip(self.letters.split(), size, strict=True))


def with_numba(label: str, build: Callable[[Any], Function]) -> dict[str, Function]:
    """The function that `build` makes with Numba, by its label; nothing where Numba is not installed."""
    try:
        import numba
    except ImportError:
        return {}
    return {label: build(numba)}


def spd(n: int, rng: np.random.Generator) -> Array:
    """A symmetric positive definite matrix, well conditioned."""
    Q = rng.standard_normal((n, n))
    return Q @ Q.T / n + np.eye(n)
