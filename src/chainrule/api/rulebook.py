"""The sections of the catalogue: how the cells of a rule are filled, by deriving what stands in them.

In: the tables of `rules` (rules with their examples, the rows of all functions). Out: groups of rules, each
with the function that fills its rows, and a Workshop that derives for them and checks what it derived.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chainrule.api.derivative import Derivative
from chainrule.api.deriving import derive
from chainrule.api.explanation import Explanation, explain
from chainrule.api.formulas import latex_where, read, text_where
from chainrule.api.tables import Cell
from chainrule.errors import CheckFailed, DomainProblem, NoDerivative
from chainrule.expr.nodes import Expr, Variable
from chainrule.notation.latex import to_latex
from chainrule.notation.present import present
from chainrule.notation.profiles import said
from chainrule.notation.text import sizes_text, to_text
from chainrule.rules import catalogue
from chainrule.rules.catalogue import Example, Identity, Rule
from chainrule.rules.table import DOMAINS, ROWS, Constant, Elementwise, Row, Tensorial
from chainrule.simplify import simplify

if TYPE_CHECKING:
    from chainrule.verify.compare import Report

FEW, MANY = 3, 20  # points of the check: for each of very many derivatives, and for those of a few rules
A_FEW = 12
ARGUMENTS = {"power": "xp", "where": "cab"}
# Where the domain of the table, which is for the sampler, says less than is true.
NOTED = {
    "det": "a square matrix",
    "matrix_power": "a square matrix, invertible if k < 0",
    "power": "x > 0, or any x if p is an integer",
}
EMPTY = Cell("")
Entry = Rule | Identity | Row


# The signs of an expanded formula in LaTeX.
SIGNS = str.maketrans(
    {"𝟏": r"\mathbf{1}", "⊙": r"\odot ", "⊘": r"\oslash ", "⊗": r"\otimes ", "−": "-", "·": r"\cdot "}
)


@dataclass
class Workshop:
    """Derives what is asked for, and keeps it to be checked.

    derivatives  everything derived so far
    equalities   pairs of expressions that were said to be equal
    """

    layout: str = "numerator"
    profile: str | None = None
    derivatives: list[Derivative] = field(default_factory=list)
    equalities: list[tuple[Expr, Expr]] = field(default_factory=list)

    def derived(self, formula: str, wrt: str, shapes: str, functions: str = "") -> Derivative:
        """The derivative of one formula by one variable."""
        found = derive(
            formula, wrt=wrt, shapes=shapes, layout=self.layout, profile=self.profile, functions=functions
        )
        assert isinstance(found, Derivative)
        self.derivatives.append(found)
        return found

    def signed(self, text: str) -> str:
        """A text of the catalogue in the signs of the profile."""
        return said(text, self.profile)

    # ------------------------------------------------------ cells

    def value(self, d: Derivative) -> Cell:
        """A derivative, without ∂f/∂x = in front of it."""
        answer = d.sheet.answers[0]
        return Cell(text_where(answer.written, d.sheet.where), latex_where(answer.written, d.sheet.where))

    def written(self, formula: str, d: Derivative) -> Cell:
        """A formula as the catalogue has it."""
        return Cell(self.signed(formula), d.sheet.written_formula.latex)

    def by(self, d: Derivative) -> Cell:
        """∂f/∂x in front of a derivative."""
        answer = d.sheet.answers[0]
        return Cell(answer.label, answer.label_latex)

    def equation(self, example: Example) -> Cell:
        """d/dx 3x = 3, or ∂y/∂x = ... of a vector."""
        d = self.derived(example.formula, example.wrt, example.shapes)
        shown, latex = self.signed(example.formula), example.latex or d.sheet.written_formula.latex
        scalar = not d.formula.expr.rank and not d.expression.rank
        if re.search(r"[ /]", re.sub(r"\(.*\)", "", shown)):
            shown, latex = f"({shown})", rf"\left({latex}\right)"
        x = example.wrt
        sign, sign_latex = ("d", r"\mathrm{d}") if scalar else ("∂", r"\partial")
        return Cell(
            f"{sign}/{sign}{x} {shown} = {d.text}",
            rf"\frac{{{sign_latex}}}{{{sign_latex} {x}}} {latex} = {d.latex}",
        )

    def derivation(self, rule: Rule) -> Explanation:
        """How its example is derived, or the rule itself, where no functions are left open."""
        shown = rule.example or Example(rule.formula, rule.wrt[0], rule.shapes)
        return explain(
            shown.formula,
            shown.wrt,
            shown.shapes,
            style=shown.style,
            layout=self.layout,
            profile=self.profile,
        )

    # ------------------------------------------------------ the check

    def report(self) -> str:
        """What the check of everything found, in a sentence. Raises: CheckFailed."""
        points = MANY if len(self.derivatives) <= A_FEW else FEW
        reports: list[Report] = []
        for d in self.derivatives:
            try:
                reports.append(d.check(points))
            except DomainProblem:
                continue
        self._compare()
        count = len(reports) + len(self.equalities)
        if not count:
            return "nothing to check"
        worst = max((r.worst for r in reports), default=0.0)
        methods = sorted({m for r in reports for m in r.method.split(" and ")})
        how = f" ({', '.join(methods)})" if methods else ""
        what = f"{count} results" if count > 1 else "the result"
        each = " each" if count > 1 else ""
        return (
            f"derived just now and checked: {what} at {points} random points{each}{how}, "
            f"largest relative error {worst:.1e}"
        )

    def _compare(self) -> None:
        from chainrule.verify.compare import equal

        for left, right in self.equalities:
            if not equal(left, right).equal:
                raise CheckFailed(f"{present(left).text} is not {present(right).text}")


# ---------------------------------------------------------------- the sections


def _scalar(rule: Rule, shop: Workshop) -> tuple[tuple[Cell, ...], ...]:
    assert rule.example is not None
    return ((*_statement(rule, shop), shop.equation(rule.example)),)


def _statement(rule: Rule, shop: Workshop) -> tuple[Cell, Cell]:
    """Formula and derivative; where functions are left open, stated and compared with the derived one."""
    d = shop.derived(rule.formula, rule.wrt[0], rule.shapes, rule.functions)
    if rule.functions:
        stated = read(rule.reads, rule.shapes, functions=rule.functions)
        shop.equalities.append((d.expression, stated.expr))
        texts = (shop.signed(t) for t in (rule.written or rule.formula, rule.states))
        above, below = (Cell(*pair) for pair in zip(texts, map(shop.signed, rule.latex), strict=True))
        return above, below
    return shop.written(rule.formula, d), shop.value(d)


def _operator(rule: Rule, shop: Workshop) -> tuple[tuple[Cell, ...], ...]:
    formula, shapes = rule.entry
    cells = []
    for name in rule.wrt:
        entry = shop.derived(formula, name if name in shapes.split() else f"{name}_i", shapes)
        whole = shop.derived(rule.formula, name, rule.shapes)
        cells += [shop.value(entry), shop.value(whole)]
    expanded = []
    if rule.expanded:
        _same(rule, shop)
        shown = shop.signed(rule.expanded)
        # The formula as it is printed has no vector of ones, which is what this cell is about.
        expanded = [Cell(shown, shown.translate(SIGNS))]
    return ((shop.written(rule.formula, whole), *expanded, *cells),)


def _same(rule: Rule, shop: Workshop) -> Derivative:
    """The formula with its scalar written as a vector, which has the same value."""
    d = shop.derived(rule.expanded, rule.wrt[0], rule.shapes)
    plain = read(rule.formula, rule.shapes).expr
    shop.equalities.append((plain, d.formula.expr))
    return d


def _by_variable(rule: Rule, shop: Workshop) -> tuple[tuple[Cell, ...], ...]:
    if rule.example is not None:
        formula, states = _statement(rule, shop)
        return ((formula, EMPTY, states, EMPTY, EMPTY), *_rows(rule.example, shop))
    return tuple(row for name in rule.wrt for row in _rows(Example(rule.formula, name, rule.shapes), shop))


def _rows(example: Example, shop: Workshop) -> list[tuple[Cell, ...]]:
    """The derivative with its size, in the shape of its variable, and by vec where it has more axes."""
    d = shop.derived(example.formula, example.wrt, example.shapes)
    answer = d.sheet.answers[0]
    formula = shop.written(example.formula, d)
    shape = answer.shape if answer.shape is not None else d.expression.shape
    gradient = answer.gradient
    turned = EMPTY if gradient is None else Cell(gradient.text, gradient.latex)
    rows: list[tuple[Cell, ...]] = [(formula, shop.by(d), shop.value(d), Cell(sizes_text(shape)), turned)]
    if answer.written.vec is not None:
        vec, profile = answer.written.vec, answer.written.profile
        label = "by columns (vec)"
        rows.append((EMPTY, Cell(label), Cell(to_text(vec, profile), to_latex(vec, profile)), EMPTY, EMPTY))
    return rows


def _chain(rule: Rule, shop: Workshop) -> tuple[tuple[Cell, ...], ...]:
    assert rule.example is not None
    return ((*_statement(rule, shop), Cell(rule.sizes), shop.equation(rule.example)),)


def _identity(identity: Identity, shop: Workshop) -> tuple[tuple[Cell, ...], ...]:
    formula = read(identity.formula, identity.shapes)
    short = simplify(formula.expr)
    shop.equalities.append((formula.expr, short))
    left = present(formula.expr, turned=formula.row, profile=shop.profile)
    right = present(short, turned=formula.row, profile=shop.profile)
    return ((Cell(shop.signed(identity.formula), left.latex), Cell(right.text, right.latex)),)


def _function(row: Row, shop: Workshop) -> tuple[tuple[Cell, ...], ...]:
    if isinstance(row, Constant):
        return ((Cell(row.name), EMPTY, Cell("0", "0"), EMPTY),)
    names, shapes, text = _call(row)
    rows: list[tuple[Cell, ...]] = []
    for name, domain in zip(names, row.domain, strict=True):
        if domain == "condition":
            continue
        if domain == "whole":
            return ((Cell(text), EMPTY, Cell("none, by whole numbers"), _domain(row, domain)),)
        try:
            d = shop.derived(text, name, shapes)
        except NoDerivative:
            return ((Cell(text), EMPTY, Cell("none, outside stop()"), _domain(row, domain)),)
        formula = shop.written(d.sheet.written_formula.text, d)
        rows.append((formula, shop.by(d), shop.value(d), _domain(row, domain)))
    return tuple(rows)


def _call(row: Row) -> tuple[str, str, str]:
    """Names for the arguments, their declaration, and a call of the function with them."""
    if isinstance(row, Elementwise):
        names = ARGUMENTS.get(row.name, "xyz"[: row.arity])
        shapes = " ".join(names)
    else:
        assert isinstance(row, Tensorial)
        matrix = row.core[0] == 2
        names = ARGUMENTS.get(row.name, "XEFG" if matrix else "xyz")[: row.arity]
        shapes = " ".join(f"{name}[{'n,n' if matrix else 'n'}]" for name in names)
    text = row.text.replace("$1", "3")
    for k, name in enumerate(names, 1):
        text = text.replace(f"#{k}", name)
    return names, shapes, text


def _domain(row: Row, domain: str) -> Cell:
    if isinstance(row, Tensorial) and row.core[0] == 2 and domain == "real":
        return Cell("any matrix")
    # At a kink a function has a value, only no derivative.
    return Cell(NOTED.get(row.name) or DOMAINS["real" if domain == "nonzero" and row.at_kink else domain])


def sentences(rule: Entry) -> str:
    """What the rule says, when it applies, where it is not differentiable."""
    said = [sentence(rule.says)]
    if isinstance(rule, Rule) and rule.when:
        said.append(f"It applies when {rule.when}.")
    if isinstance(rule, Row) and rule.at_kink:
        where = rule.at_kink
        for k, name in enumerate(_call(rule)[0], 1):
            where = where.replace(f"#{k}", name)
        twice = "twice " if rule.smooth([Variable(name) for name in _call(rule)[0]]) else ""
        said.append(f"Not {twice}differentiable where {where}; {rule.takes}.")
    return " ".join(said)


@dataclass(frozen=True)
class Group:
    """A section of the catalogue before anything is derived."""

    title: str
    columns: tuple[str, ...]
    rules: Sequence[Entry]
    fill: Callable[..., tuple[tuple[Cell, ...], ...]]
    remark: str = ""


_VARIABLES = ("f", "by", "derivative", "size", "in shape layout")
GROUPS = (
    Group("Scalar rules", ("f(x)", "derivative by x", "example"), catalogue.SCALAR, _scalar),
    Group(
        "Element-wise operators",
        ("y", "∂yᵢ/∂wᵢ", "∂y/∂w", "∂yᵢ/∂xᵢ", "∂y/∂x"),
        catalogue.ELEMENTWISE,
        _operator,
        "Entry i of y reads only entry i of w and of x (the element-wise diagonal condition), so every "
        "Jacobian is diagonal and only n scalar derivatives are needed.",
    ),
    Group(
        "Scalar expansion",
        ("y", "expanded", "∂yᵢ/∂xᵢ", "∂y/∂x", "∂yᵢ/∂z", "∂y/∂z"),
        catalogue.EXPANSION,
        _operator,
        "The scalar is written as a vector with z in every entry; then the rules for element-wise operators "
        "hold. By the vector the Jacobian is diagonal, by the scalar it is a column, for one z reaches every "
        "entry.",
    ),
    Group("Reductions", _VARIABLES, catalogue.REDUCTION, _by_variable),
    Group(
        "Chain rules",
        ("y", "derivative", "sizes", "example"),
        catalogue.CHAIN,
        _chain,
        catalogue.DEGENERATE,
    ),
    Group("Matrix rules", _VARIABLES, catalogue.MATRIX, _by_variable),
    Group("Simplifications", ("from", "to"), catalogue.IDENTITIES, _identity),
    Group(
        "Functions",
        ("f", "by", "derivative", "domain"),
        tuple(ROWS[name] for name in sorted(ROWS)),
        _function,
    ),
)


def where(rule: Entry) -> str:
    """Where it stands: in the notes, in the literature."""
    if not isinstance(rule, Row):
        return rule.where
    section, numbers = catalogue.FUNCTIONS_IN_NOTES.get(rule.name, ("", ""))
    return f"notes, section {section} ({numbers}); {rule.source}" if section else rule.source


def sentence(text: str) -> str:
    """The text with a full stop."""
    return text if text.endswith((".", "!", "?")) or not text else text + "."


def typed(row: Row) -> str:
    """What a function is called in formulas: max for the row amax."""
    called = re.fullmatch(r"(\w+)\([^()]*\)", row.text)
    return called[1] if called else row.name
