"""One spelling for NumPy, JAX and PyTorch, so that a problem is written once for all of them."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import torch
from scipy import special

NUMPY = SimpleNamespace(
    exp=np.exp, tanh=np.tanh, sin=np.sin, cos=np.cos, sqrt=np.sqrt, sum=np.sum, mean=np.mean,
    eye=np.eye, inv=np.linalg.inv, diag=np.diag, outer=np.outer, einsum=np.einsum, where=np.where,
    sigmoid=special.expit, softmax=lambda z: special.softmax(z, axis=-1),
)  # fmt: skip
JAX = SimpleNamespace(
    exp=jnp.exp, tanh=jnp.tanh, sin=jnp.sin, cos=jnp.cos, sqrt=jnp.sqrt, sum=jnp.sum, mean=jnp.mean,
    eye=jnp.eye, inv=jnp.linalg.inv, diag=jnp.diag, outer=jnp.outer, einsum=jnp.einsum, where=jnp.where,
    relu=jax.nn.relu, sigmoid=jax.nn.sigmoid, softmax=lambda z: jax.nn.softmax(z, axis=-1),
    logsumexp=lambda z: jax.nn.logsumexp(z, axis=-1), softplus=lambda z: jnp.logaddexp(0.0, z),
    logdet=lambda S: jnp.linalg.slogdet(S)[1], trace=jnp.trace, solve=jnp.linalg.solve, abs=jnp.abs,
)  # fmt: skip
TORCH = SimpleNamespace(
    exp=torch.exp, tanh=torch.tanh, sin=torch.sin, cos=torch.cos, sqrt=torch.sqrt, sum=torch.sum,
    mean=torch.mean, eye=torch.eye, inv=torch.linalg.inv, diag=torch.diag, outer=torch.outer,
    einsum=torch.einsum, where=torch.where, relu=torch.relu, sigmoid=torch.sigmoid,
    softmax=lambda z: torch.softmax(z, -1), logsumexp=lambda z: torch.logsumexp(z, -1),
    softplus=torch.nn.functional.softplus, logdet=lambda S: torch.linalg.slogdet(S)[1],
    trace=torch.trace, solve=torch.linalg.solve, abs=torch.abs,
)  # fmt: skip
