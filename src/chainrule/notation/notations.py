"""The table of notations: what writes each, and the refusal that says which ones an answer has."""

from __future__ import annotations

from collections.abc import Callable

from chainrule.errors import OptionError
from chainrule.notation import matform as m
from chainrule.notation.entries import write_entries
from chainrule.notation.linear import write_kron, write_map
from chainrule.notation.present import Request, present_many
from chainrule.notation.sums import write_sums
from chainrule.notation.written import Line, Subject, Written


def write_matrix(subject: Subject) -> Written | str:
    """The answer in matrix language, as it is laid out."""
    requests = [Request(subject.expr, turned) for turned in (subject.turned, False)]
    shown, where = present_many(requests, subject.given, taken=subject.taken)
    if any(part.form != "matrix" for part in (*shown, *(part for _, part in where))):
        return "it has more than two axes, or no form in matrices"
    return Written(
        "matrix",
        Line(shown[0].tree),
        Line(shown[1].tree) if subject.gradient and subject.turned else None,
        tuple((m.name(name), part.tree) for name, part in where),
        profile=subject.profile,
    )


NOTATIONS: dict[str, Callable[[Subject], Written | str]] = {
    "matrix": write_matrix,
    "sums": write_sums,
    "index": write_entries,
    "kron": write_kron,
    "map": write_map,
}


class NoNotation(OptionError):
    """A notation that this answer does not have."""


def write(subject: Subject, notation: str) -> Written:
    """The answer in a notation.

    Raises: NoNotation with the reason, and the notations that there are.
    """
    found = NOTATIONS[notation](subject)
    if isinstance(found, Written):
        return found
    others = [n for n in NOTATIONS if n != notation and isinstance(NOTATIONS[n](subject), Written)]
    raise NoNotation(
        f"there is no {notation} form of this derivative: {found}",
        hint=f"it can be written as {', '.join(others[:-1])} or {others[-1]}"
        if len(others) > 1
        else f"it can be written as {others[0]}",
    )
