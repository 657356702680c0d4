"""Advice, likelihoods with labels, directions by a list, and long decimals, as people asked for them."""

import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import OptionError


@pytest.mark.parametrize("structure", ["symmetric", "{symmetric,nonnegative}"])
def test_a_quadratic_form_needs_a_definite_matrix(structure: str) -> None:
    said = str(cr.derive("x @ A @ x", wrt="x", shapes=f"A[n,n]:{structure} x[n]").is_convex())
    assert "not shown" in said and "declare A:spd" in said and "sign" not in said
    assert "declare c:nonnegative" in str(cr.derive("c*sum(x**2)", wrt="x", shapes="c x[n]").is_convex())
    assert "is convex" in str(cr.derive("x @ A @ x", wrt="x", shapes="A[n,n]:spd x[n]").is_convex())


def test_fisher_of_labels_is_that_of_one_hot_rows() -> None:
    shapes = "X[N,n] W[n,k]"
    labels = cr.derive("z = X @ W; cross_entropy(z, c)", wrt="W", shapes=f"{shapes} c[N]:integer(k)").fisher()
    rows = cr.derive("z = X @ W; cross_entropy(z, Y)", wrt="W", shapes=f"{shapes} Y[N,k]").fisher()
    assert "each entry of c is the number of a class, drawn with the probabilities softmax(z)" in " ".join(
        str(labels).split()
    )
    rng = np.random.default_rng(3)
    X, W, c = rng.standard_normal((4, 2)), rng.standard_normal((2, 3)), np.array([0, 2, 1, 2])
    assert np.allclose(labels.compile()(X=X, W=W, c=c), rows.compile()(X=X, W=W, Y=np.eye(3)[c]), atol=1e-14)


def test_labels_are_no_counts() -> None:
    shapes = "X[N,n] W[n,k] c[N]:integer(k)"
    with pytest.raises(OptionError, match="this loss is none"):
        cr.derive("z = X @ W; sum(exp(z) - one_hot(c, k)*z)", wrt="W", shapes=shapes).fisher()
    assert "each entry of c" not in str(
        cr.derive("z = X @ W; sum((z - one_hot(c, k))**2)", wrt="W", shapes=shapes).fisher()
    )


def test_directions_by_a_list() -> None:
    shapes = "W1[m,n] W2[m,n] x[n]"
    formula = "sum(tanh(W1 @ x) * (W2 @ x))"
    listed = cr.derive(formula, wrt=["W1", "W2"], shapes=shapes, times=["V1", "V2"])
    assert str(listed) == str(cr.derive(formula, wrt="W1,W2", shapes=shapes, times="V1,V2"))
    for wrong in ([], ["u"], [1, 2], ["u", "u"]):
        with pytest.raises(OptionError):
            cr.derive(formula, wrt=["W1", "W2"], shapes=shapes, times=wrong)  # type: ignore[arg-type]


def test_selu_has_decimals_of_a_double() -> None:
    d = cr.derive("sum(selu(x) * x)", wrt="x", shapes="x[n]", order=2)
    assert "1.7580993408473768x" in str(d) and "1.7580993408473768 * x" in d.numpy_source
    assert "/" not in d.numpy_source
    at = d.compile()(x=np.array([-0.5, 2.0]))
    scale, a = 1.0507009873554805, 1.6732632423543772
    expected = [scale * a * (2 * np.exp(-0.5) - 0.5 * np.exp(-0.5)), 2 * scale]
    assert np.allclose(np.diag(at), expected, rtol=1e-15)


def test_names_with_digits_are_printed_one_way() -> None:
    page = str(cr.derive("sum((W2 @ x_hat)**3)", wrt="W2", shapes="W2[m,n] x_hat[n]", order=2))
    assert "x̂_j x̂_l" in page and "∂W₂_ij∂W₂_kl" in page
    assert "x_hat" not in page and "W2" not in page


def test_checks_write_nothing_on_the_terminal() -> None:
    program = (
        "import chainrule as cr; "
        "str(cr.derive('norm(cholesky(S) @ b)', wrt='S', shapes='S[n,n]:spd b[n]', order=2))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "" and done.stderr == ""


def test_the_page_of_a_cholesky_factor_names_it_as_its_reason_does() -> None:
    d = cr.derive("c @ cholesky(S) @ c", wrt="S", shapes="S[n,n]:spd c[n]")
    page = " ".join(str(d.explain()).split())
    assert "C = cholesky(S)" in page and "dC = C Φ(C⁻¹ dA C⁻ᵀ) for C = cholesky(A)" in page
    assert "where Φ, halftril, keeps the lower triangle" in page and "where C = cholesky(S)" in page


def test_an_expansion_between_kinks_leaves_nothing() -> None:
    said = str(cr.derive("sum(relu(x))", wrt="x", shapes="x[n]").taylor(2))
    assert "falls like" not in said and "Nothing is left: the derivatives of order 3 are 0." in said
    assert "This holds as far as no kink is crossed" in said and "≈" in said
