"""How long explaining long formulas takes: every style on formulas of 200 to 360 nodes.

Run `python3 dev.py bench`. It prints a table of CPU seconds, from the text of the formula to the
text of the page, and asserts nothing about time; a page whose check failed is named. The target is two
seconds for each. `-` stands for a style that cannot write this formula and says so.
"""

from __future__ import annotations

import json
import os
import platform
import time
from datetime import date
from functools import reduce
from pathlib import Path

import chainrule as cr
from chainrule.expr.walk import topological

TARGET = 2.0
STYLES = ("operator", "variables", "components", "differentials")


def net(layers: int, function: str) -> tuple[str, str]:
    """A squared loss of a net of layers with weights and biases, and the shapes of its names."""
    inner = reduce(lambda f, k: f"{function}(W{k} @ {f} + b{k})", range(1, layers + 1), "x")
    weights = " ".join(f"W{k}[n,n] b{k}[n]" for k in range(1, layers + 1))
    return f"sum(({inner} - y)**2)", f"x[n] y[n] {weights}"


def chain_of_units(units: int) -> tuple[str, str]:
    """Units with one input each, one behind the other."""
    inner = reduce(lambda f, k: f"tanh(w{k}*{f} + b{k})", range(1, units + 1), "x")
    return inner, "x " + " ".join(f"w{k} b{k}" for k in range(1, units + 1))


def formulas() -> dict[str, tuple[str, str, str]]:
    """Formula, shapes and variable of each row."""
    relu, relu_shapes = net(60, "relu")
    return {
        "60 relu layers, by the first weights": (relu, relu_shapes, "W1"),
        "60 relu layers, by the input": (relu, relu_shapes, "x"),
        "59 tanh layers, by the first weights": (*net(59, "tanh"), "W1"),
        "59 tanh units, one behind the other": (*chain_of_units(59), "x"),
        "product of 119 sines": ("*".join(f"sin({k}*x)" for k in range(1, 120)), "x", "x"),
        "sum of 100 sines": (" + ".join(f"sin({k}*x)" for k in range(1, 101)), "x", "x"),
        "sine of a sine, 180 times": ("sin(" * 180 + "x" + ")" * 180, "x", "x"),
    }


def seconds(formula: str, shapes: str, wrt: str, style: str) -> float | None:
    """The CPU time of one page; None where the style cannot write it."""
    start = time.process_time()
    try:
        page = cr.explain(formula, wrt=wrt, shapes=shapes, style=style)
    except cr.ChainruleError:
        return None
    str(page)
    took = time.process_time() - start
    if page.checked.failed:
        print(f"FAILED: {page.checked.failed}")
    return took


def main() -> None:
    """Print the table and write it as JSON beside this file."""
    cr.explain("sin(x**2)", wrt="x")  # loads what is loaded once
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{date.today()}, {python}, {os.cpu_count()} cores; CPU seconds, target {TARGET} s")
    print(f"\n{'formula':38} nodes " + "".join(f"{style:>15}" for style in STYLES))
    rows = []
    for name, (formula, shapes, wrt) in formulas().items():
        derived = cr.derive(formula, wrt=wrt, shapes=shapes)
        nodes = len(topological([derived.formula.expr]))
        took = {style: seconds(formula, shapes, wrt, style) for style in STYLES}
        rows.append({"formula": name, "nodes": nodes, "seconds": took})
        cells = "".join(f"{'-' if s is None else f'{s:.2f}':>15}" for s in took.values())
        print(f"{name:38} {nodes:5} {cells}", flush=True)
    path = Path(__file__).with_name("explain.json")
    path.write_text(
        json.dumps({"date": str(date.today()), "rows": rows}, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
    print(f"\nwritten to {path.name}")


if __name__ == "__main__":
    main()
