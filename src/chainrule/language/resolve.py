"""What each name in a token stream is: a declared name, a named part, a function, a run of several names.

In: tokens and the names that are known. Out: tokens in which every name has its stored spelling, module
prefixes are gone, calls and keywords are marked, and a run of letters such as Xw has been split into X and w.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import pairwise

from chainrule.errors import Span, SyntaxProblem, UnknownName
from chainrule.expr.names import GREEK, ascii_name
from chainrule.language.tokens import COMPLEX, Token, is_index
from chainrule.language.unknown import NONE, Functions, bare

MODULES = frozenset({"np", "numpy", "jnp", "torch", "linalg"})
METHODS = (
    "T", "sum", "mean", "max", "min", "dot", "trace", "diagonal", "reshape", "view", "flatten", "ravel",
    "transpose", "permute", "swapaxes", "squeeze", "unsqueeze", "repeat", "clip", "det", "norm", "softmax",
    "exp", "log", "sqrt", "abs", "square", "tanh", "sigmoid", "relu", "logsumexp", "argmax", "inverse", "pow",
    "matmul", "mm", "mv",
)  # fmt: skip
CONSTANTS = ("e", "pi", "I")
MAX_RUN = 24
SHOWN = 12  # names in a hint
_INDEXED = re.compile(r"(.*[^_])_([i-t]+|[0-9]+)")
_COUNTED = re.compile(r"(.*[^0-9_])([0-9]+)")
_NOTATION = frozenset("ᵀ⁻ᵀ⊙⊘‖·√Σ") | {"sup("}
_CLOSING = {")": "(", "]": "[", "}": "{"}


@dataclass
class Scope:
    """The names that a formula may use, and what was decided about the others on the way."""

    source: str
    variables: Mapping[str, int]  # declared names with their numbers of axes
    dims: Collection[str]
    functions: Collection[str]
    assigned: set[str] = field(default_factory=set)
    assumptions: list[str] = field(default_factory=list)
    unknown: Functions = NONE

    def knows(self, name: str) -> bool:
        """Whether it is declared, a size, or named in the formula."""
        return name in self.variables or name in self.assigned or name in self.dims

    def stored(self, text: str) -> str:
        """The known spelling of a name, where w₁ may stand for w1 or for w_1."""
        name = ascii_name(text)
        if not self.knows(name) and text != name:
            other = re.sub(r"(?<=[^0-9_])([0-9]+)$", r"_\1", name)
            return other if self.knows(other) else name
        return name


def assigned_names(tokens: list[Token], entries: bool = True) -> dict[str, Span]:
    """The names on the left of `=`, outside brackets, and where they stand; `entries`: of p_i = q_i, p."""
    found: dict[str, Span] = {}
    depth = 0
    for position, (before, token, after) in enumerate(
        zip([Token("newline", "", Span(0, 0)), *tokens], tokens, tokens[1:], strict=False)
    ):
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        starts = before.kind == "newline" or before.text in (";", ",", "where")
        if token.kind == "name" and after.text == "=" and not depth and starts:
            name = ascii_name(token.text)
            indexed = _INDEXED.fullmatch(name)
            by_entries = entries and indexed and indexed[2].isalpha() and _has_index(tokens[position + 2 :])
            found.setdefault(indexed[1] if indexed and by_entries else name, token.span)
        paired = after.kind == "sub" and "(" in after.text
        if token.kind == "name" and paired and tokens[position + 2].text == "=" and not depth and starts:
            found.setdefault(ascii_name(token.text), token.span)
    return found


def _has_index(tokens: list[Token]) -> bool:
    """Whether an index stands in the statement that these tokens begin with."""
    depth = 0
    for before, token in pairwise([Token("newline", "", Span(0, 0)), *tokens]):
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        ends = token.text == ";" or (token.text == "=" and before.kind == "name")
        if depth <= 0 and (token.kind == "newline" or ends):
            return False
        if token.kind == "sub" and is_index(token.text):
            return True
        indexed = _INDEXED.fullmatch(ascii_name(token.text)) if token.kind == "name" else None
        if indexed and indexed[2].isalpha():
            return True
    return False


def without_arguments(tokens: list[Token], source: str) -> list[Token]:
    """f(x, y) = ... read as f = ...: the formula is named. Raises where it is called."""
    result: list[Token] = []
    named: set[str] = set()
    position = 0
    while position < len(tokens):
        starts = not result or result[-1].kind == "newline" or result[-1].text == ";"
        end = position + 2
        if starts and tokens[position].kind == "name" and tokens[position + 1].text == "(":
            while tokens[end].kind == "name" and tokens[end + 1].text == ",":
                end += 2
            if tokens[end].kind == "name" and [t.text for t in tokens[end + 1 : end + 3]] == [")", "="]:
                named.add(tokens[position].text)
                result.append(tokens[position])
                position = end + 2
        if tokens[position].text in named and tokens[position + 1].text == "(":
            raise SyntaxProblem(
                f"{tokens[position].text} names a formula and cannot be called",
                source=source,
                spans=(tokens[position].span,),
                hint=f"write {tokens[position].text} for its value; for other arguments write it out",
            )
        result.append(tokens[position])
        position += 1
    return result


def resolve(tokens: list[Token], scope: Scope) -> list[Token]:
    """The tokens with every name decided."""
    runs = (
        any(t.text in _NOTATION for t in tokens) or any(t.text == "−" for t in tokens) or "−" in scope.source
    )
    result: list[Token] = []
    brackets: list[str] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        starts = not result or result[-1].kind == "newline" or (result[-1].text == ";" and not brackets)
        if starts and not brackets and (left := _derivative(tokens, position)):
            result.extend(left)
            position += len(left)
            continue
        position += 1
        if token.text == "^" and token.kind == "op" and _is_transpose(tokens[position], scope):
            result.append(Token("op", "ᵀ", token.span.join(tokens[position].span)))
            position += 1
            continue
        following = tokens[position] if position < len(tokens) else token
        if token.kind == "op" and token.text in ("(", "[", "{"):
            called = bool(result) and result[-1].kind in ("call", "method") and token.text == "("
            brackets.append("call" if called else token.text)
        elif token.kind == "op" and token.text in _CLOSING and brackets:
            brackets.pop()
        if token.kind == "imag":
            result.extend(_imaginary(token, scope))
        elif token.kind != "name":
            result.append(token)
        elif result and result[-1].text == "." and result[-1].kind == "op":
            result.append(_attribute(token, scope, following))
        elif token.text in MODULES and following.text == "." and not scope.knows(token.text):
            position = _skip_modules(tokens, position, scope)
        elif following.text == "=" and brackets and brackets[-1] == "call" and result[-1].text in ("(", ","):
            result.append(replace(token, kind="keyword"))
        elif following.text == "=" and not brackets:
            result.append(replace(token, text=ascii_name(token.text)))
        elif token.text == "where" and result and not brackets and following.text != "(":
            result.append(replace(token, kind="where"))
        else:
            result.extend(_name(token, following, scope, runs))
    return result


def _is_transpose(token: Token, scope: Scope) -> bool:
    """x^T is a transpose, unless T is a name."""
    return token.text == "ᵀ" or (token.kind == "name" and token.text == "T" and not scope.knows("T"))


def _derivative(tokens: list[Token], position: int) -> list[Token]:
    """The left side ∂Y_ij/∂X_kl or d/dx of a result, whose names need no declaration."""
    first = [t.text for t in tokens[position : position + 4]]
    if first[0] != "∂" and not (len(first) == 4 and first[0] == "d" and first[1] == "/" and first[3] == "="):
        return []
    end = next((k for k, t in enumerate(tokens[position:]) if t.text == "=" or t.kind == "newline"), 0)
    return tokens[position : position + end] if tokens[position + end].text == "=" else []


def _imaginary(token: Token, scope: Scope) -> list[Token]:
    unit = Span(token.span.end, token.span.end + 1)
    if scope.knows("j"):
        return [replace(token, kind="num"), Token("name", "j", unit)]
    raise UnknownName(
        f"{token.text}j is an imaginary number: {COMPLEX}",
        hint="split the formula into its real and imaginary parts",
        source=scope.source,
        spans=(token.span.join(unit),),
    )


def _attribute(token: Token, scope: Scope, following: Token) -> Token:
    if token.text in METHODS:
        return replace(token, kind="method" if token.text != "T" else "transpose")
    if token.text in ("H", "conj", "conjugate", "real", "imag", "mH"):
        raise UnknownName(
            f".{token.text} belongs to complex arrays: {COMPLEX}",
            hint="use .T",
            source=scope.source,
            spans=(token.span,),
        )
    near = get_close_matches(token.text, METHODS, 1, 0.6)
    raise UnknownName(
        f"there is no attribute .{token.text}" + (f"; did you mean .{near[0]}?" if near else ""),
        hint=f"known are .{', .'.join(METHODS[:9])} and other functions, "
        "and the prefixes np. numpy. jnp. torch. linalg.",
        source=scope.source,
        spans=(token.span,),
    )


def _skip_modules(tokens: list[Token], position: int, scope: Scope) -> int:
    """Past `np.` and `np.linalg.`, so that the function's own name comes next."""
    while tokens[position].text == ".":
        name = tokens[position + 1]
        if name.kind != "name":
            raise SyntaxProblem(
                "a function name is missing after the dot",
                source=scope.source,
                spans=(tokens[position].span,),
                hint="as in np.exp(x)",
            )
        position += 1
        if name.text not in MODULES:
            if name.text == "newaxis":
                tokens[position] = replace(name, text="None")
            elif name.text not in scope.functions and name.text not in ("pi", "e"):
                raise unknown_function(name.text, scope, name.span)
            return position
        position += 1
    raise SyntaxProblem(
        "a module is not a value",
        source=scope.source,
        spans=(tokens[position - 1].span,),
        hint="name one of its functions, as in np.exp(x)",
    )


