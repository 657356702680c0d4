"""What to differentiate by: `w`, `w,b`, `[x, y]`, variables built in Python, or a list of these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from chainrule.api.chain import Target
from chainrule.errors import NoDerivative, OptionError, ShapeMismatch, Span, UnknownName
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import dim_names
from chainrule.language import Formula

Wrt = str | Expr | Sequence[str | Expr]

_PART = re.compile(r"\s*(\[[^\[\]]*\]|[^,\[\]]+?)\s*(,|$)")


def parse_targets(wrt: Wrt | None, formula: Formula) -> tuple[tuple[Target, ...], bool]:
    """The targets, and whether several were asked for (a list of one is several).

    Raises: UnknownName, ShapeMismatch, OptionError with the place in the text.
    """
    if wrt is None:
        return (_only(formula),), False
    if isinstance(wrt, str):
        targets = [_target(text, start, wrt, formula) for text, start in _pieces(wrt, formula)]
        several = len(targets) > 1
    elif isinstance(wrt, Expr):
        targets, several = [_given(wrt, formula)], False
    elif not isinstance(wrt, Sequence):
        raise OptionError(f"wrt is a name, a variable or a list of these, not {type(wrt).__name__}")
    else:
        targets, several = [], True
        for part in wrt:
            if isinstance(part, Expr):
                targets.append(_given(part, formula))
            elif isinstance(part, str):
                targets += [_target(text, start, part, formula) for text, start in _pieces(part, formula)]
            else:
                raise OptionError(f"wrt is a name, a variable or a list of these, not {type(part).__name__}")
        if not targets:
            raise OptionError("wrt is empty", hint=_choices(formula))
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            source = wrt if isinstance(wrt, str) else ""
            places = [Span(*m.span()) for m in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", source)]
            raise OptionError(
                f"{name} is named twice in wrt",
                hint="name each variable once",
                source=source,
                spans=tuple(places),
            )
    return tuple(targets), several


def _only(formula: Formula) -> Target:
    if len(formula.variables) == 1:
        return Target(tuple(map(_moving, formula.variables.values())))
    real = [v for v in formula.variables.values() if v.bound is None]
    if len(real) == 1:
        return Target(tuple(real))
    raise OptionError("which variable should it be differentiated by?", hint=_choices(formula))


def _choices(formula: Formula) -> str:
    names = list(formula.variables)
    if len(names) < 2:
        return f"its only variable is {names[0]}" if names else "the formula has no variable"
    return f"the variables are {', '.join(names)}"


def _pieces(text: str, formula: Formula) -> list[tuple[str, int]]:
    """The parts between commas outside brackets, with where they begin."""
    pieces: list[tuple[str, int]] = []
    position = 0
    while position < len(text) or not pieces:
        match = _PART.match(text, position)
        if not match:
            place = Span(position, len(text) or 1)
            raise OptionError(
                "wrt lists the variables: w, or w,b, or [x, y] for one Jacobian",
                source=text,
                spans=(place,),
                hint=_choices(formula),
            )
        pieces.append((match[1], match.start(1)))
        position = match.end()
    return pieces


def _target(text: str, start: int, source: str, formula: Formula) -> Target:
    if not text.startswith("["):
        return Target((_variable(text, start, source, formula),))
    inside = [m for m in re.finditer(r"[^,\[\]\s]+", text)]
    if not inside:
        raise OptionError(
            "[] names no variable", source=source, spans=(Span(start, start + 2),), hint=_choices(formula)
        )
    found = [_variable(m[0], start + m.start(), source, formula) for m in inside]
    for variable, match in zip(found, inside, strict=True):
        if variable.rank:
            raise ShapeMismatch(
                f"[...] in wrt joins scalars into one Jacobian, and {variable.name} has axes",
                source=source,
                spans=(Span(start + match.start(), start + match.end()),),
                sizes={variable.name: " × ".join(map(str, variable.shape))},
                hint=f"without the brackets each gets its own derivative: {', '.join(m[0] for m in inside)}",
            )
    if len(set(found)) < len(found):
        raise OptionError(
            f"{text} names a variable twice", source=source, spans=(Span(start, start + len(text)),)
        )
    return Target(tuple(found), joint=True)


def _variable(text: str, start: int, source: str, formula: Formula) -> Variable:
    name = ascii_name(text)
    spans = (Span(start, start + len(text)),)
    for spelled in (name, re.sub(r"(?<=[^0-9_])([0-9]+)$", r"_\1", name)):
        if spelled in formula.variables:
            return _moving(formula.variables[spelled], source, spans)
    sizes = {d for v in formula.variables.values() for d in dim_names(v)} | set(dim_names(formula.expr))
    if name in sizes:
        raise UnknownName(
            f"{text} is a size, and derivatives are by variables",
            hint=f"{_choices(formula)}; for a variable {text} give the size another name",
            source=source,
            spans=spans,
        )
    if name in formula.names:
        raise UnknownName(
            f"{text} is a part of the formula, not a variable",
            hint=f"{_choices(formula)}; or leave its definition out, and {text} is a variable itself",
            source=source,
            spans=spans,
        )
    near = get_close_matches(name, formula.variables, 1, 0.5)
    raise UnknownName(
        f"the formula has no variable {text}" + (f"; did you mean {near[0]}?" if near else ""),
        hint=_choices(formula),
        source=source,
        spans=spans,
    )


def _moving(variable: Variable, source: str = "", spans: tuple[Span, ...] = ()) -> Variable:
    """The variable, unless it is an integer, by which there is no derivative."""
    if {"integer"} & set(variable.structure) or variable.bound is not None:
        raise NoDerivative(
            f"{variable.name} is an integer: nothing can be differentiated by it",
            hint=f"declare {variable.name} without :integer if it is a real number",
            source=source,
            spans=spans,
        )
    return variable


def _given(wrt: Expr, formula: Formula) -> Target:
    if not isinstance(wrt, Variable):
        raise OptionError("derivatives are by variables, not by expressions", hint=_choices(formula))
    known = formula.variables.get(wrt.name, wrt)
    if known is not wrt:
        raise ShapeMismatch(
            f"{wrt.name} in wrt is not the {wrt.name} of the formula: the shapes or structures differ",
            sizes={wrt.name: " × ".join(map(str, wrt.shape))},
            hint="use the variable that the formula was built from",
        )
    return Target((_moving(wrt),))
