"""Reverse accumulation over the graph, once for all requested variables.

In: an expression and the variables. Out: for each variable the derivative as a raw graph, axes = output
axes followed by the variable's axes. Nothing is simplified here; the seed is an identity, which is only a
repeated label, so a Jacobian of any order costs no more structure than a gradient.

The cotangent of a node of shape s has axes output + s. Source: Laue, Mitterreiter, Giesen, NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from chainrule.errors import NoDerivative
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, identity, zeros
from chainrule.expr.walk import depends_on, topological
from chainrule.rules.constants import component
from chainrule.rules.linear_maps import repeated
from chainrule.rules.table import Constant, Elementwise, Tensorial

ZERO_AT_KINK = Fraction(0)


def jacobians(root: Expr, wrt: Sequence[Expr], at_kink: Fraction = ZERO_AT_KINK) -> dict[Expr, Expr]:
    """∂root/∂v for each v in `wrt` (variables, or any nodes of the graph taken as independent).

    `at_kink` is the derivative taken at the kink of relu, and of a maximum or minimum with a constant.
    Shapes: root.shape + v.shape; 0 of that shape where v does not occur.
    Raises: NoDerivative if a function on the way has no derivative rule.

    >>> from chainrule.expr.nodes import Variable
    >>> x = Variable("x", (Dim.of("n"),))
    >>> jacobians(x.sum(), [x])[x].shape
    (Dim(n),)
    """
    return pulled_back(root, identity(root.shape), wrt, at_kink)


def pulled_back(
    root: Expr, upstream: Expr, wrt: Sequence[Expr], at_kink: Fraction = ZERO_AT_KINK
) -> dict[Expr, Expr]:
    """What each v in `wrt` receives when `root` receives `upstream`, whose last axes are those of root.

    With ∂L/∂root as upstream these are the ∂L/∂v: one sweep, and no Jacobian is formed.
    Shapes: the leading axes of upstream + v.shape. Raises: NoDerivative.

    >>> from chainrule.expr.nodes import Variable
    >>> x, g = Variable("x", (Dim.of("n"),)), Variable("g", (Dim.of("n"),))
    >>> pulled_back(2 * x, g, [x])[x].shape
    (Dim(n),)
    """
    lead = upstream.rank - root.rank
    active = depends_on([root], wrt)
    cotangents: dict[Expr, list[Expr]] = {root: [upstream]}
    result: dict[Expr, Expr] = {}
    stops = set(wrt)
    for node in reversed(topological([root])):
        terms = cotangents.pop(node, None)
        if terms is None or node not in active:
            continue
        cotangent = terms[0] if len(terms) == 1 else Sum(terms)
        if node in stops:
            result[node] = cotangent
            continue
        for child, contribution in pullback(node, cotangent, lead, active, at_kink):
            cotangents.setdefault(child, []).append(contribution)
    return {v: result[v] if v in result else zeros(upstream.shape[:lead] + v.shape) for v in wrt}


def pullback(
    node: Expr, cotangent: Expr, lead: int, active: set[Expr], at_kink: Fraction = ZERO_AT_KINK
) -> list[tuple[Expr, Expr]]:
    """What each active child receives from the cotangent of `node`, one entry for each place of it.

    `lead` is the number of output axes.
    """
    match node:
        case Variable():
            return []
        case Einsum():
            return _einsum(node, cotangent, lead, active)
        case Sum():
            return [(term, cotangent) for term in node.terms if term in active]
        case Apply():
            return _apply(node, cotangent, lead, active, at_kink)
        case Stack():
            return [
                (entry, _contract(cotangent, component(k, Dim.of(len(node.entries))), lead))
                for k, entry in enumerate(node.entries)
                if entry in active
            ]
        case _:
            raise AssertionError(type(node))


def _einsum(node: Einsum, cotangent: Expr, lead: int, active: set[Expr]) -> list[tuple[Expr, Expr]]:
    """Product rule: each operand receives the cotangent times the other operands."""
    count = len(node.sizes)
    front = tuple(range(count, count + lead))
    sizes = dict(enumerate(node.sizes)) | dict(zip(front, cotangent.shape[:lead], strict=True))
    contributions: list[tuple[Expr, Expr]] = []
    for k, operand in enumerate(node.operands):
        if operand in active:
            others = node.operands[:k] + node.operands[k + 1 :]
            labels = (front + node.output, *node.labels[:k], *node.labels[k + 1 :])
            target = front + node.labels[k]
            contributions.append(
                (operand, Einsum(node.coefficient, (cotangent, *others), labels, target, sizes))
            )
    return contributions


def _apply(
    node: Apply, cotangent: Expr, lead: int, active: set[Expr], at_kink: Fraction
) -> list[tuple[Expr, Expr]]:
    row = node.function
    assert not isinstance(row, Constant), "a constant depends on nothing"
    assert isinstance(row, Elementwise | Tensorial), f"no kind of row: {row}"
    rules = row.derivatives(at_kink) if isinstance(row, Elementwise) else row.d
    contributions: list[tuple[Expr, Expr]] = []
    for k, argument in enumerate(node.arguments):
        if argument not in active or rules[k] is None:
            continue
        rule = rules[k]
        if isinstance(rule, str) or rule is None:
            raise NoDerivative(
                f"no derivative is known for `{row.name}`",
                hint=f"{row.says}; write stop({row.name}(...)) to treat it as constant",
            )
        back = row.back[k] if isinstance(row, Tensorial) and row.back else None
        if back is not None:
            arguments = [repeated(a, cotangent.shape[:lead]) for a in node.arguments]
            contributions.append((argument, back(*arguments, cotangent, node.parameters)))
            continue
        axes = tuple(range(lead + node.rank))
        if isinstance(row, Elementwise):
            local = rule(*node.arguments, node)
            product = Einsum(ONE, (cotangent, local), (axes, axes[lead:]), axes)
        else:
            local = rule(*node.arguments, node, node.parameters)
            core = row.cores(node.parameters)[k]
            batch = argument.rank - core
            inner = tuple(range(len(axes), len(axes) + core))
            target = axes[: lead + batch] + inner
            product = Einsum(ONE, (cotangent, local), (axes, axes[lead:] + inner), target)
        contributions.append((argument, product))
    return contributions


def _contract(cotangent: Expr, vector: Expr, lead: int) -> Expr:
    """The cotangent with its axis `lead` contracted with a vector."""
    axes = tuple(range(cotangent.rank))
    return Einsum(ONE, (cotangent, vector), (axes, axes[lead : lead + 1]), axes[:lead] + axes[lead + 1 :])
