"""Any text is a formula or a ChainruleError; white space and brackets do not change a meaning."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.errors import ChainruleError
from chainrule.language import parse_declarations, parse_formula

PIECES = (
    "+ - * / @ ^ = < > ( ) [ ] { } | : ; , . · ⊙ ⊘ ⊗ ⊕ ‖ √ ∂ ′ ᵀ ² ⁻ ⁻¹ ⁻ᵀ ⁿ 𝟏 𝟎 Σ ∑ σ ' \" # ** .* "
    "./ .^ == <= X w x b A n Xw xᵀ z 1 2 0.5 1e3 ½ lam λ ŵ None e pi I 1j sum( exp( tr( inv( max( "
    "norm( diag( kron( eye( ones( stack( concat( einsum( 'ij,j->i' matrix_power( softmax( vec( "
    "vector(1) where( axis= .T .sum() .sum( np. linalg. 1[ [0] [1:] [::2] [:,0] δ_ij Σ_k A_ij x_i x₁ "
    "_ij y_i= z= where E[ import \x00 \u200b ∞ \n \t"
).split(" ")
SHAPES = (None, "X[N,n] w[n] b y[N] x[n] A[n,n]", "A[3,5] x[5] w[3] X[3,3]", "x w A[n,n]")
DIALECTS = st.sampled_from(["numpy", "matlab"])
PROFILES = st.sampled_from([None, "notes"])
soup = st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).flatmap(
    lambda parts: st.sampled_from([" ".join(parts), "".join(parts)])
)


def survives(text: str, shapes: str | None, dialect: str, profile: str | None) -> None:
    try:
        parse_formula(text, shapes, dialect=dialect, profile=profile)
    except ChainruleError as problem:
        assert str(problem) and problem.hint


@settings(max_examples=300, deadline=None)
@given(soup, st.sampled_from(SHAPES), DIALECTS, PROFILES)
def test_soup_is_read_or_refused(text: str, shapes: str | None, dialect: str, profile: str | None) -> None:
    survives(text, shapes, dialect, profile)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), DIALECTS)
def test_text_is_read_or_refused(text: str, dialect: str) -> None:
    survives(text, None, dialect, None)


@settings(max_examples=200, deadline=None)
@given(st.one_of(soup, st.text(max_size=20)))
def test_declarations_are_read_or_refused(text: str) -> None:
    try:
        parse_declarations(text)
    except ChainruleError as problem:
        assert problem.hint


GOOD = st.recursive(
    st.sampled_from(
        ["x", "w", "A @ x", "2*x", "sin(w)", "A.T @ w", "x[::-1]", "relu(x - w)", "softmax(x)", "diag(A)"]
    ),
    lambda inner: st.one_of(
        st.builds("({}) + ({})".format, inner, inner),
        st.builds("({})*({})".format, inner, inner),
        st.builds("A @ ({})".format, inner),
        st.builds("-({})**2".format, inner),
        st.builds("norm({})*x".format, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(GOOD)
def test_white_space_and_brackets_do_not_matter(text: str) -> None:
    shapes = "x[n] w[n] A[n,n]"
    plain = parse_formula(text, shapes).expr
    assert parse_formula(f" ( {text} )  # a comment", shapes).expr is plain
    assert parse_formula(re.sub(r" ", "\t  ", text), shapes).expr is plain
    assert parse_formula(f"z = {text}\nz", shapes).expr is plain
