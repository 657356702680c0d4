"""Source to a function that people call: arrays by keyword, checked, sizes inferred.

In: expressions and their variables. Out: a CompiledFunction. It only ever runs source that this room wrote.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from chainrule.codegen.linear_helpers import NONE_HERE
from chainrule.codegen.names import identifier
from chainrule.codegen.source import numpy_source
from chainrule.codegen.stable import stable
from chainrule.errors import ArrayMismatch, DomainProblem, OptionError
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Expr, Variable
from chainrule.expr.walk import topological
from chainrule.expr.walk import variables as variables_of
from chainrule.rules.constants import BASIS, SELECT
from chainrule.rules.tensorial import norm
from chainrule.rules.unknown import unknown_in

Array = npt.NDArray[Any]
DOUBLE = np.dtype(np.float64)
_serial = count(1)


class CompiledFunction:
    """f(X=..., w=...): the value of an expression as an array, or of several as a dict of arrays.

    Every declared variable may be given by keyword, those that are used must be. Sizes are read off the
    arrays and may be given too (n=5); `sizes` are their names. `__source__` is the NumPy source. Result
    axes: output axes, then input axes.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        source: str,
        arrays: Sequence[str],
        sizes: Sequence[str],
        variables: Sequence[Variable],
        *,
        slices: Sequence[Apply] = (),
        check_finite: bool = False,
        undefined: bool = False,
        lengths: Sequence[Expr] = (),
    ) -> None:
        self.__source__ = source
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self._function, self._arrays, self._sizes = function, tuple(arrays), tuple(sizes)
        self._variables = {v.name: v for v in variables}
        dims = (d for v in variables for dim in v.shape for d in dim.names)
        self.sizes = tuple(dict.fromkeys([*dims, *self._sizes]))
        self._spelled = {identifier(v): v for v in self._variables if identifier(v) != v}
        self._check_finite = check_finite
        self._slices = tuple(slices)
        self._undefined, self._lengths = undefined, tuple(lengths)
        # What can be called without inference: arrays with nothing but names and integers in their shapes.
        shapes = [
            (n, [d.constant if d.name is None else d.name for d in self._variables[n].shape]) for n in arrays
        ]
        plain = [(n, [d for d in shape if d is not None]) for n, shape in shapes]
        whole = any(v.bound is not None for v in variables)
        self._plain = plain if plain == shapes and not sizes and not slices and not whole else None
        keyword = inspect.Parameter.KEYWORD_ONLY
        names = dict.fromkeys(identifier(v) for v in [*self._variables, *self.sizes])
        needed = {identifier(name) for name in [*self._arrays, *self._sizes]}
        self.__signature__ = inspect.Signature(
            [
                inspect.Parameter(n, keyword, default=inspect.Parameter.empty if n in needed else None)
                for n in sorted(names, key=lambda n: n not in needed)
            ]
        )

    def __repr__(self) -> str:
        return f"<compiled function {self.__name__}{self.__signature__}>"

    def __call__(self, *positional: object, **given: Any) -> Any:
        if positional:
            raise ArrayMismatch(
                "arrays are given by name", hint=f"write f({', '.join(f'{n}=...' for n in self._arrays)})"
            )
        ready = self._as_given(given)
        dtype: np.dtype[Any] | None = DOUBLE
        try:
            if ready is not None:
                result = self._function(*ready)
            else:
                arrays, sizes = self._bind(given)
                result = self._function(*(arrays[n] for n in self._arrays), *(sizes[n] for n in self._sizes))
                kinds = {arrays[n].dtype for n in self._arrays if self._variables[n].bound is None}
                dtype = kinds.pop() if len(kinds) == 1 else None
        except np.linalg.LinAlgError as problem:
            raise _outside(str(problem)) from None
        if isinstance(result, dict):
            finished = {name: _finished(value, dtype) for name, value in result.items()}
            if not self._undefined:
                self._refuse_undefined(finished.values(), given)
            return finished
        whole = _finished(result, dtype)
        if not self._undefined:
            self._refuse_undefined((whole,), given)
        return whole

    def _refuse_undefined(self, results: Iterable[Any], given: Mapping[str, Any]) -> None:
        """Raises DomainProblem if finite arrays give NaN, or infinity by a norm that is 0."""
        whole = list(results)
        bad = any(np.isnan(value).any() for value in whole)
        if not bad and not (self._lengths and any(np.isinf(value).any() for value in whole)):
            return
        if not all(np.isfinite(np.asarray(value, np.float64)).all() for value in given.values()):
            return  # what is given is passed on
        if self._lengths:
            norms = compile_expressions(
                dict(enumerate(self._lengths)), list(self._variables.values()), undefined=True
            )
            if any((value == 0).any() for value in norms(**given).values()):
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

    def _as_given(self, given: Mapping[str, Any]) -> list[Any] | None:
        """The arguments, if they are all float64 arrays that fit, which is soon seen; else None."""
        if self._plain is None or self._check_finite or len(given) != len(self._plain):
            return None
        sizes: dict[str, int] = {}
        ready: list[Any] = []
        for name, shape in self._plain:
            value = given.get(name)
            if type(value) is float and not shape:
                ready.append(np.float64(value))
                continue
            if type(value) is not np.ndarray or value.dtype is not DOUBLE or value.ndim != len(shape):
                return None
            for dim, length in zip(shape, value.shape, strict=True):
                if (dim if isinstance(dim, int) else sizes.setdefault(dim, length)) != length:
                    return None
            ready.append(value)
        return ready

    # ---------------------------------------------------------- what is given

    def _bind(self, given: Mapping[str, Any]) -> tuple[dict[str, Array], dict[str, int]]:
        arrays: dict[str, Array] = {}
        sizes: dict[str, tuple[int, str]] = {}
        weak: list[str] = []
        for key, value in given.items():
            name = self._spelled.get(key, key)
            if name in self._variables:
                arrays[name] = self._array(name, value)
                if isinstance(value, int | float) and not isinstance(value, np.generic):
                    weak.append(name)
            elif name in self.sizes:
                sizes[name] = (_integer(name, value), f"{name}={value} was given")
            else:
                raise self._unknown(key)
        missing = [n for n in self._arrays if n not in arrays]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            wanted = ", ".join(_declared(self._variables[n]) for n in missing)
            raise ArrayMismatch(
                f"{' and '.join(missing)} {verb} missing",
                hint=f"give {', '.join(f'{n}=...' for n in missing)}: {wanted}",
            )
        if weak:
            # A Python number takes the precision of the arrays beside it.
            kinds = {a.dtype for n, a in arrays.items() if n not in weak}
            if len(kinds) == 1:
                dtype = kinds.pop()
                arrays.update({n: arrays[n].astype(dtype) for n in weak})
        found = self._infer(arrays, sizes)
        for name, array in arrays.items():
            bound = self._variables[name].bound
            if bound is not None:
                arrays[name] = _indices(name, array, bound, found)
        return arrays, found

    def _unknown(self, key: str) -> ArrayMismatch:
        known = [*self._variables, *self.sizes]
        near = get_close_matches(key, known, 1, 0.4) or [k for k in known if k.lower() == key.lower()]
        hint = f"did you mean {near[0]}? " if near else ""
        listed = ", ".join(map(_declared, self._variables.values())) or "none"
        return ArrayMismatch(f"there is no variable {key}", hint=f"{hint}the variables are {listed}")

    def _array(self, name: str, value: Any) -> Array:
        declared = _declared(self._variables[name])
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            raise ArrayMismatch(
                f"{declared} was given an array with masked entries", hint="fill them, or leave them out"
            )
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as problem:
            raise ArrayMismatch(f"{declared} cannot be made from what was given: {problem}") from None
        kind = array.dtype.kind
        if kind in "biu":
            array = array.astype(np.float64)
        elif kind == "c":
            raise ArrayMismatch(
                f"{declared} was given complex numbers",
                hint="chainrule differentiates real functions; give a real array",
            )
        elif kind != "f":
            raise ArrayMismatch(
                f"{declared} was given an array of {array.dtype}, not of numbers",
                hint="give a dense array of real numbers (float64, float32 or integers)",
            )
        elif array.dtype.itemsize not in (4, 8):
            # Linear algebra exists in single and double precision only.
            array = array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
        variable = self._variables[name]
        if array.ndim != variable.rank:
            wanted = ", ".join(map(str, variable.shape))
            raise ArrayMismatch(
                f"{declared} has {_axes(variable.rank)}, but the array given has shape {array.shape}",
                hint=f"give {f'an array of shape ({wanted})' if wanted else 'a number'}",
                sizes={name: str(array.shape)},
            )
        if self._check_finite and not np.isfinite(array).all():
            raise ArrayMismatch(f"{declared} holds NaN or infinity")
        return array

    # ---------------------------------------------------------- sizes

    def _infer(self, arrays: Mapping[str, Array], sizes: dict[str, tuple[int, str]]) -> dict[str, int]:
        open_: list[tuple[str, Dim, int]] = []
        for name, array in arrays.items():
            for dim, length in zip(self._variables[name].shape, array.shape, strict=True):
                if dim.name is None:
                    open_.append((name, dim, length))
                    continue
                known = sizes.get(dim.name)
                if known is None:
                    sizes[dim.name] = (
                        length,
                        f"{_declared(self._variables[name])} has {dim.name} = {length}",
                    )
                elif known[0] != length:
                    raise self._conflict(arrays, name, f"{dim.name} = {length}", known[1])
        progress = True
        while progress:
            progress = False
            for name, dim, length in open_:
                unknown = [d for d in dim.names if d not in sizes]
                if len(unknown) == 1:
                    found = _solve(dim, unknown[0], length, {d: s for d, (s, _) in sizes.items()})
                    if found is None:
                        raise ArrayMismatch(
                            f"{_declared(self._variables[name])} was given {length} entries along {dim}, "
                            f"which no {unknown[0]} makes",
                            sizes={name: str(arrays[name].shape)},
                        )
                    text = (
                        f"{_declared(self._variables[name])} has {dim} = {length}, so {unknown[0]} = {found}"
                    )
                    sizes[unknown[0]] = (found, text)
                    progress = True
        plain = {d: s for d, (s, _) in sizes.items()}
        for name, dim, length in open_:
            if all(d in plain for d in dim.names) and dim.evaluate(plain) != length:
                reasons = "; ".join(sizes[d][1] for d in dim.names)
                wanted = f"{dim} = {dim.evaluate(plain)}" if dim.names else str(dim)
                raise self._conflict(
                    arrays, name, str(length), f"{wanted} is needed" + (f": {reasons}" if reasons else "")
                )
        for d in self._sizes:
            if d not in plain:
                raise ArrayMismatch(f"no array shows the size {d}", hint=f"give it, as in f(..., {d}=5)")
        for part in self._slices:
            if all(d in plain for bound in part.parameters if isinstance(bound, Dim) for d in bound.names):
                _check_slice(part, plain)
        return plain

    def _conflict(self, arrays: Mapping[str, Array], name: str, found: str, known: str) -> ArrayMismatch:
        return ArrayMismatch(
            f"{_declared(self._variables[name])} was given shape {arrays[name].shape}, {found}, but {known}",
            sizes={n: str(a.shape) for n, a in arrays.items()},
        )


