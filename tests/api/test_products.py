"""Pullbacks for a given upstream gradient, and products with directions, which form no Jacobian."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.cli.main import run
from chainrule.codegen.plan import make_plan
from chainrule.errors import CheckFailed, OptionError
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr
from tests.backends import backend

PULLBACKS = [
    # formula, shapes, by what, upstream, the answer in the shape of the variable
    ("A @ X @ B", "A[m,n] X[n,p] B[p,q]", "X", "G", "AᵀGBᵀ"),
    ("softmax(x)", "x[n]", "x", "g", "y ⊙ (g − gᵀy) where y = softmax(x)"),
    ("exp(A @ x)", "A[m,n] x[n]", "x", "g", "Aᵀ(g ⊙ y) where y = exp(Ax)"),
    ("x @ A @ x", "A[n,n] x[n]", "x", "g", "g(A + Aᵀ)x"),
    ("inv(X)", "X[n,n]", "X", "G", "−YᵀGYᵀ where Y = X⁻¹"),
    ("relu(X @ W)", "X[N,n] W[n,k]", "W", "G", "Xᵀ(G ⊙ 1[XW > 0])"),
]


@pytest.mark.parametrize(("formula", "shapes", "wrt", "upstream", "wanted"), PULLBACKS)
def test_pullbacks(formula: str, shapes: str, wrt: str, upstream: str, wanted: str) -> None:
    d = cr.derive(formula, wrt, shapes, upstream=upstream, layout="shape")
    assert d.text == wanted
    assert d.check().passed


def test_a_pullback_by_all_variables_is_one_backward_pass() -> None:
    d = cr.derive("tanh(X @ W + b)", shapes="X[N,n] W[n,k] b[k]", upstream="G")
    assert list(d) == ["X", "W", "b"]
    assert "G = ∂L/∂Y: N × k" in str(d)
    rng = np.random.default_rng(0)
    point = {"X": (3, 2), "W": (2, 4), "b": (4,), "G": (3, 4)}
    values: dict[str, Any] = {name: rng.standard_normal(shape) for name, shape in point.items()}
    got = d.compile()(**values)
    z = np.tanh(values["X"] @ values["W"] + values["b"])
    above = values["G"] * (1 - z**2)
    np.testing.assert_allclose(got["X"], above @ values["W"].T)
    np.testing.assert_allclose(got["W"], values["X"].T @ above)
    np.testing.assert_allclose(got["b"], above.sum(0))


def test_a_pullback_is_explained() -> None:
    page = cr.explain("exp(A @ x)", "x", "A[m,n] x[n]", upstream="g")
    assert page.checked.failed == ()


PRODUCTS = [
    # formula, shapes, by what, order, direction, the answer
    ("exp(A @ x)", "A[m,n] x[n]", "x", 1, "v", "Av ⊙ exp(Ax)"),
    ("inv(X)", "X[n,n]", "X", 1, "V", "−X⁻¹VX⁻¹"),
    ("softmax(x)", "x[n]", "x", 1, "v", "(v − softmax(x)ᵀ v) ⊙ softmax(x)"),
    ("x @ A @ x", "A[n,n] x[n]", "x", 2, "v", "Av + Aᵀv"),
    ("logdet(X)", "X[n,n]", "X", 2, "V", "−X⁻ᵀVᵀX⁻ᵀ"),
    (
        "sum(log(1 + exp(-y * (X @ w))))",
        "X[N,n] w[n] y[N]",
        "w",
        2,
        "v",
        "Xᵀ(Xv ⊙ y² ⊙ σ(m) ⊙ σ(−m)) where m = y ⊙ Xw",
    ),
]


@pytest.mark.parametrize(("formula", "shapes", "wrt", "order", "times", "wanted"), PRODUCTS)
def test_products_with_a_direction(
    formula: str, shapes: str, wrt: str, order: int, times: str, wanted: str
) -> None:
    d = cr.derive(formula, wrt, shapes, order=order, times=times)
    assert d.text == wanted
    assert d.check().passed


def _sizes(expr: Expr, sizes: dict[str, int]) -> list[int]:
    """How many entries each array has that the code for an expression makes."""
    program = make_plan({"": expr}, sizes=sizes)
    return [
        int(np.prod([dim.evaluate(sizes) for dim in op.shape])) for op in program.ops if op.kind != "input"
    ]


@pytest.mark.parametrize(
    ("formula", "shapes", "order"),
    [
        ("exp(A @ x)", "A[m,n] x[n]", 1),
        ("softmax(A @ x)", "A[m,n] x[n]", 1),
        ("x / norm(x)", "x[n]", 1),
        ("x * (x @ x)", "x[n]", 1),
        ("sum(log(1 + exp(A @ x)))", "A[m,n] x[n]", 2),
        ("logsumexp(A @ x)", "A[m,n] x[n]", 2),
        ("norm(A @ x)", "A[m,n] x[n]", 2),
        ("log(1 + x @ x)", "x[n]", 2),
        ("sum(softmax(A @ x)**2)", "A[m,n] x[n]", 2),
        ("sum(tanh(B @ tanh(A @ x)))", "A[m,n] B[m,m] x[n]", 2),
    ],
)
def test_nothing_on_the_way_has_the_size_of_the_jacobian(formula: str, shapes: str, order: int) -> None:
    sizes = {"m": 1009, "n": 1013}
    product = cr.derive(formula, "x", shapes, order=order, times="v")
    whole = cr.derive(formula, "x", shapes, order=order)
    jacobian = int(np.prod([Dim.evaluate(dim, sizes) for dim in whole.expression.shape]))
    assert jacobian > 10**6
    made = _sizes(product.expression, sizes)
    assert max(made) <= 1013, (product.text, product.numpy_source)
    assert max(_sizes(whole.expression, sizes)) >= jacobian


def test_of_several_variables_all_move_at_once() -> None:
    d = cr.derive("x**2 * y", "x,y", times="u,v")
    assert d.text == "2uxy + x²v"
    assert "(∂f/∂x) u + (∂f/∂y) v" in str(d)
    hessian = cr.derive("x**2 * y", "x,y", order=2, times="u,v")
    assert {key: hessian[key].text for key in hessian} == {"x": "2(uy + vx)", "y": "2ux"}
    values = hessian.compile()(x=3, y=2, u=1, v=5)
    assert values == {"x": 2 * (2 + 15), "y": 6}


def test_products_agree_with_jax() -> None:
    jax = backend("jax")
    jax.config.update("jax_enable_x64", True)
    j = jax.numpy
    rng = np.random.default_rng(1)
    values = {"A": rng.standard_normal((4, 3)), "x": rng.standard_normal(3)}
    v = rng.standard_normal(3)

    def loss(x: Any) -> Any:
        return jax.nn.logsumexp(values["A"] @ j.tanh(x)) + j.sum(x**2) ** 2

    wanted = jax.jvp(jax.grad(loss), (values["x"],), (v,))[1]
    d = cr.derive("logsumexp(A @ tanh(x)) + sum(x**2)**2", "x", "A[m,n] x[n]", order=2, times="v")
    np.testing.assert_allclose(d.compile()(**values, v=v), wanted, rtol=1e-9)


def test_a_planted_error_in_a_product_is_found() -> None:
    d = cr.derive("exp(A @ x)", "x", "A[m,n] x[n]", times="v")
    d.expression = d.expression * 1.001
    d.chain = (d.expression,)
    with pytest.raises(CheckFailed):
        d.check()


def test_the_json_names_what_is_given() -> None:
    pulled = json.loads(cr.derive("A @ x", "x", "A[m,n] x[n]", upstream="g").to_json())
    assert pulled["upstream"] == {"name": "g", "of": "y"}
    product = json.loads(cr.derive("A @ x", "x", "A[m,n] x[n]", times="v").to_json())
    assert product["times"] == [{"wrt": "x", "direction": "v"}]
    assert product["derivatives"][0]["text"] == "Av"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"times": "x"}, "x is a variable of the formula"),
        ({"times": "n"}, "n is a size of the formula"),
        ({"times": "u,v"}, "times has 2 names for 1 variable"),
        ({"times": ""}, "times is a name, not ''"),
        ({"times": "2v"}, "2v is no name"),
        ({"upstream": "G,H"}, "upstream is one name"),
        ({"upstream": "A"}, "A is a variable of the formula"),
        ({"times": "v", "notation": "index"}, "times and notation index do not go together"),
    ],
)
def test_mistakes(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        cr.derive("A @ x", "x", "A[m,n] x[n]", **options)


def test_a_page_ends_with_the_product_along_the_direction() -> None:
    page = str(cr.derive("sum(exp(A @ x))", "x", "A[m,n] x[n]", times="v").explain())
    assert "∂f/∂x = exp(Ax)ᵀ A" in page and "(∂f/∂x) v = exp(Ax)ᵀ Av    scalar" in page


def test_pictures_and_pages_of_several_variables_are_about_whole_derivatives() -> None:
    d = cr.derive("A @ x", "x", "A[m,n] x[n]", times="v")
    both = cr.derive("A @ x", "A,x", "A[m,n] x[n]", times="U,v")
    for page in (both.explain, d.graph, d.boxes):
        with pytest.raises(OptionError, match="about the whole derivative"):
            page()


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["derive", "A @ x", "--shapes", "A[m,n] x[n]", "--wrt", "x", "--times", "v"]) == 0
    assert "(∂y/∂x) v = Av    m" in capsys.readouterr().out
    assert run(["derive", "A @ x", "--shapes", "A[m,n] x[n]", "--wrt", "x", "--upstream", "g"]) == 0
    assert "∂L/∂x = gᵀA    1 × n, numerator layout" in capsys.readouterr().out
