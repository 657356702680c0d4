"""The verdict on one claim: equal, right in the other layout, right under an assumption, or wrong and why.

In: what a person claims and what is correct, as expressions whose axes are output axes, then input axes;
what was differentiated and by what, where that is known. Out: a Judgement. It reads no text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from chainrule.expr.nodes import Expr, Variable
from chainrule.grade import words
from chainrule.grade.assume import assumed
from chainrule.grade.case import Case, Claim, Found, expression, make_case, proved
from chainrule.grade.scale import scaled
from chainrule.verify.probe import View

VERDICTS = ("equal", "layout", "assumption", "wrong")
FINDERS: tuple[Callable[[Case], Iterator[Found]], ...] = (scaled, assumed)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What explains a difference: a code, and one or two sentences for the person."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a claim.

    verdict     "equal", "layout", "assumption" or "wrong"
    diagnoses   what explains the difference, the simplest first
    assumption  what has to be assumed for the claim to be right, if the verdict is "assumption"
    text        everything for the person
    """

    verdict: str
    diagnoses: tuple[Diagnosis, ...]
    assumption: str | None
    text: str

    @property
    def diagnosis(self) -> str | None:
        """The code of the first diagnosis."""
        return self.diagnoses[0].code if self.diagnoses else None


def judge(
    claimed: Expr,
    correct: Expr,
    *,
    of: Expr | None = None,
    wrt: tuple[Variable, ...] = (),
    variables: Sequence[Variable] = (),
) -> Judgement:
    """The verdict on a claimed expression.

    Shapes: of each, output axes, then input axes; the claim may be transposed or of another shape.
    Raises: DomainProblem if there is no point where the correct answer can be evaluated.

    >>> from chainrule.expr.dims import Dim
    >>> n = Dim.of("n")
    >>> A, x = Variable("A", (n, n)), Variable("x", (n,))
    >>> judge(2 * A @ x, A @ x + A.T @ x).verdict
    'assumption'
    """
    return judge_claim(expression(claimed), correct, of=of, wrt=wrt, variables=variables)


def judge_claim(
    claim: Claim,
    correct: Expr,
    *,
    of: Expr | None = None,
    wrt: tuple[Variable, ...] = (),
    variables: Sequence[Variable] = (),
) -> Judgement:
    """The verdict on any kind of claim."""
    if claim.expr is not None and proved(claim.expr, correct):
        return Judgement("equal", (), None, "Equal.")
    case = make_case(claim, correct, of, wrt, variables)
    view = case.matches(correct)
    if view is not None:
        return _right(view)
    return wrong(case, explanations(case))


def _right(view: View) -> Judgement:
    if view.plain:
        return Judgement("equal", (), None, "Equal.")
    text = words.LAYOUTS[view.name]
    return Judgement("layout", (Diagnosis("layout", text),), None, f"Right. {text}")


def explanations(case: Case) -> list[Found]:
    """Everything that explains the difference, the simplest first; one for each code."""
    found = [f for finder in FINDERS for f in finder(case)]
    best: dict[str, Found] = {}
    for one in sorted(found, key=lambda f: f.rank):
        best.setdefault(one.code, one)
    return list(best.values()) or [words.difference(case)]


def wrong(case: Case, found: Sequence[Found]) -> Judgement:
    """The judgement on a claim that is not right, or right only under an assumption."""
    assumption = found[0].assumption
    diagnoses = tuple(Diagnosis(f.code, f.text) for f in found)
    text = words.report(case, found)
    return Judgement("assumption" if assumption else "wrong", diagnoses, assumption, text)
