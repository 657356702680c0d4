"""How a derivative is asked for, beyond the formula and the variables: read, checked, kept in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING

from chainrule.errors import OptionError, Span
from chainrule.expr.nodes import Expr

if TYPE_CHECKING:
    from chainrule.api.products import Pullback, Times

LAYOUTS = ("numerator", "denominator", "shape")
NOTATIONS = ("matrix", "sums", "index", "kron", "map")
AT_KINK = (Fraction(0), Fraction(1), Fraction(1, 2))


@dataclass(frozen=True)
class Options:
    """What the answer depends on besides the formula.

    layout   "numerator", "denominator" or "shape"
    at_kink  the derivative taken at the kink of relu, and of a maximum or minimum with a constant
    notation how it is written: "matrix", "sums", "index", "kron" or "map"
    abbreviations  what the names stand for that the person gave to parts of the answer
    structured     whether variables with a structure move along the set that it describes
    pullback       the gradient that is given for the value of the formula, if one is
    times          the directions of the last order, if it is multiplied by them
    """

    layout: str = "numerator"
    at_kink: Fraction = Fraction(0)
    notation: str = "matrix"
    abbreviations: Mapping[str, Expr] = field(default_factory=dict)
    structured: bool = False
    pullback: Pullback | None = None
    times: Times | None = None


def read_notation(value: object) -> str:
    """The name of a notation.

    >>> read_notation("sums")
    'sums'
    """
    if isinstance(value, str) and value in NOTATIONS:
        return value
    shown = value if isinstance(value, str) else repr(value)
    near = get_close_matches(shown, NOTATIONS, 1, 0.5)
    raise OptionError(
        f"the notation is {', '.join(NOTATIONS[:-1])} or {NOTATIONS[-1]}, not {shown}",
        hint=f"did you mean {near[0]}?" if near else "matrix is the default",
        source=f"notation={shown}",
        spans=(Span(9, 9 + max(1, len(shown))),),
    )


def read_at_kink(value: object) -> Fraction:
    """The value at a kink: 0, 1 or a half, as a number or a text.

    >>> read_at_kink("0.5"), read_at_kink(1)
    (Fraction(1, 2), Fraction(1, 1))
    """
    number: Fraction | None = None
    try:
        if isinstance(value, str):
            number = Fraction(value.strip().replace("½", "1/2"))
        elif isinstance(value, Real) and not isinstance(value, bool):
            number = Fraction(float(value))
    except (ValueError, ZeroDivisionError, OverflowError):
        pass
    if number not in AT_KINK:
        shown = value if isinstance(value, str) else repr(value)
        raise OptionError(
            f"the value at a kink is 0, 1 or 0.5, not {shown}",
            hint="0 is the default; a subderivative of relu at 0 lies between 0 and 1",
            source=f"at_kink={shown}",
            spans=(Span(8, 8 + max(1, len(shown))),),
        )
    assert number is not None
    return number
