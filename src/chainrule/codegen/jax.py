"""JAX source: the functions of NumPy as jnp., nothing written in place, no branch on a value.

What it prints can be traced: by jit, vmap, grad and their like. Arrays that are made have the precision of
the first array that is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.codegen.functional import Functional, is_order
from chainrule.codegen.jax_helpers import JAX_HELPERS
from chainrule.codegen.numpy import is_closed, mentions
from chainrule.codegen.program import Op
from chainrule.codegen.statements import is_diagonal
from chainrule.codegen.vocabulary import ATOM, TIMES, Text
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable
from chainrule.rules.table import Row


class JAX(Functional):
    """JAX source."""

    copy = ""
    xp = "jnp"
    behind = JAX_HELPERS

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

    def _call(self, op: Op, *args: Text) -> Text:
        row = op.data[0]
        if "special." in self.code(row):
            # Those of jax.scipy take no integers, which a number of Python may be, but for an order.
            args = tuple(
                Text(f"float({a.text})") if inner.kind in ("number", "size") and not is_order(row, k) else a
                for k, (inner, a) in enumerate(zip(op.args, args, strict=True))
            )
        return super()._call(op, *args)

    def _cast(self, op: Op, a: Text) -> Text:
        return a if is_closed(op) and not op.rank else Text(f"{a.at(ATOM)}.astype(dtype)")

    def _take(self, op: Op, a: Text, ids: Text) -> Text:
        # NaN where an index lies beyond the last row; a plain index would be moved to the last row.
        return Text(f"jnp.take({a.text}, {self.row_numbers(op.args[1], ids)}, axis=0)")

    def row_numbers(self, op: Op, ids: Text) -> str:
        return f"{ids.at(ATOM)}.astype(int)" if is_closed(op) else ids.text

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
