"""What is noted of a run at each point: the history, the best point, the checkpoint, and whether it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainrule.errors import DomainProblem
from chainrule.fit.checkpoint import COLUMNS, Checkpoint
from chainrule.fit.constraints import Constrained
from chainrule.fit.methods import State
from chainrule.fit.objective import Array, Objective
from chainrule.fit.options import METHODS, Options
from chainrule.fit.search import ROUNDING
from chainrule.fit.solvers import Tape

ELSEWHERE = "start elsewhere, with init=... or another seed"
CLOSER = "a smaller rate gets closer to a minimum"
FOUND = "one is found from the curvature"
WHOLE = "lbfgs takes gradients only"
SURELY = 1e-9  # what a loss is lower by, relative to it, if that is no rounding
PATH_ENTRIES = 2  # parameters up to which every θ is kept


@dataclass(frozen=True, slots=True)
class Progress:
    """What `watch` is given after each step; `whole` if the loss is that of all rows, not of a batch."""

    step: int
    loss: float
    gradient_norm: float
    rate: float
    theta: Array
    whole: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ends."""

    reason: str
    hint: str = ""
    converged: bool = False


Row = tuple[int, float, float, float, bool]
Best = tuple[Array, float, float, int]


@dataclass(frozen=True, slots=True)
class Now:
    """A run between two steps; replaced as one, so that an interruption finds all of it or the last."""

    state: State
    best: Best
    count: int
    lows: Lows
    evaluations: int


@dataclass(frozen=True, slots=True)
class Lows:
    """The lowest loss and gradient norm over all rows so far, and how many points ago one of them was new."""

    loss: float = np.inf
    norm: float = np.inf
    since: int = 0

    def after(self, row: Row) -> Lows:
        """With one more point; batches do not count."""
        _, loss, norm, _, whole = row
        if not whole:
            return self
        new = loss < self.loss or norm < self.norm
        # A comparison with nan is false, so no nan gets in.
        loss, norm = (loss if loss < self.loss else self.loss), (norm if norm < self.norm else self.norm)
        return Lows(loss, norm, 0 if new else self.since + 1)


