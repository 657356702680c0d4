"""Programs that once were differentiated wrongly or not at all, each with what was wrong."""

from __future__ import annotations

from reliability.programs import Program

SIZES = {"k": 2, "m": 3, "n": 4}


def _case(text: str, wrt: str, **variables: str) -> Program:
    shapes = " ".join(f"{name}[{','.join(axes)}]" if axes else name for name, axes in variables.items())
    return Program(text, shapes, wrt, SIZES, variables)


REGRESSIONS = {
    "a mask times a whole number was an array of integers, to which nothing could be added": _case(
        "diag(s * maximum(s * x, arccos(tanh(s * x[::-1]) / 2)**3))", "x", s="", x="n"
    ),
}
