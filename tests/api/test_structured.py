"""Derivatives along structured sets: right by independent parametrisations, and wrong ones are caught."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

import chainrule as cr
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Einsum, Expr, Variable, add, einsum, negate, permute
from chainrule.verify.curves import curves, exponential, geodesic, tangent_basis
from chainrule.verify.structured import check_structured
from tests.backends import backend

RNG = np.random.default_rng(7)


def one(*args: object, **options: object) -> cr.Derivative:
    found = cr.derive(*args, structured=True, **options)  # type: ignore[arg-type]
    assert isinstance(found, cr.Derivative)
    return found


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "shown"),
    [
        ("logdet(A)", "A[n,n]:symmetric", "A", "2A⁻¹ − A⁻¹ ⊙ I"),
        ("tr(A @ X)", "X[n,n]:symmetric A[n,n]", "X", "A − A ⊙ I + Aᵀ"),
        ("tr(A @ X)", "X[n,n]:diagonal A[n,n]", "X", "A ⊙ I"),
        ("tr(A @ X)", "X[n,n]:skew A[n,n]", "X", "Aᵀ − A"),
        ("tr(A @ L)", "L[n,n]:lower A[n,n]", "L", "tril(Aᵀ)"),
        ("tr(A @ L)", "L[n,n]:upper A[n,n]", "L", "triu(Aᵀ)"),
        ("norm(L @ x - b)**2", "L[n,n]:lower x[n] b[n]", "L", "2 tril((Lx − b)xᵀ)"),
        ("tr(A @ Q)", "Q[n,n]:orthogonal A[n,n]", "Q", "(1/2) (Aᵀ − QAQ)"),
        ("x @ A @ x", "x[n]:unit A[n,n]:symmetric", "x", "2(Ax − (xᵀAx)x)"),
        ("tr(Q.T @ A @ Q)", "Q[n,k]:orthonormal A[n,n]:symmetric", "Q", "2(A − QQᵀA)Q"),
        ("sum(q * log(q / p))", "p[n]:simplex q[n]:simplex", "p", "p − q"),
        ("a @ p", "p[n]:simplex a[n]", "p", "p ⊙ (a − aᵀp)"),
        ("A @ p", "p[n]:simplex A[m,n]", "p", "A diag(p) − Appᵀ"),
    ],
)
def test_closed_forms(formula: str, shapes: str, wrt: str, shown: str) -> None:
    derivative = one(formula, wrt=wrt, shapes=shapes, layout="shape")
    assert derivative.text == shown
    assert derivative.check(points=4).passed


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt"),
    [
        ("tr(A @ X @ X) + logdet(X)", "X[n,n]:spd A[n,n]", "X"),
        ("X @ X @ b", "X[n,n]:symmetric b[n]", "X"),
        ("tr(A @ X @ X @ A)", "X[n,n]:skew A[n,n]", "X"),
        ("tr(A @ inv(X))", "X[n,n]:lower A[n,n]", "X"),
        ("tr(A @ X @ X @ A)", "X[n,n]:upper A[n,n]", "X"),
        ("sum(exp(X @ a))", "X[n,n]:diagonal a[n]", "X"),
        ("tr(A @ Q @ B @ Q.T)", "Q[n,n]:orthogonal A[n,n] B[n,n]", "Q"),
        ("tr(A @ Q @ B @ Q.T)", "Q[n,k]:orthonormal A[n,n] B[k,k]", "Q"),
        ("exp(a @ x) + x @ A @ x", "x[n]:unit a[n] A[n,n]", "x"),
        ("p @ log(p) + (a @ p)**2", "p[n]:simplex a[n]", "p"),
        ("sum(P * log(P))", "P[m,n]:simplex", "P"),
        ("sum(relu(A @ x))", "x[n]:unit A[m,n]", "x"),
    ],
)
def test_order_two_passes_along_curves(formula: str, shapes: str, wrt: str) -> None:
    derivative = one(formula, wrt=wrt, shapes=shapes, order=2)
    assert derivative.check(points=3).passed


def test_free_entries_of_a_symmetric_matrix_by_a_parametrisation_of_ones_own() -> None:
    """The Hessian by the lower triangle, entry by entry, from central differences of the formula."""
    B = RNG.standard_normal((2, 2))
    derivative = one("tr(B @ inv(A))", wrt="A", shapes="A[n,n]:symmetric B[n,n]", order=2)
    start = np.array([2.0, 0.3, 1.5])

    def value(t: np.ndarray) -> float:
        return float(np.trace(B @ np.linalg.inv(np.array([[t[0], t[1]], [t[1], t[2]]]))))

    found = derivative.compile()(A=np.array([[2.0, 0.3], [0.3, 1.5]]), B=B)
    places = [(0, 0), (1, 0), (1, 1)]
    h = 1e-4
    for i, p in enumerate(places):
        for j, q in enumerate(places):
            u, v = h * np.eye(3)[i], h * np.eye(3)[j]
            second = value(start + u + v) - value(start + u - v) - value(start - u + v) + value(start - u - v)
            assert found[(*p, *q)] == pytest.approx(second / (4 * h * h), abs=1e-5)


def test_softmax_parametrisation_by_differences_in_the_logits() -> None:
    a, t = RNG.standard_normal(3), RNG.standard_normal(3)
    hessian = one("p @ log(p) + (a @ p)**3", wrt="p", shapes="p[n]:simplex a[n]", order=2)

    def value(t: np.ndarray) -> float:
        p = np.exp(t) / np.exp(t).sum()
        return float(p @ np.log(p) + (a @ p) ** 3)

    h = 1e-4
    wanted = [
        [
            (value(t + u + v) - value(t + u - v) - value(t - u + v) + value(t - u - v)) / (4 * h * h)
            for v in h * np.eye(3)
        ]
        for u in h * np.eye(3)
    ]
    np.testing.assert_allclose(hessian.compile()(p=np.exp(t) / np.exp(t).sum(), a=a), wanted, atol=1e-5)


def test_curves_stay_in_their_sets() -> None:
    Q = np.linalg.qr(RNG.standard_normal((4, 2)))[0]
    for v in tangent_basis("orthonormal", Q):
        moved = geodesic("orthonormal", Q, v)(0.7)
        np.testing.assert_allclose(moved.T @ moved, np.eye(2), atol=1e-12)
    assert len(tangent_basis("orthonormal", Q)) == 4 * 2 - 3
    x = RNG.standard_normal(3)
    x /= np.linalg.norm(x)
    assert [float(np.linalg.norm(c.path(0.3))) for c in curves("unit", x)] == pytest.approx([1, 1, 1])
    p = np.array([0.2, 0.5, 0.3])
    assert all(float(c.path(0.3).sum()) == pytest.approx(1) for c in curves("simplex", p))
    A = RNG.standard_normal((3, 3))
    np.testing.assert_allclose(exponential(A), expm(A), atol=1e-12)


N = Dim.of("n")
G, S = Variable("G", (N, N)), Variable("S", (N, N), ("symmetric",))
X, Y = Variable("x", (N,), ("unit",)), Variable("y", (N,))
Q = Variable("Q", (N, N), ("orthogonal",))
P = Variable("p", (N,), ("simplex",))
TURNED = permute(G, (1, 0))
DIAGONAL = einsum("ii->ii", G)
INNER = einsum("ij,ij->", G, S)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (G, "symmetric"),
        (add(G, TURNED), "symmetric"),
        (0.5 * add(G, TURNED), "symmetric"),
        (add(G, TURNED, negate(1.001 * DIAGONAL)), "symmetric"),
        (G, "diagonal"),
        (G, "lower"),
        (G, "upper"),
        (add(G, TURNED), "skew"),
        (0.5 * (G - TURNED), "skew"),
        (G, "orthogonal"),
    ],
)
def test_planted_errors_are_caught(wrong: Expr, name: str) -> None:
    variable = Variable("S", (N, N), (name,))
    formula = einsum("ij,ij->", G, variable)
    assert not check_structured(formula, [wrong], [variable], {variable: name}).passed


def test_planted_errors_on_curved_sets_are_caught() -> None:
    dot = einsum("i,i->", X, Y)
    first = add(Y, negate(einsum("i,i,j->j", X, Y, X)))
    bare = add(einsum("i,i,j,k->jk", X, Y, X, X), negate(einsum("i,i,jk->jk", X, Y, _eye())))
    sphere = {X: "unit"}
    assert check_structured(dot, [first, bare], [X, X], sphere).passed
    assert not check_structured(dot, [Y], [X], sphere).passed
    # Without the curvature of the sphere the Hessian of a linear function would be 0.
    assert not check_structured(dot, [first, 0 * bare], [X, X], sphere).passed
    # The derivative of the projected gradient, not projected again.
    again = add(
        negate(einsum("j,k->jk", X, Y)),
        einsum("i,i,j,k->jk", Y, X, X, X),
        bare,
    )
    assert not check_structured(dot, [first, again], [X, X], sphere).passed
    logits = einsum("i,i->", P, Y)
    right = add(P * Y, negate(einsum("i,i,j->j", P, Y, P)))
    assert check_structured(logits, [right], [P], {P: "simplex"}).passed
    assert not check_structured(logits, [P * Y], [P], {P: "simplex"}).passed


def _eye() -> Expr:
    return Einsum(ONE, (), (), (0, 0), {0: N})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formula": "tr(A)", "shapes": "A[n,n]"}, "no structure is declared that binds entries"),
        ({"formula": "sum(A)", "shapes": "A[n]:positive"}, "no structure is declared that binds entries"),
        ({"formula": "tr(A)", "shapes": "A[n,n]:sign"}, "between such values nothing moves"),
        ({"formula": "tr(A)", "shapes": "A[n,n]:{symmetric, orthogonal}"}, "orthogonal and symmetric"),
        ({"formula": "sum(A)", "shapes": "A[n]:unit", "order": 3}, "derivatives end at order 2"),
        ({"formula": "tr(A)", "shapes": "A[n,n]:symmetric", "notation": "map"}, "has no structured form"),
    ],
)
def test_refusals(options: dict[str, object], message: str) -> None:
    with pytest.raises(cr.OptionError, match=message):
        one(**options, wrt="A")


def test_the_answer_names_its_convention() -> None:
    text = str(one("tr(B @ A)", wrt="A", shapes="A[n,n]:symmetric B[n,n]"))
    parts = ("G + Gᵀ − G ⊙ I", "Matrix Cookbook", "matrixcalculus.org", "4144341", "vech(B − B ⊙ I + Bᵀ)")
    for part in parts:
        assert part in text
    text = str(one("tr(B @ Q)", wrt="Q", shapes="Q[n,n]:orthogonal B[n,n]"))
    assert "Euclidean" in text and "canonical metric" in text
    text = str(one("tr(G @ A)", wrt="A", shapes="A[n,n]:symmetric G[n,n]"))
    assert "F + Fᵀ − F ⊙ I" in text and "vech(G − G ⊙ I + Gᵀ)" in text
    page = cr.explain("logdet(A)", wrt="A", shapes="A[n,n]:symmetric", structured=True)
    assert page.derivation.sections[-1].title == "Along the set" and not page.checked.failed


def test_structures_of_declared_values_are_checked_at_a_point() -> None:
    derivative = one("x @ a", wrt="x", shapes="x[n]:unit a[n]")
    assert derivative.at({"x": [0.6, 0.8], "a": [1, 0]}).derivatives["x",] == pytest.approx([0.64, -0.48])
    with pytest.raises(cr.ArrayMismatch, match="declared unit"):
        derivative.at({"x": [1, 1], "a": [1, 0]})
    stiefel = one("tr(A @ Q)", wrt="Q", shapes="Q[n,k]:orthonormal A[k,n]")
    with pytest.raises(cr.ArrayMismatch, match="declared orthonormal"):
        stiefel.at({"Q": [[1], [1]], "A": [[1, 2]]})


def test_jax_agrees_in_the_coordinates_of_each_set() -> None:
    """Second derivatives by the logits, by the free entries, and along a great circle, from JAX."""
    jax = backend("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    a, t, B = RNG.standard_normal(3), RNG.standard_normal(3), RNG.standard_normal((3, 3))

    hessian = one("p @ log(p) + (a @ p)**3", wrt="p", shapes="p[n]:simplex a[n]", order=2)
    p = np.asarray(jax.nn.softmax(t))

    def by_logits(t: object) -> object:
        q = jax.nn.softmax(t)
        return q @ jnp.log(q) + (a @ q) ** 3

    np.testing.assert_allclose(hessian.compile()(p=p, a=a), jax.hessian(by_logits)(t), atol=1e-12)

    rows, columns = np.tril_indices(3)
    S = B @ B.T + np.eye(3)
    hessian = one("logdet(A) + tr(B @ A @ A)", wrt="A", shapes="A[n,n]:symmetric B[n,n]", order=2)

    def by_entries(free: object) -> object:
        lower = jnp.zeros((3, 3)).at[rows, columns].set(free)
        A = lower + lower.T - jnp.diag(jnp.diag(lower))
        return jnp.linalg.slogdet(A)[1] + jnp.trace(B @ A @ A)

    wanted = jax.hessian(by_entries)(S[rows, columns])
    found = hessian.compile()(A=S, B=B)[rows, columns][:, rows, columns]
    np.testing.assert_allclose(found, wanted, atol=1e-11)

    x = a / np.linalg.norm(a)
    v = t - (t @ x) * x
    hessian = one("exp(b @ x) + x @ B @ x", wrt="x", shapes="x[n]:unit b[n] B[n,n]", order=2)

    def along(s: object) -> object:
        speed = np.linalg.norm(v)
        point = x * jnp.cos(speed * s) + v / speed * jnp.sin(speed * s)
        return jnp.exp(t @ point) + point @ B @ point

    second = jax.grad(jax.grad(along))(0.0)
    assert v @ hessian.compile()(x=x, b=t, B=B) @ v == pytest.approx(float(second), rel=1e-12)
