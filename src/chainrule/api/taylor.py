"""The expansion of a formula around a point: f(x + d) ≈ f + gᵀd + ½ dᵀHd, each term in closed form.

In: derivatives of a formula by some variables, an order. Out: a Taylor, whose rest was measured at random
points, and at a person's point where one is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import factorial
from typing import TYPE_CHECKING, Any

from chainrule.api.answers import Said, shown
from chainrule.api.chain import Chains, Target
from chainrule.api.point import evaluate
from chainrule.derive.forward import directional
from chainrule.errors import CheckFailed, DomainProblem, OptionError
from chainrule.expr.dims import Coefficient
from chainrule.expr.names import pretty
from chainrule.expr.nodes import Einsum, Expr, Variable, constant_of, scale
from chainrule.notation.latex import name_latex
from chainrule.notation.present import present
from chainrule.rules.unknown import unknown_in
from chainrule.simplify import Normaliser, simplify

if TYPE_CHECKING:
    from chainrule.api.printable import Printable

HIGHEST = 4
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
STEPS = (0.1, 0.01, 0.001)


@dataclass(frozen=True)
class Taylor:
    """An expansion; `terms` are its parts of order 0, 1, ..., in the directions by variable.

    exact   whether nothing is left, since the next derivative is 0
    check   what the measured rest says
    """

    terms: tuple[Expr, ...]
    directions: Mapping[Variable, Variable]
    exact: bool
    check: str
    said: Said

    @property
    def text(self) -> str:
        """The expansion on one line."""
        return str(self.said.data["text"])

    def __str__(self) -> str:
        return self.said.text

    __repr__ = __str__


def taylor(about: Printable, order: object = 2, at: Mapping[str, Any] | str | None = None) -> Taylor:
    """The expansion to an order, in all variables that the formula was differentiated by.

    Raises: OptionError for an order that is not 1 to 4; CheckFailed if the rest is too large.
    """
    number = _order(order)
    if about.options.structured:
        raise OptionError("x + d leaves a structured set", hint="leave out structured")
    formula, at_kink = about.formula, about.options.at_kink
    moving = list(dict.fromkeys(v for d in about.parts() for target in d.wrt for v in target.variables))
    sizes = {n for v in formula.variables.values() for dim in v.shape for n in dim.names}
    taken = {*formula.variables, *formula.names, *sizes, *unknown_in(formula.expr)}
    directions = {v: _direction(v, len(moving) == 1, taken) for v in moving}
    normal = Normaliser(v.name for v in moving if v.structure)
    along: dict[Expr, Expr] = {v: d for v, d in directions.items()}
    derived = [normal(formula.expr)]
    for _ in range(number + 1):
        derived.append(normal(directional(derived[-1], along, at_kink)))
    terms = [formula.expr]
    for k, term in enumerate(derived[1:-1], 1):
        part = scale(Coefficient.of(Fraction(1, factorial(k))), term)
        terms.append(
            min(_forms(part, k, formula.expr, directions, at_kink), key=lambda e: len(present(e).text))
        )
    from chainrule.verify.kinks import kinks_of  # loads NumPy

    found = kinks_of(normal(formula.expr), moving, lambda e: present(e).text, number + 1, at_kink)
    ends = _is_zero(simplify(derived[-1]))
    exact = ends and not found
    check = _checked(formula.expr, terms, directions, list(formula.variables.values()))

    written, names, names_latex = shown(terms, taken=sorted(taken), profile=formula.profile)
    moved = ", ".join(f"{pretty(v.name)} + {pretty(d.name)}" for v, d in directions.items())
    moved_latex = ", ".join(f"{name_latex(v.name)} + {name_latex(d.name)}" for v, d in directions.items())
    letter = about.sheet.letter
    relation = "=" if exact else "≈"
    parts = [p for p, term in zip(written, terms, strict=True) if not _is_zero(term)] or [written[0]]
    total = _summed([p.text for p in parts])
    lines = [f"    {letter}({moved}) {relation} {total}"]
    lines += [f"where {', '.join(names)}"] if names else []
    for k, one in enumerate(written):
        lines.append(
            f"    {_label(k, directions, formula.expr.rank)} = {'0' if _is_zero(terms[k]) else one.text}"
        )
    lengths = "‖d‖" if len(moving) == 1 else "the length of the step"
    if ends:
        lines.append(f"Nothing is left: the derivatives of order {number + 1} are 0.")
    else:
        rest = (
            f"{lengths}{str(number + 1).translate(RAISED)}"
            if len(moving) == 1
            else f"{lengths} to the power {number + 1}"
        )
        lines.append(f"What is left falls like {rest}.")
    lines += [f"This holds as far as no kink is crossed: {letter} is {kink}." for kink in found]
    lines.append(check)
    data: dict[str, Any] = {
        "order": number,
        "exact": exact,
        "text": f"{letter}({moved}) {relation} {total}",
        "terms": [{"order": k, "text": p.text, "latex": p.latex} for k, p in enumerate(written)],
        "directions": {v.name: d.name for v, d in directions.items()},
        "where": names,
        "check": check,
    }
    if at is not None:
        rows, table = _at(about, terms, directions, at)
        lines += rows
        data["at"] = table
    sign = "=" if exact else r"\approx"
    latex = (
        f"{letter}({moved_latex}) &{sign} {_summed([p.latex for p in parts], '-')}",
        *names_latex,
    )
    said = Said(
        f"expansion to order {number} in {', '.join(pretty(v.name) for v in moving)}",
        tuple(lines),
        latex,
        data,
    )
    return Taylor(tuple(terms), directions, exact, check, said)


def _forms(
    part: Expr, order: int, formula: Expr, directions: Mapping[Variable, Variable], at_kink: Fraction
) -> list[Expr]:
    """A term as the formula is built, and as its derivative contracted with the direction."""
    forms = [simplify(part)]
    if len(directions) == 1 and order <= 2:
        ((variable, d),) = directions.items()
        target = Target((variable,))
        found = simplify(Chains(formula, [target], at_kink)([target] * order)[-1])
        axes = tuple(range(found.rank))
        inner = [axes[formula.rank + k * d.rank : formula.rank + (k + 1) * d.rank] for k in range(order)]
        half = Coefficient.of(Fraction(1, factorial(order)))
        contracted = Einsum(half, (found, *[d] * order), (axes, *inner), axes[: formula.rank])
        forms.append(Normaliser()(contracted))
    return forms


def _order(order: object) -> int:
    try:
        number = int(order) if isinstance(order, str | int) and not isinstance(order, bool) else 0
    except ValueError:
        number = 0
    if not 1 <= number <= HIGHEST:
        raise OptionError(
            f"an expansion goes to order 1 to {HIGHEST}, not {order!r}", hint="2 is f + gᵀd + ½ dᵀHd"
        )
    return number


def _direction(variable: Variable, single: bool, taken: set[str]) -> Variable:
    names = ["d", "h", "delta"] if single else []
    names += [f"d_{variable.name}", f"delta_{variable.name}"]
    if single and variable.rank == 2:
        names = ["D", "Delta", *names]
    name = next((n for n in names if n not in taken), f"step_{variable.name}")
    return Variable(name, variable.shape)


def _is_zero(expr: Expr) -> bool:
    constant = constant_of(expr)
    return constant is not None and constant.is_zero


def _summed(parts: Sequence[str], minus: str = "−") -> str:
    """Terms behind each other; a sign in front of one joins it."""
    text = parts[0]
    for part in parts[1:]:
        text += (
            f" {minus} {part[len(minus) :].lstrip()}"
            if part.startswith(minus) and not _is_sum(part)
            else (f" + ({part})" if part.startswith(minus) else f" + {part}")
        )
    return text


def _is_sum(text: str) -> bool:
    """Whether a sign stands between terms at the top level of a text."""
    depth = 0
    for k, c in enumerate(text):
        depth += (c in "([{‖") - (c in ")]}")
        if k and not depth and text[k - 1 : k + 2] in (" + ", " − ", " - "):
            return True
    return False


def _label(order: int, directions: Mapping[Variable, Variable], outputs: int) -> str:
    if order == 0:
        return "order 0"
    if len(directions) > 1:
        return f"order {order}"
    ((variable, d),) = directions.items()
    name = pretty(d.name)
    if variable.rank == 1 and order <= 2 and not outputs:
        return f"order {order}, " + (f"gᵀ{name}" if order == 1 else f"½ {name}ᵀH{name}")
    return f"order {order}"


def _checked(
    formula: Expr,
    terms: Sequence[Expr],
    directions: Mapping[Variable, Variable],
    variables: Sequence[Variable],
) -> str:
    from chainrule.verify.remainder import check_expansion

    try:
        report = check_expansion(formula, terms, directions, variables=variables)
    except DomainProblem as problem:
        return f"not checked: {problem.message}"
    if not report.passed:
        raise CheckFailed(f"the expansion {report}")
    return str(report)


def _at(
    about: Printable,
    terms: Sequence[Expr],
    directions: Mapping[Variable, Variable],
    at: Mapping[str, Any] | str,
) -> tuple[list[str], dict[str, Any]]:
    """At a person's point: what the expansion predicts for three steps, and what is left."""
    import numpy as np

    from chainrule.verify.reference import known_sizes
    from chainrule.verify.remainder import rests

    formula = about.formula
    given = evaluate(formula, {}, at).given
    values = {name: np.asarray(value, float) for name, value in given.items()}
    sizes = known_sizes([formula.expr, *formula.variables.values()], values, {})
    values = {name: value for name, value in values.items() if name in formula.variables}
    _, rows = rests(formula.expr, terms, directions, values, sizes, STEPS)
    order = len(terms)
    lines = [
        f"at this point, along a random direction of length 1, the rest over the step to the power {order}:"
    ]
    table = []
    for t, there, predicted in rows:
        rest = float(np.max(np.abs(there - predicted), initial=0.0))
        over = f"over step{str(order).translate(RAISED)} {rest / t**order:.4g}"
        lines.append(f"    step {t:g}: the rest is {rest:.2e}, {over}")
        table.append({"step": t, "value": there.tolist(), "expansion": predicted.tolist(), "rest": rest})
    return lines, {"steps": table}
