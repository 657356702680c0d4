"""The objective of a formula: its gradient, Hessian and products agree with differences and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.api.fitting import derived, setting, updates
from chainrule.fit.derived import DerivedObjective
from chainrule.fit.pieces import MemoryPiece, PiecedRows, cut
from chainrule.fit.rows import MemoryRows

RNG = np.random.default_rng(3)
X = RNG.normal(size=(34, 3))
Y = np.maximum(X @ np.array([1.0, -2.0, 0.5]) + 1, 0)
LABELS = RNG.integers(0, 3, size=34)
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("mean((y - relu(X @ w + b))**2)", {"X": X, "y": Y}, {}),
    ("mean((y - tanh(X @ w + b))**2) + lam*w @ w", {"X": X, "y": Y, "lam": 0.1}, {}),
    (
        "a = tanh(X @ A + c); mean((a @ v + d - y)**2)",
        {"X": X, "y": Y},
        {"shapes": "A[3,h] c[h] v[h]", "sizes": {"h": 4}},
    ),
    (
        "cross_entropy(X @ W + b, l)",
        {"X": X, "l": LABELS},
        {"shapes": "l[N]:integer(k) b[k]", "sizes": {"k": 3}},
    ),
    ("sum((y - X @ w)**2)", {"X": X, "y": Y}, {"shapes": "X[m,n] y[m] w[n]"}),
    ("norm(y - X @ w)**2 + w @ w", {"X": X, "y": Y}, {}),
]
QUANTILE = ("r = y - X @ w - b; mean(maximum(0.3*r, -0.7*r))", {"X": X, "y": Y}, {})
TOGETHER = [
    ("mean((batchnorm(X @ A) @ v - y)**2)", {"X": X, "y": Y}, {"shapes": "A[3,h] v[h]", "sizes": {"h": 2}})
]


def objective(loss: str, data: dict[str, Any], options: dict[str, Any], backend: str = "numpy") -> Any:
    found = setting(loss, None, data, options.get("shapes"), sizes=options.get("sizes"))
    made, _ = derived(found)
    return DerivedObjective(
        made, MemoryRows(found.rows), found.data, found.fixed, found.sizes, backend=backend
    )


@pytest.mark.parametrize(("loss", "data", "options"), [*CASES, *TOGETHER])
def test_gradient_products_and_hessian_are_those_of_the_loss(
    loss: str, data: dict[str, Any], options: dict[str, Any]
) -> None:
    f = objective(loss, data, options)
    theta, along = RNG.normal(size=f.size) / 3, RNG.normal(size=f.size)
    step = 1e-6 * along
    _, gradient = f.value_and_gradient(theta)
    after, before = f.value_and_gradient(theta + step), f.value_and_gradient(theta - step)
    assert gradient @ along == pytest.approx((after[0] - before[0]) / 2e-6, rel=1e-6)
    curved = f.product(theta, along)
    np.testing.assert_allclose(curved, (after[1] - before[1]) / 2e-6, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(f.hessian(theta) @ along, curved, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(f.pack(f.unpack(theta)), theta)
    assert len(f.names) == f.size


@pytest.mark.parametrize(("loss", "data", "options"), CASES)
def test_minibatches_estimate_the_loss_without_bias(
    loss: str, data: dict[str, Any], options: dict[str, Any]
) -> None:
    f = objective(loss, data, options)
    theta = RNG.normal(size=f.size) / 3
    whole = f.value_and_gradient(theta)
    order = RNG.permutation(34)
    parts = [f.value_and_gradient(theta, order[i : i + 17]) for i in (0, 17)]
    assert np.mean([value for value, _ in parts]) == pytest.approx(whole[0])
    np.testing.assert_allclose(np.mean([g for _, g in parts], axis=0), whole[1], atol=1e-12)


@pytest.mark.parametrize("backend", ["jax", "torch", "numba"])
@pytest.mark.parametrize(("loss", "data", "options"), [CASES[0], CASES[2], QUANTILE, *TOGETHER])
def test_backends_agree(loss: str, data: dict[str, Any], options: dict[str, Any], backend: str) -> None:
    ours, other = objective(loss, data, options), objective(loss, data, options, backend)
    theta = RNG.normal(size=ours.size) / 3
    value, gradient = ours.value_and_gradient(theta)
    found = other.value_and_gradient(theta)
    assert found[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("loss", "data", "options"), [CASES[3], QUANTILE])
def test_second_derivatives_are_made_of_pieces_too(
    loss: str, data: dict[str, Any], options: dict[str, Any]
) -> None:
    f = objective(loss, data, options)
    theta, along = RNG.normal(size=f.size) / 3, RNG.normal(size=f.size)
    whole, product = f.hessian(theta), f.product(theta, along)
    arrays = f.place.arrays
    f.place = PiecedRows([MemoryPiece({n: a[i:j] for n, a in arrays.items()}) for i, j in cut(34, 3)])
    np.testing.assert_allclose(f.hessian(theta), whole, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(f.product(theta, along), product, rtol=1e-12, atol=1e-14)


def test_a_bias_of_minibatches_is_told() -> None:
    weights = {"X": X, "y": Y, "c": RNG.random(34)}
    rooted, plain = "sqrt(mean((y - X @ w)**2))", "sum(c*(y - X @ w)**2) / sum(c)"
    assert objective(rooted, {"X": X, "y": Y}, {}).biased and not objective(plain, weights, {}).biased
    test_minibatches_estimate_the_loss_without_bias(plain, weights, {})
    how: dict[str, Any] = {"method": "adam", "steps": 4}
    assert not any("bias" in note for note in cr.fit(plain, "w", weights, batch=17, **how).notes)
    assert any("bias" in note for note in cr.fit(rooted, "w", {"X": X, "y": Y}, batch=17, **how).notes)
    assert not any("bias" in note for note in cr.fit(rooted, "w", {"X": X, "y": Y}, batch=34, **how).notes)


def test_a_loss_of_all_rows_is_not_taken_of_some() -> None:
    assert objective(*TOGETHER[0]).batches(8, 0) is None
    with pytest.raises(cr.ChainruleError, match="not a sum or mean over rows"):
        cr.fit("norm(y - X @ w) + w @ w", "w", {"X": X, "y": Y}, method="sgd")


def test_what_is_separable_is_told() -> None:
    assert not objective(*CASES[0]).together and not objective(*CASES[-1]).together
    assert objective(*TOGETHER[0]).together == "what is computed for a row needs a sum over all rows first"


def test_updates_read_as_the_notes_write_them() -> None:
    derivatives = cr.derive(
        "mean((y - relu(X @ w + b))**2)", wrt="w,b", shapes="X[N,n] w[n] b y[N]", layout="shape"
    )
    assert updates(derivatives) == [
        "w ← w − η (2/N) Xᵀ(e ⊙ 1[z > 0])",
        "b ← b − η (2/N) eᵀ 1[z > 0]",
        "where z = Xw + b, e = relu(z) − y",
    ]
    turned = cr.derive("sum(log(X @ w))", wrt="w", shapes="X[N,n] w[n]", layout="shape")
    assert updates(turned) == ["w ← w − η Xᵀ(1 ⊘ Xw)"]


MISTAKES: list[tuple[str, Any, dict[str, Any], dict[str, Any], str]] = [
    ("mean((y - X @ w)**2)", "w,c", {"X": X, "y": Y}, {}, "no variable c"),
    ("mean((y - X @ w)**2)", "w", {"X": X}, {}, "y is neither data nor a parameter"),
    ("mean((y - X @ w)**2)", "w,X", {"X": X, "y": Y}, {}, "X is a parameter and is given as data"),
    ("(y - X @ w)**2", "w", {"X": X, "y": Y}, {}, "a loss is a number"),
    ("mean((y - X @ w)**2)", "w", {"X": X, "y": Y[:5]}, {"shapes": "X[N,n] y[N]"}, "N = 5"),
    ("mean((X @ A @ v - y)**2)", None, {"X": X, "y": Y}, {"shapes": "A[3,h] v[h]"}, "size h of A"),
    ("mean((X @ w - y)**2)", None, {"X": X, "y": Y}, {"sizes": {"q": 2}}, "no size q"),
    (
        "cross_entropy(X @ W + b, l)",
        "W,b",
        {"X": X, "l": LABELS},
        {"shapes": "l[N]:integer(3)"},
        "not depend on b",
    ),
    ("mean((X @ w - y)**2)", "w", {"X": X, "y": ["a"] * 34}, {}, "not of real numbers"),
    ("mean((X - y)**2)", None, {"X": X, "y": X}, {}, "no parameters"),
]


@pytest.mark.parametrize(("loss", "params", "data", "options", "message"), MISTAKES)
def test_mistakes_are_told(
    loss: str, params: Any, data: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(cr.ChainruleError, match=message):
        derived(setting(loss, params, data, options.get("shapes"), sizes=options.get("sizes")))


@pytest.mark.parametrize(
    ("loss", "data", "options", "part"),
    [
        ("mean((y - tanh(X @ w + b))**2)", {"X": X, "y": Y}, {}, "f = y − tanh(Xw + b)"),
        (*CASES[3], "f = XW + 𝟏bᵀ"),
        (
            "mean((y - relu(X @ w))**2) + 0.1*w @ w",
            {"X": X, "y": Y},
            {},
            "f = y − relu(Xw), the Hessian of (1/10) wᵀw",
        ),
        ("z = X @ w; mean(exp(z) - y*z)", {"X": X, "y": Y}, {}, "f = z"),
    ],
)
def test_gauss_newton_chooses_its_part(
    loss: str, data: dict[str, Any], options: dict[str, Any], part: str
) -> None:
    f = objective(loss, data, options)
    assert f.derived.gauss_newton_of() == f"Gauss-Newton takes {part}"
    theta = RNG.normal(size=f.size) / 3
    matrix = f.gauss_newton(theta)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12
    if "tanh" not in loss:  # f, or what is not linear in it, has no second derivative
        np.testing.assert_allclose(matrix, f.hessian(theta), atol=1e-12)
