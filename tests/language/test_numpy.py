"""Formulas in the NumPy dialect have the values that NumPy gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

from chainrule.errors import ChainruleError, ShapeMismatch
from chainrule.language import parse_formula
from chainrule.verify.reference import evaluate

SHAPES = "A[3,4] B[4,3] S[3,3] x[4] y[3] u[4] T[2,3,4] a b"
SIZES = {"A": (3, 4), "B": (4, 3), "S": (3, 3), "x": 4, "y": 3, "u": 4, "T": (2, 3, 4), "a": (), "b": ()}


def values() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    return {name: rng.uniform(0.2, 0.9, size) for name, size in SIZES.items()}


NAMES = {
    "np": np,
    "numpy": np,
    "linalg": np.linalg,
    "sum": np.sum,
    "mean": np.mean,
    "exp": np.exp,
    "log": np.log,
    "ln": np.log,
    "sqrt": np.sqrt,
    "sign": np.sign,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "arctan": np.arctan,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "erf": special.erf,
    "erfc": special.erfc,
    "hypot": np.hypot,
    "square": np.square,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": np.where,
    "repeat": np.repeat,
    "softmax": lambda x, axis=-1: special.softmax(x, axis=axis),
    "logsumexp": special.logsumexp,
    "tr": np.trace,
    "det": np.linalg.det,
    "logdet": lambda X: np.linalg.slogdet(X)[1],
    "inv": np.linalg.inv,
    "norm": lambda x, *o, **k: np.linalg.norm(x, *o, **k),
    "norm1": lambda x: np.sum(np.abs(x)),
    "diag": np.diag,
    "outer": np.outer,
    "dot": np.dot,
    "kron": np.kron,
    "vec": lambda X: X.T.ravel(),
    "eye": np.eye,
    "ones": lambda *s: np.ones(s[0] if len(s) == 1 else s),
    "zeros": lambda *s: np.zeros(s[0] if len(s) == 1 else s),
    "einsum": np.einsum,
    "matrix_power": np.linalg.matrix_power,
    "concat": lambda *p, axis=0: np.concatenate([np.atleast_1d(q) for q in p], axis=axis),
    "stack": lambda *p: np.stack(p),
    "split": lambda x, k, axis=0: np.stack(np.split(x, k, axis=axis)),
    "stop": lambda x: x,
    "floor": np.floor,
    "round": np.round,
    "argmax": np.argmax,
    "clip": np.clip,
    "solve": np.linalg.solve,
    "transpose": np.transpose,
    "abs": np.abs,
    "pi": np.pi,
    "e": np.e,
}

FORMULAS = """
a + b*a - b/a
-a**2
2**-a
2**3**0.5
a**b**a
1/2 * a
1/2/4 * a
0.1*a + 1e-3 + .5
1_000 * a
x + 2*u
x * A
A * x
A + y[:, None]
A + a
A @ x
y @ A
x @ u
A @ B
B @ A @ x
T @ x
T @ B
x.T @ B @ A @ x
A.T @ y
(A @ x).T
A.T.T
x > 0.5
(x <= u) * x
x == x
(x != u) + 0
x >= 0.5
x < 0.5
x[0] + x[-1]
x[1:3]
x[:2]
x[2:]
x[::2]
x[::-1]
x[3:0:-1]
x[-2:]
A[0]
A[:, 1]
A[1:, :2]
A[0, 1] * A[-1, -1]
A[:, None, 1]
T[1, :, 2]
x[None, :] + y[:, None]
x[None]
sum(x)
sum(A)
sum(A, axis=0)
sum(A, axis=1)
sum(A, axis=-1)
np.sum(T, axis=(0, 2))
np.sum(A, axis=0, keepdims=True)
mean(A)
mean(A, axis=1)
mean(T, axis=1)
np.mean(A, axis=1, keepdims=True) * A
A.sum() + x.mean()
A.sum(axis=0)
A.max(axis=1)
A.min()
x.dot(u)
S.trace()
np.max(A)
np.max(A, axis=0)
np.min(x)
A.max(axis=1, keepdims=True)
exp(x) + log(x) + ln(x) + sqrt(x)
abs(x - 0.5) + sign(x - 0.5)
sin(x) + cos(x) + tan(x)
sinh(x) + cosh(x) + tanh(x)
arcsin(x) + arccos(x) + arctan(x)
log1p(x) + expm1(x)
relu(x - 0.5)
sigmoid(x) + softplus(x) + erf(x)
square(x)
maximum(x, 0.5) + minimum(x, u)
maximum(0, x - 0.5)
hypot(x, u + 0.5) + erfc(x)
where(x > 0.5, x, 2*u)
softmax(x)
softmax(A)
softmax(A, axis=0)
logsumexp(x)
logsumexp(A)
logsumexp(A, axis=0)
tr(S)
det(S) + logdet(S)
inv(S) @ y
norm(x) + norm(A)
norm(A, axis=1)
norm(x, 1)
np.linalg.norm(x, ord=2)
norm1(A)
diag(x)
diag(S)
outer(x, y)
dot(x, u)
dot(A, x)
kron(A, S)
kron(x, y)
kron(x, S)
vec(A)
eye(3) @ y
eye(4)[0]
eye(4)[1:3]
ones(3) + zeros(3)
ones((3, 4)) * A
ones(3, 4)
einsum('ij,j->i', A, x)
einsum('ij,j', A, x)
einsum('ii', S)
einsum('ij->ji', A)
einsum('ij,kj->ik', A, A)
matrix_power(S, 3)
matrix_power(S, 0)
matrix_power(S, -2)
linalg.matrix_power(S, 2)
concat(x, y)
concat(x, 1)
concat(A, T[0], axis=0)
concat(S, A, axis=1)
split(concat(A, 2 * A, axis=0), 2)
split(concat(A, 2 * A, axis=1), 2, axis=1)
stack(x, u)
stack(a, b, 1)
stop(x) * x
floor(3*x) + round(3*x)
stop(argmax(x)) * x
clip(x, 0.3, 0.6)
solve(S, y)
transpose(A)
pi * a**2 + e**a
np.pi * np.exp(a)
[a, b, a*b]
[[a, b], [1, 2]] @ [a, b]
[x, u] @ x
numpy.linalg.inv(S)
(a + b)*(a - b)
a - (b - a) - b
a/(b/a)
np.reshape(A, (4, 3))
A.reshape(2, -1) + A.flatten().reshape(2, 6)
np.ravel(A)
np.swapaxes(A, 0, 1) + np.moveaxis(A, 0, 1)
np.expand_dims(x, 0) + np.squeeze(A[None, 0])
np.tile(x, 3) + np.repeat(x, 3)
np.flip(A) + np.roll(A, 1) + np.roll(A, 1, axis=1)
np.pad(A, ((1, 0), (0, 2)))
np.logical_and(x > 0.3, x < 0.6) + 2*np.logical_or(x > 0.3, x < 0.6) + 4*np.logical_not(x > 0.3)
((x > 0.3) & (x < 0.6)) * 2 + ((x < 0.3) | (x > 0.6)) * 1 + ~(x > 0.3)
np.prod(x) + np.var(x) + np.std(x) + np.cumsum(x)
A[..., 1] + A[1, ..., None][0]
""".strip().splitlines()


@pytest.mark.parametrize("text", FORMULAS)
def test_value_is_numpys(text: str) -> None:
    given = values()
    formula = parse_formula(text, SHAPES)
    expected = eval(_arrays(text), NAMES | given)
    found = evaluate(formula.expr, given)
    assert np.shape(found) == np.shape(expected)
    assert tuple(d.constant for d in formula.expr.shape) == np.shape(expected)
    np.testing.assert_allclose(found, np.asarray(expected, float), rtol=1e-12)


def _arrays(text: str) -> str:
    """Python's lists as arrays."""
    if text.startswith("[["):
        return text.replace("[[a, b], [1, 2]]", "np.array([[a, b], [1, 2]])")
    if text.startswith("[x"):
        return text.replace("[x, u]", "np.array([x, u])")
    return text


