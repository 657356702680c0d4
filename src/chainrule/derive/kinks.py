"""Where a formula is not differentiable, and what is taken there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, constant_of, number
from chainrule.expr.walk import depends_on, topological, variables
from chainrule.rules.activations import elu
from chainrule.rules.elementwise import abs_, log, maximum, minimum, power, relu, where
from chainrule.rules.spectral import eigvalsh, svdvals
from chainrule.rules.table import Elementwise, Row, Tensorial
from chainrule.rules.tensorial import amax, amin, norm, unit

TIMES = ("", "twice ", "three times ")
_NEGATED = re.compile(r"−([^−+]+) = 0")  # −x = 0 is x = 0


@dataclass(frozen=True)
class Kink:
    """The set where a part of the formula is not differentiable, and the value taken there.

    certain  False where a choice or a condition may join both sides smoothly, as in a Huber loss by cases
    smooth   how many derivatives exist there all the same
    exists   the derivative exists, and what is taken is not it: of relu(x) − relu(−x), which is x
    """

    where: str
    takes: str
    certain: bool = True
    smooth: int = 0
    exists: bool = False

    def __str__(self) -> str:
        if self.exists:
            place = f"where {self.where} too, but this is not its derivative there"
            return f"differentiable {place}; {self.takes}"
        perhaps = "" if self.certain else "perhaps "
        return f"{perhaps}not {TIMES[self.smooth]}differentiable where {self.where}; {self.takes}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What looking at a kink with numbers says: how many derivatives exist there, None if that is not clear.

    holds  whether the answer is the derivative there
    """

    derivatives: int | None
    holds: bool = True


def kinks(
    formula: Expr,
    wrt: Iterable[Expr],
    write: Callable[[Expr], str],
    order: int = 1,
    at_kink: Fraction = Fraction(0),
    look: Callable[[Apply], Seen | None] | None = None,
    answers: Iterable[Expr] = (),
) -> list[Kink]:
    """The kinks of a canonical formula that the variables can move it across; `write` writes a part.

    `look` says of a part with a kink whether the formula has one there; without it, all are taken to show.
    `at_kink` is the derivative taken at the kink of relu, and of a maximum or minimum with a constant.
    |x|³ has none at order 1 and 2, and ln|x| has none where it has a value. Of Σ λᵢ³ the answers, the
    derivatives if they are known, have no eigenvalue any more: what is continuous where two eigenvalues
    coincide is the derivative there too.
    """
    targets, smoothed = list(wrt), without_kinks(answers)
    active = depends_on([formula], targets)
    nodes = topological([formula])
    users: dict[Expr, list[Expr]] = {node: [] for node in nodes}
    for node in nodes:
        for child in dict.fromkeys(node.children):
            users[child].append(node)
    chosen = any(isinstance(n, Apply) and n.function is where and n in active for n in nodes)
    found: dict[Kink, None] = {}
    for node in nodes:
        if not isinstance(node, Apply) or not isinstance(node.function, Row) or not node.function.at_kink:
            continue
        smooth = node.function.smooth(node.arguments)
        if smooth >= order or node.function in smoothed:
            continue
        if node is not formula and all(_is_smooth(node, user, order) for user in users[node]):
            continue
        if any(argument in active for argument in node.arguments):
            row = node.function
            certain = not chosen and not (isinstance(row, Elementwise) and row.indicator)
            seen = look(node) if look is not None else None
            exists = False
            if seen is not None:
                if seen.derivatives is not None and seen.derivatives >= order and seen.holds:
                    continue
                certain, exists = seen.derivatives is not None, not seen.holds
                smooth = smooth if seen.derivatives is None or exists else seen.derivatives
            place, takes = _where(node, row, write), _takes(node, row, write, at_kink)
            found[Kink(place, takes, certain, smooth, exists)] = None
    return list(found)


def without_kinks(answers: Iterable[Expr]) -> tuple[Row, ...]:
    """The rows whose kinks do not show where these derivatives are found: none has a function of the kind."""
    nodes = topological(list(answers))
    rows = [n.function for n in nodes if isinstance(n, Apply)]
    left = not nodes or any(isinstance(row, Tensorial) and row.at_kink for row in rows)
    return () if left else (eigvalsh, svdvals)


