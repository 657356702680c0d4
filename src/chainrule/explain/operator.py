"""The style `operator`: d/dx is pushed inward, one rule a line, until nothing is left to derive.

In: a Board. Out: one phase. Source: the operator view of Parr and Howard 2018, section 2.
"""

from __future__ import annotations

from chainrule.derive.inward import Move
from chainrule.errors import OptionError
from chainrule.explain.board import Board
from chainrule.explain.derivation import Entry, Line, Phase, Sentence
from chainrule.explain.finish import finishing
from chainrule.explain.reasons import said_of, taken_at
from chainrule.expr.nodes import Apply, Expr, Variable
from chainrule.expr.walk import topological, tree_size
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.text import to_text
from chainrule.rules.elementwise import maximum, minimum, relu
from chainrule.rules.table import Row

# A board holds so many lines; what is longer is shown from both ends.
MOST_LINES, FEWEST_LINES = 60, 8
MOST_NODES = 3000
# Nodes of a line, written out, beyond which it is too long without counting its characters.
LARGEST = 1500
# Characters of a line that is shown.
LONGEST_LINE = 500
TOO_LONG = "and so on; the lines between are too long to read"


def phases(board: Board) -> tuple[Phase, ...]:
    """One phase, a line for each rule."""
    inward = board.inward(board.subject.expr, board.wrt)
    moves = inward.moves()
    if any(not _is_writable(e) for e in (inward.start, *(move.after for move in moves))):
        raise OptionError(
            "the style operator writes derivatives as matrices, and some here have more than two axes",
            hint="style differentials or components has no such limit",
        )
    most = max(FEWEST_LINES, min(MOST_LINES, MOST_NODES // tree_size(board.subject.expr)))
    shown = (
        set(range(len(moves)))
        if len(moves) <= most
        else {*range(most // 2), *range(len(moves) - most // 2, len(moves))}
    )
    entries: list[Entry] = []
    left: Tree | None = board.result_typed(inward.start)
    last = ""
    for k, move in enumerate(moves):
        if k not in shown:
            if not entries or not isinstance(entries[-1], Sentence):
                entries.append(Sentence((f"likewise, {len(moves) - len(shown)} steps",)))
            continue
        if tree_size(move.whole) > LARGEST and move is not moves[-1]:
            if entries and not isinstance(entries[-1], Sentence):
                entries.append(Sentence((TOO_LONG,)))
            continue
        board.claim(move.rule, board.taken(move.whole, board.wrt), board.subject.expr, board.wrt)
        tree = board.result_typed(move.whole)
        text = to_text(tree)
        if len(text) > LONGEST_LINE and move is not moves[-1]:
            if entries and not isinstance(entries[-1], Sentence):
                entries.append(Sentence((TOO_LONG,)))
            continue
        if text != last:
            entries.append(Line(left, tree, (reason(board, move),), value=move.whole))
            left = None
        last = text
    raw = moves[-1].whole if moves else inward.start
    entries += finishing(board, board.result_typed(raw), raw, board.derivative)
    return (Phase("", tuple(entries)),)


def reason(board: Board, move: Move, wrt: Variable | None = None) -> str:
    """The rule in the letters of this formula."""
    wrt = board.wrt if wrt is None else wrt
    x = to_text(board.symbol(wrt))
    if move.rule == "dx/dx = 1":
        derivative = m.derivative(board.symbol(wrt), board.symbol(wrt), "d" if board.alone else "∂")
        one = {0: "1", 1: "I"}.get(wrt.rank, "the identity")
        return f"{to_text(derivative)} = {one}"
    if move.rule == "constant rule":
        return f"constant rule: {to_text(board.tree(move.body))} does not depend on {x}"
    why = move.why
    if isinstance(move.body, Apply) and isinstance(move.body.function, Row) and why:
        row, at_kink = move.body.function, board.subject.at_kink
        why = said_of(row, move.body)
        if at_kink and row in (relu, maximum, minimum):
            why = taken_at(row, why, at_kink)
    return f"{move.rule}: {why}" if move.why and move.why not in move.rule else move.rule


def _is_writable(expr: Expr) -> bool:
    return all(node.rank <= 2 for node in topological([expr]))
