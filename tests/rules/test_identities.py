"""Every identity keeps the value, fires on its own example, and is caught when it is wrong by 0.1 %."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from chainrule.expr.dims import Coefficient
from chainrule.expr.nodes import Apply, Expr, scale
from chainrule.language import parse_formula
from chainrule.rules.identities import Rewrite, by_head, pairs_in_sum
from chainrule.simplify import normalise
from chainrule.verify.reference import evaluate
from chainrule.verify.sample import sample_point

SHAPES = "s t x[n] y[n] A[n,n] B[m,n] D[n,n] p[n]:positive q:positive g[n]:sign Q[n,n]:orthogonal v[n]:unit"
SHAPES += " c[m]:integer(n)"
# identity -> formulas in which it applies
EXAMPLES: dict[str, list[str]] = {
    "exact value": ["exp(0) + s", "cos(x - x)"],
    "logarithm of e": ["log(e) * s"],
    "value of a number": ["abs(-3) * s + relu(-1)", "sign(-2) * s"],
    "nearest integers of a number": ["stop(floor(2.5)) * s", "round(2.7) * s"],
    "comparison of numbers": ["(2 > 1) * s", "(s >= s) * t", "((x > y) != 0) * x"],
    "larger or smaller of numbers": ["maximum(2, 3) * s", "minimum(x, x)"],
    "square root is a power": ["sqrt(q)"],
    "logarithm of 1 + x": ["log1p(q)"],
    "logarithm of a picked entry": ["log(pick(softmax(B, axis=1), c))"],
    "exponential minus 1": ["expm1(x)"],
    "trivial power": [
        "x**0",
        "x**1",
        "s * 2**3",
        "4**0.5 * s",
        "(x > y)**3",
        "g**2 * x",
        "g**3",
        "eye(n)**2 @ x",
        "diag(x)**3",
    ],
    "power of a power": ["(x**3)**2", "(x**2)**1.5", "(p**0.5)**0.3"],
    "power of a product": ["(2*x*y)**3", "(4*p*q)**0.5", "(3*q)**0.5", "(p*(2 + x*x))**1.5"],
    "content of a sum in a power": ["1/(2*x + 2*y)", "(-x - y)**3"],
    "power of an exponential": ["exp(x)**2", "exp(s)**0.5"],
    "even power of an absolute value": ["abs(x)**4"],
    "even power of a norm": ["norm(x)**2", "norm(B)**4"],
    "root of a sum of squares": [
        "sqrt(sum(x**2))",
        "(x @ x)**1.5",
        "sqrt(sum(B**2, axis=1))",
        "sqrt(4*sum(x**2))",
    ],
    "1/(1 + exp(u)) = σ(−u)": ["1/(1 + exp(-x))", "1/(1 + exp(s))**2"],
    "exp of log": ["exp(log(q))", "exp(2*log(q))"],
    "exp of a sum with a logarithm": ["exp(s + log(q))"],
    "log of exp": ["log(exp(x))"],
    "log(1 + exp(u)) = softplus(u)": ["log(1 + exp(x))", "log1p(exp(-s))"],
    "log of a sigmoid": ["log(sigmoid(x))"],
    "log of a product": ["log(prod(sigmoid(x)))"],
    "log of a normal distribution function": ["log(normcdf(x))"],
    "condition on a maximum": [
        "(2 > maximum(x, 1)) * y",
        "(minimum(x, 2) > 1) * y",
        "(maximum(x, 1) >= 2) * y",
        "(relu(x) > 0) * y",
        "(1 > minimum(s, 2)) * t",
        "(q > maximum(s, -q)) * t",
    ],
    "length and direction of a unit vector": ["norm(v) + s", "unit(v)", "norm(v) * v"],
    "log of a softmax": ["log(softmax(x))", "log(softmax(B, axis=0))"],
    "log of a sum of exponentials": [
        "log(sum(exp(x)))",
        "log(sum(exp(B), axis=1))",
        "log(sum(exp(B), axis=0))",
    ],
    "log of a determinant": ["log(det(A.T @ A + eye(n)))"],
    "log of a product of positive factors": ["log(p**3)"],
    "odd or even function of a negative": ["sin(-x)", "cos(-2*x)", "tanh(-s)", "abs(-x)"],
    "absolute value of a multiple": ["abs(3*x)", "abs(p)", "abs(2*y - 2*x)"],
    "max(x, 0) = relu(x)": ["maximum(x, 0)", "maximum(0, s)"],
    "relu of a positive": ["relu(exp(x))", "relu(relu(x))"],
    "sign of a positive": ["sign(exp(x)) * x"],
    "condition on a positive": ["(exp(x) > 0) * x", "(0 > q) * s"],
    "condition on two negatives": ["(-x > -y) * x"],
    "choice by a known condition": [
        "where(1, x, y)",
        "where(x > y, x, x)",
        "where(x > y, 1, 0)",
        "where(x > y, 0, 1)",
    ],
    "norm of a multiple": ["norm(-3*x)", "norm(B.T)", "norm(2*x - 2*y)"],
    "direction of a multiple": ["x"],
    "inverse of an inverse, a multiple, a transpose or a diagonal": [
        "inv(inv(A))",
        "inv(2*A)",
        "inv(A.T)",
        "inv(diag(p))",
        "inv(2*A + 2*eye(n))",
        "inv(Q)",
    ],
    "determinant of an inverse, a multiple or a transpose": [
        "det(inv(A))",
        "det(2*A)",
        "det(A.T)",
        "det(3*eye(n))*s",
    ],
    "log-determinant of an inverse, a multiple, a diagonal or a transpose": [
        "logdet(inv(A))",
        "logdet(3*A)",
        "logdet(diag(p))",
        "logdet(A.T)",
    ],
    "determinant and inverse of a written-out matrix": ["det([[s, t], [t, 2]])", "inv([[s, t], [q, 2]])"],
    "reduction of a constant": [
        "softmax(2*ones(n))",
        "logsumexp(ones(n) + 1)",
        "max(3*ones(n))",
        "min(ones(n))",
    ],
    "matrix function of a transpose": ["expm(A.T)", "pinv(B.T)", "polar(B.T)"],
    "pseudo-inverse of a square matrix": ["pinv(A)", "pinv(pinv(B))"],
    "exponential of a diagonal matrix": ["expm(diag(x))"],
    "determinant of an exponential": ["det(expm(A))", "logdet(expm(A))", "inv(expm(A))"],
    "linear map of a multiple": [
        "expm_frechet(A, s*D)",
        "expm_frechet2(A, D, 2*D.T)",
        "expm_frechet3(A, D, D.T, 2*D)",
        "polar_frechet(B, -3*B)",
    ],
    "derivative of exp along the identity": [
        "expm_frechet(A, eye(n))",
        "expm_frechet2(A, eye(n), D)",
        "expm_frechet3(A, D, eye(n), D)",
    ],
    "derivative of exp along its argument": ["expm_frechet(s*A, t*A)"],
    "linear map, the same for a whole axis": [
        "einsum('aij,a->ij', expm_frechet(einsum('ij,k->kij', A, ones(n)), D), x)",
    ],
    "order of directions": ["expm_frechet2(A, D, A) - expm_frechet2(A, A, D)"],
    "matrix power as a product": ["matrix_power(A, 3)", "matrix_power(A, -2)", "matrix_power(A, 0)"],
}


def _texts() -> list[tuple[str, str]]:
    return [(name, text) for name, texts in EXAMPLES.items() for text in texts]


def _identities() -> Iterator[Rewrite]:
    for rows in by_head.values():
        yield from rows


@pytest.fixture
def fired(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the identities that applied."""
    seen: set[str] = set()

    def watched(row: Rewrite) -> Rewrite:
        def apply(facts: object, node: Apply) -> Expr | None:
            result = row.apply(facts, node)  # type: ignore[arg-type]
            if result is not None:
                seen.add(row.name)
            return result

        return Rewrite(row.name, row.head, apply, row.ends)

    for head, rows in by_head.items():
        monkeypatch.setitem(by_head, head, [watched(row) for row in rows])
    return seen


