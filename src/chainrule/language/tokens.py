"""Text to tokens, each with its place. One lexer for the three forms; the dialect decides about ' only.

Nothing is normalised as a whole: that would turn ² into 2 and ᵀ into T. Characters with the same meaning (−,
·, ≤, ...) become one spelling, superscripts become tokens between `sup(` and `sup)`, everything unknown is
refused by name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from chainrule.errors import LimitExceeded, Span, SyntaxProblem, UnknownName
from chainrule.expr.names import SUBSCRIPT
from chainrule.language.limits import MAX_EXPONENT, check_length, check_name
from chainrule.language.marks import call_at


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    `kind` is num, imag, name, sub (an index below the line), op, str, special (𝟏 𝟎 𝐞), call, newline or end,
    and word for `if` in a formula by cases.
    """

    kind: str
    text: str
    span: Span
    spaced: bool = False  # white space stands before it


SUPERSCRIPT = {
    **dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᐟ", "0123456789+-()/", strict=True)),
    **dict(zip("ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", "abcdefghijklmnoprstuvwxyz", strict=True)),
    **dict(zip("ᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂ\u22a4", "ABDEGHIJKLMNOPRTUVWT", strict=True)),
    **dict(zip("ᵝᵞᵟᶿᵠᵡ", "βγδθφχ", strict=True)),
}
SPELLINGS = {
    **dict.fromkeys("−–", "-"), "∗": "*", **dict.fromkeys("⋅∙•×", "·"), "∘": "⊙",
    **dict.fromkeys("÷\u2215\u2044", "/"),
    **dict.fromkeys("≤⩽", "<="), **dict.fromkeys("≥⩾", ">="), "≠": "!=", "∥": "‖", "∣": "|", "≔": "=",
    **dict.fromkeys("′’\u2018\u02b9", "′"),
}  # fmt: skip
SPECIAL = {**dict.fromkeys("𝟏\U0001d7d9", "𝟏"), **dict.fromkeys("𝟎\U0001d7d8", "𝟎"), "𝐞": "𝐞"}
VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8"}
SYMBOLS = frozenset("+-*/@^=<>(),[]{}|:;.·⊙⊘⊗⊕⊖‖√∂′&~") | set(SPELLINGS) | set(VULGAR)
STATEMENTS = frozenset(
    "import from def class return yield while for with try except raise assert del global nonlocal "
    "pass break continue async await exec eval print if elif else".split()
)
_UP, _BOLD = "".join(SUPERSCRIPT), "".join(SPECIAL) + "".join(VULGAR)
_LOW = "".join(SUBSCRIPT)
_TOKEN = re.compile(
    rf"""
    (?P<space>[ \t\r\f\v\u00a0\u2000-\u200a\u202f]+|\#[^\n]*|\.\.\.(?![ \t]*[,\]])[^\n]*\n)
  | (?P<newline>\n)
  | (?P<num>(?:[0-9][0-9_]*(?:\.(?![*/^'@])[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
  | (?P<name>(?:∑|[^\W\d{_UP}{_BOLD}{_LOW}])(?:[^\W{_UP}{_BOLD}]|[\u0300-\u036f])*)
  | (?P<sub>[{_LOW}]+)
  | (?P<sup>[{_UP}]+)
  | (?P<special>[{"".join(SPECIAL)}])
  | (?P<op>\*\*|\.\*|\./|\.\^|\.'|==|!=|<=|>=|\|\||//|&&|[^\s])
    """,
    re.VERBOSE,
)
# An index with pairs in it, Y_(ij)k: a merged axis is written by the indices that it is made of.
_PAIRED = re.compile(r"_((?:[i-t]*\([i-t]{2,}\)[i-t]*)+)(?!\w)")
# An index that is a sum, X_{i,2j+k−2}: a place in a window.
_SHIFTED = re.compile(r"_(\{[-+−0-9]*[i-t][-+−0-9i-t]*(?:,[-+−0-9]*[i-t][-+−0-9i-t]*)*\})")
_LATIN = ("LATIN ", "GREEK ", "MATHEMATICAL ", "COMBINING ")
COMPLEX = "chainrule works on real numbers: a complex function has no real Jacobian of the kind derived here"


