"""Losses, with the names, the order of arguments and the mean of PyTorch; `reduction=` takes sum or none.

In: expressions (or numbers). Out: expressions, definitions by other functions that neither overflow nor
cancel.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr.nodes import Expr, as_expr
from chainrule.language import activations, reductions
from chainrule.language import functions as f
from chainrule.language.functions import Entry
from chainrule.language.subscripts import one_hot_of

REDUCTIONS = ("mean", "sum", "none")
NOTHING = None  # an argument left out


def _reduced(losses: Expr, reduction: str) -> Expr:
    if reduction not in REDUCTIONS:
        raise ShapeMismatch(
            f"the reduction {reduction} is not known", hint="reduction='mean', 'sum' or 'none'"
        )
    return losses if reduction == "none" else f.mean(losses) if reduction == "mean" else f.sum(losses)


def mse(a: Any, b: Any, reduction: str = "mean") -> Expr:
    """The mean of (a − b)²."""
    return _reduced((as_expr(a) - b) ** 2, reduction)


def mae(a: Any, b: Any, reduction: str = "mean") -> Expr:
    """The mean of |a − b|."""
    return _reduced(f.abs(as_expr(a) - b), reduction)


def huber_loss(a: Any, b: Any, delta: Any = 1, reduction: str = "mean") -> Expr:
    """The mean of huber(a − b, δ)."""
    return _reduced(activations.huber(as_expr(a) - b, delta), reduction)


def hinge_loss(scores: Any, y: Any, reduction: str = "mean") -> Expr:
    """The mean of relu(1 − y·scores), for labels y of −1 and 1."""
    return _reduced(activations.hinge(as_expr(y) * scores), reduction)


def bce_with_logits(z: Any, y: Any, reduction: str = "mean") -> Expr:
    """The mean of softplus(z) − y z: the cross entropy of y and σ(z)."""
    return _reduced(f.softplus(z) - as_expr(y) * z, reduction)


def binary_cross_entropy(p: Any, y: Any, reduction: str = "mean") -> Expr:
    """The mean of −y ln p − (1 − y) ln(1 − p)."""
    p, y = as_expr(p), as_expr(y)
    return _reduced(-y * f.log(p) - (1 - y) * f.log(1 - p), reduction)


def cross_entropy(z: Any, y: Any, label_smoothing: Any = NOTHING, reduction: str = "mean") -> Expr:
    """−Σ y log_softmax(z) along the last axis, and the mean over the others.

    z are logits, y the targets of the same shape, one-hot or any probabilities, or a whole number for each
    row. label_smoothing=ε replaces y by (1 − ε) y + ε/k.
    """
    logits, targets = f.at_least_vector(z, "cross_entropy"), as_expr(y)
    if targets.rank == logits.rank - 1:
        targets = one_hot_of(targets, logits.shape[-1])
    if targets.rank != logits.rank:
        raise ShapeMismatch(
            "cross_entropy needs a target for each logit",
            hint="y has the shape of z, or is a whole number for each row: y[N]:integer(k)",
        )
    if label_smoothing is not NOTHING:
        smoothing = as_expr(label_smoothing)
        targets = (1 - smoothing) * targets + smoothing / as_expr(logits.shape[-1])
    return _reduced(-f.sum(targets * reductions.log_softmax(logits), axis=-1), reduction)


def kl(p: Any, q: Any) -> Expr:
    """Σ p ln(p/q) along the last axis: the divergence of two discrete distributions."""
    p, q = as_expr(p), as_expr(q)
    return f.sum(p * (f.log(p) - f.log(q)), axis=-1)


def kl_normal(m: Any, v: Any, m0: Any = NOTHING, v0: Any = NOTHING) -> Expr:
    """½ Σ (ln(v0/v) + (v + (m − m0)²)/v0 − 1) along the last axis, for normal distributions.

    Their means are m and m0, their variances v and v0; m0 = 0 and v0 = 1 where they are left out.
    """
    mean, variance = as_expr(m), as_expr(v)
    squares = variance + (mean if m0 is NOTHING else mean - m0) ** 2
    logs = -f.log(variance)
    if v0 is not NOTHING:
        squares, logs = squares / as_expr(v0), logs + f.log(v0)
    return f.sum(logs + squares - 1, axis=-1) / 2


def gaussian_nll(m: Any, y: Any, v: Any, reduction: str = "mean") -> Expr:
    """The mean of ½ (ln v + (y − m)²/v): the normal likelihood of y without its constant ½ ln 2π."""
    m, v = as_expr(m), as_expr(v)
    return _reduced((f.log(v) + (as_expr(y) - m) ** 2 / v) / 2, reduction)


def poisson_nll(z: Any, y: Any, reduction: str = "mean") -> Expr:
    """The mean of exp(z) − y z: the Poisson likelihood of y with the rate exp(z), without ln y!."""
    z = as_expr(z)
    return _reduced(f.exp(z) - as_expr(y) * z, reduction)


def _pair(build: Any, takes: str = "xx", optional: int = 0, expressions: tuple[str, ...] = ()) -> Entry:
    return Entry(build, takes, ("reduction",), optional=optional, expressions=expressions)


ENTRIES = {
    "mse": _pair(mse),
    "mae": _pair(mae),
    "huber_loss": _pair(huber_loss, "xxx", 1, ("delta",)),
    "hinge_loss": _pair(hinge_loss),
    "bce_with_logits": _pair(bce_with_logits),
    "binary_cross_entropy": _pair(binary_cross_entropy),
    "cross_entropy": _pair(cross_entropy, expressions=("label_smoothing",)),
    "gaussian_nll": _pair(gaussian_nll, "xxx"),
    "poisson_nll": _pair(poisson_nll),
    "kl": Entry(kl, "xx"),
    "kl_normal": Entry(kl_normal, "xxxx", optional=2, expressions=("m0", "v0")),
}
ALIASES = {
    "mse_loss": "mse", "l1_loss": "mae", "binary_cross_entropy_with_logits": "bce_with_logits",
}  # fmt: skip
ENTRIES |= {alias: ENTRIES[name] for alias, name in ALIASES.items()}
