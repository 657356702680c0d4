"""What the source notes ask for beside their worked examples: how an answer is reached and what it means.

Each test names the numbers of docs/coverage.md that it shows; the worked examples are in test_seed_cases.py.
"""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.api.explanation import Explanation
from chainrule.derive.flow import flow
from chainrule.errors import OptionError, ShapeMismatch
from chainrule.explain.text import to_text
from chainrule.expr.nodes import Variable
from chainrule.language import parse_formula

LOSS = "mean((y - relu(X @ w + b))**2)"
NEURON = "X[N,n] w[n] b y[N]"


@functools.cache
def explained(formula: str, wrt: str, shapes: str, **options: Any) -> Explanation:
    return cr.explain(formula, wrt, shapes, **options)


def derived(formula: str, wrt: str, shapes: str, **options: Any) -> cr.Derivative:
    d = cr.derive(formula, wrt=wrt, shapes=shapes, **options)
    assert isinstance(d, cr.Derivative)
    return d


def reasons(page: Explanation) -> str:
    return " | ".join(
        "".join(map(str, line.reason)) for phase in page.phases for line in phase.lines() if line.reason
    )


# ---------------------------------------------------------------- formulas


def test_the_loss_is_one_scalar_formula() -> None:
    """R1, R72, R111, R112: N predictions, their mean is the sum over N."""
    assert cr.equal(LOSS, "sum((y - maximum(0, X @ w + b))**2)/N", NEURON).proved
    assert parse_formula(LOSS, NEURON).expr.shape == ()
    assert list(map(str, parse_formula("X @ w + b", NEURON).expr.shape)) == ["N"]
    (said,) = parse_formula("X @ w + b", "X[N,n] b").assumptions[:1]
    assert "w[n]" in said, "the shape of w follows"


def test_three_spellings_of_the_dot_product_are_one() -> None:
    """R5."""
    spellings = ("w @ x + b", "w · x + b", "wᵀx + b", "sum(w * x) + b", "sum(w ⊙ x) + b")
    for spelling in spellings:
        assert cr.equal(spelling, spellings[0], "w[n] x[n] b").proved


def test_relu_is_max_with_zero() -> None:
    """R6."""
    assert cr.equal("relu(w @ x + b)", "maximum(0, w @ x + b)", "w[n] x[n] b").proved


def test_all_parameters_in_one_request() -> None:
    """R7."""
    both = cr.derive(LOSS, wrt="w,b", shapes=NEURON)
    assert isinstance(both, cr.Derivatives)
    assert [both[name].shape for name in both] == [("n",), ()]


def test_parts_keep_their_names_and_names_do_not_clash() -> None:
    """R97, R113: z, a, v are introduced in this order; a name of the data cannot be given away."""
    page = explained("z = X @ w + b; a = relu(z); v = y - a; mean(v**2)", "w", NEURON)
    introduced = [to_text_of(line.left) for line in page.introduce.lines()]
    assert introduced == ["z", "a", "v", "C"]
    with pytest.raises(ShapeMismatch, match="w is declared as a variable and given a value here"):
        cr.derive("w = X @ y; sum(w)", wrt="X", shapes="X[n,n] y[n] w[n]")


def to_text_of(tree: Any) -> str:
    from chainrule.notation.text import to_text

    return to_text(tree)


# ---------------------------------------------------------------- slopes


@pytest.mark.parametrize(("x", "sign"), [(1.0, 1), (-2.0, -1), (0.0, 0)])
def test_the_slope_predicts_the_change(x: float, sign: int) -> None:
    """R3: rising, falling, flat; the change is f′(x) Δ to first order."""
    slope = derived("x**2", "x", "x").compile()
    change = 1e-4
    assert np.sign(slope(x=x)) == sign
    assert abs((x + change) ** 2 - x**2 - slope(x=x) * change) < 2 * change**2


def test_fixing_the_other_variable() -> None:
    """R24: f(x, 2) = 6x² has the slope 12x, which is 6xy at y = 2; f(1, y) = 3y has 3, which is 3x² at 1."""
    formula = "3*x**2*y"
    assert derived(f"y = 2; {formula}", "x", "x").text == "12x"
    assert cr.equal("y = 2; 6*x*y", derived(f"y = 2; {formula}", "x", "x").text, "x")
    assert derived(f"x = 1; {formula}", "y", "y").text == "3"
    assert cr.equal("x = 1; 3*x**2", derived(f"x = 1; {formula}", "y", "y").text)


