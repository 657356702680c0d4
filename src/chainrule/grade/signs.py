"""Signs that people use in derivations and the language does not know, or reads in another way.

In: a piece of text. Out: the changes that spell it for the language. Nothing is read as mathematics here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from chainrule.grade.retext import Edit
from chainrule.grade.symbols import reach
from chainrule.language.limits import MAX_NESTING

_CASE = re.compile(r"\s*(.+?)[\s,]*(?:\b(?:if|for)\s+(.*?)|(?:otherwise|else))\s*", re.DOTALL)
_CALLS = "sin|cos|tan|sinh|cosh|tanh|ln|log|exp|det|tr"
_WORD = rf"(?<![^\W\d_])(?<![_.])(?:{_CALLS})"
_ARGUMENT = rf"(?!(?:{_CALLS})\b)[^\W_](?:[^\s+\-−–*/·@⋅×⊙⊘=,;:<>≤≥()\[\]{{}}|]|\([^()]*\))*+(?![/(])"
_BARE = re.compile(rf"((?:{_WORD} +)+){_ARGUMENT}")
_RAISED = re.compile(rf"({_WORD})([²³])( *)(?=\(|{_ARGUMENT})")
NOWHERE = "1e300"  # what cases have where none of them holds: a number that nothing equals


def signs(text: str, at: int) -> Iterator[Edit]:
    """The changes to a text that begins at `at`.

    >>> [edit.text for edit in signs("Σ (y − a)²", 0)]
    ['sum(', '⊙', ')']
    """
    yield from _open_sums(text, at)
    calls = list(_bare_calls(text, at))
    yield from calls
    yield from _inner_products(text, at)
    yield from _cases(text, at)
    for m in re.finditer(r"(?<![\w\])}𝟏\U0001d7d9])\[(?=[^\[\],;=]*(?:[<>≤≥]|==|!=)[^\[\],;]*\])", text):
        yield Edit(at + m.start(), at + m.start(), "1")
    for m in re.finditer(r"([1𝟏\U0001d7d9])\{([^{}]*)\}", text):
        yield Edit(at + m.start(2) - 1, at + m.start(2), "[")
        yield Edit(at + m.end(2), at + m.end(2) + 1, "]")
    # yᵀ1 is yᵀ𝟏: nobody multiplies a row by the number 1.
    ones = list(re.finditer(r"(?<=ᵀ) *1(?![\w.\[{])", text))
    yield from (Edit(at + m.start(), at + m.end(), "𝟏") for m in ones)
    spaces = [edit.start - at for edit in calls]
    for m in re.finditer(r"(?<=[^\s(\[{,;=+\-−–*/·@^⊙<>≤≥:⟨]) +(?=\d)", text):
        summed = re.search(r"[Σ∑]\S*$", text[: m.start()])
        inside = text.count("[", 0, m.start()) != text.count("]", 0, m.start())
        if not summed and not inside and m.start() not in [one.start() for one in ones] + spaces:
            yield Edit(at + m.start(), at + m.end(), " · ")


def _open_sums(text: str, at: int) -> Iterator[Edit]:
    """Σ (y − a)² with a space behind Σ is the sum of what follows, up to + or −."""
    for m in islice(re.finditer(r"[Σ∑](?=\s+[^\s=])", text), MAX_NESTING):
        begin = m.end() + len(text[m.end() :]) - len(text[m.end() :].lstrip())
        end = reach(text, begin, "term")
        yield Edit(at + m.start(), at + m.end(), "sum(")
        yield from _squares(text[begin:end], at + begin)
        yield Edit(at + end, at + end, ")")
    # Σ(z − y)² is no square of a sum to any reader; Σ(x)² may be.
    for m in islice(re.finditer(r"[Σ∑](?=\()", text), MAX_NESTING):
        end = reach(text, m.end(), "tight")
        body = text[m.end() : end]
        if re.fullmatch(r"\(.*[^\w].*\)[²³]", body, re.DOTALL) and "(" not in text[end : end + 1]:
            yield Edit(at + m.start(), at + m.end(), "sum(")
            yield from _squares(body, at + m.end())
            yield Edit(at + end, at + end, ")")


def _bare_calls(text: str, at: int) -> Iterator[Edit]:
    """What stands behind the space of cos t, ln x², ln det X, sin² x is the argument, up to an operator."""
    for m in islice(_BARE.finditer(text), MAX_NESTING):
        spaces = list(re.finditer(r" +", m[1]))
        for space in spaces:
            yield Edit(at + m.start() + space.start(), at + m.start() + space.end(), "(")
        yield Edit(at + m.end(), at + m.end(), ")" * len(spaces))
    for m in islice(_RAISED.finditer(text), MAX_NESTING):
        closed = text[m.end() :].startswith("(")
        argument = re.compile(_ARGUMENT).match(text, m.end())
        end = reach(text, m.end(), "tight") if closed or argument is None else argument.end()
        yield Edit(at + m.start(), at + m.start(), "(")
        yield Edit(at + m.start(2), at + m.end(), "" if closed else "(")
        yield Edit(at + end, at + end, ("" if closed else ")") + ")" + m[2])


def _squares(body: str, at: int) -> Iterator[Edit]:
    """Squares below a Σ are of each entry, of matrices too: R² is R⊙² there."""
    depth = 0
    for k, char in enumerate(body):
        depth += (char in "([{") - (char in ")]}")
        if char in "²³" and not depth and k and (body[k - 1] in ")]" or body[k - 1].isalnum()):
            yield Edit(at + k, at + k, "⊙")


def _inner_products(text: str, at: int) -> Iterator[Edit]:
    """⟨A, B⟩ and A : B are the sum of the products of entries."""
    opened: list[int] = []
    for k, char in enumerate(text):
        if char in "⟨〈":
            opened.append(k)
        elif char in "⟩〉" and opened:
            begin = opened.pop()
            comma = _comma(text, begin + 1, k)
            if comma is None:
                continue
            yield Edit(at + begin, at + begin + 1, "sum((")
            yield Edit(at + comma, at + comma + 1, ") ⊙ (")
            yield Edit(at + k, at + k + 1, "))")
        elif char == ":" and text[k - 1 : k] == " " and text[k + 1 : k + 2] == " ":
            begin = _term_start(text, k)
            end = reach(text, k + 1 + len(text[k + 1 :]) - len(text[k + 1 :].lstrip()), "term")
            yield Edit(at + begin, at + begin, "sum((")
            yield Edit(at + k, at + k + 1, ") ⊙ (")
            yield Edit(at + end, at + end, "))")


def _cases(text: str, at: int) -> Iterator[Edit]:
    """{0 if z ≤ 0; 1 if z > 0}, {x if x > 0, 0 otherwise} and a if c else b are where(c, a, b)."""
    ternary = re.fullmatch(r"\s*(.+?)\s+if\s+(.+?)\s+(?:else|otherwise)\s+(.+?)\s*", text, re.DOTALL)
    if ternary and not re.search(r"[{}]|\bif\b", ternary[1] + ternary[3]):
        yield Edit(at, at + len(text), f"where({ternary[2]}, {ternary[1]}, {ternary[3]})")
        return
    for m in re.finditer(r"(?<![1𝟏\U0001d7d9])\{([^{}]*\b(?:if|for)\b[^{}]*)\}", text):
        cases = [_CASE.fullmatch(piece) for piece in _pieces(m[1])]
        made = NOWHERE
        for case in reversed(cases):
            if case is None:
                return
            made = f"where({case[2]}, {case[1]}, {made})" if case[2] else case[1]
        yield Edit(at + m.start(), at + m.end(), made)


def _pieces(text: str) -> list[str]:
    """The cases between semicolons, or between commas outside brackets."""
    if ";" in text:
        return text.split(";")
    found, depth, begin = [], 0, 0
    for k, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        if char == "," and not depth and re.search(r"\b(?:if|for|otherwise|else)\b", text[begin:k]):
            found.append(text[begin:k])
            begin = k + 1
    return [*found, text[begin:]]


def _comma(text: str, begin: int, end: int) -> int | None:
    depth = 0
    for k in range(begin, end):
        depth += (text[k] in "([{⟨") - (text[k] in ")]}⟩")
        if text[k] == "," and not depth:
            return k
    return None


def _term_start(text: str, position: int) -> int:
    """Where the term begins that ends at `position`."""
    depth = 0
    for k in range(position - 1, -1, -1):
        depth += (text[k] in ")]}") - (text[k] in "([{")
        if depth < 0 or (not depth and text[k] in "+-−," and text[:k].strip()):
            return k + 1
        if not depth and text[k] in "-−":
            return k + 1
    return 0
