"""Forms that neither overflow nor cancel, put in place of those that do, before code is made.

In: expressions. Out: expressions of the same value, by the rows of `cancelling.py`, `overflowing.py` and
`tails.py`: 1 − cos(u) becomes 2 sin(u/2)², log(1 + exp(u)) softplus(u), exp(x)/Σ exp(x) softmax(x). A factor
that is 0 off a condition keeps roots and logarithms beside it from where they have no value, and xʸ ln(x) is
0 at x = 0. What is printed is not changed by this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chainrule.codegen import cancelling, overflowing, tails
from chainrule.codegen.cancelling import TANHS
from chainrule.codegen.expansions import expanded
from chainrule.codegen.matching import Form, of, raised, scaled
from chainrule.codegen.overflowing import POWERS
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, constant_of, elementwise, number
from chainrule.expr.walk import rebuild, topological, transform
from chainrule.rules.elementwise import expm1, log, log1p, not_equal, power, sqrt, tanh, where
from chainrule.rules.table import Elementwise
from chainrule.simplify.definite import Definite
from chainrule.simplify.normal import Normaliser

SUMS = (*cancelling.SUMS, *tails.SUMS)
PRODUCTS = (*overflowing.PRODUCTS, *tails.PRODUCTS)
LOGARITHMS = (*overflowing.LOGARITHMS, *tails.LOGARITHMS)
FORMS = (*SUMS, *PRODUCTS, *LOGARITHMS, *POWERS, *TANHS)
BY_FUNCTION = {log: LOGARITHMS, log1p: LOGARITHMS, power: POWERS, sqrt: POWERS}


def stable(outputs: Mapping[Any, Expr], names: Mapping[str, Expr]) -> tuple[dict[Any, Expr], dict[str, Expr]]:
    """The outputs and the named parts, rewritten."""
    memo: dict[Expr, Expr] = {}
    first = {key: transform(expr, _stable, memo) for key, expr in outputs.items()}
    kept = {name: memo[expr] for name, expr in names.items() if expr in memo}
    first = _expanded(first)
    summed = _summed_tanhs(first.values())

    def last(node: Expr) -> Expr:
        return _by(TANHS, node) if isinstance(node, Sum) and not summed.intersection(_tanhs(node)) else node

    memo = {}
    second = {key: transform(expr, last, memo) for key, expr in first.items()}
    return second, {name: memo[expr] for name, expr in kept.items() if expr in memo}


def _expanded(outputs: dict[Any, Expr]) -> dict[Any, Expr]:
    """The outputs without polynomials in 1/(exp(u) − 1) that cancel."""
    if not any(of(raised(node)[0], expm1) is not None for node in topological(outputs.values())):
        return outputs
    memo: dict[Expr, Expr] = {}
    return {key: expanded(expr, memo) for key, expr in outputs.items()}


def _stable(node: Expr) -> Expr:
    if isinstance(node, Sum):
        return _by(SUMS, node)
    if isinstance(node, Einsum):
        made = _by(PRODUCTS, node)
        return _guarded(made) if isinstance(made, Einsum) else made
    if isinstance(node, Apply):
        return _by(BY_FUNCTION.get(node.function, ()), node)  # type: ignore[call-overload]
    return node


def _by(forms: Sequence[Form], node: Expr) -> Expr:
    """The node by the first form that applies, and what that makes by the next."""
    for form in forms:
        made = form.make(node)
        if made is not None and made is not node:
            # What is new below it may be written better too; what was below it is.
            return transform(made, _stable, {part: part for part in (node, *_operands(node))})
    return node


def _operands(node: Expr) -> Iterable[Expr]:
    for child in node.children:
        yield child
        yield from child.children


def _tanhs(node: Sum) -> set[Expr]:
    """Each tanh(u) that is a term of a sum, or whose square is."""
    found = (raised(e)[0] for _, e in map(scaled, node.terms) if e is not None)
    return {base for base in found if of(base, tanh) is not None}


def _summed_tanhs(outputs: Iterable[Expr]) -> set[Expr]:
    """Each tanh(u) whose entries are summed in a product, as in the layers of a network.

    There an error counts by its size against 1, and 1 − tanh(u)² costs nothing once tanh(u) is there.
    """
    return {
        operand
        for node in topological(outputs)
        if isinstance(node, Einsum)
        for operand, labels in zip(node.operands, node.labels, strict=True)
        if isinstance(operand, Apply) and operand.function is tanh and not set(labels) <= set(node.output)
    }


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
