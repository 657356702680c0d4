"""A claim whose sizes do not fit: which transpose, diag, sum or order would make it right.

In: the text, the complaint of the language, the correct answer. Out: explanations, never an error. Small
changes of the text are tried, one and then two at a time, until one fits and is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from chainrule.errors import ChainruleError, ShapeMismatch
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import dim_names, substitute_dims
from chainrule.grade import words
from chainrule.grade.case import Case, Found, expression, make_case, simplest
from chainrule.grade.claim import Reading, read_claim
from chainrule.grade.masks import opened
from chainrule.grade.respell import Respelling, respellings
from chainrule.language.formula import outline
from chainrule.language.problems import ROW_AND_COLUMN
from chainrule.verify.probe import View

MOST = 250  # texts that are tried
NEAR = 6  # texts that fit, and are wrong, that are looked at closer
RANK = {"transposed": 2, "row-column": 1, "condition": 3, "diag": 4, "sum": 5, "order": 3, "shape": 7}
UNSIZED = re.compile(r"[𝟏𝟎]|(?<!\w)I(?!\w)|vector|matrix|_")  # what takes the size that fits
TURNED = 3  # what an explanation costs that is right only in the other layout
ROWS = 5  # and one that puts a vector to the left of a matrix
Explain = Callable[[Case], list[Found]]


@dataclass(frozen=True, slots=True)
class Misfit:
    """A text that does not fit, and what it should be."""

    text: str
    reading: Reading
    case: Case
    problem: ShapeMismatch | None = None

    def read(self, text: str) -> Expr | None:
        """What another text says, if it fits, and every size in it has a value at the points."""
        try:
            shape = self.case.correct.shape if UNSIZED.search(text) else None
            expr = self.reading.expression(text, shape, known=True)
        except (ChainruleError, AssertionError):
            return None
        return expr if set(dim_names(expr)) <= set(self.case.probe.points[0].sizes) else None


def undiagonal(misfit: Misfit) -> list[Found]:
    """A diag that is missing or too many, in a claim of the right shape: s * W in place of diag(s) @ W."""
    changes = [one for one in _changes(misfit.text, misfit) if one.code == "diag"]
    read = [(one, misfit.read(one.text)) for one in changes]
    right = [one for one, expr in read if expr is not None and _right(misfit, one, expr) is not None]
    return simplest([_told(misfit, [one]) for one in right])


def misfitting(misfit: Misfit, explain: Explain) -> list[Found]:
    """What explains a claim that does not fit; `explain` is asked about texts that fit and stay wrong."""
    found = [*_square(misfit), *_respelled(misfit, explain)]
    if found or misfit.problem is None:
        return simplest(found)
    hint = f" ({misfit.problem.hint})" if misfit.problem.hint else ""
    return [Found(90, "shape", f"The sizes do not fit: {misfit.problem.message}{hint}.")]


# ---------------------------------------------------------------- equal sizes


def _square(misfit: Misfit) -> Iterator[Found]:
    """The claim fits and is right once two named sizes are one."""
    reading, case = misfit.reading, misfit.case
    names = sorted({name for v in reading.variables.values() for dim in v.shape for name in dim.names})
    for kept, lost in combinations(names, 2):
        sizes = {lost: Dim.of(kept)}

        def same(expr: Expr, sizes: dict[str, Dim] = sizes) -> Expr:
            return substitute_dims(expr, sizes)

        variables = {name: _variable(same(v)) for name, v in reading.variables.items()}
        parts = {name: same(part) for name, part in reading.parts.items()}
        squared = replace(reading, variables=variables, parts=parts)
        goal = same(case.correct)
        try:
            claims = read_claim(misfit.text, squared, goal.shape)
            of = None if case.of is None else same(case.of)
            known = list(variables.values())
            equal = any(make_case(expression(c), goal, of, (), known).matches(goal) for c in claims)
        except ChainruleError:
            continue
        if equal:
            says = f"{kept} = {lost}"
            shapes = [v.name for v in reading.variables.values() if {kept, lost} <= set(map(str, v.shape))]
            square = (
                f"{' and '.join(shapes)} {'is' if len(shapes) == 1 else 'are'} square, " if shapes else ""
            )
            yield Found(3, "square", f"It is right only where {square}{says}.", says)


def _variable(expr: Expr) -> Variable:
    assert isinstance(expr, Variable)
    return expr


# ---------------------------------------------------------------- other texts


def _respelled(misfit: Misfit, explain: Explain) -> Iterator[Found]:
    single = list(_changes(misfit.text, misfit))
    fits: list[tuple[list[Respelling], Expr]] = []
    goals = opened(misfit.case) if any(one.code == "condition" for one in single) else []
    tried = 0
    right: list[Found] = []
    for one in single:
        expr = misfit.read(one.text)
        tried += 1
        if expr is None:
            continue
        view = _right(misfit, one, expr, goals)
        if view is not None:
            told = _told(misfit, [one])
            turned = TURNED + ("transposed" in view.name) if view.name != "itself" else 0
            right.append(replace(told, rank=told.rank + turned))
        elif one.code != "condition":
            fits.append(([one], expr))
    if right:
        # What is right in the other layout only, or with a vector in front, is told where nothing else is.
        straight = [f for f in right if f.rank < RANK.get(f.code, 0) + TURNED]
        yield from straight or right
        return
    near = [(path, expr) for path, expr in fits if _has_shape(misfit, expr)][:NEAR]
    for path, expr in near:
        right += _and_more(misfit, path, expr, explain)
    if right:
        yield from right
        return
    for one in single:
        for two in _changes(one.text, misfit):
            if "identity" in one.says + two.says:
                continue  # a number in place of the identity is a mistake of its own
            if two.code not in (one.code, "transposed") or one.code == "condition":
                continue
            tried += 1
            if tried > MOST:
                return
            expr = misfit.read(two.text)
            if expr is not None and _right(misfit, two, expr, goals) is not None:
                yield _told(misfit, [one, two])
                return


def _changes(text: str, misfit: Misfit) -> Iterator[Respelling]:
    dialect = misfit.reading.dialect_of(text)
    try:
        reading = misfit.reading
        parsed = outline(text, reading.declaration, dialect, reading.profile, reading.functions)
    except ChainruleError:
        return
    yield from respellings(text, parsed.statements, dialect == "matlab")


def _right(misfit: Misfit, change: Respelling, expr: Expr, goals: Sequence[Expr] = ()) -> View | None:
    """The layout in which the changed claim is right, if there is one."""
    part = misfit.read(change.part) if change.scalar or change.code == "transposed" else None
    if part is not None and change.scalar == bool(part.rank):
        return None
    wanted = goals if change.code == "condition" else [misfit.case.correct]
    found = (misfit.case.becomes(expr, goal) for goal in wanted)
    return next((view for view in found if view is not None), None)


def _has_shape(misfit: Misfit, expr: Expr) -> bool:
    goal = misfit.case.probe.value(misfit.case.correct, 0)
    shape = misfit.case.probe.value(expr, 0).shape
    return any(view.turn(goal).shape == shape for view in misfit.case.views)


def _told(misfit: Misfit, path: Sequence[Respelling]) -> Found:
    first = path[0]
    says = " and ".join(change.says for change in path)
    code = first.code
    if code == "condition":
        return Found(RANK[code], "condition-outside-sum", words.outside_sum(first.says))
    if code == "transposed" and misfit.problem is not None and misfit.problem.hint == ROW_AND_COLUMN:
        return Found(1, "row-column", f"A row and a column are added: {says.split(': ', 1)[-1]}.")
    rank = RANK[code] + len(path) - 1
    if code == "order":
        left = misfit.read(first.left)
        rank += ROWS if left is not None and left.rank < 2 else 0
    if code == "transposed" and first.left:
        rank += 2  # a transpose that a person wrote was meant; the order may be what is wrong
    return Found(rank, code, f"{says[:1].upper()}{says[1:]}.")


def _and_more(misfit: Misfit, path: Sequence[Respelling], expr: Expr, explain: Explain) -> Iterator[Found]:
    """The claim fits after a change, and something else is wrong too."""
    case = misfit.case
    other = replace(case, claim=expression(expr), claimed=case.probe.values(expr))
    more = [f for f in explain(other) if f.code not in ("other", "shape") and f.assumption is None]
    if more:
        yield _told(misfit, path)
        yield from (replace(f, rank=f.rank + 100, also=True) for f in more[:1])
