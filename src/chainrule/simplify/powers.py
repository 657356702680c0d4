"""Factors that merge: equal ones into powers, exponentials by their exponents, relu(z) with 1[z > 0]."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from chainrule.expr.dims import ONE, ZERO, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Labels, Sum, number, zeros
from chainrule.rules.elementwise import abs_, cos, cosh, exp, power, relu, sigmoid, sign, sin, sinh, tan, tanh
from chainrule.rules.elementwise import greater as greater_row
from chainrule.rules.identities import content
from chainrule.rules.reductions import prod, prod_others
from chainrule.rules.tensorial import norm, softmax, unit
from chainrule.simplify import masks
from chainrule.simplify.work import Factor, Work, as_power

if TYPE_CHECKING:
    from chainrule.simplify.normal import Normaliser
    from chainrule.simplify.product import Product

# sin/cos = tan, sinh/cosh = tanh.
TANGENTS = {sin: (cos, tan), sinh: (cosh, tanh)}
# The functions that make one with another factor.
PAIRED = frozenset((relu, abs_, sign, exp, *TANGENTS, sigmoid, unit, norm, prod_others))


def merge(product: Product, work: Work) -> None:
    """Equal factors with equal labels become powers; exponentials add their exponents."""
    normal = product.normal
    if len(work.factors) == 1:
        factor, axes = work.factors[0]
        if len(axes) == 2 and axes[0] > axes[1] and normal.is_symmetric(factor):
            work.factors = [(factor, (axes[1], axes[0]))]
        return
    # Exponentials with one label tuple form one group, whatever they are exponentials of.
    groups: dict[tuple[Expr | None, Labels], list[tuple[Expr, Expr | Coefficient]]] = {}
    paired = False
    for factor, axes in work.factors:
        if isinstance(factor, Sum):
            if factor not in product.primitives:
                product.primitives[factor] = primitive(factor, normal)
            content, factor = product.primitives[factor]
            work.coefficient = work.coefficient * content
        if len(axes) == 2 and axes[0] > axes[1] and normal.is_symmetric(factor):
            axes = (axes[1], axes[0])
        group: Expr | None = factor
        exponent: Expr | Coefficient = ONE
        if isinstance(factor, Apply):
            base, exponent = as_power(factor)
            group = base
            if isinstance(base, Apply):
                paired = paired or base.function in PAIRED
                group = None if base.function is exp else base
        groups.setdefault((group, axes), []).append((factor, exponent))
    factors: list[Factor] = []
    for (group, axes), members in groups.items():
        if len(members) == 1:
            factors.append((members[0][0], axes))
            continue
        work.changed = paired = True
        if group is None:
            arguments = [m.arguments[0] for m, _ in members if isinstance(m, Apply)]
            merged = normal.apply(exp, (normal.sum(arguments),))
        else:
            total = normal.sum([e if isinstance(e, Expr) else number(e, group.shape) for _, e in members])
            merged = normal.apply(power, (group, total))
        count = len(work.factors)
        product.inline(work, merged, axes)
        factors += work.factors[count:]
        del work.factors[count:]
    work.factors = factors
    if paired:
        _pairs(product, work)


def _pairs(product: Product, work: Work) -> None:
    """Two factors that make one.

    So relu(z) 1[z > 0] = relu(z), |x| sign(x) = x, sign(x)/|x| = 1/x, x sign(x) = |x|,
    exp(x)/Σ exp(x) = softmax(x), and the product of all others over that of all, 1/x.
    """
    if len(work.factors) < 2:
        return
    for k, (factor, axes) in enumerate(work.factors):
        base, exponent = as_power(factor)
        if not isinstance(base, Apply) or not isinstance(exponent, Coefficient):
            continue
        row = base.function
        if row is relu and exponent.rational > 0:
            step = Apply(greater_row, (base.arguments[0], number(0, base.shape)))
            if (step, axes) in work.factors:
                work.drop(work.factors.index((step, axes)))
                return
        elif row is abs_ and _is_odd(exponent):
            partner = (Apply(sign, base.arguments), axes)
            if partner in work.factors:
                inside = base.arguments[0]
                work.drop(k, work.factors.index(partner))
                product.inline(work, _raised(product, inside, exponent), axes)
                return
        elif row is sign and exponent.is_one:
            for p, (other, labels) in enumerate(work.factors):
                inside, e = as_power(other)
                if inside is base.arguments[0] and labels == axes and _is_odd(e):
                    work.drop(k, p)
                    size = product.normal.apply(abs_, (inside,))
                    product.inline(work, _raised(product, size, e), axes)
                    return
        elif row is prod_others and exponent.is_one and _reciprocals(product, work, k, base, axes):
            return
        elif row is exp and exponent.is_one and _softmax(product, work, k, base, axes):
            return
        elif row in TANGENTS and exponent.is_one:
            below, tangent = TANGENTS[row]
            quotient = (Apply(below, base.arguments) ** -1, axes)
            if quotient in work.factors:
                work.drop(k, work.factors.index(quotient))
                work.factors.append((Apply(tangent, base.arguments), axes))
                return
        elif row is sigmoid and exponent.is_one and _has_exponential(work, axes):
            # Not before: in a deep network −z has a layer in each of its terms.
            minus = product.normal.apply(exp, (_negative(product.normal, base.arguments[0]),))
            if (minus, axes) in work.factors:
                flipped = product.normal.apply(sigmoid, (_negative(product.normal, base.arguments[0]),))
                work.drop(k, work.factors.index((minus, axes)))
                work.factors.append((flipped, axes))
                return
        elif row is unit and exponent.is_one:
            _unit(product, work, k, base, axes)
            if work.changed:
                return
        elif row is norm and exponent.rational.denominator == 1 and not exponent.powers:
            _norm(product, work, k, base, axes, int(exponent.rational))
            if work.changed:
                return


def apply_conditions(product: Product, work: Work) -> None:
    """What a condition makes of other conditions, and of the terms of sums, that it stands before."""
    for known, axes in [f for f in work.factors if masks.is_order(f[0])]:
        for k, (other, labels) in enumerate(work.factors):
            if labels != axes or other is known:
                continue
            if masks.is_order(other):
                if masks.excludes(known, other):
                    work.coefficient = ZERO
                    return
                if masks.implies(known, other):
                    work.drop(k)
                    return
            elif isinstance(other, Sum) and (terms := masks.below(known, other)) is not None:
                work.drop(k)
                total = (
                    product.normal.sum([product.normal(t) for t in terms]) if terms else zeros(other.shape)
                )
                product.inline(work, total, axes)
                return


def _reciprocals(product: Product, work: Work, k: int, base: Apply, axes: Labels) -> bool:
    """The product of all others, where what is divided by the product of all has a value."""
    along, rounds = base.parameters
    whole = Apply(prod, base.arguments, (along,))
    for p, (other, labels) in enumerate(work.factors):
        found, e = as_power(other)
        if found is whole and rounds == 1 and labels == axes[: len(axes) - along]:
            if isinstance(e, Coefficient) and not e.powers and e.rational < 0:
                work.drop(k, p)
                if not (e + ONE).is_zero:
                    product.inline(work, _raised(product, whole, e + ONE), labels)
                product.inline(work, _raised(product, base.arguments[0], -ONE), axes)
                return True
    return False


def _raised(product: Product, base: Expr, exponent: Coefficient) -> Expr:
    return base if exponent.is_one else product.normal.apply(power, (base, number(exponent, base.shape)))


def _softmax(product: Product, work: Work, k: int, base: Apply, axes: Labels) -> bool:
    x = base.arguments[0]
    for p, (other, labels) in enumerate(work.factors):
        total, exponent = as_power(other)
        if not (isinstance(exponent, Coefficient) and not exponent.powers and exponent.rational <= -1):
            continue
        if not (isinstance(total, Einsum) and total.coefficient.is_one and total.operands == (base,)):
            continue
        inner = total.labels[0]
        summed = [a for a in range(x.rank) if inner[a] not in total.output]
        if len(summed) != 1 or len(set(inner)) != x.rank or len(total.output) != x.rank - 1:
            continue
        binding = dict(zip(total.output, labels, strict=True))
        if any(binding[inner[a]] != axes[a] for a in range(x.rank) if a != summed[0]):
            continue
        order = (*(a for a in range(x.rank) if a != summed[0]), summed[0])
        moved = product.normal.product(ONE, (x,), (tuple(range(x.rank)),), order, dict(enumerate(x.shape)))
        probabilities = product.normal.apply(softmax, (moved,))
        rest = product.normal.apply(power, (total, number(exponent + ONE, total.shape)))
        work.drop(k, p)
        work.factors.append((probabilities, tuple(axes[a] for a in order)))
        product.inline(work, rest, labels)
        work.settle()
        return True
    return False


def _unit(product: Product, work: Work, k: int, base: Apply, axes: Labels) -> None:
    """x/‖x‖ · ‖x‖ = x; beside x/‖x‖ a plain x is written ‖x‖ · x/‖x‖, so that x uᵀ and u xᵀ are one."""
    length = Apply(norm, base.arguments, base.parameters)
    batch = axes[: len(axes) - base.parameters[0]]
    alone = sum(as_power(f)[0] is base for f, _ in work.factors) == 1
    for p, (other, labels) in enumerate(work.factors):
        inside, exponent = as_power(other)
        if not isinstance(exponent, Coefficient) or exponent.powers or exponent.rational < 1:
            continue
        if inside is length and labels == batch and alone:
            rest = product.normal.apply(power, (length, number(exponent + -ONE, length.shape)))
            work.drop(k, p)
            product.inline(work, base.arguments[0], axes)
            product.inline(work, rest, labels)
            work.settle()
            return
        if inside is base.arguments[0] and exponent.is_one and labels[: len(batch)] == batch:
            work.drop(p)
            work.factors += [(base, labels), (length, batch)]
            return


def _norm(product: Product, work: Work, k: int, base: Apply, axes: Labels, exponent: int) -> None:
    """‖x‖ᵏ (Σ x²)ˡ = ‖x‖ᵏ⁺²ˡ."""
    squares = product.normal.apply(power, (base, number(2, base.shape)))
    for p, (other, labels) in enumerate(work.factors):
        inside, times = as_power(other)
        if p != k and inside is squares and labels == axes and isinstance(times, Coefficient):
            total = Coefficient.of(exponent) + times * Coefficient.of(2)
            merged = product.normal.apply(power, (base, number(total, base.shape)))
            work.drop(k, p)
            product.inline(work, merged, axes)
            work.settle()
            return


def _has_exponential(work: Work, axes: Labels) -> bool:
    return any(isinstance(f, Apply) and f.function is exp and labels == axes for f, labels in work.factors)


def _is_odd(exponent: Expr | Coefficient) -> TypeGuard[Coefficient]:
    if not isinstance(exponent, Coefficient) or exponent.powers:
        return False
    return exponent.rational.denominator == 1 and exponent.rational % 2 == 1


def _negative(normal: Normaliser, expr: Expr) -> Expr:
    axes = tuple(range(expr.rank))
    return normal.product(-ONE, (expr,), (axes,), axes, dict(enumerate(expr.shape)))


def primitive(expr: Sum, normal: Normaliser) -> tuple[Coefficient, Expr]:
    """A sum as its content (the common number and sizes, signed by the first term) times the rest."""
    common = content(expr)
    if common.is_one:
        return ONE, expr
    return common, normal.sum([normal.times(common**-1, term) for term in expr.terms])
