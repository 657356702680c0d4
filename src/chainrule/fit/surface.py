"""The loss over two parameters, on a grid around the path of a descent."""

from __future__ import annotations

from time import process_time

import numpy as np

from chainrule.fit.objective import Array, Objective

POINTS = 41
SECONDS = 4.0  # longer than that a picture is not worth


def surface(objective: Objective, path: Array) -> dict[str, Array]:
    """The loss at POINTS × POINTS places around the path: "x", "y", and "loss" by y and x.

    Nothing for other than two parameters, and where one loss takes too long.
    """
    if objective.size != 2 or len(path) == 0 or not np.isfinite(path).all():
        return {}
    if min(_seconds(objective, path[-1]) for _ in range(3)) * POINTS**2 > SECONDS:
        return {}
    low, high = path.min(axis=0), path.max(axis=0)
    # As far beyond the path as it is long, and never flat.
    span = np.maximum(high - low, 0.02 * np.abs(path).max(axis=0))
    span = np.where(span > 0, span, 1.0)
    reach = 0.35 * np.maximum(span, 0.0)
    x, y = (np.linspace(low[k] - reach[k], high[k] + reach[k], POINTS) for k in range(2))
    loss = np.array([[objective.value_and_gradient(np.array([a, b]))[0] for a in x] for b in y])
    return {"x": x, "y": y, "loss": loss}


def _seconds(objective: Objective, theta: Array) -> float:
    began = process_time()
    objective.value_and_gradient(theta)
    return process_time() - began
