"""The solvers of SciPy: L-BFGS-B by gradients, trust-region Newton-CG by Hessian-vector products too.

A solver keeps its state to itself, so it cannot be saved. What is saved instead are the answers of the loss
in the order in which the solver asked (`Tape`). Run again from the same start, it asks the same questions,
gets the same answers without any work, and arrives where it was.

Both compare losses, which say nothing more once they agree in all digits: then the gradient is still only
about the square root of that accuracy. A few Newton steps, judged by the gradient, finish (`finish`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.codegen.compiled import library
from chainrule.errors import FileProblem, LimitExceeded, NoDerivative, OptionError
from chainrule.fit.methods import State
from chainrule.fit.newton import stopped
from chainrule.fit.objective import Array, Objective
from chainrule.fit.search import ROUNDING

VALUE, PRODUCT = 0, 1
CORRECTIONS = 20  # pairs of steps and gradients that L-BFGS keeps
MOST_CG = 200
MOST_FINISHING = 20
MOST_REJECTED = 100
ALONG = "along the directions of the solver"
# A solver is told of every new point, and stops when this says so.
Tell = Callable[[State], bool]
Bounds = tuple[Array, Array]


class Tape:
    """An objective that answers from a record as far as that goes, and continues it if it is to be kept."""

    def __init__(self, objective: Objective, record: Mapping[str, Array] | None, keep: bool) -> None:
        self.objective, self.keep = objective, keep
        self.kinds: list[int] = []
        self.digests: list[bytes] = []
        self.values: list[float] = []
        self.vectors: list[Array] = []
        self.position = self.evaluations = 0
        if record is not None:
            self.kinds = [int(kind) for kind in record["kinds"]]
            self.digests = [row.tobytes() for row in record["digests"]]
            self.values = [float(value) for value in record["values"]]
            self.vectors = list(record["vectors"])
        self.recorded = len(self.kinds)

    @property
    def live(self) -> bool:
        """Whether the run has gone beyond what was recorded."""
        return self.position > self.recorded

    def record(self) -> dict[str, Array]:
        """Everything that was asked so far, as arrays, but for what an interruption left half noted."""
        count = len(self.kinds)
        return {
            "kinds": np.array(self.kinds, np.uint8),
            "digests": np.frombuffer(b"".join(self.digests[:count]), np.uint8).reshape(count, 16),
            "values": np.array(self.values[:count], np.float64),
            "vectors": np.array(self.vectors[:count]).reshape(count, self.objective.size),
        }

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        def ask() -> tuple[float, Array]:
            return self.objective.value_and_gradient(theta)

        return self._answer(VALUE, theta.tobytes(), ask)

    def product(self, theta: Array, direction: Array) -> Array:
        def ask() -> tuple[float, Array]:
            return 0.0, self.objective.product(theta, direction)

        return self._answer(PRODUCT, theta.tobytes() + direction.tobytes(), ask)[1]

    def _answer(
        self, kind: int, question: bytes, ask: Callable[[], tuple[float, Array]]
    ) -> tuple[float, Array]:
        at = self.position
        if at < len(self.kinds):
            digest = hashlib.sha256(question).digest()[:16]
            if (self.kinds[at], self.digests[at]) != (kind, digest):
                raise FileProblem(
                    f"the checkpoint cannot be continued: question {at + 1} is another",
                    hint="another build of NumPy or SciPy wrote it, or another processor; start anew",
                )
            value, vector = self.values[at], self.vectors[at].copy()
        else:
            answer = ask()
            value, vector = float(answer[0]), np.array(answer[1], np.float64)
            if self.keep:
                self.vectors.append(vector.copy())
                self.values.append(value)
                self.digests.append(hashlib.sha256(question).digest()[:16])
                # Last, since an interruption in between must leave no half answer that counts.
                self.kinds.append(kind)
        self.position += 1
        self.evaluations += kind == VALUE
        return value, vector


class Solver:
    """What a solver of SciPy asks of a tape, and where it is."""

    def __init__(self, tape: Tape, theta: Array, bounds: Bounds | None) -> None:
        self.tape, self.bounds = tape, bounds
        self.steps = self.avoided = self.rejected = self.finishing = 0
        self.point = self.last = (theta, *tape.value_and_gradient(theta))
        self.tried = self.point[1]

    def asked(self, theta: Array) -> tuple[float, Array] | None:
        """Loss and gradient at a point; None where they are not finite."""
        if not np.array_equal(theta, self.last[0]):
            value, gradient = self.tape.value_and_gradient(theta)
            if not (np.isfinite(value) and np.isfinite(gradient).all()):
                self.avoided += 1
                self.tried = np.inf
                return None
            self.last = (theta.copy(), value, gradient)
        self.tried = self.last[1]
        return self.last[1], self.last[2].copy()

    def interpolated(self, theta: Array) -> tuple[float, Array]:
        """For L-BFGS, which interpolates: a value above the last and no slope where there is none."""
        here = self.point[1]
        return self.asked(theta) or (here + 1 + abs(here), np.zeros_like(theta))

    def judged(self, theta: Array) -> tuple[float, Array]:
        """For a trust region, which shrinks where the loss is infinite."""
        return self.asked(theta) or (np.inf, np.zeros_like(theta))

    def moved(self, theta: Array) -> bool:
        """Notes what the solver says is its point; whether that is another one than before."""
        if np.array_equal(theta, self.point[0]):
            self.rejected += 1
            return False
        if self.asked(theta) is None:
            return False
        self.point = self.last
        self.rejected = 0
        self.steps += 1
        return True

    def exhausted(self) -> bool:
        """Whether a point was rejected whose loss differs by rounding only, or very many were."""
        change = abs(self.tried - self.point[1])
        return self.rejected > MOST_REJECTED or (
            self.rejected > 0 and change <= ROUNDING * abs(self.point[1])
        )

    def state(self, before: Array | None = None) -> State:
        theta, value, gradient = self.point
        length = 0.0 if before is None else float(np.linalg.norm(theta - before))
        return State(self.steps, theta, value, projected(theta, gradient, self.bounds), length)

    def notes(self) -> tuple[str, ...]:
        found = []
        if self.avoided:
            times = "once" if self.avoided == 1 else f"{self.avoided} times"
            found.append(f"the solver stepped back {times} from where the loss is not finite")
        if self.finishing:
            steps = (
                "the last step is a Newton step"
                if self.finishing == 1
                else (f"the last {self.finishing} steps are Newton steps")
            )
            found.append(
                f"{steps} by Hessian-vector products, taken where the loss no longer told points apart"
            )
        return tuple(found)

    def solve(self, method: str, tolerance: float, tell: Tell) -> State:
        """The last state of a run of lbfgs or newton-cg.

        `tell` is called with every state, and the run stops when it says so.
        """
        optimize: Any = library("scipy.optimize")
        state = self.state()
        if tell(state):
            return state
        told = False

        def callback(intermediate_result: Any) -> None:
            nonlocal state, told
            before = self.point[0]
            if self.moved(np.array(intermediate_result.x, np.float64)):
                state = self.state(before)
                told = tell(state)
            if told or self.exhausted():
                raise StopIteration

        start = self.point[0]
        options: dict[str, Any] = {"maxiter": 2**31 - 2}
        common: dict[str, Any] = {"jac": True, "callback": callback, "options": options}
        if method == "lbfgs":
            options |= {"maxcor": CORRECTIONS, "maxfun": 2**31 - 2, "maxls": 40, "ftol": 0.0, "gtol": 0.0}
            limits = None if self.bounds is None else optimize.Bounds(*self.bounds)
            optimize.minimize(self.interpolated, start, method="L-BFGS-B", bounds=limits, **common)
        else:
            radius = max(1.0, float(np.linalg.norm(start)))
            options |= {"gtol": tolerance, "initial_trust_radius": radius, "max_trust_radius": 1e12 * radius}
            optimize.minimize(self.judged, start, method="trust-ncg", hessp=self.tape.product, **common)
        return state if told else self.finish(state, tell)

    def finish(self, state: State, tell: Tell) -> State:
        """Newton steps; each halves the gradient at least, and raises the loss by rounding at most."""
        for _ in range(MOST_FINISHING):
            theta, loss, _ = self.point
            try:
                step = newton_step(self.tape, theta, state.gradient)
            except (NoDerivative, LimitExceeded, OptionError):
                return replace(state, stuck=f"no smaller loss was found {ALONG}")
            gain = -float(state.gradient @ step) / 2
            point = theta + step
            if self.bounds is not None:
                point = np.clip(point, *self.bounds)
            found = None if np.array_equal(point, theta) else self.asked(point)
            if found is None:
                return stopped(state, gain, ALONG)
            norm = np.linalg.norm(projected(point, found[1], self.bounds))
            if found[0] > loss + ROUNDING * abs(loss) or norm > state.gradient_norm / 2:
                return stopped(state, gain, ALONG)
            self.moved(point)
            self.finishing += 1
            state = self.state(theta)
            if tell(state):
                return state
        return replace(state, stuck="the gradient falls slowly, and the loss no longer does")


def projected(theta: Array, gradient: Array, bounds: Bounds | None) -> Array:
    """A gradient without the entries that stand at a bound and would leave it.

    >>> projected(np.zeros(2), np.array([1.0, -1.0]), (np.zeros(2), np.ones(2)))
    array([ 0., -1.])
    """
    if bounds is None:
        return gradient
    low, high = bounds
    held = ((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0))
    return np.asarray(np.where(held, 0.0, gradient))


def newton_step(tape: Tape, theta: Array, gradient: Array) -> Array:
    """−H⁻¹ g by conjugate gradients, among the entries along which g is not zero; 0 where H curves down."""
    free = gradient != 0
    step = np.zeros_like(theta)
    residual = -gradient
    direction = residual
    size = start = float(residual @ residual)
    for _ in range(min(MOST_CG, 2 * theta.size + 10)):
        curved = np.where(free, tape.product(theta, direction), 0.0)
        curvature = float(direction @ curved)
        if not curvature > 0:
            break
        length = size / curvature
        step = step + length * direction
        residual = residual - length * curved
        size, before = float(residual @ residual), size
        if size <= 1e-8 * start:
            break
        direction = residual + (size / before) * direction
    return step
