"""From derivatives to what is compiled: the form that costs least, alone or with the value beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from chainrule.api.backward import code_names
from chainrule.api.sizes import Sizes, read_sizes
from chainrule.errors import OptionError
from chainrule.expr.nodes import Expr
from chainrule.rules.unknown import unknown_in
from chainrule.simplify import normalise

if TYPE_CHECKING:
    from chainrule.api.compilable import Compilable
    from chainrule.api.derivative import Derivative, Derivatives
    from chainrule.codegen.compiled import CompiledFunction
    from chainrule.codegen.structured import Layout, StructuredFunction, StructuredFunctions

VALUE = "value"


def code_forms(
    parts: Sequence[Derivative], sizes: Mapping[str, int] | None = None, value: Expr | None = None
) -> list[Expr]:
    """What is compiled for derivatives: their closed forms, or equal ones that cost less at these sizes.

    A value that is asked for beside them comes first, in a form that shares its parts with theirs.
    """
    from chainrule.codegen.forms import cheaper

    printed = [d.expression for d in parts]
    values = [normalise(value)] if value is not None else []
    layered = any(d.recursion is not None for d in parts)
    if layered or any(d.options.times is not None or unknown_in(d.expression) for d in parts):
        return [*values, *printed]
    return cheaper([*values, *printed], [*values, *(d.chain[-1] for d in parts)], sizes or {})


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


def written_for(backend: str, asked: Compilable[Any], sizes: Sizes) -> str:
    """The source of a function that computes a derivative, or all of them."""
    from chainrule.codegen.backends import backend_named
    from chainrule.codegen.load import source_of

    given = read_sizes(sizes, asked.formula)
    forms = code_forms(asked.parts(), given)
    keys: list[Any] = list(asked) if isinstance(asked, Mapping) else [""]
    wanted, single = dict(zip(keys, forms, strict=True)), not isinstance(asked, Mapping)
    variables = list(asked.formula.variables.values())
    printer = backend_named(backend).printer
    return source_of(wanted, variables, code_names(asked), single=single, printer=printer, sizes=given).text


def compiled(asked: Compilable[Any], sizes: Sizes, **options: Any) -> CompiledFunction:
    """The function that computes a derivative, or a dict of all of them."""
    from chainrule.codegen.load import compile_expressions

    given = read_sizes(sizes, asked.formula)
    forms = code_forms(asked.parts(), given)
    return compile_expressions(
        dict(zip(asked, forms, strict=True)) if isinstance(asked, Mapping) else forms[0],
        list(asked.formula.variables.values()),
        names=code_names(asked),
        sizes=given,
        **options,
    )


def with_value(about: Compilable[Any], backend: str, sizes: Sizes) -> ValueAndDerivatives:
    """The value and all derivatives as one function."""
    from chainrule.codegen.load import compile_expressions

    parts = about.parts()
    given = read_sizes(sizes, about.formula)
    single = not isinstance(about, Mapping)
    keys: list[Any] = list(about) if isinstance(about, Mapping) else ["derivative"]
    value = VALUE
    while value in keys:
        value += "_"
    function = compile_expressions(
        dict(zip([value, *keys], code_forms(parts, given, about.formula.expr), strict=True)),
        list(about.formula.variables.values()),
        names=code_names(about),
        backend=backend,
        function="value_and_derivatives",
        sizes=given,
    )
    return ValueAndDerivatives(function, value, keys[0] if single else None)


def structured_function(
    about: Derivative, check_finite: bool, backend: str, memory: str, parallel: bool, sizes: Sizes
) -> StructuredFunction:
    """A function whose result keeps its structure; the first axes, those of what is differentiated, are rows.

    Raises: OptionError for what has no rows or no columns, and for backends that are not of NumPy.
    """
    from chainrule.codegen.load import compile_expressions

    _require_numpy(backend)
    _require_matrix(about)
    given = read_sizes(sizes, about.formula)
    found = _layout(about, code_forms([about], given)[0])
    return compile_expressions(
        found.parts,
        list(about.formula.variables.values()),
        names=code_names(about),
        backend=backend,
        check_finite=check_finite,
        memory=memory,
        parallel=parallel,
        function="parts",
        about=f" The matrix is {found.says}.",
        whole=found.sizes,
        sizes=given,
        make=found.make,
    )


def structured_functions(
    about: Derivatives, check_finite: bool, backend: str, memory: str, parallel: bool, sizes: Sizes
) -> StructuredFunctions:
    """One function for several derivatives: those that are matrices keep their structure.

    Raises: OptionError where none is a matrix, and for backends that are not of NumPy.
    """
    from chainrule.codegen.load import compile_expressions

    _require_numpy(backend)
    parts = about.parts()
    if not any(map(_is_matrix, parts)):
        _require_matrix(parts[0])
    outputs: dict[str, Expr] = {}
    given = read_sizes(sizes, about.formula)
    whole: list[str] = []
    makes: list[tuple[Any, str, Layout | None]] = []
    says = []
    for key, part, form in zip(about, parts, code_forms(parts, given), strict=True):
        name = " ".join(part.names)
        found = _layout(part, form) if _is_matrix(part) else None
        makes.append((key, name, found))
        if found is None:
            outputs[name] = form
            continue
        outputs.update({f"{name}: {kind}": expr for kind, expr in found.parts.items()})
        whole += [f"{name}: {kind}" for kind in found.sizes]
        says.append(f" The matrix {name} is {found.says}.")

    return compile_expressions(
        outputs,
        list(about.formula.variables.values()),
        names=code_names(about),
        backend=backend,
        check_finite=check_finite,
        memory=memory,
        parallel=parallel,
        function="parts",
        about="".join(says),
        whole=whole,
        sizes=given,
        make=partial(_each_made, makes),
    )


def _each_made(
    makes: Sequence[tuple[Any, str, Layout | None]], results: Mapping[str, Any], precision: Any
) -> dict[Any, Any]:
    """Each derivative from its parts: a matrix by its layout, an array as it is."""
    return {
        key: results[name]
        if found is None
        else found.make({kind: results[f"{name}: {kind}"] for kind in found.parts}, precision)
        for key, name, found in makes
    }


def _layout(about: Derivative, form: Expr) -> Layout:
    """The structure of the form that is compiled; of the one that prints, where that has none."""
    from chainrule.codegen.structured import layout

    found = layout(form, about.below.rank)
    return layout(about.expression, about.below.rank) if found.dense else found


def _is_matrix(about: Derivative) -> bool:
    return 0 < about.below.rank < about.expression.rank


def _require_matrix(about: Derivative) -> None:
    if not _is_matrix(about):
        lacks = "rows" if not about.below.rank else "columns"
        raise OptionError(
            f"structured is for a matrix, and this {about.kind} has no {lacks}: it is "
            + ("a derivative of one number" if lacks == "rows" else "a derivative by one number"),
            hint="compile() gives its array; a Jacobian of an array or a Hessian has a structure",
        )


def _require_numpy(backend: str) -> None:
    if backend not in ("numpy", "numba"):
        raise OptionError(
            f"structured is not for the {backend} backend",
            hint="numpy and numba give results with a structure",
        )
