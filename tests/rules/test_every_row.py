"""Every row of every table, found by the table: derivatives against differences, code, text, LaTeX,
sentences.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from chainrule.codegen.load import compile_expressions
from chainrule.derive import jacobians
from chainrule.errors import NoDerivative
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Expr, Variable, zeros
from chainrule.expr.walk import dim_names
from chainrule.rules import ROWS, Constant, Elementwise, Row, Tensorial
from chainrule.simplify import normalise, simplify
from chainrule.verify.reference import evaluate

SIZES = {"n": 3, "k": 2}
N, K = Dim.of("n"), Dim.of("k")
PARAMETERS = {
    "norm": (1,),
    "unit": (1,),
    "amax": (1,),
    "amin": (1,),
    "first_max": (1,),
    "first_min": (1,),
    "matrix_power": (12,),
    "select": (Dim.of(0), 1, K, N),
    "basis": (Dim.of(1), N),
    "merge": (K, N),
    "one_hot": (N,),
    "window": (K, K, 1, 1, Dim.of(0), N),
    "prod": (1,),
    "prod_others": (1, 1),
    "tri": (N,),
    "lower_mask": (-1, K, N),
    "half_mask": (N,),
    "elimination": (Dim.of(3),),
}
# Maps whose derivative by the point where they are taken has no row: the second derivative of what they
# derive stops here.
DEEPEST = ("expm_frechet2", "expm_frechet3", "polar", "polar_frechet")
BATCHED = (
    *("inv", "det", "logdet", "softmax", "logsumexp", "norm", "unit", "amax", "matrix_power"),
    *("prod", "prod_others", "masked_softmax"),
    *("cholesky", "pinv", "eigvalsh", "eigvecsh", "inverse_gaps", "svdvals", "svd_left", "svd_right"),
    *("spectral_norm", "top_left", "top_right", "nuclear_norm", "expm"),
)


def node_of(row: Row, batch: bool = False) -> Apply:
    """The row applied to variables, with a batch axis in front if asked."""
    parameters = PARAMETERS.get(row.name, ())
    if isinstance(row, Constant):
        return Apply(row, (), parameters)
    if isinstance(row, Elementwise):
        return Apply(row, [Variable(f"x{k}", (N,)) for k in range(row.arity)])
    assert isinstance(row, Tensorial)
    lead = (K,) if batch else ()
    arguments = [Variable(f"x{k}", (*lead, *(N,) * core)) for k, core in enumerate(row.cores(parameters))]
    return Apply(row, arguments, parameters)


def values_of(node: Apply, seed: int = 0) -> dict[str, np.ndarray]:
    """A point inside the domain of each argument."""
    row = node.function
    assert isinstance(row, Row)
    rng = np.random.default_rng(seed)
    values = {}
    for argument, domain in zip(node.arguments, row.domain, strict=True):
        assert isinstance(argument, Variable)
        shape = [d.evaluate(SIZES) for d in argument.shape]
        x = rng.uniform(0.2, 0.9, shape)
        if domain in ("real", "nonzero", "unit"):
            x = x * rng.choice([-1, 1], shape)
        if row.name == "power":
            x = np.abs(x)
        if domain == "whole":
            x = rng.integers(0, 2, shape).astype(float)
        if domain == "condition":
            x = rng.integers(0, 2, shape).astype(float)
        if domain in ("invertible", "full rank", "spd"):
            x = 0.3 * x + np.eye(shape[-1])
        values[argument.name] = x
    return values


def differences(expr: Expr, name: str, values: dict[str, np.ndarray]) -> np.ndarray:
    """Richardson-extrapolated central differences, which know nothing of complex numbers."""
    base = values[name]
    columns = []
    for index in np.ndindex(base.shape):

        def slope(h: float, index: tuple[int, ...] = index) -> np.ndarray:
            up, down = base.copy(), base.copy()
            up[index] += h
            down[index] -= h
            return (
                evaluate(expr, {**values, name: up}, SIZES) - evaluate(expr, {**values, name: down}, SIZES)
            ) / (2 * h)

        columns.append((4 * slope(5e-4) - slope(1e-3)) / 3)
    return np.stack(columns, axis=-1).reshape((*columns[0].shape, *base.shape))


def derivable(row: Row) -> bool:
    return not isinstance(row, Constant) and "unknown" not in row.d  # type: ignore[attr-defined]


ROWS_AND_BATCHES = [(row, False) for row in ROWS.values()] + [(ROWS[name], True) for name in BATCHED]


@pytest.mark.parametrize(
    ("row", "batch"), [p for p in ROWS_AND_BATCHES if derivable(p[0]) and p[0].name != "stop"], ids=str
)
def test_first_and_second_derivative_against_differences(row: Row, batch: bool) -> None:
    node = node_of(row, batch)
    values = values_of(node)
    for argument in node.arguments:
        assert isinstance(argument, Variable)
        first = normalise(jacobians(node, [argument])[argument])
        assert np.allclose(
            evaluate(first, values, SIZES), differences(node, argument.name, values), rtol=1e-7, atol=1e-7
        )
        for other in node.arguments if row.name not in DEEPEST else ():
            assert isinstance(other, Variable)
            second = simplify(jacobians(first, [other])[other])
            expected = differences(first, other.name, values)
            assert np.allclose(evaluate(second, values, SIZES), expected, rtol=1e-6, atol=1e-6)


def test_stop_is_constant_by_definition() -> None:
    node = node_of(ROWS["stop"])
    assert normalise(jacobians(node, node.arguments)[node.arguments[0]]) is zeros((N, N))


@pytest.mark.parametrize(
    "row", [r for r in ROWS.values() if not isinstance(r, Constant) and not derivable(r)], ids=str
)
def test_a_row_without_a_rule_is_an_error_and_never_zero(row: Row) -> None:
    node = node_of(row)
    with pytest.raises(NoDerivative, match=row.name):
        jacobians(node, node.arguments)


@pytest.mark.parametrize(("row", "batch"), ROWS_AND_BATCHES, ids=str)
def test_code_and_reference_agree(row: Row, batch: bool) -> None:
    node = node_of(row, batch)
    values = values_of(node)
    compiled = compile_expressions(node)
    sizes = {name: SIZES[name] for name in dim_names(node)}
    assert np.allclose(compiled(**values, **sizes), evaluate(node, values, SIZES), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("row", "batch"), ROWS_AND_BATCHES, ids=str)
def test_canonical_form_keeps_the_value(row: Row, batch: bool) -> None:
    node = node_of(row, batch)
    values = values_of(node)
    assert np.allclose(
        evaluate(normalise(node), values, SIZES), evaluate(node, values, SIZES), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("row", [r for r in ROWS.values() if not isinstance(r, Constant)], ids=str)
def test_reference_takes_complex_values_without_losing_the_step(row: Row) -> None:
    """The complex step needs f(x + ih) = f(x) + ih f'(x); its real part must be f(x)."""
    node = node_of(row)
    values = values_of(node)
    real = evaluate(node, values, SIZES)
    stepped = evaluate(node, {name: v + 1e-30j for name, v in values.items()}, SIZES)
    assert np.allclose(np.real(stepped), real, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("row", ROWS.values(), ids=str)
def test_templates_name_the_arguments_and_are_balanced(row: Row) -> None:
    arity = 0 if isinstance(row, Constant) else row.arity  # type: ignore[attr-defined]
    for template in (row.text, row.latex, row.code):
        marks = {int(k) for k in re.findall(r"#(\d)", template)}
        assert marks <= set(range(1, arity + 1))
        for left, right in ("()", "[]", "{}"):
            assert template.count(left) == template.count(right), template
    if arity:
        assert {int(k) for k in re.findall(r"#(\d)", row.text)} == set(range(1, arity + 1))
    assert len(row.says) > 3 and len(row.source) > 3


@pytest.mark.parametrize("row", [r for r in ROWS.values() if r.kink], ids=str)
def test_kink_distance_is_positive_off_the_kink(row: Row) -> None:
    node = node_of(row)
    values = list(values_of(node).values())
    parameters = PARAMETERS.get(row.name, ())
    assert row.kink is not None
    assert np.all(row.kink(np, *values, *parameters) >= 0)


def test_a_row_with_a_missing_field_is_refused() -> None:
    fields = dict(
        says="s", evaluate=lambda xp, x: x, code="#1", text="#1", latex="#1", source="", domain=("real",)
    )
    with pytest.raises(AssertionError, match="lacks source"):
        Elementwise(name="halfrow", d=(None,), **fields)
    assert "halfrow" not in ROWS
