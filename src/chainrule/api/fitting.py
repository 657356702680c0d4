"""fit(): a loss, its parameters and data in; parameters that make the loss small out.

Here a loss gets its shapes from the data, is derived, and becomes an objective; the room `fit` does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from chainrule.api.compiling import code_forms
from chainrule.api.derivative import Derivative, Derivatives
from chainrule.api.deriving import derive
from chainrule.api.formulas import Functions, Shapes, declaration, declared, read
from chainrule.api.inner_parts import gauss_newton_blocks, said, terms
from chainrule.api.row_checks import check_rows
from chainrule.codegen.binding import Array, Binding
from chainrule.errors import ArrayMismatch, OptionError
from chainrule.expr.dims import Dim
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Expr, Variable, constant_of
from chainrule.fit.derived import Derived
from chainrule.language import Formula
from chainrule.language.declarations import parse_declarations
from chainrule.notation.matform import name as name_tree
from chainrule.notation.matform import negative
from chainrule.notation.text import to_text

ROW_NAMES = ("N", "rows", "N_rows")


@dataclass(frozen=True)
class Setting:
    """A loss with all shapes known.

    params  the names of the parameters, in order
    data    the variables that hold rows
    fixed   the arrays of all others
    rows    the arrays of `data`; empty where they are somewhere else
    sizes   lengths of axes by name; the number of rows is not among them
    """

    formula: Formula
    params: tuple[str, ...]
    data: tuple[str, ...]
    fixed: Mapping[str, Array]
    rows: Mapping[str, Array]
    sizes: Mapping[str, int]


def setting(
    loss: str | Expr,
    params: str | Sequence[str] | None,
    arrays: Mapping[str, Any],
    shapes: Shapes,
    *,
    sizes: Mapping[str, int] | None = None,
    count: int | None = None,
    dialect: str = "numpy",
    functions: Functions = None,
) -> Setting:
    """What is a parameter, what holds rows and what is fixed, with shapes from the arrays.

    `count` is the number of rows where `arrays` has some rows only, as examples of their shapes.
    Raises: ChainruleError for what does not fit.
    """
    known = {name: _as_array(name, value) for name, value in arrays.items()}
    formula, row_size = _read(loss, known, shapes, dialect, functions)
    names = _param_names(params, formula, known)
    missing = [name for name in formula.variables if name not in known and name not in names]
    if missing:
        listed = " and ".join(missing)
        raise OptionError(
            f"{listed} {'is' if len(missing) == 1 else 'are'} neither data nor a parameter",
            hint=f"give data for {listed}, or name {listed} among the parameters",
        )
    declared = formula.variables if not isinstance(loss, str) else parse_declarations(shapes).variables
    check_rows(formula.expr, names, known, declared, row_size)
    if formula.expr.rank:
        raise OptionError("a loss is a number, and this formula has axes", hint="take its sum or its mean")
    variables = formula.variables
    given = _given_sizes(sizes or {}, variables)
    binding = Binding((), (), list(variables.values()))
    bound, found = binding.bind({**{name: known[name] for name in known if name in variables}, **given})
    for name in names:
        unknown = [d for dim in variables[name].shape for d in dim.names if d not in found]
        if unknown:
            shape = ", ".join(map(str, variables[name].shape))
            raise OptionError(
                f"the size {unknown[0]} of {name}[{shape}] is not known: no data shows it",
                hint=f"give it, as in sizes={{'{unknown[0]}': 16}}",
            )
    data = [n for n in bound if variables[n].rank and variables[n].shape[0].name == row_size]
    found.pop(row_size, None) if data else None
    if any(row_size in dim.names for n in names for dim in variables[n].shape):
        found[row_size] = count if count is not None else len(bound[data[0]])
    return Setting(
        formula,
        names,
        tuple(data),
        {name: array for name, array in bound.items() if name not in data},
        {name: bound[name] for name in data},
        found,
    )


def derived(about: Setting, at_kink: float | str = 0) -> tuple[Derived, Derivatives | Derivative]:
    """The derivatives that fitting needs, and those that are printed.

    Raises: OptionError if the loss does not depend on a parameter; ChainruleError as `derive` does.
    """
    formula = about.formula
    loss = formula.expr if not formula.source else formula.source
    names = list(about.params)
    asked: dict[str, Any] = {"at_kink": at_kink, "dialect": formula.dialect}
    if formula.source:
        asked |= {"shapes": declaration(formula.variables), "functions": formula.functions}
    first = derive(loss, wrt=names, layout="shape", **asked)
    parts = first.parts()
    gradients = dict(zip(names, code_forms(parts), strict=True))
    for name, part in zip(names, parts, strict=True):
        constant = constant_of(part.expression)
        if constant is not None and constant.rational == 0:
            raise OptionError(
                f"the loss does not depend on {name}, so that no data can tell it",
                hint=f"leave {name} out of the parameters, or declare its shape: {name} is read as "
                + (declared(formula.variables[name]) if part.expression.rank else "a number"),
            )

    def products() -> tuple[dict[str, Expr], dict[str, Variable]]:
        fresh = [_fresh(f"v_{name}", formula) for name in names]
        second = derive(loss, wrt=names, order=2, times=fresh, **asked)
        directions = {
            name: Variable(along, formula.variables[name].shape)
            for name, along in zip(names, fresh, strict=True)
        }
        return dict(zip(names, code_forms(second.parts()), strict=True)), directions

    def hessian() -> dict[tuple[str, str], Expr]:
        second = derive(loss, wrt=names, order=2, **asked)
        return _by_pairs(second, names)

    @cache
    def gauss_newton() -> tuple[dict[tuple[str, str], Expr], str]:
        try:
            named = first.gauss_newton()
        except OptionError:
            # Nothing is named, or not what all parameters act through.
            moving, kink = [formula.variables[name] for name in names], first.options.at_kink
            choices = ", ".join(map(said, terms(formula.expr, moving, kink)))
            return gauss_newton_blocks(formula, moving, kink), f"Gauss-Newton takes {choices}"
        return dict(named.blocks), f"Gauss-Newton takes f = {named.inner}"

    variables = tuple(formula.variables.values())
    made = Derived(
        formula.expr,
        variables,
        gradients,
        products,
        hessian,
        lambda: gauss_newton()[0],
        lambda: gauss_newton()[1],
    )
    return made, first


def updates(derivatives: Derivatives | Derivative) -> list[str]:
    """What gradient descent does with the derivatives, a line for each parameter: w ← w − η ∂C/∂w.

    >>> d = derive("mean((y - X @ w)**2)", wrt="w", shapes="X[N,n] w[n] y[N]", layout="shape")
    >>> updates(d)
    ['w ← w − η (2/N) Xᵀ(Xw − y)']
    """
    lines = []
    for answer in derivatives.sheet.answers:
        name = name_tree(answer.derivative.wrt[0].name)
        tree = answer.written.tree
        several = tree.op == "sum" and len(tree.args) > 1
        turned = not several and to_text(tree).startswith("−")
        step = to_text(negative(tree) if turned else tree)
        step = f"({step})" if several else step
        times = "η · " if step[0].isdigit() else "η "
        lines.append(f"{to_text(name)} ← {to_text(name)} {'+' if turned else '−'} {times}{step}")
    return lines + [line for line in derivatives.sheet.answer_lines() if line.startswith("where ")]


# ---------------------------------------------------------------- shapes


def _as_array(name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as problem:
        raise ArrayMismatch(f"{name} cannot be made from what was given: {problem}") from None
    if array.dtype.kind not in "biuf":
        raise ArrayMismatch(
            f"{name} was given an array of {array.dtype}, not of real numbers",
            hint="give numbers, or columns of a table by let=...",
        )
    return array


def _read(
    loss: str | Expr, known: Mapping[str, Array], shapes: Shapes, dialect: str, functions: Functions
) -> tuple[Formula, str]:
    """The formula, with shapes of arrays that were not declared, and the name of the size of the rows."""
    if not isinstance(loss, str):
        formula = read(loss, shapes, dialect, None, functions)
        return formula, size_of_rows(list(formula.variables.values()), known)
    declared = parse_declarations(shapes)
    given = list(declared.variables.values())
    row_size = size_of_rows(given, known)
    taken = {*known, *declared.variables}
    if not row_size:
        row_size = next(name for name in ROW_NAMES if name not in taken)
    rows = _longest(given, known, row_size)
    more = []
    words = words_of(loss)
    for name, array in known.items():
        if name not in declared.variables and name in words:
            axes = [str(length) for length in array.shape]
            if axes and array.shape[0] == rows:
                axes[0] = row_size
            more.append(name + (f"[{','.join(axes)}]" if axes else ""))
    added = " ".join(more)
    if isinstance(shapes, Mapping):
        shapes = {**shapes, **{text.partition("[")[0]: "[" + text.partition("[")[2] for text in more}}
    else:
        shapes = f"{shapes or ''} {added}".strip()
    return read(loss, shapes, dialect, None, functions), row_size


def words_of(loss: str) -> list[str]:
    """The words in a formula, spelled as names are stored.

    >>> words_of("mean((y - X @ β₁)**2)")
    ['mean', 'y', 'X', 'beta1']
    """
    return [ascii_name(word) for word in re.findall(r"[^\W\d]\w*", loss)]


def size_of_rows(declared: Sequence[Variable], known: Mapping[str, Array]) -> str:
    """The size that most declared data has as its first axis, the longest of these; "" if there is none."""
    counts: dict[str, tuple[int, int]] = {}
    for variable in declared:
        if variable.name in known and variable.rank and variable.shape[0].name:
            size = variable.shape[0].name
            often = counts.get(size, (0, 0))[0] + 1
            counts[size] = (often, known[variable.name].shape[0] if known[variable.name].ndim else 0)
    return max(counts, key=lambda size: counts[size], default="")


def _longest(declared: Sequence[Variable], known: Mapping[str, Array], row_size: str) -> int:
    """The number of rows, as far as arrays tell."""
    shown = [
        known[v.name].shape[0]
        for v in declared
        if v.name in known and v.rank and v.shape[0].name == row_size and known[v.name].ndim
    ]
    if shown:
        return int(shown[0])
    return max((int(array.shape[0]) for array in known.values() if array.ndim), default=0)


def _param_names(
    params: str | Sequence[str] | None, formula: Formula, known: Mapping[str, Array]
) -> tuple[str, ...]:
    if params is None:
        names = [name for name in formula.variables if name not in known]
    elif isinstance(params, str):
        names = [part.strip() for part in params.split(",") if part.strip()]
    else:
        names = [str(name) for name in params]
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in formula.variables:
            raise OptionError(
                f"there is no variable {name} in the loss",
                hint=f"its variables are {', '.join(formula.variables)}",
            )
        if name in known:
            raise OptionError(
                f"{name} is a parameter and is given as data",
                hint=f"leave it out of the parameters, or give it as a start: init={{'{name}': ...}}",
            )
        if formula.variables[name].bound is not None:
            raise OptionError(f"{name} is declared integer, and whole numbers have no derivative")
    if not names:
        raise OptionError(
            "there are no parameters: all variables of the loss are given as data",
            hint="leave out what is to be found, and name it: params=['w', 'b']",
        )
    return tuple(names)


def _given_sizes(given: Mapping[str, int], variables: Mapping[str, Variable]) -> dict[str, int]:
    named = {d for v in variables.values() for dim in (*v.shape, v.bound or Dim.of(1)) for d in dim.names}
    for name, value in given.items():
        if name not in named:
            raise OptionError(
                f"there is no size {name}", hint=f"the sizes are {', '.join(sorted(named)) or 'all known'}"
            )
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise OptionError(f"the size {name} must be a whole number from 1 on, not {value!r}")
    return {name: int(value) for name, value in given.items()}


def _fresh(wish: str, formula: Formula) -> str:
    taken = {*formula.variables, *formula.names}
    taken |= {d for v in formula.variables.values() for dim in v.shape for d in dim.names}
    while wish in taken:
        wish += "_"
    return wish


def _by_pairs(second: Derivatives | Derivative, names: Sequence[str]) -> dict[tuple[str, str], Expr]:
    forms = code_forms(second.parts())
    if not isinstance(second, Mapping):
        return {(names[0], names[0]): forms[0]}
    return {(str(p), str(q)): form for (p, q), form in zip(second, forms, strict=True)}
