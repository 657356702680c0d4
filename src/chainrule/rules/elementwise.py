"""Elementwise functions: one row each.

`d` gives the derivative by each argument from the arguments and the value y.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from chainrule.expr.nodes import Apply, Expr, elementwise, number
from chainrule.expr.walk import variables
from chainrule.rules.constants import PI
from chainrule.rules.table import Elementwise

CALCULUS = "any calculus text"
PAPER = "Parr and Howard 2018"


def _real(xp: Any, x: Any) -> Any:
    return xp.real(x)


def _log(x: Expr) -> Expr:
    return elementwise(log, x)


# The weight at a tie of what is not constant: no weight unless another one is asked for.
NOTHING = Fraction(0)
Weights = tuple[Callable[..., Expr], ...]


def _relu(weight: Fraction) -> Weights:
    return (lambda x, y: _step(x, number(0), weight),)


def _maximum(weight: Fraction) -> Weights:
    return (lambda a, b, y: _wins(a, b, weight), lambda a, b, y: _loses(a, b, weight))


def _minimum(weight: Fraction) -> Weights:
    return (lambda a, b, y: _is_least(a, b, weight), lambda a, b, y: _is_not_least(a, b, weight))


def _step(a: Expr, b: Expr, weight: Fraction) -> Expr:
    """1 where a > b, the weight where a = b, else 0."""
    if weight in (0, 1):
        return a >= b if weight else a > b
    return (1 - weight) * (a > b) + weight * (a >= b)


def _wins(a: Expr, b: Expr, weight: Fraction) -> Expr:
    """The weight of a in max(a, b): at a tie with a constant the given one, else the first one's is 1."""
    if variables(a) and variables(b):
        return a >= b
    return _step(a, b, weight if variables(a) else 1 - weight)


def _is_least(a: Expr, b: Expr, weight: Fraction) -> Expr:
    """The weight of a in min(a, b)."""
    if variables(a) and variables(b):
        return b >= a
    return _step(b, a, weight if variables(a) else 1 - weight)


def _is_not_least(a: Expr, b: Expr, weight: Fraction) -> Expr:
    """The weight of b in min(a, b), so that both add up to 1."""
    if variables(a) and variables(b):
        return a > b
    return _step(a, b, 1 - weight if variables(a) else weight)


def _loses(a: Expr, b: Expr, weight: Fraction) -> Expr:
    """The weight of b in max(a, b), so that both add up to 1."""
    if variables(a) and variables(b):
        return b > a
    return _step(b, a, 1 - weight if variables(a) else weight)


