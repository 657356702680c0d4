"""The linear map beside an answer whose index form is long: dX ↦ (1/2) L halftril(L⁻¹(dX + dXᵀ)L⁻ᵀ).

In: a sheet and one of its answers. Out: the map as it is written, and whether the index form still helps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chainrule.api import notated
from chainrule.notation import matform as m
from chainrule.notation.linear import write_map
from chainrule.notation.written import RELATIONS, Written

if TYPE_CHECKING:
    from chainrule.api.sheet import Answer, Sheet

# Index forms up to so many characters say at a glance what they are.
GLANCE = 50
# A tensor that only the NumPy dialect can say: nobody reads expm_frechet(X, einsum('ik,jl->ijkl', ...))_ijkl.
UNREADABLE = "einsum('"
# Tensors of zeros and ones that regroup, slide and pick.
REGROUPING = ("merge(", "window(", "elimination(")


def map_of(sheet: Sheet, answer: Answer) -> Written | None:
    """The map that an answer is, where index notation is long, no ⊗ says it, and the map is shorter."""
    shown = answer.written
    if not shown.indices or shown.vec is not None or sheet.times is not None or sheet.recursion is not None:
        return None
    paired = any(letter.startswith("(") for letter in shown.indices)
    regroups = paired or any(word in shown.text for word in (UNREADABLE, *REGROUPING))
    if len(shown.text) <= GLANCE and not regroups:
        return None
    subject = notated.subject(sheet, answer)
    found = write_map(replace(subject, given={**subject.given, **sheet.names}))
    if found.line.label is not None and found.line.label.op == "entry":
        return None  # by entries again
    if not replaces(answer, found):
        known = {m.name(name): part.tree for name, part in sheet.where}
        found = replace(found, where=tuple(pair for pair in found.where if known.get(pair[0]) != pair[1]))
    return found if len(found.text) < len(f"{answer.label} = {shown.text}") else None


def replaces(answer: Answer, found: Written | None) -> bool:
    """Whether the map stands alone, since the index form has tensors that only code can say."""
    return found is not None and UNREADABLE in answer.written.text


def line(sheet: Sheet, answer: Answer, found: Written) -> str:
    """The map as a line of text."""
    return f"{found.text}    {notated.size_of(sheet, answer, found)}"


def equation(found: Written) -> str:
    """The map as a row of aligned LaTeX equations."""
    label, relation = found.latex.split(f" {RELATIONS[found.line.relation]} ", 1)
    return f"{label} &{RELATIONS[found.line.relation]} {relation}"
