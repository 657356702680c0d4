"""What a compiled function is in JAX: jitted, and to be used under jit, vmap and grad.

Arrays are given by name, or by position in the order of the source. Shapes are checked when JAX traces the
function, once for each choice of shapes, so that a call costs what a jitted call costs: arrays of JAX go
to it through a `__call__` written for their names, all else is looked at first. A traced function cannot look
at values: where the NumPy backend raises an error (a derivative that does not exist) the result holds NaN.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.codegen.binding import Binding, indices, whole_number
from chainrule.codegen.compiled import CompiledFunction, library
from chainrule.codegen.entry import ABSENT, failure
from chainrule.codegen.names import identifier
from chainrule.errors import ArrayMismatch
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Variable

SOURCE = """
def __call__({p}self, /, *{p}positional, {given}**{p}others):
    if {tests} and not {p}positional and not {p}others:
        try:
            {p}result = {p}self._jitted({named})
            return {made}
        except failed{p}:
            pass  # told by the careful way
    return {p}self.careful({p}positional, {{{pairs}, **{p}others}})
"""
FAILED = (ZeroDivisionError, ValueError, IndexError, TypeError)


class _Kind:
    """The class of arrays of JAX, once there is one: to ask for it earlier would start JAX."""

    array: Any = None


def in_double() -> Any:
    """A context in which JAX computes in double precision, whatever is set outside."""
    jax = library("jax")
    where = jax if hasattr(jax, "enable_x64") else library("jax.experimental")
    return where.enable_x64(True)


class TracedBinding(Binding):
    """A Binding of arrays whose values JAX does not show."""

    def array(self, name: str, value: Any) -> Any:
        jnp = library("jax.numpy")
        array = jnp.asarray(value)
        if jnp.issubdtype(array.dtype, jnp.complexfloating):
            raise ArrayMismatch(
                f"{self.declared(name)} was given complex numbers",
                hint="chainrule differentiates real functions; give a real array",
            )
        if not jnp.issubdtype(array.dtype, jnp.floating) and self.variables[name].bound is None:
            array = array.astype(float)
        self.check_rank(name, array.shape)
        return array

    def integers(self, name: str, array: Any, bound: Dim, sizes: Mapping[str, int]) -> Any:
        return array.astype(int)


class JAXFunction(CompiledFunction):
    """f(X=..., w=...) by JAX.

    `__source__` is the JAX source. It takes arrays of JAX and NumPy and numbers; the result has the
    precision of the arrays, and its axes are output axes, then input axes.
    """

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD

    def __init__(
        self, function: Callable[..., Any], source: str, binding: Binding, keys: Sequence[Any] | None = None
    ) -> None:
        declared = list(binding.variables.values())
        traced = TracedBinding(binding.arrays, binding.needed, declared, binding.slices)
        super().__init__(function, source, traced)
        jax = library("jax")
        self._jax, self._keys = jax, keys
        self._checked = binding
        self._bounded = [name for name in binding.arrays if binding.variables[name].bound is not None]
        self._jitted = jax.jit(self._run, static_argnames=binding.sizes)

    def __new__(
        cls, function: Callable[..., Any], source: str, binding: Binding, keys: Sequence[Any] | None = None
    ) -> JAXFunction:
        called = _entry(list(binding.variables.values()), keys)
        kind = cls if called is None else type("JAXFunction", (cls,), {"__call__": called})
        return super().__new__(kind)

    def __call__(self, /, *positional: Any, **given: Any) -> Any:
        return self.careful(positional, given)

    def careful(self, positional: Sequence[Any], given: Mapping[str, Any]) -> Any:
        """What a call gives whose arguments have yet to be looked at."""
        if _Kind.array is None:
            with self._jax.ensure_compile_time_eval():  # within a trace it would be a tracer
                _Kind.array = type(self._jax.numpy.zeros(()))
        given = {name: value for name, value in given.items() if value is not ABSENT}
        return self._finished(self._computed(self._admitted(self.named(positional, given))))

    def _computed(self, given: Mapping[str, Any]) -> Sequence[Any]:
        try:
            results: Sequence[Any] = self._jitted(**given)
        except FAILED as problem:
            # Some errors of JAX are of these kinds too, and are passed on as they are.
            raise failure(problem, self._binding, given) from None
        return results

    def _finished(self, results: Sequence[Any]) -> Any:
        # JAX sorts the keys of a dict, so that results leave the jitted function as a list.
        return results[0] if self._keys is None else dict(zip(self._keys, results, strict=True))

    def _run(self, /, **given: Any) -> list[Any]:
        binding, jnp = self._binding, self._jax.numpy
        arrays, sizes = binding.bind(given)
        floats = [arrays[n] for n in binding.arrays if binding.variables[n].bound is None]
        result = self._function(*(arrays[n] for n in binding.arrays), *(sizes[n] for n in binding.needed))
        # A constant has the precision of what is given beside it.
        beside = floats or [a for n, a in arrays.items() if binding.variables[n].bound is None]
        dtype = jnp.result_type(*beside) if beside else float
        results = [result] if self._keys is None else [result[key] for key in self._keys]
        return [jnp.asarray(value, dtype) for value in results]

    def _admitted(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments: none loses digits in JAX, and integers are in their range where values are known."""
        variables, array = self._binding.variables, self._jax.Array
        for name, value in given.items():
            if name in self._binding.sizes:
                given[name] = whole_number(name, value)
            elif name not in variables:
                raise self._binding.unknown(name)
            plain = isinstance(value, int | float) and not isinstance(value, np.generic)
            if name in variables and plain:
                self._binding.check_number(name, value)
            elif name in variables and not isinstance(value, array):
                given[name] = self._from_numpy(name, value)
        known = {name: value for name, value in given.items() if name in variables}
        for name in self._bounded:
            if name in known and not isinstance(known[name], self._jax.core.Tracer):
                bound = variables[name].bound
                assert bound is not None
                self._binding.check_rank(name, np.shape(known[name]))
                given[name] = indices(name, np.asarray(known[name]), bound, self._sizes(given))
        return given

    def _sizes(self, given: Mapping[str, Any]) -> dict[str, int]:
        variables = self._binding.variables
        shaped = {
            n: np.empty(np.shape(v)) if np.isscalar(v) else v for n, v in given.items() if n in variables
        }
        stated = {n: (v, f"{n}={v} was given") for n, v in given.items() if n in self._binding.sizes}
        return self._binding.infer(shaped, stated)

    def _from_numpy(self, name: str, value: Any) -> Any:
        converted = self._checked.array(name, value)
        if converted.dtype != np.float64 or self._jax.config.jax_enable_x64:
            return converted
        if isinstance(value, np.ndarray | np.generic) and value.dtype == np.float64:
            raise ArrayMismatch(
                f"{self._binding.declared(name)} is given in float64, and JAX would round it to float32",
                hint='call jax.config.update("jax_enable_x64", True) first, or give float32',
            )
        return converted.astype(np.float32)


