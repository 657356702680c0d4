"""Read it: one or two sentences that are true of this answer.

In: a Board and the names that the page has introduced. Out: Sentences. A pattern proposes what the form of
the derivative shows; what it claims is compared with numbers at random points, and dropped if it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from chainrule.errors import DomainProblem
from chainrule.explain import effects, patterns, sums
from chainrule.explain.board import Board
from chainrule.explain.derivation import Line, Sentence
from chainrule.explain.readings import Reading
from chainrule.explain.seen import Answer
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import tree_size, variables
from chainrule.notation.present import named_by
from chainrule.simplify import Normaliser

POINTS = 6
# A derivative with more parts than this has no short reading.
LARGEST = 400

Pattern = Callable[[Answer], Iterator[Reading]]
# The most telling first; what moves when one entry moves can be said of nearly every answer.
PATTERNS: tuple[Pattern, ...] = (
    effects.nothing,
    sums.summed,
    effects.switched,
    patterns.spread_out,
    patterns.direction,
    patterns.shares,
    patterns.difference,
    patterns.outward,
    patterns.as_it_stands,
    patterns.scaled_rows,
    patterns.rank_one,
    effects.valley,
    effects.straight,
    effects.moved,
    effects.listed,
    effects.row_by_row,
)


def read(board: Board, named: Mapping[Expr, Variable]) -> tuple[Sentence, ...]:
    """What the derivative says; () if nothing is known or nothing can be checked.

    `named` are parts that the page calls by a name.
    """
    if tree_size(board.derivative) > LARGEST:
        return ()
    if board.subject.at_kink == Fraction(1, 2):
        # Halfway between two masks nothing is read off; beside the kink the answer is that with one mask.
        plain = replace(board.subject, at_kink=Fraction(0))
        board = Board(plain, plain.flow)
    answer = Answer(board, named)
    for pattern in PATTERNS:
        for reading in pattern(answer):
            if holds(board, reading):
                return tuple(Sentence(words) for words in reading.sentences)
    return ()


def introduced(board: Board, style: str, where: Sequence[Line]) -> dict[Expr, Variable]:
    """The parts that a page calls by a name: those of the answer, and its intermediate variables.

    In a formula of scalars a slope is written as the answer writes it, so that both can be compared.
    """
    named: dict[Expr, Variable] = {}
    normal = Normaliser()
    vectors = any(variable.rank for variable in variables(board.subject.expr))
    for part in board.flow.parts[:-1] if style == "variables" and vectors else ():
        named |= dict.fromkeys((part.whole, normal(part.whole)), part.symbol)
    for line in where:
        if line.left is not None and line.value is not None:
            named[line.value] = Variable(named_by(line.left), line.value.shape)
    return {part: symbol for part, symbol in named.items() if part.children}


def holds(board: Board, reading: Reading) -> bool:
    """Whether all that a reading claims is so at random points."""
    from chainrule.verify.claims import check_claims  # loads NumPy

    inputs = board.subject.variables
    try:
        found = check_claims(reading.claims, (), inputs, points=POINTS)
    except DomainProblem:
        return False
    return not found.failed
