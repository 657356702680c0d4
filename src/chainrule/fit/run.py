"""The loop of a fit: from a start to an `Outcome`, whichever way it ends.

It ends when the gradient is zero up to a tolerance, at the limit of steps, when nothing falls any more, when
the loss is no number any more, and when a person stops it; the best parameters are kept in every case. With a
checkpoint a run that was stopped or killed goes on to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chainrule.codegen.interrupts import Heard, heard
from chainrule.errors import OptionError
from chainrule.fit.batches import Batch
from chainrule.fit.checkpoint import Checkpoint, digest, versions
from chainrule.fit.constraints import Constrained
from chainrule.fit.methods import State, evaluated
from chainrule.fit.objective import Array, Objective
from chainrule.fit.options import Options, method_of
from chainrule.fit.session import Progress, Session, Stop, columns, times
from chainrule.fit.solvers import Solver, Tape

STOPPED = "stopped by Ctrl-C"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    theta      the best point, with its loss, its gradient norm and its step
    history    arrays "step", "loss", "gradient_norm", "rate", "whole", a place for each point; where not
               `whole`, loss and gradient norm are those of the batch that led there
    path       every θ, if there are at most two entries
    reason     why it ended; `hint` is a way out, where that is one; `converged` whether at a minimum
    notes      what else a reader should know: rate and curvature, how structures were kept
    """

    theta: Array
    loss: float
    gradient_norm: float
    step: int
    history: dict[str, Array]
    path: Array | None
    reason: str
    hint: str
    converged: bool
    steps: int
    evaluations: int
    notes: tuple[str, ...]

    @property
    def stopped(self) -> bool:
        """Whether a person stopped it."""
        return self.reason.startswith(STOPPED)


class Counted:
    """An objective that counts how often loss and gradient are computed."""

    def __init__(self, objective: Objective, count: int) -> None:
        self.objective = objective
        self.size, self.rows, self.names = objective.size, objective.rows, objective.names
        self.product, self.hessian = objective.product, objective.hessian
        self.gauss_newton, self.pack, self.unpack = objective.gauss_newton, objective.pack, objective.unpack
        self.batches, self.count = objective.batches, count
        self.reach = objective.reach if isinstance(objective, Constrained) else None

    def value_and_gradient(self, theta: Array, batch: Batch | None = None) -> tuple[float, Array]:
        self.count += 1
        value, gradient = self.objective.value_and_gradient(theta, batch)
        return float(value), np.asarray(gradient, np.float64)


def run(
    objective: Objective,
    method: str,
    start: Array | Mapping[str, Array],
    *,
    rate: float | None = None,
    steps: int = 1000,
    tolerance: float | None = None,
    batch: int | None = None,
    seed: int = 0,
    momentum: float | None = None,
    backtracking: bool = False,
    betas: tuple[float, float] | None = None,
    epsilon: float | None = None,
    patience: int = 200,
    watch: Callable[[Progress], None] | None = None,
    checkpoint: Path | None = None,
    every: int = 10,
    resume: Path | None = None,
    identity: Mapping[str, str] | None = None,
) -> Outcome:
    """Minimises an objective from a start.

    `start` is θ or the parameters by name. A `checkpoint` is written after `every` so many steps and at the
    end; `resume` continues one (it may be the same file). `identity` says what else is fitted, as text:
    "formula", "data" (a hash). The other arguments are those of `Options`.
    Raises: OptionError, LimitExceeded; DomainProblem for a start without a loss; FileProblem for a checkpoint
    that cannot be read or is of another run.
    """
    options = Options(
        method, rate, steps, tolerance, batch, seed, momentum, backtracking, betas, epsilon, patience
    )
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise OptionError(f"every is {every!r}", hint="it is a number of steps, at least 1")
    theta = objective.pack(start) if isinstance(start, Mapping) else np.array(start, np.float64)
    notes: tuple[str, ...] = ()
    if isinstance(objective, Constrained):
        theta = theta if isinstance(start, Mapping) else objective.inverse(theta)
        notes = objective.notes
        assert objective.bounds is None or method == "lbfgs", "only lbfgs keeps bounds"
    whole = {**(identity or {}), **options.identity(), **versions(), "structures": "; ".join(notes)}
    natural = objective.natural(theta) if isinstance(objective, Constrained) else theta
    whole["start"] = digest({"theta": natural})
    saved = None if resume is None else Checkpoint.read(resume, whole)
    session = Session(objective, options, whole, watch, checkpoint, every)
    # Numbers that overflow are told as a run that diverged, not as warnings of NumPy.
    quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore")
    with quiet, heard() as ear:
        return _outcome(objective, session, theta, saved, notes, ear)


