"""How long nineteen derivatives take from the text to the closed form, and on to NumPy source.

Run `python3 dev.py bench`, or `python -m benchmarks.nineteen`. Times are process CPU time: the median of
rounds in one process, and the first time in a process that has derived only something else. Every derivative
is checked before its time is shown. Then: networks by depth, and the command line from its start to its end.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import chainrule as cr
from chainrule.codegen.load import compile_expressions  # noqa: F401  imported before the clock starts
from chainrule.codegen.order import tree_of_shape

ROUNDS = 15
DERIVE, SOURCE, MEDIAN, DEEP, COLD = 10.0, 20.0, 5.0, 100.0, 400.0  # milliseconds
DEPTHS = (1, 2, 4, 8, 16, 32)
WRITTEN = Path(__file__).with_name("nineteen.json")


@dataclass(frozen=True, slots=True)
class Expression:
    """What is derived."""

    name: str
    formula: str
    shapes: str
    wrt: str
    order: int = 1

    def derive(self) -> Any:
        """The derivative."""
        return cr.derive(self.formula, wrt=self.wrt, shapes=self.shapes, order=self.order)


LOGISTIC = ("sum(log(1 + exp(-y * (X @ w))))", "X[N,n] w[n] y[N]", "w")
FACTORISATION = ("sum((T - U @ V.T)**2)", "T[n,m] U[n,k] V[m,k]", "U")
EXPRESSIONS = (
    Expression("quadratic, Hessian", "x @ A @ x", "x[n] A[n,n]", "x", 2),
    Expression("quartic, Hessian", "(x @ A @ x)**2", "x[n] A[n,n]", "x", 2),
    Expression("ReLU neuron", "mean((y - relu(X @ w + b))**2)", "X[N,n] w[n] b y[N]", "w"),
    Expression("logistic regression", *LOGISTIC),
    Expression("logistic regression, Hessian", *LOGISTIC, 2),
    Expression("matrix factorisation", *FACTORISATION),
    Expression("matrix factorisation, Hessian", *FACTORISATION, 2),
    Expression("log-determinant", "log(det(S))", "S[n,n]", "S"),
    Expression("log-determinant, Hessian", "log(det(S))", "S[n,n]", "S", 2),
    Expression("Gaussian NLL", "(log(det(S)) + trace(inv(S) @ C)) / 2", "S[n,n] C[n,n]", "S"),
    Expression("logdet(XᵀX + I)", "log(det(X.T @ X + eye(n)))", "X[m,n]", "X"),
    Expression("elementwise chain, Jacobian", "tanh(exp(-x * x) * x)", "x[n]", "x"),
    Expression("softmax, Jacobian", "softmax(x)", "x[n]", "x"),
    Expression("cross-entropy, Hessian", "-t @ log_softmax(x)", "t[n] x[n]", "x", 2),
    Expression("ReLU layer, Jacobian", "A @ relu(B @ x)", "A[m,h] B[h,n] x[n]", "x"),
    Expression(
        "layernorm, Jacobian", "g * (x - mean(x)) / sqrt(mean((x - mean(x))**2) + 0.01)", "g[n] x[n]", "x"
    ),
    Expression(
        "attention by K", "sum((softmax(Q @ K.T, axis=1) @ V - Y)**2)", "Q[m,k] K[n,k] V[n,h] Y[m,h]", "K"
    ),
    Expression(
        "network of 2 layers", "mean((tanh(X @ W0) @ W1 - Y)**2)", "X[N,a] W0[a,b] W1[b,c] Y[N,c]", "W0"
    ),
    Expression(
        "small network by its first layer, Hessian",
        "sum((tanh(X @ W) @ v - y)**2)", "X[N,n] W[n,h] v[h] y[N]", "W", 2,
    ),
)  # fmt: skip
COMMANDS = (
    ("derive", "mean((y - relu(X @ w + b))**2)", "--shapes", "X[N,n] w[n] b y[N]", "--wrt", "w"),
    ("derive", "x @ A @ x", "--shapes", "x[n] A[n,n]", "--wrt", "x", "--order", "2"),
    ("--help",),
)


def network(depth: int) -> Expression:
    """The loss of a network of tanh layers, by its first weights."""
    formula = "X"
    for k in range(depth - 1):
        formula = f"tanh({formula} @ W{k})"
    weights = " ".join(f"W{k}[h{k},h{k + 1}]" for k in range(depth))
    return Expression(
        f"d = {depth}", f"mean(({formula} @ W{depth - 1} - Y)**2)", f"X[N,h0] Y[N,h{depth}] {weights}", "W0"
    )


def cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU milliseconds of a call, and what it gives."""
    start = time.process_time()
    result = call()
    return 1e3 * (time.process_time() - start), result


