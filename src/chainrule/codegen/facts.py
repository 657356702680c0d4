"""What is known of the arrays of a program by how they are made: bounds, symmetry, definiteness.

In: operations, and the declared structure of each input. Out: answers that hold for all inputs of that
structure, also in floating point, since rounding keeps the order of numbers. "Not known" is always allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import inf
from typing import Any

from chainrule.codegen.program import Op

Bounds = tuple[float, float]
EVERYTHING: Bounds = (-inf, inf)
DECLARED: dict[str, Bounds] = {
    "positive": (0, inf),
    "nonnegative": (0, inf),
    "probability": (0, 1),
    "simplex": (0, 1),
    "sign": (-1, 1),
    "unit": (-1, 1),
}
# Functions with bounds whatever they are given.
ROWS: dict[str, Bounds] = {
    "abs": (0, inf),
    "relu": (0, inf),
    "norm": (0, inf),
    "softplus": (0, inf),
    "sigmoid": (0, 1),
    "softmax": (0, 1),
    "masked_softmax": (0, 1),
    "first_max": (0, 1),
    "first_min": (0, 1),
    "tanh": (-1, 1),
    "sin": (-1, 1),
    "cos": (-1, 1),
    "erf": (-1, 1),
    "unit": (-1, 1),
}
SAME_ENTRIES = frozenset(("cast", "permute", "expand", "slice", "reshape", "fill", "take"))
PRODUCTS = frozenset(("matmul", "tensordot", "outer", "kron", "einsum"))
SWAPPED = ((1, 0),)


class Facts:
    """Answers about the operations of one program, each found once.

    >>> from chainrule.codegen.program import Builder
    >>> from chainrule.expr.dims import Dim
    >>> build, n = Builder(), Dim.of("n")
    >>> A = build.input("A", (n, n))
    >>> facts = Facts({})
    >>> facts.is_symmetric(A), facts.is_symmetric(build.binary("add", A, build.permute(A, (1, 0))))
    (False, True)
    >>> facts.is_semidefinite(build.matmul(build.permute(A, (1, 0)), A))
    True
    """

    def __init__(self, structures: Mapping[str, Sequence[str]]) -> None:
        self.structures = structures
        self._bounds: dict[Op, Bounds] = {}
        self._mirrors: dict[tuple[Op, Op], bool] = {}
        self._semidefinite: dict[Op, bool] = {}

    def declared(self, op: Op) -> Sequence[str]:
        """The structure of an input; of another array none."""
        return self.structures.get(op.data[0], ()) if op.kind == "input" else ()

    # ---------------------------------------------------------- entries

    def is_nonnegative(self, op: Op) -> bool:
        """Whether no entry is below 0."""
        return self.bounds(op)[0] >= 0

    def is_nonpositive(self, op: Op) -> bool:
        """Whether no entry is above 0."""
        return self.bounds(op)[1] <= 0

    def bounds(self, op: Op) -> Bounds:
        """Between which numbers every entry lies."""
        pending = [op]
        while pending:
            top = pending[-1]
            missing = [a for a in top.args if a not in self._bounds]
            if missing:
                pending += missing
                continue
            pending.pop()
            if top not in self._bounds:
                self._bounds[top] = self._found(top, [self._bounds[a] for a in top.args])
        return self._bounds[op]

    def _found(self, op: Op, args: list[Bounds]) -> Bounds:
        if op.boolean:
            return 0, 1
        kind = op.kind
        if kind in SAME_ENTRIES or (kind == "einsum" and not _is_summed(op)):
            return args[0]
        if kind == "input":
            known = [DECLARED[word] for word in self.declared(op) if word in DECLARED]
            return max((low for low, _ in known), default=-inf), min((h for _, h in known), default=inf)
        if kind == "number":
            return _around(op.data[0])
        if kind == "size":
            return 0, inf
        if kind == "named":
            return 0, inf
        if kind in ("add", "sub"):
            low, high = args[1] if kind == "add" else (-args[1][1], -args[1][0])
            return _defined(args[0][0] + low, args[0][1] + high)
        if kind == "neg":
            return -args[0][1], -args[0][0]
        if kind == "mul":
            return _squared(args[0]) if op.args[0] is op.args[1] else _times(*args)
        if kind == "div":
            return _divided(*args)
        if kind == "sqrt":
            return 0, inf
        if kind == "pow":
            return self._power(args[0], op.args[1].data[0])
        if kind in PRODUCTS:
            square = kind == "matmul" and op.rank == 0 and op.args[0] is op.args[1]
            return _signs(args) if not square else (0, inf)
        if kind in ("sum", "trace", "scatter_rows", "overlap_add"):
            return _signs(args[:1])
        if kind in ("scatter", "windows"):
            return min(args[0][0], 0), max(args[0][1], 0)
        if kind == "add_at":
            low, high = args[1] if op.data[3] > 0 else (-args[1][1], -args[1][0])
            return _defined(args[0][0] + min(low, 0), args[0][1] + max(high, 0))
        if kind == "stack":
            return min(low for low, _ in args), max(high for _, high in args)
        return self._call(op, args) if kind == "call" else EVERYTHING

    def _call(self, op: Op, args: list[Bounds]) -> Bounds:
        row = op.data[0]
        if row.name in ROWS:
            low, high = ROWS[row.name]
            return (low, args[0][1]) if row.name == "relu" else (low, high)
        if row.name == "maximum":
            return max(args[0][0], args[1][0]), max(args[0][1], args[1][1])
        if row.name == "minimum":
            return min(args[0][0], args[1][0]), min(args[0][1], args[1][1])
        if row.name == "where":
            return min(args[1][0], args[2][0]), max(args[1][1], args[2][1])
        if row.name in ("amax", "amin"):
            return args[0]
        if row.name == "power":
            return (0, inf) if args[0][0] >= 0 else EVERYTHING
        return (0, inf) if getattr(row, "positive", False) else EVERYTHING

    def _power(self, base: Bounds, exponent: Fraction) -> Bounds:
        if exponent.denominator == 1 and exponent % 2 == 0:
            return _squared(base) if exponent == 2 else _signs([_squared(base)] * 2)
        return (0, 1 if base[1] <= 1 else inf) if base[0] >= 0 and exponent > 0 else EVERYTHING

    # ---------------------------------------------------------- matrices

    def is_symmetric(self, op: Op) -> bool:
        """Whether a matrix is its own transpose."""
        return self.mirror(op, op)

    def mirror(self, a: Op, b: Op) -> bool:
        """Whether matrix b is the transpose of matrix a, up to the order in which entries are added up."""
        key = (a, b)
        known = self._mirrors.get(key)
        if known is None:
            self._mirrors[key] = False
            known = self._mirrors[key] = self._mirrored(a, b)
        return known

    def _mirrored(self, a: Op, b: Op) -> bool:
        if a.rank == 0 and b.rank == 0:
            return a is b
        if {a.rank, b.rank} == {1, 2}:
            # A vector broadcasts along the rows, and a column along the columns.
            vector, column = (a, b) if a.rank == 1 else (b, a)
            return column.kind == "expand" and column.data[0] == (True, False) and column.args[0] is vector
        if a.rank != 2 or b.rank != 2:
            return False
        if a.kind == "permute" and b.kind == "permute":
            return self.mirror(b.args[0], a.args[0])
        if a.kind == "permute" or b.kind == "permute":
            turned, plain = (a, b) if a.kind == "permute" else (b, a)
            return turned.args[0] is plain or (
                self.is_symmetric(turned.args[0]) and self.mirror(turned.args[0], plain)
            )
        if a is b and a.kind in ("input", "scatter", "call", "solve", "inverse"):
            return self._symmetric_atom(a)
        if a.kind != b.kind or len(a.args) != len(b.args):
            return False
        (*first,), (*second,) = a.args, b.args
        if a.kind in ("add", "mul", "sub", "div", "neg", "cast", "pow", "sqrt"):
            pairs = all(map(self.mirror, first, second))
            swaps = a.kind in ("add", "mul") and all(map(self.mirror, first, reversed(second)))
            return (pairs or swaps) and a.data == b.data
        if a is b and a.kind == "matmul" and self.gram(a, definite=False) is not None:
            return True
        if a.kind in ("matmul", "outer"):
            if a.kind == "outer":
                return first[0] is second[1] and first[1] is second[0]
            return all(x.rank == 2 for x in (*first, *second)) and (
                self.mirror(first[0], second[1]) and self.mirror(first[1], second[0])
            )
        if a.kind == "add_at":
            return (
                a.data == b.data
                and first[1] is second[1]
                and _on_diagonal(a)
                and (self.mirror(first[0], second[0]))
            )
        if a.kind == "call":
            entrywise = a.data == b.data and hasattr(a.data[0], "indicator")
            return entrywise and all(map(self.mirror, first, second))
        return False

    def _symmetric_atom(self, op: Op) -> bool:
        if op.kind == "input":
            return any(word in ("symmetric", "spd", "diagonal") for word in self.declared(op))
        if op.kind == "scatter":
            return _on_diagonal(op)
        if op.kind == "call":
            row = op.data[0]
            turns = row.name in ("inv", "matrix_power") or hasattr(row, "indicator")
            return turns and all(a.rank == 0 or self.is_symmetric(a) for a in op.args)
        return op.kind == "inverse"

    def is_semidefinite(self, op: Op) -> bool:
        """Whether a matrix is symmetric and has no eigenvalue below 0."""
        known = self._semidefinite.get(op)
        if known is None:
            known = self._semidefinite[op] = op.rank == 2 and self._is_semidefinite(op)
        return known

    def is_declared_definite(self, op: Op) -> bool:
        """Whether it is a variable that was declared positive definite."""
        return "spd" in self.declared(op)

    def _is_semidefinite(self, op: Op) -> bool:
        args = op.args
        match op.kind:
            case "input":
                return self.is_declared_definite(op)
            case "permute" | "cast":
                return self.is_semidefinite(args[0])
            case "matmul":
                return self.gram(op) is not None
            case "outer":
                return args[0] is args[1]
            case "add":
                return all(map(self.is_semidefinite, args))
            case "mul":
                scalars = [a for a in args if a.rank == 0]
                return all(a in scalars or self.is_semidefinite(a) for a in args) and all(
                    map(self.is_nonnegative, scalars)
                )
            case "div":
                return args[1].rank == 0 and self.is_nonnegative(args[1]) and self.is_semidefinite(args[0])
            case "scatter":
                return _on_diagonal(op) and self.is_nonnegative(args[0])
            case "add_at":
                grows = op.data[3] > 0 and self.is_nonnegative(args[1])
                return grows and _on_diagonal(op) and self.is_semidefinite(args[0])
            case "inverse":
                return True
            case "call":
                return op.data[0].name == "inv" and self.is_semidefinite(args[0])
            case _:
                return False

    def gram(self, op: Op, definite: bool = True) -> Op | None:
        """Z where a product of two matrices is ZᵀPZ with P ⪰ 0, or any symmetric P; else None."""
        left, right = op.args
        if left.rank != 2 or right.rank != 2:
            return None
        if self.mirror(left, right):
            return right
        for outer, inner, flip in ((left, right, False), (right, left, True)):
            if outer.kind == "mul":
                # (Zᵀ diag(d)) Z with d ≥ 0
                for k, factor in enumerate(outer.args):
                    weight = factor.args[0] if factor.kind == "expand" else factor
                    other = outer.args[1 - k]
                    along = factor.rank == 1 if not flip else factor.kind == "expand" and weight.rank == 1
                    if along and (not definite or self.is_nonnegative(weight)) and self.mirror(other, inner):
                        return inner
            if outer.kind == "matmul" and all(a.rank == 2 for a in outer.args):
                x, y = outer.args
                ends = (x, y) if not flip else (y, x)
                kept = self.is_semidefinite if definite else self.is_symmetric
                if self.mirror(ends[0], inner) and kept(ends[1]):
                    return inner
        return None


def _on_diagonal(op: Op) -> bool:
    """Whether all of the diagonal of a matrix is written to, and nothing else of it."""
    places: Sequence[Any] = op.data[1]
    whole = all(place.index == ("all",) for place in places)
    return op.rank == 2 and whole and places[0].label is not None and places[0].label == places[1].label


def _is_summed(op: Op) -> bool:
    """Whether an einsum multiplies or adds up."""
    labels, kept = op.data[0]
    return len(op.args) > 1 or set(labels) != set(kept)


def _around(value: Fraction) -> Bounds:
    """A number, which may be too large for a float."""
    try:
        return float(value), float(value)
    except OverflowError:
        return (0, inf) if value > 0 else (-inf, 0)


def _defined(low: float, high: float) -> Bounds:
    """∞ − ∞ is not known."""
    return (-inf if low != low else low), (inf if high != high else high)


def _squared(a: Bounds) -> Bounds:
    ends = sorted((a[0] * a[0], a[1] * a[1]))
    return (0 if a[0] <= 0 <= a[1] else ends[0]), ends[1]


def _times(a: Bounds, b: Bounds) -> Bounds:
    ends = [x * y for x in a for y in b]
    return _signs([a, b]) if any(e != e for e in ends) else (min(ends), max(ends))


def _divided(a: Bounds, b: Bounds) -> Bounds:
    """Only signs are kept: a quotient by what may be 0 has no bound."""
    return _signs([a, b])


def _signs(parts: Sequence[Bounds]) -> Bounds:
    """The sign of a sum of products."""
    sign = 1
    for low, high in parts:
        if low < 0 < high:
            return EVERYTHING
        sign = sign if low >= 0 else -sign
    return (0, inf) if sign > 0 else (-inf, 0)
