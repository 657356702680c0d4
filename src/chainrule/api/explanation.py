"""explain(): the derivation of a derivative, as a page of text, Markdown, LaTeX, HTML, or as data.

In: a formula and a variable, or a derivative that is already there. Out: an Explanation, which holds one
Derivation for each variable and order, and prints itself in a terminal and a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chainrule.api.chain import Chains, Target
from chainrule.api.derivative import Derivative
from chainrule.api.deriving import derive
from chainrule.api.formulas import Shapes
from chainrule.api.illustrated import illustrated
from chainrule.api.joint import joint
from chainrule.api.printable import Printable
from chainrule.api.products import section as along_a_direction
from chainrule.api.structured import section as along_the_set
from chainrule.api.targets import Wrt
from chainrule.errors import OptionError
from chainrule.explain import Checked, Derivation, Phase
from chainrule.explain.answer import LOSSES as UPDATED
from chainrule.explain.board import Subject
from chainrule.explain.build import explain as explain_one
from chainrule.explain.document import to_json
from chainrule.explain.html import to_html
from chainrule.explain.latex import to_document, to_latex
from chainrule.explain.layers import STYLE as LAYERS
from chainrule.explain.layers import explain_layers
from chainrule.explain.markdown import to_markdown
from chainrule.explain.signs import in_profile
from chainrule.explain.text import WIDTH, Spell, to_text
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import variables as variables_of
from chainrule.language import Formula
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree
from chainrule.rules.unknown import unknown_in
from chainrule.simplify import simplify

Units = str | Mapping[str, str]

# Where each parameter of a program of layers has a page of its own.
ONE_PAGE = "each variable has a page of its own here; the style layers explains all of them on one page"
# Letters for the value of a formula: of scalars, of vectors to a scalar, to a vector, to a matrix.
DERIVED = "ghqrstuv"
SCALARS, LOSSES, VECTORS, MATRICES = "yfgq", "CLJf", "yuvf", "YFZM"


class Explanation:
    """Derivations that belong together: one for each variable, and one for each order.

    derivations  in the order in which they are read; one for all parameters of a program of layers
    subjects     what each explains
    """

    def __init__(self, derivations: Sequence[Derivation], subjects: Sequence[Subject]) -> None:
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
        return to_html(*self._illustrated())

    def to_json(self) -> str:
        """Everything as JSON, with its figures; docs/derivation-json.md describes the fields."""
        return to_json(*self._illustrated())

    def _illustrated(self) -> list[Derivation]:
        """The derivations with their figures."""
        pages = zip(self.derivations, self.subjects, strict=True)
        return [illustrated(page, subject) for page, subject in pages]

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
    units: Units = "",
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
    units: Units = "",
) -> Explanation:
    """The derivations of some derivatives of one formula.

    Raises: OptionError for a style that cannot show it; NoDerivative.
    """
    point = None
    if at is not None:
        from chainrule.api.wiggle import read  # loads NumPy, which writing a derivation does not need

        point = read(about.formula, at)
    given = units_text(units)
    notes = about.formula.assumptions
    more = point is not None or bool(opened) or bool(given)
    if style == LAYERS and more:
        raise OptionError(
            "the style layers does not go with open, at or units",
            hint="leave the style out: each variable then has a page of its own",
        )
    network = about.recursion is not None and len(about.parts()) > 1
    if style == LAYERS or (network and style is None and not more):
        found = [_of_layers(about)]
    else:
        found = [page for part in about.parts() for page in _of(part, style, opened, given, point)]
        notes = (*notes, *[ONE_PAGE] * network)
    pages = [in_profile(page, about.formula.profile) for page, _ in found]
    pages[0] = replace(pages[0], notes=notes)
    pages[-1] = replace(pages[-1], notes=(*pages[-1].notes, *_unused(about, pages)))
    return Explanation(pages, [subject for _, subject in found])


def _of_layers(about: Printable) -> tuple[Derivation, Subject]:
    """One page for all parameters of a program of layers, and what it explains.

    Raises: OptionError for what is no such program.
    """
    formula, layers = about.formula, about.recursion
    if layers is None:
        raise OptionError(
            "the style layers is for a program of layers: a loss of order 1 in the notation matrix, whose "
            "layers have names",
            hint='write "h = tanh(W @ x + b); sum((V @ h - y)**2)"; leave the style out for anything else',
        )
    wrt = tuple(layers.gradients)
    letter = letter_of(formula, formula.expr, Target(wrt))
    subject = Subject(
        formula.expr,
        wrt[0],
        tuple(formula.variables.values()),
        formula.names,
        about.layout,
        letter,
        at_kink=about.options.at_kink,
        profile=formula.profile,
        together=wrt,
        loss=usual_letter(formula, formula.expr, Target(wrt)) in UPDATED,
        layers=layers,
    )
    return explain_layers(subject), subject


def units_text(units: object) -> str:
    """Units as one text, from a text or a mapping.

    Raises: OptionError if it is neither.

    >>> units_text({"x": "m", "y": "m^2"})
    'x=m, y=m^2'
    """
    if isinstance(units, Mapping):
        return ", ".join(f"{name}={unit}" for name, unit in units.items())
    if not isinstance(units, str):
        raise OptionError(
            f"units are a text or a mapping, not {type(units).__name__}",
            hint='write units="x=m, y=m^2", or units={"x": "m", "y": "m^2"}',
        )
    return units


def _unused(about: Printable, pages: Sequence[Derivation]) -> list[str]:
    """A sentence for each abbreviation that a person gave and that stands nowhere in the answers."""
    named = [line.left for page in pages for line in page.where if line.left is not None]
    used = {(left.args[0] if left.op == "entry" else left).data[0] for left in named}
    names = [name for name in about.options.abbreviations if name not in used]
    return [f"the name {pretty(name)} does not occur in the answer" for name in names]


def _of(
    derivative: Derivative,
    style: str | None,
    opened: Sequence[str],
    units: str,
    point: Mapping[str, Any] | None,
) -> list[tuple[Derivation, Subject]]:
    """One derivation for each order; of scalars together, one for each, and one that assembles them.

    Each comes with what it explains.
    """
    formula = derivative.formula
    pages: list[tuple[Derivation, Subject]] = []
    expr, names = formula.expr, formula.names
    plain = derivative.chain
    if derivative.options.structured:  # the derivation is told for independent entries
        plain = Chains(expr, derivative.wrt, derivative.options.at_kink)(derivative.wrt)
    for k, target in enumerate(derivative.wrt):
        letter = letter_of(formula, expr, target, k)
        loss = usual_letter(formula, expr, target, k) in UPDATED
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
            loss=loss,
        )
        if target.joint:
            subject = replace(subject, together=target.variables)
            page = joint(subject, style, opened, units)
            pages.append((_at(page, subject, target.variables, point), subject))
        else:
            for variable in target.variables:
                each = replace(subject, wrt=variable)
                page = explain_one(each, style, opened=opened, units=units)
                pages.append((_at(page, each, [variable], point), each))
        if k + 1 < len(derivative.wrt):
            expr, names = simplify(plain[k]), {}
    if derivative.options.structured:
        page, about = pages[-1]
        first = letter_of(formula, formula.expr, derivative.wrt[0])
        pages[-1] = replace(page, sections=(*page.sections, along_the_set(derivative, first))), about
    if derivative.options.times is not None:
        page, about = pages[-1]
        first = letter_of(formula, formula.expr, derivative.wrt[0])
        pages[-1] = replace(page, sections=(*page.sections, along_a_direction(derivative, first))), about
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


def letter_of(formula: Formula, expr: Expr, target: Target, order: int = 0) -> str:
    """What the value of a formula is called: as the person named it, or by its usual letter."""
    return formula.name if formula.name and not order else usual_letter(formula, expr, target, order)


def usual_letter(formula: Formula, expr: Expr, target: Target, order: int = 0) -> str:
    """What the value of a formula is called without a name: y, C for a loss with targets y, L of a matrix.

    The derivative of order 1, 2, ... that is derived again is called g, h, ...
    """
    taken = {*formula.variables, *formula.names, *formula.functions.declared, *unknown_in(expr)}
    taken -= set() if order else {formula.name}
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
