"""A variable that predictions are compared with, as y in y − Xw − b: what its standardisation did, undone.

With ỹ = (y − m)/s, ỹ − p = (y − (m + sp))/s. So m + sp predicts y. Where p is f + b, and f grows as some of
its parameters do, these become s times as large, and b becomes sb + m.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable
from chainrule.expr.walk import substitute, topological, variables
from chainrule.fit.homogeneous import AS_ITS_ARGUMENTS, degree
from chainrule.fit.moments import Scaling
from chainrule.fit.objective import Array

HELD = "difference"  # stands for y − p, where only what is made of it matters
Term = tuple[Fraction, Expr]


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
        if len(scale.deviation) > 1:
            return f"{self.name} has more than one column, each with a deviation of its own"
        others = [
            (factor, core) for factor, core in self.terms if core is not _variable(self.terms, self.name)
        ]
        added = [(f, v) for f, v in others if isinstance(v, Variable) and v.name in params]
        if len(added) != 1:
            count = "more than one parameter" if added else "no parameter"
            return f"{count} is added to the prediction of {self.name}, to take up its mean"
        factor, bias = added[0]
        assert isinstance(bias, Variable)
        growing = {bias.name}
        for _, core in others:
            found = _growing(core, set(params))
            if found is None:
                return f"no parameters multiply all of the prediction of {self.name}"
            growing |= found
        if any(degree(core, growing) != 1 for _, core in others):
            return f"the prediction of {self.name} does not grow as {' and '.join(sorted(growing))} do"
        places = [self.loss, *(core for _, core in others if core is not bias)]
        if bias.name in {v.name for v in variables(*places)}:
            return f"{bias.name} stands in other places too"
        for _, term in terms(self.loss):
            inside = {v.name for v in variables(term)}
            # A penalty holds no data, and counts the parameters as they were fitted.
            if inside & data and inside & growing:
                return f"{min(inside & growing)} stands in other places too"
        mean, deviation = float(scale.mean[0]), float(scale.deviation[0])
        moved = {name: np.asarray(a * deviation if name in growing else a) for name, a in params.items()}
        moved[bias.name] = np.asarray(moved[bias.name] - float(self.factor / factor) * mean)
        return moved, tuple(name for name in params if name in growing)


def target(loss: Expr, name: str, params: Set[str], data: Set[str]) -> Target | str:
    """How a variable is compared with a prediction, or why that is not known; "" if it is not compared."""
    nodes = topological([loss])
    variable = next((n for n in nodes if isinstance(n, Variable) and n.name == name), None)
    why = f"{name} does not stand in one difference with a prediction"
    if variable is None:
        return f"{name} is not in the formula"
    around = [n for n in nodes if isinstance(n, Sum) and any(core is variable for _, core in terms(n))]
    # A sum inside a sum is part of the outer one.
    inner = {part for n in around for part in _sums(n) if part is not n}
    outer = [n for n in around if n not in inner]
    if not outer:
        return ""
    if len(outer) != 1:
        return why
    found = terms(outer[0])
    factors = [factor for factor, core in found if core is variable]
    held = Variable(HELD, outer[0].shape)
    whole = substitute(loss, {outer[0]: held})
    used = [v.name for _, core in found if core is not variable for v in variables(core)]
    if len(factors) != 1 or name in used or name in {v.name for v in variables(whole)}:
        return why
    beside = {v.name for _, term in terms(whole) if held in topological([term]) for v in variables(term)}
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
        return [(Fraction(1), node)]
    return [(factor * more, core) for more, core in terms(node.children[0])]


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


def _variable(found: tuple[Term, ...], name: str) -> Expr | None:
    return next((core for _, core in found if isinstance(core, Variable) and core.name == name), None)


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
