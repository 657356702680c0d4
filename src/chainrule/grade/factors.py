"""A factor of the correct answer that a claim lacks, or has too often: y − a, exp(z), 1/‖x‖; a power one off.

In: a case. Out: the one factor, not constant, by which the claim and the correct answer differ. Constant ones
are found in `scale`, derivatives of inner functions in `mutants`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product

from chainrule.expr.nodes import Apply, Einsum, Expr, constant_of, divide, elementwise, negate, number
from chainrule.expr.walk import depends_on, rebuild, substitute, topological, tree_size
from chainrule.grade.case import Case, Found
from chainrule.grade.masks import is_mask
from chainrule.grade.mutant import LARGEST, Mutant, short
from chainrule.rules.elementwise import exp
from chainrule.simplify import simplify
from chainrule.verify.probe import close, is_finite
from chainrule.verify.reference import Array

MOST = 80  # parts that are tried
EFFORT = 12_000  # nodes that they have together, where an answer is large
RANK = 46


def factors(case: Case) -> Iterator[Found]:
    """The claim is the correct answer without one factor, or with one too many."""
    found = next(_quotients(case), None)
    if found is not None:
        yield found
        return
    simplest = case.simplest
    most = min(MOST, 8 + EFFORT // len(topological([simplest])))
    yield from (m.tell() for m in islice(_without(simplest), most) if case.matches(m.expr))


# ---------------------------------------------------------------- by values


def _quotients(case: Case) -> Iterator[Found]:
    """A part of the formula that the claim is times the correct answer, in every entry."""
    correct = case.probe.values(case.correct)
    if case.claimed[0].shape != correct[0].shape:
        return
    own = _multiplied(case.claim.expr)
    for sign, part in product((1, -1), _parts(case)):
        values = [sign * value for value in case.probe.values(part)]
        if _all_close(case, case.claimed, [v * c for v, c in zip(values, correct, strict=True)]):
            yield _told(part, sign, too_many=part in own)
        elif _all_close(case, [v * a for v, a in zip(values, case.claimed, strict=True)], correct):
            yield _lost(part if sign > 0 else simplify(negate(part)))


def _all_close(case: Case, left: list[Array], right: list[Array]) -> bool:
    pairs = zip(left, right, case.floor, strict=True)
    return all(is_finite(a) and close(a, b, level, case.claim.tolerance) for a, b, level in pairs)


def _parts(case: Case) -> list[Expr]:
    """Numbers and arrays of the shape of the answer that are no constants, the smallest first."""
    roots = [case.correct, case.simplest, *([case.of] if case.of is not None else [])]
    moving = depends_on(roots, case.variables)
    shapes = ((), case.correct.shape)
    known = [n for n in topological(roots) if n in moving and n.shape in shapes and not is_mask(n)]
    known = [n for n in known if n not in roots[:2]]
    small = sorted({n for n in known if tree_size(n) <= LARGEST}, key=lambda n: (tree_size(n), short(n)))
    return [*small[:MOST], *(n for n in _unlogged(case.of) if n.shape in shapes)]


def _unlogged(of: Expr | None) -> list[Expr]:
    """Σ exp(x) of ln Σ exp(x), which is one function and in whose derivative that sum stands."""
    if not isinstance(of, Apply) or of.function.name != "logsumexp" or of.rank:
        return []
    return [elementwise(exp, of.arguments[0]).sum()]


def _multiplied(claim: Expr | None) -> set[Expr]:
    """The factors that stand in a claim."""
    if claim is None:
        return set()
    simplest = simplify(claim)
    products = (n for n in topological([simplest]) if isinstance(n, Einsum))
    found = {simplest, *(part for node in products for part in node.operands)}
    return {*found, *(base for part in found if (base := _raised(part)) is not None)}


def _raised(part: Expr) -> Expr | None:
    """What a part is a positive power of."""
    if not isinstance(part, Apply) or part.function.name != "power":
        return None
    exponent = constant_of(part.arguments[1])
    return part.arguments[0] if exponent is not None and exponent.rational > 0 else None


def _told(part: Expr, sign: int, too_many: bool) -> Found:
    if too_many:
        return Found(RANK, "other", f"A factor is too many: {short(part)}.")
    return _lost(divide(number(1), part if sign > 0 else simplify(negate(part))))


def _lost(part: Expr) -> Found:
    return Found(RANK, "other", f"A factor is missing: {short(part)}.")


# ---------------------------------------------------------------- by structure


def _without(root: Expr) -> Iterator[Mutant]:
    """The expression without one factor of one product, or with one power more or less by 1."""
    for node in reversed(topological([root])):
        if isinstance(node, Einsum) and node.operands:
            for k, part in enumerate(node.operands):
                if constant_of(part) is None and not is_mask(part):
                    children = [number(1, c.shape) if i == k else c for i, c in enumerate(node.operands)]
                    yield _lacking(substitute(root, {node: rebuild(node, children)}), part)
        if isinstance(node, Apply) and node.function.name == "power":
            base, exponent = node.arguments
            for step in (-1, 1):
                other = simplify(rebuild(node, (base, exponent + step)))
                yield _powered(substitute(root, {node: other}), node, other)


def _lacking(expr: Expr, part: Expr) -> Mutant:
    return Mutant(expr, lambda: _lost(part))


def _powered(expr: Expr, right: Expr, wrong: Expr) -> Mutant:
    def tell() -> Found:
        return Found(RANK, "other", f"A power is wrong: {short(wrong)} stands in place of {short(right)}.")

    return Mutant(expr, tell)
