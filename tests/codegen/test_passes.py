"""Passes for BLAS and LAPACK: what each makes of a program, and that no value changes."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import pytest
from practice.cases import CASES
from practice.test_practice import SIZES, values_of
from reliability.judge import values
from reliability.programs import program

import chainrule as cr
from chainrule.codegen import numpy as printer
from chainrule.codegen import passes, shared
from chainrule.codegen.facts import Facts
from chainrule.codegen.load import compile_expressions
from chainrule.codegen.order import Tree, contraction_tree, tree_cost
from chainrule.codegen.plan import make_plan
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.rewrite import live, rewritten
from chainrule.derive import jacobians
from chainrule.errors import ChainruleError, DomainProblem, OptionError
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Einsum, Expr, Variable
from chainrule.language import parse_formula
from chainrule.simplify import normalise, simplify

from .cases import body


def derivative(text: str, shapes: str, wrt: str, order: int = 1) -> tuple[Expr, list[Variable]]:
    parsed = parse_formula(text, shapes)
    expr, by = parsed.expr, parsed.variables[wrt]
    for _ in range(order):
        expr = simplify(normalise(jacobians(normalise(expr, frozenset([wrt])), [by])[by]))
    return expr, list(parsed.variables.values())


def both(expr: Any, variables: list[Variable], given: dict[str, Any], patch: Any) -> tuple[Any, Any]:
    """The value by the code as it is compiled, and without any pass."""
    fast = compile_expressions(expr, variables, undefined=True)(**given)
    with patch.context() as without:
        without.setattr(printer, "for_blas", lambda program, *_: program)
        plain = compile_expressions(expr, variables, undefined=True)(**given)
    return fast, plain


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_keep_their_value(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = program(random.Random(seed).randrange, sizes=(3, 2, 4))
    try:
        expr, variables = derivative(made.text, made.shapes, made.wrt)
        fast, plain = both(expr, variables, values(made, seed) | made.sizes, monkeypatch)
    except ChainruleError:
        return  # refused with a reason
    np.testing.assert_allclose(fast, plain, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_practice_keeps_its_value(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And np.einsum with two operands is left only where entries are added up as they stream past."""
    order = 2 if case.second else 1
    for wrt in case.wrt.split()[:1]:
        expr, variables = derivative(case.formula, case.shapes, wrt, order)
        given = values_of(case)
        sizes = {n: SIZES[n] for v in variables for d in v.shape for n in d.names if n in SIZES}
        fast, plain = both(expr, variables, given | sizes, monkeypatch)
        np.testing.assert_allclose(fast, plain, rtol=1e-8, atol=1e-9)
        text = compile_expressions(expr, variables).__source__
        for inputs, output in re.findall(r"np\.einsum\('([a-zA-Z,]+)->([a-zA-Z]*)'", text):
            streamed = any(operand[-1] in output for operand in inputs.split(","))
            assert "," not in inputs or streamed, (inputs, output)


def test_a_pass_keeps_what_it_does_not_change() -> None:
    """And after its first change an operation that is there already is not made twice."""
    program = make_plan({"": parse_formula("exp(A @ x) + A @ x", "A[m,n] x[n]").expr})
    same = rewritten(program, lambda build, op, args: None)
    assert same.ops == live(program) and same.outputs == program.outputs

    def turned(build: Builder, op: Op, args: Any) -> Op | None:
        if op.kind == "call":  # exp(u) becomes −u, and u + (−u) is made of the same u
            return build.negate(build.make(args[0].kind, args[0].args, args[0].data, args[0].shape))
        return None

    changed = rewritten(program, turned)
    kinds = [op.kind for op in live(changed)]
    assert kinds.count("matmul") == 1 and "call" not in kinds and len(set(changed.ops)) == len(changed.ops)
    assert len(changed.ops) == len({(op.kind, op.data, op.args) for op in changed.ops})


