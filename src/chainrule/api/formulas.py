"""Formulas on their own: reading one, declaring variables, whether two are equal, one at its simplest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chainrule.codegen.formula import numpy_formula
from chainrule.errors import OptionError, ShapeMismatch
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import dim_names
from chainrule.expr.walk import variables as variables_of
from chainrule.language import Formula, check_profile, parse_declarations, parse_formula
from chainrule.language import Functions as Declared
from chainrule.notation.latex import to_latex
from chainrule.notation.present import Presentation, Request, head, present, present_many
from chainrule.notation.text import sizes_text, to_text
from chainrule.rules.unknown import one_choice
from chainrule.simplify import Normaliser
from chainrule.simplify import simplify as simplest

if TYPE_CHECKING:
    from chainrule.verify.compare import Comparison

LEGIBLE = 12  # numbers, up to which two formulas that differ are shown at a point
Shapes = str | Mapping[str, object] | None
Functions = str | Mapping[str, object] | Declared | None


def variables(declarations: str) -> tuple[Expr, ...]:
    """The declared variables, in order, to build formulas from.

    Raises: ChainruleError if it is not a declaration.

    >>> X, w, b = variables("X[N,n] w[n] b")
    >>> (X @ w + b).shape
    (Dim(N),)
    """
    return tuple(parse_declarations(declarations).variables.values())


def read(
    formula: str | Expr,
    shapes: Shapes = None,
    dialect: str = "numpy",
    profile: str | None = None,
    functions: Functions = None,
) -> Formula:
    """The formula as data, from text or from an expression built in Python."""
    if isinstance(formula, str):
        return parse_formula(formula, shapes, dialect=dialect, profile=profile, functions=functions)
    if not isinstance(formula, Expr):
        raise OptionError(
            f"a formula is a text or an expression, not {type(formula).__name__}",
            hint='write cr.derive("x**2", wrt="x"), or build it from cr.variables("x")',
        )
    if shapes:
        raise OptionError("an expression has its shapes already", hint="leave out shapes=")
    if functions:
        raise OptionError("an expression has its functions already", hint="leave out functions=")
    found: dict[str, Variable] = {}
    for variable in variables_of(formula):
        other = found.setdefault(variable.name, variable)
        if other is not variable:
            raise ShapeMismatch(
                f"{variable.name} stands for two variables here: {declared(other)} and {declared(variable)}",
                hint="declare all variables of a formula in one call of cr.variables",
            )
    for name in dim_names(formula):
        if name in found:
            raise ShapeMismatch(f"{name} is a variable and a size at once", hint="rename one of the two")
    check_profile(profile)
    return Formula("", "numpy", formula, found, profile=profile)


def named_parts(formula: Formula) -> dict[str, Expr]:
    """The parts that a person named, in canonical form, as they are met inside a derivative."""
    normal = Normaliser()
    return {name: normal(part) for name, part in formula.names.items()}


class Simplified:
    """A formula at its simplest; made by `simplify`.

    expression   its simplest form
    assumptions  sentences: how what was not declared was read
    """

    def __init__(self, formula: Formula, expression: Expr) -> None:
        self.formula = formula
        self.expression = expression
        self.assumptions = formula.assumptions

    @property
    def shape(self) -> tuple[str | int, ...]:
        """Its sizes."""
        return tuple(map(size, self.expression.shape))

    @cached_property
    def _shown(self) -> tuple[Presentation, list[tuple[str, Presentation]]]:
        (shown,), where = present_many(
            [Request(self.expression)],
            named_parts(self.formula),
            taken=self.formula.functions.declared,
            profile=self.formula.profile,
        )
        return shown, where

    @property
    def latex(self) -> str:
        """The formula in LaTeX."""
        return latex_where(*self._shown)

    @property
    def numpy_source(self) -> str:
        """The formula in the NumPy dialect."""
        return numpy_formula(self.expression, named_parts(self.formula))

    def __str__(self) -> str:
        return text_where(*self._shown)

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"


def simplify(
    formula: str | Expr,
    shapes: Shapes = None,
    *,
    dialect: str = "numpy",
    profile: str | None = None,
    functions: Functions = None,
) -> Simplified:
    """A formula at its simplest.

    Raises: ChainruleError if it is not a formula.

    >>> print(simplify("inv(inv(A)) @ x + A @ x", shapes="A[n,n] x[n]"))
    2Ax
    """
    parsed = read(formula, shapes, dialect, profile, functions)
    return Simplified(parsed, simplest(parsed.expr))


class Verdict:
    """Whether two formulas are the same; made by `equal`, and true or false like the answer.

    proved       whether both have one canonical form
    profile      in whose signs it is said
    comparison   what random points showed, where canonical forms differ
    assumptions  sentences: how what was not declared was read
    """

    def __init__(
        self,
        left: Expr,
        right: Expr,
        comparison: Comparison | None,
        assumptions: Sequence[str] = (),
        profile: str | None = None,
    ) -> None:
        self.profile = profile
        self.left = left
        self.right = right
        self.comparison = comparison
        self.assumptions = tuple(assumptions)

    @property
    def proved(self) -> bool:
        """Whether simplification alone makes them the same."""
        return self.comparison is None

    def __bool__(self) -> bool:
        return self.comparison is None or self.comparison.equal

    def __str__(self) -> str:
        if self.comparison is None:
            return f"equal: both simplify to {present(self.left, profile=self.profile).text}"
        if self.comparison.equal:
            return (
                f"equal at {self.comparison.points} random points, "
                f"largest relative error {self.comparison.worst:.1e}"
            )
        return f"different: {_difference(self.left, self.right, self.comparison)}"

    __repr__ = __str__


def _difference(left: Expr, right: Expr, comparison: Comparison) -> str:
    if left.shape != right.shape:
        return f"the first is {sizes_text(left.shape)}, the second {sizes_text(right.shape)}"
    point, values = comparison.counterexample, comparison.values
    if point is None or values is None or sum(v.size for v in (*point.values.values(), *values)) > LEGIBLE:
        return f"{comparison.reason}, by {comparison.worst:.1e} of the larger one"
    where = ", ".join(f"{name} = {_rounded(value)}" for name, value in point.values.items())
    said = f"the first is {_rounded(values[0])}, the second {_rounded(values[1])}"
    return f"{one_choice(left, right)}at {where} {said}"


def _rounded(value: Any) -> str:
    nested = value.tolist()
    return json.dumps(json.loads(json.dumps(nested), parse_float=lambda text: float(f"{float(text):.4g}")))


def equal(
    left: str | Expr,
    right: str | Expr,
    shapes: Shapes = None,
    *,
    dialect: str = "numpy",
    profile: str | None = None,
    functions: Functions = None,
) -> Verdict:
    """Whether two formulas have the same value for all arguments.

    One canonical form proves it; where the canonical forms differ, random points decide.
    Raises: ChainruleError if one of them is not a formula.

    >>> bool(equal("tr(A @ B)", "tr(B @ A)", shapes="A[m,n] B[n,m]"))
    True
    """
    first, second = _together(left, right, shapes, dialect, profile, functions)
    a, b = (simplest(formula.expr) for formula in (first, second))
    said = list(dict.fromkeys([*first.assumptions, *second.assumptions]))
    if a is b:
        return Verdict(a, b, None, said, profile)
    from chainrule.verify.compare import equal as compare

    everything = {**first.variables, **second.variables}
    return Verdict(a, b, compare(a, b, list(everything.values())), said, profile)


def _together(
    left: str | Expr,
    right: str | Expr,
    shapes: Shapes,
    dialect: str,
    profile: str | None,
    functions: Functions,
) -> tuple[Formula, Formula]:
    """Both formulas with one shape for each name: what one shows about a name holds in the other."""
    if isinstance(left, Expr):
        first = read(left, None, dialect, profile)
    else:
        first = read(left, shapes, dialect, profile, functions)
    if isinstance(right, Expr):
        return first, read(right)
    known = functions if isinstance(left, Expr) else first.functions
    try:
        return first, read(right, declaration({**first.variables}) or shapes, dialect, profile, known)
    except ShapeMismatch:
        second = read(right, shapes, dialect, profile, known)
        if isinstance(left, Expr):
            raise
        return read(left, declaration(second.variables) or shapes, dialect, profile, known), second


def declaration(variables: Mapping[str, Variable]) -> str:
    """The declaration of these variables, as the language reads it.

    >>> declaration({"A": Variable("A", (Dim.of("n"), Dim.of("n")), ("symmetric",))})
    'A[n,n]:symmetric'
    """
    return " ".join(map(declared, variables.values()))


def declared(variable: Variable) -> str:
    """One variable with its sizes and structure: X[N,n], y[n]:sign, A[n,n]:{positive, symmetric}."""
    sizes = f"[{','.join(map(str, variable.shape))}]" if variable.rank else ""
    words = ", ".join(variable.structure)
    structure = f":{{{words}}}" if len(variable.structure) > 1 else f":{words}" if words else ""
    return variable.name + sizes + structure


def size(dim: Dim) -> str | int:
    """A size as people write it: a name, a number, a polynomial."""
    return str(dim) if dim.constant is None else dim.constant


def text_where(shown: Presentation, where: Sequence[tuple[str, Presentation]]) -> str:
    """What is written and what its names stand for, on one line that can be read back."""
    names = ", ".join(f"{to_text(head(name, part))} = {part.text}" for name, part in where)
    return shown.text + (f" where {names}" if where else "")


def latex_where(shown: Presentation, where: Sequence[tuple[str, Presentation]]) -> str:
    """The same in LaTeX."""
    names = r",\ ".join(f"{to_latex(head(name, part))} = {part.latex}" for name, part in where)
    return shown.latex + (rf" \quad \text{{where }} {names}" if where else "")
