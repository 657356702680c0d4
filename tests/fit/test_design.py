"""Columns become arrays of variables; everything that is done to them is told, and can be undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.errors import ChainruleError, DataProblem, OptionError, ShapeMismatch
from chainrule.expr.nodes import Variable
from chainrule.fit.design import design, split
from chainrule.fit.moments import Moments
from chainrule.language.declarations import parse_declarations

DIABETES = Path(__file__).parents[2] / "examples" / "diabetes.csv"
PEOPLE = {
    "age": [59.0, 48.0, 72.0, 24.0],
    "city": ["Rome", "Oslo", "Rome", None],
    "target": [1.0, 0.0, 2.0, 1.0],
}


def variables(text: str) -> dict[str, Variable]:
    return dict(parse_declarations(text).variables)


def made(data: Any, let: str | None, shapes: str, **options: Any) -> Any:
    return design(data, let, variables(shapes), **options)


def test_the_data_set_that_is_shipped() -> None:
    found = made(DIABETES, "y = target, X = rest, lam = 0.1", "X[N,n] y[N] lam")
    assert found.labels["X"] == ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
    assert found.labels["y"] == ("target",)
    assert (
        found.arrays["X"].shape == (442, 10)
        and found.arrays["y"].shape == (442,)
        and found.arrays["lam"] == 0.1
    )
    assert found.arrays["X"].flags.c_contiguous and found.arrays["X"].dtype == np.float64
    assert found.arrays["X"][0].tolist() == [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]
    assert found.arrays["y"][:2].tolist() == [151, 75] and not found.notes


def test_standardised_columns_can_be_undone() -> None:
    plain = made(DIABETES, "y = target, X = age:s6", "X[N,n] y[N]").arrays
    for data in (DIABETES, {"X": plain["X"], "target": plain["y"]}):
        let = "y = target, X = age:s6" if data is DIABETES else "y = target, X = X"
        found = made(data, let, "X[N,n] y[N]", standardise=["X", "y"])
        X = found.arrays["X"]
        np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-13)
        np.testing.assert_allclose(X.std(axis=0), 1, rtol=1e-13)
        np.testing.assert_allclose(found.scaling["X"].undo(X), plain["X"], rtol=1e-13)
        np.testing.assert_allclose(found.scaling["y"].undo(found.arrays["y"]), plain["y"], rtol=1e-13)
    assert plain["X"][0, 0] == 59, "the arrays that were given are left as they were"
    one = made(DIABETES, "y = target, X = age:s6", "X[N,n] y[N]", standardise=["bmi"])
    np.testing.assert_array_equal(np.delete(one.arrays["X"], 2, 1), np.delete(plain["X"], 2, 1))
    assert abs(one.arrays["X"][:, 2].mean()) < 1e-13


def test_one_hot_columns() -> None:
    found = made(
        {**PEOPLE, "city": ["Rome", "Oslo", "Rome", "Bern"]},
        "y = target, X = rest",
        "X[N,n] y[N]",
        one_hot=["city"],
        standardise=["X"],
    )
    assert found.labels["X"] == ("age", "city=Bern", "city=Oslo", "city=Rome")
    assert found.arrays["X"][:, 1:].tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert found.levels == {"city": ("Bern", "Oslo", "Rome")}
    assert found.notes == ("city has 3 levels: Bern, Oslo, Rome",)
    found = made(DIABETES, "y = target, X = [bmi, sex]", "X[N,n] y[N]", one_hot=["sex"])
    assert found.labels["X"] == ("bmi", "sex=1", "sex=2")
    np.testing.assert_array_equal(found.arrays["X"][:3, 1:], [[0, 1], [1, 0], [0, 1]])


def test_integer_variables() -> None:
    found = made({"c": [0.0, 2.0, 1.0]}, None, "c[N]:integer(K)")
    assert found.arrays["c"].dtype == np.int64 and found.sizes == {"K": 3}
    found = made({"t": ["b", "a", "b"]}, "c = t", "c[N]:integer(K)", one_hot=["t"])
    assert found.arrays["c"].tolist() == [1, 0, 1] and found.sizes == {"K": 2}
    assert found.levels == {"t": ("a", "b")}


def test_arrays_by_their_own_names_are_not_copied(tmp_path: Path) -> None:
    X, y = np.ones((4, 3)), np.arange(4.0)
    found = made({"X": X, "y": y, "lam": 0.5}, None, "X[N,n] y[N] lam")
    assert np.shares_memory(found.arrays["X"], X) and np.shares_memory(found.arrays["y"], y)
    assert found.arrays["lam"] == 0.5 and found.labels == {"X": ("0", "1", "2"), "y": ("y",)}
    images = made({"X": np.ones((4, 2, 2)), "y": y}, None, "X[N,h,w] y[N]")
    assert images.arrays["X"].shape == (4, 2, 2)
    np.save(tmp_path / "X.npy", np.arange(12.0).reshape(4, 3))
    found = made(tmp_path / "X.npy", "y = c2, X = rest", "X[N,n] y[N]")
    assert found.arrays["y"].tolist() == [2, 5, 8, 11] and found.arrays["X"][1].tolist() == [3, 4]
    assert found.labels["X"] == ("c0", "c1")
    mixed = made(tmp_path / "X.npy", "y = c1, X = [c2, c0]", "X[N,n] y[N]")
    assert mixed.arrays["X"][1].tolist() == [5, 3]


def test_variables_that_are_not_declared_have_the_axes_of_their_columns() -> None:
    nothing = dict.fromkeys(("X", "y", "z", "lam"))
    found = design(PEOPLE, "y = target, X = [age], z = age, lam = 2", nothing)
    assert found.arrays["X"].shape == (4, 1) and found.arrays["z"].shape == found.arrays["y"].shape == (4,)
    assert found.arrays["lam"] == 2
    images = design({"X": np.ones((4, 2, 2)), "y": np.ones(4)}, None, dict.fromkeys(("X", "y")))
    assert images.arrays["X"].shape == (4, 2, 2)


def test_the_split_is_the_same_for_the_same_seed() -> None:
    one, other = (
        made(DIABETES, "y = target, X = rest", "X[N,n] y[N]", validation=0.2, seed=s) for s in (7, 7)
    )
    assert (one.rows, one.held_out) == (354, 88)
    np.testing.assert_array_equal(one.validation["X"], other.validation["X"])
    again = made(DIABETES, "y = target, X = rest", "X[N,n] y[N]", validation=0.2, seed=8)
    assert not np.array_equal(one.validation["y"], again.validation["y"])
    for part in split(442, 0.2, 7):
        assert np.all(np.diff(part) > 0)
    assert sorted(np.concatenate(split(442, 0.2, 7))) == list(range(442))


def test_validation_rows_are_scaled_by_the_others() -> None:
    found = made(DIABETES, "y = target, X = rest", "X[N,n] y[N]", validation=0.2, standardise=["X"])
    np.testing.assert_allclose(found.arrays["X"].mean(axis=0), 0, atol=1e-13)
    assert np.abs(found.validation["X"].mean(axis=0)).max() > 1e-3


def test_a_level_that_only_validation_has() -> None:
    held_out = int(split(10, 0.1, 0)[1][0])
    city = ["Oslo"] * 10
    city[held_out] = "Rome"
    with pytest.raises(DataProblem, match=f"row {held_out}: city is `Rome`, which is not among its levels"):
        made(
            {"city": city, "y": np.arange(10.0)},
            "y = y, X = [city]",
            "X[N,n] y[N]",
            one_hot=["city"],
            validation=0.1,
        )


def test_missing_values(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("age,city,target\n59,Rome,1\n,Oslo,0\n72,NA,\n24,Rome,1\n30,Oslo,2\n")
    with pytest.raises(DataProblem) as caught:
        made(path, "y = target, X = [age, city]", "X[N,n] y[N]", one_hot=["city"])
    assert str(caught.value) == (
        f"{path}, line 3: age has no value\n"
        "  ,Oslo,0\n"
        "  ^\n"
        "  mend the cell, or leave such rows out, missing='drop'"
    )
    found = made(path, "y = target, X = [age, city]", "X[N,n] y[N]", one_hot=["city"], missing="drop")
    assert found.arrays["X"].tolist() == [[59, 0, 1], [24, 0, 1], [30, 1, 0]]
    assert found.dropped == 2
    assert found.notes[-1] == "2 rows with a missing value left out (age 1, city 1, target 1)"
    only = made(path, "y = age, X = [age]", "X[N,n] y[N]", missing="drop")
    assert only.rows == 4, "a column that is not used may have gaps"
    with pytest.raises(OptionError, match="cannot be zero"):
        made(path, "y = age, X = [age]", "X[N,n] y[N]", missing="zero")


@pytest.mark.parametrize(
    ("data", "let", "shapes", "options", "said"),
    [
        (
            PEOPLE,
            "y = target, X = rest",
            "X[N,n] y[N]",
            {},
            "row 0: city holds `Rome`, which is not a number",
        ),
        ({"x": [1.0, np.inf], "y": [1.0, 2.0]}, None, "x[N] y[N]", {}, "row 1: x is infinite"),
        ({"x": [1.0], "y": [1.0]}, None, "x[N] y[N]", {}, "1 row is left to fit to"),
        ({"x": [1.0, np.nan]}, None, "x[N]", {"missing": "drop"}, "1 row is left to fit to: 1 with missing"),
        (
            {"x": [0.1] * 3},
            None,
            "x[N]",
            {"standardise": ["x"]},
            "x is 0.1 in every row, so it has no deviation",
        ),
        ({"y": [1.0, 0.0]}, None, "y[N]:sign", {}, r"row 1: y is 0, and y is declared sign: it is neither"),
        ({"y": [0.0, 3.0]}, None, "y[N]:integer(3)", {}, r"row 1: y is 3.* it is not below 3"),
        ({"y": [0.0, 0.5]}, None, "y[N]:integer(K)", {}, r"row 1: y is 0.5.* it is not a whole number"),
        ({"y": [0.0, -1.0]}, None, "y[N]:integer(K)", {}, r"row 1: y is -1.* it is negative"),
        (
            {"P": np.array([[0.5, 0.5], [0.5, 0.4]])},
            None,
            "P[N,k]:simplex",
            {},
            r"row 1: the entries of P add up to 0.9",
        ),
        ({"X": np.array([[1.0, 2], [3, -4]])}, None, "X[N,n]:positive", {}, r"row 1: X\[1\] is -4"),
        ({"X": np.array([[1.0, 2], [3, np.nan]])}, None, "X[N,n]", {}, r"row 1: X\[1\] has no value"),
    ],
)
def test_data_that_cannot_be_used(data: Any, let: str, shapes: str, options: Any, said: str) -> None:
    with pytest.raises(DataProblem, match=said):
        made(data, let, shapes, **options)


@pytest.mark.parametrize(
    ("let", "shapes", "options", "said"),
    [
        ("y = target, X = age:target", "X[N,n]", {}, "no variable y"),
        ("X = [age]", "X[N,n] y[N]", {}, "nothing says what y is"),
        ("y = [age, target]", "y[N]", {}, "y is a vector, and gets a matrix of 2 columns"),
        ("y = target", "y", {}, "y is a scalar, and gets a column"),
        ("X = 3", "X[N,n]", {}, "X is a matrix, and gets a number"),
        ("X = [age, target]", "X[N,3]", {}, "X is declared with 3 columns, and its data have 2"),
        ("y = city", "y[N]", {"one_hot": ["city"]}, "y is a vector, and one-hot makes a matrix"),
        ("y = age", "y[N]", {"one_hot": ["citi"]}, "there is no column citi; did you mean city"),
        ("y = age", "y[N]", {"one_hot": ["city"]}, "one-hot of city: no variable is made of it"),
        ("y = age", "y[N]", {"standardise": ["X"]}, "there is no column X"),
        ("y = age", "y[N]:integer", {"standardise": ["y"]}, "whole numbers, which are not standardised"),
        ("y = age", "y[N]", {"validation": 1.5}, "between 0 and 1, not 1.5"),
    ],
)
def test_what_does_not_fit(let: str, shapes: str, options: Any, said: str) -> None:
    with pytest.raises(ChainruleError, match=said):
        made(PEOPLE, let, shapes, **options)


def test_a_shape_that_does_not_fit_has_its_place() -> None:
    with pytest.raises(ShapeMismatch) as caught:
        made(PEOPLE, "y = age:target", "y[N]")
    assert str(caught.value).splitlines()[1:3] == ["  y = age:target", "      ~~~~~~~~~~"]
    found = made(PEOPLE, "y = target, x = target", "x[N] y[N]")
    assert found.notes == ("target is in y and x",)


def test_moments_of_parts_are_those_of_the_whole() -> None:
    values = np.random.default_rng(0).standard_normal((10_000, 3)) + np.array([0, 1e8, -1e-3])
    moments = Moments(3)
    for start in range(0, 10_000, 777):
        moments.add(values[start : start + 777])
    np.testing.assert_allclose(moments.mean, values.mean(axis=0), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(moments.deviation, values.std(axis=0), rtol=1e-8)
    np.testing.assert_allclose(moments.deviation[[0, 2]], values.std(axis=0)[[0, 2]], rtol=1e-13)
    assert not moments.constant.any()