def code(text: str, shapes: str, wrt: str = "", order: int = 1) -> str:
    """The body of the function, for a formula or for a derivative of it."""
    expr = derivative(text, shapes, wrt, order)[0] if wrt else parse_formula(text, shapes).expr
    return body(compile_expressions(expr).__source__)


@pytest.mark.parametrize(
    ("text", "shapes", "wanted"),
    [
        ("X.T @ diag(exp(w)) @ X", "X[m,n] w[m]", "t1 = X * np.sqrt(np.exp(w))[:, None]; return t1.T @ t1"),
        ("X @ diag(exp(w)) @ X.T", "X[m,n] w[n]", "t1 = X * np.sqrt(np.exp(w)); return t1 @ t1.T"),
        ("X.T @ diag(-w**2) @ X", "X[m,n] w[m]", "t1 = X * np.sqrt(w**2)[:, None]; return -(t1.T @ t1)"),
        ("X.T @ diag(w) @ X", "X[m,n] w[m]", "return weighted_gram(X, w)"),
        ("X.T @ diag(w > 0) @ X", "X[m,n] w[m]", "t1 = X[np.flatnonzero(w > 0)]; return t1.T @ t1"),
        (
            "A @ diag(w > 0) @ B",
            "A[m,n] w[n] B[n,p]",
            "t1 = np.flatnonzero(w > 0); return A[:, t1] @ B[t1]",
        ),
        ("A @ diag(w) @ B", "A[m,n] w[n] B[n,p]", "return A * w @ B"),
        ("inv(S) @ b", "S[n,n]:spd b[n]", "return solve_by_cholesky(cholesky_factor(S, 'S'), b)"),
        ("logdet(S)", "S[n,n]:spd", "return logdet_by_cholesky(cholesky_factor(S, 'S'))"),
        ("det(X.T @ X)", "X[m,n]", "return np.linalg.det(X.T @ X)"),
        ("inv(A) * logdet(A)", "A[n,n]", "t1 = lu_factor(A); return logdet_by_lu(t1) * inv_by_lu(t1)"),
        ("einsum('ia,ip,ib,iq->apbq', X, S, X, S)", "X[m,d] S[m,h]",
         "m, h = S.shape; d = X.shape[1]; t1 = (X[:, :, None] * S[:, None, :]).reshape(m, d*h); "
         "return (t1.T @ t1).reshape(d, h, d, h)"),
    ],
)  # fmt: skip
def test_products_and_factors(text: str, shapes: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "in_blocks", lambda program, *_: program)
    assert code(text, shapes) == wanted


@pytest.mark.parametrize(
    ("text", "shapes", "wanted"),
    [
        ("-outer(x, y)", "x[m] y[n]", "return np.outer(-x, y)"),
        ("2 * (outer(x, exp(x)) - x[:, None]) / c", "x[n] c",
         "t1 = 2 / c; t2 = t1 * np.exp(x); "
         "return np.array([x, -t1 * x]).T @ np.array([t2, np.ones_like(t2)])"),
        ("outer(x, y) + outer(y, x)", "x[n] y[n]", "return np.array([x, y]).T @ np.array([y, x])"),
        ("outer(x, y) - y", "x[m] y[n]",
         "return np.array([x, np.ones_like(x)]).T @ np.array([y, -y])"),
        ("A @ B - outer(x, y)", "A[m,k] B[k,n] x[m] y[n]", "return add_outer(A @ B, -x, y)"),
        ("A - outer(x, y)", "A[m,n] x[m] y[n]", "return A - np.outer(x, y)"),
        ("3 * (A * c + outer(x, x))", "A[n,n] x[n] c", "return add_outer(3 * c * A, 3 * x, x)"),
        ("x[:, None] - x", "x[n]", "return x[:, None] - x"),
    ],
)  # fmt: skip
def test_large_results_of_small_parts(
    text: str, shapes: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "in_blocks", lambda program, *_: program)
    assert code(text, shapes) == wanted


