"""PyTorch source: torch. in front, nothing written in place, no branch on a value.

What it prints works under torch.func (vmap, grad, jacrev) and torch.compile. Tensors that are made have the
precision and the device of the first tensor that is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.codegen.functional import Functional, is_order
from chainrule.codegen.numpy import is_closed
from chainrule.codegen.program import Op, Place
from chainrule.codegen.statements import is_diagonal, on_diagonal
from chainrule.codegen.torch_helpers import TORCH_HELPERS
from chainrule.codegen.vocabulary import ATOM, REDUCTIONS, TIMES, Text
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable
from chainrule.rules.elementwise import where
from chainrule.rules.table import Elementwise, Row

# What Python computes of numbers alone; all else that is made of numbers becomes a tensor.
HOST = ("number", "size", "named", "add", "sub", "mul", "div", "neg", "pow", "sqrt", "cast")


class Torch(Functional):
    """PyTorch source."""

    copy = ".clone()"
    xp = "torch"
    vecdot = "linalg.vecdot"
    behind = TORCH_HELPERS

    def imports(self, written: str) -> list[str]:
        return ["import torch"]

    def first_lines(self, arrays: Sequence[tuple[str, Variable]], written: str) -> list[str]:
        if "**like" not in written and 'like["' not in written:
            return []
        floats = [name for name, v in arrays if v.bound is None]
        if floats:
            return [f'like = {{"dtype": {floats[0]}.dtype, "device": {floats[0]}.device}}']
        device = f', "device": {arrays[0][0]}.device' if arrays else ""
        if not arrays and 'like["device"]' in written:
            device = ', "device": None'
        # A constant keeps its digits; a compiled function gives it the precision of what is given beside it.
        return [f'like = {{"dtype": torch.float64{device}}}']

    def code(self, row: Row) -> str:
        return row.torch or row.code.replace("np.", "torch.").replace("special.", "torch.special.")

    def new(self, function: str, arguments: str) -> str:
        return f"torch.{function}({arguments}, **like)"

    def full(self, shape: Sequence[Dim]) -> str:
        return self.shape(shape)

    def tensor(self, op: Op, a: Text) -> Text:
        """A number that Python holds as a tensor."""
        return Text(self.new("tensor", a.text)) if _is_host(op) else a

    def filled(self, shape: str, a: Text, source: Op) -> str:
        if _is_host(source):
            return self.new("full", f"{shape}, {a.text}")
        return f"{a.at(ATOM)}.expand{shape}.clone()"

    def repeated(self, view: str, shape: Sequence[Dim]) -> str:
        return f"{Text(view, TIMES).at(ATOM) if ' ' in view else view}.expand{self.shape(shape)}.clone()"

    def _cast(self, op: Op, a: Text) -> Text:
        return a if _is_host(op) else Text(f"{a.at(ATOM)}.to(**like)")

    def _mul(self, op: Op, a: Text, b: Text) -> Text:
        first, second = op.args
        # A number of Python beside a condition would be rounded to the usual precision of PyTorch.
        if first.boolean and _is_host(second):
            a = Text(f"{a.at(ATOM)}.to(**like)")
        elif second.boolean and _is_host(first):
            b = Text(f"{b.at(ATOM)}.to(**like)")
        return super()._mul(op, a, b)

    def _sqrt(self, op: Op, a: Text) -> Text:
        return Text(f"{a.at(ATOM)}**0.5", TIMES) if _is_host(op.args[0]) else super()._sqrt(op, a)

    def _permute(self, op: Op, a: Text) -> Text:
        order = op.data[0]
        return Text(f"{a.at(ATOM)}.T" if order == (1, 0) else f"{a.at(ATOM)}.permute{order}")

    def _sum(self, op: Op, a: Text) -> Text:
        axes = op.data[0]
        if len(axes) == op.args[0].rank:
            return Text(f"torch.sum({a.text})")
        return Text(f"torch.sum({a.text}, dim={axes[0] if len(axes) == 1 else axes})")

    def _tensordot(self, op: Op, a: Text, b: Text) -> Text:
        return Text(f"torch.tensordot({a.text}, {b.text}, dims={op.data[0]})")

    def _slice(self, op: Op, a: Text) -> Text:
        """PyTorch has no negative steps: the slice from the other end, flipped."""
        parts, flipped = [], []
        axis = 0
        for part in op.data:
            if part[0] == "slice" and part[2] < 0:
                _, start, step, count = part
                part = ("slice", start + Dim.of(step) * (count - Dim.of(1)), -step, count)
                flipped.append(axis)
            parts.append(part)
            axis += part[0] != "at"
        text = a.at(ATOM) + self.index(parts, op.args[0].shape)
        return Text(f"{text}.flip({', '.join(map(str, flipped))})" if flipped else text)

    def row_numbers(self, op: Op, ids: Text) -> str:
        return f"{ids.at(ATOM)}.long()" if is_closed(op) else ids.text

    def _stack(self, op: Op, *args: Text) -> Text:
        if all(map(_is_host, op.args)):
            return Text(self.new("tensor", f"[{', '.join(a.text for a in args)}]"))
        entries = [self.tensor(inner, a).text for inner, a in zip(op.args, args, strict=True)]
        return Text(f"torch.stack([{', '.join(entries)}])")

    def _call(self, op: Op, *args: Text) -> Text:
        row = op.data[0]
        if row.name in REDUCTIONS:
            return self._reduced(op, args[0])
        if row is where:
            return self._where(op, *args)
        plain = getattr(row, "indicator", False) or row.name == "power"
        if isinstance(row, Elementwise) and not plain:
            args = tuple(
                a if is_order(row, k) else self.tensor(inner, a)
                for k, (inner, a) in enumerate(zip(op.args, args, strict=True))
            )
        elif all(map(_is_host, op.args)) and args:
            args = (self.tensor(op.args[0], args[0]), *args[1:])
        return super()._call(op, *args)

    def _where(self, op: Op, condition: Text, yes: Text, no: Text) -> Text:
        seen = condition.text if op.args[0].boolean else f"{self.tensor(op.args[0], condition).text} != 0"
        text = Text(f"torch.where({seen}, {yes.text}, {no.text})")
        # Of two numbers of Python, tensors of integers would be made.
        return Text(f"{text.text}.to(**like)") if _is_host(op.args[1]) and _is_host(op.args[2]) else text

    def _reduced(self, op: Op, a: Text) -> Text:
        row, core = op.data[0], op.data[1]
        rank = op.args[0].rank
        if row.name == "prod":
            if core == rank:
                return Text(f"torch.prod({a.text})")
            if core > 1:
                self.helpers["prod"] = None
                return Text(f"prod({a.text}, {core})")
            return Text(f"torch.prod({a.text}, dim={rank - 1})")
        axes = tuple(range(rank - core, rank))
        dim = "" if core == rank else f", dim={axes[0] if core == 1 else axes}"
        return Text(f"torch.{row.name}({a.text}{dim})")

    def _scatter(self, op: Op, a: Text) -> Text:
        labels, places, shape = op.data
        if is_diagonal(op):
            return super()._scatter(op, a)
        value = self.placed(a, op.args[0], labels, places)
        return Text(f"{self.new('zeros', self.full(shape))}.index_put({self.grid(places, shape)}, {value})")

    def _add_at(self, op: Op, base: Text, a: Text) -> Text:
        labels, places, shape, sign = op.data
        value = self.placed(a if sign > 0 else Text(f"-{a.at(TIMES)}", TIMES), op.args[1], labels, places)
        start = self.tensor(op.args[0], base).text
        if on_diagonal(places):
            self.helpers["add_diagonal"] = None
            return Text(f"add_diagonal({start}, {value})")
        self.helpers["add_at"] = None
        return Text(f"add_at({start}, {self.grid(places, shape)}, {value})")

    def placed(self, a: Text, source: Op, labels: Sequence[int], places: Sequence[Place]) -> str:
        """The value as a tensor with the axes of its places."""
        return self.aligned(self.tensor(source, a), labels, places)

    def grid(self, places: Sequence[Place], shape: Sequence[Dim]) -> str:
        """A tuple of index tensors, one for each axis, that broadcast to the axes of the value."""
        every = list(dict.fromkeys(place.label for place in places if place.label is not None))
        texts = []
        for place, size in zip(places, shape, strict=True):
            if place.label is None:
                texts.append(f'torch.tensor({self.position(place.index[1], size)}, device=like["device"])')
                continue
            behind = len(every) - 1 - every.index(place.label)
            axes = f"[:, {', '.join(['None'] * behind)}]" if behind else ""
            texts.append(self.indices(place.index, size)[:-1] + f', device=like["device"]){axes}')
        return f"({', '.join(texts)},)" if len(texts) == 1 else f"({', '.join(texts)})"


def _is_host(op: Op) -> bool:
    """Whether Python computes it, as a number without precision and device."""
    return not op.rank and op.kind in HOST and is_closed(op) and all(map(_is_host, op.args))
