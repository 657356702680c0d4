"""Derivatives along the sets that structures describe: which sets, and what an answer says about them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainrule.api.chain import Target
from chainrule.api.options import Options
from chainrule.errors import OptionError
from chainrule.explain.derivation import Entry, Line, Phase, Sentence
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Variable
from chainrule.notation import matform as m
from chainrule.notation.present import present
from chainrule.notation.text import sizes_text
from chainrule.rules.structures import Structure, structure_of

if TYPE_CHECKING:
    from chainrule.api.derivative import Derivative

HIGHEST_TANGENT = 2
# The letter of the derivative with independent entries, in the sentences of `rules.structures`.
_GRADIENT = re.compile(r"G(?![a-z])")


def sets_of(targets: Sequence[Target], order: int, options: Options) -> dict[Variable, Structure]:
    """The sets on which the variables of the targets move.

    Raises: OptionError if there is none, or none that a derivative is known along.
    """
    found: dict[Variable, Structure] = {}
    for variable in dict.fromkeys(v for target in targets for v in target.variables):
        structure = structure_of(variable)
        if isinstance(structure, str):
            raise OptionError(
                f"there is no derivative by {pretty(variable.name)} on its set: {structure}",
                hint="leave out structured, and the entries count as independent",
            )
        if structure is None:
            continue
        if structure.kind == "tangent" and order > HIGHEST_TANGENT:
            raise OptionError(
                f"on a curved set derivatives end at order {HIGHEST_TANGENT}, and {pretty(variable.name)} is "
                f"{structure.said}: a third one depends on a connection that no convention fixes",
                hint="ask for order 2, the Riemannian Hessian, or leave out structured",
            )
        found[variable] = structure
    if not found:
        names = ", ".join(dict.fromkeys(pretty(v.name) for t in targets for v in t.variables))
        raise OptionError(
            f"structured says nothing about {names}: no structure is declared that binds entries together",
            hint="declare one, as in A[n,n]:symmetric, x[n]:unit or p[n]:simplex",
        )
    if options.notation == "map":
        raise OptionError(
            "the map dX ↦ A dX B has no structured form: dX moves inside the set by itself",
            hint="leave out structured, or ask for another notation",
        )
    return found


def names_of_sets(targets: Sequence[Target]) -> dict[Variable, str]:
    """The names of the sets, for the numeric check."""
    found = {v: structure_of(v) for target in targets for v in target.variables}
    return {v: s.name for v, s in found.items() if isinstance(s, Structure)}


def conventions(derivatives: Sequence[Derivative]) -> list[str]:
    """Along which set each variable moves, by which convention, and where others differ."""
    taken = {name for d in derivatives for name in d.formula.variables}
    G = next((c for c in "GFHK" if c not in taken), "G")
    lines: list[str] = []
    orders: dict[Variable, int] = {}
    for derivative in derivatives:
        for v in (v for target in derivative.wrt for v in target.variables):
            times = sum(v in target.variables for target in derivative.wrt)
            orders[v] = max(times, orders.get(v, 0))
    for variable, order in orders.items():
        structure = structure_of(variable)
        if not isinstance(structure, Structure):
            continue
        name = pretty(variable.name)

        def say(template: str, name: str = name) -> str:
            return _GRADIENT.sub(G, template).replace("#", name)

        lines.append(
            f"{name} is {structure.said}: {say(structure.moves)}. With {G}, the derivative that takes all "
            f"entries as independent, this is {say(structure.formula)}."
        )
        if order > 1:
            lines.append(_second(structure, name))
        lines += map(say, structure.remarks)
        if structure.name == "symmetric":
            lines.append(_stacked(variable, derivatives))
        lines.append(f"Source: {structure.source}.".replace("#", name))
    return lines


def _stacked(variable: Variable, derivatives: Sequence[Derivative]) -> str:
    """The vech form: the free entries alone, one column below the other."""
    alone = [d for d in derivatives if d.order == 1 and d.wrt[0].variables == (variable,)]
    form = "G + Gᵀ − G ⊙ I"
    if alone and alone[0].expression.rank == 2:
        form = present(alone[0].expression, profile=alone[0].formula.profile).text
    return f"By the entries on and below the diagonal alone, stacked by columns: vech({form})."


def _second(structure: Structure, name: str) -> str:
    match structure.kind:
        case "tangent":
            return (
                "Order 2 is the Riemannian Hessian: along a geodesic with velocity v, "
                f"d²f/dt² is this contracted with v twice; it holds the curvature of the set of {name} too."
            )
        case "curve":
            return f"Every order is by t, written in {name}."
        case _:
            return "Every order is by the free entries: the rule is applied to the axes of each."


def section(derivative: Derivative, letter: str) -> Phase:
    """What stands behind a derivation with independent entries: the derivative along the sets."""
    entries: list[Entry] = []
    if derivative.expression.rank <= 2:
        left = m.derivative(m.name(letter), m.name(derivative.wrt[0].name))
        if derivative.order > 1:
            answer = derivative.sheet.answers[0]
            left = m.tree("symbol", (), (answer.label, answer.label_latex))
        written = present(derivative.expression, profile=derivative.formula.profile)
        sizes = sizes_text(derivative.expression.shape)
        shape = ("along the set, in the shape of its axes",)
        entries.append(Line(left, written.tree, shape, sizes))
    entries += [Sentence((sentence,)) for sentence in conventions([derivative])]
    return Phase("Along the set", (*entries, Sentence((str(derivative.report),))))
