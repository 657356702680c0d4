"""JAX source: the functions of NumPy as jnp., nothing written in place, no branch on a value.

What it prints can be traced: by jit, vmap, grad and their like. Arrays that are made have the precision of
the first array that is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.codegen.facts import Facts
from chainrule.codegen.jax_helpers import JAX_HELPERS
from chainrule.codegen.numpy import NumPy, is_closed, mentions
from chainrule.codegen.passes import without_transposes
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Op, Place
from chainrule.codegen.statements import is_diagonal
from chainrule.codegen.vocabulary import ATOM, TIMES, Text
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable
from chainrule.rules.table import Row


class JAX(NumPy):
    """JAX source."""

    assigns = False
    copy = ""
    xp = "jnp"
    behind = JAX_HELPERS

    @classmethod
    def prepared(cls, program: Program, structures: Mapping[str, Sequence[str]]) -> Program:
        return without_transposes(program, Facts(structures))

    def imports(self, written: str) -> list[str]:
        used = [name for name in ("linalg", "special") if mentions(written, name)]
        lines = ["import jax"] if mentions(written, "jax") else []
        lines.append("import jax.numpy as jnp")
        return [*lines, *([f"from jax.scipy import {', '.join(used)}"] if used else [])]

    def first_lines(self, arrays: Sequence[tuple[str, Variable]], written: str) -> list[str]:
        if "dtype=dtype" not in written and "astype(dtype)" not in written:
            return []
        floats = [(name, v) for name, v in arrays if v.bound is None]
        shaped = next((name for name, v in floats if v.rank), None)
        if shaped is not None:
            return [f"dtype = {shaped}.dtype"]
        # A number may be given as one of Python, which has no dtype.
        return [f"dtype = jnp.result_type({', '.join([*(name for name, _ in floats[:1]), 'float'])})"]

    def code(self, row: Row) -> str:
        return row.jax or row.code.replace("np.", "jnp.")

    def new(self, function: str, arguments: str) -> str:
        return f"jnp.{function}({arguments}, dtype=dtype)"

    def filled(self, shape: str, a: Text, source: Op) -> str:
        return self.new("full", f"{shape}, {a.text}")

    def repeated(self, view: str, shape: Sequence[Dim]) -> str:
        return f"jnp.broadcast_to({view}, {self.full(shape)})"

    def _cast(self, op: Op, a: Text) -> Text:
        return a if is_closed(op) and not op.rank else Text(f"{a.at(ATOM)}.astype(dtype)")

    def _take(self, op: Op, a: Text, ids: Text) -> Text:
        # NaN where an index lies beyond the last row; a plain index would be moved to the last row.
        return Text(f"jnp.take({a.text}, {ids.text}, axis=0)")

    def _stack(self, op: Op, *args: Text) -> Text:
        if op.rank > 1 and any(inner.kind != "stack" for inner in op.args):
            return Text(f"jnp.stack([{', '.join(a.text for a in args)}])")
        if all(map(is_closed, op.args)):
            return Text(f"{super()._stack(op, *args).text[:-1]}, dtype=dtype)")
        return super()._stack(op, *args)

    def _scatter(self, op: Op, a: Text) -> Text:
        if is_diagonal(op):
            return super()._scatter(op, a)
        labels, places, shape = op.data
        return Text(
            f"{self.new('zeros', self.full(shape))}.at[{self.places(places, shape)}]"
            f".set({self.aligned(a, labels, places)})"
        )

    def _add_at(self, op: Op, base: Text, a: Text) -> Text:
        labels, places, shape, sign = op.data
        value = Text(self.aligned(a, labels, places), a.level)
        added = value.text if sign > 0 else f"-{value.at(TIMES)}"
        return Text(f"{base.at(ATOM)}.at[{self.places(places, shape)}].add({added})")

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
