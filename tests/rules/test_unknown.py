"""Functions left unknown: their numbers against differences, and a check that sees a wrong rule."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

from chainrule.derive import jacobians
from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.nodes import Apply, Expr, Variable, permute, scale
from chainrule.expr.walk import topological
from chainrule.rules.unknown import Unknown, apply_unknown, entrywise, map_of, orders_of
from chainrule.simplify import normalise, simplify
from chainrule.verify.compare import check_derivative, equal
from chainrule.verify.differences import richardson
from chainrule.verify.reference import evaluate

M, N, P = Dim.of("m"), Dim.of("n"), Dim.of("p")
OFF = Coefficient.of(1001) * Coefficient.of(1000) ** -1
SIZES = {"m": 2, "n": 3, "p": 4}
ROWS: list[tuple[Unknown, tuple[tuple[Dim, ...], ...], tuple[Dim, ...]]] = [
    (entrywise("f", 1, True), ((),), ()),
    (entrywise("f", 3, True), ((), (), ()), ()),
    (entrywise("g", 1, False), ((M, N),), ()),
    (entrywise("g", 2, False), ((N,), (N,)), ()),
    (map_of("h", (1,), 1), ((N,),), (M,)),
    (map_of("h", (1,), 0), ((N,),), ()),
    (map_of("h", (0,), 1), ((),), (M,)),
    (map_of("h", (1, 1), 1), ((N,), (P,)), (M,)),
    (map_of("h", (0, 1, 1), 0), ((), (N,), (P,)), ()),
    (map_of("h", (1, 0), 1), ((N,), ()), (Dim.of(3),)),
    (map_of("h", (2,), 0), ((M, N),), ()),
    (map_of("h", (2, 1), 2), ((M, N), (N,)), (M, Dim.of(2))),
]
each = pytest.mark.parametrize(("row", "shapes", "output"), ROWS, ids=[row.name for row, _, _ in ROWS])


def node_of(row: Unknown, shapes: Any, output: Any, orders: tuple[int, ...] | None = None) -> Apply:
    arguments = [Variable(f"x{k}", shape) for k, shape in enumerate(shapes)]
    return apply_unknown(row, arguments, orders or (0,) * len(arguments), output)


def point(node: Apply) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        v.name: rng.standard_normal([d.evaluate(SIZES) for d in v.shape])
        for v in node.arguments
        if isinstance(v, Variable)
    }


@each
def test_derivatives_against_differences(row: Unknown, shapes: Any, output: Any) -> None:
    """Of the value and of each first derivative: the rule, its axes, and the numbers of the higher order."""
    node = node_of(row, shapes, output)
    first = [jacobians(node, [v])[v] for v in node.arguments]
    for expr in (node, *first):
        for variable in node.arguments:
            assert isinstance(variable, Variable)
            derived = evaluate(jacobians(expr, [variable])[variable], point(node), SIZES)
            values = point(node)
            columns = []
            for index in np.ndindex(values[variable.name].shape):

                def along(h: float, expr: Expr = expr, name: str = variable.name, at: Any = index) -> Any:
                    moved = point(node)
                    moved[name][at] += h
                    return evaluate(expr, moved, SIZES)

                columns.append(richardson(along, 0.1).value)
            wanted = np.stack(columns, -1).reshape(derived.shape)
            np.testing.assert_allclose(derived, wanted, rtol=1e-8, atol=1e-9)


@each
def test_first_second_and_third_derivative_pass_the_check(row: Unknown, shapes: Any, output: Any) -> None:
    node = node_of(row, shapes, output)
    chain: list[Expr] = []
    by = [v for v in (node.arguments * 3)[:3] if isinstance(v, Variable)]
    for variable in by:
        chain.append(jacobians(chain[-1] if chain else node, [variable])[variable])
    report = check_derivative(node, chain, by, points=2, same=[simplify(chain[-1])])
    assert report.passed, report


@each
def test_the_check_sees_a_rule_that_is_off_by_a_thousandth(
    row: Unknown, shapes: Any, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = row.d

    def wrong(k: int, *parts: Any) -> Expr:
        rule = right[k]
        assert callable(rule)
        return scale(OFF, rule(*parts))

    monkeypatch.setitem(vars(row), "d", tuple(partial(wrong, k) for k in range(len(right))))
    node = node_of(row, shapes, output)
    for variable in node.arguments:
        assert isinstance(variable, Variable)
        first = jacobians(node, [variable])[variable]
        assert not check_derivative(node, [first], [variable], points=2).passed


def test_the_check_sees_the_axes_of_a_hessian_in_the_wrong_order() -> None:
    node = node_of(map_of("h", (1,), 1), ((N,),), (M,))
    (x,) = node.arguments
    assert isinstance(x, Variable)
    jacobian = jacobians(node, [x])[x]
    second = jacobians(jacobian, [x])[x]
    assert check_derivative(node, [jacobian, second], [x, x], points=2).passed
    square = node_of(map_of("q", (1,), 1), ((N,),), (N,))
    (x,) = square.arguments
    assert isinstance(x, Variable)
    turned = permute(jacobians(square, [x])[x], (1, 0))
    assert not check_derivative(square, [turned], [x], points=2).passed


def test_a_derivative_is_no_other_derivative() -> None:
    """f′ is not f, ∂₁f is not ∂₂f, g is not f: numbers that happen to agree would make a check worthless."""
    x, y = Variable("x"), Variable("y")
    row = entrywise("f", 2, True)
    found = [apply_unknown(row, (x, y), orders) for orders in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 0))]
    found += [apply_unknown(entrywise("g", 2, True), (x, y), (0, 0)), apply_unknown(row, (y, x), (0, 0))]
    for k, a in enumerate(found):
        for b in found[k + 1 :]:
            assert not equal(a, b, [x, y]).equal, (a, b)


def test_hessians_are_symmetric() -> None:
    x = Variable("x", (N,))
    hessian = apply_unknown(map_of("q", (1,), 0), (x,), (2,))
    assert normalise(permute(hessian, (1, 0))) is hessian
    both = apply_unknown(map_of("q", (1, 1), 0), (x, x), (1, 1))
    assert normalise(permute(both, (1, 0))) is not both


def test_simplification_keeps_the_order() -> None:
    """Where a function moves past a broadcast, a transpose or a list, its order goes with it."""
    row = entrywise("g", 1, False)
    X, z = Variable("X", (M, N)), Variable("z")
    for argument in (X.T, z + 0 * Variable("x", (N,))):
        before = apply_unknown(row, (argument,), (2,))
        after = normalise(before)
        assert equal(before, after).equal
        orders = {orders_of(n) for n in _applied(after)}
        assert orders == {(2,)}


def _applied(expr: Expr) -> list[Apply]:
    return [n for n in topological([expr]) if isinstance(n, Apply) and isinstance(n.function, Unknown)]


def test_the_numbers_are_the_same_in_every_process() -> None:
    code = (
        "from chainrule.expr.nodes import Variable; from chainrule.rules.unknown import *;"
        "from chainrule.verify.reference import evaluate;"
        "print(evaluate(apply_unknown(entrywise('f', 1, True), (Variable('x'),), (1,)), {'x': 0.5}).item())"
    )
    here = evaluate(apply_unknown(entrywise("f", 1, True), (Variable("x"),), (1,)), {"x": 0.5}).item()
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(there.stdout) == here


def test_values_are_tame() -> None:
    """Within a few units of 0 no value and no derivative is large, so that nothing else drowns in it."""
    for name in ("f", "g", "u1", "loss", "φ"):
        for order in range(5):
            node = apply_unknown(entrywise(name, 1, True), (Variable("x"),), (order,))
            values = [abs(evaluate(node, {"x": x}).item()) for x in np.linspace(-3, 3, 25)]
            assert 0.01 < max(values) < 8
