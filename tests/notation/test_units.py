"""Units of derivatives: they cancel in a product of derivatives, and nonsense is refused with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.errors import OptionError
from chainrule.notation.units import Unit, derivative_unit, parse_units, product_text

NAMES = st.sampled_from(["mile", "gallon", "tank", "s", "m"])
UNITS = st.lists(st.tuples(NAMES, st.integers(-3, 3)), max_size=4).map(
    lambda factors: _product([Unit.of(name) ** power for name, power in factors])
)


def _product(factors: list[Unit]) -> Unit:
    total = Unit()
    for factor in factors:
        total = total * factor
    return total


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("y=mile", "mile"),
        ("y = m/s^2", "m/s²"),
        ("y=kg*m**2/s³", "kg·m²/s³"),
        ("y=m·s⁻¹", "m/s"),
        ("y=1", "1"),
        ("y=1/s", "1/s"),
        ("y=m/(s*s)", "m/s²"),
        ("y=(m/s)^2/m", "m/s²"),
        ("y=euro/(person·day)", "euro/(person·day)"),
        ("y=m/m", "1"),
    ],
)
def test_a_unit_is_read_and_written(text: str, shown: str) -> None:
    unit = parse_units(text)["y"]
    assert str(unit) == shown
    assert parse_units(f"y={unit}")["y"] == unit


@given(UNITS)
def test_what_is_written_is_read_again(unit: Unit) -> None:
    again = parse_units(f"y={unit}")["y"]
    assert again / unit == Unit()


@given(UNITS, UNITS, UNITS)
def test_the_unit_in_the_middle_cancels(y: Unit, u: Unit, x: Unit) -> None:
    units = {"y": y, "u": u, "x": x}
    outer, inner = derivative_unit("y", "u", units), derivative_unit("u", "x", units)
    assert outer is not None and inner is not None
    assert outer * inner / derivative_unit("y", "x", units) == Unit()
    assert outer * inner * u != y / x * Unit.of("other"), "an intermediate unit that stays is noticed"


def test_miles_in_a_tank() -> None:
    units = parse_units("y=miles, u=gallons, x=tank")
    factors = [derivative_unit("y", "u", units), derivative_unit("u", "x", units)]
    assert product_text([f for f in factors if f]) == "miles/gallons · gallons/tank = miles/tank"
    assert derivative_unit("y", "q", units) is None


@pytest.mark.parametrize(
    ("text", "message", "mark"),
    [
        ("", "no units are given", (0, 1)),
        ("mile", "a variable and = are missing here", (0, 4)),
        ("y=", "a unit is missing behind =", (1, 2)),
        ("y=mile, y=km", "y is given two units", (8, 9)),
        ("y=mile, q=km", "q is no variable or part of the formula", (8, 9)),
        ("y=mile//h", "a unit is missing here", (7, 8)),
        ("y=mile/", "a unit is missing at the end", (6, 7)),
        ("y=^2", "a power stands behind a unit", (2, 4)),
        ("y=m^2^3", "a power stands behind a unit", (5, 7)),
        ("y=3 m", "'3' does not belong in a unit", (2, 3)),
        ("y=m+s", "'+' does not belong in a unit", (3, 4)),
        ("y=m)", "this parenthesis closes nothing", (3, 4)),
        ("y=(m", "this parenthesis is not closed", (2, 3)),
        ("y=m^999", "a power is a whole number up to 99", (3, 7)),
    ],
)
def test_nonsense_is_refused_with_its_place(text: str, message: str, mark: tuple[int, int]) -> None:
    with pytest.raises(OptionError) as problem:
        parse_units(text, ["y", "u"])
    assert problem.value.message == message
    assert [(s.start, s.end) for s in problem.value.spans] == [mark]
    assert problem.value.hint
