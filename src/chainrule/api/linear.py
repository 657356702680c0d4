"""Linear systems in closed form: Σ H_ij x_j = r_i solved by eliminating one variable after the other.

In: for each pair of variables the array H_ij, axes those of x_i and then of x_j, and the right sides. Out:
each variable in terms of those that are still open, and in full; or why there is no inverse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, add, constant_of, negate
from chainrule.expr.walk import substitute
from chainrule.rules.tensorial import inv
from chainrule.simplify import Normaliser, simplify
from chainrule.simplify.normal import split

Blocks = Mapping[tuple[Variable, Variable], Expr]


class Unsolved(Exception):
    """Why there is no closed form."""


@dataclass(frozen=True)
class Solved:
    """One variable: `step` in terms of variables that were eliminated later, `full` in terms of none.

    pivot  what was inverted
    """

    variable: Variable
    step: Expr
    full: Expr
    pivot: Expr


def solve(blocks: Blocks, sides: Mapping[Variable, Expr], variables: Sequence[Variable]) -> list[Solved]:
    """The variables in the order in which they were eliminated.

    Raises: Unsolved.

    >>> from chainrule.expr.dims import Dim
    >>> n = Dim.of("n")
    >>> A, x, b = Variable("A", (n, n)), Variable("x", (n,)), Variable("b", (n,))
    >>> solve({(x, x): A}, {x: b}, [x])[0].full
    <ij,j->i inv(A), b>
    """
    H, r = dict(blocks), dict(sides)
    left, steps = list(variables), []
    while left:
        pivot = _pivot(H, left)
        left.remove(pivot)
        known = r[pivot]
        for other in left:
            known = add(known, negate(_times(H[pivot, other], other, other)))
        steps.append((pivot, _inverted(H[pivot, pivot], known, pivot), H[pivot, pivot]))
        for i in left:
            # x_pivot = H⁻¹(r − Σ H x) put into the other equations.
            gained = _inverted(H[pivot, pivot], r[pivot], pivot)
            r[i] = simplify(add(r[i], negate(_times(H[i, pivot], gained, pivot))))
            for j in left:
                moved = _columns(H[pivot, pivot], H[pivot, j], pivot)
                H[i, j] = simplify(add(H[i, j], negate(_product(H[i, pivot], moved, i, pivot, j))))
    found: dict[Expr, Expr] = {}
    solved: list[Solved] = []
    for variable, step, inverted in reversed(steps):
        full = simplify(substitute(step, found))
        found[variable] = full
        solved.append(Solved(variable, simplify(step), full, inverted))
    return solved[::-1]


def _pivot(H: Blocks, left: Sequence[Variable]) -> Variable:
    """A number first, then whatever has an equation of its own."""
    able = [v for v in left if not _is_zero(H[v, v])]
    if not able:
        raise Unsolved("no variable stands in its own equation, so none can be solved for first")
    return min(able, key=lambda v: (v.rank, left.index(v)))


def _is_zero(expr: Expr) -> bool:
    constant = constant_of(expr)
    return constant is not None and constant.is_zero


def _times(H: Expr, x: Expr, of: Variable) -> Expr:
    """H x over the axes of x."""
    axes = tuple(range(H.rank))
    return Einsum(ONE, (H, x), (axes, axes[H.rank - of.rank :]), axes[: H.rank - of.rank])


def _product(A: Expr, B: Expr, i: Variable, k: Variable, j: Variable) -> Expr:
    rows = tuple(range(i.rank))
    inner = tuple(range(i.rank, i.rank + k.rank))
    columns = tuple(range(i.rank + k.rank, i.rank + k.rank + j.rank))
    return Einsum(ONE, (A, B), (rows + inner, inner + columns), rows + columns)


def _inverted(H: Expr, right: Expr, of: Variable) -> Expr:
    """H⁻¹ right, where right has the axes of the variable."""
    return _columns(H, right, of)


def _columns(H: Expr, right: Expr, of: Variable) -> Expr:
    """H⁻¹ applied to the first axes of `right`."""
    rest = tuple(range(10, 10 + right.rank - of.rank))
    match of.rank:
        case 0:
            axes = tuple(range(right.rank))
            return Einsum(ONE, (simplify(H**-1), right), ((), axes), axes)
        case 1:
            return Einsum(ONE, (Apply(inv, (H,)), right), ((0, 1), (1, *rest)), (0, *rest))
        case 2:
            A, B = kronecker(H)
            factors = [
                (Apply(inv, (M,)), labels) for M, labels in ((A, (0, 2)), (B, (1, 3))) if M is not None
            ]
            place = [2 if A is not None else 0, 3 if B is not None else 1]
            return Einsum(
                ONE,
                [*(M for M, _ in factors), right],
                [*(labels for _, labels in factors), (*place, *rest)],
                (0, 1, *rest),
                dict(enumerate(H.shape)),
            )
        case _:
            raise Unsolved("unknowns with more than two axes are not solved for")


def kronecker(H: Expr) -> tuple[Expr | None, Expr | None]:
    """A and B with H_abcd = A_ac B_bd, None for an identity.

    Raises: Unsolved if the rows and the columns of the unknown are coupled in another way.
    """
    normal = Normaliser()
    whole = normal(H)
    terms = whole.terms if isinstance(whole, Sum) else (whole,)
    pairs = [_separated(term) for term in terms]
    for side in (0, 1):
        if all(pair[side] is pairs[0][side] for pair in pairs):
            others = [pair[1 - side] for pair in pairs]
            sized = [_eye_like(o, H, 1 - side) if o is None else o for o in others]
            coefficients = [split(term)[0] for term in terms]
            total = simplify(add(*(_scaled(c, o) for c, o in zip(coefficients, sized, strict=True))))
            same = pairs[0][side]
            return (same, total) if side == 0 else (total, same)
    raise Unsolved(
        "the equation holds sums of the form A X B with different A and B, as a Sylvester equation does, and "
        "such sums have no inverse in matrix language"
    )


def _scaled(coefficient: object, matrix: Expr) -> Expr:
    return Einsum(coefficient, (matrix,), ((0, 1),), (0, 1))  # type: ignore[arg-type]


def _eye_like(_: object, H: Expr, side: int) -> Expr:
    dim = H.shape[side]
    return Einsum(ONE, (), (), (0, 0), {0: dim})


def _separated(term: Expr) -> tuple[Expr | None, Expr | None]:
    """The factors of one term without its coefficient, by the axes that they connect; numbers go left."""
    if not isinstance(term, Einsum):
        raise Unsolved("the rows and the columns of the unknown are coupled")
    a, b, c, d = term.output
    root: dict[int, int] = {label: label for label in range(len(term.sizes))}

    def find(label: int) -> int:
        while root[label] != label:
            label = root[label]
        return label

    for axes in term.labels:
        for one, other in pairwise(axes):
            root[find(one)] = find(other)
    if {find(a), find(c)} & {find(b), find(d)}:
        raise Unsolved("the rows and the columns of the unknown are coupled")
    sides: list[Expr | None] = []
    pairs = list(zip(term.operands, term.labels, strict=True))
    scalars = [(o, axes) for o, axes in pairs if not axes]
    normal = Normaliser()
    for k, (left, right) in enumerate(((a, c), (b, d))):
        own = [(o, axes) for o, axes in pairs if axes and find(axes[0]) in (find(left), find(right))]
        own += scalars if not k else []
        if left == right and not own:
            sides.append(None)
            continue
        made = Einsum(
            ONE, [o for o, _ in own], [x for _, x in own], (left, right), dict(enumerate(term.sizes))
        )
        sides.append(normal(made))
    return sides[0], sides[1]
