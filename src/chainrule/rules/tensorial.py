"""Functions on whole tensors: one row each.

`d` gives the local derivative, axes batch + core of y + core of argument.
"""

from __future__ import annotations

from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Shape, add, negate, zeros
from chainrule.rules.elementwise import CALCULUS
from chainrule.rules.table import Tensorial, square_dims

GILES = "Giles 2008, An extended collection of matrix derivative results, section 2.2"


def core_einsum(spec: str, *operands: Expr) -> Expr:
    """A product in letters over the core axes; the batch axes in front are carried along.

    A letter that only the output has is a core axis repeated from an operand by an identity: "a->ab" is not
    allowed, "a->aa" is a diagonal.
    """
    inputs, output = spec.split("->")
    parts = inputs.split(",")
    batch = operands[0].rank - len(parts[0])
    lead = tuple(range(-batch, 0))
    labels = [(*lead, *map(ord, part)) for part in parts]
    return Einsum(ONE, operands, labels, (*lead, *map(ord, output)))


def _square(name: str, result: int) -> Any:
    def shape(core: Shape, parameters: tuple[Any, ...]) -> Shape:
        n = square_dims(core, name)
        return (n, n)[:result]

    return shape


inv = Tensorial(
    name="inv",
    core=(2,),
    shape=_square("inv", 2),
    domain=("invertible",),
    d=(lambda X, Y, p: negate(core_einsum("ab,cd->adbc", Y, Y)),),
    says="d(X⁻¹) = −X⁻¹ dX X⁻¹",
    evaluate=lambda xp, X: xp.linalg.inv(X),
    code="np.linalg.inv(#1)",
    text="inv(#1)",
    latex="#1^{-1}",
    source=GILES + ".3",
)
det = Tensorial(
    name="det",
    core=(2,),
    shape=_square("det", 0),
    domain=("invertible",),
    d=(lambda X, y, p: core_einsum(",ba->ab", y, Apply(inv, (X,))),),
    says="Jacobi: d det X = det X · tr(X⁻¹ dX)",
    evaluate=lambda xp, X: xp.linalg.det(X),
    code="np.linalg.det(#1)",
    text="det(#1)",
    latex=r"\det(#1)",
    source=GILES + ".4",
)
logdet = Tensorial(
    name="logdet",
    core=(2,),
    shape=_square("logdet", 0),
    domain=("invertible",),
    d=(lambda X, y, p: core_einsum("ba->ab", Apply(inv, (X,))),),
    says="d log |det X| = tr(X⁻¹ dX)",
    evaluate=lambda xp, X: _log_abs_det(xp, X),
    code="np.linalg.slogdet(#1)[1]",
    text="logdet(#1)",
    latex=r"\log\lvert\det #1\rvert",
    source=GILES + ".4",
)


def _log_abs_det(xp: Any, X: Any) -> Any:
    value = xp.linalg.det(X)
    return xp.log(xp.where(xp.real(value) < 0, -value, value))


def _core_letters(count: int) -> str:
    return "abcdefghijkl"[:count]


def _norm_d(x: Expr, y: Expr, p: tuple[Any, ...]) -> Expr:
    return Apply(unit, (x,), p)


def _unit_d(x: Expr, u: Expr, p: tuple[Any, ...]) -> Expr:
    """(I − u uᵀ)/‖x‖ over the core axes."""
    a = _core_letters(p[0])
    b = a.upper()
    scale = Apply(norm, (x,), p) ** -1
    batch = tuple(range(x.rank - p[0]))
    core = tuple(range(x.rank - p[0], x.rank))
    eye = Einsum(ONE, (scale,), (batch,), batch + core + core, dict(enumerate(x.shape)))
    return add(eye, negate(core_einsum(f"{a},{b},->{a}{b}", u, u, scale)))


