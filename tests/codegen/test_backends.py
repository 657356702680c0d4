"""Each backend computes what NumPy computes: every row, its derivative, and whole losses."""

from __future__ import annotations

import doctest
import os
import random
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.codegen import numba as loops
from chainrule.codegen.backends import BACKENDS
from chainrule.codegen.fusion import fused
from chainrule.codegen.load import compile_expressions
from chainrule.codegen.numba import fusable
from chainrule.codegen.plan import make_plan
from chainrule.codegen.source import write_source
from chainrule.codegen.traced import JAXFunction
from chainrule.derive import jacobians
from chainrule.expr.nodes import Apply, Variable
from chainrule.language import parse_formula
from chainrule.rules import ROWS, Elementwise, Row
from chainrule.simplify import normalise
from chainrule.verify.reference import evaluate
from tests.backends import backend
from tests.reliability.programs import program
from tests.rules.test_every_row import ROWS_AND_BATCHES, SIZES, derivable, node_of, values_of

jax, torch, numba = backend("jax"), backend("torch"), backend("numba")
jax.config.update("jax_enable_x64", True)
# JAX takes a GPU where there is one; PyTorch where it is told to.
DEVICE = os.environ.get("CHAINRULE_TORCH_DEVICE", "cpu")
ARRAYS = {"jax": jax.numpy.asarray, "torch": partial(torch.as_tensor, device=DEVICE)}


def on_host(found: Any) -> Any:
    """The numbers, wherever they were computed."""
    return np.asarray(found.cpu() if isinstance(found, torch.Tensor) else found)


# expm takes JAX seconds each time: only expm itself is derived, and without a batch.
SLOW = ("expm", "expm_frechet", "expm_frechet2", "expm_frechet3")
# Batches go through what is written for JAX here; those of JAX's own functions are its own.
HELPED = ("masked_softmax", "prod_others", "eigvecsh", "svd_left", "pinv", "inverse_gaps")
CASES = [
    (row, batch, name)
    for name in ARRAYS
    for row, batch in ROWS_AND_BATCHES
    if row.name != "polygamma"  # its order is no array; it is the derivative of digamma
    if not batch or row.name in HELPED or (name == "torch" and row.name not in SLOW)
]


@pytest.mark.parametrize(("row", "batch", "name"), CASES, ids=str)
def test_every_row_and_its_derivative(row: Row, batch: bool, name: str) -> None:
    """The source as it stands, run operation by operation, which compiles nothing anew for each row."""
    node = node_of(row, batch)
    values = values_of(node)
    outputs = {"value": node}
    if derivable(row) and row.name != "stop" and row.name not in SLOW[1:]:
        derivatives = jacobians(node, node.arguments)
        outputs |= {v.name: normalise(d) for v, d in derivatives.items() if isinstance(v, Variable)}
    source = write_source(outputs, [], printer=BACKENDS[name].printer)
    assert not re.search(r"(?<![\w.])(np|scipy)\.", source.text)
    space: dict[str, object] = {}
    exec(source.text, space)
    arrays = [ARRAYS[name](values[v]) for v in source.arrays]
    sizes = [SIZES[d] for d in source.sizes]
    found = space["derivative"](*arrays, *sizes)  # type: ignore[operator]
    digits = 1e-9 if (row.name, name) == ("digamma", "torch") else 1e-10  # PyTorch's ψ′ has nine
    for key, expr in outputs.items():
        expected = evaluate(expr, values, SIZES)
        assert np.shape(found[key]) == expected.shape
        assert np.allclose(on_host(found[key]), expected, rtol=digits, atol=1e-12)
    if name == "torch" and arrays:
        elsewhere = space["derivative"](*(a.to("meta") for a in arrays), *sizes)  # type: ignore[operator]
        assert {value.device.type for value in elsewhere.values()} == {"meta"}


