"""Every way to evaluate a derivative at given arrays: calls without arguments, by name.

The names start with their kind: "jax AD", "torch AD", "ours", "ours structured", "ours jax", "ours torch",
"ours numba", "expert", "expert structured", "expert jax", "expert numba", "along jax" (a product with ones).
Building a call runs nothing. What chainrule cannot compile yet, or refuses, is said in `absent`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import chainrule as cr
from benchmarks.speed.clock import Call
from benchmarks.speed.names import JAX, TORCH
from benchmarks.speed.problem import Array, Case, Function, Problem

AD_MEMORY = 4e9  # bytes that automatic differentiation may take
NOT_YET = "not there yet"


@dataclass(slots=True)
class Evaluators:
    """The calls by name, and why others are missing."""

    calls: dict[str, Call] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Call]:
        """Those of one kind, in their order."""
        return {name: call for name, call in self.calls.items() if kind_of(name) == kind}


def kind_of(name: str) -> str:
    """The kind of an evaluator: its name up to the colon."""
    return name.partition(":")[0]


def evaluators(problem: Problem, case: Case) -> Evaluators:
    """All evaluators of a problem at one size."""
    made = Evaluators()
    if case.ad_bytes <= AD_MEMORY and case.dense:
        on_device = [jnp.asarray(array) for array in case.arrays.values()]
        tensors = [torch.as_tensor(array) for array in case.arrays.values()]
        automatic(made, problem, case, on_device, tensors, _waited)
    elif case.dense:
        made.absent["jax AD"] = f"needs about {case.ad_bytes / 1e9:.0f} GB"
    _ours(made, problem, case)
    for label, function in case.experts.items():
        made.calls[f"expert: {label}"] = partial(function, *case.arrays.values())
    for label, function in case.structured.items():
        made.calls[f"expert structured: {label}"] = partial(function, *case.arrays.values())
    for label, function in case.compiled.items():
        made.calls[f"expert numba: {label}"] = partial(function, *case.arrays.values())
    on_device = [jnp.asarray(array) for array in case.arrays.values()]
    for label, function in case.jitted.items():
        made.calls[f"expert jax: {label}"] = _waited(jax.jit(function), on_device)
    if case.along:
        made.calls["along jax: jvp(ones)"] = _waited(jax.jit(_along_ones(problem)), on_device)
    return made


# ---------------------------------------------------------------- automatic differentiation


def automatic(
    made: Evaluators,
    problem: Problem,
    case: Case,
    on_device: list[Any],
    tensors: list[Any],
    bound: Callable[[Function, list[Any]], Call],
) -> None:
    """What the two libraries compute themselves; `bound` makes a call of a jitted function of JAX."""
    places = tuple(list(case.arrays).index(name) for name in problem.names)
    where = places if len(places) > 1 else places[0]
    for label, function in _modes(jax, partial(problem.model, JAX), problem, where).items():
        made.calls[f"jax AD: {label}"] = bound(jax.jit(function), on_device)
    for label, function in _modes(torch.func, partial(problem.model, TORCH), problem, where).items():
        made.calls[f"torch AD: {label}"] = partial(function, *tensors)


def _modes(library: Any, model: Function, problem: Problem, where: Any) -> dict[str, Function]:
    """The ways of the library to the derivative, by name."""
    if problem.order == 2:
        return {"hessian": library.hessian(model, where)}
    if problem.scalar:
        return {"grad": library.grad(model, where)}
    return {name: getattr(library, name)(model, where) for name in ("jacfwd", "jacrev")}


def _along_ones(problem: Problem) -> Function:
    def derivative(x: Any) -> Any:
        return jax.jvp(partial(problem.model, JAX), (x,), (jnp.ones_like(x),))[1]

    return derivative


def _waited(function: Function, arguments: list[Any]) -> Call:
    return lambda: jax.block_until_ready(function(*arguments))


# ---------------------------------------------------------------- chainrule


def _ours(made: Evaluators, problem: Problem, case: Case) -> None:
    derived = cr.derive(problem.formula, wrt=problem.wrt, shapes=problem.shapes, order=problem.order)
    arrays = dict(case.arrays)
    if case.dense:
        _add(made, "ours", derived, {}, lambda f: partial(f, **arrays))
        if "ours" in made.calls:
            _into_kept_buffer(made, arrays)
        _add(made, "ours jax", derived, {"backend": "jax"}, lambda f: _on_device(f, arrays))
        _add(made, "ours torch", derived, {"backend": "torch"}, lambda f: _on_tensors(f, arrays))
        if problem.fused:
            _add(made, "ours numba", derived, {"backend": "numba"}, lambda f: partial(f, **arrays))
    if case.structured:
        _add(made, "ours structured", derived, {"structured": True}, lambda f: partial(f, **arrays))


def _add(
    made: Evaluators, kind: str, derived: Any, options: Mapping[str, Any], bind: Callable[[Any], Call]
) -> None:
    """Compile with the options and bind the arrays; or say why not."""
    missing = [name for name in options if name not in inspect.signature(derived.compile).parameters]
    if missing:
        made.absent[kind] = f"compile({missing[0]}=…) is {NOT_YET}"
        return
    try:
        made.calls[kind] = bind(derived.compile(**options))
    except (cr.ChainruleError, ImportError, NotImplementedError) as problem:
        made.absent[kind] = str(problem).splitlines()[0]


def _into_kept_buffer(made: Evaluators, arrays: Mapping[str, Array]) -> None:
    """The same function writing into an array that is there already."""
    function = made.calls["ours"].func  # type: ignore[attr-defined]
    if "out" not in inspect.signature(type(function).__call__).parameters:
        made.absent["ours out="] = f"f(out=…) is {NOT_YET}"
        return
    whole = function(**arrays)
    kept: Any = np.empty_like(whole)
    if isinstance(whole, dict):
        kept = {name: np.empty_like(value) for name, value in whole.items()}
    made.calls["ours out="] = partial(function, **arrays, out=kept)


def _on_device(function: Any, arrays: Mapping[str, Array]) -> Call:
    given = {name: jnp.asarray(array) for name, array in arrays.items()}
    return lambda: jax.block_until_ready(function(**given))


def _on_tensors(function: Any, arrays: Mapping[str, Array]) -> Call:
    return partial(function, **{name: torch.as_tensor(array) for name, array in arrays.items()})
