"""explain(): the derivation of a derivative, as a page of text, Markdown, LaTeX, HTML, or as data.

In: a formula and a variable, or a derivative that is already there. Out: an Explanation, which holds one
Derivation for each variable and order, and prints itself in a terminal and a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chainrule.api.chain import Target
from chainrule.api.derivative import Derivative, Printable, derive
from chainrule.api.formulas import Shapes
from chainrule.api.illustrated import illustrated
from chainrule.api.targets import Wrt
from chainrule.explain import Checked, Derivation, Line, Phase, Sentence
from chainrule.explain.board import Subject
from chainrule.explain.build import explain as explain_one
from chainrule.explain.document import to_json
from chainrule.explain.html import to_html
from chainrule.explain.latex import to_document, to_latex
from chainrule.explain.markdown import to_markdown
from chainrule.explain.signs import in_profile
from chainrule.explain.text import WIDTH, Spell, to_text
from chainrule.expr.nodes import Expr, Stack, Variable
from chainrule.expr.walk import variables as variables_of
from chainrule.language import Formula
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.notation.present import present
from chainrule.rules.unknown import unknown_in
from chainrule.simplify import simplify

# Letters for the value of a formula: of scalars, of vectors to a scalar, to a vector, to a matrix.
DERIVED = "ghqrstuv"
SCALARS, LOSSES, VECTORS, MATRICES = "yfgq", "CLJf", "yuvf", "YFZM"


class Explanation:
    """Derivations that belong together: one for each variable, and one for each order.

    derivations  in the order in which they are read
    subjects     what each explains; None where one puts others together
    """

    def __init__(self, derivations: Sequence[Derivation], subjects: Sequence[Subject | None]) -> None:
        self.derivations = tuple(derivations)
        self.subjects = tuple(subjects)

    @property
    def derivation(self) -> Derivation:
        """The derivation, of the last order if there are several."""
        return self.derivations[-1]

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The steps of the derivation."""
        return self.derivation.phases

    @property
    def introduce(self) -> Phase:
        """Phase 1 of the style `variables`: the intermediate variables."""
        return self.derivation.introduce

    @property
    def differentiate(self) -> Phase:
        """Phase 2 of the style `variables`: the derivatives of the intermediate variables."""
        return self.derivation.differentiate

    @property
    def combine(self) -> Phase:
        """Phase 3 of the style `variables`: the chain rule."""
        return self.derivation.combine

    @property
    def substitute(self) -> Phase:
        """Phase 4 of the style `variables`: the intermediate variables written out."""
        return self.derivation.substitute

    @property
    def checked(self) -> Checked:
        """What the check of every step found; the worst of several derivations."""
        return max((d.checked for d in self.derivations), key=lambda c: (len(c.failed), c.worst))

    def to_text(self, *, width: int = WIDTH, spell: Spell | None = None) -> str:
        """Everything as text in lines of a width; `spell` says how a stream shows what it lacks signs for."""
        return "\n\n".join(to_text(d, width=width, spell=spell) for d in self.derivations)

    def to_markdown(self) -> str:
        """Everything as Markdown, with formulas in LaTeX."""
        return "\n\n".join(map(to_markdown, self.derivations))

    def to_latex(self, *, document: bool = False) -> str:
        """Everything as LaTeX, one align* for each phase; `document`: as a whole file."""
        return to_document(*self.derivations) if document else to_latex(*self.derivations)

    def to_html(self) -> str:
        """Everything as a web page that needs nothing else, with its figures."""
        pages = zip(self.derivations, self.subjects, strict=True)
        return to_html(*(illustrated(page, subject) if subject else page for page, subject in pages))

    def to_json(self) -> str:
        """Everything as JSON; docs/derivation-json.md describes the fields."""
        return to_json(*self.derivations)

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def explain(
    formula: str | Expr,
    wrt: Wrt | None = None,
    shapes: Shapes = None,
    *,
    style: str | None = None,
    open: str | Sequence[str] = (),
    at: Mapping[str, Any] | str | None = None,
    units: str = "",
    **options: Any,
) -> Explanation:
    """How a derivative is found, step by step: `derive` with these options, then `.explain`.

    Raises: ChainruleError with the place in the text and a way out.

    >>> page = explain("x**2 + 3*x", wrt="x")
    >>> page.derivation.style, page.checked.failed
    ('operator', ())
    """
    derived = derive(formula, wrt, shapes, **options)
    return derived.explain(style, open=open, at=at, units=units)


def explanation(
    about: Printable,
    style: str | None = None,
    *,
    opened: Sequence[str] = (),
    at: Mapping[str, Any] | str | None = None,
    units: str = "",
) -> Explanation:
    """The derivations of some derivatives of one formula.

    Raises: OptionError for a style that cannot show it; NoDerivative.
    """
    point = None
    if at is not None:
        from chainrule.api.wiggle import read  # loads NumPy, which writing a derivation does not need

        point = read(about.formula, at)
    found = [each for derivative in about.parts() for each in _of(derivative, style, opened, units, point)]
    pages = [in_profile(page, about.formula.profile) for page, _ in found]
    notes = about.formula.assumptions
    pages[0] = replace(pages[0], notes=notes)
    return Explanation(pages, [subject for _, subject in found])


