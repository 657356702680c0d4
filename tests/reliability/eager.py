"""JAX's derivative programs evaluated by NumPy, one primitive after the other.

JAX traces a function and differentiates it with its own rules; what it then computes, a jaxpr, is evaluated
here. Run by JAX itself without jit, each primitive would be compiled anew for each shape, which takes a
hundred times as long as the computation. A primitive that is not in the table is left to JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from scipy import special
from scipy.linalg import solve_triangular

Kernel = Callable[..., Any]


def _dot_general(a: Any, b: Any, *, dimension_numbers: Any, **_: Any) -> Any:
    (left, right), (batch_a, batch_b) = dimension_numbers
    letters_a = list(range(a.ndim))
    letters_b = [100 + k for k in range(b.ndim)]
    for i, j in (*zip(left, right, strict=True), *zip(batch_a, batch_b, strict=True)):
        letters_b[j] = letters_a[i]
    batch = [letters_a[i] for i in batch_a]
    kept = [x for k, x in enumerate(letters_a) if k not in left and k not in batch_a]
    kept += [x for k, x in enumerate(letters_b) if k not in right and k not in batch_b]
    names = {x: k for k, x in enumerate(dict.fromkeys([*letters_a, *letters_b]))}
    return np.einsum(a, [names[x] for x in letters_a], b, [names[x] for x in letters_b],
                     [names[x] for x in (*batch, *kept)])


def _broadcast_in_dim(x: Any, *_: Any, shape: Any, broadcast_dimensions: Any, **__: Any) -> Any:
    full = [1] * len(shape)
    for axis, size in zip(broadcast_dimensions, np.shape(x), strict=True):
        full[axis] = size
    return np.broadcast_to(np.reshape(x, full), shape)


def _pad(x: Any, value: Any, *, padding_config: Any) -> Any:
    size = [max(0, low + high + n + max(n - 1, 0) * inner)
            for n, (low, high, inner) in zip(x.shape, padding_config, strict=True)]
    if any(low < 0 or high < 0 for low, high, _ in padding_config):
        raise NotImplementedError
    result = np.full(size, value, dtype=x.dtype)
    result[tuple(slice(low, low + max(n - 1, 0) * (inner + 1) + min(n, 1), inner + 1)
                 for n, (low, _, inner) in zip(x.shape, padding_config, strict=True))] = x
    return result


def _slice(x: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> Any:
    steps = strides or [1] * x.ndim
    return x[tuple(slice(*item) for item in zip(start_indices, limit_indices, steps, strict=True))]


def _cumulative(function: Any) -> Kernel:
    def run(x: Any, *, axis: int, reverse: bool) -> Any:
        return np.flip(function(np.flip(x, axis), axis), axis) if reverse else function(x, axis)

    return run


def _select(which: Any, *cases: Any) -> Any:
    if len(cases) == 2:
        return np.where(which, cases[1], cases[0])
    return np.choose(which, cases)


def _reduced(function: Any) -> Kernel:
    return lambda x, *, axes, **_: function(x, axis=tuple(axes))


def _iota(*_: Any, dtype: Any, shape: Any, dimension: int, **__: Any) -> Any:
    along = [1] * len(shape)
    along[dimension] = shape[dimension]
    return np.broadcast_to(np.arange(shape[dimension], dtype=dtype).reshape(along), shape)


def _divide(a: Any, b: Any) -> Any:
    """Whole numbers are divided towards 0."""
    return np.trunc(a / b).astype(a.dtype) if a.dtype.kind == "i" else a / b


def _triangular_solve(
    a: Any, b: Any, *, left_side: bool, lower: bool, transpose_a: bool, unit_diagonal: bool, **_: Any
) -> Any:
    if a.ndim > 2:
        raise NotImplementedError
    try:
        if left_side:
            return solve_triangular(a, b, transpose_a, lower, unit_diagonal, check_finite=False)
        return solve_triangular(a, b.T, not transpose_a, lower, unit_diagonal, check_finite=False).T
    except np.linalg.LinAlgError:
        return np.full_like(b, np.nan)


def _plain(function: Any) -> Kernel:
    return lambda *args, **_: function(*args)


def _argmax(function: Any) -> Kernel:
    return lambda x, *, axes, index_dtype: function(x, axis=axes[0]).astype(index_dtype)


KERNELS: dict[str, Kernel] = {
    name: _plain(function)
    for name, function in {
        "add": np.add, "add_any": np.add, "sub": np.subtract, "mul": np.multiply, "div": _divide,
        "neg": np.negative, "max": np.maximum, "min": np.minimum, "exp": np.exp, "log": np.log,
        "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh,
        "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "log1p": np.log1p, "expm1": np.expm1,
        "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "logistic": special.expit, "erf": special.erf,
        "erfc": special.erfc, "pow": np.power, "sign": np.sign, "abs": np.abs, "floor": np.floor,
        "square": np.square, "gt": np.greater, "ge": np.greater_equal, "lt": np.less, "le": np.less_equal,
        "eq": np.equal, "ne": np.not_equal, "and": np.logical_and, "or": np.logical_or,
        "not": np.logical_not, "is_finite": np.isfinite, "stop_gradient": lambda x: x, "copy": lambda x: x,
        "copy_p": lambda x: x, "select_n": _select, "clamp": lambda low, x, high: np.clip(x, low, high),
        "optimization_barrier": lambda *x: list(x),
    }.items()
} | {
    "integer_pow": lambda x, *, y: x**y if y >= 0 else 1.0 / x**-y,
    "convert_element_type": lambda x, *, new_dtype, **_: np.asarray(x, new_dtype),
    "broadcast_in_dim": _broadcast_in_dim,
    "reshape": lambda x, *, new_sizes, **_: np.reshape(x, new_sizes),
    "transpose": lambda x, *, permutation: np.transpose(x, permutation),
    "squeeze": lambda x, *, dimensions: np.squeeze(x, tuple(dimensions)),
    "expand_dims": lambda x, *, dimensions: np.expand_dims(x, tuple(dimensions)),
    "rev": lambda x, *, dimensions: np.flip(x, tuple(dimensions)),
    "concatenate": lambda *parts, dimension: np.concatenate(parts, axis=dimension),
    "slice": _slice, "pad": _pad, "iota": _iota, "dot_general": _dot_general,
    "reduce_sum": _reduced(np.sum), "reduce_max": _reduced(np.max), "reduce_min": _reduced(np.min),
    "reduce_prod": _reduced(np.prod), "reduce_and": _reduced(np.all), "reduce_or": _reduced(np.any),
    "cumsum": _cumulative(np.cumsum), "cumprod": _cumulative(np.cumprod),
    "argmax": _argmax(np.argmax), "argmin": _argmax(np.argmin),
    "triangular_solve": _triangular_solve,
}  # fmt: skip
INSIDE = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def evaluate(closed: ClosedJaxpr, *args: Any) -> list[Any]:
    """The values of a jaxpr."""
    return _run(closed.jaxpr, closed.consts, args)


def _run(jaxpr: Jaxpr, consts: Any, args: Any) -> list[Any]:
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
    known |= zip(jaxpr.invars, args, strict=True)

    def read(atom: Any) -> Any:
        return np.asarray(atom.val) if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        results = _step(equation, [read(atom) for atom in equation.invars])
        known |= zip(equation.outvars, results, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _step(equation: Any, args: list[Any]) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    if name in ("pjit", "jit", "closed_call", "custom_jvp_call", "custom_vjp_call", "core_call", "remat"):
        inside = next(params[key] for key in INSIDE if key in params)
        return evaluate(inside, *args) if isinstance(inside, ClosedJaxpr) else _run(inside, (), args)
    if name == "cond":
        return evaluate(params["branches"][int(args[0])], *args[1:])
    if name == "custom_linear_solve":
        lengths = params["const_lengths"]
        before, last = lengths.matvec + lengths.vecmat, sum(lengths)
        known = args[before : before + lengths.solve]
        return evaluate(params["jaxprs"].solve, *known, *args[last:])
    kernel = KERNELS.get(name)
    if kernel is not None:
        try:
            result = kernel(*args, **params)
        except NotImplementedError:
            pass
        else:
            return result if isinstance(result, list) else [result]
    result = equation.primitive.bind(*map(jax.numpy.asarray, args), **params)
    return [np.asarray(r) for r in (result if equation.primitive.multiple_results else [result])]
