"""Tensors of zeros and ones in index notation: conditions on indices, [i = 2] and [k = i + 1].

In: constant nodes (rows of the identity, triangles) with the letters of their axes. Out: trees. Letters count
from 1, as those below a line do.
"""

from __future__ import annotations

import re

from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, constant_of
from chainrule.expr.walk import topological
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.rules.constants import BASIS, SELECT
from chainrule.rules.factors import lower_mask
from chainrule.rules.indexing import WINDOW
from chainrule.rules.reductions import TRIANGLE

CHOOSING = (BASIS, SELECT, TRIANGLE, lower_mask)
UNIT = Dim.of(1)
# A written-out tensor with at most this many entries that are not zero is a sum of them at their places.
FEW = 4


def condition(node: Expr, letters: tuple[str, ...]) -> Tree | None:
    """The entry at `letters` of a tensor that picks places; None for any other tensor.

    >>> from chainrule.notation.text import to_text
    >>> n = Dim.of("n")
    >>> rows = Apply(SELECT, (), (Dim.of(1), 1, n - Dim.of(1), n))
    >>> to_text(condition(rows, ("i", "k")))
    '[k = i + 1]'
    """
    if not isinstance(node, Apply) or not all(map(is_plain, letters)) or len(set(letters)) < len(letters):
        return None
    given = node.parameters
    if node.function is BASIS:
        return m.place(letters[0], "=", {}, given[0] + UNIT)
    if node.function is SELECT:
        start, step = given[:2]
        return m.place(letters[1], "=", {letters[0]: step}, start + Dim.of(1 - step))
    if node.function is WINDOW and given[4].constant is not None:
        first = Dim.of(1 - given[2] - given[3]) - given[4]
        return m.place(letters[2], "=", {letters[0]: given[2], letters[1]: given[3]}, first)
    if node.function in (TRIANGLE, lower_mask):
        offset = given[0] if node.function is lower_mask else 0
        return m.place(letters[1], "≤", {letters[0]: 1}, Dim.of(offset))
    return None


def is_plain(letter: str) -> bool:
    """Whether an index is one letter, no pair and no sum of letters."""
    return re.fullmatch(r"[^\W\d]\d*", letter) is not None


def shift(a: Expr, b: Expr) -> Dim | None:
    """d, where Σ_r A_rj B_rl of two selections is [l = j + d]; None if their ranges say more than that."""
    if not all(isinstance(s, Apply) and s.function is SELECT and s.parameters[1] == 1 for s in (a, b)):
        return None
    assert isinstance(a, Apply) and isinstance(b, Apply)
    (first, _, count, rows), (second, _, _, columns) = a.parameters, b.parameters
    starts = not first.terms or not second.terms
    ends = first + count == rows or second + count == columns
    return second - first if starts and ends else None


def sizes_in(expr: Expr) -> set[str]:
    """The names of sizes that conditions on places of `expr` may show."""
    found: set[str] = set()
    for node in topological([expr]):
        if isinstance(node, Apply) and node.function in (BASIS, SELECT):
            found.update(node.parameters[0].names)
    return found


def is_scattered(node: Expr) -> bool:
    """Whether it is written out, and best said as a few entries at their places."""
    if not isinstance(node, Stack):
        return False
    entries = [e for e in node.entries if not is_zero(e)]
    chosen = any(isinstance(n, Apply) and n.function is BASIS for e in entries for n in topological([e]))
    return node.rank > 2 or (len(entries) <= FEW and (chosen or len(entries) < len(node.entries)))


def is_zero(expr: Expr) -> bool:
    """Whether it is 0 in every entry, as it stands."""
    constant = constant_of(expr)
    if constant is not None and constant.is_zero:
        return True
    return (isinstance(expr, Einsum) and expr.coefficient.is_zero) or (
        isinstance(expr, Stack) and all(map(is_zero, expr.entries))
    )
