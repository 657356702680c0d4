"""Why a local derivative is what it is: the name of its rule, and what a reader may ask.

In: a part of a formula and what it is differentiated by. Out: words. No mathematics is done here.
"""

from __future__ import annotations

import re
from fractions import Fraction

from chainrule.derive.flow import ACTIVATIONS, Flow, Part, is_given, is_squared_norm
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of
from chainrule.expr.walk import variables
from chainrule.rules.constants import BASIS
from chainrule.rules.elementwise import maximum, minimum, power, relu
from chainrule.rules.indexing import one_hot
from chainrule.rules.table import Elementwise, Row


def role(part: Part, flow: Flow) -> str:
    """What an intermediate variable is: affine, activation, error; "" if it has no name of its own."""
    value = core(part.value)
    match value:
        case Apply() if isinstance(value.function, Elementwise) and value.function.name in ACTIVATIONS:
            return "activation" if value.rank else ""
        case Sum() if _is_error(value, flow):
            return "residual" if _is_affine(value, flow) or _is_turned(value, flow) else "error"
        case Sum() if _is_affine(value, flow):
            return "affine"
        case Sum() if len(value.terms) == 2 and any(is_minus(t) for t in value.terms) and value.rank:
            return "difference"
        case _:
            return ""


def _is_error(value: Sum, flow: Flow) -> bool:
    """Whether a prediction, which is more than the variable itself, is compared with what is given."""
    if len(value.terms) != 2 or not any(map(is_minus, value.terms)) or not value.rank:
        return False
    terms = [core(t) for t in value.terms]
    bare = [t.operands[0] if isinstance(t, Einsum) and len(t.operands) == 1 else t for t in terms]
    other = [t for t in bare if not is_given(t, flow.active)]
    return len(other) == 1 and other[0] not in flow.wrt


def _is_turned(value: Sum, flow: Flow) -> bool:
    """Whether the prediction is subtracted: what is given minus it, the error with its sign turned."""
    return any(is_minus(t) and any(v in flow.active for v in variables(t)) for t in value.terms)


def _is_affine(value: Sum, flow: Flow) -> bool:
    """Whether all that moves in a sum stands in matrix products; a bias may move beside a weight."""
    moving = [core(t) for t in value.terms if any(v in flow.active for v in variables(t))]
    products = [t for t in moving if is_contraction(t)]
    biases = [t for t in moving if _is_bias(t, flow)] if len(flow.wrt) > 1 else []
    return bool(products) and len(products) + len(biases) == len(moving)


def _is_bias(term: Expr, flow: Flow) -> bool:
    """Whether it is a variable that moves, perhaps the same in every row."""
    bare = term.operands[0] if isinstance(term, Einsum) and len(term.operands) == 1 else term
    return bare in flow.wrt


def rule(part: Part, argument: Variable, flow: Flow, at_kink: Fraction = Fraction(0)) -> str:
    """The rule by which ∂part/∂argument is found, and why terms are missing."""
    value = core(part.value)
    vectors = part.symbol.rank == argument.rank == 1
    name = _named(value, argument, at_kink, vectors)
    if (
        part.symbol.rank
        and not argument.rank
        and isinstance(value, Sum | Einsum)
        and _is_expanded(value, argument)
    ):
        name = f"scalar expansion: {pretty(argument.name)} stands for 𝟏{pretty(argument.name)}; {name}"
    fixed = _fixed(value, argument, flow)
    return f"{name}; {fixed}" if fixed else name


def of_differential(part: Part, flow: Flow, at_kink: Fraction = Fraction(0)) -> str:
    """The rule by which d(part) is found; in a differential everything moves and nothing is held fixed."""
    value, moving = core(part.value), flow.arguments(part)
    if isinstance(value, Einsum) and sum(any(v in moving for v in variables(o)) for o in value.operands) > 1:
        divided = any(_is_divisor(o) and set(moving) & set(variables(o)) for o in value.operands)
        return "quotient rule" if divided else "product rule"
    if isinstance(value, Sum) and len(moving) > 1:
        return _of_terms(value)
    names = dict.fromkeys(_named(value, argument, at_kink, False) for argument in moving)
    fixed = _constant(value, moving[0], flow) if isinstance(value, Sum) and len(moving) == 1 else ""
    return "; ".join([*names, fixed] if fixed else names)


def _named(value: Expr, argument: Variable, at_kink: Fraction, vectors: bool) -> str:
    """The name of a rule; `vectors` if a Jacobian of two vectors is found, which may be diagonal."""
    match value:
        case Sum():
            return _of_sum(value, argument)
        case Einsum():
            return _of_product(value, argument, vectors)
        case Apply():
            name = _of_function(value, argument, at_kink)
            if isinstance(value.function, Elementwise) and value.rank:
                return f"element-wise, so diagonal; {name}" if vectors else f"element-wise; {name}"
            return name
        case Stack():
            return "entry by entry"
        case _:
            return "a variable by itself"


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
        return _contraction(core(mine[0]), argument)
    return _of_terms(value)


def _of_terms(value: Sum) -> str:
    if len(value.terms) == 2 and any(map(is_minus, value.terms)):
        return "difference rule"
    return "sum rule"


