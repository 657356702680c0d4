"""Integer variables: gathers are linear in the table, and nothing is differentiated by an integer."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import chainrule as cr

jax.config.update("jax_enable_x64", True)
jnp = jax.numpy

SHAPES = "E[V,d] T[n,V,d] Z[N,k] W[d,k] x[n] ids[N]:integer(V) pairs[N,2]:integer(V) " + (
    "c[N]:integer(k) j:integer(n)"
)
CASES: list[tuple[str, str, Any]] = [
    ("E[ids]", "E", lambda a: a["E"][a["ids"]]),
    ("E[pairs]", "E", lambda a: a["E"][a["pairs"]]),
    ("E[ids[0]]", "E", lambda a: a["E"][a["ids"][0]]),
    ("E[ids, 1:]", "E", lambda a: a["E"][a["ids"], 1:]),
    ("T[:, ids]", "T", lambda a: a["T"][:, a["ids"]]),
    ("T[0, ids]", "T", lambda a: a["T"][0, a["ids"]]),
    ("take(T, ids, axis=1)", "T", lambda a: jnp.take(a["T"], a["ids"], axis=1)),
    ("embedding(ids, E) @ W", "E", lambda a: a["E"][a["ids"]] @ a["W"]),
    ("x[j] * x", "x", lambda a: a["x"][a["j"]] * a["x"]),
    ("one_hot(c, k) * Z", "Z", lambda a: jax.nn.one_hot(a["c"], 3) * a["Z"]),
    ("pick(Z, c)", "Z", lambda a: a["Z"][jnp.arange(5), a["c"]]),
    ("mean(logsumexp(Z, axis=1) - pick(Z, c))", "Z",
     lambda a: -jnp.mean(jax.nn.log_softmax(a["Z"])[jnp.arange(5), a["c"]])),
    ("-mean(log(pick(softmax(E[ids] @ W), c)))", "E",
     lambda a: -jnp.mean(jax.nn.log_softmax(a["E"][a["ids"]] @ a["W"])[jnp.arange(5), a["c"]])),
]  # fmt: skip


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "E": rng.standard_normal((4, 2)),
        "T": rng.standard_normal((3, 4, 2)),
        "Z": rng.standard_normal((5, 3)),
        "W": rng.standard_normal((2, 3)),
        "x": rng.standard_normal(3),
        "ids": np.array([0, 3, 3, 1, 0]),
        "pairs": rng.integers(0, 4, (5, 2)),
        "c": np.array([2, 0, 1, 1, 2]),
        "j": np.array(2),
    }


@pytest.mark.parametrize(("formula", "name", "judge"), CASES, ids=[c[0] for c in CASES])
def test_derivatives_are_those_of_jax(formula: str, name: str, judge: Any) -> None:
    given = arrays()
    d = cr.derive(formula, wrt=name, shapes=SHAPES)
    used = {n: given[n] for n in d.compile().__signature__.parameters if n in given}

    def of(value: Any) -> Any:
        return judge({**given, name: value})

    assert np.allclose(d.compile()(**used), jax.jacobian(of)(given[name]), atol=1e-12)
    assert d.check().passed
    second = cr.derive(f"sum(({formula})**3)", wrt=name, shapes=SHAPES, order=2)
    hessian = jax.hessian(lambda v: jnp.sum(of(v) ** 3))(given[name])
    assert np.allclose(second.compile()(**used), hessian, atol=1e-9)


def test_code_gathers_and_scatters() -> None:
    source = cr.derive("sum(tanh(E[ids]))", wrt="E", shapes=SHAPES).compile().__source__
    assert "E[ids]" in source and "np.add.at" in source and "arange" not in source


def test_a_table_is_read_as_it_was_written() -> None:
    d = cr.derive("sum(tanh(E[ids]))", wrt="E", shapes=SHAPES, layout="shape")
    assert d.text == "one_hot(ids, V)ᵀ (1 − tanh(E[ids])⊙²)"


@pytest.mark.parametrize("name", ["ids", "j"])
def test_nothing_is_differentiated_by_an_integer(name: str) -> None:
    with pytest.raises(cr.ChainruleError, match="is an integer"):
        cr.derive("sum(E[ids]) * x[j]", wrt=name, shapes=SHAPES)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("E[x]", "a size or an index stands here"),
        ("E[c]", "indices below k do not fit V entries"),
        ("T[0, :, ids]", "with axes between them"),
        ("T[..., ids]", "indices below V do not fit d"),
        ("T[ids, pairs]", "two arrays of indices"),
        ("pick(Z, ids)", "indices below V do not fit k"),
        ("pick(Z, pairs)", "one entry from each row"),
        ("one_hot(x, n)", "its range must be declared"),
    ],
)
def test_what_is_no_index_is_told(formula: str, words: str) -> None:
    with pytest.raises(cr.ChainruleError) as caught:
        cr.derive(formula, wrt="T" if "T" in formula else "E" if "E" in formula else "Z", shapes=SHAPES)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("ids", "words"),
    [([0, 4, 1], "4 is out of range"), ([0, -1, 1], "-1 is out of range"), ([0, 0.5, 1], "whole numbers"),
     ([0, np.nan, 1], "whole numbers"), ([[0, 1, 2]], "has 1 axis")],
)  # fmt: skip
def test_arrays_that_are_no_indices_are_refused(ids: Any, words: str) -> None:
    f = cr.derive("sum(E[ids])", wrt="E", shapes="E[V,d] ids[N]:integer(V)").compile()
    with pytest.raises(cr.ChainruleError) as caught:
        f(E=np.ones((4, 2)), ids=ids)
    assert words in str(caught.value)


def test_a_wrong_range_in_a_declaration_is_told() -> None:
    with pytest.raises(cr.ChainruleError, match="one size"):
        cr.derive("sum(E[ids])", wrt="E", shapes="E[V,d] ids[N]:integer(V+1)")
    shapes = {"E": ("V", "d"), "ids": "N:integer(V)"}
    assert cr.derive("sum(E[ids])", wrt="E", shapes=shapes).text


def test_multi_head_attention_by_reshape_and_einsum() -> None:
    text = """
    Q = reshape(E[ids] @ A, N, h, d); K = reshape(E[ids] @ B, N, h, d)
    P = softmax(einsum('ihd,jhd->hij', Q, K) / sqrt(d))
    sum((reshape(einsum('hij,jhd->ihd', P, K), N, h*d) @ R)**2)
    """
    rng = np.random.default_rng(1)
    given = {
        "E": rng.standard_normal((4, 3)),
        "ids": np.array([0, 3, 3, 1, 0]),
        "A": rng.standard_normal((3, 6)),
        "B": rng.standard_normal((3, 6)),
        "R": rng.standard_normal((6, 2)),
    }

    def loss(table: Any) -> Any:
        q, k = ((table[given["ids"]] @ given[name]).reshape(5, 2, 3) for name in "AB")
        p = jax.nn.softmax(jnp.einsum("ihd,jhd->hij", q, k) / jnp.sqrt(3.0))
        return jnp.sum((jnp.einsum("hij,jhd->ihd", p, k).reshape(5, 6) @ given["R"]) ** 2)

    shapes = "E[V,n] ids[N]:integer(V) A[n,h*d] B[n,h*d] R[h*d,m]"
    f = cr.derive(text, wrt="E", shapes=shapes).compile()
    assert np.allclose(f(**given, h=2, d=3), jax.grad(loss)(given["E"]), atol=1e-10)
