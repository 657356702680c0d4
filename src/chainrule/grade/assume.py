"""Claims that are right once something is assumed of a variable: symmetric, orthogonal, positive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chainrule.errors import DomainProblem
from chainrule.expr.dims import ONE
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Variable, constant_of
from chainrule.expr.walk import substitute, topological
from chainrule.grade.case import Case, Found, agreeing
from chainrule.grade.sweep import Sweep
from chainrule.rules.table import Row
from chainrule.verify.probe import KINDS, is_finite, probe

QUICK = ("normal", "positive")  # points that tell most claims from right ones


@dataclass(frozen=True, slots=True)
class Structure:
    """An assumption on a variable, and how it is said."""

    code: str
    words: tuple[str, ...]  # as a declaration names them
    says: str
    ranks: tuple[int, ...]
    square: bool = False
    isolated: bool = False  # values near which there are no others: nothing to differentiate by
    follows: str = ""  # the code of an assumption from which a claim is right already


STRUCTURES = (
    Structure("symmetric", ("symmetric",), "{} is symmetric", (2,), square=True),
    Structure("diagonal", ("diagonal",), "{} is diagonal", (2,), square=True, follows="symmetric"),
    Structure("orthogonal", ("orthogonal",), "{} is orthogonal", (2,), square=True),
    Structure("plus-minus-one", ("sign",), "every entry of {} is 1 or −1", (0, 1, 2), isolated=True),
    Structure("positive", ("positive",), "{} is positive", (0, 1, 2)),
    Structure("sum-to-one", ("simplex",), "the entries of {} sum to one", (1, 2), follows="positive"),
)


def assumed(case: Case) -> Iterator[Found]:
    """The claim is right for values of one variable with a structure that was not declared."""
    if case.claim.expr is None:
        return
    seen: set[tuple[str, Variable]] = set()
    for place, structure in enumerate(STRUCTURES):
        for v in case.variables:
            if (structure.follows, v) in seen:
                continue
            if v.rank not in structure.ranks or set(structure.words) <= set(v.structure):
                continue
            if structure.square and v.shape[0] != v.shape[1]:
                continue
            if structure.isolated and v in case.wrt:
                continue
            if _right_if(case, {v: Variable(v.name, v.shape, (*v.structure, *structure.words))}):
                seen.add((structure.code, v))
                says = structure.says.format(pretty(v.name))
                if structure.code == "plus-minus-one" and not v.rank:
                    says = f"{pretty(v.name)} is 1 or −1"
                if structure.code == "sum-to-one" and v.rank == 2:
                    says = f"the entries of each row of {pretty(v.name)} sum to one"
                sizes = f"[{','.join(map(str, v.shape))}]" if v.rank else ""
                declared = f"{v.name}{sizes}:{structure.words[0]}"
                text = f"They agree when {says}: declare it with  {declared}  if it is."
                if structure.code == "symmetric":
                    text += _leads_to_symmetric(case)
                yield Found(30 + place, structure.code, text, says)
    if not any(code == "symmetric" for code, _ in seen):
        yield from _all_symmetric(case)


def _all_symmetric(case: Case) -> Iterator[Found]:
    """The claim is right once several matrices are symmetric together."""
    square = [v for v in case.variables if v.rank == 2 and v.shape[0] == v.shape[1]]
    plain = [v for v in square if "symmetric" not in v.structure and v not in case.wrt]
    if len(plain) > 1 and _right_if(
        case, {v: Variable(v.name, v.shape, (*v.structure, "symmetric")) for v in plain}
    ):
        says = f"{' and '.join(pretty(v.name) for v in plain)} are symmetric"
        yield Found(39, "symmetric", f"They agree when {says}: declare them so if they are.", says)


def _leads_to_symmetric(case: Case) -> str:
    """Why a person may have taken a matrix for symmetric: one variable in two places."""
    if case.of is None:
        return ""
    uses = Sweep(case.of, case.wrt).uses
    twice = [pretty(v.name) for v in case.wrt if len(uses.get(v, ())) > 1]
    if not twice:
        return ""
    return (
        f"\nWhat usually leads here: {twice[0]} stands in the formula twice, and each place contributes "
        "(total derivative)."
    )


def _right_if(case: Case, changes: dict[Expr, Expr]) -> bool:
    assert case.claim.expr is not None
    exprs = [substitute(e, changes) for e in (case.claim.expr, case.correct)]
    of = [substitute(case.of, changes)] if case.of is not None else []
    known = [v for v in (changes.get(v, v) for v in case.variables) if isinstance(v, Variable)]
    # A Jacobian that is right only when it is transposed too is no answer of a person who assumed something.
    ways = case.views[:1] if case.of is not None and case.of.rank else case.views
    for kinds, cases in (QUICK, False), (KINDS, True):
        try:
            points = probe([*exprs, *of], known, kinds=kinds, cases=cases)
        except (DomainProblem, AssertionError):
            return False
        claimed, correct = (points.values(e) for e in exprs)
        noise = [max(a, b) for a, b in zip(*(points.noise(e) for e in exprs), strict=True)]
        if agreeing(claimed, correct, ways, noise, case.claim.tolerance) is None:
            return False
    return True


def on_manifold(case: Case) -> Iterator[Found]:
    """The claim is G + Gᵀ − G ⊙ I, the derivative among symmetric matrices."""
    if case.claim.expr is None or len(case.wrt) != 1 or case.correct.rank != 2:
        return
    (v,) = case.wrt
    if v.rank != 2 or v.shape[0] != v.shape[1]:
        return
    gradient = case.correct
    diagonal = Einsum(ONE, (gradient,), ((0, 0),), (0, 0))
    among = gradient + gradient.T - diagonal
    name = pretty(v.name)
    text = (
        f"It is G + Gᵀ − G ⊙ I, the derivative among symmetric matrices {name}, where {name}ᵢⱼ and {name}ⱼᵢ "
        "move together; the derivative here takes all entries as independent."
    )
    symmetric = Variable(v.name, v.shape, (*v.structure, "symmetric"))
    if _right_if(replace(case, correct=among), {v: symmetric}):
        says = f"{name} is symmetric and only its entries on and below the diagonal are varied"
        yield Found(29, "symmetric", text, says)


def may_be_partial(claim: Expr, others: Sequence[Expr]) -> bool:
    """Whether the claim has roots or logarithms that neither the formula nor the answer has."""
    known = set(topological(others))
    applied = [n for n in topological([claim]) if isinstance(n, Apply) and n not in known]
    return any(_is_partial(node) for node in applied)


def _is_partial(node: Apply) -> bool:
    row = node.function
    if isinstance(row, Row) and row.name == "power":
        exponent = constant_of(node.arguments[1])
        return exponent is None or bool(exponent.powers) or exponent.rational.denominator != 1
    return isinstance(row, Row) and bool({"positive", "nonnegative", "unit", "above -1"} & set(row.domain))


def where_it_has_values(case: Case) -> list[Found]:
    """The claim agrees where it has a value, and has none at points where the correct answer has one."""
    assert case.claim.expr is not None
    needed = [case.correct, *([case.of] if case.of is not None else [])]
    points = probe(needed, case.variables, kinds=("normal", "negative", "normal"), cases=False)
    if all(is_finite(value) for value in points.values(case.claim.expr)):
        return []
    return [found for found in assumed(case) if found.code == "positive"]
