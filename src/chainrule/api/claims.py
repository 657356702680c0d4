"""Claims that are no formulas: a function of the variables, or numbers at a point.

In: what a person gives. Out: a Claim that the grading room can look at, with its points.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chainrule.api.calling import Caller, as_array
from chainrule.api.derivative import Derivative
from chainrule.api.point import read_point
from chainrule.errors import ArrayMismatch, DomainProblem, OptionError
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Expr, Variable
from chainrule.expr.walk import topological
from chainrule.expr.walk import variables as variables_of

if TYPE_CHECKING:
    from chainrule.grade.case import Claim
    from chainrule.verify.probe import Probe
    from chainrule.verify.sample import Point

# A function in single precision is right to so many digits; one in double precision to many more.
SINGLE, DOUBLE, TYPED = 1e-4, 1e-7, 1e-6
COARSE = 1e6  # times the rounding of double precision: that of single, met where numbers cancel
DIGITS = 3  # so many significant digits make a rounded number
DRAWS = 5  # points that complete data in which some variables are missing
PLAIN = ("normal", "normal", "negative", "normal", "small", "normal", "positive")


def function_claim(function: Callable[..., Any], derivative: Derivative, data: Mapping[str, Any]) -> Claim:
    """The claim that a function of the variables by keyword makes.

    Its result has output axes, then input axes.
    Raises: OptionError if it cannot be called; Misfit if sizes inside it do not fit.
    """
    from chainrule.grade.case import Claim

    call = Caller(function, list(derivative.formula.variables.values()), data)
    points = _points(derivative, data)
    values = [call(point) for point in points.points]
    place = "At the data given" if data else ""
    single = any(v.dtype.itemsize < 8 for v in values)
    tolerance, coarse = (SINGLE, COARSE) if single else (DOUBLE, 0.0)
    return Claim(lambda _: values, None, f"{call.shown}(…)", points, place, tolerance, coarse)


def _points(derivative: Derivative, data: Mapping[str, Any]) -> Probe:
    """The data, or random points."""
    from chainrule.verify.probe import probe

    if data:
        return completed(derivative, data)
    variables = list(derivative.formula.variables.values())
    return probe([derivative.formula.expr, derivative.expression], variables, kinds=PLAIN)


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
    try:
        if isinstance(claim, str):
            value, tolerance = _typed(claim)
        else:
            value = np.asarray(as_array(claim), float)
    except (TypeError, ValueError, RuntimeError) as problem:
        said = f"the claim is no array of numbers: {problem}"
        raise OptionError(said, hint="a matrix has rows of one length: [[1, 2], [3, 4]]") from None
    if not isinstance(claim, str):
        shown = json.dumps(value.tolist()) if value.size <= 12 else f"an array of shape {value.shape}"
    at = {name: _data(name, given) for name, given in at.items()}
    with np.errstate(all="ignore"):
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

    if isinstance(numbers, str):
        return numbers
    try:
        return json.dumps(np.asarray(as_array(numbers), float).tolist())
    except (TypeError, ValueError, RuntimeError) as problem:
        raise OptionError(f"the claim is no array of numbers: {problem}") from None


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


def _consistent(variables: Sequence[Variable], values: Mapping[str, Any]) -> None:
    """Raises ArrayMismatch if two arrays give a size two values, or one has not the size that is declared."""
    seen: dict[str, tuple[int, str]] = {}
    for v in variables:
        for dim, size in zip(v.shape, values[v.name].shape if v.name in values else (), strict=False):
            if dim.name is None:
                if not dim.names and dim.constant != size:
                    raise ArrayMismatch(f"{v.name} has {size} entries along an axis of size {dim.constant}")
                continue
            known, other = seen.setdefault(dim.name, (size, v.name))
            if known != size:
                raise ArrayMismatch(
                    f"the size {dim.name} is {known} in {other} and {size} in {v.name}",
                    hint="give arrays whose sizes fit the declared shapes",
                )


def _data(name: str, value: Any) -> Any:
    """A person's own array, of any library, in double precision."""
    import numpy as np

    try:
        return np.asarray(as_array(value), float)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise ArrayMismatch(f"{name} is no array of numbers: {problem}") from None


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
        array = _data(name, value)
        if array.ndim != v.rank:
            raise ArrayMismatch(f"{name} has {v.rank} axes, and an array of shape {array.shape} was given")
        values[v.name] = array
    _consistent(variables, values)
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
        raise _without_value(exprs, point)
    return Probe(points)


def _without_value(exprs: Sequence[Expr], point: Point) -> DomainProblem:
    """Which part of a formula and its derivative has no value at a point."""
    import numpy as np

    from chainrule.grade.mutant import short
    from chainrule.verify.probe import Probe

    values = Probe([point])
    for node in topological(exprs):
        value = values.value(node, 0)
        if np.isfinite(value).all():
            continue
        part = short(node)
        if "…" not in part:
            return DomainProblem(f"{part} has no finite value at this point", hint="give another point")
        break
    return DomainProblem(
        "the formula or its derivative has no value at this point",
        hint="give a point where every logarithm, root and inverse exists",
    )
