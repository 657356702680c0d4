"""Names that a person gives to parts of the answer: where="e = X @ w + b - y".

In: the text, the formula that was differentiated. Out: what each name stands for, in terms of the variables
of the formula; several definitions stand apart by ; or , and may use the ones before them, and the parts that
the formula names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chainrule.errors import OptionError, Span, UnknownName
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import dim_names, substitute
from chainrule.language import Formula, parse_formula
from chainrule.language.declarations import Declarations

Where = str | Mapping[str, str] | None
_NAME = re.compile(r"\s*([^\W\d]\w*)\s*=(?!=)")
HINT = 'write where="e = X @ w - y"; several stand apart by ;'


def read_abbreviations(where: Where, formula: Formula) -> dict[str, Expr]:
    """What each name stands for.

    Raises: ChainruleError with the place in the text if a name means something already, if it is not a
    definition, or if its sizes do not fit.

    >>> from chainrule.language import parse_formula
    >>> list(read_abbreviations("z = w*x; e = z - y", parse_formula("(w*x - y)**2")))
    ['z', 'e']
    """
    if where is None:
        return {}
    text = where if isinstance(where, str) else "; ".join(f"{k} = {v}" for k, v in where.items())
    starts = _definitions(text)
    taken = {**dict.fromkeys(formula.names, "part"), **dict.fromkeys(formula.variables, "variable")}
    sizes = dict.fromkeys(dim_names(formula.expr, *formula.variables.values()), "size")
    found: dict[str, Span] = {}
    for span in starts:
        shown = text[span.start : span.end]
        name = ascii_name(shown)
        kind = {**sizes, **taken}.get(name)
        if kind or name in found:
            is_taken = f"is a {kind} of the formula" if kind else "is given twice"
            raise OptionError(
                f"{shown} {is_taken}, so it cannot abbreviate a part of the answer",
                hint="use another name",
                source=text,
                spans=(span,),
            )
        found[name] = span
    symbols = {name: Variable(name, part.shape) for name, part in formula.names.items()}
    declared = Declarations("", {**symbols, **formula.variables}, tuple(sizes))
    parsed = parse_formula(
        _program(text, starts),
        declared,
        formula.dialect,
        formula.profile,
        functions=formula.functions or None,
    )
    unknown = next((name for name in parsed.variables if name not in declared.variables), None)
    if unknown is not None:
        raise _unknown(unknown, text, formula)
    values: dict[Expr, Expr] = {symbol: formula.names[name] for name, symbol in symbols.items()}
    return {name: substitute(parsed.names[name], values) for name in found}


def _definitions(text: str) -> list[Span]:
    """Where the names of the definitions stand."""
    starts: list[Span] = []
    position = 0
    while position < len(text):
        match = _NAME.match(text, position)
        if match is None:
            end = max(len(text), position + 1)
            raise OptionError(
                "a name and = are missing here", source=text, spans=(Span(position, end),), hint=HINT
            )
        starts.append(Span(*match.span(1)))
        position = _end(text, match.end())
        if not text[position:].strip(" ;,\n"):
            break
    if not starts:
        raise OptionError("no abbreviation is given", source=text or " ", spans=(Span(0, 1),), hint=HINT)
    return starts


def _end(text: str, start: int) -> int:
    """Where the next definition begins: behind a ; or line end, or a comma before `name =`."""
    depth = 0
    for k in range(start, len(text)):
        depth += (text[k] in "([{") - (text[k] in ")]}")
        if depth <= 0 and (text[k] in ";\n" or (text[k] == "," and _NAME.match(text, k + 1))):
            return k + 1
    return len(text)


def _program(text: str, starts: list[Span]) -> str:
    """The text with a ; before each definition but the first, at the same places."""
    characters = list(text)
    for span in starts[1:]:
        comma = text.rfind(",", 0, span.start)
        if comma >= 0 and not text[comma + 1 : span.start].strip():
            characters[comma] = ";"
    return "".join(characters)


def _unknown(name: str, text: str, formula: Formula) -> UnknownName:
    place = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
    known = ", ".join([*formula.variables, *formula.names])
    return UnknownName(
        f"{name} is no variable and no part of the formula",
        hint=f"there are {known}",
        source=text,
        spans=(Span(*place.span()) if place else Span(0, len(text)),),
    )