norm = Tensorial(
    name="norm",
    core=(-1,),
    shape=lambda core, p: (),
    domain=("nonzero",),
    d=(_norm_d,),
    says="d‖x‖ = xᵀdx/‖x‖",
    evaluate=lambda xp, x, r: xp.sqrt((x * x).sum(axis=tuple(range(-r, 0)))),
    code="norm(#1, $1)",
    text="norm(#1)",
    latex=r"\lVert #1 \rVert",
    source="Matrix Cookbook (2012), eq. 129",
    at_kink="#1 = 0",
    takes="the derivative of the norm is taken as 0",
    kink=lambda xp, x, r: xp.sqrt((x * x).sum(axis=tuple(range(-r, 0)))),
)
unit = Tensorial(
    name="unit",
    core=(-1,),
    shape=lambda core, p: core,
    domain=("nonzero",),
    d=(_unit_d,),
    says="d(x/‖x‖) = (I − uuᵀ) dx/‖x‖ with u = x/‖x‖",
    evaluate=lambda xp, x, r: _unit(xp, x, r),
    code="unit(#1, $1)",
    text="unit(#1)",
    latex=r"\frac{#1}{\lVert #1 \rVert}",
    source="Matrix Cookbook (2012), eq. 130",
    at_kink="#1 = 0",
    takes="x/‖x‖ is taken as 0",
    kink=lambda xp, x, r: xp.sqrt((x * x).sum(axis=tuple(range(-r, 0)))),
)


def _unit(xp: Any, x: Any, r: int) -> Any:
    length = xp.sqrt((x * x).sum(axis=tuple(range(-r, 0)), keepdims=True))
    return x / xp.where(length == 0, 1, length)


softmax = Tensorial(
    name="softmax",
    core=(1,),
    shape=lambda core, p: core,
    domain=("real",),
    d=(lambda x, y, p: add(core_einsum("a->aa", y), negate(core_einsum("a,b->ab", y, y))),),
    says="∂softmax = diag(p) − ppᵀ",
    evaluate=lambda xp, x: _softmax(xp, x),
    code="softmax(#1)",
    jax="jax.nn.softmax(#1, axis=-1)",
    torch="torch.softmax(#1, dim=-1)",
    text="softmax(#1)",
    latex=r"\operatorname{softmax}(#1)",
    source="Bishop 2006, eq. 4.106",
)
logsumexp = Tensorial(
    name="logsumexp",
    core=(1,),
    shape=lambda core, p: (),
    domain=("real",),
    d=(lambda x, y, p: Apply(softmax, (x,)),),
    says="∇ log Σ exp = softmax",
    evaluate=lambda xp, x: _logsumexp(xp, x),
    code="logsumexp(#1)",
    jax="special.logsumexp(#1, axis=-1)",
    torch="torch.logsumexp(#1, dim=-1)",
    text="logsumexp(#1)",
    latex=r"\operatorname{logsumexp}(#1)",
    source="Boyd and Vandenberghe 2004, section 3.1.5",
)


