"""Reading a derivative by its shape: a matrix as it stands, scaled rows, rank one, rows that sum to 0.

In: an Answer. Out: Readings. A pattern looks at the factors; that what it says is true of this answer is a
claim, which is compared with numbers before anything is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from chainrule.explain.derivation import Words
from chainrule.explain.effects import LONGEST, amount_of
from chainrule.explain.readings import Reading
from chainrule.explain.seen import Answer, absolute, built, condition_of, product_of, without
from chainrule.explain.sums import target_of
from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import (
    Apply,
    Einsum,
    Expr,
    Variable,
    add,
    constant_of,
    identity,
    multiply,
    number,
    permute,
    reduce_sum,
    zeros,
)
from chainrule.expr.walk import variables
from chainrule.notation import matform as m
from chainrule.notation.recover import Product
from chainrule.rules.tensorial import softmax, unit
from chainrule.simplify import simplify
from chainrule.steps import Claim


def spread_out(answer: Answer) -> Iterator[Reading]:
    """diag(p) − ppᵀ: symmetric, and a shift of all entries together changes nothing."""
    terms, value = answer.terms, answer.value
    if answer.output.rank != 1 or answer.wrt.rank != 1 or len(terms) != 2:
        return
    diagonal = [t for t in terms if len(set(t.output)) == 1]
    outer = [t for t in terms if len(set(t.output)) == 2 and not _joint(t)]
    if len(diagonal) != 1 or len(outer) != 1:
        return
    claims = [
        Claim("rows that sum to 0", reduce_sum(value, 1), zeros(value.shape[:1])),
        Claim("a shift changes nothing", answer.shifted(_everywhere(answer)), zeros(value.shape[:1])),
    ]
    symmetric = simplify(permute(value, (1, 0))) is value
    if symmetric:
        claims.append(Claim("symmetric", permute(value, (1, 0)), value))
    line = "row" if symmetric else answer.line
    words: Words = (
        "symmetric, and each " if symmetric else "each ",
        f"{line} sums to 0: adding the same number to every entry of ", answer.x,
        " changes nothing in ", answer.y, ".",
    )  # fmt: skip
    only = [o for o, _ in diagonal[0].operands]
    if len(only) == 1 and isinstance(only[0], Apply) and only[0].function is softmax:
        (j,) = answer.columns
        eye = identity(value.shape[:1])
        own, other = multiply(value, eye), value - multiply(value, eye)
        claims.append(answer.always(own >= 0, "its own entry rises"))
        claims.append(answer.always(-other >= 0, "the others fall"))
        more: Words = (
            "Raising ", answer.entry(answer.wrt, (j,)), " raises ", answer.entry(answer.output, (j,)),
            " and lowers every other entry.",
        )  # fmt: skip
        yield Reading((words, more), tuple(claims))
    yield Reading((words,), tuple(claims[: 2 + symmetric]))


def _everywhere(answer: Answer) -> Expr:
    """The same change in every entry of the variable."""
    shape = answer.wrt.shape
    return Einsum(ONE, (answer.amount,), ((),), tuple(range(len(shape))), dict(enumerate(shape)))


def _joint(term: Product) -> bool:
    """Whether one factor carries both axes of a matrix."""
    return any(set(term.output) <= set(axes) for _, axes in term.operands)


def direction(answer: Answer) -> Iterator[Reading]:
    """x/‖x‖ and its derivative: a move along x, and one across it."""
    value, x = answer.value, answer.wrt
    if x.rank not in (1, 2) or answer.output.rank not in (0, x.rank):
        return
    scalar = answer.output.rank == 0
    if not any(isinstance(n, Apply) and n.function is unit and n.children[0] is x for n in _operands(answer)):
        return
    if scalar:
        squares = reduce_sum(multiply(value, value))
        words: Words = (
            "of length 1, in the direction of ", answer.x, ": moving ", answer.x, " away from 0 by ",
            answer.delta, " raises ", answer.y, " by ", answer.delta, "; to first order a move across ",
            answer.x, " changes nothing.",
        )  # fmt: skip
        away = multiply(_everywhere(answer), multiply(x, _length(answer) ** -1))
        claims = (
            Claim("length 1", squares, number(1)),
            Claim("along x", multiply(value, _length(answer)), x),
            Claim("away from 0", answer.amount, answer.shifted(away)),
        )
        yield Reading((words,), claims)
        return
    axes = tuple(range(value.rank))
    along = Einsum(ONE, (value, x), (axes, axes[answer.output.rank :]), axes[: answer.output.rank])
    told: Words = (
        "making ", answer.x, " longer or shorter changes nothing in ", answer.y,
        ": only the part of a move across ", answer.x, " counts.",
    )  # fmt: skip
    longer = answer.shifted(multiply(_everywhere(answer), x))
    still = zeros(answer.output.shape)
    yield Reading(
        (told,), (Claim("no change along x", along, still), Claim("longer changes nothing", longer, still))
    )


def _length(answer: Answer) -> Expr:
    x = answer.wrt
    root = reduce_sum(multiply(x, x)) ** number(Coefficient.of(2) ** -1)
    return Einsum(ONE, (root,), ((),), tuple(range(x.rank)), dict(enumerate(x.shape)))


def _operands(answer: Answer) -> list[Expr]:
    found: list[Expr] = []
    for term in answer.terms:
        for operand, _ in term.operands:
            found += [operand, *operand.children, *(c for k in operand.children for c in k.children)]
    return found


def shares(answer: Answer) -> Iterator[Reading]:
    """A gradient whose entries are positive and sum to 1: softmax."""
    term = answer.only
    if term is None or answer.output.rank or answer.wrt.rank != 1 or len(term.operands) != 1:
        return
    (operand, axes), value = term.operands[0], answer.value
    if not isinstance(operand, Apply) or operand.function is not softmax or axes != term.output:
        return
    words: Words = (
        "its entries are positive and sum to 1: raising every entry of ", answer.x, " by ", answer.delta,
        " raises ", answer.y, " by ", answer.delta, ", and each entry has its share in that.",
    )  # fmt: skip
    claims = (
        Claim("they sum to 1", reduce_sum(value), number(1)),
        Claim("all raised", answer.amount, answer.shifted(_everywhere(answer))),
        answer.always(value > 0, "they are positive"),
    )
    yield Reading((words,), claims)


def difference(answer: Answer) -> Iterator[Reading]:
    """X − y or p − y: what is there minus what should be, entry by entry."""
    term = product_of(answer.value)
    if answer.output.rank or not answer.wrt.rank or len(term.operands) != 1:
        return
    operand, axes = term.operands[0]
    if axes != term.output or len(set(axes)) < len(axes):
        return
    found = target_of(answer, operand)
    if found is None:
        return
    error, target, turned = found
    if (term.coefficient.rational > 0) != (turned > 0):
        return
    scale = absolute(term.coefficient)
    letters = answer.columns
    told = add(error, target)
    here, there = answer.at(simplify(told), letters), answer.entry(target, letters)
    x = answer.entry(answer.wrt, letters)
    factor: Words = () if scale.is_one else (answer.board.tree(number(scale)), " times ")
    if here is x:
        words: Words = (
            *factor, "the difference from ", answer.tree(target), ": a descent step moves ", answer.x,
            " straight towards ", answer.tree(target), ".",
        )  # fmt: skip
    else:
        words = (
            *factor, "the difference ", m.signed_sum([(1, here), (-1, there)]),
            ", entry by entry: where it is positive a descent step lowers ", x,
            ", where it is negative it raises ", x, ".",
        )  # fmt: skip
    again = multiply(number(scale), told - target)
    yield Reading((words,), (answer.equals(again, "the difference"),))


def outward(answer: Answer) -> Iterator[Reading]:
    """A positive multiple of x: the gradient of a squared length."""
    term = answer.only
    if term is None or answer.output.rank or not answer.wrt.rank:
        return
    own = [f for f in term.operands if f[0] is answer.wrt and f[1] == term.output]
    if len(own) != 1:
        return
    rest = without(term, own[0])
    factor = built(rest, ())
    if any(axes for _, axes in rest.operands) or not answer.is_positive(simplify(factor)):
        return
    longer: Words = ()
    if not answer.is_moving(factor):
        longer = (", and is the longer the longer ", answer.x, " is")
    words: Words = (
        "it points away from 0, along ", answer.x, *longer, ": a descent step pulls ", answer.x,
        " towards 0.",
    )  # fmt: skip
    along = answer.equals(multiply(factor, answer.wrt), "along x")
    yield Reading((words,), (along, answer.always(factor > 0, "away from 0")))


def as_it_stands(answer: Answer) -> Iterator[Reading]:
    """A matrix that does not move: each column says what one entry of the variable does."""
    term = answer.only
    if term is None or (answer.output.rank, answer.wrt.rank) != (1, 1) or answer.is_moving(answer.value):
        return
    if not answer.is_smooth or len(set(term.output)) < 2 or not _joint(term) or len(term.operands) != 1:
        return
    (j,) = answer.columns
    operand, axes = term.operands[0]
    if not variables(operand):
        return
    (row, column) = term.output
    line = "column" if axes == (row, column) else "row"
    amount = amount_of(answer, answer.board.tree(number(term.coefficient)))
    if amount is None:
        return
    words: Words = (
        "the same everywhere, since ", answer.y, " is affine in ", answer.x, ": wiggle ",
        answer.entry(answer.wrt, (j,)), " by ", answer.delta, " and ", answer.y, " moves by ", amount,
        f" times {line} ", m.name(j), " of ", answer.tree(operand), ".",
    )  # fmt: skip
    yield Reading((words,), (answer.equals(built(term), "a fixed matrix"), answer.exactly()))


def scaled_rows(answer: Answer) -> Iterator[Reading]:
    """diag(d) A: the rows of a matrix, each scaled; those of entries that are off are 0."""
    term = answer.only
    if term is None or (answer.output.rank, answer.wrt.rank) != (1, 1) or len(set(term.output)) < 2:
        return
    row, column = term.output
    matrices = [f for f in term.operands if set(f[1]) == {row, column}]
    scales = [f for f in term.operands if f[1] == (row,)]
    if len(matrices) != 1 or len(matrices) + len(scales) < len(term.operands) or not scales:
        return
    if answer.is_moving(matrices[0][0]) or not isinstance(matrices[0][0], Variable):
        return
    (i,) = answer.rows
    line = "row" if matrices[0][1] == (row, column) else "column"
    A = answer.tree(matrices[0][0])
    y = answer.entry(answer.output, (i,))
    front: Words = (f"its {answer.line} {i} is {line} {i} of ", A)
    claims = [answer.equals(built(term), "scaled rows")]
    condition = condition_of(scales[0][0]) if len(scales) == 1 and term.coefficient.is_one else None
    if condition is not None:
        z, _ = condition
        at = answer.at(z, (i,))
        words: Words = (
            *front, " where ", at, " > 0, and zeros where ", at, " < 0: there ", y, " does not react to ",
            answer.x, ".",
        )  # fmt: skip
        off = -z > 0
        axes = tuple(range(2))
        spread = Einsum(ONE, (off,), ((0,),), axes, dict(enumerate(answer.value.shape)))
        claims.append(Claim("a row of zeros", multiply(answer.value, spread), zeros(answer.value.shape)))
    else:
        factor = built(replace(term, operands=tuple(scales)), (row,))
        at = answer.at(simplify(factor), (i,))
        if at.cost > LONGEST:
            return
        words = (*front, " times ", at, ".")
    yield Reading((words,), tuple(claims))


def rank_one(answer: Answer) -> Iterator[Reading]:
    """uvᵀ: of rank one."""
    term = answer.only
    if term is None or answer.value.rank != 2 or len(set(term.output)) < 2 or not term.operands:
        return
    row, column = term.output
    above = [f for f in term.operands if row in f[1]]
    below = [f for f in term.operands if column in f[1]]
    if any(f in below for f in above) or not above or not below:
        return
    if any(set(axes) - {row, column} for _, axes in term.operands):
        return
    u = simplify(built(replace(term, operands=tuple(above), coefficient=ONE), (row,)))
    v = simplify(built(replace(term, operands=tuple(below), coefficient=ONE), (column,)))
    claims = (answer.equals(built(term), "rank one"),)
    i, j = (*answer.rows, *answer.columns)
    sign = -1 if term.coefficient.rational < 0 else 1
    shown: list[Words] = []
    for factor, letter in ((u, i), (v, j)):
        found = target_of(answer, factor)
        if found is not None:
            sign *= found[2]
            shown.append(("the error ", answer.at(found[0], (letter,))))
        else:
            shown.append((answer.at(factor, (letter,)),))
    if max(words[-1].cost for words in shown if not isinstance(words[-1], str)) > LONGEST:
        return
    if answer.output.rank == 1:
        words: Words = (
            "an outer product, so of rank one: however ", answer.x, " moves, ", answer.y, " moves along ",
            answer.tree(u), " only, and not at all when the move is at right angles to ", answer.tree(v), ".",
        )  # fmt: skip
    else:
        scalars = tuple(f for f in term.operands if not f[1])
        front = replace(term, operands=scalars, coefficient=absolute(term.coefficient))
        front = replace(front, coefficient=-front.coefficient) if sign < 0 else front
        times_of = simplify(built(front, ()))
        constant = constant_of(times_of)
        times: Words = (answer.tree(times_of), " times ") if constant is None or not constant.is_one else ()
        part = m.derivative(answer.y, answer.entry(answer.wrt, (i, j)))
        words = ("an outer product, so of rank one: ", part, " is ", *times, *shown[0], " times ")
        words = (*words, *shown[1], ".")
    yield Reading((words,), claims)
