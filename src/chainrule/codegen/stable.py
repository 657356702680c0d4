"""Forms that neither overflow nor cancel, put in place of those that do, before code is made.

In: expressions. Out: expressions of the same value: log(1 + u) becomes log1p(u), exp(u) − 1 expm1(u), log(1
+ exp(u)) softplus(u), 1/(1 + exp(−u)) sigmoid(u), log(sigmoid(u)) −softplus(−u), log(softmax(x)) x −
logsumexp(x). A factor that is 0 off a condition keeps roots and logarithms beside it from where they have no
value, and xʸ ln(x) is 0 at x = 0. What is printed is not changed by this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, constant_of, elementwise, negate, number
from chainrule.expr.walk import rebuild, transform
from chainrule.rules.elementwise import (
    exp,
    expm1,
    log,
    log1p,
    not_equal,
    power,
    sigmoid,
    softplus,
    where,
)
from chainrule.rules.table import Elementwise
from chainrule.rules.tensorial import logsumexp, softmax
from chainrule.simplify.definite import Definite
from chainrule.simplify.normal import Normaliser


def stable(outputs: Mapping[Any, Expr], names: Mapping[str, Expr]) -> tuple[dict[Any, Expr], dict[str, Expr]]:
    """The outputs and the named parts, rewritten."""
    memo: dict[Expr, Expr] = {}
    rewritten = {name: transform(expr, _stable, memo) for name, expr in outputs.items()}
    return rewritten, {name: memo[expr] for name, expr in names.items() if expr in memo}


def _stable(node: Expr) -> Expr:
    if isinstance(node, Sum):
        return _minus_one(node)
    if isinstance(node, Einsum):
        return _guarded(node)
    if not isinstance(node, Apply):
        return node
    if node.function is log:
        return _log(node.arguments[0], node)
    if node.function is log1p:
        inner = node.arguments[0]
        if isinstance(inner, Apply) and inner.function is exp:
            return elementwise(softplus, inner.arguments[0])
    if node.function is power:
        exponent = constant_of(node.arguments[1])
        if exponent == Coefficient(Fraction(-1)):
            return _logistic(node.arguments[0], node)
    return node


def _log(argument: Expr, node: Expr) -> Expr:
    if isinstance(argument, Apply) and argument.function is sigmoid:
        return negate(elementwise(softplus, negate(argument.arguments[0])))
    if isinstance(argument, Apply) and argument.function is softmax:
        x = argument.arguments[0]
        axes = tuple(range(x.rank))
        total = Einsum(-ONE, (Apply(logsumexp, (x,)),), (axes[:-1],), axes, dict(enumerate(x.shape)))
        return Sum((x, total))
    rest = _without(argument, Fraction(1))
    if rest is None:
        return node
    if isinstance(rest, Apply) and rest.function is exp:
        return elementwise(softplus, rest.arguments[0])
    return elementwise(log1p, rest)


def _logistic(argument: Expr, node: Expr) -> Expr:
    """1/(1 + exp(u)) is sigmoid(−u)."""
    rest = _without(argument, Fraction(1))
    if isinstance(rest, Apply) and rest.function is exp:
        return elementwise(sigmoid, negate(rest.arguments[0]))
    return node


def _minus_one(node: Sum) -> Expr:
    """exp(u) − 1, other terms kept."""
    rest = _without(node, Fraction(-1))
    if rest is None:
        return node
    terms = list(rest.terms) if isinstance(rest, Sum) else [rest]
    for k, term in enumerate(terms):
        if isinstance(term, Apply) and term.function is exp:
            terms[k] = elementwise(expm1, term.arguments[0])
            return Sum(terms) if len(terms) > 1 else terms[0]
    return node


def _without(node: Expr, number: Fraction) -> Expr | None:
    """A sum without its constant term `number`; None if it has no such term."""
    if not isinstance(node, Sum):
        return None
    for k, term in enumerate(node.terms):
        constant = constant_of(term)
        if constant is not None and constant == Coefficient(number):
            rest = [*node.terms[:k], *node.terms[k + 1 :]]
            return Sum(rest) if len(rest) > 1 else rest[0]
    return None


def _guarded(node: Einsum) -> Expr:
    """1[u > 0] √u is 0 where u < 0, and not 0 · NaN: the root is taken of 1 there; xʸ ln(x) is 0 at x = 0."""
    operands = list(node.operands)
    for k, factor in enumerate(node.operands):
        condition = _condition(factor)
        if condition is None:
            continue
        for j, labels in enumerate(node.labels):
            other = node.operands[j]
            # Two conditions that were guarded by each other would both hold where neither does.
            if j != k and labels == node.labels[k] and _condition(other) is not other:
                if condition is factor or _is_log_of(other, factor):
                    operands[j] = _within(operands[j], condition)
    if all(a is b for a, b in zip(operands, node.operands, strict=True)):
        return node
    return rebuild(node, operands)


def _condition(factor: Expr) -> Expr | None:
    """What is 0 or 1, and 0 where the factor is; of xʸ with an exponent that varies 1[xʸ ≠ 0]."""
    if not isinstance(factor, Apply) or not isinstance(factor.function, Elementwise):
        return None
    if factor.function.indicator:
        return factor
    if factor.function is power and constant_of(factor.arguments[1]) is None:
        return elementwise(not_equal, factor, number(0))
    return None


def _is_log_of(node: Expr, factor: Expr) -> bool:
    """Whether it is ln(x), or a power of it, beside xʸ."""
    if isinstance(node, Apply) and node.function is power and constant_of(node.arguments[1]) is not None:
        node = node.arguments[0]
    return isinstance(node, Apply) and node.function is log and node.arguments[0] is factor.children[0]


def _within(node: Expr, condition: Expr) -> Expr:
    """The same where the condition holds; elsewhere roots, powers and logarithms are of 1."""
    if not _entrywise(node) or node.shape != condition.shape:
        return node
    children = [_within(child, condition) for child in node.children]
    if isinstance(node, Apply) and node.function in (log, log1p, power) and not _is_everywhere(node):
        children[0] = elementwise(where, condition, children[0], number(1))
    if all(a is b for a, b in zip(children, node.children, strict=True)):
        return node
    return rebuild(node, children)


def _entrywise(node: Expr) -> bool:
    """Whether each entry comes from the same entries of its parts."""
    if isinstance(node, Einsum):
        return all(labels in ((), node.output) for labels in node.labels) and not _repeats(node.output)
    return isinstance(node, Sum) or (isinstance(node, Apply) and isinstance(node.function, Elementwise))


def _repeats(labels: Sequence[int]) -> bool:
    return len(set(labels)) < len(labels)


def _is_everywhere(node: Apply) -> bool:
    """Whether a root, power or logarithm has a value for every input: x², x³, √(1 + x²)."""
    if node.function is power:
        exponent = constant_of(node.arguments[1])
        whole = exponent is not None and not exponent.powers and exponent.rational.denominator == 1
        if whole and exponent is not None and exponent.rational >= 0:
            return True
    definite = Definite(Normaliser())
    if node.function is log1p:
        return definite.is_nonnegative(node.arguments[0])
    return definite.is_positive(node.arguments[0])
