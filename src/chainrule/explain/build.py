"""From a formula to its derivation: the style is chosen from the problem, the lines are written and checked.

In: a Subject and a style, or none. Out: a Derivation, every line of which has been compared with numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chainrule.errors import DomainProblem, OptionError
from chainrule.explain import components, differentials, operator, reading, unit_lines, variables
from chainrule.explain.answer import answer
from chainrule.explain.board import Board, Subject
from chainrule.explain.derivation import Checked, Derivation, Line, Phase, Words
from chainrule.explain.paths import along_paths
from chainrule.explain.recursion import is_long
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Expr, Stack, Variable
from chainrule.expr.walk import substitute, topological, tree_size
from chainrule.expr.walk import variables as variables_of
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.present import named_by
from chainrule.notation.text import sizes_text, to_text
from chainrule.rules.table import Elementwise
from chainrule.simplify import Normaliser, normalise
from chainrule.steps import Step

STYLES = ("operator", "variables", "components", "differentials")
# More names than this are told in groups.
MANY_NAMES = 8
# More steps than this read better as a recursion than as one differential.
FEW_PARTS = 5
# Nodes of a formula whose rewrites are kept as data.
MOST_NODES = 150
# Sets where it is not differentiable that are listed.
MOST_KINKS = 4


def explain(
    subject: Subject,
    style: str | None = None,
    *,
    opened: Sequence[str] = (),
    points: int | None = None,
    units: str = "",
) -> Derivation:
    """The derivation of ∂subject/∂wrt.

    `opened` names parts whose local derivatives are shown entry by entry too, "all" for every one; "paths"
    shows one entry of the product of Jacobians as a sum over paths.
    `units` are those of variables and parts, "y=mile, u=gallon".
    Raises: OptionError for a style that does not exist or cannot show this; NoDerivative.
    """
    if style is not None and style not in STYLES:
        raise OptionError(f"the style is {', '.join(STYLES)} or layers, not {style!r}")
    board = Board(subject, subject.flow)
    chosen = board.style = style or choose_style(board)
    start, rewrites = _rewrites(board, differential=chosen == "differentials")
    if chosen == "operator":
        phases = operator.phases(board)
    elif chosen == "variables":
        phases = variables.phases(board)
    elif chosen == "components":
        phases = components.phases(board)
    else:
        phases = differentials.phases(board)
    phases = (*phases, *_opened(board, opened))
    board.claim("the derivative", board.derivative, subject.expr, subject.wrt)
    answered, where = answer(board)
    return Derivation(
        style=chosen,
        layout=subject.layout,
        heading=(Line(board.symbol(board.output.symbol), _formula(board)),),
        sizes=sizes(board),
        phases=phases,
        answer=answered,
        checked=checked(board, points),
        kinks=kinks(board, where, [board.wrt], [board.derivative]),
        conditions=conditions(board, where, [board.derivative], [board.wrt]),
        reading=reading.read(board, reading.introduced(board, chosen, where)),
        sections=(unit_lines.section(board, units),) if units else (),
        where=where,
        wrt=board.wrt,
        start=start,
        steps=rewrites,
    )


def _rewrites(board: Board, *, differential: bool) -> tuple[Expr | None, tuple[Step, ...]]:
    """The derivative of the whole pushed inward: what the lines of every style amount to."""
    if tree_size(board.subject.expr) > MOST_NODES:
        return None, ()
    pushed = board.inward(board.subject.expr, board.wrt, differential=differential)
    return pushed.start, tuple(step for move in pushed.moves() for step in move.steps)


def choose_style(board: Board) -> str:
    """Matrices by differentials, one element-wise step by components, nested functions by variables."""
    parts, wrt, output = board.moving, board.wrt, board.output.symbol
    if wrt.rank > 1 or any(p.symbol.rank > 1 for p in parts):
        return "differentials" if len(parts) <= FEW_PARTS and not board.subject.names else "variables"
    if not wrt.rank and not output.rank:
        nested = any(
            isinstance(part.value, Apply) and argument is not wrt
            for part in parts
            for argument in board.flow.arguments(part)
        )
        return "variables" if nested or board.subject.names or is_long(board) else "operator"
    if len(parts) == 1 and output.rank + wrt.rank == 2 and _is_simple(parts[0].value):
        return "components"
    return "variables"


def _is_simple(value: Expr) -> bool:
    nodes = topological([value])
    return (
        not any(isinstance(n, Stack) for n in nodes)
        and sum(isinstance(n, Apply) and not isinstance(n.function, Elementwise) for n in nodes) == 0
    )


def _opened(board: Board, wanted: Sequence[str]) -> tuple[Phase, ...]:
    """Local derivatives entry by entry."""
    names = [part.name for part in board.moving]
    for name in wanted:
        if name not in ("all", "paths", *names):
            raise OptionError(
                f"there is no step {name!r} to open",
                hint=f"the steps are {', '.join(names)}, or all"
                if names
                else "nothing depends on the variable",
            )
    phases = [along_paths(board)] if "paths" in wanted and board.moving else []
    for part in board.moving:
        if "all" not in wanted and part.name not in wanted:
            continue
        for argument in board.flow.arguments(part):
            inner = components.opened(board, part.symbol, part.value, argument)
            title = f"Entry by entry: how {pretty(part.name)} depends on {pretty(argument.name)}"
            phases.append(Phase(title, tuple(entry for phase in inner for entry in phase.entries)))
    return tuple(phases)


def sizes(board: Board, *, alone: bool = True) -> tuple[Words, ...]:
    """What every name is; of many names W₁, W₂, … those of one size together.

    `alone`: and the derivative.
    """
    kinds: dict[tuple[str, str], list[Tree]] = {}
    used = {*variables_of(board.subject.expr), board.wrt}
    many = len(used) > MANY_NAMES
    for variable in board.subject.variables:
        if variable in used:
            structure = f" ({', '.join(variable.structure)})" if variable.structure else ""
            name, kind = board.symbol(variable), f": {sizes_text(variable.shape)}{structure}"
            letter = variable.name.rstrip("0123456789") if many else variable.name
            kinds.setdefault((letter, kind), []).append(name)
    shown: list[Words] = [(*_listed(names), kind) for (_, kind), names in kinds.items()]
    output = board.output.symbol
    shown.append((board.symbol(output), f": {sizes_text(output.shape)}"))
    if board.subject.origin is not None:
        shown[-1] = (*shown[-1], ", the derivative ", board.subject.origin, " from above")
    if alone and (output.rank or board.wrt.rank):
        layout = board.subject.layout
        layout = "the shape of the variable" if layout == "shape" else f"{layout} layout"
        shown.append(("so ", board.total(output), f": {board.result_sizes()} in {layout}"))
    return tuple(shown)


def _listed(names: Sequence[Tree]) -> Words:
    """W₁, W₂, …, W₉."""
    listed: list[str | Tree] = [*names] if len(names) <= 4 else [*names[:2], "…", names[-1]]
    return tuple(part for name in listed for part in (", ", name))[1:]


def _formula(board: Board) -> Tree:
    """The formula as it was written, in the names that the person gave to its parts."""
    names = {part: Variable(name, part.shape) for name, part in board.subject.names.items() if part.children}
    names.pop(board.subject.expr, None)
    return board.typed(substitute(board.subject.expr, names))


def _writing(board: Board, where: Sequence[Line]) -> Callable[[Expr], str]:
    """How a part is written in the names of the page."""
    normal = Normaliser()
    shown = board.flow.parts if board.style in ("variables", "differentials", "layers") else ()
    named = {part: name for name, part in board.subject.names.items()}
    known = {normal(part): name for part, name in named.items()} | {normal(p.whole): p.name for p in shown}
    known |= {normal(w.value): named_by(w.left) for w in where if w.value is not None and w.left is not None}

    def write(part: Expr) -> str:
        name = known.get(part) if part.children else None
        return to_text(m.name(name) if name else board.tree(part))

    return write


def kinks(
    board: Board, where: Sequence[Line], wrt: Sequence[Variable], answers: Sequence[Expr] = ()
) -> tuple[str, ...]:
    """Where it is not differentiable and what is taken there, in the names of the page."""
    from chainrule.verify.kinks import kinks_of  # loads NumPy

    subject, write = board.subject, _writing(board, where)
    found = list(map(str, kinks_of(normalise(subject.expr), wrt, write, 1, subject.at_kink, answers)))
    if len(found) <= MOST_KINKS:
        return tuple(found)
    return (*found[: MOST_KINKS - 1], f"and likewise in {len(found) - MOST_KINKS + 1} other places")


def conditions(
    board: Board, where: Sequence[Line], derivatives: Sequence[Expr], wrt: Sequence[Variable]
) -> tuple[str, ...]:
    """What is taken for granted of the matrices that move, in the names of the page."""
    from chainrule.verify import conditions as verify  # loads NumPy

    expr = board.subject.expr
    return tuple(verify.conditions(expr, normalise(expr), derivatives, wrt, _writing(board, where)))


def checked(board: Board, points: int | None) -> Checked:
    """What the check of every claim found."""
    from chainrule.verify.claims import check_claims  # loads NumPy, which writing a derivation does not need

    used = {*variables_of(board.subject.expr), board.wrt}
    inputs = [v for v in board.subject.variables if v in used]
    try:
        found = check_claims(list(dict.fromkeys(board.claims)), board.definitions, inputs, points=points)
    except DomainProblem as problem:
        return Checked(0, 0, 0.0, "", (), problem.message)
    return Checked(max(found.claims - 1, 0), found.points, found.worst, found.method, found.failed)
