"""The canonical form of a product: flat, deltas absorbed into labels, equal factors merged into powers.

In: a coefficient, canonical operands, their labels, the output. Out: a canonical expression. A product
whose factors fall apart into parts without common labels keeps each closed part (xᵀAx, tr A) as one scalar
factor, so that equal scalars meet as powers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeGuard

from chainrule.expr.dims import ONE, ZERO, Coefficient, Dim
from chainrule.expr.nodes import (
    Apply,
    Einsum,
    Expr,
    Function,
    Labels,
    Stack,
    Sum,
    Variable,
    constant_of,
    number,
    zeros,
)
from chainrule.rules.constants import BASIS, MERGE, SELECT
from chainrule.rules.elementwise import abs_, cos, cosh, exp, power, relu, sigmoid, sign, sin, sinh, tan, tanh
from chainrule.rules.elementwise import greater as greater_row
from chainrule.rules.identities import content
from chainrule.rules.indexing import one_hot
from chainrule.rules.table import Elementwise, Row, Tensorial
from chainrule.rules.tensorial import inv, norm, softmax, unit
from chainrule.simplify import masks
from chainrule.simplify.factored import INSIDE, MEETING, meet_factors
from chainrule.simplify.maps import apply_maps

if TYPE_CHECKING:
    from chainrule.simplify.normal import Normaliser

# Products are flattened up to this many factors: beyond it nested ones stay, so deep chains cost linear time.
FLAT = 10
# Written-out vectors of at most this many entries are multiplied out when contracted with each other.
EXPLICIT = 16

Factor = tuple[Expr, Labels]
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


@dataclass(slots=True)
class Work:
    """A product being rewritten: factors over global labels, with labels joined by union-find.

    A summed label that ends up in no factor is worth its size, unless it is `spent`: summed away by a rule.
    """

    coefficient: Coefficient
    factors: list[Factor]
    output: Labels
    sizes: dict[int, Dim]
    alive: set[int]
    parent: dict[int, int] = field(default_factory=dict)
    spent: set[int] = field(default_factory=set)
    changed: bool = True
    joined: bool = False

    def find(self, label: int) -> int:
        while label in self.parent:
            label = self.parent[label]
        return label

    def join(self, a: int, b: int) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parent[max(a, b)] = min(a, b)
            self.joined = True

    def settle(self) -> None:
        """Rewrites factors and output in terms of joined labels."""
        if self.joined:
            self.joined = False
            self.factors = [(f, tuple(map(self.find, labels))) for f, labels in self.factors]
            self.output = tuple(map(self.find, self.output))
            self.alive = set(map(self.find, self.alive))
            self.spent = set(map(self.find, self.spent))

    def uses(self, label: int) -> int:
        """How many axes carry the label, the output's included."""
        return self.output.count(label) + sum(labels.count(label) for _, labels in self.factors)

    def drop(self, *positions: int) -> None:
        self.factors = [f for k, f in enumerate(self.factors) if k not in positions]
        self.changed = True


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
                    self._merge(work)
                    if len(work.factors) > 1:
                        self._conditions(work)
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
        self._constant_tensors(work)
        if work.coefficient.is_zero:
            return True
        self._structures(work)
        self._same_pick(work)
        self._cancel_inverses(work)
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
                coefficient, body = _without_coefficient(operand)
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

    # ------------------------------------------------------------ constant tensors

    def _constant_tensors(self, work: Work) -> None:
        """Basis vectors, selections and regroupings meet, and vanish where they only rename labels.

        Their entries are 0 and 1, so that equal ones with equal labels are one.
        """
        constants = [
            k for k, (f, _) in enumerate(work.factors) if isinstance(f, Apply) and f.function in SELECTORS
        ]
        if not constants:
            return
        if len({work.factors[k] for k in constants}) < len(constants):
            others = [f for k, f in enumerate(work.factors) if k not in constants]
            work.factors = others + list(dict.fromkeys(work.factors[k] for k in constants))
            constants = list(range(len(others), len(work.factors)))
        for p, k in enumerate(constants):
            for q in constants[:p]:
                if self._meet(work, work.factors[q], work.factors[k]):
                    work.settle()
                    work.changed = True
                    return
        for k in constants:
            factor, axes = work.factors[k]
            assert isinstance(factor, Apply)
            if factor.function is SELECT:
                start, step, count, size = factor.parameters
                if count == size and step == 1 and not start.terms:
                    work.join(*axes)
                    work.drop(k)
                    work.settle()
                    return
                if count == ONE_DIM and axes[0] not in (*work.output, axes[1]):
                    # A single row is a basis vector; its own axis has one entry.
                    work.factors[k] = (Apply(BASIS, (), (start, size)), axes[1:])
                    if not work.uses(axes[0]):
                        work.spent.add(axes[0])
                    work.changed = True
                    return
                lone = axes[1:]
            else:
                lone = axes[:1] if factor.function is BASIS or work.uses(axes[0]) == 1 else axes[1:]
            # Each row of a selection, each basis vector and each side of a regrouping adds up to 1.
            if all(work.uses(label) == 1 for label in lone) and not set(lone) & set(work.output):
                work.spent |= set(lone)
                work.drop(k)
                return
            if factor.function is not MERGE and self._restrict(work, k):
                return
        for k in constants:
            if self._pick_entry(work, k) or self._pull_entry(work, k):
                return

    def _meet(self, work: Work, a: Factor, b: Factor) -> bool:
        """Applies what follows from two constant tensors that share labels; False if nothing does."""
        (f, left), (g, right) = a, b
        assert isinstance(f, Apply) and isinstance(g, Apply)
        if f is g and f.function is MERGE:
            if left[0] == right[0] and left != right:
                for x, y in zip(left[1:], right[1:], strict=True):
                    work.join(x, y)
                return True
            if left[1:] == right[1:] and left != right:
                work.join(left[0], right[0])
                return True
        if f.function is BASIS and g.function is BASIS and left == right:
            difference = (f.parameters[0] - g.parameters[0]).constant
            if difference:
                work.coefficient = work.coefficient * Coefficient.of(0)
                return True
        if {f.function, g.function} == {BASIS, SELECT}:
            (e, (place,)), (s, (row, column)) = (
                ((f, left), (g, right)) if f.function is BASIS else ((g, right), (f, left))
            )
            assert isinstance(e, Apply) and isinstance(s, Apply)
            start, step, count, _ = s.parameters
            if place == row:
                other, where = Apply(BASIS, (), (start + Dim.of(step) * e.parameters[0], s.shape[1])), column
            elif place == column:
                index = _row_of(e.parameters[0] - start, step)
                if index is None:
                    return False
                if (-index - ONE_DIM).is_nonnegative or (index - count).is_nonnegative:
                    work.coefficient = work.coefficient * Coefficient.of(0)
                    return True
                if not (index.is_nonnegative and (count - index - ONE_DIM).is_nonnegative):
                    return False
                other, where = Apply(BASIS, (), (index, count)), row
            else:
                return False
            position = work.factors.index((s, (row, column)))
            work.factors[position] = (other, (where,))
            return True
        if f.function is SELECT and g.function is SELECT:
            return self._meet_selections(work, a, b)
        return False

    def _meet_selections(self, work: Work, a: Factor, b: Factor) -> bool:
        (f, left), (g, right) = a, b
        assert isinstance(f, Apply) and isinstance(g, Apply)
        if left[1] == right[1]:
            if f is g and left[0] != right[0]:
                work.join(left[0], right[0])
                return True
            rows = [_selected(f), _selected(g)]
            if rows[0] is not None and rows[1] is not None:
                if not rows[0] & rows[1]:
                    work.coefficient = work.coefficient * Coefficient.of(0)
                    return True
            elif _apart(f, g):
                work.coefficient = work.coefficient * Coefficient.of(0)
                return True
        for (outer, o), (inner, i) in (((f, left), (g, right)), ((g, right), (f, left))):
            # Row r of `outer` is entry start + step·r of what `inner` selects.
            if o[1] == i[0] and work.uses(o[1]) == 2 and o[1] not in work.output:
                assert isinstance(outer, Apply) and isinstance(inner, Apply)
                start, step, count, _ = outer.parameters
                first, stride, _, size = inner.parameters
                joined = Apply(SELECT, (), (first + Dim.of(stride) * start, stride * step, count, size))
                work.factors.remove((outer, o))
                work.factors[work.factors.index((inner, i))] = (joined, (o[0], i[1]))
                work.spent.add(o[1])
                return True
        return False

    def _restrict(self, work: Work, k: int) -> bool:
        """Rows of exp(z) are exp of rows of z: done where z is joined from parts, of which one is left."""
        (chosen, places), label = work.factors[k], work.factors[k][1][-1]
        others = [p for p, (_, axes) in enumerate(work.factors) if p != k and label in axes]
        if len(others) != 1 or label in (*work.output, *places[:-1]):
            return False
        whole, axes = work.factors[others[0]]
        if axes.count(label) > 1 or not _is_joined(whole, axes.index(label)):
            return False
        assert isinstance(whole, Apply)
        axis, own = axes.index(label), tuple(range(whole.rank))
        kept = tuple(a for a in own if a != axis or len(places) > 1)
        row = tuple(whole.rank if a == axis else a for a in kept)
        parts = []
        for argument in whole.arguments:
            sizes = dict(enumerate(argument.shape)) | {whole.rank: chosen.shape[0]}
            rows = (whole.rank, axis)[2 - len(places) :]
            parts.append(self(ONE, (chosen, argument), (rows, own), row, sizes))
        made = self.normal.apply(whole.function, tuple(parts), whole.parameters)
        work.drop(*others, k)
        work.spent.add(label)
        self.inline(work, made, tuple(places[0] if a == axis else axes[a] for a in kept))
        work.settle()
        return True

    def _pick_entry(self, work: Work, k: int) -> bool:
        """e₂ contracted with a written-out vector is its entry."""
        factor, axes = work.factors[k]
        assert isinstance(factor, Apply)
        index = factor.parameters[0].constant if factor.function is BASIS else None
        if index is None:
            return False
        for p, (other, labels) in enumerate(work.factors):
            if isinstance(other, Stack) and labels[0] == axes[0] and labels.count(axes[0]) == 1:
                work.drop(p)
                self.inline(work, other.entries[index], labels[1:])
                work.settle()
                return True
        return False

    def _pull_entry(self, work: Work, k: int) -> bool:
        """e₂ ⊙ v = v₂ e₂: beside a basis vector only one entry of the other factors counts.

        So Σ_k e₂ₖ A_ik B_jk is the product of one column of A and one of B.
        """
        factor, (label, *_) = work.factors[k]
        if not isinstance(factor, Apply) or factor.function is not BASIS:
            return False
        others = [p for p, (_, axes) in enumerate(work.factors) if p != k and label in axes]
        if not others or any(_is_selector(work.factors[p][0]) for p in others):
            return False
        if label not in work.output:
            others = others[1:]
            if not others:
                return False
        fresh = max(work.sizes) + 1
        work.sizes[fresh] = work.sizes[label]
        work.alive.add(fresh)
        for p in others:
            f, axes = work.factors[p]
            work.factors[p] = (f, tuple(fresh if a == label else a for a in axes))
        work.factors.append((factor, (fresh,)))
        work.changed = True
        return True

    # ------------------------------------------------------------ structures of variables

    def _structures(self, work: Work) -> None:
        """QᵀQ = I, a skew matrix has no diagonal, and a diagonal one keeps only one label."""
        for k, (factor, axes) in enumerate(work.factors):
            known = self.normal.structures(factor) if len(axes) == 2 else ()
            if not known:
                continue
            if "skew" in known and axes[0] == axes[1]:
                work.coefficient = work.coefficient * Coefficient.of(0)
                return
            if "diagonal" in known and axes[0] != axes[1]:
                work.join(*axes)
                work.settle()
                work.changed = True
                return
            if "orthogonal" in known or "orthonormal" in known:
                for p, (other, labels) in enumerate(work.factors[:k]):
                    # Of a tall matrix only the columns are orthonormal.
                    for side in (0, 1) if factor.shape[0] == factor.shape[1] else (0,):
                        shared = axes[side]
                        if other is factor and labels[side] == shared and work.uses(shared) == 2:
                            if shared not in work.output:
                                work.spent.add(shared)
                                work.join(axes[1 - side], labels[1 - side])
                                work.drop(k, p)
                                work.settle()
                                return

    def _same_pick(self, work: Work) -> None:
        """M_av M_aw = M_av δ_vw for rows M of zeros with a single 1."""
        picks = [(f, axes) for f, axes in work.factors if isinstance(f, Apply) and f.function is one_hot]
        for p, (factor, axes) in enumerate(picks):
            for other, labels in picks[:p]:
                if other is factor and labels[:-1] == axes[:-1]:
                    work.join(axes[-1], labels[-1])
                    work.factors.remove((factor, axes))
                    work.settle()
                    work.changed = True
                    return

    # ------------------------------------------------------------ inverses

    def _cancel_inverses(self, work: Work) -> None:
        """M⁻¹ M = I, also where M is a product spread over several factors."""
        for k, (factor, axes) in enumerate(work.factors):
            if not (
                isinstance(factor, Apply) and factor.function is inv and len(axes) == 2 and axes[0] != axes[1]
            ):
                continue
            inside = factor.arguments[0]
            parts = inside if isinstance(inside, Einsum) and inside.operands else None
            wanted: Sequence[tuple[Expr, Labels]] = (
                list(zip(parts.operands, parts.labels, strict=True))
                if parts is not None
                else [(inside, (0, 1))]
            )
            ends = parts.output if parts is not None else (0, 1)
            if ends[0] == ends[1]:
                continue
            if parts is not None and self._cancel_end(work, k, axes, parts):
                return
            for shared, far, (near_end, far_end) in (
                (axes[1], axes[0], ends),
                (axes[0], axes[1], (ends[1], ends[0])),
            ):
                match = self._match(work, wanted, {near_end: shared}, {k})
                if match is None:
                    continue
                found, binding = match
                inner = {binding[a] for a in binding if a not in ends} | {shared}
                used = [label for p in (*found, k) for label in work.factors[p][1]]
                # The labels inside must belong to this group alone, or the sum over them is not the product.
                if any(work.uses(label) != used.count(label) for label in inner):
                    continue
                if len(inner) != len({a for a in binding if a not in ends}) + 1 or binding[far_end] in inner:
                    continue
                if parts is not None:
                    work.coefficient = work.coefficient * parts.coefficient**-1
                work.spent |= inner
                work.join(binding[far_end], far)
                work.drop(k, *found)
                work.settle()
                return

    def _cancel_end(self, work: Work, k: int, axes: Labels, inside: Einsum) -> bool:
        """(P R)⁻¹ P = R⁻¹ and Q (R Q)⁻¹ = R⁻¹ for square P and Q, which are invertible if the product is."""
        first, last = inside.output
        for end, far, shared in ((first, last, axes[1]), (last, first, axes[0])):
            at_end = [q for q, labels in enumerate(inside.labels) if end in labels]
            if (
                len(at_end) != 1
                or work.uses(shared) != 2
                or shared in work.output
                or len(inside.operands) < 2
            ):
                continue
            factor, labels = inside.operands[at_end[0]], inside.labels[at_end[0]]
            if (
                len(labels) != 2
                or factor.shape[0] != factor.shape[1]
                or labels[0] == labels[1]
                or far in labels
            ):
                continue
            side = labels.index(end)
            partner = next(
                (
                    p
                    for p, (f, at) in enumerate(work.factors)
                    if f is factor and p != k and at[side] == shared
                ),
                None,
            )
            rest = [q for q in range(len(inside.operands)) if q != at_end[0]]
            inner = labels[1 - side]
            if partner is None or inside.sizes[inner] != inside.sizes[far]:
                continue
            outer = work.factors[partner][1][1 - side]
            remaining = self(
                inside.coefficient,
                [inside.operands[q] for q in rest],
                [inside.labels[q] for q in rest],
                (inner, far) if end == first else (far, inner),
                dict(enumerate(inside.sizes)),
            )
            work.spent.add(shared)
            work.drop(k, partner)
            places = (axes[0], outer) if end == first else (outer, axes[1])
            self.inline(work, self.normal.apply(inv, (remaining,)), places)
            work.settle()
            return True
        return False

    def _match(
        self, work: Work, wanted: Sequence[Factor], binding: dict[int, int], taken: set[int]
    ) -> tuple[tuple[int, ...], dict[int, int]] | None:
        """Factors of the product that are the wanted ones under one renaming of labels."""
        if not wanted:
            return (), binding
        # A factor with a bound label first: the search then follows the chain.
        position = next((p for p, (_, axes) in enumerate(wanted) if any(a in binding for a in axes)), 0)
        expr, axes = wanted[position]
        rest = [w for p, w in enumerate(wanted) if p != position]
        for p, (factor, labels) in enumerate(work.factors):
            if factor is not expr or p in taken:
                continue
            orders = [labels, labels[::-1]] if self.normal.is_symmetric(expr) else [labels]
            for order in orders:
                extended = dict(binding)
                if all(extended.setdefault(a, b) == b for a, b in zip(axes, order, strict=True)):
                    found = self._match(work, rest, extended, taken | {p})
                    if found is not None:
                        return (p, *found[0]), found[1]
        return None

    # ------------------------------------------------------------ powers

    def _merge(self, work: Work) -> None:
        """Equal factors with equal labels become powers; exponentials add their exponents."""
        normal = self.normal
        if len(work.factors) == 1:
            factor, axes = work.factors[0]
            if len(axes) == 2 and axes[0] > axes[1] and normal.is_symmetric(factor):
                work.factors = [(factor, (axes[1], axes[0]))]
            return
        # Exponentials with one label tuple form one group, whatever they are exponentials of.
        groups: dict[tuple[Expr | None, Labels], list[tuple[Expr, Expr | Coefficient]]] = {}
        paired = False
        for factor, axes in work.factors:
            if isinstance(factor, Sum):
                if factor not in self.primitives:
                    self.primitives[factor] = primitive(factor, normal)
                content, factor = self.primitives[factor]
                work.coefficient = work.coefficient * content
            if len(axes) == 2 and axes[0] > axes[1] and normal.is_symmetric(factor):
                axes = (axes[1], axes[0])
            group: Expr | None = factor
            exponent: Expr | Coefficient = ONE
            if isinstance(factor, Apply):
                base, exponent = _as_power(factor)
                group = base
                if isinstance(base, Apply):
                    paired = paired or base.function in PAIRED
                    group = None if base.function is exp else base
            groups.setdefault((group, axes), []).append((factor, exponent))
        factors: list[Factor] = []
        for (group, axes), members in groups.items():
            if len(members) == 1:
                factors.append((members[0][0], axes))
                continue
            work.changed = paired = True
            if group is None:
                arguments = [m.arguments[0] for m, _ in members if isinstance(m, Apply)]
                merged = normal.apply(exp, (normal.sum(arguments),))
            else:
                total = normal.sum([e if isinstance(e, Expr) else number(e, group.shape) for _, e in members])
                merged = normal.apply(power, (group, total))
            count = len(work.factors)
            self.inline(work, merged, axes)
            factors += work.factors[count:]
            del work.factors[count:]
        work.factors = factors
        if paired:
            self._pairs(work)

    def _pairs(self, work: Work) -> None:
        """Two factors that make one.

        So relu(z) 1[z > 0] = relu(z), |x| sign(x) = x, sign(x)/|x| = 1/x, x sign(x) = |x|,
        exp(x)/Σ exp(x) = softmax(x).
        """
        if len(work.factors) < 2:
            return
        for k, (factor, axes) in enumerate(work.factors):
            base, exponent = _as_power(factor)
            if not isinstance(base, Apply) or not isinstance(exponent, Coefficient):
                continue
            row = base.function
            if row is relu and exponent.rational > 0:
                step = Apply(greater_row, (base.arguments[0], number(0, base.shape)))
                if (step, axes) in work.factors:
                    work.drop(work.factors.index((step, axes)))
                    return
            elif row is abs_ and _is_odd(exponent):
                partner = (Apply(sign, base.arguments), axes)
                if partner in work.factors:
                    inside = base.arguments[0]
                    work.drop(k, work.factors.index(partner))
                    self.inline(work, self._raised(inside, exponent), axes)
                    return
            elif row is sign and exponent.is_one:
                for p, (other, labels) in enumerate(work.factors):
                    inside, e = _as_power(other)
                    if inside is base.arguments[0] and labels == axes and _is_odd(e):
                        work.drop(k, p)
                        size = self.normal.apply(abs_, (inside,))
                        self.inline(work, self._raised(size, e), axes)
                        return
            elif row is exp and exponent.is_one and self._softmax(work, k, base, axes):
                return
            elif row in TANGENTS and exponent.is_one:
                below, tangent = TANGENTS[row]
                quotient = (Apply(below, base.arguments) ** -1, axes)
                if quotient in work.factors:
                    work.drop(k, work.factors.index(quotient))
                    work.factors.append((Apply(tangent, base.arguments), axes))
                    return
            elif row is sigmoid and exponent.is_one and _has_exponential(work, axes):
                # Not before: in a deep network −z has a layer in each of its terms.
                minus = self.normal.apply(exp, (_negative(self.normal, base.arguments[0]),))
                if (minus, axes) in work.factors:
                    flipped = self.normal.apply(sigmoid, (_negative(self.normal, base.arguments[0]),))
                    work.drop(k, work.factors.index((minus, axes)))
                    work.factors.append((flipped, axes))
                    return
            elif row is unit and exponent.is_one:
                self._unit(work, k, base, axes)
                if work.changed:
                    return
            elif row is norm and exponent.rational.denominator == 1 and not exponent.powers:
                self._norm(work, k, base, axes, int(exponent.rational))
                if work.changed:
                    return

    def _conditions(self, work: Work) -> None:
        """What a condition makes of other conditions, and of the terms of sums, that it stands before."""
        for known, axes in [f for f in work.factors if masks.is_order(f[0])]:
            for k, (other, labels) in enumerate(work.factors):
                if labels != axes or other is known:
                    continue
                if masks.is_order(other):
                    if masks.excludes(known, other):
                        work.coefficient = ZERO
                        return
                    if masks.implies(known, other):
                        work.drop(k)
                        return
                elif isinstance(other, Sum) and (terms := masks.below(known, other)) is not None:
                    work.drop(k)
                    total = self.normal.sum([self.normal(t) for t in terms]) if terms else zeros(other.shape)
                    self.inline(work, total, axes)
                    return

    def _raised(self, base: Expr, exponent: Coefficient) -> Expr:
        return base if exponent.is_one else self.normal.apply(power, (base, number(exponent, base.shape)))

    def _softmax(self, work: Work, k: int, base: Apply, axes: Labels) -> bool:
        x = base.arguments[0]
        for p, (other, labels) in enumerate(work.factors):
            total, exponent = _as_power(other)
            if not (isinstance(exponent, Coefficient) and not exponent.powers and exponent.rational <= -1):
                continue
            if not (isinstance(total, Einsum) and total.coefficient.is_one and total.operands == (base,)):
                continue
            inner = total.labels[0]
            summed = [a for a in range(x.rank) if inner[a] not in total.output]
            if len(summed) != 1 or len(set(inner)) != x.rank or len(total.output) != x.rank - 1:
                continue
            binding = dict(zip(total.output, labels, strict=True))
            if any(binding[inner[a]] != axes[a] for a in range(x.rank) if a != summed[0]):
                continue
            order = (*(a for a in range(x.rank) if a != summed[0]), summed[0])
            moved = self.normal.product(ONE, (x,), (tuple(range(x.rank)),), order, dict(enumerate(x.shape)))
            probabilities = self.normal.apply(softmax, (moved,))
            rest = self.normal.apply(power, (total, number(exponent + ONE, total.shape)))
            work.drop(k, p)
            work.factors.append((probabilities, tuple(axes[a] for a in order)))
            self.inline(work, rest, labels)
            work.settle()
            return True
        return False

    def _unit(self, work: Work, k: int, base: Apply, axes: Labels) -> None:
        """x/‖x‖ · ‖x‖ = x; beside x/‖x‖ a plain x is written ‖x‖ · x/‖x‖, so that x uᵀ and u xᵀ are one."""
        length = Apply(norm, base.arguments, base.parameters)
        batch = axes[: len(axes) - base.parameters[0]]
        alone = sum(_as_power(f)[0] is base for f, _ in work.factors) == 1
        for p, (other, labels) in enumerate(work.factors):
            inside, exponent = _as_power(other)
            if not isinstance(exponent, Coefficient) or exponent.powers or exponent.rational < 1:
                continue
            if inside is length and labels == batch and alone:
                rest = self.normal.apply(power, (length, number(exponent + -ONE, length.shape)))
                work.drop(k, p)
                self.inline(work, base.arguments[0], axes)
                self.inline(work, rest, labels)
                work.settle()
                return
            if inside is base.arguments[0] and exponent.is_one and labels[: len(batch)] == batch:
                work.drop(p)
                work.factors += [(base, labels), (length, batch)]
                return

    def _norm(self, work: Work, k: int, base: Apply, axes: Labels, exponent: int) -> None:
        """‖x‖ᵏ (Σ x²)ˡ = ‖x‖ᵏ⁺²ˡ."""
        squares = self.normal.apply(power, (base, number(2, base.shape)))
        for p, (other, labels) in enumerate(work.factors):
            inside, times = _as_power(other)
            if p != k and inside is squares and labels == axes and isinstance(times, Coefficient):
                total = Coefficient.of(exponent) + times * Coefficient.of(2)
                merged = self.normal.apply(power, (base, number(total, base.shape)))
                work.drop(k, p)
                self.inline(work, merged, axes)
                work.settle()
                return

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
        base, exponent = _as_power(factor)
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
            coefficient, atom = _without_coefficient(self._ordered(ONE, part, (), work.sizes))
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
        result = self._ordered(coefficient, factors, output, work.sizes)
        # Ordering the labels of a symmetric factor may leave nothing but the factor.
        alone = len(factors) == 1 and result.coefficient.is_one and result.labels[0] == result.output
        return result.operands[0] if alone and len(set(result.output)) == result.rank else result

    def _ordered(
        self, coefficient: Coefficient, factors: list[Factor], output: Labels, sizes: dict[int, Dim]
    ) -> Einsum:
        """The einsum with factors and labels in canonical order, by colour refinement on the label graph."""
        normal = self.normal
        skew, symmetric = [False] * len(factors), [False] * len(factors)
        for k, (f, axes) in enumerate(factors):
            if len(axes) == 2 and axes[0] != axes[1]:
                skew[k] = normal.has(f, "skew")
                symmetric[k] = skew[k] or normal.is_symmetric(f)
        if not any(symmetric) and len({f for f, _ in factors}) == len(factors):
            if len(factors) > 1:
                factors = sorted(factors, key=lambda part: part[0].digest)
            return Einsum(coefficient, [f for f, _ in factors], [a for _, a in factors], output, sizes)
        ranks = {digest: k for k, digest in enumerate(sorted({f.digest for f, _ in factors}))}
        number: dict[int, int] = {}
        parts = tuple(
            [
                (ranks[f.digest], tuple([number.setdefault(a, len(number)) for a in axes]), free)
                for (f, axes), free in zip(factors, symmetric, strict=True)
            ]
        )
        kept = tuple([number.setdefault(a, len(number)) for a in output])
        found = self.colours.get((parts, kept))
        if found is None:
            found = self.colours[parts, kept] = _colours(parts, kept, len(number))
        colours = dict(zip(number, found, strict=True))
        arranged: list[tuple[int, Labels, Factor]] = []
        for (rank, _, free), (f, axes), turns in zip(parts, factors, skew, strict=True):
            if free and colours[axes[0]] > colours[axes[1]]:
                axes = (axes[1], axes[0])
                if turns:
                    coefficient = -coefficient
            elif free and colours[axes[0]] == colours[axes[1]] and not turns:
                axes = (min(axes), max(axes))
            arranged.append((rank, tuple([colours[a] for a in axes]), (f, axes)))
        arranged.sort(key=itemgetter(0, 1))
        operands, labels = zip(*[part for *_, part in arranged], strict=True)
        return Einsum(coefficient, operands, labels, output, sizes)