def _softmax(xp: Any, x: Any) -> Any:
    e = xp.exp(x - xp.real(x).max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _logsumexp(xp: Any, x: Any) -> Any:
    top = xp.real(x).max(axis=-1, keepdims=True)
    return xp.log(xp.exp(x - top).sum(axis=-1)) + top[..., 0]


def _flat(x: Any, r: int) -> Any:
    return x.reshape((*x.shape[: x.ndim - r], -1))


def _first(xp: Any, x: Any, r: int, sign: int) -> Any:
    """1 at the first largest (sign 1) or smallest (sign −1) entry of the last r axes, 0 elsewhere."""
    flat = sign * xp.real(_flat(x, r))
    return (xp.arange(flat.shape[-1]) == flat.argmax(axis=-1)[..., None]).reshape(x.shape) * 1.0


def _gap(xp: Any, x: Any, r: int, sign: int) -> Any:
    flat = xp.sort(sign * xp.real(_flat(x, r)), axis=-1)
    return flat[..., -1] - flat[..., -2] if flat.shape[-1] > 1 else xp.ones(flat.shape[:-1])


def _extreme(name: str, chosen: str, sign: int, word: str) -> tuple[Tensorial, Tensorial]:
    indicator = Tensorial(
        name=chosen,
        core=(-1,),
        shape=lambda core, p: core,
        domain=("real",),
        d=(_zero_jacobian,),
        says=f"1 at the first {word} entry, else 0",
        evaluate=lambda xp, x, r: _first(xp, x, r, sign),
        code=f"{chosen}(#1, $1)",
        text=f"{chosen}(#1)",
        latex=rf"\mathbf{{1}}[\operatorname{{arg{name[1:]}}} #1]",
        source=CALCULUS,
        at_kink=f"two entries of #1 are {word}",
        takes="the first of them is chosen",
        kink=lambda xp, x, r: _gap(xp, x, r, sign),
    )
    value = Tensorial(
        name=name,
        core=(-1,),
        shape=lambda core, p: (),
        domain=("real",),
        d=(lambda x, y, p: Apply(indicator, (x,), p),),
        says=f"the {word} entry passes its derivative on",
        evaluate=lambda xp, x, r: (_first(xp, x, r, sign) * x).sum(axis=tuple(range(-r, 0))),
        code=f"np.{name}(#1, axis=tuple(range(-$1, 0)))",
        text=f"{name[1:]}(#1)",
        latex=rf"\{name[1:]}(#1)",
        source=CALCULUS,
        at_kink=f"two entries of #1 are {word}",
        takes="the first of them has the whole weight",
        kink=lambda xp, x, r: _gap(xp, x, r, sign),
    )
    return value, indicator


def _zero_jacobian(x: Expr, y: Expr, p: tuple[Any, ...]) -> Expr:
    return zeros((*x.shape, *x.shape[x.rank - p[0] :]))


amax, first_max = _extreme("amax", "first_max", 1, "largest")
amin, first_min = _extreme("amin", "first_min", -1, "smallest")
CHOSEN = (first_max, first_min)


argmax = Tensorial(
    name="argmax",
    core=(1,),
    shape=lambda core, p: (),
    domain=("real",),
    d=("unknown",),
    says="constant between jumps",
    evaluate=lambda xp, x: xp.real(x).argmax(axis=-1) * 1.0,
    code="np.argmax(#1, axis=-1) * 1.0",
    torch="torch.argmax(#1, dim=-1).to(**like)",
    text="argmax(#1)",
    latex=r"\operatorname{argmax}(#1)",
    source=CALCULUS,
    at_kink="two entries of #1 are largest",
    takes="the index jumps",
    kink=lambda xp, x: _gap(xp, x, 1, 1),
)


def _matrix_power_d(X: Expr, Y: Expr, p: tuple[Any, ...]) -> Expr:
    """Σ over r of (X^r) ⊗ (X^(k−1−r)): ∂Y_ad/∂X_bc = Σ (X^r)_ab (X^(k−1−r))_cd."""
    k = p[0]
    if k == 0:
        return zeros((*X.shape, *X.shape[-2:]))
    if k < 0:
        inverse = Apply(inv, (X,))
        powers = [Apply(matrix_power, (inverse,), (r,)) for r in range(1, -k + 1)]
        return negate(add(*(core_einsum("ab,cd->adbc", powers[r], powers[-k - 1 - r]) for r in range(-k))))
    powers = [Apply(matrix_power, (X,), (r,)) for r in range(k)]
    return add(*(core_einsum("ab,cd->adbc", powers[r], powers[k - 1 - r]) for r in range(k)))


def _matrix_power_shape(core: Shape, p: tuple[Any, ...]) -> Shape:
    n: Dim = square_dims(core, "matrix_power")
    if not isinstance(p[0], int) or abs(p[0]) > LARGEST_POWER:
        raise ShapeMismatch(
            f"matrix_power needs an integer exponent between −{LARGEST_POWER} and {LARGEST_POWER}"
        )
    return (n, n)


LARGEST_POWER = 64
matrix_power = Tensorial(
    name="matrix_power",
    core=(2,),
    shape=_matrix_power_shape,
    domain=("invertible",),
    d=(_matrix_power_d,),
    says="d(Xᵏ) = Σ Xʳ dX Xᵏ⁻¹⁻ʳ",
    evaluate=lambda xp, X, k: xp.linalg.matrix_power(X, k),
    code="np.linalg.matrix_power(#1, $1)",
    text="matrix_power(#1, $1)",
    latex="#1^{$1}",
    source="Matrix Cookbook (2012), eq. 91",
)
