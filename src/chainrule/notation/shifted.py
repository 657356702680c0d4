"""Entries at sums of indices: a convolution is Σ_k x_{i+k−1} w_k, its transpose Σ_i g_i w_{j−i+1}.

In: products with tensors that slide windows. Out: which label stands at a sum of which others, so that the
tensor need not be written. Indices count from 1, and entries outside an array are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Expr, Variable
from chainrule.expr.walk import topological
from chainrule.notation.recover import Product
from chainrule.rules.constants import MERGE
from chainrule.rules.indexing import WINDOW
from chainrule.rules.table import Constant, Elementwise
from chainrule.rules.views import OVERLAP, WINDOWS

Factor = tuple[Expr, tuple[int, ...]]
Spelling = Callable[[list[str]], str]


@dataclass(frozen=True, slots=True)
class Shift:
    """A label that is a sum of two others, and how it is spelled with their letters."""

    parts: tuple[int, int]
    spelled: Spelling


def unfolded(product: Product) -> Product:
    """The product with windows of arrays as products with the tensors that slide them.

    A sum of windows at their places stays where its windows are no product.
    """
    sizes = dict(product.sizes)
    operands: list[Factor] = []
    for operand, labels in product.operands:
        opened = _opened(operand, labels, sizes)
        operands += [(operand, labels)] if opened is None else opened
    return replace(product, operands=tuple(operands), sizes=sizes)


def _opened(operand: Expr, labels: tuple[int, ...], sizes: dict[int, Dim]) -> list[Factor] | None:
    if not isinstance(operand, Apply) or operand.function not in (WINDOWS, OVERLAP):
        return None
    inside, specs = operand.arguments[0], operand.parameters
    m = len(specs)

    def fresh(dims: list[Dim]) -> tuple[int, ...]:
        start = max(sizes, default=0) + 1
        sizes.update(enumerate(dims, start))
        return tuple(range(start, start + len(dims)))

    if operand.function is WINDOWS:
        if not _is_direct(inside):
            return None
        lead, counted, filled = labels[: len(labels) - 2 * m], labels[-2 * m : -m], labels[-m:]
        places = fresh([spec[5] for spec in specs])
        whole = (*lead, *places)
    else:
        lead, places = labels[: len(labels) - m], labels[-m:]
        counted, filled = fresh([spec[0] for spec in specs]), fresh([spec[1] for spec in specs])
        whole = (*lead, *counted, *filled)
    tensors = [
        (Apply(WINDOW, (), spec), axes)
        for spec, axes in zip(specs, zip(counted, filled, places, strict=True), strict=True)
    ]
    return [(inside, whole), *tensors]


def shifts_of(product: Product, made: set[int]) -> tuple[Product, dict[int, Shift]]:
    """The product without the tensors that slide, and the labels that are sums; `made` labels are pairs."""
    found: dict[int, Shift] = {}
    used: set[int] = set()
    kept = list(product.operands)
    for factor in product.operands:
        operand, labels = factor
        if not isinstance(operand, Apply) or not _slides(operand) or len(set(labels)) < 3:
            continue
        t, k, n = labels
        stride, dilation = operand.parameters[2:4]
        padding = Dim.of(operand.parameters[4])
        if padding.constant is None or made & set(labels) or found.keys() & set(labels):
            continue
        others = [f for f in kept if f is not factor]
        if n not in used and _is_alone(product, others, n):
            found[n] = Shift((t, k), _forward(stride, dilation, 1 - stride - dilation - padding.constant))
        elif dilation == 1 and k not in used and _is_alone(product, others, k):
            found[k] = Shift((n, t), _backward(stride, padding.constant + stride))
        else:
            continue
        used |= set(labels)
        kept.remove(factor)
    return replace(product, operands=tuple(kept)), found


def unbounded(product: Product, shifts: Mapping[int, Shift]) -> set[int]:
    """The summed labels of which no array says how far they go: they stand in sums of indices alone."""
    told = {a for o, own in product.operands if _tells(o) for a in own} | set(product.output)
    every = {a for o, own in product.operands if _slides(o) for a in own}
    return (every | {part for shift in shifts.values() for part in shift.parts}) - told


def _tells(operand: Expr) -> bool:
    """Whether its letters stand on arrays by themselves, in whatever it is written as."""
    sliding = (WINDOW, WINDOWS, OVERLAP)
    if isinstance(operand, Apply) and operand.function not in sliding and _is_direct(operand):
        return True
    return not any(isinstance(n, Apply) and n.function in sliding for n in topological([operand]))


def _slides(operand: Expr) -> bool:
    return isinstance(operand, Apply) and operand.function is WINDOW


def _is_alone(product: Product, others: list[Factor], label: int) -> bool:
    """Whether a summed label stands once more, on an array that is written with its indices below it."""
    holders = [f for f in others if label in f[1]]
    if label in product.output or len(holders) != 1 or holders[0][1].count(label) != 1:
        return False
    return _is_direct(holders[0][0])


def _is_direct(operand: Expr) -> bool:
    if isinstance(operand, Variable):
        return operand.rank > 0
    return (
        isinstance(operand, Apply)
        and not isinstance(operand.function, Constant | Elementwise)
        and operand.function is not MERGE
    )


def _forward(stride: int, dilation: int, constant: int) -> Spelling:
    """T and k as 2t+k−2."""
    return lambda own: f"{_times(stride, own[0])}+{_times(dilation, own[1])}{_plus(constant)}"


def _backward(stride: int, constant: int) -> Spelling:
    """N and t as n−2t+2."""
    return lambda own: f"{own[0]}−{_times(stride, own[1])}{_plus(constant)}"


def _times(factor: int, letter: str) -> str:
    return letter if factor == 1 else f"{factor}{letter}"


def _plus(constant: int) -> str:
    return f"+{constant}" if constant > 0 else f"−{-constant}" if constant else ""
