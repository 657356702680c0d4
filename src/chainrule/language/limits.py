"""What a formula may not exceed. The limits keep every answer within seconds; docs/language.md lists them."""
from __future__ import annotations

from fractions import Fraction

from chainrule.errors import LimitExceeded, Span

MAX_CHARACTERS = 100_000
MAX_NESTING = 200
MAX_EXPONENT = 308
MAX_BITS = 4096
MAX_RANK = 12
MAX_READINGS = 800


def check_length(text: str) -> None:
    """Refuses a text that is too long to be a formula."""
    if len(text) > MAX_CHARACTERS:
        raise LimitExceeded(
            f"the formula has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read",
            hint="name repeated parts (z = X @ w + b; ...), or split the work into several formulas",
        )


def check_number(value: Fraction, source: str, span: Span) -> None:
    """Refuses a number whose numerator or denominator has more than MAX_BITS bits."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise LimitExceeded(
            f"a number with more than {MAX_BITS} bits", source=source, spans=(span,), hint="use a named variable for it"
        )