def tokenize(text: str, dialect: str, functions: Collection[str] = ()) -> list[Token]:
    """The tokens of `text`, the last one of kind `end`; calls of `functions` left unknown are of kind `call`.

    >>> [t.text for t in tokenize("Xᵀ(y − 2.5)", "numpy")]
    ['X', 'ᵀ', '(', 'y', '-', '2.5', ')', '']
    """
    check_length(text)
    tokens: list[Token] = []
    position, spaced, depth, braces = 0, False, 0, 0
    while position < len(text):
        if called := call_at(text, position, functions):
            tokens.append(Token("call", called, Span(position, position + len(called)), spaced))
            position, spaced = position + len(called), False
            continue
        match = _TOKEN.match(text, position)
        kind = match.lastgroup if match else None
        if match is None or kind is None:
            raise _stray(text, position)
        span = Span(position, match.end())
        value = match[0]
        position = match.end()
        if kind == "space":
            if any(c != " " for c in value) and value.lstrip()[:1] not in ("#", ".", ""):
                raise _stray(text, span.start)
            spaced = True
            continue
        if kind in ("name", "sub"):
            check_name(value, text, span)
        below = span.start + value.rfind("_")
        if kind == "name" and (paired := _PAIRED.match(text, below) or _SHIFTED.match(text, below)):
            position, value = paired.end(), value[: value.rfind("_")]
            if value:
                _check_name(text, value, span)
                tokens.append(Token("name", value, Span(span.start, paired.start()), spaced))
            tokens.append(Token("sub", paired[1], Span(paired.start(1), paired.end())))
            spaced = False
            continue
        if kind == "newline":
            if not depth:
                tokens.append(Token("newline", "\n", span))
            spaced = True
            continue
        if (kind == "op" and value in "'\"") or value == ".'":
            position = _quote(text, span, tokens, dialect, spaced)
        elif kind == "op":
            depth += (value in ("(", "[", "{")) - (value in (")", "]", "}"))
            braces += (value == "{") - (value == "}")
            _operator(text, value, span, tokens, spaced)
        elif kind == "sup":
            _superscript(text, value, span, tokens)
        elif kind == "num":
            position = _number(text, value, span, tokens, spaced)
        elif kind == "special":
            tokens.append(Token("special", SPECIAL[value], span, spaced))
        elif kind == "sub":
            tokens.append(Token("sub", "".join(SUBSCRIPT[c] for c in value), span))
        elif _follows_bracket(value, tokens, spaced):
            tokens.append(Token("sub", value[1:], span))
        else:
            value = value.replace("∑", "Σ")
            if braces and value in ("if", "and", "otherwise"):
                tokens.append(Token("word", value, span, spaced))
                spaced = False
                continue
            _check_name(text, value, span)
            tokens.append(Token("name", value, span, spaced))
        spaced = False
    tokens.append(Token("end", "", Span(len(text), len(text)), spaced))
    return tokens


def is_index(text: str) -> bool:
    """Whether what stands below the line are letters: ij, (ij)k; not 12."""
    return text.startswith("{") or text.replace("(", "").replace(")", "").isalpha()


def axes_of(text: str) -> tuple[str, ...]:
    """The letters of each axis, or the sum that it is.

    >>> axes_of("(ij)k"), axes_of("{i,2j+k−2}")
    (('ij', 'k'), ('i', '2j+k−2'))
    """
    if text.startswith("{"):
        return tuple(text[1:-1].split(","))
    return tuple(found.strip("()") for found in re.findall(r"\w|\(\w+\)", text))


def ends_operand(token: Token) -> bool:
    """Whether an operand can end with this token."""
    return token.kind in ("num", "name", "sub", "special", "imag") or token.text in (
        ")",
        "]",
        "ᵀ",
        "⁻ᵀ",
        "sup)",
        "‖",
        "|",
    )


def _follows_bracket(value: str, tokens: list[Token], spaced: bool) -> bool:
    """(X⁻¹)_ik, 𝟏_n: an index below a bracket or a special sign."""
    return (
        value.startswith("_")
        and len(value) > 1
        and not spaced
        and bool(tokens)
        and (tokens[-1].text in (")", "sup)", "‖") or tokens[-1].kind == "special")
    )


def _number(text: str, value: str, span: Span, tokens: list[Token], spaced: bool) -> int:
    _check_range(text, value, span)
    if "_" in value and not re.fullmatch(r"[0-9]{1,3}(_[0-9]{3})+(?![0-9_]).*", value):
        raise SyntaxProblem(
            "an underscore in a number separates thousands",
            source=text,
            spans=(span,),
            hint="write 1_000; the index of a norm stands before its exponent, ‖x‖_2^2",
        )
    if value.endswith(".") and re.match(r"[^\W\d]", text[span.end : span.end + 1]):
        raise SyntaxProblem(
            "a dot between a number and a name",
            source=text,
            spans=(Span(span.end - 1, span.end + 1),),
            hint="write * for the product; .T and methods follow a name or a bracket",
        )
    following = re.compile(r"[jJ](?!\w)").match(text, span.end)
    tokens.append(Token("imag" if following else "num", value.replace("_", ""), span, spaced))
    return following.end() if following else span.end


def _check_range(text: str, value: str, span: Span) -> None:
    mantissa, _, exponent = value.lower().partition("e")
    if (exponent and abs(int(exponent[:6])) > MAX_EXPONENT) or len(mantissa) > MAX_EXPONENT:
        raise LimitExceeded(
            f"the number {value[:20]}{'…' if len(value) > 20 else ''} is out of range",
            hint=f"numbers have at most {MAX_EXPONENT} digits and exponents up to {MAX_EXPONENT}",
            source=text,
            spans=(span,),
        )


