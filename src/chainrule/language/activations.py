"""Activations of neural networks and the normal distribution, entry by entry.

In: expressions (or numbers). Out: expressions. Where no row is needed they are definitions by other
functions, so that derivatives read as the literature writes them: gelu′ is Φ(x) + xφ(x).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr.nodes import Apply, Expr, as_expr, constant_of, elementwise, number
from chainrule.language import functions as f
from chainrule.language.functions import Entry
from chainrule.rules import activations as rows
from chainrule.rules.constants import PI

# Klambauer, Unterthiner, Mayr, Hochreiter 2017, section 3: mean 0 and variance 1 are a fixed point.
SELU_SCALE, SELU_A = Fraction("1.0507009873554805"), Fraction("1.6732632423543772")
# Hendrycks and Gimpel 2016, section 2.
GELU_CUBIC = Fraction("0.044715")


def normcdf(x: Any) -> Expr:
    """Φ(x), the distribution function of the standard normal distribution."""
    return elementwise(rows.normcdf, as_expr(x))


def normpdf(x: Any) -> Expr:
    """φ(x) = exp(−x²/2)/√(2π), the density of the standard normal distribution."""
    return elementwise(rows.normpdf, as_expr(x))


def lognormcdf(x: Any) -> Expr:
    """Log Φ(x), exact where Φ(x) underflows."""
    return elementwise(rows.lognormcdf, as_expr(x))


def mills(x: Any) -> Expr:
    """φ(x)/Φ(x), the inverse Mills ratio, exact where Φ(x) underflows."""
    return elementwise(rows.mills, as_expr(x))


def mills_excess(x: Any) -> Expr:
    """φ(x)/Φ(x) + x, exact far below 0 where the two terms cancel."""
    return elementwise(rows.mills_excess, as_expr(x))


def leaky_relu(x: Any, slope: Any = Fraction(1, 100)) -> Expr:
    """X where x > 0, else slope·x."""
    a = as_expr(slope)
    constant = constant_of(a)
    rest = 1 - a if constant is None or constant.powers else number(1 - constant.rational)
    return a * as_expr(x) + rest * f.relu(x)


def elu(x: Any, a: Any = 1) -> Expr:
    """X where x > 0, else a (exp(x) − 1)."""
    return elementwise(rows.elu, as_expr(x), as_expr(a))


def selu(x: Any) -> Expr:
    """The elu whose scale and a keep mean 0 and variance 1."""
    return number(SELU_SCALE) * elu(x, SELU_A)


def gelu(x: Any) -> Expr:
    """X Φ(x), the exact form."""
    return as_expr(x) * normcdf(x)


def gelu_tanh(x: Any) -> Expr:
    """½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), the approximation of gelu."""
    u = as_expr(x)
    return u / 2 * (1 + f.tanh(f.sqrt(2 / Apply(PI)) * (u + number(GELU_CUBIC) * u**3)))


def silu(x: Any, beta: Any = 1) -> Expr:
    """X σ(βx), also called swish."""
    return as_expr(x) * f.sigmoid(as_expr(beta) * as_expr(x))


def hardtanh(x: Any, low: Any = -1, high: Any = 1) -> Expr:
    """X kept between −1 and 1, or two other bounds."""
    return f.clip(x, low, high)


def relu6(x: Any) -> Expr:
    """X kept between 0 and 6."""
    return f.minimum(f.relu(x), 6)


def hardsigmoid(x: Any) -> Expr:
    """(x + 3)/6 kept between 0 and 1."""
    return relu6(as_expr(x) + 3) / 6


def hardswish(x: Any) -> Expr:
    """X hardsigmoid(x)."""
    return as_expr(x) * hardsigmoid(x)


def softsign(x: Any) -> Expr:
    """X/(1 + |x|)."""
    return elementwise(rows.softsign, as_expr(x))


def softshrink(x: Any, lam: Any = Fraction(1, 2)) -> Expr:
    """X moved towards 0 by λ, 0 where |x| < λ."""
    return f.relu(as_expr(x) - lam) - f.relu(-as_expr(x) - lam)


def mish(x: Any) -> Expr:
    """X tanh(softplus(x))."""
    return as_expr(x) * f.tanh(f.softplus(x))


def logsigmoid(x: Any) -> Expr:
    """Log σ(x) = −softplus(−x)."""
    return -f.softplus(-as_expr(x))


def huber(r: Any, delta: Any = 1) -> Expr:
    """½ r² where |r| ≤ δ, else δ (|r| − ½ δ)."""
    constant = constant_of(as_expr(delta))
    if constant is not None and not constant.names and constant.rational <= 0:
        raise ShapeMismatch(f"the delta of huber is positive, not {constant.rational}", hint="huber(r, 1)")
    return elementwise(rows.huber, as_expr(r), as_expr(delta))


def hinge(m: Any) -> Expr:
    """The hinge of a margin, relu(1 − m)."""
    return f.relu(1 - as_expr(m))


def pinball(r: Any, tau: Any = Fraction(1, 2)) -> Expr:
    """The loss of quantile regression: τ r where r ≥ 0, else (τ − 1) r."""
    residual = as_expr(r)
    return as_expr(tau) * residual + f.relu(-residual)


_PLAIN = (
    normcdf, normpdf, lognormcdf, mills, mills_excess, selu, gelu, gelu_tanh, relu6, hardsigmoid, hardswish,
    softsign, mish, logsigmoid, hinge,
)  # fmt: skip
ENTRIES = {build.__name__: Entry(build) for build in _PLAIN} | {
    "leaky_relu": Entry(leaky_relu, "xx", optional=1, expressions=("slope",)),
    "elu": Entry(elu, "xx", optional=1, expressions=("a",)),
    "silu": Entry(silu, "xx", optional=1, expressions=("beta",)),
    "hardtanh": Entry(hardtanh, "xxx", optional=2, expressions=("low", "high")),
    "softshrink": Entry(softshrink, "xx", optional=1, expressions=("lam",)),
    "huber": Entry(huber, "xx", optional=1, expressions=("delta",)),
    "pinball": Entry(pinball, "xx", optional=1, expressions=("tau",)),
}
ALIASES = {
    "Φ": "normcdf", "Phi": "normcdf", "ndtr": "normcdf", "φ": "normpdf", "phi": "normpdf",
    "log_ndtr": "lognormcdf", "swish": "silu", "hardsilu": "hardswish",
}  # fmt: skip
ENTRIES |= {alias: ENTRIES[name] for alias, name in ALIASES.items()}
# Names of functions that a person may give to an unknown function of their own.
YIELDING = frozenset(("Φ", "Phi", "φ", "phi"))
