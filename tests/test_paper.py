"""What the original paper has beside the notes: its further examples, tables, processes and cautions.

Each test names the numbers of docs/coverage.md that it shows; the paper's worked examples with their arrays
are the `PAPER_CASES` of seed_cases.py.
"""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.derive.flow import flow
from chainrule.language import parse_formula
from tests.test_notes import derived, explained, reasons, to_text_of


@pytest.mark.parametrize(
    "spelling",
    [
        "sum((y - maximum(0, X @ w + b))**2)/N",
        "(1/N) sum((y − max(0, Xw + b))²)",
        "‖y − relu(Xw + b)‖²/N",
        "(1/N) Σ_i (y_i − relu(Σ_j X_ij w_j + b))²",
    ],
)
def test_spellings_of_the_mean_squared_error(spelling: str) -> None:
    """P2, P3, P60: instances are the rows of X, each with a target in y."""
    assert cr.equal(spelling, "mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]").proved


def test_two_functions_of_a_vector() -> None:
    """P13: y₁ = 3x₁²x₂ and y₂ = 2x₁ + x₂⁸."""
    d = derived("[3x₁²x₂, 2x₁ + x₂⁸]", "x", "x[2]")
    assert d.text == "[[6x₁x₂, 3x₁²], [2, 8x₂⁷]]"
    assert d.layout_shape == (2, 2)


def test_the_general_jacobian_in_three_forms() -> None:
    """P14, P22, P23, P24, R36, E8: with dots, or in full for numbers; then the diagonal."""
    text = explained("w*x", "w", "w[n] x[n]").to_text()
    assert "⎡ ∂y₁/∂w₁  ∂y₁/∂w₂  ⋯  ∂y₁/∂wₙ ⎤" in text and "⎢ ∂y₂/∂w₁  ∂y₂/∂w₂  ⋯  ∂y₂/∂wₙ ⎥" in text
    assert "⎣ 0   0   ⋯  xₙ ⎦" in text and "= diag(x)" in text
    numbers = explained("w*x", "w", "w[3] x[3]").to_text()
    assert "⎣ ∂y₃/∂w₁  ∂y₃/∂w₂  ∂y₃/∂w₃ ⎦" in numbers and "⎣ 0   0   x₃ ⎦" in numbers
    general = derived("f(w) * g(x)", "w", "w[n] x[n]", functions="f: n->n, g: n->n")
    assert general.text == "diag(g(x)) f′(w)"
    single = derived("f(w) * g(x)", "w", "w[n] x[n]", functions="f: elementwise, g: elementwise")
    assert single.text == "diag(f′(w) ⊙ g(x))"


def test_identity_in_its_displayed_forms() -> None:
    """P16, P17: to scalars, all partial derivatives, and back to a matrix."""
    text = explained("x", "x", "x[n]").to_text()
    for form in ("yᵢ = xᵢ", "the case i = j", "∂y₁/∂x₁  ∂y₁/∂x₂", "⎡ 1  0  ⋯  0 ⎤", "= I"):
        assert form in text


def test_element_wise_maximum_and_comparison() -> None:
    """P19, P21: a condition is a vector of ones and zeros."""
    assert derived("maximum(w, x)", "w", "w[n] x[n]").text == "diag(1[w ≥ x])"
    condition = cr.simplify("w > x", "w[n] x[n]")
    assert condition.shape == ("n",) and str(condition) == "1[w > x]"
    assert not derived("w > x", "w", "w[n] x[n]").compile()(w=[1.0, 2.0], x=[2.0, 1.0]).any()


def test_entries_by_the_product_rule() -> None:
    """P27: the entries of xz, by x and by z."""
    by_x = derived("x_i * z", "x_i", "x_i z")
    assert by_x.text == "z" and derived("x_i * z", "z", "x_i z").text == "x_i"
    assert "constant multiple rule" in reasons(explained("x*z", "x", "x[n] z"))


def test_a_sum_of_a_sum_needs_a_chain_rule() -> None:
    """P31, P32: each piece by itself, then 1ᵀI = 1ᵀ."""
    page = explained("u = w + x; sum(u)", "w", "w[n] x[n]")
    assert "vector chain rule" in reasons(page)
    assert derived("sum(w + x)", "w", "w[n] x[n]").text == "𝟏ᵀ"
    assert [to_text_of(line.right) for line in page.differentiate.lines()] == ["I", "𝟏ᵀ"]


def test_one_operator_for_each_equation() -> None:
    """P33, P34, P39, P40: innermost first, one operator in each line, as in the registers of a compiler."""
    page = explained("log(sin(x**3)**2)", "x", "x")
    lines = [(to_text_of(line.left), to_text_of(line.right)) for line in page.introduce.lines()]
    assert lines == [("u₁", "x³"), ("u₂", "sin(u₁)"), ("u₃", "u₂²"), ("y", "ln(u₃)")]
    stages = [to_text_of(line.right) for line in page.substitute.lines()]
    assert "1/sin(x³)² · 2 sin(x³) · cos(x³) · 3x²" in stages and "6x² cos(x³)/sin(x³)" in stages