def _count(part: Factor) -> int:
    """How many factors an operand brings when it is flattened."""
    operand, axes = part
    return len(operand.operands) if isinstance(operand, Einsum) and (axes or not any(operand.labels)) else 1


def _without_coefficient(operand: Expr) -> tuple[Coefficient, Expr]:
    assert isinstance(operand, Einsum)
    sizes = dict(enumerate(operand.sizes))
    return operand.coefficient, Einsum(ONE, operand.operands, operand.labels, operand.output, sizes)


SELECTORS = (BASIS, SELECT, MERGE)
# How many nested functions are looked through for a joined vector.
DEEP = 20
# sin/cos = tan, sinh/cosh = tanh.
TANGENTS = {sin: (cos, tan), sinh: (cosh, tanh)}
# The functions that make one with another factor.
PAIRED = frozenset((relu, abs_, sign, exp, *TANGENTS, sigmoid, unit, norm))


def _colours(parts: Sequence[tuple[int, Labels, bool]], output: Labels, count: int) -> list[int]:
    """The place of each label among the labels, as the factors that carry it and the output show it.

    Factors are given by their rank, labels are 0, 1, …; of a factor that is `free` the labels may be swapped.
    """
    colours = _ranked([tuple([p for p, b in enumerate(output) if a == b]) for a in range(count)])
    for _ in range(min(4, count)):
        if len(set(colours)) == count:
            break
        seen: list[list[tuple[int, int, Labels]]] = [[] for _ in colours]
        for rank, axes, free in parts:
            around = tuple([colours[b] for b in axes])
            if free:
                around = tuple(sorted(around))
            for p, a in enumerate(axes):
                seen[a].append((rank, -1 if free else p, around))
        # A colour never leaves its place among the others, so that what stays apart or together is final.
        refined = _ranked([(colours[a], tuple(sorted(seen[a]))) for a in range(count)])
        if refined == colours:
            break
        colours = refined
    return colours


