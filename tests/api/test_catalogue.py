"""The catalogue of rules: everything in it is derived when it is printed, checked, and found by its names."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

import chainrule as cr
from chainrule.api import rulebook
from chainrule.api.catalogue import Catalogue, rules
from chainrule.api.formulas import declaration
from chainrule.api.rulebook import GROUPS, Workshop
from chainrule.errors import CheckFailed, OptionError, UnknownName
from chainrule.language import parse_formula
from chainrule.language.functions import TABLE
from chainrule.rules import catalogue as data
from chainrule.rules.catalogue import Rule
from chainrule.rules.table import ROWS
from chainrule.verify.compare import equal
from tests.notation.test_latex import check_balanced

NOTES_TABLE = [
    "constant rule", "constant multiple rule", "power rule", "sum rule", "difference rule", "product rule",
    "chain rule",
]  # fmt: skip


@pytest.fixture(scope="module")
def everything() -> Catalogue:
    return rules()


def test_every_rule_and_every_function_is_there(everything: Catalogue) -> None:
    assert len(everything) == sum(len(group.rules) for group in GROUPS)
    functions = everything.sections[-1]
    assert len(functions.lines) == len(ROWS)
    assert all(line.says and line.where for line in everything)
    names = everything.names
    assert len(set(names)) >= len(names) - 2, "norm and trace may be a rule and a function"


def test_the_table_of_the_notes_is_recomputed(everything: Catalogue) -> None:
    """R16: seven rules, the corrected row of N1 among them, each with its example."""
    scalar = everything.sections[0]
    assert [line.name for line in scalar.lines][:7] == NOTES_TABLE
    examples = {line.name: line.rows[0][-1].text for line in scalar.lines}
    assert examples["constant rule"] == "d/dx 99 = 0"
    assert examples["constant multiple rule"] == "d/dx 3x = 3"
    assert examples["power rule"] == "d/dx x³ = 3x²"
    assert examples["product rule"] == "d/dx (x² · x) = 3x²"
    assert examples["chain rule"] == "d/dx ln(x²) = 2/x"
    assert scalar.lines[1].rows[0][0].text == "c f(x)"
    assert scalar.lines[2].rows[0][1].text == "nxⁿ⁻¹"


def test_the_element_wise_table(everything: Catalogue) -> None:
    """R53: entries and Jacobians by w and by x."""
    rows = {
        line.rows[0][0].text: [cell.text for cell in line.rows[0][1:]]
        for line in everything.sections[1].lines
    }
    assert rows["w + x"] == ["1", "I", "1", "I"]
    assert rows["w − x"] == ["1", "I", "−1", "−I"]
    assert rows["w ⊙ x"] == ["x_i", "diag(x)", "w_i", "diag(w)"]
    assert rows["w ⊘ x"] == ["1/x_i", "diag(1 ⊘ x)", "−w_i/x_i²", "−diag(w ⊘ x²)"]


def test_every_derivative_holds_and_parses_back(everything: Catalogue) -> None:
    for d in everything._shop.derivatives:
        assert d.check(2).passed
        shapes = declaration(d.formula.variables)
        functions = d.formula.functions
        plain = cr.derive(
            d.formula.source, wrt=d.names[0], shapes=shapes, functions=functions, layout="shape"
        )
        assert isinstance(plain, cr.Derivative)
        read = parse_formula(plain.text, shapes, shape=plain.expression.shape, functions=functions)
        assert equal(read.expr, plain.expression, points=2).equal, plain.text


def test_what_is_printed_says_that_it_was_checked(everything: Catalogue) -> None:
    text = everything.to_text()
    assert re.search(r"checked: \d{3} results at 3 random points each", text)
    assert "The vector rule contains the others" in text
    assert text == str(rules()), "the same in every call"


STATED = [rule for group in GROUPS for rule in group.rules if isinstance(rule, Rule) and rule.functions]
# How the derivatives of the parts, as the notes write them, are typed.
TYPED = {
    "df/dx": "f′(x)", "dg/dx": "g′(x)", "df/du": "f′(g(x))", "du/dx": "g′(x)",
    "∂f/∂u": "f′(g(x))", "∂u/∂x": "g′(x)", "∂f/∂x": "f′(x)",
}  # fmt: skip


@pytest.mark.parametrize("rule", STATED, ids=[rule.name for rule in STATED])
def test_what_is_stated_is_what_is_compared(rule: Rule) -> None:
    """Rules about functions that are left open are derived, and agree with what the notes state."""
    d = cr.derive(rule.formula, wrt=rule.wrt[0], shapes=rule.shapes, functions=rule.functions)
    assert isinstance(d, cr.Derivative) and d.check(3).passed
    assert cr.equal(d.expression, parse_formula(rule.reads, rule.shapes, functions=rule.functions).expr)
    if "Σᵢ" in rule.states:
        parts = "f(x, g(x), h(x))"
        direct, term = rule.states.split(" + Σᵢ ")
        terms = [
            term.replace("∂f/∂uᵢ", f"∂{k}{parts}").replace("duᵢ/dx", f"{g}′(x)")
            for k, g in (("₂", "g"), ("₃", "h"))
        ]
        assert " + ".join([direct.replace("∂f/∂x", f"∂₁{parts}"), *terms]) == rule.reads
        return
    if "+ ∂f/∂u" in rule.states:
        assert rule.states == "∂f/∂x + ∂f/∂u ∂u/∂x"
        assert rule.reads == "∂₁f(x, g(x)) + ∂₂f(x, g(x)) g′(x)"
        return
    typed = rule.states
    for shown, written in TYPED.items():
        typed = typed.replace(shown, written)
    assert typed == rule.reads


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("product rule", "f′(x) g′(x)"),
        ("chain rule", "f′(x) · g′(x)"),
        ("single-variable total-derivative chain rule", "∂₂f(x, g(x), h(x)) · g′(x)"),
        ("element-wise chain rule", "diag(f′(x) ⊙ g′(x))"),
    ],
)
def test_a_wrong_statement_is_not_printed(name: str, wrong: str) -> None:
    """Among them the mistake of the notes' example: the path through g alone."""
    (rule,) = (rule for rule in STATED if rule.name == name)
    shop = Workshop()
    rulebook._statement(replace(rule, reads=wrong), shop)
    with pytest.raises(CheckFailed):
        shop.report()


