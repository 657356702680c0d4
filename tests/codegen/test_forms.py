"""Forms for code: equal to what prints, with fewer operations where there are such."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen.forms import cheaper
from chainrule.codegen.load import compile_expressions
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable

ATTENTION = "0.5*sum((softmax(Q @ K.T / sqrt(d), axis=1) @ V - Y)**2)"
NET = "0.5*sum((tanh(X @ W) @ v - y)**2)"
LAYERNORM = "g * (x - mean(x)) / sqrt(mean((x - mean(x))**2) + 1e-5)"
CASES = [
    (ATTENTION, "K", "Q[n,d] K[m,d] V[m,k] Y[n,k]", 1),
    (NET, "W", "X[m,d] W[d,h] v[h] y[m]", 2),
    (LAYERNORM, "x", "x[n] g[n]", 1),
    ("sum(softmax(X @ W, axis=1)**2)", "W", "X[m,d] W[d,k]", 2),
    ("(x @ A @ x)**2", "x", "A[n,n] x[n]", 2),
    ("sum(M*(R - U @ V.T)**2)", "U", "M[m,n] R[m,n] U[m,k] V[n,k]", 2),
]
SIZES = dict(zip("mndkh", (4, 3, 2, 5, 3), strict=True))


def drawn(derivative: Any) -> dict[str, Any]:
    draw = np.random.default_rng(1)
    return {
        v.name: draw.normal(size=[d.evaluate(SIZES) for d in v.shape])
        for v in derivative.formula.variables.values()
    }


@pytest.mark.parametrize(("formula", "wrt", "shapes", "order"), CASES)
def test_the_value_is_kept(formula: str, wrt: str, shapes: str, order: int) -> None:
    d = cr.derive(formula, wrt=wrt, shapes=shapes, order=order)
    given = drawn(d)
    variables = list(d.formula.variables.values())
    (form,) = cheaper([d.expression], [d.chain[-1]], {})
    printed = compile_expressions(d.expression, variables)(**given)
    assert np.allclose(compile_expressions(form, variables)(**given), printed, rtol=1e-12, atol=1e-12)


def test_a_product_with_a_sum_is_made_once() -> None:
    d = cr.derive(ATTENTION, wrt="K", shapes="Q[n,d] K[n,d] V[n,d] Y[n,d]")
    lines = d.compile().__source__.partition('"""')[2]
    assert lines.count("@") == 4, lines  # Q Kᵀ, P V, V (Y − PV)ᵀ, the product with Q
    assert lines.count("vecdot") == 1, lines  # its rows times PV
    assert "[:, :, None] *" not in lines, lines


def test_a_hessian_of_a_layer_is_not_multiplied_out() -> None:
    d = cr.derive(NET, wrt="W", shapes="X[m,d] W[d,h] v[h] y[m]", order=2)
    assert d.compile().__source__.count("einsum") == 1


def test_what_prints_is_compiled_where_nothing_is_saved() -> None:
    x = Variable("x", (Dim.of("n"),))
    assert cheaper([2 * x], [x + x], {}) == [2 * x]
