"""From expressions to a straight-line program.

In: output expressions by name. Out: the operations in order and the operation of each output. Every shared
part is computed once. A product is contracted in the cheapest order; identities and broadcasts are never
multiplied: a value keeps only the axes along which it varies, and a diagonal is written into zeros. Slices,
concatenations and reshapes, which are products with constant tensors, become slices, writes and reshapes.
`formula=True` plans for text in chainrule's own NumPy dialect, which has no assignment to parts of an
array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from chainrule.codegen.flatten import Product, flatten, is_view
from chainrule.codegen.lower import lower_product
from chainrule.codegen.order import LARGER, MEDIUM, assumed_size
from chainrule.codegen.outers import with_outers_apart
from chainrule.codegen.product import ProductPlan, plan_product
from chainrule.codegen.program import Builder, Op, Place
from chainrule.codegen.shared import shared_parts
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Einsum, Expr, Stack, Sum, Variable, constant_of
from chainrule.expr.walk import topological
from chainrule.rules.elementwise import power, stop, where
from chainrule.rules.table import Constant, Elementwise, Tensorial
from chainrule.rules.tensorial import inv
from chainrule.rules.views import FOR_CODE, FOR_FORMULAS, View, fold

FEW = 2  # vectors that are solved for whatever the size of the matrix


@dataclass(frozen=True, slots=True)
class Held:
    """A value: `op` has the axes `axes` of the node and repeats along the others.

    With `places`, op is only the part of the array that is not 0: `labels` are its axes.
    """

    op: Op
    axes: tuple[int, ...]
    labels: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()
    sign: int = 1


@dataclass(slots=True)
class Program:
    """Operations in an order in which they run, the outputs, and names that people gave to some of them.

    `decided` are the names of sizes by which a product was ordered, where others would ask for another order;
    of these, `larger` were taken for larger than other small letters.
    """

    ops: list[Op]
    outputs: dict[Any, Op]
    names: dict[Op, str] = field(default_factory=dict)
    decided: tuple[str, ...] = ()
    larger: tuple[str, ...] = ()


def make_plan(
    outputs: Mapping[Any, Expr],
    names: Mapping[str, Expr] | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    formula: bool = False,
) -> Program:
    """The program for all outputs together."""
    folds, memo = (FOR_FORMULAS if formula else FOR_CODE), dict[Expr, Expr]()
    outputs = {key: fold(expr, folds, memo) for key, expr in outputs.items()}
    names = {name: memo[expr] for name, expr in (names or {}).items() if expr in memo}
    if not formula:
        outputs, names = with_outers_apart(outputs, names)
    return _Planner(outputs, names, sizes or {}, formula).run()


class _Planner:
    def __init__(
        self, outputs: Mapping[Any, Expr], names: Mapping[str, Expr], sizes: Mapping[str, int], formula: bool
    ) -> None:
        self.outputs, self.formula = dict(outputs), formula
        self.order = topological(outputs.values())
        self.larger = () if formula else _of_inverses(self.order)
        self.sizes = {**dict.fromkeys(self.larger, LARGER), **sizes}
        reached = set(self.order)
        self.named = {
            node: name for name, node in names.items() if node in reached and not isinstance(node, Variable)
        }
        self.uses: dict[Expr, int] = {}
        for node in self.order:
            for child in node.children:
                self.uses[child] = self.uses.get(child, 0) + 1
        for node in outputs.values():
            self.uses[node] = self.uses.get(node, 0) + 1
        self.build = Builder(bool(sizes), self.larger)
        self.held: dict[Expr, Held] = {}
        self.products: dict[Expr, Product] = {}
        self.plans: dict[Expr, ProductPlan] = {}
        self.solvable: set[Expr] = set()
        self.decided: set[str] = set()

    def run(self) -> Program:
        needed = self._needed()
        self._choose_solves(needed)
        for node in self.order:
            if node in needed:
                self.held[node] = self._lower(node)
        outputs = {name: self._whole(self.held[node], node) for name, node in self.outputs.items()}
        names = {
            self.held[n].op: name
            for n, name in self.named.items()
            if n in self.held and not self.held[n].places
        }
        self.decided.update(n for plan in self.plans.values() if plan.depends for n in plan.size_names())
        return Program(self.build.ops, outputs, names, tuple(sorted(self.decided)), self.larger)

    # ---------------------------------------------------------- what must be computed

    def _absorb(self, child: Expr) -> bool:
        """Whether a product takes this operand in."""
        if child in self.named and constant_of(child) is None:
            return False
        return is_view(child) or self.uses[child] == 1

    def _needed(self) -> set[Expr]:
        """The nodes that get a value of their own: products taken in by others do not."""
        needed: set[Expr] = set(self.outputs.values()) | set(self.named)
        for node in reversed(self.order):
            if node not in needed:
                continue
            if isinstance(node, Einsum):
                product = flatten(node, self._absorb, self.uses, robust=not self.formula)
                self.products[node] = product
                needed.update(f.source for f in product.factors)
            else:
                needed.update(c for c in node.children)
        if not self.formula:
            self._share(needed)
        for node, product in self.products.items():
            self.plans[node] = plan_product(product, self.sizes, self.formula)
        return needed

    def _share(self, needed: set[Expr]) -> None:
        """Parts that several products have become nodes of their own, and the order is found again."""
        sharing = shared_parts(self.products, lambda dim: assumed_size(dim, self.sizes))
        if not sharing.changed:
            return
        self.products = sharing.products
        needed.update(sharing.parts)
        order: dict[Expr, None] = {}
        pending = [(node, False) for node in reversed(self.order) if node in needed]
        while pending:
            node, below = pending.pop()
            if below:
                order[node] = None
            elif node not in order:
                product = self.products.get(node)
                before = node.children if product is None else [f.source for f in product.factors]
                pending += [(node, True), *((child, False) for child in reversed(before))]
        self.order = list(order)

    def _choose_solves(self, needed: set[Expr]) -> None:
        """Inverses that only meet columns, no more than they have themselves, are solved with instead."""
        if self.formula:
            return
        columns: dict[Expr, list[Dim]] = {}
        bad: set[Expr] = set(self.named) | set(self.outputs.values())
        for node in self.order:
            if node not in needed:
                continue
            if isinstance(node, Einsum):
                meets = self.plans[node].meets
                for k, factor in enumerate(self.products[node].factors):
                    if k in meets and not factor.adjugate and not factor.inverted:
                        columns.setdefault(factor.source, []).append(meets[k])
                    else:
                        bad.add(factor.source)
            else:
                bad.update(node.children)
        for node, met in columns.items():
            if not isinstance(node, Apply) or node.function is not inv or node.rank != 2 or node in bad:
                continue
            rows = node.shape[0]
            total = sum(assumed_size(dim, self.sizes) for dim in met)
            if total <= max(assumed_size(rows, self.sizes), FEW):
                self.solvable.add(node)
            named = {name for dim in met for name in dim.names}
            if named:
                self.decided |= named | set(rows.names)

    # ---------------------------------------------------------- one node

    def _lower(self, node: Expr) -> Held:
        build = self.build
        match node:
            case Variable():
                return Held(build.input(node.name, node.shape), tuple(range(node.rank)))
            case Einsum():
                return self._product(node)
            case Sum():
                return self._sum(node)
            case Apply():
                return self._apply(node)
            case Stack():
                return Held(
                    build.stack([self._whole(self.held[e], e) for e in node.entries], node.shape[0]),
                    tuple(range(node.rank)),
                )
            case _:
                raise AssertionError(f"no code for a {type(node).__name__}")

    def _product(self, node: Einsum) -> Held:
        product, plan = self.products[node], self.plans[node]

        def value(expr: Expr) -> tuple[Op, tuple[int, ...]]:
            held = self.held[expr]
            if held.places:
                held = Held(self._dense(held, expr), tuple(range(expr.rank)))
            return held.op, held.axes

        lowered = lower_product(self.build, product, plan, value, self.solvable, node.shape, self.formula)
        return Held(lowered.op, lowered.axes, lowered.labels, lowered.places, lowered.sign)

    def _dense(self, held: Held, node: Expr) -> Op:
        """The array with its zeros; axes along which it repeats may still be missing if it has no places."""
        if not held.places:
            return held.op
        if held.sign < 0 and not self.formula:
            # The few entries that are written change their sign, not the whole array.
            return self.build.scatter(self.build.negate(held.op), held.labels, held.places, node.shape)
        op = self.build.scatter(held.op, held.labels, held.places, node.shape)
        return self.build.negate(op) if held.sign < 0 else op

    def _whole(self, held: Held, node: Expr) -> Op:
        """The array in its full shape."""
        if held.places:
            return self._dense(held, node)
        return self.build.fill(held.op, held.axes, node.shape)

    # ---------------------------------------------------------- sums

    def _sum(self, node: Sum) -> Held:
        build = self.build
        plain: list[tuple[int, Held]] = []
        placed: list[tuple[int, Held]] = []
        for term in node.terms:
            held = self.held[term]
            if held.places:
                placed.append((held.sign, held))
                continue
            sign = 1
            if held.op.kind == "neg":
                held, sign = Held(held.op.args[0], held.axes), -1
            plain.append((sign, held))
        axes = tuple(sorted({a for _, held in plain for a in held.axes}))
        total: Op | None = None
        if plain:
            # A term with a plus sign goes first: y - x and not -x + y.
            first = next((k for k, (sign, _) in enumerate(plain) if sign > 0), 0)
            for sign, held in [plain[first], *plain[:first], *plain[first + 1 :]]:
                part = build.expand(held.op, held.axes, axes)
                if total is None:
                    total = part if sign > 0 else build.negate(part)
                else:
                    total = build.binary("add" if sign > 0 else "sub", total, part)
            assert total is not None
        if not placed:
            assert total is not None
            return Held(total, axes)
        if total is not None:
            result = build.fill(total, axes, node.shape)
        else:
            sign, held = placed.pop(0)
            result = build.scatter(held.op, held.labels, held.places, node.shape)
            result = result if sign > 0 else build.negate(result)
        for sign, held in placed:
            result = build.add_at(result, held.op, held.labels, held.places, sign)
        return Held(result, tuple(range(node.rank)))

    # ---------------------------------------------------------- functions

    def _apply(self, node: Apply) -> Held:
        row = node.function
        match row:
            case Constant():
                if not node.shape:
                    return Held(self.build.make("named", (), (row,)), ())
                return Held(
                    self.build.dense_constant(row, node.parameters, node.shape), tuple(range(node.rank))
                )
            case Elementwise():
                return self._elementwise(node, row)
            case Tensorial():
                return self._tensorial(node, row)
            case View():
                args = [self._whole(self.held[a], a) for a in node.arguments]
                return Held(self.build.view(row, args, node.parameters, node.shape), tuple(range(node.rank)))
            case _:
                raise AssertionError(f"no code for {row!r}")

    def _elementwise(self, node: Apply, row: Elementwise) -> Held:
        build = self.build
        parts: list[tuple[Op, tuple[int, ...]]] = []
        for argument in node.arguments:
            held = self.held[argument]
            if held.places:
                held = Held(self._dense(held, argument), tuple(range(argument.rank)))
            parts.append((held.op, held.axes))
        axes = tuple(sorted({a for _, present in parts for a in present}))
        if row is stop and not self.formula:
            return Held(*parts[0])
        if row is power:
            exponent = constant_of(node.arguments[1])
            if exponent is not None and not exponent.powers:
                return Held(self._constant_power(parts[0][0], exponent.rational), axes)
        args = [build.expand(op, present, axes) for op, present in parts]
        args = [a if row is where and k == 0 else build.cast(a) for k, a in enumerate(args)]
        shape = tuple(node.shape[a] for a in axes)
        return Held(build.call(row, args, node.parameters, shape), axes)

    def _constant_power(self, base: Op, exponent: Fraction) -> Op:
        if exponent < 0:
            return self.build.binary("div", self.build.number(1), self.build.power(base, -exponent))
        return self.build.power(base, exponent)

    def _tensorial(self, node: Apply, row: Tensorial) -> Held:
        build = self.build
        if node in self.solvable:
            # Only ever solved with: products take the matrix itself.
            argument = node.arguments[0]
            return Held(self._whole(self.held[argument], argument), (0, 1))
        cores = row.cores(node.parameters)
        batches = {
            axis
            for argument, core in zip(node.arguments, cores, strict=True)
            for axis in self._axes(argument)
            if axis < argument.rank - core
        }
        batch = tuple(sorted(batches))
        args: list[Op] = []
        for argument, core in zip(node.arguments, cores, strict=True):
            held = self.held[argument]
            lead = argument.rank - core
            if held.places:
                held = Held(self._dense(held, argument), tuple(range(argument.rank)))
            wanted = (*batch, *range(lead, argument.rank))
            position = {axis: k for k, axis in enumerate(wanted)}
            shape = tuple(argument.shape[a] for a in wanted)
            args.append(build.fill(held.op, tuple(position[a] for a in held.axes), shape))
        lead = node.arguments[0].rank - cores[0] if cores else 0
        axes = (*batch, *range(lead, node.rank))
        return Held(build.call(row, args, node.parameters, tuple(node.shape[a] for a in axes)), axes)

    def _axes(self, node: Expr) -> tuple[int, ...]:
        held = self.held[node]
        return tuple(range(node.rank)) if held.places else held.axes


def _of_inverses(nodes: Sequence[Expr]) -> tuple[str, ...]:
    """Small letters for the rows of what is inverted, if it is made of nothing of another size.

    Such a matrix mostly meets few columns, A⁻¹B for B[n, k]; of XᵀX nothing is known. To take them for few
    where they are many costs up to 1.8 times as much, the other way round 3 times.
    """
    found: dict[str, None] = {}
    for node in nodes:
        if isinstance(node, Apply) and node.function is inv and node.rank == 2:
            (rows, _), name = node.shape, node.shape[0].name
            inside = topological([node.arguments[0]])
            if name is None or assumed_size(rows, {}) != MEDIUM:
                continue
            if all(dim == rows for part in inside if isinstance(part, Variable) for dim in part.shape):
                found[name] = None
    return tuple(sorted(found))
