"""The derivative of a Kronecker product on stacked columns: (I_n ⊗ K_qm ⊗ I_p)(I_mn ⊗ vec(B)).

In: a derivative with four axes, as an expression. Out: that form, or None where it is no sum of Kronecker
products that are linear in what it is differentiated by.
Source: Magnus and Neudecker 2019, Matrix Differential Calculus, section 3.7 (theorem 3.10):
vec(A ⊗ B) = (I_n ⊗ K_qm ⊗ I_p)(vec A ⊗ vec B) for A of size m × n and B of size p × q.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.rules.constants import MERGE


@dataclass(frozen=True, slots=True)
class Term:
    """One product: the factor that stays, and whether what moves is the first factor.

    rows, columns  the sizes of the first and of the second factor
    """

    fixed: Expr
    moves_first: bool
    rows: tuple[Dim, Dim]
    columns: tuple[Dim, Dim]


def kronecker_terms(expr: Expr) -> list[Term] | None:
    """The terms of ∂(A ⊗ B)/∂A + ..., None if one is no such product."""
    found = [_term(term) for term in (expr.terms if isinstance(expr, Sum) else (expr,))]
    terms = [term for term in found if term is not None]
    return terms if len(terms) == len(found) else None


def _term(expr: Expr) -> Term | None:
    if not isinstance(expr, Einsum) or len(set(expr.output)) != 4:
        return None
    merges: dict[int, tuple[int, ...]] = {}
    rest: list[tuple[Expr, tuple[int, ...]]] = []
    for operand, labels in zip(expr.operands, expr.labels, strict=True):
        if isinstance(operand, Apply) and operand.function is MERGE and labels[0] in expr.output[:2]:
            merges[labels[0]] = labels[1:]
        else:
            rest.append((operand, labels))
    above, beside = (merges.get(axis, ()) for axis in expr.output[:2])
    if len(above) != 2 or len(beside) != 2:
        return None
    pairs = list(zip(above, beside, strict=True))
    moving = expr.output[2:]
    if moving not in pairs:
        return None
    first = pairs[0] == moving
    inner = pairs[1] if first else pairs[0]
    held = {label for _, labels in rest for label in labels}
    if not held.issuperset(inner) or held & {*expr.output, *(pairs[0] + pairs[1])} != set(inner):
        return None
    sizes: dict[int, Dim] = {}
    for operand, labels in zip(expr.operands, expr.labels, strict=True):
        sizes |= zip(labels, operand.shape, strict=True)
    fixed = Einsum(expr.coefficient, [o for o, _ in rest], [labels for _, labels in rest], inner)
    (i, k), (j, q) = pairs
    return Term(fixed, first, (sizes[i], sizes[j]), (sizes[k], sizes[q]))


def kronecker_tree(
    terms: list[Term], read: Callable[[Expr], Tree | None], sign: Tree
) -> tuple[Tree, tuple[tuple[Tree, str], ...]] | None:
    """The form in Kronecker products and what its commutation matrices are; None if a part cannot be written.

    `read` writes a factor, `sign` is how the commutation matrix is written.
    """
    groups: dict[tuple[tuple[Dim, Dim], tuple[Dim, Dim]], list[Tree]] = {}
    for term in terms:
        fixed, moving = read(term.fixed), 0 if term.moves_first else 1
        unit = _sized("I", "I", (term.rows[moving], term.columns[moving]), product=True)
        if fixed is None or unit is None:
            return None
        column = m.call("vec", fixed)
        factors = (unit, column) if term.moves_first else (column, unit)
        groups.setdefault((term.rows, term.columns), []).append(m.tree("kron", factors))
    parts: list[Tree] = []
    notes: list[tuple[Tree, str]] = []
    for (rows, columns), inner in groups.items():
        swap = _sized(sign.data[0], sign.data[1], (columns[1], rows[0]))
        sides = _sized("I", "I", columns[:1]), _sized("I", "I", rows[1:])
        if swap is None or None in sides:
            return None
        shuffle = m.tree("kron", [s for s in (sides[0], swap, sides[1]) if s is not None])
        parts.append(m.chain(shuffle, m.signed_sum([(1, part) for part in inner])))
        notes.append((swap, f"takes vec(C) to vec(Cᵀ), for C of size {columns[1]} × {rows[0]}"))
    return m.signed_sum([(1, part) for part in parts]), tuple(notes)


def _sized(text: str, latex: str, sizes: tuple[Dim, ...], product: bool = False) -> Tree | None:
    """A matrix with its sizes below it; None where a size is a sum, which has no place there."""
    known = [size.constant for size in sizes]
    if product and None not in known:
        total = 1
        for value in known:
            total *= value or 0
        names = [str(total)]
    else:
        names = [str(size) for size in sizes]
    if not all(name.isalnum() for name in names):
        return None
    below = ("" if all(name.isalpha() and len(name) == 1 for name in names) else ",").join(names)
    return m.tree("symbol", (), (f"{text}_{below}", f"{latex}_{{{below}}}"))
