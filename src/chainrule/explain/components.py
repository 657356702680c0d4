"""The style `components`: take one entry, differentiate it, assemble the matrix.

In: an expression and what it is differentiated by. Out: phases, in index notation: the entry, its derivative
rule by rule, the cases i = j and i ≠ j where the Jacobian is diagonal, the matrix of all entries with dots,
and its closed form. Any local derivative of another style can be opened this way.
Source: Parr and Howard 2018, sections 4.1 to 4.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chainrule.derive.inward import is_unevaluated
from chainrule.explain.board import Board, elided
from chainrule.explain.derivation import Entry, Line, Phase, Sentence, Words
from chainrule.explain.entries import Entries, Letters
from chainrule.explain.finish import simplification
from chainrule.explain.operator import FEWEST_LINES, LONGEST_LINE, MOST_NODES, TOO_LONG, reason
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Variable
from chainrule.expr.walk import topological, tree_size, variables
from chainrule.notation import matform as m
from chainrule.notation.index import derivative as indexed_derivative
from chainrule.notation.layout import is_turned
from chainrule.notation.matform import Tree
from chainrule.notation.piecewise import by_cases
from chainrule.notation.text import dim_text, to_text
from chainrule.rules.elementwise import power
from chainrule.rules.instances import sliced
from chainrule.simplify import simplify

# Nodes of an expression whose entries are written out.
LONGEST_ENTRY = 150
# Ends the names of variables that stand for one entry.
END = "\N{END OF PROOF}"
# Matrices of known size up to this many rows and columns are written in full.
FULL = 6


def phases(board: Board) -> tuple[Phase, ...]:
    """The whole formula by components."""
    return opened(board, board.output.symbol, board.subject.expr, board.wrt)


def opened(board: Board, symbol: Variable, value: Expr, wrt: Variable) -> tuple[Phase, ...]:
    """∂symbol/∂wrt for symbol = value: one entry, then all of them."""
    work = _Entries(board, symbol, value, wrt)
    return (
        Phase("Take one entry", work.entry(), 1),
        Phase("Differentiate it", work.derived(), 2),
        Phase("Assemble", work.assembled(), 3),
    )


class _Entries:
    def __init__(self, board: Board, symbol: Variable, value: Expr, wrt: Variable) -> None:
        self.board, self.symbol, self.value, self.wrt = board, symbol, value, wrt
        self.writer = Entries(wrt, {*board.subject.taken, *(v.name for v in variables(value))})
        free = self.writer.letters(symbol.rank + wrt.rank)
        self.rows: Letters = free[: symbol.rank]
        self.columns: Letters = free[symbol.rank :]
        self.jacobian = board.simplified(value, wrt) if wrt in variables(value) else None

    def at(self, expr: Expr, letters: Letters) -> Tree:
        """The entry of an expression at letters; sums in it leave the letters of the variable free.

        A long expression stands whole, with the letters below it: entry by entry it is longer still.
        """
        if (
            expr.rank <= 2
            and tree_size(expr) > LONGEST_ENTRY
            and not any(map(is_unevaluated, topological([expr])))
        ):
            whole = self.board.tree(expr)
            return m.tree("entry", (whole,), letters) if letters else whole
        return elided(self.writer.tree(expr, letters, self.columns))

    def _variable(self, variable: Variable, letters: Letters) -> Tree:
        return self.writer.entry_of(variable, letters)

    def left(self, rows: Letters) -> Tree:
        """∂y_i/∂x_j."""
        return m.derivative(self._variable(self.symbol, rows), self._variable(self.wrt, self.columns))

    # ------------------------------------------------------------ phases

    def entry(self) -> tuple[Entry, ...]:
        self.board.claim(f"definition of {self.symbol.name}", self.value, self.board.written_out(self.symbol))
        return tuple(
            Line(self._variable(self.symbol, rows), self.at(self.value, rows), value=None)
            for rows, _ in self._taken()
        )

    def _taken(self) -> list[tuple[Letters, Expr]]:
        """Which entries are differentiated: entry i, or each one of a vector that is written out."""
        if not isinstance(self.value, Stack):
            return [(self.rows, self.value)]
        return [((str(k + 1), *self.rows[1:]), entry) for k, entry in enumerate(self.value.entries)]

    def derived(self) -> tuple[Entry, ...]:
        if self.jacobian is None:
            zero = Line(self.left(self.rows), m.number(0), ("constant rule",))
            return (zero,)
        self.board.claim(f"∂{self.symbol.name}/∂{self.wrt.name}", self.jacobian, self.value, self.wrt)
        lines: list[Entry] = []
        for rows, value in self._taken():
            lines += self._rule_by_rule(rows, value)
        return (*lines, *self._cases())

    def _rule_by_rule(self, rows: Letters, value: Expr) -> list[Entry]:
        inward = self.board.inward(value, self.wrt)
        lines: list[Entry] = []
        left: Tree | None = self.left(rows)
        last = ""
        letters = (*rows[self.symbol.rank - value.rank :], *self.columns)
        moves = inward.moves()
        most = max(FEWEST_LINES, MOST_NODES // tree_size(value))
        for k, move in enumerate(moves):
            if most // 2 <= k < len(moves) - most // 2:
                if k == most // 2:
                    lines.append(Sentence((f"likewise, {len(moves) - 2 * (most // 2)} steps",)))
                continue
            if tree_size(move.whole) > 2 * LONGEST_ENTRY:
                if lines and not isinstance(lines[-1], Sentence):
                    lines.append(Sentence((TOO_LONG,)))
                continue
            name = f"∂{self.symbol.name}/∂{self.wrt.name}: {move.rule}"
            self.board.claim(name, self.board.taken(move.whole, self.wrt), value, self.wrt)
            tree = self.at(move.whole, letters)
            if len(to_text(tree)) > LONGEST_LINE and move is not moves[-1]:
                if lines and not isinstance(lines[-1], Sentence):
                    lines.append(Sentence((TOO_LONG,)))
                continue
            if to_text(tree) != last:
                said = self._reason(move.rule, reason(self.board, move, self.wrt))
                lines.append(Line(left, tree, said, value=move.whole))
                left, last = None, to_text(tree)
        if not isinstance(self.value, Stack):
            assert self.jacobian is not None
            final = self.at(self.jacobian, letters)
            if to_text(final) != last:
                last_whole = moves[-1].whole if moves else inward.start
                words = simplification(self.board, last_whole, self.jacobian)
                contracted = _has_sigma(self.at(last_whole, letters)) and not _has_sigma(final)
                said_last = ("δ leaves one term of its sum",) if contracted else words
                lines.append(Line(left, final, said_last, value=self.jacobian))
        return lines

    def _reason(self, rule: str, said: str) -> Words:
        if rule != "dx/dx = 1" or not self.wrt.rank:
            return (said,)
        others = self.writer.letters(self.wrt.rank, self.columns)
        one = m.derivative(self._variable(self.wrt, others), self._variable(self.wrt, self.columns))
        pairs = list(zip(others, self.columns, strict=True))
        deltas = m.product(*(m.tree("delta", (), pair) for pair in pairs))
        return (one, f" is 1 if {' and '.join(f'{i} = {j}' for i, j in pairs)}, else 0: ", deltas)

    @property
    def _diagonal(self) -> Expr | None:
        """The vector on the diagonal of a Jacobian that has nothing beside it."""
        j = self.jacobian
        if j is None or self.symbol.rank != 1 or self.wrt.rank != 1 or not isinstance(j, Einsum):
            return None
        if j.output[0] != j.output[1]:
            return None
        return simplify(Einsum(j.coefficient, j.operands, j.labels, j.output[:1], dict(enumerate(j.sizes))))

    def _cases(self) -> list[Entry]:
        diagonal = self._diagonal
        if diagonal is None:
            return []
        (i,), (j,) = self.rows, self.columns
        value = self.at(diagonal, (i,))
        case = m.derivative(self._variable(self.symbol, (i,)), self._variable(self.wrt, (i,)))
        cases = self._piecewise(diagonal, i)
        return [
            Line(case, value, (f"the case {i} = {j}",)),
            *([Line(None, cases, ("by cases",))] if cases is not None else []),
            Line(self.left(self.rows), m.number(0), (f"the case {i} ≠ {j}",)),
        ]

    def _piecewise(self, diagonal: Expr, letter: str) -> Tree | None:
        """Entry i of a vector by cases, {0 if xᵢ ≤ 0; 1 if xᵢ > 0}; None where cases are no clearer."""
        entries: dict[Tree, Tree] = {}

        def entry(part: Expr, axis: int) -> Expr | None:
            if not isinstance(part, Variable) or part.rank != 1:
                return None
            scalar = Variable(f"{part.name}{END}", (), part.structure)
            entries[m.name(scalar.name)] = self._variable(part, (letter,))
            return scalar

        scalar = sliced(diagonal, 0, entry)
        cases = None if scalar is None else by_cases(scalar)
        return None if cases is None else m.replace_leaves(cases.tree, entries)

    def assembled(self) -> tuple[Entry, ...]:
        board, symbol, wrt = self.board, self.symbol, self.wrt
        if self.jacobian is None:
            return (Sentence(("Every entry is 0.",)),)
        entries: list[Entry] = list(self._condition())
        left = m.derivative(m.name(symbol.name), m.name(wrt.name))
        total = symbol.rank + wrt.rank
        if 1 <= total <= 2 and symbol.rank <= 1 and wrt.rank <= 1:
            entries.append(Line(left, self._grid(self._general), ("all entries",)))
            if tree_size(self.jacobian) <= LONGEST_ENTRY:
                entries.append(Line(None, self._grid(self._value), ("their values",)))
            left_or_none: Tree | None = None
        else:
            left_or_none = left
        shown = board.present(self.jacobian, _turned(board, symbol, wrt))
        if shown.form == "index" and left_or_none is not None:
            sides = [(v.name, v.rank) for v in (symbol, wrt)]
            left_or_none = indexed_derivative(sides[0], sides[1:], shown.indices)
        entries.append(
            Line(
                left_or_none,
                board.tree(self.jacobian, turned=_turned(board, symbol, wrt)),
                ("as one matrix",) if symbol.rank + wrt.rank == 2 else ("all entries together",),
                board.sizes(symbol, wrt),
                value=self.jacobian,
            )
        )
        return tuple(entries)

    def _condition(self) -> list[Entry]:
        """The element-wise diagonal condition: that it holds, or why it fails."""
        y, x = m.name(self.symbol.name), m.name(self.wrt.name)
        if self.symbol.rank == 0 and self.wrt.rank == 1:
            return [
                Sentence((y, " is one number, so its derivative has one entry for each entry of ", x, "."))
            ]
        if self.symbol.rank == 1 and self.wrt.rank == 0:
            line = "row" if self.board.layout == "denominator" else "column"
            return [
                Sentence(
                    ("The one number ", x, " reaches every entry of ", y, f": a {line}, not a diagonal.")
                )
            ]
        if self.symbol.rank != 1 or self.wrt.rank != 1:
            return []
        (i,) = self.rows
        if self._diagonal is not None:
            words = f" reads only entry {i} of "
            after = " (the element-wise diagonal condition), so everything off the diagonal is 0."
            return [Sentence((f"Entry {i} of ", y, words, x, after))]
        if not _is_elementwise(self.value):
            return []
        through = [n for n in topological([self.value]) if _mixes(n, self.wrt)]
        where: Words = (", through ", self.board.tree(through[0])) if through else ()
        fails = ": the element-wise diagonal condition fails, and the full Jacobian is needed."
        return [Sentence((f"Entry {i} of ", y, " reads every entry of ", x, *where, fails))]

    # ------------------------------------------------------------ matrices with dots

    def _grid(self, cell: Callable[[str, str], Tree]) -> Tree:
        down, across = self._counted(self.symbol), self._counted(self.wrt)
        turned = self.board.layout == "denominator"
        if turned:
            down, across = across, down
        return m.grid([[self._cell(cell, r, c, turned) for c in across] for r in down])

    @staticmethod
    def _cell(cell: Callable[[str, str], Tree], row: str | None, column: str | None, turned: bool) -> Tree:
        """An entry, or the dots between entries."""
        if row is None and column is None:
            return m.DOTS_ACROSS
        if row is None:
            return m.DOTS_DOWN
        if column is None:
            return m.DOTS
        return cell(column, row) if turned else cell(row, column)

    def _counted(self, variable: Variable) -> Sequence[str | None]:
        """The indices along an axis: all of a small one, else the first, second, dots, and last."""
        if not variable.rank:
            return [""]
        dim: Dim = variable.shape[0]
        if dim.constant is not None and dim.constant <= FULL:
            return [str(k) for k in range(1, dim.constant + 1)]
        last = dim_text(dim) if dim.name or dim.constant else f"{{{dim_text(dim)}}}"
        return ["1", "2", None, last]

    def _general(self, row: str, column: str) -> Tree:
        above = self._variable(self.symbol, (row,) if row else ())
        return m.derivative(above, self._variable(self.wrt, (column,) if column else ()))

    def _value(self, row: str, column: str) -> Tree:
        assert self.jacobian is not None
        diagonal = self._diagonal
        if diagonal is not None:
            return self.at(diagonal, (row,)) if row == column else m.number(0)
        return self.at(self.jacobian, tuple(filter(None, (row, column))))


def _turned(board: Board, symbol: Variable, wrt: Variable) -> bool:
    return is_turned(symbol.rank, wrt.rank, board.layout)


def _has_sigma(tree: Tree) -> bool:
    """Whether a sum is written out in it."""
    return tree.op == "sigma" or any(map(_has_sigma, tree.args))


def _is_elementwise(value: Expr) -> bool:
    """Whether the outermost operation works entry by entry."""
    if isinstance(value, Einsum):
        return len(value.operands) > 1 and all(axes in (value.output, ()) for axes in value.labels)
    return isinstance(value, Apply) and value.rank == 1


def _mixes(node: Expr, wrt: Variable) -> bool:
    """Whether a node reads several entries of the variable for one of its own."""
    if wrt not in variables(node):
        return False
    if isinstance(node, Einsum):
        return any(label not in node.output for axes in node.labels for label in axes)
    return isinstance(node, Apply) and node.function is not power and hasattr(node.function, "core")
