"""Sentences with formulas in them, and formulas that are too long for a line, for every way of writing.

Words are strings and trees. A string may name variables in Unicode ("b does not depend on xⱼ"); `spans` finds
them, so that each writer shows a variable in a sentence as it does in a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chainrule.explain.boxes import width_of
from chainrule.explain.derivation import Derivation, Line, Phase, Sentence, Words
from chainrule.expr.names import GREEK, SUBSCRIPT, ascii_name
from chainrule.notation import matform as m
from chainrule.notation.latex import to_latex
from chainrule.notation.matform import Tree
from chainrule.notation.text import SUPERSCRIPTS, to_text

_BELOW = "".join(SUBSCRIPT)
_LETTERS = "".join(c for c in SUBSCRIPT if not SUBSCRIPT[c].isdigit())
_NUMBERS = "".join(c for c in SUBSCRIPT if SUBSCRIPT[c].isdigit())
# What stands above the line, in plain letters.
ABOVE = {chr(raised): chr(plain) for plain, raised in SUPERSCRIPTS.items()} | {"ᵀ": "T"}
_ABOVE = re.escape("".join(ABOVE))
_RAISED = {"ᵀ": m.transpose, "⁻¹": m.inverse, "⁻ᵀ": lambda part: m.transpose(m.inverse(part))} | {
    mark: (lambda part, k=k: m.power(part, m.number(k))) for k, mark in ((2, "²"), (3, "³"))
}
# One letter, with what stands below and above it, that is no word and no part of one; the differential of a
# matrix; a number.
_FRONT = "(?<![A-Za-z0-9_.’'-])"
_VARIABLE = re.compile(
    rf"{_FRONT}(?P<letter>[A-Za-z{''.join(GREEK.values())}][\u0302-\u0307]?)(?P<digits>[{_NUMBERS}]*)"
    rf"(?P<indices>[{_LETTERS}]*)(?:(?P<raised>[{_ABOVE}]+)(?![’'])|(?![\w(’'′{_BELOW}{_ABOVE}]|\.\w|-\w))"
    rf"|{_FRONT}d(?P<differential>[A-Z])(?![\w’'])"
    r"|(?<![\w.,])(?P<number>\d+)(?![\w.,]\w|\w)"
)
# A number, or a letter that is a word by itself, is part of a formula next to one of these signs; the letter
# also where no noun follows.
_WORDS = ("a", "A", "I", "O", "d")
_OPERATORS = "=<>≤≥≠→←↦×·⊙⊗⊘−+∈"
_ALONE = re.compile(r"$|[;,.:)]| (?:and|changes|does|has|is|nor|or|stands)\b")
_JOINS = re.compile(" ?([=<>≤≥≠×·⊙⊗⊘+−∈]) ?")


def formula(tree: Tree) -> str:
    """A formula on one line, as derivations write it: indices stand below the line.

    >>> formula(m.tree("entry", (m.name("X"),), ("i", "j")))
    'Xᵢⱼ'
    """
    return to_text(tree, lowered=True)


def words_text(words: Words) -> str:
    """Words with their formulas as text."""
    return "".join(word if isinstance(word, str) else formula(word) for word in words)


def spans(words: Words) -> tuple[str | Tree, ...]:
    """The words with the variables in their strings as trees.

    >>> spans(("b does not depend on xⱼ, nor on a row of A",))
    (<b>, ' does not depend on ', <entry(x;j)>, ', nor on a row of ', <A>)
    """
    found: list[str | Tree] = []
    for word in words:
        found += [word] if not isinstance(word, str) else [part for part in _spans(word) if part != ""]
    return tuple(found)


def _spans(text: str) -> Iterator[str | Tree]:
    done = 0
    for match in _VARIABLE.finditer(text):
        if (match["number"] or match[0] in _WORDS) and not _beside_operator(text, match):
            continue
        part = _part(match)
        if formula(part) != match[0] or match[0] == "Σ":
            continue
        yield text[done : match.start()]
        yield part
        done = match.end()
    yield text[done:]


def _beside_operator(text: str, match: re.Match[str]) -> bool:
    near = text[: match.start()].rstrip()[-1:], text[match.end() :].lstrip()[:1]
    alone = not match["number"] and _ALONE.match(text, match.end())
    return bool(alone) or any(char and char in _OPERATORS for char in near)


def _part(match: re.Match[str]) -> Tree:
    if match["number"]:
        return m.number(int(match["number"]))
    if match["differential"]:
        return m.differential(m.name(match["differential"]))
    part = m.name(ascii_name(match["letter"] + match["digits"]))
    if match["indices"]:
        part = m.tree("entry", (part,), tuple(SUBSCRIPT[c] for c in match["indices"]))
    raised = match["raised"]
    if not raised:
        return part
    if raised in _RAISED:
        return _RAISED[raised](part)
    above = "".join(ABOVE[c] for c in raised).replace("T", r"\top")
    return m.tree("symbol", (), (formula(part) + raised, f"{to_latex(part)}^{{{above}}}"))


def joined(words: Words) -> list[str | tuple[str | Tree, ...]]:
    """The words with relations and products of formulas as one: (z, ">", 0) stands together.

    >>> joined(("where z > 0 or n × m",))
    ['where ', (<z>, '>', <0>), ' or ', (<n>, '×', <m>)]
    """
    found: list[str | tuple[str | Tree, ...]] = []
    parts = spans(words)
    for k, part in enumerate(parts):
        sign = _JOINS.fullmatch(part) if isinstance(part, str) else None
        if sign and 0 < k < len(parts) - 1:
            found[-1] = (*found[-1], sign[1])
        elif isinstance(part, str):
            found.append(part)
        elif found and isinstance(found[-1], tuple) and isinstance(found[-1][-1], str):
            found[-1] = (*found[-1], part)
        else:
            found.append((part,))
    return found


def wrapped(words: Words, width: int) -> list[Words]:
    """The words in lines of a width, broken at spaces outside formulas."""
    lines: list[list[str | Tree]] = [[]]
    used = 0
    for word in words:
        pieces = [word] if not isinstance(word, str) else re.findall(r" +|[^ ]+", word)
        for piece in pieces:
            long = width_of(words_text((piece,)))
            if piece == " " and used >= width - 1:
                lines.append([])
                used = 0
            elif used + long > width and used and lines[-1][-1] == " ":
                lines[-1].pop()
                lines.append([piece])
                used = long
            else:
                lines[-1].append(piece)
                used += long
    return [_joined(line) for line in lines if line]


def _joined(line: list[str | Tree]) -> Words:
    words: list[str | Tree] = []
    for piece in line:
        if isinstance(piece, str) and words and isinstance(words[-1], str):
            words[-1] += piece
        else:
            words.append(piece)
    return tuple(words)


def folded(tree: Tree, width: int) -> list[tuple[str, Tree]]:
    """A long sum or product in parts that fit into lines, each with the operator that it starts with.

    >>> x, y = m.name("x"), m.name("y")
    >>> folded(m.signed_sum([(1, x), (1, y), (-1, x)]), 6)
    [('', <sum(x,y;1,1)>), ('−', <sum(x;1)>)]
    """
    if tree.op not in ("sum", "product") or width_of(formula(tree)) <= width:
        return [("", tree)]
    signs = tree.data if tree.op == "sum" else (0,) * len(tree.args)
    groups: list[list[tuple[int, Tree]]] = []
    used = width
    for sign, part in zip(signs, tree.args, strict=True):
        long = width_of(formula(part)) + 3
        if used + long > width + 3:
            groups.append([])
            used = 0
        groups[-1].append((sign, part))
        used += long
    done: list[tuple[str, Tree]] = []
    for k, group in enumerate(groups):
        parts, own = [part for _, part in group], [sign for sign, _ in group]
        if tree.op == "product":
            done.append(("·" if k else "", m.tree("product", parts)))
        elif k == 0:
            done.append(("", m.tree("sum", parts, own)))
        else:
            done.append(("+" if own[0] > 0 else "−", m.tree("sum", parts, (1, *own[1:]))))
    return done


Sized = list[tuple[Tree, str]]  # the factors of a product, and the size of each


def factor_sizes(tree: Tree, sizes: str) -> tuple[list[Sized], str]:
    """The factors of a product, or of each product in a sum, with their sizes; and the size of the whole.

    [] where sizes are not told one by one.

    >>> factor_sizes(m.product(m.name("A"), m.name("B")), "m × n · n × k = m × k")
    ([[(<A>, 'm × n'), (<B>, 'n × k')]], 'm × k')
    """
    parts, equals, whole = sizes.partition(" = ")
    terms = tree.args if tree.op == "sum" and "+" in parts else (tree,)
    told = parts.split(" + ")
    if not equals or len(terms) != len(told):
        return [], sizes
    found: list[Sized] = []
    for term, each in zip(terms, told, strict=True):
        factors, own = term.args if term.op == "product" else (term,), each.split(" · ")
        if len(factors) != len(own):
            return [], sizes
        found.append(list(zip(factors, own, strict=True)))
    return found, whole


@dataclass(frozen=True, slots=True)
class Run:
    """Lines that follow each other; the first may go on from `last`, a line above them."""

    lines: tuple[Line, ...]
    last: Line | None = None

    @property
    def left(self) -> Tree | None:
        """The left side of the first line, written out again where it goes on from above."""
        first = self.lines[0]
        return first.left if first.left is not None or self.last is None else self.last.left


def runs(phases: Sequence[Phase]) -> list[tuple[Phase, list[Run | Sentence | Phase]]]:
    """Each phase with what stands in it, lines that follow each other together."""
    found: list[tuple[Phase, list[Run | Sentence | Phase]]] = []
    last: Line | None = None
    for phase in phases:
        parts: list[Run | Sentence | Phase] = []
        for entry in phase.entries:
            if not isinstance(entry, Line):
                parts.append(entry)
            elif parts and isinstance(parts[-1], Run):
                parts[-1] = Run((*parts[-1].lines, entry), parts[-1].last)
            else:
                parts.append(Run((entry,), last))
            if isinstance(entry, Line) and entry.left is not None:
                last = entry
        found.append((phase, parts))
    return found


def title(phase: Phase) -> Words:
    """The number and the title of a phase; () if it has neither."""
    number = () if phase.number is None else (f"{phase.number}. ",)
    return (*number, phase.title) if phase.title else number


def purpose(line: Line) -> tuple[Words, Words]:
    """What an update is for, and what else there is to say about it.

    >>> x = m.name("x")
    >>> purpose(Line(x, x, ("step: ", x, " is a column",), relation="←"))
    (('Step:',), (<x>, ' is a column'))
    """
    if not line.reason or not isinstance(line.reason[0], str):
        return (), line.reason
    use, _, note = line.reason[0].partition(":")
    rest = (note.lstrip(), *line.reason[1:])
    return (f"{use[:1].upper()}{use[1:]}:",), tuple(word for word in rest if word != "")


def trees(derivation: Derivation) -> Iterator[Tree]:
    """Every part of every formula in the lines of a derivation, each once."""
    behind = [line for phase in derivation.sections for line in phase.lines()]
    lines = (*derivation.heading, *derivation.lines(), *derivation.answer, *derivation.where, *behind)
    pending = [tree for line in lines for tree in (line.left, line.right) if tree is not None]
    seen: set[Tree] = set()
    while pending:
        tree = pending.pop()
        if tree not in seen:
            seen.add(tree)
            yield tree
            pending += tree.args
