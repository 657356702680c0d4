"""Axes made of others: the index of a merged axis is a pair of indices, Y_(ij)(kl) = A_ik B_jl.

In: products with the tensors that regroup axes. Out: which of their labels stand for which others, so that
the tensor itself need not be written. An index is one letter, or several in brackets, "(ij)", the last the
fastest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum
from chainrule.notation.recover import Product, flatten
from chainrule.rules.constants import MERGE
from chainrule.rules.table import Elementwise

Pieces = dict[int, tuple[int, ...]]


def is_merge(operand: Expr) -> bool:
    """Whether it is the tensor that joins axes to one."""
    return isinstance(operand, Apply) and operand.function is MERGE


def pieces_of(product: Product) -> tuple[Product, Pieces]:
    """The product without its merges, and the labels that these make, of others that none makes.

    A label that is made of others in two ways is made in the first, and the second merge stays.
    """
    found: Pieces = {}
    kept: list[tuple[Expr, tuple[int, ...]]] = []
    for operand, labels in product.operands:
        if is_merge(operand) and labels[0] not in found and len(set(labels)) == len(labels):
            found[labels[0]] = labels[1:]
        else:
            kept.append((operand, labels))
    return replace(product, operands=tuple(kept)), {flat: _spelled(flat, found) for flat in found}


def _spelled(label: int, found: Pieces) -> tuple[int, ...]:
    if label not in found:
        return (label,)
    return tuple(piece for own in found[label] for piece in _spelled(own, found))


def sizes_of(root: Expr, axis: int) -> tuple[Dim, ...]:
    """The sizes of the axes that an axis is made of wherever it is read; its own if it is made of none.

    >>> from chainrule.expr.nodes import Variable
    >>> from chainrule.language.functions import kron
    >>> m, n = Dim.of("m"), Dim.of("n")
    >>> list(map(str, sizes_of(kron(Variable("x", (m,)), Variable("y", (n,))), 0)))
    ['m', 'n']
    """
    waiting, seen = [(root, axis)], {(root, axis)}
    while waiting:
        node, place = waiting.pop()
        following: list[tuple[Expr, int]] = []
        match node:
            case Apply() if is_merge(node) and not place:
                return node.shape[1:]
            case Einsum():
                product = flatten(node)
                label = product.output[place]
                _, pieces = pieces_of(product)
                if label in pieces:
                    return tuple(product.sizes[piece] for piece in pieces[label])
                for operand, labels in product.operands:
                    following += [(operand, k) for k, own in enumerate(labels) if own == label]
            case Sum():
                following = [(term, place) for term in node.terms]
            case Apply() if isinstance(node.function, Elementwise):
                following = [(argument, place) for argument in node.arguments]
        for found in following:
            if found not in seen:
                seen.add(found)
                waiting.append(found)
    return (root.shape[axis],)


def joined(letters: Iterable[str]) -> str:
    """One index of several: "(ij)"; of one, itself.

    >>> joined("ij"), joined("i")
    ('(ij)', 'i')
    """
    own = [single for letter in letters for single in singles(letter)]
    between = " " if any(len(single) > 1 for single in own) else ""
    return own[0] if len(own) == 1 else f"({between.join(own)})"


def singles(letter: str) -> tuple[str, ...]:
    """The letters of one index.

    >>> singles("(ij)"), singles("i1"), singles("(i j1)")
    (('i', 'j'), ('i1',), ('i', 'j1'))
    """
    if not letter.startswith("("):
        return (letter,)
    inside = letter[1:-1]
    return tuple(inside.split() if " " in inside else inside)


def paired_note(letters: Iterable[str]) -> str:
    """What an index made of several says; "" where there is none.

    >>> paired_note(("(ij)", "k"))
    '(ij) is one index made of two, of which j runs faster'
    >>> paired_note(("(ijk)", "l"))
    '(ijk) is one index made of three, of which k runs fastest'
    """
    pair = next((letter for letter in letters if letter.startswith("(")), "")
    own = singles(pair) if pair else ()
    if not own:
        return ""
    count = {2: "two", 3: "three"}.get(len(own), str(len(own)))
    fast = "faster" if len(own) == 2 else "fastest"
    return f"{pair} is one index made of {count}, of which {own[-1]} runs {fast}"
