"""Small changes of an expression: one factor transposed, two exchanged, the sign of one term.

In: a case. Out: the changes of the claim, or of the correct answer, that make the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, negate
from chainrule.expr.walk import rebuild, substitute, topological, variables
from chainrule.grade.case import Case, Found
from chainrule.grade.mutant import Mutant, short
from chainrule.simplify import simplify
from chainrule.verify.probe import View

MOST = 160  # changes that are tried one by one
EFFORT = 12_000  # nodes that they have together, where an expression is large


def changed(case: Case) -> Iterator[Found]:
    """The single changes that turn the claim into the correct answer."""
    yield from _everywhere_transposed(case)
    goal, claim = case.correct, case.claim.expr
    if claim is not None:
        for edit in islice(_edits(claim), _most(claim)):
            view = case.becomes(edit.expr, goal) if edit.expr.shape == claim.shape else None
            if view is not None:
                # A change of what the person wrote says more than one of the answer.
                found = edit.tell()
                if found.code == "transposed" and not _as_it_is(case, view):
                    continue
                yield replace(found, rank=27) if found.code == "transposed" else found
    simplest = case.simplest
    for edit in islice(_edits(simplest), _most(simplest)):
        view = case.matches(edit.expr)
        if view is not None and (_as_it_is(case, view) or edit.tell().code != "transposed"):
            yield edit.tell()


def _as_it_is(case: Case, view: View) -> bool:
    """Whether a factor of a Jacobian is transposed, and not all of it."""
    return view.name == "itself" or case.of is None or not case.of.rank


def _most(expr: Expr) -> int:
    """How many changes are tried: fewer where each of them is large."""
    return min(MOST, 8 + EFFORT // len(topological([expr])))


def _everywhere_transposed(case: Case) -> Iterator[Found]:
    claim = case.claim.expr
    if claim is None:
        return
    for v in variables(claim):
        if v.rank == 2 and v.shape[0] == v.shape[1] and "symmetric" not in v.structure:
            view = case.becomes(substitute(claim, {v: v.T}), case.correct)
            if view is not None and _as_it_is(case, view):
                name = pretty(v.name)
                yield Found(28, "transposed", f"A factor is transposed: {name} and {name}ᵀ are exchanged.")


def _edits(root: Expr) -> Iterator[Mutant]:
    for node in reversed(topological([root])):
        power = isinstance(node, Apply) and node.function.name == "power"
        yield from _exchanged(root, node)
        for k, child in enumerate(node.children):
            if child.rank == 2 and child.shape[0] == child.shape[1] and not _is_transpose(node):
                yield Mutant(_put(root, node, k, child.T), _turned(child))
            if isinstance(node, Sum) or (isinstance(node, Apply) and not isinstance(child, Apply)):
                yield Mutant(_put(root, node, k, negate(child)), _signed(child, power))


def _turned(part: Expr) -> Callable[[], Found]:
    def tell() -> Found:
        both = f"{short(simplify(part))} and {short(simplify(part.T))}"
        return Found(40, "transposed", f"A factor is transposed: {both} are exchanged.")

    return tell


def _signed(part: Expr, power: bool) -> Callable[[], Found]:
    what = "the exponent " if power else ""
    return lambda: Found(22, "sign", f"The sign of {what}{short(simplify(part))} is wrong.")


def _exchanged(root: Expr, node: Expr) -> Iterator[Mutant]:
    """A product of two square matrices in the other order."""
    if not isinstance(node, Einsum) or len(node.operands) != 2:
        return
    a, b = node.operands
    if a is b or a.shape != b.shape or a.rank != 2 or a.shape[0] != a.shape[1] or len(node.output) != 2:
        return
    if node.labels != ((0, 1), (1, 2)) or node.output != (0, 2):
        return
    swapped = rebuild(node, (b, a))

    def tell() -> Found:
        both = f"{short(node)} and {short(swapped)}"
        return Found(28, "order", f"The factors stand in the wrong order: {both} are not the same.")

    yield Mutant(substitute(root, {node: swapped}), tell)


def _is_transpose(node: Expr) -> bool:
    return isinstance(node, Einsum) and len(node.operands) == 1 and node.output == (1, 0)


def _put(root: Expr, node: Expr, k: int, child: Expr) -> Expr:
    children = [child if i == k else c for i, c in enumerate(node.children)]
    return substitute(root, {node: rebuild(node, children)})
