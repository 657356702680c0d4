"""Random well-shaped expressions for the laws: small graphs over scalars, vectors and matrices of two
sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Expr, Shape, Variable, einsum, elementwise, identity, number
from chainrule.rules import elementwise as el
from chainrule.rules import tensorial as te
from chainrule.rules.constants import component

M, N = Dim.of("m"), Dim.of("n")
SIZES = {"m": 2, "n": 3}
SCALAR: Shape = ()
SHAPES: tuple[Shape, ...] = (SCALAR, (N,), (M,), (N, N), (M, N))
LETTERS = {SCALAR: "st", (N,): "xy", (M,): "uv", (N, N): "AB", (M, N): "PQ"}
VARIABLES = {shape: [Variable(name, shape) for name in names] for shape, names in LETTERS.items()}
EVERY = [v for group in VARIABLES.values() for v in group]
SMOOTH = (el.sin, el.cos, el.tanh, el.exp, el.sigmoid, el.softplus, el.arctan, el.erf)
KINKED = (el.relu, el.abs_)
Choose = Callable[[int], int]
Rule = tuple[tuple[Shape, ...], Callable[..., Expr]]


def _definite(a: Expr) -> Expr:
    return a.T @ a + 2 * identity((N,))


def _core(function: te.Tensorial, a: Expr, core: int) -> Expr:
    return Apply(function, (a,), (core,))


def _anywhere(shape: Shape) -> list[Rule]:
    """Operations that keep the shape."""
    one, two = (shape,), (shape, shape)
    rules: list[Rule] = [
        (two, lambda a, b: a + b),
        (two, lambda a, b: a - b),
        (two, lambda a, b: a * b),
        (two, lambda a, b: a / (2 + b * b)),
        (two, lambda a, b: elementwise(el.maximum, a, b)),
        (one, lambda a: 3 * a),
        (one, lambda a: a**2),
        (one, lambda a: a ** number(3)),
        (one, lambda a: (1 + a * a) ** number(Fraction(1, 2))),
        (one, lambda a: elementwise(el.log, 1 + elementwise(el.exp, a))),
        (one, lambda a: 1 / (1 + elementwise(el.exp, -a))),
    ]
    rules += [(one, lambda a, f=f: elementwise(f, a)) for f in SMOOTH + KINKED]
    if shape:
        rules += [((SCALAR, shape), lambda s, a: s * a), ((SCALAR, shape), lambda s, a: s + a)]
    return rules


RULES: dict[Shape, list[Rule]] = {shape: _anywhere(shape) for shape in SHAPES}
RULES[SCALAR] += [
    (((N,),), lambda a: a.sum()),
    (((N, N),), lambda a: a.sum()),
    (((M, N),), lambda a: a.mean()),
    (((N,), (N,)), lambda a, b: a @ b),
    (((N, N),), lambda a: einsum("ii->", a)),
    (((N,),), lambda a: _core(te.norm, a + 3, 1)),
    (((M, N),), lambda a: _core(te.norm, a + 3, 2)),
    (((N, N),), lambda a: Apply(te.logdet, (_definite(a),))),
    (((N, N),), lambda a: Apply(te.det, (a,))),
    (((N,),), lambda a: Apply(te.logsumexp, (a,))),
    (((N,),), lambda a: einsum("i,i->", a, component(1, N))),
    (((N,),), lambda a: _core(te.amax, a, 1)),
]
RULES[(N,)] += [
    (((N, N), (N,)), lambda a, b: a @ b),
    (((M,), (M, N)), lambda a, b: a @ b),
    (((N,),), lambda a: Apply(te.softmax, (a,))),
    (((N,),), lambda a: elementwise(el.exp, a) / elementwise(el.exp, a).sum()),
    (((N, N),), lambda a: einsum("ii->i", a)),
    (((M, N),), lambda a: a.sum(0)),
    (((N, N), (N,)), lambda a, b: Apply(te.inv, (_definite(a),)) @ b),
    (((N,),), lambda a: _core(te.unit, a, 1)),
]
RULES[(M,)] += [
    (((M, N), (N,)), lambda a, b: a @ b),
    (((M, N),), lambda a: Apply(te.logsumexp, (a,))),
    (((M, N),), lambda a: _core(te.norm, a + 3, 1)),
]
RULES[(N, N)] += [
    (((N, N), (N, N)), lambda a, b: a @ b),
    (((N, N),), lambda a: a.T),
    (((M, N),), lambda a: a.T @ a),
    (((N,), (N,)), lambda a, b: einsum("i,j->ij", a, b)),
    (((N,),), lambda a: einsum("i->ii", a)),
    (((N, N),), lambda a: Apply(te.inv, (_definite(a),))),
    (((N, N),), lambda a: Apply(te.matrix_power, (a,), (3,))),
]
RULES[(M, N)] += [
    (((M, N), (N, N)), lambda a, b: a @ b),
    (((M, N),), lambda a: Apply(te.softmax, (a,))),
    (((M,), (N,)), lambda a, b: einsum("i,j->ij", a, b)),
]


def build(choose: Choose, shape: Shape, depth: int) -> Expr:
    """An expression of the shape; choose(k) picks one of k possibilities, 0 the simplest."""
    leaves: list[Expr] = list(VARIABLES[shape])
    if not shape:
        leaves += [number(2), number(Fraction(-1, 3)), number(N)]
    if shape == (N, N):
        leaves.append(identity((N,)))
    if depth == 0 or choose(5) == 0:
        return leaves[choose(len(leaves))]
    parts, combine = RULES[shape][choose(len(RULES[shape]))]
    return combine(*(build(choose, part, depth - 1) for part in parts))


@st.composite
def any_expression(draw: st.DrawFn, depth: int = 3) -> Expr:
    """An expression of any of the shapes."""

    def choose(count: int) -> int:
        return draw(st.integers(0, count - 1))

    return build(choose, SHAPES[choose(len(SHAPES))], depth)


def point(seed: int = 0) -> dict[str, np.ndarray]:
    """A value for every variable, small enough that nothing overflows."""
    rng = np.random.default_rng(seed)
    return {v.name: 0.7 * rng.normal(size=[d.evaluate(SIZES) for d in v.shape]) for v in EVERY}
