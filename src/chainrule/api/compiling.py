"""From derivatives to what is compiled: the form that costs least, alone or with the value beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chainrule.api.backward import code_names
from chainrule.errors import OptionError
from chainrule.expr.nodes import Expr
from chainrule.rules.unknown import unknown_in

if TYPE_CHECKING:
    from chainrule.api.derivative import Derivative, Derivatives
    from chainrule.codegen.compiled import CompiledFunction
    from chainrule.codegen.structured import StructuredFunction

VALUE = "value"


def code_forms(parts: Sequence[Derivative]) -> list[Expr]:
    """What is compiled for derivatives: their closed forms, or equal ones that cost less to compute."""
    from chainrule.codegen.forms import cheaper

    printed = [d.expression for d in parts]
    layered = any(d.recursion is not None for d in parts)
    if layered or any(d.options.times is not None or unknown_in(d.expression) for d in parts):
        return printed
    return cheaper(printed, [d.chain[-1] for d in parts], {})


class ValueAndDerivatives:
    """f(X=..., w=...): the value of the formula, and its derivative as `compile()` returns it.

    `__source__` is the source of one function for both: what they share is computed once.
    """

    def __init__(self, function: CompiledFunction, value: str, only: str | None) -> None:
        self.__source__ = function.__source__
        self._function, self._value, self._only = function, value, only

    def __call__(self, *positional: Any, **given: Any) -> tuple[Any, Any]:
        results = dict(self._function(*positional, **given))
        value = results.pop(self._value)
        return value, results if self._only is None else results[self._only]


def written_for(backend: str, asked: Derivative | Derivatives, outputs: Expr | Mapping[Any, Expr]) -> str:
    """The source of a function that computes the outputs, one array or several."""
    from chainrule.codegen.backends import backend_named
    from chainrule.codegen.load import source_of

    single = not isinstance(outputs, Mapping)
    wanted = outputs if isinstance(outputs, Mapping) else {"": outputs}
    variables = list(asked.formula.variables.values())
    printer = backend_named(backend).printer
    return source_of(wanted, variables, code_names(asked), single=single, printer=printer).text


def with_value(about: Derivative | Derivatives, backend: str) -> ValueAndDerivatives:
    """The value and all derivatives as one function."""
    from chainrule.codegen.load import compile_expressions

    parts = about.parts()
    single = not isinstance(about, Mapping)
    keys: list[Any] = list(about) if isinstance(about, Mapping) else ["derivative"]
    value = VALUE
    while value in keys:
        value += "_"
    function = compile_expressions(
        {value: about.formula.expr, **dict(zip(keys, code_forms(parts), strict=True))},
        list(about.formula.variables.values()),
        names=code_names(about),
        backend=backend,
        function="value_and_derivatives",
    )
    return ValueAndDerivatives(function, value, keys[0] if single else None)


def structured_function(
    about: Derivative, check_finite: bool, backend: str, memory: str, parallel: bool
) -> StructuredFunction:
    """A function whose result keeps its structure; the first axes, those of what is differentiated, are rows.

    Raises: OptionError for what has no rows or no columns, and for backends that are not of NumPy.
    """
    from chainrule.codegen.load import compile_expressions
    from chainrule.codegen.structured import StructuredFunction, layout

    if backend not in ("numpy", "numba"):
        raise OptionError(
            f"structured is not for the {backend} backend",
            hint="numpy and numba give results with a structure",
        )
    rows = about.below.rank
    if not rows or about.expression.rank == rows:
        lacks = "rows" if not rows else "columns"
        raise OptionError(
            f"structured is for a matrix, and this {about.kind} has no {lacks}: it is "
            + ("a derivative of one number" if not rows else "a derivative by one number"),
            hint="compile() gives its array; a Jacobian of an array or a Hessian has a structure",
        )
    found = layout(code_forms([about])[0], rows)
    if found.dense:
        found = layout(about.expression, rows)
    function = compile_expressions(
        found.parts,
        list(about.formula.variables.values()),
        names=code_names(about),
        backend=backend,
        check_finite=check_finite,
        memory=memory,
        parallel=parallel,
        function="parts",
        about=f" The matrix is {found.says}.",
        sizes=found.sizes,
    )
    return StructuredFunction(function, found.make)
