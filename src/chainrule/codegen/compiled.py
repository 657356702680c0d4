"""What compiled functions of all backends share; libraries are loaded when their backend is asked for."""

from __future__ import annotations

import importlib
import inspect
import linecache
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from chainrule.codegen.binding import Binding
from chainrule.codegen.interrupts import undisturbed
from chainrule.codegen.names import identifier
from chainrule.errors import ArrayMismatch, OptionError

# What a package is called among the extras of chainrule, where not by its own name.
EXTRAS = {"matplotlib": "plot", "pyarrow": "data", "distributed": "dask"}

_serial = count(1)


def library(name: str) -> Any:
    """A module of a library, imported now; Ctrl-C waits until it is.

    Raises: OptionError with the command that installs it.

    >>> library("numpy.linalg").__name__
    'numpy.linalg'
    """
    try:
        with undisturbed():
            return importlib.import_module(name)
    except ImportError as problem:
        package = name.partition(".")[0]
        raise OptionError(
            f"this needs the package {package}, which cannot be imported: {problem}",
            hint=f"install it with  pip install 'chainrule[{EXTRAS.get(package, package)}]'",
        ) from None


def executed(text: str, function: str) -> Callable[..., Any]:
    r"""The function of that name that a source defines; its lines are shown in a traceback.

    >>> executed("def double(x):\n    return 2 * x\n", "double")(3)
    6
    """
    file = f"<chainrule {next(_serial)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    namespace: dict[str, Any] = {}
    exec(compile(text, file, "exec"), namespace)
    found: Callable[..., Any] = namespace[function]
    return found


class CompiledFunction(ABC):
    """f(X=..., w=...): the value of an expression as an array, or of several as a dict of arrays.

    Every declared variable may be given by keyword, those that are used must be. Sizes are read off the
    arrays and may be given too (n=5); `sizes` are their names. `__source__` is the source in the library of
    the backend. Result axes: output axes, then input axes.
    """

    # How arrays may be given: by name, or by position too, in the order of the source.
    kind: Any = inspect.Parameter.KEYWORD_ONLY
    # Makes the same function anew: what a copy is, and what is pickled.
    again: Callable[[], CompiledFunction]

    def __init__(self, function: Callable[..., Any], source: str, binding: Binding) -> None:
        self.__source__ = source
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self.sizes = binding.sizes
        self._function, self._binding = function, binding
        self._order = [identifier(name) for name in [*binding.arrays, *binding.needed]]
        others = dict.fromkeys(identifier(v) for v in [*binding.variables, *binding.sizes, *self.options()])
        single = inspect.Parameter.KEYWORD_ONLY
        self.__signature__ = inspect.Signature(
            [
                *(inspect.Parameter(n, self.kind) for n in self._order),
                *(inspect.Parameter(n, single, default=None) for n in others if n not in self._order),
            ]
        )

    def __reduce__(self) -> tuple[Callable[[], CompiledFunction], tuple[()]]:
        return self.again, ()

    def __repr__(self) -> str:
        return f"<compiled function {self.__name__}{self.__signature__}>"

    @abstractmethod
    def __call__(self, *positional: Any, **given: Any) -> Any: ...

    def options(self) -> Sequence[str]:
        """What a call takes beside arrays and sizes."""
        return ()

    def named(self, positional: Sequence[Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments by the names of variables and sizes; raises ArrayMismatch if one is given twice."""
        if len(positional) > len(self._order):
            raise ArrayMismatch(
                f"{len(positional)} arrays are given by position, and there are {len(self._order)}",
                hint=f"their order is {', '.join(self._order)}" if self._order else "",
            )
        placed = dict(zip(self._order, positional, strict=False))
        twice = [name for name in placed if name in given]
        if twice:
            raise ArrayMismatch(f"{' and '.join(twice)} is given by position and by name")
        spelled = self._binding.spelled
        return {spelled.get(name, name): value for name, value in {**placed, **given}.items()}
