"""The style `variables`: introduce intermediate variables, differentiate each, combine, substitute back.

In: a Board. Out: exactly four phases. Which chain rule applies is decided from the paths and from the number
of axes on them: products of Jacobians while everything is a scalar or a vector, a recursion from the output
back where matrices lie on the way. Source: Parr and Howard 2018, section 4.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chainrule.derive.flow import Part
from chainrule.explain.board import Board
from chainrule.explain.derivation import Entry, Line, Phase, Sentence, Words
from chainrule.explain.finish import finishing, simplification
from chainrule.explain.folding import Told, folded, kind
from chainrule.explain.introduce import WRITTEN_OUT, chain_rule, introduced, paths
from chainrule.explain.recursion import backwards, differentials, has_matrices, is_long
from chainrule.expr.nodes import Expr, Sum, Variable
from chainrule.expr.walk import tree_size
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.text import to_text
from chainrule.simplify import simplify

TITLES = ("Introduce intermediate variables", "Differentiate each", "Combine", "Substitute back")
# Why a line is the one before it with values for the derivatives.
PUT_IN = "the derivatives of step 2"
# Terms of a total derivative that are written out, and characters of a result in the formula's own variables.
MOST_TERMS = 6
MOST_CHARACTERS = 400
# Characters of the combined derivatives in those variables, before they are simplified.
LONGEST_LINE = 100


def phases(board: Board) -> tuple[Phase, ...]:
    """The four phases."""
    first = Phase(TITLES[0], (*introduced(board), *paths(board)), 1)
    if not board.moving:
        return _nothing_moves(board, first)
    if has_matrices(board):
        second, third = differentials(board), backwards(board)
    elif is_long(board) and not board.output.symbol.rank:
        second, third = _locals(board), backwards(board)
    else:
        second, third = _locals(board), _combined(board)
    return (first, Phase(_title(board), second, 2), Phase(TITLES[2], third, 3), _substituted(board, third))


def _title(board: Board) -> str:
    layout = board.layout if any(p.symbol.rank for p in board.moving) or board.wrt.rank else ""
    return f"{TITLES[1]} ({layout} layout)" if layout and not has_matrices(board) else TITLES[1]


# ---------------------------------------------------------------- 1


def _nothing_moves(board: Board, first: Phase) -> tuple[Phase, ...]:
    zero = board.derivative
    board.claim("the derivative of a constant", zero, board.subject.expr, board.wrt)
    line = Line(
        board.total(board.output.symbol),
        board.result(zero),
        (
            "constant rule: ",
            board.symbol(board.output.symbol),
            " does not depend on ",
            board.symbol(board.wrt),
        ),
        board.result_sizes(),
        value=zero,
    )
    none = Sentence(("Nothing to do.",))
    return (
        first,
        Phase(TITLES[1], (none,), 2),
        Phase(TITLES[2], (line,), 3),
        Phase(TITLES[3], (none,), 4),
    )


# ---------------------------------------------------------------- 2


def _locals(board: Board) -> tuple[Entry, ...]:
    """∂part/∂argument for every arrow on a path."""
    lines: list[Told] = []
    for part in board.moving:
        for argument in board.flow.arguments(part):
            value = board.local(part, argument)
            board.claim(f"∂{part.name}/∂{argument.name}", value, part.value, argument)
            name = to_text(board.partial(part, argument))
            line = partial(_local, board, part, argument)
            lines.append(Told(f"{kind(part.value)} by {kind(argument)}", name, line))
    return folded(lines)


def _local(board: Board, part: Part, argument: Variable) -> Line:
    value = board.local(part, argument)
    return Line(
        board.partial(part, argument),
        board.jacobian(value, part.symbol.rank, argument.rank),
        (board.reason(part, argument),),
        board.sizes(part.symbol, argument) if board.has_axes else "",
        value=value,
    )


# ---------------------------------------------------------------- 3


def _combined(board: Board) -> tuple[Entry, ...]:
    """The chain rule in symbols, with the local derivatives put in, and multiplied."""
    if not board.several:
        return _single_path(board)
    lines: list[Entry] = []
    totals: dict[Variable, Expr] = {}
    for part in board.moving:
        lines += _total(board, part, totals)
    return tuple(lines)


def _single_path(board: Board) -> tuple[Entry, ...]:
    path = board.flow.paths(board.wrt)[0]
    parts = [board.flow.by_symbol[s] for s in path[1:]]
    arrows = list(zip(reversed(parts), reversed(path[:-1]), strict=True))
    symbols = [board.partial(part, argument) for part, argument in arrows]
    values = [board.local(part, argument) for part, argument in arrows]
    trees = [
        board.jacobian(value, part.symbol.rank, argument.rank)
        for value, (part, argument) in zip(values, arrows, strict=True)
    ]
    sizes = [board.sizes(part.symbol, argument) for part, argument in arrows]
    product = board.chained(
        [(v, p.symbol.rank) for v, (p, _) in zip(values, arrows, strict=True)], board.wrt.rank
    )
    board.claim(
        "the product of the local derivatives", board.written_out(product), board.subject.expr, board.wrt
    )
    name = chain_rule(board)
    if board.layout == "denominator":
        symbols, trees, sizes = symbols[::-1], trees[::-1], sizes[::-1]
        name += ", in denominator layout from right to left" if len(arrows) > 1 and board.has_axes else ""
    left = board.total(board.output.symbol)
    if len(arrows) == 1:
        return (Line(left, trees[0], ("one step, so there is nothing to combine",), value=product),)
    shapes = f"{' · '.join(sizes)} = {board.sizes(board.output.symbol, board.wrt)}" if board.has_axes else ""
    lines: list[Entry] = [
        Line(left, m.product(*symbols), (name,)),
        Line(
            None,
            m.product(*trees),
            _order(board) if _does_order_matter(sizes) else (PUT_IN,),
            shapes,
            value=product,
        ),
    ]
    simple = simplify(product)
    tree = board.jacobian(simple, board.output.symbol.rank, board.wrt.rank)
    if board.has_axes and to_text(tree) != to_text(m.product(*trees)):
        board.claim("the product, multiplied", board.written_out(simple), board.subject.expr, board.wrt)
        lines.append(Line(None, tree, _multiplied(board, trees), value=simple))
    return tuple(lines)


def _does_order_matter(sizes: Sequence[str]) -> bool:
    return sum(size not in ("scalar", "1 × 1") for size in sizes) > 2


def _order(board: Board) -> Words:
    side = "right" if board.layout == "denominator" else "left"
    return (f"matrices do not commute: the outer derivative stands {side}",)


def _multiplied(board: Board, trees: Sequence[Tree]) -> Words:
    """Which identities of products of Jacobians were used."""
    said: list[str] = []
    diagonals = sum(_is_diagonal(t) for t in trees)
    row = board.layout != "denominator" and not board.output.symbol.rank
    column = (board.layout == "denominator" and not board.output.symbol.rank) or not board.wrt.rank
    if diagonals and any(t in (m.ONES, m.transpose(m.ONES)) for t in trees):
        said.append("𝟏ᵀ diag(d) = dᵀ" if row else "diag(d) 𝟏 = d")
    elif diagonals and row:
        said.append("vᵀ diag(d) = (v ⊙ d)ᵀ")
    elif diagonals and column:
        said.append("diag(d) v = d ⊙ v")
    elif diagonals > 1:
        said.append("diag(a) diag(b) = diag(a ⊙ b)")
    elif diagonals:
        others = [t for t in trees if not _is_diagonal(t)]
        d = _free("dsvcq", board)
        matrix = to_text(others[0]) if len(others) == 1 and others[0].op == "name" else _free("AMKGQ", board)
        if _is_diagonal(trees[-1]):
            said.append(f"{matrix} diag({d}) scales the columns of {matrix}")
        else:
            said.append(f"diag({d}) {matrix} scales the rows of {matrix}")
    if any(t.op == "sum" and t.args == (m.IDENTITY,) for t in trees):
        said.append("−I changes the sign")
    elif any(t is m.IDENTITY for t in trees):
        said.append("I changes nothing")
    return (", ".join(said) or "multiply",)


def _free(letters: str, board: Board) -> str:
    """A letter that means nothing else on the page."""
    return next((c for c in letters if c not in board.subject.taken), "⋆")


def _is_diagonal(tree: Tree) -> bool:
    """diag(d), also with a sign or a number in front."""
    if tree.op in ("scale", "sum"):
        return _is_diagonal(tree.args[-1]) and len(tree.args) <= 2
    return tree.op == "call" and tree.data[0] == "diag"


def _total(board: Board, part: Part, totals: dict[Variable, Expr]) -> list[Entry]:
    """The total derivative of one part: direct, and through each intermediate variable that it reads."""
    arguments = board.flow.arguments(part)
    value_terms: list[Expr] = []
    symbols: list[Tree] = []
    shown: list[Tree] = []
    shapes: list[str] = []
    for argument in arguments:
        local = board.local(part, argument)
        outer = board.jacobian(local, part.symbol.rank, argument.rank)
        if argument is board.wrt:
            value_terms.append(local)
            symbols.append(board.partial(part, argument))
            shown.append(outer)
            shapes.append(board.sizes(part.symbol, argument))
            continue
        inner = totals[argument]
        value_terms.append(board.chained([(local, part.symbol.rank), (inner, argument.rank)], board.wrt.rank))
        factors = [board.partial(part, argument), board.total(argument)]
        known = board.total(argument) if is_long(board) else None
        values = [outer, known or board.jacobian(inner, argument.rank, board.wrt.rank)]
        pair = [board.sizes(part.symbol, argument), board.sizes(argument, board.wrt)]
        if board.layout == "denominator":
            factors, values, pair = factors[::-1], values[::-1], pair[::-1]
        symbols.append(m.product(*factors))
        shown.append(m.product(*values))
        shapes.append(" · ".join(pair))
    value = value_terms[0] if len(value_terms) == 1 else Sum(value_terms)
    total = simplify(value)
    totals[part.symbol] = total
    if arguments == (board.wrt,) and part is not board.output:
        return []
    board.claim(f"the total derivative of {part.name}", board.written_out(total), part.whole, board.wrt)
    signs = _added(symbols)
    name = chain_rule(board) if len(arguments) > 1 else _plain_rule(board, part)
    sizes = ""
    if board.has_axes and len(shapes) <= MOST_TERMS:
        sizes = f"{' + '.join(shapes)} = {board.sizes(part.symbol, board.wrt)}"
    lines: list[Entry] = [
        Line(board.total(part.symbol), signs, (name,)),
        Line(None, _added(shown), (PUT_IN,), sizes, value=value),
    ]
    if is_long(board):
        return lines
    tree = board.jacobian(total, part.symbol.rank, board.wrt.rank)
    if to_text(tree) != to_text(_added(shown)):
        only = to_text(board.jacobian(value, part.symbol.rank, board.wrt.rank)) == to_text(tree)
        words: Words = ("multiply",) if only else simplification(board, value, total)
        lines.append(Line(None, tree, words, value=total))
    return lines


def _plain_rule(board: Board, part: Part) -> str:
    """The chain rule through one argument, which takes no sum."""
    scalars = not part.symbol.rank and not board.wrt.rank and not board.flow.arguments(part)[0].rank
    return "single-variable chain rule" if scalars else "vector chain rule"


def _added(terms: Sequence[Tree]) -> Tree:
    """The terms with + between them, a negative one in parentheses where it is a product."""
    if len(terms) == 1:
        return terms[0]
    shown = list(terms)
    if len(shown) > MOST_TERMS:
        shown = [*shown[: MOST_TERMS // 2], m.DOTS, shown[-1]]
    return m.tree("sum", shown, [1] * len(shown))


# ---------------------------------------------------------------- 4


def _last_right(entries: Sequence[Entry]) -> Tree:
    """The right side of the last line."""
    return next(e.right for e in reversed(entries) if isinstance(e, Line))


def _substituted(board: Board, third: Sequence[Entry]) -> Phase:
    """The intermediate variables written out, and what that simplifies to."""
    lines: list[Entry] = []
    if not board.several and not has_matrices(board) and not is_long(board):
        path = board.flow.paths(board.wrt)[0]
        parts = [board.flow.by_symbol[s] for s in path[1:]]
        arrows = list(zip(reversed(parts), reversed(path[:-1]), strict=True))
        values = [board.written_out(board.local(p, a)) for p, a in arrows]
        if not board.has_axes and len(arrows) > 1:
            raw = board.chained([(v, 0) for v in values], 0)
            trees = [board.tree(v) for v in values]
            if to_text(m.product(*trees)) != to_text(_last_right(third)):
                lines.append(Line(None, m.product(*trees), (WRITTEN_OUT,), value=raw))
            lines += finishing(board, m.product(*trees), raw, board.derivative)
            return Phase(TITLES[3], tuple(lines), 4)
    final = board.derivative
    board.claim("the derivative", final, board.subject.expr, board.wrt)
    tree = board.result(final) if tree_size(final) <= MOST_CHARACTERS else None
    if tree is None or len(to_text(tree)) > MOST_CHARACTERS:
        return Phase(TITLES[3], (Sentence(("Written out it is too long to read, so the names stay.",)),), 4)
    left, sizes = board.total(board.output.symbol), board.result_sizes() if board.has_axes else ""
    combined = _in_variables(board, third)
    if combined is None:
        lines.append(Line(left, tree, ("each put into the next, and simplified",), sizes, value=final))
        return Phase(TITLES[3], tuple(lines), 4)
    shown = board.result(combined)
    if to_text(shown) == to_text(tree):
        named = len(board.flow.parts) > 1 or to_text(tree) != to_text(_last_right(third))
        said = WRITTEN_OUT if named else "there are no names to write out"
        lines.append(Line(left, tree, (said,), sizes, value=final))
    elif len(to_text(shown)) > LONGEST_LINE:
        words = (f"{WRITTEN_OUT}; ", *simplification(board, combined, final))
        lines.append(Line(left, tree, words, sizes, value=final))
    else:
        board.claim(WRITTEN_OUT, combined, board.subject.expr, board.wrt)
        lines.append(Line(left, shown, (WRITTEN_OUT,), sizes, value=combined))
        lines += finishing(board, shown, combined, final)
    return Phase(TITLES[3], tuple(lines), 4)


def _in_variables(board: Board, third: Sequence[Entry]) -> Expr | None:
    """What phase 3 ends with, in the variables of the formula; None where it holds derivatives."""
    if has_matrices(board) or is_long(board):
        return None
    last = next((e.value for e in reversed(third) if isinstance(e, Line)), None)
    return None if last is None else board.written_out(last)
