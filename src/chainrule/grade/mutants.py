"""The usual mistakes, made on purpose: a path, a mask or an inner derivative left out.

In: a case that says what was differentiated by what. Out: those mistakes whose result is the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from chainrule.derive import jacobians
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Expr, Sum, number
from chainrule.expr.walk import substitute, topological, transform
from chainrule.grade import words
from chainrule.grade.case import Case, Found
from chainrule.grade.sweep import Change, Sweep, Use
from chainrule.rules.table import Elementwise, Row

MOST = 160  # mistakes that are tried of one kind


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake and what comes of it."""

    found: Found
    expr: Expr


def mistakes(case: Case) -> Iterator[Found]:
    """The mistakes in differentiating whose result is the claim."""
    if case.of is None or not case.wrt:
        return
    sweep = Sweep(case.of, case.wrt)
    if case.of not in sweep.active:
        return
    found: list[Found] = []
    for kind in (_paths, _masks, _inner):
        found += [m.found for m in islice(kind(case, sweep), MOST) if case.matches(m.expr)]
    # With x − mean(x) in place of x, the path through the mean was left out, and no inner derivative.
    lost = any(f.code == "path" for f in found) and any(v.rank for v in case.wrt)
    yield from (f for f in found if not (lost and f.code == "inner"))


# ---------------------------------------------------------------- paths


def _paths(case: Case, sweep: Sweep) -> Iterator[Mutant]:
    """One place where something stands left out, or all but one."""
    for node in sweep.order:
        uses = sweep.uses.get(node, [])
        if len(uses) < 2:
            continue
        for use in uses:
            left = {u for u in uses if u != use}
            yield from _kept(sweep, node, {use}, left)
            if len(uses) > 2:
                yield from _kept(sweep, node, left, {use})


def _kept(sweep: Sweep, node: Expr, lost: set[Use], kept: set[Use]) -> Iterator[Mutant]:
    expr = sweep.derivative(lambda use, _, given: None if use in lost else given)
    ordered = sorted(lost, key=lambda u: (sweep.order.index(u.node), u.place))
    paths = "; ".join(dict.fromkeys(_path_text(sweep, use) for use in ordered))
    many = "paths are" if len(lost) > 1 else "path is"
    text = f"A path was left out: the {many} {paths}. Each place where {_short(node)} stands contributes."
    if len(kept) == 1:
        plain_chain = _is_plain_chain(sweep, lost, next(iter(kept)))
        one = _path_text(sweep, next(iter(kept)))
        plain = (
            f"The plain chain rule along {one} alone gives this; {_short(node)} acts on more than one path, "
            "so the total derivative is due."
        )
        yield Mutant(Found(16 if plain_chain else 18, "plain-chain", plain), expr)
    yield Mutant(Found(17, "path", text), expr)


def _is_plain_chain(sweep: Sweep, lost: set[Use], kept: Use) -> bool:
    """Whether a function of x and of u(x) was differentiated through u alone."""
    outer = {use.node for use in lost}
    if len(outer) > 1 or kept.node in outer or any(use.child not in sweep.wrt for use in lost):
        return False
    (node,) = outer
    return kept.node in topological([node]) and (
        isinstance(node, Sum) or (not node.rank and not kept.child.rank)
    )


def _path_text(sweep: Sweep, use: Use) -> str:
    return " → ".join(dict.fromkeys(_short(node) for node in sweep.path(use)))


def _short(node: Expr) -> str:
    text = words.written(node)
    return text if len(text) <= 40 else "the result" if not node.rank else "…"


# ---------------------------------------------------------------- masks


def _masks(case: Case, sweep: Sweep) -> Iterator[Mutant]:
    """The conditions in the derivative taken as true: all, then each; a function with cases as one case."""
    raw = sweep.derivative()
    own = set(topological([sweep.of]))
    for kept in (own, set()):
        found = [n for n in topological([raw]) if n not in kept and is_mask(n)]
        choices = [set(found), *({n} for n in found)] if len(found) > 1 else [set(found)]
        for chosen in choices:
            if chosen:
                names = ", ".join(sorted(words.formula(n) for n in chosen))
                text = f"The mask {names} was left out: where it is not 1, the derivative is different."
                yield Mutant(Found(11, "mask", text), transform(raw, _opening(chosen)))
    for node in topological([sweep.of]):
        for branch in _branches(node):
            if branch in sweep.active:
                one = f"{_short(node)} was differentiated as if it were {_short(branch)} everywhere"
                expr = Sweep(substitute(sweep.of, {node: branch}), sweep.wrt).derivative()
                yield Mutant(Found(11, "mask", f"The mask was left out: {one}."), expr)


def opened(case: Case) -> Iterator[Expr]:
    """What the correct answer is with its conditions taken as true."""
    if case.of is not None and case.wrt:
        yield from (mutant.expr for mutant in _masks(case, Sweep(case.of, case.wrt)))


def conditions(case: Case) -> Iterator[Found]:
    """The claim has the conditions of the correct answer, outside of the sum over instances."""
    claim = case.claim.expr
    found = [n for n in topological([claim]) if is_mask(n)] if claim is not None else []
    if claim is None or not found:
        return
    bare = transform(claim, _opening(set(found)))
    outside = bare.shape != claim.shape or not any(n.rank for n in found)
    goals = [goal for goal in opened(case) if case.becomes(bare, goal)]
    summed = [n for goal in goals for n in topological([case.correct]) if is_mask(n) and n.rank]
    names = ", ".join(sorted({words.formula(n) for n in found}))
    if goals and outside and summed:
        yield Found(9, "condition-outside-sum", words.outside_sum(names))
    elif goals:
        yield Found(19, "mask", f"There is a mask, and it is not the right one: {names}.")


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


# ---------------------------------------------------------------- inner derivatives


def _inner(case: Case, sweep: Sweep) -> Iterator[Mutant]:
    """The derivative of one function left out, or that of everything inside one."""
    inside = _inside(sweep)
    for node in reversed(sweep.order):
        if node in inside and node not in sweep.wrt:
            by = ", ".join(pretty(v.name) for v in sweep.wrt)
            text = f"The inner derivative is missing: that of {_short(node)} by {by}."
            if [v.shape for v in sweep.wrt] == [node.shape]:
                yield Mutant(Found(12, "inner", text), sweep.derivative(jump=node, onto=sweep.wrt[0]))
            yield Mutant(Found(26, "inner", text), jacobians(sweep.of, [node])[node])
    for node in reversed(sweep.order):
        for use in sweep.below.get(node, ()):
            if use.child.shape == node.shape and (isinstance(node, Apply) or node in inside):
                text = f"The derivative of {_short(node)} by {_short(use.child)} is missing."
                yield Mutant(Found(25, "inner", text), sweep.derivative(_passing(use)))


def _passing(own: Use) -> Change:
    return lambda use, cotangent, given: cotangent if use == own else given


def _inside(sweep: Sweep) -> set[Expr]:
    """The nodes below a function that is not linear."""
    found: set[Expr] = set()
    for node in reversed(sweep.order):
        if isinstance(node, Apply) or node in found:
            found.update(c for c in node.children if c in sweep.active)
    return found