def compile_expressions(
    outputs: Expr | Mapping[Any, Expr],
    variables: Sequence[Variable] = (),
    *,
    names: Mapping[str, Expr] | None = None,
    check_finite: bool = False,
    undefined: bool = False,
    function: str = "derivative",
) -> CompiledFunction:
    """A NumPy function for one expression (an array) or several (a dict), shared parts computed once.

    `variables` are all declared ones, in order; `names` the parts that a person named; `undefined` lets NaN
    pass, which finite arrays otherwise give an error for.

    >>> x = Variable("x", (Dim.of("n"),))
    >>> compile_expressions(2 * x)(x=[1, 2])
    array([2., 4.])
    """
    single = isinstance(outputs, Expr)
    wanted = {"": outputs} if isinstance(outputs, Expr) else dict(outputs)
    refuse_unknown(*wanted.values())
    declared = list({v.name: v for v in (*variables, *variables_of(*wanted.values()))}.values())
    rewritten, kept = stable(wanted, names or {})
    source = numpy_source(rewritten, declared, kept, single=single, function=function)
    file = f"<chainrule {next(_serial)}>"
    linecache.cache[file] = (len(source.text), None, source.text.splitlines(True), file)
    namespace: dict[str, Any] = {}
    exec(compile(source.text, file, "exec"), namespace)
    return CompiledFunction(
        namespace[function],
        source.text,
        source.arrays,
        source.sizes,
        declared,
        slices=[n for n in topological(wanted.values()) if isinstance(n, Apply) and _may_miss(n)],
        check_finite=check_finite,
        undefined=undefined,
        lengths=[n for n in topological(wanted.values()) if isinstance(n, Apply) and n.function is norm],
    )


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


