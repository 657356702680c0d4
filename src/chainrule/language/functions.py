"""The functions of the language. Those with a row of their own apply it; the rest are defined by others.

In: expressions (or numbers). Out: expressions. They are also what Python users call: chainrule.relu(x),
chainrule.sum(x). `TABLE` says how the parser passes arguments to each.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr import nodes
from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Shape, Stack, as_expr, elementwise, number, require_same
from chainrule.language import linear_algebra as la
from chainrule.language.axes import Axis as Axis
from chainrule.language.axes import named_axes
from chainrule.language.conditions import logical_and, logical_not, logical_or
from chainrule.language.convolution import (
    avg_pool1d,
    avg_pool2d,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    max_pool1d,
    max_pool2d,
    overlap_add,
    window,
    windows,
)
from chainrule.language.integers import embedding, one_hot, pick, take
from chainrule.language.norms import Order, norm_of_order
from chainrule.language.recurrent import gru_step, lstm_step, rnn_step
from chainrule.language.shaping import (
    ellipsis_letters,
    expand_dims,
    flatten,
    flip,
    moveaxis,
    pad,
    placed,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    swapaxes,
    tile,
    transpose,
)
from chainrule.rules import constants, tensorial
from chainrule.rules import elementwise as rows
from chainrule.rules.table import Elementwise, Tensorial

EINSUM = "einsum('ij,j->i', A, x) has one letter for each axis"
Size = Dim | int | str
axes_of = named_axes


def _entrywise(row: Elementwise) -> Callable[..., Expr]:
    def build(*arguments: Any) -> Expr:
        if len(arguments) != row.arity:
            raise TypeError(
                f"{row.name} takes {row.arity} argument{'s' * (row.arity != 1)}, not {len(arguments)}"
            )
        return elementwise(row, *map(as_expr, arguments))

    build.__name__ = row.name
    build.__doc__ = f"{row.text.replace('#1', 'x').replace('#2', 'y').replace('#3', 'z')}, entry by entry."
    return build


exp, log, sqrt, abs, sign = map(_entrywise, (rows.exp, rows.log, rows.sqrt, rows.abs_, rows.sign))
sin, cos, tan = map(_entrywise, (rows.sin, rows.cos, rows.tan))
sinh, cosh, tanh = map(_entrywise, (rows.sinh, rows.cosh, rows.tanh))
arcsin, arccos, arctan = map(_entrywise, (rows.arcsin, rows.arccos, rows.arctan))
log1p, expm1, erf, erfc = map(_entrywise, (rows.log1p, rows.expm1, rows.erf, rows.erfc))
hypot = _entrywise(rows.hypot)
relu, sigmoid, softplus = map(_entrywise, (rows.relu, rows.sigmoid, rows.softplus))
where, floor, round, stop, power = map(
    _entrywise, (rows.where, rows.floor, rows.round_, rows.stop, rows.power)
)


def maximum(a: Any, b: Any, *more: Any) -> Expr:
    """The larger of two or more, entry by entry."""
    return reduce(lambda x, y: elementwise(rows.maximum, x, y), map(as_expr, (a, b, *more)))


def minimum(a: Any, b: Any, *more: Any) -> Expr:
    """The smaller of two or more, entry by entry."""
    return reduce(lambda x, y: elementwise(rows.minimum, x, y), map(as_expr, (a, b, *more)))


def square(x: Any) -> Expr:
    """x², entry by entry."""
    return as_expr(x) ** 2


def clip(x: Any, low: Any, high: Any) -> Expr:
    """X kept between two bounds."""
    return minimum(maximum(x, low), high)


# ---------------------------------------------------------------- reductions


def to_last(x: Expr, axis: int) -> tuple[Expr, tuple[int, ...]]:
    """`x` with one axis moved to the end, and the order that moves it back."""
    axes = axes_of(x, axis)
    if len(axes) != 1:
        raise ShapeMismatch("one axis is named here, not several", hint="axis=0")
    (a,) = axes
    order = (*(k for k in range(x.rank) if k != a), a)
    return nodes.permute(x, order), tuple(order.index(k) for k in range(x.rank))


def keep(x: Expr, axes: Sequence[int]) -> Expr:
    """Axes of size 1 put back where a reduction took them away."""
    rank = x.rank + len(axes)
    kept = [a for a in range(rank) if a not in axes]
    return Einsum(ONE, (x,), (kept,), range(rank), {a: Dim.of(1) for a in axes})


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The sum of all entries, or along an axis.

    >>> from chainrule.expr.nodes import Variable
    >>> sum(Variable("X", (Dim.of("m"), Dim.of("n"))), axis=0).shape
    (Dim(n),)
    """
    x = as_expr(x)
    axes = axes_of(x, axis)
    kept = tuple(a for a in range(x.rank) if a not in axes)
    total = Einsum(ONE, (x,), (range(x.rank),), kept) if axes else x
    return keep(total, axes) if keepdims and axes else total


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The sum divided by the number of entries."""
    x = as_expr(x)
    count = ONE
    for a in axes_of(x, axis):
        count = count * Coefficient.of(x.shape[a])
    return nodes.scale(count**-1, sum(x, axis, keepdims)) if x.rank else x


def _extreme(row: Tensorial, x: Any, axis: Axis, keepdims: bool) -> Expr:
    expr = as_expr(x)
    axes = axes_of(expr, axis)
    if not axes:
        return expr
    order = (*(a for a in range(expr.rank) if a not in axes), *axes)
    result = Apply(row, (nodes.permute(expr, order),), (len(axes),))
    return keep(result, axes) if keepdims else result


def max(x: Any, *others: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The largest entry, of all or along an axis; of several arguments the larger, entry by entry."""
    _no_axis("max", others, axis, keepdims)
    return maximum(x, *others) if others else _extreme(tensorial.amax, x, axis, keepdims)