def _of(
    derivative: Derivative,
    style: str | None,
    opened: Sequence[str],
    units: str,
    point: Mapping[str, Any] | None,
) -> list[tuple[Derivation, Subject | None]]:
    """One derivation for each order; of scalars together, one for each, and one that assembles them.

    Each comes with what it explains.
    """
    formula = derivative.formula
    pages: list[tuple[Derivation, Subject | None]] = []
    expr, names = formula.expr, formula.names
    for k, target in enumerate(derivative.wrt):
        letter = letter_of(formula, expr, target, k)
        subject = Subject(
            expr,
            target.variables[0],
            tuple(formula.variables.values()),
            names,
            derivative.layout,
            letter,
            at_kink=derivative.options.at_kink,
            notation=derivative.options.notation,
            profile=formula.profile,
            given=derivative.options.abbreviations,
            origin=_origin(pages[-1][0], expr) if k else None,
        )
        if target.joint and style in (None, "operator"):
            page = _side_by_side(subject, target, opened, units)
            pages.append((_at(page, subject, target.variables, point), None))
        else:
            for variable in target.variables:
                each = replace(subject, wrt=variable)
                page = explain_one(each, style, opened=opened, units=units)
                pages.append((_at(page, each, [variable], point), each))
        if k + 1 < len(derivative.wrt):
            expr, names = simplify(derivative.chain[k]), {}
    return pages


def _at(
    page: Derivation, subject: Subject, wrt: Sequence[Variable], point: Mapping[str, Any] | None
) -> Derivation:
    """The page with what the derivative says at a point."""
    if point is None:
        return page
    from chainrule.api.wiggle import section  # loads NumPy

    return replace(page, sections=(*page.sections, section(subject, wrt, point)))


def _origin(page: Derivation, expr: Expr) -> Tree:
    """The derivative that a page ends with; a row is derived again as a column."""
    left = next(line.left for line in page.answer if line.result)
    assert left is not None
    row = page.layout == "numerator" and expr.rank == 1 and left.op == "derivative"
    return m.transpose(left) if row else left


def _side_by_side(subject: Subject, target: Target, opened: Sequence[str], units: str) -> Derivation:
    """The partial derivatives by scalars one by one, then together: a gradient, the rows of a Jacobian."""
    letter, expr = m.name(subject.letter), subject.expr
    entries = expr.entries if isinstance(expr, Stack) else ()
    functions = [(f"{subject.letter}{k + 1}", entry) for k, entry in enumerate(entries)]
    pages = [
        [
            explain_one(
                replace(subject, expr=entry, letter=name, wrt=v), "operator", opened=opened, units=units
            )
            for v in target.variables
        ]
        for name, entry in functions or [(subject.letter, expr)]
    ]
    general = [
        [m.derivative(m.name(name), m.name(v.name)) for v in target.variables]
        for name, _ in functions or [(subject.letter, expr)]
    ]
    table = [[next(line.right for line in page.answer if line.result) for page in row] for row in pages]
    if subject.layout == "denominator":
        general = [list(row) for row in zip(*general, strict=True)]
        table = [list(row) for row in zip(*table, strict=True)]
    left = m.tree("derivative", (letter, m.call("", *(m.name(v.name) for v in target.variables))))
    reason = "a row for each function, a column for each variable"
    if not entries:
        left = m.tree("symbol", (), (f"∇{subject.letter}", rf"\nabla {subject.letter}"))
        reason = "the gradient: all partial derivatives"
    if subject.layout == "denominator":
        reason += ", and all that transposed (denominator layout)"
    sizes = f"{len(table)} × {len(table[0])}"
    together = (Line(left, m.grid(general), (reason,), sizes), Line(None, m.grid(table)))
    partial = tuple(
        entry for row in pages for page in row for phase in page.phases for entry in phase.entries
    )
    phases = (
        Phase("Differentiate by one variable at a time", partial, 1),
        Phase("Put them together", together, 2),
    )
    checks = [page.checked for row in pages for page in row]
    worst = max(checks, key=lambda c: c.worst)
    failed = tuple(f for c in checks for f in c.failed)
    return Derivation(
        style="operator",
        layout=subject.layout,
        heading=(Line(letter, present(expr).tree),),
        sizes=pages[0][0].sizes[: len(subject.variables)],
        phases=phases,
        answer=(Line(left, m.grid(table), (), sizes, result=True),),
        checked=replace(worst, steps=sum(c.steps for c in checks), failed=failed),
        sections=tuple(section for row in pages for page in row for section in page.sections),
        reading=(_reading(letter, bool(entries), subject.layout),),
    )


def _reading(letter: Tree, several: bool, layout: str) -> Sentence:
    """What a gradient or a Jacobian of scalars says: true by what its entries are."""
    if several:
        row, column = ("row", "column") if layout != "denominator" else ("column", "row")
        says = f"each {row} says how one function reacts to every variable, each {column} how every function "
        return Sentence((f"{says}reacts to one variable.",))
    gradient = m.tree("symbol", (), (f"∇{letter.data[0]}", rf"\nabla {letter.data[0]}"))
    way = (" points in the direction in which ", letter, " rises most steeply, ")
    return Sentence(("where it is not 0, ", gradient, *way, "and its length is the rate of that rise."))


def letter_of(formula: Formula, expr: Expr, target: Target, order: int = 0) -> str:
    """What the value of a formula is called: y, C for a loss with targets y, L of a matrix.

    The derivative of order 1, 2, ... that is derived again is called g, h, ...
    """
    taken = {*formula.variables, *formula.names, *formula.functions.declared, *unknown_in(expr)}
    taken |= {name for v in formula.variables.values() for dim in v.shape for name in dim.names}
    scalars = not any(v.rank for v in variables_of(expr))
    if order:
        letters = DERIVED[order - 1 :] if expr.rank < 2 else DERIVED[order - 1 :].upper()
    elif expr.rank:
        letters = VECTORS if expr.rank == 1 else MATRICES
    elif scalars:
        letters = SCALARS
    elif any(v.rank > 1 for v in target.variables):
        letters = "LCJf"
    else:
        letters = LOSSES if "y" in taken or "t" in taken else "f" + LOSSES
    return next((c for c in letters if c not in taken), "result")
