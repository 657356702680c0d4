"""Forms that neither overflow nor cancel, put in place of those that do, before code is made.

In: expressions. Out: expressions of the same value: log(1 + u) becomes log1p(u), exp(u) − 1 expm1(u), log(1
+ exp(u)) softplus(u), 1/(1 + exp(−u)) sigmoid(u), log(sigmoid(u)) −softplus(−u), log(softmax(x)) x −
logsumexp(x). What is printed is not changed by this.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, constant_of, elementwise, negate
from chainrule.expr.walk import transform
from chainrule.rules.elementwise import exp, expm1, log, log1p, power, sigmoid, softplus
from chainrule.rules.tensorial import logsumexp, softmax


def stable(outputs: Mapping[Any, Expr], names: Mapping[str, Expr]) -> tuple[dict[Any, Expr], dict[str, Expr]]:
    """The outputs and the named parts, rewritten."""
    memo: dict[Expr, Expr] = {}
    rewritten = {name: transform(expr, _stable, memo) for name, expr in outputs.items()}
    return rewritten, {name: memo[expr] for name, expr in names.items() if expr in memo}


def _stable(node: Expr) -> Expr:
    if isinstance(node, Sum):
        return _minus_one(node)
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
