"""The derivative pushed inward, one rule at a time: d/dx of a whole becomes derivatives of its parts.

In: a formula as it was written, and a variable. Out: steps. The unevaluated derivative of an expression is a
node like any other, with the axes of the expression followed by those of the variable; or, for a
differential, with the axes of the expression alone, where the differential of the variable is a variable
`dX` itself. Each step replaces one such node by an expression in derivatives of its parts, until none is
left. The rules are those of the reverse sweep in `engine`, so both must end in equal expressions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final, TypeGuard

from chainrule.derive.engine import jacobians
from chainrule.errors import NoDerivative
from chainrule.expr.dims import ONE
from chainrule.expr.nodes import (
    Apply,
    Einsum,
    Expr,
    Function,
    Parameter,
    Shape,
    Stack,
    Sum,
    Variable,
    constant_of,
    identity,
    number,
    permute,
    zeros,
)
from chainrule.expr.walk import depends_on, topological, transform
from chainrule.rules.elementwise import power
from chainrule.rules.linear_maps import Map, repeated
from chainrule.rules.table import Elementwise, Row, Tensorial
from chainrule.steps import Path, Step


class Unevaluated(Function):
    """The derivative of its argument, not yet taken; its parameters are the sizes of the variable."""

    name = "unevaluated derivative"

    def result_shape(self, shapes: Sequence[Shape], parameters: tuple[Parameter, ...]) -> Shape:
        """The axes of the argument, then those of the variable."""
        return (*shapes[0], *parameters)


UNEVALUATED: Final = Unevaluated()


def is_unevaluated(node: Expr) -> bool:
    """Whether it is a derivative that has not been taken."""
    return isinstance(node, Apply) and node.function is UNEVALUATED


@dataclass(frozen=True)
class Move:
    """All places of one unevaluated derivative replaced at once: one line of a derivation.

    body   what the rule was applied to
    after  what the rule gives for it
    whole  the expression after it; made when it is asked for, as few lines of a long derivation are shown
    steps  one for each place
    """

    rule: str
    why: str
    body: Expr
    after: Expr
    _node: Expr
    _number: int
    _moves: Moves

    @cached_property
    def whole(self) -> Expr:
        """The expression after it."""
        return self._moves.whole(self._number + 1)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """One for each place."""
        before = self._moves[self._number - 1].whole if self._number else self._moves.whole(0)
        places = _places(before, self._node)
        return tuple(Step(self.rule, path, self._node, self.after, self.why) for path in places)


class Moves(list[Move]):
    """Every move of one derivation; `plain` are parts without a derivative that is not taken."""

    def __init__(self, start: Expr, plain: set[Expr]) -> None:
        super().__init__()
        self.start, self.plain = start, plain

    def whole(self, count: int) -> Expr:
        """The expression after so many moves."""
        done: dict[Expr, Expr] = {}
        later: set[Expr] = set()
        for move in reversed(self[:count]):
            after = transform(move.after, lambda node: node, done)
            if move._node in done:
                # It comes back later: what holds it then is not what holds it now.
                done = {n: e for n, e in done.items() if n in self.plain or n in later}
            later.add(move._node)
            done[move._node] = after
        return transform(self.start, lambda node: node, done)


class Inward:
    """Pushes d/d`wrt` inward; with `differential`, the differential, which has no axes of its own.

    >>> x = Variable("x")
    >>> inward = Inward(9 * (x + x**2), x)
    >>> [move.rule for move in inward.moves()]
    ['constant multiple rule', 'sum rule', 'dx/dx = 1', 'power rule']
    """

    def __init__(
        self, expr: Expr, wrt: Variable, *, differential: bool = False, at_kink: Fraction = Fraction(0)
    ) -> None:
        self.expr, self.wrt, self.differential, self.at_kink = expr, wrt, differential, at_kink
        self.tail: Shape = () if differential else wrt.shape
        self.moved = Variable(f"d{wrt.name}", wrt.shape)
        self.active = depends_on([expr], [wrt])
        self.start = self.derivative(expr)

    def derivative(self, body: Expr) -> Expr:
        """The unevaluated derivative of an expression; the differential of the variable is itself."""
        while _is_wrapped(body):
            (body,) = body.children
        if self.differential and body is self.wrt:
            return self.moved
        return Apply(UNEVALUATED, (body,), self.tail)

    def moves(self, most: int = 10_000) -> Moves:
        """Every step until nothing is left to derive, the first place first, at most so many."""
        moves = Moves(self.start, set(topological([self.expr])))
        holding: set[Expr] = set()
        # How many moves came before the last one at a node, and before an expression was there.
        last: dict[Expr, int] = {}
        pending = [(self.start, 0)]
        while pending and len(moves) < most:
            node, since = pending.pop()
            if isinstance(node, Apply) and node.function is UNEVALUATED:
                if last.get(node, -1) >= since:
                    continue
                body = node.arguments[0]
                rule, after, why = self._rule(body)
                last[node] = len(moves)
                moves.append(Move(rule, why, body, after, node, len(moves), moves))
                _sorted_out([after], moves.plain, holding)
                pending.append((after, len(moves)))
            elif node in holding:
                pending.extend((child, since) for child in reversed(node.children) if child in holding)
        return moves

    @property
    def end(self) -> Expr:
        """The derivative when nothing is left to derive."""
        moves = self.moves()
        return moves[-1].whole if moves else self.start

    # ------------------------------------------------------------ the rules

    def _rule(self, body: Expr) -> tuple[str, Expr, str]:
        """The rule that applies to the derivative of `body`, what it gives, and why."""
        if body not in self.active:
            return "constant rule", zeros(body.shape + self.tail), ""
        if body is self.wrt:
            return "dx/dx = 1", identity(body.shape), ""
        match body:
            case Sum():
                return self._sum(body)
            case Einsum():
                return self._einsum(body)
            case Apply():
                return self._apply(body)
            case Stack():
                return "entry by entry", Stack([self._part(entry) for entry in body.entries]), ""
            case _:
                raise AssertionError(type(body))

    def _part(self, body: Expr) -> Expr:
        """The derivative of a part: 0 at once where nothing in it moves."""
        return self.derivative(body) if body in self.active else zeros(body.shape + self.tail)

    def _sum(self, body: Sum) -> tuple[str, Expr, str]:
        negative = [isinstance(t, Einsum) and t.coefficient.rational < 0 for t in body.terms]
        name = "difference rule" if len(body.terms) == 2 and negative[1] else "sum rule"
        moving = [
            # A minus sign needs no step of its own.
            self._with(term, 0) if _is_minus(term) else self.derivative(term)
            for term in body.terms
            if term in self.active
        ]
        return name, moving[0] if len(moving) == 1 else Sum(moving), ""

    def _einsum(self, body: Einsum) -> tuple[str, Expr, str]:
        moving = [k for k, o in enumerate(body.operands) if o in self.active]
        if len(moving) == 1:
            return self._linear_name(body), self._with(body, moving[0]), ""
        quotient = self._quotient(body, moving)
        if quotient is not None:
            return "quotient rule", quotient, ""
        return "product rule", Sum([self._with(body, k) for k in moving]), ""

    def _with(self, body: Einsum, k: int) -> Expr:
        """The product with operand k replaced by its derivative."""
        return self._replaced(body, {k: self.derivative(body.operands[k])}, k)

    def _replaced(self, body: Einsum, parts: dict[int, Expr], k: int) -> Expr:
        count = len(body.sizes)
        back = tuple(range(count, count + len(self.tail)))
        operands = [parts.get(j, operand) for j, operand in enumerate(body.operands)]
        labels = [axes + back if j == k else axes for j, axes in enumerate(body.labels)]
        sizes = dict(enumerate(body.sizes)) | dict(zip(back, self.tail, strict=True))
        return Einsum(body.coefficient, operands, labels, body.output + back, sizes)

    def _quotient(self, body: Einsum, moving: Sequence[int]) -> Expr | None:
        """(u′v − u v′)/v² for u/v entry by entry."""
        if len(moving) != 2 or len(body.operands) != 2:
            return None
        below = [k for k in moving if _is_reciprocal(body.operands[k])]
        if len(below) != 1 or body.labels[0] != body.labels[1] or body.labels[0] != body.output:
            return None
        bottom = below[0]
        u, v = body.operands[1 - bottom], body.operands[bottom].children[0]
        count = body.rank
        axes = tuple(range(count))
        back = tuple(range(count, count + len(self.tail)))
        sizes = dict(zip(axes + back, body.shape + self.tail, strict=True))

        def times(a: Expr, b: Expr, sign: int) -> Expr:
            labels = [axes + back if is_unevaluated(part) or part is self.moved else axes for part in (a, b)]
            scale = ONE if sign > 0 else -ONE
            return Einsum(scale, (a, b), labels, axes + back, sizes)

        above = Sum([times(self.derivative(u), v, 1), times(u, self.derivative(v), -1)])
        return Einsum(body.coefficient, (above, v ** (-2)), (axes + back, axes), axes + back, sizes)

    def _linear_name(self, body: Einsum) -> str:
        if len(body.operands) > 1 and _is_contraction(body):
            return "the derivative of a linear map is that map"
        if _is_contraction(body):
            return "the derivative of a sum is the sum of the derivatives"
        if len(body.operands) == 1 and body.coefficient.is_one:
            if len(set(body.output)) < len(body.output) or len(set(body.labels[0])) < len(body.labels[0]):
                return "the derivative of a linear map is that map"  # diag, of a vector or of a matrix
            carried = set(body.labels[0])
            return "scalar expansion" if set(body.output) != carried else "transposed entry by entry"
        return "constant multiple rule"

    def _apply(self, body: Apply) -> tuple[str, Expr, str]:
        row = body.function
        assert isinstance(row, Elementwise | Tensorial), f"no kind of row: {row}"
        terms: list[Expr] = []
        chained = False
        for k, argument in enumerate(body.arguments):
            if argument not in self.active or row.d[k] is None:
                continue
            chained = chained or argument is not self.wrt
            terms.append(self._through(body, row, k, argument))
        if not terms:
            return _named(row, False), zeros(body.shape + self.tail), row.says
        after = terms[0] if len(terms) == 1 else Sum(terms)
        if row is power and body.arguments[1] in self.active:
            both = "power rule and " if body.arguments[0] in self.active else ""
            return f"{both}exponential rule" + (", chain rule" if chained else ""), after, ""
        return _named(row, chained), after, row.says if row.name != "power" else ""

    def _through(self, body: Apply, row: Elementwise | Tensorial, k: int, argument: Expr) -> Expr:
        """∂f/∂argument times the derivative of the argument."""
        rule = (row.derivatives(self.at_kink) if isinstance(row, Elementwise) else row.d)[k]
        if rule is None or isinstance(rule, str):
            raise NoDerivative(
                f"no derivative is known for `{row.name}`",
                hint=f"{row.says}; write stop({row.name}(...)) to treat it as constant",
            )
        plain = argument is self.wrt and not self.differential
        inner = identity(argument.shape) if plain else self.derivative(argument)
        axes = tuple(range(body.rank))
        if isinstance(row, Elementwise):
            local = _folded(rule(*body.arguments, body))
            if plain and not argument.rank:
                return local
            back = tuple(range(body.rank, body.rank + len(self.tail)))
            return Einsum(ONE, (local, inner), (axes, axes + back), axes + back)
        along = row.along[k] if row.along else None
        if along is not None:
            return self._along(body, along, inner, argument.rank)
        local = rule(*body.arguments, body, body.parameters)
        core = row.cores(body.parameters)[k]
        batch = argument.rank - core
        summed = tuple(range(body.rank, body.rank + core))
        back = tuple(range(body.rank + core, body.rank + core + len(self.tail)))
        return Einsum(ONE, (local, inner), (axes + summed, axes[:batch] + summed + back), axes + back)

    def _along(self, body: Apply, along: Map, inner: Expr, rank: int) -> Expr:
        """A named linear map of the derivative of the argument, whose own axes go in front for that."""
        extra = inner.rank - rank
        order = (*range(rank, inner.rank), *range(rank))
        front = inner.shape[rank:]
        arguments = [repeated(a, front) for a in body.arguments]
        moved = along(*arguments, permute(inner, order), body.parameters)
        return permute(moved, (*range(extra, moved.rank), *range(extra)))


def _named(row: Row, chained: bool) -> str:
    if row is power:
        name = "power rule"
    else:
        name = row.says if row.says.startswith("derivative of") else f"derivative of {row.name}"
    return f"{name}, chain rule" if chained else name


def _is_wrapped(body: Expr) -> bool:
    """Whether it is a product of one factor, which is that factor and needs no step of its own."""
    alone = isinstance(body, Einsum) and len(body.operands) == 1 and body.coefficient.is_one
    return alone and isinstance(body, Einsum) and body.labels[0] == body.output == tuple(range(body.rank))


def _is_minus(term: Expr) -> TypeGuard[Einsum]:
    if not isinstance(term, Einsum) or len(term.operands) != 1 or term.labels[0] != term.output:
        return False
    return (-term.coefficient).is_one


def _is_contraction(body: Einsum) -> bool:
    return any(label not in body.output for axes in body.labels for label in axes)


def _is_reciprocal(node: Expr) -> bool:
    if not isinstance(node, Apply) or node.function is not power:
        return False
    exponent = constant_of(node.arguments[1])
    return exponent is not None and exponent.rational == -1 and not exponent.powers


def _folded(local: Expr) -> Expr:
    """A local derivative with its numbers added up: 2x, not 2x²⁻¹."""

    def change(node: Expr) -> Expr:
        if isinstance(node, Sum) and all(constant_of(t) is not None for t in node.terms):
            constants = [c for c in map(constant_of, node.terms) if c is not None]
            if all(not c.powers for c in constants):
                return number(sum((c.rational for c in constants), Fraction(0)), node.shape)
        if isinstance(node, Apply) and node.function is power:
            exponent = constant_of(node.arguments[1])
            if exponent is not None and exponent.is_one:
                return node.arguments[0]
        return node

    return transform(local, change)


def _sorted_out(roots: Sequence[Expr], plain: set[Expr], holding: set[Expr]) -> None:
    """Puts new nodes into those that hold a derivative that is not taken, and those that do not."""
    for node in topological(roots, plain):
        if is_unevaluated(node) or any(child in holding for child in node.children):
            holding.add(node)
        else:
            plain.add(node)


def _places(whole: Expr, wanted: Expr) -> list[Path]:
    """Every place of a node in an expression, the first one first."""
    above = depends_on([whole], [wanted])
    paths: list[Path] = []
    pending: list[tuple[Expr, Path]] = [(whole, ())]
    while pending:
        node, path = pending.pop()
        if node is wanted:
            paths.append(path)
            continue
        inside = [(child, (*path, k)) for k, child in enumerate(node.children) if child in above]
        pending.extend(reversed(inside))
    return paths


def taken(expr: Expr, wrt: Variable, differential: bool = False, at_kink: Fraction = Fraction(0)) -> Expr:
    """An expression with every derivative in it taken by the engine: what it stands for."""

    def change(node: Expr) -> Expr:
        if not is_unevaluated(node):
            return node
        body = node.children[0]
        jacobian = jacobians(body, [wrt], at_kink)[wrt]
        if not differential:
            return jacobian
        axes = tuple(range(jacobian.rank))
        moved = Variable(f"d{wrt.name}", wrt.shape)
        return Einsum(ONE, (jacobian, moved), (axes, axes[body.rank :]), axes[: body.rank])

    return transform(expr, change)
