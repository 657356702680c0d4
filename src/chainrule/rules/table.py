"""What a row is: everything about a function in one place.

A row with a missing field fails when the table is built.

Numeric forms: `evaluate(xp, *arrays, *parameters)` is the plain reference, written so that it also accepts
complex arrays (branches look at the real part), which is what the complex-step check needs. `code` is the
NumPy source template of generated code: #1, #2 stand for arguments, $1, $2 for parameters. `jax` and `torch`
are those of these libraries where more differs than the name of the library: an array that is made has the
option dtype=dtype in JAX and **like in PyTorch, which the source defines by its first argument. `numba` is
that of one entry in a loop that Numba compiles, where NumPy's does not do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from chainrule.errors import ShapeMismatch
from chainrule.expr.dims import Dim
from chainrule.expr.nodes import Expr, Function, Parameter, Shape

ROWS: dict[str, Row] = {}


@dataclass(frozen=True, eq=False, kw_only=True)
class Row(Function):
    """What all rows share.

    says     the name or sentence that its rule has in a derivation
    text     how it is written in the NumPy dialect, #1 and $1 standing for arguments and parameters
    latex    TeX's template, with the same marks
    source   where the rule stands in the literature
    at_kink  where it is not differentiable, "#1 = 0"; "" if it is smooth in its domain
    takes    the value that is taken there
    kink     (xp, *arrays) -> distances from those points, for the sampler to stay away from 0
    smooth   arguments -> how many derivatives exist at the kink all the same: of the Huber loss, one
    domain   one of DOMAINS for each argument
    analytic whether `evaluate` accepts complex arrays and is then analytic off its kinks
    structure what is known of its value, as of a variable with these structures
    """

    name: str
    says: str
    evaluate: Callable[..., Any]
    code: str
    text: str
    latex: str
    source: str
    domain: tuple[str, ...]
    jax: str = ""
    torch: str = ""
    numba: str = ""
    at_kink: str = ""
    takes: str = ""
    kink: Callable[..., Any] | None = None
    smooth: Callable[[Sequence[Expr]], int] = lambda arguments: 0
    analytic: bool = True
    structure: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        missing = [f for f in ("name", "says", "code", "text", "latex", "source") if not getattr(self, f)]
        assert not missing, f"row {self.name!r} lacks {', '.join(missing)}"
        together = {bool(self.at_kink), bool(self.takes), self.kink is not None}
        assert len(together) == 1, f"row {self.name!r}: at_kink, takes and kink belong together"
        assert set(self.domain) <= set(DOMAINS), f"row {self.name!r} has an unknown domain"
        assert self.name not in ROWS, f"two rows are named {self.name!r}"
        ROWS[self.name] = self

    def __repr__(self) -> str:
        return f"<row {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return lookup, (self.name,)


# What an argument must be for the function to be differentiable there, given to the sampler.
DOMAINS = {
    "real": "any real number",
    "positive": "> 0",
    "nonnegative": "≥ 0",
    "nonzero": "not 0",
    "unit": "between −1 and 1",
    "above -1": "> −1",
    "invertible": "an invertible matrix",
    "full rank": "a matrix of full rank",
    "spd": "a positive definite matrix",
    "condition": "0 or 1",
    "whole": "a whole number",
}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Elementwise(Row):
    """y = f(x₁, x₂, ...) entry by entry; arguments of one shape.

    d            one function for each argument: (arguments..., y) -> ∂y/∂argument, an expression of the same
    shape;
                 None where it is 0 off the jumps, "unknown" where asking for it is an error
    weighted     `d` for a chosen weight at the kink, which `d` itself takes as 0; None where it cannot be
    chosen
    parity       "odd": f(−x) = −f(x), "even": f(−x) = f(x)
    indicator    its values are 0 and 1, so its positive powers are itself
    positive     its values are > 0
    """

    d: tuple[Callable[..., Expr] | str | None, ...]
    weighted: Callable[[Fraction], tuple[Callable[..., Expr], ...]] | None = None
    parity: str = ""
    indicator: bool = False
    positive: bool = False

    @property
    def arity(self) -> int:
        """The number of arguments."""
        return len(self.d)

    def derivatives(self, at_kink: Fraction = Fraction(0)) -> tuple[Callable[..., Expr] | str | None, ...]:
        """`d`, with the given weight at the kink where one can be chosen."""
        return self.weighted(at_kink) if self.weighted is not None and at_kink else self.d

    def result_shape(self, shapes: Sequence[Shape], parameters: tuple[Parameter, ...]) -> Shape:
        if len(shapes) != self.arity:
            raise ShapeMismatch(f"{self.name} takes {self.arity} argument(s), not {len(shapes)}")
        for shape in shapes[1:]:
            if shape != shapes[0]:
                raise ShapeMismatch(f"the arguments of {self.name} have different shapes")
        return shapes[0]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Tensorial(Row):
    """A function on whole tensors.

    The last `core` axes of each argument take part; axes before them are batches.

    shape    (core shapes..., parameters) -> core shape of the result; raises ShapeMismatch
    d        one function for each argument: (arguments..., y, parameters) -> local derivative with axes
             batch + core of y + core of the argument; None where it is 0 off the jumps, or "unknown"
    along    where the derivative is a named linear map: see rules.linear_maps
    back     its transpose, which the reverse sweep takes in place of `d`
    turns    whether f(Xᵀ, ...) = f(X, ...)ᵀ, all arguments turned
    """

    core: tuple[int, ...]
    shape: Callable[..., Shape]
    d: tuple[Callable[..., Expr] | str | None, ...]
    along: tuple[Callable[..., Expr] | None, ...] = ()
    back: tuple[Callable[..., Expr] | None, ...] = ()
    turns: bool = False

    @property
    def arity(self) -> int:
        """The number of arguments."""
        return len(self.core)

    def cores(self, parameters: tuple[Parameter, ...]) -> tuple[int, ...]:
        """The number of core axes of each argument; a core of −1 is given by the first parameter."""
        return tuple(parameters[0] if c < 0 else c for c in self.core)

    def result_shape(self, shapes: Sequence[Shape], parameters: tuple[Parameter, ...]) -> Shape:
        if len(shapes) != self.arity:
            raise ShapeMismatch(f"{self.name} takes {self.arity} argument(s), not {len(shapes)}")
        inner: list[Shape] = []
        batch: Shape | None = None
        for shape, core in zip(shapes, self.cores(parameters), strict=True):
            if len(shape) < core:
                wanted = {1: "a vector", 2: "a matrix"}.get(core, f"{core} axes")
                raise ShapeMismatch(
                    f"{self.name} needs {wanted}, not {'a scalar' if not shape else 'a vector'}"
                )
            lead = shape[: len(shape) - core]
            if batch is not None and batch != lead:
                raise ShapeMismatch(f"the leading axes of the arguments of {self.name} differ")
            batch, inner = lead, [*inner, shape[len(shape) - core :]]
        return (batch or ()) + tuple(self.shape(*inner, parameters))


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Constant(Row):
    """A function without arguments: π, e, a basis vector, a selection of entries.

    shape  parameters -> shape
    """

    shape: Callable[..., Shape]
    domain: tuple[str, ...] = ()

    def result_shape(self, shapes: Sequence[Shape], parameters: tuple[Parameter, ...]) -> Shape:
        assert not shapes, f"{self.name} takes no arguments"
        return tuple(self.shape(*parameters))


def lookup(name: str) -> Row:
    """The row of that name; a KeyError if there is none."""
    return ROWS[name]


def square_dims(shape: Shape, name: str) -> Dim:
    """The size of a square matrix; raises ShapeMismatch that names the function."""
    rows, columns = shape
    if rows != columns:
        raise ShapeMismatch(
            f"{name} needs a square matrix, not one of {rows} × {columns}", dims=(rows, columns)
        )
    return rows
