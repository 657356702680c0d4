"""What declared structures say of factors that meet: QᵀQ = I, M⁻¹M = I, a row with a single 1 twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainrule.expr.dims import Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Labels
from chainrule.rules.indexing import one_hot
from chainrule.rules.tensorial import inv
from chainrule.simplify.work import Factor, Work

if TYPE_CHECKING:
    from chainrule.simplify.product import Product


def apply_structures(product: Product, work: Work) -> None:
    """QᵀQ = I, a skew matrix has no diagonal, and a diagonal one keeps only one label."""
    for k, (factor, axes) in enumerate(work.factors):
        known = product.normal.structures(factor) if len(axes) == 2 else ()
        if not known:
            continue
        if "skew" in known and axes[0] == axes[1]:
            work.coefficient = work.coefficient * Coefficient.of(0)
            return
        if "diagonal" in known and axes[0] != axes[1]:
            work.join(*axes)
            work.settle()
            work.changed = True
            return
        if "orthogonal" in known or "orthonormal" in known:
            for p, (other, labels) in enumerate(work.factors[:k]):
                # Of a tall matrix only the columns are orthonormal.
                for side in (0, 1) if factor.shape[0] == factor.shape[1] else (0,):
                    shared = axes[side]
                    if other is factor and labels[side] == shared and work.uses(shared) == 2:
                        if shared not in work.output:
                            work.spent.add(shared)
                            work.join(axes[1 - side], labels[1 - side])
                            work.drop(k, p)
                            work.settle()
                            return


def join_picks(work: Work) -> None:
    """M_av M_aw = M_av δ_vw for rows M of zeros with a single 1."""
    picks = [(f, axes) for f, axes in work.factors if isinstance(f, Apply) and f.function is one_hot]
    for p, (factor, axes) in enumerate(picks):
        for other, labels in picks[:p]:
            if other is factor and labels[:-1] == axes[:-1]:
                work.join(axes[-1], labels[-1])
                work.factors.remove((factor, axes))
                work.settle()
                work.changed = True
                return


def cancel_inverses(product: Product, work: Work) -> None:
    """M⁻¹ M = I, also where M is a product spread over several factors."""
    for k, (factor, axes) in enumerate(work.factors):
        if not (
            isinstance(factor, Apply) and factor.function is inv and len(axes) == 2 and axes[0] != axes[1]
        ):
            continue
        inside = factor.arguments[0]
        parts = inside if isinstance(inside, Einsum) and inside.operands else None
        wanted: Sequence[tuple[Expr, Labels]] = (
            list(zip(parts.operands, parts.labels, strict=True)) if parts is not None else [(inside, (0, 1))]
        )
        ends = parts.output if parts is not None else (0, 1)
        if ends[0] == ends[1]:
            continue
        if parts is not None and _cancel_end(product, work, k, axes, parts):
            return
        for shared, far, (near_end, far_end) in (
            (axes[1], axes[0], ends),
            (axes[0], axes[1], (ends[1], ends[0])),
        ):
            match = _match(product, work, wanted, {near_end: shared}, {k})
            if match is None:
                continue
            found, binding = match
            inner = {binding[a] for a in binding if a not in ends} | {shared}
            used = [label for p in (*found, k) for label in work.factors[p][1]]
            # The labels inside must belong to this group alone, or the sum over them is not the product.
            if any(work.uses(label) != used.count(label) for label in inner):
                continue
            if len(inner) != len({a for a in binding if a not in ends}) + 1 or binding[far_end] in inner:
                continue
            if parts is not None:
                work.coefficient = work.coefficient * parts.coefficient**-1
            work.spent |= inner
            work.join(binding[far_end], far)
            work.drop(k, *found)
            work.settle()
            return


def _cancel_end(product: Product, work: Work, k: int, axes: Labels, inside: Einsum) -> bool:
    """(P R)⁻¹ P = R⁻¹ and Q (R Q)⁻¹ = R⁻¹ for square P and Q, which are invertible if the product is."""
    first, last = inside.output
    for end, far, shared in ((first, last, axes[1]), (last, first, axes[0])):
        at_end = [q for q, labels in enumerate(inside.labels) if end in labels]
        if len(at_end) != 1 or work.uses(shared) != 2 or shared in work.output or len(inside.operands) < 2:
            continue
        factor, labels = inside.operands[at_end[0]], inside.labels[at_end[0]]
        if len(labels) != 2 or factor.shape[0] != factor.shape[1] or labels[0] == labels[1] or far in labels:
            continue
        side = labels.index(end)
        partner = next(
            (p for p, (f, at) in enumerate(work.factors) if f is factor and p != k and at[side] == shared),
            None,
        )
        rest = [q for q in range(len(inside.operands)) if q != at_end[0]]
        inner = labels[1 - side]
        if partner is None or inside.sizes[inner] != inside.sizes[far]:
            continue
        outer = work.factors[partner][1][1 - side]
        remaining = product(
            inside.coefficient,
            [inside.operands[q] for q in rest],
            [inside.labels[q] for q in rest],
            (inner, far) if end == first else (far, inner),
            dict(enumerate(inside.sizes)),
        )
        work.spent.add(shared)
        work.drop(k, partner)
        places = (axes[0], outer) if end == first else (outer, axes[1])
        product.inline(work, product.normal.apply(inv, (remaining,)), places)
        work.settle()
        return True
    return False


def _match(
    product: Product, work: Work, wanted: Sequence[Factor], binding: dict[int, int], taken: set[int]
) -> tuple[tuple[int, ...], dict[int, int]] | None:
    """Factors of the product that are the wanted ones under one renaming of labels."""
    if not wanted:
        return (), binding
    # A factor with a bound label first: the search then follows the chain.
    position = next((p for p, (_, axes) in enumerate(wanted) if any(a in binding for a in axes)), 0)
    expr, axes = wanted[position]
    rest = [w for p, w in enumerate(wanted) if p != position]
    for p, (factor, labels) in enumerate(work.factors):
        if factor is not expr or p in taken:
            continue
        orders = [labels, labels[::-1]] if product.normal.is_symmetric(expr) else [labels]
        for order in orders:
            extended = dict(binding)
            if all(extended.setdefault(a, b) == b for a, b in zip(axes, order, strict=True)):
                found = _match(product, work, rest, extended, taken | {p})
                if found is not None:
                    return (p, *found[0]), found[1]
    return None