def test_steepest_ascent() -> None:
    """R26: no direction rises faster than the gradient, and its length is the rate there."""
    gradient = derived("3*x**2*y", "[x, y]", "x y").compile()(x=1.0, y=2.0)
    rate = np.linalg.norm(gradient)
    directions = np.random.default_rng(0).normal(size=(200, 2))
    slopes = directions @ gradient / np.linalg.norm(directions, axis=1)
    assert slopes.max() <= rate and gradient @ gradient / rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("formula", "moved", "change"),
    [("w + x", "w", 1.0), ("w - x", "x", -1.0), ("w * x", "w", "x"), ("x + z", "z", 1.0)],
)
def test_wiggling_one_entry(formula: str, moved: str, change: float | str) -> None:
    """R40, R57: only the entry that is wiggled moves, by Δ, −Δ or xΔ; a scalar moves all entries."""
    rng = np.random.default_rng(1)
    values = {"w": rng.normal(size=3), "x": rng.normal(size=3), "z": 0.5}
    shapes = "w[n] x[n] z"
    jacobian = derived(formula, moved, shapes).compile()(**values)
    if moved == "z":
        np.testing.assert_allclose(jacobian, np.ones(3))
        return
    rate = values[change][0] if isinstance(change, str) else change
    np.testing.assert_allclose(jacobian[:, 0], [rate, 0, 0])


def test_sensitivity_to_a_weight_is_the_input() -> None:
    """R101: written out with three weights, ∂z/∂wⱼ = xⱼ, and one to one for the bias."""
    formula, shapes = "w[0]*x[0] + w[1]*x[1] + w[2]*x[2] + b", "w[3] x[3] b"
    assert cr.equal(formula, "w @ x + b", shapes)
    assert derived(formula, "w", shapes, layout="shape").text == "[x₁, x₂, x₃]"
    assert derived(formula, "b", shapes).text == "1"


def test_a_hat_is_a_letter_with_a_hat() -> None:
    """N2, R126: x_hat is read and x̂ printed, and both are one variable."""
    assert derived("w_hat @ x_hat", "w_hat", "w_hat[n] x_hat[n]").text == "x̂ᵀ"
    assert cr.equal("ŵ · x̂", "w_hat @ x_hat", "ŵ[n] x̂[n]").proved
    assert r"\hat{x}" in derived("ŵ · x̂", "ŵ", "ŵ[n] x̂[n]").latex


def test_an_inactive_neuron_does_not_answer() -> None:
    """R107: off, no effect of w and b; on, the effect that they have on the affine part."""
    d = cr.derive("relu(w @ x + b)", wrt="w,b", shapes="w[n] x[n] b")
    affine = cr.derive("w @ x + b", wrt="w,b", shapes="w[n] x[n] b")
    values = {"w": np.array([1.0, -2.0]), "x": np.array([0.5, 1.0])}
    for b, active in ((-3.0, False), (3.0, True)):
        found, plain = d.compile()(**values, b=b), affine.compile()(**values, b=b)
        for name in "wb":
            np.testing.assert_array_equal(found[name], plain[name] * active)


@pytest.mark.parametrize("error", [4.0, -4.0, 0.0, 0.01])
def test_an_error_pulls_against_its_sign(error: float) -> None:
    """R120, R124, P62: one instance gives 2e₁x₁ᵀ; a step moves the prediction against the error."""
    X, w, b = np.array([[1.0, 2.0]]), np.array([1.0, 1.0]), 0.5
    y = X @ w + b - error
    gradient = cr.derive(LOSS, wrt="w,b", shapes=NEURON).compile()(X=X, w=w, b=b, y=y)
    np.testing.assert_allclose(gradient["w"], 2 * error * X[0])
    moved = np.maximum(0, X @ (w - 0.01 * gradient["w"]) + b - 0.01 * gradient["b"]) - (X @ w + b)
    assert np.sign(np.round(moved, 12)) == -np.sign(error)


def test_the_average_counts_every_instance() -> None:
    """N7, R124: the divisor is N, all instances, and not the number of active ones."""
    X, w, y = np.array([[1.0], [-1.0], [-2.0], [-3.0]]), np.array([1.0]), np.zeros(4)
    gradient = derived(LOSS, "b", NEURON).compile()(X=X, w=w, b=0.0, y=y)
    assert gradient == pytest.approx(2 / 4 * 1.0)


def test_training_walks_downhill() -> None:
    """R2, R27, R121, R125, R127, R128: derive, check, compile, and train one neuron with the formulas."""
    d = cr.derive(LOSS, wrt="w,b", shapes=NEURON)
    assert d.check(3).passed
    gradient = d.compile()
    rng = np.random.default_rng(3)
    X = rng.uniform(size=(40, 2))
    y = np.maximum(0, X @ np.array([2.0, -1.0]) + 0.5)
    w, b, history = np.array([0.3, 0.3]), 0.1, []
    for _ in range(600):
        history.append(np.mean((y - np.maximum(0, X @ w + b)) ** 2))
        step = gradient(X=X, w=w, b=b, y=y)
        w, b = w - 0.3 * step["w"], b - 0.3 * step["b"]
    assert all(after < before for before, after in pairwise(history[:50]))
    assert history[-1] < 1e-3 * history[0]
    np.testing.assert_allclose([*w, b], [2.0, -1.0, 0.5], atol=0.1)


