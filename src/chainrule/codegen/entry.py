"""The way into a compiled function: a `__call__` written for its arrays, so that a call costs little.

Arrays of one precision that fit are passed on as they are, which a few comparisons in straight-line code
show; for all else the careful way in binding.py is taken. Whether NaN arose is told by the processor's
floating-point flags, which NumPy reads after each operation, so that results need not be read again.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.codegen.binding import Binding
from chainrule.codegen.blas_helpers import INVERTED, NOT_DEFINITE
from chainrule.codegen.linear_helpers import NONE_HERE
from chainrule.codegen.names import identifier
from chainrule.errors import ArrayMismatch, DomainProblem
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Shape, Variable

# What generated code may raise where arrays have a form that the formula has no value for.
FAILED = (np.linalg.LinAlgError, ZeroDivisionError, ValueError, IndexError)
FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
ABSENT: Any = object()


class _Flags:
    """What NumPy last told of a division by zero, an overflow or an invalid operation: a new object each.

    A call compares it before and after, so calls in several threads can only make each other look twice.
    """

    last: object = None

    def note(self, kind: str, flag: int) -> None:
        self.last = object()


FLAGS = _Flags()
# NumPy copies rows that it repeats (u[:, None] * v) through a buffer, unless two of them do not fit into it:
# with its usual 8192 entries a product of 500 x 500 takes three times as long. With 256 entries it stops
# every few rows of a matrix of 100 x 100, whose sum with its transpose then takes a fifth longer.
BUFFER = 512
with np.errstate(all="call", under="ignore", call=FLAGS.note):
    # What runs in a copy of this context has its flags noted and gives no warnings, whatever is set outside.
    np.setbufsize(BUFFER)
    NOTED = contextvars.copy_context()

SOURCE = """
def __call__({p}self, /, *{p}positional, {given}**{p}others):
    if {tests}:
        {p}dtype = {dtype}
        {shapes}
        if {fits}:
            {numbers}
            {written}
            {p}before = flags{p}.last
            try:
                {p}result = {call}
            except failed{p} as {p}problem:
                raise failure{p}({p}problem, {p}self._binding, {handed}) from None
            {parts}
            if flags{p}.last is {p}before and {plain}:
                return {made}
            {p}result = {p}self.finish({p}result, {p}dtype, flags{p}.last is not {p}before, {handed})
            return {made}
    return {p}self.careful({p}positional, {handed_all})
