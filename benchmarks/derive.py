"""How long deriving takes: formulas, import, --help, depth, and SymPy on what it can do.

Run `python3 dev.py bench`. It prints tables and asserts nothing about time; every derivative is checked
before its time is shown. Deriving is process CPU time, the median of rounds; start-up is the smallest wall
time of whole processes, so that a busy machine does not count. SymPy is a development dependency only.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import chainrule as cr

ROUNDS = 15
NEURON = ("mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w")
FORMULAS: list[tuple[str, str, str, int, float | None]] = [
    # formula, shapes, wrt, order, target in milliseconds
    (*NEURON, 1, 5.0),
    (*NEURON, 2, 20.0),
    ("x @ A @ x", "x[n] A[n,n]", "x", 1, None),
    ("norm(A @ x - b)**2", "A[m,n] x[n] b[m]", "x", 2, None),
    ("sum(log(1 + exp(-y * (X @ w))))", "X[N,n] w[n] y[N]", "w", 2, None),
    ("logdet(X.T @ X)", "X[N,n]", "X", 1, None),
    ("tr(A @ X.T @ B @ X @ C)", "A[n,n] X[m,n] B[m,m] C[n,n]", "X", 1, None),
    ("tr(inv(X) @ A)", "X[n,n] A[n,n]", "X", 1, None),
    ("softmax(x)", "x[n]", "x", 2, None),
    ("log(sin(x**3)**2)", "x", "x", 1, None),
]
DEPTHS = (4, 16, 64, 256)


def cpu_ms(call: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """The median CPU time of a call, in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def start_up(*command: str) -> float:
    """The smallest wall time of a whole process, in milliseconds."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


def network(depth: int) -> tuple[Any, list[Any]]:
    """The loss of a network of `depth` layers, and its weights."""
    names = " ".join(f"W{k}[n,n]" for k in range(depth))
    X, Y, *weights = cr.variables(f"X[N,n] Y[N,n] {names}")
    h = X
    for W in weights:
        h = cr.tanh(h @ W)
    return ((h - Y) ** 2).mean(), weights


def sympy_cases() -> dict[str, Callable[[], Any]]:
    """The formulas that SymPy can take, as it would be asked; what it answers is said in the table."""
    import sympy as sp

    n, m = sp.symbols("n m", integer=True, positive=True)
    A, B, C = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("B", m, m), sp.MatrixSymbol("C", n, n)
    X, S, x = sp.MatrixSymbol("X", m, n), sp.MatrixSymbol("S", n, n), sp.MatrixSymbol("x", n, 1)
    s = sp.Symbol("x")
    return {
        "x @ A @ x": lambda: (x.T * A * x).diff(x),
        "tr(A @ X.T @ B @ X @ C)": lambda: sp.Trace(A * X.T * B * X * C).diff(X),
        "tr(inv(X) @ A)": lambda: sp.Trace(S.I * A).diff(S),
        "logdet(X.T @ X)": lambda: sp.log(sp.Determinant(X.T * X)).diff(X),
        "log(sin(x**3)**2)": lambda: sp.simplify(sp.log(sp.sin(s**3) ** 2).diff(s)),
    }


def main() -> None:
    """Print the tables and write them as JSON beside this file."""
    rows: list[dict[str, Any]] = []
    sympy = sympy_cases()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{date.today()}, {python}, {os.cpu_count()} cores")
    print(f"\n{'formula':46} order   derive    target   print     SymPy")
    for text, shapes, wrt, order, target in FORMULAS:

        def derive(text: str = text, shapes: str = shapes, wrt: str = wrt, order: int = order) -> Any:
            return cr.derive(text, wrt=wrt, shapes=shapes, order=order)

        derive().check(points=3)
        took = cpu_ms(derive)
        printed = cpu_ms(lambda derive=derive: derive().latex) - took
        row: dict[str, Any] = {
            "formula": text,
            "order": order,
            "derive_ms": took,
            "print_ms": max(printed, 0.0),
        }
        other = ""
        if text in sympy and order == 1:
            answer = sympy[text]()
            row["sympy_ms"] = cpu_ms(sympy[text], 3)
            row["sympy_answer"] = str(answer)
            # A zero of SymPy's matrices is not == 0.
            other = f"{row['sympy_ms']:7.1f} ms" + ("  (answers 0)" if str(answer) == "0" else "")
        rows.append(row)
        wanted = f"≤ {target:.0f} ms" if target else ""
        print(f"{text:46} {order:5} {took:7.2f} ms  {wanted:8} {row['print_ms']:6.2f} ms {other}")

    print(f"\n{'start-up':46}         time    target")
    for name, command, limit in (
        ("import chainrule", ("-c", "import chainrule"), 250),
        ("chainrule --help", ("-m", "chainrule.cli.main", "--help"), 150),
        ("python -c pass", ("-c", "pass"), None),
    ):
        took = start_up(*command)
        rows.append({"start_up": name, "ms": took})
        print(f"{name:46} {took:10.0f} ms  {f'≤ {limit} ms' if limit else ''}")

    print(f"\n{'gradient of a d-layer network, all weights':46}         time    per layer")
    for depth in DEPTHS:
        loss, weights = network(depth)
        took = cpu_ms(lambda loss=loss, weights=weights: cr.derive(loss, wrt=weights), 3)
        target = "   ≤ 2000 ms" if depth == 256 else ""
        rows.append({"depth": depth, "derive_ms": took})
        print(f"d = {depth:<42} {took:10.0f} ms {took / depth:9.2f} ms{target}")
    path = Path(__file__).with_name("derive.json")
    path.write_text(
        json.dumps({"date": str(date.today()), "rows": rows}, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
    print(f"\nwritten to {path.name}")


if __name__ == "__main__":
    main()
