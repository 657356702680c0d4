"""fit(): a loss and data in, a Result out: what is read, derived, started, run and reported, in this order.

`prepare` does all that comes before the first step, so that the update formulas can be shown before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.api.data_names import labels_of, listed, named, plain_let, wanted
from chainrule.api.derivative import Derivative, Derivatives
from chainrule.api.fitting import Setting, derived, setting, updates
from chainrule.api.formulas import Functions, Shapes
from chainrule.codegen.binding import Array
from chainrule.errors import ChainruleError, OptionError
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import variables
from chainrule.fit.baseline import CLOSED_FORM, CONSTANT, closed_form, constant_predictor, multipliers
from chainrule.fit.checkpoint import digest
from chainrule.fit.conditioning import conditioning
from chainrule.fit.constraints import constrained
from chainrule.fit.derived import Derived, DerivedObjective
from chainrule.fit.design import Design, design
from chainrule.fit.pieces import PiecedRows
from chainrule.fit.places import Place, example, means, stamped
from chainrule.fit.result import Result
from chainrule.fit.rows import MemoryRows
from chainrule.fit.run import Outcome, run
from chainrule.fit.session import Progress
from chainrule.fit.start import relu_biases, start_of
from chainrule.fit.stream import Streamed
from chainrule.fit.stream import stream as streamed_rows
from chainrule.fit.surface import surface
from chainrule.fit.units import in_units

Watch = Callable[[Progress], None]
SKEWED, UNEVEN = 1e4, 10.0  # a condition from which on descent is slow; sizes of columns beside each other


def fit(
    loss: str | Expr,
    params: str | Sequence[str] | None = None,
    data: Any = None,
    shapes: Shapes = None,
    *,
    let: str | None = None,
    method: str = "lbfgs",
    rate: float | None = None,
    steps: int = 1000,
    tolerance: float | None = None,
    batch: int | None = None,
    seed: int = 0,
    init: Mapping[str, object] | str | Path | None = None,
    sizes: Mapping[str, int] | None = None,
    standardise: str | Collection[str] = (),
    one_hot: str | Collection[str] = (),
    split: float = 0.0,
    missing: str = "error",
    backend: str = "numpy",
    momentum: float | None = None,
    backtracking: bool = False,
    betas: tuple[float, float] | None = None,
    epsilon: float | None = None,
    patience: int = 200,
    checkpoint: str | Path | None = None,
    every: int = 10,
    resume: str | Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    stream: bool | None = None,
    progress: Watch | bool | None = None,
    at_kink: float | str = 0,
    dialect: str = "numpy",
    functions: Functions = None,
) -> Result:
    """The parameters that make a loss small on data, found by derivatives that are derived, not traced.

    loss         a formula whose value is a number
    params       what is to be found; None for all that is not data
    data         arrays by name, a frame, or files; `let` says which columns make which variable
    shapes       what the names are; arrays that are not declared have the shapes they have
    method       gd, momentum, nesterov, sgd, adam, lbfgs, newton-cg, newton, gauss-newton
    standardise  variables or columns that get mean 0 and deviation 1; the report undoes it
    split        the share of rows held out, on which the loss is reported too
    workers      a number of processes here that sum the rows, or scheduler, the address of a Dask cluster
    stream       whether files are read anew in every pass; None if they are larger than a fourth of memory
    progress     True for a bar on a terminal, or a function that is given each step
    What else there is stands in docs/fitting.md.

    Raises: ChainruleError for everything that does not fit.

    >>> X, y = np.array([[0.0], [1], [2]]), np.array([1.0, 3, 5])
    >>> result = fit("mean((y - X @ w - b)**2)", params=["w", "b"], data={"X": X, "y": y})
    >>> result.params["w"].round(6), result.params["b"].round(6), result.converged
    (array([2.]), np.float64(1.0), True)
    """
    prepared = prepare(
        loss,
        params,
        data,
        shapes,
        let=let,
        seed=seed,
        sizes=sizes,
        standardise=standardise,
        one_hot=one_hot,
        split=split,
        missing=missing,
        backend=backend,
        at_kink=at_kink,
        dialect=dialect,
        functions=functions,
        place=Place(workers, scheduler, stream),
    )
    how: dict[str, Any] = {
        "rate": rate, "steps": steps, "tolerance": tolerance, "batch": batch, "momentum": momentum,
        "backtracking": backtracking, "betas": betas, "epsilon": epsilon, "patience": patience,
        "checkpoint": checkpoint, "every": every, "resume": resume,
    }  # fmt: skip
    try:
        if progress is not True:
            return prepared.run(method, init=init, watch=progress or None, **how)
        from chainrule.fit.progress import Bar

        with Bar(steps) as bar:
            return prepared.run(method, init=init, watch=bar.watch, **how)
    finally:
        prepared.close()


@dataclass(frozen=True)
class Prepared:
    """A loss that is derived, on data that are read.

    updates   what gradient descent does, as lines of text
    streamed  where the rows are if they are not in memory
    """

    about: Setting
    made: Derived
    derivatives: Derivative | Derivatives
    objective: DerivedObjective
    design: Design
    data: str
    seed: int
    updates: tuple[str, ...]
    formula: str
    shapes: str
    notes: tuple[str, ...] = field(default=())
    streamed: Streamed | None = None

    def close(self) -> None:
        """Ends the processes that sum rows, if there are any."""
        self.objective.place.close()

    def run(
        self,
        method: str = "lbfgs",
        *,
        init: Mapping[str, object] | str | Path | None = None,
        watch: Watch | None = None,
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
        **how: Any,
    ) -> Result:
        """Fit, and look at where it ended."""
        objective, structures = self.objective, self._structures()
        if isinstance(init, Mapping):
            init = {ascii_name(str(name)): value for name, value in init.items()}
        start = start_of(objective.shapes, structures, init=init, biases=self._biases(), seed=self.seed)
        inner = constrained(objective, structures, start, method)
        outcome = run(
            inner,
            method,
            start,
            watch=watch,
            seed=self.seed,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            resume=None if resume is None else Path(resume),
            identity=self._identity(start, resume is not None or checkpoint is not None),
            **how,
        )
        return self._result(outcome, method, structures)

    def _structures(self) -> dict[str, tuple[str, ...]]:
        known = self.about.formula.variables
        return {name: tuple(known[name].structure) for name in self.about.params}

    def _biases(self) -> dict[str, float]:
        arrays = {**self.about.fixed, **self.about.rows}
        found = relu_biases(self.about.formula.expr, self.about.params)
        known = {target: float(np.mean(arrays[target])) for target in found.values() if target in arrays}
        if self.streamed is not None:
            known |= means(self.streamed.chunks, [t for t in found.values() if t in self.about.data])
        return {bias: known[target] for bias, target in found.items() if target in known}

    def _identity(self, start: Mapping[str, Array], wanted: bool) -> dict[str, str]:
        if not wanted:
            return {}
        arrays = {name: np.asarray(a) for name, a in {**self.about.fixed, **self.about.rows}.items()}
        place = self.objective.place
        pieces = {"pieces": str(len(place.pieces))} if isinstance(place, PiecedRows) else {}
        return {
            "formula": self.formula,
            "shapes": self.shapes,
            "data": digest(arrays) + ("" if self.streamed is None else "; " + stamped(self.streamed.chunks)),
            "backend": self.objective.backend,
            **pieces,
        }

    # ---------------------------------------------------------- where it ended

    def _result(
        self,
        outcome: Outcome,
        method: str,
        structures: Mapping[str, tuple[str, ...]],
    ) -> Result:
        objective, about = self.objective, self.about
        params = objective.unpack(outcome.theta)
        chosen = [self.made.gauss_newton_of()] if method == "gauss-newton" else []
        original, original_note = in_units(about.formula.expr, params, self.design.scaling)
        condition, says, baseline, grid = None, "not computed: stopped by Ctrl-C", dict[str, float](), {}
        validation_loss = None
        # A Ctrl-C here ends the looking, and the result of the run is kept.
        with np.errstate(all="ignore"), suppress(KeyboardInterrupt):
            validation_loss = self._validation_loss(outcome.theta)
            condition, says = conditioning(objective, outcome.theta)
            if condition is not None and SKEWED < condition < np.inf and self._uneven():
                says += "; columns differ in size, and standardising them makes it smaller"
            baseline = self._baseline(structures)
            seen = outcome.path is not None and self.streamed is None  # it takes hundreds of passes
            grid = surface(objective, outcome.path) if seen and outcome.path is not None else {}
        held_out, gaps = self.design.held_out, []
        if self.streamed is not None:
            chunks, others = self.streamed.chunks, self.streamed.validation
            held_out = 0 if others is None else others.rows or 0
            gaps = [chunks.gaps.note] if chunks.gaps.note else []
        return Result.of(
            outcome,
            params,
            method=method,
            formula=self.formula,
            shapes=self.shapes,
            names=objective.names,
            labels={name: tuple(labels) for name, labels in objective.labels.items()},
            rows=objective.rows if about.data else None,
            updates=self.updates,
            notes=(*self.notes, *outcome.notes, *chosen, *gaps),
            validation_loss=validation_loss,
            held_out=held_out,
            baseline=baseline,
            condition=condition,
            conditioning=says,
            data=self.data,
            separable=self._separable(),
            original=original,
            original_note=original_note,
            surface=grid,
            seed=self.seed,
        )

    def _uneven(self) -> bool:
        """Whether columns of a variable differ much in size, so that standardising them would help."""
        for name, array in self.about.rows.items():
            if array.ndim == 2 and name not in self.design.scaling and array.dtype.kind == "f":
                sizes = np.sqrt(np.einsum("ij,ij->j", array, array) / len(array))
                if sizes.max() > UNEVEN * sizes.min():
                    return True
        return False

    def _separable(self) -> str:
        """Whether the loss is made from totals of rows, in words."""
        if not self.about.data:
            return ""
        why = self.objective.together
        if why:
            return f"the loss needs all rows at once: {why}"
        return "the loss is made from totals over rows, which may be taken chunk by chunk"

    def _baseline(self, structures: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
        about, found = self.about, dict[str, float]()
        start = start_of(self.objective.shapes, structures, biases=self._biases(), seed=self.seed)
        zeroed = multipliers(about.formula.expr, about.params, [*about.data, *about.fixed])
        constant = constant_predictor(self.objective, structures, zeroed, start)
        if constant is not None:
            found[CONSTANT] = constant
        if not any(structures.values()) and self.quadratic:
            least = closed_form(self.objective)
            if least is not None:
                found[CLOSED_FORM] = least
        return found

    @property
    def quadratic(self) -> bool:
        """Whether the Hessian does not depend on the parameters."""
        try:
            products, _ = self.made.products()
        except ChainruleError:
            return False
        names = set(self.about.params)
        return not any(v.name in names for expr in products.values() for v in variables(expr))

    def _validation_loss(self, theta: Array) -> float | None:
        """The loss on the rows that were held out."""
        rows: MemoryRows | PiecedRows
        if self.streamed is not None and self.streamed.validation is not None:
            rows = PiecedRows([self.streamed.validation])
        elif self.design.validation is not None:
            rows = MemoryRows({name: np.asarray(self.design.validation[name]) for name in self.about.data})
        else:
            return None
        place, self.objective.place = self.objective.place, rows
        try:
            return self.objective.value_and_gradient(theta)[0]
        finally:
            self.objective.place = place


def prepare(
    loss: str | Expr,
    params: str | Sequence[str] | None,
    data: Any,
    shapes: Shapes,
    *,
    let: str | None = None,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    standardise: str | Collection[str] = (),
    one_hot: str | Collection[str] = (),
    split: float = 0.0,
    missing: str = "error",
    backend: str = "numpy",
    at_kink: float | str = 0,
    dialect: str = "numpy",
    functions: Functions = None,
    place: Place | None = None,
) -> Prepared:
    """Read the data, or look at the files that are streamed, and derive the loss. Raises: ChainruleError."""
    if data is None:
        raise OptionError(
            "there are no data to fit to",
            hint="data={'X': X, 'y': y}, or a file: --data table.csv in a shell",
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise OptionError(f"seed is {seed!r}", hint="it is a whole number from 0 on")
    names = named(params)
    said = plain_let(let)
    described = _described(data)
    if said is None and isinstance(data, Mapping):
        data = {ascii_name(str(name)): value for name, value in data.items()}
    needed = wanted(loss, names, data, shapes, said)
    place = place or Place()
    asked: dict[str, Any] = {
        "one_hot": listed(one_hot), "standardise": listed(standardise), "missing": missing,
        "validation": split, "seed": seed,
    }  # fmt: skip
    streamed = streamed_rows(data, said, needed, **asked) if place.streams(data) else None
    laid = design(data, said, needed, **asked) if streamed is None else _example(streamed)
    about = setting(
        loss,
        names,
        laid.arrays,
        shapes,
        sizes={**{n: s for n, s in laid.sizes.items()}, **(sizes or {})},
        count=None if streamed is None else streamed.chunks.rows,
        dialect=dialect,
        functions=functions,
    )
    if streamed is not None:
        about = _without_rows(about, streamed)
    made, derivatives = derived(about, at_kink)
    labels = labels_of(about, laid.labels)
    rows = place.of_memory(about.rows) if streamed is None else place.of_chunks(streamed.chunks)
    objective = DerivedObjective(made, rows, about.data, about.fixed, about.sizes, labels, backend)
    try:
        notes = _placed(objective, about, place, streamed)
    except BaseException:
        rows.close()
        raise
    return Prepared(
        about,
        made,
        derivatives,
        objective,
        laid,
        described,
        seed,
        tuple(updates(derivatives)),
        about.formula.source or str(about.formula.expr),
        " ".join(_declared(v) for v in about.formula.variables.values()),
        (*about.formula.assumptions, *laid.notes, *notes),
        streamed,
    )


def _example(streamed: Streamed) -> Design:
    """The first rows of a stream, with what is known of all."""
    found = streamed
    return Design(
        {**found.constants, **example(found.chunks)},
        found.labels,
        found.chunks.rows or 0,
        scaling=found.scaling,
        sizes=found.sizes,
        notes=found.notes,
    )


def _without_rows(about: Setting, streamed: Streamed) -> Setting:
    """The setting without the rows that were an example. Raises: OptionError if some are taken for all."""
    laid = {variable.name for variable in streamed.chunks.plan.laid}
    whole = sorted(laid & set(about.fixed))
    if whole:
        others = " and ".join(about.data) or "the data"
        raise OptionError(
            f"{whole[0]} is not declared with the same number of rows as {others}",
            hint="what is streamed has the rows of all data as its first axis: X[N,n] y[N]",
        )
    return replace(about, rows={})


def _placed(
    objective: DerivedObjective, about: Setting, place: Place, streamed: Streamed | None
) -> tuple[str, ...]:
    """Notes on where the rows are; a loss that needs all at once gets them here, if they are in memory."""
    rows = objective.place
    if isinstance(rows, PiecedRows) and objective.together:
        if streamed is not None:
            rows.whole(objective.together)
        rows.close()
        objective.place = MemoryRows(about.rows)
        return ("the rows are not shared out, since the loss needs all of them at once",)
    return place.said(rows, streamed is not None)


def _declared(variable: Variable) -> str:
    shape = f"[{','.join(map(str, variable.shape))}]" if variable.rank else ""
    return f"{variable.name}{shape}" + "".join(f":{word}" for word in variable.structure)


def _described(data: Any) -> str:
    """Where the data are from, for a report."""
    if isinstance(data, str | Path):
        return str(data)
    if isinstance(data, Mapping):
        return "arrays " + ", ".join(str(name) for name in data)
    if isinstance(data, list | tuple) and all(isinstance(part, str | Path) for part in data):
        return ", ".join(str(part) for part in data)
    return type(data).__name__
