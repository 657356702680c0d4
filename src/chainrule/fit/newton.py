"""Methods that step by a matrix made from the closed form: Newton, and Gauss-Newton with damping.

Both write a matrix of size × size and factor it in every step, so they are for few parameters.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chainrule.codegen.compiled import library
from chainrule.errors import LimitExceeded, NoDerivative
from chainrule.fit.methods import Method, State, evaluated
from chainrule.fit.objective import Array, Objective
from chainrule.fit.search import ROUNDING, search

MOST = 2000  # parameters for which a matrix is written: 32 MB, and a second or so to factor it
SMALLEST = 1e-8  # of the largest curvature: what a direction counts for at least
FIRST_DAMPING = 1e-3
TRIES = 40
SHORTEST = 0.1  # of Newton's step, if it is to go on where Gauss-Newton does not
SLOW = 10  # steps of Gauss-Newton in which the gradient should fall to half


def refuse_large(method: str, objective: Objective, matrix: str) -> None:
    """Raises: LimitExceeded if the matrix would have more than MOST rows."""
    if objective.size > MOST:
        bytes_ = 8 * objective.size**2
        raise LimitExceeded(
            f"{method} writes the {matrix}, {objective.size:,} × {objective.size:,} numbers "
            f"({bytes_ / 1e9:,.2g} GB); at most {MOST:,} parameters are fitted in this way",
            hint="newton-cg uses Hessian-vector products only, lbfgs gradients only",
        )


class Newton(Method):
    """θ ← θ − t H⁻¹ g, t found by halving from 1.

    Where H is not positive definite, each of its eigenvalues λ is replaced by |λ|, and by 10⁻⁸ of the largest
    if it is smaller: then the step goes downhill, and away from a saddle.
    Source: Nocedal and Wright 2006, section 3.4.
    """

    def start(self, objective: Objective, theta: Array) -> State:
        refuse_large("newton", objective, "Hessian")
        return evaluated(objective, 0, theta, 0.0, mended=np.array(0))

    def advance(self, objective: Objective, state: State) -> State:
        found, mended = _undamped(objective, state)
        if found.stuck:
            return found
        return replace(found, memory={"mended": state.memory["mended"] + np.array(int(mended))})

    def notes(self, state: State) -> tuple[str, ...]:
        count = int(state.memory["mended"])
        if not count:
            return ()
        return (
            f"the Hessian was not positive definite in {count} of {state.step} steps; there each "
            f"eigenvalue λ was replaced by |λ|, at least {SMALLEST:g} of the largest",
        )


def newton_step(objective: Objective, state: State, direction: Array) -> State:
    """The state behind a step along −H⁻¹ g; stuck where none is better."""
    gain = -float(state.gradient @ direction) / 2
    found = search(
        objective, state.theta, state.loss, state.gradient, direction, longest(objective, direction)
    )
    # Where the loss cannot tell, a step that does not halve the gradient is a step among rounding errors.
    level = 0 < gain <= ROUNDING * abs(state.loss)
    if found is None or (level and np.linalg.norm(found.gradient) > state.gradient_norm / 2):
        return stopped(state, gain, "along the direction of Newton's step")
    return State(state.step + 1, found.theta, found.loss, found.gradient, found.length)


def newton_direction(hessian: Array, gradient: Array) -> tuple[Array, bool]:
    """−H⁻¹ g, and whether H had to be made positive definite for it.

    >>> newton_direction(np.diag([2.0, 4.0]), np.array([2.0, 2.0]))
    (array([-1. , -0.5]), False)
    """
    try:
        lower = np.linalg.cholesky(hessian)
        pivots = np.abs(np.diagonal(lower)) ** 2
        if pivots.min(initial=np.inf) > SMALLEST * pivots.max(initial=0.0):
            return -_solved(lower, gradient), False
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    largest = float(np.abs(values).max())
    if largest == 0:
        return -gradient, True
    definite = bool(values.min() > SMALLEST * largest)
    sizes = np.maximum(np.abs(values), SMALLEST * largest)
    return -(vectors @ ((vectors.T @ gradient) / sizes)), not definite


def longest(objective: Objective, direction: Array) -> float:
    """The part of a direction, at most all of it, that goes no further than the numbers of θ may at once."""
    reach = getattr(objective, "reach", None)
    if reach is None:
        return 1.0
    return min(1.0, float(np.min(reach / np.maximum(np.abs(direction), 1e-300))))


def stopped(state: State, gain: float, where: str) -> State:
    """The state where no step is found, though a whole one could lower the loss by `gain`."""
    if 0 < gain <= ROUNDING * abs(state.loss):
        reason = f"the loss is at its minimum up to rounding: a whole step would change it by {gain:.1e}"
        return replace(state, stuck=reason, settled=True)
    return replace(state, stuck=f"no smaller loss was found {where}")


class GaussNewton(Method):
    """θ ← θ − (G + μI)⁻¹ g with G = Jᵀ H J: Levenberg and Marquardt's damping μ, set as Nielsen does.

    It is as fast as G is close to the Hessian, which it is not where residuals stay large, or a scale is
    among the parameters. Where the gradient does not come down in SLOW steps, or no step is better, as where
    a loss that no longer tells points apart asks for one that halves the gradient, Newton's steps go on.
    Source: Madsen, Nielsen and Tingleff 2004, Methods for non-linear least squares problems, section 3.2;
    the change of method is as in their section 3.4.
    """

    def start(self, objective: Objective, theta: Array) -> State:
        refuse_large("gauss-newton", objective, "Gauss-Newton matrix")
        memory = {"damping": -1.0, "growth": 2.0, "low": np.inf, "since": 0, "newton": 0}
        return evaluated(objective, 0, theta, 0.0, **{name: np.array(v) for name, v in memory.items()})

    def advance(self, objective: Objective, state: State) -> State:
        if state.memory["newton"] > 0 or state.memory["since"] >= SLOW:
            found = self._by_newton(objective, state)
            # At a kink there are ever shorter steps to take.
            if found.settled or (not found.stuck and found.rate >= SHORTEST):
                return found
            state = replace(state, memory={**state.memory, "since": np.array(0)})
        found = self._damped(objective, state)
        if not found.stuck:
            return found
        other = self._by_newton(objective, state)
        near = other.settled if other.stuck else other.gradient_norm <= state.gradient_norm / 2
        return other if near else found

    def _damped(self, objective: Objective, state: State) -> State:
        """The state behind a damped step, by as much damping as it takes."""
        matrix = objective.gauss_newton(state.theta)
        if not np.isfinite(matrix).all():
            return replace(state, stuck="the Gauss-Newton matrix is not finite at this point")
        damping, growth = float(state.memory["damping"]), float(state.memory["growth"])
        if damping < 0:
            damping = FIRST_DAMPING * float(np.abs(np.diagonal(matrix)).max(initial=0.0)) or FIRST_DAMPING
        for _ in range(TRIES):
            step = _damped(matrix, damping, state.gradient)
            if step is not None:
                promised = float(step @ (damping * step - state.gradient)) / 2
                theta = state.theta + step
                loss, gradient = objective.value_and_gradient(theta)
                if _better(state, loss, gradient):
                    ratio = (state.loss - loss) / promised if promised > 0 else 0.0
                    damping *= max(1 / 3, 1 - (2 * min(ratio, 1.0) - 1) ** 3)
                    found = State(state.step + 1, theta, loss, gradient, 1.0)
                    return replace(found, memory=_memory(state, found.gradient_norm, damping))
            damping *= growth
            growth *= 2
            if not np.isfinite(damping):
                break
        # What is left to gain is judged by a step that is hardly damped.
        free = _damped(matrix, SMALLEST * float(np.diagonal(matrix).max()) or SMALLEST, state.gradient)
        gain = 0.0 if free is None else -float(state.gradient @ free) / 2
        return stopped(state, gain, "however much the step was damped")

    def _by_newton(self, objective: Objective, state: State) -> State:
        """The state behind a step of Newton's method; stuck where there is none, or no Hessian."""
        try:
            found, _ = _undamped(objective, state)
        except (NoDerivative, LimitExceeded):
            return replace(state, stuck="there is no Hessian")
        if found.stuck:
            return found
        return replace(found, memory={**state.memory, "newton": state.memory["newton"] + np.array(1)})

    def notes(self, state: State) -> tuple[str, ...]:
        count = int(state.memory["newton"])
        if not count:
            return ()
        steps = "a step is a Newton step" if count == 1 else f"{count} steps are Newton steps"
        return (f"{steps}, since Gauss-Newton came no closer, or too slowly",)


