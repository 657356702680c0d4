"""Factorisations made once and used again: Cholesky where a matrix is positive definite, LU where it is not.

In: a program, after lowering. Out: the same with inverses, solutions, determinants and their logarithms from
one factor of each matrix. A matrix of which nothing is known, and of which only a solution or a
determinant is asked, stays with np.linalg; its inverse does not, since np.linalg.inv, which solves for all
columns of I, takes half as long again.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.codegen.facts import Facts
from chainrule.codegen.order import assumed_size
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.rewrite import live, rewritten
from chainrule.expr.dims import Dim

NEEDS = ("inv", "logdet", "det")


def with_factors(program: Program, facts: Facts) -> Program:
    """The program with each matrix factored once."""
    asked: dict[Op, set[str]] = {}
    solved: dict[Op, int] = {}
    for op in live(program):
        use = _use(op)
        if use is not None:
            A = _matrix(op)
            asked.setdefault(A, set()).add(use)
            solved[A] = solved.get(A, 0) + (use == "solve")
    chosen = {A: _method(A, found, solved[A], facts) for A, found in asked.items()}

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        use = _use(op)
        if use is None:
            return None
        A, (matrix, *rest) = _matrix(op), args
        method, turned = chosen[A], A is not op.args[0]
        if not method:
            return None
        if turned:
            matrix = matrix.args[0]
        n = matrix.shape[0]
        name = A.data if facts.is_declared_definite(A) else ()
        factor = build.make(method, (matrix,), name, (n, n))
        how = (method, "turned") if turned and not facts.is_symmetric(A) else (method,)
        if method == "cholesky_factor" and use == "solve" and not (op.data[0] or _few(rest[0], n)):
            # LAPACK makes one half of this inverse, and a product is twice as fast as a solution.
            return build.matmul(build.make("inv_from", (factor,), (method,), (n, n)), rest[0])
        return build.make(f"{use}_from", (factor, *rest), how, op.shape)

    return rewritten(program, change)


def _use(op: Op) -> str | None:
    """inv, solve, logdet or det of one matrix, for which a factor of it helps."""
    if op.kind == "solve":
        return "solve"
    if op.kind == "call" and op.data[0].name in NEEDS and op.args[0].rank == 2:
        return str(op.data[0].name)
    return None


def _few(b: Op, n: Dim) -> bool:
    """Whether a right-hand side is a vector, or as far as is known no wider than the matrix."""
    return b.rank < 2 or b.shape[1] == n or assumed_size(b.shape[1], {}) < assumed_size(n, {})


def _matrix(op: Op) -> Op:
    """What is factored: a matrix that is solved with in the place of its transpose too."""
    matrix = op.args[0]
    return matrix.args[0] if op.kind == "solve" and matrix.kind == "permute" else matrix


def _method(A: Op, asked: set[str], solved: int, facts: Facts) -> str:
    """Which factor: the determinant of a singular matrix ⪰ 0 is 0, no error, where nothing inverts it."""
    inverts = bool(asked & {"inv", "solve"})
    if facts.is_declared_definite(A) or (inverts and facts.is_semidefinite(A)):
        return "cholesky_factor"
    return "lu_factor" if "inv" in asked or (inverts and len(asked) + max(solved - 1, 0) > 1) else ""
