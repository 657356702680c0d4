"""What a compiled function is in PyTorch: tensors in, tensors out, on the device of what is given.

NumPy arrays, lists and numbers are accepted too. Under torch.func the values of tensors are not seen: where
the NumPy backend raises an error (a derivative that does not exist) the result holds NaN.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from chainrule.codegen.binding import Binding, indices, whole_number
from chainrule.codegen.compiled import CompiledFunction, library
from chainrule.codegen.entry import failure, outside
from chainrule.errors import ArrayMismatch
from chainrule.expr.dims import Dim


class TensorBinding(Binding):
    """A Binding of tensors."""

    def array(self, name: str, value: Any) -> Any:
        torch = sys.modules["torch"]  # not imported anew, which torch.compile does not follow
        if isinstance(value, torch.Tensor):
            if value.is_complex():
                raise ArrayMismatch(
                    f"{self.declared(name)} was given complex numbers",
                    hint="chainrule differentiates real functions; give a real tensor",
                )
            self.check_rank(name, value.shape)
            return value
        array = super().array(name, value)
        return torch.from_numpy(np.require(array, requirements=["C", "W"]))

    def integers(self, name: str, array: Any, bound: Dim, sizes: Mapping[str, int]) -> Any:
        torch = sys.modules["torch"]
        if not torch._C._functorch.is_functorch_wrapped_tensor(array) and not torch.compiler.is_compiling():
            indices(name, array.detach().cpu().numpy(), bound, sizes)
        return array.long()


class TorchFunction(CompiledFunction):
    """f(X=..., w=...) by PyTorch.

    `__source__` is the PyTorch source. The result has the precision and the device of the tensors that are
    given, and its axes are output axes, then input axes.
    """

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD

    def __init__(
        self, function: Callable[..., Any], source: str, binding: Binding, keys: Sequence[Any] | None = None
    ) -> None:
        declared = list(binding.variables.values())
        super().__init__(
            function, source, TensorBinding(binding.arrays, binding.needed, declared, binding.slices)
        )
        self._torch, self._keys = library("torch"), keys
        known = self._binding.variables
        self._bounded = {name for name, v in known.items() if v.bound is not None}
        shapes = [
            (n, [d.constant if d.name is None else d.name for d in known[n].shape]) for n in binding.arrays
        ]
        plain = [(n, [d for d in shape if d is not None]) for n, shape in shapes]
        whole = plain == shapes and not (binding.needed or binding.slices or self._bounded)
        # What can be called without inference: tensors with nothing but names and numbers in their shapes.
        self._plain = plain if whole else None

    def __call__(self, *positional: Any, **given: Any) -> Any:
        if positional:
            given = self.named(positional, given)
        ready = self._as_given(given)
        if ready is not None:
            return self._finished(self._computed(ready, given), ready[0].dtype, ready[0].device)
        binding = self._binding
        arrays, sizes = binding.bind(self._beside_each_other(given))
        floats = [name for name in binding.arrays if name not in self._bounded]
        # A constant has the precision of what is given beside it.
        beside = floats or [name for name in arrays if name not in self._bounded]
        dtype = self._common([arrays[name].dtype for name in beside])
        arrays.update({name: arrays[name].to(dtype) for name in floats})
        arguments = [*(arrays[n] for n in binding.arrays), *(sizes[n] for n in binding.needed)]
        device = next((arrays[n].device for n in [*binding.arrays, *arrays]), None)
        return self._finished(self._computed(arguments, arrays), dtype, device)

    def _computed(self, arguments: Sequence[Any], given: Mapping[str, Any]) -> Any:
        try:
            return self._function(*arguments)
        except self._torch.linalg.LinAlgError as problem:
            raise outside(str(problem).replace("positive-definite", "positive definite")) from None
        except (ZeroDivisionError, ValueError, IndexError, RuntimeError) as problem:
            raise failure(problem, self._binding, given) from None

    def _as_given(self, given: Mapping[str, Any]) -> list[Any] | None:
        """The arguments, if they are all tensors of one precision and device that fit; else None."""
        if self._plain is None or len(given) != len(self._plain):
            return None
        sizes: dict[str, int] = {}
        ready: list[Any] = []
        for name, shape in self._plain:
            value = given.get(name)
            if not isinstance(value, self._torch.Tensor) or value.ndim != len(shape):
                return None
            first = ready[0] if ready else value
            if value.dtype is not first.dtype or value.device != first.device:
                return None
            for dim, length in zip(shape, value.shape, strict=True):
                if (dim if isinstance(dim, int) else sizes.setdefault(dim, length)) != length:
                    return None
            ready.append(value)
        return ready if ready and ready[0].is_floating_point() else None

    def _finished(self, result: Any, dtype: Any, device: Any) -> Any:
        """Tensors in the precision of what was given, also where the result is a number."""

        def whole(value: Any) -> Any:
            if isinstance(value, self._torch.Tensor) and value.dtype is dtype:
                return value
            return self._torch.as_tensor(value, dtype=dtype, device=device)

        return whole(result) if self._keys is None else {key: whole(result[key]) for key in self._keys}

    def _beside_each_other(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arrays and numbers as tensors on the device of the tensors given; numbers in their precision."""
        torch, binding = self._torch, self._binding
        variables = binding.variables
        tensors = {n: v for n, v in given.items() if isinstance(v, torch.Tensor) and n in variables}
        devices = {str(v.device): n for n, v in tensors.items() if v.ndim or v.device.type != "cpu"}
        if len(devices) > 1:
            places = " and ".join(f"{n} on {device}" for device, n in sorted(devices.items()))
            raise ArrayMismatch(f"the tensors are on several devices: {places}", hint="move them to one")
        device = next((v.device for v in tensors.values() if str(v.device) in devices), None)
        moved: dict[str, Any] = {}
        numbers: list[str] = []
        for name, value in given.items():
            number = isinstance(value, int | float) and not isinstance(value, np.generic)
            if name in binding.sizes and name not in variables:
                moved[name] = whole_number(name, value)
            elif name not in variables:
                raise binding.unknown(name)
            elif number and name not in self._bounded:
                binding.check_number(name, value)
                numbers.append(name)
            else:
                tensor = binding.array(name, value)
                moved[name] = tensor if device is None else tensor.to(device)
        kinds = [v.dtype for n, v in moved.items() if n in variables and n not in self._bounded]
        # A Python number takes the precision of the tensors beside it.
        dtype = self._common(kinds) if kinds else torch.float64
        moved.update({n: torch.tensor(given[n], dtype=dtype, device=device) for n in numbers})
        return moved

    def _common(self, kinds: Sequence[Any]) -> Any:
        """The precision that holds all of them; that of PyTorch for whole numbers."""
        torch = self._torch
        usual = torch.get_default_dtype()
        floats = [kind if kind.is_floating_point else usual for kind in kinds]
        return reduce(torch.promote_types, floats) if floats else usual
