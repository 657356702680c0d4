"""Whether a matrix is positive semidefinite by its form, and whether an expression is nowhere negative.

In: a canonical expression and which of its axes are rows and which are columns; all other axes are held
fixed. Out: a Proof, a list of parts each with the reason, or a Doubt that names what is not known. Both are
about every value of the variables that their declarations allow. Nothing is computed with numbers.

The one idea: exchanging rows and columns maps the factors of a product onto each other. What moves to the
other side is B and Bᵀ, what stays is the weight between them: Σ w b bᵀ with w ≥ 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from chainrule.expr.dims import ONE, Coefficient
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of, number, reduce_sum
from chainrule.rules.constants import BASIS, MERGE, SELECT
from chainrule.rules.elementwise import cos, exp, power, sigmoid, sin, tanh
from chainrule.rules.table import ROWS, Elementwise
from chainrule.rules.tensorial import CHOSEN, inv, matrix_power, norm, softmax, unit
from chainrule.simplify.normal import Normaliser, split

Axes = tuple[int, ...]
Factor = tuple[Expr, Axes]
NOWHERE_NEGATIVE = ("abs", "relu", "norm", "softplus", "softmax", "exp", "cosh", "sigmoid")
AT_MOST_ONE = (sigmoid, softmax, tanh, sin, cos)
LABELS = 9  # a product over more labels is not searched for its symmetry


@dataclass(frozen=True, slots=True)
class Part:
    """A summand that is positive semidefinite.

    form     "diagonal", "gram" (BᵀB), "weighted" (BᵀDB), "kernel" (BᵀPB), "covariance" or "projection"
    weight   D, or P, where there is one
    strict   whether it is even positive definite
    """

    term: Expr
    form: str
    weight: Expr | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """The parts whose sum is positive semidefinite; positive definite if one of them is."""

    parts: tuple[Part, ...]

    @property
    def strict(self) -> bool:
        """Whether it is positive definite."""
        return any(part.strict for part in self.parts)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What stands in the way: `about` is no square, or its sign is not known."""

    about: Expr
    why: str


@dataclass(slots=True)
class _Split:
    """One way to exchange rows and columns: the factors on the left, those between, the weights."""

    left: list[Factor]
    between: list[tuple[Factor, Axes, Axes]]
    weights: list[Factor]
    mirror: dict[int, int]


