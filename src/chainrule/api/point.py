"""The value of a formula and its derivatives at a point that a person gives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from chainrule.errors import ArrayMismatch, DomainProblem, OptionError, Span
from chainrule.expr.names import ascii_name
from chainrule.expr.nodes import Expr, Variable
from chainrule.language import Formula

NO_VALUE = (
    "nan: what is written has no value there (0/0, 0 · ∞, ∞ − ∞, the root or logarithm of a negative "
    "number); a limit may exist"
)
_ASSIGNMENT = re.compile(r"\s*([^\s=,\[\]]+)\s*=\s*")


@dataclass(frozen=True)
class Point:
    """Arrays by name, the formula's value there, and the value of each derivative by its label."""

    given: dict[str, Any]
    value: Any
    derivatives: dict[tuple[str, ...], Any]

    @property
    def undefined(self) -> bool:
        """Whether NaN arose of finite arrays: the formula, or a derivative in this form, has no value."""
        import numpy as np

        found = (self.value, *self.derivatives.values())
        return any(np.isnan(value).any() for value in found) and all(
            np.isfinite(np.asarray(value, float)).all() for value in self.given.values()
        )


def evaluate(
    formula: Formula, derivatives: Mapping[tuple[str, ...], Expr], given: Mapping[str, Any] | str
) -> Point:
    """The values at the point; `given` is a mapping, a text "x=1,y=[2, 3]", or the path of an npz file.

    Raises: OptionError if the text is no point, ArrayMismatch if an array does not fit or is missing.
    """
    import numpy as np

    from chainrule.codegen.load import compile_expressions

    values = read_point(given) if isinstance(given, str) else dict(given)
    labels = {f"derivative {k}": key for k, key in enumerate(derivatives)}
    outputs = {"formula": formula.expr, **{label: derivatives[key] for label, key in labels.items()}}
    function = compile_expressions(outputs, list(formula.variables.values()), undefined=True)
    try:
        # Where a formula has no value the answer is inf or nan, which is told without NumPy's warnings.
        with np.errstate(all="ignore"):
            found = function(**values)
    except np.linalg.LinAlgError as problem:
        raise DomainProblem(
            f"the formula or its derivative has no value at this point: {str(problem).lower()}",
            hint="give a point at which every inverse exists",
        ) from None
    for variable in formula.variables.values():
        if variable.structure and variable.name in values:
            _check_structure(variable, np.asarray(values[variable.name], float))
    return Point(values, found["formula"], {key: found[label] for label, key in labels.items()})


def _check_structure(variable: Variable, value: Any) -> None:
    """The answer was simplified by what was declared, so it is wrong where that does not hold."""
    import numpy as np

    def same(a: Any, b: Any) -> bool:
        return bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))

    holds: dict[str, Callable[[Any], Any]] = {
        "symmetric": lambda a: same(a, a.T),
        "diagonal": lambda a: same(a, np.diag(np.diag(a))),
        "lower": lambda a: same(a, np.tril(a)),
        "upper": lambda a: same(a, np.triu(a)),
        "skew": lambda a: same(a, -a.T),
        "orthogonal": lambda a: same(a.T @ a, np.eye(len(a))),
        "orthonormal": lambda a: same(a.T @ a, np.eye(a.shape[1])),
        "unit": lambda a: same(a @ a, 1),
        "spd": lambda a: same(a, a.T) and np.all(np.linalg.eigvalsh(a) > 0),
        "simplex": lambda a: np.all(a >= 0) and same(a.sum(axis=-1), 1),
        "positive": lambda a: np.all(a > 0),
        "nonnegative": lambda a: np.all(a >= 0),
        "probability": lambda a: np.all((a >= 0) & (a <= 1)),
        "sign": lambda a: np.all(np.abs(a) == 1),
        "integer": lambda a: np.all(a == np.round(a)),
    }
    for structure in variable.structure:
        if structure.startswith("integer("):
            continue  # checked where the arrays are bound, which knows the sizes
        if np.isfinite(value).all() and not holds[structure](value):
            raise ArrayMismatch(
                f"{variable.name} is declared {structure}, and the array given is not",
                hint=f"give one that is, or declare {variable.name} without :{structure}",
            )


def read_point(text: str) -> dict[str, Any]:
    """The values that a text or a file gives by name.

    >>> read_point("x = 1/2, y = [1, 2]")
    {'x': 0.5, 'y': [1, 2]}
    """
    if re.search(r"\.npz\s*$", text) and "=" not in text:
        return _from_file(text.strip())
    values: dict[str, Any] = {}
    position = 0
    while position < len(text.rstrip().rstrip(",")):
        match = _ASSIGNMENT.match(text, position)
        if not match:
            raise _problem(text, position, len(text), "a point is name=value, name=value, ...")
        end = _end_of_value(text, match.end())
        name = ascii_name(match[1])
        if name in values:
            raise _problem(text, match.start(1), match.end(1), f"{match[1]} is given twice")
        values[name] = _value(text, match.end(), end)
        position = end + 1
    return values


def _end_of_value(text: str, start: int) -> int:
    """Where the value ends: the next comma outside brackets."""
    depth = 0
    for k in range(start, len(text)):
        depth += (text[k] == "[") - (text[k] == "]")
        if text[k] == "," and depth <= 0:
            return k
    return len(text)


def _value(text: str, start: int, end: int) -> Any:
    written = text[start:end].strip().replace("−", "-")
    try:
        if written.startswith("["):
            return json.loads(written)
        return float(Fraction(written)) if "/" in written else float(written)
    except (ValueError, ZeroDivisionError, RecursionError):
        raise _problem(
            text, start, max(end, start + 1), f"{written or 'nothing'} is not a number or a list"
        ) from None


def _problem(text: str, start: int, end: int, message: str) -> OptionError:
    return OptionError(
        message,
        source=text,
        spans=(Span(start, end),),
        hint='write "x=1,y=2", arrays as "w=[1, 2],A=[[1, 0], [0, 1]]", or give the path of an npz file',
    )


def _from_file(path: str) -> dict[str, Any]:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise OptionError(
                    f"{path} is not an npz file", hint="write one with np.savez(path, x=x, w=w)"
                )
            return {ascii_name(name): file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as problem:
        reason = getattr(problem, "strerror", None) or "it is not an npz file"
        raise OptionError(
            f"{path} cannot be read: {reason}", hint="write it with np.savez(path, x=x, w=w)"
        ) from None
