"""Where a fit begins: small random parameters unless a start is given, and which rate suits the start.

A ReLU neuron whose z is negative for every row has the gradient zero and never moves. So the bias of a relu
that is compared with a target starts at the mean of that target: then the neuron is on, and predicts about
what a constant would.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from fractions import Fraction
from os import PathLike
from pathlib import Path

import numpy as np

from chainrule.errors import (
    ArrayMismatch,
    DomainProblem,
    LimitExceeded,
    NoDerivative,
    OptionError,
    Span,
    UnknownName,
)
from chainrule.expr.nodes import Apply, Einsum, Expr, Sum, Variable
from chainrule.expr.walk import topological
from chainrule.fit.constraints import block_of
from chainrule.fit.files import read_arrays
from chainrule.fit.objective import Array, Objective

SMALL = 0.1
PLAIN_RATE = 0.1
POWER_STEPS = 30


def relu_biases(loss: Expr, params: Collection[str]) -> dict[str, str]:
    """For each parameter b in a residual y − relu(… + b) the name of y.

    >>> from chainrule.language import parse_declarations, parse_formula
    >>> shapes = parse_declarations("X[N,n] w[n] b y[N]")
    >>> loss = parse_formula("mean((y - relu(X @ w + b))**2)", shapes)
    >>> relu_biases(loss.expr, ["w", "b"])
    {'b': 'y'}
    """
    found: dict[str, str] = {}
    for node in topological([loss]):
        if not isinstance(node, Sum) or len(node.terms) != 2:
            continue
        for one, other in (node.terms, node.terms[::-1]):
            (target, factor), (unit, against) = _alone(one), _alone(other)
            if not isinstance(target, Variable) or target.name in params or not isinstance(unit, Apply):
                continue
            inside = _relu_argument(unit)
            if abs(factor) != 1 or against != -factor or not isinstance(inside, Sum):
                continue
            for term in inside.terms:
                bias, share = _alone(term)
                if isinstance(bias, Variable) and bias.name in params and share == 1:
                    found.setdefault(bias.name, target.name)
    return found


def _alone(node: Expr) -> tuple[Expr, Fraction]:
    """What a term is but for a number, an order of axes or a broadcast, and that number; 0 for a size."""
    factor = Fraction(1)
    while isinstance(node, Einsum) and len(node.operands) == 1:
        factor *= Fraction(node.coefficient.rational) if not node.coefficient.powers else 0
        node = node.operands[0]
    return node, factor


def _relu_argument(node: Apply) -> Expr | None:
    """The z of relu(z) and of maximum(0, z)."""
    if node.function.name == "relu":
        return node.arguments[0]
    if node.function.name == "maximum":
        zeros = [isinstance(a, Einsum) and a.coefficient.rational == 0 for a in node.arguments]
        if any(zeros):
            return node.arguments[zeros.index(False)] if not all(zeros) else None
    return None


def random_start(
    shapes: Mapping[str, tuple[int, ...]],
    structures: Mapping[str, tuple[str, ...]],
    seed: int,
) -> dict[str, Array]:
    """Small random parameters that have their structure.

    Entries are normal with the deviation 0.1/√n for a vector of n and √(2/(m + n)) for an m×n matrix, which
    keeps the size of what passes through layers (Glorot and Bengio 2010). With a structure these are the
    numbers t that the parameter is made of: positive entries start near 1, a simplex near its middle.
    """
    start = {}
    for index, (name, shape) in enumerate(shapes.items()):
        rng = np.random.default_rng([seed, index])
        words = structures.get(name, ())
        if "unit" in words:
            entries = rng.standard_normal(shape)
            start[name] = entries / np.linalg.norm(entries)
            continue
        if {"orthogonal", "orthonormal"} & set(words):
            start[name] = np.linalg.qr(rng.standard_normal(shape))[0]
            continue
        block, _, _ = block_of(name, words, np.zeros(shape), False)
        deviation = (2 / sum(shape[-2:])) ** 0.5 if len(shape) > 1 else SMALL / max(1, *shape, 1) ** 0.5
        t = deviation * rng.standard_normal(block.size)
        start[name] = np.asarray(block.value(t)).reshape(shape)
    return start


def start_of(
    shapes: Mapping[str, tuple[int, ...]],
    structures: Mapping[str, tuple[str, ...]],
    *,
    init: Mapping[str, object] | str | Path | None = None,
    biases: Mapping[str, float] | None = None,
    seed: int = 0,
) -> dict[str, Array]:
    """The start of all parameters: those in `init` as given, `biases` at their number, the others random.

    `init` is what `read_start` reads. A number fills an array.
    Raises: UnknownName, ArrayMismatch for what does not fit.

    >>> start_of({"w": (2,), "b": ()}, {}, init={"w": 0.5}, biases={"b": 3.0})
    {'w': array([0.5, 0.5]), 'b': array(3.)}
    """
    given = read_start(init)
    for name in given:
        if name not in shapes:
            near = get_close_matches(name, shapes, 1, 0.5)
            raise UnknownName(
                f"a start is given for {name}, which is no parameter"
                + (f"; did you mean {near[0]}?" if near else ""),
                hint="the parameters are " + ", ".join(shapes),
            )
    start = random_start(shapes, structures, seed)
    for name, number in (biases or {}).items():
        start[name] = np.full(shapes[name], float(number))
    for name, value in given.items():
        start[name] = _fitting(name, value, shapes[name])
    return start


def read_start(init: object) -> Mapping[str, object]:
    """The start by name: of a mapping, a text of numbers, or a file (npz, safetensors, a result).

    Raises: OptionError for what is none of these, FileProblem for a file that is not there.

    >>> read_start("w=0.5, b=1")
    {'w': 0.5, 'b': 1.0}
    """
    if init is None:
        return {}
    if isinstance(init, Mapping):
        return init
    if not isinstance(init, str | PathLike):
        raise OptionError(
            f"init cannot be of type {type(init).__name__}",
            hint="a start is numbers or arrays by name, init={'w': 0.5, 'b': 1}, or a file",
        )
    if not isinstance(init, str) or "=" not in init or Path(init).exists():
        return arrays_in(Path(init))
    found: dict[str, object] = {}
    for part in init.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        try:
            found[name] = float(value)
        except ValueError:
            raise OptionError(
                f"the start of {name or '…'} is no number: {value!r}",
                source=init,
                spans=(Span(0, len(init)),),
                hint="w=0.5,b=1, or a file",
            ) from None
    return found


def arrays_in(path: Path) -> dict[str, Array]:
    """The parameters in a file, of which a saved result has others beside."""
    arrays, _ = read_arrays(path)
    parameters = {name.removeprefix("params."): a for name, a in arrays.items() if name.startswith("params.")}
    return parameters or arrays


def _fitting(name: str, value: object, shape: tuple[int, ...]) -> Array:
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        raise ArrayMismatch(f"the start of {name} is not an array of numbers") from None
    if array.shape not in ((), shape):
        raise ArrayMismatch(
            f"the start of {name} has the shape {array.shape}, and {name} has {shape}",
            hint="give an array of that shape, or one number for all entries",
        )
    if not np.isfinite(array).all():
        raise DomainProblem(f"the start of {name} is not finite")
    return np.array(np.broadcast_to(array, shape))


def suggested_rate(objective: Objective, theta: Array) -> tuple[float, str]:
    """A constant rate for gradient descent, and how it was found: 1/|λ|.

    λ is the largest curvature at the start, found by powers of the Hessian on a fixed random direction.
    Up to 2/|λ| a quadratic loss goes down.
    """
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(objective.size)
    direction /= np.linalg.norm(direction) or 1.0
    curvature = 0.0
    for _ in range(POWER_STEPS):
        try:
            image = objective.product(theta, direction)
        except (NoDerivative, LimitExceeded):
            return PLAIN_RATE, f"the rate is {PLAIN_RATE:g}, as no second derivative of the loss is known"
        except OptionError:
            return PLAIN_RATE, f"the rate is {PLAIN_RATE:g}, as the second derivative needs all rows at once"
        curvature = float(np.linalg.norm(image))
        if not (0 < curvature < np.inf):
            return PLAIN_RATE, f"the rate is {PLAIN_RATE:g}, as the loss is not curved at the start"
        direction = image / curvature
    rate = 1 / curvature
    rounded = float(f"{rate:.3g}")
    return rounded, f"the rate is {rounded:g}, 1/|λ| for the largest curvature λ at the start"
