"""Laws of derivations on random formulas; the names of the tests are the laws."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.derive.flow import flow
from chainrule.derive.inward import is_unevaluated
from chainrule.errors import ChainruleError, OptionError
from chainrule.explain import Derivation, Line
from chainrule.explain.board import MARK, Board, Subject
from chainrule.explain.variables import phases
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import dim_names, substitute_dims, topological, variables
from chainrule.language import parse_formula
from chainrule.notation.text import to_text
from chainrule.steps import replay
from chainrule.verify.claims import check_claims
from chainrule.verify.reference import evaluate
from tests.laws.expressions import SIZES, N, any_expression, point
from tests.laws.test_laws import close

STYLES = ("operator", "variables", "components", "differentials")
LAW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
FEW = settings(LAW, max_examples=10)
PICK = st.integers(0, 10)


def derived(expr: Expr, pick: int, layout: str = "numerator") -> tuple[cr.Derivative, Variable]:
    """The derivative of a random formula by one of its variables."""
    inputs = variables(expr)
    assume(inputs)
    wrt = inputs[pick % len(inputs)]
    found = cr.derive(expr, wrt=wrt, layout=layout)
    assert isinstance(found, cr.Derivative)
    return found, wrt


def page_of(found: cr.Derivative, style: str | None) -> Derivation | None:
    """The derivation in a style; none where the style refuses it."""
    try:
        return found.explain(style).derivation
    except OptionError as problem:
        assert style is not None and problem.hint
        return None


def result(page: Derivation) -> Line:
    (line,) = [line for line in page.answer if line.result]
    return line


@LAW
@given(any_expression(), PICK, st.sampled_from([None, *STYLES]), st.sampled_from(["numerator", "shape"]))
def test_every_style_derives_or_refuses(expr: Expr, pick: int, style: str | None, layout: str) -> None:
    found, _ = derived(expr, pick, layout)
    try:
        page = found.explain(style)
    except OptionError as problem:
        assert style is not None and problem.hint
        return
    assert page.checked.failed == ()
    for text in (page.to_text(), page.to_latex(), page.to_json()):
        assert MARK not in text
    assert json.loads(page.to_json())


@FEW
@given(any_expression(2), PICK)
def test_styles_agree(expr: Expr, pick: int) -> None:
    found, wrt = derived(expr, pick)
    values = {result(page).value for style in STYLES if (page := page_of(found, style)) is not None}
    assert len(values) == 1
    (value,) = values
    assert value is not None and value.shape == (*expr.shape, *wrt.shape)


@LAW
@given(any_expression(), PICK)
def test_steps_replay_to_the_answer(expr: Expr, pick: int) -> None:
    page = page_of(derived(expr, pick)[0], "operator")
    assume(page is not None and page.start is not None and page.steps)
    assert page is not None and page.start is not None
    reached, answer = replay(page.start, page.steps), result(page).value
    assert answer is not None and not any(map(is_unevaluated, topological([reached])))
    both = evaluate(reached, point(), SIZES), evaluate(answer, point(), SIZES)
    assume(all(np.all(np.isfinite(v)) for v in both))
    assert close(*both)


@FEW
@given(any_expression(2), PICK, st.integers(0, 10**6))
def test_the_order_of_claims_does_not_matter(expr: Expr, pick: int, seed: int) -> None:
    _, wrt = derived(expr, pick)
    subject = Subject(expr, wrt, variables(expr), {}, "numerator", "result")
    board = Board(subject, flow(expr, [wrt], output="result", taken=subject.taken))
    phases(board)
    claims = list(dict.fromkeys(board.claims))
    random.Random(seed).shuffle(claims)
    assert check_claims(claims, board.definitions, variables(expr), points=3).failed == ()


@LAW
@given(any_expression(2), PICK, st.sampled_from(["operator", "variables"]))
def test_lines_without_derivatives_parse_back(expr: Expr, pick: int, style: str) -> None:
    """A right side that holds no derivative says, when it is read again, what the line claims."""
    found, wrt = derived(expr, pick)
    page = page_of(found, style)
    assume(page is not None and not page.kinks and expr.rank + wrt.rank <= 2)
    assert page is not None
    known = {**point(), "n": np.array(3.0), "m": np.array(2.0)}
    for line in page.phases[0].lines() if style == "variables" else ():
        assert line.left is not None and line.value is not None
        known[line.left.data[0]] = evaluate(line.value, known, SIZES)
    for line in page.lines():
        text = to_text(line.right)
        if line.value is None or not variables(line.value) or any(c in text for c in "∂…δ⎡⎧⋯d⊗"):
            continue
        if holds_a_derivative(line.value):
            continue
        want = evaluate(line.value, known, SIZES)
        assume(np.all(np.isfinite(want)))
        assert any(means(text, line.value, shape, known, want) for shape in shapes_of(line.value)), text


def holds_a_derivative(value: Expr) -> bool:
    nodes = topological([value])
    return any(is_unevaluated(n) or (isinstance(n, Variable) and MARK in n.name) for n in nodes)


def shapes_of(value: Expr) -> list[tuple[object, ...] | None]:
    """The shapes in which the text may be read: I is as large as what it stands for; rows are columns."""
    return [value.shape, value.shape[::-1], None]


def means(text: str, value: Expr, shape: object, known: dict[str, np.ndarray], want: np.ndarray) -> bool:
    """Whether the text, read in that shape, has the value of the line, perhaps as a column for a row."""
    declared = " ".join(
        f"{v.name}[{','.join(map(str, v.shape))}]" if v.shape else v.name for v in variables(value)
    )
    try:
        said = parse_formula(text, declared, shape=shape).expr
        said = substitute_dims(said, {d: N for d in dim_names(said) if d not in ("m", "n")})
        got = evaluate(said, known, SIZES)
    except (ChainruleError, ValueError):
        return False
    for turned in (want, want.T):
        fits = got.ndim in (0, turned.ndim) and got.shape in ((), turned.shape)
        if fits and close(np.broadcast_to(got, turned.shape), turned):
            return True
    return False


SCRIPT = """
import chainrule as cr
for text, shapes, wrt in [
    ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w"),
    ("softmax(A @ x) @ y + norm(x)", "A[m,n] x[n] y[m]", "x"),
    ("logdet(X.T @ X)", "X[N,n]", "X"),
]:
    for style in ("operator", "variables", "components", "differentials"):
        try:
            page = cr.explain(text, wrt, shapes, style=style)
        except cr.ChainruleError as problem:
            print(problem)
            continue
        print(page, page.to_latex(), page.to_json(), sep="\\n")
"""


def test_every_process_explains_the_same() -> None:
    outputs = set()
    for seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1 and "chain rule" in outputs.pop()


def test_the_round_trip_can_fail() -> None:
    """A line that lost a transpose would be noticed."""
    page = cr.explain("P @ A.T @ x", "x", "P[m,n] A[n,n] x[n]", style="variables").derivation
    value, known = result(page).value, dict(point())
    assert value is not None
    want = evaluate(value, known, SIZES)
    assert means("P Aᵀ", value, value.shape, known, want)
    assert not means("P A", value, value.shape, known, want)
