"""LaTeX of presentation trees: exact strings, and braces and delimiters that balance."""

from __future__ import annotations

import re

import pytest

from chainrule.derive import jacobians
from chainrule.language import parse_formula
from chainrule.notation import matform as m
from chainrule.notation.latex import name_latex, to_latex
from chainrule.notation.present import Request, present_many
from chainrule.notation.recover import Reader
from chainrule.rules.table import ROWS, Elementwise
from chainrule.simplify import normalise, simplify

SHAPES = "A[n,n] B[n,n] X[n,n] a[n] x[n] y[n] w[n] s t z W1[n,n] x_hat[n] loss[n] lam P[m,n]"


def gradient(text: str, name: str) -> str:
    formula = parse_formula(text, SHAPES)
    variable = formula.variables[name]
    tree = Reader(formula.variables).tree(simplify(jacobians(normalise(formula.expr), [variable])[variable]))
    assert tree is not None
    return to_latex(tree)


@pytest.mark.parametrize(
    ("formula", "by", "expected"),
    [
        ("x @ A @ x", "x", r"(A + A^\top) x"),
        ("norm(A @ x - y)", "x", r"\frac{A^\top (A x - y)}{\lVert A x - y \rVert}"),
        ("logdet(X)", "X", r"X^{-\top}"),
        ("w / x", "x", r"-\operatorname{diag}(w \oslash x^{2})"),
        ("x @ inv(A) @ y", "x", r"A^{-1} y"),
        ("sum(lam * W1 @ x_hat * loss)", "x_hat", r"\lambda W_{1}^\top \, \mathit{loss}"),
        ("mean(relu(x))", "x", r"\frac{1}{n} \, \mathbf{1}[x > 0]"),
        ("exp(-s**2/2)", "s", r"-s \, \exp\left(-\frac{s^{2}}{2}\right)"),
        ("s**s", "s", r"s^{s} (\ln(s) + 1)"),
        ("[s**2, s*t]", "s", r"\begin{pmatrix} 2 s \\ t \end{pmatrix}"),
    ],
)
def test_gradients_are_written_as_in_books(formula: str, by: str, expected: str) -> None:
    assert gradient(formula, by) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x", "x"),
        ("lam", r"\lambda"),
        ("Sigma", r"\Sigma"),
        ("ell", r"\ell"),
        ("W1", "W_{1}"),
        ("theta_0", r"\theta_{0}"),
        ("x_hat", r"\hat{x}"),
        ("x_hat1", r"\hat{x}_{1}"),
        ("mu_bar", r"\bar{\mu}"),
        ("loss", r"\mathit{loss}"),
        ("W_xh", r"W_{\mathit{xh}}"),
        ("learning_rate", r"\mathit{learning}_{\mathit{rate}}"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert name_latex(name) == expected


ELEMENTWISE = [row for row in ROWS.values() if isinstance(row, Elementwise)]


@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda row: row.name)
def test_every_function_has_balanced_latex(row: Elementwise) -> None:
    inside = m.over(m.name("s"), m.signed_sum([(1, m.name("t")), (-1, m.number(1))]))
    for argument in (m.name("x"), m.negative(m.name("x")), inside):
        check_balanced(to_latex(m.call(row.name, *[argument] * row.arity)))


def test_index_notation() -> None:
    entry = m.tree("entry", (m.inverse(m.name("X")),), ("i", "k"))
    numbered = m.tree("entry", (m.name("W1"),), ("i1", "i2"))
    assert to_latex(m.chain(entry, m.tree("delta", (), ("l", "j")))) == r"(X^{-1})_{ik} \delta_{lj}"
    assert to_latex(m.tree("sigma", (numbered,), ("i2",))) == r"\sum_{i_{2}} (W_{1})_{i_{1},i_{2}}"


def test_matrices_and_fractions_stand_in_high_parentheses() -> None:
    half = m.over(m.name("s"), m.name("t"))
    assert to_latex(m.power(half, m.number(2))) == r"\left(\frac{s}{t}\right)^{2}"
    row = m.tree("array", (m.name("s"), m.name("t")), (True,))
    assert to_latex(m.tree("array", (row, row), (False,))) == r"\begin{pmatrix} s & t \\ s & t \end{pmatrix}"
    check_balanced(to_latex(m.diag(half)))


def check_balanced(text: str) -> None:
    """Braces, parentheses and environments come in pairs, and no script stands twice."""
    depth = 0
    for char in re.sub(r"\\[{}]", "", text):
        depth += (char == "{") - (char == "}")
        assert depth >= 0, text
    assert depth == 0, text
    assert text.count("(") == text.count(")"), text
    assert text.count(r"\left(") == text.count(r"\right)"), text
    assert len(re.findall(r"\\begin\{(\w+)\}", text)) == len(re.findall(r"\\end\{(\w+)\}", text)), text
    assert not re.search(r"[\^_]\s*[\^_]", text), text


def test_conditions_inside_calls() -> None:
    f = parse_formula("stack(cos(max(T*x, 0, T*x))[1], X)", "x[n] X[n,n] T[m,n,n]")
    x = f.variables["x"]
    (shown,), _ = present_many([Request(simplify(jacobians(normalise(f.expr), [x])[x]))], taken=["x"])
    assert r"\ge" in shown.latex and "≥" in shown.text