def _both(text: str) -> tuple[np.ndarray, np.ndarray]:
    formula = parse_formula(text, SHAPES)
    canonical = normalise(formula.expr)
    point = sample_point([formula.expr], formula.variables.values(), np.random.default_rng(1))
    return evaluate(formula.expr, point.values, point.sizes), evaluate(canonical, point.values, point.sizes)


@pytest.mark.parametrize(("name", "text"), _texts())
def test_identity_fires_and_keeps_the_value(name: str, text: str, fired: set[str]) -> None:
    before, after = _both(text)
    assert np.allclose(after, before, rtol=1e-10, atol=1e-12)
    assert name in fired or name == "direction of a multiple"


def test_direction_of_a_multiple(fired: set[str]) -> None:
    from chainrule.expr.dims import Dim
    from chainrule.expr.nodes import Variable
    from chainrule.rules.tensorial import unit

    x = Variable("x", (Dim.of("n"), Dim.of("m")))
    for inside in (-2 * x, 5 * x, x.T):
        node = Apply(unit, (inside,), (2,))
        values = {"x": np.arange(1.0, 7.0).reshape(2, 3)}
        assert np.allclose(evaluate(normalise(node), values), evaluate(node, values))
    assert fired == {"direction of a multiple"}


def test_every_identity_has_an_example() -> None:
    assert {row.name for row in _identities()} == set(EXAMPLES)
    assert all(row.ends for row in _identities())


@pytest.mark.parametrize(
    "text",
    [
        "3 - 3*sigmoid(x)",
        "sigmoid(x) + sigmoid(-x)",
        "2*sin(x)**2 + 2*cos(x)**2 + y",
        "cosh(s)**2 - sinh(s)**2",
    ],
)
def test_pairs_of_terms_keep_the_value_and_shorten(text: str) -> None:
    formula = parse_formula(text, SHAPES)
    before, after = _both(text)
    assert np.allclose(after, before, rtol=1e-10)
    assert len(repr(normalise(formula.expr))) < len(repr(formula.expr))
    assert len(pairs_in_sum) == 3


@pytest.mark.parametrize("head", sorted(by_head))
def test_the_value_check_catches_an_identity_that_is_off(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail: each identity scaled by 1.001 is noticed on one of its examples."""
    for row in by_head[head]:
        if row.name == "direction of a multiple":
            continue

        def apply(facts: object, node: Apply, row: Rewrite = row) -> Expr | None:
            result = row.apply(facts, node)  # type: ignore[arg-type]
            return None if result is None else scale(Coefficient(Fraction(1001, 1000)), result)

        wrong = [Rewrite(r.name, r.head, apply if r is row else r.apply, r.ends) for r in by_head[head]]
        with monkeypatch.context() as patch:
            patch.setitem(by_head, head, wrong)
            caught = []
            for text in EXAMPLES[row.name]:
                try:
                    before, after = _both(text)
                    caught.append(not np.allclose(after, before, rtol=1e-5, atol=0))
                except RecursionError:
                    caught.append(True)
        heads = [h for h, rows in by_head.items() if any(r.name == row.name for r in rows)]
        assert any(caught) or len(heads) > 1, row.name
