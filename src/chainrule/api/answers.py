"""What is said about a derivative beside its closed form: an answer to one question, as text and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chainrule.api.layouts import wrapped
from chainrule.expr.names import pretty
from chainrule.notation.latex import name_latex
from chainrule.notation.present import Presentation, Request, present_many

INDENT = "    "


@dataclass(frozen=True)
class Said:
    """One answer.

    title   the question in a few words
    lines   the answer: formulas stand in lines of their own, indented
    latex   its formulas as rows of an aligned environment
    data    the same for other programs
    """

    title: str
    lines: tuple[str, ...]
    latex: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The answer with its title; long sentences are broken."""
        return "\n".join([self.title, *(INDENT + line for said in self.lines for line in _broken(said))])

    def __str__(self) -> str:
        return self.text


def _broken(line: str) -> list[str]:
    """A sentence in lines that are not too long; a formula stays whole."""
    return [line] if line.startswith("  ") else wrapped(line.split(" "), start="", gap=" ")


def shown(
    exprs: Sequence[Any],
    *,
    turned: Sequence[bool] = (),
    taken: Sequence[str] = (),
    profile: str | None = None,
) -> tuple[list[Presentation], list[str], list[str]]:
    """Several expressions written together; what names of parts stand for, as text and as LaTeX."""
    turns = [*turned, *[False] * (len(exprs) - len(turned))]
    requests = [Request(e, t) for e, t in zip(exprs, turns, strict=True)]
    written, where = present_many(requests, taken=taken, profile=profile)
    names = [f"{pretty(name)} = {part.text}" for name, part in where]
    return written, names, [f"{name_latex(name)} &= {part.latex}" for name, part in where]
