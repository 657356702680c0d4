"""The objective of a formula: compiled derivatives, rows of data, and the other values that it reads.

Where the loss is a sum over rows, totals of rows are made wherever the rows are, and the loss and its
derivatives of the totals. Otherwise all rows are needed at once, and `together` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from chainrule.codegen.compiled import CompiledFunction
from chainrule.codegen.halves import Halves, compile_halves
from chainrule.codegen.load import compile_expressions
from chainrule.codegen.separate import NotSeparable
from chainrule.codegen.traced import in_double
from chainrule.errors import DomainProblem
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import variables as variables_of
from chainrule.fit.batches import Batch, Minibatches
from chainrule.fit.objective import Array
from chainrule.fit.rows import Rows

VALUE = "value"
Blocks = Mapping[tuple[str, str], Expr]


@dataclass(frozen=True)
class Derived:
    """A loss and its derivatives by the parameters, each in the form that is compiled.

    gradients     by the name of the parameter
    products      the Hessian times directions, by the name of the parameter, and the direction of each
    hessian       its blocks, and
    gauss_newton  those of Jᵀ H J, by pairs of names; `gauss_newton_of` says of which part
    What is of second order is derived when it is asked for.
    """

    loss: Expr
    variables: tuple[Variable, ...]
    gradients: Mapping[str, Expr]
    products: Callable[[], tuple[Mapping[str, Expr], Mapping[str, Variable]]]
    hessian: Callable[[], Blocks]
    gauss_newton: Callable[[], Blocks]
    gauss_newton_of: Callable[[], str]

    @property
    def params(self) -> tuple[str, ...]:
        """The parameters in order."""
        return tuple(self.gradients)


class DerivedObjective:
    """The loss of a formula as a function of one flat vector: an Objective.

    rows     the data; `data` names the variables that it holds
    fixed    the arrays of all other variables that are no parameters
    sizes    lengths of axes by name
    labels   names of the entries along the first axis of a parameter
    levels   names of the entries along every axis of a size, K of y[N]:integer(K)
    """

    def __init__(
        self,
        derived: Derived,
        rows: Rows,
        data: Sequence[str],
        fixed: Mapping[str, Array],
        sizes: Mapping[str, int],
        labels: Mapping[str, Sequence[str]] | None = None,
        backend: str = "numpy",
        levels: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.levels = dict(levels or {})
        self.derived, self.place, self.data, self.backend = derived, rows, tuple(data), backend
        self.fixed, self.sizes, self.labels = dict(fixed), dict(sizes), dict(labels or {})
        known = {v.name: v for v in derived.variables}
        self.shapes = {
            name: tuple(dim.evaluate(self.sizes) for dim in known[name].shape) for name in derived.params
        }
        self.lengths = {name: int(np.prod(shape)) for name, shape in self.shapes.items()}
        self.size = sum(self.lengths.values())

    @property
    def rows(self) -> int | None:
        return self.place.count

    @property
    def row_size(self) -> str:
        """The name of the number of rows, "" without data."""
        named = (v.shape[0].name for v in self.derived.variables if v.name in self.data)
        return next(named, "") or ""

    @property
    def together(self) -> str:
        """Why all rows are needed at once; empty if they are not."""
        return self._first.reason

    @property
    def biased(self) -> bool:
        """Whether minibatches estimate the gradient with a bias: it is made of totals, but not linearly."""
        halves = self._first.halves
        return halves is not None and not halves.linear >= self.shapes.keys()

    @cached_property
    def names(self) -> tuple[str, ...]:
        found: list[str] = []
        known = {v.name: v for v in self.derived.variables}
        for name, shape in self.shapes.items():
            axes = [self.levels.get(dim.name or "", ()) for dim in known[name].shape]
            if shape and len(self.labels.get(name, ())) == shape[0]:
                axes[0] = self.labels[name]
            said = [
                axis if len(axis) == length else [str(i) for i in range(length)]
                for axis, length in zip(axes, shape, strict=True)
            ]
            found += [f"{name}[{', '.join(places)}]" for places in product(*said)] if shape else [name]
        return tuple(found)

    def pack(self, params: Mapping[str, Array]) -> Array:
        parts = [np.broadcast_to(params[name], shape).ravel() for name, shape in self.shapes.items()]
        return np.concatenate(parts).astype(np.float64)

    def unpack(self, theta: Array) -> dict[str, Array]:
        ends = np.cumsum(list(self.lengths.values()))[:-1]
        parts = np.split(np.asarray(theta), ends)
        return {
            name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def value_and_gradient(self, theta: Array, batch: Batch | None = None) -> tuple[float, Array]:
        try:
            results = self._first(self.unpack(theta), batch)
        except DomainProblem:
            # A point at which there is no loss: a search must turn back from it.
            return float("nan"), np.full(self.size, np.nan)
        gradient = np.concatenate([np.ravel(results[name]) for name in self.shapes])
        return float(results[VALUE]), gradient.astype(np.float64, copy=False)

    def batches(self, batch: int, seed: int) -> Minibatches | None:
        # A loss of some rows says nothing of one that needs all of them at once.
        return None if self.together else self.place.batches(batch, seed)

    def product(self, theta: Array, direction: Array) -> Array:
        evaluator, directions = self._second
        along = self.unpack(direction)
        moved = {directions[name].name: along[name] for name in self.shapes}
        results = evaluator({**self.unpack(theta), **moved}, None)
        return np.concatenate([np.ravel(results[name]) for name in self.shapes])

    def hessian(self, theta: Array) -> Array:
        return self._matrix(self._hessian, theta)

    def gauss_newton(self, theta: Array) -> Array:
        return self._matrix(self._gauss_newton, theta)

    # ---------------------------------------------------------- compiled once

    @cached_property
    def _first(self) -> Evaluator:
        return self._evaluator({VALUE: self.derived.loss, **self.derived.gradients})

    @cached_property
    def _second(self) -> tuple[Evaluator, Mapping[str, Variable]]:
        products, directions = self.derived.products()
        return self._evaluator(products, list(directions.values())), directions

    @cached_property
    def _hessian(self) -> Evaluator:
        return self._evaluator(_by_text(self.derived.hessian()))

    @cached_property
    def _gauss_newton(self) -> Evaluator:
        return self._evaluator(_by_text(self.derived.gauss_newton()))

    def _evaluator(self, outputs: Mapping[str, Expr], more: Sequence[Variable] = ()) -> Evaluator:
        return Evaluator(self, outputs, [*self.derived.variables, *more])

    def _matrix(self, evaluator: Evaluator, theta: Array) -> Array:
        blocks = evaluator(self.unpack(theta), None)
        return np.block(
            [
                [np.reshape(blocks[f"{p} {q}"], (self.lengths[p], self.lengths[q])) for q in self.shapes]
                for p in self.shapes
            ]
        )


def _by_text(blocks: Blocks) -> dict[str, Expr]:
    return {f"{p} {q}": expr for (p, q), expr in blocks.items()}


def _rows(place: Rows, batch: Batch) -> Mapping[str, Array]:
    """The rows of a batch, which may be rows already."""
    return batch if isinstance(batch, Mapping) else place.some(batch)


class Evaluator:
    """Compiled results of all rows, by way of their totals where that is possible.

    reason   why it is not; empty where it is
    reads    whether the results are made of rows at all, as the Hessian of a quantile loss is not
    """

    def __init__(
        self, about: DerivedObjective, outputs: Mapping[str, Expr], variables: Sequence[Variable]
    ) -> None:
        self.about, self.reason = about, ""
        self.reads = any(v.name in about.data for v in variables_of(*outputs.values()))
        self.halves: Halves | None = None
        self.fixed: tuple[Rows, dict[str, Array]] | None = None
        self.function: CompiledFunction | None = None
        try:
            self.halves = compile_halves(outputs, variables, about.data, about.backend)
        except NotSeparable as problem:
            self.reason = str(problem)
            self.function = compile_expressions(outputs, variables, backend=about.backend, undefined=True)

    def __call__(self, values: Mapping[str, Array], batch: Batch | None) -> dict[str, Array]:
        about = self.about
        values = {**values, **about.fixed}
        if self.halves is None:
            return self._whole(values)
        if batch is None:
            totals, found = self._sums(values)
            return self.halves.of_totals(totals, values, about.sizes, found)
        if self.fixed is None or self.fixed[0] is not about.place:
            self._sums(values)
        assert self.fixed is not None
        some = _rows(about.place, batch)
        taken, every = len(next(iter(some.values()))), about.place.counted()
        totals = self.halves.of_rows({**values, **some}, about.sizes, every)
        # So that the expected value over all minibatches is the loss of all rows, if it is linear in totals.
        scaled = {name: total * (every / taken) for name, total in totals.items()} | self.fixed[1]
        return self.halves.of_totals(scaled, values, about.sizes, every)

    def _sums(self, values: Mapping[str, Array]) -> tuple[dict[str, Array], int]:
        """The totals of all rows; those of rows alone are kept for minibatches."""
        assert self.halves is not None
        about, sizes = self.about, dict(self.about.sizes)
        if self.halves.counted:
            sizes[self.halves.count] = about.place.counted()
        totals, count = about.place.sums(self.halves.part, values, sizes)
        self.fixed = about.place, {name: totals[name] for name in self.halves.fixed}
        return totals, count

    def _whole(self, values: Mapping[str, Array]) -> dict[str, Array]:
        assert self.function is not None
        about = self.about
        known: dict[str, Any] = dict(values)
        sizes = {name: about.sizes[name] for name in self.function.sizes if name in about.sizes}
        if self.reads:
            known |= about.place.whole(self.reason)
        elif about.row_size in self.function.sizes:
            sizes[about.row_size] = about.place.counted()
        if about.backend == "jax":
            with in_double():
                results = self.function(**known, **sizes)
        else:
            results = self.function(**known, **sizes)
        return {name: np.asarray(value) for name, value in results.items()}
