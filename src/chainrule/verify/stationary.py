"""Whether a formula is stationary where it is said to be: its slopes there vanish, by the complex step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chainrule.expr.nodes import Expr, Variable
from chainrule.verify.compare import Report
from chainrule.verify.differences import Moving, slope
from chainrule.verify.reference import Array, magnitude, run
from chainrule.verify.sample import Point, Sampler

TOLERANCE = 1e-8


def check_stationary(
    formula: Expr,
    gradients: Mapping[Variable, Expr],
    solution: Mapping[Variable, Expr],
    *,
    points: int = 8,
    seed: int = 0,
    variables: Sequence[Variable] = (),
    exist: Sequence[Expr] = (),
) -> Report:
    """Whether every slope of the formula by the variables is 0 at the solution, relative to its largest term.

    Shapes: gradients and solution have those of their variables. `exist` are inverses that must exist, though
    they may not stand in the solution. Raises: DomainProblem if the solution exists at no random point.

    >>> from chainrule.expr.dims import Dim
    >>> x, y = Variable("x", (Dim.of("n"),)), Variable("y", (Dim.of("n"),))
    >>> f = ((x - y) ** 2).sum()
    >>> check_stationary(f, {x: 2 * (x - y)}, {x: y}).passed
    True
    >>> check_stationary(f, {x: 2 * (x - y)}, {x: 1.001 * y}).passed
    False
    """
    sampler = Sampler([formula, *solution.values(), *exist], [*variables, *solution])
    rng = np.random.default_rng(seed)
    worst, where, compared = 0.0, "", 0
    drawn: list[Point] = []
    method = ""
    for _ in range(points):
        point = sampler.point(rng)
        memo: dict[Expr, Array] = {}
        run(solution.values(), point.values, point.sizes, memo)
        there = {**point.values, **{v.name: memo[s] for v, s in solution.items()}}
        at: dict[Expr, Array] = {}
        run([formula, *gradients.values(), *solution], there, point.sizes, at)
        for variable, gradient in gradients.items():
            scale = max(magnitude(gradient, at, point.sizes), 1e-300)
            moving = Moving(formula, [variable], at, point.sizes)
            for k in range(at[variable].size):
                u = np.zeros(at[variable].shape)
                u.flat[k] = 1.0
                found = slope(moving, {variable: u}, min(0.05, point.margin / 10))
                error = abs(float(found.value)) / scale
                compared, method = compared + 1, found.method
                if not error <= worst:
                    worst, where = error, f"the slope by {variable.name}"
        drawn.append(point)
    return Report(
        passed=worst <= TOLERANCE,
        order=1,
        points=len(drawn),
        method=method,
        worst=worst,
        tolerance=TOLERANCE,
        compared=compared,
        direction=None,
        sizes=tuple(p.sizes for p in drawn),
        seed=seed,
        where=where,
    )
