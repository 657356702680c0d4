"""A program: statements one a line or separated by ;, the names on their left, `where` clauses."""

from __future__ import annotations

import re
from itertools import pairwise

from chainrule.errors import Span, SyntaxProblem
from chainrule.expr.names import ascii_name
from chainrule.language.parser import BINARY, Parser
from chainrule.language.syntax import Statement
from chainrule.language.tokens import Token, is_index

Sources = list[tuple[str, str]]


def parse_program(tokens: list[Token], source: str, dialect: str, notes: list[str]) -> list[Statement]:
    """The statements of a formula; the last one is its value. `notes` receives how spacing was read."""
    statements: list[Statement] = []
    for part in _statements(tokens):
        statements.append(_statement(part, source, dialect, notes))
    return statements


def _statements(tokens: list[Token]) -> list[list[Token]]:
    """Split at ; and line ends outside brackets; a line that begins or ends with an operator goes on."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token, following in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if token.kind == "newline":
            goes_on = following.kind in ("where", "newline") or (
                following.text in BINARY and following.text not in "+-"
            )
            last = parts[-1][-1] if parts[-1] else None
            if not goes_on and not (
                last and (last.text in BINARY or last.text in (",", "=") or last.kind == "where")
            ):
                parts.append([])
        elif token.text == ";" and token.kind == "op" and depth <= 0:
            parts.append([])
        elif token.kind != "end":
            parts[-1].append(token)
    return [part for part in parts if part]


def _statement(tokens: list[Token], source: str, dialect: str, notes: list[str]) -> Statement:
    clause = next((i for i, t in enumerate(tokens) if t.kind == "where"), len(tokens))
    body, rest = tokens[:clause], tokens[clause + 1 :]
    if clause == 0:
        raise SyntaxProblem(
            "a formula is missing before `where`",
            source=source,
            spans=(tokens[0].span,),
            hint="f(z) where z = Xw + b",
        )
    statement = _equation(body, source, dialect, clause_end(body[-1]), notes)
    while rest:
        end = _comma(rest)
        part, rest = rest[:end], rest[end + 1 :]
        bound = _equation(part, source, dialect, clause_end(part[-1]), notes) if part else None
        if bound is None or not bound.name:
            place = part[0].span if part else tokens[clause].span
            raise SyntaxProblem(
                "`where` is followed by name = value",
                source=source,
                spans=(place,),
                hint="... where z = Xw + b",
            )
        statement.local.append(bound)
    if clause < len(tokens) and not statement.local:
        raise SyntaxProblem(
            "nothing stands after `where`",
            source=source,
            spans=(tokens[clause].span,),
            hint="... where z = Xw + b",
        )
    return statement


def _equation(tokens: list[Token], source: str, dialect: str, end: Span, notes: list[str]) -> Statement:
    """`left = right`, or a value alone."""
    name, sources, body = _left_side(tokens, source)
    if sources is None and _leaves_a_scalar(body, bool(name)):
        sources = []
    value = Parser(body, source, dialect, end, indexed=sources is not None, notes=notes).parse()
    output = "".join(letters for _, letters in sources) if sources is not None else None
    return Statement(name, value, tokens[0].span if name else value.span, output, sources or [])


def clause_end(token: Token) -> Span:
    """The place just after a token."""
    return Span(token.span.end, token.span.end + 1)


def _comma(tokens: list[Token]) -> int:
    """Where the next binding of a where clause begins: a comma or `and` outside brackets, before `name =`."""
    depth = 0
    for i, token in enumerate(tokens):
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if token.text == "," and not depth and i + 2 < len(tokens) and tokens[i + 2].text == "=":
            return i
    return len(tokens)


def _left_side(tokens: list[Token], source: str) -> tuple[str, Sources | None, list[Token]]:
    """The name that a statement gives, the indexed names that declare its axes, and the right side."""
    depth, equals = 0, None
    for i, token in enumerate(tokens):
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if token.text == "=" and token.kind == "op" and depth <= 0:
            equals = i
            break
    if equals is None:
        return "", None, tokens
    left, right = tokens[:equals], tokens[equals + 1 :]
    if not left:
        raise SyntaxProblem(
            "a name is missing before =", source=source, spans=(tokens[0].span,), hint="z = X @ w + b"
        )
    if left[0].text == "∂" or (left[0].text == "d" and len(left) == 3 and left[1].text == "/"):
        sources = [
            found for before, t in zip([left[0], *left], left, strict=False) if (found := _indexed(before, t))
        ]
        return "", sources or None, right
    if left[0].kind == "name" and len(left) == 1:
        indexed = re.fullmatch(r"(.+)_([i-t]+)", left[0].text)
        if indexed and any(t.kind in ("sub", "sum") and is_index(t.text) for t in right):
            return indexed[1], [(indexed[1], indexed[2])], right
        return left[0].text, None, right
    if left[0].kind == "name" and len(left) == 2 and left[1].kind == "sub":
        return left[0].text, [(left[0].text, left[1].text)], right
    whole = left[0].span.join(left[-1].span)
    if left[0].kind in ("name", "call") and left[1].text == "(" and left[-1].text == ")":
        raise SyntaxProblem(
            "functions are not defined here",
            source=source,
            spans=(whole,),
            hint="give the value a name: f = ...",
        )
    raise SyntaxProblem(
        "only a name can stand before =",
        source=source,
        spans=(whole,),
        hint="== compares; z = ... names a part",
    )


def _indexed(before: Token, token: Token) -> tuple[str, str] | None:
    """The name and the letters of Y_ij, or of an index below a bracket."""
    if token.kind == "sub" and is_index(token.text):
        return (before.text if before.kind == "name" else "", token.text)
    found = re.fullmatch(r"(.+)_([i-t]+)", ascii_name(token.text)) if token.kind == "name" else None
    return (found[1], found[2]) if found else None


def _leaves_a_scalar(tokens: list[Token], named: bool) -> bool:
    """Σ_i x_i y_i, or s = A_ii: index notation without axes in the result."""
    if any(t.kind == "sum" for t in tokens):
        return True
    return named and any(
        token.kind == "sub" and is_index(token.text) and before.kind != "special"
        for before, token in pairwise(tokens)
    )
