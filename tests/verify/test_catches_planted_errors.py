"""The check must be able to fail: rules that are off by 0.1 % are caught, at first and at second order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chainrule.derive import jacobians
from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, elementwise, number, scale
from chainrule.language import parse_formula
from chainrule.rules import ROWS, Constant, Row
from chainrule.rules.elementwise import sin
from chainrule.simplify import normalise
from chainrule.verify.compare import check_derivative, equal

M, N = Dim.of("m"), Dim.of("n")
OFF = Coefficient.of(1001) * Coefficient.of(1000) ** -1
PARAMETERS: dict[str, tuple[Any, ...]] = {
    "norm": (2,),
    "unit": (1,),
    "amax": (1,),
    "amin": (1,),
    "matrix_power": (3,),
    "prod": (1,),
    "prod_others": (1, 1),
}
# Where the derivative by the point of a map has no row, or takes long: first order is enough.
DEEPEST = ("polar", "expm_frechet", "expm_frechet2", "expm_frechet3")


def example(row: Row) -> tuple[Expr, tuple[Variable, ...]]:
    """The row applied to variables that fit it."""
    parameters = PARAMETERS.get(row.name, ())
    if hasattr(row, "core"):
        cores = row.cores(parameters)
        shapes = [{1: (N,), 2: (M, N)}[core] for core in cores]
        try:
            row.result_shape(shapes, parameters)
        except ShapeMismatch:
            shapes = [{1: (N,), 2: (N, N)}[core] for core in cores]
    else:
        shapes = [(N,)] * row.arity  # type: ignore[attr-defined]
    variables = tuple(Variable(f"x{k}", shape) for k, shape in enumerate(shapes))
    # An order is a number.
    placed = zip(variables, row.domain, strict=True)
    arguments = [number(1, v.shape) if domain == "whole" else v for v, domain in placed]
    return Apply(row, arguments, parameters), variables


def places() -> list[tuple[str, int]]:
    """Every argument of every row that has a derivative other than 0 by it."""
    found = []
    for row in ROWS.values():
        if isinstance(row, Constant):
            continue
        for k, rule in enumerate(row.d):  # type: ignore[attr-defined]
            if callable(rule) and row.name not in ("first_max", "first_min"):
                found.append((row.name, k))
    return found


@contextmanager
def off_by_a_thousandth(row: Row, argument: int) -> Iterator[None]:
    field = "back" if getattr(row, "back", ()) else "d"
    right: tuple[Any, ...] = getattr(row, field)

    def wrong(*args: Any) -> Expr:
        return scale(OFF, right[argument](*args))

    object.__setattr__(row, field, (*right[:argument], wrong, *right[argument + 1 :]))
    try:
        yield
    finally:
        object.__setattr__(row, field, right)


def first(formula: Expr, by: Variable) -> Expr:
    return jacobians(formula, [by])[by]


@pytest.mark.parametrize(("name", "argument"), places())
def test_a_broken_rule_is_caught_at_first_order(name: str, argument: int) -> None:
    row = ROWS[name]
    formula, variables = example(row)
    by = variables[argument]
    assert check_derivative(formula, [first(formula, by)], by).passed
    with off_by_a_thousandth(row, argument):
        broken = first(formula, by)
    report = check_derivative(formula, [broken], by)
    assert not report.passed
    assert report.worst == pytest.approx(1e-3, rel=0.01)
    assert "FAILED" in str(report)


@pytest.mark.parametrize(("name", "argument"), [p for p in places() if p[0] not in DEEPEST])
def test_a_broken_rule_is_caught_at_second_order(name: str, argument: int) -> None:
    row = ROWS[name]
    inner, variables = example(row)
    by = variables[argument]
    formula = elementwise(sin, inner)
    right = first(formula, by)
    assert check_derivative(formula, [right, first(right, by)], by).passed
    with off_by_a_thousandth(row, argument):
        broken = first(right, by)
    assert not check_derivative(formula, [right, broken], by).passed


FORMULAS = [
    ("mean((y - relu(X @ w + b))**2)", "X[N,n] y[N] w[n] b", "w"),
    ("x @ A @ x + sum(x**3)", "A[n,n] x[n]", "x"),
    ("sum(log(1 + exp(-y * (X @ w))))", "X[N,n] y[N] w[n]", "w"),
    ("logdet(X.T @ X) + norm(X)**2", "X[m,n]", "X"),
    ("softmax(A @ x)", "A[m,n] x[n]", "x"),
    ("(x - mean(x)) / sqrt(mean((x - mean(x))**2) + 0.1)", "x[n]", "x"),
    ("tr(inv(X) @ A @ X)", "X[n,n] A[n,n]", "X"),
    ("x / norm(x) + 0.001 * x", "x[n]", "x"),
]


def terms_off(expr: Expr) -> list[Expr]:
    """`expr` with one term at a time, of the outermost sum or of sums in products, off by 0.1 %."""
    if isinstance(expr, Sum):
        return [Sum([*expr.terms[:k], scale(OFF, t), *expr.terms[k + 1 :]]) for k, t in enumerate(expr.terms)]
    changed = [scale(OFF, expr)]
    if isinstance(expr, Einsum):
        for k, operand in enumerate(expr.operands):
            if isinstance(operand, Sum):
                for wrong in terms_off(operand):
                    operands = [*expr.operands[:k], wrong, *expr.operands[k + 1 :]]
                    sizes = dict(enumerate(expr.sizes))
                    changed.append(Einsum(expr.coefficient, operands, expr.labels, expr.output, sizes))
    return changed


@pytest.mark.parametrize(("text", "shapes", "wrt"), FORMULAS)
@pytest.mark.parametrize("order", [1, 2])
def test_every_single_term_off_is_caught(text: str, shapes: str, wrt: str, order: int) -> None:
    parsed = parse_formula(text, shapes)
    by = parsed.variables[wrt]
    chain: list[Expr] = []
    for _ in range(order):
        chain.append(normalise(first(chain[-1] if chain else parsed.expr, by)))
    assert check_derivative(parsed.expr, chain, by).passed
    for wrong in terms_off(chain[-1]):
        if equal(wrong, chain[-1]).equal:
            continue  # a term that is worth 0, which no number can tell from 1.001 times itself
        assert not check_derivative(parsed.expr, [*chain[:-1], wrong], by).passed, wrong


def with_real_differences(check: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a check as if no row could be evaluated at complex arrays."""
    from chainrule.verify.differences import Moving

    monkeypatch.setattr(Moving, "analytic", property(lambda self: False))
    check()


