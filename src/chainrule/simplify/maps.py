"""Products with a derivative that is a named linear map: what it is multiplied by goes into its argument.

A map D(X; E) with batch axes stands for many directions E at one X. Summed against numbers over those axes
it is the map of one direction; contracted with a matrix P it is what the transposed map makes of P:
⟨D(X; E), P⟩ = ⟨E, Dᵀ(X; P)⟩. Each step leaves a map with fewer batch axes, so the steps end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Apply, Expr, Labels
from chainrule.rules.linear_maps import copied, repeated
from chainrule.rules.table import Tensorial

if TYPE_CHECKING:
    from chainrule.simplify.product import Product, Work


def apply_maps(product: Product, work: Work) -> bool:
    """Rewrites the first map that has batch axes to lose."""
    for k, (factor, axes) in enumerate(work.factors):
        if not isinstance(factor, Apply) or len(axes) <= 2:
            continue
        row = factor.function
        if not isinstance(row, Tensorial) or not row.back or len(set(axes)) != len(axes):
            continue
        fixed = [copied(a) for a in factor.arguments]
        moving = [p for p, a in enumerate(fixed) if a is None]
        if len(moving) != 1 or not moving[0] or row.back[moving[0]] is None:
            continue
        if _summed(product, work, k, fixed, moving[0]) or _turned(product, work, k, fixed, moving[0]):
            return True
    return False


def _rebuilt(row: Tensorial, fixed: list[Expr | None], direction: Expr) -> Expr:
    batch = direction.shape[:-2]
    return Apply(row, [direction if a is None else repeated(a, batch) for a in fixed])


def _summed(product: Product, work: Work, k: int, fixed: list[Expr | None], place: int) -> bool:
    """Σ_b c_b D(X; E_b) = D(X; Σ_b c_b E_b)."""
    factor, axes = work.factors[k]
    assert isinstance(factor, Apply) and isinstance(factor.function, Tensorial)
    batch, core = axes[:-2], axes[-2:]
    summed = {label for label in batch if label not in work.output}
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
    _replace(product, work, (k, *others), _rebuilt(factor.function, fixed, direction), (*kept, *core))
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