# ---------------------------------------------------------------- derivations


def test_every_jacobian_can_be_opened_into_entries() -> None:
    """R4, R8, R42, R56: the rule, then the scalar derivatives that it is made of."""
    text = explained("sum(w*x)", "w", "w[n] x[n]", open="all").to_text()
    shown = ("uᵢ      = wᵢ xᵢ", "the case i = j", "the case i ≠ j", "∂u₁/∂w₁  ∂u₁/∂w₂", "diagonal condition")
    for part in shown:
        assert part in text
    assert "the derivative of a sum is the sum of the derivatives" in text


@pytest.mark.parametrize(
    ("formula", "shapes", "rule"),
    [
        ("sin(x**2)", "x", "single-variable chain rule"),
        ("x + x**2", "x", "single-variable total-derivative chain rule"),
        ("sin(A @ x)", "A[m,n] x[n]", "vector chain rule"),
        ("relu(w @ x + b)", "w[n] x[n] b", "scalar case of the vector chain rule"),
    ],
)
def test_the_chain_rule_that_applies_is_named(formula: str, shapes: str, rule: str) -> None:
    """R74, R80, R108: one path, several paths, vectors, and scalars behind a vector."""
    page = explained(formula, "x", shapes, style="variables")
    assert f"so the {rule} applies" in page.to_text()
    assert rule in reasons(page)


def test_the_four_phases() -> None:
    """R77: introduce, differentiate, combine, substitute."""
    page = explained("sin(x**2)", "x", "x")
    numbered = [phase.number for phase in page.phases]
    assert numbered == [1, 2, 3, 4]
    assert page.phases == (page.introduce, page.differentiate, page.combine, page.substitute)


def test_constants_are_pulled_out_in_steps() -> None:
    """R17, R22, R23."""
    partial = explained("3*x**2*y", "x", "x y")
    assert [line.reason[0] for line in partial.phases[0].lines()].count("constant multiple rule") == 2
    operator = reasons(explained("9*(x + x**2)", "x", "x", style="operator"))
    for rule in ("constant multiple rule", "sum rule", "power rule", "expand"):
        assert rule in operator


def test_d_for_one_variable_and_partial_for_several() -> None:
    """R19, R21: in text and in LaTeX."""
    one, several = explained("x**2 + 3*x", "x", "x"), explained("3*x**2*y", "x", "x y")
    assert "d/dx (" in one.to_text() and r"\frac{\mathrm{d}}{\mathrm{d} x}" in one.to_latex()
    assert "∂/∂x (" in several.to_text() and r"\partial" in several.to_latex()


def test_what_the_variable_is_must_be_said() -> None:
    """R20."""
    with pytest.raises(OptionError, match="which variable") as problem:
        cr.derive("x*y", shapes="x y")
    assert "x, y" in problem.value.hint


@pytest.mark.parametrize(
    ("formula", "wrt", "order", "kind"),
    [
        ("x**2", "x", 1, "derivative"),
        ("x**2 * y", "[x, y]", 1, "gradient"),
        ("sum(v)", "v", 1, "gradient"),
        ("[3*x**2*y, 2*x + y**8]", "[x, y]", 1, "Jacobian"),
        ("v * x", "x", 1, "Jacobian"),
        ("tanh(v)", "v", 1, "Jacobian"),
        ("sum(v**3)", "v", 2, "Hessian"),
        ("x**3", "x", 2, "derivative of order 2"),
    ],
)
def test_every_derivative_has_its_kind(formula: str, wrt: str, order: int, kind: str) -> None:
    """R28: by the number of functions and of inputs."""
    assert derived(formula, wrt, "x y v[n]", order=order).kind == kind


def test_partials_are_put_side_by_side_with_their_names() -> None:
    """R25, R30, R31: a row for each function, a column for each variable."""
    text = explained("[3*x**2*y, 2*x + y**8]", "[x, y]", "x y").to_text()
    assert "⎡ ∂u₁/∂x  ∂u₁/∂y ⎤" in text and "⎣ 2    8y⁷ ⎦" in text
    assert "∇f = [ ∂f/∂x  ∂f/∂y ]" in explained("3*x**2*y", "[x, y]", "x y").to_text()


