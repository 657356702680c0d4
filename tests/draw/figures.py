"""The figures of docs/pictures.md, each with what draws it."""

from __future__ import annotations

from collections.abc import Callable

from chainrule import derive
from chainrule.api.pictures import picture
from chainrule.draw import Drawing, piece_table, shape_table

LOSS = "mean((y - relu(X @ w + b))**2)"
DATA = "X[N,n] w[n] b y[N]"


def graph(formula: str, shapes: str, wrt: str, kind: str = "graph", **options: str) -> Callable[[], Drawing]:
    """What draws a picture of a derivative."""
    return lambda: picture(derive(formula, wrt=wrt, shapes=shapes or None), kind, **options)  # type: ignore[arg-type]


FIGURES: dict[str, Callable[[], Drawing]] = {
    "sine-of-square": graph("sin(x**2)", "", "x", "operators"),
    "chain-of-four": graph("log(sin(x**3)**2)", "", "x"),
    "two-paths": graph("x + x**2", "", "x"),
    "neuron": graph("relu(w1*x1 + w2*x2 + w3*x3 + b)", "", "w1,w2,w3,b", "operators"),
    "neuron-entries": graph("relu(w @ x + b)", "w[n] x[n] b", "x", "entries"),
    "layer-entries": graph("sum(tanh(W @ x))", "W[3,2] x[2]", "x", "entries"),
    "neuron-loss": graph(LOSS, DATA, "w"),
    "two-layers": graph(
        "z1 = X @ W1 + b1; A1 = relu(z1); y_hat = A1 @ w2 + b2; mean((y_hat - y)**2)",
        "X[N,n] W1[n,h] b1[h] w2[h] b2 y[N]",
        "W1,b1,w2,b2",
    ),
    "quadratic-form": graph("x @ A @ x", "A[n,n] x[n]", "x"),
    "neuron-loss-boxes": graph(LOSS, DATA, "w", "boxes"),
    "quadratic-form-boxes": graph("x @ A @ x", "A[n,n] x[n]", "x", "boxes"),
    "jacobian": graph("[3*x**2*y, 2*x + y**8]", "", "[x, y]", "boxes"),
    "shapes": shape_table,
    "shapes-of-a-request": graph("sum(exp(A @ x))", "A[m,n] x[n]", "x", "shapes"),
    "pieces": piece_table,
}  # fmt: skip
