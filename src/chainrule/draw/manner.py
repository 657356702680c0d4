"""How pictures are asked for: what is written in them, and how they look."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Manner:
    """What the pictures of a derivative share.

    layout   numerator, denominator or shape
    at_kink  the derivative taken at the kink of relu, and of a maximum or minimum with a constant
    profile  the signs of an author: notes
    theme    light, dark, or auto: as the reader's system is set
    prefix   the id of the svg element; made from the content if None
    """

    layout: str = "numerator"
    at_kink: Fraction = Fraction(0)
    profile: str | None = None
    theme: str = "auto"
    prefix: str | None = None


PLAIN = Manner()
