"""Methods that step by the gradient: gd, momentum, nesterov, sgd and adam.

A method takes a `State` to the next one and changes nothing in place, so that a run can be stopped between
any two states. What it must remember beside θ (`memory`) is plain arrays, which a file can hold. It knows
nothing of data, formulas, limits or files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.errors import OptionError
from chainrule.fit.batches import Batches, Minibatches
from chainrule.fit.objective import Array, Objective
from chainrule.fit.search import search

BATCH = 32  # rows of a step of sgd and adam unless said


@dataclass(frozen=True, slots=True)
class State:
    """Where a run is.

    step      how many times θ has moved
    loss      and gradient, at θ; those of the minibatch that led here if not `whole`
    rate      the length of the last step along its direction; 0 before the first
    memory    what the method remembers
    stuck     why the method can go no further, if it cannot
    settled   that is because θ is the minimum, as far as the loss can tell in float64
    """

    step: int
    theta: Array
    loss: float
    gradient: Array
    rate: float = 0.0
    whole: bool = True
    memory: Mapping[str, Array] = field(default_factory=dict)
    stuck: str = ""
    settled: bool = False

    @property
    def gradient_norm(self) -> float:
        """‖g‖, not overflowing where its square would."""
        largest = float(np.max(np.abs(self.gradient), initial=0.0))
        if not (0 < largest < np.inf):
            return largest
        return largest * float(np.linalg.norm(self.gradient / largest))


class Method(ABC):
    """How θ moves."""

    def start(self, objective: Objective, theta: Array) -> State:
        """The state before the first step."""
        return evaluated(objective, 0, theta, 0.0)

    @abstractmethod
    def advance(self, objective: Objective, state: State) -> State:
        """The state after one more step."""

    def notes(self, state: State) -> tuple[str, ...]:
        """What a reader of the result should know about how it was reached."""
        return ()

    def close(self) -> None:
        """Ends what reads for it."""
        return None


def evaluated(objective: Objective, step: int, theta: Array, rate: float, **memory: Array) -> State:
    """A state with loss and gradient over all rows."""
    loss, gradient = objective.value_and_gradient(theta)
    return State(step, theta, loss, gradient, rate, memory=memory)


@dataclass(frozen=True)
class Descent(Method):
    """Gradient descent as the notes write it: w ← w − η ∂C/∂w, η constant, over all rows."""

    rate: float

    def advance(self, objective: Objective, state: State) -> State:
        return evaluated(objective, state.step + 1, state.theta - self.rate * state.gradient, self.rate)


@dataclass(frozen=True)
class Backtracking(Method):
    """Gradient descent whose rate is halved until the loss falls enough; each step tries twice the last rate.

    Source: Armijo 1966.
    """

    rate: float

    def advance(self, objective: Objective, state: State) -> State:
        first = 2 * state.rate if state.rate else self.rate
        found = search(objective, state.theta, state.loss, state.gradient, -state.gradient, first)
        if found is None:
            return replace(state, stuck="no smaller loss was found along the negative gradient")
        return State(state.step + 1, found.theta, found.loss, found.gradient, found.length)


@dataclass(frozen=True)
class Momentum(Method):
    """v ← βv + g, then θ ← θ − ηv; with `ahead` (Nesterov) θ ← θ − η(g + βv).

    For Nesterov θ is the point that looks ahead, where the gradient is taken.
    Source: Polyak 1964; Nesterov 1983; Sutskever, Martens, Dahl and Hinton 2013.
    """

    rate: float
    momentum: float
    ahead: bool = False

    def start(self, objective: Objective, theta: Array) -> State:
        return evaluated(objective, 0, theta, 0.0, velocity=np.zeros_like(theta))

    def advance(self, objective: Objective, state: State) -> State:
        velocity = self.momentum * state.memory["velocity"] + state.gradient
        along = state.gradient + self.momentum * velocity if self.ahead else velocity
        theta = state.theta - self.rate * along
        return evaluated(objective, state.step + 1, theta, self.rate, velocity=velocity)


class Stochastic(Method):
    """SGD, θ ← θ − ηg with g the gradient of one batch; or Adam, with `adam` its two decay rates and ε.

    A step is one batch. After each epoch loss and gradient are those over all rows.
    Source: Robbins and Monro 1951; Kingma and Ba 2015, algorithm 1.
    """

    def __init__(
        self, rate: float, batches: Minibatches, adam: tuple[float, float, float] | None = None
    ) -> None:
        self.rate, self.batches, self.adam = rate, batches, adam

    def close(self) -> None:
        self.batches.close()

    def start(self, objective: Objective, theta: Array) -> State:
        names = () if self.adam is None else ("first", "second")
        return evaluated(objective, 0, theta, 0.0, **{name: np.zeros_like(theta) for name in names})

    def advance(self, objective: Objective, state: State) -> State:
        batch = self.batches.of(state.step)
        if batch is None:
            loss, gradient = state.loss, state.gradient
        else:
            loss, gradient = objective.value_and_gradient(state.theta, batch)
        step = state.step + 1
        along = gradient
        memory: dict[str, Array] = {}
        if self.adam is not None:
            along, memory = self._adapted(gradient, state.memory, step)
        theta = state.theta - self.rate * along
        if step % self.batches.epoch == 0:
            return evaluated(objective, step, theta, self.rate, **memory)
        return State(step, theta, loss, gradient, self.rate, whole=False, memory=memory)

    def _adapted(
        self, gradient: Array, memory: Mapping[str, Array], step: int
    ) -> tuple[Array, dict[str, Array]]:
        """m̂ / (√v̂ + ε), with the moments m and v corrected for their start at zero."""
        assert self.adam is not None
        beta1, beta2, epsilon = self.adam
        first = beta1 * memory["first"] + (1 - beta1) * gradient
        second = beta2 * memory["second"] + (1 - beta2) * gradient * gradient
        along = (first / (1 - beta1**step)) / (np.sqrt(second / (1 - beta2**step)) + epsilon)
        return along, {"first": first, "second": second}


def batches_of(method: str, objective: Objective, batch: int | None, seed: int) -> Minibatches:
    """The minibatches of sgd and adam; 32 rows each unless said.

    Raises: OptionError if the loss is not a sum over rows, of which some could be taken.
    """
    found = objective.batches(BATCH if batch is None else batch, seed)
    if found is None and (batch is not None or method == "sgd"):
        raise OptionError(
            f"{method} takes some rows at a time, and this loss is not a sum or mean over rows of data",
            hint="gd, lbfgs and newton-cg use all rows at once, and so does adam without batch",
        )
    return Batches(None, None, seed) if found is None else found
