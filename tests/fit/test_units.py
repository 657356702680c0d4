"""Standardisation is undone where the formula allows it: in parameters, predictions and losses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen.load import compile_expressions
from chainrule.expr.walk import variables
from chainrule.fit.moments import Scaling
from chainrule.fit.result import Result
from chainrule.fit.units import in_units
from chainrule.language import parse_formula

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 3)) * [1, 10, 0.1] + [5, -20, 0]
Y = X @ [1.0, 0.2, -3.0] + 52 + RNG.normal(size=40)
DATA = {"X": X, "y": Y}


def fitted(loss: str, standardise: str, steps: int = 30, **init: object) -> Result:
    names = [name for name in ("w", "b", "c", "v", "a", "d") if re.search(rf"\b{name}\b", loss)]
    shapes = "X[N,n] y[N] w[n] " + " ".join(name for name in names if name != "w")
    return cr.fit(loss, names, DATA, shapes, standardise=standardise, steps=steps, init=init or None)


@pytest.mark.parametrize(
    ("loss", "power"),
    [
        ("mean((y - X @ w - b)**2)", 2),
        ("mean((X @ w + b - y)**2)", 2),
        ("z = b + X @ w; sqrt(mean((z - y)**2))", 1),
        ("sum(abs(3*y - 3*(X @ w + b)))", 1),
        ("mean((y - a*relu(X @ w + c) - d)**2)", 2),
        ("mean((y - relu(X @ w + c) - d)**2)", 2),
        ("mean((tanh(X @ w + c)*v + d - y)**2)", 2),
        ("e = y - X @ w - b; mean(maximum(0.9*e, -0.1*e))", 1),
    ],
)
def test_the_loss_of_the_parameters_in_units_is_that_of_the_data(loss: str, power: int) -> None:
    for standardise in ("X,y", "y"):
        found = fitted(loss, standardise)
        undone = tuple(name for name in ("X", "y") if name in standardise)
        assert set(found.undone) == set(undone), found.original_note
        factor = Y.std() ** power if "y" in standardise else None
        assert found.loss_factor == (None if factor is None else pytest.approx(factor, rel=1e-12))
        raw = fitted(loss, "", 0, **found.original)
        assert raw.loss == pytest.approx((factor or 1) * found.loss, rel=1e-9)


@pytest.mark.parametrize(
    ("loss", "standardise", "undone", "why"),
    [
        ("mean((y - X @ w)**2)", "X", (), "no parameter"),
        ("mean((y - X @ w + b)**2)", "X", (), "no parameter"),
        ("mean((y - X @ w - b)**2) + b**2", "X", (), "b stands in other places too"),
        ("mean((y - X @ w - b)**2) + sum(X**2)/100", "X", (), "X does not stand in a product"),
        (
            "mean((y - X @ w - b)**2) + mean((y - d*(X @ w))**2)",
            "y",
            (),
            "y does not stand in one difference",
        ),
        ("mean((y - relu(X @ w + b))**2)", "X,y", ("X",), "to take up its mean; where y is predicted"),
        ("mean((y - tanh(X @ w) - d)**2)", "y", (), "no parameters multiply all of the prediction"),
        ("mean((y - X @ w - b)**2) + b**2", "y", (), "b stands in other places too"),
        ("mean((y - X @ w - b)**2) + mean(tanh(X @ w))", "y", (), "w stands in other places too"),
        ("mean((y - X @ w - w[0] - b)**2)", "X", (), "w stands in other places too"),
        ("mean((y - X @ w - b)**2)/(2*d**2) + log(d**2)", "y", (), "d stands beside the difference of y"),
        ("mean((y - X @ w - b - b*(X @ w))**2)", "y", (), "does not grow as b and w do"),
        ("mean(((y + a)*d - X @ w - b)**2)", "y", (), "y does not stand in a product with one"),
        ("mean(y*(X @ w + b))", "y", (), "y does not stand in a product with one"),
    ],
)
def test_or_it_is_said_why_not(loss: str, standardise: str, undone: tuple[str, ...], why: str) -> None:
    found = fitted(loss, standardise, 2)
    assert found.undone == undone and bool(found.original) == bool(undone)
    assert why in found.original_note
    if undone:
        assert "X in the units of the data" in str(found)


PREDICTIONS = [
    "X @ w + b", "b - X @ w", "a*(X @ w + b) + d", "(X @ w + b)/2", "2*(X @ w) + b", "X @ w + x*v + b",
    "(X @ w + b)**2 + d", "relu(X @ w + b)*a + d", "abs(X @ w) + b", "X @ w + b + d", "tanh(X @ w + b)*a + d",
    "maximum(X @ w + b, 0)*a + d", "(X @ w)*(x*v) + b", "X @ w + X @ u + b", "X @ w + b + x*b",
    "X @ w + w[0] + b",
    "sqrt((X @ w + b)**2)*a + d", "maximum(X @ w, x*v) + d", "(x + a)*v + b", "sum(X*X, axis=1)*v + b",
    "X @ w/norm(w) + b", "x*v + b*b", "relu(x*v + b) + relu(x*a + b) + d",
]  # fmt: skip
LOSSES = ["mean((y - p)**2)", "sum(abs(p - y))", "mean((2*y - p)**2) + mean(p**2)", "sum(x*(y - p)**2)/2"]


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_whatever_is_undone_gives_the_loss_of_the_data(prediction: str) -> None:
    names = sorted({name for name in "wbadvu" if re.search(rf"\b{name}\b", prediction)})
    shapes = "X[N,3] y[N] x[N] " + " ".join({"w": "w[3]", "u": "u[3]"}.get(name, name) for name in names)
    rng = np.random.default_rng(3)
    raw = {**DATA, "x": rng.normal(size=40) * 3 + 4}
    params = {name: rng.normal(size=(3,) if name in "wu" else ()) for name in names}
    scales, scaled = {}, {name: array.copy() for name, array in raw.items()}
    for name, array in scaled.items():
        columns = array.reshape(40, -1)
        scales[name] = Scaling(columns.mean(axis=0), columns.std(axis=0))
        scales[name].apply(array)
    for loss in LOSSES:
        expr = parse_formula(f"p = {prediction}; {loss}", shapes).expr
        known = {v.name: v for v in variables(expr)}
        compiled = compile_expressions({"loss": expr}, list(known.values()))
        for chosen in ({"y"}, {"X", "y"}, {"X", "x"}, {"X", "x", "y"}):
            if not chosen <= set(known):
                continue
            found = in_units(expr, params, {name: scales[name] for name in chosen}, list(raw))
            fitted = {name: scaled[name] if name in chosen else raw[name] for name in known if name in raw}
            units = {name: raw[name] if name in found.undone else array for name, array in fitted.items()}
            if not found.undone or ("y" in found.undone and found.factor is None):
                continue
            factor = found.factor if "y" in found.undone and found.factor else 1.0
            value = float(compiled(**fitted, **params)["loss"])
            assert float(compiled(**units, **found.params)["loss"]) == pytest.approx(factor * value, rel=1e-9)


@pytest.mark.parametrize(
    ("prediction", "undone"),
    [
        ("X @ W + b", "XY"),
        ("(X @ W + b)/2", "XY"),
        ("b - 2*(X @ W)", "Y"),
        ("tanh(X @ A + c) @ V + b", "XY"),
        ("X @ W + X @ A @ V + b", "Y"),
        ("(W.T @ X.T).T + b", ""),
        ("outer(x, g) + b", "Y"),
        ("X @ W + d", ""),
        ("X @ W*g + b", ""),
        ("X @ W + b + X @ W*d", ""),
        ("X @ W + norm(W)*b", ""),
        ("outer(x, g) + d", ""),
    ],
)
def test_columns_of_y_have_deviations_of_their_own(prediction: str, undone: str) -> None:
    sizes = {"W": (3, 2), "A": (3, 4), "V": (4, 2), "b": (2,), "g": (2,), "c": (4,), "d": ()}
    names = [name for name in sizes if re.search(rf"\b{name}\b", prediction)]
    shapes = "X[N,3] Y[N,2] x[N] " + " ".join(
        f"{name}[{','.join(map(str, sizes[name]))}]" if sizes[name] else name for name in names
    )
    rng = np.random.default_rng(3)
    raw = {"X": X, "Y": rng.normal(size=(40, 2)) * [7, 0.2] + [30, -4], "x": rng.normal(size=40)}
    scales = {name: Scaling(raw[name].mean(axis=0), raw[name].std(axis=0)) for name in ("X", "Y")}
    params = {name: rng.normal(size=sizes[name]) for name in names}
    predicts = parse_formula(prediction, shapes).expr
    compiled = compile_expressions({"p": predicts}, list(variables(predicts)))
    loss = parse_formula(f"mean((Y.T - ({prediction}).T)**2)", shapes).expr
    chosen = {name: scales[name] for name in ("X", "Y") if name in {v.name for v in variables(loss)}}
    found = in_units(loss, params, chosen, list(raw))
    assert found.undone == tuple(undone) and found.factor is None
    if not undone:
        return
    given = {v.name: raw[v.name] for v in variables(predicts) if v.name in raw}
    scaled = {name: array.copy() for name, array in given.items()}
    if "X" in undone:
        scales["X"].apply(scaled["X"])
    expected = raw["Y"].mean(axis=0) + raw["Y"].std(axis=0) * compiled(**scaled, **params)["p"]
    np.testing.assert_allclose(compiled(**given, **found.params)["p"], expected, rtol=1e-9)


def test_where_y_stays_standardised_it_is_said_what_predicts_it() -> None:
    found = fitted("mean((y - relu(X @ w + b))**2)", "X,y")
    mean, deviation = map(float, re.findall(r"that is (\S+) \+ (\S+) p", found.original_note)[0])
    predicted = mean + deviation * np.maximum(X @ found.original["w"] + found.original["b"], 0)
    assert found.loss_factor is not None
    assert np.mean((Y - predicted) ** 2) == pytest.approx(found.loss_factor * found.loss, rel=1e-4)
    assert f"{found.loss_factor * found.loss:.6g} in the units of the data" in str(found)


@pytest.mark.parametrize("loss", ["mean(log(cosh(y - X @ w - b)))", "mean((y - X @ w - b)**2) + 0.1*w @ w"])
def test_a_loss_that_no_number_takes_to_other_units_gets_none(loss: str) -> None:
    found = fitted(loss, "X,y")
    assert found.loss_factor is None and found.undone == ("X", "y")
    standardised = (X - X.mean(axis=0)) / X.std(axis=0) @ found.params["w"] + found.params["b"]
    predicted = X @ found.original["w"] + found.original["b"]
    np.testing.assert_allclose(predicted, Y.mean() + Y.std() * standardised, rtol=1e-9)


def test_the_scaling_is_kept_for_other_rows(tmp_path: Path) -> None:
    found = fitted("mean((y - X @ w - b)**2)", "X,y", 3)
    found.save(tmp_path / "fit.npz")
    again = Result.load(tmp_path / "fit.npz")
    np.testing.assert_allclose(again.scaling["X"], [X.mean(axis=0), X.std(axis=0)])
    np.testing.assert_allclose(again.scaling["y"][:, 0], [Y.mean(), Y.std()])
    assert again.loss_factor == found.loss_factor and again.undone == ("X", "y")


def test_parameters_in_units_are_those_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    compose = pytest.importorskip("sklearn.compose")
    pipeline = pytest.importorskip("sklearn.pipeline")
    scaler = pytest.importorskip("sklearn.preprocessing").StandardScaler
    plain = fitted("mean((y - X @ w - b)**2)", "X,y")
    theirs = linear_model.LinearRegression().fit(X, Y)
    np.testing.assert_allclose(plain.original["w"], theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(plain.original["b"], theirs.intercept_, rtol=1e-9)
    penalised = fitted("sum((y - X @ w - b)**2) + 2.5*w @ w", "X,y")
    inner = pipeline.make_pipeline(scaler(), linear_model.Ridge(alpha=2.5))
    ridge = compose.TransformedTargetRegressor(inner, transformer=scaler()).fit(X, Y)
    predicted = X @ penalised.original["w"] + penalised.original["b"]
    np.testing.assert_allclose(predicted, ridge.predict(X), rtol=1e-9)
    np.testing.assert_allclose(penalised.params["w"], ridge.regressor_[-1].coef_, rtol=1e-9)
