"""Nodes, sizes and coefficients: equal ones are one object, and digests do not depend on who asks first."""

from __future__ import annotations

import gc
import pickle
import random
from fractions import Fraction
from weakref import ref

import pytest

from chainrule.expr import nodes
from chainrule.expr.dims import ONE, ZERO, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, number
from chainrule.rules.constants import SELECT, component
from chainrule.rules.elementwise import exp, power

N, M = Dim.of("n"), Dim.of("m")


def everything() -> list[Expr]:
    """A node of each type, new ones each time."""
    x, A = Variable("x", (N,)), Variable("A", (M, N), ("positive",))
    product = Einsum(Coefficient(Fraction(2, 3), ((N, -1),)), (A, x), ((7, 3), (3,)), (7,))
    total = Sum((x, Apply(exp, (x,)), Apply(power, (x, number(2, (N,))))))
    selected = Apply(SELECT, (), (Dim.of(0), 1, M, M + N))
    return [x, A, product, total, selected, Stack((total, x)), component(1, Dim.of(3))]


def test_what_is_made_twice_is_one_object_until_nothing_holds_it() -> None:
    for one, other in zip(everything(), everything(), strict=True):
        assert one is other and one.children == other.children and one.rank == len(one.shape)
    x = Variable("x", (N,))
    renamed = [Einsum(ONE, (x, x), ((a,), (b,)), (b, a)) for a, b in ((0, 1), (1, 0), (5, 2))]
    assert renamed[0] is renamed[1] is renamed[2]
    assert Einsum(ONE, (x, x), ((0,), (1,)), (0, 1)) is not renamed[0]
    held = ref(Sum((x, Apply(exp, (x * 17,)))))
    gc.collect()
    assert held() is None
    before = len(nodes._nodes)
    for k in range(50):
        Sum((x, number(k + 1000, (N,))))
    gc.collect()
    assert len(nodes._nodes) == before


def test_parameters_are_told_apart_by_what_they_print() -> None:
    """1, True and 1/1 are equal, and name three different nodes."""
    x = Variable("x", (N,))
    made = [Apply(exp, (x,), (p,)) for p in (1, True, Fraction(1))]
    assert len({node.digest for node in made}) == len(set(made)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_digests_do_not_depend_on_the_order_in_which_they_are_asked_for(seed: int) -> None:
    found = {repr(node): node.digest for node in everything()}
    gc.collect()
    again = everything()
    random.Random(seed).shuffle(again)
    assert {repr(node): node.digest for node in again} == found
    assert len(set(found.values())) == len(found)


def test_the_digest_of_a_deep_graph_does_not_recurse() -> None:
    node: Expr = Variable("deep", (N,))
    for _ in range(5000):
        node = Apply(exp, (node,))
    assert len(node.digest) == 16


def test_coefficients_and_sizes_are_one_object_each() -> None:
    half = Coefficient(Fraction(1, 2), ((N, 2),))
    assert Coefficient.of(N) ** 2 * Coefficient.of(Fraction(1, 2)) is half
    assert half + -half is ZERO and (-half).rational < 0 and half * half**-1 is ONE
    assert pickle.loads(pickle.dumps(half)) is half and pickle.loads(pickle.dumps(N + M)) is N + M
    assert half.is_one is ZERO.is_one is False and ZERO.is_zero and ONE.is_one and not ONE.is_zero
    assert (N * M - M * N).constant == 0 and (N + M).name is None and (M + N).names == ("m", "n")
    assert sorted([N, M, N * M, Dim.of(2)]) == sorted([N * M, Dim.of(2), M, N])


@pytest.mark.parametrize(
    ("size", "known"),
    [
        (N - Dim.of(1), True),
        (N - Dim.of(2), False),
        (N - M, False),
        (N * M - M, True),
        (N * M - M * M, False),
        (Dim.of(2) * N - N * N, False),
        (N * N - N, True),
        (Dim.of(3) - N, False),
        (N * M + N - M, True),
    ],
)
def test_what_is_known_to_be_at_least_0(size: Dim, known: bool) -> None:
    assert size.is_nonnegative is known
