"""The derivatives of a program of layers: when they are asked for so, and how the δ's are printed.

In: a formula with named parts and what it is differentiated by. Out: the Recursion of
`notation.recursion`, or None; its lines of text and rows of LaTeX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from unicodedata import combining

from chainrule.api.chain import Target
from chainrule.api.formulas import named_parts
from chainrule.api.layouts import wrapped
from chainrule.api.options import Options
from chainrule.expr.nodes import Expr
from chainrule.expr.walk import dim_names
from chainrule.language import Formula
from chainrule.notation.latex import to_latex
from chainrule.notation.present import head
from chainrule.notation.recursion import Recursion, recursion
from chainrule.notation.text import sizes_text, to_text
from chainrule.rules.unknown import unknown_in

if TYPE_CHECKING:
    from chainrule.api.printable import Printable
    from chainrule.api.sheet import Sheet


def backward(formula: Formula, options: Options, targets: Sequence[Target]) -> Recursion | None:
    """The recursion of a program of layers; None where the answer is one formula.

    Scalars in brackets, notations by entries and names that a person gives to parts of the answer go with
    one formula. Raises: NoDerivative.
    """
    if (
        options.times is not None
        or options.notation != "matrix"
        or options.abbreviations
        or any(target.joint for target in targets)
    ):
        return None
    sizes = dim_names(formula.expr, *formula.variables.values())
    taken = {*formula.variables, *formula.names, *sizes, *unknown_in(formula.expr)}
    moving = [target.variables[0] for target in targets]
    return recursion(formula.expr, moving, formula.names, taken=taken, at_kink=options.at_kink)


def code_names(about: Printable) -> dict[str, Expr]:
    """The names that parts have in code: those that a person gave, and the δ's."""
    names = named_parts(about.formula)
    if about.recursion is not None:
        names |= {delta.symbol.name: delta.whole for delta in about.recursion.deltas}
    return names


def lines(sheet: Sheet, layers: Recursion) -> list[str]:
    """The parts on the way to the output, then the δ's on the way back, one on a line."""
    written = dict(sheet.where)
    parts = [(part.name, written[part.name]) for part in layers.forward]
    forward = [f"{to_text(head(name, part))} = {part.text}" for name, part in parts]
    heads = [
        f"{to_text(head(d.symbol.name, written[d.symbol.name]))} = ∂{sheet.letter}/"
        f"∂{to_text(head(d.of.name, written[d.symbol.name]))}"
        for d in layers.deltas
    ]
    values = [written[d.symbol.name].text for d in layers.deltas]
    width, length = max(map(_width, heads)), max(map(_width, values))
    return [
        *wrapped(forward, "where ", ", "),
        "and from the output back, each in the shape of what it is the gradient by,",
        *(
            f"    {_padded(head, width)} = {_padded(value, length)}    {sizes_text(d.of.shape)}"
            for head, value, d in zip(heads, values, layers.deltas, strict=True)
        ),
    ]


def _width(text: str) -> int:
    """How many columns a text takes: a bar over a letter takes none."""
    return sum(not combining(sign) for sign in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def latex_names(sheet: Sheet) -> list[str]:
    """What the names stand for as rows of aligned equations; a δ with the derivative that it is."""
    of = {} if sheet.recursion is None else {d.symbol.name: d.of for d in sheet.recursion.deltas}
    rows = []
    for name, part in sheet.where:
        by = to_latex(head(of[name].name, part)) if name in of else ""
        meant = rf"\frac{{\partial {sheet.letter_latex}}}{{\partial {by}}} = " if by else ""
        rows.append(f"{to_latex(head(name, part))} &= {meant}{part.latex}")
    return rows