def _operator(text: str, value: str, span: Span, tokens: list[Token], spaced: bool) -> None:
    if value in ("//", "&&"):
        hint = "write floor(a/b), or a/b" if value == "//" else "write (x > 0) & (x < 1)"
        raise SyntaxProblem(
            f"`{value}` is not an operator of formulas", source=text, spans=(span,), hint=hint
        )
    if value in VULGAR:
        top, bottom = VULGAR[value].split("/")
        for kind, part in (("op", "("), ("num", top), ("op", "/"), ("num", bottom), ("op", ")")):
            tokens.append(Token(kind, part, span, spaced))
    elif value == "||":
        tokens.append(Token("op", "‖", span, spaced))
    elif len(value) == 1 and value not in SYMBOLS:
        raise _stray(text, span.start)
    else:
        value = SPELLINGS.get(value, value)
        tokens.append(Token("op", "ᵀ" if value == "′" else value, span, spaced))


def _quote(text: str, span: Span, tokens: list[Token], dialect: str, spaced: bool) -> int:
    """After an operand ' is MATLAB's transpose; elsewhere it opens a text, which only einsum takes."""
    mark = text[span.start : span.end]
    if mark != '"' and tokens and ends_operand(tokens[-1]) and not spaced:
        if dialect != "matlab":
            raise SyntaxProblem(
                "' is the transpose of the MATLAB dialect",
                source=text,
                spans=(span,),
                hint="write x.T or xᵀ here, or choose the dialect: dialect='matlab'",
            )
        tokens.append(Token("op", "ᵀ", span))
        return span.end
    end = text.find(mark, span.end)
    if end < 0 or "\n" in text[span.start : end]:
        raise SyntaxProblem(
            "a quotation mark without its partner",
            source=text,
            spans=(span,),
            hint="quotes stand only in einsum('ij,j->i', A, x)",
        )
    check_name(text[span.end : end], text, Span(span.start, end + 1))
    tokens.append(Token("str", text[span.end : end], Span(span.start, end + 1), spaced))
    return end + 1


def _superscript(text: str, value: str, span: Span, tokens: list[Token]) -> None:
    """ᵀ and ⁻ᵀ are operators; any other run is an exponent, a small formula of its own."""
    plain = "".join(SUPERSCRIPT[c] for c in value)
    if "H" in plain:
        raise UnknownName(
            f"ᴴ is the conjugate transpose: {COMPLEX}", source=text, spans=(span,), hint="use ᵀ"
        )
    for piece in re.finditer(r"-T$|T|[^T]+", plain):
        place = Span(span.start + piece.start(), span.start + piece.end())
        if piece[0] in ("T", "-T"):
            tokens.append(Token("op", "ᵀ" if piece[0] == "T" else "⁻ᵀ", place))
            continue
        if piece[0] in ("+", "-"):
            meaning = "the pseudo-inverse" if piece[0] == "+" else "a sign"
            raise SyntaxProblem(
                f"an exponent cannot be {meaning} alone",
                source=text,
                spans=(place,),
                hint="X⁻¹ is the inverse",
            )
        tokens.append(Token("op", "sup(", Span(place.start, place.start)))
        for inner in re.finditer(r"[0-9]+|[^0-9]", piece[0]):
            kind = "num" if inner[0].isdigit() else "name" if inner[0].isalpha() else "op"
            inside = Span(place.start + inner.start(), place.start + inner.end())
            if kind == "num":
                _check_range(text, inner[0], inside)
            tokens.append(Token(kind, inner[0], inside))
        tokens.append(Token("op", "sup)", Span(place.end, place.end)))


def _check_name(text: str, value: str, span: Span) -> None:
    if value in STATEMENTS:
        raise SyntaxProblem(
            f"`{value}` is a Python word; a formula is never run as Python",
            source=text,
            spans=(span,),
            hint="write a formula, or statements such as z = X @ w + b; sum(z**2)",
        )
    if value in ("and", "or", "not", "in", "is"):
        raise SyntaxProblem(
            f"`{value}` is not an operator of formulas",
            source=text,
            spans=(span,),
            hint="conditions are joined by &, | and ~: (x > 0) & (x < 1)",
        )
    if not value.isascii():
        for offset, char in enumerate(value):
            if not (
                char.isascii()
                or char in SUBSCRIPT
                or unicodedata.name(char, "").startswith(_LATIN)
                or char in "ℓµ"
            ):
                raise _stray(text, span.start + offset)


def _stray(text: str, position: int) -> SyntaxProblem:
    char = text[position]
    name = unicodedata.name(char, "a control character").lower()
    shown = f"`{char}` " if char.isprintable() and not char.isspace() else ""
    hints = {
        "∞": "a formula works on finite numbers", "∇": "name the variable to derive by instead, wrt='x'",
        "″": "f″(x) is a derivative where f is declared as a function left unknown",
        "∫": "integrals are not part of the language", "!": "a factorial has no derivative here",
        "%": "there is no remainder in formulas", "$": "write the formula without dollar signs",
        "\\": "TeX is not read; write Unicode or the NumPy spelling", "`": "write the formula without quotes",
        "?": "declare a size with a name, A[m,n]",
    }  # fmt: skip
    return SyntaxProblem(
        f"the character {shown}(U+{ord(char):04X}, {name}) does not belong in a formula",
        source=text,
        spans=(Span(position, position + 1),),
        hint=hints.get(char, "take it away"),
    )
