"""What a formula may not exceed. The limits keep every answer within seconds; docs/language.md lists them."""

from __future__ import annotations

from fractions import Fraction

from chainrule.errors import LimitExceeded, Span
from chainrule.expr.dims import Dim

MAX_CHARACTERS = 30_000
MAX_NAME = 100  # characters of a name, of the letters of an einsum
MAX_NESTING = 200
MAX_EXPONENT = 308
MAX_BITS = 1024
MAX_RANK = 12
MAX_DEGREE = 16  # factors, counted with their terms, in a size such as (n + 1)m
MAX_SIZE = 2**40
MAX_TERMS = 64
MAX_READINGS = 800  # ranks tried for undeclared names, and fewer where a formula is long:
MAX_VISITS = 40_000  # readings times parts of the formula


def check_length(text: str) -> None:
    """Refuses a text that is too long to be a formula."""
    if len(text) > MAX_CHARACTERS:
        raise LimitExceeded(
            f"the formula has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read",
            hint="name repeated parts (z = X @ w + b; ...), or split the work into several formulas",
        )


def check_number(value: Fraction, source: str, span: Span) -> None:
    """Refuses a number whose numerator or denominator no float can hold."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise too_large(source, span)


def check_name(text: str, source: str, span: Span) -> None:
    """Refuses a name that no message could show."""
    if len(text) > MAX_NAME:
        raise LimitExceeded(
            f"a name has at most {MAX_NAME} characters, this one {len(text):,}",
            source=source,
            spans=(span,),
            hint="give it a shorter name",
        )


def check_shape(shape: tuple[Dim, ...], source: str, span: Span) -> None:
    """Refuses a part with more than MAX_RANK axes, or with an axis beyond any memory."""
    if len(shape) > MAX_RANK:
        raise LimitExceeded(
            f"this has {len(shape)} axes; at most {MAX_RANK} are allowed",
            source=source,
            spans=(span,),
            hint="sum over some of them first",
        )
    for dim in shape:
        if len(dim.terms) > MAX_TERMS or (dim.constant or 0) > MAX_SIZE:
            raise LimitExceeded(
                "an axis of this part is too long",
                source=source,
                spans=(span,),
                hint=f"sizes go up to {MAX_SIZE:,}, and a size made of others has at most {MAX_TERMS} terms",
            )


def too_large(source: str, span: Span) -> LimitExceeded:
    """The error for a number out of range."""
    return LimitExceeded(
        f"this number needs more than {MAX_BITS} bits, more than a float can hold",
        source=source,
        spans=(span,),
        hint="declare a variable for it",
    )
