"""The style `differentials`: dL is written in dX alone, and the gradient is read off.

In: a Board. Out: phases. Each line puts the differential of one part into the line before; in the last one,
dL = tr(Gᵀ dX) shows the gradient G, and dY = A dX B shows a linear map.
Source: Magnus and Neudecker 1988, chapter 9.
"""

from __future__ import annotations

from chainrule.explain.board import Board
from chainrule.explain.derivation import Entry, Line, Phase, Sentence
from chainrule.explain.introduce import WRITTEN_OUT, introduced
from chainrule.explain.recursion import backwards, differential, differentials, is_long
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import substitute, variables
from chainrule.notation import matform as m
from chainrule.notation.layout import layout_sizes
from chainrule.notation.matform import Tree
from chainrule.notation.paired import paired_note
from chainrule.notation.text import sizes_text, to_text
from chainrule.simplify import simplify
from chainrule.steps import Claim


def phases(board: Board) -> tuple[Phase, ...]:
    """Definitions, the differential, the derivative read off."""
    parts = introduced(board)
    if not board.moving:
        none = Sentence(
            (
                "Nothing moves when ",
                board.symbol(board.wrt),
                " moves: the differential is 0.",
            )
        )
        return (Phase("Name the parts", parts), Phase("Take differentials", (none,)))
    if is_long(board):
        return (
            Phase("Name the parts", parts),
            Phase("Take differentials", differentials(board)),
            Phase("Read off the derivative", backwards(board)),
        )
    lines, last = _put_in(board)
    return (
        Phase("Name the parts", parts),
        Phase("Take differentials", lines),
        Phase("Read off the derivative", _read_off(board, last)),
    )


def _moved(board: Board) -> Variable:
    return Variable(f"d{board.wrt.name}", board.wrt.shape)


def _put_in(board: Board) -> tuple[tuple[Entry, ...], Expr]:
    """The differential of the output, with one part after the other put in, down to the variable."""
    output = board.output
    marks: dict[Variable, Variable] = {}
    differentials = {part.symbol: differential(board, part, marks) for part in board.moving}
    current = differentials[output.symbol]
    lines: list[Entry] = [
        Line(
            m.differential(board.symbol(output.symbol)),
            board.tree(current),
            (board.reasons(output),),
            sizes_text(output.symbol.shape),
            value=current,
        )
    ]
    for part in reversed(board.moving[:-1]):
        mark = marks.get(part.symbol)
        if mark is None or mark not in variables(current):
            continue
        inner = differentials[part.symbol]
        current = simplify(substitute(current, {mark: inner}))
        words = (
            m.differential(board.symbol(part.symbol)),
            " = ",
            board.tree(inner),
            ": ",
            board.reasons(part),
        )
        lines.append(Line(None, board.tree(current), words, value=current))
    moved = _moved(board)
    mark = marks[board.wrt]
    claimed = board.written_out(substitute(current, {mark: moved}))
    board.claims.append(Claim(f"d{output.name}", claimed, output.whole, board.wrt, moved))
    return tuple(lines), substitute(current, {mark: moved})


def _read_off(board: Board, last: Expr) -> tuple[Entry, ...]:
    """DL = tr(Gᵀ dX), so ∂L/∂X = G; dY = J dx, so ∂y/∂x = J."""
    output, wrt = board.output.symbol, board.wrt
    moved = _moved(board)
    gradient = board.simplified(last, moved)
    board.claim("what is read off", board.written_out(gradient), board.subject.expr, wrt)
    left = board.total(output)
    entries: list[Entry] = []
    d = m.differential(board.symbol(wrt))
    presentation = board.present(gradient, False)
    if not output.rank and wrt.rank and presentation.form != "index":
        tree = board.tree(gradient)
        inner = m.chain(m.transpose(tree), d)
        shown: Tree = m.call("tr", inner) if wrt.rank == 2 else inner
        name = "dL = tr(Gᵀ dX)" if wrt.rank == 2 else "dL = gᵀ dx"
        entries.append(
            Line(
                m.differential(board.symbol(output)),
                shown,
                (f"of the form {name}, with the gradient G" if wrt.rank == 2 else f"of the form {name}",),
            )
        )
        turned = board.subject.layout == "numerator"
        entries.append(
            Line(
                m.transpose(left) if turned else left,
                tree,
                ("the gradient, in the shape of ", board.symbol(wrt)),
                sizes_text(wrt.shape),
                value=gradient,
            )
        )
        if turned:
            entries.append(
                Line(
                    left,
                    board.tree(gradient, True),
                    ("its transpose, in numerator layout",),
                    layout_sizes((), wrt.shape, "numerator"),
                )
            )
        return _written_out(board, entries, gradient, left)
    if presentation.form == "index":
        letters = presentation.indices
        rows, columns = letters[: output.rank], letters[output.rank :]
        said = "; ".join(filter(None, ("entry by entry", paired_note(letters))))
        above = m.tree("entry", (board.symbol(output),), rows) if rows else board.symbol(output)
        below = m.tree("entry", (board.symbol(wrt),), columns) if columns else board.symbol(wrt)
        entries.append(Line(m.derivative(above, below), presentation.tree, (said,), value=gradient))
        if presentation.vec is not None:
            column = [
                m.call("vec", board.symbol(v)) if v.rank == 2 else board.symbol(v) for v in (output, wrt)
            ]
            vec_left = m.derivative(column[0], m.transpose(column[1]))
            entries.append(Line(vec_left, presentation.vec, ("vec(A dX B) = (Bᵀ ⊗ A) vec(dX)",)))
        return tuple(entries)
    entries.append(
        Line(
            left,
            board.jacobian(gradient, output.rank, wrt.rank),
            ("what stands before ", d),
            board.sizes(output, wrt),
            value=gradient,
        )
    )
    return _written_out(board, entries, gradient, left)


def _written_out(board: Board, entries: list[Entry], gradient: Expr, left: Tree) -> tuple[Entry, ...]:
    """The same without the names of the parts, where that reads differently."""
    final = board.derivative
    tree = board.result(final)
    seen = {to_text(e.right) for e in entries if isinstance(e, Line)}
    if to_text(tree) not in seen:
        board.claim("the derivative", final, board.subject.expr, board.wrt)
        plain = to_text(board.result(board.written_out(gradient))) == to_text(tree)
        words = WRITTEN_OUT if plain else f"{WRITTEN_OUT}, and simplified"
        entries.append(Line(left, tree, (words,), value=final))
    return tuple(entries)
