"""The backends: for each a way to write a program, and what a function is in its library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.codegen.binding import Binding
from chainrule.codegen.compiled import CompiledFunction
from chainrule.codegen.jax import JAX
from chainrule.codegen.numba import Numba
from chainrule.codegen.numpy import NumPy
from chainrule.codegen.tensors import TorchFunction
from chainrule.codegen.torch import Torch
from chainrule.codegen.traced import JAXFunction
from chainrule.codegen.vocabulary import Vocabulary
from chainrule.errors import OptionError

# The function in Python, its source, what it is given, and the names of its results if it has several.
Make = Callable[[Callable[..., Any], str, Binding, Sequence[Any] | None], CompiledFunction]


@dataclass(frozen=True, slots=True)
class Backend:
    """A printer, the class of its functions, and the packages that must be there.

    `function` is None for NumPy, whose functions are made with more options.
    """

    printer: type[Vocabulary]
    function: Make | None = None
    package: str = ""


BACKENDS = {
    "numpy": Backend(NumPy),
    "jax": Backend(JAX, JAXFunction, "jax"),
    "numba": Backend(Numba, None, "numba"),
    "torch": Backend(Torch, TorchFunction, "torch"),
}


def backend_named(name: str) -> Backend:
    """The backend of that name.

    Raises: OptionError if there is none.

    >>> backend_named("jax").package
    'jax'
    """
    if name not in BACKENDS:
        raise OptionError(f"there is no backend {name!r}", hint=f"the backends are {', '.join(BACKENDS)}")
    return BACKENDS[name]
