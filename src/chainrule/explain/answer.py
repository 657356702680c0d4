"""What a derivation ends with: the derivative with names for its parts, other notations, an update step.

In: a Board. Out: lines. Nothing is derived here: they write the derivative that the derivation has found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.explain.board import Board
from chainrule.explain.derivation import Line, Words
from chainrule.explain.recursion import is_long
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import tree_size
from chainrule.notation import matform as m
from chainrule.notation import written
from chainrule.notation.index import derivative as indexed_derivative
from chainrule.notation.layout import is_turned
from chainrule.notation.matform import Tree
from chainrule.notation.notations import write
from chainrule.notation.piecewise import by_cases
from chainrule.notation.present import Presentation, Request, head, named_by, present_many
from chainrule.notation.text import sizes_text
from chainrule.simplify import Normaliser

# Nodes of an answer that is written out although the page names every part.
LONGEST_ANSWER = 150
# What a formula is called that is made as small as possible.
LOSSES = frozenset("CLJ")


def answer(board: Board) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """The derivative with names for its parts, the gradient ready for an update step, and the names."""
    subject, output = board.subject, board.output.symbol
    turned = is_turned(output.rank, board.wrt.rank, subject.layout)
    if is_long(board) and tree_size(board.derivative) > LONGEST_ANSWER:
        return (_last_line(board),), ()
    value = board.abbreviated.expr
    if value is not board.derivative:
        board.claim("the derivative with the names that were given", value, subject.expr, board.wrt)
    requests = [Request(value, turned, (output.rank, board.wrt.rank))]
    if turned and not output.rank:
        requests.append(Request(value))
    normal = Normaliser()
    given = {name: normal(part) for name, part in {**subject.given, **subject.names}.items()}
    taken = subject.taken - set(subject.given)
    own = {part.name for part in board.flow.parts} - set(given)
    shown, named = present_many(requests, given, taken=taken | own, errors=True)
    again = _own_names(normal, board, [part.part for _, part in named if part.part is not None], given)
    if again:
        others = own - set(again)  # a name of the page has one meaning, whether the answer uses it or not
        shown, named = present_many(requests, {**given, **again}, taken=taken | others, errors=True)
    where = tuple(Line(head(name, part), part.tree, value=part.part) for name, part in named)
    lines = [
        Line(
            _left(board, shown[0]),
            shown[0].tree,
            _under_masks(board, where),
            board.result_sizes(),
            value=value,
            result=True,
        )
    ]
    if shown[0].vec is not None:
        column = [
            m.call("vec", board.symbol(v)) if v.rank == 2 else board.symbol(v) for v in (output, board.wrt)
        ]
        lines.append(
            Line(m.derivative(column[0], m.transpose(column[1])), shown[0].vec, ("columns stacked by vec",))
        )
    cases = by_cases(board.derivative, turned=turned, profile=subject.profile)
    if cases is not None:
        lines.append(Line(None, cases.tree, ("by cases",)))
    if subject.notation != "matrix":
        other, names = _in_notation(board, turned, given)
        lines.append(other)
        where = (*where, *(line for line in names if line.left not in {known.left for known in where}))
    if not output.rank and (subject.loss or subject.letter in LOSSES):
        lines += _update(board, shown[-1].tree, turned)
    return tuple(lines), where


def _under_masks(board: Board, where: Sequence[Line]) -> Words:
    """Under which masks a function stands as its branch, so that a name could be used."""
    names: dict[Expr, Expr] = {
        line.value: Variable(named_by(line.left), line.value.shape)
        for line in where
        if line.value is not None and line.left is not None
    }
    words: list[str | Tree] = []
    for masked in (each.named(names) for each in board.abbreviated.masked):
        mask, function, branch = map(board.tree, (masked.mask, masked.function, masked.branch))
        words += ["; " if words else "", "under the mask ", mask, ", ", function, " is ", branch]
    return tuple(words)


def _in_notation(board: Board, turned: bool, given: Mapping[str, Expr]) -> tuple[Line, list[Line]]:
    """The derivative in the notation that was asked for, and the names in it.

    Raises: NoNotation if it has no such form.
    """
    subject, output, wrt = board.subject, board.output.symbol, board.wrt
    found = write(
        written.Subject(
            board.abbreviated.expr,
            (output.name, output.shape),
            ((wrt.name, wrt.shape),),
            (wrt,),
            turned=turned,
            gradient=not output.rank,
            given=given,
            taken=subject.taken,
            profile=subject.profile,
        ),
        subject.notation,
    )
    names = {"sums": "per instance", "index": "entry by entry", "kron": "columns stacked by vec"}
    reason = names.get(subject.notation, "as a linear map")
    left = found.line.label or board.total(output)
    return (
        Line(left, found.line.tree, (reason,), relation=found.line.relation),
        [Line(name, value) for name, value in found.where],
    )


def _last_line(board: Board) -> Line:
    """What stands for an answer that is too long to read: the last line of a recursion, or its beginning."""
    left, tree, sizes = board.total(board.output.symbol), board.result(board.derivative), board.result_sizes()
    words = "in the names above"
    if board.recursion is not None:
        left, tree, sizes = board.recursion
    else:
        words = "cut short" if m.DOTS in _parts(tree) else ""
    return Line(left, tree, (words,) if words else (), sizes, value=board.derivative, result=True)


def _parts(tree: Tree) -> set[Tree]:
    found: set[Tree] = set()
    pending = [tree]
    while pending:
        part = pending.pop()
        if part not in found:
            found.add(part)
            pending.extend(part.args)
    return found


def _own_names(
    normal: Normaliser, board: Board, parts: Sequence[Expr], given: Mapping[str, Expr]
) -> dict[str, Expr]:
    """The parts of an answer that are intermediate variables, by their names."""
    known = {normal(part.whole): part for part in board.flow.parts[:-1]}
    return {known[p].name: p for p in parts if p in known and known[p].name not in given}


def _left(board: Board, shown: Presentation) -> Tree:
    if shown.form != "index":
        return board.total(board.output.symbol)
    sides = [(v.name, v.rank) for v in (board.output.symbol, board.wrt)]
    return indexed_derivative(sides[0], sides[1:], shown.indices)


def _update(board: Board, gradient: Tree, turned: bool) -> list[Line]:
    """W ← w − η ∂C/∂w, with the transpose that numerator layout needs."""
    w = board.symbol(board.wrt)
    eta = next((c for c in ("eta", "alpha", "t") if c not in board.subject.taken), "rate")
    derivative = board.total(board.output.symbol)
    step = m.scale(m.name(eta), m.transpose(derivative) if turned else derivative)
    reason: Words = ("gradient-descent step",)
    if turned and board.wrt.rank == 1:
        n = Dim.of(1)
        row, column = sizes_text((n, *board.wrt.shape)), sizes_text((*board.wrt.shape, n))
        reason = (
            "gradient-descent step: the derivative is a row, ",
            row,
            ", and ",
            w,
            f" a column, {column}, so it is transposed",
        )
    lines = [Line(w, m.signed_sum([(1, w), (-1, step)]), reason, relation="←")]
    negative = gradient.op == "sum" and gradient.data == (-1,)
    sign, body = (1, gradient.args[0]) if negative else (-1, gradient)
    inner = m.signed_sum([(1, w), (sign, m.scale(m.name(eta), body))])
    return [*lines, Line(w, inner, ("that is",), relation="←")]
