"""The intermediate variables of a formula, the paths through them, and which chain rule these ask for.

In: a Board. Out: lines and sentences. Source: Parr and Howard 2018, sections 4.5.1 to 4.5.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chainrule.derive.flow import Part
from chainrule.explain.board import Board
from chainrule.explain.derivation import Entry, Line, Sentence, Words
from chainrule.explain.folding import Told, folded, kind
from chainrule.explain.reasons import role
from chainrule.explain.recursion import has_matrices
from chainrule.expr.nodes import Expr, Variable
from chainrule.notation.matform import Tree
from chainrule.notation.text import sizes_text
from chainrule.simplify import simplify

# So many paths are spelled out, and so many symbols of one.
SPELLED = 6
LONG_PATH = 12
# Why a line is the one before it without the names of the intermediate variables.
WRITTEN_OUT = "the names written out"


def chain_rule(board: Board) -> str:
    """Which of the three chain rules applies."""
    scalars = all(p.symbol.rank == 0 for p in board.moving)
    if len(board.moving) == 1 and len(board.flow.arguments(board.output)) == 1:
        return ""
    if scalars and not board.wrt.rank:
        return (
            "single-variable total-derivative chain rule" if board.several else "single-variable chain rule"
        )
    if board.several:
        return "vector total-derivative chain rule"
    return "scalar case of the vector chain rule" if scalars else "vector chain rule"


def introduced(board: Board) -> tuple[Entry, ...]:
    """The definitions of the intermediate variables, those that repeat told twice."""
    return folded(definitions(board))


def definitions(board: Board) -> list[Told]:
    """The definition of each intermediate variable."""
    lines: list[Told] = []
    for part in board.flow.parts:
        board.claim(f"definition of {part.name}", part.value, board.written_out(part.symbol))
        lines.append(Told(kind(part.value), part.name, partial(_definition, board, part)))
    return lines


def _definition(board: Board, part: Part) -> Line:
    words = role(part, board.flow)
    return Line(
        board.symbol(part.symbol),
        board.typed(part.value),
        (words,) if words else (),
        sizes_text(part.symbol.shape) if board.wrt.rank or part.symbol.rank else "",
        value=part.value,
    )


def paths(board: Board) -> list[Entry]:
    """How many paths lead from the variable to the output, and which rule that asks for."""
    source, target = board.symbol(board.wrt), board.symbol(board.output.symbol)
    count = board.flow.count_paths(board.wrt)
    if not count:
        return [
            Sentence(
                ("No path leads from ", source, " to ", target, ": nothing moves when ", source, " moves.")
            )
        ]
    if len(board.moving) == 1 and count == 1:
        return []
    rule_name = chain_rule(board)
    if count == 1:
        path = board.flow.paths(board.wrt)[0]
        return [
            Sentence(
                (
                    "One path leads from ",
                    source,
                    " to ",
                    target,
                    ": ",
                    *_path(board, path),
                    f", so the {rule_name} applies.",
                )
            )
        ]
    number = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six"}.get(count, f"{count:,}")
    words: list[str | Tree] = [f"{number} paths lead from ", source, " to ", target]
    if count <= SPELLED:
        for k, path in enumerate(_ordered_paths(board)):
            words += [": " if not k else (" and " if k == count - 1 else ", "), *_path(board, path)]
    words.append(". ")
    return [Sentence((*words, *_one_path_alone(board, count), f"so the {rule_name} applies."))]


def _ordered_paths(board: Board) -> list[tuple[Variable, ...]]:
    """The paths, the shortest first."""
    return sorted(board.flow.paths(board.wrt), key=len)


def _path(board: Board, path: Sequence[Variable]) -> Words:
    shown: list[str | Tree] = []
    steps = list(path)
    for k, symbol in enumerate(steps):
        if len(steps) > LONG_PATH and 4 < k < len(steps) - 4:
            if k == 5:
                shown += [" → ", "…"]
            continue
        shown += [" → "] * bool(k) + [board.symbol(symbol)]
    return tuple(shown)


def _one_path_alone(board: Board, count: int) -> Words:
    """What the plain chain rule along one path would give."""
    if count > SPELLED or has_matrices(board):
        return ("Every path counts, ",)
    path = _ordered_paths(board)[-1]
    alone = _along(board, path)
    if simplify(board.written_out(alone)) is board.derivative:
        return ("Every path counts, ",)
    tree = board.result(simplify(board.written_out(alone)))
    lost = "the other" if count == 2 else "the others"
    return (
        "Multiplying along one path alone, ", *_path(board, path), ", would give ", tree,
        f" and lose {lost}: every path counts, ",
    )  # fmt: skip


def _along(board: Board, path: Sequence[Variable]) -> Expr:
    """The product of the Jacobians along a path."""
    parts = [board.flow.by_symbol[symbol] for symbol in path[1:]]
    factors = [
        (board.local(part, argument), part.symbol.rank)
        for part, argument in zip(reversed(parts), reversed(path[:-1]), strict=True)
    ]
    return board.chained(factors, board.wrt.rank)
