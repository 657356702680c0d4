"""JAX in float64 as the judge of what chainrule derives for a random program."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from reliability.eager import evaluate
from reliability.programs import Program

import chainrule as cr
from chainrule.errors import DomainProblem

Point = dict[str, np.ndarray]
Derivative = Callable[[Point], np.ndarray]
TOLERANCE = {1: 1e-9, 2: 1e-7}
TOO_LARGE = 1e8
EPSILON = 1e-5  # of layernorm and rmsnorm
TIED = re.compile(r"(?:minimum|maximum)\((?:stop\((\w+)\), \1|(\w+), stop\(\2\))\)")  # equal everywhere
NEAR = 1e-4  # of a kink or tie: the judge and the judged may choose different sides


@dataclass(frozen=True, slots=True)
class Outcome:
    """`verdict`: "agrees", "differs" or "skipped"; `reason` says why or how far."""

    verdict: str
    reason: str = ""


def values(program: Program, seed: int) -> dict[str, np.ndarray]:
    """A number in every entry, of the size of 1."""
    rng, sizes = np.random.default_rng(seed), program.sizes
    return {
        name: rng.integers(sizes[shape[-1]], size=[sizes[s] for s in shape[1:-1]])
        if shape.startswith("#")
        else rng.normal(size=[sizes[s] for s in shape])
        for name, shape in sorted(program.variables.items())
    }


def jax_functions() -> dict[str, Any]:
    """The language in terms of jax.numpy, as far as random programs go."""
    import jax

    jnp = jax.numpy

    def of_numbers(function: Any) -> Any:
        """jax.nn refuses Python's own numbers."""
        return lambda x, **options: function(jnp.asarray(x, float), **options)

    def normalised(x: Any, gain: Any = 1.0, bias: Any = 0.0) -> Any:
        middle = x - jnp.mean(x, axis=-1, keepdims=True)
        return gain * middle / jnp.sqrt(jnp.mean(middle**2, axis=-1, keepdims=True) + EPSILON) + bias

    def windows(x: Any, width: int) -> Any:
        return jnp.stack([x[k : len(x) - width + 1 + k] for k in range(width)])

    same = (
        "sum mean exp log sqrt sin cos tan tanh sinh cosh arcsin arccos arctan log1p expm1 abs maximum "
        "minimum clip where power diag outer dot eye ones ones_like einsum var std prod cumsum roll flip "
        "swapaxes pad"
    )
    return {name: getattr(jnp, name) for name in same.split()} | {
        **{
            name: of_numbers(getattr(jax.nn, name))
            for name in "mish elu selu leaky_relu relu6 log_softmax".split()
        },
        "gelu": of_numbers(functools.partial(jax.nn.gelu, approximate=False)),
        "gelu_tanh": of_numbers(functools.partial(jax.nn.gelu, approximate=True)),
        "silu": of_numbers(jax.nn.silu),
        "softsign": of_numbers(jax.nn.soft_sign),
        "logsigmoid": of_numbers(jax.nn.log_sigmoid),
        "normcdf": of_numbers(jax.scipy.stats.norm.cdf),
        "normpdf": of_numbers(jax.scipy.stats.norm.pdf),
        "hardtanh": of_numbers(jax.nn.hard_tanh),
        "hardsigmoid": of_numbers(jax.nn.hard_sigmoid),
        "hardswish": of_numbers(jax.nn.hard_swish),
        "huber": lambda r, d: jnp.where(jnp.abs(r) <= d, 0.5 * r * r, d * (jnp.abs(r) - 0.5 * d)),
        "hinge": lambda m: jax.nn.relu(jnp.asarray(1.0 - m)),
        "one_hot": lambda ids, k: jax.nn.one_hot(ids, k, dtype=float),
        "pick": lambda table, ids: table[jnp.arange(len(ids)), ids],
        "conv1d": lambda x, k, padding: jnp.convolve(jnp.pad(x, padding), k[::-1], mode="valid"),
        "avg_pool1d": lambda x, width, stride, padding: windows(jnp.pad(x, padding), width).mean(axis=0),
        "max_pool1d": lambda x, width, stride: windows(x, width).max(axis=0),
        "stack": lambda *parts: jnp.stack([jnp.asarray(p, float) for p in parts]),
        "expand_dims": jnp.expand_dims,
        "cross_entropy": lambda z, c: jnp.mean(
            jax.scipy.special.logsumexp(z, axis=1) - z[jnp.arange(len(c)), c]
        ),
        "bce_with_logits": lambda z, y: jnp.mean(jax.nn.softplus(jnp.asarray(z, float)) - y * z),
        "kl": lambda p, q: jnp.sum(p * (jnp.log(p) - jnp.log(q))),
        "gaussian_nll": lambda m, y, v: jnp.mean(0.5 * (jnp.log(v) + (y - m) ** 2 / v)),
        "cholesky": jnp.linalg.cholesky,
        "nuclear_norm": lambda x: jnp.sum(jnp.linalg.svd(x, compute_uv=False)),
        "spectral_norm": lambda x: jnp.max(jnp.linalg.svd(x, compute_uv=False)),
        "eigvalsh": jnp.linalg.eigvalsh,
        "expm": jax.scipy.linalg.expm,
        "tril": jnp.tril,
        "triu": jnp.triu,
        "vdot": jnp.vdot,
        "diagonal": jnp.diagonal,
        "layernorm": normalised,
        "rmsnorm": lambda x: x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPSILON),
        "batchnorm": lambda x, eps: (x - x.mean(axis=0)) / jnp.sqrt(x.var(axis=0) + eps),
        "rnn_step": lambda x, h, w, u, b: jnp.tanh(w @ x + u @ h + b),
        "attention": lambda q, k, v: jax.nn.softmax(q @ k.T / jnp.sqrt(1.0 * q.shape[1])) @ v,
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
        self.traced: dict[str, Any] = {}
        self.scope = jax_functions() | program.sizes
        *named, last = program.text.split("; ")
        self.named = [compile(line, "<program>", "exec") for line in named]
        self.last = compile(last, "<program>", "eval")

    def value(self, point: dict[str, Any]) -> Any:
        """The value of the program."""
        arrays = {name: self.jax.numpy.asarray(array) for name, array in point.items()}
        scope = self.scope | arrays
        for line in self.named:
            exec(line, scope)
        return self.jax.numpy.asarray(eval(self.last, scope), dtype=float)

    def derivative(self, point: dict[str, Any], order: int, along: np.ndarray) -> np.ndarray:
        """The Jacobian's rows added up with the weights `along`, or the Hessian times `along`."""
        return self.of(f"derivative {order}", self._derivative(order), point, along)

    def number(self, point: dict[str, Any]) -> np.ndarray:
        """The value, evaluated by NumPy."""
        return self.of("value", lambda point, along: self.value(point), point, np.zeros(()))

    def of(self, what: str, function: Any, point: dict[str, Any], along: np.ndarray) -> np.ndarray:
        """What JAX traces once, evaluated at a point."""
        if what not in self.traced:
            with self.jax.disable_jit(False):  # other tests switch it off, and loops are then unrolled
                self.traced[what] = self.jax.make_jaxpr(function)(point, along)
        leaves = self.jax.tree.leaves((point, along))
        return np.asarray(evaluate(self.traced[what], *map(np.asarray, leaves))[0])

    def _derivative(self, order: int) -> Any:
        def first(point: dict[str, Any], x: Any, weights: Any) -> Any:
            return self.jax.vjp(lambda x: self.value({**point, self.program.wrt: x}), x)[1](weights)[0]

        def second(point: dict[str, Any], x: Any, along: Any) -> Any:
            one = self.jax.numpy.ones(())
            return self.jax.jvp(lambda x: first(point, x, one), (x,), (along,))[1]

        chosen = first if order == 1 else second
        return lambda point, along: chosen(point, point[self.program.wrt], along)


