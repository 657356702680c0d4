"""One instance of an array: the graph of its entry at an index along one axis, and back.

In: an expression and an axis. Out: the expression with that axis gone, in which a variable that carried it
is another variable, its instance; or an array of all instances, made from the formula for one of them.
Nothing is summed or simplified here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of, number
from chainrule.expr.walk import rebuild, topological
from chainrule.rules.elementwise import power
from chainrule.rules.table import Constant, Elementwise, Tensorial
from chainrule.rules.tensorial import norm, unit

Place = tuple[Expr, int]
Leaf = Callable[[Expr, int], Expr | None]


def sliced(root: Expr, axis: int, leaf: Leaf) -> Expr | None:
    """The entry of `root` along an axis; `leaf(part, axis)` gives that of a variable or of a closed part.

    A closed part is one whose entries depend on each other: softmax(x) along its axis. None where `leaf`
    gives none, or the axis lies on a diagonal.

    >>> n, k = Dim.of("n"), Dim.of("k")
    >>> X, w, x = Variable("X", (n, k)), Variable("w", (k,)), Variable("x", (k,))
    >>> sliced(X @ w, 0, lambda part, axis: x)
    <i,i-> x, w>
    """
    done: dict[Place, Expr | None] = {}
    stack: list[Place] = [(root, axis)]
    while stack:
        place = stack[-1]
        if place in done:
            stack.pop()
            continue
        needed = _needed(*place)
        missing = [p for p in needed or () if p not in done]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if needed is None:
            done[place] = leaf(*place)
            continue
        parts = [part for part in (done[p] for p in needed) if part is not None]
        done[place] = _built(*place, parts) if len(parts) == len(needed) else None
    return done[root, axis]


def _needed(node: Expr, axis: int) -> list[Place] | None:
    """The parts whose entries make the entry of `node`; None if it is taken as a whole."""
    match node:
        case Variable():
            return None
        case Sum():
            return [(term, axis) for term in node.terms]
        case Einsum():
            label = node.output[axis]
            if node.output.count(label) > 1 or any(labels.count(label) > 1 for labels in node.labels):
                return None
            carriers = zip(node.operands, node.labels, strict=True)
            return [(o, labels.index(label)) for o, labels in carriers if label in labels]
        case Apply():
            row = node.function
            if isinstance(row, Elementwise):
                return [(argument, axis) for argument in node.arguments]
            if isinstance(row, Tensorial):
                batch = node.arguments[0].rank - row.cores(node.parameters)[0]
                if axis < batch or row is unit:
                    return [(argument, axis) for argument in node.arguments]
            return None
        case Stack():
            return [(entry, axis - 1) for entry in node.entries] if axis else None
        case _:
            raise AssertionError(type(node))


def _built(node: Expr, axis: int, parts: list[Expr]) -> Expr:
    """The entry of `node` from those of the parts that it needs."""
    match node:
        case Einsum():
            return without_label(node, node.output[axis], parts)
        case Sum():
            return Sum(parts)
        case Stack():
            return Stack(parts)
        case Apply():
            row = node.function
            if row is unit and axis >= node.rank - node.parameters[0]:
                length = Apply(power, (Apply(norm, node.arguments, node.parameters), number(Fraction(-1))))
                kept = tuple(k for k in range(node.rank) if k != axis)
                lead = tuple(range(node.rank - node.parameters[0]))
                sizes = dict(enumerate(node.shape))
                return Einsum(ONE, (parts[0], length), (kept, lead), kept, sizes)
            return Apply(row, parts, node.parameters)
        case _:
            raise AssertionError(type(node))


def without_label(node: Einsum, label: int, parts: list[Expr]) -> Einsum:
    """The product for one value of a label, from the entries of the operands that carry it, in order."""
    entries = iter(parts)
    operands = [next(entries) if label in labels else o for o, labels in _factors(node)]
    labels = [tuple(a for a in labels if a != label) for labels in node.labels]
    output = tuple(a for a in node.output if a != label)
    return Einsum(node.coefficient, operands, labels, output, dict(enumerate(node.sizes)))


def _factors(node: Einsum) -> list[tuple[Expr, tuple[int, ...]]]:
    return list(zip(node.operands, node.labels, strict=True))


def lifted(root: Expr, instances: Mapping[Expr, tuple[Expr, int]], size: Dim) -> Expr:
    """All instances of `root` along a new first axis: the inverse of `sliced`.

    `instances` gives for each variable that is an instance the array that holds all of them, and the axis.

    >>> n, k = Dim.of("n"), Dim.of("k")
    >>> X, w, x = Variable("X", (n, k)), Variable("w", (k,)), Variable("x", (k,))
    >>> lifted(x @ w, {x: (X, 0)}, n)
    <ij,j->i X, w>
    """
    done: dict[Expr, Expr | None] = {}  # None for what is the same in every instance
    for node in topological([root]):
        if node in instances:
            array, axis = instances[node]
            order = (axis, *(k for k in range(array.rank) if k != axis))
            done[node] = array if not axis else Einsum(ONE, (array,), (tuple(range(array.rank)),), order)
        else:
            parts = [done[child] for child in node.children]
            done[node] = None if all(part is None for part in parts) else _lifted(node, parts, size)
    result = done[root]
    return _repeated(root, size) if result is None else result


def _repeated(node: Expr, size: Dim) -> Expr:
    constant = constant_of(node)
    if constant is not None:
        return number(constant, (size, *node.shape))
    axes = tuple(range(node.rank))
    return Einsum(ONE, (node,), (axes,), (node.rank, *axes), {node.rank: size})


def _lifted(node: Expr, parts: list[Expr | None], size: Dim) -> Expr:
    full = [
        _repeated(child, size) if part is None else part
        for child, part in zip(node.children, parts, strict=True)
    ]
    match node:
        case Einsum():
            label = len(node.sizes)
            operands = [o if p is None else p for o, p in zip(node.operands, parts, strict=True)]
            labels = [a if p is None else (label, *a) for a, p in zip(node.labels, parts, strict=True)]
            sizes = dict(enumerate(node.sizes)) | {label: size}
            return Einsum(node.coefficient, operands, labels, (label, *node.output), sizes)
        case Apply():
            assert not isinstance(node.function, Constant), "a constant is the same in every instance"
            return Apply(node.function, full, node.parameters)
        case Stack():
            rank = node.rank
            stacked = Stack(full)
            return Einsum(ONE, (stacked,), (tuple(range(rank + 1)),), (1, 0, *range(2, rank + 1)))
        case _:
            return rebuild(node, full) if isinstance(node, Sum) else node