def test_forward_and_backward_give_one_product() -> None:
    """P38: du/dx · dy/du or dy/du · du/dx; for a row times matrices backward is cheaper."""
    shapes = "v[m] B[m,k] A[k,n]"
    assert cr.equal("(vᵀB)A", "vᵀ(BA)", shapes)
    source = derived("v @ tanh(B @ tanh(A @ x))", "x", f"{shapes} x[n]").compile().__source__
    assert "B @ A" not in source, "no matrix is multiplied by a matrix"


def test_three_ways_through_x_plus_x_squared() -> None:
    """P42, E10: the sum rule is right, the chain rule along one path wrong, the blind partial wrong too."""
    assert derived("x + x**2", "x", "x").text == "2x + 1"
    assert derived("x + u", "x", "x u").text == "1"
    for wrong in ("2*x", "1"):
        found = cr.check("x + x**2", wrt="x", shapes="x", claim=wrong)
        assert found.verdict == "wrong" and found.diagnosis in ("path", "plain-chain")


def test_a_wiggle_of_one() -> None:
    """P44: at x = 1, Δx = 1 the value goes from 2 to 6, by 4; Δ of one path alone is not that."""
    value = cr.derive("x + x**2", wrt="x").at
    before, after = (value({"x": x}).value for x in (1.0, 2.0))
    assert (before, after, after - before) == (2.0, 6.0, 4.0)


def test_total_derivative_with_three_intermediate_variables() -> None:
    """P45, P46, P47: total derivatives have d, direct partial derivatives ∂."""
    page = explained("sin(x + x**2)", "x", "x")
    assert len(list(page.introduce.lines())) == 3
    text = page.to_text()
    assert "∂u₂/∂x" in text and "du₂/dx" in text and "∂u₂/∂x = du₂/dx" not in text
    assert cr.equal(derived("sin(x + x**2)", "x", "x").text, "cos(x + x²)(1 + 2x)", "x")


def test_a_product_still_sums_over_paths() -> None:
    """P48: for x · x² the weights change, not the formula: u + x · 2x = 3x²."""
    page = explained("u = x**2; x*u", "x", "x")
    assert "single-variable total-derivative chain rule" in reasons(page)
    shown = [to_text_of(line.right) for line in page.combine.lines()]
    assert any("·" in right and "+" in right for right in shown) and derived("x*x**2", "x", "x").text == "3x²"


def test_every_part_that_is_used_twice_has_a_name() -> None:
    """P49, P52: intermediate variables make the paths visible."""
    formula = parse_formula("exp(x) * sin(exp(x))", "x")
    steps = flow(formula.expr, [formula.variables["x"]])
    assert len(steps.paths(formula.variables["x"])) == 2


def test_vector_of_two_logarithms_and_sines() -> None:
    """P51, P53: [ln(x²), sin(3x)] by x, by scalar rules and as a product of Jacobians."""
    whole = derived("[log(x**2), sin(3*x)]", "x", "x").expression
    inner, outer = derived("[x**2, 3*x]", "x", "x"), derived("[log(u[0]), sin(u[1])]", "u", "u[2]")
    x = 0.7
    u = np.array([x**2, 3 * x])
    product = outer.compile()(u=u) @ inner.compile()(x=x)
    np.testing.assert_allclose(product, [2 / x, 3 * np.cos(3 * x)])
    assert cr.equal(whole, "[2/x, 3 cos(3x)]", "x")


def test_element_wise_functions_multiply_their_diagonals() -> None:
    """P54, E11: diag(f′(g(x)) ⊙ g′(x)), for f and g are entry by entry."""
    d = derived("f(g(x))", "x", "x[n]", functions="f: elementwise, g: elementwise")
    assert d.text == "diag(f′(g(x)) ⊙ g′(x))"


def test_other_affine_functions_and_activations() -> None:
    """P56: an ELU in place of relu."""
    elu = "where(z > 0, z, exp(z) - 1)"
    assert derived(f"z = w @ x + b; {elu}", "w", "w[n] x[n] b").check(5).passed


def test_dot_product_checked_by_scalars() -> None:
    """P57: by the chain rule, and with every product written out."""
    written = "w[0]*x[0] + w[1]*x[1]"
    shapes = "w[2] x[2]"
    assert cr.equal(derived("sum(w*x)", "w", shapes).expression, derived(written, "w", shapes).expression)


def test_max_of_a_vector_has_a_diagonal_jacobian() -> None:
    """P59, E3: not a column of partial derivatives, but diag of them."""
    d = derived("maximum(0, x)", "x", "x[n]")
    assert d.shape == ("n", "n") and d.text == "diag(1[x > 0])"


def test_step_by_step_through_the_loss() -> None:
    """P58, P61, P64: each line of the derivations of ∂C/∂w and ∂C/∂b is checked."""
    for wrt in "wb":
        page = explained("mean((y - relu(X @ w + b))**2)", wrt, "X[N,n] w[n] b y[N]")
        assert page.checked.steps >= 8 and not page.checked.failed and page.checked.worst < 1e-10
