"""JAX as an independent judge: its derivative of each golden formula against the compiled one, in float64."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from golden.cases import Case, read

from chainrule.expr.names import ascii_name
from chainrule.verify.sample import sample_point
from tests.backends import backend

jax = backend("jax")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

FILES = ("expected_forms.txt", "literature.txt", "tables.txt")
EVERY = [case for file in FILES for case in read(file) if not case["structured"]]


@functools.cache
def functions() -> dict[str, Any]:
    """The language in terms of jax.numpy, as far as the golden formulas go."""
    jnp = jax.numpy
    linalg = jnp.linalg
    same = "sum mean prod exp log sqrt abs sin cos cosh tanh maximum where diag outer kron eye ones tril"

    def eigvecsh(A: Any) -> Any:
        """With the sign that chainrule chooses: the largest entry of each vector is positive."""
        V = linalg.eigh(A)[1]
        return V * jnp.sign(jnp.take_along_axis(V, jnp.abs(V).argmax(axis=0)[None], axis=0))

    return {name: getattr(jnp, name) for name in same.split()} | {
        "max": jnp.maximum,
        "minimum": jnp.minimum,
        "clip": jnp.clip,
        "norm": lambda x, o=None: jnp.sqrt(jnp.sum(x * x)) if o is None else linalg.norm(x, o),
        "svdvals": lambda X: linalg.svd(X, compute_uv=False),
        "eigvalsh": linalg.eigvalsh,
        "eigvecsh": eigvecsh,
        "cholesky": linalg.cholesky,
        "pinv": lambda X: linalg.inv(X.T @ X) @ X.T if len(X) >= len(X.T) else X.T @ linalg.inv(X @ X.T),
        "solve": linalg.solve,
        "expm": jax.scipy.linalg.expm,
        "norm1": lambda x: jnp.sum(jnp.abs(x)),
        "tr": jnp.trace,
        "inv": jnp.linalg.inv,
        "det": jnp.linalg.det,
        "logdet": lambda x: jnp.linalg.slogdet(x)[1],
        "matrix_power": jnp.linalg.matrix_power,
        "relu": jax.nn.relu,
        "sigmoid": jax.nn.sigmoid,
        "softplus": jax.nn.softplus,
        "binary_cross_entropy": lambda p, y: -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p)),
        "softmax": jax.nn.softmax,
        "logsumexp": jax.scipy.special.logsumexp,
        "erf": jax.scipy.special.erf,
        "lgamma": jax.scipy.special.gammaln,
        "xlogx": lambda x: jax.scipy.special.xlogy(x, x),
    }


@pytest.mark.parametrize("case", EVERY, ids=[c.name for c in EVERY])
def test_jax_agrees(case: Case) -> None:
    derivative = case.derivative
    *parts, text = case["formula"].split(";")
    named = [part.split("=", 1) for part in parts]  # r = exp(p - q); …
    code = compile(text.strip(), case.name, "eval")
    compiled = derivative.compile()
    rng = np.random.default_rng(7)
    variables = list(derivative.formula.variables.values())
    for _ in range(2):
        point = sample_point([derivative.formula.expr, derivative.expression], variables, rng)
        scope = functions() | point.sizes | {name: jax.numpy.asarray(v) for name, v in point.values.items()}

        def value(x: Any, scope: dict[str, Any] = scope) -> Any:
            names = {**scope, ascii_name(case["wrt"]): x}
            for name, part in named:
                names[name.strip()] = eval(part.strip(), names)
            return eval(code, {name: names.get(ascii_name(name)) for name in code.co_names})

        moving = derivative.wrt[0].name
        derive = {1: jax.jacobian, 2: jax.hessian}[case.order]
        wanted = np.asarray(derive(value)(jax.numpy.asarray(point.values[moving])))
        got = compiled(**point.values, **point.sizes)
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-8 * max(1, np.abs(wanted).max(initial=0)))
