"""Source to a function that people call: arrays by keyword, checked, sizes inferred.

In: expressions and their variables. Out: a CompiledFunction. It only ever runs source that this room wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite
from typing import Any

import numpy as np

from chainrule.codegen.backends import backend_named
from chainrule.codegen.binding import Binding, may_miss
from chainrule.codegen.compiled import CompiledFunction, executed, library
from chainrule.codegen.entry import ABSENT, FAILED, FLAGS, NOTED, entry, failure
from chainrule.codegen.kept import Kept
from chainrule.codegen.numba import ParallelNumba
from chainrule.codegen.numpy import LowMemory, NumPy
from chainrule.codegen.source import Source, write_source
from chainrule.codegen.stable import stable
from chainrule.codegen.vocabulary import Vocabulary
from chainrule.errors import ArrayMismatch, DomainProblem, OptionError
from chainrule.expr.nodes import Apply, Expr, Variable
from chainrule.expr.walk import topological
from chainrule.expr.walk import variables as variables_of
from chainrule.rules.tensorial import norm
from chainrule.rules.unknown import unknown_in

DOUBLE = np.dtype(np.float64)
UNFLAGGED = re.compile(r"linalg\.(?!norm)|@njit")  # what may make NaN without NumPy's flags telling
Make = Callable[[dict[Any, Any], Any], Any]


class NumPyFunction(CompiledFunction):
    """f(X=..., w=...) by NumPy; with `out`, an array or a dict of arrays, the result is written there."""

    def __init__(
        self,
        function: Callable[..., Any],
        source: str,
        binding: Binding,
        *,
        undefined: bool = False,
        lengths: Sequence[Expr] = (),
        make: Make | None = None,
        kept: Kept | None = None,
    ) -> None:
        self._undefined, self._lengths, self._make, self._kept = undefined, tuple(lengths), make, kept
        super().__init__(function, source, binding)
        self._unflagged = UNFLAGGED.search(source) is not None

    def options(self) -> Sequence[str]:
        return ("out",) if self._kept is not None else ()

    def __call__(self, *positional: object, **given: Any) -> Any:
        return self.careful(positional, given)

    def careful(self, positional: Sequence[object], given: Mapping[str, Any]) -> Any:
        """What a call gives whose arguments have yet to be checked, converted or written to `out`."""
        binding = self._binding
        if positional:
            raise ArrayMismatch(
                "arrays are given by name",
                hint=f"write f({', '.join(f'{n}=...' for n in binding.arrays)})",
            )
        present = {name: value for name, value in given.items() if value is not ABSENT}
        kept = self._kept if "out" not in binding.variables else None
        out = present.pop("out", None) if kept is not None else None
        arrays, sizes = binding.bind(present)
        floats = [n for n, v in binding.variables.items() if v.bound is None and n in arrays]
        # A constant has the precision of what is given beside it.
        kinds = {arrays[n].dtype for n in [n for n in floats if n in binding.arrays] or floats}
        if len(kinds) > 1:
            # What is written in place would be rounded to the precision of the array that it is written into.
            arrays = {**arrays, **{n: arrays[n].astype(np.result_type(*kinds)) for n in floats}}
        arguments = [*(arrays[n] for n in binding.arrays), *(sizes[n] for n in binding.needed)]
        dtype = kinds.pop() if len(kinds) == 1 else None
        if kept is None or out is None:
            result = self._computed(arguments, dtype, present, arrays)
            return result if self._make is None else self._make(result, dtype or DOUBLE)
        return self.written(out, kept.sizes(sizes), arguments, dtype, present, arrays)

    def written(
        self,
        out: Any,
        shapes: Sequence[Sequence[int]],
        arguments: Sequence[Any],
        dtype: Any,
        given: Mapping[str, Any],
        arrays: Mapping[str, Any],
    ) -> Any:
        """`out`, in which the results of these shapes are, for arguments that fit."""
        kept = self._kept
        assert kept is not None
        places = kept.places(out, shapes, dtype or DOUBLE)
        try:
            if kept.is_direct(places.values(), arguments, dtype):
                told = self._run(kept.function, [*arguments, out], arrays)[1]
                if not self._undefined and (told or self._unflagged):
                    self._refuse_undefined(list(places.values()), given)
            else:
                result = self._computed(arguments, dtype, given, arrays)
                for name, place in places.items():
                    np.copyto(place, result if kept.single else result[name], casting="same_kind")
        except BaseException:
            # What was written before is no result.
            for place in places.values():
                place.fill(np.nan)
            raise
        return out if self._make is None else self._make(places, dtype or DOUBLE)

    def _computed(
        self, arguments: Sequence[Any], dtype: Any, given: Mapping[str, Any], arrays: Mapping[str, Any]
    ) -> Any:
        """The results for arrays that fit, in their precision; an error where there are none."""
        result, told = self._run(self._function, arguments, arrays)
        return self.finish(result, dtype, told, given)

    def _run(
        self, function: Callable[..., Any], arguments: Sequence[Any], arrays: Mapping[str, Any]
    ) -> tuple[Any, bool]:
        """What a function gives, and whether NumPy told of something undefined on the way."""
        before = FLAGS.last
        try:
            if self._undefined:
                return function(*arguments), False
            return NOTED.copy().run(function, *arguments), FLAGS.last is not before
        except FAILED as problem:
            raise failure(problem, self._binding, arrays) from None

    def finish(self, result: Any, dtype: Any, told: bool, given: Mapping[str, Any]) -> Any:
        """The result in the precision of the arrays given; an error if NaN arose, as flags may have told."""
        if isinstance(result, dict):
            for name, value in result.items():
                if type(value) is not np.ndarray or value.dtype is not dtype or not value.ndim:
                    result[name] = _finished(value, dtype)
        elif type(result) is not np.ndarray or result.dtype is not dtype or not result.ndim:
            result = _finished(result, dtype)
        if not self._undefined and (told or self._unflagged):
            self._refuse_undefined(list(result.values()) if isinstance(result, dict) else [result], given)
        return result

    def _refuse_undefined(self, results: Sequence[Any], given: Mapping[str, Any]) -> None:
        """Raises DomainProblem if finite arrays give NaN, or infinity by a norm that is 0."""
        flat = [value.ravel("K") for value in results]
        with np.errstate(all="ignore"):
            if all(isfinite(value.dot(value)) for value in flat):
                return
        bad = any(np.isnan(value).any() for value in results)
        if not bad and not (self._lengths and any(np.isinf(value).any() for value in results)):
            return
        present = {name: value for name, value in given.items() if value is not ABSENT}
        if not all(np.isfinite(np.asarray(value, np.float64)).all() for value in present.values()):
            return  # what is given is passed on
        if self._lengths:
            norms = compile_expressions(
                dict(enumerate(self._lengths)), list(self._binding.variables.values()), undefined=True
            )
            if any((value == 0).any() for value in norms(**present).values()):
                raise DomainProblem(
                    "a norm that is divided by is 0 at these arrays, and the derivative does not exist there",
                    hint="move the arrays a little off this point",
                )
        if bad:
            raise DomainProblem(
                "the result is not defined at these arrays: some entry is 0/0, 0 · ∞, ∞ − ∞, "
                "or a root or logarithm of a negative number",
                hint="a limit may exist there, but this form has no value; "
                "move the arrays a little off this point",
            )


def source_of(
    outputs: Mapping[Any, Expr],
    variables: Sequence[Variable],
    names: Mapping[str, Expr] | None = None,
    *,
    single: bool = False,
    function: str = "derivative",
    printer: type[Vocabulary] = NumPy,
    about: str = "",
    sizes: Mapping[str, int] | None = None,
    out: bool = False,
) -> Source:
    """The source of a function for all outputs: one array if `single`, else a dict. No library is needed.

    With `out` its last parameter is what the results are written to.
    """
    refuse_unknown(*outputs.values())
    rewritten, kept = stable(outputs, names or {})
    return write_source(
        rewritten,
        variables,
        kept,
        single=single,
        function=function,
        printer=printer,
        about=about,
        sizes=sizes,
        out=out,
    )


def compile_expressions(
    outputs: Expr | Mapping[Any, Expr],
    variables: Sequence[Variable] = (),
    *,
    names: Mapping[str, Expr] | None = None,
    check_finite: bool = False,
    undefined: bool = False,
    function: str = "derivative",
    backend: str = "numpy",
    memory: str = "",
    parallel: bool = False,
    about: str = "",
    whole: Sequence[Any] = (),
    sizes: Mapping[str, int] | None = None,
    make: Make | None = None,
) -> CompiledFunction:
    """A function for one expression (an array) or several (a dict), shared parts computed once.

    `variables` are all declared ones, in order; `names` the parts that a person named; `undefined` lets NaN
    pass, which finite arrays otherwise give an error for; `backend` one of BACKENDS; `memory` "low" for sums
    over rows in small blocks; `about` what its docstring says; `whole` the keys of results that are whole
    numbers and need not be floats; `sizes` what the order of products is chosen for; `make`, for NumPy and
    Numba, what is made of the dict of results and their precision before it is returned.
    Raises: OptionError if the library of the backend is not installed, or an option is not for it.

    >>> from chainrule.expr.dims import Dim
    >>> x = Variable("x", (Dim.of("n"),))
    >>> compile_expressions(2 * x)(x=[1, 2])
    array([2., 4.])
    """
    single = isinstance(outputs, Expr)
    wanted = {"": outputs} if isinstance(outputs, Expr) else dict(outputs)
    declared = list({v.name: v for v in (*variables, *variables_of(*wanted.values()))}.values())
    known = backend_named(backend)
    if parallel and backend != "numba":
        raise OptionError(
            f"parallel is not for the {backend} backend",
            hint='backend="numba" runs its loops on several cores; other libraries have their own settings',
        )
    if memory and (memory != "low" or backend != "numpy"):
        raise OptionError(
            f"there is no memory={memory!r} for the {backend} backend",
            hint='memory="low", for NumPy, adds up long sums in small blocks',
        )
    if known.package:
        if check_finite and known.function is not None:
            raise OptionError(
                f"check_finite is not for the {backend} backend, whose arrays may be traced",
                hint="check the arrays before the call",
            )
        library(known.package)
    printer = LowMemory if memory else ParallelNumba if parallel else known.printer
    written = partial(
        source_of,
        wanted,
        declared,
        names,
        single=single,
        function=function,
        printer=printer,
        about=about,
        sizes=sizes,
    )
    source = written()
    every = topological(wanted.values())
    missed = [n for n in every if isinstance(n, Apply) and may_miss(n)]
    lengths = [n for n in every if isinstance(n, Apply) and n.function is norm]
    ranks = [None if key in whole else e.rank for key, e in wanted.items()]
    binding = Binding(source.arrays, source.sizes, declared, missed, check_finite)
    keys = None if single else list(wanted)
    into = None if backend != "numpy" or whole else partial(written, out=True)
    kept = Kept({key: e.shape for key, e in wanted.items()}, single, into)
    options: dict[str, Any] = {"undefined": undefined, "lengths": lengths, "make": make, "kept": kept}
    return loaded(source, binding, keys, ranks, backend, **options)


def loaded(
    source: Source,
    binding: Binding,
    keys: Sequence[Any] | None,
    ranks: Sequence[int | None],
    backend: str = "numpy",
    *,
    undefined: bool = False,
    lengths: Sequence[Expr] = (),
    make: Make | None = None,
    kept: Kept | None = None,
) -> CompiledFunction:
    """The function that a source defines; `keys` are the names of its results if it has several."""
    options: dict[str, Any] = {"undefined": undefined, "lengths": lengths, "make": make, "kept": kept}
    made = _defined(source, binding, keys, ranks, backend, **options)
    made.again = partial(loaded, source, binding, keys, ranks, backend, **options)
    return made


def _defined(
    source: Source,
    binding: Binding,
    keys: Sequence[Any] | None,
    ranks: Sequence[int | None],
    backend: str,
    *,
    undefined: bool,
    lengths: Sequence[Expr],
    make: Make | None,
    kept: Kept | None,
) -> CompiledFunction:
    function = executed(source.text, source.function)
    traced = backend_named(backend).function
    if traced is not None:
        return traced(function, source.text, binding, keys)
    kind: type[NumPyFunction] = NumPyFunction
    if not (binding.slices or binding.check_finite):
        trusted = UNFLAGGED.search(source.text) is None
        given = (list(binding.variables.values()), source.arrays, source.sizes)
        shapes = None if kept is None else list(kept.shapes.values())
        called = entry(*given, function, ranks, keys is None, trusted, not undefined, make, shapes)
        if called is not None:
            kind = type("NumPyFunction", (NumPyFunction,), {"__call__": called})
    return kind(function, source.text, binding, undefined=undefined, lengths=lengths, make=make, kept=kept)


def refuse_unknown(*exprs: Expr) -> None:
    """Raises OptionError if a function in them was left unknown: it has no values."""
    names = unknown_in(*exprs)
    if names:
        several = len(names) > 1
        raise OptionError(
            f"{' and '.join(names)} {'are' if several else 'is'} left unknown, "
            "so the formula has no values and cannot be compiled",
            hint=f"write the function{'s' * several} out, for example sin(x) in the place of {names[0]}(x)",
        )


def _finished(value: Any, dtype: Any) -> Any:
    """A float array, or a NumPy float for a number, in the precision of the arrays given."""
    if dtype is DOUBLE and type(value) is np.ndarray and value.dtype is DOUBLE and value.ndim:
        return value
    array = np.asarray(value, dtype)
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    return array if array.ndim else array[()]