def _name(token: Token, following: Token, scope: Scope, runs: bool) -> list[Token]:
    called = following.text == "(" and following.kind == "op"
    found = _known(token, called, scope) or _split(token, called, scope)
    if found:
        return found
    if scope.unknown:
        _check_run(token, following, scope)
    if called:
        raise unknown_function(token.text, scope, token.span)
    if token.text in ("E", "\U0001d53c") and following.text == "[":
        raise UnknownName(
            "E[...] is an expectation: chainrule differentiates formulas, not averages over a distribution",
            hint="write a mean over data, mean(...), or declare E[n] as a variable",
            source=scope.source,
            spans=(token.span,),
        )
    letters = _letters(token, scope) if runs else None
    if letters:
        text = " ".join(t.text for t in letters)
        sentence = f"{token.text} is read as the product {text}."
        if sentence not in scope.assumptions:
            scope.assumptions.append(sentence)
        return letters
    _check_spelling(token, scope)
    stored = ascii_name(token.text)
    indexed = _INDEXED.fullmatch(stored)
    if indexed and indexed[2].isalpha() and len(indexed[1]) == 1:
        return _with_index(token, indexed[1], indexed[2])
    return [replace(token, text=stored)]


def _known(token: Token, called: bool, scope: Scope) -> list[Token]:
    """A name as a whole: known, a function, a constant, or a known name with an index below it."""
    raw, name = token.text, scope.stored(token.text)
    greek = not raw[0].isascii()
    if called and (raw in scope.functions or name in scope.functions) and not (greek and scope.knows(name)):
        return [replace(token, kind="call", text=raw if raw in scope.functions else name)]
    if scope.knows(name):
        return [replace(token, text=name)]
    if raw.startswith("I_") and raw[2:] in scope.dims:
        return [Token("special", "I", token.span, token.spaced), _sub(token, raw[2:])]
    if raw == "Σ" and called:
        return [replace(token, kind="call", text="sum")]
    if raw in ("None", "True", "False"):
        if raw != "None":
            return [replace(token, kind="num", text=str(int(raw == "True")))]
        return [replace(token, kind="special", text="None")]
    if name in CONSTANTS:
        return [replace(token, text=name)]
    indexed = _INDEXED.fullmatch(name) or _COUNTED.fullmatch(name)
    if indexed:
        base, index = indexed[1], indexed[2]
        if base == "Sigma" and raw[0] == "Σ" and not scope.knows(base):
            return [replace(token, kind="sum", text=index)]
        if base == "I" or ((base == "delta" and index.isalpha()) and not scope.knows(base)):
            return [
                Token("special", "δ" if base == "delta" else "I", token.span, token.spaced),
                _sub(token, index),
            ]
        if scope.knows(base) and base not in scope.dims:
            return _with_index(token, base, index)
    return []