def test_bounds_come_from_how_an_array_is_made() -> None:
    def known(text: str, shapes: str) -> tuple[bool, bool]:
        parsed = parse_formula(text, shapes)
        program = make_plan({"": parsed.expr})
        facts = Facts({v.name: v.structure for v in parsed.variables.values()})
        return facts.is_nonnegative(program.outputs[""]), facts.is_nonpositive(program.outputs[""])

    for text in ("x**2", "sigmoid(x) * (1 - sigmoid(x))", "1 - tanh(x)**2", "p * (1 - p)", "exp(x) / p",
                 "norm(x) * relu(x)", "x @ x + p", "softmax(x)", "where(x > 0, x**2, 1)"):  # fmt: skip
        assert known(text, "x[n] p[n]:probability") == (True, False), text
    for text in ("tanh(x)**2 - 1", "-abs(x)", "p * (p - 1)"):
        assert known(text, "x[n] p[n]:probability") == (False, True), text
    for text in ("x", "x**3", "1 - x**2", "sin(x)", "p - 2 * p", "x * sin(x)", "1 / x"):
        assert known(text, "x[n] p[n]:probability") == (False, False), text


def test_symmetry_and_definiteness_come_from_the_form() -> None:
    shapes = "A[n,n] X[m,n] S[n,n]:spd Q[n,n]:symmetric d[m] c:positive"

    def known(text: str) -> tuple[bool, bool]:
        parsed = parse_formula(text, shapes)
        program = make_plan({"": parsed.expr})
        facts = Facts({v.name: v.structure for v in parsed.variables.values()})
        op = program.outputs[""]
        return facts.is_symmetric(op), facts.is_semidefinite(op)

    for text in ("X.T @ X", "X.T @ diag(d**2) @ X", "S + c * eye(n)", "X.T @ X + 2 * S", "inv(S)",
                 "A @ S @ A.T", "X.T @ X / c"):  # fmt: skip
        assert known(text) == (True, True), text
    for text in ("A + A.T", "X.T @ diag(d) @ X", "S - Q", "A @ Q @ A.T", "Q + eye(n)"):
        assert known(text) == (True, False), text
    for text in ("A", "A @ A", "A - A.T", "A @ S", "X.T @ X @ A"):
        assert known(text) == (False, False), text


def test_a_matrix_that_is_not_definite_is_named() -> None:
    """The declaration is wrong, or columns depend on each other; what is given as NaN is passed on."""
    parsed = parse_formula("logdet(S)", "S[n,n]:spd")
    f = compile_expressions(parsed.expr, list(parsed.variables.values()))
    with pytest.raises(DomainProblem, match=r"S is not positive definite.*at these arrays"):
        f(S=np.diag([1.0, -1.0]))
    assert np.isnan(f(S=np.full((2, 2), np.nan)))
    assert f(S=np.zeros((0, 0))) == 0
    g = compile_expressions(parse_formula("inv(X.T @ X)", "X[m,n]").expr)
    with pytest.raises(DomainProblem, match="must be inverted is not positive definite"):
        g(X=np.ones((3, 2)))


@pytest.mark.parametrize("count", [3, 7, 9, 12])
def test_no_order_is_cheaper(count: int) -> None:
    """Against all orders of three, and against many random ones of more."""
    rng = random.Random(count)
    lengths = {k: rng.choice((2, 5, 30, 400)) for k in range(count + 1)}
    arrays = [(k, k + 1) if rng.random() < 0.7 else (k,) for k in range(count)]
    kept = (arrays[0][0], arrays[-1][-1])

    def cost(tree: Tree) -> int:
        return tree_cost(tree, arrays, kept, lengths)

    def some(trees: list[Tree]) -> Tree:
        while len(trees) > 1:
            a, b = (trees.pop(rng.randrange(len(trees))) for _ in range(2))
            trees.append((a, b))
        return trees[0]

    best = cost(contraction_tree(arrays, kept, lambda k: float(lengths[k])))
    assert all(best <= cost(some(list(range(count)))) for _ in range(300))


