"""The derivation of a derivative by several scalars as one, wrt="[x, y]": a gradient, a Jacobian.

In: what is explained, the joint derivative, a style. Out: one Derivation. In the style operator each function
of a stack is differentiated by one variable at a time; in the others the steps of all variables stand under
the same intermediate variables. Both end with the partial derivatives put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from chainrule.derive.engine import jacobians
from chainrule.explain import Derivation, Line, Phase, Sentence
from chainrule.explain.board import Subject
from chainrule.explain.build import explain as explain_one
from chainrule.explain.derivation import Entry
from chainrule.expr.dims import Dim
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Expr, Stack, Variable, permute
from chainrule.notation import matform as m
from chainrule.notation.abbreviate import introduced
from chainrule.notation.layout import layout_sizes
from chainrule.notation.matform import Tree
from chainrule.notation.present import Request, present, present_many
from chainrule.simplify import simplify

Table = list[list[Tree]]


def joint(subject: Subject, style: str | None, opened: Sequence[str], units: str) -> Derivation:
    """The derivation of ∂subject/∂(x, y, …), the variables being `together`.

    Raises: OptionError for a style that cannot show it; NoDerivative.
    """
    if style in (None, "operator") and _functions(subject):
        return _one_by_one(subject, opened, units)
    pages = [
        explain_one(replace(subject, wrt=v), style or "operator", opened=opened, units=units)
        for v in subject.together
    ]
    return _together(subject, pages)


def _functions(subject: Subject) -> list[tuple[str, Expr]]:
    """The scalars that the value consists of, with their names; () if it has entries that are not listed."""
    expr = subject.expr
    if not expr.rank:
        return [(subject.letter, expr)]
    if expr.rank > 1 or not isinstance(expr, Stack):
        return []
    return [(f"{subject.letter}{k + 1}", entry) for k, entry in enumerate(expr.entries)]


def _one_by_one(subject: Subject, opened: Sequence[str], units: str) -> Derivation:
    """Every function by every variable, each pushed inward by itself."""
    pages = [
        explain_one(
            replace(subject, expr=entry, letter=name, wrt=v, together=()),
            "operator",
            opened=opened,
            units=units,
        )
        for name, entry in _functions(subject)
        for v in subject.together
    ]
    partial = tuple(entry for page in pages for phase in page.phases for entry in phase.entries)
    lines, where = _assembled(subject)
    phases = (
        Phase("Differentiate by one variable at a time", partial, 1),
        Phase("Put them together", tuple(replace(line, result=False) for line in lines), 2),
    )
    return _page(
        subject, pages, phases, (replace(lines[-1], left=lines[0].left, sizes=lines[0].sizes),), where
    )


def _together(subject: Subject, pages: Sequence[Derivation]) -> Derivation:
    """The steps of all variables in the phases of the style, each line once."""
    phases = []
    for same in zip(*(page.phases for page in pages), strict=False):
        groups = [list(_groups(phase.entries)) for phase in same]
        unclear = _is_unclear(groups)
        found: dict[tuple[Entry, ...], None] = {}
        for page, own in zip(pages, groups, strict=True):
            fresh = [group for group in own if group not in found]
            if fresh and unclear:
                fresh.insert(0, (_held(subject, page.wrt),))
            found |= dict.fromkeys(fresh)
        phases.append(replace(same[0], entries=tuple(entry for group in found for entry in group)))
    # What one variable has opened and another has not.
    phases += [phase for page in pages for phase in page.phases[len(phases) :]]
    if subject.expr.rank > 1:
        return _apart(subject, pages, tuple(phases))
    lines, where = _assembled(subject)
    return _page(subject, pages, tuple(phases), lines, where)


def _apart(subject: Subject, pages: Sequence[Derivation], phases: tuple[Phase, ...]) -> Derivation:
    """The derivatives of a matrix one by one."""
    where = tuple(dict.fromkeys(line for page in pages for line in page.where))
    answer = tuple(line for page in pages for line in page.answer)
    names = [pretty(v.name) for v in subject.together]
    says = f"together, by {', '.join(names)}, they have one more axis: one for the variables"
    return replace(_page(subject, pages, phases, answer, where), notes=(says,), reading=())


def _is_unclear(pages: Sequence[Sequence[tuple[Entry, ...]]]) -> bool:
    """Whether two variables say different things about one left side."""
    said: dict[Tree, list[tuple[Entry, ...]]] = {}
    for groups in pages:
        mine: dict[Tree, list[tuple[Entry, ...]]] = {}
        for group in groups:
            if isinstance(group[0], Line) and group[0].left is not None:
                mine.setdefault(group[0].left, []).append(group)
        if any(said.get(left, own) != own for left, own in mine.items()):
            return True
        said |= mine
    return False


def _held(subject: Subject, wrt: Variable | None) -> Sentence:
    """Which variable moves."""
    assert wrt is not None
    others = [v for v in subject.together if v is not wrt]
    names = [part for v in others for part in (", ", m.name(v.name))][1:]
    are = "is" if len(others) == 1 else "are"
    return Sentence((m.name(wrt.name), " moves, ", *names, f" {are} held fixed."))


def _groups(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    """Lines that go on from the one before stand with it."""
    group: list[Entry] = []
    for entry in entries:
        if group and not (isinstance(entry, Line) and entry.left is None):
            yield tuple(group)
            group = []
        group.append(entry)
    if group:
        yield tuple(group)


def _assembled(subject: Subject) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """The partial derivatives put together, in symbols and in values, and the names in these."""
    functions, denominator = _functions(subject), subject.layout == "denominator"
    rows = functions or [(subject.letter, subject.expr)]
    general = [[m.derivative(m.name(name), m.name(v.name)) for v in subject.together] for name, _ in rows]
    found = [
        jacobians(expr, subject.together, subject.at_kink)[v] for _, expr in rows for v in subject.together
    ]
    # Columns: a stack of them has the axis of the variables first.
    values = [simplify(each) for each in found] if functions else [simplify(permute(Stack(found), (1, 0)))]
    given = {name: simplify(part) for name, part in {**subject.given, **subject.names}.items()}
    own = {part.name for part in subject.flow.parts} - set(given)
    taken = (subject.taken - set(subject.given)) | own
    requests = [
        Request(introduced(value, subject.given).expr, denominator and not functions) for value in values
    ]
    shown, named = present_many(requests, given, taken=taken, errors=True)
    trees = iter([one.tree for one in shown])
    table = [[next(trees) for _ in row] for row in general] if functions else []
    if denominator:
        general, table = _turned(general), _turned(table)
    left, reason = _left(subject, functions)
    layout = "denominator" if denominator else "numerator"
    sizes = layout_sizes(subject.expr.shape, (Dim.of(len(subject.together)),), layout)
    whole = m.grid(table) if functions else shown[0].tree
    across = len(subject.together)
    joined = [simplify(Stack(values[k : k + across])) for k in range(0, len(values), across)]
    value = values[0] if not functions else simplify(Stack(joined)) if subject.expr.rank else joined[0]
    result = Line(None, whole, value=value, result=True)
    where = tuple(Line(m.name(name), part.tree, value=part.part) for name, part in named)
    return (Line(left, m.grid(general), (reason,), sizes), result), where


def _left(subject: Subject, functions: Sequence[object]) -> tuple[Tree, str]:
    """What the derivative is called, and how it is put together."""
    letter = m.name(subject.letter)
    left = m.tree("derivative", (letter, m.call("", *(m.name(v.name) for v in subject.together))))
    reason = "a row for each function, a column for each variable"
    if not subject.expr.rank:
        left = m.tree("symbol", (), (f"∇{subject.letter}", rf"\nabla {subject.letter}"))
        reason = "the gradient: all partial derivatives"
    elif not functions:
        reason = "a column for each variable"
    if subject.layout == "denominator":
        reason += ", and all that transposed (denominator layout)"
    return left, reason


def _turned(table: Table) -> Table:
    return [list(row) for row in zip(*table, strict=True)]


def _page(
    subject: Subject,
    pages: Sequence[Derivation],
    phases: tuple[Phase, ...],
    answer: tuple[Line, ...],
    where: tuple[Line, ...],
) -> Derivation:
    """Everything about the variables together, from their own pages."""
    checks = [page.checked for page in pages]
    worst = max(checks, key=lambda c: c.worst)
    failed = tuple(dict.fromkeys(f for c in checks for f in c.failed))
    return Derivation(
        style=pages[0].style,
        layout=subject.layout,
        heading=(Line(m.name(subject.letter), pages[0].heading[0].right),)
        if len(pages) == len(subject.together)
        else (Line(m.name(subject.letter), present(subject.expr, as_typed=True).tree),),
        sizes=pages[0].sizes[: len(subject.variables)],
        phases=phases,
        answer=answer,
        checked=replace(worst, steps=sum(c.steps for c in checks), failed=failed),
        sections=tuple(dict.fromkeys(section for page in pages for section in page.sections)),
        kinks=tuple(dict.fromkeys(kink for page in pages for kink in page.kinks)),
        conditions=tuple(dict.fromkeys(each for page in pages for each in page.conditions)),
        where=where,
        reading=(_reading(subject),),
    )


def _reading(subject: Subject) -> Sentence:
    """What a gradient or a Jacobian of scalars says: true by what its entries are."""
    if subject.expr.rank:
        row, column = ("row", "column") if subject.layout != "denominator" else ("column", "row")
        one, every = ("function", "function") if _functions(subject) else ("entry of the value", "entry")
        says = f"each {row} says how one {one} reacts to every variable, each {column} how every {every} "
        return Sentence((f"{says}reacts to one variable.",))
    gradient = m.tree("symbol", (), (f"∇{subject.letter}", rf"\nabla {subject.letter}"))
    way = (" points in the direction in which ", m.name(subject.letter), " rises most steeply, ")
    return Sentence(("where it is not 0, ", gradient, *way, "and its length is the rate of that rise."))
