"""The neuron of the notes, its data, and the objective that fits it."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.api.fitting import derived, setting
from chainrule.fit.derived import DerivedObjective
from chainrule.fit.objective import Array
from chainrule.fit.rows import Rows

LOSS = "mean((y - relu(X @ w + b))**2)"
SHAPES = "X[N,n] w[n] b y[N]"
RATE = 0.05


def drawn(rows: int, columns: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """X, y and parameters that are nearly right, so that about half of the rows are active."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, columns))
    w = np.random.default_rng(1).standard_normal(columns) / 10
    y = np.maximum(X @ w + 0.1, 0) + 0.01 * rng.standard_normal(rows)
    return X, y, start(columns)


def start(columns: int) -> Array:
    rng = np.random.default_rng(1)
    w = rng.standard_normal(columns) / 10
    return np.append(w + 0.02 * rng.standard_normal(columns), 0.05)


def objective(rows: Rows, columns: int, backend: str = "numpy") -> DerivedObjective:
    """What `cr.fit` evaluates: the loss and its gradient."""
    shown: dict[str, Any] = {"X": np.ones((2, columns)), "y": np.ones(2)}
    about = setting(LOSS, ["w", "b"], shown, SHAPES)
    return DerivedObjective(derived(about)[0], rows, about.data, about.fixed, about.sizes, backend=backend)
