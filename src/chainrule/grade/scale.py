"""A claim that is a constant times the correct answer: a lost sign, a lost 2, N in place of 1/N."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

from chainrule.expr.names import pretty
from chainrule.grade.case import Case, Found
from chainrule.verify.probe import factor, squeezed
from chainrule.verify.reference import Array

LARGEST = 1000  # numerators and denominators of factors that are named


def scaled(case: Case) -> Iterator[Found]:
    """The claim is c times the correct answer."""
    for view in case.views:
        ratios = [
            _factor(a, view.turn(b))
            for a, b in zip(case.claimed, case.probe.values(case.correct), strict=True)
        ]
        known = [r for r in ratios if r is not None]
        if len(known) < len(ratios) or not known:
            continue
        yield from _named(case, known)
        return


def _factor(a: Array, b: Array) -> float | None:
    if a.shape != b.shape and 1 in (*a.shape, *b.shape):
        a, b = squeezed(a), squeezed(b)
    return factor(a, b)


def _named(case: Case, ratios: list[float]) -> Iterator[Found]:
    for symbols, powers in _monomials(case):
        rest = [r / p for r, p in zip(ratios, powers, strict=True)]
        rational = _rational(rest)
        if rational is None:
            continue
        if not symbols and rational == -1:
            yield Found(10, "sign", "The sign is wrong: the claim is −1 times the correct answer.")
            return
        name = _product(rational, symbols)
        equal_sizes = rational == 1 and len(symbols) == 2 and {p for _, p in symbols} == {1, -1}
        sizes = {n for p in case.probe.points for n in p.sizes}
        if equal_sizes and all(s in sizes for s, _ in symbols):
            a, b = sorted(s for s, _ in symbols)
            text = f"It is {name} times the correct answer, so it is right only where {a} = {b}."
            yield Found(12, "square", text, f"{a} = {b}")
        yield Found(
            14, "factor", f"A constant factor is wrong: the claim is {name} times the correct answer."
        )
        if rational < 0:
            yield Found(15, "sign", "The sign is wrong too.")
        return


Symbols = tuple[tuple[str, int], ...]


def _monomials(case: Case) -> Iterator[tuple[Symbols, list[float]]]:
    """1, then sizes and scalars that are held fixed, and products and quotients of two."""
    points = case.probe.points
    moving = {v.name for v in case.wrt}
    columns: dict[str, list[float]] = {}
    for name in sorted({n for p in points for n in p.sizes}):
        columns[name] = [float(p.sizes[name]) for p in points]
    for v in sorted(case.variables, key=lambda v: v.name):
        if not v.rank and v.name not in moving and all(v.name in p.values for p in points):
            columns[v.name] = [float(p.values[v.name]) for p in points]
    yield (), [1.0] * len(points)
    singles = [(name, power) for name in columns for power in (1, -1, 2, -2)]
    for name, power in singles:
        yield ((name, power),), [v**power for v in columns[name]]
    for (a, p), (b, q) in product(singles, singles):
        if a < b and abs(p) == abs(q) == 1:
            values = [u**p * v**q for u, v in zip(columns[a], columns[b], strict=True)]
            yield ((a, p), (b, q)), values


def _rational(values: list[float]) -> Fraction | None:
    """The simple fraction that all of them are, if there is one."""
    first = values[0]
    if abs(first) > LARGEST * LARGEST or any(abs(v - first) > 1e-7 * abs(first) for v in values):
        return None
    found = Fraction(first).limit_denominator(LARGEST)
    near = abs(float(found) - first) < 1e-7 * abs(first)
    return found if near and 0 < abs(found.numerator) <= LARGEST else None


def _product(rational: Fraction, symbols: Symbols) -> str:
    """2N, N/2, −1/n as text.

    >>> _product(Fraction(2), (("N", -1),)), _product(Fraction(-1, 2), ())
    ('2/N', '−1/2')
    """
    raised = {2: "²"}
    above = [pretty(s) + raised.get(p, "") for s, p in symbols if p > 0]
    below = [pretty(s) + raised.get(-p, "") for s, p in symbols if p < 0]
    top = abs(rational.numerator)
    if top != 1 or not above:
        above.insert(0, str(top))
    if rational.denominator != 1:
        below.insert(0, str(rational.denominator))
    under = f"({' '.join(below)})" if len(below) > 1 else "".join(below)
    text = " ".join(above) + (f"/{under}" if below else "")
    return ("−" if rational < 0 else "") + text