def _takes(node: Apply, row: Row, write: Callable[[Expr], str], at_kink: Fraction) -> str:
    """The value taken there; of a maximum, which argument has the weight."""
    if row is relu:
        return f"relu′(0) is taken as {at_kink}"
    if row is elu and at_kink:
        return f"elu′(0) is taken as {at_kink} of the slope on the right, {1 - at_kink} of that on the left"
    if row not in (maximum, minimum):
        return row.takes
    moving = [a for a in node.arguments if variables(a)]
    if len(moving) > 1 or at_kink == 1:
        return f"at a tie {write(moving[0])} has the whole weight"
    return "at a tie " + ("both have the weight 1/2" if at_kink else "the constant has the whole weight")


def _is_smooth(node: Apply, user: Expr, order: int) -> bool:
    """Whether the node's kink at 0 does not show in the expression that uses it, up to this order."""
    if node.function not in (abs_, norm, relu):
        return False
    if isinstance(user, Apply) and user.function is log:
        return node.function is not relu
    if isinstance(user, Apply) and user.function is power and user.arguments[0] is node:
        exponent = constant_of(user.arguments[1])
        if exponent is None or exponent.powers:
            return False
        if exponent.rational < 0:
            return node.function is not relu
        return exponent.rational > order
    # x|x| and x·relu(x) are as smooth as squares.
    if order == 1 and isinstance(user, Einsum) and node.function is not norm:
        factors = list(zip(user.operands, user.labels, strict=True))
        own = [labels for operand, labels in factors if operand is node]
        return all((node.arguments[0], labels) in factors for labels in own)
    return False


def _where(node: Apply, row: Row, write: Callable[[Expr], str]) -> str:
    solved = _solved(node, row, write)
    if solved is not None:
        return f"{solved} in some entry" if node.rank else solved
    constants = [constant_of(a) for a in node.arguments]
    texts = [write(a if c is None else number(c)) for a, c in zip(node.arguments, constants, strict=True)]
    if len(texts) == 2 and constants[0] is not None:
        # A tie reads the same both ways: z = 1, not 1 = z.
        texts.reverse()
    place = re.sub(r"#(\d)", lambda m: texts[int(m[1]) - 1], row.at_kink)
    if isinstance(row, Elementwise):
        place = _NEGATED.sub(r"\1 = 0", place) if _NEGATED.fullmatch(place) else place
        return f"{place} in some entry" if node.rank else place
    argument = node.arguments[0]
    if row in (amax, amin) and node.rank == 1 and argument.rank == 2:
        # One maximum for each row: of Xᵀ, for each column of X.
        return place.replace(f"of {texts[0]}", f"of {_line(texts[0])}")
    if row in (norm, unit) and argument.rank > int(str(node.parameters[0])):
        if argument.rank == 2:
            return f"{_line(texts[0])} is 0"
        return f"{write(Apply(norm, node.arguments, node.parameters))} = 0 in some entry"
    return place


def _solved(node: Apply, row: Row, write: Callable[[Expr], str]) -> str | None:
    """X = 3 for relu(x + 3) = 6, where a number alone stands beside what moves; None for any other tie."""
    if row.at_kink == "#1 = 0":
        side, bound = node.arguments[0], Fraction(0)
    elif row.at_kink == "#1 = #2":
        sides = [a for a in node.arguments if constant_of(a) is None]
        bounds = [_rational(a) for a in node.arguments if a not in sides]
        if len(sides) != 1 or bounds[0] is None:
            return None
        side, bound = sides[0], bounds[0]
    else:
        return None
    start = side
    while isinstance(side, Apply) and side.function is relu and bound > 0:
        side = side.arguments[0]  # relu(u) = 6 is u = 6
    numbers = [_rational(term) for term in side.terms] if isinstance(side, Sum) else []
    if isinstance(side, Sum) and numbers.count(None) == 1 and not write(side).isidentifier():
        bound -= sum((value for value in numbers if value is not None), Fraction(0))
        side = side.terms[numbers.index(None)]
        if isinstance(side, Einsum) and not side.coefficient.powers:
            bound /= side.coefficient.rational
            side = Einsum(ONE, side.operands, side.labels, side.output)
    return None if side is start else f"{write(side)} = {write(number(bound))}"


def _rational(expr: Expr) -> Fraction | None:
    """The number that fills an expression, if it is a fraction."""
    constant = constant_of(expr)
    return None if constant is None or constant.powers else constant.rational


def _line(matrix: str) -> str:
    """What a row of a matrix is called: of Xᵀ, a column of X."""
    name = matrix.removesuffix("ᵀ")
    return f"a column of {name}" if name != matrix and name.isidentifier() else f"a row of {matrix}"
