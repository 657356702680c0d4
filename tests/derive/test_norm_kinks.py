"""Where norms along axes, and of matrices, are not differentiable."""

import pytest

import chainrule as cr


@pytest.mark.parametrize(
    ("formula", "shapes", "where"),
    [
        ("norm(X)", "X[2,3]", "X = 0"),
        ("norm(X, axis=1)", "X[m,n]", "a row of X is 0"),
        ("sum(norm(X, axis=0))", "X[m,n]", "a column of X is 0"),
        ("sum(norm(X - Y, axis=1))", "X[2,3] Y[2,3]", "a row of X − Y is 0"),
        ("sum(norm(X, axis=2))", "X[2,2,3]", "norm(X, axis=2)_ij = 0 in some entry"),
    ],
)
def test_the_place_is_where_a_norm_is_0(formula: str, shapes: str, where: str) -> None:
    for order in (1, 2):
        page = str(cr.derive(formula, wrt="X", shapes=shapes, order=order))
        assert f"not differentiable where {where};" in page


def test_a_square_of_norms_has_no_kink() -> None:
    assert "not differentiable" not in str(cr.derive("norm(X)**2", wrt="X", shapes="X[2,3]"))
