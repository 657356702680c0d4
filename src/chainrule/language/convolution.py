"""Convolution and pooling along the last axes, with the conventions of PyTorch.

In: expressions. Out: products with constant tensors of zeros and ones (`window`), linear in the array and in
the kernel, so that none of these functions needs a derivative rule; max pooling takes the largest entry of
windows. A convolution is the cross-correlation y_t = Σ_k K_k x_(stride·t + dilation·k − padding), as in every
library of networks; flip(K) gives the convolution of signal processing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr import nodes
from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, as_expr
from chainrule.rules.indexing import WINDOW
from chainrule.rules.tensorial import amax

Each = int | tuple[int, ...]


def windows(x: Any, width: Any, stride: Each = 1, padding: Each = 0, dilation: Each = 1) -> Expr:
    """The windows of the last axis (or axes): an axis for which window, then one for where in it.

    >>> from chainrule.expr.nodes import Variable
    >>> windows(Variable("x", (Dim.of("n"),)), 3).shape
    (Dim(n - 2), Dim(3))
    """
    expr = as_expr(x)
    widths = [Dim.of(w) for w in _tuple(width)]
    specs = _specs(expr, widths, stride, padding, dilation, "windows")
    labels, operands, on, places = _placed(expr, specs)
    output = [*labels[: expr.rank - len(specs)], *(t for t, _ in places), *(k for _, k in places)]
    return Einsum(ONE, (expr, *operands), (labels, *on), output)


def overlap_add(parts: Any, size: Any, stride: Each = 1, padding: Each = 0, dilation: Each = 1) -> Expr:
    """The transpose of windows: each window added at its place in an axis of `size` entries."""
    expr = as_expr(parts)
    sizes = [Dim.of(n) for n in _tuple(size)]
    m = len(sizes)
    if expr.rank < 2 * m:
        raise ShapeMismatch(
            "overlap_add needs an axis of windows and one of places", hint="overlap_add(windows(x, 3), n)"
        )
    lead = expr.rank - 2 * m
    operands: list[Expr] = []
    on: list[tuple[int, int, int]] = []
    for k, (s, p, d) in enumerate(_options(m, stride, padding, dilation)):
        count, width = expr.shape[lead + k], expr.shape[lead + m + k]
        nodes.require_same(count, _count(sizes[k], width, s, p, d), "are two numbers of windows")
        operands.append(Apply(WINDOW, (), (count, width, s, d, Dim.of(p), sizes[k])))
        on.append((lead + k, lead + m + k, expr.rank + k))
    output = [*range(lead), *(place for _, _, place in on)]
    return Einsum(ONE, (expr, *operands), (range(expr.rank), *on), output)


def conv1d(x: Any, kernel: Any, stride: Each = 1, padding: Each = 0, dilation: Each = 1) -> Expr:
    """The cross-correlation along one axis: x[n], K[w], or x[C,n], K[O,C,w] with a batch in front if any."""
    return _conv(x, kernel, 1, stride, padding, dilation)


def conv2d(x: Any, kernel: Any, stride: Each = 1, padding: Each = 0, dilation: Each = 1) -> Expr:
    """The cross-correlation along two axes: X[h,w], K[p,q], or X[C,h,w], K[O,C,p,q], with a batch if any."""
    return _conv(x, kernel, 2, stride, padding, dilation)


def _conv(x: Any, kernel: Any, m: int, stride: Each, padding: Each, dilation: Each) -> Expr:
    expr, weights = as_expr(x), as_expr(kernel)
    channels = weights.rank == m + 2
    if weights.rank not in (m, m + 2) or expr.rank not in ((m + 1, m + 2) if channels else (m,)):
        plain, full = (
            ("x[n], K[w]", "x[N,C,n], K[O,C,w]") if m == 1 else ("X[h,w], K[p,q]", "X[N,C,h,w], K[O,C,p,q]")
        )
        raise ShapeMismatch(
            f"conv{m}d of {expr.rank} and {weights.rank} axes",
            hint=f"the shapes are {plain}, or with channels {full}, where the batch N may be missing",
        )
    if channels:
        nodes.require_same(
            expr.shape[-m - 1], weights.shape[1], "are the channels of the array and of the kernel"
        )
    specs = _specs(expr, list(weights.shape[-m:]), stride, padding, dilation, f"conv{m}d")
    labels, operands, on, places = _placed(expr, specs)
    out = max(max(group) for group in on) + 1
    front = (out, labels[-m - 1]) if channels else ()
    weights_on = (*front, *(k for _, k in places))
    output = [*labels[: expr.rank - m - len(front) // 2], *front[:1], *(t for t, _ in places)]
    return Einsum(ONE, (expr, weights, *operands), (labels, weights_on, *on), output)


def conv_transpose1d(
    g: Any, kernel: Any, size: Any, stride: Each = 1, padding: Each = 0, dilation: Each = 1
) -> Expr:
    """The transpose of conv1d: what it gives back to an array of `size` entries for G in the place of Y."""
    return _transposed(g, kernel, 1, size, stride, padding, dilation)


def conv_transpose2d(
    g: Any, kernel: Any, size: Any, stride: Each = 1, padding: Each = 0, dilation: Each = 1
) -> Expr:
    """The transpose of conv2d: what it gives back to an array whose last axes have these sizes."""
    return _transposed(g, kernel, 2, size, stride, padding, dilation)


def _transposed(g: Any, kernel: Any, m: int, size: Any, stride: Each, padding: Each, dilation: Each) -> Expr:
    expr, weights = as_expr(g), as_expr(kernel)
    channels = weights.rank == m + 2
    if weights.rank not in (m, m + 2) or expr.rank not in ((m + 1, m + 2) if channels else (m,)):
        raise ShapeMismatch(
            f"conv_transpose{m}d of {expr.rank} and {weights.rank} axes",
            hint=f"the first has the shape of conv{m}d(X, K), the second is K",
        )
    own, places = range(expr.rank), range(expr.rank, expr.rank + m)
    if not channels:
        return overlap_add(
            Einsum(ONE, (expr, weights), (own, places), (*own, *places)), size, stride, padding, dilation
        )
    nodes.require_same(
        expr.shape[-m - 1], weights.shape[0], "are the output channels of the array and the kernel"
    )
    channel, out = expr.rank - m - 1, expr.rank + m
    made = Einsum(
        ONE,
        (expr, weights),
        (own, (channel, out, *places)),
        (*own[:channel], out, *own[channel + 1 :], *places),
    )
    return overlap_add(made, size, stride, padding, dilation)


def avg_pool1d(x: Any, width: Any, stride: Each | None = None, padding: Each = 0) -> Expr:
    """The mean of each window of the last axis; the stride is the width if it is not given."""
    return _average(x, 1, width, stride, padding)


def avg_pool2d(x: Any, width: Any, stride: Each | None = None, padding: Each = 0) -> Expr:
    """The mean of each window of the last two axes; padding counts as zeros."""
    return _average(x, 2, width, stride, padding)


def _average(x: Any, m: int, width: Any, stride: Each | None, padding: Each) -> Expr:
    found = _pooled(x, m, width, stride, padding)
    count = ONE
    for dim in found.shape[-m:]:
        count = count * Coefficient.of(dim)
    axes = range(found.rank)
    return Einsum(count**-1, (found,), (axes,), axes[: found.rank - m])


def max_pool1d(x: Any, width: Any, stride: Each | None = None) -> Expr:
    """The largest entry of each window of the last axis; of several that are equal the first one counts."""
    return Apply(amax, (_pooled(x, 1, width, stride, 0),), (1,))


def max_pool2d(x: Any, width: Any, stride: Each | None = None) -> Expr:
    """The largest entry of each window of the last two axes; of several that are equal the first counts."""
    return Apply(amax, (_pooled(x, 2, width, stride, 0),), (2,))


def _pooled(x: Any, m: int, width: Any, stride: Each | None, padding: Each) -> Expr:
    widths = _tuple(width)
    widths = widths * m if len(widths) == 1 else widths
    if len(widths) != m:
        raise ShapeMismatch(
            f"{len(widths)} widths for {m} axes", hint="max_pool2d(X, 2), max_pool2d(X, (2, 3))"
        )
    if stride is None:
        known = [Dim.of(w).constant for w in widths]
        if any(w is None for w in known):
            raise ShapeMismatch("the stride is an integer", hint="give stride=, or the width as a number")
        stride = tuple(w for w in known if w is not None)
    return windows(x, widths, stride, padding)


# ---------------------------------------------------------------- sizes

Spec = tuple[Dim, Dim, int, int, Dim, Dim]


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _options(m: int, stride: Each, padding: Each, dilation: Each) -> list[tuple[int, int, int]]:
    """Stride, padding and dilation of each axis."""
    columns: list[tuple[int, ...]] = []
    for name, value, least in (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)):
        found = tuple(Dim.of(v).constant for v in _tuple(value))
        if len(found) not in (1, m) or any(v is None or v < least for v in found):
            raise ShapeMismatch(
                f"{name} is an integer from {least} on, or one for each of {m} axes", hint=f"{name}={least}"
            )
        whole = tuple(v for v in found if v is not None)
        columns.append(whole * m if len(whole) == 1 else whole)
    return list(zip(*columns, strict=True))


def _specs(
    x: Expr, widths: Sequence[Dim], stride: Each, padding: Each, dilation: Each, name: str
) -> list[Spec]:
    """The parameters of `window` for each of the last axes."""
    m = len(widths)
    if x.rank < m:
        raise ShapeMismatch(
            f"{name} along {m} axes of {x.rank}", hint="one width for each axis, the last ones"
        )
    specs: list[Spec] = []
    for size, width, (s, p, d) in zip(
        x.shape[-m:], widths, _options(m, stride, padding, dilation), strict=True
    ):
        count = _count(size, width, s, p, d)
        if count.constant is not None and count.constant < 1:
            raise ShapeMismatch(
                f"windows of {width} do not fit into {size} entries", hint="padding= adds zeros"
            )
        specs.append((count, width, s, d, Dim.of(p), size))
    return specs


def _count(size: Dim, width: Dim, stride: int, padding: int, dilation: int) -> Dim:
    """How many windows there are: ⌊(n + 2p − d(w − 1) − 1)/s⌋ + 1."""
    span = size + Dim.of(2 * padding - 1) - Dim.of(dilation) * (width - Dim.of(1))
    count = Dim.of(1)
    for monomial, times in span.terms:
        whole, rest = divmod(times, stride)
        if monomial and rest:
            raise ShapeMismatch(
                f"a stride of {stride} needs a known number of windows, not ({span})/{stride}",
                hint=f"declare the size as a number, or as a multiple such as {stride}*m",
            )
        count = count + Dim(((monomial, whole),)) if whole else count
    return count


def _placed(
    x: Expr, specs: Sequence[Spec]
) -> tuple[list[int], list[Expr], list[tuple[int, int, int]], list[tuple[int, int]]]:
    """Labels of x, the window tensors of its last axes with theirs, and those of windows and places."""
    labels = list(range(x.rank))
    fresh = x.rank
    operands: list[Expr] = []
    on: list[tuple[int, int, int]] = []
    for label, spec in zip(labels[x.rank - len(specs) :], specs, strict=True):
        operands.append(Apply(WINDOW, (), spec))
        on.append((fresh, fresh + 1, label))
        fresh += 2
    return labels, operands, on, [(t, k) for t, k, _ in on]


def window(count: Any, width: Any, stride: Any, dilation: Any, padding: Any, size: Any) -> Expr:
    """The tensor of zeros and ones with window(...)_tks = 1 where s = stride t + dilation k − padding."""
    numbers = [Dim.of(v) for v in (count, width, padding, size)]
    whole = [Dim.of(v).constant for v in (stride, dilation)]
    if any(v is None or v < 1 for v in whole):
        raise ShapeMismatch("stride and dilation are integers from 1 on", hint="windows(x, 3) makes windows")
    return Apply(WINDOW, (), (numbers[0], numbers[1], whole[0], whole[1], numbers[2], numbers[3]))