def _entry(variables: Sequence[Variable], keys: Sequence[Any] | None) -> Callable[..., Any] | None:
    """A method f(X=..., w=...): arrays of JAX for all variables go to the jitted function.

    None where names are spelled in another way than they are, or arrays hold integers, which are looked at.
    """
    names = [v.name for v in variables]
    if not names or any(identifier(v.name) != v.name or v.bound is not None for v in variables):
        return None
    # Variables may have any name: what is written here begins with more underscores than all of them.
    p = "_" * (1 + max(len(name) - len(name.lstrip("_")) for name in names))
    parts = "{" + ", ".join(f"{key!r}: {p}result[{k}]" for k, key in enumerate(keys or ())) + "}"
    plain = all(isinstance(key, str) for key in keys or ())
    source = SOURCE.format(
        p=p,
        given="".join(f"{name}=absent{p}, " for name in names),
        tests=" and ".join(f"type({name}) is kind{p}.array" for name in names),
        named=", ".join(f"{name}={name}" for name in names),
        pairs=", ".join(f"{name!r}: {name}" for name in names),
        made=f"{p}result[0]" if keys is None else parts if plain else f"{p}self._finished({p}result)",
    )
    scope: dict[str, Any] = {f"absent{p}": ABSENT, f"kind{p}": _Kind, f"failed{p}": FAILED}
    exec(compile(source, "<chainrule entry>", "exec"), scope)
    method: Callable[..., Any] = scope["__call__"]
    return method
