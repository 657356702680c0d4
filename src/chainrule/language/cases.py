"""Formulas by cases, {0 if z ≤ 0; x if z > 0}: the tokens of the sum 0 · 1[z ≤ 0] + x · 1[z > 0].

In: tokens. Out: tokens without cases. The first condition that holds counts: unless two conditions exclude
each other as they stand, the later one is multiplied by 1 − 1[the earlier one].
"""

from __future__ import annotations

from chainrule.errors import Span, SyntaxProblem
from chainrule.language.tokens import Token

OPENING, CLOSING = ("(", "[", "{"), (")", "]", "}")
SIDES = {"<": {-1}, "<=": {-1, 0}, "==": {0}, ">=": {0, 1}, ">": {1}, "!=": {-1, 1}}
WAY = "write {0 if z <= 0; x if z > 0}, or {0 if z <= 0; x otherwise}"
Condition = list[Token]


def without_cases(tokens: list[Token], source: str) -> list[Token]:
    """The tokens with every formula by cases written as a sum.

    Raises: SyntaxProblem with the place if a case has no value or no condition.
    """
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        end = _closing(tokens, position) if tokens[position].text == "{" else None
        if end is None or not any(t.kind == "word" for t in tokens[position:end]):
            result.append(tokens[position])
            position += 1
            continue
        result += _sum(tokens[position + 1 : end], tokens[position], source)
        position = end + 1
    return result


def _closing(tokens: list[Token], start: int) -> int | None:
    depth = 0
    for k in range(start, len(tokens)):
        depth += (tokens[k].text in OPENING) - (tokens[k].text in CLOSING)
        if not depth:
            return k
    return None


def _sum(tokens: list[Token], brace: Token, source: str) -> list[Token]:
    earlier: list[list[Condition]] = []
    found: list[Token] = []
    for part in _split(tokens, ";"):
        word = _word(part)
        if not word or (part[word].text == "if") == (word + 1 == len(part)):
            place = part[0].span.join(part[-1].span) if part else brace.span
            raise SyntaxProblem(
                "a case is a value, `if` and a condition", source=source, spans=(place,), hint=WAY
            )
        where = part[word]
        conditions = _split(part[word + 1 :], "and") if where.text == "if" else []
        conditions = [[_equals(t) for t in condition] for condition in conditions]
        if any(not condition for condition in conditions):
            raise SyntaxProblem("a condition is missing here", source=source, spans=(where.span,), hint=WAY)
        found += [_op("+", where)] * bool(found) + [_op("(", where)]
        found += [*without_cases(part[:word], source), _op(")", where)]
        for before in earlier:
            if not any(_exclude(a, b) for a in before for b in conditions):
                found += [_op(s, where) for s in "·("] + [_one(where), _op("-", where)]
                found += [*_indicators(before, where), _op(")", where)]
        if conditions:
            found += [_op("·", where), *_indicators(conditions, where)]
        earlier.append(conditions)
    return [_op("(", brace), *found, _op(")", brace)]


def _word(tokens: list[Token]) -> int | None:
    """Where `if` or `otherwise` stands, outside brackets."""
    depth = 0
    for k, token in enumerate(tokens):
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if token.kind == "word" and token.text != "and" and not depth:
            return k
    return None


def _indicators(conditions: list[Condition], where: Token) -> list[Token]:
    """1[a] · 1[b]."""
    found: list[Token] = []
    for condition in conditions:
        found += [_op("·", where)] * bool(found)
        found += [_one(where), _op("[", where), *condition, _op("]", where)]
    return found


def _exclude(first: Condition, second: Condition) -> bool:
    """Whether two comparisons of the same two things cannot both hold."""
    sides = []
    for condition in (first, second):
        at = next((k for k, t in enumerate(condition) if t.text in SIDES), None)
        if at is None:
            return False
        texts = [t.text for t in condition]
        sides.append((texts[:at], texts[at + 1 :], SIDES[texts[at]]))
    return sides[0][:2] == sides[1][:2] and not sides[0][2] & sides[1][2]


def _split(tokens: list[Token], separator: str) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if token.text == separator and not depth:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _equals(token: Token) -> Token:
    return Token("op", "==", token.span, token.spaced) if token.text == "=" else token


def _op(text: str, where: Token) -> Token:
    return Token("op", text, where.span)


def _one(where: Token) -> Token:
    return Token("num", "1", Span(where.span.start, where.span.start + 1))
