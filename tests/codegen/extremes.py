"""Formulas at extreme inputs: compiled code there against mpmath, and the condition of the problem.

In: rows of FORMULAS, each with its function written a second time for mpmath, by hand. Derivatives of that
function are taken by central differences with 1500 digits, which shares nothing with the program. An error is
counted in units in the last place of the true value, and the condition number is Σⱼ |xⱼ ∂g/∂xⱼ| / |g|, by how
much a relative change of the inputs changes the result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

import chainrule as cr
from chainrule.codegen.load import compile_expressions
from chainrule.language import parse_formula

DIGITS = 1500  # 1 − tanh(1000)² begins 868 digits behind the point, and steps are 10⁻¹⁰⁰ of the inputs
STEP = mp.mpf(10) ** -100
WELL = 50  # up to this condition number a problem is called well conditioned


@dataclass(frozen=True, slots=True)
class Row:
    """A formula of x, a number or a vector, with its derivative of some order at some points.

    exact  the same function of a list of numbers, in mpmath
    """

    formula: str
    exact: Callable[..., Any]
    points: tuple[Any, ...]
    order: int = 1

    @property
    def size(self) -> int:
        """The length of x, 0 for a number."""
        return np.size(self.points[0]) if np.ndim(self.points[0]) else 0


@dataclass(frozen=True, slots=True)
class Measured:
    """What code gave at one point: the worst entry's error in units in the last place, and its condition."""

    row: Row
    point: Any
    got: Any
    want: Any
    condition: float
    ulps: float


@functools.cache
def compiled(row: Row) -> Any:
    """The compiled derivative of a row; of order 0, its value."""
    shapes = f"x[{row.size}]" if row.size else "x"
    if row.order:
        return cr.derive(row.formula, wrt="x", shapes=shapes, order=row.order).compile()
    parsed = parse_formula(row.formula, shapes)
    return compile_expressions(parsed.expr, list(parsed.variables.values()))


def measure(row: Row, point: Any, dtype: Any = np.float64) -> list[Measured]:
    """One for each entry of the result."""
    x = np.asarray(point, dtype)
    with np.errstate(all="ignore"):
        got = np.asarray(compiled(row)(x=x if row.size else dtype(x)))
    assert got.dtype == dtype, (row.formula, got.dtype)
    with mp.workdps(DIGITS):
        values = [mp.mpf(float(v)) for v in np.ravel(x)]
        exact = _exact(row.exact, values, row.order)
        count = range(len(values))
        slopes = [_difference(lambda v: _exact(row.exact, v, row.order), values, j) for j in count]
        found = []
        for k, (value, want) in enumerate(zip(np.ravel(got), exact, strict=True)):
            change = mp.fsum(abs(v * s[k]) for v, s in zip(values, slopes, strict=True))
            condition = float(change / abs(want)) if want else 0.0
            found.append(Measured(row, point, value, want, condition, _ulps(value, want, dtype)))
    return found


def _exact(f: Callable[..., Any], x: Sequence[Any], order: int) -> list[Any]:
    """The entries of a derivative, inputs last."""
    if order == 0:
        value = f(*x)
        return list(value) if isinstance(value, list | tuple) else [value]
    parts = [_difference(lambda v: _exact(f, v, order - 1), x, j) for j in range(len(x))]
    return [part[k] for k in range(len(parts[0])) for part in parts]


def _difference(f: Callable[..., list[Any]], x: Sequence[Any], j: int) -> list[Any]:
    h = (abs(x[j]) or mp.mpf(1)) * STEP
    above, below = (f([*x[:j], x[j] + s * h, *x[j + 1 :]]) for s in (1, -1))
    # What is left of 0 at 0 is the error of the difference, 10⁻²⁰⁰.
    slopes = [(a - b) / (2 * h) for a, b in zip(above, below, strict=True)]
    return [s if abs(s) * abs(x[j] or 1) > mp.mpf(10) ** -1100 else mp.mpf(0) for s in slopes]


