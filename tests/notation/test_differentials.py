"""Derivatives of higher order as maps: d²Y = 2X⁻¹ dX X⁻¹ dX X⁻¹, read back and compared with the array."""

from __future__ import annotations

import re

import pytest

import chainrule as cr
from chainrule.expr.dims import ONE
from chainrule.expr.nodes import Einsum, Variable
from chainrule.language import parse_formula
from chainrule.verify.compare import equal


def derived(formula: str, shapes: str, order: int, notation: str = "map") -> cr.Derivative:
    found = cr.derive(formula, wrt="X", shapes=shapes, order=order, notation=notation)
    assert isinstance(found, cr.Derivative)
    return found


def along(d: cr.Derivative, count: int) -> tuple[Einsum, Variable]:
    """The derivative multiplied by one change `count` times, as an array, and the change."""
    (target,) = set(d.wrt)
    change = Variable(f"d{target.name}", target.shape)
    product = d.expression
    for _ in range(count):
        axes = tuple(range(product.rank))
        kept = axes[: product.rank - change.rank]
        product = Einsum(ONE, (product, change), (axes, axes[len(kept) :]), kept)
    return product, change


def says(d: cr.Derivative, text: str, count: int) -> bool:
    """Whether a text has the value of the derivative along changes."""
    value, change = along(d, count)
    sizes = ",".join(map(str, change.shape))
    shapes = ", ".join(f"{v.name}[{','.join(map(str, v.shape))}]" for v in d.formula.variables.values())
    formula = parse_formula(text, f"{shapes}, {change.name}[{sizes}]", shape=value.shape)
    return equal(formula.expr, value, [*d.formula.variables.values(), change]).equal


@pytest.mark.parametrize(
    ("formula", "shapes", "order", "written"),
    [
        ("inv(X)", "X[n,n]", 2, "d²Y = 2X⁻¹ dX X⁻¹ dX X⁻¹"),
        ("inv(X)", "X[n,n]", 3, "d³Y = −6X⁻¹ dX X⁻¹ dX X⁻¹ dX X⁻¹"),
        ("exp(X)", "X[m,n]", 2, "d²Y = (dX)⊙² ⊙ exp(X)"),
        ("X @ A @ X.T", "X[m,n] A[n,n]", 2, "d²Y = 2 dX A dXᵀ"),
        ("matrix_power(X, 3)", "X[n,n]", 2, "d²Y = 2(X (dX)² + dX X dX + (dX)² X)"),
        ("expm(X)", "X[n,n]", 2, "d²Y = expm_frechet2(X, dX, dX)"),
        ("expm(X) @ b", "X[n,n] b[n]", 2, "d²y = expm_frechet2(X, dX, dX) b"),
        ("A @ X @ B", "A[m,n] X[n,p] B[p,q]", 2, "d²Y = 𝟎"),
        ("logdet(X)", "X[n,n]", 3, "d²(∂f/∂X) = 2X⁻ᵀ dXᵀ X⁻ᵀ dXᵀ X⁻ᵀ"),
    ],
)
def test_second_and_third_differentials(formula: str, shapes: str, order: int, written: str) -> None:
    d = derived(formula, shapes, order)
    assert d.text == written
    count = {"d²": 2, "d³": 3}[written[:2]]
    body = written.split(" = ")[1]
    assert says(d, body, count)
    assert body == "𝟎" or not says(d, f"2({body})", count)
    assert d.latex.count("{") == d.latex.count("}") and r"\mathrm{d}^{" in d.latex


@pytest.mark.parametrize(
    ("formula", "shapes", "written"),
    [
        ("exp(X)", "X[k,m,n]", "dY_ijk = exp(X_ijk) dX_ijk"),
        ("einsum('kij,j->ki', X, b)", "X[k,m,n] b[n]", "dY_ij = Σ_k b_k dX_ijk"),
    ],
)
def test_what_no_matrices_say_is_told_by_entries(formula: str, shapes: str, written: str) -> None:
    d = derived(formula, shapes, 1)
    assert d.text == written
    assert says(d, written[1:], 1)
    assert not says(d, written[1:].replace("= ", "= 2"), 1)


