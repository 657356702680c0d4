"""What a compiled function accepts, infers and refuses."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen.compiled import CompiledFunction
from chainrule.codegen.load import compile_expressions
from chainrule.errors import ArrayMismatch, ChainruleError
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable, zeros
from chainrule.language import parse_formula


def compiled(text: str, shapes: str, **options: Any) -> CompiledFunction:
    parsed = parse_formula(text, shapes)
    return compile_expressions(parsed.expr, list(parsed.variables.values()), **options)


X, W = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0])
LOSS = ("mean((y - X @ w - b)**2)", "X[N,n] w[n] b y[N] unused[n]")


def test_numbers_come_back_as_numbers_and_arrays_as_arrays() -> None:
    loss = compiled(*LOSS)(X=X, w=W, b=0.5, y=np.ones(3))
    assert isinstance(loss, np.float64)
    assert loss == pytest.approx(2.25)
    product = compiled("X @ w", "X[N,n] w[n]")(X=X, w=W)
    assert isinstance(product, np.ndarray)
    assert product.dtype == np.float64
    assert isinstance(compiled("2 + 0*x", "x")(x=3), np.float64)


def test_lists_and_integers_become_floats() -> None:
    f = compiled("X @ w / 2", "X[N,n] w[n]")
    assert f(X=[[1, 2], [3, 4]], w=[1, 0]).tolist() == [0.5, 1.5]
    assert f(X=np.array([[1, 2]], dtype=np.uint8), w=[True, False]).tolist() == [0.5]
    assert compiled("x**-1", "x[n]")(x=np.array([1, 2])).tolist() == [1.0, 0.5]


def test_float32_is_kept() -> None:
    small = np.float32
    f = compiled("mean((y - X @ w - b)**2) * X", "X[N,n] w[n] b y[N]")
    out = f(X=X.astype(small), w=W.astype(small), b=0.5, y=np.ones(3, small))
    assert out.dtype == small
    assert f(X=X.astype(small), w=W.astype(small), b=small(0.5), y=np.ones(3, small)).dtype == small
    assert f(X=X.astype(small), w=W, b=0.5, y=np.ones(3, small)).dtype == np.float64
    assert compiled("(x > 0) + eye(n) @ x", "x[n]")(x=np.ones(2, small)).dtype == small
    assert compiled("x", "x[n]")(x=np.ones(2, np.float16)).dtype == small
    assert compiled("diag(x) + 1", "x[n]")(x=np.ones(2, small)).dtype == small


def test_unused_variables_may_be_given_or_left_out() -> None:
    f = compiled(*LOSS)
    values = {"X": X, "w": W, "b": 0.5, "y": np.ones(3)}
    assert f(**values) == f(**values, unused=[1, 2])
    with pytest.raises(ArrayMismatch, match="unused"):
        f(**values, unused=[1, 2, 3])


def test_nothing_given_is_shared_with_what_comes_back() -> None:
    x = np.ones(3)
    A = np.ones((3, 3))
    for text in ("x", "x[1:]", "x.T", "eye(n) @ x", "stop(x)", "diag(diag(x))"):
        out = compiled(text, "x[n]")(x=x)
        out[...] = 7
        assert (x == 1).all(), text
    for text in ("A", "A.T", "diag(A)", "A[0]", "vec(A)", "vec(A.T)", "A[:, 1:]", "A + 0", "A + eye(n)"):
        out = compiled(text, "A[n,n]")(A=A)
        out[...] = 7
        assert (A == 1).all(), text


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_passes_through_unless_refused() -> None:
    x = [1.0, np.nan, -np.inf]
    assert np.array_equal(compiled("relu(x) * 2", "x[n]")(x=x), [2, np.nan, 0], equal_nan=True)
    assert np.isnan(compiled("sum(x * (x > 0))", "x[n]")(x=x))
    with pytest.raises(ArrayMismatch, match="NaN"):
        compiled("x", "x[n]", check_finite=True)(x=x)
    assert compiled("x", "x[n]", check_finite=True)(x=[1.0]).tolist() == [1.0]


def test_empty_arrays() -> None:
    assert compiled("X @ w", "X[N,n] w[n]")(X=np.zeros((0, 2)), w=[1, 2]).shape == (0,)
    assert compiled("sum(x**2)", "x[n]")(x=[]) == 0


class TestSizes:
    def test_sizes_that_no_array_shows_must_be_given(self) -> None:
        f = compiled("n * x + ones(n)", "x w[n]")
        with pytest.raises(ArrayMismatch, match="size n") as caught:
            f(x=1.0)
        assert "n=5" in caught.value.hint
        assert f(x=1.0, n=2).tolist() == [3.0, 3.0]
        assert f(x=1.0, w=[0, 0]).tolist() == [3.0, 3.0]

    def test_sizes_may_be_given_and_are_checked(self) -> None:
        f = compiled("X @ w", "X[N,n] w[n]")
        assert f(X=X, w=W, n=2, N=3).shape == (3,)
        with pytest.raises(ArrayMismatch, match="n = 2, but n=4 was given"):
            f(X=X, w=W, n=4)
        with pytest.raises(ArrayMismatch, match="whole number"):
            f(X=X, w=W, n=2.5)
        with pytest.raises(ArrayMismatch, match="whole number"):
            f(X=X, w=W, n="2")

    def test_polynomials_are_solved_where_they_can_be(self) -> None:
        n, m = Dim.of("n"), Dim.of("m")
        wide = Variable("u", (n + Dim.of(1),))
        f = compile_expressions(zeros((n,)), [wide])
        assert f(u=np.zeros(5)).shape == (4,)
        both = compile_expressions(zeros((n, m)), [Variable("a", (m * n,)), Variable("b", (m,))])
        assert both(a=np.zeros(6), b=np.zeros(2)).shape == (3, 2)
        with pytest.raises(ArrayMismatch, match="no n makes"):
            both(a=np.zeros(7), b=np.zeros(2))
        square = compile_expressions(zeros((n,)), [Variable("a", (n * n + n,))])
        assert square(a=np.zeros(12)).shape == (3,)
        with pytest.raises(ArrayMismatch, match=r"n \+ 1 = 3 is needed"):
            compile_expressions(wide.sum() + Variable("x", (n,)).sum())(u=np.zeros(4), x=np.zeros(2))

    def test_integers_are_checked(self) -> None:
        f = compiled("sum(x)", "x[3]")
        assert f(x=[1, 2, 3]) == 6
        with pytest.raises(ArrayMismatch, match=r"x\[3\] was given shape \(2,\)"):
            f(x=[1, 2])


class TestRefusals:
    def message(self, given: dict[str, Any], text: str = LOSS[0], shapes: str = LOSS[1]) -> str:
        with pytest.raises(ArrayMismatch) as caught:
            compiled(text, shapes)(**given)
        assert isinstance(caught.value, ChainruleError)
        return str(caught.value)

    def good(self, **changed: Any) -> dict[str, Any]:
        return {"X": X, "w": W, "b": 0.5, "y": np.ones(3), **changed}

    def test_too_many_axes(self) -> None:
        text = self.message(self.good(X=np.zeros((3, 4, 5))))
        assert "X[N, n] has 2 axes" in text
        assert "(3, 4, 5)" in text

    def test_two_arrays_that_disagree(self) -> None:
        text = self.message(self.good(w=np.ones(3)))
        assert "w[n] was given shape (3,), n = 3" in text
        assert "X[N, n] has n = 2" in text

    def test_a_scalar_is_no_array_of_one(self) -> None:
        assert "b has no axes" in self.message(self.good(b=[0.5]))

    def test_a_name_that_does_not_exist(self) -> None:
        text = self.message(self.good(x=X))
        assert "there is no variable x" in text
        assert "did you mean X" in text
        assert "X[N, n], w[n], b, y[N]" in text

    def test_a_name_that_is_missing(self) -> None:
        text = self.message({"X": X, "w": W})
        assert "b and y are missing" in text

    def test_arrays_without_a_name(self) -> None:
        with pytest.raises(ArrayMismatch, match="by name"):
            compiled(*LOSS)(X, W)

    @pytest.mark.parametrize(
        ("value", "word"),
        [
            (np.ones(2) * 1j, "complex"),
            (np.array(["a", "b"]), "numbers"),
            (np.array([None, 1.0], dtype=object), "numbers"),
            ([[1, 2], [3]], "cannot be made"),
            (np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"), "numbers"),
            ("text", "numbers"),
            (None, "numbers"),
        ],
    )
    def test_what_is_not_an_array_of_real_numbers(self, value: Any, word: str) -> None:
        text = self.message(self.good(w=value))
        assert "w[n]" in text
        assert word in text

    def test_sizes_are_data(self) -> None:
        with pytest.raises(ArrayMismatch) as caught:
            compiled(*LOSS)(**self.good(w=np.ones(3)))
        assert caught.value.sizes["w"] == "(3,)"


def test_it_says_what_it_takes() -> None:
    f = compiled(*LOSS)
    parameters = inspect.signature(f).parameters
    assert list(parameters)[:4] == ["X", "w", "b", "y"]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters.values())
    assert "X[N, n]" in (f.__doc__ or "")
    assert "compiled function" in repr(f)


def test_the_source_runs_by_itself() -> None:
    f = compiled("unit(softmax(x))", "x[n]")
    namespace: dict[str, Any] = {}
    exec(f.__source__, namespace)
    assert np.allclose(namespace["derivative"](W), f(x=W))


@pytest.mark.parametrize(
    "text",
    ["x[5]", "x[-5]", "x[n - 5]", "mean(x[:5])", "sum(x[-5:])", "x[m]", "sum(x[:m])", "x[1:-m]", "x[4:0:-1]"],
)
def test_arrays_too_small_for_an_index_are_refused(text: str) -> None:
    """NumPy would wrap around, or cut the slice short although its size stands in the formula."""
    f = compiled(text, "x[n] y[m]")
    assert np.all(np.isfinite(f(x=np.arange(9.0), y=np.ones(5))))
    with pytest.raises(ArrayMismatch, match="outside an axis of 3"):
        f(x=np.arange(3.0), y=np.ones(5))


def test_an_empty_slice_is_a_slice() -> None:
    f = compiled("sum(x[1:-1])", "x[n]")
    assert f(x=np.ones(2)) == 0
    with pytest.raises(ArrayMismatch):
        f(x=np.ones(1))


def test_masked_entries_are_no_numbers() -> None:
    f = compiled("sum(x)", "x[n]")
    assert f(x=np.ma.masked_array([1.0, 2.0], [False, False])) == 3
    with pytest.raises(ArrayMismatch, match="masked"):
        f(x=np.ma.masked_array([1.0, 2.0], [False, True]))


def test_a_diagonal_is_an_array_of_its_own() -> None:
    f = cr.derive("logdet(diag(d) + U @ U.T)", wrt="d", shapes="U[n,k] d[n]").compile()
    result = f(U=np.ones((3, 1)), d=np.ones(3))
    result += 1
    assert result.base is None
