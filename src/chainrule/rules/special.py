"""The gamma function's logarithm with its derivatives, and x ln y with 0 ln 0 = 0: one row each."""

from __future__ import annotations

from fractions import Fraction
from math import factorial
from typing import Any

from chainrule.expr.nodes import elementwise, number
from chainrule.rules.elementwise import log, scipy_special
from chainrule.rules.table import Elementwise

# Terms that are added up one by one, and B₂ₘ/(2m)! of those that stand for the rest.
FIRST = 16
REST = tuple(
    Fraction(*bernoulli) / factorial(2 * m)
    for m, bernoulli in enumerate(
        ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510)), start=1
    )
)


def _polygamma(xp: Any, order: Any, x: Any) -> Any:
    """The derivative of the digamma function of an order, a number; of complex x as well.

    (−1)ᵏ⁺¹ k! Σ_j (x + j)⁻ᵏ⁻¹, the far terms by Euler and Maclaurin. Source: NIST DLMF 5.15.1, 2.10.1.
    """
    k = int(xp.real(xp.asarray(order)).flat[0]) if xp.size(order) else 1
    if k == 0:
        return scipy_special().psi(x)
    s, far = k + 1, x + FIRST
    total = sum((x + j) ** -s for j in range(FIRST))
    total = total + far ** (1 - s) / (s - 1) + far**-s / 2
    rising = float(s)
    for m, weight in enumerate(REST, start=1):
        total = total + float(weight) * rising * far ** (1 - s - 2 * m)
        rising *= (s + 2 * m - 1) * (s + 2 * m)
    return (-1) ** (k + 1) * factorial(k) * total


lgamma: Elementwise = Elementwise(
    name="lgamma",
    d=(lambda x, y: elementwise(digamma, x),),
    says="(ln Γ)′ = ψ, the digamma function",
    evaluate=lambda xp, x: (scipy_special().loggamma if xp.iscomplexobj(x) else scipy_special().gammaln)(x),
    code="special.gammaln(#1)",
    torch="torch.special.gammaln(#1)",
    numba="math.lgamma(#1)",
    text="lgamma(#1)",
    latex=r"\ln \Gamma(#1)",
    source="NIST DLMF 5.2.2",
    domain=("positive",),
)
digamma: Elementwise = Elementwise(
    name="digamma",
    d=(lambda x, y: elementwise(polygamma, number(1), x),),
    says="ψ′, the trigamma function, is polygamma(1, x)",
    evaluate=lambda xp, x: scipy_special().psi(x),
    code="special.digamma(#1)",
    torch="torch.special.digamma(#1)",
    text="digamma(#1)",
    latex=r"\psi(#1)",
    source="NIST DLMF 5.2.2",
    domain=("positive",),
)
polygamma: Elementwise = Elementwise(
    name="polygamma",
    d=("unknown", lambda k, x, y: elementwise(polygamma, k + 1, x)),
    says="polygamma(k, x)′ = polygamma(k + 1, x)",
    evaluate=_polygamma,
    code="special.polygamma(#1, #2)",
    torch="torch.special.polygamma(#1, #2)",
    text="polygamma(#1, #2)",
    latex=r"\psi^{(#1)}(#2)",
    source="NIST DLMF 5.15",
    domain=("whole", "positive"),
)
xlogy: Elementwise = Elementwise(
    name="xlogy",
    d=(lambda x, y, f: elementwise(log, y), lambda x, y, f: x / y),
    says="derivative of x ln y, which xlogy is where x is not 0",
    evaluate=lambda xp, x, y: xp.where(x == 0, 0 * x, x) * xp.log(xp.where((x == 0) & (y == 0), 1, y)),
    code="special.xlogy(#1, #2)",
    torch="torch.special.xlogy(#1, #2)",
    numba="(#1 * np.log(#2) if #1 != 0 else 0.0)",
    text="xlogy(#1, #2)",
    latex=r"\operatorname{xlogy}(#1, #2)",
    source="x ln y, and its limit 0 at x = 0",
    domain=("real", "positive"),
)