def _undamped(objective: Objective, state: State) -> tuple[State, bool]:
    """The state behind a step of Newton's method, stuck if there is none, and whether H was mended."""
    hessian = objective.hessian(state.theta)
    if not np.isfinite(hessian).all():
        return replace(state, stuck="the Hessian is not finite at this point"), False
    direction, mended = newton_direction(hessian, state.gradient)
    return newton_step(objective, state, direction), mended


def _memory(state: State, norm: float, damping: float) -> dict[str, Array]:
    """What is remembered behind a damped step: since when the gradient did not fall to half."""
    low, since = float(state.memory["low"]), int(state.memory["since"])
    low, since = (norm, 0) if norm <= low / 2 or not np.isfinite(low) else (low, since + 1)
    return {
        "damping": np.array(damping),
        "growth": np.array(2.0),
        "low": np.array(low),
        "since": np.array(since),
        "newton": state.memory["newton"],
    }


def _damped(matrix: Array, damping: float, gradient: Array) -> Array | None:
    """−(G + μI)⁻¹ g; None if that matrix is not positive definite."""
    try:
        lower = np.linalg.cholesky(matrix + damping * np.eye(len(gradient)))
    except np.linalg.LinAlgError:
        return None
    step = -_solved(lower, gradient)
    return step if np.isfinite(step).all() else None


def _solved(lower: Array, gradient: Array) -> Array:
    """(LLᵀ)⁻¹ g."""
    return np.asarray(library("scipy.linalg").cho_solve((lower, True), gradient, check_finite=False))


def _better(state: State, loss: float, gradient: Array) -> bool:
    """Whether the loss fell; where it can no longer tell, whether the gradient fell to half."""
    if not np.isfinite(gradient).all():
        return False
    if abs(loss - state.loss) <= ROUNDING * abs(state.loss):
        return bool(np.linalg.norm(gradient) < state.gradient_norm / 2)
    return loss < state.loss