"""


def entry(
    variables: Sequence[Variable],
    arrays: Sequence[str],
    needed: Sequence[str],
    function: Callable[..., Any],
    ranks: Sequence[int | None],
    single: bool,
    trusted: bool,
    noted: bool,
    make: Callable[..., Any] | None = None,
    shapes: Sequence[Shape] | None = None,
) -> Callable[..., Any] | None:
    """A method f(X=..., w=...): arrays that fit go to `function`, all else to `self.careful`.

    variables  all that may be given
    arrays     the names of those that `function` takes, and then
    needed     these sizes, which one of the others must show
    ranks      of the results, which come as a dict unless `single`; None for one of any type
    trusted    whether the flags tell of every NaN
    noted      whether NaN is looked for at all
    make       what the dict of results is given to, and their precision; its value is returned
    shapes     of the results, where they can be written to arrays that are there
    None where fitting is not soon seen: shapes with sizes that no axis of their own shows.
    """
    names = {v.name: identifier(v.name) for v in variables}
    # Variables may have any name: what is written here begins with more underscores than all of them.
    p = "_" * (1 + max((len(n) - len(n.lstrip("_")) for n in names.values()), default=0))
    shown = [
        next((v.name for v in variables if any(dim.name == size for dim in v.shape)), None) for size in needed
    ]
    asked = dict.fromkeys([*arrays, *(name for name in shown if name is not None)])
    floats = [v.name for v in variables if v.rank and v.bound is None]
    if floats and asked.keys().isdisjoint(floats):
        asked[floats[0]] = None  # a constant has the precision of what is given beside it
    checks = _Checks(p, [v for v in variables if v.name in asked], names)
    checks.beside([v for v in variables if v.name not in asked], names)
    if not checks.possible or any(size not in checks.sizes for size in needed):
        return None
    handed = "{" + ", ".join(f"{name!r}: {n}" for name, n in names.items()) + "}"
    arguments = ", ".join([*(names[name] for name in arrays), *(checks.sizes[size] for size in needed)])
    parts = [f"{p}result"] if single else [f"{p}r{k}" for k in range(len(ranks))]
    plain = [
        f"type({part}) is ndarray{p} and {part}.dtype is {p}dtype"
        if rank
        else f"type({part}) is {p}dtype.type"
        for part, rank in zip(parts, ranks, strict=True)
        if rank is not None
    ]
    lengths = [[checks.size(dim) for dim in shape] for shape in shapes or ()]
    told = shapes is not None and "out" not in names.values() and all(None not in each for each in lengths)
    sizes = "".join("(" + "".join(f"{length}, " for length in each) + "), " for each in lengths)
    rest = f"({sizes}), [{arguments}], {p}dtype, {handed}, {handed}"
    source = SOURCE.format(
        p=p,
        given="".join(f"{n}=absent{p}, " for n in names.values()) + ("out=None, " if told else ""),
        written=f"if out is not None: return {p}self.written(out, {rest})" if told else "pass",
        tests=" and ".join([f"not {p}positional and not {p}others", *checks.types]),
        dtype=checks.dtype,
        shapes="; ".join(checks.shapes) or "pass",
        fits=" and ".join(checks.fits) or "True",
        numbers="; ".join(checks.numbers) or "pass",
        call=f"copied{p}().run(function{p}, {arguments})" if noted else f"function{p}({arguments})",
        parts="pass" if single else f"{', '.join(parts)}, = {p}result.values()",
        made=f"{p}result" if make is None else f"make{p}({p}result, {p}dtype)",
        plain=(" and ".join(plain) or "True") if trusted or not noted else "False",
        handed=handed,
        handed_all=f"{{**{handed}, {'**dict(out=out), ' if told else ''}**{p}others}}",
    )
    space = {
        "absent": ABSENT,
        "ndarray": np.ndarray,
        "double": FLOATS[0],
        "single": FLOATS[1],
        "whole": np.dtype(np.intp),
        "unsigned": np.dtype(np.uintp),
        "flags": FLAGS,
        "copied": NOTED.copy,
        "function": function,
        "failed": FAILED,
        "failure": failure,
        "make": make,
    }
    scope: dict[str, Any] = {name + p: value for name, value in space.items()}
    exec(compile(source, "<chainrule entry>", "exec"), scope)
    method: Callable[..., Any] = scope["__call__"]
    return method


class _Checks:
    """The comparisons that show that arrays fit, as text."""

    def __init__(self, p: str, arrays: Sequence[Variable], names: Mapping[str, str]) -> None:
        self.p = p
        self.types: list[str] = []
        self.shapes: list[str] = []
        self.fits: list[str] = []
        self.numbers: list[str] = []
        self.dtype = f"double{p}"
        self.possible = True
        self.sizes: dict[str, str] = {}
        pairs = [(v, names[v.name]) for v in arrays]
        ranked = [(v, n) for v, n in pairs if v.rank]
        floats = [n for v, n in ranked if v.bound is None]
        if floats:
            self.dtype = f"{floats[0]}.dtype"
            self.fits.append(f"({p}dtype is double{p} or {p}dtype is single{p})")
            self.fits += [f"{n}.dtype is {p}dtype" for n in floats[1:]]
        self._shapes(ranked)
        for variable, name in pairs:
            if variable.bound is not None:
                self._indices(variable, name)
            elif not variable.rank:
                self.types.append(f"(type({name}) is float or type({name}) is {self.dtype}.type)")
                self.numbers.append(f"{name} = {p}dtype.type({name})")

    def beside(self, others: Sequence[Variable], names: Mapping[str, str]) -> None:
        """Arrays that are not needed may be given, and must fit the others then."""
        for variable in others:
            name = names[variable.name]
            lengths = [self.size(dim) for dim in variable.shape]
            test = f"{name} is absent{self.p}"
            if variable.rank and all(length is not None for length in lengths):
                shape = "".join(f"{length}, " for length in lengths)
                test += f" or type({name}) is ndarray{self.p} and {name}.shape == ({shape})"
            elif not variable.rank:
                test += f" or type({name}) is float"
            self.fits.append(f"({test})")

    def _shapes(self, ranked: Sequence[tuple[Variable, str]]) -> None:
        p = self.p
        later: list[tuple[str, Dim]] = []
        for k, (variable, name) in enumerate(ranked):
            self.types.append(f"type({name}) is ndarray{p}")
            self.shapes.append(f"{p}s{k} = {name}.shape")
            self.fits.append(f"len({p}s{k}) == {variable.rank}")
            for axis, dim in enumerate(variable.shape):
                length = f"{p}s{k}[{axis}]"
                if dim.name is not None and dim.name not in self.sizes:
                    self.sizes[dim.name] = length
                else:
                    later.append((length, dim))
        for length, dim in later:
            size = self.size(dim)
            self.possible = self.possible and size is not None
            self.fits.append(f"{length} == {size}")

    def _indices(self, variable: Variable, name: str) -> None:
        """Whole numbers from 0 to below the bound: seen as unsigned ones, the negative are large."""
        assert variable.bound is not None
        p, size = self.p, self.size(variable.bound)
        self.possible = self.possible and size is not None and variable.rank > 0
        self.fits.append(f"{name}.dtype is whole{p}")
        self.fits.append(f"(not {name}.size or {name}.view(unsigned{p}).max() < {size})")

    def size(self, dim: Dim) -> str | None:
        """A size by the lengths of axes; None if no axis of its own shows one of its names."""
        if any(name not in self.sizes for name in dim.names):
            return None
        terms = (
            "*".join([str(count), *(f"{self.sizes[n]}**{e}" for n, e in monomial)])
            for monomial, count in dim.terms
        )
        return " + ".join(terms) or "0"


def failure(problem: Exception, binding: Binding, given: Mapping[str, Any]) -> Exception:
    """What an error in generated code means for the arrays given; the error itself if that is not known."""
    if isinstance(problem, np.linalg.LinAlgError):
        return outside(str(problem))
    shapes = {name: np.shape(value) for name, value in given.items() if name in binding.variables}
    for name, shape in shapes.items():
        if 0 in shape:
            return ArrayMismatch(
                f"this cannot be computed for an axis of 0 entries: {binding.declared(name)} was given "
                f"shape {tuple(shape)}",
                sizes={n: str(tuple(s)) for n, s in shapes.items()},
            )
    if isinstance(problem, ZeroDivisionError):
        listed = ", ".join(f"{binding.declared(n)} of shape {tuple(s)}" for n, s in shapes.items() if s)
        return DomainProblem(
            "a number made of the sizes is 0 at these arrays, and it is divided by"
            + (f": {listed}" if listed else ""),
            hint="give more entries",
        )
    return problem


def outside(problem: str) -> DomainProblem:
    """What a LinAlgError means for the arrays given; helpers of generated code say it themselves."""
    if NONE_HERE in problem:
        return DomainProblem(f"at these arrays {problem}", hint="move the arrays a little off this point")
    if NOT_DEFINITE in problem:
        return DomainProblem(
            f"{problem} at these arrays",
            hint="by its form it has no eigenvalue < 0, but one is 0 here: XᵀX has that where columns of X "
            "depend on each other"
            if problem.startswith(INVERTED)
            else "it is declared spd: symmetric, with eigenvalues > 0",
        )
    if "did not converge" in problem:
        return DomainProblem(
            f"{problem[0].lower()}{problem[1:]} at these arrays",
            hint="a matrix with NaN or infinity in it has none",
        )
    if "positive definite" in problem:
        return DomainProblem(
            "a matrix that cholesky is given is not positive definite at these arrays",
            hint="cholesky exists only where all eigenvalues of the symmetric part are > 0",
        )
    return DomainProblem(
        f"a matrix that has to be inverted is singular at these arrays ({problem})",
        hint="the derivative in this form exists only where the matrix is invertible",
    )
