"""One entry of a product of Jacobians as a sum over paths: what a matrix product does in a chain rule.

In: a Board whose parts are scalars and vectors. Out: a phase: for each path from the variable to the output
the product of the entries of its Jacobians, summed over the entries of the intermediate variables, and then
with these entries put in. Source: Parr and Howard 2018, section 4.5.3.
"""

from __future__ import annotations

from chainrule.derive.flow import Part
from chainrule.errors import OptionError
from chainrule.explain.board import Board
from chainrule.explain.derivation import Entry, Line, Phase, Sentence
from chainrule.explain.entries import Entries, Letters
from chainrule.expr.nodes import Variable
from chainrule.expr.walk import variables
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.text import to_text

# So many paths, and so many arrows of one, are written out.
MOST_PATHS, MOST_ARROWS = 4, 8


def along_paths(board: Board) -> Phase:
    """One entry of the derivative, path by path.

    Raises: OptionError where matrices lie on the way, or too many paths.
    """
    paths = board.flow.paths(board.wrt)
    if board.wrt.rank > 1 or any(p.symbol.rank > 1 for p in board.moving):
        raise OptionError(
            "a matrix lies on the way, so there is no product of matrices to open",
            hint="style='components' shows the entries",
        )
    if len(paths) > MOST_PATHS or any(len(path) - 1 > MOST_ARROWS for path in paths):
        raise OptionError(
            f"there are {board.flow.count_paths(board.wrt)} paths, the longest of"
            f" {max(map(len, paths)) - 1} arrows: too many to write out",
            hint="open single steps by their names",
        )
    return _Paths(board).phase(paths)


class _Paths:
    def __init__(self, board: Board) -> None:
        self.board = board
        names = {v.name for part in board.flow.parts for v in variables(part.value)}
        self.writer = Entries(board.wrt, {*board.subject.taken, *names})
        vectors = [s for s in (board.output.symbol, board.wrt) if s.rank]
        vectors += [p.symbol for p in board.moving[:-1] if p.symbol.rank]
        free = self.writer.letters(len(vectors))
        self.letter: dict[Variable, Letters] = {
            symbol: (letter,) for symbol, letter in zip(vectors, free, strict=True)
        }

    def at(self, symbol: Variable) -> Letters:
        return self.letter.get(symbol, ())

    def entry(self, symbol: Variable) -> Tree:
        return self.writer.entry_of(symbol, self.at(symbol))

    def phase(self, paths: list[tuple[Variable, ...]]) -> Phase:
        board, output, wrt = self.board, self.board.output.symbol, self.board.wrt
        left = m.derivative(self.entry(output), self.entry(wrt), "d" if board.several else board.total_sign)
        ordered = sorted(paths, key=len)
        general = [self._summed(path, self._symbols(path)) for path in ordered]
        values = [self._summed(path, self._values(path)) for path in ordered]
        lines: list[Entry] = [
            Line(left, m.signed_sum([(1, t) for t in general]), ("one product for each path, summed",)),
            Line(None, m.signed_sum([(1, t) for t in values]), ("the entries of each Jacobian",)),
        ]
        final = self.writer.tree(board.derivative, (*self.at(output), *self.at(wrt)))
        if to_text(final) != to_text(values[0]):
            lines.append(Line(None, final, ("the sums carried out",), value=board.derivative))
        board.claim("the sum over paths", board.derivative, board.subject.expr, wrt)
        words = "The matrix product is this sum: every way from the variable to the output counts."
        return Phase("One entry as a sum over paths", (*lines, Sentence((words,))))

    def _arrows(self, path: tuple[Variable, ...]) -> list[tuple[Part, Variable]]:
        parts = [self.board.flow.by_symbol[symbol] for symbol in path[1:]]
        return list(zip(reversed(parts), reversed(path[:-1]), strict=True))

    def _symbols(self, path: tuple[Variable, ...]) -> list[Tree]:
        return [
            m.derivative(self.entry(part.symbol), self.entry(argument))
            for part, argument in self._arrows(path)
        ]

    def _values(self, path: tuple[Variable, ...]) -> list[Tree]:
        return [
            self.writer.tree(self.board.local(part, argument), (*self.at(part.symbol), *self.at(argument)))
            for part, argument in self._arrows(path)
        ]

    def _summed(self, path: tuple[Variable, ...], factors: list[Tree]) -> Tree:
        between = tuple(letter for symbol in path[1:-1] for letter in self.at(symbol))
        body = m.product(*factors)
        return m.tree("sigma", (body,), between) if between else body