# Losses by what their code is made of; the variable that is derived by comes first.
LOSSES = [
    ("mean((y - relu(X @ w + b))**2)", "w[n] X[N,n] b y[N]", 1),
    ("mean(log(1 + exp(-y * (X @ w))))", "w[n] X[N,n] y[N]", 2),
    ("logdet(X.T @ X + eye(n))", "X[N,n]", 1),
    ("-sum(y * log(softmax(X @ w)))", "w[n] X[N,n] y[N]", 2),
    ("sum((Y - U @ V.T)**2)", "U[m,k] Y[m,n] V[n,k]", 2),
    ("norm(U)", "U[m,k]", 2),
    ("sum(U[1:] * U[:-1]**2) + 3 * sum(w[::-1]**2 * w)", "U[m,k] w[n]", 2),
    ("sum(E[ids]**3)", "E[V,k] ids[m]:integer(V)", 1),
    ("sum(conv1d(w, q)**2)", "w[9] q[3]", 2),
    ("sum(where(w > 0, w, 0.1 * w)**2) + max(w)", "w[n]", 1),
    ("c @ eigvalsh(A)", "A[n,n] c[n]", 1),
    ("sum(expm(A))", "A[n,n]", 1),
]
LENGTHS = {"N": 7, "n": 4, "m": 5, "k": 3, "V": 4}


