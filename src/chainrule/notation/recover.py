"""Expr to presentation tree: every node that matrix language can write, read bottom-up and once.

In: an expression, in any form (canonical form gives the best result). Out: its Reading: coefficient,
scalar factors, scalar divisors, and a body in both orientations (a vector as column and row, a matrix
and its transpose). How a product becomes a matrix expression is decided in `products`; here it is taken
apart into the parts that the search joins. Nothing recurses over the depth of an expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from chainrule.expr.dims import ONE as UNIT
from chainrule.expr.dims import Coefficient, Dim
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of
from chainrule.expr.walk import topological
from chainrule.notation import matform as m
from chainrule.notation.joined import joined, padded
from chainrule.notation.matform import Tree
from chainrule.notation.products import (
    ALL_ONES,
    ONES_MATRIX,
    Factor,
    Forms,
    Graph,
    contract,
    order,
    settle,
    turned,
)  # fmt: skip
from chainrule.notation.solved import solved
from chainrule.notation.views import size, view_tree
from chainrule.rules.constants import MERGE
from chainrule.rules.reductions import prod_others
from chainrule.rules.unknown import UnknownEntrywise, UnknownMap, arguments_named
from chainrule.rules.views import FOR_INDICES, FOR_PRINT, Parts, View, fold, fold_parts

# Beyond this many operands a product inside a product is kept as one part, so that deep graphs stay linear.
LARGEST_PRODUCT = 12
LARGEST_ARRAY = 8

COMPARISONS = {"greater": ">", "greater_equal": "≥", "equal": "=", "not_equal": "≠"}
CALLS = {
    "sigmoid": "σ", "normcdf": "Φ", "normpdf": "φ", "log": "ln", "maximum": "max", "minimum": "min",
    "amax": "max", "amin": "min",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """coefficient · above/below · body; `body` is None for a scalar.

    opposite    the forms of minus the body (of minus the scalar), where a difference can be written the
    other way round reciprocal  the forms of what divides, when the body is 1 ⊘ something
    ones        the body is 𝟏: a scalar repeated along all axes
    """

    coefficient: Coefficient = UNIT
    above: tuple[Tree, ...] = ()
    below: tuple[Tree, ...] = ()
    body: Forms | None = None
    opposite: Forms | None = None
    reciprocal: Forms | None = None
    ones: bool = False


class Reader:
    """Readings of expressions. `taken` are the names of variables, which functions must not use in print.

    `as_typed` keeps the terms of sums in the order in which they stand in the expression.
    """

    def __init__(self, taken: Iterable[str] = (), *, as_typed: bool = False) -> None:
        self.taken, self.as_typed = frozenset(taken), as_typed
        self.readings: dict[Expr, Reading | None] = {}
        self.views: dict[Expr, Expr] = {}

    def read(self, root: Expr) -> Reading | None:
        """The reading of `root`, or None if matrix language cannot write it."""
        root = self.folded(root)
        if root not in self.readings:
            for node in topological([root]):
                if node not in self.readings:
                    self.readings[node] = self._node(node) if node.rank <= 2 else None
        return self.readings[root]

    def folded(self, root: Expr) -> Expr:
        """`root` with E[ids] and windows in the place of products with tensors of zeros and ones."""
        if root not in self.views:
            self.views[root] = fold(root, FOR_PRINT, self.views)
        return self.views[root]

    def tree(self, root: Expr, side: int = 0) -> Tree | None:
        """The tree of `root`: a column or a matrix; side 1 gives the row, the transpose.

        A matrix of zeros that is all there is to say is 0, as in any table.
        """
        constant = constant_of(root) if root.rank == 2 else None
        return self.part(root, side) if constant is None or not constant.is_zero else m.number(0)

    def part(self, root: Expr, side: int = 0) -> Tree | None:
        """The tree of `root` inside another, where a matrix of zeros shows its sizes."""
        reading = self.read(root)
        if reading is None:
            return None
        if side and root.rank == 1 and isinstance(root, Sum) and not joined(root):
            if terms := self._all(root.terms):
                return m.cheapest(whole(reading, side), _terms(terms, side, 1, typed=self.as_typed))
        return whole(reading, side)

    def _node(self, node: Expr) -> Reading | None:
        match node:
            case Variable():
                leaf = m.name(node.name)
                if not node.rank:
                    return Reading(above=(leaf,))
                symmetric = node.rank == 2 and not SYMMETRIC.isdisjoint(node.structure)
                return Reading(body=(leaf, leaf) if symmetric else turned(leaf))
            case Einsum():
                summed = (self._summed(node) if self.as_typed else None) or self._padded(node)
                return self.product(flatten(node)) if summed is None else summed
            case Sum():
                if (beside := self._joined(node)) is not None:
                    return beside
                readings = self._all(node.terms)
                return None if readings is None else self.sum(readings, node.shape)
            case Apply() if isinstance(node.function, View):
                return self._view(node)
            case Apply():
                readings = self._all(node.arguments)
                return None if readings is None else self._apply(node, readings)
            case Stack():
                readings = self._all(node.entries)
                return None if readings is None else _stack(readings, node.shape)
            case _:
                raise AssertionError(type(node))

    def _view(self, node: Apply) -> Reading | None:
        """A view of parts that can be named or read."""
        inside: list[Tree] = []
        for argument in node.arguments:
            reading = self.readings[argument]
            if isinstance(argument, Variable):
                inside.append(m.name(argument.name))
            elif reading is None:
                return None
            else:
                inside.append(m.sliced_identity(whole(reading, 0)))
        made = view_tree(node, inside)
        return Reading(body=turned(made)) if node.rank else Reading(above=(made,))

    def _joined(self, node: Sum) -> Reading | None:
        """[w; b], [X; Y], and concat(X, Y, axis=1)."""
        for axis in range(min(node.rank, 2)):
            parts = joined(node, axis)
            below = [self.part(part, axis) for part in parts or ()]
            if below and None not in below:
                column = m.stacked(*(part for part in below if part))
                if not axis:
                    return Reading(body=turned(column))
                inside = [t for part in parts or () if (t := self.part(part))]
                return Reading(body=(m.tree("beside", inside), column))
        return None

    def _padded(self, node: Einsum) -> Reading | None:
        """[v; 0], and pad(v, (1, 2)) with zeros on both sides."""
        found = padded(node)
        inside = None if found is None else self.part(found[1])
        if found is None or inside is None:
            return None
        before, _, after = found
        if before.terms and after.terms:
            width = size(before) if before == after else m.tree("tuple", (size(before), size(after)))
            return Reading(body=turned(m.call("pad", inside, width)))
        zeros = m.number(0) if (before + after).constant == 1 else m.ZEROS
        return Reading(body=turned(m.stacked(*((zeros, inside) if before.terms else (inside, zeros)))))

    def _summed(self, node: Einsum) -> Reading | None:
        """sum(M ⊙ (R − UVᵀ)²) as it was typed; the trace that it is too is what nobody wrote."""
        if node.rank or len(node.operands) != 1 or not isinstance(inner := node.operands[0], Einsum):
            return None
        if not inner.rank:
            inside = self._summed(inner)
            return inside and replace(inside, coefficient=node.coefficient * inside.coefficient)
        entrywise = inner.rank == 2 and len(inner.operands) > 1 and len(set(inner.output)) == 2
        if not entrywise or any(axes != inner.output for axes in inner.labels):
            return None
        reading = self.readings[inner]
        if reading is None or reading.body is None:
            return None
        return Reading(node.coefficient, above=(m.call("sum", whole(reading, 0)),))

    def _all(self, nodes: Sequence[Expr]) -> list[Reading] | None:
        readings = [r for r in map(self.readings.__getitem__, nodes) if r is not None]
        return readings if len(readings) == len(nodes) else None

    # ------------------------------------------------------------ sums

    def sum(self, readings: list[Reading], shape: tuple[Dim, ...]) -> Reading:
        rank = len(shape)
        if rank == 1 and all(_basis_index(r) is not None for r in readings):
            return _array(readings, shape[0])
        if rank and all(r.ones for r in readings):
            inner = self.sum([replace(r, body=None, ones=False) for r in readings], ())
            return replace(inner, body=_ones(rank), opposite=None, ones=True)
        if self.as_typed:
            body = _add(readings, rank, 1, typed=True)
            return Reading(above=body[:1]) if not rank else Reading(body=body)
        signs = {parts(r, 0)[0] for r in readings}
        first = _terms(readings, 0, 1)
        direction = -1 if signs == {-1} or (first.op == "sum" and first.data[0] < 0) else 1
        body = _add(readings, rank, direction)
        turns = len(signs) == 2 and not (first.op == "sum" and _is_polynomial(first.args))
        opposite = _add(readings, rank, -direction) if turns else None
        coefficient = UNIT if direction > 0 else -UNIT
        if not rank:
            return Reading(coefficient, above=body[:1], opposite=opposite)
        return Reading(coefficient, body=body, opposite=opposite)

    # ------------------------------------------------------------ functions

    def _apply(self, node: Apply, arguments: list[Reading]) -> Reading | None:
        name, parameters, rank = node.function.name, node.parameters, node.rank
        inner = node.arguments[0].rank if node.arguments else 0
        match name:
            case "pi":
                return Reading(above=(m.tree("symbol", (), ("π", r"\pi")),))
            case "e":
                return Reading(
                    above=(m.call("exp", m.ONE) if "e" in self.taken else m.tree("symbol", (), ("e", "e")),)
                )
            case "tri":
                first = m.call(name, m.number(Coefficient.of(parameters[0])))
                return Reading(body=(first, m.transpose(first)))
            case "one_hot":
                return Reading(body=turned(m.call("one_hot", whole(arguments[0], 0), size(parameters[0]))))
            case "lower_mask" | "half_mask":
                return Reading(body=m.masks("half" * (name == "half_mask"), parameters[0]))
            case "basis" | "select":
                return Reading(body=turned(m.tree(name, (), parameters)))
            case "inv" | "matrix_power" | "det" | "logdet" if inner > 2:
                return None
            case "inv":
                return Reading(body=settle(*(m.inverse(whole(arguments[0], k)) for k in (0, 1))))
            case "matrix_power":
                return Reading(
                    body=settle(*(m.matrix_power(whole(arguments[0], k), parameters[0]) for k in (0, 1)))
                )
            case "det" | "logdet":
                return Reading(above=(m.cheapest(*(m.call(name, whole(arguments[0], k)) for k in (0, 1))),))
            case "norm" if parameters[0] == inner:
                return Reading(above=(_norm(arguments[0]),))
            case "unit" if parameters[0] == inner:
                return replace(arguments[0], below=(*arguments[0].below, _norm(arguments[0])), opposite=None)
            case "power":
                return self._power(node, arguments)
            case "mills" if not rank:
                inside = signed(parts(arguments[0], 0))
                density, mass = (m.call(self.called(part), inside) for part in ("normpdf", "normcdf"))
                return Reading(above=(density,), below=(mass,))
        if isinstance(node.function, UnknownMap):
            return _unknown_map(node, node.function, arguments)
        if hasattr(node.function, "core"):
            return self._tensorial(node, arguments)
        if rank and all(r.ones for r in arguments):
            return Reading(above=(self.call(node, arguments, 0),), body=_ones(rank), ones=True)
        first = self.call(node, arguments, 0)
        if not rank:
            return Reading(above=(first,))
        return Reading(body=turned(first) if rank == 1 else settle(first, self.call(node, arguments, 1)))

    def call(self, node: Apply, arguments: Sequence[Reading], side: int) -> Tree:
        name = node.function.name
        inside = [signed(parts(r, side)) for r in arguments]
        if name in COMPARISONS:
            compared = m.compare(COMPARISONS[name], *inside)
            return compared if self.as_typed else solved(compared)
        if name in ("abs", "sqrt") and (node.rank < 2 or all(r.body is None for r in arguments)):
            return m.tree("abs" if name == "abs" else "root", inside)
        if isinstance(node.function, UnknownEntrywise):
            return m.call(node.function.written(node.parameters), *inside)
        if name in ("elu", "huber") and inside[1] is m.ONE:
            inside = inside[:1]  # what is taken where nothing else is asked for
        if name == "lognormcdf":
            return m.call("ln", m.call(self.called("normcdf"), *inside))
        if name == "mills":
            return m.divide(*(m.call(self.called(part), *inside) for part in ("normpdf", "normcdf")))
        return m.call(self.called(name), *inside)

    def called(self, name: str) -> str:
        """What a function is called in print: σ, Φ and φ unless a variable has that name."""
        short = CALLS.get(name, name)
        return name if {short, ascii_name(short)} & self.taken else short

    def _tensorial(self, node: Apply, arguments: list[Reading]) -> Reading | None:
        """A function on the last axes of its arguments: softmax(x), and softmax(X, axis=1) row by row."""
        ranks = [a.rank for a in node.arguments]
        cores: tuple[int, ...] = node.function.cores(node.parameters)  # type: ignore[attr-defined]
        name = CALLS.get(node.function.name, node.function.name)
        extra = [m.number(p) for p in shown_parameters(node)]
        if list(cores) == ranks:
            first = m.call(name, *(whole(a, 0) for a in arguments), *extra)
            if getattr(node.function, "turns", False):
                return Reading(body=settle(first, m.call(name, *(whole(a, 1) for a in arguments), *extra)))
            return Reading(body=turned(first)) if node.rank else Reading(above=(first,))
        if set(cores) != {1} or set(ranks) != {2} or node.rank > 2:
            return None
        by_row = m.call(name, *(whole(a, 0) for a in arguments), *extra, options="axis=1")
        by_column = m.call(name, *(whole(a, 1) for a in arguments), *extra, options="axis=0")
        if node.rank == 1:
            return Reading(body=turned(m.cheapest(by_row, by_column)))
        return Reading(body=settle(by_row, by_column))

    def _power(self, node: Apply, arguments: list[Reading]) -> Reading:
        base, exponent = arguments
        rank = node.rank
        if rank and base.ones and exponent.ones:
            scalars = [replace(r, body=None, ones=False) for r in arguments]
            return replace(
                self.power_of(0, constant_of(node.arguments[1]), scalars), body=_ones(rank), ones=True
            )
        return self.power_of(rank, constant_of(node.arguments[1]), arguments)

    def power_of(self, rank: int, constant: Coefficient | None, arguments: list[Reading]) -> Reading:
        base, exponent = arguments
        below = constant is not None and constant.rational < 0
        top = signed(parts(exponent, 0)) if constant is None else number(-constant if below else constant)
        first = m.power(signed(parts(base, 0)), top, rank == 2 and not base.ones)
        opposite = self._odd_power(rank, constant, base)
        if not rank:
            return Reading(below=(first,), opposite=opposite) if below else Reading(above=(first,))
        forms = turned(first)
        if rank == 2:
            other = top if constant is not None else signed(parts(exponent, 1))
            forms = settle(first, m.power(signed(parts(base, 1)), other, not base.ones))
        if not below:
            return Reading(body=forms)
        reciprocals = settle(m.divide(m.ONE, forms[0]), m.divide(m.ONE, forms[1]))
        body = reciprocals if rank == 2 else turned(reciprocals[0])
        return Reading(body=body, opposite=opposite, reciprocal=forms)

    def _odd_power(self, rank: int, constant: Coefficient | None, base: Reading) -> Forms | None:
        """What divides in minus the expression, (x − 1)³ for 1/(1 − x)³, where a difference can be turned."""
        if constant is None or constant.rational > 0 or constant.powers or constant.rational % 2 != 1:
            return None
        if rank > 1 or base.opposite is None:
            return None
        turned_base = signed(parts(replace(swapped(base), coefficient=base.coefficient), 0))
        return turned(m.power(turned_base, number(-constant), False))

    # ------------------------------------------------------------ products

    def product(self, product: Product) -> Reading | None:
        """The reading of a product whose operands have at most two axes, or group into vec(X) and A ⊗ B."""
        rank = len(product.output)
        if product.coefficient.is_zero:
            zeros = _zeros([product.sizes[label] for label in product.output]) if rank else None
            return Reading(coefficient=product.coefficient, body=zeros)
        factors = self._factors(product)
        if factors is None:
            folded = self._regrouped(product)
            return None if folded is None else self.product(folded)
        readings, axes = [reading for reading, _ in factors], [labels for _, labels in factors]
        coefficient = product.coefficient
        for reading in readings:
            coefficient = coefficient * reading.coefficient
        # One of two equal factors is not turned: −(x − μ)ᵀΣ⁻¹(x − μ) shows its quadratic form.
        alone = [k for k, r in enumerate(readings) if r.opposite is not None and _twins(r, readings) == 1]
        alone.sort(key=lambda k: gain(readings[k]))
        gains = sum(gain(readings[k]) < 2 for k in alone)
        odd = coefficient.rational < 0
        # Two signs cancel: as many are turned as gain, or one fewer where that would leave a sign in front.
        turns = max(odd, gains - (gains + odd) % 2)
        if turns < gains < len(alone) and [gain(readings[alone[k]]) for k in (turns, gains)] == [0, 2]:
            turns = gains + 1  # (p − y) ⊘ (1 − p), for (y − p) ⊘ (p − 1): what is all one goes along
        for swap in alone[:turns]:
            coefficient, readings[swap] = -coefficient, swapped(readings[swap])
        above: list[Tree] = []
        below: list[Tree] = []
        graph = Graph(product.output)
        count: dict[int, int] = {}
        for labels in axes:
            for label in labels:
                count[label] = count.get(label, 0) + 1
        entries = self._entries(product.output, readings, axes, count)
        for labels, reading in zip(axes, readings, strict=True):
            if all(label in entries for label in labels) and labels:
                if labels[0] in entries and not _is_basis(reading):
                    above += reading.above
                    below += reading.below
                    assert reading.body is not None
                    above.append(m.tree("entry", reading.body[:1], [entries[label] for label in labels]))
                continue
            above += reading.above
            below += reading.below
            forms = reading.reciprocal or reading.body
            if forms is None:
                continue
            if len(labels) == 2 and labels[0] == labels[1]:
                inside = m.cheapest(*(reading.body or forms))
                if count[labels[0]] == 2 and labels[0] not in product.output:
                    above.append(m.call("tr", inside))
                else:
                    graph.add(labels[:1], Factor(turned(m.tree("diagonal", (inside,)))))
            else:
                graph.add(labels, Factor(forms, reading.reciprocal is not None))
        result = contract(graph)
        if result is None:
            return None
        scalars, divisors = (*above, *result.scalars), tuple(below)
        if self.as_typed and not _are_distinct((*scalars, *divisors)):
            sign = UNIT if coefficient.rational > 0 else -UNIT
            coefficient, scalars, divisors = sign, (_side_by_side(sign * coefficient, scalars, divisors),), ()
        return Reading(coefficient, scalars, divisors, result.body, ones=result.ones)

    def _regrouped(self, product: Product) -> Product | None:
        """The product with reshape(X, m, n) in the place of regroupings that are no vec and no ⊗."""
        found = Parts(list(product.operands), product.output, product.sizes, FOR_INDICES)
        if not any(isinstance(o, Apply) and o.function is MERGE for o, _ in product.operands):
            return None
        if not fold_parts(found, FOR_INDICES):
            return None
        for operand, _ in found.factors:
            for node in topological([operand]):
                if node not in self.readings:
                    self.readings[node] = self._node(node) if node.rank <= 2 else None
        return Product(product.coefficient, tuple(found.factors), product.output, found.sizes)

    def _factors(self, product: Product) -> list[tuple[Reading, tuple[int, ...]]] | None:
        """The readings of the operands with their labels; vec(X) and A ⊗ B are operands here."""
        merges = [
            (o, labels) for o, labels in product.operands if isinstance(o, Apply) and o.function is MERGE
        ]
        others = [
            (o, labels)
            for o, labels in product.operands
            if not (isinstance(o, Apply) and o.function is MERGE)
        ]
        if any(operand.rank > 2 for operand, _ in others) or any(len(labels) != 3 for _, labels in merges):
            return None
        found: list[tuple[Reading, tuple[int, ...]]] = []
        while merges:
            (_, (flat, slow, fast)), *merges = merges
            vector = self._gathered(product, others, merges, (fast, slow))
            if vector is not None:
                reading, others = vector
                found.append(
                    (
                        _mapped(reading, lambda a: m.call("vec", a), lambda a: m.transpose(m.call("vec", a))),
                        (flat,),
                    )
                )
                continue
            for k, (_, (flat2, slow2, fast2)) in enumerate(merges):
                rest = merges[:k] + merges[k + 1 :]
                left = self._gathered(product, others, rest, (slow, slow2), (fast, fast2))
                right = None if left is None else self._gathered(product, left[1], rest, (fast, fast2))
                if left is not None and right is not None:
                    found.append((_kron(left[0], right[0]), (flat, flat2)))
                    others, merges = right[1], rest
                    break
            else:
                return None
        for operand, labels in others:
            known = self.read(operand)
            if known is None:
                return None
            found.append((known, labels))
        return found

    def _gathered(
        self,
        product: Product,
        operands: Sequence[tuple[Expr, tuple[int, ...]]],
        merges: Sequence[tuple[Expr, tuple[int, ...]]],
        output: tuple[int, int],
        apart: tuple[int, ...] = (),
    ) -> tuple[Reading, list[tuple[Expr, tuple[int, ...]]]] | None:
        """The matrix on two labels made of all operands that are connected to them, and the other operands.

        None if these touch other labels that are open: those of the result, of axes to be regrouped, `apart`.
        """
        kept = {*product.output, *apart, *(label for _, labels in merges for label in labels)}
        if not kept.isdisjoint(output):
            return None
        inside, reached, outside = [], set(output), list(operands)
        while near := [o for o in outside if not reached.isdisjoint(o[1])]:
            inside += near
            outside = [o for o in outside if o not in near]
            reached |= {label for _, labels in near for label in labels if label not in kept}
        if any(not kept.isdisjoint(labels) for _, labels in inside):
            return None
        if (
            not all(any(label in labels for _, labels in inside) for label in output)
            and output[0] != output[1]
        ):
            return None
        reading = self.product(Product(UNIT, tuple(inside), output, product.sizes))
        if reading is None or reading.body is None:
            return None
        if reading.body[0] is m.IDENTITY:
            eye = m.sized(m.IDENTITY, product.sizes[output[0]])
            reading = replace(reading, body=(eye, eye))
        return reading, outside

    def _entries(
        self,
        output: tuple[int, ...],
        readings: list[Reading],
        axes: list[tuple[int, ...]],
        count: dict[int, int],
    ) -> dict[int, str]:
        """The labels at which entries are taken, x₁ for e₁ᵀx, and which: numbers from 1."""
        found: dict[int, str] = {}
        for labels, reading in zip(axes, readings, strict=True):
            if _is_basis(reading) and count[labels[0]] == 2 and labels[0] not in output:
                assert reading.body is not None
                index: Dim = reading.body[0].data[0]
                if index.constant is not None:
                    found[labels[0]] = str(index.constant + 1)
        used: set[int] = set()
        for labels, reading in zip(axes, readings, strict=True):
            if (
                _is_basis(reading)
                or reading.body is None
                or reading.reciprocal
                or not found.keys() >= set(labels)
            ):
                continue
            numbers = [found[label] for label in labels]
            name = reading.body[0].data[0] if reading.body[0].op == "name" else ""
            clear = not self.taken & {name + "".join(numbers), name + "_" + "".join(numbers)}
            if (
                len(set(labels)) == len(labels)
                and clear
                and (len(labels) == 1 or all(len(n) == 1 for n in numbers))
            ):
                used |= set(labels)
        return {label: number for label, number in found.items() if label in used}


def shown_parameters(node: Apply) -> tuple[int, ...]:
    """The parameters that are written as arguments: how many entries prod_others leaves out, if not one."""
    return node.parameters[1:] if node.function is prod_others and node.parameters[1] != 1 else ()


def core_rank(node: Apply) -> int:
    """How many axes of its first argument a function on whole tensors takes."""
    return int(node.function.cores(node.parameters)[0])  # type: ignore[attr-defined]


def _unknown_map(node: Apply, row: UnknownMap, arguments: Sequence[Reading]) -> Reading | None:
    """h(x), h′(x), ∇h(x): its arguments stand as columns."""
    if any(a.rank != axes for a, axes in zip(node.arguments, row.core, strict=True)):
        return None
    called = m.call(row.written(node.parameters), *(whole(r, 0) for r in arguments))
    if not node.rank:
        return Reading(above=(called,))
    symmetric = node.rank == 2 and row.is_symmetric(node.parameters)
    return Reading(body=(called, called) if symmetric else turned(called))


def _mapped(reading: Reading, column: Callable[[Tree], Tree], row: Callable[[Tree], Tree]) -> Reading:
    """The same scalars, and a function of the body."""
    assert reading.body is not None
    return replace(
        reading,
        body=(column(reading.body[0]), row(reading.body[0])),
        opposite=None,
        reciprocal=None,
        ones=False,
    )


def _kron(left: Reading, right: Reading) -> Reading:
    assert left.body is not None and right.body is not None
    forms = [m.tree("kron", pair) for pair in zip(left.body, right.body, strict=True)]
    return Reading(
        left.coefficient * right.coefficient,
        left.above + right.above,
        left.below + right.below,
        (forms[0], forms[1]),
    )


def _twins(reading: Reading, readings: Sequence[Reading]) -> int:
    """How many factors are written as this one is."""
    return sum(other.body == reading.body and other.above == reading.above for other in readings)


def gain(reading: Reading) -> int:
    """How much a difference gains by turning round: 0 for u − 1, 1 for y − f(x), 2 where it is all one."""
    assert reading.opposite is not None
    before, after = _differences(reading)
    if before.op != "sum" or after.op != "sum":
        return 1
    if not after.args[0].leaves or not before.args[0].leaves:
        return 0 if before.args[0].leaves else 3
    leads = [t.args[0].op in ("name", "entry") for t in (before, after)]
    return 1 if leads == [True, False] else 2


def _differences(reading: Reading) -> tuple[Tree, Tree]:
    """The difference in it and the same turned round."""
    assert reading.opposite is not None
    now = reading.reciprocal or reading.body or reading.above or reading.below
    before, after = now[0], reading.opposite[0]
    return (before.args[0], after.args[0]) if before.op == "power" else (before, after)


def _is_basis(reading: Reading) -> bool:
    return reading.body is not None and reading.body[0].op == "basis"


SYMMETRIC = frozenset({"symmetric", "spd", "diagonal"})


# ---------------------------------------------------------------- readings to trees


def parts(reading: Reading, side: int, drop_ones: bool = True) -> tuple[int, Tree]:
    """Sign and tree; a scalar that is only repeated is a scalar, unless it must show its shape."""
    coefficient = reading.coefficient
    sign = -1 if coefficient.rational < 0 else 1
    if coefficient.is_zero:
        return 1, reading.body[side] if reading.body is not None and not drop_ones else m.number(0)
    value = -coefficient if sign < 0 else coefficient
    up_factors, down_factors = _collected(reading.above, reading.below)
    above = sorted(up_factors, key=_scalar_order)
    below = sorted(down_factors, key=_scalar_order)
    body = None if reading.body is None or (reading.ones and drop_ones) else reading.body[side]
    if body is None and above and above[-1].op == "chain":
        body = above.pop()
    if body is not None and not above and not below and value.is_one:
        return sign, body
    up, down = split(value)
    if below or (body is None and not down.is_one):
        numerator = m.scale(number(up), *above) if body is None else _in_front([number(up), *above], body)
        return sign, m.over(numerator, m.scale(number(down), *below))
    front = [number(value), *above]
    return sign, m.scale(*front) if body is None else _in_front(front, body)


def _are_distinct(factors: Sequence[Tree]) -> bool:
    """Whether no two are powers of one thing."""
    return len({factor.args[0] if factor.op == "power" else factor for factor in factors}) == len(factors)


def _side_by_side(coefficient: Coefficient, above: Sequence[Tree], below: Sequence[Tree]) -> Tree:
    """Factors that are not made powers of one another, 2x · x, nor cancelled, x/x: as it was typed."""
    sides = []
    for value, factors in zip(split(coefficient), (above, below), strict=True):
        if len(factors) < 2 or _are_distinct(factors):
            sides.append(m.scale(number(value), *factors))
        else:
            sides.append(m.tree("product", (m.scale(number(value), factors[0]), *factors[1:])))
    return m.over(*sides)


def _collected(above: tuple[Tree, ...], below: tuple[Tree, ...]) -> tuple[list[Tree], list[Tree]]:
    """Equal scalars as powers, and what stands above and below the line cancelled."""
    if len(above) + len(below) < 2:
        return list(above), list(below)
    exponents: dict[Tree, int] = {}
    for sign, factors in ((1, above), (-1, below)):
        for factor in factors:
            base, exponent = factor, 1
            if (
                factor.op == "power"
                and factor.args[1].op == "number"
                and m.is_integer(factor.args[1].data[0])
            ):
                base, exponent = factor.args[0], int(factor.args[1].data[0].rational)
            exponents[base] = exponents.get(base, 0) + sign * exponent
    up = [_raised(base, e) for base, e in exponents.items() if e > 0]
    return up, [_raised(base, -e) for base, e in exponents.items() if e < 0]


def _raised(base: Tree, exponent: int) -> Tree:
    return base if exponent == 1 else m.power(base, m.number(exponent))


def _in_front(scalars: list[Tree], body: Tree) -> Tree:
    """Scalars before a body: inside the first factor of ⊙ and above ⊘, where no parentheses are needed."""
    if body.op == "times":
        return m.tree("times", (m.scale(*scalars, body.args[0]), *body.args[1:]))
    if body.op == "divide":
        return m.divide(_in_front(scalars, body.args[0]), body.args[1])
    return m.scale(*scalars, body)


def whole(reading: Reading, side: int) -> Tree:
    """The tree, in full shape."""
    return signed(parts(reading, side, drop_ones=False))


def signed(pair: tuple[int, Tree]) -> Tree:
    """Sign and tree as one tree."""
    return m.negative(pair[1]) if pair[0] < 0 else pair[1]


def number(value: Coefficient) -> Tree:
    """A constant: negative ones carry their sign in front."""
    return m.number(value) if value.rational >= 0 else m.negative(m.number(-value))


def split(value: Coefficient) -> tuple[Coefficient, Coefficient]:
    """Numerator and denominator, without negative powers."""
    whole = m.decimal(value.rational) is not None
    above = value.rational if whole else Fraction(value.rational.numerator)
    below = Fraction(1 if whole else value.rational.denominator)
    up = Coefficient(above, tuple(p for p in value.powers if p[1] > 0))
    down = Coefficient(below, tuple((d, -e) for d, e in value.powers if e < 0))
    return up, down


def _scalar_order(part: Tree) -> tuple[int, int, tuple[tuple[int, str], ...], str]:
    rank, key = order(part)
    if part.indices or part.op == "sigma":
        place = {"place": 12, "delta": 13, "sigma": 14}.get(part.op, 11 if rank == 4 else 10)
        return place, 0, tuple((len(i), i) for i in part.indices), key
    return {0: 0, 1: 9}.get(rank, rank), 0 if part.op != "symbol" else -1, (), key


def _on_diagonal(reading: Reading) -> bool:
    """Whether it is a multiple of I or of diag(v): a number beside it would be taken for a multiple of I."""
    body = None if reading.body is None else reading.body[0]
    return body is not None and (body is m.IDENTITY or (body.op == "call" and body.data[0] == "diag"))


def _add(readings: list[Reading], rank: int, direction: int, *, typed: bool = False) -> Forms:
    """The sum of the terms in both orientations."""
    first = _terms(readings, 0, direction, typed=typed)
    if not rank:
        return first, first
    second = _terms(readings, 1, direction, typed=typed)
    if rank == 1 and m.transpose(first).cost <= second.cost + 2:
        # A difference mostly stands in a product, where its parentheses cost nothing more: (Ax − b)ᵀ, not
        # xᵀAᵀ − bᵀ.
        return turned(first)
    return settle(first, second)


def _terms(readings: list[Reading], side: int, direction: int, *, typed: bool = False) -> Tree:
    """The terms with their signs, larger ones first, but a positive one in front if there is one.

    A polynomial stays in descending powers; `typed` terms stay as they are.
    """
    terms = []
    diagonal = any(map(_on_diagonal, readings))
    for reading in readings:
        for one in _sizes(reading) if not diagonal else (reading,):
            sign, term = parts(one, side, drop_ones=not diagonal)
            last = term.op == "number" and not term.data[0].powers
            place = (one.ones or not term.leaves, last, -term.leaves, _natural(term.key))
            terms.append((place, sign * direction, term))
    if typed:
        return m.signed_sum([(sign, term) for _, sign, term in terms])
    terms.sort(key=lambda t: t[0])
    if all(_partial(term) for _, _, term in terms):
        # The chain rule goes through the arguments in their order, second derivatives first.
        terms.sort(key=lambda t: _partial(t[2]) or (0, ()))
    if not _is_polynomial([term for _, _, term in terms]):
        terms.insert(0, terms.pop(next((k for k, t in enumerate(terms) if t[1] > 0), 0)))
    return m.signed_sum([(sign, term) for _, sign, term in terms])


def _sizes(reading: Reading) -> list[Reading]:
    """A number n + 1 as the two terms that it is in a sum."""
    powers = reading.coefficient.powers
    alone = not reading.above and not reading.below and (reading.body is None or reading.ones)
    if not alone or len(powers) != 1 or powers[0][1] != 1 or powers[0][0].name is not None:
        return [reading]
    inside = [Coefficient.of(Dim((term,))) for term in powers[0][0].terms]
    return [replace(reading, coefficient=Coefficient(reading.coefficient.rational) * c) for c in inside]


def _natural(key: str) -> str:
    """A key in whose order δ₁₂ stands behind δ₆."""
    return re.sub(r"[0-9]+", lambda found: found[0].zfill(4), key)


def _partial(term: Tree) -> tuple[int, tuple[int, ...]] | None:
    """Of a term with a factor ∂₁²∂₂f(...): its order, counted down, and by which arguments."""
    for factor in term.args if term.op in ("scale", "over", "chain", "times") else (term,):
        if factor.op == "call" and factor.data[0].startswith("∂"):
            by = arguments_named(factor.data[0])
            return -len(by), by
    return None


def _is_polynomial(terms: Sequence[Tree]) -> bool:
    """Whether three or more terms are numbers times powers of one thing."""
    bases: set[Tree] = set()
    for term in terms:
        factors = [f for f in (term.args if term.op == "scale" else (term,)) if f.op != "number"]
        bases |= {f.args[0] if f.op == "power" and f.args[1].op == "number" else f for f in factors}
    return len(terms) > 2 and len(bases) == 1


def swapped(reading: Reading) -> Reading:
    """The reading of minus the expression, its difference turned round."""
    assert reading.opposite is not None
    if reading.reciprocal is not None:
        over = turned(m.divide(m.ONE, reading.opposite[0]))
        return replace(reading, body=over, reciprocal=reading.opposite, opposite=None)
    if reading.body is None and not reading.above:
        return replace(reading, below=reading.opposite[:1], opposite=None)
    if reading.body is None:
        return replace(reading, above=reading.opposite[:1], opposite=None)
    return replace(reading, body=reading.opposite, opposite=None)


def _norm(inside: Reading) -> Tree:
    return m.tree("norm", (m.cheapest(whole(inside, 0), whole(inside, 1)),))


def _zeros(shape: list[Dim]) -> Forms:
    """𝟎; a matrix of zeros shows its sizes, since 𝟎 is read as a vector."""
    if len(shape) == 1:
        return turned(m.ZEROS)
    rows, columns = map(str, shape)
    return (
        m.tree("symbol", (), (f"zeros({rows}, {columns})", r"\mathbf{0}")),
        m.tree("symbol", (), (f"zeros({columns}, {rows})", r"\mathbf{0}")),
    )


def _ones(rank: int) -> Forms:
    return ALL_ONES if rank == 1 else (ONES_MATRIX, ONES_MATRIX)


def _row(reading: Reading, shape: Sequence[Dim]) -> Tree:
    """One row of a written-out matrix; a row of zeros is written out as the others are."""
    size = shape[1].constant if len(shape) == 2 else None
    if reading.coefficient.is_zero and size is not None and size <= LARGEST_ARRAY:
        return m.tree("array", [m.number(0)] * size, (True,))
    return whole(reading, 1)


def _stack(readings: list[Reading], shape: Sequence[Dim]) -> Reading:
    rows = [_row(r, shape) for r in readings]
    if len(shape) == 1:
        return Reading(body=turned(m.tree("array", rows, (False,))))
    matrix = m.tree("array", rows, (False,))
    if not all(row.op == "array" for row in rows):
        return Reading(body=turned(matrix))
    columns = [m.tree("array", entries, (True,)) for entries in zip(*(row.args for row in rows), strict=True)]
    return Reading(body=(matrix, m.tree("array", columns, (False,))))


def _basis_index(reading: Reading) -> int | None:
    """k, if this is a scalar times the basis vector e_k of a short space."""
    if reading.body is None or reading.body[0].op != "basis":
        return None
    index, size = reading.body[0].data
    return index.constant if (size.constant or LARGEST_ARRAY + 1) <= LARGEST_ARRAY else None


def _array(readings: list[Reading], size: Dim) -> Reading:
    """Scalars times basis vectors, written out entry by entry."""
    entries: list[Tree] = []
    for k in range(size.constant or 0):
        inside = [replace(r, body=None) for r in readings if _basis_index(r) == k]
        entries.append(_add(inside, 0, 1)[0] if inside else m.number(0))
    return Reading(body=turned(m.tree("array", entries, (False,))))


# ---------------------------------------------------------------- products of products


@dataclass(frozen=True, slots=True)
class Product:
    """An einsum with the einsums inside it opened."""

    coefficient: Coefficient
    operands: tuple[tuple[Expr, tuple[int, ...]], ...]
    output: tuple[int, ...]
    sizes: dict[int, Dim]


def flatten(node: Einsum) -> Product:
    """Products inside products opened, up to LARGEST_PRODUCT operands; above two axes always."""
    coefficient = node.coefficient
    sizes = dict(enumerate(node.sizes))
    same: dict[int, int] = {}
    waiting: list[tuple[Expr, tuple[int, ...]]] = list(zip(node.operands, node.labels, strict=True))[::-1]
    operands: list[tuple[Expr, tuple[int, ...]]] = []

    def find(label: int) -> int:
        while label in same:
            label = same[label]
        return label

    while waiting:
        operand, labels = waiting.pop()
        if isinstance(operand, Einsum) and (
            operand.rank > 2 or len(operands) + len(waiting) + len(operand.operands) <= LARGEST_PRODUCT
        ):
            coefficient = coefficient * operand.coefficient
            fresh = {own: len(sizes) + own for own in range(len(operand.sizes))}
            sizes.update((fresh[own], dim) for own, dim in enumerate(operand.sizes))
            for own, outer in zip(operand.output, labels, strict=True):
                a, b = find(fresh[own]), find(outer)
                if a != b:
                    same[a] = b
            inside = [
                (o, tuple(fresh[a] for a in axes))
                for o, axes in zip(operand.operands, operand.labels, strict=True)
            ]
            waiting.extend(reversed(inside))
        else:
            operands.append((operand, labels))
    found = tuple((operand, tuple(map(find, labels))) for operand, labels in operands)
    output = tuple(map(find, node.output))
    carried = {label for _, labels in found for label in labels} | set(output)
    for label in dict.fromkeys(map(find, sizes)):
        if label not in carried:
            coefficient = coefficient * Coefficient.of(sizes[label])
    return Product(coefficient, found, output, sizes)
