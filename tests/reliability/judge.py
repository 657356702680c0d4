"""JAX in float64, run eagerly, as the judge of what chainrule derives for a random program."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from reliability.programs import Program

import chainrule as cr

TOLERANCE = {1: 1e-9, 2: 1e-7}
TOO_LARGE = 1e8
NEAR = 1e-4  # of a kink or tie: the judge and the judged may choose different sides


@dataclass(frozen=True, slots=True)
class Outcome:
    """`verdict`: "agrees", "differs" or "skipped"; `reason` says why or how far."""

    verdict: str
    reason: str = ""


def values(program: Program, seed: int) -> dict[str, np.ndarray]:
    """A number in every entry, of the size of 1."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=[program.sizes[s] for s in shape])
        for name, shape in sorted(program.variables.items())
    }


def jax_functions() -> dict[str, Any]:
    """The language in terms of jax.numpy, as far as random programs go."""
    import jax

    jnp = jax.numpy

    def of_numbers(function: Any) -> Any:
        """jax.nn refuses Python's own numbers."""
        return lambda x, **options: function(jnp.asarray(x, float), **options)

    same = (
        "sum mean exp log sqrt sin cos tan tanh sinh cosh arcsin arccos arctan log1p expm1 abs maximum "
        "minimum clip where power diag outer dot eye ones_like einsum"
    )
    return {name: getattr(jnp, name) for name in same.split()} | {
        "max": jnp.max,
        "min": jnp.min,
        "norm": lambda x, axis=None: jnp.sqrt(jnp.sum(x * x, axis=axis)),
        "norm1": lambda x: jnp.sum(jnp.abs(x)),
        "unit": lambda x: x / jnp.sqrt(jnp.sum(x * x)),
        "tr": jnp.trace,
        "inv": jnp.linalg.inv,
        "solve": jnp.linalg.solve,
        "det": jnp.linalg.det,
        "logdet": lambda x: jnp.linalg.slogdet(x)[1],
        "matrix_power": jnp.linalg.matrix_power,
        "relu": of_numbers(jax.nn.relu),
        "sigmoid": of_numbers(jax.nn.sigmoid),
        "softplus": of_numbers(jax.nn.softplus),
        "softmax": of_numbers(jax.nn.softmax),
        "logsumexp": jax.scipy.special.logsumexp,
        "erf": of_numbers(jax.scipy.special.erf),
        "stop": of_numbers(jax.lax.stop_gradient),
    }


class Judge:
    """Evaluates and differentiates the text of a program with JAX."""

    def __init__(self, program: Program) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax, self.program = jax, program
        self.scope = jax_functions() | program.sizes
        *named, last = program.text.split("; ")
        self.named = [compile(line, "<program>", "exec") for line in named]
        self.last = compile(last, "<program>", "eval")

    def value(self, point: dict[str, Any]) -> Any:
        """The value of the program."""
        arrays = {name: self.jax.numpy.asarray(array) for name, array in point.items()}
        scope = {"__builtins__": {}, **self.scope, **arrays}
        for line in self.named:
            exec(line, scope)
        return self.jax.numpy.asarray(eval(self.last, scope), dtype=float)

    def derivative(self, point: dict[str, Any], order: int, along: np.ndarray) -> np.ndarray:
        """The Jacobian's rows added up with the weights `along`, or the Hessian times `along`."""
        wrt, jnp = self.program.wrt, self.jax.numpy

        def first(x: Any, weights: Any) -> Any:
            return self.jax.vjp(lambda x: self.value({**point, wrt: x}), x)[1](weights)[0]

        x = jnp.asarray(point[wrt])
        if order == 1:
            return np.asarray(first(x, jnp.asarray(along)))
        return np.asarray(self.jax.jvp(lambda x: first(x, jnp.ones(())), (x,), (jnp.asarray(along),))[1])


def judge(program: Program, order: int, seed: int) -> Outcome:
    """Compare chainrule's compiled derivative with JAX's at a random point, in a random direction."""
    point = values(program, seed)
    rng = np.random.default_rng([seed, order])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        referee = Judge(program)
        value = np.asarray(referee.value(point))
        if not np.isfinite(value).all() or np.abs(value).max(initial=0) > TOO_LARGE:
            return Outcome("skipped", "the value is too large")
        x = point[program.wrt]
        along = rng.normal(size=value.shape if order == 1 else x.shape)
        wanted = referee.derivative(point, order, along)
        derived = cr.derive(program.text, shapes=program.shapes, wrt=program.wrt, order=order)
        compiled = derived.compile()
        whole = np.asarray(compiled(**_taken(compiled, point, program.sizes)))
        if whole.shape != (value.shape + x.shape if order == 1 else x.shape + x.shape):
            return Outcome("differs", f"the derivative has the shape {whole.shape}")
        got = np.tensordot(along, whole, axes=along.ndim)
        if not np.isfinite(wanted).all():
            return Outcome("skipped", "the judge's derivative is not finite")
        scale = max(1.0, float(np.abs(wanted).max(initial=0)), float(np.abs(whole).max(initial=0)))
        error = float(np.abs(got - wanted).max(initial=0)) / scale
        if error <= TOLERANCE[order]:
            return Outcome("agrees")
        if scale > TOO_LARGE:
            return Outcome("skipped", "the derivative is too large")
        moved = _moves(referee, point, order, along, wanted, 1e-14)
        if error <= 1000 * moved / scale:
            return Outcome("skipped", "ill conditioned")
        if _moves(referee, point, order, along, wanted, NEAR) > 0.02 * scale:
            return Outcome("skipped", "near a kink or a tie")
        return Outcome("differs", f"by {error:.2e} of {scale:.2e}")


def _moves(
    referee: Judge, point: dict[str, Any], order: int, along: np.ndarray, wanted: np.ndarray, step: float
) -> float:
    """How far the judge's own answer moves when the point does, by a relative step."""
    rng = np.random.default_rng(0)
    moves = []
    for _ in range(4):
        moved = {k: v * (1 + step * rng.choice([-1, 1], size=v.shape)) for k, v in point.items()}
        moves.append(float(np.abs(referee.derivative(moved, order, along) - wanted).max(initial=0)))
    return max(moves)


def _taken(compiled: Any, point: dict[str, np.ndarray], sizes: dict[str, int]) -> dict[str, Any]:
    """What the function takes of the values and sizes."""
    known = {**point, **sizes}
    return {name: known[name] for name in inspect.signature(compiled).parameters if name in known}