def _ulps(got: Any, want: Any, dtype: Any) -> float:
    """How far apart; 0 where both overflow."""
    largest = mp.mpf(float(np.finfo(dtype).max))
    if abs(want) > largest:
        return 0.0 if np.isinf(got) and (got > 0) == (want > 0) else float("inf")
    if not np.isfinite(got):
        return float("inf")
    return float(abs(mp.mpf(float(got)) - want) / mp.mpf(float(np.spacing(dtype(abs(float(want)))))))


def _softmax(*x: Any) -> list[Any]:
    top = max(x)
    e = [mp.exp(v - top) for v in x]
    return [v / mp.fsum(e) for v in e]


def _logsumexp(*x: Any) -> Any:
    top = max(x)
    return top + mp.log(mp.fsum(mp.exp(v - top) for v in x))


def _norm(*x: Any) -> Any:
    return mp.sqrt(mp.fsum(v * v for v in x))


def _log_phi(x: Any) -> Any:
    # erfc of what is large is asked for with far fewer digits than the differences use: by its own series.
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)


def _mills(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi) / (mp.erfc(-x / mp.sqrt(2)) / 2)


WIDE = (-1000.0, -700.0, -40.0, -1.0, -1e-8, -1e-300, 1e-300, 1e-8, 1.0, 40.0, 700.0, 1000.0)
POSITIVE = (1e-300, 1e-20, 1e-8, 0.3, 1.5, 40.0, 700.0, 1e8)
SMALL = (-1e-3, 1e-150, 1e-20, 1e-8, 1e-3, 0.5, 3.0, 100.5)
LOGITS = ((1000.0, -1000.0, 0.0), (1000.0, 1000.0, 999.0), (-1000.0, -1001.0, -1000.5), (1e-8, 0.0, 2e-8))
BOSE = (-700.0, -40.0, -1.0, -1e-3, -1e-8, -1e-150, 1e-150, 1e-20, 1e-8, 1e-3, 0.1, 0.5, 10.0, 100.0, 700.0)
BOSE_ORDERS = ((1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2))
BELOW = (-1e4, -1000.0, -30.0, -3.0, -2.0, -1.2, -1.0, 0.5, 3.0)
ABOVE = (-2.0, -1.0, -1e-8, 1e-8, 0.4, 0.6, 2.0, 5.0, 30.0, 1000.0, 1e4)
PAIRS = ((1000.0, -1000.0), (1000.0, 999.0), (-1000.0, 1000.0))
MATRICES = ((2e-200, 1e-200), (2e200, 1e200), (2.0, 1.0))
LENGTHS = ((3e-200, 4e-200), (3e200, -4e200), (1.0, 1e-200), (3e-308, 1e-308), (1.0, 2.0))


def S(z: Any) -> Any:  # noqa: N802
    return 1 / (1 + mp.exp(-z))


