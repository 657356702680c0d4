"""Sums of outer products are multiplied term by term: A⁻¹(xyᵀ + yxᵀ)A⁻¹ is made of vectors.

In: expressions, before planning. Out: the same with such a sum taken out of a product that sums over one of
its axes. Added up first, it is a matrix of which the product costs n³ and for which an inverse must be made;
each term costs n² and solves for a vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from chainrule.expr.nodes import Einsum, Expr, Sum
from chainrule.expr.walk import rebuild, topological

Key = TypeVar("Key", bound=Hashable)
MOST = 4  # terms, as many as assemble.py makes one product of


def with_outers_apart(
    outputs: Mapping[Key, Expr], names: Mapping[str, Expr]
) -> tuple[dict[Key, Expr], dict[str, Expr]]:
    """The outputs with products of sums of outer products as sums of products, and the parts with names.

    A sum that has a name is left whole.

    >>> import chainrule as cr
    >>> d = cr.derive("x @ inv(A) @ inv(A) @ x", wrt="A", shapes="A[n,n] x[n]")
    >>> made, _ = with_outers_apart({"A": d.expression}, {})
    >>> print(type(d.expression).__name__, type(made["A"]).__name__)
    Einsum Sum
    """
    order = topological(outputs.values())
    apart = _only_multiplied(order, [*outputs.values(), *names.values()])
    if not apart:
        return dict(outputs), dict(names)
    uses = Counter(child for node in order for child in node.children)
    done: dict[Expr, Expr] = {}
    for node in order:
        made = rebuild(node, [done[child] for child in node.children])
        if isinstance(node, Einsum):
            made = _apart(made, [child in apart for child in node.children])
        elif isinstance(made, Sum):
            made = _in_one(made, [uses[child] == 1 for child in node.children])
        done[node] = made
    return (
        {key: done[node] for key, node in outputs.items()},
        {name: done[node] for name, node in names.items() if node in done},
    )


def _only_multiplied(order: Iterable[Expr], outputs: Iterable[Expr]) -> set[Expr]:
    """Sums of outer products that are nothing but factors of products that sum over one of their axes."""
    found: set[Expr] = set()
    others = set(outputs)
    for node in order:
        for k, child in enumerate(node.children):
            if isinstance(child, Sum) and _is_outers(child):
                (found if isinstance(node, Einsum) and _sums_over(node, k) else others).add(child)
    return found - others


def _sums_over(node: Einsum, k: int) -> bool:
    """Whether a factor is multiplied with others and not all of its two axes are kept."""
    labels = node.labels[k]
    return len(node.operands) > 1 and len(set(labels)) > 1 and not set(labels) <= set(node.output)


def _apart(node: Expr, apart: Sequence[bool]) -> Expr:
    """A product as the sum of products with each term of the first factor that is to be taken apart."""
    assert isinstance(node, Einsum)
    for k, factor in enumerate(node.operands):
        if apart[k] and isinstance(factor, Sum):
            return Sum([_with_factors_of(node, k, term) for term in factor.terms])
    return node


def _with_factors_of(node: Einsum, k: int, term: Expr) -> Expr:
    """A product with the factors of an outer product in the place of its factor k."""
    assert isinstance(term, Einsum)
    names = dict(zip(term.output, node.labels[k], strict=True))
    for label in range(len(term.sizes)):
        names.setdefault(label, len(node.sizes) + label)
    inside = [tuple(names[a] for a in labels) for labels in term.labels]
    return Einsum(
        node.coefficient * term.coefficient,
        [*node.operands[:k], *term.operands, *node.operands[k + 1 :]],
        [*node.labels[:k], *inside, *node.labels[k + 1 :]],
        node.output,
        dict(enumerate(node.sizes)),
    )


def _in_one(node: Sum, alone: Sequence[bool]) -> Expr:
    """A sum of sums of outer products as one."""
    terms: list[Expr] = []
    for term, own in zip(node.terms, alone, strict=True):
        terms += term.terms if own and isinstance(term, Sum) and _is_outers(term) else (term,)
    return Sum(terms) if len(terms) > len(node.terms) else node


def _is_outers(node: Sum) -> bool:
    return node.rank == 2 and len(node.terms) <= MOST and all(map(_is_outer, node.terms))


def _is_outer(term: Expr) -> bool:
    """Whether nothing in a product leads from one of its two axes to the other."""
    if not isinstance(term, Einsum) or len(set(term.output)) < 2:
        return False
    row, column = term.output
    reached, grew = {row}, True
    while grew:
        near = {a for labels in term.labels if reached & {*labels} for a in labels}
        grew = not near <= reached
        reached |= near
    carried = {a for labels in term.labels for a in labels}
    return {row, column} <= carried and column not in reached
