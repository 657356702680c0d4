"""A person's function called at points: which arrays it wants, and its result as numbers.

In: a function of NumPy, JAX or PyTorch arrays, and points. Out: what it returns there. An error inside it
that is about sizes is a Misfit, which is judged like any answer; any other is refused in words.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from chainrule.errors import OptionError
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Variable

if TYPE_CHECKING:
    from chainrule.verify.sample import Point

# What libraries say of sizes, and what PyTorch says of arrays that are not its own.
SIZES = re.compile(
    r"shape|\bsizes?\b|dimension|broadcast|\balign|\baxis\b|\bndim\b|out of bounds|\b[12]-?D\b"
    r"|too many indices|a matrix|square matri",
    re.IGNORECASE,
)
FOREIGN = re.compile(
    r"must be Tensor|expected Tensor|numpy\.ndarray|torch\.Tensor|combination of arguments|valid JAX type"
)
KINDS = re.compile(r"dtype|Float|Double|Half", re.IGNORECASE)
SIGNATURE = re.compile(r", with gufunc signature \S+ |\[original->remapped\]")
COARSE = ("float16", "bfloat16")
LONG = 160  # characters of what a library says


class Misfit(Exception):
    """The sizes inside a person's function do not fit; what is told of it."""


def claim_name(function: Callable[..., Any]) -> str:
    """How a function is spoken of.

    >>> claim_name(abs), claim_name(lambda x: x)
    ('abs', 'the function')
    """
    name = str(getattr(function, "__name__", "<lambda>"))
    return "the function" if name == "<lambda>" else name


class Caller:
    """A function as one of a point, whatever arrays it wants.

    `data` are the person's own arrays: where they are tensors, the function gets tensors of their kind.
    Raises: OptionError if it takes what the formula does not have.
    """

    def __init__(
        self, function: Callable[..., Any], variables: Sequence[Variable], data: Mapping[str, Any]
    ) -> None:
        self.function = function
        self.shown = claim_name(function)
        self.variables = variables
        self.wanted = _wanted(function, self.shown, variables)
        self.order = _by_position(function)
        self.dresses = _dresses(data)

    def __call__(self, point: Point) -> Any:
        """Its result at a point, as an array.

        Raises: Misfit; OptionError if it fails otherwise, or returns no numbers.
        """
        given: dict[str, Any] = {**point.sizes, **point.values}
        if self.wanted is not None:
            given = {self.wanted[n]: value for n, value in given.items() if n in self.wanted}
        else:
            known = {v.name for v in self.variables}
            given = {n: value for n, value in given.items() if n in known}
        result = self.called(given)
        if result is None:
            raise OptionError(f"{self.shown} returns nothing", hint="it returns the derivative, as an array")
        try:
            return as_array(result)
        except (TypeError, ValueError, RuntimeError) as problem:
            raise OptionError(f"{self.shown} does not return an array of numbers: {problem}") from None

    def called(self, given: Mapping[str, Any]) -> Any:
        """What the function returns, given arrays of the first kind that it takes."""
        # The gradient functions of JAX count their arguments, so those that may be are given by position.
        first = [p for k, p in enumerate(self.order) if all(q in given for q in self.order[: k + 1])]
        problems: list[Exception] = []
        for dress in self.dresses:
            if problems and dress is _single and not any(KINDS.search(str(p)) for p in problems):
                continue
            # A function may write into what it is given; the person's data stay as they are.
            own = {p: dress(deepcopy(value)) for p, value in given.items()}
            rest = {p: value for p, value in own.items() if p not in first}
            try:
                with _precise():
                    return self.function(*(own[p] for p in first), **rest)
            except Exception as problem:  # whatever a person's function raises
                problems.append(problem)
        about_sizes = [p for p in problems if _is_of_sizes(p)]
        if about_sizes:
            raise Misfit(self._told(about_sizes[0], given)) from None
        likely = next((p for p in problems if not FOREIGN.search(str(p))), problems[-1])
        raise OptionError(f"{self.shown} failed: {type(likely).__name__}: {likely}") from likely

    def _told(self, problem: Exception, given: Mapping[str, Any]) -> str:
        """Where the sizes do not fit, in the words of the library, and what the function was given."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        frames = traceback.extract_tb(problem.__traceback__)
        own = [f for f in frames if code is not None and f.filename == code.co_filename and f.line]
        place = f", in the line  {own[-1].line}" if own else ""
        says = SIGNATURE.sub(" ", str(problem).strip().partition("\n")[0])
        says = says if len(says) <= LONG else f"{says[:LONG]}…"
        sizes = ", ".join(f"{p} {_shape(value)}" for p, value in given.items())
        return f"The sizes do not fit inside {self.shown}{place}\n({says}). It was given {sizes}."


def as_array(result: Any) -> Any:
    """Numbers of any library as a NumPy array; a tuple of several as one, a tuple of one as what it holds.

    Raises: TypeError, ValueError, RuntimeError if they are no numbers.

    >>> as_array((2.5,)).shape, as_array([True, False])
    ((), array([1., 0.]))
    """
    import numpy as np

    if isinstance(result, tuple) and len(result) == 1:
        return as_array(result[0])
    if isinstance(result, list | tuple):
        return np.stack([as_array(part) for part in result]) if result else np.zeros(0)
    if hasattr(result, "detach"):
        result = result.detach().cpu()
        result = result.half().numpy() if str(result.dtype) == "torch.bfloat16" else result.numpy()
    array = np.asarray(result)
    if array.dtype.name in COARSE:
        raise TypeError(f"{array.dtype.name} has too few digits to judge by; return float32 or float64")
    if array.dtype.kind == "c":
        raise TypeError("its numbers are complex")
    return array if array.dtype.kind == "f" else np.asarray(result, dtype=float)


def _wanted(function: Callable[..., Any], name: str, variables: Sequence[Variable]) -> dict[str, str] | None:
    """The arguments that the function takes, by the names of the formula; None if it takes any."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    wanted = {ascii_name(p): p for p in parameters}
    known = [v.name for v in variables]
    sizes = {d for v in variables for dim in v.shape for d in dim.names}
    empty = inspect.Parameter.empty
    unknown = [p for n, p in wanted.items() if parameters[p].default is empty and n not in {*known, *sizes}]
    if unknown:
        raise OptionError(
            f"{name} takes {', '.join(unknown)}, which the formula does not have",
            hint=f"its arguments are named as the variables are: {', '.join(known)}",
        )
    return wanted


