"""What is written into an array that nothing else reads: fewer arrays are made, and fewer pages asked for.

NumPy itself does this for a + b where a is not named and both have one shape; here it is said for the rest: a
row or a column that is added, a difference from an array, a function of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chainrule.codegen.into import is_ufunc
from chainrule.codegen.program import Op, is_whole
from chainrule.rules.table import Row

SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
NAMES = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide"}
COMMUTES = frozenset({"add", "mul"})
NEW = frozenset({*SIGNS, "matmul", "outer", "neg", "sqrt", "pow", "call"})
TAKES_OUT = frozenset({"softmax"})  # helpers with an argument `out`
CALL = re.compile(r"(np\.\w+)\([^()]*\)")


def place_for(op: Op, uses: Mapping[Op, int], named: Mapping[Op, bool]) -> int | None:
    """The argument into which the result can be written and NumPy would not do so by itself; None if none.

    `named` says of arguments whether they have a name.
    """
    if op.rank < 2 or op.boolean or not (op.kind in SIGNS or _takes_out(op)):
        return None
    for k, a in enumerate(op.args):
        free = a.kind in NEW and uses[a] == 1 and a.shape == op.shape and not a.boolean and not is_whole(a)
        if free and (a.kind != "call" or _takes_out(a)) and (named[a] or not _is_elided(op, k)):
            return k
    return None


def written(op: Op, place: int, texts: tuple[str, ...], value: str) -> str:
    """The statement; `texts` are the arguments as they are written, `value` is the operation as it is read.

    >>> from chainrule.codegen.program import Builder
    >>> from chainrule.expr.dims import Dim
    >>> build, shape = Builder(), (Dim.of("m"), Dim.of("n"))
    >>> difference = build.binary("sub", build.input("A", shape), build.input("B", shape))
    >>> written(difference, 0, ("A", "B"), "A - B"), written(difference, 1, ("A", "B"), "A - B")
    ('A -= B', 'np.subtract(A, B, out=B)')
    """
    target = texts[place]
    if op.kind not in SIGNS:
        return f"{value[:-1]}, out={target})"
    if place == 0 or op.kind in COMMUTES:
        return f"{target} {SIGNS[op.kind]}= {texts[1 - place]}"
    return f"np.{NAMES[op.kind]}({', '.join(texts)}, out={target})"


def _takes_out(op: Op) -> bool:
    """Whether it is a call of a function that can write into an array."""
    row = op.data[0] if op.kind == "call" else None
    if not isinstance(row, Row):
        return op.kind == "sqrt"
    found = CALL.fullmatch(row.code)
    return row.name in TAKES_OUT or (found is not None and is_ufunc(found[1]) and len(op.args) < 3)


def _is_elided(op: Op, place: int) -> bool:
    """Whether NumPy writes into an argument without a name: beside a number, or an array of its shape."""
    if op.kind not in SIGNS or (place and op.kind not in COMMUTES):
        return False
    other = op.args[1 - place]
    return other.rank == 0 or other.shape == op.shape
