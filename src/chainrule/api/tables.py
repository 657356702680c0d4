"""Tables of formulas with a sentence for each line: as text, Markdown, LaTeX and JSON.

In: sections of lines. Out: strings. Nothing here knows where the cells come from.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

# What words hold beside plain letters, for LaTeX outside mathematics.
IN_TEXT = {
    "∂": r"\partial ", "Δ": r"\Delta ", "Σ": r"\sum ", "σ": r"\sigma ", "π": r"\pi ", "∇": r"\nabla ",
    "λ": r"\lambda ", "Φ": r"\Phi ", "φ": r"\varphi ", "δ": r"\delta ", "Γ": r"\Gamma ", "ψ": r"\psi ",
    "ᵀ": r"^\top ", "⊙": r"\odot ", "⊗": r"\otimes ", "⊘": r"\oslash ", "−": "-",
    "·": r"\cdot ", "×": r"\times ",
    "≥": r"\ge ", "≤": r"\le ", "≠": r"\ne ", "‖": r"\Vert ", "′": "'", "𝟏": r"\mathbf{1}", "√": r"\surd ",
    "…": r"\ldots ", "→": r"\to ",
    "⁻": "^{-}", "¹": "^{1}", "²": "^{2}", "ʳ": "^{r}", "ᵏ": "^{k}",
    "ᵢ": "_{i}", "ⱼ": "_{j}", "ₙ": "_{n}", "₁": "_{1}",
    "₂": "_{2}", "⁺": "^{+}",
}  # fmt: skip
PLAIN_TEX = {
    "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "^": r"\^{}", "|": r"\textbar{}", ">": r"$>$",
    "é": r"\'e",
}  # fmt: skip
GAP = "   "
WIDTH = 100  # of sentences
WIDEST = 140  # of a table, before its lines are set one by one
NARROW = 44  # a column wider than this is not padded


Spell = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Cell:
    """A formula, or words where there is no LaTeX."""

    text: str
    latex: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """What one rule says: rows of cells, sentences, where it stands.

    listed  whether the sentences say more than the table does
    """

    name: str
    rows: tuple[tuple[Cell, ...], ...]
    says: str
    where: str
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under common column titles, and a remark below them."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    remark: str = ""


# ---------------------------------------------------------------- text


def section_text(section: Section, width: int = WIDEST, spell: Spell = str) -> str:
    """The section as a table, then its sentences; lines that are too wide for it are set one by one below.

    A table of which few lines fit is set line by line. `spell` says how a text will be shown, where that is
    not as it is.
    """
    fitting, table = list(section.lines), _padded(_rows(section, section.lines, spell))
    while 2 * len(fitting) > len(section.lines) and max(map(len, table)) > width:
        fitting.remove(_widest(fitting, table))
        table = _padded(_rows(section, fitting, spell))
    if max(map(len, table)) > width:
        fitting = []
    remark = _filled(section.remark, width, "  ", "  ")
    wide = [line for line in section.lines if line not in fitting]
    blocks = [textwrap.indent(line_text(section, line, width - 2, spell), "  ") for line in wide]
    below = [*blocks, *(["\n".join(remark)] if remark else [])]
    if not fitting:
        return "\n\n".join([section.title, *below])
    words: list[str] = []
    for line in fitting:
        if line.listed:
            words += _filled(f"{line.name}: {line.says}{_place(line.where)}", width, "  ", "      ")
    return "\n\n".join(["\n".join([section.title, "", *table, "", *words]), *below])


def _rows(section: Section, lines: Sequence[Line], spell: Spell) -> list[list[str]]:
    rows = [[spell(text) for text in ("rule", *section.columns)]]
    for line in lines:
        for k, cells in enumerate(line.rows):
            rows.append([spell(text) for text in ("" if k else line.name, *(cell.text for cell in cells))])
    return rows


def _widest(lines: Sequence[Line], table: Sequence[str]) -> Line:
    """The line with the longest row of its table."""
    lengths = iter(map(len, table[1:]))
    longest = [max((next(lengths) for _ in line.rows), default=0) for line in lines]
    return lines[longest.index(max(longest))]


def _padded(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = []
    for column in zip(*rows, strict=True):
        fitting = [len(text) for text in column if len(text) <= NARROW]
        widths.append(max(fitting, default=0))
    return [("  " + GAP.join(t.ljust(w) for t, w in zip(row, widths, strict=True))).rstrip() for row in rows]


def _filled(text: str, width: int, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        min(width, WIDTH),
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
    )


def _place(where: str) -> str:
    return f" [{where}]" if where else ""


def line_text(section: Section, line: Line, width: int = WIDEST, spell: Spell = str) -> str:
    """One line by itself: what it says, then a row for every column that it fills."""
    found = [line.name, *_filled(line.says, width, "  ", "  "), ""]
    columns = [spell(column) for column in section.columns]
    wide = max(map(len, columns)) + 2
    for k, cells in enumerate(line.rows):
        found += [""] if k else []
        pairs = zip(columns, cells, strict=True)
        found += [f"  {column:{wide}}{cell.text}" for column, cell in pairs if cell.text]
    if line.where:
        found += ["", f"  stands in: {line.where}"]
    return "\n".join(found)


# ---------------------------------------------------------------- Markdown


def section_markdown(section: Section) -> str:
    """The section as a Markdown table with formulas in LaTeX."""
    head = ["rule", *section.columns, "in words", "stands in"]
    rows = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for line in section.lines:
        for k, cells in enumerate(line.rows):
            words = ("", "", "") if k else (line.name, line.says, line.where)
            shown = [words[0], *(_markdown(cell) for cell in cells), *words[1:]]
            rows.append("| " + " | ".join(text.replace("|", r"\|") for text in shown) + " |")
    remark = ["", section.remark] if section.remark else []
    return "\n".join([f"## {section.title}", "", *rows, *remark])


def _markdown(cell: Cell) -> str:
    # A bar would end the cell of the table, even in a formula.
    latex = cell.latex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
    return f"${latex}$" if latex else cell.text


# ---------------------------------------------------------------- LaTeX


def section_latex(section: Section) -> str:
    """The section as a tabular, then a list of its sentences; it needs amsmath and amssymb."""
    rows = []
    for line in section.lines:
        for k, cells in enumerate(line.rows):
            shown = ["" if k else words_latex(line.name), *(_latex(cell) for cell in cells)]
            rows.append(" & ".join(shown) + r" \\")
    head = " & ".join(map(words_latex, ("rule", *section.columns))) + r" \\ \hline"
    items = [
        rf"\item[{words_latex(line.name)}] {words_latex(line.says + _place(line.where))}"
        for line in section.lines
    ]
    return "\n".join(
        [
            rf"\subsection*{{{words_latex(section.title)}}}",
            rf"\begin{{tabular}}{{{'l' * (1 + len(section.columns))}}}",
            head,
            *rows,
            r"\end{tabular}",
            r"\begin{description}",
            *items,
            r"\end{description}",
            *([words_latex(section.remark)] if section.remark else []),
        ]
    )


def _latex(cell: Cell) -> str:
    return rf"$\displaystyle {cell.latex}$" if cell.latex else words_latex(cell.text)


def words_latex(text: str) -> str:
    r"""Words outside mathematics, in ASCII.

    >>> print(words_latex("σ′(x) = σ(x), 50 % of A_ij"))
    $\sigma '$(x) = $\sigma $(x), 50 \% of A\_ij
    """
    parts = []
    for mathematical, group in groupby(text, lambda letter: letter in IN_TEXT):
        letters = "".join(group)
        if mathematical:
            shown = "".join(IN_TEXT[letter] for letter in letters)
            parts.append(f"${re.sub(r'}(?:[_^]){', '', shown)}$")
        else:
            parts.append("".join(PLAIN_TEX.get(letter, letter) for letter in letters))
    return "".join(parts)


# ---------------------------------------------------------------- JSON


def section_data(section: Section) -> dict[str, Any]:
    """The section as plain data."""
    return {
        "title": section.title,
        "remark": section.remark,
        "rules": [
            {
                "name": line.name,
                "says": line.says,
                "where": line.where,
                "rows": [
                    {
                        column: {"text": cell.text, "latex": cell.latex or None}
                        for column, cell in zip(section.columns, cells, strict=True)
                        if cell.text
                    }
                    for cells in line.rows
                ],
            }
            for line in section.lines
        ],
    }
