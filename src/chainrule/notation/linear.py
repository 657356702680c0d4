"""A derivative as the linear map that it is, dX ↦ A dX B, and as a matrix on stacked columns, Bᵀ ⊗ A.

In: a Subject. Out: how it is written, or the reason why it has no such form.
"""

from __future__ import annotations

from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Einsum, Expr, Shape, Stack, Variable
from chainrule.notation import matform as m
from chainrule.notation.index import vec_derivative
from chainrule.notation.matform import Tree
from chainrule.notation.present import Request, present_many
from chainrule.notation.written import Line, Subject, Written
from chainrule.simplify import simplify


def write_map(subject: Subject) -> Written | str:
    """What the derivative does with a small change: dX ↦ A dX B; of order 2, what the gradient changes by.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import einsum
    >>> n = Dim.of("n")
    >>> A, B, X = (Variable(c, (n, n)) for c in "ABX")
    >>> jacobian = einsum("ik,lj->ijkl", A, B)
    >>> write_map(Subject(jacobian, ("Y", (n, n)), (("X", (n, n)),), (X,))).text
    'dX ↦ A dX B'
    """
    change, label, leaves = _change(subject)
    axes = tuple(range(subject.expr.rank))
    kept = axes[: len(axes) - change.rank]
    if len(kept) > 2:
        return "what a change makes of it has more than two axes"
    applied = simplify(Einsum(ONE, (subject.expr, change), (axes, axes[len(kept) :]), kept))
    shown, where = _matrices(subject, Request(applied))
    if shown is not None and subject.gradient and (change.rank == 1 or _has_trace(shown)):
        gradient, names = _matrices(subject, Request(subject.expr, True))
        if gradient is not None:
            shown = _applied(gradient, m.name(f"d {subject.inputs[0][0]}"), trace=change.rank == 2)
            where = names
    if shown is None:
        return "it is no product of matrices"
    return Written(
        "map",
        Line(_with_changes(shown, leaves), label, "↦"),
        where=tuple((name, _with_changes(value, leaves)) for name, value in where),
        profile=subject.profile,
    )


def _with_changes(tree: Tree, leaves: dict[Tree, Tree]) -> Tree:
    return m.rewritten(m.replace_leaves(tree, leaves), _change_last)


def _matrices(subject: Subject, request: Request) -> tuple[Tree | None, tuple[tuple[Tree, Tree], ...]]:
    """How a request is written, and the names in it; None if that is no product of matrices."""
    (shown,), where = present_many([request], subject.given, taken=subject.taken)
    if any(part.form != "matrix" for part in (shown, *(part for _, part in where))):
        return None, ()
    return shown.tree, tuple((m.name(name), part.tree) for name, part in where)


def _change(subject: Subject) -> tuple[Expr, Tree, dict[Tree, Tree]]:
    """The change of the last input, how it is written, and what the names in it become."""
    name, shape = subject.inputs[-1]
    scalars = subject.joint
    changes = [Variable(f"d {v}", () if scalars else shape) for v in (scalars or (name,))]
    leaves = {m.name(v.name): m.differential(m.name(v.name[2:])) for v in changes}
    if not scalars:
        return changes[0], leaves[m.name(changes[0].name)], leaves
    return Stack(changes), m.tree("array", list(leaves.values()), (False,)), leaves


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
    changes = [a for a in node.args[:-1] if a.op == "differential"]
    return m.tree("scale", [*(a for a in node.args if a not in changes), *changes])


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
    if tree is None or any(part.form != "matrix" for _, part in where):
        return "it is no sum of products of matrices on the axes of the one and of the other"
    return Written(
        "kron",
        Line(tree, _vec_label(subject.output, subject.inputs)),
        where=tuple((m.name(name), part.tree) for name, part in where),
        profile=subject.profile,
    )


def _vec_label(output: tuple[str, Shape], inputs: tuple[tuple[str, Shape], ...]) -> Tree:
    named = [(name, len(shape)) for name, shape in inputs]
    if output[1] and not named[-1][1]:
        return m.tree("derivative", [m.call("vec", m.name(output[0])), m.name(named[-1][0])])
    return vec_derivative((output[0], len(output[1])), named)