@pytest.mark.parametrize(
    ("sizes", "product", "says"),
    [
        ({}, "A @ (B @ C)", "N ≫ n ≈ p ≈ q ≫ 1."),
        ({"N": 10}, "A @ B @ C", "N = 10 and n ≈ p ≈ q ≫ 1."),
        ("N=10, n = 90", "A @ B @ C", "N = 10, n = 90 and p ≈ q ≫ 1."),
    ],
)
def test_products_are_ordered_for_the_sizes_given(sizes: Any, product: str, says: str) -> None:
    d = cr.derive("A @ B @ C @ x", wrt="x", shapes="A[N,n] B[n,p] C[p,q] x[q]")
    f = d.compile(sizes=sizes)
    assert f"return {product}\n" in f.__source__ and says in f.__doc__
    A, B, C = np.ones((3, 2)), np.ones((2, 4)), np.ones((4, 5))
    assert np.allclose(f(A=A, B=B, C=C), A @ B @ C)  # arrays of other sizes
    assert f"return {product}\n" in d.source("torch", sizes=sizes)


def test_sizes_decide_only_where_another_order_would_be_cheaper() -> None:
    d = cr.derive("sum(log(1 + exp(X @ w)))", wrt="w", shapes="X[N,n] w[n]", order=2)
    assert "ordered" not in d.source()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"N": 3, "M": 4}, "no array has a size M"),
        ("n=2, z = 4", "no array has a size z"),
        ("n=2.5", "the size n is a whole number from 1 on, not 2.5"),
        ({"N": 0}, "the size N is a whole number from 1 on, not 0"),
        ({"N": True}, "not True"),
        ("N=2, N=3", "N is given twice"),
        ("N", "sizes are written name=number"),
        ([3], "sizes are given by name"),
    ],
)
def test_what_is_no_size_is_an_error_with_its_place(sizes: Any, message: str) -> None:
    d = cr.derive("X @ w", wrt="w", shapes="X[N,n] w[n]")
    with pytest.raises(OptionError, match=message) as caught:
        d.source(sizes=sizes)
    assert caught.value.hint or caught.value.spans


