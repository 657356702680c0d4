"""Derivations as a whole: what they claim is checked, steps replay, what holds in one style holds in all."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from seed_cases import ALL

import chainrule as cr
from chainrule.api.formulas import read
from chainrule.derive import inward
from chainrule.derive.flow import flow
from chainrule.derive.inward import Inward, is_unevaluated
from chainrule.errors import OptionError
from chainrule.explain import Line, Phase, Sentence, variables
from chainrule.explain.board import Board
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import topological
from chainrule.notation.text import to_text
from chainrule.rules.table import lookup
from chainrule.simplify import simplify
from chainrule.steps import replay
from chainrule.verify.claims import Claim, check_claims

STYLES = ("operator", "variables", "components", "differentials")
NEURON = ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w")


def wrt_of(case: dict[str, Any]) -> str:
    return f"[{case['wrt']}]" if "," in case["wrt"] else case["wrt"]


def explained(formula: str, shapes: str, wrt: str, style: str | None = None, **options: Any) -> Any:
    return cr.explain(formula, wrt, shapes, style=style, **options)


def said(page: Any) -> str:
    return " ".join(page.to_text().split())


# ---------------------------------------------------------------- every example of the notes, in every style


@pytest.mark.parametrize("case", ALL, ids=[case["id"] for case in ALL])
def test_every_example_is_derived_in_every_style(case: dict[str, Any]) -> None:
    derived = cr.derive(case["expr"], wrt=wrt_of(case), shapes=case["shapes"], layout=case["layout"])
    shown = 0
    for style in (None, *STYLES):
        try:
            page = derived.explain(style)
        except OptionError as problem:
            assert style == "operator" and "more than two axes" in problem.message
            continue
        assert not page.checked.failed and not page.checked.reason
        assert page.checked.points >= 3 and page.checked.steps >= 1
        assert "∎" not in page.to_text()
        results = [line for d in page.derivations for line in d.answer if line.result]
        assert results
        shown += 1
    assert shown >= 4


@pytest.mark.parametrize("case", [c for c in ALL if "," not in c["wrt"]], ids=lambda c: c["id"])
def test_steps_replay_to_the_derivative(case: dict[str, Any]) -> None:
    formula = read(case["expr"], case["shapes"])
    wrt = formula.variables[case["wrt"]]
    pushed = Inward(formula.expr, wrt)
    moves = pushed.moves()
    reached = replay(pushed.start, [step for move in moves for step in move.steps])
    assert reached is (moves[-1].whole if moves else pushed.start)
    assert not any(map(is_unevaluated, topological([reached])))
    assert simplify(reached) is simplify(inward.jacobians(formula.expr, [wrt])[wrt])


def test_the_steps_of_an_operator_derivation_are_data() -> None:
    page = explained("9*(x + x**2)", "x", "x", "operator").derivation
    assert [step.rule for step in page.steps] == [
        "constant multiple rule", "sum rule", "dx/dx = 1", "power rule",
    ]  # fmt: skip
    assert replay(page.start, page.steps) is [line.value for line in page.lines()][3]


# ---------------------------------------------------------------- the four phases and the three chain rules


def test_variables_has_exactly_the_four_phases() -> None:
    page = explained("sin(x**2)", "x", "x", "variables")
    assert [phase.number for phase in page.phases] == [1, 2, 3, 4]
    lines = {
        "introduce": ["u = x²", "y = sin(u)"],
        "differentiate": ["du/dx = 2x", "dy/du = cos(u)"],
        "combine": ["dy/dx = dy/du · du/dx", " = cos(u) · 2x"],
    }
    for name, wanted in lines.items():
        phase: Phase = getattr(page, name)
        assert [written(line) for line in phase.lines()] == wanted
    assert written(list(page.substitute.lines())[-1]).endswith("2x cos(x²)")
    with pytest.raises(AttributeError, match="operator has no phase"):
        _ = explained("sin(x**2)", "x", "x", "operator").introduce


def written(line: Line) -> str:
    left = "" if line.left is None else to_text(line.left)
    return f"{left} {line.relation} {to_text(line.right)}"


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "rule"),
    [
        ("log(sin(x**3)**2)", "x", "x", "One path leads from x to y"),
        ("log(sin(x**3)**2)", "x", "x", "the single-variable chain rule applies"),
        ("x + x**2", "x", "x", "the single-variable total-derivative chain rule applies"),
        (
            "x + x**2",
            "x",
            "x",
            "Multiplying along one path alone, x → u → y, would give 2x and lose the other",
        ),
        ("sin(x + x**2)", "x", "x", "Two paths lead from x to y: x → u₂ → y and x → u₁ → u₂ → y"),
        (*NEURON, "the vector chain rule applies"),
        ("relu(w @ x + b)", "w[n] x[n] b", "w", "the scalar case of the vector chain rule applies"),
        ("x @ A @ x", "A[n,n] x[n]", "x", "the vector total-derivative chain rule applies"),
        ("exp(2) * c", "c x", "x", "No path leads from x to y"),
    ],
)
def test_the_chain_rule_is_decided_from_the_paths(formula: str, shapes: str, wrt: str, rule: str) -> None:
    assert rule in said(explained(formula, shapes, wrt, "variables"))


def test_direct_and_total_derivatives_have_different_symbols() -> None:
    page = explained("x + x**2", "x", "x", "variables")
    lines = [written(line) for line in page.differentiate.lines()]
    assert lines == ["du/dx = 2x", "∂y/∂x = 1", "∂y/∂u = 1"]
    assert "u is held fixed" in said(page) and "x is held fixed" in said(page)
    assert written(next(page.combine.lines())) == "dy/dx = ∂y/∂x + ∂y/∂u · du/dx"


def test_the_form_of_the_rule_stays_and_the_weights_change() -> None:
    lines = [written(line) for line in explained("x * x**2", "x", "x", "variables").combine.lines()]
    assert lines[0] == "dy/dx = ∂y/∂x + ∂y/∂u · du/dx" and lines[1] == " = u + x · 2x"


@pytest.mark.parametrize("layout", ["numerator", "denominator", "shape"])
def test_the_layout_holds_for_every_line(layout: str) -> None:
    page = explained(*NEURON, layout=layout)
    text = said(page)
    product = "1 × N · N × N · N × N · N × n = 1 × n" if layout == "numerator" else (
        "n × N · N × N · N × N · N × 1 = n × 1"
    )  # fmt: skip
    assert product in text
    step = "w ← w − η(∂C/∂w)ᵀ" if layout == "numerator" else "w ← w − η(∂C/∂w)"
    assert step in text
    assert ("so it is transposed" in text) == (layout == "numerator")


def test_the_users_names_are_the_intermediate_variables() -> None:
    page = explained("z = X @ w + b; a = relu(z); v = y - a; mean(v**2)", *NEURON[1:])
    assert [to_text(line.left) for line in page.introduce.lines() if line.left] == ["z", "a", "v", "C"]


# ---------------------------------------------------------------- components, paths, entries


def test_the_diagonal_condition_is_named_and_its_failure_shown() -> None:
    holds = said(explained("w * x", "w[n] x[n]", "x", "components"))
    assert "reads only entry i of x (the element-wise diagonal condition)" in holds
    assert "the case i = j" in holds and "the case i ≠ j" in holds
    fails = said(explained("(A @ w) * x", "A[n,n] w[n] x[n]", "w", "components"))
    assert "through Aw: the element-wise diagonal condition fails" in fails


def test_sizes_that_are_numbers_are_written_in_full() -> None:
    text = explained("w / x", "w[2] x[2]", "x", "components").to_text()
    assert "⎡ −w₁/x₁²  0       ⎤" in text and "⋯" not in text


def test_a_product_opens_into_a_sum_over_paths() -> None:
    text = said(explained(*NEURON, open="paths"))
    assert "∂C/∂wᵢ = Σⱼₖₗ ∂C/∂vₗ · ∂vₗ/∂aₖ · ∂aₖ/∂zⱼ · ∂zⱼ/∂wᵢ" in text


@pytest.mark.parametrize(
    ("opened", "message"), [("q", "there is no step 'q' to open"), ("a, nothing", "no step 'nothing'")]
)
def test_steps_that_do_not_exist_are_not_opened(opened: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        explained(*NEURON, open=opened)
    assert "the steps are z, a, v, C" in caught.value.hint


def test_unknown_styles_are_refused() -> None:
    names = "operator, variables, components, differentials or layers"
    with pytest.raises(OptionError, match=f"the style is {names}"):
        explained("x**2", "x", "x", "geometric")


# ---------------------------------------------------------------- the check of every line


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("row", ["exp", "relu", "power", "sigmoid"])
def test_a_planted_error_in_a_rule_is_told(style: str, row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    formula, shapes = {
        "exp": ("exp(x**2)", "x"),
        "relu": ("relu(3*x + 1)", "x"),
        "power": ("(x + 1)**3", "x"),
        "sigmoid": ("sigmoid(2*x)", "x"),
    }[row]
    right = lookup(row)
    first = right.d[0]  # type: ignore[attr-defined]
    wrong = (lambda *arguments: cr_scaled(first(*arguments)), *right.d[1:])  # type: ignore[attr-defined]
    object.__setattr__(right, "d", wrong)
    if getattr(right, "weights", None) is not None:
        weights = right.weights  # type: ignore[attr-defined]
        monkeypatch.setattr(type(right), "derivatives", lambda self, kink: self.d, raising=True)
        assert weights
    try:
        derived = cr.derive(formula, wrt="x", shapes=shapes)
        page = derived.explain(style)
        assert page.checked.failed
        assert "FAILED the check, a fault of chainrule" in page.to_text()
    finally:
        object.__setattr__(right, "d", (first, *right.d[1:]))  # type: ignore[attr-defined]
    assert not cr.derive(formula, wrt="x", shapes=shapes).explain(style).checked.failed


def cr_scaled(expr: Expr) -> Expr:
    return expr * cr.variables("x")[0] ** 0 * 1.001


def test_each_step_of_a_long_recursion_is_checked_by_itself() -> None:
    layers = "; ".join(f"h{k} = tanh(W{k} @ h{k - 1} + b{k})" for k in range(1, 7))
    shapes = "h0[n] t[n] " + " ".join(f"W{k}[n,n] b{k}[n]" for k in range(1, 7))
    page = explained(f"{layers}; sum((h6 - t)**2)", shapes, "W1")
    assert not page.checked.failed
    subject = page.subjects[0]
    board = Board(subject, subject.flow)
    board.style = "variables"
    variables.phases(board)
    steps = [k for k, claim in enumerate(board.claims) if claim.name.startswith("∂") and claim.by is not None]
    assert len(steps) > 12
    for k in steps:
        claim = board.claims[k]
        planted = [*board.claims]
        planted[k] = dataclasses.replace(claim, value=claim.value * 1.001)
        found = check_claims(planted, board.definitions, subject.variables, points=3)
        assert found.failed == (claim.name,)


def test_a_claim_that_is_off_is_caught_with_symbols_held_fixed() -> None:
    x, u = Variable("x"), Variable("u")
    right = Claim("right", u + 0 * x, x * u, x)
    total = Claim("the total derivative", u + x * 2 * x, x * u, x)
    found = check_claims([right, total], [(u, x**2)])
    assert found.failed == ("the total derivative",) and found.points == 20


def test_where_the_last_digit_decides_nothing_is_held_against_a_line() -> None:
    page = explained("+".join(f"sin(x**{k})" for k in range(1, 50)), "x", "x", "variables")
    assert not page.checked.failed


# ---------------------------------------------------------------- folding and size


def deep(layers: int) -> tuple[str, str]:
    lines = [f"h{k} = relu(W{k} @ h{k - 1} + b{k})" for k in range(1, layers + 1)]
    shapes = "x[n] y[n] " + " ".join(f"W{k}[n,n] b{k}[n]" for k in range(1, layers + 1))
    return "; ".join([*lines, f"sum((h{layers} - y)**2)"]).replace("h0", "x"), shapes


@pytest.mark.parametrize("style", ["variables", "differentials", None])
def test_layers_that_repeat_are_told_once(style: str | None) -> None:
    short = explained(*deep(15), "b1", style).to_text()
    long = explained(*deep(30), "b1", style).to_text()
    assert "likewise for" in long
    assert len(long.splitlines()) - len(short.splitlines()) < 15


def test_the_parts_of_a_flow_are_one_operator_each() -> None:
    x = Variable("x")
    steps = flow(cr.log(cr.sin(x**3) ** 2), [x])
    assert [part.name for part in steps.parts] == ["u1", "u2", "u3", "y"]
    assert steps.count_paths(x) == 1
    assert [v.name for v in steps.paths(x)[0]] == ["x", "u1", "u2", "u3", "y"]


def test_names_that_are_taken_are_not_used() -> None:
    text = explained("sin(u*x**2)", "u x", "x", "variables").to_text()
    assert "u1" not in text and "u = " not in text.replace("u: ", "")


def test_words_and_numbers_are_the_same_in_every_run() -> None:
    first, second = (explained(*NEURON, style).to_text() for style in ("variables", "variables"))
    assert first == second


def test_derivations_are_immutable() -> None:
    page = explained("x**2", "x", "x").derivation
    with pytest.raises(dataclasses.FrozenInstanceError):
        page.style = "other"


def test_order_two_derives_the_first_derivative_again() -> None:
    page = explained("x @ A @ x", "A[n,n] x[n]", "x", order=2)
    assert len(page.derivations) == 2
    last = page.derivations[-1]
    assert written(last.heading[0]) == "g = Ax + Aᵀx" or "g = " in written(last.heading[0])
    assert "A + Aᵀ" in written(next(line for line in last.answer if line.result))


def test_nothing_to_combine_is_said() -> None:
    entries = variables.TITLES
    assert entries[0] == "Introduce intermediate variables"
    page = explained("X @ w", "X[N,n] w[n]", "w", "variables")
    assert "one step, so there is nothing to combine" in said(page)
    assert all(isinstance(e, Line | Sentence | Phase) for phase in page.phases for e in phase.entries)


@pytest.mark.parametrize("style", STYLES)
def test_the_steps_of_every_style_replay_to_what_it_finds(style: str) -> None:
    page = explained("sum(exp(w * x))", "w[n] x[n]", "x", style).derivation
    assert page.start is not None and page.steps
    reached = replay(page.start, page.steps)
    assert not any(map(is_unevaluated, topological([reached])))
    result = next(line.value for line in page.answer if line.result)
    if style == "differentials":
        moved = next(n for n in topological([reached]) if isinstance(n, Variable) and n.name == "dx")
        result = (result * moved).sum()
    assert simplify(reached) is simplify(result)


@pytest.mark.parametrize(
    ("formula", "shapes", "wrt", "words"),
    [
        ("x + z", "x[n] z", "z", "scalar expansion: z stands for 𝟏z; sum rule"),
        ("x * z", "x[n] z", "z", "scalar expansion: z stands for 𝟏z; constant multiple rule"),
        ("diag(w) @ (A @ x)", "w[m] A[m,n] x[n]", "x", "diag(d) A scales the rows of A"),
        ("A @ (w * x)", "w[n] A[m,n] x[n]", "x", "A diag(d) scales the columns of A"),
        ("sin(x)**2", "x[n]", "x", "diag(a) diag(b) = diag(a ⊙ b)"),
    ],
)
def test_reasons_say_what_happens(formula: str, shapes: str, wrt: str, words: str) -> None:
    assert words in said(explained(formula, shapes, wrt, "variables"))


@pytest.mark.parametrize(("layout", "last"), [("numerator", "(∂C/∂z₁) W₁"), ("shape", "W₁ᵀ (∂C/∂z₁)")])
def test_a_long_recursion_keeps_the_layout_of_its_page(layout: str, last: str) -> None:
    inner = "x"
    for k in range(1, 7):
        inner = f"tanh(W{k} @ {inner} + b{k})"
    shapes = "x[n] y[n] " + " ".join(f"W{k}[n,n] b{k}[n]" for k in range(1, 7))
    page = explained(f"sum(({inner} - y)**2)", shapes, "x", "variables", layout=layout)
    sizes = {"numerator": "1 × n", "shape": "n"}[layout]
    assert not page.checked.failed
    for lines in (page.combine.lines(), page.derivation.answer[:1]):
        shown = [line for line in lines if line.left is not None][-1]
        assert (to_text(shown.left), to_text(shown.right), shown.sizes) == ("∂C/∂x", last, sizes)


def test_total_derivatives_of_a_long_recursion_have_a_symbol_of_their_own() -> None:
    formula = "a = exp(sin(exp(sin(cos(x**3))))); u = tanh(a); v = sin(u); w = cos(v); q = exp(w); u*q*v"
    page = explained(formula, "x", "x", "variables")
    direct = {to_text(line.left) for line in page.differentiate.lines() if line.left is not None}
    total = {to_text(line.left) for line in page.combine.lines() if line.left is not None}
    assert "∂y/∂v" in direct and "dy/dv" in total and not direct & total


@pytest.mark.parametrize(
    ("formula", "at_kink", "reading"),
    [
        ("max(x, 3) - max(x, 3)", 0, "y does not react to x."),
        ("abs(x)", 0, "moves by about sign(x) Δ, where it is differentiable."),
        ("relu(x)", 0.5, "on, where x > 0, wiggle x by a small Δ and y moves by Δ."),
    ],
)
def test_what_is_read_is_true_at_kinks_too(formula: str, at_kink: float, reading: str) -> None:
    assert reading in said(explained(formula, "x", "x", at_kink=at_kink))


def test_joined_vectors_are_written_as_such() -> None:
    text = said(explained("concat(w, b) @ concat(x, 1)", "w[n] x[n] b", "w"))
    assert "f = [w; b]ᵀ [x; 1]" in text and "∂u/∂w = [I; 0]" in text and "∂f/∂u = [x; 1]ᵀ" in text