def _outside(problem: str) -> DomainProblem:
    """What a LinAlgError means for the arrays given; helpers of generated code say it themselves."""
    if NONE_HERE in problem:
        return DomainProblem(f"at these arrays {problem}", hint="move the arrays a little off this point")
    if "positive definite" in problem:
        return DomainProblem(
            "a matrix that cholesky is given is not positive definite at these arrays",
            hint="cholesky exists only where all eigenvalues of the symmetric part are > 0",
        )
    return DomainProblem(
        f"a matrix that has to be inverted is singular at these arrays ({problem})",
        hint="the derivative in this form exists only where the matrix is invertible",
    )


def _may_miss(node: Apply) -> bool:
    """Whether it picks entries that arrays of some sizes lack."""
    if node.function not in (BASIS, SELECT):
        return False
    first, last, size = _ends(node)
    within = first.is_nonnegative and (size - first - Dim.of(1)).is_nonnegative
    if node.function is SELECT:
        count = node.parameters[2]
        within = within and count.is_nonnegative and last.is_nonnegative
        within = within and (size - last - Dim.of(1)).is_nonnegative
    return not within


def _ends(part: Apply) -> tuple[Dim, Dim, Dim]:
    """The first and the last entry that it picks, and of how many."""
    if part.function is BASIS:
        index, size = map(Dim.of, part.parameters)
        return index, index, size
    start, step, count, size = map(Dim.of, part.parameters)
    return start, start + step * (count - Dim.of(1)), size


