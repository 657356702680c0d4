"""A derivation as it will be read, before it is a string: phases of lines and sentences, formulas as trees.

Whoever prints one (`text`, `markdown`, `latex`, `html`, `document`) only decides about characters. Every line
knows the expression that its right side stands for, so that whoever checks it needs no parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from chainrule.expr.nodes import Expr, Variable
from chainrule.notation.matform import Tree
from chainrule.steps import Step

Words = tuple[str | Tree, ...]  # a sentence with formulas in it


@dataclass(frozen=True, slots=True)
class Line:
    """left = right, because of a rule; without a left side it goes on from the line before.

    reason    the rule's name first, then what a reader may ask
    sizes     of the right side, of each factor of a product of Jacobians: "1 × N · N × n = 1 × n"
    relation  "=", "≠" for what would be wrong, "←" for an update, "↦" for a linear map
    value     what the right side stands for; None where it is shown and claims nothing
    result    whether this is what the derivation was for
    """

    left: Tree | None
    right: Tree
    reason: Words = ()
    sizes: str = ""
    relation: str = "="
    value: Expr | None = None
    result: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words between the lines."""

    words: Words


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a derivation under a title; numbered ones are the steps of a method."""

    title: str
    entries: tuple[Entry, ...]
    number: int | None = None

    def lines(self) -> Iterator[Line]:
        """Every line in it, in order."""
        for entry in self.entries:
            if isinstance(entry, Line):
                yield entry
            elif isinstance(entry, Phase):
                yield from entry.lines()


Entry = Line | Sentence | Phase


@dataclass(frozen=True, slots=True)
class Checked:
    """What the numeric check of every step found.

    steps   how many lines were compared
    worst   the largest relative error
    method  how the derivative itself was made numerically
    failed  the lines that are wrong, in words: a fault of chainrule, told and never hidden
    reason  why nothing could be checked, "" if it was
    """

    steps: int
    points: int
    worst: float
    method: str
    failed: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"not checked: {self.reason}"
        plural = "step" if self.steps == 1 else "steps"
        text = (
            f"checked: {self.steps} {plural} and the result, {self.points} random points, "
            f"largest relative error {self.worst:.1e} ({self.method})"
        )
        if not self.failed:
            return text
        wrong = "; ".join(self.failed)
        return f"FAILED the check, a fault of chainrule: {wrong}. {text}"


@dataclass(frozen=True, slots=True)
class Derivation:
    """The derivation of one derivative.

    style    operator, variables, components or differentials
    layout   numerator, denominator or shape
    heading  the formula, y = …
    sizes    what the names are: "X: N × n", "w: n", "y: scalar", "so ∂y/∂w: 1 × n"
    phases   the steps; of the style `variables` exactly four: introduce, differentiate, combine, substitute
    answer   the result and what may be done with it (the update step)
    reading  sentences that are true of the answer
    sections what stands behind the answer: numbers at a point, units
    kinks    where it is not differentiable and what is taken there
    conditions what is taken for granted of matrices: invertible, positive definite, of full rank
    where    what the names in the answer stand for
    wrt      what is differentiated by
    steps    the rewrites behind the lines; replaying them on `start` gives the result
    profile  in whose signs it is written
    """

    style: str
    layout: str
    heading: tuple[Line, ...]
    sizes: tuple[Words, ...]
    phases: tuple[Phase, ...]
    answer: tuple[Line, ...]
    checked: Checked
    reading: tuple[Sentence, ...] = ()
    sections: tuple[Phase, ...] = ()
    kinks: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    where: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    wrt: Variable | None = None
    start: Expr | None = None
    steps: tuple[Step, ...] = ()
    figures: tuple[Figure, ...] = field(default=())
    profile: str | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences below the answer: where it does not hold, and what it takes for granted."""
        return (*self.kinks, *self.conditions, *self.notes)

    @property
    def introduce(self) -> Phase:
        """Phase 1 of the style `variables`: the intermediate variables."""
        return self._phase(1)

    @property
    def differentiate(self) -> Phase:
        """Phase 2 of the style `variables`: the derivatives of the intermediate variables."""
        return self._phase(2)

    @property
    def combine(self) -> Phase:
        """Phase 3 of the style `variables`: the chain rule."""
        return self._phase(3)

    @property
    def substitute(self) -> Phase:
        """Phase 4 of the style `variables`: the intermediate variables written out."""
        return self._phase(4)

    def _phase(self, number: int) -> Phase:
        for phase in self.phases:
            if phase.number == number:
                return phase
        raise AttributeError(f"a derivation in the style {self.style} has no phase {number}")

    def lines(self) -> Iterator[Line]:
        """Every line of the phases, in order."""
        for phase in self.phases:
            yield from phase.lines()


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing that belongs to a derivation, and what it shows in words."""

    svg: str
    alt: str
