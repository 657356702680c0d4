"""Standardisation undone: parameters for the columns as they are in the data, where the formula allows it.

With X̃ = (X − 1mᵀ)/s, X̃w + b = X(w/s) + (b − mᵀ(w/s)). So w becomes w/s and b takes the rest, if X stands only
in a product with w that b is added to, and b nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from chainrule.expr.nodes import Einsum, Expr, Sum, Variable
from chainrule.expr.walk import topological
from chainrule.fit.moments import Scaling
from chainrule.fit.objective import Array


@dataclass(frozen=True, slots=True)
class Way:
    """X̃ stands in the product with `weight` alone, to which `bias` is added."""

    data: str
    weight: str
    bias: str


def in_units(
    loss: Expr, params: Mapping[str, Array], scaling: Mapping[str, Scaling]
) -> tuple[dict[str, Array], str]:
    """The parameters in the units of the data, and a sentence: how, or why not."""
    if not scaling:
        return {}, ""
    ways: list[Way] = []
    for name in scaling:
        found = _way(loss, name, set(params))
        if isinstance(found, str):
            return {}, f"the standardisation is not undone: {found}"
        ways.append(found)
    weights = [way.weight for way in ways]
    if len(set(weights)) < len(weights):
        return {}, "the standardisation is not undone: two variables share their parameters"
    moved = {name: np.array(array, np.float64) for name, array in params.items()}
    for way in ways:
        scale, weight = scaling[way.data], moved[way.weight]
        shape = (-1,) + (1,) * (weight.ndim - 1) if weight.ndim else ()
        unscaled = weight / scale.deviation.reshape(shape)
        moved[way.weight] = unscaled
        moved[way.bias] = moved[way.bias] - (scale.mean.reshape(shape) * unscaled).sum(
            axis=0 if weight.ndim else None
        )
    moved = {name: np.asarray(array) for name, array in moved.items()}
    names = " and ".join(way.data for way in ways)
    changed = ", ".join(dict.fromkeys(n for way in ways for n in (way.weight, way.bias)))
    return moved, f"{changed} for {names} as the data have it, not standardised: the predictions are the same"


def _way(loss: Expr, name: str, params: set[str]) -> Way | str:
    """How the standardisation of a variable is undone, or why it cannot be."""
    nodes = list(topological([loss]))
    parents: dict[Expr, list[Expr]] = {node: [] for node in nodes}
    for node in nodes:
        for child in dict.fromkeys(node.children):
            parents[child].append(node)
    variable = next((n for n in nodes if isinstance(n, Variable) and n.name == name), None)
    if variable is None:
        return f"{name} is not in the formula"
    weight = bias = ""
    for product, one in _above(variable, parents):
        found = _weight(product, variable, params)
        if not found or one != 1 or weight not in ("", found):
            return f"{name} does not stand in a product with one parameter only"
        weight = found
        for outer, factor in _above(product, parents):
            added = _biases(outer, params) if isinstance(outer, Sum) else []
            if len(added) != 1 or bias not in ("", added[0][0].name) or added[0][1] != factor:
                return f"no parameter, or more than one, is added to the product of {name} and {weight}"
            bias = added[0][0].name
            if len(_above(added[0][0], parents)) != 1:
                return f"{bias} stands in other places too"
    return Way(name, weight, bias) if bias else f"nothing is added to the product of {name} and {weight}"


def _above(node: Expr, parents: Mapping[Expr, list[Expr]]) -> list[tuple[Expr, Fraction]]:
    """The parents, those that only multiply by a number, rearrange or repeat left out; and that number."""
    found: list[tuple[Expr, Fraction]] = []
    for parent in parents[node]:
        factor = _plain(parent)
        if factor is None:
            found.append((parent, Fraction(1)))
        else:
            found += [(above, factor * more) for above, more in _above(parent, parents)]
    return found


def _plain(node: Expr) -> Fraction | None:
    """By what a node multiplies its one operand, if it does nothing else but rearrange or repeat entries."""
    if not isinstance(node, Einsum) or len(node.operands) != 1 or node.coefficient.powers:
        return None
    return Fraction(node.coefficient.rational) if set(node.labels[0]) <= set(node.output) else None


def _weight(node: Expr, variable: Variable, params: set[str]) -> str:
    """The parameter whose first axis, if it has one, meets the columns of the variable."""
    if not isinstance(node, Einsum) or len(node.operands) != 2 or not node.coefficient.is_one:
        return ""
    place = next((k for k, operand in enumerate(node.operands) if operand is variable), None)
    if place is None:
        return ""
    other, own, theirs = node.operands[1 - place], node.labels[place], node.labels[1 - place]
    if not isinstance(other, Variable) or other.name not in params or own[0] not in node.output:
        return ""
    if own[0] in theirs or len(own) > 2:
        return ""
    if len(own) == 1:
        return other.name if not theirs else ""
    met = own[1] not in node.output and theirs[:1] == own[1:] and own[1] not in theirs[1:]
    return other.name if met else ""


def _biases(node: Sum, params: set[str]) -> list[tuple[Variable, Fraction]]:
    """The parameters among the terms, and what each is multiplied by."""
    found = []
    for term in node.terms:
        factor = Fraction(1)
        while (more := _plain(term)) is not None:
            factor, term = factor * more, term.children[0]
        if isinstance(term, Variable) and term.name in params:
            found.append((term, factor))
    return found
