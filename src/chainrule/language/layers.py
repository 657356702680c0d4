"""Layers of networks: normalisation, attention, dropout with a given mask, bilinear maps.

In: expressions (or numbers). Out: expressions, definitions by other functions.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr import nodes
from chainrule.expr.dims import ONE
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Variable, as_expr, broadcast, constant_of, number
from chainrule.language import functions as f
from chainrule.language.conditions import is_condition
from chainrule.language.functions import Entry
from chainrule.rules import reductions as rows

EPS = Fraction(1, 100_000)  # what PyTorch adds to variances


def _scaled(x: Expr, gain: Any, bias: Any) -> Expr:
    scaled = x if gain is None else as_expr(gain) * x
    return scaled if bias is None else scaled + bias


def layernorm(x: Any, gain: Any = None, bias: Any = None, eps: Any = EPS) -> Expr:
    """(x − mean)/√(variance + ε) along the last axis, times gain, plus bias."""
    return _normalised(f.at_least_vector(x, "layernorm"), -1, gain, bias, eps)


def batchnorm(x: Any, gain: Any = None, bias: Any = None, eps: Any = EPS) -> Expr:
    """(x − mean)/√(variance + ε) along the first axis, the batch, as in training, times gain, plus bias."""
    return _normalised(f.at_least_vector(x, "batchnorm"), 0, gain, bias, eps)


def _normalised(x: Expr, axis: int, gain: Any, bias: Any, eps: Any) -> Expr:
    deviations = x - _along(f.mean(x, axis), x, axis)
    return _scaled(deviations * _scale(deviations, axis, eps), gain, bias)


def _scale(x: Expr, axis: int, eps: Any) -> Expr:
    """1/√(mean(x²) + ε), repeated along the axis."""
    return _along(1 / f.sqrt(f.mean(x**2, axis) + eps), x, axis)


def _along(value: Expr, x: Expr, axis: int) -> Expr:
    """A reduction of x along an axis, repeated along it."""
    axes = tuple(range(x.rank))
    kept = tuple(a for a in axes if a != axis % x.rank)
    return Einsum(ONE, (value,), (kept,), axes, dict(enumerate(x.shape)))


def rmsnorm(x: Any, gain: Any = None, eps: Any = EPS) -> Expr:
    """x/√(mean(x²) + ε) along the last axis, times gain."""
    x = f.at_least_vector(x, "rmsnorm")
    return _scaled(x * _scale(x, -1, eps), gain, None)


def masked_softmax(x: Any, mask: Any, axis: int = -1) -> Expr:
    """Softmax over the entries where the mask is not 0, and 0 elsewhere."""
    x, mask = broadcast((f.at_least_vector(x, "masked_softmax"), as_expr(mask)))
    moved, back = f.to_last(x, axis)
    chosen, _ = f.to_last(mask, axis)
    return nodes.permute(Apply(rows.masked_softmax, (moved, chosen)), back)


def attention(Q: Any, K: Any, V: Any, mask: Any = None, bias: Any = None) -> Expr:
    """softmax(QKᵀ/√d + bias) V, with the keys left out that the mask hides.

    Axes in front of the last two are batches or heads. A mask that is a condition (M > 0, tri(n), whole
    numbers declared M[n,m]:integer(2)) has 1 where a query may see a key, 0 where not; any other is added to
    the scores, 0 and −10⁹, as in PyTorch.
    """
    Q, K, V = as_expr(Q), as_expr(K), as_expr(V)
    if min(Q.rank, K.rank, V.rank) < 2:
        raise ShapeMismatch("attention needs matrices, a row for each query, key and value")
    last = K.rank - 1
    turned = nodes.permute(K, (*range(last - 1), last, last - 1))
    scores = nodes.matmul(Q, turned) / f.sqrt(number(Q.shape[-1]))
    hides = mask is not None and _hides(as_expr(mask))
    for added in (bias, None if hides or mask is None else _chosen(as_expr(mask))):
        scores = scores if added is None else scores + added
    weights = masked_softmax(scores, mask) if hides else f.softmax(scores)
    return nodes.matmul(weights, V)


def _hides(mask: Expr) -> bool:
    """Whether a mask is one of zeros and ones by the way it is made or declared."""
    constant = constant_of(mask)
    if constant is not None and constant.is_zero:
        raise ShapeMismatch(
            "a mask of zeros hides every key, or is added and does nothing",
            hint="leave the mask out, or give one that is a condition or a matrix",
        )
    return is_condition(mask)


def _chosen(mask: Expr) -> Expr:
    """c·(1 − C) of a condition C as a choice of c and 0: 0 = c − c would cost the digits of the scores."""
    if not isinstance(mask, Einsum) or not mask.operands or mask.coefficient.is_one:
        return mask
    body = Einsum(ONE, mask.operands, mask.labels, mask.output, dict(enumerate(mask.sizes)))
    return f.where(body, number(mask.coefficient), 0) if is_condition(body) else mask


def _added_mask(Q: Any, K: Any, V: Any, mask: Any = None, bias: Any = None) -> str:
    """What attention tells of a mask that is a variable, "" where there is nothing to tell."""
    if not isinstance(mask, Variable) or _hides(mask):
        return ""
    name = pretty(mask.name)
    declared = f"{name}[…]:integer(2)"
    return f"{name} is added to the scores of attention; declare {declared} for one of zeros and ones."


def dropout(x: Any, mask: Any, rate: Any = 0) -> Expr:
    """X ⊙ mask/(1 − rate), with the mask of what is kept."""
    constant = constant_of(as_expr(rate))
    if constant is not None and not constant.names and not 0 <= constant.rational < 1:
        raise ShapeMismatch(
            f"the rate of dropout is at least 0 and below 1, not {constant.rational}",
            hint="dropout(x, m, 0.1)",
        )
    kept = 1 - as_expr(rate)
    return as_expr(x) * as_expr(mask) / kept


def bilinear(x: Any, W: Any, y: Any, bias: Any = None) -> Expr:
    """Σ x_i W_kij y_j (+ b_k) for W of three axes, xᵀWy for a matrix; of each row of matrices x and y."""
    x, W, y = as_expr(x), as_expr(W), as_expr(y)
    if W.rank not in (2, 3) or not 1 <= x.rank == y.rank <= 2:
        raise ShapeMismatch(
            "bilinear needs two vectors (or two matrices of rows), and W of two or three axes",
            hint="bilinear(x, W, y) with x[i] W[k,i,j] y[j]",
        )
    rows_, out = "n" * (x.rank - 1), "k" * (W.rank - 2)
    result: Expr = f.einsum(f"{rows_}i,{out}ij,{rows_}j->{rows_}{out}", x, W, y)
    return result if bias is None else result + bias


ENTRIES = {
    "layernorm": Entry(layernorm, "xxxx", optional=3, forces=True, expressions=("gain", "bias", "eps")),
    "batchnorm": Entry(batchnorm, "xxxx", optional=3, forces=True, expressions=("gain", "bias", "eps")),
    "rmsnorm": Entry(rmsnorm, "xxx", optional=2, forces=True, expressions=("gain", "eps")),
    "masked_softmax": Entry(masked_softmax, "xx", ("axis",), forces=True),
    "attention": Entry(
        attention, "xxxx", optional=1, forces=True, expressions=("mask", "bias"), tells=_added_mask
    ),
    "dropout": Entry(dropout, "xxx", optional=1, expressions=("mask", "rate")),
    "bilinear": Entry(bilinear, "xxxx", optional=1, forces=True, expressions=("bias",)),
}
ALIASES = {"layer_norm": "layernorm", "batch_norm": "batchnorm", "rms_norm": "rmsnorm"}
ENTRIES |= {alias: ENTRIES[name] for alias, name in ALIASES.items()}
