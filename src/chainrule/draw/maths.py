"""Formulas as runs of letters in a drawing: names slanted, indices below the line, exponents above it.

In: a line of Unicode text as `notation` writes it. Out: runs with a style and a level, their width, SVG.
Widths are those of the widest common serif font, so that text stays in its box whatever font is at hand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace

from chainrule.draw.svg import element, escape
from chainrule.notation.matform import Tree
from chainrule.notation.text import SUBSCRIPTS, SUPERSCRIPTS, to_text

# Hundredths of the font size; what is not listed is as wide as WIDE.
WIDTHS = {
    28: "'′⁽⁾", 32: " ,.ijl·", 36: "-/:;\\|’", 40: "()I[]fι", 44: "!t¹²³⁰⁴⁵⁶⁷⁸⁹ᵀⁿ₀₁₂₃₄₅₆₇₈₉",
    48: "\"Jrℓ", 52: "*_`s∂‖–", 56: "?zεζξτ⁺⁻", 60: "aecvxyβγηρ", 64: "$0123456789ko{}δθλνυχ√𝟏",
    68: "LPTbdghnpquακμπ", 72: "FSZσφΓΞΣ∇", 76: "ABEKRVXYΔΛΥ", 80: "CGψ𝟎",
    84: "#+<=>DOQ^~ωΘΦΩ−⊙⊘⊗×≤≥≠∞ℝ↦", 88: "HNUwΠΨ∈", 96: "&%m", 100: "@→←…⋮⋯", 104: "MW",
}  # fmt: skip
WIDE = 1.04
WIDTH_OF = {char: width / 100 for width, chars in WIDTHS.items() for char in chars}
# How much smaller indices and exponents are, and how far from the line, in parts of the font size.
SMALL, RAISE, LOWER = 0.72, 0.38, 0.22

LOWERED = {chr(lowered): chr(plain) for plain, lowered in SUBSCRIPTS.items()}
RAISED = {chr(raised): chr(plain) for plain, raised in SUPERSCRIPTS.items()} | {"⁻": "−", "ᵀ": "T"}
_UP, _DOWN = "".join(RAISED), "".join(LOWERED)
_LETTER = rf"[^\W\d_{_UP}{_DOWN}][\u0300-\u036f]*"
_PIECE = re.compile(
    rf"(?P<up>[{_UP}]+)"
    rf"|(?P<word>(?:{_LETTER})+)(?P<digits>[{_DOWN}]+|\d+)?(?:_(?P<index>\{{[^}}]*\}}|[^\W{_UP}{_DOWN}]+))?"
    rf"|(?P<down>[{_DOWN}]+)|(?<=[)\]{_UP}])_(?P<below>\{{[^}}]*\}}|[^\W{_UP}{_DOWN}]+)"
    r"|(?P<plain>.)",
    re.DOTALL,
)
# Words that are set upright wherever they stand: they name no variable.
WORDS = frozenset(("diag", "eye", "Σ"))


@dataclass(frozen=True, slots=True)
class Run:
    """Letters in one style; level 1 is an exponent, −1 an index; tint is a class of the style sheet."""

    text: str
    slanted: bool = False
    level: int = 0
    tint: str = ""


@dataclass(frozen=True, slots=True)
class Maths:
    """A formula on one line: its text, and the runs that it is drawn with."""

    text: str
    runs: tuple[Run, ...]

    def width(self, size: float) -> float:
        """How wide it is at most, at a font size."""
        return size * sum((SMALL if run.level else 1) * text_width(run.text) for run in self.runs)

    def svg(self, size: float) -> str:
        """The runs as tspans, to be put into a text element of that font size."""
        parts: list[str] = []
        height = 0.0  # of the baseline, upwards
        for run in self.runs:
            wanted = {1: RAISE, 0: 0.0, -1: -LOWER}[run.level] * size
            shift = height - wanted
            height = wanted
            classes = "i " * run.slanted + run.tint
            attributes: dict[str, object] = {"class": classes.strip()} if classes else {}
            if run.level:
                attributes["font-size"] = size * SMALL
            if shift:
                attributes["dy"] = shift
            parts.append(element("tspan", attributes, escape(run.text)) if attributes else escape(run.text))
        return "".join(parts)


def text(maths: Maths, x: float, y: float, size: float, kind: str = "", anchor: str = "middle") -> str:
    """A formula as a text element, its baseline at y."""
    attributes: dict[str, object] = {"class": kind} if kind else {}
    attributes |= {"x": x, "y": y, "font-size": size, "text-anchor": anchor}
    return element("text", attributes, maths.svg(size))


def text_width(letters: str) -> float:
    """The width of plain text in parts of the font size."""
    return sum(WIDTH_OF.get(char, 0.0 if unicodedata.combining(char) else WIDE) for char in letters)


def of_tree(tree: Tree, profile: str | None = None) -> Maths:
    """A presentation tree as it is drawn, in the signs of a profile.

    >>> from chainrule.notation import matform as m
    >>> [(run.text, run.level) for run in of_tree(m.power(m.name("u1"), m.number(2))).runs]
    [('u', 0), ('1', -1), ('2', 1)]
    """
    return of_text(to_text(tree, profile), functions_in(tree))


def functions_in(tree: Tree) -> frozenset[str]:
    """The names of the functions in a tree, which are set upright."""
    found: set[str] = set()
    pending, seen = [tree], {tree}
    while pending:
        node = pending.pop()
        if node.op == "call":
            found.add(node.data[0])
        pending.extend(a for a in node.args if a not in seen)
        seen.update(node.args)
    return frozenset(found)


def of_text(line: str, functions: Iterable[str] = ()) -> Maths:
    """A line of mathematics as `notation` writes it.

    >>> [run.text for run in of_text("X_ik δ_jl").runs]
    ['X', 'ik', ' ', 'δ', 'jl']
    """
    upright = WORDS.union(functions)
    runs: list[Run] = []
    for piece in _PIECE.finditer(line):
        if piece["up"]:
            raised = "".join(RAISED[char] for char in piece["up"])
            runs.append(Run(raised, raised.islower(), 1))
        elif piece["word"]:
            word, end = piece["word"], piece.end("word")
            called = line[end : end + 1] == "("
            if called and word[0] == "d" and word[1:] in upright:  # d vec(X)
                runs.append(Run("d", True))
                word = word[1:]
            runs.append(Run(word, not (word in WORDS or (called and word in upright))))
            digits = "".join(LOWERED.get(char, char) for char in piece["digits"] or "")
            index = (piece["index"] or "").strip("{}")
            if digits:
                runs.append(Run(digits + "," * bool(index), False, -1))
            if index:
                runs.append(Run(index, True, -1))
        elif piece["below"]:
            runs.append(Run(piece["below"].strip("{}"), True, -1))
        elif piece["down"]:
            runs.append(Run("".join(LOWERED[char] for char in piece["down"]), False, -1))
        else:
            runs.append(Run(piece["plain"]))
    return Maths(line, tuple(_joined(runs)))


def plain(words: str) -> Maths:
    """Words that are no formula."""
    return Maths(words, (Run(words),) if words else ())


def joined(*parts: Maths) -> Maths:
    """Several pieces one after the other."""
    return Maths("".join(p.text for p in parts), tuple(_joined([run for p in parts for run in p.runs])))


def tinted(maths: Maths, tint: str) -> Maths:
    """The same in a colour, given by a class of the style sheet."""
    return Maths(maths.text, tuple(replace(run, tint=tint) for run in maths.runs))


def shortened(maths: Maths, most: float) -> Maths:
    """The formula itself, or its beginning with … behind it, at most so many font sizes wide."""
    if maths.width(1) <= most:
        return maths
    kept: list[Run] = []
    room = most - text_width("…")
    for run in maths.runs:
        scale = SMALL if run.level else 1
        if scale * text_width(run.text) <= room:
            kept.append(run)
            room -= scale * text_width(run.text)
            continue
        part = ""
        for char in run.text:
            room -= scale * text_width(char)
            if room < 0:
                break
            part += char
        if part.strip() and not run.slanted:
            kept.append(Run(part, run.slanted, run.level))
        break
    while kept and not kept[-1].text.strip():
        kept.pop()
    return Maths(maths.text, (*kept, Run("…")))


def _joined(runs: list[Run]) -> list[Run]:
    """Neighbours of one style as one run."""
    result: list[Run] = []
    for run in runs:
        if result and replace(result[-1], text="") == replace(run, text=""):
            result[-1] = replace(run, text=result[-1].text + run.text)
        else:
            result.append(run)
    return result
