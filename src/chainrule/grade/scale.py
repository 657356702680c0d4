"""A claim that is a constant times the correct answer: a lost sign, a lost 2, N in place of 1/N."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

from chainrule.expr.names import pretty
from chainrule.expr.nodes import Expr, Sum
from chainrule.expr.walk import substitute, topological
from chainrule.grade.case import Case, Found, same
from chainrule.grade.masks import is_mask
from chainrule.grade.words import formula
from chainrule.verify.probe import close, factor, squeezed
from chainrule.verify.reference import Array

MOST = 80  # nodes of the correct answer that are looked at
LOUD = 1e6  # times rounding: what a value must exceed to tell a factor
COARSE = 10.0  # the same where a claim is rounded to single precision
FEW = 12  # the same where one number is all that is known
SHORT = 24  # characters of a term with what stands around it
EXACT = 1e-7  # up to which a ratio is a number that is named
LARGEST = 1000  # numerators and denominators of factors that are named


def scaled(case: Case) -> Iterator[Found]:
    """The claim is c times the correct answer."""
    correct, noise = case.probe.values(case.correct), case.noise(case.correct)
    loud = COARSE if case.claim.coarse else LOUD
    for view in case.views:
        ratios: dict[int, float] = {}
        for k, (a, b) in enumerate(zip(case.claimed, (view.turn(b) for b in correct), strict=True)):
            if max(abs(a).max(initial=0.0), abs(b).max(initial=0.0)) <= loud * noise[k]:
                continue  # all units are dead or saturated at this point, and it says nothing
            ratio = _factor(a, b, case.claim.tolerance)
            if ratio is None:
                break
            ratios[k] = ratio
        else:
            if ratios:
                named = list(_named(case, ratios))
                yield from named or _proportional(case)
                return
    if all(
        same(abs(a), abs(b), level, case.claim.tolerance)
        for a, b, level in zip(case.claimed, correct, noise, strict=True)
    ):
        yield _signs(case)


def _signs(case: Case) -> Found:
    """The claim is right but for the signs of some entries, or but for sign(...) itself."""
    own = set(topological([case.claim.expr])) if case.claim.expr is not None else set()
    lost = [n for n in topological([case.correct]) if is_mask(n) and n not in own]
    if lost and not any(is_mask(n) for n in own):
        return Found(60, "mask", f"{formula(lost[0])} was left out: the entries are right but for signs.")
    return Found(60, "sign", "The signs of some entries are wrong; without signs the entries are right.")


def _proportional(case: Case) -> Iterator[Found]:
    """What is said of a claim that is the correct answer times something that is not constant."""
    if case.claimed[0].size > 1:
        text = "It is proportional to the correct answer at every point: a scalar factor is missing or wrong."
        yield Found(61, "other", text)


def terms(case: Case) -> Iterator[Found]:
    """One term of the correct answer is there c times: with the wrong sign or number, or not at all."""
    if case.claimed[0].shape != case.probe.value(case.correct, 0).shape:
        return
    simplest = case.simplest
    for node in topological([simplest])[::-1][:MOST]:
        if not isinstance(node, Sum):
            continue
        for k, term in enumerate(node.terms):
            without = substitute(simplest, {node: _sum(node, k)})
            yield from _one_term(case, without, term, simplest)


def _sum(node: Sum, lost: int) -> Expr:
    kept = [term for i, term in enumerate(node.terms) if i != lost]
    return kept[0] if len(kept) == 1 else Sum(kept)


def _one_term(case: Case, without: Expr, term: Expr, whole_answer: Expr) -> Iterator[Found]:
    """The claim is M(0) + c·(M(1) − M(0)), where M(1) is correct and M(0) lacks the term."""
    ratios: dict[int, float] = {}
    for k, claimed in enumerate(case.claimed):
        low, whole = case.probe.value(without, k), case.probe.value(case.correct, k)
        if close(low, claimed, case.floor[k], case.claim.tolerance):
            ratios[k] = 0.0
            continue
        ratio = _factor(claimed - low, whole - low, case.claim.tolerance)
        if ratio is None:
            return
        ratios[k] = ratio
    shown = _spelled(term, whole_answer, without)
    if not any(ratios.values()):
        yield Found(45, "other", f"The term {shown} is missing.")
        return
    if not all(ratios.values()):
        return
    for found in _named(case, ratios):
        if found.code == "sign":
            yield Found(22, "sign", f"The sign of the term {shown} is wrong.")
        elif found.code == "factor":
            times = found.text.split(" is ")[-1].split(" times")[0]
            text = f"A constant factor is wrong: the term {shown} stands there {times} times."
            yield Found(found.rank + 9, "factor", text)


def _spelled(term: Expr, whole: Expr, without: Expr) -> str:
    """A term with what stands around it: −2Xᵀy of 2Xᵀ(Xw − y), where that is short."""
    if isinstance(whole, Sum) and term in whole.terms:
        return formula(term)
    around = formula(whole - without)
    return around if len(around) <= SHORT else formula(term)


def _factor(a: Array, b: Array, tolerance: float) -> float | None:
    if a.shape != b.shape and 1 in (*a.shape, *b.shape):
        a, b = squeezed(a), squeezed(b)
    return factor(a, b, tolerance)


def _named(case: Case, ratios: dict[int, float]) -> Iterator[Found]:
    sizes = {n for p in case.probe.points for n in p.sizes}
    exact = max(EXACT, case.claim.tolerance)
    vague = exact > EXACT or (len(case.claimed) == 1 and not case.claimed[0].ndim)
    for symbols, powers in _monomials(case):
        rest = [ratio / powers[k] for k, ratio in ratios.items()]
        rational = _rational(rest, FEW if vague else LARGEST, exact)
        if rational is None:
            continue
        if not symbols and rational == -1:
            yield Found(10, "sign", "The sign is wrong: the claim is −1 times the correct answer.")
            return
        name = _product(rational, symbols)
        equal_sizes = rational == 1 and len(symbols) == 2 and {p for _, p in symbols} == {1, -1}
        if equal_sizes and all(s in sizes for s, _ in symbols):
            a, b = sorted(s for s, _ in symbols)
            text = f"It is {name} times the correct answer, so it is right only where {a} = {b}."
            yield Found(12, "square", text, f"{a} = {b}")
        # A variable in place of a number is an answer only where nothing else explains it.
        rank = 14 if all(s in sizes for s, _ in symbols) else 36
        if 1 not in (abs(rational.numerator), rational.denominator):
            rank = max(rank, 21)  # nobody loses 2/3
        text = f"A constant factor is wrong: the claim is {name} times the correct answer."
        yield Found(rank, "factor", text)
        if rational < 0:
            yield Found(rank + 1, "sign", "The sign is wrong too.")
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


def _rational(values: list[float], largest: int, exact: float) -> Fraction | None:
    """The simple fraction that all of them are, if there is one."""
    first = values[0]
    if abs(first) > largest or any(abs(v - first) > exact * abs(first) for v in values):
        return None
    found = Fraction(first).limit_denominator(largest)
    near = abs(float(found) - first) < exact * abs(first)
    return found if near and 0 < abs(found.numerator) <= largest else None


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
