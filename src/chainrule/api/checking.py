"""check(): a person's answer in, a verdict out, with what explains the difference.

In: a formula, what it is differentiated by, a claim: a closed form as text or expression, a function,
numbers at a point. Out: a Checked, which prints as text and as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chainrule.api.calling import Misfit, claim_name
from chainrule.api.claims import are_numbers, as_text, function_claim, numbers_claim
from chainrule.api.derivative import Derivative
from chainrule.api.deriving import derive
from chainrule.api.formulas import Functions, Shapes, named_parts
from chainrule.api.point import read_point
from chainrule.api.several import CheckedAll, are_several, claims_for, title, wrt_of
from chainrule.api.targets import Wrt
from chainrule.errors import DomainProblem, OptionError
from chainrule.expr.nodes import Expr
from chainrule.notation.present import present
from chainrule.notation.profiles import told

if TYPE_CHECKING:
    from chainrule.grade.case import Claim
    from chainrule.grade.judge import Diagnosis, Judgement

RIGHT = ("equal", "layout")
POINTS = 3  # at which the correct answer is checked itself


class Checked:
    """What became of a claim; true if it is right.

    verdict     "equal", "layout" (the transpose is right), "assumption" or "wrong"
    diagnosis   the code of what explains the difference, or None
    diagnoses   all that explain it, the simplest first: each has a code and a text
    assumption  what has to be assumed for the claim to be right
    text        everything for the person
    notes       sentences: how what was not declared was read
    """

    def __init__(self, derivative: Derivative, claim: str, judgement: Judgement) -> None:
        self.derivative = derivative
        self.claim = claim
        self.verdict = judgement.verdict
        self.diagnosis = judgement.diagnosis
        profile = derivative.formula.profile
        self.diagnoses: tuple[Diagnosis, ...] = tuple(
            replace(d, text=told(d.text, profile, claim)) for d in judgement.diagnoses
        )
        self.assumption = judgement.assumption
        self.text = told(judgement.text, profile, claim)
        self.notes = derivative.formula.assumptions

    def __bool__(self) -> bool:
        return self.verdict in RIGHT

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def to_json(self) -> str:
        """The same for other programs."""
        return json.dumps(
            {
                "schema": "chainrule/check",
                "version": 1,
                "verdict": self.verdict,
                "diagnosis": self.diagnosis,
                "assumption": self.assumption,
                "diagnoses": [{"code": d.code, "text": d.text} for d in self.diagnoses],
                "claim": self.claim,
                "correct": self.derivative.text,
                "text": self.text,
                "notes": list(self.notes),
            },
            ensure_ascii=False,
            indent=2,
        )


def check(
    formula: str | Expr,
    wrt: Wrt | None = None,
    claim: Any = None,
    shapes: Shapes = None,
    *,
    order: int = 1,
    dialect: str = "numpy",
    layout: str = "numerator",
    profile: str | None = None,
    functions: Functions = None,
    at: Mapping[str, Any] | str | None = None,
    data: Mapping[str, Any] | None = None,
) -> Checked | CheckedAll:
    """Whether a claimed derivative is right, and if not, what explains the difference.

    `claim` is a closed form in any accepted notation, an expression, a function of the variables by keyword
    (of NumPy, JAX or PyTorch arrays), or numbers at the point `at`. `data` are arrays at which a function is
    compared, in place of random ones: which coordinates are wrong is told.
    Where `wrt` names several variables there is a claim for each: `claim` is a dict by name, a list in their
    order, or a function that returns such; the answer is a CheckedAll, with the answer to each by name.
    Raises: ChainruleError if the formula or the claim cannot be read.

    >>> check("x @ A @ x", wrt="x", claim="2*A@x", shapes="A[n,n] x[n]").assumption
    'A is symmetric'
    >>> both = check("w*x + b", wrt="w,b", claim={"w": "x", "b": "0"}, shapes="w x b")
    >>> both.verdict, {name: one.verdict for name, one in both.items()}
    ('wrong', {'w': 'equal', 'b': 'wrong'})
    """
    derivative = derive(
        formula,
        wrt_of(claim) if wrt is None else wrt,
        shapes,
        order=order,
        layout=layout,
        dialect=dialect,
        profile=profile,
        functions=functions,
    )
    if claim is None:
        raise OptionError(
            "there is no claim to check",
            hint='write claim="2*A@x"; check_derivation(text) checks a whole derivation',
        )
    given = {**(read_point(at) if isinstance(at, str) else at or {}), **(data or {})}
    if isinstance(derivative, Derivative) and not are_several(claim):
        return _held_against(derivative, claim, dialect, profile, given)
    parts = derivative.parts()
    claims = claims_for(parts, claim)
    return CheckedAll({title(d): _held_against(d, claims[title(d)], dialect, profile, given) for d in parts})


def _held_against(
    derivative: Derivative, claim: Any, dialect: str, profile: str | None, given: Mapping[str, Any]
) -> Checked:
    """What becomes of one claim; the correct answer is checked first."""
    if given and (isinstance(claim, Expr) or not (callable(claim) or are_numbers(claim))):
        raise OptionError(
            "a formula is compared everywhere; a point or data say nothing about it",
            hint="leave out at and data, or give numbers or a function as the claim",
        )
    with suppress(DomainProblem):
        derivative.check(POINTS)
    return _checked(derivative, claim, dialect, profile, given)


def _checked(
    derivative: Derivative, claim: Any, dialect: str, profile: str | None, given: Mapping[str, Any]
) -> Checked:
    from chainrule.grade.case import Voice, expression
    from chainrule.grade.claim import Reading
    from chainrule.grade.judge import judge_claim, judge_text

    formula, correct = derivative.formula, derivative.expression
    of, wrt = derivative.below, derivative.wrt[-1].variables
    other: Claim | None = None
    if isinstance(claim, Expr):
        other = expression(claim, present(claim, profile=profile).text)
    elif callable(claim):
        try:
            other = function_claim(claim, derivative, given)
        except Misfit as problem:
            return _misfit(derivative, f"{claim_name(claim)}(…)", str(problem), given)
    elif are_numbers(claim) and given:
        other = numbers_claim(claim, derivative, given)
    elif not isinstance(claim, str) and not are_numbers(claim):
        raise OptionError(
            f"a claim is a formula, a function or numbers, not {type(claim).__name__}",
            hint='write claim="2*A@x"',
        )
    if other is not None:
        voice = Voice(named_parts(formula), profile)
        variables = list(formula.variables.values())
        judgement = judge_claim(other, correct, of=of, wrt=wrt, variables=variables, voice=voice)
        return Checked(derivative, other.text, judgement)
    text = as_text(claim)
    reading = Reading(formula.variables, formula.names, dialect, profile, formula.functions)
    judgement = judge_text(text, correct, reading=reading, of=of, wrt=wrt)
    if are_numbers(claim) and judgement.verdict not in RIGHT:
        # Numbers without a point are an answer that is the same everywhere; hardly what was meant.
        hint = 'If these are numbers at one point, say which: at="x=1, y=2" (--at).'
        judgement = replace(judgement, text=f"{judgement.text}\n{hint}")
    return Checked(derivative, text, judgement)


def _misfit(derivative: Derivative, claim: str, says: str, given: Mapping[str, Any]) -> Checked:
    """The answer to a function inside which sizes do not fit."""
    from chainrule.grade.judge import misfit

    formula, correct = derivative.formula, derivative.expression
    if not given:
        says += " These arrays are random ones of small sizes: with data={...} it is called with your own."
    variables = list(formula.variables.values())
    judgement = misfit(claim, says, correct, derivative.below, derivative.wrt[-1].variables, variables)
    return Checked(derivative, claim, judgement)