class Definite:
    """Proofs under the assumptions of one normaliser.

    >>> from chainrule.expr.dims import Dim
    >>> from chainrule.expr.nodes import einsum
    >>> A = Variable("A", (Dim.of("m"), Dim.of("n")))
    >>> normal = Normaliser()
    >>> Definite(normal).prove(normal(einsum("mi,mj->ij", A, A))).parts[0].form
    'gram'
    >>> Definite(normal).prove(normal(einsum("ii->ii", einsum("mi,mj->ij", A, A) - 1))).why
    'its sign is not known'
    """

    def __init__(self, normal: Normaliser) -> None:
        self.normal = normal

    def prove(self, matrix: Expr, rows: Axes = (0,), columns: Axes = (1,)) -> Proof | Doubt:
        """Whether a matrix, `rows` by `columns` with the other axes fixed, is positive semidefinite."""
        constant = constant_of(matrix)
        if constant is not None and constant.is_zero:
            return Proof((Part(matrix, "gram"),))
        match matrix:
            case Sum():
                return self._sum(matrix, rows, columns)
            case Einsum():
                return self._einsum(matrix, rows, columns)
            case Stack():
                return self._stack(matrix, rows, columns)
            case _:
                return self._atom(matrix, rows, columns)

    def is_nonnegative(self, expr: Expr) -> bool:
        """Whether no entry is ever below 0, as far as the form shows."""
        if self.normal.is_positive(expr):
            return True
        match expr:
            case Variable():
                return any(self.normal.has(expr, s) for s in ("nonnegative", "probability", "simplex"))
            case Sum():
                if all(map(self.is_nonnegative, expr.terms)) or self._one_minus(expr):
                    return True
                return isinstance(self._sum(expr, (), ()), Proof)
            case Stack():
                return all(map(self.is_nonnegative, expr.entries))
            case Einsum():
                if expr.coefficient.is_zero:
                    return True
                positive = _has_positive_sign(expr.coefficient)
                if positive and all(map(self.is_nonnegative, expr.operands)):
                    return True
                return isinstance(self._einsum(expr, (), ()), Proof)
            case Apply():
                return self._function(expr)
            case _:
                raise AssertionError(type(expr))

    def is_positive(self, expr: Expr) -> bool:
        """Whether every entry is above 0, as far as the form shows: 1 + x², (1 + x²)^(3/2)."""
        if self.normal.is_positive(expr):
            return True
        match expr:
            case Sum():
                one = any(map(self.is_positive, expr.terms))
                return one and all(map(self.is_nonnegative, expr.terms))
            case Apply() if expr.function is power:
                return self.is_positive(expr.arguments[0])
            case Einsum() if len(set(expr.output)) == len(expr.output):
                return _has_positive_sign(expr.coefficient) and all(map(self.is_positive, expr.operands))
            case _:
                return False

    def _function(self, expr: Apply) -> bool:
        row = expr.function
        if ROWS.get(row.name) is not row:
            return False
        if row is power:
            exponent = _number(expr.arguments[1])
            even = exponent is not None and exponent.denominator == 1 and exponent % 2 == 0
            return even or self.is_nonnegative(expr.arguments[0])
        if row in (BASIS, SELECT, MERGE, *CHOSEN) or row.name in NOWHERE_NEGATIVE:
            return True
        if row.name in ("maximum", "amax"):
            return any(map(self.is_nonnegative, expr.arguments))
        if row.name in ("minimum", "amin", "sqrt", "unit"):
            return all(map(self.is_nonnegative, expr.arguments))
        return isinstance(row, Elementwise) and (row.indicator or row.positive)

    def _one_minus(self, expr: Sum) -> bool:
        """1 − σ(x), 1 − tanh(x)², 1 − p."""
        if len(expr.terms) != 2:
            return False
        for one, other in (expr.terms, expr.terms[::-1]):
            constant = constant_of(one)
            if constant is None or not constant.is_one:
                continue
            coefficient, body = split(other)
            if coefficient.powers or not -1 <= coefficient.rational <= 0:
                continue
            base, exponent = body, Fraction(1)
            if isinstance(body, Apply) and body.function is power:
                known = _number(body.arguments[1])
                base, exponent = body.arguments[0], known if known is not None else Fraction(0)
            bounded = isinstance(base, Apply) and (
                base.function in AT_MOST_ONE
                or (isinstance(base.function, Elementwise) and base.function.indicator)
            )
            declared = any(self.normal.has(base, s) for s in ("probability", "simplex", "unit", "sign"))
            return exponent > 0 and (bounded or declared)
        return False

    # ------------------------------------------------------------ sums

    def _sum(self, matrix: Sum, rows: Axes, columns: Axes) -> Proof | Doubt:
        """Each term by itself; a negative one with the positive one that outweighs it."""
        total = {body: c for c, body in map(split, matrix.terms)}
        parts: list[Part] = []
        for body, coefficient in list(total.items()):
            if coefficient.rational >= 0:
                continue
            for form, larger in self._outweighing(body, rows, columns):
                c, other = split(larger)
                known, needed = total.get(other), c * -coefficient
                if known is None or not _has_positive_sign(needed):
                    continue
                ratio = _ratio(known, needed)
                if ratio is not None and ratio >= 1:
                    term = self.normal.sum((self._times(needed, other), self._times(coefficient, body)))
                    parts.append(Part(term, form))
                    total[other] = known + -needed
                    total[body] = coefficient + -coefficient
                    break
        for body, coefficient in total.items():
            if coefficient.is_zero:
                continue
            found = self.prove(self._times(coefficient, body), rows, columns)
            if isinstance(found, Doubt):
                return found
            parts += found.parts
        return Proof(tuple(parts))

    def _times(self, coefficient: Coefficient, body: Expr) -> Expr:
        axes = tuple(range(body.rank))
        return self.normal.product(coefficient, (body,), (axes,), axes, dict(enumerate(body.shape)))

    def _outweighing(self, body: Expr, rows: Axes, columns: Axes) -> Iterator[tuple[str, Expr]]:
        """What is at least as large: Σ p b bᵀ ⪰ (Σ p b)(Σ p b)ᵀ, and ‖x‖² B Bᵀ ⪰ Bx(Bx)ᵀ."""
        body = _opened(body)
        if not isinstance(body, Einsum):
            if body.rank == 2 and isinstance(body, Variable | Apply):
                return
            body = Einsum(ONE, (body,), (tuple(range(body.rank)),), tuple(range(body.rank)))
        for found in self._splits(body, rows, columns):
            if isinstance(found, Doubt) or isinstance(self._proved(body, found), Doubt):
                continue
            for factor, labels in found.left:
                yield from self._larger(body, found, factor, labels)

    def _larger(self, body: Einsum, found: _Split, factor: Expr, labels: Axes) -> Iterator[tuple[str, Expr]]:
        moving = [a for a in labels if a in found.mirror]
        mirrored = tuple(found.mirror.get(a, a) for a in labels)
        factors = list(zip(body.operands, body.labels, strict=True))
        rest = list(factors)
        rest.remove((factor, labels))
        if (factor, mirrored) not in rest:
            return
        rest.remove((factor, mirrored))
        joined = {found.mirror[a]: a for a in moving}
        sums_to_one = (isinstance(factor, Apply) and factor.function is softmax) or self.normal.has(
            factor, "simplex"
        )
        if sums_to_one and moving == [labels[-1]]:
            yield "covariance", self._rejoined(body, [*rest, (factor, labels)], joined)
        whole = len(moving) == len(labels)
        normed = isinstance(factor, Apply) and factor.function is unit and len(labels) == factor.parameters[0]
        if whole and (self.normal.has(factor, "unit") or normed):
            yield "projection", self._rejoined(body, rest, joined)
        elif whole:
            raised = self._raised(rest, factor)
            if raised is not None:
                yield "projection", self._rejoined(body, raised, joined)

    def _raised(self, rest: Sequence[Factor], x: Expr) -> list[Factor] | None:
        """The other factors with ‖x‖² more; None if they do not divide by a power of ‖x‖."""
        squares = self.normal(reduce_sum(x**2))
        length = self.normal(Apply(norm, (x,), (x.rank,)))
        for k, (factor, labels) in enumerate(rest):
            if not isinstance(factor, Apply) or factor.function is not power or labels:
                continue
            exponent = _number(factor.arguments[1])
            if exponent is None or exponent >= 0 or factor.arguments[0] not in (squares, length):
                continue
            base = factor.arguments[0]
            higher = exponent + (1 if base is squares else 2)
            others = [*rest[:k], *rest[k + 1 :]]
            if higher:
                others.append((self.normal(base ** number(higher)), ()))
            return others
        return None

    def _rejoined(self, body: Einsum, factors: Sequence[Factor], joined: dict[int, int]) -> Expr:
        def at(axes: Axes) -> Axes:
            return tuple(joined.get(a, a) for a in axes)

        return self.normal.product(
            body.coefficient,
            [factor for factor, _ in factors],
            [at(axes) for _, axes in factors],
            at(body.output),
            dict(enumerate(body.sizes)),
        )

    # ------------------------------------------------------------ products

    def _einsum(self, matrix: Einsum, rows: Axes, columns: Axes) -> Proof | Doubt:
        if not _has_positive_sign(matrix.coefficient):
            turned = self._turned(matrix)
            if turned is not None:
                return self._einsum(turned, rows, columns)
            return Doubt(matrix, "it has a negative sign, and no other term is seen to outweigh it")
        doubt: Doubt | None = None
        for found in self._splits(matrix, rows, columns):
            if isinstance(found, Doubt):
                doubt = found
                continue
            outcome = self._proved(matrix, found)
            if isinstance(outcome, Proof):
                return outcome
            doubt = outcome
        return doubt or Doubt(matrix, "it is not of the form BᵀDB")

    def _turned(self, matrix: Einsum) -> Einsum | None:
        """A product −(tanh² − 1)b with its sign inside, (1 − tanh²)b, where that takes the sign away."""
        if not _has_positive_sign(-matrix.coefficient):
            return None
        for k, operand in enumerate(matrix.operands):
            if isinstance(operand, Sum) and matrix.operands.count(operand) == 1:
                other = self.normal.sum([self._times(-ONE, term) for term in operand.terms])
                if self.is_nonnegative(other):
                    operands = [*matrix.operands[:k], other, *matrix.operands[k + 1 :]]
                    sizes = dict(enumerate(matrix.sizes))
                    return Einsum(-matrix.coefficient, operands, matrix.labels, matrix.output, sizes)
        return None

    def _proved(self, matrix: Einsum, found: _Split) -> Proof | Doubt:
        for weight, _ in found.weights:
            if not self.is_nonnegative(weight):
                return Doubt(weight, "its sign is not known")
        strict = True
        for (kernel, _), left, right in found.between:
            inner = self.prove(kernel, left, right)
            if isinstance(inner, Doubt):
                return inner
            strict = strict and inner.strict
        # Without a factor on the left every row has a weight or a kernel of its own, or is a row of ones.
        within = {a for (_, axes), _, _ in found.between for a in axes}
        full = not found.left and {a for a in matrix.output if a in found.mirror} <= within
        strict = strict and full and all(self.is_positive(weight) for weight, _ in found.weights)
        return Proof((self._part(matrix, found, strict),))

    def _part(self, matrix: Einsum, found: _Split, strict: bool) -> Part:
        if found.between:
            kernel = found.between[0][0][0] if len(found.between) == 1 else None
            return Part(matrix, "kernel" if found.left else "multiple", kernel, strict)
        if not found.left:
            ones = any(a in found.mirror for a in matrix.output)
            return Part(matrix, "gram" if ones else "diagonal", None, strict)
        arrays = [(weight, labels) for weight, labels in found.weights if labels]
        if not arrays:
            return Part(matrix, "gram")
        return Part(
            matrix, "weighted", arrays[0][0] if len(arrays) == 1 else self._product_of(arrays, matrix)
        )

    def _product_of(self, factors: Sequence[Factor], matrix: Einsum) -> Expr:
        labels = tuple(dict.fromkeys(a for _, axes in factors for a in axes))
        sizes = dict(enumerate(matrix.sizes))
        return self.normal.product(ONE, [w for w, _ in factors], [axes for _, axes in factors], labels, sizes)

    def _splits(self, matrix: Einsum, rows: Axes, columns: Axes) -> Iterator[_Split | Doubt]:
        """The ways to exchange rows and columns that map the factors onto each other."""
        count = len(matrix.sizes)
        if count > LABELS:
            yield Doubt(matrix, "it is too long a product to be searched")
            return
        fixed: dict[int, int] = {}
        side: dict[int, int] = {}
        for a, b in zip(rows, columns, strict=True):
            left, right = matrix.output[a], matrix.output[b]
            for one, other in ((left, right), (right, left)):
                if fixed.setdefault(one, other) != other:
                    return
            if left != right:
                if side.get(left, 0) != 0 or side.get(right, 1) != 1:
                    return
                side[left], side[right] = 0, 1
        for k, label in enumerate(matrix.output):
            if k not in rows and k not in columns and fixed.setdefault(label, label) != label:
                return
        factors = list(zip(matrix.operands, matrix.labels, strict=True))
        seen = sorted(self._oriented(o, axes) for o, axes in factors)
        free = [a for a in range(count) if a not in fixed]
        for mirror in _involutions(fixed, free, matrix):
            if sorted(self._oriented(o, tuple(mirror[a] for a in axes)) for o, axes in factors) != seen:
                continue
            moved = {a: b for a, b in mirror.items() if a != b}
            inner = sorted({min(a, b) for a, b in moved.items() if a not in side})
            for turns in product((0, 1), repeat=max(0, len(inner) - (not side))):
                sides = dict(side)
                for a, turn in zip(inner, (*turns, 0), strict=False):
                    sides[a], sides[moved[a]] = turn, 1 - turn
                found = self._arranged(factors, moved, sides)
                if found is not None:
                    yield found

    def _arranged(
        self, factors: Sequence[Factor], mirror: dict[int, int], side: dict[int, int]
    ) -> _Split | None:
        """The factors by side; None where one between the sides is not a matrix of its own."""
        found = _Split([], [], [], mirror)
        right: list[Factor] = []
        for factor, axes in factors:
            sides = {side[a] for a in axes if a in side}
            if not sides:
                found.weights.append((factor, axes))
            elif len(sides) == 1:
                (found.left if 0 in sides else right).append((factor, axes))
            else:
                left = tuple(k for k, a in enumerate(axes) if side.get(a) == 0)
                wanted = [mirror[axes[k]] for k in left]
                places = tuple(axes.index(a) if axes.count(a) == 1 else -1 for a in wanted)
                others = {k for k, a in enumerate(axes) if side.get(a) == 1}
                if -1 in places or set(places) != others:
                    return None
                found.between.append(((factor, axes), left, places))
        mirrored = sorted(self._oriented(o, tuple(mirror.get(a, a) for a in axes)) for o, axes in found.left)
        return found if mirrored == sorted(self._oriented(o, axes) for o, axes in right) else None

    def _oriented(self, factor: Expr, axes: Axes) -> tuple[bytes, Axes]:
        if len(axes) == 2 and self.normal.is_symmetric(factor):
            axes = (min(axes), max(axes))
        return factor.digest, axes

    # ------------------------------------------------------------ functions and written-out matrices

    def _atom(self, matrix: Expr, rows: Axes, columns: Axes) -> Proof | Doubt:
        """A variable or a function as a matrix, or, with no rows, as a number that is nowhere negative."""
        if not rows:
            if self.is_nonnegative(matrix):
                return Proof((Part(matrix, "diagonal", None, self.is_positive(matrix)),))
            return Doubt(matrix, "its sign is not known")
        square = matrix.rank == 2 and sorted((*rows, *columns)) == [0, 1]
        if square and self.normal.has(matrix, "spd"):
            return Proof((Part(matrix, "known", None, True),))
        if square and self.normal.has(matrix, "diagonal"):
            signs = any(self.normal.has(matrix, s) for s in ("positive", "nonnegative"))
            return (
                Proof((Part(matrix, "known"),))
                if signs
                else Doubt(matrix, "the sign of its entries is not known")
            )
        if isinstance(matrix, Apply):
            inside = matrix.arguments[0] if matrix.arguments else matrix
            if square and matrix.function is inv and self.normal.is_symmetric(inside):
                found = self.prove(inside)
                return found if isinstance(found, Doubt) else Proof((Part(matrix, "inverse", inside, True),))
            if square and matrix.function is matrix_power and self.normal.is_symmetric(inside):
                exponent = matrix.parameters[0]
                found = Proof(()) if exponent % 2 == 0 else self.prove(inside)
                return found if isinstance(found, Doubt) else Proof((Part(matrix, "power", inside),))
            whole = _number(matrix.arguments[1]) if matrix.function is power else None
            if matrix.function is exp or (whole is not None and whole.denominator == 1 and whole > 0):
                found = self.prove(inside, rows, columns)
                return found if isinstance(found, Doubt) else Proof((Part(matrix, "schur", inside),))
        return Doubt(matrix, "nothing is known that makes it positive semidefinite")

    def _stack(self, matrix: Stack, rows: Axes, columns: Axes) -> Proof | Doubt:
        """A matrix written out: numbers by elimination, two by two by its determinant, else its diagonal."""
        if not rows:
            return self._atom(matrix, rows, columns)
        if rows + columns != (0, 1) or not all(isinstance(row, Stack) for row in matrix.entries):
            return Doubt(matrix, "nothing is known that makes it positive semidefinite")
        table = [list(row.entries) for row in matrix.entries if isinstance(row, Stack)]
        numbers = [[_number(entry) for entry in row] for row in table]
        if all(entry is not None for row in numbers for entry in row):
            strict = _eliminated([[entry or Fraction(0) for entry in row] for row in numbers])
            if strict is None:
                return Doubt(matrix, "elimination meets a negative pivot")
            return Proof((Part(matrix, "pivots", None, strict),))
        off = [e for i, row in enumerate(table) for j, e in enumerate(row) if i != j]
        for k, row in enumerate(table):
            if not self.is_nonnegative(row[k]):
                return Doubt(row[k], "its sign is not known")
        positive = all(self.is_positive(row[k]) for k, row in enumerate(table))
        if all(_number(entry) == 0 for entry in off):
            return Proof((Part(matrix, "diagonal", None, positive),))
        if len(table) == 2 and table[0][1] is table[1][0]:
            minor = self.normal(table[0][0] * table[1][1] - table[0][1] * table[1][0])
            if self.is_nonnegative(minor):
                strict = positive and self.is_positive(minor)
                return Proof((Part(matrix, "determinant", minor, strict),))
            return Doubt(minor, "the sign of this determinant is not known")
        return Doubt(matrix, "nothing is known that makes it positive semidefinite")