class Session:
    """What is noted of a run, and when it stops."""

    def __init__(
        self,
        objective: Objective,
        options: Options,
        identity: Mapping[str, str],
        watch: Callable[[Progress], None] | None,
        checkpoint: Path | None,
        every: int,
    ) -> None:
        self.options, self.identity = options, identity
        self.watch, self.checkpoint, self.every = watch, checkpoint, every
        self.natural = objective.natural if isinstance(objective, Constrained) else np.array
        self.edge = objective.edge if isinstance(objective, Constrained) else None
        self.rows: list[Row] = []
        self.path: list[Array] = []
        self.now: Now | None = None
        self.stop: Stop | None = None
        self.tape: Tape | None = None
        self.saved = -1

    def note(self, state: State, evaluations: int, live: bool = True) -> bool:
        """Takes in the next state; whether the run ends with it. Unless `live`, nobody is told."""
        theta = self.natural(state.theta)
        norm = state.gradient_norm
        if self.now is None and not (np.isfinite(state.loss) and np.isfinite(norm)):
            what = "loss" if not np.isfinite(state.loss) else "gradient"
            value = state.loss if what == "loss" else norm
            raise DomainProblem(
                f"the {what} is {value} at the start",
                hint=f"look for such numbers in the data, or {ELSEWHERE}",
            )
        # A state that is stuck is the last one once more.
        count = 0 if self.now is None else self.now.count - bool(state.stuck)
        row = (state.step, state.loss, norm, state.rate, state.whole)
        # What an interrupted step may have left beyond the last committed count goes.
        self.rows[count:] = [row]
        if theta.size <= PATH_ENTRIES:
            self.path[count:] = [theta]
        self.now = self._next(state, theta, row, count + 1, evaluations)
        self.stop = self._ends(state, norm)
        if live:
            if self.checkpoint is not None and state.step % self.every == 0 and self.stop is None:
                self.save()
            if self.watch is not None:
                self.watch(Progress(state.step, state.loss, norm, state.rate, theta, state.whole))
        return self.stop is not None

    def _next(self, state: State, theta: Array, row: Row, count: int, evaluations: int) -> Now:
        best, lows = (None, Lows()) if self.now is None else (self.now.best, self.now.lows)
        _, loss, norm, _, whole = row
        if best is None or (
            whole and np.isfinite(loss) and np.isfinite(norm) and better(loss, norm, best, self.options.zero)
        ):
            best = (theta, loss, norm, state.step)
        return Now(state, best, count, lows.after(row), evaluations)

    def _ends(self, state: State, norm: float) -> Stop | None:
        assert self.now is not None
        options, best = self.options, self.now.best
        if not (np.isfinite(state.loss) and np.isfinite(norm) and np.isfinite(state.theta).all()):
            what, value = ("loss", state.loss) if not np.isfinite(state.loss) else ("gradient norm", norm)
            return self._diverged(f"the {what} is {value} after {times(state.step, 'step')}", state)
        if state.whole and norm == 0 and state.step == 0:
            return Stop(
                "the gradient is exactly zero at the start, so no method moves from there",
                hint=f"unless this is the minimum, {ELSEWHERE}",
            )
        if state.whole and norm <= options.zero:
            if best[3] == state.step:
                return self._shut(state) or Stop(
                    f"the gradient norm is {norm:.2g} after {times(state.step, 'step')}, which counts as "
                    f"zero (tolerance {options.zero:g})",
                    converged=True,
                )
            slower = "try a smaller rate, or " if options.rated else ""
            return Stop(
                f"the gradient vanished at step {state.step}, but the loss there, {state.loss:.6g}, is above "
                f"the {best[1]:.6g} of step {best[3]}, whose parameters are kept",
                hint=slower + ELSEWHERE,
            )
        if state.stuck:
            hint = WHOLE if options.method == "gauss-newton" and not state.settled else ""
            shut = self._shut(state) if state.settled else None
            return shut or Stop(f"{state.stuck}, after {times(state.step, 'step')}", hint, state.settled)
        since = self.now.lows.since
        if since >= options.patience:
            first = self.rows[0][1]
            if state.loss > first:
                rise = f"the loss rose from {first:.3g} to {state.loss:.3g}"
                return self._diverged(f"{rise} in {times(state.step, 'step')}", state)
            unit = "epoch" if options.method in ("sgd", "adam") else "step"
            return Stop(
                f"no progress: neither the loss nor the gradient norm was a new low in {times(since, unit)}; "
                f"the gradient norm is {best[2]:.2g}",
                # At a gradient that counts as zero elsewhere a smaller rate gets no closer.
                hint=CLOSER if options.rated and best[2] > METHODS[options.method].tolerance else "",
            )
        if state.step >= options.steps:
            more = f"allow more steps, steps={max(2 * options.steps, 1)}"
            more += "" if options.method == "lbfgs" else ", or try lbfgs"
            return Stop(
                f"the limit of {times(options.steps, 'step')} is reached; the gradient norm is {best[2]:.2g}",
                hint="try a smaller rate" if options.rated and best[3] == 0 < state.step else more,
            )
        return None

    def _shut(self, state: State) -> Stop | None:
        """The end at an edge where nothing moves any more, though it is no minimum."""
        name = "" if self.edge is None else self.edge(state.theta, self.options.zero)
        if not name:
            return None
        other = "" if self.options.method == "lbfgs" else ", or try lbfgs"
        return Stop(
            f"{name} is at the edge of what it is declared to be, where it hardly moves any more, though the "
            f"loss falls inwards; after {times(state.step, 'step')}",
            hint=f"start {name} further inside, with init=...{other}",
        )

    def _diverged(self, what: str, state: State) -> Stop:
        assert self.now is not None
        kept = f"the parameters of step {self.now.best[3]} are kept"
        if not self.options.rated:
            return Stop(f"diverged: {what}; {kept}")
        smaller = float(f"{state.rate / 10:.1g}")
        found = self.options.method in ("gd", "momentum", "nesterov") and self.options.rate is not None
        hint = f"try a smaller rate, such as {smaller:g}" + f", or none: {FOUND}" * found
        hint += ", or backtracking" * (self.options.method == "gd" and not found)
        return Stop(f"diverged: {what} with the rate {state.rate:.3g}; {kept}", hint)

    def save(self) -> None:
        """Writes the checkpoint of what is committed."""
        assert self.checkpoint is not None and self.now is not None
        now = self.now
        Checkpoint(
            self.identity,
            now.state if self.tape is None else None,
            None if self.tape is None else self.tape.record(),
            columns(self.rows[: now.count]),
            now.best,
            np.array(self.path[: now.count]) if self.path else None,
            now.evaluations,
        ).write(self.checkpoint)
        self.saved = now.state.step

    def restore(self, saved: Checkpoint) -> State:
        """Continues a run that steps by itself."""
        assert saved.state is not None
        self.rows = [
            (int(step), float(loss), float(norm), float(rate), bool(whole))
            for step, loss, norm, rate, whole in zip(*(saved.columns[c] for c in COLUMNS), strict=True)
        ]
        self.path = [] if saved.path is None else list(saved.path)
        lows = Lows()
        for row in self.rows:
            lows = lows.after(row)
        self.now = Now(saved.state, saved.best, len(self.rows), lows, saved.evaluations)
        self.stop = self._ends(saved.state, saved.state.gradient_norm)
        return saved.state


def better(loss: float, norm: float, best: Best, zero: float) -> bool:
    """Whether a point is better: a lower loss, or one equal up to rounding and a smaller gradient.

    Losses of a point without a gradient need not agree to rounding, as errors of long sums add up.
    """
    margin = SURELY if norm <= zero < best[2] else ROUNDING
    if abs(loss - best[1]) <= margin * abs(best[1]):
        return norm < best[2]
    return loss < best[1]


def times(count: int, unit: str) -> str:
    """A count with its unit.

    >>> times(1, "step"), times(1000, "step")
    ('1 step', '1,000 steps')
    """
    return f"{count:,} {unit}" + "s" * (count != 1)


def columns(rows: list[Row]) -> dict[str, Array]:
    """The history as arrays."""
    kinds = (np.int64, np.float64, np.float64, np.float64, np.bool_)
    return {
        name: np.array([row[i] for row in rows], kind)
        for i, (name, kind) in enumerate(zip(COLUMNS, kinds, strict=True))
    }
