"""Every worked example of the source notes: arrays, stated shapes, points, and the printed form."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import seed_cases
from seed_cases import ALL, DIMS, IDENTITIES, UPDATES

import chainrule as cr
from chainrule.api.sheet import is_turned
from chainrule.codegen.load import compile_expressions
from chainrule.language import Formula, parse_formula

SEEDS = 6
LOSS = "mean((y - relu(X @ w + b))**2)"


def ids(cases: list[dict[str, Any]]) -> list[str]:
    return [case["id"] for case in cases]


def wrt_of(case: dict[str, Any]) -> str:
    return f"[{case['wrt']}]" if "," in case["wrt"] else case["wrt"]


@functools.cache
def _derived(expr: str, shapes: str, wrt: str, layout: str) -> cr.Derivative:
    d = cr.derive(expr, wrt=wrt, shapes=shapes, layout=layout)
    assert isinstance(d, cr.Derivative)
    return d


def derived(case: dict[str, Any]) -> cr.Derivative:
    return _derived(case["expr"], case["shapes"], wrt_of(case), case["layout"])


@pytest.mark.parametrize("case", ALL, ids=ids(ALL))
def test_array(case: dict[str, Any]) -> None:
    f = derived(case).compile()
    for seed in range(SEEDS):
        values = seed_cases.sample(case, np.random.default_rng(seed))
        wanted = np.asarray(case["expected_numpy"](**values), float)
        got = f(**values)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)
        if "wrong" in case:
            assert not np.allclose(got, case["wrong"](**values))
    for values, wanted in case.get("points", ()):
        np.testing.assert_allclose(f(**values), wanted)


@pytest.mark.parametrize("case", ALL, ids=ids(ALL))
def test_stated_shape(case: dict[str, Any]) -> None:
    d = derived(case)
    stated = seed_cases.text_size(case["shape"])
    if stated is None:
        assert case["shape"] == "m x (m x n), third order" and d.shape == ("m", "m", "n")
        return
    sizes = {**DIMS, "n1": DIMS["n"] + 1}
    assert d.layout_shape is not None
    laid_out = tuple(size if isinstance(size, int) else sizes[size] for size in d.layout_shape)
    assert (laid_out or (1, 1)) == stated


E = "(2/N) (e ⊙ 1[Xw + b > 0])ᵀ X where e = Xw + b − y"
DELTA = "d = (2/N) (relu(h w2 + b2) − y) ⊙ 1[h w2 + b2 > 0], h = relu(X W1 + 𝟏 b1ᵀ)"
# What the notes state in words, in braces, with dots or with letters of their own, in the notation that is
# read. Every other case is compared with the last form that its `expected` states.
STATED = {
    "s2.power.rule": "5x⁴",
    "s2.product.rule": "sin(x) exp(x) + cos(x) exp(x)",
    "s4.1.shape.scalar_scalar": "2x",
    "s4.1.shape.scalar_vector": "2xᵀ",
    "s4.1.shape.vector_scalar": "2ax",
    "s4.1.shape.vector_vector": "A",
    "s4.2.general.dw": "diag(cos(w) ⊙ exp(x))",
    "s4.2.general.dx": "diag(sin(w) ⊙ exp(x))",
    "s4.2.not_elementwise": "diag(x) A",
    "s4.2.div.dw": "diag(1 ⊘ x)",
    "s4.2.div.dx": "diag(−w ⊘ x²)",
    "s4.3.add.dz": "𝟏",
    "s4.3.bias.add": "𝟏",
    "s4.4.sum_xz.dx": "z𝟏ᵀ",
    "s4.5.1.nested.u2": "cos(x)",
    "s4.5.1.nested.u3": "2x",
    "s4.5.1.nested.u4": "1/x",
    "s4.5.2.direct": "1",
    "s4.5.2.through_u1": "1",
    "s4.5.2.alias": "[1, 1]ᵀ",
    "s4.5.2.general": "sin(x²) + exp(x) + x cos(x²) · 2x",
    "s4.5.3.vector_chain": "diag(cos(BAx)) B A",
    "s4.5.3.scalar_input": "[cos(x² exp(x)) (exp(x) · 2x + x² exp(x)), 2x + exp(x)]",
    "s5.b.dw": "𝟎ᵀ",
    "s5.relu.dz": "1[z > 0]",
    "s5.relu.vector": "diag(1[x > 0])",
    "s5.activation.dw": "1[w · x + b > 0] xᵀ",
    "s5.activation.db": "1[w · x + b > 0]",
    "s5.activation.dw.inactive": "𝟎ᵀ",
    "s5.activation.dx.inactive": "𝟎ᵀ",
    "s6.1.instance.dw.inactive": "𝟎ᵀ",
    "s6.1.loss.dw": E,
    "s6.1.loss.dw.sum": E,
    "s6.1.loss.dw.active": "(2/N) eᵀ X where e = Xw + b − y",
    "s6.1.loss.dw.inactive": "𝟎ᵀ",
    "s6.2.loss.db": "(2/N) sum(e ⊙ 1[Xw + b > 0]) where e = Xw + b − y",
    "s6.2.loss.db.active": "(2/N) sum(e) where e = Xw + b − y",
    "s6.2.augmented.loss": "(2/N) (e ⊙ 1[z > 0])ᵀ X_hat where e = z − y, z = X_hat w_hat",
    "p4.2.max.dw": "diag(1[w > x])",
    "p4.5.3.vector": "[2/x, 3 cos(3x)]",
    "p6.1.one_instance": "2e xᵀ where e = w · x + b − y",
    "x4.3.Wxb.db.scalar": "𝟏",
    "x7.sum_Wx.dW": "x𝟏ᵀ",
    "x7.squares.dW": "(2Xᵀ(XW − Y))ᵀ",
    "x7.two_layers.w2": f"dᵀ h where {DELTA}",
    "x7.two_layers.b2": f"sum(d) where {DELTA}",
    "x7.two_layers.W1": f"((d w2ᵀ) ⊙ 1[X W1 + 𝟏 b1ᵀ > 0])ᵀ X where {DELTA}",
    "x7.two_layers.b1": f"𝟏ᵀ((d w2ᵀ) ⊙ 1[X W1 + 𝟏 b1ᵀ > 0]) where {DELTA}",
}
MATRIX_FORM = [case for case in ALL if case["id"] != "x7.Wx.dW"]


def parsed(text: str, d: cr.Derivative, shapes: str) -> Formula:
    """The formula of a derivative as it is laid out."""
    shape = d.expression.shape[::-1] if is_turned(d, d.layout) else d.expression.shape
    return parse_formula(text, shapes, profile="notes", shape=shape)


@pytest.mark.parametrize("case", MATRIX_FORM, ids=ids(MATRIX_FORM))
def test_printed_form(case: dict[str, Any]) -> None:
    """What is printed parses back, and is what the notes state, both laid out alike."""
    d = derived(case)
    wanted = parsed(STATED.get(case["id"], case["expected"].split(" = ")[-1]), d, case["shapes"])
    printed = parsed(d.text, d, case["shapes"])
    assert printed.expr.shape == wanted.expr.shape
    if d.layout_shape and d.layout_shape[0] == 1:
        assert printed.row or d.text.startswith("["), "a row is written as one"
    for seed in range(SEEDS):
        values = seed_cases.sample(case, np.random.default_rng(seed))
        left, right = (
            compile_expressions(f.expr, list(d.formula.variables.values()))(**values)
            for f in (printed, wanted)
        )
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


def test_third_order_form_is_in_index_notation() -> None:
    (case,) = (case for case in ALL if case not in MATRIX_FORM)
    assert "δ" in derived(case).text


# Both sides in the notation that is read, where the notes use words.
SIDES = {
    "s4.3.expansion.add": ("x + z", "x + 𝟏z"),
    "s4.3.diag_is_zI": ("diag(z ones(n))", "z eye(n)"),
    "s4.4.factor": ("Σ(x z)", "z Σ(x)"),
    "s6.2.augmented": ("w · x + b", "concat(w, b) · concat(x, 1)"),
}
# The identities between derivatives and between layouts are tested above and below, as derivatives.
ALGEBRA = [case for case in IDENTITIES if "∂" not in case["text"] and "layout" not in case["text"]]


@pytest.mark.parametrize("case", ALGEBRA, ids=ids(ALGEBRA))
def test_identity(case: dict[str, Any]) -> None:
    left, right = SIDES.get(case["id"]) or case["text"].split(" = ")
    assert cr.equal(left, right, case["shapes"], profile="notes")
    f = cr.simplify(left, case["shapes"], profile="notes")
    values = seed_cases.sample(case, np.random.default_rng(0))
    got = compile_expressions(f.expression, list(f.formula.variables.values()))(**values)
    np.testing.assert_allclose(got, case["left"](**values))
    np.testing.assert_allclose(got, case["right"](**values))


def test_identity_of_layouts() -> None:
    """Denominator layout is the transpose of numerator layout, printed too."""
    (case,) = (case for case in IDENTITIES if case["id"] == "s4.layouts")
    formula, shapes = "[3*x**2*y, 2*x + y**8]", "x y"
    texts = {
        layout: _derived(formula, shapes, "[x, y]", layout).text for layout in ("numerator", "denominator")
    }
    values = seed_cases.sample(case, np.random.default_rng(0))
    variables = list(parse_formula(formula, shapes).variables.values())
    first, second = (
        compile_expressions(parse_formula(text, shapes).expr, variables)(**values) for text in texts.values()
    )
    np.testing.assert_allclose(first, case["left"](**values).T)
    np.testing.assert_allclose(second, case["right"](**values))


@pytest.mark.parametrize("name", ["s6.2.augmented.gradient", "s6.1.average"])
def test_identity_of_gradients(name: str) -> None:
    (case,) = (case for case in IDENTITIES if case["id"] == name)
    augmented = name.startswith("s6.2")
    if augmented:
        by = [derived({**case, "expr": LOSS, "wrt": w, "layout": "numerator"}).compile() for w in "wb"]
    else:
        by = [derived({**case, "expr": LOSS, "wrt": "w", "layout": "numerator"}).compile()]
    for seed in range(SEEDS):
        values = seed_cases.sample(case, np.random.default_rng(seed))
        got = np.concatenate([np.atleast_1d(f(**values)) for f in by])
        np.testing.assert_allclose(got, case["left"](**values))
        np.testing.assert_allclose(got, case["right"](**values))


@pytest.mark.parametrize("case", UPDATES, ids=ids(UPDATES))
def test_update(case: dict[str, Any]) -> None:
    """The gradient in the shape of its variable is ready for an update step."""
    parameter = case["param"]
    d = cr.derive(LOSS, wrt=parameter, shapes="X[N,n] y[N] w[n] b")
    assert isinstance(d, cr.Derivative)
    gradient = d.compile()
    for seed in range(SEEDS):
        values = seed_cases.sample(case, np.random.default_rng(seed))
        eta = values["eta"] = 1e-3
        inputs = {name: value for name, value in values.items() if name != "eta"}
        step = values[parameter] - eta * gradient(**inputs)
        np.testing.assert_allclose(step, case["expected_numpy"](**values), rtol=1e-12)
        assert case["loss"](**{**values, parameter: step}) <= case["loss"](**values)