def _by_position(function: Callable[..., Any]) -> list[str]:
    """The arguments that may be given by position, in order."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _precise() -> AbstractContextManager[Any]:
    """Double precision in JAX, which computes in single where nothing else is said."""
    jax = sys.modules.get("jax")
    older = getattr(sys.modules.get("jax.experimental"), "enable_x64", None)
    switch = getattr(jax, "enable_x64", older)
    made: AbstractContextManager[Any] = switch(True) if callable(switch) else nullcontext()
    return made


Dress = Callable[[Any], Any]


def _dresses(data: Mapping[str, Any]) -> tuple[Dress, ...]:
    """The kinds of arrays that a function may want, the likeliest first."""
    tensors = [value for value in data.values() if hasattr(value, "detach")]
    if any(str(value.dtype) != "torch.float64" for value in tensors if value.is_floating_point()):
        return _single, _double, _as_it_is
    if tensors:
        return _double, _single, _as_it_is
    return (_as_it_is, _double, _single) if "torch" in sys.modules else (_as_it_is,)


def _as_it_is(value: Any) -> Any:
    return value


def _double(value: Any) -> Any:
    return value if isinstance(value, int) else sys.modules["torch"].as_tensor(value)


def _single(value: Any) -> Any:
    return value if isinstance(value, int) else sys.modules["torch"].as_tensor(value).float()


def _is_of_sizes(problem: Exception) -> bool:
    """Whether a library complains about sizes; and not PyTorch about an array that is no tensor."""
    says = str(problem)
    kinds = isinstance(problem, ValueError | TypeError | RuntimeError | IndexError)
    return kinds and bool(SIZES.search(says)) and not FOREIGN.search(says)


def _shape(value: Any) -> str:
    sizes = getattr(value, "shape", ())
    return " × ".join(map(str, sizes)) or "a number"
