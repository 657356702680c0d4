"""What JAX and PyTorch source share: parts of arrays are not assigned to, a new array is made with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.codegen.facts import Facts
from chainrule.codegen.numpy import NumPy
from chainrule.codegen.passes import without_transposes
from chainrule.codegen.plan import Program
from chainrule.codegen.program import Place
from chainrule.codegen.vocabulary import ATOM, Text
from chainrule.expr.dims import Dim


class Functional(NumPy):
    """Source for a library that traces it."""

    assigns = False

    @classmethod
    def prepared(cls, program: Program, structures: Mapping[str, Sequence[str]]) -> Program:
        return without_transposes(program, Facts(structures))

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
