"""The MATLAB dialect: the examples of matrixcalculus.org's documentation, and its conventions."""

from __future__ import annotations

import pytest

from chainrule.errors import ChainruleError
from chainrule.language import parse_formula


def shapes(text: str) -> str:
    """The inferred variables as declarations."""
    said = parse_formula(text, dialect="matlab").assumptions[0]
    return said.removeprefix("Not declared, read as: ").removesuffix(".")


@pytest.mark.parametrize(
    ("text", "inferred", "plain"),
    [
        ("0.5*x'*A*x", "x[n] A[n,n]", "(1/2*x) @ A @ x"),
        ("A*exp(x)", "A[m,n] x[n]", "A @ exp(x)"),
        ("(y.*v)'*x", "y[n] v[n] x[n]", "(y*v) @ x"),
        ("a^b", "a b", "a**b"),
        ("norm1(A*x-y)", "A[m,n] x[n] y[m]", "norm1(A @ x - y)"),
        ("norm2(A*x-y)^2", "A[m,n] x[n] y[m]", "norm(A @ x - y)**2"),
        (
            "sum(log(exp(-y.*(X*w)) + vector(1)))",
            "y[n] X[n,m] w[m]",
            "sum(log(exp(-y*(X @ w)) + ones(n)))",
        ),
        ("tr(A*X'*B*X*C)", "A[m,n] X[k,n] B[k,k] C[n,m]", "tr(A @ X.T @ B @ X @ C)"),
        ("log(det(inv(X)))", "X[n,n]", "log(det(inv(X)))"),
    ],
)
def test_documented_example(text: str, inferred: str, plain: str) -> None:
    assert shapes(text) == inferred
    assert parse_formula(text, dialect="matlab").expr is parse_formula(plain, inferred).expr


def test_convention_of_names() -> None:
    said = shapes("a + g + alpha + lambda*theta + sum(h) + sum(z) + tr(A) + tr(Z)")
    assert said == "a g α λ θ h[n] z[m] A[k,k] Z[p,p]"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("A*B", "A @ B"),
        ("A.*B", "A*B"),
        ("A./B", "A/B"),
        ("A.^2", "A**2"),
        ("A^2", "matrix_power(A, 2)"),
        ("A'", "A.T"),
        ("A.'", "A.T"),
        ("2*A/3", "2*A/3"),
        ("x*y'", "outer(x, y)"),
        ("x'*y", "x @ y"),
        ("(A*x)'*B", "(A @ x) @ B"),
        ("2^3^2*x", "(2**3)**2*x"),
        ("-x.^2", "-x**2"),
        ("A + matrix(1)", "A + ones(n, n)"),
        ("[1, 2]", "[1, 2]"),
        ("[1; 2]", "[1, 2]"),
        ("[1, 2; 3, 4]", "[[1, 2], [3, 4]]"),
        ("[x; y]", "concat(x, y)"),
        ("adj(A)", "det(A)*inv(A)"),
        ("A^2'", "matrix_power(A, 2).T"),
        ("A.^B'", "(A**B).T"),
        ("x.^2'*y", "x**2 @ y"),
        ("x.^-2'*y", "x**-2 @ y"),
        ("A^-1'*x", "inv(A).T @ x"),
        ("[n - 1, n-1, -n]", "[n - 1, n - 1, -n]"),
        ("[(n -1), n]", "[n - 1, n]"),
        ("1/x", "1/x"),
    ],
)
def test_operators(text: str, plain: str) -> None:
    declared = "A[n,n] B[n,n] x[n] y[n]"
    assert parse_formula(text, declared, dialect="matlab").expr is parse_formula(plain, declared).expr


@pytest.mark.parametrize(
    "text",
    [
        *["x*y", "x^2", "A/B", "A + x", "x**2", "A @ x", "A .* x", "[1, 2; 3]", "[1 2]", "2^x"],
        # What MATLAB reads differently, or where its manual leaves the reading open.
        *["x/y", "x'/y'", "A/x", "x(1)", "x(n)", "A(1)", "ones(n)", "zeros(n)", "[1 -2]", "[x' -y']"],
        *["[2*n -1, 3]", "2^-n^2", "x.^-2.^n"],
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ChainruleError):
        parse_formula(text, "A[n,n] B[n,n] x[n] y[n]", dialect="matlab")


def test_rows() -> None:
    assert parse_formula("x'*A", "A[n,n] x[n]", dialect="matlab").row
    assert parse_formula("[1, 2]", dialect="matlab").row
    assert not parse_formula("[1; 2]", dialect="matlab").row
