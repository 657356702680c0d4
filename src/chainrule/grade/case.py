"""One claim beside the correct answer, with the values of both at sample points: what the finders look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chainrule.errors import DomainProblem
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import variables as variables_of
from chainrule.simplify import normalise, simplify
from chainrule.verify.probe import Probe, Values, View, close, probe, squeezed, views
from chainrule.verify.reference import Array


@dataclass(frozen=True, slots=True)
class Claim:
    """What a person claims: an expression, or something that has values at points only.

    at        the values at the points of a probe
    expr      the expression, if there is one
    text      how it was written
    points    the only points at which there are values, if there are only some
    tolerance up to which its numbers are exact
    """

    at: Callable[[Probe], Values]
    expr: Expr | None = None
    text: str = ""
    points: Probe | None = None
    tolerance: float = 1e-8


@dataclass(frozen=True, slots=True)
class Found:
    """One explanation of a difference.

    rank        its place among others: the simplest explanation has the lowest
    assumption  what makes the claim right, if something does
    """

    rank: int
    code: str
    text: str
    assumption: str | None = None


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

    def matches(self, expr: Expr) -> View | None:
        """The layout in which the claim has the value of `expr`, if there is one."""
        values = self.probe.values(expr)
        if not agreeing(self.claimed[:1], values[:1], self.views, [float("inf")], 1):
            return None  # of no shape that fits
        return agreeing(self.claimed, values, self.views, self.noise(expr), self.claim.tolerance)

    def noise(self, expr: Expr) -> list[float]:
        """What rounding may leave in a comparison with `expr` at each point."""
        own = self.probe.noise(expr)
        if self.claim.expr is None:
            return own
        return [max(a, b) for a, b in zip(own, self.probe.noise(self.claim.expr), strict=True)]


def expression(expr: Expr, text: str = "") -> Claim:
    """The claim that an expression is."""
    return Claim(lambda points: points.values(expr), expr, text)


def make_case(
    claim: Claim,
    correct: Expr,
    of: Expr | None = None,
    wrt: tuple[Variable, ...] = (),
    variables: Sequence[Variable] = (),
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
    return Case(claim, correct, of, wrt, tuple(known), points, claim.at(points), ways)


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