def test_a_wrong_derivative_is_not_printed() -> None:
    row = ROWS["tanh"]
    right = row.d  # type: ignore[attr-defined]
    object.__setattr__(row, "d", (lambda x, y: 1 - 1.001 * y**2,))
    try:
        with pytest.raises(CheckFailed):
            rules("tanh").to_text()
    finally:
        object.__setattr__(row, "d", right)


def test_a_wrong_simplification_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulebook, "simplify", lambda expr: 2 * expr)
    with pytest.raises(CheckFailed):
        rules("a factor leaves the sum").to_text()


def test_a_wrong_expansion_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(data.EXPANSION[0], expanded="x + 𝟏z + x")
    group = replace(GROUPS[2], rules=(wrong,))
    shop = Workshop()
    group.fill(wrong, shop)
    with pytest.raises(CheckFailed):
        shop.report()


@pytest.mark.parametrize("form", ["to_text", "to_markdown", "to_latex", "to_json"])
def test_a_rule_by_itself_in_every_format(form: str) -> None:
    found = getattr(rules("softmax"), form)()
    assert "softmax" in found and ("ppᵀ" in found or r"p p^\top" in found)


def test_latex_is_ascii_and_balanced(everything: Catalogue) -> None:
    latex = everything.to_latex()
    assert latex.isascii()
    for line in everything:
        for cells in line.rows:
            for cell in cells:
                check_balanced(cell.latex)


def test_json(everything: Catalogue) -> None:
    content = json.loads(everything.to_json())
    assert content["schema"] == "chainrule/rules" and content["version"] == 1
    assert [s["title"] for s in content["sections"]] == [g.title for g in GROUPS]
    first = content["sections"][0]["rules"][2]
    assert first["rows"][0]["example"]["text"] == "d/dx x³ = 3x²"
    assert first["rows"][0]["derivative by x"]["latex"] == "n x^{n - 1}"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("product rule", ["product rule"]),
        ("select", ["select"]),
        ("d/dx", ["linearity"]),
        ("Product", ["product rule"]),
        ("multivariable chain rule", ["single-variable total-derivative chain rule"]),
        ("Hadamard", ["element-wise product"]),
        ("max", ["max"]),
        ("ln", ["log"]),
        ("sigma", ["sigmoid"]),
        ("mean", ["mean"]),
        ("trace product", ["trace of a product"]),
        ("kron", ["two-sided product", "Kronecker product"]),
        ("element-wise maximum", ["element-wise maximum"]),
        ("norm", ["norm", "norm"]),
        ("weighted by the other factor", ["product rule"]),
    ],
)
def test_lookup(query: str, names: list[str]) -> None:
    assert rules(query).names == names


def test_sections_are_found_by_their_first_word() -> None:
    assert rules("chain").names == [rule.name for rule in data.CHAIN]
    assert [section.title for section in rules("Matrix rules").sections] == ["Matrix rules"]
    assert rules("elementwise").names == [rule.name for rule in data.ELEMENTWISE]


def test_further_rules_are_named() -> None:
    assert "see also: trace of a product, trace of a quadratic form" in rules("trace").to_text()


def test_every_name_finds_its_rule(everything: Catalogue) -> None:
    groups = {group.title.split()[0].casefold() for group in GROUPS}
    for name in everything.names:
        assert name in rules(name).names or name in groups


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_function_of_the_language_is_found_or_explained(name: str) -> None:
    try:
        assert len(rules(name))
    except UnknownName as problem:
        assert "has no rule of its own" in problem.message and problem.hint