NETS = {
    "one hidden layer": ("mean((relu(X @ W + b) @ V + c - Y)**2)", "W,b,V,c",
                         "X[N,d] W[d,h] b[h] V[h,k] c[k] Y[N,k]", 5),
    "columns as data": ("mean((V @ relu(W @ X + outer(b, ones(N))) - Y)**2)", "W,b,V",
                        "X[d,N] W[h,d] b[h] V[k,h] Y[k,N]", 5),
    "logistic loss": ("sum(log(1 + exp(-y*(X @ w))))", "w", "X[N,n] w[n] y[N]", 2),
    "likelihood": ("logdet(S) + trace(inv(S) @ C)", "S", "S[n,n]:spd C[n,n]:symmetric", 2),
    "means too": ("logdet(S) + sum((X - mu) @ inv(S) * (X - mu))", "S,mu", "S[n,n]:spd X[N,n] mu[n]", 4),
    # softmax(QKᵀ), GVᵀ, their products of rows, and one product for each derivative.
    "attention": ("sum(G * (softmax(Q @ K.T) @ V))", "Q,K,V", "Q[n,d] K[m,d] V[m,p] G[n,p]", 6),
    "inverse": ("trace(inv(A) @ B)", "A,B", "A[n,n] B[n,n]", 2),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_no_product_is_made_twice_for_value_and_derivatives(name: str) -> None:
    text, wrt, shapes, most = NETS[name]
    d = cr.derive(text, wrt=wrt, shapes=shapes)
    both = d.value_and_derivatives()
    source = both.__source__[both.__source__.index("def value_and") :]
    assert sum(map(source.count, (" @ ", "times(", "einsum(", "vecdot("))) == most
    assert source.count("inv_by") + source.count("linalg.inv") <= 1 and source.count("softmax(") <= 1
    draw = np.random.default_rng(1)
    sizes = {"N": 6, "d": 2, "h": 3, "k": 4, "n": 3, "m": 4, "p": 2}
    given = {v.name: draw.normal(size=[sizes[str(s)] for s in v.shape]) for v in d.formula.variables.values()}
    for name in given.keys() & {"S", "C"}:
        given[name] = given[name] @ given[name].T + np.eye(3)
    value, derivatives = both(**given)
    alone = d.compile()(**given)
    assert np.allclose(value, compile_expressions(d.formula.expr)(**given))
    if not isinstance(alone, dict):
        alone, derivatives = {"": alone}, {"": derivatives}
    for key, array in alone.items():
        assert np.allclose(derivatives[key], array)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_shared_has_the_same_value(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random products of the same few arrays, with and without parts in common."""
    rng = random.Random(seed)
    n = Dim.of("n")
    arrays = [Variable(name, (n,) * rank) for name, rank in zip("ABCxy", (2, 2, 2, 1, 1), strict=True)]
    outputs: dict[str, Expr] = {}
    for k in range(4):
        chosen = [rng.choice(arrays) for _ in range(rng.randint(2, 5))]
        labels = [tuple(rng.randrange(4) for _ in a.shape) for a in chosen]
        carried = sorted({a for axes in labels for a in axes})
        kept = rng.sample(carried, rng.randint(0, min(2, len(carried))))
        outputs[f"f{k}"] = Einsum(ONE, chosen, labels, kept)
    draw = np.random.default_rng(seed)
    given = {a.name: draw.normal(size=(3,) * a.rank) for a in arrays}
    found = compile_expressions(outputs, arrays)(**given)
    monkeypatch.setattr(shared, "MOST", 0)
    for key, array in compile_expressions(outputs, arrays)(**given).items():
        assert np.allclose(found[key], array), outputs[key]


@pytest.mark.parametrize(
    ("text", "shapes", "wrt", "sizes", "solves", "inverts"),
    [
        ("trace(B.T @ inv(A) @ B)", "A[n,n]:spd B[n,k]", "B", {"k": 3}, True, False),
        ("trace(B.T @ inv(A) @ B)", "A[n,n] B[n,k]", "B", {"k": 3}, True, False),
        ("sum((B @ inv(A))**2)", "A[n,n]:spd B[k,n]", "B", {"k": 3}, True, False),
        ("sum((inv(A) @ b)**2)", "A[n,n] b[n]", "A,b", {}, True, False),
        # Columns of a size of their own are taken for few, if nothing else is said.
        ("sum((inv(A) @ B)**2)", "A[n,n] B[n,k]", "A", {}, True, False),
        ("trace(inv(A) @ B @ B.T)", "A[n,n]:spd B[n,k]", "A", {}, True, False),
        ("sum((inv(A) @ B)**2)", "A[n,n] B[n,k]", "A", {"n": 10, "k": 100}, False, True),
        # Whether XᵀX has more rows than X is not known.
        ("trace(B @ inv(B.T @ B + A) @ B.T)", "A[n,n]:spd B[m,n]", "B", {}, False, True),
        # A sum of outer products between inverses is taken apart.
        ("b @ inv(A) @ inv(A) @ b", "A[n,n] b[n]", "A", {}, True, False),
        ("b @ inv(A) @ c + b @ inv(A.T) @ c", "A[n,n] b[n] c[n]", "A", {}, True, False),
        ("sum((B @ inv(A))**2)", "A[n,n]:spd B[N,n]", "B", {}, False, True),
        ("sum((X - mu) @ inv(A) * (X - mu))", "A[n,n]:spd X[N,n] mu[n]", "X", {}, False, True),
    ],
)
def test_few_columns_are_solved_for(
    text: str, shapes: str, wrt: str, sizes: dict[str, int], solves: bool, inverts: bool
) -> None:
    d = cr.derive(text, wrt=wrt, shapes=shapes)
    f = d.value_and_derivatives(sizes=sizes)
    assert ("solve_by" in f.__source__ or "linalg.solve" in f.__source__) is solves
    assert ("inv_by" in f.__source__ or "linalg.inv" in f.__source__) is inverts
    draw = np.random.default_rng(3)
    lengths = {"n": 4, "k": 3, "N": 7, "m": 5}
    variables = d.formula.variables.values()
    given = {v.name: draw.normal(size=[lengths[str(s)] for s in v.shape]) for v in variables}
    given["A"] = given["A"] @ given["A"].T + np.eye(4) if "spd" in shapes else given["A"] + 3 * np.eye(4)
    value, slope = f(**given)
    if not isinstance(slope, dict):
        assert np.allclose(slope, d.compile(sizes=sizes)(**given))
    assert np.allclose(value, eval(text, {"trace": np.trace, "inv": np.linalg.inv, "sum": np.sum}, given))
    assert d.check(3).passed


def test_a_product_of_twelve_is_ordered_as_one() -> None:
    names = "ABCDEFGHIJK"
    shapes = " ".join(f"{a}[n,n]" for a in names) + " x[n]"
    lines = body(cr.derive(f"sum({' @ '.join(names)} @ x)", wrt="x", shapes=shapes).compile().__source__)
    assert lines == "return sum_along(A, 0) @ B @ C @ D @ E @ F @ G @ H @ I @ J @ K"


def test_a_row_that_is_itself_a_product_is_no_outer_product() -> None:
    parsed = parse_formula("A + B + x * y", "A[m,n] B[m,n] x[n] y[n]")
    draw = np.random.default_rng(0)
    given = {v.name: draw.normal(size=(3, 2)[-v.rank :]) for v in parsed.variables.values()}
    expected = given["A"] + given["B"] + given["x"] * given["y"]
    assert np.allclose(compile_expressions(parsed.expr)(**given), expected)


@pytest.mark.parametrize(
    "text",
    [
        "sin(A + outer(x, y) + B) * (A + B)",
        "(sin(A) + outer(x, y) + cos(B)) * (sin(A) + cos(B))",
        "(A + outer(x, y) + B) @ (A + B).T",
    ],
)
def test_an_outer_product_is_added_in_place_only_to_what_nothing_else_reads(text: str) -> None:
    parsed = parse_formula(text, "A[m,n] B[m,n] x[m] y[n]")
    draw = np.random.default_rng(0)
    given = {v.name: draw.normal(size=[{"m": 3, "n": 2}[str(d)] for d in v.shape])
             for v in parsed.variables.values()}  # fmt: skip
    expected = eval(text, {"sin": np.sin, "cos": np.cos, "outer": np.outer}, given)
    assert np.allclose(compile_expressions(parsed.expr)(**given), expected)


def test_products_are_made_of_products_that_are_there() -> None:
    lines = code("x @ (A + B) @ y", "A[n,n] B[n,n] x[n] y[n]")
    assert lines.count("@") == 2, lines
    parsed = parse_formula("x @ A", "A[n,n] B[n,n] x[n]")
    A, x = parsed.variables["A"], parsed.variables["x"]
    B = Variable("B", A.shape)
    for other, total in ((x @ B, x @ (A - B)), (A @ x, (A + A.T) @ x)):
        lines = body(compile_expressions({"p": x @ A, "q": other, "r": total}, [A, B, x]).__source__)
        assert lines.count("@") == 2, lines


def test_a_sum_is_of_entries_that_are_there() -> None:
    parsed = parse_formula("v @ w", "v[n] w[n]")
    v, w = parsed.variables["v"], parsed.variables["w"]
    lines = body(compile_expressions({"p": v * w, "q": v @ w}, [v, w]).__source__)
    assert "@" not in lines and ".sum()" in lines, lines
