"""Standard output and error: colour where a person reads, and plain letters where Unicode cannot be shown."""

from __future__ import annotations

import codecs
import io
import os
import re
import shutil
import sys
from typing import TextIO
from unicodedata import normalize

from chainrule.expr.names import ascii_name
from chainrule.notation.text import SUPERSCRIPTS

# What a stream that cannot show a sign gets instead; names are spelled as they are stored.
PLAIN = {
    "ᵀ": "'", "−": "-", "·": ".", "⊙": ".*", "⊘": "./", "⊗": "(x)", "×": "x", "∂": "d", "∇": "grad ",
    "Σ": "sum", "√": "sqrt", "‖": "||", "𝟏": "1", "𝟎": "0", "≤": "<=", "≥": ">=", "≠": "!=", "→": "->",
    "∞": "inf", "∈": " in ", "…": "...", "’": "'", "′": "'", "″": "''", "–": "-", "ℝ": "R",
    "←": "<-", "↦": "|->", "⇒": "=>", "⋯": "...", "⋮": ":", "⋱": "...", "✓": "ok", "✗": "x", "≈": "~",
    "│": "|", "└": "+", "─": "-", **dict(zip("▁▂▃▄▅▆▇█", "___==###", strict=True)),
    **dict.fromkeys("⎡⎢⎣", "["), **dict.fromkeys("⎤⎥⎦", "]"), **dict.fromkeys("⎛⎜⎝", "("),
    **dict.fromkeys("⎞⎟⎠", ")"), **dict.fromkeys("⎧⎨⎩⎪", "{"), "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip
EXPONENT = f"[ᵀ{''.join(map(chr, SUPERSCRIPTS.values()))}]+"
PARTS = re.compile(rf"ᵀ(?!{EXPONENT})|{EXPONENT}|.", re.DOTALL)
RAISED = str.maketrans("⁻⁺ᵀ", "-+T")

# What stands out on a terminal: the answer, the words in front of lines, what is wrong.
# A group that is called by a style is all that is shown in it.
HIGHLIGHTS = {
    r"^∂.* =|^d\S+/d\S+ =|^\d+\. .*|^Read it:": "bold",
    r"^.*\S [=←] .*?\S(?P<dim> {4,}\S.*)$": "",
    r"^ +≠ .*|^FAILED.*|^ *\d+  ✗  .*": "red",
    r"^(checked|error|no answer).*": "dim",
    r"^ *[~^]+[~^ ]*$": "bold red",
}
NARROW, WIDE = 60, 110


def prepare_streams() -> None:
    """Let every text be written to standard output and error, whatever they can encode."""
    codecs.register_error("chainrule", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="chainrule")


def columns(stream: TextIO, widest: int = WIDE) -> int:
    """How wide lines may be: as the terminal, but no wider than is good to read."""
    if not stream.isatty():
        return widest
    return min(max(shutil.get_terminal_size((widest, 24)).columns, NARROW), widest)


def as_shown(text: str, stream: TextIO) -> str:
    """The text as the stream will show it, for whoever aligns columns."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, errors="chainrule").decode(encoding)


def in_html(page: str, stream: TextIO) -> str:
    """A web page in signs that the stream can write and that mean the same."""
    encoding = stream.encoding or "utf-8"
    return page if encoding.lower().startswith("utf") else page.encode("ascii", "xmlcharrefreplace").decode()


def _plain(problem: UnicodeError) -> tuple[str, int]:
    assert isinstance(problem, UnicodeEncodeError)
    run = problem.object[problem.start : problem.end]
    return "".join(_spelled(part) for part in PARTS.findall(run)), problem.end


def _spelled(part: str) -> str:
    if part in PLAIN:
        return PLAIN[part]
    if re.match(EXPONENT, part):
        exponent = normalize("NFKD", part.translate(RAISED))
        return f"^{exponent}" if re.fullmatch(r"-?\w+|\(.*\)", exponent) else f"^({exponent})"
    name = ascii_name(part)
    return name if name.isascii() else "".join(f"\\u{ord(c):04x}" for c in part)


def write(text: str, stream: TextIO) -> None:
    """Print the text, in colour if the stream is a terminal that a person watches."""
    if not stream.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        print(text, file=stream)
        return
    from rich.console import Console
    from rich.text import Text

    shown = Text(text)
    for pattern, style in HIGHLIGHTS.items():
        shown.highlight_regex(re.compile(pattern, re.MULTILINE), style)
    Console(file=stream, highlight=False, soft_wrap=True).print(shown)
