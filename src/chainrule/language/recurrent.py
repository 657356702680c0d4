"""One step of the usual recurrent networks, with the gates in PyTorch's order, one row for each unit.

In: the input x, the state and the weights; a batch may stand in front of the axes of x and of the state.
Out: the next state. scan(h = gru_step(x[t], h, W, U, b, c), h0, t = 0:5) goes through a sequence.
"""

from __future__ import annotations

from typing import Any

from chainrule.expr import nodes
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Stack, as_expr, elementwise
from chainrule.language.subscripts import Range, subscript
from chainrule.rules.elementwise import sigmoid, tanh


def rnn_step(x: Any, h: Any, W: Any, U: Any, b: Any) -> Expr:
    """Tanh(W x + U h + b)."""
    return elementwise(tanh, _affine(x, h, W, U, b, 1, "rnn_step"))


def lstm_step(x: Any, h: Any, c: Any, W: Any, U: Any, b: Any) -> Expr:
    """The next h and c of an LSTM, stacked: c = σ(f) c + σ(i) tanh(g), h = σ(o) tanh(c).

    The gates i, f, g, o are the parts of W x + U h + b.
    Shapes: x n, h and c H, W 4H × n, U 4H × H, b 4H. Source: Hochreiter and Schmidhuber 1997, with a forget
    gate as in Gers, Schmidhuber and Cummins 2000.
    """
    state = as_expr(c)
    z = _affine(x, h, W, U, b, 4, "lstm_step")
    i, f, g, o = (_gate(z, k, as_expr(h).shape[-1]) for k in range(4))
    kept = nodes.multiply(elementwise(sigmoid, f), state)
    cell = nodes.add(kept, nodes.multiply(elementwise(sigmoid, i), elementwise(tanh, g)))
    return Stack((nodes.multiply(elementwise(sigmoid, o), elementwise(tanh, cell)), cell))


def gru_step(x: Any, h: Any, W: Any, U: Any, b: Any, c: Any) -> Expr:
    """The next h of a GRU: with r, u, n the parts of W x + b and U h + c, h = (1 − σ(u)) tanh(n) + σ(u) h.

    Shapes: x n, h H, W 3H × n, U 3H × H, b and c 3H. The reset σ(r) multiplies the part of U h + c, as in
    PyTorch. Source: Cho et al. 2014.
    """
    state = as_expr(h)
    size = state.shape[-1]
    given, known = _product(x, W, b, 3, size, "gru_step"), _product(h, U, c, 3, size, "gru_step")
    r, u, n = ((_gate(given, k, size), _gate(known, k, size)) for k in range(3))
    reset, update = (elementwise(sigmoid, nodes.add(*part)) for part in (r, u))
    new = elementwise(tanh, nodes.add(n[0], nodes.multiply(reset, n[1])))
    return nodes.add(nodes.multiply(1 - update, new), nodes.multiply(update, state))


def _affine(x: Any, h: Any, W: Any, U: Any, b: Any, gates: int, name: str) -> Expr:
    size = as_expr(h).shape[-1]
    return nodes.add(_product(x, W, b, gates, size, name), nodes.matmul(as_expr(h), as_expr(U).T))


def _product(x: Any, W: Any, b: Any, gates: int, size: Dim, name: str) -> Expr:
    """W x + b, the weights with `gates` rows for each unit."""
    weights = as_expr(W)
    nodes.require_same(
        weights.shape[0], Dim.of(gates) * size, f"rows of the weights of {name}: {gates} for each unit"
    )
    return nodes.add(nodes.matmul(as_expr(x), weights.T), as_expr(b))


def _gate(z: Expr, k: int, size: Dim) -> Expr:
    """Gate k of all units."""
    part = Range(Dim.of(k) * size, Dim.of(k + 1) * size)
    return subscript(z, [*[Range()] * (z.rank - 1), part])
