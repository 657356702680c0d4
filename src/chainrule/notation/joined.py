"""Sums of parts that lie one behind the other in a longer vector or matrix, as what they are: [w; b].

In: a sum. Out: its parts in their order, where every term is put at its place among zeros and the places fill
the whole, each once.
"""

from __future__ import annotations

from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, add, number, scale
from chainrule.rules.constants import BASIS, SELECT


def joined(node: Sum, axis: int = 0) -> list[Expr] | None:
    """The parts of a vector or of a matrix, joined along an axis; None for any other sum.

    >>> from chainrule.expr.nodes import Variable
    >>> n = Dim.of("n")
    >>> w, b, m = Variable("w", (n,)), Variable("b"), n + Dim.of(1)
    >>> first = Einsum(ONE, (Apply(SELECT, (), (Dim.of(0), 1, n, m)), w), ((0, 1), (0,)), (1,))
    >>> last = Einsum(ONE, (Apply(BASIS, (), (n, m)), b), ((0,), ()), (0,))
    >>> joined(first + last)
    [w, b]
    """
    if not axis < node.rank <= 2:
        return None
    blocks: dict[tuple[Dim, Dim], list[Expr]] = {}
    for term in node.terms:
        found = _placed(term, axis)
        if found is None:
            return None
        start, part = found
        size = part.shape[axis] if part.rank == node.rank else Dim.of(1)
        blocks.setdefault((start, size), []).append(part)
    if len(blocks) < 2:
        return None
    parts: list[Expr] = []
    at = Dim.of(0)
    while blocks:
        here = [key for key in blocks if key[0] == at]
        if len(here) != 1:
            return None
        terms = blocks.pop(here[0])
        if len({t.rank for t in terms}) > 1:
            return None
        parts.append(add(*terms) if len(terms) > 1 else terms[0])
        at = at + here[0][1]
    return parts if at == node.shape[axis] else None


def is_place(node: Expr) -> bool:
    """Whether it holds the place of a part among zeros: rows of I, or one of them."""
    return isinstance(node, Apply) and node.function in (BASIS, SELECT)


def padded(term: Einsum) -> tuple[Dim, Expr, Dim] | None:
    """How many zeros stand before a vector, the vector, and how many behind it; None where it is not such."""
    found = _placed(term, 0) if term.rank == 1 else None
    if found is None or not found[1].rank:
        return None
    start, part = found
    return start, part, term.shape[0] - start - part.shape[0]


def _placed(term: Expr, axis: int) -> tuple[Dim, Expr] | None:
    """Where a term begins along an axis and what stands there."""
    if isinstance(term, Apply) and term.function is BASIS:
        return _dim(term.parameters[0]), number(1)
    if not isinstance(term, Einsum):
        return None
    label = term.output[axis]
    places = [k for k, o in enumerate(term.operands) if is_place(o) and term.labels[k][-1] == label]
    if len(places) != 1 or term.output.count(label) > 1:
        return None
    place, labels = term.operands[places[0]], term.labels[places[0]]
    assert isinstance(place, Apply)
    rest = [o for k, o in enumerate(term.operands) if k != places[0]]
    others = [axes for k, axes in enumerate(term.labels) if k != places[0]]
    if any(label in axes for axes in others):
        return None
    sizes = dict(enumerate(term.sizes))
    if place.function is BASIS:
        if term.rank > 1:
            return None
        part = (
            Einsum(term.coefficient, rest, others, (), sizes) if rest else scale(term.coefficient, number(1))
        )
        return _dim(place.parameters[0]), _bare(part)
    start, step, _, _ = place.parameters
    if step != 1 or labels[0] == labels[1] or labels[0] in term.output or not rest:
        return None
    output = tuple(labels[0] if a == label else a for a in term.output)
    return _dim(start), _bare(Einsum(term.coefficient, rest, others, output, sizes))


def _bare(part: Expr) -> Expr:
    """A product of one factor as that factor."""
    alone = isinstance(part, Einsum) and len(part.operands) == 1 and part.coefficient == ONE
    if alone and isinstance(part, Einsum) and part.labels[0] == part.output == tuple(range(part.rank)):
        return part.operands[0]
    return part


def _dim(parameter: object) -> Dim:
    return parameter if isinstance(parameter, Dim) else Dim.of(int(str(parameter)))
