"""Units of variables, derivatives and products of derivatives: miles/gallon · gallons/tank = miles/tank.

In: a text "y=mile, u=gallon". Out: Units, which multiply and divide; equal units cancel, none is converted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from chainrule.errors import OptionError, Span
from chainrule.expr.names import ascii_name

RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
LARGEST_POWER = 99
HINT = 'units are names with * / and integer powers: "y=mile, u=gallon", "a=m/s^2", "x=1" without a unit'
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[^\W\d_⁰¹²³⁴-⁹][^\W⁰¹²³⁴-⁹]*|[%°µ][^\W⁰¹²³⁴-⁹]*)|(?P<power>(?:\^|\*\*)\s*[-−]?\s*\d+|[⁻⁰¹²³⁴-⁹]+)"
    r"|(?P<one>1(?!\d))|(?P<op>[*·×/()]))"
)
_NAME = re.compile(r"\s*([^\s=,]+)\s*=")


@dataclass(frozen=True, slots=True)
class Unit:
    """A product of powers of named units, in the order in which they were met; empty for a plain number.

    >>> str(Unit.of("mile") / Unit.of("gallon") * (Unit.of("gallon") / Unit.of("tank")))
    'mile/tank'
    """

    powers: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, name: str) -> Unit:
        """A unit by its name."""
        return cls(((name, 1),))

    def __mul__(self, other: Unit) -> Unit:
        total = dict(self.powers)
        for name, power in other.powers:
            total[name] = total.get(name, 0) + power
        return Unit(tuple((name, power) for name, power in total.items() if power))

    def __truediv__(self, other: Unit) -> Unit:
        return self * other**-1

    def __pow__(self, exponent: int) -> Unit:
        return Unit(tuple((name, power * exponent) for name, power in self.powers if exponent))

    def __str__(self) -> str:
        above = [_raised(name, power) for name, power in self.powers if power > 0]
        below = [_raised(name, -power) for name, power in self.powers if power < 0]
        bottom = f"({'·'.join(below)})" if len(below) > 1 else "".join(below)
        return ("·".join(above) or "1") + (f"/{bottom}" if bottom else "")


def _raised(name: str, power: int) -> str:
    return name if power == 1 else name + str(power).translate(RAISED)


def parse_units(text: str, known: Sequence[str] | None = None) -> dict[str, Unit]:
    """The unit of each variable; `known` are the names that may have one.

    Raises: OptionError with the place in the text.

    >>> {name: str(unit) for name, unit in parse_units("y = mile, u = m/s^2").items()}
    {'y': 'mile', 'u': 'm/s²'}
    """
    units: dict[str, Unit] = {}
    position = 0
    if not text.strip():
        _refuse("no units are given", text, 0, max(1, len(text)))
    while position < len(text.rstrip().rstrip(",")):
        found = _NAME.match(text, position)
        if not found:
            _refuse("a variable and = are missing here", text, position, _end(text, position))
        name = ascii_name(found[1])
        if name in units:
            _refuse(f"{found[1]} is given two units", text, *found.span(1))
        if known is not None and name not in known:
            _refuse(f"{found[1]} is no variable or part of the formula", text, *found.span(1))
        end = _end(text, found.end())
        units[name] = _Parser(text, found.end(), end).unit()
        position = end + 1
    return units


def _end(text: str, start: int) -> int:
    comma = text.find(",", start)
    return len(text) if comma < 0 else comma


def _refuse(message: str, text: str, start: int, end: int) -> NoReturn:
    raise OptionError(message, source=text, spans=(Span(start, max(end, start + 1)),), hint=HINT)


class _Parser:
    """Units with * · / or nothing between them; a factor is a name, 1 or (unit), perhaps with a power."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text, self.position, self.end = text, start, len(text[:end].rstrip())

    def unit(self) -> Unit:
        """The whole text as a unit."""
        if self.position >= self.end:
            _refuse("a unit is missing behind =", self.text, self.position - 1, self.position)
        stack: list[tuple[Unit, int]] = []  # what stands before each open parenthesis, and the sign there
        value, sign, ready, opened = Unit(), 1, False, []
        while token := self.next():
            kind, word, start = token
            if kind == "op" and word == "(":
                stack.append((value, sign))
                opened.append(start)
                value, sign, ready = Unit(), 1, False
            elif kind == "op" and word == ")":
                if not stack or not ready:
                    _refuse("this parenthesis closes nothing", self.text, start, start + 1)
                before, sign = stack.pop()
                opened.pop()
                value, sign = before * self.powered(value) ** sign, 1
            elif kind == "op":
                if not ready:
                    _refuse("a unit is missing here", self.text, start, start + 1)
                sign, ready = -1 if word == "/" else 1, False
            elif kind == "power":
                _refuse("a power stands behind a unit", self.text, start, start + len(word))
            else:
                factor = Unit() if kind == "one" else Unit.of(word)
                value, sign, ready = value * self.powered(factor) ** sign, 1, True
        if opened:
            _refuse("this parenthesis is not closed", self.text, opened[-1], opened[-1] + 1)
        if not ready:
            _refuse("a unit is missing at the end", self.text, self.end - 1, self.end)
        return value

    def next(self) -> tuple[str, str, int] | None:
        if self.position >= self.end:
            return None
        found = _TOKEN.match(self.text, self.position, self.end)
        if not found or found.lastgroup is None:
            start = self.position + len(self.text[self.position :]) - len(self.text[self.position :].lstrip())
            _refuse(f"{self.text[start]!r} does not belong in a unit", self.text, start, start + 1)
        self.position = found.end()
        return found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)

    def powered(self, value: Unit) -> Unit:
        """The unit raised to the power that stands behind it, if one does."""
        found = _TOKEN.match(self.text, self.position, self.end)
        if not found or found.lastgroup != "power":
            return value
        digits = re.sub(r"[\s^*]", "", found["power"].translate(LOWERED)).replace("−", "-")
        if not re.fullmatch(r"-?\d+", digits) or abs(int(digits)) > LARGEST_POWER:
            _refuse(f"a power is a whole number up to {LARGEST_POWER}", self.text, *found.span("power"))
        self.position = found.end()
        return value ** int(digits)


def derivative_unit(of: str, by: str, units: Mapping[str, Unit]) -> Unit | None:
    """The unit of ∂of/∂by; None if one of them has none.

    >>> str(derivative_unit("y", "u", parse_units("y=mile, u=gallon")))
    'mile/gallon'
    """
    if of not in units or by not in units:
        return None
    return units[of] / units[by]


def product_text(factors: Sequence[Unit]) -> str:
    """The units of a product, and what is left when the ones in the middle cancel.

    >>> units = parse_units("y=mile, u=gallon, x=tank")
    >>> product_text([derivative_unit(of, by, units) for of, by in ("yu", "ux")])
    'mile/gallon · gallon/tank = mile/tank'
    """
    total = Unit()
    for factor in factors:
        total = total * factor
    written = " · ".join(map(str, factors))
    return written if len(factors) == 1 else f"{written} = {total}"
