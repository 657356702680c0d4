"""Which columns make which variable, and what is wrong with a text that does not say it."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.errors import ChainruleError, SyntaxProblem, UnknownName
from chainrule.fit.let import default_let, parse_let
from chainrule.fit.table import open_table

NAMES = ["age", "sex", "bmi", "blood pressure", "2019", "rest", "target"]
TABLE = open_table({name: [0.0, 1.0] for name in NAMES})
ARRAYS = open_table({"X": np.zeros((2, 4)), "y": [0.0, 1.0], "lam": 0.5})


@pytest.mark.parametrize(
    ("text", "name", "columns", "bare"),
    [
        ("y = target", "y", ["target"], True),
        ("X = age:bmi", "X", ["age", "sex", "bmi"], False),
        ("X = [age, bmi]", "X", ["age", "bmi"], False),
        ("X=[age:bmi,target]", "X", ["age", "sex", "bmi", "target"], False),
        ("X = [age]", "X", ["age"], False),
        ("y = target, X = rest", "X", NAMES[:-1], False),
        ("X = rest; y = target", "X", NAMES[:-1], False),
        ("y = target\nX = rest", "X", NAMES[:-1], False),
        ("X = [age, 'blood pressure', `2019`]", "X", ["age", "blood pressure", "2019"], False),
        ('X = "blood pressure":"rest"', "X", ["blood pressure", "2019", "rest"], False),
        ("λ = age", "lam", ["age"], True),
    ],
)
def test_columns_of_a_variable(text: str, name: str, columns: list[str], bare: bool) -> None:
    chosen = parse_let(text).choose(TABLE)[name]
    assert list(chosen.columns) == columns and chosen.bare == bare and not chosen.group


@pytest.mark.parametrize(("text", "value"), [("lam = 0.1", 0.1), ("lam=-2", -2.0), ("λ = 1e-3", 1e-3)])
def test_a_number(text: str, value: float) -> None:
    assert parse_let(text).choose(TABLE)["lam"].value == value


def test_arrays_whole_and_by_column() -> None:
    chosen = parse_let("X = X, u = X[2], Z = X[0]:X[1], W = rest").choose(ARRAYS)
    assert chosen["X"].group == "X" and len(chosen["X"].columns) == 4
    assert chosen["u"].columns == ("X[2]",) and chosen["u"].bare
    assert chosen["Z"].columns == ("X[0]", "X[1]") and chosen["W"].columns == ("y",)


def test_without_a_text_variables_have_the_names_of_arrays() -> None:
    chosen = default_let(ARRAYS, ["X", "y", "lam"]).choose(ARRAYS)
    assert chosen["X"].group == "X" and chosen["y"].columns == ("y",) and chosen["lam"].value == 0.5
    with pytest.raises(ChainruleError, match=r"no column z.*\n.*say what z is"):
        default_let(ARRAYS, ["z"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "X = age + bmi",
            "`+` adds in formulas; columns beside each other are a list\n"
            "  X = age + bmi\n"
            "          ^\n"
            "  write  X = [age, bmi];  a sum of columns belongs into the formula",
        ),
        (
            "X = blood pressure",
            "a comma is missing before `pressure`\n"
            "  X = blood pressure\n"
            "            ~~~~~~~~\n"
            '  a name with a space stands in quotes, "blood pressure"',
        ),
        (
            "X = age:bmx",
            "there is no column bmx; did you mean bmi?\n"
            "  X = age:bmx\n"
            "      ~~~~~~~\n"
            "  the columns are age, sex, bmi, blood pressure, 2019, rest, target",
        ),
        (
            "X = bmi:age",
            "bmi stands behind age\n  X = bmi:age\n      ~~~~~~~\n  age:bmi is the range",
        ),
        (
            "X = [age, age:bmi]",
            "the column age stands in X twice\n"
            "  X = [age, age:bmi]\n"
            "            ~~~~~~~\n"
            "  name each column once",
        ),
    ],
)
def test_mistakes_are_told_with_a_caret(text: str, told: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        parse_let(text).choose(TABLE)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing says"),
        ("y", "`=` is missing behind y"),
        ("= target", "the name of a variable stands here, not `=`"),
        ("3 = target", "the name of a variable"),
        ("y =", "name of a column is missing"),
        ("y = target X = rest", "a comma is missing before `X`"),
        ("X = [age, bmi", r"`\[` is never closed"),
        ("X = [age bmi]", "a comma is missing before `bmi`"),
        ("X = [age, rest]", "`rest` stands alone"),
        ("X = 2019:rest", "columns are named, not counted"),
        ("X = [2019]", "2019 is a number"),
        ('X = "age', "quotation mark is never closed"),
        ("X = age, X = bmi", "X is given twice"),
        ("X = age*2", r"a comma is missing before `\*`"),
    ],
)
def test_what_is_no_let(text: str, said: str) -> None:
    with pytest.raises(SyntaxProblem, match=said):
        parse_let(text)


def test_variables_that_the_formula_lacks_and_an_empty_rest() -> None:
    with pytest.raises(UnknownName, match=r"no variable Xs; did you mean X\?"):
        parse_let("Xs = age").check_names({"X": 0, "y": 0})
    with pytest.raises(ChainruleError, match="no column is left for `rest`"):
        parse_let("X = X, y = y, Z = rest").choose(ARRAYS)
