"""What is said to the person: verdicts, the claim beside the correct answer, numbers.

In: a case and what was found. Out: sentences and formulas as text. It judges nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chainrule.expr.names import pretty
from chainrule.expr.nodes import Expr, permute
from chainrule.grade import nearly
from chainrule.grade.case import PLAIN, Case, Found, Voice
from chainrule.notation.present import Presentation, Request, present_many
from chainrule.notation.text import dim_text
from chainrule.rules.unknown import one_choice
from chainrule.simplify import simplify
from chainrule.verify.probe import View, gap, is_finite
from chainrule.verify.reference import Array

BESIDE = 60  # characters of two formulas that stand on one line
LONG = 480  # characters of a formula that is written out
_ROUNDED = re.compile(r"[1-9]\d*\.\d{8,}|(?<!\d)0?\.0*[1-9]\d{7,}")  # a number with many digits
LITTLE = 98  # the rank of a difference that numbers do not show
FEW = 12  # numbers of a point that are shown

# What is said of an answer that is right when its array is turned.
LAYOUTS = {
    "transpose": "It is the transpose of the answer in numerator layout, so in the other layout.",
    "by a matrix": "It is the answer in numerator layout: the transpose of the shape of the variable.",
    "input axes first": "The axes of the variable stand before those of the formula: the other layout.",
    "axes of each reversed": "The axes of the formula and of the variable are each in reverse order.",
    "axes reversed": "Its axes are in reverse order: the other layout.",
    "vec": "It is the gradient with its columns stacked.",
    "vec transposed": "It is the transpose of the matrix form by vec, so in the other layout.",
    "vec by rows": "It is the matrix form with rows stacked in place of columns.",
    "vec by rows transposed": "It is the transpose of the matrix form with rows stacked in place of columns.",
}


def formula(expr: Expr) -> str:
    """An expression at its simplest, on one line.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import Variable
    >>> n = Dim.of("n")
    >>> A, x = Variable("A", (n, n)), Variable("x", (n,))
    >>> formula(A @ x + A.T @ x)
    '(A + Aᵀ)x'
    """
    return written(simplify(expr))


def written(expr: Expr, turned: bool = False, voice: Voice = PLAIN) -> str:
    """An expression as it stands, nothing simplified."""
    (shown,), where = _presented([Request(expr, turned)], voice)
    label = f"[{''.join(shown.indices)}] " if shown.form == "index" and shown.indices else ""
    return label + shown.text + _where(where)


Named = list[tuple[str, Presentation]]


def _presented(requests: Sequence[Request], voice: Voice) -> tuple[list[Presentation], Named]:
    return present_many(requests, voice.names, taken=voice.taken, profile=voice.profile)


def _where(parts: Named) -> str:
    names = ", ".join(f"{pretty(name)} = {part.text}" for name, part in parts)
    return f" where {names}" if names else ""


def sizes(expr: Expr) -> str:
    """The shape of an expression in words: a scalar, a vector of n, m × n."""
    if not expr.rank:
        return "a scalar"
    if expr.rank == 1:
        return f"a vector of {dim_text(expr.shape[0])}"
    return " × ".join(f"({dim_text(d)})" if len(d.terms) > 1 else dim_text(d) for d in expr.shape)


def correct_text(case: Case) -> str:
    """The correct answer, as a row and as a column where it may be either."""
    simplest, of, wrt = case.simplest, case.of, case.wrt
    vector = simplest.rank == 1 and (of is None or not of.rank)
    matrix = simplest.rank == 2 and of is not None and not of.rank and len(wrt) == 1 and wrt[0].rank == 2
    if not (vector or matrix):
        return written(simplest, voice=case.voice)
    shown, where = _presented([Request(simplest, turned=True), Request(simplest)], case.voice)
    row, column = (one.text for one in shown)
    names = _where(where)
    names = f",{names}" if names else ""
    if vector:
        return f"{row}, as a row (numerator layout); {column} as a column{names}"
    return f"{row} (numerator layout); {column} in the shape of {pretty(wrt[0].name)}{names}"


def number(value: float, digits: int = 5) -> str:
    """A number to so many digits.

    >>> number(0.33333333), number(-2.0)
    ('0.33333', '−2')
    """
    return f"{value:.{digits}g}".replace("-", "−")


def report(case: Case, found: Sequence[Found]) -> str:
    """The whole text for the person: the verdict, both answers, what explains the difference."""
    claim = case.claim
    claimed = claim.text.strip() if claim.expr is None else written(claim.expr, voice=case.voice)
    correct = correct_text(case)
    opening = "Not equal."
    claimed, correct = cut(claimed), cut(correct)
    if len(claimed) + len(correct) <= 2 * BESIDE:
        lines = [f"{opening}   claimed {claimed}    correct {correct}"]
    else:
        lines = [opening, f"  claimed {claimed}", f"  correct {correct}"]
    lines.append(found[0].text)
    if len(found) > 1:
        lines += [f"{'And' if other.also else 'Or'}: {other.text}" for other in found[1:]]
    numbers = difference(case).text if case.claimed and found[0].rank != LITTLE else found[0].text
    if found[0].text != numbers and (case.claim.expr is None or found[0].code == "other"):
        lines.append(numbers)
    return "\n".join(lines)


def cut(text: str) -> str:
    """A formula that is too long to compare by eye, cut.

    >>> cut("x + " * 200)[-22:]
    ' +  … (800 characters)'
    """
    return text if len(text) <= LONG else f"{text[: LONG // 2]} … ({len(text)} characters)"


def outside_sum(condition: str) -> str:
    """What is wrong with a condition on one instance that stands in front of the sum over them."""
    return f"The condition {condition} stands outside the sum; it is about each instance and belongs inside."


def difference(case: Case) -> Found:
    """Where and by how much they differ, when nothing explains it."""
    place = case.worst
    claimed, correct = case.claimed[place], case.probe.value(case.correct, place)
    for view in case.views:
        if claimed.shape != correct.shape and view.turn(correct).shape == claimed.shape:
            correct = view.turn(correct)
    if claimed.shape != correct.shape:
        shapes = f"The claim has the shape {_shape(claimed)}, the correct answer {_shape(correct)}."
        if case.claim.expr is not None:
            shapes = f"The claim is {sizes(case.claim.expr)}, the correct answer {sizes(case.correct)}."
        return Found(90, "shape", shapes)
    if not is_finite(claimed):
        return Found(
            99, "other", f"{_point(case, place)}: the claim has no value, the correct answer has one."
        )
    apart = gap(claimed, correct, case.claim.tolerance)
    where = _point(case, place)
    if chosen := one_choice(case.correct):
        where = f"{chosen[0].upper()}{chosen[1:]}a{where[1:]}"
    parts = []
    for index, a, b in sorted(apart.entries):
        entry = f"entry [{', '.join(str(i + 1) for i in index)}] is" if index else "the value is"
        claimed_number, correct_number = _apart(a, b)
        parts.append(f"{entry} {claimed_number} in place of {correct_number}{_off(a, b)}")
    counted = f"{apart.count} of {apart.total} entries differ: " if apart.total > 1 else ""
    return Found(99, "other", f"{where}: {counted}{'; '.join(parts)}.")


def by_little(case: Case, view: View) -> list[Found]:
    """What is said of a claim whose values are those of the correct answer to many digits, and not equal."""
    claim, goal = case.claim.expr, case.correct
    if claim is None or _ROUNDED.search(case.claim.text):
        return []
    goal = permute(goal, (1, 0)) if view.name == "transpose" else goal
    apart = nearly.difference(claim, goal, case.probe)
    if apart is None:
        return []
    return [Found(LITTLE, "other", f"They differ by little, and they differ: by {cut(written(apart))}.")]


def _apart(a: float, b: float) -> tuple[str, str]:
    """Two numbers with so many digits that they are not the same.

    >>> _apart(1.0, 1.0000001), _apart(1.0, 2.0)
    (('1', '1.0000001'), ('1', '2'))
    """
    digits = next((d for d in range(5, 17) if f"{a:.{d}g}" != f"{b:.{d}g}"), 17)
    return number(a, digits), number(b, digits)


def _off(claimed: float, correct: float) -> str:
    """By how much in size, where that is a small part."""
    if not correct or abs(claimed - correct) > abs(correct) / 2:
        return ""
    share = 100 * (claimed - correct) / correct
    return f" ({abs(share):.2g} % too {'large' if share > 0 else 'small'})"


def _shape(array: Array) -> str:
    return " × ".join(map(str, array.shape)) or "of a scalar"


def _point(case: Case, place: int) -> str:
    """At x = 1, y = 2: where that is short; else at a random point."""
    point = case.probe.points[place]
    if case.claim.place:
        return case.claim.place
    if sum(v.size for v in point.values.values()) > FEW or not point.values:
        return "At a random point"
    return "At " + ", ".join(f"{pretty(n)} = {_array(v)}" for n, v in sorted(point.values.items()))


def _array(value: Array) -> str:
    return number(float(value)) if not value.ndim else "[" + ", ".join(map(_array, value)) + "]"
