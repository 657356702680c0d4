"""Derivatives too large to hold, checked as numbers: contracted with a random tensor on every axis.

In: a derivative and tensors for its axes, as variables. Out: an expression without axes, in which sums are
multiplied out as far as that keeps large arrays from being made.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Einsum, Expr, Sum, Variable, add

LARGE = 50_000  # entries of an array that a check holds
ASSUMED = 3  # what a named size is taken for
MOST_TERMS = 400


def entries(expr: Expr) -> int:
    """How many entries an expression has at the sizes of a check."""
    total = 1
    for dim in expr.shape:
        total *= max(1, dim.evaluate(dict.fromkeys(dim.names, ASSUMED)))
    return total


def contracted(expr: Expr, tensors: Sequence[Variable]) -> Expr:
    """Σ over all axes of `expr` times the tensors, which lie on its axes one after the other.

    >>> from chainrule.expr.dims import Dim
    >>> x, u, v = (Variable(name, (Dim.of("n"),)) for name in "xuv")
    >>> contracted(Einsum(ONE, (x,), ((0,),), (0, 0)), [u, v]).rank
    0
    """
    labels: list[tuple[int, ...]] = []
    start = 0
    for tensor in tensors:
        labels.append(tuple(range(start, start + tensor.rank)))
        start += tensor.rank
    pending = [Einsum(ONE, (expr, *tensors), (tuple(range(expr.rank)), *labels), ())]
    done: list[Expr] = []
    while pending:
        part = pending.pop()
        large = next((k for k, operand in enumerate(part.operands) if entries(operand) > LARGE), None)
        operand = None if large is None else part.operands[large]
        if large is not None and isinstance(operand, Einsum):
            pending.append(_inlined(part, large, operand))
        elif large is not None and isinstance(operand, Sum) and len(pending) + len(done) < MOST_TERMS:
            pending.extend(_with_operand(part, large, term) for term in reversed(operand.terms))
        else:
            done.append(part)
    return add(*done)


def _with_operand(part: Einsum, k: int, operand: Expr) -> Einsum:
    operands = [*part.operands[:k], operand, *part.operands[k + 1 :]]
    return Einsum(part.coefficient, operands, part.labels, part.output, dict(enumerate(part.sizes)))


def _inlined(part: Einsum, k: int, inner: Einsum) -> Einsum:
    """The number `part` with its operand k, a product, taken in; labels that become equal are joined."""
    sizes = [*part.sizes, *inner.sizes]
    parent = list(range(len(sizes)))

    def find(label: int) -> int:
        while parent[label] != label:
            label = parent[label]
        return label

    shift = len(part.sizes)
    for outside, inside in zip(part.labels[k], inner.output, strict=True):
        parent[find(inside + shift)] = find(outside)
    operands = [*part.operands[:k], *inner.operands, *part.operands[k + 1 :]]
    own = [[label + shift for label in axes] for axes in inner.labels]
    labels = [[find(label) for label in axes] for axes in (*part.labels[:k], *own, *part.labels[k + 1 :])]
    coefficient = part.coefficient * inner.coefficient
    carried = {label for axes in labels for label in axes}
    # A label that no operand carries any more is summed over nothing else: it counts its size.
    for label in sorted({find(label) for label in range(len(sizes))} - carried):
        coefficient = coefficient * Coefficient.of(sizes[label])
    return Einsum(coefficient, operands, labels, ())
