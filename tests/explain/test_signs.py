"""Derivations in the signs of a profile: in formulas and in sentences, in every way of writing."""

from __future__ import annotations

import pytest

import chainrule as cr

CASES = [
    ("w ⊗ x", "w[n] x[n]", "x", None),
    ("sum((y - relu(X @ w + b))**2)/N", "X[N,n] w[n] b y[N]", "w", "variables"),
    ("sum(sin(w) ⊗ exp(x))", "w[n] x[n]", "w", "variables"),
    ("sum(A ⊗ A ⊗ A)", "A[m,n]", "A", "differentials"),
    ("A @ X @ B", "A[m,n] X[n,k] B[k,p]", "X", "differentials"),
]


@pytest.mark.parametrize(("formula", "shapes", "wrt", "style"), CASES)
def test_every_sign_is_that_of_the_notes(formula: str, shapes: str, wrt: str, style: str | None) -> None:
    page = cr.explain(formula, wrt, shapes, style=style, profile="notes")
    for shown in (page.to_text(), page.to_markdown(), page.to_latex(), page.to_html(), page.to_json()):
        assert "⊙" not in shown and r"\odot" not in shown
    assert not page.checked.failed


def test_products_are_not_confused() -> None:
    neuron = cr.explain(*CASES[1][:1], "w", CASES[1][1], profile="notes").to_text()
    assert "vᵀ diag(d) = (v ⊗ d)ᵀ" in neuron and "(v ⊗ 1[z > 0])ᵀ X" in neuron
    sides = cr.explain("A @ X @ B", "X", "A[m,n] X[n,k] B[k,p]", profile="notes")
    assert "kron(Bᵀ, A)" in sides.to_text() and r"\operatorname{kron}(B^\top, A)" in sides.to_latex()
    assert "⊗" not in sides.to_text()


def test_without_a_profile_nothing_changes() -> None:
    assert "v ⊙ d" in cr.explain(*CASES[1][:1], "w", CASES[1][1]).to_text()
