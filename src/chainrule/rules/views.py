"""Products with tensors of zeros and ones as what they do: reshape, gather, windows and their transposes.

In: canonical expressions, in which x[1:], E[ids] and reshape are contractions with select, one_hot and merge.
Out: the same value with nodes of these kinds, for printing and for code. A view is never derived: the
expressions that are derived keep the products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Function, Parameter, Shape
from chainrule.expr.walk import transform
from chainrule.rules.constants import BASIS, MERGE, SELECT
from chainrule.rules.indexing import WINDOW, one_hot
from chainrule.rules.tensorial import amax


@dataclass(frozen=True, slots=True, eq=False)
class View(Function):
    """What a product with a constant tensor does to its other part."""

    name: str
    shape: Callable[[Sequence[Shape], tuple[Parameter, ...]], Shape]

    def result_shape(self, shapes: Sequence[Shape], parameters: tuple[Parameter, ...]) -> Shape:
        return self.shape(shapes, parameters)

    def __repr__(self) -> str:
        return f"<view {self.name}>"


# reshape(X; sizes...): the entries in row-major order.
RESHAPE = View("reshape", lambda shapes, p: tuple(p))
# take(E, ids): E[ids], rows of the first axis.
TAKE = View("take", lambda shapes, p: (*shapes[1], *shapes[0][1:]))
# scatter(G, ids; V): row v is the sum of the G[a] with ids[a] = v.
SCATTER = View("scatter_rows", lambda shapes, p: (p[0], *shapes[0][len(shapes[1]) :]))
# windows(X; spec, ...): windows of the last axes. A spec is the parameters of `window`, one for each axis.
# The result has an axis for the number of the window for each of them, then one for the place in it.
WINDOWS = View(
    "windows",
    lambda shapes, p: (*shapes[0][: len(shapes[0]) - len(p)], *(s[0] for s in p), *(s[1] for s in p)),
)
# overlap_add(G; spec, ...): the sum of windows at their places, the transpose of windows.
OVERLAP = View(
    "overlap_add", lambda shapes, p: (*shapes[0][: len(shapes[0]) - 2 * len(p)], *(s[5] for s in p))
)
# conv(X, K; spec, ...): the cross-correlation of PyTorch, with or without channels and a batch.
CONV = View("conv", lambda shapes, p: _convolved(shapes[0], shapes[1], p))


# conv_transpose(G, K; spec, ...): its transpose.
CONV_TRANSPOSE = View("conv_transpose", lambda shapes, p: _given_back(shapes[0], shapes[1], p))
# max_pool(X; spec, ...): the largest entry of windows that do not overlap.
MAX_POOL = View("max_pool", lambda shapes, p: (*shapes[0][: len(shapes[0]) - len(p)], *(s[0] for s in p)))


def _given_back(g: Shape, kernel: Shape, p: tuple[Parameter, ...]) -> Shape:
    sizes = tuple(spec[5] for spec in p)
    return sizes if len(g) == len(p) else (*g[: len(g) - len(p) - 1], kernel[1], *sizes)


def _convolved(x: Shape, kernel: Shape, p: tuple[Parameter, ...]) -> Shape:
    counts = tuple(spec[0] for spec in p)
    return counts if len(x) == len(p) else (*x[: len(x) - len(p) - 1], kernel[0], *counts)


# part(X; items...): X[1:, 0].
PART = View("part", lambda shapes, p: tuple(item[3] for item in p if item[0] == "slice"))

Factor = tuple[Expr, tuple[int, ...]]
Fold = Callable[["Parts", Factor], bool]


@dataclass(slots=True)
class Parts:
    """A product that is being folded."""

    factors: list[Factor]
    output: tuple[int, ...]
    sizes: dict[int, Dim]
    folds: dict[Function, Sequence[Fold]] = field(default_factory=dict)

    def others(self, label: int, *without: Factor) -> list[Factor]:
        """The factors with a label, but for those named."""
        return [f for f in self.factors if label in f[1] and not any(f is w for w in without)]

    def inner(
        self, group: Sequence[Factor], last: tuple[int, ...], without: Sequence[Factor]
    ) -> Factor | None:
        """The product of some factors with the labels `last` at its end; None if others share these."""
        group = self.closed(group, without)
        rest = [f for f in self.factors if not any(f is g for g in (*group, *without))]
        outside = {a for _, labels in rest for a in labels} | set(self.output)
        if outside & set(last) or len(set(last)) < len(last):
            return None
        held = dict.fromkeys(a for _, labels in group for a in labels)
        lead = tuple(a for a in held if a in outside)
        target = (*lead, *last)
        if len(group) == 1 and group[0][1] == target:
            return group[0]
        self.factors = [f for f in self.factors if not any(f is g for g in group)]
        made = Einsum(ONE, [f for f, _ in group], [labels for _, labels in group], target, self.sizes)
        return _folded(made, self.folds), target

    def closed(self, group: Sequence[Factor], without: Sequence[Factor]) -> list[Factor]:
        """The group with factors that add no axes of their own: what they sum need not stay open."""
        found = list(group)
        held = {a for _, labels in found for a in labels}
        kept = {a for _, labels in without for a in labels}
        for factor in self.factors if len(found) > 1 else ():
            inside = any(factor is g for g in (*found, *without)) or not factor[1]
            if not inside and set(factor[1]) <= held - kept and not set(factor[1]) <= set(self.output):
                found.append(factor)
        return found

    def put(self, gone: Iterable[Factor], made: Factor) -> None:
        left = list(gone)
        self.factors = [f for f in self.factors if not any(f is g for g in left)] + [made]


def fold(expr: Expr, folds: dict[Function, Sequence[Fold]], memo: dict[Expr, Expr]) -> Expr:
    """`expr` with views in every product where one of `folds`, by the tensor it starts at, finds one."""
    return transform(expr, lambda node: _folded(node, folds), memo)


def _folded(made: Expr, folds: dict[Function, Sequence[Fold]]) -> Expr:
    """One node whose parts are folded."""
    if isinstance(made, Apply) and WINDOWS in folds:
        return _named(made)
    if not isinstance(made, Einsum) or not any(_head(o) in folds for o in made.operands):
        return made
    factors = list(zip(made.operands, made.labels, strict=True))
    parts = Parts(factors, made.output, dict(enumerate(made.sizes)), folds)
    return assembled(made, parts) if fold_parts(parts, folds) else made


def _named(node: Apply) -> Expr:
    """max_pool for the largest entry of windows side by side, conv_transpose for an overlapped product."""
    first = node.arguments[0] if node.arguments else node
    if node.function is amax and isinstance(first, Apply) and first.function is WINDOWS:
        beside = all(s[1] == Dim.of(s[2]) and s[3] == 1 and not s[4].terms for s in first.parameters)
        if beside and node.parameters == (len(first.parameters),):
            return Apply(MAX_POOL, first.arguments, first.parameters)
    if node.function is OVERLAP and isinstance(first, Einsum) and len(first.operands) > 1:
        transposed = _conv_transpose(node, first)
        return node if transposed is None else transposed
    return node


def _conv_transpose(node: Apply, inside: Einsum) -> Expr | None:
    """Overlapped products of G with the places of a kernel."""
    m = len(node.parameters)
    front, rest = inside.output[: inside.rank - 2 * m], inside.output[inside.rank - 2 * m :]
    counted, filled = rest[:m], rest[m:]
    summed = {a for labels in inside.labels for a in labels} - set(inside.output)
    if not inside.coefficient.is_one or len(summed) > 1 or len(front) > 2 or bool(front) != bool(summed):
        return None
    kernel, back = (*summed, *front[-1:], *filled), (*front[:-1], *summed, *counted)
    for k, labels in enumerate(inside.labels):
        others = [p for p in range(len(inside.operands)) if p != k]
        held = {a for p in others for a in inside.labels[p]}
        if sorted(labels) == sorted(kernel) and held == set(back):
            sizes = dict(enumerate(inside.sizes))
            given = Einsum(
                ONE, [inside.operands[p] for p in others], [inside.labels[p] for p in others], back, sizes
            )
            alone = len(others) == 1 and inside.labels[others[0]] == back
            first = inside.operands[others[0]] if alone else given
            return Apply(
                CONV_TRANSPOSE, (first, _ordered(inside.operands[k], labels, kernel)), node.parameters
            )
    return None


def fold_parts(parts: Parts, folds: dict[Function, Sequence[Fold]]) -> bool:
    """Folds a product as far as that goes; whether anything changed."""
    changed = False
    while any(
        step(parts, factor)
        for factor in list(parts.factors)
        for step in folds.get(_head(factor[0]), ())  # type: ignore[arg-type]
    ):
        changed = True
    return changed


def assembled(node: Einsum, parts: Parts) -> Expr:
    """The product of the folded parts; a view alone is itself."""
    if len(parts.factors) == 1 and node.coefficient.is_one and parts.factors[0][1] == parts.output:
        if len(set(parts.output)) == len(parts.output):
            return parts.factors[0][0]
    factors, labels = [f for f, _ in parts.factors], [a for _, a in parts.factors]
    return Einsum(node.coefficient, factors, labels, parts.output, parts.sizes)


def _head(factor: Expr) -> Function | None:
    return factor.function if isinstance(factor, Apply) else None


# ---------------------------------------------------------------- gather and scatter


def take(parts: Parts, hot: Factor) -> bool:
    """Σ_v one_hot(ids)_av E_vd = E[ids]_ad."""
    *axes, v = hot[1]
    group = parts.others(v, hot)
    if not group or v in axes or any(set(axes) & set(labels) for _, labels in group):
        return False
    if any(labels.count(v) > 1 for _, labels in group):
        return False
    made = parts.inner(group, (v,), [hot])
    if made is None:
        return False
    table, labels = made
    order = (labels[-1], *labels[:-1])
    assert isinstance(hot[0], Apply)
    rows = Apply(TAKE, (_ordered(table, labels, order), hot[0].arguments[0]))
    parts.put([*group, hot], (rows, (*axes, *order[1:])))
    return True


def scatter(parts: Parts, hot: Factor) -> bool:
    """Σ_a one_hot(ids)_av G_ad: every G[a] added to row ids[a]."""
    *axes, v = hot[1]
    group = list({id(f): f for a in axes for f in parts.others(a, hot)}.values())
    if not axes or not group or any(v in labels for _, labels in group) or set(axes) & set(parts.output):
        return False
    made = parts.inner(group, tuple(axes), [hot])
    if made is None:
        return False
    inside, labels = made
    lead = labels[: len(labels) - len(axes)]
    order = (*axes, *lead)
    assert isinstance(hot[0], Apply)
    rows = Apply(SCATTER, (_ordered(inside, labels, order), hot[0].arguments[0]), hot[0].parameters)
    parts.put([*group, hot], (rows, (v, *lead)))
    return True


def _ordered(expr: Expr, labels: Sequence[int], order: Sequence[int]) -> Expr:
    if tuple(labels) == tuple(order):
        return expr
    number = {a: k for k, a in enumerate(labels)}
    return Einsum(ONE, (expr,), (range(expr.rank),), [number[a] for a in order])


# ---------------------------------------------------------------- reshape


def double_reshape(parts: Parts, merge: Factor) -> bool:
    """Two regroupings of one flat axis: a reshape between two shapes that have no finer one in common."""
    flat = merge[1][0]
    partner = next((f for f in parts.others(flat, merge) if _head(f[0]) is MERGE and f[1][0] == flat), None)
    if partner is None or len(parts.others(flat)) > 2 or flat in parts.output:
        return False
    for here, there in ((merge, partner), (partner, merge)):
        if _regroup(parts, here[1][1:], there[1][1:], [merge, partner]):
            return True
    return False


def reshape(parts: Parts, merge: Factor) -> bool:
    """One regrouping: an axis taken apart, or axes joined."""
    if double_reshape(parts, merge):
        return True
    flat, *pieces = merge[1]
    for here, there in (((flat,), tuple(pieces)), (tuple(pieces), (flat,))):
        if _regroup(parts, here, there, [merge]):
            return True
    return False


def _regroup(parts: Parts, here: tuple[int, ...], there: tuple[int, ...], gone: list[Factor]) -> bool:
    group = list({id(f): f for a in here for f in parts.others(a, *gone)}.values())
    if not group or any(set(there) & set(labels) for _, labels in group):
        return False
    held = {a for _, labels in group for a in labels}
    if not set(here) <= held and not held <= set(here):
        return False  # ones along a missing axis are said only of vectors: reshape(x𝟏ᵀ, 3n)
    if any(_head(f) in (MERGE, WINDOW) for f, _ in group):
        return False
    made = parts.inner(group, here, gone)
    if made is None:
        return False
    inside, labels = made
    lead = labels[: len(labels) - len(here)]
    sizes = tuple(parts.sizes[a] for a in (*lead, *there))
    parts.put([*group, *gone], (Apply(RESHAPE, (inside,), sizes), (*lead, *there)))
    return True


# ---------------------------------------------------------------- windows


def windows(parts: Parts, window: Factor) -> bool:
    """Σ_s window_tks X_s: the windows of X, along all axes of it that have windows."""
    group = parts.others(window[1][2], window)
    together = [window]
    for other in parts.factors:
        if other is window or _head(other[0]) is not WINDOW:
            continue
        if any(other[1][2] in labels for _, labels in group):
            together.append(other)
    group = [g for g in group if not any(g is w for w in together)]
    taken = {a for w in together for a in w[1][:2]}
    if any(w[1][2] in taken for w in together):
        return False  # windows of windows are not windows along two axes
    if not group or any(taken & set(labels) or _head(f) is WINDOW for f, labels in group):
        return False
    held = [a for _, labels in group for a in labels]
    together.sort(key=lambda w: held.index(w[1][2]))
    made = parts.inner(group, tuple(w[1][2] for w in together), together)
    if made is None:
        return False
    view = Apply(WINDOWS, made[:1], tuple(_spec(w) for w in together))
    lead = made[1][: len(made[1]) - len(together)]
    places = [tuple(w[1][k] for w in together) for k in (0, 1)]
    parts.put([*group, *together], (view, (*lead, *places[0], *places[1])))
    return True


def overlap(parts: Parts, window: Factor) -> bool:
    """Σ_tk window_tks G_tk: every window added at its place."""
    group = _carriers(parts, [window])
    together = [window]
    for other in parts.factors:
        shares = any(set(other[1][:2]) & set(labels) for _, labels in group)
        if other is not window and _head(other[0]) is WINDOW and shares:
            together.append(other)
    group = _carriers(parts, together)
    inside = [tuple(w[1][k] for w in together) for k in (0, 1)]
    places = {w[1][2] for w in together}
    if any(places & set(side) for side in inside):
        return False  # windows of windows are not windows along two axes
    if not group or any(places & set(labels) for _, labels in group):
        return False
    if any(_head(f) is WINDOW for f, _ in group):
        return False
    made = parts.inner(group, (*inside[0], *inside[1]), together)
    if made is None:
        return False
    view = Apply(OVERLAP, made[:1], tuple(_spec(w) for w in together))
    lead = made[1][: len(made[1]) - 2 * len(together)]
    parts.put([*group, *together], (view, (*lead, *(w[1][2] for w in together))))
    return True


def _carriers(parts: Parts, together: Sequence[Factor]) -> list[Factor]:
    """The other factors that number or fill these windows."""
    labels = {a for w in together for a in w[1][:2]}
    return [f for f in parts.factors if labels & set(f[1]) and not any(f is w for w in together)]


def _spec(window: Factor) -> tuple[Parameter, ...]:
    assert isinstance(window[0], Apply)
    return window[0].parameters


def convolution(parts: Parts, view: Factor) -> bool:
    """Windows of X times a kernel: conv(X, K)."""
    assert isinstance(view[0], Apply)
    specs = view[0].parameters
    m = len(specs)
    filled = view[1][len(view[1]) - m :]
    counted = view[1][len(view[1]) - 2 * m : len(view[1]) - m]
    lead = view[1][: len(view[1]) - 2 * m]
    kernels = parts.others(filled[0], view)
    if len(kernels) != 1 or any(parts.others(a, view) != kernels for a in filled):
        return False
    kernel, labels = kernels[0]
    channel = lead[-1:]
    summed = {*filled, *channel}
    if summed & set(parts.output) or not set(filled) <= set(labels) or set(counted) & set(labels):
        return False
    if not lead:
        if set(labels) != set(filled):
            return False
        order = filled
    else:
        own = [a for a in labels if a not in summed]
        if len(own) != 1 or own[0] in lead or any(parts.others(a, view) != kernels for a in channel):
            return False
        order = (own[0], *channel, *filled)
    if len(order) != len(labels) or len(lead) > 2 or (lead and m + 1 > view[0].arguments[0].rank):
        return False
    made = Apply(CONV, (view[0].arguments[0], _ordered(kernel, labels, order)), specs)
    target = counted if not lead else (*lead[:-1], order[0], *counted)
    parts.put([view, kernels[0]], (made, target))
    return True


# ---------------------------------------------------------------- parts of tensors


def part(parts: Parts, chosen: Factor) -> bool:
    """Slices and entries of a tensor of more than two axes: X[0, :, 1:]."""
    column = chosen[1][-1]
    group = parts.others(column, chosen)
    if column in parts.output or len(group) != 1 or chosen[1][:-1] == (column,):
        return False
    source, labels = group[0]
    if source.rank < 3 or labels.count(column) > 1 or _head(source) in (BASIS, SELECT, MERGE, WINDOW):
        return False
    assert isinstance(chosen[0], Apply)
    axis = labels.index(column)
    if _head(chosen[0]) is BASIS:
        item: tuple[Parameter, ...] = ("at", chosen[0].parameters[0])
        after = labels[:axis] + labels[axis + 1 :]
    else:
        start, step, count, _ = chosen[0].parameters
        item = ("slice", start, step, count)
        after = (*labels[:axis], chosen[1][0], *labels[axis + 1 :])
    if _head(source) is PART:
        assert isinstance(source, Apply)
        free = [k for k, old in enumerate(source.parameters) if old[0] == "slice"]
        if source.parameters[free[axis]] != _whole(source.shape[axis]):
            return False
        items = list(source.parameters)
        items[free[axis]] = item
        source = source.arguments[0]
    else:
        items = [_whole(dim) for dim in source.shape]
        items[axis] = item
    parts.put([group[0], chosen], (Apply(PART, (source,), tuple(items)), after))
    return True


def _whole(dim: Dim) -> tuple[Parameter, ...]:
    return ("slice", Dim.of(0), 1, dim)


FOR_CODE: dict[Function, Sequence[Fold]] = {
    one_hot: (take, scatter),
    MERGE: (double_reshape,),
    WINDOW: (windows, overlap),
}
FOR_FORMULAS: dict[Function, Sequence[Fold]] = {**FOR_CODE, one_hot: (take,)}
FOR_PRINT: dict[Function, Sequence[Fold]] = {
    one_hot: (take,),
    WINDOW: (windows, overlap),
    WINDOWS: (convolution,),
}
FOR_INDICES: dict[Function, Sequence[Fold]] = {
    **FOR_PRINT,
    MERGE: (reshape,),
    SELECT: (part,),
    BASIS: (part,),
}
