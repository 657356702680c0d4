"""One answer in the notation that is asked for: vectorised, per instance, by entries, vec and ⊗, or as a map.

In: a derivative as an expression, with what it is of and by. Out: what is written, with the names in it, or a
refusal that says which notations there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chainrule.expr.nodes import Expr, Shape, Variable
from chainrule.notation.latex import to_latex
from chainrule.notation.matform import Tree
from chainrule.notation.text import to_text


@dataclass(frozen=True)
class Subject:
    """A derivative that is written down.

    expr      its array: output axes, then those of each input
    output    name and shape of what is differentiated
    inputs    name and shape of what it is differentiated by, once for each order
    moving    the variables that it is differentiated by
    turned    whether the layout writes its transpose, a vector as a row
    joint     the scalars that count together as the entries of the last input, if they do
    gradient  whether it is the first derivative of a scalar, written a second time in the shape of its input
    given     the parts that a person named
    taken     names that mean something else
    """

    expr: Expr
    output: tuple[str, Shape]
    inputs: tuple[tuple[str, Shape], ...]
    moving: tuple[Variable, ...]
    joint: tuple[str, ...] = ()
    turned: bool = False
    gradient: bool = False
    given: Mapping[str, Expr] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    profile: str | None = None


@dataclass(frozen=True)
class Line:
    """label relation tree: ∂f/∂w = 2Ax, dX ↦ A dX B; `label` is None where the answer's own label stands."""

    tree: Tree
    label: Tree | None = None
    relation: str = "="


@dataclass(frozen=True)
class Written:
    """An answer in one notation.

    notation  matrix, sums, index, kron or map
    line      the answer
    gradient  the same in the shape of its input, where that differs
    where     what the names in it stand for, each before it is used
    notes     what a reader must know: xᵢ, and which row it is
    changes   how many changes a map is taken along
    """

    notation: str
    line: Line
    gradient: Line | None = None
    where: tuple[tuple[Tree, Tree], ...] = ()
    notes: tuple[tuple[Tree, str], ...] = ()
    profile: str | None = None
    changes: int = 1

    def shown(self, tree: Tree) -> str:
        """A tree as text in the signs of this notation."""
        return to_text(tree, self.profile, lowered=self.notation == "sums")

    @property
    def text(self) -> str:
        """On one line of Unicode text."""
        line = self.line
        label = f"{self.shown(line.label)} {line.relation} " if line.label is not None else ""
        names = ", ".join(f"{self.shown(name)} = {self.shown(value)}" for name, value in self.where)
        return label + self.shown(line.tree) + (f" where {names}" if names else "")

    @property
    def latex(self) -> str:
        """In LaTeX for mathematics mode."""
        line = self.line
        relation = RELATIONS[line.relation]
        label = f"{to_latex(line.label, self.profile)} {relation} " if line.label is not None else ""
        names = r",\ ".join(
            f"{to_latex(n, self.profile)} = {to_latex(v, self.profile)}" for n, v in self.where
        )
        return (
            label + to_latex(line.tree, self.profile) + (rf" \quad \text{{where }} {names}" if names else "")
        )


RELATIONS = {"=": "=", "↦": r"\mapsto"}
