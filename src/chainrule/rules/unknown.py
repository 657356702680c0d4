"""Functions left unknown: rows made from a declaration, whose derivatives are unknown functions too.

In: a name, the kinds of the arguments and of the value. Out: a row, the same one for equal declarations,
that is not in the table: two formulas may use one name in two ways. The order of a derivative is the first
parameter of a node, one number for each argument, so that partial derivatives commute by construction: f,
f′ and f″ are one row. The sizes of a vector value are its other parameters; those of a vector argument come
from the argument.

A check needs numbers: a function left unknown stands for a fixed smooth one, sums of waves with coefficients
drawn from its name, whose derivatives of every order are exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from math import prod
from random import Random
from typing import Any

from chainrule.expr.names import pretty
from chainrule.expr.nodes import Apply, Expr, Parameter, Shape, permute
from chainrule.expr.walk import topological
from chainrule.rules.table import Elementwise, Tensorial

Orders = tuple[int, ...]
KINDS = ("scalar", "vector", "matrix")
LEFT_UNKNOWN = "a function left unknown"
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹", "01234567890123456789")
_MARKED = re.compile("[∂∇]([₀-₉]+)([⁰¹²³⁴-⁹]*)")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class UnknownEntrywise(Elementwise):
    """y = f(u₁, u₂, ...) of scalars, or entry by entry; parameters: (orders,).

    symbol  the name that a person gave it
    scalar  whether it was declared for scalars alone
    """

    symbol: str
    scalar: bool

    def __post_init__(self) -> None:
        """It stays out of the table of rows."""

    def written(self, parameters: tuple[Parameter, ...]) -> str:
        """What stands before its arguments: f, f′, ∂₂f."""
        return _written(self.symbol, parameters[0], (0,) * self.arity, 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return entrywise, (self.symbol, self.arity, self.scalar)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class UnknownMap(Tensorial):
    """y = h(u₁, u₂, ...) of scalars, vectors and matrices, one of these; parameters: (orders, sizes of y).

    Its derivative has the axes of y, then those of each argument, once for each order.

    symbol    the name that a person gave it
    out_rank  the number of axes of y
    """

    symbol: str
    out_rank: int

    def __post_init__(self) -> None:
        """It stays out of the table of rows."""

    def written(self, parameters: tuple[Parameter, ...]) -> str:
        """What stands before its arguments: h, h′, ∂₂h, or ∇h for a scalar by a vector."""
        return _written(self.symbol, parameters[0], self.core, self.out_rank)

    def __reduce__(self) -> tuple[Any, ...]:
        return map_of, (self.symbol, self.core, self.out_rank)

    def is_symmetric(self, parameters: tuple[Parameter, ...]) -> bool:
        """Whether it is a matrix of second derivatives by one vector."""
        by = [axes for axes, order in zip(self.core, parameters[0], strict=True) for _ in range(order)]
        twice = any(axes == 1 and n == 2 for axes, n in zip(self.core, parameters[0], strict=True))
        return not self.out_rank and sum(by) == 2 and twice


Unknown = UnknownEntrywise | UnknownMap


@cache
def entrywise(symbol: str, arity: int, scalar: bool) -> UnknownEntrywise:
    """The row of f(u₁, ..., u_arity), for scalars or entry by entry.

    >>> from chainrule.expr.nodes import Variable
    >>> x = Variable("x")
    >>> apply_unknown(entrywise("f", 1, True), (x,), (1,))
    f: scalar(1)(x, (1,))
    """
    name = f"{symbol}: {'scalar' if scalar else 'elementwise'}({arity})"
    return UnknownEntrywise(
        d=tuple(partial(_entrywise_derivative, k) for k in range(arity)),
        evaluate=partial(_entrywise_value, name),
        symbol=symbol,
        scalar=scalar,
        **_common(name, symbol, arity),
    )


@cache
def map_of(symbol: str, core: tuple[int, ...], out_rank: int) -> UnknownMap:
    """The row of a function of scalars (core 0), vectors (1) and matrices (2) whose value is one of these."""
    kinds = ", ".join(KINDS[axes] for axes in core)
    name = f"{symbol}: {kinds} -> {KINDS[out_rank]}"
    return UnknownMap(
        core=core,
        shape=_map_shape,
        d=tuple(partial(_map_derivative, k) for k in range(len(core))),
        evaluate=partial(_map_value, name, core),
        symbol=symbol,
        out_rank=out_rank,
        **_common(name, symbol, len(core)),
    )


def _common(name: str, symbol: str, arity: int) -> dict[str, Any]:
    call = f"{symbol}({', '.join(f'#{k}' for k in range(1, arity + 1))})"
    return {
        "name": name,
        "says": f"derivative of {pretty(symbol)}",
        "code": call,
        "text": call,
        "latex": call,
        "source": LEFT_UNKNOWN,
        "domain": ("real",) * arity,
    }


def apply_unknown(row: Unknown, arguments: Sequence[Expr], orders: Orders, output: Shape = ()) -> Apply:
    """The derivative of these orders at the arguments; `output` is the shape of the value."""
    return Apply(row, arguments, (orders, *output))


def orders_of(node: Apply) -> Orders:
    """How often the unknown function of a node was differentiated by each argument."""
    orders: Orders = node.parameters[0]
    return orders


def unknown_in(*roots: Expr) -> tuple[str, ...]:
    """The names of the unknown functions below the roots, sorted.

    >>> from chainrule.expr.nodes import Variable
    >>> unknown_in(apply_unknown(entrywise("f", 1, True), (Variable("x"),), (0,)))
    ('f',)
    """
    return tuple(sorted({row.symbol for row in _rows(roots)}))


def one_choice(*roots: Expr) -> str:
    """Words before numbers that stand for one of many functions: "with one choice of f and g, "."""
    names = [pretty(name) for name in unknown_in(*roots)]
    return f"with one choice of {' and '.join(names)}, " if names else ""


def _rows(roots: Iterable[Expr]) -> list[Unknown]:
    return [
        node.function
        for node in topological(roots)
        if isinstance(node, Apply) and isinstance(node.function, Unknown)
    ]


# ---------------------------------------------------------------- derivatives


def _raised(node: Apply, k: int) -> Apply:
    orders = orders_of(node)
    return Apply(
        node.function,
        node.arguments,
        ((*orders[:k], orders[k] + 1, *orders[k + 1 :]), *node.parameters[1:]),
    )


def _entrywise_derivative(k: int, *parts: Expr) -> Expr:
    node = parts[-1]
    assert isinstance(node, Apply)
    return _raised(node, k)


def _map_derivative(k: int, *parts: Any) -> Expr:
    """One order more by argument k, its newest axes at the end."""
    node = parts[-2]
    assert isinstance(node, Apply) and isinstance(node.function, UnknownMap)
    raised = _raised(node, k)
    core = node.function.core
    later = sum(order * axes for order, axes in zip(orders_of(node)[k + 1 :], core[k + 1 :], strict=True))
    axes = list(range(raised.rank))
    newest = axes[raised.rank - later - core[k] : raised.rank - later]
    return permute(raised, [*(a for a in axes if a not in newest), *newest])


def _map_shape(*parts: Any) -> Shape:
    *inputs, (orders, *output) = parts
    shape: Shape = tuple(output)
    for axes, order in zip(inputs, orders, strict=True):
        shape += tuple(axes) * order
    return shape


# ---------------------------------------------------------------- names


def _written(symbol: str, orders: Orders, core: tuple[int, ...], out_rank: int) -> str:
    """f″ for one argument, ∂₁²∂₂f for several; ∇ for the derivative of a scalar by a vector."""
    marks = ["∇" if axes and not out_rank else "∂" for axes in core]
    if len(orders) == 1 and marks[0] == "∂":
        return pretty(symbol) + _primes(orders[0])
    text = ""
    for k, (mark, order) in enumerate(zip(marks, orders, strict=True), 1):
        if order:
            index = str(k).translate(_SUBSCRIPT) if len(orders) > 1 else ""
            text += mark + index + (str(order).translate(_SUPERSCRIPT) if order > 1 else "")
    return text + pretty(symbol)


def _primes(order: int) -> str:
    return ("", "′", "″")[order] if order < 3 else f"⁽{str(order).translate(_SUPERSCRIPT)}⁾"


def arguments_named(written: str) -> tuple[int, ...]:
    """By which arguments a function is differentiated, counted from 1, as its marks say.

    >>> arguments_named("∂₁²∂₂f")
    (1, 1, 2)
    """
    found: list[int] = []
    for index, times in _MARKED.findall(written):
        found += [int(index.translate(_PLAIN))] * int(times.translate(_PLAIN) or 1)
    return tuple(found)


# ---------------------------------------------------------------- numbers

WAVES = 3
OFFSET = 1.0  # mostly positive, so that roots and logarithms of the function have points


def _draw(seed: str, count: int, low: float, high: float) -> list[float]:
    """Numbers of both signs with sizes from `low` to `high`, the same in every process."""
    source = Random(seed)
    return [source.uniform(low, high) * source.choice((-1, 1)) for _ in range(count)]


@lru_cache(maxsize=1024)
def _waves(
    name: str, row: int, sizes: tuple[int, ...]
) -> tuple[list[float], list[float], list[list[list[float]]]]:
    """Amplitudes, phases, and for each argument the weights of its entries, wave by wave."""
    seed = f"{name} [{row}]"
    weights = [
        [_draw(f"{seed} weight {k} of wave {wave}", size, 0.35, 1.1) for wave in range(WAVES)]
        for k, size in enumerate(sizes)
    ]
    return _draw(f"{seed} amplitudes", WAVES, 0.3, 0.8), _draw(f"{seed} phases", WAVES, 0.0, 3.0), weights


def _wave(xp: Any, z: Any, order: int) -> Any:
    """The derivative of that order of sin."""
    return (xp.sin, xp.cos, lambda u: -xp.sin(u), lambda u: -xp.cos(u))[order % 4](z)


def _entrywise_value(name: str, xp: Any, *parts: Any) -> Any:
    *arrays, orders = parts
    amplitudes, phases, weights = _waves(name, 0, (1,) * len(arrays))
    total = sum(orders)
    value: Any = 0.0 if total else OFFSET
    for wave in range(WAVES):
        z: Any = phases[wave]
        factor = amplitudes[wave]
        for array, order, weight in zip(arrays, orders, weights, strict=True):
            z = z + weight[wave][0] * array
            factor *= weight[wave][0] ** order
        value = value + factor * _wave(xp, z, total)
    return value


def _map_value(name: str, core: tuple[int, ...], xp: Any, *parts: Any) -> Any:
    arrays, orders, output = parts[: len(core)], parts[len(core)], parts[len(core) + 1 :]
    batch = arrays[0].shape[: arrays[0].ndim - core[0]]
    inputs = [array.shape[len(batch) :] for array in arrays]
    sizes = tuple(prod(shape) for shape in inputs)
    entries = [_waves(name, k, sizes) for k in range(prod(output))]
    amplitudes, z = (xp.asarray([entry[k] for entry in entries]) for k in (0, 1))
    weights = [xp.asarray([entry[2][k] for entry in entries]) for k in range(len(core))]
    for array, weight in zip(arrays, weights, strict=True):
        z = z + (array.reshape((*batch, 1, 1, -1)) * weight).sum(axis=-1)
    value = amplitudes * _wave(xp, z, sum(orders))
    shape = (*batch, *output)
    for weight, order, axes in zip(weights, orders, inputs, strict=True):
        for _ in range(order):
            added = value.ndim - len(batch) - 2
            value = value[..., None] * weight.reshape((*weight.shape[:2], *(1,) * added, -1))
            shape += axes
    value = value.sum(axis=len(batch) + 1).reshape(shape)
    return value if sum(orders) else value + OFFSET
