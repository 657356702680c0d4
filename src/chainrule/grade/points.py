"""Values at a point in derivations: = 6 at x = 3.

In: what is said of the point, and the variables. Out: a Place, which puts its numbers into expressions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from chainrule.errors import SyntaxProblem
from chainrule.expr.dims import Dim
from chainrule.expr.names import ascii_name, pretty
from chainrule.expr.nodes import Expr, Stack, Variable, number
from chainrule.expr.walk import substitute, substitute_dims

_GIVEN = re.compile(r"\s*([^\W\d][\w\u0300-\u036f]*)\s*=\s*(\[[^\]]*\]|[^,\[\]]+?)\s*(?:,|\band\b|$)")
_NUMERIC = re.compile(r"[\s\d.,+\-−·*/()\[\]ᵀ]+")
DIGITS = 3  # so many significant digits make a rounded number


@dataclass(frozen=True, slots=True)
class Place:
    """Numbers in place of variables; `dims` are the sizes that vectors among them have."""

    values: Mapping[Expr, Expr]
    dims: Mapping[str, Dim]

    def put(self, expr: Expr) -> Expr:
        """The expression there.

        >>> x = Variable("x")
        >>> place("x = 3", {"x": x}, ()).put(2 * x)
        <2 -> <3 -> >>
        """
        return substitute(substitute_dims(expr, dict(self.dims)), dict(self.values))


def place(text: str, variables: Mapping[str, Variable], order: Sequence[str]) -> Place:
    """The point that "x = 3, y = [1, 2]" or, in that order, "(1, 2)" says.

    Raises: SyntaxProblem for a name that is no variable, or a value that is no number.
    """
    given = _by_position(text, order) if text.startswith("(") else _by_name(text)
    values: dict[Expr, Expr] = {}
    dims: dict[str, Dim] = {}
    for name, value in given.items():
        v = variables.get(name)
        if v is None:
            raise SyntaxProblem(
                f"{pretty(name)} is no variable, so nothing can be evaluated there",
                hint="the variables are " + ", ".join(map(pretty, variables)),
            )
        entries = [_number(one) for one in value.strip("[]").split(",")]
        if v.rank > 1 or v.rank != value.startswith("["):
            raise SyntaxProblem(
                f"{value} is no value of {pretty(name)}",
                hint="a point has a number for a scalar and [1, 2] for a vector",
            )
        if not v.rank:
            values[v] = number(entries[0])
            continue
        size = Dim.of(len(entries))
        if v.shape[0].name is not None:
            dims[v.shape[0].name] = size
        values[Variable(v.name, (size,), v.structure)] = Stack([number(one) for one in entries])
    return Place(values, dims)


def _by_name(text: str) -> dict[str, str]:
    found = {ascii_name(m[1]): m[2] for m in _GIVEN.finditer(text)}
    if not found:
        raise SyntaxProblem("a point says which variable has which value", hint="write at x = 3, y = 2")
    return found


def _by_position(text: str, order: Sequence[str]) -> dict[str, str]:
    values = [value.strip() for value in text.strip("() ").split(",")]
    if len(values) != len(order):
        raise SyntaxProblem(
            f"{text} has {len(values)} numbers, for {len(order)} variables", hint="write at x = 3, y = 2"
        )
    return dict(zip(order, values, strict=True))


def _number(text: str) -> Fraction:
    try:
        return Fraction(text.strip().replace("−", "-"))
    except (ValueError, ZeroDivisionError):
        raise SyntaxProblem(f"{text.strip()} is no number", hint="write at x = 3, y = 1/2") from None


def is_numeric(text: str) -> bool:
    """Whether nothing but numbers stands in a text.

    >>> is_numeric("2·3"), is_numeric("2x")
    (True, False)
    """
    return bool(_NUMERIC.fullmatch(text)) and bool(re.search(r"\d", text))


def rounding(text: str) -> float:
    """By how much a number may be rounded whose last digit is shown: 0.540 by 0.0005.

    >>> rounding("0.540"), rounding("6")
    (0.00050005, 0.0)
    """
    if not is_numeric(text):
        return 0.0
    found = [
        0.50005 * 10.0 ** -len(m[2])
        for m in re.finditer(r"(\d+)\.(\d+)", text)
        if len((m[1] + m[2]).lstrip("0")) >= DIGITS
    ]
    return max(found, default=0.0)