@pytest.mark.parametrize(
    ("query", "near"),
    [
        ("prduct rule", "product rule"),
        ("sofmax", "softmax"),
        ("vector total-deriv chain rule", "vector total-derivative chain rule"),
        ("quadratic from", "quadratic form"),
    ],
)
def test_a_slip_gets_the_nearest_name(query: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean {near}"):
        rules(query)


def test_what_is_nothing_is_said() -> None:
    for query in ("", "  ", "qqqq", "∂", "x", "x -> y", "(a+", "\0"):
        with pytest.raises(UnknownName, match="there is no rule"):
            rules(query)
    with pytest.raises(UnknownName, match="aaa…"):
        rules("aaa " * 5000)
    for wrong in ({"layout": "sideways"}, {"profile": "nots"}):
        with pytest.raises(OptionError):
            rules("sum rule", **wrong)
    with pytest.raises(OptionError, match="not int"):
        rules(5)  # type: ignore[arg-type]


def test_layout_and_profile() -> None:
    shape = rules("quadratic form", layout="shape")
    assert shape.sections[0].lines[0].rows[0][2].text == "(A + Aᵀ)x"
    notes = rules(profile="notes").to_text()
    assert "⊙" not in notes and "w ⊗ x" in notes and "kron(Bᵀ, A)" in notes


@pytest.mark.parametrize("rule", data.CHAIN, ids=[rule.name for rule in data.CHAIN])
def test_a_chain_rule_is_shown_at_work(rule: Rule) -> None:
    page = rules(rule.name).derivation
    assert page is not None and not page.checked.failed
    by = "vector chain rule" if rule.name.startswith("element-wise") else rule.name
    assert by in page.to_text() and page.to_text() in rules(rule.name).to_text()


def test_only_a_rule_by_itself_is_derived_step_by_step() -> None:
    assert rules("chain rules").derivation is None and rules("relu").derivation is None
    product = rules("product rule")
    assert product.derivation is not None and "product rule" in product.derivation.to_text()
    assert r"\text{product rule}" in product.to_latex() and "product rule" in product.to_markdown()


DERIVATIONS = [
    ("9*(x + x**2)", "x", "x"),
    ("x**2 * x", "x", "x"),
    ("log(sin(x**3)**2)", "x", "x"),
    ("x + x**2 - sin(x)/x", "x", "x"),
    ("mean((y - relu(X @ w + b))**2)", "w", "X[N,n] w[n] b y[N]"),
    ("sum(w*x)", "w", "w[n] x[n]"),
    ("sum((X @ W - Y)**2)", "W", "X[N,n] W[n,k] Y[N,k]"),
    ("logdet(X) + tr(inv(X))", "X", "X[n,n]"),
    ("x @ A @ x", "x", "A[n,n] x[n]"),
]


@pytest.mark.parametrize(("formula", "wrt", "shapes"), DERIVATIONS)
def test_rules_named_in_derivations_are_in_the_catalogue(formula: str, wrt: str, shapes: str) -> None:
    page = cr.explain(formula, wrt, shapes)
    for phase in page.phases:
        for line in phase.lines():
            first = line.reason[0] if line.reason and isinstance(line.reason[0], str) else ""
            name = re.split("[;:(]", first)[0].strip()
            if re.fullmatch("[a-z -]+ rule|[a-z]+ product|derivative of [a-z]+|expand|collect terms", name):
                assert rules(name).names, name


@pytest.mark.parametrize("width", [60, 80, 110])
def test_narrow_pages_have_no_wide_tables(width: int) -> None:
    text = rules("element-wise operators").to_text(width=width)
    assert max(map(len, text.splitlines()[:-1])) <= width
    assert ("diag(1 ⊘ x)      −w_i" in text) == (width == 110), "a table where it fits"


def test_columns_align_as_they_are_spelled() -> None:
    def spell(text: str) -> str:
        return text.replace("⊙", ".*").replace("𝟏", "ones")

    head, *rows = rules("scalar expansion").to_text(spell=spell).splitlines()[2:7]
    column = head.index("∂yᵢ/∂xᵢ")
    assert any(".* ones" in row for row in rows)
    assert all(row[column - 1] == " " and row[column] != " " for row in rows)


def test_data_is_complete() -> None:
    names = [rule.name for group in GROUPS for rule in group.rules]
    for group in GROUPS[:-1]:
        for rule in group.rules:
            assert names.count(rule.name) == 1 or rule.name in ROWS
            assert rule.says.endswith(".") and rule.where
            if isinstance(rule, Rule):
                assert bool(rule.functions) == bool(rule.states) == bool(rule.reads) == bool(rule.latex[0])
                assert not rule.functions or rule.example


def test_an_expanded_scalar_keeps_its_vector_of_ones_in_every_form() -> None:
    found = cr.rules("expansion")
    assert "x + 𝟏z" in found.to_text()
    assert r"$x + \mathbf{1}z$" in found.to_markdown() and r"x + \mathbf{1}z" in found.to_latex()
