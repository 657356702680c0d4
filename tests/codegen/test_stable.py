"""Forms that neither overflow nor cancel: each keeps the value, and digits are kept at extreme inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen.load import compile_expressions
from chainrule.codegen.matching import Form
from chainrule.codegen.stable import FORMS
from chainrule.expr.walk import topological
from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate
from tests.codegen.extremes import FORMULAS, WELL, Measured, Row, measure
from tests.codegen.stability import HEAD, ORDERS, PAGE, forms

ULPS = 16
# Those whose errors are looked at each time; the slow test looks at all of them.
FEW = (
    "1 - cos(x)",
    "log(1 - exp(-x))",
    "log(cosh(x))",
    "sqrt(1 + x**2) - x",
    "exp(x) / sum(exp(x))",
    "norm(x)",
)


def keeps(form: Form) -> bool:
    """Whether a form is used in its example and both sides of it agree at random points."""
    names = [n for n in "xyu" if n in form.example.replace("exp", "").replace("sum", "").replace("max", "")]
    expr = parse_formula(form.example, " ".join("u[n]" if n == "u" else n for n in names)).expr
    made = [(node, form.make(node)) for node in topological([expr])]
    pairs = [(node, new) for node, new in made if new is not None]
    assert pairs, f"{form.says} is not used in {form.example}"
    rng = np.random.default_rng(1)
    for _ in range(5):
        point = {n: rng.uniform(0.2, 3, (4,) if n == "u" else ()) for n in names}
        if form.at == "any":
            point = {n: v * rng.choice([-1, 1], np.shape(v)) for n, v in point.items()}
        for node, new in pairs:
            if not np.allclose(evaluate(new, point), evaluate(node, point), rtol=1e-11, atol=0):
                return False
    return True


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.says)
def test_each_form_is_used_and_keeps_the_value(form: Form) -> None:
    assert keeps(form)


def test_a_wrong_form_is_found() -> None:
    form = FORMS[0]
    assert not keeps(replace(form, make=lambda node: None if (e := form.make(node)) is None else 1.001 * e))


def fails(found: Measured) -> bool:
    """Whether a result is no number, or far off where the problem is well conditioned."""
    return not np.isfinite(found.ulps) or (found.condition <= WELL and found.ulps > ULPS)


def named(row: Row) -> str:
    """A formula with the order of its derivative."""
    return f"{row.formula}, {row.order}"


@pytest.mark.parametrize("row", [r for r in FORMULAS if r.formula in FEW and r.order < 2], ids=named)
def test_digits_are_kept_at_extreme_inputs(row: Row) -> None:
    assert [m for point in row.points for m in measure(row, point) if fails(m)] == []


def test_lost_digits_are_found() -> None:
    lost = Row("(1 - sqrt(1 - x)) * 2", lambda x: x, (1e-12,), 0)
    assert any(map(fails, measure(lost, 1e-12)))


def test_a_tanh_that_is_summed_is_made_once() -> None:
    d = cr.derive("sum((tanh(X @ w) @ v - y)**2)", wrt="w", shapes="X[N,n,m] w[m] v[n] y[N]")
    assert "1 - t" in d.source("jax") and "cosh" not in d.source()
    assert "1 / np.cosh(x)**2" in cr.derive("tanh(x)", wrt="x", shapes="x").source()


def test_several_axes_and_permuted_ones() -> None:
    X = np.random.default_rng(0).standard_normal((3, 4)) * 10
    e = np.exp(X)
    for text, want in {
        "exp(X) / sum(exp(X), axis=0)": e / e.sum(axis=0),
        "exp(X) / sum(exp(X), axis=1, keepdims=True)": e / e.sum(axis=1, keepdims=True),
        "exp(X) / sum(exp(X))": e / e.sum(),
        "log(sum(exp(X), axis=0))": np.log(e.sum(axis=0)),
        "log(sum(exp(X)))": np.log(e.sum()),
        "log(mean(exp(X), axis=1))": np.log(e.mean(axis=1)),
        "sqrt(sum(X**2, axis=0))": np.linalg.norm(X, axis=0),
        "sum(exp(X), axis=1) / sum(exp(X))": e.sum(axis=1) / e.sum(),
    }.items():
        assert np.allclose(compile_expressions(parse_formula(text, "X[m,n]").expr)(X=X), want, rtol=1e-12), (
            text
        )
        assert np.isfinite(compile_expressions(parse_formula(text, "X[m,n]").expr)(X=100 * X)).all(), text


@pytest.mark.slow
@pytest.mark.parametrize("row", FORMULAS, ids=named)
def test_digits_are_kept_in_every_row(row: Row) -> None:
    assert [m for point in row.points for m in measure(row, point) if fails(m)] == []


def test_the_page_lists_every_form_and_every_formula() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(text in page for text in forms())
    _, _, table = page.partition(HEAD)
    rows = [line.strip("| ").split(" | ") for line in table.split("\n\n")[0].splitlines()[2:]]
    assert [(r[0], r[1].strip()) for r in rows] == [(f"`{r.formula}`", ORDERS[r.order]) for r in FORMULAS]
    assert len({r.formula for r in FORMULAS}) >= 40
    assert all(float(r[4]) <= ULPS for r in rows)


@pytest.mark.parametrize(
    ("formula", "order"),
    [("mean((y - relu(X @ w))**2)", 1), ("sum(log(1 + exp(-y * (X @ w))))", 1), ("norm(X @ w - y)", 1)],
)
def test_single_precision_over_a_million_rows(formula: str, order: int) -> None:
    f = cr.derive(formula, wrt="w", shapes="X[N,n] w[n] y[N]", order=order).compile()
    rng = np.random.default_rng(0)
    arrays = {"X": rng.standard_normal((10**6, 3)) + 1, "w": np.array([0.5, -0.25, 1]), "y": np.ones(10**6)}
    single = {name: value.astype(np.float32) for name, value in arrays.items()}
    got, want = f(**single), f(**{name: value.astype(np.float64) for name, value in single.items()})
    assert got.dtype == np.float32
    assert np.abs(got - want).max() <= 2e-5 * np.abs(want).max()


@pytest.mark.parametrize("formula", ["sum((mean(X, axis=0) - w)**2)", "sum(var(X, axis=0) * w)"])
def test_sums_of_columns_in_single_precision(formula: str) -> None:
    f = cr.derive(formula, wrt="w", shapes="X[N,n] w[n]").value_and_derivatives()
    rng = np.random.default_rng(0)
    arrays = {"X": rng.random((10**6, 3)), "w": np.ones(3)}
    single = {name: value.astype(np.float32) for name, value in arrays.items()}
    for got, want in zip(f(**single), f(**arrays), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_polynomial_that_cancels_has_its_limit() -> None:
    f = cr.derive("sum(y * x / (exp(x) - 1))", wrt="x", shapes="x[n] y[n]").compile()
    found = f(x=np.array([0.0, 1e-300, 800.0, -800.0]), y=np.full(4, 2.0))
    assert found.tolist() == [-1.0, -1.0, 0.0, -2.0]


@pytest.mark.parametrize(
    ("formula", "order"),
    [
        ("x**2 / (exp(x) - 1)", 2),
        ("(x / (1 - exp(-x)))**2", 2),
        ("x * exp(x) / (exp(x) - 1)**2", 2),
        ("sin(y) * x**3 / (exp(x / 3) - 1)", 2),
        ("1 / x - 1 / expm1(x)", 1),
        ("log(erfc(x * y)) / y", 1),
    ],
)
def test_derivatives_are_those_of_the_reference(formula: str, order: int) -> None:
    d = cr.derive(f"sum({formula})", wrt="x", shapes="x[n] y[n]", order=order)
    rng = np.random.default_rng(0)
    given = {"x": rng.uniform(0.5, 7, 20) * rng.choice([-1, 1], 20), "y": rng.uniform(0.1, 0.5, 20)}
    f = d.compile()
    found = f(**{n: v for n, v in given.items() if n in f.__signature__.parameters})
    assert np.allclose(found, evaluate(d.expression, given), rtol=1e-10, atol=1e-12)
