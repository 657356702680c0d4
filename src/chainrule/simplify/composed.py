"""Convexity by composition: what is made of affine parts by rules that keep a function convex.

In: a canonical expression and the variables that move. Out: "constant", "affine", "convex", "concave" or None
where no rule applies. It needs no derivative, so it holds across the kinks of norms, |x| and maxima.
Source: Boyd and Vandenberghe 2004, section 3.2; Grant, Boyd and Ye 2006.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of
from chainrule.expr.walk import depends_on, topological
from chainrule.rules.elementwise import abs_, power, stop
from chainrule.rules.table import ROWS
from chainrule.rules.tensorial import norm
from chainrule.simplify.definite import Definite

FLAT = ("constant", "affine")
CONVEX = (*FLAT, "convex")
CONCAVE = (*FLAT, "concave")
RISING = {
    "exp": "convex",
    "softplus": "convex",
    "relu": "convex",
    "maximum": "convex",
    "amax": "convex",
    "logsumexp": "convex",
    "log": "concave",
    "minimum": "concave",
    "amin": "concave",
}


def curvature(expr: Expr, moving: Iterable[Variable], definite: Definite) -> str | None:
    """What composition shows of an expression in the moving variables.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.simplify.normal import Normaliser
    >>> x, normal = Variable("x", (Dim.of("n"),)), Normaliser()
    >>> curvature(normal(Apply(norm, (x - 1,), (1,))), [x], Definite(normal))
    'convex'
    """
    variables = list(moving)
    active = depends_on([expr], variables)
    known: dict[Expr, str | None] = {}
    for node in topological([expr]):
        known[node] = _of(node, active, known, definite) if node in active else "constant"
    return known[expr]


def _of(node: Expr, active: set[Expr], known: dict[Expr, str | None], definite: Definite) -> str | None:
    match node:
        case Variable():
            return "affine"
        case Sum() | Stack():
            return _joined([known[child] for child in node.children])
        case Einsum():
            moved = [o for o in node.operands if o in active]
            others = [o for o in node.operands if o not in active]
            if len(moved) != 1:
                return None
            inside = known[moved[0]]
            if inside == "affine":
                return inside
            if node.coefficient.powers and not all(d.is_nonnegative for d, _ in node.coefficient.powers):
                return None
            if not all(map(definite.is_nonnegative, others)):
                return None
            return inside if node.coefficient.rational > 0 else _turned(inside)
        case Apply():
            return _function(node, [known[a] for a in node.arguments], definite)
        case _:
            raise AssertionError(type(node))


def _joined(parts: list[str | None]) -> str | None:
    for word, allowed in (("affine", FLAT), ("convex", CONVEX), ("concave", CONCAVE)):
        if all(part in allowed for part in parts):
            return word
    return None


def _turned(word: str | None) -> str | None:
    return {"convex": "concave", "concave": "convex"}.get(word or "", word)


def _function(node: Apply, inside: list[str | None], definite: Definite) -> str | None:
    row, first = node.function, node.arguments[0]
    if row is stop or ROWS.get(row.name) is not row:
        return None
    if row is power:
        return _power(node, inside[0], definite)
    if row in (abs_, norm):
        above = inside[0] == "convex" and definite.is_nonnegative(first)
        return "convex" if inside[0] in FLAT or above else None
    kind = RISING.get(row.name)
    allowed = CONVEX if kind == "convex" else CONCAVE
    return kind if kind is not None and all(part in allowed for part in inside) else None


def _power(node: Apply, inside: str | None, definite: Definite) -> str | None:
    base, exponent = node.arguments
    constant = constant_of(exponent)
    if constant is None or constant.powers:
        return None
    e = constant.rational
    if e >= 1 and e.denominator == 1 and e % 2 == 0 and inside == "affine":
        return "convex"
    if e >= 1 and inside in CONVEX and definite.is_nonnegative(base):
        return "convex"
    if e < 0 and inside in CONCAVE and definite.is_positive(base):
        return "convex"
    if 0 < e < 1 and inside in CONCAVE and (e.denominator % 2 == 0 or definite.is_nonnegative(base)):
        return "concave"
    return None
