"""Canonical form: like terms meet, nested products are flat, equal factors are powers.

Deltas are only labels.

In: any graph. Out: a graph of the same value in which no named identity of `rules.identities` applies any
more. The work on products is in `product.py`; this file holds sums, functions and stacks, and the door
through which every node passes once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from chainrule.expr.dims import ONE, ZERO, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Function, Parameter, Stack, Sum, Variable, number, zeros
from chainrule.expr.walk import transform
from chainrule.rules.constants import BASIS, component
from chainrule.rules.elementwise import power
from chainrule.rules.identities import Pair, by_head, pairs_in_sum
from chainrule.rules.table import Constant, Elementwise, Row, Tensorial
from chainrule.rules.tensorial import inv, matrix_power
from chainrule.rules.unknown import UnknownMap
from chainrule.simplify.product import Product

# A sum over basis vectors of an axis of at most this many entries is written out as a vector.
WRITTEN_OUT = 8


def normalise(expr: Expr, keep: Iterable[str] = ()) -> Expr:
    """The canonical form of `expr`; the structure of the variables named in `keep` is not used.

    >>> from chainrule.expr.nodes import Variable
    >>> x = Variable("x", (Dim.of("n"),))
    >>> normalise(x + x - 2 * x)
    <0 ->i >
    """
    return Normaliser(keep)(expr)


class Normaliser:
    """Canonical forms under one set of assumptions, remembered between calls."""

    def __init__(self, keep: Iterable[str] = ()) -> None:
        self.keep = frozenset(keep)
        self.memo: dict[Expr, Expr] = {}
        self._symmetric: dict[Expr, bool] = {}
        self._split: dict[Expr, tuple[Coefficient, Expr, Expr]] = {}
        self._sums: dict[tuple[Expr, ...], Expr] = {}
        self._applied: dict[tuple[object, ...], Expr] = {}
        self.product = Product(self)

    def __call__(self, expr: Expr) -> Expr:
        """The canonical form of `expr`."""
        result = self.memo.get(expr)
        if result is None:
            result = transform(expr, self._node, self.memo)
        self.memo[result] = result
        return result

    def _node(self, node: Expr) -> Expr:
        match node:
            case Variable():
                return node
            case Einsum():
                return self.product(
                    node.coefficient, node.operands, node.labels, node.output, dict(enumerate(node.sizes))
                )
            case Sum():
                return self.sum(node.terms)
            case Apply():
                return self.apply(node.function, node.arguments, node.parameters)
            case Stack():
                return self.stack(node.entries)
            case _:
                raise AssertionError(type(node))

    # ------------------------------------------------------------ questions

    def has(self, expr: Expr, structure: str) -> bool:
        """Whether `expr` has that structure: a function by its row, a variable by its usable declaration."""
        return structure in self.structures(expr)

    def structures(self, expr: Expr) -> Collection[str]:
        """All that it has."""
        if isinstance(expr, Apply):
            return expr.function.structure if isinstance(expr.function, Row) else ()
        if isinstance(expr, Variable) and expr.structure and expr.name not in self.keep:
            return expr.structure
        return ()

    def is_symmetric(self, expr: Expr) -> bool:
        """Whether a matrix is its own transpose, as far as its form shows."""
        if expr.rank != 2 or expr.shape[0] != expr.shape[1]:
            return False
        known = self._symmetric.get(expr)
        if known is None:
            match expr:
                case Variable():
                    known = any(self.has(expr, s) for s in ("symmetric", "spd", "diagonal"))
                case Apply() if isinstance(expr.function, UnknownMap):
                    known = expr.function.is_symmetric(expr.parameters)
                case Apply():
                    kept = isinstance(expr.function, Elementwise) or expr.function in (inv, matrix_power)
                    kept = kept or (isinstance(expr.function, Tensorial) and expr.function.turns)
                    known = kept and all(map(self.is_symmetric, expr.arguments))
                case Stack():
                    known = False
                case Sum():
                    # Terms of a canonical sum stay apart when they are transposed.
                    known = all(self.transpose(term) in expr.terms for term in expr.terms)
                case _:
                    known = self.transpose(expr) is expr
            self._symmetric[expr] = known
        return known

    def is_positive(self, expr: Expr) -> bool:
        """Whether every entry is > 0, as far as the form shows."""
        match expr:
            case Variable():
                return self.has(expr, "positive")
            case Einsum():
                rational = expr.coefficient.rational
                dims = all(d.name or d.constant for d, _ in expr.coefficient.powers)
                full = len(set(expr.output)) == len(expr.output)
                return rational > 0 and dims and full and all(map(self.is_positive, expr.operands))
            case Sum():
                return all(map(self.is_positive, expr.terms))
            case Apply():
                row = expr.function
                if row is power:
                    return self.is_positive(expr.arguments[0])
                if isinstance(row, Constant):
                    return row.name in ("pi", "e")
                return row.name == "softmax" or (isinstance(row, Elementwise) and row.positive)
            case Stack():
                return all(map(self.is_positive, expr.entries))
            case _:
                raise AssertionError(type(expr))

    def is_opposite(self, a: Expr, b: Expr) -> bool:
        """Whether a + b = 0."""
        total = self.sum((a, b))
        return isinstance(total, Einsum) and total.coefficient.is_zero

    def transpose(self, expr: Expr) -> Expr:
        """The canonical transpose of a canonical matrix."""
        return self.product(ONE, (expr,), ((0, 1),), (1, 0), dict(enumerate(expr.shape)))

    # ------------------------------------------------------------ sums

    def sum(self, terms: Sequence[Expr]) -> Expr:
        """The canonical sum of canonical terms: flat, like terms merged, common labels outside."""
        key = tuple(terms)
        known = self._sums.get(key)
        if known is None:
            known = self._sums[key] = self._summed(terms)
        return known

    def _summed(self, terms: Sequence[Expr]) -> Expr:
        shape = terms[0].shape
        total: dict[Expr, Coefficient] = {}
        wholes: dict[Expr, tuple[Coefficient, Expr]] = {}
        pending = list(reversed(terms))
        while pending:
            term = pending.pop()
            inner = self._spread(term)
            if inner is not None:
                pending.extend(reversed(inner))
                continue
            coefficient, body, whole = self.split(term)
            if body in total:
                total[body] = total[body] + coefficient
            else:
                total[body], wholes[body] = coefficient, (coefficient, whole)
        if len(total) > 1 and any([isinstance(body, Apply) for body in total]):
            for identity in pairs_in_sum:
                self._pair(total, identity)
        parts = [(body, c) for body, c in total.items() if not c.is_zero]
        if not parts:
            return zeros(shape)
        if len(parts) > 1:
            parts.sort(key=lambda part: part[0].digest)
        merged = []
        for body, c in parts:
            first, whole = wholes.get(body, (None, body))
            merged.append(whole if c is first else scaled(c, body))
        if len(merged) == 1:
            return merged[0]
        for rewrite in (self._common_labels, self._stacked, self._written_out):
            rewritten = rewrite(merged)
            if rewritten is not None:
                return rewritten
        return Sum(merged)

    def split(self, term: Expr) -> tuple[Coefficient, Expr, Expr]:
        """A canonical term as a coefficient and the rest, and the term that these make."""
        known = self._split.get(term)
        if known is None:
            coefficient, body = split(term)
            if body is term:
                return coefficient, term, term
            known = self._split[term] = (coefficient, body, scaled(coefficient, body))
        return known

    def times(self, coefficient: Coefficient, term: Expr) -> Expr:
        """A number times a canonical term of a sum."""
        own, body, _ = self.split(term)
        if isinstance(body, Einsum) and len(body.operands) == 1 and isinstance(body.operands[0], Sum):
            axes = tuple(range(term.rank))
            return self.product(coefficient, (term,), (axes,), axes, dict(enumerate(term.shape)))
        return scaled(coefficient * own, body)

    def _spread(self, term: Expr) -> tuple[Expr, ...] | None:
        """The terms of a sum that is only scaled, repeated or placed on a diagonal."""
        if isinstance(term, Sum):
            return term.terms
        if not (isinstance(term, Einsum) and len(term.operands) == 1 and isinstance(term.operands[0], Sum)):
            return None
        labels = term.labels[0]
        if len(set(labels)) != len(labels) or not set(labels) <= set(term.output):
            return None
        sizes = dict(enumerate(term.sizes))
        return tuple(
            self.product(term.coefficient, (t,), (labels,), term.output, sizes)
            for t in term.operands[0].terms
        )

    def _pair(self, total: dict[Expr, Coefficient], identity: Pair) -> None:
        """Lets an identity replace two terms by others, as often as it can."""
        found = identity.find(self, total)
        while found is not None:
            removed, added = found
            for body, coefficient in removed:
                total[body] = total[body] + -coefficient
            for raw, coefficient in added:
                body = self(raw)
                total[body] = total.get(body, ZERO) + coefficient
            found = identity.find(self, {b: c for b, c in total.items() if not c.is_zero})

    def _common_labels(self, terms: list[Expr]) -> Expr | None:
        """Pulls a broadcast axis or a diagonal that all terms share out of the sum.

        So diag(a) + diag(b) = diag(a + b).
        """
        if not all(isinstance(t, Einsum) for t in terms):
            return None
        einsums = [t for t in terms if isinstance(t, Einsum)]
        rank = terms[0].rank
        for t in einsums:
            if len(set(t.output)) == rank and set(t.output) <= set(sum(t.labels, ())):
                return None  # all its axes are of its factors
        for axis in range(rank):
            alone = all(
                t.output.count(t.output[axis]) == 1 and not _carried(t, t.output[axis]) for t in einsums
            )
            twin = next((b for b in range(axis) if all(t.output[axis] == t.output[b] for t in einsums)), None)
            if not alone and twin is None:
                continue
            rest = [a for a in range(rank) if a != axis]
            smaller = [
                self.product(
                    t.coefficient,
                    t.operands,
                    t.labels,
                    tuple(t.output[a] for a in rest),
                    dict(enumerate(t.sizes)),
                )
                for t in einsums
            ]
            output = list(range(rank))
            if twin is not None:
                output[axis] = twin
            inside = self.sum(smaller)
            return self.product(
                ONE, (inside,), (tuple(rest),), tuple(output), dict(enumerate(terms[0].shape))
            )
        return None

    def _stacked(self, terms: list[Expr]) -> Expr | None:
        """[a, b] + [c, d] = [a + c, b + d]."""
        if not all(isinstance(t, Stack) for t in terms):
            return None
        rows = zip(*(t.entries for t in terms if isinstance(t, Stack)), strict=True)
        return self.stack([self.sum(row) for row in rows])

    def _written_out(self, terms: list[Expr]) -> Expr | None:
        """A e₁ + b e₂ = [a, b] along an axis of few entries that every term spells out."""
        shape = terms[0].shape
        for axis, dim in enumerate(shape):
            size = dim.constant
            if size is None or not 1 < size <= WRITTEN_OUT or not all(_spelled_out(t, axis) for t in terms):
                continue
            axes = tuple(range(len(shape)))
            rest = axes[:axis] + axes[axis + 1 :]
            sizes = dict(enumerate(shape))
            rows = []
            for k in range(size):
                entry = component(k, dim)
                rows.append(
                    self.sum([self.product(ONE, (t, entry), (axes, (axis,)), rest, sizes) for t in terms])
                )
            return self.product(ONE, (self.stack(rows),), ((axis, *rest),), axes, sizes)
        return None

    def explicit(self, expr: Expr) -> Expr:
        """A result whose entries are known one by one, written out: e₁e₁ᵀ of 2 × 2 is [[1, 0], [0, 0]]."""
        if isinstance(expr, Stack):
            return self.stack([self.explicit(entry) for entry in expr.entries])
        if not isinstance(expr, Einsum | Apply):
            return expr
        written = self._written_out([expr])
        if not isinstance(written, Stack):
            return expr
        return self.explicit(written)

    # ------------------------------------------------------------ functions

    def apply(
        self, function: Function, arguments: Sequence[Expr], parameters: tuple[Parameter, ...] = ()
    ) -> Expr:
        """The canonical form of a function of canonical arguments."""
        key = (function.name, *arguments, *parameters)
        known = self._applied.get(key)
        if known is None:
            known = self._applied[key] = self._of(function, arguments, parameters)
        return known

    def _of(self, function: Function, arguments: Sequence[Expr], parameters: tuple[Parameter, ...]) -> Expr:
        if isinstance(function, Elementwise) and arguments[0].rank:
            for outside in (self._repeated, self._permuted):
                moved = outside(function, arguments, parameters)
                if moved is not None:
                    return moved
            if all(isinstance(a, Stack) or _is_constant(a) for a in arguments) and any(
                isinstance(a, Stack) for a in arguments
            ):
                return self._entrywise(function, arguments, parameters)
        node = Apply(function, arguments, parameters)
        for identity in by_head.get(function.name, ()):
            other = identity.apply(self, node)
            if other is not None:
                return self(other)
        return node

    def _repeated(
        self, function: Elementwise, arguments: Sequence[Expr], parameters: tuple[Parameter, ...]
    ) -> Expr | None:
        """f(a repeated along an axis) = f(a) repeated along it."""
        shape = arguments[0].shape
        for axis in range(len(shape)):
            if all(
                isinstance(a, Einsum)
                and a.output.count(a.output[axis]) == 1
                and not _carried(a, a.output[axis])
                for a in arguments
            ):
                rest = tuple(k for k in range(len(shape)) if k != axis)
                smaller = [
                    self.product(
                        a.coefficient,
                        a.operands,
                        a.labels,
                        tuple(a.output[k] for k in rest),
                        dict(enumerate(a.sizes)),
                    )
                    for a in arguments
                    if isinstance(a, Einsum)
                ]
                inside = self.apply(function, smaller, parameters)
                return self.product(ONE, (inside,), (rest,), tuple(range(len(shape))), dict(enumerate(shape)))
        return None

    def _permuted(
        self, function: Elementwise, arguments: Sequence[Expr], parameters: tuple[Parameter, ...]
    ) -> Expr | None:
        """f(Aᵀ) = f(A)ᵀ: a permutation that all arguments share, constants aside, goes outside."""
        orders = {_pure_permutation(a) for a in arguments if not _is_constant(a)}
        order = orders.pop() if len(orders) == 1 else None
        if order is None:
            return None
        axes = tuple(range(len(order)))
        back = tuple(order.index(k) for k in axes)
        inner = [self.product(ONE, (b,), (axes,), back, dict(enumerate(b.shape))) for b in arguments]
        value = self.apply(function, inner, parameters)
        return self.product(ONE, (value,), (axes,), order, dict(enumerate(value.shape)))

    def _entrywise(
        self, function: Elementwise, arguments: Sequence[Expr], parameters: tuple[Parameter, ...]
    ) -> Expr:
        count = next(len(a.entries) for a in arguments if isinstance(a, Stack))
        rows = []
        for k in range(count):
            row = []
            for a in arguments:
                if isinstance(a, Stack):
                    row.append(a.entries[k])
                else:
                    assert isinstance(a, Einsum)
                    row.append(number(a.coefficient, a.shape[1:]))
            rows.append(self.apply(function, row, parameters))
        return self.stack(rows)

    def stack(self, entries: Sequence[Expr]) -> Expr:
        """The canonical stack of canonical entries."""
        if all(isinstance(e, Einsum) and e.coefficient.is_zero for e in entries):
            return zeros((Dim.of(len(entries)), *entries[0].shape))
        return Stack(entries)


def split(term: Expr) -> tuple[Coefficient, Expr]:
    """A canonical term as a coefficient and the rest."""
    if not isinstance(term, Einsum) or term.coefficient.is_one:
        return ONE, term
    if (
        len(term.operands) == 1
        and term.labels[0] == term.output
        and len(set(term.output)) == len(term.output)
    ):
        return term.coefficient, term.operands[0]
    return term.coefficient, Einsum(ONE, term.operands, term.labels, term.output, dict(enumerate(term.sizes)))


def scaled(coefficient: Coefficient, body: Expr) -> Expr:
    """A canonical term from its coefficient and the rest; a closed product stays one factor."""
    if coefficient.is_one:
        return body
    if isinstance(body, Einsum) and (body.rank or not any(body.labels)):
        return Einsum(coefficient, body.operands, body.labels, body.output, dict(enumerate(body.sizes)))
    axes = tuple(range(body.rank))
    return Einsum(coefficient, (body,), (axes,), axes)


def _carried(term: Einsum, label: int) -> bool:
    return any(label in axes for axes in term.labels)


def _is_constant(expr: Expr) -> bool:
    return isinstance(expr, Einsum) and not expr.operands and len(set(expr.output)) == len(expr.output)


def _pure_permutation(expr: Expr) -> tuple[int, ...] | None:
    """The order of axes, if `expr` is a node with its axes permuted and nothing else."""
    if isinstance(expr, Einsum) and len(expr.operands) == 1 and expr.coefficient.is_one:
        labels = expr.labels[0]
        if len(set(labels)) == len(labels) == len(expr.output) and set(labels) == set(expr.output):
            return tuple(labels.index(label) for label in expr.output)
    return None


def _spelled_out(term: Expr, axis: int) -> bool:
    """Whether the entries along an axis are known one by one.

    Basis vectors and written-out vectors carry it.
    """
    if isinstance(term, Stack):
        return axis == 0 or all(_spelled_out(entry, axis - 1) for entry in term.entries)
    if isinstance(term, Apply):
        return term.function is BASIS and term.parameters[0].constant is not None
    if not isinstance(term, Einsum) or term.output.count(term.output[axis]) != 1:
        return False
    label = term.output[axis]
    carriers = [(o, axes) for o, axes in zip(term.operands, term.labels, strict=True) if label in axes]
    return bool(carriers) and all(
        axes.count(label) == 1 and _spelled_out(o, axes.index(label)) for o, axes in carriers
    )
