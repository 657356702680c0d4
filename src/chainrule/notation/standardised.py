"""Normalised values in derivatives: (e·g) e/(n s) is (x̂·g) x̂/n with x̂ = e/√s and s = ‖e‖²/n + ε.

In: expressions. Out: the expressions of the same value with pairs of deviations and powers of their spread
written by normalised values, and those values. Literature on layer, batch and root mean square normalisation
writes gradients so; it is no canonical form, so only a print asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, constant_of, number
from chainrule.expr.walk import topological, transform
from chainrule.rules.elementwise import power
from chainrule.simplify.normal import scaled, split

HALF = Fraction(1, 2)
Labels = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """s = mean(e²) + ε, along some axes of e.

    deviations  e
    kept        the axes of e that s has
    sign        −1 where −e reads better
    value       x̂ = ±e/√s
    """

    deviations: Expr
    kept: Labels
    sign: int
    value: Expr


def standardised(exprs: Sequence[Expr]) -> tuple[list[Expr], dict[Expr, Expr]]:
    """The expressions by normalised values, and which these are, each with its deviations.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.simplify import simplify
    >>> x, n = Variable("x", (Dim.of("n"),)), number(Dim.of("n"))
    >>> s = simplify((x * x).sum() / n + 1)
    >>> found = simplify(x * s ** -HALF)
    >>> [v.shape for v in standardised([found * found.sum()])[1]]
    [(Dim(n),)]
    """
    spreads: dict[Expr, Spread] = {}
    for node in topological(exprs):
        base, exponent = _power(node)
        if exponent is not None and exponent < 0 and exponent.denominator == 2:
            found = _spread(base)
            if found is not None:
                spreads[base] = found
    if not spreads:
        return list(exprs), {}
    memo: dict[Expr, Expr] = {}
    result = [transform(expr, lambda node: _written(node, spreads), memo) for expr in exprs]
    return result, {s.value: s.deviations for s in spreads.values()}


def _power(node: Expr) -> tuple[Expr, Fraction | None]:
    """Base and exponent, if the exponent is a number."""
    if isinstance(node, Apply) and node.function is power:
        constant = constant_of(node.arguments[1])
        if constant is not None and not constant.powers:
            return node.arguments[0], Fraction(constant.rational)
    return node, None


def _spread(s: Expr) -> Spread | None:
    """What a sum is the spread of: its terms are a mean of squares and a number without axes of its own."""
    if not isinstance(s, Sum) or len(s.terms) != 2:
        return None
    for squares, rest in (s.terms, s.terms[::-1]):
        for e, kept in _squared(squares) if _is_number(rest) else ():
            turned = isinstance(e, Sum) and _negative(e)
            shown = Sum([scaled(-c, b) for c, b in map(split, e.children)]) if turned else e
            axes = tuple(range(e.rank))
            root = Apply(power, (s, number(Coefficient.of(-HALF), s.shape)))
            return Spread(e, kept, -1 if turned else 1, Einsum(ONE, (shown, root), (axes, kept), axes))
    return None


def _is_number(term: Expr) -> bool:
    """Whether a term has no axes of its own: ε, for every row."""
    parts = term.operands if isinstance(term, Einsum) else (term,)
    return constant_of(term) is not None or all(not part.rank for part in parts)


def _squared(term: Expr) -> Iterator[tuple[Expr, Labels]]:
    """The deviations e and the axes that are left, of Σ e²/n."""
    if not isinstance(term, Einsum) or not term.coefficient.powers:
        return
    if len(term.operands) == 1 and isinstance(term.operands[0], Einsum) and not term.rank:
        term = term.operands[0]
    if len(term.operands) != 1 or len(set(term.labels[0])) < len(term.labels[0]):
        return
    base, exponent = _power(term.operands[0])
    if exponent == 2 and set(term.output) < set(term.labels[0]):
        yield base, tuple(term.labels[0].index(a) for a in term.output)


def _negative(e: Sum) -> bool:
    """Whether the data stands with a minus sign: mean(x) − x."""
    plain = [c for c, body in map(split, e.terms) if isinstance(body, Variable)]
    return bool(plain) and plain[0].rational < 0


def _written(node: Expr, spreads: dict[Expr, Spread]) -> Expr:
    """A product with as many deviations over the root of their spread as there are, or in none at all."""
    if not isinstance(node, Einsum):
        return node
    for k, operand in enumerate(node.operands):
        base, exponent = _power(operand)
        if exponent is None or base not in spreads or exponent >= 0:
            continue
        spread = spreads[base]
        places = _places(node, spread, node.labels[k])
        left = exponent + len(places) * HALF
        if not places or left not in (0, -HALF):
            continue
        operands, labels, coefficient = list(node.operands), list(node.labels), node.coefficient
        for place in places:
            operands[place] = _replaced(operands[place], spread)
        if len(places) % 2 and spread.sign < 0:
            coefficient = -coefficient
        if left:
            operands[k] = Apply(power, (base, number(Coefficient.of(left), base.shape)))
        else:
            del operands[k], labels[k]
        return Einsum(coefficient, operands, labels, node.output, dict(enumerate(node.sizes)))
    return node


def _places(node: Einsum, spread: Spread, axes: Labels) -> list[int]:
    """The factors that are deviations on the rows of the spread, or hold them once in a closed product."""
    places = []
    for j, (operand, own) in enumerate(zip(node.operands, node.labels, strict=True)):
        direct = operand is spread.deviations and tuple(own[a] for a in spread.kept) == axes
        closed = not axes and not operand.rank and isinstance(operand, Einsum)
        if direct or (closed and isinstance(operand, Einsum) and _times_in(operand, spread) == 1):
            places.append(j)
    return places


def _times_in(product: Einsum, spread: Spread) -> int:
    return sum(o is spread.deviations for o in product.operands)


def _replaced(operand: Expr, spread: Spread) -> Expr:
    if operand is spread.deviations:
        return spread.value
    assert isinstance(operand, Einsum)
    inside = [spread.value if o is spread.deviations else o for o in operand.operands]
    return Einsum(operand.coefficient, inside, operand.labels, operand.output, dict(enumerate(operand.sizes)))
