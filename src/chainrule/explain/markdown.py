r"""A derivation in Markdown as GitHub and notebooks show it: headings, sentences, formulas in LaTeX.

In: a Derivation. Out: Markdown. Formulas are between $ in sentences and between $$ on lines of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chainrule.explain.derivation import Derivation, Phase, Sentence, Words
from chainrule.explain.latex import closed, equation, pieces, rows
from chainrule.explain.words import Run, purpose, runs, title

_MARKS = re.compile(r"([\\`*_\[\]<>#|~$])")


def to_markdown(derivation: Derivation) -> str:
    """The derivation in Markdown."""
    parts = [display(Run(derivation.heading))]
    if derivation.sizes:
        parts.append(", ".join(map(paragraph, derivation.sizes)))
    parts += _phases(derivation.phases, 3)
    answers = tuple(line for line in derivation.answer if line.relation != "←")
    if answers:
        parts += ["---", display(Run(answers))]
    where = [f"${equation(line)}$" for line in derivation.where]
    if where:
        parts.append("where " + ", ".join(where))
    for line in derivation.answer:
        if line.relation == "←":
            use, note = map(paragraph, purpose(line))
            parts += [use] if use else []
            parts += [f"$$\n{equation(line)}\n$$", *([note] if note else [])]
    if derivation.reading:
        parts.append("*Read it:* " + " ".join(paragraph(s.words) for s in derivation.reading))
    parts += _phases(derivation.sections, 3)
    ends = (*derivation.remarks, str(derivation.checked))
    parts += [closed(_capital(paragraph((text,)))) for text in ends]
    return "\n\n".join(parts) + "\n"


def display(run: Run) -> str:
    """Lines as one display, their = signs under each other."""
    written = rows(run)
    if len(written) == 1 and "&&" not in written[0]:
        return f"$$\n{written[0].replace(' &', ' ', 1).strip()}\n$$"
    return "\n".join(["$$", r"\begin{aligned}", " \\\\\n".join(written), r"\end{aligned}", "$$"])


def paragraph(words: Words) -> str:
    r"""Words with formulas between dollar signs.

    >>> print(paragraph(("b_1 * does not depend on xⱼ",)))
    b\_1 \* does not depend on $x_{j}$
    """
    text = ""
    shown = pieces(words)
    for piece, after in zip(shown, [*shown, None][1:], strict=True):
        # A dollar sign between letters opens no formula.
        free = (not text or text[-1] in " (") and (after is None or re.match(r"[\s.,;:?!)’-]", after.plain))
        text += f"${piece.math.strip()}$" if piece.math and free else _MARKS.sub(r"\\\1", piece.plain)
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _phases(phases: Sequence[Phase], level: int) -> list[str]:
    parts: list[str] = []
    for phase, content in runs(phases):
        if title(phase):
            parts.append(f"{'#' * level} {paragraph(title(phase))}")
        for part in content:
            match part:
                case Phase():
                    parts += _phases((part,), level + 1)
                case Sentence():
                    parts.append(paragraph(part.words))
                case Run():
                    parts.append(display(part))
    return parts
