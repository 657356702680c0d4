"""The verdict on one claim: equal, right in the other layout, right under an assumption, or wrong and why.

In: what a person claims and what is correct, as expressions whose axes are output axes, then input axes;
what was differentiated and by what, where that is known. Out: a Judgement. It prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from chainrule.errors import ChainruleError, ShapeMismatch
from chainrule.expr.nodes import Expr, Variable
from chainrule.grade import words
from chainrule.grade.assume import assumed, may_be_partial, on_manifold, where_it_has_values
from chainrule.grade.case import PLAIN, Case, Claim, Found, Voice, expression, make_case, proved, simplest
from chainrule.grade.claim import Reading, as_map, claims_in, read_claim
from chainrule.grade.edits import changed
from chainrule.grade.factors import factors
from chainrule.grade.forms import formed
from chainrule.grade.masks import conditions
from chainrule.grade.misfit import Misfit, misfitting, undiagonal
from chainrule.grade.mutants import mistakes
from chainrule.grade.outside import OUTSIDE, moved_inside
from chainrule.grade.scale import scaled, terms
from chainrule.simplify import Normaliser
from chainrule.verify.probe import View

VERDICTS = ("equal", "layout", "assumption", "wrong")
ROUNDABOUT = 27  # explanations from here on are not the first that a teacher would think of
Finder = Callable[[Case], Iterator[Found]]
FINDERS: tuple[Finder, ...] = (
    formed, scaled, conditions, mistakes, terms, changed, factors, assumed, on_manifold,
)  # fmt: skip
QUICK: tuple[Finder, ...] = (scaled, terms)  # for a claim that was put right once and is still wrong


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
    more: Callable[[Case, list[Found]], list[Found]] = lambda case, found: found,
    voice: Voice = PLAIN,
) -> Judgement:
    """The verdict on any kind of claim; `more` may add to what explains a wrong one."""
    same = claim.expr is not None and proved(claim.expr, correct)
    partial = claim.expr is not None and may_be_partial(
        claim.expr, [correct, *([of] if of is not None else [])]
    )
    if same and not partial:
        return Judgement("equal", (), None, "Equal.")
    case = make_case(claim, correct, of, wrt, variables, voice)
    view = case.matches(correct, careful=True)
    if view is not None:
        partly = [*(where_it_has_values(case) if partial else []), *words.by_little(case, view)]
        return wrong(case, partly) if partly else _right(view, claim, case)
    found = more(case, explanations(case))
    return wrong(case, found or [words.difference(case)])


def _right(view: View, claim: Claim, case: Case) -> Judgement:
    if view.plain:
        where = " at the point given" if claim.points is not None and len(claim.points.points) == 1 else ""
        return Judgement("equal", (), None, f"Equal{where}.")
    by_matrix = case.of is not None and not case.of.rank and len(case.wrt) == 1 and case.wrt[0].rank == 2
    text = words.LAYOUTS["by a matrix" if view.name == "transpose" and by_matrix else view.name]
    return Judgement("layout", (Diagnosis("layout", text),), None, f"Right. {text}")


def judge_text(
    text: str,
    correct: Expr,
    *,
    reading: Reading,
    of: Expr | None = None,
    wrt: tuple[Variable, ...] = (),
) -> Judgement:
    """The verdict on a claim in any accepted notation; sizes that do not fit are a mistake like others.

    Raises: ChainruleError if the text is no formula over the variables of `reading`; DomainProblem.

    >>> from chainrule.language import parse_declarations
    >>> known = parse_declarations("A[m,n] x[n]").variables
    >>> A, x = known["A"], known["x"]
    >>> judge_text("2A(Ax)", 2 * A.T @ (A @ x), reading=Reading(known)).diagnosis
    'transposed'
    """
    judgement = Judgement("equal", (), None, "Equal.")
    mapped = as_map(text, reading, wrt) if of is not None else None
    if mapped is not None:
        return _judge_map(expression(mapped, text), correct, of, wrt, list(reading.variables.values()))
    for side in claims_in(text, reading):
        try:
            judgement = _judge_side(side, correct, reading, of, wrt)
        except ChainruleError as problem:
            inside = moved_inside(side) if OUTSIDE.fullmatch(problem.message) else None
            if inside is None:
                raise
            return _outside_sum(side, inside, correct, reading, of, wrt)
        if judgement.verdict not in ("equal", "layout"):
            break
    return judgement


def _judge_map(
    claim: Claim, correct: Expr, of: Expr | None, wrt: tuple[Variable, ...], variables: Sequence[Variable]
) -> Judgement:
    """The verdict on a differential: it says which axis is which, so it has no other layout."""
    judgement = judge_claim(claim, correct, of=of, wrt=wrt, variables=variables)
    if judgement.verdict != "layout":
        return judgement
    case = make_case(claim, correct, of, wrt, variables)
    case = replace(case, views=case.views[:1])
    return wrong(case, explanations(case) or [words.difference(case)])


def _outside_sum(
    text: str,
    inside: tuple[str, str],
    correct: Expr,
    reading: Reading,
    of: Expr | None,
    wrt: tuple[Variable, ...],
) -> Judgement:
    """The verdict on a condition on one instance in front of the sum over them; it has no value."""
    judgement = _judge_side(inside[0], correct, reading, of, wrt)
    case = make_case(Claim(lambda points: [], text=text), correct, of, wrt, list(reading.variables.values()))
    found = [Found(9, "condition-outside-sum", words.outside_sum(inside[1]))]
    if judgement.verdict not in ("equal", "layout"):
        found += [Found(10, d.code, d.text, also=True) for d in judgement.diagnoses[:1]]
    return wrong(case, found)


def _judge_side(
    text: str, correct: Expr, reading: Reading, of: Expr | None, wrt: tuple[Variable, ...]
) -> Judgement:
    variables = list(reading.variables.values())
    normal = Normaliser()
    voice = Voice({name: normal(part) for name, part in reading.parts.items()}, reading.profile)
    try:
        exprs = read_claim(text, reading, correct.shape)
    except ShapeMismatch as problem:
        case = make_case(Claim(lambda points: [], text=text), correct, of, wrt, variables, voice)
        return wrong(case, misfitting(Misfit(text, reading, case, problem), _explained))

    def respelled(case: Case, found: list[Found]) -> list[Found]:
        if _has_shape(case) and found:
            plain = found[0].rank < ROUNDABOUT or case.correct.rank < 2
            return found if plain else simplest([*undiagonal(Misfit(text, reading, case)), *found])
        return simplest([*found, *misfitting(Misfit(text, reading, case), _explained)])

    judgements: list[Judgement] = []
    for expr in exprs:
        claim = expression(expr, text)
        judgement = judge_claim(
            claim, correct, of=of, wrt=wrt, variables=variables, more=respelled, voice=voice
        )
        if judgement.verdict in ("equal", "layout"):
            return judgement
        judgements.append(judgement)
    return judgements[0]


def misfit(
    text: str,
    says: str,
    correct: Expr,
    of: Expr | None,
    wrt: tuple[Variable, ...],
    variables: Sequence[Variable],
) -> Judgement:
    """The verdict on a claim that has no value anywhere, since sizes inside it do not fit."""
    case = make_case(Claim(lambda points: [], text=text), correct, of, wrt, variables)
    return wrong(case, [Found(90, "shape", f"{says}\nThe correct answer is {words.sizes(correct)}.")])


def _has_shape(case: Case) -> bool:
    """Whether the claim has the shape of the correct answer, in some layout."""
    goal, shape = case.probe.value(case.correct, 0), case.claimed[0].shape
    return any(view.turn(goal).shape == shape for view in case.views)


def explanations(case: Case) -> list[Found]:
    """Everything that explains the difference, the simplest first; one for each code."""
    return simplest([f for finder in FINDERS for f in finder(case)])


def _explained(case: Case) -> list[Found]:
    return simplest([f for finder in QUICK for f in finder(case)])


def wrong(case: Case, found: Sequence[Found]) -> Judgement:
    """The judgement on a claim that is not right, or right only under an assumption."""
    assumption = found[0].assumption
    diagnoses = tuple(Diagnosis(f.code, f.text) for f in found)
    text = words.report(case, found)
    return Judgement("assumption" if assumption else "wrong", diagnoses, assumption, text)
