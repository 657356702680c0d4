"""Paths that were left out: one place where something stands, or all but one."""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.expr.nodes import Expr, Sum
from chainrule.expr.walk import topological
from chainrule.grade.case import Found
from chainrule.grade.mutant import Mutant, short
from chainrule.grade.sweep import Sweep, Use

LONGEST = 80  # characters of a path whose nodes are all named
LISTED = 3  # paths that are named


def paths(sweep: Sweep) -> Iterator[Mutant]:
    """Each use of each node that is used twice or more left out, and each alone."""
    for node in sweep.order:
        uses = sweep.uses.get(node, [])
        if len(uses) < 2:
            continue
        for use in uses:
            others = [u for u in uses if u != use]
            yield from _kept(sweep, node, [use], others)
            if len(uses) > 2:
                yield from _kept(sweep, node, others, [use])


def _kept(sweep: Sweep, node: Expr, lost: list[Use], kept: list[Use]) -> Iterator[Mutant]:
    expr = sweep.without(node, lost)
    yield Mutant(expr, lambda: Found(17, "path", _left_out(sweep, node, lost, kept)))
    if len(kept) == 1 and kept[0].node not in {use.node for use in lost}:
        yield Mutant(expr, lambda: _plain_chain(sweep, node, lost, kept[0]))


def _left_out(sweep: Sweep, node: Expr, lost: list[Use], kept: list[Use]) -> str:
    (first, *_), within = lost, {use.node for use in (*lost, *kept)}
    if len(within) == 1:
        places = f"{len(lost) + len(kept)} places of {short(first.node)}"
        return f"A path was left out: {short(node)} stands in {places}, and each contributes."
    ordered = sorted(lost, key=lambda use: (sweep.depth[use.node], use.place))
    texts = list(dict.fromkeys(_path(sweep, use) for use in ordered))
    shown = "; ".join(texts[:LISTED])
    if len(texts) > LISTED:
        shown += f"; and {len(texts) - LISTED} more"
    many = "paths are" if len(texts) > 1 else "path is"
    return f"A path was left out: the {many} {shown}. Each place where {short(node)} stands contributes."


def _plain_chain(sweep: Sweep, node: Expr, lost: list[Use], kept: Use) -> Found:
    left_out = _path(sweep, min(lost, key=lambda use: (sweep.depth[use.node], use.place)))
    text = (
        f"The plain chain rule along {_path(sweep, kept)} alone gives this; {short(node)} acts along "
        f"{left_out} too, so the total derivative is due."
    )
    return Found(16 if _is_plain_chain(sweep, lost, kept) else 18, "plain-chain", text)


def _is_plain_chain(sweep: Sweep, lost: list[Use], kept: Use) -> bool:
    """Whether a function of x and of u(x) was differentiated through u alone."""
    outer = {use.node for use in lost}
    if len(outer) > 1 or kept.node in outer or any(use.child not in sweep.wrt for use in lost):
        return False
    (node,) = outer
    return kept.node in topological([node]) and (
        isinstance(node, Sum) or (not node.rank and not kept.child.rank)
    )


def _path(sweep: Sweep, use: Use) -> str:
    nodes = list(dict.fromkeys(short(node) for node in sweep.path(use)))
    if len(" → ".join(nodes)) > LONGEST:
        nodes = [*nodes[:3], "…", nodes[-1]] if len(nodes) > 5 else nodes
    return " → ".join(nodes)