def min(x: Any, *others: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The smallest entry, of all or along an axis; of several arguments the smaller, entry by entry."""
    _no_axis("min", others, axis, keepdims)
    return minimum(x, *others) if others else _extreme(tensorial.amin, x, axis, keepdims)


def _no_axis(name: str, others: Sequence[Any], axis: Axis, keepdims: bool) -> None:
    if others and (axis is not None or keepdims):
        raise ShapeMismatch(
            f"{name} of several arguments works entry by entry and has no axis",
            hint=f"{name}(x, axis=0) is along an axis; concat(x, y) joins vectors",
        )


def argmax(x: Any, axis: int | None = None) -> Expr:
    """The index of the first largest entry. It has no derivative; stop(argmax(x)) is a constant."""
    x = as_expr(x)
    if axis is None and x.rank != 1:
        raise ShapeMismatch("argmax needs a vector, or axis=", hint="argmax(X, axis=1)")
    return Apply(tensorial.argmax, (to_last(x, axis or 0)[0],))


def first_max(x: Any, axis: Axis = None) -> Expr:
    """1 at the first largest entry, 0 elsewhere."""
    return _indicator(tensorial.first_max, x, axis)


def first_min(x: Any, axis: Axis = None) -> Expr:
    """1 at the first smallest entry, 0 elsewhere."""
    return _indicator(tensorial.first_min, x, axis)


def _indicator(row: Tensorial, x: Any, axis: Axis) -> Expr:
    x = as_expr(x)
    axes = axes_of(x, axis)
    order = (*(a for a in range(x.rank) if a not in axes), *axes)
    back = tuple(order.index(a) for a in range(x.rank))
    return nodes.permute(Apply(row, (nodes.permute(x, order),), (len(axes),)), back)


def softmax(x: Any, axis: int = -1) -> Expr:
    """exp(x)/Σ exp(x) along an axis, the last one if none is named."""
    moved, back = to_last(at_least_vector(x, "softmax"), axis)
    return nodes.permute(Apply(tensorial.softmax, (moved,)), back)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """Log Σ exp(x) over all entries, or along an axis."""
    x = at_least_vector(x, "logsumexp")
    axes = axes_of(x, axis)
    result = nodes.permute(x, (*(a for a in range(x.rank) if a not in axes), *axes))
    for _ in axes:
        result = Apply(tensorial.logsumexp, (result,))
    return keep(result, axes) if keepdims else result


def at_least_vector(x: Any, name: str) -> Expr:
    """`x` as an expression; raises ShapeMismatch, naming the function, where it is a scalar."""
    expr = as_expr(x)
    if not expr.rank:
        raise ShapeMismatch(f"{name} needs a vector or a matrix, not a scalar")
    return expr


def norm(x: Any, ord: Order = None, axis: Axis = None, keepdims: bool = False) -> Expr:
    """The root of the sum of squares: Euclidean for a vector, Frobenius for a matrix; or of another order."""
    x = as_expr(x)
    axes = axes_of(x, axis)
    if keepdims:
        return keep(norm(x, ord, axis), axes) if axes else norm(x, ord, axis)
    if ord == 1 and len(axes) == 1:
        return norm1(x, axis)
    if len(axes) == 2 and ord in ("nuc", 2):
        lead = tuple(a for a in range(x.rank) if a not in axes)
        return (la.nuclear_norm if ord == "nuc" else la.spectral_norm)(nodes.permute(x, (*lead, *axes)))
    if ord not in (None, "fro") and not (ord == 2 and len(axes) <= 1):
        found = norm_of_order(x, ord, axes)
        if found is None:
            shown = ord if isinstance(ord, int | str) else "p"
            raise ShapeMismatch(
                f"norm(..., {shown}) of {_kind(len(axes))} is not in the language",
                hint="norm(x, p) and norm(x, inf) are of a vector or along an axis; "
                "a matrix has norm(X), norm(X, 1), norm(X, inf), norm(X, 2) and norm(X, 'nuc')",
            )
        return found
    if not axes:
        return abs(x)
    order = (*(a for a in range(x.rank) if a not in axes), *axes)
    return Apply(tensorial.norm, (nodes.permute(x, order),), (len(axes),))


def norm1(x: Any, axis: Axis = None) -> Expr:
    """The sum of the absolute values of the entries."""
    return sum(abs(x), axis)


def unit(x: Any, axis: Axis = None) -> Expr:
    """x/‖x‖."""
    return _indicator(tensorial.unit, x, axis)


# ---------------------------------------------------------------- matrices


def _kind(rank: int) -> str:
    return {0: "a scalar", 1: "a vector", 2: "a matrix"}.get(rank, f"a tensor with {rank} axes")


def _need(x: Any, rank: int, name: str) -> Expr:
    expr = as_expr(x)
    if expr.rank != rank:
        raise ShapeMismatch(f"{name} needs {_kind(rank)}, not {_kind(expr.rank)}")
    return expr


def tr(X: Any) -> Expr:
    """The sum of the diagonal of a square matrix."""
    X = _need(X, 2, "the trace")
    require_square(X.shape, "the trace")
    return nodes.einsum("ii->", X)


def require_square(shape: Shape, name: str) -> None:
    """Raises ShapeMismatch with the two sizes unless they agree."""
    if shape[0] != shape[1]:
        raise ShapeMismatch(
            f"{name} needs a square matrix, not one of {shape[0]} × {shape[1]}", dims=(shape[0], shape[1])
        )


def det(X: Any) -> Expr:
    """The determinant."""
    return Apply(tensorial.det, (as_expr(X),))


def logdet(X: Any) -> Expr:
    """Log |det X|."""
    return Apply(tensorial.logdet, (as_expr(X),))


def inv(X: Any) -> Expr:
    """The inverse matrix."""
    return Apply(tensorial.inv, (as_expr(X),))


def adj(X: Any) -> Expr:
    """The adjugate of an invertible matrix, det(X) X⁻¹."""
    return det(X) * inv(X)


def solve(A: Any, b: Any) -> Expr:
    """A⁻¹ b."""
    return nodes.matmul(inv(A), as_expr(b))


def matrix_power(X: Any, k: int) -> Expr:
    """The k-fold matrix product of X; of its inverse for negative k."""
    return Apply(tensorial.matrix_power, (as_expr(X),), (k,))


def diag(x: Any) -> Expr:
    """A vector as diagonal matrix, or the diagonal of a square matrix."""
    x = as_expr(x)
    if x.rank == 1:
        return nodes.einsum("i->ii", x)
    X = _need(x, 2, "diag")
    require_square(X.shape, "diag")
    return nodes.einsum("ii->i", X)


def outer(a: Any, b: Any) -> Expr:
    """A bᵀ."""
    return nodes.einsum("i,j->ij", _need(a, 1, "outer"), _need(b, 1, "outer"))


def dot(a: Any, b: Any) -> Expr:
    """The product of NumPy's dot: scalars multiply, vectors and matrices contract."""
    a, b = as_expr(a), as_expr(b)
    return nodes.matmul(a, b) if a.rank and b.rank else nodes.multiply(a, b)


def vec(X: Any) -> Expr:
    """The columns of a matrix, one below the other."""
    X = as_expr(X)
    if X.rank < 2:
        return X if X.rank else Stack((X,))
    m, n = _need(X, 2, "vec").shape
    return nodes.einsum("ij,aji->a", X, Apply(constants.MERGE, (), (n, m)))


def merge(*dims: Size) -> Expr:
    """The constant tensor with axes (product, *dims) that regroups axes in row-major order."""
    return Apply(constants.MERGE, (), tuple(map(Dim.of, dims)))


def kron(a: Any, b: Any, columns: bool = False) -> Expr:
    """The Kronecker product. A vector beside a matrix is a row, as in NumPy, or a column for `columns`."""
    a, b = as_expr(a), as_expr(b)
    if not a.rank or not b.rank:
        return nodes.multiply(a, b)
    rank = builtins.max(a.rank, b.rank)
    if rank > 2:
        raise ShapeMismatch(f"kron needs vectors or matrices, not {_kind(rank)}")
    operands, labels, output = [a, b], [list(range(a.rank)), list(range(4, 4 + b.rank))], []
    for axis in range(rank):
        mine = axis if columns else axis - (rank - a.rank)
        theirs = axis if columns else axis - (rank - b.rank)
        if not 0 <= mine < a.rank:
            output.append(4 + theirs)
        elif not 0 <= theirs < b.rank:
            output.append(mine)
        else:
            operands.append(merge(a.shape[mine], b.shape[theirs]))
            labels.append([8 + axis, mine, 4 + theirs])
            output.append(8 + axis)
    return Einsum(ONE, operands, labels, output)


def concat(*parts: Any, axis: int = 0) -> Expr:
    """The parts one after the other along an axis; a scalar counts as a vector of one."""
    items = [
        as_expr(p) for p in (parts[0] if len(parts) == 1 and isinstance(parts[0], list | tuple) else parts)
    ]
    if not items:
        raise ShapeMismatch("concat needs at least one part", hint="concat(w, b)")
    rank = builtins.max(1, *(p.rank for p in items))
    if any(p.rank not in (rank, 0 if rank == 1 else rank) for p in items):
        raise ShapeMismatch(
            "the parts of concat have different numbers of axes",
            hint="x[None, :] gives a vector a first axis",
        )
    if not -rank <= axis < rank:
        raise ShapeMismatch(f"axis {axis} does not exist", hint="axes count from 0, and from −1 backwards")
    axis %= rank
    first = next((p for p in items if p.rank == rank), items[0])
    for part in items:
        for k in range(part.rank):
            if k != axis:
                require_same(first.shape[k], part.shape[k], "are the sizes of parts that concat cannot join")
    counts = [p.shape[axis] if p.rank else Dim.of(1) for p in items]
    total = reduce(lambda m, n: m + n, counts)
    start, terms = Dim.of(0), []
    for part, count in zip(items, counts, strict=True):
        if part.rank:
            terms.append(placed(part, start, total, axis))
        else:
            place = Apply(constants.BASIS, (), (start, total))
            terms.append(nodes.einsum("t,->t", place, part))
        start = start + count
    return nodes.add(*terms)


def stack(*entries: Any, axis: int = 0) -> Expr:
    """Entries of one shape along a new axis, the first if none is named; stack(a, b) is a vector."""
    items = entries[0] if len(entries) == 1 and isinstance(entries[0], list | tuple) else entries
    if not items:
        raise ShapeMismatch("a vector needs at least one entry", hint="[a, b]")
    parts = [as_expr(e) for e in items]
    for part in parts[1:]:
        if part.rank != parts[0].rank:
            raise ShapeMismatch(
                f"the entries differ: {_kind(parts[0].rank)} and {_kind(part.rank)}",
                hint="concat(x, y) joins vectors and scalars",
            )
        for a, b in zip(parts[0].shape, part.shape, strict=True):
            require_same(a, b, "are the sizes of entries that stand together")
    made = Stack(parts)
    return moveaxis(made, 0, axis) if axis else made


def eye(n: Size, m: Size | None = None) -> Expr:
    """The identity matrix."""
    if m is not None and Dim.of(m) != Dim.of(n):
        raise ShapeMismatch("eye is square here", hint="eye(n)")
    return nodes.identity((Dim.of(n),))


def ones(*shape: Any) -> Expr:
    """1 in every entry: ones(n), ones(m, n), ones((m, n))."""
    return number(1, _sizes(shape))


def zeros(*shape: Any) -> Expr:
    """0 in every entry."""
    return number(0, _sizes(shape))


def _sizes(shape: tuple[Any, ...]) -> Shape:
    items = shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape
    return tuple(Dim.of(d) for d in items)


def ones_like(x: Any) -> Expr:
    """1 in every entry of the shape of x."""
    return number(1, as_expr(x).shape)


def zeros_like(x: Any) -> Expr:
    """0 in every entry of the shape of x."""
    return number(0, as_expr(x).shape)


def einsum(spec: str, *operands: Any) -> Expr:
    """A product written with letters: einsum('ij,j->i', A, x). Without an arrow single letters stay.

    >>> from chainrule.expr.nodes import Variable
    >>> n = Dim.of("n")
    >>> einsum("ij,j", Variable("A", (n, n)), Variable("x", (n,))).shape
    (Dim(n),)
    """
    parts = [as_expr(o) for o in operands]
    text = spec.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if "..." in text and len(inputs) == len(parts):
        inputs, right = ellipsis_letters(inputs, right if arrow else None, [p.rank for p in parts])
        left, arrow = ",".join(inputs), "->"
    bad = next((c for c in left.replace(",", "") + right if not (c.isascii() and c.isalpha())), "")
    if bad:
        raise ShapeMismatch(f"`{bad}` in the specification of einsum is not a letter", hint=EINSUM)
    if not arrow:
        joined = "".join(inputs)
        right = "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    if len(inputs) != len(parts):
        raise ShapeMismatch(f"einsum names {len(inputs)} operands and has {len(parts)}", hint=EINSUM)
    sizes: dict[str, Dim] = {}
    for letters, part in zip(inputs, parts, strict=True):
        if len(letters) != part.rank:
            raise ShapeMismatch(f"`{letters}` names {len(letters)} axes of {_kind(part.rank)}", hint=EINSUM)
        for letter, dim in zip(letters, part.shape, strict=True):
            require_same(
                sizes.setdefault(letter, dim), dim, f"are two sizes for the letter {letter} of einsum"
            )
    missing = next((c for c in right if c not in sizes), "")
    if missing:
        raise ShapeMismatch(f"the letter {missing} after -> stands on no operand", hint=EINSUM)
    return nodes.einsum(",".join(inputs) + "->" + right, *parts)


# ---------------------------------------------------------------- how the parser calls them


@dataclass(frozen=True, slots=True)
class Entry:
    """How a function is called.

    takes     a letter for each argument: x expression, d size, i integer, o integer or text, s text, l list,
              n size or integer, or brackets of such
    optional  how many of the last ones may be left out
    many      whether the last one repeats
    forces    whether a scalar argument makes no sense, which shape inference uses
    expressions  the keywords whose values are expressions; those of `keywords` are integers or texts
    tells     a sentence about how given arguments are understood, "" if there is nothing to tell
    """

    build: Callable[..., Expr]
    takes: str = "x"
    keywords: tuple[str, ...] = ()
    optional: int = 0
    many: bool = False
    forces: bool = False
    expressions: tuple[str, ...] = ()
    tells: Callable[..., str] | None = None

    @property
    def summary(self) -> str:
        """Its meaning in a sentence."""
        return (self.build.__doc__ or "").split("\n")[0]


def _table() -> dict[str, Entry]:
    axis, reduction, spaced = ("axis",), ("axis", "keepdims"), ("stride", "padding", "dilation")
    entries = {
        row.__name__: Entry(row)
        for row in (
            exp, log, sqrt, abs, sign, sin, cos, tan, sinh, cosh, tanh, arcsin, arccos, arctan,
            log1p, expm1, erf, erfc, relu,
            sigmoid, softplus, floor, round, stop, square, tr, det, logdet, inv, adj, diag,
            ones_like, zeros_like,
        )
    }  # fmt: skip
    entries |= {
        row.__name__: Entry(row, forces=True)
        for row in (
            la.cholesky, la.eigvalsh, la.eigvecsh, la.expm, la.halftril, la.halftriu, la.inverse_gaps,
            la.nuclear_norm, la.pinv, la.polar, la.spectral_norm, la.svd_left, la.svd_right, la.svdvals,
            la.top_left, la.top_right, la.vech, la.eigh, la.slogdet, la.svd,
        )
    }  # fmt: skip
    entries |= {
        "tril": Entry(la.tril, "xi", ("k",), optional=1, forces=True),
        "triu": Entry(la.triu, "xi", ("k",), optional=1, forces=True),
        "elimination": Entry(la.elimination, "d"),
        "inner": Entry(la.inner, "xx", forces=True), "vdot": Entry(la.vdot, "xx", forces=True),
        "polar_frechet": Entry(la.polar_frechet, "xx"), "expm_frechet": Entry(la.expm_frechet, "xx"),
        "expm_frechet2": Entry(la.expm_frechet2, "xxx"), "expm_frechet3": Entry(la.expm_frechet3, "xxxx"),
    }  # fmt: skip
    entries |= {
        row.__name__: Entry(row, "x", reduction, forces=True) for row in (sum, mean, logsumexp)
    }  # fmt: skip
    entries |= {
        row.__name__: Entry(row, "x", axis, forces=True)
        for row in (argmax, softmax, norm1, unit, first_max, first_min)
    }
    entries |= {
        "where": Entry(where, "xxx"), "power": Entry(power, "xx"), "hypot": Entry(hypot, "xx"),
        "clip": Entry(clip, "xxx"),
        "maximum": Entry(maximum, "xx", many=True), "minimum": Entry(minimum, "xx", many=True),
        "max": Entry(max, "x", reduction, many=True, forces=True),
        "min": Entry(min, "x", reduction, many=True, forces=True),
        "norm": Entry(norm, "xo", ("ord", *reduction), optional=1, forces=True), "norm2": Entry(norm,
        "x", axis, forces=True),
        "solve": Entry(solve, "xx"), "matrix_power": Entry(matrix_power, "xi"), "outer": Entry(outer, "xx"),
        "transpose": Entry(transpose, "xn", optional=1, many=True, forces=True),
        "vec": Entry(vec, forces=True),
        "dot": Entry(dot, "xx", forces=True), "kron": Entry(kron, "xx", forces=True),
        "matmul": Entry(nodes.matmul, "xx"), "multiply": Entry(nodes.multiply, "xx"),
        "concat": Entry(concat, "l", axis, many=True), "stack": Entry(stack, "l", axis, many=True),
        "window": Entry(window, "nnnnnn"), "windows": Entry(windows, "xn", spaced), "conv1d":
        Entry(conv1d, "xx", spaced), "conv2d": Entry(conv2d, "xx", spaced),
        "overlap_add": Entry(overlap_add, "xn", spaced),
        "avg_pool1d": Entry(avg_pool1d, "xn", ("stride", "padding")),
        "avg_pool2d": Entry(avg_pool2d, "xn", ("stride", "padding")),
        "max_pool1d": Entry(max_pool1d, "xn", ("stride",)),
        "max_pool2d": Entry(max_pool2d, "xn", ("stride",)),
        "conv_transpose1d": Entry(conv_transpose1d, "xxn", spaced),
        "conv_transpose2d": Entry(conv_transpose2d, "xxn", spaced),
        "rnn_step": Entry(rnn_step, "xxxxx"), "lstm_step": Entry(lstm_step, "xxxxxx"),
        "gru_step": Entry(gru_step, "xxxxxx"),
        "one_hot": Entry(one_hot, "xn"), "take": Entry(take, "xxi", axis, optional=1),
        "embedding": Entry(embedding, "xx"), "pick": Entry(pick, "xx"),
        "logical_and": Entry(logical_and, "xx"), "logical_or": Entry(logical_or, "xx"),
        "logical_not": Entry(logical_not),
        "reshape": Entry(reshape, "xn", many=True), "flatten": Entry(flatten), "flip": Entry(flip, "x", axis),
        "split": Entry(split, "xn", axis),
        "swapaxes": Entry(swapaxes, "xnn"), "moveaxis": Entry(moveaxis, "xnn"),
        "expand_dims": Entry(expand_dims, "xi", axis, optional=1),
        "squeeze": Entry(squeeze, "xi", axis, optional=1), "tile": Entry(tile, "xn", many=True),
        "repeat": Entry(repeat, "xn", axis), "roll": Entry(roll, "xn", axis), "pad": Entry(pad, "xn"),
        "eye": Entry(eye, "dd", optional=1), "ones": Entry(ones, "d", many=True), "zeros":
        Entry(zeros, "d", many=True),
        "merge": Entry(merge, "d", many=True), "einsum": Entry(einsum, "sx", many=True),
        "vector": Entry(number), "matrix": Entry(number),
    }  # fmt: skip
    aliases = {
        "ln": "log", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "sgn": "sign",
        "absolute": "abs", "trace": "tr",
        "amax": "max", "amin": "min", "σ": "sigmoid", "sigma": "sigmoid", "identity": "eye",
        "concatenate": "concat", "ravel": "flatten", "unsqueeze": "expand_dims",
        "view": "reshape", "permute": "transpose", "inverse": "inv", "diagonal": "diag", "pow": "power",
        "mm": "matmul", "mv": "matmul",
    }  # fmt: skip
    return entries | {alias: entries[name] for alias, name in aliases.items()}


TABLE = _table()
