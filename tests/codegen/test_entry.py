"""The quick way into a compiled function gives what the careful one gives, for variables of any name."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen.entry import BUFFER
from chainrule.codegen.load import NumPyFunction
from chainrule.errors import ArrayMismatch, DomainProblem


def compiled(formula: str, shapes: str, wrt: str, order: int = 1) -> Any:
    return cr.derive(formula, wrt=wrt, shapes=shapes, order=order).compile()


def carefully(function: Any, **given: Any) -> Any:
    return NumPyFunction.__call__(function, **given)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and one.dtype == other.dtype and np.array_equal(one, other)


class TestQuick:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_gives_what_the_careful_way_gives(self, dtype: Any) -> None:
        draw = np.random.default_rng(0)
        f = compiled("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w,b")
        given = {"X": draw.normal(size=(5, 3)), "w": draw.normal(size=3), "y": draw.normal(size=5)}
        given = {name: array.astype(dtype) for name, array in given.items()}
        result = f(**given, b=0.5)
        assert same(result, carefully(f, **given, b=0.5))
        assert result["w"].dtype == dtype and result["b"].dtype == dtype
        assert same(f(**given, b=1), f(**given, b=1.0))

    def test_does_not_take_the_careful_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        f = compiled("x @ A @ x", "A[n,n] x[n]", "x")
        monkeypatch.setattr(NumPyFunction, "careful", lambda *_: "careful")
        assert f(A=np.eye(2), x=np.ones(2)).tolist() == [2, 2]
        assert f(A=np.eye(3), x=np.ones(2)) == "careful"
        assert f(A=np.eye(2), x=[1, 2]) == "careful"
        assert f(A=np.eye(2), x=np.ones(2), n=2) == "careful"

    def test_arrays_that_are_not_needed_may_show_sizes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        f = compiled("sum((T - U @ V.T)**2)", "T[n,m] U[n,k] V[m,k]", "U", 2)
        given = {"T": np.ones((3, 4)), "U": np.ones((3, 2)), "V": np.ones((4, 2))}
        assert same(f(**given), f(V=given["V"], n=3))
        with pytest.raises(ArrayMismatch, match="n = 3"):
            f(**{**given, "T": np.ones((2, 4))})
        monkeypatch.setattr(NumPyFunction, "careful", lambda *_: "careful")
        assert f(**given).shape == (3, 2, 3, 2)
        assert f(V=given["V"], n=3) == "careful"

    @pytest.mark.parametrize("names", [("self", "out"), ("_x", "__y"), ("double", "result"), ("lam", "in_")])
    def test_takes_variables_of_any_name(self, names: tuple[str, str]) -> None:
        a, b = names
        f = compiled(f"sum({a} * {b}**2)", f"{a}[n] {b}[n]", b)
        given = {a: np.array([1.0, 2]), b: np.array([3.0, 4])}
        assert f(**given).tolist() == [6, 16]

    def test_refuses_labels_out_of_range(self) -> None:
        f = compiled("cross_entropy(z, c)", "z[N,k] c[N]:integer(k)", "z")
        z = np.zeros((2, 3))
        assert f(z=z, c=np.array([0, 2])).shape == (2, 3)
        for wrong in ([0, 3], [-1, 0]):
            with pytest.raises(ArrayMismatch, match="out of range"):
                f(z=z, c=np.array(wrong))

    def test_sizes_by_other_sizes(self) -> None:
        f = compiled("sum(concat(x, y) * z**2)", "x[n] y[m] z[n + m]", "z")
        assert f(x=np.ones(2), y=np.ones(1), z=np.ones(3)).tolist() == [2, 2, 2]
        with pytest.raises(ArrayMismatch):
            f(x=np.ones(2), y=np.ones(1), z=np.ones(4))


@pytest.mark.filterwarnings("error")
class TestUndefined:
    def test_nan_is_told_by_flags(self) -> None:
        f = compiled("sum(log(x))", "x[n]", "x", 2)
        assert f(x=np.ones(2)).tolist() == [[-1, 0], [0, -1]]
        g = compiled("sum(x * log(x))", "x[n]", "x")
        with pytest.raises(DomainProblem, match="not defined"):
            g(x=np.array([1.0, -1.0]))
        h = compiled("sum(x * log(x)) + sum(y)", "x[n] y[m]", "x")
        with pytest.raises(DomainProblem, match="not defined"):
            h(x=np.array([1.0, -1.0]))
        with np.errstate(all="raise"):
            assert np.isfinite(g(x=np.array([1.0, 1e-300]))).all()

    def test_in_threads(self) -> None:
        f = compiled("sum(x * log(x))", "x[n]", "x")

        def one(k: int) -> bool:
            x = np.ones(50)
            x[0] = -1.0 if k % 2 else 1.0
            try:
                return not np.isnan(f(x=x)).any() and not k % 2
            except DomainProblem:
                return bool(k % 2)

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(one, range(400)))

    def test_nan_of_linear_algebra(self) -> None:
        f = compiled("logdet(A)", "A[n,n]", "A")
        with pytest.raises(DomainProblem, match="singular"):
            f(A=np.zeros((2, 2)))


class TestBuffer:
    def test_is_small_in_a_call_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        f = compiled("softmax(x)", "x[n]", "x")
        seen = []
        real = np.exp
        monkeypatch.setattr(np, "exp", lambda *a, **k: (seen.append(np.getbufsize()), real(*a, **k))[1])
        usual = np.getbufsize()
        f(x=np.ones(3))
        assert seen == [BUFFER] and np.getbufsize() == usual != BUFFER


class TestOut:
    def test_is_written_and_returned(self) -> None:
        f = compiled("x @ A @ x", "A[n,n] x[n]", "x", 2)
        out = np.full((2, 2), 7.0)
        assert f(A=np.eye(2), x=np.ones(2), out=out) is out
        assert out.tolist() == [[2, 0], [0, 2]]

    def test_of_several(self) -> None:
        f = compiled("sum(x * y)", "x[n] y[n]", "x,y")
        out = {"x": np.zeros(2), "y": np.zeros(2)}
        result = f(x=np.array([1.0, 2]), y=np.array([3.0, 4]), out=out)
        assert result["x"] is out["x"] and out["x"].tolist() == [3, 4] and out["y"].tolist() == [1, 2]

    @pytest.mark.parametrize(
        ("out", "words"),
        [
            (np.zeros(3), r"an array of shape \(2, 2\)"),
            ([[0.0, 0], [0, 0]], "an array of shape"),
            (np.zeros((2, 2), int), "cannot hold"),
            (np.broadcast_to(0.0, (2, 2)), "read-only"),
        ],
    )
    def test_that_does_not_fit_is_refused(self, out: Any, words: str) -> None:
        f = compiled("x @ A @ x", "A[n,n] x[n]", "x", 2)
        with pytest.raises(ArrayMismatch, match=words):
            f(A=np.eye(2), x=np.ones(2), out=out)

    def test_of_several_in_one_memory_is_refused(self) -> None:
        f = compiled("sum(x * y)", "x[n] y[n]", "x,y")
        one = np.zeros(3)
        with pytest.raises(ArrayMismatch, match="x and y in out share memory"):
            f(x=np.ones(2), y=np.ones(2), out={"x": one[:2], "y": one[1:]})

    def test_of_several_is_untouched_where_one_does_not_fit(self) -> None:
        f = compiled("sum(x * y)", "x[n] y[n]", "x,y")
        out = {"x": np.zeros(2), "y": np.zeros(3)}
        with pytest.raises(ArrayMismatch, match="an array of shape"):
            f(x=np.ones(2), y=np.ones(2), out=out)
        assert out["x"].tolist() == [0, 0]
