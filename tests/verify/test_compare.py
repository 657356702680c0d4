"""The check: right derivatives pass at every order, reports say what was done, equality finds differences."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen.load import compile_expressions
from chainrule.derive import jacobians
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Stack, Variable, elementwise, number
from chainrule.language import parse_formula
from chainrule.rules.elementwise import cos, exp, sin, stop
from chainrule.simplify import normalise
from chainrule.verify.compare import check_derivative, equal
from chainrule.verify.differences import Moving, mixed, richardson, slope
from chainrule.verify.gradients import check_gradients
from chainrule.verify.reference import evaluate, run

N = Dim.of("n")
x, y, z = Variable("x", (N,)), Variable("y", (N,)), Variable("z")


def chain(text: str, shapes: str, wrt: str, order: int) -> tuple[Expr, list[Expr], Variable]:
    parsed = parse_formula(text, shapes)
    by = parsed.variables[wrt]
    found: list[Expr] = []
    for _ in range(order):
        below = found[-1] if found else parsed.expr
        found.append(normalise(jacobians(below, [by])[by], frozenset([wrt])))
    return parsed.expr, found, by


HIGH = [
    ("exp(x) * sin(x)", "x", "x", 8),
    ("1 / (1 + x**2)", "x", "x", 8),
    ("sum(x**4)", "x[n]", "x", 4),
    ("logdet(X)", "X[n,n]", "X", 3),
    ("softmax(x)", "x[n]", "x", 4),
    ("logsumexp(A @ x)", "A[m,n] x[n]", "x", 4),
    ("x**x", "x", "x", 5),
    ("norm(x)", "x[n]", "x", 4),
    ("relu(x)**5", "x[n]", "x", 4),
    ("sum(tanh(W @ x))", "W[m,n] x[n]", "W", 3),
    ("maximum(x, 0)**3 + abs(x)**3", "x[n]", "x", 3),
]


@pytest.mark.parametrize(("text", "shapes", "wrt", "order"), HIGH)
def test_high_orders_pass(text: str, shapes: str, wrt: str, order: int) -> None:
    formula, found, by = chain(text, shapes, wrt, order)
    report = check_derivative(formula, found, by, points=5)
    assert report.passed, report
    assert report.order == order
    assert report.direction is not None
    assert report.direction < 1e-5


def test_the_direction_alone_catches_a_wrong_chain() -> None:
    """A chain that differentiates something else is consistent with itself, but not with the formula."""
    wrong = [2 * elementwise(cos, z), -2 * elementwise(sin, z)]
    assert not check_derivative(elementwise(sin, z), wrong, z).passed


def test_a_report_says_what_was_done() -> None:
    report = check_derivative((x * x).sum(), [2 * x], x, points=7, seed=4)
    assert report.passed
    assert report.points == 7
    assert report.seed == 4
    assert report.method == "complex step"
    assert all(set(sizes) == {"n"} for sizes in report.sizes)
    assert report.compared == sum(sizes["n"] for sizes in report.sizes)
    assert str(report).startswith("checked at 7 random points (complex step), largest relative error")
    failed = check_derivative((x * x).sum(), [3 * x], x)
    assert "order 1 with n = " in str(failed)
    assert "seed 0" in str(failed)


def test_several_scalars_are_one_axis() -> None:
    u, v = Variable("u"), Variable("v")
    formula = 3 * u**2 * v
    gradient = Stack([6 * u * v, 3 * u**2])
    hessian = Stack([Stack([6 * v, 6 * u]), Stack([6 * u, number(0)])])
    assert check_derivative(formula, [gradient, hessian], (u, v)).passed
    assert not check_derivative(formula, [Stack([3 * u**2, 6 * u * v])], (u, v)).passed
    assert not check_derivative(formula, [gradient, hessian * number(1001) / 1000], (u, v)).passed


def test_blocks_of_different_variables() -> None:
    formula = (x * x * y).sum()
    first = 2 * x * y
    block = normalise(jacobians(first, [y])[y])
    assert check_derivative(formula, [first, block], [x, y]).passed
    assert not check_derivative(formula, [first, block * 1.001], [x, y]).passed


def test_what_stop_holds_does_not_move() -> None:
    formula = elementwise(stop, z) * z
    assert check_derivative(formula, [elementwise(stop, z)], z).passed
    assert not check_derivative(formula, [2 * z], z).passed


def test_a_zero_that_only_rounding_hides() -> None:
    formula, found, by = chain("tr(inv(X) @ A @ X)", "X[n,n] A[n,n]", "X", 1)
    assert check_derivative(formula, found, by, points=20).passed
    assert check_derivative(formula, [by * 0], by, points=20).passed


@pytest.mark.parametrize(
    "text", ["tanh(sum(softmax(x)))", "exp(sum(softmax(x)) - 2)", "cos(sin(x @ x)**2 + cos(x @ x)**2)"]
)
def test_a_zero_inside_a_function_that_only_rounding_hides(text: str) -> None:
    formula, found, by = chain(text, "x[n]", "x", 1)
    assert check_derivative(formula, found, by, points=20).passed
    assert check_derivative(formula, [by * 0], by, points=20).passed
    assert not check_derivative(formula, [by * 0 + 1e-6], by, points=20).passed


def test_a_variable_that_does_not_occur() -> None:
    assert check_derivative((x * x).sum(), [y * 0], y, variables=[x, y]).passed


def test_points_where_everything_is_dead_are_not_the_only_ones() -> None:
    """relu(−x² − 1) is 0 everywhere; relu(x − 5) at most points, which must not hide a wrong derivative."""
    parsed = parse_formula("relu(x - 1.5)", "x")
    assert not check_derivative(
        parsed.expr, [(parsed.variables["x"] > 1.5) * 1.001], parsed.variables["x"]
    ).passed


def test_printed_and_compiled_forms_are_compared_too() -> None:
    formula = (x * x).sum()
    code = compile_expressions(2 * x)
    assert check_derivative(formula, [2 * x], x, same=[x + x], code=code).passed
    assert not check_derivative(formula, [2 * x], x, same=[x + x * 1.001]).passed
    report = check_derivative(formula, [2 * x], x, code=compile_expressions(2.002 * x))
    assert not report.passed
    assert "compiled code" in report.where


def test_many_variables_at_once() -> None:
    parsed = parse_formula("sum((V @ tanh(W @ x + b) - y)**2)", "V[k,m] W[m,n] x[n] b[m] y[k]")
    variables = [parsed.variables[name] for name in "VWb"]
    raw = jacobians(parsed.expr, variables)
    gradients = {v: normalise(raw[v]) for v in variables}
    assert check_gradients(parsed.expr, gradients).passed
    for v in variables:
        assert not check_gradients(parsed.expr, {**gradients, v: gradients[v] * 1.001}).passed


def test_large_derivatives_are_checked_in_directions() -> None:
    formula, found, by = chain("softmax(x)", "x[1000]", "x", 2)
    report = check_derivative(formula, found, by)
    assert report.passed
    assert "random directions" in report.method
    assert not check_derivative(formula, [found[0], found[1] * 1.001], by).passed
    formula, found, by = chain("sum(log(1 + exp(X @ w)))", "X[300,200] w[200]", "w", 2)
    assert check_derivative(formula, found, by).passed
    assert not check_derivative(formula, [found[0] * 1.001, found[1]], by).passed


class TestDifferences:
    def moving(self, expr: Expr, value: float) -> Moving:
        memo: dict[Expr, np.ndarray] = {}
        run([expr, z], {"z": value}, {}, memo)
        return Moving(expr, [z], memo, {})

    def test_richardson_knows_its_error(self) -> None:
        found = richardson(lambda t: np.asarray(np.exp(1 + t)), 0.05)
        assert abs(found.value - np.e) < 1e-9
        assert abs(found.value - np.e) < 100 * found.error + 1e-12

    def test_the_complex_step_is_exact(self) -> None:
        found = slope(self.moving(elementwise(exp, z), 1.0), {z: np.asarray(1.0)})
        assert found.value == pytest.approx(np.e, rel=1e-15)
        assert found.error == 0

    @pytest.mark.parametrize("order", [2, 3, 4, 5, 6, 7, 8])
    def test_cauchy_integrals(self, order: int) -> None:
        moving = self.moving(elementwise(exp, z) + 1 / z, 2.0)
        found = mixed(moving, [({z: np.asarray(1.0)}, order)])
        right = np.exp(2) + (-1) ** order * float(np.prod(range(1, order + 1))) / 2 ** (order + 1)
        assert found is not None
        assert found.value == pytest.approx(right, rel=1e-6)
        assert abs(found.value - right) <= 10 * found.error + 1e-9


class TestEqual:
    def test_equal(self) -> None:
        a = parse_formula("tr(A @ B)", "A[m,n] B[n,m]").expr
        b = parse_formula("tr(B @ A)", "A[m,n] B[n,m]").expr
        result = equal(a, b)
        assert result.equal
        assert result.points == 8
        assert result.worst < 1e-12

    def test_different(self) -> None:
        a = parse_formula("x @ A @ x", "A[n,n] x[n]").expr
        b = parse_formula("x @ A @ x + 0.0001 * x[0]", "A[n,n] x[n]").expr
        result = equal(a, b)
        assert not result.equal
        assert result.counterexample is not None
        assert result.values is not None
        point = result.counterexample
        assert np.allclose(evaluate(a, point.values, point.sizes), result.values[0])
        assert not np.allclose(result.values[0], result.values[1], rtol=1e-9, atol=0)

    def test_shapes_that_differ(self) -> None:
        assert not equal(x, x.sum()).equal
        assert "shapes" in equal(x, x.sum()).reason

    @pytest.mark.parametrize(
        ("a", "b", "shapes"),
        [
            ("where(x > 1000000, x**2, x)", "x", "x"),
            ("where(x > 0.0001, x, 0)", "relu(x)", "x"),
            ("X.T @ ((X @ w + b) > 0)", "X.T @ ones(N)*(mean(X @ w + b) > 0)", "X[N,n] w[n] b"),
        ],
    )
    def test_conditions_are_looked_at_on_both_sides(self, a: str, b: str, shapes: str) -> None:
        known = parse_formula(a, shapes)
        assert not equal(known.expr, parse_formula(b, shapes).expr, list(known.variables.values())).equal

    def test_structure_counts(self) -> None:
        A = Variable("A", (N, N), ("symmetric",))
        assert equal(A, A.T).equal
        B = Variable("A", (N, N))
        assert not equal(B, B.T).equal


def test_what_other_last_digits_explain_is_no_evidence() -> None:
    nested = "x"
    for k in range(1, 40):
        nested = f"sin({nested}*{k})+1" if k % 2 else f"exp(-({nested}))"
    for formula, shapes, wrt in [
        (nested, "x", "x"),
        ("cos(matrix_power(relu(B), 3))", "B[n,n]", "B"),
        ("exp(abs(y))/sum(exp(abs(y)))", "y[n]", "y"),
    ]:
        derived = cr.derive(formula, wrt=wrt, shapes=shapes)
        assert isinstance(derived, cr.Derivative) and derived.check().passed
        assert not derived.explain("differentials").checked.failed


def test_a_derivation_that_is_always_on_a_kink_is_not_checked() -> None:
    page = cr.explain("abs((y - y)*x)", "x", "x[n] y[n]")
    assert page.checked.reason and not page.checked.failed
