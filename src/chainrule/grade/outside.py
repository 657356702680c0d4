"""A condition on one instance in front of the sum over them, 1[w·xᵢ + b > 0] Σᵢ eᵢ xᵢᵀ, or by cases.

In: a text that says something of an instance outside its sum. Out: the text with the condition inside.
"""

from __future__ import annotations

import re

_SUM = re.compile(r"[Σ∑](?:_\{?[i-t]\}?|[ᵢⱼₖₗₘₙₒₚᵣₛₜ])\s*")
_CONDITION = re.compile(r"(?:1|𝟏|\U0001d7d9)?\s*[\[{]([^\[\]{}]*(?:[<>≤≥]|[=!]=)[^\[\]{}]*)[\]}]\s*[·⊙*]?\s*")
_CASES = re.compile(r"\{([^{}]*\b(?:if|for)\b[^{}]*)\}|where\(([^;]*)\)")
_CASE = re.compile(r"\s*(.+?)[\s,]*\b(?:if|for)\s+(.+?)\s*", re.DOTALL)
_ZERO = re.compile(r"\s*(?:0|𝟎)[ᵀ']?\s*")
OUTSIDE = re.compile(r".* stands outside a sum over ([i-t])")


def moved_inside(text: str) -> tuple[str, str] | None:
    """The text with its condition behind the Σ, and the condition; None if none stands in front.

    >>> moved_inside("(2/N) 1[zᵢ > 0] Σᵢ eᵢ xᵢᵀ")
    ('(2/N) Σᵢ 1[zᵢ > 0] eᵢ xᵢᵀ', '1[zᵢ > 0]')
    >>> moved_inside("{0 if zᵢ ≤ 0; Σᵢ eᵢ if zᵢ > 0}")
    ('(Σᵢ 1[zᵢ > 0] eᵢ)', '1[zᵢ > 0]')
    """
    for cases in _CASES.finditer(text):
        pieces = [_CASE.fullmatch(piece) for piece in re.split(r"[;]|,(?=\s)", cases[1] or "")]
        other = [m for m in pieces if m is not None and not _ZERO.fullmatch(m[1])]
        if len(other) == 1 and len(other) < len(pieces) and (sign := _SUM.search(other[0][1])):
            body = other[0][1]
            condition = f"1[{other[0][2].strip()}]"
            inside = f"({body[: sign.end()].rstrip()} {condition} {body[sign.end() :]})"
            return text[: cases.start()] + inside + text[cases.end() :], condition
    sign = _SUM.search(text)
    front = _CONDITION.search(text, 0, sign.start()) if sign is not None else None
    if sign is None or front is None:
        return None
    condition = f"1[{front[1].strip()}]"
    before = text[: front.start()] + text[front.end() : sign.end()].rstrip()
    return f"{before} {condition} {text[sign.end() :]}", condition