def _sub(token: Token, index: str) -> Token:
    return Token("sub", index, Span(token.span.end - len(index), token.span.end))


def _with_index(token: Token, base: str, index: str) -> list[Token]:
    length = len(token.text[: -len(index)].rstrip("_"))
    place = Span(token.span.start, token.span.start + length)
    return [Token("name", base, place, token.spaced), _sub(token, index)]


def _split(token: Token, called: bool, scope: Scope) -> list[Token]:
    """The one way of reading a run as several known names, the last one perhaps a function."""
    text = token.text
    if len(text) < 2 or len(text) > MAX_RUN:
        return []
    for constants in ((), CONSTANTS):
        ways: list[list[list[Token]]] = [[] for _ in text] + [[[]]]
        for start in reversed(range(len(text))):
            for end in range(start + 1, len(text) + 1):
                if not ways[end] or not _whole(text, start, end):
                    continue
                piece = _piece(token, start, end, called and end == len(text), scope, constants)
                ways[start].extend(piece + rest for rest in ways[end][: 3 - len(ways[start])] if piece)
        if len(ways[0]) > 1:
            readings = " or ".join("·".join(t.text for t in way if t.kind != "sub") for way in ways[0][:2])
            raise SyntaxProblem(
                f"`{text}` can be read as {readings}",
                source=scope.source,
                spans=(token.span,),
                hint="put a space or a · between the factors",
            )
        if ways[0]:
            return ways[0][0]
    return []