def test_denominator_layout_turns_the_product_round() -> None:
    """R32, R95: the outer Jacobian stands left in numerator layout, right in denominator layout."""
    shapes = "A[k,n] B[m,k] x[n]"
    formula, options = "sin(B @ (A @ x))", {"style": "variables"}
    numerator = explained(formula, "x", shapes, **options).to_text()
    denominator = explained(formula, "x", shapes, layout="denominator", **options).to_text()
    assert "∂y/∂x = ∂y/∂u₂ · ∂u₂/∂u₁ · ∂u₁/∂x" in numerator and "numerator layout" in numerator
    assert "∂y/∂x = ∂u₁/∂x · ∂u₂/∂u₁ · ∂y/∂u₂" in denominator and "denominator layout" in denominator


def test_factors_have_their_sizes() -> None:
    """R90: (m × k)(k × n) = m × n."""
    text = explained("sin(B @ (A @ x))", "x", "A[k,n] B[m,k] x[n]", style="variables").to_text()
    assert "m × m · m × k · k × n = m × n" in text


def test_where_the_diagonal_condition_fails() -> None:
    """R43: (Aw) ⊙ x has the full Jacobian diag(x) A, and only the element-wise step is diagonal."""
    page = explained("(A @ w)*x", "w", "A[n,n] w[n] x[n]", style="variables")
    why = {to_text_of(line.left): "".join(map(str, line.reason)) for line in page.differentiate.lines()}
    assert "diagonal" not in why["∂u/∂w"] and "so diagonal" in why["∂y/∂u"]


def test_every_path_counts() -> None:
    """R83, R84, R85, R87: paths are listed, the wrong answer of one is shown, the sum over them is right."""
    text = explained("x + x**2", "x", "x", style="variables").to_text()
    assert "Two paths lead from x to y" in text and "would give 2x" in text
    assert "∂y/∂x = 1" in text and "u is held fixed" in text and "dy/dx = ∂y/∂x + ∂y/∂u · du/dx" in text
    formula = parse_formula("x*sin(x**2) + exp(x)", "x")
    (x,) = formula.variables.values()
    steps = flow(formula.expr, [x])
    total: Any = 0
    for path in steps.paths(x):
        product: Any = 1
        for before, after in pairwise(path):
            product = product * along(steps, before, after)
        total = total + product
    assert cr.equal(total, derived("x*sin(x**2) + exp(x)", "x", "x").expression)


def along(steps: Any, before: Variable, after: Variable) -> Any:
    """The direct partial derivative on one edge, written out in x."""
    from chainrule.derive import jacobians
    from chainrule.expr.walk import substitute

    part = steps.by_symbol[after]
    inside = {p.symbol: p.whole for p in steps.parts}
    return substitute(jacobians(part.value, [before])[before], inside)


def test_the_update_is_transposed_and_the_reason_told() -> None:
    """R121, E5, N5: ∂C/∂w is a row and w a column; by the bias there is nothing to turn."""
    text = " ".join(explained(LOSS, "w", NEURON).to_text().split())
    assert "the derivative is a row, 1 × n, and w a column, n × 1, so it is transposed" in text
    assert "w ← w − η(∂C/∂w)ᵀ" in text
    assert "w ← w − η(∂C/∂w)ᵀ" not in explained(LOSS, "w", NEURON, layout="shape").to_text()


def test_backpropagation_goes_layer_by_layer() -> None:
    """R73, R96: what comes from above times the local derivative, from the output back."""
    formula = "mean((y - relu(relu(X@W1 + b1)@w2 + b2))**2)"
    page = explained(formula, "W1", "X[N,n] y[N] W1[n,k] b1[k] w2[k] b2")
    text = page.to_text()
    order = [text.index(f"∂L/∂{name} ") for name in ("v", "a", "z", "A", "Z")]
    assert order == sorted(order) and "From the output back" in text
    assert not page.checked.failed


def test_kinks_are_named_wherever_they_were_met() -> None:
    """R102, R103, R106, E17, N9: the set, and the value taken there, which can be chosen."""
    assert "not differentiable where z = 0; relu′(0) is taken as 0" in derived("relu(z)", "z", "z").to_text()
    page = explained("relu(w @ x + b)", "w", "w[n] x[n] b").to_text()
    assert "not differentiable where" in page
    chosen = derived("relu(z)", "z", "z", at_kink=1)
    assert chosen.compile()(z=0.0) == 1.0 and derived("relu(z)", "z", "z").compile()(z=0.0) == 0.0


def test_derivations_print_in_a_terminal_and_a_notebook() -> None:
    """R4."""
    page = explained("sin(x**2)", "x", "x")
    assert str(page) == page.to_text() == "\n\n".join(map(to_text, page.derivations))
    assert page._repr_markdown_().count("$") > 4
