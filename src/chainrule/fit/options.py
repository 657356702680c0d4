"""What can be chosen for a fit: the table of methods, and which option is for which of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from difflib import get_close_matches

from chainrule.errors import OptionError
from chainrule.fit.methods import Backtracking, Descent, Method, Momentum, Stochastic, batches_of
from chainrule.fit.newton import GaussNewton, Newton
from chainrule.fit.objective import Array, Objective
from chainrule.fit.start import suggested_rate


@dataclass(frozen=True, slots=True)
class Row:
    """A method: what it is, which options are for it, its rate and tolerance unless given.

    The rate 0 stands for one that is found at the start.
    """

    says: str
    takes: tuple[str, ...] = ()
    rate: float = 0.0
    tolerance: float = 1e-8


# These converge so fast, or know so well when rounding is all that is left, that they can be exact.
FINE = 1e-10
METHODS = {
    "gd": Row("gradient descent, w ← w − η ∂C/∂w over all rows", ("rate", "backtracking")),
    "momentum": Row("gradient descent with a velocity, v ← βv + g and w ← w − ηv", ("rate", "momentum")),
    "nesterov": Row("gradient descent with a velocity that looks ahead", ("rate", "momentum")),
    "sgd": Row("gradient descent by some rows at a time", ("rate", "batch"), 0.01),
    "adam": Row("steps scaled by moving averages of g and g²", ("rate", "batch", "betas", "epsilon"), 0.001),
    "lbfgs": Row("L-BFGS-B of SciPy: a quadratic model from the last gradients", tolerance=FINE),
    "newton-cg": Row("trust-region Newton-CG of SciPy, by Hessian-vector products", tolerance=FINE),
    "newton": Row("Newton's method with the closed-form Hessian, for few parameters", tolerance=FINE),
    "gauss-newton": Row("Gauss-Newton with Levenberg-Marquardt damping, for few parameters", tolerance=FINE),
}


@dataclass(frozen=True, slots=True)
class Options:
    """How to fit. None stands for what suits the method.

    steps      at most so many steps; for sgd and adam a step is one batch
    tolerance  a gradient norm that counts as zero
    patience   stop after so many points (sgd, adam: epochs) where neither loss nor gradient norm is a new low
    """

    method: str
    rate: float | None = None
    steps: int = 1000
    tolerance: float | None = None
    batch: int | None = None
    seed: int = 0
    momentum: float | None = None
    backtracking: bool = False
    betas: tuple[float, float] | None = None
    epsilon: float | None = None
    patience: int = 200

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            near = get_close_matches(str(self.method), METHODS, 1, 0.5)
            raise OptionError(
                f"unknown method {self.method!r}" + (f"; did you mean {near[0]}?" if near else ""),
                hint="known are " + ", ".join(METHODS),
            )
        row = METHODS[self.method]
        for name in ("rate", "batch", "momentum", "backtracking", "betas", "epsilon"):
            if getattr(self, name) not in (None, False) and name not in row.takes:
                others = ", ".join(method for method, other in METHODS.items() if name in other.takes)
                raise OptionError(f"{self.method} has no option {name}", hint=f"it is for {others}")
        for name, low, high, whole in RANGES:
            value = getattr(self, name)
            if value is not None:
                _check(name, value, low, high, whole)
        if self.betas is not None and len(self.betas) != 2:
            raise OptionError(
                f"betas are two numbers, not {len(self.betas)}", hint="betas=(0.9, 0.999), of g and of g²"
            )
        for beta in self.betas or ():
            _check("betas", beta, 0, 1, False)

    @property
    def scipy(self) -> bool:
        """Whether a solver of SciPy does the steps."""
        return self.method in ("lbfgs", "newton-cg")

    @property
    def rated(self) -> bool:
        """Whether there is a rate to choose."""
        return "rate" in METHODS[self.method].takes

    @property
    def zero(self) -> float:
        """The gradient norm that counts as zero."""
        return METHODS[self.method].tolerance if self.tolerance is None else self.tolerance

    def identity(self) -> dict[str, str]:
        """What decides the course of a run, as text; when to stop is no part of it."""
        stop = ("steps", "tolerance", "patience")
        return {f.name: str(getattr(self, f.name)) for f in fields(self) if f.name not in stop}


# name, lower limit, upper limit (excluded unless infinite), whole; the lower limit 0 is excluded for lengths.
RANGES = (
    ("rate", 0, math.inf, False),
    ("steps", 0, math.inf, True),
    ("tolerance", 0, math.inf, False),
    ("batch", 1, math.inf, True),
    ("seed", 0, math.inf, True),
    ("momentum", 0, 1, False),
    ("epsilon", 0, math.inf, False),
    ("patience", 1, math.inf, True),
)


def _check(name: str, value: object, low: float, high: float, whole: bool) -> None:
    kind = int if whole else int | float
    if not isinstance(value, kind) or isinstance(value, bool):
        raise OptionError(f"{name} is {'a whole number' if whole else 'a number'}, not {value!r}")
    assert isinstance(value, int | float)
    inside = low <= value < high and not (name in ("rate", "epsilon") and value == 0)
    if not inside:
        limits = "positive" if name in ("rate", "epsilon") else f"at least {low}"
        raise OptionError(
            f"{name} is {value}",
            hint=f"{name} must be {limits}" + (f" and below {high}" if high < math.inf else ""),
        )


def method_of(options: Options, objective: Objective, theta: Array) -> tuple[Method, tuple[str, ...]]:
    """The method that steps from here, and notes on what was chosen for it."""
    if options.method == "newton":
        return Newton(), ()
    if options.method == "gauss-newton":
        return GaussNewton(), ()
    notes: tuple[str, ...] = ()
    rate = options.rate
    if rate is None and options.backtracking:
        rate = 1.0
    if rate is None:
        rate = METHODS[options.method].rate
    if not rate:
        rate, note = suggested_rate(objective, theta)
        notes = (note,)
    if options.method == "gd":
        return (Backtracking(rate) if options.backtracking else Descent(rate)), notes
    if options.method in ("momentum", "nesterov"):
        beta = 0.9 if options.momentum is None else options.momentum
        return Momentum(rate, beta, ahead=options.method == "nesterov"), notes
    batches = batches_of(options.method, objective, options.batch, options.seed)
    if options.method == "sgd":
        return Stochastic(rate, batches), notes
    epsilon = 1e-8 if options.epsilon is None else options.epsilon
    return Stochastic(rate, batches, (*(options.betas or (0.9, 0.999)), epsilon)), notes