FORMULAS = (
    Row("log(1 + exp(x))", lambda x: mp.log(1 + mp.exp(x)), WIDE, 0),
    Row("log(1 + exp(x))", lambda x: mp.log(1 + mp.exp(x)), WIDE, 1),
    Row("log(1 + exp(x))", lambda x: mp.log(1 + mp.exp(x)), WIDE, 2),
    Row("sigmoid(x)", S, WIDE, 0),
    Row("sigmoid(x)", S, WIDE, 2),
    Row("sigmoid(x) * (1 - sigmoid(x))", lambda x: S(x) * (1 - S(x)), WIDE, 0),
    Row("1 - sigmoid(x)", lambda x: 1 - S(x), WIDE, 0),
    Row("log(1 - sigmoid(x))", lambda x: mp.log(1 - S(x)), WIDE, 0),
    Row("exp(x) / (1 + exp(x))", lambda x: S(x), WIDE, 0),
    Row("exp(x) / (1 + exp(x))**2", lambda x: S(x) * S(-x), WIDE, 0),
    Row("tanh(x)", mp.tanh, WIDE, 1),
    Row("tanh(x)", mp.tanh, WIDE, 2),
    Row("log(cosh(x))", lambda x: mp.log(mp.cosh(x)), WIDE, 0),
    Row("log(cosh(x))", lambda x: mp.log(mp.cosh(x)), WIDE, 2),
    Row("log(exp(x) + exp(-x))", lambda x: mp.log(mp.exp(x) + mp.exp(-x)), WIDE, 0),
    Row("log(1 + exp(x)) - x", lambda x: mp.log(1 + mp.exp(-x)), WIDE, 0),
    Row("1 / cosh(x)", lambda x: 1 / mp.cosh(x), WIDE, 0),
    Row("1 / cosh(x)", lambda x: 1 / mp.cosh(x), WIDE, 1),
    Row("1 - cos(x)", lambda x: 1 - mp.cos(x), SMALL, 0),
    Row("(1 - cos(x)) / x", lambda x: (1 - mp.cos(x)) / x, SMALL, 0),
    Row("cosh(x) - 1", lambda x: mp.cosh(x) - 1, SMALL, 0),
    Row("exp(x) - 1", lambda x: mp.exp(x) - 1, WIDE, 0),
    Row("x / (exp(x) - 1)", lambda x: x / (mp.exp(x) - 1), WIDE, 0),
    Row("x / (1 - exp(-x))", lambda x: x / (1 - mp.exp(-x)), WIDE, 0),
    *(Row(f"x**{k} / (exp(x) - 1)", lambda x, k=k: x**k / (mp.exp(x) - 1), BOSE, o) for k, o in BOSE_ORDERS),
    Row("exp(x) / (exp(x) - 1)**2", lambda x: mp.exp(x) / (mp.exp(x) - 1) ** 2, WIDE, 0),
    Row("1 / (1 - exp(-x))", lambda x: 1 / (1 - mp.exp(-x)), WIDE, 1),
    Row("log(1 + x)", lambda x: mp.log(1 + x), POSITIVE, 0),
    Row("log(1 - exp(-x))", lambda x: mp.log(1 - mp.exp(-x)), POSITIVE, 0),
    Row("log(1 - exp(-x))", lambda x: mp.log(1 - mp.exp(-x)), POSITIVE, 1),
    Row("log(exp(x) - 1)", lambda x: mp.log(mp.exp(x) - 1), POSITIVE[:-1], 0),
    Row("log(x / (1 - x))", lambda x: mp.log(x / (1 - x)), (1e-300, 1e-8, 0.3, 0.7, 1 - 1e-8), 1),
    Row("x * log(x)", lambda x: x * mp.log(x), POSITIVE, 0),
    Row("sqrt(1 + x) - 1", lambda x: mp.sqrt(1 + x) - 1, POSITIVE, 0),
    Row("sqrt(1 + x**2) - x", lambda x: mp.sqrt(1 + x * x) - x, POSITIVE, 0),
    Row("x / sqrt(1 + x**2)", lambda x: x / mp.sqrt(1 + x * x), POSITIVE, 0),
    Row("x / sqrt(1 + x**2)", lambda x: x / mp.sqrt(1 + x * x), POSITIVE, 1),
    Row("silu(x)", lambda x: x * S(x), WIDE, 1),
    Row("lognormcdf(x)", _log_phi, (-30.0, -5.0, -1e-8, 0.5, 5.0), 0),
    Row("lognormcdf(x)", _log_phi, (-30.0, -5.0, -1e-8, 0.5, 5.0), 1),
    Row("lognormcdf(x)", _log_phi, (-30.0, -5.0, -1e-8, 0.5, 5.0), 2),
    Row("normpdf(x) / normcdf(x)", _mills, (-30.0, -5.0, -1e-8, 0.5, 5.0), 0),
    Row("normpdf(x) / normcdf(x)", _mills, (-30.0, -5.0, -1e-8, 0.5, 5.0), 1),
    Row("log(normcdf(x))", _log_phi, BELOW, 1),
    Row("log(normcdf(x))", _log_phi, BELOW, 2),
    Row("log(erfc(x))", lambda x: mp.log(mp.erfc(x)), ABOVE, 0),
    Row("log(erfc(x))", lambda x: mp.log(mp.erfc(x)), ABOVE, 1),
    Row("log(erfc(x))", lambda x: mp.log(mp.erfc(x)), ABOVE, 2),
    Row("exp(x**2) * erfc(x)", lambda x: mp.exp(x * x) * mp.erfc(x), ABOVE[:-2], 0),
    Row("exp(x**2) * erfc(x)", lambda x: mp.exp(x * x) * mp.erfc(x), ABOVE[:-2], 1),
    Row("1 - normcdf(x)", lambda x: mp.erfc(x / mp.sqrt(2)) / 2, (-5.0, 0.5, 5.0, 30.0), 0),
    Row("1 - erf(x)", mp.erfc, (-5.0, 0.5, 5.0, 25.0), 0),
    Row("exp(-x**2 / 2)", lambda x: mp.exp(-x * x / 2), (1e-300, 1.0, 30.0, 1e8), 1),
    Row("logsumexp(x)", _logsumexp, LOGITS, 0),
    Row("log(sum(exp(x)))", _logsumexp, LOGITS, 0),
    Row("log(sum(exp(x)))", _logsumexp, LOGITS, 1),
    Row("log(sum(exp(x)))", _logsumexp, LOGITS, 2),
    Row("exp(x) / sum(exp(x))", _softmax, LOGITS, 0),
    Row("softmax(x)", _softmax, LOGITS, 1),
    Row("-log(softmax(x)[0])", lambda *x: _logsumexp(*x) - x[0], LOGITS, 0),
    Row("-log(softmax(x)[0])", lambda *x: _logsumexp(*x) - x[0], LOGITS, 1),
    Row("-log_softmax(x)[1]", lambda *x: _logsumexp(*x) - x[1], LOGITS, 0),
    Row("norm(x)", _norm, LENGTHS, 0),
    Row("norm(x)", _norm, LENGTHS, 1),
    Row("norm(x)", _norm, LENGTHS[:2] + LENGTHS[4:], 2),
    Row("x / norm(x)", lambda *x: [v / _norm(*x) for v in x], LENGTHS, 0),
    Row("sqrt(x[0]**2 + x[1]**2)", _norm, LENGTHS, 0),
    Row("sqrt(x[0]**2 + x[1]**2)", _norm, LENGTHS, 1),
    Row("1 - tanh(x)", lambda x: 1 - mp.tanh(x), WIDE, 0),
    Row("1 - tanh(x)**2", lambda x: 1 - mp.tanh(x) ** 2, WIDE, 0),
    Row("(exp(x) - exp(-x)) / (exp(x) + exp(-x))", mp.tanh, WIDE, 0),
    Row("exp(x) / (exp(x) + exp(-x))", lambda x: S(2 * x), WIDE, 0),
    Row("sqrt(1 + x) - sqrt(x)", lambda x: mp.sqrt(1 + x) - mp.sqrt(x), POSITIVE, 0),
    Row("log(1 + x) - log(x)", lambda x: mp.log(1 + x) - mp.log(x), POSITIVE, 0),
    Row("log(exp(x[0]) + exp(x[1]))", _logsumexp, PAIRS, 0),
    Row("exp(x[0]) / (exp(x[0]) + exp(x[1]))", lambda a, b: S(a - b), PAIRS, 0),
    Row("logdet([[x[0], x[1]], [x[1], x[0]]])", lambda a, b: mp.log(a * a - b * b), MATRICES, 0),
    Row("sigmoid(x[0] - x[1])", lambda a, b: S(a - b), PAIRS, 1),
)


def measured(dtype: Any = np.float64, formulas: Sequence[Row] = FORMULAS) -> list[Measured]:
    """Everything, in the order of the table."""
    return [m for row in formulas for point in row.points for m in measure(row, point, dtype)]
