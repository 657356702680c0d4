"""A derivation as a web page of its own: headings, lists and tables, formulas in MathML, drawings as SVG.

In: Derivations. Out: one page without scripts and without anything from elsewhere. It follows the reader's
choice of light or dark, fits narrow screens and paper, and everything in it is text for a screen reader. It
is well-formed XML too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from chainrule.explain.derivation import Derivation, Line, Phase, Sentence, Words
from chainrule.explain.latex import in_formula, sum_sign
from chainrule.explain.page import PAGE
from chainrule.explain.words import (
    Run,
    Sized,
    factor_sizes,
    folded,
    formula,
    joined,
    purpose,
    runs,
    title,
    words_text,
)
from chainrule.notation.matform import Tree
from chainrule.notation.mathml import element, factor, inline, math, to_mathml
from chainrule.notation.tex import from_tex, operator, row

# Longer formulas may be broken at their outermost operators where the screen is narrow.
UNBROKEN = 24
LANGUAGE = "en"


def to_html(*derivations: Derivation) -> str:
    """The derivations as one page."""
    first = derivations[0]
    name = words_text(_subject(first))
    head = " and ".join(
        f"{formula(line.left)} = {formula(line.right)}" for line in first.heading if line.left
    )
    return PAGE.format(
        language=LANGUAGE,
        title=escape(f"Derivation of {name}" if name else f"Derivation: {head}"),
        description=escape(f"{name} for {head}, derived step by step and checked" if name else head),
        body="\n".join(text for k, d in enumerate(derivations, 1) for text in _Page(k).article(d)),
    )


def words_html(words: Words) -> str:
    """Words with their formulas as MathML.

    >>> print(words_html(("b < 2",)))
    <math xmlns="http://www.w3.org/1998/Math/MathML" alttext="b &lt;
    2"><mrow><mi>b</mi><mo>&lt;</mo><mn>2</mn></mrow></math>
    """
    groups = joined(words)
    text = ""
    for before, group, after in zip(["", *groups], groups, [*groups[1:], ""], strict=False):
        if isinstance(group, str):
            # Punctuation stays with the formula that it encloses.
            start = 0 if isinstance(before, str) else len(_closing(group))
            end = len(group) if isinstance(after, str) else len(group) - len(_opening(group[start:]))
            text += escape(group[start:end])
            continue
        inside = row([operator(part) if isinstance(part, str) else inline(part) for part in group])
        plain = " ".join(part if isinstance(part, str) else formula(part) for part in group)
        front = _opening(before) if isinstance(before, str) else ""
        behind = _closing(after) if isinstance(after, str) else ""
        shown = f"{escape(front)}{math(inside, plain)}{escape(behind)}"
        text += f'<span class="whole">{shown}</span>' if front or behind else shown
    return text


def _opening(text: str) -> str:
    return re.search(r"[(\[“]*$", text)[0]  # type: ignore[index]


def _closing(text: str) -> str:
    return re.match(r"[)\].,;:!?’”]*", text)[0]  # type: ignore[index]


def _subject(derivation: Derivation) -> Words:
    """The derivative that it is about; of several that are results the first and the last."""
    found = [line for line in derivation.answer if line.relation == "=" and line.left is not None]
    first = tuple(line.left for line in found[:1] if line.left is not None)
    results = [line.left for line in found if line.result and line.left is not None]
    if len(results) < 2:
        return first
    return (results[0], " and " if len(results) == 2 else ", …, ", results[-1])


def _heading(words: Words) -> str:
    """Words with their formulas at full size."""
    return "".join(escape(word) if isinstance(word, str) else to_mathml(word) for word in words)


class _Page:
    """Writes one derivation; `number` keeps its ids apart from those of the others on the page."""

    def __init__(self, number: int) -> None:
        self.number, self.sections = number, 0

    def article(self, derivation: Derivation) -> Iterator[str]:
        """The whole derivation."""
        subject = _subject(derivation)
        yield f'<article aria-labelledby="derivation-{self.number}">'
        yield "<header>"
        level = f'h1 id="derivation-{self.number}"'
        yield f"<{level}>Derivation{' of ' * bool(subject)}{_heading(subject)}</h1>"
        yield self.lines(Run(derivation.heading), "heading")
        if derivation.sizes:
            sizes = "".join(f"<li>{words_html(words)}</li>" for words in derivation.sizes)
            yield f'<ul class="sizes" aria-label="Sizes">{sizes}</ul>'
        told = any("layout" in words_text(words) for words in derivation.sizes)
        layout = "" if told else f" · {escape(derivation.layout)} layout"
        yield f'<p class="manner">Style: {escape(derivation.style)}{layout}</p>'
        yield "</header>"
        yield from self.phases(derivation.phases, 2)
        yield from self.answer(derivation)
        yield from self.phases(derivation.sections, 2)
        if derivation.figures:
            yield from self.figures(derivation)
        yield from self.footer(derivation)
        yield "</article>"

    def section(self, heading: str, level: int, css: str = "") -> tuple[str, str]:
        """The start of a section and its heading."""
        self.sections += 1
        name = f"part-{self.number}-{self.sections}"
        kind = f' class="{css}"' if css else ""
        if not heading:
            return f"<section{kind}>", ""
        return (
            f'<section{kind} aria-labelledby="{name}">',
            f'<h{level} id="{name}">{heading}</h{level}>',
        )

    # ------------------------------------------------------------ phases

    def phases(self, phases: Sequence[Phase], level: int) -> Iterator[str]:
        """A section for each phase."""
        for phase, parts in runs(phases):
            yield from self.section(words_html(title(phase)), min(level, 6))
            for part in parts:
                match part:
                    case Phase():
                        yield from self.phases((part,), level + 1)
                    case Sentence():
                        yield f"<p>{words_html(part.words)}</p>"
                    case Run():
                        yield self.lines(part)
            yield "</section>"

    def lines(self, run: Run, css: str = "") -> str:
        """Lines under each other, their = signs aligned."""
        items = "\n".join(_line(line, run.left if k == 0 else line.left) for k, line in enumerate(run.lines))
        return f'<ul class="lines{f" {css}" if css else ""}" role="list">\n{items}\n</ul>'

    # ------------------------------------------------------------ the end

    def answer(self, derivation: Derivation) -> Iterator[str]:
        """The result, what its names stand for, what may be done with it, and how to read it."""
        answers = tuple(line for line in derivation.answer if line.relation != "←")
        if not (answers or derivation.where or derivation.reading or derivation.answer):
            return
        yield from self.section("Result", 2, "result")
        if answers:
            yield self.lines(Run(answers))
        if derivation.where:
            yield "<p>where</p>"
            yield self.lines(Run(derivation.where), "where")
        for line in derivation.answer:
            if line.relation == "←":
                use, note = purpose(line)
                yield f'<p class="use">{words_html(use)}</p>' if use else ""
                yield self.lines(Run((line_with(line, note),)))
        if derivation.reading:
            sentences = " ".join(words_html(sentence.words) for sentence in derivation.reading)
            yield f'<p class="reading"><strong>Read it:</strong> {sentences}</p>'
        yield "</section>"

    def figures(self, derivation: Derivation) -> Iterator[str]:
        """The drawings, each with what it shows."""
        for figure in derivation.figures:
            caption = figure.alt.splitlines()[0]  # the rest is in the drawing, for those who cannot see it
            yield f"<figure>{figure.svg}<figcaption>{escape(caption)}</figcaption></figure>"

    def footer(self, derivation: Derivation) -> Iterator[str]:
        """Remarks and the check."""
        checked = derivation.checked
        yield "<footer>"
        yield from (f"<p>{words_html((_sentence(text),))}</p>" for text in derivation.remarks)
        state = "failed" if checked.failed else "unchecked" if checked.reason else "passed"
        alert = ' role="alert"' if checked.failed else ""
        yield f'<p class="check {state}"{alert}>{escape(_sentence(str(checked)))}</p>'
        yield "</footer>"


def line_with(line: Line, reason: Words) -> Line:
    """The line with another reason."""
    return Line(line.left, line.right, reason, line.sizes, line.relation, line.value, line.result)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ")")) else ".")


def _line(line: Line, left: Tree | None) -> str:
    terms, sizes = factor_sizes(line.right, line.sizes)
    relation = {"=": "equal", "≠": "unequal", "←": "update", "↦": "map"}[line.relation]
    parts = [
        f'<span class="left">{"" if left is None else to_mathml(left, large=True)}</span>',
        f'<span class="relation">{math(operator(line.relation), line.relation)}</span>',
        f'<span class="right">{_right(line.right, terms)}</span>',
    ]
    note = f'<span class="size">{words_html((sizes,))}</span> ' * bool(sizes)
    note += f'<span class="reason">{words_html(line.reason)}</span>' * bool(line.reason)
    if note:
        parts.append(f'<span class="note">{note.strip()}</span>')
    result = " result" if line.result else ""
    return f'<li class="{relation}{result}">{"".join(parts)}</li>'


def _right(tree: Tree, terms: Sequence[Sized]) -> str:
    """A right side in pieces that stay whole; the sizes of factors stand under them."""
    pieces = []
    for k, factors in enumerate(terms):
        term = tree.args[k] if len(terms) > 1 else tree
        for n, (part, size) in enumerate(factors):
            sign = "·" if n else sum_sign(tree, k).strip()
            pieces.append(_piece(sign, f"<munder>{factor(part, term)}{_small(size)}</munder>", formula(part)))
    if not terms:
        pieces = [_piece(sign, element(part), formula(part)) for sign, part in folded(tree, UNBROKEN)]
    return " ".join(pieces)


def _piece(sign: str, inside: str, text: str) -> str:
    shown = row([operator(sign, "infix"), inside]) if sign else inside
    return math(shown, f"{sign} {text}".strip(), large=True)


def _small(size: str) -> str:
    return f'<mpadded class="under" height="0.95em">{from_tex(in_formula((size,)))}</mpadded>'
