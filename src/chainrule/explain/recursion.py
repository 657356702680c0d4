"""The chain rule as a recursion: from the output back, what comes from above times the local derivative.

In: a Board. Out: lines. This is how the rule is told where matrices lie on the way, whose Jacobians have more
than two axes, and along many parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chainrule.derive.flow import Part
from chainrule.explain.board import Board
from chainrule.explain.derivation import Entry, Line, Sentence, Words
from chainrule.explain.folding import Told, folded, kind
from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Einsum, Expr, Sum, Variable
from chainrule.expr.walk import substitute
from chainrule.notation import matform as m
from chainrule.notation.layout import is_turned, layout_sizes
from chainrule.notation.matform import Tree
from chainrule.notation.text import sizes_text, to_text
from chainrule.simplify import simplify
from chainrule.steps import Claim

# Along more parts than this the chain rule is told as a recursion, part by part.
LONG = 10
# Names in a reason.
FEW = 12


def is_long(board: Board) -> bool:
    """Whether there are too many parts for one product."""
    return len(board.moving) > LONG


def has_matrices(board: Board) -> bool:
    """Whether a matrix lies on the way, so that some Jacobian has more than two axes."""
    return board.wrt.rank > 1 or any(p.symbol.rank > 1 for p in board.moving)


def differentials(board: Board) -> tuple[Entry, ...]:
    """The differential of each part: a Jacobian with more than two axes is no matrix."""
    lines: list[Told] = []
    for part in board.moving:
        name = to_text(m.differential(board.symbol(part.symbol)))
        terms = _by_argument(board, part)
        lines.append(Told(kind(part.value), name, partial(_differential_line, board, part, terms)))
    return folded(lines)


def _differential_line(board: Board, part: Part, terms: Sequence[Moved]) -> Line:
    value = _total(board, terms, {})
    left = m.differential(board.symbol(part.symbol))
    return Line(left, board.tree(value), (board.reasons(part),), sizes_text(part.symbol.shape), value=value)


def differential(board: Board, part: Part, marks: dict[Variable, Variable]) -> Expr:
    """The differential of a part: the sum over what it reads. `marks` collects what stands for dX, dR, ..."""
    return _total(board, _by_argument(board, part), marks)


# What is differentiated by, its differential, and the differential of a part in terms of it.
Moved = tuple[Variable, Variable, Expr]


def _by_argument(board: Board, part: Part) -> list[Moved]:
    """The differentials of a part by each thing that it reads."""
    terms: list[Moved] = []
    for argument in board.flow.arguments(part):
        inward = board.inward(part.value, argument, differential=True)
        value = board.in_names(simplify(inward.end))
        board.claims.append(Claim(f"d{part.name}", value, part.value, argument, inward.moved))
        terms.append((argument, inward.moved, value))
    return terms


def _total(board: Board, found: Sequence[Moved], marks: dict[Variable, Variable]) -> Expr:
    terms: list[Expr] = []
    for argument, moved, value in found:
        if argument not in marks:
            marks[argument] = board.placeholder(m.differential(board.symbol(argument)), argument.shape)
        terms.append(substitute(value, {moved: marks[argument]}))
    return simplify(terms[0] if len(terms) == 1 else Sum(terms))


def backwards(board: Board) -> tuple[Entry, ...]:
    """Upstream times local, from the output back, each in the layout that was asked for.

    Every one of them is a total derivative, and never has the symbol of a direct partial derivative.
    """
    output = board.output
    if output.symbol.rank:
        return _forwards(board)
    lines: list[Told] = []
    upstream: dict[Variable, Variable] = {}
    gradients: dict[Variable, Expr] = {}
    letter = board.symbol(output.symbol)
    wanted = [*(p.symbol for p in reversed(board.moving[:-1])), board.wrt]
    for symbol in wanted:
        terms: list[Expr] = []
        reached: list[Expr] = []
        reasons: list[str | Tree] = []
        kinds: list[str] = []
        for user in board.flow.users(symbol):
            if user not in board.moving:
                continue
            local = board.local(user, symbol)
            reached.append(user.value)
            if user is not output:
                reached[-1] = (upstream[user.symbol] * user.value).sum()
                axes = tuple(range(local.rank))
                own = axes[: user.symbol.rank]
                local = Einsum(ONE, (upstream[user.symbol], local), (own, axes), axes[user.symbol.rank :])
            terms.append(local)
            kinds.append(kind(user.value))
            reasons += [", "] * bool(reasons) + [board.symbol(user.symbol)]
        value = simplify(terms[0] if len(terms) == 1 else Sum(terms))
        # What comes from above has been claimed before, so each line is compared by itself.
        gradients[symbol] = substitute(value, {upstream[s]: gradients[s] for s in upstream})
        name = f"∂{output.name}/∂{symbol.name}"
        if is_long(board):
            # One step of the chain rule, what comes from above held fixed: the work grows with the depth, not
            # with its square.
            board.claim(name, value, Sum(reached) if len(reached) > 1 else reached[0], symbol)
        else:
            part = board.flow.by_symbol.get(symbol)
            board.claim(name, gradients[symbol], output.whole, part.whole if part else symbol)
        left = m.derivative(letter, board.symbol(symbol), board.total_sign)
        line = partial(_step_back, board, left, symbol, value, tuple(reasons))
        lines.append(Told(str(kinds), to_text(left), line))
        turned = is_turned(0, symbol.rank, board.subject.layout)
        upstream[symbol] = board.placeholder(left, symbol.shape, turned)
    entries = folded(lines)
    last = next(entry for entry in reversed(entries) if isinstance(entry, Line))
    assert last.left is not None
    board.recursion = last.left, last.right, last.sizes
    words = "From the output back: what comes from above times the local derivative."
    if board.has_axes:
        numerator = board.subject.layout == "numerator"
        words += f" Each is written in {'numerator layout' if numerator else 'the shape of its variable'}."
    return (Sentence((words,)), *entries)


def _step_back(board: Board, left: Tree, symbol: Variable, value: Expr, users: Words) -> Line:
    layout = board.subject.layout
    turned = is_turned(0, symbol.rank, layout)
    tree = board.tree(value, turned)
    sizes = layout_sizes((), symbol.shape, layout) if turned else sizes_text(symbol.shape)
    return Line(left, tree, ("through ", *_few(users)), sizes, value=value)


def _few(names: Sequence[str | Tree]) -> Words:
    """Names with commas between them, of many only the first and the last."""
    return tuple(names) if len(names) <= FEW else (*names[:6], "…, ", names[-1])


def _forwards(board: Board) -> tuple[Entry, ...]:
    """The differential of the output in terms of dX alone."""
    output = board.output
    inward = board.inward(output.whole, board.wrt, differential=True)
    value = simplify(inward.end)
    board.claims.append(Claim(f"d{output.name}", value, output.whole, board.wrt, inward.moved))
    moved = board.placeholder(m.differential(board.symbol(board.wrt)), board.wrt.shape)
    line = Line(
        m.differential(board.symbol(output.symbol)),
        board.tree(substitute(value, {inward.moved: moved})),
        ("each differential put into the next",),
        sizes_text(output.symbol.shape),
        value=value,
    )
    return (line,)
