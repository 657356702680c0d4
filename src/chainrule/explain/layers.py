"""The style `layers`: a program of layers by all its parameters on one page.

In: what is explained, and its Recursion. Out: a Derivation of three phases: forward through the layers, from
the output back, and the gradients by the parameters. What is found as before is told by its formula alone, so
the page grows linearly with the depth. Every line is compared with numbers, what comes from above held fixed,
and all gradients together with the slope of the formula.
Source: Nielsen 2015, chapter 2, equations BP1 to BP4.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from chainrule.derive.flow import regrouped
from chainrule.errors import DomainProblem
from chainrule.explain.board import Board, Subject
from chainrule.explain.build import checked, conditions, kinks, sizes
from chainrule.explain.derivation import Checked, Derivation, Entry, Line, Phase, Sentence, Words
from chainrule.explain.folding import folded, listed
from chainrule.explain.introduce import definitions
from chainrule.explain.upstream import Received, Upstream, groups, written
from chainrule.expr.dims import Dim
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Einsum, Expr, Variable
from chainrule.expr.walk import substitute
from chainrule.notation import matform as m
from chainrule.notation.layout import is_turned, layout_sizes
from chainrule.notation.matform import Tree
from chainrule.notation.recursion import Recursion
from chainrule.notation.text import sizes_text, to_text

STYLE = "layers"
# So many parts are all shown on the way forward, and so many gradients before the answer.
ALL_SHOWN = 24
BEFORE = "as above"


def explain_layers(subject: Subject, points: int | None = None) -> Derivation:
    """The derivation of all gradients of a program of layers, by the variables of its recursion.

    Raises: NoDerivative.
    """
    layers = subject.layers
    assert layers is not None, "no program of layers"
    board = Board(subject, subject.flow)
    board.style = STYLE
    back = Upstream(board, layers, subject.taken)
    phases = (
        Phase("Forward pass", _forward(board), 1),
        Phase("Backward pass", _backward(board, back), 2),
        Phase("Gradients of the parameters", _gradients(board, back), 3),
    )
    corners = kinks(board, (), board.flow.wrt)
    return Derivation(
        style=STYLE,
        layout=subject.layout,
        heading=(Line(board.symbol(board.output.symbol), _formula(board)),),
        sizes=(*sizes(board, alone=False), _layout(subject)),
        phases=phases,
        answer=_answer(board, layers),
        checked=_checked(board, layers, points),
        reading=_reading(board, back, smooth=not corners),
        kinks=corners,
        conditions=conditions(board, (), [delta.value for delta in layers.deltas], board.flow.wrt),
    )


def _layout(subject: Subject) -> Words:
    """How the answers are written."""
    shape = "the shape of the parameter" if subject.layout == "shape" else f"{subject.layout} layout"
    return (f"the derivatives at the end in {shape}",)


def _formula(board: Board) -> Tree:
    """The formula in the names that the person gave to its parts."""
    expr, parts = regrouped(board.subject.expr, board.subject.names)
    names = {part: Variable(name, part.shape) for name, part in parts.items() if part.children}
    names.pop(expr, None)
    return board.typed(substitute(expr, names))


# ---------------------------------------------------------------- 1


def _forward(board: Board) -> tuple[Entry, ...]:
    lines = definitions(board)
    shown = folded(lines) if len(lines) > ALL_SHOWN else tuple(told.line() for told in lines)
    letter = board.symbol(board.output.symbol)
    words = ("Every parameter moves ", letter, " through the layers behind it, so one way back from ", letter)
    return (*shown, Sentence((*words, " serves all of them.")))


# ---------------------------------------------------------------- 2


def _backward(board: Board, back: Upstream) -> tuple[Entry, ...]:
    entries: list[Entry] = [Sentence(words) for words in _conventions(board, back)]
    told: set[str] = set()
    known: set[str] = set()
    alike: list[list[Received]] = []
    for k, group in enumerate(groups(back.parts)):
        if all(own.kind in known for own in group):
            alike.append(group)
            continue
        entries += _likewise(board, back, alike)
        alike = []
        entries.append(Phase(_title(group, first=not k), tuple(_explained(board, back, group, told, known))))
    return (*entries, *_likewise(board, back, alike))


def _conventions(board: Board, back: Upstream) -> list[Words]:
    """What δ and a bar mean, and the rule of every step in the names of one of them."""
    deltas = [own for own in back.parts if _number(own) is not None]
    others = [own for own in back.parts if _number(own) is None]
    said: list[str | Tree] = []
    for own in deltas[:1]:
        sign = "Δ" if own.symbol.rank > 1 else "δ"
        said += [f"A {sign} is the gradient by the affine part of a layer ", *_named(board, own)]
    for own in others[:1]:
        said += [", a bar that by any other part " if deltas else "A bar is the gradient by a part "]
        said += _named(board, own)
    return [(*said, ", each in the shape of what it is by."), *_rule(board, back)]


def _named(board: Board, own: Received) -> Words:
    return "(", m.name(own.name.name), " by ", board.symbol(own.symbol), ")"


def _rule(board: Board, back: Upstream) -> list[Words]:
    """Upstream × local in the names of one step, from a layer to what it reads."""
    single = [p for p in back.parts if len(p.readers) == 1 and p.readers[0] is not board.output]
    named = [own for own in single if own.readers[0].symbol in back.deltas]
    if not single:
        return []
    own = (named or single)[0]
    (reader,) = own.readers
    name, up = m.name(own.name.name), back.name_of(reader)
    if back.is_linear(reader, own.symbol):
        inner, outer = (m.differential(board.symbol(v)) for v in (own.symbol, reader.symbol))
        letter = m.differential(board.symbol(board.output.symbol))
        first, second = back.paired(up, outer, reader.symbol), back.paired(name, inner, own.symbol)
        rule: Words = ("Upstream × local: in ", letter, " = ", first, " the differential ", outer)
        rule = (*rule, " is put in, and ", letter, " = ", second, " read off")
    else:
        local = m.derivative(board.symbol(reader.symbol), board.symbol(own.symbol))
        local = local if board.layout == "denominator" else m.transpose(local)
        rule = ("Upstream × local: ", name, " = ", m.chain(local, up))
    return [(*rule, "; what several parts read receives the sum over them.")]


def _title(group: Sequence[Received], *, first: bool) -> str:
    number = _number(group[-1])
    if first and number is not None:
        return "The output layer"
    if number is not None:
        return f"Layer {number}"
    names = [pretty(own.symbol.name) for own in (group[-1:] if group[-1].delta else group)]
    return f"Back to {names[0] if len(names) == 1 else ', '.join(names[:-1]) + ' and ' + names[-1]}"


def _number(own: Received) -> int | None:
    found = re.fullmatch(r"[dD]elta_?(\d+)_*", own.name.name)
    return int(found[1]) if found and own.delta else None


def _explained(
    board: Board, back: Upstream, group: Sequence[Received], told: set[str], known: set[str]
) -> list[Entry]:
    """The local derivatives, and what they are multiplied to."""
    lines: list[Entry] = []
    for own in group:
        lines += back.revealed(own.value)
        lines += back.locals(own, told)
        reason = back.reason(own) if own.kind not in known else (BEFORE,)
        known.add(own.kind)
        name, size = m.name(own.name.name), sizes_text(own.symbol.shape)
        line = written(board, name, own.value, reason, size)
        if own.delta is None:
            lines.append(line)
            continue
        lines.append(Line(line.left, _gradient(board, own.symbol, line)))
        lines.append(replace(line, left=None))
        short = written(board, name, back.layers.shown(own.delta.value), _put_in(group))
        if to_text(short.right) != to_text(line.right):
            lines.append(replace(short, left=None))
    return lines


def _put_in(group: Sequence[Received]) -> Words:
    """What has been replaced by its value."""
    names = [m.name(own.name.name) for own in group[:-1]]
    return (names[0], " put in") if len(names) == 1 else ("the names put in",)


def _gradient(board: Board, symbol: Variable, line: Line | None = None) -> Tree:
    """∂L/∂z in the shape of z: transposed where the layout writes a row; by entries where the line is."""
    tree = m.derivative(board.symbol(board.output.symbol), board.symbol(symbol))
    if line is not None and line.left is not None and line.left.op == "entry":
        entry = m.tree("entry", (board.symbol(symbol),), line.left.data)
        return m.derivative(board.symbol(board.output.symbol), entry)
    return m.transpose(tree) if is_turned(0, symbol.rank, board.subject.layout) else tree


def _likewise(board: Board, back: Upstream, alike: Sequence[Sequence[Received]]) -> list[Entry]:
    """Layers that are like one above: their formulas."""
    if not alike:
        return []
    lines: list[Entry] = []
    back.unshown |= {own.name: own for group in alike if group[-1].delta for own in group[:-1]}
    for own in [own for group in alike for own in (group[-1:] if group[-1].delta else group)]:
        value = own.value if own.delta is None else back.layers.shown(own.delta.value)
        lines += back.revealed(value)
        words = ("the gradient by ", board.symbol(own.symbol))
        name, size = m.name(own.name.name), sizes_text(own.symbol.shape)
        lines.append(written(board, name, value, words, size))
    known = [n for n in (_number(group[-1]) for group in alike) if n is not None]
    title = "Likewise"
    if known:
        joint = " and " if len(known) == 2 else " to "
        ends = f"s {known[0]}{joint}{known[-1]}" if len(known) > 1 else f" {known[0]}"
        title = f"Layer{ends}, likewise"
    return [Phase(title, tuple(lines))]


# ---------------------------------------------------------------- 3


def _gradients(board: Board, back: Upstream) -> tuple[Entry, ...]:
    lines: list[Entry] = []
    told: set[str] = set()
    known: set[str] = set()
    hidden: list[Variable] = []
    few = len(back.parameters) <= ALL_SHOWN
    for own in back.parameters:
        new = own.kind not in known
        if not new and not few:
            hidden.append(own.symbol)
            continue
        lines += back.revealed(own.value)
        lines += back.locals(own, told)
        reason = back.reason(own) if new else ("likewise",)
        known.add(own.kind)
        size = sizes_text(own.symbol.shape)
        line = written(board, board.symbol(own.symbol), own.value, reason, size)
        lines.append(replace(line, left=_gradient(board, own.symbol, line)))
        value = back.layers.shown(back.layers.gradients[own.symbol])
        short = written(board, board.symbol(own.symbol), value, ("the names put in",))
        if to_text(short.right) != to_text(line.right):
            lines.append(replace(short, left=None))
    lines += _constants(board, back)
    return (*lines, *_hidden(hidden), *_shapes(board, back.parameters))


def _constants(board: Board, back: Upstream) -> list[Line]:
    """The parameters that the output does not depend on."""
    reached = {own.symbol for own in back.parameters}
    letter, lines = board.symbol(board.output.symbol), []
    for v in board.flow.wrt:
        if v not in reached:
            value, size = back.layers.gradients[v], sizes_text(v.shape)
            words: Words = ("constant rule: ", letter, " does not depend on ", board.symbol(v))
            lines.append(Line(_gradient(board, v), board.tree(value), words, size, value=value))
    return lines


def _hidden(symbols: Sequence[Variable]) -> list[Sentence]:
    """The parameters whose gradients stand in the answer alone."""
    names = [pretty(symbol.name) for symbol in symbols]
    return [Sentence((f"likewise for {listed(names)}, in the answer below",))] if names else []


def _shapes(board: Board, parameters: Sequence[Received]) -> list[Sentence]:
    """(q × 1)(1 × p) = q × p: why a product has the shape of the parameter."""
    for own in parameters:
        found = _factors(own.value)
        if found and own.symbol.rank == 2:
            said = f" is ({found[0]})({found[1]}) = {sizes_text(own.symbol.shape)}, the shape of "
            words: Words = ("Shapes: ", board.tree(own.value), said, board.symbol(own.symbol))
            return [Sentence((*words, "; every gradient has the shape of its parameter."))]
    return []


def _factors(value: Expr) -> tuple[str, str] | None:
    """The sizes of the two factors of a product of two names."""
    if not isinstance(value, Einsum) or len(value.operands) != 2 or len(value.output) != 2:
        return None
    if not all(isinstance(o, Variable) for o in value.operands):
        return None
    row, column = value.output
    summed = {a for axes in value.labels for a in axes} - {row, column}
    if len(summed) > 1 or row == column:
        return None
    inner = value.sizes[summed.pop()] if summed else Dim.of(1)
    return sizes_text((value.sizes[row], inner)), sizes_text((inner, value.sizes[column]))


def _reading(board: Board, back: Upstream, smooth: bool) -> tuple[Sentence, ...]:
    """What the gradient by a matrix of weights says, where it is a product of two names."""
    own = next((p for p in back.parameters if p.symbol.rank == 2 and _factors(p.value)), None)
    if own is None:
        return ()
    assert isinstance(own.value, Einsum)
    (first, second), (left, right) = own.value.operands, own.value.labels
    weight = board.symbol(own.symbol)
    if first.rank == second.rank == 1:
        pair = (first, second) if left[0] == own.value.output[0] else (second, first)
        entry = [m.tree("entry", (board.tree(part),), (k,)) for part, k in zip(pair, "ij", strict=True)]
        moved = m.tree("entry", (weight,), ("i", "j"))
        words: Words = ("wiggle ", moved, " by a small ε and ", board.symbol(board.output.symbol))
        end = " ε." if smooth else " ε, where it is differentiable."
        return (Sentence((*words, " moves by about ", m.chain(*entry), end)),)
    if left[0] == right[0]:
        both = (board.tree(first), " and ", board.tree(second))
        words = (_gradient(board, own.symbol), " adds up one outer product for each row of ", *both, ".")
        return (Sentence(words),)
    return ()


# ---------------------------------------------------------------- the answer


def _answer(board: Board, layers: Recursion) -> tuple[Line, ...]:
    """Every gradient in the layout that was asked for, in the names above."""
    letter, layout = board.symbol(board.output.symbol), board.subject.layout
    lines: list[Line] = []
    for variable, gradient in layers.gradients.items():
        turned = is_turned(0, variable.rank, layout)
        sizes = layout_sizes((), variable.shape, layout)
        line = written(board, board.symbol(variable), layers.shown(gradient), (), sizes, turned=turned)
        assert line.left is not None
        lines.append(replace(line, left=m.derivative(letter, line.left), result=True))
    return (*lines, *_step(board))


def _step(board: Board) -> list[Line]:
    """θ ← θ − η ∂L/∂θ, with the transpose that numerator layout needs."""
    taken = {*board.subject.taken, *(part.name for part in board.flow.parts)}
    if not board.subject.loss or taken & {"theta", "eta"}:
        return []
    theta, eta = m.name("theta"), m.name("eta")
    slope = m.derivative(board.symbol(board.output.symbol), theta)
    slope = m.transpose(slope) if board.subject.layout == "numerator" else slope
    step = m.signed_sum([(1, theta), (-1, m.scale(eta, slope))])
    words: Words = ("gradient-descent step: for each parameter ", theta)
    return [Line(theta, step, words, relation="←")]


def _checked(board: Board, layers: Recursion, points: int | None) -> Checked:
    """Every line by itself, and all gradients together against the slope of the formula."""
    steps = checked(board, points)
    if steps.reason:
        return steps
    from chainrule.verify.gradients import check_gradients  # loads NumPy

    subject, used = board.subject, {v: layers.wholes[v] for v in board.flow.wrt}
    try:
        found = check_gradients(subject.expr, used, points=steps.points, variables=subject.variables)
    except DomainProblem as problem:
        return Checked(0, 0, 0.0, "", (), problem.message)
    failed = () if found.passed else (f"all gradients together, at {found.where}",)
    return replace(
        steps, steps=steps.steps + 1, worst=max(steps.worst, found.worst), failed=(*steps.failed, *failed)
    )
