"""Fits agree with scikit-learn on its own data sets, to 1e-6 in the parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr

linear_model = pytest.importorskip("sklearn.linear_model")
datasets = pytest.importorskip("sklearn.datasets")
METHODS = ("lbfgs", "newton-cg", "newton")
TIGHT = 1e-12


def standardised(made: Any) -> tuple[np.ndarray, np.ndarray]:
    X = np.asarray(made.data, float)
    return (X - X.mean(axis=0)) / X.std(axis=0), np.asarray(made.target, float)


DIABETES, CANCER = (
    standardised(datasets.load_diabetes(scaled=False)),
    standardised(datasets.load_breast_cancer()),
)


def linear() -> tuple[str, dict[str, Any], Any]:
    X, y = DIABETES
    return "mean((y - X @ w - b)**2)", {"X": X, "y": y}, linear_model.LinearRegression().fit(X, y)


def ridge() -> tuple[str, dict[str, Any], Any]:
    X, y = DIABETES
    theirs = linear_model.Ridge(alpha=2.5, tol=TIGHT, solver="cholesky").fit(X, y)
    return "sum((y - X @ w - b)**2) + lam * w @ w", {"X": X, "y": y, "lam": 2.5}, theirs


def logistic() -> tuple[str, dict[str, Any], Any]:
    X, y = CANCER
    theirs = linear_model.LogisticRegression(C=0.5, tol=TIGHT, max_iter=1000, solver="newton-cholesky").fit(
        X, y
    )
    return "z = X @ w + b; sum(softplus(z) - y*z) + w @ w", {"X": X, "y": y}, theirs


def poisson() -> tuple[str, dict[str, Any], Any]:
    X, y = DIABETES
    theirs = linear_model.PoissonRegressor(alpha=0.1, tol=TIGHT, max_iter=1000, solver="newton-cholesky").fit(
        X, y
    )
    return "z = X @ w + b; mean(exp(z) - y*z) + 0.05 * w @ w", {"X": X, "y": y}, theirs


@pytest.mark.parametrize("case", [linear, ridge, logistic, poisson])
def test_parameters_are_those_of_scikit_learn(case: Any) -> None:
    loss, data, theirs = case()
    for method in METHODS:
        result = cr.fit(loss, ["w", "b"], data, "X[N,n] w[n] b y[N]", method=method)
        assert result.converged, (method, result.reason)
        np.testing.assert_allclose(result.params["w"], np.ravel(theirs.coef_), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(result.params["b"], np.ravel(theirs.intercept_)[0], rtol=1e-6, atol=1e-6)
