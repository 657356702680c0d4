"""A variable that predictions are compared with, as y in y − Xw − b: what its standardisation did, undone.

With ỹ = (y − m)/s, ỹ − p = (y − (m + sp))/s. So m + sp predicts y. Where p is f + b, and f grows as some of
its parameters do, these become s times as large, and b becomes sb + m.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeGuard

import numpy as np

from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable
from chainrule.expr.walk import substitute, topological, variables
from chainrule.fit.homogeneous import AS_ITS_ARGUMENTS, degree
from chainrule.fit.moments import Scaling
from chainrule.fit.objective import Array

HELD = "difference"  # stands for y − p, where only what is made of it matters


@dataclass(frozen=True, slots=True)
class Term:
    """What is added in a sum: `factor` times `core`; for each axis of the sum that of the core, if any."""

    factor: Fraction
    core: Expr
    axes: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """The variable `name` stands in one difference, y − p, and nowhere else.

    loss    the loss as a function of that difference
    terms   what is added up in it, with the factor of each
    factor  that of y
    """

    name: str
    loss: Expr
    terms: tuple[Term, ...]
    factor: Fraction

    def grows(self, scale: Scaling, data: Set[str]) -> float | None:
        """What takes the loss to that of y as the data have it, as a factor; None if no number does."""
        deviation = np.unique(scale.deviation)
        k = degree(self.loss, [HELD])
        if k is None or len(deviation) > 1 or {v.name for v in variables(self.loss)} & data:
            return None
        return float(deviation[0] ** float(k))

    def moved(
        self, params: Mapping[str, Array], scale: Scaling, data: Set[str]
    ) -> tuple[dict[str, Array], tuple[str, ...]] | str:
        """Parameters that predict y as the data have it, and the names of those changed; or why none do."""
        others = [term for term in self.terms if not _is(term.core, {self.name})]
        added = [term for term in others if _is(term.core, params)]
        if len(added) != 1:
            count = "more than one parameter" if added else "no parameter"
            return f"{count} is added to the prediction of {self.name}, to take up its mean"
        bias = added[0]
        assert isinstance(bias.core, Variable)
        own = bias.core.name
        found = self._growing(others, set(params), len(scale.deviation) > 1)
        if isinstance(found, str):
            return found
        taken = variables(*(term.core for term in others if term is not bias))
        if own in {v.name for v in taken}:
            return f"{own} stands in other places too"
        for term in terms(self.loss):
            inside = {v.name for v in variables(term.core)}
            # A penalty holds no data, and counts the parameters as they were fitted.
            if inside & found.keys() and (inside & data or own in inside):
                return f"{min(inside & found.keys())} stands in other places too"
        moved = {name: np.asarray(array) for name, array in params.items()}
        for name, axis in found.items():
            moved[name] = np.asarray(moved[name] * _along(scale.deviation, axis, moved[name].ndim))
        mean = _along(scale.mean, found[own], moved[own].ndim)
        moved[own] = np.asarray(moved[own] - float(self.factor / bias.factor) * mean)
        return moved, tuple(name for name in params if name in found)

    def _growing(
        self, others: Sequence[Term], params: set[str], several: bool
    ) -> dict[str, int | None] | str:
        """The parameters that grow as y does, each with the axis along which its columns are; or why not."""
        if several:
            return self._by_column(others, params)
        growing: set[str] = set()
        for term in others:
            found = _growing(term.core, params)
            if found is None:
                return f"no parameters multiply all of the prediction of {self.name}"
            growing |= found
        if any(degree(term.core, growing) != 1 for term in others):
            return f"the prediction of {self.name} does not grow as {' and '.join(sorted(growing))} do"
        return dict.fromkeys(sorted(growing))

    def _by_column(self, others: Sequence[Term], params: set[str]) -> dict[str, int | None] | str:
        """One parameter in each term, whose columns become columns of y."""
        why = (
            f"{self.name} has columns with deviations of their own, and its prediction no parameters for them"
        )
        own = next(term for term in self.terms if _is(term.core, {self.name}))
        place = own.axes.index(1)
        found: dict[str, int | None] = {}
        for term in others:
            column = term.axes[place]
            if column is None:
                return why
            core, axis = term.core, column
            if isinstance(core, Einsum):
                product, label = core, core.output[column]
                having = [k for k, labels in enumerate(product.labels) if label in labels]
                if len(having) != 1 or product.labels[having[0]].count(label) != 1:
                    return why
                core, axis = product.operands[having[0]], product.labels[having[0]].index(label)
            if not _is(core, params):
                return why
            names = [v.name for other in others for v in _leaves(other.core)]
            if names.count(core.name) != 1:
                return f"{core.name} stands in other places too"
            found[core.name] = axis
        return found


def target(loss: Expr, name: str, params: Set[str], data: Set[str]) -> Target | str:
    """How a variable is compared with a prediction, or why that is not known; "" if it is not compared."""
    nodes = topological([loss])
    variable = next((n for n in nodes if isinstance(n, Variable) and n.name == name), None)
    why = f"{name} does not stand in one difference with a prediction"
    if variable is None:
        return f"{name} is not in the formula"
    around = [n for n in nodes if isinstance(n, Sum) and any(t.core is variable for t in terms(n))]
    # A sum inside a sum is part of the outer one.
    inner = {part for n in around for part in _sums(n) if part is not n}
    outer = [n for n in around if n not in inner]
    if not outer:
        return ""
    if len(outer) != 1:
        return why
    found = terms(outer[0])
    factors = [term.factor for term in found if term.core is variable]
    held = Variable(HELD, outer[0].shape)
    whole = substitute(loss, {outer[0]: held})
    used = [v.name for term in found if term.core is not variable for v in variables(term.core)]
    if len(factors) != 1 or name in used or name in {v.name for v in variables(whole)}:
        return why
    beside = {v.name for t in terms(whole) if held in topological([t.core]) for v in variables(t.core)}
    if beside & params:
        # What is multiplied or added to is no difference from a prediction; what scales it has a unit too.
        return "" if beside & data else f"{min(beside & params)} stands beside the difference of {name}"
    return Target(name, whole, tuple(found), factors[0])


def terms(node: Expr) -> list[Term]:
    """What is added up in a node, sums within sums taken apart, each with the number it is multiplied by."""
    if isinstance(node, Sum):
        return [found for term in node.terms for found in terms(term)]
    factor = plain(node)
    if factor is None:
        return [Term(Fraction(1), node, tuple(range(node.rank)))]
    assert isinstance(node, Einsum)
    labels = node.labels[0]
    inner = [labels.index(label) if label in labels else None for label in node.output]
    return [
        Term(factor * term.factor, term.core, tuple(None if k is None else term.axes[k] for k in inner))
        for term in terms(node.operands[0])
    ]


def plain(node: Expr) -> Fraction | None:
    """By what a node multiplies its one operand, if it does nothing else but rearrange or repeat entries."""
    if not isinstance(node, Einsum) or len(node.operands) != 1 or node.coefficient.powers:
        return None
    labels, output = node.labels[0], node.output
    apart = len(set(labels)) == len(labels) and len(set(output)) == len(output)
    kept = apart and set(labels) <= set(output) and node.coefficient.rational != 0
    return Fraction(node.coefficient.rational) if kept else None


def _sums(node: Expr) -> list[Expr]:
    """The sums that `terms` takes apart."""
    if isinstance(node, Sum):
        return [node, *(found for term in node.terms for found in _sums(term))]
    return [] if plain(node) is None else _sums(node.children[0])


def _is(node: Expr, names: Collection[str]) -> TypeGuard[Variable]:
    """Whether a node is a variable of one of these names."""
    return isinstance(node, Variable) and node.name in names


def _leaves(node: Expr) -> list[Variable]:
    """The variables in a node, as often as they stand in it."""
    if isinstance(node, Variable):
        return [node]
    return [found for child in node.children for found in _leaves(child)]


def _along(values: Array, axis: int | None, rank: int) -> Array:
    """Numbers for the columns of y, so that they meet that axis of a parameter."""
    if axis is None:
        return np.asarray(values[0])
    return values.reshape((-1,) + (1,) * (rank - 1 - axis))


def _growing(node: Expr, params: set[str]) -> set[str] | None:
    """Parameters with which a node may grow; whether it does is for `degree` to say."""
    if isinstance(node, Variable):
        return {node.name} if node.name in params else None
    if isinstance(node, Sum):
        parts = [_growing(term, params) for term in node.terms]
        known = [part for part in parts if part is not None]
        return set().union(*known) if len(known) == len(parts) else None
    if isinstance(node, Einsum):
        found = (_growing(operand, params) for operand in reversed(node.operands))
        return next((part for part in found if part is not None), None)
    if isinstance(node, Apply) and node.function.name in AS_ITS_ARGUMENTS and len(node.arguments) == 1:
        return _growing(node.arguments[0], params)
    return None