exp: Elementwise = Elementwise(
    name="exp",
    d=(lambda x, y: y,),
    says="exp is its own derivative",
    evaluate=lambda xp, x: xp.exp(x),
    code="np.exp(#1)",
    text="exp(#1)",
    latex=r"\exp(#1)",
    source=CALCULUS,
    domain=("real",),
    positive=True,
)
log: Elementwise = Elementwise(
    name="log",
    d=(lambda x, y: 1 / x,),
    says="derivative of ln",
    evaluate=lambda xp, x: xp.log(x),
    code="np.log(#1)",
    text="log(#1)",
    latex=r"\ln(#1)",
    source=CALCULUS,
    domain=("positive",),
)
log1p = Elementwise(
    name="log1p",
    d=(lambda x, y: 1 / (1 + x),),
    says="derivative of ln(1 + x)",
    evaluate=lambda xp, x: xp.log1p(x),
    code="np.log1p(#1)",
    text="log1p(#1)",
    latex=r"\ln(1 + #1)",
    source=CALCULUS,
    domain=("above -1",),
)
expm1 = Elementwise(
    name="expm1",
    d=(lambda x, y: y + 1,),
    says="derivative of exp(x) − 1",
    evaluate=lambda xp, x: xp.expm1(x),
    code="np.expm1(#1)",
    text="expm1(#1)",
    latex=r"(\exp(#1) - 1)",
    source=CALCULUS,
    domain=("real",),
)
sqrt = Elementwise(
    name="sqrt",
    d=(lambda x, y: 1 / (2 * y),),
    says="derivative of the square root",
    evaluate=lambda xp, x: xp.sqrt(x),
    code="np.sqrt(#1)",
    text="sqrt(#1)",
    latex=r"\sqrt{#1}",
    source=CALCULUS,
    domain=("positive",),
)
power = Elementwise(
    name="power",
    d=(lambda x, p, y: p * x ** (p - 1), lambda x, p, y: y * _log(x)),
    says="power rule",
    evaluate=lambda xp, x, p: _power(xp, x, p),
    code="#1 ** #2",
    text="#1**#2",
    latex="{#1}^{#2}",
    source=CALCULUS,
    domain=("real", "real"),
)
abs_: Elementwise = Elementwise(
    name="abs",
    d=(lambda x, y: elementwise(sign, x),),
    says="derivative of |x|",
    evaluate=lambda xp, x: xp.where(_real(xp, x) < 0, -x, x),
    code="np.abs(#1)",
    text="abs(#1)",
    latex=r"\lvert #1 \rvert",
    source=CALCULUS,
    domain=("nonzero",),
    parity="even",
    at_kink="#1 = 0",
    takes="the derivative of |x| is taken as 0",
    kink=lambda xp, x: xp.abs(x),
)
sign: Elementwise = Elementwise(
    name="sign",
    d=(None,),
    says="sign is constant off 0",
    evaluate=lambda xp, x: xp.sign(_real(xp, x)) + 0 * x,
    code="np.sign(#1)",
    text="sign(#1)",
    latex=r"\operatorname{sign}(#1)",
    source=CALCULUS,
    domain=("nonzero",),
    parity="odd",
    at_kink="#1 = 0",
    takes="sign jumps",
    kink=lambda xp, x: xp.abs(x),
)
sin: Elementwise = Elementwise(
    name="sin",
    d=(lambda x, y: elementwise(cos, x),),
    says="derivative of sin",
    evaluate=lambda xp, x: xp.sin(x),
    code="np.sin(#1)",
    text="sin(#1)",
    latex=r"\sin(#1)",
    source=CALCULUS,
    domain=("real",),
    parity="odd",
)
cos: Elementwise = Elementwise(
    name="cos",
    d=(lambda x, y: -elementwise(sin, x),),
    says="derivative of cos",
    evaluate=lambda xp, x: xp.cos(x),
    code="np.cos(#1)",
    text="cos(#1)",
    latex=r"\cos(#1)",
    source=CALCULUS,
    domain=("real",),
    parity="even",
)
tan = Elementwise(
    name="tan",
    d=(lambda x, y: 1 + y**2,),
    says="derivative of tan",
    evaluate=lambda xp, x: xp.tan(x),
    code="np.tan(#1)",
    text="tan(#1)",
    latex=r"\tan(#1)",
    source=CALCULUS,
    domain=("real",),
    parity="odd",
)
sinh: Elementwise = Elementwise(
    name="sinh",
    d=(lambda x, y: elementwise(cosh, x),),
    says="derivative of sinh",
    evaluate=lambda xp, x: xp.sinh(x),
    code="np.sinh(#1)",
    text="sinh(#1)",
    latex=r"\sinh(#1)",
    source=CALCULUS,
    domain=("real",),
    parity="odd",
)
cosh: Elementwise = Elementwise(
    name="cosh",
    d=(lambda x, y: elementwise(sinh, x),),
    says="derivative of cosh",
    evaluate=lambda xp, x: xp.cosh(x),
    code="np.cosh(#1)",
    text="cosh(#1)",
    latex=r"\cosh(#1)",
    source=CALCULUS,
    domain=("real",),
    parity="even",
    positive=True,
)
tanh = Elementwise(
    name="tanh",
    d=(lambda x, y: 1 - y**2,),
    says="derivative of tanh",
    evaluate=lambda xp, x: xp.tanh(x),
    code="np.tanh(#1)",
    text="tanh(#1)",
    latex=r"\tanh(#1)",
    source=CALCULUS,
    domain=("real",),
    parity="odd",
)
arcsin = Elementwise(
    name="arcsin",
    d=(lambda x, y: (1 - x**2) ** _half(-1),),
    says="derivative of arcsin",
    evaluate=lambda xp, x: xp.arcsin(x),
    code="np.arcsin(#1)",
    text="arcsin(#1)",
    latex=r"\arcsin(#1)",
    source=CALCULUS,
    domain=("unit",),
    parity="odd",
)
arccos = Elementwise(
    name="arccos",
    d=(lambda x, y: -((1 - x**2) ** _half(-1)),),
    says="derivative of arccos",
    evaluate=lambda xp, x: xp.arccos(x),
    code="np.arccos(#1)",
    text="arccos(#1)",
    latex=r"\arccos(#1)",
    source=CALCULUS,
    domain=("unit",),
)
arctan = Elementwise(
    name="arctan",
    d=(lambda x, y: 1 / (1 + x**2),),
    says="derivative of arctan",
    evaluate=lambda xp, x: xp.arctan(x),
    code="np.arctan(#1)",
    text="arctan(#1)",
    latex=r"\arctan(#1)",
    source=CALCULUS,
    domain=("real",),
    parity="odd",
)
erf = Elementwise(
    name="erf",
    d=(lambda x, y: 2 * Apply(PI) ** _half(-1) * elementwise(exp, -(x**2)),),
    says="derivative of erf",
    evaluate=lambda xp, x: scipy_special().erf(x),
    code="special.erf(#1)",
    numba="math.erf(#1)",
    text="erf(#1)",
    latex=r"\operatorname{erf}(#1)",
    source="NIST DLMF 7.2.1",
    domain=("real",),
    parity="odd",
)
erfc = Elementwise(
    name="erfc",
    d=(lambda x, y: -2 * Apply(PI) ** _half(-1) * elementwise(exp, -(x**2)),),
    says="derivative of 1 − erf",
    evaluate=lambda xp, x: scipy_special().erfc(x),
    code="special.erfc(#1)",
    numba="math.erfc(#1)",
    text="erfc(#1)",
    latex=r"\operatorname{erfc}(#1)",
    source="NIST DLMF 7.2.2",
    domain=("real",),
    positive=True,
)
hypot: Elementwise = Elementwise(
    name="hypot",
    d=(lambda a, b, y: a / y, lambda a, b, y: b / y),
    says="derivative of √(a² + b²)",
    evaluate=lambda xp, a, b: xp.sqrt(a * a + b * b),
    code="np.hypot(#1, #2)",
    text="hypot(#1, #2)",
    latex=r"\sqrt{{#1}^2 + {#2}^2}",
    source=CALCULUS,
    domain=("nonzero", "nonzero"),
)
relu: Elementwise = Elementwise(
    name="relu",
    d=_relu(NOTHING),
    weighted=_relu,
    says="relu′ is 1 where x > 0, else 0",
    evaluate=lambda xp, x: xp.where(_real(xp, x) > 0, x, 0 * x),
    code="np.maximum(#1, 0)",
    torch="torch.relu(#1)",
    text="relu(#1)",
    latex=r"\operatorname{relu}(#1)",
    source=PAPER + ", section 5",
    domain=("nonzero",),
    at_kink="#1 = 0",
    takes="relu′(0) is taken as 0",
    kink=lambda xp, x: xp.abs(x),
)
sigmoid: Elementwise = Elementwise(
    name="sigmoid",
    d=(lambda x, y: y * elementwise(sigmoid, -x),),
    says="σ′(x) = σ(x) σ(−x)",
    evaluate=lambda xp, x: 1 / (1 + xp.exp(-x)),
    code="special.expit(#1)",
    numba="sigmoid(#1)",
    torch="torch.sigmoid(#1)",
    text="sigmoid(#1)",
    latex=r"\sigma(#1)",
    source=CALCULUS,
    domain=("real",),
    positive=True,
)
softplus: Elementwise = Elementwise(
    name="softplus",
    d=(lambda x, y: elementwise(sigmoid, x),),
    says="softplus′ = σ",
    evaluate=lambda xp, x: _softplus(xp, x),
    code="np.logaddexp(0, #1)",
    numba="softplus(#1)",
    torch="torch.logaddexp(torch.zeros_like(#1), #1)",
    text="softplus(#1)",
    latex=r"\operatorname{softplus}(#1)",
    source="Dugas et al. 2001",
    domain=("real",),
    positive=True,
)
maximum = Elementwise(
    name="maximum",
    d=_maximum(NOTHING),
    weighted=_maximum,
    says="the larger argument passes its derivative on",
    evaluate=lambda xp, a, b: xp.where(_real(xp, a) >= _real(xp, b), a, b),
    code="np.maximum(#1, #2)",
    text="maximum(#1, #2)",
    latex=r"\max(#1, #2)",
    source=PAPER + ", section 4.2",
    domain=("real", "real"),
    at_kink="#1 = #2",
    takes="at a tie a constant takes the whole weight, else the first argument",
    kink=lambda xp, a, b: xp.abs(a - b),
)
minimum = Elementwise(
    name="minimum",
    d=_minimum(NOTHING),
    weighted=_minimum,
    says="the smaller argument passes its derivative on",
    evaluate=lambda xp, a, b: xp.where(_real(xp, a) <= _real(xp, b), a, b),
    code="np.minimum(#1, #2)",
    text="minimum(#1, #2)",
    latex=r"\min(#1, #2)",
    source=PAPER + ", section 4.2",
    domain=("real", "real"),
    at_kink="#1 = #2",
    takes="at a tie a constant takes the whole weight, else the first argument",
    kink=lambda xp, a, b: xp.abs(a - b),
)


