"""Profiles: the same trees and words in the signs of one author.

In: a tree or words, and the name of a profile (None: the signs of this project). Out: the same with the signs
of that author, which the operators of a tree carry, so that every printer writes them.

The profile `notes` is that of the source notes, where ⊗ is the element-wise product, so that a Kronecker
product must be written as a call.
"""

from __future__ import annotations

import re

from chainrule.notation import matform as m
from chainrule.notation.matform import Tree

# The signs of operators as text and in LaTeX. A⊗² would be A ⊗ A to some and a Kronecker product to others.
SIGNS: dict[str | None, dict[str, tuple[str, str]]] = {
    None: {},
    "notes": {"times": ("⊗", r"\otimes"), "power": ("∘", r"\circ")},
}
# Operators that the author has no sign for, and the function that says the same.
CALLS: dict[str | None, dict[str, str]] = {None: {}, "notes": {"kron": "kron"}}


def spelled(tree: Tree, profile: str | None) -> Tree:
    """The tree in the signs of a profile.

    >>> from chainrule.notation.text import to_text
    >>> A, B, C = map(m.name, "ABC")
    >>> to_text(spelled(m.transpose(m.tree("kron", (A, B, C))), "notes"))
    'kron(kron(A, B), C)ᵀ'
    >>> to_text(spelled(m.times(A, B), "notes"))
    'A ⊗ B'
    """
    if profile is None:
        return tree
    return m.fold(tree, lambda node, args: _spelled(node, args, profile))


def _spelled(node: Tree, args: list[Tree], profile: str) -> Tree:
    if node.op in CALLS[profile]:
        first, *rest = args
        for factor in rest:
            first = m.call(CALLS[profile][node.op], first, factor)
        return first
    signs = SIGNS[profile].get(node.op)
    if signs is None or node.data == (False,):
        return node if args == list(node.args) else m.tree(node.op, args, node.data)
    return m.tree(node.op, args, (*node.data[:1], *signs) if node.op == "power" else signs)


def said(words: str, profile: str | None) -> str:
    """Words in the signs of a profile.

    >>> said("vec(AXB) = (Bᵀ ⊗ A) vec(X), v ⊙ d", "notes")
    'vec(AXB) = kron(Bᵀ, A) vec(X), v ⊗ d'
    """
    if profile is None:
        return words
    words = re.sub(r"\(([^()\s]+) ⊗ ([^()\s]+)\)", r"kron(\1, \2)", words)
    return words.replace("⊙", SIGNS[profile]["times"][0]).replace(r"\odot", SIGNS[profile]["times"][1])


def told(text: str, profile: str | None, quoted: str = "") -> str:
    """A whole answer in the signs of a profile; `quoted` is what the person typed, in these signs already.

    A Kronecker product in it cannot be told from its neighbours any more, so the signs are explained.

    >>> told("claimed w ⊗ x, correct w ⊙ y", "notes", "w ⊗ x")
    'claimed w ⊗ x, correct w ⊗ y'
    """
    if profile is None:
        return text
    if "⊗" in (text.replace(quoted, "") if quoted else text):
        return f"{text}\nHere ⊙ is the element-wise product, and ⊗ the Kronecker product."
    return text.replace("⊙", SIGNS[profile]["times"][0])
