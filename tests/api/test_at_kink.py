"""The value taken at a kink: in the derivative, its code, text and note, for relu and its relatives."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import OptionError
from chainrule.rules.elementwise import maximum, minimum, relu

CHOICES = [(0, 0.0), (1, 1.0), (0.5, 0.5), ("1/2", 0.5)]
# Formulas of x with a kink at 2, and the slopes of their active side.
FORMULAS = [
    ("relu(x - 2)", 1),
    ("maximum(0, x - 2)", 1),
    ("maximum(x, 2)", 1),
    ("maximum(2, x)", 1),
    ("minimum(x, 2)", 1),
    ("minimum(2, 3*x - 4)", 3),
    ("clip(x, -1, 2)", 1),
    ("maximum(0, 1 - x/2)", -0.5),
]


@pytest.mark.parametrize(("at_kink", "value"), CHOICES)
@pytest.mark.parametrize(("formula", "slope"), FORMULAS)
def test_the_compiled_function_takes_the_value(formula, slope, at_kink, value) -> None:
    d = cr.derive(formula, wrt="x", shapes="x", at_kink=at_kink)
    assert d.compile()(x=2.0) == slope * value
    assert d.at("x=2").derivatives["x",] == slope * value
    assert d.check(points=5).passed, "away from the kink nothing changes"


@pytest.mark.parametrize(("at_kink", "value"), CHOICES)
def test_relu_and_maximum_behave_the_same(at_kink, value) -> None:
    options = {"wrt": "w", "shapes": "X[N,n] w[n] y[N]", "at_kink": at_kink}
    first = cr.derive("sum((y - relu(X @ w))**2)", **options)
    second = cr.derive("sum((y - maximum(0, X @ w))**2)", **options)
    assert first.text == second.text and first.numpy_source == second.numpy_source
    assert first.sheet.kinks == second.sheet.kinks
    point = {"X": np.zeros((4, 2)) + 1, "w": np.array([1.0, -1.0]), "y": np.ones(4)}
    np.testing.assert_array_equal(first.compile()(**point), np.full(2, -8.0 * value))


@pytest.mark.parametrize(
    ("at_kink", "text", "source", "note"),
    [
        (0, "1[x > 0]", "x > 0", "relu′(0) is taken as 0"),
        (1, "1[x ≥ 0]", "x >= 0", "relu′(0) is taken as 1"),
        (0.5, "(1/2) (1[x > 0] + 1[x ≥ 0])", "((x >= 0) + (x > 0)) / 2", "relu′(0) is taken as 1/2"),
    ],
)
def test_text_code_and_note_follow(at_kink, text, source, note) -> None:
    d = cr.derive("relu(x)", wrt="x", shapes="x", at_kink=at_kink)
    assert cr.equal(d.text, text, shapes="x").proved
    assert d.numpy_source == source
    assert [kink.takes for kink in d.sheet.kinks] == [note]
    assert note in str(d)
    assert json.loads(d.to_json())["at_kink"] == at_kink


def test_notes_of_a_maximum() -> None:
    def note(at_kink: object, formula: str = "maximum(x, 2)") -> str:
        (kink,) = cr.derive(formula, wrt="x", shapes="x y", at_kink=at_kink).sheet.kinks
        return kink.takes

    assert note(0) == "at a tie the constant has the whole weight"
    assert note(1) == "at a tie x has the whole weight"
    assert note(0.5) == "at a tie both have the weight 1/2"
    assert note(1, "maximum(y, x)") == note(0, "maximum(y, x)") == "at a tie y has the whole weight"


def test_two_variables_share_a_weight_of_one() -> None:
    for at_kink in (0, 1, 0.5):
        d = cr.derive("maximum(x, y)", wrt="x,y", shapes="x y", at_kink=at_kink)
        assert d.compile()(x=1.0, y=1.0) == {"x": 1.0, "y": 0.0}


def test_the_weights_of_every_row_add_up_to_one() -> None:
    (x, two) = (cr.variables("x")[0], cr.variables("x")[0] * 0 + 2)
    for row in (maximum, minimum):
        for weight in (Fraction(0), Fraction(1), Fraction(1, 2)):
            by_first, by_second = row.derivatives(weight)
            both = by_first(x, two, None) + by_second(x, two, None)
            for value in (1, 2, 3):
                assert cr.derive(both * x, wrt="x").at({"x": value}).value == value
    assert relu.derivatives() is relu.d


@pytest.mark.parametrize("wrong", ["0.7", 2, "x", "", None, True, float("nan"), "1/0", 10**400])
def test_another_value_is_refused(wrong) -> None:
    with pytest.raises(OptionError, match=r"0, 1 or 0\.5"):
        cr.derive("relu(x)", wrt="x", shapes="x", at_kink=wrong)
