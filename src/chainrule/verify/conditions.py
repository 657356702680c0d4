"""What a formula asks of a matrix that moves: that it is invertible, positive definite, or of full rank.

In: a formula, its derivatives and a way to write a part. Out: a sentence for each matrix of which it is
neither declared nor seen, and one for each product x ln x of something that is declared so that it may be 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from chainrule.expr.nodes import Apply, Einsum, Expr, Variable, add
from chainrule.expr.walk import depends_on, topological, variables
from chainrule.rules.elementwise import log
from chainrule.rules.factors import cholesky, pinv
from chainrule.rules.reductions import prod
from chainrule.rules.spectral import eigvalsh
from chainrule.rules.tensorial import det, inv, logdet, matrix_power
from chainrule.simplify import Normaliser, normalise
from chainrule.simplify.definite import Definite, Proof

# Structures of which an entry may be 0.
ZERO = frozenset({"nonnegative", "probability", "simplex"})


def conditions(
    typed: Expr,
    formula: Expr,
    derivatives: Iterable[Expr],
    moving: Sequence[Variable],
    write: Callable[[Expr], str],
) -> list[str]:
    """The sentences, in the order of the parts; all but the formula as it was typed is canonical.

    A cholesky factor may be gone from the canonical form, and is asked about as it was typed.

    >>> from chainrule.expr.dims import Dim
    >>> A = Variable("A", (Dim.of("n"), Dim.of("n")))
    >>> conditions(Apply(inv, (A,)), Apply(inv, (A,)), [], [A], repr)
    ['A is taken to be invertible']
    """
    found: dict[str, None] = {}
    factored: set[Expr] = set()
    for node in _moved(typed, moving):
        matrix = node.arguments[0]
        if node.function is cholesky and not _is_positive(normalise(matrix)):
            found[f"{write(matrix)} is taken to be positive definite"] = None
            factored |= set(variables(matrix))
    parts = _moved(formula, moving)
    for node in parts:
        matrix = _upright(node.arguments[0])
        if node.function is pinv:
            found[f"{write(matrix)} is taken to have full rank: pinv jumps where the rank changes"] = None
        elif _inverts(node) and not _is_invertible(matrix) and not set(variables(matrix)) <= factored:
            found[f"{write(matrix)} is taken to be invertible"] = None
    inverses = [n for n in topological(derivatives) if isinstance(n, Apply) and n.function is inv]
    inverted = {_upright(n.arguments[0]) for n in inverses}
    for node in parts:
        root = _determined(node, inverted)
        if root is None or _is_invertible(root) or f"{write(root)} is taken to be invertible" in found:
            continue
        name = "det" if node.function is det else "the product"
        found[f"where {write(root)} is singular, {name} has derivatives too, but not of this form"] = None
    found |= dict.fromkeys(_without_value(formula, write))
    return list(found)


def _without_value(formula: Expr, write: Callable[[Expr], str]) -> list[str]:
    """Where x ln x stands and x is declared so that it may be 0; of two factors xlogy has the value 0."""
    found: dict[str, None] = {}
    for node in topological([formula]):
        factors = dict(zip(node.operands, node.labels, strict=True)) if isinstance(node, Einsum) else {}
        for factor, labels in factors.items():
            if isinstance(factor, Apply) and factor.function is log:
                inside = factor.arguments[0]
                beside = [x for x in _entries(inside) if factors.get(x) == labels and _may_vanish(x)]
                found |= dict.fromkeys(_told(write(x), write(inside)) for x in beside)
    return list(found)


def _told(x: str, inside: str) -> str:
    instead = f"xlogx({x})" if x == inside else f"xlogy({x}, {inside})"
    return f"{x} ln({inside}) has no value in code where {x} is 0; {instead} is 0 there"


def _may_vanish(x: Variable) -> bool:
    """Whether its declaration says that an entry may be 0."""
    return "positive" not in x.structure and not ZERO.isdisjoint(x.structure)


def _entries(expr: Expr) -> list[Variable]:
    """The variables that are factors of every entry."""
    if isinstance(expr, Einsum):
        pairs = zip(expr.operands, expr.labels, strict=True)
        return [x for x, labels in pairs if isinstance(x, Variable) and labels == expr.output]
    return [expr] if isinstance(expr, Variable) else []


def _determined(node: Apply, inverted: set[Expr]) -> Expr | None:
    """The matrix whose determinant it is, by name or as the product of eigenvalues, if that is inverted."""
    matrix = node.arguments[0]
    if node.function is prod and isinstance(matrix, Apply) and matrix.function is eigvalsh:
        (matrix,) = matrix.arguments
        known = [matrix, normalise(add(matrix, matrix.T))]
        return next((m for m in known if m in inverted), None)
    return _upright(matrix) if node.function is det and _upright(matrix) in inverted else None


def _moved(expr: Expr, moving: Sequence[Variable]) -> list[Apply]:
    """The functions in it that the variables move."""
    active = depends_on([expr], moving)
    return [n for n in topological([expr]) if isinstance(n, Apply) and n in active and n.arguments]


def _inverts(node: Apply) -> bool:
    """Whether it has no value at a singular matrix."""
    if node.function is matrix_power:
        return int(node.parameters[0]) < 0
    return node.function in (inv, logdet)


def _upright(matrix: Expr) -> Expr:
    """A of Aᵀ."""
    if isinstance(matrix, Einsum) and len(matrix.operands) == 1 and matrix.labels[0] == matrix.output[::-1]:
        return matrix.operands[0] if matrix.coefficient.is_one and matrix.rank == 2 else matrix
    return matrix


def _is_positive(matrix: Expr) -> bool:
    """Whether it is declared or proved positive definite."""
    if isinstance(matrix, Variable):
        return "spd" in matrix.structure
    found = Definite(Normaliser()).prove(matrix)
    return isinstance(found, Proof) and found.strict


def _is_invertible(matrix: Expr) -> bool:
    """Whether it is by its declaration or its form."""
    if isinstance(matrix, Variable) and "orthogonal" in matrix.structure:
        return True
    return _is_positive(matrix) or (isinstance(matrix, Apply) and matrix.function is cholesky)
