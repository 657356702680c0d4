"""A sheet in another notation than the vectorised one: its lines of text, its LaTeX, its JSON.

In: a sheet, and each answer as `notation.notations` writes it, or the reason why it has no such form; then
the answer stands as it always does, with that reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chainrule.api.layouts import is_gradient, is_turned, wrapped
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Variable
from chainrule.notation.latex import to_latex
from chainrule.notation.matform import Tree
from chainrule.notation.notations import NoNotation, write
from chainrule.notation.present import head
from chainrule.notation.text import sizes_text, to_text
from chainrule.notation.written import RELATIONS, Line, Subject, Written

if TYPE_CHECKING:
    from chainrule.api.derivative import Derivative
    from chainrule.api.sheet import Answer, Sheet

Shown = Written | NoNotation


def subject(sheet: Sheet, answer: Answer) -> Subject:
    """What the notations need to know of an answer."""
    derivative = answer.derivative
    moving: dict[Variable, None] = dict.fromkeys(v for t in derivative.wrt for v in t.variables)
    last = derivative.wrt[-1]
    return Subject(
        sheet.exprs[derivative],
        (sheet.letter, sheet.formula.expr.shape),
        tuple((target.name, target.shape) for target in derivative.wrt),
        tuple(moving),
        tuple(v.name for v in last.variables) if last.joint else (),
        is_turned(derivative, sheet.layout),
        is_gradient(derivative),
        sheet.given,
        sheet.taken,
        sheet.formula.profile,
    )


def written(sheet: Sheet, answer: Answer, notation: str) -> Written:
    """An answer in a notation.

    Raises: NoNotation if it has none.
    """
    return write(subject(sheet, answer), notation)


def all_written(sheet: Sheet) -> list[Shown]:
    """Every answer in the notation of the sheet, or the reason why not."""
    found: list[Shown] = []
    for answer in sheet.answers:
        try:
            found.append(written(sheet, answer, sheet.options.notation))
        except NoNotation as problem:
            found.append(problem)
    return found


def lines(sheet: Sheet, shown: Sequence[Shown]) -> list[str]:
    """The answers as lines of text, each with its size, then what the names in them stand for."""
    result: list[str] = []
    names: dict[str, str] = {}
    notes: dict[str, None] = {}
    for answer, found in zip(sheet.answers, shown, strict=True):
        if isinstance(found, NoNotation):
            result += [*sheet.matrix_lines(answer), f"    {_reason(found)}"]
            names |= {to_text(head(name, part)): part.text for name, part in sheet.where}
            continue
        own = {found.shown(name): found.shown(value) for name, value in found.where}
        if any(names.get(name, value) != value for name, value in own.items()):
            result += wrapped((f"{n} = {v}" for n, v in names.items()), "where ", ", ")
            names = {}
        names |= own
        shown_line = f"{_label(found, found.line, answer)}{found.shown(found.line.tree)}"
        result.append(f"{shown_line}    {size_of(sheet, answer, found)}")
        if found.gradient is not None:
            name = pretty(answer.derivative.wrt[0].name)
            result.append(f"gradient in the shape of {name}: {found.shown(found.gradient.tree)}")
        notes |= dict.fromkeys(f"{found.shown(name)} {says}" for name, says in found.notes)
    result += wrapped((f"{name} = {value}" for name, value in names.items()), "where ", ", ")
    return result + ([f"{'; '.join(notes)}"] if notes else [])


def vector_names(shown: Sequence[Shown]) -> dict[str, str]:
    """The names in the answers by what they stand for, those aside that have an index."""
    found = [pair for one in shown if isinstance(one, Written) for pair in one.where]
    return {to_text(value): to_text(name) for name, value in found if name.op == "name"}


def has_matrix(shown: Sequence[Shown]) -> bool:
    """Whether an answer stands vectorised, because that was asked for or for want of another form."""
    return not shown or any(isinstance(one, NoNotation) for one in shown)


def names_of(shown: Sequence[Shown]) -> set[str]:
    """The names of parts in the answers; of eᵢ, e."""
    trees = [name for one in shown if isinstance(one, Written) for name, _ in one.where]
    return {(t if t.op == "name" else t.args[0]).data[0] for t in trees}


def _reason(problem: NoNotation) -> str:
    return f"{problem.message}; {problem.hint}"


def _label(found: Written, line: Line, answer: Answer) -> str:
    label = answer.label if line.label is None else found.shown(line.label)
    return f"{label} {line.relation} "


def size_of(sheet: Sheet, answer: Answer, found: Written) -> str:
    """The size of an answer in a notation, in the words of that notation."""
    derivative = answer.derivative
    match found.notation:
        case "map":
            return _map_size(derivative, found.changes)
        case "index":
            return f"{sizes_text(derivative.expression.shape)}, by entries"
        case "kron":
            return "columns stacked by vec"
    return sheet.size_note(answer)


def _map_size(derivative: Derivative, changes: int) -> str:
    """The sizes of the change and of what it makes, and how often the derivative of which order changes."""
    sources = [target.shape for target in derivative.wrt[-changes:]]
    target = derivative.expression.shape[: derivative.expression.rank - sum(map(len, sources))]
    left = derivative.order - changes
    if changes == 1:
        change = f", the change of the derivative of order {left}" * (left > 0)
        return f"{sizes_text(sources[0])} ↦ {sizes_text(target)}{change}"
    which = {2: "second", 3: "third"}.get(changes, f"{changes}th")
    if len(set(derivative.wrt[-changes:])) > 1:
        return f"{', '.join(map(sizes_text, sources))} ↦ {sizes_text(target)}"
    of = f" of the derivative of order {left}" * (left > 0)
    return f"{sizes_text(target)}, the {which} differential{of}"


def equations(sheet: Sheet, shown: Sequence[Shown]) -> list[str]:
    """The answers as rows of aligned LaTeX equations, then the names in them."""
    rows: list[str] = []
    names: dict[str, None] = {}
    for answer, found in zip(sheet.answers, shown, strict=True):
        if isinstance(found, NoNotation):
            rows.append(f"{answer.label_latex} &= {answer.written.latex}")
            continue
        relation = RELATIONS[found.line.relation]
        rows.append(f"{_latex_label(found, answer)} &{relation} {_latex(found, found.line.tree)}")
        names |= dict.fromkeys(f"{_latex(found, n)} &= {_latex(found, v)}" for n, v in found.where)
    first = next(iter(names), "")
    return rows + [r"\text{where } " * (row is first) + row for row in names]


def _latex(found: Written, tree: Tree) -> str:
    return to_latex(tree, found.profile)


def _latex_label(found: Written, answer: Answer) -> str:
    return answer.label_latex if found.line.label is None else _latex(found, found.line.label)


def markdown(sheet: Sheet, shown: Sequence[Shown]) -> list[str]:
    """The answers for a page, with formulas in LaTeX."""
    result: list[str] = []
    for answer, found in zip(sheet.answers, shown, strict=True):
        if isinstance(found, NoNotation):
            result += [
                *sheet.matrix_markdown(answer),
                f"{_reason(found)[0].upper()}{_reason(found)[1:]}.",
                "",
            ]
            continue
        relation = RELATIONS[found.line.relation]
        result += [f"$${_latex_label(found, answer)} {relation} {_latex(found, found.line.tree)}$$", ""]
        result += [size_of(sheet, answer, found), ""]
        if found.gradient is not None:
            name = pretty(answer.derivative.wrt[0].name)
            result += [
                f"Gradient in the shape of ${name}$:",
                "",
                f"$${_latex(found, found.gradient.tree)}$$",
                "",
            ]
        for name_tree, value in found.where:
            result += [f"where ${_latex(found, name_tree)} = {_latex(found, value)}$", ""]
        for name_tree, says in found.notes:
            result += [f"${_latex(found, name_tree)}$ {says}", ""]
    return result


def content(answer: Answer, found: Shown, notation: str) -> dict[str, Any]:
    """An answer in a notation as JSON."""
    if isinstance(found, NoNotation):
        return {"notation": notation, "text": None, "latex": None, "reason": _reason(found)}
    names = [
        {"name": found.shown(n), "text": found.shown(v), "latex": f"{_latex(found, n)} = {_latex(found, v)}"}
        for n, v in found.where
    ]
    return {
        "notation": notation,
        "label": answer.label if found.line.label is None else found.shown(found.line.label),
        "relation": found.line.relation,
        "text": found.shown(found.line.tree),
        "latex": _latex(found, found.line.tree),
        "gradient": None
        if found.gradient is None
        else {
            "text": found.shown(found.gradient.tree),
            "latex": _latex(found, found.gradient.tree),
        },
        "where": names,
        "notes": [f"{found.shown(name)} {says}" for name, says in found.notes],
    }