def _ranked(marks: Sequence[Any]) -> list[int]:
    rank = {mark: k for k, mark in enumerate(sorted(set(marks)))}
    return [rank[mark] for mark in marks]


def _as_power(factor: Expr) -> tuple[Expr, Expr | Coefficient]:
    """A factor as base and exponent."""
    if isinstance(factor, Apply) and factor.function is power:
        constant = constant_of(factor.arguments[1])
        return factor.arguments[0], factor.arguments[1] if constant is None else constant
    return factor, ONE


def _has_exponential(work: Work, axes: Labels) -> bool:
    return any(isinstance(f, Apply) and f.function is exp and labels == axes for f, labels in work.factors)


def _is_odd(exponent: Expr | Coefficient) -> TypeGuard[Coefficient]:
    if not isinstance(exponent, Coefficient) or exponent.powers:
        return False
    return exponent.rational.denominator == 1 and exponent.rational % 2 == 1


def _negative(normal: Normaliser, expr: Expr) -> Expr:
    axes = tuple(range(expr.rank))
    return normal.product(-ONE, (expr,), (axes,), axes, dict(enumerate(expr.shape)))


def _selected(expr: Apply) -> set[int] | None:
    start, step, count, _ = expr.parameters
    if start.constant is None or count.constant is None:
        return None
    return {start.constant + step * k for k in range(count.constant)}


