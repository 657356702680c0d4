"""The logarithm of the gamma function and x ln y: what the tests over all rows do not see."""

import numpy as np
import pytest
from scipy import special

import chainrule as cr
from chainrule.rules import ROWS


@pytest.mark.parametrize("k", [0, 1, 2, 5, 12])
def test_polygamma_is_scipys_and_analytic(k: int) -> None:
    """The reference has a series of its own; its complex step is the next order."""
    x = np.array([0.05, 0.3, 1.0, 2.5, 10.0, 300.0])
    stepped = ROWS["polygamma"].evaluate(np, k, x + 1e-30j)
    assert np.allclose(stepped.real, special.polygamma(k, x), rtol=1e-12)
    assert np.allclose(stepped.imag / 1e-30, special.polygamma(k + 1, x), rtol=1e-12)


def test_orders_of_polygamma_follow_each_other() -> None:
    d = cr.derive("polygamma(2, x)", wrt="x", shapes="x:positive", order=2)
    assert d.text == "polygamma(4, x)"
    assert d.check().passed
    assert cr.equal("polygamma(0, x)", "digamma(x)", shapes="x:positive")
    assert cr.equal("digamma(x + 1)", "digamma(x) + 1/x", shapes="x:positive")
    with pytest.raises(cr.ChainruleError, match="order of polygamma"):
        cr.derive("polygamma(-1, x)", wrt="x", shapes="x")


def test_nothing_is_added_at_zero() -> None:
    f = cr.derive("sum(xlogx(p))", wrt="p", shapes="p[n]:nonnegative").value_and_derivatives()
    value, slope = f(p=np.array([0.0, 1.0]))
    assert value == 0.0
    assert np.array_equal(slope, [-np.inf, 1.0])
    by_q = cr.derive("sum(xlogy(p, q))", wrt="q", shapes="p[n] q[n]").compile()
    assert np.array_equal(by_q(p=np.array([0.0, 3.0]), q=np.array([2.0, 2.0])), [0.0, 1.5])


X = 2.5
KNOWN = {
    "lgamma(x)": special.gammaln(X),
    "gammaln(x)": special.gammaln(X),
    "digamma(x)": special.digamma(X),
    "trigamma(x)": special.polygamma(1, X),
    "polygamma(3, x)": special.polygamma(3, X),
    "betaln(x, 3)": special.betaln(X, 3),
    "multigammaln(x, 3)": special.multigammaln(X, 3),
    "mvlgamma(x, 3)": special.multigammaln(X, 3),
    "xlogy(x, 3)": special.xlogy(X, 3),
    "xlogx(x)": special.xlogy(X, X),
    "entr(x)": special.entr(X),
}


@pytest.mark.parametrize("text", KNOWN)
def test_the_functions_have_the_values_of_scipy(text: str) -> None:
    derivative = cr.derive(text, wrt="x", shapes="x:positive")
    assert np.isclose(derivative.value_and_derivatives()(x=X)[0], KNOWN[text], rtol=1e-13)
    assert derivative.check().passed
