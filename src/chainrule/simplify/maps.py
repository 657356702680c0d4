"""Products with a derivative that is a named linear map: what it is multiplied by goes into its argument.

A map D(X; E) with batch axes stands for many directions E at one X. Summed against numbers over those axes
it is the map of one direction; contracted with a matrix P it is what the transposed map makes of P:
⟨D(X; E), P⟩ = ⟨E, Dᵀ(X; P)⟩. Each step leaves a map with fewer batch axes, so the steps end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Labels
from chainrule.rules.linear_maps import copied, repeated
from chainrule.rules.table import Tensorial
from chainrule.simplify.work import Work

if TYPE_CHECKING:
    from chainrule.simplify.product import Product


def apply_maps(product: Product, work: Work) -> bool:
    """Rewrites the first map that has batch axes to lose."""
    for k, (factor, axes) in enumerate(work.factors):
        if not isinstance(factor, Apply) or len(axes) <= 2:
            continue
        row = factor.function
        if not isinstance(row, Tensorial) or not row.back:
            continue
        if _diagonal(product, work, k):
            return True
        if len(set(axes)) != len(axes):
            continue
        fixed = [copied(a) for a in factor.arguments]
        moving = [p for p, a in enumerate(fixed) if a is None]
        if not moving or any(not p or row.back[p] is None for p in moving):
            continue
        if any(_summed(product, work, k, place) for place in moving):
            return True
        if len(moving) == 1 and _turned(product, work, k, fixed, moving[0]):
            return True
    return False


def _diagonal(product: Product, work: Work, k: int) -> bool:
    """D(X; δ_bc E) = δ_bc D(X; E): two batch axes on which a direction is diagonal become one."""
    factor, axes = work.factors[k]
    assert isinstance(factor, Apply)
    batch, core = axes[:-2], axes[-2:]
    for argument in factor.arguments:
        if isinstance(argument, Einsum):
            places = _twice(argument.output[:-2])
            if places and axes[places[0]] != axes[places[1]]:
                work.join(axes[places[0]], axes[places[1]])
                work.settle()
                return _diagonal(product, work, k) or True
    places = _twice(batch)
    if not places or not set(batch).isdisjoint(core):
        return False
    kept = (*(label for p, label in enumerate(batch) if p != places[1]), *core)
    arguments = [product(ONE, (a,), (axes,), kept, work.sizes) for a in factor.arguments]
    _replace(product, work, (k,), Apply(factor.function, arguments, factor.parameters), kept)
    return True


def _twice(labels: Labels) -> tuple[int, int] | None:
    """The places of the first label that stands twice."""
    seen: dict[int, int] = {}
    for k, label in enumerate(labels):
        if label in seen:
            return seen[label], k
        seen[label] = k
    return None


def _constant_axes(expr: Expr) -> set[int]:
    """The batch axes along which all entries are the same, by the form of the expression."""
    if not isinstance(expr, Einsum):
        return set()
    carried = {label for labels in expr.labels for label in labels}
    return {
        k
        for k, label in enumerate(expr.output[:-2])
        if label not in carried and expr.output.count(label) == 1
    }


def _on(expr: Expr, axes: Labels, kept: Labels, sizes: Mapping[int, Dim]) -> Expr:
    """`expr` on other batch axes: constant along those that it loses, and along those that are new to it."""
    lost = [k for k, label in enumerate(axes[:-2]) if label not in kept]
    if lost:
        assert isinstance(expr, Einsum)
        output = [label for k, label in enumerate(expr.output) if k not in lost]
        expr = Einsum(expr.coefficient, expr.operands, expr.labels, output, dict(enumerate(expr.sizes)))
    own = [label for k, label in enumerate(axes) if k not in lost]
    return Einsum(ONE, (expr,), (own,), (*kept, *axes[-2:]), {label: sizes[label] for label in kept})


def _summed(product: Product, work: Work, k: int, place: int) -> bool:
    """Σ_b c_b D(X; E_b) = D(X; Σ_b c_b E_b), where nothing else in D depends on b."""
    factor, axes = work.factors[k]
    assert isinstance(factor, Apply) and isinstance(factor.function, Tensorial)
    batch, core = axes[:-2], axes[-2:]
    free = set(range(len(batch)))
    for p, argument in enumerate(factor.arguments):
        free &= free if p == place else _constant_axes(argument)
    summed = {batch[axis] for axis in free if batch[axis] not in work.output}
    others = [p for p, (_, labels) in enumerate(work.factors) if p != k and not summed.isdisjoint(labels)]
    touched = dict.fromkeys(label for p in others for label in work.factors[p][1])
    if not summed or not set(core).isdisjoint(touched):
        return False
    outside = set(work.output).union(
        *(labels for p, (_, labels) in enumerate(work.factors) if p != k and p not in others)
    )
    summed = {label for label in summed if label not in outside}
    kept = [label for label in dict.fromkeys((*batch, *touched)) if label not in summed]
    kept = [label for label in kept if label in batch or label in outside]
    if not summed or len(kept) >= len(batch):
        return False
    direction = product(
        ONE,
        (factor.arguments[place], *(work.factors[p][0] for p in others)),
        (axes, *(work.factors[p][1] for p in others)),
        (*kept, *core),
        work.sizes,
    )
    arguments = [
        direction if p == place else _on(a, axes, tuple(kept), work.sizes)
        for p, a in enumerate(factor.arguments)
    ]
    map_ = Apply(factor.function, arguments, factor.parameters)
    _replace(product, work, (k, *others), map_, (*kept, *core))
    return True


def _turned(product: Product, work: Work, k: int, fixed: list[Expr | None], place: int) -> bool:
    """⟨D(X; E), P⟩ = ⟨E, Dᵀ(X; P)⟩, where P has fewer axes besides than E has."""
    factor, axes = work.factors[k]
    assert isinstance(factor, Apply) and isinstance(factor.function, Tensorial)
    core = axes[-2:]
    if any(label in work.output for label in core):
        return False
    others = [p for p, (_, labels) in enumerate(work.factors) if p != k and not set(core).isdisjoint(labels)]
    outside = set(work.output).union(
        axes[:-2], *(labels for p, (_, labels) in enumerate(work.factors) if p != k and p not in others)
    )
    touched = dict.fromkeys(label for p in others for label in work.factors[p][1])
    kept = [label for label in touched if label in outside]
    if len(kept) >= len(axes) - 2:
        return False
    direction = product(
        ONE,
        [work.factors[p][0] for p in others],
        [work.factors[p][1] for p in others],
        (*kept, *core),
        work.sizes,
    )
    back = factor.function.back[place]
    assert back is not None
    batch = direction.shape[:-2]
    # The transpose does not read the direction that the map is linear in: any stands in its place.
    arguments = [direction if a is None else repeated(a, batch) for a in fixed]
    turned = back(*arguments, direction, factor.parameters)
    work.factors.append((factor.arguments[place], axes))
    _replace(product, work, (k, *others), turned, (*kept, *core))
    return True


def _replace(product: Product, work: Work, gone: tuple[int, ...], map_: Expr, axes: Labels) -> None:
    before = {label for p in gone for label in work.factors[p][1]}
    work.drop(*gone)
    factor = product.normal(map_)
    after = {label for _, labels in work.factors for label in labels} | set(axes) | set(work.output)
    work.spent |= before - after
    product.inline(work, factor, axes)
