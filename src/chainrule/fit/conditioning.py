"""How well the data tell the parameters: the curvatures of the loss at the end, largest over smallest."""

from __future__ import annotations

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.fit.objective import Array, Objective

MOST_ENTRIES = 300
FLAT = 1e-13  # of the largest curvature; smaller ones are rounding errors
POOR = 1e8


def conditioning(objective: Objective, theta: Array) -> tuple[float | None, str]:
    """The ratio of the largest and the smallest eigenvalue of the Hessian, and what it says.

    >>> from dataclasses import dataclass
    >>> class Bowl:
    ...     size = 2
    ...     def hessian(self, theta): return np.diag([8.0, 2.0])
    >>> conditioning(Bowl(), np.zeros(2))
    (4.0, 'curvatures of the loss from 2 to 8 (eigenvalues of the Hessian), ratio 4')
    """
    if objective.size > MOST_ENTRIES:
        return None, (
            f"not computed: the Hessian of {objective.size} parameters has more than "
            f"{MOST_ENTRIES} × {MOST_ENTRIES} entries"
        )
    try:
        hessian = objective.hessian(theta)
    except (ChainruleError, MemoryError) as problem:
        return None, f"not computed: {str(problem).splitlines()[0]}"
    if not np.isfinite(hessian).all():
        return None, "not computed: the Hessian is not finite there"
    curvatures = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    low, high = float(curvatures[0]), float(curvatures[-1])
    largest = max(abs(low), abs(high))
    if largest == 0:
        return None, "the Hessian is zero there"
    flat = int((abs(curvatures) <= FLAT * largest).sum())
    if low < -FLAT * largest:
        down = int((curvatures < -FLAT * largest).sum())
        ways = "direction" if down == 1 else "directions"
        return None, (
            f"no minimum: the loss curves down along {down} {ways}, curvatures from {low:.3g} to {high:.3g}"
        )
    if flat:
        ways = "direction" if flat == 1 else "directions"
        return float("inf"), (
            f"along {flat} {ways} the loss does not change, so other parameters fit as well; "
            f"the largest curvature is {high:.3g}"
        )
    ratio = high / low
    poor = ": some combination of parameters is hardly told by the data" if ratio > POOR else ""
    return ratio, (
        f"curvatures of the loss from {low:.3g} to {high:.3g} (eigenvalues of the Hessian), "
        f"ratio {ratio:.3g}{poor}"
    )
