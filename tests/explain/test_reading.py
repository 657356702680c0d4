"""Sentences about answers: what is printed, and that it is true by NumPy code that shares nothing with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.api.explanation import letter_of
from chainrule.derive.flow import flow
from chainrule.explain import reading
from chainrule.explain.board import Board, Subject
from chainrule.explain.readings import Reading
from chainrule.explain.seen import Answer
from chainrule.explain.words import words_text
from chainrule.expr.nodes import number

GOLDEN = Path(__file__).parents[1] / "golden" / "explain" / "readings.txt"
Array = Any


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


NUMPY: dict[str, Any] = {
    "relu": lambda x: np.maximum(x, 0), "sum": np.sum, "mean": np.mean, "norm": np.linalg.norm,
    "tr": np.trace, "softmax": softmax,
    "logsumexp": lambda x: np.log(np.exp(x).sum()), "log": np.log, "exp": np.exp,
    "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "sigmoid": sigmoid, "maximum": np.maximum, "abs": np.abs,
    "inv": np.linalg.inv, "logdet": lambda x: np.linalg.slogdet(x)[1], "diag": np.diag, "ones": np.ones,
    "eye": np.eye, "outer": np.outer, "sign": np.sign, "sqrt": np.sqrt, "np": np,
    "stack": lambda *entries: np.array(entries), "concat": lambda *parts: np.hstack(parts),
}  # fmt: skip
SIZES = {"N": 6, "n": 3, "m": 4, "k": 2, "p": 5, "q": 2, "h": 3, "2": 2}

# formula, shapes, variable, the derivative in NumPy (axes of the formula, then of the variable)
CASES = [
    ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w",
     "2/N * ((relu(X@w+b) - y) * (X@w+b > 0)) @ X"),
    ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "b",
     "2/N * ((relu(X@w+b) - y) * (X@w+b > 0)).sum()"),
    ("mean((X @ w - y)**2)", "X[N,n] w[n] y[N]", "w", "2/N * (X@w - y) @ X"),
    ("sum((y - X @ w - b)**2)", "X[N,n] w[n] b y[N]", "w", "2*(X@w + b - y) @ X"),
    ("sum((y - X @ w - b)**2)", "X[N,n] w[n] b y[N]", "b", "2*(X@w + b - y).sum()"),
    ("mean((X @ w - y)**2) + lam*sum(w**2)", "X[N,n] w[n] y[N] lam", "w", "2/N*(X@w - y)@X + 2*lam*w"),
    ("mean((X @ w - y)**2) + 3*sum(w**2)", "X[N,n] w[n] y[N]", "w", "2/N*(X@w - y)@X + 6*w"),
    ("mean(maximum(0, 1 - y*(X @ w)))", "X[N,n] w[n] y[N]", "w", "-1/N*(y*(1 - y*(X@w) > 0))@X"),
    ("mean(log(1 + exp(-y*(X @ w))))", "X[N,n] w[n] y[N]", "w", "-1/N*(y*sigmoid(-y*(X@w)))@X"),
    ("sum(abs(X @ w - y))", "X[N,n] w[n] y[N]", "w", "sign(X@w - y)@X"),
    ("mean((y - sigmoid(X @ w))**2)", "X[N,n] w[n] y[N]", "w",
     "2/N*((sigmoid(X@w) - y)*sigmoid(X@w)*sigmoid(-(X@w)))@X"),
    ("mean((y - tanh(X @ w))**2)", "X[N,n] w[n] y[N]", "w", "2/N*((tanh(X@w) - y)*(1 - tanh(X@w)**2))@X"),
    ("sum((X @ W - Y)**2)", "X[N,n] W[n,k] Y[N,k]", "W", "2*X.T@(X@W - Y)"),
    ("sum((relu(X @ W) - Y)**2)", "X[N,n] W[n,k] Y[N,k]", "W", "2*X.T@((relu(X@W) - Y)*(X@W > 0))"),
    ("sum((W @ x - y)**2)", "W[m,n] x[n] y[m]", "W", "2*outer(W@x - y, x)"),
    ("relu(w @ x + b)", "w[n] x[n] b", "w", "(w@x + b > 0)*x"),
    ("relu(w @ x + b)", "w[n] x[n] b", "b", "(w@x + b > 0)*1.0"),
    ("(y - relu(w @ x + b))**2", "w[n] x[n] b y", "w", "2*(relu(w@x + b) - y)*(w@x + b > 0)*x"),
    ("w @ x + b", "w[n] x[n] b", "w", "x"),
    ("w @ x + b", "w[n] x[n] b", "b", "1.0"),
    ("softmax(x)", "x[n]", "x", "diag(softmax(x)) - outer(softmax(x), softmax(x))"),
    ("log(softmax(x))", "x[n]", "x", "eye(n) - outer(ones(n), softmax(x))"),
    ("x - mean(x)", "x[n]", "x", "eye(n) - ones((n, n))/n"),
    ("x/norm(x)", "x[n]", "x", "(eye(n) - outer(x, x)/norm(x)**2)/norm(x)"),
    ("norm(x)", "x[n]", "x", "x/norm(x)"),
    ("norm(x)**2", "x[n]", "x", "2*x"),
    ("exp(norm(x)**2)", "x[n]", "x", "2*exp(norm(x)**2)*x"),
    ("norm(x - a)**2", "x[n] a[n]", "x", "2*(x - a)"),
    ("logsumexp(x)", "x[n]", "x", "softmax(x)"),
    ("logsumexp(x) - y @ x", "x[n] y[n]", "x", "softmax(x) - y"),
    ("w*x", "w[n] x[n]", "x", "diag(w)"),
    ("w + x", "w[n] x[n]", "x", "eye(n)"),
    ("w - x", "w[n] x[n]", "x", "-eye(n)"),
    ("w/x", "w[n] x[n]:positive", "x", "-diag(w/x**2)"),
    ("x + z", "x[n] z", "z", "ones(n)"),
    ("x*z", "x[n] z", "z", "x"),
    ("x*z", "x[n] z", "x", "z*eye(n)"),
    ("sum(x)", "x[n]", "x", "ones(n)"),
    ("sum(x*z)", "x[n] z", "x", "z*ones(n)"),
    ("sum(x*z)", "x[n] z", "z", "sum(x)"),
    ("relu(x)", "x[n]", "x", "diag((x > 0)*1.0)"),
    ("maximum(w, x)", "x[n] w[n]", "x", "diag((x > w)*1.0)"),
    ("A @ x + b", "A[m,n] x[n] b[m]", "x", "A"),
    ("A.T @ x", "A[m,n] x[m]", "x", "A.T"),
    ("relu(A @ x)", "A[m,n] x[n]", "x", "diag((A@x > 0)*1.0)@A"),
    ("sigmoid(A @ x)", "A[m,n] x[n]", "x", "diag(sigmoid(A@x)*sigmoid(-(A@x)))@A"),
    ("x @ A @ x", "A[n,n] x[n]", "x", "(A + A.T)@x"),
    ("u*(v @ x)", "u[m] v[n] x[n]", "x", "outer(u, v)"),
    ("a @ X @ b", "a[m] X[m,n] b[n]", "X", "outer(a, b)"),
    ("tr(A @ X)", "A[n,m] X[m,n]", "X", "A.T"),
    ("tr(X)", "X[n,n]", "X", "eye(n)"),
    ("sum(X)", "X[m,n]", "X", "ones((m, n))"),
    ("A @ x", "A[m,n] x[n]", "A", "np.einsum('ij,k->ijk', eye(m), x)"),
    ("A @ X @ B", "A[m,n] X[n,p] B[p,q]", "X", "np.einsum('ik,lj->ijkl', A, B)"),
    ("exp(w @ x)", "w[n] x[n]", "w", "exp(w@x)*x"),
    ("x**2 + 3*x", "x", "x", "2*x + 3"),
    ("5 - x**2", "x", "x", "-2*x"),
    ("exp(x)", "x", "x", "exp(x)"),
    ("sin(x**2)", "x", "x", "2*x*cos(x**2)"),
    ("3*x", "x", "x", "3.0"),
    ("3*x**2*y", "x y", "y", "3*x**2"),
    ("relu(x)", "x", "x", "(x > 0)*1.0"),
    ("x + 0*y", "x y", "y", "0.0"),
    ("sign(x)", "x", "x", "0.0"),
    ("stack(log(x**2), sin(3*x))", "x", "x", "np.array([2/x, 3*cos(3*x)])"),
    ("concat(x, z)", "x[n] z", "z", "np.array([0.0, 0, 0, 1])"),
    ("z*eye(3)", "z", "z", "eye(3)"),
    ("stack(x, x**2, 5)", "x", "x", "np.array([1, 2*x, 0])"),
    ("stack(3*x[0]**2*x[1], 2*x[0] + x[1]**8)", "x[2]", "x",
     "np.array([[6*x[0]*x[1], 3*x[0]**2], [2, 8*x[1]**7]])"),
]  # fmt: skip
IDS = [f"{formula} by {wrt}" for formula, _, wrt, _ in CASES]


def sentences(formula: str, shapes: str, wrt: str) -> list[str]:
    derivation = cr.explain(formula, wrt, shapes).derivation
    return [words_text(sentence.words) for sentence in derivation.reading]


def point(shapes: str, rng: np.random.Generator) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, dims, structure in re.findall(r"(\w+)(?:\[([\w,]*)\])?(:\w+)?", shapes):
        shape = tuple(SIZES[d] for d in dims.split(",") if d)
        value = rng.normal(size=shape) if shape else float(rng.normal())
        values[name] = np.abs(value) + 0.2 if structure else value
    return values


class Function:
    """A formula as NumPy reads it, at a point."""

    def __init__(self, formula: str, values: dict[str, Any], wrt: str) -> None:
        self.formula, self.values, self.wrt = formula, values, wrt

    def __call__(self, change: Any = 0.0) -> Array:
        moved = {**self.values, self.wrt: self.values[self.wrt] + change}
        return np.asarray(eval(self.formula, {**NUMPY, **SIZES, **moved}))

    def at(self, value: Any) -> Function:
        """The same elsewhere."""
        return Function(self.formula, {**self.values, self.wrt: value}, self.wrt)

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.values[self.wrt])

    def unit(self, k: int) -> Array:
        flat = np.zeros(int(np.prod(self.shape, dtype=int)))
        flat[k] = 1
        return flat.reshape(self.shape)

    def jacobian(self, step: float = 1e-6) -> Array:
        count = int(np.prod(self.shape, dtype=int))
        units = [step * self.unit(k) for k in range(count)]
        columns = [(self(u) - self(-u)) / (2 * step) for u in units]
        return np.stack(columns, -1).reshape((*self().shape, *self.shape))


def near(a: Array, b: Array) -> bool:
    return bool(np.allclose(a, b, rtol=1e-5, atol=1e-6))


# What a phrase says, as a property of the function f and its Jacobian J; x is the value of the variable.
Truth = Callable[[Function, Array, Array], bool]


def is_exact(f: Function, J: Array, x: Array) -> bool:
    changes = [1.7 * f.unit(k) for k in range(int(np.prod(f.shape, dtype=int)))]
    return all(near(f(c) - f(), np.tensordot(J, c, np.ndim(x))) for c in changes)


def is_off_the_diagonal_zero(f: Function, J: Array, x: Array) -> bool:
    columns = J.reshape(f().size, -1)
    return bool((np.count_nonzero(np.abs(columns) > 1e-7, axis=0) < max(2, f().size)).all())


def descends(f: Function, J: Array, x: Array) -> bool:
    return bool(f(-1e-4 * J) <= f())


def is_row_by_row(f: Function, J: Array, x: Array) -> bool:
    """Each row a multiple of the row of A."""
    A = f.values["A"]
    return all(near(J[i] * np.linalg.norm(A[i]) ** 2, A[i] * (J[i] @ A[i])) for i in range(len(A)))


TRUTHS: dict[str, Truth] = {
    r"; nothing else moves": is_off_the_diagonal_zero,
    r"by Δ and .* moves by(?! about)": is_exact,
    r"wherever \w+ is": is_exact,
    r"^\w+ does not react to \w+\.": lambda f, J, x: near(f(2.3), f()),
    r"small move of \w+: it changes in jumps": lambda f, J, x: near(J, 0),
    r"counts alike": lambda f, J, x: near(J, J.ravel()[0]),
    r"and all alike": lambda f, J, x: near(J, J.ravel()[0]),
    r"reaches every entry": lambda f, J, x: np.ndim(x) == 0 and bool((J != 0).all()),
    r"each row sums to 0": lambda f, J, x: near(J.sum(1), 0) and near(f(1.3), f()),
    r"symmetric": lambda f, J, x: near(J, J.T),
    r"lowers every other entry": lambda f, J, x: bool((np.sign(J) == 2 * np.eye(len(J)) - 1).all()),
    r"making \w+ longer": lambda f, J, x: near(f(0.8 * x), f()) and near(J @ x, 0),
    r"of length 1": lambda f, J, x: near(np.sum(J**2), 1) and near(f(x / np.linalg.norm(x)) - f(), 1),
    r"positive and sum to 1": lambda f, J, x: bool((J > 0).all()) and near([J.sum(), f(2.0)], [1, f() + 2]),
    r"points away from 0": lambda f, J, x: near(J * np.linalg.norm(x), x * np.linalg.norm(J)),
    r"the longer the longer": lambda f, J, x: near(f.at(2 * x).jacobian(), 2 * J),
    r"straight towards": lambda f, J, x: near(f(-J / 2), 0),
    r"rank one": lambda f, J, x: np.linalg.matrix_rank(J, 1e-5) <= 1,
    r"is affine in": is_exact,
    r"rises with": lambda f, J, x: bool(J > 0 and f(0.5) > f()),
    r"falls with": lambda f, J, x: bool(J < 0 and f(0.5) < f()),
    r"descent step": descends,
    r"off the diagonal have no effect": lambda f, J, x: near(J, np.diag(np.diag(J))),
    r"weighted sum of the (rows|columns)": lambda f, J, x: J.shape == f.shape,
    r"a sum of outer products": lambda f, J, x: J.shape == f.shape,
    r"has no effect; on, where": lambda f, J, x: J.shape == f.shape,
    r"^its row i is row i of A": is_row_by_row,
    r"^entry i says how": lambda f, J, x: J.shape == f().shape and np.ndim(x) == 0,
    r"says how .* reacts to every entry": lambda f, J, x: J.shape == (f().size, x.size),
    r"moves by about": lambda f, J, x: bool(np.isfinite(J).all()),
    r"where .* it stays": lambda f, J, x: bool(np.isfinite(J).all()),
    r"falls where|rises where": lambda f, J, x: near(f.at(flat_at(f)).jacobian(), 0),
}  # fmt: skip


def flat_at(f: Function) -> float:
    """Where the slope, a straight line, is 0."""
    x, J = f.values[f.wrt], f.jacobian()
    beyond = f.at(x + 1).jacobian()
    return float(x - J / (beyond - J))


def untrue(says: str, formula: str, shapes: str, wrt: str) -> list[str]:
    """The phrases of a reading that do not hold; a reading without a phrase that is known is not told."""
    rng = np.random.default_rng(5)
    known = [phrase for phrase in TRUTHS if re.search(phrase, says)]
    if not known:
        return ["no phrase in it is tested"]
    wrong = []
    for _ in range(3):
        f = Function(formula, point(shapes, rng), wrt)
        jacobian = f.jacobian()
        wrong += [phrase for phrase in known if not TRUTHS[phrase](f, jacobian, np.asarray(f.values[wrt]))]
    return wrong


def test_what_is_printed(request: pytest.FixtureRequest) -> None:
    lines: list[str] = []
    for formula, shapes, wrt, _ in CASES:
        lines += [f"{formula}   {shapes}   by {wrt}"]
        lines += [f"    {sentence}" for sentence in sentences(formula, shapes, wrt)]
    shown = "\n".join(lines) + "\n"
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(shown, encoding="utf-8")
    assert shown == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(("formula", "shapes", "wrt", "derivative"), CASES, ids=IDS)
def test_what_is_printed_is_true(formula: str, shapes: str, wrt: str, derivative: str) -> None:
    values = point(shapes, np.random.default_rng(3))
    expected = np.asarray(eval(derivative, {**NUMPY, **SIZES, **values}))
    assert near(Function(formula, values, wrt).jacobian(), expected)
    told = sentences(formula, shapes, wrt)
    assert 1 <= len(told) <= 2
    assert untrue(" ".join(told), formula, shapes, wrt) == []


def test_the_signs_of_the_neuron() -> None:
    """A prediction that is too high pushes w against its row; an inactive example moves nothing."""
    says = " ".join(sentences(*CASES[0][:3]))
    assert "pushes w against xᵢ" in says
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = point("X[N,n] w[n] b y[N]", rng)
        f = Function(CASES[0][0], values, "w")
        X, z = values["X"], values["X"] @ values["w"] + values["b"]
        error = np.maximum(z, 0) - values["y"]
        one = [{**values, "X": X[i], "y": values["y"][i]} for i in range(len(X))]
        steps = np.array([-Function("(y - relu(X @ w + b))**2", v, "w").jacobian() for v in one])
        towards = (steps * X).sum(1)
        assert (np.sign(towards[z > 0]) == -np.sign(error[z > 0])).all()
        assert near(steps[z <= 0], 0)
        assert near(-steps.mean(0), f.jacobian())


# ---------------------------------------------------------------- what is not so is not said


def boards() -> Iterator[Board]:
    for formula, shapes, wrt, _ in CASES:
        derived = cr.derive(formula, wrt, shapes)
        parsed, target = derived.formula, derived.wrt[0]
        subject = Subject(
            parsed.expr, target.variables[0], tuple(parsed.variables.values()), {}, "numerator",
            letter_of(parsed, parsed.expr, target),
        )  # fmt: skip
        steps = flow(subject.expr, [subject.wrt], {}, output=subject.letter, taken=subject.taken)
        yield Board(subject, steps)


def test_every_claim_counts() -> None:
    """A sentence with one claim that is off by a little is dropped, whichever claim it is."""
    planted = 0
    for board in boards():
        answer = Answer(board, {})
        found = [r for pattern in reading.PATTERNS for r in pattern(answer) if reading.holds(board, r)]
        assert found
        best = found[0]
        for k, claim in enumerate(best.claims):
            wrong = replace(claim, value=claim.value + number(Fraction(1, 50), claim.value.shape))
            claims = (*best.claims[:k], wrong, *best.claims[k + 1 :])
            assert not reading.holds(board, Reading(best.sentences, claims))
            planted += 1
    assert planted > 80


def test_a_false_sentence_gives_way_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def false(answer: Answer) -> Iterator[Reading]:
        yield Reading((("the moon is made of cheese",),), (answer.equals(2 * answer.value, "cheese"),))

    def true(answer: Answer) -> Iterator[Reading]:
        yield Reading((("so it is",),), (answer.equals(1 * answer.value, "itself"),))

    monkeypatch.setattr(reading, "PATTERNS", (false, true))
    assert sentences("x**2", "x", "x") == ["so it is"]
    monkeypatch.setattr(reading, "PATTERNS", (false,))
    assert sentences("x**2", "x", "x") == []


VECTORS = [
    "w", "x", "w*x", "x*x", "x + w", "x - w", "z*x", "A @ x", "exp(x)", "relu(x)", "sin(x)", "tanh(x)", 
    "softmax(x)", "x/(1 + norm(x)**2)", "-x", "3*x", "x*sum(x)", "w*(x @ x)",
]  # fmt: skip
AROUND = ["({})", "(({}) + ({}))", "(({})*({}))", "relu({})", "sigmoid({})"]
WHOLE = ["{}", "sum({})", "mean({})", "w @ {}", "sum({}**2)", "relu(sum({}))"]


@st.composite
def formulas(draw: st.DrawFn) -> tuple[str, str]:
    """A random formula of a vector x, and which variable it is differentiated by."""
    a, b = draw(st.sampled_from(VECTORS)), draw(st.sampled_from(VECTORS))
    vector = draw(st.sampled_from(AROUND)).format(a, b)
    return draw(st.sampled_from(WHOLE)).format(vector), draw(st.sampled_from(["x", "x", "w", "z"]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(formulas())
def test_whatever_is_said_of_a_random_formula_is_true(case: tuple[str, str]) -> None:
    formula, wrt = case
    shapes = "x[n] w[n] z A[n,n]"
    told = " ".join(sentences(formula, shapes, wrt))
    if told:
        assert untrue(told, formula, shapes, wrt) == [], told
