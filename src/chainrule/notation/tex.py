r"""The TeX in the rows of functions and in names, as MathML.

In: one line of the TeX that rows and `latex` use for leaves (`\operatorname{relu}(#1)`, `\hat{x}_{1}`), and
what stands for #1, #2. Out: MathML elements. A command that is not in the tables below is a fault of the row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from chainrule.expr.names import GREEK

APPLY, TIMES = "<mo>\N{FUNCTION APPLICATION}</mo>", "<mo>\N{INVISIBLE TIMES}</mo>"
FUNCTIONS = {
    "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "exp", "ln", "log", "det",
    "max", "min",
}  # fmt: skip
OPERATORS = {
    "ge": "≥", "le": "≤", "ne": "≠", "cdot": "·", "odot": "⊙", "otimes": "⊗", "oslash": "⊘", "circ": "∘",
    "times": "×", "cdots": "⋯", "vdots": "⋮", "ddots": "⋱", "to": "→", "sum": "∑", "nabla": "∇", "prime": "′",
    "-": "−", "*": "∗", "'": "′", ",": ",", ":": ":", "=": "=", "+": "+", "<": "<", ">": ">",
    "/": "/", ";": ";",
}  # fmt: skip
OPENING = {"(": "(", "[": "[", "lvert": "|", "lVert": "‖", "lfloor": "⌊"}
CLOSING = {")": ")", "]": "]", "rvert": "|", "rVert": "‖", "rfloor": "⌋"}
LETTERS = {**GREEK, "lambda": "λ", "ell": "ℓ", "varphi": "φ", "partial": "∂", "top": "\N{DOWN TACK}"}
MARKS = {"hat": "^", "tilde": "~", "bar": "¯", "dot": "˙"}
SPACES = {",": "0.167em", " ": "0.25em", "quad": "1em"}
BOLD = {"0": "𝟎", "1": "𝟏", "K": "\N{MATHEMATICAL BOLD CAPITAL K}"}
WORDS = ("operatorname", "mathit", "mathrm", "text", "mathbf")
_TOKEN = re.compile(
    r"\\(begin|end)\{cases\}|\\(operatorname|mathit|mathrm|text|mathbf)\{((?:[^{}\\]|\\.)*)\}|\\([A-Za-z]+|.)|#(\d)"
    r"|(\d+(?:\.\d+)?)|(\S)"
)


def row(items: Sequence[str]) -> str:
    """Elements as one element."""
    return items[0] if len(items) == 1 else f"<mrow>{''.join(items)}</mrow>"


def operator(sign: str, form: str = "") -> str:
    """An operator; `form` where its place does not tell whether it stands before or behind something."""
    return f'<mo form="{form}">{escape(sign)}</mo>' if form else f"<mo>{escape(sign)}</mo>"


def fence(sign: str, form: str, tall: bool) -> str:
    """A delimiter; one that need not be high is told not to stretch, since browsers set that one closer."""
    still = "" if tall else ' stretchy="false"'
    return f'<mo form="{form}"{still}>{sign}</mo>'


def is_tall(inside: str) -> bool:
    """Whether an element is higher than a line."""
    return any(tag in inside for tag in ("<mfrac", "<mtable", "<munder", "∑"))


def fenced(inside: str, left: str = "(", right: str = ")") -> str:
    """An element between delimiters as high as it is."""
    tall = is_tall(inside)
    return f"<mrow>{fence(left, 'prefix', tall)}{inside}{fence(right, 'postfix', tall)}</mrow>"


def scripted(base: str, below: str = "", above: str = "") -> str:
    """An element with what stands below and above it."""
    if below and above:
        return f"<msubsup>{base}{below}{above}</msubsup>"
    return f"<msub>{base}{below}</msub>" if below else f"<msup>{base}{above}</msup>" if above else base


def from_tex(source: str, arguments: Sequence[str] = ()) -> str:
    r"""The TeX as one MathML element.

    >>> from_tex(r"\hat{x}_{1}")
    '<msub><mover accent="true"><mi>x</mi><mo>^</mo></mover><mn>1</mn></msub>'
    """
    return row(_Reader(source, arguments).row(()))


class _Reader:
    def __init__(self, source: str, arguments: Sequence[str]) -> None:
        self.source, self.arguments = source, arguments
        self.tall = any(map(is_tall, arguments))
        self.tokens = list(_TOKEN.finditer(source))
        self.at = 0

    def peek(self) -> str:
        """The next token, "" at the end."""
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def row(self, stop: tuple[str, ...]) -> list[str]:
        """Elements up to a token of `stop`, with their scripts and with functions applied."""
        items: list[str] = []
        while self.peek() and self.peek() not in stop:
            item, is_function = self.atom()
            above = below = ""
            while self.peek() in ("^", "_", "'") and self.peek():
                mark = self.peek()
                if mark == "'":
                    count = 0
                    while self.peek() == "'":
                        count, self.at = count + 1, self.at + 1
                    above = operator("′" * count)
                    continue
                self.at += 1
                script, _ = self.atom()
                above, below = (script, below) if mark == "^" else (above, script)
            items.append(scripted(item, below, above))
            if is_function and self.peek() not in ("", *stop):
                items.append(APPLY)
        return items

    def group(self) -> str:
        """What stands in braces."""
        assert self.peek() == "{", self.source
        self.at += 1
        inside = self.row(("}",))
        self.at += 1
        return row(inside)

    def atom(self) -> tuple[str, bool]:
        """One element, and whether it is the name of a function."""
        token = self.tokens[self.at]
        if token[0] == "{":
            return self.group(), False
        self.at += 1
        cases, font, words, command, mark, digits, char = token.groups()
        if cases:
            return self.cases(), False
        if font:
            return _word(font, re.sub(r"\\(.)", r"\1", words)), font == "operatorname"
        if mark:
            return self.arguments[int(mark) - 1], False
        if digits:
            return f"<mn>{digits}</mn>", False
        return self.command(command or char)

    def command(self, name: str) -> tuple[str, bool]:
        """What a command or a character stands for."""
        if name in ("left", "right"):
            return self.atom()
        if name == "frac":
            return f"<mfrac>{self.group()}{self.group()}</mfrac>", False
        if name == "sqrt":
            return f"<msqrt>{self.group()}</msqrt>", False
        if name in MARKS:
            return f'<mover accent="true">{self.group()}{operator(MARKS[name])}</mover>', False
        if name in FUNCTIONS:
            return f"<mi>{name}</mi>", True
        if name in LETTERS:
            return f"<mi>{LETTERS[name]}</mi>", False
        if name in OPENING:
            return fence(OPENING[name], "prefix", self.tall), False
        if name in CLOSING:
            return fence(CLOSING[name], "postfix", self.tall), False
        if name in SPACES and self.tokens[self.at - 1][0].startswith("\\"):
            return f'<mspace width="{SPACES[name]}"/>', False
        if name in OPERATORS:
            return operator(OPERATORS[name]), False
        assert name.isalpha() and len(name) == 1, f"{name} in {self.source} has no MathML"
        return f"<mi>{escape(name)}</mi>", False

    def cases(self) -> str:
        """Values and conditions up to the end of the environment."""
        lines: list[list[str]] = [[]]
        end = r"\end{cases}"
        while True:
            lines[-1].append(row(self.row(("&", r"\\", end))))
            separator = self.peek()
            self.at += 1
            if separator == end:
                return cases(lines)
            if separator == r"\\":
                lines.append([])


def cases(lines: Sequence[Sequence[str]]) -> str:
    """Lines of a value and its condition, behind a brace."""
    return f"<mrow>{fence('{', 'prefix', True)}{table(lines, 'left')}</mrow>"


def table(lines: Sequence[Sequence[str]], align: str = "") -> str:
    """Elements in lines and columns."""
    style = f' style="text-align: {align}"' if align else ""
    inside = "".join(
        f"<mtr>{''.join(f'<mtd{style}>{entry}</mtd>' for entry in line)}</mtr>" for line in lines
    )
    return f"<mtable>{inside}</mtable>"


def _word(font: str, words: str) -> str:
    if font == "text":
        return f"<mtext>{escape(words)}</mtext>"
    if font == "mathbf":
        return f"<mn>{BOLD[words]}</mn>"
    # One letter is upright if it says so; several are upright unless they say that they are slanted.
    if font == "mathit":
        return f'<mi style="font-style: italic">{escape(words)}</mi>'
    return (
        f'<mi mathvariant="normal">{escape(words)}</mi>' if len(words) == 1 else f"<mi>{escape(words)}</mi>"
    )
