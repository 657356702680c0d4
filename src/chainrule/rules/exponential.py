"""The matrix exponential, and its derivatives of every order as named multilinear maps.

expm_frechet(X, E) is the derivative of expm at X along E, ∫ exp(sX) E exp((1−s)X) ds; with two directions
it is the second derivative along both, and so on, symmetric in the directions. Turned round, the map at X
is the map at Xᵀ: ⟨G, L(X, E)⟩ = ⟨L(Xᵀ, G), E⟩.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.expr.nodes import Apply, Expr, Shape
from chainrule.rules import numeric
from chainrule.rules.linear_maps import local, matrix_transpose
from chainrule.rules.table import Tensorial, square_dims

HIGHAM = "Higham 2008, Functions of Matrices, section 10.6"
DEEPEST = 3  # directions; a derivative beyond is refused


def _shape(*given: Any) -> Shape:
    cores = given[:-1]
    n = square_dims(cores[0], "expm")
    for core in cores[1:]:
        if core != cores[0]:
            square_dims(core, "expm_frechet")
    return (n, n)


def _map(count: int, k: int, turned: bool) -> Callable[..., Expr]:
    """The derivative by argument k of the map with `count` directions, or its transpose."""

    def apply(*given: Any) -> Expr:
        X, *directions, moved, _ = given
        if turned:
            X, directions = matrix_transpose(X), list(map(matrix_transpose, directions))
        if k:
            directions[k - 1] = moved
        else:
            directions.append(moved)
        return Apply(MAPS[len(directions)], (X, *directions))

    return apply


def _row(count: int) -> Tensorial:
    known = [k for k in range(count + 1) if k or count < DEEPEST]
    backs = [_map(count, k, True) if k in known else None for k in range(count + 1)]
    alongs = [_map(count, k, False) if k in known else None for k in range(count + 1)]
    name = "expm" if not count else "expm_frechet" + (str(count) if count > 1 else "")
    arguments = ", ".join(f"#{k}" for k in range(1, count + 2))
    shown = ", ".join(f"#{k}" for k in range(2, count + 2))
    return Tensorial(
        name=name,
        core=(2,) * (count + 1),
        shape=_shape,
        domain=("real",) * (count + 1),
        d=tuple("unknown" if back is None else local(back) for back in backs),
        back=tuple(backs),
        along=tuple(alongs),
        says="d exp(X) = L(X, dX), the Fréchet derivative of exp at X"
        if not count
        else f"the derivative of exp at X along {'E' if count == 1 else f'{count} directions'}",
        evaluate=numeric.expm_frechet,
        code=f"linalg.expm({arguments})" if not count else f"expm_frechet({arguments})",
        torch=f"torch.linalg.matrix_exp({arguments})" if not count else "",
        text=f"{name}({arguments})",
        latex=r"\exp(#1)" if not count else rf"L_{{\exp}}(#1, {shown})",
        turns=True,
        source=HIGHAM if count < 2 else "Higham and Relton 2014, Higher order Fréchet derivatives",
    )


MAPS = tuple(map(_row, range(DEEPEST + 1)))
expm = MAPS[0]
