"""Results are written straight into arrays that are there, where their last operation can do that.

In: statements and an expression for each result, as source, and where each is to be written. Out: statements
that write them: np.multiply(a, b, out=out) for a * b. What comes before the last operation goes into the
same memory where nothing else is needed beside it; what cannot be written directly is copied.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

OPERATORS: Mapping[type[ast.AST], str] = {
    ast.Add: "np.add",
    ast.Sub: "np.subtract",
    ast.Mult: "np.multiply",
    ast.Div: "np.divide",
    ast.MatMult: "np.matmul",
}
# As NumPy computes these powers.
POWERS = {2: "np.square", 0.5: "np.sqrt", -1: "np.reciprocal"}
# Functions of whole arrays that are not entry by entry and take `out`.
WHOLE = frozenset({"np.sum", "np.max", "np.min", "np.prod", "np.outer", "np.matmul", "np.vecdot"})


def into(lines: Sequence[str], results: Mapping[Any, str], targets: Mapping[Any, str]) -> list[str]:
    """The statements, so that each target holds its result at the end.

    >>> into(["t1 = np.sin(x)"], {"": "t1 * x"}, {"": "out"})
    ['t1 = np.sin(x)', 'np.multiply(t1, x, out=out)']
    >>> into(["H = np.zeros((n, n))", "H += A"], {"": "H"}, {"": "out"})
    ['H = out', 'H[...] = 0', 'H += A']
    """
    done, after = list(lines), list[str]()
    for key, text in results.items():
        target = targets[key]
        if text == target:
            continue
        place = next((k for k, line in enumerate(done) if line.startswith(f"{text} = ")), None)
        made = None if place is None or not text.isidentifier() else _named(text, done[place], target)
        if made is not None and place is not None:
            done[place : place + 1] = made
            continue
        direct = _written(ast.parse(text, mode="eval").body, target)
        after.append(f"{target}[...] = {_whole(text)}" if direct is None else direct)
    return [*done, *after]


def _named(name: str, line: str, target: str) -> list[str] | None:
    """The statement that makes an array with a name, for the array that is there; None if it is copied."""
    value = ast.parse(line.removeprefix(f"{name} = "), mode="eval").body
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "np.zeros":
        return [f"{name} = {target}", f"{name}[...] = 0"]
    text = ast.unparse(value)
    if text.endswith(".copy()"):
        return [f"{name} = {target}", f"{name}[...] = {_whole(text)}"]
    direct = _written(value, target)
    return None if direct is None else [f"{name} = {direct}"]


def _whole(text: str) -> str:
    """What is copied in any case need not be copied first."""
    return text.removesuffix(".copy()")


def _written(value: ast.expr, target: str) -> str | None:
    """The call that writes an expression into the target, with the one array that it reads there too."""
    found = _call(value)
    if found is None:
        return None
    function, args, options = found
    arrays = [k for k, arg in enumerate(args) if not _is_number(arg)]
    texts = [ast.unparse(arg) for arg in args]
    if len(arrays) == 1 and function not in WHOLE:
        inner = _written(args[arrays[0]], target)
        texts[arrays[0]] = inner if inner is not None else texts[arrays[0]]
    return f"{function}({', '.join([*texts, *options, f'out={target}'])})"


def _call(value: ast.expr) -> tuple[str, Sequence[ast.expr], list[str]] | None:
    """The function, its arguments and options, if it can write into an array that is given."""
    match value:
        case ast.BinOp(op=ast.Pow(), left=left, right=right) if _is_number(right):
            exponent = ast.literal_eval(right)
            known = POWERS.get(exponent)
            return (known, [left], []) if known else ("np.power", [left, right], [])
        case ast.BinOp(op=op, left=left, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)], [left, right], []
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not _is_number(value):
            return "np.negative", [operand], []
        case ast.Call(func=func, args=args, keywords=keywords):
            name = ast.unparse(func)
            if name in WHOLE or is_ufunc(name):
                return name, args, [f"{k.arg}={ast.unparse(k.value)}" for k in keywords]
    return None


def _is_number(value: ast.expr) -> bool:
    try:
        return isinstance(ast.literal_eval(value), int | float)
    except ValueError:
        return False


def is_ufunc(name: str) -> bool:
    """Whether np.f or special.f goes entry by entry and takes `out`."""
    import numpy as np

    module, _, function = name.partition(".")
    if module == "special":
        from scipy import special

        return isinstance(getattr(special, function, None), np.ufunc)
    return module == "np" and isinstance(getattr(np, function, None), np.ufunc)