def _whole(text: str, start: int, end: int) -> bool:
    """A piece begins with a letter, and digits below the line or accents stay with their letter."""
    return text[start].isalpha() and (end == len(text) or text[end].isalpha())


def _piece(
    token: Token, start: int, end: int, called: bool, scope: Scope, constants: Collection[str]
) -> list[Token]:
    text = token.text[start:end]
    part = Token(
        "name", text, Span(token.span.start + start, token.span.start + end), token.spaced and not start
    )
    name = scope.stored(text)
    if called and (text in scope.functions or scope.unknown.find(text) is not None):
        return [replace(part, kind="call")] if start else []
    if scope.knows(name) or (name in constants and not called):
        return [replace(part, text=name)]
    counted = _COUNTED.fullmatch(name)
    indexable = counted and (scope.variables.get(counted[1], 0) or counted[1] in scope.assigned)
    if counted and indexable and not text.isascii():
        return _with_index(part, counted[1], counted[2])
    return []


def _check_run(token: Token, following: Token, scope: Scope) -> None:
    """xf′(u) must not be read as the transpose of a name xf."""
    for k in range(1, len(token.text)):
        if following.text == "ᵀ" and scope.unknown.find(token.text[k:]) is not None:
            raise SyntaxProblem(
                f"`{token.text}` is not declared",
                source=scope.source,
                spans=(token.span,),
                hint=f"put a space between the factors: {token.text[:k]} {token.text[k:]}",
            )


def _letters(token: Token, scope: Scope) -> list[Token]:
    """In notation without declarations `Ax` is A x: every letter a name of its own."""
    text = token.text
    longest = 4 if text.isupper() else 2 if text.islower() else 3
    if not 1 < len(text) <= longest or not text.isalpha() or scope.variables:
        return []
    if text in scope.functions or scope.unknown.find(text) is not None or ascii_name(text) in GREEK:
        return []
    return [
        Token(
            "name",
            ascii_name(c),
            Span(token.span.start + k, token.span.start + k + 1),
            token.spaced and not k,
        )
        for k, c in enumerate(text)
    ]


def _check_spelling(token: Token, scope: Scope) -> None:
    """Refuses an undeclared name that looks like a slip: near a declared one, or a function."""
    name = ascii_name(token.text)
    known = scope.unknown.find(token.text)
    if known is not None:
        raise bare(token.text, known, scope.source, token.span)
    if token.text in scope.functions and len(token.text) > 1:
        raise SyntaxProblem(
            f"{token.text} is a function",
            hint=f"write its argument in brackets: {token.text}(x)",
            source=scope.source,
            spans=(token.span,),
        )
    if not scope.variables:
        return
    near = (
        get_close_matches(name, [*scope.variables, *sorted(scope.assigned)], 1, 0.75) if len(name) > 2 else []
    )
    parts = [c for c in token.text if scope.knows(ascii_name(c))]
    if near:
        raise UnknownName(
            f"`{token.text}` is not declared; did you mean {near[0]}?",
            source=scope.source,
            spans=(token.span,),
            hint="declared are " + ", ".join(list(scope.variables)[:SHOWN]),
        )
    if len(token.text) <= 4 and token.text.isalpha() and parts and len(token.text) > 1:
        missing = ", ".join(c for c in token.text if not scope.knows(ascii_name(c)))
        raise UnknownName(
            f"`{token.text}` is not declared, and as a product of letters it lacks {missing}",
            source=scope.source,
            spans=(token.span,),
            hint=f"declare {token.text} itself, or {missing}",
        )


def unknown_function(text: str, scope: Scope, span: Span) -> UnknownName:
    """The error for `text(`, with the nearest known name."""
    if text in ("conj", "conjugate", "real", "imag", "angle"):
        return UnknownName(
            f"{text} is for complex numbers: {COMPLEX}",
            source=scope.source,
            spans=(span,),
            hint="split the formula into its real and imaginary parts",
        )
    names = [*sorted(n for n in scope.functions if n.isascii()), *scope.unknown.declared, *scope.variables]
    near = get_close_matches(text, names, 1, 0.5) or get_close_matches(text.lower(), names, 1, 0.5)
    hint = "docs/language.md lists the functions"
    if len(text) == 1:
        hint = (
            f"a name before a bracket is a function; for the product write {text} * (...), "
            f"or declare {text}, as a variable or as a function left unknown"
        )
    return UnknownName(
        f"unknown function `{text}`" + (f"; did you mean {near[0]}?" if near and len(text) > 1 else ""),
        source=scope.source,
        spans=(span,),
        hint=hint,
    )