def _comparison(name: str, sign: str, tex: str, compare: Any) -> Elementwise:
    return Elementwise(
        name=name,
        d=(None, None),
        says="a comparison is constant off its jumps",
        evaluate=lambda xp, a, b: compare(_real(xp, a), _real(xp, b)) + 0.0 * _real(xp, a),
        code=f"(#1 {sign} #2) * 1.0",
        text=f"(#1 {sign} #2)",
        latex=rf"\mathbf{{1}}[#1 {tex} #2]",
        source="Iverson bracket",
        domain=("real", "real"),
        indicator=True,
        at_kink="#1 = #2",
        takes="the condition jumps",
        kink=lambda xp, a, b: xp.abs(a - b),
    )


greater = _comparison("greater", ">", ">", lambda a, b: a > b)
greater_equal = _comparison("greater_equal", ">=", r"\ge", lambda a, b: a >= b)
equal = _comparison("equal", "==", "=", lambda a, b: a == b)
not_equal = _comparison("not_equal", "!=", r"\ne", lambda a, b: a != b)
where = Elementwise(
    name="where",
    d=(None, lambda c, a, b, y: _choice(c, 1, 0), lambda c, a, b, y: _choice(c, 0, 1)),
    says="the chosen branch passes its derivative on",
    evaluate=lambda xp, c, a, b: xp.where(_real(xp, c) != 0, a, b),
    code="np.where(#1, #2, #3)",
    numba="(#2 if #1 else #3)",
    text="where(#1, #2, #3)",
    latex=r"\begin{cases} #2 & #1 \\ #3 & \text{otherwise} \end{cases}",
    source="definition by cases",
    domain=("condition", "real", "real"),
)
floor = Elementwise(
    name="floor",
    d=("unknown",),
    says="constant between jumps",
    evaluate=lambda xp, x: xp.floor(_real(xp, x)) + 0 * x,
    code="np.floor(#1)",
    text="floor(#1)",
    latex=r"\lfloor #1 \rfloor",
    source=CALCULUS,
    domain=("real",),
    at_kink="#1 is an integer",
    takes="floor jumps",
    kink=lambda xp, x: xp.abs(x - xp.round(x)),
)
round_ = Elementwise(
    name="round",
    d=("unknown",),
    says="constant between jumps",
    evaluate=lambda xp, x: xp.round(_real(xp, x)) + 0 * x,
    code="np.round(#1)",
    text="round(#1)",
    latex=r"\operatorname{round}(#1)",
    source=CALCULUS,
    domain=("real",),
    at_kink="#1 is halfway between integers",
    takes="round jumps",
    kink=lambda xp, x: xp.abs(x - xp.floor(x) - 0.5),
)
stop = Elementwise(
    name="stop",
    d=(None,),
    says="stop(x) is treated as constant",
    evaluate=lambda xp, x: x,
    code="#1",
    text="stop(#1)",
    latex=r"\operatorname{stop}(#1)",
    source="stop_gradient of JAX",
    domain=("real",),
)


