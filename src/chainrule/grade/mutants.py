"""The usual mistakes, made on purpose: a path, a mask or an inner derivative left out.

In: a case that says what was differentiated by what. Out: those mistakes whose result is the claim.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from chainrule.derive import jacobians
from chainrule.expr.dims import ONE
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr
from chainrule.expr.walk import rebuild
from chainrule.grade.case import Case, Found
from chainrule.grade.masks import masks
from chainrule.grade.mutant import Mutant, short
from chainrule.grade.paths import paths
from chainrule.grade.sweep import Change, Sweep, Use

MOST = 160  # mistakes that are tried of one kind
EFFORT = 12_000  # nodes that they have together, where a formula is large


def mistakes(case: Case) -> Iterator[Found]:
    """The mistakes in differentiating whose result is the claim."""
    if case.of is None or not case.wrt:
        return
    sweep = Sweep(case.of, case.wrt)
    if case.of not in sweep.active:
        return
    most = min(MOST, 8 + EFFORT // len(sweep.order))
    found: list[Found] = []
    for kind in (paths, masks, _inner, _factor_by_factor, _entry_by_entry):
        found += [m.tell() for m in islice(kind(sweep), most) if case.matches(m.expr)]
    # With x − mean(x) in place of x, the path through the mean was left out, and no inner derivative.
    lost = any(f.code == "path" for f in found) and any(v.rank for v in case.wrt)
    yield from (f for f in found if not (lost and f.code == "inner"))


def _inner(sweep: Sweep) -> Iterator[Mutant]:
    """The derivative of one function left out, or that of everything inside one."""
    inside = _inside(sweep)
    for node in reversed(sweep.order):
        if node in inside and node not in sweep.wrt:
            if [v.shape for v in sweep.wrt] == [node.shape]:
                yield _missing(sweep, node, sweep.derivative(jump=node, onto=sweep.wrt[0]), 12)
            yield _missing(sweep, node, jacobians(sweep.of, [node])[node], 26)
    for node in reversed(sweep.order):
        for use in sweep.below.get(node, ()):
            scaled = isinstance(node, Einsum) and len(node.operands) == 1  # a sign or a number, no function
            if use.child.shape == node.shape and not scaled and (isinstance(node, Apply) or node in inside):
                yield _passed(sweep, use)


def _factor_by_factor(sweep: Sweep) -> Iterator[Mutant]:
    """The product of the derivatives for the derivative of a product of numbers."""
    of = sweep.of
    if not isinstance(of, Einsum) or len(sweep.wrt) != 1 or sweep.wrt[0].rank or of.rank:
        return
    moving = [part for part in of.operands if part in sweep.active]
    if len(moving) < 2 or any(part.rank for part in of.operands):
        return
    parts = [sweep.of_other(part) if part in sweep.active else part for part in of.operands]
    says = "A product is not differentiated factor by factor: (fg)′ is f′g + fg′, and not f′g′."
    yield Mutant(rebuild(of, parts), lambda: Found(44, "other", says))


def _entry_by_entry(sweep: Sweep) -> Iterator[Mutant]:
    """A function of all entries, such as softmax, differentiated as if each stood for itself."""
    if sweep.of.rank != 1 or len(sweep.wrt) != 1 or sweep.wrt[0].shape != sweep.of.shape:
        return
    whole = sweep.derivative()
    entries = Einsum(ONE, (whole,), ((0, 0),), (0,))
    says = "Only the diagonal is there: each entry depends on the others too, so those beside it are not 0."
    for expr in (Einsum(ONE, (entries,), ((0,),), (0, 0)), entries):
        yield Mutant(expr, lambda: Found(44, "other", says))


def _missing(sweep: Sweep, node: Expr, expr: Expr, rank: int) -> Mutant:
    def tell() -> Found:
        by = ", ".join(pretty(v.name) for v in sweep.wrt)
        return Found(rank, "inner", f"The inner derivative is missing: that of {short(node)} by {by}.")

    return Mutant(expr, tell)


def _passed(sweep: Sweep, use: Use) -> Mutant:
    outer = not any(isinstance(node, Apply) for node in _above(sweep, use))

    def tell() -> Found:
        what = f"that of {short(use.node)} by {short(use.child)}"
        if outer:
            return Found(25, "other", f"The outer derivative is missing: {what}.")
        return Found(25, "inner", f"The derivative of {what.removeprefix('that of ')} is missing.")

    return Mutant(sweep.derivative(_passing(use)), tell)


def _above(sweep: Sweep, use: Use) -> list[Expr]:
    """What stands around a function, up to the whole formula."""
    path = sweep.path(use)
    return path[path.index(use.node) + 1 :]


def _passing(own: Use) -> Change:
    return lambda use, cotangent, given: cotangent if use == own else given


def _inside(sweep: Sweep) -> set[Expr]:
    """The nodes below a function that is not linear."""
    found: set[Expr] = set()
    for node in reversed(sweep.order):
        if isinstance(node, Apply) or node in found:
            found.update(c for c in node.children if c in sweep.active)
    return found
