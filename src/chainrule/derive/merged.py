"""Steps of a program of layers put together where a step between them has no use of its own.

In: a Flow. Out: a Flow in which gelu(z) = z ⊙ Φ(z) and a softmax with its loss are one step each: what lies
between a layer and the only step that all its paths lead to, and depends on nothing else that moves, is put
into that step. The gradient by the layer is then one formula, (softmax(Z) − Y)/N.
"""

from __future__ import annotations

from collections.abc import Callable

from chainrule.derive.flow import Flow, Part
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import substitute

# At most so many steps are put into another: a normalisation has more, and is told step by step.
MOST = 5


def merged(steps: Flow, is_start: Callable[[Part], bool]) -> tuple[Flow, frozenset[Variable]]:
    """The flow with inner steps put in, and the symbols of the parts that they lay behind.

    `is_start` says which parts may stand at the beginning of a step.
    """
    order = {part.symbol: k for k, part in enumerate(steps.parts)}
    inner: set[Variable] = set()
    starts: set[Variable] = set()
    for part in steps.parts[:-1]:
        branches = len(steps.users(part.symbol)) > 1
        if branches and part.symbol not in inner and (part.given or is_start(part)):
            found = _between(part, steps, order, is_start)
            if found and not found & starts:
                inner |= found
                starts.add(part.symbol)
    values: dict[Expr, Expr] = {}
    parts: list[Part] = []
    for part in steps.parts:
        value = substitute(part.value, values) if values else part.value
        if part.symbol in inner:
            values[part.symbol] = value
        else:
            parts.append(Part(part.symbol, value, part.whole, part.given))
    return Flow(steps.wrt, tuple(parts)), frozenset(starts)


def _between(
    start: Part, steps: Flow, order: dict[Variable, int], contracts: Callable[[Part], bool]
) -> set[Variable]:
    """The parts through which all paths from `start` lead to one part; none if they read what else moves.

    That part is named, or the output, or the last before something else comes in; no product of a next layer.
    """
    known = {start.symbol}
    found: set[Variable] = set()
    waiting = {order[user.symbol] for user in steps.users(start.symbol)}
    while waiting:
        first = min(waiting)
        waiting.discard(first)
        part = steps.parts[first]
        outside = not set(steps.arguments(part)) <= known
        if contracts(part) and outside:
            return found
        if not waiting:
            if part.given or part is steps.output:
                return known - {start.symbol}
            found = found if outside else known - {start.symbol}
        if part.given or outside:
            return found
        if len(known) > MOST:
            return set()
        known.add(part.symbol)
        waiting |= {order[user.symbol] for user in steps.users(part.symbol)}
    return found
