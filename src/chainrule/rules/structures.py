"""Sets on which a variable may move: one row each, with the derivative along it.

In: a derivative whose last axes treat the entries of a variable as independent. Out: the derivative along the
set that its structure describes, by a convention that the row states. Sets of three kinds:

free     a linear set whose free entries are the coordinates: a symmetric matrix has those on and below the
         diagonal, and the derivative by one of them moves its partner too
curve    coordinates that any numbers may be given to: p = softmax(t)
tangent  a smooth surface: the derivative is projected to its tangent space, in the metric of the space around
         it; of order 2 it is the Riemannian Hessian, which projects the derivative of the projection again
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable, add, negate, permute, scale
from chainrule.rules.factors import lower_mask

Along = Callable[[Expr, Variable], Expr]
HALF = Coefficient.of(Fraction(1, 2))


@dataclass(frozen=True, eq=False, kw_only=True)
class Structure:
    """A set on which a variable moves.

    along    (derivative, variable) -> the derivative along the set
    kind     "free", "curve" or "tangent"
    formula  how it is made from G, in which entries are independent; # stands for the variable
    moves    what a derivative by an entry means, # standing for the variable
    remarks  where other conventions differ
    source   where it stands in the literature
    word     what a variable of that structure is, where the name alone does not say it
    """

    name: str
    along: Along
    kind: str
    formula: str
    moves: str
    remarks: tuple[str, ...] = ()
    source: str = ""
    word: str = ""

    @property
    def said(self) -> str:
        """The structure in a sentence: A is lower triangular."""
        return self.word or self.name


def _lead(D: Expr, count: int) -> tuple[int, ...]:
    return tuple(range(D.rank - count))


def _diagonal_part(D: Expr) -> Expr:
    """D ⊙ I over the last two axes."""
    lead = _lead(D, 2)
    k = D.rank
    return Einsum(ONE, (D,), ((*lead, k, k),), (*lead, k, k))


def _turned(D: Expr) -> Expr:
    return permute(D, (*_lead(D, 2), D.rank - 1, D.rank - 2))


def _symmetric(D: Expr, X: Variable) -> Expr:
    return add(D, _turned(D), negate(_diagonal_part(D)))


def _triangle(D: Expr, upper: bool) -> Expr:
    lead, i, j = _lead(D, 2), D.rank, D.rank + 1
    mask = Apply(lower_mask, (), (0, *D.shape[-2:]))
    return Einsum(ONE, (D, mask), ((*lead, i, j), (j, i) if upper else (i, j)), (*lead, i, j))


def _orthogonal(D: Expr, Q: Variable) -> Expr:
    """½(D − Q Dᵀ Q)."""
    lead, (i, j, k, m) = _lead(D, 2), range(D.rank, D.rank + 4)
    turned = Einsum(ONE, (Q, D, Q), ((k, j), (*lead, i, j), (i, m)), (*lead, k, m))
    return scale(HALF, add(D, negate(turned)))


def _orthonormal(D: Expr, Q: Variable) -> Expr:
    """D − ½Q(QᵀD + DᵀQ)."""
    lead, (i, j, k, m) = _lead(D, 2), range(D.rank, D.rank + 4)
    one = Einsum(HALF, (Q, Q, D), ((k, j), (i, j), (*lead, i, m)), (*lead, k, m))
    other = Einsum(HALF, (Q, D, Q), ((k, j), (*lead, i, j), (i, m)), (*lead, k, m))
    return add(D, negate(one), negate(other))


def _unit(D: Expr, x: Variable) -> Expr:
    """D − (D x) xᵀ."""
    lead, (i, j) = _lead(D, 1), range(D.rank, D.rank + 2)
    return add(D, negate(Einsum(ONE, (D, x, x), ((*lead, i), (i,), (j,)), (*lead, j))))


def _simplex(D: Expr, p: Variable) -> Expr:
    """Scaled, p ⊙ (D − D p), over the last axes, a distribution in each row of p.

    Terms are taken one by one: what is constant vanishes, since p adds up to 1.
    """
    if isinstance(D, Sum):
        return add(*(_simplex(term, p) for term in D.terms))
    lead = tuple(range(D.rank - p.rank))
    rows = tuple(range(D.rank, D.rank + p.rank - 1))
    i, j = D.rank + p.rank, D.rank + p.rank + 1
    scaled = Einsum(ONE, (D, p), ((*lead, *rows, j), (*rows, j)), (*lead, *rows, j))
    mean = Einsum(ONE, (D, p, p), ((*lead, *rows, i), (*rows, i), (*rows, j)), (*lead, *rows, j))
    return add(scaled, negate(mean))


COOKBOOK = "Petersen and Pedersen, The Matrix Cookbook (2012), section 2.8"
ABSIL = "Absil, Mahony and Sepulchre 2008, Optimization Algorithms on Matrix Manifolds, chapters 3 and 5"
FREE_ENTRIES = (
    "The Matrix Cookbook (section 2.8) counts such entries as one variable too and prints this; "
    "matrixcalculus.org and most software treat all entries as independent and print G."
)

SYMMETRIC = Structure(
    name="symmetric",
    along=_symmetric,
    kind="free",
    formula="G + Gᵀ − G ⊙ I",
    moves="#_ij and #_ji are one variable and move together",
    remarks=(
        FREE_ENTRIES,
        "Both are right, for different questions. A step # − η∇f and df = tr(∇fᵀ d#) need the gradient in "
        "the inner product of matrices, (G + Gᵀ)/2: here each pair off the diagonal counts twice.",
    ),
    source=f"{COOKBOOK}.2; Srinivasan and Panda 2019, arXiv 1911.06491; math.stackexchange.com/q/4144341",
)
DIAGONAL = Structure(
    name="diagonal",
    along=lambda D, X: _diagonal_part(D),
    kind="free",
    formula="G ⊙ I",
    moves="only the entries on the diagonal of # move",
    remarks=(FREE_ENTRIES,),
    source=f"{COOKBOOK}.3",
)
LOWER = Structure(
    name="lower",
    word="lower triangular",
    along=lambda D, X: _triangle(D, False),
    kind="free",
    formula="tril(G)",
    moves="only the entries on and below the diagonal of # move",
    source="Magnus and Neudecker 1980, The elimination matrix",
)
UPPER = Structure(
    name="upper",
    word="upper triangular",
    along=lambda D, X: _triangle(D, True),
    kind="free",
    formula="triu(G)",
    moves="only the entries on and above the diagonal of # move",
    source="Magnus and Neudecker 1980, The elimination matrix",
)
SKEW = Structure(
    name="skew",
    along=lambda D, X: add(D, negate(_turned(D))),
    kind="free",
    formula="G − Gᵀ",
    moves="#_ij moves together with #_ji = −#_ij, and the diagonal stays 0",
    remarks=(
        "A step # − η∇f and df = tr(∇fᵀ d#) need the gradient in the inner product of matrices, (G − Gᵀ)/2: "
        "here each pair counts twice.",
    ),
    source="Magnus 1988, Linear Structures",
)
ORTHOGONAL = Structure(
    name="orthogonal",
    along=_orthogonal,
    kind="tangent",
    formula="½(G − #Gᵀ#)",
    moves="it moves along such matrices, so the derivative is projected to their tangent space at #",
    remarks=(
        "The metric is the Euclidean one, tr(AᵀB). In the canonical metric ½ tr(AᵀB) the gradient is "
        "twice this, G − #Gᵀ#.",
    ),
    source=f"{ABSIL}; Edelman, Arias and Smith 1998",
)
ORTHONORMAL = Structure(
    name="orthonormal",
    along=_orthonormal,
    kind="tangent",
    formula="G − ½#(#ᵀG + Gᵀ#)",
    moves="it moves along the matrices with orthonormal columns (the Stiefel manifold), so the derivative is "
    "projected to their tangent space at #",
    remarks=(
        "The metric is the Euclidean one, tr(AᵀB). In the canonical metric tr(Aᵀ(I − ½##ᵀ)B) the gradient is "
        "G − #Gᵀ#.",
    ),
    source=f"{ABSIL}; Edelman, Arias and Smith 1998",
)
UNIT = Structure(
    name="unit",
    word="of unit norm",
    along=_unit,
    kind="tangent",
    formula="(I − ##ᵀ)G",
    moves="it moves along the vectors of norm 1, so the derivative is projected to the tangent space of the "
    "sphere at #",
    remarks=("The metric is the Euclidean one.",),
    source=ABSIL,
)
SIMPLEX = Structure(
    name="simplex",
    word="on the simplex",
    along=_simplex,
    kind="curve",
    formula="(diag(#) − ##ᵀ)G",
    moves="# = softmax(t), and the derivative is by t, written in #",
    remarks=(
        "Its entries add up to 0, since adding a number to all of t leaves # as it is. Entries of # that "
        "are 0 are reached by no t.",
    ),
    source="Aitchison 1986, The Statistical Analysis of Compositional Data",
)
ROWS = {
    row.name: row
    for row in (
        SYMMETRIC,
        DIAGONAL,
        LOWER,
        UPPER,
        SKEW,
        ORTHOGONAL,
        ORTHONORMAL,
        UNIT,
        SIMPLEX,
    )
}
# Structures that leave an open set, or its closure: every entry moves on its own.
OPEN = ("positive", "nonnegative", "probability")
ISOLATED = ("sign", "integer")


def structure_of(variable: Variable) -> Structure | str | None:
    """The set on which a variable moves, None if all entries move on their own; a text: why there is none.

    >>> from chainrule.expr.dims import Dim
    >>> n = Dim.of("n")
    >>> structure_of(Variable("A", (n, n), ("spd", "positive"))).name
    'symmetric'
    """
    words = {"symmetric" if word == "spd" else word for word in variable.structure} - set(OPEN)
    isolated = next((word for word in ISOLATED if word in words), None)
    if isolated:
        return f"it is declared {isolated}, and between such values nothing moves"
    linear = words & {"symmetric", "diagonal", "lower", "upper"}
    if "diagonal" in linear or len(linear) > 1:
        words = (words - linear) | {"diagonal"}
    if len(words) > 1:
        return f"no derivative is known along the arrays that are {' and '.join(sorted(words))}"
    return ROWS[words.pop()] if words else None
