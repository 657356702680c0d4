"""A derivative as the linear map that it is, dX ↦ A dX B, and as a matrix on stacked columns, Bᵀ ⊗ A.

In: a Subject. Out: how it is written, or the reason why it has no such form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Einsum, Expr, Shape, Stack, Variable, constant_of
from chainrule.notation import matform as m
from chainrule.notation.entries import entries_of
from chainrule.notation.index import vec_derivative
from chainrule.notation.kronecker import kronecker_terms, kronecker_tree
from chainrule.notation.matform import Tree
from chainrule.notation.present import Request, present_many
from chainrule.notation.written import Line, Subject, Written
from chainrule.simplify import simplify_many


def write_map(subject: Subject) -> Written:
    """What the derivative does with a small change: dX ↦ A dX B; of order 2, what the gradient changes by.

    A derivative that maps a change to more than two axes is told along all changes, d²Y = 2X⁻¹ dX X⁻¹ dX X⁻¹;
    what is no product of matrices by its entries, dY_ijk = exp(T_ijk) dT_ijk.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import einsum
    >>> n = Dim.of("n")
    >>> A, B, X = (Variable(c, (n, n)) for c in "ABX")
    >>> jacobian = einsum("ik,lj->ijkl", A, B)
    >>> write_map(Subject(jacobian, ("Y", (n, n)), (("X", (n, n)),), (X,))).text
    'dX ↦ A dX B'
    >>> square = einsum("ijk,il->ijkl", Variable("T", (n, n, n)), Variable("A", (n, n)))
    >>> write_map(Subject(square, ("Y", (n, n, n)), (("x", (n,)),), (Variable("x", (n,)),))).text
    'dY_ijk = T_ijk Σ_l A_il dx_l'
    """
    for count in range(1, len(subject.inputs) + 1):
        found = _along(subject, count)
        if found is not None:
            return found
    return _by_entries(subject)


def _along(subject: Subject, count: int) -> Written | None:
    """The derivative along changes of its last `count` inputs, in matrix language; None if it has none."""
    moves = [_change(subject, k) for k in range(-count, 0)]
    leaves = {name: tree for move in moves for name, tree in move.leaves.items()}
    applied = _applied_to(subject.expr, [move.change for move in moves])
    if applied.rank > 2:
        return None
    shown, where = _matrices(subject, Request(applied))
    rank = moves[0].change.rank
    if shown is not None and subject.gradient and (rank == 1 or _has_trace(shown)):
        gradient, names = _matrices(subject, Request(subject.expr, True))
        if gradient is not None:
            shown = _applied(gradient, m.name(f"d {subject.inputs[0][0]}"), trace=rank == 2)
            where = names
    if shown is None:
        return None
    tree = m.ZEROS if applied.rank and _is_zero(applied) else _with_changes(shown, leaves)
    if count == 1:
        label, relation = moves[0].written, "↦"
    elif all(move == moves[0] for move in moves):
        label, relation = _differential_of(subject, count), "="
    else:
        label, relation = m.tree("tuple", [move.written for move in moves]), "↦"
    return Written(
        "map",
        Line(tree, label, relation),
        where=tuple((name, _with_changes(value, leaves)) for name, value in where),
        profile=subject.profile,
        changes=count,
    )


def _is_zero(expr: Expr) -> bool:
    """Whether every entry is 0 by its form."""
    constant = constant_of(expr)
    return constant is not None and constant.is_zero


def _applied_to(expr: Expr, changes: Sequence[Expr]) -> Expr:
    """The derivative multiplied by changes of its last inputs, in their order."""
    for change in reversed(changes):
        axes = tuple(range(expr.rank))
        kept = axes[: len(axes) - change.rank]
        moved = Einsum(ONE, (expr, change), (axes, axes[len(kept) :]), kept)
        expr = simplify_many([moved], collect=1)[0]
    return expr


def _differential_of(subject: Subject, count: int) -> Tree:
    """d²Y for all the changes of the second derivative; d²(∂f/∂X) for two of three."""
    rest = subject.inputs[:-count]
    of = m.name(subject.output[0])
    if rest:
        of = m.tree("derivative", [of, *(m.name(name) for name, _ in rest)])
    return m.differential(of, count)


def _by_entries(subject: Subject) -> Written:
    """dY_ijk = exp(T_ijk) dT_ijk, along all changes of one input or of the last one."""
    count = len(subject.inputs) if len(set(subject.inputs)) == 1 else 1
    moves = [_change(subject, k) for k in range(-count, 0)]
    leaves = {name: tree for move in moves for name, tree in move.leaves.items()}
    applied = _applied_to(subject.expr, [move.change for move in moves])
    tree, letters, where = entries_of(subject, applied)
    label = m.tree("entry", (_differential_of(subject, count),), letters)
    if count < len(subject.inputs):
        label = _differential_of(subject, count)
    return Written(
        "map",
        Line(_with_changes(tree, leaves), label),
        where=tuple((name, _with_changes(value, leaves)) for name, value in where),
        profile=subject.profile,
        changes=count,
    )


def _with_changes(tree: Tree, leaves: dict[Tree, Tree]) -> Tree:
    return m.rewritten(m.replace_leaves(tree, leaves), _change_last)


def _matrices(subject: Subject, request: Request) -> tuple[Tree | None, tuple[tuple[Tree, Tree], ...]]:
    """How a request is written, and the names in it; None if that is no product of matrices."""
    (shown,), where = present_many([request], subject.given, taken=subject.taken)
    if any(part.form != "matrix" for part in (shown, *(part for _, part in where))):
        return None, ()
    return shown.tree, tuple((m.name(name), part.tree) for name, part in where)


@dataclass(frozen=True)
class _Move:
    """The change of an input, how it is written, and what the names in it become."""

    change: Expr
    written: Tree
    leaves: dict[Tree, Tree]


def _change(subject: Subject, which: int) -> _Move:
    name, shape = subject.inputs[which]
    scalars = subject.joint
    changes = [Variable(f"d {v}", () if scalars else shape) for v in (scalars or (name,))]
    leaves = {m.name(v.name): m.differential(m.name(v.name[2:])) for v in changes}
    if not scalars:
        return _Move(changes[0], leaves[m.name(changes[0].name)], leaves)
    return _Move(Stack(changes), m.tree("array", list(leaves.values()), (False,)), leaves)


def _has_trace(tree: Tree) -> bool:
    """Whether a trace, or a sum of entries, is a factor or a term of it."""
    if tree.op == "call":
        return tree.data[0] in ("tr", "sum")
    return tree.op in ("scale", "over", "sum") and any(map(_has_trace, tree.args))


def _applied(gradient: Tree, change: Tree, trace: bool) -> Tree:
    """gᵀ dx from the row gᵀ, tr(Gᵀ dX) from Gᵀ, with scalar factors in front."""
    match gradient.op:
        case "sum" if len(gradient.args) == 1:
            return m.negative(_applied(gradient.args[0], change, trace))
        case "scale":
            return m.scale(*gradient.args[:-1], _applied(gradient.args[-1], change, trace))
        case "over":
            return m.over(_applied(gradient.args[0], change, trace), gradient.args[1])
    product = m.chain(gradient, change)
    return m.call("tr", product) if trace else product


def _change_last(node: Tree) -> Tree:
    """3x² dx: a change that is a scalar stands behind the other factors."""
    if node.op != "scale":
        return node
    changes = [a for a in node.args[:-1] if _is_change(a)]
    return m.tree("scale", [*(a for a in node.args if a not in changes), *changes])


def _is_change(part: Tree) -> bool:
    """Whether it is dx, or an entry dX_ij."""
    return part.op == "differential" or (part.op == "entry" and part.args[0].op == "differential")


def write_kron(subject: Subject) -> Written | str:
    """∂vec(Y)/∂vec(X)ᵀ, columns stacked: of AXB, Bᵀ ⊗ A; of a scalar by a matrix, vec(G)ᵀ.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import einsum
    >>> n = Dim.of("n")
    >>> A, B, X = (Variable(c, (n, n)) for c in "ABX")
    >>> jacobian = einsum("ik,lj->ijkl", A, B)
    >>> write_kron(Subject(jacobian, ("Y", (n, n)), (("X", (n, n)),), (X,))).text
    '∂vec(Y)/∂vec(X)ᵀ = Bᵀ ⊗ A'
    """
    ranks = (len(subject.output[1]), *(len(shape) for _, shape in subject.inputs))
    sides = [rank for rank in ranks if rank]
    if not sides or max(sides) < 2:
        return "there is no matrix in it whose columns could be stacked"
    if max(sides) > 2 or len(sides) > 2:
        return "it relates more than two matrices, or arrays with more than two axes"
    request = Request(subject.expr, False, ranks)
    (shown,), where = present_many([request], subject.given, taken=subject.taken)
    if len(sides) == 1:
        body = m.call("vec", shown.tree)
        tree: Tree | None = m.transpose(body) if ranks[0] == 0 else body
    else:
        tree = shown.vec
    if tree is None and subject.expr.rank == 4:
        found = _of_products(subject)
        if found is not None:
            return found
    if tree is None or any(part.form != "matrix" for _, part in where):
        return "it is no sum of products of matrices on the axes of the one and of the other"
    return Written(
        "kron",
        Line(tree, _vec_label(subject.output, subject.inputs)),
        where=tuple((m.name(name), part.tree) for name, part in where),
        profile=subject.profile,
    )


def _of_products(subject: Subject) -> Written | None:
    """The derivative of a Kronecker product by one of its factors; None of anything else."""
    terms = kronecker_terms(subject.expr)
    if terms is None:
        return None
    requests = [Request(term.fixed) for term in terms]
    shown, where = present_many(requests, subject.given, taken=subject.taken)
    if any(part.form != "matrix" for part in (*shown, *(part for _, part in where))):
        return None
    sign = m.BOLD_COMMUTATION if "K" in subject.taken else m.COMMUTATION
    written = {term.fixed: part.tree for term, part in zip(terms, shown, strict=True)}
    form = kronecker_tree(terms, written.get, sign)
    if form is None:
        return None
    return Written(
        "kron",
        Line(form[0], _vec_label(subject.output, subject.inputs)),
        where=tuple((m.name(name), part.tree) for name, part in where),
        notes=form[1],
        profile=subject.profile,
    )


def _vec_label(output: tuple[str, Shape], inputs: tuple[tuple[str, Shape], ...]) -> Tree:
    named = [(name, len(shape)) for name, shape in inputs]
    if output[1] and not named[-1][1]:
        return m.tree("derivative", [m.call("vec", m.name(output[0])), m.name(named[-1][0])])
    return vec_derivative((output[0], len(output[1])), named)
