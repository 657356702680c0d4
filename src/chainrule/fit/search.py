"""How far to go along a direction: the first of t, t/2, t/4, ... that lowers the loss enough.

Where the loss can no longer tell (its change is within rounding), the slope does: Hager and Zhang's
approximate condition, so that a search goes on to the accuracy of the gradient, not of the loss.
Source: Armijo 1966; Hager and Zhang 2005, A new conjugate gradient method, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.fit.objective import Array, Objective

ENOUGH = 1e-4  # of the decrease that the slope promises
HALVINGS = 60
# What a loss that is summed over a million rows one by one may be wrong by, relative to it.
ROUNDING = 4096 * float(np.finfo(float).eps)


@dataclass(frozen=True, slots=True)
class Found:
    """The point that a search accepts: θ + length·direction, with loss and gradient there."""

    theta: Array
    loss: float
    gradient: Array
    length: float


def search(
    objective: Objective, theta: Array, loss: float, gradient: Array, direction: Array, first: float
) -> Found | None:
    """The point that is accepted along a direction of descent; None if there is none.

    Shapes: theta, gradient and direction (size,).
    """
    slope = float(gradient @ direction)
    if not slope < 0:
        return None
    length = first
    for _ in range(HALVINGS):
        point = theta + length * direction
        if np.array_equal(point, theta):
            return None
        value, there = objective.value_and_gradient(point)
        if value <= loss + ENOUGH * length * slope and np.isfinite(there).all():
            return Found(point, value, there, length)
        level = abs(value - loss) <= ROUNDING * abs(loss)
        if level and float(there @ direction) <= (2 * ENOUGH - 1) * slope:
            return Found(point, value, there, length)
        length /= 2
    return None