def _contraction(value: Expr, argument: Variable) -> str:
    assert isinstance(value, Einsum)
    operands = value.operands
    if any(isinstance(o, Apply) and o.function is BASIS for o in operands) and len(operands) == 2:
        return "one entry is picked"
    if any(isinstance(o, Apply) and o.function is one_hot for o in operands) and len(operands) == 2:
        return "entries are picked by number"
    if sum(argument in variables(o) for o in operands) > 1:
        square = len(operands) == 2 and operands[0] is operands[1] and operands[0].rank == 1
        return "dot product with itself" if square else "product rule"
    ranks = sorted(o.rank for o in operands)
    names = {"11": "dot product", "12": "matrix-vector product", "22": "matrix product"}
    other = "the derivative of a linear map is that map" if argument.rank else "constant multiple rule"
    return names.get("".join(map(str, ranks)), other)


def _of_product(value: Einsum, argument: Variable, vectors: bool) -> str:
    operands = value.operands
    if len(operands) == 1:
        inner = operands[0]
        summed = any(a not in value.output for a in value.labels[0])
        if isinstance(inner, Apply) and inner.function is power and summed:
            exponent = constant_of(inner.arguments[1])
            squares = exponent is not None and exponent.rational == 2 and not exponent.powers
            return "sum of element-wise squares" if squares else "sum of element-wise powers"
        if summed and len(set(value.labels[0])) < inner.rank:
            return "a trace: every entry of the diagonal counts once"
        if summed:
            return "a sum: every entry counts once"
        return "constant multiple rule"
    below = [o for o in operands if _is_divisor(o)]
    if below:
        inside = any(argument in variables(o) for o in below)
        return "quotient rule" if inside else "constant multiple rule"
    if is_contraction(value):
        return _contraction(value, argument)
    moving = [k for k, o in enumerate(operands) if argument in variables(o)]
    if len(moving) > 1:
        return "product rule"
    mine = set(value.labels[moving[0]]) if moving else set()
    others = [axes for k, axes in enumerate(value.labels) if k not in moving]
    if not any(others) or not mine:
        return "constant multiple rule"
    if any(not set(axes) <= mine for axes in others):
        return "outer product" if not any(mine & set(axes) for axes in others) else "element-wise product"
    return "element-wise product, so diagonal" if vectors else "element-wise product"


def _is_divisor(node: Expr) -> bool:
    if not isinstance(node, Apply) or node.function is not power:
        return False
    exponent = constant_of(node.arguments[1])
    return exponent is not None and exponent.rational < 0


def _of_function(value: Apply, argument: Variable, at_kink: Fraction) -> str:
    row = value.function
    assert isinstance(row, Row)
    says = said_of(row, value)
    if is_squared_norm(value):
        return "a squared norm: d‖x‖² = 2xᵀdx"
    if row is power and argument in variables(value.arguments[1]):
        both = "power rule and " if argument in variables(value.arguments[0]) else ""
        says = f"{both}exponential rule: d(aᵘ) = aᵘ ln(a) du"
    if not any(a is argument for a in value.arguments):
        says += ", times the inner derivative"
    if row is relu or (row in (maximum, minimum) and at_kink):
        return taken_at(row, says, at_kink)
    if row.smooth(value.arguments):
        return says
    if row.at_kink == "#1 = 0":
        return f"{says}; at 0 {row.takes}"
    return f"{says}; {row.takes}" if row.takes else says


def said_of(row: Row, node: Apply) -> str:
    """What a row says of its rule, in the name of its argument; the row speaks of x."""
    inner = node.arguments[0] if node.arguments else None
    name = pretty(inner.name) if isinstance(inner, Variable) else "its argument"
    return re.sub(r"(?<![\w(])x(?= [><])", name, row.says)


def taken_at(row: Row, says: str, at_kink: Fraction) -> str:
    """What a row says, with the value that was chosen for its kink."""
    if row is relu:
        return f"{says.replace(', else 0', ', 0 below')}; relu′(0) is taken as {at_kink}"
    return f"{says}; at a tie with a constant the weight is {at_kink}"


def _is_expanded(value: Expr, argument: Variable) -> bool:
    """Whether a scalar is added to every entry, or multiplies every entry, of what has entries of its own."""
    if isinstance(value, Sum):
        mine = [core(t) for t in value.terms if argument in variables(t)]
        alone = all(isinstance(t, Einsum) and t.operands == (argument,) for t in mine)
        return len(mine) < len(value.terms) and alone
    return isinstance(value, Einsum) and len(value.operands) > 1 and argument in value.operands


def _fixed(value: Expr, argument: Variable, flow: Flow) -> str:
    """What is held fixed: other arguments that move, and terms that do not depend on the argument."""
    if isinstance(value, Sum) and (constant := _constant(value, argument, flow)):
        return constant
    others = [v for v in variables(value) if v in flow.active and v is not argument]
    if others:
        if len(others) > 3:
            return "all others are held fixed"
        verb = "is" if len(others) == 1 else "are"
        return f"{_and([pretty(v.name) for v in others])} {verb} held fixed"
    return ""


def _constant(value: Sum, argument: Variable, flow: Flow) -> str:
    """The names in terms that do not depend on the argument, where nothing in them moves."""
    without = [t for t in value.terms if argument not in variables(t)]
    names = list(dict.fromkeys(pretty(v.name) for t in without for v in variables(t)))
    if not names or len(names) > 3 or any(v in flow.active for t in without for v in variables(t)):
        return ""
    return f"{_and(names)} {'does' if len(names) == 1 else 'do'} not depend on {pretty(argument.name)}"


def _and(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
