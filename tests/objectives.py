"""Objectives written by hand, with known minima, to test methods on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.fit.batches import Batches


class Hand:
    """The parts that objectives share: one parameter w, unless `shapes` says others."""

    size: int
    rows: int | None = None
    shapes: dict[str, tuple[int, ...]]

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.shapes = shapes
        self.size = sum(int(np.prod(shape)) for shape in shapes.values())
        self.asked = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"t{i}" for i in range(self.size))

    def pack(self, params: Mapping[str, Any]) -> Any:
        return np.concatenate([np.ravel(np.asarray(params[name], float)) for name in self.shapes])

    def batches(self, batch: int, seed: int) -> Batches | None:
        return Batches(self.rows, batch, seed) if self.rows else None

    def unpack(self, theta: Any) -> dict[str, Any]:
        found, at = {}, 0
        for name, shape in self.shapes.items():
            count = int(np.prod(shape))
            found[name] = theta[at : at + count].reshape(shape)
            at += count
        return found


class Rosenbrock(Hand):
    """Σ 100 (x_{i+1} − x_i²)² + (1 − x_i)², a sum of squares of residuals."""

    def __init__(self, n: int = 2) -> None:
        super().__init__(x=(n,))

    def residuals(self, x: Any) -> tuple[Any, Any]:
        n = len(x)
        r = np.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])
        jacobian = np.zeros((2 * n - 2, n))
        i = np.arange(n - 1)
        jacobian[i, i + 1], jacobian[i, i], jacobian[n - 1 + i, i] = 10, -20 * x[:-1], -1
        return r, jacobian

    def value_and_gradient(self, theta: Any, batch: Any = None) -> tuple[float, Any]:
        self.asked += 1
        r, jacobian = self.residuals(theta)
        return float(r @ r), 2 * jacobian.T @ r

    def gauss_newton(self, theta: Any) -> Any:
        jacobian = self.residuals(theta)[1]
        return 2 * jacobian.T @ jacobian

    def hessian(self, theta: Any) -> Any:
        r, _ = self.residuals(theta)
        n = len(theta)
        extra = np.zeros(n)
        extra[:-1] = 2 * r[: n - 1] * -20
        return self.gauss_newton(theta) + np.diag(extra)

    def product(self, theta: Any, direction: Any) -> Any:
        return self.hessian(theta) @ direction


class Rows(Hand):
    """mean ℓ(Xw + b, y) + penalty·‖w‖²: squares, logistic, Poisson or a ReLU neuron."""

    def __init__(self, kind: str, X: Any, y: Any, penalty: float = 0.0) -> None:
        super().__init__(w=(X.shape[1],), b=())
        self.kind, self.y, self.penalty = kind, y, penalty
        self.X = np.hstack([X, np.ones((len(X), 1))])
        self.rows = len(X)

    def terms(self, z: Any, y: Any) -> tuple[Any, Any, Any]:
        """Loss, slope and curvature of each row."""
        if self.kind == "squares":
            return (z - y) ** 2, 2 * (z - y), 2 + 0 * z
        if self.kind == "relu":
            on = z > 0
            return (np.maximum(z, 0) - y) ** 2, 2 * (z - y) * on, 2.0 * on
        if self.kind == "poisson":
            return np.exp(z) - y * z, np.exp(z) - y, np.exp(z)
        s = 1 / (1 + np.exp(-z))
        return np.logaddexp(0, z) - y * z, s - y, s * (1 - s)

    def weights(self) -> Any:
        return np.append(np.ones(self.size - 1), 0.0)

    def value_and_gradient(self, theta: Any, batch: Any = None) -> tuple[float, Any]:
        self.asked += 1
        X, y = (self.X, self.y) if batch is None else (self.X[batch], self.y[batch])
        loss, slope, _ = self.terms(X @ theta, y)
        w = self.weights() * theta
        return float(loss.mean() + self.penalty * w @ w), X.T @ slope / len(X) + 2 * self.penalty * w

    def hessian(self, theta: Any) -> Any:
        curvature = self.terms(self.X @ theta, self.y)[2]
        return (self.X.T * curvature) @ self.X / self.rows + 2 * self.penalty * np.diag(self.weights())

    gauss_newton = hessian

    def product(self, theta: Any, direction: Any) -> Any:
        return self.hessian(theta) @ direction


class Function(Hand):
    """A function of one parameter x with its gradient and Hessian."""

    def __init__(self, shape: tuple[int, ...], f: Any, g: Any, h: Any = None) -> None:
        super().__init__(x=shape)
        self.f, self.g, self.h = f, g, h

    def value_and_gradient(self, theta: Any, batch: Any = None) -> tuple[float, Any]:
        self.asked += 1
        return float(self.f(theta)), np.asarray(self.g(theta), float)

    def hessian(self, theta: Any) -> Any:
        return np.asarray(self.h(theta), float)

    gauss_newton = hessian

    def product(self, theta: Any, direction: Any) -> Any:
        return self.hessian(theta) @ direction


def quadratic(curvatures: Any, centre: Any, offset: float = 0.0) -> Function:
    """½ Σ λ (x − c)² + offset."""
    c, m = np.asarray(curvatures, float), np.asarray(centre, float)
    return Function(
        c.shape, lambda x: offset + 0.5 * c @ (x - m) ** 2, lambda x: c * (x - m), lambda x: np.diag(c)
    )


def table(kind: str, rows: int = 60, columns: int = 4, seed: int = 0) -> Rows:
    """Standardised columns, correlated, and targets that suit the kind of loss."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, columns)) @ (np.eye(columns) + 0.5)
    X = (X - X.mean(0)) / X.std(0)
    z = X @ np.linspace(1, -1, columns) + 0.5 + rng.standard_normal(rows)
    y = {"squares": 50 * z, "relu": np.maximum(z, 0) + 3, "poisson": rng.poisson(np.exp(z / 2))}
    return Rows(kind, X, y.get(kind, 1.0 * (z > 0)), penalty=0.01 if kind == "logistic" else 0.0)
