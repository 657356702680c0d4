"""Pictures of a derivative: its dataflow graph, the boxes of its chain rule, the tables of shapes.

In: derivatives of one formula. Out: Drawings, which a notebook shows by itself. They are made from the steps
that a derivation has, and the derivative is checked before anything is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from chainrule.api.derivative import Derivative
from chainrule.api.explanation import letter_of
from chainrule.api.printable import Printable
from chainrule.derive.flow import Flow, flow
from chainrule.draw import Drawing, Manner, boxes, dataflow, piece_table, shape_table
from chainrule.draw.jacobian import draw_jacobian
from chainrule.errors import OptionError
from chainrule.simplify import simplify

PICTURES = ("graph", "operators", "entries", "boxes", "shapes", "pieces")


def picture(
    about: Printable,
    kind: str = "graph",
    *,
    theme: str = "auto",
    direction: str = "auto",
    constants: bool = True,
) -> Drawing:
    """A picture of one kind; Derivative.graph and Derivative.boxes say what the kinds are.

    Raises: OptionError for a kind that does not exist or that several variables do not have.
    """
    if kind not in PICTURES:
        raise OptionError(f"the picture is {', '.join(PICTURES[:-1])} or {PICTURES[-1]}, not {kind!r}")
    assert about.report, "the check runs before anything is shown"
    manner = Manner(about.layout, about.options.at_kink, about.formula.profile, theme)
    if kind in ("graph", "operators", "entries"):
        return dataflow(
            steps(about),
            direction=direction,
            constants=constants,
            operators=kind == "operators",
            entries=kind == "entries",
            manner=manner,
        )
    parts = about.parts()
    if len(parts) > 1:
        names = ", ".join(dict.fromkeys(name for d in parts for name in d.names))
        raise OptionError(
            "this picture shows one derivative, and there are several",
            hint=f"ask for one of {names}; the graph shows all of them",
        )
    drawn: dict[str, Callable[[Derivative, Manner], Drawing]] = {
        "boxes": _boxes, "shapes": _shapes, "pieces": _pieces,
    }  # fmt: skip
    return drawn[kind](parts[0], manner)


def steps(about: Printable) -> Flow:
    """The steps of what the last order differentiates, by all of its variables."""
    parts = about.parts()
    first = parts[0]
    if any(d.order > 1 for d in parts) and len(parts) > 1:
        raise OptionError(
            "a graph shows one formula, and these blocks differentiate several",
            hint="take one of the blocks, or order 1",
        )
    formula = about.formula
    expr = formula.expr if first.order == 1 else simplify(first.chain[-2])
    variables = tuple(dict.fromkeys(v for d in parts for v in d.wrt[-1].variables))
    sizes = {name for v in formula.variables.values() for dim in v.shape for name in dim.names}
    return flow(
        expr,
        variables,
        formula.names if first.order == 1 else {},
        output=letter_of(formula, expr, first.wrt[-1]),
        taken={*sizes, *formula.variables},
    )


def _boxes(derivative: Derivative, manner: Manner) -> Drawing:
    """The chain rule as boxes; of scalars that count as one vector, the entries of the Jacobian."""
    target = derivative.wrt[-1]
    if not target.joint:
        return boxes(steps(derivative), manner=manner, derivative=derivative.expression)
    names = [v.name for v in target.variables]
    return draw_jacobian(derivative.expression, steps(derivative).output.symbol, names, manner)


def _shapes(derivative: Derivative, manner: Manner) -> Drawing:
    output, inputs = steps(derivative).output.symbol.rank, len(derivative.wrt[-1].shape)
    return shape_table((inputs > 0, output > 0) if max(output, inputs) < 2 else None, manner=manner)


def _pieces(derivative: Derivative, manner: Manner) -> Drawing:
    """The cell of the table is that of the step before the last one."""
    found = steps(derivative)
    path = found.paths(derivative.wrt[-1].variables[0])
    inner = [(a, b) for a, b in pairwise(path[0])] if path and not derivative.wrt[-1].joint else []
    if len(inner) < 2:
        return piece_table(manner=manner)
    ranks = inner[0][0].rank, inner[-1][0].rank, inner[-1][1].rank
    if max(ranks) > 1:
        return piece_table(manner=manner)
    return piece_table((ranks[0] > 0, ranks[1] > 0, ranks[2] > 0), manner=manner)
