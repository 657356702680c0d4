"""Random points lie inside domains and structures, and away from kinks."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.errors import DomainProblem
from chainrule.expr.dims import Dim
from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate
from chainrule.verify.sample import MANNERS, Sampler, draw

FINDABLE = [
    ("sum(log(x))", "x[n]"),
    ("sum(log(1 - x*y))", "x[n] y[n]"),
    ("sqrt(x @ A @ x)", "x[n] A[n,n]"),
    ("log(x) + log(-y)", "x y"),
    ("log(log(x))", "x"),
    ("log(x - 10)", "x"),
    ("log(x - 10)", "x:positive"),
    ("sqrt(1 - sum(x**2))", "x[n]"),
    ("arcsin(x * y)", "x[n] y[n]"),
    ("x**y", "x y"),
    ("logdet(X.T @ X)", "X[m,n]"),
    ("inv(X @ X.T)", "X[m,n]"),
    ("inv(X.T @ X) @ inv(X @ X.T)", "X[n,n]"),
    ("sum(y * log(p) + (1 - y) * log(1 - p))", "y[n] p[n]"),
    ("x[3:6]", "x[n]"),
    ("x[7]", "x[n]"),
    ("x[:-3]", "x[n]"),
    ("relu(relu(x))", "x[n]"),
    ("log(softmax(A @ x))", "A[m,n] x[n]"),
    ("1/(x - mean(x))", "x[n]"),
    ("sum(x)/(n - 2)", "x[n]"),
    ("-0.5 * (x - m) @ inv(S) @ (x - m) - 0.5 * logdet(S)", "x[n] m[n] S[n,n]:spd"),
    ("sqrt(x - y) + sqrt(y - x + 1)", "x y"),
    ("abs(x) + abs(y) + abs(x - y)", "x[n] y[n]"),
]


@pytest.mark.parametrize(("text", "shapes"), FINDABLE)
def test_points_are_found(text: str, shapes: str) -> None:
    expr = parse_formula(text, shapes).expr
    sampler = Sampler([expr])
    rng = np.random.default_rng(0)
    for _ in range(5):
        point = sampler.point(rng)
        assert np.isfinite(evaluate(expr, point.values, point.sizes)).all()
        assert point.margin > 1e-6


IMPOSSIBLE = [
    ("log(-x**2)", "> 0"),
    ("sqrt(x) + sqrt(-x)", "> 0"),
    ("1/(x - x)", "not 0"),
    ("inv(outer(v, v))", "invertible"),
    ("arcsin(2 + x**2)", "between"),
]


@pytest.mark.parametrize(("text", "reason"), IMPOSSIBLE)
def test_no_point_is_an_error_with_a_reason(text: str, reason: str) -> None:
    expr = parse_formula(text, "x v[3]").expr
    with pytest.raises(DomainProblem, match=reason) as caught:
        Sampler([expr]).point(np.random.default_rng(0))
    assert "declare" in caught.value.hint


def test_the_reason_names_the_part_as_people_write_it() -> None:
    with pytest.raises(DomainProblem, match=r"log\(-x\*\*2\) needs an argument that is > 0"):
        Sampler([parse_formula("log(-x**2)", "x").expr]).point(np.random.default_rng(0))


def test_named_sizes_are_two_to_four_and_different() -> None:
    sampler = Sampler([parse_formula("A @ X @ B", "A[m,n] X[n,p] B[p,p]").expr])
    rng = np.random.default_rng(0)
    for _ in range(10):
        assert sorted(sampler.point(rng).sizes.values()) == [2, 3, 4]
    many = Sampler([parse_formula("A @ B @ C @ D", "A[a,b] B[b,c] C[c,d] D[d,f]").expr])
    seen = [many.point(rng).sizes for _ in range(20)]
    assert all(set(sizes.values()) == {2, 3, 4} for sizes in seen)
    assert len({tuple(s.values()) for s in seen}) > 3


def test_points_are_the_same_for_the_same_seed() -> None:
    sampler = Sampler([parse_formula("sum(log(A @ x))", "A[m,n] x[n]").expr])
    a, b = (sampler.point(np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a.values[k], b.values[k]) for k in a.values)


CHECKS = {
    "symmetric": lambda A: np.array_equal(A, A.T),
    "diagonal": lambda A: np.array_equal(A, np.diag(np.diag(A))),
    "lower": lambda A: np.array_equal(A, np.tril(A)),
    "skew": lambda A: np.array_equal(A, -A.T),
    "orthogonal": lambda A: np.allclose(A @ A.T, np.eye(len(A))),
    "spd": lambda A: np.allclose(A, A.T) and np.linalg.eigvalsh(A).min() > 0,
    "simplex": lambda A: (A > 0).all() and np.allclose(A.sum(-1), 1),
    "positive": lambda A: (A > 0).all(),
    "nonnegative": lambda A: (A >= 0).all(),
    "probability": lambda A: ((A >= 0) & (A <= 1)).all(),
    "sign": lambda A: np.isin(A, [-1, 1]).all(),
    "integer": lambda A: np.array_equal(A, np.round(A)),
}
TOGETHER = [
    ("spd", "positive"),
    ("symmetric", "positive"),
    ("symmetric", "integer"),
    ("symmetric", "sign"),
    ("spd", "diagonal"),
    ("orthogonal", "diagonal"),
    ("orthogonal", "integer"),
    ("integer", "positive"),
    ("integer", "nonnegative"),
    ("spd", "orthogonal"),
    ("skew", "integer"),
    ("symmetric", "orthogonal"),
    ("lower", "nonnegative"),
    ("symmetric", "probability"),
    ("spd", "integer"),
    ("diagonal", "nonnegative"),
]


@pytest.mark.parametrize("named", [(name,) for name in CHECKS] + TOGETHER, ids="+".join)
@pytest.mark.parametrize("manner", MANNERS)
def test_structures_hold(named: tuple[str, ...], manner: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        A = draw((3, 3), named, manner, rng)
        assert A.shape == (3, 3)
        assert A.dtype == float
        for name in named:
            if name in ("positive", "sign") and "diagonal" in named:
                continue
            assert CHECKS[name](A), (name, A)


def test_structures_leave_the_rest_free() -> None:
    rng = np.random.default_rng(0)
    A = draw((4, 4), ("symmetric",), "normal", rng)
    assert (A > 0).any()
    assert (A < 0).any()
    assert draw((5,), ("simplex",), "normal", rng).sum() == pytest.approx(1)
    assert draw((), ("positive",), "normal", rng) > 0
    assert draw((2, 3), ("positive",), "spd", rng).shape == (2, 3)


def test_a_size_that_must_be_large_is_found() -> None:
    sampler = Sampler([parse_formula("x[3:6]", "x[n]").expr])
    assert sampler.point(np.random.default_rng(0)).sizes["n"] >= 6
    assert Dim.of("n").evaluate({"n": 6}) == 6
