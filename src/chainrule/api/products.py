"""Derivatives that are multiplied by something given: `upstream` from the left, `times` from the right.

With upstream="G" the formula is the Y of a larger program with the loss L: given G = ∂L/∂Y, what is derived
is ∂L/∂X, the pullback, which is the derivative of ⟨G, Y⟩. With times="v" the last order is taken along a
direction: Jv, or Hv at order 2. Neither forms the Jacobian.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from chainrule.api.chain import Chains, Target
from chainrule.derive.forward import directional
from chainrule.errors import OptionError, Span
from chainrule.explain.derivation import Entry, Line, Phase, Sentence
from chainrule.expr.dims import ONE
from chainrule.expr.names import ascii_name, pretty
from chainrule.expr.nodes import Einsum, Expr, Variable
from chainrule.expr.walk import dim_names, substitute
from chainrule.language import Formula
from chainrule.notation import matform as m
from chainrule.notation.latex import name_latex
from chainrule.notation.present import head
from chainrule.notation.text import sizes_text
from chainrule.rules.unknown import unknown_in
from chainrule.simplify import matrix_free, simplify, spread

if TYPE_CHECKING:
    from chainrule.api.derivative import Derivative
    from chainrule.api.sheet import Sheet
    from chainrule.verify.compare import Report

# Letters for the value of a formula that is a part of a larger program, by its number of axes.
VALUES = ("yfgu", "yfvu", "YFZM")


@dataclass(frozen=True)
class Pullback:
    """What stands above a formula: upstream = ∂L/∂value, in its shape; `letter` is the name of the value."""

    upstream: Variable
    value: Expr
    letter: str


@dataclass(frozen=True)
class Times:
    """The direction in which each variable moves in the last order."""

    directions: tuple[tuple[Variable, Variable], ...]


# ---------------------------------------------------------------- reading the options


def pulled(formula: Formula, upstream: object) -> tuple[Formula, Pullback]:
    """⟨G, Y⟩ as a formula, whose gradients are the ∂L/∂X for G = ∂L/∂Y.

    Raises: OptionError if the name is none, or taken.
    """
    name = _names(upstream, "upstream", "G", formula)
    if len(name) != 1:
        raise OptionError(f"upstream is one name, that of ∂L/∂Y, not {len(name)}", hint='write upstream="G"')
    value = formula.expr
    above = Variable(name[0], value.shape)
    letters = VALUES[min(value.rank, 2)]
    used = {*_taken(formula), name[0]}
    letter = next((c for c in letters if c not in used), "value")
    axes = tuple(range(value.rank))
    whole = Einsum(ONE, (above, value), (axes, axes), ())
    names = {**formula.names, letter: value} if value.children else formula.names
    pulled_formula = replace(
        formula, expr=whole, variables={**formula.variables, above.name: above}, names=names
    )
    return pulled_formula, Pullback(above, value, letter)


def directed(formula: Formula, times: object, targets: Sequence[Target]) -> tuple[Formula, Times]:
    """The formula with the directions as variables beside its own, one for each target in their order.

    Raises: OptionError if they are not as many, or a name is taken.
    """
    names = _names(times, "times", "v", formula)
    if any(target.joint for target in targets):
        raise OptionError(
            "times goes with variables one by one, not with [...] in wrt", hint='wrt="x,y", times="u,v"'
        )
    if len(names) != len(targets):
        wanted = ", ".join(pretty(target.name) for target in targets)
        raise OptionError(
            f"times has {len(names)} name{'s' * (len(names) > 1)} for {len(targets)} "
            f"variable{'s' * (len(targets) > 1)}",
            hint=f"give a direction for each of {wanted}, in this order",
        )
    moving = [target.variables[0] for target in targets]
    own = [Variable(name, v.shape) for name, v in zip(names, moving, strict=True)]
    variables = {**formula.variables, **{v.name: v for v in own}}
    return replace(formula, variables=variables), Times(tuple(zip(moving, own, strict=True)))


def _taken(formula: Formula) -> dict[str, str]:
    """The names that mean something already, and what."""
    sizes = dim_names(formula.expr, *formula.variables.values())
    return {
        **dict.fromkeys(unknown_in(formula.expr), "a function"),
        **dict.fromkeys(sizes, "a size"),
        **dict.fromkeys(formula.names, "a part"),
        **dict.fromkeys(formula.variables, "a variable"),
    }


def _names(given: object, option: str, example: str, formula: Formula) -> list[str]:
    """The names that an option gives, in a text or one by one, spelled as they are stored."""
    if isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
        given = ", ".join(given)
    if not isinstance(given, str) or not given.strip():
        raise OptionError(f"{option} is a name, not {given!r}", hint=f'write {option}="{example}"')
    taken = _taken(formula)
    found: list[str] = []
    for match in re.finditer(r"[^,\s]+", given):
        name, span = ascii_name(match[0]), Span(*match.span())
        problem = ""
        if not re.fullmatch(r"[^\W\d]\w*", name):
            problem = f"{match[0]} is no name"
        elif name in taken:
            problem = f"{match[0]} is {taken[name]} of the formula"
        elif name in found:
            problem = f"{match[0]} is named twice"
        if problem:
            raise OptionError(
                problem, hint=f"give {option} a name that is not used yet", source=given, spans=(span,)
            )
        found.append(name)
    return found


# ---------------------------------------------------------------- deriving


def along(
    targets: Sequence[Target], order: int, chains: Chains, times: Times
) -> list[tuple[tuple[Target, ...], tuple[Expr, ...], Expr]]:
    """Targets, canonical derivatives of each order, the last along `times`, and that at its simplest."""
    variables = tuple(v for v, _ in times.directions)
    last = Target(variables, joint=True) if len(variables) > 1 else targets[0]
    directions: dict[Expr, Expr] = dict(times.directions)
    most = max([1, *(v.rank for v in variables)])
    found = []
    for key in product(targets, repeat=order - 1):
        below = chains(key)
        base = simplify(below[-1], chains.normal.keep) if below else chains.formula
        final = spread(directional(base, directions, chains.at_kink), chains.normal, most)
        found.append(((*key, last), (*below, final)))
    simplest = matrix_free([chain[-1] for _, chain in found], most)
    return [(key, chain, value) for (key, chain), value in zip(found, simplest, strict=True)]


def check_along(derivative: Derivative, times: Times, points: int, seed: int) -> Report:
    """Compares with the numeric slope of the derivative before along the line x + t v, at random t."""
    from chainrule.codegen.load import compile_expressions
    from chainrule.verify.compare import check_derivative

    formula = derivative.formula
    step = Variable(next(name for name in _free() if name not in formula.variables))
    line: dict[Expr, Expr] = {x: x + step * v for x, v in times.directions}
    chain = [substitute(expr, line) for expr in derivative.chain]
    value = substitute(derivative.expression, line)
    moving: list[Variable | tuple[Variable, ...]] = [t.moving for t in derivative.wrt[:-1]]
    variables = list(formula.variables.values())
    return check_derivative(
        substitute(formula.expr, line),
        chain,
        [*moving, step],
        points=points,
        seed=seed,
        variables=variables,
        same=[value],
        code=None if unknown_in(value) else compile_expressions(value, [*variables, step]),
    )


def _free() -> Sequence[str]:
    return ["t", *(f"t_{k}" for k in range(100))]


# ---------------------------------------------------------------- printing


def times_label(sheet: Sheet, derivative: Derivative, times: Times) -> tuple[str, str]:
    """(∂f/∂x) v, (∂²f/∂x²) v, ∂Y/∂X [V]; of several variables a sum; the same in LaTeX."""
    texts, latex = [], []
    for variable, direction in times.directions:
        key = (*derivative.wrt[:-1], Target((variable,)))
        label, label_latex = sheet.label(key, ())
        plain = variable.rank <= 1 and derivative.expression.rank <= 1
        own, own_latex = pretty(direction.name), name_latex(direction.name)
        texts.append(f"({label}) {own}" if plain else f"{label} [{own}]")
        latex.append(rf"{label_latex} {own_latex}" if plain else rf"{label_latex} [{own_latex}]")
    return " + ".join(texts), " + ".join(latex)


def section(derivative: Derivative, letter: str) -> Phase:
    """What stands behind the derivation of the whole derivative: its product with the direction.

    `letter` is what the page calls the formula.
    """
    sheet = derivative.sheet
    (answer,) = sheet.answers
    label, label_latex = (
        re.sub(rf"({sign}){sheet.letter}\b", rf"\g<1>{letter}", text, count=1)
        for sign, text in (("∂[²³]?", answer.label), (r"\\partial(?:\^\{\d\})? ", answer.label_latex))
    )
    left = m.tree("symbol", (), (label, label_latex))
    sizes = sizes_text(derivative.expression.shape)
    entries: list[Entry] = [
        Sentence(("The product is taken from the direction on, so that no matrix is formed.",)),
        Line(left, answer.written.tree, ("along the direction",), sizes),
    ]
    entries += [Line(head(name, part), part.tree) for name, part in sheet.where]
    return Phase("Along the direction", (*entries, Sentence((str(derivative.report),))))


def refuse_products(derivative_options: object, what: str) -> None:
    """Raises OptionError where a page or picture is about whole derivatives."""
    if derivative_options is not None:
        raise OptionError(
            f"{what} about the whole derivative, not about its product with a direction",
            hint="leave out times; the derivative is the same, before it is multiplied",
        )
