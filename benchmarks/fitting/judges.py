"""Parameters against those of scikit-learn, on its bundled data with standardised columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import datasets, linear_model

import chainrule as cr
from benchmarks.fitting.table import Row

METHODS = ("lbfgs", "newton-cg", "newton")
TIGHT: dict[str, Any] = {"tol": 1e-12}
NEWTON: dict[str, Any] = {"tol": 1e-12, "max_iter": 1000, "solver": "newton-cholesky"}


def rows() -> Iterator[Row]:
    """The largest difference of a parameter, for each loss and method."""
    diabetes, cancer = datasets.load_diabetes(scaled=False), datasets.load_breast_cancer()
    line, square = "X @ w + b", "sum((y - X @ w - b)**2)"
    cases: list[tuple[str, str, Any, dict[str, float], Any]] = [
        ("linear", "mean((y - X @ w - b)**2)", diabetes, {}, linear_model.LinearRegression()),
        ("ridge", f"{square} + lam*w @ w", diabetes, {"lam": 2.5}, linear_model.Ridge(alpha=2.5, **TIGHT)),
        ("logistic", f"z = {line}; sum(softplus(z) - y*z) + w @ w", cancer, {},
         linear_model.LogisticRegression(C=0.5, **NEWTON)),
        ("Poisson", f"z = {line}; mean(exp(z) - y*z) + 0.05*w @ w", diabetes, {},
         linear_model.PoissonRegressor(alpha=0.1, **NEWTON)),
    ]  # fmt: skip
    for name, loss, made, more, theirs in cases:
        X, y = np.asarray(made.data, float), np.asarray(made.target, float)
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        theirs.fit(X, y)
        expected = np.append(np.ravel(theirs.coef_), np.ravel(theirs.intercept_))
        for method in METHODS:
            found = cr.fit(loss, ["w", "b"], {"X": X, "y": y, **more}, "X[N,n] w[n] b y[N]", method=method)
            apart = np.append(found.params["w"], found.params["b"]) - expected
            scale = np.maximum(np.abs(expected), 1)
            yield Row(f"{name} by {method}, largest difference", float(np.abs(apart / scale).max()), 1e-6)
