"""Profiles: one tree in the signs of another author, which are read back under that author's profile."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.api import check_derivation
from chainrule.errors import OptionError
from chainrule.expr.nodes import Expr
from chainrule.expr.walk import dim_names, substitute_dims
from chainrule.language import parse_formula
from chainrule.language.formula import PROFILES
from chainrule.notation import matform as m
from chainrule.notation.latex import to_latex
from chainrule.notation.present import Request, present_many
from chainrule.notation.profiles import CALLS, SIGNS
from chainrule.notation.text import to_text
from chainrule.verify.compare import equal
from tests.laws.expressions import EVERY, N, any_expression, point
from tests.laws.test_laws import LAW, close, value
from tests.laws.test_printing import SHAPES, derivative
from tests.notation.test_latex import check_balanced

A, B, x = m.name("A"), m.name("B"), m.name("x")
PRODUCT, KRON = m.times(x, m.name("y")), m.tree("kron", (m.transpose(B), A))

# formula, shapes, wrt, what is printed under the profile `notes`
CASES = [
    ("w ⊗ x", "w[n] x[n]", "w", "diag(x)"),
    ("sum(sin(w) ⊗ exp(x))", "w[n] x[n]", "w", "(cos(w) ⊗ exp(x))ᵀ"),
    ("sum((w ⊘ x)**2)", "w[n] x[n]", "x", "−2(w² ⊘ x³)ᵀ"),
    ("sum(A ⊗ B ⊗ B)", "A[m,n] B[m,n]", "B", "2Aᵀ ⊗ Bᵀ"),
    ("sum(A ⊗ A ⊗ A)", "A[m,n]", "A", "3(Aᵀ)∘²"),
    ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w", None),
]


def parts(profile: str | None, tree: m.Tree) -> tuple[str, str]:
    return to_text(tree, profile), to_latex(tree, profile)


def test_every_profile_has_its_signs() -> None:
    assert set(PROFILES) == set(CALLS) == set(SIGNS)


def test_the_two_products_cannot_be_confused() -> None:
    assert parts(None, PRODUCT) == ("x ⊙ y", r"x \odot y")
    assert parts(None, KRON) == ("Bᵀ ⊗ A", r"B^\top \otimes A")
    assert parts("notes", PRODUCT) == ("x ⊗ y", r"x \otimes y")
    assert parts("notes", KRON) == ("kron(Bᵀ, A)", r"\operatorname{kron}(B^\top, A)")


def test_entrywise_powers_and_quotients() -> None:
    square = m.power(A, m.number(2), matrix=True)
    assert parts("notes", square) == ("A∘²", r"A^{\circ 2}")
    assert parts("notes", m.divide(A, B)) == ("A ⊘ B", r"A \oslash B")


@pytest.mark.parametrize(("formula", "shapes", "wrt", "printed"), CASES)
def test_derivative(formula: str, shapes: str, wrt: str, printed: str | None) -> None:
    d = cr.derive(formula, wrt=wrt, shapes=shapes, profile="notes")
    plain = cr.derive(formula, wrt=wrt, shapes=shapes, profile="notes", layout="denominator")
    assert isinstance(d, cr.Derivative) and isinstance(plain, cr.Derivative)
    assert printed is None or d.text == printed
    for shown in (d.to_text(), d.to_markdown(), d.latex):
        assert "⊙" not in shown and r"\odot" not in shown
    read = parse_formula(plain.text, shapes, profile="notes", shape=plain.expression.shape)
    assert equal(read.expr, plain.expression, list(d.formula.variables.values())).equal


def test_vec_form_and_json() -> None:
    d = cr.derive("A @ X @ B", wrt="X", shapes="A[m,n] X[n,k] B[k,p]", profile="notes")
    assert "∂vec(Y)/∂vec(X)ᵀ = kron(Bᵀ, A)" in d.to_text()
    assert '"text": "kron(Bᵀ, A)"' in d.to_json()
    assert cr.equal("kron(A, B)", "A ⊗ B", "A[m,n] B[p,q]")
    assert str(cr.simplify("kron(A, B)", "A[m,n] B[p,q]", profile="notes")) == "kron(A, B)"


def test_verdicts_are_in_the_signs_of_the_claim() -> None:
    formula, shapes = "sum(sin(w) ⊗ exp(x))", "w[n] x[n]"
    wrong = cr.check(formula, "w", "sin(w) ⊗ exp(x)", shapes, profile="notes")
    assert "claimed sin(w) ⊗ exp(x)" in wrong.text and "cos(w) ⊗ exp(x) as a column" in wrong.text
    assert cr.check(formula, "w", "cos(w) ⊗ exp(x)", shapes, profile="notes")
    kronecker = cr.check("A @ X @ B", "X", "kron(B, A)", "A[m,n] X[n,p] B[p,q]", profile="notes")
    assert "claimed kron(B, A)" in kronecker.text and "⊙" not in kronecker.text


def test_lines_of_a_derivation_are_answered_in_its_signs() -> None:
    lines = "shapes: w[n] x[n]\nwrt: w\nL = sum(sin(w) ⊗ x)\ndL/dw = (sin(w) ⊗ x)ᵀ"
    graded = str(check_derivation(lines, profile="notes"))
    assert "It should be (x ⊗ cos(w))ᵀ" in graded and "⊙" not in graded


def test_expressions_built_in_python_have_a_profile_too() -> None:
    w, x = cr.variables("w[n] x[n]")
    d = cr.derive((w * w * x).sum(), wrt=w, profile="notes")
    assert isinstance(d, cr.Derivative) and d.text == "2(w ⊗ x)ᵀ"
    verdict = cr.equal(w * x, x * w, profile="notes")
    assert str(verdict) == "equal: both simplify to w ⊗ x"
    with pytest.raises(OptionError, match="unknown profile"):
        cr.derive(w, wrt=w, profile="nots")


def test_a_vector_and_a_matrix_do_not_mix_under_the_profile_either() -> None:
    with pytest.raises(cr.ShapeMismatch, match="⊗"):
        parse_formula("x ⊗ A", "x[n] A[m,n]", profile="notes")


@settings(LAW, max_examples=40)
@given(any_expression(2), st.integers(0, 10))
def test_what_is_printed_parses_back(expr: Expr, pick: int) -> None:
    result = derivative(expr, pick)
    if result.rank > 2:
        return
    written, where = present_many([Request(result)], taken=[v.name for v in EVERY], profile="notes")
    shown = written[0].text
    shown += " where " * bool(where) + ", ".join(f"{name} = {part.text}" for name, part in where)
    check_balanced(written[0].latex)
    read = parse_formula(shown, SHAPES, profile="notes", shape=result.shape).expr
    read = substitute_dims(read, {d: N for d in dim_names(read) if d not in ("m", "n")})
    assert close(value(read, point()), value(result, point())), shown
