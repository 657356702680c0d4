"""What a call by name costs over the bare function: checking the arrays, the sizes and the result.

The bare function is what `__source__` defines, called by position.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import chainrule as cr
from benchmarks.speed.clock import Budget, take_turns

ALLOWED, ALLOWED_EACH = 2.0, 0.3  # microseconds a call, and for each argument
CASES = (
    # formula, shapes, wrt, given sizes
    ("sum(x * a)", "x[n] a[n]", "x"),
    ("sum(x * (a + b + c))", "x[n] a[n] b[n] c[n]", "x"),
    ("sum(x * (a + b + c + d + e + f + g))", "x[n] a[n] b[n] c[n] d[n] e[n] f[n] g[n]", "x"),
    ("x @ A @ x", "x[n] A[n,n]", "x"),
    ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w,b"),
    ("sum((T - U @ V.T)**2)", "T[n,m] U[n,k] V[m,k]", "U"),
)
SIZES = {"N": 6, "n": 5, "m": 4, "k": 3}


@dataclass(frozen=True, slots=True)
class Overhead:
    """Microseconds a call, named and bare; how many arrays were given, and what is allowed."""

    formula: str
    wrt: str
    given: int
    named: float
    bare: float

    @property
    def over(self) -> float:
        """What the call by name adds."""
        return self.named - self.bare

    @property
    def allowed(self) -> float:
        """What it may add."""
        return ALLOWED + ALLOWED_EACH * self.given


def overheads(budget: Budget) -> Iterator[Overhead]:
    """Each case, all declared arrays given."""
    for formula, shapes, wrt in CASES:
        derived = cr.derive(formula, wrt=wrt, shapes=shapes)
        arrays = {v.name: _array(v.shape) for v in derived.formula.variables.values()}
        function = derived.compile()
        calls = {
            "named": partial(function, **arrays),
            "bare": partial(bare(function), *_placed(function, arrays)),
        }
        times = take_turns(calls, budget)
        yield Overhead(formula, wrt, len(arrays), 1e6 * times["named"].median, 1e6 * times["bare"].median)


def bare(function: Any) -> Any:
    """The function that the source of a compiled function defines."""
    namespace: dict[str, Any] = {}
    exec(function.__source__, namespace)
    return namespace[function.__name__]


def _placed(function: Any, arrays: Mapping[str, Any]) -> list[Any]:
    names = inspect.signature(bare(function)).parameters
    return [arrays[name] if name in arrays else SIZES[name] for name in names]


def _array(shape: Any) -> Any:
    sizes = tuple(dim.evaluate(SIZES) for dim in shape)
    return np.random.default_rng(0).standard_normal(sizes) if sizes else np.float64(0.5)
