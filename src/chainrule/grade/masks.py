"""Conditions that were left out of a derivative, or pulled out of a sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from chainrule.expr.nodes import Apply, Expr, number
from chainrule.expr.walk import substitute, topological, transform
from chainrule.grade import words
from chainrule.grade.case import Case, Found
from chainrule.grade.mutant import Mutant, short
from chainrule.grade.sweep import Sweep
from chainrule.rules.table import Elementwise, Row
from chainrule.simplify import normalise, simplify


def masks(sweep: Sweep) -> Iterator[Mutant]:
    """The conditions in the derivative taken as true: all, then each; a function with cases as one case."""
    raw = sweep.derivative()
    own = set(topological([sweep.of]))
    for kept in (own, set()):
        found = [n for n in topological([raw]) if n not in kept and is_mask(n)]
        choices = [set(found), *({n} for n in found)] if len(found) > 1 else [set(found)]
        yield from (_opened(raw, chosen) for chosen in choices if chosen)
    for node in topological([sweep.of]):
        for branch in _branches(node):
            if branch in sweep.active:
                yield _as_branch(sweep, node, branch)


def _opened(raw: Expr, chosen: set[Expr]) -> Mutant:
    def tell() -> Found:
        names = ", ".join(sorted({short(simplify(n)) for n in chosen}))
        what = "factor" if all(isinstance(n, Apply) and n.function.name == "sign" for n in chosen) else "mask"
        text = f"The {what} {names} was left out: where it is not 1, the derivative is different."
        return Found(11, "mask", text)

    return Mutant(transform(raw, _opening(chosen)), tell)


def _as_branch(sweep: Sweep, node: Expr, branch: Expr) -> Mutant:
    def tell() -> Found:
        one = f"{short(node)} was differentiated as if it were {short(branch)} everywhere"
        return Found(11, "mask", f"The mask was left out: {one}.")

    return Mutant(sweep.of_other(substitute(sweep.of, {node: branch})), tell)


def opened(case: Case) -> list[Expr]:
    """What the correct answer is with its conditions taken as true."""
    if case.of is None or not case.wrt:
        return []
    return [mutant.expr for mutant in masks(Sweep(case.of, case.wrt))]


def conditions(case: Case) -> Iterator[Found]:
    """The claim has the conditions of the correct answer, outside of the sum over instances."""
    claim = case.claim.expr
    found = [n for n in topological([claim]) if is_mask(n)] if claim is not None else []
    if claim is None or not found:
        return
    bare = transform(claim, _opening(set(found)))
    outside = bare.shape != claim.shape or not any(n.rank for n in found)
    goals = [goal for goal in opened(case) if case.becomes(bare, goal)]
    summed = goals and any(is_mask(n) and n.rank for n in topological([case.correct]))
    names = ", ".join(sorted({short(n) for n in found}))
    if outside and summed:
        yield Found(9, "condition-outside-sum", words.outside_sum(names))
    elif goals and not {normalise(n) for n in found} <= _masks_of(case.correct):
        yield Found(19, "mask", f"There is a mask, and it is not the right one: {names}.")


def _masks_of(expr: Expr) -> set[Expr]:
    """The conditions in an expression."""
    return {normalise(n) for n in topological([normalise(expr)]) if is_mask(n)}


def _branches(node: Expr) -> Sequence[Expr]:
    """What a function with cases is where one of the cases holds."""
    if not isinstance(node, Apply) or not isinstance(node.function, Row):
        return ()
    if node.function.name in ("relu", "abs", "maximum", "minimum"):
        return node.arguments
    return node.arguments[1:] if node.function.name == "where" else ()


def is_mask(node: Expr) -> bool:
    """Whether it is a condition, a sign or the choice of the largest entry."""
    if not isinstance(node, Apply) or not isinstance(node.function, Row):
        return False
    row = node.function
    return (isinstance(row, Elementwise) and row.indicator) or row.name in ("sign", "first_max", "first_min")


def _opening(chosen: set[Expr]) -> Callable[[Expr], Expr]:
    """A change that takes conditions as true; those are found by what they were before the change."""
    return lambda node: number(1, node.shape) if node in chosen else node
