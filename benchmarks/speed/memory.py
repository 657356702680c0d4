"""How much memory a compiled Hessian takes at its peak, against its inputs and its result.

Run in a process of its own, as NumPy's and BLAS's own buffers count: `python -m benchmarks.speed.memory`
prints the two ratios, by what NumPy has asked for and by what the process has had resident.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

ALLOWED = {"": 1.8, "low": 1.3}
M, N = 2000, 1000


def measured(memory: str, m: int = M, n: int = N) -> dict[str, Any]:
    """The peaks of the Hessian of logistic regression, in a new process; or why there are none."""
    command = [sys.executable, "-m", "benchmarks.speed.memory", memory or "usual", str(m), str(n)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(answer)
    return {"memory": memory, "m": m, "n": n, "allowed": ALLOWED[memory], **found}


def peaks(memory: str, m: int, n: int) -> dict[str, Any]:
    """Ratios to the size of X, w, y and the result."""
    import numpy as np

    import chainrule as cr

    derived = cr.derive("sum(log(1 + exp(-y * (X @ w))))", wrt="w", shapes="X[m,n] w[n] y[m]", order=2)
    if memory and "memory" not in inspect.signature(derived.compile).parameters:
        return {"absent": "compile(memory=…) is not there yet"}
    function = derived.compile(memory=memory) if memory else derived.compile()
    rng = np.random.default_rng(0)
    function(X=rng.standard_normal((4, 2)), w=np.ones(2), y=np.ones(4))  # what is loaded once
    X, w, y = rng.standard_normal((m, n)), rng.standard_normal(n), np.sign(rng.standard_normal(m))
    needed = X.nbytes + w.nbytes + y.nbytes + 8 * n * n
    before = forget_peak()
    tracemalloc.start()
    result = function(X=X, w=w, y=y)
    asked = tracemalloc.get_traced_memory()[1]
    after = resident("VmHWM")
    given = needed - result.nbytes
    return {
        "megabytes": needed / 1e6,
        "asked": (given + asked) / needed,
        "resident": (given + after - before) / needed if before else None,
    }


def forget_peak() -> int:
    """Let the peak of resident memory start from what is resident now, and say what that is; 0 if unknown."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return resident("VmRSS")


def resident(which: str) -> int:
    """Bytes of resident memory, now (VmRSS) or at the peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{which}:"))


if __name__ == "__main__":
    kind, *sizes = sys.argv[1:]
    print(json.dumps(peaks("" if kind == "usual" else kind, *map(int, sizes))))
