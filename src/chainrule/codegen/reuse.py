"""Products that are made of products that are there already.

In: a program, after lowering. Out: the same where a matrix that is a sum is not multiplied by a vector if its
terms are, so that xᵀ(A + Aᵀ) beside Ax and xᵀA is the sum of those; and where vᵀw beside v ⊙ w is the sum of
its entries.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op
from chainrule.codegen.rewrite import again, live, rewritten

SWAP = (1, 0)
Key = tuple[Op, Op, bool]


def with_reuse(program: Program) -> Program:
    """The program with products of vectors from those that are made in any case."""
    ops = live(program)
    products = {_key(op) for op in ops if _is_product(op)}
    entrywise: dict[frozenset[Op], Op] = {}
    for op in ops:
        if op.kind == "mul" and op.rank == 1 and all(a.shape == op.shape for a in op.args):
            entrywise.setdefault(frozenset(map(_plain, op.args)), op)
    made: dict[Op, Op] = {}

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        made.update(zip(op.args, args, strict=True))
        if _is_product(op):
            return _of_terms(build, op, products, made)
        if op.kind == "matmul" and all(a.rank == 1 for a in op.args):
            return _of_entries(build, entrywise.get(frozenset(map(_plain, op.args))), made)
        return None

    return rewritten(program, change)


def _of_entries(build: Builder, product: Op | None, made: dict[Op, Op]) -> Op | None:
    """The sum of the entries of a product that the program has."""
    if product is None or any(a not in made for a in product.args):
        return None
    return build.sum(again(build, product, [made[a] for a in product.args]), (0,))


def _of_terms(build: Builder, op: Op, products: set[Key], made: dict[Op, Op]) -> Op | None:
    """The product with a sum as the sum of products that the program has."""
    total, vector, left = _key(op)
    if total.kind not in ("add", "sub") or any(a.shape != total.shape for a in total.args):
        return None
    keys = [_with(a, vector, left) for a in total.args]
    if any(key not in products or key[0] not in made for key in keys):
        return None
    first, second = (_made(build, made[matrix], made[vector], on_left) for matrix, vector, on_left in keys)
    return build.binary(total.kind, first, second)


def _made(build: Builder, matrix: Op, vector: Op, left: bool) -> Op:
    return build.matmul(vector, matrix) if left else build.matmul(matrix, vector)


def _is_product(op: Op) -> bool:
    """Whether it is a matrix times a vector."""
    return op.kind == "matmul" and sorted(a.rank for a in op.args) == [1, 2]


def _key(op: Op) -> Key:
    """The matrix without transposition, the vector, and whether this stands on the left."""
    first, second = op.args
    return _with(second, first, True) if first.rank == 1 else _with(first, second, False)


def _with(matrix: Op, vector: Op, left: bool) -> Key:
    if matrix.kind == "permute" and matrix.data[0] == SWAP:
        return matrix.args[0], vector, not left
    return matrix, vector, left


def _plain(op: Op) -> Op:
    return op.args[0] if op.kind == "cast" else op
