"""An answer by entries: ∂f/∂w_i = (2/N) Σ_j e_j X_ji where e_i = Σ_j X_ij w_j − y_i."""

from __future__ import annotations

from chainrule.expr.nodes import Expr
from chainrule.expr.walk import variables
from chainrule.notation import matform as m
from chainrule.notation.index import derivative, index_form
from chainrule.notation.matform import Tree
from chainrule.notation.names import name_parts
from chainrule.notation.recover import Reader
from chainrule.notation.written import Line, Subject, Written


def write_entries(subject: Subject) -> Written | str:
    """One entry of the derivative, products of matrices written as sums over indices.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import Variable
    >>> n, N = Dim.of("n"), Dim.of("N")
    >>> X, w, y = Variable("X", (N, n)), Variable("w", (n,)), Variable("y", (N,))
    >>> write_entries(Subject(X.T @ (X @ w - y), ("f", ()), (("w", (n,)),), (w,))).text
    '∂f/∂w_i = Σ_j (Σ_k X_jk w_k − y_j) X_ji'
    """
    if subject.joint:
        return f"{', '.join(subject.joint)} are single scalars, which have no index"
    tree, letters, where = entries_of(subject, subject.expr)
    sources = [(name, len(shape)) for name, shape in subject.inputs]
    left = derivative((subject.output[0], len(subject.output[1])), sources, letters)
    return Written("index", Line(tree, left), where=where, profile=subject.profile)


Definitions = tuple[tuple[Tree, Tree], ...]


def entries_of(subject: Subject, expr: Expr) -> tuple[Tree, tuple[str, ...], Definitions]:
    """The entry of an array, its letters, and what the names in it stand for, as the subject names parts."""
    named = name_parts([expr], subject.given, subject.taken)
    everything = [*named.exprs, *(value for _, value in named.definitions)]
    reader = Reader([*subject.taken, *(v.name for v in variables(*everything))])
    tree, letters = index_form(named.exprs[0], reader, opened=True)
    where: list[tuple[Tree, Tree]] = []
    for name, value in named.definitions:
        entry, own = index_form(value, reader, opened=True)
        label = m.tree("entry", (m.name(name),), own) if own else m.name(name)
        where.append((label, m.rewritten(entry, m.number_in_front)))
    return m.rewritten(tree, m.number_in_front), letters, tuple(where)
