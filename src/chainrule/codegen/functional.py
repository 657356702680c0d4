"""What JAX and PyTorch source share: parts of arrays are not assigned to, a new array is made with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.codegen.facts import Facts
from chainrule.codegen.numpy import NumPy
from chainrule.codegen.orient import with_rows_in_order
from chainrule.codegen.passes import SWAP, without_transposes
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Builder, Op, Place
from chainrule.codegen.rewrite import rewritten
from chainrule.codegen.scales import with_shared_numbers
from chainrule.codegen.signs import with_few_signs
from chainrule.codegen.vocabulary import ATOM, Text
from chainrule.expr.dims import Dim
from chainrule.rules.table import Row


class Functional(NumPy):
    """Source for a library that traces it."""

    assigns = False
    sums_naively = False

    @classmethod
    def prepared(
        cls, program: Program, structures: Mapping[str, Sequence[str]], sizes: Mapping[str, int]
    ) -> Program:
        program = without_transposes(with_products_once(with_row_sums(program)), Facts(structures))
        return with_rows_in_order(with_shared_numbers(with_few_signs(program)))

    def places(self, places: Sequence[Place], shape: Sequence[Dim]) -> str:
        """The index of the entries that are set: slices, or indices where axes repeat each other."""
        order = [place.label for place in places if place.label is not None]
        every = list(dict.fromkeys(order))
        if len(every) == len(order):
            return self.index([place.index for place in places], shape)[1:-1] or "..."
        texts = []
        for place, size in zip(places, shape, strict=True):
            if place.label is None:
                texts.append(self.position(place.index[1], size))
                continue
            behind = len(every) - 1 - every.index(place.label)
            texts.append(
                self.indices(place.index, size) + (f"[:, {', '.join(['None'] * behind)}]" if behind else "")
            )
        return ", ".join(texts)

    def indices(self, index: tuple[Any, ...], size: Dim) -> str:
        """The indices along one axis, as an array."""
        if index[0] == "all":
            return f"{self.xp}.arange({self.dim(size).text})"
        _, start, step, count = index
        stop = start + Dim.of(step) * count
        return f"{self.xp}.arange({self.dim(start).text}, {self.dim(stop).text}, {step})"

    def aligned(self, value: Text, labels: Sequence[int], places: Sequence[Place]) -> str:
        """The value with the axes that it lacks among those of its places."""
        every = dict.fromkeys(place.label for place in places if place.label is not None)
        pattern = [":" if label in labels else "None" for label in every]
        first = pattern.index(":") if ":" in pattern else len(pattern)
        if labels and "None" in pattern[first:]:
            return f"{value.at(ATOM)}[{', '.join(pattern[first:])}]"
        return value.text


ROW, COLUMN = (True, False, True), (True, True, False)


def with_row_sums(program: Program) -> Program:
    """Dot products of rows, which BLAS makes as a batch of matrix products, as a sum that compilers fuse."""

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        if op.kind != "slice" or args[0].kind != "matmul":
            return None
        a, b = args[0].args
        first = [("all",), *[("at", Dim.of(0))] * 2]
        paired = a.kind == b.kind == "expand" and (a.data[0], b.data[0]) == (ROW, COLUMN)
        if not paired or list(op.data) != first:
            return None
        return build.sum(build.binary("mul", a.args[0], b.args[0]), (1,))

    return rewritten(program, change)


def with_products_once(program: Program) -> Program:
    """A product of matrices whose transpose is there already is the transpose of that."""
    products: dict[tuple[Op, Op], Op] = {}

    def change(build: Builder, op: Op, args: Sequence[Op]) -> Op | None:
        if op.kind != "matmul" or any(a.rank != 2 for a in args):
            return None
        a, b = args
        mirrored = products.get((build.permute(b, SWAP), build.permute(a, SWAP)))
        if mirrored is not None:
            return build.permute(mirrored, SWAP)
        made = products[a, b] = build.matmul(a, b)
        return made

    return rewritten(program, change)


def is_order(row: Row, k: int) -> bool:
    """Whether argument k of a function is a whole number, such as the order of a polygamma function."""
    return k < len(row.domain) and row.domain[k] == "whole"
