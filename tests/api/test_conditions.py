"""A page says what it takes for granted of a matrix."""

import json

import pytest

import chainrule as cr

RANK = "X is taken to have full rank: pinv jumps where the rank changes"
INVERTIBLE = "A is taken to be invertible"
SINGULAR = "where A is singular, det has derivatives too, but not of this form"
POSITIVE = "A is taken to be positive definite"


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "sentence"),
    [
        ("pinv(X) @ y", "X[m,n] y[m]", "X", RANK),
        ("inv(A)", "A[n,n]", "A", INVERTIBLE),
        ("trace(inv(A.T) @ B)", "A[n,n] B[n,n]", "A", INVERTIBLE),
        ("x @ solve(A, x)", "A[n,n]:symmetric x[n]", "A", INVERTIBLE),
        ("logdet(A)", "A[n,n]", "A", INVERTIBLE),
        ("log(det(A))", "A[n,n]", "A", INVERTIBLE),
        ("matrix_power(A, -2) @ x", "A[n,n] x[n]", "A", INVERTIBLE),
        ("logdet(X.T @ X)", "X[m,n]", "X", "XᵀX is taken to be invertible"),
        ("det(A)", "A[n,n]", "A", SINGULAR),
        ("c @ cholesky(A) @ c", "A[n,n] c[n]", "A", POSITIVE),
        ("L = cholesky(A); y = inv(L) @ x; sum(y**2)", "A[n,n] x[n]", "A", POSITIVE),
    ],
)
def test_what_is_taken_for_granted(formula: str, shapes: str, wrt: str, sentence: str) -> None:
    d = cr.derive(formula, wrt=wrt, shapes=shapes)
    said = [
        line for line in str(d).splitlines() if "taken to be" in line or "singular" in line or "rank" in line
    ]
    assert said == [sentence]
    assert sentence[1:] in d.to_markdown()
    assert json.loads(d.to_json())["conditions"] == [sentence]


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt"),
    [
        ("logdet(A)", "A[n,n]:spd", "A"),
        ("inv(A) @ x", "A[n,n]:orthogonal x[n]", "A"),
        ("pinv(X) @ y", "X[m,n] y[m]", "y"),
        ("c @ cholesky(X.T @ X + lam*eye(n)) @ c", "X[m,n] c[n] lam:positive", "X"),
        ("logdet(X.T @ X + lam*eye(n))", "X[m,n] lam:positive", "X"),
        ("trace(A @ A)", "A[n,n]", "A"),
    ],
)
def test_nothing_is_said_of_what_is_declared_or_seen(formula: str, shapes: str, wrt: str) -> None:
    page = str(cr.derive(formula, wrt=wrt, shapes=shapes))
    assert "taken to" not in page and "singular" not in page


@pytest.mark.parametrize("style", [None, "variables"])
def test_a_derivation_says_the_same_in_its_own_names(style: str | None) -> None:
    page = cr.explain("logdet(X.T @ X)", "X", "X[m,n]", style=style)
    (said,) = page.derivation.conditions
    name = said.removesuffix(" is taken to be invertible")
    assert f"{name} = XᵀX" in str(page) and said in str(page).splitlines()
    for text in (page.to_markdown(), page.to_latex(), page.to_html()):
        assert "is taken to be invertible" in text
    assert json.loads(page.to_json())["derivations"][0]["conditions"] == [said]
    assert cr.explain("logdet(X)", "X", "X[n,n]:spd").derivation.conditions == ()


@pytest.mark.parametrize(
    ("formula", "shapes", "sentence"),
    [
        ("p @ log(p)", "p[n]:simplex", "p ln(p) has no value in code where p is 0; xlogx(p) is 0 there"),
        (
            "sum(p*log(p/q))",
            "p[n]:simplex q[n]:positive",
            "p ln(p ⊘ q) has no value in code where p is 0; xlogy(p, p ⊘ q) is 0 there",
        ),
        ("p @ log(p)", "p[n]:positive", ""),
        ("p @ log(p)", "p[n]", ""),
        ("sum(xlogx(p))", "p[n]:simplex", ""),
    ],
)
def test_a_product_that_has_no_value_at_zero(formula: str, shapes: str, sentence: str) -> None:
    said = [
        line for line in str(cr.derive(formula, wrt="p", shapes=shapes)).splitlines() if "no value" in line
    ]
    assert said == [sentence] * bool(sentence)


def test_a_formula_that_divides_by_zero_for_all_that_is_declared() -> None:
    with pytest.raises(cr.DomainProblem, match=r"no value: tr\(X\), by which it divides, is 0"):
        cr.derive("tr(X @ X)/tr(X)", wrt="X", shapes="X[n,n]:skew")
    assert cr.derive("tr(X @ X)/tr(X)", wrt="X", shapes="X[n,n]:symmetric").check().passed
