"""Small changes of an expression: one factor transposed, two exchanged, the sign of one term.

In: a case. Out: the changes of the claim, or of the correct answer, that make the two equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, negate
from chainrule.expr.walk import rebuild, substitute, topological, variables
from chainrule.grade import words
from chainrule.grade.case import Case, Found
from chainrule.simplify import simplify

MOST = 80  # places that are changed one by one


@dataclass(frozen=True, slots=True)
class Edit:
    """A changed expression and what it says about the claim."""

    found: Found
    expr: Expr


def changed(case: Case) -> Iterator[Found]:
    """The single changes that turn the claim into the correct answer."""
    yield from _everywhere_transposed(case)
    goal = case.correct
    if case.claim.expr is not None:
        for edit in _edits(case.claim.expr):
            if edit.expr.shape == case.claim.expr.shape and case.becomes(edit.expr, goal):
                # A change of what the person wrote says more than one of the answer.
                yield replace(edit.found, rank=27) if edit.found.code == "transposed" else edit.found
    for edit in _edits(simplify(goal)):
        if case.matches(edit.expr):
            yield edit.found


def _everywhere_transposed(case: Case) -> Iterator[Found]:
    claim = case.claim.expr
    if claim is None:
        return
    for v in variables(claim):
        if v.rank == 2 and v.shape[0] == v.shape[1] and "symmetric" not in v.structure:
            if case.becomes(substitute(claim, {v: v.T}), case.correct):
                name = pretty(v.name)
                yield Found(28, "transposed", f"A factor is transposed: {name} and {name}ᵀ are exchanged.")


def _edits(root: Expr) -> Iterator[Edit]:
    for count, node in enumerate(reversed(topological([root]))):
        if count > MOST:
            return
        yield from _exchanged(root, node)
        for k, child in enumerate(node.children):
            if child.rank == 2 and child.shape[0] == child.shape[1] and not _is_transpose(node):
                text = f"A factor is transposed: {_short(child)} and {_short(child.T)} are exchanged."
                yield Edit(Found(40, "transposed", text), _put(root, node, k, child.T))
            if isinstance(node, Sum | Apply) and not isinstance(child, Apply):
                text = f"The sign of {_short(child)} is wrong."
                yield Edit(Found(22, "sign", text), _put(root, node, k, negate(child)))


def _exchanged(root: Expr, node: Expr) -> Iterator[Edit]:
    """A product of two square matrices in the other order."""
    if not isinstance(node, Einsum) or len(node.operands) != 2:
        return
    a, b = node.operands
    if a is b or a.shape != b.shape or a.rank != 2 or a.shape[0] != a.shape[1] or len(node.output) != 2:
        return
    if node.labels != ((0, 1), (1, 2)) or node.output != (0, 2):
        return
    swapped = rebuild(node, (b, a))
    text = f"The factors stand in the wrong order: {_short(node)} and {_short(swapped)} are not the same."
    yield Edit(Found(38, "order", text), substitute(root, {node: swapped}))


def _is_transpose(node: Expr) -> bool:
    return isinstance(node, Einsum) and len(node.operands) == 1 and node.output == (1, 0)


def _put(root: Expr, node: Expr, k: int, child: Expr) -> Expr:
    children = [child if i == k else c for i, c in enumerate(node.children)]
    return substitute(root, {node: rebuild(node, children)})


def _short(expr: Expr) -> str:
    text = words.formula(expr)
    return text if len(text) <= 40 else "a part"
