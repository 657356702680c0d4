"""Why a local derivative is what it is: the name of its rule, and what a reader may ask.

In: a part of a formula and what it is differentiated by. Out: words. No mathematics is done here.
"""

from __future__ import annotations

import re
from fractions import Fraction

from chainrule.derive.flow import ACTIVATIONS, Flow, Part
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of
from chainrule.expr.walk import variables
from chainrule.rules.elementwise import maximum, minimum, power, relu
from chainrule.rules.table import Elementwise, Row


def role(part: Part, flow: Flow) -> str:
    """What an intermediate variable is: affine, activation, error; "" if it has no name of its own."""
    value = core(part.value)
    match value:
        case Apply() if value.function.name in ACTIVATIONS and value.rank:
            return "activation" if isinstance(value.function, Elementwise) else value.function.name
        case Sum() if _is_affine(value, flow):
            return "affine" if part.name.lower().rstrip("0123456789") != "r" else "residual"
        case Sum() if len(value.terms) == 2 and any(is_minus(t) for t in value.terms) and value.rank:
            return "error" if part.name.lower().rstrip("0123456789") in ("v", "e") else "difference"
        case _:
            return ""


def _is_affine(value: Sum, flow: Flow) -> bool:
    """Whether all that moves in a sum stands in matrix products."""
    moving = [core(t) for t in value.terms if any(v in flow.active for v in variables(t))]
    return bool(moving) and all(map(is_contraction, moving))


def rule(part: Part, argument: Variable, flow: Flow, at_kink: Fraction = Fraction(0)) -> str:
    """The rule by which ∂part/∂argument is found, and why terms are missing."""
    value = core(part.value)
    vector = part.symbol.rank > 0 and argument.rank > 0
    match value:
        case Sum():
            name = _of_sum(value, argument)
        case Einsum():
            name = _of_product(value, argument, flow)
        case Apply():
            name = _of_function(value, argument, at_kink)
            if isinstance(value.function, Elementwise) and vector:
                name = f"element-wise, so diagonal; {name}"
        case Stack():
            name = "entry by entry"
        case _:
            name = "a variable by itself"
    if (
        part.symbol.rank
        and not argument.rank
        and isinstance(value, Sum | Einsum)
        and _is_expanded(value, argument)
    ):
        name = f"scalar expansion: {pretty(argument.name)} stands for 𝟏{pretty(argument.name)}; {name}"
    fixed = _fixed(value, argument, flow)
    return f"{name}; {fixed}" if fixed else name


def core(value: Expr) -> Expr:
    """The expression without a sign, a number or a transpose in front of it."""
    while (
        isinstance(value, Einsum) and len(value.operands) == 1 and set(value.labels[0]) <= set(value.output)
    ):
        inner = value.operands[0]
        if not inner.children:
            return value
        value = inner
    return value


def is_contraction(value: Expr) -> bool:
    """Whether something is summed in a product."""
    if not isinstance(value, Einsum) or len(value.operands) < 2:
        return False
    return any(a not in value.output for axes in value.labels for a in axes)


def is_minus(term: Expr) -> bool:
    """Whether a term is subtracted."""
    return isinstance(term, Einsum) and term.coefficient.rational < 0


def _of_sum(value: Sum, argument: Variable) -> str:
    mine = [term for term in value.terms if argument in variables(term)]
    if len(mine) == 1 and is_contraction(core(mine[0])):
        return _contraction(core(mine[0]))
    if len(value.terms) == 2 and any(map(is_minus, value.terms)):
        return "difference rule"
    return "sum rule"


def _contraction(value: Expr) -> str:
    assert isinstance(value, Einsum)
    ranks = sorted(o.rank for o in value.operands)
    names = {"11": "dot product", "12": "matrix-vector product", "22": "matrix product"}
    return names.get("".join(map(str, ranks)), "product rule")


def _of_product(value: Einsum, argument: Variable, flow: Flow) -> str:
    operands = value.operands
    if len(operands) == 1:
        inner = operands[0]
        summed = any(a not in value.output for a in value.labels[0])
        if isinstance(inner, Apply) and inner.function is power and summed:
            exponent = constant_of(inner.arguments[1])
            squares = exponent is not None and exponent.rational == 2 and not exponent.powers
            return "sum of element-wise squares" if squares else "sum of element-wise powers"
        if summed:
            return "a sum: every entry counts once"
        return "constant multiple rule"
    below = [o for o in operands if isinstance(o, Apply) and o.function is power and _is_negative(o)]
    if below:
        inside = any(argument in variables(o) for o in below)
        return "quotient rule" if inside else "constant multiple rule"
    if is_contraction(value):
        return _contraction(value)
    twice = sum(argument in variables(o) for o in operands) > 1
    if twice:
        return "product rule"
    if value.rank and argument.rank:
        return "element-wise product, so diagonal"
    return "constant multiple rule"


def _is_negative(node: Apply) -> bool:
    exponent = constant_of(node.arguments[1])
    return exponent is not None and exponent.rational < 0


def _of_function(value: Apply, argument: Variable, at_kink: Fraction) -> str:
    row = value.function
    assert isinstance(row, Row)
    says = said_of(row, value)
    if row is relu:
        return f"{says}; relu′(0) is taken as {at_kink}"
    if row in (maximum, minimum) and at_kink:
        return f"{says}; at a tie with a constant the weight is {at_kink}"
    return f"{says}; {row.takes}" if row.takes else says


def said_of(row: Row, node: Apply) -> str:
    """What a row says of its rule, in the name of its argument; the row speaks of x."""
    inner = node.arguments[0] if node.arguments else None
    name = pretty(inner.name) if isinstance(inner, Variable) else "its argument"
    return re.sub(r"(?<![\w(])x(?= [><])", name, row.says)


def _is_expanded(value: Expr, argument: Variable) -> bool:
    """Whether a scalar is added to every entry, or multiplies every entry, of what has entries of its own."""
    if isinstance(value, Sum):
        mine = [core(t) for t in value.terms if argument in variables(t)]
        alone = all(isinstance(t, Einsum) and t.operands == (argument,) for t in mine)
        return len(mine) < len(value.terms) and alone
    return isinstance(value, Einsum) and len(value.operands) > 1 and argument in value.operands


def _fixed(value: Expr, argument: Variable, flow: Flow) -> str:
    """What is held fixed: other arguments that move, and terms that do not depend on the argument."""
    if isinstance(value, Sum):
        without = [t for t in value.terms if argument not in variables(t)]
        names = [pretty(v.name) for t in without for v in variables(t)]
        if names and len(names) <= 3 and not any(v in flow.active for t in without for v in variables(t)):
            verb = "does" if len(names) == 1 else "do"
            return f"{_and(names)} {verb} not depend on {pretty(argument.name)}"
    others = [v for v in variables(value) if v in flow.active and v is not argument]
    if others:
        if len(others) > 3:
            return "all others are held fixed"
        verb = "is" if len(others) == 1 else "are"
        return f"{_and([pretty(v.name) for v in others])} {verb} held fixed"
    return ""


def _and(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
