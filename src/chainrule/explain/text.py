"""A derivation as text: phases with their numbers, = signs and reasons under each other.

In: a Derivation. Out: lines of at most a width where what they hold allows it. Formulas are those of
`notation.text`, with letters of indices below the line; `spell` is asked how a piece of text will be shown
(a stream that lacks a sign gets another, perhaps longer one), so that columns are aligned as they are seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from chainrule.explain.boxes import Box, Pen, box, padded, width_of
from chainrule.explain.derivation import Derivation, Line, Phase, Sentence
from chainrule.explain.words import formula, purpose, trees, words_text

WIDTH = 110
# A left side wider than this stands on a line of its own when lines go on below it.
LONG_LEFT, LONGEST_LEFT = 10, 30
# Sizes wider than this are those of a product; the others have a column of their own.
LONG_SIZES = 13
# Reasons of all phases share a column up to here; a phase with longer lines has its own.
SHARED_COLUMN = 60
NARROWEST_REASON = 30
GAP = 4
INSIDE, DEEPER = 3, 5

Spell = Callable[[str], str]


def to_text(derivation: Derivation, *, width: int = WIDTH, spell: Spell | None = None) -> str:
    """The derivation as a text of several lines, without a line break at the end."""
    return "\n".join(_Page(width, _distinct(derivation, spell or str)).derivation(derivation))


def _distinct(derivation: Derivation, spell: Spell) -> Spell:
    """The spelling, with ∂ and d told apart where both occur: they are different derivatives."""
    if spell("∂") != spell("d") or not any(
        tree.op in ("derivative", "operator") and "d" in tree.data for tree in trees(derivation)
    ):
        return spell
    return lambda text: spell(text.replace("∂", "del "))


@dataclass(slots=True)
class _Row:
    """An equality before it is placed."""

    left: str
    sign: str
    right: Box
    sizes: str
    reason: str


@dataclass(slots=True)
class _Block:
    """Rows and sentences that share their columns, indented together."""

    indent: int
    left: int
    entries: list[_Row | str]
    notes: int = 0
    sizes: int = 0
    rows: list[_Row] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = [entry for entry in self.entries if isinstance(entry, _Row)]
        short = [row for row in self.rows if width_of(row.sizes) <= LONG_SIZES]
        if any(row.sizes and row.reason for row in short):
            self.sizes = max(width_of(row.sizes) for row in short)

    @property
    def start(self) -> int:
        """The column of the right sides."""
        return self.indent + self.left + 3

    def end(self, row: _Row) -> int:
        """The column behind a right side."""
        return self.start + row.right.width

    def note(self, row: _Row) -> list[str]:
        """What stands beside a row, in pieces that may stand under each other."""
        if width_of(row.sizes) > LONG_SIZES:
            return [row.reason, row.sizes] if row.reason else [row.sizes]
        if not row.reason or not self.sizes:
            return [part for part in (row.sizes, row.reason) if part]
        return [padded(row.sizes, self.sizes) + " " * GAP + row.reason]


class _Page:
    """Places the parts of one derivation on lines of a width."""

    def __init__(self, width: int, spell: Spell) -> None:
        self.width, self.spell = width, spell

    def derivation(self, derivation: Derivation) -> list[str]:
        """All lines."""
        blocks = self._phases(derivation.phases)
        answer = self._block(0, [self._row(line) for line in derivation.answer if line.relation != "←"], None)
        self._place([*(b for _, b in blocks), answer])
        behind = self._phases(derivation.sections)
        for _, block in behind:
            self._place([block])
        shared = [b.notes for _, b in blocks if b.notes]
        parts = [
            self._heading(derivation, max(shared, default=0)),
            [text for titles, block in blocks for text in [*titles, *self._lines(block)]],
            self._answer(derivation, answer),
            self._wrapped("Read it: " + self._sentences(derivation.reading)) if derivation.reading else [],
            [text for titles, block in behind for text in [*titles, *self._lines(block)]],
            [
                text
                for part in (*derivation.remarks, str(derivation.checked))
                for text in self._wrapped(self.spell(part))
            ],
        ]
        return [text.rstrip() for part in parts if part for text in ("", *part)][1:]

    # ------------------------------------------------------------ heading

    def _heading(self, derivation: Derivation, column: int) -> list[str]:
        rows = [self._row(line) for line in derivation.heading]
        sizes = self.spell(", ".join(words_text(words) for words in derivation.sizes))
        joined = ",   ".join(f"{row.left} {row.sign} {row.right.rows[0]}".lstrip(" =") for row in rows)
        flat = all(len(row.right.rows) == 1 for row in rows)
        if not flat or width_of(joined) > self.width:
            block = self._block(0, rows, None)
            self._place([block])
            return [*self._lines(block), *self._wrapped(sizes, INSIDE)]
        if not sizes:
            return [joined]
        end = width_of(joined)
        column = column if column >= end + GAP else end + 2 * GAP
        if column + width_of(sizes) <= self.width:
            return [padded(joined, column) + sizes]
        return [joined, *self._wrapped(sizes, INSIDE)]

    # ------------------------------------------------------------ phases

    def _phases(self, phases: Sequence[Phase], indent: int = 0) -> list[tuple[list[str], _Block]]:
        """Titles, and the block that stands under each."""
        blocks: list[tuple[list[str], _Block]] = []
        above: _Block | None = None
        for k, phase in enumerate(phases):
            titles = [""] if k and phase.number is None and indent == 0 else []
            number = "" if phase.number is None else f"{phase.number}. "
            if number or phase.title:
                titles.append(" " * indent + number + self.spell(phase.title))
            inner = indent + (DEEPER if number or phase.title else 0)
            entries: list[_Row | str] = []
            for entry in phase.entries:
                if isinstance(entry, Phase):
                    blocks.append((titles, self._block(inner, entries, above)))
                    blocks += self._phases((entry,), indent + INSIDE)
                    titles, entries = [], []
                elif isinstance(entry, Line):
                    entries.append(self._row(entry))
                else:
                    entries.append(self.spell(words_text(entry.words)))
            if titles or entries:
                above = self._block(inner, entries, above)
                blocks.append((titles, above))
        return blocks

    def _row(self, line: Line) -> _Row:
        return _Row(
            "" if line.left is None else self.spell(formula(line.left)),
            self.spell(line.relation),
            box(line.right, Pen(lambda tree: self.spell(formula(tree)), self.spell)),
            self.spell(line.sizes),
            self.spell(words_text(line.reason)),
        )

    def _block(self, indent: int, entries: Sequence[_Row | str], above: _Block | None) -> _Block:
        """Rows with the width of their left sides; what goes on from the block above takes its column."""
        lefts: list[int] = []
        for entry, after in zip(entries, [*entries, None][1:], strict=True):
            if isinstance(entry, _Row) and entry.left:
                continued = isinstance(after, _Row) and not after.left
                entry_width = width_of(entry.left)
                if entry_width <= (LONG_LEFT if continued else LONGEST_LEFT):
                    lefts.append(entry_width)
        rows = [entry for entry in entries if isinstance(entry, _Row)]
        if rows and not any(row.left for row in rows) and above is not None and above.indent == indent:
            return _Block(indent, above.left, list(entries))
        return _Block(indent, max(lefts, default=1), list(entries))

    def _place(self, blocks: Iterable[_Block]) -> None:
        """Give every block its column of reasons, a common one where lines are short."""
        placed = [block for block in blocks if any(block.note(row) for row in block.rows)]
        for block in placed:
            notes = [width_of(piece) for row in block.rows for piece in block.note(row)[:1]]
            most = self.width - GAP - min(max(notes), NARROWEST_REASON)
            # A matrix entry by entry has its note behind itself, so that the others stay near their lines.
            flat = [row for row in block.rows if row.right.rows[0][0] not in "[⎡⎧"] or block.rows
            ends = [block.end(row) for row in flat if block.end(row) <= most]
            block.notes = max(ends, default=block.start) + GAP
        sizes = max((block.sizes for block in placed), default=0)
        shared = max((b.notes for b in placed if b.notes <= SHARED_COLUMN), default=0)
        for block in placed:
            block.sizes = block.sizes and sizes
            longest = max(width_of(piece) for row in block.rows for piece in block.note(row)[:1])
            if shared + longest <= self.width:
                block.notes = max(block.notes, shared)

    # ------------------------------------------------------------ lines

    def _lines(self, block: _Block) -> list[str]:
        lines: list[str] = []
        for entry in block.entries:
            if isinstance(entry, _Row):
                lines += self._equality(block, entry)
            else:
                lines += self._wrapped(entry, max(0, block.indent - DEEPER + INSIDE))
        return lines

    def _equality(self, block: _Block, row: _Row) -> list[str]:
        lines: list[str] = []
        left = row.left
        if width_of(left) > block.left:
            lines += self._folded(left, block.indent, self.width)
            left = ""
        front = " " * block.indent + padded(left, block.left) + f" {row.sign} "
        blank = " " * block.start
        right = row.right
        if len(right.rows) == 1 and block.end(row) > self.width:
            folded = self._folded(right.rows[0], block.start, self.width)
            right = Box(tuple(text[block.start :] for text in folded))
        for k, text in enumerate(right.rows):
            lines.append((front if k == right.base else blank) + text)
        base = len(lines) - len(right.rows) + (right.base if len(right.rows) == len(row.right.rows) else -1)
        return self._annotated(lines, base % len(lines), block, row)

    def _annotated(self, lines: list[str], base: int, block: _Block, row: _Row) -> list[str]:
        """The lines with a note beside the line `base`, or under them where there is no room for it."""
        note = block.note(row)
        if not note:
            return lines
        column = block.notes
        whole = (" " * GAP).join(note)
        end = width_of(lines[base].rstrip())
        if end + GAP <= column:
            room = self.width - column
            hang = block.sizes + GAP if block.sizes and whole.startswith((" ", row.sizes or " ")) else 0
            pieces = (
                [whole] if width_of(whole) <= room else [p for n in note for p in self._fill(n, room, hang)]
            )
            if room >= NARROWEST_REASON or len(pieces) == 1:
                for k, piece in enumerate(pieces):
                    if base + k < len(lines) and width_of(lines[base + k].rstrip()) + GAP <= column:
                        lines[base + k] = padded(lines[base + k].rstrip(), column) + piece
                    else:
                        lines.insert(base + k, " " * column + piece)
                return lines
        if end + GAP + width_of(whole) <= self.width:
            lines[base] = lines[base].rstrip() + " " * GAP + whole
            return lines
        under = min(column, self.width - NARROWEST_REASON)
        return lines + [" " * under + piece for n in note for piece in self._fill(n, self.width - under)]

    def _answer(self, derivation: Derivation, block: _Block) -> list[str]:
        """The result with what its names stand for, then what may be done with it."""
        where = self._where(derivation.where)
        plain = [line for line in derivation.answer if line.relation != "←"]
        lines = self._lines(block)
        if where and len(lines) == 1 and width_of(lines[0]) + 2 * GAP + width_of(where) <= self.width:
            lines[0] += " " * 2 * GAP + where
        elif where:
            lines += self._wrapped(where, INSIDE)
        assert len(plain) == len(block.rows)
        for line in derivation.answer:
            if line.relation == "←":
                lines += self._update(line)
        return lines

    def _where(self, where: Sequence[Line]) -> str:
        if not where:
            return ""
        parts = [f"{formula(line.left)} = {formula(line.right)}" for line in where if line.left is not None]
        return self.spell("where " + ", ".join(part.replace(" ", HARD_SPACE) for part in parts))

    def _update(self, line: Line) -> list[str]:
        """Gradient-descent step: w ← w − η ∇C, and behind or below it what there is to say."""
        use, note = (self.spell(words_text(words)) for words in purpose(line))
        row = self._row(replace(line, reason=()))
        text = f"{use} {row.left} {row.sign} {row.right.rows[row.right.base]}".lstrip()
        lines = self._folded(text, 0, self.width)
        behind = (" " * GAP).join(part for part in (row.sizes, note) if part)
        if not behind:
            return lines
        if width_of(lines[-1]) + GAP + width_of(behind) <= self.width:
            return [*lines[:-1], lines[-1] + " " * GAP + behind]
        return [*lines, *self._wrapped(behind, INSIDE)]

    # ------------------------------------------------------------ wrapping

    def _sentences(self, sentences: Sequence[Sentence]) -> str:
        return self.spell(" ".join(words_text(s.words) for s in sentences))

    def _wrapped(self, text: str, indent: int = 0) -> list[str]:
        """A paragraph in lines of the width."""
        return [" " * indent + piece for piece in self._fill(text, self.width - indent)]

    def _fill(self, text: str, width: int, hang: int = 0) -> list[str]:
        """The words of a text in lines; those after the first begin `hang` further to the right."""
        lines = [""]
        for word in re.split(r"(?<=\S)(?= )", text):
            if width_of(lines[-1] + word) > width and lines[-1].strip():
                lines.append(" " * hang + word.lstrip(" "))
            else:
                lines[-1] += word
        return [line.replace(HARD_SPACE, " ") for line in lines if line]

    def _folded(self, text: str, indent: int, width: int) -> list[str]:
        """A formula in lines, broken before operators, the outermost first."""
        lines: list[str] = []
        margin = indent
        while width_of(text) > width - margin:
            cut = _break(text, width - margin)
            if not cut:
                break
            lines.append(" " * margin + text[:cut].rstrip())
            text, margin = text[cut:].lstrip(), indent + 2
        return [*lines, " " * margin + text]


HARD_SPACE = "\N{NO-BREAK SPACE}"
# How much of a line may stay empty for each pair of parentheses that a break stands outside of.
DEPTH = 8
_OPENING, _CLOSING = "([{", ")]}"


def _break(text: str, width: int) -> int:
    """Where to break a formula so that its first part fits, outside parentheses and late rather than early.

    0 if there is nowhere.
    """
    best, depth, least = 0, 0, 10**6
    for k, char in enumerate(text[: width + 1]):
        depth += (char in _OPENING) - (char in _CLOSING)
        waste = width - k + DEPTH * depth
        if char == " " and k > width // 3 and waste < least and text[k - 1] not in "+−-·⊙/":
            best, least = k, waste
    return best