def test_every_function_of_the_table_is_tried() -> None:
    from language.test_linear_algebra import VALUES

    from chainrule.language import activations, layers, losses
    from chainrule.language.functions import TABLE

    text = "\n".join([*FORMULAS, *VALUES])
    several = {"eigh", "svd"}  # refused without an index
    matlab = {"vector", "matrix", "norm2", "adj", "σ", "sigma"}
    derived = {"first_max", "first_min", "unit", "merge"}  # what derivatives print
    derived |= {"prod_others", "tri", "window", "overlap_add"}
    plain = {
        "amax",
        "amin",
        "asin",
        "acos",
        "atan",
        "sgn",
        "absolute",
        "trace",
        "power",
        "matmul",
        "multiply",
    }
    # tests/language/test_convolution.py
    plain |= {f"{kind}{m}d" for kind in ("conv", "conv_transpose", "max_pool", "avg_pool") for m in (1, 2)}
    plain |= {"windows", "overlap_add"}
    # tests/language/test_activations.py, tests/practice
    plain |= {*activations.ENTRIES, *losses.ENTRIES, *layers.ENTRIES}
    plain |= {"rnn_step", "gru_step", "lstm_step"}  # tests/language/test_scan.py
    plain |= {"one_hot", "take", "embedding", "pick"}  # tests/language/test_integers.py
    plain |= {"view", "permute", "unsqueeze", "inverse", "diagonal", "pow", "mm", "mv"}  # PyTorch
    plain |= {"log_softmax", "concatenate", "identity", "ones_like", "zeros_like"}
    # tests/rules/test_special.py
    plain |= {"lgamma", "gammaln", "digamma", "trigamma", "polygamma", "betaln", "multigammaln", "mvlgamma"}
    plain |= {"xlogy", "xlogx", "entr"}
    assert {n for n in TABLE if f"{n}(" not in text} <= matlab | derived | plain | several


