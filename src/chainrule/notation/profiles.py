"""Profiles: the same trees in the signs of one author.

In: a tree and the name of a profile (None: the signs of this project). Out: a tree whose operators that
author has a sign for; which sign that is stands in the vocabularies of `text` and `latex`.

The profile `notes` is that of the source notes, where ⊗ is the element-wise product, so that a Kronecker
product must be written as a call.
"""

from __future__ import annotations

from chainrule.notation import matform as m
from chainrule.notation.matform import Tree

# Operators that the author of a profile has no sign for, and the function that says the same.
CALLS: dict[str | None, dict[str, str]] = {None: {}, "notes": {"kron": "kron"}}


def spelled(tree: Tree, profile: str | None) -> Tree:
    """The tree with calls in place of the operators that the profile has no sign for.

    >>> from chainrule.notation.text import to_text
    >>> A, B, C = map(m.name, "ABC")
    >>> to_text(spelled(m.transpose(m.tree("kron", (A, B, C))), "notes"))
    'kron(kron(A, B), C)ᵀ'
    """
    calls = CALLS[profile]
    if not calls:
        return tree
    done: dict[Tree, Tree] = {}
    stack = [tree]
    while stack:
        node = stack[-1]
        missing = [a for a in node.args if a not in done]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        args = [done[a] for a in node.args]
        if node.op in calls:
            first, *rest = args
            for factor in rest:
                first = m.call(calls[node.op], first, factor)
            done[node] = first
        else:
            done[node] = node if args == list(node.args) else m.tree(node.op, args, node.data)
    return done[tree]