def _outcome(
    objective: Objective,
    session: Session,
    theta: Array,
    saved: Checkpoint | None,
    notes: tuple[str, ...],
    ear: Heard,
) -> Outcome:
    drive = _solved if session.options.scipy else _stepped
    said: list[str] = []
    try:
        drive(objective, session, theta, saved, said, ear)
    except KeyboardInterrupt:
        if session.now is None:
            raise
    if session.checkpoint is not None:
        try:
            session.save()
        except KeyboardInterrupt:
            session.save()
    return ended(objective, session, (*notes, *said))


def _stepped(
    objective: Objective,
    session: Session,
    theta: Array,
    saved: Checkpoint | None,
    said: list[str],
    ear: Heard,
) -> None:
    """A method that steps by itself, until the session ends."""
    method, chosen = method_of(session.options, objective, theta)
    said += chosen
    counted = Counted(objective, 0 if saved is None else saved.evaluations)
    if saved is None:
        state = method.start(counted, theta)
        session.note(state, counted.count)
    else:
        state = session.restore(saved)
    try:
        while session.stop is None:
            ear.check()
            state = method.advance(counted, state)
            session.note(state, counted.count)
    finally:
        method.close()
        said += method.notes(state)


def _solved(
    objective: Objective,
    session: Session,
    theta: Array,
    saved: Checkpoint | None,
    said: list[str],
    ear: Heard,
) -> None:
    """A solver of SciPy, from the start; what a checkpoint recorded is not computed again."""
    record = None if saved is None else saved.tape
    tape = session.tape = Tape(objective, record, keep=session.checkpoint is not None)
    bounds = objective.bounds if isinstance(objective, Constrained) else None
    solver = Solver(tape, theta, bounds)

    def tell(state: State) -> bool:
        if session.now is not None:
            ear.check()
        return session.note(state, tape.evaluations, tape.live)

    try:
        state = solver.solve(session.options.method, session.options.zero, tell)
        if session.stop is None:
            session.note(state, tape.evaluations, tape.live)
    finally:
        said += solver.notes()


def ended(objective: Objective, session: Session, notes: tuple[str, ...]) -> Outcome:
    """The outcome of a session; where a batch is all that the last point was seen by, all rows are taken.

    That is no part of the run, which goes on from a checkpoint without it.
    """
    now = session.now
    assert now is not None
    rows, path = session.rows[: now.count], session.path[: now.count]
    state, best, evaluations = now.state, now.best, now.evaluations
    stop = session.stop
    if not state.whole and (stop is None or np.isfinite(state.loss)):
        with suppress(KeyboardInterrupt):
            state = evaluated(objective, state.step, state.theta, state.rate)
            session.note(state, evaluations + 1, live=False)
            assert session.now is not None
            rows, path, best = session.rows, session.path, session.now.best
            evaluations, stop = evaluations + 1, session.stop
    if stop is None:
        # Nothing else ends a run without a stop.
        kept = f"the parameters of step {best[3]}, the best so far, are kept"
        stop = Stop(f"{STOPPED} after {times(state.step, 'step')}; {kept}")
    return Outcome(
        theta=best[0],
        loss=best[1],
        gradient_norm=best[2],
        step=best[3],
        history=columns(rows),
        path=np.array(path) if path else None,
        reason=stop.reason,
        hint=stop.hint,
        converged=stop.converged,
        steps=state.step,
        evaluations=evaluations,
        notes=notes,
    )
