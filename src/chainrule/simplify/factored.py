"""Products in which factorisations meet: L Lᵀ = A, Σ log diag L = ½ log |A|, and triangles on a diagonal.

In: a product being rewritten. Out: whether something was rewritten; the caller settles and goes on.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Function, Labels, constant_of
from chainrule.rules.elementwise import exp, log, power
from chainrule.rules.exponential import expm
from chainrule.rules.factors import MASKS, cholesky, elimination, half_mask, lower_mask, pinv
from chainrule.rules.reductions import prod_others
from chainrule.rules.spectral import eigvalsh, eigvecsh, svd_left, svd_right, svdvals
from chainrule.rules.table import Tensorial
from chainrule.rules.tensorial import LARGEST_POWER, det, inv, logdet, matrix_power
from chainrule.simplify.work import Work

if TYPE_CHECKING:
    from chainrule.simplify.product import Product

HALF = Coefficient(Fraction(1, 2))

# The functions that some identity below looks for, and those that it does where a product is inside.
MEETING = frozenset((elimination, cholesky, inv, *MASKS, eigvecsh, svd_left))
INSIDE = frozenset((log, power))


def meet_factors(product: Product, work: Work) -> bool:
    """The first of the identities below that applies."""
    for k, (factor, axes) in enumerate(work.factors):
        if not isinstance(factor, Apply):
            continue
        if factor.function is elimination and _eliminated(work, k, axes):
            return True
        if factor.function in MASKS and _on_diagonal(work, k, factor, axes):
            return True
        if len(axes) == 2 and (_is_factor(factor) or _is_inverse_factor(factor)):
            if _gram(product, work, k, factor, axes):
                return True
        elif factor.function in VECTORS and _spectral(product, work, k, factor, axes):
            return True
        elif factor.function is log and _log_diagonal(product, work, k, factor, axes):
            return True
        elif factor.function is power and _squared_residual(product, work, k, factor, axes):
            return True
    return False


def _is_factor(expr: Expr) -> bool:
    return isinstance(expr, Apply) and expr.function is cholesky


def _is_inverse_factor(expr: Expr) -> bool:
    return isinstance(expr, Apply) and expr.function is inv and _is_factor(expr.arguments[0])


def _symmetric(product: Product, A: Expr) -> Expr:
    """(A + Aᵀ)/2 of a canonical matrix."""
    normal = product.normal
    if normal.is_symmetric(A):
        return A
    axes, sizes = ((0, 1),), dict(enumerate(A.shape))
    return normal.sum([normal.product(HALF, (A,), axes, order, sizes) for order in ((0, 1), (1, 0))])


def _on_diagonal(work: Work, k: int, factor: Apply, axes: Labels) -> bool:
    """A triangle of ones on the diagonal is 1 or 0, with a halved diagonal 1/2."""
    if axes[0] != axes[1]:
        return False
    if factor.function is half_mask:
        work.coefficient = work.coefficient * HALF
    elif factor.parameters[0] < 0:
        work.coefficient = work.coefficient * Coefficient.of(0)
    work.drop(k)
    return True


def _eliminated(work: Work, k: int, axes: Labels) -> bool:
    """Σ_t E_tij E_tkl is the lower triangle of ones where i = k and j = l, else 0."""
    shared = axes[0]
    if shared in work.output or work.uses(shared) != 2:
        return False
    for p, (other, labels) in enumerate(work.factors[:k]):
        if other is not work.factors[k][0] or labels[0] != shared:
            continue
        size = other.shape[1]
        work.spent.add(shared)
        work.drop(p, k)
        work.factors.append((Apply(lower_mask, (), (0, size, size)), axes[1:]))
        for a, b in zip(axes[1:], labels[1:], strict=True):
            work.join(a, b)
        work.settle()
        return True
    return False


def _gram(product: Product, work: Work, k: int, factor: Apply, axes: Labels) -> bool:
    """L Lᵀ = A, and L⁻ᵀ L⁻¹ = A⁻¹, where A is the symmetric part of what L was made from."""
    side = 1 if _is_factor(factor) else 0  # the axis that the two share
    shared = axes[side]
    if shared in work.output or work.uses(shared) != 2 or axes[0] == axes[1]:
        return False
    for p, (other, labels) in enumerate(work.factors[:k]):
        if other is not factor or labels[side] != shared or labels[1 - side] == shared:
            continue
        inside = factor if side else factor.arguments[0]
        assert isinstance(inside, Apply)
        matrix = _symmetric(product, inside.arguments[0])
        if not side:
            matrix = product.normal.apply(inv, (matrix,))
        ends = (axes[1 - side], labels[1 - side])
        work.spent.add(shared)
        work.drop(p, k)
        product.inline(work, matrix, ends)
        return True
    return False


# The partner of each kind of vectors, and the values that stand between the two.
VECTORS: dict[Function, tuple[Tensorial, Tensorial]] = {
    eigvecsh: (eigvecsh, eigvalsh),
    svd_left: (svd_right, svdvals),
}


def _spectral(product: Product, work: Work, k: int, factor: Apply, axes: Labels) -> bool:
    """V diag(f(λ)) Vᵀ = f(A) for powers, exp, products of others; U diag(σ) Vᵀ = X, U diag(1/σ) Vᵀ = X⁺ᵀ."""
    partner, values = VECTORS[factor.function]
    shared = axes[-1]
    if len(axes) != 2 or shared in work.output or work.uses(shared) != 3 or axes[0] == shared:
        return False
    X = factor.arguments[0]
    other, between = Apply(partner, (X,)), Apply(values, (X,))
    twins = [
        p
        for p, (f, labels) in enumerate(work.factors)
        if p != k and f is other and labels[1] == shared and labels[0] != shared
    ]
    middle = [p for p, (_, labels) in enumerate(work.factors) if labels == (shared,)]
    if len(twins) != 1 or len(middle) != 1:
        return False
    made = _function_of(product, X, between, work.factors[middle[0]][0], values is eigvalsh)
    if made is None:
        return False
    ends = (axes[0], work.factors[twins[0]][1][0])
    work.spent.add(shared)
    work.drop(k, twins[0], middle[0])
    product.inline(work, made, ends)
    return True


def _function_of(product: Product, X: Expr, values: Expr, function: Expr, symmetric: bool) -> Expr | None:
    """The matrix whose eigenvalues or singular values are this function of those of X, if it has a name."""
    normal = product.normal
    exponent = 1 if function is values else None
    if isinstance(function, Apply) and function.function is power and function.arguments[0] is values:
        found = constant_of(function.arguments[1])
        if found is not None and not found.powers and found.rational.denominator == 1:
            exponent = int(found.rational)
    if not symmetric:
        if exponent == -1:
            return normal.transpose(normal.apply(pinv, (X,)))
        return X if exponent == 1 else None
    if exponent is not None and abs(exponent) <= LARGEST_POWER:
        S = _symmetric(product, X)
        return S if exponent == 1 else normal.apply(matrix_power, (S,), (exponent,))
    if isinstance(function, Apply) and function.function is exp and function.arguments[0] is values:
        return normal.apply(expm, (_symmetric(product, X),))
    if function is Apply(prod_others, (values,), (1, 1)):
        S = _symmetric(product, X)
        parts = (normal.apply(det, (S,)), normal.apply(inv, (S,)))
        return normal.product(ONE, parts, ((), (0, 1)), (0, 1), dict(enumerate(S.shape)))
    return None


def _log_diagonal(product: Product, work: Work, k: int, factor: Apply, axes: Labels) -> bool:
    """Σ log diag L = ½ log |det A|."""
    inside = factor.arguments[0]
    if len(axes) != 1 or axes[0] in work.output or work.uses(axes[0]) != 1:
        return False
    if not isinstance(inside, Einsum) or len(inside.operands) != 1 or not inside.coefficient.is_one:
        return False
    L, labels = inside.operands[0], inside.labels[0]
    if not _is_factor(L) or len(labels) != 2 or labels[0] != labels[1] or inside.output != labels[:1]:
        return False
    assert isinstance(L, Apply)
    work.spent.add(axes[0])
    work.drop(k)
    work.coefficient = work.coefficient * HALF
    product.inline(work, product.normal.apply(logdet, (_symmetric(product, L.arguments[0]),)), ())
    return True


def _squared_residual(product: Product, work: Work, k: int, factor: Apply, axes: Labels) -> bool:
    """‖L⁻¹r‖² = (L⁻¹r)ᵀ(L⁻¹r), whose factors meet as rᵀA⁻¹r."""
    base, exponent = factor.arguments[0], constant_of(factor.arguments[1])
    if exponent is None or exponent.powers or exponent.rational != 2 or not isinstance(base, Einsum):
        return False
    carriers = [
        (o, labels)
        for o, labels in zip(base.operands, base.labels, strict=True)
        if _is_inverse_factor(o) and labels[0] in base.output and labels[1] not in base.output
    ]
    if len(carriers) != 1 or len(set(base.output)) != len(base.output):
        return False
    row = carriers[0][1][0]
    label = axes[base.output.index(row)]
    alone = sum(labels.count(row) for labels in base.labels) == 1
    if not alone or label in work.output or work.uses(label) != 1:
        return False
    work.drop(k)
    product.inline(work, base, axes)
    product.inline(work, base, axes)
    return True
