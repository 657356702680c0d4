"""How derivatives are written in a picture: d where nothing is held fixed, ∂ elsewhere.

In: a Flow. Out: trees. A total derivative, which sums over several paths, is never written like a direct
partial derivative.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from chainrule.derive.flow import Flow, Part
from chainrule.expr.nodes import Variable
from chainrule.expr.walk import variables
from chainrule.notation import matform as m
from chainrule.notation.matform import Tree


@dataclass(frozen=True)
class Symbols:
    """The derivatives of one formula as they are written.

    >>> from chainrule.derive.flow import flow
    >>> x = Variable("x")
    >>> steps = flow(x + x**2, [x])
    >>> Symbols(steps).local(steps.output, x), Symbols(steps).total(x)
    (<derivative(y,x;)>, <derivative(y,x;d)>)
    """

    flow: Flow

    @cached_property
    def several(self) -> bool:
        """Whether more than one path leads from a variable to the output."""
        return any(self.flow.count_paths(v) > 1 for v in self.flow.wrt)

    @cached_property
    def alone(self) -> bool:
        """Whether the formula has one variable, a scalar, and is a scalar itself."""
        inputs = variables(self.flow.output.whole)
        return inputs == self.flow.wrt and not inputs[0].rank and not self.flow.output.symbol.rank

    def local(self, part: Part, by: Variable, vec: bool = False) -> Tree:
        """The derivative of a step by one of its arguments; with `vec` matrices are stacked into vectors."""
        only = len(self.flow.arguments(part)) == 1
        plainly = only and (self.alone or (self.several and by in self.flow.wrt))
        return _written(part.symbol, by, "d" if plainly else "∂", vec)

    def total(self, by: Variable, vec: bool = False) -> Tree:
        """The derivative of the whole by a variable."""
        return _written(self.flow.output.symbol, by, "d" if self.several or self.alone else "∂", vec)


def _written(of: Variable, by: Variable, sign: str, vec: bool) -> Tree:
    names = [m.call("vec", m.name(v.name)) if vec and v.rank > 1 else m.name(v.name) for v in (of, by)]
    return m.derivative(names[0], names[1], sign)