def again_and_again(expression: Expression, rounds: int) -> tuple[float, float]:
    """The median to the derivative, and to the source. No result of a round is there in the next one."""
    derived, written = [], []
    for _ in range(rounds):
        gc.collect()
        tree_of_shape.cache_clear()
        first, answer = cpu(expression.derive)
        derived.append(first)
        written.append(first + cpu(answer.compile)[0])
        del answer
    return statistics.median(derived), statistics.median(written)


def first_time(index: int) -> tuple[float, float]:
    """The same in a new process, which has derived and compiled only the softmax of a product before."""
    command = [sys.executable, "-m", "benchmarks.nineteen", "--first", str(index)]
    derived, written = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return derived, written


def print_first(index: int) -> None:
    # With it NumPy, SciPy and the rooms of the package are imported: generated code imports what it calls.
    import scipy.linalg.blas
    import scipy.special  # noqa: F401

    cr.derive("softmax(x * y)", wrt="x", shapes="x[n] y[n]").compile()
    derived, answer = cpu(EXPRESSIONS[index].derive)
    print(json.dumps([derived, derived + cpu(answer.compile)[0]]))


def cold_start(command: tuple[str, ...]) -> tuple[float, float]:
    """The least CPU time and the least wall time of a whole process that prints, in milliseconds."""
    spent, taken = [], []
    # Bytecode is there from the second process on, as on a person's machine.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(7):
        before, start = os.times(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", "from chainrule.cli.main import main; main()", *command],
            check=True,
            capture_output=True,
            env=kept,
        )
        if not done.stdout:
            raise SystemExit(f"chainrule {' '.join(command)} printed nothing")
        taken.append(1e3 * (time.perf_counter() - start))
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        spent.append(1e3 * used)
    return min(spent), min(taken)


def main(rounds: int) -> None:
    """Print the tables and write them."""
    rows, deep, cold = [], [], []
    print(f"{'derivative, CPU ms':42}{'derive':>8}{'source':>8}{'first':>8}{'source':>8}   targets 10 and 20")
    for k, expression in enumerate(EXPRESSIONS):
        expression.derive().check(points=3)
        again, first = again_and_again(expression, rounds), first_time(k)
        missed = "   MISSED" * (again[0] > DERIVE or again[1] > SOURCE)
        rows.append({**asdict(expression), "derive": again[0], "source": again[1], "first": first[0],
                     "first_source": first[1], "met": not missed})  # fmt: skip
        print(f"{expression.name:42}{again[0]:8.1f}{again[1]:8.1f}{first[0]:8.1f}{first[1]:8.1f}{missed}")
    middle = statistics.median(row["derive"] for row in rows)
    print(f"{'median, target 5':42}{middle:8.1f}{'   MISSED' * (middle > MEDIAN)}")

    print(f"\n{'network by its first weights, CPU ms':42}{'derive':>8}{'source':>8}{'a layer':>9}")
    for depth in DEPTHS:
        derived, written = again_and_again(network(depth), max(3, rounds // 3))
        missed = "   MISSED" * (depth == 32 and derived > DEEP)
        deep.append({"depth": depth, "derive": derived, "source": written, "met": not missed})
        print(f"d = {depth:<38}{derived:8.1f}{written:8.1f}{derived / depth:9.2f}{missed}")

    print(f"\n{'whole process, ms; target 400 of CPU':42}{'CPU':>8}{'wall':>8}")
    for command in COMMANDS:
        spent, taken = cold_start(command)
        cold.append({"command": " ".join(command), "ms": spent, "wall": taken, "met": spent <= COLD})
        print(f"{'chainrule ' + command[0]:42}{spent:8.0f}{taken:8.0f}{'   MISSED' * (spent > COLD)}")
    found = {"median": middle, "expressions": rows, "depths": deep, "cold": cold}
    WRITTEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"written to {WRITTEN.name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nineteen", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first is None:
        main(5 if options.quick else ROUNDS)
    else:
        print_first(options.first)
