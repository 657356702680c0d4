"""Claims that are no formulas: a function of the variables, or numbers at a point.

In: what a person gives. Out: a Claim that the grading room can look at, with its points.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from chainrule.api.derivative import Derivative
from chainrule.api.point import read_point
from chainrule.errors import ArrayMismatch, DomainProblem, OptionError
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Variable
from chainrule.expr.walk import variables as variables_of

if TYPE_CHECKING:
    from chainrule.grade.case import Claim
    from chainrule.verify.probe import Probe
    from chainrule.verify.sample import Point

# A function in single precision is right to so many digits; one in double precision to many more.
SINGLE, DOUBLE, TYPED = 1e-4, 1e-7, 1e-6
DIGITS = 3  # so many significant digits make a rounded number
DRAWS = 5  # points that complete data in which some variables are missing
PLAIN = ("normal", "normal", "negative", "normal", "small", "normal", "positive")


def function_claim(function: Callable[..., Any], derivative: Derivative, data: Mapping[str, Any]) -> Claim:
    """The claim that a function of the variables by keyword makes.

    Its result has output axes, then input axes. Raises: OptionError if it cannot be called.
    """
    from chainrule.grade.case import Claim
    from chainrule.verify.probe import probe

    variables = list(derivative.formula.variables.values())
    exprs = [derivative.formula.expr, derivative.expression]
    points = completed(derivative, data) if data else probe(exprs, variables, kinds=PLAIN)
    name = getattr(function, "__name__", "the function")
    call = _caller(function, name, variables)
    values = [call(point) for point in points.points]
    single = any(v.dtype.itemsize < 8 for v in values)
    place = "At the data given" if data else ""
    return Claim(lambda _: values, None, f"{name}(…)", points, place, SINGLE if single else DOUBLE)


def _caller(function: Callable[..., Any], name: str, variables: Sequence[Variable]) -> Callable[[Point], Any]:
    """The function as one of a point, whatever arrays it wants."""
    import numpy as np

    known = {v.name for v in variables}
    wanted = _wanted(function, name, variables)
    order = _by_position(function)

    def call(point: Point) -> Any:
        given: dict[str, Any] = {**point.sizes, **point.values}
        if wanted is not None:
            given = {wanted[n]: value for n, value in given.items() if n in wanted}
        else:
            given = {n: value for n, value in given.items() if n in known}
        result = _called(function, name, given, order)
        try:
            return np.asarray(result, dtype=getattr(result, "dtype", float))
        except (TypeError, ValueError) as problem:
            raise OptionError(f"{name} does not return an array of numbers: {problem}") from None

    return call


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
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]


def _called(function: Callable[..., Any], name: str, given: Mapping[str, Any], order: Sequence[str]) -> Any:
    """The result as something that NumPy reads; a function of torch tensors gets tensors."""
    torch = sys.modules.get("torch")
    # A function may write into what it is given; the reference and the person's own data stay as they are.
    own = deepcopy(dict(given))
    # The gradient functions of JAX count their arguments, so those that may be are given by position.
    first = [p for k, p in enumerate(order) if all(q in given for q in order[: k + 1])]
    rest = {p: value for p, value in own.items() if p not in first}
    try:
        result = function(*(own[p] for p in first), **rest)
    except Exception as problem:  # whatever a person's function raises
        if torch is None:
            raise OptionError(f"{name} failed: {type(problem).__name__}: {problem}") from problem
        try:
            tensors = {n: torch.as_tensor(value) for n, value in deepcopy(dict(given)).items()}
            result = function(*(tensors[p] for p in first), **{p: tensors[p] for p in rest})
        except Exception as second:
            raise OptionError(f"{name} failed: {type(second).__name__}: {second}") from second
    return result.detach().cpu().numpy() if hasattr(result, "detach") else result


# ---------------------------------------------------------------- numbers


NUMBERS = re.compile(r"[\s\d.,+\-−eE\[\]/]+")


def numbers_claim(claim: Any, derivative: Derivative, at: Mapping[str, Any]) -> Claim:
    """The claim that numbers at a point make.

    Raises: ArrayMismatch if the point lacks a variable or an array does not fit.
    """
    import numpy as np

    from chainrule.grade.case import Claim

    tolerance = TYPED
    shown = claim
    if isinstance(claim, str):
        value, tolerance = _typed(claim)
    else:
        try:
            value = np.asarray(claim, float)
        except (TypeError, ValueError) as problem:
            raise OptionError(f"the claim is no array of numbers: {problem}") from None
        shown = json.dumps(value.tolist()) if value.size <= 12 else f"an array of shape {value.shape}"
    derivative.compile()(**at)
    points = completed(derivative, at)
    return Claim(lambda _: [value] * len(points.points), None, str(shown), points, "", tolerance)


def are_numbers(claim: Any) -> bool:
    """Whether a claim is numbers: a list, an array, or a text that holds nothing else.

    >>> are_numbers("[1, 2.5]"), are_numbers("2*x")
    (True, False)
    """
    if isinstance(claim, str):
        return bool(NUMBERS.fullmatch(claim)) and bool(re.search(r"\d", claim))
    return isinstance(claim, list | tuple | int | float) or hasattr(claim, "__array__")


def as_text(numbers: Any) -> str:
    """Numbers as a formula, for an answer that is the same everywhere."""
    import numpy as np

    return numbers if isinstance(numbers, str) else json.dumps(np.asarray(numbers, float).tolist())


def _typed(text: str) -> tuple[Any, float]:
    """The numbers in a text, and up to which relative error their digits are right."""
    import numpy as np

    plain = text.replace("−", "-")
    try:
        value = np.asarray(json.loads(plain), float)
    except (ValueError, TypeError):
        given = read_point(f"claim={plain}")
        value = np.asarray(given["claim"], float)
    largest = float(np.max(np.abs(value), initial=0.0))
    units: list[float] = []
    for match in re.finditer(r"(\d+)\.(\d+)(?![\d.]*[eE])", plain):
        if len((match[1] + match[2]).lstrip("0")) >= DIGITS:
            units.append(0.5001 * 10.0 ** -len(match[2]))
    return value, max(TYPED, max(units, default=0.0) / largest) if largest else TYPED


# ---------------------------------------------------------------- points


def completed(derivative: Derivative, data: Mapping[str, Any]) -> Probe:
    """The data as a point, with values for variables that it lacks, at several points then.

    Raises: ArrayMismatch if an array does not fit; DomainProblem if the derivative has no value there.
    """
    import numpy as np

    from chainrule.verify.probe import Probe
    from chainrule.verify.reference import known_sizes
    from chainrule.verify.sample import MANNERS, Point, draw

    variables = list(derivative.formula.variables.values())
    known = {v.name: v for v in variables}
    values: dict[str, Any] = {}
    for name, value in data.items():
        v = known.get(ascii_name(name))
        if v is None:
            raise ArrayMismatch(
                f"the formula has no variable {name}", hint=f"the variables are {', '.join(known)}"
            )
        array = np.asarray(value, float)
        if array.ndim != v.rank:
            raise ArrayMismatch(f"{name} has {v.rank} axes, and an array of shape {array.shape} was given")
        values[v.name] = array
    exprs = [derivative.formula.expr, derivative.expression]
    needed = {v.name for v in variables_of(*exprs)}
    missing = [v for v in variables if v.name in needed and v.name not in values]
    sizes = known_sizes([*exprs, *variables], values, {})
    unknown = sorted({n for v in missing for d in v.shape for n in d.names} - set(sizes))
    lacking = ", ".join(v.name for v in missing)
    if unknown:
        raise ArrayMismatch(
            f"{lacking} is missing, and cannot be filled in: the size {unknown[0]} is not known",
            hint=f"give {lacking} too",
        )
    rng = np.random.default_rng(0)
    points: list[Point] = []
    for k in range(8 * DRAWS if missing else 1):
        shapes = {v: tuple(d.evaluate(sizes) for d in v.shape) for v in missing}
        drawn = {v.name: draw(s, v.structure, MANNERS[k // DRAWS % 3], rng) for v, s in shapes.items()}
        point = Point({**values, **drawn}, sizes, float("inf"))
        if all(np.isfinite(Probe([point]).value(e, 0)).all() for e in exprs):
            points.append(point)
        if len(points) == DRAWS:
            break
    if not points:
        raise DomainProblem(
            "the formula or its derivative has no value at this point",
            hint="give a point where every logarithm, root and inverse exists",
        )
    return Probe(points)