@pytest.mark.parametrize(("name", "argument"), places())
def test_real_differences_catch_it_too(name: str, argument: int, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROWS[name]
    formula, variables = example(row)
    by = variables[argument]
    with off_by_a_thousandth(row, argument):
        broken = first(formula, by)

    def check() -> None:
        right = check_derivative(formula, [first(formula, by)], by)
        assert right.passed
        assert "differences" in right.method
        assert not check_derivative(formula, [broken], by).passed

    with_real_differences(check, monkeypatch)


def test_a_missing_factor_of_a_size_is_caught() -> None:
    x = Variable("x", (N,))
    assert not check_derivative(x.mean(), [x * 0 + 1], x).passed


def test_a_wrong_shape_is_caught() -> None:
    x = Variable("x", (N,))
    report = check_derivative(x * x, [2 * x], x)
    assert not report.passed
    assert "shape" in report.where


def test_structure_used_before_the_last_differentiation_is_caught() -> None:
    """∂ log det A / ∂A is A⁻ᵀ; with A symmetric A⁻¹ may be printed, but not differentiated again."""
    A = Variable("A", (N, N), ("symmetric",))
    formula = Apply(ROWS["logdet"], (A,))
    gradient = first(formula, A)
    rewritten = Apply(ROWS["inv"], (A,))
    assert check_derivative(formula, [gradient], A, same=[rewritten]).passed
    assert check_derivative(formula, [gradient, first(gradient, A)], A).passed
    assert not check_derivative(formula, [gradient, first(rewritten, A)], A).passed
