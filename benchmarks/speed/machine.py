"""What this machine can do, measured in the run that is compared with it.

The limit of a problem is the largest of: its floating-point operations at the rate of gemm, the bytes that
must be read and written at the bandwidth of the level of memory where they fit, and its exponentials at the
rate of a vectorised exp.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.speed.clock import best

L2_BYTES, L3_BYTES = 0.7e6, 0.6 * 32 * 2**20  # what fits with room for the rest
LIBRARIES = ("numpy", "scipy", "jax", "torch", "numba")


@dataclass(frozen=True, slots=True)
class Work:
    """What a problem cannot do without: operations, bytes of memory traffic, exponentials."""

    flops: float = 0.0
    moved: float = 0.0
    exponentials: float = 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates: gemm in GFLOP/s, memory in GB/s by level, exp in 10⁹ a second; CPU microseconds of a call."""

    gemm: float
    dram: float
    l3: float
    l2: float
    exp: float
    numpy_call: float
    jax_call: float
    torch_call: float

    def limit(self, work: Work) -> tuple[float, str]:
        """Seconds that the work takes at least, and what limits it."""
        bandwidth = self.l2 if work.moved < L2_BYTES else self.l3 if work.moved < L3_BYTES else self.dram
        parts = {
            "flops": work.flops / (self.gemm * 1e9),
            "bytes": work.moved / (bandwidth * 1e9),
            "exp": work.exponentials / (self.exp * 1e9),
        }
        which = max(parts, key=lambda name: parts[name])
        return parts[which], which

    def as_data(self) -> dict[str, float]:
        """The rates by name."""
        return asdict(self)


def measure_machine(size: int = 1500, long: int = 30_000_000) -> Machine:
    """The rates of one core; `size`: of matrices, `long`: the length of arrays that no cache holds."""
    ones, jitted = jnp.ones(3), jax.jit(lambda a: a + 1)
    tensor = torch.ones(3)
    return Machine(
        gemm=_gemm(size),
        dram=_bandwidth(long, 5),
        l3=_bandwidth(min(600_000, long), 60),
        l2=_bandwidth(min(25_000, long), 60),
        exp=_exp_rate(min(400_000, long)),
        numpy_call=1e6 * best(lambda: np.add(1.0, 1.0), 200),
        jax_call=1e6 * best(lambda: jax.block_until_ready(jitted(ones)), 200),
        torch_call=1e6 * best(lambda: tensor + 1, 200),
    )


def _gemm(n: int) -> float:
    """The best of the three libraries, in GFLOP/s."""
    A, B, C = np.random.rand(n, n), np.random.rand(n, n), np.empty((n, n))
    At, Bt, Aj, Bj = torch.from_numpy(A), torch.from_numpy(B), jnp.asarray(A), jnp.asarray(B)
    product = jax.jit(lambda a, b: a @ b)
    calls = (
        lambda: np.matmul(A, B, out=C),
        lambda: At @ Bt,
        lambda: jax.block_until_ready(product(Aj, Bj)),
    )
    return 2 * n**3 / min(best(call) for call in calls) / 1e9


def _bandwidth(count: int, repeats: int) -> float:
    """The better of a triad z = x + 2y and of reading a matrix, on arrays of so many numbers, in GB/s."""
    x, y, z = torch.rand(count), torch.rand(count), torch.empty(count)
    triad = 24 * count / best(lambda: torch.add(x, y, alpha=2.0, out=z), repeats)
    X, v, out = np.random.rand(count // 100, 100), np.random.rand(100), np.empty(count // 100)
    read = 8 * count / best(lambda: np.dot(X, v, out=out), repeats)
    return max(triad, read) / 1e9


def _exp_rate(count: int) -> float:
    z = np.random.rand(count)
    out, tensor = np.empty_like(z), torch.from_numpy(z)
    whole = torch.empty_like(tensor)
    times = best(lambda: np.exp(z, out=out), 20), best(lambda: torch.exp(tensor, out=whole), 20)
    return count / min(times) / 1e9


def described() -> dict[str, str]:
    """The machine and the versions of the libraries, in words, and the date."""
    return {
        "date": str(date.today()),
        "processor": _processor(),
        "cores": f"{os.cpu_count()}, of which one is used",
        "python": f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}",
        "libraries": ", ".join(f"{name} {version}" for name in LIBRARIES if (version := _version(name))),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        models = []
    return models[0] if models else platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
