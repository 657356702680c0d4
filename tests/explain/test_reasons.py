"""What lines of derivations give as their rule, and which signs they use for which derivative."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.explain import Line
from chainrule.explain.words import words_text
from chainrule.notation.text import to_text


def lines(formula: str, shapes: str, wrt: str, style: str, **options: object) -> list[tuple[str, str]]:
    page = cr.explain(formula, wrt, shapes, style=style, **options).derivation
    assert not page.checked.failed
    return [(told(line).strip(), words_text(line.reason)) for line in (*page.lines(), *page.answer)]


def told(line: Line) -> str:
    return f"{to_text(line.left) if line.left else ''} = {to_text(line.right)}"


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "style", "line", "reason"),
    [
        ("tr(X)", "X[n,n]", "X", "differentials", "dL = tr(dX)", "a trace: every entry of the diagonal"),
        ("X @ X", "X[n,n]", "X", "differentials", "dY = X dX + dX X", "product rule"),
        ("(X @ b) @ (X @ c)", "X[n,n] b[n] c[n]", "X", "differentials", "du₁", "product rule"),
        ("logdet(a * X)", "a:positive X[n,n]", "X", "differentials", "= a tr", "constant multiple rule"),
        ("sum(log(X))", "X[n,n]", "X", "differentials", "= sum(dX ⊘ X)", "element-wise; derivative"),
        ("x @ x", "x[n]", "x", "variables", "∂f/∂x = 2xᵀ", "dot product with itself"),
        ("(a @ x) * x", "a[n] x[n]", "x", "variables", "∂y/∂x = uI", "constant multiple rule; u is"),
        ("w * x", "w[n] x[n]", "x", "variables", "∂y/∂x = diag(w)", "element-wise product, so diagonal"),
        ("exp(-x**2)", "x", "x", "variables", "dy/du = −exp(−u)", "its own derivative, times the inner"),
        ("norm(x - a)", "x[n] a[n]", "x", "variables", "∂f/∂r = rᵀ/‖r‖", "at 0 the derivative of the norm"),
    ],
)  # fmt: skip
def test_a_line_names_its_rule(
    formula: str, shapes: str, wrt: str, style: str, line: str, reason: str
) -> None:
    found = [why for text, why in lines(formula, shapes, wrt, style) if line in text]
    assert any(reason in why for why in found), found


def test_nothing_is_held_fixed_in_a_differential() -> None:
    found = lines("tr(X.T @ B @ X)", "X[m,n] B[m,m]", "X", "differentials")
    assert not any("held fixed" in why for _, why in found)


@pytest.mark.parametrize("style", ["operator", "components", "differentials"])
def test_one_sign_for_the_derivative_where_nothing_is_held_fixed(style: str) -> None:
    page = cr.explain("a @ x + x @ x", "x", "a[n] x[n]", style=style)
    assert "df/dx" not in page.to_text() and "∂f/∂x" in page.to_text()


def test_the_gradient_is_not_equal_to_its_transpose() -> None:
    found = [line for line, _ in lines("tr(A @ X)", "A[n,m] X[m,n]", "X", "differentials")]
    assert "(∂L/∂X)ᵀ = Aᵀ" in found and "∂L/∂X = A" in found


def test_an_operator_does_not_reach_over_a_fraction() -> None:
    found = [line for line, _ in lines("(x - a)/norm(x - a)", "x[n] a[n]", "x", "operator")]
    assert any("· ∂/∂x ‖x − a‖)/‖x − a‖²" in line for line in found)


def test_sums_of_derivatives_are_turned_term_by_term() -> None:
    found = lines("sum(exp(x) - a * x)", "x[n] a[n]", "x", "operator", layout="denominator")
    assert not any(")ᵀ" in line for line, _ in found)


def test_what_was_already_simple_is_not_expanded_first() -> None:
    found = lines("2*(A @ x + l*x)", "A[n,n] x[n] l", "x", "operator")
    assert [why for _, why in found if why in ("expand", "take out the common factor")] == []


def test_substituting_back_says_when_more_is_done() -> None:
    found = lines("sum(log(1 + exp(x)))", "x[n]", "x", "variables")
    assert ("= σ(x)ᵀ", "simplified") in found


@pytest.mark.parametrize(
    ("formula", "place"),
    [("norm(x - a)", "where x − a = 0"), ("sum(maximum(2, x))", "where x = 2 in some entry")],
)
def test_kinks_are_told_in_names_that_the_page_has(formula: str, place: str) -> None:
    assert place in cr.explain(formula, "x", "x[n] a[n]", style="operator").to_text()


def test_a_squared_norm_is_one_step() -> None:
    found = lines("norm(X @ w - y)**2", "X[N,n] w[n] y[N]", "w", "variables")
    assert ("∂C/∂r = 2rᵀ", "a squared norm: d‖x‖² = 2xᵀdx") in found


def test_no_path_leads_through_a_condition() -> None:
    text = cr.explain("sum(where(abs(r) < 1, r**2/2, abs(r) - 1/2))", "r", "r[n]").to_text()
    assert "Two paths lead from r to f" in text and "zeros" not in text


def test_parts_have_no_letter_of_a_variable() -> None:
    found = lines("sum((R - U @ V.T)**2) + norm(U)", "R[m,n] U[m,k] V[n,k]", "U", "variables")
    assert not any(line.startswith(("U₁", "R₁", "V₁", "dU₁")) for line, _ in found)


@pytest.mark.parametrize(
    ("formula", "shapes", "role"),
    [
        ("sum((y - exp(X @ w))**2)", "X[N,n] w[n] y[N]", "residual"),
        ("sum(log(1 - sigmoid(X @ w)))", "X[N,n] w[n]", "difference"),
        ("sum(exp(X @ w) - y * (X @ w))", "X[N,n] w[n] y[N]", "difference"),
        ("norm(X @ w - y)", "X[N,n] w[n] y[N]", "residual"),
        ("norm(w - c)", "w[n] c[n]", "difference"),
    ],
)
def test_an_error_compares_a_prediction_with_what_is_given(formula: str, shapes: str, role: str) -> None:
    found = {why for _, why in lines(formula, shapes, "w", "variables")}
    assert found & {"error", "difference", "residual"} == {role}


def test_softmax_is_differentiated_in_the_name_of_its_value() -> None:
    found = lines("softmax(K @ q) @ V", "K[N,n] q[n] V[N,m]", "q", "variables")
    assert ("∂p/∂z = diag(p) − ppᵀ", "∂softmax = diag(p) − ppᵀ") in found


def test_entries_leave_the_letters_of_the_variable_free() -> None:
    found = [line for line, _ in lines("a @ x", "a[n] x[n]", "x", "components")]
    assert found[:2] == ["f = Σ_j a_j x_j", "∂f/∂x_i = Σ_j a_j (∂x_j/∂x_i)"]


def test_entries_of_matrices_have_their_letters_on_both_sides() -> None:
    found = lines("X.T @ B", "X[m,n] B[m,p]", "X", "components")
    assert ("∂Y_ij/∂X_kl = B_kj δ_il", "all entries together") in found
    assert any("is 1 if i = k and j = l, else 0" in why for _, why in found)


def test_a_sum_of_two_terms_is_read_once() -> None:
    page = cr.explain("sum(M * (R - U @ V.T)**2) + l*norm(U)**2", "U", "M[m,n] R[m,n] U[m,k] V[n,k] l")
    assert page.to_text().count("sum of outer products") == 1


def test_a_long_formula_is_cut_short_and_says_so() -> None:
    formula = "+".join(f"sin(x**{k})" for k in range(1, 50))
    page = cr.explain(formula, "x", "x", style="operator")
    (answer,) = [line for line in page.derivation.answer if line.result]
    assert to_text(answer.left) == "dy/dx" and words_text(answer.reason) == "cut short"
    assert "⋯" in to_text(answer.right) and len(page.to_text()) < 4000


@pytest.mark.parametrize("style", ["operator", "components"])
def test_long_products_stay_readable(style: str) -> None:
    text = cr.explain("*".join(f"(x+{k})" for k in range(1, 16)), "x", "x", style=style).to_text()
    assert len(text) < 15_000 and max(map(len, text.splitlines())) <= 110


def test_a_derivative_that_is_derived_again_says_what_it_is() -> None:
    text = cr.explain("x @ A @ x", "x", "A[n,n] x[n]", order=2).to_text()
    assert "g: n, the derivative (df/dx)ᵀ from above" in text


def test_the_order_in_which_terms_stand_is_no_step() -> None:
    assert [why for _, why in lines("y*x + sin(x)", "x y", "x", "operator")][-1:] != ["simplified"]
    assert "simplified" not in cr.explain("f(x) * g(x)", "x", "x", functions="f: scalar, g: scalar").to_text()


@pytest.mark.parametrize("style", ["operator", "variables"])
def test_a_variable_in_the_exponent_is_no_power_rule(style: str) -> None:
    found = [why for _, why in lines("sum(x**y)", "x[n]:positive y[n]", "y", style)]
    assert any("exponential rule" in why for why in found) and not any("power rule" in why for why in found)


def test_a_variable_below_and_above_follows_both_rules() -> None:
    assert lines("x**x", "x:positive", "x", "operator")[0][1] == "power rule and exponential rule"


def test_reading_off_says_when_more_is_done_than_writing_names_out() -> None:
    found = lines("tr(X.T @ X @ X.T @ X)", "X[m,n]", "X", "differentials")
    assert ("∂L/∂X = 4XᵀXXᵀ", "the names written out, and simplified") in found
    plain = lines("tr(inv(A + X))", "X[n,n] A[n,n]", "X", "differentials")
    assert [why for _, why in plain if why.startswith("the names")] == ["the names written out"]


def test_relu_at_its_kink_is_what_was_chosen() -> None:
    found = [why for _, why in lines("relu(x)**2", "x", "x", "variables", at_kink=1)]
    assert "relu′ is 1 where x > 0, 0 below; relu′(0) is taken as 1" in found


def test_a_gradient_with_three_axes_is_read_off_entry_by_entry() -> None:
    found = lines("sum(einsum('bij,bj->bi', A, x)**2)", "A[b,i,j] x[b,j]", "A", "differentials")
    assert any(line.startswith("∂L/∂A_ijk = ") and why == "entry by entry" for line, why in found)
    assert not any("gᵀ dx" in why for _, why in found)


def test_what_a_saturated_function_leaves_is_no_fault() -> None:
    derived = cr.derive("mean(softmax(abs(Q)))", "Q", "Q[m,n]")
    assert derived.report.passed and not derived.explain("components").checked.failed


def test_one_number_reaches_a_row_in_denominator_layout() -> None:
    page = cr.explain("x + z", "z", "x[n] z", style="components", layout="denominator").to_text()
    assert ": a row, not a diagonal" in page and "a column" not in page
    assert ": a column, not a diagonal" in cr.explain("x + z", "z", "x[n] z", style="components").to_text()


def test_minus_the_identity_changes_the_sign() -> None:
    page = cr.explain("sum((y - w * x)**2)", "x", "y[n] w[n] x[n]", style="variables").to_text()
    assert "−I changes the sign" in page and "I changes nothing" not in page


def test_an_entry_with_a_kink_stands_by_cases() -> None:
    """R104: ∂/∂xᵢ max(0, xᵢ) is 0 if xᵢ ≤ 0 and 1 if xᵢ > 0."""
    text = str(cr.explain("maximum(0, x)", wrt="x", shapes="x[n]"))
    assert "⎧ 0   if xᵢ ≤ 0" in text and "⎩ 1   if xᵢ > 0" in text
    other = str(cr.explain("maximum(x, y) * y", wrt="x", shapes="x[n] y[n]", style="components"))
    assert "⎧ 0    if xᵢ < yᵢ" in other and "⎩ yᵢ   if xᵢ ≥ yᵢ" in other


@pytest.mark.parametrize(("at_kink", "taken"), [(1, "1"), ("0.5", "1/2")])
def test_the_reason_says_what_is_taken_at_the_kink(at_kink, taken) -> None:
    text = str(cr.explain("relu(x)", wrt="x", shapes="x", style="operator", at_kink=at_kink))
    assert f"relu′(0) is taken as {taken}" in text and "else 0" not in text


def test_rules_use_letters_that_mean_nothing_else() -> None:
    shapes = "A[k,m] B[m,n] c[m] x[n]"
    assert "diag(d) M scales the rows of M" in str(cr.explain("A @ tanh(B @ x + c)", wrt="x", shapes=shapes))
    sizes = str(cr.explain("f(g(x))", wrt="x", shapes="x[n]", functions="f: k->m, g: n->k", open="paths"))
    assert "Σₗ" in sizes and "Σₖ" not in sizes


def test_a_long_formula_by_components_is_folded() -> None:
    layers = "x"
    for k in range(1, 13):
        layers = f"tanh(W{k} @ {layers} + b{k})"
    shapes = "x[n] y[n] " + " ".join(f"W{k}[n,n] b{k}[n]" for k in range(1, 13))
    page = cr.explain(f"sum(({layers} - y)**2)", wrt="x", shapes=shapes, style="components")
    assert not page.checked.failed
    assert len(str(page).splitlines()) < 40


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "heading"),
    [
        ("sum(M*(R - U@V.T)**2)", "M[m,n] R[m,n] U[m,k] V[n,k]", "U", "L = sum(M ⊙ (R − UVᵀ)⊙²)"),
        ("2*sum(M*R)", "M[m,n] R[m,n]", "R", "L = 2 sum(M ⊙ R)"),
        ("-sum(Y*log(X))/N", "Y[N,k] X[N,k]", "X", "L = −sum(Y ⊙ ln(X))/N"),
        ("tr(M.T@R)", "M[m,n] R[m,n]", "R", "L = tr(MᵀR)"),
    ],
)
def test_a_sum_over_a_product_of_matrices_is_no_trace_in_the_heading(formula, shapes, wrt, heading) -> None:
    page = cr.explain(formula, wrt=wrt, shapes=shapes)
    line = page.derivation.heading[0]
    shown = f"{to_text(line.left)} = {to_text(line.right)}"
    assert shown == heading or (formula.startswith("tr") and shown.startswith("L = tr("))
    assert cr.equal(to_text(line.right), formula, shapes=shapes)
    assert not page.checked.failed
