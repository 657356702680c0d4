"""compile(structured=True): derivatives keep their structure, and are the arrays that compile() gives."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from chainrule import derive
from chainrule.codegen.compound import Kronecker, Sum
from chainrule.codegen.operators import Blocks, Dense, Diagonal, LowRank, Structured
from chainrule.errors import OptionError
from tests.codegen.test_operators import wrong

SIZES = {"m": 3, "n": 4, "k": 2, "p": 5, "q": 3, "r": 4, "s": 2}
FORMS: list[tuple[str, str, str, int, list[type[Structured]]]] = [
    ("tanh(exp(sin(x)))", "x", "x[n]", 1, [Diagonal]),
    ("X**2", "X", "X[m,n]", 1, [Diagonal]),
    ("X.T", "X", "X[m,n]", 1, [Kronecker]),
    ("softmax(x)", "x", "x[n]", 1, [Diagonal, LowRank]),
    ("softmax(X)", "X", "X[m,n]", 1, [Diagonal, LowRank]),
    ("layernorm(x)", "x", "x[n]", 1, [Diagonal, LowRank, LowRank]),
    ("norm(R - U @ V.T)**2", "U", "R[n,m] U[n,k] V[m,k]", 2, [Kronecker]),
    ("logdet(S)", "S", "S[n,n]", 2, [Kronecker]),
    ("logdet(S)", "S", "S[n,n]:spd", 2, [Kronecker]),
    ("A @ X @ B", "X", "A[p,q] X[q,r] B[r,s]", 1, [Kronecker]),
    ("inv(X)", "X", "X[n,n]", 1, [Kronecker]),
    ("diag(x)", "x", "x[n]", 1, [Kronecker]),
    ("sum(sin(X @ w))", "X", "X[m,n] w[n]", 2, [Kronecker]),
    ("exp(X) @ v", "X", "X[m,n] v[n]", 1, [Blocks]),
    ("outer(x, x)", "x", "x[n]", 1, [Kronecker, Kronecker]),
    ("tanh(X @ W + b)", "W", "X[m,n] W[n,k] b[k]", 1, [Kronecker, Kronecker]),
    ("det(X)", "X", "X[n,n]", 2, [LowRank, Kronecker]),
    ("(x @ A @ x)**2", "x", "A[n,n] x[n]", 2, [LowRank, Dense]),
    ("x @ A @ x", "x", "A[n,n] x[n]", 2, [Dense]),
    ("A @ relu(B @ x)", "x", "A[p,q] B[q,n] x[n]", 1, [Dense]),
]


def arrays(shapes: str) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(3)
    made = {}
    for name, dims in re.findall(r"(\w+)\[([\w,]*)\]", shapes):
        made[name] = rng.standard_normal([SIZES[d] for d in dims.split(",")])
    if "S" in made:
        made["S"] = made["S"] @ made["S"].T + np.eye(SIZES["n"])
    return made


@pytest.mark.parametrize(("formula", "wrt", "shapes", "order", "kinds"), FORMS)
def test_structure_and_value(
    formula: str, wrt: str, shapes: str, order: int, kinds: list[type[Structured]]
) -> None:
    derived = derive(formula, wrt, shapes, order=order)
    given = arrays(shapes)
    matrix = derived.compile(structured=True)(**given)
    terms = matrix.terms if isinstance(matrix, Sum) else [matrix]
    assert [type(t) for t in terms] == kinds
    dense = derived.compile()(**given)
    assert wrong(matrix, dense) == []
    assert wrong(matrix, 2 * dense), "a wrong array is seen"


def test_identity_is_never_stored() -> None:
    f = derive("norm(R - U @ V.T)**2", "U", "R[n,m] U[n,k] V[m,k]", order=2).compile(structured=True)
    matrix = f(R=np.ones((4000, 3)), U=np.ones((4000, 2)), V=np.ones((3, 2)))
    assert matrix.shape == (8000, 8000) and np.size(matrix.parts[0].values) == 1
    assert np.allclose(matrix.diagonal(), 6.0)
    assert "The matrix is I ⊗ factor." in f.__source__


def test_a_million_entries_cost_a_million() -> None:
    f = derive("exp(sin(x))", "x", "x[n]").compile(structured=True)
    x = np.linspace(0, 1, 10**6)
    assert np.allclose(f(x=x).diagonal(), np.exp(np.sin(x)) * np.cos(x))


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(OptionError, match="no rows"):
        derive("x @ x", "x", "x[n]").compile(structured=True)
    with pytest.raises(OptionError, match="no columns"):
        derive("t * x", "t", "t x[n]").compile(structured=True)
    with pytest.raises(OptionError, match="jax"):
        derive("exp(x)", "x", "x[n]").compile(structured=True, backend="jax")