def derived(program: Program, order: int) -> Derivative:
    """What chainrule derives and compiles, as a function of a point."""
    found = cr.derive(program.text, shapes=program.shapes, wrt=program.wrt, order=order)
    compiled = found.compile()
    taken = set(inspect.signature(compiled).parameters)

    def at(point: Point) -> np.ndarray:
        known = {**point, **program.sizes}
        return np.asarray(compiled(**{name: known[name] for name in taken & set(known)}))

    return at


def judge(program: Program, order: int, seed: int, derive: Callable[..., Derivative] = derived) -> Outcome:
    """Compare the derivative with JAX's at a random point, in a random direction."""
    point = values(program, seed)
    rng = np.random.default_rng([seed, order])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        referee = Judge(program)
        value = referee.number(point)
        if not np.isfinite(value).all() or np.abs(value).max(initial=0) > TOO_LARGE:
            return Outcome("skipped", "the value is too large")
        x = point[program.wrt]
        along = rng.normal(size=value.shape if order == 1 else x.shape)
        wanted = referee.derivative(point, order, along)
        derivative = derive(program, order)
        try:
            whole = derivative(point)
        except DomainProblem:
            return Outcome("skipped", "refused where there is no derivative")
        if whole.shape != (value.shape if order == 1 else x.shape) + x.shape:
            return Outcome("differs", f"the derivative has the shape {whole.shape}")
        if not np.isfinite(wanted).all():
            return Outcome("skipped", "the judge's derivative is not finite")
        got = np.tensordot(along, whole, axes=along.ndim)
        scale = max(1.0, float(np.abs(wanted).max(initial=0)), float(np.abs(whole).max(initial=0)))
        error = float(np.abs(got - wanted).max(initial=0))
        if error <= TOLERANCE[order] * scale:
            return Outcome("agrees")

        def moves(step: float) -> float:
            return _moves(referee, point, order, along, wanted, step)

        excuses = (
            (scale > TOO_LARGE, "the derivative is too large"),
            (TIED.search(program.text) is not None, "a tie at every point"),
            (error <= 1000 * moves(1e-14), "ill conditioned"),
            (moves(NEAR) > 0.02 * scale, "near a kink or a tie"),
        )
        found = next((why for holds, why in excuses if holds), "")
        return Outcome("skipped", found) if found else Outcome("differs", f"by {error:.2e} of {scale:.2e}")


def _moves(
    referee: Judge, point: dict[str, Any], order: int, along: np.ndarray, wanted: np.ndarray, step: float
) -> float:
    """How far the judge's own answer moves when the point does, by a relative step."""
    rng = np.random.default_rng(0)
    moves = []
    for _ in range(4):
        moved = {
            k: v if v.dtype.kind == "i" else v * (1 + step * rng.choice([-1, 1], size=v.shape))
            for k, v in point.items()
        }
        moves.append(float(np.abs(referee.derivative(moved, order, along) - wanted).max(initial=0)))
    return max(moves)
