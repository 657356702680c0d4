"""One claim beside the correct answer, with the values of both at sample points: what the finders look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from chainrule.errors import DomainProblem
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import variables as variables_of
from chainrule.simplify import normalise, simplify
from chainrule.verify.probe import Probe, Values, View, close, probe, squeezed, views
from chainrule.verify.reference import Array

ROUGH = 1e-6


@dataclass(frozen=True, slots=True)
class Claim:
    """What a person claims: an expression, or something that has values at points only.

    at        the values at the points of a probe
    expr      the expression, if there is one
    text      how it was written
    points    the only points at which there are values, if there are only some
    place     what these points are: "At the data given"
    tolerance up to which its numbers are exact
    coarse    times the rounding of the correct answer that it may hold, where it has no expression
    """

    at: Callable[[Probe], Values]
    expr: Expr | None = None
    text: str = ""
    points: Probe | None = None
    place: str = ""
    tolerance: float = 1e-8
    coarse: float = 0.0


@dataclass(frozen=True, slots=True)
class Voice:
    """How formulas are written for the person: with their names for parts, in the signs of a profile.

    taken  names that no part may get
    """

    names: Mapping[str, Expr] = field(default_factory=dict)
    profile: str | None = None
    taken: tuple[str, ...] = ()


PLAIN = Voice()


@dataclass(frozen=True, slots=True)
class Found:
    """One explanation of a difference.

    rank        its place among others: the simplest explanation has the lowest
    assumption  what makes the claim right, if something does
    also        whether it is to be put right too, beside the one before
    """

    rank: int
    code: str
    text: str
    assumption: str | None = None
    also: bool = False


@dataclass(frozen=True)
class Case:
    """A claim, the correct answer, their values.

    of, wrt  what was differentiated by what, as far as it is known
    """

    claim: Claim
    correct: Expr
    of: Expr | None
    wrt: tuple[Variable, ...]
    variables: tuple[Variable, ...]
    probe: Probe
    claimed: Values = field(repr=False)
    views: list[View] = field(repr=False)
    voice: Voice = PLAIN

    def matches(self, expr: Expr, *, careful: bool = False) -> View | None:
        """The layout in which the claim has the value of `expr`, if there is one.

        `careful` asks for the rounding of `expr` at every point, as 1 − tanh² needs it.
        """
        ways = self.ways(expr)
        for k in () if careful else range(len(self.claimed)):
            # Most candidates fail at the first point, and rounding is asked for only where they do not.
            value, loose = self.probe.value(expr, k), max(ROUGH, self.claim.tolerance)
            if not any(same(self.claimed[k], view.turn(value), self.floor[k], loose) for view in ways):
                return None
        values, noise = self.probe.values(expr), self.noise(expr)
        return agreeing(self.claimed, values, ways, noise, self.claim.tolerance)

    def ways(self, expr: Expr) -> list[View]:
        """The layouts of an expression that stands for the correct answer."""
        if expr.rank == self.correct.rank:
            return self.views
        return views(expr.rank, self.of.rank if self.of is not None else None)

    def becomes(self, claim: Expr, goal: Expr) -> View | None:
        """The layout in which a changed claim has the value of `goal`, if there is one."""
        if goal.rank != self.correct.rank:
            return None
        for k in range(len(self.probe.points)):
            mine, value = self.probe.value(claim, k), self.probe.value(goal, k)
            if not any(same(mine, view.turn(value), self.floor[k], ROUGH) for view in self.views):
                return None
        noise = [max(a, b) for a, b in zip(self.noise(goal), self.probe.noise(claim), strict=True)]
        ours, values = self.probe.values(claim), self.probe.values(goal)
        return agreeing(ours, values, self.views, noise, self.claim.tolerance)

    @property
    def worst(self) -> int:
        """The first point at which the claim is not the correct answer."""
        for k, claimed in enumerate(self.claimed):
            if not same(claimed, self.probe.value(self.correct, k), self.floor[k], self.claim.tolerance):
                return k
        return 0

    @cached_property
    def simplest(self) -> Expr:
        """The correct answer at its simplest."""
        return simplify(self.correct)

    @cached_property
    def floor(self) -> list[float]:
        """What rounding may leave in the claim at each point."""
        if self.claim.expr is not None:
            return self.probe.noise(self.claim.expr)
        return [self.claim.coarse * level for level in self.probe.noise(self.correct)]

    def noise(self, expr: Expr) -> list[float]:
        """What rounding may leave in a comparison with `expr` at each point."""
        return [max(a, b) for a, b in zip(self.probe.noise(expr), self.floor, strict=True)]


# What one explanation says already, so that another need not be given.
IMPLIED = {
    "diagonal": ("symmetric",),
    "sum-to-one": ("positive",),
    "sum": ("diag",),
    "inner": ("mask", "sum"),
}
TWINS = ("path", "plain-chain")  # one mistake in two words
VAGUE = ("other", "shape")
# Assumptions that say little where a plain mistake explains the claim.
DISTANT = ("sum-to-one", "plus-minus-one", "orthogonal", "diagonal")
SIMPLE = 20
PASSED = 25  # from here on a derivative left out is told only where nothing else is found


def simplest(found: Sequence[Found]) -> list[Found]:
    """The explanations in order, one for each code, without those that another makes needless."""
    best: dict[str, Found] = {}
    for one in sorted(found, key=lambda f: f.rank):
        best.setdefault(one.code, one)
    mistake = any(f.assumption is None and (f.rank < SIMPLE or f.code == "order") for f in best.values())
    dropped = {code for code in best if set(IMPLIED.get(code, ())) & set(best)}
    if set(TWINS) <= set(best):
        dropped.add(max(TWINS, key=lambda code: best[code].rank))
    inner = best.get("inner")
    if inner is not None and inner.rank >= PASSED:
        plain = (f for f in best.values() if f.code not in VAGUE and f.assumption is None)
        dropped |= {"inner"} if any(f.rank < inner.rank for f in plain) else set()
    dropped |= {code for code in best if mistake and code in DISTANT}
    dropped |= {code for code in VAGUE if set(best) - set(VAGUE)}
    return [one for code, one in best.items() if code not in dropped]


def expression(expr: Expr, text: str = "") -> Claim:
    """The claim that an expression is."""
    return Claim(lambda points: points.values(expr), expr, text)


def make_case(
    claim: Claim,
    correct: Expr,
    of: Expr | None = None,
    wrt: tuple[Variable, ...] = (),
    variables: Sequence[Variable] = (),
    voice: Voice = PLAIN,
) -> Case:
    """The claim with values at points where everything can be evaluated, or where the correct answer can.

    Raises: DomainProblem if the correct answer can be evaluated nowhere.
    """
    needed = [correct, *([of] if of is not None else [])]
    known = list(dict.fromkeys([*variables, *wrt, *variables_of(*needed)]))
    points = claim.points
    if points is None and claim.expr is not None:
        try:
            points = probe([*needed, claim.expr], known)
        except DomainProblem:
            points = None
    if points is None:
        points = probe(needed, known)
    ways = views(correct.rank, of.rank if of is not None else None)
    sizes = (name for v in known for dim in v.shape for name in dim.names)
    voice = replace(voice, taken=tuple(sorted({*voice.taken, *(v.name for v in known), *sizes})))
    return Case(claim, correct, of, wrt, tuple(known), points, claim.at(points), ways, voice)


def agreeing(
    claimed: Values, correct: Values, ways: Sequence[View], noise: Sequence[float], tolerance: float
) -> View | None:
    """The first of the views in which the arrays are equal at every point."""
    for view in ways:
        pairs = zip(claimed, correct, noise, strict=True)
        if all(same(a, view.turn(b), level, tolerance) for a, b, level in pairs):
            return view
    return None


def same(a: Array, b: Array, noise: float, tolerance: float) -> bool:
    """Whether two arrays are equal up to rounding and axes of size 1."""
    if a.shape != b.shape and 1 in (*a.shape, *b.shape):
        a, b = squeezed(a), squeezed(b)
    return close(a, b, noise, tolerance)


def proved(a: Expr, b: Expr) -> bool:
    """Whether simplification alone makes two expressions one."""
    if a.shape != b.shape:
        return False
    first, second = normalise(a), normalise(b)
    return first is second or simplify(first) is simplify(second)
