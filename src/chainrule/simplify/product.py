"""The canonical form of a product: flat, deltas absorbed into labels, equal factors merged into powers.

In: a coefficient, canonical operands, their labels, the output. Out: a canonical expression. A product
whose factors fall apart into parts without common labels keeps each closed part (xᵀAx, tr A) as one scalar
factor, so that equal scalars meet as powers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from chainrule.expr.dims import ONE, ZERO, Coefficient, Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Function, Labels, Stack, Sum, Variable, zeros
from chainrule.rules.indexing import one_hot
from chainrule.rules.table import Elementwise, Row, Tensorial
from chainrule.rules.tensorial import inv, softmax, unit
from chainrule.simplify import masks
from chainrule.simplify.arrange import ordered
from chainrule.simplify.factored import INSIDE, MEETING, meet_factors
from chainrule.simplify.inverses import apply_structures, cancel_inverses, join_picks
from chainrule.simplify.maps import apply_maps
from chainrule.simplify.powers import apply_conditions, merge
from chainrule.simplify.selections import SELECTORS, meet_constants
from chainrule.simplify.work import Factor, Work, as_power, without_coefficient

if TYPE_CHECKING:
    from chainrule.simplify.normal import Normaliser

# Products are flattened up to this many factors: beyond it nested ones stay, so deep chains cost linear time.
FLAT = 10
# Written-out vectors of at most this many entries are multiplied out when contracted with each other.
EXPLICIT = 16

# What may be done with a factor: most have nothing that any rule but merging looks for.
NESTED, SELECTED, STRUCTURED, PICKED, INVERTED, FACTORISED, MAPPED, ORDERED, WRITTEN = (
    1 << k for k in range(9)
)


def _concerns(factors: Sequence[Factor]) -> int:
    """Which rules some factor asks for."""
    found = 0
    for factor, _ in factors:
        match factor:
            case Apply():
                found |= _asked_by(factor.function)
                if factor.function in INSIDE and isinstance(factor.arguments[0], Einsum):
                    found |= FACTORISED
            case Einsum():
                found |= NESTED
            case Variable():
                if factor.structure:
                    found |= STRUCTURED
            case Stack():
                found |= WRITTEN
    return found


@lru_cache(maxsize=1024)
def _asked_by(function: Function) -> int:
    asked = (
        (SELECTED, function in SELECTORS),
        (STRUCTURED, isinstance(function, Row) and bool(function.structure)),
        (PICKED, function is one_hot),
        (INVERTED, function is inv),
        (FACTORISED, function in MEETING),
        (MAPPED, isinstance(function, Tensorial) and bool(function.back)),
        (ORDERED, function in masks.ORDERS),
    )
    return sum(rule for rule, holds in asked if holds)


class Product:
    """The product door of a normaliser."""

    def __init__(self, normal: Normaliser) -> None:
        self.normal = normal
        self.memo: dict[object, Expr] = {}
        self.primitives: dict[Sum, tuple[Coefficient, Expr]] = {}
        self.colours: dict[tuple[tuple[tuple[int, Labels, bool], ...], Labels], list[int]] = {}

    def __call__(
        self,
        coefficient: Coefficient,
        operands: Sequence[Expr],
        labels: Sequence[Labels],
        output: Labels,
        sizes: dict[int, Dim],
    ) -> Expr:
        """The canonical form of the einsum with these parts, the operands canonical."""
        shape = tuple(sizes[label] for label in output)
        # Candidates for the shortest form are made of the same products again and again.
        key = (coefficient, *operands, *labels, output, shape)
        known = self.memo.get(key)
        if known is None:
            known = self.memo[key] = self._made(coefficient, operands, labels, output, sizes, shape)
        return known

    def _made(
        self,
        coefficient: Coefficient,
        operands: Sequence[Expr],
        labels: Sequence[Labels],
        output: Labels,
        sizes: dict[int, Dim],
        shape: tuple[Dim, ...],
    ) -> Expr:
        if coefficient.is_zero or any(isinstance(o, Einsum) and o.coefficient.is_zero for o in operands):
            return zeros(shape)
        if not operands:
            return Einsum(coefficient, (), (), output, sizes)
        work = Work(coefficient, [], output, dict(sizes), set(output).union(*labels))
        self._inline_all(work, list(zip(operands, labels, strict=True)))
        work.settle()
        if len(operands) == 1 and set(labels[0]) <= set(output) and len(set(labels[0])) == len(labels[0]):
            # Moved, repeated or scaled, what is canonical meets nothing new.
            work.changed = not all(map(self._is_at_rest, work.factors))
        while work.changed:
            while work.changed:
                work.changed = False
                if not self._met(work):
                    merge(self, work)
                    if len(work.factors) > 1:
                        apply_conditions(self, work)
                    work.settle()
                if work.coefficient.is_zero:
                    return zeros(shape)
            written = self._written_out(work) if _concerns(work.factors) & WRITTEN else None
            if written is not None:
                return written
            self._lone_labels(work)
            self._close(work)
        return self._assemble(work)

    def _met(self, work: Work) -> bool:
        """Whether a rule for special factors applied after which the others are to be looked at again."""
        concerns = _concerns(work.factors)
        if concerns & NESTED:
            self._flatten(work)
            concerns = _concerns(work.factors)
        if not concerns & (SELECTED | STRUCTURED | PICKED | INVERTED | FACTORISED | MAPPED):
            return False
        meet_constants(self, work)
        if work.coefficient.is_zero:
            return True
        apply_structures(self, work)
        join_picks(work)
        cancel_inverses(self, work)
        work.settle()
        if meet_factors(self, work) or apply_maps(self, work):
            work.settle()
            return True
        return False

    def _is_at_rest(self, factor: Factor) -> bool:
        """Whether no rule looks at where its axes stand."""
        node, axes = factor
        match node:
            case Sum():
                return True
            case Apply():
                return isinstance(node.function, Elementwise) and not self.normal.structures(node)
            case Variable():
                return not self.normal.structures(node)
            case _:
                return not axes

    # ------------------------------------------------------------ in

    def _inline_all(self, work: Work, parts: list[Factor]) -> None:
        """Adds operands, products flattened up to FLAT factors.

        The order does not depend on how the product was written.
        """
        if len(parts) == 1:
            self.inline(work, *parts[0])
            return
        total = len(parts)
        ordered = sorted([(_count(part), part[0].digest, k) for k, part in enumerate(parts)])
        for count, _, k in ordered:
            operand, axes = parts[k]
            grown = total - 1 + count
            if grown <= FLAT or count <= 1:
                total = grown
                self.inline(work, operand, axes)
            else:
                coefficient, body = without_coefficient(operand)
                work.coefficient = work.coefficient * coefficient
                work.factors.append((body, axes))

    def _flatten(self, work: Work) -> None:
        """Inlines products that were too long when they came in, once others have merged."""
        nested = [f for f in work.factors if _count(f) > 1]
        if (nested and len(work.factors) - 1 + min(map(_count, nested)) <= FLAT) or (
            nested and len(work.factors) == 1
        ):
            parts, work.factors, work.changed = work.factors, [], True
            self._inline_all(work, parts)
            work.settle()

    def inline(self, work: Work, operand: Expr, axes: Labels) -> None:
        """Adds an operand, flattening it when it is a product itself; a closed product stays one factor."""
        if not isinstance(operand, Einsum) or (not axes and any(operand.labels)):
            work.factors.append((operand, axes))
            return
        work.coefficient = work.coefficient * operand.coefficient
        first = max(work.sizes, default=-1) + 1
        for k, dim in enumerate(operand.sizes):
            work.sizes[first + k] = dim
            work.alive.add(first + k)
        for inner, outer in zip(operand.output, axes, strict=True):
            work.join(first + inner, outer)
        work.factors += [
            (o, tuple(first + a for a in labels))
            for o, labels in zip(operand.operands, operand.labels, strict=True)
        ]

    # ------------------------------------------------------------ written-out vectors

    def _written_out(self, work: Work) -> Expr | None:
        """Multiplies written-out vectors and matrices entry by entry.

        That is done where nothing else stands on their axis.
        """
        first = {axes[0] for f, axes in work.factors if isinstance(f, Stack) and axes.count(axes[0]) == 1}
        for label in sorted(first, key=lambda a: work.output.index(a) if a in work.output else -1):
            carriers = [(f, axes) for f, axes in work.factors if label in axes]
            if not all(
                isinstance(f, Stack) and axes.index(label) == 0 and axes.count(label) == 1
                for f, axes in carriers
            ):
                continue
            size = work.sizes[label].constant
            place = work.output.index(label) if label in work.output else None
            if size is None or work.output.count(label) > 1 or (place is None and size > EXPLICIT):
                continue
            if place and len(work.factors) == 1 and work.coefficient.is_one:
                continue  # a stack whose axes are only moved
            output = tuple(a for a in work.output if a != label)
            entries = []
            for k in range(size):
                factors = [
                    (f.entries[k], axes[1:]) if label in axes and isinstance(f, Stack) else (f, axes)
                    for f, axes in work.factors
                ]
                entries.append(
                    self(
                        work.coefficient, [f for f, _ in factors], [a for _, a in factors], output, work.sizes
                    )
                )
            if place is None:
                return self.normal.sum(entries)
            stacked = self.normal.stack(entries)
            if place == 0:
                return stacked
            order = (label, *output)
            return self(ONE, (stacked,), (order,), work.output, work.sizes)
        return None

    # ------------------------------------------------------------ out

    def _whole(self, factor: Expr, axes: Labels) -> Labels:
        """The labels over which the entries of a variable, or their squares, are declared to add up to 1."""
        base, exponent = as_power(factor)
        known = self.normal.structures(base)
        if "simplex" in known:
            return axes[-1:] if base is factor else ()
        return axes if "unit" in known and exponent == Coefficient.of(2) else ()

    def _lone_labels(self, work: Work) -> None:
        """A summed label that no factor carries is worth its size.

        Σ softmax = 1, and a unit vector's squares too.
        """
        carried = [label for _, axes in work.factors for label in axes]
        alone = {a for a in set(carried).difference(work.output) if carried.count(a) == 1}
        for k, (factor, axes) in enumerate(work.factors if alone else ()):
            lone = self._whole(factor, axes) or _sums_to_one(factor, axes)
            if lone and alone.issuperset(lone):
                work.spent |= set(lone)
                work.drop(k)
                break
            if self._adds_up_to_zero(factor, axes, alone):
                work.coefficient = ZERO
                return
        used = [axes for _, axes in work.factors]
        for label in sorted(work.alive.difference(work.output, work.spent, *used)):
            work.coefficient = work.coefficient * Coefficient.of(work.sizes[label])
            work.spent.add(label)

    def _adds_up_to_zero(self, factor: Expr, axes: Labels, alone: set[int]) -> bool:
        """Whether it is the direction of deviations from their mean, summed: u = (x − x̄)/‖x − x̄‖."""
        if not isinstance(factor, Apply) or factor.function is not unit:
            return False
        inside = factor.arguments[0]
        for k in range(inside.rank - factor.parameters[0], inside.rank):
            if isinstance(inside, Sum) and axes[k] in alone:
                own = tuple(range(inside.rank))
                sizes = dict(enumerate(inside.shape))
                terms = [self(ONE, (t,), (own,), (*own[:k], *own[k + 1 :]), sizes) for t in inside.terms]
                total = self.normal.sum(terms)
                if isinstance(total, Einsum) and total.coefficient.is_zero:
                    return True
        return False

    def _close(self, work: Work) -> None:
        """Parts that share no label with the output become scalar factors of their own."""
        output = set(work.output)
        if not any([axes and output.isdisjoint(axes) for _, axes in work.factors]):
            return
        groups: list[tuple[set[int], list[int]]] = []
        for k, (_, axes) in enumerate(work.factors):
            if not axes:
                continue
            labels, members = set(axes), [k]
            for group in [g for g in groups if g[0] & labels]:
                labels |= group[0]
                members = group[1] + members
                groups.remove(group)
            groups.append((labels, members))
        closed = [(labels, members) for labels, members in groups if not labels & output]
        if not closed:
            return
        gone = {k for _, members in closed for k in members}
        scalars: list[Factor] = []
        for labels, members in closed:
            work.spent |= labels
            part = [work.factors[k] for k in sorted(members)]
            if len(part) == 1 and isinstance(part[0][0], Sum):
                terms, axes = part[0][0].terms, part[0][1]
                total = self.normal.sum([self(ONE, (t,), (axes,), (), work.sizes) for t in terms])
                if not isinstance(total, Sum):  # the entries of x − mean(x) add up to 0
                    scalars.append((total, ()))
                    continue
            coefficient, atom = without_coefficient(ordered(self, ONE, part, (), work.sizes))
            work.coefficient = work.coefficient * coefficient
            scalars.append((atom, ()))
        work.factors = [f for k, f in enumerate(work.factors) if k not in gone]
        for factor, axes in scalars:
            self.inline(work, factor, axes)
        work.changed = len(work.factors) > 1

    def _assemble(self, work: Work) -> Expr:
        coefficient, factors, output = work.coefficient, work.factors, work.output
        if coefficient.is_zero:
            return zeros([work.sizes[a] for a in output])
        if len(factors) == 1:
            factor, axes = factors[0]
            distinct = len(set(axes)) == len(axes)
            if coefficient.is_one and axes == output and distinct:
                return factor
            if isinstance(factor, Sum) and distinct and set(axes) <= set(output):
                if len(set(output)) == len(axes) == len(output):
                    order = tuple(axes.index(a) for a in output)
                    if not coefficient.is_one or order != tuple(range(len(order))):
                        return self.normal.sum(
                            [self(coefficient, (t,), (axes,), output, work.sizes) for t in factor.terms]
                        )
                elif not coefficient.is_one:
                    inside = self.normal.sum(
                        [self(coefficient, (t,), (axes,), axes, work.sizes) for t in factor.terms]
                    )
                    return self(ONE, (inside,), (axes,), output, work.sizes)
        result = ordered(self, coefficient, factors, output, work.sizes)
        # Ordering the labels of a symmetric factor may leave nothing but the factor.
        alone = len(factors) == 1 and result.coefficient.is_one and result.labels[0] == result.output
        return result.operands[0] if alone and len(set(result.output)) == result.rank else result


def _count(part: Factor) -> int:
    """How many factors an operand brings when it is flattened."""
    operand, axes = part
    return len(operand.operands) if isinstance(operand, Einsum) and (axes or not any(operand.labels)) else 1


def _sums_to_one(factor: Expr, axes: Labels) -> Labels:
    """The labels over which the entries of a factor add up to 1."""
    base, exponent = as_power(factor)
    if isinstance(base, Apply) and isinstance(exponent, Coefficient):
        if base.function in (softmax, one_hot) and exponent.is_one:
            return axes[-1:]
        if base.function is unit and exponent == Coefficient.of(2):
            return axes[len(axes) - base.parameters[0] :]
    return ()
