"""Linear systems in closed form: Σ H_ij x_j = r_i solved by eliminating one variable after the other.

In: for each pair of variables the array H_ij, axes those of x_i and then of x_j, and the right sides. Out:
each variable in terms of those that are still open, and in full; or why there is no inverse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, add, constant_of, negate
from chainrule.expr.walk import substitute
from chainrule.rules.tensorial import inv
from chainrule.simplify import Normaliser, simplify
from chainrule.simplify.normal import split

Axes = tuple[int, ...]
# Labels of the inverses for an unknown of each number of axes.
PLACES: tuple[tuple[Axes, ...], ...] = (((),), ((0, 1),), ((0, 2), (1, 3)))
Blocks = Mapping[tuple[Variable, Variable], Expr]


class Unsolved(Exception):
    """Why there is no closed form."""


@dataclass(frozen=True)
class Solved:
    """One variable: `step` in terms of variables that were eliminated later, `full` in terms of none.

    pivot     the matrix, or the number, that was inverted
    inverted  what its inverse is made of: each inverse, and what it is the inverse of
    """

    variable: Variable
    step: Expr
    full: Expr
    pivot: Expr
    inverted: tuple[tuple[Expr, Expr], ...]


def solve(blocks: Blocks, sides: Mapping[Variable, Expr], variables: Sequence[Variable]) -> list[Solved]:
    """The variables in the order in which they were eliminated.

    Raises: Unsolved.

    >>> from chainrule.expr.dims import Dim
    >>> n = Dim.of("n")
    >>> A, x, b = Variable("A", (n, n)), Variable("x", (n,)), Variable("b", (n,))
    >>> solve({(x, x): A}, {x: b}, [x])[0].full.shape  # A⁻¹ b
    (Dim(n),)
    """
    H, r = dict(blocks), dict(sides)
    left, steps = list(variables), []
    while left:
        pivot = _pivot(H, left)
        left.remove(pivot)
        known = r[pivot]
        for other in left:
            known = add(known, negate(_times(H[pivot, other], other, other)))
        steps.append((pivot, _columns(H[pivot, pivot], known, pivot), H[pivot, pivot]))
        for i in left:
            # x_pivot = H⁻¹(r − Σ H x) put into the other equations.
            gained = _columns(H[pivot, pivot], r[pivot], pivot)
            r[i] = simplify(add(r[i], negate(_times(H[i, pivot], gained, pivot))))
            for j in left:
                moved = _columns(H[pivot, pivot], H[pivot, j], pivot)
                H[i, j] = simplify(add(H[i, j], negate(_product(H[i, pivot], moved, i, pivot, j))))
    found: dict[Expr, Expr] = {}
    solved: list[Solved] = []
    for variable, step, inverted in reversed(steps):
        full = simplify(substitute(step, found))
        found[variable] = full
        made = tuple((i, m) for i, m in inverses(inverted, variable)[1] if i is not None and m is not None)
        solved.append(Solved(variable, simplify(step), full, inverted, made))
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


def _columns(H: Expr, right: Expr, of: Variable) -> Expr:
    """H⁻¹ applied to the first axes of `right`."""
    rest = tuple(range(10, 10 + right.rank - of.rank))
    number, factors = inverses(H, of)
    own = PLACES[of.rank]
    pairs = [(M, labels) for (M, _), labels in zip(factors, own, strict=True) if M is not None]
    # What is multiplied by an inverse hands its axis over; by I it keeps it.
    place = tuple(
        labels[0] if M is None else labels[-1] for (M, _), labels in zip(factors, own, strict=True) if labels
    )
    return Einsum(
        number**-1,
        [*(M for M, _ in pairs), right],
        [*(labels for _, labels in pairs), (*place, *rest)],
        (*range(of.rank), *rest),
        dict(enumerate(H.shape)),
    )


def inverses(H: Expr, of: Variable) -> tuple[Coefficient, list[tuple[Expr | None, Expr | None]]]:
    """The number of H and the inverses that its own is made of, each with what is inverted; None for I.

    Raises: Unsolved if there is none in matrix language.
    """
    number, bare = split(H) if isinstance(H, Einsum) else (ONE, H)
    match of.rank:
        case 0:
            return number, [(simplify(bare**-1), bare)]
        case 1:
            return number, [(Apply(inv, (bare,)), bare)]
        case 2:
            A, B = kronecker(bare)
            return number, [(None if M is None else Apply(inv, (M,)), M) for M in (A, B)]
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
