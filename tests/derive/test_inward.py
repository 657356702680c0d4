"""A derivative pushed inward: the lazily made lines are those that one replacement after another makes."""

from __future__ import annotations

import pytest

from chainrule.derive.inward import Inward
from chainrule.expr.nodes import Apply, Expr, Variable
from chainrule.expr.walk import topological, transform
from chainrule.rules.elementwise import exp, sin

x = Variable("x")
S = Apply(sin, (x,))
SS = Apply(sin, (S,))


@pytest.mark.parametrize(
    "formula",
    [9 * (x + x**2), S * SS, SS * S, S * SS * Apply(exp, (S * SS,)), Apply(exp, (SS,)) / (1 + S**2)],
)
def test_every_line_is_the_one_before_with_one_derivative_replaced(formula: Expr) -> None:
    inward = Inward(formula, x)
    moves = inward.moves()
    whole = inward.start
    for move in moves:
        (step, *_) = move.steps
        assert step.before in topological([whole])
        whole = transform(whole, lambda node: node, {step.before: step.after})
        assert move.whole is whole
    assert whole is inward.end


def test_a_product_of_one_factor_takes_no_step() -> None:
    assert [move.rule for move in Inward(1 / x, x).moves()] == ["power rule"]