def _check_slice(part: Apply, sizes: Mapping[str, int]) -> None:
    """Raises where NumPy would wrap around, or cut a slice short whose size the formula counts on."""
    first, last, size = (dim.evaluate(sizes) for dim in _ends(part))
    if part.function is BASIS:
        from_end = (part.parameters[0] - part.parameters[1]).constant is not None
        fits, picked = (0 if from_end else -size) <= first < size, f"index {first}"
    else:
        count = part.parameters[2].evaluate(sizes)
        fits = count == 0 or (count > 0 and 0 <= min(first, last) and max(first, last) < size)
        picked = f"the slice from {first} to {last}"
    if not fits:
        known = ", ".join(f"{d} = {sizes[d]}" for d in sorted(sizes))
        raise ArrayMismatch(
            f"{picked} is outside an axis of {size}",
            hint=f"give larger arrays; the sizes are {known}" if known else "",
            sizes={d: str(s) for d, s in sizes.items()},
        )


def _finished(value: Any, dtype: Any) -> Any:
    """A float array, or a NumPy float for a number, in the precision of the arrays given."""
    if dtype is DOUBLE and type(value) is np.ndarray and value.dtype is DOUBLE and value.ndim:
        return value
    array = np.asarray(value, dtype)
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    return array if array.ndim else array[()]


def _integer(name: str, value: Any) -> int:
    try:
        whole = int(value)
    except (TypeError, ValueError):
        whole = -1
    if whole != value or whole < 0:
        raise ArrayMismatch(f"the size {name} must be a whole number, not {value!r}")
    return whole


def _declared(variable: Variable) -> str:
    return variable.name + ("[" + ", ".join(map(str, variable.shape)) + "]" if variable.rank else "")


def _indices(name: str, array: Array, bound: Dim, sizes: Mapping[str, int]) -> Array:
    """The array as integers; raises unless its entries are whole numbers in the declared range."""
    if not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        raise ArrayMismatch(
            f"{name} is declared integer({bound}), and not all entries of the array given are whole numbers",
            hint="give whole numbers, as int or as float",
        )
    if any(d not in sizes for d in bound.names):
        raise ArrayMismatch(
            f"{name} is declared integer({bound}), and no array shows the size {bound}",
            hint=f"give it, as in f(..., {bound}=5)",
        )
    limit = bound.evaluate(sizes)
    if array.size and not 0 <= array.min() <= array.max() < limit:
        worst = array.min() if array.min() < 0 else array.max()
        raise ArrayMismatch(
            f"{name} is declared integer({bound}), so that {worst:.0f} is out of range",
            hint=f"its entries are whole numbers from 0 to {limit - 1}",
            sizes={str(bound): str(limit)},
        )
    return array.astype(np.intp)


def _axes(rank: int) -> str:
    return {0: "no axes", 1: "1 axis"}.get(rank, f"{rank} axes")


def _solve(dim: Dim, name: str, length: int, sizes: Mapping[str, int]) -> int | None:
    """The size `name` that makes `dim` equal `length`, sizes being polynomials that grow with it."""

    def value(k: int) -> int:
        return dim.evaluate({**sizes, name: k})

    low, high = 0, 1
    while value(high) < length and high < 1 << 62:
        low, high = high, high * 2
    while low <= high:
        middle = (low + high) // 2
        here = value(middle)
        if here == length:
            return middle
        low, high = (middle + 1, high) if here < length else (low, middle - 1)
    return None
