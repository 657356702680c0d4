"""Basis vectors, selections of rows and regroupings of axes within a product.

Their entries are 0 and 1: two that meet make one, or nothing, and one that only renames labels goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum
from chainrule.rules.constants import BASIS, MERGE, SELECT
from chainrule.rules.table import Elementwise
from chainrule.simplify.work import Factor, Work

if TYPE_CHECKING:
    from chainrule.simplify.product import Product

SELECTORS = (BASIS, SELECT, MERGE)
# How many nested functions are looked through for a joined vector.
DEEP = 20
ONE_DIM = Dim.of(1)


def meet_constants(product: Product, work: Work) -> None:
    """Basis vectors, selections and regroupings meet, and vanish where they only rename labels.

    Their entries are 0 and 1, so that equal ones with equal labels are one.
    """
    constants = [
        k for k, (f, _) in enumerate(work.factors) if isinstance(f, Apply) and f.function in SELECTORS
    ]
    if not constants:
        return
    if len({work.factors[k] for k in constants}) < len(constants):
        others = [f for k, f in enumerate(work.factors) if k not in constants]
        work.factors = others + list(dict.fromkeys(work.factors[k] for k in constants))
        constants = list(range(len(others), len(work.factors)))
    for p, k in enumerate(constants):
        for q in constants[:p]:
            if _meet(work, work.factors[q], work.factors[k]):
                work.settle()
                work.changed = True
                return
    for k in constants:
        factor, axes = work.factors[k]
        assert isinstance(factor, Apply)
        if factor.function is SELECT:
            start, step, count, size = factor.parameters
            if count == size and step == 1 and not start.terms:
                work.join(*axes)
                work.drop(k)
                work.settle()
                return
            if count == ONE_DIM and axes[0] not in (*work.output, axes[1]):
                # A single row is a basis vector; its own axis has one entry.
                work.factors[k] = (Apply(BASIS, (), (start, size)), axes[1:])
                if not work.uses(axes[0]):
                    work.spent.add(axes[0])
                work.changed = True
                return
            lone = axes[1:]
        else:
            lone = axes[:1] if factor.function is BASIS or work.uses(axes[0]) == 1 else axes[1:]
        # Each row of a selection, each basis vector and each side of a regrouping adds up to 1.
        if all(work.uses(label) == 1 for label in lone) and not set(lone) & set(work.output):
            work.spent |= set(lone)
            work.drop(k)
            return
        if factor.function is not MERGE and _restrict(product, work, k):
            return
    for k in constants:
        if _pick_entry(product, work, k) or _pull_entry(work, k):
            return


def _meet(work: Work, a: Factor, b: Factor) -> bool:
    """Applies what follows from two constant tensors that share labels; False if nothing does."""
    (f, left), (g, right) = a, b
    assert isinstance(f, Apply) and isinstance(g, Apply)
    if f is g and f.function is MERGE:
        if left[0] == right[0] and left != right:
            for x, y in zip(left[1:], right[1:], strict=True):
                work.join(x, y)
            return True
        if left[1:] == right[1:] and left != right:
            work.join(left[0], right[0])
            return True
    if f.function is BASIS and g.function is BASIS and left == right:
        difference = (f.parameters[0] - g.parameters[0]).constant
        if difference:
            work.coefficient = work.coefficient * Coefficient.of(0)
            return True
    if {f.function, g.function} == {BASIS, SELECT}:
        (e, (place,)), (s, (row, column)) = (
            ((f, left), (g, right)) if f.function is BASIS else ((g, right), (f, left))
        )
        assert isinstance(e, Apply) and isinstance(s, Apply)
        start, step, count, _ = s.parameters
        if place == row:
            other, where = Apply(BASIS, (), (start + Dim.of(step) * e.parameters[0], s.shape[1])), column
        elif place == column:
            index = _row_of(e.parameters[0] - start, step)
            if index is None:
                return False
            if (-index - ONE_DIM).is_nonnegative or (index - count).is_nonnegative:
                work.coefficient = work.coefficient * Coefficient.of(0)
                return True
            if not (index.is_nonnegative and (count - index - ONE_DIM).is_nonnegative):
                return False
            other, where = Apply(BASIS, (), (index, count)), row
        else:
            return False
        position = work.factors.index((s, (row, column)))
        work.factors[position] = (other, (where,))
        return True
    if f.function is SELECT and g.function is SELECT:
        return _meet_selections(work, a, b)
    return False


def _meet_selections(work: Work, a: Factor, b: Factor) -> bool:
    (f, left), (g, right) = a, b
    assert isinstance(f, Apply) and isinstance(g, Apply)
    if left[1] == right[1]:
        if f is g and left[0] != right[0]:
            work.join(left[0], right[0])
            return True
        rows = [_selected(f), _selected(g)]
        if rows[0] is not None and rows[1] is not None:
            if not rows[0] & rows[1]:
                work.coefficient = work.coefficient * Coefficient.of(0)
                return True
        elif _apart(f, g):
            work.coefficient = work.coefficient * Coefficient.of(0)
            return True
    for (outer, o), (inner, i) in (((f, left), (g, right)), ((g, right), (f, left))):
        # Row r of `outer` is entry start + step·r of what `inner` selects.
        if o[1] == i[0] and work.uses(o[1]) == 2 and o[1] not in work.output:
            assert isinstance(outer, Apply) and isinstance(inner, Apply)
            start, step, count, _ = outer.parameters
            first, stride, _, size = inner.parameters
            joined = Apply(SELECT, (), (first + Dim.of(stride) * start, stride * step, count, size))
            work.factors.remove((outer, o))
            work.factors[work.factors.index((inner, i))] = (joined, (o[0], i[1]))
            work.spent.add(o[1])
            return True
    return False


def _restrict(product: Product, work: Work, k: int) -> bool:
    """Rows of exp(z) are exp of rows of z: done where z is joined from parts, of which one is left."""
    (chosen, places), label = work.factors[k], work.factors[k][1][-1]
    others = [p for p, (_, axes) in enumerate(work.factors) if p != k and label in axes]
    if len(others) != 1 or label in (*work.output, *places[:-1]):
        return False
    whole, axes = work.factors[others[0]]
    if axes.count(label) > 1 or not _is_joined(whole, axes.index(label)):
        return False
    assert isinstance(whole, Apply)
    axis, own = axes.index(label), tuple(range(whole.rank))
    kept = tuple(a for a in own if a != axis or len(places) > 1)
    row = tuple(whole.rank if a == axis else a for a in kept)
    parts = []
    for argument in whole.arguments:
        sizes = dict(enumerate(argument.shape)) | {whole.rank: chosen.shape[0]}
        rows = (whole.rank, axis)[2 - len(places) :]
        parts.append(product(ONE, (chosen, argument), (rows, own), row, sizes))
    made = product.normal.apply(whole.function, tuple(parts), whole.parameters)
    work.drop(*others, k)
    work.spent.add(label)
    product.inline(work, made, tuple(places[0] if a == axis else axes[a] for a in kept))
    work.settle()
    return True


def _pick_entry(product: Product, work: Work, k: int) -> bool:
    """e₂ contracted with a written-out vector is its entry."""
    factor, axes = work.factors[k]
    assert isinstance(factor, Apply)
    index = factor.parameters[0].constant if factor.function is BASIS else None
    if index is None:
        return False
    for p, (other, labels) in enumerate(work.factors):
        if isinstance(other, Stack) and labels[0] == axes[0] and labels.count(axes[0]) == 1:
            work.drop(p)
            product.inline(work, other.entries[index], labels[1:])
            work.settle()
            return True
    return False


def _pull_entry(work: Work, k: int) -> bool:
    """e₂ ⊙ v = v₂ e₂: beside a basis vector only one entry of the other factors counts.

    So Σ_k e₂ₖ A_ik B_jk is the product of one column of A and one of B.
    """
    factor, (label, *_) = work.factors[k]
    if not isinstance(factor, Apply) or factor.function is not BASIS:
        return False
    others = [p for p, (_, axes) in enumerate(work.factors) if p != k and label in axes]
    if not others or any(is_selector(work.factors[p][0]) for p in others):
        return False
    if label not in work.output:
        others = others[1:]
        if not others:
            return False
    fresh = max(work.sizes) + 1
    work.sizes[fresh] = work.sizes[label]
    work.alive.add(fresh)
    for p in others:
        f, axes = work.factors[p]
        work.factors[p] = (f, tuple(fresh if a == label else a for a in axes))
    work.factors.append((factor, (fresh,)))
    work.changed = True
    return True


def _selected(expr: Apply) -> set[int] | None:
    start, step, count, _ = expr.parameters
    if start.constant is None or count.constant is None:
        return None
    return {start.constant + step * k for k in range(count.constant)}


def _is_joined(expr: Expr, axis: int) -> bool:
    """Whether it is an elementwise function of something put together from parts along an axis."""
    waiting: list[Expr] = []
    if isinstance(expr, Apply) and isinstance(expr.function, Elementwise):
        waiting.append(expr)
    seen = 0
    while waiting and seen < DEEP:
        node, seen = waiting.pop(), seen + 1
        if isinstance(node, Apply) and isinstance(node.function, Elementwise):
            waiting += node.arguments
        for term in node.terms if isinstance(node, Sum) else (node,):
            if isinstance(term, Einsum) and term.output.count(label := term.output[axis]) == 1:
                parts = zip(term.operands, term.labels, strict=True)
                if any(is_selector(o) and axes[-1] == label for o, axes in parts):
                    return True
    return False


def is_selector(factor: Expr) -> bool:
    """Whether it is a basis vector, a selection or a regrouping."""
    return isinstance(factor, Apply) and factor.function in SELECTORS


def _row_of(offset: Dim, step: int) -> Dim | None:
    """offset/step, where that is known to be whole or known not to be: then it is −1, which no row has."""
    if step == 1:
        return offset
    if offset.constant is None:
        return None
    quotient, rest = divmod(offset.constant, step)
    return Dim.of(-1 if rest else quotient)


def _apart(f: Apply, g: Apply) -> bool:
    """Whether two selections of step 1 with symbolic sizes cannot overlap.

    One ends before the other begins.
    """
    (a, p, n, _), (b, q, m, _) = f.parameters, g.parameters
    if p != 1 or q != 1:
        return False
    before: Dim = b - a - n
    after: Dim = a - b - m
    return before.is_nonnegative or after.is_nonnegative