def _half(numerator: int) -> Expr:
    return number(Fraction(numerator, 2))


def _power(xp: Any, x: Any, p: Any) -> Any:
    exponent = xp.real(xp.asarray(p)).flat[0] if xp.size(p) else 1.0
    if xp.iscomplexobj(x) and abs(exponent) > EXACT and exponent % 1 == 0 and xp.all(p == exponent):
        return _by_squaring(x, int(exponent))
    return xp.power(x, p)


# Up to this exponent NumPy multiplies complex numbers out; beyond it a tiny imaginary part drowns in
# rounding.
EXACT = 64


def _by_squaring(x: Any, exponent: int) -> Any:
    result, square, left = 1, x, abs(exponent)
    while left:
        if left % 2:
            result = result * square
        square, left = square * square, left // 2
    return 1 / result if exponent < 0 else result


def _softplus(xp: Any, x: Any) -> Any:
    above = _real(xp, x) > 0
    small = xp.exp(xp.where(above, -x, x))
    if xp.iscomplexobj(small):
        # NumPy's log1p of complex numbers near 0 loses digits.
        return xp.where(above, x, 0) + 2 * xp.arctanh(small / (2 + small))
    return xp.where(above, x, 0) + xp.log1p(small)


def _choice(condition: Expr, yes: int, no: int) -> Expr:
    return elementwise(where, condition, number(yes), number(no))


def scipy_special() -> Any:
    """scipy.special, imported when a function of it is evaluated."""
    from scipy import special  # heavy, and needed by few formulas

    return special


Expr.rows.update(power=power, greater=greater, greater_equal=greater_equal)
