"""The only place that knows how to go through a graph: order, rebuild, substitute.

Graphs are deep; nothing recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable


def topological(roots: Iterable[Expr], known: Container[Expr] = ()) -> list[Expr]:
    """Every node below the roots, each once, children before parents; not those known, nor what is below."""
    order: list[Expr] = []
    seen: set[Expr] = set()
    # None stands after a node whose children are done when it is met.
    stack: list[Expr | None] = [root for root in reversed(list(roots)) if root not in known]
    while stack:
        node = stack.pop()
        if node is None:
            done = stack.pop()
            assert done is not None
            order.append(done)
        elif node not in seen:
            seen.add(node)
            if not node.children:
                order.append(node)
                continue
            stack += (node, None)
            stack += [child for child in node.children[::-1] if child not in seen and child not in known]
    return order


def rebuild(node: Expr, children: Sequence[Expr]) -> Expr:
    """The same node over other children of the same shapes."""
    if node.children == tuple(children):
        return node
    match node:
        case Einsum():
            return Einsum(node.coefficient, children, node.labels, node.output, dict(enumerate(node.sizes)))
        case Sum():
            return Sum(children)
        case Apply():
            return Apply(node.function, children, node.parameters)
        case Stack():
            return Stack(children)
        case _:
            raise AssertionError(f"{type(node).__name__} has no children")


def transform(root: Expr, change: Callable[[Expr], Expr], memo: dict[Expr, Expr] | None = None) -> Expr:
    """Every node rebuilt bottom-up and passed through `change`, each once.

    `memo` keeps results between calls.
    """
    done: dict[Expr, Expr] = {} if memo is None else memo
    pending: list[Expr] = [root]
    while pending:
        node = pending[-1]
        if node in done:
            pending.pop()
            continue
        missing = [child for child in node.children if child not in done]
        if missing:
            pending += missing[::-1]
            continue
        pending.pop()
        done[node] = change(rebuild(node, [done[c] for c in node.children]))
    return done[root]


def substitute(root: Expr, values: Mapping[Expr, Expr]) -> Expr:
    """`root` with nodes replaced by others of the same shape."""
    done = dict(values)
    return transform(root, lambda node: node, done)


def substitute_dims(root: Expr, values: Mapping[str, Dim]) -> Expr:
    """`root` with named sizes replaced everywhere: in shapes, coefficients and parameters."""
    done: dict[Expr, Expr] = {}
    for node in topological([root]):
        children = [done[c] for c in node.children]
        match node:
            case Variable():
                structure = [_in_structure(word, node.bound, values) for word in node.structure]
                done[node] = Variable(node.name, [d.substitute(values) for d in node.shape], structure)
            case Einsum():
                sizes = {label: dim.substitute(values) for label, dim in enumerate(node.sizes)}
                coefficient = node.coefficient.substitute(values)
                done[node] = Einsum(coefficient, children, node.labels, node.output, sizes)
            case Apply():
                done[node] = Apply(
                    node.function, children, tuple(_in_parameter(p, values) for p in node.parameters)
                )
            case Sum() | Stack():
                done[node] = rebuild(node, children)
            case _:
                raise AssertionError(type(node))
    return done[root]


def _in_structure(word: str, bound: Dim | None, values: Mapping[str, Dim]) -> str:
    """integer(V) with V replaced; any other word as it is."""
    if bound is None or not word.startswith("integer("):
        return word
    return f"integer({bound.substitute(values)})"


def _in_parameter(parameter: object, values: Mapping[str, Dim]) -> object:
    if isinstance(parameter, Dim):
        return parameter.substitute(values)
    if isinstance(parameter, tuple):
        return tuple(_in_parameter(p, values) for p in parameter)
    return parameter


def variables(*roots: Expr) -> tuple[Variable, ...]:
    """The variables below the roots, by name."""
    return tuple(sorted((n for n in topological(roots) if isinstance(n, Variable)), key=lambda v: v.name))


def dim_names(*roots: Expr) -> tuple[str, ...]:
    """The named sizes in shapes and coefficients below the roots, sorted."""
    names: set[str] = set()
    for node in topological(roots):
        names.update(name for dim in node.shape for name in dim.names)
        if isinstance(node, Variable) and node.bound is not None:
            names.update(node.bound.names)
        if isinstance(node, Einsum):
            names.update(node.coefficient.names)
            names.update(name for dim in node.sizes for name in dim.names)
        elif isinstance(node, Apply):
            names.update(name for p in node.parameters for name in _names_in(p))
    return tuple(sorted(names))


def _names_in(parameter: object) -> tuple[str, ...]:
    if isinstance(parameter, Dim):
        return parameter.names
    if isinstance(parameter, tuple):
        return tuple(name for p in parameter for name in _names_in(p))
    return ()


def depends_on(roots: Iterable[Expr], targets: Iterable[Expr]) -> set[Expr]:
    """The nodes below the roots that have one of the targets below them (or are one)."""
    found: set[Expr] = set(targets)
    for node in topological(roots):
        if any(child in found for child in node.children):
            found.add(node)
    return found


def tree_size(root: Expr, memo: dict[Expr, int] | None = None) -> int:
    """Operands and operators in the written-out tree, shared parts counted each time; saturates at 10**9."""
    sizes: dict[Expr, int] = {} if memo is None else memo
    for node in topological([root]):
        if node not in sizes:
            sizes[node] = min(10**9, 1 + sum(sizes[c] for c in node.children))
    return sizes[root]
