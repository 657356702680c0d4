"""compile(structured=True): derivatives keep their structure, and are the arrays that compile() gives."""

from __future__ import annotations

import re
from typing import Any, assert_type

import numpy as np
import pytest

from chainrule import Derivative, derive
from chainrule.codegen.compiled import CompiledFunction
from chainrule.codegen.compound import Kronecker, Sum
from chainrule.codegen.operators import Blocks, Dense, Diagonal, LowRank, Structured
from chainrule.codegen.structured import StructuredFunction
from chainrule.errors import DomainProblem, OptionError
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


def test_blocks_of_a_hessian_share_one_function() -> None:
    derived = derive("sum(exp(X) * Y) + t * sum(Y**2)", "X,Y,t", "X[m,n] Y[m,n] t", order=2)
    f = derived.compile(structured=True)
    given = {**arrays("X[m,n] Y[m,n]"), "t": np.array(1.5)}
    found, dense = f(**given), derived.compile()(**given)
    assert found.keys() == dense.keys() and f.__source__.count("np.exp(") == 1
    for key, matrix in found.items():
        if isinstance(matrix, Structured):
            assert wrong(matrix, dense[key]) == []
        else:
            assert "t" in key and np.allclose(matrix, dense[key])
    assert isinstance(found["X", "Y"], Diagonal)
    with pytest.raises(OptionError, match="has no rows"):
        derive("x @ y", "x,y", "x[n] y[n]").compile(structured=True)


def test_types_are_told() -> None:
    derived = derive("exp(x)", "x", "x[n]")
    assert isinstance(derived, Derivative)
    assert_type(derived.compile(), CompiledFunction)
    assert_type(derived.compile(structured=True), StructuredFunction)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_singular_up_to_rounding_is_never_solved_with(dtype: Any) -> None:
    plain = np.arange(1, 10, dtype=dtype).reshape(3, 3)  # of rank 2, which rounding hides
    b = np.ones(3, dtype)
    regular = np.array([[1e-30, 2e-30], [3e8, 4e8]], dtype)
    assert np.allclose(Dense(regular).solve(b[:2]), [-2e30, 1.5e30], rtol=1e-5)
    one, axes = np.eye(3, dtype=dtype), [(0,), (1,)]
    crossed = Kronecker([Dense(plain), Dense(one)], axes, axes, (0, 1), (0, 1))
    blocks = Blocks(np.stack([one, plain]))
    for matrix, given in ((Dense(plain), b), (crossed, one), (blocks, one[:2])):
        with pytest.raises(DomainProblem, match="singular"):
            matrix.solve(given)


@pytest.mark.parametrize(
    ("text", "shapes", "order"), [("softmax(x)", "x[n]", 1), ("logsumexp(X @ w)", "X[m,n] w[n]", 2)]
)
def test_float32_stays_so_and_its_rounding_decides_what_is_singular(
    text: str, shapes: str, order: int
) -> None:
    given = {name: value.astype(np.float32) for name, value in arrays(shapes).items()}
    matrix = derive(text, shapes[-4], shapes, order=order).compile(structured=True)(**given)
    b = np.ones(4, np.float32)
    assert matrix.dtype == (matrix @ b).dtype == matrix.todense().dtype == np.float32
    with pytest.raises(DomainProblem, match="singular"):
        matrix.solve(b)


@pytest.mark.parametrize("text", ["3 * x", "x + y", "x * sum(y)", "outer(x, y)", "x[1:]"])
def test_numbers_of_a_structure_take_the_precision_of_the_arrays(text: str) -> None:
    for kind in (np.float32, np.float64):
        matrix = derive(text, "x", "x[4] y[4]").compile(structured=True)(
            x=np.ones(4, kind), y=np.ones(4, kind)
        )
        assert matrix.dtype == (matrix @ np.ones(4, kind)).dtype == matrix.todense().dtype == kind
