"""Claims that are functions, numbers, expressions; what is refused; what is told of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.grade.judge import judge
from tests.golden.cases import read

NEURON, SHAPES = "mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]"


def gradient(X: Any, w: Any, b: Any, y: Any) -> Any:
    z = X @ w + b
    return 2 / len(y) * X.T @ ((np.maximum(z, 0) - y) * (z > 0))


def without_mask(X: Any, w: Any, b: Any, y: Any) -> Any:
    return 2 / len(y) * X.T @ (np.maximum(X @ w + b, 0) - y)


def one_coordinate_off(**given: Any) -> Any:
    value = gradient(**given).copy()
    value[1] *= 1.001
    return value


def data() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"X": rng.normal(size=(5, 3)), "w": rng.normal(size=3), "b": 0.1, "y": rng.normal(size=5)}


@pytest.mark.parametrize("given", [None, data()], ids=["random points", "own data"])
@pytest.mark.parametrize(
    ("function", "verdict", "diagnosis"),
    [(gradient, "equal", None), (without_mask, "wrong", "mask"), (one_coordinate_off, "wrong", "other")],
)
def test_functions(
    function: Callable[..., Any], verdict: str, diagnosis: str | None, given: dict[str, Any] | None
) -> None:
    found = cr.check(NEURON, wrt="w", claim=function, shapes=SHAPES, data=given)
    assert (found.verdict, found.diagnosis) == (verdict, diagnosis)


def test_wrong_coordinates_are_named() -> None:
    found = cr.check(NEURON, wrt="w", claim=one_coordinate_off, shapes=SHAPES, data=data())
    assert "At the data given: 1 of 3 entries differ: entry [2] is" in found.text
    assert "(0.1 % too large)" in found.text


def test_data_may_leave_out_variables() -> None:
    part = {"X": data()["X"], "y": data()["y"]}
    assert cr.check(NEURON, wrt="w", claim=gradient, shapes=SHAPES, data=part)
    with pytest.raises(ChainruleError, match="the size n is not known"):
        cr.check(NEURON, wrt="w", claim=gradient, shapes=SHAPES, data={"y": data()["y"]})


def test_data_whose_sizes_do_not_fit_are_refused_with_the_sizes() -> None:
    with pytest.raises(ChainruleError, match="the size N is 5 in X and 4 in y"):
        cr.check(NEURON, wrt="w", claim=gradient, shapes=SHAPES, data={**data(), "y": np.ones(4)})


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (lambda q: q, "takes q, which the formula does not have"),
        (lambda w: 1 / 0, "failed: ZeroDivisionError"),
        (lambda w: "text", "does not return an array of numbers"),
        (lambda w: 1j * w, "its numbers are complex"),
        (lambda w: None, "returns nothing"),
        (lambda w: np.float16(2) * w.astype(np.float16), "float16 has too few digits"),
        (3j, "a claim is a formula, a function or numbers"),
        ({1, 2}, "a claim is a formula, a function or numbers"),
        (None, "there is no claim"),
        ("2*q", "the formula has no variable q"),
        ("2 +", "the formula ends"),
        ("", "the formula is empty"),
    ],
)
def test_what_cannot_be_read_is_refused(claim: Any, message: str) -> None:
    with pytest.raises(ChainruleError, match=message):
        cr.check("sum(w**2)", wrt="w", claim=claim, shapes="w[n]")


@pytest.mark.parametrize(
    ("formula", "wrt", "claim", "at", "verdict", "diagnosis"),
    [
        ("x**2*y", "x", "12", "x=3,y=2", "equal", None),
        ("x**2*y", "x", "6", "x=3,y=2", "wrong", "factor"),
        ("x**2*y", "[x,y]", "[12, 9]", "x=3,y=2", "equal", None),
        ("x**2*y", "[x,y]", [12, 9.01], {"x": 3, "y": 2}, "wrong", "other"),
        ("sin(x)", "x", "0.540", "x=1", "equal", None),
        ("sin(x)", "x", "0.541", "x=1", "wrong", "other"),
        ("sin(x)", "x", 0.5403023, {"x": 1}, "equal", None),
        ("x + x**2", "x", "6", "x=3", "wrong", "plain-chain"),
        ("A @ x", "x", "[[1, 3], [2, 4]]", "A=[[1, 2], [3, 4]],x=[1, 1]", "layout", "layout"),
    ],
)  # fmt: skip
def test_numbers_at_a_point(
    formula: str, wrt: str, claim: Any, at: Any, verdict: str, diagnosis: str | None
) -> None:
    shapes = "A[m,n] x[n]" if "@" in formula else None
    found = cr.check(formula, wrt=wrt, claim=claim, at=at, shapes=shapes)
    assert (found.verdict, found.diagnosis) == (verdict, diagnosis), found.text


def test_expressions() -> None:
    A, x = cr.variables("A[n,n] x[n]")
    assert cr.check(x @ A @ x, wrt=x, claim=(A + A.T) @ x).verdict == "equal"
    found = judge(2 * A @ x, (A + A.T) @ x, of=x @ A @ x, wrt=(x,))  # type: ignore[arg-type]
    assert (found.verdict, found.diagnosis, found.assumption) == ("assumption", "symmetric", "A is symmetric")


def test_json() -> None:
    found = cr.check("x @ A @ x", wrt="x", claim="2*A@x", shapes="A[n,n] x[n]")
    fields = json.loads(found.to_json())
    assert fields["verdict"] == found.verdict == "assumption"
    assert fields["diagnosis"] == found.diagnosis == "symmetric"
    assert fields["assumption"] == found.assumption == "A is symmetric"
    assert fields["text"] == str(found) == found.text
    assert fields["diagnoses"][0]["code"] == "symmetric" and fields["diagnoses"][0]["text"]
    assert not found and bool(cr.check("x**2", wrt="x", claim="2x"))


@pytest.mark.parametrize(
    ("formula", "shapes", "claim", "code"),
    [
        ("x @ A @ x", "A[n,n] x[n]", "2*A", "symmetric"),
        ("x @ A @ x", "A[n,n] x[n]", "A", "path"),
        ("sum(exp(x))", "x[n]", "exp(x)", "diag"),
        ("sum(sin(x**2))", "x[n]", "diag(4*x**2*sin(x**2) + 2*cos(x**2))", "sign"),
        ("x**3", "x", "3*x", "factor"),
    ],
)
def test_second_derivatives(formula: str, shapes: str, claim: str, code: str) -> None:
    assert cr.check(formula, wrt="x", claim=claim, shapes=shapes, order=2).diagnosis == code


@pytest.mark.parametrize(
    ("formula", "shapes", "claim", "verdict"),
    [
        ("where(x > 1000000, x**2, x)", "x", "1", "wrong"),
        ("where(x > 0.0001, x**2, x)", "x", "2*x", "wrong"),
        ("where(x < -50, x**2, x)", "x", "1", "wrong"),
        ("sum(where(x > 1000000, x**2, x))", "x[n]", "where(x > 1000000, 2*x, 1)", "equal"),
        ("x**2/2", "x", "sqrt(x)**2", "assumption"),
        ("x**3", "x", "3*exp(2*log(x))", "assumption"),
        ("x**2", "x", "log(-1 - x**2)", "wrong"),
        ("log(x)", "x", "1/x", "equal"),
        ("sum(log(x))", "x[n]", "exp(-log(x))", "equal"),
        ("sum(b)", "b[n] x[n]", "x", "wrong"),
        ("relu(x)", "x", "relu(x)/x", "equal"),
        ("x*0", "x", "0", "equal"),
    ],
)
def test_where_points_could_deceive(formula: str, shapes: str, claim: str, verdict: str) -> None:
    found = cr.check(formula, wrt="x", claim=claim, shapes=shapes)
    assert found.verdict == verdict, found.text


@pytest.mark.parametrize(
    ("formula", "claim", "shapes"),
    [
        ("sigmoid(2*x)", "2*sigmoid(2*x)*(1 - sigmoid(2*x))", "x"),
        ("tanh(3*x)", "3*(1 - tanh(3*x))*(1 + tanh(3*x))", "x"),
        ("sum(tanh(W @ x))", "W.T @ (1 - tanh(W @ x)**2)", "W[m,n] x[n]"),
        ("sum(sigmoid(W @ x))", "W.T @ (s - s**2) where s = sigmoid(W @ x)", "W[m,n] x[n]"),
        ("logsumexp(x)", "exp(x - max(x))/sum(exp(x - max(x)))", "x[n]"),
        ("(x - 1)**5", "5*(x**4 - 4*x**3 + 6*x**2 - 4*x + 1)", "x"),
    ],
)
def test_rounding_where_functions_saturate_is_no_difference(formula: str, claim: str, shapes: str) -> None:
    assert cr.check(formula, wrt="x", claim=claim, shapes=shapes).verdict == "equal"


def test_long_products_do_not_pass_as_rounding() -> None:
    layers = "x"
    for _ in range(25):
        layers = f"tanh(W @ {layers} + b)"
    shapes = "W[n,n] b[n] x[n]"
    assert cr.check(f"sum({layers})", wrt="x", claim="x", shapes=shapes).verdict == "wrong"


TINY = ["1.001*({})", "({}) + 0.001"]


@pytest.mark.parametrize("form", TINY)
@pytest.mark.parametrize(
    ("formula", "shapes", "wrt"),
    [
        (NEURON, SHAPES, "w"),
        ("logdet(X)", "X[n,n]", "X"),
        ("norm(A @ x - b)", "A[m,n] x[n] b[m]", "x"),
        ("softmax(x)", "x[n]", "x"),
        ("sin(x)*exp(x)", "x", "x"),
    ],
)
def test_an_error_of_a_thousandth_is_never_right(formula: str, shapes: str, wrt: str, form: str) -> None:
    right = cr.derive(formula, wrt=wrt, shapes=shapes).numpy_source
    *lines, value = right.splitlines()
    claim = "\n".join([*lines, form.replace("{}", value)])
    assert cr.check(formula, wrt=wrt, claim=claim, shapes=shapes).verdict == "wrong"


@pytest.mark.parametrize("case", read("literature.txt")[::4], ids=lambda case: case.name)
def test_forms_of_the_literature_are_right(case: Any) -> None:
    for claim in [*case.literature, case.derivative.text, case.derivative.numpy_source]:
        found = cr.check(
            case["formula"], wrt=case["wrt"], claim=claim, shapes=case["shapes"] or None, order=case.order
        )
        assert found.verdict in ("equal", "layout"), (claim, found.text)


def test_other_says_where_and_by_how_much() -> None:
    found = cr.check("det(A)", wrt="A", claim="inv(A).T", shapes="A[n,n]")
    assert found.diagnosis == "other"
    assert "A factor is missing: det(A)." in found.text and "entries differ: entry [" in found.text
    found = cr.check("x*y + sin(x)", wrt="[x, y]", claim="[y + cos(x), -x]")
    assert found.diagnosis == "sign"


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "claim", "says"),
    [
        ("(y - a)**2", "y a", "a", "2", "A factor is missing: a − y."),
        ("(y - a)**2", "y a", "a", "-2", "A factor is missing: y − a."),
        ("x**2*sin(y)", "x y", "x", "2*x", "A factor is missing: sin(y)."),
        ("x**3", "x", "x", "3*x", "A factor is missing: x."),
        ("x**3", "x", "x", "3*x**3", "A factor is too many: x."),
        ("tanh(z)", "z", "z", "1 - tanh(z)", "A power is wrong: tanh(z) stands in place of tanh(z)²."),
        ("(x + 1)/(x - 1)", "x", "x", "-2/(x - 1)", "A factor is missing: 1/(x − 1)."),
        ("norm(x)", "x[n]", "x", "x", "A factor is missing: 1/‖x‖."),
        ("logsumexp(x)", "x[n]", "x", "exp(x)", "A factor is missing: 1/sum(exp(x))."),
        ("sum(a*x**2)", "a[n] x[n]", "x", "2*x", "A factor is missing: a."),
        ("sum((X @ w - y)**2)", "X[N,n] w[n] y[N]", "w", "2*X.T @ ones(N)", "A factor is missing: Xw − y."),
        (NEURON, SHAPES, "w", "2/N*X.T @ (X @ w + b > 0)",
         "A factor is missing: relu(z) − y where z = Xw + b."),
    ],
)  # fmt: skip
def test_a_factor_that_is_missing_is_named(
    formula: str, shapes: str, wrt: str, claim: str, says: str
) -> None:
    found = cr.check(formula, wrt=wrt, claim=claim, shapes=shapes)
    assert (found.verdict, found.diagnosis, found.diagnoses[0].text) == ("wrong", "other", says)


@pytest.mark.parametrize(
    ("formula", "shapes", "claim"),
    [
        ("exp(3*z)", "z", "exp(3*z)"),
        ("log(x**2 + 1)", "x", "1/(x**2 + 1)"),
        ("sum(sigmoid(W @ x))", "W[m,n] x[n]", "sigmoid(W @ x)*(1 - sigmoid(W @ x))"),
        ("tanh(W @ x)", "W[m,n] x[n]", "diag(1 - tanh(W @ x)**2)"),
    ],
)
def test_a_factor_that_is_an_inner_derivative_is_told_as_one(formula: str, shapes: str, claim: str) -> None:
    wrt = "z" if "z" in shapes else "x"
    assert cr.check(formula, wrt=wrt, claim=claim, shapes=shapes).diagnosis == "inner"


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "claim", "verdict"),
    [
        ("A @ X @ B", "A[m,n] X[n,p] B[p,q]", "X", "dX ↦ A dX B", "equal"),
        ("A @ X @ B", "A[m,n] X[n,p] B[p,q]", "X", "dY = A dX B", "equal"),
        ("A @ X @ B", "A[n,n] X[n,n] B[n,n]", "X", "B dX A", "wrong"),
        ("sum((X @ W - Y)**2)", "X[N,n] W[n,k] Y[N,k]", "W", "dL = 2 tr((XW − Y)ᵀ X dW)", "equal"),
        ("sum((X @ W - Y)**2)", "X[N,n] W[n,k] Y[N,k]", "W", "dL = tr((XW − Y)ᵀ X dW)", "wrong"),
        ("x**2", "x", "x", "dy = 2x dx", "equal"),
    ],
)
def test_differentials_and_maps_are_claims(
    formula: str, shapes: str, wrt: str, claim: str, verdict: str
) -> None:
    assert cr.check(formula, wrt=wrt, claim=claim, shapes=shapes).verdict == verdict


def test_a_claim_that_is_not_linear_in_the_differential_is_no_map() -> None:
    for claim in ("dX ↦ A dX B + A", "A dX B + A", "dX ↦ A (dX ⊙ dX) B"):
        with pytest.raises(ChainruleError):
            cr.check("A @ X @ B", wrt="X", claim=claim, shapes="A[n,n] X[n,n] B[n,n]")


def test_claims_by_entries_need_no_left_side() -> None:
    for claim in ("Σ_j (A_ij + A_ji) x_j", "Σⱼ (Aᵢⱼ + Aⱼᵢ) xⱼ", "A_ij x_j + A_ji x_j"):
        assert cr.check("x @ A @ x", wrt="x", claim=claim, shapes="A[n,n] x[n]").verdict == "equal"
    assert cr.check("A @ x", wrt="x", claim="A_ij", shapes="A[m,n] x[n]").verdict == "equal"
    assert cr.check("A @ x", wrt="x", claim="A_ji", shapes="A[n,n] x[n]").verdict == "layout"
    found = cr.check("x @ A @ x", wrt="x", claim="Σ_j A_ij x_j", shapes="A[n,n] x[n]")
    assert found.diagnosis == "path"


def test_what_a_teacher_would_not_say_is_not_said() -> None:
    found = cr.check("x**2*sin(x)", wrt="x", claim="2*x*cos(x)")
    assert "A product is not differentiated factor by factor" in found.text
    claim = "(x - m)*exp(-norm(x - m)**2/2)"
    found = cr.check("exp(-norm(x - m)**2/2)", wrt="x", claim=claim, shapes="x[n] m[n]")
    assert [d.code for d in found.diagnoses] == ["sign"]
    found = cr.check("x @ A @ y", wrt="A", claim="x * y", shapes="A[n,n] x[n] y[n]")
    assert "outer(x, y) is the matrix of all products" in found.text
    found = cr.check("x**2 - 9*x", wrt="x", claim="-15.8", at="x=-3")
    assert "the value is −15.8 in place of −15 (5.3 % too large)" in found.text
    for claim in ("(W @ x > 0)*W", "W @ diag(W @ x > 0)"):
        text = cr.check("relu(W @ x)", wrt="x", claim=claim, shapes="W[n,n] x[n]").text
        assert "not the right one" not in text and "transposed" not in text


def test_sides_of_equalities_are_claims() -> None:
    assert cr.check("9*(x + x**2)", wrt="x", claim="df/dx = 9(1 + 2x) = 9 + 18x")
    assert cr.check("9*(x + x**2)", wrt="x", claim="= 9(1 + 2x) = 9 + 18x")
    found = cr.check("9*(x + x**2)", wrt="x", claim="df/dx = 9(1 + 2x) = 9 + 2x")
    assert (found.verdict, found.diagnosis) == ("wrong", "factor")
    with pytest.raises(ChainruleError) as refused:
        cr.check("x**2", wrt="x", claim="∂f/∂x = 2*q")
    assert str(refused.value).splitlines()[1:3] == ["  ∂f/∂x = 2*q", "            ^"]


def test_a_point_says_nothing_about_a_formula() -> None:
    with pytest.raises(ChainruleError, match="a formula is compared everywhere"):
        cr.check("x**2", wrt="x", claim="2*x", at="x=1")


def test_a_wrong_derivative_of_chainrule_judges_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = cr.Derivative.check

    def failing(self: cr.Derivative, *given: Any, **options: Any) -> Any:
        raise cr.CheckFailed("planted")

    monkeypatch.setattr(cr.Derivative, "check", failing)
    with pytest.raises(cr.CheckFailed, match="planted"):
        cr.check("x**2", wrt="x", claim="2*x")
    monkeypatch.setattr(cr.Derivative, "check", broken)
    assert cr.check("x**2", wrt="x", claim="2*x")


BY_W, BY_B = "(2/N) Xᵀ((Xw + b − y) ⊙ 1[Xw + b > 0])", "2/N*sum(relu(X @ w + b) - y)"


@pytest.mark.parametrize(
    "claim",
    [
        {"w": BY_W, "b": BY_B},
        {"b": BY_B, "w": BY_W},
        [BY_W, BY_B],
        [f"b: {BY_B}", f"w: {BY_W}"],
        [f"∂C/∂b = {BY_B}", f"∂C/∂w = {BY_W}"],
    ],
)
def test_claims_about_several_variables(claim: Any) -> None:
    found = cr.check(NEURON, wrt="w,b", claim=claim, shapes=SHAPES)
    assert isinstance(found, cr.CheckedAll) and not found
    assert (found["w"].verdict, found["b"].verdict) == ("equal", "wrong")
    assert (found.verdict, found.diagnosis) == ("wrong", "mask")
    assert found.text.startswith("w: Equal.\nb: Not equal.   claimed 2 sum(relu(z) − y)/N")
    fields = json.loads(found.to_json())
    assert [one["verdict"] for one in fields["checks"].values()] == ["equal", "wrong"]
    assert fields["text"] == str(found) and fields["verdict"] == "wrong"


def test_several_claims_that_are_right() -> None:
    both = cr.check("x**2*y", claim={"x": "2*x*y", "y": "x**2"})
    assert both and both.verdict == "equal" and list(both) == ["x", "y"]
    blocks = {"x,x": "2*y", ("x", "y"): "2*x", "y,x": "2*x", "y,y": "0"}
    assert cr.check("x**2*y", wrt="x,y", order=2, claim=blocks)
    assert cr.check("x**2*y", wrt="x,y", claim={"x": 12, "y": 9}, at="x=3,y=2")
    assert cr.check("x**2*y", wrt="x,y", claim=lambda x, y: (2 * x * y, x**2))
    assert cr.check("x**2*y", wrt="x,y", claim=lambda x, y: {"y": x**2, "x": 2 * x * y})
    assert cr.check("x**2*y", wrt="x", claim={"x": "2*x*y"})


@pytest.mark.parametrize(
    ("wrt", "claim", "message"),
    [
        ("x,y", "y", "2 derivatives were asked for, and 1 claim was given"),
        ("x", ["2*x*y", "x**2"], "1 derivative was asked for, and 2 claims were given"),
        ("x,y", {"x": "2*x*y"}, "there is no claim about y"),
        ("x,y", {"x": "2*x*y", "z": "x**2"}, "a claim about z, by which nothing was differentiated"),
        ("x,y", ["x: 2*x*y", "x: x**2"], "two claims about x"),
        ("x,y", lambda x, y: 2 * x * y, "returns 2 arrays"),
    ],
)
def test_each_variable_has_one_claim(wrt: str, claim: Any, message: str) -> None:
    with pytest.raises(ChainruleError, match=message):
        cr.check("x**2*y", wrt=wrt, claim=claim)


def test_a_gradient_by_a_matrix_in_numerator_layout_is_told_as_such() -> None:
    found = cr.check("logdet(X)", wrt="X", claim="inv(X)", shapes="X[n,n]")
    assert found.verdict == "layout" and "It is the answer in numerator layout" in found.text
    assert cr.check("logdet(X)", wrt="X", claim="inv(X).T", shapes="X[n,n]").verdict == "equal"
    jacobian = cr.check("A @ x", wrt="x", claim="A.T", shapes="A[m,n] x[n]")
    assert jacobian.verdict == "layout" and "the transpose of the answer in numerator layout" in jacobian.text


def test_a_function_that_writes_into_its_arguments_changes_nothing() -> None:
    def zeroing(X: Any, w: Any, y: Any) -> Any:
        X *= 0
        return X.T @ (X @ w - y)

    data = {"X": np.ones((3, 2)), "w": np.ones(2), "y": np.zeros(3)}
    shapes = "X[N,n] w[n] y[N]"
    assert cr.check("sum((X @ w - y)**2)", wrt="w", claim=zeroing, shapes=shapes).verdict == "wrong"
    found = cr.check("sum((X @ w - y)**2)", wrt="w", claim=zeroing, shapes=shapes, data=data)
    assert found.verdict == "wrong" and data["X"].all()


@pytest.mark.parametrize(
    "claim", ["1/cosh(x)**2", "4/(exp(x) + exp(-x))**2", "4*exp(2*x)/(exp(2*x) + 1)**2", "1 - tanh(x)**2"]
)
def test_a_cancellation_in_the_correct_answer_is_no_mistake(claim: str) -> None:
    assert cr.check("tanh(x)", wrt="x", claim=claim, shapes="x").verdict == "equal"
    assert cr.check("tanh(x)", wrt="x", claim=f"1.001*({claim})", shapes="x").verdict == "wrong"


@pytest.mark.parametrize(
    ("formula", "shapes", "claim", "says"),
    [
        ("sin(cos(x))", "x", "-sin(x)", "The outer derivative is missing: that of sin(cos(x)) by cos(x)."),
        ("norm(x)**2", "x[n]", "x/norm(x)", "The outer derivative is missing: that of ‖x‖² by ‖x‖."),
        ("sum(exp(A@x))", "A[m,n] x[n]", "A.T @ ones(m)", "The outer derivative is missing"),
        ("softmax(x)", "x[n]", "diag(softmax(x)*(1-softmax(x)))", "Only the diagonal is there"),
        ("softmax(x)", "x[n]", "softmax(x)*(1-softmax(x))", "Only the diagonal is there"),
    ],
)
def test_what_has_no_code_is_told_all_the_same(formula: str, shapes: str, claim: str, says: str) -> None:
    found = cr.check(formula, wrt="x", claim=claim, shapes=shapes)
    assert (found.verdict, found.diagnosis) == ("wrong", "other"), found.text
    assert says in found.text


def test_a_long_path_is_told_by_its_ends() -> None:
    found = cr.check("cross_entropy(z, t)", wrt="z", claim="softmax(z)", shapes="z[n] t:integer(n)")
    assert found.diagnosis in ("path", "plain-chain") and " → … → " in found.text
    assert max(map(len, found.text.split("\n"))) < 360


def test_kronecker_products_are_told_in_the_nearest_order() -> None:
    shapes = "A[m,n] X[n,p] B[p,q]"
    assert "Bᵀ belongs in place of B" in cr.check("A@X@B", wrt="X", claim="A ⊗ B", shapes=shapes).text
