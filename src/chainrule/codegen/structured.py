"""From a derivative to a matrix that is kept by its structure: its parts, and how they combine.

In: an expression, its first axes the rows. Out: expressions for the parts, and a function from their arrays
to a Structured. A term is read by its labels: factors that share none are a Kronecker product; a label that
rows and columns share is a diagonal, or blocks along one; a factor of rows beside one of columns has rank
one. What has none of this is dense, and all dense terms are one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from chainrule.codegen.compound import Kronecker, Sum
from chainrule.codegen.flatten import Factor, Product, flatten, is_view
from chainrule.codegen.operators import Blocks, Dense, Diagonal, LowRank, Structured
from chainrule.expr import nodes
from chainrule.expr.dims import ONE, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Labels, number
from chainrule.rules.elementwise import power

Results = Mapping[str, Any]
Make = Callable[[Results], Structured]
# The name under which the results hold their precision, which numbers of the structure take.
PRECISION = "precision"
MOST_TERMS = 16
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Layout:
    """Parts to compute by name, those that are sizes, the matrix from their values, and this in words.

    `make` takes the values and their precision.
    """

    parts: Mapping[str, Expr]
    sizes: tuple[str, ...]
    make: Callable[[Results, Any], Structured]
    says: str
    dense: bool


class StructuredFunction(Protocol):
    """f(X=..., w=...): the derivative as a matrix that is kept by its structure.

    `__source__` is the source of the function that computes its parts.
    """

    __source__: str

    def __call__(self, **given: Any) -> Structured: ...


class StructuredFunctions(Protocol):
    """f(X=..., w=...): several derivatives by their keys, each kept by its structure.

    One that is no matrix, such as a gradient, is an array. What they share is computed once.
    """

    __source__: str

    def __call__(self, **given: Any) -> dict[Any, Any]: ...


def layout(expr: Expr, rows: int) -> Layout:
    """How the matrix of `expr`, whose first `rows` axes are its rows, is made from parts.

    >>> from chainrule.expr.nodes import Variable, einsum
    >>> x = Variable("x", (Dim.of("n"),))
    >>> layout(einsum("i->ii", x), 1).says
    'diag(diagonal)'
    """
    planner = _Planner(rows)
    return planner.run(expr)


class _Assembly:
    """Makes the matrix from its parts; it is pickled as the expression, which is laid out again."""

    def __init__(self, expr: Expr, rows: int, make: Make) -> None:
        self.expr, self.rows, self.make = expr, rows, make

    def __call__(self, results: Results, precision: Any) -> Structured:
        return self.make({**results, PRECISION: np.dtype(precision).type})

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Expr, int]]:
        return _assembly, (self.expr, self.rows)


def _assembly(expr: Expr, rows: int) -> Callable[[Results, Any], Structured]:
    return layout(expr, rows).make


@dataclass(frozen=True, slots=True)
class _Piece:
    """A factor of a Kronecker product: how it is made, the labels of its rows and columns, its words."""

    make: Make
    left: Labels
    right: Labels
    says: str


class _Planner:
    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.parts: dict[str, Expr] = {}
        self.sizes: list[str] = []
        self.keys: dict[Expr, str] = {}

    def run(self, expr: Expr) -> Layout:
        terms = terms_of(expr, self.rows)
        split = [(term, product) for term, product in terms if product is not None and self._splits(product)]
        kept = {id(product) for _, product in split}
        rest = [term for term, product in terms if id(product) not in kept]
        diagonals = [p for _, p in split if self._is_diagonal(p)]
        made: list[tuple[Make, str]] = []
        if len(diagonals) == 1 or any(p.factors for p in diagonals):
            made.append(self._diagonal(diagonals))
        else:
            made += [self._diagonal([p]) for p in diagonals]
        made += [self._term(p) for _, p in split if not self._is_diagonal(p)]
        if rest:
            key = self._part("dense", rest[0] if len(rest) == 1 else nodes.Sum(rest))
            rows = self.rows
            made.append((lambda r: Dense(r[key], rows), key))
        if len(made) == 1:
            make, says = made[0]
        else:
            makes = tuple(make for make, _ in made)
            make, says = (
                (lambda r: Sum([make(r) for make in makes])),
                " + ".join(s for _, s in made).replace("+ −", "− "),
            )
        return Layout(self.parts, tuple(self.sizes), _Assembly(expr, self.rows, make), says, not split)

    # ---------------------------------------------------------- terms

    def _sides(self, product: Product) -> tuple[Labels, Labels]:
        return product.output[: self.rows], product.output[self.rows :]

    def _splits(self, product: Product) -> bool:
        """Whether a term has a structure: labels shared by rows and columns, or several components."""
        up, down = self._sides(product)
        return bool({*up} & {*down}) or len(_components(product)) > 1

    def _is_diagonal(self, product: Product) -> bool:
        up, down = self._sides(product)
        return up == down and len({*up}) == len(up)

    def _diagonal(self, products: Sequence[Product]) -> tuple[Make, str]:
        """Diagonals added up entry by entry, or one number and the shape that it fills."""
        first = products[0]
        if len(products) == 1 and all(not f.labels or _is_scalar(f, first) for f in first.factors):
            value, says = self._scale(first, first.factors)
            filled = self._filled(first, first.output[: self.rows])
            return lambda r: Diagonal(r[PRECISION](value(r)), filled(r)), f"{says}I"
        terms = [_einsum(p, p.factors, p.output[: self.rows], scaled=True) for p in products]
        key = self._part("diagonal", terms[0] if len(terms) == 1 else nodes.Sum(terms))
        return lambda r: Diagonal(r[key]), f"diag({key})"

    def _term(self, product: Product) -> tuple[Make, str]:
        up, down = self._sides(product)
        groups = _components(product)
        scalars = [f for f in product.factors if not any(set(f.labels) & labels for labels, _ in groups)]
        both = [g for g in groups if g[0] & {*up} and g[0] & {*down}]
        pure = [g for g in both if g[0] & {*up} == g[0] & {*down}]
        others = [g for g in both if g not in pure]
        only_up = [f for labels, factors in groups if not labels & {*down} for f in factors]
        only_down = [f for labels, factors in groups if not labels & {*up} for f in factors]
        batch = {a for labels, _ in both for a in labels} & {*up, *down}
        free_up = tuple(dict.fromkeys(a for a in up if a not in batch))
        free_down = tuple(dict.fromkeys(a for a in down if a not in batch))
        carriers = len(others) + bool(free_up or free_down) + any(factors for _, factors in pure)
        # One factor alone takes the number in; of several none does, so that equal ones stay equal.
        fold = carriers == 1 and not (free_up and free_down) and not self._low_rank(product, others)
        folded = (product.coefficient, scalars) if fold else (ONE, [])
        pieces: list[_Piece] = []
        if pure:
            labels = {a for own, _ in pure for a in own}
            pieces.append(self._pure(product, labels, [f for _, fs in pure for f in fs], folded))
        for labels, factors in others:
            pieces.append(self._block(product, labels, factors, folded))
        if free_up and free_down:
            left = self._array("left", product, only_up, free_up)
            right = self._array("right", product, only_down, free_down)
            pieces.append(_outer(left, right, free_up, free_down))
        elif free_up:
            pieces.append(self._line(product, only_up, free_up, folded, True))
        elif free_down:
            pieces.append(self._line(product, only_down, free_down, folded, False))
        scale, words = (_one, "") if fold else self._scale(product, scalars)
        return _combined(pieces, up, down, scale, words)

    def _low_rank(self, product: Product, others: Sequence[tuple[set[int], list[Factor]]]) -> bool:
        return any(self._halves(product, *group) is not None for group in others)

    def _halves(
        self, product: Product, labels: set[int], factors: Sequence[Factor]
    ) -> tuple[list[Factor], list[Factor]] | None:
        """The factors of rows and those of columns, if nothing but labels of both joins them."""
        up, down = ({*side} & labels for side in self._sides(product))
        batch = up & down
        if not batch or up == batch or down == batch:
            return None
        rest = _components(product, factors, batch)
        if any(own & up and own & down for own, _ in rest):
            return None
        below = [f for own, fs in rest if own & down for f in fs]
        return [f for f in factors if f not in below], below

    def _pure(self, product: Product, labels: set[int], factors: list[Factor], folded: Any) -> _Piece:
        """A diagonal: every label is one of rows and of columns."""
        up = tuple(dict.fromkeys(a for a in product.output[: self.rows] if a in labels))
        if not factors:
            filled = self._filled(product, up)
            return _Piece(lambda r: Diagonal(r[PRECISION](1), filled(r)), up, up, "I")
        array, key = self._array("diagonal", product, factors, up, folded)
        return _Piece(lambda r: Diagonal(array(r)), up, up, f"diag({key})")

    def _block(self, product: Product, labels: set[int], factors: list[Factor], folded: Any) -> _Piece:
        """A dense matrix, or one for each value of the labels that rows and columns share."""
        sides = [tuple(dict.fromkeys(a for a in side if a in labels)) for side in self._sides(product)]
        batch = tuple(a for a in sides[0] if a in sides[1])
        p = tuple(a for a in sides[0] if a not in batch)
        q = tuple(a for a in sides[1] if a not in batch)
        left, right, count, rows = batch + p, batch + q, len(batch), len(p)
        halves = self._halves(product, labels, factors)
        if halves is not None:
            U, u = self._array("left", product, halves[0], left)
            V, v = self._array("right", product, halves[1], right)
            made: Make = lambda r: LowRank(U(r)[..., None], V(r)[..., None], 1.0, count)  # noqa: E731
            return _Piece(made, left, right, f"blocks({u}[i] {v}[i]ᵀ)")
        kind = "blocks" if batch else "factor"
        array, key = self._array(kind, product, factors, batch + p + q, folded)
        if batch:
            return _Piece(lambda r: Blocks(array(r), count, rows), left, right, f"blocks({key})")
        return _Piece(lambda r: Dense(array(r), rows), left, right, key)

    def _line(self, product: Product, factors: list[Factor], axes: Labels, folded: Any, up: bool) -> _Piece:
        """One column, or one row."""
        array, key = self._array("column" if up else "row", product, factors, axes, folded)
        split = len(axes) if up else 0
        return _Piece(lambda r: Dense(array(r), split), axes if up else (), () if up else axes, key)

    # ---------------------------------------------------------- parts

    def _array(
        self, kind: str, product: Product, factors: Sequence[Factor], axes: Labels, folded: Any = (ONE, ())
    ) -> tuple[Callable[[Results], Any], str]:
        """An array with these axes: one that is there is turned, so that its copies are computed once."""
        coefficient, scalars = folded
        if len(factors) == 1 and coefficient.is_one and not scalars:
            (factor,) = factors
            if sorted(factor.labels) == sorted(axes) and len({*axes}) == len(axes):
                key = self._part(kind, _source(factor))
                if factor.labels == axes:
                    return (lambda r: r[key]), key
                order = tuple(factor.labels.index(a) for a in axes)
                return (lambda r: r[key].transpose(order)), f"{key}ᵀ" if len(order) == 2 else key
        key = self._part(kind, _product(coefficient, [*factors, *scalars], axes, product.sizes))
        return (lambda r: r[key]), key

    def _scale(self, product: Product, scalars: Sequence[Factor]) -> tuple[Callable[[Results], Any], str]:
        """The number that a term is multiplied by, and its words."""
        coefficient = product.coefficient
        if not scalars and not coefficient.powers:
            value = float(coefficient.rational)
            text = {1.0: "", -1.0: "−"}.get(value, f"{value:g} ".replace("-", "−"))
            return (lambda r: value), text
        key = self._part("scale", _product(coefficient, scalars, (), product.sizes))
        return (lambda r: r[key]), f"{key} "

    def _filled(self, product: Product, axes: Labels) -> Callable[[Results], tuple[int, ...]]:
        """The shape that these axes have."""
        sizes = [self._size(product.sizes[a]) for a in axes]
        if len(sizes) == 1:
            (only,) = sizes
            return lambda r: (int(r[only]),)
        return lambda r: tuple([int(r[key]) for key in sizes])

    def _size(self, dim: Dim) -> str:
        key = self._part(f"size {dim}", number(dim))
        if key not in self.sizes:
            self.sizes.append(key)
        return key

    def _part(self, kind: str, expr: Expr) -> str:
        if expr not in self.keys:
            key, count = kind, 2
            while key in self.parts:
                key, count = f"{kind} {count}", count + 1
            self.keys[expr], self.parts[key] = key, expr
        return self.keys[expr]


def _one(_: Results) -> float:
    return 1.0


def _outer(
    left: tuple[Callable[[Results], Any], str],
    right: tuple[Callable[[Results], Any], str],
    up: Labels,
    down: Labels,
) -> _Piece:
    (U, u), (V, v) = left, right
    return _Piece(
        lambda r: LowRank(U(r)[..., None], V(r)[..., None]),
        up,
        down,
        f"vec({u}) vec({v})ᵀ" if len(up) + len(down) > 2 else f"{u} {v}ᵀ",
    )


def _combined(
    pieces: Sequence[_Piece], up: Labels, down: Labels, scale: Callable[[Results], Any], words: str
) -> tuple[Make, str]:
    """One factor alone, its rows and columns in order, or the Kronecker product of several."""
    says = words + " ⊗ ".join(piece.says for piece in pieces)
    if len(pieces) == 1 and pieces[0].left == up and pieces[0].right == down:
        make = pieces[0].make
        if scale is _one:
            return make, says

        def scaled(r: Results) -> Structured:
            matrix = make(r)
            if isinstance(matrix, LowRank):
                matrix.C = scale(r)
                return matrix
            return Kronecker([matrix], [up], [down], up, down, scale(r))

        return scaled, says
    makes = tuple(piece.make for piece in pieces)
    left, right = tuple(piece.left for piece in pieces), tuple(piece.right for piece in pieces)
    if sum(left, ()) != up or sum(right, ()) != down:
        says += f" with rows {_letters(left, up)} and columns {_letters(right, down)}"
    if scale is _one:
        return lambda r: Kronecker([make(r) for make in makes], left, right, up, down), says
    return lambda r: Kronecker([make(r) for make in makes], left, right, up, down, scale(r)), says


def _letters(labels: Sequence[Labels], order: Labels) -> str:
    """At which axes each factor stands, as letters: the first axis is i."""
    return ", ".join("".join("ijklmnopqrstuvw"[order.index(a) % 15] for a in own) or "1" for own in labels)


# ---------------------------------------------------------------- reading an expression


def terms_of(expr: Expr, rows: int) -> list[tuple[Expr, Product | None]]:
    """The terms of a sum, each with its factors; sums in products are multiplied out if that splits."""
    if isinstance(expr, nodes.Sum):
        found = [pair for term in expr.terms for pair in terms_of(term, rows)]
        return found if len(found) <= MOST_TERMS else [(expr, None)]
    if not isinstance(expr, Einsum):
        return [(expr, None)]
    moved = expr.operands if is_view(expr) else ()
    product = flatten(expr, lambda child: child in moved or is_view(child) or _apart(child), {}, robust=False)
    up, down = {*product.output[:rows]}, {*product.output[rows:]}
    for k, factor in enumerate(product.factors):
        source, own = factor.source, {*factor.labels}
        if not isinstance(source, nodes.Sum) or factor.exponent != 1 or factor.inverted:
            continue
        if own & up and own & down and any(map(_apart, source.terms)):
            others = list(product.factors)
            made = []
            for term in source.terms:
                others[k] = Factor(term, factor.labels)
                made.append(_product(product.coefficient, others, product.output, product.sizes))
            found = [pair for term in made for pair in terms_of(term, rows)]
            return found if len(found) <= MOST_TERMS else [(expr, None)]
    return [(expr, product)]


def _apart(expr: Expr) -> bool:
    """Whether it is a product with a diagonal, or whose axes belong to factors that share no label."""
    if isinstance(expr, nodes.Sum):
        return any(map(_apart, expr.terms))
    if not isinstance(expr, Einsum) or not expr.output:
        return False
    if len({*expr.output}) < len(expr.output):
        return True
    joined = [({*labels}, [k]) for k, labels in enumerate(expr.labels)]
    return len(_joined(joined, {*expr.output})) > 1


def _components(
    product: Product, factors: Sequence[Factor] | None = None, without: AbstractSet[int] = frozenset()
) -> list[tuple[set[int], list[Factor]]]:
    """The labels of the output and the factors in groups that share no label, in the order of the output."""
    used = product.factors if factors is None else factors
    labels = {*product.output} if factors is None else {a for f in used for a in f.labels}
    return _joined([({*f.labels} - without, [f]) for f in used], (labels & {*product.output}) - without)


def _joined(groups: list[tuple[set[int], list[T]]], output: set[int]) -> list[tuple[set[int], list[T]]]:
    """Groups that share labels made one; those without a label of the output are left out."""
    no: list[T] = []
    pending = [*groups, *(({a}, no) for a in sorted(output))]
    done: list[tuple[set[int], list[T]]] = []
    for labels, members in pending:
        touching = [group for group in done if group[0] & labels]
        done = [group for group in done if not group[0] & labels]
        merged = {*labels}.union(*(own for own, _ in touching))
        done.append((merged, [m for _, own in touching for m in own] + members))
    return sorted((g for g in done if g[0] & output), key=lambda g: min(g[0] & output))


def _is_scalar(factor: Factor, product: Product) -> bool:
    """Whether the output has none of its labels, nor those that it is summed with."""
    return not any(factor in factors for _, factors in _components(product))


def _source(factor: Factor) -> Expr:
    """The operand that a factor stands for."""
    exponent = -factor.exponent if factor.inverted else factor.exponent
    if exponent == 1:
        return factor.source
    return Apply(power, (factor.source, number(exponent, factor.source.shape)))


def _product(coefficient: Any, factors: Sequence[Factor], axes: Labels, sizes: Mapping[int, Dim]) -> Expr:
    operands = [_source(f) for f in factors]
    if not operands and len({*axes}) == len(axes):
        return number(coefficient, [sizes[a] for a in axes])
    return Einsum(coefficient, operands, [f.labels for f in factors], axes, dict(sizes))


def _einsum(product: Product, factors: Sequence[Factor], axes: Labels, *, scaled: bool) -> Expr:
    return _product(product.coefficient if scaled else ONE, factors, axes, product.sizes)
