"""A text with changes, that knows where each of its places stood before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.errors import ChainruleError, Span


@dataclass(frozen=True, slots=True)
class Edit:
    """The characters `start` to `end` of a text, and what stands there instead."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Edited:
    """A changed text; `pieces` are (start here, length here, start before, end before)."""

    text: str
    pieces: tuple[tuple[int, int, int, int], ...]

    def before(self, span: Span) -> Span:
        """The place in the text before the changes."""
        start = self._place(span.start, False)
        return Span(start, max(self._place(span.end, True), start))

    def _place(self, position: int, end: bool) -> int:
        for here, length, start, stop in self.pieces:
            inside = here < position <= here + length if end else here <= position < here + length
            if inside:
                if length == stop - start:
                    return start + position - here
                return stop if end else start
        return self.pieces[-1][3] if self.pieces else 0


def apply(text: str, offset: int, edits: Sequence[Edit]) -> Edited:
    """The text, which begins at `offset` of its source, with the edits made; they do not overlap."""
    result = ""
    pieces: list[tuple[int, int, int, int]] = []
    position = offset

    def put(piece: str, start: int, stop: int) -> None:
        nonlocal result
        if piece:
            pieces.append((len(result), len(piece), start, stop))
            result += piece

    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        put(text[position - offset : edit.start - offset], position, edit.start)
        put(edit.text, edit.start, edit.end)
        position = max(position, edit.end)
    put(text[position - offset :], position, offset + len(text))
    return Edited(result, tuple(pieces))


def relocated(problem: ChainruleError, edited: Edited, source: str, spoken: dict[str, str]) -> ChainruleError:
    """The problem with places in the source, and with what the changes stand for in its words."""
    for made, shown in spoken.items():
        problem.message = problem.message.replace(made, shown)
        problem.hint = problem.hint.replace(made, shown)
    if problem.spans:
        problem.spans = tuple(edited.before(span) for span in problem.spans)
        problem.source = source
    problem.args = (problem.message,)
    return problem
