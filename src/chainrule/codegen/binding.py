"""What a compiled function is given: arrays by name, checked; sizes inferred from their shapes.

In: arrays, numbers and sizes by name. Out: float arrays (integers where declared) and sizes as integers, or
an ArrayMismatch that names what does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from chainrule.codegen.names import identifier
from chainrule.errors import ArrayMismatch
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Apply, Variable
from chainrule.rules.constants import BASIS, SELECT

Array = npt.NDArray[Any]


class Binding:
    """Which arrays a function needs, which sizes it needs that no array shows, and what may be given beside.

    variables   all declared ones; those that are not used may be given too, and show their sizes
    slices      constant tensors that pick entries which arrays of some sizes lack
    """

    def __init__(
        self,
        arrays: Sequence[str],
        needed: Sequence[str],
        variables: Sequence[Variable],
        slices: Sequence[Apply] = (),
        check_finite: bool = False,
    ) -> None:
        self.arrays, self.needed, self.slices = tuple(arrays), tuple(needed), tuple(slices)
        self.variables = {v.name: v for v in variables}
        dims = (d for v in variables for dim in v.shape for d in dim.names)
        self.sizes = tuple(dict.fromkeys([*dims, *self.needed]))
        self.spelled = {identifier(v): v for v in self.variables if identifier(v) != v}
        self.check_finite = check_finite

    def bind(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
        """The arrays that are given and all sizes; raises ArrayMismatch if they do not fit."""
        arrays: dict[str, Any] = {}
        sizes: dict[str, tuple[int, str]] = {}
        weak: list[str] = []
        for key, value in given.items():
            name = self.spelled.get(key, key)
            if name in self.variables:
                arrays[name] = self.array(name, value)
                if isinstance(value, int | float) and not isinstance(value, np.generic):
                    weak.append(name)
            elif name in self.sizes:
                sizes[name] = (whole_number(name, value), f"{name}={value} was given")
            else:
                raise self.unknown(key)
        missing = [n for n in self.arrays if n not in arrays]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            wanted = ", ".join(_declared(self.variables[n]) for n in missing)
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
        found = self.infer(arrays, sizes)
        for name, array in arrays.items():
            bound = self.variables[name].bound
            if bound is not None:
                arrays[name] = self.integers(name, array, bound, found)
        return arrays, found

    def unknown(self, key: str) -> ArrayMismatch:
        """The error for a name that is neither a variable nor a size."""
        known = [*self.variables, *self.sizes]
        near = get_close_matches(key, known, 1, 0.4) or [k for k in known if k.lower() == key.lower()]
        hint = f"did you mean {near[0]}? " if near else ""
        listed = ", ".join(map(_declared, self.variables.values())) or "none"
        return ArrayMismatch(f"there is no variable {key}", hint=f"{hint}the variables are {listed}")

    def array(self, name: str, value: Any) -> Any:
        """What is given for a variable as an array of floats of its rank; raises ArrayMismatch."""
        declared = self.declared(name)
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            raise ArrayMismatch(
                f"{declared} was given an array with masked entries", hint="fill them, or leave them out"
            )
        try:
            array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError) as problem:
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
        elif not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        self.check_rank(name, array.shape)
        if self.check_finite and not np.isfinite(array).all():
            raise ArrayMismatch(f"{declared} holds NaN or infinity")
        return array

    def check_number(self, name: str, value: float) -> None:
        """Raises ArrayMismatch for a whole number of Python that no float holds."""
        try:
            float(value)
        except OverflowError:
            raise ArrayMismatch(
                f"{self.declared(name)} was given a number beyond the largest float"
            ) from None

    def check_rank(self, name: str, shape: Sequence[int]) -> None:
        """Raises ArrayMismatch unless an array of that shape has the axes of the variable."""
        variable = self.variables[name]
        if len(shape) != variable.rank:
            wanted = ", ".join(map(str, variable.shape))
            raise ArrayMismatch(
                f"{self.declared(name)} has {_axes(variable.rank)}, "
                f"but the array given has shape {tuple(shape)}",
                hint=f"give {f'an array of shape ({wanted})' if wanted else 'a number'}",
                sizes={name: str(tuple(shape))},
            )

    def integers(self, name: str, array: Any, bound: Dim, sizes: Mapping[str, int]) -> Any:
        """The array as integers; raises unless its entries are whole numbers in the declared range."""
        return indices(name, array, bound, sizes)

    def declared(self, name: str) -> str:
        """X[n,p]: a variable as it was declared."""
        return _declared(self.variables[name])

    # ---------------------------------------------------------- sizes

    def infer(self, arrays: Mapping[str, Any], sizes: dict[str, tuple[int, str]]) -> dict[str, int]:
        """All sizes, by the shapes of arrays and those that were given (with the reason for each)."""
        open_: list[tuple[str, Dim, int]] = []
        for name, array in arrays.items():
            for dim, length in zip(self.variables[name].shape, array.shape, strict=True):
                if dim.name is None:
                    open_.append((name, dim, length))
                    continue
                known = sizes.get(dim.name)
                if known is None:
                    sizes[dim.name] = (
                        length,
                        f"{_declared(self.variables[name])} has {dim.name} = {length}",
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
                            f"{_declared(self.variables[name])} was given {length} entries along {dim}, "
                            f"which no {unknown[0]} makes",
                            sizes={name: str(arrays[name].shape)},
                        )
                    text = (
                        f"{_declared(self.variables[name])} has {dim} = {length}, so {unknown[0]} = {found}"
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
        for d in self.needed:
            if d not in plain:
                raise ArrayMismatch(f"no array shows the size {d}", hint=f"give it, as in f(..., {d}=5)")
        for part in self.slices:
            if all(d in plain for bound in part.parameters if isinstance(bound, Dim) for d in bound.names):
                _check_slice(part, plain)
        return plain

    def _conflict(self, arrays: Mapping[str, Array], name: str, found: str, known: str) -> ArrayMismatch:
        return ArrayMismatch(
            f"{_declared(self.variables[name])} was given shape {tuple(arrays[name].shape)}, "
            f"{found}, but {known}",
            sizes={n: str(tuple(a.shape)) for n, a in arrays.items()},
        )


def may_miss(node: Apply) -> bool:
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


def whole_number(name: str, value: Any) -> int:
    """A size that is given; raises ArrayMismatch if it is none."""
    try:
        whole = int(value)
    except (TypeError, ValueError):
        whole = -1
    if whole != value or whole < 0:
        raise ArrayMismatch(f"the size {name} must be a whole number, not {value!r}")
    return whole


def _declared(variable: Variable) -> str:
    return variable.name + ("[" + ", ".join(map(str, variable.shape)) + "]" if variable.rank else "")


def indices(name: str, array: Array, bound: Dim, sizes: Mapping[str, int]) -> Array:
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
