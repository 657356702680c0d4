"""Generated code: what it looks like, and that it is worth what the expression is worth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from chainrule.codegen.formula import numpy_formula
from chainrule.codegen.load import compile_expressions
from chainrule.codegen.names import identifier
from chainrule.codegen.order import contraction_tree
from chainrule.derive import jacobians
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Variable, elementwise, identity, number
from chainrule.language import Formula, parse_formula
from chainrule.rules import ROWS
from chainrule.rules.constants import BASIS, MERGE, SELECT
from chainrule.rules.elementwise import exp, log, tanh
from chainrule.simplify import normalise, simplify
from chainrule.verify.compare import equal
from chainrule.verify.reference import evaluate
from chainrule.verify.sample import Sampler

from .cases import AS_WRITTEN, DERIVATIVES, body

M, N, P = Dim.of("m"), Dim.of("n"), Dim.of("p")


def agree(expr: Expr, names: dict[str, Expr] | None = None) -> None:
    """Compiled code and reference interpreter have one value at a few points."""
    f = compile_expressions(expr, names=names or {})
    sampler = Sampler([expr])
    rng = np.random.default_rng(3)
    for _ in range(3):
        point = sampler.point(rng)
        sizes = {k: v for k, v in point.sizes.items() if k in f.sizes}
        got = f(**point.values, **sizes)
        want = evaluate(expr, point.values, point.sizes)
        assert np.shape(got) == want.shape
        assert np.allclose(got, want, rtol=1e-9, atol=1e-11 * max(1.0, float(np.abs(want).max(initial=0.0))))


@pytest.mark.parametrize(("text", "shapes", "code", "formula"), AS_WRITTEN)
def test_what_is_written(text: str, shapes: str, code: str, formula: str) -> None:
    expr = parse_formula(text, shapes).expr
    assert body(compile_expressions(expr).__source__) == code
    assert numpy_formula(expr).replace("\n", "; ") == formula
    agree(expr)


def derivatives(text: str, shapes: str, wrt: str, orders: int = 2) -> tuple[Formula, list[Expr]]:
    parsed = parse_formula(text, shapes)
    by = parsed.variables[wrt]
    found: list[Expr] = []
    current = normalise(parsed.expr, frozenset([wrt]))
    for _ in range(orders):
        current = normalise(jacobians(current, [by])[by], frozenset([wrt]))
        found.append(simplify(current))
    return parsed, found


@pytest.mark.parametrize(("text", "shapes", "wrt"), DERIVATIVES)
def test_derivatives_run_and_read_back(text: str, shapes: str, wrt: str) -> None:
    parsed, found = derivatives(text, shapes, wrt)
    declared = " ".join(
        f"{v.name}[{','.join(map(str, v.shape))}]" + (f":{{{','.join(v.structure)}}}" if v.structure else "")
        if v.rank
        else v.name
        for v in parsed.variables.values()
    )
    for expr in found:
        agree(expr, parsed.names)
        back = parse_formula(numpy_formula(expr, parsed.names), declared).expr
        assert back.shape == expr.shape
        assert equal(back, expr).equal


def test_identities_and_constant_tensors_are_never_multiplied() -> None:
    for text, shapes, wrt in DERIVATIVES:
        if text.startswith("a @ vec"):
            continue
        for expr in derivatives(text, shapes, wrt)[1]:
            lines = compile_expressions(expr).__source__.splitlines()
            inside = [line for line in lines if "np.eye" in line and ("@" in line or "einsum" in line)]
            assert not inside or "others" in inside[0], (text, inside)


x, y = Variable("x", (N,)), Variable("y", (N,))
A, B = Variable("A", (N, N)), Variable("B", (N, M))
HAND_MADE = {
    "a diagonal in three axes": Einsum(ONE, (x,), ((0,),), (0, 0, 0)),
    "an identity of matrices": identity((M, N)),
    "a matrix beside an identity": Einsum(ONE, (B,), ((0, 1),), (0, 2, 1, 2), {2: P}),
    "ones in three axes": number(1, (M, N, P)),
    "a column of the identity, placed": Einsum(
        ONE, (Apply(BASIS, (), (Dim.of(0), N)), x), ((0,), (1,)), (1, 0)
    ),
    "a column of the identity, squared": Einsum(
        ONE, (Apply(BASIS, (), (Dim.of(1), N)), Apply(BASIS, (), (Dim.of(1), N)), x), ((0,), (0,), (0,)), (0,)
    ),
    "two columns of the identity": Einsum(
        ONE, (Apply(BASIS, (), (Dim.of(1), N)), Apply(BASIS, (), (Dim.of(0), N)), x), ((0,), (0,), (0,)), ()
    ),
    "a selection by itself": Apply(SELECT, (), (Dim.of(1), 2, Dim.of(2), Dim.of(5))),
    "a selection of a selection": Apply(SELECT, (), (Dim.of(1), 1, Dim.of(2), Dim.of(3)))
    @ (Apply(SELECT, (), (Dim.of(0), 2, Dim.of(3), Dim.of(6))) @ Variable("u", (Dim.of(6),))),
    "a selection, transposed twice": Apply(SELECT, (), (Dim.of(0), 2, Dim.of(3), Dim.of(6))).T
    @ (Apply(SELECT, (), (Dim.of(1), 1, Dim.of(2), Dim.of(3))).T @ Variable("u", (Dim.of(2),))),
    "a projection": Apply(SELECT, (), (Dim.of(0), 2, Dim.of(3), Dim.of(6))).T
    @ Apply(SELECT, (), (Dim.of(0), 2, Dim.of(3), Dim.of(6))),
    "the sum of a selection": Apply(SELECT, (), (Dim.of(1), 1, N - Dim.of(1), N)).sum(),
    "a regrouping by itself": Apply(MERGE, (), (M, N)),
    "a regrouping, summed": Apply(MERGE, (), (M, N)).sum(),
    "a regrouping and back": Einsum(
        ONE, (Apply(MERGE, (), (N, M)), Apply(MERGE, (), (N, M)), B), ((0, 1, 2), (0, 3, 4), (1, 2)), (3, 4)
    ),
    "a reshape": Einsum(
        ONE, (Apply(MERGE, (), (N, M)), Apply(MERGE, (), (M, N)), B), ((0, 1, 2), (0, 3, 4), (1, 2)), (3, 4)
    ),
    "a regrouping of three axes": Einsum(
        ONE,
        (Apply(MERGE, (), (M, N)), Apply(MERGE, (), (M * N, P)), Variable("v", (M * N * P,))),
        ((0, 1, 2), (3, 0, 4), (3,)),
        (4, 2, 1),
    ),
    "a diagonal inside a sum of functions": Einsum(ONE, (elementwise(exp, x),), ((0,),), (0, 0)) + A * 2,
    "two diagonals": Einsum(ONE, (x,), ((0,),), (0, 0)) + Einsum(ONE, (y,), ((0,),), (0, 0)),
    "a function of a diagonal": elementwise(tanh, Einsum(ONE, (x,), ((0,),), (0, 0))),
    "an inverse of a diagonal plus a number": Apply(ROWS["inv"], ((1 + x @ y) * identity((N,)),)),
    "a trace of an identity": Einsum(ONE, (identity((N,)), x), ((0, 0), (1,)), (1,)),
    "a constant softmax": Apply(ROWS["softmax"], (number(2, (N,)),)),
    "a batch that repeats": Apply(ROWS["softmax"], (Einsum(ONE, (x,), ((1,),), (0, 1), {0: M}),)),
    "many factors": Einsum(ONE, [A, B, x, y, A, A, x, y, A, A, A, x], [
        (0, 1), (1, 2), (0,), (1,), (3, 4), (4, 5), (5,), (3,), (6, 7), (7, 8), (8, 6), (6,)], (2, 3)),
    "many factors of one shape": Einsum(ONE, [elementwise(exp, k * x) for k in range(29)], [(0,)] * 29, (0,)),
    "a long chain": Einsum(ONE, [A] * 14, [(k, k + 1) for k in range(14)], (14, 0)),
    "sums of constants, multiplied": Einsum(
        ONE, (number(-1, (M,)) + number(-1, (M,)), number(2, (N,)) + number(-1, (N,))), ((0,), (1,)), ()
    ),
    "a comparison, negated": x * 0 - (x > 0),
    "constants with a diagonal": number(-1, (N, N)) + identity((N,)) * 0.5 * (x @ y),
    "comparisons multiplied": (x > 0) * (y > 0),
    "comparisons added": (x > 0) + (y > 0) - (x > y),
    "a comparison by itself": x > y,
    "a comparison in a product": A @ (x > 0),
    "a big number": x * (10**25) + 2**70,
    "a number beyond floats": elementwise(log, x * 2**1000 + 1) / 10**400,
}  # fmt: skip


@pytest.mark.parametrize("name", HAND_MADE)
def test_hand_made_graphs(name: str) -> None:
    expr = HAND_MADE[name]
    agree(expr)
    agree(normalise(expr))


@pytest.mark.parametrize("name", [n for n in HAND_MADE if n != "a number beyond floats"])
def test_hand_made_graphs_read_back(name: str) -> None:
    expr = HAND_MADE[name]
    variables = {n.name: n for n in (x, y, A, B)} | {v.name: v for v in Sampler([expr]).variables}
    declared = " ".join(
        f"{v.name}[{','.join(str(d).replace(' ', '') for d in v.shape)}]" for v in variables.values()
    )
    text = numpy_formula(expr)
    back = parse_formula(text, declared + " p_[p]").expr
    assert back.shape == expr.shape, text
    assert equal(back, expr).equal, text


def test_a_function_of_its_own_for_each_name_that_python_reserves() -> None:
    taken = (
        Variable("np", (N,)) * Variable("special", (N,)) + Variable("class", (N,)) + Variable("unit", (N,))
    )
    f = compile_expressions(taken + Apply(ROWS["unit"], (x,), (1,)))
    ones = np.ones(3)
    got = f(np=2 * ones, special=3 * ones, **{"class": ones}, unit=ones, x=[3.0, 0.0, 4.0])
    assert np.allclose(got, [8.6, 8.0, 8.8])
    assert np.allclose(f(np_=2 * ones, special_=3 * ones, class_=ones, unit_=ones, x=[3.0, 0.0, 4.0]), got)


def test_identifiers() -> None:
    assert identifier("λ") == "lam"
    assert identifier("Σ") == "Sigma"
    assert identifier("w₁") == "w1"
    assert identifier("np") == "np_"
    assert identifier("x", ["x"]) == "x_"
    assert identifier("for") == "for_"
    assert identifier("3") == "v3"


def test_parts_that_a_person_named_keep_their_names() -> None:
    parsed = parse_formula("z = X @ w + b; a = relu(z); mean((y - a)**2)", "X[N,n] w[n] b y[N]")
    w = parsed.variables["w"]
    gradient = simplify(normalise(jacobians(parsed.expr, [w])[w]))
    names = {name: normalise(part) for name, part in parsed.names.items()}
    assert "    z = times(X, w) + b\n" in compile_expressions(gradient, names=names).__source__
    assert numpy_formula(gradient, names).startswith("z = X @ w + b\n")


def test_shared_parts_are_computed_once() -> None:
    X, w = Variable("X", (M, N)), Variable("w", (N,))
    hidden = elementwise(tanh, X @ w)
    f = compile_expressions({"value": (hidden * hidden).sum(), "slope": hidden @ X})
    assert f.__source__.count("np.tanh") == 1
    out = f(X=np.eye(2), w=np.ones(2))
    assert list(out) == ["value", "slope"]
    assert np.allclose(out["slope"], np.tanh([1, 1]))


def test_pairs_of_names_as_keys() -> None:
    f = compile_expressions({("a", "b"): x, ("b", "a"): x})
    out = f(x=[1.0, 2.0])
    out["a", "b"][0] = 5.0
    assert out["b", "a"][0] == 1.0


class TestOrder:
    def cost(
        self, tree: object, operands: list[tuple[int, ...]], kept: set[int], size: dict[int, float]
    ) -> float:
        """The multiplications that a tree takes."""
        total = 0.0

        def walk(node: object, outside: set[int]) -> set[int]:
            nonlocal total
            if isinstance(node, int):
                return set(operands[node]) & outside
            left, right = node  # type: ignore[misc]
            p, q = self.labels(left, operands), self.labels(right, operands)
            a, b = walk(left, outside | q), walk(right, outside | p)
            total += math.prod(size[k] for k in (a | b))
            return (a | b) & outside

        walk(tree, kept)
        return total

    def labels(self, node: object, operands: list[tuple[int, ...]]) -> set[int]:
        if isinstance(node, int):
            return set(operands[node])
        return self.labels(node[0], operands) | self.labels(node[1], operands)  # type: ignore[index]

    def trees(self, items: list[object]) -> list[object]:
        if len(items) == 1:
            return items
        found = []
        for i, j in itertools.combinations(range(len(items)), 2):
            rest = [items[k] for k in range(len(items)) if k not in (i, j)]
            found += self.trees([*rest, (items[i], items[j])])
        return found

    def test_no_tree_is_cheaper(self) -> None:
        rng = np.random.default_rng(0)
        for _ in range(30):
            count = int(rng.integers(2, 6))
            operands = [
                tuple(map(int, rng.choice(5, int(rng.integers(1, 4)), replace=False))) for _ in range(count)
            ]
            carried = {k for axes in operands for k in axes}
            kept = [k for k in sorted(carried) if rng.random() < 0.4]
            size = {k: float(rng.integers(2, 40)) for k in range(5)}
            tree = contraction_tree(operands, kept, size.__getitem__)
            best = min(self.cost(t, operands, set(kept), size) for t in self.trees(list(range(count))))
            # Small intermediates are preferred at a price of at most half their size.
            assert self.cost(tree, operands, set(kept), size) <= 1.5 * best

    def test_vectors_go_first(self) -> None:
        assert contraction_tree([(0, 1), (1, 2), (2,)], (0,), lambda k: 100.0) == (0, (1, 2))


class TestStability:
    def value(self, text: str, shapes: str, **values: object) -> np.ndarray:
        with np.errstate(all="raise", under="ignore"):
            return np.asarray(compile_expressions(parse_formula(text, shapes).expr)(**values))

    def test_nothing_overflows_at_a_thousand(self) -> None:
        big = [-1000.0, 0.0, 1000.0]
        assert np.allclose(self.value("log(1 + exp(x))", "x[n]", x=big), [0, np.log(2), 1000])
        assert np.allclose(self.value("1/(1 + exp(-x))", "x[n]", x=big), [0, 0.5, 1])
        assert np.allclose(self.value("log(sigmoid(x))", "x[n]", x=big), [-1000, -np.log(2), 0])
        assert np.allclose(self.value("logsumexp(x)", "x[n]", x=big), 1000)
        assert np.allclose(self.value("log(softmax(x))", "x[n]", x=big), [-2000, -1000, 0])
        assert np.allclose(
            self.value("log(softmax(X, axis=1))", "X[m,n]", X=[big, big]), [[-2000, -1000, 0]] * 2
        )

    def test_nothing_cancels_near_zero(self) -> None:
        assert self.value("log(1 + x)", "x", x=1e-20) == 1e-20
        assert self.value("exp(x) - 1", "x", x=1e-20) == 1e-20
        assert np.allclose(self.value("exp(x) - 1 + y", "x y", x=1e-20, y=1e-20), 2e-20, rtol=1e-12, atol=0)

    def test_the_determinant_of_a_large_matrix_does_not_overflow(self) -> None:
        assert np.isclose(self.value("logdet(A)", "A[n,n]", A=1e5 * np.eye(200)), 200 * np.log(1e5))


def test_the_gradient_of_det_at_singular_matrices() -> None:
    X = Variable("X", (N, N))
    gradient = normalise(jacobians(Apply(ROWS["det"], (X,)), [X])[X])
    f = compile_expressions(gradient)
    assert np.allclose(f(X=[[1.0, 2.0], [2.0, 4.0]]), [[4.0, -2.0], [-2.0, 1.0]])
    assert np.allclose(f(X=np.zeros((2, 2))), 0)
    assert np.allclose(f(X=np.zeros((3, 3))), 0)
    assert np.allclose(f(X=[[5.0]]), [[1.0]])
    rng = np.random.default_rng(0)
    rank_two = rng.standard_normal((4, 2)) @ rng.standard_normal((2, 4))
    assert np.allclose(f(X=rank_two), 0, atol=1e-12)
    rank_three = rng.standard_normal((4, 3)) @ rng.standard_normal((3, 4))
    cofactors = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(rank_three, i, 0), j, 1)) for j in range(4)]
        for i in range(4)
    ]
    assert np.allclose(f(X=rank_three), cofactors)
    assert np.isnan(f(X=np.full((2, 2), np.nan))).all()
    squared = normalise(jacobians(Apply(ROWS["det"], (X,)) ** 2, [X])[X])
    assert np.allclose(compile_expressions(squared)(X=[[1.0, 2.0], [2.0, 4.0]]), 0)


def test_a_network_of_256_layers() -> None:
    h = Dim.of("h")
    a: Expr = Variable("x", (h,))
    for k in range(256):
        a = elementwise(tanh, Variable(f"W{k}", (h, h)) @ a + Variable(f"b{k}", (h,)))
    f = compile_expressions(a.sum())
    values = {v.name: np.full((3,) * v.rank, 0.1) for v in Sampler([a]).variables}
    assert np.isclose(f(**values), evaluate(a.sum(), values))
    assert len(numpy_formula(a.sum()).splitlines()) < 600


def test_the_source_is_the_same_in_every_process() -> None:
    import subprocess
    import sys

    script = (
        "from chainrule.language import parse_formula\n"
        "from chainrule.codegen.load import compile_expressions\n"
        "print(compile_expressions(parse_formula('softmax(W @ tanh(V @ x + b)) * tr(A @ B) + x @ x',"
        "'W[m,h] V[h,n] b[h] A[m,n] B[n,m] x[n]').expr).__source__)"
    )
    texts = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "src"},
        )
        texts.add(done.stdout)
    assert len(texts) == 1
