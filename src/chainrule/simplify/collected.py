"""All that two terms of a sum have in common, taken out at once: δ_il Σ_m R_mi X_mk (P − Y)_mj.

In: two products of one shape. Out: the factors at the same places in both, and what is left of each on the
axes that these factors or the result share with it. One factor after the other cannot find this where what
the first leaves behind has more than two axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from chainrule.expr.dims import ONE, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, constant_of, number
from chainrule.rules.elementwise import power
from chainrule.simplify.normal import Normaliser

Labels = tuple[int, ...]
# What has been taken out may be multiplied by a vector or a matrix of what is left.
MOST_AXES = 2


@dataclass(frozen=True, slots=True)
class _Factor:
    base: Expr
    exponent: Fraction
    labels: Labels


def collected(first: Expr, second: Expr, normal: Normaliser) -> Expr | None:
    """The sum of two canonical products as one product; None where they share nothing or leave too much.

    >>> from chainrule.expr.nodes import Variable, einsum
    >>> from chainrule.simplify.normal import Normaliser
    >>> n = Dim.of("n")
    >>> A, u, v = Variable("A", (n, n)), Variable("u", (n,)), Variable("v", (n,))
    >>> normal = Normaliser()
    >>> one, other = (normal(einsum("ij,kl,k->ijkl", A, A, w)) for w in (u, v))
    >>> collected(one, other, normal)
    <i,jk,il->jkil (v + u), A, A>
    """
    a, b = _product(first), _product(second)
    if _pattern(a.output) != _pattern(b.output):
        return None
    own, other = _factors(a), _factors(b)
    place = dict(zip(b.output, a.output, strict=True))
    common, left, right = _matched(own, other, place)
    if not common:
        return None
    fresh = len(a.sizes)
    for label in range(len(b.sizes)):
        if label not in place:
            place[label] = fresh
            fresh += 1
    right = [_Factor(f.base, f.exponent, tuple(place[x] for x in f.labels)) for f in right]
    sizes = dict(enumerate(a.sizes)) | {place[k]: dim for k, dim in enumerate(b.sizes)}
    outside = {*a.output, *(x for f in common for x in f.labels)}
    kept = tuple(sorted(outside & {x for f in (*left, *right) for x in f.labels}))
    if len(kept) > MOST_AXES:
        return None
    rest = normal.sum(
        [_made(part.coefficient, factors, kept, sizes, normal) for part, factors in ((a, left), (b, right))]
    )
    return _made(ONE, [*common, _Factor(rest, Fraction(1), kept)], a.output, sizes, normal)


def bases(term: Expr) -> set[Expr]:
    """What a term is a product of powers of."""
    if not isinstance(term, Einsum):
        return {term}
    return {o.children[0] if isinstance(o, Apply) and o.function is power else o for o in term.operands}


def _product(term: Expr) -> Einsum:
    if isinstance(term, Einsum):
        return term
    axes = tuple(range(term.rank))
    return Einsum(ONE, (term,), (axes,), axes)


def _pattern(labels: Labels) -> list[int]:
    return [labels.index(label) for label in labels]


def _factors(term: Einsum) -> list[_Factor]:
    found = []
    for operand, labels in zip(term.operands, term.labels, strict=True):
        exponent = None
        if isinstance(operand, Apply) and operand.function is power:
            exponent = constant_of(operand.arguments[1])
        if exponent is None or exponent.powers:
            found.append(_Factor(operand, Fraction(1), labels))
        else:
            found.append(_Factor(operand.children[0], exponent.rational, labels))
    return found


def _matched(
    own: list[_Factor], other: list[_Factor], place: dict[int, int]
) -> tuple[list[_Factor], list[_Factor], list[_Factor]]:
    """What both have, and what is left of each.

    `place` says which label of the other is which here, and learns it of the summed ones: first where a
    factor hangs on labels that are known, then anywhere.
    """
    common: list[_Factor] = []
    left, right = list(own), list(other)
    anchored = True
    while True:
        pair = next(
            ((f, g) for f in left for g in right if _agree(f, g, place, anchored)),
            None,
        )
        if pair is None:
            if not anchored:
                return common, left, right
            anchored = False
            continue
        f, g = pair
        place.update(zip(g.labels, f.labels, strict=True))
        least = min(f.exponent, g.exponent, key=abs)
        common.append(_Factor(f.base, least, f.labels))
        for rest, whole in ((left, f), (right, g)):
            k = rest.index(whole)
            surplus = whole.exponent - least
            rest[k : k + 1] = [_Factor(whole.base, surplus, whole.labels)] if surplus else []
        anchored = True


def _agree(f: _Factor, g: _Factor, place: Mapping[int, int], anchored: bool) -> bool:
    """Whether two factors are powers of one part at one place, as far as labels are known."""
    if f.base is not g.base or f.exponent * g.exponent < 0:
        return False
    if anchored and g.labels and not any(label in place for label in g.labels):
        return False
    taken = set(place.values())
    known = dict(place)
    for mine, theirs in zip(f.labels, g.labels, strict=True):
        if theirs not in known:
            if mine in taken:
                return False
            known[theirs] = mine
            taken.add(mine)
        if known[theirs] != mine:
            return False
    return True


def _made(
    coefficient: Coefficient,
    factors: list[_Factor],
    output: Labels,
    sizes: dict[int, Dim],
    normal: Normaliser,
) -> Expr:
    operands = [
        f.base if f.exponent == 1 else normal.apply(power, (f.base, number(f.exponent, f.base.shape)))
        for f in factors
    ]
    return normal.product(coefficient, operands, [f.labels for f in factors], output, sizes)
