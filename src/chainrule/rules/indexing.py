"""Rows of a table picked by number: one-hot vectors of integer variables, and the windows of an array.

A gather E[ids] is the product of one_hot(ids, V) and E, linear in E, so that it has no derivative rule of its
own; the integers themselves have no derivative.
"""

from __future__ import annotations

from typing import Any

from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Variable
from chainrule.expr.walk import topological
from chainrule.rules.constants import BASIS, MERGE, SELECT
from chainrule.rules.table import Constant, Tensorial

one_hot = Tensorial(
    name="one_hot",
    core=(0,),
    shape=lambda core, p: (p[0],),
    domain=("whole",),
    d=("unknown",),
    says="it jumps between whole numbers",
    evaluate=lambda xp, ids, k: (xp.rint(xp.real(ids))[..., None] == xp.arange(k)) * 1.0,
    code="(#1[..., None] == np.arange($1)) * 1.0",
    torch="(#1[..., None] == torch.arange($1, device=#1.device)).to(**like)",
    text="one_hot(#1, $1)",
    latex=r"\operatorname{onehot}(#1, $1)",
    source="Bishop 2006, section 4.1.3, 1-of-K coding",
)


def _window(xp: Any, count: int, width: int, stride: int, dilation: int, padding: int, size: int) -> Any:
    place = stride * xp.arange(count)[:, None, None] + dilation * xp.arange(width)[:, None] - padding
    return (place == xp.arange(size)) * 1.0


WINDOW = Constant(
    name="window",
    shape=lambda count, width, stride, dilation, padding, size: (count, width, size),
    says="entry k of window t of an array is its entry stride·t + dilation·k − padding, or 0",
    evaluate=_window,
    code="(($3 * np.arange($1)[:, None, None] + $4 * np.arange($2)[:, None] - $5 == np.arange($6)) * 1.0)",
    torch=(
        "($3 * torch.arange($1)[:, None, None] + $4 * torch.arange($2)[:, None] - $5"
        " == torch.arange($6)).to(**like)"
    ),
    text="window($1, $2, $3, $4, $5, $6)",
    latex=r"\operatorname{window}($*)",
    source="Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning",
)


def index_bound(expr: Expr) -> Dim | None:
    """V, if the entries are whole numbers from 0 to V − 1: those of an integer variable with that range."""
    known: dict[Expr, Dim | None] = {}
    for node in topological([expr]):
        known[node] = None
        if isinstance(node, Variable):
            known[node] = node.bound
        elif isinstance(node, Einsum) and node.coefficient.is_one:
            constant = [isinstance(o, Apply) and o.function in (BASIS, MERGE, SELECT) for o in node.operands]
            rest = [o for o, plain in zip(node.operands, constant, strict=True) if not plain]
            summed = {a for labels in node.labels for a in labels} - set(node.output)
            alone = all(sum(a in labels for labels in node.labels) > 1 for a in summed)
            known[node] = known[rest[0]] if len(rest) == 1 and alone else None
    return known[expr]
