"""What became of a person's derivation: a status for each line, a verdict, a text for the person."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from chainrule.expr.names import pretty

STATUSES = ("ok", "defined", "wrong", "follows", "unclear", "unread")
VERDICTS = ("right", "wrong", "incomplete", "unclear")


@dataclass(frozen=True, slots=True)
class Line:
    """One equality and what became of it.

    number     the line of the text
    text       as it was written
    status     ok, defined, wrong, follows (from a wrong line), unclear (says nothing, or cannot be decided),
               unread (cannot be read: `says` tells the place)
    reading    how it had to be read, where that is not obvious
    diagnosis  the code of what explains a wrong line
    says       a sentence for the person
    """

    number: int
    text: str
    status: str
    reading: str | None = None
    diagnosis: str | None = None
    says: str = ""


MARKS = {"ok": "✓", "defined": "✓", "wrong": "✗", "follows": "~", "unclear": "?", "unread": "!"}


@dataclass(frozen=True, slots=True)
class Grading:
    """What became of a derivation; true if nothing in it is wrong.

    verdict      right, wrong, unclear (a line could not be read or checked), or incomplete: nothing is wrong,
                 and the derivative asked for is never stated
    first_wrong  the number of the first line that does not follow, 0 if none
    missing      the variables whose derivative was asked for and is not stated
    assumptions  sentences: how what was not declared was read
    """

    lines: tuple[Line, ...]
    verdict: str
    first_wrong: int
    missing: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.verdict in ("right", "incomplete")

    def __str__(self) -> str:
        return self.text

    @property
    def diagnosis(self) -> str | None:
        """The code of what explains the first wrong line."""
        return next((line.diagnosis for line in self.lines if line.status == "wrong"), None)

    @property
    def text(self) -> str:
        """The lines with their marks, and what is said about them."""
        return "\n".join([*_table(self.lines), "", *_said(self), *self.assumptions])

    def to_json(self) -> str:
        """The same for other programs."""
        data = {
            "schema": "chainrule/check-derivation",
            "version": 1,
            "verdict": self.verdict,
            "first_wrong": self.first_wrong,
            "diagnosis": self.diagnosis,
            "missing": list(self.missing),
            "lines": [asdict(line) for line in self.lines],
            "assumptions": list(self.assumptions),
            "text": self.text,
        }
        return json.dumps(data, ensure_ascii=False, indent=2)


# ---------------------------------------------------------------- the text for the person


def _table(lines: Sequence[Line]) -> list[str]:
    """Every line with its number and mark; what continues a line stands under its right side."""
    width = len(str(max((line.number for line in lines), default=0)))
    texts: list[str] = []
    indent = 0
    for line in lines:
        if not line.text.startswith("=") and "=" in line.text:
            indent = line.text.index("=")
        texts.append(line.text if not line.text.startswith("=") else " " * indent + line.text)
    room = min(max(map(len, texts), default=0), 60)
    table = []
    for line, text in zip(lines, texts, strict=True):
        aside = _aside(line)
        start = f"{line.number:>{width}}  {MARKS[line.status]}  "
        table.append(f"{start}{text:<{room}}   {aside}" if aside else start + text)
    return table


def _aside(line: Line) -> str:
    """What is said beside a line."""
    if line.status in ("follows", "unclear") or (line.status == "ok" and line.says):
        return line.says
    return f"({line.reading})" if line.reading else ""


def _said(grading: Grading) -> list[str]:
    """The verdict in words: the first wrong line first, then the others."""
    wrong = [line for line in grading.lines if line.status == "wrong"]
    follow = sum(line.status == "follows" for line in grading.lines)
    unread = [line for line in grading.lines if line.status == "unread"]
    said = [f"Line {line.number} cannot be read: {_indented(line.says)}" for line in unread]
    if not wrong:
        return [*said, _without_faults(grading)]
    for line in wrong:
        either = " either" if line is not wrong[0] else ""
        said += [f"Line {line.number} does not follow{either}: {line.text}", f"  {_indented(line.says)}"]
    if follow:
        said.append(
            "One line follows correctly from what is wrong."
            if follow == 1
            else f"{follow} lines follow correctly from what is wrong."
        )
    if grading.missing:
        said.append(_missing(grading.missing))
    return said


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _without_faults(grading: Grading) -> str:
    count = len(grading.lines)
    if grading.verdict == "incomplete":
        return f"Nothing is wrong. {_missing(grading.missing)}"
    if grading.verdict == "unclear":
        unread = any(line.status == "unread" for line in grading.lines)
        return f"Nothing was found wrong, and not every line could be {'read' if unread else 'checked'}."
    return "The line follows." if count == 1 else f"All {count} lines follow."


def _missing(names: Sequence[str]) -> str:
    shown = " and ".join(pretty(name) for name in names)
    plural = "s" if len(names) > 1 else ""
    verb = "are" if plural else "is"
    return f"The derivative{plural} by {shown} {verb} not stated in full: this is not finished."