def test_two_argument_max_is_elementwise() -> None:
    given = values()
    found = evaluate(parse_formula("max(0.5, x) + min(x, u)", SHAPES).expr, given)
    np.testing.assert_allclose(found, np.maximum(0.5, given["x"]) + np.minimum(given["x"], given["u"]))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("asin(x)", "arcsin(x)"),
        ("acos(x)", "arccos(x)"),
        ("atan(x)", "arctan(x)"),
        ("trace(S)", "tr(S)"),
        ("torch.relu(x)", "relu(x)"),
        ("jnp.linalg.norm(x)", "norm(x)"),
        ("numpy.concatenate([x, y])", "concat(x, y)"),
        ("stack([x, u])", "[x, u]"),
        ("power(x, 2)", "x**2"),
        ("matmul(A, x)", "A @ x"),
        ("multiply(x, u)", "x*u"),
        ("ones_like(A) + zeros_like(A)", "ones(3, 4) + zeros(3, 4)"),
        ("identity(3)", "eye(3)"),
        ("norm2(x)", "norm(x)"),
        ("unit(x)", "unit(x, axis=0)"),
        ("A.max(axis=1)", "amax(A, axis=1)"),
        ("e**x", "exp(x)"),
        ("x.mean()", "mean(x)"),
        ("max(a, b, 1)", "maximum(maximum(a, b), 1)"),
        ("sum(x, keepdims=True)", "sum(x, axis=0, keepdims=1)"),
    ],
)
def test_two_spellings_of_one_expression(text: str, same: str) -> None:
    assert parse_formula(text, SHAPES).expr is parse_formula(same, SHAPES).expr


def test_decimals_are_exact() -> None:
    assert parse_formula("0.1*x + 0.2*x", "x").expr is parse_formula("x/10 + 1/5*x", "x").expr


def test_nothing_is_simplified() -> None:
    assert repr(parse_formula("x**2 * x", "x").expr) == "<,-> power(x, <2 -> >), x>"
    assert repr(parse_formula("x - x + 0", "x").expr) == "(x + <-1 -> x> + <0 -> >)"
    assert repr(parse_formula("a/b", "a b").expr) == "<,-> a, power(b, <-1 -> >)>"


@pytest.mark.parametrize(
    "text", ["x[n]", "x[n + 1]", "x[-n - 1]", "x[:n + 1]", "x[-n - 1:]", "x[n::-1]", "x[1:n + 2]", "x[2:0]"]
)
def test_what_no_size_has_is_refused(text: str) -> None:
    with pytest.raises(ShapeMismatch):
        parse_formula(text, "x[n]")


@pytest.mark.parametrize(
    ("text", "shape"), [("x[-m:]", "m"), ("x[:-m]", "-m + n"), ("x[-m:-1]", "m - 1"), ("x[-n:]", "n")]
)
def test_named_bounds_count_from_the_end(text: str, shape: str) -> None:
    assert str(parse_formula(text, "x[n] y[m]").expr.shape[0]) == shape


@pytest.mark.parametrize(
    "text", ["X.max(1)", "np.max(X, 0)", "X.min(0)", "torch.min(X, 1)", "X.sum(0)", "np.amax(X, 1)"]
)
def test_an_axis_by_position_is_refused(text: str) -> None:
    """NumPy's second argument is an axis where the language's max(a, b) is entry by entry."""
    with pytest.raises(ChainruleError):
        parse_formula(text, "X[m,n]")


@pytest.mark.parametrize(
    "text",
    [
        *["softmax(X, axis=None)", "softmax(X, axis=(0, 1))", "argmax(X, axis=(0, 1))"],
        *["max(X, X, axis=0)", "min(X, 0, keepdims=True)", "eye(0)", "ones(-1)", "zeros(0, n)"],
    ],
)
def test_options_that_cannot_be_met_are_refused(text: str) -> None:
    with pytest.raises(ChainruleError):
        parse_formula(text, "X[m,n]")
