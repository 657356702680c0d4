"""Shaping: every construct has NumPy's value, its derivatives are JAX's, and its code and its text agree."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import chainrule as cr

jax.config.update("jax_enable_x64", True)
jnp = jax.numpy

SHAPES = {
    "x": ("n",), "y": ("n",), "X": ("m", "n"), "T": ("m", "n", "k"), "P": ("m*k", "n"), "S": (2, 6),
    "u": (6,), "M": ("m", 1),
}  # fmt: skip
SIZES = {"n": 4, "m": 2, "k": 3}
CASES: list[tuple[str, str, Any]] = [
    ("X[:, 1:]", "X", lambda X: X[:, 1:]),
    ("X[..., 0]", "X", lambda X: X[..., 0]),
    ("T[0, ..., -1]", "T", lambda T: T[0, ..., -1]),
    ("T[..., None, 1:]", "T", lambda T: T[..., None, 1:]),
    ("u[::2]", "u", lambda u: u[::2]),
    ("u[4:0:-2]", "u", lambda u: u[4:0:-2]),
    ("x[::-1]", "x", lambda x: x[::-1]),
    ("X[None]", "X", lambda X: X[None]),
    ("reshape(X, m*n)", "X", lambda X: X.reshape(-1)),
    ("X.reshape(n, m)", "X", lambda X: X.reshape(4, 2)),
    ("S.reshape(3, 4)", "S", lambda S: S.reshape(3, 4)),
    ("S.reshape(2, 2, -1)", "S", lambda S: S.reshape(2, 2, 3)),
    ("P.reshape(m, k, n)", "P", lambda P: P.reshape(2, 3, 4)),
    ("T.reshape(m*n, -1)", "T", lambda T: T.reshape(8, 3)),
    ("T.view(k, -1, 1)", "T", lambda T: T.reshape(3, 8, 1)),
    ("flatten(T)", "T", lambda T: T.reshape(-1)),
    ("stack(x, x**2, axis=1)", "x", lambda x: jnp.stack([x, x**2], axis=1)),
    ("stack([X, X], axis=-1)", "X", lambda X: jnp.stack([X, X], axis=-1)),
    ("concat([X, 2*X], axis=1)", "X", lambda X: jnp.concatenate([X, 2 * X], axis=1)),
    ("transpose(T, (0, 2, 1))", "T", lambda T: T.transpose(0, 2, 1)),
    ("T.permute(2, 0, 1)", "T", lambda T: T.transpose(2, 0, 1)),
    ("moveaxis(T, 0, -1)", "T", lambda T: jnp.moveaxis(T, 0, -1)),
    ("moveaxis(T, (0, 1), (1, 2))", "T", lambda T: jnp.moveaxis(T, (0, 1), (1, 2))),
    ("swapaxes(T, 0, 2)", "T", lambda T: T.swapaxes(0, 2)),
    ("expand_dims(x, 1)", "x", lambda x: x[:, None]),
    ("squeeze(M)", "M", lambda M: M[:, 0]),
    ("M.squeeze(1)", "M", lambda M: M[:, 0]),
    ("tile(x, 3)", "x", lambda x: jnp.tile(x, 3)),
    ("tile(X, (2, 3))", "X", lambda X: jnp.tile(X, (2, 3))),
    ("tile(x, (2, 1))", "x", lambda x: jnp.tile(x, (2, 1))),
    ("repeat(x, 3)", "x", lambda x: jnp.repeat(x, 3)),
    ("repeat(X, 2, axis=1)", "X", lambda X: jnp.repeat(X, 2, axis=1)),
    ("flip(X)", "X", lambda X: X[::-1, ::-1]),
    ("flip(X, axis=1)", "X", lambda X: X[:, ::-1]),
    ("roll(x, 1)", "x", lambda x: jnp.roll(x, 1)),
    ("roll(x, -1)", "x", lambda x: jnp.roll(x, -1)),
    ("roll(S, 8, axis=1)", "S", lambda S: jnp.roll(S, 8, axis=1)),
    ("roll(S, 3)", "S", lambda S: jnp.roll(S, 3)),
    ("pad(x, 2)", "x", lambda x: jnp.pad(x, 2)),
    ("pad(X, ((1, 0), (0, 2)))", "X", lambda X: jnp.pad(X, ((1, 0), (0, 2)))),
    ("concat(x[2:], x[:2])", "x", lambda x: jnp.concatenate([x[2:], x[:2]])),
    ("split(S, 3, axis=1)[1]", "S", lambda S: jnp.split(S, 3, axis=1)[1]),
    ("split(P, m)[0] * split(P, m)[-1]", "P", lambda P: P[:3] * P[3:]),
    ("u[[0, 3, 3, -1]]", "u", lambda u: u[jnp.array([0, 3, 3, -1])]),
    ("S[:, [5, 2, 0]]", "S", lambda S: S[:, jnp.array([5, 2, 0])]),
    ("einsum('...i,...i->...', T, T)", "T", lambda T: jnp.einsum("...i,...i->...", T, T)),
    ("einsum('...ij,...j', T, T[:, 0])", "T", lambda T: jnp.einsum("...ij,...j", T, T[:, 0])),
    ("where((x > 0) & (x < 1), x**2, -x)", "x", lambda x: jnp.where((x > 0) & (x < 1), x**2, -x)),
    ("x * ((x > 1) | ~(x > 0))", "x", lambda x: x * ((x > 1) | ~(x > 0))),
    ("x * (x != y)", "x", lambda x: x),
    ("clip(x, -0.5, 0.5)", "x", lambda x: jnp.clip(x, -0.5, 0.5)),
]  # fmt: skip

TWICE = (
    "S.reshape(3, 4)", "P.reshape(m, k, n)", "tile(x, 3)", "roll(x, 1)", "pad(x, 2)", "T[0, ..., -1]",
    "split(S, 3, axis=1)[1]", "u[[0, 3, 3, -1]]",
    "einsum('...i,...i->...', T, T)",
)  # fmt: skip


def declared(*names: str) -> str:
    return " ".join(f"{n}[{','.join(map(str, SHAPES[n]))}]" for n in names)


def arrays(*names: str) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    made = {}
    for name in SHAPES:
        dims = [eval(str(d), {}, SIZES) for d in SHAPES[name]]
        values = rng.standard_normal(dims)
        if name in names:
            made[name] = values
    return made


@pytest.mark.parametrize(("formula", "name", "judge"), CASES, ids=[c[0] for c in CASES])
def test_values_and_derivatives_are_those_of_jax(formula: str, name: str, judge: Any) -> None:
    used = (name, "y") if "y" in formula else (name,)
    shapes = declared(*used)
    given = arrays(*used)
    sizes = {d: SIZES[d] for d in SIZES if d in shapes + formula}
    d = cr.derive(formula, wrt=name, shapes=shapes)
    call = d.compile()
    expected = jax.jacobian(judge)(given[name])
    known = {s: v for s, v in sizes.items() if s in call.sizes}
    assert np.allclose(call(**given, **known), expected, atol=1e-12)
    if formula not in TWICE:
        return
    # A smooth function of it, to second order.
    second = cr.derive(f"sum(sin({formula})**2)", wrt=name, shapes=shapes, order=2).compile()
    hessian = jax.hessian(lambda v: jnp.sum(jnp.sin(judge(v)) ** 2))(given[name])
    known = {s: v for s, v in sizes.items() if s in second.sizes}
    assert np.allclose(second(**given, **known), hessian, atol=1e-9)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("reshape(X, 3)", "m*n and 3 entries"),
        ("reshape(X, -1, -1)", "only one size"),
        ("reshape(X, 5, -1)", "does not divide"),
        ("transpose(T, (0, 1))", "names 2 of 3 axes"),
        ("transpose(T, (0, 0, 1))", "named twice"),
        ("squeeze(X, 0)", "only an axis of size 1"),
        ("moveaxis(T, 0, 5)", "axis 5 does not exist"),
        ("pad(X, ((1, 1),))", "a pair for each axis"),
        ("pad(x, -1)", "not negative"),
        ("split(x, 2)", "no 2 parts of one size"),
        ("split(x, [1, 2])", "a number of equal parts"),
        ("x[[0, 3, 1]]", "may have no entry 3"),
        ("X[[0, 1], [0, 1]]", "two arrays of indices"),
        ("tile(x, 0)", "copies are none"),
        ("X[..., ...]", "stands twice"),
        ("X[0, ..., 0, 0]", "too many indices"),
        ("x * (y & (x > 0))", "is not a condition"),
        ("x * ~y", "joins conditions"),
        ("einsum('...ij->...', x)", "fewer axes than letters"),
        ("swapaxes(X, n, 0)", "an axis is an integer"),
    ],
)
def test_what_does_not_fit_is_told(formula: str, words: str) -> None:
    with pytest.raises(cr.ChainruleError) as caught:
        cr.derive(formula, wrt="x" if "X" not in formula and "T" not in formula else "X",
                  shapes=declared("x", "y", "X", "T"))  # fmt: skip
    assert words in str(caught.value)


def test_a_dot_at_the_end_of_a_line_still_continues_it() -> None:
    d = cr.derive("x[..., 0] ...\n + y", wrt="y", shapes="x[m,n] y[m]")
    assert d.text


def test_a_scaled_vec_is_no_multiple_of_the_identity() -> None:
    d = cr.derive("vec(X) * y", wrt="X", shapes="X[m,n] y[m*n]")
    assert "sum(y)" not in str(d)
