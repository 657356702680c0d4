"""What an expression is worth: a plain interpreter of the graph, independent of generated code.

In: arrays for the variables, integers for the named sizes. Out: an array. One NumPy call for each node,
from the `evaluate` of its row and `np.einsum`, in float64, or complex where a value given is complex.
Nothing is optimised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Labels, Stack, Sum, Variable
from chainrule.expr.walk import topological
from chainrule.rules.table import Row

Array = npt.NDArray[Any]
SMALL = 20_000  # products of fewer entries than this need no contraction path
EPSILON = float(np.finfo(float).eps)
MANY = 12  # operands of one call
# Entries that an intermediate product may have; without a limit of ours np.einsum takes the largest operand's
# size, and multiplies all operands at once where none is that small.
ROOM = 2**22


def evaluate(expr: Expr, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> Array:
    """The value of `expr`, an array of its shape; NaN and infinity pass through.

    Shapes: each value has the shape of its variable. `sizes` may leave out the sizes that the arrays show.
    Raises: KeyError if a variable or a size is missing.

    >>> from chainrule.expr.nodes import Variable
    >>> from chainrule.expr.dims import Dim
    >>> x = Variable("x", (Dim.of("n"),))
    >>> evaluate((x * x).sum(), {"x": [1.0, 2.0]}).item()
    5.0
    """
    memo: dict[Expr, Array] = {}
    run([expr], values, known_sizes([expr], values, sizes or {}), memo)
    return memo[expr]


def known_sizes(exprs: Iterable[Expr], values: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, int]:
    """`sizes` with the named sizes that the arrays of the variables show."""
    found: dict[str, int] = {}
    for node in topological(exprs):
        if isinstance(node, Variable) and node.name in values:
            for dim, size in zip(node.shape, np.shape(values[node.name]), strict=True):
                if dim.name is not None:
                    found[dim.name] = size
    return {**found, **sizes}


def run(
    exprs: Iterable[Expr],
    values: Mapping[str, Any],
    sizes: Mapping[str, int],
    memo: dict[Expr, Array],
    shaken: np.random.Generator | None = None,
) -> None:
    """Fills `memo` with the value of every node below `exprs` that it lacks.

    `shaken` moves the last digit of each value at random: what then changes is decided by rounding.
    Source: Parker 1997, Monte Carlo arithmetic.
    """
    with np.errstate(all="ignore"):
        for node in topological(exprs, memo):
            value = value_of(node, values, sizes, memo)
            if shaken is not None and (node.children or isinstance(node, Variable)):
                # Numbers stay: a negative base to the power 2.0000000000000004 is none.
                value = value * (1 + EPSILON * shaken.choice((-1.0, 1.0), value.shape))
            memo[node] = value


def value_of(
    node: Expr, values: Mapping[str, Any], sizes: Mapping[str, int], memo: Mapping[Expr, Array]
) -> Array:
    """The value of one node whose children are in `memo`."""
    match node:
        case Variable():
            value = np.asarray(values[node.name])
            return value if value.dtype.kind in "fc" else value.astype(float)
        case Einsum():
            return product_of(node, [memo[c] for c in node.operands], sizes)
        case Sum():
            total = memo[node.terms[0]]
            for term in node.terms[1:]:
                total = total + memo[term]
            return total
        case Apply():
            row = node.function
            assert isinstance(row, Row)
            parameters = [_number_of(p, sizes) for p in node.parameters]
            try:
                return np.asarray(row.evaluate(np, *(memo[a] for a in node.arguments), *parameters))
            except np.linalg.LinAlgError:
                return np.full([d.evaluate(sizes) for d in node.shape], np.nan)
        case Stack():
            return np.stack([memo[e] for e in node.entries])
        case _:
            raise AssertionError(f"no value for a {type(node).__name__}")


def _number_of(parameter: Any, sizes: Mapping[str, int]) -> Any:
    return parameter.evaluate(sizes) if isinstance(parameter, Dim) else parameter


def product_of(node: Einsum, operands: list[Array], sizes: Mapping[str, int]) -> Array:
    """The value of a product with these arrays for its operands."""
    coefficient = as_float(node.coefficient.evaluate(sizes))
    if not node.sizes:
        return np.asarray(prod(operands, start=coefficient))
    lengths = [dim.evaluate(sizes) for dim in node.sizes]
    carried = {label for labels in node.labels for label in labels}
    present = [label for label in dict.fromkeys(node.output) if label in carried]
    core = np.asarray(_contract(operands, list(node.labels), present, lengths) if operands else 1.0)
    if coefficient != 1:
        core = coefficient * core
    shape = tuple(lengths[label] for label in node.output)
    if present == list(node.output):
        return core
    result = np.zeros(shape, core.dtype)
    every = list(dict.fromkeys(node.output))
    index = tuple(slice(None) if label in carried else None for label in every)
    np.einsum(result, list(node.output), every)[...] = core[index]
    return result


def _contract(operands: list[Array], labels: list[Labels], present: list[int], lengths: list[int]) -> Array:
    """np.einsum, which knows 52 letters and takes few operands at once: long products go part by part."""
    while len(operands) > MANY:
        later = {label for axes in labels[MANY:] for label in axes} | set(present)
        kept = [label for label in dict.fromkeys(a for axes in labels[:MANY] for a in axes) if label in later]
        part = _contract(operands[:MANY], labels[:MANY], kept, lengths)
        operands, labels = [part, *operands[MANY:]], [tuple(kept), *labels[MANY:]]
    letter = {label: k for k, label in enumerate(dict.fromkeys(a for axes in labels for a in axes))}
    pairs: list[Any] = []
    work = 1
    for operand, axes in zip(operands, labels, strict=True):
        pairs += [operand, [letter[a] for a in axes]]
    for label in letter:
        work *= lengths[label]
    path: Any = ("greedy", ROOM) if len(operands) > 2 and work > SMALL else False
    return np.asarray(np.einsum(*pairs, [letter[a] for a in present], optimize=path))


def as_float(value: Fraction) -> float:
    """The nearest float; infinity beyond its range."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def magnitude(expr: Expr, memo: Mapping[Expr, Array], sizes: Mapping[str, int]) -> float:
    """The largest entry, had all parts of sums and products one sign: rounding is relative to it."""
    sizes_of: dict[Expr, Array] = {}
    with np.errstate(all="ignore"):
        for node in topological([expr]):
            if isinstance(node, Einsum):
                sizes_of[node] = np.abs(product_of(node, [sizes_of[c] for c in node.operands], sizes))
            elif isinstance(node, Sum | Stack):
                sizes_of[node] = value_of(node, {}, sizes, sizes_of)
            else:
                sizes_of[node] = np.abs(memo[node])
    value = sizes_of[expr]
    return float(np.max(value, initial=0.0)) if np.isfinite(value).all() else 0.0
