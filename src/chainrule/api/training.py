"""fit(): a loss and data in, a Result out: what is read, derived, started, run and reported, in this order.

`prepare` does all that comes before the first step, so that the update formulas can be shown before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.api.derivative import Derivative, Derivatives
from chainrule.api.fitting import Setting, derived, setting, updates
from chainrule.api.formulas import Functions, Shapes
from chainrule.codegen.binding import Array
from chainrule.errors import ChainruleError, OptionError
from chainrule.expr.nodes import Einsum, Expr, Variable
from chainrule.expr.walk import topological, variables
from chainrule.fit.baseline import CLOSED_FORM, CONSTANT, closed_form, constant_predictor, multipliers
from chainrule.fit.checkpoint import digest
from chainrule.fit.conditioning import conditioning
from chainrule.fit.constraints import constrained
from chainrule.fit.derived import Derived, DerivedObjective
from chainrule.fit.design import Design, design
from chainrule.fit.let import parse_let
from chainrule.fit.result import Result
from chainrule.fit.rows import MemoryRows
from chainrule.fit.run import Outcome, run
from chainrule.fit.session import Progress
from chainrule.fit.start import relu_biases, start_of
from chainrule.fit.surface import surface
from chainrule.fit.units import in_units
from chainrule.language.declarations import parse_declarations

Watch = Callable[[Progress], None]


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
    )
    how: dict[str, Any] = {
        "rate": rate, "steps": steps, "tolerance": tolerance, "batch": batch, "momentum": momentum,
        "backtracking": backtracking, "betas": betas, "epsilon": epsilon, "patience": patience,
        "checkpoint": checkpoint, "every": every, "resume": resume,
    }  # fmt: skip
    if progress is not True:
        return prepared.run(method, init=init, watch=progress or None, **how)
    from chainrule.fit.progress import Bar

    with Bar(steps) as bar:
        return prepared.run(method, init=init, watch=bar.watch, **how)


@dataclass(frozen=True)
class Prepared:
    """A loss that is derived, on data that are read.

    updates  what gradient descent does, as lines of text
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
        return {bias: float(np.mean(arrays[target])) for bias, target in found.items() if target in arrays}

    def _identity(self, start: Mapping[str, Array], wanted: bool) -> dict[str, str]:
        if not wanted:
            return {}
        arrays = {name: np.asarray(a) for name, a in {**self.about.fixed, **self.about.rows}.items()}
        return {
            "formula": self.formula,
            "shapes": self.shapes,
            "data": digest(arrays),
            "backend": self.objective.backend,
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
            baseline = self._baseline(structures)
            grid = surface(objective, outcome.path) if outcome.path is not None else {}
        return Result.of(
            outcome,
            params,
            method=method,
            formula=self.formula,
            shapes=self.shapes,
            names=objective.names,
            labels={name: tuple(labels) for name, labels in objective.labels.items()},
            rows=len(next(iter(about.rows.values()))) if about.rows else None,
            updates=self.updates,
            notes=(*self.notes, *outcome.notes, *chosen),
            validation_loss=validation_loss,
            held_out=self.design.held_out,
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

    def _separable(self) -> str:
        """Whether the loss is made from totals of rows, in words."""
        if not self.about.rows:
            return ""
        why = self.objective.together
        if why:
            return f"the loss needs all rows at once: {why}"
        return "the loss is made from totals over rows, which may be taken chunk by chunk"

    def _baseline(self, structures: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
        about, found = self.about, dict[str, float]()
        start = start_of(self.objective.shapes, structures, biases=self._biases(), seed=self.seed)
        zeroed = multipliers(about.formula.expr, about.params, [*about.rows, *about.fixed])
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
        rows = self.design.validation
        if rows is None:
            return None
        place = self.objective.place
        self.objective.place = MemoryRows({name: np.asarray(rows[name]) for name in self.about.data})
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
) -> Prepared:
    """Read the data, derive the loss, and compile nothing yet. Raises: ChainruleError."""
    if data is None:
        raise OptionError(
            "there are no data to fit to",
            hint="data={'X': X, 'y': y}, or a file: --data table.csv in a shell",
        )
    names = _named(params)
    wanted = _wanted(loss, names, data, shapes, let)
    laid = design(
        data,
        let,
        wanted,
        one_hot=_listed(one_hot),
        standardise=_listed(standardise),
        missing=missing,
        validation=split,
        seed=seed,
    )
    about = setting(
        loss,
        names,
        laid.arrays,
        shapes,
        sizes={**{n: s for n, s in laid.sizes.items()}, **(sizes or {})},
        dialect=dialect,
        functions=functions,
    )
    made, derivatives = derived(about, at_kink)
    labels = _labels(about, laid.labels)
    objective = DerivedObjective(
        made, MemoryRows(about.rows), about.data, about.fixed, about.sizes, labels, backend
    )
    return Prepared(
        about,
        made,
        derivatives,
        objective,
        laid,
        _described(data),
        seed,
        tuple(updates(derivatives)),
        about.formula.source or str(about.formula.expr),
        " ".join(_declared(v) for v in about.formula.variables.values()),
        (*about.formula.assumptions, *laid.notes),
    )


def _named(params: str | Sequence[str] | None) -> list[str] | None:
    if params is None:
        return None
    return _listed(params)


def _listed(names: str | Collection[str] | None) -> list[str]:
    if names is None:
        return []
    parts = names.split(",") if isinstance(names, str) else [str(name) for name in names]
    return [part.strip() for part in parts if part.strip()]


def _wanted(
    loss: str | Expr, params: Sequence[str] | None, data: Any, shapes: Shapes, let: str | None
) -> dict[str, Variable | None]:
    """The variables that need data, as far as they are declared."""
    declared = (
        parse_declarations(shapes).variables
        if isinstance(loss, str)
        else {v.name: v for v in variables(loss)}
    )
    if let is not None:
        names = [binding.name for binding in parse_let(let).bindings]
    elif isinstance(data, Mapping):
        names = [str(name) for name in data]
        if isinstance(loss, str):
            unused = [name for name in names if not re.search(rf"\b{re.escape(name)}\b", loss)]
        else:
            unused = [name for name in names if name not in declared]
        names = [name for name in names if name not in unused and name not in (params or ())]
    else:
        if params is None and not declared:
            raise OptionError(
                "it is not said which variables of the loss are data",
                hint="name the parameters, params=['w', 'b'], or the columns, let='y = target, X = rest'",
            )
        words = re.findall(r"[^\W\d]\w*(?!\w*\s*\()", loss) if isinstance(loss, str) else list(declared)
        names = [name for name in dict.fromkeys([*declared, *words]) if name not in (params or ())]
        names = [name for name in names if name in declared or params is not None]
    return {name: declared.get(name) for name in names}


def _labels(about: Setting, labels: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Names of columns for the parameters whose first axis meets the columns of a variable."""
    found: dict[str, Sequence[str]] = {}
    for node in topological([about.formula.expr]):
        if not isinstance(node, Einsum):
            continue
        for data, own in zip(node.operands, node.labels, strict=True):
            if not isinstance(data, Variable) or len(labels.get(data.name, ())) < 2 or len(own) != 2:
                continue
            for param, theirs in zip(node.operands, node.labels, strict=True):
                if isinstance(param, Variable) and param.name in about.params and theirs[:1] == own[1:]:
                    found.setdefault(param.name, labels[data.name])
    return found


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
