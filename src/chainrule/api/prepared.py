"""A loss that is derived, on data that are read: it is run from a start, and looked at where it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.api.derivative import Derivative, Derivatives
from chainrule.api.fitting import Setting
from chainrule.codegen.binding import Array
from chainrule.errors import ChainruleError
from chainrule.expr.names import ascii_name
from chainrule.expr.walk import variables
from chainrule.fit.baseline import CLOSED_FORM, CONSTANT, closed_form, constant_predictor, multipliers
from chainrule.fit.checkpoint import digest
from chainrule.fit.conditioning import conditioning
from chainrule.fit.constraints import constrained
from chainrule.fit.derived import Derived, DerivedObjective
from chainrule.fit.design import Design
from chainrule.fit.gaps import Gaps
from chainrule.fit.pieces import PiecedRows
from chainrule.fit.places import means, stamped
from chainrule.fit.result import Result
from chainrule.fit.rows import MemoryRows
from chainrule.fit.run import Outcome, run
from chainrule.fit.session import Progress
from chainrule.fit.start import read_start, relu_biases, start_of
from chainrule.fit.stream import Streamed
from chainrule.fit.surface import surface
from chainrule.fit.threads import one_thread, work_of
from chainrule.fit.units import in_units

Watch = Callable[[Progress], None]
BIASED = (
    "the gradient is not linear in totals over rows, so that batches tell it with a bias, and the end is "
    "near the minimum only; larger batches come nearer"
)
SKEWED, UNEVEN = 1e4, 10.0  # a condition from which on descent is slow; sizes of columns beside each other


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
        rows = self.objective.rows if self.about.data else 1
        with one_thread(work_of(method, rows, self.objective.size, how.get("batch"))):
            return self._run(method, init, watch, checkpoint, resume, how)

    def _run(
        self,
        method: str,
        init: Mapping[str, object] | str | Path | None,
        watch: Watch | None,
        checkpoint: str | Path | None,
        resume: str | Path | None,
        how: Mapping[str, Any],
    ) -> Result:
        objective, structures = self.objective, self._structures()
        init = {ascii_name(str(name)): value for name, value in read_start(init).items()}
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
        if not outcome.history["whole"].all() and objective.biased:
            chosen.append(BIASED)
        scaling = self.design.scaling
        units = in_units(about.formula.expr, params, scaling, about.data)
        condition, says, baseline, grid = None, "not computed: stopped by Ctrl-C", dict[str, float](), {}
        validation_loss = None
        # A Ctrl-C here ends the looking, and the result of the run is kept.
        # After one in the run, it is left out where it takes passes over rows that are not here.
        with np.errstate(all="ignore"), suppress(KeyboardInterrupt):
            if outcome.stopped and isinstance(objective.place, PiecedRows):
                raise KeyboardInterrupt
            validation_loss = self._validation_loss(outcome.theta)
            condition, says = conditioning(objective, outcome.theta)
            if condition is not None and SKEWED < condition < np.inf and self._uneven():
                says += "; columns differ in size, and standardising them makes it smaller"
            baseline = self._baseline(structures)
            drawn = outcome.path is not None and self.streamed is None  # it takes hundreds of passes
            grid = surface(objective, outcome.path) if drawn and outcome.path is not None else {}
        held_out, gaps = self.design.held_out, ""
        if self.streamed is not None:
            others, place = self.streamed.validation, objective.place
            held_out = 0 if others is None else others.rows or 0
            seen = [place.gaps if isinstance(place, PiecedRows) else None, others and others.gaps]
            gaps = Gaps.together([found for found in seen if found]).note
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
            notes=(*self.notes, *outcome.notes, *chosen, *([gaps] if gaps else [])),
            validation_loss=validation_loss,
            held_out=held_out,
            baseline=baseline,
            condition=condition,
            conditioning=says,
            data=self.data,
            separable=self._separable(),
            original=units.params,
            original_note=units.says,
            undone=units.undone,
            loss_factor=units.factor,
            scaling={name: np.stack([scale.mean, scale.deviation]) for name, scale in scaling.items()},
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
