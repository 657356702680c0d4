"""Standardisation undone: parameters for the columns as they are in the data, where the formula allows it.

With X̃ = (X − 1mᵀ)/s, X̃w + b = X(w/s) + (b − mᵀ(w/s)). So w becomes w/s and b takes the rest, if X stands only
in a product with w that b is added to, and b nowhere else. What y is compared with is for `target.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from chainrule.expr.nodes import Einsum, Expr, Sum, Variable
from chainrule.expr.walk import topological, variables
from chainrule.fit.moments import Scaling
from chainrule.fit.objective import Array
from chainrule.fit.target import Target, plain, target, terms


@dataclass(frozen=True, slots=True)
class Units:
    """What a standardisation did, undone as far as the formula allows it.

    params   for the variables `undone` as the data have them, the others still standardised; empty if none is
    factor   what the loss is multiplied by to be that of the data as they are; None where no number does it
    says     how, or why not
    """

    params: dict[str, Array] = field(default_factory=dict)
    undone: tuple[str, ...] = ()
    factor: float | None = None
    says: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """X̃ stands in the product with `weight` alone, to which `bias` is added."""

    data: str
    weight: str
    bias: str


def in_units(
    loss: Expr, params: Mapping[str, Array], scaling: Mapping[str, Scaling], data: Collection[str]
) -> Units:
    """The parameters in the units of the data; `data` are all variables that hold rows."""
    if not scaling:
        return Units()
    rows = {*data, *scaling}
    moved = {name: np.array(array, np.float64) for name, array in params.items()}
    compared = {name: target(loss, name, set(params), rows) for name in scaling}
    targets = {name: goal for name, goal in compared.items() if isinstance(goal, Target)}
    why: dict[str, str] = {}
    changed: list[str] = []
    ways: list[Way] = []
    for name in scaling:
        if name in targets:
            continue
        way = _way(loss, name, set(params), rows)
        if isinstance(way, str):
            why[name] = str(compared[name] or way)
        elif any(way.weight == other.weight for other in ways):
            why[name] = "two variables share their parameters"
        else:
            ways.append(way)
            changed += (way.weight, way.bias)
            moved |= _unscaled(moved, way, scaling[name])
    for name, goal in targets.items():
        result = goal.moved(moved, scaling[name], rows)
        if isinstance(result, str):
            why[name] = result
        else:
            moved, names = result
            changed += names
    undone = tuple(name for name in scaling if name not in why)
    # Two differences in a loss are in units of their own.
    factor = None
    if len(targets) == 1:
        name, goal = next(iter(targets.items()))
        factor = goal.grows(scaling[name], set(scaling))
    ordered = [name for name in params if name in changed]
    return Units(
        {name: np.asarray(array) for name, array in moved.items()} if undone else {},
        undone,
        factor,
        _says(undone, ordered, why, targets, scaling),
    )


def _says(
    undone: tuple[str, ...],
    changed: list[str],
    why: Mapping[str, str],
    targets: Mapping[str, Target],
    scaling: Mapping[str, Scaling],
) -> str:
    parts = []
    if undone:
        they = "it" if len(undone) == 1 else "them"
        same = [name for name in undone if name in targets]
        units = f", in the units of {' and '.join(same)}" if same else ""
        parts.append(
            f"{', '.join(changed)} for {' and '.join(undone)} as the data have {they}, not standardised: "
            f"the predictions are the same{units}"
        )
    for name, reason in why.items():
        parts.append(f"the standardisation of {name} is not undone: {reason}")
        if name in targets:
            scale = scaling[name]
            known = len(scale.mean) == 1
            mean = f"{scale.mean[0]:.6g}" if known else "the mean"
            deviation = f"{scale.deviation[0]:.6g}" if known else "the deviation of its column"
            parts.append(
                f"where {name} is predicted to be p, that is {mean} + {deviation} p in the units of the data"
            )
    return "; ".join(parts).replace("+ -", "- ")


def _unscaled(params: Mapping[str, Array], way: Way, scale: Scaling) -> dict[str, Array]:
    """The weight and the bias for the columns as they are."""
    weight = params[way.weight]
    shape = (-1,) + (1,) * (weight.ndim - 1) if weight.ndim else ()
    unscaled = weight / scale.deviation.reshape(shape)
    rest = (scale.mean.reshape(shape) * unscaled).sum(axis=0 if weight.ndim else None)
    return {way.weight: unscaled, way.bias: params[way.bias] - rest}


def _way(loss: Expr, name: str, params: set[str], data: set[str]) -> Way | str:
    """How the standardisation of a variable is undone, or why it cannot be."""
    parents = _parents(loss)
    variable = next((n for n in parents if isinstance(n, Variable) and n.name == name), None)
    if variable is None:
        return f"{name} is not in the formula"
    weight = bias = ""
    held: Variable | None = None
    sums: set[Expr] = set()
    products = _above(variable, parents)
    for product, one in products:
        found = _weight(product, variable, params)
        if not found or one != 1 or weight not in ("", found):
            return f"{name} does not stand in a product with one parameter only"
        weight = found
        for outer, factor in _above(product, parents):
            added = _biases(outer, params) if isinstance(outer, Sum) else []
            if len(added) != 1 or bias not in ("", added[0][0].name) or added[0][1] != factor:
                return f"no parameter, or more than one, is added to the product of {name} and {weight}"
            bias = added[0][0].name
            if not _meets(outer, product, added[0][0], weight):
                return f"{bias} has not a number for each column of the product of {name} and {weight}"
            sums.add(outer)
            held = added[0][0]
    if held is None:
        return f"nothing is added to the product of {name} and {weight}"
    # z − logsumexp(z) with z = XW + c has two sums, and both of them have the product and c.
    if any(above not in sums for above, _ in _above(held, parents)):
        return f"{bias} stands in other places too"
    # A penalty holds no data, and counts the parameters as they were fitted.
    predicting = [t.core for t in terms(loss) if {v.name for v in variables(t.core)} & data]
    inside = _parents(*predicting)
    lone = next(n for n in inside if isinstance(n, Variable) and n.name == weight)
    if any(node not in [product for product, _ in products] for node, _ in _above(lone, inside)):
        return f"{weight} stands in other places too"
    return Way(name, weight, bias)


def _parents(*roots: Expr) -> dict[Expr, list[Expr]]:
    nodes = topological(roots)
    parents: dict[Expr, list[Expr]] = {node: [] for node in nodes}
    for node in nodes:
        for child in dict.fromkeys(node.children):
            parents[child].append(node)
    return parents


def _above(node: Expr, parents: Mapping[Expr, list[Expr]]) -> list[tuple[Expr, Fraction]]:
    """The parents, those that only multiply by a number, rearrange or repeat left out; and that number."""
    found: list[tuple[Expr, Fraction]] = []
    for parent in parents[node]:
        factor = plain(parent)
        if factor is None:
            found.append((parent, Fraction(1)))
        else:
            found += [(above, factor * more) for above, more in _above(parent, parents)]
    return found


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


def _meets(outer: Expr, product: Expr, bias: Variable, weight: str) -> bool:
    """Whether the axes of a bias are those of the weight behind its first, entry by entry."""
    assert isinstance(product, Einsum)
    at = next(k for k, operand in enumerate(product.operands) if _named(operand, weight))
    behind = product.labels[at][1:]
    one = next(term for term in terms(outer) if term.core is product)
    other = next(term for term in terms(outer) if term.core is bias)
    labels = [None if k is None else product.output[k] for k in one.axes]
    return all(other.axes[labels.index(label)] == k for k, label in enumerate(behind))


def _named(node: Expr, name: str) -> bool:
    return isinstance(node, Variable) and node.name == name


def _biases(node: Sum, params: set[str]) -> list[tuple[Variable, Fraction]]:
    """The parameters among the terms, and what each is multiplied by."""
    found = []
    for term in node.terms:
        factor = Fraction(1)
        while (more := plain(term)) is not None:
            factor, term = factor * more, term.children[0]
        if isinstance(term, Variable) and term.name in params:
            found.append((term, factor))
    return found
