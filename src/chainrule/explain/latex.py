r"""A derivation in LaTeX: an `align*` for every run of lines, sentences between them.

In: a Derivation. Out: LaTeX that needs amsmath and amssymb alone; `to_document` puts it into a file that
compiles as it is. Formulas are those of `notation.latex`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.explain.boxes import width_of
from chainrule.explain.derivation import Derivation, Line, Phase, Sentence, Words
from chainrule.explain.words import (
    ABOVE,
    Run,
    factor_sizes,
    folded,
    formula,
    purpose,
    runs,
    spans,
    title,
    words_text,
    wrapped,
)
from chainrule.expr.names import GREEK, SPELLED, SUBSCRIPT
from chainrule.notation import latex
from chainrule.notation.latex import name_latex
from chainrule.notation.matform import Tree

# How many characters a line of a page holds, and a reason before it is broken.
PAGE, REASON = 84, 46
RELATIONS = {"=": "=", "≠": r"\ne", "←": r"\leftarrow", "↦": r"\mapsto"}

# Signs that stand in sentences. Letters of the Greek alphabet and scripts are added below.
SIGNS = {
    "−": "-", "·": r"\cdot", "×": r"\times", "⊙": r"\odot", "⊘": r"\oslash", "⊗": r"\otimes", "→": r"\to",
    "←": r"\leftarrow", "↦": r"\mapsto", "⇒": r"\Rightarrow", "≤": r"\le", "≥": r"\ge", "≠": r"\ne",
    "≈": r"\approx", "±": r"\pm", "∞": r"\infty", "∈": r"\in", "∂": r"\partial", "∇": r"\nabla", "Σ": r"\sum",
    "√": r"\surd", "‖": r"\Vert", "′": r"^{\prime}", "𝟏": r"\mathbf{1}", "𝟎": r"\mathbf{0}",
    "ℝ": r"\mathbb{R}", "⋯": r"\cdots", "⋮": r"\vdots", "⋱": r"\ddots", "<": "<", ">": ">", "|": r"\vert",
    "✓": r"\checkmark",    "✗": r"\times", "∧": r"\land", "∨": r"\lor", "∘": r"\circ",
    "\N{EM SPACE}": r"\quad ",
    **{letter: name_latex(name) for letter, name in SPELLED.items() if name in GREEK and letter not in "∑Σ"},
}  # fmt: skip
# In words, between formulas: what TeX would read as a command or does not have in its fonts.
ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "#": r"\#", "%": r"\%", "&": r"\&", "_": r"\_",
    "$": r"\$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "…": r"\dots{}", "’": "'", "–": "--",
    "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip
_SCRIPTS = re.escape("".join(ABOVE)), "".join(SUBSCRIPT)
_COMMANDS = frozenset(SIGNS.values())
_PIECES = re.compile(
    rf"(\d+(?:\.\d+)?)e([+-]?\d+)|([{_SCRIPTS[0]}]+)|([{_SCRIPTS[1]}]+)|([{re.escape(''.join(SIGNS))}])"
)


def to_latex(*derivations: Derivation) -> str:
    """The derivations in LaTeX, to be put into a document that uses amsmath and amssymb."""
    return "\n\n".join(map(_latex, derivations))


def _latex(derivation: Derivation) -> str:
    parts = [_align(Run(derivation.heading))]
    if derivation.sizes:
        parts.append(", ".join(map(paragraph, derivation.sizes)) + ".")
    parts += _phases(derivation.phases, "paragraph")
    answers = tuple(line for line in derivation.answer if line.relation != "←")
    if answers:
        parts.append(_align(Run(answers)))
    where = [f"${equation(line)}$" for line in derivation.where]
    if where:
        parts.append("where " + ", ".join(where) + ".")
    for line in derivation.answer:
        if line.relation == "←":
            use, note = map(paragraph, purpose(line))
            parts.append(f"{use} ${equation(line)}${'; ' * bool(note)}{note}.".lstrip())
    if derivation.reading:
        parts.append(r"\emph{Read it:} " + " ".join(paragraph(s.words) for s in derivation.reading))
    parts += _phases(derivation.sections, "paragraph")
    parts += [sentence(text) for text in (*derivation.remarks, str(derivation.checked))]
    return "\n\n".join(parts)


def to_document(*derivations: Derivation) -> str:
    """A whole file that pdflatex compiles."""
    return DOCUMENT.replace("@", to_latex(*derivations))


DOCUMENT = r"""\documentclass[11pt,fleqn]{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{amsmath,amssymb}
\usepackage[margin=22mm]{geometry}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\begin{document}

@

\end{document}
"""


# ---------------------------------------------------------------- words


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words (`math` is "") or of mathematics, and the same in plain Unicode."""

    math: str
    plain: str


def paragraph(words: Words) -> str:
    r"""Words in text mode, formulas between dollar signs.

    >>> print(paragraph(("b does not depend on xⱼ: N × n",)))
    $b$ does not depend on $x_{j}$: $N \times n$
    """
    return "".join(f"${piece.math}$" if piece.math else _escaped(piece.plain) for piece in pieces(words))


def sentence(text: str) -> str:
    """A string as a sentence of its own: with a capital letter and a full stop."""
    return closed(paragraph((text[:1].upper() + text[1:],)))


def closed(text: str) -> str:
    """The text with a full stop, if it has no end yet."""
    return text if text.endswith((".", "!", ")", ":")) else text + "."


def in_formula(words: Words) -> str:
    r"""Words in mathematics mode, without dollar signs, so that they may stand in a display.

    >>> print(in_formula(("cancel ", latex.m.name("x"))))
    \text{cancel }x
    """
    return "".join(piece.math or rf"\text{{{_escaped(piece.plain)}}}" for piece in pieces(words))


def pieces(words: Words) -> list[Piece]:
    """Runs of mathematics and of words."""
    raw: list[Piece] = []
    for span in spans(words):
        raw += _signs(span) if isinstance(span, str) else [Piece(latex.to_latex(span), formula(span))]
    joined: list[Piece] = []
    for before, piece, after in zip([None, *raw], raw, [*raw, None][1:], strict=False):
        math, plain = piece.math, piece.plain
        if not math and before and after and before.math and after.math and not plain.strip(" =+,"):
            is_sign = plain.strip() or any(near.math in _COMMANDS for near in (before, after))
            math = plain if is_sign else r"\ "
        if joined and bool(math) == bool(joined[-1].math):
            last = joined[-1]
            close = not math or math[0] in "^_ " or last.math[-1] == " "
            joined[-1] = Piece(last.math + ("" if close else " ") + math, last.plain + plain)
        else:
            joined.append(Piece(math, plain))
    return joined


def _signs(text: str) -> list[Piece]:
    parts: list[Piece] = []
    done = 0
    for match in _PIECES.finditer(text):
        parts.append(Piece("", text[done : match.start()]))
        digits, exponent, raised, below, sign = match.groups()
        if digits:
            math = rf"{digits} \times 10^{{{int(exponent)}}}"
        elif raised:
            math = "^{" + "".join(ABOVE[c] for c in raised).replace("T", r"\top") + "}"
        elif below:
            math = "_{" + "".join(SUBSCRIPT[c] for c in below) + "}"
        else:
            math = SIGNS[sign]
        parts.append(Piece(math, match[0]))
        done = match.end()
    parts.append(Piece("", text[done:]))
    return [part for part in parts if part.plain]


def _escaped(text: str) -> str:
    return "".join(ESCAPED.get(char, char) for char in text)


# ---------------------------------------------------------------- lines


def _phases(phases: Sequence[Phase], heading: str) -> list[str]:
    parts: list[str] = []
    for phase, content in runs(phases):
        if title(phase):
            parts.append(rf"\{heading}{{{paragraph(title(phase))}}}")
        for part in content:
            match part:
                case Phase():
                    parts += _phases((part,), "subparagraph")
                case Sentence():
                    parts.append(paragraph(part.words))
                case Run():
                    parts.append(_align(part))
    return parts


def equation(line: Line) -> str:
    """Left = right, for mathematics mode."""
    left = "" if line.left is None else latex.to_latex(line.left) + " "
    return f"{left}{RELATIONS[line.relation]} {latex.to_latex(line.right)}"


def _align(run: Run) -> str:
    return "\n".join([r"\begin{align*}", " \\\\\n".join(rows(run)), r"\end{align*}"])


def rows(run: Run) -> list[str]:
    """The rows of an alignment."""
    lines = run.lines
    reasons = any(line.reason or line.sizes for line in lines)
    widths = [width_of(formula(part)) for line in lines for part in [folded(line.right, PAGE)[0][1]]]
    lefts = [width_of(formula(line.left)) for line in lines if line.left is not None]
    room = max(REASON, PAGE - max(widths, default=0) - max(lefts, default=0))
    beside = [width_of(words_text(reason)) for line in lines for reason in _reasons(line, room)]
    roomy = sum(max(each, default=0) for each in (lefts, widths, beside)) <= PAGE
    found: list[str] = []
    for line in lines:
        side = line.left if found else run.left
        left = "" if side is None else latex.to_latex(side)
        first, *rest = _right(line)
        row = f"{left} &{RELATIONS[line.relation]} {first}"
        notes = [in_formula(reason) for reason in _reasons(line, room)]
        more = [rf"&\quad {part}" for part in rest]
        if not reasons or not notes:
            found += [row, *more]
        elif roomy:
            found += [f"{row} && {notes[0]}", *more, *(f"&&& {note}" for note in notes[1:])]
        else:
            found += [row, *more, *(rf"&\qquad {note}" for note in notes)]
    return found


def _reasons(line: Line, width: int) -> list[Words]:
    """Sizes that do not stand under their factors, and the reason, in lines of their width."""
    own = factor_sizes(line.right, line.sizes)[1]
    words: Words = (own, *(("\N{EM SPACE}",) if own and line.reason else ()), *line.reason)
    return wrapped(words, width) if own or line.reason else []


def _right(line: Line) -> list[str]:
    terms, _ = factor_sizes(line.right, line.sizes)
    parts = folded(line.right, PAGE)
    if not terms or len(parts) > 1:
        return [f"{RIGHT_SIGNS[sign]}{latex.to_latex(part)}" for sign, part in parts]
    text = ""
    for k, factors in enumerate(terms):
        term = line.right.args[k] if len(terms) > 1 else line.right
        shown = (
            rf"\underbrace{{{latex.factor(part, term)}}}_{{{in_formula((size,))}}}" for part, size in factors
        )
        text += sum_sign(line.right, k).replace("−", "-") + r" \cdot ".join(shown)
    return [text]


def sum_sign(tree: Tree, k: int) -> str:
    """The sign before term k of a sum, with spaces around it."""
    if tree.op != "sum":
        return ""
    sign = "−" if tree.data[k] < 0 else "+"
    return f" {sign} " if k else sign.replace("+", "")


RIGHT_SIGNS = {"": "", "+": "+ ", "−": "- ", "·": r"{} \cdot "}
