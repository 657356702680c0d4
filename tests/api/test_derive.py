"""derive() and what it returns: shapes, blocks, compiled functions, checks, mistakes with their data."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.verify import compare

NEURON, SHAPES = "mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]"


def one(*arguments: object, **options: object) -> cr.Derivative:
    d = cr.derive(*arguments, **options)
    assert isinstance(d, cr.Derivative)
    return d


def several(*arguments: object, **options: object) -> cr.Derivatives:
    d = cr.derive(*arguments, **options)
    assert isinstance(d, cr.Derivatives)
    return d


def data() -> dict[str, np.ndarray | float]:
    rng = np.random.default_rng(0)
    return {"X": rng.normal(size=(5, 3)), "w": rng.normal(size=3), "b": 0.1, "y": rng.normal(size=5)}


# ---------------------------------------------------------------- shapes and forms


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "order", "shape"),
    [
        ("x @ A @ x", "A[n,n] x[n]", "x", 1, ("n",)),
        ("x @ A @ x", "A[n,n] x[n]", "A", 1, ("n", "n")),
        ("x @ A @ x", "A[n,n] x[n]", "x", 2, ("n", "n")),
        ("A @ x", "A[m,n] x[n]", "x", 1, ("m", "n")),
        ("A @ X @ B", "A[p,m] X[m,n] B[n,q]", "X", 1, ("p", "q", "m", "n")),
        ("concat(x, y)", "x[n] y", "x", 1, ("n + 1", "n")),
        ("[x**2*y, x]", "x y", "[x, y]", 1, (2, 2)),
        ("x**2*y", "x y", "[x, y]", 2, (2, 2)),
        ("sum(x**3)", "x[n]", "x", 3, ("n", "n", "n")),
        ("c", "c X[m,n]", "X", 1, ("m", "n")),
        ("x**9", "x", "x", 8, ()),
    ],
)
def test_shape_is_output_axes_then_input_axes(formula, shapes, wrt, order, shape) -> None:
    d = one(formula, wrt=wrt, shapes=shapes, order=order)
    assert d.shape == shape and d.order == order
    assert d.check(points=2).passed


def test_a_variable_that_does_not_occur_gives_zero() -> None:
    f = one("c", wrt="X", shapes="c X[m,n]").compile()
    np.testing.assert_array_equal(f(c=1, X=np.ones((2, 3))), np.zeros((2, 3)))
    np.testing.assert_array_equal(f(m=2, n=3), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("layout", "shape", "text"),
    [("numerator", (1, "n"), "2xᵀ"), ("denominator", ("n", 1), "2x"), ("shape", ("n", 1), "2x")],
)
def test_layouts_of_a_gradient(layout: str, shape: tuple[object, ...], text: str) -> None:
    d = one("x @ x", wrt="x", shapes="x[n]", layout=layout)
    assert d.layout_shape == shape and d.text == text and d.shape == ("n",)


def test_layouts_of_a_gradient_by_a_matrix() -> None:
    shapes = "a[m] X[m,n] b[n]"
    forms = {
        layout: one("a @ X @ b", wrt="X", shapes=shapes, layout=layout) for layout in ("numerator", "shape")
    }
    assert forms["numerator"].text == "baᵀ" and forms["numerator"].layout_shape == ("n", "m")
    assert forms["shape"].text == "abᵀ" and forms["shape"].layout_shape == ("m", "n")


def test_expressions_built_in_python_are_the_parsed_ones() -> None:
    X, w, b, y = cr.variables(SHAPES)
    built = one(((y - cr.relu(X @ w + b)) ** 2).mean(), wrt=w)
    assert built.expression is one(NEURON, wrt="w", shapes=SHAPES).expression
    assert built.names == ("w",) and "checked" in str(built)


def test_numpy_scalars_and_arrays_do_not_swallow_expressions() -> None:
    (x,) = cr.variables("x[n]")
    assert one((np.float64(2) * x).sum(), wrt=x).expression is one("sum(2*x)", "x", "x[n]").expression


# ---------------------------------------------------------------- several variables


def test_several_variables_are_a_mapping() -> None:
    d = several(NEURON, wrt="w,b", shapes=SHAPES)
    assert list(d) == ["w", "b"] and d["w"].shape == ("n",) and d["b"].shape == ()
    assert "w" in d and len(d) == 2
    values = data()
    found = d.compile()(**values)
    assert list(found) == ["w", "b"]
    np.testing.assert_allclose(found["w"], d["w"].compile()(**values))
    np.testing.assert_allclose(found["b"], d["b"].compile()(**values))


def test_wrt_may_list_variables_names_or_both() -> None:
    X, w, b, y = cr.variables(SHAPES)
    formula = ((y - cr.relu(X @ w + b)) ** 2).mean()
    for wrt in ([w, b], ["w", "b"], [w, "b"], "w,b", "w, b", ["w,b"]):
        assert list(cr.derive(formula, wrt=wrt)) == ["w", "b"]
    assert list(cr.derive(formula, wrt=[w])) == ["w"]
    assert several(formula, wrt=[w, b])[w].names == ("w",)


def test_order_two_with_several_variables_gives_blocks_keyed_by_pairs() -> None:
    d = several("x @ A @ x * z", wrt="x,z", shapes="A[n,n] x[n] z", order=2)
    assert list(d) == [("x", "x"), ("x", "z"), ("z", "x"), ("z", "z")]
    assert d["x", "z"].shape == ("n",) and d["z", "z"].shape == ()
    assert d["x", "z"].layout_shape == ("n", 1) and d["z", "x"].layout_shape == (1, "n")
    found = d.compile()(A=[[1.0, 2], [0, 1]], x=[1.0, 2], z=3.0)
    assert set(found) == set(d)
    np.testing.assert_allclose(found["x", "z"], found["z", "x"])
    assert d.check(points=2).passed and "∂²f/∂x∂z" in str(d)


def test_scalars_in_brackets_are_one_jacobian() -> None:
    d = one("[3*x**2*y, 2*x + y**8]", wrt="[x, y]")
    assert d.names == ("[x, y]",) and d.text == "[[6xy, 3x²], [2, 8y⁷]]"
    np.testing.assert_allclose(d.compile()(x=1, y=2), [[12, 3], [2, 1024]])
    gradient = one("x**2*y", wrt="[x, y]")
    assert gradient.layout_shape == (1, 2)
    np.testing.assert_allclose(one("x**2*y", wrt="[x, y]", order=2).compile()(x=1, y=2), [[4, 2], [2, 0]])


def test_joint_scalars_of_a_vector_formula_are_the_last_axis() -> None:
    d = one("a * x + b * y", wrt="[x, y]", shapes="a[n] b[n] x y")
    assert d.shape == ("n", 2)
    np.testing.assert_allclose(d.compile()(a=[1, 2], b=[3, 4]), [[1, 3], [2, 4]])


# ---------------------------------------------------------------- structures


def test_a_structure_simplifies_only_after_the_last_differentiation() -> None:
    plain = one("logdet(A)", wrt="A", shapes="A[n,n]", order=2).compile()
    structured = one("logdet(A)", wrt="A", shapes="A[n,n]:symmetric", order=2)
    A = np.array([[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(structured.compile()(A=A), plain(A=A))
    assert structured.check(points=5).passed


def test_structure_of_a_gradient() -> None:
    assert one("x @ A @ x", wrt="x", shapes="A[n,n]:symmetric x[n]", layout="shape").text == "2Ax"


# ---------------------------------------------------------------- the check


def test_check_reports_points_method_and_error() -> None:
    report = one(NEURON, wrt="w", shapes=SHAPES).check(points=7)
    assert report.points == 7 and report.worst < 1e-9 and "complex step" in report.method


def test_the_first_print_checks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    honest = compare.check_derivative

    def counted(*arguments, **options):
        calls.append(1)
        return honest(*arguments, **options)

    monkeypatch.setattr(compare, "check_derivative", counted)
    d = one(NEURON, wrt="w", shapes=SHAPES)
    assert not calls
    str(d), str(d), d.to_json(), d._repr_latex_()
    assert len(calls) == 1


def test_a_failed_check_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    d = one("x**2", wrt="x")
    d.chain = (3 * d.chain[0],)
    with pytest.raises(cr.CheckFailed, match="FAILED the check"):
        d.check()
    with pytest.raises(cr.CheckFailed):
        print(d)


def test_where_nothing_can_be_evaluated_the_print_says_so() -> None:
    assert "not checked: " in str(one("log(-1 - x**2)", wrt="x"))


def test_many_variables_are_checked_together() -> None:
    names = [f"W{k}" for k in range(10)]
    formula = "; ".join(["h0 = x", *(f"h{k + 1} = tanh(W{k} @ h{k})" for k in range(10)), "sum(h10)"])
    d = several(formula, wrt=names, shapes=" ".join(["x[n]", *(f"{w}[n,n]" for w in names)]))
    assert d.check().passed


# ---------------------------------------------------------------- at a point


def test_values_at_a_point() -> None:
    point = one("x**2 * y", wrt="x").at("x = 3, y = 1/2")
    assert point.value == 4.5 and point.derivatives == {("x",): 3.0}
    point = several(NEURON, wrt="w,b", shapes=SHAPES).at(data())
    assert point.derivatives[("w",)].shape == (3,)


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        ("A[n,n]:symmetric", [[1, 2], [2, 1]], [[1, 2], [0, 1]]),
        ("A[n,n]:diagonal", [[1, 0], [0, 2]], [[1, 2], [0, 1]]),
        ("A[n,n]:lower", [[1, 0], [1, 2]], [[1, 2], [0, 1]]),
        ("A[n,n]:upper", [[1, 3], [0, 2]], [[1, 2], [1, 1]]),
        ("A[n,n]:skew", [[0, 1], [-1, 0]], [[0, 1], [1, 0]]),
        ("A[n,n]:orthogonal", [[0, 1], [-1, 0]], [[1, 2], [0, 1]]),
        ("A[n,n]:spd", [[2, 1], [1, 2]], [[1, 2], [2, 1]]),
        ("A[n]:simplex", [0.5, 0.5], [0.5, 0.6]),
        ("A:positive", 1, 0),
        ("A:nonnegative", 0, -1),
        ("A:probability", 1, 2),
        ("A:sign", -1, 2),
        ("A[n]:{positive, integer}", [1, 2], [1.5, 2]),
    ],
)
def test_a_point_has_the_structure_that_is_declared(declared: str, good: object, bad: object) -> None:
    d = one("sum(A) * x", "x", f"{declared} x")
    assert np.allclose(d.at({"A": good, "x": 1}).derivatives[("x",)], np.sum(good))
    assert np.isnan(d.at({"A": np.full(np.shape(good), np.nan), "x": 1}).value)
    with pytest.raises(cr.ChainruleError, match="is declared"):
        d.at({"A": bad, "x": 1})


def test_a_point_without_a_value_is_refused() -> None:
    with pytest.raises(cr.ChainruleError, match="singular"):
        one("tr(inv(X))", "X", "X[n,n]").at("X=[[1, 2], [2, 4]]")


# ---------------------------------------------------------------- notebooks


def test_notebook_form() -> None:
    shown = one("x**2", wrt="x")._repr_latex_()
    assert shown.startswith("$") and r"\frac{" in shown and "checked" in shown.lower()
    assert several("x**2 * y", wrt="x,y")._repr_latex_().count(r"\frac") >= 2


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("kind", "formula", "options"),
    [
        (cr.SyntaxProblem, "(x", {"wrt": "x"}),
        (cr.UnknownName, "x", {"wrt": "y"}),
        (cr.ShapeMismatch, "A @ B", {"wrt": "A", "shapes": "A[m,n] B[m,n]"}),
        (cr.OptionError, "x", {"wrt": "x", "order": 0}),
        (cr.OptionError, "x", {"wrt": "x", "order": 9}),
        (cr.OptionError, "x", {"wrt": "x", "order": 1.5}),
        (cr.OptionError, "x", {"wrt": "x", "order": True}),
        (cr.OptionError, "x", {"wrt": "x", "layout": "rows"}),
        (cr.OptionError, "x", {"wrt": "x", "dialect": "julia"}),
        (cr.OptionError, "x", {"wrt": "x", "profile": "none"}),
        (cr.OptionError, "x", {"wrt": []}),
        (cr.OptionError, "x", {"wrt": [3]}),
        (cr.OptionError, 3, {"wrt": "x"}),
        (cr.OptionError, "x*y", {}),
        (cr.NoDerivative, "argmax(x)", {"wrt": "x", "shapes": "x[n]"}),
        (cr.LimitExceeded, "sum(x)" + "+a*b*c*d" * 2, {"wrt": "a,b,c,d", "order": 5}),
    ],
)
def test_mistakes_are_chainrule_errors(kind, formula, options) -> None:
    with pytest.raises(kind) as caught:
        cr.derive(formula, **options)
    assert isinstance(caught.value, cr.ChainruleError) and str(caught.value)


def test_errors_carry_their_data() -> None:
    with pytest.raises(cr.ShapeMismatch) as caught:
        cr.derive("A @ B", wrt="A", shapes="A[m,n] B[p,q]")
    error = caught.value
    assert [error.source[s.start : s.end] for s in error.spans] == ["A", "B"]
    assert error.sizes == {"A": "m×n", "B": "p×q"} and error.hint


def test_variables_of_one_name_must_be_one() -> None:
    (a,), (b,) = cr.variables("x[n]"), cr.variables("x[m]")
    with pytest.raises(cr.ShapeMismatch):
        cr.derive(a.sum() + b.sum(), wrt=a)
    with pytest.raises(cr.ShapeMismatch):
        cr.derive(a.sum(), wrt=b)
    (n,) = cr.variables("n")
    with pytest.raises(cr.ShapeMismatch):
        cr.derive(a.sum() * n, wrt=a)
    with pytest.raises(cr.OptionError):
        cr.derive((a * 2).sum(), wrt=a * 2)


def test_compiled_functions_refuse_what_does_not_fit() -> None:
    f = one(NEURON, wrt="w", shapes=SHAPES).compile()
    good = data()
    for bad in (
        {**good, "w": np.ones(4)},
        {**good, "w": np.ones((3, 1))},
        {**good, "w": np.ones(3) * 1j},
        {**good, "w": ["a", "b", "c"]},
        {**good, "W": np.ones(3)},
        {k: v for k, v in good.items() if k != "X"},
    ):
        with pytest.raises(cr.ArrayMismatch):
            f(**bad)
    nan = {**good, "w": np.array([np.nan, 0, 0])}
    assert np.isnan(f(**nan)).any()
    with pytest.raises(cr.ArrayMismatch):
        one(NEURON, wrt="w", shapes=SHAPES).compile(check_finite=True)(**nan)


# ---------------------------------------------------------------- the package


def test_functions_of_the_language_are_there() -> None:
    assert {"derive", "variables", "relu", "norm", "tr", "softmax"} <= set(dir(cr))
    with pytest.raises(AttributeError):
        cr.nonsense  # noqa: B018


def test_rooms_do_not_hide_functions() -> None:

    assert callable(cr.derive) and callable(cr.simplify)


def test_equal_and_simplify() -> None:
    assert cr.equal("tr(A @ B)", "tr(B @ A)").proved
    verdict = cr.equal("sin(x)**2 + cos(x)**2", "1 + 0*x")
    assert verdict
    assert not cr.equal("x", "x**2")
    X, y = cr.variables("X[m,n] y[n]")
    assert cr.equal(X @ y, "X @ y", "X[m,n] y[n]")
    assert str(cr.simplify("A.T.T @ inv(B) @ B", "A[m,n] B[n,n]")) == "A"


# ---------------------------------------------------------------- documents


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_json_of_blocks_points_and_values_that_json_lacks() -> None:
    d = several("log(x) * y", wrt="x,y", order=2)
    content = json.loads(d.to_json(d.at("x=0,y=1")))
    assert [entry["wrt"] for entry in content["derivatives"]] == [
        ["x", "x"],
        ["x", "y"],
        ["y", "x"],
        ["y", "y"],
    ]
    assert content["at"]["value"] == "-inf" and content["at"]["point"] == {"x": 0.0, "y": 1.0}
    assert content["at"]["derivatives"][1] == {"wrt": ["x", "y"], "value": "inf"}
    content = json.loads(one("a * x**2 + y", wrt="[x, y]", shapes="a[n] x y").to_json())
    assert content["derivatives"][0]["wrt"] == [["x", "y"]]
    vector = one("1/x", wrt="x", shapes="x[n]")
    assert json.loads(vector.to_json(vector.at("x=[0, 1]")))["at"]["value"] == ["inf", 1.0]


def test_json_says_why_nothing_was_checked() -> None:
    check = json.loads(one("log(-1 - x**2)", wrt="x").to_json())["check"]
    assert check["passed"] is None and check["reason"]


def test_json_of_a_matrix_by_a_matrix_has_its_vec_form() -> None:
    entry = json.loads(one("A @ X @ B", wrt="X").to_json())["derivatives"][0]
    assert entry["form"] == "index" and entry["layout_shape"] is None and "⊗" in entry["vec"]["text"]


def test_markdown_has_every_part_of_the_sheet() -> None:
    d = several(NEURON, wrt="w,b", shapes=SHAPES)
    text = d.to_markdown(d.at(data()))
    for wanted in (
        "$$",
        "| $X$ | N × n |",
        "Gradient in the shape of $w$",
        "where $z",
        "Not differentiable",
        "```",
    ):
        assert wanted in text
    assert r"\text{where }" in d.latex


def test_a_simplified_formula_prints_in_every_form() -> None:
    f = cr.simplify("p = softmax(x); outer(p, p) + diag(p)", "x[n]")
    assert str(f) == repr(f) == "ppᵀ + diag(p) where p = softmax(x)"
    assert f.shape == ("n", "n") and "where" in f.latex and f._repr_latex_().startswith("$")
    assert cr.equal(f.numpy_source, f.expression, "x[n]")


# ---------------------------------------------------------------- equality


def test_undeclared_names_have_one_shape_in_both_formulas() -> None:
    assert cr.equal("x @ x", "sum(x**2)")
    assert cr.equal("sum(x**2)", "x @ x")
    (x,) = cr.variables("x[n]")
    assert cr.equal("sum(x**2)", x @ x, "x[n]") and cr.equal(x @ x, "sum(x**2)")


def test_large_differences_are_summed_up() -> None:
    verdict = cr.equal("A @ B", "B @ A", "A[n,n] B[n,n]")
    assert not verdict and "the values differ" in str(verdict)


# ---------------------------------------------------------------- more about wrt


@pytest.mark.parametrize(
    ("wrt", "says"),
    [
        ("z", "is a part of the formula"),
        ("n", "is a size"),
        ("[]", "names no variable"),
        ("[a, a]", "twice"),
        ("w[", "lists"),
    ],
)
def test_wrt_is_explained(wrt: str, says: str) -> None:
    with pytest.raises(cr.ChainruleError, match=says.replace("[", r"\[")):
        cr.derive("z = w @ x; z * a", wrt=wrt, shapes="w[n] x[n] a")


def test_subscripts_in_wrt_mean_the_declared_name() -> None:
    assert one("x_1**2", wrt="x₁", shapes="x_1").names == ("x_1",)


# ---------------------------------------------------------------- absolute values and their kinks


@pytest.mark.parametrize(
    ("formula", "order", "answer", "kink"),
    [
        ("log(abs(x))", 1, "1/x", False),
        ("x/abs(x)", 1, "0", False),
        ("x*abs(x)", 1, "2 |x|", False),
        ("x*abs(x)", 2, "2 sign(x)", True),
        ("abs(x)**3", 2, "6 |x|", False),
        ("abs(x)**3", 3, "6 sign(x)", True),
        ("relu(x)**2", 1, "2 relu(x)", False),
        ("relu(x)**2", 2, "2 1[x > 0]", True),
        ("abs(x) + abs(x)**3", 1, "(3x² + 1) sign(x)", True),
    ],
)
def test_a_kink_is_named_only_where_the_formula_has_one(
    formula: str, order: int, answer: str, kink: bool
) -> None:
    d = one(formula, shapes="x", wrt="x", order=order)
    assert cr.equal(d.text, answer, "x").proved and d.check(points=3).passed
    times = {1: "", 2: "twice ", 3: "three times "}[order]
    assert (f"not {times}differentiable where x = 0" in str(d)) is kink
    assert ("differentiable" in str(d)) is kink


def test_a_cubed_norm_has_no_kink() -> None:
    assert "not differentiable" not in str(one("norm(x)**3", shapes="x[n]", wrt="x"))
    assert "not differentiable" in str(one("norm(x)", shapes="x[n]", wrt="x"))


def test_sizes_are_written_as_in_formulas() -> None:
    assert "(n − 1) × n" in str(one("x[1:]", shapes="x[n]", wrt="x"))
    assert "vector of 2n" in str(one("concat(x, x)", shapes="x[n]", wrt="x"))


def test_what_was_not_declared_is_told() -> None:
    verdict, simplest = cr.equal("A*x", "x*A"), cr.simplify("u + v")
    assert verdict.assumptions[0] == "Not declared, read as: A[m,n] x[n]."
    assert simplest.assumptions[0] == "Not declared, read as: u v."


@pytest.mark.parametrize(
    ("formula", "shapes", "answer"),
    [
        ("x/(1 + x)", "x", "1/(x + 1)²"),
        ("(x - 1)/(x + 1)", "x", "2/(x + 1)²"),
        ("(a*x + b)/(c*x + d)", "a b c d x", "(ad − bc)/(cx + d)²"),
        ("x/sqrt(1 + x**2)", "x", "1/(x² + 1)^(3/2)"),
        ("sin(x)/x", "x", "(x cos(x) − sin(x))/x²"),
        ("arctan(y/x)", "x y", "−y/(x² + y²)"),
        ("1/x + 1/x**2", "x", "−2/x³ − 1/x²"),
        ("x/(1 + x)", "x[n]", "diag(1 ⊘ (x + 1)²)"),
    ],
)
def test_fractions_stand_over_one_denominator_where_that_is_shorter(
    formula: str, shapes: str, answer: str
) -> None:
    d = one(formula, shapes=shapes, wrt="x")
    assert d.text == answer and d.check(points=3).passed


def test_a_quadratic_form_keeps_its_sign_in_front() -> None:
    d = one("exp(-(x - mu) @ inv(S) @ (x - mu)/2)", shapes="x[n] mu[n] S[n,n]:spd", wrt="mu", layout="shape")
    assert d.sheet.written_formula.text == "exp(−(1/2) (x − μ)ᵀS⁻¹(x − μ))"
    assert d.text == "exp(−(1/2) (x − μ)ᵀS⁻¹(x − μ)) S⁻¹(x − μ)"


def test_a_root_is_written_as_one() -> None:
    assert one("sqrt(x @ x + 1)", shapes="x[n]", wrt="x").sheet.written_formula.text == "√(xᵀx + 1)"


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("maximum(x, y)", "x = y in some entry; at a tie x has the whole weight"),
        ("minimum(y, x)", "y = x in some entry; at a tie y has the whole weight"),
        ("maximum(3, x)", "x = 3 in some entry; at a tie the constant has the whole weight"),
        ("max(X, axis=0) * x", "two entries of a column of X are largest"),
        ("max(X, axis=1) * x", "two entries of a row of X are largest"),
    ],
)
def test_ties_say_who_has_the_weight(formula: str, says: str) -> None:
    assert says in str(one(formula, shapes="x[n] y[n] X[n,n]", wrt="X" if "X" in formula else "x"))


def test_too_many_axes_are_refused() -> None:
    with pytest.raises(cr.LimitExceeded, match="64 axes"):
        cr.derive("sum(T)", wrt="T", shapes="T[a,b,c,d,e,f,g,h]", order=8)
    with pytest.raises(cr.LimitExceeded, match="13 axes"):
        cr.derive("[" * 150 + "x" + "]" * 150, wrt="x")


def test_a_notebook_shows_the_columns_of_a_matrix() -> None:
    shown = one("[3*x**2*y, 2*x + y**8]", wrt="[x, y]")._repr_latex_()
    assert r"\begin{pmatrix} 6 x y & 3 x^{2} \\ 2 & 8 y^{7} \end{pmatrix}" in shown
    assert shown.count("&") == 2


def test_a_choice_may_join_smoothly() -> None:
    huber = one("where(abs(r) < 1, r**2/2, abs(r) - 1/2)", wrt="r")
    assert "differentiable" not in str(huber)
    broken = one("where(abs(r) < 1, r**2/2, abs(r))", wrt="r")
    assert "\nnot differentiable where |r| = 1; the condition jumps" in str(broken)
    assert "perhaps" not in str(one("abs(r)", wrt="r"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wrt": 3}, "wrt is a name, a variable or a list of these, not int"),
        ({"wrt": "x", "shapes": 5}, "shapes are a text or a mapping, not int"),
    ],
)
def test_options_of_a_wrong_kind_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(cr.OptionError, match=message):
        cr.derive("x**2", **options)


@pytest.mark.parametrize("points", [0, -1, True, 2.5])
def test_a_check_at_no_point_is_refused(points: Any) -> None:
    with pytest.raises(cr.OptionError, match="at one point or more"):
        cr.derive("x**2", wrt="x").check(points=points)


def test_nan_at_a_point_is_told_in_words():
    told = cr.derive("sin(x)/x", wrt="x").sheet
    point = cr.derive("sin(x)/x", wrt="x").at("x=0")
    assert point.undefined
    assert "no value there" in told.point_lines(point)[-1]
    assert not cr.derive("sin(x)/x", wrt="x").at("x=1").undefined
    assert not cr.derive("x*y", wrt="x").at({"x": float("nan"), "y": 1}).undefined