def loss_arrays(derivative: cr.Derivative, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    given: dict[str, Any] = {}
    for name, variable in derivative.formula.variables.items():
        shape = [dim.evaluate(LENGTHS) for dim in variable.shape]
        whole = variable.bound is not None
        given[name] = rng.integers(0, LENGTHS["V"], shape) if whole else np.asarray(rng.normal(size=shape))
    return given


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize(("text", "shapes", "order"), LOSSES, ids=lambda v: v if len(str(v)) > 20 else "")
def test_losses_are_those_of_numpy(text: str, shapes: str, order: int, name: str) -> None:
    derivative = cr.derive(text, wrt=shapes.partition("[")[0], shapes=shapes, order=order)
    given = loss_arrays(derivative)
    plain, compiled = derivative.compile(), derivative.compile(backend=name)
    expected = plain(**given)
    found = compiled(**given)
    assert isinstance(found, (jax.Array, torch.Tensor))
    assert on_host(found).dtype == np.float64
    assert np.allclose(on_host(found), expected, rtol=1e-9, atol=1e-11)
    singles = {n: v if v.dtype.kind == "i" else v.astype(np.float32) for n, v in given.items()}
    single = on_host(compiled(**singles))
    assert single.dtype == np.float32
    assert np.allclose(single, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_function_is_mapped_and_differentiated_again(name: str) -> None:
    text, shapes = "mean((y - tanh(X @ w + b))**2)", "w[n] X[N,n] b y[N]"
    derivative = cr.derive(text, wrt="w", shapes=shapes)
    hessian = cr.derive(text, wrt="w", shapes=shapes, order=2)
    given = {n: ARRAYS[name](v) for n, v in loss_arrays(derivative).items()}
    rest = {n: v for n, v in given.items() if n != "w"}
    gradient = derivative.compile(backend=name)
    again = {"jax": jax.jacfwd, "torch": torch.func.jacrev}[name]
    mapped = {"jax": jax.vmap, "torch": torch.func.vmap}[name]
    expected = hessian.compile()(**loss_arrays(derivative))
    assert np.allclose(again(lambda w: gradient(w=w, **rest))(given["w"]), expected)
    assert np.allclose(hessian.compile(backend=name)(**given), expected)
    several = ARRAYS[name](np.stack([np.ones(4), np.zeros(4)]))
    rows = mapped(lambda w: gradient(w=w, **rest))(several)
    assert np.allclose(rows[1], gradient(w=several[1], **rest))
    placed = [given[n] for n in list(gradient.__signature__.parameters)[:4]]
    assert np.allclose(gradient(*placed), gradient(**given))


@pytest.mark.parametrize("name", ARRAYS)
def test_what_does_not_fit_is_told(name: str) -> None:
    f = cr.derive("norm(X @ w - y)**2", wrt="w", shapes="X[N,n] w[n] y[N]").compile(backend=name)
    good = {"X": ARRAYS[name](np.ones((3, 2))), "w": ARRAYS[name](np.ones(2)), "y": ARRAYS[name](np.ones(3))}
    for change, says in [
        ({"w": ARRAYS[name](np.ones(3))}, r"w\[n\] was given shape \(3,\), n = 3, but"),
        ({"w": np.ones((2, 2))}, r"w\[n\] has 1 axis"),
        ({"v": np.ones(2)}, "there is no variable v"),
        ({"w": ["a", "b"]}, "not of numbers"),
        ({"N": 2.5}, "must be a whole number"),
        ({"w": ARRAYS[name](np.ones(2) * 1j)}, "complex"),
    ]:
        with pytest.raises(cr.ChainruleError, match=says):
            f(**{**good, **change})
    with pytest.raises(cr.ChainruleError, match="y is missing"):
        f(X=good["X"], w=good["w"])
    with pytest.raises(cr.ChainruleError, match="X is given by position and by name"):
        f(good["X"], X=good["X"])
    with pytest.raises(cr.ChainruleError, match="check_finite is not for"):
        cr.derive("x**2", wrt="x").compile(True, backend=name)
    ids = cr.derive("sum(E[ids]**2)", wrt="E", shapes="E[V,k] ids[m]:integer(V)").compile(backend=name)
    with pytest.raises(cr.ChainruleError, match="3 is out of range"):
        ids(E=good["X"], ids=[0, 3])
    lost = cr.derive("c @ eigvalsh(A)", wrt="A", shapes="A[n,n] c[n]").compile(backend=name)
    assert np.isnan(np.asarray(lost(A=np.eye(2), c=np.ones(2)))).all()


def test_backends_are_named_and_a_missing_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(cr.ChainruleError, match="there is no backend 'tensorflow'"):
        cr.derive("x**2", wrt="x").compile(backend="tensorflow")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(cr.ChainruleError, match="needs the package torch") as caught:
        cr.derive("x**2", wrt="x").compile(backend="torch")
    assert "pip install 'chainrule[torch]'" in str(caught.value)


def test_torch_follows_the_whole_function() -> None:
    f = cr.derive("norm(X @ w - c * y)**2", wrt="w", shapes="X[N,n] w[n] c y[N]").compile(backend="torch")
    given = [torch.eye(3), torch.ones(3), 0.5, torch.ones(3)]
    assert torch.allclose(torch.compile(f, fullgraph=True, backend="eager")(*given), f(*given))


def test_arrays_of_jax_go_straight_to_the_jitted_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """All else (arrays of NumPy, tracers, names that are unknown) is looked at first."""
    d = cr.derive("sum(tanh(self @ _x))", wrt="self,_x", shapes="self[m,n] _x[n]")
    f, given = d.compile(backend="jax"), {"self": np.ones((3, 2)), "_x": np.ones(2)}
    arrays = {name: jax.numpy.asarray(value) for name, value in given.items()}
    expected = f(**given)
    looked: list[Any] = []
    careful = JAXFunction.careful
    monkeypatch.setattr(JAXFunction, "careful", lambda *a: looked.append(a) or careful(*a))
    found = f(**arrays)
    assert not looked and list(found) == ["self", "_x"]
    assert all(np.array_equal(found[name], expected[name]) for name in given)
    with jax.disable_jit(False):  # other tests switch it off
        traced = jax.jit(f)(**arrays)
    assert np.array_equal(traced["_x"], expected["_x"]) and len(looked) == 1
    with pytest.raises(cr.ArrayMismatch, match="z"):
        f(**arrays, z=1)
    with pytest.raises(cr.ArrayMismatch, match="_x"):
        f(self=arrays["self"])


def test_float64_is_never_rounded_silently_by_jax() -> None:
    f = cr.derive("sum(exp(x))", wrt="x", shapes="x[n]").compile(backend="jax")
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(cr.ChainruleError, match=r"x\[n\] is given in float64"):
            f(x=np.ones(2))
        assert f(x=[1, 2.5]).dtype == f(x=np.ones(2, np.float32)).dtype == np.float32
    finally:
        jax.config.update("jax_enable_x64", True)
    assert f(x=np.ones(2)).dtype == np.float64


SCALAR = [row for row in ROWS.values() if isinstance(row, Elementwise) and fusable(row)]


def test_every_function_of_a_compiled_loop_is_that_of_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them in one loop, which is compiled once."""
    outputs, given, expected = {}, {}, {}
    for row in SCALAR:
        node = node_of(row)
        names = {
            v: Variable(f"{row.name}_{v.name}", v.shape) for v in node.arguments if isinstance(v, Variable)
        }
        values = values_of(node)
        outputs[row.name] = 2 * Apply(row, list(names.values()))
        given |= {new.name: values[old.name] for old, new in names.items()}
        expected[row.name] = 2 * evaluate(node, values, SIZES)
    monkeypatch.setattr(loops, "MANY", frozenset())
    compiled = compile_expressions(outputs, backend="numba")
    assert compiled.__source__.count("@njit(") == 1
    assert {"exp", "sigmoid", "softplus", "erf", "where", "maximum", "normcdf", "greater"} <= outputs.keys()
    found = compiled(**given)
    for name, value in expected.items():
        assert np.allclose(found[name], value, rtol=1e-13, atol=1e-15), name


FUSED = [
    ("mean((y - relu(X @ w + b))**2)", "w[n] X[N,n] b y[N]", 1, 1),
    ("sum(tanh(sin(w)**2) * exp(-w**2))", "w[n]", 2, 2),
    ("sum(log(1 + exp(A * w - B)))", "w[k] A[m,k] B[m,k]", 1, 1),
    ("-sum(y * log(softmax(X @ w)))", "w[n] X[N,n] y[N]", 1, 1),
    ("logdet(X.T @ X + eye(n))", "X[N,n]", 1, 0),
]


@pytest.mark.parametrize(("text", "shapes", "order", "loops"), FUSED, ids=lambda v: str(v)[:30])
def test_loops_compute_what_numpy_computes(text: str, shapes: str, order: int, loops: int) -> None:
    derivative = cr.derive(text, wrt=shapes.partition("[")[0], shapes=shapes, order=order)
    given = loss_arrays(derivative)
    compiled = derivative.compile(backend="numba")
    assert compiled.__source__.count("@njit(") == loops
    assert np.allclose(compiled(**given), derivative.compile()(**given), rtol=1e-12, atol=1e-14)
    single = compiled(**{n: v.astype(np.float32) for n, v in given.items()})
    assert single.dtype == np.float32
    assert np.allclose(single, derivative.compile()(**given), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(40))
def test_programs_with_loops_keep_their_operations_in_order(seed: int) -> None:
    """A loop is never made of what waits for one of its own results."""
    made = program(random.Random(seed).randrange, sizes=(3, 2, 4))
    formula = parse_formula(made.text, made.shapes)
    plan = make_plan({"": formula.expr})
    looped = fused(plan, lambda op: True)
    place = {op: k for k, op in enumerate(looped.ops)}
    assert all(place[a] < place[op] for op in looped.ops for a in op.args)
    inside = {op for made in looped.ops if made.kind == "fused" for op in made.data[0].members}
    assert not inside & {op for made in looped.ops if made.kind == "fused" for op in made.data[0].reads} - {
        op for made in looped.ops if made.kind == "fused" for op in made.data[0].results
    }


def test_loops_run_on_several_cores() -> None:
    d = cr.derive("mean((y - relu(X @ w + b))**2)", wrt="w,b", shapes="X[N,n] w[n] b y[N]")
    given = {"X": np.ones((7, 3)) * np.arange(7)[:, None], "w": np.ones(3), "b": 0.5, "y": np.arange(7.0)}
    compiled = d.compile(backend="numba", parallel=True)
    assert "prange" in compiled.__source__
    for name, value in d.compile()(**given).items():
        assert np.allclose(compiled(**given)[name], value, rtol=1e-13)
    with pytest.raises(cr.ChainruleError, match="parallel is not for the jax"):
        d.compile(backend="jax", parallel=True)


def test_whole_numbers_are_not_read_in_a_loop() -> None:
    """Its arrays would have their precision."""
    d = cr.derive("sum(sin(x * ids) * ids)", wrt="x", shapes="x[n] ids[n]:integer(5)")
    given = {"ids": [1, 3, 4], "x": np.array([0.5, 1.0, 2.0])}
    assert np.allclose(d.compile(backend="numba")(**given), d.compile()(**given))


def test_a_loop_says_where_the_result_is_not_defined() -> None:
    f = cr.derive("sum(sqrt(x) * sin(x))", wrt="x", shapes="x[n]").compile(backend="numba")
    assert "@njit(" in f.__source__
    with pytest.raises(cr.ChainruleError, match="not defined at these arrays"):
        f(x=np.array([1.0, -1.0]))


def test_the_examples_of_the_page_on_code_run() -> None:
    page = Path(__file__).parents[2] / "docs" / "code.md"
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.attempted > 15 and not result.failed


def test_products_of_attention_are_made_once() -> None:
    d = cr.derive("sum((softmax(Q @ K.T) @ V)**2)", wrt="K", shapes="Q[n,d] K[n,d] V[n,d]")
    assert d.source("jax").count(" @ ") == 4 == d.source("torch").count(" @ ")
    given = {n: np.random.default_rng(1).normal(size=(4, 3)) for n in "QKV"}
    assert np.allclose(d.compile(backend="jax")(**given), d.compile()(**given))


@pytest.mark.parametrize("name", BACKENDS)
def test_source_is_written_without_the_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("jax", "torch", "numba"):
        monkeypatch.setitem(sys.modules, library, None)
    derivatives = cr.derive("sum(exp(X @ w))", wrt="X,w", shapes="X[N,n] w[n]")
    text = derivatives.source(name)
    assert "def derivative(X, w):" in text
    assert "def derivative(X, w):" in derivatives["X"].source(name)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("text", ["diag(x)", "x[1:] * x[:-1]"])
def test_constants_alone_need_no_array(text: str, name: str) -> None:
    derivative = cr.derive(text, wrt="x", shapes="x[n]", order=1 + (text != "diag(x)"))
    found = derivative.compile(backend=name)(x=np.ones(3))
    assert np.array_equal(found, derivative.compile()(x=np.ones(3)))


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("how", ["", ", padding=1", ", stride=2"])
def test_windows_in_two_dimensions_are_added_at_their_places(how: str, name: str) -> None:
    text, shapes = f"sum(conv2d(X, K{how})**2)", "X[2,6,7] K[3,2,2,3]"
    derivative = cr.derive(text, wrt="X", shapes=shapes)
    given = loss_arrays(derivative)
    expected = derivative.compile()(**given)
    assert np.allclose(derivative.compile(backend=name)(**given), expected, rtol=1e-10, atol=1e-10)


def test_a_number_beside_a_condition_keeps_its_digits_in_torch() -> None:
    f = cr.derive("leaky_relu(x, 0.3)", wrt="x", shapes="x[n]").compile(backend="torch")
    assert on_host(f(x=np.array([-1.0, 2.0]))).tolist() == [[0.3, 0], [0, 1]]


def test_pasted_loops_of_whole_numbers_make_floats() -> None:
    source = cr.derive("sum(x**2 * y + y * x) / 10", wrt="x", shapes="x[n] y[n]").source("numba")
    assert "@njit" in source
    pasted: dict[str, Any] = {}
    exec(source, pasted)
    assert np.allclose(pasted["derivative"](np.array([1, 2]), np.array([1, 1])), [0.3, 0.5])
