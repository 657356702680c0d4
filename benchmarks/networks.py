"""How time and the length of an answer grow with the depth of a network.

Run `python3 benchmarks/networks.py`. Every row is the derivative of a loss by all weights and biases of a
network of so many layers, checked before its row is printed. Times are process CPU time; explain is the
derivation of the derivative by the first weight matrix, and of all of them on one page.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import chainrule as cr

DEPTHS = (16, 64, 256)


def network(layers: int, *, batch: bool = False) -> tuple[str, str, str]:
    """A program of so many tanh layers, its shapes and its parameters."""
    data, product = ("X", "{h} @ W{k}.T + b{k}") if batch else ("x", "W{k} @ {h} + b{k}")
    h, letter = data, "H" if batch else "h"
    statements, shapes, wrt = [], [f"{data}[N,n] T[N,n]" if batch else f"{data}[n] t[n]"], []
    for k in range(1, layers + 1):
        statements.append(f"{letter}{k} = tanh({product.format(h=h, k=k)})")
        h = f"{letter}{k}"
        shapes.append(f"W{k}[n,n] b{k}[n]")
        wrt += [f"W{k}", f"b{k}"]
    statements.append(f"sum(({h} - {'T' if batch else 't'})**2)")
    return "; ".join(statements), " ".join(shapes), ",".join(wrt)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """The CPU time of a call in milliseconds, and its result."""
    start = time.process_time()
    result = call()
    return 1e3 * (time.process_time() - start), result


def main() -> None:
    """Print a table."""
    cr.derive("x**2", "x").check()
    print("CPU milliseconds | characters of the answer, of the code, of the page")
    for batch in (False, True):
        print("batches" if batch else "vectors")
        for layers in DEPTHS:
            formula, shapes, wrt = network(layers, batch=batch)
            deriving, derived = timed(lambda f=formula, s=shapes, w=wrt: cr.derive(f, w, s))
            printing, text = timed(lambda d=derived: d.text)
            compiling, code = timed(derived.compile)
            checking, _ = timed(derived.check)
            first = wrt.split(",")[0]
            explaining, _ = timed(lambda f=formula, s=shapes, v=first: cr.derive(f, v, s).explain().to_text())
            together, page = timed(lambda d=derived: d.explain().to_text())
            assert "checked: " in page
            print(
                f"{layers:4} layers: derive {deriving:6.0f}  print {printing:5.0f}  compile {compiling:5.0f}"
                f"  check {checking:5.0f}  explain {explaining:6.0f} {together:6.0f}"
                f" | {len(text):7,} {len(code.__source__):7,} {len(page):7,}"
            )


if __name__ == "__main__":
    main()