@pytest.mark.parametrize(
    ("formula", "order", "line"),
    [
        ("cholesky(X)", 1, "dX ↦ (1/2) L halftril(M(dX + dXᵀ)Mᵀ)    n × n ↦ n × n"),
        ("eigvecsh(X)", 1, "dX ↦ (1/2) V(M ⊙ Vᵀ(dX + dXᵀ)V)    n × n ↦ n × n"),
        ("inv(X)", 2, "d²Y = 2X⁻¹ dX X⁻¹ dX X⁻¹    n × n, the second differential"),
    ],
)
def test_a_long_index_form_has_its_map_beside_it(formula: str, order: int, line: str) -> None:
    d = derived(formula, "X[n,n]", order, "matrix")
    first, second = d.sheet.answer_lines()[:2]
    assert "index notation" in first and second == line
    assert r"\mathrm{d}" in d.sheet.equations() and r"\mathrm{d}" in d.to_markdown()


def test_a_short_index_form_stands_alone() -> None:
    d = derived("X @ A @ X.T", "X[m,n] A[n,n]", 2, "matrix")
    assert not any("dX" in line for line in d.sheet.answer_lines())


def test_tensors_of_code_are_not_printed_where_a_map_says_it() -> None:
    d = derived("expm(X)", "X[n,n]", 1, "matrix")
    assert d.sheet.answer_lines() == [
        "dX ↦ expm_frechet(X, dX)    n × n ↦ n × n",
        "expm_frechet(X, E): the derivative of expm at X along E",
    ]
    assert "einsum" in d.text and not re.search("einsum", d.sheet.equations())


def test_what_no_textbook_has_is_explained_unless_it_was_typed() -> None:
    lines = derived("flatten(X)", "X[m,n]", 1, "matrix").sheet.answer_lines()
    assert lines[1:] == [
        "dX ↦ vec(dXᵀ)    m × n ↦ mn",
        "(ij) is one index made of two, of which j runs faster",
    ]
    brought = derived("sum(A * cholesky(X))", "A[n,n] X[n,n]", 1, "matrix").sheet.answer_lines()
    assert "halftril(M): the lower triangle of M with its diagonal halved" in brought
    both = derived("sum(A @ cholesky(X @ X) @ halftril(A))", "A[n,n] X[n,n]", 1, "matrix")
    typed = both.sheet.answer_lines()
    assert not any(line.startswith("halftril(M):") for line in typed)


# Matrix Cookbook (2012), eq. 34 to 44; Wikipedia, Matrix calculus, identities in differential form.
FORMS = [
    ("eq. 34", "a * X", "a X[m,n]", "dX ↦ a dX"),
    ("eq. 35", "X + A", "X[m,n] A[m,n]", "dX ↦ dX"),
    ("eq. 36", "tr(X)", "X[n,n]", "dX ↦ tr(dX)"),
    ("eq. 37", "A @ X", "A[m,n] X[n,p]", "dX ↦ A dX"),
    ("eq. 37", "X @ A", "A[n,p] X[m,n]", "dX ↦ dX A"),
    ("eq. 37", "X @ X", "X[n,n]", "dX ↦ X dX + dX X"),
    ("eq. 38", "X * A", "X[m,n] A[m,n]", "dX ↦ A ⊙ dX"),
    ("eq. 39", "kron(X, A)", "X[m,n] A[p,q]", "dX ↦ dX ⊗ A"),
    ("eq. 40", "inv(X)", "X[n,n]", "dX ↦ −X⁻¹ dX X⁻¹"),
    ("eq. 41, 42", "det(X)", "X[n,n]", "dX ↦ det(X) tr(X⁻¹ dX)"),
    ("eq. 43", "logdet(X)", "X[n,n]", "dX ↦ tr(X⁻¹ dX)"),
    ("eq. 44", "X.T", "X[m,n]", "dX ↦ dXᵀ"),
    ("Wikipedia, d(Xⁿ)", "matrix_power(X, 3)", "X[n,n]", "dX ↦ X dX X + dX X² + X² dX"),
    ("Wikipedia, d(e^X)", "expm(X)", "X[n,n]", "dX ↦ expm_frechet(X, dX)"),
]


@pytest.mark.parametrize(("source", "formula", "shapes", "written"), FORMS, ids=[f[1] for f in FORMS])
def test_the_identities_in_differential_form(source: str, formula: str, shapes: str, written: str) -> None:
    d = derived(formula, shapes, 1)
    assert d.text == written, source
    assert says(d, written.split(" ↦ ")[1], 1)