def _is_joined(expr: Expr, axis: int) -> bool:
    """Whether it is an elementwise function of something put together from parts along an axis."""
    waiting: list[Expr] = []
    if isinstance(expr, Apply) and isinstance(expr.function, Elementwise):
        waiting.append(expr)
    seen = 0
    while waiting and seen < DEEP:
        node, seen = waiting.pop(), seen + 1
        if isinstance(node, Apply) and isinstance(node.function, Elementwise):
            waiting += node.arguments
        for term in node.terms if isinstance(node, Sum) else (node,):
            if isinstance(term, Einsum) and term.output.count(label := term.output[axis]) == 1:
                parts = zip(term.operands, term.labels, strict=True)
                if any(_is_selector(o) and axes[-1] == label for o, axes in parts):
                    return True
    return False


def _is_selector(factor: Expr) -> bool:
    return isinstance(factor, Apply) and factor.function in SELECTORS


def _sums_to_one(factor: Expr, axes: Labels) -> Labels:
    """The labels over which the entries of a factor add up to 1."""
    base, exponent = _as_power(factor)
    if isinstance(base, Apply) and isinstance(exponent, Coefficient):
        if base.function in (softmax, one_hot) and exponent.is_one:
            return axes[-1:]
        if base.function is unit and exponent == Coefficient.of(2):
            return axes[len(axes) - base.parameters[0] :]
    return ()


def _row_of(offset: Dim, step: int) -> Dim | None:
    """offset/step, where that is known to be whole or known not to be: then it is −1, which no row has."""
    if step == 1:
        return offset
    if offset.constant is None:
        return None
    quotient, rest = divmod(offset.constant, step)
    return Dim.of(-1 if rest else quotient)


ONE_DIM = Dim.of(1)


def _apart(f: Apply, g: Apply) -> bool:
    """Whether two selections of step 1 with symbolic sizes cannot overlap.

    One ends before the other begins.
    """
    (a, p, n, _), (b, q, m, _) = f.parameters, g.parameters
    if p != 1 or q != 1:
        return False
    before: Dim = b - a - n
    after: Dim = a - b - m
    return before.is_nonnegative or after.is_nonnegative


def primitive(expr: Sum, normal: Normaliser) -> tuple[Coefficient, Expr]:
    """A sum as its content (the common number and sizes, signed by the first term) times the rest."""
    common = content(expr)
    if common.is_one:
        return ONE, expr
    return common, normal.sum([normal.times(common**-1, term) for term in expr.terms])
