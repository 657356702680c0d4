"""Functions left unknown: how they are declared, and what a formula may do with them."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, OptionError
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply
from chainrule.language import parse_formula, parse_functions
from chainrule.rules import ROWS
from chainrule.rules.unknown import unknown_in

M, N = Dim.of("m"), Dim.of("n")


@pytest.mark.parametrize(
    "given",
    [
        "f: scalar, g: elementwise, h: n->m",
        "f:scalar;g:elementwise;h:n -> m",
        "f: scalar g: elementwise, h: n→m".replace(" g", ", g"),
        {"f": "scalar", "g": "elementwise", "h": "n->m"},
    ],
)
def test_spellings_of_a_declaration(given: object) -> None:
    assert parse_functions(given).text() == "f: scalar, g: elementwise, h: n->m"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("h: n->1", "h: n->"),
        ("h: n->", "h: n->"),
        ("h: 1->m", "h: scalar->m"),
        ("h: n, p -> 3", "h: n,p->3"),
        ("h: n,scalar->2*m", "h: n,scalar->2*m"),
        ("L: [m, n] -> 1", "L: [m,n]->"),
        ("F: [n] -> [m,n+1]", "F: n->[m,n + 1]"),
        ("f: scalar -> scalar", "f: scalar"),
        ("f: scalar, scalar ->", "f: scalar(2)"),
        ("φ: scalar, f₁: scalar(2)", "phi: scalar, f1: scalar(2)"),
    ],
)
def test_declarations_that_mean_the_same(given: str, shown: str) -> None:
    assert parse_functions(given).text() == shown
    assert parse_functions(shown).text() == shown


def test_what_is_no_declaration() -> None:
    with pytest.raises(OptionError):
        parse_functions(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("h(x)", (M,)),
        ("h′(x)", (M, N)),
        ("h'(x)", (M, N)),
        ("h″(x)", (M, N, N)),
        ("h''(x)", (M, N, N)),
        ("∇q(x)", (N,)),
        ("q′(x)", (N,)),
        ("∇²q(x)", (N, N)),
        ("∂₂k(x, t)", (M,)),
        ("∂_1 k(x, t)", (M, N)),
        ("∂₁∂₂k(x, t)", (M, N)),
        ("∂₁^2 k(x, t)", (M, N, N)),
        ("g(A)", (M, N)),
        ("g⁽⁴⁾(A)", (M, N)),
        ("2g′(x)", (N,)),
        ("∇L(A)", (M, N)),
        ("∇₁∇₂r(A, x)", (M, N, N)),
        ("F′(x)", (M, N, N)),
    ],
)
def test_shapes(text: str, shape: tuple[Dim, ...]) -> None:
    functions = "h: n->m, q: n->, k: n,scalar->m, g: elementwise, L: [m,n]->, F: n->[m,n], r: [m,n],n->"
    for dialect in ("numpy", "matlab"):
        found = parse_formula(text, "x[n] t A[m,n]", dialect=dialect, functions=functions)
        assert found.expr.shape == shape


def test_shapes_are_inferred_from_a_declaration() -> None:
    found = parse_formula("h(A @ x) + b", functions="h: n->m")
    assert found.variables["A"].shape[0] == N
    assert found.variables["b"].shape in ((), (M,))


def test_the_jacobian_of_a_scalar_is_a_row_and_its_gradient_a_column() -> None:
    assert parse_formula("q′(x) x", "x[n]", functions="q: n->").expr.shape == ()
    assert parse_formula("∇q(x)ᵀ x", "x[n]", functions="q: n->").expr.shape == ()
    with pytest.raises(ChainruleError):
        parse_formula("∇q(x) x", "x[n]", functions="q: n->")


def test_partial_derivatives_commute() -> None:
    one, other = (
        parse_formula(text, "x y", functions="f: scalar").expr for text in ("∂₁∂₂f(x, y)", "∂₂∂₁f(x, y)")
    )
    assert one is other


def test_a_name_may_be_declared_anew() -> None:
    scalar = parse_formula("f(x)", "x", functions="f: scalar").expr
    entrywise = parse_formula("f(x)", "x", functions="f: elementwise").expr
    wide = parse_formula("f(x)", "x[n]", functions="f: n->m").expr
    narrow = parse_formula("f(x)", "x[n]", functions="f: n->k").expr
    assert len({scalar, entrywise, wide, narrow}) == 4
    again = parse_formula("f(x)", "x", functions="f: scalar").expr
    assert again is scalar and isinstance(again, Apply) and again.function is scalar.function  # type: ignore[attr-defined]
    assert unknown_in(scalar, wide) == ("f",)
    assert not [name for name in ROWS if name.startswith("f:")]


def test_a_formula_knows_its_functions() -> None:
    found = parse_formula("f(x, y) + g(x)", functions="f: scalar, g: scalar")
    assert found.functions.text() == "f: scalar(2), g: scalar"
    again = parse_formula("∂₁f(x, y)", functions=found.functions)
    assert again.functions.text() == "f: scalar(2), g: scalar"


def test_index_notation() -> None:
    found = cr.equal("y_i = f(A_ij x_j)", "f(Ax)", shapes="A[m,n] x[n]", functions="f: elementwise")
    assert found.proved


def test_runs_of_letters() -> None:
    assert cr.equal("2xf(x)", "2x f(x)", shapes="x", functions="f: scalar").proved


def test_equality() -> None:
    assert cr.equal("f'(x) g(x)", "g(x) f′(x)", functions={"f": "scalar", "g": "scalar"}).proved
    assert not cr.equal("f(x, y)", "f(y, x)", functions="f: scalar")
    assert not cr.equal("f(g(x))", "g(f(x))", functions="f: scalar, g: scalar")
    with pytest.raises(ChainruleError, match="takes 1 argument"):
        cr.equal("f(x)", "f(x, y)", functions="f: scalar")


def test_no_code_and_no_values() -> None:
    derivative = cr.derive("f(g(x))", wrt="x", functions="f: scalar, g: scalar")
    with pytest.raises(OptionError, match="f and g are left unknown"):
        derivative.compile()
    with pytest.raises(OptionError, match="left unknown"):
        derivative.at("x=1")
    assert cr.equal(
        derivative.numpy_source, "f'(g(x)) * g'(x)", shapes="x", functions="f: scalar, g: scalar"
    ).proved


def test_what_is_left_of_an_unknown_function() -> None:
    """The derivative of f(y) by x is 0, which needs no unknown function."""
    derivative = cr.derive("x**2 + f(y)", wrt="x", functions="f: scalar")
    assert derivative.compile()(x=3, y=1) == 6


def test_no_text_ends_in_a_traceback() -> None:
    """Whatever is declared, and whatever stands in a formula, ends in a value or a ChainruleError."""
    random = Random(3)
    words = "f g h x n m -> → : , ; scalar elementwise ( 2 ) 1 3 n+1 - > h₁ φ [ ] 0 '' ′ # e sin ** *".split()
    signs = "f g h x y A ( ) (x) (x,y) ′ ″ ' '' ⁽³⁾ ∂₁ ∂ ∇ ∇² ∂_1 ² ᵀ + * _i = 1 where [ ] | ‖ , @ ;".split()
    read = 0
    for _ in range(1500):
        declared = " ".join(random.choice(words) for _ in range(random.randint(1, 8)))
        formula = "".join(random.choice(signs) for _ in range(random.randint(1, 8)))
        with suppress(ChainruleError):
            parse_functions(declared, ["sin"])
        with suppress(ChainruleError):
            parse_formula(formula, "x[n] A[m,n] y", functions="f: scalar, g: elementwise, h: n->m")
            read += 1
    assert read > 20


def test_expressions_have_their_functions() -> None:
    (x,) = cr.variables("x")
    with pytest.raises(OptionError, match="has its functions"):
        cr.derive(x**2, wrt="x", functions="f: scalar")
