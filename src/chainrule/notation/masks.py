"""Under a mask a function with a kink is one of its branches: relu(z) ⊙ 1[z > 0] = z ⊙ 1[z > 0].

In: an expression. Out: the expression with that done wherever a mask decides about an entry, and what was
used. It is no shorter, so simplification does not do it; a part that a person named may stand only then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, constant_of
from chainrule.expr.walk import rebuild, substitute, transform
from chainrule.notation.piecewise import ABOVE, AT, switch_of, value_at
from chainrule.rules.elementwise import abs_, equal, greater, greater_equal, maximum, minimum, power, relu
from chainrule.simplify import Normaliser
from chainrule.simplify.normal import split

# Functions that are continuous at their kink, so that a mask may hold the border too.
BRANCHED = (relu, abs_, maximum, minimum)
# Where an indicator of (first argument, second) is not 0, by the sign of their difference.
SUPPORT = {greater: {ABOVE}, greater_equal: {AT, ABOVE}, equal: {AT}}


@dataclass(frozen=True, slots=True)
class Masked:
    """`function` is `branch` wherever `mask` is not 0."""

    function: Expr
    branch: Expr
    mask: Expr

    def named(self, names: Mapping[Expr, Expr]) -> Masked:
        """The same with names for parts."""
        return Masked(*(substitute(part, names) for part in (self.function, self.branch, self.mask)))


def under_masks(expr: Expr) -> tuple[Expr, tuple[Masked, ...]]:
    """`expr` with the functions under a mask replaced by their branches, and which were.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import Variable
    >>> y, z = (Variable(c, (Dim.of("n"),)) for c in "yz")
    >>> "relu" in repr(under_masks((Apply(relu, (z,)) - y) * (z > 0))[0])
    False
    """
    found: dict[Masked, None] = {}
    normal = Normaliser()

    def masked(node: Expr) -> Expr:
        if not isinstance(node, Einsum):
            return node
        operands = list(node.operands)
        for k, (mask, axes) in enumerate(zip(node.operands, node.labels, strict=True)):
            side = _side(mask) if len(set(axes)) == len(axes) else None
            if side is None:
                continue
            for j, (operand, own) in enumerate(zip(operands, node.labels, strict=True)):
                if j != k and own == axes:
                    operands[j] = _branches(operand, mask, side, found, normal)
        return rebuild(node, operands) if tuple(operands) != node.operands else node

    return transform(expr, masked, {}), tuple(found)


def _side(mask: Expr) -> tuple[Expr, int] | None:
    """The key whose sign decides, and on which side of 0 the mask is not 0; None for anything else.

    1[z > 0] + ½·1[z = 0] is a mask too.
    """
    terms = mask.terms if isinstance(mask, Sum) else (mask,)
    keys: dict[Expr, set[int]] = {}
    for _, node in map(split, terms):
        switch = switch_of(node)
        if switch is None or not isinstance(node, Apply) or node.function not in SUPPORT:
            return None
        keys.setdefault(switch.key, set()).update(switch.turn * s for s in SUPPORT[node.function])
    (key, sides), *more = keys.items()
    decided = sides - {AT}
    return (key, decided.pop()) if not more and len(decided) == 1 else None


def _branches(
    part: Expr, mask: Expr, side: tuple[Expr, int], found: dict[Masked, None], normal: Normaliser
) -> Expr:
    """A factor with its functions of the key replaced, entry by entry, by what they are on that side.

    Only through sums, products and whole powers, which have a value where the branch is continued to the
    other side.
    """
    key, sign = side
    branches: dict[Expr, Expr] = {}
    kept: set[Expr] = set()
    seen: set[Expr] = set()
    pending = [part]
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        switch = switch_of(node) if isinstance(node, Apply) and node.function in BRANCHED else None
        if switch is not None and switch.key is key:
            branches[node] = value_at(node, switch.turn * sign, switch.turn * sign)
            continue
        inside = _entrywise(node)
        pending += inside
        kept.update(child for child in node.children if child not in inside)
    used = {node: branch for node, branch in branches.items() if node not in kept}
    if not used:
        return part
    found.update(dict.fromkeys(Masked(node, branch, mask) for node, branch in used.items()))
    return normal(substitute(part, {**{node: node for node in kept}, **used}))


def _entrywise(node: Expr) -> list[Expr]:
    """The parts whose entries make the same entry of a node."""
    if isinstance(node, Sum):
        return list(node.terms)
    if isinstance(node, Einsum) and len(set(node.output)) == len(node.output):
        return [o for o, axes in zip(node.operands, node.labels, strict=True) if axes == node.output]
    if isinstance(node, Apply) and node.function is power:
        exponent = constant_of(node.arguments[1])
        whole = exponent is not None and not exponent.powers and exponent.rational.denominator == 1
        whole = whole and exponent is not None and exponent.rational > 0
        return [node.arguments[0]] if whole else []
    return []
