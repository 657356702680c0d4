"""Elementwise functions of neural networks, robust losses and the normal distribution: one row each.

What is short in terms of other functions (gelu, silu, leaky_relu, the hard versions) is a definition in
`language.activations` and needs no row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from chainrule.expr.nodes import Apply, Expr, constant_of, elementwise, number
from chainrule.rules.constants import PI
from chainrule.rules.elementwise import abs_, exp, maximum, minimum, relu, scipy_special
from chainrule.rules.table import Elementwise


def _density(exponent: Expr) -> Expr:
    """exp(exponent)/√(2π)."""
    return (2 * Apply(PI)) ** number(Fraction(-1, 2)) * elementwise(exp, exponent)


normpdf: Elementwise = Elementwise(
    name="normpdf",
    d=(lambda x, y: -x * y,),
    says="φ′(x) = −x φ(x)",
    evaluate=lambda xp, x: xp.exp(-x * x / 2) / xp.sqrt(2 * xp.pi),
    code="normpdf(#1)",
    numba="np.exp(-(#1)**2 / 2) / math.sqrt(2 * np.pi)",
    text="normpdf(#1)",
    latex=r"\varphi(#1)",
    source="Abramowitz and Stegun 26.2.1",
    domain=("real",),
    parity="even",
    positive=True,
)
normcdf: Elementwise = Elementwise(
    name="normcdf",
    d=(lambda x, y: elementwise(normpdf, x),),
    says="Φ′ = φ, the normal density",
    evaluate=lambda xp, x: scipy_special().ndtr(x),
    code="special.ndtr(#1)",
    torch="torch.special.erfc(-#1 / 2**0.5) / 2",  # torch.special.ndtr is 0 below −8
    numba="math.erfc(-(#1) / math.sqrt(2)) / 2",
    text="normcdf(#1)",
    latex=r"\Phi(#1)",
    source="Abramowitz and Stegun 26.2.2",
    domain=("real",),
    positive=True,
)
lognormcdf: Elementwise = Elementwise(
    name="lognormcdf",
    d=(lambda x, y: elementwise(mills, x),),
    says="(ln Φ)′ = φ/Φ, the inverse Mills ratio",
    evaluate=lambda xp, x: scipy_special().log_ndtr(x),
    code="special.log_ndtr(#1)",
    jax="lognormcdf(#1)",
    text="lognormcdf(#1)",
    latex=r"\ln \Phi(#1)",
    source="Greene 2012, Econometric Analysis, section 17.3",
    domain=("real",),
)
mills: Elementwise = Elementwise(
    name="mills",
    d=(lambda x, y: -y * (x + y),),
    says="the inverse Mills ratio m = φ/Φ, with m′(x) = −m(x) (x + m(x))",
    evaluate=lambda xp, x: xp.sqrt(2 / xp.pi) / scipy_special().erfcx(-x / xp.sqrt(2)),
    code="mills(#1)",
    text="mills(#1)",
    latex=r"\operatorname{mills}(#1)",
    source="Greene 2012, Econometric Analysis, section 19.2",
    domain=("real",),
    positive=True,
)


mills_excess: Elementwise = Elementwise(
    name="mills_excess",
    d=(lambda x, y: 1 - elementwise(mills, x) * y,),
    says="m(x) + x, by how much the inverse Mills ratio exceeds −x",
    evaluate=lambda xp, x: xp.sqrt(2 / xp.pi) / scipy_special().erfcx(-x / xp.sqrt(2)) + x,
    code="mills_excess(#1)",
    text="mills_excess(#1)",
    latex=r"\operatorname{mills\_excess}(#1)",
    source="Abramowitz and Stegun 26.2.14",
    domain=("real",),
    positive=True,
)


def _one_is_smooth(arguments: Sequence[Expr]) -> int:
    """With a = 1 both sides of 0 have the slope 1."""
    constant = constant_of(arguments[1])
    return int(constant is not None and constant.is_one)


def _elu(weight: Fraction) -> tuple[Callable[..., Expr], ...]:
    """The derivatives with that weight of the right side at 0."""

    def slope(x: Expr, a: Expr, y: Expr) -> Expr:
        if not weight:
            return (x > 0) + (x <= 0) * (y + a)
        from_right = (x >= 0) + (x < 0) * (y + a)
        if weight == 1:
            return from_right
        return (1 - weight) * ((x > 0) + (x <= 0) * (y + a)) + weight * from_right

    return slope, lambda x, a, y: elementwise(exp, elementwise(minimum, x, number(0))) - 1


elu: Elementwise = Elementwise(
    name="elu",
    d=_elu(Fraction(0)),
    weighted=_elu,
    says="elu′ is 1 where x > 0, else elu(x) + a",
    evaluate=lambda xp, x, a: xp.where(xp.real(x) > 0, x, a * xp.expm1(xp.where(xp.real(x) > 0, 0, x))),
    code="elu(#1, #2)",
    text="elu(#1, #2)",
    latex=r"\operatorname{elu}(#1, #2)",
    source="Clevert, Unterthiner, Hochreiter 2016, section 3",
    domain=("nonzero", "real"),
    at_kink="#1 = 0",
    takes="elu′(0) is taken from the left",
    kink=lambda xp, x, a: xp.abs(x),
    smooth=_one_is_smooth,
)
softsign: Elementwise = Elementwise(
    name="softsign",
    d=(lambda x, y: (1 + elementwise(abs_, x)) ** -2,),
    says="softsign′(x) = 1/(1 + |x|)²",
    evaluate=lambda xp, x: x / (1 + xp.where(xp.real(x) < 0, -x, x)),
    code="softsign(#1)",
    text="softsign(#1)",
    latex=r"\operatorname{softsign}(#1)",
    source="Turian, Bergstra, Bengio 2009",
    domain=("nonzero",),
    parity="odd",
    at_kink="#1 = 0",
    takes="the second derivative is taken as 0",
    kink=lambda xp, x: xp.abs(x),
    smooth=lambda arguments: 1,
)


def _huber(xp: Any, r: Any, delta: Any) -> Any:
    size = xp.where(xp.real(r) < 0, -r, r)
    return xp.where(xp.real(size) <= xp.real(delta), r * r / 2, delta * (size - delta / 2))


huber: Elementwise = Elementwise(
    name="huber",
    d=(
        lambda r, delta, y: elementwise(minimum, elementwise(maximum, r, -delta), delta),
        lambda r, delta, y: elementwise(relu, elementwise(abs_, r) - delta),
    ),
    says="huber′(r) is r, kept between −δ and δ",
    evaluate=_huber,
    code="special.huber(#2, #1)",
    jax="huber(#1, #2)",
    torch="huber(#1, #2)",
    text="huber(#1, #2)",
    latex=r"\operatorname{huber}(#1, #2)",
    source="Huber 1964, Robust estimation of a location parameter",
    domain=("real", "positive"),
    at_kink="|#1| = #2",
    takes="the second derivative is taken as 0",
    kink=lambda xp, r, delta: xp.abs(xp.abs(r) - xp.abs(delta)),
    smooth=lambda arguments: 1,
)