def _opened(body: Expr) -> Expr:
    """The square of an inner product as one product, p_i v_i p_j v_j; anything else as it is."""
    if not isinstance(body, Apply) or body.function is not power or _number(body.arguments[1]) != 2:
        return body
    base = body.arguments[0]
    if not isinstance(base, Einsum) or base.rank:
        return body
    count = len(base.sizes)
    labels = [*base.labels, *(tuple(a + count for a in axes) for axes in base.labels)]
    sizes = dict(enumerate((*base.sizes, *base.sizes)))
    return Einsum(base.coefficient * base.coefficient, (*base.operands, *base.operands), labels, (), sizes)


def _involutions(fixed: dict[int, int], free: Sequence[int], matrix: Einsum) -> Iterator[dict[int, int]]:
    """All ways to exchange the free labels in pairs of one size, or to let them stay."""
    if not free:
        yield dict(fixed)
        return
    first, rest = free[0], free[1:]
    yield from _involutions({**fixed, first: first}, rest, matrix)
    for k, other in enumerate(rest):
        if matrix.sizes[first] == matrix.sizes[other]:
            paired = {**fixed, first: other, other: first}
            yield from _involutions(paired, [*rest[:k], *rest[k + 1 :]], matrix)


def _has_positive_sign(coefficient: Coefficient) -> bool:
    return coefficient.rational > 0 and all(
        d.is_nonnegative or exponent % 2 == 0 for d, exponent in coefficient.powers
    )


def _ratio(a: Coefficient, b: Coefficient) -> Fraction | None:
    """The quotient a/b, if it is a number."""
    quotient = a * b**-1
    return None if quotient.powers else quotient.rational


def _number(expr: Expr) -> Fraction | None:
    constant = constant_of(expr)
    return constant.rational if constant is not None and not constant.powers else None


def _eliminated(matrix: list[list[Fraction]]) -> bool | None:
    """Whether a symmetric matrix of numbers is positive definite; None if it is not even semidefinite."""
    count, strict = len(matrix), True
    if any(matrix[i][j] != matrix[j][i] for i in range(count) for j in range(i)):
        return None
    for k in range(count):
        pivot = matrix[k][k]
        if pivot < 0 or (pivot == 0 and any(matrix[k][j] for j in range(k, count))):
            return None
        strict = strict and pivot > 0
        for i in range(k + 1, count):
            factor = matrix[i][k] / pivot if pivot else Fraction(0)
            matrix[i] = [a - factor * b for a, b in zip(matrix[i], matrix[k], strict=True)]
    return strict
